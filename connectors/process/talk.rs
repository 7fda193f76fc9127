//! What the lines mean. Pure: questions as JSON, lines as items, ends and faults.
//!
//! Whatever comes from the program is untrusted: a malformed item is one item for quarantine, a malformed answer is a
//! fault, and of the words that it tells us only so much is kept as cannot name a citizen.

use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::program::Line;
use crate::{
    contract::{Cursor, Limits, Page, Step},
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision, Unread},
    fault::{Fault, FaultClass},
    holdings::{Held, Holdings, Period},
    mail,
    mapping::Compiled,
    times::{self, TimeFormat},
};

/// The version of the protocol that is spoken.
pub(super) const PROTOCOL: u32 = 1;

/// The longest cursor, in bytes of its JSON.
const CURSOR_BYTES: usize = 64 * 1024;

/// Characters kept of what a program says in words.
const TOLD_CHARS: usize = 200;

/// Digits in a row from which on they are left out of what is told: they may be a telephone number.
const MASKED_DIGITS: usize = 7;

/// Steps of a check that are told.
const MAX_STEPS: usize = 16;

/// The longest that a program may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// What a program says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    /// The version of the protocol that it speaks.
    protocol: u32,
    /// What it reads, in words.
    #[serde(default)]
    pub(super) about: String,
    /// Whether it wants to be told when a page is stored.
    #[serde(default)]
    pub(super) acknowledges: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldStep {
    name: String,
    #[serde(default)]
    ok: Option<String>,
    #[serde(default)]
    fault: Option<ToldFault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldFault {
    class: FaultClass,
    message: String,
    #[serde(default)]
    remedy: Option<String>,
    #[serde(default)]
    retry_after_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldItem {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    time: Option<Value>,
    #[serde(default)]
    document: Option<Value>,
    #[serde(default)]
    mail: Option<String>,
    #[serde(default)]
    unread: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldEnd {
    cursor: Value,
    #[serde(default)]
    more: bool,
}

pub(super) fn describe() -> Value {
    json!({ "ask": "describe", "protocol": PROTOCOL })
}

pub(super) fn check() -> Value {
    json!({ "ask": "check" })
}

pub(super) fn pull(cursor: Option<&Cursor>, limits: &Limits) -> Value {
    json!({
        "ask": "pull",
        "cursor": cursor.map(|cursor| &cursor.0),
        "items": limits.page_items.max(1),
        "bytes": limits.page_bytes,
        "item_bytes": limits.item_bytes,
    })
}

pub(super) fn acknowledge(cursor: &Cursor) -> Value {
    json!({ "ask": "acknowledge", "cursor": cursor.0 })
}

/// A line as a JSON object: a list would be read as the fields in their order.
fn object(line: &[u8], asked: &str) -> Result<Value, Fault> {
    match serde_json::from_slice(line) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(off_protocol(asked, "a line is no JSON object")),
        Err(_) => Err(off_protocol(asked, "a line is not JSON")),
    }
}

/// The one line of an answer; a fault that the program tells is one.
fn single(line: Line, asked: &str) -> Result<Value, Fault> {
    let Line::Whole(line) = line else { return Err(off_protocol(asked, "the line is longer than line_bytes")) };
    let value = object(&line, asked)?;
    match value.get("fault") {
        Some(fault) => Err(told_fault(fault.clone(), asked)),
        None => Ok(value),
    }
}

/// What the program says of itself.
///
/// # Errors
/// A permanent fault where it speaks another version.
pub(super) fn described(line: Line) -> Result<Option<Described>, Fault> {
    let value = single(line, "describe")?;
    let mut described: Described = serde_json::from_value(value)
        .map_err(|_| off_protocol("describe", "expected {\"protocol\": 1, \"about\": \"…\"}"))?;
    if described.protocol != PROTOCOL {
        let message = format!("the program speaks version {} of the protocol", described.protocol);
        return Err(Fault::permanent(message).remedy(format!("this gateway speaks version {PROTOCOL}")));
    }
    described.about = told(&described.about);
    Ok(Some(described))
}

/// The steps of a check that the program made; none where it makes none.
pub(super) fn checked(line: Line) -> Result<Option<Vec<Step>>, Fault> {
    let value = single(line, "check")?;
    let steps = value.get("steps").cloned().unwrap_or_else(|| json!([]));
    let steps: Vec<ToldStep> = serde_json::from_value(steps).map_err(|_| {
        off_protocol("check", "expected {\"steps\": [{\"name\": \"reach\", \"ok\": \"…\"}]}, or a fault in a step")
    })?;
    let steps = steps.into_iter().take(MAX_STEPS).map(|step| {
        let known = ["reach", "authenticate", "read one item"].into_iter().find(|known| *known == step.name);
        let said = told(step.ok.as_deref().unwrap_or_default());
        let said = if known.is_some() { said } else { format!("{}: {said}", told(&step.name)) };
        let outcome = match step.fault {
            Some(fault) => Err(fault.tell()),
            None => Ok(said),
        };
        Step { name: known.unwrap_or("the program's own step"), outcome }
    });
    Ok(Some(steps.collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldHoldings {
    held: Vec<ToldHeld>,
    #[serde(default = "yes")]
    whole: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldHeld {
    id: String,
    #[serde(default)]
    place: Option<String>,
    #[serde(default)]
    time: Option<Value>,
}

pub(super) fn holdings(period: Period) -> Value {
    json!({ "ask": "holdings", "from": period.from, "to": period.to, "items": Holdings::MAX })
}

/// What a program says that its source holds; nothing where it does not know the question.
pub(super) struct Names(pub(super) Option<Holdings>);

pub(super) fn held(line: Line) -> Result<Option<Names>, Fault> {
    let value = single(line, "holdings")?;
    if value.get("held").is_none() {
        return Ok(Some(Names(None)));
    }
    let told: ToldHoldings = serde_json::from_value(value)
        .map_err(|_| off_protocol("holdings", "expected {\"held\": [{\"id\": \"…\", \"place\": \"…\"}]}"))?;
    let held = told.held.into_iter().map(|held| Held {
        id: ExternalId::new(&held.id),
        place: self::told(held.place.as_deref().unwrap_or("its source")),
        at: held.time.as_ref().and_then(time).map(|stamp| stamp.at),
    });
    let holdings = Holdings::new(held.collect());
    Ok(Some(Names(Some(Holdings { whole: holdings.whole && told.whole, ..holdings }))))
}

/// Any answer that is no fault.
pub(super) fn acknowledged(line: Line) -> Result<Option<()>, Fault> {
    single(line, "acknowledge").map(|_| Some(()))
}

/// A page as its lines come in.
pub(super) struct Incoming<'a> {
    pub(super) mapping: &'a Compiled,
    pub(super) limits: &'a Limits,
    pub(super) line_bytes: usize,
    items: Vec<Item>,
    bytes: usize,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(mapping: &'a Compiled, limits: &'a Limits, line_bytes: usize) -> Self {
        Self { mapping, limits, line_bytes, items: Vec::new(), bytes: 0 }
    }

    /// Takes a line; the page, once it is whole.
    ///
    /// # Errors
    /// What the program tells, and answers that keep to no protocol or bound.
    pub(super) fn take(&mut self, line: Line) -> Result<Option<Page>, Fault> {
        let line = match line {
            Line::Whole(line) => line,
            Line::Over { start, size } => {
                let reason = format!("the line has {size} bytes, more than the {} that are read", self.line_bytes);
                let external_id = ExternalId::of_content(&[&start, &size.to_be_bytes()]);
                return self.push(self.unread(external_id, &start, reason)).map(|()| None);
            }
        };
        let value = object(&line, "pull")?;
        if let Some(fault) = value.get("fault") {
            return Err(told_fault(fault.clone(), "pull"));
        }
        if let Some(item) = value.get("item") {
            let item = self.item(item.clone(), &line);
            return self.push(item).map(|()| None);
        }
        let end: ToldEnd = serde_json::from_value(value).map_err(|_| {
            off_protocol("pull", "expected {\"item\": …}, {\"cursor\": …, \"more\": …} or {\"fault\": …}")
        })?;
        if end.cursor.to_string().len() > CURSOR_BYTES {
            return Err(off_protocol("pull", &format!("the cursor is longer than {CURSOR_BYTES} bytes")));
        }
        Ok(Some(Page { items: std::mem::take(&mut self.items), cursor: Cursor(end.cursor), more: end.more }))
    }

    fn push(&mut self, item: Item) -> Result<(), Fault> {
        let length = item.size();
        let most = self.limits.page_items.max(1);
        if self.items.len() >= most {
            return Err(off_protocol("pull", &format!("the page has more than the {most} items that were asked for")));
        }
        // The item that goes over the bytes that were asked for is the page's last.
        if self.bytes > self.limits.page_bytes {
            let message = format!("the page goes on after the {} bytes that were asked for", self.limits.page_bytes);
            return Err(off_protocol("pull", &message));
        }
        self.bytes += length;
        self.items.push(item);
        Ok(())
    }

    fn unread(&self, external_id: ExternalId, raw: &[u8], reason: String) -> Item {
        let raw = Bytes::copy_from_slice(&raw[..raw.len().min(self.limits.item_bytes)]);
        Item::Unread(Unread { external_id, revision: Revision::only(), form: Form::Json, raw, reason })
    }

    fn item(&self, value: Value, line: &[u8]) -> Item {
        let by_content = || ExternalId::of_content(&[line]);
        let told_item = if value.is_object() { serde_json::from_value::<ToldItem>(value).ok() } else { None };
        let Some(told_item) = told_item else {
            let reason = "the item has fields that the protocol does not name, or of another type".to_owned();
            return self.unread(by_content(), line, reason);
        };
        let own = told_item.id.as_deref().map(ExternalId::new);
        match (told_item.document.as_ref(), told_item.mail.as_deref(), told_item.unread.as_deref()) {
            (None, None, Some(reason)) => self.unread(own.unwrap_or_else(by_content), line, told(reason)),
            (Some(document), None, None) if document.is_object() => self.document(document, own, &told_item),
            (Some(_), None, None) => {
                self.unread(own.unwrap_or_else(by_content), line, "the document is no JSON object".to_owned())
            }
            (None, Some(mail), None) => match base64::engine::general_purpose::STANDARD.decode(mail) {
                Ok(mail) => self.mail(mail, own, &told_item),
                Err(_) => self.unread(own.unwrap_or_else(by_content), line, "the mail is not base64".to_owned()),
            },
            _ => {
                let reason = "the item must hold one of document, mail and unread".to_owned();
                self.unread(own.unwrap_or_else(by_content), line, reason)
            }
        }
    }

    fn document(&self, document: &Value, own: Option<ExternalId>, item: &ToldItem) -> Item {
        let raw = Bytes::from(document.to_string());
        let content = self.mapping.revision(document);
        let id = own.or_else(|| self.mapping.id(document));
        let named = item.revision.clone().map(Revision::stored).filter(|_| id.is_some());
        let (external_id, revision) = match id {
            Some(id) => (id, named.unwrap_or(content)),
            // Without an id of its own an item is its content.
            None => (ExternalId::of_content(&[content.as_str().as_bytes(), &raw]), Revision::only()),
        };
        if raw.len() > self.limits.item_bytes {
            let reason =
                format!("the document has {} bytes, more than the {} of an item", raw.len(), self.limits.item_bytes);
            let raw = raw.slice(..self.limits.item_bytes);
            return Item::Unread(Unread { external_id, revision, form: Form::Json, raw, reason });
        }
        let source_time = item.time.as_ref().and_then(time).or_else(|| self.mapping.time(document));
        Item::Entry(RawEntry {
            external_id,
            revision,
            delivery_id: None,
            source_time,
            form: Form::Json,
            raw,
            remarks: Vec::new(),
        })
    }

    fn mail(&self, mut mail: Vec<u8>, own: Option<ExternalId>, item: &ToldItem) -> Item {
        let external_id = own.unwrap_or_else(|| mail::content_key(&mail));
        let limit = self.limits.item_bytes;
        let remarks = if mail.len() > limit {
            vec![Remark::Oversize { size: Some(mail.len() as u64), limit: limit as u64 }]
        } else {
            Vec::new()
        };
        mail.truncate(limit);
        Item::Entry(RawEntry {
            external_id,
            revision: item.revision.clone().map_or_else(Revision::only, Revision::stored),
            delivery_id: None,
            source_time: item.time.as_ref().and_then(time),
            form: Form::Mail,
            raw: Bytes::from(mail),
            remarks,
        })
    }
}

fn time(value: &Value) -> Option<crate::complaint::Stamp> {
    times::parse(value, &[TimeFormat::Rfc3339, TimeFormat::Civil, TimeFormat::EpochSeconds, TimeFormat::EpochMillis])
}

impl ToldFault {
    fn tell(self) -> Fault {
        let mut fault = Fault::new(self.class, told(&self.message));
        fault.remedy = self.remedy.as_deref().map(told);
        fault.retry_after = self.retry_after_seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        fault
    }
}

fn told_fault(fault: Value, asked: &str) -> Fault {
    match serde_json::from_value::<ToldFault>(fault) {
        Ok(fault) => fault.tell(),
        Err(_) => off_protocol(asked, "a fault needs class (transient, rate_limited, …) and message"),
    }
}

/// An answer that keeps to no protocol. Says nothing of what it holds.
fn off_protocol(asked: &str, what: &str) -> Fault {
    Fault::permanent(format!("the program's answer to \"{asked}\" is none: {what}"))
        .remedy("it must write answers alone to its standard output; what it has to tell people goes to standard error")
}

/// What a program says in words, fit to be told: one line, bounded, without addresses and long numbers.
fn told(text: &str) -> String {
    let words = text.split(|one: char| one.is_whitespace() || one.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&if word.contains('@') { "[…]".to_owned() } else { masked(word) });
        if line.chars().count() >= TOLD_CHARS {
            break;
        }
    }
    let line: String = line.chars().take(TOLD_CHARS).collect();
    if line.is_empty() { "(nothing said)".to_owned() } else { line }
}

fn masked(word: &str) -> String {
    let mut masked = String::with_capacity(word.len());
    let mut digits = String::new();
    for one in word.chars().chain(['\0']) {
        if one.is_numeric() {
            digits.push(one);
            continue;
        }
        masked.push_str(if digits.chars().count() >= MASKED_DIGITS { "[…]" } else { &digits });
        digits.clear();
        if one != '\0' {
            masked.push(one);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_told_without_addresses_and_numbers() {
        for (said, expected) in [
            ("接口超时", "接口超时"),
            ("status 503 from port 8080", "status 503 from port 8080"),
            ("来电13900001234无法读取", "来电[…]无法读取"),
            ("mail from zhang@example.com\r\nfailed", "mail from […] failed"),
            (" \u{0} ", "(nothing said)"),
        ] {
            assert_eq!(told(said), expected);
        }
        assert_eq!(told(&"很".repeat(5000)).chars().count(), TOLD_CHARS);
        assert_eq!(told(&"1 ".repeat(5000)).chars().count(), TOLD_CHARS);
    }
}
