//! What waits for a person: entries that were held, and entries that could not be read. Many at once, with one reason; a ruling
//! can be taken back until it takes effect.

use std::{collections::HashMap, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use super::choice::{self, Group};
use crate::{
    assess::Disposition,
    console::{
        Console,
        access::{Form, Visitor},
        page::{Page, done, html},
        routes::WORKERS,
        trouble::Trouble,
    },
    ids::EntryId,
    store::{
        journal::Act,
        read::{ComplaintView, EntrySummary, Place},
        search::EntryFilter,
        tally::{Outcome, day_of},
        withheld::WithheldRuling,
    },
};

/// Rows of a page.
const ROWS: i64 = 50;

#[derive(Deserialize)]
pub(in crate::console) struct Asked {
    before: Option<i64>,
}

/// A row of a list.
struct Row {
    entry: EntrySummary,
    complaint: Option<ComplaintView>,
}

#[derive(Template)]
#[template(path = "held.html")]
struct HeldPage {
    page: Page,
    rows: Vec<Row>,
    total: i64,
    next: Option<EntryId>,
    /// Rulings that can be taken back, with the seconds that are left.
    withheld: Vec<(WithheldRuling, u64)>,
    /// Those of them that this visitor ruled.
    own: Vec<EntryId>,
    groups: Vec<Group>,
    undo_seconds: u32,
    works: bool,
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct QuarantinePage {
    page: Page,
    rows: Vec<Row>,
    total: i64,
    next: Option<EntryId>,
    works: bool,
}

/// The entries of a place that nobody has ruled on, with what was read in them.
async fn rows(console: &Console, place: Place, before: Option<i64>) -> Result<(Vec<Row>, Option<EntryId>), Trouble> {
    let filter =
        EntryFilter { place: Some(place), unruled: true, before: before.map(EntryId), ..EntryFilter::default() };
    let found = console.store.search_entries(&filter, ROWS).await?;
    let ids: Vec<EntryId> = found.entries.iter().map(|entry| entry.id).collect();
    let complaints = console.store.complaints_about(&ids).await?;
    let mut complaints: HashMap<EntryId, ComplaintView> =
        complaints.into_iter().map(|complaint| (complaint.entry, complaint)).collect();
    let row = |entry: EntrySummary| Row { complaint: complaints.remove(&entry.id), entry };
    Ok((found.entries.into_iter().map(row).collect(), found.next))
}

/// How many entries are in a place, as they were added up.
async fn total(console: &Console, outcome: Outcome) -> Result<i64, Trouble> {
    let counts = console.store.counts(day_of(console.clock.now())).await?;
    let all = counts.counts.iter().filter(|count| count.day == 0 && count.outcome == outcome);
    Ok(all.map(|count| count.amount).sum())
}

pub(in crate::console) async fn held(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let now = console.clock.now();
    let (rows, next) = rows(&console, Place::Held, asked.before).await?;
    let withheld = console.store.withheld_rulings(ROWS).await?;
    let actor = visitor.actor();
    let left =
        |ruled: &WithheldRuling| Duration::try_from(ruled.due_at.duration_since(now)).map_or(0, |left| left.as_secs());
    html(&HeldPage {
        page: Page::new(&visitor, "held", now),
        total: match (asked.before, next) {
            // All of them are here; those just ruled on are not.
            (None, None) => i64::try_from(rows.len()).unwrap_or(i64::MAX),
            _ => total(&console, Outcome::Held).await?,
        },
        rows,
        next,
        own: withheld.iter().filter(|ruled| ruled.actor == actor).map(|ruled| ruled.entry).collect(),
        withheld: withheld.into_iter().map(|ruled| (left(&ruled), ruled)).map(|(left, ruled)| (ruled, left)).collect(),
        groups: choice::groups(visitor.lang, Some(Disposition::Hold)),
        undo_seconds: console.settings.undo_seconds,
        works: visitor.may(WORKERS),
    })
}

/// Rules on many held entries for one reason.
pub(in crate::console) async fn rule(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let entries = choice::chosen(&form, visitor.lang)?;
    let ruling = choice::ruling(&form, &visitor)?;
    choice::rule(&console, &entries, &ruling).await?;
    Ok(done("/console/held", "ruled"))
}

/// Takes rulings back that have not taken effect.
pub(in crate::console) async fn undo(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let entries = choice::chosen(&form, visitor.lang)?;
    let undone = console.store.undo_rulings(&entries, &visitor.actor(), console.clock.now()).await?;
    let path = match (&entries[..], form.has("entry")) {
        ([entry], true) => format!("/console/entries/{entry}"),
        _ => "/console/held".to_owned(),
    };
    Ok(if undone.is_empty() { done(&path, "undo_late") } else { done(&path, "undone") })
}

pub(in crate::console) async fn quarantine(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let (rows, next) = rows(&console, Place::Quarantine, asked.before).await?;
    html(&QuarantinePage {
        page: Page::new(&visitor, "quarantine", console.clock.now()),
        rows,
        total: total(&console, Outcome::Quarantined).await?,
        next,
        works: visitor.may(WORKERS),
    })
}

/// Reads many quarantined entries again.
pub(in crate::console) async fn replay(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let entries = choice::chosen(&form, visitor.lang)?;
    let reason = choice::reason(&form, visitor.lang)?;
    let (actor, now) = (visitor.actor(), console.clock.now());
    for entry in entries {
        let subject = entry.to_string();
        let act = Act { actor: &actor, action: "entry.replay", subject: &subject, reason: Some(reason) };
        console.store.reissue(entry, None, act, now).await?;
    }
    console.pending.notify_one();
    Ok(done("/console/quarantine", "replayed"))
}
