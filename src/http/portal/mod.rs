//! The city portal (Article 3: 市政府门户网站): a form page for citizens, a page where they ask what became of it, and the same
//! as JSON for pages of the city's own. Served for every connector whose adapter has a form
//! ([`Push::form`]); which adapter that is, is no affair of these pages.
//!
//! | module | holds |
//! |---|---|
//! | `form` | the form page and what is sent with it |
//! | `read` | a form as browsers send it, within bounds |
//! | `status` | what became of a submission, by number and query code |
//! | `json` | both for pages of the city's own |
//! | `code` | numbers, query codes, and how a form is known as ours |
//! | `page`, `words` | templates and their words |

mod code;
mod form;
mod json;
mod page;
mod read;
mod status;
mod words;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    http::{Method, StatusCode},
    response::Response,
    routing::{get, post},
};
use connectors::{
    contract::Push,
    entry::{ConnectorName, ExternalId},
    public_form::PublicForm,
};
use jiff::tz::TimeZone;
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::{page::Frame, words::Language};
use super::{
    client::{ClientAddress, Limiter},
    push::Inlets,
};
use crate::{
    config::Office,
    directory::{Connector, Reading},
    seal::Keyring,
    store::{Store, StoreError, portal::Fate, read::Place},
};

/// The routes, for whoever lists all of them; none needs a token of the gateway's.
pub const ROUTES: [(Method, &str); 7] = [
    (Method::GET, "/portal/{connector}"),
    (Method::POST, "/portal/{connector}"),
    (Method::GET, "/portal/{connector}/status"),
    (Method::POST, "/portal/{connector}/status"),
    (Method::POST, "/v1/portal/{connector}"),
    (Method::POST, "/v1/portal/{connector}/status"),
    (Method::GET, "/portal/style/portal.css"),
];

/// How long a citizen waits for the ticket's number before the page comes with the reception number alone.
const ISSUE_WAIT: Duration = Duration::from_secs(10);
/// How often the database is asked meanwhile, where nobody tells that something was issued.
const ISSUE_LOOK: Duration = Duration::from_millis(500);
/// Questions of one network address within an hour, and how many of them may follow each other at once.
const LOOKUPS: (u32, u32) = (600, 60);
/// Bytes of forms that are received at once, all of them together.
const MEMORY: usize = 256 * 1024 * 1024;
/// What is set aside of it at a time.
const MEMORY_UNIT: usize = 64 * 1024;

/// What the portal works with.
pub struct Portal {
    /// Where entries go in, and the connectors.
    inlets: Arc<Inlets>,
    store: Store,
    keyring: Arc<Keyring>,
    office: Office,
    zone: TimeZone,
    /// Told when something was issued.
    issued: Arc<Notify>,
    stop: CancellationToken,
    submissions: Mutex<BTreeMap<ConnectorName, Allowance>>,
    lookups: Limiter,
    memory: Semaphore,
}

/// How often an address may send to a connector, as its settings say now.
struct Allowance {
    per_hour: u32,
    burst: u32,
    limiter: Arc<Limiter>,
}

/// What the gateway hands to the portal.
pub struct PortalParts {
    /// Where entries go in, and the connectors.
    pub inlets: Arc<Inlets>,
    /// The database.
    pub store: Store,
    /// Makes codes.
    pub keyring: Arc<Keyring>,
    /// Who runs the hotline.
    pub office: Office,
    /// The zone that days are told in.
    pub zone: TimeZone,
    /// Told when something was issued (`notify_waiters`).
    pub issued: Arc<Notify>,
    /// Cancelled when the gateway stops: nobody waits any longer.
    pub stop: CancellationToken,
}

/// The routes of the portal.
pub fn router(parts: PortalParts) -> Router {
    let PortalParts { inlets, store, keyring, office, zone, issued, stop } = parts;
    let (per_hour, burst) = LOOKUPS;
    let lookups = Limiter::new(keyring.clone(), per_hour, burst);
    let memory = Semaphore::new(MEMORY / MEMORY_UNIT);
    let submissions = Mutex::default();
    let portal = Arc::new(Portal { inlets, store, keyring, office, zone, issued, stop, submissions, lookups, memory });
    Router::new()
        .route("/portal/style/portal.css", get(page::style))
        .route("/portal/{connector}", get(form::show).post(form::take))
        .route("/portal/{connector}/status", get(status::show).post(status::ask))
        .route("/v1/portal/{connector}", post(json::take).options(json::preflight))
        .route("/v1/portal/{connector}/status", post(json::ask).options(json::preflight))
        .with_state(portal)
}

/// A connector with a form.
struct Desk {
    name: ConnectorName,
    push: Arc<dyn Push>,
    connector: Arc<Connector>,
}

impl Desk {
    /// Its form; there is one wherever there is a desk.
    fn form(&self) -> Option<&dyn PublicForm> {
        self.push.form()
    }

    fn open(&self) -> bool {
        self.connector.stored.enabled
    }
}

impl Portal {
    /// The connector of that name, where it has a form.
    fn desk(&self, name: &str) -> Option<Desk> {
        let name: ConnectorName = name.parse().ok()?;
        let connector = self.inlets.directory.get(&name)?;
        let Reading::Push(push) = &connector.reading else { return None };
        let push = push.clone();
        push.form()?;
        Some(Desk { name, push, connector })
    }

    fn frame(&self, language: Language, desk: Option<&Desk>, here: &'static str) -> Frame {
        let title = desk.and_then(Desk::form).and_then(|form| form.terms().title.clone());
        Frame {
            words: language.words(),
            title: title.unwrap_or_else(|| self.office.name.clone()),
            office: self.office.name.clone(),
            phone: self.office.phone.clone(),
            portal: desk.map(|desk| desk.name.to_string()),
            here,
        }
    }

    fn no_such_page(&self, language: Language) -> Response {
        let words = language.words();
        page::message(StatusCode::NOT_FOUND, self.frame(language, None, ""), words.gone_title, words.gone)
    }

    /// Counts a submission of an address.
    fn count(&self, desk: &Desk, form: &dyn PublicForm, client: ClientAddress) -> Result<(), Duration> {
        let terms = form.terms();
        let limiter = {
            let mut submissions = self.submissions.lock().unwrap_or_else(PoisonError::into_inner);
            // One for each connector that there is, or was since the start.
            let known = submissions.get(&desk.name);
            if let Some(known) = known.filter(|known| known.per_hour == terms.per_hour && known.burst == terms.burst) {
                known.limiter.clone()
            } else {
                let limiter = Arc::new(Limiter::new(self.keyring.clone(), terms.per_hour, terms.burst));
                let allowance = Allowance { per_hour: terms.per_hour, burst: terms.burst, limiter: limiter.clone() };
                submissions.insert(desk.name.clone(), allowance);
                limiter
            }
        };
        limiter.count(client)
    }

    /// Lets a stored submission be asked about, and waits a while for what becomes of it.
    async fn settle(&self, desk: &Desk, id: &ExternalId, slip: &code::Slip) -> Result<Option<Fate>, StoreError> {
        let stored = code::stored(&self.keyring, &slip.code);
        self.store.put_query_code(&desk.name, id, &stored, self.inlets.clock.now()).await?;
        let deadline = Instant::now() + ISSUE_WAIT;
        loop {
            // Asked for before the database is, so that what is issued in between is not missed.
            let issued = self.issued.notified();
            let fate = self.store.fate(&desk.name, id).await?;
            let waits = fate.as_ref().is_some_and(|fate| fate.place == Place::Pending);
            if !waits || Instant::now() >= deadline {
                return Ok(fate);
            }
            tokio::select! {
                () = issued => {}
                () = tokio::time::sleep(ISSUE_LOOK) => {}
                () = self.stop.cancelled() => return Ok(fate),
            }
        }
    }

    /// What became of the submission with that number and code. Both wrong answers are the same one, and take the same time.
    async fn look_up(&self, desk: &Desk, number: &str, typed: &str) -> Result<Option<(Fate, code::Slip)>, StoreError> {
        let answer_at = Instant::now() + status::ANSWER_AFTER;
        let found = self.store.fate_by_code(&desk.name, &code::stored(&self.keyring, typed)).await;
        let found = found.map(|found| {
            let fate = found?;
            let slip = code::slip(&self.keyring, &desk.name, &fate.external_id);
            let number = code::plain(number);
            let own = code::plain(&slip.number) == number;
            let ticket = fate.ticket.as_ref().is_some_and(|ticket| code::plain(&ticket.number.to_string()) == number);
            (own || ticket).then_some((fate, slip))
        });
        tokio::time::sleep_until(answer_at).await;
        found
    }
}
