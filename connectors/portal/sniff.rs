//! What a file is, by its bytes and not by its name: pictures, documents, recordings and plain text are taken. What is taken
//! is never opened here; archives are not taken, since nobody looks into them and they hide what they hold.

use infer::MatcherType;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// A file that may come along, with its media type.
    Taken(&'static str),
    /// An archive.
    Archive,
    /// Anything else.
    Unknown,
}

/// Media types that are taken; of the rest not even a picture is one (SVG is a program).
const TAKEN: [&str; 20] = [
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/heif",
    "application/pdf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "audio/mpeg",
    "audio/m4a",
    "audio/x-wav",
    "audio/amr",
    "audio/aac",
    "audio/ogg",
    "video/mp4",
    "video/quicktime",
    "video/webm",
];

/// Looks at a file.
pub(super) fn sniff(name: &str, bytes: &[u8]) -> Sniffed {
    match infer::get(bytes) {
        Some(kind) => match TAKEN.into_iter().find(|taken| *taken == kind.mime_type()) {
            Some(taken) => Sniffed::Taken(taken),
            None if kind.matcher_type() == MatcherType::Archive => Sniffed::Archive,
            None => Sniffed::Unknown,
        },
        None if is_text(name, bytes) => Sniffed::Taken("text/plain"),
        None => Sniffed::Unknown,
    }
}

/// The media type of a file that is taken.
pub(super) fn media_type(name: &str, bytes: &[u8]) -> Option<&'static str> {
    match sniff(name, bytes) {
        Sniffed::Taken(media_type) => Some(media_type),
        Sniffed::Archive | Sniffed::Unknown => None,
    }
}

/// Plain text by its name and its bytes: no control characters but white space, in UTF-8 or the GB family.
fn is_text(name: &str, bytes: &[u8]) -> bool {
    let named = name.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("txt"));
    let plain = bytes.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\r' | b'\n'));
    named
        && plain
        && (std::str::from_utf8(bytes).is_ok()
            || encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes).is_some())
}
