//! The one place where SQL lives. SQLite by default, PostgreSQL where one machine is outgrown; the same statements serve
//! both through sqlx's `Any` driver, so that the two cannot drift apart.
//!
//! | module | holds |
//! |---|---|
//! | [`fragments`] | pieces of items, until they are whole |
//! | [`intake`] | entries with their connector's cursor, in one transaction |
//! | [`issue`] | complaints, tickets, queue items and notices, in one transaction |
//! | [`connectors`] | definitions, switches, cursors, health, runs |
//! | [`leases`] | who reads which source and who runs which stage |
//! | [`alarms`] | what the operator must be told, and whom it was told |
//! | [`habits`] | how many entries each connector brings when |
//! | [`matching`], [`merges`], [`hotspots`] | signatures; tickets merged by hand; matters that many report |
//! | [`queue`] | leased, acknowledged delivery |
//! | [`notices`] | the outbox |
//! | [`accounts`], [`sessions`] | who may use the console and the API |
//! | [`tally`] | counts for the overview; pauses |
//! | [`journal`] | decisions by people, and the audit trail |
//! | [`reconcile`] | what sources hold beside what was stored |
//! | [`portal`] | query codes, and what citizens may learn by them |
//! | [`rules`] | published rules, and which are in force |
//! | [`read`], [`search`] | what the API, the command line and the console show; which entries |
//! | [`withheld`] | rulings that can still be taken back |
//! | [`desk`] | what stands around one entry or ticket; a ticket's kind changed by hand |

pub mod accounts;
pub mod alarms;
mod batch;
pub mod connectors;
mod defined;
pub mod desk;
mod error;
pub mod fragments;
pub mod habits;
pub mod hotspots;
pub mod intake;
pub mod issue;
pub mod journal;
pub mod leases;
pub mod matching;
pub mod merges;
mod migrate;
pub mod notices;
mod plan;
pub mod portal;
pub mod queue;
pub mod read;
pub mod reconcile;
mod row;
pub mod rules;
pub mod rulings;
pub mod search;
pub mod sessions;
pub mod tally;
pub mod withheld;

use std::{path::PathBuf, str::FromStr, time::Duration};

pub use error::StoreError;
use error::failed;
use sqlx::{
    AnyConnection, AnyPool, ConnectOptions, Connection as _,
    any::{AnyConnectOptions, AnyPoolOptions},
};

/// Which database is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Embedded, one file, WAL.
    Sqlite,
    /// A server.
    Postgres,
}

impl Dialect {
    /// Lets claimers pass by rows that another claimer holds; SQLite has one writer and needs none.
    fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE SKIP LOCKED",
        }
    }

    fn begin(self) -> &'static str {
        match self {
            // A transaction that starts by reading could otherwise fail to become a writer.
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }
}

/// How the database is reached.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// Connections that read; writing to SQLite has one of its own.
    pub connections: u32,
    /// How long to wait for a connection, or for another process that writes to the same file.
    pub patience: Duration,
}

impl StoreOptions {
    /// The database at `url`, with the usual bounds.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections: 4, patience: Duration::from_secs(30) }
    }
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    write: AnyPool,
    read: AnyPool,
    dialect: Dialect,
}

/// A transaction that writes.
type Write = sqlx::Transaction<'static, sqlx::Any>;

impl Store {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// Where it cannot be reached, or holds a schema of a later version.
    pub async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (dialect, url) = locate(&options.url)?;
        let write_connections = match dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => options.connections.max(2),
        };
        let write = pool(dialect, &url, write_connections, options.patience).await?;
        let read = match dialect {
            Dialect::Sqlite => pool(dialect, &url, options.connections.max(1), options.patience).await?,
            Dialect::Postgres => write.clone(),
        };
        migrate::run(&write, dialect).await?;
        Ok(Self { write, read, dialect })
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").fetch_one(&self.read).await.map_err(failed("asking whether the database answers"))?;
        Ok(())
    }

    /// Closes every connection; what runs is finished first.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    async fn begin(&self) -> Result<Write, StoreError> {
        self.write.begin_with(self.dialect.begin()).await.map_err(failed("opening a transaction"))
    }
}

fn locate(url: &str) -> Result<(Dialect, String), StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((Dialect::Postgres, url.to_owned()));
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err(StoreError::Location {
            message: "a database is \"sqlite:PATH\" or \"postgres://USER@HOST/NAME\"".to_owned(),
        });
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return Err(StoreError::Location {
            message: "a database in memory would lose what it holds; name a file".into(),
        });
    }
    let path = PathBuf::from(path);
    let absolute = std::path::absolute(&path).map_err(|error| StoreError::Location { message: error.to_string() })?;
    if let Some(folder) = absolute.parent() {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::Location {
            message: format!("the folder {} cannot be made: {error}", folder.display()),
        })?;
    }
    Ok((Dialect::Sqlite, format!("sqlite://{}?mode=rwc", absolute.display())))
}

async fn pool(dialect: Dialect, url: &str, connections: u32, patience: Duration) -> Result<AnyPool, StoreError> {
    let options = AnyConnectOptions::from_str(url)
        .map_err(failed("reading the database's address"))?
        // Statements are logged by nobody: slow ones are seen in metrics.
        .disable_statement_logging();
    let busy_timeout = format!("PRAGMA busy_timeout = {}", patience.as_millis());
    let busy = busy_timeout.clone();
    let opened = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .max_lifetime(None)
        .idle_timeout(None)
        // SQLite undoes a transaction by itself where the disk is full or fails; sqlx then believes it open for ever.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .after_connect(move |connection, _| {
            let busy = busy.clone();
            Box::pin(async move { set_up(connection, dialect, busy).await })
        })
        .connect_with(options.clone())
        .await;
    if let Err(sqlx::Error::PoolTimedOut) = opened {
        // The pool keeps to itself why it tried in vain.
        let mut connection = options.connect().await.map_err(failed("opening the database"))?;
        set_up(&mut connection, dialect, busy_timeout).await.map_err(failed("opening the database"))?;
    }
    opened.map_err(failed("opening the database"))
}

async fn set_up(connection: &mut AnyConnection, dialect: Dialect, busy: String) -> Result<(), sqlx::Error> {
    if dialect == Dialect::Sqlite {
        sqlx::query(sqlx::AssertSqlSafe(busy)).execute(&mut *connection).await?;
        for pragma in SQLITE_PRAGMAS {
            sqlx::query(*pragma).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// `synchronous = FULL`: what is acknowledged is on disk (design promise 1).
const SQLITE_PRAGMAS: &[&str] = &[
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8000",
    "PRAGMA wal_autocheckpoint = 4000",
];
