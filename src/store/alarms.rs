//! Alarms: one open row for one thing, whoever notices it and however often; and to whom each was told.

use connectors::entry::ConnectorName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Store, StoreError, Write,
    error::failed,
    journal::{Act, write_down},
    row,
};
use crate::{
    alarms::{AlarmKind, NewAlarm},
    ids::AlarmId,
};

/// An alarm as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alarm {
    /// Its id.
    pub id: AlarmId,
    /// What it is about.
    pub kind: AlarmKind,
    /// What it concerns: a connector, an entry, a stage; empty for the gateway as a whole.
    pub subject: String,
    /// The connector, where there is one.
    #[schema(value_type = Option<String>)]
    pub connector: Option<ConnectorName>,
    /// When it was raised.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When its cause was last seen.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// How often its cause was seen.
    pub times: i64,
    /// What happened and what to do, in Chinese.
    pub message_zh: String,
    /// The same in English.
    pub message: String,
    /// Who has seen it.
    pub acknowledged_by: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Timestamp>,
    /// When it was over; nothing while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cleared_at: Option<Timestamp>,
}

/// What is told of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmEvent {
    /// It was raised.
    Raised,
    /// It is over.
    Cleared,
}

impl AlarmEvent {
    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Cleared => "cleared",
        }
    }
}

/// An alarm that a target has still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The alarm.
    pub alarm: Alarm,
    /// What is to be told of it.
    pub event: AlarmEvent,
    /// Attempts made so far.
    pub attempts: i64,
}

/// What came of telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was told.
    Done,
    /// Not yet.
    Later {
        /// When to try again.
        at: Timestamp,
        /// Why not now.
        reason: String,
    },
    /// It is not tried again.
    GivenUp {
        /// Why.
        reason: String,
    },
}

const COLUMNS: &str = "id, kind, subject, connector, since, last_seen_at, times, message_zh, message_en, acknowledged_by, \
                       acknowledged_at, cleared_at";

/// Raises an alarm within the caller's transaction, so that it is there exactly if what it tells of is. Whether it is new:
/// one that is open already counts once more, and its words change.
pub(super) async fn raise(transaction: &mut Write, alarm: &NewAlarm, now: Timestamp) -> Result<bool, StoreError> {
    let found = sqlx::query(
        "INSERT INTO alarm (kind, subject, connector, since, last_seen_at, times, message_zh, message_en)
         VALUES ($1, $2, $3, $4, $4, 1, $5, $6)
         ON CONFLICT (kind, subject) WHERE cleared_at IS NULL DO UPDATE SET
             last_seen_at = excluded.last_seen_at, times = alarm.times + 1,
             message_zh = excluded.message_zh, message_en = excluded.message_en
         RETURNING times",
    )
    .bind(alarm.kind.as_str())
    .bind(alarm.subject.clone())
    .bind(alarm.connector.as_ref().map(ToString::to_string))
    .bind(row::micros(now))
    .bind(alarm.chinese.clone())
    .bind(alarm.english.clone())
    .fetch_one(&mut **transaction)
    .await
    .map_err(failed("raising an alarm"))?;
    Ok(row::get::<i64>(&found, "times")? == 1)
}

impl Store {
    /// Raises an alarm; whether it is new.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn raise_alarm(&self, alarm: &NewAlarm, now: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let new = raise(&mut transaction, alarm, now).await?;
        transaction.commit().await.map_err(failed("raising an alarm"))?;
        Ok(new)
    }

    /// Ends the open alarm of a kind about a subject; whether there was one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn clear_alarm(&self, kind: AlarmKind, subject: &str, now: Timestamp) -> Result<bool, StoreError> {
        let query =
            sqlx::query("UPDATE alarm SET cleared_at = $1 WHERE kind = $2 AND subject = $3 AND cleared_at IS NULL");
        let cleared = query
            .bind(row::micros(now))
            .bind(kind.as_str())
            .bind(subject.to_owned())
            .execute(&self.write)
            .await
            .map_err(failed("clearing an alarm"))?;
        Ok(cleared.rows_affected() > 0)
    }

    /// Alarms, newest first: the open ones, or all of them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn alarms(&self, open: bool, before: Option<AlarmId>, limit: i64) -> Result<Vec<Alarm>, StoreError> {
        let open = if open { "AND cleared_at IS NULL" } else { "" };
        let sql = format!("SELECT {COLUMNS} FROM alarm WHERE id < $1 {open} ORDER BY id DESC LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(before.map_or(i64::MAX, |before| before.0))
            .bind(limit)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading alarms"))?;
        rows.iter().map(alarm).collect()
    }

    /// How many alarms of each kind are open.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn open_alarms(&self) -> Result<Vec<(AlarmKind, i64)>, StoreError> {
        let rows = sqlx::query("SELECT kind, COUNT(*) AS count FROM alarm WHERE cleared_at IS NULL GROUP BY kind")
            .fetch_all(&self.read)
            .await
            .map_err(failed("counting alarms"))?;
        let counted = rows
            .iter()
            .map(|found| Ok((row::word(found, "alarm", "kind", AlarmKind::parse)?, row::get(found, "count")?)))
            .collect::<Result<Vec<(AlarmKind, i64)>, StoreError>>()?;
        let count = |kind| counted.iter().find(|(known, _)| *known == kind).map_or(0, |(_, count)| *count);
        Ok(AlarmKind::ALL.into_iter().map(|kind| (kind, count(kind))).collect())
    }

    /// Notes that somebody has seen an alarm; one that tells of something that has happened is over by it. The act is
    /// written down with it.
    ///
    /// # Errors
    /// Where there is no such alarm, or the database fails.
    pub async fn acknowledge_alarm(&self, id: AlarmId, act: Act<'_>, now: Timestamp) -> Result<Alarm, StoreError> {
        let mut transaction = self.begin().await?;
        let events: Vec<String> = AlarmKind::ALL
            .into_iter()
            .filter(|kind| kind.is_event())
            .map(|kind| format!("'{}'", kind.as_str()))
            .collect();
        let sql = format!(
            "UPDATE alarm SET
                 acknowledged_by = COALESCE(acknowledged_by, $1), acknowledged_at = COALESCE(acknowledged_at, $2),
                 cleared_at = CASE WHEN kind IN ({}) THEN COALESCE(cleared_at, $2) ELSE cleared_at END
             WHERE id = $3 RETURNING {COLUMNS}",
            events.join(", ")
        );
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(act.actor.to_owned())
            .bind(row::micros(now))
            .bind(id.0)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("acknowledging an alarm"))?;
        let Some(found) = found else { return Err(StoreError::Missing { what: "alarm", name: id.to_string() }) };
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("acknowledging an alarm"))?;
        alarm(&found)
    }

    /// What a target has still to be told, oldest first: alarms that are open, and the end of those that it was told.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn untold_alarms(&self, target: &str, now: Timestamp, limit: i64) -> Result<Vec<Untold>, StoreError> {
        let mut untold = Vec::new();
        for (event, which) in [
            (AlarmEvent::Raised, "alarm.cleared_at IS NULL"),
            (
                AlarmEvent::Cleared,
                "alarm.cleared_at IS NOT NULL AND EXISTS (SELECT 1 FROM alarm_telling AS earlier
                     WHERE earlier.alarm_id = alarm.id AND earlier.event = 'raised' AND earlier.target = $2
                         AND earlier.told_at IS NOT NULL)",
            ),
        ] {
            let sql = format!(
                "SELECT {COLUMNS}, COALESCE(telling.attempts, 0) AS attempts FROM alarm
                 LEFT JOIN (SELECT alarm_id, attempts, next_attempt_at, told_at, given_up_at FROM alarm_telling
                            WHERE event = $1 AND target = $2) AS telling ON telling.alarm_id = alarm.id
                 WHERE {which} AND telling.told_at IS NULL AND telling.given_up_at IS NULL
                     AND COALESCE(telling.next_attempt_at, 0) <= $3
                 ORDER BY id LIMIT $4"
            );
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(event.as_str())
                .bind(target.to_owned())
                .bind(row::micros(now))
                .bind(limit)
                .fetch_all(&self.read)
                .await
                .map_err(failed("reading alarms that were not told"))?;
            for found in &rows {
                untold.push(Untold { alarm: alarm(found)?, event, attempts: row::get(found, "attempts")? });
            }
        }
        Ok(untold)
    }

    /// Writes down what came of telling a target.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn alarm_told(
        &self,
        untold: &Untold,
        target: &str,
        told: &Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (told_at, given_up_at, next, reason) = match told {
            Told::Done => (Some(now), None, now, None),
            Told::Later { at, reason } => (None, None, *at, Some(reason)),
            Told::GivenUp { reason } => (None, Some(now), now, Some(reason)),
        };
        sqlx::query(
            "INSERT INTO alarm_telling (alarm_id, event, target, attempts, next_attempt_at, told_at, given_up_at, reason)
             VALUES ($1, $2, $3, 1, $4, $5, $6, $7)
             ON CONFLICT (alarm_id, event, target) DO UPDATE SET
                 attempts = alarm_telling.attempts + 1, next_attempt_at = excluded.next_attempt_at,
                 told_at = excluded.told_at, given_up_at = excluded.given_up_at, reason = excluded.reason",
        )
        .bind(untold.alarm.id.0)
        .bind(untold.event.as_str())
        .bind(target.to_owned())
        .bind(row::micros(next))
        .bind(told_at.map(row::micros))
        .bind(given_up_at.map(row::micros))
        .bind(reason.cloned())
        .execute(&self.write)
        .await
        .map_err(failed("noting who was told of an alarm"))?;
        Ok(())
    }
}

fn alarm(found: &AnyRow) -> Result<Alarm, StoreError> {
    let connector: Option<String> = row::get(found, "connector")?;
    Ok(Alarm {
        id: AlarmId(row::get(found, "id")?),
        kind: row::word(found, "alarm", "kind", AlarmKind::parse)?,
        subject: row::get(found, "subject")?,
        connector: connector
            .map(|name| name.parse().map_err(|_| StoreError::Unreadable { table: "alarm", what: "connector" }))
            .transpose()?,
        since: row::moment(found, "since")?,
        last_seen_at: row::moment(found, "last_seen_at")?,
        times: row::get(found, "times")?,
        message_zh: row::get(found, "message_zh")?,
        message: row::get(found, "message_en")?,
        acknowledged_by: row::get(found, "acknowledged_by")?,
        acknowledged_at: row::maybe_moment(found, "acknowledged_at")?,
        cleared_at: row::maybe_moment(found, "cleared_at")?,
    })
}
