//! What a source holds beside what was stored (对账): the last comparisons, what is missing by name, and asking for one.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use connectors::{entry::ConnectorName, holdings::Period};
use jiff::{SignedDuration, Timestamp};

use super::{DetailPage, found};
use crate::{
    console::{
        Console,
        access::{Form, Visitor},
        page::done,
        trouble::Trouble,
        words::Lang,
    },
    reconcile::Outcome,
    store::{journal::Act, reconcile::ReconciliationState},
};

/// Hours that a comparison can go back.
pub(super) const SPANS: [u32; 4] = [24, 72, 168, 720];
/// Comparisons that are shown.
const SHOWN: i64 = 5;

/// A comparison as the page shows it.
pub(super) struct Comparison {
    pub(super) asked_at: Timestamp,
    pub(super) asked_by: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) state: &'static str,
    pub(super) class: &'static str,
    pub(super) outcome: Option<Outcome>,
    pub(super) error: Option<String>,
}

impl DetailPage {
    /// What the last comparison found that came to its end.
    pub(super) fn last_found(&self) -> Option<&Outcome> {
        self.comparisons.iter().find_map(|one| one.outcome.as_ref())
    }
}

/// The last comparisons of a connector, newest first.
pub(super) async fn last(console: &Console, name: &ConnectorName, lang: Lang) -> Result<Vec<Comparison>, Trouble> {
    let all = console.store.reconciliations(name, SHOWN).await?;
    let shown = all.into_iter().map(|one| {
        let missing = one.outcome.as_ref().is_some_and(|found| found.missing > 0);
        let (state, class) = match one.state {
            ReconciliationState::Asked => ("asked", ""),
            ReconciliationState::Done if missing => ("missing", "bad"),
            ReconciliationState::Done => ("whole", "good"),
            ReconciliationState::Untold => ("untold", "off"),
            ReconciliationState::Failed => ("failed", "warn"),
        };
        Comparison {
            asked_at: one.asked_at,
            asked_by: match one.asked_by.as_str() {
                "schedule" => lang.t("compare.schedule").to_owned(),
                other => other.to_owned(),
            },
            from: one.from,
            to: one.to,
            state: lang.of("compare_state", state),
            class,
            outcome: one.outcome,
            error: one.error,
        }
    });
    Ok(shown.collect())
}

/// Asks for a comparison; the gateway makes it.
pub(in crate::console) async fn ask(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    let hours = form.text("hours").parse().ok().filter(|hours| SPANS.contains(hours)).unwrap_or(SPANS[1]);
    let to = console.clock.now();
    let from = to.checked_sub(SignedDuration::from_hours(hours.into())).unwrap_or(to);
    let act = Act { actor: &visitor.actor(), action: "connector.reconcile", subject: &name, reason: None };
    console.store.ask_reconciliation(&stored.name, Period { from, to }, act, to).await?;
    Ok(done(&format!("/console/connectors/{}", stored.name), "compared"))
}
