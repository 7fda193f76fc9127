//! One logged-in IMAP connection: the few commands that reading a mailbox takes. What changes a mailbox is in `after`.
//!
//! The commands are sent and their answers read here, not through `async-imap`'s own `uid_fetch` and `uid_search`, because
//! those pass over the status line at the end: a refusal, or a connection that ends half-way, would look like a mailbox
//! with fewer mails in it.

use std::{io, time::Duration};

use async_imap::{
    Session,
    error::Error,
    extensions::idle::IdleResponse,
    imap_proto::{AttributeValue, Capability, MailboxDatum, Outcome, Response, ResponseCode, Status},
    types::UnsolicitedResponse,
};
use jiff::civil::Date;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    folder,
    trouble::{Trouble, said},
    wire::{Wire, is_over},
};

/// Time for one command without mail in its answer.
pub(super) const COMMAND: Duration = Duration::from_mins(1);
/// Time for one command with mail in its answer.
const FETCH: Duration = Duration::from_mins(5);
/// Bytes in the answer to a command without mail in it: room for a million UIDs.
pub(super) const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that may stand around the mails of one answer.
const OVERHEAD_BYTES: usize = 1024 * 1024;
/// Folders told to the admin where the one that was asked for does not exist.
const FOLDERS_TOLD: usize = 20;

/// A folder as the server describes it when it is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Opened {
    /// `None` where the server names none, or 0: its UIDs mean nothing to the next session.
    pub(super) uidvalidity: Option<u32>,
    /// The UID that the next mail will get, where told.
    pub(super) uidnext: Option<u32>,
    /// Mails in the folder.
    pub(super) exists: u32,
}

/// What the server tells of one mail without its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// Its UID.
    pub(super) uid: u32,
    /// RFC822.SIZE.
    pub(super) size: Option<u32>,
    /// INTERNALDATE, as written.
    pub(super) date: Option<String>,
}

/// A connection that has been logged in.
#[derive(Debug)]
pub(super) struct Link {
    session: Session<Wire>,
    able: Able,
    /// Names this connection: when and from which port it was made.
    name: String,
    /// Times that a folder was opened on it.
    opens: u32,
}

/// What a server says that it can do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Able {
    /// RFC 2177.
    pub(super) idle: bool,
    /// RFC 6851.
    pub(super) moves: bool,
    /// RFC 4315.
    pub(super) uidplus: bool,
}

impl Link {
    /// A connection that has just been logged in.
    pub(super) fn new(session: Session<Wire>, name: String) -> Self {
        Self { session, able: Able::default(), name, opens: 0 }
    }

    /// Asks what the server can do; whether it wants to hear who we are (RFC 2971).
    pub(super) async fn ask_what_it_can(&mut self) -> Result<bool, Trouble> {
        let mut identifies = false;
        let mut able = Able::default();
        self.command("CAPABILITY", COMMAND, ANSWER_BYTES, |response| {
            if let Response::Capabilities(capabilities) = response {
                for capability in capabilities {
                    if let Capability::Atom(atom) = capability {
                        identifies |= atom.eq_ignore_ascii_case("ID");
                        able.idle |= atom.eq_ignore_ascii_case("IDLE");
                        able.moves |= atom.eq_ignore_ascii_case("MOVE");
                        able.uidplus |= atom.eq_ignore_ascii_case("UIDPLUS");
                    }
                }
            }
        })
        .await?;
        self.able = able;
        Ok(identifies)
    }

    /// What the server says that it can do.
    pub(super) fn able(&self) -> Able {
        self.able
    }

    /// Names the opening of a folder, so that UIDs which hold no longer than it are not taken for later ones.
    pub(super) fn opening(&self) -> String {
        format!("{}#{}", self.name, self.opens)
    }

    /// Opens a folder for reading only.
    pub(super) async fn examine(&mut self, name: &str) -> Result<Opened, Trouble> {
        self.open(name, false).await
    }

    /// Opens a folder, for reading only unless it is said to be written to.
    pub(super) async fn open(&mut self, name: &str, writes: bool) -> Result<Opened, Trouble> {
        let mut opened = Opened::default();
        self.opens = self.opens.wrapping_add(1);
        let command = format!("{} {}", if writes { "SELECT" } else { "EXAMINE" }, written(name));
        self.command(&command, COMMAND, ANSWER_BYTES, |response| match response {
            Response::Data { status: Status::Ok, outcome } => match outcome.code {
                Some(ResponseCode::UidValidity(validity)) => opened.uidvalidity = (validity != 0).then_some(validity),
                Some(ResponseCode::UidNext(next)) => opened.uidnext = Some(next),
                _ => {}
            },
            Response::MailboxData(MailboxDatum::Exists(exists)) => opened.exists = *exists,
            _ => {}
        })
        .await?;
        Ok(opened)
    }

    /// Lets the server tell what is new without opening the folder again.
    pub(super) async fn refresh(&mut self) -> Result<(), Trouble> {
        self.command("NOOP", COMMAND, ANSWER_BYTES, |_| ()).await
    }

    /// The UIDs of a set that the folder holds, ascending.
    pub(super) async fn search(&mut self, set: &str) -> Result<Vec<u32>, Trouble> {
        self.search_for(&format!("UID {set}")).await
    }

    /// The UIDs of a set that came on a day or later, by the server's dates, ascending.
    pub(super) async fn search_since(&mut self, set: &str, day: Option<Date>) -> Result<Vec<u32>, Trouble> {
        match day {
            Some(day) => self.search_for(&format!("UID {set} SINCE {}", written_day(day))).await,
            None => self.search(set).await,
        }
    }

    /// The UIDs that meet criteria, ascending.
    pub(super) async fn search_for(&mut self, criteria: &str) -> Result<Vec<u32>, Trouble> {
        let mut uids = Vec::new();
        self.command(&format!("UID SEARCH {criteria}"), COMMAND, ANSWER_BYTES, |response| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = response {
                uids.extend_from_slice(found);
            }
        })
        .await?;
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// What the server tells of the mails of a set. Adds what arrives to `into`, also before a failure.
    pub(super) async fn envelopes(&mut self, set: &str, items: &str, into: &mut Vec<Envelope>) -> Result<(), Trouble> {
        self.command(&format!("UID FETCH {set} {items}"), COMMAND, ANSWER_BYTES, |response| {
            let Response::Fetch(_, attributes) = response else { return };
            let mut envelope = Envelope::default();
            for attribute in attributes {
                match attribute {
                    AttributeValue::Uid(uid) => envelope.uid = *uid,
                    AttributeValue::Rfc822Size(size) => envelope.size = Some(*size),
                    AttributeValue::InternalDate(date) => envelope.date = Some(date.trim().to_owned()),
                    _ => {}
                }
            }
            if envelope.uid != 0 && (envelope.size.is_some() || envelope.date.is_some()) {
                into.push(envelope);
            }
        })
        .await
    }

    /// The content of the mails of a set, or its first `partial` bytes, without marking them seen. Adds what arrives to
    /// `into`, also before a failure.
    pub(super) async fn bodies(
        &mut self,
        set: &str,
        partial: Option<usize>,
        bytes: usize,
        into: &mut Vec<(u32, Vec<u8>)>,
    ) -> Result<(), Trouble> {
        let part = partial.map(|length| format!("<0.{length}>")).unwrap_or_default();
        let command = format!("UID FETCH {set} (UID BODY.PEEK[]{part})");
        self.command(&command, FETCH, bytes.saturating_add(OVERHEAD_BYTES), |response| {
            let Response::Fetch(_, attributes) = response else { return };
            let uid = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::Uid(uid) => Some(*uid),
                _ => None,
            });
            let body = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::BodySection { section: None, data, .. } | AttributeValue::Rfc822(data) => {
                    data.as_deref()
                }
                _ => None,
            });
            if let (Some(uid), Some(body)) = (uid, body) {
                into.push((uid, body.to_vec()));
            }
        })
        .await
    }

    /// The names of the folders, as far as they are told to an admin.
    pub(super) async fn folders(&mut self) -> Result<Vec<String>, Trouble> {
        let mut folders = Vec::new();
        self.command("LIST \"\" \"*\"", COMMAND, ANSWER_BYTES, |response| {
            if let Response::MailboxData(MailboxDatum::List(list)) = response
                && folders.len() < FOLDERS_TOLD
            {
                folders.push(said(&folder::decode(&list.name)));
            }
        })
        .await?;
        Ok(folders)
    }

    /// Listens until a mail arrives or `deadline` passes, and gives the connection back. Where the connection breaks it is
    /// gone.
    pub(super) async fn idle(mut self, deadline: Instant) -> Result<Self, Trouble> {
        let aside = self.session.unsolicited_responses.clone();
        while aside.try_recv().is_ok() {}
        self.session.as_mut().allow(ANSWER_BYTES);
        let mut handle = self.session.idle();
        within(COMMAND, async { handle.init().await.map_err(|error| of_library(&error)) }).await?;
        let mut told_early = false;
        while let Ok(response) = aside.try_recv() {
            told_early |= matches!(response, UnsolicitedResponse::Exists(_));
        }
        let broken = loop {
            if told_early {
                break None;
            }
            let (listening, _interrupt) = handle.wait_with_timeout(Duration::MAX);
            // Dropping the future between two answers loses none: what was read stays with the connection.
            let Ok(news) = timeout_at(deadline, listening).await else { break None };
            match news {
                Ok(IdleResponse::NewData(news)) => match news.parsed() {
                    Response::MailboxData(MailboxDatum::Exists(_)) => break None,
                    Response::Data { status: Status::Bye, outcome } => break Some(Trouble::Bye(told(outcome))),
                    _ => {}
                },
                Ok(IdleResponse::Timeout) => break None,
                // Nobody interrupts by hand: the stream has ended.
                Ok(IdleResponse::ManualInterrupt) => break Some(Trouble::Lost),
                Err(error) => break Some(of_library(&error)),
            }
        };
        if let Some(trouble) = broken {
            return Err(trouble);
        }
        self.session = within(COMMAND, async { handle.done().await.map_err(|error| of_library(&error)) }).await?;
        Ok(self)
    }

    /// Ends the connection politely; where that fails it ends all the same.
    pub(super) async fn log_out(mut self) {
        let _ = self.command("LOGOUT", Duration::from_secs(5), ANSWER_BYTES, |_| ()).await;
    }

    /// A command of which only the outcome counts.
    pub(super) async fn order(&mut self, command: &str) -> Result<(), Trouble> {
        self.command(command, FETCH, ANSWER_BYTES, |_| ()).await
    }

    async fn command(
        &mut self,
        command: &str,
        at_most: Duration,
        bytes: usize,
        each: impl FnMut(&Response<'_>),
    ) -> Result<(), Trouble> {
        self.session.as_mut().allow(bytes);
        within(at_most, self.exchange(command, each)).await.map_err(|trouble| match trouble {
            Trouble::Endless(_) => Trouble::Endless(bytes),
            other => other,
        })
    }

    async fn exchange(&mut self, command: &str, mut each: impl FnMut(&Response<'_>)) -> Result<(), Trouble> {
        let id = self.session.run_command(command).await.map_err(|error| of_library(&error))?;
        let mut goodbye = None;
        loop {
            let response = match self.session.read_response().await {
                Ok(Some(response)) => response,
                Ok(None) => return Err(goodbye.map_or(Trouble::Lost, Trouble::Bye)),
                Err(error) => return Err(goodbye.map_or_else(|| of_io(&error), Trouble::Bye)),
            };
            match response.parsed() {
                Response::Done { tag, status, outcome } if *tag == id => {
                    return match status {
                        Status::Ok => Ok(()),
                        Status::No => Err(Trouble::No(told(outcome))),
                        _ => Err(Trouble::Bad(told(outcome))),
                    };
                }
                Response::Data { status: Status::Bye, outcome } => goodbye = Some(told(outcome)),
                other => each(other),
            }
        }
    }
}

pub(super) async fn within<T>(
    at_most: Duration,
    doing: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(at_most, doing).await.unwrap_or(Err(Trouble::Silent(at_most.as_secs())))
}

pub(super) fn told(outcome: &Outcome<'_>) -> String {
    let code = match outcome.code {
        Some(ResponseCode::Alert) => "[ALERT] ",
        Some(ResponseCode::TryCreate) => "[TRYCREATE] ",
        _ => "",
    };
    said(&format!("{code}{}", outcome.information.as_deref().unwrap_or_default()))
}

/// The library's errors print what was received: only their kind is told, except for what a server says in so many words.
pub(super) fn of_library(error: &Error) -> Trouble {
    match error {
        Error::Io(error) => of_io(error),
        Error::No(text) => Trouble::No(said(&information(text))),
        Error::Bad(text) => Trouble::Bad(said(&information(text))),
        Error::ConnectionLost => Trouble::Lost,
        _ => Trouble::Garbled,
    }
}

pub(super) fn of_io(error: &io::Error) -> Trouble {
    if is_over(error) {
        return Trouble::Endless(ANSWER_BYTES);
    }
    match error.kind() {
        io::ErrorKind::Other => Trouble::Garbled,
        _ => Trouble::Lost,
    }
}

/// The server's words out of the library's `code: …, info: Some("…")`.
fn information(text: &str) -> String {
    let words = text.split_once("info: Some(\"").and_then(|(_, rest)| rest.rsplit_once("\")")).map(|(words, _)| words);
    let alert = if text.starts_with("code: Some(Alert)") { "[ALERT] " } else { "" };
    format!("{alert}{}", words.unwrap_or_default())
}

/// A folder's name as a command has it.
pub(super) fn written(name: &str) -> String {
    format!("\"{}\"", quotable(&folder::encode(name)))
}

/// A day as a search has it: `1-Nov-2026`.
pub(super) fn written_day(day: Date) -> String {
    day.strftime("%-d-%b-%Y").to_string()
}

/// What may stand between quotes in a command (RFC 3501 section 9, quoted).
pub(super) fn quotable(text: &str) -> String {
    text.chars()
        .filter(|one| !one.is_control())
        .flat_map(|one| {
            let escape = matches!(one, '"' | '\\').then_some('\\');
            escape.into_iter().chain([one])
        })
        .collect()
}
