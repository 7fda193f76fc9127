//! `jiesu rules`: checking, publishing and putting in force what screens and classifies. A running gateway notices within
//! seconds.

use std::path::{Path, PathBuf};

use jiesu::{
    gateway,
    rulebook::Rulebook,
    store::{journal::Act, rules::RuleOrigin},
};
use serde_json::json;

use super::{Global, failure::Failure, open, report::Report, table::Table, words};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 核验规则文件，不启用 / judge a rule file, without using it
    Check {
        /// 规则文件 / rule file
        file: PathBuf,
    },
    /// 已发布的版本与启用记录 / published versions, and which were in force
    List {
        /// 至多几条 / how many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// 某一版本的全文；shipped 为随程序附带的规则 / the text of a version; `shipped` for the program's own
    Show {
        /// 版本 / version
        version: String,
    },
    /// 发布规则文件，不启用 / keep a rule file as a version, without putting it in force
    Publish {
        /// 规则文件 / rule file
        file: PathBuf,
        /// 说明 / what has changed
        #[arg(long, value_parser = open::reason)]
        note: Option<String>,
    },
    /// 启用已发布的版本；启用旧版本即为回退 / put a version in force; an older one is a roll-back
    Activate {
        /// 版本 / version
        version: String,
        /// 原因 / why
        #[arg(long, value_parser = open::reason)]
        reason: String,
    },
}

/// The name of the program's own rules.
const SHIPPED: &str = "shipped";

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    match command {
        Command::Check { file } => check(global, &file),
        Command::List { limit } => list(global, limit).await,
        Command::Show { version } => show(global, &version).await,
        Command::Publish { file, note } => publish(global, &file, note.as_deref()).await,
        Command::Activate { version, reason } => activate(global, &version, &reason).await,
    }
}

/// The rules of the configuration where there is one; a file can be judged without.
pub(crate) fn rulebook(global: &Global) -> anyhow::Result<Rulebook> {
    let config = match open::path(global) {
        Ok(_) => open::config(global)?,
        Err(_) => jiesu::config::Config::default(),
    };
    Ok(gateway::rules(&config)?)
}

pub(crate) fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).map_err(|error| Failure::unreadable(file, &error).into())
}

fn check(global: &Global, file: &Path) -> anyhow::Result<Report> {
    let text = read(file)?;
    let rules = rulebook(global)?.build(&text).map_err(|error| wrong(file, &error.to_string()))?;
    let value = json!({ "version": rules.version(), "city": rules.city(), "rules": rules.list().count() });
    Report::of(global.json, &value, || {
        format!("规则文件无误：版本 {}，{} 条规则 / sound", rules.version(), rules.list().count())
    })
}

fn wrong(file: &Path, problem: &str) -> Failure {
    Failure::new(super::failure::Code::Configuration, format!("{}：{problem}", file.display()))
}

async fn list(global: &Global, limit: i64) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let (versions, activations) = (store.rule_versions(limit).await?, store.rule_activations(limit).await?);
    let now = open::clock().now();
    let value = json!({ "versions": versions, "activations": activations });
    Report::of(global.json, &value, || {
        let mut table = Table::new(&[("版本", 34), ("来源", 10), ("发布", 12), ("由", 20)]);
        for version in &versions {
            table.row([
                version.version.clone(),
                version.origin.clone(),
                words::moment(version.published_at, now),
                version.actor.clone(),
            ]);
        }
        let mut text = if table.is_empty() { "没有版本 / no versions\n".to_owned() } else { table.text() };
        let mut table = Table::new(&[("启用", 34), ("时间", 12), ("由", 14), ("原因", 20)]);
        for activation in &activations {
            table.row([
                activation.version.clone(),
                words::moment(activation.at, now),
                activation.actor.clone(),
                activation.reason.clone().unwrap_or_default(),
            ]);
        }
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table.text());
        }
        text
    })
}

async fn show(global: &Global, version: &str) -> anyhow::Result<Report> {
    if version == SHIPPED {
        let text = jiesu::assess::RuleSet::shipped_text();
        return Report::of(global.json, &json!({ "version": SHIPPED, "text": text }), || text.to_owned());
    }
    let (_, store) = open::store(global).await?;
    let (version, text) = store.rule_text(version).await?;
    Report::of(global.json, &json!({ "version": version, "text": text }), || text.clone())
}

async fn publish(global: &Global, file: &Path, note: Option<&str>) -> anyhow::Result<Report> {
    let text = read(file)?;
    let rulebook = rulebook(global)?;
    let rules = rulebook.build(&text).map_err(|error| wrong(file, &error.to_string()))?;
    let (_, store) = open::store(global).await?;
    rulebook.keep_shipped(&store, open::clock().now()).await?;
    let actor = open::actor();
    let act = Act { actor: &actor, action: "rules.publish", subject: rules.version(), reason: note };
    let new = store.publish_rules(rules.version(), &text, RuleOrigin::Published, act, open::clock().now()).await?;
    let value = json!({ "version": rules.version(), "new": new, "rules": rules.list().count() });
    Report::of(global.json, &value, || {
        let known = if new { "已发布" } else { "先前已发布" };
        format!("{known}：{}（启用：jiesu rules activate {0} --reason …）", rules.version())
    })
}

async fn activate(global: &Global, version: &str, reason: &str) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    // What this program cannot read must not be put in force.
    rulebook(global)?
        .version(&store, version)
        .await
        .map_err(|error| Failure::conflict(format!("版本 {version} 不能启用 / cannot be put in force: {error}")))?;
    let actor = open::actor();
    let act = Act { actor: &actor, action: "rules.activate", subject: version, reason: Some(reason) };
    store.activate_rules(version, act, open::clock().now()).await?;
    Report::of(global.json, &json!({ "version": version }), || {
        format!("已启用 {version}，运行中的网关数秒内改用 / in force")
    })
}
