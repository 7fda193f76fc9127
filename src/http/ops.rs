//! What a monitor asks for: whether the process lives, whether it is ready, its metrics; and the document.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::IntoResponse,
};
use bytes::Bytes;
use serde::Serialize;
use utoipa::{ToSchema, openapi::OpenApi};

use super::{
    Api,
    error::{ApiError, Code},
};

/// How long the database may take to answer whether it answers.
const PING: Duration = Duration::from_secs(2);

/// The OpenAPI document, as it is served.
#[derive(Clone)]
pub(super) struct Document(Bytes);

impl Document {
    pub(super) fn of(document: &OpenApi) -> Self {
        Self(serde_json::to_vec(document).unwrap_or_default().into())
    }
}

/// All is well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fine {
    /// "ok".
    status: &'static str,
    /// Version of the gateway.
    version: &'static str,
}

const FINE: Fine = Fine { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "It lives", body = Fine)))]
pub(super) async fn healthz() -> Json<Fine> {
    Json(FINE)
}

/// Whether the gateway is ready: its database answers, with the schema up to date, and it is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "Ready", body = Fine), (status = 503, description = "Not ready; the message says why")))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<Json<Fine>, ApiError> {
    if api.stop.is_cancelled() {
        return Err(ApiError::new(Code::Unavailable, "the gateway is stopping"));
    }
    match tokio::time::timeout(PING, api.store.ping()).await {
        Ok(Ok(())) => Ok(Json(FINE)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(ApiError::new(Code::Unavailable, "the database does not answer"))
        }
        Err(_) => {
            Err(ApiError::new(Code::Unavailable, format!("the database did not answer within {} s", PING.as_secs())))
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi(Extension(Document(document)): Extension<Document>) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], document)
}

/// Metrics in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], (api.metrics)())
}
