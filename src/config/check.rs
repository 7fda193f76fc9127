//! Step three: what the file names outside itself. Only looks; nothing is created, changed or contacted.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use connectors::{
    clock::SystemClock,
    contract::{Mistake, Source, Toolbox},
    fault::Fault,
    http::{Http, HttpLimits, Unpaced},
    secret::SecretRef,
};
use secrecy::{ExposeSecret, SecretString};

use crate::http::tls::Tls;

use super::{Config, ConfigErrors, ConnectorDefinition, Draft, error::ConfigError, parse, read, validate};

/// Characters of a token, below which it could be guessed.
const MIN_TOKEN: usize = 16;

/// Looks at what a sound file names: secrets, files, folders, and what the adapters make of their settings. Connectors
/// that are switched off may lack theirs.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn check(draft: &Draft, config: &Config) -> Result<(), ConfigErrors> {
    let mut mistakes = Vec::new();
    secret("/seal/keys", &config.seal.keys, &mut mistakes);
    if let Some(password) = &config.store.password {
        secret("/store/password", password, &mut mistakes);
    }
    if let Some(webhook) = &config.alarms.webhook {
        secret("/alarms/webhook/address", &webhook.address, &mut mistakes);
        if let Some(token) = &webhook.token {
            secret("/alarms/webhook/token", token, &mut mistakes);
        }
    }
    mistakes.extend(folder(config));
    if let Some(tls) = &config.http.tls
        && let Err(error) = Tls::load(tls.certificate.clone(), tls.key.clone())
    {
        mistakes.push(Mistake::new("/http/tls", error.to_string()));
    }
    tokens(config, &mut mistakes);
    let files = [("/calendar/extra", &config.calendar.extra), ("/issue/words", &config.issue.words)];
    for (pointer, path) in files.into_iter().chain(config.screening.files()) {
        if let Some(path) = path
            && let Err(error) = std::fs::File::open(path)
        {
            mistakes.push(Mistake::new(pointer, format!("{} cannot be read: {error}", path.display())));
        }
    }
    match toolbox(config) {
        Ok(tools) => connectors(config, &tools, &mut mistakes),
        Err(fault) => mistakes.push(of_fault("", &fault)),
    }
    if mistakes.is_empty() { Ok(()) } else { Err(draft.source.errors(mistakes)) }
}

fn toolbox(config: &Config) -> Result<Toolbox, Fault> {
    let pace = Arc::new(Unpaced);
    let http = Http::new(HttpLimits::default(), pace.clone())?;
    Ok(Toolbox { clock: Arc::new(SystemClock), http, pace, limits: config.intake.limits })
}

fn of_fault(pointer: &str, fault: &Fault) -> Mistake {
    let mistake = Mistake::new(pointer, &fault.message);
    match &fault.remedy {
        Some(remedy) => mistake.suggest(remedy),
        None => mistake,
    }
}

fn secret(pointer: &str, reference: &SecretRef, mistakes: &mut Vec<Mistake>) -> Option<SecretString> {
    reference.reveal().map_err(|fault| mistakes.push(of_fault(pointer, &fault))).ok()
}

/// The folder of an embedded database must be there; the file in it is made at the first start.
fn folder(config: &Config) -> Option<Mistake> {
    let path = config.store.url.strip_prefix("sqlite:")?.split('?').next()?;
    if path.starts_with(':') {
        return None;
    }
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then(|| {
        Mistake::new("/store/url", format!("there is no folder {}", folder.display()))
            .suggest("create it, writable by the gateway's user only")
    })
}

fn tokens(config: &Config, mistakes: &mut Vec<Mistake>) {
    let mut seen: Vec<SecretString> = Vec::new();
    for (index, token) in config.http.tokens.iter().enumerate() {
        let place = format!("/http/token/{index}/secret");
        let Some(text) = secret(&place, &token.secret, mistakes) else { continue };
        if text.expose_secret().chars().count() < MIN_TOKEN {
            let mistake = Mistake::new(&place, format!("the token is shorter than {MIN_TOKEN} characters"));
            mistakes.push(mistake.suggest("make one with: openssl rand -hex 32"));
        }
        if seen.iter().any(|other| other.expose_secret() == text.expose_secret()) {
            let mistake = Mistake::new(&place, "another token has the same secret");
            mistakes.push(mistake.suggest("give each bearer a secret of its own"));
        }
        seen.push(text);
    }
}

fn connectors(config: &Config, tools: &Toolbox, mistakes: &mut Vec<Mistake>) {
    for (index, connector) in config.connectors.iter().enumerate().filter(|(_, connector)| connector.enabled) {
        let place = format!("/connector/{index}");
        let before = mistakes.len();
        for (pointer, reference) in connector.secrets() {
            secret(&format!("{place}{pointer}"), &reference, mistakes);
        }
        // An adapter that lacks a secret would say so again.
        if mistakes.len() == before {
            mistakes.extend(usable(connector, config, tools).err().map(|fault| of_fault(&place, &fault)));
        }
    }
}

/// Lets the adapter make its parts, which opens nothing yet.
fn usable(connector: &ConnectorDefinition, config: &Config, tools: &Toolbox) -> Result<(), Fault> {
    let adapter = connector.adapter().map_err(|error| Fault::configuration(error.to_string()))?;
    adapter.normaliser()?;
    if let Source::Push(push) = adapter.source(tools)? {
        for step in push.check().steps {
            step.outcome?;
        }
    }
    let answers = adapter.answerer(tools)?.is_some();
    if config.notices.through.as_ref() == Some(&connector.name) && !answers {
        return Err(Fault::configuration("notices are to go through this connector, but it cannot send")
            .remedy("set up its sending, or name another connector in [notices] through"));
    }
    Ok(())
}

/// What `jiesu check` tells of a file.
#[derive(Debug)]
pub struct CheckReport {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The configuration, where the file is sound in itself, even if something it names is missing.
    pub config: Option<Config>,
    /// Every mistake that was found; empty where there is none.
    pub errors: Vec<ConfigError>,
}

impl CheckReport {
    /// Whether the gateway can start with the file.
    pub fn passed(&self) -> bool {
        self.errors.is_empty()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(formatter, "{error}")?;
        }
        match (&self.config, self.errors.len()) {
            (Some(config), 0) => {
                let enabled = config.connectors.iter().filter(|connector| connector.enabled).count();
                let all = config.connectors.len();
                writeln!(formatter, "{}: 配置无误 / sound: {all} connectors, {enabled} enabled", self.file.display())
            }
            (_, mistakes) => writeln!(formatter, "{}: 有误 / mistakes: {mistakes}", self.file.display()),
        }
    }
}

/// Takes a file through all three steps and tells everything that was found. Contacts nothing: whether a source lets
/// us in is for `jiesu connector test`.
pub fn check_report(path: &Path) -> CheckReport {
    let mut report = CheckReport { file: path.to_owned(), config: None, errors: Vec::new() };
    let draft = match read(path).and_then(|text| parse(path, &text)) {
        Ok(draft) => draft,
        Err(ConfigErrors(errors)) => return CheckReport { errors, ..report },
    };
    match validate(&draft) {
        Ok(config) => {
            report.errors = check(&draft, &config).err().map(|errors| errors.0).unwrap_or_default();
            report.config = Some(config);
        }
        Err(ConfigErrors(errors)) => report.errors = errors,
    }
    report
}
