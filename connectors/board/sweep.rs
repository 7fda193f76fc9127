//! Where a board was left off, and what to ask for next: the part that must never skip an item.
//!
//! A *sweep* goes from the newest item down to what is known. Every page of it is committed with its place in the sweep,
//! but the *mark*, which says "everything up to here is stored", moves only when the sweep has arrived at the old mark:
//! to the newest items that the sweep saw. So a crash resumes the sweep, an outage of any length is walked through whole,
//! and what appears while a sweep runs belongs to the next one. The mark is not one value but the newest [`KEPT`] rows
//! seen: a row is known when it is one of them, or lies below them all. So rows that share one time are told apart, a row
//! published late among known ones is new, and one row with an absurdly high id hides nothing. A sweep ends only after
//! `overlap` known rows in succession, because pinned and late rows stand out of order.
//!
//! An ascending list is read from a little before its known end to its end. Its numbered pages need care of another
//! kind: a page that was the last one when it was read may have been filled up since.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    settings::{BeyondEnd, Order, Paging, Revisit, Settings},
    watch::Watch,
};
use crate::{entry::digest_hex, fault::Fault};

/// Rows kept in a mark. Where more than these share one time, all of them are read again until newer ones come.
pub(super) const KEPT: usize = 300;

/// The same page so many times in succession means that the source does not turn pages.
const SAME_PAGES: u32 = 3;

/// How a board is walked through: the part of the settings that matters here.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) order: Order,
    pub(super) paging: Paging,
    pub(super) size: u32,
    pub(super) overlap: u32,
    pub(super) max_pages: u32,
    pub(super) second_pass: bool,
    pub(super) beyond_end: BeyondEnd,
    pub(super) revisit: Option<Revisit>,
}

impl From<&Settings> for Plan {
    fn from(settings: &Settings) -> Self {
        Self {
            order: settings.order,
            paging: settings.paging.clone(),
            size: settings.page_size,
            overlap: settings.overlap.max(1),
            max_pages: settings.max_pages.max(1),
            second_pass: settings.second_pass,
            beyond_end: settings.beyond_end,
            revisit: settings.revisit.clone(),
        }
    }
}

impl Plan {
    fn first_page(&self) -> u32 {
        match self.paging {
            Paging::Page { first } => first,
            Paging::LastId { .. } | Paging::Single => 1,
        }
    }

    fn single(&self) -> bool {
        self.paging == Paging::Single
    }

    fn numbered(&self) -> bool {
        matches!(self.paging, Paging::Page { .. })
    }
}

/// What the walk needs to know of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowKey {
    /// The source's id; `None` where the row has none.
    pub(super) id: Option<String>,
    /// By what the list is ordered; `None` where the row does not tell.
    pub(super) key: Option<i64>,
    /// Whether it is still open; `None` where that is not known or does not matter.
    pub(super) open: Option<bool>,
}

/// The cursor: where every board was left off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Position {
    /// The board whose turn it is; `None` between two runs.
    pub(super) turn: Option<String>,
    /// The boards, by their names.
    pub(super) boards: BTreeMap<String, Board>,
}

/// Where one board was left off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Board {
    /// Everything up to here is stored; empty until the first sweep has ended.
    mark: Mark,
    /// The sweep under way.
    sweep: Option<Sweep>,
    /// When items already taken were last looked at again.
    revisited_at: Option<Timestamp>,
    /// Ascending lists: the last ids read, oldest first.
    tail: VecDeque<String>,
    /// Ascending numbered pages: every page before this one was full when it was read.
    settled: Option<u32>,
    /// Ascending numbered pages: the last page that held rows.
    highest: Option<u32>,
    /// Items that are still open.
    pub(super) watch: Watch,
    /// Looks at a list without pages that knew nothing of the look before: items may have been missed in between.
    pub(super) gaps: u32,
}

/// The newest rows seen, at most [`KEPT`] of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Mark(BTreeSet<(i64, String)>);

impl Mark {
    fn knows(&self, row: &RowKey) -> bool {
        let Some(key) = row.key else { return false };
        if self.0.len() >= KEPT && self.0.first().is_some_and(|(lowest, _)| key < *lowest) {
            return true;
        }
        row.id.as_ref().is_some_and(|id| self.0.contains(&(key, id.clone())))
    }

    fn raise(&mut self, seen: impl IntoIterator<Item = (i64, String)>) {
        self.0.extend(seen);
        while self.0.len() > KEPT {
            self.0.pop_first();
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sweep {
    /// The newest rows seen so far: where the mark will stand when the sweep has ended.
    top: Mark,
    /// The page to ask for.
    page: u32,
    /// The id to ask after.
    last: String,
    /// The row after which to go on, where the page was taken in parts.
    after: Option<String>,
    /// Known rows in succession, up to now.
    run: u32,
    /// Known rows in succession that end the sweep.
    need: u32,
    /// Pages read in this pass, and in this run.
    pages: u32,
    run_pages: u32,
    /// 1, or 2 for the second walk over numbered pages.
    pass: u8,
    /// Ascending lists: the page with which the sweep began, and whether it is still going back to find known rows.
    start: u32,
    back: bool,
    /// Ascending lists: the last page that was known to hold rows when the pass began. The pages before it were full
    /// then; a page that was the last one may have been read half full.
    exists: u32,
    /// Digest of the ids of the page before, and how often it has come again.
    shape: String,
    same: u32,
    /// Whether items already taken are looked at again, when that began, and the open ones among them that were seen.
    #[serde(default)]
    looks: bool,
    #[serde(default)]
    began: i64,
    #[serde(default)]
    seen: BTreeSet<String>,
    /// Whether any row was known.
    #[serde(default)]
    met: bool,
}

/// What to ask the source for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) page: u32,
    pub(super) last: String,
}

/// What comes after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The board holds more.
    More,
    /// The run's pages are used up; the sweep stays pending.
    Paused,
    /// Everything up to the top of the sweep has been read.
    Ended,
}

impl Board {
    /// Whether the board is known to have held items.
    pub(super) fn has_held_items(&self) -> bool {
        !self.mark.0.is_empty() || self.sweep.as_ref().is_some_and(|sweep| !sweep.top.0.is_empty())
    }

    /// Whether the sweep under way looks again at items already taken.
    pub(super) fn revisits(&self) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| sweep.looks)
    }

    /// Whether the sweep under way looks again at an item whatever its state, because it is among the newest.
    pub(super) fn is_recent(&self) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| sweep.looks && sweep.run < sweep.need)
    }

    /// Whether the next page to be read is the first of a sweep.
    pub(super) fn at_start(&self) -> bool {
        self.sweep.as_ref().is_none_or(|sweep| sweep.pages == 0)
    }

    /// Whether the row lies where everything is stored.
    pub(super) fn knows(&self, row: &RowKey) -> bool {
        self.mark.knows(row)
    }

    /// What to ask for now; begins a sweep where none is under way.
    pub(super) fn ask(&mut self, plan: &Plan, now: Timestamp) -> Ask {
        if let Some(sweep) = &self.sweep {
            return Ask { page: sweep.page, last: sweep.last.clone() };
        }
        let (mut need, mut looks) = (plan.overlap, false);
        if let Some(revisit) = &plan.revisit
            && !self.mark.0.is_empty()
            && self.revisit_is_due(revisit, now)
        {
            need = need.max(revisit.items);
            looks = true;
            self.revisited_at = Some(now);
            self.watch.forget(now.as_second() - i64::from(revisit.open_days) * 86_400);
        }
        let (page, last) = self.start(plan);
        self.sweep = Some(Sweep {
            top: Mark::default(),
            page,
            last: last.clone(),
            after: None,
            run: 0,
            need,
            pages: 0,
            run_pages: 0,
            pass: 1,
            start: page,
            back: plan.order == Order::Ascending && plan.numbered(),
            exists: self.highest.unwrap_or(page),
            shape: String::new(),
            same: 0,
            looks,
            began: now.as_second(),
            seen: BTreeSet::new(),
            met: false,
        });
        Ask { page, last }
    }

    fn revisit_is_due(&self, revisit: &Revisit, now: Timestamp) -> bool {
        let every = SignedDuration::from_mins(i64::from(revisit.every_minutes));
        self.revisited_at.is_none_or(|then| then > now || now.duration_since(then) >= every)
    }

    fn start(&self, plan: &Plan) -> (u32, String) {
        let first = match &plan.paging {
            Paging::LastId { first } => first.clone(),
            Paging::Page { .. } | Paging::Single => String::new(),
        };
        if plan.order == Order::Descending {
            return (plan.first_page(), first);
        }
        let back = plan.overlap.div_ceil(plan.size.max(1));
        let page = self.settled.map_or(plan.first_page(), |page| page.saturating_sub(back).max(plan.first_page()));
        (page, self.tail.front().cloned().unwrap_or(first))
    }

    /// Where among the page's rows to go on, where a part of the page was taken before.
    pub(super) fn go_on_at(&self, rows: &[RowKey]) -> usize {
        let Some(after) = self.sweep.as_ref().and_then(|sweep| sweep.after.as_deref()) else { return 0 };
        rows.iter().position(|row| row.id.as_deref() == Some(after)).map_or(0, |index| index + 1)
    }

    /// Notes that the rows `from..to` of the page were taken, and decides what comes next. Where `to` is not the end of
    /// the page, the row before it must have an id.
    ///
    /// # Errors
    /// A permanent fault where the source gives the same page again and again.
    pub(super) fn take(&mut self, plan: &Plan, rows: &[RowKey], from: usize, to: usize) -> Result<Progress, Fault> {
        let Some(mut sweep) = self.sweep.take() else { return Ok(Progress::Ended) };
        for row in rows.get(from..to).unwrap_or_default() {
            if self.knows(row) {
                sweep.run = sweep.run.saturating_add(1);
                sweep.met = true;
            } else if row.key.is_some() {
                sweep.run = 0;
            }
            if let (Some(key), Some(id)) = (row.key, &row.id) {
                sweep.top.raise([(key, id.clone())]);
                self.watch.note(id, key, row.open, sweep.began);
                if self.watch.has(id) {
                    sweep.seen.insert(id.clone());
                }
            }
            if let (Order::Ascending, Some(id)) = (plan.order, &row.id) {
                self.tail.retain(|known| known != id);
                self.tail.push_back(id.clone());
            }
        }
        while self.tail.len() > plan.overlap as usize {
            self.tail.pop_front();
        }
        if to < rows.len() {
            sweep.after = rows.get(to.saturating_sub(1)).and_then(|row| row.id.clone());
            self.sweep = Some(sweep);
            return Ok(Progress::More);
        }
        sweep.after = None;
        sweep.pages += 1;
        sweep.run_pages += 1;
        let at_end = at_end(plan, &mut sweep, rows)?;
        self.turn_page(plan, sweep, rows, at_end)
    }

    fn turn_page(&mut self, plan: &Plan, mut sweep: Sweep, rows: &[RowKey], at_end: bool) -> Result<Progress, Fault> {
        let known_first = rows.iter().find(|row| row.key.is_some()).is_some_and(|row| self.knows(row));
        let going_back = sweep.back && !known_first && sweep.page > plan.first_page();
        let low = frontier(rows);
        let ended = match plan.order {
            Order::Descending => at_end || sweep.run >= sweep.need && !(sweep.looks && self.watch.reaches_below(low)),
            Order::Ascending => at_end && !going_back,
        };
        if plan.order == Order::Ascending && plan.numbered() && !rows.is_empty() {
            self.highest = Some(sweep.page);
        }
        if !ended {
            if going_back {
                // Withdrawn items have moved new ones up, onto pages before the one where we left off.
                sweep.page -= 1;
                sweep.start = sweep.page;
            } else {
                sweep.back = false;
                sweep.page = sweep.page.checked_add(1).ok_or_else(does_not_turn)?;
            }
            if let Some(last) = rows.iter().rev().find_map(|row| row.id.clone()) {
                sweep.last = last;
            }
            return Ok(self.pending(plan, sweep));
        }
        self.settled = self.highest.map(|highest| highest.min(sweep.exists));
        if plan.second_pass && plan.numbered() && sweep.pass == 1 && sweep.pages > 1 {
            sweep.pass = 2;
            sweep.exists = self.highest.unwrap_or(sweep.start);
            sweep.page = sweep.start;
            (sweep.run, sweep.pages, sweep.same) = (0, 0, 0);
            sweep.shape.clear();
            return Ok(self.pending(plan, sweep));
        }
        if plan.single() && !sweep.met && !self.mark.0.is_empty() && !rows.is_empty() {
            self.gaps = self.gaps.saturating_add(1);
        }
        if sweep.looks {
            // What a list without pages no longer shows has scrolled out of it, which says nothing.
            let down_to = if at_end && !plan.single() { None } else { low.or(Some(i64::MAX)) };
            self.watch.missed(&sweep.seen, down_to);
        }
        self.mark.raise(sweep.top.0);
        Ok(Progress::Ended)
    }

    fn pending(&mut self, plan: &Plan, mut sweep: Sweep) -> Progress {
        let paused = sweep.run_pages >= plan.max_pages;
        if paused {
            sweep.run_pages = 0;
        }
        self.sweep = Some(sweep);
        if paused { Progress::Paused } else { Progress::More }
    }
}

/// Whether a page may be taken in parts, the first one ending before the row: the row before it must be found again.
pub(super) fn may_stop_before(rows: &[RowKey], to: usize) -> bool {
    let Some(id) = rows.get(to.wrapping_sub(1)).and_then(|row| row.id.as_ref()) else { return false };
    rows.iter().filter(|row| row.id.as_ref() == Some(id)).count() == 1
}

/// How far down a page has come: the middle of its keys, because pinned and late rows stand out of order.
fn frontier(rows: &[RowKey]) -> Option<i64> {
    let mut keys: Vec<i64> = rows.iter().filter_map(|row| row.key).collect();
    keys.sort_unstable();
    keys.get(keys.len() / 2).copied()
}

/// Whether the page lies at or beyond the end of the list.
fn at_end(plan: &Plan, sweep: &mut Sweep, rows: &[RowKey]) -> Result<bool, Fault> {
    if rows.is_empty() || plan.single() {
        return Ok(true);
    }
    let ids: Vec<&[u8]> = rows.iter().map(|row| row.id.as_deref().unwrap_or_default().as_bytes()).collect();
    let shape = digest_hex(&ids);
    sweep.same = if sweep.shape == shape { sweep.same + 1 } else { 0 };
    sweep.shape = shape;
    match plan.beyond_end {
        BeyondEnd::Short if rows.len() < plan.size as usize => Ok(true),
        // Once may be as many arrivals as a page holds; twice is the end.
        BeyondEnd::Repeats => Ok(sweep.same >= 2),
        _ if sweep.same >= SAME_PAGES => Err(does_not_turn()),
        _ => Ok(false),
    }
}

fn does_not_turn() -> Fault {
    Fault::permanent("the board gives the same page again and again: it does not turn pages").remedy(
        "check the placeholders {page} or {last} in the list's request, or set beyond_end to \"repeats\" if that is \
         how its list ends",
    )
}
