//! Connectors (接入点) over HTTP: how each fares, and the switches. Every change is written down with who and why, and
//! is live (design promise 7).

use std::sync::Arc;

use ::connectors::{contract::Cursor, entry::ConnectorName};
use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Api,
    auth::Actor,
    error::ApiError,
    extract::{Body, Checks, Named},
    queue::Reason,
};
use crate::store::{
    connectors::{Health, Run, StoredConnector},
    journal::Act,
};

/// Runs that are shown.
const SHOWN_RUNS: i64 = 20;

/// A connector in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConnectorSummary {
    /// Name.
    #[schema(value_type = String)]
    name: ConnectorName,
    /// Where its citizens speak.
    channel: &'static str,
    /// Its adapter.
    adapter: String,
    /// Whether it is switched on.
    enabled: bool,
    /// Raised by every change.
    generation: i64,
    /// Whether somebody asked for a run that has not begun.
    run_requested: bool,
    /// How it fares; nothing where it never ran.
    health: Option<Health>,
}

/// Connectors.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConnectorList {
    /// By name.
    connectors: Vec<ConnectorSummary>,
}

/// A connector, whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConnectorDetail {
    /// What a list shows.
    #[serde(flatten)]
    summary: ConnectorSummary,
    /// Its definition; secrets stand in it by reference only.
    definition: Option<Value>,
    /// Where its source was left off.
    cursor: Option<Value>,
    /// The last 20 runs, newest first.
    runs: Vec<Run>,
}

async fn summary(api: &Api, stored: &StoredConnector) -> Result<ConnectorSummary, ApiError> {
    Ok(ConnectorSummary {
        name: stored.name.clone(),
        channel: stored.channel.as_str(),
        adapter: stored.adapter.clone(),
        enabled: stored.enabled,
        generation: stored.generation,
        run_requested: stored.run_requested,
        health: api.store.health(&stored.name).await?,
    })
}

async fn detail(api: &Api, name: &ConnectorName) -> Result<Json<ConnectorDetail>, ApiError> {
    let stored = api.store.connector(name).await?;
    Ok(Json(ConnectorDetail {
        summary: summary(api, &stored).await?,
        definition: serde_json::from_str(&stored.definition).ok(),
        cursor: stored.cursor.map(|cursor| cursor.0),
        runs: api.store.runs(name, SHOWN_RUNS).await?,
    }))
}

/// Every connector, with how it fares. 接入点列表
#[utoipa::path(get, path = "/v1/connectors", tag = "connectors",
    responses((status = 200, description = "All of them", body = ConnectorList)))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<ConnectorList>, ApiError> {
    let mut connectors = Vec::new();
    for stored in api.store.connectors().await? {
        connectors.push(summary(&api, &stored).await?);
    }
    Ok(Json(ConnectorList { connectors }))
}

/// One connector: definition, health, cursor, last runs. 接入点详情
#[utoipa::path(get, path = "/v1/connectors/{name}", tag = "connectors",
    params(("name" = String, Path, description = "Name of the connector")),
    responses((status = 200, description = "The connector", body = ConnectorDetail),
        (status = 404, description = "There is no such connector")))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Named(name): Named<ConnectorName>,
) -> Result<Json<ConnectorDetail>, ApiError> {
    detail(&api, &name).await
}

async fn switch(
    api: &Api,
    name: &ConnectorName,
    enabled: bool,
    actor: &str,
    reason: Reason,
) -> Result<Json<ConnectorDetail>, ApiError> {
    let reason = reason.checked()?;
    let action = if enabled { "connector.enable" } else { "connector.disable" };
    let act = Act { actor, action, subject: name.as_str(), reason: reason.as_deref() };
    api.store.switch_connector(name, enabled, act, api.clock.now()).await?;
    api.changed.notify_one();
    detail(api, name).await
}

/// Switch a connector on. 启用
#[utoipa::path(post, path = "/v1/connectors/{name}/enable", tag = "connectors", request_body = Reason,
    params(("name" = String, Path, description = "Name of the connector")),
    responses((status = 200, description = "The connector", body = ConnectorDetail)))]
pub(super) async fn enable(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(name): Named<ConnectorName>,
    Body(reason): Body<Reason>,
) -> Result<Json<ConnectorDetail>, ApiError> {
    switch(&api, &name, true, &actor, reason).await
}

/// Switch a connector off; what it has read stays. 停用
#[utoipa::path(post, path = "/v1/connectors/{name}/disable", tag = "connectors", request_body = Reason,
    params(("name" = String, Path, description = "Name of the connector")),
    responses((status = 200, description = "The connector", body = ConnectorDetail)))]
pub(super) async fn disable(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(name): Named<ConnectorName>,
    Body(reason): Body<Reason>,
) -> Result<Json<ConnectorDetail>, ApiError> {
    switch(&api, &name, false, &actor, reason).await
}

/// Run a connector now rather than at its time. 立即运行
#[utoipa::path(post, path = "/v1/connectors/{name}/run", tag = "connectors", request_body = Reason,
    params(("name" = String, Path, description = "Name of the connector")),
    responses((status = 200, description = "The connector", body = ConnectorDetail)))]
pub(super) async fn run(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(name): Named<ConnectorName>,
    Body(reason): Body<Reason>,
) -> Result<Json<ConnectorDetail>, ApiError> {
    let reason = reason.checked()?;
    let act = Act { actor: &actor, action: "connector.run", subject: name.as_str(), reason: reason.as_deref() };
    api.store.request_run(&name, act, api.clock.now()).await?;
    api.changed.notify_one();
    detail(&api, &name).await
}

/// Where a connector is to start from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rewind {
    /// `null` for the beginning, or a cursor as the connector's detail shows it. Must be given.
    #[schema(value_type = Option<Object>, required = true)]
    cursor: Value,
    /// Why; up to 1000 characters.
    #[serde(default)]
    reason: Option<String>,
}

/// Move a connector's cursor. 回退游标
///
/// What is read again and was seen before changes nothing.
#[utoipa::path(post, path = "/v1/connectors/{name}/rewind", tag = "connectors", request_body = Rewind,
    params(("name" = String, Path, description = "Name of the connector")),
    responses((status = 200, description = "The connector", body = ConnectorDetail)))]
pub(super) async fn rewind(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(name): Named<ConnectorName>,
    Body(Rewind { cursor, reason }): Body<Rewind>,
) -> Result<Json<ConnectorDetail>, ApiError> {
    let mut checks = Checks::default();
    checks.maybe_reason(reason.as_deref());
    if !cursor.is_null() && !cursor.is_object() {
        checks.refuse("/cursor", "expected null or an object, as the connector's detail shows it");
    }
    checks.done()?;
    let cursor = (!cursor.is_null()).then_some(Cursor(cursor));
    let act = Act { actor: &actor, action: "connector.rewind", subject: name.as_str(), reason: reason.as_deref() };
    api.store.rewind_connector(&name, cursor.as_ref(), act, api.clock.now()).await?;
    api.changed.notify_one();
    detail(&api, &name).await
}
