//! One logged-in IMAP connection: the few commands that reading a mailbox takes, none of which changes anything.
//!
//! The commands are sent and their answers read here, not through `async-imap`'s own `uid_fetch` and `uid_search`, because
//! those pass over the status line at the end: a refusal, or a connection that ends half-way, would look like a mailbox
//! with fewer mails in it.

use std::{io, sync::Arc, time::Duration};

use async_imap::{
    Client, Session,
    error::Error,
    extensions::idle::IdleResponse,
    imap_proto::{AttributeValue, Capability, MailboxDatum, Outcome, Response, ResponseCode, Status},
    types::UnsolicitedResponse,
};
use jiff::Timestamp;
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Tls, folder,
    trouble::{Trouble, is_missing_folder, said},
    wire::{Wire, is_over},
};
use crate::fault::Fault;

/// Time for one command without mail in its answer.
const COMMAND: Duration = Duration::from_mins(1);
/// Time for one command with mail in its answer.
const FETCH: Duration = Duration::from_mins(5);
/// Bytes in the answer to a command without mail in it: room for a million UIDs.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that may stand around the mails of one answer.
const OVERHEAD_BYTES: usize = 1024 * 1024;
/// Folders told to the admin where the one that was asked for does not exist.
const FOLDERS_TOLD: usize = 20;

/// Where a mailbox is and who opens it.
pub(super) struct Door {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) trust: Arc<ClientConfig>,
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) folder: String,
}

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
    idle: bool,
    /// Names this connection, so that UIDs which only hold within it are not taken for later ones: when and from which port it was made.
    pub(super) name: String,
}

/// A connection that has been greeted.
pub(super) struct Greeted(Client<Wire>);

impl Door {
    /// Reaches the server and agrees on TLS, unless that comes after the greeting.
    pub(super) async fn reach(&self) -> Result<Wire, Fault> {
        let mut wire = Wire::connect(&self.host, self.port).await?;
        wire.allow(ANSWER_BYTES);
        match self.tls {
            Tls::Implicit => wire.secure(&self.host, &self.trust).await,
            Tls::Starttls | Tls::None => Ok(wire),
        }
    }

    /// Reads the greeting, and starts TLS where it comes now.
    pub(super) async fn greet(&self, wire: Wire) -> Result<Greeted, Fault> {
        let mut client = Client::new(wire);
        within(COMMAND, greeting(&mut client)).await.map_err(Trouble::while_reading)?;
        if self.tls != Tls::Starttls {
            return Ok(Greeted(client));
        }
        within(COMMAND, async {
            client.run_command_and_check_ok("STARTTLS", None).await.map_err(|error| of_library(&error))
        })
        .await
        .map_err(|trouble| match trouble {
            Trouble::No(_) | Trouble::Bad(_) => Fault::configuration(format!("{} offers no STARTTLS", self.host))
                .remedy("set tls = \"implicit\" and the port that speaks TLS at once, usually 993"),
            other => other.while_reading(),
        })?;
        let mut wire = client.into_inner().secure(&self.host, &self.trust).await?;
        wire.allow(ANSWER_BYTES);
        Ok(Greeted(Client::new(wire)))
    }

    /// Logs in and says who we are, before any folder is opened: the 163 family refuses it otherwise (RFC 2971).
    pub(super) async fn log_in(&self, greeted: Greeted, now: Timestamp) -> Result<Link, Fault> {
        if [self.user.as_str(), self.password.expose_secret()].iter().any(|text| text.chars().any(char::is_control)) {
            return Err(Fault::configuration("user or password holds a line break or another control character")
                .remedy("the file or variable must hold the password alone"));
        }
        let session = within(COMMAND, async {
            greeted.0.login(&self.user, self.password.expose_secret()).await.map_err(|(error, _)| of_library(&error))
        })
        .await
        .map_err(Trouble::while_logging_in)?;
        let name = format!("{now}/{}", session.get_ref().local_port());
        let mut link = Link { session, idle: false, name };
        let mut identifies = false;
        let mut idle = false;
        link.command("CAPABILITY", COMMAND, ANSWER_BYTES, |response| {
            if let Response::Capabilities(capabilities) = response {
                for capability in capabilities {
                    if let Capability::Atom(atom) = capability {
                        identifies |= atom.eq_ignore_ascii_case("ID");
                        idle |= atom.eq_ignore_ascii_case("IDLE");
                    }
                }
            }
        })
        .await
        .map_err(Trouble::while_reading)?;
        link.idle = idle;
        if identifies {
            let id = format!(
                r#"ID ("name" "Jiesu" "version" "{}" "vendor" "Jiesu" "support-email" "{}")"#,
                env!("CARGO_PKG_VERSION"),
                quotable(&self.user)
            );
            // A server may dislike our id; it is opening the folder that shows whether it minds.
            match link.command(&id, COMMAND, ANSWER_BYTES, |_| ()).await {
                Ok(()) | Err(Trouble::No(_) | Trouble::Bad(_)) => {}
                Err(trouble) => return Err(trouble.while_reading()),
            }
        }
        Ok(link)
    }

    /// Everything up to a logged-in connection.
    pub(super) async fn open(&self, now: Timestamp) -> Result<Link, Fault> {
        let wire = self.reach().await?;
        let greeted = self.greet(wire).await?;
        self.log_in(greeted, now).await
    }

    /// The fault of a folder that could not be opened; where it does not exist, the folders that do are told.
    pub(super) async fn folder_fault(&self, link: &mut Link, trouble: Trouble) -> Fault {
        match &trouble {
            Trouble::No(said) if is_missing_folder(said) => {
                let fault = Fault::configuration(format!("the mailbox has no folder \"{}\"", self.folder));
                match link.folders().await {
                    Ok(folders) if !folders.is_empty() => fault.remedy(format!("it has: {}", folders.join(", "))),
                    _ => fault.remedy("set folder to one that exists"),
                }
            }
            _ => trouble.while_reading(),
        }
    }
}

impl Link {
    /// Whether the server can tell news by itself (RFC 2177).
    pub(super) fn can_idle(&self) -> bool {
        self.idle
    }

    /// Opens a folder for reading only.
    pub(super) async fn examine(&mut self, name: &str) -> Result<Opened, Trouble> {
        let mut opened = Opened::default();
        let command = format!("EXAMINE \"{}\"", quotable(&folder::encode(name)));
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
        let mut uids = Vec::new();
        self.command(&format!("UID SEARCH UID {set}"), COMMAND, ANSWER_BYTES, |response| {
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

async fn greeting(client: &mut Client<Wire>) -> Result<(), Trouble> {
    let response = client.read_response().await.map_err(|error| of_io(&error))?.ok_or(Trouble::Lost)?;
    match response.parsed() {
        Response::Data { status: Status::Ok, .. } => Ok(()),
        Response::Data { status: Status::Bye, outcome } => Err(Trouble::Bye(told(outcome))),
        _ => Err(Trouble::Garbled),
    }
}

async fn within<T>(at_most: Duration, doing: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(at_most, doing).await.unwrap_or(Err(Trouble::Silent(at_most.as_secs())))
}

fn told(outcome: &Outcome<'_>) -> String {
    let code = match outcome.code {
        Some(ResponseCode::Alert) => "[ALERT] ",
        Some(ResponseCode::TryCreate) => "[TRYCREATE] ",
        _ => "",
    };
    said(&format!("{code}{}", outcome.information.as_deref().unwrap_or_default()))
}

/// The library's errors print what was received: only their kind is told, except for what a server says in so many words.
fn of_library(error: &Error) -> Trouble {
    match error {
        Error::Io(error) => of_io(error),
        Error::No(text) => Trouble::No(said(&information(text))),
        Error::Bad(text) => Trouble::Bad(said(&information(text))),
        Error::ConnectionLost => Trouble::Lost,
        _ => Trouble::Garbled,
    }
}

fn of_io(error: &io::Error) -> Trouble {
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

/// What may stand between quotes in a command (RFC 3501 section 9, quoted).
fn quotable(text: &str) -> String {
    text.chars()
        .filter(|one| !one.is_control())
        .flat_map(|one| {
            let escape = matches!(one, '"' | '\\').then_some('\\');
            escape.into_iter().chain([one])
        })
        .collect()
}
