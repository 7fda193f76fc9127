//! Accounts of the console: who may use it, in which role. Passwords are set by their owners alone, through one-time links.

use std::sync::Arc;

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
    one_time_path,
    page::{Page, done, html, html_with},
    session::valid_name,
    trouble::Trouble,
};
use crate::store::{
    StoreError,
    accounts::{Account, LinkFor, Role},
    journal::Act,
};

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    page: Page,
    accounts: Vec<Account>,
    roles: [Role; 4],
    /// A link that was just made, for whom.
    link: Option<(String, String)>,
    link_minutes: u32,
    wrong: Option<&'static str>,
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    link: Option<(String, String)>,
    wrong: Option<&'static str>,
) -> Result<Response, Trouble> {
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = AccountsPage {
        page: Page::new(visitor, "accounts", console.clock.now()),
        accounts: console.store.accounts().await?,
        roles: Role::ALL,
        link,
        link_minutes: console.settings.link_minutes,
        wrong: wrong.map(|key| visitor.lang.t(key)),
    };
    if status == StatusCode::OK { html(&page) } else { html_with(status, &page) }
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
    if !valid_name(name) {
        return page(&console, &visitor, None, Some("account.bad_name")).await;
    }
    let role = Role::parse(form.text("role")).ok_or_else(|| Trouble::invalid("role"))?;
    let actor = visitor.actor();
    let act = Act { actor: &actor, action: "account.add", subject: name, reason: Some(role.as_str()) };
    match console.store.add_account(name, role, act, now).await {
        Err(StoreError::Conflict(_)) => return page(&console, &visitor, None, Some("account.taken")).await,
        added => added?,
    }
    let purpose = LinkFor::Account(name.to_owned());
    let path = one_time_path(&console.store, &console.settings, &purpose, &actor, now).await?;
    page(&console, &visitor, Some((name.to_owned(), path)), None).await
}

pub(super) async fn change(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let role = Role::parse(form.text("role")).ok_or_else(|| Trouble::invalid("role"))?;
    let enabled = form.has("enabled");
    let told = format!("{}, {}", role.as_str(), if enabled { "enabled" } else { "disabled" });
    let act = Act { actor: &visitor.actor(), action: "account.change", subject: &name, reason: Some(&told) };
    match console.store.change_account(&name, role, enabled, act, console.clock.now()).await {
        Err(StoreError::Conflict(_)) => page(&console, &visitor, None, Some("account.last_admin")).await,
        changed => {
            changed?;
            Ok(done("/console/accounts", "account"))
        }
    }
}

/// Makes a one-time link for a new password.
pub(super) async fn link(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let purpose = LinkFor::Account(name.clone());
    let path =
        one_time_path(&console.store, &console.settings, &purpose, &visitor.actor(), console.clock.now()).await?;
    page(&console, &visitor, Some((name, path)), None).await
}

pub(super) async fn end_sessions(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let act = Act { actor: &visitor.actor(), action: "account.end_sessions", subject: &name, reason: None };
    console.store.end_sessions_of(&name, act, console.clock.now()).await?;
    Ok(done("/console/accounts", "sessions"))
}
