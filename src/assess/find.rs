//! Finds the phrases of the rule file in a complaint: one pass over each text.

use super::rules::{Role, RuleSet};

/// How far apart two pieces of a phrase may stand, in bytes of the normal form: twelve Chinese characters.
const GAP: usize = 36;

/// In a longer part, in bytes, nobody looks for what a complaint leaves out.
const ELEMENTS: usize = 1500;

/// Which text a phrase was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Title and request (or how the text begins, where there is neither): says what is asked for.
    Head,
    /// What happened.
    Body,
    /// The field for the place of the matter.
    Place,
}

/// A phrase found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) role: Role,
    pub(super) part: Part,
    /// Number of the phrase in the rule set, to tell two findings of one phrase from two phrases.
    pub(super) phrase: u32,
    /// The words found, as the rule file has them.
    pub(super) words: Words,
    /// A word that turns it round stands before it, or words that make a place something else beside it.
    pub(super) turned: bool,
    /// Whether it is the full name of a place, which ends in what the place is: 沈阳市, not 沈阳.
    pub(super) full: bool,
    /// Where it stands in the normal form, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The words of a phrase found, by their numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Words {
    patterns: [u32; 4],
    count: u8,
}

impl Words {
    /// The words as evidence shows them.
    pub(super) fn spell(self, rules: &RuleSet) -> String {
        let words: Vec<&str> = self.patterns[..usize::from(self.count)]
            .iter()
            .filter_map(|pattern| rules.spelled.get(*pattern as usize).map(String::as_str))
            .collect();
        words.join("…")
    }
}

/// The beginning of a phrase of several pieces, up to one of them.
#[derive(Debug, Clone, Copy, Default)]
struct Begun {
    start: usize,
    end: usize,
    pattern: u32,
}

/// Finds phrases in a text in the form of [`super::text::sentences`].
pub(super) fn find(rules: &RuleSet, text: &str, part: Part, found: &mut Vec<Found>) {
    if text.is_empty() {
        return;
    }
    // What a complaint leaves out is asked of short ones only: in a long text its many small words would only cost time.
    let elements = text.len() <= ELEMENTS;
    let mut begun = vec![Begun::default(); rules.slots];
    for hit in rules.words.find_overlapping_iter(text) {
        let pattern = hit.pattern().as_usize();
        let uses = &rules.uses[rules.first[pattern] as usize..rules.first[pattern + 1] as usize];
        for used in uses {
            let phrase = &rules.phrases[used.phrase as usize];
            if !elements && matches!(phrase.role, Role::Element(_) | Role::NoElement(_)) {
                continue;
            }
            let mut start = hit.start();
            let slot = phrase.slot as usize + usize::from(used.piece);
            if used.piece > 0 {
                let before = begun[slot - 1];
                let near = before.end > 0 && before.end <= hit.start() && hit.start() - before.end <= GAP;
                if !near || text[before.end..hit.start()].contains(super::text::BREAK) {
                    continue;
                }
                start = before.start;
            }
            let pattern = u32::try_from(pattern).unwrap_or(u32::MAX);
            if used.piece + 1 < phrase.pieces {
                begun[slot] = Begun { start, end: hit.end(), pattern };
                continue;
            }
            let mut words = Words { patterns: [0; 4], count: phrase.pieces };
            for piece in 0..used.piece {
                words.patterns[usize::from(piece)] = begun[phrase.slot as usize + usize::from(piece)].pattern;
            }
            words.patterns[usize::from(used.piece)] = pattern;
            let full = phrase.role != Role::ElsewhereWeak && is_full(&text[start..hit.end()]);
            let turned = turned(rules, text, phrase.role, start, hit.end(), full);
            let end = hit.end();
            found.push(Found { role: phrase.role, part, phrase: used.phrase, words, turned, full, start, end });
        }
    }
}

/// How far before a phrase a word still speaks about it, in characters.
const NEAR: usize = 12;

/// What stands shortly before, in the same sentence.
fn nearest(before: &str) -> &str {
    let start = before.char_indices().rev().nth(NEAR - 1).map_or(0, |(start, _)| start);
    let near = &before[start..];
    near.rfind(super::text::BREAK).map_or(near, |end| &near[end..])
}

fn is_full(place: &str) -> bool {
    place.ends_with(['省', '市', '区', '县', '州', '盟', '旗'])
}

fn turned(rules: &RuleSet, text: &str, role: Role, start: usize, end: usize, full: bool) -> bool {
    let (before, after) = (&text[..start], &text[end..]);
    match role {
        Role::Ask(number) | Role::Hint(number) => {
            let near = nearest(before);
            let near_has = |words: &[String]| words.iter().any(|word| near.contains(word.as_str()));
            rules.negations.iter().any(|word| before.ends_with(word.as_str()))
                || near_has(&rules.hypothetical)
                || (rules.rules[usize::from(number)].urgency.is_some() && near_has(&rules.past))
        }
        Role::Elsewhere | Role::ElsewhereWeak | Role::Home => {
            let places = &rules.places;
            let (mut after_words, bare_words) = (places.afterwards.iter(), places.afterwards_bare.iter());
            after_words.any(|word| after.starts_with(word.as_str()))
                || (!full && bare_words.into_iter().any(|word| after.starts_with(word.as_str())))
                || places.beforehand.iter().any(|word| before.ends_with(word.as_str()))
        }
        _ => false,
    }
}
