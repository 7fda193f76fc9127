//! The central queue (中央队列): deliveries are leased, and an acknowledgement that comes after its lease has expired is
//! refused. What fails too often goes to the dead letters with its reason, never away.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, any::AnyRow};
use uuid::Uuid;

use super::{
    Dialect, Store, StoreError, Write,
    error::failed,
    journal::{Act, write_down},
    row,
};
use crate::{
    ids::{QueueItemId, TicketId},
    issue::Relation,
};

/// A delivery as it is leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// Its id.
    pub id: QueueItemId,
    /// The ticket.
    pub ticket: TicketId,
    /// What happened to it.
    pub event: Relation,
    /// Proof of the lease; every answer must carry it.
    pub lease: Uuid,
    /// When the lease ends.
    pub expires_at: Timestamp,
    /// How often it was leased, this time included.
    pub attempts: i64,
}

/// What a consumer says of a delivery it has leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Taken over: done.
    Acknowledge,
    /// Not now: back to the queue, not counted as a failure.
    Release,
    /// It failed, with the reason; tried again after the delay, or to the dead letters.
    Fail {
        /// Why.
        reason: String,
    },
}

/// Where a delivery stands after its consumer has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// Done.
    Done,
    /// Waiting again.
    Ready,
    /// Among the dead letters.
    Dead,
}

/// Bounds of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Leases of one delivery before it goes to the dead letters.
    pub max_attempts: i64,
    /// How long a failed delivery waits; doubled at each failure, up to 64 times.
    pub retry_delay: Duration,
}

/// How many deliveries stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Depth {
    /// Waiting.
    pub ready: i64,
    /// Leased.
    pub leased: i64,
    /// Dead letters.
    pub dead: i64,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DeadLetter {
    /// Its id.
    pub id: QueueItemId,
    /// The ticket.
    pub ticket: TicketId,
    /// The ticket's number.
    pub number: String,
    /// How often it was leased.
    pub attempts: i64,
    /// Why it was given up.
    pub reason: Option<String>,
    /// Who had it last.
    pub consumer: Option<String>,
    /// When it was given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// A delivery that a consumer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The ticket's number.
    pub number: String,
    /// Who holds it.
    pub consumer: Option<String>,
    /// When the lease ends.
    pub expires_at: Option<Timestamp>,
    /// How often it was leased.
    pub attempts: i64,
}

impl Store {
    /// When the delivery that waits longest was queued.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn oldest_ready(&self) -> Result<Option<Timestamp>, StoreError> {
        // By urgency, and within one urgency the oldest comes first: the oldest of all is one of these.
        let mut oldest: Option<Timestamp> = None;
        for rank in 0..=2_i64 {
            let found = sqlx::query(
                "SELECT created_at FROM queue_item WHERE state = 'ready' AND urgency_rank = $1 ORDER BY id LIMIT 1",
            )
            .bind(rank)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("looking for the oldest delivery"))?;
            if let Some(found) = found {
                let at = row::moment(&found, "created_at")?;
                oldest = Some(oldest.map_or(at, |known| known.min(at)));
            }
        }
        Ok(oldest)
    }

    /// Deliveries that consumers hold, those first whose lease ends first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn leased_deliveries(&self, limit: i64) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, consumer, lease_expires_at, attempts FROM queue_item
             JOIN ticket ON ticket.id = queue_item.ticket_id WHERE state = 'leased' ORDER BY lease_expires_at LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading leases"))?;
        rows.iter()
            .map(|found| {
                Ok(Waiting {
                    number: row::get(found, "number")?,
                    consumer: row::get(found, "consumer")?,
                    expires_at: row::maybe_moment(found, "lease_expires_at")?,
                    attempts: row::get(found, "attempts")?,
                })
            })
            .collect()
    }

    /// Leases up to `max` deliveries to a consumer, the most urgent and oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lease_deliveries(
        &self,
        consumer: &str,
        max: i64,
        term: Duration,
        policy: DeliveryPolicy,
        now: Timestamp,
    ) -> Result<Vec<Leased>, StoreError> {
        let mut transaction = self.begin().await?;
        expire(&mut transaction, self.dialect, policy, now).await?;
        let lease = Uuid::new_v4();
        let expires = row::micros(now).saturating_add(i64::try_from(term.as_micros()).unwrap_or(i64::MAX));
        // Ready twice over: a competing claimer may have taken a row between the choice and the update.
        let sql = format!(
            "UPDATE queue_item SET state = 'leased', lease = $1, lease_expires_at = $2, consumer = $3,
                 attempts = attempts + 1
             WHERE state = 'ready' AND id IN (SELECT id FROM queue_item WHERE state = 'ready' AND available_at <= $4
                 ORDER BY urgency_rank DESC, id LIMIT $5 {})
             RETURNING id, ticket_id, event, attempts, urgency_rank",
            self.dialect.skip_locked()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(lease.to_string())
            .bind(expires)
            .bind(consumer.to_owned())
            .bind(row::micros(now))
            .bind(max)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed("leasing deliveries"))?;
        let expires_at = Timestamp::from_microsecond(expires).unwrap_or(Timestamp::MAX);
        let mut leased = Vec::with_capacity(rows.len());
        for found in &rows {
            let id = QueueItemId(row::get(found, "id")?);
            let ticket = TicketId(row::get(found, "ticket_id")?);
            match row::word(found, "queue_item", "event", Relation::parse) {
                Ok(event) => {
                    let attempts = row::get(found, "attempts")?;
                    let rank: i64 = row::get(found, "urgency_rank")?;
                    leased.push((rank, Leased { id, ticket, event, lease, expires_at, attempts }));
                }
                // One row that cannot be read keeps no other from being delivered.
                Err(error) => {
                    let reason = Some(error.to_string());
                    settle(&mut transaction, id, ticket.0, Settled::Dead, reason, 0, Duration::ZERO, now).await?;
                }
            }
        }
        transaction.commit().await.map_err(failed("leasing deliveries"))?;
        leased.sort_by_key(|(rank, leased)| (std::cmp::Reverse(*rank), leased.id));
        Ok(leased.into_iter().map(|(_, leased)| leased).collect())
    }

    /// Whether a lease would find anything: something is due, or a lease has run out. Takes no lock.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn deliverable(&self, now: Timestamp) -> Result<bool, StoreError> {
        let found = sqlx::query(
            "SELECT id FROM queue_item WHERE state = 'ready' AND available_at <= $1
             UNION ALL SELECT id FROM queue_item WHERE state = 'leased' AND lease_expires_at <= $1 LIMIT 1",
        )
        .bind(row::micros(now))
        .fetch_optional(&self.read)
        .await
        .map_err(failed("looking for deliveries"))?;
        Ok(found.is_some())
    }

    /// Takes a consumer's word on a delivery that it has leased.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the lease has expired or is another's; otherwise where the database fails.
    pub async fn settle_delivery(
        &self,
        id: QueueItemId,
        lease: Uuid,
        settlement: &Settlement,
        policy: DeliveryPolicy,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        let mut transaction = self.begin().await?;
        let held = sqlx::query(
            "UPDATE queue_item SET attempts = attempts WHERE id = $1 AND state = 'leased' AND lease = $2
                 AND lease_expires_at > $3 RETURNING attempts, ticket_id",
        )
        .bind(id.0)
        .bind(lease.to_string())
        .bind(row::micros(now))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed("checking a delivery's lease"))?;
        let Some(held) = held else {
            return Err(StoreError::Conflict(format!(
                "delivery {id} is not leased under this lease any more: it expired or was settled; lease again"
            )));
        };
        let attempts: i64 = row::get(&held, "attempts")?;
        let ticket: i64 = row::get(&held, "ticket_id")?;
        let (settled, reason, wait) = match settlement {
            Settlement::Acknowledge => (Settled::Done, None, Duration::ZERO),
            Settlement::Release => (Settled::Ready, None, Duration::ZERO),
            Settlement::Fail { reason } if attempts >= policy.max_attempts => {
                (Settled::Dead, Some(reason.clone()), Duration::ZERO)
            }
            Settlement::Fail { reason } => (Settled::Ready, Some(reason.clone()), backoff(policy, attempts)),
        };
        let uncounted = i64::from(matches!(settlement, Settlement::Release));
        settle(&mut transaction, id, ticket, settled, reason, uncounted, wait, now).await?;
        transaction.commit().await.map_err(failed("settling a delivery"))?;
        Ok(settled)
    }

    /// Puts a dead letter back into the queue, with its attempts forgotten; the act is written down with it.
    ///
    /// # Errors
    /// Where it is no dead letter, or the database fails.
    pub async fn requeue(&self, id: QueueItemId, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let found =
            sqlx::query("UPDATE queue_item SET attempts = 0 WHERE id = $1 AND state = 'dead' RETURNING ticket_id")
                .bind(id.0)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed("finding a dead letter"))?;
        let Some(found) = found else {
            return Err(StoreError::Missing { what: "dead letter", name: id.to_string() });
        };
        let ticket: i64 = row::get(&found, "ticket_id")?;
        settle(&mut transaction, id, ticket, Settled::Ready, None, 0, Duration::ZERO, now).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("requeueing a dead letter"))
    }

    /// The dead letters, oldest first, after `after`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn dead_letters(&self, after: QueueItemId, limit: i64) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = sqlx::query(
            "SELECT queue_item.id, ticket_id, number, attempts, reason, consumer, finished_at
             FROM queue_item JOIN ticket ON ticket.id = queue_item.ticket_id
             WHERE state = 'dead' AND queue_item.id > $1 ORDER BY queue_item.id LIMIT $2",
        )
        .bind(after.0)
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading dead letters"))?;
        rows.iter().map(dead_letter).collect()
    }

    /// How many deliveries stand where.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn queue_depth(&self) -> Result<Depth, StoreError> {
        let found = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM queue_item WHERE state = 'ready') AS ready,
                 (SELECT COUNT(*) FROM queue_item WHERE state = 'leased') AS leased,
                 (SELECT COUNT(*) FROM queue_item WHERE state = 'dead') AS dead",
        )
        .fetch_one(&self.read)
        .await
        .map_err(failed("counting the queue"))?;
        Ok(Depth {
            ready: row::get(&found, "ready")?,
            leased: row::get(&found, "leased")?,
            dead: row::get(&found, "dead")?,
        })
    }
}

fn dead_letter(found: &AnyRow) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        id: QueueItemId(row::get(found, "id")?),
        ticket: TicketId(row::get(found, "ticket_id")?),
        number: row::get(found, "number")?,
        attempts: row::get(found, "attempts")?,
        reason: row::get(found, "reason")?,
        consumer: row::get(found, "consumer")?,
        finished_at: row::maybe_moment(found, "finished_at")?,
    })
}

/// Expired leases looked at in one sweep.
const SWEEP: i64 = 500;

/// Ends leases that have run out: back to the queue, or to the dead letters after too many. Row by row, so that one
/// that cannot be moved keeps no other from moving.
async fn expire(
    transaction: &mut Write,
    dialect: Dialect,
    policy: DeliveryPolicy,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Locked, or a row that a competing claimer ends and leases anew would be taken from its new holder.
    let sql = format!(
        "SELECT id, ticket_id, attempts FROM queue_item WHERE state = 'leased' AND lease_expires_at <= $1
         ORDER BY lease_expires_at LIMIT $2 {}",
        dialect.skip_locked()
    );
    let expired = sqlx::query(AssertSqlSafe(sql))
        .bind(row::micros(now))
        .bind(SWEEP)
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed("finding expired leases"))?;
    for found in &expired {
        let id = QueueItemId(row::get(found, "id")?);
        let ticket: i64 = row::get(found, "ticket_id")?;
        let attempts: i64 = row::get(found, "attempts")?;
        let (settled, reason) = if attempts >= policy.max_attempts {
            (Settled::Dead, Some(format!("leased {attempts} times and never acknowledged")))
        } else {
            (Settled::Ready, None)
        };
        settle(transaction, id, ticket, settled, reason, 0, Duration::ZERO, now).await?;
    }
    Ok(())
}

fn backoff(policy: DeliveryPolicy, attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 7) - 1).unwrap_or(0);
    policy.retry_delay.saturating_mul(1 << doublings)
}

#[expect(clippy::too_many_arguments, reason = "one row's new state, written in one place")]
async fn settle(
    transaction: &mut Write,
    id: QueueItemId,
    ticket: i64,
    settled: Settled,
    reason: Option<String>,
    uncounted: i64,
    wait: Duration,
    now: Timestamp,
) -> Result<(), StoreError> {
    if settled == Settled::Ready {
        // Something newer of the same ticket may be waiting already; it shows all that this one would.
        let superseded = sqlx::query(
            "UPDATE queue_item SET state = 'done', lease = NULL, lease_expires_at = NULL, finished_at = $1,
                 reason = 'superseded by a later delivery of the ticket'
             WHERE id = $2 AND EXISTS
                 (SELECT 1 FROM queue_item waiting WHERE waiting.ticket_id = $3 AND waiting.state = 'ready')",
        )
        .bind(row::micros(now))
        .bind(id.0)
        .bind(ticket)
        .execute(&mut **transaction)
        .await
        .map_err(failed("settling a delivery"))?;
        if superseded.rows_affected() > 0 {
            return Ok(());
        }
    }
    let (state, finished) = match settled {
        Settled::Done => ("done", Some(row::micros(now))),
        Settled::Dead => ("dead", Some(row::micros(now))),
        Settled::Ready => ("ready", None),
    };
    let available = row::micros(now).saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
    sqlx::query(
        "UPDATE queue_item SET state = $1, lease = NULL, lease_expires_at = NULL, reason = $2, finished_at = $3,
             available_at = $4, attempts = attempts - $5 WHERE id = $6",
    )
    .bind(state)
    .bind(reason)
    .bind(finished)
    .bind(available)
    .bind(uncounted)
    .bind(id.0)
    .execute(&mut **transaction)
    .await
    .map_err(failed("settling a delivery"))?;
    Ok(())
}
