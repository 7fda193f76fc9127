//! Reads the list, a page a pull, in the order of changes.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, error::Category};

use super::ask::Asker;
use crate::{
    board::Expectation,
    contract::{Check, Cursor, Page, Pull},
    entry::{ExternalId, Form, Item, RawEntry, Unread, digest_hex},
    fault::Fault,
    holdings::{Holdings, Period},
    http::Answered,
    mapping::CLOCK_SLACK,
    times,
};

/// Rows of one page.
const MAX_ROWS: usize = 5_000;

/// Items asked for by themselves in one pull; the rest of the page is left to the next.
const DETAILS: usize = 20;

/// The cursor: how far changes are known, and where a run under way is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Every change up to here is stored.
    #[serde(default)]
    mark: Option<Timestamp>,
    /// The run under way; `None` between two runs.
    #[serde(default)]
    run: Option<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    /// Since when is asked.
    since: Timestamp,
    /// The page of it.
    page: u32,
    /// The last row of the page that is stored, by its digest, where the page was taken in parts.
    #[serde(default)]
    after: Option<String>,
    /// Digest of the page before: a source that does not turn pages gives the same one again.
    #[serde(default)]
    shape: String,
}

pub(super) struct Puller {
    pub(super) asker: Asker,
}

/// A row of the list.
pub(super) struct Row {
    pub(super) document: Value,
    pub(super) id: Option<ExternalId>,
    pub(super) changed: Option<Timestamp>,
}

impl Row {
    /// What the item is called; by its content where it has no id.
    pub(super) fn name(&self) -> ExternalId {
        let content = || ExternalId::of_content(&[self.document.to_string().as_bytes()]);
        self.id.clone().unwrap_or_else(content)
    }

    fn digest(&self) -> String {
        digest_hex(&[self.document.to_string().as_bytes()])
    }
}

impl Puller {
    pub(super) fn new(asker: Asker) -> Self {
        Self { asker }
    }

    pub(super) async fn list(&self, since: Timestamp, page: u32) -> Result<Vec<Row>, Fault> {
        let list = &self.asker.ready.settings.list;
        let mut vars = self.asker.vars();
        vars.put("since", list.since.write(since));
        vars.put("page", page.to_string());
        vars.put("size", list.page_size.to_string());
        let answered = self.asker.ask(&list.request, vars).await?.success()?;
        let document = document(&answered)?;
        envelope(&document, &list.success)?;
        let rows = match document.pointer(&list.items) {
            Some(Value::Array(rows)) => rows,
            _ if list.empty.as_ref().is_some_and(|empty| empty.holds(&document)) => return Ok(Vec::new()),
            _ => return Err(changed_layout(&format!("there is no array at {}", list.items))),
        };
        if rows.is_empty() && list.empty.as_ref().is_some_and(|empty| !empty.holds(&document)) {
            return Err(changed_layout("the list is empty, and nothing proves that it should be"));
        }
        if rows.len() > MAX_ROWS {
            return Err(Fault::configuration(format!("a page has {} rows, more than {MAX_ROWS}", rows.len()))
                .remedy("ask for smaller pages"));
        }
        let rows: Vec<Row> = rows
            .iter()
            .map(|row| Row {
                id: self.asker.ready.mapping.id(row),
                changed: row
                    .pointer(&list.changed)
                    .and_then(|value| times::parse(value, &self.asker.ready.time_formats))
                    .map(|stamp| stamp.at),
                document: row.clone(),
            })
            .collect();
        self.check_layout(&rows)?;
        Ok(rows)
    }

    /// What every row lacks is no item's defect but another layout; and changes out of order could not be followed.
    fn check_layout(&self, rows: &[Row]) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let list = &self.asker.ready.settings.list;
        if rows.iter().all(|row| row.id.is_none()) {
            return Err(changed_layout("no row has an id where the mapping looks for it"));
        }
        if rows.iter().all(|row| row.changed.is_none()) {
            return Err(changed_layout(&format!("no row tells at {} when it was changed", list.changed)));
        }
        let mut before = None;
        for changed in rows.iter().filter_map(|row| row.changed) {
            if before.is_some_and(|before| changed < before) {
                return Err(Fault::configuration("the rows do not stand in the order of their changes, oldest first")
                    .remedy(
                        "ask for that order in the list's request, or name the field in `changed` that it goes by",
                    ));
            }
            before = Some(changed);
        }
        Ok(())
    }

    async fn item(&self, row: &Row) -> Result<Item, Fault> {
        let id = row.name();
        let document = match &self.asker.ready.settings.detail {
            None => row.document.clone(),
            Some(detail) => {
                let mut vars = self.asker.vars();
                vars.put("id", id.as_str().to_owned());
                let answered = self.asker.ask(&detail.request, vars).await?;
                if matches!(answered.status.as_u16(), 404 | 410) {
                    return Ok(self.unread(id, &row.document, "the item itself is gone: it was withdrawn"));
                }
                let whole = self::document(&answered.success()?)?;
                envelope(&whole, &detail.success)?;
                match whole.pointer(&detail.at) {
                    Some(item) if item.is_object() => item.clone(),
                    _ => return Err(changed_layout(&format!("there is no item at {}", detail.at))),
                }
            }
        };
        let raw = serde_json::to_vec(&document)
            .map_err(|error| Fault::permanent(format!("an item cannot be written down: {error}")))?;
        let limit = self.asker.tools.limits.item_bytes;
        if raw.len() > limit {
            let reason = format!("the item is larger than {limit} bytes; this is its beginning");
            return Ok(self.unread(id, &document, &reason));
        }
        if row.id.is_none() {
            return Ok(self.unread(id, &document, "the item has no id"));
        }
        if let Err(unreadable) = self.asker.ready.mapping.complaint(&document) {
            return Ok(self.unread(id, &document, &unreadable.0));
        }
        let remarks = self.asker.ready.settings.states.iter().filter_map(|states| states.remark(&document)).collect();
        let mut told = document;
        // When it was changed is no change of its own.
        if let Some(changed) = told.pointer_mut(&self.asker.ready.settings.list.changed) {
            *changed = Value::Null;
        }
        Ok(Item::Entry(RawEntry {
            external_id: id,
            revision: self.asker.ready.mapping.revision(&told),
            delivery_id: None,
            source_time: self
                .asker
                .ready
                .mapping
                .time(&told)
                .or_else(|| row.changed.map(crate::complaint::Stamp::second)),
            form: Form::Json,
            raw: raw.into(),
            remarks,
        }))
    }

    fn unread(&self, external_id: ExternalId, document: &Value, reason: &str) -> Item {
        let mut raw = document.to_string().into_bytes();
        let revision = self.asker.ready.mapping.revision(document);
        raw.truncate(self.asker.tools.limits.item_bytes);
        Item::Unread(Unread { external_id, revision, form: Form::Json, raw: raw.into(), reason: reason.to_owned() })
    }

    pub(super) fn before(at: Timestamp, seconds: u32) -> Timestamp {
        at.checked_sub(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(at)
    }

    fn begin(&self, position: &Position, now: Timestamp) -> Result<Run, Fault> {
        let list = &self.asker.ready.settings.list;
        let since = match position.mark {
            Some(mark) if mark.as_second() > now.as_second() + CLOCK_SLACK => {
                return Err(Fault::configuration("the cursor lies ahead of our clock").remedy(
                    "check this machine's clock, then rewind the connector to the day from which items are missing",
                ));
            }
            Some(mark) => Self::before(mark, list.overlap_seconds.max(list.grain_seconds)),
            None => self.asker.ready.start.unwrap_or(BEGINNING),
        };
        Ok(Run { since, page: list.first_page, after: None, shape: String::new() })
    }
}

/// Where a source is read from that was never read before: 1990-01-01.
const BEGINNING: Timestamp = Timestamp::constant(631_152_000, 0);

#[async_trait]
impl Pull for Puller {
    async fn check(&mut self) -> Check {
        let mut check = Check::default();
        let since = Self::before(self.asker.tools.clock.now(), 7 * 86_400);
        let rows = self.list(since, self.asker.ready.settings.list.first_page).await;
        let told = rows
            .as_ref()
            .map_err(Clone::clone)
            .map(|rows| format!("the list has {} items of the last week", rows.len()));
        if !check.step("reach and authenticate", told) {
            return check;
        }
        if let Ok(rows) = rows
            && let Some(row) = rows.first()
        {
            let read = self.item(row).await.and_then(|item| match item {
                Item::Unread(unread) => Err(Fault::configuration(format!("an item cannot be read: {}", unread.reason))
                    .remedy("adjust the mapping in the connector's settings")),
                _ => Ok("one item was read and can be a complaint".to_owned()),
            });
            check.step("read one item", read);
        }
        check
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        let mut position: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
        let now = self.asker.tools.clock.now();
        let (mut run, begun) = match position.run.take() {
            Some(run) => (run, false),
            None => (self.begin(&position, now)?, true),
        };
        let rows = self.list(run.since, run.page).await?;
        let shape = shape(&rows);
        if begun && rows.is_empty() && position.mark.is_some() {
            // Not even the change that we know: the source was set back, or the item is gone. What we have is known by name,
            // so reading all of it anew costs time and nothing else.
            let cursor = Cursor::encode(&Position::default())?;
            return Ok(Page { items: Vec::new(), cursor, more: true });
        }
        if rows.is_empty() || (run.after.is_none() && shape == run.shape) {
            // Beyond the last page, whether the source says so or gives the last page again.
            return Ok(Page { items: Vec::new(), cursor: Cursor::encode(&position)?, more: false });
        }
        // Where the row is not there any more, the page is taken from its beginning.
        let known = run.after.as_ref().and_then(|after| rows.iter().position(|row| row.digest() == *after));
        let (mut items, mut bytes, mut taken) = (Vec::new(), 0, known.map_or(0, |index| index + 1));
        let details = if self.asker.ready.settings.detail.is_some() { DETAILS } else { usize::MAX };
        let most = self.asker.tools.limits.page_items.min(details).max(1);
        for row in &rows[taken..] {
            if items.len() >= most || bytes >= self.asker.tools.limits.page_bytes {
                break;
            }
            let item = self.item(row).await?;
            bytes += item.size();
            items.push(item);
            taken += 1;
        }
        let list = &self.asker.ready.settings.list;
        // Theirs, but no further than our own clock: one absurd time must not hide what comes after.
        let newest = rows[..taken].iter().filter_map(|row| row.changed).max().map(|newest| newest.min(now));
        if taken < rows.len() {
            run.after = rows.get(taken.saturating_sub(1)).map(Row::digest);
        } else {
            let next = newest.map(|newest| Self::before(newest, list.grain_seconds));
            match next {
                // From the last change on, once more from the first page: what changes meanwhile moves no page's edge.
                Some(next) if next > run.since => {
                    run = Run { since: next, page: list.first_page, after: None, shape: String::new() };
                }
                // The page lies within one moment: the next page of it.
                _ => run = Run { page: run.page.saturating_add(1), after: None, shape, ..run },
            }
        }
        position.mark = position.mark.max(newest);
        position.run = Some(run);
        Ok(Page { items, cursor: Cursor::encode(&position)?, more: true })
    }

    async fn holdings(&mut self, period: Period) -> Result<Option<Holdings>, Fault> {
        super::holdings::walked(self, period).await.map(Some)
    }
}

pub(super) fn shape(rows: &[Row]) -> String {
    let texts: Vec<String> = rows.iter().map(|row| row.document.to_string()).collect();
    digest_hex(&texts.iter().map(String::as_bytes).collect::<Vec<_>>())
}

/// The document of an answer.
pub(crate) fn document(answered: &Answered) -> Result<Value, Fault> {
    let body = answered.body.trim_ascii();
    if body.is_empty() {
        return Err(Fault::transient(format!("the server answered {} with an empty body", answered.status)));
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.starts_with(b"<") {
        return Err(changed_layout("the server answered with a page of HTML where JSON was expected"));
    }
    let read = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&encoding_rs::GB18030.decode(body).0),
    };
    read.map_err(|error| match error.classify() {
        Category::Eof => Fault::transient("the answer breaks off in the middle"),
        _ => changed_layout("the answer is not JSON"),
    })
}

/// That an answer says what good ones say.
pub(crate) fn envelope(document: &Value, success: &[Expectation]) -> Result<(), Fault> {
    let Some(failed) = success.iter().find(|expectation| !expectation.holds(document)) else { return Ok(()) };
    // A code, not a message: what stands there may be anyone's.
    let found = match document.pointer(&failed.at) {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::String(text)) if text.len() <= 40 && text.is_ascii() => format!("{text:?}"),
        Some(_) => "something else".to_owned(),
        None => "missing".to_owned(),
    };
    Err(Fault::permanent(format!("the source refuses: {} is {found}", failed.at))
        .remedy("check the request in the connector's settings: its parameters and its credentials"))
}

pub(crate) fn changed_layout(what: &str) -> Fault {
    Fault::permanent(format!("layout changed: {what}")).remedy(
        "ask the source by hand: if it is under maintenance, wait; if its answers look different, adjust the settings",
    )
}
