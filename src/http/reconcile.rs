//! What sources hold beside what was stored, over HTTP.

use std::sync::Arc;

use ::connectors::{entry::ConnectorName, holdings::Period};
use axum::{Extension, Json, extract::State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Api,
    auth::Actor,
    error::ApiError,
    extract::{Body, Checks, Named},
};
use crate::store::{journal::Act, reconcile::Reconciliation};

/// Comparisons that are shown.
const SHOWN: i64 = 20;

/// Which period is to be compared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Compare {
    /// Its first moment, by the source's time; three days ago without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// The first moment after it; now without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Why; up to 1000 characters.
    #[serde(default)]
    reason: Option<String>,
}

/// Comparisons of a connector.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reconciliations {
    /// The last 20, newest first.
    reconciliations: Vec<Reconciliation>,
}

/// Compare what a source holds with what was stored. 对账
///
/// It is asked for here and done by the gateway: `GET` tells what came of it. One that waits already is the answer.
#[utoipa::path(post, path = "/v1/connectors/{name}/reconcile", tag = "connectors", request_body = Compare,
    params(("name" = String, Path, description = "Name of the connector")),
    responses((status = 200, description = "What was asked for", body = Reconciliation)))]
pub(super) async fn ask(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(name): Named<ConnectorName>,
    Body(Compare { from, to, reason }): Body<Compare>,
) -> Result<Json<Reconciliation>, ApiError> {
    let now = api.clock.now();
    let to = to.unwrap_or(now);
    let from = from.or_else(|| to.checked_sub(jiff::SignedDuration::from_hours(72)).ok()).unwrap_or(to);
    let mut checks = Checks::default();
    checks.maybe_reason(reason.as_deref());
    if from >= to {
        checks.refuse("/from", "lies not before the end of the period");
    }
    checks.done()?;
    let act = Act { actor: &actor, action: "connector.reconcile", subject: name.as_str(), reason: reason.as_deref() };
    Ok(Json(api.store.ask_reconciliation(&name, Period { from, to }, act, now).await?))
}

/// The last comparisons of what a source holds with what was stored. 对账结果
#[utoipa::path(get, path = "/v1/connectors/{name}/reconciliations", tag = "connectors",
    params(("name" = String, Path, description = "Name of the connector")),
    responses((status = 200, description = "The last 20", body = Reconciliations),
        (status = 404, description = "There is no such connector")))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Named(name): Named<ConnectorName>,
) -> Result<Json<Reconciliations>, ApiError> {
    api.store.connector(&name).await?;
    Ok(Json(Reconciliations { reconciliations: api.store.reconciliations(&name, SHOWN).await? }))
}
