//! Many rows a statement: the number of statements is what a write costs, not the bytes.

use sqlx::{
    Any, AssertSqlSafe,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{Dialect, StoreError, Write, error::failed};

/// A statement whose values are still being bound.
pub(super) type Binding = Query<'static, Any, AnyArguments>;

/// Numbers of rows for which a statement is kept prepared, largest first.
const STEPS: [usize; 5] = [256, 64, 16, 4, 1];

/// SQLite takes at most 32,766 values a statement and PostgreSQL 65,535.
const MAX_VALUES: usize = 30_000;

/// A statement that takes a list of rows: `head` (VALUES …) `tail`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ManyRows {
    pub(super) doing: &'static str,
    pub(super) head: &'static str,
    pub(super) tail: &'static str,
    pub(super) columns: usize,
}

impl ManyRows {
    /// Runs the statement over all rows, in as few statements as may be, and returns what it returns.
    pub(super) async fn run<T>(
        self,
        dialect: Dialect,
        transaction: &mut Write,
        rows: &[T],
        bind: impl Fn(Binding, &T) -> Binding,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut returned = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let step =
                STEPS.into_iter().find(|step| *step <= rest.len() && step * self.columns <= MAX_VALUES).unwrap_or(1);
            let (now, later) = rest.split_at(step);
            rest = later;
            let mut query = sqlx::query(AssertSqlSafe(self.sql(dialect, step)));
            for row in now {
                query = bind(query, row);
            }
            returned.extend(query.fetch_all(&mut **transaction).await.map_err(failed(self.doing))?);
        }
        Ok(returned)
    }

    fn sql(self, dialect: Dialect, rows: usize) -> String {
        let mut sql = String::with_capacity(self.head.len() + self.tail.len() + rows * (self.columns * 6 + 3));
        sql.push_str(self.head);
        let mut number = 0;
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..self.columns {
                if column > 0 {
                    sql.push(',');
                }
                number += 1;
                match dialect {
                    // Numbered parameters make SQLite search its list of names at each one.
                    Dialect::Sqlite => sql.push('?'),
                    Dialect::Postgres => {
                        sql.push('$');
                        sql.push_str(&number.to_string());
                    }
                }
            }
            sql.push(')');
        }
        sql.push_str(self.tail);
        sql
    }
}
