//! The rules of screening and classifying, read from a file that the hotline office keeps (`rules/liaoyang.toml`).
//!
//! The regulation stays, its application changes from week to week; so what speaks for an outcome is data with a version,
//! and only how evidence is weighed is code. A mistake in the file is told with its line and, where one is near, the
//! word that was meant; a set that parses is complete and can be swapped in while the gateway runs.

mod compile;
mod file;
mod mistakes;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use aho_corasick::AhoCorasick;
use connectors::complaint::Channel;
pub(super) use file::{ElementField, PlaceCondition};

use super::{
    Article, Disposition, Kind, Urgency,
    model::{Model, ModelError},
};

/// The rule file that comes with the program.
const SHIPPED: &str = include_str!("../../rules/liaoyang.toml");

/// The subjects that come with the program.
const SUBJECTS: &str = include_str!("../../rules/subjects.toml");

/// The handling units that come with the program.
const UNITS: &str = include_str!("../../rules/units.toml");

/// The trained model that comes with the program.
const MODEL: &str = include_str!("../../rules/urgency.model");

/// The same, read once.
static SHIPPED_MODEL: LazyLock<Result<Arc<Model>, ModelError>> = LazyLock::new(|| Model::parse(MODEL).map(Arc::new));

/// Longest rule file, in bytes.
pub const FILE_LIMIT: usize = 1 << 20;

/// The trained model: the one given, or the one that comes with the program.
fn model(text: Option<&str>) -> Result<Arc<Model>, RulesError> {
    let model = match text {
        Some(text) => Model::parse(text).map(Arc::new),
        None => SHIPPED_MODEL.clone(),
    };
    let failed =
        |line, problem: String| RulesError { file: SourceFile::Model, line, column: 1, problem, suggestion: None };
    let model = model.map_err(|error| failed(error.line, error.problem))?;
    match Urgency::ALL.iter().find(|urgency| !model.classes().iter().any(|class| class == urgency.as_str())) {
        Some(missing) => Err(failed(4, format!("there is no class {:?}", missing.as_str()))),
        None => Ok(model),
    }
}

/// Most rules in a file.
pub const RULE_LIMIT: usize = 500;

/// Most words that all phrases together may come to once their word lists are put in.
pub const PATTERN_LIMIT: usize = 50_000;

/// Most mistakes of a file that are told at once.
pub const MISTAKES: usize = 100;

/// Most subjects in a taxonomy.
pub(super) const SUBJECT_LIMIT: usize = 500;

/// Most handling units.
pub(super) const UNIT_LIMIT: usize = 500;

/// The texts that a rule set is made of. What is not given comes with the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// The rule file.
    pub rules: Option<&'a str>,
    /// A file with a `[places]` table in place of the rule file's own.
    pub places: Option<&'a str>,
    /// The two-level taxonomy of subjects.
    pub subjects: Option<&'a str>,
    /// Handling units by their duties.
    pub units: Option<&'a str>,
    /// The trained model of urgency; used only where the rules have a `[model]` table.
    pub model: Option<&'a str>,
}

/// Which of the files a mistake is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFile {
    /// The rule file.
    Rules,
    /// The gazetteer.
    Places,
    /// The taxonomy of subjects.
    Subjects,
    /// The handling units.
    Units,
    /// The trained model.
    Model,
}

impl SourceFile {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rule file",
            Self::Places => "gazetteer",
            Self::Subjects => "file of subjects",
            Self::Units => "file of units",
            Self::Model => "model file",
        }
    }
}

/// What is wrong with a rule file, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}, column {column}: {problem}{}", file.name(), suggestion.as_deref().map(|text| format!("; {text}")).unwrap_or_default())]
pub struct RulesError {
    /// Which file.
    pub file: SourceFile,
    /// Line in the file, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// A rule set ready to be used: built once, shared by every assessment.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) version: String,
    pub(super) city: String,
    pub(super) rules: Vec<Rule>,
    pub(super) subjects: Vec<Subject>,
    pub(super) units: Vec<Unit>,
    pub(super) emergency_unit: Option<String>,
    pub(super) thin: Thin,
    pub(super) support: Option<Support>,
    pub(super) kinds: Kinds,
    pub(super) places: Places,
    pub(super) negations: Vec<String>,
    /// Words that, shortly before what is asked for, make it a mere thought: 万一, 担心.
    pub(super) hypothetical: Vec<String>,
    /// Words that, shortly before what is urgent, make it long past: 去年, 曾经.
    pub(super) past: Vec<String>,
    pub(super) phrases: Vec<Phrase>,
    /// Finds every word of every phrase in one pass.
    pub(super) words: AhoCorasick,
    /// The words themselves: what is shown as evidence, so that evidence never quotes a citizen.
    pub(super) spelled: Vec<String>,
    /// For each pattern of `words`, which pieces of which phrases it is: `uses[first[p]..first[p + 1]]`.
    pub(super) first: Vec<u32>,
    pub(super) uses: Vec<Use>,
    /// How many places are needed to remember the beginnings of phrases that have several pieces.
    pub(super) slots: usize,
}

/// One rule of screening.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) article: Article,
    pub(super) outcome: Disposition,
    pub(super) advice: Option<String>,
    pub(super) urgency: Option<Urgency>,
    /// In a longer text, in letters, what is not in the head doesn't count.
    pub(super) longest: usize,
    pub(super) place: Option<PlaceCondition>,
    pub(super) channels: Vec<Channel>,
    pub(super) needs_mention: bool,
    /// One bit for each feature that must be there.
    pub(super) needs: u32,
}

/// A subject of the two-level taxonomy.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) first: String,
    pub(super) second: String,
}

/// A handling unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: String,
    /// Its sub-platform of the hotline (分平台, Article 5), where it has one.
    pub(super) platform: Option<String>,
    /// Subjects that are its duty, as `first/second` or `first`.
    pub(super) duties: Vec<String>,
}

/// One of the things a complaint must tell (Article 13(4)).
#[derive(Debug)]
pub(super) struct Element {
    /// How the petitioner is asked for it.
    pub(super) ask: String,
    /// The field of a form in which it may be told.
    pub(super) field: Option<ElementField>,
    /// Told where this many letters say something, whatever the words; 0 for never.
    pub(super) least: usize,
}

/// When a text is too thin to be handled (Article 13(4)).
#[derive(Debug)]
pub(super) struct Thin {
    pub(super) article: Article,
    pub(super) least: usize,
    /// Below this many letters, what tells too few elements is vague.
    pub(super) vague: usize,
    /// On what vagueness rests.
    pub(super) vague_article: Article,
    /// Below this many letters, what is accepted is asked for the elements that it does not tell.
    pub(super) ask: usize,
    pub(super) advice: String,
    pub(super) elements: Vec<Element>,
}

/// The trained model beside the rules, and from which share on, in hundredths, what it sees counts.
#[derive(Debug)]
pub(super) struct Support {
    pub(super) model: Arc<Model>,
    pub(super) danger: u8,
    pub(super) supply: u8,
    /// Below this share the model sees nothing urgent: what a rule takes for danger is then held, not guided, and what
    /// it takes for a failed supply is accepted without the flag.
    pub(super) calm: u8,
    /// So many characters are read: the title, the request and how the text begins.
    pub(super) longest: usize,
    /// What a petitioner is told whom the model alone takes to be in danger.
    pub(super) advice: String,
}

/// How the kind of request is weighed.
#[derive(Debug)]
pub(super) struct Kinds {
    pub(super) margin: u32,
    pub(super) head_factor: u32,
    pub(super) label_weight: u32,
    /// Below this many letters a text is short.
    pub(super) short: usize,
    /// What each kind has before anything is read, in the order of [`Kind::ALL`].
    pub(super) prior: [u32; 4],
    pub(super) labels: HashMap<String, Vec<Kind>>,
    pub(super) channels: Vec<(Channel, Kind, u32)>,
}

/// What makes the name of a place something else than the place of the matter.
#[derive(Debug)]
pub(super) struct Places {
    /// Words just before the name.
    pub(super) beforehand: Vec<String>,
    /// Words just after it.
    pub(super) afterwards: Vec<String>,
    /// The same, for names without 省, 市, 区 or 县, which are part of many names of firms and goods.
    pub(super) afterwards_bare: Vec<String>,
}

/// What a phrase is evidence of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Shows that what the rule is about is asked for.
    Ask(u16),
    /// Suggests it: a person should look.
    Hint(u16),
    /// Must be there too: one of several.
    Mention(u16),
    /// A feature that must be there too: each of several.
    Need(u16, u8),
    /// Speaks against the rule: a person decides.
    Against(u16),
    /// Shows that the matter is another one.
    Unless(u16),
    /// Speaks for a kind of request, with this weight.
    Kind(Kind, u8),
    /// Speaks for a kind of request in a short text, where a bare question is no figure of speech.
    ShortKind(Kind),
    /// Shows that a clause of Article 6 fits.
    Clause(u8),
    /// Asks an office of the city to act.
    Administrative,
    /// Says nothing about the matter.
    Filler,
    /// A name of the home city or of a part of it.
    Home,
    /// A name of another place.
    Elsewhere,
    /// A name of another place that may be something else: proves nothing by itself.
    ElsewhereWeak,
    /// Tells an element that every complaint must tell.
    Element(u8),
    /// Looks like such an element and names nothing: 我们小区.
    NoElement(u8),
    /// Speaks for a subject, with this weight.
    Subject(u16, u8),
}

/// A phrase: one or several pieces that stand in this order, near to each other and in one sentence.
#[derive(Debug)]
pub(super) struct Phrase {
    pub(super) role: Role,
    /// Where the beginnings found are remembered; phrases of one piece need none.
    pub(super) slot: u32,
    pub(super) pieces: u8,
}

/// One use of a word: as which piece of which phrase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) phrase: u32,
    pub(super) piece: u8,
}

impl RulesError {
    fn within(self, file: SourceFile) -> Self {
        Self { file, ..self }
    }
}

impl RuleSet {
    /// Makes a rule set of its texts.
    ///
    /// # Errors
    /// [`RulesError`] names the file, the line, what is wrong there and, where a known word is near, what was probably
    /// meant.
    pub fn build(sources: Sources<'_>) -> Result<Self, RulesError> {
        Self::check(sources).map_err(|mut mistakes| mistakes.swap_remove(0))
    }

    /// Makes a rule set of its texts, or tells every mistake in them.
    ///
    /// # Errors
    /// The mistakes in the order of the files, at least one and at most [`MISTAKES`]. Where a file cannot be read at all,
    /// those for which it cannot; what its words mean is looked at once it can.
    pub fn check(sources: Sources<'_>) -> Result<Self, Vec<RulesError>> {
        let one = |file| move |error: RulesError| vec![error.within(file)];
        let rules = sources.rules.unwrap_or(SHIPPED);
        let subjects = sources.subjects.unwrap_or(SUBJECTS);
        let units = sources.units.unwrap_or(UNITS);
        let places = match sources.places {
            Some(places) => Some((file::read_places(places).map_err(one(SourceFile::Places))?, places)),
            None => None,
        };
        compile::compile(&compile::Files {
            rules: (&file::read(rules)?, rules),
            places: places.as_ref().map(|(file, text)| (file, *text)),
            subjects: (&file::read_subjects(subjects).map_err(one(SourceFile::Subjects))?, subjects),
            units: (&file::read_units(units).map_err(one(SourceFile::Units))?, units),
            model: sources.model,
        })
    }

    /// Reads a rule file.
    ///
    /// # Errors
    /// [`RulesError`], as [`RuleSet::build`].
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        Self::build(Sources { rules: Some(text), ..Sources::default() })
    }

    /// Reads a rule file, and the names of places from another one (a file with a `[places]` table), so that a city can
    /// keep its own gazetteer and take the rules as they are.
    ///
    /// # Errors
    /// [`RulesError`], as [`RuleSet::build`].
    pub fn parse_with_places(text: &str, places: &str) -> Result<Self, RulesError> {
        Self::build(Sources { rules: Some(text), places: Some(places), ..Sources::default() })
    }

    /// The rules that come with the program.
    ///
    /// # Errors
    /// [`RulesError`] if the shipped file is wrong, which a test rules out.
    pub fn shipped() -> Result<Self, RulesError> {
        Self::build(Sources::default())
    }

    /// The text of the rule file that comes with the program: what an office copies to begin with its own.
    pub fn shipped_text() -> &'static str {
        SHIPPED
    }

    /// Version of the rules: what the file says, and eight digits of the digest of its text, so that two texts never
    /// have one version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The city whose rules these are.
    pub fn city(&self) -> &str {
        &self.city
    }

    /// The rules: id, article and outcome of each, in the order of the file.
    pub fn list(&self) -> impl Iterator<Item = (&str, Article, Disposition)> {
        self.rules.iter().map(|rule| (rule.id.as_str(), rule.article, rule.outcome))
    }
}

#[cfg(test)]
mod tests;
