//! Checks a rule file and builds what assessing needs: one automaton over every word of every phrase.

use std::collections::{BTreeMap, HashMap, HashSet};

use aho_corasick::AhoCorasick;
use toml::Spanned;

use super::{
    Kinds, PATTERN_LIMIT, Phrase, Places, RULE_LIMIT, Role, Rule, RuleSet, RulesError, Thin, Use,
    file::{self, File, KindFile, PlacesFile, RuleFile, Text},
};
use crate::assess::{Article, Disposition, Kind, text::normal};

/// Stands between two pieces of a phrase.
const GAP: char = '…';

/// Most pieces of one phrase.
const PIECES: usize = 4;

pub(super) fn compile(file: &File, text: &str, places: Option<(&PlacesFile, &str)>) -> Result<RuleSet, RulesError> {
    let version = file.version.get_ref().trim();
    if version.is_empty() || version.len() > 40 {
        return Err(error(text, &file.version, "the version must have 1 to 40 bytes".to_owned()));
    }
    let mut builder =
        Builder { text, words: &file.words, phrases: Vec::new(), patterns: Patterns::default(), slots: 0 };
    let rules = builder.rules(&file.rule)?;
    builder.add(&file.administrative, Role::Administrative)?;
    builder.add(&file.thin.filler, Role::Filler)?;
    for clause in &file.clauses {
        match article(text, &clause.article)? {
            Article { number: 6, clause: Some(number @ 1..=4) } => {
                builder.add(&clause.phrases, Role::Clause(number))?;
            }
            _ => return Err(error(text, &clause.article, "a clause of acceptance is one of 6(1) to 6(4)".to_owned())),
        }
    }
    let thin =
        Thin { article: article(text, &file.thin.article)?, least: file.thin.least, advice: file.thin.advice.clone() };
    for (kind, evidence) in [
        (Kind::Consult, &file.kinds.consult),
        (Kind::Suggest, &file.kinds.suggest),
        (Kind::Help, &file.kinds.help),
        (Kind::Complain, &file.kinds.complain),
    ] {
        builder.kind(kind, evidence)?;
    }
    let kinds = Kinds {
        margin: file.kinds.margin,
        head_factor: file.kinds.head_factor,
        label_weight: file.kinds.label_weight,
        labels: file.kinds.labels.iter().map(|(label, kinds)| (normal(label), kinds.clone())).collect(),
        channels: file.kinds.channels.iter().map(|entry| (entry.channel, entry.kind, entry.weight)).collect(),
    };
    let (place_file, place_text) = match places {
        Some((places, text)) => (places, text),
        None => (&file.places, text),
    };
    if place_file.home.is_empty() {
        let problem = "`places.home` names no place: without a home no matter can be elsewhere".to_owned();
        return Err(RulesError { line: 1, problem, suggestion: None });
    }
    builder.text = place_text;
    builder.add(&place_file.home, Role::Home)?;
    builder.add(&place_file.elsewhere, Role::Elsewhere)?;
    let guards =
        |list: &[Text]| list.iter().map(|text| normal(text.get_ref())).filter(|text| !text.is_empty()).collect();
    let places = Places {
        beforehand: guards(&place_file.not_before),
        afterwards: guards(&place_file.not_after),
        afterwards_bare: guards(&place_file.not_after_bare),
    };
    let (first, uses) = builder.patterns.table();
    let automaton = AhoCorasick::new(&builder.patterns.list).map_err(|cause| RulesError {
        line: 1,
        problem: format!("the phrases do not make an automaton: {cause}"),
        suggestion: Some("use fewer or shorter phrases".to_owned()),
    })?;
    Ok(RuleSet {
        version: version.to_owned(),
        city: file.city.clone(),
        rules,
        thin,
        kinds,
        places,
        negations: guards(&file.negations),
        phrases: builder.phrases,
        words: automaton,
        spelled: builder.patterns.list,
        first,
        uses,
        slots: builder.slots as usize,
    })
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
    text: &'a str,
    words: &'a BTreeMap<String, Vec<Text>>,
    phrases: Vec<Phrase>,
    patterns: Patterns,
    slots: u32,
}

impl Builder<'_> {
    fn rules(&mut self, files: &[RuleFile]) -> Result<Vec<Rule>, RulesError> {
        let mut rules = Vec::with_capacity(files.len());
        let mut ids = HashSet::new();
        for file in files {
            if rules.len() == RULE_LIMIT {
                return Err(error(self.text, &file.id, format!("more than {RULE_LIMIT} rules")));
            }
            rules.push(self.rule(file, rules.len(), &mut ids)?);
        }
        Ok(rules)
    }

    fn rule<'b>(&mut self, file: &'b RuleFile, index: usize, ids: &mut HashSet<&'b str>) -> Result<Rule, RulesError> {
        let id = file.id.get_ref().as_str();
        let well_formed = (1..=60).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
        if !well_formed {
            let problem = format!("rule id {id:?}: 1 to 60 lower-case letters, digits, dots and underscores");
            return Err(error(self.text, &file.id, problem));
        }
        if !ids.insert(id) {
            return Err(error(self.text, &file.id, format!("two rules have the id {id:?}")));
        }
        let article = article(self.text, &file.article)?;
        let outcome = *file.outcome.get_ref();
        let fits = match outcome {
            Disposition::Accept => article.number == 6,
            Disposition::Guide => article.number == 7 && article.clause.is_some(),
            Disposition::Decline => article.number == 8 && article.clause.is_some(),
            Disposition::Hold => true,
        };
        if !fits {
            let problem = format!("rule {id:?}: article {article} is no ground for this outcome");
            let mut error = error(self.text, &file.article, problem);
            error.suggestion = Some("accept rests on 6(n), guide on 7(n), decline on 8(n)".to_owned());
            return Err(error);
        }
        let turns_away = matches!(outcome, Disposition::Guide | Disposition::Decline);
        if turns_away && file.advice.as_deref().is_none_or(|advice| advice.trim().is_empty()) {
            let problem =
                format!("rule {id:?} turns petitioners away and gives no `advice`: Article 13(3) asks for another way");
            return Err(error(self.text, &file.id, problem));
        }
        if file.asks.is_empty() && file.hints.is_empty() && file.place.is_none() {
            let problem = format!("rule {id:?} can never apply: give `asks`, `hints` or `place`");
            return Err(error(self.text, &file.id, problem));
        }
        let number = u16::try_from(index).unwrap_or(u16::MAX);
        self.add(&file.asks, Role::Ask(number))?;
        self.add(&file.hints, Role::Hint(number))?;
        self.add(&file.mentions, Role::Mention(number))?;
        self.add(&file.against, Role::Against(number))?;
        self.add(&file.unless, Role::Unless(number))?;
        Ok(Rule {
            id: id.to_owned(),
            article,
            outcome,
            advice: file.advice.clone(),
            urgency: file.urgency,
            place: file.place,
            channels: file.channels.clone(),
            needs_mention: !file.mentions.is_empty(),
        })
    }

    fn kind(&mut self, kind: Kind, evidence: &KindFile) -> Result<(), RulesError> {
        self.add(&evidence.strong, Role::Kind(kind, 3))?;
        self.add(&evidence.weak, Role::Kind(kind, 1))
    }

    fn add(&mut self, phrases: &[Text], role: Role) -> Result<(), RulesError> {
        phrases.iter().try_for_each(|phrase| self.phrase(phrase, role))
    }

    fn phrase(&mut self, phrase: &Text, role: Role) -> Result<(), RulesError> {
        let written = phrase.get_ref();
        let pieces: Vec<&str> = written.split(GAP).collect();
        if pieces.len() > PIECES {
            return Err(error(self.text, phrase, format!("{written:?} has more than {PIECES} pieces")));
        }
        let number = u32::try_from(self.phrases.len()).unwrap_or(u32::MAX);
        for (position, piece) in pieces.iter().enumerate() {
            for word in self.expand(phrase, piece)? {
                let word = normal(&word);
                // One character alone is part of too many words; beside other pieces it may stand.
                if word.is_empty() || (pieces.len() == 1 && word.chars().count() < 2) {
                    return Err(error(
                        self.text,
                        phrase,
                        format!("{written:?} is too short to mean anything by itself"),
                    ));
                }
                let piece = u8::try_from(position).unwrap_or(u8::MAX);
                self.patterns.add(word, Use { phrase: number, piece });
                if self.patterns.list.len() > PATTERN_LIMIT {
                    return Err(error(
                        self.text,
                        phrase,
                        format!("the phrases come to more than {PATTERN_LIMIT} words"),
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
                return Err(error(self.text, phrase, format!("{:?}: `{{` without `}}`", phrase.get_ref())));
            };
            let name = &after[1..close];
            let Some(list) = self.words.get(name) else {
                let mut error =
                    error(self.text, phrase, format!("{:?}: there is no word list `{name}`", phrase.get_ref()));
                error.suggestion = file::nearest(name, self.words.keys().map(String::as_str));
                return Err(error);
            };
            if built.len() * list.len() > PATTERN_LIMIT {
                return Err(error(self.text, phrase, format!("{:?} comes to too many words", phrase.get_ref())));
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

fn article(text: &str, written: &Text) -> Result<Article, RulesError> {
    written.get_ref().parse().map_err(|cause| error(text, written, format!("{cause}")))
}

fn error<T>(text: &str, place: &Spanned<T>, problem: String) -> RulesError {
    RulesError { line: file::line(text, place.span().start), problem, suggestion: None }
}
