//! How many entries each connector brought in each hour, and since when it is watched: what a silence is judged by. Learned
//! from the entries in passing, so that taking them in pays nothing for it.

use std::{collections::BTreeMap, time::Duration};

use connectors::entry::ConnectorName;
use jiff::Timestamp;

use super::{Store, StoreError, error::failed, row};

/// Entries that are counted in one look.
const LOOK: i64 = 50_000;
/// The counter of the entries that were counted.
const COUNTED: &str = "habit";

impl Store {
    /// Counts the entries that came since the last time, and forgets what came before `forget`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn learn_habits(&self, now: Timestamp, forget: Timestamp) -> Result<(), StoreError> {
        let doing = "learning habits";
        let mut transaction = self.begin().await?;
        let counted = sqlx::query("UPDATE counter SET value = value WHERE name = $1 RETURNING value")
            .bind(COUNTED)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        let counted: i64 = row::get(&counted, "value")?;
        // What is younger than a minute may have an older neighbour that is not committed yet.
        let settled = now.checked_sub(Duration::from_mins(1)).unwrap_or(now);
        let newest = sqlx::query(
            "SELECT MAX(id) AS newest FROM (SELECT id FROM entry WHERE id > $1 AND received_at < $2 ORDER BY id LIMIT $3)
                 AS settled",
        )
        .bind(counted)
        .bind(row::micros(settled))
        .bind(LOOK)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        if let Some(newest) = row::get::<Option<i64>>(&newest, "newest")? {
            sqlx::query(
                "INSERT INTO habit_hour (connector, hour, entries)
                     SELECT connector, received_at / 3600000000, COUNT(*) FROM entry WHERE id > $1 AND id <= $2
                     GROUP BY connector, received_at / 3600000000
                 ON CONFLICT (connector, hour) DO UPDATE SET entries = habit_hour.entries + excluded.entries",
            )
            .bind(counted)
            .bind(newest)
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
            sqlx::query("UPDATE counter SET value = $1 WHERE name = $2")
                .bind(newest)
                .bind(COUNTED)
                .execute(&mut *transaction)
                .await
                .map_err(failed(doing))?;
        }
        sqlx::query("DELETE FROM habit_hour WHERE hour < $1")
            .bind(hour(forget))
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))
    }

    /// Entries by connector and hour since 1970; hours without any are left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn habits(&self) -> Result<BTreeMap<String, BTreeMap<i64, i64>>, StoreError> {
        let rows = sqlx::query("SELECT connector, hour, entries FROM habit_hour")
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading habits"))?;
        let mut habits: BTreeMap<String, BTreeMap<i64, i64>> = BTreeMap::new();
        for found in &rows {
            let hours = habits.entry(row::get(found, "connector")?).or_default();
            hours.insert(row::get(found, "hour")?, row::get(found, "entries")?);
        }
        Ok(habits)
    }

    /// Notes that these connectors are watched, and no other; since when each is watched without a break longer than
    /// `longest_break`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn watch_connectors(
        &self,
        names: &[ConnectorName],
        longest_break: Duration,
        now: Timestamp,
    ) -> Result<BTreeMap<ConnectorName, Timestamp>, StoreError> {
        let doing = "noting which connectors are watched";
        let mut transaction = self.begin().await?;
        let mut since = BTreeMap::new();
        for name in names {
            let found = sqlx::query(
                "INSERT INTO habit (connector, since, looked_at) VALUES ($1, $2, $2)
                 ON CONFLICT (connector) DO UPDATE SET
                     since = CASE WHEN habit.looked_at < $3 THEN excluded.since ELSE habit.since END,
                     looked_at = excluded.looked_at
                 RETURNING since",
            )
            .bind(name.as_str().to_owned())
            .bind(row::micros(now))
            .bind(row::micros(now.checked_sub(longest_break).unwrap_or(now)))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed(doing))?;
            since.insert(name.clone(), row::moment(&found, "since")?);
        }
        sqlx::query("DELETE FROM habit WHERE looked_at <> $1")
            .bind(row::micros(now))
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(since)
    }

    /// How long ago the leases of a stage ran out; nothing while one holds, or where it never ran.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lease_expired(&self, name: &str, now: Timestamp) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT expires_at FROM lease WHERE name = $1")
            .bind(name.to_owned())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("looking at a lease"))?;
        Ok(match found {
            Some(found) => row::get::<i64>(&found, "expires_at")? < row::micros(now),
            None => true,
        })
    }

    /// How many notices are unroutable now, and how many were when this was last asked.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn unroutable_notices(&self) -> Result<(i64, i64), StoreError> {
        let doing = "counting unroutable notices";
        let mut transaction = self.begin().await?;
        let found = sqlx::query("SELECT COUNT(*) AS count FROM notice WHERE state = 'unroutable'")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        let count: i64 = row::get(&found, "count")?;
        let before = sqlx::query("SELECT value FROM counter WHERE name = 'unroutable'")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        let before = before.map(|found| row::get::<i64>(&found, "value")).transpose()?.unwrap_or(0);
        if before != count {
            sqlx::query(
                "INSERT INTO counter (name, value) VALUES ('unroutable', $1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(count)
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        }
        transaction.commit().await.map_err(failed(doing))?;
        Ok((before, count))
    }
}

fn hour(moment: Timestamp) -> i64 {
    moment.as_second().div_euclid(3600)
}
