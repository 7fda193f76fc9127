//! Who is let in. Every route of the console stands behind [`guard`]: it finds the session, holds the role against the table,
//! and lets nothing change anything that did not come from a page of ours (RFC 6454 origin, and a token that only our pages
//! know). What a handler sees has passed all of it.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, ORIGIN, REFERRER_POLICY, SET_COOKIE},
    },
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Console, page, password::secret_token, trouble::Trouble, words::Lang};
use crate::{
    assess::FILE_LIMIT,
    http::{Access, ClientAddress, Protected, layers::Slots},
    store::accounts::{Digest, Role, digest_of},
};

/// Bytes of a form: a rule file fits in it, of which each byte may be sent as three.
const MAX_FORM: usize = 3 * FILE_LIMIT + MAX_GUEST_FORM;
/// Bytes of a form that somebody sends who is not logged in.
const MAX_GUEST_FORM: usize = 64 * 1024;
/// Fields of a form.
const MAX_FIELDS: usize = 2000;
/// Bytes of a cookie's value that are looked at.
const LONGEST_COOKIE: usize = 128;

/// The cookie of a session, of somebody who is not logged in, and of the language.
pub(super) const SESSION: &str = "jiesu_session";
const GUEST: &str = "jiesu_guest";
pub(super) const LANG: &str = "jiesu_lang";

/// Only what is ours, and nothing inline: text of a citizen can never run.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// What a route's guard knows.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) console: Arc<Console>,
    pub(super) access: Access,
    pub(super) slots: Arc<Slots>,
}

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) account: String,
    pub(super) role: Role,
    pub(super) session: Digest,
}

/// Who asks for a page.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who it is; nobody on open pages.
    pub(super) who: Option<Who>,
    /// What a form of ours must carry.
    pub(super) csrf: String,
    /// In which language.
    pub(super) lang: Lang,
    /// Path and query that were asked for.
    pub(super) here: String,
    /// Where from.
    pub(super) address: IpAddr,
    /// Whether what is sent there is protected on the way.
    pub(super) secure: bool,
}

impl Visitor {
    /// The account's name.
    pub(super) fn name(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.account)
    }

    /// The name under which deeds are written down.
    pub(super) fn actor(&self) -> String {
        match &self.who {
            Some(who) => format!("console:{}", who.account),
            None => "console".to_owned(),
        }
    }

    /// The visitor at another address: of a page that came of a form, the one that can be asked for again. What was just
    /// done stays with it.
    pub(super) fn at(&self, path: &str) -> Self {
        let here = if self.here.starts_with(&format!("{path}?")) { self.here.clone() } else { path.to_owned() };
        Self { here, ..self.clone() }
    }

    /// Whether the visitor is logged in in one of these roles.
    pub(super) fn may(&self, roles: &[Role]) -> bool {
        self.who.as_ref().is_some_and(|who| roles.contains(&who.role))
    }
}

/// The fields of a form that came from a page of ours.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    /// The first value of a field, without blanks around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value of a field as it was sent.
    pub(super) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// Whether a field was sent.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// Every value of a field.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Lets through who may, with what they may do known to the handler.
pub(super) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let lang = language(request.headers());
    let nowhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let mut visitor = Visitor {
        who: None,
        csrf: String::new(),
        lang,
        here: request.uri().path_and_query().map_or_else(String::new, |here| here.as_str().to_owned()),
        address: request.extensions().get::<ClientAddress>().map_or(nowhere, |client| client.0),
        secure: request.extensions().get::<Protected>().is_some_and(|protected| protected.0),
    };
    let mut guest = None;
    let response = match let_in(&gate, request, next, &mut visitor, &mut guest).await {
        Ok(response) => response,
        Err(trouble) => trouble.into_response(),
    };
    let mut response = match response.extensions().get::<Trouble>() {
        Some(trouble) => page::trouble(&visitor, &trouble.clone()),
        None => response,
    };
    if let Some(token) = guest {
        set_cookie(&mut response, visitor.secure, GUEST, &token, "; HttpOnly");
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    // Not "no-referrer": browsers would then send our own forms with the origin "null".
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

async fn let_in(
    gate: &Gate,
    mut request: Request,
    next: Next,
    visitor: &mut Visitor,
    guest: &mut Option<String>,
) -> Result<Response, Trouble> {
    let busy = |what| Trouble::new(StatusCode::SERVICE_UNAVAILABLE, what);
    let Ok(_slot) = gate.slots.requests.try_acquire() else { return Err(busy("busy")) };
    let work = async {
        identify(gate, request.headers(), visitor, guest).await?;
        if let Access::Role(roles) = gate.access {
            match &visitor.who {
                None if request.method() == Method::GET => return Ok(to_login(&visitor.here)),
                None => return Err(Trouble::new(StatusCode::UNAUTHORIZED, "unauthenticated")),
                Some(who) if !roles.contains(&who.role) => {
                    return Err(Trouble::new(StatusCode::FORBIDDEN, "forbidden"));
                }
                Some(_) => {}
            }
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let form = genuine(&mut request, visitor).await?;
            request.extensions_mut().insert(form);
        }
        request.extensions_mut().insert(visitor.clone());
        Ok(next.run(request).await)
    };
    tokio::time::timeout(gate.slots.timeout, work).await.map_err(|_| busy("timeout"))?
}

/// Finds who asks, and what a form of theirs must carry.
async fn identify(
    gate: &Gate,
    headers: &HeaderMap,
    visitor: &mut Visitor,
    guest: &mut Option<String>,
) -> Result<(), Trouble> {
    let console = &gate.console;
    if let Some(token) = cookie(headers, SESSION) {
        let digest = digest_of(token);
        let now = console.clock.now();
        if let Some(session) = console.store.session(digest).await?
            && console.holds(session.created_at, session.seen_at, now)
        {
            // To the minute: not every page is to write.
            if now.duration_since(session.seen_at).as_secs() >= 60 {
                console.store.session_seen(digest, now).await?;
            }
            visitor.csrf = csrf_of(token);
            visitor.who = Some(Who { account: session.account, role: session.role, session: digest });
            return Ok(());
        }
    }
    visitor.csrf = if let Some(token) = cookie(headers, GUEST) {
        csrf_of(token)
    } else {
        let token = secret_token().map_err(|error| {
            tracing::error!(%error, "nobody can be let in");
            Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")
        })?;
        csrf_of(guest.insert(token))
    };
    Ok(())
}

/// What a form must carry: known only to who holds the cookie, and telling nothing of it.
fn csrf_of(token: &str) -> String {
    hex(&Sha256::new().chain_update(b"jiesu form ").chain_update(token.as_bytes()).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Takes a form, if a page of ours sent it.
async fn genuine(request: &mut Request, visitor: &Visitor) -> Result<Form, Trouble> {
    let forged = || Trouble::new(StatusCode::FORBIDDEN, "forged");
    if !same_origin(request.headers()) {
        return Err(forged());
    }
    let declared = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !declared.starts_with("application/x-www-form-urlencoded") {
        return Err(Trouble::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "form"));
    }
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let most = if visitor.who.is_some() { MAX_FORM } else { MAX_GUEST_FORM };
    let bytes = to_bytes(body, most).await.map_err(|_| Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "large"))?;
    let fields: Vec<(String, String)> =
        form_urlencoded::parse(&bytes).take(MAX_FIELDS).map(|(name, value)| (name.into(), value.into())).collect();
    let form = Form(fields);
    if bool::from(form.raw("csrf").as_bytes().ct_eq(visitor.csrf.as_bytes())) { Ok(form) } else { Err(forged()) }
}

/// Whether a request that changes something comes from a page of ours, as far as its browser tells.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return false;
    }
    match headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null")) {
        None => true,
        Some(origin) => {
            let host = text(HOST.as_str());
            origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host)
        }
    }
}

fn to_login(here: &str) -> Response {
    let next: String = form_urlencoded::byte_serialize(here.as_bytes()).collect();
    Redirect::to(&format!("/console/login?next={next}")).into_response()
}

fn language(headers: &HeaderMap) -> Lang {
    cookie(headers, LANG).and_then(Lang::parse).unwrap_or_default()
}

/// The value of a cookie; a cookie that is there twice counts for nothing, since one of them is not ours.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(named, _)| *named == name)
        .map(|(_, value)| value);
    let value = found.next().filter(|value| !value.is_empty() && value.len() <= LONGEST_COOKIE)?;
    found.next().is_none().then_some(value)
}

/// Sets a cookie of the console; an empty value takes it away.
pub(super) fn set_cookie(response: &mut Response, secure: bool, name: &str, value: &str, more: &str) {
    let secure = if secure { "; Secure" } else { "" };
    let end = if value.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{name}={value}; Path=/console; SameSite=Strict{secure}{end}{more}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        for (expected, given) in [
            (true, vec![("host", "jiesu.example"), ("origin", "https://jiesu.example")]),
            (true, vec![("host", "jiesu.example:8080"), ("origin", "http://jiesu.example:8080")]),
            (true, vec![("host", "jiesu.example")]),
            (false, vec![("host", "jiesu.example"), ("origin", "https://evil.example")]),
            (false, vec![("host", "jiesu.example"), ("origin", "https://jiesu.example.evil")]),
            (false, vec![("host", "jiesu.example"), ("origin", "null")]),
            (false, vec![("host", "jiesu.example"), ("sec-fetch-site", "cross-site")]),
            (false, vec![("host", "jiesu.example"), ("sec-fetch-site", "same-site")]),
        ] {
            assert_eq!(same_origin(&headers(&given)), expected, "{given:?}");
        }
    }

    #[test]
    fn a_cookie_counts_once() {
        let given = headers(&[("cookie", "a=1; jiesu_session=abc"), ("cookie", "b=2")]);
        assert_eq!(cookie(&given, SESSION), Some("abc"));
        assert_eq!(cookie(&given, "c"), None);
        let twice = headers(&[("cookie", "jiesu_session=abc; jiesu_session=def")]);
        assert_eq!(cookie(&twice, SESSION), None);
        let long = format!("jiesu_session={}", "x".repeat(LONGEST_COOKIE + 1));
        assert_eq!(cookie(&headers(&[("cookie", &long)]), SESSION), None);
    }

    #[test]
    fn what_a_form_carries_tells_nothing_of_the_session() {
        let csrf = csrf_of("token");
        assert_eq!(csrf.len(), 64);
        assert!(csrf != csrf_of("other") && csrf != hex(&digest_of("token")));
    }
}
