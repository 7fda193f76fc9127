//! The central queue: how much waits, who holds what, and the dead letters.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Path, Query, State},
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Console,
    access::{Form, Visitor},
    page::{Page, done, html},
    trouble::Trouble,
};
use crate::{
    ids::QueueItemId,
    store::{
        journal::Act,
        queue::{DeadLetter, Depth, Waiting},
    },
};

/// Rows of a list.
const ROWS: i64 = 50;

#[derive(Deserialize)]
pub(super) struct Asked {
    after: Option<i64>,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    page: Page,
    depth: Depth,
    oldest: Option<Timestamp>,
    leased: Vec<Waiting>,
    dead: Vec<DeadLetter>,
    next: Option<QueueItemId>,
    manages: bool,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let store = &console.store;
    let dead = store.dead_letters(QueueItemId(asked.after.unwrap_or(0)), ROWS).await?;
    let full = i64::try_from(dead.len()).is_ok_and(|count| count == ROWS);
    html(&QueuePage {
        depth: store.queue_depth().await?,
        oldest: store.oldest_ready().await?,
        leased: store.leased_deliveries(ROWS).await?,
        next: dead.last().map(|letter| letter.id).filter(|_| full),
        dead,
        manages: visitor.may(super::routes::MANAGERS),
        page: Page::new(&visitor, "queue", console.clock.now()),
    })
}

pub(super) async fn requeue(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let reason = Some(form.text("reason")).filter(|reason| !reason.is_empty());
    let subject = id.to_string();
    let act = Act { actor: &visitor.actor(), action: "queue.requeue", subject: &subject, reason };
    console.store.requeue(QueueItemId(id), act, console.clock.now()).await?;
    console.queued.notify_waiters();
    Ok(done("/console/queue", "requeued"))
}
