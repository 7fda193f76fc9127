//! Splits a mailbox file into its mails.
//!
//! The variants differ in what they do to a line of a body that starts with "From ": mboxo and mboxrd put a ">" before
//! it, mboxcl leaves it alone. So a separator must stand at the start or after an empty line, and either carry a date
//! or be followed by a header; and one ">" is taken off a quoted line.

use std::{borrow::Cow, ops::Range};

const FROM: &[u8] = b"From ";

/// Bytes of a line that are looked at for a date or a header's name.
const MAX_LOOK: usize = 300;

/// Where the mails stand, without their separator lines; `None` where the file does not begin as a mailbox file does.
pub(super) fn split(bytes: &[u8], most: usize) -> Option<Vec<Range<usize>>> {
    let first = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    if !bytes[first..].starts_with(FROM) {
        return None;
    }
    let mut mails = Vec::new();
    let mut start = line_end(bytes, first);
    let mut position = start;
    let mut after_empty = false;
    while position < bytes.len() {
        let end = line_end(bytes, position);
        if after_empty && bytes[position..end].starts_with(FROM) && separates(bytes, position, end) {
            mails.push(start..trimmed(bytes, start, position));
            start = end;
            if mails.len() > most {
                return Some(mails);
            }
        }
        after_empty = matches!(&bytes[position..end], b"\n" | b"\r\n");
        position = end;
    }
    mails.push(start..trimmed(bytes, start, bytes.len()));
    Some(mails)
}

/// The mail without the ">" that quotes a line which starts with "From ".
pub(super) fn unquoted(mail: &[u8]) -> Cow<'_, [u8]> {
    let mut kept: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut position = 0;
    while position < mail.len() {
        let end = line_end(mail, position);
        let line = &mail[position..end];
        let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
        if quotes > 0 && line[quotes..].starts_with(FROM) {
            let kept = kept.get_or_insert_with(|| Vec::with_capacity(mail.len()));
            kept.extend_from_slice(&mail[copied..position]);
            copied = position + 1;
        }
        position = end;
    }
    match kept {
        Some(mut kept) => {
            kept.extend_from_slice(&mail[copied..]);
            Cow::Owned(kept)
        }
        None => Cow::Borrowed(mail),
    }
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |length| start + length + 1)
}

/// The empty line before a separator belongs to the file, not to the mail.
fn trimmed(bytes: &[u8], start: usize, end: usize) -> usize {
    let mail = &bytes[start..end];
    let mail = match mail.strip_suffix(b"\r\n\r\n") {
        Some(rest) => &mail[..rest.len() + 2],
        None => match mail.strip_suffix(b"\n\n") {
            Some(rest) => &mail[..=rest.len()],
            None => mail,
        },
    };
    start + mail.len()
}

fn separates(bytes: &[u8], start: usize, end: usize) -> bool {
    dated(&bytes[start..end.min(start + MAX_LOOK)]) || starts_header(&bytes[end..bytes.len().min(end + MAX_LOOK)])
}

/// Whether a line tells a time of day and a year, in whatever order and form.
fn dated(line: &[u8]) -> bool {
    let time = line.windows(3).any(|bytes| bytes[0].is_ascii_digit() && bytes[1] == b':' && bytes[2].is_ascii_digit());
    let year = line.split(|byte| !byte.is_ascii_digit()).any(|run| run.len() == 4 && matches!(run[0], b'1' | b'2'));
    time && year
}

fn starts_header(text: &[u8]) -> bool {
    let name = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    name > 1 && text.get(name) == Some(&b':')
}
