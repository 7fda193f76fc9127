//! Reads the lines of a calendar file.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

/// Years that a calendar file may speak of; others are slips of the keyboard.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2199;

/// A line of a calendar file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadDays {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line of a calendar file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No kind beside the date.
    #[error("a day needs its kind: write \"2027-01-01<tab>holiday<tab>元旦\"")]
    Kindless,
    /// The kind is none of the three.
    #[error("{0:?} is no kind: write year, holiday or workday")]
    Kind(String),
    /// The first column is no date, or for `year` no year.
    #[error("{0:?} is no date between 1990 and 2199: write it as 2027-01-01, or 2027 for a year")]
    Date(String),
    /// The same day is listed twice.
    #[error("{0} is listed before: keep one of the two lines")]
    Repeated(String),
}

/// Years that are known as a whole, and days with whether they are worked.
type Days = (BTreeSet<i16>, BTreeMap<Date, bool>);

pub(super) fn parse(text: &str) -> Result<Days, BadDays> {
    let mut years = BTreeSet::new();
    let mut days = BTreeMap::new();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut columns = line.split_whitespace();
        let (first, kind) = (columns.next().unwrap_or_default(), columns.next());
        let added = match kind {
            Some("year") => year(first).map(|year| years.insert(year)),
            Some("holiday") => day(first).map(|day| days.insert(day, false).is_none()),
            Some("workday") => day(first).map(|day| days.insert(day, true).is_none()),
            Some(other) => Err(Problem::Kind(excerpt(other))),
            None => Err(Problem::Kindless),
        };
        let problem = match added {
            Ok(true) => continue,
            Ok(false) => Problem::Repeated(first.to_owned()),
            Err(problem) => problem,
        };
        return Err(BadDays { line: index + 1, problem });
    }
    Ok((years, days))
}

fn year(text: &str) -> Result<i16, Problem> {
    text.parse().ok().filter(|year| YEARS.contains(year)).ok_or_else(|| Problem::Date(excerpt(text)))
}

fn day(text: &str) -> Result<Date, Problem> {
    let date = if text.len() == "2027-01-01".len() { text.parse::<Date>().ok() } else { None };
    date.filter(|date| YEARS.contains(&date.year())).ok_or_else(|| Problem::Date(excerpt(text)))
}

fn excerpt(text: &str) -> String {
    text.chars().take(20).collect()
}
