//! Two forms of a text: one to match by, one to show.
//!
//! Citizens write one thing in many ways: full-width digits, traditional characters, spaces inside words, stray control
//! characters. Rules and fingerprints need all of them to look alike; a reader needs what was written. So matching uses
//! the normal form, which is never shown, and display uses a form that only repairs what cannot be seen.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class, is_nfc};

/// The longest text shown or matched, in characters. What lies beyond stays in the entry; the complaint says so.
pub const TEXT_LIMIT: usize = 50_000;

/// Fewer letters and digits than this cannot tell two matters apart: such a text has no fingerprint.
pub const FINGERPRINT_MIN: usize = 12;

/// Stands between two sentences in the form for rules.
pub(super) const BREAK: char = '\n';

const HAN_FIRST: u32 = 0x4E00;
const HAN_LAST: u32 = 0x9FFF;

/// Traditional to simplified, one entry for each character of the main Han block. Made once from the OpenCC dictionary,
/// which is then dropped: 42 kB stay, and a look-up costs a few instructions.
static SIMPLIFIED: LazyLock<Box<[char]>> = LazyLock::new(|| {
    let same: Vec<char> = (HAN_FIRST..=HAN_LAST).filter_map(char::from_u32).collect();
    let Ok(converter) = ferrous_opencc::OpenCC::from_config(ferrous_opencc::config::BuiltinConfig::T2s) else {
        // The dictionary is part of the program; a test shows that it opens. Without it only simplified text matches.
        return same.into_boxed_slice();
    };
    // One character a line, so that no phrase of the dictionary spans two of them.
    let lines: String = same.iter().flat_map(|character| [*character, '\n']).collect();
    let simplified: Vec<char> =
        converter.convert(&lines).lines().zip(&same).map(|(line, from)| line.chars().next().unwrap_or(*from)).collect();
    if simplified.len() == same.len() { simplified } else { same }.into_boxed_slice()
});

/// The form of a text by which matters are compared: NFKC, half width, lower case, simplified characters; only letters
/// and digits are left. For matching only, never for display.
pub fn normal(text: &str) -> String {
    let mut form = String::with_capacity(text.len());
    reduce(text, &mut form, false);
    form
}

/// Like [`normal`], but sentences stay apart, so that a rule's words must stand in one sentence.
pub(super) fn sentences(text: &str) -> String {
    let mut form = String::with_capacity(text.len() + 1);
    reduce(text, &mut form, true);
    form
}

fn reduce(text: &str, form: &mut String, keep_breaks: bool) {
    if text.chars().all(is_plain) {
        reduce_plain(text.chars(), form, keep_breaks);
    } else {
        // What is left once signs are gone may compose anew: the second pass makes the form final.
        let mut rough = String::with_capacity(text.len());
        reduce_plain(
            text.nfkc().filter(|character| canonical_combining_class(*character) == 0),
            &mut rough,
            keep_breaks,
        );
        reduce_plain(rough.nfkc(), form, keep_breaks);
    }
}

/// Whether NFKC does to the character what [`reduce_plain`] does, whatever stands next to it.
fn is_plain(character: char) -> bool {
    matches!(u32::from(character), 0..=0x7F | 0x2010..=0x2027 | HAN_FIRST..=HAN_LAST | 0x3000..=0x3003 | 0x3008..=0x3011
        | 0xFF01..=0xFF5E)
}

fn reduce_plain(characters: impl Iterator<Item = char>, form: &mut String, keep_breaks: bool) {
    let simplified = &*SIMPLIFIED;
    for character in characters {
        let code = u32::from(character);
        if (HAN_FIRST..=HAN_LAST).contains(&code) {
            form.push(simplified[(code - HAN_FIRST) as usize]);
            continue;
        }
        let half = if (0xFF01..=0xFF5E).contains(&code) {
            char::from_u32(code - 0xFEE0).unwrap_or(character)
        } else {
            character
        };
        if half.is_ascii_alphanumeric() {
            form.push(half.to_ascii_lowercase());
        } else if half.is_alphanumeric() {
            form.extend(half.to_lowercase());
        } else if keep_breaks && is_break(half) && !form.ends_with(BREAK) {
            form.push(BREAK);
        }
    }
}

fn is_break(character: char) -> bool {
    matches!(character, '。' | '!' | '?' | ';' | '\n' | '…')
}

/// SHA-256 over the normal form of a subject and a body, `None` where both together have fewer than
/// [`FINGERPRINT_MIN`] letters and digits.
pub fn fingerprint(subject: Option<&str>, body: &str) -> Option<[u8; 32]> {
    let mut form = String::with_capacity(body.len() + subject.map_or(0, str::len) + 1);
    reduce(subject.unwrap_or_default(), &mut form, false);
    // No letter or digit: a subject never runs into a body.
    form.push(BREAK);
    reduce(body, &mut form, false);
    let meaningful = form.chars().count() - 1;
    (meaningful >= FINGERPRINT_MIN).then(|| Sha256::digest(form.as_bytes()).into())
}

/// A text to be shown, and whether it had to be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Display {
    /// The text.
    pub text: String,
    /// Whether more than [`TEXT_LIMIT`] characters were there.
    pub cut: bool,
}

/// The form of a text for readers: NFC, line ends as `\n`, no control or direction-changing characters, no run of more
/// than two empty lines, at most [`TEXT_LIMIT`] characters.
pub fn display(text: &str) -> Display {
    let mut shown = String::with_capacity(text.len().min(TEXT_LIMIT * 4));
    let mut empty_lines = 0;
    let mut previous = '\0';
    let mut cut = false;
    let mut count = 0;
    for character in text.chars() {
        let character = match character {
            '\n' if previous == '\r' => {
                previous = '\n';
                continue;
            }
            '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => {
                previous = character;
                '\n'
            }
            _ => {
                previous = character;
                character
            }
        };
        if character == '\n' {
            empty_lines += 1;
            if empty_lines > 3 {
                continue;
            }
        } else if is_invisible(character) {
            continue;
        } else {
            empty_lines = 0;
        }
        if count == TEXT_LIMIT {
            cut = true;
            break;
        }
        count += 1;
        shown.push(character);
    }
    let trimmed = shown.trim();
    let text = if is_nfc(trimmed) { trimmed.to_owned() } else { trimmed.nfc().collect() };
    Display { text, cut }
}

/// Control characters, and characters that hide text or turn its direction.
fn is_invisible(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(u32::from(character), 0xAD | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2064 | 0x2066..=0x206F | 0xFEFF
            | 0xFFF9..=0xFFFB)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_that_mean_the_same_have_one_normal_form() {
        for (left, right) in [
            ("供暖不熱，請解決！", "供暖不热请解决"),
            ("１２３４５ 热线", "12345热线"),
            ("ＡＢＣ小区", "abc小区"),
            ("停 电\r\n了。", "停电了"),
            ("㈠号楼", "(一)号楼"),
            ("é", "e\u{301}"),
        ] {
            assert_eq!(normal(left), normal(right), "{left} / {right}");
        }
        assert_eq!(SIMPLIFIED.len(), 0x9FFF - 0x4E00 + 1);
    }

    #[test]
    fn sentences_stay_apart_only_in_the_form_for_rules() {
        assert_eq!(sentences("停电了。。请 处理,谢谢"), "停电了\n请处理谢谢");
        assert_eq!(normal("停电了。请处理"), "停电了请处理");
    }

    #[test]
    fn a_fingerprint_ignores_width_script_and_spacing_but_not_content() {
        let first = fingerprint(Some("供暖不热"), "我家住三号楼，暖气不热已三天。");
        assert!(first.is_some());
        assert_eq!(first, fingerprint(Some("供暖不熱"), "我家住三號樓 暖氣不熱已三天"));
        assert_ne!(first, fingerprint(Some("供暖不热"), "我家住五号楼，暖气不热已三天。"));
        assert_ne!(first, fingerprint(None, "供暖不热我家住三号楼，暖气不热已三天。"));
        assert_eq!(fingerprint(None, "请快点！！！"), None);
        assert_eq!(fingerprint(Some(""), "  \n"), None);
    }

    #[test]
    fn a_text_for_readers_keeps_what_was_written() {
        assert_eq!(display("一\r\n二\r三\u{0}\u{202e}\u{200b}，Ａ\n\n\n\n\n\n四 ").text, "一\n二\n三，Ａ\n\n\n四");
        let long = "长".repeat(TEXT_LIMIT + 1);
        let shown = display(&long);
        assert!(shown.cut);
        assert_eq!(shown.text.chars().count(), TEXT_LIMIT);
        assert!(!display(&"长".repeat(TEXT_LIMIT)).cut);
    }

    proptest! {
        #[test]
        fn normal_forms_are_stable(text in "\\PC{0,80}") {
            let once = normal(&text);
            prop_assert_eq!(normal(&once), once);
        }

        #[test]
        fn display_is_stable_and_never_panics(text in any::<String>()) {
            let once = display(&text).text;
            prop_assert_eq!(display(&once).text, once);
        }
    }
}
