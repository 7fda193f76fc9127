//! What is kept of a complaint so that later ones can be matched with it: names, numbers that tell things apart, topics,
//! and hashes of its word pieces. Made from what handlers see, in which personal data are masked already; of who complained
//! it holds keyed hashes only (Article 24).

use super::{
    reader::Reader,
    several::several,
    vocabulary::{NameKind, UnitKind, Vocabulary},
};
use crate::assess::ShownComplaint;

/// Characters of a text that are looked at: what a complaint is about is told long before.
pub const TEXT_LIMIT: usize = 1_500;
/// Characters of the beginning that stand for a missing title.
const LEAD: usize = 40;
/// Characters of the beginning in which a number counts as one of the title.
const UNIT_LEAD: usize = 60;
/// A title of fewer characters than this says too little.
const TITLE_MIN: usize = 8;
/// Word pieces kept of one complaint.
pub const GRAM_LIMIT: usize = 400;
/// Names kept of one complaint.
pub const NAME_LIMIT: usize = 16;
/// Numbers kept of one complaint.
pub(super) const UNIT_LIMIT: usize = 16;
/// Topics kept of one complaint.
const TOPIC_LIMIT: usize = 16;
/// Keyed hashes of the petitioner kept of one complaint.
const PERSON_LIMIT: usize = 8;
/// Bits of a word piece's hash: two of different complaints meet by chance in two of a hundred comparisons.
pub(super) const GRAM_BITS: u32 = 22;

/// A name of a place, a company, a school.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What it names.
    pub kind: NameKind,
    /// As written, in the form for matching.
    pub text: String,
    /// Characters before the ending.
    pub core: u8,
    /// Whether it stands in the title, the place or the request.
    pub head: bool,
}

impl Name {
    pub(super) fn core(&self) -> &str {
        let end = self.text.char_indices().nth(usize::from(self.core)).map_or(self.text.len(), |(end, _)| end);
        &self.text[..end]
    }
}

/// A number that tells things apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// What it counts.
    pub kind: UnitKind,
    /// The number, in digits, with letters before it.
    pub text: String,
    /// Whether it stands in the title, the place or the request.
    pub head: bool,
}

/// What a complaint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Number of the topic in the vocabulary; odd where it is one trouble (井盖缺失) rather than a field (下水).
    pub id: u32,
    /// Whether it stands in the title or the request, or, where those name none, in the first clause that does.
    pub head: bool,
}

impl Topic {
    /// Whether it is one trouble rather than a field of them.
    pub(super) fn is_trouble(self) -> bool {
        self.id % 2 == 1
    }
}

/// What is kept of a complaint for matching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// Keyed hashes of whom it came from, cut to 64 bits.
    pub persons: Vec<u64>,
    /// Keyed hash of the petitioner's name, cut to 64 bits: a sign beside others.
    pub namesake: Option<u64>,
    /// Names.
    pub names: Vec<Name>,
    /// Numbers.
    pub units: Vec<Unit>,
    /// Topics, those of the title first.
    pub topics: Vec<Topic>,
    /// Hashes of the word pieces of the title, sorted.
    pub head: Vec<u32>,
    /// Hashes of all word pieces, sorted.
    pub grams: Vec<u32>,
    /// Fields of the different things that it asks for; none where it asks for one.
    pub parts: Vec<u32>,
}

impl Signature {
    /// The signature of a complaint from somebody with these keyed hashes.
    pub fn of(shown: &ShownComplaint, petitioner: &[Vec<u8>], vocabulary: &Vocabulary) -> Self {
        let mut reader = Reader::new(vocabulary);
        let mut titled = 0;
        for text in [&shown.subject, &shown.request].into_iter().flatten() {
            titled += reader.read(text, true);
        }
        if let Some(place) = &shown.place {
            reader.read_place(place);
        }
        let body = first(&shown.body, TEXT_LIMIT);
        if titled < TITLE_MIN {
            reader.read(first(body, LEAD), true);
        }
        let mut head = std::mem::take(&mut reader.grams);
        // Where people live they say at the beginning, whatever the title.
        let lead = first(body, UNIT_LEAD);
        reader.read_address(lead);
        if !reader.signature.names.iter().any(|name| name.kind != NameKind::Region) {
            reader.read_names(lead);
        }
        reader.read(body, false);
        if let Some(parties) = &shown.parties {
            reader.read(first(parties, TEXT_LIMIT), false);
        }
        let Reader { mut signature, mut grams, .. } = reader;
        signature.persons = persons(petitioner);
        head.truncate(GRAM_LIMIT / 2);
        grams.truncate(GRAM_LIMIT - head.len());
        grams.extend_from_slice(&head);
        signature.head = sorted(head);
        signature.grams = sorted(grams);
        signature.topics.sort_by_key(|topic| !topic.head);
        signature.topics.truncate(TOPIC_LIMIT);
        signature.parts = several(shown.subject.as_deref().unwrap_or_default(), body, vocabulary);
        signature
    }

    /// Adds keyed hashes of the same petitioner, from numbers that the text gives for calling back.
    pub fn also(&mut self, petitioner: &[Vec<u8>]) {
        for person in persons(petitioner) {
            if !self.persons.contains(&person) && self.persons.len() < PERSON_LIMIT {
                self.persons.push(person);
            }
        }
    }

    /// Whether there is enough to match it by.
    pub fn tells(&self) -> bool {
        self.grams.len() >= 4
    }

    /// Where the matter is: the estate, road or place that is named first, the title's before others.
    pub fn place(&self) -> Option<&str> {
        let places = |head| self.names.iter().find(|name| name.head == head && name.kind != NameKind::Region);
        places(true).or_else(|| places(false)).map(|name| name.text.as_str())
    }
}

/// The keyed hashes of a petitioner as matching keeps them.
pub fn persons(petitioner: &[Vec<u8>]) -> Vec<u64> {
    let cut = |key: &Vec<u8>| key.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    petitioner.iter().filter_map(cut).take(PERSON_LIMIT).collect()
}

fn first(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

pub(super) fn sorted(mut grams: Vec<u32>) -> Vec<u32> {
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// A word piece's hash: FNV-1a, folded.
pub(super) fn gram(text: &str) -> u32 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let folded = hash ^ (hash >> 32);
    u32::try_from(folded & ((1 << GRAM_BITS) - 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(subject: &str, body: &str) -> Signature {
        let shown =
            ShownComplaint { subject: Some(subject.to_owned()), body: body.to_owned(), ..ShownComplaint::default() };
        Signature::of(&shown, &[], &Vocabulary::shipped().unwrap())
    }

    fn names(signature: &Signature) -> Vec<&str> {
        signature.names.iter().map(|name| name.text.as_str()).collect()
    }

    #[test]
    fn names_end_where_they_end_and_begin_after_borders() {
        let found = signature("白塔区民主路锦绣花园小区3号楼供暖不热", "我住在锦绣花园，旁边是第五中学。");
        assert_eq!(names(&found), ["白塔区", "民主路", "锦绣花园小区", "锦绣花园", "第五中学"]);
        assert_eq!(found.names[2].core(), "锦绣");
        assert_eq!(found.place(), Some("民主路"));
    }

    #[test]
    fn a_word_that_names_nothing_is_no_name() {
        assert_eq!(names(&signature("我们小区的物业公司", "这个小区老旧小区住宅小区")), Vec::<&str>::new());
    }

    #[test]
    fn numbers_are_told_by_what_they_count() {
        let found = signature("三号楼2单元停水", "从11月20号起，204路公交车2019年改道，一直没有人管");
        let units: Vec<_> = found.units.iter().map(|unit| (unit.kind, unit.text.as_str())).collect();
        assert_eq!(
            units,
            [(UnitKind::Building, "3"), (UnitKind::Entrance, "2"), (UnitKind::Line, "204"), (UnitKind::Year, "2019")]
        );
    }

    #[test]
    fn a_list_of_different_requests_is_flagged() {
        assert_eq!(signature("两件事", "一、小区电梯经常困人。二、楼下烧烤店油烟扰民。").parts.len(), 2);
        assert!(signature("停车", "车位被占。").parts.is_empty());
    }
}
