//! Reads the times that sources tell. Exports mix forms inside one file, boards count seconds or milliseconds, and
//! hardly any of them names a zone: each form is tried in the order that the connector's settings give, everything
//! without a zone means Asia/Shanghai, and the precision says how much of the moment was told.

use std::sync::LazyLock;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    fmt::strtime::BrokenDownTime,
    tz::TimeZone,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    clock::ZONE,
    complaint::{Precision, Stamp},
};

/// The longest text that is looked at, in bytes; a longer one is no time.
pub const MAX_TEXT: usize = 80;

/// The years that a time may lie in. Outside of them it is a placeholder (0, 1900-01-01, 9999-12-31) or a wrong form.
pub const YEARS: std::ops::RangeInclusive<i16> = 1990..=2099;

/// A form in which a source tells a time. Without a zone of its own a time is in Asia/Shanghai.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// Seconds since 1970-01-01T00:00Z, as a number or as text.
    EpochSeconds,
    /// Milliseconds since 1970-01-01T00:00Z, as a number or as text.
    EpochMillis,
    /// RFC 3339, with its offset: `2020-01-06T12:09:38+08:00`.
    Rfc3339,
    /// Year, month, day and perhaps a time of day, as people and programs write them: `2020/1/6 12:09:38`,
    /// `2020-01-06 12:09`, `2020-01-06`, `2020年1月6日 下午3时5分`, `2020.1.6`. The precision is what was written.
    Civil,
    /// Digits alone: `20200106`, `202001061209` or `20200106120938`.
    Compact,
    /// Days since 1899-12-30 as spreadsheets count them (43836.5 is 2020-01-06 12:00); a whole number is a day.
    ExcelSerial,
    /// A pattern of `strftime`, such as `%d.%m.%Y %H:%M`; the precision is what the pattern asks for.
    Pattern(String),
}

impl TimeFormat {
    /// What serves most sources that tell times as text.
    pub fn common() -> Vec<Self> {
        vec![Self::Rfc3339, Self::Civil]
    }
}

/// Reads a time in the first of the forms that fits and gives a year that can be right ([`YEARS`]); `None` where none does.
pub fn parse(text_or_number: &Value, formats: &[TimeFormat]) -> Option<Stamp> {
    let text = match text_or_number {
        Value::String(text) if text.len() <= MAX_TEXT => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    if text.is_empty() {
        return None;
    }
    formats.iter().find_map(|format| parse_as(&text, format).filter(|stamp| plausible(*stamp)))
}

fn plausible(stamp: Stamp) -> bool {
    shanghai().is_some_and(|zone| YEARS.contains(&zone.to_datetime(stamp.at).year()))
}

/// What is wrong with a form, in words; `None` where it can work.
pub fn mistake(format: &TimeFormat) -> Option<String> {
    let TimeFormat::Pattern(pattern) = format else { return None };
    if pattern.len() > MAX_TEXT {
        return Some(format!("the pattern is longer than {MAX_TEXT} bytes"));
    }
    // What a pattern writes it must be able to read; an unknown directive fails both ways.
    let probe = DateTime::constant(2020, 11, 16, 12, 9, 38, 0);
    let written = match jiff::fmt::strtime::format(pattern, probe) {
        Ok(written) => written,
        Err(error) => return Some(format!("the pattern cannot be used: {error}")),
    };
    match parse_as(&written, format) {
        Some(_) => None,
        None => Some("the pattern must tell the year, the month and the day, without a zone's name".to_owned()),
    }
}

fn parse_as(text: &str, format: &TimeFormat) -> Option<Stamp> {
    match format {
        TimeFormat::EpochSeconds => Timestamp::from_second(integer(text)?).ok().map(Stamp::second),
        TimeFormat::EpochMillis => Timestamp::from_millisecond(integer(text)?).ok().map(Stamp::second),
        TimeFormat::Rfc3339 => text.parse::<Timestamp>().ok().map(Stamp::second),
        TimeFormat::Civil => civil(text),
        TimeFormat::Compact => compact(text),
        TimeFormat::ExcelSerial => excel_serial(text),
        TimeFormat::Pattern(pattern) => by_pattern(text, pattern),
    }
}

/// A whole number; `1578283778.0`, as some encoders write it, counts.
fn integer(text: &str) -> Option<i64> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok()
}

fn shanghai() -> Option<&'static TimeZone> {
    static SHANGHAI: LazyLock<Option<TimeZone>> = LazyLock::new(|| TimeZone::get(ZONE).ok());
    SHANGHAI.as_ref()
}

fn stamp(date: Date, time: Time, precision: Precision) -> Option<Stamp> {
    if precision == Precision::Day {
        return Stamp::day(date);
    }
    let at = shanghai()?.to_timestamp(DateTime::from_parts(date, time)).ok()?;
    Some(Stamp { at, precision })
}

fn civil(text: &str) -> Option<Stamp> {
    let narrow: String = text.chars().map(narrow).collect();
    let mut scan = Scan { rest: narrow.trim() };
    let year = scan.number(4, 4)?;
    scan.skip_one(&["-", "/", ".", "年"])?;
    let month = scan.number(1, 2)?;
    scan.skip_one(&["-", "/", ".", "月"])?;
    let day = scan.number(1, 2)?;
    let _ = scan.skip_one(&["日", "号"]);
    let date = date(year, month, day)?;
    let _ = scan.skip_one(&["T"]);
    scan.skip_weekday();
    if scan.rest.is_empty() {
        return Stamp::day(date);
    }
    let half = scan.half_of_day();
    let hour = in_half(scan.number(1, 2)?, half)?;
    scan.skip_one(&[":", "时", "点"])?;
    if scan.rest.is_empty() {
        // The hour alone is not a precision that we keep.
        Time::new(hour, 0, 0, 0).ok()?;
        return Stamp::day(date);
    }
    let minute = i8::try_from(scan.number(1, 2)?).ok()?;
    let more = scan.skip_one(&[":", "分"]).is_some();
    if scan.rest.is_empty() {
        return stamp(date, Time::new(hour, minute, 0, 0).ok()?, Precision::Minute);
    }
    if !more {
        return None;
    }
    let second = i8::try_from(scan.number(1, 2)?).ok()?;
    if scan.skip_one(&["."]).is_some() {
        scan.number(1, 9)?;
    }
    let _ = scan.skip_one(&["秒"]);
    if !scan.rest.is_empty() {
        return None;
    }
    stamp(date, Time::new(hour, minute, second, 0).ok()?, Precision::Second)
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Full-width digits and marks, as input methods leave them, in their narrow form.
fn narrow(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => {
            u32::from(character).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(character)
        }
        '\u{3000}' => ' ',
        other => other,
    }
}

#[derive(Clone, Copy)]
enum Half {
    Morning,
    Afternoon,
}

fn in_half(hour: i64, half: Option<Half>) -> Option<i8> {
    let hour = match (half, hour) {
        (Some(Half::Morning), 12) => 0,
        (Some(Half::Afternoon), 1..=11) => hour + 12,
        _ => hour,
    };
    i8::try_from(hour).ok()
}

/// Walks over a time from its beginning; spaces between its parts mean nothing.
struct Scan<'text> {
    rest: &'text str,
}

impl Scan<'_> {
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits < least || digits > most {
            return None;
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest.trim_start();
        number.parse().ok()
    }

    fn skip_one(&mut self, marks: &[&str]) -> Option<()> {
        let rest = marks.iter().find_map(|mark| self.rest.strip_prefix(mark))?;
        self.rest = rest.trim_start();
        Some(())
    }

    fn skip_weekday(&mut self) {
        if self.skip_one(&["星期", "周"]).is_some() {
            let _ = self.skip_one(&["一", "二", "三", "四", "五", "六", "日", "天"]);
        }
    }

    fn half_of_day(&mut self) -> Option<Half> {
        if self.skip_one(&["上午", "凌晨", "早上", "AM"]).is_some() {
            return Some(Half::Morning);
        }
        self.skip_one(&["下午", "晚上", "中午", "PM"]).map(|()| Half::Afternoon)
    }
}

fn compact(text: &str) -> Option<Stamp> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<i8>().ok());
    let year: i16 = text.get(0..4)?.parse().ok()?;
    let date = Date::new(year, part(4, 6)?, part(6, 8)?).ok()?;
    match text.len() {
        8 => Stamp::day(date),
        12 => stamp(date, Time::new(part(8, 10)?, part(10, 12)?, 0, 0).ok()?, Precision::Minute),
        14 => stamp(date, Time::new(part(8, 10)?, part(10, 12)?, part(12, 14)?, 0).ok()?, Precision::Second),
        _ => None,
    }
}

fn excel_serial(text: &str) -> Option<Stamp> {
    const SECONDS_OF_DAY: f64 = 86_400.0;
    // 1990-01-01 and 2099-12-31; below, the 1900 leap-year error of spreadsheets would need a case of its own.
    const DAYS: std::ops::Range<f64> = 32_874.0..73_051.0;
    let serial: f64 = text.parse().ok()?;
    if !DAYS.contains(&serial) {
        return None;
    }
    let day = serial.floor();
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let (days, seconds) = (day as i64, ((serial - day) * SECONDS_OF_DAY).round() as i64);
    let start = Date::constant(1899, 12, 30).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    if seconds == 0 {
        return Stamp::day(start);
    }
    let moment = start.to_datetime(Time::midnight()).checked_add(jiff::SignedDuration::from_secs(seconds)).ok()?;
    stamp(moment.date(), moment.time(), Precision::Second)
}

fn by_pattern(text: &str, pattern: &str) -> Option<Stamp> {
    let parts = BrokenDownTime::parse(pattern, text).ok()?;
    if let Ok(at) = parts.to_timestamp() {
        return Some(Stamp::second(at));
    }
    let date = parts.to_date().ok()?;
    match (parts.hour(), parts.minute(), parts.second()) {
        (Some(_), Some(_), second) => {
            let precision = if second.is_some() { Precision::Second } else { Precision::Minute };
            stamp(date, parts.to_time().ok()?, precision)
        }
        _ => Stamp::day(date),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn all() -> Vec<TimeFormat> {
        use TimeFormat::{Civil, Compact, EpochMillis, EpochSeconds, ExcelSerial, Pattern, Rfc3339};
        vec![
            Rfc3339,
            Civil,
            Compact,
            ExcelSerial,
            EpochSeconds,
            EpochMillis,
            Pattern("%d.%m.%Y %H:%M".to_owned()),
            Pattern("%d/%m/%Y".to_owned()),
        ]
    }

    #[test]
    fn reads_every_form_with_its_precision() {
        use Precision::{Day, Minute, Second};
        let table = [
            (json!(1_578_283_778), "2020-01-06T04:09:38Z", Second),
            (json!("1578283778"), "2020-01-06T04:09:38Z", Second),
            (json!(1_578_283_778.0), "2020-01-06T04:09:38Z", Second),
            (json!(1_578_283_778_123_i64), "2020-01-06T04:09:38.123Z", Second),
            (json!("2020-01-06T12:09:38+08:00"), "2020-01-06T04:09:38Z", Second),
            (json!("2020-01-06T04:09:38Z"), "2020-01-06T04:09:38Z", Second),
            (json!("2020/1/6 12:09:38"), "2020-01-06T04:09:38Z", Second),
            (json!(" 2020-01-06 12:09:38.0 "), "2020-01-06T04:09:38Z", Second),
            (json!("2020-01-06T12:09:38"), "2020-01-06T04:09:38Z", Second),
            (json!("2020-01-06 12:09"), "2020-01-06T04:09:00Z", Minute),
            (json!("2020年1月6日12时9分"), "2020-01-06T04:09:00Z", Minute),
            (json!("2020年1月6日 星期一 下午3:05"), "2020-01-06T07:05:00Z", Minute),
            (json!("２０２０年１月６日　１２：０９"), "2020-01-06T04:09:00Z", Minute),
            (json!("2020年1月6日 上午12点05分20秒"), "2020-01-05T16:05:20Z", Second),
            (json!("2020年1月6日15时"), "2020-01-05T16:00:00Z", Day),
            (json!("2020-01-06"), "2020-01-05T16:00:00Z", Day),
            (json!("2020.1.6"), "2020-01-05T16:00:00Z", Day),
            (json!("2020年1月6日"), "2020-01-05T16:00:00Z", Day),
            (json!("20200106"), "2020-01-05T16:00:00Z", Day),
            (json!("202001061209"), "2020-01-06T04:09:00Z", Minute),
            (json!("20200106120938"), "2020-01-06T04:09:38Z", Second),
            (json!(43_836), "2020-01-05T16:00:00Z", Day),
            (json!("43836.5"), "2020-01-06T04:00:00Z", Second),
            (json!(43_836.999_999_9), "2020-01-06T16:00:00Z", Second),
            (json!("06.01.2020 12:09"), "2020-01-06T04:09:00Z", Minute),
            (json!("06/01/2020"), "2020-01-05T16:00:00Z", Day),
        ];
        for (value, expected, precision) in table {
            let expected = Stamp { at: expected.parse().unwrap(), precision };
            assert_eq!(parse(&value, &all()), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for value in [
            json!(null),
            json!(true),
            json!(""),
            json!("  "),
            json!(0),
            json!("0"),
            json!("刚刚"),
            json!("2020-13-06"),
            json!("2020-02-30"),
            json!("2020-01-06 25:00"),
            json!("2020-01-06 12:09:38 and more"),
            json!("1900-01-01"),
            json!("9999-12-31"),
            json!("13800001234 "),
            json!(1e300),
            json!("x".repeat(10_000)),
        ] {
            assert_eq!(parse(&value, &all()), None, "{value}");
        }
    }

    #[test]
    fn the_first_form_with_a_likely_year_decides() {
        let digits = json!("20200106");
        assert_eq!(parse(&digits, &[TimeFormat::EpochSeconds]), None, "a day of 1970 is a placeholder");
        let day = parse(&digits, &[TimeFormat::EpochSeconds, TimeFormat::Compact]);
        assert_eq!(day.map(|stamp| stamp.precision), Some(Precision::Day));
        let either = [TimeFormat::EpochSeconds, TimeFormat::EpochMillis];
        assert_eq!(parse(&json!(1_578_283_778), &either), parse(&json!(1_578_283_778_000_i64), &either));
    }

    #[test]
    fn a_pattern_that_cannot_work_is_named() {
        for (pattern, works) in
            [("%Y-%m-%d %H:%M:%S", true), ("%d.%m.%Y", true), ("%H:%M", false), ("%Q!", false), ("", false)]
        {
            let mistake = mistake(&TimeFormat::Pattern(pattern.to_owned()));
            assert_eq!(mistake.is_none(), works, "{pattern}: {mistake:?}");
        }
        assert_eq!(mistake(&TimeFormat::Civil), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,90}") {
            let _ = parse(&json!(text), &all());
        }

        #[test]
        fn civil_times_come_back(seconds in 631_152_000_i64..4_000_000_000) {
            let at = Timestamp::from_second(seconds).unwrap();
            let moment = TimeZone::get(ZONE).unwrap().to_datetime(at);
            // In the hour that summer time (1986 to 1991) repeats, the earlier reading is taken.
            prop_assume!(moment.year() > 1991);
            let text = format!(
                "{}/{}/{} {}:{:02}:{:02}",
                moment.year(), moment.month(), moment.day(), moment.hour(), moment.minute(), moment.second()
            );
            prop_assert_eq!(parse(&json!(text), &all()), Some(Stamp::second(at)));
        }
    }
}
