//! `jiesu connector presets`: ready settings, and the text of one to start from.

use connectors::{contract::PresetInfo, registry::AdapterKind};
use serde_json::json;

use super::super::{Global, failure::Failure, report::Report, table};

pub(super) fn run(global: &Global, name: Option<&str>) -> anyhow::Result<Report> {
    let all: Vec<(AdapterKind, PresetInfo)> = AdapterKind::ALL
        .into_iter()
        .flat_map(|kind| kind.presets().into_iter().map(move |preset| (kind, preset)))
        .collect();
    let Some(name) = name else {
        let value: Vec<_> = all
            .iter()
            .map(|(kind, preset)| json!({ "adapter": kind.as_str(), "name": preset.name, "about": preset.about }))
            .collect();
        return Report::of(global.json, &value, || {
            let mut text = String::new();
            for (kind, preset) in &all {
                text.extend([preset.name, "  (", kind.as_str(), ")\n"]);
                text.push_str(&table::fold(preset.about, 4));
            }
            text
        });
    };
    let found: Vec<&(AdapterKind, PresetInfo)> = all.iter().filter(|(_, preset)| preset.name == name).collect();
    if found.is_empty() {
        let message = format!("没有现成设置 {name} / there are no settings called {name}");
        return Err(Failure::missing(message).remedy("jiesu connector presets 列出全部").into());
    }
    let value: Vec<_> = found
        .iter()
        .map(|(kind, preset)| json!({ "adapter": kind.as_str(), "name": preset.name, "text": preset.text }))
        .collect();
    Report::of(global.json, &value, || {
        let one = |(kind, preset): &&(AdapterKind, PresetInfo)| format!("# adapter = \"{kind}\"\n{}", preset.text);
        found.iter().map(one).collect::<Vec<_>>().join("\n")
    })
}
