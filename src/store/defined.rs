//! Connectors that are defined in the console, and what is known of what a source would bring.

use std::collections::HashSet;

use connectors::entry::ConnectorName;
use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{
    Store, StoreError,
    connectors::{Origin, StoredConnector},
    error::failed,
    journal::{Act, write_down},
    row,
};

/// Items asked about in one statement.
const ASKED: usize = 200;

impl Store {
    /// Adds a connector that was defined in the console, switched off; the act is written down with it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the name is taken, by a connector that is gone too: entries are known by it for ever;
    /// otherwise where the database fails.
    pub async fn add_connector(
        &self,
        connector: &StoredConnector,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO connector (name, channel, adapter, definition, origin, enabled, generation, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 0, 1, $6, $6) ON CONFLICT DO NOTHING",
        )
        .bind(connector.name.as_str().to_owned())
        .bind(connector.channel.as_str())
        .bind(connector.adapter.clone())
        .bind(connector.definition.clone())
        .bind(Origin::Console.as_str())
        .bind(row::micros(now))
        .execute(&mut *transaction)
        .await
        .map_err(failed("adding a connector"))?;
        if added.rows_affected() != 1 {
            return Err(StoreError::Conflict(format!("there is a connector {} already", connector.name)));
        }
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("adding a connector"))
    }

    /// Changes the definition of a connector that was defined in the console, unless it was changed since `generation`; the
    /// act is written down with it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it was changed meanwhile or comes from the file; otherwise where the database fails.
    pub async fn redefine_connector(
        &self,
        connector: &StoredConnector,
        act: Act<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query(
            "UPDATE connector SET channel = $1, definition = $2, generation = generation + 1, updated_at = $3
             WHERE name = $4 AND generation = $5 AND origin = $6",
        )
        .bind(connector.channel.as_str())
        .bind(connector.definition.clone())
        .bind(row::micros(now))
        .bind(connector.name.as_str().to_owned())
        .bind(connector.generation)
        .bind(Origin::Console.as_str())
        .execute(&mut *transaction)
        .await
        .map_err(failed("changing a connector"))?;
        if changed.rows_affected() != 1 {
            let message = format!("connector {} was changed meanwhile, or comes from the file", connector.name);
            return Err(StoreError::Conflict(message));
        }
        write_down(&mut transaction, act, now).await?;
        transaction.commit().await.map_err(failed("changing a connector"))
    }

    /// Which of these items of a connector are stored already, in whatever state.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn known_items(&self, name: &ConnectorName, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut known = HashSet::new();
        for ids in ids.chunks(ASKED) {
            let places = (2..=ids.len() + 1).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
            let sql =
                format!("SELECT DISTINCT external_id FROM entry WHERE connector = $1 AND external_id IN ({places})");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(name.as_str().to_owned());
            let query = ids.iter().fold(query, |query, id| query.bind(id.clone()));
            let rows = query.fetch_all(&self.read).await.map_err(failed("looking for what is known"))?;
            for found in &rows {
                known.insert(row::get(found, "external_id")?);
            }
        }
        Ok(known)
    }
}
