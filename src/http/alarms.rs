//! Alarms over HTTP: what is wrong now, what was, and who has seen it.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    auth::Actor,
    error::ApiError,
    extract::{Body, Named, Params, limit},
    queue::Reason,
};
use crate::{
    ids::AlarmId,
    store::{alarms::Alarm, journal::Act},
};

/// Which alarms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AlarmState {
    /// Those that are not over.
    #[default]
    Open,
    /// All of them.
    All,
}

/// Which page of the alarms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlarmsPage {
    /// `open` (the default) or `all`.
    #[serde(default)]
    #[param(inline)]
    state: AlarmState,
    /// Older than this one: `next` of the page before.
    before: Option<i64>,
    /// How many, 1 to 200; 50 without it.
    limit: Option<u32>,
}

/// Alarms.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alarms {
    /// Newest first.
    alarms: Vec<Alarm>,
    /// What to pass as `before` for the next page; nothing where this is the last one.
    next: Option<AlarmId>,
}

/// Alarms, newest first. 告警列表
#[utoipa::path(get, path = "/v1/alarms", tag = "alarms", params(AlarmsPage),
    responses((status = 200, description = "A page", body = Alarms)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Params(page): Params<AlarmsPage>,
) -> Result<Json<Alarms>, ApiError> {
    let limit = limit(page.limit)?;
    let open = page.state == AlarmState::Open;
    let alarms = api.store.alarms(open, page.before.map(AlarmId), limit).await?;
    let full = i64::try_from(alarms.len()).is_ok_and(|count| count == limit);
    let next = alarms.last().filter(|_| full).map(|alarm| alarm.id);
    Ok(Json(Alarms { alarms, next }))
}

/// Note that an alarm was seen. 确认告警
///
/// An alarm that tells of something that has happened is over by it; one whose cause lasts stays open until the cause is
/// gone.
#[utoipa::path(post, path = "/v1/alarms/{id}/acknowledge", tag = "alarms", request_body = Reason,
    params(("id" = i64, Path, description = "Id of the alarm")),
    responses((status = 200, description = "The alarm", body = Alarm),
        (status = 404, description = "There is no such alarm")))]
pub(super) async fn acknowledge(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(id): Named<AlarmId>,
    Body(reason): Body<Reason>,
) -> Result<Json<Alarm>, ApiError> {
    let reason = reason.checked()?;
    let subject = id.to_string();
    let act = Act { actor: &actor, action: "alarm.acknowledge", subject: &subject, reason: reason.as_deref() };
    Ok(Json(api.store.acknowledge_alarm(id, act, api.clock.now()).await?))
}
