//! The parts of a mail (RFC 2046), found in one pass over its lines.
//!
//! The pass keeps a stack of open boundaries instead of recursing, so that nesting costs neither stack nor time, and a
//! part whose end boundary is missing (a mail cut off at the size limit) is simply the rest.

use super::{
    Bounds, Notes,
    headers::{self, Fields},
    parameters::Parameters,
};

/// One part; the first is the mail itself.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Which part holds it; always one that stands before it.
    pub(super) parent: Option<usize>,
    pub(super) fields: Fields<'a>,
    /// Content-Type, with its default filled in.
    pub(super) media: Parameters,
    /// The body, still encoded; of a multipart, everything in it.
    pub(super) body: &'a [u8],
    /// Whether it was split into parts.
    pub(super) split: bool,
}

impl Part<'_> {
    /// Media type in lower case, without parameters.
    pub(super) fn media_type(&self) -> &str {
        &self.media.value
    }

    fn is_multipart(&self) -> bool {
        self.media.value.starts_with("multipart/")
    }
}

/// A multipart whose boundary is being looked for.
struct Open {
    part: usize,
    boundary: Vec<u8>,
    closed: bool,
}

/// Splits a mail into its parts.
pub(super) fn split<'a>(raw: &'a [u8], bounds: &Bounds, notes: &mut Notes) -> Vec<Part<'a>> {
    let start = headers::skip_preface(raw, notes);
    let (fields, body) = headers::read(raw, start, bounds, notes, |_| false);
    let mut parts = vec![part(None, fields, &raw[body..], false, notes)];
    let Some(boundary) = root_boundary(&parts[0], notes) else { return parts };
    parts[0].split = true;
    let mut stack = vec![Open { part: 0, boundary, closed: false }];
    // The leaf whose body is being passed over, and where that body starts.
    let mut leaf: Option<(usize, usize)> = None;
    let mut at = body;
    while at < raw.len() {
        let (end, next) = headers::line(raw, at);
        let Some((level, closes)) = boundary_of(&raw[at..end], &stack) else {
            at = next;
            continue;
        };
        if let Some((index, from)) = leaf.take() {
            parts[index].body = &raw[from..before_break(raw, from, at)];
        }
        stack.truncate(level + 1);
        stack[level].closed = closes;
        at = next;
        if closes {
            continue;
        }
        if parts.len() >= bounds.parts {
            notes.bounded(format!("only the first {} parts were read", bounds.parts));
            break;
        }
        let digest = parts[stack[level].part].media_type() == "multipart/digest";
        let (fields, body) = part_fields(raw, at, &stack, bounds, notes);
        let mut new = part(Some(stack[level].part), fields, &raw[body..body], digest, notes);
        let index = parts.len();
        at = body;
        match new.media.plain("boundary").filter(|_| new.is_multipart()) {
            Some(_) if stack.len() >= bounds.depth => {
                notes.bounded(format!("parts nested deeper than {} were not opened", bounds.depth));
                leaf = Some((index, body));
            }
            Some(boundary) => {
                let boundary = boundary.trim_end().as_bytes().to_vec();
                new.split = true;
                stack.push(Open { part: index, boundary, closed: false });
            }
            None => leaf = Some((index, body)),
        }
        parts.push(new);
    }
    if let Some((index, from)) = leaf
        && parts[index].body.is_empty()
    {
        parts[index].body = &raw[from..];
    }
    if !stack.first().is_some_and(|open| open.closed) {
        notes.mended("the last boundary is missing");
    }
    parts
}

fn part<'a>(parent: Option<usize>, fields: Fields<'a>, body: &'a [u8], digest: bool, notes: &mut Notes) -> Part<'a> {
    let mut media = fields.first("content-type").map(|raw| Parameters::read(raw, None, notes)).unwrap_or_default();
    if !media.value.contains('/') {
        let default = if digest { "message/rfc822" } else { "text/plain" };
        default.clone_into(&mut media.value);
    }
    Part { parent, fields, media, body, split: false }
}

/// The header block of a part. Where its first line is no field, the part has no headers and this is its body already.
fn part_fields<'a>(
    raw: &'a [u8],
    at: usize,
    stack: &[Open],
    bounds: &Bounds,
    notes: &mut Notes,
) -> (Fields<'a>, usize) {
    let (end, _) = headers::line(raw, at);
    let first = &raw[at..end];
    let starts = headers::field_name(first.trim_ascii_start()).is_some_and(|name| {
        headers::is_known(name)
            || [b"content-".as_slice(), b"x-", b"mime-"]
                .iter()
                .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
    });
    if !first.is_empty() && !starts {
        if boundary_of(first, stack).is_none() {
            notes.mended("a part without headers");
        }
        return (Fields::default(), at);
    }
    headers::read(raw, at, bounds, notes, |line| boundary_of(line, stack).is_some())
}

/// Which open multipart a line bounds, innermost first, and whether it closes it.
fn boundary_of(line: &[u8], stack: &[Open]) -> Option<(usize, bool)> {
    let rest = line.strip_prefix(b"--")?;
    stack.iter().enumerate().rev().find_map(|(level, open)| {
        let tail = rest.strip_prefix(open.boundary.as_slice())?.trim_ascii();
        match tail {
            b"" => Some((level, false)),
            _ if tail.starts_with(b"--") => Some((level, true)),
            _ => None,
        }
    })
}

/// The boundary of the mail itself: as told, or, where the told one never occurs, the first line that looks like one.
fn root_boundary(root: &Part<'_>, notes: &mut Notes) -> Option<Vec<u8>> {
    if !root.is_multipart() {
        return None;
    }
    let told = root.media.plain("boundary").map(|boundary| boundary.trim_end().as_bytes().to_vec());
    let mut guess: Option<&[u8]> = None;
    let mut at = 0;
    while at < root.body.len() {
        let (end, next) = headers::line(root.body, at);
        if let Some(rest) = root.body[at..end].strip_prefix(b"--") {
            if let Some(told) = &told
                && rest.starts_with(told)
            {
                return Some(told.clone());
            }
            let plausible =
                rest.len() >= MIN_GUESSED && rest.iter().all(u8::is_ascii_graphic) && !rest.starts_with(b"--");
            guess = guess.or(Some(rest).filter(|_| plausible));
        }
        at = next;
    }
    if guess.is_some() {
        notes.mended("the boundary between the parts was told wrongly or not at all");
    }
    guess.map(<[u8]>::to_vec)
}

/// The shortest line that is taken for a boundary nobody told of, in bytes.
const MIN_GUESSED: usize = 6;

/// Where a body ends that a boundary at `at` ends: the line break before the boundary belongs to the boundary.
fn before_break(raw: &[u8], from: usize, at: usize) -> usize {
    let mut end = at;
    if end > from && raw[end - 1] == b'\n' {
        end -= 1;
        if end > from && raw[end - 1] == b'\r' {
            end -= 1;
        }
    }
    end
}
