//! The transaction that issues: a batch of assessed entries is matched with what is known and becomes complaints,
//! tickets, queue items and notices, all of them or none (design, step 3).

use std::collections::{HashMap, HashSet};

use connectors::{
    complaint::Stamp,
    entry::{ConnectorName, ExternalId, Form, Remark, Revision},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Dialect, Store, StoreError, Write,
    error::failed,
    leases::{Lease, fence},
    row,
};
use crate::{
    assess::{Disposition, Urgency},
    ids::{EntryId, TicketId},
    issue::{
        CopyOf, Known, KnownTicket, Prior, Relation, Ruling,
        planned::{Plan, Serials},
    },
    number::TicketNumber,
    seal::Sealed,
};

/// An entry that waits to be issued.
#[derive(Debug, Clone)]
pub struct PendingEntry {
    /// Its id.
    pub id: EntryId,
    /// The connector that brought it.
    pub connector: ConnectorName,
    /// What the source calls it.
    pub external_id: ExternalId,
    /// Which state of it this is.
    pub revision: Revision,
    /// Form of the raw bytes.
    pub form: Form,
    /// When it was received here.
    pub received_at: Timestamp,
    /// When the source says it came into being.
    pub source_time: Option<Stamp>,
    /// What was noticed on the way.
    pub remarks: Vec<Remark>,
    /// The raw bytes, sealed.
    pub sealed_raw: Sealed,
    /// A person's decision that it is to be issued by, where there is one.
    pub ruling: Option<Ruling>,
    /// How often it was put back on the work list after it had been issued or quarantined.
    pub again: i64,
    /// A column that this version cannot read: the entry goes to quarantine, and its neighbours go on.
    pub unreadable: Option<&'static str>,
}

/// What the plan must know of the world before it matches a batch.
#[derive(Debug, Default)]
pub struct Questions {
    /// Keys of matters.
    pub matters: Vec<Vec<u8>>,
    /// Ids of messages that are answered.
    pub messages: Vec<String>,
    /// Quoted ticket numbers.
    pub quoted: Vec<TicketNumber>,
    /// Keyed hashes of the petitioners who quote them.
    pub quoting: Vec<Vec<u8>>,
    /// Entries that may be a later state of something issued before.
    pub revised: Vec<(EntryId, ConnectorName, ExternalId)>,
    /// Mails that may have come through another connector.
    pub copies: Vec<(EntryId, ConnectorName, ExternalId)>,
    /// Entries that were issued before.
    pub again: Vec<EntryId>,
    /// For each entry, the complaints that the index offers.
    pub alike: HashMap<EntryId, Vec<EntryId>>,
}

/// An open issuing transaction.
pub struct Issuing {
    pub(super) transaction: Write,
    dialect: Dialect,
}

impl Store {
    /// The entries that wait, oldest first, after `after`: at most `items`, and no more than `bytes` beyond the first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn pending(&self, after: EntryId, items: usize, bytes: usize) -> Result<Vec<PendingEntry>, StoreError> {
        let waiting = sqlx::query(
            "SELECT pending.entry_id, entry.size FROM pending JOIN entry ON entry.id = pending.entry_id
             WHERE pending.entry_id > $1 ORDER BY pending.entry_id LIMIT $2",
        )
        .bind(after.0)
        .bind(i64::try_from(items).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading what is pending"))?;
        let mut last = None;
        let mut total: usize = 0;
        for found in &waiting {
            let size: i64 = row::get(found, "size")?;
            total = total.saturating_add(usize::try_from(size).unwrap_or(0));
            if last.is_some() && total > bytes {
                break;
            }
            last = Some(row::get::<i64>(found, "entry_id")?);
        }
        let Some(last) = last else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT entry.id, connector, external_id, revision, form, received_at, source_time, remarks, sealed_raw,
                 pending.ruling, pending.again
             FROM pending JOIN entry ON entry.id = pending.entry_id
             WHERE pending.entry_id > $1 AND pending.entry_id <= $2 ORDER BY pending.entry_id",
        )
        .bind(after.0)
        .bind(last)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading pending entries"))?;
        rows.iter().map(pending_entry).collect()
    }

    /// Petitioners that were sealed last, at most `count`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sealed_lately(&self, count: i64) -> Result<Vec<(EntryId, Sealed)>, StoreError> {
        let rows = sqlx::query("SELECT entry_id, sealed_petitioner FROM complaint ORDER BY entry_id DESC LIMIT $1")
            .bind(count)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading what was sealed lately"))?;
        rows.iter()
            .map(|found| {
                Ok((EntryId(row::get(found, "entry_id")?), Sealed::stored(row::get(found, "sealed_petitioner")?)))
            })
            .collect()
    }

    /// Opens the transaction that issues a batch.
    ///
    /// # Errors
    /// Where the database fails or the lease on issuing is lost.
    pub async fn begin_issuing(&self, lease: &Lease) -> Result<Issuing, StoreError> {
        let mut transaction = self.begin().await?;
        fence(&mut transaction, lease).await?;
        Ok(Issuing { transaction, dialect: self.dialect })
    }
}

pub(super) fn pending_entry(found: &AnyRow) -> Result<PendingEntry, StoreError> {
    let source_time: Option<String> = row::get(found, "source_time")?;
    let form = Form::parse(&row::get::<String>(found, "form")?);
    let remarks: Option<Vec<Remark>> = serde_json::from_str(&row::get::<String>(found, "remarks")?).ok();
    let ruling: Option<String> = row::get(found, "ruling")?;
    let ruling: Option<Option<Ruling>> = ruling.map(|text| serde_json::from_str(&text)).transpose().ok();
    let unreadable = [("form", form.is_none()), ("remarks", remarks.is_none()), ("ruling", ruling.is_none())];
    Ok(PendingEntry {
        id: EntryId(row::get(found, "id")?),
        connector: row::word(found, "entry", "connector", |name| name.parse().ok())?,
        external_id: ExternalId::new(&row::get::<String>(found, "external_id")?),
        revision: Revision::stored(row::get(found, "revision")?),
        form: form.unwrap_or(Form::Json),
        received_at: row::moment(found, "received_at")?,
        source_time: source_time.and_then(|text| serde_json::from_str(&text).ok()),
        remarks: remarks.unwrap_or_default(),
        sealed_raw: Sealed::stored(row::get(found, "sealed_raw")?),
        ruling: ruling.flatten(),
        again: row::get(found, "again")?,
        unreadable: unreadable.into_iter().find_map(|(column, unreadable)| unreadable.then_some(column)),
    })
}

/// `$1, $2, …` for a list in a statement that has `before` values already.
pub(super) fn places(before: usize, count: usize) -> String {
    (1..=count).map(|number| format!("${}", before + number)).collect::<Vec<_>>().join(", ")
}

impl Issuing {
    /// Answers the questions of a plan; matters that were last spoken of before `since` are no longer the same.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn known(&mut self, questions: &Questions, since: Timestamp) -> Result<Known, StoreError> {
        let mut known = Known::default();
        for keys in questions.matters.chunks(LIST) {
            let sql =
                format!("SELECT key, ticket_id FROM matter_key WHERE at >= $1 AND key IN ({})", places(1, keys.len()));
            let query = sqlx::query(AssertSqlSafe(sql)).bind(row::micros(since));
            let query = keys.iter().fold(query, |query, key| query.bind(key.clone()));
            for found in self.all(query, "matching matters").await? {
                known.matters.insert(row::get(&found, "key")?, TicketId(row::get(&found, "ticket_id")?));
            }
        }
        for ids in questions.messages.chunks(LIST) {
            let sql =
                format!("SELECT message_id, ticket_id FROM notice WHERE message_id IN ({})", places(0, ids.len()));
            let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.clone()));
            for found in self.all(query, "matching answered notices").await? {
                let ticket: Option<i64> = row::get(&found, "ticket_id")?;
                known.answered.insert(row::get(&found, "message_id")?, ticket.map(TicketId));
            }
        }
        for (entry, connector, external_id) in &questions.revised {
            let query = sqlx::query(
                "SELECT complaint.ticket_id FROM entry JOIN complaint ON complaint.entry_id = entry.id
                 WHERE entry.connector = $1 AND entry.external_id = $2 AND entry.id <> $3
                     AND complaint.ticket_id IS NOT NULL ORDER BY entry.id DESC LIMIT 1",
            )
            .bind(connector.as_str().to_owned())
            .bind(external_id.as_str().to_owned())
            .bind(entry.0);
            for found in self.all(query, "matching earlier states").await? {
                known.earlier.insert(*entry, TicketId(row::get(&found, "ticket_id")?));
            }
        }
        self.known_copies(questions, &mut known).await?;
        for ids in questions.again.chunks(LIST) {
            let sql = format!(
                "SELECT entry_id, ticket_id, relation, disposition FROM complaint WHERE entry_id IN ({})",
                places(0, ids.len())
            );
            let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.0));
            for found in self.all(query, "reading earlier verdicts").await? {
                let ticket: Option<i64> = row::get(&found, "ticket_id")?;
                let relation: Option<String> = row::get(&found, "relation")?;
                let disposition = row::word(&found, "complaint", "disposition", Disposition::parse)?;
                known.prior.insert(
                    EntryId(row::get(&found, "entry_id")?),
                    Prior {
                        ticket: ticket.map(TicketId),
                        relation: relation.as_deref().and_then(Relation::parse),
                        disposition,
                    },
                );
            }
        }
        self.known_quoted(questions, &mut known).await?;
        self.known_neighbours(questions, &mut known).await?;
        self.known_tickets(&mut known).await?;
        Ok(known)
    }

    /// The first entry of the same name that another connector brought and that is issued.
    async fn known_copies(&mut self, questions: &Questions, known: &mut Known) -> Result<(), StoreError> {
        for asked in questions.copies.chunks(LIST) {
            let sql = format!(
                "SELECT entry.id, entry.connector, entry.external_id, complaint.ticket_id
                 FROM entry JOIN complaint ON complaint.entry_id = entry.id
                 WHERE entry.form = 'mail' AND entry.external_id IN ({}) ORDER BY entry.id DESC",
                places(0, asked.len())
            );
            let query = asked
                .iter()
                .fold(sqlx::query(AssertSqlSafe(sql)), |query, (.., name)| query.bind(name.as_str().to_owned()));
            for found in self.all(query, "matching copies of mails").await? {
                let (connector, name): (String, String) =
                    (row::get(&found, "connector")?, row::get(&found, "external_id")?);
                let ticket: Option<i64> = row::get(&found, "ticket_id")?;
                let copy = CopyOf { entry: EntryId(row::get(&found, "id")?), ticket: ticket.map(TicketId) };
                for (entry, own, own_name) in asked {
                    if own_name.as_str() == name && own.as_str() != connector && *entry != copy.entry {
                        known.copies.insert(*entry, copy);
                    }
                }
            }
        }
        Ok(())
    }

    async fn known_quoted(&mut self, questions: &Questions, known: &mut Known) -> Result<(), StoreError> {
        for numbers in questions.quoted.chunks(LIST) {
            let sql = format!(
                "SELECT COALESCE(merged_into, id) AS id, number FROM ticket WHERE number IN ({})",
                places(0, numbers.len())
            );
            let query =
                numbers.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, number| query.bind(number.to_string()));
            for found in self.all(query, "matching quoted tickets").await? {
                let number = row::word(&found, "ticket", "number", |number| number.parse().ok())?;
                known.quoted.insert(number, TicketId(row::get(&found, "id")?));
            }
        }
        let quoted: Vec<TicketId> = known.quoted.values().copied().collect();
        for tickets in quoted.chunks(LIST) {
            for keys in questions.quoting.chunks(LIST) {
                let sql = format!(
                    "SELECT DISTINCT petitioner_key.key, complaint.ticket_id
                     FROM petitioner_key JOIN complaint ON complaint.entry_id = petitioner_key.entry_id
                     WHERE complaint.ticket_id IN ({}) AND petitioner_key.key IN ({})",
                    places(0, tickets.len()),
                    places(tickets.len(), keys.len())
                );
                let query = tickets.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, ticket| query.bind(ticket.0));
                let query = keys.iter().fold(query, |query, key| query.bind(key.clone()));
                for found in self.all(query, "matching who quotes a ticket").await? {
                    known.belongs.insert((row::get(&found, "key")?, TicketId(row::get(&found, "ticket_id")?)));
                }
            }
        }
        Ok(())
    }

    async fn known_tickets(&mut self, known: &mut Known) -> Result<(), StoreError> {
        let mut ids: HashSet<TicketId> = known.matters.values().copied().collect();
        ids.extend(known.answered.values().flatten());
        ids.extend(known.quoted.values());
        ids.extend(known.earlier.values());
        ids.extend(known.copies.values().filter_map(|copy| copy.ticket));
        ids.extend(known.prior.values().filter_map(|prior| prior.ticket));
        ids.extend(known.neighbours.values().map(|neighbour| neighbour.ticket));
        let mut merged: HashMap<TicketId, TicketId> = HashMap::new();
        let mut asked: Vec<TicketId> = ids.into_iter().collect();
        // A ticket that was merged into another leads there; what that one was merged into is read in the next round.
        while !asked.is_empty() {
            self.read_tickets(&asked, known, &mut merged).await?;
            asked = merged.values().filter(|ticket| !known.tickets.contains_key(ticket)).copied().collect();
            asked.sort_unstable();
            asked.dedup();
        }
        if !merged.is_empty() {
            known.follow(&merged);
        }
        Ok(())
    }

    async fn read_tickets(
        &mut self,
        ids: &[TicketId],
        known: &mut Known,
        merged: &mut HashMap<TicketId, TicketId>,
    ) -> Result<(), StoreError> {
        for ids in ids.chunks(LIST) {
            let sql = format!(
                "SELECT id, number, urgency, repeats, complete_due, merged_into FROM ticket WHERE id IN ({})",
                places(0, ids.len())
            );
            let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.0));
            for found in self.all(query, "reading matched tickets").await? {
                let id = TicketId(row::get(&found, "id")?);
                if let Some(into) = row::get::<Option<i64>>(&found, "merged_into")? {
                    merged.insert(id, TicketId(into));
                }
                known.tickets.insert(
                    id,
                    KnownTicket {
                        number: row::word(&found, "ticket", "number", |number| number.parse().ok())?,
                        urgency: row::word(&found, "ticket", "urgency", Urgency::parse)?,
                        repeats: row::get(&found, "repeats")?,
                        complete_due: row::maybe_moment(&found, "complete_due")?,
                    },
                );
            }
        }
        Ok(())
    }

    pub(super) async fn all(
        &mut self,
        query: super::batch::Binding,
        doing: &'static str,
    ) -> Result<Vec<AnyRow>, StoreError> {
        query.fetch_all(&mut *self.transaction).await.map_err(failed(doing))
    }

    /// Where the serials of a day's tickets, and the ids of all tickets, were left off. Held until the commit.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn serials(&mut self, day: &str) -> Result<Serials, StoreError> {
        Ok(Serials {
            day: self.counter(day).await?,
            ticket: self.counter(TICKETS).await?,
            signature: self.counter(super::matching::SIGNATURES).await?,
        })
    }

    pub(super) async fn counter(&mut self, name: &str) -> Result<i64, StoreError> {
        let query = sqlx::query(
            "INSERT INTO counter (name, value) VALUES ($1, 0)
             ON CONFLICT (name) DO UPDATE SET value = counter.value RETURNING value",
        )
        .bind(name.to_owned());
        let found = query.fetch_one(&mut *self.transaction).await.map_err(failed("reading a counter"))?;
        row::get(&found, "value")
    }

    /// Writes a plan and commits it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where an entry of it does not wait any more as it was read; otherwise where the database
    /// fails. Nothing of the plan is written.
    pub async fn write(mut self, plan: &Plan, day: &str) -> Result<(), StoreError> {
        super::plan::write(&mut self.transaction, self.dialect, plan).await?;
        let counters = [
            (day, plan.serials.day),
            (TICKETS, plan.serials.ticket),
            (super::matching::SIGNATURES, plan.serials.signature),
        ];
        for (name, value) in counters {
            sqlx::query("UPDATE counter SET value = $1 WHERE name = $2")
                .bind(value)
                .bind(name.to_owned())
                .execute(&mut *self.transaction)
                .await
                .map_err(failed("moving a counter"))?;
        }
        self.transaction.commit().await.map_err(failed("committing what was issued"))
    }
}

/// Values of one list in a statement.
pub(super) const LIST: usize = 200;
/// The counter of ticket ids.
const TICKETS: &str = "ticket";
