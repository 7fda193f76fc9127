//! Tickets merged and parted by hand, and hot spots, over HTTP.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    auth::Actor,
    error::ApiError,
    extract::{Body, Checks, MAX_REASON, Named, Params, limit},
};
use crate::{
    assess::Kind,
    desk,
    ids::EntryId,
    number::TicketNumber,
    store::{
        hotspots::HotSpot,
        merges::{Asked, MatchLabel},
        read::TicketView,
    },
};

/// Which ticket is merged, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Merging {
    /// The ticket that is merged into the one of the path.
    #[schema(value_type = String, example = "261123-000042-8")]
    merged: TicketNumber,
    /// Why; 1 to 1000 characters.
    reason: String,
}

/// Why tickets are parted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Parting {
    /// Why; 1 to 1000 characters.
    reason: String,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Merged {
    /// The ticket that stays, or that the complaint was taken out of.
    #[schema(value_type = String, example = "261123-000042-8")]
    kept: TicketNumber,
    /// The ticket that was merged or parted again.
    #[schema(value_type = Option<String>)]
    other: Option<TicketNumber>,
    /// The entry that was split off.
    entry: Option<EntryId>,
}

fn checked(reason: &str) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    checks.text("/reason", reason, MAX_REASON);
    checks.done()
}

/// Merge a ticket into this one. 并案
///
/// Its complaints join this ticket and are still owed their own answers. Undone by `unmerge`.
#[utoipa::path(post, path = "/v1/tickets/{number}/merge", tag = "tickets", request_body = Merging,
    params(("number" = String, Path, description = "Number of the ticket that stays")),
    responses((status = 200, description = "Merged", body = Merged), (status = 404, description = "There is no such ticket"),
        (status = 409, description = "Either was merged already")))]
pub(super) async fn merge(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(kept): Named<TicketNumber>,
    Body(Merging { merged, reason }): Body<Merging>,
) -> Result<Json<Merged>, ApiError> {
    checked(&reason)?;
    let asked = Asked { actor: &actor, reason: &reason, now: api.clock.now() };
    api.store.merge_tickets(kept, merged, asked).await?;
    api.queued.notify_waiters();
    Ok(Json(Merged { kept, other: Some(merged), entry: None }))
}

/// Undo the merge of this ticket. 撤销并案
#[utoipa::path(post, path = "/v1/tickets/{number}/unmerge", tag = "tickets", request_body = Parting,
    params(("number" = String, Path, description = "Number of the ticket that was merged into another")),
    responses((status = 200, description = "Parted again", body = Merged),
        (status = 404, description = "There is no such ticket"), (status = 409, description = "It is not merged")))]
pub(super) async fn unmerge(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(merged): Named<TicketNumber>,
    Body(Parting { reason }): Body<Parting>,
) -> Result<Json<Merged>, ApiError> {
    checked(&reason)?;
    let asked = Asked { actor: &actor, reason: &reason, now: api.clock.now() };
    let kept = api.store.unmerge_ticket(merged, asked).await?;
    api.queued.notify_waiters();
    Ok(Json(Merged { kept, other: Some(merged), entry: None }))
}

/// Of which kind a ticket is, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reclassing {
    /// Of which kind.
    kind: Kind,
    /// Why; 1 to 1000 characters.
    reason: String,
}

/// Say of which kind a ticket is. 更改类别
///
/// Its time to completion (Article 15) is reckoned anew from when it was opened, and it is delivered anew.
#[utoipa::path(post, path = "/v1/tickets/{number}/kind", tag = "tickets", request_body = Reclassing,
    params(("number" = String, Path, description = "Number of the ticket")),
    responses((status = 200, description = "The ticket as it is now", body = TicketView),
        (status = 404, description = "There is no such ticket"), (status = 409, description = "It was merged into another")))]
pub(super) async fn kind(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(number): Named<TicketNumber>,
    Body(Reclassing { kind, reason }): Body<Reclassing>,
) -> Result<Json<TicketView>, ApiError> {
    checked(&reason)?;
    let asked = Asked { actor: &actor, reason: &reason, now: api.clock.now() };
    desk::change_kind(&api.store, &api.tools.calendar, number, kind, asked).await?;
    api.queued.notify_waiters();
    Ok(Json(api.store.ticket(number).await?))
}

/// Take an entry out of a ticket that it was joined to wrongly. 分案
///
/// It goes back on the work list, opens a ticket of its own or joins another, and never this one again.
#[utoipa::path(post, path = "/v1/entries/{id}/split", tag = "entries", request_body = Parting,
    params(("id" = i64, Path, description = "Id of the entry")),
    responses((status = 200, description = "Taken out", body = Merged),
        (status = 404, description = "No such complaint is in a ticket"),
        (status = 409, description = "It opened the ticket")))]
pub(super) async fn split(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(entry): Named<EntryId>,
    Body(Parting { reason }): Body<Parting>,
) -> Result<Json<Merged>, ApiError> {
    checked(&reason)?;
    let asked = Asked { actor: &actor, reason: &reason, now: api.clock.now() };
    let kept = api.store.split_off(entry, asked).await?;
    api.pending.notify_one();
    Ok(Json(Merged { kept, other: None, entry: Some(entry) }))
}

/// Which hot spots.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Period {
    /// Days looked at, 1 to 366, beside as many before; 7 without it.
    days: Option<u32>,
    /// Complaints in that time at least; 3 without it.
    least: Option<u32>,
    /// How many, 1 to 200; 50 without it.
    limit: Option<u32>,
}

/// Matters that many people report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HotSpots {
    /// The most reported first.
    hotspots: Vec<HotSpot>,
}

/// Matters that many people report: size, growth, place and period. 热点
#[utoipa::path(get, path = "/v1/hotspots", tag = "tickets", params(Period),
    responses((status = 200, description = "The hot spots", body = HotSpots)))]
pub(super) async fn hot_spots(
    State(api): State<Arc<Api>>,
    Params(period): Params<Period>,
) -> Result<Json<HotSpots>, ApiError> {
    let limit = usize::try_from(limit(period.limit)?).unwrap_or(0);
    let days = period.days.unwrap_or(7);
    let mut checks = Checks::default();
    checks.within("/days", u64::from(days), 1, 366);
    checks.done()?;
    let length = SignedDuration::from_hours(24 * i64::from(days));
    let since = api.clock.now().checked_sub(length).unwrap_or(Timestamp::MIN);
    let before = since.checked_sub(length).unwrap_or(Timestamp::MIN);
    let hotspots = api.store.hot_spots(since, before, i64::from(period.least.unwrap_or(3)), limit).await?;
    Ok(Json(HotSpots { hotspots }))
}

/// Which labels.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LabelsPage {
    /// After this one: `next` of the page before.
    after: Option<i64>,
    /// How many, 1 to 200; 50 without it.
    limit: Option<u32>,
}

/// What people said of pairs of complaints.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Labels {
    /// In order.
    labels: Vec<MatchLabel>,
    /// What to pass as `after` for the next page; nothing where this is the last one.
    next: Option<i64>,
}

/// What merging and parting say of pairs of complaints, for measuring. 标注
#[utoipa::path(get, path = "/v1/match-labels", tag = "tickets", params(LabelsPage),
    responses((status = 200, description = "A page", body = Labels)))]
pub(super) async fn labels(
    State(api): State<Arc<Api>>,
    Params(page): Params<LabelsPage>,
) -> Result<Json<Labels>, ApiError> {
    let limit = limit(page.limit)?;
    let labels = api.store.match_labels(page.after.unwrap_or(0), limit).await?;
    let full = i64::try_from(labels.len()).is_ok_and(|count| count == limit);
    let next = labels.last().filter(|_| full).map(|label| label.id);
    Ok(Json(Labels { labels, next }))
}
