//! `process`: an adapter in any language, as a program that speaks JSON lines on its standard input and output.
//!
//! A city has sources that nobody else has, and people who know them but no Rust. So a program of theirs is asked, in one
//! line, and answers in lines (see `docs/adapters/process.md`). It is trusted with its source and with nothing else: it
//! sees only the environment that the settings name, every line, page and answer of it has a bound, what it writes to its
//! standard error is read and thrown away because it may hold what citizens wrote, and it is killed together with whatever
//! it started when the connector stops, when it breaks the protocol, or when it does not answer in time. It is started
//! again by the next call, so the gateway's own backoff rules how often.
//!
//! | module | holds |
//! |---|---|
//! | `program` | the running program: lines in, lines out, its end |
//! | `talk` | what the lines mean (pure) |
//! | `pull` | the contract on top of them |

#[cfg(test)]
mod harness;
mod program;
mod pull;
mod talk;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::{
    contract::{Adapter, Mistake, Normalise, Source, Toolbox},
    fault::Fault,
    mail,
    mapping::{self, Compiled, Mapping, Preset},
    reader::Reader,
    secret::SecretRef,
};

/// What the adapter reads, in one line.
pub const ABOUT: &str = "外部程序（任何语言，逐行 JSON）/ a program in any language that speaks JSON lines";

/// Words that a command may have.
pub const MAX_WORDS: usize = 64;

/// Variables that a program may be given.
pub const MAX_VARIABLES: usize = 64;

/// The longest that a program may be given for one answer, in seconds.
pub const MAX_ANSWER_SECONDS: u32 = 600;

/// The shortest and the longest line that may be allowed, in bytes.
pub const LINE_BYTES: std::ops::RangeInclusive<usize> = 1024..=128 * 1024 * 1024;

/// Settings of a program that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments; no shell stands between. A name without a slash is looked for in PATH, a relative path
    /// starts from `folder`. Anyone on the machine can read arguments: passwords go into `secrets`.
    pub command: Vec<String>,
    /// The folder that the program runs in; the gateway's own unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Variables of the program's environment, by name, as plain text.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the program's environment that are secret, by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Variables of the gateway's own environment that are passed on; PATH, LANG and TZ unless set. The program sees no other.
    #[serde(default = "default_pass")]
    pub pass: BTreeSet<String>,
    /// Where each field of a complaint stands in the documents that the program gives.
    #[serde(default = "default_mapping")]
    pub mapping: Mapping,
    /// Addresses of our own, so that our own mail among the mails that the program gives is known.
    #[serde(default)]
    pub own_addresses: Vec<String>,
    /// How long the program may take for one answer, in seconds; 60 unless set. After that it is killed.
    #[serde(default = "default_answer")]
    pub answer_seconds: u32,
    /// The longest line that is read from it, in bytes; 36 MiB unless set, room for a mail of 25 MiB in base64. A longer one
    /// goes to quarantine with its beginning.
    #[serde(default = "default_line")]
    pub line_bytes: usize,
}

fn default_pass() -> BTreeSet<String> {
    ["PATH", "LANG", "TZ"].map(str::to_owned).into()
}

fn default_mapping() -> Mapping {
    Mapping::preset(Preset::Portal)
}

fn default_answer() -> u32 {
    60
}

fn default_line() -> usize {
    36 * 1024 * 1024
}

impl Settings {
    fn compiled(&self) -> Result<Arc<Compiled>, Fault> {
        self.mapping.compile().map(Arc::new).map_err(|mistakes| mapping::fault(&mistakes))
    }

    /// The program's whole environment.
    fn environment(&self) -> Result<BTreeMap<String, std::ffi::OsString>, Fault> {
        let mut environment = BTreeMap::new();
        for name in &self.pass {
            environment.extend(std::env::var_os(name).map(|value| (name.clone(), value)));
        }
        environment.extend(self.env.iter().map(|(name, value)| (name.clone(), value.into())));
        for (name, secret) in &self.secrets {
            environment.insert(name.clone(), secret.reveal()?.expose_secret().into());
        }
        Ok(environment)
    }

    fn judge_command(&self, mistakes: &mut Vec<Mistake>) {
        let suggestion = "command = [\"python3\", \"/srv/jiesu/source.py\"]";
        if self.command.first().is_none_or(String::is_empty) {
            mistakes.push(Mistake::new("/command", "no program is named").suggest(suggestion));
        }
        if self.command.len() > MAX_WORDS {
            let message = format!("{} words are more than {MAX_WORDS}", self.command.len());
            mistakes.push(Mistake::new("/command", message).suggest("write a script and name that"));
        }
        for (index, word) in self.command.iter().enumerate().filter(|(_, word)| word.contains('\0')) {
            let message = format!("a program's words hold no NUL byte, and this one of {} bytes does", word.len());
            mistakes.push(Mistake::new(format!("/command/{index}"), message));
        }
        let relative = self.command.first().is_some_and(|word| word.contains('/') && !word.starts_with('/'));
        if relative && self.folder.is_none() {
            let message = "a relative path starts from the folder, and no folder is named";
            mistakes.push(Mistake::new("/command/0", message).suggest("name the whole path, or set folder"));
        }
    }

    fn judge_variables(&self, mistakes: &mut Vec<Mistake>) {
        let named = |field: &'static str, names: Vec<&String>| {
            names.into_iter().map(move |name| (format!("/{field}/{name}"), name.clone())).collect::<Vec<_>>()
        };
        let mut variables = named("env", self.env.keys().collect());
        variables.extend(named("secrets", self.secrets.keys().collect()));
        variables.extend(self.pass.iter().enumerate().map(|(index, name)| (format!("/pass/{index}"), name.clone())));
        if variables.len() > MAX_VARIABLES {
            let message = format!("{} variables are more than {MAX_VARIABLES}", variables.len());
            mistakes.push(Mistake::new("/env", message).suggest("put them into a file that the program reads"));
        }
        for (pointer, name) in variables {
            let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if !starts || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                let message = "a variable's name has letters, digits and underscores and starts with no digit";
                mistakes.push(Mistake::new(pointer, message).suggest("SOURCE_URL"));
            }
        }
        for name in self.env.keys().filter(|name| self.secrets.contains_key(*name)) {
            let message = "this variable stands among the secrets as well";
            mistakes.push(Mistake::new(format!("/env/{name}"), message).suggest("take one of the two away"));
        }
        for (name, _) in self.env.iter().filter(|(_, value)| value.contains('\0')) {
            mistakes.push(Mistake::new(format!("/env/{name}"), "a variable holds no NUL byte"));
        }
    }
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        self.judge_command(&mut mistakes);
        self.judge_variables(&mut mistakes);
        if !(1..=MAX_ANSWER_SECONDS).contains(&self.answer_seconds) {
            let message = format!("{} is not within 1 to {MAX_ANSWER_SECONDS} seconds", self.answer_seconds);
            mistakes.push(Mistake::new("/answer_seconds", message).suggest(default_answer().to_string()));
        }
        if !LINE_BYTES.contains(&self.line_bytes) {
            let (least, most) = (LINE_BYTES.start(), LINE_BYTES.end());
            let message = format!("{} is not within {least} to {most} bytes", self.line_bytes);
            mistakes.push(Mistake::new("/line_bytes", message).suggest(default_line().to_string()));
        }
        mistakes.extend(mapping::below("/mapping", self.mapping.validate()));
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        let own = mail::OwnAddresses { addresses: self.own_addresses.clone(), ..mail::OwnAddresses::default() };
        Ok(Arc::new(Reader {
            mapping: self.compiled()?,
            own,
            bounds: mail::Bounds::default(),
            unread: "the document is not JSON: it was taken in unread",
        }))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let command = program::Command {
            words: self.command.clone(),
            folder: self.folder.clone(),
            environment: self.environment()?,
        };
        Ok(Source::Pull(Box::new(pull::Asked::new(self, command, self.compiled()?, tools))))
    }
}
