//! Reads a form as browsers send it (`multipart/form-data`). What goes beyond a bound is read past and told, so that what was
//! typed beside it is not lost.

use axum::extract::{Multipart, multipart::Field};
use bytes::{Bytes, BytesMut};
use connectors::public_form::{self, Problem, Submission, Terms, Upload};

/// Parts of a form that are looked at.
const MAX_PARTS: usize = 64;
/// Bytes of one typed field that are kept; the longest may have 5000 characters.
const MAX_TEXT: usize = 64 * 1024;

/// A form that was sent.
#[derive(Default)]
pub(super) struct Sent {
    /// What was typed.
    pub(super) submission: Submission,
    /// The form's hidden field.
    pub(super) ticket: String,
    /// The language of the page.
    pub(super) language: Option<String>,
    /// The language that the page is wanted in instead: nothing is sent then.
    pub(super) switch: Option<String>,
    /// Whether what nobody sees was filled in.
    pub(super) trapped: bool,
    /// What is wrong with files that were read past.
    pub(super) refused: Vec<Problem>,
}

/// The form did not arrive whole.
pub(super) struct BrokenOff;

/// Reads a form.
pub(super) async fn read(form: &mut Multipart, terms: &Terms) -> Result<Sent, BrokenOff> {
    let mut sent = Sent::default();
    let mut files = 0;
    let mut total: u64 = 0;
    for _ in 0..MAX_PARTS {
        let Some(mut part) = form.next_field().await.map_err(|_| BrokenOff)? else { return Ok(sent) };
        let name = part.name().unwrap_or_default().to_owned();
        if name != public_form::Field::Files.as_str() {
            let text = text(&mut part).await?;
            sent.put(&name, text);
            continue;
        }
        let file = part.file_name().unwrap_or_default().to_owned();
        let room = usize::try_from(terms.file_bytes.min(terms.total_bytes.saturating_sub(total))).unwrap_or(usize::MAX);
        let (data, size) = bytes(&mut part, room).await?;
        if file.is_empty() && size == 0 {
            // What browsers send where no file was chosen.
            continue;
        }
        files += 1;
        total = total.saturating_add(size);
        if files > terms.files {
            sent.refuse(Problem::TooMany(terms.files));
        } else if size > terms.file_bytes {
            sent.refuse(Problem::TooLarge(files, terms.file_bytes));
        } else if total > terms.total_bytes {
            sent.refuse(Problem::TooLargeTogether(terms.total_bytes));
        } else {
            sent.submission.files.push(Upload { name: file, data });
        }
    }
    Err(BrokenOff)
}

impl Sent {
    fn refuse(&mut self, problem: Problem) {
        if !self.refused.contains(&problem) {
            self.refused.push(problem);
        }
    }

    fn put(&mut self, name: &str, text: String) {
        let submission = &mut self.submission;
        let place = match name {
            "title" => &mut submission.title,
            "course" => &mut submission.course,
            "time" => &mut submission.time,
            "place" => &mut submission.place,
            "parties" => &mut submission.parties,
            "request" => &mut submission.request,
            "name" => &mut submission.name,
            "phone" => &mut submission.phone,
            "email" => &mut submission.email,
            "ticket" => &mut self.ticket,
            "lang" => return self.language = Some(text),
            "switch" => return self.switch = Some(text),
            "kind" => return submission.kind = Some(text).filter(|kind| !kind.is_empty()),
            "wants_answer" => return submission.wants_answer = said(&text),
            "public" => return submission.public = said(&text),
            "website" => return self.trapped = !text.is_empty(),
            _ => return,
        };
        *place = text;
    }
}

fn said(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

async fn text(part: &mut Field<'_>) -> Result<String, BrokenOff> {
    let (data, _) = bytes(part, MAX_TEXT).await?;
    // The page is UTF-8, so browsers send UTF-8; and a text that was cut may end within a character.
    Ok(String::from_utf8_lossy(&data).into_owned())
}

/// The first bytes of a part, and how many there were.
async fn bytes(part: &mut Field<'_>, most: usize) -> Result<(Bytes, u64), BrokenOff> {
    let mut kept = BytesMut::new();
    let mut size: u64 = 0;
    while let Some(chunk) = part.chunk().await.map_err(|_| BrokenOff)? {
        size = size.saturating_add(chunk.len() as u64);
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok((kept.freeze(), size))
}
