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

/// The kind, and whether it is beyond doubt.
pub(super) fn classify(rules: &RuleSet, found: &[Found], channel: Channel, label: Option<&str>) -> (Kind, bool) {
    let mut scores = [0_u32; Kind::ALL.len()];
    // A phrase counts once, where it is found first: a word repeated is no stronger evidence.
    let mut counted = HashSet::new();
    for one in found {
        if let Role::Kind(kind, weight) = one.role
            && counted.insert(one.phrase)
        {
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
    if best == 0 {
        // A bare account of a grievance: help or complaint, and help is due sooner.
        return (Kind::Help, false);
    }
    let plausible = |kind: &Kind| scores[index(*kind)] + rules.kinds.margin > best && scores[index(*kind)] > 0;
    let mut kinds = Kind::ALL.into_iter().filter(plausible);
    let kind = kinds.next().unwrap_or(Kind::Help);
    (kind, kinds.next().is_none())
}

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Consult => 0,
        Kind::Suggest => 1,
        Kind::Help => 2,
        Kind::Complain => 3,
    }
}
