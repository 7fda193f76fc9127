//! Which entries: by place, connector, time, petitioner and words. Every search looks at a bounded number of entries,
//! newest first, and says where it stopped: the next one goes on from there, however many entries there are.

use std::fmt::Write as _;

use connectors::entry::ConnectorName;
use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{
    Store, StoreError,
    error::failed,
    read::{EntrySummary, PLACE, Place, summary, summary_sql},
    row,
};
use crate::ids::EntryId;

/// Entries that one search looks at, where they must be looked at one by one.
const LOOKED_AT: i64 = 20_000;

/// How far the order of ids and that of times of receipt may differ: gateways that store beside each other.
const SLACK: i64 = 2_000;

/// Which entries a list shows.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Of this connector.
    pub connector: Option<ConnectorName>,
    /// In this place.
    pub place: Option<Place>,
    /// Of those in tickets, the ones that joined one (`true`) or opened one.
    pub merged: Option<bool>,
    /// Of the petitioner with this keyed hash.
    pub petitioner: Option<Vec<u8>>,
    /// Received then or later.
    pub since: Option<Timestamp>,
    /// Received before then.
    pub until: Option<Timestamp>,
    /// Whose masked text holds each of these.
    pub words: Vec<String>,
    /// Without those about which a person's ruling waits to take effect.
    pub unruled: bool,
    /// Older than this one.
    pub before: Option<EntryId>,
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Newest first.
    pub entries: Vec<EntrySummary>,
    /// What to pass as [`EntryFilter::before`] to go on; nothing where there is no more.
    pub next: Option<EntryId>,
    /// Whether it stopped because it had looked at as many as it may, rather than found as many as were asked for.
    pub stopped: bool,
}

/// A value in its place.
#[derive(Debug, Clone)]
enum Value {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of a statement; two come before them: where to begin, and how many.
#[derive(Debug, Default)]
struct Values(Vec<Value>);

impl Values {
    /// The place of a value.
    fn place(&mut self, value: Value) -> String {
        self.0.push(value);
        format!("${}", self.0.len() + 2)
    }

    fn bind(&self, sql: String, before: i64, limit: i64) -> super::batch::Binding {
        let query = sqlx::query(AssertSqlSafe(sql)).bind(before).bind(limit);
        self.0.iter().fold(query, |query, value| match value.clone() {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }
}

impl Store {
    /// Entries, newest first, looking as far back as needed.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn entries(&self, filter: &EntryFilter, limit: i64) -> Result<Vec<EntrySummary>, StoreError> {
        let mut filter = filter.clone();
        let mut entries = Vec::new();
        loop {
            let wanted = limit - i64::try_from(entries.len()).unwrap_or(limit);
            let found = self.search_entries(&filter, wanted).await?;
            entries.extend(found.entries);
            match found.next.filter(|_| found.stopped) {
                Some(next) => filter.before = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Entries, newest first, at most `limit`, looking at a bounded number of them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search_entries(&self, filter: &EntryFilter, limit: i64) -> Result<Found, StoreError> {
        self.search_among(filter, limit, LOOKED_AT).await
    }

    /// The same, looking at `most` entries where they must be looked at one by one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search_among(&self, filter: &EntryFilter, limit: i64, most: i64) -> Result<Found, StoreError> {
        let mut values = Values::default();
        let (source, id) = source(filter, &mut values);
        let Some(bounds) = self.bounds(filter, id, &mut values).await? else { return Ok(Found::default()) };
        let looked = format!("SELECT {id} AS id FROM {source} AND {id} < $1{bounds} ORDER BY {id} DESC LIMIT");
        let within = Values(values.0.clone());
        let conditions = conditions(filter, &mut values);
        let window = if conditions.is_empty() { limit } else { most };
        let wanted = format!("entry.id IN (SELECT id FROM ({looked} {window}) looked){conditions}");
        let before = filter.before.map_or(i64::MAX, |before| before.0);
        let query = values.bind(summary_sql(&wanted), before, limit);
        let rows = query.fetch_all(&self.read).await.map_err(failed("searching entries"))?;
        let entries: Vec<EntrySummary> = rows.iter().map(summary).collect::<Result<_, _>>()?;
        let full = i64::try_from(entries.len()).is_ok_and(|count| count >= limit);
        if full || conditions.is_empty() {
            let next = entries.last().filter(|_| full).map(|entry| entry.id);
            return Ok(Found { entries, next, stopped: false });
        }
        let last = format!("SELECT COUNT(*) AS looked, MIN(id) AS last FROM ({looked} $2) looked");
        let last = within.bind(last, before, window);
        let last = last.fetch_one(&self.read).await.map_err(failed("searching entries"))?;
        let more = row::get::<i64>(&last, "looked")? >= window;
        let next = row::get::<Option<i64>>(&last, "last")?.filter(|_| more).map(EntryId);
        Ok(Found { entries, stopped: next.is_some(), next })
    }

    /// Between which ids the times of receipt lie; `None` where nothing was received since.
    async fn bounds(&self, filter: &EntryFilter, id: &str, values: &mut Values) -> Result<Option<String>, StoreError> {
        let mut bounds = String::new();
        if let Some(since) = filter.since {
            let first = "SELECT id FROM entry WHERE received_at >= $1 ORDER BY received_at LIMIT 1";
            let Some(first) = self.id_at(first, since).await? else { return Ok(None) };
            let least = values.place(Value::Number(first.saturating_sub(SLACK)));
            let _ = write!(bounds, " AND {id} >= {least}");
        }
        if let Some(until) = filter.until {
            let last = "SELECT id FROM entry WHERE received_at < $1 ORDER BY received_at DESC LIMIT 1";
            let Some(last) = self.id_at(last, until).await? else { return Ok(None) };
            let most = values.place(Value::Number(last.saturating_add(SLACK)));
            let _ = write!(bounds, " AND {id} <= {most}");
        }
        Ok(Some(bounds))
    }

    async fn id_at(&self, sql: &'static str, at: Timestamp) -> Result<Option<i64>, StoreError> {
        let found = sqlx::query(sql)
            .bind(row::micros(at))
            .fetch_optional(&self.read)
            .await
            .map_err(failed("looking for a time of receipt"))?;
        found.as_ref().map(|found| row::get(found, "id")).transpose()
    }
}

/// Where the entries are looked for, which is what an index leads through, and the column with their ids.
fn source(filter: &EntryFilter, values: &mut Values) -> (String, &'static str) {
    if let Some(petitioner) = &filter.petitioner {
        let key = values.place(Value::Bytes(petitioner.clone()));
        return (format!("petitioner_key WHERE key = {key}"), "entry_id");
    }
    if filter.merged == Some(true) {
        return ("complaint WHERE relation <> 'opened'".to_owned(), "entry_id");
    }
    let decided = |disposition| format!("complaint WHERE disposition = '{disposition}' AND ticket_id IS NULL");
    let elsewhere =
        |table, other| format!("NOT EXISTS (SELECT 1 FROM {other} WHERE {other}.entry_id = {table}.entry_id)");
    match (filter.place, &filter.connector) {
        (Some(Place::Held), _) => (decided("hold"), "entry_id"),
        (Some(Place::Guided), _) => (decided("guide"), "entry_id"),
        (Some(Place::Declined), _) => (decided("decline"), "entry_id"),
        (Some(Place::Quarantine), _) => {
            (format!("quarantine WHERE {}", elsewhere("quarantine", "complaint")), "entry_id")
        }
        (Some(Place::Pending), _) => {
            let (complaint, quarantine) = (elsewhere("pending", "complaint"), elsewhere("pending", "quarantine"));
            (format!("pending WHERE {complaint} AND {quarantine}"), "entry_id")
        }
        (Some(Place::Ticket) | None, Some(connector)) => {
            let name = values.place(Value::Text(connector.as_str().to_owned()));
            (format!("entry WHERE connector = {name}"), "id")
        }
        (Some(Place::Ticket), None) => {
            ("complaint WHERE disposition = 'accept' AND ticket_id IS NOT NULL".to_owned(), "entry_id")
        }
        (None, None) => ("entry WHERE received_at IS NOT NULL".to_owned(), "id"),
    }
}

/// What is asked of each entry besides, beginning with AND; empty where nothing is.
fn conditions(filter: &EntryFilter, values: &mut Values) -> String {
    let mut conditions = Vec::new();
    let by_petitioner = filter.petitioner.is_some();
    let by_connector =
        !by_petitioner && filter.merged != Some(true) && matches!(filter.place, None | Some(Place::Ticket));
    if let Some(connector) = filter.connector.as_ref().filter(|_| !by_connector) {
        conditions.push(format!("entry.connector = {}", values.place(Value::Text(connector.as_str().to_owned()))));
    }
    // Otherwise the source holds no others.
    if let Some(place) = filter.place.filter(|_| by_petitioner || by_connector) {
        conditions.push(format!("{PLACE} = '{}'", place.as_str()));
    }
    match filter.merged {
        Some(true) if by_petitioner => conditions.push("complaint.relation <> 'opened'".to_owned()),
        Some(false) => conditions.push("complaint.relation = 'opened'".to_owned()),
        Some(true) | None => {}
    }
    if let Some(since) = filter.since {
        conditions.push(format!("entry.received_at >= {}", values.place(Value::Number(row::micros(since)))));
    }
    if let Some(until) = filter.until {
        conditions.push(format!("entry.received_at < {}", values.place(Value::Number(row::micros(until)))));
    }
    if filter.unruled {
        conditions.push(
            "NOT EXISTS (SELECT 1 FROM withheld_ruling WHERE withheld_ruling.entry_id = entry.id)
             AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.entry_id = entry.id AND pending.ruling IS NOT NULL)"
                .to_owned(),
        );
    }
    for word in &filter.words {
        let place = values.place(Value::Text(like(word)));
        conditions.push(format!("LOWER(complaint.shown) LIKE {place} ESCAPE '!'"));
    }
    if conditions.is_empty() { String::new() } else { format!(" AND {}", conditions.join(" AND ")) }
}

/// The pattern that finds a word in the stored text, which is JSON.
fn like(word: &str) -> String {
    let stored = serde_json::to_string(&word.to_lowercase()).unwrap_or_default();
    let stored = stored.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
    let literal: String = stored.chars().flat_map(escaped).collect();
    format!("%{literal}%")
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    matches!(character, '%' | '_' | '!').then_some('!').into_iter().chain([character])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_looked_for_as_it_is() {
        for (word, pattern) in
            [("路灯", "%路灯%"), ("50%", "%50!%%"), ("a_B!", "%a!_b!!%"), ("say \"x\"", "%say \\\"x\\\"%")]
        {
            assert_eq!(like(word), pattern, "{word}");
        }
    }
}
