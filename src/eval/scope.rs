//! Measures screening, classifying and urgency over labelled messages, one JSON object a line:
//! `id`, `subject`, `body`, and the labels `disposition` (accept, guide7.1 … decline8.3), `kind`, `urgency` and
//! `confidence` (high, low). `channel`, `label` and `place` may be given. A label that is left out is not measured.

use connectors::complaint::{Channel, Complaint};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DatasetError, Rate, Split, bootstrap, real};
use crate::assess::{Article, Assessor, Disposition, Kind, Urgency, Verdict};

/// Rows in a labelled file at most.
pub const ROW_LIMIT: usize = 1_000_000;

/// A labelled message.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    /// Its id; the split goes by it.
    pub id: String,
    /// Title.
    #[serde(default)]
    pub subject: Option<String>,
    /// Text.
    #[serde(default)]
    pub body: String,
    /// Where it happened, if the channel has a field for it.
    #[serde(default)]
    pub place: Option<String>,
    /// The channel's own label.
    #[serde(default)]
    pub label: Option<String>,
    /// Where it was said; a message board where nothing is told.
    #[serde(default)]
    pub channel: Option<Channel>,
    /// What must become of it.
    #[serde(default)]
    disposition: Option<String>,
    /// What kind it is.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// How urgent it is.
    #[serde(default)]
    pub urgency: Option<Urgency>,
    /// Whether the labeller doubted: "low".
    #[serde(default)]
    confidence: Option<String>,
    #[serde(skip)]
    truth: Option<Outcome>,
}

/// A disposition with its ground, as far as a label tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// 受理, or held.
    Accept,
    /// Held for a person.
    Hold,
    /// Guided or declined on this article.
    Turned(Article),
}

impl Outcome {
    fn read(label: &str) -> Option<Self> {
        if label == "accept" {
            return Some(Self::Accept);
        }
        let article = label.strip_prefix("guide").or_else(|| label.strip_prefix("decline"))?;
        let (number, clause) = article.split_once('.')?;
        let article = Article::clause(number.parse().ok()?, clause.parse().ok()?);
        matches!(article.number, 7 | 8).then_some(Self::Turned(article))
    }

    /// What a verdict comes to.
    pub fn of(verdict: &Verdict) -> Self {
        match verdict.disposition {
            Disposition::Accept => Self::Accept,
            Disposition::Hold => Self::Hold,
            Disposition::Guide | Disposition::Decline => Self::Turned(verdict.grounds.article),
        }
    }

    /// The name in tables.
    pub fn name(self) -> String {
        match self {
            Self::Accept => "accept".to_owned(),
            Self::Hold => "hold".to_owned(),
            Self::Turned(article) => article.to_string(),
        }
    }
}

impl Row {
    /// The name of what must become of it.
    pub fn truth_name(&self) -> Option<String> {
        self.truth.map(Outcome::name)
    }
}

/// Reads labelled messages.
///
/// # Errors
/// [`DatasetError`] names the line.
pub fn read(text: &str) -> Result<Vec<Row>, DatasetError> {
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let failed = |problem: String| DatasetError { line: index + 1, problem };
        let mut row: Row = serde_json::from_str(line).map_err(|error| failed(error.to_string()))?;
        if let Some(label) = &row.disposition {
            let truth = Outcome::read(label).ok_or_else(|| {
                failed(format!("disposition {label:?}: accept, guide7.1 to 7.4 or decline8.1 to 8.3"))
            })?;
            row.truth = Some(truth);
        }
        rows.push(row);
        if rows.len() > ROW_LIMIT {
            return Err(failed(format!("more than {ROW_LIMIT} messages")));
        }
    }
    Ok(rows)
}

/// One message judged.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The message with its labels.
    pub row: &'a Row,
    /// What the rules made of it.
    pub verdict: Verdict,
}

impl Judged<'_> {
    fn sure(&self) -> bool {
        self.row.confidence.as_deref() != Some("low")
    }

    /// How bad the mistake is, 0 for none: to turn away who must be accepted is worst.
    pub fn severity(&self) -> u8 {
        let urgent = |urgency: Urgency| urgency == Urgency::Emergency;
        let missed_danger = self.row.urgency.is_some_and(|truth| urgent(truth) && !urgent(self.verdict.urgency));
        let scope = match (self.row.truth, Outcome::of(&self.verdict)) {
            (Some(Outcome::Accept), Outcome::Turned(_)) => 6,
            (Some(Outcome::Turned(right)), Outcome::Turned(got)) if right != got => 4,
            (Some(Outcome::Turned(_)), Outcome::Accept) => 3,
            (Some(Outcome::Accept), Outcome::Hold) => 2,
            _ => 0,
        };
        let lesser = self.row.urgency.is_some_and(|truth| truth != self.verdict.urgency)
            || self.row.kind.is_some_and(|truth| truth != self.verdict.kind);
        scope.max(if missed_danger { 5 } else { u8::from(lesser) })
    }
}

/// Judges every message of a part.
pub fn judge<'a>(rows: &'a [Row], split: Split, assessor: &Assessor) -> Vec<Judged<'a>> {
    let rows = rows.iter().filter(|row| split.holds(&row.id));
    rows.map(|row| {
        let complaint = Complaint {
            subject: row.subject.clone(),
            body: row.body.clone(),
            place: row.place.clone(),
            label: row.label.clone(),
            ..Complaint::default()
        };
        let channel = row.channel.unwrap_or(Channel::MessageBoard);
        Judged { row, verdict: assessor.assess(complaint, channel, Timestamp::UNIX_EPOCH) }
    })
    .collect()
}

/// Precision, recall and their harmonic mean for one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Rightly found, of those found.
    pub precision: Rate,
    /// Rightly found, of those that are.
    pub recall: Rate,
    /// F1.
    pub f1: f64,
}

/// Rows by truth, columns by judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Each truth with its counts.
    pub rows: Vec<(String, Vec<usize>)>,
}

/// A figure with an interval that is no simple share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The figures over a set of messages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Messages measured.
    pub messages: usize,
    /// Must be accepted, and were guided or declined.
    pub wrongly_turned_away: Rate,
    /// Must be accepted, and were held.
    pub wrongly_held: Rate,
    /// Lie elsewhere (8.1), and were guided, declined or held.
    pub elsewhere_caught: Rate,
    /// Must be turned away on another ground, and were guided, declined or held.
    pub other_caught: Rate,
    /// Must be turned away and were, on the right article.
    pub article_right: Rate,
    /// Turned away at all, rightly and on the right article: mistakes about whom to accept count too.
    pub action_right: Rate,
    /// What became of what.
    pub outcomes: Confusion,
    /// Kinds, one by one.
    pub kinds: Vec<Class>,
    /// Mean of their F1.
    pub kind_macro_f1: Figure,
    /// Kinds against kinds.
    pub kind_confusion: Confusion,
    /// Kinds told without doubt that are right.
    pub kind_certain: Rate,
    /// Urgencies, one by one.
    pub urgencies: Vec<Class>,
    /// Urgent (emergency or utility) and found to be urgent at all.
    pub urgent_found: Rate,
    /// Not urgent and taken for urgent.
    pub urgent_false: Rate,
}

/// The figures over all messages and over those whose labels are beyond doubt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScopeReport {
    /// Version of the rules.
    pub rules: String,
    /// Which part.
    pub split: Split,
    /// Where the labeller did not doubt.
    pub sure: Figures,
    /// All.
    pub all: Figures,
}

/// Counts.
pub fn report(judged: &[Judged<'_>], split: Split, rules: &str) -> ScopeReport {
    let all: Vec<&Judged<'_>> = judged.iter().collect();
    let sure: Vec<&Judged<'_>> = judged.iter().filter(|one| one.sure()).collect();
    ScopeReport { rules: rules.to_owned(), split, sure: figures(&sure), all: figures(&all) }
}

fn figures(judged: &[&Judged<'_>]) -> Figures {
    let outcomes: Vec<(Outcome, Outcome)> =
        judged.iter().filter_map(|one| Some((one.row.truth?, Outcome::of(&one.verdict)))).collect();
    let rate = |within: &dyn Fn(&(Outcome, Outcome)) -> bool, hit: &dyn Fn(&(Outcome, Outcome)) -> bool| {
        let within: Vec<_> = outcomes.iter().filter(|pair| within(pair)).collect();
        Rate::new(within.iter().filter(|pair| hit(pair)).count(), within.len())
    };
    let elsewhere = Outcome::Turned(Article::clause(8, 1));
    let turned = |outcome: Outcome| matches!(outcome, Outcome::Turned(_));
    let kinds: Vec<(Kind, Kind)> = judged.iter().filter_map(|one| Some((one.row.kind?, one.verdict.kind))).collect();
    let urgencies: Vec<(Urgency, Urgency)> =
        judged.iter().filter_map(|one| Some((one.row.urgency?, one.verdict.urgency))).collect();
    let (low, high) = bootstrap(&kinds, macro_f1);
    let certain: Vec<bool> = judged
        .iter()
        .filter(|one| one.verdict.kind_certain)
        .filter_map(|one| Some(one.row.kind? == one.verdict.kind))
        .collect();
    let urgent = |urgency: Urgency| urgency != Urgency::Normal;
    let (mut truths, mut found): (Vec<Outcome>, Vec<Outcome>) = outcomes.iter().copied().unzip();
    for side in [&mut truths, &mut found] {
        side.sort_unstable();
        side.dedup();
    }
    Figures {
        messages: judged.len(),
        wrongly_turned_away: rate(&|pair| pair.0 == Outcome::Accept, &|pair| turned(pair.1)),
        wrongly_held: rate(&|pair| pair.0 == Outcome::Accept, &|pair| pair.1 == Outcome::Hold),
        elsewhere_caught: rate(&|pair| pair.0 == elsewhere, &|pair| pair.1 != Outcome::Accept),
        other_caught: rate(&|pair| turned(pair.0) && pair.0 != elsewhere, &|pair| pair.1 != Outcome::Accept),
        article_right: rate(&|pair| turned(pair.0) && turned(pair.1), &|pair| pair.0 == pair.1),
        action_right: rate(&|pair| turned(pair.1), &|pair| pair.0 == pair.1),
        outcomes: confusion(&outcomes, &truths, &found, |outcome| outcome.name()),
        kinds: Kind::ALL.iter().map(|kind| class(&kinds, *kind, kind.as_str())).collect(),
        kind_macro_f1: Figure { value: macro_f1(&kinds), low, high },
        kind_confusion: confusion(&kinds, &Kind::ALL, &Kind::ALL, |kind| kind.as_str().to_owned()),
        kind_certain: Rate::new(certain.iter().filter(|right| **right).count(), certain.len()),
        urgencies: Urgency::ALL.iter().map(|urgency| class(&urgencies, *urgency, urgency.as_str())).collect(),
        urgent_found: Rate::new(
            urgencies.iter().filter(|pair| urgent(pair.0) && urgent(pair.1)).count(),
            urgencies.iter().filter(|pair| urgent(pair.0)).count(),
        ),
        urgent_false: Rate::new(
            urgencies.iter().filter(|pair| !urgent(pair.0) && urgent(pair.1)).count(),
            urgencies.iter().filter(|pair| !urgent(pair.0)).count(),
        ),
    }
}

fn class<T: Copy + PartialEq>(pairs: &[(T, T)], class: T, name: &str) -> Class {
    let both = pairs.iter().filter(|pair| pair.0 == class && pair.1 == class).count();
    let truth = pairs.iter().filter(|pair| pair.0 == class).count();
    let found = pairs.iter().filter(|pair| pair.1 == class).count();
    let f1 = if truth + found == 0 { 0.0 } else { 2.0 * real(both) / real(truth + found) };
    Class { name: name.to_owned(), precision: Rate::new(both, found), recall: Rate::new(both, truth), f1 }
}

/// Mean F1 over the kinds that occur.
fn macro_f1(pairs: &[(Kind, Kind)]) -> f64 {
    let occurring: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| pairs.iter().any(|pair| pair.0 == *kind)).collect();
    let sum: f64 = occurring.iter().map(|kind| class(pairs, *kind, "").f1).sum();
    if occurring.is_empty() { 0.0 } else { sum / real(occurring.len()) }
}

pub(super) fn confusion<T: Copy + PartialEq>(
    pairs: &[(T, T)],
    truths: &[T],
    found: &[T],
    name: impl Fn(&T) -> String,
) -> Confusion {
    let count = |truth: &T, got: &T| pairs.iter().filter(|pair| pair.0 == *truth && pair.1 == *got).count();
    Confusion {
        columns: found.iter().map(&name).collect(),
        rows: truths.iter().map(|truth| (name(truth), found.iter().map(|got| count(truth, got)).collect())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::assess::RuleSet;

    const ROWS: &str = r#"
{"id":"1","subject":"小区门口路灯不亮","body":"小区门口路灯不亮半个月了，请派人维修。","disposition":"accept","kind":"help","urgency":"normal","confidence":"high"}
{"id":"2","subject":"沈阳市浑南区物业乱收费","body":"我住浑南区，物业乱收费。","disposition":"decline8.1","kind":"complain","urgency":"normal","confidence":"low"}
{"id":"3","subject":"小区停水三天","body":"全小区停水三天，没人管。","urgency":"utility"}
"#;

    #[test]
    fn figures_count_what_they_say() {
        let rows = read(ROWS).unwrap();
        let assessor = Assessor::new(Arc::new(RuleSet::shipped().unwrap()));
        let judged = judge(&rows, Split::All, &assessor);
        let report = report(&judged, Split::All, "test");
        assert_eq!((report.all.messages, report.sure.messages), (3, 2));
        assert_eq!((report.all.wrongly_turned_away.hits, report.all.wrongly_turned_away.of), (0, 1));
        assert_eq!((report.all.elsewhere_caught.hits, report.all.elsewhere_caught.of), (1, 1));
        assert_eq!(report.sure.elsewhere_caught.of, 0);
        assert_eq!((report.all.urgent_found.hits, report.all.urgent_found.of), (1, 1));
        assert_eq!(report.all.urgent_false.hits, 0);
    }

    #[test]
    fn mistakes_in_a_file_name_their_line() {
        assert_eq!(read("{\"id\":\"1\"}\n{\"id\":2}\n").unwrap_err().line, 2);
        let error = read("{\"id\":\"1\",\"disposition\":\"guide9\"}").unwrap_err();
        assert!(error.problem.contains("guide9"), "{error}");
    }
}
