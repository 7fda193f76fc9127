//! Settings that say where a source tells what.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

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
