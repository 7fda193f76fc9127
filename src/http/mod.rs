//! What the gateway serves over HTTP: the queue for handling systems, tickets, entries and connectors for the admin,
//! inlets for sources that push, and what a monitor asks for. `GET /openapi.json` describes all of it.
//!
//! | module | holds |
//! |---|---|
//! | `routes` | the one table of routes and scopes, from which the router, the document and the tests are made |
//! | [`auth`] | bearer tokens |
//! | `queue`, `tickets`, `entries`, `connectors`, `reconcile`, `alarms`, `rules`, `ops` | the routes |
//! | [`push`] | where sources push |
//! | `uploads` | files that people hand over |
//! | [`portal`] | the form and the status page for citizens |
//! | `client` | whose request it is, and how often one address may ask |
//! | [`error`] | what a caller is told when something is not done |
//! | [`serve`], [`tls`] | connections, their bounds and their protection |
//! | `extract`, `layers` | bounds, on what is read and on what is worked on |

mod alarms;
pub mod auth;
mod client;
mod connectors;
mod entries;
pub mod error;
mod extract;
pub(crate) mod layers;
mod merges;
mod notices;
mod ops;
pub mod portal;
pub mod push;
mod queue;
mod reconcile;
mod recordings;
mod routes;
mod rules;
pub mod serve;
mod tickets;
pub mod tls;
mod uploads;

use std::{net::IpAddr, sync::Arc, time::Duration};

use ::connectors::clock::Clock;
use axum::{Extension, Router, middleware};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use self::{
    auth::{Gate, Tokens},
    error::{ApiError, Code},
    layers::Slots,
    ops::Document,
};
use crate::{
    config,
    intake::Intake,
    issue::Tools,
    seal::Keyring,
    store::{Store, queue::DeliveryPolicy},
};

pub use client::{ClientAddress, Limiter, Protected};
pub use extract::{DEFAULT_LIMIT, MAX_BODY, MAX_LIMIT, MAX_REASON};
pub use queue::{MAX_LEASED, MAX_WAIT};
pub use routes::{Access, RouteInfo, catalogue};
pub use uploads::{MAX_UPLOAD, slots as upload_slots};

/// Bounds of the interface.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a request may take.
    pub request_timeout: Duration,
    /// Requests worked on at once; further ones are answered 503. Half as many leases may wait for something to come.
    pub max_requests: usize,
    /// How long a lease is where the consumer does not say.
    pub lease: Duration,
    /// How long a lease may be.
    pub max_lease: Duration,
    /// Whether `GET /metrics` is open to everybody; otherwise it needs the scope "read".
    pub metrics_open: bool,
    /// Proxies that are believed when they say whom they speak for.
    pub trusted_proxies: Arc<[IpAddr]>,
}

impl Limits {
    /// The bounds of the configuration.
    pub fn of(http: &config::Http, queue: &config::Queue) -> Self {
        Self {
            request_timeout: Duration::from_secs(http.request_timeout_seconds),
            // One connection carries one request at a time (HTTP/1.1).
            max_requests: usize::try_from(http.max_connections).unwrap_or(usize::MAX),
            lease: Duration::from_secs(queue.lease_seconds),
            max_lease: Duration::from_secs(queue.max_lease_seconds),
            metrics_open: http.metrics_open,
            trusted_proxies: http.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
        }
    }
}

/// How the configuration has deliveries tried again.
pub fn delivery_policy(queue: &config::Queue) -> DeliveryPolicy {
    DeliveryPolicy {
        max_attempts: i64::from(queue.max_attempts),
        retry_delay: Duration::from_secs(queue.retry_delay_seconds),
    }
}

/// Renders the metrics in Prometheus' text form.
pub type Metrics = Box<dyn Fn() -> String + Send + Sync>;

/// What the interface works with.
pub struct Api {
    /// The database.
    pub store: Store,
    /// Takes in files that are handed over.
    pub intake: Arc<Intake>,
    /// Bounds of the items in them.
    pub items: ::connectors::contract::Limits,
    /// Files that are worked on at once.
    pub uploads: Semaphore,
    /// Reads and assesses entries; holds the rules in force.
    pub tools: Arc<Tools>,
    /// Unseals, and finds petitioners again.
    pub keyring: Arc<Keyring>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Bounds of delivery.
    pub policy: DeliveryPolicy,
    /// Who may use it.
    pub tokens: Tokens,
    /// Bounds.
    pub limits: Limits,
    /// Told when a connector was changed.
    pub changed: Arc<Notify>,
    /// Told when an entry was put back on the work list.
    pub pending: Arc<Notify>,
    /// Tells leases that wait for it that something is in the queue (`notify_waiters`); where nobody tells, they look
    /// once a second.
    pub queued: Arc<Notify>,
    /// Cancelled when the gateway stops: it is not ready any more, and nobody waits any longer.
    pub stop: CancellationToken,
    /// Renders the metrics.
    pub metrics: Metrics,
}

/// The whole interface; `others` are routes that bound and guard themselves: those by which sources push
/// ([`push::router`]), and the console's ([`crate::console::router`]).
pub fn router(api: Arc<Api>, others: Router) -> Router {
    let slots = Arc::new(Slots::of(&api.limits));
    let (routes, document) = routes::assemble(&api.clone(), |access, methods| match access {
        Access::Open | Access::Signed | Access::Role(_) => methods,
        Access::Scope(scope) => methods
            .route_layer(middleware::from_fn_with_state(slots.clone(), layers::bound))
            .route_layer(middleware::from_fn_with_state(Gate { api: api.clone(), scope }, auth::guard)),
    });
    let trusted = api.limits.trusted_proxies.clone();
    routes
        .with_state(api)
        // They bound themselves, so that whoever fills them up keeps nobody from the queue.
        .merge(others)
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(Extension(Document::of(&document)))
        .layer(Extension(slots))
        .layer(middleware::from_fn_with_state(trusted, client::identify))
        .layer(middleware::from_fn(layers::harden))
        .layer(middleware::from_fn(layers::log))
}

async fn unknown_route() -> ApiError {
    ApiError::new(Code::UnknownRoute, "there is no such route")
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "the route does not take this method")
}
