//! From what an exchange says to pieces of calls, in the words of [`crate::calls::Layout`]; what was said stands beside
//! them as it came. A call is known by the id that all of its channels share (`Linkedid`); its own channel, the citizen's, is
//! the one whose `Uniqueid` is the same.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ami::Message;
use crate::{
    calls::Calls,
    entry::{ExternalId, Form, Fragment, Item, Revision, Unread, digest_hex},
    times::{self, TimeFormat},
};

/// Calls that are remembered to have come in through one of the contexts.
const MAX_KNOWN: usize = 10_000;

/// Where the fields of a call record stand, by JSON pointer; the first that is filled counts. The names are those of
/// Asterisk's `Master.csv`, of its `Cdr` event and of `FreePBX` unless set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// The id that all channels of a call share.
    pub call: Vec<String>,
    /// The id of the record's own channel: a record whose channel is not the caller's is passed over.
    pub channel: Vec<String>,
    /// The caller's number.
    pub caller: Vec<String>,
    /// When the call came in.
    pub start: Vec<String>,
    /// When it was answered.
    pub answer: Vec<String>,
    /// When it ended.
    pub end: Vec<String>,
    /// The context of the dial plan.
    pub context: Vec<String>,
    /// The channel that it was connected with: where the record has such a field and it is empty, nobody answered.
    pub connected: Vec<String>,
    /// Where the recording is.
    pub recording: Vec<String>,
    /// The agent's form, an object, where the records have one.
    pub form: Vec<String>,
}

impl Default for Fields {
    fn default() -> Self {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            call: list(&["/linkedid", "/Linkedid", "/LinkedID"]),
            channel: list(&["/uniqueid", "/Uniqueid", "/UniqueID"]),
            caller: list(&["/src", "/Source"]),
            start: list(&["/start", "/StartTime", "/calldate"]),
            answer: list(&["/answer", "/AnswerTime"]),
            end: list(&["/end", "/EndTime"]),
            context: list(&["/dcontext", "/DestinationContext"]),
            connected: list(&["/dstchannel", "/DestinationChannel"]),
            recording: list(&["/recordingfile", "/RecordingFile", "/recording", "/Recording"]),
            form: list(&["/form"]),
        }
    }
}

impl Fields {
    pub(super) fn lists(&self) -> [(&'static str, &Vec<String>); 10] {
        [
            ("call", &self.call),
            ("channel", &self.channel),
            ("caller", &self.caller),
            ("start", &self.start),
            ("answer", &self.answer),
            ("end", &self.end),
            ("context", &self.context),
            ("connected", &self.connected),
            ("recording", &self.recording),
            ("form", &self.form),
        ]
    }

    /// When the record's call ended, or else began. An exchange that writes times of another zone than ours must not make its
    /// records look older than they are: no time is earlier than the one in the call's id.
    pub(super) fn time(&self, row: &Value) -> Option<Timestamp> {
        let told = moment(&self.end, row).or_else(|| moment(&self.start, row));
        told.max(text(&self.call, row).as_deref().and_then(begun))
    }

    /// When the record's call began.
    pub(super) fn start(&self, row: &Value) -> Option<Timestamp> {
        let named = text(&self.call, row).as_deref().and_then(begun);
        named.or_else(|| moment(&self.start, row))
    }

    /// Names the record, whatever is noted in it later.
    pub(super) fn digest(&self, row: &Value) -> String {
        let text = |pointers: &[String]| text(pointers, row).unwrap_or_default();
        digest_hex(&[&text(&self.call), &text(&self.channel), &text(&self.start)].map(String::as_bytes))
    }
}

fn text(pointers: &[String], row: &Value) -> Option<String> {
    pointers.iter().filter_map(|pointer| row.pointer(pointer)).find_map(|value| match value {
        Value::String(text) => (!text.trim().is_empty()).then(|| text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn moment(pointers: &[String], row: &Value) -> Option<Timestamp> {
    const FORMATS: [TimeFormat; 5] = [
        TimeFormat::Rfc3339,
        TimeFormat::Civil,
        TimeFormat::Compact,
        TimeFormat::EpochSeconds,
        TimeFormat::EpochMillis,
    ];
    let mut values = pointers.iter().filter_map(|pointer| row.pointer(pointer));
    values.find_map(|value| times::parse(value, &FORMATS)).map(|stamp| stamp.at)
}

/// Calls that came in from outside, as far as they are remembered.
#[derive(Debug, Default)]
pub(super) struct Known {
    calls: HashSet<String>,
    order: VecDeque<String>,
}

impl Known {
    fn add(&mut self, call: &str) {
        if self.calls.insert(call.to_owned()) {
            self.order.push_back(call.to_owned());
            if self.order.len() > MAX_KNOWN
                && let Some(oldest) = self.order.pop_front()
            {
                self.calls.remove(&oldest);
            }
        }
    }
}

/// How messages and records become pieces.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) calls: Arc<Calls>,
    pub(super) contexts: Vec<String>,
    pub(super) form_event: String,
    pub(super) fields: Fields,
    /// Bytes of one piece.
    pub(super) limit: usize,
}

impl Shape {
    /// The piece of a call that a message is; `None` where it says nothing of a citizen's call.
    pub(super) fn event(&self, message: &Message, known: &mut Known, now: Timestamp) -> Option<Item> {
        let name = message.get("Event")?;
        let form = name == "UserEvent";
        let told = match name {
            "Newchannel" | "NewCallerid" | "Hangup" | "QueueCallerJoin" | "QueueCallerAbandon" | "AgentConnect" => true,
            "DialEnd" => message.get("DialStatus") == Some("ANSWER"),
            "UserEvent" => message.get("UserEvent") == Some(self.form_event.as_str()),
            "Cdr" => return self.record(&headers(message, false), known, now),
            _ => false,
        };
        if !told {
            return None;
        }
        let named = if form { message.get("Call") } else { None };
        let own = message.get("Uniqueid");
        let call = named.or_else(|| message.get("Linkedid")).or(own);
        let main = named.is_none() && own == call;
        let Some(call) = call else {
            return Some(unread(None, &headers(message, true), self.limit, "an event of the exchange names no call"));
        };
        // Agents' channels tell of the same call: only what the citizen's own says counts.
        if !(form || main && self.comes_in(call, message.get("Context"), known)) {
            return None;
        }
        let whole = headers(message, !main);
        if message.cut {
            let reason = "an event of the exchange is longer than a message may be; this is its beginning";
            return Some(unread(Some(call), &whole, self.limit, reason));
        }
        let mut document = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                document.insert(name.to_owned(), Value::String(value));
            }
        };
        let word = match name {
            "Newchannel" | "QueueCallerJoin" => "ringing",
            "AgentConnect" | "DialEnd" => "answered",
            "Hangup" => "hung_up",
            "UserEvent" => "form",
            _ => "told",
        };
        put("event", Some(word.to_owned()));
        put("call_id", Some(call.to_owned()));
        put("start", begun(call).map(|at| at.to_string()));
        put("caller", message.get("CallerIDNum").filter(|_| main).map(str::to_owned));
        put("agent", message.get("MemberName").map(str::to_owned));
        put("recording", text(&self.fields.recording, &whole));
        if form {
            document.insert("form".to_owned(), filled_in(message));
        }
        document.insert("message".to_owned(), whole);
        let heard = message.get("Timestamp").and_then(stamped).unwrap_or(now);
        Some(self.piece(call, document, Some(heard)))
    }

    /// The piece of a call that a record is; `None` where it tells of another channel than the citizen's, or of a call that
    /// did not come in from outside.
    pub(super) fn record(&self, row: &Value, known: &mut Known, now: Timestamp) -> Option<Item> {
        let fields = &self.fields;
        let (linked, own) = (text(&fields.call, row), text(&fields.channel, row));
        let context = text(&fields.context, row);
        // Asterisk's own event names the channel alone unless it is told otherwise: then the context must tell.
        let sure = linked.is_some() || !self.contexts.is_empty() || row.get("Event").is_none();
        let Some(call) = linked.clone().or_else(|| own.clone()) else {
            return Some(unread(None, row, self.limit, "a call record names no call"));
        };
        let main = own.is_none_or(|own| own == call);
        if !main || !sure || !self.comes_in(&call, context.as_deref(), known) {
            return None;
        }
        let mut document = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                document.insert(name.to_owned(), value);
            }
        };
        let told = |at: Timestamp| Value::String(at.to_string());
        let connected = fields.connected.iter().find_map(|pointer| row.pointer(pointer));
        let answered = connected.is_none_or(|channel| channel.as_str().is_some_and(|channel| !channel.is_empty()));
        put("event", Some("hung_up".into()));
        put("call_id", Some(call.clone().into()));
        put("caller", text(&fields.caller, row).map(Value::String));
        put("start", begun(&call).filter(|at| *at <= now).or_else(|| moment(&fields.start, row)).map(told));
        put("answer", moment(&fields.answer, row).filter(|_| answered).map(told));
        put("end", moment(&fields.end, row).map(told));
        put("recording", text(&fields.recording, row).map(Value::String));
        let form = fields.form.iter().filter_map(|pointer| row.pointer(pointer)).find(|form| form.is_object());
        put("form", form.cloned());
        document.insert("record".to_owned(), row.clone());
        Some(self.piece(&call, document, None))
    }

    fn comes_in(&self, call: &str, context: Option<&str>, known: &mut Known) -> bool {
        if self.contexts.is_empty() || known.calls.contains(call) {
            return true;
        }
        let incoming = context.is_some_and(|context| self.contexts.iter().any(|known| known == context));
        if incoming {
            known.add(call);
        }
        incoming
    }

    fn piece(&self, call: &str, document: Map<String, Value>, heard: Option<Timestamp>) -> Item {
        let mut document = Value::Object(document);
        // When we heard it tells no piece from another: the same event, heard twice, is one.
        let content = self.calls.content(&document);
        if let (Some(heard), Some(fields)) = (heard, document.as_object_mut()) {
            fields.insert("time".to_owned(), heard.to_string().into());
        }
        let raw = document.to_string();
        if raw.len() > self.limit {
            let reason = format!(
                "what the exchange tells of the call is larger than {} bytes; this is its beginning",
                self.limit
            );
            return unread(Some(call), &document, self.limit, &reason);
        }
        Item::Fragment(Fragment { item: ExternalId::new(call), content, delivery_id: None, raw: raw.into() })
    }
}

fn unread(call: Option<&str>, document: &Value, limit: usize, reason: &str) -> Item {
    let mut raw = document.to_string().into_bytes();
    let external_id = call.map_or_else(|| ExternalId::of_content(&[&raw]), ExternalId::new);
    let revision = Revision::of_content(&[&raw]);
    raw.truncate(limit);
    Item::Unread(Unread { external_id, revision, form: Form::Json, raw: Bytes::from(raw), reason: reason.to_owned() })
}

/// The message as an object; where it comes from an agent's channel, without the numbers of that channel.
fn headers(message: &Message, foreign: bool) -> Value {
    let mut document = Map::new();
    for (name, value) in &message.headers {
        let of_channel = name.starts_with("CallerID") || name.starts_with("ConnectedLine");
        if !(document.contains_key(name) || foreign && of_channel) {
            document.insert(name.clone(), Value::String(value.clone()));
        }
    }
    Value::Object(document)
}

/// What stands in every user event beside what its sender put there.
const OF_THE_CHANNEL: [&str; 18] = [
    "event",
    "privilege",
    "channel",
    "channelstate",
    "channelstatedesc",
    "calleridnum",
    "calleridname",
    "connectedlinenum",
    "connectedlinename",
    "language",
    "accountcode",
    "context",
    "exten",
    "priority",
    "uniqueid",
    "linkedid",
    "userevent",
    "actionid",
];

/// The agent's form: the object in the header `Form`, or the event's own headers, in lower case.
fn filled_in(message: &Message) -> Value {
    if let Some(form @ Value::Object(_)) = message.get("Form").and_then(|text| serde_json::from_str(text).ok()) {
        return form;
    }
    let own = message.headers.iter().filter_map(|(name, value)| {
        let name = name.to_lowercase();
        let its =
            !OF_THE_CHANNEL.contains(&name.as_str()) && name != "call" && name != "timestamp" && !value.is_empty();
        its.then(|| (name, Value::String(value.clone())))
    });
    Value::Object(own.collect())
}

/// When a call began, by its id: `1795575802.0`, with the name of the exchange before it where it has one.
fn begun(call: &str) -> Option<Timestamp> {
    let (seconds, serial) = call.rsplit('-').next()?.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.len() != 10 || !digits(seconds) || !digits(serial) {
        return None;
    }
    Timestamp::from_second(seconds.parse().ok()?).ok()
}

/// `1795575812.067981`, where the exchange stamps its events (`timestampevents`).
fn stamped(text: &str) -> Option<Timestamp> {
    let (seconds, micros) = text.split_once('.').unwrap_or((text, "0"));
    let at = Timestamp::from_second(seconds.parse().ok()?).ok()?;
    let micros: i64 = micros.get(..micros.len().min(6))?.parse().ok()?;
    at.checked_add(jiff::SignedDuration::from_micros(micros)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_of_a_clock_in_another_zone_look_no_older_than_their_call() {
        let fields = Fields::default();
        let time = |row: &Value| fields.time(row).map(|at| at.to_string());
        // 03:30:11 in UTC, which is the evening before in Asia/Shanghai's reckoning of the same digits.
        let row = json!({ "linkedid": "1795577408.0", "start": "2026-11-25 03:30:08", "end": "2026-11-25 03:30:11" });
        assert_eq!(time(&row).as_deref(), Some("2026-11-25T03:30:08Z"));
        let row = json!({ "linkedid": "sy-1795577408.0", "end": "2026-11-25 11:30:11" });
        assert_eq!(time(&row).as_deref(), Some("2026-11-25T03:30:11Z"));
        assert_eq!(
            time(&json!({ "linkedid": "17", "start": "2026-11-25 11:30:08" })).as_deref(),
            Some("2026-11-25T03:30:08Z")
        );
        assert_eq!(time(&json!({ "linkedid": "17" })), None);
    }
}
