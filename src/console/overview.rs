//! The overview: what needs somebody first, then what came in and where it is, always with the sum that shows that nothing was
//! lost. Made of counts that were added up before, whatever the number of entries.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ::connectors::complaint::Channel;
use askama::Template;
use axum::{Extension, extract::State, response::Response};
use jiff::Timestamp;

use super::{
    Console,
    access::Visitor,
    page::{Page, html},
    trend::{Day, spark, stack},
    trouble::Trouble,
    words::Lang,
};
use crate::alarms::AlarmKind;
use crate::store::{
    alarms,
    connectors::{Health, HealthState, StoredConnector},
    queue::Depth,
    tally::{Count, Counts, Outcome, Passage, day_of},
};

/// Days of the pictures.
const DAYS: i64 = 14;
/// Days of "lately".
const WEEK: i64 = 7;
/// Entries whose way is measured.
const MEASURED: i64 = 300;
/// Alarms that are shown.
const SHOWN_ALARMS: i64 = 50;
/// Notices that are counted at most.
const COUNTED: i64 = 1000;
/// How long an entry may wait before somebody should look.
const LONG_WAIT: Duration = Duration::from_mins(10);
/// How long a connector may fail before somebody should look.
const LONG_FAILURE: Duration = Duration::from_mins(15);

/// Something that needs somebody.
pub(super) struct Alarm {
    /// How bad: a member of the style classes `bad` and `warn`.
    pub(super) level: &'static str,
    pub(super) words: String,
    pub(super) remedy: String,
    pub(super) path: String,
}

/// Counts of one outcome, today and lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cell {
    today: i64,
    week: i64,
}

/// A row of the table.
struct Row {
    name: String,
    channel: &'static str,
    state: String,
    class: &'static str,
    /// In the order received, then [`Outcome::PLACES`].
    cells: Vec<Cell>,
    picture: String,
    lag: String,
}

/// The sum check over everything.
struct Sums {
    received: i64,
    /// Each place with its number, and where its entries are listed.
    places: Vec<(&'static str, i64, String)>,
    waiting: i64,
    balances: bool,
    /// What is missing, or too many.
    difference: i64,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    alarms: Vec<Alarm>,
    sums: Sums,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
    total: Row,
    picture: String,
    legend: Vec<(&'static str, &'static str)>,
    depth: Depth,
    untold: i64,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let (store, lang, now) = (&console.store, visitor.lang, console.clock.now());
    let today = day_of(now);
    let counts = store.counts(today - DAYS + 1).await?;
    let connectors = store.connectors().await?;
    let pauses = store.pauses().await?;
    let health = store.healths().await?;
    let (depth, untold) = (store.queue_depth().await?, store.untold(COUNTED).await?);
    let passages = store.passages(MEASURED).await?;
    let sums = sums(&counts, lang);
    let open = store.alarms(true, None, SHOWN_ALARMS).await?;
    let alarms = Alarms { lang, now }.all(&open, &connectors, &health, &sums, store.waiting_since().await?);
    let silences = super::connectors::silent(&open);
    let rows = connectors.iter().map(|connector| {
        let health = health.get(connector.name.as_str());
        let pause = pauses.iter().find(|(name, _)| name == connector.name.as_str()).map(|(_, until)| *until);
        let mut row = row(connector.name.as_str(), &counts.counts, today, lang);
        row.channel = lang.of("channel", connector.channel.as_str());
        let silent = silences.get(connector.name.as_str()).copied();
        (row.state, row.class) = state_words(connector, health, (pause, silent), now, lang);
        row.lag = lag(&passages, Some(connector.name.as_str()), lang);
        (connector.channel, row)
    });
    let mut rows: Vec<(Channel, Row)> = rows.collect();
    rows.sort_by_key(|(channel, _)| Channel::ALL.iter().position(|other| other == channel));
    let mut total = row("", &counts.counts, today, lang);
    total.lag = lag(&passages, None, lang);
    html(&OverviewPage {
        page: Page::new(&visitor, "overview", now),
        alarms,
        sums,
        columns: std::iter::once(Outcome::Received)
            .chain(Outcome::PLACES)
            .map(|outcome| lang.of("outcome", outcome.as_str()))
            .collect(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        picture: stack(&days("", &counts.counts, today), lang),
        legend: Outcome::PLACES.iter().map(|place| (place.as_str(), lang.of("outcome", place.as_str()))).collect(),
        total,
        depth,
        untold,
    })
}

/// The days of one connector, or of all where the name is empty.
fn days(connector: &str, counts: &[Count], today: i64) -> Vec<Day> {
    let mut days: BTreeMap<i64, Day> =
        (today - DAYS + 1..=today).map(|day| (day, Day { number: day, ..Day::default() })).collect();
    for count in counts.iter().filter(|count| connector.is_empty() || count.connector == connector) {
        let Some(day) = days.get_mut(&count.day) else { continue };
        match Outcome::PLACES.iter().position(|place| *place == count.outcome) {
            Some(index) => day.places[index] += count.amount,
            None => day.received += count.amount,
        }
    }
    days.into_values().collect()
}

fn row(connector: &str, counts: &[Count], today: i64, lang: Lang) -> Row {
    let days = days(connector, counts, today);
    let mut cells = vec![Cell::default(); 1 + Outcome::PLACES.len()];
    for day in days.iter().filter(|day| day.number > today - WEEK) {
        for (cell, amount) in cells.iter_mut().zip(std::iter::once(day.received).chain(day.places)) {
            cell.week += amount;
            if day.number == today {
                cell.today += amount;
            }
        }
    }
    Row {
        name: connector.to_owned(),
        channel: "",
        state: String::new(),
        class: "",
        cells,
        picture: spark(&days, lang),
        lag: String::new(),
    }
}

fn sums(counts: &Counts, lang: Lang) -> Sums {
    let of = |outcome| -> i64 {
        let all = counts.counts.iter().filter(|count| count.day == 0 && count.outcome == outcome);
        all.map(|count| count.amount).sum()
    };
    let received = of(Outcome::Received);
    let listed = |place: Outcome| match place {
        Outcome::Held => "/console/held".to_owned(),
        Outcome::Quarantined => "/console/quarantine".to_owned(),
        _ => format!("/console/entries?place={}", place.as_str()),
    };
    let place = |place: Outcome| (lang.of("outcome", place.as_str()), of(place), listed(place));
    let places: Vec<_> = Outcome::PLACES.into_iter().map(place).collect();
    let difference = received - counts.waiting - places.iter().map(|(_, amount, _)| amount).sum::<i64>();
    Sums { received, places, waiting: counts.waiting, balances: difference == 0, difference }
}

/// The middle of how long the last entries took from their source to the queue.
fn lag(passages: &[Passage], connector: Option<&str>, lang: Lang) -> String {
    let of = passages.iter().filter(|passage| connector.is_none_or(|name| passage.connector == name));
    let mut times: Vec<Duration> = of
        .filter_map(|passage| {
            let from = passage.made_at.unwrap_or(passage.received_at).min(passage.received_at);
            Duration::try_from(passage.issued_at.duration_since(from)).ok()
        })
        .collect();
    times.sort_unstable();
    times.get(times.len() / 2).map_or_else(|| "—".to_owned(), |time| lang.span(*time))
}

/// What a connector is doing, in words, and the style class that goes with it.
pub(super) fn state_words(
    connector: &StoredConnector,
    health: Option<&Health>,
    (paused_until, silent_since): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
    lang: Lang,
) -> (String, &'static str) {
    let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).ok().filter(|wait| !wait.is_zero());
    if let (false, Some(end)) = (connector.enabled, paused_until) {
        let span = lang.span(until(end).unwrap_or_default());
        return (lang.tf("state.paused", &[("span", &span)]), "off");
    }
    let Some(health) = health else {
        return (lang.t(if connector.enabled { "state.never" } else { "state.off" }).to_owned(), "off");
    };
    let working = matches!(health.state, HealthState::Running | HealthState::Waiting);
    if let (true, true, Some(since)) = (connector.enabled, working, silent_since) {
        // The alarm comes when it is clear that the silence is one; the silence began with the last entry.
        let since = super::page::moment(health.last_entry_at.unwrap_or(since), now);
        return (lang.tf("state.silent", &[("since", &since)]), "warn");
    }
    let since = super::page::moment(health.since, now);
    let class = lang.of("fault", health.last_error_class.as_deref().unwrap_or("unknown"));
    match (connector.enabled, health.state) {
        (false, HealthState::Disabled) => (lang.tf("state.off_since", &[("since", &since)]), "off"),
        (false, _) => (lang.t("state.stopping").to_owned(), "off"),
        (true, HealthState::Disabled) => (lang.t("state.starting").to_owned(), "off"),
        (true, HealthState::Running) => (lang.t("state.running").to_owned(), "good"),
        (true, HealthState::Waiting) => (lang.t("state.waiting").to_owned(), "good"),
        (true, HealthState::Retrying) => match health.next_attempt_at.and_then(until) {
            Some(wait) => (lang.tf("state.retrying", &[("span", &lang.span(wait)), ("why", &class)]), "warn"),
            None => (lang.tf("state.retrying_now", &[("why", &class)]), "warn"),
        },
        (true, HealthState::Failing) => (lang.tf("state.failing", &[("why", &class), ("since", &since)]), "bad"),
    }
}

struct Alarms {
    lang: Lang,
    now: Timestamp,
}

impl Alarms {
    fn all(
        &self,
        open: &[alarms::Alarm],
        connectors: &[StoredConnector],
        health: &BTreeMap<String, Health>,
        sums: &Sums,
        waiting_since: Option<Timestamp>,
    ) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = open.iter().map(|alarm| self.raised(alarm)).collect();
        if !sums.balances {
            let words = self.lang.tf("alarm.sums", &[("n", &sums.difference)]);
            alarms.push(self.alarm("bad", words, "alarm.sums_do", "/console"));
        }
        // What the watch has not raised yet.
        let raised =
            |connector: &StoredConnector| open.iter().any(|alarm| alarm.connector.as_ref() == Some(&connector.name));
        for connector in connectors.iter().filter(|connector| connector.enabled && !raised(connector)) {
            alarms.extend(health.get(connector.name.as_str()).and_then(|health| self.connector(connector, health)));
        }
        if let Some(wait) = waiting_since.map(|since| self.since(since)).filter(|wait| *wait > LONG_WAIT) {
            let words = self.lang.tf("alarm.waiting", &[("span", &self.lang.span(wait))]);
            alarms.push(self.alarm("bad", words, "alarm.waiting_do", "/console"));
        }
        alarms.sort_by_key(|alarm| alarm.level != "bad");
        alarms
    }

    fn raised(&self, alarm: &alarms::Alarm) -> Alarm {
        let (level, path) = match alarm.kind {
            AlarmKind::DeadLetters => ("warn", "/console/queue".to_owned()),
            AlarmKind::NoticeUnroutable => ("warn", "/console/notices?state=unroutable".to_owned()),
            AlarmKind::NoticeFailed | AlarmKind::NoticeBounced => ("warn", "/console/notices?state=failed".to_owned()),
            AlarmKind::Emergency => ("bad", format!("/console/entries/{}", alarm.subject)),
            _ => match &alarm.connector {
                Some(connector) => ("bad", format!("/console/connectors/{connector}")),
                None => ("bad", "/console/alarms".to_owned()),
            },
        };
        let words = match self.lang {
            Lang::Zh => &alarm.message_zh,
            Lang::En => &alarm.message,
        };
        let since = super::page::moment(alarm.since, self.now);
        let mut remedy = self.lang.tf("alarm.since", &[("since", &since)]);
        if let Some(by) = &alarm.acknowledged_by {
            remedy = format!("{remedy} · {}", self.lang.tf("alarm.seen", &[("name", by)]));
        }
        Alarm { level, words: words.clone(), remedy, path }
    }

    fn connector(&self, connector: &StoredConnector, health: &Health) -> Option<Alarm> {
        let level = match health.state {
            HealthState::Failing => "bad",
            HealthState::Retrying if self.since(health.since) > LONG_FAILURE => "warn",
            _ => return None,
        };
        let (state, _) = state_words(connector, Some(health), (None, None), self.now, self.lang);
        let words = self.lang.tf("alarm.connector", &[("name", &connector.name), ("state", &state)]);
        Some(Alarm {
            level,
            words,
            remedy: health.last_error.clone().unwrap_or_default(),
            path: format!("/console/connectors/{}", connector.name),
        })
    }

    fn alarm(&self, level: &'static str, words: String, remedy: &str, path: &str) -> Alarm {
        Alarm { level, words, remedy: self.lang.t(remedy).to_owned(), path: path.to_owned() }
    }

    fn since(&self, at: Timestamp) -> Duration {
        Duration::try_from(self.now.duration_since(at)).unwrap_or_default()
    }
}
