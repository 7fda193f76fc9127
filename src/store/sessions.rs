//! Who is let in: sessions of the console and tokens of the API that were made in it. Only their hashes are kept.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    accounts::{Digest, Role, end_sessions},
    error::failed,
    journal::{Act, write_down},
    row,
};
use crate::config::Scope;

/// Sessions of one account at once; the oldest give way.
const MAX_SESSIONS: i64 = 10;

/// A session that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub account: String,
    /// What the account may do now.
    pub role: Role,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
}

/// A token of the API that was made in the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Name, under which its bearer's deeds are written down.
    pub name: String,
    /// What its bearer may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// Begins a session; the oldest ones beyond what an account may have end.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn begin_session(
        &self,
        digest: Digest,
        name: &str,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("INSERT INTO session (digest, account, created_at, seen_at) VALUES ($1, $2, $3, $3)")
            .bind(digest.to_vec())
            .bind(name.to_owned())
            .bind(row::micros(now))
            .execute(&mut *transaction)
            .await
            .map_err(failed("beginning a session"))?;
        sqlx::query("UPDATE account SET seen_at = $1 WHERE name = $2")
            .bind(row::micros(now))
            .bind(name.to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(failed("beginning a session"))?;
        sqlx::query(
            "DELETE FROM session WHERE account = $1 AND digest NOT IN
                 (SELECT digest FROM session WHERE account = $1 ORDER BY created_at DESC LIMIT $2)",
        )
        .bind(name.to_owned())
        .bind(MAX_SESSIONS)
        .execute(&mut *transaction)
        .await
        .map_err(failed("ending old sessions"))?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("beginning a session"))
    }

    /// A session, with what its account may do now; nothing where the account may not log in any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session(&self, digest: Digest) -> Result<Option<Session>, StoreError> {
        let found = sqlx::query(
            "SELECT session.account, account.role, session.created_at, session.seen_at
             FROM session JOIN account ON account.name = session.account WHERE digest = $1 AND enabled = 1",
        )
        .bind(digest.to_vec())
        .fetch_optional(&self.read)
        .await
        .map_err(failed("reading a session"))?;
        let Some(found) = found else { return Ok(None) };
        Ok(Some(Session {
            account: row::get(&found, "account")?,
            role: row::word(&found, "account", "role", Role::parse)?,
            created_at: row::moment(&found, "created_at")?,
            seen_at: row::moment(&found, "seen_at")?,
        }))
    }

    /// Notes that a session is used.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn session_seen(&self, digest: Digest, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE session SET seen_at = $1 WHERE digest = $2")
            .bind(row::micros(now))
            .bind(digest.to_vec())
            .execute(&self.write)
            .await
            .map_err(failed("noting a session"))?;
        Ok(())
    }

    /// Ends one session.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn end_session(&self, digest: Digest) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM session WHERE digest = $1")
            .bind(digest.to_vec())
            .execute(&self.write)
            .await
            .map_err(failed("ending a session"))?;
        Ok(())
    }

    /// Ends every session of an account; the act is written down with it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn end_sessions_of(&self, name: &str, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        end_sessions(&mut transaction, name).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("ending sessions"))
    }

    /// Forgets sessions that were last used before `idle` or began before `begun`, and links that ended.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn forget_sessions(&self, idle: Timestamp, begun: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM session WHERE seen_at < $1 OR created_at < $2")
            .bind(row::micros(idle))
            .bind(row::micros(begun))
            .execute(&self.write)
            .await
            .map_err(failed("forgetting sessions"))?;
        sqlx::query("DELETE FROM one_time_link WHERE expires_at < $1")
            .bind(row::micros(now))
            .execute(&self.write)
            .await
            .map_err(failed("forgetting links"))?;
        Ok(())
    }

    /// Every token that was made in the console, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, scopes, created_at, created_by, expires_at, revoked_at FROM api_token ORDER BY created_at DESC",
        )
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading tokens"))?;
        rows.iter().map(api_token).collect()
    }

    /// The token with that hash, if it can be used now.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn api_token(&self, digest: Digest, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        let found = sqlx::query(
            "SELECT name, scopes, created_at, created_by, expires_at, revoked_at FROM api_token
             WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(digest.to_vec())
        .bind(row::micros(now))
        .fetch_optional(&self.read)
        .await
        .map_err(failed("reading a token"))?;
        found.as_ref().map(api_token).transpose()
    }

    /// Whether any token that was made in the console can be used now.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn any_api_token(&self, now: Timestamp) -> Result<bool, StoreError> {
        let found = sqlx::query(
            "SELECT name FROM api_token WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) LIMIT 1",
        )
        .bind(row::micros(now))
        .fetch_optional(&self.read)
        .await
        .map_err(failed("looking for tokens"))?;
        Ok(found.is_some())
    }

    /// Keeps the hash of a new token; the act is written down with it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the name is taken; otherwise where the database fails.
    pub async fn add_api_token(&self, token: &ApiToken, digest: Digest, act: Act<'_>) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let added = sqlx::query(
            "INSERT INTO api_token (name, digest, scopes, created_at, created_by, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(token.name.clone())
        .bind(digest.to_vec())
        .bind(serde_json::json!(scopes).to_string())
        .bind(row::micros(token.created_at))
        .bind(token.created_by.clone())
        .bind(token.expires_at.map(row::micros))
        .execute(&mut *transaction)
        .await
        .map_err(failed("keeping a token"))?;
        if added.rows_affected() != 1 {
            return Err(StoreError::Conflict(format!("there is a token {:?} already", token.name)));
        }
        write_down(&mut transaction, act, token.created_at).await?;
        transaction.commit().await.map_err(failed("keeping a token"))
    }

    /// Revokes a token; the act is written down with it.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; otherwise where the database fails.
    pub async fn revoke_api_token(&self, name: &str, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let revoked = sqlx::query("UPDATE api_token SET revoked_at = $1 WHERE name = $2 AND revoked_at IS NULL")
            .bind(row::micros(now))
            .bind(name.to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(failed("revoking a token"))?;
        if revoked.rows_affected() != 1 {
            return Err(StoreError::Missing { what: "token", name: name.to_owned() });
        }
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("revoking a token"))
    }
}

fn api_token(found: &AnyRow) -> Result<ApiToken, StoreError> {
    Ok(ApiToken {
        name: row::get(found, "name")?,
        scopes: row::json(found, "api_token", "scopes")?,
        created_at: row::moment(found, "created_at")?,
        created_by: row::get(found, "created_by")?,
        expires_at: row::maybe_moment(found, "expires_at")?,
        revoked_at: row::maybe_moment(found, "revoked_at")?,
    })
}
