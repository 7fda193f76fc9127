//! What a board holds for a period: a walk of its own down the list, which knows nothing of the cursor.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    document,
    pull::Reader,
    settings::{Order, Paging},
    sweep::Ask,
};
use crate::{
    fault::Fault,
    holdings::{Held, Holdings, Period},
};

/// Pages of one board that are walked through; beyond it the holdings are not whole.
const MAX_PAGES: u32 = 2_000;

/// Rows in succession that lie before the period and end the walk: pinned and late rows stand out of order.
const BEFORE: u32 = 60;

impl Reader {
    /// The items of a period, by their own times; of those that tell none, all that the walk meets.
    ///
    /// # Errors
    /// As for a page of the list.
    pub(super) async fn held(&mut self, period: Period) -> Result<Holdings, Fault> {
        let mut held = Vec::new();
        let mut whole = true;
        for board in self.board.settings.boards.clone() {
            whole &= self.held_by(&board, period, &mut held).await?;
            if held.len() > Holdings::MAX {
                break;
            }
        }
        let mut holdings = Holdings::new(held);
        holdings.whole &= whole;
        Ok(holdings)
    }

    async fn held_by(&self, board: &str, period: Period, held: &mut Vec<Held>) -> Result<bool, Fault> {
        let (mut ask, mut before) = (self.first_page(), 0);
        let mut seen = BTreeSet::new();
        // A day may be all that is known of a time, and a list need not be in its order to the second.
        let slack = SignedDuration::from_hours(24);
        for number in 1..=MAX_PAGES {
            let (_, rows) = self.list(board, &ask).await?;
            let mut news = false;
            for row in &rows {
                let id = document::external_id(board, &row.values);
                news |= seen.insert(id.clone());
                let at = document::made_at(&self.board, &row.values).map(|stamp| stamp.at);
                let early = at.is_some_and(|at| at < period.from.checked_sub(slack).unwrap_or(Timestamp::MIN));
                before = if early { before + 1 } else { 0 };
                if at.is_none_or(|at| period.holds(at)) {
                    let board = if board.is_empty() { String::new() } else { format!("board {board}, ") };
                    held.push(Held { id, place: format!("{board}page {number} of the list"), at });
                }
            }
            let done = self.plan.order == Order::Descending && before >= BEFORE;
            if rows.is_empty() || !news || done || self.plan.paging == Paging::Single {
                return Ok(self.plan.paging != Paging::Single);
            }
            if held.len() > Holdings::MAX {
                return Ok(false);
            }
            ask.page += 1;
            if let Some(last) = rows.iter().rev().find_map(|row| row.key.id.clone()) {
                ask.last = last;
            }
            let short = self.plan.beyond_end == super::BeyondEnd::Short && rows.len() < self.plan.size as usize;
            if short {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn first_page(&self) -> Ask {
        match &self.plan.paging {
            Paging::Page { first } => Ask { page: *first, last: String::new() },
            Paging::LastId { first } => Ask { page: 1, last: first.clone() },
            Paging::Single => Ask { page: 1, last: String::new() },
        }
    }
}
