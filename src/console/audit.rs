//! The audit trail: who did what, and whether the trail is whole.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{
    Console,
    access::Visitor,
    page::{Page, html},
    trouble::Trouble,
};
use crate::store::journal::{AuditRow, Trail};

/// Rows of a page.
const ROWS: i64 = 100;

#[derive(Deserialize)]
pub(super) struct Asked {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    page: Page,
    rows: Vec<AuditRow>,
    next: Option<i64>,
    /// What checking the trail found.
    found: Option<Trail>,
}

async fn rows(console: &Console, before: Option<i64>) -> Result<(Vec<AuditRow>, Option<i64>), Trouble> {
    let rows = console.store.audit_rows_before(before, ROWS).await?;
    let next = rows.last().map(|row| row.seq).filter(|seq| *seq > 1);
    Ok((rows, next))
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let (rows, next) = rows(&console, asked.before).await?;
    html(&AuditPage { page: Page::new(&visitor, "audit", console.clock.now()), rows, next, found: None })
}

/// Checks the whole trail.
pub(super) async fn verify(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let found = Some(console.store.verify_audit().await?);
    let (rows, next) = rows(&console, None).await?;
    html(&AuditPage { page: Page::new(&visitor, "audit", console.clock.now()), rows, next, found })
}
