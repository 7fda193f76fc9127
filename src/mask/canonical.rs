//! One form for each telephone number and mail address, so that a keyed hash finds the same petitioner again.

use unicode_normalization::UnicodeNormalization;

use super::{digit, numbers::is_mobile};

/// The longest value taken for a telephone number, in bytes.
const PHONE_LIMIT: usize = 64;

/// The longest mail address (RFC 5321), in bytes.
const EMAIL_LIMIT: usize = 254;

/// A telephone number in one form: eleven digits for a mobile, area code and number for a landline (without its
/// extension), `+` and all digits for a foreign one. `None` for a withheld, masked or incomplete number, and for a local
/// number without its area code.
pub fn canonical_phone(text: &str) -> Option<String> {
    if text.len() > PHONE_LIMIT || text.contains(['*', '＊']) {
        return None;
    }
    let text = text.trim();
    let lower = text.to_lowercase();
    let text = lower.strip_prefix("tel:").unwrap_or(&lower);
    let mut digits = String::with_capacity(16);
    let mut international = false;
    for character in text.chars() {
        match character {
            '+' | '＋' if digits.is_empty() => international = true,
            // An extension is no part of the line.
            '转' | 'x' | ',' | '，' | ';' | '#' => break,
            '-' | '－' | '—' | '–' if is_landline(&digits) => break,
            _ => {
                if let Some(value) = digit(character) {
                    digits.push(char::from(b'0' + value));
                } else if character.is_alphabetic() {
                    return None;
                }
            }
        }
    }
    if !international && digits.starts_with("00") {
        digits.drain(..2);
        international = true;
    }
    let home = digits.strip_prefix("86").filter(|rest| international || rest.len() == 11);
    if let Some(rest) = home {
        if is_mobile(rest) || is_landline(rest) {
            return Some(rest.to_owned());
        }
        let with_zero = format!("0{rest}");
        return is_landline(&with_zero).then_some(with_zero);
    }
    if international {
        return (8..=15).contains(&digits.len()).then(|| format!("+{digits}"));
    }
    if let Some(rest) = digits.strip_prefix('0').filter(|rest| is_mobile(rest)) {
        return Some(rest.to_owned());
    }
    (is_mobile(&digits) || is_landline(&digits)).then_some(digits)
}

/// Whether the digits are an area code and a number of it: 010 and 02x have eight digits more, others seven or eight.
pub(super) fn is_landline(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    if bytes.len() < 10 || bytes[0] != b'0' {
        return false;
    }
    let area = match bytes[1] {
        b'1' => return bytes[2] == b'0' && bytes.len() == 11 && subscriber(&bytes[3..]),
        b'2' => 3,
        b'3'..=b'9' => 4,
        _ => return false,
    };
    let number = &bytes[area..];
    subscriber(number) && if area == 3 { number.len() == 8 } else { (7..=8).contains(&number.len()) }
}

fn subscriber(number: &[u8]) -> bool {
    number.first().is_some_and(|first| (b'2'..=b'8').contains(first))
}

/// A mail address in one form: half width, lower case, without name, angle brackets or `mailto:`. `None` where it is
/// none.
pub fn canonical_email(text: &str) -> Option<String> {
    if text.len() > 4 * EMAIL_LIMIT {
        return None;
    }
    let text: String = text.nfkc().collect::<String>().to_lowercase();
    let text = text.trim();
    let text = match (text.rfind('<'), text.rfind('>')) {
        (Some(open), Some(close)) if open < close => &text[open + 1..close],
        _ => text,
    };
    let text = text.strip_prefix("mailto:").unwrap_or(text).trim();
    let (local, domain) = text.rsplit_once('@')?;
    let sound = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@');
    let domain = domain.trim_end_matches('.');
    let well_formed = sound(local)
        && sound(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && local.len() + domain.len() < EMAIL_LIMIT;
    well_formed.then(|| format!("{local}@{domain}"))
}
