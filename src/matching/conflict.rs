//! Names, numbers and problems of two complaints: which both have, and which keep them apart.

use std::collections::HashSet;

use super::{
    signature::{Name, Signature, gram},
    vocabulary::{NameKind, UnitKind},
};

/// What shows that two complaints are not about the same matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Another estate, road, company.
    Name(NameKind, String, String),
    /// Another building, line, year.
    Unit(UnitKind, String, String),
    /// Another problem: what the one is chiefly about, and the other.
    Topic(u32, u32),
}

/// What each is chiefly about where neither's is anywhere in the other: first fields, then troubles of one field.
pub(super) fn other_trouble(left: &Signature, right: &Signature) -> Option<Conflict> {
    [false, true].into_iter().find_map(|trouble| {
        let all = |signature: &Signature| -> HashSet<u32> {
            signature.topics.iter().filter(|topic| topic.is_trouble() == trouble).map(|topic| topic.id).collect()
        };
        let head = |signature: &Signature| -> Vec<u32> {
            let head = signature.topics.iter().filter(|topic| topic.head && topic.is_trouble() == trouble);
            head.map(|topic| topic.id).collect()
        };
        let (ours, theirs) = (head(left), head(right));
        let (one, other) = (*ours.first()?, *theirs.first()?);
        let (in_left, in_right) = (all(left), all(right));
        let apart = !ours.iter().any(|id| in_right.contains(id)) && !theirs.iter().any(|id| in_left.contains(id));
        apart.then_some(Conflict::Topic(one, other))
    })
}

/// Whether two names name the same: the ends of their cores agree.
fn agree(left: &Name, right: &Name) -> bool {
    let (one, other) = (left.core(), right.core());
    // 望京酒店 is 望京快捷酒店; but 锦绣花园 is not 锦绣东方花园.
    let business = matches!(left.kind, NameKind::Company | NameKind::Shop);
    if business
        && left.kind == right.kind
        && one.len().min(other.len()) >= 6
        && (one.starts_with(other) || other.starts_with(one))
    {
        return true;
    }
    let length = one.chars().count().min(other.chars().count()).min(3);
    length >= 2 && tail(one, length) == tail(other, length)
}

fn tail(text: &str, characters: usize) -> &str {
    text.char_indices().rev().nth(characters - 1).map_or(text, |(start, _)| &text[start..])
}

pub(super) fn shared_names(left: &Signature, right: &Signature) -> Vec<String> {
    let mut shared = Vec::new();
    for name in left.names.iter().filter(|name| name.kind != NameKind::Region) {
        let found = right.names.iter().any(|other| other.kind != NameKind::Region && agree(name, other));
        if (found || mentions(right, name)) && !shared.contains(&name.text) {
            shared.push(name.text.clone());
        }
    }
    for name in right.names.iter().filter(|name| name.kind != NameKind::Region) {
        let known = left.names.iter().any(|other| agree(name, other));
        if !known && mentions(left, name) && !shared.contains(&name.text) {
            shared.push(name.text.clone());
        }
    }
    shared
}

/// Whether a complaint has the name's core somewhere, though not as a name.
fn mentions(signature: &Signature, name: &Name) -> bool {
    let core = name.core();
    let length = core.chars().count().min(3);
    length >= 2 && signature.grams.binary_search(&gram(tail(core, length))).is_ok()
}

/// Kinds of which each names one thing, so that another name is another thing.
const EXACT: [NameKind; 6] =
    [NameKind::Estate, NameKind::School, NameKind::Hospital, NameKind::Company, NameKind::Shop, NameKind::Place];

/// What shows that two complaints are not about the same object.
pub(super) fn conflicts(left: &Signature, right: &Signature, share_names: bool, share_exact: bool) -> Vec<Conflict> {
    let mut found = Vec::new();
    for kind in [NameKind::Road, NameKind::Village, NameKind::Town, NameKind::Region].into_iter().chain(EXACT) {
        let titled = |signature: &'_ Signature| -> Vec<Name> {
            signature.names.iter().filter(|name| name.kind == kind && name.head).cloned().collect()
        };
        let (ours, theirs) = (titled(left), titled(right));
        let (Some(one), Some(other)) = (ours.first(), theirs.first()) else { continue };
        let known = |names: &[Name], signature: &Signature| {
            names.iter().any(|name| signature.names.iter().any(|other| agree(name, other)) || mentions(signature, name))
        };
        let apart = if kind == NameKind::Region {
            let extra = |names: &[Name], others: &[Name]| {
                names.iter().any(|name| !others.iter().any(|other| other.text == name.text))
            };
            extra(&ours, &theirs) && extra(&theirs, &ours)
        } else {
            !known(&ours, right) && !known(&theirs, left)
        };
        // Roads, villages, towns and districts are told loosely; where an estate or a company agrees they do not count.
        let exacting = kind == NameKind::Village || (EXACT.contains(&kind) && kind != NameKind::Place);
        // Two districts have estates of one name.
        let excused = kind != NameKind::Region && if exacting { share_exact } else { share_names };
        if apart && !excused {
            found.push(Conflict::Name(kind, one.text.clone(), other.text.clone()));
        }
    }
    for kind in UnitKind::ALL {
        let of = |signature: &Signature| -> Vec<String> {
            let head = signature.units.iter().filter(|unit| unit.kind == kind && unit.head);
            head.map(|unit| unit.text.clone()).collect()
        };
        let (ours, theirs) = (of(left), of(right));
        let (Some(one), Some(other)) = (ours.first(), theirs.first()) else { continue };
        let has = |signature: &Signature, text: &String| {
            signature.units.iter().any(|unit| unit.kind == kind && unit.text == *text)
        };
        if !ours.iter().any(|unit| has(right, unit)) && !theirs.iter().any(|unit| has(left, unit)) {
            found.push(Conflict::Unit(kind, one.clone(), other.clone()));
        }
    }
    found
}

/// Whether both have a name that names one thing, and at least one of them in its title or place.
pub(super) fn shares_exact(left: &Signature, right: &Signature) -> bool {
    let shares = |one: &Signature, other: &Signature| {
        one.names.iter().filter(|name| name.head && EXACT.contains(&name.kind)).any(|name| {
            other.names.iter().any(|known| EXACT.contains(&known.kind) && agree(name, known)) || mentions(other, name)
        })
    };
    shares(left, right) || shares(right, left)
}
