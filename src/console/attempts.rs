//! How often somebody may try to log in. Counted by account and by address, in memory and bounded: a name that nobody has is
//! counted as one that somebody has, so that nothing is learnt from it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

/// Attempts for one account before it must wait.
const ACCOUNT_FREE: u32 = 5;
/// Attempts from one address before it must wait; an office may share one.
const ADDRESS_FREE: u32 = 20;
/// The first wait; doubled at each further attempt.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait: a lock-out must not be a weapon against the office.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// How long attempts are remembered.
const MEMORY: Duration = Duration::from_hours(1);
/// Names and addresses remembered; the one that tried longest ago gives way.
const MOST: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Record {
    tried: u32,
    last: Timestamp,
    until: Timestamp,
}

/// Who tried lately.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Who, Record>>);

/// What comes of asking for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Try.
    Granted,
    /// Try; after this one the account must wait.
    Last,
    /// Wait so long.
    Wait(Duration),
}

impl Attempts {
    /// Asks for an attempt, which counts as failed until it is told that it was not.
    pub(super) fn begin(&self, account: &str, address: IpAddr, now: Timestamp) -> Leave {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whos = [(Who::Account(account.to_owned()), ACCOUNT_FREE), (Who::Address(address), ADDRESS_FREE)];
        let wait = whos
            .iter()
            .filter_map(|(who, _)| records.get(who).filter(|record| record.until > now))
            .filter_map(|record| Duration::try_from(record.until.duration_since(now)).ok())
            .max();
        if let Some(wait) = wait {
            return Leave::Wait(wait);
        }
        let mut last = false;
        for (who, free) in whos {
            make_room(&mut records, now);
            let fresh = Record { tried: 0, last: now, until: Timestamp::MIN };
            let record = records.entry(who.clone()).or_insert(fresh);
            record.tried = record.tried.saturating_add(1);
            record.last = now;
            if record.tried >= free {
                let wait = FIRST_WAIT.saturating_mul(1 << (record.tried - free).min(10)).min(LONGEST_WAIT);
                record.until = now.checked_add(wait).unwrap_or(now);
                last |= matches!(who, Who::Account(_));
            }
        }
        if last { Leave::Last } else { Leave::Granted }
    }

    /// Tells that an attempt did not fail.
    pub(super) fn succeeded(&self, account: &str, address: IpAddr) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.remove(&Who::Account(account.to_owned()));
        if let Some(record) = records.get_mut(&Who::Address(address)) {
            record.tried = record.tried.saturating_sub(1);
            record.until = Timestamp::MIN;
        }
    }
}

fn make_room(records: &mut HashMap<Who, Record>, now: Timestamp) {
    if records.len() < MOST {
        return;
    }
    let forgotten = now.checked_sub(MEMORY).unwrap_or(Timestamp::MIN);
    records.retain(|_, record| record.last > forgotten || record.until > now);
    while records.len() >= MOST {
        let Some(oldest) = records.iter().min_by_key(|(_, record)| record.last).map(|(who, _)| who.clone()) else {
            return;
        };
        records.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn too_many_attempts_must_wait_ever_longer() {
        let attempts = Attempts::default();
        let mut now: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        for _ in 1..ACCOUNT_FREE {
            assert_eq!(attempts.begin("wang", address(1), now), Leave::Granted);
        }
        assert_eq!(attempts.begin("wang", address(1), now), Leave::Last);
        assert_eq!(attempts.begin("wang", address(2), now), Leave::Wait(FIRST_WAIT), "from anywhere");
        assert_eq!(attempts.begin("li", address(1), now), Leave::Granted, "others go on");
        now += SignedDuration::from_secs(30);
        assert_eq!(attempts.begin("wang", address(1), now), Leave::Last);
        assert_eq!(attempts.begin("wang", address(1), now), Leave::Wait(2 * FIRST_WAIT));
        now += SignedDuration::from_secs(60);
        attempts.begin("wang", address(1), now);
        attempts.succeeded("wang", address(1));
        assert_eq!(attempts.begin("wang", address(1), now), Leave::Granted);
    }

    #[test]
    fn an_address_that_tries_many_names_must_wait() {
        let attempts = Attempts::default();
        let now: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        let tried = (0..100).take_while(|name| attempts.begin(&format!("n{name}"), address(1), now) == Leave::Granted);
        assert_eq!(tried.count(), usize::try_from(ADDRESS_FREE).unwrap());
        assert_eq!(attempts.begin("wang", address(2), now), Leave::Granted);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        let mut now: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        for number in 0..(2 * MOST) {
            now += SignedDuration::from_millis(1);
            attempts.begin(&format!("n{number}"), address(u8::try_from(number % 250).unwrap()), now);
        }
        assert!(attempts.0.lock().unwrap().len() <= MOST);
    }
}
