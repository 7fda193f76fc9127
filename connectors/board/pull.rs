//! Reads a board: one pull is one page of the list of one board, with the items' own pages where they are needed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Url;
use secrecy::SecretString;

use super::{
    answer::{self, Page as Answered, Part},
    document::{self, Document},
    fields::Values,
    ready::Board,
    request::{self, Vars},
    settings::{DetailAnswer, Name, OrderedBy, Request, When},
    sweep::{self, Ask, Plan, Position, Progress, RowKey},
};
use crate::{
    contract::{Check, Cursor, Page, Pull, Toolbox},
    entry::{ExternalId, Form, Item, RawEntry, Remark, Unread, digest_hex},
    fault::{Fault, FaultClass},
    http,
};

/// Items' own pages asked for in one pull; the rest of the list's page is left to the next.
const DETAILS: usize = 20;

/// Items whose row is remembered after they were stored, so that their own pages are not asked for again and again.
const REMEMBERED: usize = 10_000;

/// Rows of one page of the list.
const MAX_ROWS: usize = 5_000;

/// So many missing pages at once, and no other, mean that pages have moved, not that items were withdrawn.
const MISSING_PAGES: usize = 5;

/// So often the source may fail on one item's own page before the row alone is taken.
const STUMBLES: u32 = 5;

/// Reads the boards of one connector.
pub(super) struct Reader {
    pub(super) board: Arc<Board>,
    pub(super) plan: Plan,
    pub(super) tools: Toolbox,
    pub(super) secrets: Vec<(String, SecretString)>,
    /// Rows whose items are stored, by external id, as digests; and the ids in the order in which they came.
    stored: HashMap<ExternalId, String>,
    stored_order: VecDeque<ExternalId>,
    /// The rows of the page that waits to be committed.
    waiting: Vec<(ExternalId, String)>,
    /// How often the source failed on an item's own page, while the list's page has not been got past.
    stumbles: HashMap<ExternalId, u32>,
    /// The board that failed last, and the one that was passed over for that: the others go first.
    failed: Option<String>,
    owed: Option<String>,
}

/// A row of the list with what it tells.
struct Row {
    part: Part,
    values: Values,
    key: RowKey,
}

/// What came of asking for an item's own page.
enum Outcome {
    Page(Part),
    RowOnly(&'static str),
    Unreadable(Fault),
}

/// What one pull has come to so far.
#[derive(Default)]
struct Haul {
    items: Vec<Item>,
    bytes: usize,
    asked: usize,
    readable: usize,
    missing: usize,
    gave_up: Option<Fault>,
    unreadable: Option<Fault>,
}

impl Reader {
    pub(super) fn new(board: Arc<Board>, tools: Toolbox, secrets: Vec<(String, SecretString)>) -> Self {
        Self {
            plan: Plan::from(&board.settings),
            board,
            tools,
            secrets,
            stored: HashMap::new(),
            stored_order: VecDeque::new(),
            waiting: Vec::new(),
            stumbles: HashMap::new(),
            failed: None,
            owed: None,
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

    async fn ask(&self, url: Url, request: &Request, vars: &Vars<'_>) -> Result<http::Answered, Fault> {
        let builder = request::build(&self.tools.http, url, request, &self.board.settings.headers, vars)?;
        self.tools.http.send(builder).await
    }

    async fn list(&self, name: &str, ask: &Ask) -> Result<(Url, Vec<Row>), Fault> {
        let request = &self.board.settings.list.request;
        let vars = Vars {
            plain: vec![
                ("board", name.to_owned()),
                ("page", ask.page.to_string()),
                ("last", ask.last.clone()),
                ("size", self.plan.size.to_string()),
            ],
            secrets: &self.secrets,
        };
        let url = request::address(&self.board.base, request, &vars)
            .ok_or_else(|| Fault::configuration("the list's path leads to another host than the base address"))?;
        let answered = self.ask(url.clone(), request, &vars).await?.success()?;
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
        Ok((url, rows))
    }

    fn key(&self, values: &Values) -> RowKey {
        let id = values.get(Name::Id).map(str::to_owned);
        let key = match self.board.settings.ordered_by {
            OrderedBy::Id => id.as_ref().and_then(|id| id.parse().ok()),
            OrderedBy::Time => document::made_at(&self.board, values).map(|stamp| stamp.at.as_second()),
        };
        RowKey { id, key }
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
        let ask = state.ask(&self.plan, self.tools.clock.now());
        let (url, rows) = self.list(name, &ask).await?;
        if rows.is_empty() && state.at_start() && state.has_held_items() && !self.board.settings.may_become_empty {
            return Err(Fault::permanent("the list is empty, though it held items before")
                .remedy("open the board in a browser; if it is really empty now, set may_become_empty = true"));
        }
        let keys: Vec<RowKey> = rows.iter().map(|row| row.key.clone()).collect();
        let from = state.go_on_at(&keys);
        let revisits = state.revisits(&self.plan);
        let mut haul = Haul::default();
        let mut to = from;
        while let Some(row) = rows.get(to) {
            if haul.is_full(&self.tools) && to > from && sweep::may_stop_before(&keys, to) {
                break;
            }
            self.take(name, &url, row, revisits, &mut haul).await?;
            to += 1;
        }
        haul.whole()?;
        let progress = state.take(&self.plan, &keys, from, to)?;
        Ok((haul.items, progress))
    }

    async fn take(&mut self, board: &str, list: &Url, row: &Row, revisits: bool, haul: &mut Haul) -> Result<(), Fault> {
        let external_id = document::external_id(board, &row.values);
        let mut document = Document::new(board, &row.part);
        let mut remarks = Vec::new();
        let mut trouble = None;
        if row.key.id.is_none() {
            remarks.push(Remark::Mended { what: "the row had no id; the item is named by its content".to_owned() });
        }
        if self.needs_page(&row.values) {
            let digest = row_digest(&row.values);
            if !revisits && self.stored.get(&external_id) == Some(&digest) {
                return Ok(());
            }
            haul.asked += 1;
            match self.page(board, list, row, &external_id, haul).await? {
                Outcome::Page(page) => {
                    haul.readable += 1;
                    document.add_page(page);
                    self.waiting.push((external_id.clone(), digest));
                }
                Outcome::RowOnly(why) => {
                    haul.missing += 1;
                    document.row_only = true;
                    remarks.push(Remark::Bounded { what: why.to_owned() });
                    self.waiting.push((external_id.clone(), digest));
                }
                Outcome::Unreadable(fault) => {
                    trouble = Some(fault.message.clone());
                    haul.unreadable = Some(fault);
                }
            }
        }
        let item = self.item(external_id, &document, remarks, trouble)?;
        haul.bytes += item.size();
        haul.items.push(item);
        Ok(())
    }

    fn item(
        &self,
        external_id: ExternalId,
        document: &Document,
        remarks: Vec<Remark>,
        trouble: Option<String>,
    ) -> Result<Item, Fault> {
        let raw = serde_json::to_vec(document)
            .map_err(|error| Fault::permanent(format!("an item cannot be written down: {error}")))?;
        let (values, mut trouble) = match (document.values(&self.board), trouble) {
            (Ok(values), trouble) => (values, trouble),
            (Err(unreadable), trouble) => (Values::default(), trouble.or(Some(unreadable))),
        };
        let revision = document::revision(&values);
        let source_time = document::made_at(&self.board, &values);
        let limit = self.tools.limits.item_bytes;
        if raw.len() > limit {
            trouble = Some(format!("the item is larger than {limit} bytes; this is its beginning"));
        } else if trouble.is_none() {
            let now = self.tools.clock.now();
            trouble = document::complaint(&self.board, document, values, now).err().map(|unreadable| unreadable.0);
        }
        let mut raw = raw;
        raw.truncate(limit);
        Ok(match trouble {
            Some(reason) => Item::Unread(Unread { external_id, revision, form: Form::Json, raw: raw.into(), reason }),
            None => Item::Entry(RawEntry {
                external_id,
                revision,
                delivery_id: None,
                source_time,
                form: Form::Json,
                raw: raw.into(),
                remarks,
            }),
        })
    }

    fn needs_page(&self, values: &Values) -> bool {
        self.board.settings.detail.as_ref().is_some_and(|detail| match detail.when {
            When::Always => true,
            When::Truncated => document::is_cut(values.get(Name::Body)),
        })
    }

    async fn page(
        &mut self,
        board: &str,
        list: &Url,
        row: &Row,
        external_id: &ExternalId,
        haul: &mut Haul,
    ) -> Result<Outcome, Fault> {
        let fault = match self.try_page(board, list, row).await {
            Ok(outcome) => return Ok(outcome),
            Err(fault) => fault,
        };
        match fault.class {
            FaultClass::Permanent => return Ok(Outcome::Unreadable(fault)),
            FaultClass::Transient => {}
            _ => return Err(fault),
        }
        let stumbles = self.stumbles.entry(external_id.clone()).or_default();
        *stumbles += 1;
        if *stumbles < STUMBLES {
            return Err(fault);
        }
        // One item that its source can never show must not hold up the board.
        haul.gave_up = Some(fault);
        Ok(Outcome::RowOnly("the item's own page could not be had in several attempts; this is what the list showed"))
    }

    async fn try_page(&self, board: &str, list: &Url, row: &Row) -> Result<Outcome, Fault> {
        let Some(detail) = &self.board.settings.detail else {
            return Err(Fault::configuration("the settings have no detail"));
        };
        let vars = Vars {
            plain: vec![("board", board.to_owned()), ("id", row.values.get(Name::Id).unwrap_or_default().to_owned())],
            secrets: &self.secrets,
        };
        let url = if detail.request.path == "{link}" {
            // Links are relative to the page on which they stand.
            let link = row.values.get(Name::Link).and_then(|link| list.join(link).ok());
            link.filter(|url| request::same_origin(&self.board.base, url))
        } else {
            request::address(&self.board.base, &detail.request, &vars)
        };
        let Some(url) = url else {
            return Ok(Outcome::RowOnly("the item's link leads away from the board and was not followed"));
        };
        let answered = self.ask(url, &detail.request, &vars).await?;
        if matches!(answered.status.as_u16(), 404 | 410) {
            return Ok(Outcome::RowOnly("the item's own page is gone: it was withdrawn after the list was made"));
        }
        let answered = answered.success()?;
        match answer::page(&self.board, &answered)? {
            Answered::Gone => Ok(Outcome::RowOnly("the board says that the item was withdrawn")),
            Answered::Here(page) => Ok(Outcome::Page(page)),
        }
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

impl Haul {
    fn is_full(&self, tools: &Toolbox) -> bool {
        self.items.len() >= tools.limits.page_items || self.bytes >= tools.limits.page_bytes || self.asked >= DETAILS
    }

    /// Whether the items' own pages failed one by one or altogether.
    fn whole(&mut self) -> Result<(), Fault> {
        if self.asked < 2 || self.readable > 0 {
            return Ok(());
        }
        if self.gave_up.is_none() && self.missing == self.asked && self.asked >= MISSING_PAGES {
            return Err(answer::layout_changed(format!("none of {} items has a page of its own", self.asked)));
        }
        match self.gave_up.take().or_else(|| self.unreadable.take()) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}

/// A row in short: what the settings look at, without what is counted.
fn row_digest(values: &Values) -> String {
    let parts: Vec<&[u8]> = values.found.values().map(String::as_bytes).collect();
    digest_hex(&parts)
}

#[async_trait]
impl Pull for Reader {
    async fn check(&mut self) -> Check {
        let mut check = Check::default();
        let name = self.turn(&Position::default());
        let ask = sweep::Board::default().ask(&self.plan, Timestamp::UNIX_EPOCH);
        let (url, rows) = match self.list(&name, &ask).await {
            Ok(read) => read,
            Err(fault) => {
                check.step("read the list", Err(fault));
                return check;
            }
        };
        check.step("read the list", Ok(format!("{} rows on its first page", rows.len())));
        let Some(row) = rows.first() else { return check };
        if let Some(detail) = &self.board.settings.detail {
            let kind = match detail.answer {
                DetailAnswer::Json(_) => "JSON",
                DetailAnswer::Html(_) => "HTML",
            };
            let outcome = match self.try_page(&name, &url, row).await {
                Ok(Outcome::Page(_)) => Ok(format!("read, as {kind}")),
                Ok(Outcome::RowOnly(why)) => Ok(why.to_owned()),
                Ok(Outcome::Unreadable(fault)) | Err(fault) => Err(fault),
            };
            if !check.step("read an item's own page", outcome) {
                return check;
            }
        }
        let mut haul = Haul::default();
        let outcome = self.take(&name, &url, row, true, &mut haul).await.and_then(|()| match haul.items.first() {
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
}
