//! What keeps a value from being read, in parts rather than in prose, so that it can be told by place and stepped round.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};
use serde_json::Value;

use super::nearest;

/// What keeps a value from being read, and where.
#[derive(Debug)]
pub(super) struct Obstacle {
    /// The JSON pointer of the value; unknown until the reader that met it adds it.
    pub(super) pointer: Option<String>,
    /// What it is.
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    MissingField(&'static str),
    UnknownField { field: String, expected: &'static [&'static str] },
    UnknownVariant { variant: String, expected: &'static [&'static str] },
    WrongChoice { found: &'static str, expected: &'static [&'static str] },
    WrongType { found: String, expected: String },
    Other(String),
}

/// How a reference to a secret is written; a text in its place is most likely the secret itself.
const SECRET_FORMS: [&str; 2] = ["env", "file"];

const SECRET_REMEDY: &str = "write { file = \"…\" } or { env = \"…\" } and keep the secret there";

/// Characters of an unusable name that are repeated to the admin.
const SHOWN: usize = 64;

impl Kind {
    /// What is wrong and what was expected.
    pub(super) fn message(&self, value: Option<&Value>) -> String {
        match self {
            Self::MissingField(field) => format!("`{field}` is missing"),
            Self::UnknownField { expected, .. } => {
                format!("no such field; expected {}", one_of(expected))
            }
            Self::UnknownVariant { expected, .. } if is_secret(expected, value) => {
                "a secret stands in the settings themselves; expected a reference to it".to_owned()
            }
            Self::UnknownVariant { variant, expected } => {
                format!("`{}` is not known here; expected {}", shown(variant), one_of(expected))
            }
            Self::WrongChoice { found, expected } if *expected == SECRET_FORMS => {
                format!("expected a reference to a secret, found {found}")
            }
            Self::WrongChoice { found, expected } => format!("expected {}, found {found}", one_of(expected)),
            Self::WrongType { found, expected } => format!("expected {expected}, found {found}"),
            Self::Other(message) => message.clone(),
        }
    }

    /// What to write instead.
    pub(super) fn suggestion(&self, value: Option<&Value>) -> Option<String> {
        match self {
            Self::UnknownVariant { expected, .. } if is_secret(expected, value) => Some(SECRET_REMEDY.to_owned()),
            Self::WrongChoice { expected, .. } if *expected == SECRET_FORMS => Some(SECRET_REMEDY.to_owned()),
            _ => self.nearest().map(|name| format!("did you mean `{name}`?")),
        }
    }

    /// The known name that an unknown one was most likely meant to be.
    pub(super) fn nearest(&self) -> Option<&'static str> {
        match self {
            Self::UnknownField { field: name, expected } | Self::UnknownVariant { variant: name, expected } => {
                nearest(name, expected.iter().copied())
            }
            _ => None,
        }
    }
}

fn is_secret(expected: &[&str], value: Option<&Value>) -> bool {
    expected == SECRET_FORMS && !value.is_some_and(Value::is_object)
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        _ => format!("one of {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

impl Obstacle {
    fn new(kind: Kind) -> Self {
        Self { pointer: None, kind }
    }

    /// A choice was to be made among names, and something else stands there.
    pub(super) fn choice(found: &'static str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::WrongChoice { found, expected })
    }

    /// Adds where it was met, unless a reader further down has already told.
    pub(super) fn at(mut self, pointer: &str) -> Self {
        self.pointer.get_or_insert_with(|| pointer.to_owned());
        self
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind.message(None))
    }
}

impl std::error::Error for Obstacle {}

impl Error for Obstacle {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::WrongType { found: kind_of(found).to_owned(), expected: expectation(expected) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // A number out of range is no secret where a number belongs, and seeing it helps.
        let found = match found {
            Unexpected::Unsigned(number) => number.to_string(),
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Float(number) => number.to_string(),
            other => kind_of(other).to_owned(),
        };
        Self::new(Kind::WrongType { found, expected: expectation(expected) })
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(Kind::WrongType { found: format!("{length} elements"), expected: expectation(expected) })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant { variant: variant.to_owned(), expected })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownField { field: field.to_owned(), expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::MissingField(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Kind::Other(format!("`{field}` is given twice; keep one")))
    }
}

/// The kind of a value, never the value: it may be a secret in the wrong place.
fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a decimal number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        Unexpected::NewtypeStruct
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant
        | Unexpected::Other(_) => "something else",
    }
}

/// Rust's words for what was expected, in the admin's.
fn expectation(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let words = match text.as_str() {
        "a string" | "string" | "str" | "path string" => "a text in quotes",
        "a boolean" => "true or false",
        "u8" | "a nonzero u8" => "a whole number from 0 to 255",
        "u16" | "a nonzero u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number above 0",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    words.to_owned()
}
