//! What people decided about entries that the gateway had decided about: each is a label of how well it judges.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::any::AnyRow;

use super::{Store, StoreError, error::failed, row};
use crate::{assess::Disposition, ids::EntryId, issue::plan::GATEWAY};

/// A person's last decision about an entry, and the gateway's own before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ruling {
    /// The entry.
    pub entry: EntryId,
    /// What the person decided.
    pub person: Disposition,
    /// On which article.
    pub person_article: String,
    /// What the gateway had decided.
    pub gateway: Disposition,
    /// On which article.
    pub gateway_article: String,
    /// By which rule.
    pub rule: String,
}

impl Store {
    /// Rulings made in a period, the newest entry first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn rulings(
        &self,
        since: Timestamp,
        until: Timestamp,
        before: Option<EntryId>,
        limit: i64,
    ) -> Result<Vec<Ruling>, StoreError> {
        let rows = sqlx::query(
            "SELECT person.entry_id, person.disposition AS person, person.article AS person_article,
                 machine.disposition AS gateway, machine.article AS gateway_article, machine.rule AS rule
             FROM decision person JOIN decision machine ON machine.entry_id = person.entry_id
             WHERE person.rule = 'person' AND person.at >= $1 AND person.at <= $2 AND person.entry_id < $3
                 AND person.id = (SELECT MAX(last.id) FROM decision last
                     WHERE last.entry_id = person.entry_id AND last.rule = 'person')
                 AND machine.id = (SELECT MAX(own.id) FROM decision own
                     WHERE own.entry_id = person.entry_id AND own.actor = $4 AND own.id < person.id)
             ORDER BY person.entry_id DESC LIMIT $5",
        )
        .bind(row::micros(since))
        .bind(row::micros(until))
        .bind(before.map_or(i64::MAX, |before| before.0))
        .bind(GATEWAY)
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading what people decided"))?;
        rows.iter().map(ruling).collect()
    }

    /// How many decisions of its own the gateway made in a period, by disposition.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn own_decisions(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Disposition, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT disposition, COUNT(*) AS number FROM decision WHERE actor = $1 AND at >= $2 AND at <= $3
             GROUP BY disposition ORDER BY disposition",
        )
        .bind(GATEWAY)
        .bind(row::micros(since))
        .bind(row::micros(until))
        .fetch_all(&self.read)
        .await
        .map_err(failed("counting the gateway's decisions"))?;
        rows.iter()
            .map(|found| {
                let number: i64 = row::get(found, "number")?;
                Ok((
                    row::word(found, "decision", "disposition", Disposition::parse)?,
                    u64::try_from(number).unwrap_or(0),
                ))
            })
            .collect()
    }
}

fn ruling(found: &AnyRow) -> Result<Ruling, StoreError> {
    Ok(Ruling {
        entry: EntryId(row::get(found, "entry_id")?),
        person: row::word(found, "decision", "person", Disposition::parse)?,
        person_article: row::get(found, "person_article")?,
        gateway: row::word(found, "decision", "gateway", Disposition::parse)?,
        gateway_article: row::get(found, "gateway_article")?,
        rule: row::get(found, "rule")?,
    })
}
