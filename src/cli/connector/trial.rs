//! `jiesu connector test`: builds the adapter in this process and tries its source step by step, so that an admin learns
//! what to do before the gateway does it at night.

use std::time::Duration;

use connectors::{contract::Check, entry::ConnectorName};
use jiesu::{directory::Directory, gateway, trial::tried};
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
    let directory = Directory::new(open::clock(), config.intake.limits);
    let assessor = gateway::rules(&config)?.assessor();
    let check = tried(&directory, &definition, &assessor, Duration::MAX).await;
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
