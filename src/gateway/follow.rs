//! What is looked at again and again while the gateway runs: rules, the configuration file, what waits.

use std::{path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::{
    config,
    store::Store,
    telemetry::{Metrics, names},
};

/// How often it is looked whether other rules are in force.
const RULES: Duration = Duration::from_secs(2);

/// Takes over rules that were published, put back or edited, while everything goes on.
pub(super) async fn follow_rules(parts: &Parts, stop: &CancellationToken) {
    let rulebook = &parts.issuer.tools().rulebook;
    loop {
        tokio::select! {
            () = tokio::time::sleep(RULES) => {}
            () = stop.cancelled() => return,
        }
        match rulebook.refresh(&parts.store, parts.clock.now()).await {
            Ok(Some(version)) => tracing::info!(rules.version = %version, "other rules are in force"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "it could not be seen whether other rules are in force"),
        }
    }
}

/// How often what waits is counted.
const MEASURE: Duration = Duration::from_secs(5);

/// Counts what waits, for the metrics, and keeps what was measured from piling up.
pub(super) async fn measure(store: &Store, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(MEASURE) => {}
            () = stop.cancelled() => return,
        }
        match (store.queue_depth().await, store.pending_count().await) {
            (Ok(depth), Ok(pending)) => {
                for (state, count) in [("ready", depth.ready), ("leased", depth.leased), ("dead", depth.dead)] {
                    metrics::gauge!(names::QUEUE_DEPTH, "state" => state).set(approximately(count));
                }
                metrics::gauge!(names::ISSUE_WAITING).set(approximately(pending));
            }
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "what waits could not be counted"),
        }
        if let Ok(metrics) = Metrics::install() {
            metrics.upkeep();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts stay far below what it holds exactly")]
fn approximately(count: i64) -> f64 {
    count as f64
}

/// How often the configuration file is looked at.
const WATCH: Duration = Duration::from_secs(2);

/// Applies the connectors of the configuration file whenever it changes. A file with mistakes changes nothing.
pub(super) async fn watch(parts: &Parts, file: &Path, stop: &CancellationToken) {
    let mut seen = modified(file);
    loop {
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = stop.cancelled() => return,
        }
        let now = modified(file);
        if now == seen {
            continue;
        }
        seen = now;
        match config::load(file) {
            Ok(config) => match parts.apply(&config.connectors).await {
                Ok(()) => {
                    tracing::info!(
                        "the connectors of the configuration file were applied; other sections need a restart"
                    );
                    parts.changed.notify_one();
                }
                Err(error) => tracing::error!(%error, "the configuration file was not applied"),
            },
            Err(errors) => tracing::error!(%errors, "the configuration file has mistakes; everything stays as it was"),
        }
    }
}

fn modified(file: &Path) -> Option<(std::time::SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
