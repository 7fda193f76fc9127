//! What sources hold beside what was stored: what is asked for, and what came of it.

use std::collections::BTreeMap;

use connectors::{entry::ConnectorName, holdings::Period};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Store, StoreError, Write,
    error::failed,
    journal::{Act, write_down},
    row,
};
use crate::reconcile::Outcome;

/// Where a comparison stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconciliationState {
    /// It waits, or runs.
    Asked,
    /// Compared.
    Done,
    /// The source cannot tell what it holds.
    Untold,
    /// The source could not be asked.
    Failed,
}

impl ReconciliationState {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "asked" => Some(Self::Asked),
            "done" => Some(Self::Done),
            "untold" => Some(Self::Untold),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// A comparison of what a source holds with what was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reconciliation {
    /// Its id.
    pub id: i64,
    /// The connector.
    #[schema(value_type = String)]
    pub connector: ConnectorName,
    /// The first moment of the period, by the source's time.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first moment after it.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Who asked: a person, or `schedule`.
    pub asked_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    /// Where it stands.
    pub state: ReconciliationState,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// Why the source could not be asked.
    pub error: Option<String>,
}

const COLUMNS: &str = "id, connector, period_from, period_to, asked_by, asked_at, state, finished_at, outcome, error";
/// Ids looked up in one statement.
const LIST: usize = 200;
/// Comparisons of a connector that are remembered.
const KEPT: i64 = 100;

impl Store {
    /// Asks for a comparison; the act is written down with it. One that waits already is the answer.
    ///
    /// # Errors
    /// Where there is no such connector, or the database fails.
    pub async fn ask_reconciliation(
        &self,
        name: &ConnectorName,
        period: Period,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<Reconciliation, StoreError> {
        self.connector(name).await?;
        let mut transaction = self.begin().await?;
        ask(&mut transaction, name, period, act.actor, now).await?;
        let sql = format!("SELECT {COLUMNS} FROM reconciliation WHERE connector = $1 AND state = 'asked'");
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(name.as_str().to_owned())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("asking for a comparison"))?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("asking for a comparison"))?;
        reconciliation(&found)
    }

    /// Asks for a comparison of each of these connectors, once for a day.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn schedule_reconciliations(
        &self,
        day: i64,
        names: &[ConnectorName],
        period: Period,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let doing = "scheduling comparisons";
        let mut transaction = self.begin().await?;
        let new = sqlx::query(
            "INSERT INTO counter (name, value) VALUES ('reconcile', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE counter.value < excluded.value
             RETURNING value",
        )
        .bind(day)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        if new.is_some() {
            for name in names {
                ask(&mut transaction, name, period, "schedule", now).await?;
            }
        }
        transaction.commit().await.map_err(failed(doing))
    }

    /// The comparison that waits longest.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn next_reconciliation(&self) -> Result<Option<Reconciliation>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM reconciliation WHERE state = 'asked' ORDER BY id LIMIT 1");
        let found = sqlx::query(AssertSqlSafe(sql))
            .fetch_optional(&self.read)
            .await
            .map_err(failed("looking for a comparison"))?;
        found.as_ref().map(reconciliation).transpose()
    }

    /// Notes that a comparison begins; how often it has.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn begin_reconciliation(&self, id: i64) -> Result<i64, StoreError> {
        let found = sqlx::query("UPDATE reconciliation SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts")
            .bind(id)
            .fetch_one(&self.write)
            .await
            .map_err(failed("beginning a comparison"))?;
        row::get(&found, "attempts")
    }

    /// Writes down what came of a comparison, and forgets those before the last 100.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn end_reconciliation(
        &self,
        id: i64,
        state: &'static str,
        outcome: Option<&Outcome>,
        error: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let doing = "noting a comparison";
        let text = outcome
            .map(serde_json::to_string)
            .transpose()
            .map_err(|_| StoreError::Unreadable { table: "reconciliation", what: "outcome" })?;
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE reconciliation SET state = $1, finished_at = $2, outcome = $3, error = $4 WHERE id = $5")
            .bind(state)
            .bind(row::micros(now))
            .bind(text)
            .bind(error)
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        sqlx::query(
            "DELETE FROM reconciliation WHERE connector = (SELECT connector FROM reconciliation WHERE id = $1) AND id <=
                 (SELECT id FROM reconciliation WHERE connector = (SELECT connector FROM reconciliation WHERE id = $1)
                  ORDER BY id DESC LIMIT 1 OFFSET $2)",
        )
        .bind(id)
        .bind(KEPT)
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))
    }

    /// The last comparisons of a connector, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn reconciliations(&self, name: &ConnectorName, limit: i64) -> Result<Vec<Reconciliation>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM reconciliation WHERE connector = $1 ORDER BY id DESC LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(name.as_str().to_owned())
            .bind(limit)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading comparisons"))?;
        rows.iter().map(reconciliation).collect()
    }

    /// Which of these ids a connector has brought, each with whether all that is known of it is in quarantine.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn stored_ids(&self, name: &ConnectorName, ids: &[&str]) -> Result<BTreeMap<String, bool>, StoreError> {
        let mut known = BTreeMap::new();
        for ids in ids.chunks(LIST) {
            let places: Vec<String> = (0..ids.len()).map(|index| format!("${}", index + 2)).collect();
            let sql = format!(
                "SELECT external_id, MIN(CASE WHEN quarantine.entry_id IS NULL THEN 0 ELSE 1 END) AS quarantined
                 FROM entry LEFT JOIN quarantine ON quarantine.entry_id = entry.id
                 WHERE connector = $1 AND external_id IN ({}) GROUP BY external_id",
                places.join(", ")
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(name.as_str().to_owned());
            let query = ids.iter().fold(query, |query, id| query.bind((*id).to_owned()));
            for found in query.fetch_all(&self.read).await.map_err(failed("looking for what a source holds"))? {
                let quarantined: i64 = row::get(&found, "quarantined")?;
                known.insert(row::get(&found, "external_id")?, quarantined != 0);
            }
            // Pieces whose item is not whole yet, or makes no entry by the connector's settings, are stored as well.
            let sql =
                format!("SELECT DISTINCT item FROM fragment WHERE connector = $1 AND item IN ({})", places.join(", "));
            let query = sqlx::query(AssertSqlSafe(sql)).bind(name.as_str().to_owned());
            let query = ids.iter().fold(query, |query, id| query.bind((*id).to_owned()));
            for found in query.fetch_all(&self.read).await.map_err(failed("looking for what a source holds"))? {
                known.entry(row::get(&found, "item")?).or_insert(false);
            }
        }
        Ok(known)
    }
}

async fn ask(
    transaction: &mut Write,
    name: &ConnectorName,
    period: Period,
    asked_by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO reconciliation (connector, period_from, period_to, asked_by, asked_at, state)
         VALUES ($1, $2, $3, $4, $5, 'asked') ON CONFLICT (connector) WHERE state = 'asked' DO NOTHING",
    )
    .bind(name.as_str().to_owned())
    .bind(row::micros(period.from))
    .bind(row::micros(period.to))
    .bind(asked_by.to_owned())
    .bind(row::micros(now))
    .execute(&mut **transaction)
    .await
    .map_err(failed("asking for a comparison"))?;
    Ok(())
}

fn reconciliation(found: &AnyRow) -> Result<Reconciliation, StoreError> {
    let outcome: Option<String> = row::get(found, "outcome")?;
    Ok(Reconciliation {
        id: row::get(found, "id")?,
        connector: row::word(found, "reconciliation", "connector", |name| name.parse().ok())?,
        from: row::moment(found, "period_from")?,
        to: row::moment(found, "period_to")?,
        asked_by: row::get(found, "asked_by")?,
        asked_at: row::moment(found, "asked_at")?,
        state: row::word(found, "reconciliation", "state", ReconciliationState::parse)?,
        finished_at: row::maybe_moment(found, "finished_at")?,
        outcome: outcome
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| StoreError::Unreadable { table: "reconciliation", what: "outcome" })?,
        error: row::get(found, "error")?,
    })
}
