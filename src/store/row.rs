//! Reading columns, with errors that name table and column and never the value.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{Any, Decode, Row, Type, any::AnyRow};

use super::{StoreError, error::failed};

/// A column's value.
pub(super) fn get<'r, T>(row: &'r AnyRow, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Any> + Type<Any>,
{
    row.try_get(column).map_err(failed("reading a row"))
}

/// A moment.
pub(super) fn moment(row: &AnyRow, column: &'static str) -> Result<Timestamp, StoreError> {
    to_moment(get(row, column)?, column)
}

/// A moment that may be missing.
pub(super) fn maybe_moment(row: &AnyRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?.map(|micros| to_moment(micros, column)).transpose()
}

fn to_moment(micros: i64, column: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| StoreError::Unreadable { table: "a row", what: column })
}

/// A value stored as JSON text.
pub(super) fn json<T: DeserializeOwned>(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Unreadable { table, what: column })
}

/// A word out of a closed list.
pub(super) fn word<T>(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    parse(&text).ok_or(StoreError::Unreadable { table, what: column })
}

/// A moment as it is stored.
pub(super) fn micros(moment: Timestamp) -> i64 {
    moment.as_microsecond()
}
