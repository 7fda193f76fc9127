//! The connectors as they are now: definitions from the store, made into the parts that the stages need. Rebuilt only
//! where a generation has changed, so that a change is live and disturbs no other connector.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
};

use connectors::clock::Clock;
use connectors::{
    complaint::Channel,
    contract::{Adapter, Answer, Answering, Gather, Limits, Normalise, Push, Source, Toolbox},
    entry::ConnectorName,
    fault::Fault,
    http::{Http, HttpLimits, Reach},
};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    config::ConnectorDefinition,
    pace::{Governed, Hosts},
    store::{Store, StoreError, connectors::StoredConnector},
};

/// How a connector's source is read.
#[derive(Clone)]
pub enum Reading {
    /// It is asked, by a task of the supervisor.
    Pull,
    /// It sends.
    Push(Arc<dyn Push>),
    /// Its definition cannot work.
    Broken(Fault),
}

/// A connector, ready for use.
pub struct Connector {
    /// As it is stored.
    pub stored: StoredConnector,
    /// Its definition, where it can be read.
    pub definition: Option<ConnectorDefinition>,
    /// Makes complaints of its entries.
    pub normaliser: Result<Arc<dyn Normalise>, Fault>,
    /// Makes entries of pieces, where its source sends pieces.
    pub gatherer: Option<Arc<dyn Gather>>,
    /// How its source is read.
    pub reading: Reading,
    /// What an answer through it needs.
    pub answering: Answering,
    /// Answers through it.
    pub answerer: Option<Arc<dyn Answer>>,
}

impl Connector {
    /// Where its citizens speak.
    pub fn channel(&self) -> Channel {
        self.stored.channel
    }

    /// Whether what its source tells of this moment is filled in belatedly, and nobody is told about it.
    pub fn is_back_fill(&self, told: Option<Timestamp>, zone: &TimeZone) -> bool {
        let before = self.definition.as_ref().and_then(|definition| definition.quiet_before);
        told.zip(before).is_some_and(|(told, before)| zone.to_datetime(told).date() < before)
    }

    /// Whether petitioners are told about its entries.
    pub fn notifies(&self) -> bool {
        self.definition.as_ref().is_some_and(|definition| definition.notify)
    }
}

/// All connectors.
#[derive(Debug)]
pub struct Directory {
    clock: Arc<dyn Clock>,
    limits: Limits,
    hosts: Arc<Hosts>,
    connectors: RwLock<Arc<BTreeMap<ConnectorName, Arc<Connector>>>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connector").field("name", &self.stored.name).finish_non_exhaustive()
    }
}

impl Directory {
    /// An empty directory; [`Directory::refresh`] fills it.
    pub fn new(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { clock, limits, hosts: Arc::default(), connectors: RwLock::default() }
    }

    /// Reads the definitions that have changed.
    ///
    /// # Errors
    /// Where the database fails; what was known stays.
    pub async fn refresh(&self, store: &Store) -> Result<Arc<BTreeMap<ConnectorName, Arc<Connector>>>, StoreError> {
        let before = self.all();
        let mut after = BTreeMap::new();
        for stored in store.connectors().await? {
            let name = stored.name.clone();
            let connector = match before.get(&name) {
                // A broken one is built anew each time: what it lacks, a secret for instance, may have come.
                Some(known)
                    if known.stored.generation == stored.generation && !matches!(known.reading, Reading::Broken(_)) =>
                {
                    if known.stored == stored {
                        known.clone()
                    } else {
                        Arc::new(Connector {
                            stored,
                            definition: known.definition.clone(),
                            normaliser: known.normaliser.clone(),
                            gatherer: known.gatherer.clone(),
                            reading: known.reading.clone(),
                            answering: known.answering,
                            answerer: known.answerer.clone(),
                        })
                    }
                }
                _ => Arc::new(self.build(stored)),
            };
            after.insert(name, connector);
        }
        let after = Arc::new(after);
        *self.connectors.write().unwrap_or_else(PoisonError::into_inner) = after.clone();
        Ok(after)
    }

    /// Every connector, as last read.
    pub fn all(&self) -> Arc<BTreeMap<ConnectorName, Arc<Connector>>> {
        self.connectors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One connector, as last read.
    pub fn get(&self, name: &ConnectorName) -> Option<Arc<Connector>> {
        self.all().get(name).cloned()
    }

    /// What an adapter may touch, paced for one connector and held to what it may reach.
    ///
    /// # Errors
    /// Where the HTTP client cannot be set up, or the allow-list cannot be read.
    pub fn toolbox(&self, definition: &ConnectorDefinition) -> Result<Toolbox, Fault> {
        let pace = Arc::new(Governed::new(definition.per_minute, definition.burst, self.hosts.clone()));
        let limits = HttpLimits { body: self.limits.page_bytes, ..HttpLimits::default() };
        let reach =
            Reach::parse(&definition.allow_private).map_err(|(_, error)| Fault::configuration(error.to_string()))?;
        let http = Http::reaching(limits, pace.clone(), reach)?;
        Ok(Toolbox { clock: self.clock.clone(), http, pace, limits: self.limits })
    }

    fn build(&self, stored: StoredConnector) -> Connector {
        let definition: Result<ConnectorDefinition, Fault> = serde_json::from_str(&stored.definition)
            .map_err(|error| Fault::configuration(format!("the stored definition cannot be read: {error}")));
        let make = |definition: &ConnectorDefinition| {
            let adapter = definition.adapter().map_err(|error| Fault::configuration(error.to_string()))?;
            Ok(parts_of(adapter.as_ref(), &self.toolbox(definition)?))
        };
        let parts = definition.as_ref().map_err(Clone::clone).and_then(|definition| {
            // A panic of one adapter must not keep the others from being made.
            catch_unwind(AssertUnwindSafe(|| make(definition)))
                .unwrap_or_else(|_| Err(Fault::permanent("its adapter failed in a way that it should not")))
        });
        let (normaliser, gatherer, reading, answering, answerer) = match parts {
            Ok(parts) => parts,
            Err(fault) => (Err(fault.clone()), None, Reading::Broken(fault), Answering::None, None),
        };
        Connector { stored, definition: definition.ok(), normaliser, gatherer, reading, answering, answerer }
    }
}

type Parts = (Result<Arc<dyn Normalise>, Fault>, Option<Arc<dyn Gather>>, Reading, Answering, Option<Arc<dyn Answer>>);

fn parts_of(adapter: &dyn Adapter, toolbox: &Toolbox) -> Parts {
    let reading = match adapter.source(toolbox) {
        Ok(Source::Push(push)) => Reading::Push(push),
        Ok(Source::Pull(_)) => Reading::Pull,
        Err(fault) => Reading::Broken(fault),
    };
    let (gatherer, reading) = match adapter.gatherer() {
        Ok(gatherer) => (gatherer, reading),
        Err(fault) => (None, Reading::Broken(fault)),
    };
    match adapter.answerer(toolbox) {
        Ok(Some(answerer)) => (adapter.normaliser(), gatherer, reading, adapter.answering(), Some(answerer)),
        Ok(None) => (adapter.normaliser(), gatherer, reading, Answering::None, None),
        // A connector that cannot answer is broken where an admin looks, not silent where a petitioner waits.
        Err(fault) => (adapter.normaliser(), gatherer, Reading::Broken(fault), Answering::None, None),
    }
}
