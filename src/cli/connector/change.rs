//! What an admin changes about a connector: written into the database together with who did it; the running gateway
//! notices within its poll.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use connectors::{
    contract::{Cursor, Source},
    entry::ConnectorName,
};
use jiesu::{
    config::{Config, ConnectorDefinition},
    directory::Directory,
    store::{connectors::StoredConnector, journal::Act},
};
use serde_json::{Value, json};

use crate::cli::{Global, failure::Failure, open, report::Report};

pub(crate) async fn switch(global: &Global, name: &ConnectorName, enabled: bool) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let stored = open::connector(&config, &store, name).await?;
    let changed = stored.enabled != enabled;
    if changed {
        let action = if enabled { "connector.enable" } else { "connector.disable" };
        let actor = open::actor();
        let act = Act { actor: &actor, action, subject: name.as_str(), reason: None };
        store.switch_connector(name, enabled, act, open::clock().now()).await?;
    }
    Report::of(global.json, &json!({ "name": name, "enabled": enabled, "changed": changed }), || {
        match (enabled, changed) {
            (true, true) => format!("已启用 {name} / switched on; 运行中的网关随即接手"),
            (false, true) => format!("已停用 {name} / switched off; 运行中的网关随即停止读取"),
            (true, false) => format!("{name} 本已启用 / is on already"),
            (false, false) => format!("{name} 本已停用 / is off already"),
        }
    })
}

pub(crate) async fn request_run(global: &Global, name: &ConnectorName) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let stored = open::connector(&config, &store, name).await?;
    if !stored.enabled {
        let message = format!("接入点 {name} 已停用，不能读取 / connector {name} is switched off");
        return Err(Failure::conflict(message).remedy(format!("先运行 jiesu connector enable {name}")).into());
    }
    if sends_by_itself(&config, &stored) {
        let message = format!("接入点 {name} 由来源主动推送，无可读取 / connector {name} is pushed to");
        return Err(Failure::conflict(message).into());
    }
    let actor = open::actor();
    let act = Act { actor: &actor, action: "connector.run", subject: name.as_str(), reason: None };
    store.request_run(name, act, open::clock().now()).await?;
    Report::of(global.json, &json!({ "name": name, "run_requested": true }), || {
        format!("已请求立即读取 {name} / asked for; 运行中的网关随即读取")
    })
}

fn sends_by_itself(config: &Config, stored: &StoredConnector) -> bool {
    let Ok(definition) = serde_json::from_str::<ConnectorDefinition>(&stored.definition) else { return false };
    let directory = Directory::new(open::clock(), config.intake.limits);
    let (Ok(adapter), Ok(toolbox)) = (definition.adapter(), directory.toolbox(&definition)) else { return false };
    matches!(adapter.source(&toolbox), Ok(Source::Push(_)))
}

pub(crate) async fn rewind(
    global: &Global,
    name: &ConnectorName,
    to: Option<&str>,
    yes: bool,
) -> anyhow::Result<Report> {
    let cursor = to
        .map(|text| serde_json::from_str::<Value>(text).map(Cursor))
        .transpose()
        .map_err(|error| Failure::usage(format!("--to 不是 JSON / --to is not JSON: {error}")))?;
    let (config, store) = open::store(global).await?;
    let stored = open::connector(&config, &store, name).await?;
    let shown =
        |cursor: Option<&Cursor>| cursor.map_or_else(|| "从头 / beginning".to_owned(), |cursor| cursor.0.to_string());
    if !yes {
        let question = format!(
            "接入点 {name}\n现位置 / now:  {}\n退回到 / then: {}\n已收的来件不会重复。继续？/ Go on? [y/N] ",
            shown(stored.cursor.as_ref()),
            shown(cursor.as_ref())
        );
        if !agreed(&question)? {
            return Err(Failure::conflict("未改动 / nothing was changed").into());
        }
    }
    let actor = open::actor();
    let act = Act { actor: &actor, action: "connector.rewind", subject: name.as_str(), reason: None };
    store.rewind_connector(name, cursor.as_ref(), act, open::clock().now()).await?;
    let value = json!({ "name": name, "before": stored.cursor, "cursor": cursor });
    Report::of(global.json, &value, || {
        format!("已退回 {name} / set back\n原位置 / before: {}", shown(stored.cursor.as_ref()))
    })
}

/// Asks on standard error, so that an answer in JSON stays whole.
fn agreed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("无人可问 / there is nobody to ask").remedy("加上 --yes").into());
    }
    let mut errors = std::io::stderr();
    errors.write_all(question.as_bytes())?;
    errors.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是"))
}
