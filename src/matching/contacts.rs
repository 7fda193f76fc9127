//! Telephone numbers that a text gives for calling its writer back. A number in a text is often somebody else's, a company's
//! or a department's; only what follows words like 联系电话 is the petitioner's own.

use crate::mask::canonical_phone;

/// Words before a number that make it the writer's.
const OWN: [&str; 14] = [
    "联系电话",
    "联系方式",
    "联系人电话",
    "我的电话",
    "我电话",
    "本人电话",
    "我的手机",
    "本人手机",
    "手机号",
    "回电",
    "联系我",
    "我的号码",
    "电话联系我",
    "联系人",
];

/// Words near them that make it somebody else's.
const OTHERS: [&str; 12] =
    ["公司", "对方", "他的", "她的", "物业", "热线", "经理", "老板", "店家", "商家", "单位", "部门"];

/// Characters between the words and the number.
const GAP: usize = 12;
/// Characters before the words in which somebody else may be named.
const BEFORE: usize = 6;
/// Numbers taken from one text.
const LIMIT: usize = 3;
/// Characters of a number, with what separates its groups.
const NUMBER: usize = 20;

/// The writer's own numbers in a text, in canonical form.
pub fn contact_phones(text: &str) -> Vec<String> {
    let mut phones: Vec<String> = Vec::new();
    for word in OWN {
        for (position, _) in text.match_indices(word).take(LIMIT) {
            let before: String =
                text[..position].chars().rev().take(BEFORE).collect::<Vec<_>>().into_iter().rev().collect();
            let after: String = text[position + word.len()..].chars().take(GAP + NUMBER).collect();
            if OTHERS.iter().any(|other| before.contains(other)) {
                continue;
            }
            let gap = after.chars().take_while(|character| !digit(*character)).count();
            if gap > GAP {
                continue;
            }
            let number: String = after
                .chars()
                .skip(gap)
                .take_while(|character| digit(*character) || matches!(character, '-' | ' '))
                .collect();
            if let Some(phone) = canonical_phone(number.trim())
                && !phones.contains(&phone)
                && phones.len() < LIMIT
            {
                phones.push(phone);
            }
        }
    }
    phones
}

fn digit(character: char) -> bool {
    character.is_ascii_digit() || ('０'..='９').contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_writers_own_number_counts() {
        assert_eq!(contact_phones("请尽快处理。联系电话：139 0419 0001，谢谢"), contact_phones("我的手机13904190001"));
        assert_eq!(contact_phones("联系电话：13904190001").len(), 1);
        for text in
            ["物业公司联系电话：13904190001", "打了12345热线", "联系电话见附件，房号13904190001号楼后面很远的地方"]
        {
            assert!(contact_phones(text).len() <= usize::from(text.contains("附件")), "{text}");
        }
        assert!(contact_phones("施工队老板的联系电话13904190001").is_empty());
    }
}
