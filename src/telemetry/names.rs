//! Every metric, with its labels and meaning. Labels hold names of connectors, states and routes alone, so that their
//! number is bounded and nobody's data is in them.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts measurements by size.
    Histogram,
}

/// A metric, described.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it tells, with its labels.
    pub about: &'static str,
}

/// Entries taken in: `connector`, `outcome` (stored, known, unread).
pub const ENTRIES: &str = "jiesu_entries_total";
/// Pieces of items: `connector`, `outcome` (stored, known, reused, gathered, or why they make no entry).
pub const FRAGMENTS: &str = "jiesu_fragments_total";
/// Faults while a source was read: `connector`, `class`.
pub const PULL_FAULTS: &str = "jiesu_pull_faults_total";
/// Seconds from the start of a pull to its commit: `connector`.
pub const PULL_SECONDS: &str = "jiesu_pull_seconds";
/// Deliveries that were not taken: `connector`, `reason`.
pub const REFUSALS: &str = "jiesu_refusals_total";
/// Seconds that one commit of entries took.
pub const INTAKE_COMMIT_SECONDS: &str = "jiesu_intake_commit_seconds";
/// Seconds that one batch took from its claim to its commit.
pub const ISSUE_SECONDS: &str = "jiesu_issue_seconds";
/// Entries stored and not yet issued.
pub const ISSUE_WAITING: &str = "jiesu_issue_waiting";
/// What happened to tickets: `event` (opened, repeat, `co_report`, `follow_up`).
pub const TICKETS: &str = "jiesu_tickets_total";
/// What screening decided: `disposition`.
pub const DISPOSITIONS: &str = "jiesu_dispositions_total";
/// Entries that went to quarantine.
pub const QUARANTINE: &str = "jiesu_quarantine_total";
/// Tickets in the queue: `state` (ready, leased, dead).
pub const QUEUE_DEPTH: &str = "jiesu_queue_depth";
/// Steps of delivery from the queue: `event` (leased, acknowledged, released, failed, expired, dead, requeued).
pub const QUEUE_EVENTS: &str = "jiesu_queue_events_total";
/// When a connector last succeeded, in seconds since 1970: `connector`.
pub const CONNECTOR_LAST_SUCCESS: &str = "jiesu_connector_last_success_timestamp_seconds";
/// Whether a connector runs: `connector`; 1 or 0.
pub const CONNECTOR_RUNNING: &str = "jiesu_connector_running";
/// Notices: `state` (sent, retried, failed, suppressed).
pub const NOTICES: &str = "jiesu_notices_total";
/// HTTP requests: `route` (its pattern, never the path), `status`.
pub const HTTP_REQUESTS: &str = "jiesu_http_requests_total";
/// Seconds that one HTTP request took: `route`.
pub const HTTP_SECONDS: &str = "jiesu_http_request_seconds";
/// Unsealings of who complained: each one is in the audit trail.
pub const UNSEALINGS: &str = "jiesu_unsealings_total";

/// Open alarms: `kind`.
pub const ALARMS: &str = "jiesu_alarms";
/// Attempts to tell of alarms: `target` (log, webhook, mail), `outcome` (told, later, `given_up`).
pub const ALARM_TELLINGS: &str = "jiesu_alarm_tellings_total";

/// Every metric.
pub const ALL: [Metric; 21] = [
    metric(ENTRIES, Kind::Counter, "Entries taken in, by connector and outcome (stored, known, unread)."),
    metric(FRAGMENTS, Kind::Counter, "Pieces of items, by connector and outcome (stored, known, reused, gathered, …)."),
    metric(PULL_FAULTS, Kind::Counter, "Faults while a source was read, by connector and class."),
    metric(PULL_SECONDS, Kind::Histogram, "Seconds from the start of a pull to its commit, by connector."),
    metric(REFUSALS, Kind::Counter, "Deliveries that were not taken, by connector and reason."),
    metric(INTAKE_COMMIT_SECONDS, Kind::Histogram, "Seconds that one commit of entries took."),
    metric(ISSUE_SECONDS, Kind::Histogram, "Seconds that one batch took from its claim to its commit."),
    metric(ISSUE_WAITING, Kind::Gauge, "Entries stored and not yet issued."),
    metric(TICKETS, Kind::Counter, "What happened to tickets, by event (opened, repeat, co_report, follow_up)."),
    metric(DISPOSITIONS, Kind::Counter, "What screening decided, by disposition (accept, guide, decline, hold)."),
    metric(QUARANTINE, Kind::Counter, "Entries that went to quarantine."),
    metric(QUEUE_DEPTH, Kind::Gauge, "Tickets in the queue, by state (ready, leased, dead)."),
    metric(QUEUE_EVENTS, Kind::Counter, "Steps of delivery from the queue, by event."),
    metric(
        CONNECTOR_LAST_SUCCESS,
        Kind::Gauge,
        "When a connector last succeeded, in seconds since 1970, by connector.",
    ),
    metric(CONNECTOR_RUNNING, Kind::Gauge, "Whether a connector runs (1) or not (0), by connector."),
    metric(NOTICES, Kind::Counter, "Notices, by state (sent, retried, failed, suppressed)."),
    metric(HTTP_REQUESTS, Kind::Counter, "HTTP requests, by route and status."),
    metric(HTTP_SECONDS, Kind::Histogram, "Seconds that one HTTP request took, by route."),
    metric(ALARMS, Kind::Gauge, "Open alarms, by kind."),
    metric(ALARM_TELLINGS, Kind::Counter, "Attempts to tell of alarms, by target and outcome."),
    metric(UNSEALINGS, Kind::Counter, "Unsealings of who complained; each one is in the audit trail."),
];

const fn metric(name: &'static str, kind: Kind, about: &'static str) -> Metric {
    Metric { name, kind, about }
}

/// Tells the collector what each metric means.
pub(super) fn describe() {
    for Metric { name, kind, about } in ALL {
        match kind {
            Kind::Counter => describe_counter!(name, about),
            Kind::Gauge => describe_gauge!(name, about),
            Kind::Histogram => describe_histogram!(name, about),
        }
    }
}
