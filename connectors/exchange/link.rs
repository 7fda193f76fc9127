//! A connection to the exchange that has been logged in. Every method may be dropped at any `await`: what was read stays,
//! and what was not written yet is written by the next call.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use md5::{Digest as _, Md5};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout},
};

use super::{
    Login,
    ami::{Bounds, Message, Parser},
};
use crate::{fault::Fault, mailbox::Wire};

/// Time from the connection to the end of the login.
const OPEN: Duration = Duration::from_secs(20);

/// Time for the answer to an action.
const ANSWER: Duration = Duration::from_secs(10);

/// Bytes read at once.
const READ: usize = 16 * 1024;

/// Characters that are told of what the exchange says about a refusal.
const SAID: usize = 120;

/// Where the exchange is and who is let in.
pub(super) struct Door {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whom to trust, where the connection is protected by TLS.
    pub(super) trust: Option<Arc<ClientConfig>>,
    pub(super) user: String,
    pub(super) secret: SecretString,
    pub(super) login: Login,
    pub(super) bounds: Bounds,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    wire: Wire,
    parser: Parser,
    inbound: BytesMut,
    outbound: BytesMut,
    actions: u64,
    /// When it said something last.
    heard: Instant,
}

impl Door {
    /// Connects and logs in.
    ///
    /// # Errors
    /// A transient fault where the exchange cannot be reached; a configuration fault where it is none; an authentication
    /// fault where it does not let us in.
    pub(super) async fn open(&self) -> Result<Link, Fault> {
        let place = format!("{}:{}", self.host, self.port);
        timeout(OPEN, self.enter(&place)).await.unwrap_or_else(|_| {
            Err(Fault::transient(format!("{place} did not let us in within {} s", OPEN.as_secs())).remedy(
                "check that this is the port of the manager interface (manager.conf), and whether it wants TLS",
            ))
        })
    }

    async fn enter(&self, place: &str) -> Result<Link, Fault> {
        if [self.user.as_str(), self.secret.expose_secret()].iter().any(|text| text.chars().any(char::is_control)) {
            return Err(Fault::configuration("user or secret holds a line break or another control character")
                .remedy("the file or variable must hold the secret alone"));
        }
        let mut wire = Wire::connect(&self.host, self.port).await?;
        if let Some(trust) = &self.trust {
            wire = wire.secure(&self.host, trust).await?;
        }
        let mut link = Link {
            wire,
            parser: Parser::new(self.bounds),
            inbound: BytesMut::new(),
            outbound: BytesMut::new(),
            actions: 0,
            heard: Instant::now(),
        };
        let banner = link.banner().await?;
        if !banner.starts_with("Asterisk Call Manager") {
            return Err(Fault::configuration(format!("{place} is not the manager interface of an Asterisk exchange"))
                .remedy("check host and port: 5038 unless manager.conf says otherwise, 5039 with TLS"));
        }
        let secret = self.secret.expose_secret();
        let shown = match self.login {
            Login::Plain => [("Username", self.user.as_str()), ("Secret", secret)]
                .map(|(name, text)| (name, text.to_owned()))
                .to_vec(),
            Login::Md5 => {
                let answer = link.exchange("Challenge", &[("AuthType", "MD5".to_owned())]).await?;
                let Some(challenge) = answer.get("Challenge") else { return Err(refused(place, &answer)) };
                let digest = Md5::digest([challenge, secret].concat());
                let key = digest.iter().fold(String::with_capacity(32), |mut text, byte| {
                    text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
                    text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
                    text
                });
                vec![("AuthType", "MD5".to_owned()), ("Username", self.user.clone()), ("Key", key)]
            }
        };
        let fields: Vec<_> = shown.into_iter().chain([("Events", "call,cdr,agent,user".to_owned())]).collect();
        let answer = link.exchange("Login", &fields).await?;
        if answer.get("Response") == Some("Success") { Ok(link) } else { Err(refused(place, &answer)) }
    }
}

fn refused(place: &str, answer: &Message) -> Fault {
    let said: String = answer.get("Message").unwrap_or("no reason given").chars().take(SAID).collect();
    Fault::authentication(format!("{place} does not let us in: {said}")).remedy(
        "check user and secret against manager.conf, its permit and deny lines for this machine's address, and `enabled = yes`",
    )
}

impl Link {
    /// Hands an action over for sending; returns its id.
    pub(super) fn ask(&mut self, action: &str, fields: &[(&str, String)]) -> String {
        self.actions += 1;
        let id = format!("jiesu-{}", self.actions);
        let mut text = format!("Action: {action}\r\nActionID: {id}\r\n");
        for (name, value) in fields {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        self.outbound.extend_from_slice(text.as_bytes());
        id
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// A transient fault where the connection is broken.
    pub(super) async fn flush(&mut self) -> Result<(), Fault> {
        while !self.outbound.is_empty() {
            if self.wire.write_buf(&mut self.outbound).await.map_err(|error| broken(&error))? == 0 {
                return Err(closed());
            }
        }
        self.wire.flush().await.map_err(|error| broken(&error))
    }

    /// The next message.
    ///
    /// # Errors
    /// A transient fault where the connection is broken.
    pub(super) async fn message(&mut self) -> Result<Message, Fault> {
        loop {
            if let Some(message) = self.parser.message(&mut self.inbound) {
                return Ok(message);
            }
            self.read().await?;
        }
    }

    /// The answer to an action; events that come before it are passed over.
    async fn exchange(&mut self, action: &str, fields: &[(&str, String)]) -> Result<Message, Fault> {
        let id = self.ask(action, fields);
        self.flush().await?;
        loop {
            let message = self.message().await?;
            if message.answers(&id) || (message.get("Response") == Some("Error") && message.get("ActionID").is_none()) {
                return Ok(message);
            }
        }
    }

    /// How long it has been silent.
    pub(super) fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Says goodbye; where that fails the connection ends all the same.
    pub(super) async fn log_off(mut self) {
        self.ask("Logoff", &[]);
        let _ = timeout(ANSWER, self.flush()).await;
    }

    async fn banner(&mut self) -> Result<String, Fault> {
        loop {
            if let Some((line, _)) = self.parser.line(&mut self.inbound) {
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Fault> {
        // What is held is bounded by the parser, whatever is read.
        self.wire.allow(usize::MAX);
        self.inbound.reserve(READ);
        match self.wire.read_buf(&mut self.inbound).await {
            Ok(0) => Err(closed()),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) => Err(broken(&error)),
        }
    }
}

/// Waits for an answer no longer than exchanges take.
pub(super) async fn answered<T>(waiting: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(ANSWER, waiting).await.unwrap_or_else(|_| Err(silent(ANSWER)))
}

pub(super) fn silent(for_so_long: Duration) -> Fault {
    Fault::transient(format!(
        "the exchange has said nothing for {} s; the connection is made anew",
        for_so_long.as_secs()
    ))
}

fn closed() -> Fault {
    Fault::transient("the exchange closed the connection")
}

fn broken(error: &io::Error) -> Fault {
    Fault::transient(format!("the connection to the exchange broke: {}", error.kind()))
}
