//! The rules: which versions there are and which is in force, what they say, and putting another one in force.
//!
//! | module | holds |
//! |---|---|
//! | `edit` | changing the rule file: checked, tried, and published |
//! | `verdict` | what rules make of a text, in words |

pub(super) mod edit;
mod verdict;

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};

use self::verdict::Told;
use super::{
    Console,
    access::{Form, Visitor},
    page::{Page, done, html},
    trouble::Trouble,
};
use crate::{
    assess::{Assessor, RuleSet},
    http::MAX_REASON,
    rulebook::RulebookError,
    store::{
        StoreError,
        journal::Act,
        rules::{Activation, RuleVersion, RulesState},
    },
};

/// Versions, and changes of what is in force, that are listed.
const LISTED: i64 = 50;
/// Characters of a text that is judged.
const MAX_TEXT: usize = 20_000;

#[derive(Template)]
#[template(path = "rules.html")]
struct RulesPage {
    page: Page,
    in_force: String,
    count: usize,
    trouble: Option<String>,
    file: Option<String>,
    versions: Vec<RuleVersion>,
    /// Whether the version in force is among them.
    listed: bool,
    activations: Vec<Activation>,
    state: RulesState,
    sample: String,
    told: Option<Told>,
}

impl RulesPage {
    fn is_in_force(&self, version: &str) -> bool {
        self.in_force == version
    }
}

async fn overview(
    console: &Console,
    visitor: &Visitor,
    sample: String,
    told: Option<Told>,
) -> Result<Response, Trouble> {
    let assessor = console.tools.rulebook.assessor();
    let versions = console.store.rule_versions(LISTED).await?;
    let in_force = assessor.rules().version().to_owned();
    html(&RulesPage {
        page: Page::new(&visitor.at("/console/rules"), "rules", console.clock.now()),
        count: assessor.rules().list().count(),
        trouble: console.tools.rulebook.trouble(),
        file: console.tools.rulebook.file().map(|file| file.display().to_string()),
        listed: versions.iter().any(|version| version.version == in_force),
        versions,
        in_force,
        activations: console.store.rule_activations(LISTED).await?,
        state: console.store.rules_state().await?,
        sample,
        told,
    })
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    overview(&console, &visitor, String::new(), None).await
}

/// Judges a text by the rules in force; nothing is kept of it.
pub(super) async fn assess(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let sample = sample(&form)?;
    let told = if sample.is_empty() {
        None
    } else {
        Some(verdict::of(console.tools.rulebook.assessor(), &sample, console.clock.now(), visitor.lang).await?)
    };
    overview(&console, &visitor, sample, told).await
}

/// The text that is to be judged.
fn sample(form: &Form) -> Result<String, Trouble> {
    let sample = lines(form.text("sample"));
    if sample.chars().count() > MAX_TEXT {
        return Err(Trouble::invalid(format!("{MAX_TEXT}")));
    }
    Ok(sample)
}

/// A text as it was before a browser sent it, which ends lines with two characters.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// The text of a version. What came with the program may be in force without ever having been published.
async fn text_of(console: &Console, version: &str) -> Result<(Option<RuleVersion>, String), Trouble> {
    match console.store.rule_text(version).await {
        Ok((known, text)) => Ok((Some(known), text)),
        Err(StoreError::Missing { .. }) if console.tools.rulebook.assessor().rules().version() == version => {
            Ok((None, RuleSet::shipped_text().to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "rules_version.html")]
struct VersionPage {
    page: Page,
    version: String,
    known: Option<RuleVersion>,
    in_force: bool,
    text: String,
    state: RulesState,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(version): Path<String>,
) -> Result<Response, Trouble> {
    let (known, text) = text_of(&console, &version).await?;
    html(&VersionPage {
        page: Page::new(&visitor, "rules", console.clock.now()),
        in_force: console.tools.rulebook.assessor().rules().version() == version,
        state: console.store.rules_state().await?,
        version,
        known,
        text,
    })
}

fn reason<'f>(form: &'f Form, name: &str, visitor: &Visitor) -> Result<&'f str, Trouble> {
    let reason = form.text(name);
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(Trouble::invalid(visitor.lang.t("reason.needed")));
    }
    Ok(reason)
}

/// Puts a published version in force: an older one is a roll-back.
pub(super) async fn activate(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(version): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let reason = reason(&form, "reason", &visitor)?;
    let seen: RulesState = form.text("state").parse().map_err(|_| Trouble::invalid("state"))?;
    // What this program cannot read must not be put in force.
    let rules = console.tools.rulebook.version(&console.store, &version).await;
    rules.map_err(|error| match error {
        RulebookError::Store(error) => error.into(),
        other => Trouble::invalid(other.to_string()),
    })?;
    let now = console.clock.now();
    let act = Act { actor: &visitor.actor(), action: "rules.activate", subject: &version, reason: Some(reason) };
    console.store.enforce_rules(None, seen, act, now).await?;
    console.tools.rulebook.refresh(&console.store, now).await?;
    Ok(done("/console/rules", "rules_activated"))
}

/// Keeps what came with the program among the versions, so that it can be put back.
async fn keep_shipped(console: &Console) -> Result<(), Trouble> {
    Ok(console.tools.rulebook.keep_shipped(&console.store, console.clock.now()).await?)
}

/// The rules of a text, ready to judge by.
fn assessor(rules: RuleSet) -> Assessor {
    Assessor::new(Arc::new(rules))
}
