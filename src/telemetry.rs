//! What the program says about itself: log, metrics, and the last words of a panic.
//!
//! None of it may say who complained (Article 24): metrics carry names of connectors and states alone, and a panic tells
//! where it happened but not with what.

pub mod names;

use std::{io::IsTerminal, panic, sync::OnceLock};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// The environment variable that takes precedence over the configured level.
pub const LOG_VARIABLE: &str = "JIESU_LOG";

/// Upper bounds of what is counted together, in seconds: from a single commit on a fast disk to a source that hangs.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not one.
    #[error(
        "{source_name} says no level: write error, warn, info, debug or trace, or levels by module as info,jiesu::intake=debug"
    )]
    Level {
        /// Where it was read.
        source_name: &'static str,
    },
    /// A log was set up before.
    #[error("the log is already set up")]
    Log,
    /// Metrics were set up before, or cannot be.
    #[error("metrics cannot be collected: {0}")]
    Metrics(#[from] BuildError),
}

/// Starts the log to standard error, and has panics told there by their place alone.
///
/// # Errors
/// The level is not one, or a log was set up before.
pub fn install_log(log: &Log) -> Result<(), TelemetryError> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(level) if !level.is_empty() => filter(&level, LOG_VARIABLE)?,
        _ => filter(&log.level, "[log] level")?,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match log.format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colour)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
    installed.map_err(|_| TelemetryError::Log)?;
    install_panic_hook();
    Ok(())
}

fn filter(level: &str, source_name: &'static str) -> Result<EnvFilter, TelemetryError> {
    levels(level).ok_or(TelemetryError::Level { source_name })
}

/// The levels that a text says, if it says any. A word alone is a level: the filter itself would take one that is
/// misspelt for a module, and say nothing about all the others.
pub fn levels(text: &str) -> Option<EnvFilter> {
    let sound = |part: &str| part.contains(['=', '[']) || !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    if !text.split(',').all(sound) {
        return None;
    }
    EnvFilter::builder().parse(text).ok()
}

/// Has panics told by their place alone: the message may hold what a petitioner wrote.
pub fn install_panic_hook() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(panic.location = %place, panic.thread = thread.name().unwrap_or("unnamed"), "panicked");
    }));
}

/// The metrics collected by this process.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

impl Metrics {
    /// Starts to collect metrics; the collector belongs to the process, so asking again yields the same one.
    ///
    /// # Errors
    /// Another collector is in place.
    pub fn install() -> Result<Self, TelemetryError> {
        if let Some(handle) = METRICS.get() {
            return Ok(Self(handle.clone()));
        }
        let builder =
            PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
        match builder.install_recorder() {
            Ok(handle) => {
                names::describe();
                Ok(Self(METRICS.get_or_init(|| handle).clone()))
            }
            // Two callers at once: the first one's collector serves both.
            Err(error) => METRICS.get().cloned().map(Self).ok_or_else(|| error.into()),
        }
    }

    /// The metrics in the text form that Prometheus reads.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Moves what was measured into its buckets. To be called every few seconds, or measurements pile up where nobody
    /// asks for the metrics.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_with_their_meaning() {
        let metrics = Metrics::install().expect("installed");
        let again = Metrics::install().expect("the same one");
        metrics::counter!(names::ENTRIES, "connector" => "mail", "outcome" => "stored").increment(3);
        metrics::histogram!(names::ISSUE_SECONDS).record(0.004);
        metrics.upkeep();
        let text = again.render();
        for line in [
            "# HELP jiesu_entries_total ",
            "# TYPE jiesu_entries_total counter",
            "jiesu_entries_total{connector=\"mail\",outcome=\"stored\"} 3",
            "# TYPE jiesu_issue_seconds histogram",
            "jiesu_issue_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(text.contains(line), "{line:?} is missing from:\n{text}");
        }
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut seen = std::collections::HashSet::new();
        for metric in names::ALL {
            assert!(seen.insert(metric.name), "{} is listed once", metric.name);
            assert!(metric.name.starts_with("jiesu_") && !metric.about.is_empty(), "{}", metric.name);
            assert_eq!(metric.kind == names::Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert_eq!(
                metric.kind == names::Kind::Histogram,
                metric.name.ends_with("_seconds") && !metric.name.contains("timestamp"),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn a_level_that_is_none_is_refused_with_its_place() {
        for level in ["jiesu=loud", "inof", "info,jiesu", ""] {
            let error = filter(level, "[log] level").unwrap_err();
            assert!(error.to_string().starts_with("[log] level says no level"), "{level}: {error}");
        }
        for level in ["info", "WARN", "off", "info,jiesu::intake=debug", "jiesu[span]=trace"] {
            assert!(filter(level, "[log] level").is_ok(), "{level}");
        }
    }
}
