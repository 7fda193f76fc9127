//! The kind of request (Article 15): consult, suggest, help or complain. Each has its own time to completion, so in
//! doubt the kind with the shortest time among the plausible ones is taken.

use std::collections::HashSet;

use connectors::complaint::Channel;

use super::{
    Kind,
    find::{Found, Part},
    rules::{Role, RuleSet},
    text::normal,
};

/// What classifying comes to.
pub(super) struct Classified {
    /// The likeliest kind.
    pub(super) kind: Kind,
    /// Every kind it may be, the likeliest first.
    pub(super) plausible: Vec<Kind>,
}

impl Classified {
    /// The kind whose time is kept.
    pub(super) fn due(&self) -> Kind {
        self.plausible.iter().copied().min_by_key(|kind| kind.working_days()).unwrap_or(self.kind)
    }
}

/// Weight of a phrase that speaks in short texts only.
const SHORT: u8 = 3;

pub(super) fn classify(
    rules: &RuleSet,
    found: &[Found],
    meaningful: usize,
    (channel, label): (Channel, Option<&str>),
) -> Classified {
    let mut scores = rules.kinds.prior;
    // A phrase counts once, where it is found first: a word repeated is no stronger evidence.
    let mut counted = HashSet::new();
    for one in found {
        let (kind, weight) = match one.role {
            Role::Kind(kind, weight) => (kind, weight),
            Role::ShortKind(kind) if meaningful < rules.kinds.short => (kind, SHORT),
            _ => continue,
        };
        if counted.insert(one.phrase) {
            let factor = if one.part == Part::Head { rules.kinds.head_factor } else { 1 };
            scores[index(kind)] += u32::from(weight) * factor;
        }
    }
    let label = label.map(normal).unwrap_or_default();
    for kind in rules.kinds.labels.get(&label).into_iter().flatten() {
        scores[index(*kind)] += rules.kinds.label_weight;
    }
    for (_, kind, weight) in rules.kinds.channels.iter().filter(|(of, ..)| *of == channel) {
        scores[index(*kind)] += weight;
    }
    let best = scores.iter().copied().max().unwrap_or(0);
    let plausible = |kind: &Kind| scores[index(*kind)] + rules.kinds.margin > best && scores[index(*kind)] > 0;
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(plausible).collect();
    // The sort is stable: of equals the one with the shorter time is first.
    kinds.sort_by_key(|kind| std::cmp::Reverse(scores[index(*kind)]));
    if kinds.is_empty() {
        // A bare account of a grievance: help or complaint.
        kinds = vec![Kind::Help, Kind::Complain];
    }
    Classified { kind: kinds[0], plausible: kinds }
}

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Consult => 0,
        Kind::Suggest => 1,
        Kind::Help => 2,
        Kind::Complain => 3,
    }
}
