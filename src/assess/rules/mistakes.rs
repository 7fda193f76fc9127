//! Every mistake of a rule file, where reading it stops at the first: for the person who edits it.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IntoDeserializer as _};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    MISTAKES, RulesError,
    file::{ClauseFile, KindsFile, ModelFile, PlacesFile, RuleFile, Text, ThinFile, from_toml, nearest, told},
};

/// What a rule file is made of, by its names at the top.
const MEMBERS: [&str; 14] = [
    "version",
    "city",
    "words",
    "features",
    "places",
    "negations",
    "hypothetical",
    "past",
    "administrative",
    "thin",
    "model",
    "clauses",
    "rule",
    "kinds",
];

/// The mistakes of a rule file that cannot be read, in the order of the file; `first` is the one that reading stopped at.
pub(super) fn every(text: &str, first: RulesError) -> Vec<RulesError> {
    let (table, malformed) = DeTable::parse_recoverable(text);
    let mut found = Found { text, mistakes: Vec::new() };
    if malformed.is_empty() {
        found.members(table.into_inner());
    } else {
        found.mistakes.extend(malformed.iter().map(|error| from_toml(text, error)));
    }
    let mut mistakes = found.mistakes;
    if !mistakes.iter().any(|mistake| (mistake.line, mistake.column) == (first.line, first.column)) {
        mistakes.push(first);
    }
    in_order(mistakes)
}

/// In the order of the file, each once, and not too many.
pub(super) fn in_order(mut mistakes: Vec<RulesError>) -> Vec<RulesError> {
    mistakes.sort_by_key(|mistake| (mistake.file as u8, mistake.line, mistake.column));
    mistakes.dedup();
    mistakes.truncate(MISTAKES);
    mistakes
}

struct Found<'t> {
    text: &'t str,
    mistakes: Vec<RulesError>,
}

impl<'t> Found<'t> {
    fn members(&mut self, table: DeTable<'t>) {
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "rule" => self.each::<RuleFile>(value),
                "clauses" => self.each::<ClauseFile>(value),
                "places" => self.within::<PlacesFile>(value),
                "thin" => self.within::<ThinFile>(value),
                "model" => self.within::<ModelFile>(value),
                "kinds" => self.within::<KindsFile>(value),
                "words" | "features" => self.within::<BTreeMap<String, Vec<Text>>>(value),
                "negations" | "hypothetical" | "past" | "administrative" => self.within::<Vec<Text>>(value),
                "version" | "city" => self.within::<String>(value),
                unknown => {
                    let problem = format!("unknown field `{unknown}`");
                    let suggestion = nearest(unknown, MEMBERS.into_iter());
                    self.mistakes.push(told(self.text, name.span().start, problem, suggestion));
                }
            }
        }
    }

    /// The mistakes of each table of a list.
    fn each<T: for<'d> Deserialize<'d>>(&mut self, value: Spanned<DeValue<'t>>) {
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(tables) => {
                for table in tables {
                    self.within::<T>(table);
                }
            }
            other => self.within::<Vec<T>>(Spanned::new(span, other)),
        }
    }

    /// The mistakes of one value; of a table, one member after the other: what cannot be read is left out and the rest
    /// read again.
    fn within<T: for<'d> Deserialize<'d>>(&mut self, mut value: Spanned<DeValue<'t>>) {
        let mut left_out: Vec<String> = Vec::new();
        while self.mistakes.len() < 2 * MISTAKES {
            let Err(error) = T::deserialize(value.clone().into_deserializer()) else { return };
            // It misses only what was left out.
            if left_out.iter().any(|name| error.message().contains(&format!("missing field `{name}`"))) {
                return;
            }
            self.mistakes.push(from_toml(self.text, &error));
            let (Some(span), DeValue::Table(table)) = (error.span(), value.get_mut()) else { return };
            let at = span.start;
            let covers = |span: std::ops::Range<usize>| span.contains(&at) || span.start == at;
            let faulty = table.iter().find(|(name, value)| covers(name.span()) || covers(value.span()));
            let Some(name) = faulty.map(|(name, _)| name.clone()) else { return };
            table.remove(&name);
            left_out.push(name.into_inner().into_owned());
        }
    }
}
