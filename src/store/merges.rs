//! What people say of matching: tickets merged and parted again, complaints split off; each written down with who and
//! why, undone without loss, and kept as a label that matching can be measured on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::{
    Store, StoreError, Write,
    error::failed,
    journal::{Act, write_down},
    row,
};
use crate::{
    assess::{Article, Disposition, Urgency},
    ids::{EntryId, TicketId},
    issue::{Relation, Ruling},
    number::TicketNumber,
};

/// Two complaints that a person has said to be one matter, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MatchLabel {
    /// Its id.
    pub id: i64,
    /// One complaint's entry.
    pub one: EntryId,
    /// The other's.
    pub other: EntryId,
    /// "same" or "different".
    pub relation: String,
    /// When it was said.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
}

/// Who asks for a change of tickets, and why.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub now: Timestamp,
}

/// What a merge moved, so that it can be put back.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Moved {
    /// Entries, and how they stood to their ticket.
    complaints: Vec<(EntryId, Option<Relation>)>,
    /// Tickets that had been merged into the merged one.
    tickets: Vec<TicketId>,
}

/// A ticket as merging needs it.
struct Part {
    id: TicketId,
    number: TicketNumber,
    opener: EntryId,
    urgency: Urgency,
    merged_into: Option<TicketId>,
}

impl Store {
    /// Merges one ticket into another: its complaints join the kept one, as repeats where they are of a petitioner who is
    /// in it, else as co-reports, each still owed its own answer. Both tickets are delivered anew.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such ticket; [`StoreError::Conflict`] where both are one or either was
    /// merged already; otherwise where the database fails.
    pub async fn merge_tickets(
        &self,
        kept: TicketNumber,
        merged: TicketNumber,
        asked: Asked<'_>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_apart_from_issuing().await?;
        let kept = part(&mut transaction, kept).await?;
        let merged = part(&mut transaction, merged).await?;
        if kept.id == merged.id {
            return Err(StoreError::Conflict("a ticket cannot be merged into itself".to_owned()));
        }
        for part in [&kept, &merged] {
            if part.merged_into.is_some() {
                return Err(StoreError::Conflict(format!("ticket {} was merged into another already", part.number)));
            }
        }
        let moved = self.moved(&mut transaction, merged.id).await?;
        let known = petitioner_of(&mut transaction, merged.opener, kept.id).await?;
        decided(&mut transaction, merged.id, kept.id, "person.merge", asked).await?;
        let opened = if known { Relation::Repeat } else { Relation::CoReport };
        run(
            sqlx::query(
                "UPDATE complaint SET ticket_id = $1, relation = CASE WHEN relation = 'opened' THEN $2 ELSE relation END
                 WHERE ticket_id = $3",
            )
            .bind(kept.id.0)
            .bind(opened.as_str())
            .bind(merged.id.0),
            &mut transaction,
        )
        .await?;
        run(
            sqlx::query("UPDATE ticket SET merged_into = $1 WHERE id = $2 OR merged_into = $2")
                .bind(kept.id.0)
                .bind(merged.id.0),
            &mut transaction,
        )
        .await?;
        let urgency = kept.urgency.max(merged.urgency);
        for (ticket, event, urgency) in
            [(kept.id, Relation::CoReport, urgency), (merged.id, Relation::Revision, merged.urgency)]
        {
            recount(&mut transaction, ticket, urgency, asked.now).await?;
            queue(&mut transaction, ticket, event, urgency, asked.now).await?;
        }
        run(
            sqlx::query(
                "INSERT INTO ticket_merge (kept, merged, moved, at, actor, reason) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(kept.id.0)
            .bind(merged.id.0)
            .bind(serde_json::to_string(&moved).map_err(|_| unreadable())?)
            .bind(row::micros(asked.now))
            .bind(asked.actor.to_owned())
            .bind(asked.reason.to_owned()),
            &mut transaction,
        )
        .await?;
        label(&mut transaction, merged.opener, kept.opener, "same", asked).await?;
        let subject = format!("{} <- {}", kept.number, merged.number);
        let act = Act { actor: asked.actor, action: "ticket.merge", subject: &subject, reason: Some(asked.reason) };
        write_down(&mut transaction, act, asked.now).await?;
        transaction.commit().await.map_err(failed("merging tickets"))
    }

    /// Undoes the merge of a ticket: what it had goes back to it, as it stood. What joined the kept one since stays there.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such ticket; [`StoreError::Conflict`] where it was not merged, or the one
    /// that it was merged into has been merged since; otherwise where the database fails.
    pub async fn unmerge_ticket(&self, merged: TicketNumber, asked: Asked<'_>) -> Result<TicketNumber, StoreError> {
        let mut transaction = self.begin_apart_from_issuing().await?;
        let merged = part(&mut transaction, merged).await?;
        let standing = sqlx::query(
            "SELECT ticket_merge.id, kept, moved, ticket.number FROM ticket_merge JOIN ticket ON ticket.id = kept
             WHERE merged = $1 AND undone_at IS NULL",
        )
        .bind(merged.id.0)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed("finding a merge"))?;
        let Some(standing) = standing else {
            return Err(StoreError::Conflict(format!("ticket {} is not merged into another", merged.number)));
        };
        let kept =
            part(&mut transaction, row::word(&standing, "ticket", "number", |number| number.parse().ok())?).await?;
        if merged.merged_into != Some(kept.id) {
            return Err(StoreError::Conflict(format!(
                "ticket {} has been merged into another since; undo that first",
                kept.number
            )));
        }
        let moved: Moved = row::json(&standing, "ticket_merge", "moved")?;
        for (entry, relation) in &moved.complaints {
            run(
                sqlx::query(
                    "UPDATE complaint SET ticket_id = $1, relation = $2 WHERE entry_id = $3 AND ticket_id = $4",
                )
                .bind(merged.id.0)
                .bind(relation.map(Relation::as_str))
                .bind(entry.0)
                .bind(kept.id.0),
                &mut transaction,
            )
            .await?;
        }
        for ticket in &moved.tickets {
            run(
                sqlx::query("UPDATE ticket SET merged_into = $1 WHERE id = $2 AND merged_into = $3")
                    .bind(merged.id.0)
                    .bind(ticket.0)
                    .bind(kept.id.0),
                &mut transaction,
            )
            .await?;
        }
        run(sqlx::query("UPDATE ticket SET merged_into = NULL WHERE id = $1").bind(merged.id.0), &mut transaction)
            .await?;
        decided(&mut transaction, merged.id, merged.id, "person.unmerge", asked).await?;
        for part in [&kept, &merged] {
            recount(&mut transaction, part.id, part.urgency, asked.now).await?;
            queue(&mut transaction, part.id, Relation::Revision, part.urgency, asked.now).await?;
        }
        run(
            sqlx::query("UPDATE ticket_merge SET undone_at = $1, undone_by = $2, undo_reason = $3 WHERE id = $4")
                .bind(row::micros(asked.now))
                .bind(asked.actor.to_owned())
                .bind(asked.reason.to_owned())
                .bind(row::get::<i64>(&standing, "id")?),
            &mut transaction,
        )
        .await?;
        label(&mut transaction, merged.opener, kept.opener, "different", asked).await?;
        let subject = format!("{} -> {}", kept.number, merged.number);
        let act = Act { actor: asked.actor, action: "ticket.unmerge", subject: &subject, reason: Some(asked.reason) };
        write_down(&mut transaction, act, asked.now).await?;
        transaction.commit().await.map_err(failed("undoing a merge"))?;
        Ok(kept.number)
    }

    /// Takes a complaint out of a ticket that it was joined to wrongly. It goes back on the work list, to open a ticket of
    /// its own or join another one, and never this one again; its petitioner is told.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where no such complaint is in a ticket; [`StoreError::Conflict`] where it opened it;
    /// otherwise where the database fails.
    pub async fn split_off(&self, entry: EntryId, asked: Asked<'_>) -> Result<TicketNumber, StoreError> {
        let mut transaction = self.begin_apart_from_issuing().await?;
        let found = sqlx::query(
            "SELECT ticket.number, complaint.relation FROM complaint JOIN ticket ON ticket.id = complaint.ticket_id
             WHERE complaint.entry_id = $1",
        )
        .bind(entry.0)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed("finding a complaint"))?;
        let Some(found) = found else {
            return Err(StoreError::Missing { what: "complaint in a ticket, of entry", name: entry.to_string() });
        };
        let ticket =
            part(&mut transaction, row::word(&found, "ticket", "number", |number| number.parse().ok())?).await?;
        if ticket.opener == entry || row::get::<Option<String>>(&found, "relation")?.as_deref() == Some("opened") {
            return Err(StoreError::Conflict(format!("entry {entry} opened ticket {}; it stays in it", ticket.number)));
        }
        label(&mut transaction, entry, ticket.opener, "different", asked).await?;
        run(
            sqlx::query("UPDATE complaint SET ticket_id = NULL, relation = NULL, disposition = $1 WHERE entry_id = $2")
                .bind(Disposition::Hold.as_str())
                .bind(entry.0),
            &mut transaction,
        )
        .await?;
        let ruling = Ruling::new(asked.actor, Disposition::Accept, Article::new(12), asked.reason);
        run(
            sqlx::query(
                "INSERT INTO pending (entry_id, again, ruling) VALUES ($1, 1, $2)
                 ON CONFLICT (entry_id) DO UPDATE SET again = pending.again + 1, ruling = excluded.ruling",
            )
            .bind(entry.0)
            .bind(serde_json::to_string(&ruling).map_err(|_| unreadable())?),
            &mut transaction,
        )
        .await?;
        recount(&mut transaction, ticket.id, ticket.urgency, asked.now).await?;
        queue(&mut transaction, ticket.id, Relation::Revision, ticket.urgency, asked.now).await?;
        let subject = format!("{entry} from {}", ticket.number);
        let act = Act { actor: asked.actor, action: "ticket.split", subject: &subject, reason: Some(asked.reason) };
        write_down(&mut transaction, act, asked.now).await?;
        transaction.commit().await.map_err(failed("splitting off a complaint"))?;
        Ok(ticket.number)
    }

    /// What people said of pairs of complaints, after an id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn match_labels(&self, after: i64, limit: i64) -> Result<Vec<MatchLabel>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, one, other, relation, at, actor FROM match_label WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading labels"))?;
        rows.iter()
            .map(|found| {
                Ok(MatchLabel {
                    id: row::get(found, "id")?,
                    one: EntryId(row::get(found, "one")?),
                    other: EntryId(row::get(found, "other")?),
                    relation: row::get(found, "relation")?,
                    at: row::moment(found, "at")?,
                    actor: row::get(found, "actor")?,
                })
            })
            .collect()
    }

    /// A transaction that no issuing transaction runs beside: it holds the row that issuing is fenced by.
    pub(super) async fn begin_apart_from_issuing(&self) -> Result<Write, StoreError> {
        let mut transaction = self.begin().await?;
        run(sqlx::query("UPDATE lease SET epoch = epoch WHERE name = 'issue'"), &mut transaction).await?;
        Ok(transaction)
    }

    async fn moved(&self, transaction: &mut Write, ticket: TicketId) -> Result<Moved, StoreError> {
        let complaints = all(
            sqlx::query("SELECT entry_id, relation FROM complaint WHERE ticket_id = $1 ORDER BY entry_id")
                .bind(ticket.0),
            transaction,
        )
        .await?;
        let tickets =
            all(sqlx::query("SELECT id FROM ticket WHERE merged_into = $1").bind(ticket.0), transaction).await?;
        Ok(Moved {
            complaints: complaints
                .iter()
                .map(|found| {
                    let relation: Option<String> = row::get(found, "relation")?;
                    Ok((EntryId(row::get(found, "entry_id")?), relation.as_deref().and_then(Relation::parse)))
                })
                .collect::<Result<_, StoreError>>()?,
            tickets: tickets
                .iter()
                .map(|found| Ok(TicketId(row::get(found, "id")?)))
                .collect::<Result<_, StoreError>>()?,
        })
    }
}

fn unreadable() -> StoreError {
    StoreError::Unreadable { table: "ticket_merge", what: "moved" }
}

async fn run(query: super::batch::Binding, transaction: &mut Write) -> Result<(), StoreError> {
    query.execute(&mut **transaction).await.map_err(failed("changing tickets by hand"))?;
    Ok(())
}

async fn all(query: super::batch::Binding, transaction: &mut Write) -> Result<Vec<AnyRow>, StoreError> {
    query.fetch_all(&mut **transaction).await.map_err(failed("reading what is to be merged"))
}

async fn part(transaction: &mut Write, number: TicketNumber) -> Result<Part, StoreError> {
    let found = sqlx::query("SELECT id, entry_id, urgency, merged_into FROM ticket WHERE number = $1")
        .bind(number.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("finding a ticket"))?;
    let Some(found) = found else { return Err(StoreError::Missing { what: "ticket", name: number.to_string() }) };
    Ok(Part {
        id: TicketId(row::get(&found, "id")?),
        number,
        opener: EntryId(row::get(&found, "entry_id")?),
        urgency: row::word(&found, "ticket", "urgency", Urgency::parse)?,
        merged_into: row::get::<Option<i64>>(&found, "merged_into")?.map(TicketId),
    })
}

/// Whether the petitioner of an entry has a complaint in a ticket.
async fn petitioner_of(transaction: &mut Write, entry: EntryId, ticket: TicketId) -> Result<bool, StoreError> {
    let found = all(
        sqlx::query(
            "SELECT own.key FROM petitioner_key own JOIN petitioner_key other ON other.key = own.key
                 JOIN complaint ON complaint.entry_id = other.entry_id
             WHERE own.entry_id = $1 AND complaint.ticket_id = $2 LIMIT 1",
        )
        .bind(entry.0)
        .bind(ticket.0),
        transaction,
    )
    .await?;
    Ok(!found.is_empty())
}

/// Writes a decision for each complaint of a ticket.
async fn decided(
    transaction: &mut Write,
    of: TicketId,
    to: TicketId,
    rule: &str,
    asked: Asked<'_>,
) -> Result<(), StoreError> {
    run(
        sqlx::query(
            "INSERT INTO decision (entry_id, at, actor, disposition, article, rule, reason, ticket_id)
             SELECT entry_id, CAST($1 AS BIGINT), CAST($2 AS TEXT), disposition, article, CAST($3 AS TEXT),
                 CAST($4 AS TEXT), CAST($5 AS BIGINT)
             FROM complaint WHERE ticket_id = $6 ORDER BY entry_id",
        )
        .bind(row::micros(asked.now))
        .bind(asked.actor.to_owned())
        .bind(rule.to_owned())
        .bind(asked.reason.to_owned())
        .bind(to.0)
        .bind(of.0),
        transaction,
    )
    .await
}

/// Counts a ticket's complaints anew and raises its version.
async fn recount(
    transaction: &mut Write,
    ticket: TicketId,
    urgency: Urgency,
    now: Timestamp,
) -> Result<(), StoreError> {
    run(
        sqlx::query(
            "UPDATE ticket SET version = version + 1, urgency = $1, updated_at = $2,
                 repeats = (SELECT COUNT(*) FROM complaint WHERE ticket_id = $3 AND relation = 'repeat'),
                 co_reports = (SELECT COUNT(*) FROM complaint WHERE ticket_id = $3 AND relation = 'co_report'),
                 follow_ups = (SELECT COUNT(*) FROM complaint WHERE ticket_id = $3 AND relation = 'follow_up'),
                 revisions = (SELECT COUNT(*) FROM complaint WHERE ticket_id = $3 AND relation = 'revision')
             WHERE id = $3",
        )
        .bind(urgency.as_str())
        .bind(row::micros(now))
        .bind(ticket.0),
        transaction,
    )
    .await
}

/// Lets the ticket be delivered as it is now.
pub(super) async fn queue(
    transaction: &mut Write,
    ticket: TicketId,
    event: Relation,
    urgency: Urgency,
    now: Timestamp,
) -> Result<(), StoreError> {
    run(
        sqlx::query(
            "INSERT INTO queue_item (ticket_id, event, urgency_rank, state, available_at, created_at)
             VALUES ($1, $2, $3, 'ready', $4, $4) ON CONFLICT DO NOTHING",
        )
        .bind(ticket.0)
        .bind(event.as_str())
        .bind(urgency as i64)
        .bind(row::micros(now)),
        transaction,
    )
    .await
}

async fn label(
    transaction: &mut Write,
    one: EntryId,
    other: EntryId,
    relation: &str,
    asked: Asked<'_>,
) -> Result<(), StoreError> {
    run(
        sqlx::query("INSERT INTO match_label (one, other, relation, at, actor) VALUES ($1, $2, $3, $4, $5)")
            .bind(one.0)
            .bind(other.0)
            .bind(relation.to_owned())
            .bind(row::micros(asked.now))
            .bind(asked.actor.to_owned()),
        transaction,
    )
    .await
}
