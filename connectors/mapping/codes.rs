//! Codes of organisations: the unified social credit code (GB 32100-2015) and the organisation code (GB 11714-1997), each
//! with its check digit. A wrong one is remarked and never a reason to turn anybody away.

/// The characters of a unified social credit code; their places are their values.
const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// The code without spaces and hyphens, in capitals.
pub(crate) fn canonical(text: &str) -> String {
    let kept = text.chars().filter(|character| !character.is_whitespace() && !matches!(character, '-' | '－' | '—'));
    let half = |character: char| match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(character as u32 - 0xfee0).unwrap_or(character),
        other => other,
    };
    kept.map(half).collect::<String>().to_ascii_uppercase()
}

/// Whether a canonical code has the form and the check digit of one of the two.
pub(crate) fn is_sound(code: &str) -> bool {
    match code.len() {
        18 => credit_code(code.as_bytes()).is_some_and(|check| code.as_bytes()[17] == check),
        9 => organisation_code(code.as_bytes()).is_some_and(|check| code.as_bytes()[8] == check),
        _ => false,
    }
}

/// The check character of the first 17: modulus 31, weights the powers of 3 (GB 32100-2015, appendix A).
fn credit_code(code: &[u8]) -> Option<u8> {
    let (mut sum, mut weight) = (0, 1);
    for byte in code.get(..17)? {
        sum += ALPHABET.iter().position(|known| known == byte)? * weight;
        weight = weight * 3 % 31;
    }
    ALPHABET.get((31 - sum % 31) % 31).copied()
}

/// The check character of the first eight: modulus 11 (GB 11714-1997).
fn organisation_code(code: &[u8]) -> Option<u8> {
    const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let mut sum = 0;
    for (byte, weight) in code.get(..8)?.iter().zip(WEIGHTS) {
        sum += char::from(*byte).to_digit(36)? * weight;
    }
    match 11 - sum % 11 {
        10 => Some(b'X'),
        11 => Some(b'0'),
        digit => u8::try_from(digit).ok().map(|digit| b'0' + digit),
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, is_sound};

    #[test]
    fn check_digits_of_organisations_are_those_of_the_standards() {
        for sound in
            ["91350100M000100Y43", "91350100 m000100y43", "９１３５０１００M000100Y43", "D2143569-X", "80210043-3"]
        {
            assert!(is_sound(&canonical(sound)), "{sound}");
        }
        for wrong in
            ["91350100M000100Y44", "91350100M000100Y4", "91350100MO00100Y43", "D2143569-1", "", "无", "1234567890"]
        {
            assert!(!is_sound(&canonical(wrong)), "{wrong}");
        }
        // Every single changed character is noticed (a prime modulus, no weight of 0).
        let code = "91350100M000100Y43";
        for at in 0..18 {
            for other in super::ALPHABET {
                let mut changed = code.as_bytes().to_vec();
                changed[at] = *other;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(is_sound(&changed), changed == code, "{changed}");
            }
        }
    }
}
