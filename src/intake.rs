//! Intake: what adapters bring is sealed and stored. Deliveries that arrive together are committed together, because a
//! commit costs the same for one and for many; each is answered only after its commit.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use connectors::{
    clock::Clock,
    contract::{Cursor, Limits},
    entry::{ConnectorName, ExternalId, Fragment, Item, Revision, digest_hex},
};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    seal::{IndexKind, Keyring, SealContext, SealError},
    store::{
        Store, StoreError,
        fragments::NewFragment,
        intake::{NewEntry, NewItem, PageOrigin, Taken},
    },
    telemetry::names,
};

/// What the raw bytes of an entry are sealed to.
pub const RAW: &str = "entry.raw";

/// What a piece of an item is sealed to.
pub const FRAGMENT: &str = "fragment.raw";

/// The id that a piece is sealed to: its item's identity.
pub fn fragment_identity(connector: &ConnectorName, item: &ExternalId) -> String {
    format!("{connector}\u{1f}{}", item.as_str())
}

/// The id that the raw bytes of an entry are sealed to: the entry's own identity.
pub fn raw_identity(connector: &str, external_id: &str, revision: &str) -> String {
    format!("{connector}\u{1f}{external_id}\u{1f}{revision}")
}

/// Why something was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The raw bytes could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Too many deliveries wait already.
    #[error("{0} deliveries wait for their commit already; try again shortly")]
    Busy(usize),
    /// The gateway is stopping, or the commit that the delivery was part of failed.
    #[error("the delivery was not stored; send it again")]
    NotStored,
}

/// What push connectors brought since it was last asked, by connector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushTally {
    /// Entries stored.
    pub stored: i64,
    /// Items seen before.
    pub repeats: i64,
    /// When the last one came.
    pub last: Option<Timestamp>,
}

struct Delivery {
    item: NewItem,
    answer: oneshot::Sender<Taken>,
}

/// Items in groups that are committed together: short transactions let others write in between. `size` tells the bytes of one;
/// what is larger than a page has one of its own.
pub fn pages<T>(items: Vec<T>, limits: &Limits, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut pages: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let more = size(&item);
        match pages.last_mut() {
            Some(page) if page.len() < limits.page_items && bytes + more <= limits.page_bytes => {
                bytes += more;
                page.push(item);
            }
            _ => {
                bytes = more;
                pages.push(vec![item]);
            }
        }
    }
    pages
}

/// Takes in what adapters bring.
#[derive(Debug)]
pub struct Intake {
    store: Store,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    /// Told when something new is pending.
    issue: Arc<Notify>,
    /// Told when pieces of items have come.
    gather: Arc<Notify>,
    waiting: mpsc::Sender<Delivery>,
    bound: usize,
    tally: Mutex<BTreeMap<ConnectorName, PushTally>>,
}

/// The end of the intake that commits; run it with [`Intake::commit_deliveries`].
pub struct Deliveries(mpsc::Receiver<Delivery>);

impl Intake {
    /// An intake in which up to `bound` deliveries may wait for their commit.
    pub fn new(
        store: Store,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        issue: Arc<Notify>,
        bound: usize,
    ) -> (Self, Deliveries) {
        let (waiting, deliveries) = mpsc::channel(bound);
        let gather = Arc::new(Notify::new());
        let intake = Self { store, keyring, clock, issue, gather, waiting, bound, tally: Mutex::default() };
        (intake, Deliveries(deliveries))
    }

    /// Told when pieces of items have come.
    pub fn gather(&self) -> Arc<Notify> {
        self.gather.clone()
    }

    /// Told when something new is pending.
    pub fn issue(&self) -> Arc<Notify> {
        self.issue.clone()
    }

    /// Seals an item.
    ///
    /// # Errors
    /// Where sealing fails.
    pub fn seal(&self, connector: &ConnectorName, item: Item, now: Timestamp) -> Result<NewItem, SealError> {
        let seal = |external_id: &ExternalId, revision: &Revision, raw: &[u8]| {
            let identity = raw_identity(connector.as_str(), external_id.as_str(), revision.as_str());
            self.keyring.seal(SealContext::new(RAW, &identity), raw)
        };
        Ok(match item {
            Item::Fragment(fragment) => NewItem::Fragment(self.seal_fragment(connector, fragment, now)?),
            Item::Entry(entry) => NewItem::Entry(NewEntry {
                connector: connector.clone(),
                sealed_raw: seal(&entry.external_id, &entry.revision, &entry.raw)?,
                size: entry.raw.len(),
                external_id: entry.external_id,
                revision: entry.revision,
                delivery_id: entry.delivery_id,
                form: entry.form,
                received_at: now,
                source_time: entry.source_time,
                remarks: entry.remarks,
                unread: None,
            }),
            Item::Unread(unread) => NewItem::Entry(NewEntry {
                connector: connector.clone(),
                sealed_raw: seal(&unread.external_id, &unread.revision, &unread.raw)?,
                size: unread.raw.len(),
                external_id: unread.external_id,
                revision: unread.revision,
                delivery_id: None,
                form: unread.form,
                received_at: now,
                source_time: None,
                remarks: Vec::new(),
                unread: Some(unread.reason),
            }),
        })
    }

    fn seal_fragment(
        &self,
        connector: &ConnectorName,
        fragment: Fragment,
        now: Timestamp,
    ) -> Result<NewFragment, SealError> {
        let identity = fragment_identity(connector, &fragment.item);
        // Keyed: a piece may say little more than a telephone number, and a plain digest would be guessed.
        let told_apart = format!("{identity}\u{1f}{}", digest_hex(&[&fragment.content]));
        Ok(NewFragment {
            connector: connector.clone(),
            digest: self.keyring.index(IndexKind::Fragment, &told_apart).0.to_vec(),
            sealed_raw: self.keyring.seal(SealContext::new(FRAGMENT, &identity), &fragment.raw)?,
            size: fragment.raw.len(),
            item: fragment.item,
            delivery_id: fragment.delivery_id,
            received_at: now,
        })
    }

    /// Stores a page and moves its connector's cursor in one transaction.
    ///
    /// # Errors
    /// Where the database fails, the lease is lost or the definition has changed: nothing is stored.
    pub async fn take_page(
        &self,
        origin: &PageOrigin<'_>,
        cursor: &Cursor,
        items: Vec<Item>,
    ) -> Result<Vec<Taken>, IntakeError> {
        let entries = self.seal_all(origin.connector, items)?;
        let started = Instant::now();
        let taken = self.store.take_page(origin, cursor, &entries).await?;
        measure(started, &entries, &taken);
        self.announce();
        Ok(taken)
    }

    /// Stores items that no cursor belongs to: files named on the command line.
    ///
    /// # Errors
    /// Where the database fails: nothing is stored.
    pub async fn take_items(&self, connector: &ConnectorName, items: Vec<Item>) -> Result<Vec<Taken>, IntakeError> {
        let entries = self.seal_all(connector, items)?;
        let started = Instant::now();
        let taken = self.store.take_deliveries(&entries).await?;
        measure(started, &entries, &taken);
        self.announce();
        Ok(taken)
    }

    fn announce(&self) {
        self.issue.notify_one();
        self.gather.notify_one();
    }

    fn seal_all(&self, connector: &ConnectorName, items: Vec<Item>) -> Result<Vec<NewItem>, SealError> {
        let now = self.clock.now();
        items.into_iter().map(|item| self.seal(connector, item, now)).collect()
    }

    /// Stores one delivery; returns after its commit.
    ///
    /// # Errors
    /// Where it was not stored.
    pub async fn deliver(&self, connector: &ConnectorName, item: Item) -> Result<Taken, IntakeError> {
        let item = self.seal(connector, item, self.clock.now())?;
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Delivery { item, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IntakeError::Busy(self.bound),
            mpsc::error::TrySendError::Closed(_) => IntakeError::NotStored,
        })?;
        answered.await.map_err(|_| IntakeError::NotStored)
    }

    /// What push connectors brought since it was last asked.
    pub fn take_tally(&self) -> BTreeMap<ConnectorName, PushTally> {
        std::mem::take(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Commits deliveries, up to `group` together, until `stop`; what waits then is still committed.
    pub async fn commit_deliveries(&self, deliveries: Deliveries, group: usize, stop: CancellationToken) {
        let mut deliveries = deliveries.0;
        let mut waiting = Vec::with_capacity(group);
        loop {
            let received = tokio::select! {
                biased;
                received = deliveries.recv_many(&mut waiting, group) => received,
                () = stop.cancelled(), if !deliveries.is_closed() => {
                    deliveries.close();
                    continue;
                }
            };
            if received == 0 {
                return;
            }
            self.commit(&mut waiting).await;
        }
    }

    async fn commit(&self, waiting: &mut Vec<Delivery>) {
        let (entries, answers): (Vec<_>, Vec<_>) =
            waiting.drain(..).map(|delivery| (delivery.item, delivery.answer)).unzip();
        let started = Instant::now();
        match self.store.take_deliveries(&entries).await {
            Ok(taken) => {
                measure(started, &entries, &taken);
                self.count(&entries, &taken);
                for (answer, taken) in answers.into_iter().zip(taken) {
                    // Whoever went away meanwhile will send again and be told that it is a repeat.
                    let _ = answer.send(taken);
                }
                self.announce();
            }
            Err(error) if entries.len() > 1 && !error.passing() => {
                // One of them cannot be stored: find out which, so that its neighbours go on.
                for (entry, answer) in entries.into_iter().zip(answers) {
                    match self.store.take_deliveries(std::slice::from_ref(&entry)).await {
                        Ok(taken) => {
                            measure(started, std::slice::from_ref(&entry), &taken);
                            self.count(std::slice::from_ref(&entry), &taken);
                            if let Some(taken) = taken.into_iter().next() {
                                let _ = answer.send(taken);
                            }
                        }
                        Err(error) => {
                            tracing::error!(connector.name = %entry.connector(), %error, "delivery not stored");
                        }
                    }
                }
                self.announce();
            }
            Err(error) => {
                // Dropping the answers tells every sender to send again.
                tracing::error!(deliveries = entries.len(), %error, "deliveries not stored");
                tokio::time::sleep(COMMIT_PAUSE).await;
            }
        }
    }

    fn count(&self, entries: &[NewItem], taken: &[Taken]) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        for (entry, taken) in entries.iter().zip(taken) {
            let tally = tally.entry(entry.connector().clone()).or_default();
            match taken {
                Taken::Repeat | Taken::Reused => tally.repeats += 1,
                Taken::Stored(_) | Taken::Quarantined(_) | Taken::Kept => tally.stored += 1,
            }
            tally.last = Some(entry.received_at());
        }
    }
}

fn measure(started: Instant, items: &[NewItem], taken: &[Taken]) {
    metrics::histogram!(names::INTAKE_COMMIT_SECONDS).record(started.elapsed());
    for (item, taken) in items.iter().zip(taken) {
        let outcome = match taken {
            Taken::Stored(_) | Taken::Kept => "stored",
            Taken::Repeat => "known",
            Taken::Quarantined(_) => "unread",
            Taken::Reused => "reused",
        };
        let connector = item.connector().to_string();
        let name = if matches!(item, NewItem::Fragment(_)) { names::FRAGMENTS } else { names::ENTRIES };
        metrics::counter!(name, "connector" => connector, "outcome" => outcome).increment(1);
    }
}

/// How long commits rest after the database failed, so that a broken one is not hammered.
const COMMIT_PAUSE: Duration = Duration::from_millis(100);
