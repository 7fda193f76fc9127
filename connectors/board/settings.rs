//! What a board's settings say: addresses, pointers and selectors are facts, and facts are configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    field::{Expectation, Fields},
    presets::Preset,
    reply::Reply,
    sign::{Robots, Sign},
};
use crate::{secret::SecretRef, times::TimeFormat};

/// Settings of a message board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Ready settings to start from; what is set beside it takes its place, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Address that every path is resolved against, such as `https://board.example/`. Nothing outside its scheme, host
    /// and port is ever asked, whatever an item links to.
    pub base: String,
    /// The boards to read, as the source names them (forum numbers, mailbox kinds); `{board}` stands for them in
    /// requests. Leave it out where there is only one.
    #[serde(default = "one_board")]
    pub boards: Vec<String>,
    /// Headers sent with every request. Placeholders may be used.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Secrets, by the name under which placeholders call them: `{secret.token}`.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretRef>,
    /// How requests are signed, where the operator asks for it; the result goes where a request says `{signature}`.
    #[serde(default)]
    pub sign: Option<Sign>,
    /// Whether the site's `robots.txt` is kept to.
    #[serde(default)]
    pub robots: Robots,
    /// How the list of items is asked for and read.
    pub list: List,
    /// How an item's own page is asked for and read; leave it out where the list tells everything.
    #[serde(default)]
    pub detail: Option<Detail>,
    /// How an answer is put on the board through its operator's interface; leave it out where there is none.
    #[serde(default)]
    pub reply: Option<Reply>,
    /// The forms in which the source tells times, tried in this order.
    #[serde(default = "TimeFormat::common")]
    pub times: Vec<TimeFormat>,
    /// How the list is ordered.
    #[serde(default)]
    pub order: Order,
    /// By what the list is ordered.
    #[serde(default)]
    pub ordered_by: OrderedBy,
    /// How the next page is asked for.
    #[serde(default)]
    pub paging: Paging,
    /// Items asked for in one page (`{size}`), 1 to 1000. The source may give fewer.
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// Known items that must be read in succession before a sweep ends: it covers items that the source publishes late
    /// or out of order. At least 1.
    #[serde(default = "overlap")]
    pub overlap: u32,
    /// Pages read in one run. A sweep that needs more stays pending in the cursor and goes on in the next run.
    #[serde(default = "max_pages")]
    pub max_pages: u32,
    /// Whether a sweep of several numbered pages is walked through twice. An item withdrawn between two requests moves
    /// another one onto a page that was read already; the second walk finds it.
    #[serde(default = "yes")]
    pub second_pass: bool,
    /// What the source gives beyond its last page.
    #[serde(default)]
    pub beyond_end: BeyondEnd,
    /// Looks again, now and then, at items already taken: answers and states change, and some items appear late.
    #[serde(default)]
    pub revisit: Option<Revisit>,
    /// Encoding of every page, as the label of a web standard (`gb18030`); leave it out where pages say it themselves.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Whether a list that held items may become empty. Where it may not, an empty list is a fault, not "no news".
    #[serde(default)]
    pub may_become_empty: bool,
}

fn one_board() -> Vec<String> {
    vec![String::new()]
}

fn page_size() -> u32 {
    20
}

fn overlap() -> u32 {
    20
}

fn max_pages() -> u32 {
    200
}

fn yes() -> bool {
    true
}

/// How the list of items is asked for and read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The request. Placeholders: `{board}`, `{page}`, `{last}`, `{size}`, `{secret.NAME}`.
    pub request: Request,
    /// How the answer is read.
    pub answer: ListAnswer,
    /// Where a row tells what. `id` is needed.
    pub fields: Fields,
    /// What the rows must say for the request to have been kept, by JSON pointer: some boards ignore a filter that they do
    /// not know and give everything. `{board}` may be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verify: BTreeMap<String, String>,
}

/// How an item's own page is asked for and read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// When it is asked for.
    #[serde(default)]
    pub when: When,
    /// The request. Placeholders: `{id}`, `{board}`, `{secret.NAME}`, and `{link}` alone as the path: the row's link.
    pub request: Request,
    /// How the answer is read.
    pub answer: DetailAnswer,
    /// Where the page tells what. What it tells comes before what the row told.
    pub fields: Fields,
}

/// When an item's own page is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Where the row's body is missing or was cut off: it ends in `…` or `...`.
    #[default]
    Truncated,
    /// For every item.
    Always,
}

/// A request, with placeholders in every text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Method.
    #[serde(default)]
    pub method: Method,
    /// Path below the base address.
    pub path: String,
    /// Query parameters.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Fields of a form; makes the body `application/x-www-form-urlencoded`.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// A JSON body. A text that is one placeholder with `:number` (`"{page:number}"`) becomes a number.
    #[serde(default)]
    pub json: Option<Value>,
}

/// Method of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// POST.
    Post,
}

/// How the list is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum ListAnswer {
    /// One JSON document.
    Json(JsonList),
    /// One page of HTML.
    Html(HtmlList),
}

/// A list in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonList {
    /// JSON pointer to the array of rows.
    pub items: String,
    /// What must hold for the answer to be the list; at least one. Where it holds, an empty array proves an empty list.
    #[serde(default)]
    pub success: Vec<Expectation>,
    /// What must hold, besides, for a list without rows to count as empty; needed where the array itself is missing then.
    #[serde(default)]
    pub empty: Option<Expectation>,
    /// What holds when the source is only busy: try again later.
    #[serde(default)]
    pub busy: Option<Expectation>,
    /// JSON pointer to the source's own words about what went wrong.
    #[serde(default)]
    pub message: Option<String>,
    /// Whether the document is wrapped in a function call (JSONP).
    #[serde(default)]
    pub wrapped: bool,
    /// The name of that function; an answer that calls it is the list, so `success` may be empty then.
    #[serde(default)]
    pub callback: Option<String>,
}

/// A list in HTML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HtmlList {
    /// CSS selector of what only the list's page has; a page without it is a block page or a changed layout.
    pub page: String,
    /// CSS selector of a row.
    pub row: String,
    /// CSS selector of what proves that the list is empty.
    #[serde(default)]
    pub empty: Option<String>,
}

/// How an item's own page is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum DetailAnswer {
    /// One JSON document.
    Json(JsonDetail),
    /// One page of HTML.
    Html(HtmlDetail),
}

/// An item's own page in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonDetail {
    /// What must hold for the answer to be the item.
    pub success: Vec<Expectation>,
    /// What holds when the item has been withdrawn.
    #[serde(default)]
    pub gone: Option<Expectation>,
    /// What holds when the source is only busy: try again later.
    #[serde(default)]
    pub busy: Option<Expectation>,
    /// JSON pointer to the source's own words about what went wrong.
    #[serde(default)]
    pub message: Option<String>,
}

/// An item's own page in HTML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HtmlDetail {
    /// CSS selector of what only an item's page has.
    pub page: String,
    /// CSS selector of what the page has when the item has been withdrawn.
    #[serde(default)]
    pub gone: Option<String>,
}

/// How the list is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

/// By what the list is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderedBy {
    /// By id: a whole number that grows.
    #[default]
    Id,
    /// By the time at which the item was made.
    Time,
}

/// How the next page is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Paging {
    /// By number: `{page}`.
    Page {
        /// Number of the first page.
        first: u32,
    },
    /// By the id of the last row of the page before: `{last}`.
    LastId {
        /// What stands for it before the first page.
        first: String,
    },
    /// Not at all: the newest items are all that is shown. What scrolls out between two looks cannot be had; a page that
    /// knows nothing of the one before is told as a gap.
    Single,
}

impl Default for Paging {
    fn default() -> Self {
        Self::Page { first: 1 }
    }
}

/// What the source gives beyond its last page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeyondEnd {
    /// An empty list.
    #[default]
    Empty,
    /// The last page again.
    Repeats,
    /// An error; so a page with fewer rows than `page_size` is the last one.
    Short,
}

/// A second look at items already taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revisit {
    /// Minutes between two looks, at least 1.
    pub every_minutes: u32,
    /// How many items already taken are looked at, at least 1.
    pub items: u32,
    /// The values of `state` that an item has once it is settled. Where they are named, an item in any other state is open:
    /// each look goes down to the oldest open one, and one that is gone from the board is taken as withdrawn.
    #[serde(default)]
    pub closed: Vec<String>,
    /// Days for which an open item is looked at again, 1 to 3650; 90 unless set.
    #[serde(default = "open_days")]
    pub open_days: u32,
}

fn open_days() -> u32 {
    90
}
