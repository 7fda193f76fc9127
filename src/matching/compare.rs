//! Looks at two complaints closely and says whether they are about the same matter, by which signs, and what stands
//! against it. Pure. On doubt they are two matters that are shown beside each other: who is joined wrongly loses an answer.

use super::{
    conflict::{Conflict, conflicts, other_trouble, shared_names, shares_exact},
    frequency::Frequencies,
    signature::{Signature, gram},
    vocabulary::NameKind,
};

/// What two complaints have in common, and what keeps them apart.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about two texts")]
pub struct Comparison {
    /// How much of the better contained title stands in the other complaint, from 0 to 1, by weight.
    pub title_most: f32,
    /// How much of the other one's.
    pub title_least: f32,
    /// How alike the words of the whole are, from 0 to 1, by weight.
    pub wording: f32,
    /// How much of the shorter stands in the longer, names left out: what is said of the object.
    pub beyond: f32,
    /// How many word pieces both have.
    pub shared: usize,
    /// Names that both have.
    pub names: Vec<String>,
    /// How much of the better contained title stands in the other complaint, names left out.
    pub title_beyond: f32,
    /// Topics that both have.
    pub topics: Vec<u32>,
    /// Those of them that both are chiefly about.
    pub subject: Vec<u32>,
    /// Whether a name that both have names one thing (an estate, a company), not a road or a town.
    pub exact: bool,
    /// Whether a name that both have is more than a town.
    pub located: bool,
    /// Whether they are chiefly about different things.
    pub other_topic: bool,
    /// Whether both come from one petitioner.
    pub same_person: bool,
    /// Whether both petitioners have one name, and nothing shows that they are two.
    pub same_name: bool,
    /// What shows that they are not the same matter.
    pub conflicts: Vec<Conflict>,
    /// How much is alike, for ranking; see [`standing`] for what decides.
    pub score: f32,
}

/// How two complaints stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// One matter.
    Same,
    /// Alike enough to be shown beside each other, and no more.
    Related,
    /// Nothing to do with each other.
    Different,
}

/// From here on, in words and beyond names, a complaint is a copy of another.
const COPY: f32 = 0.5;
/// From here on two texts are one, whatever they are about.
const EQUAL: f32 = 0.9;
/// What complaints must have in common besides names, from 0 to 1, the more the less is known of object and problem.
const SOME: f32 = 0.08;
const MORE: f32 = 0.12;
const MUCH: f32 = 0.20;
const MOST: f32 = 0.30;
/// From here on titles are told in the same words.
const TITLES: f32 = 0.45;
/// From here on titles and words together speak for one matter, where the object is one too.
const WORDS: f32 = 0.6;
/// So many word pieces are not alike by chance.
const LONG: usize = 60;
/// From here on complaints are shown beside each other.
const RELATED: f32 = 0.35;

impl Comparison {
    /// How alike titles and words are together.
    fn words(&self) -> f32 {
        0.5 * (self.title_most + self.title_least) + self.wording
    }

    /// Whether both have a trouble (井盖缺失), not only a field of them (下水).
    fn one_trouble(&self) -> bool {
        self.topics.iter().any(|id| id % 2 == 1)
    }

    /// Whether both are chiefly about one trouble.
    fn chief_trouble(&self) -> bool {
        self.subject.iter().any(|id| id % 2 == 1)
    }

    /// Whether the problem is one, given how well the object is known. One estate has many matters, and one flat too: that
    /// place or person agrees is never enough.
    fn one_problem(&self) -> bool {
        if self.wording >= EQUAL {
            return true;
        }
        let title = self.title_beyond >= COPY;
        let words = self.words() >= WORDS;
        match self.object() {
            Object::Named => {
                self.chief_trouble()
                    || (self.one_trouble() && self.beyond >= MORE)
                    || (!self.subject.is_empty() && self.beyond >= MUCH)
                    || self.beyond >= MOST
                    || ((title || words) && self.beyond >= SOME)
            }
            Object::Loose => {
                (self.chief_trouble() && self.beyond >= SOME)
                    || (self.one_trouble() && self.beyond >= MUCH)
                    || self.beyond >= MOST
                    || ((title || words) && self.beyond >= MORE)
            }
            Object::Unknown => self.wording >= WORDS || (self.shared >= LONG && self.beyond >= MOST),
        }
    }

    /// Whether both come from one petitioner, as far as can be told: a name alone is no proof, an object must agree too.
    pub fn is_own(&self) -> bool {
        self.same_person || (self.same_name && self.exact)
    }

    /// What is known of the object of both.
    fn object(&self) -> Object {
        if self.exact {
            Object::Named
        } else if self.same_person || self.same_name || self.located {
            Object::Loose
        } else {
            Object::Unknown
        }
    }
}

/// How well two complaints agree on what they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    /// One estate, company, shop, park.
    Named,
    /// One road or village, or one petitioner.
    Loose,
    /// Neither: two citizens who ask the same have each a matter of their own.
    Unknown,
}

/// How complaints that compare like this stand to each other.
pub fn standing(comparison: &Comparison) -> Standing {
    if comparison.conflicts.is_empty() && comparison.one_problem() {
        Standing::Same
    } else if comparison.score >= RELATED || (!comparison.names.is_empty() && !comparison.topics.is_empty()) {
        Standing::Related
    } else {
        Standing::Different
    }
}

/// Compares two complaints.
pub fn compare(left: &Signature, right: &Signature, frequencies: &Frequencies) -> Comparison {
    let share = |part: f32, whole: f32| if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 };
    let left_title = share(frequencies.shared(&left.head, &right.grams), frequencies.total(&left.head));
    let right_title = share(frequencies.shared(&right.head, &left.grams), frequencies.total(&right.head));
    let common = frequencies.shared(&left.grams, &right.grams);
    let (left_all, right_all) = (frequencies.total(&left.grams), frequencies.total(&right.grams));
    let wording = share(common, (left_all * right_all).sqrt());
    let shared = left.grams.iter().filter(|gram| right.grams.binary_search(gram).is_ok()).count();
    let (beyond, title_beyond, title_both) = beyond_names(left, right, frequencies);
    let names = shared_names(left, right);
    let exact = shares_exact(left, right);
    let main = |signature: &Signature, id| signature.topics.iter().any(|topic| topic.head && topic.id == id);
    let topics: Vec<u32> = left
        .topics
        .iter()
        .filter(|topic| right.topics.iter().any(|other| other.id == topic.id))
        .map(|topic| topic.id)
        .collect();
    let subject = topics.iter().copied().filter(|id| main(left, *id) && main(right, *id)).collect();
    let other_topic = other_trouble(left, right).is_some();
    let same_person = left.persons.iter().any(|person| right.persons.contains(person));
    let same_name = !same_person && left.namesake.is_some() && left.namesake == right.namesake;
    let title_most = left_title.max(right_title);
    let title_least = left_title.min(right_title);
    let mut conflicts = conflicts(left, right, !names.is_empty(), exact);
    // Who writes the same text again under another title means the same.
    let copies = wording >= COPY && beyond >= COPY;
    if !(copies || title_both >= TITLES && beyond >= MUCH) {
        conflicts.extend(other_trouble(left, right));
    }
    let ranked = |signature: &Signature, text: &String| {
        signature.names.iter().any(|name| name.text == *text && name.kind != NameKind::Town)
    };
    let located = names.iter().any(|text| ranked(left, text) || ranked(right, text));
    let mut score = 0.5 * title_most + 0.5 * title_least + wording;
    if !names.is_empty() && topics.iter().any(|topic| in_title(left, *topic) || in_title(right, *topic)) {
        score += if same_person || same_name { 0.3 } else { 0.1 };
    }
    if other_topic {
        score -= 0.30;
    }
    Comparison {
        title_most,
        title_least,
        wording,
        beyond,
        shared,
        names,
        title_beyond,
        topics,
        subject,
        exact,
        located,
        other_topic,
        same_person,
        same_name,
        conflicts,
        score,
    }
}

/// How much of the shorter complaint stands in the longer, and of the better and the worse contained title in the other
/// complaint, the word pieces of both one's names left out.
fn beyond_names(left: &Signature, right: &Signature, frequencies: &Frequencies) -> (f32, f32, f32) {
    let mut named: Vec<u32> = Vec::new();
    for name in left.names.iter().chain(&right.names) {
        let starts: Vec<usize> =
            name.text.char_indices().map(|(position, _)| position).chain([name.text.len()]).collect();
        for size in [2, 3] {
            for window in starts.windows(size + 1) {
                if let (Some(from), Some(to)) = (window.first(), window.last()) {
                    named.push(gram(&name.text[*from..*to]));
                }
            }
        }
    }
    named.sort_unstable();
    let rest = |grams: &[u32]| -> Vec<u32> {
        grams.iter().copied().filter(|gram| named.binary_search(gram).is_err()).collect()
    };
    let part = |one: &[u32], other: &[u32], whole: f32| {
        if whole > 0.0 { (frequencies.shared(one, other) / whole).min(1.0) } else { 0.0 }
    };
    let (ours, theirs) = (rest(&left.grams), rest(&right.grams));
    let (our_title, their_title) = (rest(&left.head), rest(&right.head));
    let beyond = part(&ours, &theirs, frequencies.total(&ours).min(frequencies.total(&theirs)));
    let one = part(&our_title, &theirs, frequencies.total(&our_title));
    let other = part(&their_title, &ours, frequencies.total(&their_title));
    (beyond, one.max(other), one.min(other))
}

fn in_title(signature: &Signature, topic: u32) -> bool {
    signature.topics.iter().any(|one| one.head && one.id == topic)
}
