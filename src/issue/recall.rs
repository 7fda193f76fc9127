//! What the issuer remembers of earlier complaints, so that a new one is matched without asking the database for all of
//! them. It is made from stored signatures and nothing else: at the start, and whenever another gateway has issued in
//! between, it catches up before anything is planned.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Candidate, Outcome, planned::Plan};
use crate::{
    assess::Disposition,
    ids::EntryId,
    matching::{Frequencies, Index, Signature, Vocabulary, persons},
    store::{
        Store, StoreError,
        leases::Lease,
        matching::{Signed, Unsigned},
    },
};

/// Signatures read at once.
const PAGE: i64 = 1_000;

/// The index with what it needs to stay true to the store.
#[derive(Debug)]
pub struct Recall {
    index: Index,
    frequencies: Frequencies,
    /// Number of the last signature that is in the index.
    upto: i64,
    /// How many complaints the index keeps.
    room: i64,
    begun: bool,
}

impl Recall {
    /// A memory of at least so many complaints, empty until it catches up.
    pub fn new(complaints: usize) -> Self {
        Self {
            index: Index::new(complaints),
            frequencies: Frequencies::new(complaints),
            upto: 0,
            room: i64::try_from(complaints).unwrap_or(i64::MAX),
            begun: false,
        }
    }

    /// How often words were seen.
    pub fn frequencies(&self) -> &Frequencies {
        &self.frequencies
    }

    /// Number of the last signature that is known.
    pub fn upto(&self) -> i64 {
        self.upto
    }

    /// How many complaints are remembered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes in what has been stored since, without a transaction. Complaints that no signature of these words is stored
    /// of, because they are older than it, are signed first, once.
    ///
    /// # Errors
    /// Where the database fails or the lease on issuing was lost.
    pub async fn catch_up(
        &mut self,
        store: &Store,
        lease: &Lease,
        vocabulary: &Vocabulary,
        since: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.begun {
            self.sign(store, lease, vocabulary, since).await?;
            self.upto = (store.last_signature().await? - self.room).max(0);
            self.begun = true;
        }
        loop {
            let page = store.signatures_after(self.upto, vocabulary.version(), PAGE).await?;
            let last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for signed in page {
                self.take(signed);
            }
            if last {
                return Ok(());
            }
        }
    }

    async fn sign(
        &self,
        store: &Store,
        lease: &Lease,
        vocabulary: &Vocabulary,
        since: Timestamp,
    ) -> Result<(), StoreError> {
        if store.all_signed(vocabulary.version()).await? {
            return Ok(());
        }
        let mut after = EntryId(0);
        loop {
            let unsigned = store.unsigned(vocabulary.version(), since, after, PAGE / 4).await?;
            let Some(last) = unsigned.last() else { break };
            after = last.entry;
            let signed: Vec<(EntryId, Timestamp, Signature)> = unsigned
                .iter()
                .map(|Unsigned { entry, at, shown, petitioner }| {
                    (*entry, *at, Signature::of(shown, petitioner, vocabulary))
                })
                .collect();
            store.sign(lease, vocabulary.version(), &signed).await?;
        }
        store.note_all_signed(lease, vocabulary.version()).await
    }

    /// Takes in one signature that was stored.
    pub fn take(&mut self, signed: Signed) {
        let Signed { seq, entry, at, signature } = signed;
        if let Some(signature) = signature {
            self.index.add(entry, at, &signature, &self.frequencies);
            self.frequencies.add(&signature);
        }
        self.upto = self.upto.max(seq);
    }

    /// Takes in what a plan has just stored.
    pub fn learn(&mut self, plan: &Plan) {
        for new in &plan.signatures {
            self.index.add(new.entry, plan.now.as_microsecond(), &new.signature, &self.frequencies);
            self.frequencies.add(&new.signature);
        }
        self.upto = self.upto.max(plan.serials.signature);
    }

    /// For each entry of a batch that may join a ticket, the complaints since a moment that it may be the same matter as.
    pub fn ask(&self, batch: &[Candidate], since: Timestamp) -> HashMap<EntryId, Vec<EntryId>> {
        let since = since.as_microsecond();
        let asked = batch.iter().filter_map(|candidate| match &candidate.outcome {
            Outcome::Assessed(assessed) if compares(candidate, assessed.verdict.disposition) => {
                let found = self.index.candidates(&assessed.signature, since, &self.frequencies);
                (!found.is_empty()).then_some((candidate.entry, found))
            }
            _ => None,
        });
        asked.collect()
    }
}

/// Whether an entry is compared with others: to be joined where it is accepted, to be shown beside them where it is held.
pub(super) fn compares(candidate: &Candidate, disposition: Disposition) -> bool {
    let disposition = candidate.ruling.as_ref().map_or(disposition, |ruling| ruling.disposition);
    matches!(disposition, Disposition::Accept | Disposition::Hold)
}

/// The keyed hash by which namesakes are found.
pub(super) fn namesake(key: &[u8]) -> Option<u64> {
    persons(&[key.to_vec()]).first().copied()
}
