//! Mail to complaints: the lenient layer around `mailparse`.
//!
//! One bad mail must not block a mailbox, and a garbled one must not cost a citizen an answer. `mailparse` is fast and
//! sound on mail that keeps the standards; Chinese mail of thirty years does not. This layer finds headers and parts in what
//! is really sent, tells character sets that are told wrongly, and puts named bounds before every costly step, so that the
//! time is linear in the size of the mail. What was mended, and which bound was met, stands in the remarks.
//!
//! | module | holds |
//! |---|---|
//! | `headers`, `parts`, `parameters` | where fields and parts begin and end |
//! | `charset`, `words`, `transfer` | bytes to text |
//! | `address`, `date` | the fields that have a grammar |
//! | `body`, `quote` | what the citizen wrote, what came with it, what is only quoted |
//! | `passed_on`, `forward` | what a colleague passes on for somebody else |
//! | `packed`, `tnef`, `rtf` | files and text inside winmail.dat and enclosed mails |
//! | `machine` | mail that no person wrote |

mod address;
mod body;
mod charset;
mod complaint;
mod date;
mod forward;
mod headers;
mod machine;
mod packed;
mod parameters;
mod parts;
mod passed_on;
mod quote;
mod rtf;
#[cfg(test)]
mod tests;
mod tnef;
mod transfer;
mod words;

use std::{borrow::Cow, fmt};

pub use complaint::{OwnAddresses, normalise};

use crate::{
    complaint::{Attachment, Machine, Stamp},
    contract::Unreadable,
    entry::{ExternalId, Remark},
    html,
};

/// How much of a mail is read. Each bound that is met is told in a [`Remark::Bounded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one header field, folded lines included; the rest of the field is left out.
    pub header_bytes: usize,
    /// Header fields of one part; further ones are passed over.
    pub headers: usize,
    /// Encoded words decoded in one header field; the rest stays as it is.
    pub encoded_words: usize,
    /// Parts of one mail, containers included; the mail ends behind the last one.
    pub parts: usize,
    /// Multiparts open inside one another; a deeper one is an attachment.
    pub depth: usize,
    /// Characters of text kept.
    pub text_chars: usize,
    /// Attachments listed.
    pub attachments: usize,
    /// Addresses read of one header field.
    pub addresses: usize,
    /// Message ids read of one header field.
    pub references: usize,
    /// Bytes of one message id; a longer one is passed over.
    pub id_bytes: usize,
    /// Characters of the subject kept.
    pub subject_chars: usize,
    /// Bounds of the HTML parts, each.
    pub html: html::Bounds,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            headers: 500,
            encoded_words: 500,
            parts: 500,
            depth: 100,
            text_chars: 200_000,
            attachments: 100,
            addresses: 200,
            references: 50,
            id_bytes: 500,
            subject_chars: 1000,
            html: html::Bounds::default(),
        }
    }
}

/// An address with the name that came with it. Personal: its debug print says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The name, as given.
    pub name: Option<String>,
    /// The address; its domain in lower case.
    pub email: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address(sealed)")
    }
}

/// A mail, read.
#[derive(Clone, Default, PartialEq)]
pub struct Mail {
    /// Who wrote it; Reply-To or Sender where From holds no address (a remark says so).
    pub from: Option<Address>,
    /// The writer's name where the mail holds one but no address to it.
    pub from_name: Option<String>,
    /// Where an answer is wanted, where that is told.
    pub reply_to: Option<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Delivered-To, X-Original-To, Envelope-To: which of our mailboxes it reached.
    pub delivered_to: Vec<String>,
    /// When it was written, as told; a remark says where it is missing or impossible.
    pub date: Option<Stamp>,
    /// Subject.
    pub subject: Option<String>,
    /// Its own id, without angle brackets.
    pub message_id: Option<String>,
    /// Ids of the messages that it answers; of a bounce, also the message that it brings back.
    pub in_reply_to: Vec<String>,
    /// Ids of the conversation, oldest first.
    pub references: Vec<String>,
    /// The text: plain where there is plain text, else out of the HTML; quoted mail included.
    pub text: String,
    /// What came with it; [`Attachment::part`] counts all parts, the mail itself being 0, and on behind them what lies
    /// inside a winmail.dat or an enclosed mail.
    pub attachments: Vec<Attachment>,
    /// The mails that are enclosed whole, in their order.
    pub enclosed: Vec<Mail>,
    /// Set where a machine wrote it, with the evidence (never an address).
    pub machine: Option<(Machine, String)>,
    /// Of a bounce that says that the message was given up: the status that says why.
    pub undelivered: Option<String>,
    /// What was mended, and which bounds were met.
    pub remarks: Vec<Remark>,
}

impl fmt::Debug for Mail {
    /// Says nothing of who wrote what (Article 24).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mail").field("remarks", &self.remarks).finish_non_exhaustive()
    }
}

/// Remarks being collected; each is said once.
#[derive(Debug, Default)]
struct Notes(Vec<Remark>);

impl Notes {
    /// Remarks that are kept of one mail.
    const MAX: usize = 40;

    fn bounded(&mut self, what: impl Into<String>) {
        self.add(Remark::Bounded { what: what.into() });
    }

    fn mended(&mut self, what: impl Into<String>) {
        self.add(Remark::Mended { what: what.into() });
    }

    fn clock(&mut self, what: impl Into<String>) {
        self.add(Remark::Clock { what: what.into() });
    }

    fn extend(&mut self, remarks: Vec<Remark>) {
        for remark in remarks {
            self.add(remark);
        }
    }

    fn add(&mut self, remark: Remark) {
        if self.0.len() < Self::MAX && !self.0.contains(&remark) {
            self.0.push(remark);
        }
    }
}

/// Mails enclosed in one another that are opened.
const MAX_ENCLOSED: usize = 3;

/// Mails enclosed beside one another that are read.
const MAX_BESIDE: usize = 10;

/// Reads a mail. Copes with a mail that was cut off; the caller says so with [`Remark::Oversize`].
///
/// # Errors
/// Only where no header field of a mail is found at all.
pub fn read(raw: &[u8], bounds: &Bounds) -> Result<Mail, Unreadable> {
    read_within(raw, 0, bounds)
}

/// Reads a mail that `depth` others enclose.
fn read_within(raw: &[u8], depth: usize, bounds: &Bounds) -> Result<Mail, Unreadable> {
    let mut notes = Notes::default();
    let raw = &*line_feeds(raw);
    let parts = parts::split(raw, bounds, &mut notes);
    let Some(root) = parts.first().filter(|root| root.fields.0.iter().any(|field| headers::is_known(field.name)))
    else {
        let what = if raw.trim_ascii().is_empty() { "the mail is empty" } else { "no header of a mail was found" };
        return Err(Unreadable(what.to_owned()));
    };
    let fields = &root.fields;
    let hint = body_charset(&parts);
    let hint = hint.as_deref();

    let mut mail = Mail::default();
    senders(fields, hint, bounds, &mut notes, &mut mail);
    mail.to = recipients(fields, "to", hint, bounds, &mut notes);
    mail.cc = recipients(fields, "cc", hint, bounds, &mut notes);
    for name in ["delivered-to", "x-original-to", "envelope-to", "x-forwarded-to"] {
        for address in recipients(fields, name, hint, bounds, &mut notes) {
            if !mail.delivered_to.contains(&address.email) {
                mail.delivered_to.push(address.email);
            }
        }
    }
    let date = fields.first("date").map(|raw| words::text(raw, hint, bounds, &mut notes));
    match date::read(date.as_deref()) {
        Ok(stamp) => mail.date = Some(stamp),
        Err(what) => notes.clock(what),
    }
    mail.subject = subject(fields, hint, bounds, &mut notes);
    let mut ids =
        |name| fields.first(name).map(|raw| address::message_ids(raw, bounds, &mut notes)).unwrap_or_default();
    mail.message_id = ids("message-id").into_iter().next();
    mail.in_reply_to = ids("in-reply-to");
    mail.references = ids("references");
    mail.text = body::text(&parts, hint, bounds, &mut notes);
    if mail.text.is_empty() {
        mail.text = packed::text(&parts, bounds, &mut notes);
    }
    if depth == 0 {
        mail.attachments = body::attachments(&parts, hint, bounds, &mut notes);
    }
    mail.enclosed = enclosed(&parts, depth, bounds, &mut notes);
    if mail.text.is_empty()
        && let Some(inner) = mail.enclosed.iter().find(|inner| !inner.text.is_empty())
    {
        notes.mended("the mail has no text of its own: that of the enclosed mail was taken");
        mail.text.clone_from(&inner.text);
    }
    let sender = mail.from.as_ref().map(|from| from.email.as_str());
    mail.machine = machine::recognise(&parts, sender, mail.subject.as_deref().unwrap_or_default());
    if let Some((Machine::Bounce, _)) = &mail.machine
        && let Some(id) = returned_id(&parts, bounds, &mut notes)
        && !mail.in_reply_to.contains(&id)
    {
        mail.in_reply_to.push(id);
    }
    if let Some((Machine::Bounce, _)) = &mail.machine {
        mail.undelivered = machine::given_up(&parts, bounds, &mut notes);
    }
    mail.remarks = notes.0;
    Ok(mail)
}

/// The decoded bytes of one part, as [`Attachment::part`] numbers it.
pub fn part(raw: &[u8], number: u32, bounds: &Bounds) -> Option<Vec<u8>> {
    let mut notes = Notes::default();
    let raw = &*line_feeds(raw);
    let parts = parts::split(raw, bounds, &mut notes);
    let number = usize::try_from(number).ok()?;
    if let Some(part) = parts.get(number) {
        return Some(body::decoded(part, &mut notes).into_owned());
    }
    let file = packed::files(&parts, bounds, &mut notes).into_iter().nth(number - parts.len())?;
    Some(file.bytes)
}

/// What a mail is known by, wherever and however often it is fetched: a digest of its Message-ID, Date, From, Subject and
/// body. It survives a change of UIDVALIDITY and other Received, Delivered-To and Return-Path lines, and keeps apart two
/// mails of one Message-ID that differ. Line ends and folding do not count. Never fails.
pub fn content_key(raw: &[u8]) -> ExternalId {
    let mut notes = Notes::default();
    let raw = &*line_feeds(raw);
    let start = headers::skip_preface(raw, &mut notes);
    let (fields, body) = headers::read(raw, start, &Bounds::default(), &mut notes, |_| false);
    if ["message-id", "date", "from", "subject"].iter().all(|name| fields.first(name).is_none()) {
        return ExternalId::of_content(&[raw]);
    }
    let value = |name| -> Vec<u8> {
        let words =
            fields.first(name).unwrap_or_default().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(&b' ')
    };
    let body: Vec<u8> = raw[body..].trim_ascii_end().iter().copied().filter(|byte| *byte != b'\r').collect();
    ExternalId::of_content(&[&value("message-id"), &value("date"), &value("from"), &value("subject"), &body])
}

/// A mail whose lines end in bare carriage returns, with line feeds instead.
fn line_feeds(raw: &[u8]) -> Cow<'_, [u8]> {
    if raw.contains(&b'\n') || !raw.contains(&b'\r') {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect())
}

/// The character set of the first text part that tells one: raw headers are likely written in it.
fn body_charset(parts: &[parts::Part<'_>]) -> Option<String> {
    let told =
        parts.iter().filter(|part| part.media_type().starts_with("text/")).find_map(|part| part.media.plain("charset"));
    told.map(str::to_owned)
}

fn senders(fields: &headers::Fields<'_>, hint: Option<&str>, bounds: &Bounds, notes: &mut Notes, mail: &mut Mail) {
    let mut first = |name| recipients(fields, name, hint, bounds, notes).into_iter().next();
    let from = first("from");
    let sender = first("sender");
    mail.reply_to = first("reply-to");
    if from.is_some() {
        mail.from = from;
        return;
    }
    mail.from_name =
        fields.first("from").map(|raw| words::text(raw, hint, bounds, notes)).filter(|name| !name.is_empty());
    if let Some(reply_to) = &mail.reply_to {
        notes.mended("From holds no address: Reply-To was taken");
        mail.from = Some(reply_to.clone());
    } else if sender.is_some() {
        notes.mended("From holds no address: Sender was taken");
        mail.from = sender;
    } else {
        notes.mended("the mail tells no sender");
    }
}

fn recipients(
    fields: &headers::Fields<'_>,
    name: &str,
    hint: Option<&str>,
    bounds: &Bounds,
    notes: &mut Notes,
) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for raw in fields.all(name).take(MAX_REPEATED) {
        found.extend(address::addresses(raw, hint, bounds, notes));
    }
    if found.len() > bounds.addresses {
        found.truncate(bounds.addresses);
        notes.bounded(format!("only the first {} addresses of a header were read", bounds.addresses));
    }
    found
}

/// Fields of one name that are read, where it may repeat.
const MAX_REPEATED: usize = 10;

fn subject(fields: &headers::Fields<'_>, hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> Option<String> {
    let mut subject = words::text(fields.first("subject")?, hint, bounds, notes);
    if let Some((end, _)) = subject.char_indices().nth(bounds.subject_chars) {
        subject.truncate(end);
        notes.bounded(format!("only the first {} characters of the subject were kept", bounds.subject_chars));
    }
    Some(subject).filter(|subject| !subject.is_empty())
}

/// The id of the mail that a bounce brings back whole, or the headers of (RFC 3462), so that its notice is known.
fn returned_id(parts: &[parts::Part<'_>], bounds: &Bounds, notes: &mut Notes) -> Option<String> {
    let returned = parts.iter().find(|part| matches!(part.media_type(), "message/rfc822" | "text/rfc822-headers"))?;
    let raw = body::decoded(returned, notes);
    let (fields, _) = headers::read(&raw, 0, bounds, notes, |_| false);
    address::message_ids(fields.first("message-id")?, bounds, notes).into_iter().next()
}

/// The mails that are enclosed in a mail.
fn enclosed(parts: &[parts::Part<'_>], depth: usize, bounds: &Bounds, notes: &mut Notes) -> Vec<Mail> {
    if depth >= MAX_ENCLOSED {
        return Vec::new();
    }
    let mut inner: Vec<_> =
        parts.iter().filter(|part| !part.split && part.media_type() == "message/rfc822").take(MAX_BESIDE + 1).collect();
    if inner.len() > MAX_BESIDE {
        notes.bounded(format!("only the first {MAX_BESIDE} enclosed mails were read"));
        inner.truncate(MAX_BESIDE);
    }
    let read = |part: &parts::Part<'_>| read_within(&body::decoded(part, notes), depth + 1, bounds).ok();
    inner.into_iter().filter_map(read).collect()
}
