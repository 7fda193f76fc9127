//! Header values to text: unfolding, raw 8-bit bytes, encoded words (RFC 2047).

use super::{Bounds, Notes, charset, transfer};

/// The text of a header value: raw bytes decoded, encoded words decoded, on one line, without control characters.
pub(super) fn text(raw: &[u8], hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> String {
    let decoded = raw_text(raw, hint, notes);
    decode_words(&decoded, hint, bounds, notes)
}

/// The value unfolded and its raw bytes decoded; encoded words are left for later, because structure comes first.
pub(super) fn raw_text(raw: &[u8], hint: Option<&str>, notes: &mut Notes) -> String {
    let unfolded: Vec<u8> = raw.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
    let decoded = charset::decode(&unfolded, None, hint);
    if let Some(what) = decoded.mended {
        notes.mended(format!("a header without encoding: {what}"));
    }
    decoded.text
}

/// One encoded word, still encoded.
struct Word<'a> {
    label: &'a str,
    base64: bool,
    text: &'a str,
    /// Bytes of the whole word.
    length: usize,
}

/// Decodes the encoded words in a text. Neighbours of one character set are joined before they are decoded, because
/// mailers split words inside a character.
pub(super) fn decode_words(text: &str, hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut words = 0;
    let mut pending: Option<Run> = None;
    while let Some(found) = rest.find("=?") {
        let before = &rest[..found];
        let Some(word) = word(&rest[found..]) else {
            flush(&mut pending, hint, &mut out, notes);
            out.push_str(&rest[..found + 2]);
            rest = &rest[found + 2..];
            continue;
        };
        if words == bounds.encoded_words {
            notes.bounded(format!("only the first {} encoded words of a header were decoded", bounds.encoded_words));
            break;
        }
        words += 1;
        // White space between two encoded words is not part of the text (RFC 2047, 6.2).
        if pending.is_none() || !before.trim().is_empty() {
            flush(&mut pending, hint, &mut out, notes);
            out.push_str(before);
        }
        match &mut pending {
            Some(run) if run.label.eq_ignore_ascii_case(word.label) => run.add(&word),
            _ => {
                flush(&mut pending, hint, &mut out, notes);
                let mut run = Run { label: word.label.to_owned(), bytes: Vec::new(), base64: Vec::new() };
                run.add(&word);
                pending = Some(run);
            }
        }
        rest = &rest[found + word.length..];
    }
    flush(&mut pending, hint, &mut out, notes);
    out.push_str(rest);
    one_line(&out)
}

/// Neighbouring words of one character set.
struct Run {
    label: String,
    bytes: Vec<u8>,
    /// Base64 not decoded yet, because some mailers cut it inside a group of four.
    base64: Vec<u8>,
}

impl Run {
    fn add(&mut self, word: &Word<'_>) {
        if !word.base64 {
            self.settle();
            self.bytes.extend(transfer::q_word(word.text.as_bytes()));
            return;
        }
        if self.base64.len().is_multiple_of(4) || self.base64.ends_with(b"=") {
            self.settle();
        }
        self.base64.extend(word.text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    }

    fn settle(&mut self) {
        self.bytes.extend(transfer::base64(&self.base64).bytes);
        self.base64.clear();
    }
}

fn flush(pending: &mut Option<Run>, hint: Option<&str>, out: &mut String, notes: &mut Notes) {
    let Some(mut run) = pending.take() else { return };
    run.settle();
    let decoded = charset::decode(&run.bytes, Some(&run.label), hint);
    if let Some(what) = decoded.mended {
        notes.mended(format!("an encoded word: {what}"));
    }
    out.push_str(&decoded.text);
}

/// The longest name of a character set that is looked for, in bytes.
const MAX_LABEL: usize = 60;

/// The encoded word that `text` starts with.
fn word(text: &str) -> Option<Word<'_>> {
    let rest = &text[2..];
    let label_length = rest.bytes().take(MAX_LABEL).position(|byte| byte == b'?')?;
    let label = &rest[..label_length];
    let rest = &rest[label_length + 1..];
    let bytes = rest.as_bytes();
    let base64 = match bytes {
        [b'B' | b'b', b'?', ..] => true,
        [b'Q' | b'q', b'?', ..] => false,
        _ => return None,
    };
    let rest = &rest[2..];
    // A word cut off at the end of its header is still worth reading.
    let (end, closed) = match rest.find("?=") {
        Some(end) => (end, 2),
        None => (rest.len(), 0),
    };
    let encoded = &rest[..end];
    if encoded.contains("=?") {
        return None;
    }
    Some(Word { label, base64, text: encoded, length: 2 + label_length + 1 + 2 + end + closed })
}

/// On one line, without control characters, trimmed.
pub(super) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\t' || character == '\n' {
            out.push(' ');
        } else if !character.is_control() && character != '\u{feff}' {
            out.push(character);
        }
    }
    out.trim().to_owned()
}
