//! `jiesu demo`: the whole gateway at work on one machine, with nothing outside. Small sources run inside the program (a
//! message board, partners that push, people who drop mails and letters); what they play is part of the program; the
//! gateway that takes it in is the real one. The sources also misbehave as real ones do, and serve the tests too.
//!
//! | module | holds |
//! |---|---|
//! | [`corpus`] | what is played, and where each item must end |
//! | [`board`], [`call_center`], [`mail_drop`] | the sources |
//! | [`configuration`] | the configuration, as an admin would write it |
//! | [`verify`] | where entries ended beside where they must end |
//! | [`account`] | what the terminal shows |

pub mod account;
pub mod board;
pub mod call_center;
pub mod configuration;
pub mod corpus;
pub mod mail_drop;
pub mod verify;

mod stage;
#[cfg(test)]
mod tests;

use std::{io::Write, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use connectors::{clock::Clock, fault::Fault};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::ConfigErrors,
    gateway::GatewayError,
    seal::KeyError,
    store::{StoreError, read::Accounting},
    supervisor::Random,
};

/// The port that is taken where it is free.
pub const USUAL_PORT: u16 = 8080;

/// How long the demonstration goes on after everything has been played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Not at all.
    Once,
    /// So long after its start.
    For(Duration),
    /// Until it is stopped.
    UntilStopped,
}

/// How the demonstration is played.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder, which is kept; without one a temporary folder is made and removed.
    pub folder: Option<PathBuf>,
    /// Between two items of one source.
    pub interval: Duration,
    /// How long it goes on.
    pub stay: Stay,
    /// How long entries may take to land after the last item was played.
    pub patience: Duration,
    /// Whether the usual port is tried; otherwise any free one is taken.
    pub usual_port: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: None,
            interval: Duration::from_millis(400),
            stay: Stay::UntilStopped,
            patience: Duration::from_mins(1),
            usual_port: true,
        }
    }
}

/// The outside world of the demonstration.
#[derive(Clone)]
pub struct Outside {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers for the gateway.
    pub random: Random,
    /// Makes ids that nobody can guess: for secrets and the folder's name.
    pub unique: fn() -> Uuid,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Outside").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// What the demonstration came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The sum check.
    pub sums: Accounting,
    /// Everything that was not as expected, in words; empty where all was.
    pub wrong: Vec<String>,
    /// Whether all of it was played and landed, and not stopped before.
    pub whole: bool,
}

impl Outcome {
    /// Whether the demonstration did what it should: the program's exit code.
    pub fn met(&self) -> bool {
        self.whole && self.wrong.is_empty() && self.sums.balances()
    }
}

/// Why the demonstration cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file or folder of its own cannot be used.
    #[error("the demonstration cannot use {path}: {source}; name another folder with --folder")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Its board cannot be served.
    #[error("the demonstration's board cannot be served on {address}: {source}")]
    Board {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The terminal cannot be written to.
    #[error("the terminal cannot be written to: {0}")]
    Terminal(#[source] std::io::Error),
    /// A fixture cannot be read.
    #[error(transparent)]
    Corpus(#[from] corpus::CorpusError),
    /// No keys can be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Its own configuration has mistakes.
    #[error("the demonstration's configuration: {0}")]
    Config(#[from] ConfigErrors),
    /// The gateway does not start.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sources have no way out, or an address is none.
    #[error(transparent)]
    Outside(#[from] Fault),
}

/// Plays the demonstration, telling it live on `out`, until everything is played, its time is over, or it is cancelled.
///
/// # Errors
/// It cannot be set up, or its gateway's database fails.
pub async fn play(
    options: &Options,
    outside: &Outside,
    out: &mut (dyn Write + Send),
    cancel: &CancellationToken,
) -> Result<Outcome, DemoError> {
    let stage = stage::Stage::set(options, outside)?;
    let played = stage.play(options, outside, out, cancel).await;
    stage.clear();
    played
}

/// Waits; `false` where it was cancelled before.
async fn pause(time: Duration, cancel: &CancellationToken) -> bool {
    cancel.run_until_cancelled(tokio::time::sleep(time)).await.is_some()
}
