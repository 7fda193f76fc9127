//! What complaints are matched by: signatures, in the order in which they were issued, so that the index of matching can
//! be made from them at any time, on either database.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Store, StoreError, Write,
    batch::ManyRows,
    error::failed,
    issue::{Issuing, LIST, Questions, places},
    leases::{Lease, fence},
    row,
};
use crate::{
    assess::ShownComplaint,
    ids::{EntryId, TicketId},
    issue::Known,
    matching::{Neighbour, Signature},
};

/// The counter of signatures.
pub(super) const SIGNATURES: &str = "signature";

/// A signature as it is stored.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Its number.
    pub seq: i64,
    /// Its entry.
    pub entry: EntryId,
    /// When the complaint was issued, in microseconds.
    pub at: i64,
    /// What is kept; nothing where this version cannot read it.
    pub signature: Option<Signature>,
}

/// A complaint of which no signature of the present words is stored.
#[derive(Debug, Clone)]
pub struct Unsigned {
    /// Its entry.
    pub entry: EntryId,
    /// When it was issued.
    pub at: Timestamp,
    /// What it says, masked.
    pub shown: ShownComplaint,
    /// Keyed hashes of its petitioner.
    pub petitioner: Vec<Vec<u8>>,
}

const SIGN: ManyRows = ManyRows {
    doing: "storing what complaints are matched by",
    head: "INSERT INTO match_signature (entry_id, seq, at, words, signature) VALUES ",
    tail: " ON CONFLICT (entry_id) DO UPDATE SET seq = excluded.seq, at = excluded.at, words = excluded.words, \
           signature = excluded.signature",
    columns: 5,
};

const AFTER: &str = "SELECT seq, entry_id, at, signature FROM match_signature WHERE seq > $1 AND words = $2
                     ORDER BY seq LIMIT $3";

impl Store {
    /// Signatures after a number, in order.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn signatures_after(&self, seq: i64, words: &str, limit: i64) -> Result<Vec<Signed>, StoreError> {
        let rows = sqlx::query(AFTER)
            .bind(seq)
            .bind(words.to_owned())
            .bind(limit)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading what complaints are matched by"))?;
        rows.iter().map(signed).collect()
    }

    /// Number of the last signature; 0 where there is none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn last_signature(&self) -> Result<i64, StoreError> {
        let found = sqlx::query("SELECT COALESCE(MAX(value), 0) AS value FROM counter WHERE name = $1")
            .bind(SIGNATURES)
            .fetch_one(&self.read)
            .await
            .map_err(failed("reading a counter"))?;
        row::get(&found, "value")
    }

    /// Whether every complaint was once given a signature of these words.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn all_signed(&self, words: &str) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT value FROM counter WHERE name = $1")
            .bind(signed_mark(words))
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a counter"))?;
        Ok(found.is_some())
    }

    /// Complaints in tickets since a moment, after an entry, of which no signature of these words is stored.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn unsigned(
        &self,
        words: &str,
        since: Timestamp,
        after: EntryId,
        limit: i64,
    ) -> Result<Vec<Unsigned>, StoreError> {
        let rows = sqlx::query(
            "SELECT complaint.entry_id, complaint.issued_at, complaint.shown FROM complaint
                 LEFT JOIN match_signature ON match_signature.entry_id = complaint.entry_id AND match_signature.words = $1
             WHERE complaint.ticket_id IS NOT NULL AND complaint.issued_at >= $2 AND complaint.entry_id > $3
                 AND match_signature.entry_id IS NULL
             ORDER BY complaint.entry_id LIMIT $4",
        )
        .bind(words.to_owned())
        .bind(row::micros(since))
        .bind(after.0)
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading complaints that nothing is matched by"))?;
        let mut unsigned = Vec::with_capacity(rows.len());
        for found in &rows {
            let entry = EntryId(row::get(found, "entry_id")?);
            let keys = sqlx::query("SELECT key FROM petitioner_key WHERE entry_id = $1 ORDER BY key LIMIT 16")
                .bind(entry.0)
                .fetch_all(&self.read)
                .await
                .map_err(failed("reading petitioner keys"))?;
            unsigned.push(Unsigned {
                entry,
                at: row::moment(found, "issued_at")?,
                // What cannot be read any more matches nothing, and must not stop the others.
                shown: row::json(found, "complaint", "shown").unwrap_or_default(),
                petitioner: keys.iter().map(|found| row::get(found, "key")).collect::<Result<_, _>>()?,
            });
        }
        Ok(unsigned)
    }

    /// Stores signatures of complaints that were issued before there were any.
    ///
    /// # Errors
    /// Where the database fails or the lease on issuing is lost.
    pub async fn sign(
        &self,
        lease: &Lease,
        words: &str,
        signed: &[(EntryId, Timestamp, Signature)],
    ) -> Result<(), StoreError> {
        let mut issuing = self.begin_issuing(lease).await?;
        let mut seq = issuing.counter(SIGNATURES).await?;
        let numbered: Vec<_> = signed
            .iter()
            .map(|one| {
                seq += 1;
                (seq, one)
            })
            .collect();
        SIGN.run(self.dialect, &mut issuing.transaction, &numbered, |query, (seq, (entry, at, signature))| {
            query.bind(entry.0).bind(*seq).bind(row::micros(*at)).bind(words.to_owned()).bind(signature.encode())
        })
        .await?;
        set_counter(&mut issuing.transaction, SIGNATURES, seq).await?;
        issuing.transaction.commit().await.map_err(failed("storing what complaints are matched by"))
    }

    /// Notes that every complaint has a signature of these words.
    ///
    /// # Errors
    /// Where the database fails or the lease on issuing is lost.
    pub async fn note_all_signed(&self, lease: &Lease, words: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        fence(&mut transaction, lease).await?;
        sqlx::query("INSERT INTO counter (name, value) VALUES ($1, 1) ON CONFLICT (name) DO NOTHING")
            .bind(signed_mark(words))
            .execute(&mut *transaction)
            .await
            .map_err(failed("noting that complaints are signed"))?;
        transaction.commit().await.map_err(failed("noting that complaints are signed"))
    }

    /// Notes that complaints may have no signature: they are signed when matching begins again.
    ///
    /// # Errors
    /// Where the database fails or the lease on issuing is lost.
    pub async fn forget_all_signed(&self, lease: &Lease) -> Result<(), StoreError> {
        let known = sqlx::query("SELECT 1 AS one FROM counter WHERE name LIKE 'signed:%'")
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading a counter"))?;
        if known.is_none() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        fence(&mut transaction, lease).await?;
        sqlx::query("DELETE FROM counter WHERE name LIKE 'signed:%'")
            .execute(&mut *transaction)
            .await
            .map_err(failed("noting that complaints are not signed"))?;
        transaction.commit().await.map_err(failed("noting that complaints are not signed"))
    }
}

fn signed_mark(words: &str) -> String {
    format!("signed:{words}")
}

async fn set_counter(transaction: &mut Write, name: &str, value: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE counter SET value = $1 WHERE name = $2")
        .bind(value)
        .bind(name.to_owned())
        .execute(&mut **transaction)
        .await
        .map_err(failed("moving a counter"))?;
    Ok(())
}

fn signed(found: &AnyRow) -> Result<Signed, StoreError> {
    let bytes: Vec<u8> = row::get(found, "signature")?;
    Ok(Signed {
        seq: row::get(found, "seq")?,
        entry: EntryId(row::get(found, "entry_id")?),
        at: row::get(found, "at")?,
        signature: Signature::decode(&bytes),
    })
}

impl Issuing {
    /// Signatures after a number, in order: what another gateway stored, seen under the lease.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn signatures_after(&mut self, seq: i64, words: &str, limit: i64) -> Result<Vec<Signed>, StoreError> {
        let query = sqlx::query(AFTER).bind(seq).bind(words.to_owned()).bind(limit);
        self.all(query, "reading what complaints are matched by").await?.iter().map(signed).collect()
    }

    /// Number of the last signature, under the lease.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn last_signature(&mut self) -> Result<i64, StoreError> {
        self.counter(SIGNATURES).await
    }

    /// The complaints that the index offers, with their tickets as they are now, and what people said to be apart.
    pub(super) async fn known_neighbours(
        &mut self,
        questions: &Questions,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let mut ids: Vec<EntryId> = questions.alike.values().flatten().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        for ids in ids.chunks(LIST) {
            let sql = format!(
                "SELECT match_signature.entry_id, match_signature.signature, complaint.ticket_id
                 FROM match_signature JOIN complaint ON complaint.entry_id = match_signature.entry_id
                 WHERE complaint.ticket_id IS NOT NULL AND match_signature.entry_id IN ({})",
                places(0, ids.len())
            );
            let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.0));
            for found in self.all(query, "reading complaints that may be alike").await? {
                let bytes: Vec<u8> = row::get(&found, "signature")?;
                let Some(signature) = Signature::decode(&bytes) else { continue };
                let entry = EntryId(row::get(&found, "entry_id")?);
                let ticket = TicketId(row::get(&found, "ticket_id")?);
                known.neighbours.insert(entry, Neighbour { entry, ticket, signature });
            }
        }
        known.alike.clone_from(&questions.alike);
        for ids in questions.again.chunks(LIST) {
            let sql = format!(
                "SELECT match_label.one, complaint.ticket_id FROM match_label
                     JOIN complaint ON complaint.entry_id = match_label.other
                 WHERE match_label.relation = 'different' AND complaint.ticket_id IS NOT NULL
                     AND match_label.one IN ({})",
                places(0, ids.len())
            );
            let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.0));
            for found in self.all(query, "reading what was said to be apart").await? {
                known.apart.insert((EntryId(row::get(&found, "one")?), TicketId(row::get(&found, "ticket_id")?)));
            }
        }
        Ok(())
    }
}
