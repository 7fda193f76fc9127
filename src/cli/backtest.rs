//! `jiesu backtest`: what other rules would make of what is stored. Entries are opened in memory, which is written down
//! first; what is printed names entries by their ids only.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use jiesu::{
    assess::Assessor,
    backtest::{self, Backtest, Outcome, Selection},
    store::journal::Act,
};
use jiff::Timestamp;

use super::{Global, open, report::Report, rules, table::Table};

/// Entries that one back-test goes through at most.
const MOST: u64 = 100_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 要试的规则文件 / the rule file to try
    #[arg(long, value_name = "FILE", required_unless_present = "version", conflicts_with = "version")]
    rules: Option<PathBuf>,
    /// 要试的已发布版本 / or a published version
    #[arg(long)]
    version: Option<String>,
    /// 最近几件 / so many entries, the newest first
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    last: u64,
    /// 自何时收到，如 2026-11-01T00:00:00+08:00 / received at this moment or later
    #[arg(long)]
    since: Option<Timestamp>,
    /// 至何时收到 / received at this moment or earlier
    #[arg(long)]
    until: Option<Timestamp>,
    /// 原因（须开启原件，先记入审计） / why: raw entries are opened, which is written down first
    #[arg(long, value_parser = open::reason)]
    reason: String,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> anyhow::Result<Report> {
    let parts = open::parts(open::config(global)?).await?;
    let tools = parts.issuer.tools();
    let after = match (&arguments.rules, &arguments.version) {
        (Some(file), _) => {
            let text = rules::read(file)?;
            tools.rulebook.build(&text).map_err(|error| {
                super::failure::Failure::new(
                    super::failure::Code::Configuration,
                    format!("{}：{error}", file.display()),
                )
            })?
        }
        (None, version) => tools.rulebook.version(&parts.store, version.as_deref().unwrap_or_default()).await?,
    };
    let after = Assessor::new(Arc::new(after));
    let before = tools.rulebook.assessor();
    let selection = Selection {
        since: arguments.since.unwrap_or(Timestamp::MIN),
        until: arguments.until.unwrap_or(Timestamp::MAX),
        limit: usize::try_from(arguments.last).unwrap_or(usize::MAX),
    };
    let actor = open::actor();
    let subject = after.rules().version().to_owned();
    let act = Act { actor: &actor, action: "rules.backtest", subject: &subject, reason: Some(&arguments.reason) };
    let now = open::clock().now();
    let result = backtest::backtest(&parts.store, tools, (before, after), selection, (act, now)).await?;
    Report::of(global.json, &result, || text_of(&result))
}

fn text_of(result: &Backtest) -> String {
    let mut text = format!(
        "现行 {}，试用 {}\n共 {} 件，读不出 {} 件，结论不同 {} 件\n",
        result.before, result.after, result.assessed, result.unreadable, result.changed
    );
    for (moved, count) in &result.dispositions {
        let _ = writeln!(text, "  {moved}: {count}");
    }
    let mut table = Table::new(&[("来件", 8), ("实际", 8), ("现行", 30), ("试用", 30)]);
    let told = |outcome: &Outcome| {
        format!(
            "{} {} {} {}",
            outcome.disposition.chinese(),
            outcome.article,
            outcome.kind.chinese(),
            super::words::urgency(outcome.urgency)
        )
    };
    for change in &result.changes {
        let stored = change.stored.map(|stored| stored.chinese().to_owned()).unwrap_or_default();
        table.row([change.entry.to_string(), stored, told(&change.before), told(&change.after)]);
        table.note(&format!("{}：{}", change.after.rule, change.after.evidence.join("；")));
    }
    if !table.is_empty() {
        text.push_str(&table.text());
    }
    text
}
