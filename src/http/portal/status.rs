//! The page where citizens ask what became of a submission, by number and query code.

use std::{sync::Arc, time::Duration};

use axum::{
    Form,
    extract::{DefaultBodyLimit, FromRequest as _, Path, Query, Request, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    Portal,
    form::Asked,
    page::{self, FateShown},
    words::Language,
};
use crate::http::client::ClientAddress;

/// How long an answer takes, whatever it is: how long the database looked tells nothing.
pub(super) const ANSWER_AFTER: Duration = Duration::from_millis(250);

/// Bytes of a question.
pub(super) const MAX_QUESTION: usize = 8 * 1024;

/// A question.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    pub(super) number: String,
    pub(super) code: String,
    lang: Option<String>,
}

/// `GET /portal/{connector}/status`
pub(super) async fn show(
    State(portal): State<Arc<Portal>>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let language = Language::of(asked.lang.as_deref());
    let Some(desk) = portal.desk(&name) else { return portal.no_such_page(language) };
    let frame = portal.frame(language, Some(&desk), "status");
    page::status(StatusCode::OK, frame, &desk.name, String::new(), None, None)
}

/// `POST /portal/{connector}/status`
pub(super) async fn ask(
    State(portal): State<Arc<Portal>>,
    Path(name): Path<String>,
    client: ClientAddress,
    mut request: Request,
) -> Response {
    let Some(desk) = portal.desk(&name) else { return portal.no_such_page(Language::default()) };
    DefaultBodyLimit::max(MAX_QUESTION).apply(&mut request);
    let Form(question) = Form::<Question>::from_request(request, &()).await.unwrap_or_default();
    let language = Language::of(question.lang.as_deref());
    let words = language.words();
    let answer = |status: StatusCode, notice: Option<&'static str>, fate: Option<FateShown>| {
        let number = question.number.chars().take(64).collect();
        page::status(status, portal.frame(language, Some(&desk), "status"), &desk.name, number, notice, fate)
    };
    if portal.lookups.count(client).is_err() {
        return answer(StatusCode::TOO_MANY_REQUESTS, Some(words.too_often), None);
    }
    match portal.look_up(&desk, &question.number, &question.code).await {
        Ok(Some((fate, slip))) => answer(StatusCode::OK, None, Some(page::told(words, &fate, &slip, &portal.zone))),
        Ok(None) => answer(StatusCode::OK, Some(words.not_found), None),
        Err(error) => {
            tracing::error!(connector.name = %desk.name, %error, "what became of a form could not be read");
            answer(StatusCode::SERVICE_UNAVAILABLE, Some(words.busy), None)
        }
    }
}
