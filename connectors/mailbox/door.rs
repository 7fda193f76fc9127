//! From an address to a logged-in connection: reach, greet, authenticate, say who we are.

use std::sync::Arc;

use async_imap::{
    Client, Session,
    imap_proto::{Response, Status},
};
use jiff::Timestamp;
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Tls,
    link::{ANSWER_BYTES, COMMAND, Link, of_io, of_library, quotable, told, within},
    oauth::{Bearer, Tokens},
    trouble::{Trouble, asks_for_identity, is_missing_folder},
    wire::Wire,
};
use crate::fault::Fault;

/// Where a mailbox is and who opens it.
pub(super) struct Door {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) trust: Arc<ClientConfig>,
    pub(super) user: String,
    pub(super) pass: Pass,
    /// Whether folders are opened so that mails in them can be marked, moved or deleted.
    pub(super) writes: bool,
}

/// By what the server lets us in.
#[derive(Clone)]
pub(super) enum Pass {
    Password(SecretString),
    /// SASL XOAUTH2.
    Tokens(Arc<Tokens>),
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
        let session = match &self.pass {
            Pass::Password(password) => self.log_in_by_password(greeted, password).await?,
            Pass::Tokens(tokens) => self.log_in_by_token(greeted, tokens, now).await?,
        };
        let name = format!("{now}/{}", session.get_ref().local_port());
        let mut link = Link::new(session, name);
        let identifies = link.ask_what_it_can().await.map_err(Trouble::while_reading)?;
        if identifies {
            let id = format!(
                r#"ID ("name" "Jiesu" "version" "{}" "vendor" "Jiesu" "support-email" "{}")"#,
                env!("CARGO_PKG_VERSION"),
                quotable(&self.user)
            );
            // A server may dislike our id; it is opening the folder that shows whether it minds.
            match link.order(&id).await {
                Ok(()) | Err(Trouble::No(_) | Trouble::Bad(_)) => {}
                Err(trouble) => return Err(trouble.while_reading()),
            }
        }
        Ok(link)
    }

    async fn log_in_by_password(&self, greeted: Greeted, password: &SecretString) -> Result<Session<Wire>, Fault> {
        if [self.user.as_str(), password.expose_secret()].iter().any(|text| text.chars().any(char::is_control)) {
            return Err(Fault::configuration("user or password holds a line break or another control character")
                .remedy("the file or variable must hold the password alone"));
        }
        within(COMMAND, async {
            greeted.0.login(&self.user, password.expose_secret()).await.map_err(|(error, _)| of_library(&error))
        })
        .await
        .map_err(Trouble::while_logging_in)
    }

    async fn log_in_by_token(&self, greeted: Greeted, tokens: &Tokens, now: Timestamp) -> Result<Session<Wire>, Fault> {
        let token = tokens.access(now).await?;
        let session = within(COMMAND, async {
            let bearer = Bearer::new(&self.user, &token);
            greeted.0.authenticate("XOAUTH2", bearer).await.map_err(|(error, _)| of_library(&error))
        })
        .await;
        session.map_err(|trouble| {
            // The next attempt asks for a new one: this one may have been revoked before its time.
            tokens.forget(&token);
            trouble.while_showing_a_token()
        })
    }

    /// Everything up to a logged-in connection.
    pub(super) async fn open(&self, now: Timestamp) -> Result<Link, Fault> {
        let wire = self.reach().await?;
        let greeted = self.greet(wire).await?;
        self.log_in(greeted, now).await
    }

    /// The fault of a folder that could not be opened; where it does not exist, the folders that do are told.
    pub(super) async fn folder_fault(&self, link: &mut Link, name: &str, trouble: Trouble) -> Fault {
        match &trouble {
            Trouble::No(said) if is_missing_folder(said) => {
                let fault = Fault::configuration(format!("the mailbox has no folder \"{name}\""));
                match link.folders().await {
                    Ok(folders) if !folders.is_empty() => fault.remedy(format!("it has: {}", folders.join(", "))),
                    _ => fault.remedy("name one that exists"),
                }
            }
            Trouble::No(said) if !asks_for_identity(said) => {
                Fault::transient(format!("the folder \"{name}\" cannot be opened: {trouble}"))
            }
            _ => trouble.while_reading(),
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
