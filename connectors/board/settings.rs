//! What a board's settings say: addresses, pointers and selectors are facts, and facts are configuration.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::{secret::SecretRef, times::TimeFormat};

/// Settings of a message board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
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
    /// How the list of items is asked for and read.
    pub list: List,
    /// How an item's own page is asked for and read; leave it out where the list tells everything.
    #[serde(default)]
    pub detail: Option<Detail>,
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

/// A place in a JSON document and the values that it may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// JSON pointer.
    pub at: String,
    /// The values; `200` and `"200"` are told apart. A missing place counts as `null`.
    pub any_of: Vec<Value>,
}

impl Expectation {
    /// Whether the document has one of the values at the place.
    pub fn holds(&self, document: &Value) -> bool {
        self.any_of.contains(document.pointer(&self.at).unwrap_or(&Value::Null))
    }
}

/// What a source may tell of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// The source's own id of the item.
    Id,
    /// Link to the item's own page.
    Link,
    /// Title.
    Subject,
    /// What happened.
    Body,
    /// What is asked for.
    Request,
    /// When it was made.
    MadeAt,
    /// When the matter happened, as told.
    Occurred,
    /// Where it happened.
    Place,
    /// Who is involved.
    Parties,
    /// The source's own label for the kind of request.
    Label,
    /// Petitioner's name.
    Name,
    /// Petitioner's account on the board.
    Account,
    /// Petitioner's telephone.
    Phone,
    /// Petitioner's e-mail address.
    Email,
    /// Petitioner's address.
    Address,
    /// Petitioner's network address.
    Ip,
    /// Petitioning organisation.
    Organisation,
    /// Its unified social credit code.
    OrganisationCode,
    /// How far the source says the item has come: a change of it is a new revision.
    State,
    /// Official answer: a change of it is a new revision.
    Reply,
}

/// Where each thing is told.
pub type Fields = BTreeMap<Name, Field>;

/// Where one thing is told: the JSON pointer or the CSS selector alone as a text, or a table with more.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Field {
    /// JSON pointer or CSS selector, below the row or the page; an empty one means all of it.
    pub at: String,
    /// HTML: take this attribute instead of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// HTML tables: the text of the cell before the value. Rows come and go; their labels stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// JSON: `at` is an array, and this pointer leads from each element to its value; they are joined by line breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// JSON, with `each`: takes only the elements for which this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Expectation>,
    /// Regular expression; its first group, or all of it, is the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// JSON: the value is HTML.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub markup: bool,
}

impl From<&str> for Field {
    fn from(at: &str) -> Self {
        Self { at: at.to_owned(), ..Self::default() }
    }
}

/// A field as a table; apart from [`Field`] because a text stands for a table with `at` alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FieldTable {
    /// JSON pointer or CSS selector, below the row or the page; an empty one means all of it.
    #[serde(default)]
    at: String,
    /// HTML: take this attribute instead of the text.
    #[serde(default)]
    attribute: Option<String>,
    /// HTML tables: the text of the cell before the value.
    #[serde(default)]
    row: Option<String>,
    /// JSON: `at` is an array, and this pointer leads from each element to its value.
    #[serde(default)]
    each: Option<String>,
    /// JSON, with `each`: takes only the elements for which this holds.
    #[serde(default)]
    only: Option<Expectation>,
    /// Regular expression; its first group, or all of it, is the value.
    #[serde(default)]
    pattern: Option<String>,
    /// JSON: the value is HTML.
    #[serde(default)]
    markup: bool,
}

impl From<FieldTable> for Field {
    fn from(table: FieldTable) -> Self {
        let FieldTable { at, attribute, row, each, only, pattern, markup } = table;
        Self { at, attribute, row, each, only, pattern, markup }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> de::Visitor<'de> for Either {
            type Value = Field;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON pointer or CSS selector, or a table with at, attribute, row, each, …")
            }

            fn visit_str<E: de::Error>(self, at: &str) -> Result<Field, E> {
                Ok(Field::from(at))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
                FieldTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(Field::from)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Field {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Field".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<FieldTable>();
        schemars::json_schema!({
            "description": "Where one thing is told: a JSON pointer or a CSS selector, or a table with more.",
            "anyOf": [{ "type": "string" }, table],
        })
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revisit {
    /// Minutes between two looks, at least 1.
    pub every_minutes: u32,
    /// How many items already taken are looked at, at least 1.
    pub items: u32,
}
