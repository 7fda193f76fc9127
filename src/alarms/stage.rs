//! The stage that looks after everything else: raises what is wrong, clears what is over, and tells. One gateway runs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use connectors::{clock::Clock, entry::ConnectorName, fault::FaultClass};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    AlarmKind, NewAlarm,
    desk::{self, Target},
    silence::WEEKS,
    watch::{self, Watched},
};
use crate::{
    calendar::Calendar,
    config::Config,
    directory::{Directory, Reading},
    pace::wait_after,
    store::{Store, StoreError, alarms::Told},
    supervisor::Random,
    telemetry::names,
};

/// The lease on it.
const LEASE: &str = "alarms";
/// How long the lease holds without being renewed; telling one target takes less.
const TERM: Duration = Duration::from_mins(1);
/// How often alarms that were raised elsewhere, an emergency for instance, are carried on.
const TELL: Duration = Duration::from_secs(2);
/// Alarms told to one target in one look.
const TOLD: i64 = 20;
/// Open alarms that one look knows; more are left as they are.
const OPEN: i64 = 1000;
/// Looks that may be missed before a connector counts as not watched.
const MISSED: u32 = 10;
/// How long a stage may be without a holder before it is told.
const STOPPED: Duration = Duration::from_mins(2);

/// The conditions that each look judges anew. What is not among them is cleared by whoever raised it, or by a person.
const JUDGED: [AlarmKind; 6] = [
    AlarmKind::ConnectorFailing,
    AlarmKind::ConnectorStale,
    AlarmKind::ConnectorSilent,
    AlarmKind::DeadLetters,
    AlarmKind::StageStopped,
    AlarmKind::CalendarEnding,
];

/// Raises, clears and tells.
pub struct Watch {
    store: Store,
    clock: Arc<dyn Clock>,
    directory: Arc<Directory>,
    calendar: Calendar,
    config: Arc<Config>,
    random: Random,
    holder: String,
    targets: Vec<Target>,
}

/// Stages that were found without a holder, and since when.
type Stopped = BTreeMap<&'static str, Instant>;

impl Watch {
    /// A watch that holds its lease under `holder`.
    ///
    /// # Errors
    /// Where a target cannot be set up.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        calendar: Calendar,
        config: Arc<Config>,
        random: Random,
        holder: String,
    ) -> Result<Self, connectors::fault::Fault> {
        let targets = desk::targets(&config, &directory)?;
        Ok(Self { store, clock, directory, calendar, config, random, holder, targets })
    }

    /// Works until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        let (mut due, mut stopped) = (Instant::now(), Stopped::new());
        while !stop.is_cancelled() {
            if let Err(error) = self.turn(&mut due, &mut stopped, stop).await {
                tracing::error!(%error, "what is wrong could not be looked at");
            }
            tokio::select! {
                () = tokio::time::sleep(TELL) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn turn(&self, due: &mut Instant, stopped: &mut Stopped, stop: &CancellationToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(lease) = self.store.take_lease(LEASE, &self.holder, now, TERM).await? else { return Ok(()) };
        if Instant::now() >= *due {
            *due = Instant::now() + Duration::from_secs(self.config.alarms.look_seconds);
            self.look(stopped, now).await?;
        }
        for target in &self.targets {
            tokio::select! {
                told = self.tell(target) => told?,
                () = stop.cancelled() => break,
            }
        }
        if stop.is_cancelled() { self.store.return_lease(&lease).await } else { Ok(()) }
    }

    /// Raises what is wrong and clears what is over.
    ///
    /// # Errors
    /// Where the database fails.
    async fn look(&self, stopped: &mut Stopped, now: Timestamp) -> Result<(), StoreError> {
        let forget = now.checked_sub(Duration::from_hours(24 * 7 * (WEEKS.unsigned_abs() * 4))).unwrap_or(now);
        self.store.learn_habits(now, forget).await?;
        let mut wrong = self.connectors(now).await?;
        wrong.extend(watch::dead_letters(self.store.queue_depth().await?.dead));
        wrong.extend(watch::calendar_ending(&self.calendar, now));
        wrong.extend(self.stages(stopped, now).await?);
        let (before, count) = self.store.unroutable_notices().await?;
        let events = watch::unroutable(before, count);
        for alarm in wrong.iter().chain(&events) {
            self.store.raise_alarm(alarm, now).await?;
        }
        let raised: BTreeSet<_> = wrong.iter().map(|alarm| (alarm.kind, alarm.subject.as_str())).collect();
        for open in self.store.alarms(true, None, OPEN).await? {
            if JUDGED.contains(&open.kind) && !raised.contains(&(open.kind, open.subject.as_str())) {
                self.store.clear_alarm(open.kind, &open.subject, now).await?;
            }
        }
        for (kind, count) in self.store.open_alarms().await? {
            let count = f64::from(i32::try_from(count).unwrap_or(i32::MAX));
            metrics::gauge!(names::ALARMS, "kind" => kind.as_str()).set(count);
        }
        Ok(())
    }

    async fn connectors(&self, now: Timestamp) -> Result<Vec<NewAlarm>, StoreError> {
        let connectors = self.directory.all();
        let on: Vec<_> = connectors.values().filter(|connector| connector.stored.enabled).collect();
        let names: Vec<ConnectorName> = on.iter().map(|connector| connector.stored.name.clone()).collect();
        let longest_break = Duration::from_secs(self.config.alarms.look_seconds) * MISSED;
        let since = self.store.watch_connectors(&names, longest_break, now).await?;
        let (habits, none) = (self.store.habits().await?, BTreeMap::new());
        let mut wrong = Vec::new();
        for connector in on {
            let name = &connector.stored.name;
            let health = self.store.health(name).await?;
            let definition = connector.definition.as_ref();
            let watched = Watched {
                name,
                health: health.as_ref(),
                every: definition
                    .filter(|_| matches!(connector.reading, Reading::Pull))
                    .map(|definition| Duration::from_secs(definition.every_seconds)),
                silence_hours: definition.and_then(|definition| definition.silence_hours),
                hours: habits.get(name.as_str()).unwrap_or(&none),
                since: since.get(name).copied().unwrap_or(now),
            };
            wrong.extend(watched.conditions(&self.config.alarms, &self.calendar, now));
        }
        Ok(wrong)
    }

    /// Stages that nobody has held for a while.
    async fn stages(&self, stopped: &mut Stopped, now: Timestamp) -> Result<Vec<NewAlarm>, StoreError> {
        let mut wrong = Vec::new();
        for (stage, runs) in [("issue", true), ("notices", self.config.notices.enabled)] {
            if runs && self.store.lease_expired(stage, now).await? {
                let since = *stopped.entry(stage).or_insert_with(Instant::now);
                wrong.extend((since.elapsed() >= STOPPED).then(|| watch::stage_stopped(stage)));
            } else {
                stopped.remove(stage);
            }
        }
        Ok(wrong)
    }

    async fn tell(&self, target: &Target) -> Result<(), StoreError> {
        for untold in self.store.untold_alarms(target.name(), self.clock.now(), TOLD).await? {
            // A target that hangs must not cost the lease.
            self.store.take_lease(LEASE, &self.holder, self.clock.now(), TERM).await?;
            let outcome = tokio::time::timeout(desk::TIMEOUT, target.tell(&untold)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(connectors::fault::Fault::transient("no answer in time")));
            let now = self.clock.now();
            let told = match outcome {
                Ok(()) => Told::Done,
                Err(fault) => {
                    let attempts = untold.attempts + 1;
                    tracing::warn!(alarm.id = untold.alarm.id.0, target = target.name(), attempts, %fault, "an alarm was not told");
                    let reason = fault.to_string();
                    if fault.class == FaultClass::Permanent || attempts >= i64::from(self.config.alarms.max_attempts) {
                        Told::GivenUp { reason }
                    } else {
                        let wait = wait_after(&fault, attempts, (self.random)());
                        Told::Later { at: now.checked_add(wait).unwrap_or(now), reason }
                    }
                }
            };
            let outcome = match &told {
                Told::Done => "told",
                Told::Later { .. } => "later",
                Told::GivenUp { .. } => "given_up",
            };
            metrics::counter!(names::ALARM_TELLINGS, "target" => target.name(), "outcome" => outcome).increment(1);
            self.store.alarm_told(&untold, target.name(), &told, now).await?;
        }
        Ok(())
    }
}
