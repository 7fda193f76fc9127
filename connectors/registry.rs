//! The one list of adapters. To add one: its variant, its place in [`AdapterKind::ALL`], its row; the compiler names
//! whatever is forgotten. `scripts/new-adapter` writes all three.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    board, calls,
    contract::{Adapter, AdapterInfo, Mistake, PresetInfo},
    exchange, files, inlet, mailbox, mapping, portal, process, rest,
    settings::{self, SettingsError, nearest},
};

/// The kinds of sources that can be read (适配器).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterKind {
    /// Mailboxes over IMAP.
    Mailbox,
    /// Message boards over HTTP.
    Board,
    /// Signed pushes.
    Inlet,
    /// A watched folder.
    Files,
    /// A form on the city's portal.
    Portal,
    /// A program in any language.
    Process,
    /// Call events that a telephone system pushes.
    Calls,
    /// HTTP interfaces that list what has changed.
    Rest,
    /// A live connection to a telephone exchange.
    Exchange,
}

/// There is no adapter of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no adapter {name:?}; expected {expected}")]
pub struct UnknownAdapter {
    /// The name, cut to 64 characters.
    pub name: String,
    /// The names that there are, in words.
    pub expected: String,
    /// The name that was most likely meant.
    pub nearest: Option<&'static str>,
}

/// What the registry holds of an adapter.
struct Row {
    name: &'static str,
    about: &'static str,
    schema: fn() -> Schema,
    settings: fn(&Value) -> Result<Box<dyn Adapter>, SettingsError>,
    mistakes: fn(&Value) -> Vec<Mistake>,
    secrets: fn(&Value) -> BTreeSet<String>,
    paths: &'static [&'static str],
}

/// The row of an adapter with these settings.
fn row<S: Adapter + DeserializeOwned + JsonSchema + 'static>(name: &'static str, about: &'static str) -> Row {
    Row {
        name,
        about,
        schema: || schema_for!(S),
        settings: |value| Ok(Box::new(settings::read::<S>(value)?)),
        mistakes: mistakes::<S>,
        secrets: |value| settings::read_through::<S>(value).secrets,
        paths: &[],
    }
}

impl AdapterKind {
    /// Every adapter.
    pub const ALL: [Self; 9] = [
        Self::Mailbox,
        Self::Board,
        Self::Inlet,
        Self::Files,
        Self::Portal,
        Self::Process,
        Self::Calls,
        Self::Rest,
        Self::Exchange,
    ];

    fn row(self) -> Row {
        match self {
            Self::Mailbox => Row { paths: &["ca_file"], ..row::<mailbox::Settings>("mailbox", mailbox::ABOUT) },
            Self::Board => row::<board::Settings>("board", board::ABOUT),
            Self::Inlet => row::<inlet::Settings>("inlet", inlet::ABOUT),
            Self::Files => Row { paths: &["folder", "done_folder"], ..row::<files::Settings>("files", files::ABOUT) },
            Self::Portal => row::<portal::Settings>("portal", portal::ABOUT),
            Self::Process => Row { paths: &["folder"], ..row::<process::Settings>("process", process::ABOUT) },
            Self::Calls => row::<calls::Settings>("calls", calls::ABOUT),
            Self::Rest => row::<rest::Settings>("rest", rest::ABOUT),
            Self::Exchange => Row { paths: &["ca_file"], ..row::<exchange::Settings>("exchange", exchange::ABOUT) },
        }
    }

    /// The name that configuration uses.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// An adapter with these settings, correctly typed; [`Adapter::validate`] has still to be asked.
    ///
    /// # Errors
    /// Every mistake in the types and names of the settings.
    pub fn settings(self, value: &Value) -> Result<Box<dyn Adapter>, SettingsError> {
        (self.row().settings)(&self.whole(value))
    }

    /// Every mistake in the settings, by JSON pointer: in types and names, and in what they say.
    pub fn mistakes(self, value: &Value) -> Vec<Mistake> {
        (self.row().mistakes)(&self.whole(value))
    }

    /// The settings with those of a preset underneath, where they name one.
    fn whole(self, value: &Value) -> Cow<'_, Value> {
        match self {
            Self::Board => board::expanded(value),
            _ => Cow::Borrowed(value),
        }
    }

    /// The ready settings that the adapter has.
    pub fn presets(self) -> Vec<PresetInfo> {
        match self {
            Self::Board => board::Preset::ALL.map(board::Preset::info).into(),
            Self::Files => mapping::Preset::EXPORTS.map(mapping::Preset::info).into(),
            _ => Vec::new(),
        }
    }

    /// What can be told of the adapter: its name, what it reads, the schema of its settings.
    pub fn info(self) -> AdapterInfo {
        let Row { name, about, schema, .. } = self.row();
        AdapterInfo { name, about, schema: schema() }
    }

    /// Where the settings refer to secrets, by JSON pointer.
    pub fn secrets(self, value: &Value) -> BTreeSet<String> {
        (self.row().secrets)(&self.whole(value))
    }

    /// The fields of the settings that hold a path (those of secrets apart): a relative one starts from the folder of
    /// the configuration file.
    pub fn paths(self) -> &'static [&'static str] {
        self.row().paths
    }
}

impl FromStr for AdapterKind {
    type Err = UnknownAdapter;

    fn from_str(name: &str) -> Result<Self, UnknownAdapter> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| UnknownAdapter {
            name: name.chars().take(64).collect(),
            expected: format!("one of {}", Self::ALL.map(|kind| format!("`{kind}`")).join(", ")),
            nearest: nearest(name, Self::ALL.map(Self::as_str)),
        })
    }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

fn mistakes<S: Adapter + DeserializeOwned>(value: &Value) -> Vec<Mistake> {
    let reading = settings::read_through::<S>(value);
    let sense = reading.value.as_ref().map(Adapter::validate).unwrap_or_default();
    // What stands in for a mistake is not the admin's doing.
    let sense = sense.into_iter().filter(|mistake| !reading.stands_in(&mistake.pointer)).collect::<Vec<_>>();
    reading.mistakes.into_iter().chain(sense).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_adapter_is_found_by_its_name_and_described() {
        for kind in AdapterKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let info = kind.info();
            assert_eq!(info.name, kind.as_str());
            assert!(!info.about.is_empty() && !info.about.contains('\n'), "{kind}: one line about it");
            let fields = info.schema.get("properties").and_then(Value::as_object).expect("settings are a table");
            for path in kind.paths() {
                assert!(fields.contains_key(*path), "{kind}: {path} is one of its fields");
            }
            for (field, schema) in fields {
                assert!(schema.get("description").is_some(), "{kind}: {field} says what it means");
            }
        }
    }

    #[test]
    fn an_unknown_adapter_is_told_with_what_there_is() {
        let error = "inlte".parse::<AdapterKind>().unwrap_err();
        assert_eq!(error.nearest, Some("inlet"));
        for kind in AdapterKind::ALL {
            assert!(error.to_string().contains(kind.as_str()), "{error}");
        }
    }

    #[test]
    fn no_adapter_accepts_a_field_that_it_does_not_know() {
        for kind in AdapterKind::ALL {
            let error = kind.settings(&json!({ "no_such_field": 1 })).err().expect("refused");
            assert!(error.mistakes.iter().any(|mistake| mistake.pointer == "/no_such_field"), "{kind}: {error}");
            assert!(kind.settings(&json!("text")).is_err() && kind.settings(&json!(null)).is_err(), "{kind}");
        }
    }
}
