//! What lies inside other parts: the files of a winmail.dat and those of an enclosed mail.
//!
//! They are counted on behind the parts of the mail itself, always in the same order, so that a number names the same bytes
//! whenever the entry is read.

use super::{Bounds, MAX_ENCLOSED, Notes, body, parts, parts::Part, tnef};

/// A file out of a part that holds files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    /// Its name as told.
    pub(super) name: Option<String>,
    /// Its media type as told.
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

/// Whether a part says that it is a winmail.dat.
pub(super) fn says_tnef(part: &Part<'_>) -> bool {
    matches!(part.media_type(), "application/ms-tnef" | "application/vnd.ms-tnef")
        || part.media.plain("name").is_some_and(|name| name.eq_ignore_ascii_case("winmail.dat"))
}

/// The files inside the parts of a mail, at most as many as attachments are listed.
pub(super) fn files(parts: &[Part<'_>], bounds: &Bounds, notes: &mut Notes) -> Vec<Packed> {
    let mut files = Vec::new();
    collect(parts, 0, bounds, notes, &mut files);
    files
}

/// The text of the first winmail.dat that holds one.
pub(super) fn text(parts: &[Part<'_>], bounds: &Bounds, notes: &mut Notes) -> String {
    let opened = parts.iter().filter(|part| !part.split && says_tnef(part)).filter_map(|part| {
        let bytes = body::decoded(part, notes);
        tnef::open(&bytes, bounds, notes)
    });
    opened.map(|opened| opened.text).find(|text| !text.is_empty()).unwrap_or_default()
}

fn collect(parts: &[Part<'_>], depth: usize, bounds: &Bounds, notes: &mut Notes, files: &mut Vec<Packed>) {
    for part in parts.iter().filter(|part| !part.split) {
        if files.len() >= bounds.attachments {
            notes.bounded(format!("only the first {} attachments were listed", bounds.attachments));
            return;
        }
        if says_tnef(part) {
            let bytes = body::decoded(part, notes);
            if let Some(opened) = tnef::open(&bytes, bounds, notes) {
                files.extend(opened.files);
            }
        } else if part.media_type() == "message/rfc822" && depth < MAX_ENCLOSED {
            let raw = body::decoded(part, notes);
            let inner = parts::split(&raw, bounds, notes);
            let hint = super::body_charset(&inner);
            files.extend(body::files(&inner, hint.as_deref(), bounds, notes));
            collect(&inner, depth + 1, bounds, notes, files);
        }
    }
    files.truncate(bounds.attachments);
}
