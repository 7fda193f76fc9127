//! Reads a board: one pull is one page of the list of one board, with the items' own pages where they are needed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;

use super::{
    answer::{self, Part},
    ask::Asker,
    document::{self, Document},
    field::Name,
    fields::Values,
    item::{Haul, Outcome},
    ready::Board,
    settings::{DetailAnswer, OrderedBy},
    sweep::{self, Ask, Plan, Position, Progress, RowKey},
};
use crate::{
    contract::{Check, Cursor, Page, Pull, Toolbox},
    entry::{ExternalId, Item},
    fault::{Fault, FaultClass},
    holdings::{Holdings, Period},
};

/// Items' own pages asked for in one pull; the rest of the list's page is left to the next.
pub(super) const DETAILS: usize = 20;

/// Items whose row is remembered after they were stored, so that their own pages are not asked for again and again.
const REMEMBERED: usize = 10_000;

/// Rows of one page of the list.
const MAX_ROWS: usize = 5_000;

/// So many missing pages at once, and no other, mean that pages have moved, not that items were withdrawn.
pub(super) const MISSING_PAGES: usize = 5;

/// So often the source may fail on one item's own page before the row alone is taken.
pub(super) const STUMBLES: u32 = 5;

/// Reads the boards of one connector.
pub(super) struct Reader {
    pub(super) board: Arc<Board>,
    pub(super) plan: Plan,
    pub(super) tools: Toolbox,
    pub(super) asker: Asker,
    /// Rows whose items are stored, by external id, as digests; and the ids in the order in which they came.
    pub(super) stored: HashMap<ExternalId, String>,
    stored_order: VecDeque<ExternalId>,
    /// The rows of the page that waits to be committed.
    pub(super) waiting: Vec<(ExternalId, String)>,
    /// How often the source failed on an item's own page, while the list's page has not been got past.
    pub(super) stumbles: HashMap<ExternalId, u32>,
    /// The board that failed last, and the one that was passed over for that: the others go first.
    failed: Option<String>,
    owed: Option<String>,
    /// What must be told although the page before it was stored.
    untold: Option<Fault>,
}

/// A row of the list with what it tells.
pub(super) struct Row {
    pub(super) part: Part,
    pub(super) values: Values,
    pub(super) key: RowKey,
}

impl Reader {
    pub(super) fn new(asker: Asker) -> Self {
        Self {
            plan: Plan::from(&asker.board.settings),
            board: asker.board.clone(),
            tools: asker.tools.clone(),
            asker,
            stored: HashMap::new(),
            stored_order: VecDeque::new(),
            waiting: Vec::new(),
            stumbles: HashMap::new(),
            failed: None,
            owed: None,
            untold: None,
        }
    }

    /// The board whose turn it is; one that has just failed lets the others go first.
    fn turn(&mut self, position: &Position) -> String {
        let boards = &self.board.settings.boards;
        let index = position.turn.as_ref().and_then(|turn| boards.iter().position(|board| board == turn)).unwrap_or(0);
        let turn = boards.get(index).cloned().unwrap_or_default();
        if self.failed.as_ref() != Some(&turn) {
            return turn;
        }
        self.owed = self.failed.take();
        boards.get((index + 1) % boards.len()).cloned().unwrap_or_default()
    }

    /// The board after this one; after the last one, the board that still waits for its turn in this run.
    fn next_turn(&mut self, name: &str) -> Option<String> {
        if self.owed.as_deref() == Some(name) {
            self.owed = None;
        }
        self.after(name).or_else(|| self.owed.take())
    }

    fn after(&self, name: &str) -> Option<String> {
        let boards = &self.board.settings.boards;
        let index = boards.iter().position(|board| board == name)?;
        boards.get(index + 1).cloned()
    }

    pub(super) async fn list(&self, name: &str, ask: &Ask) -> Result<(Url, Vec<Row>), Fault> {
        let mut vars = self.asker.vars(name);
        vars.put("page", ask.page.to_string());
        vars.put("last", ask.last.clone());
        vars.put("size", self.plan.size.to_string());
        let (url, answered) = self.asker.ask(&self.board.settings.list.request, vars).await?;
        let answered = answered.success()?;
        let parts = answer::rows(&self.board, &answered)?;
        if parts.len() > MAX_ROWS {
            return Err(Fault::configuration(format!(
                "a page of the list has {} rows, more than {MAX_ROWS}",
                parts.len()
            ))
            .remedy("ask for smaller pages"));
        }
        let mut rows = Vec::with_capacity(parts.len());
        for part in parts {
            let values = Document::new(name, &part).values(&self.board).map_err(answer::layout_changed)?;
            let key = self.key(&values);
            rows.push(Row { part, values, key });
        }
        self.check_layout(&rows)?;
        self.check_request(name, &rows)?;
        Ok((url, rows))
    }

    /// A board that ignores what it was asked for gives what belongs elsewhere.
    fn check_request(&self, name: &str, rows: &[Row]) -> Result<(), Fault> {
        for (pointer, template) in &self.board.settings.list.verify {
            let wanted = self.asker.vars(name).fill(template, str::to_owned);
            let said = rows.iter().filter_map(|row| match &row.part {
                Part::Json(row) => match row.pointer(pointer)? {
                    Value::String(text) => Some(*text == wanted),
                    Value::Null => None,
                    Value::Number(number) => Some(number.as_i64().is_some_and(|number| wanted.parse() == Ok(number))),
                    _ => Some(false),
                },
                Part::Html(_) => None,
            });
            let (kept, ignored): (Vec<bool>, Vec<bool>) = said.partition(|kept| *kept);
            if ignored.len() > kept.len() {
                return Err(Fault::permanent(format!(
                    "the board ignores what it is asked for: {} of {} rows say something else at {pointer}",
                    ignored.len(),
                    rows.len()
                ))
                .remedy("check the names of the request's fields: some boards ignore one that they do not know"));
            }
        }
        Ok(())
    }

    fn key(&self, values: &Values) -> RowKey {
        let id = values.get(Name::Id).map(str::to_owned);
        let key = match self.board.settings.ordered_by {
            OrderedBy::Id => id.as_ref().and_then(|id| id.parse().ok()),
            OrderedBy::Time => document::made_at(&self.board, values).map(|stamp| stamp.at.as_second()),
        };
        RowKey { id, key, open: self.open(values) }
    }

    /// A field that every row lacks is not an item's defect but a changed layout.
    fn check_layout(&self, rows: &[Row]) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let settings = &self.board.settings;
        let mut needed = vec![Name::Id];
        if rows.len() > 1 {
            let always = [Name::Subject, Name::MadeAt, Name::Link, Name::Body];
            // A body that the list never has comes from the detail.
            let from_list = |name: &Name| *name != Name::Body || settings.detail.is_none();
            needed.extend(always.into_iter().filter(|name| settings.list.fields.contains_key(name) && from_list(name)));
        }
        for name in needed {
            if rows.iter().all(|row| row.values.get(name).is_none()) {
                return Err(answer::layout_changed(format!(
                    "no row of the list has the field {}",
                    super::ready::word(name)
                )));
            }
        }
        if rows.iter().all(|row| row.key.key.is_none()) {
            return Err(match settings.ordered_by {
                OrderedBy::Id => Fault::configuration("no id of the list is a whole number, so ids do not order it")
                    .remedy("set ordered_by to \"time\""),
                OrderedBy::Time => Fault::configuration("no time of the list is in a form that the settings name")
                    .remedy("add the form to times"),
            });
        }
        Ok(())
    }

    async fn read(&mut self, name: &str, position: &mut Position) -> Result<(Vec<Item>, Progress), Fault> {
        let state = position.boards.entry(name.to_owned()).or_default();
        if let Some(items) = self.judge_vanished(name, state).await? {
            return Ok((items, Progress::More));
        }
        let ask = state.ask(&self.plan, self.tools.clock.now());
        let (url, mut rows) = self.list(name, &ask).await?;
        if rows.is_empty() && state.at_start() && state.has_held_items() && !self.board.settings.may_become_empty {
            return Err(Fault::permanent("the list is empty, though it held items before")
                .remedy("open the board in a browser; if it is really empty now, set may_become_empty = true"));
        }
        let mut keys: Vec<RowKey> = rows.iter().map(|row| row.key.clone()).collect();
        let from = state.go_on_at(&keys);
        let mut haul = Haul::default();
        let mut to = from;
        for row in rows.iter_mut().skip(from) {
            if haul.is_full(&self.tools) && to > from && sweep::may_stop_before(&keys, to) {
                break;
            }
            self.take(name, &url, row, state, &mut haul).await?;
            if let Some(key) = keys.get_mut(to) {
                key.open = row.key.open;
            }
            to += 1;
        }
        haul.whole()?;
        let gaps = state.gaps;
        let progress = state.take(&self.plan, &keys, from, to)?;
        if state.gaps > gaps {
            self.untold = Some(
                Fault::transient(
                    "the board shows its newest items only, and none of them was known: some may have been missed",
                )
                .remedy("ask more often (every_seconds), and compare with what the board holds"),
            );
        }
        Ok((haul.items, progress))
    }

    fn remember(&mut self) {
        for (id, digest) in std::mem::take(&mut self.waiting) {
            if self.stored.insert(id.clone(), digest).is_none() {
                self.stored_order.push_back(id);
            }
        }
        while self.stored_order.len() > REMEMBERED {
            if let Some(oldest) = self.stored_order.pop_front() {
                self.stored.remove(&oldest);
            }
        }
        self.stumbles.clear();
    }
}

#[async_trait]
impl Pull for Reader {
    async fn check(&mut self) -> Check {
        let mut check = Check::default();
        let name = self.turn(&Position::default());
        let ask = sweep::Board::default().ask(&self.plan, Timestamp::UNIX_EPOCH);
        let (url, mut rows) = match self.list(&name, &ask).await {
            Ok(read) => read,
            Err(fault) => {
                check.step("read the list", Err(fault));
                return check;
            }
        };
        check.step("read the list", Ok(format!("{} rows on its first page", rows.len())));
        let Some(row) = rows.first_mut() else { return check };
        if let Some(detail) = &self.board.settings.detail {
            let kind = match detail.answer {
                DetailAnswer::Json(_) => "JSON",
                DetailAnswer::Html(_) => "HTML",
            };
            let outcome = match self.try_page(&name, &url, row).await {
                Ok(Outcome::Page(_)) => Ok(format!("read, as {kind}")),
                Ok(Outcome::RowOnly(why) | Outcome::Gone(why)) => Ok(why.to_owned()),
                Ok(Outcome::Unreadable(fault)) | Err(fault) => Err(fault),
            };
            if !check.step("read an item's own page", outcome) {
                return check;
            }
        }
        let mut haul = Haul::default();
        let nothing_known = sweep::Board::default();
        let outcome =
            self.take(&name, &url, row, &nothing_known, &mut haul).await.and_then(|()| match haul.items.first() {
                Some(Item::Unread(unread)) => Err(Fault::permanent(format!("the first item: {}", unread.reason))
                    .remedy("check the fields in the connector's settings")),
                _ => Ok("the first item of the list was read whole".to_owned()),
            });
        check.step("read one item", outcome);
        self.waiting.clear();
        self.stumbles.clear();
        check
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        let mut position: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
        self.waiting.clear();
        if let Some(fault) = self.untold.take() {
            return Err(fault);
        }
        let name = self.turn(&position);
        let (items, progress) = match self.read(&name, &mut position).await {
            Ok(read) => read,
            Err(fault) => {
                if fault.class != FaultClass::RateLimited {
                    self.failed = Some(name);
                }
                return Err(fault);
            }
        };
        if progress == Progress::Paused {
            tracing::info!(
                board.max_pages = self.plan.max_pages,
                "the sweep of a board needs more pages than one run may read; it goes on in the next run"
            );
        }
        position.turn = match progress {
            Progress::More => Some(name),
            Progress::Paused | Progress::Ended => self.next_turn(&name),
        };
        Ok(Page { items, more: position.turn.is_some(), cursor: Cursor::encode(&position)? })
    }

    async fn confirm(&mut self, _page: &Page) -> Result<(), Fault> {
        self.remember();
        Ok(())
    }

    async fn holdings(&mut self, period: Period) -> Result<Option<Holdings>, Fault> {
        self.held(period).await.map(Some)
    }
}
