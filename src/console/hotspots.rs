//! Hot spots: matters that many people report, with how large they are, how they grow, where and since when.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{
    Console,
    access::Visitor,
    page::{Page, html},
    trouble::Trouble,
};
use crate::store::hotspots::HotSpot;

/// Days that can be looked at, beside as many before.
const DAYS: [u32; 4] = [1, 7, 30, 90];
/// Complaints from which on a matter is one.
const LEAST: [i64; 4] = [2, 3, 5, 10];
/// Hot spots that are listed.
const LISTED: usize = 50;

#[derive(Deserialize)]
pub(super) struct Asked {
    days: Option<u32>,
    least: Option<i64>,
}

#[derive(Template)]
#[template(path = "hotspots.html")]
struct HotspotsPage {
    page: Page,
    days: u32,
    least: i64,
    periods: [u32; 4],
    leasts: [i64; 4],
    since: Timestamp,
    spots: Vec<HotSpot>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let now = console.clock.now();
    let days = asked.days.filter(|days| DAYS.contains(days)).unwrap_or(DAYS[1]);
    let least = asked.least.filter(|least| LEAST.contains(least)).unwrap_or(LEAST[1]);
    let length = SignedDuration::from_hours(24 * i64::from(days));
    let since = now.checked_sub(length).unwrap_or(Timestamp::MIN);
    let before = since.checked_sub(length).unwrap_or(Timestamp::MIN);
    html(&HotspotsPage {
        page: Page::new(&visitor, "hotspots", now),
        days,
        least,
        periods: DAYS,
        leasts: LEAST,
        since,
        spots: console.store.hot_spots(since, before, least, LISTED).await?,
    })
}
