//! Reads what callers send, within bounds, and tells every mistake by its place.

use std::{fmt::Display, str::FromStr};

use axum::{
    RequestExt as _,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{BytesRejection, FailedToBufferBody},
    },
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
};
use connectors::settings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{ApiError, BadField, Code};

/// Bytes of a JSON body.
pub const MAX_BODY: usize = 64 * 1024;
/// Characters of a reason.
pub const MAX_REASON: usize = 1000;
/// Items of a list where the caller does not say how many.
pub const DEFAULT_LIMIT: u32 = 50;
/// Items of a list at most.
pub const MAX_LIMIT: u32 = 200;

/// A JSON body in which every field is known. No body at all stands for `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, ApiError> {
        let declared = declared_json(request.headers());
        DefaultBodyLimit::max(MAX_BODY).apply(&mut request);
        let bytes = request.extract::<Bytes, _>().await.map_err(unread)?;
        let value = if bytes.is_empty() {
            Value::Object(Map::new())
        } else if declared {
            // What the parser says may quote the body.
            serde_json::from_slice(&bytes).map_err(|error| {
                let place = format!("line {}, column {}", error.line(), error.column());
                ApiError::new(Code::Malformed, format!("the body is not JSON at {place}"))
            })?
        } else {
            return Err(ApiError::new(Code::UnsupportedMediaType, "the body is not declared as application/json"));
        };
        Ok(Self(settings::read(&value)?))
    }
}

fn declared_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    declared.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unread(rejection: BytesRejection) -> ApiError {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            ApiError::new(Code::TooLarge, format!("the body is larger than {MAX_BODY} bytes"))
        }
        _ => ApiError::new(Code::Malformed, "the body broke off; send it again"),
    }
}

/// The parameters after the question mark, all of them known.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(ApiError::invalid(vec![BadField::new("query", rejection.body_text())])),
        }
    }
}

/// What the path names.
pub(super) struct Named<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Named<T>
where
    T: FromStr<Err: Display>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let bad = |message: String| ApiError::invalid(vec![BadField::new("path", message)]);
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| bad("the last name in the address cannot be read".to_owned()))?;
        text.parse().map(Self).map_err(|error: T::Err| bad(error.to_string()))
    }
}

/// Collects what is wrong with a request whose types are right.
#[derive(Default)]
pub(super) struct Checks(Vec<BadField>);

impl Checks {
    /// A number within bounds.
    pub(super) fn within(&mut self, field: &str, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            self.0.push(BadField::new(field, format!("expected {least} to {most}, found {value}")));
        }
    }

    /// A text that says something, within bounds, without control characters.
    pub(super) fn text(&mut self, field: &str, value: &str, most: usize) {
        let characters = value.chars().count();
        if value.trim().is_empty() {
            self.0.push(BadField::new(field, "is empty"));
        } else if characters > most {
            self.0.push(BadField::new(field, format!("expected at most {most} characters, found {characters}")));
        } else if value.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
            self.0.push(BadField::new(field, "holds control characters"));
        }
    }

    /// A reason, where one is given.
    pub(super) fn maybe_reason(&mut self, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.text("/reason", reason, MAX_REASON);
        }
    }

    /// Anything else.
    pub(super) fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(BadField::new(field, message));
    }

    /// Everything that is wrong, if anything is.
    pub(super) fn done(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.0)) }
    }
}

/// How many items a list holds.
pub(super) fn limit(asked: Option<u32>) -> Result<i64, ApiError> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    let mut checks = Checks::default();
    checks.within("limit", u64::from(limit), 1, u64::from(MAX_LIMIT));
    checks.done().map(|()| i64::from(limit))
}
