//! Measures judgement on labelled data: what screening, classifying and matching come to beside what a person said.
//!
//! A rule that reads well may still turn citizens away; only counting tells. Everything here is pure and repeatable: the
//! same file and the same rules print the same figures, intervals included. Labelled texts are read from a file that the
//! caller names; none is part of the program.
//!
//! | module | measures |
//! |---|---|
//! | [`scope`] | disposition, kind and urgency of single messages |
//! | [`daily`] | the gateway's decisions beside what people decided after it |
//! | [`pairs`] | which messages are about one matter, in a stream |
//! | [`repeats`] | one matter told over several channels, through the adapters |

pub mod daily;
pub mod pairs;
pub mod repeats;
pub mod scope;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Which part of a labelled file is measured. Errors are looked at in one part only; the other tells how far that
/// carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The part whose errors may be looked at: three of five.
    Tune,
    /// The part that is only counted: two of five.
    Check,
    /// Both.
    All,
}

impl Split {
    /// The split with that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "tune" => Some(Self::Tune),
            "check" => Some(Self::Check),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    /// Whether a row belongs to it: by a digest of its id, so that no order and no later row moves another.
    pub fn holds(self, id: &str) -> bool {
        let tune = Sha256::digest(id.as_bytes())[0] % 5 < 3;
        match self {
            Self::Tune => tune,
            Self::Check => !tune,
            Self::All => true,
        }
    }
}

/// So many of so many, with the interval of 95 % by Wilson, which stays honest for few and for none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// How many.
    pub hits: usize,
    /// Of how many.
    pub of: usize,
    /// Their share; 0 of none is 0.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Two-sided 95 % point of the normal distribution.
const Z: f64 = 1.959_964;

impl Rate {
    /// So many of so many.
    pub fn new(hits: usize, of: usize) -> Self {
        if of == 0 {
            return Self { hits, of, share: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, share) = (real(of), real(hits) / real(of));
        let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        Self { hits, of, share, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }
}

/// A count as a real number; counts here are far below where that loses anything.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are small")]
pub fn real(count: usize) -> f64 {
    count as f64
}

/// Draws for the bootstrap: a generator of its own, so that intervals are the same at each run.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// Draws from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
        let wide = u128::from(word) * bound as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1000;

/// The interval of 95 % of a figure over rows, by the percentile bootstrap.
pub fn bootstrap<T: Copy>(rows: &[T], figure: impl Fn(&[T]) -> f64) -> (f64, f64) {
    if rows.is_empty() {
        return (0.0, 1.0);
    }
    let mut draws = Draws::new(20_171_227);
    let mut figures: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sample: Vec<T> = (0..rows.len()).map(|_| rows[draws.below(rows.len())]).collect();
            figure(&sample)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    (figures[RESAMPLES / 40], figures[RESAMPLES - 1 - RESAMPLES / 40])
}

/// Why a labelled file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DatasetError {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_share_and_narrows_with_more_rows() {
        let few = Rate::new(1, 10);
        let many = Rate::new(100, 1000);
        assert!(few.low < 0.1 && 0.1 < few.high && many.low < 0.1 && 0.1 < many.high);
        assert!(many.high - many.low < few.high - few.low);
        // Known values: 0 of 100 is at most 3.7 %.
        assert!((Rate::new(0, 100).high - 0.0370).abs() < 0.0005, "{:?}", Rate::new(0, 100));
        assert_eq!(Rate::new(0, 0).share.to_bits(), 0);
    }

    #[test]
    fn the_split_is_stable_and_about_three_to_two() {
        let tune = (0..10_000).filter(|id| Split::Tune.holds(&id.to_string())).count();
        assert!((5700..6300).contains(&tune), "{tune}");
        for id in ["a", "t3-1", ""] {
            assert_ne!(Split::Tune.holds(id), Split::Check.holds(id));
            assert!(Split::All.holds(id));
        }
    }

    #[test]
    fn a_bootstrap_is_repeatable() {
        let rows: Vec<usize> = (0..200).map(|row| usize::from(row % 4 == 0)).collect();
        let share = |rows: &[usize]| real(rows.iter().sum::<usize>()) / real(rows.len());
        let first = bootstrap(&rows, share);
        assert_eq!(first, bootstrap(&rows, share));
        assert!(first.0 < 0.25 && 0.25 < first.1 && first.1 - first.0 < 0.15, "{first:?}");
    }
}
