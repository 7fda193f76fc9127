//! The console: an admin of the hotline office runs the gateway from it. Pages are made here, on the server, in Chinese with
//! an English switch; forms and links do everything, and the script only spares waiting (live figures, shortcuts). Nothing is
//! fetched from outside, and nothing that a citizen wrote is ever markup: templates escape, and the content policy forbids
//! script and style that are not ours.
//!
//! | module | holds |
//! |---|---|
//! | [`routes`] | the one table of pages and roles, from which the router, the documentation and the tests are made |
//! | `access` | who is let in: sessions, roles, forgery, headers |
//! | `attempts`, `password` | how often one may try, and what is kept of a password |
//! | `words` | the catalogue of everything that is said, Chinese and English |
//! | `page`, `trouble` | what every page has, and the pages that say what went wrong |
//! | `session` | logging in and out, one-time links, the own password |
//! | `overview`, `trend` | what came in and where it is, with pictures |
//! | `connectors` | their states, switches, trials, cursors, definitions |
//! | `desk` | entries, decisions, the lists of work, tickets |
//! | `hotspots` | matters that many people report |
//! | `rules` | versions of the rules, their text, trying and publishing them |
//! | `queue`, `notices`, `alarms` | what waits to be taken over, what was told, what is wrong |
//! | `audit`, `accounts`, `tokens` | the pages of the office's own housekeeping |

mod access;
mod accounts;
mod alarms;
mod assets;
mod attempts;
mod audit;
mod connectors;
mod desk;
mod hotspots;
mod notices;
mod overview;
mod page;
mod password;
mod queue;
pub mod routes;
mod rules;
mod session;
mod tokens;
mod trend;
mod trouble;
mod words;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use ::connectors::clock::Clock;
use axum::{Router, middleware};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use self::{access::Gate, attempts::Attempts};
use crate::{
    config,
    directory::Directory,
    http::{Limits, layers::Slots},
    issue::Tools,
    notices::Texts,
    seal::Keyring,
    store::{
        Store, StoreError,
        accounts::{LinkFor, digest_of},
        journal::Act,
        queue::DeliveryPolicy,
    },
};

pub use password::{hash_password, secret_token};

/// Passwords hashed at once: each takes memory and time, and whoever asks is not known yet.
const HASHING: usize = 2;

/// What the console works with.
pub struct Console {
    /// The database.
    pub store: Store,
    /// Unseals, and finds petitioners again.
    pub keyring: Arc<Keyring>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Reads and assesses entries; holds the rules in force.
    pub tools: Arc<Tools>,
    /// The connectors as they are now.
    pub directory: Arc<Directory>,
    /// Told when a connector was changed.
    pub changed: Arc<Notify>,
    /// Told when an entry was put back on the work list.
    pub pending: Arc<Notify>,
    /// Told when something can be leased from the queue.
    pub queued: Arc<Notify>,
    /// Bounds of delivery.
    pub policy: DeliveryPolicy,
    /// What notices say.
    pub texts: Texts,
    /// Its section of the configuration.
    pub settings: config::Console,
    /// Bounds of a request.
    pub limits: Limits,
    /// Who tried to log in lately.
    pub door: Door,
}

/// Who tried to log in lately, and how many passwords may be hashed at once.
#[derive(Debug)]
pub struct Door {
    attempts: Attempts,
    hashing: Semaphore,
}

impl Default for Door {
    fn default() -> Self {
        Self { attempts: Attempts::default(), hashing: Semaphore::new(HASHING) }
    }
}

impl Console {
    /// Whether a session that began and was last used at these moments still holds.
    fn holds(&self, created_at: Timestamp, seen_at: Timestamp, now: Timestamp) -> bool {
        let (idle, age) = session_bounds(&self.settings, now);
        seen_at > idle && created_at > age
    }
}

/// The moments before which a session must have been used, and begun, to hold no more.
fn session_bounds(settings: &config::Console, now: Timestamp) -> (Timestamp, Timestamp) {
    let before = |time: Duration| now.checked_sub(time).unwrap_or(Timestamp::MIN);
    (
        before(Duration::from_mins(settings.idle_minutes.into())),
        before(Duration::from_hours(settings.session_hours.into())),
    )
}

/// Makes a one-time link and returns the path under which it can be used once.
///
/// # Errors
/// Where the database fails, there is no such account, or the system gives no random numbers.
pub async fn one_time_path(
    store: &Store,
    settings: &config::Console,
    purpose: &LinkFor,
    actor: &str,
    now: Timestamp,
) -> Result<String, StoreError> {
    let token = secret_token().map_err(|_| StoreError::Conflict("the system gives no random numbers".to_owned()))?;
    let expires = now.checked_add(Duration::from_mins(settings.link_minutes.into())).unwrap_or(Timestamp::MAX);
    let subject = match purpose {
        LinkFor::FirstAdmin => "first admin",
        LinkFor::Account(name) => name,
    };
    let act = Act { actor, action: "account.link", subject, reason: None };
    store.add_link(digest_of(&token), purpose, expires, act, now).await?;
    Ok(format!("/console/setup/{token}"))
}

/// How often sessions that ended are forgotten and counts added up.
const TIDY: Duration = Duration::from_secs(2);

/// Forgets what has ended, adds up what was counted, ends pauses; until `stop`.
pub async fn tidy(
    store: &Store,
    clock: &dyn Clock,
    settings: &config::Console,
    changed: &Notify,
    stop: &CancellationToken,
) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY) => {}
            () = stop.cancelled() => return,
        }
        let now = clock.now();
        let (idle, begun) = session_bounds(settings, now);
        let tidied = async {
            store.add_up().await?;
            if store.end_pauses(now).await? > 0 {
                changed.notify_one();
            }
            store.forget_sessions(idle, begun, now).await
        };
        match tidied.await {
            Ok(()) => failing = false,
            // Said once, not every two seconds.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "the console's counts and sessions could not be tidied; they will be");
            }
            Err(_) => {}
        }
    }
}

/// The console's routes, each behind its gate.
pub fn router(console: Arc<Console>) -> Router {
    let slots = Arc::new(Slots::of(&console.limits));
    let mut router = Router::new();
    for row in routes::table() {
        let gate = Gate { console: console.clone(), access: row.access, slots: slots.clone() };
        let methods = row.methods.route_layer(middleware::from_fn_with_state(gate, access::guard));
        router = router.route(row.path, methods);
    }
    router.with_state(console)
}
