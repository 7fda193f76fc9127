//! The hours that are worked on a working day.

use connectors::clock::ZONE;
use jiff::{
    Timestamp,
    civil::{Date, Time, time},
    tz::{self, TimeZone},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spells of work in a day; an office has two.
const MOST_PERIODS: usize = 8;

/// When work is done on a working day, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HoursSettings {
    /// Name of the time zone in the IANA database.
    pub zone: String,
    /// The spells of work of a day, in order, at most eight.
    pub periods: Vec<Period>,
}

/// A spell of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// When it begins, as 08:30.
    #[schemars(with = "String")]
    pub from: Time,
    /// When it ends, as 12:00.
    #[schemars(with = "String")]
    pub to: Time,
}

impl Default for HoursSettings {
    /// 08:30 to 12:00 and 13:00 to 17:30 in Liaoyang: eight hours.
    fn default() -> Self {
        let periods = vec![
            Period { from: time(8, 30, 0, 0), to: time(12, 0, 0, 0) },
            Period { from: time(13, 0, 0, 0), to: time(17, 30, 0, 0) },
        ];
        Self { zone: ZONE.to_owned(), periods }
    }
}

/// Why working hours cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHours {
    /// The zone is not known.
    #[error("{0:?} is no time zone of the IANA database: write Asia/Shanghai")]
    Zone(String),
    /// No spell of work, or too many.
    #[error("a day has {0} spells of work: give from one to eight")]
    Count(usize),
    /// A spell ends before it begins, or begins before the one before it has ended.
    #[error(
        "the spell of work from {from} to {to} is empty or begins before the one before it ends: put them in order"
    )]
    Order {
        /// When it begins.
        from: Time,
        /// When it ends.
        to: Time,
    },
}

/// When work is done on a working day: at least one spell, in order, none overlapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingHours {
    zone: TimeZone,
    periods: Vec<Period>,
}

impl Default for WorkingHours {
    /// The hours of [`HoursSettings::default`].
    fn default() -> Self {
        // The zone's database is built in; China has kept this offset since 1991.
        let zone = TimeZone::get(ZONE).unwrap_or_else(|_| TimeZone::fixed(tz::offset(8)));
        Self { zone, periods: HoursSettings::default().periods }
    }
}

impl TryFrom<&HoursSettings> for WorkingHours {
    type Error = BadHours;

    fn try_from(settings: &HoursSettings) -> Result<Self, BadHours> {
        let zone = TimeZone::get(&settings.zone).map_err(|_| BadHours::Zone(settings.zone.clone()))?;
        let periods = &settings.periods;
        if periods.is_empty() || periods.len() > MOST_PERIODS {
            return Err(BadHours::Count(periods.len()));
        }
        let mut ended = Time::MIN;
        for Period { from, to } in periods.iter().copied() {
            if from < ended || to <= from {
                return Err(BadHours::Order { from, to });
            }
            ended = to;
        }
        Ok(Self { zone, periods: periods.clone() })
    }
}

impl WorkingHours {
    /// The day on which `moment` falls.
    pub fn date(&self, moment: Timestamp) -> Date {
        self.zone.to_datetime(moment).date()
    }

    /// The spells of work of a day; `None` where the day lies beyond what a timestamp holds.
    pub(super) fn on(&self, date: Date) -> Option<Vec<(Timestamp, Timestamp)>> {
        let periods = self.periods.iter();
        periods.map(|period| Some((self.moment(date, period.from)?, self.moment(date, period.to)?))).collect()
    }

    /// When work ends on a day; `None` where the day lies beyond what a timestamp holds.
    pub(super) fn close(&self, date: Date) -> Option<Timestamp> {
        self.periods.last().and_then(|period| self.moment(date, period.to))
    }

    fn moment(&self, date: Date, time: Time) -> Option<Timestamp> {
        self.zone.to_timestamp(date.to_datetime(time)).ok()
    }
}
