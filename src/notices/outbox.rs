//! Sends what is in the outbox, back through the channel that the citizen used. A notice is begun in the store before it
//! leaves and ended after, so that a crash between the two sends it again under the same message id rather than never.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use connectors::{
    clock::Clock,
    contract::{Answering, Reply},
    fault::{Fault, FaultClass},
};
use futures::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use crate::{
    directory::Directory,
    issue::RECIPIENT,
    pace::wait_after,
    seal::{Keyring, SealContext},
    store::{
        Store, StoreError,
        notices::{DueNotice, Sent},
    },
    supervisor::Random,
    telemetry::names,
};

/// The lease on sending: one gateway sends at a time.
const LEASE: &str = "notices";

/// Bounds of the outbox.
#[derive(Debug, Clone, Copy)]
pub struct OutboxOptions {
    /// Notices that leave for one address within a day; RFC 3834 asks for a bound, and two machines that answer each
    /// other need one.
    pub daily_cap: i64,
    /// Attempts at one notice.
    pub max_attempts: i64,
    /// Time of one attempt.
    pub timeout: Duration,
    /// Attempts at the same time.
    pub abreast: usize,
    /// How often the outbox is looked at.
    pub poll: Duration,
    /// How long the lease on sending holds without being renewed.
    pub lease: Duration,
}

/// Sends notices.
pub struct Outbox {
    store: Store,
    clock: Arc<dyn Clock>,
    keyring: Arc<Keyring>,
    directory: Arc<Directory>,
    random: Random,
    options: OutboxOptions,
    holder: String,
}

/// Notices read in one look.
const LOOK: i64 = 100;
/// A day, for the cap.
const DAY: Duration = Duration::from_hours(24);

impl Outbox {
    /// An outbox that holds its lease under `holder`.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        keyring: Arc<Keyring>,
        directory: Arc<Directory>,
        random: Random,
        options: OutboxOptions,
        holder: String,
    ) -> Self {
        Self { store, clock, keyring, directory, random, options, holder }
    }

    /// Sends until `stop`; what has begun then is finished.
    pub async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.look(stop).await {
                tracing::error!(%error, "the outbox could not be looked at");
            }
            tokio::select! {
                () = tokio::time::sleep(self.options.poll) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Sends what is due now.
    async fn look(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.store.take_lease(LEASE, &self.holder, now, self.options.lease).await?.is_none() {
            return Ok(());
        }
        // One after the other to each address, so that the cap holds; different addresses abreast.
        let mut lanes: BTreeMap<Vec<u8>, Vec<DueNotice>> = BTreeMap::new();
        for notice in self.store.due_notices(now, LOOK).await? {
            let lane = notice.recipient_key.clone().unwrap_or_else(|| notice.message_id.clone().into_bytes());
            lanes.entry(lane).or_default().push(notice);
        }
        let sending = futures::stream::iter(lanes.into_values())
            .take_until(stop.cancelled())
            .for_each_concurrent(self.options.abreast, |lane| self.send_lane(lane));
        tokio::select! {
            () = sending => {}
            () = self.keep_lease() => {}
        }
        Ok(())
    }

    /// Keeps the lease for as long as it is polled: a server that hangs may take longer than the lease holds.
    async fn keep_lease(&self) {
        loop {
            tokio::time::sleep(self.options.lease / 3).await;
            if let Err(error) = self.store.take_lease(LEASE, &self.holder, self.clock.now(), self.options.lease).await {
                tracing::warn!(%error, "the lease on sending was not renewed");
            }
        }
    }

    async fn send_lane(&self, lane: Vec<DueNotice>) {
        for notice in lane {
            if let Err(error) = self.send(&notice).await {
                tracing::error!(notice.id = notice.id.0, %error, "what became of a notice was not written; it will be sent again");
            }
        }
    }

    async fn send(&self, notice: &DueNotice) -> Result<(), StoreError> {
        let now = self.clock.now();
        if let Some(recipient) = &notice.recipient_key {
            let since = now.checked_sub(DAY).unwrap_or(now);
            let sent = self.store.notices_sent(recipient, since).await?;
            if sent >= self.options.daily_cap {
                metrics::counter!(names::NOTICES, "state" => "suppressed").increment(1);
                let reason = format!("{sent} notices left for the address within a day already");
                return self.store.notice_ended(notice.id, &Sent::Suppressed { reason }, now).await;
            }
        }
        // Twice the time of an attempt: nobody else takes it up while it is under way.
        if !self.store.notice_begins(notice.id, now, self.options.timeout * 2).await? {
            return Ok(());
        }
        let sent = match self.attempt(notice).await {
            Ok(()) => Sent::Left,
            Err(fault) => self.consider(notice, &fault),
        };
        let state = match sent {
            Sent::Left => "sent",
            Sent::Later { .. } => "retried",
            Sent::Failed { .. } => "failed",
            Sent::Suppressed { .. } => "suppressed",
        };
        metrics::counter!(names::NOTICES, "state" => state).increment(1);
        self.store.notice_ended(notice.id, &sent, self.clock.now()).await
    }

    async fn attempt(&self, notice: &DueNotice) -> Result<(), Fault> {
        let connector = self
            .directory
            .get(&notice.connector)
            .ok_or_else(|| Fault::configuration(format!("connector {} is not known", notice.connector)))?;
        let answerer = connector.answerer.clone().ok_or_else(|| {
            Fault::configuration(format!("connector {} has no way back set up", notice.connector))
                .remedy("set up its outgoing server")
        })?;
        let to = match (&notice.sealed_recipient, connector.answering) {
            (Some(sealed), _) => {
                let id = notice.entry.to_string();
                let bytes = self
                    .keyring
                    .open(SealContext::new(RECIPIENT, &id), sealed)
                    .map_err(|error| Fault::configuration(error.to_string()))?;
                Some(String::from_utf8(bytes).map_err(|_| Fault::permanent("the address is not text"))?)
            }
            (None, Answering::ToAddress) => return Err(Fault::permanent("there is no address to send to")),
            (None, _) => None,
        };
        let reply = Reply {
            message_id: notice.message_id.clone(),
            to,
            about: notice.about.clone(),
            occasion: notice.occasion,
            answers: notice.answers.clone(),
            subject: notice.subject.clone(),
            text: notice.body.clone(),
        };
        // A panic of one way back must not end the sending of all others.
        let answering = AssertUnwindSafe(answerer.answer(&reply)).catch_unwind();
        match tokio::time::timeout(self.options.timeout, answering).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Fault::transient("the way back failed in a way that it should not")),
            Err(_) => Err(Fault::transient("the way back did not answer in time")),
        }
    }

    fn consider(&self, notice: &DueNotice, fault: &Fault) -> Sent {
        let attempts = notice.attempts + 1;
        let reason = fault.to_string();
        tracing::warn!(
            notice.id = notice.id.0,
            connector.name = %notice.connector,
            fault.class = fault.class.as_str(),
            attempts,
            %fault,
            "a notice did not leave"
        );
        if fault.class == FaultClass::Permanent || attempts >= self.options.max_attempts {
            return Sent::Failed { reason };
        }
        let wait = wait_after(fault, attempts, (self.random)());
        let now = self.clock.now();
        Sent::Later { at: now.checked_add(wait).unwrap_or(now), reason }
    }
}
