//! The header block: what stands before it, between its fields and where it ends, as mailers really write it.

use super::{Bounds, Notes};

/// One header field; its value is raw and may be folded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// The fields of one header block, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields<'a>(pub(super) Vec<Field<'a>>);

impl<'a> Fields<'a> {
    /// The raw value of the first field of that name that holds anything.
    pub(super) fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).find(|value| !value.trim_ascii().is_empty())
    }

    /// The raw values of the fields of that name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }

    /// The value of the first field of that name, trimmed and in lower case, for values that are ASCII by standard.
    pub(super) fn lower(&self, name: &str) -> Option<String> {
        self.first(name).map(|value| String::from_utf8_lossy(value.trim_ascii()).to_ascii_lowercase())
    }
}

/// Fields by which a header block is known to be one, and after which a stray line was only that.
const KNOWN: [&str; 22] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "sender",
    "received",
    "return-path",
    "delivered-to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "in-reply-to",
    "references",
    "x-mailer",
    "dkim-signature",
    "content-id",
    "auto-submitted",
];

/// The line that starts at `at`: where its content ends, and where the next line starts.
pub(super) fn line(raw: &[u8], at: usize) -> (usize, usize) {
    let (mut end, next) = match raw[at..].iter().position(|byte| *byte == b'\n') {
        Some(length) => (at + length, at + length + 1),
        None => (raw.len(), raw.len()),
    };
    while end > at && raw[end - 1] == b'\r' {
        end -= 1;
    }
    (end, next)
}

/// The name of the field that a line starts, where it starts one.
pub(super) fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().take(MAX_NAME).position(|byte| *byte == b':')?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

/// The longest name of a field, in bytes.
const MAX_NAME: usize = 128;

pub(super) fn is_known(name: &[u8]) -> bool {
    KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Skips what stands before the headers of a mail: a byte order mark, empty lines, the line of an mbox.
pub(super) fn skip_preface(raw: &[u8], notes: &mut Notes) -> usize {
    let mut at = 0;
    if raw.starts_with(b"\xef\xbb\xbf") {
        notes.mended("a byte order mark stood before the headers");
        at = 3;
    }
    while at < raw.len() {
        let (end, next) = line(raw, at);
        let content = &raw[at..end];
        let from_line = content.strip_prefix(b">").unwrap_or(content).starts_with(b"From ");
        if content.trim_ascii().is_empty() {
            notes.mended("empty lines stood before the headers");
        } else if from_line && field_name(content).is_none_or(|name| !name.eq_ignore_ascii_case(b"from")) {
            notes.mended("the line of an mbox stood before the headers");
        } else {
            break;
        }
        at = next;
    }
    at
}

/// Reads the header block that starts at `at`: its fields, and where the body starts. `stop` tells a line at which the
/// block ends though no empty line was met.
pub(super) fn read<'a>(
    raw: &'a [u8],
    mut at: usize,
    bounds: &Bounds,
    notes: &mut Notes,
    stop: impl Fn(&[u8]) -> bool,
) -> (Fields<'a>, usize) {
    let mut fields: Vec<Field<'a>> = Vec::new();
    // Where a line stood that is no field, and how many fields came before it: the body, unless known fields follow.
    let mut stray: Option<(usize, usize)> = None;
    // Where the value of the field that may be continued starts.
    let mut open: Option<usize> = None;
    while at < raw.len() {
        let (end, next) = line(raw, at);
        let content = &raw[at..end];
        if content.is_empty() || stop(content) {
            let body = if content.is_empty() { next } else { at };
            return finish(fields, stray, body, notes);
        }
        if content.trim_ascii().is_empty() {
            let (next_end, _) = line(raw, next);
            if field_name(&raw[next..next_end]).is_none_or(|name| !is_known(name)) {
                return finish(fields, stray, next, notes);
            }
        } else if matches!(content[0], b' ' | b'\t') && !fields.is_empty() && stray.is_none() {
            if let (Some(start), Some(field)) = (open, fields.last_mut()) {
                field.value = within(&raw[start..end], bounds, notes);
            }
        } else if let Some(name) = field_name(content.trim_ascii_start()) {
            if matches!(content[0], b' ' | b'\t') {
                notes.mended("the first header line started with a space");
            }
            if is_known(name) && stray.take().is_some() {
                notes.mended("a line between the headers was no header and was passed over");
            }
            open = None;
            if fields.len() < bounds.headers {
                let start = at + content.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
                fields.push(Field { name, value: within(&raw[start..end], bounds, notes) });
                open = Some(start);
            } else {
                notes.bounded(format!("only the first {} header fields were read", bounds.headers));
            }
        } else {
            stray = stray.or(Some((at, fields.len())));
            open = None;
        }
        at = next;
    }
    finish(fields, stray, raw.len(), notes)
}

fn finish<'a>(
    mut fields: Vec<Field<'a>>,
    stray: Option<(usize, usize)>,
    body: usize,
    notes: &mut Notes,
) -> (Fields<'a>, usize) {
    let Some((at, before)) = stray else { return (Fields(fields), body) };
    notes.mended("no empty line parts the headers from the body");
    fields.truncate(before);
    (Fields(fields), at)
}

/// As much of a value as is read.
fn within<'a>(value: &'a [u8], bounds: &Bounds, notes: &mut Notes) -> &'a [u8] {
    if value.len() <= bounds.header_bytes {
        return value;
    }
    notes.bounded(format!("only the first {} bytes of a header field were read", bounds.header_bytes));
    &value[..bounds.header_bytes]
}
