//! What a source holds beside what was stored (对账): asks the source past any cursor, looks each item up, and names what is
//! missing. No system of this kind did it, and each lost items that its own counters called delivered.
//!
//! An item counts as missing only when a run that began after the source was asked has not brought it either: what a citizen
//! sends in that moment is on its way, not lost.

mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use connectors::{
    clock::Clock,
    contract::{Pull, Source},
    entry::ConnectorName,
    fault::Fault,
    holdings::{Held, Period},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    alarms::{AlarmKind, NewAlarm},
    config::ConnectorDefinition,
    directory::Directory,
    store::{Store, StoreError, connectors::HealthState, journal::Act},
};

pub use stage::Reconciler;

/// Missing items that are named; the rest is counted.
pub const NAMED: usize = 200;
/// Questions put to one source for one period: where it names too many items at once, the period is halved.
const QUESTIONS: usize = 256;
/// Periods shorter than this are not halved.
const SHORTEST: Duration = Duration::from_mins(1);
/// How long a run is waited for that may bring what seems to be missing.
const PATIENCE: Duration = Duration::from_secs(90);

/// What came of comparing. `held` = `stored` + `repeats` + `quarantined` + `waiting` + `missing`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outcome {
    /// Items that the source holds for the period.
    pub held: u64,
    /// Of these, stored as entries.
    pub stored: u64,
    /// Held in several places under one name.
    pub repeats: u64,
    /// In quarantine.
    pub quarantined: u64,
    /// Come to the source after it was last read: not taken in yet.
    pub waiting: u64,
    /// Neither stored nor in quarantine.
    pub missing: u64,
    /// The missing, up to 200 of them.
    pub named: Vec<Missing>,
    /// Whether the source could name all that it holds.
    pub whole: bool,
}

/// An item that a source holds and that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Missing {
    /// The id under which it would be stored.
    pub id: String,
    /// Where a person finds it at the source.
    pub place: String,
}

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The source cannot be asked.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares what a connector's source holds for a period with what was stored; nothing where its source cannot tell.
/// `patient` says whether a gateway runs that may bring what seems to be missing.
///
/// # Errors
/// Where the source cannot be asked, or the database fails.
pub async fn compare(
    store: &Store,
    directory: &Directory,
    definition: &ConnectorDefinition,
    period: Period,
    clock: &dyn Clock,
    patient: bool,
) -> Result<Option<Outcome>, ReconcileError> {
    let asked_at = clock.now();
    let Some((held, whole)) = holdings(directory, definition, period).await? else { return Ok(None) };
    let name = &definition.name;
    let mut outcome = weigh(store, name, &held, whole).await?;
    if outcome.missing > 0 && patient && brought(store, name, asked_at, clock).await? {
        outcome = weigh(store, name, &held, whole).await?;
    }
    Ok(Some(outcome))
}

/// Asks a source, for halves of the period where it cannot name all at once.
async fn holdings(
    directory: &Directory,
    definition: &ConnectorDefinition,
    period: Period,
) -> Result<Option<(Vec<Held>, bool)>, Fault> {
    let adapter = definition.adapter().map_err(|error| Fault::configuration(error.to_string()))?;
    let Source::Pull(mut reader) = adapter.source(&directory.toolbox(definition)?)? else { return Ok(None) };
    let timeout = Duration::from_secs(definition.timeout_seconds);
    let (mut held, mut whole, mut ahead) = (Vec::new(), true, vec![period]);
    for _ in 0..QUESTIONS {
        let Some(period) = ahead.pop() else { return Ok(Some((held, whole))) };
        let Some(told) = ask(reader.as_mut(), period, timeout).await? else { return Ok(None) };
        let length = Duration::try_from(period.to.duration_since(period.from)).unwrap_or_default();
        if told.whole || length < SHORTEST * 2 {
            whole &= told.whole;
            held.extend(told.items);
            continue;
        }
        let middle = period.from.checked_add(length / 2).unwrap_or(period.to);
        ahead.extend([Period { from: middle, ..period }, Period { to: middle, ..period }]);
    }
    Ok(Some((held, false)))
}

async fn ask(
    reader: &mut dyn Pull,
    period: Period,
    timeout: Duration,
) -> Result<Option<connectors::holdings::Holdings>, Fault> {
    tokio::time::timeout(timeout, reader.holdings(period)).await.unwrap_or_else(|_| {
        Err(Fault::transient(format!("the source did not name what it holds within {} seconds", timeout.as_secs())))
    })
}

async fn weigh(store: &Store, name: &ConnectorName, held: &[Held], whole: bool) -> Result<Outcome, StoreError> {
    let mut places: BTreeMap<&str, &Held> = BTreeMap::new();
    for held in held {
        places.entry(held.id.as_str()).or_insert(held);
    }
    let ids: Vec<&str> = places.keys().copied().collect();
    let known = store.stored_ids(name, &ids).await?;
    let read = store.health(name).await?.and_then(|health| health.last_success_at);
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let mut outcome = Outcome { held: count(held.len()), whole, ..Outcome::default() };
    outcome.repeats = count(held.len() - places.len());
    for (id, held) in places {
        match known.get(id) {
            Some(false) => outcome.stored += 1,
            Some(true) => outcome.quarantined += 1,
            None if held.at.is_some_and(|at| read.is_none_or(|read| at >= read)) => outcome.waiting += 1,
            None => {
                outcome.missing += 1;
                if outcome.named.len() < NAMED {
                    outcome.named.push(Missing { id: id.to_owned(), place: held.place.clone() });
                }
            }
        }
    }
    Ok(outcome)
}

/// Asks for a run and waits until one that began after `asked_at` has ended well; whether it did.
async fn brought(
    store: &Store,
    name: &ConnectorName,
    asked_at: Timestamp,
    clock: &dyn Clock,
) -> Result<bool, StoreError> {
    let reason = Some("what seems to be missing may be on its way");
    let act = Act { actor: "reconciliation", action: "connector.run", subject: name.as_str(), reason };
    store.request_run(name, act, clock.now()).await?;
    let begun = clock.now();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let stored = store.connector(name).await?;
        let health = store.health(name).await?;
        // The request is taken away as the run begins, and its end is written as a success.
        if !stored.run_requested
            && health.is_some_and(|health| {
                health.state == HealthState::Waiting
                    && health.last_success_at.is_some_and(|at| at >= begun.max(asked_at))
            })
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes down what came of comparing, and raises or clears the alarm.
///
/// # Errors
/// Where the database fails.
pub async fn settle(
    store: &Store,
    id: i64,
    name: &ConnectorName,
    outcome: &Result<Option<Outcome>, ReconcileError>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = store.reconciliations(name, 50).await?;
    match outcome {
        Ok(Some(outcome)) => {
            // The alarm first: whoever sees the outcome sees it too, and killed in between it is only told again.
            if outcome.missing > 0 {
                store.raise_alarm(&alarm(name, outcome), now).await?;
                return store.end_reconciliation(id, "done", Some(outcome), None, now).await;
            }
            // What was missing before may lie outside this period: it is looked up by name.
            let worst = before.iter().filter_map(|before| before.outcome.as_ref()).find(|before| before.missing > 0);
            let gone = match worst {
                Some(worst) if worst.missing <= u64::try_from(NAMED).unwrap_or(0) => {
                    let ids: BTreeSet<&str> = worst.named.iter().map(|missing| missing.id.as_str()).collect();
                    let ids: Vec<&str> = ids.into_iter().collect();
                    store.stored_ids(name, &ids).await?.len() == ids.len()
                }
                _ => true,
            };
            if gone {
                store.clear_alarm(AlarmKind::Missing, name.as_str(), now).await?;
            }
            store.end_reconciliation(id, "done", Some(outcome), None, now).await
        }
        Ok(None) => store.end_reconciliation(id, "untold", None, None, now).await,
        Err(error) => store.end_reconciliation(id, "failed", None, Some(error.to_string()), now).await,
    }
}

fn alarm(name: &ConnectorName, outcome: &Outcome) -> NewAlarm {
    let Outcome { held, missing, .. } = outcome;
    NewAlarm::of_connector(
        AlarmKind::Missing,
        name,
        format!(
            "接入点 {name} 对账：来源有 {held} 件，其中 {missing} 件未入库。用 jiesu connector reconcile {name} 查看清单；\
             jiesu connector rewind {name} 后重新读取，已有的不会重复。"
        ),
        format!(
            "connector {name}: its source holds {held} items, {missing} of which were not stored; \
             jiesu connector reconcile {name} names them, jiesu connector rewind {name} reads again, nothing twice"
        ),
    )
}
