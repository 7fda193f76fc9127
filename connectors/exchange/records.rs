//! Asking for call records over HTTP: a file that the exchange's web server hands out, or an interface that lists them.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{bounded, event::Fields};
use crate::{
    board::{
        Expectation, Request,
        request::{self, Vars},
    },
    contract::{Mistake, Toolbox},
    fault::Fault,
    rest::{Since, changed_layout, document, envelope, moment},
    secret::SecretRef,
};

/// Records of one answer.
const MAX_RECORDS: usize = 200_000;

/// Pointers of one list.
const MAX_LIST: usize = 16;

/// The columns of Asterisk's `Master.csv`, with `loguniqueid` and `newcdrcolumns` switched on in `cdr.conf`.
const COLUMNS: [&str; 20] = [
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "uniqueid",
    "peeraccount",
    "linkedid",
    "sequence",
];

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON document with an array of objects.
    #[default]
    Json,
    /// Comma-separated values.
    Csv,
}

/// Where call records are asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The address below which they lie.
    pub base: String,
    /// The request. Placeholders: `{since}`, `{until}`, `{secret.NAME}`. Without `{since}` all records are asked for each
    /// time; with `{until}`, a day of them at once.
    pub request: Request,
    /// Headers of the request; `{secret.NAME}` stands for a secret.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Secrets, by the names that placeholders use.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretRef>,
    /// How records are written.
    #[serde(default)]
    pub format: Format,
    /// The array of records in a JSON document, by JSON pointer; the document itself unless set.
    #[serde(default)]
    pub items: String,
    /// What a good JSON answer says.
    #[serde(default)]
    pub success: Vec<Expectation>,
    /// The columns of a table, in order; those of Asterisk's `Master.csv` unless set.
    #[serde(default = "columns")]
    pub columns: Vec<String>,
    /// Whether the first line of a table names its columns, in place of `columns`.
    #[serde(default)]
    pub header: bool,
    /// Where the fields of a record stand.
    #[serde(default)]
    pub fields: Fields,
    /// How `{since}` and `{until}` are written.
    #[serde(default)]
    pub since: Since,
    /// Where the first reading starts: `"2026-01-01"`; seven days back unless set.
    #[serde(default)]
    pub start: Option<String>,
    /// Seconds between two readings while the connection holds; 300 unless set. After a break they are read at once.
    #[serde(default = "every_seconds")]
    pub every_seconds: u32,
    /// Seconds that each reading goes back behind the one before; 7200 unless set. No shorter than the longest call, where
    /// the exchange files a record under the time at which its call began.
    #[serde(default = "overlap_seconds")]
    pub overlap_seconds: u32,
}

fn columns() -> Vec<String> {
    COLUMNS.map(str::to_owned).into()
}

fn every_seconds() -> u32 {
    300
}

fn overlap_seconds() -> u32 {
    7200
}

impl Records {
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if !Url::parse(&self.base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
            || !self.base.ends_with('/')
        {
            mistakes.push(
                Mistake::new("/base", "the base is an address of http or https that ends with a slash")
                    .suggest("base = \"http://10.1.2.3/cdr/\""),
            );
        }
        if !self.items.is_empty() && !self.items.starts_with('/') {
            mistakes.push(Mistake::new("/items", "a JSON pointer is expected").suggest(format!("\"/{}\"", self.items)));
        }
        if self.start.as_deref().is_some_and(|start| moment(start).is_none()) {
            mistakes.push(Mistake::new("/start", "not a time").suggest("start = \"2026-01-01\""));
        }
        if self.says("until") && !self.says("since") {
            mistakes.push(Mistake::new("/request", "{until} without {since} names no stretch of time"));
        }
        for (name, list) in self.fields.lists() {
            if list.len() > MAX_LIST || list.iter().any(|pointer| !pointer.starts_with('/')) {
                let message = "a field is named by JSON pointers, 16 at most";
                mistakes
                    .push(Mistake::new(format!("/fields/{name}"), message).suggest(format!("{name} = [\"/{name}\"]")));
            }
        }
        bounded(&mut mistakes, "every_seconds", self.every_seconds, &(10..=86_400));
        bounded(&mut mistakes, "overlap_seconds", self.overlap_seconds, &(0..=604_800));
        mistakes
    }

    fn says(&self, name: &str) -> bool {
        request::says(&self.request, name)
    }

    pub(super) fn asker(&self, tools: &Toolbox) -> Result<Asker, Fault> {
        let base = Url::parse(&self.base).map_err(|error| {
            Fault::configuration(format!("the base address of the records cannot be used: {error}"))
        })?;
        let secrets = self.secrets.iter().map(|(name, secret)| Ok((name.clone(), secret.reveal()?)));
        Ok(Asker { records: self.clone(), base, secrets: secrets.collect::<Result<_, Fault>>()?, tools: tools.clone() })
    }
}

/// Asks for records.
pub(super) struct Asker {
    pub(super) records: Records,
    base: Url,
    secrets: Vec<(String, SecretString)>,
    tools: Toolbox,
}

impl Asker {
    /// Time between two readings.
    pub(super) fn every(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.records.every_seconds))
    }

    /// Where the first reading starts.
    pub(super) fn start(&self, now: Timestamp) -> Timestamp {
        let week = SignedDuration::from_hours(7 * 24);
        self.records.start.as_deref().and_then(moment).unwrap_or_else(|| now.checked_sub(week).unwrap_or(now))
    }

    /// Until when is asked, from a moment on.
    pub(super) fn until(&self, since: Timestamp, now: Timestamp) -> Timestamp {
        if !self.records.says("until") {
            return now;
        }
        since.checked_add(Duration::from_hours(24)).map_or(now, |until| until.min(now))
    }

    /// The records of a stretch of time; of what the exchange gives beyond it, whatever tells no time.
    ///
    /// # Errors
    /// Whatever keeps the records from being read: an answer that is no list of records is a fault, never "no calls".
    pub(super) async fn ask(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Value>, Fault> {
        let records = &self.records;
        let mut vars = Vars { plain: Vec::new(), secrets: &self.secrets };
        vars.put("since", records.since.write(since));
        vars.put("until", records.since.write(until));
        let url = request::address(&self.base, &records.request, &vars)
            .ok_or_else(|| Fault::configuration("the path of the records leads to another host than their base"))?;
        let builder = request::build(&self.tools.http, url, &records.request, &records.headers, &vars)?;
        let answered = self.tools.http.send(builder).await?.success()?;
        let mut rows = match records.format {
            Format::Json => {
                let mut document = document(&answered)?;
                envelope(&document, &records.success)?;
                match document.pointer_mut(&records.items).map(Value::take) {
                    Some(Value::Array(rows)) => rows,
                    _ => return Err(changed_layout(&format!("there is no array of records at {:?}", records.items))),
                }
            }
            Format::Csv => self.table(&answered.body)?,
        };
        if rows.len() > MAX_RECORDS {
            return Err(Fault::permanent(format!("the answer holds more than {MAX_RECORDS} records"))
                .remedy("ask for a stretch of time with {since} and {until}"));
        }
        let fields = &records.fields;
        let named = |row: &&Value| {
            fields
                .call
                .iter()
                .chain(&fields.channel)
                .any(|pointer| row.pointer(pointer).is_some_and(|id| !id.is_null()))
        };
        if !rows.is_empty() && !rows.iter().any(|row| named(&row)) {
            return Err(changed_layout("no record has the id of a call where the settings look for it"));
        }
        if !records.says("since") {
            rows.retain(|row| fields.time(row).is_none_or(|at| at >= since));
        }
        Ok(rows)
    }

    fn table(&self, body: &[u8]) -> Result<Vec<Value>, Fault> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if body.trim_ascii_start().starts_with(b"<") {
            return Err(changed_layout("the server answered with a page of HTML where a table was expected"));
        }
        let text = match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => encoding_rs::GB18030.decode(body).0.into_owned(),
        };
        let header = self.records.header;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut lines = reader.records();
        let columns = if header {
            match lines.next() {
                Some(Ok(line)) => line.iter().map(str::to_owned).collect(),
                _ => return Err(changed_layout("the table has no line that names its columns")),
            }
        } else {
            self.records.columns.clone()
        };
        let mut rows = Vec::new();
        for line in lines {
            let line =
                line.map_err(|error| changed_layout(&format!("the table cannot be read: {}", kind_of(&error))))?;
            let row: Map<String, Value> =
                columns.iter().cloned().zip(line.iter().map(|text| Value::String(text.to_owned()))).collect();
            rows.push(Value::Object(row));
        }
        Ok(rows)
    }
}

/// What is wrong with a table, without anything that stands in it.
fn kind_of(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "it is no text",
        csv::ErrorKind::UnequalLengths { .. } => "its lines differ in length",
        _ => "it breaks off",
    }
}
