//! Alarms: what is wrong now, what was, and who has seen it.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{
    Console,
    access::{Form, Visitor},
    page::{Page, done, html},
    routes::WORKERS,
    trouble::Trouble,
};
use crate::{
    ids::AlarmId,
    store::{alarms::Alarm, journal::Act},
};

/// Rows of a page.
const ROWS: i64 = 50;

#[derive(Deserialize)]
pub(super) struct Asked {
    before: Option<i64>,
    all: Option<String>,
}

#[derive(Template)]
#[template(path = "alarms.html")]
struct AlarmsPage {
    page: Page,
    all: bool,
    rows: Vec<Alarm>,
    next: Option<String>,
    works: bool,
    chinese: bool,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let all = asked.all.is_some();
    let rows = console.store.alarms(!all, asked.before.map(AlarmId), ROWS).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == ROWS);
    let kept = if all { "&all=1" } else { "" };
    html(&AlarmsPage {
        page: Page::new(&visitor, "alarms", console.clock.now()),
        all,
        next: rows.last().filter(|_| full).map(|alarm| format!("/console/alarms?before={}{kept}", alarm.id.0)),
        rows,
        works: visitor.may(WORKERS),
        chinese: visitor.lang == super::words::Lang::Zh,
    })
}

pub(super) async fn acknowledge(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let reason = Some(form.text("reason")).filter(|reason| !reason.is_empty());
    let subject = id.to_string();
    let act = Act { actor: &visitor.actor(), action: "alarm.acknowledge", subject: &subject, reason };
    console.store.acknowledge_alarm(AlarmId(id), act, console.clock.now()).await?;
    Ok(done("/console/alarms", "acknowledged"))
}
