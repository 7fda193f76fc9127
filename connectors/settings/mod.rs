//! Reads settings and tells every mistake in them at once, each by its place.
//!
//! An admin who corrects a file line by line, one complaint of the program at a time, gives up. A plain deserialiser
//! stops at the first mistake; this one notes it, steps round it and goes on. The same reader serves the configuration
//! file and the settings that come over the API, so both are told the same things. It never repeats the text it could
//! not use where a secret may have been written by mistake.

mod obstacle;
mod reader;

#[cfg(test)]
mod tests;

use std::{cell::RefCell, collections::BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::contract::Mistake;

use obstacle::Kind;
use reader::{Reader, Repair, Repairs};

/// Mistakes told of one reading; further ones come to light once these are corrected.
pub const MAX_MISTAKES: usize = 64;

/// Steps round mistakes in one reading, those included that a first step makes necessary.
const MAX_REPAIRS: usize = 4 * MAX_MISTAKES;

/// Settings that cannot be read, with every mistake found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(mistakes))]
pub struct SettingsError {
    /// The mistakes, in the order in which they were found; at least one.
    pub mistakes: Vec<Mistake>,
}

fn list(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| {
            let place = if mistake.pointer.is_empty() { "settings" } else { &mistake.pointer };
            match &mistake.suggestion {
                Some(suggestion) => format!("{place}: {} ({suggestion})", mistake.message),
                None => format!("{place}: {}", mistake.message),
            }
        })
        .collect();
    lines.join("; ")
}

/// What came of reading settings that may hold mistakes.
#[derive(Debug)]
pub struct Reading<T> {
    /// What was read, with defaults or stand-ins at the places where there was a mistake; for further checks only.
    pub value: Option<T>,
    /// The mistakes, in the order in which they were found.
    pub mistakes: Vec<Mistake>,
    /// Where references to secrets stand, by JSON pointer; those inside tagged choices may be lacking.
    pub secrets: BTreeSet<String>,
    repairs: Repairs,
}

impl<T> Reading<T> {
    /// Whether the value at a place, or something it is part of, stands in for a mistake that is already told.
    pub fn stands_in(&self, pointer: &str) -> bool {
        let mut place = pointer;
        loop {
            if self.repairs.get(place).is_some_and(|repair| !matches!(repair, Repair::Rename(_))) {
                return true;
            }
            match place.rfind('/') {
                Some(end) => place = &place[..end],
                None => return false,
            }
        }
    }
}

/// Reads settings.
///
/// # Errors
/// Every mistake in them.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, SettingsError> {
    let reading = read_through::<T>(value);
    match reading.value {
        Some(settings) if reading.mistakes.is_empty() => Ok(settings),
        _ => Err(SettingsError { mistakes: reading.mistakes }),
    }
}

/// Reads settings as far as they can be read.
pub fn read_through<T: DeserializeOwned>(value: &Value) -> Reading<T> {
    let mut mistakes = Vec::new();
    let mut repairs = Repairs::new();
    let secrets = RefCell::default();
    while mistakes.len() < MAX_MISTAKES && repairs.len() < MAX_REPAIRS {
        let obstacle = match T::deserialize(Reader::root(value, &repairs, &secrets)) {
            Ok(settings) => {
                return Reading { value: Some(settings), mistakes, secrets: secrets.into_inner(), repairs };
            }
            Err(obstacle) => obstacle,
        };
        let pointer = place_of(value, &obstacle);
        if !reader::probed(&repairs, &pointer) {
            mistakes.extend(told(value, &repairs, &pointer, &obstacle.kind));
        }
        let Some((place, repair)) = way_round(value, &repairs, &pointer, &obstacle.kind) else { break };
        repairs.insert(place, repair);
    }
    Reading { value: None, mistakes, secrets: secrets.into_inner(), repairs }
}

/// Where an obstacle stands. What is read by way of a buffer (the content of a tagged choice) is met at the buffer's place;
/// a name that stands only once below it is the one that is meant.
fn place_of(value: &Value, obstacle: &obstacle::Obstacle) -> String {
    let pointer = obstacle.pointer.clone().unwrap_or_default();
    let Kind::UnknownField { field, .. } = &obstacle.kind else { return pointer };
    let Some(around) = value.pointer(&pointer).filter(|around| around.get(field).is_none()) else { return pointer };
    let mut holders = Vec::new();
    find_holders(around, field, &pointer, &mut holders);
    match <[String; 1]>::try_from(holders) {
        Ok([only]) => only,
        Err(_) => pointer,
    }
}

/// The tables that hold a name. As deep as the document, whose parser has bounded its depth.
fn find_holders(value: &Value, name: &str, pointer: &str, holders: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            if table.contains_key(name) {
                holders.push(pointer.to_owned());
            }
            table.iter().for_each(|(key, value)| find_holders(value, name, &child(pointer, key), holders));
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                find_holders(value, name, &child(pointer, &index.to_string()), holders);
            }
        }
        _ => {}
    }
}

/// The mistake that an obstacle stands for; none where it only follows from one that is already told.
fn told(value: &Value, repairs: &Repairs, pointer: &str, kind: &Kind) -> Option<Mistake> {
    let place = match kind {
        Kind::MissingField(field) if repairs.contains_key(&child(pointer, field)) => return None,
        Kind::MissingField(_) => pointer.to_owned(),
        Kind::UnknownField { field, .. } if repairs.contains_key(&child(pointer, field)) => return None,
        Kind::UnknownField { field, .. } => child(pointer, field),
        // A table with a stand-in in it may be wrong for no other reason.
        _ if reader::holds_probe(repairs, pointer) => return None,
        _ => pointer.to_owned(),
    };
    let mistake = Mistake::new(place, kind.message(value.pointer(pointer)));
    Some(match kind.suggestion(value.pointer(pointer)) {
        Some(suggestion) => mistake.suggest(suggestion),
        None => mistake,
    })
}

/// How to step round an obstacle; `None` where it cannot be done.
fn way_round(value: &Value, repairs: &Repairs, pointer: &str, kind: &Kind) -> Option<(String, Repair)> {
    let (place, repair) = match kind {
        Kind::MissingField(field) => (child(pointer, field), Repair::Probe),
        Kind::UnknownField { field, .. } => {
            // A misspelt name still carries a value worth looking at, unless the right name is there as well.
            let meant = kind.nearest().filter(|name| {
                value.pointer(&child(pointer, name)).is_none() && !already_meant(repairs, pointer, name)
            });
            (child(pointer, field), meant.map_or(Repair::Skip, |name| Repair::Rename(name.to_owned())))
        }
        _ => {
            let (parent, _) = pointer.rsplit_once('/')?;
            let in_table = value.pointer(parent).is_some_and(Value::is_object);
            let repair = match repairs.get(pointer) {
                Some(Repair::Rename(name)) => Repair::RenamedProbe(name.clone()),
                _ if in_table => Repair::Skip,
                _ => Repair::Probe,
            };
            (pointer.to_owned(), repair)
        }
    };
    // Each place is repaired in one direction only, so that the reading ends.
    let further = match repairs.get(&place) {
        None => true,
        Some(Repair::Rename(_)) => matches!(repair, Repair::RenamedProbe(_)),
        Some(Repair::Skip) => repair == Repair::Probe,
        Some(Repair::Probe | Repair::RenamedProbe(_)) => false,
    };
    further.then_some((place, repair))
}

fn already_meant(repairs: &Repairs, pointer: &str, name: &str) -> bool {
    repairs.iter().any(|(place, repair)| {
        matches!(repair, Repair::Rename(meant) | Repair::RenamedProbe(meant) if meant == name)
            && place.rsplit_once('/').is_some_and(|(parent, _)| parent == pointer)
    })
}

/// The JSON pointer (RFC 6901) of a member.
pub fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The known name that a name was most likely meant to be; `None` where nothing is near.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // The measure grows with the square of the length: a name longer than any of ours is not one of ours.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    known
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(&name, candidate);
            let part = name.len() >= 4 && (candidate.contains(&name) || name.contains(candidate));
            let allowed = 1 + candidate.chars().count() / 4;
            (distance <= allowed || part).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
