//! `jiesu ticket merge`, `unmerge`, `hotspots`, `labels`: what people say of matching, and what many people say.

use jiesu::{
    assess::Kind,
    desk,
    ids::EntryId,
    number::TicketNumber,
    store::{hotspots::HotSpot, merges::Asked},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Global, failure::Failure, open, report::Report, table::Table, words};

/// Longest reason, in characters, as over HTTP.
const MAX_REASON: usize = 1000;

fn checked(reason: &str) -> anyhow::Result<&str> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(
            Failure::usage(format!("--reason：须为 1 至 {MAX_REASON} 字 / 1 to {MAX_REASON} characters")).into()
        );
    }
    Ok(reason)
}

pub(crate) async fn merge(
    global: &Global,
    kept: TicketNumber,
    merged: TicketNumber,
    reason: &str,
) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let actor = open::actor();
    let asked = Asked { actor: &actor, reason: checked(reason)?, now: open::clock().now() };
    store.merge_tickets(kept, merged, asked).await?;
    Report::of(global.json, &json!({ "kept": kept, "merged": merged }), || {
        format!("工单 {merged} 已并入 {kept} / merged\n  → jiesu ticket unmerge {merged} --reason …")
    })
}

pub(crate) async fn unmerge(
    global: &Global,
    merged: Option<TicketNumber>,
    entry: Option<EntryId>,
    reason: &str,
) -> anyhow::Result<Report> {
    let parts = open::parts(open::config(global)?).await?;
    let actor = open::actor();
    let asked = Asked { actor: &actor, reason: checked(reason)?, now: parts.clock.now() };
    if let Some(merged) = merged {
        let kept = parts.store.unmerge_ticket(merged, asked).await?;
        return Report::of(global.json, &json!({ "kept": kept, "unmerged": merged }), || {
            format!("工单 {merged} 已从 {kept} 分出，恢复原状 / parted again")
        });
    }
    let entry = entry.ok_or_else(|| Failure::usage("须指明工单或 --entry / name a ticket or --entry"))?;
    let from = parts.store.split_off(entry, asked).await?;
    let issued = parts.issuer.drain().await?;
    let ticket = parts.store.entry(entry).await?.summary.ticket;
    Report::of(global.json, &json!({ "entry": entry, "from": from, "ticket": ticket }), || match (issued, ticket) {
        (Some(_), Some(ticket)) => format!("来件 {entry} 已从工单 {from} 分出，现为工单 {ticket} / split off"),
        _ => format!("来件 {entry} 已从工单 {from} 分出，运行中的网关将为其立案 / the running gateway takes it up"),
    })
}

pub(crate) fn parsed_kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| format!("须为其一 / one of {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

pub(crate) async fn kind(global: &Global, number: TicketNumber, kind: Kind, reason: &str) -> anyhow::Result<Report> {
    let parts = open::parts(open::config(global)?).await?;
    let actor = open::actor();
    let asked = Asked { actor: &actor, reason: checked(reason)?, now: parts.clock.now() };
    desk::change_kind(&parts.store, &parts.issuer.tools().calendar, number, kind, asked).await?;
    let ticket = parts.store.ticket(number).await?;
    Report::of(global.json, &ticket, || {
        let due = ticket.complete_due.map(|due| words::moment(due, asked.now)).unwrap_or_default();
        format!("工单 {number} 现为{} / changed；办结时限 {due}", kind.chinese())
    })
}

pub(crate) async fn hot_spots(global: &Global, days: i64, least: i64, limit: usize) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let now = open::clock().now();
    let days = SignedDuration::from_hours(24 * days);
    let since = now.checked_sub(days).unwrap_or(Timestamp::MIN);
    let before = since.checked_sub(days).unwrap_or(Timestamp::MIN);
    let spots = store.hot_spots(since, before, least, limit).await?;
    Report::of(global.json, &spots, || table(&spots, now))
}

fn table(spots: &[HotSpot], now: Timestamp) -> String {
    let mut table =
        Table::new(&[("工单", 15), ("期内", 4), ("此前", 4), ("共", 4), ("最近", 16), ("地点", 20), ("标题", 60)]);
    for spot in spots {
        table.row([
            spot.number.to_string(),
            spot.recent.to_string(),
            spot.before.to_string(),
            spot.complaints.to_string(),
            words::moment(spot.last_at, now),
            spot.place.clone().unwrap_or_default(),
            spot.title.clone(),
        ]);
    }
    table.text()
}

pub(crate) async fn labels(global: &Global, after: i64, limit: i64) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let labels = store.match_labels(after, limit).await?;
    Report::of(global.json, &labels, || {
        let line = |label: &jiesu::store::merges::MatchLabel| {
            format!("{}\t{}\t{}\thigh\t0\n", label.one, label.other, label.relation)
        };
        labels.iter().map(line).collect()
    })
}
