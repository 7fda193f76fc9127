//! Changing the rule file. It is typed into one page, where it can be checked, tried on a text and on stored entries, and
//! published; whatever is pressed, the text stays. Nothing is in force before it is published, and nobody publishes over
//! what somebody else has published since the page was opened.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{assessor, keep_shipped, lines, reason, sample, text_of, verdict};
use crate::{
    assess::{RuleSet, RulesError},
    backtest::{self, BacktestError, Selection},
    console::{
        Console,
        access::{Form, Visitor},
        page::{Page, done, html_with},
        trouble::Trouble,
        words::Lang,
    },
    store::{StoreError, journal::Act, rules::RulesState},
};

/// How many entries rules can be tried on here.
const TRIED: [usize; 4] = [50, 200, 500, 2000];
/// Characters of a line that are shown beside its mistake.
const EXCERPT: usize = 80;

#[derive(Deserialize)]
pub(in crate::console) struct Asked {
    from: Option<String>,
}

/// A mistake as the page shows it.
struct Mistake {
    /// Which file, where it is not the one that is edited.
    file: Option<&'static str>,
    line: usize,
    column: usize,
    words: String,
    suggestion: Option<String>,
    excerpt: String,
}

/// An entry of which the new rules would make something else.
struct Change {
    entry: i64,
    stored: &'static str,
    before: Side,
    after: Side,
}

/// What one version of the rules makes of an entry.
struct Side {
    class: &'static str,
    outcome: &'static str,
    article: String,
    rule: String,
    rest: String,
    evidence: String,
}

/// What a back-test found.
struct Tried {
    assessed: usize,
    unreadable: usize,
    changed: usize,
    /// Before, after, how many entries.
    moves: Vec<(&'static str, &'static str, usize)>,
    changes: Vec<Change>,
}

#[derive(Template)]
#[template(path = "rules_edit.html")]
struct EditPage {
    page: Page,
    text: String,
    state: RulesState,
    /// Rows of the text field.
    mistakes: Vec<Mistake>,
    /// What was wrong with anything else.
    wrong: Option<String>,
    /// Version and number of rules, where the text was checked and is right.
    checked: Option<(String, usize)>,
    sample: String,
    told: Option<verdict::Told>,
    lasts: [usize; 4],
    last: usize,
    reason: String,
    tried: Option<Tried>,
    note: String,
}

/// What is being typed.
struct Draft {
    text: String,
    state: RulesState,
    sample: String,
    last: usize,
    reason: String,
    note: String,
}

impl Draft {
    fn of(form: &Form) -> Result<Self, Trouble> {
        Ok(Self {
            text: lines(form.raw("text")),
            state: form.text("state").parse().map_err(|_| Trouble::invalid("state"))?,
            sample: sample(form)?,
            last: form.text("last").parse().ok().filter(|last| TRIED.contains(last)).unwrap_or(TRIED[1]),
            reason: form.text("reason").to_owned(),
            note: form.text("note").to_owned(),
        })
    }

    fn page(self, console: &Console, visitor: &Visitor) -> EditPage {
        EditPage {
            page: Page::new(&visitor.at("/console/rules/edit"), "rules", console.clock.now()),
            text: self.text,
            state: self.state,
            mistakes: Vec::new(),
            wrong: None,
            checked: None,
            sample: self.sample,
            told: None,
            lasts: TRIED,
            last: self.last,
            reason: self.reason,
            tried: None,
            note: self.note,
        }
    }

    /// The rules, or the page that tells every mistake.
    fn rules(self, console: &Console, visitor: &Visitor) -> Result<Result<(Self, RuleSet), Response>, Trouble> {
        let mistakes = match console.tools.rulebook.check(&self.text) {
            Ok(rules) => return Ok(Ok((self, rules))),
            Err(mistakes) => mistakes,
        };
        let mistakes = mistakes.into_iter().map(|mistake| shown(mistake, &self.text)).collect();
        let page = EditPage { mistakes, ..self.page(console, visitor) };
        html_with(StatusCode::UNPROCESSABLE_ENTITY, &page).map(Err)
    }

    fn refused(
        self,
        console: &Console,
        visitor: &Visitor,
        status: StatusCode,
        wrong: String,
    ) -> Result<Response, Trouble> {
        html_with(status, &EditPage { wrong: Some(wrong), ..self.page(console, visitor) })
    }
}

fn shown(mistake: RulesError, text: &str) -> Mistake {
    let own = mistake.file == crate::assess::SourceFile::Rules;
    let line = text.lines().nth(mistake.line.saturating_sub(1)).filter(|_| own).unwrap_or_default();
    // The mistake in the middle of what is shown of a long line.
    let start = mistake.column.saturating_sub(EXCERPT / 2);
    Mistake {
        file: (!own).then(|| mistake.file.name()),
        line: mistake.line,
        column: mistake.column,
        words: mistake.problem,
        suggestion: mistake.suggestion,
        excerpt: line.chars().skip(start).take(EXCERPT).collect(),
    }
}

pub(in crate::console) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let version = asked.from.unwrap_or_else(|| console.tools.rulebook.assessor().rules().version().to_owned());
    // Before the text: what is published in between is then seen as a change.
    let state = console.store.rules_state().await?;
    let (_, text) = text_of(&console, &version).await?;
    let draft =
        Draft { text, state, sample: String::new(), last: TRIED[1], reason: String::new(), note: String::new() };
    html_with(StatusCode::OK, &draft.page(&console, &visitor))
}

/// Tells every mistake in the text.
pub(in crate::console) async fn check(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let (draft, rules) = match Draft::of(&form)?.rules(&console, &visitor)? {
        Ok(right) => right,
        Err(answer) => return Ok(answer),
    };
    let checked = Some((rules.version().to_owned(), rules.list().count()));
    html_with(StatusCode::OK, &EditPage { checked, ..draft.page(&console, &visitor) })
}

/// Judges a text by the rules that are typed.
pub(in crate::console) async fn assess(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let (draft, rules) = match Draft::of(&form)?.rules(&console, &visitor)? {
        Ok(right) => right,
        Err(answer) => return Ok(answer),
    };
    if draft.sample.is_empty() {
        let wrong = visitor.lang.t("rules.no_sample").to_owned();
        return draft.refused(&console, &visitor, StatusCode::UNPROCESSABLE_ENTITY, wrong);
    }
    let told = verdict::of(assessor(rules), &draft.sample, console.clock.now(), visitor.lang).await?;
    html_with(StatusCode::OK, &EditPage { told: Some(told), ..draft.page(&console, &visitor) })
}

/// Tries the rules that are typed on the newest entries. They are opened in memory for it, which is written down first.
pub(in crate::console) async fn backtest(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let (draft, rules) = match Draft::of(&form)?.rules(&console, &visitor)? {
        Ok(right) => right,
        Err(answer) => return Ok(answer),
    };
    let why = match reason(&form, "reason", &visitor) {
        Ok(why) => why,
        Err(trouble) => return draft.refused(&console, &visitor, trouble.status, trouble.detail),
    };
    let version = rules.version().to_owned();
    let pair = (console.tools.rulebook.assessor(), assessor(rules));
    let selection = Selection { since: Timestamp::MIN, until: Timestamp::MAX, limit: draft.last };
    let act = Act { actor: &visitor.actor(), action: "rules.backtest", subject: &version, reason: Some(why) };
    let found = backtest::backtest(&console.store, &console.tools, pair, selection, (act, console.clock.now())).await;
    let found = found.map_err(|error| match error {
        BacktestError::Store(error) => error.into(),
        BacktestError::Thread => Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "timeout"),
    })?;
    html_with(StatusCode::OK, &EditPage { tried: Some(tried(&found, visitor.lang)), ..draft.page(&console, &visitor) })
}

fn tried(found: &backtest::Backtest, lang: Lang) -> Tried {
    let word = |name: &str| lang.of("disposition", name);
    let moved = found.dispositions.iter().filter_map(|(move_, count)| {
        let (before, after) = move_.split_once('>')?;
        (before != after).then(|| (word(before), word(after), *count))
    });
    let changes = found.changes.iter().map(|change| Change {
        entry: change.entry.0,
        stored: change.stored.map_or("—", |stored| word(stored.as_str())),
        before: side(&change.before, lang),
        after: side(&change.after, lang),
    });
    Tried {
        assessed: found.assessed,
        unreadable: found.unreadable,
        changed: found.changed,
        moves: moved.collect(),
        changes: changes.collect(),
    }
}

fn side(outcome: &backtest::Outcome, lang: Lang) -> Side {
    let kind = lang.of("kind", outcome.kind.as_str());
    let urgency = lang.of("urgency", outcome.urgency.as_str());
    Side {
        class: verdict::class(outcome.disposition.as_str()),
        outcome: lang.of("disposition", outcome.disposition.as_str()),
        article: outcome.article.clone(),
        rule: outcome.rule.clone(),
        rest: format!("{kind} · {urgency}"),
        evidence: outcome.evidence.join("；"),
    }
}

/// Publishes the text as a version and puts it in force.
pub(in crate::console) async fn publish(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let (draft, rules) = match Draft::of(&form)?.rules(&console, &visitor)? {
        Ok(right) => right,
        Err(answer) => return Ok(answer),
    };
    let Ok(note) = reason(&form, "note", &visitor) else {
        let wrong = visitor.lang.t("rules.no_note").to_owned();
        return draft.refused(&console, &visitor, StatusCode::UNPROCESSABLE_ENTITY, wrong);
    };
    if console.tools.rulebook.assessor().rules().version() == rules.version() {
        let wrong = visitor.lang.t("rules.unchanged").to_owned();
        return draft.refused(&console, &visitor, StatusCode::UNPROCESSABLE_ENTITY, wrong);
    }
    keep_shipped(&console).await?;
    let now = console.clock.now();
    let version = rules.version().to_owned();
    let act = Act { actor: &visitor.actor(), action: "rules.activate", subject: &version, reason: Some(note) };
    match console.store.enforce_rules(Some(&draft.text), draft.state, act, now).await {
        Err(StoreError::Conflict(_)) => {
            let wrong = visitor.lang.t("rules.conflict").to_owned();
            // Published once more with open eyes: the page carries what is in force now.
            let state = console.store.rules_state().await?;
            Draft { state, ..draft }.refused(&console, &visitor, StatusCode::CONFLICT, wrong)
        }
        outcome => {
            outcome?;
            console.tools.rulebook.refresh(&console.store, now).await?;
            Ok(done("/console/rules", "rules_published"))
        }
    }
}
