//! `jiesu connector reconcile`: compares in this process what a source holds with what was stored, and names what is
//! missing. The gateway need not run; where it does, what is on its way is waited for.

use std::sync::Arc;

use connectors::{entry::ConnectorName, holdings::Period};
use jiesu::{
    directory::Directory,
    reconcile::{self, Outcome, ReconcileError},
    store::journal::Act,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::cli::{
    Global,
    failure::{Code, Failure},
    open,
    report::Report,
    table::{self, Table},
    words,
};

/// Days that are compared where nobody says.
const DAYS: i64 = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 名称 / name
    name: ConnectorName,
    /// 起，缺省为三天前 / from; three days ago unless given (2026-11-21T00:00:00+08:00)
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// 止，缺省为现在 / to; now unless given
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// 有缺件则退回游标重读；已有的不会重复 / where something is missing, set the cursor back to the beginning
    #[arg(long)]
    rewind: bool,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { name, from, to, rewind } = arguments;
    let (config, store) = open::store(global).await?;
    let definition = open::definition(&config, &store, &name).await?;
    open::connector(&config, &store, &name).await?;
    let clock = open::clock();
    let to = to.unwrap_or_else(|| clock.now());
    let from = from.or_else(|| to.checked_sub(SignedDuration::from_hours(24 * DAYS)).ok()).unwrap_or(to);
    if from >= to {
        return Err(Failure::usage("--from 须早于 --to / --from lies not before --to").into());
    }
    let running = super::answers(config.http.listen).await;
    let directory = Arc::new(Directory::new(clock.clone(), config.intake.limits));
    let period = Period { from, to };
    let outcome = reconcile::compare(&store, &directory, &definition, period, clock.as_ref(), running).await;
    let actor = open::actor();
    let act = Act { actor: &actor, action: "connector.reconcile", subject: name.as_str(), reason: None };
    let outcome = match outcome {
        Err(ReconcileError::Store(error)) => return Err(error.into()),
        outcome => outcome,
    };
    // Written down as what it is: asked for and ended in one.
    let now = clock.now();
    let asked = store.ask_reconciliation(&name, period, act, now).await?;
    reconcile::settle(&store, asked.id, &name, &outcome, now).await?;
    let Some(outcome) = outcome? else {
        let message = format!("接入点 {name} 的来源无法列出其所有 / the source of {name} cannot tell what it holds");
        return Err(Failure::conflict(message).into());
    };
    let rewound = rewind && outcome.missing > 0;
    if rewound {
        let reason = Some("reconciliation found items that were not stored");
        let act = Act { actor: &actor, action: "connector.rewind", subject: name.as_str(), reason };
        store.rewind_connector(&name, None, act, now).await?;
    }
    let code = if outcome.missing == 0 && outcome.whole { Code::Done } else { Code::Failed };
    let value = json!({ "connector": name, "from": from, "to": to, "outcome": outcome, "rewound": rewound });
    Ok(Report::of(global.json, &value, || text(&name, period, &outcome, rewound, now))?.code(code))
}

fn text(name: &ConnectorName, period: Period, outcome: &Outcome, rewound: bool, now: Timestamp) -> String {
    let mut text = table::facts(&[
        ("接入点", name.to_string()),
        ("时段", format!("{} — {}", words::moment(period.from, now), words::moment(period.to, now))),
        ("来源现有", outcome.held.to_string()),
        ("已入库", outcome.stored.to_string()),
        ("同号重复", outcome.repeats.to_string()),
        ("隔离", outcome.quarantined.to_string()),
        ("尚未读取", outcome.waiting.to_string()),
        ("缺件", outcome.missing.to_string()),
    ]);
    if !outcome.named.is_empty() {
        let mut table = Table::new(&[("缺件编号", 40), ("所在", 40)]);
        for missing in &outcome.named {
            table.row([missing.id.clone(), missing.place.clone()]);
        }
        text.push('\n');
        text.push_str(&table.text());
    }
    if !outcome.whole {
        text.push_str("\n来源未能列出全部，请缩短时段 / the source could not name all; ask for a shorter period");
    }
    match (outcome.missing, rewound) {
        (0, _) => text.push_str("\n账实相符 / balanced"),
        (_, true) => text.push_str("\n已退回游标，将重新读取 / set back; it is read again"),
        (_, false) => {
            let hint =
                format!("\n→ jiesu connector rewind {name}，重新读取，已有的不会重复 / reads again, nothing twice");
            text.push_str(&hint);
        }
    }
    text
}
