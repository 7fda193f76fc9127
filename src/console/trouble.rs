//! What went wrong, for people: what happened, and what to do about it. Handlers return a [`Trouble`]; the gate makes a page
//! of it in the visitor's language.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{seal::SealError, store::StoreError};

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Status of the answer.
    pub(super) status: StatusCode,
    /// Which member of the families `trouble` and `remedy` says it.
    pub(super) what: &'static str,
    /// To which thing it happened, or what exactly was wrong.
    pub(super) detail: String,
}

impl Trouble {
    pub(super) fn new(status: StatusCode, what: &'static str) -> Self {
        Self { status, what, detail: String::new() }
    }

    /// There is no such thing.
    pub(super) fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "missing")
    }

    /// A value cannot be used.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid").told(detail)
    }

    /// Adds what exactly.
    pub(super) fn told(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing { .. } => Self::missing().told(error.to_string()),
            StoreError::Conflict(words) => Self::new(StatusCode::CONFLICT, "conflict").told(words),
            error if error.passing() => {
                tracing::warn!(%error, "the database did not answer the console");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            error => {
                tracing::error!(%error, "a page failed in the database");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        }
    }
}

impl From<SealError> for Trouble {
    fn from(error: SealError) -> Self {
        tracing::error!(%error, "a sealed value was not opened");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "sealed").told(error.to_string())
    }
}

impl From<askama::Error> for Trouble {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "a page could not be made");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
