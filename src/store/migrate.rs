//! Brings the schema up to date at start. Scripts are embedded, so that the binary alone is enough.

use sqlx::{
    AnyPool, AssertSqlSafe, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

use super::{Dialect, StoreError};

/// Version, what it is for, and its script for each database.
const SCRIPTS: &[(i64, &str, &str, &str)] = &[
    (1, "spine", include_str!("../../migrations/0001_spine.sql"), include_str!("../../migrations/0001_spine.sql")),
    (
        2,
        "append only",
        include_str!("../../migrations/0002_append_only.sqlite.sql"),
        include_str!("../../migrations/0002_append_only.postgres.sql"),
    ),
    (
        3,
        "fragments",
        include_str!("../../migrations/0003_fragments.sql"),
        include_str!("../../migrations/0003_fragments.sql"),
    ),
    (4, "watch", include_str!("../../migrations/0004_watch.sql"), include_str!("../../migrations/0004_watch.sql")),
    (5, "portal", include_str!("../../migrations/0005_portal.sql"), include_str!("../../migrations/0005_portal.sql")),
    (7, "copies", include_str!("../../migrations/0007_copies.sql"), include_str!("../../migrations/0007_copies.sql")),
    (9, "rules", include_str!("../../migrations/0009_rules.sql"), include_str!("../../migrations/0009_rules.sql")),
    (
        6,
        "matching",
        include_str!("../../migrations/0006_matching.sql"),
        include_str!("../../migrations/0006_matching.sql"),
    ),
    (
        10,
        "console",
        include_str!("../../migrations/0010_console.sqlite.sql"),
        include_str!("../../migrations/0010_console.postgres.sql"),
    ),
    (14, "desk", include_str!("../../migrations/0014_desk.sql"), include_str!("../../migrations/0014_desk.sql")),
    (15, "pages", include_str!("../../migrations/0015_pages.sql"), include_str!("../../migrations/0015_pages.sql")),
];

pub(super) async fn run(pool: &AnyPool, dialect: Dialect) -> Result<(), StoreError> {
    let migrations = SCRIPTS
        .iter()
        .map(|(version, description, sqlite, postgres)| {
            let sql = match dialect {
                Dialect::Sqlite => sqlite.replace("{ID}", "INTEGER PRIMARY KEY").replace("{BYTES}", "BLOB"),
                Dialect::Postgres => postgres
                    .replace("{ID}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
                    .replace("{BYTES}", "BYTEA"),
            };
            let sql = AssertSqlSafe(sql).into_sql_str();
            Migration::new(*version, (*description).into(), MigrationType::Simple, sql, false)
        })
        .collect();
    Migrator::with_migrations(migrations).run(pool).await?;
    Ok(())
}
