//! The sections that concern the console: whether it is served, how long a session lasts, and how it is protected.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The console, by which people run the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Whether it is served.
    pub enabled: bool,
    /// Minutes without a request after which a session ends, 1 to 1440.
    pub idle_minutes: u32,
    /// Hours after which a session ends in any case, 1 to 168.
    pub session_hours: u32,
    /// Minutes for which a one-time link (the first admin's, a new password's) can be used, 5 to 1440.
    pub link_minutes: u32,
    /// Seconds for which a ruling made in the console can be taken back; it takes effect after them, 0 to 600.
    pub undo_seconds: u32,
    /// Folder in which the console keeps the secrets of connectors, one file each, readable by the gateway's user only.
    /// Several gateways on one database need it in common.
    pub secrets: PathBuf,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            enabled: true,
            idle_minutes: 30,
            session_hours: 12,
            link_minutes: 60,
            undo_seconds: 15,
            secrets: PathBuf::from("secrets"),
        }
    }
}

/// Protection of the HTTP interface by the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM file with the certificate and those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM file with the certificate's key, not encrypted.
    pub key: PathBuf,
}
