//! Step two: what types cannot say. Nothing outside the file is touched, so that it can be judged anywhere.

use std::collections::HashMap;

use connectors::{contract::Mistake, settings::nearest};
use serde_json::Value;

use super::{Config, Draft, definition::settings_mistakes};
use crate::telemetry;

/// Connectors in one file.
const MAX_CONNECTORS: usize = 256;

/// Tokens in one file.
const MAX_TOKENS: usize = 64;

/// Trusted proxies in one file.
const MAX_PROXIES: usize = 64;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Every mistake in a draft.
pub(super) fn mistakes(draft: &Draft) -> Vec<Mistake> {
    let mut mistakes = draft.source.unusable().to_vec();
    // What could not be converted was told: that nothing stands there now is no second mistake.
    let told = |pointer: &str| draft.source.unusable().iter().any(|mistake| mistake.pointer == pointer);
    let read = draft.reading.mistakes.iter().filter(|mistake| !told(&mistake.pointer)).cloned();
    mistakes.extend(read.map(|mistake| brackets(mistake, draft.source.value())));
    if let Some(config) = &draft.reading.value {
        let sense = sense(config).into_iter().filter(|mistake| !draft.reading.stands_in(&mistake.pointer));
        mistakes.extend(sense);
    }
    mistakes.extend(settings(draft.source.value()));
    mistakes
}

/// A list of tables written with single brackets is the commonest slip in TOML.
fn brackets(mistake: Mistake, document: &Value) -> Mistake {
    let list = match mistake.pointer.as_str() {
        "/connector" => "[[connector]]",
        "/http/token" => "[[http.token]]",
        _ => return mistake,
    };
    if document.pointer(&mistake.pointer).is_some_and(Value::is_object) {
        return mistake.suggest(format!("write {list}, with double brackets"));
    }
    mistake
}

/// The mistakes in the connectors' own settings. They are taken from the document itself, so that a slip elsewhere in
/// the file does not hide them.
fn settings(document: &Value) -> Vec<Mistake> {
    let connectors = document.get("connector").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut mistakes = Vec::new();
    for (index, connector) in connectors.iter().take(MAX_CONNECTORS).enumerate() {
        let Some(adapter) = connector.get("adapter").and_then(Value::as_str) else { continue };
        let settings = connector.get("settings");
        if settings.is_some_and(|settings| !settings.is_object()) {
            continue;
        }
        mistakes.extend(below(&format!("/connector/{index}"), settings_mistakes(adapter, settings)));
    }
    mistakes
}

fn below(prefix: &str, mistakes: Vec<Mistake>) -> impl Iterator<Item = Mistake> {
    mistakes.into_iter().map(move |mistake| Mistake { pointer: format!("{prefix}{}", mistake.pointer), ..mistake })
}

/// The mistake of a number that is out of its bounds.
pub(super) fn within(pointer: &str, number: u64, least: u64, most: u64) -> Option<Mistake> {
    if (least..=most).contains(&number) {
        return None;
    }
    let nearest = number.clamp(least, most);
    let mistake = Mistake::new(pointer, format!("{number} is out of bounds; expected {least} to {most}"));
    Some(mistake.suggest(format!("the nearest is {nearest}")))
}

fn sense(config: &Config) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = bounds(config).into_iter().flatten().collect();
    mistakes.extend(store(config));
    mistakes.extend(tokens(config));
    if config.http.trusted_proxies.len() > MAX_PROXIES {
        mistakes.push(Mistake::new("/http/trusted_proxies", format!("there are more than {MAX_PROXIES}")));
    }
    mistakes.extend(calendar(config));
    mistakes.extend(notices(config));
    mistakes.extend(super::watch::mistakes(config));
    mistakes.extend(connectors(config));
    for (pointer, text) in [("/office/name", &config.office.name), ("/office/phone", &config.office.phone)] {
        if text.trim().is_empty() {
            mistakes.push(Mistake::new(pointer, "is empty; petitioners read it in notices"));
        }
    }
    if telemetry::levels(&config.log.level).is_none() {
        mistakes.push(
            Mistake::new("/log/level", "expected error, warn, info, debug or trace, or levels by module")
                .suggest("as info,jiesu::intake=debug"),
        );
    }
    mistakes
}

fn bounds(config: &Config) -> Vec<Option<Mistake>> {
    let Config { store, http, intake, issue, queue, notices, console, shutdown, .. } = config;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    vec![
        within("/store/connections", store.connections.into(), 1, 256),
        within("/store/patience_seconds", store.patience_seconds, 1, 600),
        within("/http/body_limit_bytes", http.body_limit_bytes, KIB, 256 * MIB),
        within("/http/drain_limit_bytes", http.drain_limit_bytes, http.body_limit_bytes.min(GIB), GIB),
        within("/http/request_timeout_seconds", http.request_timeout_seconds, 1, 600),
        within("/http/max_connections", http.max_connections.into(), 1, 65_536),
        within("/intake/group_items", number(intake.group_items), 1, 10_000),
        within("/intake/waiting_deliveries", number(intake.waiting_deliveries), 1, 65_536),
        within("/intake/limits/page_items", number(intake.limits.page_items), 1, 10_000),
        within("/intake/limits/page_bytes", number(intake.limits.page_bytes), 64 * KIB, GIB),
        within("/intake/limits/item_bytes", number(intake.limits.item_bytes), KIB, 256 * MIB),
        within("/issue/batch_items", number(issue.batch_items), 1, 10_000),
        within("/issue/batch_bytes", issue.batch_bytes, 64 * KIB, GIB),
        within("/issue/assess_threads", number(issue.assess_threads), 0, 256),
        within("/issue/lease_seconds", issue.lease_seconds, 5, 3600),
        within("/issue/repeat_days", u64::from(issue.repeat_days), 1, 3650),
        within("/issue/remembered", u64::try_from(issue.remembered).unwrap_or(u64::MAX), 1000, 16_777_216),
        within("/queue/max_lease_seconds", queue.max_lease_seconds, 1, 604_800),
        within("/queue/lease_seconds", queue.lease_seconds, 1, queue.max_lease_seconds.max(1)),
        within("/queue/max_attempts", queue.max_attempts.into(), 1, 100),
        within("/queue/retry_delay_seconds", queue.retry_delay_seconds, 0, 86_400),
        within("/notices/daily_cap", notices.daily_cap.into(), 1, 100),
        within("/notices/max_attempts", notices.max_attempts.into(), 1, 100),
        within("/console/idle_minutes", console.idle_minutes.into(), 1, 1440),
        within("/console/session_hours", console.session_hours.into(), 1, 168),
        within("/console/link_minutes", console.link_minutes.into(), 5, 1440),
        within("/console/undo_seconds", console.undo_seconds.into(), 0, 600),
        within("/shutdown/grace_seconds", shutdown.grace_seconds, 1, 600),
    ]
}

fn store(config: &Config) -> Vec<Mistake> {
    const URL: &str = "/store/url";
    let url = config.store.url.as_str();
    let mut mistakes = Vec::new();
    let postgres = url.starts_with("postgres:") || url.starts_with("postgresql:");
    if postgres {
        match reqwest::Url::parse(url) {
            // Neither the address nor the library's words for it are repeated: there may be a password in it.
            Err(_) => mistakes.push(Mistake::new(URL, "is no address").suggest("write postgres://USER@HOST/DATABASE")),
            Ok(address) => {
                if address.password().is_some() || address.query_pairs().any(|(name, _)| name == "password") {
                    let mistake = Mistake::new(URL, "a password stands in the address");
                    mistakes
                        .push(mistake.suggest("take it out and write password = { file = \"…\" } or { env = \"…\" }"));
                }
            }
        }
    } else if !url.starts_with("sqlite:") || url.trim_end_matches('/') == "sqlite:" {
        let mistake = Mistake::new(URL, "expected sqlite:PATH or postgres://USER@HOST/DATABASE");
        mistakes.push(mistake.suggest("sqlite:jiesu.db keeps everything in one file beside the configuration"));
    }
    if config.store.password.is_some() && !postgres {
        mistakes.push(Mistake::new("/store/password", "SQLite takes no password").suggest("take it out"));
    }
    mistakes
}

fn tokens(config: &Config) -> Vec<Mistake> {
    let tokens = &config.http.tokens;
    let mut mistakes = Vec::new();
    if tokens.len() > MAX_TOKENS {
        mistakes.push(Mistake::new("/http/token", format!("more than {MAX_TOKENS} tokens")));
    }
    let (mut names, mut secrets) = (HashMap::new(), HashMap::new());
    for (index, token) in tokens.iter().enumerate() {
        let place = format!("/http/token/{index}");
        if token.name.trim().is_empty() {
            mistakes
                .push(Mistake::new(format!("{place}/name"), "is empty; what the bearer does is written down under it"));
        }
        if token.scopes.is_empty() {
            let mistake = Mistake::new(format!("{place}/scopes"), "a token without a scope opens nothing");
            mistakes.push(mistake.suggest("give one or more of \"queue\", \"read\", \"admin\""));
        }
        if let Some(first) = names.insert(&token.name, index) {
            let message = format!("token #{} has this name as well", first + 1);
            mistakes.push(Mistake::new(format!("{place}/name"), message).suggest("names must differ"));
        }
        if let Some(first) = secrets.insert(token.secret.to_string(), index) {
            let message = format!("token #{} has this secret as well", first + 1);
            mistakes
                .push(Mistake::new(format!("{place}/secret"), message).suggest("give each bearer a secret of its own"));
        }
    }
    mistakes
}

fn calendar(config: &Config) -> Option<Mistake> {
    let calendar = &config.calendar;
    (calendar.afternoon.from < calendar.morning.to).then(|| {
        Mistake::new("/calendar/afternoon", "begins before the morning ends")
            .suggest("as morning = \"08:30-12:00\", afternoon = \"13:00-17:30\"")
    })
}

fn notices(config: &Config) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let names: Vec<&str> = config.connectors.iter().map(|connector| connector.name.as_str()).collect();
    if let Some(through) = &config.notices.through
        && !names.contains(&through.as_str())
    {
        let mistake = Mistake::new("/notices/through", format!("there is no connector named {through}"));
        mistakes.push(match nearest(through.as_str(), names) {
            Some(name) => mistake.suggest(format!("did you mean `{name}`?")),
            None => mistake.suggest("name a mail connector of this file, or take the line out"),
        });
    }
    if !is_domain(&config.notices.message_domain) {
        let mistake = Mistake::new("/notices/message_domain", "is no domain name");
        mistakes.push(mistake.suggest("write the domain that the office's mail comes from"));
    }
    mistakes
}

/// Whether a text is a domain name as RFC 1035, 2.3.1 has it (with digits in front allowed, RFC 1123, 2.1).
fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn connectors(config: &Config) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if config.connectors.len() > MAX_CONNECTORS {
        mistakes.push(Mistake::new("/connector", format!("more than {MAX_CONNECTORS} connectors")));
    }
    let mut names = HashMap::new();
    for (index, connector) in config.connectors.iter().enumerate() {
        let place = format!("/connector/{index}");
        if let Some(first) = names.insert(&connector.name, index) {
            let message = format!("connector #{} has this name as well", first + 1);
            mistakes.push(
                Mistake::new(format!("{place}/name"), message)
                    .suggest("names must differ: entries are known by their connector's name"),
            );
        }
        mistakes.extend(below(&place, connector.own_mistakes()));
    }
    mistakes
}
