//! What connectors are made from: the sources that offices have, with what can be known of them filled in.

use std::{collections::BTreeMap, sync::LazyLock};

use connectors::{complaint::Channel, registry::AdapterKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::console::words::Lang;

/// A kind of source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Preset {
    /// Its name in addresses.
    pub(super) id: String,
    zh: String,
    en: String,
    about_zh: String,
    about_en: String,
    /// Where its citizens speak.
    pub(super) channel: Channel,
    /// What reads it.
    pub(super) adapter: AdapterKind,
    /// Settings that are asked for first.
    #[serde(default)]
    pub(super) asked: Vec<String>,
    /// Settings that are known.
    #[serde(default)]
    pub(super) settings: Map<String, Value>,
    /// Settings that are taken from others where none is given.
    #[serde(default)]
    pub(super) copied: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    preset: Vec<Preset>,
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("presets.toml")).unwrap_or_default();
    let mut presets = file.preset;
    // Every adapter can be had bare, those too that nobody thought of here.
    presets.extend(AdapterKind::ALL.into_iter().map(|adapter| {
        let info = adapter.info();
        let (zh, en) = (format!("适配器 {}", info.name), format!("Adapter {}", info.name));
        Preset {
            id: format!("adapter-{}", info.name),
            zh,
            en,
            about_zh: info.about.to_owned(),
            about_en: info.about.to_owned(),
            channel: Channel::Portal,
            adapter,
            asked: Vec::new(),
            settings: Map::new(),
            copied: BTreeMap::new(),
        }
    }));
    presets
});

/// Every preset.
pub(super) fn all() -> &'static [Preset] {
    &PRESETS
}

/// The preset with that name.
pub(super) fn find(id: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.id == id)
}

impl Preset {
    /// What it is called.
    pub(super) fn words(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }

    /// What is needed for it.
    pub(super) fn about(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.about_zh,
            Lang::En => &self.about_en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::connectors::form;

    #[test]
    fn presets_fill_in_what_their_adapters_know() {
        let file: File = toml::from_str(include_str!("presets.toml")).expect("the presets");
        assert!(file.preset.len() >= 8 && all().len() == file.preset.len() + AdapterKind::ALL.len());
        for preset in all() {
            let settings = Value::Object(preset.settings.clone());
            let fields = form::fields(preset.adapter, &settings, Lang::Zh);
            for asked in preset.asked.iter().chain(preset.copied.keys()).chain(preset.copied.values()) {
                assert!(fields.iter().any(|field| field.pointer == *asked), "{}: {asked}", preset.id);
            }
            let unknown = preset
                .adapter
                .mistakes(&settings)
                .into_iter()
                .find(|mistake| mistake.message.contains("no such field"));
            assert!(unknown.is_none(), "{}: {unknown:?}", preset.id);
        }
    }
}
