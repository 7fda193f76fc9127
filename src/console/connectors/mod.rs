//! Connectors (接入点): what each is doing, in words; its switches; trying it; where it reads; making and changing one.
//!
//! | module | holds |
//! |---|---|
//! | `form` | a form made of an adapter's settings schema |
//! | `presets` | what connectors are made from |
//! | `define` | making and changing a connector; its secrets |
//! | `reading` | trying it, and looking at what a cursor would bring |
//! | `settings` | what the settings are called in Chinese |
//! | `compare` | what its source holds beside what was stored |

pub(super) mod compare;
pub(super) mod define;
mod form;
mod presets;
pub(super) mod reading;
mod settings;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use connectors::{contract::Cursor, entry::ConnectorName};
use jiff::Timestamp;

use super::{
    Console,
    access::{Form, Visitor},
    overview::state_words,
    page::{Page, done, html},
    trouble::Trouble,
};
use crate::{
    alarms::AlarmKind,
    config::ConnectorDefinition,
    store::{
        alarms::Alarm,
        connectors::{Health, Origin, Run, StoredConnector},
        journal::Act,
    },
};

/// Runs that are shown.
const RUNS: i64 = 30;
/// Open alarms that are looked through.
const ALARMS: i64 = 1000;
/// Minutes for which a connector can be paused.
const PAUSES: [u32; 4] = [15, 60, 240, 1440];

/// A connector in the list.
struct Row {
    name: String,
    channel: &'static str,
    adapter: String,
    enabled: bool,
    state: String,
    class: &'static str,
    origin: &'static str,
    health: Option<Health>,
}

#[derive(Template)]
#[template(path = "connectors.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let (lang, now) = (visitor.lang, console.clock.now());
    let mut health = console.store.healths().await?;
    let pauses = console.store.pauses().await?;
    let silences = silences(&console).await?;
    let rows = console.store.connectors().await?.into_iter().map(|stored| {
        let health = health.remove(stored.name.as_str());
        let pause = pauses.iter().find(|(name, _)| name == stored.name.as_str()).map(|(_, until)| *until);
        let silent = silences.get(stored.name.as_str()).copied();
        let (state, class) = state_words(&stored, health.as_ref(), (pause, silent), now, lang);
        Row {
            name: stored.name.to_string(),
            channel: lang.of("channel", stored.channel.as_str()),
            origin: lang.of("origin", stored.origin.as_str()),
            adapter: stored.adapter,
            enabled: stored.enabled,
            state,
            class,
            health,
        }
    });
    html(&ListPage { rows: rows.collect(), page: Page::new(&visitor, "connectors", now) })
}

#[derive(Template)]
#[template(path = "connector.html")]
struct DetailPage {
    page: Page,
    name: String,
    channel: &'static str,
    adapter: String,
    origin: Origin,
    origin_words: &'static str,
    enabled: bool,
    state: String,
    class: &'static str,
    health: Option<Health>,
    cursor: String,
    runs: Vec<Run>,
    definition: String,
    rate: Option<(u32, u32, u64)>,
    pauses: [u32; 4],
    /// What trying it came to.
    steps: Option<Vec<reading::Step>>,
    /// What a cursor would bring.
    preview: Option<reading::Preview>,
    /// The last comparisons with what its source holds, newest first.
    comparisons: Vec<compare::Comparison>,
    /// Hours that a comparison can go back.
    spans: [u32; 4],
}

/// Since when connectors are silent unusually long, by name: where the watch has raised an alarm about it.
pub(super) async fn silences(console: &Console) -> Result<BTreeMap<String, Timestamp>, Trouble> {
    Ok(silent(&console.store.alarms(true, None, ALARMS).await?))
}

/// The silent ones among open alarms.
pub(super) fn silent(open: &[Alarm]) -> BTreeMap<String, Timestamp> {
    let silent = open.iter().filter(|alarm| alarm.kind == AlarmKind::ConnectorSilent);
    silent.filter_map(|alarm| Some((alarm.connector.as_ref()?.to_string(), alarm.since))).collect()
}

async fn found(console: &Console, name: &str) -> Result<StoredConnector, Trouble> {
    let name: ConnectorName = name.parse().map_err(|_| Trouble::missing())?;
    Ok(console.store.connector(&name).await?)
}

/// The definition of a connector.
fn definition(stored: &StoredConnector) -> Result<ConnectorDefinition, Trouble> {
    serde_json::from_str(&stored.definition).map_err(|_| Trouble::invalid(format!("{}: definition", stored.name)))
}

async fn detail(
    console: &Console,
    visitor: &Visitor,
    stored: StoredConnector,
    steps: Option<Vec<reading::Step>>,
    preview: Option<reading::Preview>,
) -> Result<Response, Trouble> {
    let (lang, now) = (visitor.lang, console.clock.now());
    let health = console.store.health(&stored.name).await?;
    let pause = console.store.pauses().await?.into_iter().find(|(name, _)| name == stored.name.as_str());
    let silent = silences(console).await?.get(stored.name.as_str()).copied();
    let pauses = (pause.map(|(_, until)| until), silent);
    let (state, class) = state_words(&stored, health.as_ref(), pauses, now, lang);
    let definition = definition(&stored).ok();
    html(&DetailPage {
        page: Page::new(visitor, "connectors", now),
        runs: console.store.runs(&stored.name, RUNS).await?,
        comparisons: compare::last(console, &stored.name, lang).await?,
        spans: compare::SPANS,
        channel: lang.of("channel", stored.channel.as_str()),
        origin: stored.origin,
        origin_words: lang.of("origin", stored.origin.as_str()),
        enabled: stored.enabled,
        state,
        class,
        health,
        cursor: stored
            .cursor
            .map_or_else(String::new, |cursor| serde_json::to_string_pretty(&cursor.0).unwrap_or_default()),
        rate: definition.as_ref().map(|known| (known.per_minute, known.burst, known.every_seconds)),
        definition: definition.and_then(|known| serde_json::to_string_pretty(&known).ok()).unwrap_or(stored.definition),
        pauses: PAUSES,
        name: stored.name.to_string(),
        adapter: stored.adapter,
        steps,
        preview,
    })
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    detail(&console, &visitor, stored, None, None).await
}

async fn switched(console: &Console, visitor: &Visitor, name: &str, enabled: bool) -> Result<Response, Trouble> {
    let stored = found(console, name).await?;
    let action = if enabled { "connector.enable" } else { "connector.disable" };
    let act = Act { actor: &visitor.actor(), action, subject: name, reason: None };
    console.store.switch_connector(&stored.name, enabled, act, console.clock.now()).await?;
    console.changed.notify_one();
    let path = format!("/console/connectors/{}", stored.name);
    Ok(if enabled { done(&path, "enabled") } else { done(&path, "disabled") })
}

pub(super) async fn enable(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    switched(&console, &visitor, &name, true).await
}

pub(super) async fn disable(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    switched(&console, &visitor, &name, false).await
}

pub(super) async fn run(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    let act = Act { actor: &visitor.actor(), action: "connector.run", subject: &name, reason: None };
    console.store.request_run(&stored.name, act, console.clock.now()).await?;
    console.changed.notify_one();
    Ok(done(&format!("/console/connectors/{}", stored.name), "run"))
}

pub(super) async fn pause(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    let minutes: u32 =
        form.text("minutes").parse().ok().filter(|minutes| PAUSES.contains(minutes)).unwrap_or(PAUSES[0]);
    if !stored.enabled {
        return Err(Trouble::invalid(visitor.lang.t("connector.pause_off")));
    }
    let now = console.clock.now();
    let until = now.checked_add(Duration::from_mins(minutes.into())).unwrap_or(now);
    let told = format!("{minutes} min");
    let act = Act { actor: &visitor.actor(), action: "connector.pause", subject: &name, reason: Some(&told) };
    console.store.pause_connector(&stored.name, until, act, now).await?;
    console.changed.notify_one();
    Ok(done(&format!("/console/connectors/{}", stored.name), "paused"))
}

/// Where a connector is to start from: nothing for the beginning.
fn wanted_cursor(form: &Form) -> Result<Option<Cursor>, Trouble> {
    let text = form.text("cursor");
    if text.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if value.is_object() => Ok(Some(Cursor(value))),
        _ => Err(Trouble::invalid("cursor: JSON {…}")),
    }
}

pub(super) async fn rewind(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    let cursor = wanted_cursor(&form)?;
    let reason = form.text("reason");
    if reason.is_empty() || reason.chars().count() > crate::http::MAX_REASON {
        return Err(Trouble::invalid(visitor.lang.t("reason.needed")));
    }
    let act = Act { actor: &visitor.actor(), action: "connector.rewind", subject: &name, reason: Some(reason) };
    console.store.rewind_connector(&stored.name, cursor.as_ref(), act, console.clock.now()).await?;
    console.changed.notify_one();
    Ok(done(&format!("/console/connectors/{}", stored.name), "rewound"))
}
