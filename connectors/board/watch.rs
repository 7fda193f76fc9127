//! Items that are still open: looked at again until they are settled, because an edit, an answer or a withdrawal of an old
//! item is below every high-water mark. An item that has vanished is not taken as withdrawn at once: lists shift, and a
//! list that shows less than it should would withdraw everything. Its own page must say so, or it must be missing twice.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Open items that are watched on one board; beyond it the oldest are watched no more.
pub(super) const MAX_OPEN: usize = 1_000;

/// An item must be missing in so many looks in succession, where no page of its own tells.
const MISSING_LOOKS: u8 = 2;

/// Open items of one board, and those that a look did not find. Part of the cursor: ids are not personal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Watch {
    /// By id: what orders the list, since when it is watched (seconds since 1970), looks in succession that missed it.
    open: BTreeMap<String, (i64, i64, u8)>,
    /// Missed by the last look, still to be judged.
    vanished: BTreeSet<String>,
    /// Items that were given up because there were too many.
    given_up: u64,
}

impl Watch {
    /// Notes an item: whether it is open, as far as it is known.
    pub(super) fn note(&mut self, id: &str, key: i64, open: Option<bool>, now: i64) {
        match open {
            Some(false) => {
                self.open.remove(id);
            }
            Some(true) => {
                let entry = self.open.entry(id.to_owned()).or_insert((key, now, 0));
                *entry = (key, entry.1, 0);
            }
            None => {
                if let Some(entry) = self.open.get_mut(id) {
                    entry.2 = 0;
                }
            }
        }
        self.vanished.remove(id);
        while self.open.len() > MAX_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, (key, ..))| *key).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { break };
            self.open.remove(&oldest);
            self.given_up += 1;
        }
    }

    /// Whether an item is watched.
    pub(super) fn has(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    /// Gives up what has been watched since before a moment.
    pub(super) fn forget(&mut self, before: i64) {
        self.open.retain(|_, (_, since, _)| *since >= before);
    }

    /// Whether an open item lies below the lowest place that a look has come to.
    pub(super) fn reaches_below(&self, low: Option<i64>) -> bool {
        low.is_some_and(|low| self.open.values().any(|(key, ..)| *key < low))
    }

    /// Marks the open items that a look down to `low` should have seen (all of them where it is `None`) and did not.
    pub(super) fn missed(&mut self, seen: &BTreeSet<String>, low: Option<i64>) {
        for (id, (key, _, missed)) in &mut self.open {
            if low.is_none_or(|low| *key > low) && !seen.contains(id) {
                *missed = missed.saturating_add(1);
                self.vanished.insert(id.clone());
            }
        }
    }

    /// Items that are to be judged, at most so many.
    pub(super) fn vanished(&self, most: usize) -> Vec<String> {
        self.vanished.iter().take(most).cloned().collect()
    }

    /// Ends the watch over an item: it was withdrawn.
    pub(super) fn withdrawn(&mut self, id: &str) {
        self.open.remove(id);
        self.vanished.remove(id);
    }

    /// An item that is still there after all.
    pub(super) fn found(&mut self, id: &str) {
        self.vanished.remove(id);
        if let Some(entry) = self.open.get_mut(id) {
            entry.2 = 0;
        }
    }

    /// An item that no page of its own tells of. Whether it has now been missed often enough.
    pub(super) fn doubtful(&mut self, id: &str) -> bool {
        self.vanished.remove(id);
        let often = self.open.get(id).is_some_and(|(_, _, missed)| *missed >= MISSING_LOOKS);
        if often {
            self.open.remove(id);
        }
        often
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(ids: impl IntoIterator<Item = i64>) -> Watch {
        let mut watch = Watch::default();
        ids.into_iter().for_each(|id| watch.note(&id.to_string(), id, Some(true), 100));
        watch
    }

    fn seen(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn b13_what_a_look_should_have_seen_and_did_not_is_doubted() {
        let mut watch = watch([1, 2, 3, 4]);
        watch.missed(&seen(&["4"]), Some(2));
        assert_eq!(watch.vanished(10), ["3"], "what lies at the look's end or below is not judged");
        assert!(!watch.doubtful("3") && watch.has("3"), "once may be a list that shifted");
        watch.missed(&seen(&["4"]), Some(2));
        assert!(watch.doubtful("3") && !watch.has("3"), "twice in succession is a withdrawal");

        watch.missed(&seen(&["4"]), None);
        watch.note("1", 1, None, 200);
        assert_eq!(watch.vanished(10), ["2"], "what turns up after all is not doubted");
        watch.note("2", 2, Some(false), 200);
        assert_eq!((watch.vanished(10).len(), watch.has("2")), (0, false), "a settled item is watched no more");
    }

    #[test]
    fn what_is_watched_is_bounded_in_number_and_time() {
        let mut watch = watch(0..i64::try_from(MAX_OPEN).unwrap() + 5);
        assert_eq!((watch.open.len(), watch.given_up), (MAX_OPEN, 5));
        assert!(!watch.has("4") && watch.has("5"), "the oldest are given up");
        watch.note("5000", 5000, Some(true), 900);
        watch.note("5", 5, Some(true), 900);
        watch.forget(500);
        assert_eq!(watch.open.len(), 1, "an item stays as old as it was when it was first seen open");
    }
}
