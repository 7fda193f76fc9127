//! Whether a channel that answers well and brings nothing is silent against its own habit.
//!
//! The habit is how many entries came in each hour of the week, over the last weeks before the gap: a hotline's nights and
//! Sundays are quiet, a mailbox's mornings are not. Each hour of the gap is weighed by how unlikely it is, by habit, that
//! nothing comes in it; the weights add up to the odds that a gap this long is chance. Days without work (法定节假日) count
//! as Sundays, worked weekends (调休) as weekdays.
//!
//! What makes it calm: the estimate for an hour is drawn towards "nothing comes" as long as few weeks are known; hours
//! are smoothed with their neighbours; counts are taken for bursty, and of the weeks the poorer ones count; the habit is
//! that before the gap, so a long silence does not become the habit by which it is judged. What is judged silent stays so
//! until an entry comes.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _, civil::Date};

use crate::{calendar::Calendar, issue::hotline_zone};

/// Seconds of an hour.
const HOUR: i64 = 3600;
/// Hours of a week.
const WEEK: i64 = 168;
/// Weeks of habit that count.
pub const WEEKS: i64 = 8;
/// Hours of a gap that are weighed; one that is longer has been judged long before.
const LONGEST: i64 = 26 * WEEK;
/// How bursty entries are taken to come: the shape of a negative binomial, of which a Poisson process would be the limit.
const SHAPE: f64 = 2.0;

/// How silences are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilenceRules {
    /// Weeks of habit before it is judged by.
    pub weeks: u32,
    /// One gap in so many is chance.
    pub odds: f64,
    /// Seconds below which no gap is a silence.
    pub at_least: i64,
    /// Seconds after which any gap is one, whatever the habit.
    pub limit: Option<i64>,
}

/// What is known of a channel.
#[derive(Debug, Clone)]
pub struct Heard<'a> {
    /// Entries by hour since 1970; hours without any are left out.
    pub hours: &'a BTreeMap<i64, i64>,
    /// When the last one came.
    pub last_entry: Option<Timestamp>,
    /// Since when the channel is watched without a break: what did not come before is not held against it.
    pub watched_since: Timestamp,
}

/// What became of the question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Judgement {
    /// Too little is known of it.
    NoHabit,
    /// Nothing unusual.
    Usual,
    /// Silent, since this moment.
    Silent {
        /// When the gap began.
        since: Timestamp,
        /// Entries that usually come in such a time.
        usually: f64,
    },
}

/// Judges whether a channel is silent at `now`.
pub fn judge(heard: &Heard<'_>, rules: &SilenceRules, calendar: &Calendar, now: Timestamp) -> Judgement {
    let since = heard.last_entry.map_or(heard.watched_since, |last| last.max(heard.watched_since));
    let gap = now.as_second() - since.as_second();
    let over = rules.limit.is_some_and(|limit| gap >= limit);
    if gap < rules.at_least && !over {
        return Judgement::Usual;
    }
    let Some(habit) = Habit::before(heard, rules.weeks, calendar, since) else {
        return if over { Judgement::Silent { since, usually: 0.0 } } else { Judgement::NoHabit };
    };
    let Weight { surprise, usually } = habit.weigh(calendar, since, now);
    if over || surprise >= rules.odds.max(2.0).ln() { Judgement::Silent { since, usually } } else { Judgement::Usual }
}

/// What a gap comes to.
#[derive(Default)]
struct Weight {
    /// Minus the logarithm of the chance that nothing comes in it.
    surprise: f64,
    /// Entries that usually come in it.
    usually: f64,
}

/// What is usual in one hour of the week.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    surprise: f64,
    mean: f64,
}

struct Habit(Vec<Slot>);

impl Habit {
    /// The habit before a gap; none where too few weeks are known.
    fn before(heard: &Heard<'_>, weeks: u32, calendar: &Calendar, gap: Timestamp) -> Option<Self> {
        let end = gap.as_second().div_euclid(HOUR);
        let first = *heard.hours.keys().next()?;
        let start = first.max(end - WEEKS * WEEK);
        if end - first < i64::from(weeks.max(1)) * WEEK {
            return None;
        }
        let mut counts: Vec<Vec<i64>> = vec![Vec::new(); usize::try_from(WEEK).unwrap_or(0)];
        let mut known = heard.hours.range(start..end).peekable();
        for (hour, slot) in slots(calendar, start, end) {
            let count = known.next_if(|(at, _)| **at == hour).map_or(0, |(_, count)| *count);
            if let Some(slot) = counts.get_mut(slot) {
                slot.push(count);
            }
        }
        let present: Vec<f64> = counts
            .iter()
            .map(|weeks| number(weeks.iter().filter(|count| **count > 0).count()) / (number(weeks.len()) + 1.0))
            .collect();
        let day_of = |slot: usize| slot / 24;
        let slots = counts.iter().enumerate().map(|(slot, weeks)| {
            let near = |other: Option<usize>| {
                other.filter(|other| day_of(*other) == day_of(slot)).and_then(|other| present.get(other)).copied()
            };
            let own = present.get(slot).copied().unwrap_or(0.0);
            let smooth =
                (near(slot.checked_sub(1)).unwrap_or(own) + 2.0 * own + near(Some(slot + 1)).unwrap_or(own)) / 4.0;
            let by_presence = -(1.0 - smooth).max(f64::MIN_POSITIVE).ln();
            let by_count = SHAPE * (lower_quartile(weeks) / SHAPE).ln_1p();
            let mean = if weeks.is_empty() { 0.0 } else { total(weeks) / number(weeks.len()) };
            Slot { surprise: by_presence.max(by_count), mean }
        });
        Some(Self(slots.collect()))
    }

    fn weigh(&self, calendar: &Calendar, from: Timestamp, to: Timestamp) -> Weight {
        let (from, to) = (from.as_second(), to.as_second());
        let first = from.div_euclid(HOUR);
        let mut weight = Weight::default();
        for (hour, slot) in slots(calendar, first, (to.div_euclid(HOUR) + 1).min(first + LONGEST)) {
            let seconds = (to.min((hour + 1) * HOUR) - from.max(hour * HOUR)).clamp(0, HOUR);
            let part = f64::from(i32::try_from(seconds).unwrap_or(0)) / 3600.0;
            if let Some(slot) = self.0.get(slot) {
                weight.surprise += slot.surprise * part;
                weight.usually += slot.mean * part;
            }
        }
        weight
    }
}

/// Hours, each with its place in the week, from Monday's first in the hotline's zone; holidays and worked weekends go by
/// what they are.
fn slots(calendar: &Calendar, start: i64, end: i64) -> impl Iterator<Item = (i64, usize)> {
    let at = Timestamp::from_second(start * HOUR).unwrap_or_default();
    let ahead = i64::from(hotline_zone().to_offset(at).seconds()) / HOUR;
    let mut today = (i64::MIN, 0);
    (start..end).map(move |hour| {
        let (day, of_day) = ((hour + ahead).div_euclid(24), (hour + ahead).rem_euclid(24));
        if today.0 != day {
            let date = Date::constant(1970, 1, 1).saturating_add(day.days());
            today = (day, day_kind(calendar, date));
        }
        (hour, today.1 * 24 + usize::try_from(of_day).unwrap_or(0))
    })
}

fn day_kind(calendar: &Calendar, date: Date) -> usize {
    let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
    match calendar.is_working_day(date) {
        Ok(false) if weekday < 5 => 6,
        Ok(true) if weekday >= 5 => 2,
        _ => weekday,
    }
}

fn lower_quartile(counts: &[i64]) -> f64 {
    let mut counts = counts.to_vec();
    counts.sort_unstable();
    counts.get(counts.len() / 4).copied().map_or(0.0, |count| f64::from(i32::try_from(count).unwrap_or(i32::MAX)))
}

fn total(counts: &[i64]) -> f64 {
    f64::from(i32::try_from(counts.iter().sum::<i64>()).unwrap_or(i32::MAX))
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
