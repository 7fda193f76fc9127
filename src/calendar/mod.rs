//! Working days and working hours: when a deadline of the regulation falls.
//!
//! Articles 14 and 15 of 辽市政发〔2017〕58号 count in working days (工作日). Which days those are is decided anew each
//! year by the State Council, which moves working days onto weekends (调休), so no rule can compute them: they are data,
//! shipped in `days.tsv` and extended by a file of the operator's. A year that is not in the data is an error, never a
//! guess: a due time that is wrong by a week of holidays does a citizen more harm than one that is still missing.

mod days;
mod hours;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::Path,
};

use jiff::{SignedDuration, Timestamp, civil::Date};

pub use self::{
    days::{BadDays, Problem},
    hours::{BadHours, HoursSettings, Period, WorkingHours},
};

/// The days that came with this version.
const SHIPPED: &str = include_str!("days.tsv");
/// Bytes of a calendar file; a year takes about 1 KiB.
const LONGEST_FILE: u64 = 1024 * 1024;

/// A year whose working days are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the working days of {0} are not known: take them from the State Council's holiday notice (it comes out each \
     November) into the calendar file named in the configuration, beginning with the line \"{0}<tab>year\", or install \
     a version that has them"
)]
pub struct UnknownYear(pub i16);

/// Why a calendar file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// It cannot be read.
    #[error("the calendar file {path} cannot be read: {error}; check the path and that the gateway may read it")]
    Read {
        /// Which file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is larger than any calendar.
    #[error("the calendar file {path} is larger than 1 MiB: it is not a calendar")]
    TooLarge {
        /// Which file.
        path: String,
    },
    /// A line cannot be understood.
    #[error("the calendar file {path}: {error}")]
    Bad {
        /// Which file.
        path: String,
        /// Which line, and why.
        error: BadDays,
    },
}

/// Which days are worked, and when on those days.
///
/// The default knows no year.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    years: BTreeSet<i16>,
    /// Days that differ from, or are named beside, plain Monday to Friday; true where worked.
    days: BTreeMap<Date, bool>,
    hours: WorkingHours,
}

impl Calendar {
    /// The calendar that came with this version: 2004 to 2026.
    pub fn shipped() -> Self {
        // A test parses the shipped data; were it broken, every year would be unknown, which is said and not guessed.
        Self::parse(SHIPPED).unwrap_or_default()
    }

    /// The shipped calendar, extended by a file of the operator's.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 1 MiB or holds a line that cannot be understood.
    pub fn open(path: &Path) -> Result<Self, CalendarError> {
        let name = || path.display().to_string();
        let read = |error| CalendarError::Read { path: name(), error };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(LONGEST_FILE + 1).read_to_string(&mut text).map_err(read)?;
        if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST_FILE) {
            return Err(CalendarError::TooLarge { path: name() });
        }
        let extension = Self::parse(&text).map_err(|error| CalendarError::Bad { path: name(), error })?;
        Ok(Self::shipped().extended(extension))
    }

    /// Reads a calendar: one day a line, with its kind and, if wanted, its name.
    ///
    /// ```text
    /// 2027             year
    /// 2027-01-01       holiday   元旦
    /// 2027-01-03       workday   元旦调休
    /// ```
    ///
    /// `year` says that all days of the year that differ from Monday to Friday are listed; days of a year that is not
    /// so declared only change what another file declares. Empty lines and lines that begin with `#` do not count.
    ///
    /// # Errors
    /// The first line that cannot be understood, or that contradicts an earlier one.
    pub fn parse(text: &str) -> Result<Self, BadDays> {
        let (years, days) = days::parse(text)?;
        Ok(Self { years, days, hours: WorkingHours::default() })
    }

    /// This calendar, with the days and years of `extension` taking precedence; the working hours stay.
    #[must_use]
    pub fn extended(mut self, extension: Self) -> Self {
        self.years.extend(extension.years);
        self.days.extend(extension.days);
        self
    }

    /// This calendar with other working hours.
    #[must_use]
    pub fn with_hours(mut self, hours: WorkingHours) -> Self {
        self.hours = hours;
        self
    }

    /// The last year that is known, counted on from the first without a gap; for telling the operator in time.
    pub fn last_year(&self) -> Option<i16> {
        let first = *self.years.first()?;
        (first..).zip(&self.years).take_while(|(expected, year)| expected == *year).last().map(|(_, year)| *year)
    }

    /// Whether `date` is a working day.
    ///
    /// # Errors
    /// The year is not in the data.
    pub fn is_working_day(&self, date: Date) -> Result<bool, UnknownYear> {
        if !self.years.contains(&date.year()) {
            return Err(UnknownYear(date.year()));
        }
        let weekday = || date.weekday().to_monday_zero_offset() < 5;
        Ok(self.days.get(&date).copied().unwrap_or_else(weekday))
    }

    /// When `n` working days from `from` are over: the time to completion of Article 15, the extension of Article 16.
    ///
    /// The day of `from` does not count (民法典 Article 201: 开始的当日不计入,自下一日开始计算), whatever the hour and
    /// whether it is worked or not; the working days after it count; the time ends when work ends on the `n`-th. What
    /// comes in on a Saturday has therefore the Monday as its first day, as what came in on the Friday before has.
    /// Days are those of the working hours' zone. With `n` = 0 it is `from` itself.
    ///
    /// # Errors
    /// The count runs into a year that is not in the data.
    pub fn add_working_days(&self, from: Timestamp, n: u16) -> Result<Timestamp, UnknownYear> {
        let mut date = self.hours.date(from);
        let mut left = n;
        while left > 0 {
            date = next(date)?;
            left -= u16::from(self.is_working_day(date)?);
        }
        if n == 0 {
            return Ok(from);
        }
        self.hours.close(date).ok_or(UnknownYear(date.year()))
    }

    /// When `hours` of working time from `from` are over: 工作日8小时内, Article 14.
    ///
    /// Time counts only within the working hours of working days. A span that is used up exactly when work ends is over
    /// then, not when work is taken up again. With `hours` = 0 it is `from` itself.
    ///
    /// # Errors
    /// The count runs into, or `from` lies in, a year that is not in the data.
    pub fn add_working_hours(&self, from: Timestamp, hours: u16) -> Result<Timestamp, UnknownYear> {
        let mut left = SignedDuration::from_hours(i64::from(hours));
        if left.is_zero() {
            return Ok(from);
        }
        let mut date = self.hours.date(from);
        loop {
            if self.is_working_day(date)? {
                let periods = self.hours.on(date).ok_or(UnknownYear(date.year()))?;
                for (start, end) in periods {
                    let start = start.max(from);
                    let length = end.duration_since(start).max(SignedDuration::ZERO);
                    if length >= left {
                        return start.checked_add(left).map_err(|_| UnknownYear(date.year()));
                    }
                    left -= length;
                }
            }
            date = next(date)?;
        }
    }
}

/// The day after; the year is unknown where there is none.
fn next(date: Date) -> Result<Date, UnknownYear> {
    date.tomorrow().map_err(|_| UnknownYear(date.year()))
}

#[cfg(test)]
mod tests;
