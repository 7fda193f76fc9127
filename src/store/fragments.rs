//! Pieces of items, until they are whole. A piece and the item's place on the work list are one transaction; so are the
//! entry that the pieces become, their marking and the end of the item's place on the list. Whatever came in between is
//! noticed by the version of that place.

use std::collections::{BTreeSet, HashSet};

use connectors::entry::{ConnectorName, ExternalId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError, Write,
    batch::ManyRows,
    error::failed,
    intake::{NewEntry, Taken},
    leases::{Lease, fence},
    row,
};
use crate::{ids::EntryId, seal::Sealed};

/// A piece on its way into the store; what is personal is sealed already.
#[derive(Debug, Clone)]
pub struct NewFragment {
    /// The connector that brought it.
    pub connector: ConnectorName,
    /// The item that it is a piece of.
    pub item: ExternalId,
    /// Keyed hash of what tells it from the other pieces of its item.
    pub digest: Vec<u8>,
    /// The delivery that brought it.
    pub delivery_id: Option<String>,
    /// When it was received here.
    pub received_at: Timestamp,
    /// Bytes before sealing.
    pub size: usize,
    /// The raw bytes, sealed.
    pub sealed_raw: Sealed,
}

/// An item with open pieces, at one state of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathering {
    /// The connector.
    pub connector: ConnectorName,
    /// The item.
    pub item: ExternalId,
    version: i64,
}

/// A piece as it is stored.
#[derive(Debug)]
pub struct StoredPiece {
    /// Its row.
    pub id: i64,
    /// When it was received.
    pub received_at: Timestamp,
    /// The raw bytes, sealed.
    pub sealed_raw: Sealed,
}

const FRAGMENTS: ManyRows = ManyRows {
    doing: "storing pieces",
    head: "INSERT INTO fragment (connector, item, digest, delivery_id, received_at, size, sealed_raw) VALUES ",
    tail: " ON CONFLICT DO NOTHING RETURNING connector, item, digest",
    columns: 7,
};

const GATHERING: ManyRows = ManyRows {
    doing: "marking items that are gathered",
    head: "INSERT INTO gathering (connector, item, due_at, version) VALUES ",
    tail: " ON CONFLICT (connector, item) DO UPDATE SET due_at = excluded.due_at, version = gathering.version + 1",
    columns: 4,
};

impl Store {
    pub(super) async fn insert_fragments(
        &self,
        transaction: &mut Write,
        fragments: &[&NewFragment],
    ) -> Result<Vec<Taken>, StoreError> {
        if fragments.is_empty() {
            return Ok(Vec::new());
        }
        let returned = FRAGMENTS
            .run(self.dialect, transaction, fragments, |query, fragment| {
                query
                    .bind(fragment.connector.as_str().to_owned())
                    .bind(fragment.item.as_str().to_owned())
                    .bind(fragment.digest.clone())
                    .bind(fragment.delivery_id.clone())
                    .bind(row::micros(fragment.received_at))
                    .bind(i64::try_from(fragment.size).unwrap_or(i64::MAX))
                    .bind(fragment.sealed_raw.as_bytes().to_vec())
            })
            .await?;
        let mut new: HashSet<(String, String, Vec<u8>)> = HashSet::with_capacity(returned.len());
        for returned in &returned {
            new.insert((row::get(returned, "connector")?, row::get(returned, "item")?, row::get(returned, "digest")?));
        }
        // In one order, so that two gateways never wait for each other's rows.
        let touched: BTreeSet<(String, String)> =
            new.iter().map(|(connector, item, _)| (connector.clone(), item.clone())).collect();
        let touched: Vec<_> = touched.into_iter().collect();
        let due = fragments.iter().map(|fragment| row::micros(fragment.received_at)).min().unwrap_or_default();
        GATHERING
            .run(self.dialect, transaction, &touched, |query, (connector, item)| {
                query.bind(connector.clone()).bind(item.clone()).bind(due).bind(1_i64)
            })
            .await?;
        let mut taken = Vec::with_capacity(fragments.len());
        for fragment in fragments {
            let key =
                (fragment.connector.as_str().to_owned(), fragment.item.as_str().to_owned(), fragment.digest.clone());
            taken.push(if new.remove(&key) {
                Taken::Kept
            } else if fragment.delivery_id.is_none() || seen(transaction, fragment).await? {
                Taken::Repeat
            } else {
                Taken::Reused
            });
        }
        Ok(taken)
    }

    /// Items whose pieces are to be looked at now, the longest due first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn gatherings_due(&self, now: Timestamp, limit: i64) -> Result<Vec<Gathering>, StoreError> {
        let rows = sqlx::query(
            "SELECT connector, item, version FROM gathering WHERE due_at <= $1 ORDER BY due_at, connector, item LIMIT $2",
        )
        .bind(row::micros(now))
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("looking for items to gather"))?;
        rows.iter().map(gathering).collect()
    }

    /// The pieces of an item that no entry holds, open ones first, up to `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn pieces(&self, gathering: &Gathering, limit: i64) -> Result<Vec<StoredPiece>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, received_at, sealed_raw FROM fragment
             WHERE connector = $1 AND item = $2 AND sealed_raw IS NOT NULL
             ORDER BY CASE WHEN entry_id IS NULL AND dropped IS NULL THEN 0 ELSE 1 END, id LIMIT $3",
        )
        .bind(gathering.connector.as_str().to_owned())
        .bind(gathering.item.as_str().to_owned())
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading pieces"))?;
        rows.iter()
            .map(|found| {
                Ok(StoredPiece {
                    id: row::get(found, "id")?,
                    received_at: row::moment(found, "received_at")?,
                    sealed_raw: Sealed::stored(row::get(found, "sealed_raw")?),
                })
            })
            .collect()
    }

    /// The last state of an item that earlier pieces have become: its revision and its sealed raw bytes.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn last_state(&self, gathering: &Gathering) -> Result<Option<(String, Sealed)>, StoreError> {
        let found = sqlx::query(
            "SELECT revision, sealed_raw FROM entry WHERE connector = $1 AND external_id = $2 ORDER BY id DESC LIMIT 1",
        )
        .bind(gathering.connector.as_str().to_owned())
        .bind(gathering.item.as_str().to_owned())
        .fetch_optional(&self.read)
        .await
        .map_err(failed("reading the last state of an item"))?;
        found
            .map(|found| Ok((row::get(&found, "revision")?, Sealed::stored(row::get(&found, "sealed_raw")?))))
            .transpose()
    }

    /// Puts an item off until `until`, unless another piece has come meanwhile.
    ///
    /// # Errors
    /// Where the database fails or the lease is lost.
    pub async fn put_off(&self, lease: &Lease, gathering: &Gathering, until: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        fence(&mut transaction, lease).await?;
        sqlx::query("UPDATE gathering SET due_at = $1 WHERE connector = $2 AND item = $3 AND version = $4")
            .bind(row::micros(until))
            .bind(gathering.connector.as_str().to_owned())
            .bind(gathering.item.as_str().to_owned())
            .bind(gathering.version)
            .execute(&mut *transaction)
            .await
            .map_err(failed("putting off an item"))?;
        transaction.commit().await.map_err(failed("putting off an item"))
    }

    /// Makes one entry of pieces. `all` says whether these were all of them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another piece has come meanwhile; where the database fails or the lease is lost.
    /// Nothing is written then.
    pub async fn gather(
        &self,
        lease: &Lease,
        gathering: &Gathering,
        pieces: &[i64],
        all: bool,
        entry: &NewEntry,
    ) -> Result<Taken, StoreError> {
        let mut transaction = self.begin().await?;
        fence(&mut transaction, lease).await?;
        finish(&mut transaction, gathering, all).await?;
        let taken = self.insert(&mut transaction, &[entry]).await?.pop().unwrap_or(Taken::Repeat);
        let id = match taken {
            Taken::Stored(id) | Taken::Quarantined(id) => id,
            _ => known(&mut transaction, entry).await?,
        };
        // Where the entry was there before it does not hold these pieces: then they keep their own bytes.
        let sql = if matches!(taken, Taken::Stored(_) | Taken::Quarantined(_)) {
            "UPDATE fragment SET entry_id = $1, dropped = NULL, sealed_raw = NULL WHERE id = $2"
        } else {
            "UPDATE fragment SET entry_id = $1, dropped = NULL WHERE id = $2"
        };
        for piece in pieces {
            sqlx::query(sql)
                .bind(id.0)
                .bind(*piece)
                .execute(&mut *transaction)
                .await
                .map_err(failed("marking pieces"))?;
        }
        transaction.commit().await.map_err(failed("gathering an item"))?;
        Ok(taken)
    }

    /// Notes that pieces make no entry, and why. They stay, and come back with a later piece.
    ///
    /// # Errors
    /// As for [`Store::gather`].
    pub async fn drop_pieces(
        &self,
        lease: &Lease,
        gathering: &Gathering,
        pieces: &[i64],
        all: bool,
        reason: &'static str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        fence(&mut transaction, lease).await?;
        finish(&mut transaction, gathering, all).await?;
        for piece in pieces {
            sqlx::query("UPDATE fragment SET dropped = $1 WHERE id = $2 AND entry_id IS NULL")
                .bind(reason)
                .bind(*piece)
                .execute(&mut *transaction)
                .await
                .map_err(failed("noting that pieces make no entry"))?;
        }
        transaction.commit().await.map_err(failed("noting that pieces make no entry"))
    }
}

fn gathering(found: &AnyRow) -> Result<Gathering, StoreError> {
    let connector: String = row::get(found, "connector")?;
    Ok(Gathering {
        connector: connector.parse().map_err(|_| StoreError::Unreadable { table: "gathering", what: "connector" })?,
        item: ExternalId::new(&row::get::<String>(found, "item")?),
        version: row::get(found, "version")?,
    })
}

/// Takes an item off the work list in the state in which it was looked at, or leaves it on where it was not looked at whole.
async fn finish(transaction: &mut Write, gathering: &Gathering, all: bool) -> Result<(), StoreError> {
    let sql = if all {
        "DELETE FROM gathering WHERE connector = $1 AND item = $2 AND version = $3"
    } else {
        "UPDATE gathering SET version = version + 1 WHERE connector = $1 AND item = $2 AND version = $3"
    };
    let finished = sqlx::query(sql)
        .bind(gathering.connector.as_str().to_owned())
        .bind(gathering.item.as_str().to_owned())
        .bind(gathering.version)
        .execute(&mut **transaction)
        .await
        .map_err(failed("finishing an item"))?;
    if finished.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("another piece of an item of {} came meanwhile", gathering.connector)))
}

async fn known(transaction: &mut Write, entry: &NewEntry) -> Result<EntryId, StoreError> {
    let found = sqlx::query("SELECT id FROM entry WHERE connector = $1 AND external_id = $2 AND revision = $3")
        .bind(entry.connector.as_str().to_owned())
        .bind(entry.external_id.as_str().to_owned())
        .bind(entry.revision.as_str().to_owned())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("looking for an entry"))?
        .ok_or_else(|| StoreError::Conflict(format!("the entry of {} was not stored", entry.connector)))?;
    Ok(EntryId(row::get(&found, "id")?))
}

/// Whether a piece that was not stored anew is stored already. If not, its delivery bears the id of another one, and must
/// not be called a repeat: its sender would forget it.
async fn seen(transaction: &mut Write, fragment: &NewFragment) -> Result<bool, StoreError> {
    let found = sqlx::query("SELECT id FROM fragment WHERE connector = $1 AND item = $2 AND digest = $3")
        .bind(fragment.connector.as_str().to_owned())
        .bind(fragment.item.as_str().to_owned())
        .bind(fragment.digest.clone())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("looking for a piece"))?;
    Ok(found.is_some())
}
