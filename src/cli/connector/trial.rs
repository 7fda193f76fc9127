//! `jiesu connector test`: builds the adapter in this process and tries its source step by step, so that an admin learns
//! what to do before the gateway does it at night.

use std::time::Duration;

use connectors::{
    contract::{Check, Source, Step},
    entry::ConnectorName,
    fault::Fault,
};
use jiesu::{
    config::{Config, ConnectorDefinition},
    directory::Directory,
};
use serde_json::{Value, json};

use crate::cli::{
    Global,
    failure::Code,
    open,
    report::Report,
    table::{clean, fold},
    words,
};

pub(crate) async fn run(global: &Global, name: &ConnectorName) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let definition = open::definition(&config, &store, name).await?;
    store.close().await;
    let check = tried(&config, &definition).await;
    let steps: Vec<Value> = check
        .steps
        .iter()
        .map(|step| match &step.outcome {
            Ok(detail) => json!({ "name": step.name, "passed": true, "detail": detail }),
            Err(fault) => json!({
                "name": step.name,
                "passed": false,
                "detail": fault.message,
                "class": fault.class,
                "remedy": fault.remedy,
            }),
        })
        .collect();
    let value = json!({ "name": name, "adapter": definition.adapter, "passed": check.passed(), "steps": steps });
    let code = if check.passed() { Code::Done } else { Code::Failed };
    Ok(Report::of(global.json, &value, || text(name, &check))?.code(code))
}

fn text(name: &ConnectorName, check: &Check) -> String {
    let mut text = String::new();
    for step in &check.steps {
        let name = words::step(step.name);
        match &step.outcome {
            Ok(detail) => text.push_str(&fold(&format!("✓ {name}：{}", clean(detail)), 0)),
            Err(fault) => {
                let class = words::fault_class(Some(fault.class.as_str()));
                text.push_str(&fold(&format!("✗ {name}：{class}：{}", fault.message), 0));
                if let Some(remedy) = &fault.remedy {
                    text.push_str(&fold(&format!("→ {remedy}"), 2));
                }
            }
        }
    }
    let verdict = if check.passed() { "可用 / passed" } else { "不可用 / failed" };
    text + &format!("接入点 {name} {verdict}")
}

/// Builds every part of the connector, then tries its source; ends at the first step that fails.
async fn tried(config: &Config, definition: &ConnectorDefinition) -> Check {
    let mut check = Check::default();
    let adapter = definition.adapter().map_err(|error| Fault::configuration(error.to_string()));
    let toolbox = Directory::new(open::clock(), config.intake.limits).toolbox(definition);
    let (adapter, toolbox) = match (adapter, toolbox) {
        (Ok(adapter), Ok(toolbox)) => (adapter, toolbox),
        (Err(fault), _) | (_, Err(fault)) => {
            check.step("settings", Err(fault));
            return check;
        }
    };
    check.step("settings", Ok(format!("适配器 {}", definition.adapter)));
    if let Err(fault) = adapter.normaliser() {
        check.step("normalise", Err(fault));
        return check;
    }
    let source = match adapter.source(&toolbox) {
        Ok(source) => source,
        Err(fault) => {
            check.step("open", Err(fault));
            return check;
        }
    };
    let timeout = Duration::from_secs(definition.timeout_seconds);
    let tried = match source {
        Source::Push(push) => push.check(),
        Source::Pull(mut reader) => tokio::time::timeout(timeout, reader.check()).await.unwrap_or_else(|_| {
            let seconds = timeout.as_secs();
            let fault = Fault::transient(format!("来源在 {seconds} 秒内没有应答 / no answer in {seconds} seconds"))
                .remedy("检查网络与来源，或调大 timeout_seconds");
            Check { steps: vec![Step { name: "reach", outcome: Err(fault) }] }
        }),
    };
    check.steps.extend(tried.steps);
    if check.passed() {
        match adapter.answerer(&toolbox) {
            Ok(Some(_)) => {
                check.step("answer", Ok("已设置 / set up; 未发送任何信件 / nothing was sent".to_owned()));
            }
            Ok(None) => {}
            Err(fault) => {
                check.step("answer", Err(fault));
            }
        }
    }
    check
}
