//! A connector as it is configured and stored. The core knows no more of it than this; what its settings mean belongs
//! to its adapter.

use std::path::Path;

use connectors::{
    complaint::Channel,
    contract::{Adapter, Mistake},
    entry::ConnectorName,
    http::{Reach, guard},
    registry::{AdapterKind, UnknownAdapter},
    secret::SecretRef,
    settings::SettingsError,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{anchored, sections::anchor_secret, validate::within};

/// A connector (接入点): one configured, named, switchable instance of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorDefinition {
    /// Its name, unique, and for ever: entries are known by it.
    pub name: ConnectorName,
    /// The channel that its entries come from.
    pub channel: Channel,
    /// Which adapter reads it.
    pub adapter: String,
    /// Whether it runs.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Seconds between two pulls, 1 to 604800 (a week); without meaning where the source sends by itself.
    #[serde(default = "every_seconds")]
    pub every_seconds: u64,
    /// Seconds that one pull may take, 1 to 3600.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// Requests to the source within a minute, 1 to 60000.
    #[serde(default = "per_minute")]
    pub per_minute: u32,
    /// Requests that may follow each other at once before the rate holds, 1 to 10000.
    #[serde(default = "burst")]
    pub burst: u32,
    /// What it may reach over HTTP besides public addresses: networks (`10.1.0.0/16`), addresses, host names. A source
    /// inside the city's own network needs it where it is known by a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_private: Vec<String>,
    /// Hours without an entry after which its channel counts as silent whatever its habit, 1 to 8784 (a year).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_hours: Option<u32>,
    /// Whether what its source holds is compared each night with what was stored.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub reconcile: bool,
    /// Whether petitioners get notices for its entries; `false` while old entries are filled in.
    #[serde(default = "yes")]
    pub notify: bool,
    /// Entries that their source dates before this day ("2026-01-01") are taken in without notices: years of old mail are
    /// filled in, and nobody hears of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_before: Option<Date>,
    /// The adapter's own settings.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn every_seconds() -> u64 {
    60
}

fn timeout_seconds() -> u64 {
    120
}

fn per_minute() -> u32 {
    60
}

fn burst() -> u32 {
    5
}

/// Why a definition cannot be turned into a running connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// There is no such adapter.
    #[error("connector {connector}: {source}")]
    Adapter {
        /// Which connector.
        connector: ConnectorName,
        /// What is wrong.
        source: UnknownAdapter,
    },
    /// Its settings cannot be used.
    #[error("connector {connector}: {source}")]
    Settings {
        /// Which connector.
        connector: ConnectorName,
        /// What is wrong.
        source: SettingsError,
    },
}

impl ConnectorDefinition {
    /// Which adapter reads the connector.
    ///
    /// # Errors
    /// There is no such adapter.
    pub fn kind(&self) -> Result<AdapterKind, DefinitionError> {
        self.adapter.parse().map_err(|source| DefinitionError::Adapter { connector: self.name.clone(), source })
    }

    /// The adapter with its settings, judged but for what needs a look outside.
    ///
    /// # Errors
    /// There is no such adapter, or its settings cannot be used: all mistakes in them.
    pub fn adapter(&self) -> Result<Box<dyn Adapter>, DefinitionError> {
        let failed = |source| DefinitionError::Settings { connector: self.name.clone(), source };
        let adapter = self.kind()?.settings(&Value::Object(self.settings.clone())).map_err(failed)?;
        let mistakes = adapter.validate();
        if mistakes.is_empty() { Ok(adapter) } else { Err(failed(SettingsError { mistakes })) }
    }

    /// Every mistake in the definition and its settings, by JSON pointer; nothing outside is touched.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.own_mistakes();
        mistakes.extend(settings_mistakes(&self.adapter, Some(&Value::Object(self.settings.clone()))));
        mistakes
    }

    /// The mistakes outside the settings.
    pub(super) fn own_mistakes(&self) -> Vec<Mistake> {
        [
            within("/every_seconds", self.every_seconds, 1, 604_800),
            within("/timeout_seconds", self.timeout_seconds, 1, 3600),
            within("/per_minute", u64::from(self.per_minute), 1, 60_000),
            within("/burst", u64::from(self.burst), 1, 10_000),
            within("/silence_hours", self.silence_hours.unwrap_or(1).into(), 1, 8784),
            within("/allow_private", self.allow_private.len() as u64, 0, guard::MAX_ALLOWED as u64),
            Reach::parse(&self.allow_private)
                .err()
                .map(|(index, error)| Mistake::new(format!("/allow_private/{index}"), error.to_string())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The definition with relative paths, those of secret files included, that start from `folder`.
    #[must_use]
    pub fn anchored(mut self, folder: &Path) -> Self {
        for field in self.kind().map(AdapterKind::paths).unwrap_or_default() {
            if let Some(Value::String(path)) = self.settings.get_mut(*field)
                && let Some(whole) = anchored(Path::new(path.as_str()), folder).to_str()
            {
                whole.clone_into(path);
            }
        }
        for (pointer, mut reference) in self.secrets() {
            anchor_secret(&mut reference, folder);
            let SecretRef::File(path) = reference else { continue };
            if let Some(place) = self.secret_place(&pointer)
                && let Some(whole) = path.to_str()
            {
                *place = json!({ "file": whole });
            }
        }
        self
    }

    /// The secrets that the settings name, by JSON pointer below the definition.
    pub fn secrets(&self) -> Vec<(String, SecretRef)> {
        let Ok(kind) = self.kind() else { return Vec::new() };
        let settings = Value::Object(self.settings.clone());
        let places = kind.secrets(&settings).into_iter();
        let reference = |pointer: &str| SecretRef::deserialize(settings.pointer(pointer)?).ok();
        places.filter_map(|pointer| Some((format!("/settings{pointer}"), reference(&pointer)?))).collect()
    }

    fn secret_place(&mut self, pointer: &str) -> Option<&mut Value> {
        let below = pointer.strip_prefix("/settings/")?;
        let (field, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
        self.settings.get_mut(field)?.pointer_mut(rest)
    }
}

/// The mistakes in the settings of an adapter, and the one where there is no such adapter; pointers start at the
/// definition.
pub(super) fn settings_mistakes(adapter: &str, settings: Option<&Value>) -> Vec<Mistake> {
    let kind: AdapterKind = match adapter.parse() {
        Ok(kind) => kind,
        Err(UnknownAdapter { expected, nearest, .. }) => {
            let mistake = Mistake::new("/adapter", format!("no such adapter; expected {expected}"));
            return vec![match nearest {
                Some(name) => mistake.suggest(format!("did you mean `{name}`?")),
                None => mistake,
            }];
        }
    };
    let none = Value::Object(Map::new());
    let below = |mistake: Mistake| Mistake { pointer: format!("/settings{}", mistake.pointer), ..mistake };
    kind.mistakes(settings.unwrap_or(&none)).into_iter().map(below).collect()
}
