//! What happens to every request on its way in and out: bounds, a line in the log, headers that tell browsers and
//! caches to keep their hands off.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};
use tokio::sync::Semaphore;

use super::{
    Limits,
    client::Peer,
    error::{ApiError, Code},
};
use crate::telemetry::names::{HTTP_REQUESTS, HTTP_SECONDS};

/// How many requests are worked on, and for how long.
pub(crate) struct Slots {
    /// Requests that are worked on at once.
    pub(crate) requests: Semaphore,
    /// Leases that wait for something to come, which would otherwise take every slot.
    pub(super) waiting: Semaphore,
    /// How long one may take.
    pub(crate) timeout: Duration,
}

impl Slots {
    /// As many as the limits say.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            requests: Semaphore::new(limits.max_requests.clamp(1, Semaphore::MAX_PERMITS)),
            waiting: Semaphore::new((limits.max_requests / 2).clamp(1, Semaphore::MAX_PERMITS)),
            timeout: limits.request_timeout,
        }
    }
}

/// Bounds how many requests are worked on at once, and for how long each.
pub(super) async fn bound(State(slots): State<Arc<Slots>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let Ok(_slot) = slots.requests.try_acquire() else {
        return Err(ApiError::new(Code::Busy, "as many requests are being worked on as may be"));
    };
    tokio::time::timeout(slots.timeout, next.run(request))
        .await
        .map_err(|_| ApiError::new(Code::Timeout, format!("it took longer than {} s", slots.timeout.as_secs())))
}

/// Headers of every answer, unless a route sets its own.
const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
    ),
];

/// Said over TLS only: browsers come back over TLS for a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the headers of every answer.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let tls = request.extensions().get::<Peer>().is_some_and(|peer| peer.tls);
    let mut response = next.run(request).await;
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    if tls {
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
    response
}

/// Writes one line a request: the route's pattern, never the address, its parameters or who asked.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let response = next.run(request).await;
    let elapsed = started.elapsed();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let status = response.status().as_u16();
    metrics::counter!(HTTP_REQUESTS, "route" => route.to_owned(), "status" => status.to_string()).increment(1);
    metrics::histogram!(HTTP_SECONDS, "route" => route.to_owned()).record(elapsed);
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    if matches!(route, "/healthz" | "/readyz" | "/metrics") && status == 200 {
        tracing::debug!(
            http.method = method,
            http.route = route,
            http.status = status,
            http.milliseconds = milliseconds,
            "request answered"
        );
    } else {
        tracing::info!(
            http.method = method,
            http.route = route,
            http.status = status,
            http.milliseconds = milliseconds,
            "request answered"
        );
    }
    response
}

/// A method's name out of a closed list, since a caller may make one up.
fn method_name(method: &Method) -> &'static str {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        .iter()
        .zip(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        .find_map(|(known, name)| (known == method).then_some(name))
        .unwrap_or("other")
}
