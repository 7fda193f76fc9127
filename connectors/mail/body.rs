//! Which parts of a mail are what the citizen wrote, and which came with it.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::{
    Bounds, Notes, charset,
    packed::{self, Packed},
    parameters::Parameters,
    parts::Part,
    tnef, transfer,
};
use crate::{complaint::Attachment, entry::Remark, html, sniff};

/// One piece of the text; HTML is turned into text only where no plain text stands for it.
enum Piece {
    Plain(String),
    Html(usize),
}

/// The text of a mail: plain where there is plain text, else out of the HTML.
pub(super) fn text(parts: &[Part<'_>], hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> String {
    let mut pieces: Vec<Vec<Piece>> = parts.iter().map(|_| Vec::new()).collect();
    // A part always stands behind the one that holds it, so going backwards meets the inner parts first.
    for (index, part) in parts.iter().enumerate().rev() {
        let mut own = std::mem::take(&mut pieces[index]);
        if part.split {
            // They were collected backwards.
            own.reverse();
            if part.media_type() == "multipart/alternative" {
                own = alternative(own);
            }
        } else if is_text(part, hint, bounds, notes) {
            own.push(match part.media_type() {
                "text/html" | "application/xhtml+xml" => Piece::Html(index),
                _ => Piece::Plain(plain(part, hint, notes)),
            });
        }
        match part.parent {
            Some(parent) => {
                own.reverse();
                pieces[parent].extend(own);
            }
            None => pieces[index] = own,
        }
    }
    let mut out = String::new();
    for piece in pieces.into_iter().next().unwrap_or_default() {
        let text = match piece {
            Piece::Plain(text) => text,
            Piece::Html(index) => from_html(&parts[index], hint, bounds, notes),
        };
        if !out.is_empty() && !text.is_empty() {
            out.push_str("\n\n");
        }
        out.push_str(&text);
    }
    if let Some((end, _)) = out.char_indices().nth(bounds.text_chars) {
        out.truncate(end);
        notes.bounded(format!("only the first {} characters of the text were kept", bounds.text_chars));
    }
    out
}

/// Of several forms of one text: the plain one, unless it only says that there is another.
fn alternative(pieces: Vec<Piece>) -> Vec<Piece> {
    let has_html = pieces.iter().any(|piece| matches!(piece, Piece::Html(_)));
    let worth_reading = |text: &str| {
        let brief = text.chars().nth(MAX_EXCUSE).is_none();
        text.chars().any(char::is_alphanumeric) && !(has_html && brief && text.to_ascii_lowercase().contains("html"))
    };
    let is_plain = pieces.iter().any(|piece| matches!(piece, Piece::Plain(text) if worth_reading(text)));
    pieces
        .into_iter()
        .filter(|piece| match piece {
            Piece::Plain(text) => is_plain && worth_reading(text),
            Piece::Html(_) => !is_plain,
        })
        .collect()
}

/// The longest plain text that may be only the excuse of a mailer ("your program cannot show HTML"), in characters.
const MAX_EXCUSE: usize = 120;

fn is_text(part: &Part<'_>, hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> bool {
    let disposition = disposition(part, notes);
    if disposition.value == "attachment" {
        return false;
    }
    let media = part.media_type();
    // A multipart whose boundary was never found is all the text there is.
    let readable =
        matches!(media, "text/plain" | "text/html" | "application/xhtml+xml" | "text/enriched" | "text/richtext")
            || (part.parent.is_none() && media.starts_with("multipart/"));
    readable && (part.parent.is_none() || file_name(part, &disposition, hint, bounds, notes).is_none())
}

fn plain(part: &Part<'_>, hint: Option<&str>, notes: &mut Notes) -> String {
    let bytes = decoded(part, notes);
    let text = characters(part, &bytes, hint, notes);
    let flowed = part.media.plain("format").is_some_and(|format| format.eq_ignore_ascii_case("flowed"));
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = if flowed { unflow(&text, part.media.plain("delsp")) } else { text };
    let kept: String =
        text.chars().filter(|character| !character.is_control() || matches!(character, '\n' | '\t')).collect();
    kept.trim().to_owned()
}

/// Joins the lines of flowed text (RFC 3676).
fn unflow(text: &str, delete_space: Option<&str>) -> String {
    let delete_space = delete_space.is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.strip_prefix(' ').unwrap_or(line);
        let flows = line.ends_with(' ') && line != "-- " && !line.starts_with('>');
        out.push_str(if flows && delete_space { &line[..line.len() - 1] } else { line });
        if !flows {
            out.push('\n');
        }
    }
    out
}

fn from_html(part: &Part<'_>, hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> String {
    let bytes = decoded(part, notes);
    let told = meta_charset(&bytes);
    let markup = characters(part, &bytes, told.as_deref().or(hint), notes);
    let text = html::to_text_with_quotes(&markup, &bounds.html);
    notes.extend(text.remarks);
    text.text
}

/// The character set that an HTML page tells of itself.
fn meta_charset(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(META_BYTES)]).to_ascii_lowercase();
    let (_, rest) = head.split_once("charset=")?;
    let label: String = rest
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|character| character.is_ascii_alphanumeric() || "-_".contains(*character))
        .collect();
    (!label.is_empty()).then_some(label)
}

/// How far into a page its character set is looked for, in bytes (HTML standard, 13.2.3.2).
const META_BYTES: usize = 1024;

fn characters(part: &Part<'_>, bytes: &[u8], hint: Option<&str>, notes: &mut Notes) -> String {
    let label = part.media.plain("charset");
    let decoded = charset::decode(bytes, label, hint);
    if let Some(what) = decoded.mended {
        notes.mended(format!("the text: {what}"));
    }
    decoded.text
}

/// The bytes of a part, out of its transfer encoding.
pub(super) fn decoded<'a>(part: &Part<'a>, notes: &mut Notes) -> Cow<'a, [u8]> {
    let encoding = part.fields.lower("content-transfer-encoding").unwrap_or_default();
    let encoding = encoding.split(['(', ';']).next().unwrap_or_default().trim().trim_matches('"');
    let out = match encoding {
        "base64" | "base-64" | "b" => {
            if !is_mostly_base64(part.body) {
                notes.mended("a part said base64 and was not");
                return Cow::Borrowed(part.body);
            }
            transfer::base64(part.body)
        }
        "quoted-printable" | "quotedprintable" | "q" => transfer::quoted_printable(part.body),
        _ => return Cow::Borrowed(part.body),
    };
    if out.mended {
        notes.mended(format!("broken {encoding} was read as far as it goes"));
    }
    Cow::Owned(out.bytes)
}

fn is_mostly_base64(body: &[u8]) -> bool {
    let foreign = body
        .iter()
        .filter(|byte| !byte.is_ascii_alphanumeric() && !byte.is_ascii_whitespace() && !b"+/=-_".contains(byte))
        .count();
    foreign * 4 <= body.len()
}

fn disposition(part: &Part<'_>, notes: &mut Notes) -> Parameters {
    let hint = part.media.plain("charset");
    part.fields.first("content-disposition").map(|raw| Parameters::read(raw, hint, notes)).unwrap_or_default()
}

fn file_name(
    part: &Part<'_>,
    disposition: &Parameters,
    hint: Option<&str>,
    bounds: &Bounds,
    notes: &mut Notes,
) -> Option<String> {
    let told =
        disposition.text("filename", hint, bounds, notes).or_else(|| part.media.text("name", hint, bounds, notes))?;
    safe_name(&told)
}

/// The longest file name that is kept, in characters.
const MAX_FILE_NAME: usize = 200;

/// A file name without its path, and without characters that steer a terminal, a browser or the eye.
fn safe_name(told: &str) -> Option<String> {
    let base = told.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = base
        .chars()
        .filter(|character| !character.is_control() && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '<' | '>' | '"' | ':' | '|' | '?' | '*'))
        .take(MAX_FILE_NAME)
        .collect();
    let name = name.trim().trim_start_matches('.').trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// What came with the mail: every part that is not its text, and what lies inside of them.
pub(super) fn attachments(
    parts: &[Part<'_>],
    hint: Option<&str>,
    bounds: &Bounds,
    notes: &mut Notes,
) -> Vec<Attachment> {
    let mut attachments = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if part.split || is_text(part, hint, bounds, notes) {
            continue;
        }
        let bytes = decoded(part, notes);
        // What could be opened is shown by what it holds.
        if packed::says_tnef(part) && tnef::is_tnef(&bytes) {
            continue;
        }
        let disposition = disposition(part, notes);
        let name = file_name(part, &disposition, hint, bounds, notes);
        attachments.push(attachment(name, part.media_type(), &bytes, index));
        if attachments.len() > bounds.attachments {
            break;
        }
    }
    for (index, file) in packed::files(parts, bounds, notes).into_iter().enumerate() {
        let name = file.name.as_deref().and_then(safe_name);
        attachments.push(attachment(name, &file.media_type, &file.bytes, parts.len() + index));
    }
    if attachments.len() > bounds.attachments {
        notes.bounded(format!("only the first {} attachments were listed", bounds.attachments));
        attachments.truncate(bounds.attachments);
    }
    for attachment in &attachments {
        if let Some(what) = sniff::mismatch(attachment) {
            notes.add(Remark::Doubtful { what });
        }
    }
    attachments
}

fn attachment(name: Option<String>, told: &str, bytes: &[u8], index: usize) -> Attachment {
    Attachment {
        name,
        media_type: told.chars().take(MAX_MEDIA_TYPE).filter(char::is_ascii_graphic).collect(),
        sniffed: sniff::media_type(bytes).map(str::to_owned),
        size: bytes.len() as u64,
        digest: sha256_hex(bytes),
        part: u32::try_from(index).unwrap_or(u32::MAX),
    }
}

/// The files among the parts of an enclosed mail; what holds files itself is left to its opener.
pub(super) fn files(parts: &[Part<'_>], hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> Vec<Packed> {
    let mut files = Vec::new();
    for part in parts {
        if part.split || packed::says_tnef(part) || is_text(part, hint, bounds, notes) {
            continue;
        }
        if files.len() > bounds.attachments {
            break;
        }
        let disposition = disposition(part, notes);
        files.push(Packed {
            name: file_name(part, &disposition, hint, bounds, notes),
            media_type: part.media_type().to_owned(),
            bytes: decoded(part, notes).into_owned(),
        });
    }
    files
}

/// The longest media type that is kept (RFC 6838, 4.2: twice 127 characters and the slash).
const MAX_MEDIA_TYPE: usize = 255;

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        text
    })
}
