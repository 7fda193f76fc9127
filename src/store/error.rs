//! What can go wrong with the database, told with what was being done. Never holds a value of a row.

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database's address cannot be used.
    #[error("{message}")]
    Location {
        /// Why.
        message: String,
    },
    /// The database failed.
    #[error("{doing} failed: {source}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("the schema cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Another gateway took over what this one was doing; nothing was written.
    #[error("the lease on {lease} was lost to another gateway")]
    Fenced {
        /// Which lease.
        lease: String,
    },
    /// A row holds what this version cannot read.
    #[error("{table} holds a {what} that this version cannot read")]
    Unreadable {
        /// Table.
        table: &'static str,
        /// Column.
        what: &'static str,
    },
    /// What was named does not exist.
    #[error("there is no {what} {name}")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What was asked for does not fit the state of things.
    #[error("{0}")]
    Conflict(String),
}

impl StoreError {
    /// Whether trying again may help: the connection broke, the database was busy or restarting.
    pub fn passing(&self) -> bool {
        match self {
            Self::Failed { source, .. } => match source {
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::BeginFailed
                | sqlx::Error::InvalidSavePointStatement => true,
                sqlx::Error::Database(error) => error.code().is_some_and(|code| passing_code(&code)),
                _ => false,
            },
            _ => false,
        }
    }
}

/// What lies with the machine and not with what was to be written. SQLite: busy 5, locked 6, no memory 7, read only 8, I/O
/// error 10, full 13, cannot be opened 14, locking protocol 15. PostgreSQL: classes 08 connection, 25 a server that only
/// reads now, 40 rollback, 53 resources, 57 shutdown, 58 system.
fn passing_code(code: &str) -> bool {
    match code.len() {
        5 => ["08", "25", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class)),
        _ => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5..=8 | 10 | 13..=15)),
    }
}

/// Turns a database error into a [`StoreError`] that says what was being done.
pub(super) fn failed(doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Failed { doing, source }
}
