use std::io::Write as _;

use jiff::civil::{DateTime, date, time};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    let moment: DateTime = text.parse().unwrap();
    moment.in_tz("Asia/Shanghai").unwrap().timestamp()
}

fn told(moment: Timestamp) -> String {
    moment.in_tz("Asia/Shanghai").unwrap().strftime("%Y-%m-%dT%H:%M").to_string()
}

#[test]
fn the_shipped_data_is_whole() {
    let calendar = Calendar::parse(SHIPPED).unwrap();
    assert_eq!(calendar.years, (2004..=2026).collect());
    assert_eq!(calendar.last_year(), Some(2026));
    assert!(calendar.days.keys().all(|day| calendar.years.contains(&day.year())));
    // Every year has 245 to 254 working days: 法定节假日 took 10 days a year, then 11, from 2025 on 13.
    for year in 2004..=2026 {
        let days = date(year, 1, 1).series(jiff::Span::new().days(1)).take_while(|day| day.year() == year);
        let worked = days.filter(|day| calendar.is_working_day(*day).unwrap()).count();
        assert!((245..=254).contains(&worked), "{year}: {worked}");
    }
}

#[test]
fn days_are_worked_as_the_state_council_says() {
    let calendar = Calendar::shipped();
    for (day, worked, why) in [
        (date(2026, 1, 1), false, "元旦"),
        (date(2026, 1, 4), true, "元旦调休, a Sunday"),
        (date(2026, 2, 14), true, "春节调休, a Saturday"),
        (date(2026, 2, 16), false, "除夕, a Monday"),
        (date(2026, 2, 28), true, "春节调休, a Saturday"),
        (date(2026, 9, 20), true, "国庆调休, a Sunday"),
        (date(2026, 9, 25), false, "中秋, a Friday"),
        (date(2026, 10, 7), false, "国庆, a Wednesday"),
        (date(2026, 10, 10), true, "国庆调休, a Saturday"),
        (date(2026, 10, 11), false, "a plain Sunday"),
        (date(2026, 11, 23), true, "a plain Monday"),
        (date(2020, 1, 31), false, "春节 prolonged by the epidemic"),
        (date(2015, 9, 3), false, "抗战胜利70周年"),
        (date(2017, 12, 27), true, "the day the regulation was made"),
    ] {
        assert_eq!(calendar.is_working_day(day), Ok(worked), "{day}: {why}");
    }
}

#[test]
fn a_year_without_data_is_an_error_that_says_what_to_do() {
    let calendar = Calendar::shipped();
    assert_eq!(calendar.is_working_day(date(2027, 1, 4)), Err(UnknownYear(2027)));
    assert_eq!(calendar.is_working_day(date(2003, 12, 31)), Err(UnknownYear(2003)));
    assert_eq!(calendar.add_working_days(at("2026-12-28T10:00"), 3), Ok(at("2026-12-31T17:30")));
    assert_eq!(calendar.add_working_days(at("2026-12-28T10:00"), 4), Err(UnknownYear(2027)));
    assert_eq!(calendar.add_working_hours(at("2026-12-31T10:00"), 8), Err(UnknownYear(2027)));
    assert_eq!(Calendar::default().add_working_days(at("2026-03-02T10:00"), 1), Err(UnknownYear(2026)));
    let message = UnknownYear(2027).to_string();
    assert!(message.contains("2027") && message.contains("calendar file"), "{message}");
}

#[test]
fn completion_falls_due_by_article_15() {
    let calendar = Calendar::shipped();
    for (received, days, due, why) in [
        ("2026-11-23T09:00", 3, "2026-11-26T17:30", "the day of reception does not count"),
        ("2026-11-23T00:00", 3, "2026-11-26T17:30", "whatever the hour"),
        ("2026-11-23T23:59", 3, "2026-11-26T17:30", "even after work"),
        ("2026-11-20T16:00", 3, "2026-11-25T17:30", "a weekend between"),
        ("2026-11-21T16:00", 3, "2026-11-25T17:30", "in on a Saturday: Monday is the first day"),
        ("2026-11-22T16:00", 3, "2026-11-25T17:30", "in on a Sunday likewise"),
        ("2026-09-30T10:00", 3, "2026-10-10T17:30", "over 国庆, ending on a worked Saturday"),
        ("2026-09-30T10:00", 10, "2026-10-20T17:30", "投诉举报 over 国庆"),
        ("2026-10-03T10:00", 3, "2026-10-10T17:30", "in during 国庆"),
        ("2026-02-12T10:00", 3, "2026-02-24T17:30", "over 春节, with the worked Saturday before it"),
        ("2026-02-13T10:00", 5, "2026-02-27T17:30", "建议 over 春节"),
        ("2026-02-13T10:00", 7, "2026-03-02T17:30", "求助 over 春节, with the worked Saturday after it"),
        ("2025-12-29T10:00", 3, "2026-01-04T17:30", "over the new year, onto a worked Sunday"),
        ("2026-09-20T10:00", 1, "2026-09-21T17:30", "in on a worked Sunday"),
        ("2026-11-23T09:00", 0, "2026-11-23T09:00", "no time at all"),
    ] {
        assert_eq!(calendar.add_working_days(at(received), days).map(told), Ok(due.to_owned()), "{received}: {why}");
    }
}

#[test]
fn assignment_falls_due_by_article_14() {
    let calendar = Calendar::shipped();
    for (received, hours, due, why) in [
        ("2026-11-23T08:30", 8, "2026-11-23T17:30", "a whole day ends that day"),
        ("2026-11-23T03:00", 8, "2026-11-23T17:30", "before work"),
        ("2026-11-23T10:00", 8, "2026-11-24T10:00", "on the next day"),
        ("2026-11-23T12:30", 8, "2026-11-24T12:00", "in the noon break, ending at noon"),
        ("2026-11-23T17:30", 8, "2026-11-24T17:30", "as work ends"),
        ("2026-11-20T16:00", 8, "2026-11-23T16:00", "over a weekend"),
        ("2026-11-21T16:00", 8, "2026-11-23T17:30", "in on a Saturday"),
        ("2026-09-30T17:00", 8, "2026-10-08T17:00", "over 国庆"),
        ("2026-10-09T17:00", 8, "2026-10-10T17:00", "onto a worked Saturday"),
        ("2026-11-23T11:30", 1, "2026-11-23T13:30", "over the noon break"),
        ("2026-11-21T16:00", 0, "2026-11-21T16:00", "no time at all"),
    ] {
        assert_eq!(calendar.add_working_hours(at(received), hours).map(told), Ok(due.to_owned()), "{received}: {why}");
    }
}

#[test]
fn a_file_extends_the_shipped_days() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "\u{feff}# 2027\r\n2027\tyear\r\n2027-01-01  holiday 元旦\r\n\r\n2026-12-31\tholiday\t暴雪停工\r\n")
        .unwrap();
    let calendar = Calendar::open(file.path()).unwrap();
    assert_eq!(calendar.last_year(), Some(2027));
    assert_eq!(calendar.is_working_day(date(2026, 12, 31)), Ok(false));
    assert_eq!(calendar.add_working_days(at("2026-12-30T10:00"), 1), Ok(at("2027-01-04T17:30")));
    // One day of a year does not make the year known.
    let calendar = Calendar::shipped().extended(Calendar::parse("2027-01-01 holiday").unwrap());
    assert_eq!(calendar.is_working_day(date(2027, 1, 1)), Err(UnknownYear(2027)));
    assert_eq!(Calendar::parse("2024 year\n2026 year").unwrap().last_year(), Some(2024));
}

#[test]
fn a_file_that_cannot_be_used_says_where() {
    for (text, line, problem) in [
        ("2027", 1, Problem::Kindless),
        ("\n# x\n2027 years", 3, Problem::Kind("years".to_owned())),
        ("2027-02-30 holiday", 1, Problem::Date("2027-02-30".to_owned())),
        ("20270101 holiday", 1, Problem::Date("20270101".to_owned())),
        ("0027 year", 1, Problem::Date("0027".to_owned())),
        ("2027-01-01 year", 1, Problem::Date("2027-01-01".to_owned())),
        ("2027-01-01 holiday\n2027-01-01 workday", 2, Problem::Repeated("2027-01-01".to_owned())),
        ("2027 year\n2027 year", 2, Problem::Repeated("2027".to_owned())),
    ] {
        assert_eq!(Calendar::parse(text), Err(BadDays { line, problem }), "{text:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let missing = Calendar::open(&directory.path().join("missing.tsv")).unwrap_err();
    assert!(missing.to_string().contains("missing.tsv"), "{missing}");
    let large = directory.path().join("large.tsv");
    std::fs::write(&large, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(matches!(Calendar::open(&large), Err(CalendarError::TooLarge { .. })));
    std::fs::write(&large, "x").unwrap();
    assert!(Calendar::open(&large).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn hours_are_those_of_the_settings() {
    let settings: HoursSettings =
        toml::from_str("zone = \"Asia/Urumqi\"\nperiods = [{ from = \"10:00\", to = \"14:00\" }]").unwrap();
    let calendar = Calendar::shipped().with_hours(WorkingHours::try_from(&settings).unwrap());
    let (from, due) = ("2026-11-23T09:00+06", "2026-11-24T14:00+06");
    let (from, due): (Timestamp, Timestamp) = (from.parse().unwrap(), due.parse().unwrap());
    assert_eq!(calendar.add_working_hours(from, 8), Ok(due));
    assert_eq!(calendar.add_working_days(from, 1), Ok(due));
    assert_eq!(WorkingHours::try_from(&HoursSettings::default()), Ok(WorkingHours::default()));
}

#[test]
fn hours_that_cannot_be_used_are_refused() {
    let period = |from, to| Period { from: time(from, 0, 0, 0), to: time(to, 0, 0, 0) };
    for (periods, error) in [
        (vec![], BadHours::Count(0)),
        (vec![period(1, 2); 9], BadHours::Count(9)),
        (vec![period(9, 9)], BadHours::Order { from: time(9, 0, 0, 0), to: time(9, 0, 0, 0) }),
        (vec![period(8, 12), period(11, 17)], BadHours::Order { from: time(11, 0, 0, 0), to: time(17, 0, 0, 0) }),
    ] {
        let settings = HoursSettings { periods, ..HoursSettings::default() };
        assert_eq!(WorkingHours::try_from(&settings), Err(error));
    }
    let settings = HoursSettings { zone: "Asia/Liaoyang".to_owned(), ..HoursSettings::default() };
    assert_eq!(WorkingHours::try_from(&settings), Err(BadHours::Zone("Asia/Liaoyang".to_owned())));
}

/// Any second from 2004 to the middle of 2026.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    (at("2004-01-01T00:00").as_second()..at("2026-07-01T00:00").as_second())
        .prop_map(|second| Timestamp::from_second(second).unwrap())
}

proptest! {
    #[test]
    fn what_comes_later_is_due_no_earlier(first in any_moment(), later in 0..2_000_000_i64, n in 0..30_u16) {
        let calendar = Calendar::shipped();
        let second = first.checked_add(SignedDuration::from_secs(later)).unwrap();
        let days = |from| calendar.add_working_days(from, n).unwrap();
        prop_assert!(days(first) <= days(second));
        let hours = |from| calendar.add_working_hours(from, n).unwrap();
        prop_assert!(hours(first) <= hours(second));
    }

    #[test]
    fn more_time_ends_later(from in any_moment(), n in 0..30_u16) {
        let calendar = Calendar::shipped();
        let days = |n| calendar.add_working_days(from, n).unwrap();
        prop_assert!(from <= days(n) && days(n) < days(n + 1));
        let hours = |n| calendar.add_working_hours(from, n).unwrap();
        prop_assert!(from <= hours(n) && hours(n) < hours(n + 1));
    }

    #[test]
    fn time_ends_on_a_working_day_and_adds_up(from in any_moment(), n in 1..15_u16, m in 1..15_u16) {
        let calendar = Calendar::shipped();
        let due = calendar.add_working_days(from, n).unwrap();
        prop_assert_eq!(calendar.is_working_day(calendar.hours.date(due)), Ok(true));
        prop_assert_eq!(calendar.add_working_days(due, m), calendar.add_working_days(from, n + m));
        let due = calendar.add_working_hours(from, n).unwrap();
        prop_assert_eq!(calendar.is_working_day(calendar.hours.date(due)), Ok(true));
        prop_assert_eq!(calendar.add_working_hours(due, m), calendar.add_working_hours(from, n + m));
    }

    #[test]
    fn no_text_breaks_the_reader(text in "([0-9]{4}(-[01][0-9]-[0-3][0-9])?[ \t](year|holiday|workday|x)?\n|.{0,30}\n){0,20}") {
        if let Ok(calendar) = Calendar::parse(&text) {
            prop_assert!(calendar.years.len() + calendar.days.len() <= text.lines().count());
        }
    }
}
