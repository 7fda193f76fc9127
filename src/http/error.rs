//! What a caller is told when something is not done: one form for every error, in English and Chinese, with what to do
//! about it. Never holds a stack, a statement of the database, or anything personal (Article 24).

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use connectors::settings::SettingsError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{recording::RecordingError, seal::SealError, store::StoreError};

/// What kind of error it is; programs decide by it, so that words may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No token, or one that is not known: 401.
    Unauthenticated,
    /// The token lacks the scope: 403.
    Forbidden,
    /// No token is configured at all: 403.
    NoTokens,
    /// There is no such thing: 404.
    NotFound,
    /// There is no such route: 404.
    UnknownRoute,
    /// The route takes other methods: 405.
    MethodNotAllowed,
    /// It does not fit the state of things: 409.
    Conflict,
    /// The lease has expired or is another's: 409.
    StaleLease,
    /// The body is larger than the limit: 413.
    TooLarge,
    /// The body is not declared as JSON: 415.
    UnsupportedMediaType,
    /// The body is not JSON: 400.
    Malformed,
    /// A value cannot be used: 422, with the field.
    Invalid,
    /// The source does not give what is asked for: 502.
    Source,
    /// Too many requests at once: 503.
    Busy,
    /// It took too long: 503.
    Timeout,
    /// The database does not answer: 503.
    Unavailable,
    /// It failed here: 500.
    Internal,
    /// What is sealed cannot be opened: 500.
    Unsealable,
}

impl Code {
    /// Status, Chinese words, and what to do about it: the one catalogue.
    fn facts(self) -> (StatusCode, &'static str, Option<&'static str>) {
        match self {
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "未提供访问令牌，或令牌无效",
                Some("send `Authorization: Bearer TOKEN` with a token of the configuration"),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "令牌没有所需的权限",
                Some("use another token, or add the scope to this one in the configuration"),
            ),
            Self::NoTokens => (
                StatusCode::FORBIDDEN,
                "尚无访问令牌，接口不开放",
                Some(
                    "make one in the console, or add to the configuration: [[http.token]] name = \"…\" scopes = [\"queue\"] \
                     secret = { env = \"…\" }",
                ),
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "没有找到", None),
            Self::UnknownRoute => (StatusCode::NOT_FOUND, "没有这个地址", Some("GET /openapi.json lists every route")),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "该地址不支持此方法",
                Some("the header Allow lists the methods of this route"),
            ),
            Self::Conflict => (StatusCode::CONFLICT, "与当前状态冲突", None),
            Self::StaleLease => {
                (StatusCode::CONFLICT, "租约已失效，或已处理完毕", Some("drop it; lease again for what is due"))
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "请求内容过大", None),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "请求内容必须是 JSON",
                Some("send `Content-Type: application/json`"),
            ),
            Self::Malformed => (StatusCode::BAD_REQUEST, "请求内容不是有效的 JSON", None),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "请求内容有误", None),
            Self::Source => (StatusCode::BAD_GATEWAY, "来源没有给出所要的内容", None),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "请求过多，请稍后重试", Some("try again in a second")),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "处理超时，请重试", Some("try again")),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "数据库暂时没有响应，请稍后重试", Some("try again in a few seconds"))
            }
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "内部错误",
                Some("the gateway's log of this moment says why; trying again will not help"),
            ),
            Self::Unsealable => (StatusCode::INTERNAL_SERVER_ERROR, "密封的内容无法打开", None),
        }
    }

    /// Its status.
    pub fn status(self) -> StatusCode {
        self.facts().0
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BadField {
    /// Where: a JSON pointer into the body, or the parameter's name.
    pub field: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl BadField {
    /// A value that cannot be used.
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), suggestion: None }
    }
}

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What is told of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// What kind it is.
    pub code: Code,
    /// What happened, in Chinese.
    pub message_zh: String,
    /// What happened, to which thing.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The values that cannot be used, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<BadField>,
}

/// An error on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    code: Code,
    message: String,
    fields: Vec<BadField>,
}

impl ApiError {
    /// An error of a kind, with what happened in words.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Vec::new() }
    }

    /// Values that cannot be used.
    pub(super) fn invalid(fields: Vec<BadField>) -> Self {
        let told: Vec<String> = fields.iter().map(|field| format!("{}: {}", field.field, field.message)).collect();
        Self { code: Code::Invalid, message: told.join("; "), fields }
    }

    /// What kind it is.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl From<SettingsError> for ApiError {
    fn from(error: SettingsError) -> Self {
        let bad = error.mistakes.into_iter().map(|mistake| BadField {
            field: if mistake.pointer.is_empty() { "/".to_owned() } else { mistake.pointer },
            message: mistake.message,
            suggestion: mistake.suggestion,
        });
        Self::invalid(bad.collect())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing { .. } => Self::new(Code::NotFound, error.to_string()),
            StoreError::Conflict(words) => Self::new(Code::Conflict, words),
            error if error.passing() => {
                tracing::warn!(%error, "the database did not answer a request");
                Self::new(Code::Unavailable, "the database does not answer just now; nothing was changed")
            }
            error => {
                tracing::error!(%error, "a request failed in the database");
                Self::new(Code::Internal, "the gateway could not do this")
            }
        }
    }
}

impl From<RecordingError> for ApiError {
    fn from(error: RecordingError) -> Self {
        match error {
            RecordingError::Store(error) => error.into(),
            RecordingError::Seal(error) => error.into(),
            RecordingError::None(_) => Self::new(Code::NotFound, error.to_string()),
            RecordingError::NotSetUp(_) => Self::new(Code::Conflict, error.to_string()),
            RecordingError::Fetch(fault) => Self::new(Code::Source, format!("the recording was not fetched: {fault}")),
        }
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        tracing::error!(%error, "a sealed value was not opened");
        Self::new(Code::Unsealable, error.to_string())
    }
}

/// Seconds after which a caller may try again.
const TRY_AGAIN: &str = "1";

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, chinese, remedy) = self.code.facts();
        let error = ErrorDetail {
            code: self.code,
            message_zh: chinese.to_owned(),
            message: self.message,
            remedy: remedy.map(str::to_owned),
            fields: self.fields,
        };
        let mut response = (status, Json(ErrorBody { error })).into_response();
        match status {
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Bearer realm=\"jiesu\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(TRY_AGAIN));
            }
            _ => {}
        }
        response
    }
}
