//! The task of one pull connector: page after page until the source has no more, then waiting for its time, for news or
//! for somebody who asks. A page counts when it is committed with its cursor, and only then is the source told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use connectors::{
    contract::{Cursor, Page, Pull, Source},
    fault::Fault,
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Supervisor;
use crate::{
    config::ConnectorDefinition,
    directory::Connector,
    intake::IntakeError,
    pace::wait_after,
    store::{
        StoreError,
        connectors::{Health, HealthState, Run},
        intake::{PageOrigin, Taken},
        leases::Lease,
    },
    telemetry::names,
};

/// Pages of one run, after which the task looks up: a source that never ends must not keep its health from being written.
const MAX_PAGES: i64 = 1000;

pub(super) struct PullTask {
    supervisor: Supervisor,
    connector: Arc<Connector>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    health: Health,
    cursor: Option<Cursor>,
}

/// Says while it lives that a connector's task runs, however the task ends.
struct RunningGauge(String);

impl RunningGauge {
    fn up(connector: String) -> Self {
        metrics::gauge!(names::CONNECTOR_RUNNING, "connector" => connector.clone()).set(1.0);
        Self(connector)
    }
}

impl Drop for RunningGauge {
    fn drop(&mut self) {
        metrics::gauge!(names::CONNECTOR_RUNNING, "connector" => std::mem::take(&mut self.0)).set(0.0);
    }
}

/// Why a run ended early.
enum Ended {
    /// Somebody stopped the task or took its place: nothing is wrong.
    Stopped,
    /// The source or the store failed.
    Failed(Fault),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        match error {
            // The definition changed, or another gateway took over: the page was not stored, and will be read again.
            StoreError::Conflict(_) | StoreError::Fenced { .. } => Self::Stopped,
            error => Self::Failed(Fault::transient(error.to_string())),
        }
    }
}

impl From<IntakeError> for Ended {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Store(error) => error.into(),
            error => Self::Failed(Fault::transient(error.to_string())),
        }
    }
}

impl PullTask {
    pub(super) fn new(
        supervisor: Supervisor,
        connector: Arc<Connector>,
        wake: Arc<Notify>,
        stop: CancellationToken,
    ) -> Self {
        let now = supervisor.clock.now();
        let cursor = connector.stored.cursor.clone();
        Self { supervisor, connector, wake, stop, health: Health::unknown(now), cursor }
    }

    pub(super) async fn run(mut self) {
        let Some(definition) = self.connector.definition.clone() else { return };
        let name = self.connector.stored.name.clone();
        let _running = RunningGauge::up(name.to_string());
        let lease_name = format!("source:{name}");
        let mut source: Option<Box<dyn Pull>> = None;
        let mut epoch = None;
        let (mut deaf, mut told) = (0, false);
        while !self.stop.is_cancelled() {
            let Some(lease) = self.lease(&lease_name).await else {
                // Whoever holds it reports how the connector fares.
                if epoch.take().is_some() || !told {
                    tracing::info!(connector.name = %name, "the connector is read by another gateway");
                    told = true;
                }
                source = None;
                self.pause(self.supervisor.options.lease / 3).await;
                continue;
            };
            if epoch != Some(lease.epoch) {
                match self.take_over().await {
                    Ok(true) => epoch = Some(lease.epoch),
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(connector.name = %name, %error, "where the connector was left off cannot be read");
                        self.pause(self.supervisor.options.lease / 3).await;
                        continue;
                    }
                }
            }
            let wait = match self.once(&definition, &mut source, &lease).await {
                Ok(()) => None,
                Err(Ended::Stopped) => break,
                Err(Ended::Failed(fault)) => {
                    // Whatever state the exchange is in now, it starts afresh.
                    source = None;
                    Some(self.failed(&fault).await)
                }
            };
            match (wait, source.as_mut()) {
                (None, Some(source)) => {
                    let every = Duration::from_secs(definition.every_seconds);
                    match self.listen(source.as_mut(), every, &lease_name).await {
                        Ok(()) => deaf = 0,
                        Err(fault) => {
                            tracing::debug!(connector.name = %name, %fault, "listening ended");
                            deaf += 1;
                            // A source that answers and cannot be listened to is asked at intervals, not without pause.
                            let wait = wait_after(&fault, deaf, (self.supervisor.random)());
                            self.rest(wait.min(every), &lease_name).await;
                        }
                    }
                }
                (wait, _) => self.rest(wait.unwrap_or(self.supervisor.options.poll), &lease_name).await,
            }
        }
        if let Some(lease) = self.lease(&lease_name).await
            && let Err(error) = self.supervisor.store.return_lease(&lease).await
        {
            tracing::warn!(connector.name = %name, %error, "the lease was not returned; it will expire");
        }
    }

    /// Goes on where whoever held the lease before left off: while this task waited for it, the cursor and the health
    /// that it began with have become old. Whether the definition is still the one that the task was built from.
    async fn take_over(&mut self) -> Result<bool, StoreError> {
        let Supervisor { store, clock, .. } = &self.supervisor;
        let name = &self.connector.stored.name;
        let stored = store.connector(name).await?;
        let health = store.health(name).await?;
        let now = clock.now();
        self.cursor = stored.cursor;
        self.health = health.unwrap_or_else(|| Health::unknown(now));
        Ok(stored.generation == self.connector.stored.generation)
    }

    async fn lease(&self, name: &str) -> Option<Lease> {
        let Supervisor { store, clock, options, holder, .. } = &self.supervisor;
        match store.take_lease(name, holder, clock.now(), options.lease).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::warn!(connector.name = %self.connector.stored.name, %error, "the lease cannot be asked for");
                None
            }
        }
    }

    /// One run: every page that the source has.
    async fn once(
        &mut self,
        definition: &ConnectorDefinition,
        source: &mut Option<Box<dyn Pull>>,
        lease: &Lease,
    ) -> Result<(), Ended> {
        let started_at = self.supervisor.clock.now();
        let mut run =
            Run { started_at, finished_at: started_at, pages: 0, stored: 0, repeats: 0, quarantined: 0, error: None };
        self.report(HealthState::Running, None).await;
        self.supervisor.store.run_begun(&self.connector.stored.name).await?;
        let ended = self.pages(definition, source, lease, &mut run).await;
        if let Err(Ended::Failed(fault)) = &ended {
            run.error = Some(fault.to_string());
        }
        run.finished_at = self.supervisor.clock.now();
        if run.stored + run.quarantined > 0 {
            self.health.last_entry_at = Some(run.finished_at);
        }
        if run.pages > 0 && run.stored + run.repeats + run.quarantined > 0 || run.error.is_some() {
            let keep = self.supervisor.options.keep_runs;
            self.supervisor.store.put_run(&self.connector.stored.name, &run, keep).await?;
        }
        if let (Ok(()), Some(fault)) = (&ended, source.as_ref().and_then(|source| source.trouble())) {
            self.partly(&fault, definition).await;
        } else if ended.is_ok() {
            self.health.succeeded(run.finished_at);
            let name = self.connector.stored.name.to_string();
            metrics::gauge!(names::CONNECTOR_LAST_SUCCESS, "connector" => name)
                .set(run.finished_at.as_duration().as_secs_f64());
            self.report(HealthState::Waiting, None).await;
        }
        ended
    }

    async fn pages(
        &mut self,
        definition: &ConnectorDefinition,
        source: &mut Option<Box<dyn Pull>>,
        lease: &Lease,
        run: &mut Run,
    ) -> Result<(), Ended> {
        let reader = match source {
            Some(reader) => reader,
            None => source.insert(self.open(definition)?),
        };
        let timeout = Duration::from_secs(definition.timeout_seconds);
        while run.pages < MAX_PAGES {
            let cursor = self.cursor.clone();
            let started = Instant::now();
            let page = self.guarded(lease, timeout, reader.pull(cursor.as_ref())).await??;
            self.store_page(lease, &page, run).await?;
            metrics::histogram!(names::PULL_SECONDS, "connector" => definition.name.to_string())
                .record(started.elapsed());
            self.cursor = Some(page.cursor.clone());
            run.pages += 1;
            // A page that came and was stored is an answer, also where the run is long or will fail: the watch goes by it.
            self.answered().await;
            if let Err(fault) = self.guarded(lease, timeout, reader.confirm(&page)).await? {
                // The page is committed; the source will offer it again and be told that it is known.
                tracing::warn!(connector.name = %definition.name, %fault, "the source could not be told what was taken in");
                return Err(fault.into());
            }
            if !page.more {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, definition: &ConnectorDefinition) -> Result<Box<dyn Pull>, Ended> {
        let adapter = definition.adapter().map_err(|error| Fault::configuration(error.to_string()))?;
        let toolbox = self.supervisor.directory.toolbox(definition)?;
        match adapter.source(&toolbox)? {
            Source::Pull(reader) => Ok(reader),
            Source::Push(_) => Err(Fault::configuration("the adapter is pushed to, not pulled").into()),
        }
    }

    async fn store_page(&mut self, lease: &Lease, page: &Page, run: &mut Run) -> Result<(), Ended> {
        let origin =
            PageOrigin { connector: &self.connector.stored.name, lease, generation: self.connector.stored.generation };
        let taken = self.supervisor.intake.take_page(&origin, &page.cursor, page.items.clone()).await?;
        for taken in taken {
            match taken {
                Taken::Stored(_) | Taken::Kept => run.stored += 1,
                Taken::Repeat | Taken::Reused => run.repeats += 1,
                Taken::Quarantined(_) => run.quarantined += 1,
            }
        }
        Ok(())
    }

    /// Notes, now and then, that the source answers.
    async fn answered(&mut self) {
        let now = self.supervisor.clock.now();
        let due = |last: Timestamp| now.duration_since(last) >= SignedDuration::from_secs(10);
        if self.health.last_success_at.is_none_or(due) {
            self.health.last_success_at = Some(now);
            self.report(HealthState::Running, None).await;
        }
    }

    /// Runs a call of the adapter within its time, keeping the lease, until somebody stops the task.
    async fn guarded<T>(&self, lease: &Lease, timeout: Duration, call: impl Future<Output = T>) -> Result<T, Ended> {
        let keep = async {
            loop {
                tokio::time::sleep(self.supervisor.options.lease / 3).await;
                if self.lease(&lease.name).await.is_none_or(|kept| kept.epoch != lease.epoch) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Ended::Stopped),
            answer = call => Ok(answer),
            () = tokio::time::sleep(timeout) => Err(Fault::transient(format!(
                "the source did not answer within {} seconds", timeout.as_secs()
            )).into()),
            () = keep => Err(Ended::Failed(Fault::transient("the lease on the source was lost"))),
        }
    }

    /// Waits for news from the source.
    async fn listen(&self, source: &mut dyn Pull, every: Duration, lease: &str) -> Result<(), Fault> {
        tokio::select! {
            heard = source.wait(every) => heard,
            () = self.rest(every, lease) => Ok(()),
        }
    }

    /// Waits, keeping the lease, until the time is over, somebody asks for a run, or the task is stopped.
    async fn rest(&self, time: Duration, lease: &str) {
        let keep = async {
            loop {
                tokio::time::sleep(self.supervisor.options.lease / 3).await;
                if self.lease(lease).await.is_none() {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.pause(time) => {}
            () = keep => {}
        }
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.wake.notified() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Notes that a part of the source was not read. The rest was: it is asked again at its usual pace.
    async fn partly(&mut self, fault: &Fault, definition: &ConnectorDefinition) {
        let now = self.supervisor.clock.now();
        self.health.failed(fault.class, fault.to_string(), now);
        let name = self.connector.stored.name.to_string();
        metrics::counter!(names::PULL_FAULTS, "connector" => name, "class" => fault.class.as_str()).increment(1);
        tracing::warn!(
            connector.name = %self.connector.stored.name,
            fault.class = fault.class.as_str(),
            failures = self.health.failures,
            %fault,
            "a part of the source could not be read"
        );
        let state = if fault.class.needs_a_person() { HealthState::Failing } else { HealthState::Retrying };
        let next = now.checked_add(Duration::from_secs(definition.every_seconds)).unwrap_or(now);
        self.report(state, Some(next)).await;
    }

    /// Notes a failure and returns how long to wait.
    async fn failed(&mut self, fault: &Fault) -> Duration {
        let now = self.supervisor.clock.now();
        self.health.failed(fault.class, fault.to_string(), now);
        let wait = wait_after(fault, self.health.failures, (self.supervisor.random)());
        let name = self.connector.stored.name.to_string();
        metrics::counter!(names::PULL_FAULTS, "connector" => name, "class" => fault.class.as_str()).increment(1);
        let state = if fault.class.needs_a_person() { HealthState::Failing } else { HealthState::Retrying };
        tracing::warn!(
            connector.name = %self.connector.stored.name,
            fault.class = fault.class.as_str(),
            failures = self.health.failures,
            retry.seconds = wait.as_secs(),
            %fault,
            "the source could not be read"
        );
        let next = now.checked_add(wait).unwrap_or(now);
        self.report(state, Some(next)).await;
        wait
    }

    async fn report(&mut self, state: HealthState, next_attempt_at: Option<Timestamp>) {
        self.health.enter(state, self.supervisor.clock.now());
        self.health.next_attempt_at = next_attempt_at;
        if let Err(error) = self.supervisor.store.put_health(&self.connector.stored.name, &self.health).await {
            tracing::warn!(connector.name = %self.connector.stored.name, %error, "the connector's health was not written");
        }
    }
}
