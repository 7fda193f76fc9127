//! Putting an entry back on the work list: to be assessed anew, or to be issued by a person's decision.

use jiesu::{
    assess::{Article, Disposition},
    gateway::Parts,
    ids::EntryId,
    issue::Ruling,
    store::{journal::Act, read::EntrySummary},
};
use serde_json::json;

use crate::cli::{Global, open, report::Report, words};

pub(crate) async fn replay(global: &Global, id: EntryId, reason: Option<&str>) -> anyhow::Result<Report> {
    let parts = open::parts(open::config(global)?).await?;
    let (actor, subject) = (open::actor(), id.to_string());
    let act = Act { actor: &actor, action: "entry.replay", subject: &subject, reason };
    parts.store.reissue(id, None, act, parts.clock.now()).await?;
    finish(global, &parts, id).await
}

pub(crate) async fn decide(
    global: &Global,
    id: EntryId,
    disposition: Disposition,
    article: Article,
    reason: String,
) -> anyhow::Result<Report> {
    let parts = open::parts(open::config(global)?).await?;
    let (actor, subject) = (open::actor(), id.to_string());
    let ruling = Ruling::new(&actor, disposition, article, &reason);
    let act = Act { actor: &actor, action: "entry.decide", subject: &subject, reason: Some(&reason) };
    parts.store.reissue(id, Some(&ruling), act, parts.clock.now()).await?;
    finish(global, &parts, id).await
}

/// Issues what is pending, unless a running gateway does, and tells where the entry stands now.
async fn finish(global: &Global, parts: &Parts, id: EntryId) -> anyhow::Result<Report> {
    let issued = parts.issuer.drain().await?;
    let summary = parts.store.entry(id).await?.summary;
    let value =
        json!({ "entry": id, "issued_here": issued.is_some(), "place": summary.place, "ticket": summary.ticket });
    Report::of(global.json, &value, || {
        if issued.is_some() {
            format!("来件 {id} 已处理 / issued：{}", where_it_is(&summary))
        } else {
            format!("来件 {id} 已交运行中的网关处理 / the running gateway takes it up\n  → jiesu entry show {id}")
        }
    })
}

fn where_it_is(summary: &EntrySummary) -> String {
    let place = words::place(summary.place);
    match (summary.ticket, &summary.quarantine_reason) {
        (Some(number), _) => format!("{place} {number}"),
        (None, Some(reason)) => format!("{place}（{reason}）"),
        (None, None) => place.to_owned(),
    }
}
