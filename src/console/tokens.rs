//! Tokens of the API for handling systems and monitors. A token is shown once, when it is made; its hash is all that is kept.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};

use super::{
    Console,
    access::{Form, Visitor},
    page::{Page, done, html, html_with},
    password::secret_token,
    session::valid_name,
    trouble::Trouble,
};
use crate::{
    config::Scope,
    store::{StoreError, accounts::digest_of, journal::Act, sessions::ApiToken},
};

const SCOPES: [Scope; 3] = [Scope::Queue, Scope::Read, Scope::Admin];
/// Days for which a token may hold.
const DAYS: [u32; 4] = [30, 90, 365, 0];

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    page: Page,
    tokens: Vec<ApiToken>,
    scopes: [Scope; 3],
    days: [u32; 4],
    /// A token that was just made, with its name.
    made: Option<(String, String)>,
    wrong: Option<&'static str>,
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    made: Option<(String, String)>,
    wrong: Option<&'static str>,
) -> Result<Response, Trouble> {
    let page = TokensPage {
        page: Page::new(visitor, "tokens", console.clock.now()),
        tokens: console.store.api_tokens().await?,
        scopes: SCOPES,
        days: DAYS,
        made,
        wrong: wrong.map(|key| visitor.lang.t(key)),
    };
    if wrong.is_some() { html_with(StatusCode::UNPROCESSABLE_ENTITY, &page) } else { html(&page) }
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    page(&console, &visitor, None, None).await
}

pub(super) async fn add(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let now = console.clock.now();
    let name = form.text("name");
    let scopes: Vec<Scope> =
        SCOPES.into_iter().filter(|scope| form.all("scope").any(|given| given == scope.as_str())).collect();
    if !valid_name(name) {
        return page(&console, &visitor, None, Some("account.bad_name")).await;
    }
    if scopes.is_empty() {
        return page(&console, &visitor, None, Some("token.no_scope")).await;
    }
    let days: u32 = form.text("days").parse().ok().filter(|days| DAYS.contains(days)).unwrap_or(DAYS[0]);
    let expires_at = (days > 0).then(|| now.checked_add(Duration::from_hours(24 * u64::from(days))).ok()).flatten();
    let secret = secret_token().map_err(|_| Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
    // A prefix by which a scanner of leaked secrets, and a person, knows what it is.
    let secret = format!("jiesu_{secret}");
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let told = names.join(", ");
    let actor = visitor.actor();
    let token = ApiToken {
        name: name.to_owned(),
        scopes,
        created_at: now,
        created_by: visitor.name().to_owned(),
        expires_at,
        revoked_at: None,
    };
    let act = Act { actor: &actor, action: "token.add", subject: name, reason: Some(&told) };
    match console.store.add_api_token(&token, digest_of(&secret), act).await {
        Err(StoreError::Conflict(_)) => page(&console, &visitor, None, Some("token.taken")).await,
        added => {
            added?;
            page(&console, &visitor, Some((name.to_owned(), secret)), None).await
        }
    }
}

pub(super) async fn revoke(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let act = Act { actor: &visitor.actor(), action: "token.revoke", subject: &name, reason: None };
    console.store.revoke_api_token(&name, act, console.clock.now()).await?;
    Ok(done("/console/tokens", "revoked"))
}
