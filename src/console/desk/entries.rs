//! Looking for entries: by number, place, connector, time and words; by petitioner through a keyed hash.

use std::sync::Arc;

use ::connectors::entry::ConnectorName;
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::{IntoResponse as _, Redirect, Response},
};
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;

use crate::{
    console::{
        Console,
        access::{Form, Visitor},
        page::{Page, html},
        routes::WORKERS,
        trouble::Trouble,
        words::Lang,
    },
    desk::Contact,
    ids::EntryId,
    issue::hotline_zone,
    number::TicketNumber,
    store::{
        StoreError,
        journal::Act,
        read::Place,
        search::{EntryFilter, Found},
    },
};

/// Rows of a page.
const ROWS: i64 = 50;
/// Words that are looked for at once, and characters of all of them.
const WORDS: usize = 8;
const LONGEST: usize = 200;

/// What is asked for; everything may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Asked {
    number: String,
    place: String,
    connector: String,
    since: String,
    until: String,
    words: String,
    before: Option<i64>,
}

/// A place that can be chosen: a member of the family `place`.
struct Choice {
    name: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "entries.html")]
struct EntriesPage {
    page: Page,
    asked: Asked,
    places: Vec<Choice>,
    connectors: Vec<(String, bool)>,
    found: Found,
    /// Leads on, with everything that was asked for.
    next: Option<String>,
    /// Whether it may be looked for petitioners.
    works: bool,
    /// Who was looked for: only on the page that answers it.
    contact: Option<(String, String)>,
    wrong: Option<&'static str>,
}

/// The places of the list, with what they mean; merged is a place of its own here, as on the overview.
const PLACES: [(&str, Place, Option<bool>); 7] = [
    ("ticket", Place::Ticket, Some(false)),
    ("merged", Place::Ticket, Some(true)),
    ("guided", Place::Guided, None),
    ("declined", Place::Declined, None),
    ("held", Place::Held, None),
    ("quarantined", Place::Quarantine, None),
    ("pending", Place::Pending, None),
];

impl Asked {
    fn filter(&self) -> EntryFilter {
        let place = PLACES.iter().find(|(name, ..)| *name == self.place);
        EntryFilter {
            connector: self.connector.parse().ok(),
            place: place.map(|(_, place, _)| *place),
            merged: place.and_then(|(.., merged)| *merged),
            petitioner: None,
            since: begins(&self.since, 0),
            until: begins(&self.until, 1),
            words: self
                .words
                .chars()
                .take(LONGEST)
                .collect::<String>()
                .split_whitespace()
                .take(WORDS)
                .map(str::to_owned)
                .collect(),
            unruled: false,
            before: self.before.map(EntryId),
        }
    }

    /// The address of the next page.
    fn on(&self, next: EntryId) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("place", &self.place),
            ("connector", &self.connector),
            ("since", &self.since),
            ("until", &self.until),
            ("words", &self.words),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("before", &next.to_string());
        format!("/console/entries?{}", query.finish())
    }
}

/// When a day of the hotline's zone begins, or the one so many days after it.
fn begins(day: &str, after: i32) -> Option<Timestamp> {
    let day: Date = day.trim().parse().ok()?;
    let day = day.checked_add(jiff::Span::new().days(after)).ok()?;
    hotline_zone().to_timestamp(day.at(0, 0, 0, 0)).ok()
}

pub(in crate::console) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let mut wrong = None;
    if !asked.number.trim().is_empty() {
        if let Some(path) = named(&console, asked.number.trim()).await? {
            return Ok(Redirect::to(&path).into_response());
        }
        wrong = Some("entries.no_number");
    }
    let found = match wrong {
        None => console.store.search_entries(&asked.filter(), ROWS).await?,
        Some(_) => Found::default(),
    };
    show(&console, &visitor, asked, found, None, wrong).await
}

/// The page of what has that number.
async fn named(console: &Console, number: &str) -> Result<Option<String>, Trouble> {
    let there = |answer: Result<String, StoreError>| match answer {
        Ok(path) => Ok(Some(path)),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(Trouble::from(error)),
    };
    if let Ok(number) = number.parse::<TicketNumber>() {
        let ticket = console.store.ticket(number).await;
        return there(ticket.map(|ticket| format!("/console/tickets/{}", ticket.number)));
    }
    let Ok(id) = number.parse::<EntryId>() else { return Ok(None) };
    there(console.store.entry(id).await.map(|_| format!("/console/entries/{id}")))
}

/// Looks for the entries of one petitioner. Who it is stands in the form and nowhere else; that it was looked is written down.
pub(in crate::console) async fn search(
    State(console): State<Arc<Console>>,
    Extension(mut visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    // There is no way back to this answer.
    "/console/entries".clone_into(&mut visitor.here);
    let text = form.text("contact");
    let reason = form.text("reason").to_owned();
    let given = Some((text.to_owned(), reason.clone()));
    let contact = Contact::of(text);
    let Some(key) = contact.key(&console.keyring).filter(|_| reason.chars().count() <= crate::http::MAX_REASON) else {
        return show(&console, &visitor, Asked::default(), Found::default(), given, Some("entries.no_contact")).await;
    };
    let reason = Some(reason.as_str()).filter(|reason| !reason.is_empty());
    let act = Act { actor: &visitor.actor(), action: "entry.search", subject: contact.by(), reason };
    console.store.audit(act, console.clock.now()).await?;
    let before = form.text("before").parse().ok();
    let filter = EntryFilter { petitioner: Some(key), before, ..EntryFilter::default() };
    let found = console.store.search_entries(&filter, ROWS).await?;
    show(&console, &visitor, Asked::default(), found, given, None).await
}

async fn show(
    console: &Console,
    visitor: &Visitor,
    asked: Asked,
    found: Found,
    contact: Option<(String, String)>,
    wrong: Option<&'static str>,
) -> Result<Response, Trouble> {
    let connectors = console.store.connectors().await?;
    let named = |name: &ConnectorName| (name.to_string(), name.as_str() == asked.connector);
    html(&EntriesPage {
        page: Page::new(visitor, "entries", console.clock.now()),
        places: PLACES.iter().map(|(name, ..)| Choice { name, chosen: *name == asked.place }).collect(),
        connectors: connectors.iter().map(|connector| named(&connector.name)).collect(),
        next: found.next.filter(|_| contact.is_none()).map(|next| asked.on(next)),
        works: visitor.may(WORKERS),
        wrong: wrong.map(|wrong| said(visitor.lang, wrong)),
        asked,
        found,
        contact,
    })
}

fn said(lang: Lang, wrong: &str) -> &'static str {
    match wrong {
        "entries.no_number" => lang.t("entries.no_number"),
        _ => lang.t("entries.no_contact"),
    }
}
