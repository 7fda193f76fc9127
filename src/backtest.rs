//! What other rules would make of what is stored: before rules are put in force, they are tried on entries that came in.
//! Raw entries are opened in memory for it and go nowhere; that somebody did so is written down first (Article 24).

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    assess::{Assessor, Disposition, Kind, Urgency, Verdict},
    ids::EntryId,
    issue::Tools,
    store::{Store, StoreError, journal::Act, rules::TrialEntry},
};

/// Entries that are read and assessed at once: raw entries of so many are in memory.
const CHUNK: i64 = 64;

/// Changes that are listed; all of them are counted.
pub const LISTED: usize = 500;

/// Which entries the rules are tried on.
#[derive(Debug, Clone, Copy)]
pub struct Selection {
    /// Received at this moment or later.
    pub since: Timestamp,
    /// Received at this moment or earlier.
    pub until: Timestamp,
    /// So many of them at most, the newest first.
    pub limit: usize,
}

/// What a verdict comes to, without anything of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Outcome {
    /// Disposition.
    pub disposition: Disposition,
    /// Article.
    pub article: String,
    /// Rule.
    pub rule: String,
    /// Kind.
    pub kind: Kind,
    /// Urgency.
    pub urgency: Urgency,
    /// The words that spoke for it, as the rule file has them.
    pub evidence: Vec<String>,
}

impl Outcome {
    fn of(verdict: &Verdict) -> Self {
        Self {
            disposition: verdict.disposition,
            article: verdict.grounds.article.to_string(),
            rule: verdict.grounds.rule.clone(),
            kind: verdict.kind,
            urgency: verdict.urgency,
            evidence: verdict.grounds.evidence.clone(),
        }
    }

    fn differs(&self, other: &Self) -> bool {
        (self.disposition, &self.article, self.kind, self.urgency)
            != (other.disposition, &other.article, other.kind, other.urgency)
    }
}

/// An entry of which the other rules would make something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// The entry.
    #[schema(value_type = i64)]
    pub entry: EntryId,
    /// What became of it in fact, a person's decision included; nothing where it is not issued.
    pub stored: Option<Disposition>,
    /// By the rules in force.
    pub before: Outcome,
    /// By the rules that are tried.
    pub after: Outcome,
}

/// What a back-test found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Backtest {
    /// Version in force.
    pub before: String,
    /// Version tried.
    pub after: String,
    /// Entries assessed.
    pub assessed: usize,
    /// Entries that cannot be read, by either rules.
    pub unreadable: usize,
    /// Entries of which something would change.
    pub changed: usize,
    /// Dispositions before and after, with how many entries: `accept>hold`.
    pub dispositions: BTreeMap<String, usize>,
    /// The changes, the newest entry first; at most [`LISTED`].
    pub changes: Vec<Change>,
}

/// Why a back-test did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread that assesses did not end as it should.
    #[error("a thread that assesses was lost")]
    Thread,
}

/// Tries rules on stored entries. What `act` says is written down before anything is opened.
///
/// # Errors
/// Where the database fails.
pub async fn backtest(
    store: &Store,
    tools: &Arc<Tools>,
    (before, after): (Assessor, Assessor),
    selection: Selection,
    (act, now): (Act<'_>, Timestamp),
) -> Result<Backtest, BacktestError> {
    store.audit(act, now).await?;
    let mut result = Backtest {
        before: before.rules().version().to_owned(),
        after: after.rules().version().to_owned(),
        assessed: 0,
        unreadable: 0,
        changed: 0,
        dispositions: BTreeMap::new(),
        changes: Vec::new(),
    };
    let mut older = None;
    let mut left = selection.limit;
    while left > 0 {
        let limit = CHUNK.min(i64::try_from(left).unwrap_or(CHUNK));
        let entries = store.trial_entries(selection.since, selection.until, older, limit).await?;
        let Some(last) = entries.last() else { break };
        older = Some(last.entry.id);
        left = left.saturating_sub(entries.len());
        let (tools, before, after) = (tools.clone(), before.clone(), after.clone());
        let tried = tokio::task::spawn_blocking(move || {
            entries.iter().map(|entry| trial(&tools, &before, &after, entry)).collect::<Vec<_>>()
        });
        for change in tried.await.map_err(|_| BacktestError::Thread)? {
            count(&mut result, change);
        }
    }
    Ok(result)
}

fn count(result: &mut Backtest, change: Option<Change>) {
    let Some(change) = change else {
        result.unreadable += 1;
        return;
    };
    result.assessed += 1;
    let moved = format!("{}>{}", change.before.disposition.as_str(), change.after.disposition.as_str());
    *result.dispositions.entry(moved).or_default() += 1;
    if change.before.differs(&change.after) {
        result.changed += 1;
        if result.changes.len() < LISTED {
            result.changes.push(change);
        }
    }
}

/// One entry by both rules; nothing where it cannot be read.
fn trial(tools: &Tools, before: &Assessor, after: &Assessor, trial: &TrialEntry) -> Option<Change> {
    let (complaint, channel) = tools.normalise(&trial.entry).ok()?;
    let at = trial.entry.received_at;
    let before = Outcome::of(&before.assess(complaint.clone(), channel, at));
    let after = Outcome::of(&after.assess(complaint, channel, at));
    Some(Change { entry: trial.entry.id, stored: trial.disposition, before, after })
}
