//! The rule file as it is written.

use std::collections::BTreeMap;

use connectors::complaint::Channel;
use serde::Deserialize;
use toml::Spanned;

use super::{FILE_LIMIT, RulesError, SourceFile, mistakes};
use crate::assess::{Disposition, Kind, Urgency};

/// A phrase with its place in the file.
pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: Text,
    pub(super) city: String,
    #[serde(default)]
    pub(super) words: BTreeMap<String, Vec<Text>>,
    #[serde(default)]
    pub(super) features: BTreeMap<String, Vec<Text>>,
    pub(super) places: PlacesFile,
    #[serde(default)]
    pub(super) negations: Vec<Text>,
    #[serde(default)]
    pub(super) hypothetical: Vec<Text>,
    #[serde(default)]
    pub(super) past: Vec<Text>,
    #[serde(default)]
    pub(super) administrative: Vec<Text>,
    pub(super) thin: ThinFile,
    pub(super) model: Option<ModelFile>,
    #[serde(default)]
    pub(super) clauses: Vec<ClauseFile>,
    #[serde(default)]
    pub(super) rule: Vec<RuleFile>,
    pub(super) kinds: KindsFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacesOnly {
    pub(super) places: PlacesFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacesFile {
    pub(super) home: Vec<Text>,
    pub(super) elsewhere: Vec<Text>,
    #[serde(default)]
    pub(super) elsewhere_weak: Vec<Text>,
    #[serde(default)]
    pub(super) not_before: Vec<Text>,
    #[serde(default)]
    pub(super) not_after: Vec<Text>,
    #[serde(default)]
    pub(super) not_after_bare: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThinFile {
    pub(super) article: Text,
    pub(super) least: usize,
    #[serde(default)]
    pub(super) vague: usize,
    pub(super) vague_article: Option<Text>,
    #[serde(default)]
    pub(super) ask: usize,
    pub(super) advice: String,
    #[serde(default)]
    pub(super) filler: Vec<Text>,
    #[serde(default)]
    pub(super) element: Vec<ElementFile>,
}

/// From which share on, in hundredths, what the trained model sees counts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFile {
    pub(super) danger: Spanned<u8>,
    pub(super) supply: Spanned<u8>,
    pub(super) calm: Spanned<u8>,
    pub(super) longest: usize,
    pub(super) advice: String,
}

/// The field of a form in which an element may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ElementField {
    /// When it happened.
    Occurred,
    /// Where.
    Place,
    /// Who is involved.
    Parties,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ElementFile {
    pub(super) ask: Text,
    pub(super) field: Option<ElementField>,
    #[serde(default)]
    pub(super) least: usize,
    #[serde(default)]
    pub(super) phrases: Vec<Text>,
    #[serde(default)]
    pub(super) unless: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClauseFile {
    pub(super) article: Text,
    pub(super) phrases: Vec<Text>,
}

/// Where the matter must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlaceCondition {
    /// In another city.
    Elsewhere,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    pub(super) id: Text,
    pub(super) article: Text,
    pub(super) outcome: Spanned<Disposition>,
    pub(super) advice: Option<String>,
    pub(super) urgency: Option<Urgency>,
    pub(super) longest: Option<usize>,
    pub(super) place: Option<PlaceCondition>,
    #[serde(default)]
    pub(super) channels: Vec<Channel>,
    #[serde(default)]
    pub(super) asks: Vec<Text>,
    #[serde(default)]
    pub(super) hints: Vec<Text>,
    #[serde(default)]
    pub(super) needs: Vec<Text>,
    #[serde(default)]
    pub(super) mentions: Vec<Text>,
    #[serde(default)]
    pub(super) against: Vec<Text>,
    #[serde(default)]
    pub(super) unless: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindsFile {
    pub(super) margin: u32,
    pub(super) head_factor: u32,
    pub(super) label_weight: u32,
    #[serde(default)]
    pub(super) short: usize,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, Vec<Kind>>,
    #[serde(default)]
    pub(super) channels: Vec<KindChannel>,
    pub(super) consult: KindFile,
    pub(super) suggest: KindFile,
    pub(super) help: KindFile,
    pub(super) complain: KindFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindChannel {
    pub(super) channel: Channel,
    pub(super) kind: Kind,
    pub(super) weight: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindFile {
    #[serde(default)]
    pub(super) prior: u32,
    #[serde(default)]
    pub(super) strong: Vec<Text>,
    #[serde(default)]
    pub(super) weak: Vec<Text>,
    #[serde(default)]
    pub(super) short: Vec<Text>,
}

/// The two-level taxonomy of subjects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectsFile {
    #[serde(default)]
    pub(super) subject: Vec<SubjectFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectFile {
    pub(super) name: Text,
    #[serde(default)]
    pub(super) strong: Vec<Text>,
    #[serde(default)]
    pub(super) weak: Vec<Text>,
}

/// Handling units by their duties.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitsFile {
    pub(super) emergency: Option<String>,
    #[serde(default)]
    pub(super) unit: Vec<UnitFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitFile {
    pub(super) name: Text,
    pub(super) platform: Option<String>,
    #[serde(default)]
    pub(super) duties: Vec<Text>,
}

pub(super) fn read_subjects(text: &str) -> Result<SubjectsFile, RulesError> {
    bounded(text)?;
    toml::from_str(text).map_err(|error| from_toml(text, &error))
}

pub(super) fn read_units(text: &str) -> Result<UnitsFile, RulesError> {
    bounded(text)?;
    toml::from_str(text).map_err(|error| from_toml(text, &error))
}

/// Reads a rule file, or tells every mistake for which it cannot be read.
pub(super) fn read(text: &str) -> Result<File, Vec<RulesError>> {
    bounded(text).map_err(|error| vec![error])?;
    toml::from_str(text).map_err(|error| mistakes::every(text, from_toml(text, &error)))
}

pub(super) fn read_places(text: &str) -> Result<PlacesFile, RulesError> {
    bounded(text)?;
    let only: PlacesOnly = toml::from_str(text).map_err(|error| from_toml(text, &error))?;
    Ok(only.places)
}

fn bounded(text: &str) -> Result<(), RulesError> {
    if text.len() <= FILE_LIMIT {
        return Ok(());
    }
    let problem =
        format!("文件有 {0} 字节，上限 {FILE_LIMIT} / the file has {0} bytes, more than {FILE_LIMIT}", text.len());
    Err(told(text, 0, problem, None))
}

/// A mistake at a byte of the rule file.
pub(super) fn told(text: &str, byte: usize, problem: String, suggestion: Option<String>) -> RulesError {
    let (line, column) = place(text, byte);
    RulesError { file: SourceFile::Rules, line, column, problem, suggestion }
}

pub(super) fn from_toml(text: &str, error: &toml::de::Error) -> RulesError {
    let message = error.message().trim().replace('\n', " ");
    let problem = format!("{} / {message}", chinese(&message));
    // The reader's message names the word it did not know and those it knows, each in backquotes.
    let mut quoted = problem.split('`').skip(1).step_by(2);
    let unknown = quoted.next().unwrap_or_default().to_owned();
    let known: Vec<&str> = quoted.collect();
    let suggestion = nearest(&unknown, known.into_iter());
    told(text, error.span().map_or(0, |span| span.start), problem, suggestion)
}

/// The beginning of what the reader says, in Chinese: what else it says are names and values.
fn chinese(message: &str) -> &'static str {
    const WORDS: [(&str, &str); 8] = [
        ("unknown field", "不认识的名称"),
        ("unknown variant", "不认识的取值"),
        ("missing field", "缺少必填项"),
        ("invalid type", "取值的类型不对"),
        ("invalid value", "取值不对"),
        ("duplicate key", "同一名称写了两次"),
        ("duplicate field", "同一名称写了两次"),
        ("unclosed", "引号或括号没有闭合"),
    ];
    let known = WORDS.into_iter().find(|(beginning, _)| message.starts_with(beginning));
    known.map_or("写法不合 TOML 格式", |(_, chinese)| chinese)
}

/// The line and the character in it at which a byte stands, each from 1.
pub(super) fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (1 + before.matches('\n').count(), 1 + before[start..].chars().count())
}

/// Names the known word that is nearest to an unknown one, if any is near.
pub(super) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|word| (strsim::jaro_winkler(unknown, word), word))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| format!("是否想写 `{word}`？/ did you mean `{word}`?"))
}
