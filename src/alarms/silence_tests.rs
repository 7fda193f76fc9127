//! Weeks of a channel's life, replayed by a clock that is moved by hand.

use jiff::{SignedDuration, Timestamp};

use super::*;

const RULES: SilenceRules = SilenceRules { weeks: 3, odds: 100_000.0, at_least: 3600, limit: None };

/// Random numbers from 0 to 1 that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// How many come in a time in which so many come on average (Knuth).
    fn poisson(&mut self, mean: f64) -> i64 {
        let (bound, mut product, mut count) = ((-mean).exp(), self.next(), 0);
        while product > bound {
            product *= self.next();
            count += 1;
        }
        count
    }
}

/// A channel, with how many entries come on average in an hour of a working day, by hour; what comes on a day off is a
/// tenth of it.
struct Life {
    hours: BTreeMap<i64, i64>,
    last_entry: Option<Timestamp>,
    watched_since: Timestamp,
    now: Timestamp,
    calendar: Calendar,
    random: Random,
}

fn day_shift(hour: i8) -> f64 {
    match hour {
        8..=17 => 1.0,
        6..=7 | 18..=21 => 0.2,
        _ => 0.02,
    }
}

impl Life {
    fn new(start: &str, seed: u64) -> Self {
        let start: Timestamp = start.parse().unwrap();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        Self {
            hours: BTreeMap::new(),
            last_entry: None,
            watched_since: start,
            now: start,
            calendar: Calendar::shipped(),
            random,
        }
    }

    fn judge(&self) -> Judgement {
        self.judge_by(&RULES)
    }

    fn judge_by(&self, rules: &SilenceRules) -> Judgement {
        let heard = Heard { hours: &self.hours, last_entry: self.last_entry, watched_since: self.watched_since };
        judge(&heard, rules, &self.calendar, self.now)
    }

    fn entries(&mut self, count: i64) {
        if count > 0 {
            // The moment belongs to the hour that ends with it.
            *self.hours.entry((self.now.as_second() - 1).div_euclid(HOUR)).or_default() += count;
            self.last_entry = Some(self.now);
        }
    }

    /// Goes on for an hour in which `rate` entries come at the busiest time, and looks at its end. How often it was silent.
    fn hour(&mut self, rate: f64, speaks: bool) -> usize {
        let local = hotline_zone().to_datetime(self.now);
        let rest = if day_kind(&self.calendar, local.date()) >= 5 { 0.1 } else { 1.0 };
        for _ in 0..4 {
            self.now += SignedDuration::from_mins(15);
            if speaks {
                let count = self.random.poisson(rate * rest * day_shift(local.hour()) / 4.0);
                self.entries(count);
            }
        }
        usize::from(matches!(self.judge(), Judgement::Silent { .. }))
    }

    fn live(&mut self, weeks: i64, rate: f64) -> usize {
        (0..weeks * WEEK).map(|_| self.hour(rate, true)).sum()
    }

    /// Hours without an entry until the silence is noticed; at most `longest`.
    fn hours_until_noticed(&mut self, rate: f64, longest: i64) -> Option<i64> {
        (1..=longest).find(|_| self.hour(rate, false) > 0)
    }
}

#[test]
fn a_channel_that_lives_by_its_habit_raises_nothing_for_half_a_year() {
    // From one entry in two weeks to dozens an hour; nights, weekends, the Spring Festival and its worked Sundays included.
    for (seed, rate) in (1..).zip([0.003, 0.3, 5.0, 40.0]) {
        let mut life = Life::new("2025-01-06T00:00:00+08:00", seed);
        assert_eq!(life.live(26, rate), 0, "rate {rate}");
    }
}

#[test]
fn a_channel_that_falls_silent_is_noticed_sooner_the_busier_it_is() {
    // Falls silent on a Tuesday at eight, after ten weeks.
    for (seed, rate, most) in [(1, 40.0, 4), (2, 5.0, 8), (3, 1.0, 36), (4, 0.3, 7 * 24), (5, 0.05, 10 * WEEK)] {
        let mut life = Life::new("2025-03-03T00:00:00+08:00", seed);
        life.live(10, rate);
        for _ in 0..32 {
            life.hour(rate, true);
        }
        let noticed = life.hours_until_noticed(rate, most);
        assert!(noticed.is_some(), "rate {rate}: not within {most} hours");
        // It lasts until an entry comes, also where the silence is longer than all that is remembered.
        for _ in 0..10 {
            life.now += SignedDuration::from_hours(WEEK);
            assert!(matches!(life.judge(), Judgement::Silent { .. }), "rate {rate}");
        }
        life.now += SignedDuration::from_mins(1);
        life.entries(1);
        assert_eq!(life.judge(), Judgement::Usual);
    }
}

#[test]
fn a_night_and_a_weekend_are_no_silence() {
    let mut life = Life::new("2025-03-03T00:00:00+08:00", 7);
    // Only by day, only on working days.
    let mut silent = 0;
    for _ in 0..10 * WEEK {
        let local = hotline_zone().to_datetime(life.now);
        let works = day_kind(&life.calendar, local.date()) < 5 && (8..18).contains(&local.hour());
        silent += life.hour(20.0, works);
    }
    assert_eq!(silent, 0);
}

#[test]
fn the_national_holiday_is_judged_as_sundays() {
    // Ten weeks up to the holiday of October 2025, which lasts from Wednesday the 1st to Wednesday the 8th.
    let mut life = Life::new("2025-07-21T00:00:00+08:00", 11);
    life.live(10, 10.0);
    while hotline_zone().to_datetime(life.now).date() < jiff::civil::date(2025, 10, 1) {
        life.hour(10.0, true);
    }
    let sunday = life.hours.clone();
    assert!(!sunday.is_empty());
    let mut silent = 0;
    for _ in 0..8 * 24 {
        silent += life.hour(10.0, true);
    }
    assert_eq!(silent, 0);
    // The same days without a calendar are working days on which far too little comes.
    let wednesday = jiff::civil::date(2025, 10, 1);
    assert_eq!((day_kind(&Calendar::shipped(), wednesday), day_kind(&Calendar::default(), wednesday)), (6, 2));
    assert_eq!(day_kind(&Calendar::shipped(), jiff::civil::date(2025, 9, 28)), 2, "a worked Sunday");
}

#[test]
fn a_new_connector_is_not_judged_before_its_habit_is_known() {
    let mut life = Life::new("2025-03-03T00:00:00+08:00", 13);
    life.now += SignedDuration::from_hours(2);
    assert_eq!(life.judge(), Judgement::NoHabit, "it never brought anything");
    life.live(2, 10.0);
    for _ in 0..72 {
        life.hour(10.0, false);
    }
    assert_eq!(life.judge(), Judgement::NoHabit, "two weeks are no habit");
    // A hard limit needs no habit.
    let rules = SilenceRules { limit: Some(48 * HOUR), ..RULES };
    assert!(matches!(life.judge_by(&rules), Judgement::Silent { .. }));
    let never = Life { hours: BTreeMap::new(), last_entry: None, ..life };
    assert!(matches!(never.judge_by(&rules), Judgement::Silent { since, .. } if since == never.watched_since));
}

#[test]
fn what_nobody_watched_is_not_held_against_a_channel() {
    let mut life = Life::new("2025-03-03T00:00:00+08:00", 17);
    life.live(10, 10.0);
    for _ in 0..72 {
        life.hour(10.0, false);
    }
    assert!(matches!(life.judge(), Judgement::Silent { .. }));
    // The connector was switched off, or no gateway ran, until a moment ago.
    life.watched_since = life.now - SignedDuration::from_mins(5);
    assert_eq!(life.judge(), Judgement::Usual);
}

#[test]
fn a_flood_of_old_entries_is_no_habit() {
    // Ten thousand old mails come in one hour; then the channel goes on at one in two days.
    let mut life = Life::new("2025-03-03T00:00:00+08:00", 19);
    life.hours.insert(life.now.as_second().div_euclid(HOUR) + 10, 10_000);
    assert_eq!(life.live(16, 0.06), 0);
}
