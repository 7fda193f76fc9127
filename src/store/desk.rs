//! What stands around one ticket or entry, for whoever looks at it as a whole: deliveries, notices, merges; and a ticket's kind
//! changed by hand.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Store, StoreError,
    error::failed,
    issue::places,
    journal::{Act, write_down},
    merges::{Asked, queue},
    notices::{SHOWN, ShownNotice, shown},
    read::{COMPLAINT, ComplaintView, complaint},
    row,
};
use crate::{
    assess::{Article, Kind, Urgency},
    ids::{EntryId, QueueItemId, TicketId},
    issue::Relation,
    number::TicketNumber,
};

/// Most rows of each list around a ticket.
const ROWS: i64 = 50;

/// A delivery of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: QueueItemId,
    /// What happened to the ticket.
    pub event: String,
    /// ready, leased, done or dead.
    pub state: String,
    /// How often it was leased.
    pub attempts: i64,
    /// Who has it, or had it last.
    pub consumer: Option<String>,
    /// Why it failed, or was settled without a word of its consumer.
    pub reason: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it was settled for good.
    pub finished_at: Option<Timestamp>,
}

/// A merge of two tickets by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The ticket that stayed.
    pub kept: TicketNumber,
    /// The ticket that was merged into it.
    pub merged: TicketNumber,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When, by whom and why it was undone, where it was.
    pub undone: Option<(Timestamp, String, String)>,
}

impl Store {
    /// The deliveries of a ticket, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn deliveries_of(&self, ticket: TicketId) -> Result<Vec<Delivery>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, event, state, attempts, consumer, reason, created_at, finished_at FROM queue_item
             WHERE ticket_id = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(ticket.0)
        .bind(ROWS)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading a ticket's deliveries"))?;
        rows.iter().map(delivery).collect()
    }

    /// The notices about the complaints of a ticket, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn notices_of(&self, ticket: TicketId) -> Result<Vec<ShownNotice>, StoreError> {
        let sql = format!(
            "{SHOWN} WHERE entry_id IN (SELECT entry_id FROM complaint WHERE ticket_id = $1)
             ORDER BY created_at DESC, id DESC LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(ticket.0)
            .bind(ROWS)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading a ticket's notices"))?;
        rows.iter().map(shown).collect()
    }

    /// What was read in entries and decided about them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn complaints_about(&self, entries: &[EntryId]) -> Result<Vec<ComplaintView>, StoreError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("{COMPLAINT} WHERE entry_id IN ({})", places(0, entries.len()));
        let query = entries.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, entry| query.bind(entry.0));
        let rows = query.fetch_all(&self.read).await.map_err(failed("reading complaints"))?;
        rows.iter().map(complaint).collect()
    }

    /// The merges that a ticket took part in, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn merges_of(&self, ticket: TicketId) -> Result<Vec<Merge>, StoreError> {
        let rows = sqlx::query(
            "SELECT stays.number AS kept, goes.number AS merged, ticket_merge.at, actor, reason, undone_at, undone_by,
                 undo_reason
             FROM ticket_merge JOIN ticket stays ON stays.id = kept JOIN ticket goes ON goes.id = merged
             WHERE kept = $1 OR merged = $1 ORDER BY ticket_merge.id DESC LIMIT $2",
        )
        .bind(ticket.0)
        .bind(ROWS)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading a ticket's merges"))?;
        rows.iter().map(merge).collect()
    }

    /// The numbers of tickets.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn ticket_numbers(&self, tickets: &[TicketId]) -> Result<Vec<(TicketId, TicketNumber)>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT id, number FROM ticket WHERE id IN ({})", places(0, tickets.len()));
        let query = tickets.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, ticket| query.bind(ticket.0));
        let rows = query.fetch_all(&self.read).await.map_err(failed("reading numbers of tickets"))?;
        rows.iter()
            .map(|found| {
                let number = row::word(found, "ticket", "number", |number| number.parse().ok())?;
                Ok((TicketId(row::get(found, "id")?), number))
            })
            .collect()
    }

    /// Says of which kind a ticket is, with the due time that goes with it; it is delivered anew, and the act is written
    /// down with it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such ticket; [`StoreError::Conflict`] where it was merged into another;
    /// otherwise where the database fails.
    pub async fn change_kind(
        &self,
        number: TicketNumber,
        kind: Kind,
        complete_due: Option<Timestamp>,
        asked: Asked<'_>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_apart_from_issuing().await?;
        let found = sqlx::query(
            "UPDATE ticket SET kind = $1, complete_due = $2, version = version + 1, updated_at = $3
             WHERE number = $4 AND merged_into IS NULL RETURNING id, entry_id, urgency",
        )
        .bind(kind.as_str())
        .bind(complete_due.map(row::micros))
        .bind(row::micros(asked.now))
        .bind(number.to_string())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed("changing a ticket's kind"))?;
        let Some(found) = found else {
            // It is there, or whoever asks would have been told before.
            return Err(StoreError::Conflict(format!("ticket {number} was merged into another: change that one")));
        };
        let (ticket, entry): (i64, i64) = (row::get(&found, "id")?, row::get(&found, "entry_id")?);
        let urgency = row::word(&found, "ticket", "urgency", Urgency::parse)?;
        sqlx::query("UPDATE complaint SET kind = $1, kind_certain = 1 WHERE entry_id = $2")
            .bind(kind.as_str())
            .bind(entry)
            .execute(&mut *transaction)
            .await
            .map_err(failed("changing a complaint's kind"))?;
        sqlx::query(
            "INSERT INTO decision (entry_id, at, actor, disposition, article, rule, reason, ticket_id)
             VALUES ($1, $2, $3, 'accept', $4, 'person.kind', $5, $6)",
        )
        .bind(entry)
        .bind(row::micros(asked.now))
        .bind(asked.actor.to_owned())
        .bind(article(kind).to_string())
        .bind(asked.reason.to_owned())
        .bind(ticket)
        .execute(&mut *transaction)
        .await
        .map_err(failed("noting a decision"))?;
        queue(&mut transaction, TicketId(ticket), Relation::Revision, urgency, asked.now).await?;
        let subject = format!("{number} {}", kind.as_str());
        let act = Act { actor: asked.actor, action: "ticket.kind", subject: &subject, reason: Some(asked.reason) };
        write_down(&mut transaction, act, asked.now).await?;
        transaction.commit().await.map_err(failed("changing a ticket's kind"))
    }
}

/// The clause that a kind's time to completion rests on.
fn article(kind: Kind) -> Article {
    Article::clause(
        15,
        match kind {
            Kind::Consult => 1,
            Kind::Suggest => 2,
            Kind::Help => 3,
            Kind::Complain => 4,
        },
    )
}

fn delivery(found: &AnyRow) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: QueueItemId(row::get(found, "id")?),
        event: row::get(found, "event")?,
        state: row::get(found, "state")?,
        attempts: row::get(found, "attempts")?,
        consumer: row::get(found, "consumer")?,
        reason: row::get(found, "reason")?,
        created_at: row::moment(found, "created_at")?,
        finished_at: row::maybe_moment(found, "finished_at")?,
    })
}

fn merge(found: &AnyRow) -> Result<Merge, StoreError> {
    let number = |column| row::word(found, "ticket", column, |number: &str| number.parse().ok());
    let undone = row::maybe_moment(found, "undone_at")?;
    let by: Option<String> = row::get(found, "undone_by")?;
    let why: Option<String> = row::get(found, "undo_reason")?;
    Ok(Merge {
        kept: number("kept")?,
        merged: number("merged")?,
        at: row::moment(found, "at")?,
        actor: row::get(found, "actor")?,
        reason: row::get(found, "reason")?,
        undone: undone.map(|at| (at, by.unwrap_or_default(), why.unwrap_or_default())),
    })
}
