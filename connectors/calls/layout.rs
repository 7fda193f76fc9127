//! Where a telephone system says what: the names of its fields and events are settings.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    contract::Mistake,
    entry::ExternalId,
    times::{self, TimeFormat},
};

/// Pointers or words in one list.
const MAX_LIST: usize = 16;

/// Characters kept of one value.
const MAX_VALUE: usize = 500;

/// Where the fields of a call event stand, by JSON pointer; the first that is filled counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Layout {
    /// The id of the call, the same in all of its events.
    pub call: Vec<String>,
    /// What happened.
    pub event: Vec<String>,
    /// When the event happened, or the form was saved.
    pub time: Vec<String>,
    /// The caller's number.
    pub caller: Vec<String>,
    /// When the call came in.
    pub start: Vec<String>,
    /// When it was answered.
    pub answer: Vec<String>,
    /// When it ended.
    pub end: Vec<String>,
    /// Who answered.
    pub agent: Vec<String>,
    /// Where the recording is.
    pub recording: Vec<String>,
    /// The agent's form: an object that is not empty makes the event a form, whatever it is called.
    pub form: Vec<String>,
    /// Words for a call that comes in.
    pub ringing: Vec<String>,
    /// Words for one that is answered.
    pub answered: Vec<String>,
    /// Words for one that has ended.
    pub hung_up: Vec<String>,
}

impl Default for Layout {
    fn default() -> Self {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            call: list(&["/call_id"]),
            event: list(&["/event"]),
            time: list(&["/time", "/at"]),
            caller: list(&["/caller"]),
            start: list(&["/start"]),
            answer: list(&["/answer"]),
            end: list(&["/end"]),
            agent: list(&["/agent"]),
            recording: list(&["/recording"]),
            form: list(&["/form"]),
            ringing: list(&["ringing", "ring", "incoming", "newcall", "振铃", "呼入"]),
            answered: list(&["answered", "answer", "connected", "接听", "应答"]),
            hung_up: list(&["hung_up", "hangup", "hang_up", "ended", "released", "挂机", "结束"]),
        }
    }
}

/// What an event says happened. The order is that of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ringing,
    Answered,
    HungUp,
    /// It has no word that the settings name: what it says counts all the same.
    Other,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) time: Option<Timestamp>,
    pub(crate) caller: Option<String>,
    pub(crate) start: Option<Timestamp>,
    pub(crate) answer: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    pub(crate) recording: Option<String>,
    pub(crate) has_form: bool,
}

impl Layout {
    /// The mistakes, with pointers below the layout.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let pointers = [
            ("call", &self.call),
            ("event", &self.event),
            ("time", &self.time),
            ("caller", &self.caller),
            ("start", &self.start),
            ("answer", &self.answer),
            ("end", &self.end),
            ("agent", &self.agent),
            ("recording", &self.recording),
            ("form", &self.form),
        ];
        let mut mistakes = Vec::new();
        for (name, list) in pointers {
            for (index, pointer) in list.iter().enumerate() {
                if !pointer.starts_with('/') || index >= MAX_LIST {
                    mistakes.push(
                        Mistake::new(format!("/{name}/{index}"), "a field is named by a JSON pointer, 16 at most")
                            .suggest(format!("\"/{}\"", pointer.trim_start_matches('/'))),
                    );
                }
            }
        }
        if self.call.is_empty() {
            mistakes.push(
                Mistake::new("/call", "without the call's id nothing holds its events together")
                    .suggest("[\"/call_id\"]"),
            );
        }
        mistakes
    }

    /// What the call is called.
    pub(crate) fn call(&self, document: &Value) -> Option<ExternalId> {
        first(&self.call, document).map(|text| ExternalId::new(&text))
    }

    pub(crate) fn event(&self, document: &Value, formats: &[TimeFormat]) -> Event {
        let moment = |pointers: &[String]| {
            let mut values = pointers.iter().filter_map(|pointer| document.pointer(pointer));
            values.find_map(|value| times::parse(value, formats)).map(|stamp| stamp.at)
        };
        let word = first(&self.event, document).unwrap_or_default().to_lowercase();
        let is = |words: &[String]| words.iter().any(|known| known.to_lowercase() == word);
        let kind = if is(&self.ringing) {
            Kind::Ringing
        } else if is(&self.answered) {
            Kind::Answered
        } else if is(&self.hung_up) {
            Kind::HungUp
        } else {
            Kind::Other
        };
        Event {
            kind,
            time: moment(&self.time),
            caller: first(&self.caller, document),
            start: moment(&self.start),
            answer: moment(&self.answer),
            end: moment(&self.end),
            recording: first(&self.recording, document),
            has_form: self
                .form
                .iter()
                .filter_map(|pointer| document.pointer(pointer))
                .any(|form| matches!(form, Value::Object(fields) if !fields.is_empty())),
        }
    }
}

/// The first text that is filled.
fn first(pointers: &[String], document: &Value) -> Option<String> {
    pointers.iter().take(MAX_LIST).filter_map(|pointer| document.pointer(pointer)).find_map(|value| {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) if !number.is_f64() => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then(|| text.chars().take(MAX_VALUE).collect())
    })
}
