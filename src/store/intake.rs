//! Entries go in with their connector's cursor in one transaction, and an item that was seen before changes nothing.
//! The unique keys of the table decide what was seen before, not a question asked first.

use std::collections::HashMap;

use connectors::{
    complaint::Stamp,
    contract::Cursor,
    entry::{ConnectorName, ExternalId, Form, Remark, Revision},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError, Write,
    batch::ManyRows,
    error::failed,
    fragments::NewFragment,
    leases::{Lease, fence},
    row,
};
use crate::{ids::EntryId, seal::Sealed};

/// An item on its way into the store; what is personal is sealed already.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The connector that brought it.
    pub connector: ConnectorName,
    /// What the source calls it.
    pub external_id: ExternalId,
    /// Which state of it this is.
    pub revision: Revision,
    /// The delivery that brought it.
    pub delivery_id: Option<String>,
    /// Form of the raw bytes.
    pub form: Form,
    /// When it was received here.
    pub received_at: Timestamp,
    /// When the source says it came into being.
    pub source_time: Option<Stamp>,
    /// What was noticed on the way.
    pub remarks: Vec<Remark>,
    /// Bytes before sealing.
    pub size: usize,
    /// The raw bytes, sealed.
    pub sealed_raw: Sealed,
    /// Why it could not be read, where it could not: it goes to quarantine.
    pub unread: Option<String>,
}

/// What intake brings.
#[derive(Debug, Clone)]
pub enum NewItem {
    /// A whole item.
    Entry(NewEntry),
    /// A piece of one.
    Fragment(NewFragment),
}

impl From<NewEntry> for NewItem {
    fn from(entry: NewEntry) -> Self {
        Self::Entry(entry)
    }
}

impl NewItem {
    /// The connector that brought it.
    pub fn connector(&self) -> &ConnectorName {
        match self {
            Self::Entry(entry) => &entry.connector,
            Self::Fragment(fragment) => &fragment.connector,
        }
    }

    /// When it was received here.
    pub fn received_at(&self) -> Timestamp {
        match self {
            Self::Entry(entry) => entry.received_at,
            Self::Fragment(fragment) => fragment.received_at,
        }
    }
}

/// What became of an item at intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// Stored, and now pending.
    Stored(EntryId),
    /// Seen before: nothing changed.
    Repeat,
    /// Stored, and quarantined because it could not be read.
    Quarantined(EntryId),
    /// A piece of an item, stored until the item is whole.
    Kept,
    /// Not stored: it is new, and its delivery bears the id of one that brought another item.
    Reused,
}

/// Where a page came from: whoever has lost the lease, or reads by a definition that has changed, commits nothing.
#[derive(Debug, Clone)]
pub struct PageOrigin<'a> {
    /// The connector.
    pub connector: &'a ConnectorName,
    /// The lease on its source.
    pub lease: &'a Lease,
    /// The generation of the definition that its task was built from.
    pub generation: i64,
}

const ENTRIES: ManyRows = ManyRows {
    doing: "storing entries",
    head: "INSERT INTO entry (connector, external_id, revision, delivery_id, form, received_at, source_time, remarks, \
           size, sealed_raw) VALUES ",
    tail: " ON CONFLICT DO NOTHING RETURNING id, connector, external_id, revision",
    columns: 10,
};

const PENDING: ManyRows =
    ManyRows { doing: "marking entries pending", head: "INSERT INTO pending (entry_id) VALUES ", tail: "", columns: 1 };

const QUARANTINE: ManyRows = ManyRows {
    doing: "quarantining entries",
    head: "INSERT INTO quarantine (entry_id, at, stage, reason) VALUES ",
    tail: "",
    columns: 4,
};

impl Store {
    /// Stores what was pushed. Returns, in order, what became of each; after it returns they are on disk.
    ///
    /// # Errors
    /// Where the database fails: nothing is stored.
    pub async fn take_deliveries(&self, items: &[NewItem]) -> Result<Vec<Taken>, StoreError> {
        let mut transaction = self.begin().await?;
        let taken = self.insert_items(&mut transaction, items).await?;
        transaction.commit().await.map_err(failed("committing deliveries"))?;
        Ok(taken)
    }

    /// Stores a page and moves its connector's cursor, or does neither.
    ///
    /// # Errors
    /// Where the database fails, the lease is lost or the definition has changed: nothing is stored.
    pub async fn take_page(
        &self,
        origin: &PageOrigin<'_>,
        cursor: &Cursor,
        items: &[NewItem],
    ) -> Result<Vec<Taken>, StoreError> {
        let mut transaction = self.begin().await?;
        fence(&mut transaction, origin.lease).await?;
        let moved = sqlx::query("UPDATE connector SET cursor = $1 WHERE name = $2 AND generation = $3")
            .bind(cursor.0.to_string())
            .bind(origin.connector.as_str().to_owned())
            .bind(origin.generation)
            .execute(&mut *transaction)
            .await
            .map_err(failed("moving a cursor"))?;
        if moved.rows_affected() != 1 {
            return Err(StoreError::Conflict(format!("connector {} was changed meanwhile", origin.connector)));
        }
        let taken = self.insert_items(&mut transaction, items).await?;
        transaction.commit().await.map_err(failed("committing a page"))?;
        Ok(taken)
    }

    async fn insert_items(&self, transaction: &mut Write, items: &[NewItem]) -> Result<Vec<Taken>, StoreError> {
        let (mut entries, mut fragments) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            match item {
                NewItem::Entry(entry) => entries.push(entry),
                NewItem::Fragment(fragment) => fragments.push(fragment),
            }
        }
        let mut entries = self.insert(transaction, &entries).await?.into_iter();
        let mut fragments = self.insert_fragments(transaction, &fragments).await?.into_iter();
        let in_order = items.iter().filter_map(|item| match item {
            NewItem::Entry(_) => entries.next(),
            NewItem::Fragment(_) => fragments.next(),
        });
        Ok(in_order.collect())
    }

    pub(super) async fn insert(
        &self,
        transaction: &mut Write,
        entries: &[&NewEntry],
    ) -> Result<Vec<Taken>, StoreError> {
        let returned = ENTRIES
            .run(self.dialect, transaction, entries, |query, entry| {
                query
                    .bind(entry.connector.as_str().to_owned())
                    .bind(entry.external_id.as_str().to_owned())
                    .bind(entry.revision.as_str().to_owned())
                    .bind(entry.delivery_id.clone())
                    .bind(entry.form.as_str())
                    .bind(row::micros(entry.received_at))
                    .bind(entry.source_time.and_then(|stamp| serde_json::to_string(&stamp).ok()))
                    .bind(serde_json::to_string(&entry.remarks).unwrap_or_else(|_| "[]".to_owned()))
                    .bind(i64::try_from(entry.size).unwrap_or(i64::MAX))
                    .bind(entry.sealed_raw.as_bytes().to_vec())
            })
            .await?;
        let mut new: HashMap<(String, String, String), EntryId> = HashMap::with_capacity(returned.len());
        for returned in &returned {
            let key =
                (row::get(returned, "connector")?, row::get(returned, "external_id")?, row::get(returned, "revision")?);
            new.insert(key, EntryId(row::get(returned, "id")?));
        }
        let mut pending = Vec::with_capacity(new.len());
        let mut quarantined = Vec::new();
        let mut taken: Vec<Taken> = entries
            .iter()
            .map(|entry| {
                let key = (
                    entry.connector.as_str().to_owned(),
                    entry.external_id.as_str().to_owned(),
                    entry.revision.as_str().to_owned(),
                );
                match (new.remove(&key), &entry.unread) {
                    (None, _) => Taken::Repeat,
                    (Some(id), None) => {
                        pending.push(id);
                        Taken::Stored(id)
                    }
                    (Some(id), Some(reason)) => {
                        quarantined.push((id, entry.received_at, reason.clone()));
                        Taken::Quarantined(id)
                    }
                }
            })
            .collect();
        for (entry, taken) in entries.iter().zip(&mut taken) {
            if *taken == Taken::Repeat && entry.delivery_id.is_some() && !seen(transaction, entry).await? {
                *taken = Taken::Reused;
            }
        }
        PENDING.run(self.dialect, transaction, &pending, |query, id| query.bind(id.0)).await?;
        QUARANTINE
            .run(self.dialect, transaction, &quarantined, |query, (id, at, reason)| {
                query.bind(id.0).bind(row::micros(*at)).bind("read").bind(reason.clone())
            })
            .await?;
        Ok(taken)
    }
}

/// Whether an item that was not stored anew is stored already. If not, it was taken for a repeat by its delivery's id alone,
/// and must not be called one: its sender would forget it.
async fn seen(transaction: &mut Write, entry: &NewEntry) -> Result<bool, StoreError> {
    let found = sqlx::query(
        "SELECT id FROM entry WHERE connector = $1 AND external_id = $2 AND (revision = $3 OR delivery_id = $4) LIMIT 1",
    )
    .bind(entry.connector.as_str().to_owned())
    .bind(entry.external_id.as_str().to_owned())
    .bind(entry.revision.as_str().to_owned())
    .bind(entry.delivery_id.clone())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("looking for an entry"))?;
    Ok(found.is_some())
}
