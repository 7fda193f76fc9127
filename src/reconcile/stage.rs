//! The stage that compares: what was asked for, and each night every source that is asked. One gateway runs it.

use std::{sync::Arc, time::Duration};

use connectors::{clock::Clock, entry::ConnectorName, fault::Fault, holdings::Period};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{ReconcileError, compare, settle};
use crate::{
    config::{self, ConnectorDefinition},
    directory::{Directory, Reading},
    issue::hotline_zone,
    store::{Store, StoreError, reconcile::Reconciliation},
};

/// The lease on it.
const LEASE: &str = "reconcile";
/// How long the lease holds without being renewed.
const TERM: Duration = Duration::from_mins(1);
/// How often it is looked whether there is something to do.
const POLL: Duration = Duration::from_secs(1);
/// Attempts at one comparison that a gateway did not survive.
const ATTEMPTS: i64 = 3;

/// Compares.
pub struct Reconciler {
    /// The database.
    pub store: Store,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The connectors.
    pub directory: Arc<Directory>,
    /// When, each night, and how far back.
    pub settings: config::Reconcile,
    /// This process, as it holds leases.
    pub holder: String,
}

impl Reconciler {
    /// Works until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                turned = self.turn() => if let Err(error) = turned {
                    tracing::error!(%error, "what sources hold could not be compared");
                },
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn turn(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.store.take_lease(LEASE, &self.holder, now, TERM).await?.is_none() {
            return Ok(());
        }
        self.schedule(now).await?;
        let Some(asked) = self.store.next_reconciliation().await? else { return Ok(()) };
        tokio::select! {
            done = self.reconcile(&asked) => done,
            () = self.keep_lease() => Ok(()),
        }
    }

    /// Asks for every source once a night.
    async fn schedule(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some((day, due)) = self.settings.at.0.and_then(|at| {
            let today = hotline_zone().to_datetime(now).date();
            let due = hotline_zone().to_timestamp(today.to_datetime(at)).ok()?;
            Some((i64::from(today.year()) * 1000 + i64::from(today.day_of_year()), due))
        }) else {
            return Ok(());
        };
        // One that starts in the afternoon waits for the night.
        if now < due || now.duration_since(due) > jiff::SignedDuration::from_hours(1) {
            return Ok(());
        }
        let wanted: Vec<ConnectorName> = (self.directory.all().values())
            .filter(|connector| connector.stored.enabled && matches!(connector.reading, Reading::Pull))
            .filter(|connector| connector.definition.as_ref().is_some_and(|definition| definition.reconcile))
            .map(|connector| connector.stored.name.clone())
            .collect();
        let back = Duration::from_hours(24 * u64::from(self.settings.days));
        let period = Period { from: now.checked_sub(back).unwrap_or(now), to: now };
        self.store.schedule_reconciliations(day, &wanted, period, now).await
    }

    async fn reconcile(&self, asked: &Reconciliation) -> Result<(), StoreError> {
        let name = &asked.connector;
        let attempts = self.store.begin_reconciliation(asked.id).await?;
        let outcome = match self.definition(name) {
            Some(_) if attempts > ATTEMPTS => Err(Fault::permanent("several gateways did not survive it").into()),
            Some(definition) => {
                let period = Period { from: asked.from, to: asked.to };
                compare(&self.store, &self.directory, &definition, period, self.clock.as_ref(), true).await
            }
            None => Err(Fault::configuration("the connector is not known, or cannot be built").into()),
        };
        if let Err(ReconcileError::Store(error)) = outcome {
            return Err(error);
        }
        match &outcome {
            Ok(Some(outcome)) => tracing::info!(
                connector.name = %name,
                held = outcome.held,
                missing = outcome.missing,
                "what the source holds was compared with what was stored"
            ),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(connector.name = %name, %error, "what the source holds could not be asked for");
            }
        }
        settle(&self.store, asked.id, name, &outcome, self.clock.now()).await
    }

    fn definition(&self, name: &ConnectorName) -> Option<ConnectorDefinition> {
        self.directory.get(name).and_then(|connector| connector.definition.clone())
    }

    async fn keep_lease(&self) {
        loop {
            tokio::time::sleep(TERM / 3).await;
            match self.store.take_lease(LEASE, &self.holder, self.clock.now(), TERM).await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the lease on comparing was not renewed"),
            }
        }
    }
}
