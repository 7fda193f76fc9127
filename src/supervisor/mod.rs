//! One supervised task for each pull connector that is switched on. What the store says is compared with what runs, again
//! and again; the difference is started and stopped. So a change made by the command line, the API or another gateway is
//! live within one look, and a task that dies is started again.

mod task;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use connectors::{clock::Clock, entry::ConnectorName, fault::Fault};
use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::task::PullTask;
use crate::{
    directory::{Connector, Directory, Reading},
    intake::Intake,
    pace::wait_after,
    store::{
        Store, StoreError,
        connectors::{Health, HealthState, StoredConnector},
    },
};

/// Random numbers from 0 to 1, from outside.
pub type Random = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Bounds of the supervisor.
#[derive(Debug, Clone, Copy)]
pub struct SupervisorOptions {
    /// How often the store is looked at.
    pub poll: Duration,
    /// How long the lease on a source holds without being renewed: a source passes to another gateway after this.
    pub lease: Duration,
    /// Runs of a connector that are remembered.
    pub keep_runs: i64,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self { poll: Duration::from_millis(500), lease: Duration::from_secs(30), keep_runs: 200 }
    }
}

/// Starts and stops the tasks of connectors.
#[derive(Clone)]
pub struct Supervisor {
    pub(crate) store: Store,
    pub(crate) intake: Arc<Intake>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) options: SupervisorOptions,
    pub(crate) holder: String,
}

/// What was noted last of a connector that has no task: its state, and what is wrong with it.
type Idle = (HealthState, Option<String>);

struct Running {
    generation: i64,
    stop: CancellationToken,
    wake: Arc<Notify>,
    done: CancellationToken,
}

impl Supervisor {
    /// Works until `stop`, then ends every task. `changed` is told where somebody in this process changed a connector.
    pub async fn run(&self, changed: &Notify, stop: &CancellationToken) {
        let tracker = TaskTracker::new();
        let mut running: BTreeMap<ConnectorName, Running> = BTreeMap::new();
        let mut idle: BTreeMap<ConnectorName, Idle> = BTreeMap::new();
        while !stop.is_cancelled() {
            if let Err(error) = self.look(&tracker, &mut running, &mut idle).await {
                tracing::error!(%error, "the connectors could not be looked at; they go on as they are");
            }
            tokio::select! {
                () = changed.notified() => {}
                () = tokio::time::sleep(self.options.poll) => {}
                () = stop.cancelled() => {}
            }
        }
        for task in running.values() {
            task.stop.cancel();
        }
        tracker.close();
        tracker.wait().await;
    }

    async fn look(
        &self,
        tracker: &TaskTracker,
        running: &mut BTreeMap<ConnectorName, Running>,
        idle: &mut BTreeMap<ConnectorName, Idle>,
    ) -> Result<(), StoreError> {
        let connectors = self.directory.refresh(&self.store).await?;
        let wanted = |name: &ConnectorName| {
            connectors
                .get(name)
                .filter(|connector| connector.stored.enabled && matches!(connector.reading, Reading::Pull))
        };
        for (name, task) in running.iter() {
            if wanted(name).is_none_or(|connector| connector.stored.generation != task.generation) {
                task.stop.cancel();
            }
        }
        // A task that is still ending keeps its place, so that no source is read by two.
        running.retain(|_, task| !task.done.is_cancelled());
        for (name, connector) in connectors.iter() {
            if running.contains_key(name) || wanted(name).is_some() {
                // What its task reports comes after what was noted here.
                idle.remove(name);
            }
            match running.get(name) {
                Some(task) if connector.stored.run_requested => task.wake.notify_one(),
                Some(_) => {}
                None if wanted(name).is_some() => {
                    running.insert(name.clone(), self.start(tracker, connector.clone()));
                }
                None => self.note_idle(name, connector, idle).await?,
            }
        }
        self.note_pushed().await
    }

    fn start(&self, tracker: &TaskTracker, connector: Arc<Connector>) -> Running {
        let (stop, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        let StoredConnector { name, generation, .. } = connector.stored.clone();
        let task = PullTask::new(self.clone(), connector, wake.clone(), stop.clone());
        let done = self.guard(tracker, name, task.run(), stop.clone());
        Running { generation, stop, wake, done }
    }

    /// Runs a task; what is returned is cancelled once it has ended. A panic ends this task only, is written down, and is
    /// waited out before the end is told: a look after that starts the task again.
    fn guard(
        &self,
        tracker: &TaskTracker,
        name: ConnectorName,
        task: impl Future<Output = ()> + Send + 'static,
        stop: CancellationToken,
    ) -> CancellationToken {
        let done = CancellationToken::new();
        let (ended, supervisor) = (done.clone(), self.clone());
        tracker.spawn(async move {
            let _ended = ended.drop_guard();
            if std::panic::AssertUnwindSafe(task).catch_unwind().await.is_err() {
                let wait = supervisor.note_panic(&name).await;
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
        done
    }

    /// Writes down that a connector's task panicked, and returns how long it rests.
    async fn note_panic(&self, name: &ConnectorName) -> Duration {
        tracing::error!(connector.name = %name, "a connector's task failed; it will be started again");
        let now = self.clock.now();
        let fault = Fault::permanent("its adapter failed in a way that it should not; see the log of that time");
        let known = self.store.health(name).await.ok().flatten();
        let mut health = known.unwrap_or_else(|| Health::unknown(now));
        health.failed(fault.class, fault.to_string(), now);
        health.enter(HealthState::Failing, now);
        let wait = wait_after(&Fault::transient(String::new()), health.failures, (self.random)());
        health.next_attempt_at = now.checked_add(wait).ok();
        if let Err(error) = self.store.put_health(name, &health).await {
            tracing::warn!(connector.name = %name, %error, "the connector's health was not written");
        }
        wait
    }

    /// Writes how connectors fare that have no task: switched off, broken, or pushed to.
    async fn note_idle(
        &self,
        name: &ConnectorName,
        connector: &Connector,
        idle: &mut BTreeMap<ConnectorName, Idle>,
    ) -> Result<(), StoreError> {
        let (state, fault) = match &connector.reading {
            _ if !connector.stored.enabled => (HealthState::Disabled, None),
            Reading::Broken(fault) => (HealthState::Failing, Some(fault)),
            Reading::Push(_) | Reading::Pull => (HealthState::Waiting, None),
        };
        let noted = (state, fault.map(ToString::to_string));
        if idle.get(name) == Some(&noted) {
            return Ok(());
        }
        let now = self.clock.now();
        let before = self.store.health(name).await?;
        // Others write it too: a task that has ended, another gateway.
        let mut health = before.clone().unwrap_or_else(|| Health::unknown(now));
        if let Some(fault) = fault
            && (health.last_error != noted.1 || health.state != state)
        {
            health.failed(fault.class, fault.to_string(), now);
        }
        health.enter(state, now);
        health.next_attempt_at = None;
        if before.as_ref() != Some(&health) {
            self.store.put_health(name, &health).await?;
        }
        idle.insert(name.clone(), noted);
        Ok(())
    }

    async fn note_pushed(&self) -> Result<(), StoreError> {
        for (name, tally) in self.intake.take_tally() {
            let now: Timestamp = tally.last.unwrap_or_else(|| self.clock.now());
            let mut health = self.store.health(&name).await?.unwrap_or_else(|| Health::unknown(now));
            health.succeeded(now);
            if tally.stored > 0 {
                health.last_entry_at = Some(now);
            }
            self.store.put_health(&name, &health).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
