//! Turns untrusted JSON values into clean, bounded text.

use serde_json::Value;

use super::Field;

/// Characters kept of a name, number, address of mail or machine, account, code, label or id.
pub const MAX_SHORT: usize = 200;

/// Characters kept of a title, a place, the parties, a postal address or the words for a time.
pub const MAX_LINE: usize = 500;

/// Characters kept of what happened and of what is asked for; the entry itself stays whole.
pub const MAX_TEXT: usize = 100_000;

/// Elements of a list that are read where text is expected.
const MAX_ELEMENTS: usize = 50;

/// Text that was cut to its bound.
pub(super) struct Clean {
    /// The text, trimmed and without control characters.
    pub(super) text: String,
    /// Whether it was longer than its bound.
    pub(super) cut: bool,
}

/// Characters kept of a field.
pub(super) fn bound(field: Field) -> usize {
    match field {
        Field::Body | Field::Request => MAX_TEXT,
        Field::Subject | Field::Place | Field::Parties | Field::Address | Field::Occurred => MAX_LINE,
        _ => MAX_SHORT,
    }
}

/// Whether a field keeps its line breaks.
pub(super) fn keeps_lines(field: Field) -> bool {
    matches!(field, Field::Body | Field::Request)
}

/// The text that a value stands for; `None` for null, objects and lists of them.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(elements) => {
            let texts: Vec<String> =
                elements.iter().take(MAX_ELEMENTS).filter(|element| !element.is_array()).filter_map(text).collect();
            if texts.is_empty() { None } else { Some(texts.join("、")) }
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Trims, drops control and invisible characters, and cuts to `bound` characters.
pub(super) fn clean(text: &str, lines: bool, bound: usize) -> Clean {
    let mut kept = String::with_capacity(text.len().min(bound.saturating_mul(3)));
    let mut count = 0_usize;
    let mut cut = false;
    for character in text.trim_matches(skippable).chars() {
        let character = match character {
            '\n' | '\t' if lines => character,
            '\n' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            _ if invisible(character) => continue,
            _ => character,
        };
        if count == bound {
            cut = true;
            break;
        }
        count += 1;
        kept.push(character);
    }
    kept.truncate(kept.trim_end_matches(skippable).len());
    Clean { text: kept, cut }
}

fn skippable(character: char) -> bool {
    character.is_whitespace() || invisible(character)
}

/// Characters that show nothing but can hide, split or reorder what is shown.
fn invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// An id, where the value still is one: a fraction or scientific notation has lost digits, so that two would collide.
pub(super) fn id(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.is_f64() => None,
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if lost_digits(text.trim()) => None,
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Whether a text is what a spreadsheet makes of a long number: `2.5033E+14`.
fn lost_digits(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    exponent.strip_prefix('+').is_some_and(digits)
        && mantissa.split_once('.').map_or_else(|| digits(mantissa), |(whole, rest)| digits(whole) && digits(rest))
}

/// What a value says to a yes-or-no question; `None` where it says neither.
pub(super) fn yes(value: &Value) -> Option<bool> {
    const YES: [&str; 9] = ["true", "yes", "y", "1", "on", "是", "要", "需要", "需"];
    const NO: [&str; 10] = ["false", "no", "n", "0", "off", "否", "不", "不要", "不需要", "无需"];
    let text = text(value)?.trim().to_ascii_lowercase();
    if YES.contains(&text.as_str()) {
        return Some(true);
    }
    if NO.contains(&text.as_str()) {
        return Some(false);
    }
    // A way of answering ("电话回复") is a wish for an answer; "无需回复" is none.
    if ["回复", "答复", "回访"].iter().any(|word| text.contains(word)) {
        return Some(!text.starts_with(['不', '无', '否', '免', '勿']));
    }
    None
}
