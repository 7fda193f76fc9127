//! Gathering: sources that send an item piece by piece (calls: ringing, answered, hung up, the agent's form) leave pieces,
//! which are stored one by one before they are answered. Here the pieces of an item become one entry, when its adapter says
//! that they are whole or that no more will come. The entry, the marking of its pieces and the end of its place on the work
//! list are one transaction, so that a kill between any two steps is followed by the same work; and one gateway does it at a
//! time, under a lease.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use connectors::{
    clock::Clock,
    contract::{Gather, Gathered, Piece},
    entry::{Form, Item, Revision, Unread},
};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    directory::Directory,
    intake::{FRAGMENT, Intake, RAW, fragment_identity, raw_identity},
    seal::{Keyring, SealContext, SealError},
    store::{
        Store, StoreError,
        fragments::{Gathering, StoredPiece},
        intake::{NewItem, Taken},
        leases::Lease,
    },
    telemetry::names,
};

/// The lease on gathering.
const LEASE: &str = "gather";

/// How long an item is left alone whose pieces cannot be looked at now: its connector is broken, a key is missing.
const PAUSE: Duration = Duration::from_mins(1);

/// Bounds of gathering.
#[derive(Debug, Clone, Copy)]
pub struct GatherOptions {
    /// How long the lease holds without being renewed.
    pub lease: Duration,
    /// How often the work list is looked at when nobody announces anything.
    pub poll: Duration,
    /// Items looked at before the lease is renewed.
    pub items: i64,
    /// Pieces of one item that are looked at together; where there are more, the rest makes another state of it.
    pub pieces: i64,
}

impl Default for GatherOptions {
    fn default() -> Self {
        Self { lease: Duration::from_mins(1), poll: Duration::from_millis(500), items: 100, pieces: 256 }
    }
}

/// Why an item was not gathered now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Makes entries of pieces.
#[derive(Debug, Clone)]
pub struct Gatherer {
    /// The database.
    pub store: Store,
    /// Unseals pieces.
    pub keyring: Arc<Keyring>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The connectors.
    pub directory: Arc<Directory>,
    /// Seals what the pieces become.
    pub intake: Arc<Intake>,
    /// This process, as it holds leases.
    pub holder: String,
    /// Bounds.
    pub options: GatherOptions,
}

impl Gatherer {
    /// Works until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        let wake = self.intake.gather();
        let mut failures: u32 = 0;
        while !stop.is_cancelled() {
            let pause = match self.work(stop).await {
                Ok(true) => {
                    failures = 0;
                    self.options.poll
                }
                // Another gateway gathers: take over soon after it stops.
                Ok(false) => self.options.lease / 3,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::error!(%error, failures, "pieces were not gathered; it will be tried again");
                    Duration::from_millis(200).saturating_mul(1 << failures.min(7))
                }
            };
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        if let Ok(Some(lease)) = self.lease().await
            && let Err(error) = self.store.return_lease(&lease).await
        {
            tracing::warn!(%error, "the lease on gathering was not returned; it will expire");
        }
    }

    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        self.store.take_lease(LEASE, &self.holder, self.clock.now(), self.options.lease).await
    }

    /// Looks at every item that is due; `false` where another gateway gathers.
    async fn work(&self, stop: &CancellationToken) -> Result<bool, StoreError> {
        loop {
            let Some(lease) = self.lease().await? else { return Ok(false) };
            let due = self.store.gatherings_due(self.clock.now(), self.options.items).await?;
            if due.is_empty() {
                return Ok(true);
            }
            if due.iter().any(|gathering| self.directory.get(&gathering.connector).is_none()) {
                self.directory.refresh(&self.store).await?;
            }
            for gathering in due {
                if stop.is_cancelled() {
                    return Ok(true);
                }
                self.look(&lease, &gathering).await?;
            }
        }
    }

    /// Looks at one item. What is wrong with it puts off it alone; what is wrong with the database or the lease ends the work.
    async fn look(&self, lease: &Lease, gathering: &Gathering) -> Result<(), StoreError> {
        match self.try_look(lease, gathering).await {
            // Another piece has come since: the item is due again already.
            Ok(()) | Err(Trouble::Store(StoreError::Conflict(_))) => Ok(()),
            Err(Trouble::Store(error)) if error.passing() || matches!(error, StoreError::Fenced { .. }) => Err(error),
            Err(error) => {
                tracing::error!(
                    connector.name = %gathering.connector, %error,
                    "the pieces of an item cannot be gathered; they stay and are tried again"
                );
                self.put_off(lease, gathering).await
            }
        }
    }

    async fn put_off(&self, lease: &Lease, gathering: &Gathering) -> Result<(), StoreError> {
        let until = self.clock.now().checked_add(PAUSE).unwrap_or(Timestamp::MAX);
        self.store.put_off(lease, gathering, until).await
    }

    async fn try_look(&self, lease: &Lease, gathering: &Gathering) -> Result<(), Trouble> {
        let connector = self.directory.get(&gathering.connector);
        let Some(gatherer) = connector.as_ref().and_then(|connector| connector.gatherer.clone()) else {
            tracing::warn!(
                connector.name = %gathering.connector,
                "pieces of an item wait for their connector, which cannot read them as it is set up"
            );
            return Ok(self.put_off(lease, gathering).await?);
        };
        let stored = self.store.pieces(gathering, self.options.pieces).await?;
        let all = i64::try_from(stored.len()).unwrap_or(i64::MAX) < self.options.pieces;
        let ids: Vec<i64> = stored.iter().map(|piece| piece.id).collect();
        let pieces = self.open(gathering, &stored)?;
        let known = self.known(gathering).await?;
        let now = self.clock.now();
        match gathered(gatherer.as_ref(), gathering, known.as_deref(), &pieces, now) {
            Gathered::Wait { until } => Ok(self.store.put_off(lease, gathering, until).await?),
            Gathered::Drop { reason } => {
                self.store.drop_pieces(lease, gathering, &ids, all, reason).await?;
                count(gathering, reason, ids.len());
                tracing::info!(
                    connector.name = %gathering.connector, reason, pieces = ids.len(),
                    "pieces make no entry, by the connector's settings; they stay stored"
                );
                Ok(())
            }
            Gathered::Item(item) => {
                let NewItem::Entry(entry) = self.intake.seal(&gathering.connector, *item, now)? else {
                    return Err(StoreError::Conflict("an adapter made a piece of pieces".to_owned()).into());
                };
                let taken = self.store.gather(lease, gathering, &ids, all, &entry).await?;
                count(gathering, "gathered", ids.len());
                let outcome = match taken {
                    Taken::Stored(_) | Taken::Kept => "stored",
                    Taken::Quarantined(_) => "unread",
                    Taken::Repeat | Taken::Reused => "known",
                };
                let name = gathering.connector.to_string();
                metrics::counter!(names::ENTRIES, "connector" => name, "outcome" => outcome).increment(1);
                self.intake.issue().notify_one();
                Ok(())
            }
        }
    }

    fn open(&self, gathering: &Gathering, stored: &[StoredPiece]) -> Result<Vec<Piece>, SealError> {
        let identity = fragment_identity(&gathering.connector, &gathering.item);
        let open = |piece: &StoredPiece| {
            let raw = self.keyring.open(SealContext::new(FRAGMENT, &identity), &piece.sealed_raw)?;
            Ok(Piece { raw: raw.into(), received_at: piece.received_at })
        };
        stored.iter().map(open).collect()
    }

    async fn known(&self, gathering: &Gathering) -> Result<Option<Vec<u8>>, Trouble> {
        let Some((revision, sealed)) = self.store.last_state(gathering).await? else { return Ok(None) };
        let identity = raw_identity(gathering.connector.as_str(), gathering.item.as_str(), &revision);
        Ok(Some(self.keyring.open(SealContext::new(RAW, &identity), &sealed)?))
    }
}

/// What the adapter says, and quarantine where it fails in a way that it should not.
fn gathered(
    gatherer: &dyn Gather,
    gathering: &Gathering,
    known: Option<&[u8]>,
    pieces: &[Piece],
    now: Timestamp,
) -> Gathered {
    catch_unwind(AssertUnwindSafe(|| gatherer.gather(&gathering.item, known, pieces, now))).unwrap_or_else(|_| {
        let parts: Vec<&[u8]> = pieces.iter().map(|piece| piece.raw.as_ref()).collect();
        Gathered::Item(Box::new(Item::Unread(Unread {
            external_id: gathering.item.clone(),
            revision: Revision::of_content(&parts),
            form: Form::Json,
            raw: parts.join(&b'\n').into(),
            reason: "its adapter failed on its pieces".to_owned(),
        })))
    })
}

fn count(gathering: &Gathering, outcome: &'static str, pieces: usize) {
    let name = gathering.connector.to_string();
    metrics::counter!(names::FRAGMENTS, "connector" => name, "outcome" => outcome).increment(pieces as u64);
}
