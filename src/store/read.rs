//! What the API and the command line show: tickets as handlers see them, entries and where each of them ended, and the
//! sums that prove that nothing was lost. Nothing here is unsealed.

use connectors::entry::{ConnectorName, Remark};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{Store, StoreError, error::failed, row};
use crate::{
    assess::{Disposition, Grounds, Kind, ShownComplaint, Urgency},
    ids::{EntryId, TicketId},
    issue::Relation,
    matching::Matching,
    number::TicketNumber,
    seal::Sealed,
};

/// Complaints of one ticket that are shown with it, the opening one first; the counts tell the rest.
const SHOWN_COMPLAINTS: i64 = 50;

/// A ticket as handlers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TicketView {
    /// Id.
    pub id: TicketId,
    /// Number.
    #[schema(value_type = String, example = "261123-000042-8")]
    pub number: TicketNumber,
    /// Where its first citizen spoke.
    pub channel: String,
    /// Kind of request (Article 15).
    pub kind: Kind,
    /// How soon.
    pub urgency: Urgency,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// When a handling unit must have it (Article 14).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub assign_due: Option<Timestamp>,
    /// When it must be answered (Article 15).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub complete_due: Option<Timestamp>,
    /// Why a due time is not known.
    pub due_note: Option<String>,
    /// Raised by everything that joins it.
    pub version: i64,
    /// Repeats (重复).
    pub repeats: i64,
    /// Co-reports (同类), each still owed an answer.
    pub co_reports: i64,
    /// Follow-ups (补充).
    pub follow_ups: i64,
    /// Revisions at the source.
    pub revisions: i64,
    /// The ticket that it was merged into; nothing is left to be done about it then.
    #[schema(value_type = Option<String>, example = "261123-000042-8")]
    pub merged_into: Option<TicketNumber>,
    /// Its complaints, the first 50.
    pub complaints: Vec<ComplaintView>,
}

/// A complaint as handlers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComplaintView {
    /// Its entry.
    pub entry: EntryId,
    /// How it stands to its ticket.
    pub relation: Option<Relation>,
    /// What was decided.
    pub disposition: Disposition,
    /// Why.
    pub grounds: Grounds,
    /// Kind of request.
    pub kind: Kind,
    /// Whether the kind is beyond doubt.
    pub kind_certain: bool,
    /// How soon.
    pub urgency: Urgency,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// What it says, masked.
    pub shown: ShownComplaint,
    /// By which signs it was joined, and which tickets are related to it.
    pub matching: Matching,
}

/// Where an entry ended (design promise 1: in exactly one place).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On the work list.
    Pending,
    /// In a ticket.
    Ticket,
    /// 引导.
    Guided,
    /// 不予受理.
    Declined,
    /// 待人工.
    Held,
    /// 隔离.
    Quarantine,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Ticket, Self::Guided, Self::Declined, Self::Held, Self::Quarantine];

    /// The name under which it is reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ticket => "ticket",
            Self::Guided => "guided",
            Self::Declined => "declined",
            Self::Held => "held",
            Self::Quarantine => "quarantine",
        }
    }

    /// The place with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.as_str() == name)
    }
}

/// An entry in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EntrySummary {
    /// Id.
    pub id: EntryId,
    /// The connector that brought it.
    #[schema(value_type = String)]
    pub connector: ConnectorName,
    /// What the source calls it.
    pub external_id: String,
    /// Which state of it this is.
    pub revision: String,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// Form of the raw bytes: mail, json, row.
    pub form: String,
    /// Bytes.
    pub size: i64,
    /// Where it ended.
    pub place: Place,
    /// Its ticket.
    #[schema(value_type = Option<String>, example = "261123-000042-8")]
    pub ticket: Option<TicketNumber>,
    /// Title, masked.
    pub subject: Option<String>,
    /// Title, or else the beginning of the text, masked.
    pub title: Option<String>,
    /// The article it was decided on.
    pub article: Option<String>,
    /// The rule.
    pub rule: Option<String>,
    /// Why it is in quarantine.
    pub quarantine_reason: Option<String>,
}

/// One entry's whole story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EntryStory {
    /// What a list shows.
    pub summary: EntrySummary,
    /// What was noticed at intake.
    #[schema(value_type = Vec<Object>)]
    pub remarks: Vec<Remark>,
    /// What became of it.
    pub complaint: Option<ComplaintView>,
    /// Every decision about it, in order.
    pub decisions: Vec<DecisionView>,
    /// What its petitioner was told.
    pub notices: Vec<super::notices::ShownNotice>,
}

/// A decision about an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DecisionView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// What.
    pub disposition: Disposition,
    /// On which article.
    pub article: String,
    /// By which rule.
    pub rule: String,
    /// Why, where a person decided.
    pub reason: Option<String>,
    /// What it rested on; decisions of earlier versions, and those about tickets, have none.
    pub grounds: Option<Grounds>,
}

/// How many entries there are and where they ended: the sum check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Accounting {
    /// Entries.
    pub entries: i64,
    /// On the work list for the first time.
    pub pending: i64,
    /// In tickets.
    pub in_tickets: i64,
    /// 引导.
    pub guided: i64,
    /// 不予受理.
    pub declined: i64,
    /// 待人工.
    pub held: i64,
    /// 隔离.
    pub quarantined: i64,
    /// Tickets.
    pub tickets: i64,
    /// Pieces of items that came piece by piece.
    pub fragments: i64,
    /// Pieces of items that are not whole yet.
    pub fragments_open: i64,
    /// Pieces that are part of an entry.
    pub fragments_joined: i64,
    /// Pieces that make no entry, by their connector's settings.
    pub fragments_dropped: i64,
}

impl Accounting {
    /// Whether every entry, and every piece of one, ended or waits in exactly one place.
    pub fn balances(self) -> bool {
        let entries = self.pending + self.in_tickets + self.guided + self.declined + self.held + self.quarantined;
        let fragments = self.fragments_open + self.fragments_joined + self.fragments_dropped;
        self.entries == entries && self.fragments == fragments
    }
}

const TICKET: &str = "SELECT id, number, channel, kind, urgency, opened_at, assign_due, complete_due, due_note, version, \
                      repeats, co_reports, follow_ups, revisions, \
                      (SELECT kept.number FROM ticket kept WHERE kept.id = ticket.merged_into) AS kept FROM ticket";

pub(super) const COMPLAINT: &str = "SELECT entry_id, relation, disposition, grounds, kind, kind_certain, urgency, issued_at, shown, \
                         matching \
                         FROM complaint";

/// Exactly one place for each entry, the surest first.
pub(super) const PLACE: &str = "CASE WHEN complaint.ticket_id IS NOT NULL THEN 'ticket'
    WHEN complaint.disposition = 'guide' THEN 'guided'
    WHEN complaint.disposition = 'decline' THEN 'declined'
    WHEN complaint.disposition IS NOT NULL THEN 'held'
    WHEN quarantine.entry_id IS NOT NULL THEN 'quarantine'
    ELSE 'pending' END";

/// Names of the sums that stand beside the places'.
const ENTRIES: &str = "all entries";
const TICKETS: &str = "all tickets";
const FRAGMENTS: &str = "all fragments";
const OPEN: &str = "fragments open";
const JOINED: &str = "fragments joined";
const DROPPED: &str = "fragments dropped";
/// Of an entry that waits nowhere and ended nowhere. It is in the sum of all entries and in no other: it must not pass for
/// one that waits.
const LOST: &str = "nowhere";

impl Store {
    /// A ticket by its number.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn ticket(&self, number: TicketNumber) -> Result<TicketView, StoreError> {
        let found = sqlx::query(AssertSqlSafe(format!("{TICKET} WHERE number = $1")))
            .bind(number.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a ticket"))?;
        match found {
            Some(found) => self.with_complaints(&found).await,
            None => Err(StoreError::Missing { what: "ticket", name: number.to_string() }),
        }
    }

    /// A ticket by its id.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn ticket_by_id(&self, id: TicketId) -> Result<TicketView, StoreError> {
        let found = sqlx::query(AssertSqlSafe(format!("{TICKET} WHERE id = $1")))
            .bind(id.0)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a ticket"))?;
        match found {
            Some(found) => self.with_complaints(&found).await,
            None => Err(StoreError::Missing { what: "ticket", name: id.0.to_string() }),
        }
    }

    /// Tickets, newest first, before `before`; each with its opening complaint only.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn tickets(&self, before: Option<TicketId>, limit: i64) -> Result<Vec<TicketView>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!("{TICKET} WHERE id < $1 ORDER BY id DESC LIMIT $2")))
            .bind(before.map_or(i64::MAX, |before| before.0))
            .bind(limit)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading tickets"))?;
        let mut tickets = Vec::with_capacity(rows.len());
        for found in &rows {
            let mut ticket = ticket(found)?;
            ticket.complaints = self.complaints_of(ticket.id, 1).await?;
            tickets.push(ticket);
        }
        Ok(tickets)
    }

    async fn with_complaints(&self, found: &AnyRow) -> Result<TicketView, StoreError> {
        let mut ticket = ticket(found)?;
        ticket.complaints = self.complaints_of(ticket.id, SHOWN_COMPLAINTS).await?;
        Ok(ticket)
    }

    async fn complaints_of(&self, ticket: TicketId, limit: i64) -> Result<Vec<ComplaintView>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!("{COMPLAINT} WHERE ticket_id = $1 ORDER BY entry_id LIMIT $2")))
            .bind(ticket.0)
            .bind(limit)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading complaints"))?;
        rows.iter().map(complaint).collect()
    }

    /// One entry's whole story.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn entry(&self, id: EntryId) -> Result<EntryStory, StoreError> {
        let found = sqlx::query(AssertSqlSafe(summary_sql("entry.id = $1")))
            .bind(id.0)
            .bind(1_i64)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading an entry"))?;
        let Some(found) = found else { return Err(StoreError::Missing { what: "entry", name: id.to_string() }) };
        let decisions = sqlx::query(
            "SELECT at, actor, disposition, article, rule, reason, grounds FROM decision WHERE entry_id = $1 ORDER BY id",
        )
        .bind(id.0)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading decisions"))?;
        let complaint_row = sqlx::query(AssertSqlSafe(format!("{COMPLAINT} WHERE entry_id = $1")))
            .bind(id.0)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a complaint"))?;
        Ok(EntryStory {
            summary: summary(&found)?,
            remarks: row::json(&found, "entry", "remarks")?,
            complaint: complaint_row.as_ref().map(complaint).transpose()?,
            decisions: decisions.iter().map(decision).collect::<Result<_, _>>()?,
            notices: self.notices_about(id).await?,
        })
    }

    /// The raw bytes of an entry, sealed, with what they are sealed to: connector, external id and revision.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn sealed_raw(&self, id: EntryId) -> Result<(Sealed, [String; 3]), StoreError> {
        let found = sqlx::query("SELECT connector, external_id, revision, sealed_raw FROM entry WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading an entry"))?;
        let Some(found) = found else { return Err(StoreError::Missing { what: "entry", name: id.to_string() }) };
        let place = [row::get(&found, "connector")?, row::get(&found, "external_id")?, row::get(&found, "revision")?];
        Ok((Sealed::stored(row::get(&found, "sealed_raw")?), place))
    }

    /// The petitioner of an entry, sealed.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn sealed_petitioner(&self, id: EntryId) -> Result<Sealed, StoreError> {
        let found = sqlx::query("SELECT sealed_petitioner FROM complaint WHERE entry_id = $1")
            .bind(id.0)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a petitioner"))?;
        match found {
            Some(found) => Ok(Sealed::stored(row::get(&found, "sealed_petitioner")?)),
            None => Err(StoreError::Missing { what: "petitioner of entry", name: id.to_string() }),
        }
    }

    /// The sum check.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn accounting(&self) -> Result<Accounting, StoreError> {
        // One statement, and so one moment: sums of two moments do not balance while entries arrive.
        let sql = format!(
            "SELECT place, COUNT(*) AS entries FROM (SELECT
                     CASE WHEN {PLACE} = 'pending' AND pending.entry_id IS NULL THEN '{LOST}' ELSE {PLACE} END AS place
                 FROM entry LEFT JOIN complaint ON complaint.entry_id = entry.id
                 LEFT JOIN quarantine ON quarantine.entry_id = entry.id
                 LEFT JOIN pending ON pending.entry_id = entry.id) placed GROUP BY place
             UNION ALL SELECT '{ENTRIES}', COUNT(*) FROM entry
             UNION ALL SELECT '{TICKETS}', COUNT(*) FROM ticket
             UNION ALL SELECT '{FRAGMENTS}', COUNT(*) FROM fragment
             UNION ALL SELECT '{JOINED}', COUNT(*) FROM fragment WHERE entry_id IS NOT NULL
             UNION ALL SELECT '{DROPPED}', COUNT(*) FROM fragment WHERE entry_id IS NULL AND dropped IS NOT NULL
             UNION ALL SELECT '{OPEN}', COUNT(*) FROM fragment
                 JOIN gathering ON gathering.connector = fragment.connector AND gathering.item = fragment.item
                 WHERE fragment.entry_id IS NULL AND fragment.dropped IS NULL"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.read).await.map_err(failed("adding up entries"))?;
        let mut accounting = Accounting::default();
        for found in &rows {
            let sum = match row::get::<String>(found, "place")?.as_str() {
                LOST => continue,
                ENTRIES => &mut accounting.entries,
                TICKETS => &mut accounting.tickets,
                FRAGMENTS => &mut accounting.fragments,
                OPEN => &mut accounting.fragments_open,
                JOINED => &mut accounting.fragments_joined,
                DROPPED => &mut accounting.fragments_dropped,
                place => match Place::parse(place) {
                    Some(Place::Pending) => &mut accounting.pending,
                    Some(Place::Ticket) => &mut accounting.in_tickets,
                    Some(Place::Guided) => &mut accounting.guided,
                    Some(Place::Declined) => &mut accounting.declined,
                    Some(Place::Held) => &mut accounting.held,
                    Some(Place::Quarantine) => &mut accounting.quarantined,
                    None => return Err(StoreError::Unreadable { table: "entry", what: "place" }),
                },
            };
            *sum = row::get(found, "entries")?;
        }
        Ok(accounting)
    }

    /// How many entries wait to be issued.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn pending_count(&self) -> Result<i64, StoreError> {
        let found = sqlx::query("SELECT COUNT(*) AS pending FROM pending")
            .fetch_one(&self.read)
            .await
            .map_err(failed("counting what is pending"))?;
        row::get(&found, "pending")
    }
}

pub(super) fn summary_sql(conditions: &str) -> String {
    format!(
        "SELECT entry.id, entry.connector, entry.external_id, entry.revision, entry.received_at, entry.form, entry.size,
             entry.remarks, {PLACE} AS place, ticket.number, complaint.shown, complaint.article, complaint.rule,
             quarantine.reason
         FROM entry LEFT JOIN complaint ON complaint.entry_id = entry.id
             LEFT JOIN quarantine ON quarantine.entry_id = entry.id
             LEFT JOIN ticket ON ticket.id = complaint.ticket_id
         WHERE {conditions} ORDER BY entry.id DESC LIMIT $2"
    )
}

pub(super) fn summary(found: &AnyRow) -> Result<EntrySummary, StoreError> {
    let shown: Option<String> = row::get(found, "shown")?;
    let shown: Option<ShownComplaint> = shown
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| StoreError::Unreadable { table: "complaint", what: "shown" })?;
    let number: Option<String> = row::get(found, "number")?;
    Ok(EntrySummary {
        id: EntryId(row::get(found, "id")?),
        connector: row::word(found, "entry", "connector", |name| name.parse().ok())?,
        external_id: row::get(found, "external_id")?,
        revision: row::get(found, "revision")?,
        received_at: row::moment(found, "received_at")?,
        form: row::get(found, "form")?,
        size: row::get(found, "size")?,
        place: row::word(found, "entry", "place", Place::parse)?,
        ticket: number.and_then(|number| number.parse().ok()),
        title: shown.as_ref().map(ShownComplaint::title),
        subject: shown.and_then(|shown| shown.subject),
        article: row::get(found, "article")?,
        rule: row::get(found, "rule")?,
        quarantine_reason: row::get(found, "reason")?,
    })
}

fn ticket(found: &AnyRow) -> Result<TicketView, StoreError> {
    Ok(TicketView {
        id: TicketId(row::get(found, "id")?),
        number: row::word(found, "ticket", "number", |number| number.parse().ok())?,
        channel: row::get(found, "channel")?,
        kind: row::word(found, "ticket", "kind", Kind::parse)?,
        urgency: row::word(found, "ticket", "urgency", Urgency::parse)?,
        opened_at: row::moment(found, "opened_at")?,
        assign_due: row::maybe_moment(found, "assign_due")?,
        complete_due: row::maybe_moment(found, "complete_due")?,
        due_note: row::get(found, "due_note")?,
        version: row::get(found, "version")?,
        repeats: row::get(found, "repeats")?,
        co_reports: row::get(found, "co_reports")?,
        follow_ups: row::get(found, "follow_ups")?,
        revisions: row::get(found, "revisions")?,
        merged_into: row::get::<Option<String>>(found, "kept")?.and_then(|number| number.parse().ok()),
        complaints: Vec::new(),
    })
}

pub(super) fn complaint(found: &AnyRow) -> Result<ComplaintView, StoreError> {
    let relation: Option<String> = row::get(found, "relation")?;
    Ok(ComplaintView {
        entry: EntryId(row::get(found, "entry_id")?),
        relation: relation.as_deref().and_then(Relation::parse),
        disposition: row::word(found, "complaint", "disposition", Disposition::parse)?,
        grounds: row::json(found, "complaint", "grounds")?,
        kind: row::word(found, "complaint", "kind", Kind::parse)?,
        kind_certain: row::get::<i64>(found, "kind_certain")? != 0,
        urgency: row::word(found, "complaint", "urgency", Urgency::parse)?,
        issued_at: row::moment(found, "issued_at")?,
        shown: row::json(found, "complaint", "shown")?,
        // Complaints of earlier versions have none.
        matching: match row::get::<Option<String>>(found, "matching")? {
            Some(_) => row::json(found, "complaint", "matching")?,
            None => Matching::default(),
        },
    })
}

fn decision(found: &AnyRow) -> Result<DecisionView, StoreError> {
    Ok(DecisionView {
        at: row::moment(found, "at")?,
        actor: row::get(found, "actor")?,
        disposition: row::word(found, "decision", "disposition", Disposition::parse)?,
        article: row::get(found, "article")?,
        rule: row::get(found, "rule")?,
        reason: row::get(found, "reason")?,
        grounds: match row::get::<Option<String>>(found, "grounds")? {
            Some(_) => row::json(found, "decision", "grounds")?,
            None => None,
        },
    })
}
