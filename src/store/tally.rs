//! What came in and where it is, by day and connector, for the console's overview. The schema notes every change of place
//! with the change itself (`tally_change`); here the notes are added up, and read. So the overview never counts entries, and
//! still agrees with them: what is not yet added up is read along.

use connectors::{complaint::Stamp, entry::ConnectorName};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{Store, StoreError, error::failed, row};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Received.
    Received,
    /// Opened a ticket.
    Ticket,
    /// Joined a ticket.
    Merged,
    /// 引导.
    Guided,
    /// 不予受理.
    Declined,
    /// 待人工.
    Held,
    /// 隔离.
    Quarantined,
}

impl Outcome {
    /// Where an entry can end.
    pub const PLACES: [Self; 6] =
        [Self::Ticket, Self::Merged, Self::Guided, Self::Declined, Self::Held, Self::Quarantined];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Ticket => "ticket",
            Self::Merged => "merged",
            Self::Guided => "guided",
            Self::Declined => "declined",
            Self::Held => "held",
            Self::Quarantined => "quarantined",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Received].into_iter().chain(Self::PLACES).find(|outcome| outcome.as_str() == name)
    }
}

/// A count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Day of receipt in Asia/Shanghai, counted from 1970; 0 for all days together.
    pub day: i64,
    /// The connector.
    pub connector: String,
    /// What is counted.
    pub outcome: Outcome,
    /// How many.
    pub amount: i64,
}

/// Counts of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By day, connector and outcome.
    pub counts: Vec<Count>,
    /// Entries that wait to be issued for the first time.
    pub waiting: i64,
}

/// How long one entry took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Its connector.
    pub connector: String,
    /// When it was made, where the source says so to the minute or better.
    pub made_at: Option<Timestamp>,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was issued.
    pub issued_at: Timestamp,
}

/// The day in Asia/Shanghai, which has had no other offset since 1991, counted from 1970.
pub fn day_of(at: Timestamp) -> i64 {
    const OFFSET: i64 = 8 * 3600;
    (at.as_second() + OFFSET).div_euclid(86_400)
}

/// Notes added up in one transaction.
const BATCH: i64 = 5000;
/// Name of what waits, beside the outcomes.
const WAITING: &str = "waiting";

impl Store {
    /// Adds up what was noted, and returns how much that was.
    ///
    /// # Errors
    /// Where the database fails; nothing is lost by it.
    pub async fn add_up(&self) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let sql = format!(
            "DELETE FROM tally_change WHERE id IN (SELECT id FROM tally_change ORDER BY id LIMIT $1 {})
             RETURNING day, connector, outcome, amount",
            self.dialect.skip_locked()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(BATCH)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed("taking counts"))?;
        let mut sums: std::collections::BTreeMap<(i64, String, String), i64> = std::collections::BTreeMap::new();
        for found in &rows {
            let (day, amount): (i64, i64) = (row::get(found, "day")?, row::get(found, "amount")?);
            let (connector, outcome): (String, String) = (row::get(found, "connector")?, row::get(found, "outcome")?);
            for day in [0, day] {
                *sums.entry((day, connector.clone(), outcome.clone())).or_default() += amount;
            }
        }
        // In one order everywhere, so that two gateways cannot wait for each other.
        for ((day, connector, outcome), amount) in sums {
            sqlx::query(
                "INSERT INTO tally (day, connector, outcome, amount) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (day, connector, outcome) DO UPDATE SET amount = tally.amount + excluded.amount",
            )
            .bind(day)
            .bind(connector)
            .bind(outcome)
            .bind(amount)
            .execute(&mut *transaction)
            .await
            .map_err(failed("adding up counts"))?;
        }
        transaction.commit().await.map_err(failed("adding up counts"))?;
        Ok(rows.len() as u64)
    }

    /// The counts of all days together, and of each day from `since` on; all of one moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn counts(&self, since: i64) -> Result<Counts, StoreError> {
        // What was issued before and waits again is in its place meanwhile.
        let sql = format!(
            "SELECT day, connector, outcome, CAST(SUM(amount) AS BIGINT) AS amount FROM (
                 SELECT day, connector, outcome, amount FROM tally WHERE day = 0 OR day >= $1
                 UNION ALL SELECT day, connector, outcome, amount FROM tally_change WHERE day >= $1
                 UNION ALL SELECT 0, connector, outcome, amount FROM tally_change) noted
             GROUP BY day, connector, outcome
             UNION ALL SELECT 0, '', '{WAITING}', COUNT(*) FROM pending WHERE again = 0
             UNION ALL SELECT 0, '', '{WAITING}', COUNT(*) FROM pending WHERE again > 0
                 AND NOT EXISTS (SELECT 1 FROM complaint WHERE complaint.entry_id = pending.entry_id)
                 AND NOT EXISTS (SELECT 1 FROM quarantine WHERE quarantine.entry_id = pending.entry_id)"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(since)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading counts"))?;
        let mut counts = Counts::default();
        for found in &rows {
            let outcome: String = row::get(found, "outcome")?;
            let amount = row::get(found, "amount")?;
            if outcome == WAITING {
                counts.waiting += amount;
                continue;
            }
            let outcome = Outcome::parse(&outcome).ok_or(StoreError::Unreadable { table: "tally", what: "outcome" })?;
            counts.counts.push(Count {
                day: row::get(found, "day")?,
                connector: row::get(found, "connector")?,
                outcome,
                amount,
            });
        }
        Ok(counts)
    }

    /// How long the last entries took, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn passages(&self, last: i64) -> Result<Vec<Passage>, StoreError> {
        let rows = sqlx::query(
            "SELECT entry.connector, entry.source_time, entry.received_at, complaint.issued_at
             FROM complaint JOIN entry ON entry.id = complaint.entry_id ORDER BY complaint.entry_id DESC LIMIT $1",
        )
        .bind(last)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading how long entries took"))?;
        rows.iter()
            .map(|found| {
                let made: Option<String> = row::get(found, "source_time")?;
                let made: Option<Stamp> = made.and_then(|text| serde_json::from_str(&text).ok());
                Ok(Passage {
                    connector: row::get(found, "connector")?,
                    made_at: made
                        .filter(|stamp| stamp.precision != connectors::complaint::Precision::Day)
                        .map(|stamp| stamp.at),
                    received_at: row::moment(found, "received_at")?,
                    issued_at: row::moment(found, "issued_at")?,
                })
            })
            .collect()
    }

    /// When the entry that waits longest was received.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn waiting_since(&self) -> Result<Option<Timestamp>, StoreError> {
        let found = sqlx::query(
            "SELECT entry.received_at FROM pending JOIN entry ON entry.id = pending.entry_id WHERE pending.again = 0
             ORDER BY pending.entry_id LIMIT 1",
        )
        .fetch_optional(&self.read)
        .await
        .map_err(failed("looking for what waits longest"))?;
        found.map(|found| row::moment(&found, "received_at")).transpose()
    }

    /// How many notices a person must still tell by telephone, counted up to `most`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn untold(&self, most: i64) -> Result<i64, StoreError> {
        let found = sqlx::query(
            "SELECT COUNT(*) AS untold FROM (SELECT id FROM notice WHERE state = 'unroutable' LIMIT $1) untold",
        )
        .bind(most)
        .fetch_one(&self.read)
        .await
        .map_err(failed("counting notices"))?;
        row::get(&found, "untold")
    }

    /// Switches a connector off until a moment; the act is written down with it.
    ///
    /// # Errors
    /// Where there is none of that name, or the database fails.
    pub async fn pause_connector(
        &self,
        name: &ConnectorName,
        until: Timestamp,
        act: super::journal::Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE connector SET enabled = 0, paused_until = $1, generation = generation + 1, updated_at = $2
             WHERE name = $3",
        );
        self.change(query.bind(row::micros(until)), name, act, now).await
    }

    /// Until when connectors are paused.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn pauses(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows =
            sqlx::query("SELECT name, paused_until FROM connector WHERE paused_until IS NOT NULL AND enabled = 0")
                .fetch_all(&self.read)
                .await
                .map_err(failed("reading pauses"))?;
        rows.iter().map(|found| Ok((row::get(found, "name")?, row::moment(found, "paused_until")?))).collect()
    }

    /// Switches connectors on again whose pause has ended, and returns how many. That a pause ends was written down when it
    /// began.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn end_pauses(&self, now: Timestamp) -> Result<u64, StoreError> {
        let due = sqlx::query("SELECT name FROM connector WHERE paused_until <= $1 LIMIT 1")
            .bind(row::micros(now))
            .fetch_optional(&self.read)
            .await
            .map_err(failed("looking for pauses that ended"))?;
        if due.is_none() {
            return Ok(0);
        }
        let ended = sqlx::query(
            "UPDATE connector SET enabled = CASE WHEN origin = 'gone' THEN 0 ELSE 1 END, paused_until = NULL,
                 generation = generation + 1, updated_at = $1 WHERE paused_until <= $1 AND enabled = 0",
        )
        .bind(row::micros(now))
        .execute(&self.write)
        .await
        .map_err(failed("ending pauses"))?;
        Ok(ended.rows_affected())
    }
}
