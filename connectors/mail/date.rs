//! The Date header: RFC 5322, and what web forms and old programs write in its place.

use jiff::{Timestamp, civil, tz::TimeZone};

use crate::{
    clock::ZONE,
    complaint::{Precision, Stamp},
};

/// The longest value that is read, in characters.
const MAX_DATE: usize = 100;

/// Mail before this year is a clock that was never set.
const FIRST_YEAR: i16 = 1990;

/// The moment that a Date header tells, or what is wrong with it in words.
pub(super) fn read(value: Option<&str>) -> Result<Stamp, &'static str> {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return Err("the mail has no date");
    };
    let value: String = value.chars().take(MAX_DATE).collect();
    let stamp = told(&value).ok_or("the mail's date cannot be read")?;
    let year = TimeZone::UTC.to_datetime(stamp.at).year();
    if year < FIRST_YEAR { Err("the mail's date lies before there was mail") } else { Ok(stamp) }
}

fn told(value: &str) -> Option<Stamp> {
    // In mail of this country CST is China's time, not the American one that RFC 822 means.
    let value = if value.ends_with(" CST") { value.replace(" CST", " +0800") } else { value.to_owned() };
    if value.starts_with(|first: char| first.is_ascii_digit()) && year_first(&value) {
        return numeric(&value);
    }
    if let Ok(seconds) = mailparse::dateparse(&value)
        && value.contains(':')
    {
        let zoned = value.contains(['+', '-']) || value.ends_with('Z') || value.contains("GMT") || value.contains("UT");
        let at = Timestamp::from_second(seconds).ok()?;
        if zoned || value.ends_with("ST") || value.ends_with("DT") {
            return Some(Stamp::second(at));
        }
        return local(TimeZone::UTC.to_datetime(at), Precision::Second);
    }
    numeric(&value)
}

fn year_first(value: &str) -> bool {
    value.bytes().take_while(u8::is_ascii_digit).count() == 4
}

/// Year, month, day, and perhaps a time, in figures: `2026-03-05 10:11:12`, `2026年3月5日 10:11`, `2026/3/5T10:11:12+08:00`.
fn numeric(value: &str) -> Option<Stamp> {
    if let Ok(at) = value.parse::<Timestamp>() {
        return Some(Stamp::second(at));
    }
    let mut numbers = value.split(|character: char| !character.is_ascii_digit()).filter(|number| !number.is_empty());
    let year: i16 = numbers.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month = numbers.next()?.parse().ok()?;
    let day = numbers.next()?.parse().ok()?;
    let date = civil::Date::new(year, month, day).ok()?;
    let mut next = || numbers.next().and_then(|number| number.parse::<i8>().ok());
    let (Some(hour), Some(minute)) = (next(), next()) else { return Stamp::day(date) };
    let second = next();
    let hour = if value.contains("下午") && hour < 12 { hour + 12 } else { hour };
    let time = civil::Time::new(hour, minute, second.unwrap_or(0), 0).ok()?;
    local(date.to_datetime(time), if second.is_some() { Precision::Second } else { Precision::Minute })
}

/// A time without a zone is the city's.
fn local(time: civil::DateTime, precision: Precision) -> Option<Stamp> {
    let zone = TimeZone::get(ZONE).ok()?;
    Some(Stamp { at: zone.to_timestamp(time).ok()?, precision })
}
