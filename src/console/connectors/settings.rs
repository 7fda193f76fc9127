//! What the settings of every adapter are called in Chinese. The schema says it in English.

use std::{collections::HashMap, sync::LazyLock};

use connectors::registry::AdapterKind;
use serde::Deserialize;

/// What one setting is called, what it means, and what its choices mean.
#[derive(Debug, Deserialize)]
pub(super) struct Setting {
    pub(super) title: String,
    pub(super) hint: String,
    #[serde(flatten)]
    choices: HashMap<String, String>,
}

impl Setting {
    /// What a choice means.
    pub(super) fn choice(&self, word: &str) -> Option<&str> {
        self.choices.get(word).map(String::as_str)
    }
}

type Settings = HashMap<String, HashMap<String, Setting>>;

static SETTINGS: LazyLock<Settings> =
    LazyLock::new(|| toml::from_str(include_str!("../words/settings.toml")).unwrap_or_default());

/// A setting of an adapter by its pointer.
pub(super) fn setting(adapter: AdapterKind, pointer: &str) -> Option<&'static Setting> {
    SETTINGS.get(adapter.as_str())?.get(pointer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::{super::form::fields, *};
    use crate::console::words::Lang;

    #[test]
    fn every_setting_and_every_choice_has_its_words() {
        let known: Settings = toml::from_str(include_str!("../words/settings.toml")).unwrap();
        let adapters: BTreeSet<_> = known.keys().map(String::as_str).collect();
        assert_eq!(adapters, AdapterKind::ALL.map(AdapterKind::as_str).into_iter().collect());
        for adapter in AdapterKind::ALL {
            let fields = fields(adapter, &json!({}), Lang::En);
            let mut words: BTreeSet<_> = known[adapter.as_str()].keys().map(String::as_str).collect();
            for field in &fields {
                let at = format!("{} {}", adapter.as_str(), field.pointer);
                let Some(setting) = setting(adapter, &field.pointer) else { panic!("no words for {at}") };
                for words in [&setting.title, &setting.hint] {
                    assert!(!words.is_ascii(), "{at}: {words:?}");
                }
                let choices: BTreeSet<_> = field.choices.iter().map(|(word, _)| word.as_str()).collect();
                let told: BTreeSet<_> = setting.choices.keys().map(String::as_str).collect();
                assert_eq!(told, choices, "{at}");
                words.remove(field.pointer.as_str());
            }
            assert!(words.is_empty(), "{adapter:?} has no such settings: {words:?}");
        }
    }
}
