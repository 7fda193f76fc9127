//! What an adapter implements, and what the gateway promises in return.
//!
//! The gateway schedules, backs off, limits rates, times out, commits cursors, supervises and keeps health. An adapter
//! only reads, normalises, and may answer. Every call may be dropped at any `await`: nothing may depend on reaching the
//! end of a call, because nothing counts until the gateway has committed the page that the call returned.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    clock::Clock,
    complaint::Complaint,
    entry::{ExternalId, Item, RawEntry},
    fault::Fault,
    holdings::{Holdings, Period},
    http::{Download, Http},
    occasion::Occasion,
    public_form::PublicForm,
};

/// The outside world, as far as an adapter may touch it.
#[derive(Debug, Clone)]
pub struct Toolbox {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The only way out over HTTP; paced.
    pub http: Http,
    /// Lets one exchange with the source through; for adapters that do not speak HTTP.
    pub pace: Arc<dyn crate::http::Pace>,
    /// Bounds that hold for every adapter.
    pub limits: Limits,
}

/// Bounds that hold for every adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Items in one page.
    pub page_items: usize,
    /// Bytes in one page, beyond which the page ends early.
    pub page_bytes: usize,
    /// Bytes of one item; a larger one is taken as a stub of its beginning.
    pub item_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { page_items: 200, page_bytes: 16 * 1024 * 1024, item_bytes: 25 * 1024 * 1024 }
    }
}

/// Where a source was left off. Its meaning belongs to the adapter; the gateway stores and shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub Value);

impl Cursor {
    /// A cursor that holds `position`.
    ///
    /// # Errors
    /// A permanent fault where the position has no JSON form.
    pub fn encode<P: Serialize>(position: &P) -> Result<Self, Fault> {
        serde_json::to_value(position)
            .map(Self)
            .map_err(|error| Fault::permanent(format!("the cursor cannot be written: {error}")))
    }

    /// The position that the cursor holds.
    ///
    /// # Errors
    /// A configuration fault where the cursor is not one of this adapter's.
    pub fn decode<P: DeserializeOwned>(&self) -> Result<P, Fault> {
        serde_json::from_value(self.0.clone()).map_err(|error| {
            Fault::configuration(format!("the stored cursor is not one of this adapter's: {error}"))
                .remedy("rewind the connector")
        })
    }
}

/// What one pull brought: committed together with its cursor, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items, in the source's order.
    pub items: Vec<Item>,
    /// Where the next pull starts, once the items are stored.
    pub cursor: Cursor,
    /// Whether the source is known to hold more right now.
    pub more: bool,
}

/// One step of a check, told to the admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was tried: "reach", "authenticate", "read one item", …
    pub name: &'static str,
    /// What came of it, in words.
    pub outcome: Result<String, Fault>,
}

/// The steps of a check; it ends at the first that fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Check {
    /// Adds a step and says whether to go on.
    pub fn step(&mut self, name: &'static str, outcome: Result<String, Fault>) -> bool {
        let passed = outcome.is_ok();
        self.steps.push(Step { name, outcome });
        passed
    }

    /// Whether every step passed.
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.outcome.is_ok())
    }
}

/// Reads a source that is asked.
#[async_trait]
pub trait Pull: Send {
    /// Tries the source step by step and changes nothing there.
    async fn check(&mut self) -> Check;

    /// Reads the next page from `cursor`, or from the beginning.
    ///
    /// # Errors
    /// Whatever keeps the page from being read; one malformed item does not, it is an [`Item::Unread`].
    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault>;

    /// Told after the page is committed: now an item may be marked seen, moved or deleted at the source.
    ///
    /// # Errors
    /// Whatever kept the source from being told. The page stays committed; the same items may come again.
    async fn confirm(&mut self, page: &Page) -> Result<(), Fault> {
        let _ = page;
        Ok(())
    }

    /// Returns when the source has news, or after `at_most`.
    ///
    /// # Errors
    /// Whatever broke the connection that was being listened on.
    async fn wait(&mut self, at_most: Duration) -> Result<(), Fault> {
        tokio::time::sleep(at_most).await;
        Ok(())
    }

    /// What is wrong with a part of the source while the rest of it is read: one folder of several, say. Asked after a run
    /// that ended well: the connector is shown as failing with it, and goes on at its usual pace.
    fn trouble(&self) -> Option<Fault> {
        None
    }

    /// Names what the source holds for a period, by the source's time, whatever was read of it before; changes nothing
    /// there. `None` where this source cannot tell. It runs within the connector's time-out; a source that cannot be asked
    /// for a period within it names at most [`Holdings::MAX`] items and says that these are not all.
    ///
    /// # Errors
    /// Whatever keeps the source from being asked.
    async fn holdings(&mut self, period: Period) -> Result<Option<Holdings>, Fault> {
        let _ = period;
        Ok(None)
    }
}

/// The head of a delivery: header names in lower case.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Headers; where one repeats, its first value.
    pub headers: BTreeMap<String, String>,
}

/// The body of a delivery, as far as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// It went over the limit; its beginning.
    Oversize {
        /// The first bytes, up to the limit.
        start: Bytes,
        /// Bytes seen in all.
        size: u64,
    },
}

/// Why a delivery is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not signed by a key that we know, or not in the time window: HTTP 401.
    #[error("{0}")]
    Unauthenticated(String),
    /// Cannot be understood: HTTP 422, with the field.
    #[error("{field}: {message}")]
    Malformed {
        /// Which field, as a JSON pointer, or the header's name.
        field: String,
        /// What is wrong with it and what was expected.
        message: String,
    },
    /// The connector cannot take deliveries as it is set up: HTTP 503.
    #[error("{0}")]
    Unavailable(String),
}

/// Takes what a source sends by itself.
pub trait Push: Send + Sync {
    /// Looks at the head of a delivery before its body is read.
    ///
    /// # Errors
    /// A refusal that needs no body.
    fn open(&self, head: &Head, now: Timestamp) -> Result<Box<dyn Reception>, Refusal>;

    /// Tries what can be tried without a delivery: that the secrets can be read, the mapping compiled.
    fn check(&self) -> Check;

    /// The form that citizens fill in, where the connector has one: the gateway then serves a page with it.
    fn form(&self) -> Option<&dyn PublicForm> {
        None
    }
}

/// One delivery being received.
pub trait Reception: Send {
    /// Takes the next bytes of the body, in order; also those beyond the limit, so that a signature can be checked.
    fn chunk(&mut self, bytes: &[u8]);

    /// Ends the delivery. The gateway answers 2xx only after what this returns is committed.
    ///
    /// # Errors
    /// A refusal; nothing is stored.
    fn close(self: Box<Self>, body: Body) -> Result<Item, Refusal>;
}

/// An entry that cannot be normalised, with the reason in words and without anything personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Turns an entry into a complaint: bytes in, complaint out, no I/O.
pub trait Normalise: Send + Sync {
    /// Normalises one entry that was received at `received_at`.
    ///
    /// # Errors
    /// The entry goes to quarantine with the reason.
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable>;

    /// The bytes of an attachment of the entry, as [`crate::complaint::Attachment::part`] names it; `None` where the entry
    /// holds no such one.
    fn attachment(&self, entry: &RawEntry, part: u32) -> Option<Vec<u8>> {
        let _ = (entry, part);
        None
    }

    /// Where the source keeps the recording of the entry's call. It is a reference: nothing is fetched at intake.
    fn recording(&self, entry: &RawEntry) -> Option<String> {
        let _ = entry;
        None
    }
}

/// A piece of an item, as it is stored.
#[derive(Clone)]
pub struct Piece {
    /// The bytes of the [`crate::entry::Fragment`].
    pub raw: Bytes,
    /// When it was received here.
    pub received_at: Timestamp,
}

/// What the pieces of an item come to.
#[derive(Debug)]
pub enum Gathered {
    /// More may come: look again at this time, or when another piece has come.
    Wait {
        /// When to look again at the latest.
        until: Timestamp,
    },
    /// They are one entry (or one that cannot be read).
    Item(Box<Item>),
    /// They make no entry, by the connector's settings. They stay stored, and a later piece brings them back.
    Drop {
        /// Why, as a label: it is counted and stays with the pieces.
        reason: &'static str,
    },
}

/// Says when the pieces of an item are whole. A function of what is passed in: no I/O, no clock of its own. The same pieces
/// give the same entry, in whatever order they came and however often.
pub trait Gather: Send + Sync {
    /// Looks at all pieces of an item that are not in an entry yet, at least one. `known` is the raw form of the entry that
    /// earlier pieces have become; what comes of both is another state of it, under the same external id.
    fn gather(&self, item: &ExternalId, known: Option<&[u8]>, pieces: &[Piece], now: Timestamp) -> Gathered;
}

/// A message to the petitioner, to go back through the channel (告知).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Our message's own id, without angle brackets; the same at every attempt, so that a repeat can be recognised.
    pub message_id: String,
    /// The petitioner's address, on channels that have addresses.
    pub to: Option<String>,
    /// What the source calls the item that is answered.
    pub about: ExternalId,
    /// What became of it; nothing where the message is about no item.
    pub occasion: Option<Occasion>,
    /// Ids of the messages that are answered, nearest first, without angle brackets.
    pub answers: Vec<String>,
    /// Title.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// What an answer on a channel needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// The channel has no way back, or none is set up.
    None,
    /// The petitioner's address.
    ToAddress,
    /// The item that is answered.
    ToItem,
}

/// Answers on the channel.
#[async_trait]
pub trait Answer: Send + Sync {
    /// Hands the reply over.
    ///
    /// # Errors
    /// Whatever kept it from being handed over; a permanent fault is not tried again.
    async fn answer(&self, reply: &Reply) -> Result<(), Fault>;
}

/// Fetches the recording of a call where the source keeps it.
#[async_trait]
pub trait Recordings: Send + Sync {
    /// Begins to fetch what a reference names, as [`Normalise::recording`] gave it.
    ///
    /// # Errors
    /// Whatever keeps it from being fetched; a reference that leads where recordings do not lie is a permanent fault.
    async fn fetch(&self, reference: &str) -> Result<Download, Fault>;
}

/// How a source is read.
pub enum Source {
    /// It is asked.
    Pull(Box<dyn Pull>),
    /// It sends.
    Push(Arc<dyn Push>),
}

/// A mistake in settings that are well-typed but cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where, as a JSON pointer below the settings ("/folder").
    pub pointer: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl Mistake {
    /// A mistake at a place.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), suggestion: None }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

/// One item of a file that a person hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// Where one that cannot be read stands in the file, in words and without anything of its content: `"line 17"`.
    pub place: Option<String>,
    /// The item.
    pub item: Item,
}

/// The settings of one adapter, and the way from them to its parts. Implemented by each adapter's `Settings`.
pub trait Adapter: Send + Sync {
    /// Checks what types cannot, without I/O.
    fn validate(&self) -> Vec<Mistake>;

    /// The adapter's pure part.
    ///
    /// # Errors
    /// A configuration fault where the settings cannot work (a selector that does not parse).
    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault>;

    /// The reading part. Opens nothing yet: connections are made by the first call.
    ///
    /// # Errors
    /// A configuration fault where a secret is missing or the settings cannot work.
    fn source(&self, tools: &Toolbox) -> Result<Source, Fault>;

    /// What makes entries of pieces, where the source sends its items in pieces.
    ///
    /// # Errors
    /// A configuration fault where the settings cannot work.
    fn gatherer(&self) -> Result<Option<Arc<dyn Gather>>, Fault> {
        Ok(None)
    }

    /// The items of a file that is handed over by hand, read as the adapter reads those of its source; `None` where the
    /// adapter takes no files. Takes as long as the file is large: call it where waiting disturbs nobody.
    ///
    /// # Errors
    /// A fault, with what to do, where the file cannot be read at all; one bad item is its own.
    fn read_file(&self, name: &str, bytes: Bytes, limits: &Limits) -> Option<Result<Vec<HandedOver>, Fault>> {
        let _ = (name, bytes, limits);
        None
    }

    /// The largest file that [`Self::read_file`] reads, in bytes.
    fn file_bytes(&self) -> u64 {
        0
    }

    /// What fetches recordings, where entries refer to them and it is set up.
    ///
    /// # Errors
    /// A configuration fault where a secret is missing or the settings cannot work.
    fn recordings(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Recordings>>, Fault> {
        let _ = tools;
        Ok(None)
    }

    /// What an answer needs, where the channel has a way back and it is set up.
    fn answering(&self) -> Answering {
        Answering::None
    }

    /// The answering part, where the channel has one and it is set up.
    ///
    /// # Errors
    /// A configuration fault where a secret is missing or the settings cannot work.
    fn answerer(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Answer>>, Fault> {
        let _ = tools;
        Ok(None)
    }
}

/// What the registry tells of an adapter.
#[derive(Debug, Clone)]
pub struct AdapterInfo {
    /// The name that configuration uses.
    pub name: &'static str,
    /// What it reads, in one line.
    pub about: &'static str,
    /// JSON Schema of its settings.
    pub schema: Schema,
}

/// Ready settings of an adapter, as the registry tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresetInfo {
    /// The name that settings use.
    pub name: &'static str,
    /// What it reads, in one line.
    pub about: &'static str,
    /// The settings, as a table of the configuration file.
    pub text: String,
}
