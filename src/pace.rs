//! How often a connector may ask its source, how often a host is asked by all connectors together, and how long is
//! waited after a failure.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use connectors::{
    fault::{Fault, FaultClass},
    http::Pace,
};
use governor::{DefaultDirectRateLimiter, Jitter, Quota};
use tokio::time::Instant;

/// Hosts whose rate is remembered.
const MAX_HOSTS: usize = 10_000;
/// Silence that a host asked for and that is worth waiting through within one call.
const WORTH_WAITING: Duration = Duration::from_secs(5);

/// When each host may be asked next. Connectors that ask one host share it, so that together they keep the rate that
/// each of them was given; the gateway's processes do not share it.
#[derive(Debug, Default)]
pub struct Hosts(Mutex<BTreeMap<String, Host>>);

#[derive(Debug, Clone, Copy)]
struct Host {
    /// When the requests that were let through would have been due at their even rate.
    due: Instant,
    /// Until when the host has asked to be left alone.
    silent: Instant,
}

impl Hosts {
    fn with<T>(&self, host: &str, now: Instant, change: impl FnOnce(&mut Host) -> T) -> T {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_HOSTS && !hosts.contains_key(host) {
            hosts.retain(|_, host| host.due > now || host.silent > now);
        }
        let mut fresh = Host { due: now, silent: now };
        if hosts.len() >= MAX_HOSTS && !hosts.contains_key(host) {
            // Its connector keeps its own rate all the same.
            return change(&mut fresh);
        }
        change(hosts.entry(host.to_owned()).or_insert(fresh))
    }

    /// Takes the next place in the host's row, for a connector with one request in `interval` and so many at once, and
    /// says how long to wait for it (the generic cell rate algorithm, with one row for all connectors).
    fn reserve(&self, host: &str, interval: Duration, burst: u32, now: Instant) -> Duration {
        self.with(host, now, |host| {
            let due = host.due.max(now);
            host.due = due + interval;
            let early = interval.saturating_mul(burst.saturating_sub(1));
            due.checked_sub(early).map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
        })
    }

    fn silence(&self, host: &str, now: Instant) -> Duration {
        self.with(host, now, |host| host.silent.saturating_duration_since(now))
    }

    fn hold(&self, host: &str, wait: Duration, now: Instant) {
        self.with(host, now, |host| host.silent = host.silent.max(now + wait.min(LONGEST_ASKED)));
    }
}

/// A connector's rate, kept by governor, and its part in the rate of the hosts that it asks.
pub struct Governed {
    limiter: DefaultDirectRateLimiter,
    interval: Duration,
    burst: u32,
    hosts: Arc<Hosts>,
}

impl Governed {
    /// So many requests a minute, of which `burst` may follow each other at once.
    pub fn new(per_minute: u32, burst: u32, hosts: Arc<Hosts>) -> Self {
        let rate = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let limiter = DefaultDirectRateLimiter::direct(Quota::per_minute(rate).allow_burst(burst));
        Self { limiter, interval: Duration::from_mins(1) / rate.get(), burst: burst.get(), hosts }
    }
}

impl std::fmt::Debug for Governed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Governed")
    }
}

#[async_trait]
impl Pace for Governed {
    async fn ready(&self) {
        // Up to a quarter of the interval more, so that nobody's firewall sees a machine's beat.
        self.limiter.until_ready_with_jitter(Jitter::up_to(self.interval / 4)).await;
    }

    async fn ready_at(&self, host: &str) -> Result<(), Fault> {
        let silence = self.hosts.silence(host, Instant::now());
        if silence > WORTH_WAITING {
            return Err(Fault::rate_limited("the host has asked to be left alone for a while", Some(silence)));
        }
        tokio::time::sleep(silence).await;
        self.ready().await;
        let wait = self.hosts.reserve(host, self.interval, self.burst, Instant::now());
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn hold(&self, host: &str, wait: Duration) {
        self.hosts.hold(host, wait, Instant::now());
    }
}

/// The first wait after a failure that may pass.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait after failures that may pass.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// The wait after a failure that a person must mend; it is tried all the same, because sources recover unannounced.
const MENDING_WAIT: Duration = Duration::from_mins(15);
/// The longest that a source may make us wait.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// How long to wait after the `failures`-th failure in a row. `random`, from 0 to 1, spreads connectors that fail together.
pub fn wait_after(fault: &Fault, failures: i64, random: f64) -> Duration {
    let spread = 0.75 + random.clamp(0.0, 1.0) * 0.5;
    let doublings = u32::try_from(failures.clamp(1, 16) - 1).unwrap_or(0);
    let own = match fault.class {
        FaultClass::Transient | FaultClass::RateLimited => {
            FIRST_WAIT.saturating_mul(1_u32 << doublings).min(LONGEST_WAIT)
        }
        FaultClass::Authentication | FaultClass::Configuration | FaultClass::Permanent => MENDING_WAIT,
    };
    let asked = fault.retry_after.unwrap_or_default().min(LONGEST_ASKED);
    own.mul_f64(spread).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connectors_on_one_host_share_its_rate_and_its_silence() {
        let hosts = Arc::new(Hosts::default());
        let governed = |per_minute| Governed::new(per_minute, 1, hosts.clone());
        let (one, other) = (governed(60), governed(60));
        let now = Instant::now();
        // Each by itself would be let through at once.
        let waits = [
            one.hosts.reserve("a:80", one.interval, 1, now),
            other.hosts.reserve("a:80", other.interval, 1, now),
            one.hosts.reserve("b:80", one.interval, 1, now),
            one.hosts.reserve("a:80", one.interval, 1, now),
        ];
        assert_eq!(waits, [0, 1, 0, 2].map(Duration::from_secs));
        assert_eq!(hosts.reserve("c:80", one.interval, 3, now), Duration::ZERO);
        assert_eq!(hosts.reserve("c:80", one.interval, 3, now), Duration::ZERO, "a burst is let through");

        let (one, other) = (governed(60_000), governed(60_000));
        one.hold("a:80", Duration::from_mins(3));
        let fault = other.ready_at("a:80").await.unwrap_err();
        assert_eq!(fault.class, FaultClass::RateLimited);
        assert!(fault.retry_after.is_some_and(|wait| wait > Duration::from_mins(2)), "{fault:?}");
        other.ready_at("d:80").await.unwrap();
        assert_eq!(hosts.silence("a:80", Instant::now() + Duration::from_mins(3)), Duration::ZERO);
        hosts.hold("a:80", Duration::from_hours(1000), now);
        assert_eq!(hosts.silence("a:80", now), LONGEST_ASKED);
    }

    #[test]
    fn waits_grow_to_a_bound_and_respect_what_the_source_asks() {
        let transient = Fault::transient("broken off");
        assert_eq!(wait_after(&transient, 1, 0.5), Duration::from_secs(2));
        assert_eq!(wait_after(&transient, 4, 0.5), Duration::from_secs(16));
        assert_eq!(wait_after(&transient, 1_000_000, 0.5), LONGEST_WAIT);
        assert_eq!(wait_after(&Fault::authentication("refused"), 1, 0.5), MENDING_WAIT);
        let asked = Fault::rate_limited("slow down", Some(Duration::from_mins(10)));
        assert_eq!(wait_after(&asked, 1, 0.5), Duration::from_mins(10));
        let absurd = Fault::rate_limited("slow down", Some(Duration::from_hours(1000)));
        assert_eq!(wait_after(&absurd, 1, 0.5), LONGEST_ASKED);
    }
}
