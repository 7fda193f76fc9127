//! What citizens may learn of their own submissions: where one ended and why, and nothing of what anybody wrote.

use connectors::entry::{ConnectorName, ExternalId};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{Store, StoreError, error::failed, read::PLACE, row};
use crate::{
    assess::{Grounds, Kind, Urgency},
    issue::Relation,
    number::TicketNumber,
    store::read::Place,
};

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Fate {
    /// What its source calls it.
    pub external_id: ExternalId,
    /// When it was received.
    pub received_at: Timestamp,
    /// Where it ended, or waits.
    pub place: Place,
    /// How soon it must be dealt with, once that is known.
    pub urgency: Option<Urgency>,
    /// Why it was decided so.
    pub grounds: Option<Grounds>,
    /// Its ticket.
    pub ticket: Option<FateTicket>,
}

/// The ticket of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct FateTicket {
    /// Number.
    pub number: TicketNumber,
    /// How the submission stands to it.
    pub relation: Option<Relation>,
    /// Kind of request (Article 15).
    pub kind: Kind,
    /// When it must be answered (Article 15).
    pub complete_due: Option<Timestamp>,
    /// Whether the handling system has taken it.
    pub handed_on: bool,
}

/// States of one submission are several entries: the one in a ticket counts first, then the latest.
const FATE: &str =
    "SELECT entry.external_id, entry.received_at, complaint.urgency, complaint.grounds, complaint.relation,
        ticket.number, ticket.kind, ticket.complete_due,
        CASE WHEN EXISTS (SELECT 1 FROM queue_item WHERE queue_item.ticket_id = ticket.id AND queue_item.state = 'done')
            THEN 1 ELSE 0 END AS handed_on,
        {PLACE} AS place
    FROM entry
        LEFT JOIN complaint ON complaint.entry_id = entry.id
        LEFT JOIN ticket ON ticket.id = complaint.ticket_id
        LEFT JOIN quarantine ON quarantine.entry_id = entry.id";

const ORDER: &str = "ORDER BY CASE WHEN complaint.ticket_id IS NULL THEN 1 ELSE 0 END, entry.id DESC LIMIT 1";

impl Store {
    /// Lets a submission that is stored be asked about under a query code; the same again changes nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn put_query_code(
        &self,
        connector: &ConnectorName,
        external_id: &ExternalId,
        code: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO query_code (code, connector, external_id, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (code) DO NOTHING",
        )
        .bind(code.to_vec())
        .bind(connector.as_str().to_owned())
        .bind(external_id.as_str().to_owned())
        .bind(row::micros(now))
        .execute(&self.write)
        .await
        .map_err(failed("storing a query code"))?;
        Ok(())
    }

    /// What became of a submission; none where it is not stored.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fate(&self, connector: &ConnectorName, external_id: &ExternalId) -> Result<Option<Fate>, StoreError> {
        let sql =
            format!("{} WHERE entry.connector = $1 AND entry.external_id = $2 {ORDER}", FATE.replace("{PLACE}", PLACE));
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(connector.as_str().to_owned())
            .bind(external_id.as_str().to_owned())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading what became of a submission"))?;
        found.as_ref().map(fate).transpose()
    }

    /// What became of the submission with a query code; none where there is no such code at that connector.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fate_by_code(&self, connector: &ConnectorName, code: &[u8]) -> Result<Option<Fate>, StoreError> {
        let sql = format!(
            "{} JOIN query_code ON query_code.connector = entry.connector AND query_code.external_id = entry.external_id
             WHERE query_code.code = $1 AND query_code.connector = $2 {ORDER}",
            FATE.replace("{PLACE}", PLACE)
        );
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(code.to_vec())
            .bind(connector.as_str().to_owned())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading what became of a submission"))?;
        found.as_ref().map(fate).transpose()
    }
}

fn fate(found: &AnyRow) -> Result<Fate, StoreError> {
    let urgency: Option<String> = row::get(found, "urgency")?;
    let grounds: Option<String> = row::get(found, "grounds")?;
    let relation: Option<String> = row::get(found, "relation")?;
    let number: Option<String> = row::get(found, "number")?;
    let ticket = match number {
        None => None,
        Some(_) => Some(FateTicket {
            number: row::word(found, "ticket", "number", |number| number.parse().ok())?,
            relation: relation.as_deref().and_then(Relation::parse),
            kind: row::word(found, "ticket", "kind", Kind::parse)?,
            complete_due: row::maybe_moment(found, "complete_due")?,
            handed_on: row::get::<i64>(found, "handed_on")? == 1,
        }),
    };
    Ok(Fate {
        external_id: ExternalId::new(&row::get::<String>(found, "external_id")?),
        received_at: row::moment(found, "received_at")?,
        place: row::word(found, "entry", "place", Place::parse)?,
        urgency: urgency.as_deref().and_then(Urgency::parse),
        grounds: grounds.and_then(|text| serde_json::from_str(&text).ok()),
        ticket,
    })
}
