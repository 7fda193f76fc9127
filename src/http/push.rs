//! Where sources push: `POST /v1/inlets/{connector}`. The adapter sees the head before the body is read and every byte of
//! it after; the sender is answered 2xx only when what it sent is committed (design, step 1).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::{Body, BodyDataStream},
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONNECTION, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::BytesMut;
use connectors::{
    clock::Clock,
    contract::{self, Head, Push, Reception, Refusal},
    entry::{ConnectorName, ExternalId},
};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    directory::{Directory, Reading},
    intake::{Intake, IntakeError},
    store::intake::Taken,
    telemetry::names,
};

/// Bounds of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct PushLimits {
    /// Bytes of a body that are kept; a larger one is answered 413 and kept as a stub of its beginning.
    pub body: usize,
    /// Bytes of a body that are read at all, so that the signature of an oversize delivery can still be checked.
    pub drain: u64,
    /// How long a body may take to arrive.
    pub patience: Duration,
    /// Deliveries received at once: nobody is known yet who sends a body, and each is held until its end.
    pub abreast: usize,
}

/// What the push endpoint works with.
#[derive(Debug)]
pub struct Inlets {
    /// The connectors.
    pub directory: Arc<Directory>,
    /// Takes in what they bring.
    pub intake: Arc<Intake>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub limits: PushLimits,
}

/// The routes of the push endpoint.
pub fn router(inlets: Arc<Inlets>) -> Router {
    let slots = Arc::new(Semaphore::new(inlets.limits.abreast.clamp(1, Semaphore::MAX_PERMITS)));
    Router::new().route("/v1/inlets/{connector}", post(receive)).layer(Extension(slots)).with_state(inlets)
}

/// Headers shown to an adapter.
const MAX_HEADERS: usize = 100;

/// Why a delivery was not taken.
pub(super) enum Refused {
    Unknown,
    SwitchedOff,
    Broken,
    TooLarge { limit: u64, entry: Option<Taken> },
    Interrupted,
    Slow(Duration),
    Busy,
    Reused,
    Adapter(Refusal),
    Intake(IntakeError),
}

async fn receive(
    State(inlets): State<Arc<Inlets>>,
    Extension(slots): Extension<Arc<Semaphore>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut whole = false;
    let taken = match slots.try_acquire() {
        Ok(_slot) => take(&inlets, &name, &headers, body, &mut whole).await,
        Err(_) => Err(Refused::Busy),
    };
    match taken {
        Ok(Taken::Stored(entry) | Taken::Quarantined(entry)) => {
            Json(json!({ "outcome": "stored", "entry": entry })).into_response()
        }
        Ok(Taken::Kept) => Json(json!({ "outcome": "stored" })).into_response(),
        Ok(Taken::Repeat | Taken::Reused) => Json(json!({ "outcome": "repeat" })).into_response(),
        Err(refused) => {
            let mut response = refused.into_response();
            if !whole {
                // What is left of the body stands between this delivery and the sender's next one.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// `whole` tells whether the body was read to its end.
async fn take(
    inlets: &Inlets,
    name: &str,
    headers: &HeaderMap,
    body: Body,
    whole: &mut bool,
) -> Result<Taken, Refused> {
    let name: ConnectorName = name.parse().map_err(|_| Refused::Unknown)?;
    let connector = inlets.directory.get(&name).ok_or(Refused::Unknown)?;
    let push: Arc<dyn Push> = match &connector.reading {
        Reading::Pull => return Err(Refused::Unknown),
        _ if !connector.stored.enabled => return Err(Refused::SwitchedOff),
        Reading::Broken(_) => return Err(Refused::Broken),
        Reading::Push(push) => push.clone(),
    };
    let taken = receive_whole(inlets, inlets.limits, &name, push.as_ref(), headers, body, whole).await;
    if let Err(refused) = &taken {
        refused.count(&name);
    }
    taken.map(|(taken, _)| taken)
}

/// Takes a delivery for whoever answers it in a way of their own: what became of it, and what its source calls it.
pub(super) async fn deliver(
    inlets: &Inlets,
    limits: PushLimits,
    name: &ConnectorName,
    push: &dyn Push,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Taken, ExternalId), Refused> {
    receive_whole(inlets, limits, name, push, headers, body, &mut false).await
}

async fn receive_whole(
    inlets: &Inlets,
    limits: PushLimits,
    name: &ConnectorName,
    push: &dyn Push,
    headers: &HeaderMap,
    body: Body,
    whole: &mut bool,
) -> Result<(Taken, ExternalId), Refused> {
    let mut reception = push.open(&head(headers), inlets.clock.now()).map_err(Refused::Adapter)?;
    let patience = limits.patience;
    let body = tokio::time::timeout(patience, read(limits, body.into_data_stream(), reception.as_mut()))
        .await
        .map_err(|_| Refused::Slow(patience))??;
    *whole = true;
    let oversize = matches!(body, contract::Body::Oversize { .. });
    let item = reception.close(body).map_err(Refused::Adapter)?;
    let id = item.external_id().clone();
    let taken = inlets.intake.deliver(name, item).await.map_err(Refused::Intake)?;
    if taken == Taken::Reused {
        return Err(Refused::Reused);
    }
    if oversize {
        return Err(Refused::TooLarge { limit: limits.body as u64, entry: Some(taken) });
    }
    Ok((taken, id))
}

/// The head of a delivery, as an adapter sees it.
pub(super) fn head(headers: &HeaderMap) -> Head {
    let mut first = BTreeMap::new();
    for (name, value) in headers.iter().take(MAX_HEADERS) {
        if let Ok(value) = value.to_str() {
            first.entry(name.as_str().to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    Head { headers: first }
}

async fn read(
    limits: PushLimits,
    mut stream: BodyDataStream,
    reception: &mut dyn Reception,
) -> Result<contract::Body, Refused> {
    let mut kept = BytesMut::new();
    let mut size: u64 = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refused::Interrupted)?;
        size = size.saturating_add(chunk.len() as u64);
        if size > limits.drain {
            return Err(Refused::TooLarge { limit: limits.drain, entry: None });
        }
        reception.chunk(&chunk);
        let room = limits.body.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    let kept = kept.freeze();
    Ok(if size > limits.body as u64 {
        contract::Body::Oversize { start: kept, size }
    } else {
        contract::Body::Whole(kept)
    })
}

/// Seconds after which a sender may try again.
const TRY_AGAIN: &str = "5";

impl Refused {
    /// Counts it.
    pub(super) fn count(&self, name: &ConnectorName) {
        metrics::counter!(names::REFUSALS, "connector" => name.to_string(), "reason" => self.reason()).increment(1);
    }

    /// The label under which refusals are counted.
    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_connector",
            Self::SwitchedOff => "switched_off",
            Self::Broken | Self::Adapter(Refusal::Unavailable(_)) => "unavailable",
            Self::TooLarge { .. } => "too_large",
            Self::Interrupted => "interrupted",
            Self::Slow(_) => "slow",
            Self::Busy => "busy",
            Self::Reused => "delivery_id_reused",
            Self::Adapter(Refusal::Unauthenticated(_)) => "unauthenticated",
            Self::Adapter(Refusal::Malformed { .. }) => "malformed",
            Self::Intake(_) => "not_stored",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let code = self.reason();
        let (status, message) = match self {
            Self::Unknown => (
                StatusCode::NOT_FOUND,
                "no connector of that name is pushed to; check the name in the address".to_owned(),
            ),
            Self::SwitchedOff => {
                (StatusCode::SERVICE_UNAVAILABLE, "the connector is switched off; send again later".to_owned())
            }
            Self::Broken | Self::Adapter(Refusal::Unavailable(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the connector cannot take deliveries as it is set up; its admin sees why".to_owned(),
            ),
            Self::TooLarge { limit, entry } => {
                let message = match entry {
                    Some(_) => format!("the body is larger than {limit} bytes; only its beginning was kept, as a stub"),
                    None => format!("the body is larger than {limit} bytes; nothing was kept"),
                };
                (StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            Self::Interrupted => (StatusCode::BAD_REQUEST, "the body broke off; send it again".to_owned()),
            Self::Slow(patience) => (
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not arrive within {} s; send it again", patience.as_secs()),
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "as many deliveries are being received as may be; send it again".to_owned(),
            ),
            Self::Reused => (
                StatusCode::CONFLICT,
                "a delivery with this id brought another item before, so this one was not stored; send it under an id of \
                 its own"
                    .to_owned(),
            ),
            Self::Adapter(Refusal::Unauthenticated(message)) => (StatusCode::UNAUTHORIZED, message),
            Self::Adapter(Refusal::Malformed { field, message }) => {
                let body = json!({ "error": { "code": code, "field": field, "message": message } });
                return (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response();
            }
            Self::Intake(error) => {
                tracing::error!(%error, "a delivery was not stored");
                (StatusCode::SERVICE_UNAVAILABLE, "the delivery was not stored; send it again".to_owned())
            }
        };
        let mut response = (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(TRY_AGAIN));
        }
        response
    }
}
