//! Reads a text for what matching goes by: word pieces, names, numbers that tell things apart, topics.

use std::collections::HashSet;

use super::{
    signature::{GRAM_BITS, NAME_LIMIT, Name, Signature, Topic, UNIT_LIMIT, Unit, gram},
    vocabulary::{NameKind, UnitKind, Vocabulary},
};
use crate::assess::text::normal;

/// Characters of a name before its ending.
const CORE_LIMIT: usize = 6;
/// Characters of a place that is its own name (御景天城), at least and at most.
const PLACE_NAME: std::ops::RangeInclusive<usize> = 3..=8;

/// Reads texts into a signature.
pub(super) struct Reader<'a> {
    vocabulary: &'a Vocabulary,
    pub(super) signature: Signature,
    /// Hashes of word pieces, in the order of the text.
    pub(super) grams: Vec<u32>,
    seen: HashSet<u32>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(vocabulary: &'a Vocabulary) -> Self {
        Self { vocabulary, signature: Signature::default(), grams: Vec::new(), seen: HashSet::new() }
    }

    /// Reads one text and returns how many letters and digits it had.
    pub(super) fn read(&mut self, text: &str, head: bool) -> usize {
        let mut letters = 0;
        for run in runs(text) {
            letters += run.chars().count();
            self.names(&run, head);
            self.units(&run, head);
            self.topics(&run, head);
            for (_, _, word) in self.vocabulary.alike.find(&run) {
                self.piece(word);
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

    /// Reads where it is: names and numbers of it count. Its words do not, for they do not tell what it is; but what is
    /// left of them beside known names names the place.
    pub(super) fn read_place(&mut self, text: &str) {
        for run in runs(text) {
            let named = self.names(&run, true);
            let numbered = self.units(&run, true);
            let mut start = 0;
            for (from, to) in named.into_iter().chain([(numbered, run.len())]) {
                let rest = if start <= from { &run[start..from] } else { "" };
                // What follows a name tells where at it: 公园东门.
                let follows =
                    start > 0 && !self.vocabulary.regions.find(&run[..start]).any(|(_, end, ())| end == start);
                if !follows && PLACE_NAME.contains(&rest.chars().count()) && self.says_which(rest) {
                    let core = u8::try_from(rest.chars().count()).unwrap_or(u8::MAX);
                    self.name(Name { kind: NameKind::Place, text: rest.to_owned(), core, head: true });
                }
                start = to;
            }
        }
    }

    /// Reads numbers that tell things apart and regions, and nothing else.
    pub(super) fn read_address(&mut self, text: &str) {
        for run in runs(text) {
            self.units(&run, true);
            self.regions(&run, true);
        }
    }

    /// Regions other than the city itself, and where in the run they stand.
    fn regions(&mut self, run: &str, head: bool) -> Vec<(usize, usize)> {
        let found: Vec<(usize, usize)> = self.vocabulary.regions.find(run).map(|(from, to, ())| (from, to)).collect();
        for (from, to) in &found {
            if run[*from..*to] != self.vocabulary.home {
                let core = u8::try_from(run[*from..*to].chars().count()).unwrap_or(u8::MAX);
                self.name(Name { kind: NameKind::Region, text: run[*from..*to].to_owned(), core, head });
            }
        }
        found
    }

    /// Reads names, and nothing else.
    pub(super) fn read_names(&mut self, text: &str) {
        for run in runs(text) {
            self.names(&run, true);
        }
    }

    /// Topics; where the title names none, the first clause of the body that names some stands for it.
    fn topics(&mut self, run: &str, head: bool) {
        let head = head || !self.signature.topics.iter().any(|topic| topic.head);
        for (_, _, meaning) in self.vocabulary.topics.find(run) {
            for id in [Some(meaning.field), meaning.trouble].into_iter().flatten() {
                self.piece(id & ((1 << GRAM_BITS) - 1));
                match self.signature.topics.iter_mut().find(|topic| topic.id == id) {
                    Some(topic) => topic.head |= head,
                    None => self.signature.topics.push(Topic { id, head }),
                }
            }
        }
    }

    fn piece(&mut self, gram: u32) {
        if self.seen.insert(gram) {
            self.grams.push(gram);
        }
    }

    fn outside_regions(&mut self, text: &str) {
        let mut start = 0;
        for (from, to, ()) in self.vocabulary.regions.find(text) {
            self.pieces(&text[start..from]);
            start = to;
        }
        self.pieces(&text[start..]);
    }

    /// Whether a text begins with a number that counts a part of an address or a date.
    fn counts(&self, text: &str) -> bool {
        let rest = text.trim_start_matches(|one: char| one.is_ascii_digit());
        rest.len() < text.len()
            && (rest.starts_with(['月', '日']) || self.vocabulary.units.iter().any(|(word, _)| rest.starts_with(word)))
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
                // Addresses and dates say where and when, not what: two matters of one flat and day share them.
                if window[..size].iter().any(|start| self.counts(&text[*start..])) {
                    continue;
                }
                self.piece(gram(&text[*from..*to]));
            }
        }
    }

    /// Names, and where in the run they and the regions stand.
    fn names(&mut self, run: &str, head: bool) -> Vec<(usize, usize)> {
        let mut floor = 0;
        let mut spans: Vec<(usize, usize)> = Vec::new();
        let regions = self.regions(run, head);
        // The name that ended last, and where: 锦绣花园 + 小区 is one name.
        let mut last: Option<(usize, usize)> = None;
        let mut at = 0;
        while let Some((from, to, kind)) = self.vocabulary.suffixes.find_from(run, at) {
            at = to;
            if let Some((end, index)) = last
                && end == from
                && let Some(name) = self.signature.names.get_mut(index)
                && (name.kind == kind || name.kind == NameKind::Place)
            {
                // 小北河镇 is a town, not a river.
                if name.kind != kind {
                    name.core = u8::try_from(name.text.chars().count()).unwrap_or(u8::MAX);
                    name.kind = kind;
                }
                name.text.push_str(&run[from..to]);
                last = Some((to, index));
                floor = to;
                spans.push((from, to));
                continue;
            }
            let floor_here =
                regions.iter().filter(|(_, end)| *end <= from).map(|(_, end)| *end).max().unwrap_or(0).max(floor);
            let start = self.name_start(run, floor_here, from);
            last = None;
            let core = &run[start..from];
            let length = core.chars().count();
            if length < 2 {
                // 第三中学 does not end at 三中: a shorter ending may begin a character later.
                at = from + run[from..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            if self.vocabulary.nameless.contains(core) || !self.says_which(core) {
                continue;
            }
            // 翠湖豪庭 does not end at 湖: only what is a name ends one.
            floor = to;
            spans.push((start, to));
            let text = run[start..to].to_owned();
            let core = u8::try_from(length).unwrap_or(u8::MAX);
            if let Some(index) = self.name(Name { kind, text, core, head }) {
                last = Some((to, index));
            }
        }
        spans.extend(regions);
        spans.sort_unstable();
        spans
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

    /// Numbers that tell things apart, and where in the run the first of them stands.
    fn units(&mut self, run: &str, head: bool) -> usize {
        let mut first = run.len();
        // Where the last building or entrance ended: a floor that follows is part of an address, any other is told loosely.
        let mut address = None;
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
            let Some((word, kind)) = self.vocabulary.units.iter().find(|(word, _)| run[end..].starts_with(word)) else {
                continue;
            };
            // 11月20号 is a day.
            if *kind == UnitKind::Number && start > 0 && characters[start - 1].1 == '月' {
                continue;
            }
            let Some(text) = digits(number, *kind) else { continue };
            first = first.min(characters[start].0);
            let follows = address == Some(characters[start].0);
            let head = head && (follows || !matches!(kind, UnitKind::Floor | UnitKind::Room));
            if follows || matches!(kind, UnitKind::Building | UnitKind::Entrance) {
                address = Some(end + word.len());
            }
            let units = &mut self.signature.units;
            if let Some(unit) = units.iter_mut().find(|unit| unit.kind == *kind && unit.text == text) {
                unit.head |= head;
            } else if units.len() < UNIT_LIMIT {
                units.push(Unit { kind: *kind, text, head });
            }
        }
        first
    }
}

/// The runs of letters and digits in a text, in the form for matching.
fn runs(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|character: char| !character.is_alphanumeric()).filter(|run| !run.is_empty()).map(normal)
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

pub(super) fn chinese_digit(character: char) -> Option<u32> {
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
