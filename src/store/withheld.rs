//! Rulings that can still be taken back. What a person decides at the console waits here for a while before it takes effect:
//! until then there is no ticket, no delivery and no notice, and taking it back leaves nothing to be called back. Whoever
//! issues lets due ones take effect, so that a ruling needs no console to run on.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError, Write,
    error::failed,
    journal::{Act, put_back, write_down},
    row,
};
use crate::{ids::EntryId, issue::Ruling};

/// A ruling that waits to take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithheldRuling {
    /// About which entry.
    pub entry: EntryId,
    /// What was ruled.
    pub ruling: Ruling,
    /// Who is written down for it.
    pub actor: String,
    /// When it was ruled.
    pub at: Timestamp,
    /// When it takes effect.
    pub due_at: Timestamp,
}

/// Rulings that take effect in one transaction.
const RELEASED: i64 = 200;

impl Store {
    /// Withholds a ruling about each of these entries until `due_at`, all of them or none; one that waited before gives way
    /// to it. Each is written down.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such entry; [`StoreError::Conflict`] where one is in a ticket; otherwise
    /// where the database fails.
    pub async fn withhold_rulings(
        &self,
        entries: &[EntryId],
        ruling: &Ruling,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(ruling)
            .map_err(|_| StoreError::Unreadable { table: "withheld_ruling", what: "ruling" })?;
        let mut transaction = self.begin().await?;
        for entry in entries {
            may_be_ruled_on(&mut transaction, *entry).await?;
            sqlx::query(
                "INSERT INTO withheld_ruling (entry_id, ruling, actor, at, due_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (entry_id) DO UPDATE SET ruling = excluded.ruling, actor = excluded.actor,
                     at = excluded.at, due_at = excluded.due_at",
            )
            .bind(entry.0)
            .bind(text.clone())
            .bind(ruling.actor.clone())
            .bind(row::micros(now))
            .bind(row::micros(due_at))
            .execute(&mut *transaction)
            .await
            .map_err(failed("withholding a ruling"))?;
            let subject = entry.to_string();
            let act =
                Act { actor: &ruling.actor, action: "entry.decide", subject: &subject, reason: Some(&ruling.reason) };
            write_down(&mut transaction, act, now).await?;
        }
        transaction.commit().await.map_err(failed("withholding rulings"))
    }

    /// Takes rulings back that have not taken effect, each written down, and returns about which entries they were.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn undo_rulings(
        &self,
        entries: &[EntryId],
        actor: &str,
        now: Timestamp,
    ) -> Result<Vec<EntryId>, StoreError> {
        let mut transaction = self.begin().await?;
        let mut undone = Vec::new();
        for entry in entries {
            let taken = sqlx::query("DELETE FROM withheld_ruling WHERE entry_id = $1 RETURNING entry_id")
                .bind(entry.0)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed("taking a ruling back"))?;
            if taken.is_none() {
                continue;
            }
            let subject = entry.to_string();
            write_down(&mut transaction, Act { actor, action: "entry.undo", subject: &subject, reason: None }, now)
                .await?;
            undone.push(*entry);
        }
        transaction.commit().await.map_err(failed("taking rulings back"))?;
        Ok(undone)
    }

    /// Rulings that wait to take effect, those first that were ruled last.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn withheld_rulings(&self, limit: i64) -> Result<Vec<WithheldRuling>, StoreError> {
        let rows = sqlx::query(
            "SELECT entry_id, ruling, actor, at, due_at FROM withheld_ruling ORDER BY at DESC, entry_id LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading withheld rulings"))?;
        rows.iter().map(withheld).collect()
    }

    /// The ruling about an entry that waits to take effect.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn withheld_ruling(&self, entry: EntryId) -> Result<Option<WithheldRuling>, StoreError> {
        let found = sqlx::query("SELECT entry_id, ruling, actor, at, due_at FROM withheld_ruling WHERE entry_id = $1")
            .bind(entry.0)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a withheld ruling"))?;
        found.as_ref().map(withheld).transpose()
    }

    /// Lets rulings take effect that are due: their entries go to the work list. Returns how many did.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn release_rulings(&self, now: Timestamp) -> Result<usize, StoreError> {
        let due = sqlx::query("SELECT entry_id FROM withheld_ruling WHERE due_at <= $1 LIMIT 1")
            .bind(row::micros(now))
            .fetch_optional(&self.read)
            .await
            .map_err(failed("looking for rulings that are due"))?;
        if due.is_none() {
            return Ok(0);
        }
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(
            "DELETE FROM withheld_ruling WHERE entry_id IN
                 (SELECT entry_id FROM withheld_ruling WHERE due_at <= $1 ORDER BY due_at, entry_id LIMIT $2)
             RETURNING entry_id, ruling, actor, at, due_at",
        )
        .bind(row::micros(now))
        .bind(RELEASED)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed("letting rulings take effect"))?;
        let mut released = 0;
        for found in &rows {
            let entry = EntryId(row::get(found, "entry_id")?);
            let reason = match may_be_ruled_on(&mut transaction, entry).await {
                Ok(()) => match withheld(found) {
                    Ok(ruled) => {
                        put_back(&mut transaction, entry, Some(&ruled.ruling)).await?;
                        released += 1;
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Err(StoreError::Conflict(words)) => words,
                Err(error) => return Err(error),
            };
            // It joined a ticket meanwhile, as a later state of its item does: nothing is left to rule on.
            tracing::warn!(entry.id = %entry, reason, "a ruling took no effect");
            let (actor, subject): (String, String) = (row::get(found, "actor")?, entry.to_string());
            let act = Act { actor: &actor, action: "entry.undo", subject: &subject, reason: Some(&reason) };
            write_down(&mut transaction, act, now).await?;
        }
        transaction.commit().await.map_err(failed("letting rulings take effect"))?;
        Ok(released)
    }
}

/// Fails where there is no such entry, or it is in a ticket.
pub(super) async fn may_be_ruled_on(transaction: &mut Write, entry: EntryId) -> Result<(), StoreError> {
    let found = sqlx::query(
        "SELECT entry.id, complaint.ticket_id FROM entry LEFT JOIN complaint ON complaint.entry_id = entry.id
         WHERE entry.id = $1",
    )
    .bind(entry.0)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("finding an entry"))?;
    let Some(found) = found else { return Err(StoreError::Missing { what: "entry", name: entry.to_string() }) };
    match row::get::<Option<i64>>(&found, "ticket_id")? {
        Some(_) => Err(StoreError::Conflict(format!(
            "entry {entry} is in a ticket already; the handling system decides about its ticket"
        ))),
        None => Ok(()),
    }
}

fn withheld(found: &AnyRow) -> Result<WithheldRuling, StoreError> {
    Ok(WithheldRuling {
        entry: EntryId(row::get(found, "entry_id")?),
        ruling: row::json(found, "withheld_ruling", "ruling")?,
        actor: row::get(found, "actor")?,
        at: row::moment(found, "at")?,
        due_at: row::moment(found, "due_at")?,
    })
}
