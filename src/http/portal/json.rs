//! The portal for pages of the city's own: a submission as JSON, and what became of one. The connector's adapter judges who may
//! send; which pages' scripts may, the connector's list of origins says (CORS).

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_MAX_AGE, ORIGIN, RETRY_AFTER, VARY,
        },
    },
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{
    Desk, Portal,
    code::{self, Slip},
    page,
    status::Question,
    words::Language,
};
use crate::{
    http::{
        client::ClientAddress,
        error::{ApiError, Code},
        extract,
        push::{self, PushLimits, Refused},
    },
    store::{intake::Taken, portal::Fate, read::Place},
};

/// `OPTIONS /v1/portal/{connector}`: what a browser asks before it sends.
pub(super) async fn preflight(
    State(portal): State<Arc<Portal>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(desk) = portal.desk(&name)
        && allow(&desk, &headers, &mut response)
    {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// `POST /v1/portal/{connector}`
pub(super) async fn take(
    State(portal): State<Arc<Portal>>,
    Path(name): Path<String>,
    client: ClientAddress,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(desk) = portal.desk(&name) else { return Refused::Unknown.into_response() };
    let mut response = match portal.take_json(&desk, client, &headers, body).await {
        Ok(value) => Json(value).into_response(),
        Err(response) => response,
    };
    allow(&desk, &headers, &mut response);
    response
}

/// `POST /v1/portal/{connector}/status`
pub(super) async fn ask(
    State(portal): State<Arc<Portal>>,
    Path(name): Path<String>,
    client: ClientAddress,
    headers: HeaderMap,
    extract::Body(question): extract::Body<Question>,
) -> Response {
    let Some(desk) = portal.desk(&name) else { return Refused::Unknown.into_response() };
    let mut response = if portal.lookups.count(client).is_err() {
        too_often(None)
    } else {
        match portal.look_up(&desk, &question.number, &question.code).await {
            Ok(Some((fate, slip))) => Json(portal.told(&fate, &slip)).into_response(),
            Ok(None) => {
                ApiError::new(Code::NotFound, "there is no submission with this number and this code").into_response()
            }
            Err(error) => ApiError::from(error).into_response(),
        }
    };
    allow(&desk, &headers, &mut response);
    response
}

/// Lets the scripts of a page on the connector's list read the answer.
fn allow(desk: &Desk, headers: &HeaderMap, response: &mut Response) -> bool {
    response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let listed = desk
        .form()
        .is_some_and(|form| form.terms().origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes()));
    if listed {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    listed
}

fn too_often(wait: Option<std::time::Duration>) -> Response {
    let message = "too much came from this network address in a short time; send it again later";
    let body = json!({ "error": { "code": "too_often", "message": message } });
    let mut response = (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
    let seconds = wait.map_or(60, |wait| wait.as_secs().saturating_add(1));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

impl Portal {
    async fn take_json(
        &self,
        desk: &Desk,
        client: ClientAddress,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Value, Response> {
        let form = desk.form().ok_or_else(|| Refused::Unknown.into_response())?;
        if !desk.open() {
            return Err(Refused::SwitchedOff.into_response());
        }
        if !form.speaks_for_many(&push::head(headers)) {
            self.count(desk, form, client).map_err(|wait| too_often(Some(wait)))?;
        }
        // Files are a third longer as text.
        let whole = form.terms().total_bytes.saturating_mul(4) / 3 + super::form::TEXTS;
        let Some(_memory) = self.memory_for(headers, form.terms()) else { return Err(Refused::Busy.into_response()) };
        let limits = PushLimits { body: usize::try_from(whole).unwrap_or(usize::MAX), ..self.inlets.limits };
        let (taken, id) = push::deliver(&self.inlets, limits, &desk.name, desk.push.as_ref(), headers, body)
            .await
            .map_err(|refused| {
                refused.count(&desk.name);
                refused.into_response()
            })?;
        let slip = code::slip(&self.keyring, &desk.name, &id);
        let fate = self.settle(desk, &id, &slip).await.map_err(|error| ApiError::from(error).into_response())?;
        let outcome = match taken {
            Taken::Stored(_) | Taken::Quarantined(_) | Taken::Kept => "stored",
            Taken::Repeat | Taken::Reused => "repeat",
        };
        let fate = fate.map(|fate| self.told(&fate, &slip));
        Ok(json!({ "outcome": outcome, "reception_number": slip.number, "query_code": slip.code, "status": fate }))
    }

    /// What became of a submission, as the status page tells it.
    fn told(&self, fate: &Fate, slip: &Slip) -> Value {
        let told = page::told(Language::Chinese.words(), fate, slip, &self.zone);
        let state = match fate.place {
            Place::Pending => "pending",
            Place::Ticket => "accepted",
            Place::Guided => "guided",
            Place::Declined => "declined",
            Place::Held | Place::Quarantine => "held",
        };
        let decided = matches!(fate.place, Place::Guided | Place::Declined);
        json!({
            "state": state,
            "reception_number": told.reception,
            "ticket_number": told.ticket,
            "relation": fate.ticket.as_ref().and_then(|ticket| ticket.relation),
            "kind": fate.ticket.as_ref().map(|ticket| ticket.kind),
            "answer_due": fate.ticket.as_ref().and_then(|ticket| ticket.complete_due),
            "received_at": fate.received_at,
            "article": fate.grounds.as_ref().filter(|_| decided).map(|grounds| grounds.article),
            "words": told.state,
            "advice": told.advice,
            "emergency": told.emergency,
        })
    }
}
