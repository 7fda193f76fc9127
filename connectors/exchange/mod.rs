//! `exchange`: listens to a telephone exchange while calls happen, over the Asterisk Manager Interface (AMI), and asks it
//! now and then for its call records, so that a break of the connection loses no call.
//!
//! The connection stays open between pulls. What it says becomes pieces of calls, which [`crate::calls`] makes entries of:
//! a call is one entry, whatever of it was heard and in whatever order. What is heard waits here until a cursor comes back
//! that lies behind it, so that a page that was not committed is given again.
//!
//! | module | holds |
//! |---|---|
//! | `ami` | bytes to messages, within bounds (pure) |
//! | `link` | a connection that has been logged in |
//! | `event` | messages and records to pieces of calls (pure) |
//! | `records` | asking for call records |
//! | `pull` | what waits, the cursor, connecting again |

mod ami;
mod event;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod harness;
mod link;
mod pull;
mod records;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

pub use event::Fields;
pub use records::{Format, Records};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    calls::{CallSettings, Calls},
    contract::{Adapter, Gather, Limits, Mistake, Normalise, Recordings, Source, Toolbox},
    fault::Fault,
    mailbox::trust,
    mapping,
    secret::SecretRef,
};

/// What the adapter reads, in one line.
pub const ABOUT: &str = "电话交换机（Asterisk AMI）长连接：实时通话事件，断线后以话单补齐 / live events of an Asterisk exchange, gaps filled from its records";

/// Names of one list.
const MAX_LIST: usize = 64;

/// How the secret is shown to the exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// As the MD5 digest of a challenge and the secret: the secret itself is not sent.
    #[default]
    Md5,
    /// As it is. Only over TLS, or where nobody listens.
    Plain,
}

/// Settings of a telephone exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The exchange: a host name or an address.
    pub host: String,
    /// Port of its manager interface; 5038 unless set, 5039 with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether the connection is protected by TLS.
    #[serde(default)]
    pub tls: bool,
    /// PEM file with the only authorities to trust; by default the public authorities are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// User of the manager interface; it needs `read = call,cdr,agent,user` and nothing to write.
    pub user: String,
    /// Where the user's secret is found.
    pub secret: SecretRef,
    /// How the secret is shown.
    #[serde(default)]
    pub login: Login,
    /// Contexts of the dial plan through which citizens' calls come in; calls that never pass one of them (agents calling
    /// back, calls within the house) are not taken. Every call, unless set.
    #[serde(default)]
    pub contexts: Vec<String>,
    /// Name of the `UserEvent` that brings the agent's form.
    #[serde(default = "form_event")]
    pub form_event: String,
    /// Seconds of silence after which the exchange is asked whether it is there; 15 unless set. Twice as long, and the
    /// connection counts as broken.
    #[serde(default = "ping_seconds")]
    pub ping_seconds: u32,
    /// Events that may wait for being stored; beyond it no more are read from the connection.
    #[serde(default = "waiting_events")]
    pub waiting_events: u32,
    /// Bytes of one line; what is longer is cut off.
    #[serde(default = "line_bytes")]
    pub line_bytes: u32,
    /// Bytes of one message; one that is longer goes to quarantine with its beginning.
    #[serde(default = "message_bytes")]
    pub message_bytes: u32,
    /// Where call records are asked for. Without them, calls that come while the connection is broken are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
    /// What a form says, and when a call is whole.
    #[serde(default)]
    pub call: CallSettings,
}

fn form_event() -> String {
    "HotlineForm".to_owned()
}

fn ping_seconds() -> u32 {
    15
}

fn waiting_events() -> u32 {
    10_000
}

fn line_bytes() -> u32 {
    16 * 1024
}

fn message_bytes() -> u32 {
    256 * 1024
}

impl Settings {
    fn calls(&self) -> Result<Arc<Calls>, Fault> {
        self.call.calls(Limits::default().item_bytes).map(Arc::new)
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 5039 } else { 5038 })
    }

    fn door(&self) -> Result<link::Door, Fault> {
        Ok(link::Door {
            host: self.host.clone(),
            port: self.port(),
            trust: self.tls.then(|| trust(self.ca_file.as_deref())).transpose()?,
            user: self.user.clone(),
            secret: self.secret.reveal()?,
            login: self.login,
            bounds: ami::Bounds {
                line: usize::try_from(self.line_bytes).unwrap_or(usize::MAX),
                message: usize::try_from(self.message_bytes).unwrap_or(usize::MAX),
            },
        })
    }

    fn shape(&self, calls: Arc<Calls>, limit: usize) -> event::Shape {
        event::Shape {
            calls,
            contexts: self.contexts.clone(),
            form_event: self.form_event.clone(),
            fields: self.records.as_ref().map(|records| records.fields.clone()).unwrap_or_default(),
            limit,
        }
    }
}

/// A number out of its range, told with the range.
fn bounded(mistakes: &mut Vec<Mistake>, field: &str, value: u32, range: &std::ops::RangeInclusive<u32>) {
    if !range.contains(&value) {
        let message = format!("{value} is not within {} and {}", range.start(), range.end());
        mistakes.push(Mistake::new(format!("/{field}"), message));
    }
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.host.trim().is_empty()
            || self.host.contains(['/', ':', ' ']) && self.host.parse::<std::net::IpAddr>().is_err()
        {
            mistakes.push(Mistake::new("/host", "a host name or an address alone").suggest("host = \"10.1.2.3\""));
        }
        for (field, text) in [("/user", &self.user), ("/form_event", &self.form_event)] {
            if text.trim().is_empty() || text.chars().any(char::is_control) {
                mistakes.push(Mistake::new(field, "a name without line breaks is needed"));
            }
        }
        if self.contexts.len() > MAX_LIST {
            mistakes.push(Mistake::new("/contexts", format!("{MAX_LIST} contexts at most")));
        }
        bounded(&mut mistakes, "ping_seconds", self.ping_seconds, &(1..=3600));
        bounded(&mut mistakes, "waiting_events", self.waiting_events, &(100..=1_000_000));
        bounded(&mut mistakes, "line_bytes", self.line_bytes, &(1024..=1_048_576));
        bounded(&mut mistakes, "message_bytes", self.message_bytes, &(4096..=16_777_216));
        if let Some(records) = &self.records {
            mistakes.extend(mapping::below("/records", records.mistakes()));
        }
        mistakes.extend(mapping::below("/call", self.call.mistakes()));
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(self.calls()?)
    }

    fn gatherer(&self) -> Result<Option<Arc<dyn Gather>>, Fault> {
        Ok(Some(self.calls()?))
    }

    fn recordings(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Recordings>>, Fault> {
        self.call.fetcher(tools)
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let shape = self.shape(self.calls()?, tools.limits.item_bytes);
        let asker = self.records.as_ref().map(|records| records.asker(tools)).transpose()?;
        Ok(Source::Pull(Box::new(pull::Puller::new(self, self.door()?, shape, asker, tools.clone()))))
    }
}
