//! Which mails a page holds. Pure, because the rules that keep a mail from being lost or met twice are here.
//!
//! UIDs ascend and are never given twice while UIDVALIDITY stands, so a high-water mark is a whole cursor. Sequence numbers
//! are never used: an expunge by anyone else shifts them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::link::{Envelope, Opened};
use crate::contract::Limits;

/// UIDs looked through first, as a multiple of the page; doubled where nothing is found.
const WINDOW_PAGES: u32 = 10;
/// UIDs in one command: keeps its line far below the 8,192 bytes that servers must take (RFC 7162 section 4).
const SET_UIDS: usize = 200;
/// Bytes that a mail of unknown size counts for when a page is cut.
const UNKNOWN_BYTES: usize = 64 * 1024;

/// Where a mailbox was left off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Position {
    /// UIDVALIDITY under which the UID holds; 0 where the server names none.
    pub(super) uidvalidity: u32,
    /// The highest UID that was handed over.
    pub(super) last_uid: u32,
    /// Where there is no UIDVALIDITY: the connection in which this look through the folder began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<String>,
    /// Where there is no UIDVALIDITY: whether the look through the folder came to its end.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) complete: bool,
    /// Mails that are stored and of which the server has not been told yet: ranges of UIDs, first and last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) owed: Vec<(u32, u32)>,
    /// Pages in a row of which not one mail could be fetched.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) barren: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Ranges of UIDs that are owed at most; beyond it the oldest are left as they are.
const OWED_RANGES: usize = 1000;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Position {
    /// Where reading starts in a folder that was opened on a connection.
    ///
    /// Under another UIDVALIDITY every UID may mean another mail: reading starts over, and content keys drop the repeats.
    /// Without a UIDVALIDITY the UIDs hold within one connection only. A look through the folder that was cut off is brought
    /// to its end first, so that a mailbox too large for one connection is still read to its end, and then starts over in
    /// the connection of that day: a mail that changed its UID behind our back is met then.
    pub(super) fn start(self, opened: &Opened, connection: &str) -> Self {
        if let Some(uidvalidity) = opened.uidvalidity {
            let last_uid = if self.uidvalidity == uidvalidity { self.last_uid } else { 0 };
            let (owed, barren) =
                if self.uidvalidity == uidvalidity { (self.owed, self.barren) } else { Default::default() };
            return Self { uidvalidity, last_uid, owed, barren, ..Self::default() };
        }
        let goes_on = self.uidvalidity == 0
            && self.connection.is_some()
            && (!self.complete || self.connection.as_deref() == Some(connection));
        if goes_on {
            return self;
        }
        Self { connection: Some(connection.to_owned()), ..Self::default() }
    }

    /// Notes mails that are stored, ascending, of which the server is to be told. Whether all of them fit.
    pub(super) fn owe(&mut self, uids: impl IntoIterator<Item = u32>) -> bool {
        for uid in uids {
            match self.owed.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
                _ => self.owed.push((uid, uid)),
            }
        }
        let over = self.owed.len().saturating_sub(OWED_RANGES);
        self.owed.drain(..over);
        over == 0
    }

    /// The position after a page that reaches to `last_uid`.
    pub(super) fn advance(self, last_uid: u32, more: bool) -> Self {
        Self { last_uid: last_uid.max(self.last_uid), complete: self.connection.is_some() && !more, ..self }
    }
}

/// A stretch of UIDs to be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its first UID.
    pub(super) first: u32,
    /// Its last UID; `None` for all that follow.
    pub(super) last: Option<u32>,
}

impl Window {
    /// The first window behind `last_uid`, or none where no UID can follow.
    pub(super) fn first(last_uid: u32, uidnext: Option<u32>, limits: &Limits) -> Option<Self> {
        let first = last_uid.checked_add(1)?;
        let page = u32::try_from(limits.page_items).unwrap_or(u32::MAX);
        match uidnext {
            // A UIDNEXT that promises something bounds the search; one that does not is not trusted to exclude it.
            Some(next) if next > first => {
                let width = page.saturating_mul(WINDOW_PAGES).max(1);
                Some(Self { first, last: Some(first.saturating_add(width - 1).min(next - 1)) })
            }
            _ => Some(Self { first, last: None }),
        }
    }

    /// The next window behind this one, twice as wide.
    pub(super) fn next(self, uidnext: Option<u32>) -> Option<Self> {
        let (last, next) = (self.last?, uidnext?);
        if last >= next - 1 {
            return None;
        }
        let width = (last - self.first).saturating_add(1).saturating_mul(2);
        let first = last + 1;
        Some(Self { first, last: Some(first.saturating_add(width - 1).min(next - 1)) })
    }

    /// The window as a set.
    pub(super) fn set(self) -> String {
        match self.last {
            Some(last) => format!("{}:{last}", self.first),
            None => format!("{}:*", self.first),
        }
    }

    /// What a search of this window found, without what does not belong to it: `n:*` always names the last mail, even where
    /// its UID is below `n` (RFC 3501 section 6.4.8).
    pub(super) fn only(self, mut found: Vec<u32>) -> Vec<u32> {
        found.retain(|uid| *uid >= self.first && self.last.is_none_or(|last| *uid <= last));
        found
    }
}

/// How a mail is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Batch {
    /// Whole, together with others; with their bytes in all.
    Whole(Vec<u32>, usize),
    /// Its beginning only, because it is over the limit.
    Stub(u32),
    /// By itself, because the server does not tell its size.
    Alone(u32),
}

/// The mails of a page, in the order of their UIDs, grouped as they are fetched.
pub(super) fn batches(uids: &[u32], envelopes: &BTreeMap<u32, Envelope>, limits: &Limits) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut left = limits.page_bytes;
    for (position, uid) in uids.iter().take(limits.page_items.max(1)).enumerate() {
        let size = envelopes.get(uid).and_then(|envelope| envelope.size);
        let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let cost = size.unwrap_or(UNKNOWN_BYTES).min(limits.item_bytes);
        if position > 0 && cost > left {
            break;
        }
        left = left.saturating_sub(cost);
        match (size, batches.last_mut()) {
            (None, _) => batches.push(Batch::Alone(*uid)),
            (Some(size), _) if size > limits.item_bytes => batches.push(Batch::Stub(*uid)),
            (Some(size), Some(Batch::Whole(members, bytes))) if members.len() < SET_UIDS => {
                members.push(*uid);
                *bytes += size;
            }
            (Some(size), _) => batches.push(Batch::Whole(vec![*uid], size)),
        }
    }
    batches
}

/// UIDs, ascending, as the shortest set of ranges, cut into commands of bounded length.
pub(super) fn sets(uids: &[u32]) -> Vec<String> {
    uids.chunks(SET_UIDS).map(set).collect()
}

/// Ranges as sets, cut into commands of bounded length.
pub(super) fn range_sets(ranges: &[(u32, u32)]) -> Vec<String> {
    ranges.chunks(SET_UIDS).map(joined).collect()
}

fn set(uids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*uid) => *last = *uid,
            _ => ranges.push((*uid, *uid)),
        }
    }
    joined(&ranges)
}

fn joined(ranges: &[(u32, u32)]) -> String {
    let written: Vec<String> = ranges
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}:{last}") })
        .collect();
    written.join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { page_items: 3, page_bytes: 100, item_bytes: 60 };

    fn opened(uidvalidity: Option<u32>) -> Opened {
        Opened { uidvalidity, uidnext: None, exists: 1 }
    }

    fn told(sizes: &[(u32, Option<u32>)]) -> BTreeMap<u32, Envelope> {
        sizes.iter().map(|(uid, size)| (*uid, Envelope { uid: *uid, size: *size, date: None })).collect()
    }

    #[test]
    fn reading_goes_on_under_the_same_uidvalidity_and_starts_over_under_another() {
        let left_off = Position { uidvalidity: 7, last_uid: 42, ..Position::default() };
        assert_eq!(left_off.clone().start(&opened(Some(7)), "a"), left_off);
        let anew = Position { uidvalidity: 8, last_uid: 0, ..Position::default() };
        assert_eq!(left_off.clone().start(&opened(Some(8)), "a"), anew);
        assert_eq!(left_off.start(&opened(None), "a").last_uid, 0);
        assert_eq!(Position::default().start(&opened(Some(8)), "a"), anew);
    }

    #[test]
    fn without_uidvalidity_every_connection_looks_through_the_whole_folder() {
        let none = opened(None);
        let first = Position::default().start(&none, "a");
        assert_eq!((first.last_uid, first.connection.as_deref()), (0, Some("a")));

        let half = first.advance(10, true);
        assert_eq!(half.clone().start(&none, "a").last_uid, 10, "the same connection goes on");
        let cut_off = half.start(&none, "b");
        assert_eq!(cut_off.last_uid, 10, "what was cut off is brought to its end first");
        let whole = cut_off.advance(20, false);
        assert_eq!(
            whole.clone().start(&none, "b").last_uid,
            0,
            "and then starts over, for it began in another connection"
        );

        let own = whole.start(&none, "b").advance(20, false);
        assert_eq!(own.clone().start(&none, "b").last_uid, 20, "a whole look is good for its own connection");
        assert_eq!(own.clone().start(&none, "c").last_uid, 0);
        assert_eq!(own.start(&opened(Some(5)), "c").last_uid, 0, "and for nothing once UIDs mean something");
    }

    #[test]
    fn a_page_ends_at_its_items_and_its_bytes_and_a_large_mail_is_a_stub() {
        type Told<'sizes> = &'sizes [(u32, Option<u32>)];
        let cases: [(Told<'_>, Vec<Batch>); 6] = [
            (&[(1, Some(10)), (2, Some(10)), (3, Some(10)), (9, Some(10))], vec![Batch::Whole(vec![1, 2, 3], 30)]),
            (&[(1, Some(50)), (2, Some(50)), (3, Some(1))], vec![Batch::Whole(vec![1, 2], 100)]),
            (&[(1, Some(61)), (2, Some(40))], vec![Batch::Stub(1), Batch::Whole(vec![2], 40)]),
            (&[(1, Some(4_000_000_000)), (2, Some(41))], vec![Batch::Stub(1)]),
            (&[(1, None), (2, Some(10))], vec![Batch::Alone(1), Batch::Whole(vec![2], 10)]),
            (&[], vec![]),
        ];
        for (mails, expected) in cases {
            let uids: Vec<u32> = mails.iter().map(|(uid, _)| *uid).collect();
            assert_eq!(batches(&uids, &told(mails), &LIMITS), expected, "{mails:?}");
        }
    }

    #[test]
    fn the_last_mail_that_a_server_always_names_is_not_new() {
        let window = Window::first(42, Some(43), &LIMITS).unwrap();
        assert_eq!(window.set(), "43:*");
        assert_eq!(window.only(vec![42]), Vec::<u32>::new());
        assert_eq!(window.only(vec![42, 43, 50]), [43, 50]);
        assert_eq!(Window::first(u32::MAX, None, &LIMITS), None);
    }

    proptest! {
        /// Whatever UIDNEXT says truly, the windows meet every UID once, in order, and are few.
        #[test]
        fn windows_cover_every_uid(last_uid in 0..u32::MAX - 1, ahead in 1..u32::MAX) {
            let next = last_uid.saturating_add(1).saturating_add(ahead);
            let mut window = Window::first(last_uid, Some(next), &LIMITS);
            let mut expected = last_uid + 1;
            let mut count = 0;
            while let Some(Window { first, last: Some(last) }) = window {
                prop_assert_eq!(first, expected);
                prop_assert!(last >= first && last < next);
                expected = last + 1;
                count += 1;
                window = window.and_then(|window| window.next(Some(next)));
            }
            prop_assert_eq!(expected, next);
            prop_assert!(count < 40);
        }

        /// A page is a beginning of what was found: nothing is passed over, nothing is there twice, and it is never empty.
        #[test]
        fn a_page_passes_over_nothing(sizes in prop::collection::vec(prop::option::of(0..200_u32), 0..20)) {
            let mails: Vec<(u32, Option<u32>)> = (1..).zip(sizes).collect();
            let uids: Vec<u32> = mails.iter().map(|(uid, _)| *uid).collect();
            let taken: Vec<u32> = batches(&uids, &told(&mails), &LIMITS).into_iter().flat_map(|batch| match batch {
                Batch::Whole(members, _) => members,
                Batch::Stub(uid) | Batch::Alone(uid) => vec![uid],
            }).collect();
            prop_assert!(uids.starts_with(&taken));
            prop_assert_eq!(taken.is_empty(), uids.is_empty());
            prop_assert!(taken.len() <= LIMITS.page_items);
        }

        /// A set names each UID once and stays short enough for one command line.
        #[test]
        fn sets_name_each_uid_once(uids in prop::collection::btree_set(1..=u32::MAX, 0..1000)) {
            let uids: Vec<u32> = uids.into_iter().collect();
            let written = sets(&uids);
            prop_assert!(written.iter().all(|set| set.len() < 7000));
            let mut read = Vec::new();
            for part in written.iter().flat_map(|set| set.split(',')) {
                let (first, last) = part.split_once(':').unwrap_or((part, part));
                read.extend(first.parse::<u32>().unwrap()..=last.parse().unwrap());
            }
            prop_assert_eq!(read, uids);
        }
    }
}
