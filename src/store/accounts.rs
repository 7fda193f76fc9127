//! Who may use the console: accounts and one-time links. Of whatever opens something only a hash is kept, and every change
//! of what somebody may do is written down with it.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;

use super::{
    Store, StoreError, Write,
    error::failed,
    journal::{Act, write_down},
    row,
};

/// What an account may do in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// 查看: reads; nothing sealed.
    Viewer,
    /// 经办: decides about entries.
    Clerk,
    /// 管理: connectors, rules, accounts; everything but the trail's exclusive reader.
    Admin,
    /// 审计: reads, the audit trail included.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Clerk, Self::Admin, Self::Auditor];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Clerk => "clerk",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    /// The role with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A hash by which something that opens is known.
pub type Digest = [u8; 32];

/// The hash of a token. Tokens are random and long: a fast hash is enough.
pub fn digest_of(token: &str) -> Digest {
    Sha256::digest(token.as_bytes()).into()
}

/// An account, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Name, as it is typed and written down.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether a password was set.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last logged in.
    pub seen_at: Option<Timestamp>,
}

/// For whom a one-time link sets a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkFor {
    /// The first admin, whose name is yet to be chosen.
    FirstAdmin,
    /// An account that exists.
    Account(String),
}

impl Store {
    /// Every account, by name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, role, enabled, created_at, seen_at, CASE WHEN password IS NULL THEN 0 ELSE 1 END AS ready
             FROM account ORDER BY name",
        )
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading accounts"))?;
        rows.iter().map(account).collect()
    }

    /// Whether anybody has an account.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn any_account(&self) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT name FROM account LIMIT 1")
            .fetch_optional(&self.read)
            .await
            .map_err(failed("looking for accounts"))?;
        Ok(found.is_some())
    }

    /// The password of an account that may log in, as it is stored.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn password(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found = sqlx::query("SELECT password FROM account WHERE name = $1 AND enabled = 1")
            .bind(name.to_owned())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("reading an account"))?;
        found.map_or(Ok(None), |found| row::get(&found, "password"))
    }

    /// Makes an account without a password: its one-time link sets it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the name is taken; otherwise where the database fails.
    pub async fn add_account(&self, name: &str, role: Role, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        insert_account(&mut transaction, name, role, None, now).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("making an account"))
    }

    /// Changes what an account may do and whether it may log in, and ends its sessions. The last admin who can log in
    /// stays one.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Conflict`] for the last admin; otherwise where the database fails.
    pub async fn change_account(
        &self,
        name: &str,
        role: Role,
        enabled: bool,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        // The row that every change of accounts passes through, so that two cannot take each other's last admin away.
        sqlx::query("UPDATE audit_head SET seq = seq WHERE id = 1")
            .execute(&mut *transaction)
            .await
            .map_err(failed("changing an account"))?;
        let changed = sqlx::query("UPDATE account SET role = $1, enabled = $2, updated_at = $3 WHERE name = $4")
            .bind(role.as_str())
            .bind(i64::from(enabled))
            .bind(row::micros(now))
            .bind(name.to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(failed("changing an account"))?;
        if changed.rows_affected() != 1 {
            return Err(missing(name));
        }
        let left = sqlx::query(
            "SELECT name FROM account WHERE role = 'admin' AND enabled = 1 AND password IS NOT NULL LIMIT 1",
        )
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed("looking for an admin"))?;
        if left.is_none() {
            return Err(StoreError::Conflict("nobody would be left who may administer".to_owned()));
        }
        end_sessions(&mut transaction, name).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("changing an account"))
    }

    /// Keeps the hash of a new one-time link and forgets those made before for the same purpose.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such account; otherwise where the database fails.
    pub async fn add_link(
        &self,
        digest: Digest,
        purpose: &LinkFor,
        expires_at: Timestamp,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let account = match purpose {
            LinkFor::FirstAdmin => None,
            LinkFor::Account(name) => {
                let known = sqlx::query("SELECT name FROM account WHERE name = $1")
                    .bind(name.clone())
                    .fetch_optional(&mut *transaction)
                    .await
                    .map_err(failed("finding an account"))?;
                if known.is_none() {
                    return Err(missing(name));
                }
                sqlx::query("DELETE FROM one_time_link WHERE account = $1")
                    .bind(name.clone())
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed("forgetting a link"))?;
                Some(name.clone())
            }
        };
        sqlx::query("INSERT INTO one_time_link (digest, account, expires_at) VALUES ($1, $2, $3)")
            .bind(digest.to_vec())
            .bind(account)
            .bind(row::micros(expires_at))
            .execute(&mut *transaction)
            .await
            .map_err(failed("keeping a link"))?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("keeping a link"))
    }

    /// What a one-time link is for, if it can still be used.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn link(&self, digest: Digest, now: Timestamp) -> Result<Option<LinkFor>, StoreError> {
        let found = sqlx::query(
            "SELECT account, CASE WHEN EXISTS (SELECT 1 FROM account) THEN 1 ELSE 0 END AS begun
             FROM one_time_link WHERE digest = $1 AND expires_at > $2",
        )
        .bind(digest.to_vec())
        .bind(row::micros(now))
        .fetch_optional(&self.read)
        .await
        .map_err(failed("reading a link"))?;
        let Some(found) = found else { return Ok(None) };
        let begun = row::get::<i64>(&found, "begun")? != 0;
        Ok(match row::get::<Option<String>>(&found, "account")? {
            Some(name) => Some(LinkFor::Account(name)),
            None if begun => None,
            None => Some(LinkFor::FirstAdmin),
        })
    }

    /// Uses a one-time link: sets the password of `name`, who is made an admin where the link is the first admin's. The
    /// link, and every session of the account, end with it. Whether the link could be used.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn use_link(
        &self,
        digest: Digest,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let found = sqlx::query("DELETE FROM one_time_link WHERE digest = $1 AND expires_at > $2 RETURNING account")
            .bind(digest.to_vec())
            .bind(row::micros(now))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("using a link"))?;
        let Some(found) = found else { return Ok(false) };
        let action = match row::get::<Option<String>>(&found, "account")? {
            Some(account) if account == name => {
                set_password(&mut transaction, name, password, now).await?;
                "account.password"
            }
            Some(_) => return Ok(false),
            None => {
                let begun = sqlx::query("SELECT name FROM account LIMIT 1")
                    .fetch_optional(&mut *transaction)
                    .await
                    .map_err(failed("looking for accounts"))?;
                if begun.is_some() {
                    return Ok(false);
                }
                insert_account(&mut transaction, name, Role::Admin, Some(password), now).await?;
                // Whoever else was given such a link must not become an admin by it.
                sqlx::query("DELETE FROM one_time_link WHERE account IS NULL")
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed("forgetting links"))?;
                "account.first"
            }
        };
        let actor = format!("console:{name}");
        write_down(&mut transaction, Act { actor: &actor, action, subject: name, reason: None }, now).await?;
        transaction.commit().await.map_err(failed("using a link"))?;
        Ok(true)
    }

    /// Sets the password of an account and ends its sessions.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; otherwise where the database fails.
    pub async fn set_password(
        &self,
        name: &str,
        password: &str,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        set_password(&mut transaction, name, password, now).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("setting a password"))
    }
}

async fn insert_account(
    transaction: &mut Write,
    name: &str,
    role: Role,
    password: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let added = sqlx::query(
        "INSERT INTO account (name, role, password, enabled, created_at, updated_at) VALUES ($1, $2, $3, 1, $4, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(name.to_owned())
    .bind(role.as_str())
    .bind(password.map(str::to_owned))
    .bind(row::micros(now))
    .execute(&mut **transaction)
    .await
    .map_err(failed("making an account"))?;
    if added.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict(format!("there is an account {name:?} already")))
    }
}

async fn set_password(transaction: &mut Write, name: &str, password: &str, now: Timestamp) -> Result<(), StoreError> {
    let set = sqlx::query("UPDATE account SET password = $1, updated_at = $2 WHERE name = $3")
        .bind(password.to_owned())
        .bind(row::micros(now))
        .bind(name.to_owned())
        .execute(&mut **transaction)
        .await
        .map_err(failed("setting a password"))?;
    if set.rows_affected() != 1 {
        return Err(missing(name));
    }
    end_sessions(transaction, name).await
}

pub(super) async fn end_sessions(transaction: &mut Write, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM session WHERE account = $1")
        .bind(name.to_owned())
        .execute(&mut **transaction)
        .await
        .map_err(failed("ending sessions"))?;
    Ok(())
}

fn account(found: &AnyRow) -> Result<Account, StoreError> {
    Ok(Account {
        name: row::get(found, "name")?,
        role: row::word(found, "account", "role", Role::parse)?,
        enabled: row::get::<i64>(found, "enabled")? != 0,
        ready: row::get::<i64>(found, "ready")? != 0,
        created_at: row::moment(found, "created_at")?,
        seen_at: row::maybe_moment(found, "seen_at")?,
    })
}

fn missing(name: &str) -> StoreError {
    StoreError::Missing { what: "account", name: name.to_owned() }
}
