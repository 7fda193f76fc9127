//! The words that matching goes by, read from a file that the hotline office keeps (`rules/matching.toml`): what says
//! nothing, what names a problem, and how names of places and companies end. No word of it is code.

use std::collections::{BTreeMap, HashMap, HashSet};

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use super::signature::gram;
use crate::assess::text::normal;

/// The file that comes with the program.
const SHIPPED: &str = include_str!("../../rules/matching.toml");

/// Most words in a file, over all its lists.
pub const WORD_LIMIT: usize = 20_000;

/// What a name names. The order is stored: add at the end only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameKind {
    /// A housing estate (小区).
    Estate,
    /// A road or lane.
    Road,
    /// A village or community.
    Village,
    /// A school.
    School,
    /// A hospital.
    Hospital,
    /// A company or works.
    Company,
    /// A shop or another business.
    Shop,
    /// A square, park, building, river.
    Place,
    /// A district or county of the city, or another city.
    Region,
    /// A town, township or sub-district.
    Town,
}

impl NameKind {
    pub(super) const ALL: [Self; 10] = [
        Self::Estate,
        Self::Road,
        Self::Village,
        Self::School,
        Self::Hospital,
        Self::Company,
        Self::Shop,
        Self::Place,
        Self::Region,
        Self::Town,
    ];

    pub(super) fn chinese(self) -> &'static str {
        match self {
            Self::Estate => "小区",
            Self::Road => "道路",
            Self::Village => "村或社区",
            Self::School => "学校",
            Self::Hospital => "医院",
            Self::Company => "单位",
            Self::Shop => "商家",
            Self::Place => "场所",
            Self::Region => "县（市、区）",
            Self::Town => "乡镇（街道）",
        }
    }
}

/// What a number counts. The order is stored: add at the end only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// 3号楼.
    Building,
    /// 2单元.
    Entrance,
    /// 204路, 3号线.
    Line,
    /// 二期.
    Phase,
    /// 五组.
    Group,
    /// 2019年.
    Year,
    /// 58号, of a road.
    Number,
    /// 1813班.
    Class,
    /// 二标段.
    Stage,
    /// 5楼.
    Floor,
    /// 302室.
    Room,
}

impl UnitKind {
    pub(super) const ALL: [Self; 11] = [
        Self::Building,
        Self::Entrance,
        Self::Line,
        Self::Phase,
        Self::Group,
        Self::Year,
        Self::Number,
        Self::Class,
        Self::Stage,
        Self::Floor,
        Self::Room,
    ];

    pub(super) fn chinese(self) -> &'static str {
        match self {
            Self::Building => "楼号",
            Self::Entrance => "单元",
            Self::Line => "线路",
            Self::Phase => "期数",
            Self::Group => "组",
            Self::Year => "年份",
            Self::Number => "门牌号",
            Self::Class => "班级",
            Self::Stage => "标段",
            Self::Floor => "楼层",
            Self::Room => "房号",
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Building => "号楼",
            Self::Entrance => "单元",
            Self::Line => "路（线）",
            Self::Phase => "期",
            Self::Group => "组",
            Self::Year => "年",
            Self::Number => "号",
            Self::Class => "班",
            Self::Stage => "标段",
            Self::Floor => "楼",
            Self::Room => "室",
        }
    }
}

/// What is wrong with a vocabulary file.
#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    /// It is not TOML of the expected form.
    #[error("the words for matching cannot be read: {0}")]
    Form(String),
    /// It holds too much.
    #[error("the words for matching are more than {WORD_LIMIT}; leave out what says nothing")]
    TooMany,
    /// The automaton could not be built.
    #[error("the words for matching cannot be searched for: {0}")]
    Search(String),
    /// Two topics come to one number.
    #[error("the topics {0:?} and {1:?} come to the same number; rename one of them")]
    Clash(String, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    home: String,
    regions: Vec<String>,
    borders: Vec<String>,
    nameless: Vec<String>,
    suffixes: BTreeMap<NameKind, Vec<String>>,
    units: BTreeMap<UnitKind, Vec<String>>,
    topics: BTreeMap<String, Vec<String>>,
    alike: Alike,
    generic: Generic,
}

/// A gazetteer as the rules have it.
#[derive(Deserialize)]
struct Gazetteer {
    places: Places,
}

#[derive(Deserialize)]
struct Places {
    home: Vec<String>,
    #[serde(default)]
    elsewhere: Vec<String>,
}

impl Places {
    /// Tells one gazetteer from another, so that signatures are made anew with another one.
    fn digest(&self) -> u32 {
        self.home.iter().chain(&self.elsewhere).fold(0, |digest, place| digest.rotate_left(5) ^ hash(place))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alike {
    groups: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generic {
    words: Vec<String>,
}

/// What a word of a topic means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    /// The field (下水).
    pub(super) field: u32,
    /// The trouble in it (井盖缺失), where the word tells one.
    pub(super) trouble: Option<u32>,
}

/// Between a field and a trouble in the file: 下水/井盖缺失.
const IN: char = '/';

/// Words of several kinds, found in one pass, the longest at each place.
#[derive(Debug)]
pub(super) struct Finder<T> {
    automaton: AhoCorasick,
    meanings: Vec<T>,
}

impl<T: Copy> Finder<T> {
    fn new(words: Vec<(String, T)>) -> Result<Self, VocabularyError> {
        let (patterns, meanings): (Vec<String>, Vec<T>) =
            words.into_iter().filter(|(word, _)| !word.is_empty()).unzip();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&patterns)
            .map_err(|error| VocabularyError::Search(error.to_string()))?;
        Ok(Self { automaton, meanings })
    }

    /// The first word from a byte position on.
    pub(super) fn find_from(&self, text: &str, at: usize) -> Option<(usize, usize, T)> {
        let found = self.automaton.find(aho_corasick::Input::new(text).range(at..))?;
        Some((found.start(), found.end(), *self.meanings.get(found.pattern().as_usize())?))
    }

    /// Byte positions of words in a text, with what they mean.
    pub(super) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, usize, T)> + 'a {
        self.automaton
            .find_iter(text)
            .filter_map(|found| Some((found.start(), found.end(), *self.meanings.get(found.pattern().as_usize())?)))
    }
}

/// The words, ready to be searched for. Built once, shared by every complaint.
#[derive(Debug)]
pub struct Vocabulary {
    pub(super) version: String,
    pub(super) home: String,
    pub(super) regions: Finder<()>,
    pub(super) borders: HashSet<String>,
    pub(super) border_length: usize,
    pub(super) nameless: HashSet<String>,
    /// Those of them that may be part of a longer word.
    pub(super) vague: Finder<()>,
    pub(super) suffixes: Finder<NameKind>,
    pub(super) units: Vec<(String, UnitKind)>,
    pub(super) topics: Finder<Meaning>,
    pub(super) topic_names: HashMap<u32, String>,
    pub(super) generic: Finder<()>,
    /// Words that say one thing, each with the word piece that stands for all of its group.
    pub(super) alike: Finder<u32>,
}

impl Vocabulary {
    /// The words that come with the program.
    ///
    /// # Errors
    /// Never; a test shows that the file is whole.
    pub fn shipped() -> Result<Self, VocabularyError> {
        Self::read(SHIPPED)
    }

    /// The file that comes with the program.
    pub fn shipped_text() -> &'static str {
        SHIPPED
    }

    /// The words of a file.
    ///
    /// # Errors
    /// Where it has not the form of `rules/matching.toml`.
    pub fn read(text: &str) -> Result<Self, VocabularyError> {
        Self::read_with_places(text, None)
    }

    /// The words of a file, its home and regions replaced by those of a `[places]` table: the first place of `home` is
    /// the city.
    ///
    /// # Errors
    /// Where either has not its form.
    pub fn read_with_places(text: &str, places: Option<&str>) -> Result<Self, VocabularyError> {
        let form = |error: toml::de::Error| VocabularyError::Form(error.message().to_owned());
        let mut file: File = toml::from_str(text).map_err(form)?;
        if let Some(places) = places {
            let Gazetteer { places } = toml::from_str(places).map_err(form)?;
            file.version = format!("{}+{:x}", file.version, places.digest());
            if let Some(city) = places.home.first() {
                file.home.clone_from(city);
            }
            file.regions = [places.home, places.elsewhere].concat();
        }
        let lists = file.suffixes.values().chain(file.units.values()).chain(file.topics.values());
        let lists = lists.chain(&file.alike.groups);
        let words: usize = lists.map(Vec::len).sum();
        if words + file.generic.words.len() + file.regions.len() + file.nameless.len() > WORD_LIMIT {
            return Err(VocabularyError::TooMany);
        }
        let mut topic_names: HashMap<u32, String> = HashMap::new();
        let mut topics = Vec::new();
        for (name, words) in file.topics {
            let field = name.split(IN).next().unwrap_or(&name);
            let meaning = Meaning { field: field_id(field), trouble: name.contains(IN).then(|| trouble_id(&name)) };
            topics.extend(words.iter().map(|word| (normal(word), meaning)));
            let known = [Some((meaning.field, field)), meaning.trouble.map(|trouble| (trouble, name.as_str()))];
            for (id, name) in known.into_iter().flatten() {
                let shown = name.replace(IN, "：");
                if let Some(other) = topic_names.insert(id, shown.clone()).filter(|other| *other != shown) {
                    return Err(VocabularyError::Clash(other, shown));
                }
            }
        }
        // A word of both a field and a trouble in it tells the trouble: of equal patterns the first counts.
        topics.sort_by_key(|(_, meaning)| meaning.trouble.is_none());
        let alike = file.alike.groups.iter().flat_map(|group| {
            let stands = group.first().map_or(0, |first| gram(&format!("{IN}{first}")));
            group.iter().map(move |word| (normal(word), stands))
        });
        let mut units: Vec<(String, UnitKind)> = file
            .units
            .into_iter()
            .flat_map(|(kind, words)| words.into_iter().map(move |word| (normal(&word), kind)))
            .filter(|(word, _)| !word.is_empty())
            .collect();
        units.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        let suffixes = file
            .suffixes
            .into_iter()
            .flat_map(|(kind, words)| words.into_iter().map(move |word| (normal(&word), kind)));
        let borders: HashSet<String> = file.borders.iter().map(|word| normal(word)).collect();
        Ok(Self {
            border_length: borders.iter().map(|word| word.chars().count()).max().unwrap_or(0),
            borders,
            vague: Finder::new(
                file.nameless
                    .iter()
                    .map(|word| (normal(word), ()))
                    .filter(|(word, ())| word.chars().count() > 1)
                    .collect(),
            )?,
            nameless: file.nameless.iter().map(|word| normal(word)).collect(),
            regions: Finder::new(file.regions.iter().map(|word| (normal(word), ())).collect())?,
            suffixes: Finder::new(suffixes.collect())?,
            units,
            topics: Finder::new(topics)?,
            topic_names,
            generic: Finder::new(file.generic.words.iter().map(|word| (normal(word), ())).collect())?,
            alike: Finder::new(alike.collect())?,
            home: normal(&file.home),
            version: file.version,
        })
    }

    /// Version of the words: signatures made by another one are made anew.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What a topic is called.
    pub(super) fn topic(&self, id: u32) -> &str {
        self.topic_names.get(&id).map_or("其他", String::as_str)
    }
}

/// Fields have even numbers, troubles odd ones.
fn field_id(name: &str) -> u32 {
    hash(name) & !1
}

fn trouble_id(name: &str) -> u32 {
    hash(name) | 1
}

fn hash(name: &str) -> u32 {
    name.chars().fold(0x811c_9dc5, |hash: u32, character| (hash ^ u32::from(character)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_words_are_whole() {
        let vocabulary = Vocabulary::shipped().unwrap();
        assert!(vocabulary.topic_names.len() > 60);
        assert_eq!(vocabulary.home, "辽阳市");
    }

    #[test]
    fn a_file_of_another_form_is_refused_in_words() {
        let error = Vocabulary::read("version = 1").unwrap_err();
        assert!(error.to_string().starts_with("the words for matching cannot be read"), "{error}");
    }
}
