//! Writes a plan, many rows a statement.

use super::{Dialect, StoreError, Write, batch::ManyRows, error::failed, row};
use crate::issue::planned::Plan;

const TICKETS: ManyRows = ManyRows {
    doing: "opening tickets",
    head: "INSERT INTO ticket (id, number, entry_id, channel, kind, urgency, opened_at, assign_due, complete_due, \
           due_note, version, repeats, co_reports, follow_ups, revisions, updated_at) VALUES ",
    tail: "",
    columns: 16,
};

const COMPLAINTS: ManyRows = ManyRows {
    doing: "storing complaints",
    head: "INSERT INTO complaint (entry_id, ticket_id, relation, disposition, article, rule, grounds, kind, \
           kind_certain, urgency, silent, shown, sealed_petitioner, issued_at, matching) VALUES ",
    tail: " ON CONFLICT (entry_id) DO UPDATE SET ticket_id = excluded.ticket_id, relation = excluded.relation, \
           disposition = excluded.disposition, article = excluded.article, rule = excluded.rule, \
           grounds = excluded.grounds, kind = excluded.kind, kind_certain = excluded.kind_certain, \
           urgency = excluded.urgency, silent = excluded.silent, shown = excluded.shown, \
           sealed_petitioner = excluded.sealed_petitioner, issued_at = excluded.issued_at, \
           matching = excluded.matching",
    columns: 15,
};

const SIGNATURES: ManyRows = ManyRows {
    doing: "storing what complaints are matched by",
    head: "INSERT INTO match_signature (entry_id, seq, at, words, signature) VALUES ",
    tail: " ON CONFLICT (entry_id) DO UPDATE SET seq = excluded.seq, at = excluded.at, words = excluded.words, \
           signature = excluded.signature",
    columns: 5,
};

const DECISIONS: ManyRows = ManyRows {
    doing: "noting decisions",
    head: "INSERT INTO decision (entry_id, at, actor, disposition, article, rule, reason, ticket_id, grounds) VALUES ",
    tail: "",
    columns: 9,
};

const PETITIONER_KEYS: ManyRows = ManyRows {
    doing: "storing petitioner keys",
    head: "INSERT INTO petitioner_key (key, entry_id) VALUES ",
    tail: " ON CONFLICT DO NOTHING",
    columns: 2,
};

const MATTERS: ManyRows = ManyRows {
    doing: "storing matter keys",
    head: "INSERT INTO matter_key (key, ticket_id, at) VALUES ",
    tail: " ON CONFLICT (key) DO UPDATE SET ticket_id = excluded.ticket_id, at = excluded.at",
    columns: 3,
};

const QUEUE: ManyRows = ManyRows {
    doing: "queueing tickets",
    head: "INSERT INTO queue_item (ticket_id, event, urgency_rank, state, available_at, created_at) VALUES ",
    tail: " ON CONFLICT DO NOTHING",
    columns: 6,
};

const NOTICES: ManyRows = ManyRows {
    doing: "writing notices",
    head: "INSERT INTO notice (entry_id, ticket_id, connector, template, message_id, sealed_recipient, recipient_key, \
           answers, subject, body, state, reason, next_attempt_at, created_at) VALUES ",
    tail: "",
    columns: 14,
};

const QUARANTINE: ManyRows = ManyRows {
    doing: "quarantining entries",
    head: "INSERT INTO quarantine (entry_id, at, stage, reason) VALUES ",
    tail: " ON CONFLICT (entry_id) DO UPDATE SET at = excluded.at, stage = excluded.stage, reason = excluded.reason",
    columns: 4,
};

const DONE: ManyRows = ManyRows {
    doing: "ending what was pending",
    // Exactly what was read: what was issued or put back on the work list meanwhile is not found.
    head: "DELETE FROM pending WHERE (entry_id, again) IN (VALUES ",
    tail: ") RETURNING entry_id",
    columns: 2,
};

const RELEASED: ManyRows = ManyRows {
    doing: "releasing from quarantine",
    head: "DELETE FROM quarantine WHERE entry_id IN (VALUES ",
    tail: ")",
    columns: 1,
};

/// Writes everything in a plan but its counters.
///
/// # Errors
/// [`StoreError::Conflict`] where an entry of it does not wait any more as it was read: it was issued meanwhile, or put
/// back on the work list for another reason. Whoever planned it must not commit it, or it would be issued twice.
pub(super) async fn write(transaction: &mut Write, dialect: Dialect, plan: &Plan) -> Result<(), StoreError> {
    tickets(transaction, dialect, plan).await?;
    complaints(transaction, dialect, plan).await?;
    messages(transaction, dialect, plan).await?;
    let now = row::micros(plan.now);
    QUARANTINE
        .run(dialect, transaction, &plan.quarantined, |query, (entry, stage, reason)| {
            query.bind(entry.0).bind(now).bind(*stage).bind(reason.clone())
        })
        .await?;
    for (message_id, reason) in &plan.bounced {
        sqlx::query("UPDATE notice SET state = 'failed', reason = $1 WHERE message_id = $2 AND state = 'sent'")
            .bind(reason.clone())
            .bind(message_id.clone())
            .execute(&mut **transaction)
            .await
            .map_err(failed("noting a notice that came back"))?;
    }
    for alarm in &plan.alarms {
        super::alarms::raise(transaction, alarm, plan.now).await?;
    }
    RELEASED.run(dialect, transaction, &plan.released, |query, entry| query.bind(entry.0)).await?;
    let ended =
        DONE.run(dialect, transaction, &plan.done, |query, (entry, again)| query.bind(entry.0).bind(*again)).await?;
    if ended.len() != plan.done.len() {
        return Err(StoreError::Conflict(format!(
            "{} of {} entries were issued or put back on the work list meanwhile",
            plan.done.len() - ended.len(),
            plan.done.len()
        )));
    }
    Ok(())
}

async fn tickets(transaction: &mut Write, dialect: Dialect, plan: &Plan) -> Result<(), StoreError> {
    let now = row::micros(plan.now);
    TICKETS
        .run(dialect, transaction, &plan.tickets, |query, ticket| {
            query
                .bind(ticket.id.0)
                .bind(ticket.number.to_string())
                .bind(ticket.entry.0)
                .bind(ticket.channel.as_str())
                .bind(ticket.kind.as_str())
                .bind(ticket.urgency.as_str())
                .bind(row::micros(ticket.opened_at))
                .bind(ticket.assign_due.map(row::micros))
                .bind(ticket.complete_due.map(row::micros))
                .bind(ticket.due_note.clone())
                .bind(1 + ticket.joined.total())
                .bind(ticket.joined.repeats)
                .bind(ticket.joined.co_reports)
                .bind(ticket.joined.follow_ups)
                .bind(ticket.joined.revisions)
                .bind(now)
        })
        .await?;
    for (ticket, join) in &plan.joins {
        sqlx::query(
            "UPDATE ticket SET version = version + $1, repeats = repeats + $2, co_reports = co_reports + $3,
                 follow_ups = follow_ups + $4, revisions = revisions + $5, urgency = $6, updated_at = $7 WHERE id = $8",
        )
        .bind(join.joined.total())
        .bind(join.joined.repeats)
        .bind(join.joined.co_reports)
        .bind(join.joined.follow_ups)
        .bind(join.joined.revisions)
        .bind(join.urgency.as_str())
        .bind(now)
        .bind(ticket.0)
        .execute(&mut **transaction)
        .await
        .map_err(failed("joining a ticket"))?;
        if join.raised {
            sqlx::query("UPDATE queue_item SET urgency_rank = $1 WHERE ticket_id = $2 AND state = 'ready'")
                .bind(join.urgency as i64)
                .bind(ticket.0)
                .execute(&mut **transaction)
                .await
                .map_err(failed("hurrying a ticket"))?;
        }
    }
    Ok(())
}

async fn complaints(transaction: &mut Write, dialect: Dialect, plan: &Plan) -> Result<(), StoreError> {
    let now = row::micros(plan.now);
    COMPLAINTS
        .run(dialect, transaction, &plan.complaints, |query, complaint| {
            let verdict = &complaint.assessed.verdict;
            query
                .bind(complaint.entry.0)
                .bind(complaint.ticket.map(|ticket| ticket.0))
                .bind(complaint.relation.map(crate::issue::Relation::as_str))
                .bind(complaint.disposition.as_str())
                .bind(complaint.grounds.article.to_string())
                .bind(complaint.grounds.rule.clone())
                .bind(to_json(&complaint.grounds))
                .bind(verdict.kind.as_str())
                .bind(i64::from(verdict.kind_certain))
                .bind(verdict.urgency.as_str())
                .bind(i64::from(verdict.silent))
                .bind(to_json(&verdict.shown))
                .bind(complaint.assessed.sealed_petitioner.as_bytes().to_vec())
                .bind(now)
                .bind(to_json(&complaint.matching))
        })
        .await?;
    DECISIONS
        .run(dialect, transaction, &plan.complaints, |query, complaint| {
            query
                .bind(complaint.entry.0)
                .bind(now)
                .bind(complaint.actor.clone())
                .bind(complaint.disposition.as_str())
                .bind(complaint.grounds.article.to_string())
                .bind(complaint.grounds.rule.clone())
                .bind(complaint.reason.clone())
                .bind(complaint.ticket.map(|ticket| ticket.0))
                .bind(to_json(&complaint.grounds))
        })
        .await?;
    PETITIONER_KEYS
        .run(dialect, transaction, &plan.petitioner_keys, |query, (key, entry)| query.bind(key.clone()).bind(entry.0))
        .await?;
    SIGNATURES
        .run(dialect, transaction, &plan.signatures, |query, new| {
            query.bind(new.entry.0).bind(new.seq).bind(now).bind(plan.words.clone()).bind(new.signature.encode())
        })
        .await?;
    let matters: Vec<_> = plan.matters.iter().collect();
    MATTERS
        .run(dialect, transaction, &matters, |query, (key, ticket)| query.bind((*key).clone()).bind(ticket.0).bind(now))
        .await?;
    Ok(())
}

async fn messages(transaction: &mut Write, dialect: Dialect, plan: &Plan) -> Result<(), StoreError> {
    let now = row::micros(plan.now);
    QUEUE
        .run(dialect, transaction, &plan.queue, |query, item| {
            query
                .bind(item.ticket.0)
                .bind(item.event.as_str())
                .bind(item.urgency as i64)
                .bind("ready")
                .bind(now)
                .bind(now)
        })
        .await?;
    NOTICES
        .run(dialect, transaction, &plan.notices, |query, notice| {
            let (sealed, key) = match &notice.recipient {
                Some((sealed, key)) => (Some(sealed.as_bytes().to_vec()), Some(key.clone())),
                None => (None, None),
            };
            query
                .bind(notice.entry.0)
                .bind(notice.ticket.map(|ticket| ticket.0))
                .bind(notice.connector.as_str().to_owned())
                .bind(notice.template)
                .bind(notice.message_id.clone())
                .bind(sealed)
                .bind(key)
                .bind(to_json(&notice.answers))
                .bind(notice.subject.clone())
                .bind(notice.body.clone())
                .bind(if notice.unroutable.is_some() { "unroutable" } else { "pending" })
                .bind(notice.unroutable)
                .bind(now)
                .bind(now)
        })
        .await?;
    Ok(())
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
