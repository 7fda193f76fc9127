//! Runs assess and issue: takes what is pending, batch by batch, and commits what it comes to. While one batch is being
//! committed the next is assessed. Everything it needs to know is in the database, so that a crash at any point is
//! followed by the same work.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use connectors::{
    clock::{Clock, ZONE},
    complaint::{Channel, Complaint, Petitioner},
    contract::Answering,
    entry::{ConnectorName, Form, RawEntry, Revision},
};
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Assessed, Candidate, Outcome, Recall, Route, SameMessage,
    plan::{self, Context},
    planned::Plan,
    recall::namesake,
};
use crate::{
    assess::Verdict,
    calendar::Calendar,
    directory::{Connector, Directory},
    ids::EntryId,
    intake::{RAW, raw_identity},
    matching::{Signature, Vocabulary, contact_phones},
    notices::Texts,
    number::NumberError,
    rulebook::Rulebook,
    seal::{IndexKind, Keyring, SealContext},
    store::{Store, StoreError, issue::PendingEntry, leases::Lease},
    telemetry::names,
};

/// What a petitioner is sealed to.
pub const PETITIONER: &str = "complaint.petitioner";
/// What the address of a notice is sealed to.
pub const RECIPIENT: &str = "notice.recipient";
/// The lease on issuing: one gateway issues at a time, so that two never open two tickets for one matter.
const LEASE: &str = "issue";

/// Bounds of the issuer.
#[derive(Debug, Clone, Copy)]
pub struct IssueOptions {
    /// Entries in one batch.
    pub items: usize,
    /// Raw bytes in one batch, beyond its first entry.
    pub bytes: usize,
    /// Threads that assess.
    pub threads: usize,
    /// How long the lease on issuing holds without being renewed.
    pub lease: Duration,
    /// How often the database is asked for work that nobody announced.
    pub poll: Duration,
    /// Complaints that matching remembers at least; the oldest give way.
    pub remembered: usize,
    /// Whether the same matter in other words joins its ticket, rather than being linked to it.
    pub join_other_words: bool,
    /// What one mail to several of our addresses comes to.
    pub same_message: SameMessage,
    /// How long after its last complaint the same words still mean the same matter; later they open a ticket anew.
    pub repeat_window: Duration,
}

/// Why a batch was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The day has no ticket number left.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A thread that assesses did not end as it should.
    #[error("a thread that assesses was lost")]
    Thread,
    /// Planning a batch panicked.
    #[error("planning failed in a way that it should not; the log of that time says where")]
    Plan,
}

impl IssueError {
    /// Whether an entry of the batch is to blame, rather than the database, the lease or the day.
    fn is_about_an_entry(&self) -> bool {
        match self {
            Self::Store(error) => !error.passing() && !matches!(error, StoreError::Fenced { .. }),
            Self::Plan => true,
            Self::Number(_) | Self::Thread => false,
        }
    }
}

/// What the issuer works with.
#[derive(Debug)]
pub struct Tools {
    /// Seals petitioners, unseals raw bytes.
    pub keyring: Arc<Keyring>,
    /// Screens and classifies.
    pub rulebook: Arc<Rulebook>,
    /// Working days.
    pub calendar: Calendar,
    /// What petitioners are told.
    pub texts: Texts,
    /// The connectors.
    pub directory: Arc<Directory>,
    /// The words that matching goes by.
    pub vocabulary: Arc<Vocabulary>,
    /// Whether complaints are compared with earlier ones at all.
    pub matching: bool,
    /// Whether petitioners are told anything.
    pub notify: bool,
    /// The connector that carries mail for channels with no way back.
    pub through: Option<ConnectorName>,
}

/// Assesses and issues what is pending.
#[derive(Debug, Clone)]
pub struct Issuer {
    store: Store,
    clock: Arc<dyn Clock>,
    tools: Arc<Tools>,
    options: IssueOptions,
    holder: String,
    /// What was issued before; only whoever holds the lease touches it.
    recall: Arc<Mutex<Recall>>,
    /// Told after each commit: something may be leased.
    queued: Arc<Notify>,
}

impl Issuer {
    /// An issuer that holds its lease under `holder` and tells `queued` after each commit.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        tools: Arc<Tools>,
        options: IssueOptions,
        holder: String,
        queued: Arc<Notify>,
    ) -> Self {
        let recall = Arc::new(Mutex::new(Recall::new(options.remembered)));
        Self { store, clock, tools, options, holder, recall, queued }
    }

    /// What it works with.
    pub fn tools(&self) -> &Arc<Tools> {
        &self.tools
    }

    /// Works until `stop`; the batch that is being committed then is finished.
    pub async fn run(&self, wake: &Notify, stop: &CancellationToken) {
        let mut failures: u32 = 0;
        while !stop.is_cancelled() {
            let pause = match self.work(Some(stop)).await {
                Ok(Some(_)) => {
                    failures = 0;
                    self.options.poll
                }
                // Another gateway issues: take over soon after it stops.
                Ok(None) => self.options.lease / 3,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::error!(%error, failures, "a batch was not issued; it will be tried again");
                    backoff(failures)
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
            tracing::warn!(%error, "the lease on issuing was not returned; it will expire");
        }
    }

    /// Issues everything that is pending and returns how many entries that were; `None` where another gateway issues.
    ///
    /// # Errors
    /// Where a batch could not be issued; what was issued before it stays.
    pub async fn drain(&self) -> Result<Option<usize>, IssueError> {
        let issued = self.work(None).await?;
        if let Some(lease) = self.lease().await? {
            self.store.return_lease(&lease).await?;
        }
        Ok(issued)
    }

    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        self.store.take_lease(LEASE, &self.holder, self.clock.now(), self.options.lease).await
    }

    async fn work(&self, stop: Option<&CancellationToken>) -> Result<Option<usize>, IssueError> {
        let Some(mut lease) = self.lease().await? else { return Ok(None) };
        let mut renewed = self.clock.now();
        self.store.release_rulings(renewed).await?;
        if self.tools.matching {
            self.recall.lock().await.catch_up(&self.store, &lease, &self.tools.vocabulary, self.since(renewed)).await?;
        } else {
            // What comes in now has no signature: it gets one when matching is switched on again.
            self.store.forget_all_signed(&lease).await?;
        }
        let mut issued = 0;
        let mut after = EntryId(0);
        let mut ready: Vec<Candidate> = Vec::new();
        let mut batches: usize = 0;
        loop {
            let stopping = stop.is_some_and(CancellationToken::is_cancelled);
            // Now and then from the beginning: what was put back on the list must not wait until the list is empty.
            let again = batches > 0 && batches.is_multiple_of(BATCHES);
            let next = async { if stopping || again { Ok(Vec::new()) } else { self.prepare(after).await } };
            let (committed, next) = tokio::join!(self.issue(&lease, &ready), next);
            committed?;
            issued += ready.len();
            ready = next?;
            batches += 1;
            match ready.last() {
                Some(last) => after = last.entry,
                None if again && !stopping => after = EntryId(0),
                None => return Ok(Some(issued)),
            }
            if self.clock.now().duration_since(renewed).unsigned_abs() > self.options.lease / 3 {
                lease = self.lease().await?.ok_or(StoreError::Fenced { lease: LEASE.to_owned() })?;
                renewed = self.clock.now();
            }
        }
    }

    /// Since when a matter must have been spoken of to be the same.
    fn since(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.options.repeat_window).unwrap_or(Timestamp::MIN)
    }

    async fn prepare(&self, after: EntryId) -> Result<Vec<Candidate>, IssueError> {
        let pending = self.store.pending(after, self.options.items, self.options.bytes).await?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        if pending.iter().any(|entry| self.tools.directory.get(&entry.connector).is_none()) {
            // Another process brought a connector that this one has not looked at yet.
            self.tools.directory.refresh(&self.store).await?;
        }
        let share = pending.len().div_ceil(self.options.threads.max(1)).max(SHARE);
        let mut shares: Vec<Vec<PendingEntry>> = Vec::new();
        for entry in pending {
            match shares.last_mut() {
                Some(current) if current.len() < share => current.push(entry),
                _ => shares.push(vec![entry]),
            }
        }
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let tools = self.tools.clone();
                tokio::task::spawn_blocking(move || {
                    share.into_iter().map(|entry| tools.assess(entry)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut candidates = Vec::new();
        for thread in threads {
            candidates.extend(thread.await.map_err(|_| IssueError::Thread)?);
        }
        Ok(candidates)
    }

    /// Issues a batch; where it cannot be issued whole, entry by entry, so that one bad entry stops nothing.
    async fn issue(&self, lease: &Lease, batch: &[Candidate]) -> Result<(), IssueError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.commit(lease, batch).await {
            Err(error) if error.is_about_an_entry() => {
                tracing::warn!(%error, entries = batch.len(), "a batch cannot be issued whole; going entry by entry");
            }
            done => return done,
        }
        for candidate in batch {
            match self.commit(lease, std::slice::from_ref(candidate)).await {
                // It was issued or put back meanwhile: what waits of it is read again.
                Ok(()) | Err(IssueError::Store(StoreError::Conflict(_))) => {}
                Err(error) if error.is_about_an_entry() => {
                    tracing::error!(entry.id = %candidate.entry, %error, "an entry cannot be issued; to quarantine");
                    let mut poison = candidate.clone();
                    poison.outcome = Outcome::Unreadable {
                        stage: "issue",
                        reason: "what it came to cannot be stored; see the log of that time".to_owned(),
                    };
                    self.commit(lease, &[poison]).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn commit(&self, lease: &Lease, batch: &[Candidate]) -> Result<(), IssueError> {
        let started = Instant::now();
        let now = self.clock.now();
        let zone = self.tools.texts.zone.clone();
        let day = zone.to_datetime(now).date();
        let counter = format!("ticket:{day}");
        let since = self.since(now);
        let mut recall = self.recall.lock().await;
        let mut issuing = self.store.begin_issuing(lease).await?;
        let serials = issuing.serials(&counter).await?;
        // Under the fence nobody else issues: whatever is stored by now is known before anything is planned.
        while recall.upto() < serials.signature {
            let before = recall.upto();
            for signed in issuing.signatures_after(before, self.tools.vocabulary.version(), CATCH_UP).await? {
                recall.take(signed);
            }
            if recall.upto() == before {
                break;
            }
        }
        let mut questions = plan::questions(batch);
        questions.alike = recall.ask(batch, since);
        let known = issuing.known(&questions, since).await?;
        let mut random = Uuid::new_v4;
        let mut context = Context {
            now,
            day,
            calendar: &self.tools.calendar,
            texts: &self.tools.texts,
            frequencies: recall.frequencies(),
            vocabulary: &self.tools.vocabulary,
            join_other_words: self.options.join_other_words,
            same_message: self.options.same_message,
            random: &mut random,
        };
        // A panic here would end issuing for good, and the same batch would be the first one after a restart.
        let plan = catch_unwind(AssertUnwindSafe(|| plan::plan(batch, known, serials, &mut context)))
            .map_err(|_| IssueError::Plan)??;
        issuing.write(&plan, &counter).await?;
        recall.learn(&plan);
        metrics::histogram!(names::ISSUE_SECONDS).record(started.elapsed());
        self.queued.notify_waiters();
        report(&plan);
        Ok(())
    }
}

/// Signatures of another gateway that are read at once.
const CATCH_UP: i64 = 1_000;

/// Batches after which the work list is read from its beginning again.
const BATCHES: usize = 64;

/// Entries below which it is not worth handing a share to another thread.
const SHARE: usize = 32;

fn backoff(failures: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << failures.min(7))
}

fn report(plan: &Plan) {
    for complaint in &plan.complaints {
        let disposition = complaint.disposition.as_str();
        metrics::counter!(names::DISPOSITIONS, "disposition" => disposition).increment(1);
        if let Some(relation) = complaint.relation {
            metrics::counter!(names::TICKETS, "event" => relation.as_str()).increment(1);
        }
        if complaint.assessed.verdict.urgency == crate::assess::Urgency::Emergency {
            tracing::warn!(entry.id = %complaint.entry, disposition = complaint.disposition.as_str(), "an emergency was reported");
        }
    }
    for (entry, stage, reason) in &plan.quarantined {
        metrics::counter!(names::QUARANTINE).increment(1);
        tracing::warn!(entry.id = %entry, stage, reason, "an entry went to quarantine");
    }
    tracing::debug!(entries = plan.done.len(), tickets = plan.tickets.len(), "a batch was issued");
}

/// The zone that the hotline lives in, or UTC where the zone data lack it.
pub fn hotline_zone() -> TimeZone {
    TimeZone::get(ZONE).unwrap_or(TimeZone::UTC)
}

impl Tools {
    /// What a complaint is matched by later on.
    fn sign(&self, verdict: &Verdict, petitioner: &Petitioner, keys: &[Vec<u8>]) -> Signature {
        let mut signature = Signature::of(&verdict.shown, keys, &self.vocabulary);
        let told = contact_phones(&verdict.complaint.body);
        let told: Vec<Vec<u8>> =
            told.iter().map(|phone| self.keyring.index(IndexKind::Phone, phone).0.to_vec()).collect();
        signature.also(&told);
        let name = petitioner.name.as_deref().and_then(full_name);
        signature.namesake = name.and_then(|name| namesake(&self.keyring.index(IndexKind::Name, &name).0));
        signature
    }

    /// Unseals, normalises and assesses one entry. Whatever goes wrong with it is its own outcome.
    fn assess(&self, pending: PendingEntry) -> Candidate {
        let connector = self.directory.get(&pending.connector);
        let channel =
            connector.as_ref().map_or(connectors::complaint::Channel::Letter, |connector| connector.channel());
        // A panic in a parser is that entry's misfortune and nobody else's.
        let assessed =
            catch_unwind(AssertUnwindSafe(|| self.outcome(&pending, connector.as_deref()))).unwrap_or_else(|_| {
                (Outcome::Unreadable { stage: "assess", reason: "the reader failed on it".to_owned() }, Route::None)
            });
        let (outcome, route) = assessed;
        let has_id = matches!(&outcome, Outcome::Assessed(assessed)
            if assessed.verdict.complaint.thread.message_id.is_some());
        Candidate {
            entry: pending.id,
            connector: pending.connector,
            external_id: pending.external_id,
            revised: pending.revision != Revision::only(),
            mail: pending.form == Form::Mail && has_id,
            channel,
            received_at: pending.received_at,
            outcome,
            ruling: pending.ruling,
            again: pending.again,
            route,
        }
    }

    fn outcome(&self, pending: &PendingEntry, connector: Option<&Connector>) -> (Outcome, Route) {
        match self.try_outcome(pending, connector) {
            Ok((assessed, route)) => (Outcome::Assessed(Box::new(assessed)), route),
            Err((stage, reason)) => (Outcome::Unreadable { stage, reason }, Route::None),
        }
    }

    fn try_outcome(
        &self,
        pending: &PendingEntry,
        connector: Option<&Connector>,
    ) -> Result<(Assessed, Route), (&'static str, String)> {
        let connector =
            connector.ok_or(("normalise", format!("connector {} is not known any more", pending.connector)))?;
        let complaint = self.read(pending, connector)?;
        let mut verdict = self.rulebook.assessor().assess(complaint, connector.channel(), pending.received_at);
        let told = pending.source_time.or(verdict.complaint.made_at).map(|stamp| stamp.at);
        verdict.silent |= !self.notify || !connector.notifies() || connector.is_back_fill(told, &self.texts.zone);
        let petitioner = std::mem::take(&mut verdict.complaint.petitioner);
        let seal_error = |error: crate::seal::SealError| ("seal", error.to_string());
        let id = pending.id.to_string();
        let sealed_petitioner =
            self.keyring.seal_json(SealContext::new(PETITIONER, &id), &petitioner).map_err(seal_error)?;
        let phones = verdict.keys.phones.iter().map(|phone| self.keyring.index(IndexKind::Phone, phone).0.to_vec());
        let emails = verdict.keys.emails.iter().map(|email| self.keyring.index(IndexKind::Email, email).0.to_vec());
        let account = petitioner.account.as_deref().map(str::trim).filter(|account| !account.is_empty());
        let account = account.map(|account| format!("{}\u{1f}{account}", pending.connector));
        let account = account.iter().map(|account| self.keyring.index(IndexKind::Account, account).0.to_vec());
        let petitioner_keys: Vec<Vec<u8>> = phones.chain(emails).chain(account).collect();
        let signature =
            if self.matching { self.sign(&verdict, &petitioner, &petitioner_keys) } else { Signature::default() };
        let recipient = match (petitioner.emails.first(), verdict.keys.emails.first()) {
            (Some(address), Some(canonical)) => Some((
                self.keyring.seal(SealContext::new(RECIPIENT, &id), address.as_bytes()).map_err(seal_error)?,
                self.keyring.index(IndexKind::Email, canonical).0.to_vec(),
            )),
            _ => None,
        };
        let route = self.route(connector, recipient.is_some());
        Ok((Assessed { verdict, sealed_petitioner, petitioner_keys, recipient, signature: Arc::new(signature) }, route))
    }

    /// Unseals and normalises one entry, for whoever assesses it without issuing it. What it returns holds who complained.
    ///
    /// # Errors
    /// The stage at which it cannot be read, and why.
    pub fn normalise(&self, entry: &PendingEntry) -> Result<(Complaint, Channel), (&'static str, String)> {
        let connector = self.directory.get(&entry.connector);
        let connector = connector.as_deref();
        let connector =
            connector.ok_or(("normalise", format!("connector {} is not known any more", entry.connector)))?;
        // A panic in a parser is that entry's misfortune and nobody else's.
        let read = catch_unwind(AssertUnwindSafe(|| self.read(entry, connector)));
        let complaint = read.map_err(|_| ("assess", "the reader failed on it".to_owned()))??;
        Ok((complaint, connector.channel()))
    }

    fn read(&self, pending: &PendingEntry, connector: &Connector) -> Result<Complaint, (&'static str, String)> {
        if let Some(column) = pending.unreadable {
            return Err(("read", format!("its {column} cannot be read by this version")));
        }
        let unseal = |error: crate::seal::SealError| ("unseal", error.to_string());
        let identity =
            raw_identity(pending.connector.as_str(), pending.external_id.as_str(), pending.revision.as_str());
        let raw = self.keyring.open(SealContext::new(RAW, &identity), &pending.sealed_raw).map_err(unseal)?;
        let entry = RawEntry {
            external_id: pending.external_id.clone(),
            revision: pending.revision.clone(),
            delivery_id: None,
            source_time: pending.source_time,
            form: pending.form,
            raw: raw.into(),
            remarks: pending.remarks.clone(),
        };
        let normaliser = connector.normaliser.as_ref().map_err(|fault| ("normalise", fault.to_string()))?;
        let mut complaint =
            normaliser.normalise(&entry, pending.received_at).map_err(|error| ("normalise", error.to_string()))?;
        complaint.made_at = complaint.made_at.or(entry.source_time);
        for remark in entry.remarks {
            if !complaint.remarks.contains(&remark) {
                complaint.remarks.push(remark);
            }
        }
        Ok(complaint)
    }

    fn route(&self, connector: &Connector, addressed: bool) -> Route {
        match connector.answering {
            Answering::ToItem => return Route::Through(connector.stored.name.clone()),
            Answering::ToAddress if addressed => return Route::Through(connector.stored.name.clone()),
            Answering::ToAddress | Answering::None => {}
        }
        match &self.through {
            Some(through) if addressed => Route::Through(through.clone()),
            _ => Route::None,
        }
    }
}

/// A name that may tell a person: two to four characters, none of them a mask or a form of address.
fn full_name(name: &str) -> Option<String> {
    let name = crate::assess::text::normal(name);
    let han = name.chars().all(|character| ('\u{4E00}'..='\u{9FFF}').contains(&character));
    let address = ["某", "先生", "女士", "同志", "匿名", "业主", "居民", "市民", "老师"];
    let whole = (2..=4).contains(&name.chars().count()) && han && !address.iter().any(|word| name.contains(word));
    whole.then_some(name)
}
