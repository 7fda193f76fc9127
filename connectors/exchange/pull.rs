//! What was heard and read, and waits for being stored; the cursor; connecting again.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Settings,
    ami::Message,
    event::{Known, Shape},
    link::{Door, Link, answered, silent},
    records::Asker,
};
use crate::{
    contract::{Check, Cursor, Page, Pull, Toolbox},
    entry::{ExternalId, Item},
    fault::Fault,
    holdings::{Held, Holdings, Period},
    mapping::CLOCK_SLACK,
};

/// How long more events are waited for behind the first, so that a burst of them is one page.
const LINGER: Duration = Duration::from_millis(300);

/// Readers of this process, so that none is taken for another.
static READERS: AtomicU64 = AtomicU64::new(0);

/// The cursor: how far records are known, and what was stored of what this reader heard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// Until when records were read.
    #[serde(default)]
    polled: Option<Timestamp>,
    /// The newest record that was seen: where it is gone, the records were set back, and are read anew.
    #[serde(default)]
    newest: Option<Newest>,
    /// What is stored of what waits.
    #[serde(default)]
    heard: Option<Heard>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    at: Timestamp,
    record: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heard {
    reader: String,
    upto: u64,
}

/// Something that waits for being stored.
struct Waiting {
    number: u64,
    item: Item,
    /// It was read from the records, which can be read again.
    recorded: bool,
}

/// What a reading of the records leaves in the cursor, once what it brought up to a number is stored.
struct Reading {
    upto: u64,
    polled: Timestamp,
    newest: Option<Newest>,
}

/// What was heard.
struct Ear {
    shape: Shape,
    known: Known,
    waiting: VecDeque<Waiting>,
    number: u64,
    most: usize,
}

impl Ear {
    fn hear(&mut self, message: &Message, now: Timestamp) {
        if let Some(item) = self.shape.event(message, &mut self.known, now) {
            self.put(item, false);
        }
    }

    fn put(&mut self, item: Item, recorded: bool) {
        self.number += 1;
        self.waiting.push_back(Waiting { number: self.number, item, recorded });
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= self.most
    }
}

pub(super) struct Puller {
    door: Door,
    ping: Duration,
    asker: Option<Asker>,
    tools: Toolbox,
    reader: String,
    ear: Ear,
    link: Option<Link>,
    /// When records were read last by this reader; `None` where they must be read now.
    read_at: Option<Timestamp>,
    reading: Option<Reading>,
    trouble: Option<Fault>,
}

impl Puller {
    pub(super) fn new(settings: &Settings, door: Door, shape: Shape, asker: Option<Asker>, tools: Toolbox) -> Self {
        let serial = READERS.fetch_add(1, Ordering::Relaxed);
        let reader = format!("{}/{}/{serial}", tools.clock.now(), std::process::id());
        let most = usize::try_from(settings.waiting_events).unwrap_or(usize::MAX);
        let ear = Ear { shape, known: Known::default(), waiting: VecDeque::new(), number: 0, most };
        Self {
            door,
            ping: Duration::from_secs(u64::from(settings.ping_seconds)),
            asker,
            tools,
            reader,
            ear,
            link: None,
            read_at: None,
            reading: None,
            trouble: None,
        }
    }

    /// Hears everything that the exchange said before it answers; where it does not, the connection is made anew.
    async fn listen(&mut self) -> Result<(), Fault> {
        if let Some(link) = &mut self.link {
            let ping = link.ask("Ping", &[]);
            let (ear, clock) = (&mut self.ear, &self.tools.clock);
            let heard = answered(async {
                link.flush().await?;
                while !ear.is_full() {
                    let message = link.message().await?;
                    if message.answers(&ping) {
                        break;
                    }
                    ear.hear(&message, clock.now());
                }
                Ok(())
            });
            match heard.await {
                Ok(()) => return Ok(()),
                Err(fault) => {
                    tracing::debug!(%fault, "the connection to the exchange is made anew");
                    self.link = None;
                }
            }
        }
        self.link = Some(self.door.open().await?);
        // What happened meanwhile stands in the records only.
        self.ear.waiting.retain(|waiting| !waiting.recorded);
        self.reading = None;
        self.read_at = None;
        Ok(())
    }

    /// Reads records where it is time to.
    async fn read_records(&mut self, position: &mut Position, now: Timestamp) {
        let Some(asker) = &self.asker else { return };
        let due = self.read_at.is_none_or(|read| now.duration_since(read) >= asker.every());
        // One reading at a time: the cursor must have passed it before the next one begins.
        if !due || self.reading.is_some() {
            return;
        }
        let overlap = SignedDuration::from_secs(i64::from(asker.records.overlap_seconds));
        let start = asker.start(now);
        let since = match (position.polled, &position.newest) {
            (Some(polled), newest) => {
                let since = polled.checked_sub(overlap).unwrap_or(polled);
                // A little before it, for sources that leave out what lies on the edge.
                let edge = |at: Timestamp| at.checked_sub(SignedDuration::from_mins(1)).unwrap_or(at);
                newest.as_ref().map_or(since, |newest| edge(newest.at).min(since))
            }
            (None, _) => start,
        };
        let until = asker.until(since, now);
        let mut answer = asker.ask(since, until).await.map(|rows| (rows, until));
        if let (Ok((rows, _)), Some(newest)) = (&answer, &position.newest) {
            let fields = &asker.records.fields;
            let known = rows.iter().any(|row| fields.digest(row) == newest.record);
            if !known && newest.at <= until {
                tracing::warn!("the exchange's records no longer hold the newest one known; they are read anew");
                *position = Position { heard: position.heard.take(), ..Position::default() };
                let until = asker.until(start, now);
                answer = asker.ask(start, until).await.map(|rows| (rows, until));
            }
        }
        let (rows, until) = match answer {
            Ok(read) => read,
            Err(fault) => {
                // The connection is worth reading without them; they are asked for again at their time.
                self.trouble = Some(Fault { message: format!("call records: {}", fault.message), ..fault });
                self.read_at = Some(now);
                return;
            }
        };
        self.trouble = None;
        // A stretch that ends before now is followed by the next at once.
        self.read_at = (until >= now).then_some(now);
        let fields = asker.records.fields.clone();
        let newest = rows.iter().filter_map(|row| Some((fields.time(row)?, row))).filter(|(at, _)| *at <= now);
        let newest = newest.max_by_key(|(at, _)| *at).map(|(at, row)| Newest { at, record: fields.digest(row) });
        for row in &rows {
            if let Some(item) = self.ear.shape.record(row, &mut self.ear.known, now) {
                self.ear.put(item, true);
            }
        }
        let newest = newest.or_else(|| position.newest.clone());
        self.reading = Some(Reading { upto: self.ear.number, polled: until, newest });
    }

    /// Passes over what the cursor says is stored.
    fn settle(&mut self, position: &Position) {
        let Some(heard) = position.heard.as_ref().filter(|heard| heard.reader == self.reader) else { return };
        while self.ear.waiting.front().is_some_and(|waiting| waiting.number <= heard.upto) {
            self.ear.waiting.pop_front();
        }
        if self
            .reading
            .as_ref()
            .is_some_and(|reading| reading.upto <= heard.upto && position.polled == Some(reading.polled))
        {
            self.reading = None;
        }
    }

    fn page(&self, mut position: Position) -> Result<Page, Fault> {
        let limits = &self.tools.limits;
        let (mut items, mut bytes) = (Vec::new(), 0);
        let mut upto =
            position.heard.as_ref().filter(|heard| heard.reader == self.reader).map_or(0, |heard| heard.upto);
        for waiting in &self.ear.waiting {
            if items.len() >= limits.page_items.max(1) || bytes >= limits.page_bytes {
                break;
            }
            bytes += waiting.item.size();
            upto = waiting.number;
            items.push(waiting.item.clone());
        }
        let mut more = items.len() < self.ear.waiting.len();
        if let Some(reading) =
            self.reading.as_ref().filter(|reading| reading.upto <= upto || self.ear.waiting.is_empty())
        {
            position.polled = Some(reading.polled);
            position.newest.clone_from(&reading.newest);
            upto = upto.max(reading.upto);
            more |= self.read_at.is_none();
        }
        position.heard = Some(Heard { reader: self.reader.clone(), upto });
        Ok(Page { items, cursor: Cursor::encode(&position)?, more })
    }
}

#[async_trait]
impl Pull for Puller {
    async fn check(&mut self) -> Check {
        let mut check = Check::default();
        let opened = self.door.open().await;
        let told = match opened {
            Ok(link) => {
                link.log_off().await;
                Ok("the exchange lets us in".to_owned())
            }
            Err(fault) => Err(fault),
        };
        if !check.step("reach and authenticate", told) {
            return check;
        }
        let records = match &self.asker {
            None => Ok("none are set up: calls that come while the connection is broken will be missing".to_owned()),
            Some(asker) => {
                let now = self.tools.clock.now();
                let since = now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(now);
                let rows = asker.ask(since, now).await;
                rows.map(|rows| format!("there are {} call records of the last day", rows.len()))
            }
        };
        check.step("read the call records", records);
        check
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        let mut position: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
        let now = self.tools.clock.now();
        if position.polled.is_some_and(|polled| polled.as_second() > now.as_second() + CLOCK_SLACK) {
            return Err(Fault::configuration("the cursor lies ahead of our clock").remedy(
                "check this machine's clock, then rewind the connector to the day from which calls are missing",
            ));
        }
        self.settle(&position);
        if !self.ear.is_full() {
            self.listen().await?;
            self.read_records(&mut position, now).await;
        }
        self.page(position)
    }

    async fn wait(&mut self, at_most: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + at_most;
        let Some(link) = &mut self.link else {
            sleep(at_most).await;
            return Ok(());
        };
        let mut until = deadline;
        let before = self.ear.number;
        loop {
            if self.ear.is_full() {
                return Ok(());
            }
            let ask_at = Instant::now() + self.ping.saturating_sub(link.silent_for());
            match timeout_at(until.min(ask_at), link.message()).await {
                Ok(Ok(message)) => {
                    self.ear.hear(&message, self.tools.clock.now());
                    if self.ear.number > before {
                        until = until.min(Instant::now() + LINGER);
                    }
                }
                Ok(Err(fault)) => {
                    self.link = None;
                    return Err(fault);
                }
                Err(_) if Instant::now() >= until => return Ok(()),
                Err(_) => {
                    // Silent for long: is it still there?
                    let ping = link.ask("Ping", &[]);
                    let (ear, clock) = (&mut self.ear, &self.tools.clock);
                    let heard = tokio::time::timeout(self.ping, async {
                        link.flush().await?;
                        loop {
                            let message = link.message().await?;
                            if message.answers(&ping) {
                                return Ok(());
                            }
                            ear.hear(&message, clock.now());
                        }
                    });
                    if let Err(fault) = heard.await.unwrap_or_else(|_| Err(silent(self.ping * 2))) {
                        self.link = None;
                        return Err(fault);
                    }
                    if self.ear.number > before {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn trouble(&self) -> Option<Fault> {
        self.trouble.clone()
    }

    async fn holdings(&mut self, period: Period) -> Result<Option<Holdings>, Fault> {
        let Some(asker) = &self.asker else { return Ok(None) };
        let fields = &asker.records.fields;
        // Filed under its beginning or its end: a call that began within the period may have ended after it.
        let until = period.to.checked_add(SignedDuration::from_hours(24)).unwrap_or(period.to);
        let rows = asker.ask(period.from, until.min(self.tools.clock.now())).await?;
        let mut held = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let at = fields.start(row);
            if at.is_some_and(|at| !period.holds(at)) {
                continue;
            }
            if let Some(item) = self.ear.shape.record(row, &mut self.ear.known, self.tools.clock.now()) {
                let id: ExternalId = item.external_id().clone();
                held.push(Held { id, place: format!("call record {}", index + 1), at });
            }
        }
        Ok(Some(Holdings::new(held)))
    }
}
