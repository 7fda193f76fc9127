//! What is kept of a complaint so that later ones can be matched with it: names, numbers that tell things apart, topics,
//! and hashes of its word pieces. Made from what handlers see, in which personal data are masked already; of who complained
//! it holds keyed hashes only (Article 24).

use std::collections::HashSet;

use super::vocabulary::{NameKind, UnitKind, Vocabulary};
use crate::assess::{ShownComplaint, text::normal};

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
const UNIT_LIMIT: usize = 16;
/// Topics kept of one complaint.
const TOPIC_LIMIT: usize = 12;
/// Keyed hashes of the petitioner kept of one complaint.
const PERSON_LIMIT: usize = 8;
/// Characters of a name before its ending.
const CORE_LIMIT: usize = 6;
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
    /// Number of the topic in the vocabulary.
    pub id: u32,
    /// Whether it stands in the title, the place or the request.
    pub head: bool,
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
    /// Whether it asks for several things.
    pub several: bool,
}

impl Signature {
    /// The signature of a complaint from somebody with these keyed hashes.
    pub fn of(shown: &ShownComplaint, petitioner: &[Vec<u8>], vocabulary: &Vocabulary) -> Self {
        let mut reader = Reader { vocabulary, signature: Self::default(), grams: Vec::new(), seen: HashSet::new() };
        reader.signature.persons = persons(petitioner);
        let mut titled = 0;
        for text in [&shown.subject, &shown.request].into_iter().flatten() {
            titled += reader.read(text, true);
        }
        if let Some(place) = &shown.place {
            // Where it is does not tell what it is: names and numbers of it count, its words do not.
            let words = reader.grams.len();
            reader.read(place, true);
            for gram in reader.grams.drain(words..) {
                reader.seen.remove(&gram);
            }
        }
        let body = first(&shown.body, TEXT_LIMIT);
        if titled < TITLE_MIN {
            reader.read(first(body, LEAD), true);
        }
        let mut head = std::mem::take(&mut reader.grams);
        // Where people live they say at the beginning, whatever the title.
        for run in first(body, UNIT_LEAD).split(|character: char| !character.is_alphanumeric()) {
            reader.units(&normal(run), true);
        }
        reader.read(body, false);
        if let Some(parties) = &shown.parties {
            reader.read(first(parties, TEXT_LIMIT), false);
        }
        let Reader { mut signature, mut grams, .. } = reader;
        head.truncate(GRAM_LIMIT / 2);
        grams.truncate(GRAM_LIMIT - head.len());
        grams.extend_from_slice(&head);
        signature.head = sorted(head);
        signature.grams = sorted(grams);
        signature.topics.sort_by_key(|topic| !topic.head);
        signature.topics.truncate(TOPIC_LIMIT);
        signature.several = several(body, vocabulary);
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

fn sorted(mut grams: Vec<u32>) -> Vec<u32> {
    grams.sort_unstable();
    grams.dedup();
    grams
}

struct Reader<'a> {
    vocabulary: &'a Vocabulary,
    signature: Signature,
    grams: Vec<u32>,
    seen: HashSet<u32>,
}

impl Reader<'_> {
    /// Reads one text and returns how many letters and digits it had.
    fn read(&mut self, text: &str, head: bool) -> usize {
        let mut letters = 0;
        for run in text.split(|character: char| !character.is_alphanumeric()).filter(|run| !run.is_empty()) {
            let run = normal(run);
            letters += run.chars().count();
            self.names(&run, head);
            self.units(&run, head);
            for (_, _, id) in self.vocabulary.topics.find(&run) {
                match self.signature.topics.iter_mut().find(|topic| topic.id == id) {
                    Some(topic) => topic.head |= head,
                    None => self.signature.topics.push(Topic { id, head }),
                }
            }
            let mut start = 0;
            for (from, to, ()) in self.vocabulary.generic.find(&run) {
                self.outside_regions(&run[start..from]);
                start = to;
            }
            self.outside_regions(&run[start..]);
        }
        letters
    }

    fn outside_regions(&mut self, text: &str) {
        let mut start = 0;
        for (from, to, ()) in self.vocabulary.regions.find(text) {
            self.pieces(&text[start..from]);
            start = to;
        }
        self.pieces(&text[start..]);
    }

    /// Pairs and triples of tokens; a token is a character, or a run of Latin letters and digits.
    fn pieces(&mut self, text: &str) {
        let mut starts: Vec<usize> = Vec::with_capacity(text.len() / 3 + 1);
        let mut latin = false;
        for (position, character) in text.char_indices() {
            let plain = character.is_ascii_alphanumeric();
            if !(plain && latin) {
                starts.push(position);
            }
            latin = plain;
        }
        starts.push(text.len());
        for size in [2, 3] {
            for window in starts.windows(size + 1) {
                let (Some(from), Some(to)) = (window.first(), window.last()) else { continue };
                let gram = gram(&text[*from..*to]);
                if self.seen.insert(gram) {
                    self.grams.push(gram);
                }
            }
        }
    }

    fn names(&mut self, run: &str, head: bool) {
        let mut floor = 0;
        let mut regions: Vec<(usize, usize)> = Vec::new();
        for (from, to, ()) in self.vocabulary.regions.find(run) {
            regions.push((from, to));
            if run[from..to] != self.vocabulary.home {
                let core = u8::try_from(run[from..to].chars().count()).unwrap_or(u8::MAX);
                self.name(Name { kind: NameKind::Region, text: run[from..to].to_owned(), core, head });
            }
        }
        // The name that ended last, and where: 锦绣花园 + 小区 is one name.
        let mut last: Option<(usize, usize)> = None;
        for (from, to, kind) in self.vocabulary.suffixes.find(run) {
            if let Some((end, index)) = last
                && end == from
                && let Some(name) = self.signature.names.get_mut(index)
                && name.kind == kind
            {
                name.text.push_str(&run[from..to]);
                last = Some((to, index));
                floor = to;
                continue;
            }
            let floor_here =
                regions.iter().filter(|(_, end)| *end <= from).map(|(_, end)| *end).max().unwrap_or(0).max(floor);
            let start = self.name_start(run, floor_here, from);
            last = None;
            let core = &run[start..from];
            let length = core.chars().count();
            if length < 2 || self.vocabulary.nameless.contains(core) || !self.says_which(core) {
                continue;
            }
            // 翠湖豪庭 does not end at 湖: only what is a name ends one.
            floor = to;
            let text = run[start..to].to_owned();
            let core = u8::try_from(length).unwrap_or(u8::MAX);
            if let Some(index) = self.name(Name { kind, text, core, head }) {
                last = Some((to, index));
            }
        }
    }

    /// Where the name begins that ends before `end`: at a border word, not before `floor`, at most [`CORE_LIMIT`] back.
    fn name_start(&self, run: &str, floor: usize, end: usize) -> usize {
        let mut start = end;
        for (length, (position, _)) in run[floor..end].char_indices().rev().enumerate() {
            let at = floor + position;
            if self.border_ends_at(&run[floor..start]) || length == CORE_LIMIT {
                break;
            }
            start = at;
        }
        start
    }

    /// Whether a name's core is more than words that everybody uses: 夜宵店 names none, 龙虾传奇店 does.
    fn says_which(&self, core: &str) -> bool {
        let topics = self.vocabulary.topics.find(core).map(|(from, to, _)| (from, to, ()));
        let common = self.vocabulary.generic.find(core).chain(self.vocabulary.vague.find(core)).chain(topics);
        let mut covered = vec![false; core.len()];
        for (from, to, ()) in common {
            covered[from..to].fill(true);
        }
        core.char_indices().any(|(position, one)| !covered[position] && !one.is_ascii_digit())
    }

    fn border_ends_at(&self, before: &str) -> bool {
        let mut starts = before.char_indices().rev().map(|(position, _)| position).take(self.vocabulary.border_length);
        starts.any(|start| self.vocabulary.borders.contains(&before[start..]))
    }

    fn name(&mut self, name: Name) -> Option<usize> {
        if let Some(index) = self.signature.names.iter().position(|known| known.text == name.text) {
            return Some(index);
        }
        if self.signature.names.len() == NAME_LIMIT {
            return None;
        }
        self.signature.names.push(name);
        Some(self.signature.names.len() - 1)
    }

    fn units(&mut self, run: &str, head: bool) {
        let characters: Vec<(usize, char)> = run.char_indices().collect();
        let mut index = 0;
        while index < characters.len() {
            let start = index;
            let latin = characters[index].1.is_ascii_alphanumeric();
            let same = |character: char| {
                if latin { character.is_ascii_alphanumeric() } else { chinese_digit(character).is_some() }
            };
            if !latin && chinese_digit(characters[index].1).is_none() {
                index += 1;
                continue;
            }
            while index < characters.len() && same(characters[index].1) {
                index += 1;
            }
            let end = characters.get(index).map_or(run.len(), |(position, _)| *position);
            let number = &run[characters[start].0..end];
            let Some((_, kind)) = self.vocabulary.units.iter().find(|(word, _)| run[end..].starts_with(word)) else {
                continue;
            };
            // 11月20号 is a day.
            if *kind == UnitKind::Number && start > 0 && characters[start - 1].1 == '月' {
                continue;
            }
            let Some(text) = digits(number, *kind) else { continue };
            let known = self.signature.units.iter().any(|unit| unit.kind == *kind && unit.text == text);
            if !known && self.signature.units.len() < UNIT_LIMIT {
                self.signature.units.push(Unit { kind: *kind, text, head });
            }
        }
    }
}

/// The number in digits; `None` where it cannot be one of its kind.
fn digits(number: &str, kind: UnitKind) -> Option<String> {
    let text = if number.is_ascii() { number.to_owned() } else { chinese_number(number)?.to_string() };
    match kind {
        UnitKind::Year => text.parse().is_ok_and(|year: u32| (1980..=2100).contains(&year)).then_some(text),
        // 两期, 三年 in letters, and 一路 (all the way) count things rather than name them.
        UnitKind::Line | UnitKind::Number if !number.is_ascii() => None,
        _ if text.len() > 6 || !text.bytes().any(|byte| byte.is_ascii_digit()) => None,
        _ => Some(text.trim_start_matches('0').to_owned()),
    }
}

fn chinese_digit(character: char) -> Option<u32> {
    Some(match character {
        '一' => 1,
        '二' => 2,
        '三' => 3,
        '四' => 4,
        '五' => 5,
        '六' => 6,
        '七' => 7,
        '八' => 8,
        '九' => 9,
        '十' => 10,
        _ => return None,
    })
}

fn chinese_number(text: &str) -> Option<u32> {
    let digits: Vec<u32> = text.chars().map(chinese_digit).collect::<Option<_>>()?;
    match digits.as_slice() {
        [one] => Some(*one),
        [10, ones] if *ones < 10 => Some(10 + ones),
        [tens, 10] if *tens < 10 => Some(tens * 10),
        [tens, 10, ones] if *tens < 10 && *ones < 10 => Some(tens * 10 + ones),
        _ => None,
    }
}

/// A word piece's hash: FNV-1a, folded.
pub(super) fn gram(text: &str) -> u32 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let folded = hash ^ (hash >> 32);
    u32::try_from(folded & ((1 << GRAM_BITS) - 1)).unwrap_or(0)
}

/// Items of a list that are looked at.
const ITEM_LIMIT: usize = 20;

/// Whether a text lists requests about different things (一、…二、…): one ticket each would serve them better.
fn several(body: &str, vocabulary: &Vocabulary) -> bool {
    let mut items: Vec<HashSet<u32>> = Vec::new();
    let mut current = String::new();
    let mut listed = false;
    for line in body.split(['\n', '。', '；', ';', '！', '!']).take(200) {
        let line = line.trim();
        if starts_item(line) {
            if listed {
                items.push(topics(&current, vocabulary));
            }
            listed = true;
            current.clear();
        }
        if listed {
            current.push_str(line);
            current.push('。');
        }
        if items.len() == ITEM_LIMIT {
            break;
        }
    }
    if listed {
        items.push(topics(&current, vocabulary));
    }
    items.retain(|topics| !topics.is_empty());
    let disjoint =
        items.iter().enumerate().all(|(index, item)| items[..index].iter().all(|other| item.is_disjoint(other)));
    items.len() >= 2 && disjoint
}

fn starts_item(line: &str) -> bool {
    const ALSO: [&str; 5] = ["另外还有", "还有一件事", "再反映一", "另一件事", "第二件事"];
    let mut characters = line.trim_start_matches(['(', '（', '第']).chars();
    let numbered = characters.next().is_some_and(|one| one.is_ascii_digit() || chinese_digit(one).is_some())
        && characters
            .find(|one| !one.is_ascii_digit() && chinese_digit(*one).is_none())
            .is_some_and(|after| matches!(after, '、' | '.' | '．' | ')' | '）' | '是' | ',' | '，'));
    numbered || ALSO.iter().any(|words| line.starts_with(words))
}

fn topics(text: &str, vocabulary: &Vocabulary) -> HashSet<u32> {
    vocabulary.topics.find(&normal(text)).map(|(_, _, id)| id).collect()
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
        assert!(signature("两件事", "一、小区电梯经常困人。二、楼下烧烤店油烟扰民。").several);
        assert!(!signature("供暖", "一、暖气不热。二、供热公司不上门测室温。").several);
        assert!(!signature("停车", "车位被占。").several);
    }
}
