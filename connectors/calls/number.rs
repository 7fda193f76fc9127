//! Caller numbers as telephone systems write them, brought into the one form that finds the same petitioner again.

/// What a telephone system writes where the caller is withheld.
const WITHHELD: [&str; 14] = [
    "anonymous",
    "restricted",
    "unavailable",
    "unknown",
    "withheld",
    "private",
    "blocked",
    "none",
    "null",
    "asterisk",
    "匿名",
    "隐藏",
    "未知",
    "保密",
];

/// Prefixes that a caller dials for a cheaper line: they are no part of the number.
const DIALLED: [&str; 8] = ["17951", "17911", "17909", "17908", "17901", "12593", "10193", "96688"];

/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 120;

/// A caller's number: eleven digits of a mobile, area code and number of a landline, `+` and digits of a foreign one, or a
/// short service number. `None` where it is withheld or no number. `area_code` completes a local number.
pub(crate) fn normalise(text: &str, area_code: &str) -> Option<String> {
    let text = address(text);
    let lower = text.to_lowercase();
    if text.len() > MAX_TEXT || WITHHELD.iter().any(|word| lower.contains(word)) || text.contains(['*', '＊']) {
        return None;
    }
    let (mut digits, international) = digits(&text);
    if let Some(rest) = home(&digits, international) {
        digits = rest;
    } else if international || digits.starts_with("00") {
        let foreign = if international { digits.as_str() } else { &digits[2..] };
        return (8..=15).contains(&foreign.len()).then(|| format!("+{foreign}"));
    }
    if let Some(rest) = DIALLED.iter().find_map(|prefix| digits.strip_prefix(prefix))
        && rest.len() >= 7
    {
        digits = String::from(rest);
    }
    // A mobile of another city is dialled, and shown, with a 0 before it.
    if let Some(rest) = digits.strip_prefix('0').filter(|rest| is_mobile(rest)) {
        return Some(rest.to_owned());
    }
    if is_mobile(&digits) || is_landline(&digits) {
        return Some(digits);
    }
    let local = (7..=8).contains(&digits.len()) && digits.starts_with(|first| ('2'..='8').contains(&first));
    if local {
        let whole = format!("{area_code}{digits}");
        return Some(if is_landline(&whole) { whole } else { digits });
    }
    ((3..=6).contains(&digits.len()) && !digits.starts_with('0')).then_some(digits)
}

/// The number in `"Name" <sip:139…@host;tag>`, `tel:+86…` or plain.
fn address(text: &str) -> String {
    let text = text.trim();
    let inner = match (text.rfind('<'), text.rfind('>')) {
        (Some(open), Some(close)) if open < close => &text[open + 1..close],
        _ => text,
    };
    let scheme = ["sips:", "sip:", "tel:"].iter().find_map(|scheme| {
        inner.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &inner[scheme.len()..])
    });
    let Some(rest) = scheme else { return inner.to_owned() };
    rest.split(['@', ';', '?']).next().unwrap_or_default().to_owned()
}

/// The digits, without an extension, and whether a `+` stood before them.
fn digits(text: &str) -> (String, bool) {
    let mut digits = String::with_capacity(16);
    let mut international = false;
    for character in text.chars() {
        match character {
            '+' | '＋' if digits.is_empty() => international = true,
            '转' | 'x' | 'X' | ',' | '，' | ';' | '#' => break,
            '-' | '－' | '–' if is_landline(&digits) => break,
            '０'..='９' => digits.extend(char::from_u32(character as u32 - '０' as u32 + '0' as u32)),
            '0'..='9' => digits.push(character),
            _ => {}
        }
    }
    (digits, international)
}

/// The number without the country code of China, where it has it.
fn home(digits: &str, international: bool) -> Option<String> {
    let rest = if international { digits.strip_prefix("86") } else { digits.strip_prefix("0086") };
    let rest = rest.or_else(|| digits.strip_prefix("86").filter(|rest| is_mobile(rest)))?;
    if is_mobile(rest) || is_landline(rest) {
        return Some(rest.to_owned());
    }
    let with_zero = format!("0{rest}");
    Some(if is_landline(&with_zero) { with_zero } else { rest.to_owned() })
}

fn is_mobile(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    bytes.len() == 11 && bytes[0] == b'1' && (b'3'..=b'9').contains(&bytes[1])
}

/// Area code (010, 02x, 0xxx) and a number of it.
fn is_landline(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    if bytes.len() < 10 || bytes[0] != b'0' {
        return false;
    }
    let (area, lengths) = match bytes[1] {
        b'1' if bytes[2] == b'0' => (3, 8..=8),
        b'2' => (3, 8..=8),
        b'3'..=b'9' => (4, 7..=8),
        _ => return false,
    };
    lengths.contains(&(bytes.len() - area)) && (b'2'..=b'8').contains(&bytes[area])
}

/// Whether an area code can be one: 0 and two or three digits more.
pub(crate) fn is_area_code(text: &str) -> bool {
    (3..=4).contains(&text.len()) && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::normalise;

    #[test]
    fn one_caller_has_one_number() {
        let cases = [
            ("13900001234", Some("13900001234")),
            ("+8613900001234", Some("13900001234")),
            ("+86 139-0000-1234", Some("13900001234")),
            ("008613900001234", Some("13900001234")),
            ("8613900001234", Some("13900001234")),
            ("013900001234", Some("13900001234")),
            ("1795113900001234", Some("13900001234")),
            ("17951013900001234", Some("13900001234")),
            ("12593 13900001234", Some("13900001234")),
            ("１３９００００１２３４", Some("13900001234")),
            ("\"张三\" <sip:13900001234@10.0.0.1;user=phone>", Some("13900001234")),
            ("tel:+8613900001234", Some("13900001234")),
            ("04192123456", Some("04192123456")),
            ("0419-2123456", Some("04192123456")),
            ("(0419)2123456", Some("04192123456")),
            ("0419-2123456-801", Some("04192123456")),
            ("0419-2123456转801", Some("04192123456")),
            ("+864192123456", Some("04192123456")),
            ("2123456", Some("04192123456")),
            ("1795104192123456", Some("04192123456")),
            ("010-62123456", Some("01062123456")),
            ("02462123456", Some("02462123456")),
            ("10086", Some("10086")),
            ("+85221234567", Some("+85221234567")),
            ("0085221234567", Some("+85221234567")),
            ("", None),
            ("-", None),
            ("0", None),
            ("anonymous", None),
            ("<sip:anonymous@anonymous.invalid>", None),
            ("Restricted", None),
            ("匿名", None),
            ("139****1234", None),
            ("unknown", None),
        ];
        for (text, expected) in cases {
            assert_eq!(normalise(text, "0419").as_deref(), expected, "{text}");
        }
        assert_eq!(normalise("2123456", "").as_deref(), Some("2123456"), "without an area code it stays local");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_number_of_digits_or_none_and_is_stable(text in ".{0,40}") {
            if let Some(number) = normalise(&text, "0419") {
                prop_assert!(number.trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(normalise(&number, "0419"), Some(number));
            }
        }
    }
}
