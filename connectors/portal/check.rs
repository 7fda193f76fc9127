//! What may be in a submission. Nobody is turned away for how they write: only what is missing, too long or of no use to
//! whoever must answer is told, all of it at once.

use crate::public_form::{
    Field, MAX_CIRCUMSTANCE, MAX_COURSE, MAX_EMAIL, MAX_FILE_NAME, MAX_ID, MAX_NAME, MAX_PHONE, MAX_REQUEST, MAX_TITLE,
    Problem, Submission, Terms, Upload, Wrong,
};

use super::sniff::{self, Sniffed};

/// Digits that a telephone number has at least: a local number without its area code.
const LEAST_DIGITS: usize = 7;

/// The kinds of Article 15 by the names that forms use, and the words that screening knows them by.
const KINDS: [(&str, &str); 4] =
    [("consult", "政务咨询"), ("suggest", "意见建议"), ("help", "社会求助"), ("complain", "投诉举报")];

/// The words for a kind.
pub(super) fn label(kind: &str) -> Option<&'static str> {
    KINDS.iter().find_map(|(name, words)| (*name == kind).then_some(*words))
}

/// The submission without what typing and browsers add: blanks around, line breaks of two characters, characters that
/// nobody sees.
pub(super) fn tidy(submission: &Submission) -> Submission {
    let text = |text: &str| {
        let seen = text.replace("\r\n", "\n").replace('\r', "\n");
        let seen: String = seen.chars().filter(|one| !one.is_control() || matches!(one, '\n' | '\t')).collect();
        seen.trim().to_owned()
    };
    let maybe = |value: &Option<String>| value.as_deref().map(text).filter(|value| !value.is_empty());
    Submission {
        id: text(&submission.id),
        submitted_at: maybe(&submission.submitted_at),
        kind: maybe(&submission.kind),
        title: text(&submission.title).replace('\n', " "),
        time: text(&submission.time),
        place: text(&submission.place),
        parties: text(&submission.parties),
        course: text(&submission.course),
        request: text(&submission.request),
        name: text(&submission.name),
        phone: text(&submission.phone),
        email: text(&submission.email),
        wants_answer: submission.wants_answer,
        public: submission.public,
        ip: maybe(&submission.ip),
        files: submission.files.iter().map(tidy_file).collect(),
    }
}

/// A file under its bare name: no folders, nothing that hides or turns around what is read.
fn tidy_file(file: &Upload) -> Upload {
    let name = file.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let seen = |one: &char| {
        !one.is_control() && !matches!(one, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String = name.chars().filter(seen).collect();
    let name = name.trim();
    let excess = name.chars().count().saturating_sub(MAX_FILE_NAME);
    // The end says what kind of file it is.
    Upload { name: name.chars().skip(excess).collect(), data: file.data.clone() }
}

/// Everything that is wrong with a tidy submission, in the order of the form.
pub(super) fn check(submission: &Submission, terms: &Terms) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let well_formed = submission.id.bytes().all(|byte| byte.is_ascii_graphic());
    match submission.id.chars().count() {
        0 => wrong.push((Field::Id, Problem::Missing)),
        length if length > MAX_ID => wrong.push((Field::Id, Problem::TooLong(MAX_ID))),
        _ if !well_formed => wrong.push((Field::Id, Problem::BadForm)),
        _ => {}
    }
    if submission.submitted_at.as_deref().is_some_and(|text| text.parse::<jiff::Timestamp>().is_err()) {
        wrong.push((Field::SubmittedAt, Problem::BadForm));
    }
    if submission.kind.as_deref().is_some_and(|kind| label(kind).is_none()) {
        wrong.push((Field::Kind, Problem::BadForm));
    }
    for (field, text, most, needed) in [
        (Field::Title, &submission.title, MAX_TITLE, true),
        (Field::Course, &submission.course, MAX_COURSE, true),
        (Field::Time, &submission.time, MAX_CIRCUMSTANCE, false),
        (Field::Place, &submission.place, MAX_CIRCUMSTANCE, false),
        (Field::Parties, &submission.parties, MAX_CIRCUMSTANCE, false),
        (Field::Request, &submission.request, MAX_REQUEST, false),
        (Field::Name, &submission.name, MAX_NAME, false),
    ] {
        if needed && text.is_empty() {
            wrong.push((field, Problem::Missing));
        } else if text.chars().count() > most {
            wrong.push((field, Problem::TooLong(most)));
        }
    }
    contact(submission, &mut wrong);
    if submission.ip.as_deref().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_err()) {
        wrong.push((Field::Ip, Problem::BadForm));
    }
    files(submission, terms, &mut wrong);
    wrong
}

fn contact(submission: &Submission, wrong: &mut Vec<Wrong>) {
    let Submission { phone, email, .. } = submission;
    if phone.is_empty() && email.is_empty() && submission.wants_answer == Some(true) {
        wrong.push((Field::Phone, Problem::NoWayBack));
    }
    let digits = phone.chars().filter(|one| one.is_numeric()).count();
    if phone.chars().count() > MAX_PHONE {
        wrong.push((Field::Phone, Problem::TooLong(MAX_PHONE)));
    } else if !phone.is_empty() && digits < LEAST_DIGITS {
        wrong.push((Field::Phone, Problem::BadForm));
    }
    let addressed = email.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.split('.').filter(|part| !part.is_empty()).count() >= 2 && !host.contains('@')
    });
    if email.chars().count() > MAX_EMAIL {
        wrong.push((Field::Email, Problem::TooLong(MAX_EMAIL)));
    } else if !email.is_empty() && (!addressed || email.chars().any(char::is_whitespace)) {
        wrong.push((Field::Email, Problem::BadForm));
    }
}

fn files(submission: &Submission, terms: &Terms, wrong: &mut Vec<Wrong>) {
    let mut found = Vec::new();
    if submission.files.len() > terms.files {
        found.push(Problem::TooMany(terms.files));
    }
    let total: u64 = submission.files.iter().map(|file| file.data.len() as u64).sum();
    if total > terms.total_bytes {
        found.push(Problem::TooLargeTogether(terms.total_bytes));
    }
    for (file, number) in submission.files.iter().zip(1..) {
        if file.data.is_empty() {
            found.push(Problem::Empty(number));
        } else if file.data.len() as u64 > terms.file_bytes {
            found.push(Problem::TooLarge(number, terms.file_bytes));
        } else {
            match sniff::sniff(&file.name, &file.data) {
                Sniffed::Taken(_) => {}
                Sniffed::Archive => found.push(Problem::Archive(number)),
                Sniffed::Unknown => found.push(Problem::Unknown(number)),
            }
        }
    }
    wrong.extend(found.into_iter().map(|problem| (Field::Files, problem)));
}
