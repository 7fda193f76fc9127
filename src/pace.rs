//! How often a connector may ask its source, and how long it waits after a failure.

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use connectors::{
    fault::{Fault, FaultClass},
    http::Pace,
};
use governor::{DefaultDirectRateLimiter, Quota};

/// A connector's rate, kept by governor.
pub struct Governed(DefaultDirectRateLimiter);

impl Governed {
    /// So many requests a minute, of which `burst` may follow each other at once.
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let rate = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        Self(DefaultDirectRateLimiter::direct(Quota::per_minute(rate).allow_burst(burst)))
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
        self.0.until_ready().await;
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
