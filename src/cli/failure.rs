//! How a command ends: its exit code, and what is told when it failed. A message says what happened, to what, and what to
//! do; it never holds anything of a petitioner.

use std::{io, path::Path};

use connectors::fault::{Fault, FaultClass};
use jiesu::{
    config::{ConfigErrors, DefinitionError},
    gateway::GatewayError,
    seal::KeyError,
    store::StoreError,
};
use serde_json::{Value, json};

/// Exit codes, as `docs/cli.md` tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done.
    Done = 0,
    /// Failed, or what was checked is not in order.
    Failed = 1,
    /// The command was not given as it must be.
    Usage = 2,
    /// The configuration has mistakes.
    Configuration = 3,
    /// What was named does not exist.
    Missing = 4,
    /// What was asked for does not fit the state of things.
    Conflict = 5,
}

impl Code {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
        }
    }

    fn chinese(self) -> &'static str {
        match self {
            Self::Done | Self::Failed => "出错",
            Self::Usage => "用法有误",
            Self::Configuration => "配置有误",
            Self::Missing => "不存在",
            Self::Conflict => "有冲突",
        }
    }
}

/// A failure of the command line's own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    code: Code,
    message: String,
    remedy: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(Code::Missing, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// A file that cannot be read.
    pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::NotFound { Code::Missing } else { Code::Failed };
        Self::new(code, format!("{} 无法读取 / cannot be read: {error}", file.display()))
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// The exit code of an error, by the first cause that tells one.
pub(crate) fn code_of(error: &anyhow::Error) -> Code {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.code;
    }
    if error.is::<ConfigErrors>() || error.is::<DefinitionError>() {
        return Code::Configuration;
    }
    if error.downcast_ref::<Fault>().is_some_and(|fault| fault.class == FaultClass::Configuration) {
        return Code::Configuration;
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return of_store(error);
    }
    match error.downcast_ref::<KeyError>() {
        Some(KeyError::Write { error, .. }) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Code::Conflict;
        }
        Some(KeyError::Write { .. } | KeyError::Random) => return Code::Failed,
        Some(KeyError::Id { .. }) => return Code::Usage,
        Some(_) => return Code::Configuration,
        None => {}
    }
    match error.downcast_ref::<GatewayError>() {
        Some(GatewayError::Store(error)) => of_store(error),
        Some(
            GatewayError::Secret(_)
            | GatewayError::Keys(_)
            | GatewayError::ForeignKeys
            | GatewayError::Rules(_)
            | GatewayError::Words { .. }
            | GatewayError::Calendar(_)
            | GatewayError::Tls(_),
        ) => Code::Configuration,
        Some(GatewayError::Listen { .. }) | None => Code::Failed,
    }
}

fn of_store(error: &StoreError) -> Code {
    match error {
        StoreError::Missing { .. } => Code::Missing,
        StoreError::Conflict(_) | StoreError::Fenced { .. } => Code::Conflict,
        StoreError::Location { .. } => Code::Configuration,
        StoreError::Failed { .. } | StoreError::Migrate(_) | StoreError::Unreadable { .. } => Code::Failed,
    }
}

/// What is told of an error on standard error.
pub(crate) fn told(error: &anyhow::Error, as_json: bool) -> String {
    let code = code_of(error);
    let message = with_causes(error);
    let remedy = error.downcast_ref::<Failure>().and_then(|failure| failure.remedy.clone());
    if as_json {
        return json_of(code, &message, remedy.as_deref()).to_string();
    }
    match remedy {
        Some(remedy) => format!("{} / {}: {message}\n  → {remedy}", code.chinese(), code.word()),
        None => format!("{} / {}: {message}", code.chinese(), code.word()),
    }
}

/// The error and what caused it, as far as the error has not said so itself.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn json_of(code: Code, message: &str, remedy: Option<&str>) -> Value {
    json!({ "error": { "code": code.word(), "message": message, "remedy": remedy } })
}
