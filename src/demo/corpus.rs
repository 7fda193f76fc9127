//! What the demonstration plays, and where each item must end. It is part of the program, so that the demonstration
//! needs no files; its own times are moved to the present, because what was urgent last year is not urgent now.

use std::{collections::HashMap, fmt};

use connectors::{clock::ZONE, mail};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;
use serde_json::Value;

use super::board::Message;
use crate::{
    assess::{Article, Kind, Urgency},
    issue::Relation,
    store::read::Place,
};

/// Stands in a mail for the number of a ticket that is not known before it is opened.
pub const TICKET_MARK: &str = "@@TICKET@@";

/// The delivery id under which the body over the limit is pushed; the stub is known by it.
pub const OVERSIZE_DELIVERY: &str = "demo-oversize";

/// A mail: its file's name and its bytes.
pub type MailFile = (&'static str, &'static [u8]);

/// The mails, in the order of their names.
pub const MAILS: &[MailFile] = &[
    ("01-gbk-raw-headers.eml", include_bytes!("../../fixtures/demo/mails/01-gbk-raw-headers.eml")),
    ("02-gb18030.eml", include_bytes!("../../fixtures/demo/mails/02-gb18030.eml")),
    ("03-utf8-base64.eml", include_bytes!("../../fixtures/demo/mails/03-utf8-base64.eml")),
    ("04-utf8-qp.eml", include_bytes!("../../fixtures/demo/mails/04-utf8-qp.eml")),
    ("05-big5.eml", include_bytes!("../../fixtures/demo/mails/05-big5.eml")),
    ("06-without-from.eml", include_bytes!("../../fixtures/demo/mails/06-without-from.eml")),
    ("07-without-message-id.eml", include_bytes!("../../fixtures/demo/mails/07-without-message-id.eml")),
    ("08-attachment-gbk-name.eml", include_bytes!("../../fixtures/demo/mails/08-attachment-gbk-name.eml")),
    ("09-html-only.eml", include_bytes!("../../fixtures/demo/mails/09-html-only.eml")),
    ("10-split-encoded-words.eml", include_bytes!("../../fixtures/demo/mails/10-split-encoded-words.eml")),
    ("11-same-again.eml", include_bytes!("../../fixtures/demo/mails/11-same-again.eml")),
    ("12-neighbour.eml", include_bytes!("../../fixtures/demo/mails/12-neighbour.eml")),
    ("13-bribes.eml", include_bytes!("../../fixtures/demo/mails/13-bribes.eml")),
    ("14-dalian.eml", include_bytes!("../../fixtures/demo/mails/14-dalian.eml")),
    ("15-gb2312-label.eml", include_bytes!("../../fixtures/demo/mails/15-gb2312-label.eml")),
    ("16-bounce.eml", include_bytes!("../../fixtures/demo/mails/16-bounce.eml")),
    ("17-out-of-office.eml", include_bytes!("../../fixtures/demo/mails/17-out-of-office.eml")),
    ("18-newsletter.eml", include_bytes!("../../fixtures/demo/mails/18-newsletter.eml")),
    ("19-unreadable.eml", include_bytes!("../../fixtures/demo/mails/19-unreadable.eml")),
    ("20-enforcement.eml", include_bytes!("../../fixtures/demo/mails/20-enforcement.eml")),
    ("21-petition.eml", include_bytes!("../../fixtures/demo/mails/21-petition.eml")),
    ("22-empty.eml", include_bytes!("../../fixtures/demo/mails/22-empty.eml")),
    ("23-school.eml", include_bytes!("../../fixtures/demo/mails/23-school.eml")),
    ("24-nested.eml", include_bytes!("../../fixtures/demo/mails/24-nested.eml")),
    ("25-follow-up.eml", include_bytes!("../../fixtures/demo/mails/25-follow-up.eml")),
];

/// Three more mails, kept in one file as mail programs keep them.
pub const ARCHIVE: &[u8] = include_bytes!("../../fixtures/demo/archive.mbox");

/// Letters that a clerk keyed in: CSV in GBK, dates as texts and as spreadsheet serials.
pub const LETTERS: &[u8] = include_bytes!("../../fixtures/demo/letters.csv");

const CALLS: &str = include_str!("../../fixtures/demo/calls.json");
const BUSINESS: &str = include_str!("../../fixtures/demo/business.json");
const PORTAL: &str = include_str!("../../fixtures/demo/portal.json");
const BOARD: &str = include_str!("../../fixtures/demo/board.json");
const EXPECTATIONS: &str = include_str!("../../fixtures/demo/expectations.toml");

/// Where one item must end. A person judged it beside the regulation, not the program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The connector that brings it.
    pub connector: String,
    /// Its id at the source; a mail's file name.
    pub id: String,
    /// What it shows.
    pub about: String,
    /// Where it must end.
    pub place: Place,
    /// How it stands to its ticket.
    pub relation: Option<Relation>,
    /// Items of one matter end in one ticket.
    pub matter: Option<String>,
    /// Kind of request, where reading leaves no doubt.
    pub kind: Option<Kind>,
    /// Urgency, where reading leaves no doubt.
    pub urgency: Option<Urgency>,
    /// The article, where reading leaves no doubt.
    pub article: Option<Article>,
    /// The item whose ticket's number must be known before this one can be sent.
    pub follows: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    item: Vec<Expected>,
}

/// A message as the older interface of 人民网 lists it; what the demonstration does not use is passed over.
#[derive(Deserialize)]
struct Row {
    tid: u64,
    fid: u64,
    #[serde(rename = "forumName")]
    forum: String,
    subject: String,
    content: Option<String>,
    #[serde(rename = "nickName")]
    nick: String,
    dateline: i64,
    #[serde(rename = "typeName")]
    label: String,
    #[serde(rename = "stateInfo")]
    state: String,
    #[serde(rename = "answerContent")]
    answer: Option<String>,
}

/// A fixture of the demonstration cannot be read; that is a mistake in the program.
#[derive(Debug, thiserror::Error)]
#[error("fixtures/demo/{file} cannot be read: {message}")]
pub struct CorpusError {
    file: &'static str,
    message: String,
}

impl CorpusError {
    fn new(file: &'static str, error: impl fmt::Display) -> Self {
        Self { file, message: error.to_string() }
    }
}

/// What is played.
#[derive(Debug)]
pub struct Corpus {
    /// Forms of the call centre, in the order of the calls.
    pub calls: Vec<Value>,
    /// Forms of the business-environment platform.
    pub business: Vec<Value>,
    /// Forms of the portal.
    pub portal: Vec<Value>,
    /// Messages of the board, oldest first.
    pub board: Vec<Message>,
    /// Where each item must end.
    pub expected: Vec<Expected>,
    /// Which item an entry is, by connector and external id.
    known_as: HashMap<(String, String), usize>,
}

impl Corpus {
    /// Reads the corpus, with the times of calls and messages moved so that the newest were made at `now`.
    ///
    /// # Errors
    /// A fixture cannot be read.
    pub fn read(now: Timestamp) -> Result<Self, CorpusError> {
        let expected = toml::from_str::<Expectations>(EXPECTATIONS)
            .map_err(|error| CorpusError::new("expectations.toml", error))?
            .item;
        let mut corpus = Self {
            calls: moved_calls(json("calls.json", CALLS)?, now)?,
            business: json("business.json", BUSINESS)?,
            portal: json("portal.json", PORTAL)?,
            board: messages(now)?,
            known_as: HashMap::new(),
            expected,
        };
        for (index, expected) in corpus.expected.iter().enumerate() {
            corpus.known_as.insert((expected.connector.clone(), expected.id.clone()), index);
        }
        for (name, raw) in MAILS {
            corpus.know_mail(name, raw);
        }
        for (index, raw) in archived(ARCHIVE).into_iter().enumerate() {
            corpus.know_mail(&format!("archive-{}", index + 1), &raw);
        }
        Ok(corpus)
    }

    /// Notes that the bytes of a mail are this item: mails are known by their content.
    pub fn know_mail(&mut self, id: &str, raw: &[u8]) {
        let Some(index) = self.known_as.get(&("mail".to_owned(), id.to_owned())).copied() else { return };
        self.known_as.insert(("mail".to_owned(), mail::content_key(raw).as_str().to_owned()), index);
    }

    /// Which of [`Corpus::expected`] an entry is.
    pub fn identify(&self, connector: &str, external_id: &str) -> Option<usize> {
        // A board's name may stand before the message's number.
        let short = external_id.rsplit_once(':').map_or(external_id, |(_, id)| id);
        [external_id, short]
            .into_iter()
            .find_map(|id| self.known_as.get(&(connector.to_owned(), id.to_owned())).copied())
    }
}

/// The mails of an mbox, without the lines that separate them.
pub fn archived(mbox: &[u8]) -> Vec<Vec<u8>> {
    let mut mails: Vec<Vec<u8>> = Vec::new();
    for line in mbox.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"From ") {
            mails.push(Vec::new());
        } else if let Some(mail) = mails.last_mut() {
            mail.extend_from_slice(line.strip_prefix(b">").filter(|rest| rest.starts_with(b"From ")).unwrap_or(line));
        }
    }
    mails
}

fn json<T: for<'de> Deserialize<'de>>(file: &'static str, text: &str) -> Result<T, CorpusError> {
    serde_json::from_str(text).map_err(|error| CorpusError::new(file, error))
}

fn messages(now: Timestamp) -> Result<Vec<Message>, CorpusError> {
    let rows: Vec<Row> = json("board.json", BOARD)?;
    let newest = rows.iter().map(|row| row.dateline).max().unwrap_or(0);
    let step = now.as_second() - newest;
    let mut messages: Vec<Message> = rows
        .into_iter()
        .map(|row| Message {
            id: row.tid,
            board: row.fid.to_string(),
            subject: row.subject,
            body: row.content.unwrap_or_default(),
            name: row.nick,
            area: row.forum,
            label: row.label,
            written: row.dateline + step,
            state: row.state,
            reply: row.answer,
            attachment: None,
        })
        .collect();
    messages.sort_by_key(|message| message.id);
    Ok(messages)
}

/// How a call centre writes a time.
const CALL_TIME: &str = "%Y-%m-%d %H:%M:%S";

fn moved_calls(mut calls: Vec<Value>, now: Timestamp) -> Result<Vec<Value>, CorpusError> {
    let failed = |error: jiff::Error| CorpusError::new("calls.json", error);
    let zone = TimeZone::get(ZONE).map_err(failed)?;
    let read = |value: &Value| DateTime::strptime(CALL_TIME, value.as_str().unwrap_or_default());
    let mut step: Option<SignedDuration> = None;
    for call in &calls {
        let end = read(&call["end"]).map_err(failed)?;
        let to_now = now.duration_since(zone.to_timestamp(end).map_err(failed)?);
        step = Some(step.map_or(to_now, |step| step.min(to_now)));
    }
    let step = step.unwrap_or_default();
    for call in &mut calls {
        for field in ["start", "answer", "end"] {
            let moved = read(&call[field]).and_then(|time| time.checked_add(step)).map_err(failed)?;
            call[field] = Value::String(moved.strftime(CALL_TIME).to_string());
        }
    }
    Ok(calls)
}
