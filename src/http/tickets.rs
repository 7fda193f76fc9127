//! Tickets (工单) over HTTP, as handlers see them: no petitioner, personal data masked (Article 24).

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    error::ApiError,
    extract::{Named, Params, limit},
};
use crate::{ids::TicketId, number::TicketNumber, store::read::TicketView};

/// Which page of the tickets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TicketsPage {
    /// Older than this one: `next` of the page before.
    before: Option<i64>,
    /// How many, 1 to 200; 50 without it.
    limit: Option<u32>,
}

/// Tickets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tickets {
    /// Newest first, each with its opening complaint only.
    tickets: Vec<TicketView>,
    /// What to pass as `before` for the next page; nothing where this is the last one.
    next: Option<TicketId>,
}

/// Tickets, newest first. 工单列表
#[utoipa::path(get, path = "/v1/tickets", tag = "tickets", params(TicketsPage),
    responses((status = 200, description = "A page", body = Tickets)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Params(page): Params<TicketsPage>,
) -> Result<Json<Tickets>, ApiError> {
    let limit = limit(page.limit)?;
    let tickets = api.store.tickets(page.before.map(TicketId), limit).await?;
    let full = i64::try_from(tickets.len()).is_ok_and(|count| count == limit);
    let next = tickets.last().filter(|_| full).map(|ticket| ticket.id);
    Ok(Json(Tickets { tickets, next }))
}

/// A ticket by its number. 工单
///
/// Blanks, hyphens and digits of full width are tolerated; a number whose check digit does not match is refused.
#[utoipa::path(get, path = "/v1/tickets/{number}", tag = "tickets",
    params(("number" = String, Path, description = "Number, as 261123-000042-8")),
    responses((status = 200, description = "The ticket, with up to 50 of its complaints", body = TicketView),
        (status = 404, description = "There is no such ticket"), (status = 422, description = "Not a ticket's number")))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Named(number): Named<TicketNumber>,
) -> Result<Json<TicketView>, ApiError> {
    Ok(Json(api.store.ticket(number).await?))
}
