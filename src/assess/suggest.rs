//! Suggests the subject of a complaint, in two levels, and the unit whose duty it is. A suggestion saves whoever assigns
//! the ticket a search; it decides nothing, and its words are shown with it.

use std::collections::HashSet;

use super::{
    Suggestion, Urgency,
    find::{Found, Part},
    rules::{Role, RuleSet, Unit},
};

/// Most words shown for a subject.
const EVIDENCE_LIMIT: usize = 6;

/// A word in the title weighs as much as three in the text.
const HEAD_FACTOR: u32 = 3;

/// Less than this is no ground for a suggestion: one clear word, or several weak ones.
const LEAST: u32 = 3;

pub(super) fn suggest(rules: &RuleSet, found: &[Found], urgency: Urgency) -> Suggestion {
    let mut suggestion = Suggestion::default();
    let mut scores = vec![0_u32; rules.subjects.len()];
    let mut counted = HashSet::new();
    for one in found {
        if let Role::Subject(subject, weight) = one.role
            && !one.turned
            && counted.insert(one.phrase)
        {
            let factor = if one.part == Part::Head { HEAD_FACTOR } else { 1 };
            scores[usize::from(subject)] += u32::from(weight) * factor;
        }
    }
    // Of equals the first in the file: the office that keeps it puts the commoner subject first.
    let best = scores.iter().enumerate().rev().max_by_key(|(_, score)| **score).filter(|(_, score)| **score >= LEAST);
    if let Some((number, _)) = best {
        let subject = &rules.subjects[number];
        let name = format!("{}/{}", subject.first, subject.second);
        for one in found {
            let of_subject = matches!(one.role, Role::Subject(of, _) if usize::from(of) == number);
            let words = if of_subject { one.words.spell(rules) } else { continue };
            if suggestion.evidence.len() < EVIDENCE_LIMIT && !suggestion.evidence.contains(&words) {
                suggestion.evidence.push(words);
            }
        }
        let unit = unit(rules, &name, &subject.first);
        suggestion.unit = unit.map(|unit| unit.name.clone());
        if urgency == Urgency::Utility {
            suggestion.also_to.extend(unit.and_then(|unit| unit.platform.clone()));
        }
        suggestion.subject = Some(name);
    }
    if urgency == Urgency::Emergency {
        suggestion.also_to.extend(rules.emergency_unit.clone());
    }
    suggestion
}

/// The unit that names the subject itself among its duties, else one that names its first level.
fn unit<'a>(rules: &'a RuleSet, name: &str, first: &str) -> Option<&'a Unit> {
    let having = |duty: &str| rules.units.iter().find(|unit| unit.duties.iter().any(|known| known == duty));
    having(name).or_else(|| having(first))
}
