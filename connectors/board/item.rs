//! Takes one row of the list: with the item's own page where it is needed, as an entry, a withdrawal, or unread.

use std::time::Duration;

use reqwest::Url;
use tokio::time::Instant;

use super::{
    answer::{self, Page as Answered, Part},
    document::{self, Document},
    field::Name,
    fields::Values,
    pull::{DETAILS, MISSING_PAGES, Reader, Row, STUMBLES},
    request,
    settings::When,
    sweep,
};
use crate::{
    contract::Toolbox,
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision, Unread, digest_hex},
    fault::{Fault, FaultClass},
};

/// Time after which a pull asks for no further page of an item: some boards take half a minute for each.
const PULL_TIME: Duration = Duration::from_secs(40);

/// What came of asking for an item's own page.
pub(super) enum Outcome {
    Page(Part),
    Gone(&'static str),
    RowOnly(&'static str),
    Unreadable(Fault),
}

/// What one pull has come to so far.
pub(super) struct Haul {
    pub(super) items: Vec<Item>,
    pub(super) bytes: usize,
    pub(super) asked: usize,
    pub(super) readable: usize,
    pub(super) missing: usize,
    pub(super) gave_up: Option<Fault>,
    pub(super) unreadable: Option<Fault>,
    began: Instant,
}

impl Default for Haul {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
            asked: 0,
            readable: 0,
            missing: 0,
            gave_up: None,
            unreadable: None,
            began: Instant::now(),
        }
    }
}

impl Reader {
    /// Whether an item is still open, where the settings say which states are not and it tells its state.
    pub(super) fn open(&self, values: &Values) -> Option<bool> {
        let closed = &self.board.settings.revisit.as_ref()?.closed;
        let state = values.get(Name::State)?;
        (!closed.is_empty()).then(|| !closed.iter().any(|one| one == state))
    }

    /// Whether an item whose state is told nowhere counts as open.
    pub(super) fn open_unless_told(&self) -> Option<bool> {
        self.board.settings.revisit.as_ref().filter(|revisit| !revisit.closed.is_empty()).map(|_| true)
    }

    pub(super) async fn take(
        &mut self,
        board: &str,
        list: &Url,
        row: &mut Row,
        state: &sweep::Board,
        haul: &mut Haul,
    ) -> Result<(), Fault> {
        let external_id = document::external_id(board, &row.values);
        let mut document = Document::new(board, &row.part);
        let mut remarks = Vec::new();
        let mut trouble = None;
        let known = state.knows(&row.key);
        let watched = row.key.id.as_ref().is_some_and(|id| state.watch.has(id));
        if row.key.id.is_none() {
            remarks.push(Remark::Mended { what: "the row had no id; the item is named by its content".to_owned() });
        }
        if self.needs_page(&row.values) {
            let digest = row_digest(&row.values);
            let again = state.revisits() && (state.is_recent() || watched || row.key.open == Some(true));
            let stored = self.stored.get(&external_id) == Some(&digest);
            if !again && (stored || state.revisits() && known) {
                return Ok(());
            }
            haul.asked += 1;
            match self.page(board, list, row, &external_id, haul).await? {
                Outcome::Page(page) => {
                    haul.readable += 1;
                    document.add_page(page);
                    self.waiting.push((external_id.clone(), digest));
                    let values = document.values(&self.board).unwrap_or_default();
                    row.key.open = self.open(&values).or(row.key.open).or(self.open_unless_told());
                }
                Outcome::Gone(_) if known => {
                    haul.missing += 1;
                    row.key.open = Some(false);
                    document = Document::withdrawn(board, row.key.id.as_deref().unwrap_or_default());
                    self.waiting.push((external_id.clone(), digest));
                }
                // Nothing that was not known: what was read of it before is more.
                Outcome::RowOnly(_) if known => {
                    haul.missing += 1;
                    return Ok(());
                }
                Outcome::Gone(why) | Outcome::RowOnly(why) => {
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
        } else if row.key.open.is_none() {
            row.key.open = self.open_unless_told();
        }
        let item = self.item(external_id, &document, remarks, trouble)?;
        haul.add(item);
        Ok(())
    }

    pub(super) fn item(
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
        let revision = match &document.withdrawn {
            Some(id) => Revision::of_content(&[b"withdrawn", id.as_bytes()]),
            None => document::revision(&values),
        };
        let mut remarks = remarks;
        if document.withdrawn.is_some() {
            remarks.push(Remark::Withdrawn);
        }
        let source_time = document::made_at(&self.board, &values);
        let limit = self.tools.limits.item_bytes;
        if raw.len() > limit {
            trouble = Some(format!("the item is larger than {limit} bytes; this is its beginning"));
        } else if trouble.is_none() && document.withdrawn.is_none() {
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

    pub(super) fn needs_page(&self, values: &Values) -> bool {
        self.board.settings.detail.as_ref().is_some_and(|detail| match detail.when {
            When::Always => true,
            When::Truncated => document::is_cut(values.get(Name::Body)),
        })
    }

    pub(super) async fn page(
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

    pub(super) async fn try_page(&self, board: &str, list: &Url, row: &Row) -> Result<Outcome, Fault> {
        let id = row.values.get(Name::Id).unwrap_or_default();
        let Some(detail) = self.board.settings.detail.as_ref().filter(|detail| detail.request.path == "{link}") else {
            return self.page_of(board, id).await;
        };
        // Links are relative to the page on which they stand.
        let link = row.values.get(Name::Link).and_then(|link| list.join(link).ok());
        let Some(url) = link.filter(|url| request::same_origin(&self.board.base, url)) else {
            return Ok(Outcome::RowOnly("the item's link leads away from the board and was not followed"));
        };
        let mut vars = self.asker.vars(board);
        vars.put("id", id.to_owned());
        let answered = self.asker.ask_at(url, &detail.request, vars).await?;
        self.outcome(answered)
    }

    /// An item's own page, asked for by its id.
    pub(super) async fn page_of(&self, board: &str, id: &str) -> Result<Outcome, Fault> {
        let Some(detail) = &self.board.settings.detail else {
            return Err(Fault::configuration("the settings have no detail"));
        };
        let mut vars = self.asker.vars(board);
        vars.put("id", id.to_owned());
        if request::address(&self.board.base, &detail.request, &vars).is_none() {
            return Ok(Outcome::RowOnly("the item's address leads away from the board and was not asked for"));
        }
        let (_, answered) = self.asker.ask(&detail.request, vars).await?;
        self.outcome(answered)
    }

    pub(super) fn outcome(&self, answered: crate::http::Answered) -> Result<Outcome, Fault> {
        if matches!(answered.status.as_u16(), 404 | 410) {
            return Ok(Outcome::Gone("the item's own page is gone: it was withdrawn after the list was made"));
        }
        let answered = answered.success()?;
        match answer::page(&self.board, &answered)? {
            Answered::Gone => Ok(Outcome::Gone("the board says that the item was withdrawn")),
            Answered::Here(page) => Ok(Outcome::Page(page)),
        }
    }
}

impl Haul {
    pub(super) fn is_full(&self, tools: &Toolbox) -> bool {
        self.items.len() >= tools.limits.page_items
            || self.bytes >= tools.limits.page_bytes
            || self.asked >= DETAILS
            || self.began.elapsed() >= PULL_TIME
    }

    pub(super) fn add(&mut self, item: Item) {
        self.bytes += item.size();
        self.items.push(item);
    }

    /// Whether the items' own pages failed one by one or altogether.
    pub(super) fn whole(&mut self) -> Result<(), Fault> {
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
