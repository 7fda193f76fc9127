//! `letter_box`: the letter box of a county's web site.
//!
//! `GET https://…/letters?after=17&limit=50` answers with one JSON document a line, in the order in which the letters were
//! written, beginning after number 17. An answer without a line is a list without news.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Method, Url};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    complaint::{Complaint, Petitioner, Stamp},
    contract::{Adapter, Check, Cursor, Mistake, Normalise, Page, Pull, Source, Toolbox, Unreadable},
    entry::{ExternalId, Form, Item, RawEntry, Revision, Unread},
    fault::Fault,
    http::Http,
    mapping,
    secret::SecretRef,
};

/// What it reads, in one line.
pub const ABOUT: &str = "a letter box on a web site that lists one JSON document a line";

/// Settings of a letter box.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of the list, without parameters.
    pub url: String,
    /// The token that the web site's operator gave us.
    pub token: SecretRef,
    /// Letters asked for at once, from 1 to 200.
    #[serde(default = "fifty")]
    pub page: usize,
}

fn fifty() -> usize {
    50
}

impl Settings {
    fn address(&self) -> Result<Url, Mistake> {
        let url = Url::parse(&self.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.ok_or_else(|| Mistake::new("/url", "not an address").suggest("https://letters.example.gov.cn/letters"))
    }
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = self.address().err().into_iter().collect();
        if !(1..=200).contains(&self.page) {
            mistakes.push(Mistake::new("/page", "letters asked for at once are from 1 to 200").suggest("50"));
        }
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(Arc::new(Letters))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let url = self.address().map_err(|mistake| Fault::configuration(mistake.message))?;
        let most = self.page.min(tools.limits.page_items);
        let (http, item_bytes) = (tools.http.clone(), tools.limits.item_bytes);
        Ok(Source::Pull(Box::new(Reader { http, url, token: self.token.reveal()?, most, item_bytes })))
    }
}

/// The number of the last letter that was read; 0 before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    after: u64,
}

struct Reader {
    http: Http,
    url: Url,
    token: SecretString,
    most: usize,
    item_bytes: usize,
}

impl Reader {
    /// The lines of the list after a number.
    async fn fetch(&self, after: u64, limit: usize) -> Result<Vec<Bytes>, Fault> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("after", &after.to_string()).append_pair("limit", &limit.to_string());
        let request = self.http.request(Method::GET, url).bearer_auth(self.token.expose_secret());
        let body = self.http.send(request).await?.success()?.body;
        // A block page is not "no news".
        if !body.is_empty() && !body.starts_with(b"{") {
            return Err(Fault::permanent("the answer is no list of letters")
                .remedy("open the address by hand: if the site is under maintenance, wait; if not, correct the url"));
        }
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        Ok(lines.map(|line| body.slice_ref(line)).collect())
    }
}

#[async_trait]
impl Pull for Reader {
    async fn check(&mut self) -> Check {
        let mut check = Check::default();
        let lines = self.fetch(0, 1).await;
        if check.step("reach", lines.as_ref().map(|_| "the letter box answers".to_owned()).map_err(Clone::clone)) {
            let first = lines.unwrap_or_default().into_iter().next().map(|line| read(&line, self.item_bytes).0);
            let outcome = match first {
                Some(Item::Unread(unread)) => {
                    Err(Fault::permanent(unread.reason).remedy("ask the web site's operator what its list looks like"))
                }
                Some(_) => Ok("the first letter can be read".to_owned()),
                None => Ok("the letter box is empty".to_owned()),
            };
            check.step("read one item", outcome);
        }
        check
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        let start: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
        // From the last known letter on, itself included.
        let known = usize::from(start.after > 0);
        let mut lines = self.fetch(start.after.saturating_sub(1), self.most + known).await?;
        if known > 0 {
            let first = lines.first().and_then(|line| read(line, self.item_bytes).1);
            if first != Some(start.after) {
                // The list was set back, or the letter is gone. What is stored is known by name: reading all of it
                // anew costs time and nothing else.
                let cursor = Cursor::encode(&Position::default())?;
                return Ok(Page { items: Vec::new(), cursor, more: true });
            }
            lines.remove(0);
        }
        lines.truncate(self.most);
        let more = lines.len() == self.most;
        let (items, numbers): (Vec<Item>, Vec<Option<u64>>) =
            lines.iter().map(|line| read(line, self.item_bytes)).unzip();
        let after = numbers.into_iter().flatten().max().unwrap_or(start.after).max(start.after);
        if more && after == start.after {
            // What all lack is no letter's defect, and asking again would bring the same for ever.
            return Err(Fault::permanent("not one letter of a whole page can be read")
                .remedy("ask the web site's operator what its list looks like now"));
        }
        Ok(Page { items, cursor: Cursor::encode(&Position { after })?, more })
    }
}

/// What is needed to take a letter in: its number, and nothing that may be missing.
#[derive(Deserialize)]
struct Head {
    number: u64,
    written: Option<Timestamp>,
}

/// Reads a line, and its number where it has one. A line that cannot be read is an item of its own.
fn read(line: &Bytes, item_bytes: usize) -> (Item, Option<u64>) {
    let unread = |external_id, reason| {
        let raw = line.slice(..line.len().min(item_bytes));
        Item::Unread(Unread { external_id, revision: Revision::of_content(&[line]), form: Form::Json, raw, reason })
    };
    let head: Head = match serde_json::from_slice(line) {
        Ok(head) => head,
        Err(error) => return (unread(ExternalId::of_content(&[line]), told(&error)), None),
    };
    let external_id = ExternalId::new(&head.number.to_string());
    let item = if line.len() > item_bytes {
        unread(external_id, format!("the letter is larger than {item_bytes} bytes; this is its beginning"))
    } else {
        Item::Entry(RawEntry {
            external_id,
            // Letters can be edited: an edit is a new revision of the same letter.
            revision: Revision::of_content(&[line]),
            delivery_id: None,
            source_time: head.written.map(Stamp::second),
            form: Form::Json,
            // The bytes exactly as they were received.
            raw: line.clone(),
            remarks: Vec::new(),
        })
    };
    (item, Some(head.number))
}

/// Says where a letter breaks off. What the parser says would quote the letter.
fn told(error: &serde_json::Error) -> String {
    format!("not a letter: {:?} error at column {}", error.classify(), error.column())
}

/// The pure part: the same code serves live entries, `jiesu assess` and the replay from quarantine.
struct Letters;

#[derive(Deserialize)]
struct Letter {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    title: String,
    text: String,
}

impl Normalise for Letters {
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        let letter: Letter = serde_json::from_slice(&entry.raw).map_err(|error| Unreadable(told(&error)))?;
        let mut complaint = Complaint {
            petitioner: Petitioner {
                name: letter.name,
                phones: letter.phone.into_iter().collect(),
                ..Petitioner::default()
            },
            made_at: entry.source_time,
            subject: Some(letter.title),
            body: letter.text,
            remarks: entry.remarks.clone(),
            ..Complaint::default()
        };
        mapping::doubt_clock(&mut complaint, received_at);
        Ok(complaint)
    }
}
