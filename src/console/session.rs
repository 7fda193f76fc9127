//! Logging in and out, one-time links, the own password, the language.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Console,
    access::{Form, LANG, SESSION, Visitor, set_cookie},
    attempts::Leave,
    page::{Page, done, html, html_with},
    password::{self, hash_password, secret_token},
    trouble::Trouble,
    words::Lang,
};
use crate::store::{
    accounts::{LinkFor, digest_of},
    journal::Act,
};

/// Characters of an account's name.
const LONGEST_NAME: usize = 40;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    name: String,
    next: String,
    /// What went wrong, in words.
    wrong: Option<String>,
    /// Whether there is any account yet.
    begun: bool,
}

/// Where to go after the login: a page of the console and nowhere else.
fn onward(asked: &str) -> String {
    let inside = asked == "/console" || asked.starts_with("/console/") || asked.starts_with("/console?");
    let plain = !asked.contains(['\\', '\r', '\n']) && !asked.starts_with("/console/log");
    if inside && plain { asked.to_owned() } else { "/console".to_owned() }
}

fn asked(visitor: &Visitor, field: &str) -> String {
    let query = visitor.here.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == field)
        .map_or_else(String::new, |(_, value)| value.into())
}

pub(super) async fn login_page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let next = onward(&asked(&visitor, "next"));
    if visitor.who.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    html(&LoginPage {
        page: Page::new(&visitor, "login", console.clock.now()),
        name: String::new(),
        next,
        wrong: None,
        begun: console.store.any_account().await?,
    })
}

pub(super) async fn login(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let now = console.clock.now();
    let (name, given, next) = (form.text("name"), form.raw("password"), onward(form.text("next")));
    let refused = |status: StatusCode, wrong: String| {
        let page = Page::new(&visitor, "login", now);
        html_with(
            status,
            &LoginPage { page, name: name.to_owned(), next: next.clone(), wrong: Some(wrong), begun: true },
        )
    };
    if name.chars().count() > LONGEST_NAME || given.chars().count() > password::LONGEST {
        return refused(StatusCode::UNAUTHORIZED, visitor.lang.t("login.wrong").to_owned());
    }
    let leave = console.door.attempts.begin(name, visitor.address, now);
    if let Leave::Wait(wait) = leave {
        let span = visitor.lang.span(wait + Duration::from_secs(1));
        return refused(StatusCode::TOO_MANY_REQUESTS, visitor.lang.tf("login.locked", &[("span", &span)]));
    }
    let stored = console.store.password(name).await?;
    let known = stored.is_some();
    let right = {
        // The request's own time bounds how long one waits here.
        let _turn = console.door.hashing.acquire().await;
        let given = given.to_owned();
        tokio::task::spawn_blocking(move || password::verify(&given, stored.as_deref())).await.unwrap_or(false)
    };
    if !right {
        // Only of accounts that exist: what is typed in the wrong field may be a password.
        if known {
            let action = if leave == Leave::Last { "account.locked" } else { "account.refused" };
            console.store.audit(Act { actor: "console", action, subject: name, reason: None }, now).await?;
        }
        return refused(StatusCode::UNAUTHORIZED, visitor.lang.t("login.wrong").to_owned());
    }
    console.door.attempts.succeeded(name, visitor.address);
    let mut response = Redirect::to(&next).into_response();
    open(&console, &visitor, name, &mut response).await?;
    Ok(response)
}

/// Begins a session under a token that nobody knew before: whatever the browser brought along opens nothing.
async fn open(console: &Console, visitor: &Visitor, name: &str, response: &mut Response) -> Result<(), Trouble> {
    if let Some(who) = &visitor.who {
        console.store.end_session(who.session).await?;
    }
    let token = secret_token().map_err(|_| Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
    let actor = format!("console:{name}");
    let act = Act { actor: &actor, action: "account.login", subject: name, reason: None };
    console.store.begin_session(digest_of(&token), name, act, console.clock.now()).await?;
    set_cookie(response, visitor.secure, SESSION, &token, "; HttpOnly");
    Ok(())
}

pub(super) async fn logout(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    if let Some(who) = &visitor.who {
        console.store.end_session(who.session).await?;
    }
    let mut response = done("/console/login", "logout");
    set_cookie(&mut response, visitor.secure, SESSION, "", "; HttpOnly");
    Ok(response)
}

/// Switches the language, and goes back to where it was switched.
pub(super) async fn language(Extension(visitor): Extension<Visitor>, Extension(form): Extension<Form>) -> Response {
    let lang = Lang::parse(form.text("lang")).unwrap_or_default();
    let back = form.text("back");
    let back = if back.starts_with("/console/login") || back.starts_with("/console/setup/") {
        back.to_owned()
    } else {
        onward(back)
    };
    let back = if back.contains(['\\', '\r', '\n']) { "/console".to_owned() } else { back };
    let mut response = Redirect::to(&back).into_response();
    set_cookie(&mut response, visitor.secure, LANG, lang.as_str(), "; Max-Age=31536000");
    response
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    page: Page,
    /// Whose password is set; nobody's yet where it is the first admin's.
    account: Option<String>,
    name: String,
    wrong: Option<&'static str>,
}

async fn purpose(console: &Console, token: &str) -> Result<LinkFor, Trouble> {
    let found = console.store.link(digest_of(token), console.clock.now()).await?;
    found.ok_or_else(|| Trouble::new(StatusCode::GONE, "link"))
}

fn whose(purpose: &LinkFor) -> Option<String> {
    match purpose {
        LinkFor::FirstAdmin => None,
        LinkFor::Account(name) => Some(name.clone()),
    }
}

pub(super) async fn setup_page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
) -> Result<Response, Trouble> {
    let account = whose(&purpose(&console, &token).await?);
    html(&SetupPage {
        page: Page::new(&visitor, "login", console.clock.now()),
        name: account.clone().unwrap_or_default(),
        account,
        wrong: None,
    })
}

pub(super) async fn setup(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let now = console.clock.now();
    let account = whose(&purpose(&console, &token).await?);
    let name = account.clone().unwrap_or_else(|| form.text("name").to_owned());
    let wrong = if valid_name(&name) { new_password(&form, &name) } else { Some("account.bad_name") };
    if let Some(wrong) = wrong {
        let page = Page::new(&visitor, "login", now);
        let wrong = Some(visitor.lang.t(wrong));
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &SetupPage { page, account, name, wrong });
    }
    let stored = hashed(&console, form.raw("password")).await?;
    if !console.store.use_link(digest_of(&token), &name, &stored, now).await? {
        return Err(Trouble::new(StatusCode::GONE, "link"));
    }
    let mut response = done("/console", "setup");
    open(&console, &visitor, &name, &mut response).await?;
    Ok(response)
}

/// What is wrong with a new password and its repetition: the key of its words.
fn new_password(form: &Form, name: &str) -> Option<&'static str> {
    let given = form.raw("password");
    password::weakness(given, name).or_else(|| (given != form.raw("again")).then_some("password.differ"))
}

async fn hashed(console: &Console, password: &str) -> Result<String, Trouble> {
    let _turn = console.door.hashing.acquire().await;
    let password = password.to_owned();
    let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
    match hashed {
        Ok(Ok(stored)) => Ok(stored),
        _ => Err(Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")),
    }
}

/// Whether a text can be an account's name: it stands in addresses and in the audit trail.
pub(super) fn valid_name(name: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || matches!(character, '.' | '-' | '_');
    !name.is_empty() && name.chars().count() <= LONGEST_NAME && name.chars().all(plain)
}

#[derive(Template)]
#[template(path = "me.html")]
struct OwnPage {
    page: Page,
    wrong: Option<&'static str>,
}

pub(super) async fn own_page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    html(&OwnPage { page: Page::new(&visitor, "me", console.clock.now()), wrong: None })
}

pub(super) async fn own_password(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let now = console.clock.now();
    let name = visitor.name();
    let refused = |wrong: &'static str| {
        let page = Page::new(&visitor, "me", now);
        html_with(StatusCode::UNPROCESSABLE_ENTITY, &OwnPage { page, wrong: Some(visitor.lang.t(wrong)) })
    };
    if matches!(console.door.attempts.begin(name, visitor.address, now), Leave::Wait(_)) {
        return refused("password.wait");
    }
    let stored = console.store.password(name).await?;
    let given = form.raw("old").to_owned();
    let right = {
        let _turn = console.door.hashing.acquire().await;
        tokio::task::spawn_blocking(move || password::verify(&given, stored.as_deref())).await.unwrap_or(false)
    };
    if !right {
        return refused("password.old_wrong");
    }
    console.door.attempts.succeeded(name, visitor.address);
    if let Some(wrong) = new_password(&form, name) {
        return refused(wrong);
    }
    let stored = hashed(&console, form.raw("password")).await?;
    let act = Act { actor: &visitor.actor(), action: "account.password", subject: name, reason: None };
    console.store.set_password(name, &stored, act, now).await?;
    // Every session ended with the old password; this one goes on under a new token.
    let mut response = done("/console/me", "password");
    open(&console, &visitor, name, &mut response).await?;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_into_the_console_and_nowhere_else() {
        for (asked, leads) in [
            ("/console/queue?after=3", "/console/queue?after=3"),
            ("/console", "/console"),
            ("https://evil.example/", "/console"),
            ("//evil.example/console", "/console"),
            ("/console/../v1", "/console/../v1"),
            ("/console/\\evil.example", "/console"),
            ("/consoles", "/console"),
            ("/console/logout", "/console"),
            ("", "/console"),
        ] {
            assert_eq!(onward(asked), leads);
        }
    }

    #[test]
    fn names_stand_in_addresses_and_in_the_trail() {
        for name in ["wang", "王小明", "li.si-2"] {
            assert!(valid_name(name), "{name}");
        }
        for name in ["", "a b", "a/b", "<b>", "a\n", &"x".repeat(41)] {
            assert!(!valid_name(name), "{name:?}");
        }
    }
}
