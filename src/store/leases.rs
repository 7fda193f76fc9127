//! Leases between gateways: each source is read, and each stage runs, at one gateway at a time. A lease that is not
//! renewed passes on by itself, and its epoch fences off whoever held it before (Kleppmann's fencing token).

use std::time::Duration;

use jiff::Timestamp;

use super::{Store, StoreError, Write, error::failed, row};

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Raised at each change of holder.
    pub epoch: i64,
}

impl Store {
    /// Takes or renews a lease for `term`; `None` while another gateway holds it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let expires = row::micros(now).saturating_add(i64::try_from(term.as_micros()).unwrap_or(i64::MAX));
        let taken = sqlx::query(
            "INSERT INTO lease (name, holder, epoch, expires_at) VALUES ($1, $2, 1, $3)
             ON CONFLICT (name) DO UPDATE SET
                 epoch = CASE WHEN lease.holder = excluded.holder THEN lease.epoch ELSE lease.epoch + 1 END,
                 holder = excluded.holder,
                 expires_at = excluded.expires_at
             WHERE lease.holder = excluded.holder OR lease.expires_at <= $4
             RETURNING epoch",
        )
        .bind(name.to_owned())
        .bind(holder.to_owned())
        .bind(expires)
        .bind(row::micros(now))
        .fetch_optional(&self.write)
        .await
        .map_err(failed("taking a lease"))?;
        taken.map(|taken| Ok(Lease { name: name.to_owned(), epoch: row::get(&taken, "epoch")? })).transpose()
    }

    /// Gives a lease back, so that another gateway need not wait for it to expire.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn return_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query("UPDATE lease SET expires_at = 0, holder = '' WHERE name = $1 AND epoch = $2")
            .bind(lease.name.clone())
            .bind(lease.epoch)
            .execute(&self.write)
            .await
            .map_err(failed("returning a lease"))?;
        Ok(())
    }

    /// Ends every lease whose holder's name starts with `instance`: whoever held it is known to be gone, and need not be
    /// waited for. Should it live after all, it is fenced off as if its leases had expired.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn end_leases(&self, instance: &str) -> Result<u64, StoreError> {
        let characters = i64::try_from(instance.chars().count()).unwrap_or(i64::MAX);
        let ended = sqlx::query(
            "UPDATE lease SET expires_at = 0, holder = '' WHERE substr(holder, 1, CAST($1 AS INTEGER)) = $2",
        )
        .bind(characters)
        .bind(instance.to_owned())
        .execute(&self.write)
        .await
        .map_err(failed("ending the leases of a predecessor"))?;
        Ok(ended.rows_affected())
    }
}

/// Ends the transaction where the lease has passed on; otherwise keeps it from passing on until the commit.
pub(super) async fn fence(transaction: &mut Write, lease: &Lease) -> Result<(), StoreError> {
    let held = sqlx::query("UPDATE lease SET epoch = epoch WHERE name = $1 AND epoch = $2")
        .bind(lease.name.clone())
        .bind(lease.epoch)
        .execute(&mut **transaction)
        .await
        .map_err(failed("checking a lease"))?;
    if held.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Fenced { lease: lease.name.clone() }) }
}
