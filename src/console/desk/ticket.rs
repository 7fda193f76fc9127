//! One ticket: its complaints, its times, its way to the handling system, what petitioners were told; merging and its kind.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};

use super::choice;
use crate::{
    assess::{Kind, Suggestion},
    console::{
        Console,
        access::{Form, Visitor},
        page::{Page, done, html},
        routes::WORKERS,
        trouble::Trouble,
    },
    desk,
    number::TicketNumber,
    store::{
        desk::{Delivery, Merge},
        merges::Asked,
        notices::ShownNotice,
        read::TicketView,
    },
};

#[derive(Template)]
#[template(path = "ticket.html")]
struct TicketPage {
    page: Page,
    ticket: TicketView,
    title: String,
    suggested: Suggestion,
    /// How many complaints there are in all.
    complaints: i64,
    deliveries: Vec<Delivery>,
    notices: Vec<ShownNotice>,
    merges: Vec<Merge>,
    kinds: [Kind; 4],
    works: bool,
    overdue: bool,
}

fn number(text: &str) -> Result<TicketNumber, Trouble> {
    text.parse().map_err(|_| Trouble::missing())
}

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Path<String>,
) -> Result<Response, Trouble> {
    let (store, now) = (&console.store, console.clock.now());
    let ticket = store.ticket(number(&named)?).await?;
    let first = ticket.complaints.first();
    html(&TicketPage {
        page: Page::new(&visitor, "entries", now),
        title: first.map(|complaint| complaint.shown.title()).unwrap_or_default(),
        suggested: first.map(|complaint| complaint.shown.suggested.clone()).unwrap_or_default(),
        complaints: 1 + ticket.repeats + ticket.co_reports + ticket.follow_ups + ticket.revisions,
        deliveries: store.deliveries_of(ticket.id).await?,
        notices: store.notices_of(ticket.id).await?,
        merges: store.merges_of(ticket.id).await?,
        kinds: Kind::ALL,
        works: visitor.may(WORKERS),
        overdue: ticket.complete_due.is_some_and(|due| due < now),
        ticket,
    })
}

pub(in crate::console) async fn merge(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let kept = number(&named)?;
    let merged = form.text("merged").parse().map_err(|_| Trouble::invalid(visitor.lang.t("desk.bad_number")))?;
    let reason = choice::reason(&form, visitor.lang)?;
    let asked = Asked { actor: &visitor.actor(), reason, now: console.clock.now() };
    console.store.merge_tickets(kept, merged, asked).await?;
    console.queued.notify_waiters();
    Ok(done(&format!("/console/tickets/{kept}"), "merged"))
}

/// Undoes the merge of this ticket into another.
pub(in crate::console) async fn unmerge(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let merged = number(&named)?;
    let reason = choice::reason(&form, visitor.lang)?;
    let asked = Asked { actor: &visitor.actor(), reason, now: console.clock.now() };
    console.store.unmerge_ticket(merged, asked).await?;
    console.queued.notify_waiters();
    Ok(done(&format!("/console/tickets/{merged}"), "unmerged"))
}

pub(in crate::console) async fn kind(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(named): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let number = number(&named)?;
    let kind = Kind::parse(form.text("kind")).ok_or_else(|| Trouble::invalid(visitor.lang.t("desk.choose")))?;
    let reason = choice::reason(&form, visitor.lang)?;
    let asked = Asked { actor: &visitor.actor(), reason, now: console.clock.now() };
    desk::change_kind(&console.store, &console.tools.calendar, number, kind, asked).await?;
    console.queued.notify_waiters();
    Ok(done(&format!("/console/tickets/{number}"), "kind"))
}
