//! Published rules, and which of them are in force: rows are added and never changed, so that a version can always be
//! read again and put back. And the stored entries that rules are tried on before they are put in force.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::{
    Store, StoreError, Write,
    error::failed,
    issue::{PendingEntry, pending_entry},
    journal::{Act, write_down},
    row,
};
use crate::{assess::Disposition, ids::EntryId};

/// A version of the rules, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RuleVersion {
    /// Its number: versions are counted in the order in which they were published.
    pub number: i64,
    /// As dispositions name it.
    pub version: String,
    /// Where it came from: `shipped`, `file` or `published`.
    pub origin: String,
    /// Who published it.
    pub actor: String,
    /// What was said about it.
    pub note: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub published_at: Timestamp,
}

/// What puts a version in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Activation {
    /// Which version.
    pub version: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Where a version comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOrigin {
    /// The program.
    Shipped,
    /// The file that the configuration names.
    File,
    /// An admin.
    Published,
}

impl RuleOrigin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::File => "file",
            Self::Published => "published",
        }
    }
}

/// How far the rules have come: whoever changes them says what they had before them, so that nobody undoes unseen what
/// somebody else has just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RulesState {
    /// The last version that was published, not counting what came with the program.
    published: i64,
    /// The last time that a version was put in force.
    activated: i64,
}

impl std::fmt::Display for RulesState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.published, self.activated)
    }
}

impl std::str::FromStr for RulesState {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (published, activated) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { published: published.parse()?, activated: activated.parse()? })
    }
}

const STATE: &str = "SELECT COALESCE((SELECT MAX(id) FROM rule_version WHERE origin <> 'shipped'), 0) AS published,
     COALESCE((SELECT MAX(id) FROM rule_activation), 0) AS activated";

/// A stored entry that rules are tried on.
#[derive(Debug)]
pub struct TrialEntry {
    /// The entry.
    pub entry: PendingEntry,
    /// What became of it, by whomever.
    pub disposition: Option<Disposition>,
}

impl Store {
    /// Keeps a version of the rules. Returns whether it is new; the same text published twice is one version.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn publish_rules(
        &self,
        version: &str,
        text: &str,
        origin: RuleOrigin,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let act = Act { subject: version, ..act };
        let new = publish(&mut transaction, text, origin, act, now).await?;
        transaction.commit().await.map_err(failed("publishing rules"))?;
        Ok(new)
    }

    /// Puts a published version in force. Running gateways notice.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where it was never published; otherwise where the database fails.
    pub async fn activate_rules(&self, version: &str, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let act = Act { subject: version, ..act };
        activate(&mut transaction, act, now).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("putting rules in force"))
    }

    /// How far the rules have come.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn rules_state(&self) -> Result<RulesState, StoreError> {
        let found = sqlx::query(STATE).fetch_one(&self.read).await.map_err(failed("reading how far the rules are"))?;
        rules_state(&found)
    }

    /// Publishes a text, where one is given, and puts the version in force; unless somebody has changed the rules since
    /// `seen`. `act` is of putting it in force.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the rules were changed meanwhile; [`StoreError::Missing`] where the version is
    /// unknown and no text is given; otherwise where the database fails.
    pub async fn enforce_rules(
        &self,
        text: Option<&str>,
        seen: RulesState,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        // Of two at once one waits here for the other, and then sees what it did.
        sqlx::query("UPDATE audit_head SET seq = seq WHERE id = 1")
            .execute(&mut *transaction)
            .await
            .map_err(failed("putting rules in force"))?;
        let found =
            sqlx::query(STATE).fetch_one(&mut *transaction).await.map_err(failed("reading how far the rules are"))?;
        if rules_state(&found)? != seen {
            return Err(StoreError::Conflict("the rules were changed meanwhile".to_owned()));
        }
        if let Some(text) = text {
            let publishing = Act { action: "rules.publish", ..act };
            publish(&mut transaction, text, RuleOrigin::Published, publishing, now).await?;
        }
        activate(&mut transaction, act, now).await?;
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("putting rules in force"))
    }

    /// The version in force, where one was ever put in force.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn active_rules(&self) -> Result<Option<Activation>, StoreError> {
        self.activation("SELECT version, actor, reason, at FROM rule_activation ORDER BY id DESC LIMIT 1").await
    }

    /// The version that the configuration's file put in force last.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn rules_of_file(&self) -> Result<Option<Activation>, StoreError> {
        self.activation(
            "SELECT version, actor, reason, at FROM rule_activation WHERE actor = 'configuration' ORDER BY id DESC LIMIT 1",
        )
        .await
    }

    async fn activation(&self, sql: &'static str) -> Result<Option<Activation>, StoreError> {
        let found =
            sqlx::query(sql).fetch_optional(&self.read).await.map_err(failed("reading which rules are in force"))?;
        found.as_ref().map(activation).transpose()
    }

    /// The published versions, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn rule_versions(&self, limit: i64) -> Result<Vec<RuleVersion>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, version, origin, actor, note, published_at FROM rule_version ORDER BY id DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading versions of the rules"))?;
        rows.iter().map(rule_version).collect()
    }

    /// Who put which version in force, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn rule_activations(&self, limit: i64) -> Result<Vec<Activation>, StoreError> {
        let rows = sqlx::query("SELECT version, actor, reason, at FROM rule_activation ORDER BY id DESC LIMIT $1")
            .bind(limit)
            .fetch_all(&self.read)
            .await
            .map_err(failed("reading which rules were in force"))?;
        rows.iter().map(activation).collect()
    }

    /// A published version with its text.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none; otherwise where the database fails.
    pub async fn rule_text(&self, version: &str) -> Result<(RuleVersion, String), StoreError> {
        let found = sqlx::query(
            "SELECT id, version, origin, actor, note, published_at, text FROM rule_version WHERE version = $1",
        )
        .bind(version.to_owned())
        .fetch_optional(&self.read)
        .await
        .map_err(failed("reading rules"))?;
        let Some(found) = found else {
            return Err(StoreError::Missing { what: "version of the rules", name: version.to_owned() });
        };
        Ok((rule_version(&found)?, row::get(&found, "text")?))
    }

    /// Stored entries received within a period, newest first, older than `before`; at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn trial_entries(
        &self,
        since: Timestamp,
        until: Timestamp,
        before: Option<EntryId>,
        limit: i64,
    ) -> Result<Vec<TrialEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT entry.id, connector, external_id, revision, form, received_at, source_time, remarks, sealed_raw,
                 CAST(NULL AS TEXT) AS ruling, CAST(0 AS BIGINT) AS again, complaint.disposition
             FROM entry LEFT JOIN complaint ON complaint.entry_id = entry.id
             WHERE received_at >= $1 AND received_at <= $2 AND entry.id < $3 ORDER BY entry.id DESC LIMIT $4",
        )
        .bind(row::micros(since))
        .bind(row::micros(until))
        .bind(before.map_or(i64::MAX, |before| before.0))
        .bind(limit)
        .fetch_all(&self.read)
        .await
        .map_err(failed("reading entries to try rules on"))?;
        rows.iter()
            .map(|found| {
                let disposition: Option<String> = row::get(found, "disposition")?;
                let disposition = disposition.as_deref().and_then(Disposition::parse);
                Ok(TrialEntry { entry: pending_entry(found)?, disposition })
            })
            .collect()
    }

    /// One stored entry.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none; otherwise where the database fails.
    pub async fn trial_entry(&self, id: EntryId) -> Result<TrialEntry, StoreError> {
        let next = EntryId(id.0.saturating_add(1));
        let found = self.trial_entries(Timestamp::MIN, Timestamp::MAX, Some(next), 1).await?;
        let found = found.into_iter().find(|found| found.entry.id == id);
        found.ok_or_else(|| StoreError::Missing { what: "entry", name: id.to_string() })
    }
}

/// Keeps the text of the version that the act names; whether it is new.
async fn publish(
    transaction: &mut Write,
    text: &str,
    origin: RuleOrigin,
    act: Act<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO rule_version (version, text, origin, actor, note, published_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (version) DO NOTHING",
    )
    .bind(act.subject.to_owned())
    .bind(text.to_owned())
    .bind(origin.as_str())
    .bind(act.actor.to_owned())
    .bind(act.reason.map(str::to_owned))
    .bind(row::micros(now))
    .execute(&mut **transaction)
    .await
    .map_err(failed("publishing rules"))?;
    let new = done.rows_affected() > 0;
    if new && origin != RuleOrigin::Shipped {
        write_down(transaction, act, now).await?;
    }
    Ok(new)
}

/// Puts the version that the act names in force.
async fn activate(transaction: &mut Write, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
    let known = sqlx::query("SELECT id FROM rule_version WHERE version = $1")
        .bind(act.subject.to_owned())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("finding rules"))?;
    if known.is_none() {
        return Err(StoreError::Missing { what: "version of the rules", name: act.subject.to_owned() });
    }
    sqlx::query("INSERT INTO rule_activation (version, actor, reason, at) VALUES ($1, $2, $3, $4)")
        .bind(act.subject.to_owned())
        .bind(act.actor.to_owned())
        .bind(act.reason.map(str::to_owned))
        .bind(row::micros(now))
        .execute(&mut **transaction)
        .await
        .map_err(failed("putting rules in force"))?;
    Ok(())
}

fn rules_state(found: &AnyRow) -> Result<RulesState, StoreError> {
    Ok(RulesState { published: row::get(found, "published")?, activated: row::get(found, "activated")? })
}

fn activation(found: &AnyRow) -> Result<Activation, StoreError> {
    Ok(Activation {
        version: row::get(found, "version")?,
        actor: row::get(found, "actor")?,
        reason: row::get(found, "reason")?,
        at: row::moment(found, "at")?,
    })
}

fn rule_version(found: &AnyRow) -> Result<RuleVersion, StoreError> {
    Ok(RuleVersion {
        number: row::get(found, "id")?,
        version: row::get(found, "version")?,
        origin: row::get(found, "origin")?,
        actor: row::get(found, "actor")?,
        note: row::get(found, "note")?,
        published_at: row::moment(found, "published_at")?,
    })
}
