//! Everything that the console says, in Chinese and in English, from one catalogue: `words.toml` and what is in `words/`. A
//! test holds that every key that is used exists, that every key is used, and that each has both languages.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    zh: String,
    en: String,
}

/// The files of the catalogue.
const FILES: &[&str] = &[
    include_str!("words.toml"),
    include_str!("words/compare.toml"),
    include_str!("words/desk.toml"),
    include_str!("words/hotspots.toml"),
    include_str!("words/rules.toml"),
];

static CATALOGUE: LazyLock<HashMap<String, Entry>> = LazyLock::new(|| {
    let read = |file: &&str| toml::from_str::<HashMap<String, Entry>>(file).unwrap_or_default();
    FILES.iter().flat_map(read).collect()
});

/// A language of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Lang {
    /// 中文.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The name under which it is chosen.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// The language with that name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Zh, Self::En].into_iter().find(|lang| lang.as_str() == name)
    }

    /// The language tag of its pages (BCP 47).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// The words of a key.
    pub(super) fn t(self, key: &str) -> &'static str {
        self.known(key).unwrap_or("…")
    }

    /// The words of a key, where there are any.
    pub(super) fn known(self, key: &str) -> Option<&'static str> {
        let entry = CATALOGUE.get(key)?;
        Some(match self {
            Self::Zh => &entry.zh,
            Self::En => &entry.en,
        })
    }

    /// The words of one of a family of keys: of a state, a role, a place.
    pub(super) fn of(self, family: &str, member: &str) -> &'static str {
        self.t(&format!("{family}.{member}"))
    }

    /// The words of one of a family of keys, where there are any.
    pub(super) fn within(self, family: &str, member: &str) -> Option<&'static str> {
        self.known(&format!("{family}.{member}"))
    }

    /// The words of a key with values in their places: `{name}`.
    pub(super) fn tf(self, key: &str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
        values.iter().fold(self.t(key).to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), &value.to_string())
        })
    }

    /// How long, in its largest unit.
    pub(super) fn span(self, time: std::time::Duration) -> String {
        let seconds = time.as_secs();
        match seconds {
            0..=119 => self.tf("span.seconds", &[("n", &seconds)]),
            120..=7199 => self.tf("span.minutes", &[("n", &(seconds / 60))]),
            7200..=172_799 => self.tf("span.hours", &[("n", &(seconds / 3600))]),
            _ => self.tf("span.days", &[("n", &(seconds / 86400))]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use regex::Regex;

    use super::*;

    fn sources(folder: &Path, found: &mut String) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "html") {
                found.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_key_is_there_in_both_languages_and_used() {
        let all: Vec<(String, Entry)> = FILES
            .iter()
            .flat_map(|file| toml::from_str::<HashMap<String, Entry>>(file).expect("a file of the catalogue"))
            .collect();
        let written = all.len();
        let keys: BTreeSet<String> = all
            .into_iter()
            .map(|(key, entry)| {
                assert!(!entry.zh.trim().is_empty() && !entry.en.trim().is_empty(), "{key}");
                let switch = key == "nav_label.other_language";
                assert!(!entry.zh.is_ascii() || entry.zh == entry.en || switch, "{key}: {}", entry.zh);
                for place in Regex::new(r"\{\w+\}").unwrap().find_iter(&entry.zh) {
                    assert!(entry.en.contains(place.as_str()), "{key}: {}", place.as_str());
                }
                key
            })
            .collect();
        assert_eq!(keys.len(), written, "a key stands in two files");
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console"), &mut text);
        let named = Regex::new(r#""([a-z_]+(?:\.[a-z_0-9]+)+)""#).unwrap();
        let used: BTreeSet<&str> = named.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
        let families = Regex::new(r#"\b(?:of|within)\(\s*"([a-z_.]+)""#).unwrap();
        let families: BTreeSet<&str> =
            families.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
        let asked = Regex::new(r#"\bt[f12]?\(\s*"([^"]+)""#).unwrap();
        for key in asked.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()) {
            assert!(keys.contains(key), "the catalogue lacks {key:?}");
        }
        for family in &families {
            assert!(keys.iter().any(|key| key.starts_with(&format!("{family}."))), "the catalogue lacks {family}.*");
        }
        let done = Regex::new(r#"\bdone\(\s*(?:"[^"]*"|&[^;]*?),\s*"([a-z_]+)",?\s*\)"#).unwrap();
        let done: BTreeSet<String> = done.captures_iter(&text).map(|found| format!("done.{}", &found[1])).collect();
        for key in &done {
            assert!(keys.contains(key), "the catalogue lacks {key:?}");
        }
        for key in &keys {
            let family = key.rsplit_once('.').is_some_and(|(family, _)| families.contains(family));
            assert!(family || done.contains(key) || used.contains(key.as_str()), "nobody uses {key:?}");
        }
    }

    #[test]
    fn values_stand_in_their_places() {
        assert_eq!(Lang::Zh.span(std::time::Duration::from_secs(40)), "40 秒");
        assert_eq!(Lang::En.span(std::time::Duration::from_hours(3)), "3 h");
    }
}
