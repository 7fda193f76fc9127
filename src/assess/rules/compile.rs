//! Checks a rule file and builds what assessing needs: one automaton over every word of every phrase.

use std::collections::{BTreeMap, HashMap, HashSet};

use aho_corasick::AhoCorasick;
use connectors::entry::digest_hex;
use toml::Spanned;

use super::{
    Element, Kinds, MISTAKES, PATTERN_LIMIT, Phrase, Places, RULE_LIMIT, Role, Rule, RuleSet, RulesError,
    SUBJECT_LIMIT, SourceFile, Subject, Support, Thin, UNIT_LIMIT, Unit, Use,
    file::{self, File, KindFile, ModelFile, PlacesFile, RuleFile, SubjectsFile, Text, ThinFile, UnitsFile},
    mistakes::in_order,
};
use crate::assess::{Article, Disposition, Kind, text::normal};

/// Stands between two pieces of a phrase.
const GAP: char = '…';

/// Most pieces of one phrase.
const PIECES: usize = 4;

/// Most features that one rule needs.
const NEEDS: usize = 32;

/// The files read, each with its text, in which mistakes are told by line.
pub(super) struct Files<'a> {
    pub(super) rules: (&'a File, &'a str),
    pub(super) places: Option<(&'a PlacesFile, &'a str)>,
    pub(super) subjects: (&'a SubjectsFile, &'a str),
    pub(super) units: (&'a UnitsFile, &'a str),
    pub(super) model: Option<&'a str>,
}

/// Makes the rule set, or tells every mistake.
pub(super) fn compile(files: &Files<'_>) -> Result<RuleSet, Vec<RulesError>> {
    let (file, text) = files.rules;
    let mut builder = Builder {
        file: SourceFile::Rules,
        text,
        words: &file.words,
        features: &file.features,
        phrases: Vec::new(),
        patterns: Patterns::default(),
        slots: 0,
        mistakes: Vec::new(),
    };
    let version = builder.version(file, files.places.map(|(_, text)| text));
    let rules = builder.rules(&file.rule);
    builder.add(&file.administrative, Role::Administrative);
    builder.clauses(file);
    let thin = builder.thin(&file.thin);
    let support = builder.support(file.model.as_ref(), files.model);
    let kinds = builder.kinds(file);
    let place_file = match files.places {
        Some((places, text)) => {
            builder.look_at(SourceFile::Places, text);
            places
        }
        None => &file.places,
    };
    let places = builder.places(place_file);
    builder.look_at(SourceFile::Subjects, files.subjects.1);
    let subjects = builder.subjects(files.subjects.0);
    builder.look_at(SourceFile::Units, files.units.1);
    let units = builder.units(files.units.0, &subjects);
    let Some((version, thin)) = version.zip(thin).filter(|_| builder.mistakes.is_empty()) else {
        return Err(in_order(builder.mistakes));
    };
    let (first, uses) = builder.patterns.table();
    let automaton = AhoCorasick::new(&builder.patterns.list).map_err(|cause| {
        let problem = format!("词语太多，无法使用 / the phrases do not make an automaton: {cause}");
        vec![file::told(text, 0, problem, Some("请减少或缩短词语 / use fewer or shorter phrases".to_owned()))]
    })?;
    Ok(RuleSet {
        version,
        city: file.city.clone(),
        rules,
        subjects,
        units,
        emergency_unit: files.units.0.emergency.clone(),
        thin,
        support,
        kinds,
        places,
        negations: guards(&file.negations),
        hypothetical: guards(&file.hypothetical),
        past: guards(&file.past),
        phrases: builder.phrases,
        words: automaton,
        spelled: builder.patterns.list,
        first,
        uses,
        slots: builder.slots as usize,
    })
}

fn guards(list: &[Text]) -> Vec<String> {
    list.iter().map(|text| normal(text.get_ref())).filter(|text| !text.is_empty()).collect()
}

/// Every word of every phrase once, with the places where it is used.
#[derive(Default)]
struct Patterns {
    list: Vec<String>,
    index: HashMap<String, usize>,
    uses: Vec<Vec<Use>>,
}

impl Patterns {
    fn add(&mut self, pattern: String, used: Use) {
        let index = *self.index.entry(pattern.clone()).or_insert_with(|| {
            self.list.push(pattern);
            self.uses.push(Vec::new());
            self.list.len() - 1
        });
        self.uses[index].push(used);
    }

    fn table(&self) -> (Vec<u32>, Vec<Use>) {
        let mut first = vec![0];
        let mut uses = Vec::new();
        for list in &self.uses {
            // A later piece is tried before an earlier one, so that no word serves as two pieces of one phrase at once.
            let mut list = list.clone();
            list.sort_by_key(|used| std::cmp::Reverse(used.piece));
            uses.extend(list);
            first.push(u32::try_from(uses.len()).unwrap_or(u32::MAX));
        }
        (first, uses)
    }
}

struct Builder<'a> {
    /// The file that is looked at, and its text: where a mistake is told.
    file: SourceFile,
    text: &'a str,
    words: &'a BTreeMap<String, Vec<Text>>,
    features: &'a BTreeMap<String, Vec<Text>>,
    phrases: Vec<Phrase>,
    patterns: Patterns,
    slots: u32,
    /// What is wrong so far: building goes on, so that all of it is told at once.
    mistakes: Vec<RulesError>,
}

impl<'a> Builder<'a> {
    fn look_at(&mut self, file: SourceFile, text: &'a str) {
        (self.file, self.text) = (file, text);
    }

    fn error<T>(&self, place: &Spanned<T>, problem: String) -> RulesError {
        RulesError { file: self.file, ..file::told(self.text, place.span().start, problem, None) }
    }

    /// Notes what is wrong and goes on.
    fn tell<T>(&mut self, outcome: Result<T, RulesError>) -> Option<T> {
        outcome.map_err(|mistake| self.note(mistake)).ok()
    }

    fn note(&mut self, mistake: RulesError) {
        // Some more than are told: the order of the file is made afterwards.
        if self.mistakes.len() < 10 * MISTAKES {
            self.mistakes.push(mistake);
        }
    }

    fn article(&self, written: &Text) -> Result<Article, RulesError> {
        written.get_ref().parse().map_err(|cause| self.error(written, format!("{cause}")))
    }

    /// What the file says, and the beginning of a digest of its text and of the gazetteer that replaces its own.
    fn version(&mut self, file: &File, places: Option<&str>) -> Option<String> {
        let declared = file.version.get_ref().trim();
        let well_formed = (1..=40).contains(&declared.len())
            && declared.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        if !well_formed {
            let problem = "version 只能用 1 至 40 个字母、数字、点、横线或下划线 / the version must have 1 to 40 letters, digits, dots, hyphens or \
                           underscores".to_owned();
            self.note(self.error(&file.version, problem));
            return None;
        }
        let digest = digest_hex(&[self.text.as_bytes(), places.unwrap_or_default().as_bytes()]);
        Some(format!("{declared}+{}", digest.get(..8).unwrap_or(&digest)))
    }

    fn clauses(&mut self, file: &File) {
        for clause in &file.clauses {
            match self.article(&clause.article) {
                Ok(Article { number: 6, clause: Some(number @ 1..=4) }) => {
                    self.add(&clause.phrases, Role::Clause(number));
                }
                Ok(_) => {
                    let problem =
                        "受理的依据是 6(1) 至 6(4) 之一 / a clause of acceptance is one of 6(1) to 6(4)".to_owned();
                    self.note(self.error(&clause.article, problem));
                }
                Err(mistake) => self.note(mistake),
            }
        }
    }

    fn thin(&mut self, thin: &ThinFile) -> Option<Thin> {
        self.add(&thin.filler, Role::Filler);
        let mut elements = Vec::new();
        for (number, element) in thin.element.iter().enumerate() {
            let Ok(number) = u8::try_from(number) else {
                self.note(self.error(&element.ask, "要素超过 256 项 / more than 256 elements".to_owned()));
                break;
            };
            self.add(&element.phrases, Role::Element(number));
            self.add(&element.unless, Role::NoElement(number));
            let (ask, field, least) = (element.ask.get_ref().clone(), element.field, element.least);
            elements.push(Element { ask, field, least });
        }
        let article = self.article(&thin.article);
        let article = self.tell(article)?;
        let vague_article = match &thin.vague_article {
            Some(written) => {
                let vague_article = self.article(written);
                self.tell(vague_article)?
            }
            None => article,
        };
        Some(Thin {
            article,
            least: thin.least,
            vague: thin.vague,
            vague_article,
            ask: thin.ask,
            advice: thin.advice.clone(),
            elements,
        })
    }

    fn support(&mut self, file: Option<&ModelFile>, text: Option<&str>) -> Option<Support> {
        let file = file?;
        for share in [&file.danger, &file.supply, &file.calm] {
            if !(1..=100).contains(share.get_ref()) {
                self.note(self.error(
                    share,
                    "此处须为 1 至 100 的整数（百分之几） / a share of 1 to 100 hundredths must stand here".to_owned(),
                ));
            }
        }
        let model = super::model(text);
        Some(Support {
            model: self.tell(model)?,
            danger: *file.danger.get_ref(),
            supply: *file.supply.get_ref(),
            calm: *file.calm.get_ref(),
            longest: file.longest,
            advice: file.advice.clone(),
        })
    }

    fn kinds(&mut self, file: &File) -> Kinds {
        let kinds = &file.kinds;
        let files = [&kinds.consult, &kinds.suggest, &kinds.help, &kinds.complain];
        for (kind, evidence) in Kind::ALL.into_iter().zip(files) {
            self.kind(kind, evidence);
        }
        Kinds {
            margin: kinds.margin,
            head_factor: kinds.head_factor,
            label_weight: kinds.label_weight,
            short: kinds.short,
            prior: files.map(|file| file.prior),
            labels: kinds.labels.iter().map(|(label, kinds)| (normal(label), kinds.clone())).collect(),
            channels: kinds.channels.iter().map(|entry| (entry.channel, entry.kind, entry.weight)).collect(),
        }
    }

    fn places(&mut self, places: &PlacesFile) -> Places {
        if places.home.is_empty() {
            let problem = "`places.home` 没有写本市地名，无从判断外地事项 / `places.home` names no place: without a home no matter can be \
                           elsewhere".to_owned();
            self.note(RulesError { file: self.file, ..file::told(self.text, 0, problem, None) });
        }
        self.add(&places.home, Role::Home);
        self.add(&places.elsewhere, Role::Elsewhere);
        self.add(&places.elsewhere_weak, Role::ElsewhereWeak);
        Places {
            beforehand: guards(&places.not_before),
            afterwards: guards(&places.not_after),
            afterwards_bare: guards(&places.not_after_bare),
        }
    }

    fn subjects(&mut self, file: &SubjectsFile) -> Vec<Subject> {
        let mut subjects = Vec::new();
        let mut names = HashSet::new();
        for subject in &file.subject {
            let name = subject.name.get_ref();
            let levels = name.split_once('/');
            let levels =
                levels.filter(|(first, second)| !first.is_empty() && !second.is_empty() && !second.contains('/'));
            let Some((first, second)) = levels else {
                self.note(self.error(
                    &subject.name,
                    format!(
                        "主题 {name:?} 应为两级，如 城乡建设/供热 / subject {name:?}: two levels, as 城乡建设/供热"
                    ),
                ));
                continue;
            };
            if !names.insert(name.as_str()) {
                self.note(
                    self.error(&subject.name, format!("有两个主题都叫 {name:?} / two subjects are named {name:?}")),
                );
            }
            if subjects.len() == SUBJECT_LIMIT {
                self.note(
                    self.error(
                        &subject.name,
                        format!("主题超过 {SUBJECT_LIMIT} 个 / more than {SUBJECT_LIMIT} subjects"),
                    ),
                );
                break;
            }
            let number = u16::try_from(subjects.len()).unwrap_or(u16::MAX);
            self.add(&subject.strong, Role::Subject(number, 3));
            self.add(&subject.weak, Role::Subject(number, 1));
            subjects.push(Subject { first: first.to_owned(), second: second.to_owned() });
        }
        subjects
    }

    fn units(&mut self, file: &UnitsFile, subjects: &[Subject]) -> Vec<Unit> {
        let names: Vec<String> =
            subjects.iter().map(|subject| format!("{}/{}", subject.first, subject.second)).collect();
        let mut units = Vec::new();
        for unit in &file.unit {
            if units.len() == UNIT_LIMIT {
                self.note(self.error(&unit.name, format!("单位超过 {UNIT_LIMIT} 个 / more than {UNIT_LIMIT} units")));
                break;
            }
            for duty in &unit.duties {
                let name = duty.get_ref().as_str();
                if !names.iter().any(|known| known == name) && !subjects.iter().any(|subject| subject.first == name) {
                    let mut error = self.error(
                        duty,
                        format!("{0}：没有主题 {name:?} / {0}: there is no subject {name:?}", unit.name.get_ref()),
                    );
                    error.suggestion = file::nearest(name, names.iter().map(String::as_str));
                    self.note(error);
                }
            }
            units.push(Unit {
                name: unit.name.get_ref().clone(),
                platform: unit.platform.clone(),
                duties: unit.duties.iter().map(|duty| duty.get_ref().clone()).collect(),
            });
        }
        units
    }

    fn rules(&mut self, files: &[RuleFile]) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(files.len());
        let mut ids = HashSet::new();
        for file in files {
            if rules.len() == RULE_LIMIT {
                self.note(self.error(&file.id, format!("规则超过 {RULE_LIMIT} 条 / more than {RULE_LIMIT} rules")));
                break;
            }
            rules.extend(self.rule(file, rules.len(), &mut ids));
        }
        rules
    }

    fn rule<'b>(&mut self, file: &'b RuleFile, index: usize, ids: &mut HashSet<&'b str>) -> Option<Rule> {
        let id = file.id.get_ref().as_str();
        let well_formed = (1..=60).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
        if !well_formed {
            let problem = format!(
                "规则编号 {id:?} 只能用 1 至 60 个小写字母、数字、点和下划线 / rule id {id:?}: 1 to 60 lower-case letters, digits, dots and \
                 underscores"
            );
            self.note(self.error(&file.id, problem));
        }
        if !ids.insert(id) {
            self.note(self.error(&file.id, format!("有两条规则的编号都是 {id:?} / two rules have the id {id:?}")));
        }
        let outcome = *file.outcome.get_ref();
        let article = self.ground(file, outcome);
        let article = self.tell(article);
        let turns_away = matches!(outcome, Disposition::Guide | Disposition::Decline);
        if turns_away && file.advice.as_deref().is_none_or(|advice| advice.trim().is_empty()) {
            let problem = format!(
                "规则 {id:?} 不受理诉求却没有 `advice`：第十三条第三项要求告知其他渠道 / rule {id:?} turns petitioners away and gives no \
                 `advice`: Article 13(3) asks for another way"
            );
            self.note(self.error(&file.id, problem));
        }
        if file.asks.is_empty() && file.hints.is_empty() && file.place.is_none() {
            let problem = format!(
                "规则 {id:?} 永远不会成立：请写 `asks`、`hints` 或 `place` / rule {id:?} can never apply: give `asks`, `hints` or `place`"
            );
            self.note(self.error(&file.id, problem));
        }
        let number = u16::try_from(index).unwrap_or(u16::MAX);
        self.add(&file.asks, Role::Ask(number));
        self.add(&file.hints, Role::Hint(number));
        self.add(&file.mentions, Role::Mention(number));
        self.add(&file.against, Role::Against(number));
        self.add(&file.unless, Role::Unless(number));
        let needs = self.needs(&file.needs, number);
        Some(Rule {
            id: id.to_owned(),
            article: article?,
            outcome,
            advice: file.advice.clone(),
            urgency: file.urgency,
            longest: file.longest.unwrap_or(usize::MAX),
            place: file.place,
            channels: file.channels.clone(),
            needs_mention: !file.mentions.is_empty(),
            needs,
        })
    }

    /// The article of a rule, where it is a ground for its outcome.
    fn ground(&self, file: &RuleFile, outcome: Disposition) -> Result<Article, RulesError> {
        let article = self.article(&file.article)?;
        let fits = match outcome {
            Disposition::Accept => article.number == 6,
            Disposition::Guide => article.number == 7 && article.clause.is_some(),
            Disposition::Decline => article.number == 8 && article.clause.is_some(),
            Disposition::Hold => true,
        };
        if fits {
            return Ok(article);
        }
        let problem = format!(
            "规则 {0:?}：第 {article} 条（款）不能作为这种结论的依据 / rule {0:?}: article {article} is no ground for this outcome",
            file.id.get_ref()
        );
        let mut error = self.error(&file.article, problem);
        error.suggestion = Some(
            "受理依 6(n)，引导依 7(n)，不予受理依 8(n) / accept rests on 6(n), guide on 7(n), decline on 8(n)"
                .to_owned(),
        );
        Err(error)
    }

    /// Each feature needed is one bit.
    fn needs(&mut self, needs: &[Text], rule: u16) -> u32 {
        let mut bits = 0;
        for (number, need) in needs.iter().enumerate() {
            if number == NEEDS {
                self.note(
                    self.error(
                        need,
                        format!("一条规则至多要求 {NEEDS} 项特征 / a rule needs at most {NEEDS} features"),
                    ),
                );
                break;
            }
            let number = u8::try_from(number).unwrap_or(u8::MAX);
            let phrases = self.feature(need, need.get_ref());
            if let Some(phrases) = self.tell(phrases) {
                self.add(phrases, Role::Need(rule, number));
            }
            bits |= 1 << number;
        }
        bits
    }

    fn feature(&self, place: &Text, name: &str) -> Result<&'a [Text], RulesError> {
        self.features.get(name).map(Vec::as_slice).ok_or_else(|| {
            let mut error = self.error(place, format!("没有特征 `{name}` / there is no feature `{name}`"));
            error.suggestion = file::nearest(name, self.features.keys().map(String::as_str));
            error
        })
    }

    fn kind(&mut self, kind: Kind, evidence: &KindFile) {
        self.add(&evidence.strong, Role::Kind(kind, 3));
        self.add(&evidence.weak, Role::Kind(kind, 1));
        self.add(&evidence.short, Role::ShortKind(kind));
    }

    fn add(&mut self, phrases: &[Text], role: Role) {
        for phrase in phrases {
            if self.patterns.list.len() > PATTERN_LIMIT {
                return;
            }
            let written = match phrase.get_ref().strip_prefix('@') {
                Some(name) => self.feature(phrase, name),
                None => Ok(std::slice::from_ref(phrase)),
            };
            for written in self.tell(written).unwrap_or_default() {
                let added = self.phrase(written, role);
                self.tell(added);
            }
        }
    }

    fn phrase(&mut self, phrase: &Text, role: Role) -> Result<(), RulesError> {
        let written = phrase.get_ref();
        let pieces: Vec<&str> = written.split(GAP).collect();
        if pieces.len() > PIECES {
            return Err(
                self.error(phrase, format!("{written:?} 超过 {PIECES} 段 / {written:?} has more than {PIECES} pieces"))
            );
        }
        let number = u32::try_from(self.phrases.len()).unwrap_or(u32::MAX);
        for (position, piece) in pieces.iter().enumerate() {
            for word in self.expand(phrase, piece)? {
                let word = normal(&word);
                // One character alone is part of too many words; beside other pieces it may stand, and where names end in
                // it (路, 村) and only elements are looked for.
                let short = pieces.len() == 1 && word.chars().count() < 2 && !matches!(role, Role::Element(_));
                if word.is_empty() || short {
                    return Err(self.error(
                        phrase,
                        format!(
                            "{written:?} 太短，单独说明不了什么 / {written:?} is too short to mean anything by itself"
                        ),
                    ));
                }
                let piece = u8::try_from(position).unwrap_or(u8::MAX);
                self.patterns.add(word, Use { phrase: number, piece });
                if self.patterns.list.len() > PATTERN_LIMIT {
                    return Err(self.error(
                        phrase,
                        format!(
                            "词语展开后超过 {PATTERN_LIMIT} 个 / the phrases come to more than {PATTERN_LIMIT} words"
                        ),
                    ));
                }
            }
        }
        let slot = self.slots;
        self.slots += u32::try_from(pieces.len() - 1).unwrap_or(0);
        let pieces = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
        self.phrases.push(Phrase { role, slot, pieces });
        Ok(())
    }

    /// Puts in the word lists: `请{court}` becomes 请法院, 请中院 and so on.
    fn expand(&self, phrase: &Text, piece: &str) -> Result<Vec<String>, RulesError> {
        let mut built = vec![String::new()];
        let mut rest = piece;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            let Some(close) = after.find('}') else {
                return Err(self
                    .error(phrase, format!("{0:?} 有 `{{` 而没有 `}}` / {0:?}: `{{` without `}}`", phrase.get_ref())));
            };
            let name = &after[1..close];
            let Some(list) = self.words.get(name) else {
                let mut error = self.error(
                    phrase,
                    format!("{0:?}：没有词表 `{name}` / {0:?}: there is no word list `{name}`", phrase.get_ref()),
                );
                error.suggestion = file::nearest(name, self.words.keys().map(String::as_str));
                return Err(error);
            };
            if built.len() * list.len() > PATTERN_LIMIT {
                return Err(self
                    .error(phrase, format!("{0:?} 展开后词语太多 / {0:?} comes to too many words", phrase.get_ref())));
            }
            built = built
                .iter()
                .flat_map(|start| list.iter().map(move |word| format!("{start}{before}{}", word.get_ref())))
                .collect();
            rest = &after[close + 1..];
        }
        for word in &mut built {
            word.push_str(rest);
        }
        Ok(built)
    }
}
