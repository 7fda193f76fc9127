//! The outbox: notices wait here until they have left, with bounded retries.

use std::time::Duration;

use connectors::{
    entry::{ConnectorName, ExternalId},
    occasion::Occasion,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{Store, StoreError, error::failed, row};
use crate::{
    ids::{EntryId, NoticeId},
    seal::Sealed,
};

/// A notice that is due.
#[derive(Debug, Clone)]
pub struct DueNotice {
    /// Its id.
    pub id: NoticeId,
    /// The entry it is about.
    pub entry: EntryId,
    /// The connector it leaves through.
    pub connector: ConnectorName,
    /// What the source calls the item that is answered.
    pub about: ExternalId,
    /// What became of it.
    pub occasion: Option<Occasion>,
    /// Our message's id.
    pub message_id: String,
    /// Where a mail goes, sealed.
    pub sealed_recipient: Option<Sealed>,
    /// The same as a keyed hash.
    pub recipient_key: Option<Vec<u8>>,
    /// Messages that it answers.
    pub answers: Vec<String>,
    /// Title.
    pub subject: String,
    /// Text.
    pub body: String,
    /// Attempts made so far.
    pub attempts: i64,
}

/// What became of an attempt to send a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It has left.
    Left,
    /// It may leave later.
    Later {
        /// When to try again.
        at: Timestamp,
        /// Why not now.
        reason: String,
    },
    /// It will not leave.
    Failed {
        /// Why.
        reason: String,
    },
    /// It must not leave: a limit holds it back.
    Suppressed {
        /// Which.
        reason: String,
    },
}

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// It waits to leave.
    Pending,
    /// It has left.
    Sent,
    /// It could not leave and is not tried again.
    Failed,
    /// A limit held it back.
    Suppressed,
    /// There is no way back: a person must tell the petitioner (Article 13(3)).
    Unroutable,
}

impl NoticeState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Sent, Self::Failed, Self::Suppressed, Self::Unroutable];

    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
            Self::Unroutable => "unroutable",
        }
    }

    /// The state with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A notice as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShownNotice {
    /// Its id.
    pub id: i64,
    /// The entry it is about.
    pub entry: EntryId,
    /// Which text.
    pub template: String,
    /// Title.
    pub subject: String,
    /// Text.
    pub body: String,
    /// Where it stands.
    pub state: NoticeState,
    /// Why it did not leave, where it did not.
    pub reason: Option<String>,
    /// Attempts made.
    pub attempts: i64,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it left.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
}

impl Store {
    /// The notices that are due, oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn due_notices(&self, now: Timestamp, limit: i64) -> Result<Vec<DueNotice>, StoreError> {
        let rows = sqlx::query(
            "SELECT notice.id, entry_id, notice.connector, external_id, template, message_id, sealed_recipient, recipient_key,
                 answers, subject, body, attempts
             FROM notice JOIN entry ON entry.id = notice.entry_id
             WHERE state = 'pending' AND next_attempt_at <= $1 ORDER BY next_attempt_at, notice.id LIMIT $2",
        )
        .bind(row::micros(now))
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading due notices"))?;
        rows.iter().map(due).collect()
    }

    /// How many notices left for an address since a moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn notices_sent(&self, recipient: &[u8], since: Timestamp) -> Result<i64, StoreError> {
        let found = sqlx::query(
            "SELECT COUNT(*) AS sent FROM notice WHERE state = 'sent' AND recipient_key = $1 AND sent_at > $2",
        )
        .bind(recipient.to_vec())
        .bind(row::micros(since))
        .fetch_one(&self.read)
        .await
        .map_err(failed("counting notices"))?;
        row::get(&found, "sent")
    }

    /// Notes that an attempt begins, and puts the next one off by `hold`: a crash in the middle is tried again then, under
    /// the same message id, by which the other side can tell the repeat.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn notice_begins(&self, id: NoticeId, now: Timestamp, hold: Duration) -> Result<bool, StoreError> {
        let until = row::micros(now).saturating_add(i64::try_from(hold.as_micros()).unwrap_or(i64::MAX));
        let begun = sqlx::query(
            "UPDATE notice SET attempts = attempts + 1, next_attempt_at = $1
             WHERE id = $2 AND state = 'pending' AND next_attempt_at <= $3",
        )
        .bind(until)
        .bind(id.0)
        .bind(row::micros(now))
        .execute(&self.write)
        .await
        .map_err(failed("beginning a notice"))?;
        Ok(begun.rows_affected() == 1)
    }

    /// Notes what became of an attempt.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn notice_ended(&self, id: NoticeId, sent: &Sent, now: Timestamp) -> Result<(), StoreError> {
        let (state, reason, sent_at, next) = match sent {
            Sent::Left => ("sent", None, Some(now), now),
            Sent::Later { at, reason } => ("pending", Some(reason.clone()), None, *at),
            Sent::Failed { reason } => ("failed", Some(reason.clone()), None, now),
            Sent::Suppressed { reason } => ("suppressed", Some(reason.clone()), None, now),
        };
        sqlx::query("UPDATE notice SET state = $1, reason = $2, sent_at = $3, next_attempt_at = $4 WHERE id = $5")
            .bind(state)
            .bind(reason)
            .bind(sent_at.map(row::micros))
            .bind(row::micros(next))
            .bind(id.0)
            .execute(&self.write)
            .await
            .map_err(failed("ending a notice"))?;
        Ok(())
    }

    /// The notices about an entry.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn notices_about(&self, entry: EntryId) -> Result<Vec<ShownNotice>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!("{SHOWN} WHERE entry_id = $1 ORDER BY id")))
            .bind(entry.0)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading notices"))?;
        rows.iter().map(shown).collect()
    }

    /// Notices, newest first, before `before`; of one state, or of all.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn notices(
        &self,
        state: Option<NoticeState>,
        before: Option<NoticeId>,
        limit: i64,
    ) -> Result<Vec<ShownNotice>, StoreError> {
        let condition = state.map_or_else(String::new, |state| format!("AND state = '{}'", state.as_str()));
        let rows = sqlx::query(AssertSqlSafe(format!("{SHOWN} WHERE id < $1 {condition} ORDER BY id DESC LIMIT $2")))
            .bind(before.map_or(i64::MAX, |before| before.0))
            .bind(limit)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading notices"))?;
        rows.iter().map(shown).collect()
    }
}

pub(super) const SHOWN: &str =
    "SELECT id, entry_id, template, subject, body, state, reason, attempts, created_at, sent_at FROM notice";

pub(super) fn shown(found: &AnyRow) -> Result<ShownNotice, StoreError> {
    Ok(ShownNotice {
        id: row::get(found, "id")?,
        entry: EntryId(row::get(found, "entry_id")?),
        template: row::get(found, "template")?,
        subject: row::get(found, "subject")?,
        body: row::get(found, "body")?,
        state: row::word(found, "notice", "state", NoticeState::parse)?,
        reason: row::get(found, "reason")?,
        attempts: row::get(found, "attempts")?,
        created_at: row::moment(found, "created_at")?,
        sent_at: row::maybe_moment(found, "sent_at")?,
    })
}

fn due(found: &AnyRow) -> Result<DueNotice, StoreError> {
    let sealed: Option<Vec<u8>> = row::get(found, "sealed_recipient")?;
    Ok(DueNotice {
        id: NoticeId(row::get(found, "id")?),
        entry: EntryId(row::get(found, "entry_id")?),
        connector: row::word(found, "notice", "connector", |name| name.parse().ok())?,
        about: ExternalId::new(&row::get::<String>(found, "external_id")?),
        occasion: Occasion::parse(&row::get::<String>(found, "template")?),
        message_id: row::get(found, "message_id")?,
        sealed_recipient: sealed.map(Sealed::stored),
        recipient_key: row::get(found, "recipient_key")?,
        answers: row::json(found, "notice", "answers")?,
        subject: row::get(found, "subject")?,
        body: row::get(found, "body")?,
        attempts: row::get(found, "attempts")?,
    })
}
