//! What every page has: its language, its navigation, who looks at it, and what was just done.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Redirect, Response},
};
use jiff::Timestamp;

use super::{
    access::Visitor,
    assets, desk,
    routes::{AUDITORS, MANAGERS, VIEWERS},
    trouble::Trouble,
    words::Lang,
};
use crate::{
    assess::Article,
    issue::{hotline_zone, plan::GATEWAY},
    store::accounts::Role,
};

/// A place that the navigation leads to.
struct Place {
    /// Member of the family `nav`.
    name: &'static str,
    path: &'static str,
    roles: &'static [Role],
}

const fn place(name: &'static str, path: &'static str, roles: &'static [Role]) -> Place {
    Place { name, path, roles }
}

/// The navigation, in its order.
const NAVIGATION: &[Place] = &[
    place("overview", "/console", VIEWERS),
    place("alarms", "/console/alarms", VIEWERS),
    place("held", "/console/held", VIEWERS),
    place("quarantine", "/console/quarantine", VIEWERS),
    place("entries", "/console/entries", VIEWERS),
    place("connectors", "/console/connectors", VIEWERS),
    place("queue", "/console/queue", VIEWERS),
    place("hotspots", "/console/hotspots", VIEWERS),
    place("rules", "/console/rules", VIEWERS),
    place("notices", "/console/notices", VIEWERS),
    place("audit", "/console/audit", AUDITORS),
    place("accounts", "/console/accounts", MANAGERS),
    place("tokens", "/console/tokens", MANAGERS),
];

/// A link of the navigation.
pub(super) struct Link {
    pub(super) path: &'static str,
    pub(super) words: &'static str,
    pub(super) current: bool,
}

/// What a page says when it comes after something was done.
const DONE: &str = "done";

/// What every page has.
pub(super) struct Page {
    lang: Lang,
    visitor: Visitor,
    current: &'static str,
    now: Timestamp,
    /// Addresses of style, script and sign.
    pub(super) css: String,
    pub(super) js: String,
    pub(super) icon: String,
}

impl Page {
    /// The page `current` of the navigation for a visitor.
    pub(super) fn new(visitor: &Visitor, current: &'static str, now: Timestamp) -> Self {
        Self {
            lang: visitor.lang,
            visitor: visitor.clone(),
            current,
            now,
            css: assets::address("console.css"),
            js: assets::address("console.js"),
            icon: assets::address("icon.svg"),
        }
    }

    pub(super) fn t(&self, key: &str) -> &'static str {
        self.lang.t(key)
    }

    /// The words of a key with one value in its place.
    pub(super) fn t1(&self, key: &str, name: &str, value: impl std::fmt::Display) -> String {
        self.lang.tf(key, &[(name, &value)])
    }

    /// The words of a key with two values in their places.
    pub(super) fn t2(
        &self,
        key: &str,
        name: &str,
        value: impl std::fmt::Display,
        other: &str,
        second: impl std::fmt::Display,
    ) -> String {
        self.lang.tf(key, &[(name, &value), (other, &second)])
    }

    pub(super) fn of(&self, family: &str, member: &str) -> &'static str {
        self.lang.of(family, member)
    }

    pub(super) fn tag(&self) -> &'static str {
        self.lang.tag()
    }

    /// The other language, for the switch.
    pub(super) fn other(&self) -> &'static str {
        match self.lang {
            Lang::Zh => "en",
            Lang::En => "zh",
        }
    }

    pub(super) fn csrf(&self) -> &str {
        &self.visitor.csrf
    }

    pub(super) fn here(&self) -> &str {
        &self.visitor.here
    }

    pub(super) fn account(&self) -> &str {
        self.visitor.name()
    }

    pub(super) fn signed_in(&self) -> bool {
        self.visitor.who.is_some()
    }

    pub(super) fn role(&self) -> &'static str {
        self.visitor.who.as_ref().map_or("", |who| self.lang.of("role", who.role.as_str()))
    }

    pub(super) fn links(&self) -> Vec<Link> {
        let seen = NAVIGATION.iter().filter(|place| self.visitor.may(place.roles));
        seen.map(|place| Link {
            path: place.path,
            words: self.lang.of("nav", place.name),
            current: place.name == self.current,
        })
        .collect()
    }

    /// What was just done, where the address says so in one of our own words.
    pub(super) fn done(&self) -> Option<&'static str> {
        let (_, query) = self.visitor.here.split_once('?')?;
        let (_, word) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == DONE)?;
        self.lang.known(&format!("{DONE}.{word}"))
    }

    /// A moment in the hotline's own time; the year only where it is another one.
    pub(super) fn moment(&self, at: &Timestamp) -> String {
        moment(*at, self.now)
    }

    /// How long ago a moment is.
    pub(super) fn ago(&self, at: &Timestamp) -> String {
        let time = std::time::Duration::try_from(self.now.duration_since(*at)).unwrap_or_default();
        self.lang.tf("span.ago", &[("span", &self.lang.span(time))])
    }

    /// A number of minutes in its largest unit.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    pub(super) fn minutes(&self, minutes: &u32) -> String {
        self.lang.span(std::time::Duration::from_mins((*minutes).into()))
    }

    /// A number of hours in its largest unit.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    pub(super) fn hours(&self, hours: &u32) -> String {
        self.lang.span(std::time::Duration::from_hours((*hours).into()))
    }

    /// Whether forms that only an admin may send are shown.
    pub(super) fn manages(&self) -> bool {
        self.visitor.may(MANAGERS)
    }

    /// An article, as it is cited.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    pub(super) fn article(&self, article: &Article) -> String {
        desk::cited(*article, self.lang)
    }

    /// An article that is written as in `8(1)`.
    pub(super) fn cited(&self, article: &str) -> String {
        article.parse().map_or_else(|_| article.to_owned(), |article| desk::cited(article, self.lang))
    }

    /// Who decided: an account, or the gateway itself.
    pub(super) fn actor<'a>(&self, actor: &'a str) -> &'a str {
        if actor == GATEWAY { self.t("desk.gateway") } else { actor.strip_prefix("console:").unwrap_or(actor) }
    }

    /// A moment that may be missing.
    pub(super) fn maybe(&self, at: Option<&Timestamp>) -> String {
        at.map_or_else(|| "—".to_owned(), |at| self.moment(at))
    }
}

/// A moment in the hotline's own time.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    let zone = hotline_zone();
    let (local, today) = (zone.to_datetime(at), zone.to_datetime(now));
    let form = if local.year() == today.year() { "%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    local.strftime(form).to_string()
}

/// Makes a page of a template.
pub(super) fn html(template: &impl Template) -> Result<Response, Trouble> {
    html_with(StatusCode::OK, template)
}

/// Makes a page of a template, with a status.
pub(super) fn html_with(status: StatusCode, template: &impl Template) -> Result<Response, Trouble> {
    let text = template.render()?;
    let media = HeaderValue::from_static("text/html; charset=utf-8");
    Ok((status, [(CONTENT_TYPE, media)], text).into_response())
}

/// Leads on after something was done; `word` is a member of the family `done`.
pub(super) fn done(path: &str, word: &str) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{separator}{DONE}={word}")).into_response()
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'t> {
    page: Page,
    what: &'static str,
    remedy: &'static str,
    detail: &'t str,
}

/// The page that says what went wrong.
pub(super) fn trouble(visitor: &Visitor, trouble: &Trouble) -> Response {
    let lang = visitor.lang;
    let page = TroublePage {
        page: Page::new(visitor, "", Timestamp::UNIX_EPOCH),
        what: lang.of("trouble", trouble.what),
        remedy: lang.of("remedy", trouble.what),
        detail: &trouble.detail,
    };
    html_with(trouble.status, &page).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// There is no such page.
pub(super) async fn nowhere(_: axum::extract::State<Arc<super::Console>>, _: Extension<Visitor>) -> Trouble {
    Trouble::missing()
}
