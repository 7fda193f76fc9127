//! The central queue (中央队列) over HTTP: handling systems lease tickets, and say of each what became of it.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Api,
    auth::Actor,
    error::{ApiError, Code},
    extract::{Body, Checks, MAX_REASON, Named, Params, limit},
    layers::Slots,
};
use crate::{
    ids::QueueItemId,
    issue::Relation,
    store::{
        StoreError,
        journal::Act,
        queue::{DeadLetter, Depth, Leased, Settled, Settlement},
        read::TicketView,
    },
    telemetry::names::QUEUE_EVENTS,
};

/// Deliveries in one lease at most.
pub const MAX_LEASED: u32 = 100;
/// How long a lease may wait for something to come.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// Characters of a consumer's name.
const MAX_CONSUMER: usize = 100;
/// How often a lease that waits looks by itself.
const LOOK: Duration = Duration::from_secs(1);
/// What a lease that waits leaves of the request's time for its answer.
const SPARE: Duration = Duration::from_secs(2);

/// What a consumer asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeaseRequest {
    /// Who asks, as it is shown to the admin; 1 to 100 characters.
    consumer: String,
    /// Deliveries wanted, 1 to 100.
    #[serde(default = "one")]
    #[schema(default = 1, minimum = 1, maximum = 100)]
    max: u32,
    /// Seconds to hold them, from 1 up to what the configuration allows; without it, what the configuration says.
    #[serde(default)]
    seconds: Option<u64>,
    /// Seconds to wait for something to come where nothing is due, 0 to 30; shortened where a request may not take as
    /// long.
    #[serde(default)]
    #[schema(maximum = 30)]
    wait_seconds: u64,
}

fn one() -> u32 {
    1
}

/// A ticket handed out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Delivery {
    /// Id of the delivery.
    id: QueueItemId,
    /// Proof of the lease; every answer must carry it.
    lease: Uuid,
    /// What happened to the ticket.
    event: Relation,
    /// When the lease ends; an answer after it is refused.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// How often it was leased, this time included.
    attempts: i64,
    /// The ticket as it is now.
    ticket: TicketView,
}

/// Tickets handed out; none where nothing is due.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deliveries {
    /// The most urgent and oldest first.
    deliveries: Vec<Delivery>,
}

/// Lease tickets. 领取工单
///
/// Each is held for the consumer until its lease ends, and is to be acknowledged, released or failed before that; else
/// it is handed out again. Delivery is at least once: take a ticket over by its number and version.
#[utoipa::path(post, path = "/v1/queue/lease", tag = "queue", request_body = LeaseRequest,
    responses((status = 200, description = "Leased; an empty list where nothing is due", body = Deliveries)))]
pub(super) async fn lease(
    State(api): State<Arc<Api>>,
    Extension(slots): Extension<Arc<Slots>>,
    Body(request): Body<LeaseRequest>,
) -> Result<Json<Deliveries>, ApiError> {
    let mut checks = Checks::default();
    checks.text("/consumer", &request.consumer, MAX_CONSUMER);
    checks.within("/max", u64::from(request.max), 1, u64::from(MAX_LEASED));
    let seconds = request.seconds.unwrap_or(api.limits.lease.as_secs());
    checks.within("/seconds", seconds, 1, api.limits.max_lease.as_secs());
    checks.within("/wait_seconds", request.wait_seconds, 0, MAX_WAIT.as_secs());
    checks.done()?;

    let patience = Duration::from_secs(request.wait_seconds).min(slots.timeout.saturating_sub(SPARE));
    // Where too many wait already, this one is answered at once.
    let waiting = if patience.is_zero() { None } else { slots.waiting.try_acquire().ok() };
    let deadline = Instant::now() + if waiting.is_some() { patience } else { Duration::ZERO };
    let mut look = true;
    loop {
        let news = api.queued.notified();
        if look || api.store.deliverable(api.clock.now()).await? {
            let deliveries = hand_out(&api, &request, Duration::from_secs(seconds)).await?;
            if !deliveries.is_empty() {
                return Ok(Json(Deliveries { deliveries }));
            }
        }
        look = false;
        if Instant::now() >= deadline || api.stop.is_cancelled() {
            return Ok(Json(Deliveries { deliveries: Vec::new() }));
        }
        tokio::select! {
            () = news => {}
            () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)) => {}
            () = api.stop.cancelled() => {}
        }
    }
}

async fn hand_out(api: &Api, request: &LeaseRequest, term: Duration) -> Result<Vec<Delivery>, ApiError> {
    let now = api.clock.now();
    let leased = api.store.lease_deliveries(&request.consumer, i64::from(request.max), term, api.policy, now).await?;
    count("leased", leased.len());
    let mut deliveries = Vec::with_capacity(leased.len());
    for Leased { id, ticket, event, lease, expires_at, attempts } in leased {
        match api.store.ticket_by_id(ticket).await {
            Ok(ticket) => deliveries.push(Delivery { id, lease, event, expires_at, attempts, ticket }),
            Err(error) if error.passing() => return Err(error.into()),
            // One ticket that cannot be read keeps no other from being delivered: it goes to the dead letters in time.
            Err(error) => {
                tracing::error!(delivery.id = %id, %error, "a ticket cannot be delivered");
                let reason = "the ticket cannot be read; see the gateway's log of that time".to_owned();
                api.store.settle_delivery(id, lease, &Settlement::Fail { reason }, api.policy, now).await?;
            }
        }
    }
    Ok(deliveries)
}

/// Counts steps of delivery.
fn count(event: &'static str, steps: usize) {
    metrics::counter!(QUEUE_EVENTS, "event" => event).increment(steps as u64);
}

/// Proof of a lease.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// The lease that the delivery came with.
    lease: Uuid,
}

/// Proof of a lease, and what went wrong.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Failed {
    /// The lease that the delivery came with.
    lease: Uuid,
    /// What went wrong, for the admin; 1 to 1000 characters.
    reason: String,
}

/// Where a delivery stands now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Standing {
    /// Its id.
    id: QueueItemId,
    /// Where it stands.
    state: Settled,
}

async fn settle(api: &Api, id: QueueItemId, lease: Uuid, settlement: Settlement) -> Result<Json<Standing>, ApiError> {
    let settled = api.store.settle_delivery(id, lease, &settlement, api.policy, api.clock.now()).await;
    let state = settled.map_err(|error| match error {
        StoreError::Conflict(words) => ApiError::new(Code::StaleLease, words),
        error => error.into(),
    })?;
    let event = match settlement {
        Settlement::Acknowledge => "acknowledged",
        Settlement::Release => "released",
        Settlement::Fail { .. } => "failed",
    };
    count(event, 1);
    if state == Settled::Dead {
        count("dead", 1);
    }
    if settlement == Settlement::Release {
        api.queued.notify_waiters();
    }
    Ok(Json(Standing { id, state }))
}

/// Acknowledge a delivery: it was taken over. 确认
///
/// Refused after the lease has ended, since the ticket may have been handed to another consumer.
#[utoipa::path(post, path = "/v1/queue/{id}/acknowledge", tag = "queue", request_body = Held,
    params(("id" = i64, Path, description = "Id of the delivery")),
    responses((status = 200, description = "Done", body = Standing), (status = 409, description = "The lease has ended")))]
pub(super) async fn acknowledge(
    State(api): State<Arc<Api>>,
    Named(id): Named<QueueItemId>,
    Body(Held { lease }): Body<Held>,
) -> Result<Json<Standing>, ApiError> {
    settle(&api, id, lease, Settlement::Acknowledge).await
}

/// Release a delivery: not now. 退回
///
/// It is handed out again at once, and its attempt is not counted.
#[utoipa::path(post, path = "/v1/queue/{id}/release", tag = "queue", request_body = Held,
    params(("id" = i64, Path, description = "Id of the delivery")),
    responses((status = 200, description = "Waiting again", body = Standing), (status = 409, description = "The lease has ended")))]
pub(super) async fn release(
    State(api): State<Arc<Api>>,
    Named(id): Named<QueueItemId>,
    Body(Held { lease }): Body<Held>,
) -> Result<Json<Standing>, ApiError> {
    settle(&api, id, lease, Settlement::Release).await
}

/// Fail a delivery. 失败
///
/// It is handed out again after a delay that doubles each time; after too many attempts it goes to the dead letters
/// with this reason.
#[utoipa::path(post, path = "/v1/queue/{id}/fail", tag = "queue", request_body = Failed,
    params(("id" = i64, Path, description = "Id of the delivery")),
    responses((status = 200, description = "Waiting again, or among the dead letters", body = Standing),
        (status = 409, description = "The lease has ended")))]
pub(super) async fn fail(
    State(api): State<Arc<Api>>,
    Named(id): Named<QueueItemId>,
    Body(Failed { lease, reason }): Body<Failed>,
) -> Result<Json<Standing>, ApiError> {
    let mut checks = Checks::default();
    checks.text("/reason", &reason, MAX_REASON);
    checks.done()?;
    settle(&api, id, lease, Settlement::Fail { reason }).await
}

/// How many deliveries stand where. 队列深度
#[utoipa::path(get, path = "/v1/queue", tag = "queue", responses((status = 200, description = "Counts", body = Depth)))]
pub(super) async fn depth(State(api): State<Arc<Api>>) -> Result<Json<Depth>, ApiError> {
    Ok(Json(api.store.queue_depth().await?))
}

/// Which page of the dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadLettersPage {
    /// After this one: `next` of the page before.
    after: Option<i64>,
    /// How many, 1 to 200; 50 without it.
    limit: Option<u32>,
}

/// Dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetters {
    /// Oldest first.
    dead_letters: Vec<DeadLetter>,
    /// What to pass as `after` for the next page; nothing where this is the last one.
    next: Option<QueueItemId>,
}

/// The dead letters: what failed too often, each with its reason. 死信
#[utoipa::path(get, path = "/v1/queue/dead-letters", tag = "queue", params(DeadLettersPage),
    responses((status = 200, description = "A page", body = DeadLetters)))]
pub(super) async fn dead_letters(
    State(api): State<Arc<Api>>,
    Params(page): Params<DeadLettersPage>,
) -> Result<Json<DeadLetters>, ApiError> {
    let limit = limit(page.limit)?;
    let dead_letters = api.store.dead_letters(QueueItemId(page.after.unwrap_or(0)), limit).await?;
    let full = i64::try_from(dead_letters.len()).is_ok_and(|count| count == limit);
    let next = dead_letters.last().filter(|_| full).map(|letter| letter.id);
    Ok(Json(DeadLetters { dead_letters, next }))
}

/// Why something is done, where the admin wants it remembered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// Why; up to 1000 characters.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

impl Reason {
    pub(super) fn checked(self) -> Result<Option<String>, ApiError> {
        let mut checks = Checks::default();
        checks.maybe_reason(self.reason.as_deref());
        checks.done().map(|()| self.reason)
    }
}

/// Put a dead letter back into the queue, with its attempts forgotten. 重新投递
#[utoipa::path(post, path = "/v1/queue/dead-letters/{id}/requeue", tag = "queue", request_body = Reason,
    params(("id" = i64, Path, description = "Id of the delivery")),
    responses((status = 200, description = "Waiting again", body = Standing)))]
pub(super) async fn requeue(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(id): Named<QueueItemId>,
    Body(reason): Body<Reason>,
) -> Result<Json<Standing>, ApiError> {
    let reason = reason.checked()?;
    let subject = id.to_string();
    let act = Act { actor: &actor, action: "queue.requeue", subject: &subject, reason: reason.as_deref() };
    api.store.requeue(id, act, api.clock.now()).await?;
    count("requeued", 1);
    api.queued.notify_waiters();
    Ok(Json(Standing { id, state: Settled::Ready }))
}
