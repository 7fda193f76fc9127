//! The configuration: one TOML file, judged whole before anything starts.
//!
//! A gateway that runs unattended must not find out at three in the morning that a field was misspelt. So a file is
//! taken in three steps: [`parse`] reads it, [`validate()`] judges all of it without touching anything outside, and
//! [`check()`] looks at what it names (secrets, files, folders). Each tells every mistake it finds, with line and column.
//!
//! | module | holds |
//! |---|---|
//! | `sections`, `watch` | the sections of the file, their defaults and units |
//! | `console` | the sections of the console and of TLS |
//! | `definition` | a connector as it is configured and stored |
//! | `source` | the text of the file, and where each value stands in it |
//! | `validate`, `check` | the two judgements |
//! | `error` | mistakes, told by file, line and column |

mod check;
mod console;
mod definition;
mod error;
mod sections;
mod source;
mod validate;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use connectors::settings::{self, Reading};
use serde::{Deserialize, Serialize};

pub use check::{CheckReport, check, check_report};
pub use console::{Console, TlsFiles};
pub use definition::{ConnectorDefinition, DefinitionError};
pub use error::{ConfigError, ConfigErrors};
pub use sections::{
    BadHours, Calendar, Hours, Http, Intake, Issue, Log, LogFormat, Notices, Office, Queue, Scope, Screening, Seal,
    Shutdown, Store, Token,
};

pub use watch::{AlarmMail, Alarms, Nightly, Reconcile, Webhook, WebhookForm};

use source::Source;

/// The largest configuration file that is read.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The whole configuration. Every section and every field has a default, apart from the tokens and the connectors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who runs the hotline.
    pub office: Office,
    /// Where everything is kept.
    pub store: Store,
    /// How what identifies a petitioner is sealed (Article 24).
    pub seal: Seal,
    /// The HTTP interface: deliveries, queue, console.
    pub http: Http,
    /// Taking entries in.
    pub intake: Intake,
    /// Turning entries into tickets.
    pub issue: Issue,
    /// Handing tickets out.
    pub queue: Queue,
    /// Messages to petitioners.
    pub notices: Notices,
    /// Working days and hours.
    pub calendar: Calendar,
    /// Rules that decide what is accepted, guided or declined.
    pub screening: Screening,
    /// Telling the operator.
    pub alarms: Alarms,
    /// Comparing what sources hold with what was stored.
    pub reconcile: Reconcile,
    /// What the program says about itself.
    pub log: Log,
    /// Stopping.
    pub shutdown: Shutdown,
    /// The console.
    pub console: Console,
    /// The connectors (接入点).
    #[serde(rename = "connector", skip_serializing_if = "Vec::is_empty")]
    pub connectors: Vec<ConnectorDefinition>,
}

/// A configuration file that was read, with whatever mistakes it holds.
#[derive(Debug)]
pub struct Draft {
    source: Source,
    reading: Reading<Config>,
}

/// Reads a configuration file and judges it whole; opens nothing that it names.
///
/// # Errors
/// Every mistake in it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    validate(&parse(path, &read(path)?)?)
}

/// Reads the text of a configuration file.
///
/// # Errors
/// Why it cannot be read, and what to do.
fn read(path: &Path) -> Result<String, ConfigErrors> {
    let whole =
        |message: String, suggestion: &str| ConfigErrors::from(ConfigError::of_file(path, message).suggest(suggestion));
    let mut bytes = Vec::new();
    // One byte more than the bound tells that it is passed, and whatever the name stands for ends.
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        whole(format!("cannot be read: {error}"), "start from jiesu.example.toml, or name the file with --config")
    })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(whole(format!("is larger than {MAX_FILE_BYTES} bytes"), "is it the right file?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        whole(format!("line {line} is not UTF-8"), "save the file as UTF-8")
    })
}

/// Step one: takes the text apart and reads its values, as far as they can be read.
///
/// # Errors
/// Every place where the text is not TOML.
pub fn parse(path: &Path, text: &str) -> Result<Draft, ConfigErrors> {
    let source = Source::parse(path, text)?;
    let reading = settings::read_through::<Config>(source.value());
    Ok(Draft { source, reading })
}

/// Step two: judges the whole file, without touching anything outside it. Relative paths in the result start from the
/// folder of the file.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn validate(draft: &Draft) -> Result<Config, ConfigErrors> {
    let mistakes = validate::mistakes(draft);
    match &draft.reading.value {
        Some(config) if mistakes.is_empty() => Ok(config.clone().anchored(draft.source.folder())),
        _ => Err(draft.source.errors(mistakes)),
    }
}

impl Config {
    /// The configuration with relative paths that start from `folder`.
    #[must_use]
    pub fn anchored(mut self, folder: &Path) -> Self {
        self.store.url = sections::anchored_url(&self.store.url, folder);
        let webhook = self.alarms.webhook.as_mut();
        let (address, token) =
            webhook.map_or((None, None), |webhook| (Some(&mut webhook.address), webhook.token.as_mut()));
        let secrets = [Some(&mut self.seal.keys), self.store.password.as_mut(), address, token];
        for secret in secrets.into_iter().flatten().chain(self.http.tokens.iter_mut().map(|token| &mut token.secret)) {
            sections::anchor_secret(secret, folder);
        }
        let screening = &mut self.screening;
        let files = [
            &mut screening.rules,
            &mut screening.places,
            &mut screening.subjects,
            &mut screening.units,
            &mut screening.model,
        ];
        for path in files.into_iter().chain([&mut self.calendar.extra, &mut self.issue.words]).flatten() {
            *path = anchored(path, folder);
        }
        if let Some(tls) = &mut self.http.tls {
            tls.certificate = anchored(&tls.certificate, folder);
            tls.key = anchored(&tls.key, folder);
        }
        self.console.secrets = anchored(&self.console.secrets, folder);
        self.connectors = self.connectors.into_iter().map(|connector| connector.anchored(folder)).collect();
        self
    }
}

/// An absolute path as it is, a relative one below `folder`.
fn anchored(path: &Path, folder: &Path) -> PathBuf {
    folder.join(path)
}
