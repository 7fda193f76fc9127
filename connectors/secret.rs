//! Secrets are named in the configuration, never written in it.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Where a secret is found: `{ env = "NAME" }` or `{ file = "path" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file, whose trailing line break is not part of it.
    File(PathBuf),
}

impl SecretRef {
    /// Fetches the secret.
    ///
    /// # Errors
    /// A configuration fault where the variable or the file is missing or empty.
    pub fn reveal(&self) -> Result<SecretString, Fault> {
        let text = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| {
                Fault::configuration(format!("the environment variable {name} is not set"))
                    .remedy("set it, or name a file with { file = \"…\" }")
            })?,
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                Fault::configuration(format!("the secret file {} cannot be read: {error}", path.display()))
                    .remedy("create it, readable by the gateway's user only")
            })?,
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Fault::configuration(format!("the secret in {self} is empty")));
        }
        Ok(SecretString::from(text))
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(formatter, "environment variable {name}"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
        }
    }
}
