//! The form page, and what is sent with it. Whatever keeps a form from being taken, the page comes back with all that was typed.

use std::{sync::Arc, time::Duration};

use axum::{
    RequestExt as _,
    extract::{DefaultBodyLimit, Multipart, Path, Query, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, RETRY_AFTER},
    },
    response::Response,
};
use connectors::{
    entry::Item,
    public_form::{Field, PublicForm, Terms, Wrong},
};
use serde::Deserialize;
use tokio::sync::SemaphorePermit;
use uuid::Uuid;

use super::{
    Desk, MEMORY_UNIT, Portal,
    code::{self, Ticket},
    page::{self, Shown},
    read::{self, Sent},
    words::{Language, Words},
};
use crate::{http::client::ClientAddress, store::intake::Taken, telemetry::names};

/// Bytes of a form beside its files.
pub(super) const TEXTS: u64 = 256 * 1024;

/// What may stand behind the question mark.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// The language.
    pub(super) lang: Option<String>,
}

/// `GET /portal/{connector}`
pub(super) async fn show(
    State(portal): State<Arc<Portal>>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let language = Language::of(asked.lang.as_deref());
    let Some(desk) = portal.desk(&name) else { return portal.no_such_page(language) };
    let Some(form) = desk.form().filter(|_| desk.open()) else { return switched_off(&portal, language, &desk) };
    let ticket = portal.new_ticket(&desk);
    page::form(
        StatusCode::OK,
        portal.frame(language, Some(&desk), "form"),
        &desk.name,
        form.terms(),
        &Shown { ticket, ..Shown::default() },
    )
}

/// `POST /portal/{connector}`
pub(super) async fn take(
    State(portal): State<Arc<Portal>>,
    Path(name): Path<String>,
    client: ClientAddress,
    request: Request,
) -> Response {
    let Some(desk) = portal.desk(&name) else { return portal.no_such_page(Language::default()) };
    let Some(form) = desk.form().filter(|_| desk.open()) else {
        return switched_off(&portal, Language::default(), &desk);
    };
    let from_elsewhere = from_elsewhere(request.headers());
    let Some(_memory) = portal.memory_for(request.headers(), form.terms()) else {
        return Unread::Busy.answer(&portal, &desk, form);
    };
    let sent = match portal.read(request, form.terms()).await {
        Ok(sent) => sent,
        Err(unread) => return unread.answer(&portal, &desk, form),
    };
    if let Some(wanted) = &sent.switch {
        // The same form in other words: what was typed stays, and is not sent yet.
        let shown = Shown { ticket: sent.ticket.clone(), typed: Some(&sent.submission), ..Shown::default() };
        let frame = portal.frame(Language::of(Some(wanted)), Some(&desk), "form");
        return page::form(StatusCode::OK, frame, &desk.name, form.terms(), &shown);
    }
    let words = Language::of(sent.language.as_deref()).words();
    match portal.receive(&desk, form, words, &sent, from_elsewhere, client).await {
        Ok(response) => response,
        Err(refused) => {
            metrics::counter!(names::REFUSALS, "connector" => desk.name.to_string(), "reason" => refused.reason)
                .increment(1);
            refused.answer(&portal, &desk, form, words, &sent)
        }
    }
}

fn switched_off(portal: &Portal, language: Language, desk: &Desk) -> Response {
    let words = language.words();
    let frame = portal.frame(language, Some(desk), "");
    page::message(StatusCode::SERVICE_UNAVAILABLE, frame, words.off_title, words.off)
}

/// Whether a browser says that another site sent the form, which nobody's page but ours should.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match said("sec-fetch-site") {
        Some(site) => site == "cross-site",
        // Older browsers, and pages without TLS, tell the origin alone.
        None => said(ORIGIN.as_str())
            .filter(|origin| *origin != "null")
            .is_some_and(|origin| origin.split_once("://").map(|(_, authority)| authority) != said(HOST.as_str())),
    }
}

/// Why a form was not read.
enum Unread {
    /// Too many are being read.
    Busy,
    /// It did not arrive whole, or not in time.
    BrokenOff,
}

impl Unread {
    fn answer(self, portal: &Portal, desk: &Desk, form: &dyn PublicForm) -> Response {
        let language = Language::default();
        let words = language.words();
        let (status, notice, reason) = match self {
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, words.busy, "busy"),
            Self::BrokenOff => (StatusCode::BAD_REQUEST, words.broken_off, "interrupted"),
        };
        metrics::counter!(names::REFUSALS, "connector" => desk.name.to_string(), "reason" => reason).increment(1);
        let shown = Shown { ticket: portal.new_ticket(desk), notice: Some(notice), ..Shown::default() };
        let frame = portal.frame(language, Some(desk), "form");
        let mut response = page::form(status, frame, &desk.name, form.terms(), &shown);
        // What is left of the body stands between this form and whatever comes after it.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Why a form was not taken.
struct Refused {
    status: StatusCode,
    reason: &'static str,
    notice: Option<&'static str>,
    wrong: Vec<Wrong>,
    /// Its hidden field cannot be used again.
    stale: bool,
    retry_after: Option<Duration>,
}

impl Refused {
    fn new(status: StatusCode, reason: &'static str, notice: &'static str) -> Self {
        Self { status, reason, notice: Some(notice), wrong: Vec::new(), stale: false, retry_after: None }
    }

    fn answer(
        self,
        portal: &Portal,
        desk: &Desk,
        form: &dyn PublicForm,
        words: &'static Words,
        sent: &Sent,
    ) -> Response {
        // The same form keeps its name: sent again, it is the same submission.
        let ticket = if self.stale { portal.new_ticket(desk) } else { sent.ticket.clone() };
        let shown = Shown { ticket, typed: Some(&sent.submission), wrong: self.wrong, notice: self.notice };
        let frame = portal.frame(words.language, Some(desk), "form");
        let mut response = page::form(self.status, frame, &desk.name, form.terms(), &shown);
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().saturating_add(1).to_string();
            if let Ok(seconds) = HeaderValue::try_from(seconds) {
                response.headers_mut().insert(RETRY_AFTER, seconds);
            }
        }
        response
    }
}

impl Portal {
    fn new_ticket(&self, desk: &Desk) -> String {
        Ticket::new(Uuid::new_v4(), self.inlets.clock.now()).seal(&self.keyring, &desk.name)
    }

    /// Sets memory aside for a form that is to be read; none where too much is in use.
    pub(super) fn memory_for(&self, headers: &HeaderMap, terms: &Terms) -> Option<SemaphorePermit<'_>> {
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let most = terms.total_bytes.saturating_add(TEXTS);
        let bytes = usize::try_from(declared.map_or(most, |declared| declared.min(most))).unwrap_or(usize::MAX);
        // The form, and what is made of it: files as text, sealed.
        let units = (bytes / MEMORY_UNIT + 1).saturating_mul(2);
        self.memory.try_acquire_many(u32::try_from(units).unwrap_or(u32::MAX)).ok()
    }

    async fn read(&self, mut request: Request, terms: &Terms) -> Result<Sent, Unread> {
        let limits = self.inlets.limits;
        let most = usize::try_from(limits.drain.max(terms.total_bytes.saturating_add(TEXTS))).unwrap_or(usize::MAX);
        DefaultBodyLimit::max(most).apply(&mut request);
        let mut form = request.extract::<Multipart, _>().await.map_err(|_| Unread::BrokenOff)?;
        tokio::time::timeout(limits.patience, read::read(&mut form, terms))
            .await
            .map_err(|_| Unread::BrokenOff)?
            .map_err(|read::BrokenOff| Unread::BrokenOff)
    }

    async fn receive(
        &self,
        desk: &Desk,
        form: &dyn PublicForm,
        words: &'static Words,
        sent: &Sent,
        from_elsewhere: bool,
        client: ClientAddress,
    ) -> Result<Response, Refused> {
        let now = self.inlets.clock.now();
        let Some(ticket) = Ticket::open(&sent.ticket, &self.keyring, &desk.name, now) else {
            let refused = Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "stale_form", words.stale);
            return Err(Refused { stale: true, ..refused });
        };
        if from_elsewhere {
            let refused = Refused::new(StatusCode::FORBIDDEN, "other_site", words.elsewhere);
            return Err(Refused { stale: true, ..refused });
        }
        if sent.trapped {
            return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "trapped", words.trapped));
        }
        if ticket.age(now) < Duration::from_secs(u64::from(form.terms().least_seconds)) {
            return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "hasty", words.hasty));
        }
        let mut submission = sent.submission.clone();
        submission.id = ticket.id();
        submission.submitted_at = Some(now.to_string());
        submission.ip = Some(client.0.to_string());
        let judged = form.item(&submission);
        let mut wrong = judged.as_ref().err().cloned().unwrap_or_default();
        wrong.extend(sent.refused.iter().map(|problem| (Field::Files, *problem)));
        let item = match judged {
            Ok(item) if wrong.is_empty() => item,
            _ => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Err(Refused {
                    status,
                    reason: "malformed",
                    notice: None,
                    wrong,
                    stale: false,
                    retry_after: None,
                });
            }
        };
        self.count(desk, form, client).map_err(|wait| Refused {
            retry_after: Some(wait),
            ..Refused::new(StatusCode::TOO_MANY_REQUESTS, "too_often", words.too_often)
        })?;
        self.store_and_tell(desk, words, item).await
    }

    async fn store_and_tell(&self, desk: &Desk, words: &'static Words, item: Item) -> Result<Response, Refused> {
        let not_stored = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not_stored", words.not_stored);
        let id = item.external_id().clone();
        let taken = self.inlets.intake.deliver(&desk.name, item).await.map_err(|error| {
            tracing::error!(connector.name = %desk.name, %error, "a form was not stored");
            not_stored()
        })?;
        if taken == Taken::Reused {
            return Err(not_stored());
        }
        let slip = code::slip(&self.keyring, &desk.name, &id);
        let fate = self.settle(desk, &id, &slip).await.map_err(|error| {
            tracing::error!(connector.name = %desk.name, %error, "what became of a form could not be read");
            not_stored()
        })?;
        // It is stored, so it is found, unless it was read from a database that lags.
        let fate = fate.ok_or_else(not_stored)?;
        let told = page::told(words, &fate, &slip, &self.zone);
        Ok(page::done(self.frame(words.language, Some(desk), ""), &desk.name, &slip, told))
    }
}
