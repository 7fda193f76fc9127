//! The items that sources are filled with. Each carries a citizen's data, which may come out in its complaint alone.

use jiff::{SignedDuration, Timestamp};

use super::{NAME, PHONE, limits, now};

/// What is special about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Good,
    /// The adapter must be unable to read it, though the source gives it.
    Unreadable,
    /// It is larger than an item may be.
    Oversize,
    /// By its own clock it was made a year from now.
    Ahead,
    /// It was made in the same second as all others of its kind.
    OneMoment,
}

/// An item to be put into a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    /// Which; the source calls it by this number, if it can.
    pub(crate) number: u32,
    /// What is special about it.
    pub(crate) kind: Kind,
    /// How often it was edited.
    pub(crate) edits: u32,
}

impl Given {
    pub(crate) fn new(number: u32, kind: Kind) -> Self {
        Self { number, kind, edits: 0 }
    }

    /// Good items with these numbers.
    pub(crate) fn good(numbers: std::ops::Range<u32>) -> Vec<Self> {
        numbers.map(|number| Self::new(number, Kind::Good)).collect()
    }

    pub(crate) fn subject(&self) -> String {
        format!("第{}号路灯不亮", self.number)
    }

    pub(crate) fn body(&self) -> String {
        let number = self.number;
        let text = format!("{NAME}反映：民主路{number}号门前的路灯不亮已经{}天，请维修，电话{PHONE}。", self.edits + 3);
        match self.kind {
            // Whole sentences, so that any cut leaves text.
            Kind::Oversize => text.repeat(limits().item_bytes / text.len() + 2),
            _ => text,
        }
    }

    /// When it was made, by the source.
    pub(crate) fn made_at(&self) -> Timestamp {
        let minutes = |count: i64| SignedDuration::from_mins(count);
        match self.kind {
            Kind::Ahead => now() + SignedDuration::from_hours(24 * 365),
            Kind::OneMoment => now() - minutes(5000),
            // In the order of the numbers, all within the days before.
            _ => now() - minutes(4000) + minutes(i64::from(self.number)),
        }
    }
}
