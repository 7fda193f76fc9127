//! Names that people give in the text: 我叫…, 联系人：…, 姓名：….

use std::{collections::HashSet, sync::LazyLock};

use super::{Label, Span};

/// Words after which a name follows without any sign between.
const SPOKEN: [&str; 5] = ["我叫", "我名叫", "本人叫", "我名字叫", "我的名字叫"];

/// Words after which a name follows only when a sign (a colon, 是, a space) stands between.
const WRITTEN: [&str; 17] = [
    "姓名",
    "联系人",
    "投诉人",
    "举报人",
    "反映人",
    "诉求人",
    "信访人",
    "申请人",
    "来电人",
    "来信人",
    "写信人",
    "署名",
    "控告人",
    "求助人",
    "留言人",
    "发件人",
    "户主",
];

/// Most names of one list that are masked.
const NAMES: usize = 20;

/// Words before which 我是 and a name are an introduction.
const PROOF: [&str; 9] = ["电话", "手机", "联系电话", "联系方式", "身份证", "男", "女", "现住", "家住"];

/// What may follow a name at once, without a sign.
const FOLLOWERS: &str = "家住是男女电手身今系现来自于在因的和与为我有，。";

const SURNAMES: &str = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方\
俞任袁柳鲍史唐费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴谈宋茅庞熊纪舒屈项祝董梁\
杜阮蓝闵席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯管卢莫房裘缪干解应宗丁宣邓郁单杭洪包诸左石崔吉龚程邢滑裴陆荣翁荀羊惠甄\
曲封芮储靳井段富巫乌焦巴弓牧山谷侯宓蓬全班仰秋仲伊宫宁仇栾甘厉祖武符刘景詹束龙叶幸司韶黎薄印白怀蒲邰鄂索咸籍赖卓蔺屠蒙池乔阴胥苍双闻莘党翟谭\
贡劳逄姬申扶堵冉宰郦雍桑桂濮牛寿通边扈燕冀郏浦尚农温别庄晏柴瞿阎慕连茹习宦艾鱼容向古易慎戈廖庾终居衡耿满弘匡国文寇广禄阙东殴沃利蔚越隆师巩厍聂\
晁勾敖融冷訾辛阚那简饶空曾毋沙乜养鞠须丰巢关蒯查荆红游竺权逯盖益桓公佟付肖闫亓仝代兰辜冼迟苑覃邝岳初鹿修";

static SURNAME: LazyLock<HashSet<char>> = LazyLock::new(|| SURNAMES.chars().collect());

const DOUBLE: [&str; 8] = ["欧阳", "司马", "上官", "诸葛", "东方", "皇甫", "尉迟", "慕容"];

pub(super) fn find(characters: &[char], spans: &mut Vec<Span>) {
    for position in 0..characters.len() {
        match characters[position] {
            '我' | '本' | '姓' | '联' | '投' | '举' | '反' | '诉' | '信' | '申' | '来' | '写' | '署' | '控' | '求'
            | '留' | '发' | '户' => {}
            _ => continue,
        }
        let rest = &characters[position..];
        if let Some(word) = SPOKEN.iter().find(|word| starts_with(rest, word)) {
            let after = position + word.chars().count();
            spans.extend(name(characters, skip_signs(characters, after), false));
        } else if let Some(word) = WRITTEN.iter().find(|word| starts_with(rest, word)) {
            // The accused is part of the matter.
            if position > 0 && characters[position - 1] == '被' {
                continue;
            }
            let after = position + word.chars().count();
            let start = skip_signs(characters, after);
            if start > after {
                let labelled = characters[after..start].iter().any(|sign| matches!(sign, ':' | '：'));
                spans.extend(list(characters, start, labelled));
            }
        } else if let Some(word) = ["我是", "本人"].iter().find(|word| starts_with(rest, word)) {
            let start = skip_signs(characters, position + word.chars().count());
            spans.extend(name(characters, start, false).filter(|span| is_proven(&characters[span.end..])));
        }
    }
}

/// Whether what follows a name shows that somebody introduces himself.
fn is_proven(rest: &[char]) -> bool {
    let signs =
        rest.iter().take(4).take_while(|sign| matches!(sign, ',' | '，' | '、' | ' ' | ';' | '；' | '(' | '（'));
    let after = &rest[signs.count()..];
    PROOF.iter().any(|word| starts_with(after, word))
}

/// The names that stand in a list at the position: 举报人：甲某、乙某.
fn list(characters: &[char], start: usize, labelled: bool) -> Vec<Span> {
    let mut names: Vec<Span> = name(characters, start, labelled).into_iter().collect();
    while let Some(last) = names.last()
        && names.len() < NAMES
        && matches!(characters.get(last.end), Some('、' | ',' | '，'))
        && let Some(next) = name(characters, last.end + 1, false)
        && characters.get(next.end).is_none_or(|after| !is_name(*after))
    {
        names.push(next);
    }
    names
}

fn starts_with(characters: &[char], word: &str) -> bool {
    let mut rest = characters.iter();
    word.chars().all(|expected| rest.next() == Some(&expected))
}

fn skip_signs(characters: &[char], start: usize) -> usize {
    let signs = characters[start..].iter().take(4);
    start
        + signs
            .take_while(|character| {
                matches!(character, ':' | '：' | ' ' | '\u{3000}' | '是' | '为' | '\t' | '(' | '（')
            })
            .count()
}

/// The name that begins at the position. Where `labelled`, the field is a name's field and need not begin with a surname.
fn name(characters: &[char], start: usize, labelled: bool) -> Option<Span> {
    let rest = characters.get(start..)?;
    let run = rest.iter().take(5).take_while(|character| is_name(**character)).count();
    // Before a mask nothing tells where a name ends; a second masking must find what the first one found.
    if run < 5 && rest.get(run) == Some(&'[') {
        return None;
    }
    let surname = if DOUBLE.iter().any(|double| starts_with(rest, double)) {
        2
    } else {
        usize::from(rest.first().is_some_and(|first| SURNAME.contains(first)))
    };
    if surname == 0 && !(labelled && (2..=4).contains(&run)) {
        return None;
    }
    for title in ["先生", "女士", "小姐", "同志", "老师", "师傅"] {
        if starts_with(&rest[surname.min(rest.len())..], title) {
            return Some(Span { start, end: start + surname + 2, label: Label::Name });
        }
    }
    let longest = if surname == 2 { 4 } else { 3 };
    let length = if (2..=longest).contains(&run) || (labelled && run == 4) {
        run
    } else if run < 2 {
        return None;
    } else {
        // A given name has one or two characters: two, unless the character after the first begins something else.
        let short = surname.max(1) + 1;
        if rest.get(short).is_some_and(|next| FOLLOWERS.contains(*next)) { short } else { longest }
    };
    Some(Span { start, end: start + length, label: Label::Name })
}

fn is_name(character: char) -> bool {
    matches!(u32::from(character), 0x4E00..=0x9FFF) || matches!(character, 'x' | 'X' | '×' | '*' | 'Ｘ' | '＊' | '·')
}
