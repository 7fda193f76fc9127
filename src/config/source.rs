//! The text of the file as one JSON document, and where in the text each of its values stands. One document, because
//! the file and the API then say the same things about the same settings.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
};

use connectors::{contract::Mistake, settings::child};
use serde_json::{Map, Number, Value};
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors};

/// A file that is TOML.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
    value: Value,
    /// Where each value begins, in bytes, by JSON pointer: at its name where it has one.
    places: HashMap<String, usize>,
    /// Values that TOML can say and we cannot use.
    unusable: Vec<Mistake>,
}

impl Source {
    /// Takes a text apart.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigErrors> {
        let (table, faults) = DeTable::parse_recoverable(text);
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            value: Value::Null,
            places: HashMap::new(),
            unusable: Vec::new(),
        };
        if !faults.is_empty() {
            let errors = faults.iter().map(|fault| {
                let start = fault.span().map_or(0, |span: Range<usize>| span.start);
                source.error(start, format!("not TOML: {}", fault.message().replace('\n', ", ")), None)
            });
            return Err(sorted(errors.collect()));
        }
        source.value = source.table(table.get_ref(), "");
        Ok(source)
    }

    /// The document.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Values that TOML can say and we cannot use.
    pub(super) fn unusable(&self) -> &[Mistake] {
        &self.unusable
    }

    /// The folder that the file lies in.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Tells mistakes by line and column, in the order of the file.
    pub(super) fn errors(&self, mistakes: Vec<Mistake>) -> ConfigErrors {
        let errors = mistakes.into_iter().map(|mistake| {
            let named = self.name_of(&mistake.pointer);
            let message = if named.is_empty() { mistake.message } else { format!("{named}: {}", mistake.message) };
            self.error(self.place_of(&mistake.pointer), message, mistake.suggestion)
        });
        sorted(errors.collect())
    }

    /// Where a value begins, or the nearest table around where it should stand.
    fn place_of(&self, pointer: &str) -> usize {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return *place;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return 0,
            }
        }
    }

    /// A place in words: dotted names, elements of lists counted from 1, a connector called by its name.
    fn name_of(&self, pointer: &str) -> String {
        let (mut name, mut place) = (String::new(), String::new());
        for part in pointer.split('/').skip(1) {
            let in_list = self.value.pointer(&place).is_some_and(Value::is_array);
            let list_of_connectors = place == "/connector";
            place = format!("{place}/{part}");
            match part.parse::<usize>() {
                Ok(index) if in_list && list_of_connectors => name = self.connector(&place, index),
                Ok(index) if in_list => name = format!("{name} #{}", index + 1),
                _ => {
                    if !name.is_empty() && !name.ends_with(": ") {
                        name.push('.');
                    }
                    name.push_str(&part.replace("~1", "/").replace("~0", "~"));
                }
            }
        }
        name.trim_end_matches(": ").to_owned()
    }

    fn connector(&self, place: &str, index: usize) -> String {
        const LONGEST: usize = 64;
        let name = self.value.pointer(&format!("{place}/name")).and_then(Value::as_str);
        match name.filter(|name| (1..=LONGEST).contains(&name.len()) && !name.contains(char::is_control)) {
            Some(name) => format!("connector {name}: "),
            None => format!("connector #{}: ", index + 1),
        }
    }

    fn error(&self, place: usize, message: String, suggestion: Option<String>) -> ConfigError {
        let before = self.text.get(..place).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ConfigError { file: self.path.clone(), line, column, message, suggestion }
    }

    fn table(&mut self, table: &DeTable<'_>, pointer: &str) -> Value {
        let mut members = Map::new();
        for (key, value) in table {
            let pointer = child(pointer, key.get_ref());
            self.places.insert(pointer.clone(), key.span().start);
            let value = self.convert(value.get_ref(), &pointer);
            members.insert(key.get_ref().to_string(), value);
        }
        Value::Object(members)
    }

    fn convert(&mut self, value: &DeValue<'_>, pointer: &str) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(moment) => Value::String(moment.to_string()),
            DeValue::Integer(number) => self.number(integer(number), pointer),
            DeValue::Float(number) => self.number(float(number), pointer),
            DeValue::Table(table) => self.table(table, pointer),
            DeValue::Array(values) => {
                let mut converted = Vec::new();
                for (index, value) in values.iter().enumerate() {
                    let pointer = child(pointer, &index.to_string());
                    self.places.insert(pointer.clone(), value.span().start);
                    converted.push(self.convert(value.get_ref(), &pointer));
                }
                Value::Array(converted)
            }
        }
    }

    fn number(&mut self, number: Option<Number>, pointer: &str) -> Value {
        if let Some(number) = number {
            return Value::Number(number);
        }
        self.unusable.push(Mistake::new(pointer, "the number is too large or not finite"));
        Value::Null
    }
}

fn integer(number: &DeInteger<'_>) -> Option<Number> {
    let signed = i64::from_str_radix(number.as_str(), number.radix()).map(Number::from);
    signed.or_else(|_| u64::from_str_radix(number.as_str(), number.radix()).map(Number::from)).ok()
}

fn float(number: &DeFloat<'_>) -> Option<Number> {
    number.as_str().parse().ok().and_then(Number::from_f64)
}

fn sorted(mut errors: Vec<ConfigError>) -> ConfigErrors {
    errors.sort_by_key(|error| (error.line, error.column));
    ConfigErrors(errors)
}
