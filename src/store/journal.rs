//! What people do is written down: decisions about entries, and the audit trail, whose rows carry the hash of the row
//! before, so that a row changed or taken out is seen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::{Store, StoreError, Write, error::failed, row, withheld::may_be_ruled_on};
use crate::{ids::EntryId, issue::Ruling};

/// A row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Place in the trail, from 1.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done: "connector.enable", "entry.unseal", …
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why, where a reason was asked for.
    pub reason: Option<String>,
    /// Hash of the row before.
    pub previous: String,
    /// Hash of this row.
    pub hash: String,
}

impl AuditRow {
    /// The hash that the row must carry.
    fn expected(&self) -> String {
        connectors::entry::digest_hex(&[
            self.previous.as_bytes(),
            &self.seq.to_be_bytes(),
            &self.at.as_microsecond().to_be_bytes(),
            self.actor.as_bytes(),
            self.action.as_bytes(),
            self.subject.as_bytes(),
            self.reason.as_deref().unwrap_or_default().as_bytes(),
        ])
    }
}

/// An act to be written down.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// Who.
    pub actor: &'a str,
    /// What: "connector.enable", "entry.unseal", …
    pub action: &'a str,
    /// To what.
    pub subject: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
}

/// What checking the audit trail found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trail {
    /// Whole, with so many rows.
    Whole(i64),
    /// Broken at this row.
    Broken(i64),
}

impl Store {
    /// Writes down an act.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit(&self, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("writing the audit trail"))
    }

    /// The audit trail after `after`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit_rows(&self, after: i64, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, actor, action, subject, reason, previous, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading the audit trail"))?;
        rows.iter().map(audit_row).collect()
    }

    /// The audit trail before `before`, or its end; newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit_rows_before(&self, before: Option<i64>, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, actor, action, subject, reason, previous, hash FROM audit WHERE seq < $1
             ORDER BY seq DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading the audit trail"))?;
        rows.iter().map(audit_row).collect()
    }

    /// Checks the whole trail.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn verify_audit(&self) -> Result<Trail, StoreError> {
        let (mut seq, mut previous) = (0, String::new());
        loop {
            let rows = self.audit_rows(seq, 1000).await?;
            if rows.is_empty() {
                break;
            }
            for found in rows {
                if found.seq != seq + 1 || found.previous != previous || found.hash != found.expected() {
                    return Ok(Trail::Broken(seq + 1));
                }
                seq = found.seq;
                previous = found.hash;
            }
        }
        let head = sqlx::query("SELECT seq, hash FROM audit_head WHERE id = 1")
            .fetch_one(&self.read)
            .await
            .map_err(failed("reading the audit trail's head"))?;
        let whole = row::get::<i64>(&head, "seq")? == seq && row::get::<String>(&head, "hash")? == previous;
        Ok(if whole { Trail::Whole(seq) } else { Trail::Broken(seq + 1) })
    }

    /// Puts an entry back on the work list: to be assessed anew, or to be issued by a person's decision. A decision that
    /// still waits there is not forgotten because somebody asks for another assessment.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such entry; [`StoreError::Conflict`] where a ticket exists and the
    /// decision would take it away; otherwise where the database fails.
    pub async fn reissue(
        &self,
        entry: EntryId,
        ruling: Option<&Ruling>,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        match may_be_ruled_on(&mut transaction, entry).await {
            // What is in a ticket can be assessed anew: it stays there.
            Err(StoreError::Conflict(_)) if ruling.is_none() => {}
            allowed => allowed?,
        }
        put_back(&mut transaction, entry, ruling).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("putting an entry back on the work list"))
    }

    /// What was done to a thing by actions that begin with `actions`, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit_of(&self, subject: &str, actions: &str, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, actor, action, subject, reason, previous, hash FROM audit
             WHERE subject = $1 AND action LIKE $2 ORDER BY seq DESC LIMIT $3",
        )
        .bind(subject.to_owned())
        .bind(format!("{actions}%"))
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading the audit trail"))?;
        rows.iter().map(audit_row).collect()
    }
}

/// Puts an entry on the work list again. A ruling that still waits there is not forgotten.
pub(super) async fn put_back(
    transaction: &mut Write,
    entry: EntryId,
    ruling: Option<&Ruling>,
) -> Result<(), StoreError> {
    let text = ruling
        .map(serde_json::to_string)
        .transpose()
        .map_err(|_| StoreError::Unreadable { table: "pending", what: "ruling" })?;
    sqlx::query(
        "INSERT INTO pending (entry_id, again, ruling) VALUES ($1, 1, $2)
         ON CONFLICT (entry_id) DO UPDATE SET again = pending.again + 1,
             ruling = COALESCE(excluded.ruling, pending.ruling)",
    )
    .bind(entry.0)
    .bind(text)
    .execute(&mut **transaction)
    .await
    .map_err(failed("putting an entry back on the work list"))?;
    Ok(())
}

/// Writes down an act within the transaction that does it.
pub(super) async fn write_down(transaction: &mut Write, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
    let head = sqlx::query("UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash")
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed("reading the audit trail's head"))?;
    let mut new = AuditRow {
        seq: row::get(&head, "seq")?,
        at: now,
        actor: act.actor.to_owned(),
        action: act.action.to_owned(),
        subject: act.subject.to_owned(),
        reason: act.reason.map(str::to_owned),
        previous: row::get(&head, "hash")?,
        hash: String::new(),
    };
    // The database keeps microseconds: hash what can be read back.
    new.at = Timestamp::from_microsecond(row::micros(now)).unwrap_or(now);
    new.hash = new.expected();
    sqlx::query(
        "INSERT INTO audit (seq, at, actor, action, subject, reason, previous, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(new.seq)
    .bind(row::micros(new.at))
    .bind(new.actor)
    .bind(new.action)
    .bind(new.subject)
    .bind(new.reason)
    .bind(new.previous)
    .bind(new.hash.clone())
    .execute(&mut **transaction)
    .await
    .map_err(failed("writing the audit trail"))?;
    sqlx::query("UPDATE audit_head SET hash = $1 WHERE id = 1")
        .bind(new.hash)
        .execute(&mut **transaction)
        .await
        .map_err(failed("writing the audit trail"))?;
    Ok(())
}

fn audit_row(found: &AnyRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: row::get(found, "seq")?,
        at: row::moment(found, "at")?,
        actor: row::get(found, "actor")?,
        action: row::get(found, "action")?,
        subject: row::get(found, "subject")?,
        reason: row::get(found, "reason")?,
        previous: row::get(found, "previous")?,
        hash: row::get(found, "hash")?,
    })
}
