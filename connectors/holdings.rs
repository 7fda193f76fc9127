//! What a source holds, by name, so that the gateway can compare it with what it stored and say which items are missing
//! (reconciliation). Told apart from reading: it looks at the source anew and knows nothing of any cursor, because a cursor
//! that skipped something cannot notice that it did.

use jiff::Timestamp;

use crate::entry::ExternalId;

/// A stretch of time, by the source's own time of its items: from a moment on, up to and without another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first moment that belongs to it.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

impl Period {
    /// Whether a moment belongs to the period.
    pub fn holds(&self, moment: Timestamp) -> bool {
        self.from <= moment && moment < self.to
    }
}

/// One item that a source holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The id under which the adapter would bring the item: the [`ExternalId`] of its [`crate::entry::Item`].
    pub id: ExternalId,
    /// Where a person finds it at the source, in words and without anything personal: `"INBOX, UID 4711"`.
    pub place: String,
    /// When it came to the source, by the source; `None` where the source does not say. What came after the last reading is
    /// not missing yet.
    pub at: Option<Timestamp>,
}

/// What a source holds for a period, edits and copies included: the same id may stand there twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The items; at most [`Holdings::MAX`].
    pub items: Vec<Held>,
    /// Whether these are all. Where they are not, the gateway asks again for shorter periods.
    pub whole: bool,
}

impl Holdings {
    /// Items that are named in one answer.
    pub const MAX: usize = 50_000;

    /// Holdings that are all there is, cut at [`Self::MAX`].
    pub fn new(mut items: Vec<Held>) -> Self {
        let whole = items.len() <= Self::MAX;
        items.truncate(Self::MAX);
        Self { items, whole }
    }
}
