//! Asks the board: signs where that is set up, keeps to what the site's `robots.txt` says, and goes out over the paced
//! client. The reader and the way back share it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Url};
use secrecy::SecretString;
use texting_robots::Robot;
use tokio::{sync::Mutex, time::Instant};

use super::{
    ready::Board,
    request::{self, Vars},
    settings::Request,
    sign::{self, Robots},
};
use crate::{contract::Toolbox, fault::Fault, http::Answered};

/// The name by which `robots.txt` knows us.
const AGENT: &str = "Jiesu";

/// Bytes of a `robots.txt` that are read (RFC 9309, section 2.5).
const ROBOTS_BYTES: usize = 500 * 1024;

/// How long a `robots.txt` holds (RFC 9309, section 2.4), and how long an old one does where a new one cannot be had.
const ROBOTS_HOLDS: SignedDuration = SignedDuration::from_hours(24);
const ROBOTS_HOLDS_ON: SignedDuration = SignedDuration::from_hours(1);

/// The longest pause that a `Crawl-delay` makes us keep.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// Asks one board's server.
pub(super) struct Asker {
    pub(super) board: Arc<Board>,
    pub(super) tools: Toolbox,
    secrets: Vec<(String, SecretString)>,
    count: AtomicU64,
    manners: Mutex<Manners>,
}

/// What the site asks of us.
#[derive(Default)]
struct Manners {
    rules: Option<Arc<Robot>>,
    until: Option<Timestamp>,
    asked: Option<Instant>,
}

impl Asker {
    pub(super) fn new(board: Arc<Board>, tools: Toolbox, secrets: Vec<(String, SecretString)>) -> Self {
        Self { board, tools, secrets, count: AtomicU64::default(), manners: Mutex::default() }
    }

    /// What placeholders stand for in the next request.
    pub(super) fn vars(&self, board: &str) -> Vars<'_> {
        let mut vars = Vars { plain: Vec::new(), secrets: &self.secrets };
        vars.put("board", board.to_owned());
        sign::stamp(&mut vars, self.tools.clock.now(), self.count.fetch_add(1, Ordering::Relaxed));
        vars
    }

    /// Sends a request to the address that its path names, and says which one that was.
    ///
    /// # Errors
    /// As [`crate::http::Http::send`]; a configuration fault where the request leads to another host, cannot be signed, or
    /// is not wanted by the site's `robots.txt`.
    pub(super) async fn ask(&self, request: &Request, mut vars: Vars<'_>) -> Result<(Url, Answered), Fault> {
        self.sign(request, &mut vars)?;
        let url = request::address(&self.board.base, request, &vars)
            .ok_or_else(|| Fault::configuration("a request's path leads to another host than the base address"))?;
        let answered = self.send(url.clone(), request, &vars).await?;
        Ok((url, answered))
    }

    /// Sends a request to an address that was found on the board and is one of the board's own.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) async fn ask_at(&self, url: Url, request: &Request, mut vars: Vars<'_>) -> Result<Answered, Fault> {
        self.sign(request, &mut vars)?;
        self.send(url, request, &vars).await
    }

    fn sign(&self, request: &Request, vars: &mut Vars<'_>) -> Result<(), Fault> {
        let settings = &self.board.settings;
        match &settings.sign {
            Some(sign) => sign.put(&self.board.base, request, settings.headers.values(), vars),
            None => Ok(()),
        }
    }

    async fn send(&self, url: Url, request: &Request, vars: &Vars<'_>) -> Result<Answered, Fault> {
        self.mind(&url).await?;
        let builder = request::build(&self.tools.http, url, request, &self.board.settings.headers, vars)?;
        self.tools.http.send(builder).await
    }

    /// Whether the site wants to be asked, and when.
    async fn mind(&self, url: &Url) -> Result<(), Fault> {
        if self.board.settings.robots == Robots::Granted {
            return Ok(());
        }
        let mut manners = self.manners.lock().await;
        let now = self.tools.clock.now();
        if manners.until.is_none_or(|until| now >= until) {
            match self.rules().await {
                Ok(rules) => (manners.rules, manners.until) = (Some(rules), now.checked_add(ROBOTS_HOLDS).ok()),
                Err(fault) if manners.rules.is_none() => return Err(fault),
                Err(_) => manners.until = now.checked_add(ROBOTS_HOLDS_ON).ok(),
            }
        }
        let Some(rules) = manners.rules.clone() else { return Ok(()) };
        if !rules.allowed(url.as_str()) {
            return Err(Fault::configuration(
                "the site's robots.txt does not want this path to be asked for by programs",
            )
            .remedy("ask the board's operator for access; once it is granted, set robots = \"granted\""));
        }
        if let Some(delay) = rules.delay.filter(|delay| delay.is_finite() && *delay > 0.0) {
            let delay = Duration::try_from_secs_f32(delay).unwrap_or(MAX_DELAY).min(MAX_DELAY);
            if let Some(asked) = manners.asked {
                tokio::time::sleep_until(asked + delay).await;
            }
            manners.asked = Some(Instant::now());
        }
        Ok(())
    }

    async fn rules(&self) -> Result<Arc<Robot>, Fault> {
        let url =
            self.board.base.join("/robots.txt").map_err(|_| Fault::configuration("the base address has no root"))?;
        let answered = self.tools.http.send(self.tools.http.request(Method::GET, url)).await.map_err(of_robots)?;
        let status = answered.status.as_u16();
        let text = match status {
            200..=299 => answered.body.slice(..answered.body.len().min(ROBOTS_BYTES)),
            // A site that has none, or does not show it, asks for nothing (RFC 9309, section 2.3.1.3).
            300..=428 | 430..=499 => bytes::Bytes::new(),
            _ => return Err(answered.success().err().map_or_else(|| Fault::transient("unknown"), of_robots)),
        };
        // Its patterns are compiled: away from the threads that serve everything else.
        let read = tokio::task::spawn_blocking(move || Robot::new(AGENT, &text).map(Arc::new));
        match read.await {
            Ok(Ok(rules)) => Ok(rules),
            Ok(Err(_)) => Err(Fault::permanent("the site's robots.txt cannot be read")
                .remedy("look at it in a browser; with the operator's leave set robots = \"granted\"")),
            Err(_) => Err(Fault::transient("the reading of robots.txt was broken off")),
        }
    }
}

/// Where `robots.txt` cannot be had, everything is taken to be unwanted for now (RFC 9309, section 2.3.1.4).
fn of_robots(fault: Fault) -> Fault {
    Fault { message: format!("the site's robots.txt: {}", fault.message), ..fault }
}
