//! Hot spots: matters that many people report, with how large they are, how they grow, where and since when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, error::failed, row};
use crate::{
    assess::{Kind, ShownComplaint, Urgency},
    ids::EntryId,
    matching::Matching,
    number::TicketNumber,
};

/// Tickets that are looked at for one list, those with the most co-reports.
const LOOKED_AT: i64 = 500;

/// A matter that many people report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HotSpot {
    /// Its ticket.
    #[schema(value_type = String, example = "261123-000042-8")]
    pub number: TicketNumber,
    /// Title of the complaint that opened it, or its beginning; masked.
    pub title: String,
    /// Where it is, as far as it is told.
    pub place: Option<String>,
    /// Kind of request.
    pub kind: Kind,
    /// How soon.
    pub urgency: Urgency,
    /// Complaints in all.
    pub complaints: i64,
    /// Petitioners besides the first, each owed an answer.
    pub co_reports: i64,
    /// Complaints in the period.
    pub recent: i64,
    /// Complaints in the period of the same length before it.
    pub before: i64,
    /// How much more than before: `recent` less `before`.
    pub growth: i64,
    /// When it was first told.
    #[schema(value_type = String, format = DateTime)]
    pub first_at: Timestamp,
    /// When it was last told.
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Timestamp,
}

impl Store {
    /// Matters with at least `least` complaints since `since`, the most first; `before` begins the period that they are
    /// compared with.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn hot_spots(
        &self,
        since: Timestamp,
        before: Timestamp,
        least: i64,
        limit: usize,
    ) -> Result<Vec<HotSpot>, StoreError> {
        let rows = sqlx::query(
            "SELECT shared.id, shared.number, shared.entry_id, shared.kind, shared.urgency, shared.co_reports,
                 COUNT(*) AS complaints, COUNT(CASE WHEN issued_at >= $1 THEN 1 END) AS recent,
                 COUNT(CASE WHEN issued_at >= $2 AND issued_at < $1 THEN 1 END) AS earlier,
                 MIN(issued_at) AS first_at, MAX(issued_at) AS last_at
             FROM (SELECT id, number, entry_id, kind, urgency, co_reports FROM ticket
                   WHERE co_reports > 0 AND updated_at >= $1 AND merged_into IS NULL
                   ORDER BY co_reports DESC, id LIMIT $3) shared
             JOIN complaint ON complaint.ticket_id = shared.id
             GROUP BY shared.id, shared.number, shared.entry_id, shared.kind, shared.urgency, shared.co_reports",
        )
        .bind(row::micros(since))
        .bind(row::micros(before))
        .bind(LOOKED_AT)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading hot spots"))?;
        let mut counted = Vec::new();
        for found in &rows {
            let (recent, earlier): (i64, i64) = (row::get(found, "recent")?, row::get(found, "earlier")?);
            if recent >= least {
                counted.push((recent, recent - earlier, row::get::<i64>(found, "id")?, found));
            }
        }
        counted.sort_by_key(|(recent, growth, id, _)| (std::cmp::Reverse(*recent), std::cmp::Reverse(*growth), *id));
        let mut spots = Vec::new();
        for (recent, growth, _, found) in counted.into_iter().take(limit) {
            let (title, place) = self.title_and_place(EntryId(row::get(found, "entry_id")?)).await?;
            spots.push(HotSpot {
                number: row::word(found, "ticket", "number", |number| number.parse().ok())?,
                title,
                place,
                kind: row::word(found, "ticket", "kind", Kind::parse)?,
                urgency: row::word(found, "ticket", "urgency", Urgency::parse)?,
                complaints: row::get(found, "complaints")?,
                co_reports: row::get(found, "co_reports")?,
                recent,
                before: recent - growth,
                growth,
                first_at: row::moment(found, "first_at")?,
                last_at: row::moment(found, "last_at")?,
            });
        }
        Ok(spots)
    }

    async fn title_and_place(&self, entry: EntryId) -> Result<(String, Option<String>), StoreError> {
        let found = sqlx::query("SELECT shown, matching FROM complaint WHERE entry_id = $1")
            .bind(entry.0)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a hot spot"))?;
        let Some(found) = found else { return Ok((String::new(), None)) };
        let shown: ShownComplaint = row::json(&found, "complaint", "shown")?;
        let matching: Option<Matching> = match row::get::<Option<String>>(&found, "matching")? {
            Some(_) => Some(row::json(&found, "complaint", "matching")?),
            None => None,
        };
        let title = shown.title();
        Ok((title, shown.place.or(matching.and_then(|matching| matching.place))))
    }
}
