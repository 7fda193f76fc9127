//! How often each word piece has been seen: what everybody writes says little about which matter is meant.

use std::sync::LazyLock;

use super::signature::{GRAM_BITS, Signature};

/// Logarithms of one more than every count.
static LOGARITHMS: LazyLock<Box<[f32]>> =
    LazyLock::new(|| (0..=u16::MAX).map(|count| (f32::from(count) + 1.0).ln()).collect());

/// Counts of word pieces over the complaints that were taken in. Its size is fixed: 8 MiB.
#[derive(Debug, Clone)]
pub struct Frequencies {
    counts: Vec<u16>,
    complaints: u32,
    /// Logarithm of how many complaints there are, with those believed to have been.
    logarithm: f32,
    /// Complaints after which all counts are halved, so that old words fade.
    fade: u32,
}

/// Complaints that are believed to have been seen before the first: keeps the first weeks from taking every word for rare.
const PRIOR: f32 = 200.0;

impl Frequencies {
    /// Counts that fade after twice this many complaints.
    pub fn new(complaints: usize) -> Self {
        let fade = u32::try_from(complaints.saturating_mul(2)).unwrap_or(u32::MAX).max(1_000);
        Self { counts: vec![0; 1 << GRAM_BITS], complaints: 0, logarithm: PRIOR.ln(), fade }
    }

    /// Counts a complaint.
    #[expect(clippy::cast_precision_loss, reason = "a weight needs no more than six digits")]
    pub fn add(&mut self, signature: &Signature) {
        if self.complaints >= self.fade {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.complaints /= 2;
        }
        self.complaints += 1;
        self.logarithm = (self.complaints as f32 + PRIOR).ln();
        for gram in &signature.grams {
            if let Some(count) = self.counts.get_mut(*gram as usize) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// In how many complaints a word piece was seen.
    pub(super) fn of(&self, gram: u32) -> u16 {
        self.counts.get(gram as usize).copied().unwrap_or(0)
    }

    /// How many complaints were counted.
    pub(super) fn complaints(&self) -> u32 {
        self.complaints
    }

    /// What a word piece weighs: the rarer, the more.
    pub(super) fn weight(&self, gram: u32) -> f32 {
        let seen = LOGARITHMS.get(usize::from(self.of(gram))).copied().unwrap_or(0.0);
        let rarity = (self.logarithm - seen).max(0.1);
        rarity * rarity.sqrt()
    }

    /// What a list of word pieces weighs.
    pub(super) fn total(&self, grams: &[u32]) -> f32 {
        grams.iter().map(|gram| self.weight(*gram)).sum()
    }

    /// What two sorted lists have in common weighs.
    pub(super) fn shared(&self, left: &[u32], right: &[u32]) -> f32 {
        let (mut here, mut there, mut sum) = (0, 0, 0.0);
        while let (Some(one), Some(other)) = (left.get(here), right.get(there)) {
            match one.cmp(other) {
                std::cmp::Ordering::Less => here += 1,
                std::cmp::Ordering::Greater => there += 1,
                std::cmp::Ordering::Equal => {
                    sum += self.weight(*one);
                    here += 1;
                    there += 1;
                }
            }
        }
        sum
    }
}
