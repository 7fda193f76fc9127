//! `jiesu eval daily`: the gateway's decisions beside those that people made after it. Nothing is opened: decisions name
//! entries by their ids only.

use std::fmt::Write as _;

use jiesu::{
    eval::daily::{self, Daily},
    gateway,
};
use jiff::Timestamp;

use super::{
    Global,
    eval::{confusion_of, rate_of},
    open,
    report::Report,
};

/// Rulings read at once.
const CHUNK: i64 = 1000;

/// Rulings counted at most, the newest first.
const MOST: usize = 1_000_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 自何时改判，如 2026-11-01T00:00:00+08:00 / decided at this moment or later
    #[arg(long)]
    since: Option<Timestamp>,
    /// 至何时改判 / decided at this moment or earlier
    #[arg(long)]
    until: Option<Timestamp>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Report> {
    let store = gateway::open_store(&open::config(global)?).await?;
    let (since, until) = (arguments.since.unwrap_or(Timestamp::MIN), arguments.until.unwrap_or(Timestamp::MAX));
    let mut rulings = Vec::new();
    let mut before = None;
    while rulings.len() < MOST {
        let chunk = store.rulings(since, until, before, CHUNK).await?;
        let Some(last) = chunk.last() else { break };
        before = Some(last.entry);
        rulings.extend(chunk);
    }
    let daily = daily::figures(&store.own_decisions(since, until).await?, &rulings);
    Report::of(global.json, &daily, || text_of(&daily))
}

fn text_of(daily: &Daily) -> String {
    let decided: Vec<String> = daily.decided.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let mut text = format!(
        "本机的结论 / decided by the gateway: {}\n其后由人定的 / then decided by a person: {}\n",
        decided.join(", "),
        daily.looked_at
    );
    for (name, rate) in [
        ("引导、不予受理而维持的 / turned away, left standing", daily.turned_away_confirmed),
        ("受理而维持的 / accepted, left standing", daily.accepted_confirmed),
        ("待人工后受理的 / held, then accepted", daily.held_accepted),
    ] {
        if rate.of > 0 {
            let _ = writeln!(text, "{name}: {}", rate_of(rate));
        }
    }
    if daily.looked_at == 0 {
        return text;
    }
    text.push_str(&confusion_of("人的结论 / decided by people", &daily.outcomes));
    for rule in &daily.rules {
        let _ = writeln!(text, "  {:<28} {}  {:?}", rule.rule, rate_of(rule.confirmed), rule.became);
    }
    text
}
