//! Definitions, switches, cursors, health and runs of the connectors. A change raises the generation, which the running
//! gateway notices; nothing else passes between the command line and the gateway.

use std::collections::BTreeMap;

use connectors::{complaint::Channel, contract::Cursor, entry::ConnectorName, fault::FaultClass};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    batch::Binding,
    error::failed,
    journal::{Act, write_down},
    row,
};

/// A connector as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredConnector {
    /// Name.
    pub name: ConnectorName,
    /// Where its citizens speak.
    pub channel: Channel,
    /// Name of its adapter.
    pub adapter: String,
    /// The whole definition, JSON.
    pub definition: String,
    /// Where its definition came from.
    pub origin: Origin,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Raised by every change that its task must notice.
    pub generation: i64,
    /// Where its source was left off.
    pub cursor: Option<Cursor>,
    /// Whether somebody asked for a run now.
    pub run_requested: bool,
}

/// Where a connector's definition came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File,
    /// The configuration file, which names it no more.
    Gone,
    /// The console: the file knows nothing of it, and does not switch it off.
    Console,
}

impl Origin {
    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Gone => "gone",
            Self::Console => "console",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::File, Self::Gone, Self::Console].into_iter().find(|origin| origin.as_str() == name)
    }
}

/// What a connector is doing, as its task reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Switched off.
    Disabled,
    /// Reading.
    Running,
    /// Up to date; waiting for its time or for news.
    Waiting,
    /// Failed; will try again by itself.
    Retrying,
    /// Failed in a way that a person must mend; tried again rarely.
    Failing,
}

impl HealthState {
    const ALL: [Self; 5] = [Self::Disabled, Self::Running, Self::Waiting, Self::Retrying, Self::Failing];

    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Failing => "failing",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// How a connector fares. Derived from what happened, not from what was intended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// What it is doing.
    pub state: HealthState,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When its source last answered well.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success_at: Option<Timestamp>,
    /// When it last brought something new.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_entry_at: Option<Timestamp>,
    /// Failures in a row.
    pub failures: i64,
    /// What went wrong last, in words.
    pub last_error: Option<String>,
    /// Its class.
    pub last_error_class: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_error_at: Option<Timestamp>,
    /// When it will be tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
}

impl Health {
    /// A connector of which nothing is known yet.
    pub fn unknown(now: Timestamp) -> Self {
        Self {
            state: HealthState::Waiting,
            since: now,
            last_success_at: None,
            last_entry_at: None,
            failures: 0,
            last_error: None,
            last_error_class: None,
            last_error_at: None,
            next_attempt_at: None,
        }
    }

    /// Notes a failure.
    pub fn failed(&mut self, class: FaultClass, message: String, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(message);
        self.last_error_class = Some(class.as_str().to_owned());
        self.last_error_at = Some(now);
    }

    /// Notes that the source answered well: what went wrong before is over.
    pub fn succeeded(&mut self, now: Timestamp) {
        self.failures = 0;
        self.last_success_at = Some(now);
        self.next_attempt_at = None;
    }

    /// Moves to a state.
    pub fn enter(&mut self, state: HealthState, now: Timestamp) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }
}

/// One run of a connector: from waking up to being up to date, or failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Run {
    /// Start.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// End.
    #[schema(value_type = String, format = DateTime)]
    pub finished_at: Timestamp,
    /// Pages committed.
    pub pages: i64,
    /// Entries stored.
    pub stored: i64,
    /// Items seen before.
    pub repeats: i64,
    /// Items quarantined.
    pub quarantined: i64,
    /// What ended it, where it failed.
    pub error: Option<String>,
}

const COLUMNS: &str =
    "SELECT name, channel, adapter, definition, origin, enabled, generation, cursor, run_requested FROM connector";

impl Store {
    /// Every connector, by name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn connectors(&self) -> Result<Vec<StoredConnector>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY name"));
        let rows = sqlx::query(sql).fetch_all(&self.read).await.map_err(failed("reading connectors"))?;
        rows.iter().map(stored).collect()
    }

    /// One connector.
    ///
    /// # Errors
    /// Where there is none of that name, or the database fails.
    pub async fn connector(&self, name: &ConnectorName) -> Result<StoredConnector, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = $1"));
        let row = sqlx::query(sql)
            .bind(name.as_str().to_owned())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a connector"))?;
        row.as_ref().map_or_else(|| Err(missing(name)), stored)
    }

    /// Writes a definition. A definition that says nothing new changes nothing; the switch follows `enabled` when the
    /// definition is new or its own switch was changed, otherwise it stays where an admin put it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn put_connector(
        &self,
        connector: &StoredConnector,
        switch_changed: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO connector (name, channel, adapter, definition, origin, enabled, generation, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)
             ON CONFLICT (name) DO UPDATE SET
                 channel = excluded.channel, adapter = excluded.adapter, definition = excluded.definition,
                 enabled = CASE WHEN $8 = 1 THEN excluded.enabled ELSE connector.enabled END,
                 origin = excluded.origin, generation = connector.generation + 1, updated_at = excluded.updated_at
             WHERE connector.definition <> excluded.definition OR connector.origin <> excluded.origin",
        )
        .bind(connector.name.as_str().to_owned())
        .bind(connector.channel.as_str())
        .bind(connector.adapter.clone())
        .bind(connector.definition.clone())
        .bind(connector.origin.as_str())
        .bind(i64::from(connector.enabled))
        .bind(row::micros(now))
        .bind(i64::from(switch_changed))
        .execute(&self.write)
        .await
        .map_err(failed("writing a connector"))?;
        Ok(())
    }

    /// Switches off a connector that the configuration file names no more. Its entries, its cursor and its name stay.
    ///
    /// # Errors
    /// Where there is none of that name, or the database fails.
    pub async fn retire_connector(&self, name: &ConnectorName, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE connector SET enabled = 0, paused_until = NULL, origin = $1, generation = generation + 1, updated_at = $2 WHERE name = $3",
        );
        self.change(query.bind(Origin::Gone.as_str()), name, act, now).await
    }

    /// Turns a connector on or off; the act is written down with it.
    ///
    /// # Errors
    /// Where there is none of that name, or the database fails.
    pub async fn switch_connector(
        &self,
        name: &ConnectorName,
        enabled: bool,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE connector SET enabled = $1, paused_until = NULL, generation = generation + 1, updated_at = $2
             WHERE name = $3",
        );
        self.change(query.bind(i64::from(enabled)), name, act, now).await
    }

    /// Sets the cursor, or forgets it; what was stored before stays and counts as seen. The act is written down with it.
    ///
    /// # Errors
    /// Where there is none of that name, or the database fails.
    pub async fn rewind_connector(
        &self,
        name: &ConnectorName,
        cursor: Option<&Cursor>,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE connector SET cursor = $1, generation = generation + 1, updated_at = $2 WHERE name = $3",
        );
        self.change(query.bind(cursor.map(|cursor| cursor.0.to_string())), name, act, now).await
    }

    /// Asks for a run now; the act is written down with it.
    ///
    /// # Errors
    /// Where there is none of that name, or the database fails.
    pub async fn request_run(&self, name: &ConnectorName, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE connector SET run_requested = $1, updated_at = $2 WHERE name = $3");
        self.change(query.bind(1_i64), name, act, now).await
    }

    /// Runs a statement whose last two values are the moment and the name.
    pub(super) async fn change(
        &self,
        query: Binding,
        name: &ConnectorName,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let changed = query
            .bind(row::micros(now))
            .bind(name.as_str().to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(failed("changing a connector"))?;
        if changed.rows_affected() != 1 {
            return Err(missing(name));
        }
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("changing a connector"))
    }

    /// Notes that a requested run has begun.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn run_begun(&self, name: &ConnectorName) -> Result<(), StoreError> {
        sqlx::query("UPDATE connector SET run_requested = 0 WHERE name = $1")
            .bind(name.as_str().to_owned())
            .execute(&self.write)
            .await
            .map_err(failed("noting a run"))?;
        Ok(())
    }

    /// Writes how a connector fares.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn put_health(&self, name: &ConnectorName, health: &Health) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO connector_health (connector, state, since, last_success_at, last_entry_at, failures, last_error,
                 last_error_class, last_error_at, next_attempt_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (connector) DO UPDATE SET
                 state = excluded.state, since = excluded.since, last_success_at = excluded.last_success_at,
                 last_entry_at = excluded.last_entry_at, failures = excluded.failures, last_error = excluded.last_error,
                 last_error_class = excluded.last_error_class, last_error_at = excluded.last_error_at,
                 next_attempt_at = excluded.next_attempt_at",
        )
        .bind(name.as_str().to_owned())
        .bind(health.state.as_str())
        .bind(row::micros(health.since))
        .bind(health.last_success_at.map(row::micros))
        .bind(health.last_entry_at.map(row::micros))
        .bind(health.failures)
        .bind(health.last_error.clone())
        .bind(health.last_error_class.clone())
        .bind(health.last_error_at.map(row::micros))
        .bind(health.next_attempt_at.map(row::micros))
        .execute(&self.write)
        .await
        .map_err(failed("writing a connector's health"))?;
        Ok(())
    }

    /// How a connector fares; `None` where it never ran.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn health(&self, name: &ConnectorName) -> Result<Option<Health>, StoreError> {
        let found = sqlx::query(
            "SELECT state, since, last_success_at, last_entry_at, failures, last_error, last_error_class, last_error_at,
                 next_attempt_at FROM connector_health WHERE connector = $1",
        )
        .bind(name.as_str().to_owned())
        .fetch_optional(&self.read)
        .await
        .map_err(failed("reading a connector's health"))?;
        found.as_ref().map(health).transpose()
    }

    /// How every connector fares that ever ran, by name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn healths(&self) -> Result<BTreeMap<String, Health>, StoreError> {
        let rows = sqlx::query(
            "SELECT connector, state, since, last_success_at, last_entry_at, failures, last_error, last_error_class,
                 last_error_at, next_attempt_at FROM connector_health",
        )
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading the connectors' health"))?;
        rows.iter().map(|found| Ok((row::get(found, "connector")?, health(found)?))).collect()
    }

    /// Notes a run, and forgets those before the last `keep`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn put_run(&self, name: &ConnectorName, run: &Run, keep: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO run (connector, started_at, finished_at, pages, stored, repeats, quarantined, error)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(name.as_str().to_owned())
        .bind(row::micros(run.started_at))
        .bind(row::micros(run.finished_at))
        .bind(run.pages)
        .bind(run.stored)
        .bind(run.repeats)
        .bind(run.quarantined)
        .bind(run.error.clone())
        .execute(&mut *transaction)
        .await
        .map_err(failed("noting a run"))?;
        sqlx::query(
            "DELETE FROM run WHERE connector = $1 AND id <=
                 (SELECT id FROM run WHERE connector = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
        )
        .bind(name.as_str().to_owned())
        .bind(keep)
        .execute(&mut *transaction)
        .await
        .map_err(failed("forgetting old runs"))?;
        transaction.commit().await.map_err(failed("noting a run"))
    }

    /// The last runs, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn runs(&self, name: &ConnectorName, limit: i64) -> Result<Vec<Run>, StoreError> {
        let rows = sqlx::query(
            "SELECT started_at, finished_at, pages, stored, repeats, quarantined, error FROM run
             WHERE connector = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(name.as_str().to_owned())
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading runs"))?;
        rows.iter()
            .map(|found| {
                Ok(Run {
                    started_at: row::moment(found, "started_at")?,
                    finished_at: row::moment(found, "finished_at")?,
                    pages: row::get(found, "pages")?,
                    stored: row::get(found, "stored")?,
                    repeats: row::get(found, "repeats")?,
                    quarantined: row::get(found, "quarantined")?,
                    error: row::get(found, "error")?,
                })
            })
            .collect()
    }
}

fn health(found: &AnyRow) -> Result<Health, StoreError> {
    Ok(Health {
        state: row::word(found, "connector_health", "state", HealthState::parse)?,
        since: row::moment(found, "since")?,
        last_success_at: row::maybe_moment(found, "last_success_at")?,
        last_entry_at: row::maybe_moment(found, "last_entry_at")?,
        failures: row::get(found, "failures")?,
        last_error: row::get(found, "last_error")?,
        last_error_class: row::get(found, "last_error_class")?,
        last_error_at: row::maybe_moment(found, "last_error_at")?,
        next_attempt_at: row::maybe_moment(found, "next_attempt_at")?,
    })
}

fn stored(found: &AnyRow) -> Result<StoredConnector, StoreError> {
    let cursor: Option<String> = row::get(found, "cursor")?;
    let cursor = cursor
        .map(|text| {
            serde_json::from_str(&text)
                .map(Cursor)
                .map_err(|_| StoreError::Unreadable { table: "connector", what: "cursor" })
        })
        .transpose()?;
    Ok(StoredConnector {
        name: row::word(found, "connector", "name", |name| name.parse().ok())?,
        channel: row::word(found, "connector", "channel", Channel::parse)?,
        adapter: row::get(found, "adapter")?,
        definition: row::get(found, "definition")?,
        origin: row::word(found, "connector", "origin", Origin::parse)?,
        enabled: row::get::<i64>(found, "enabled")? != 0,
        generation: row::get(found, "generation")?,
        cursor,
        run_requested: row::get::<i64>(found, "run_requested")? != 0,
    })
}

fn missing(name: &ConnectorName) -> StoreError {
    StoreError::Missing { what: "connector", name: name.to_string() }
}
