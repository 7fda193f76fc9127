//! A mail as a complaint.

use jiff::{SignedDuration, Timestamp};

use super::{Bounds, Mail, passed_on, quote, read};
use crate::{
    complaint::{Complaint, Machine, Petitioner, Thread},
    contract::Unreadable,
    entry::Remark,
};

/// What is ours, so that our own mail coming back is known, and so is what our colleagues pass on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Addresses that we send from or receive at.
    pub addresses: Vec<String>,
    /// The domain at which we mint message ids.
    pub message_id_domain: Option<String>,
    /// Addresses of colleagues and offices that pass on citizens' mail: in what they pass on, the writer of the inner mail is
    /// the petitioner.
    pub forwarders: Vec<String>,
}

impl OwnAddresses {
    pub(super) fn holds(&self, email: &str) -> bool {
        self.addresses.iter().any(|own| own.trim().eq_ignore_ascii_case(email))
    }

    pub(super) fn passes_on(&self, email: &str) -> bool {
        self.forwarders.iter().any(|own| own.trim().eq_ignore_ascii_case(email))
    }

    fn minted(&self, id: &str) -> bool {
        let domain = id.rsplit_once('@').map(|(_, domain)| domain);
        self.message_id_domain
            .as_deref()
            .is_some_and(|own| !own.is_empty() && domain.is_some_and(|domain| domain.eq_ignore_ascii_case(own)))
    }
}

/// How far a mail's clock may run ahead of ours before it counts as wrong.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Turns a mail received at `received_at` into a complaint. Pure.
///
/// The body is cut where a reply starts to quote, as long as words of its own remain. Of what a colleague passes on, the
/// writer of the inner mail is the petitioner. Telephone numbers in the text are left where they are. A mail without text, subject and attachments is a complaint with an empty body and a remark.
///
/// # Errors
/// As [`read`].
pub fn normalise(
    raw: &[u8],
    own: &OwnAddresses,
    bounds: &Bounds,
    received_at: Timestamp,
) -> Result<Complaint, Unreadable> {
    let (mail, notes) = passed_on::unwrap(read(raw, bounds)?, own, bounds);
    let is_reply = is_reply(&mail);
    let machine = machine(&mail, own);
    let mut remarks = mail.remarks;
    let latest = received_at.checked_add(MAX_AHEAD).unwrap_or(Timestamp::MAX);
    if mail.date.is_some_and(|date| date.at > latest) {
        remarks.push(Remark::Clock { what: "the mail's date lies in the future".to_owned() });
    }
    if mail.text.is_empty() && mail.subject.is_none() && mail.attachments.is_empty() {
        remarks.push(Remark::Mended { what: "the mail holds no text, no subject and no attachment".to_owned() });
    }

    // An answer goes to Reply-To (RFC 5322, 3.6.2), but never to ourselves.
    let mut emails: Vec<String> = Vec::new();
    let reply_to = mail.reply_to.filter(|address| !own.holds(&address.email));
    let mut name = mail.from_name;
    if let Some(from) = &mail.from {
        name = name.or_else(|| from.name.clone());
    }
    for address in [reply_to, mail.from].into_iter().flatten() {
        if !emails.contains(&address.email) {
            emails.push(address.email);
        }
    }

    let mut answers: Vec<String> = Vec::new();
    for id in mail.in_reply_to.into_iter().chain(mail.references.into_iter().rev()) {
        if answers.len() < bounds.references && !answers.contains(&id) {
            answers.push(id);
        }
    }
    let mut recipients: Vec<String> = Vec::new();
    for email in mail.to.into_iter().chain(mail.cc).map(|address| address.email).chain(mail.delivered_to) {
        if recipients.len() < bounds.addresses && !recipients.iter().any(|known| known.eq_ignore_ascii_case(&email)) {
            recipients.push(email);
        }
    }

    let forwards = mail.subject.as_deref().is_some_and(forwards_something);
    // What a citizen forwards is the matter itself; only what a reply quotes is known already.
    let own_text = if is_reply && !forwards { quote::own_text(&mail.text) } else { None };
    let mut body = own_text.unwrap_or_else(|| mail.text.clone());
    if machine.is_none() {
        for inner in mail.enclosed.iter().filter(|inner| !inner.text.is_empty() && inner.text != mail.text) {
            append(&mut body, "转发的邮件", &told(inner));
        }
    }
    for note in &notes {
        append(&mut body, "转交说明", note);
    }
    if let Some((end, _)) = body.char_indices().nth(bounds.text_chars) {
        body.truncate(end);
    }
    Ok(Complaint {
        petitioner: Petitioner { name, emails, ..Petitioner::default() },
        made_at: mail.date,
        subject: mail.subject,
        body,
        attachments: mail.attachments,
        thread: Thread { message_id: mail.message_id, answers, recipients, machine, undelivered: mail.undelivered },
        remarks,
        ..Complaint::default()
    })
}

/// Whether a mail answers another one.
pub(super) fn is_reply(mail: &Mail) -> bool {
    !mail.in_reply_to.is_empty()
        || !mail.references.is_empty()
        || mail.subject.as_deref().is_some_and(answers_something)
}

/// An enclosed mail as its reader sees it.
pub(super) fn told(mail: &Mail) -> String {
    let subject = mail.subject.as_ref().map(|subject| format!("主题：{subject}\n\n")).unwrap_or_default();
    format!("{subject}{}", mail.text)
}

fn append(body: &mut String, heading: &str, text: &str) {
    if !body.is_empty() {
        body.push_str("\n\n");
    }
    body.push_str("---------- ");
    body.push_str(heading);
    body.push_str(" ----------\n");
    body.push_str(text);
}

fn machine(mail: &Mail, own: &OwnAddresses) -> Option<(Machine, String)> {
    // A bounce of our mail may come from our own domain and says more.
    if let Some((Machine::Bounce, _)) = &mail.machine {
        return mail.machine.clone();
    }
    if mail.from.as_ref().is_some_and(|from| own.holds(&from.email)) {
        return Some((Machine::Own, "From: one of our own addresses".to_owned()));
    }
    if mail.message_id.as_deref().is_some_and(|id| own.minted(id)) {
        return Some((Machine::Own, "Message-ID: of our own domain".to_owned()));
    }
    mail.machine.clone()
}

fn answers_something(subject: &str) -> bool {
    starts_with_one_of(subject, &["re:", "re：", "回复", "答复", "回覆", "答覆"])
}

pub(super) fn forwards_something(subject: &str) -> bool {
    starts_with_one_of(subject, &["fw:", "fwd:", "fw：", "转发", "轉寄", "轉發"])
}

fn starts_with_one_of(subject: &str, marks: &[&str]) -> bool {
    let subject = subject.trim_start().to_lowercase();
    marks.iter().any(|mark| subject.starts_with(mark))
}
