//! Notices (告知) over HTTP: what petitioners were told, and what a person must still tell them. No address is shown.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    error::ApiError,
    extract::{Params, limit},
};
use crate::{
    ids::NoticeId,
    store::notices::{NoticeState, ShownNotice},
};

/// Which page of the notices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NoticesPage {
    /// In this state only; `unroutable` lists what a person must tell by telephone (Article 13(3)).
    state: Option<NoticeState>,
    /// Older than this one: `next` of the page before.
    before: Option<i64>,
    /// How many, 1 to 200; 50 without it.
    limit: Option<u32>,
}

/// Notices.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Notices {
    /// Newest first.
    notices: Vec<ShownNotice>,
    /// What to pass as `before` for the next page; nothing where this is the last one.
    next: Option<i64>,
}

/// Notices, newest first. 告知列表
#[utoipa::path(get, path = "/v1/notices", tag = "notices", params(NoticesPage),
    responses((status = 200, description = "A page", body = Notices)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Params(page): Params<NoticesPage>,
) -> Result<Json<Notices>, ApiError> {
    let limit = limit(page.limit)?;
    let notices = api.store.notices(page.state, page.before.map(NoticeId), limit).await?;
    let full = i64::try_from(notices.len()).is_ok_and(|count| count == limit);
    let next = notices.last().filter(|_| full).map(|notice| notice.id);
    Ok(Json(Notices { notices, next }))
}
