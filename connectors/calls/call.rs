//! A call, out of whatever came of its events: the state machine that takes any order, any repetition and any gap.
//!
//! There is no sequence of states to get wrong. A call is a *set* of events; what it comes to is a function of the set, and
//! the set is kept in one order of its own. So ringing after the form, a hang-up that never comes and an event sent three
//! times need no case of their own.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Abandoned,
    layout::{Event, Kind, Layout},
    number,
};
use crate::{
    complaint::{Complaint, Petitioner, Stamp},
    contract::{Gather, Gathered, Normalise, Piece, Unreadable},
    delivery::document,
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision, Unread},
    mapping::{self, Compiled},
    times::TimeFormat,
};

/// Makes entries of call events and complaints of the entries.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) layout: Layout,
    pub(crate) mapping: Compiled,
    pub(crate) time_formats: Vec<TimeFormat>,
    pub(crate) area_code: String,
    pub(crate) settle: SignedDuration,
    pub(crate) timeout: SignedDuration,
    pub(crate) abandoned: Abandoned,
    /// Bytes of one entry.
    pub(crate) limit: usize,
}

/// The raw form of an entry: the events exactly as received, in an order of their own.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    events: Vec<Received>,
}

/// One event as it was received.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Received {
    /// UTF-8.
    Text(String),
    /// Anything else, in base64.
    Bytes(String),
}

impl Received {
    fn new(raw: &[u8]) -> Self {
        match std::str::from_utf8(raw) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(STANDARD.encode(raw)),
        }
    }

    fn document(&self) -> Option<(Value, Vec<Remark>)> {
        match self {
            Self::Text(text) => document::parse(text.as_bytes()).ok(),
            Self::Bytes(text) => document::parse(&STANDARD.decode(text).ok()?).ok(),
        }
    }
}

/// One event, read.
struct Told {
    received: Received,
    event: Event,
    document: Value,
    remarks: Vec<Remark>,
    canonical: String,
}

/// What the events of a call come to.
struct Call<'a> {
    caller: Option<String>,
    start: Option<Timestamp>,
    answered: bool,
    ended: bool,
    recording: Option<&'a str>,
    form: Option<&'a Told>,
}

impl Calls {
    /// What tells one event from another of the same call.
    pub(crate) fn content(&self, document: &Value) -> Bytes {
        self.mapping.canonical(document).into()
    }

    fn read(&self, all: impl IntoIterator<Item = Received>) -> Vec<Told> {
        // By content, so that what was sent twice is there once; and in one order, whichever came first.
        let mut told: BTreeMap<(Kind, Option<Timestamp>, String), Told> = BTreeMap::new();
        for received in all {
            let Some((document, remarks)) = received.document() else { continue };
            let event = self.layout.event(&document, &self.time_formats);
            let canonical = self.mapping.canonical(&document);
            let key = (event.kind, event.time, canonical.clone());
            let new = Told { received, event, document, remarks, canonical };
            match told.entry(key) {
                std::collections::btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(new);
                }
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    if new.received < known.get().received {
                        known.insert(new);
                    }
                }
            }
        }
        told.into_values().collect()
    }

    fn call<'a>(&self, told: &'a [Told]) -> Call<'a> {
        let events = || told.iter().map(|one| &one.event);
        let at = |kind: Kind| events().filter(move |event| event.kind == kind).filter_map(|event| event.time);
        // The form that was saved last; where two say the same time, the same one in any order.
        let form = told
            .iter()
            .filter(|one| one.event.has_form)
            .max_by(|one, other| (one.event.time, &one.canonical).cmp(&(other.event.time, &other.canonical)));
        Call {
            caller: events()
                .filter_map(|event| event.caller.as_deref())
                .find_map(|caller| number::normalise(caller, &self.area_code)),
            start: events().filter_map(|event| event.start).chain(at(Kind::Ringing)).min(),
            answered: form.is_some() || events().any(|event| event.kind == Kind::Answered || event.answer.is_some()),
            ended: events().any(|event| event.kind == Kind::HungUp || event.end.is_some()),
            recording: events().filter_map(|event| event.recording.as_deref()).max(),
            form,
        }
    }

    fn entry(&self, item: &ExternalId, told: &[Told], call: &Call<'_>) -> Result<Item, serde_json::Error> {
        let document = Document { events: told.iter().map(|one| one.received.clone()).collect() };
        let raw: Bytes = serde_json::to_vec(&document)?.into();
        let revision = revision(call);
        if raw.len() > self.limit {
            let reason = format!("the events of the call are larger than {} bytes together", self.limit);
            let revision = Revision::of_content(&[&raw]);
            return Ok(Item::Unread(Unread { external_id: item.clone(), revision, form: Form::Json, raw, reason }));
        }
        let mut remarks = call.form.map(|form| form.remarks.clone()).unwrap_or_default();
        if call.form.is_none() {
            let what = if call.answered {
                "the call was answered, and the agent's form never came"
            } else if call.ended {
                "the call ended before it was answered, and no form came"
            } else {
                "neither the answer nor the end of the call was told, and no form came"
            };
            remarks.push(Remark::Doubtful { what: what.to_owned() });
        } else if !call.ended {
            remarks.push(Remark::Doubtful { what: "the end of the call was never told".to_owned() });
        }
        Ok(Item::Entry(RawEntry {
            external_id: item.clone(),
            revision,
            delivery_id: None,
            source_time: call.start.map(Stamp::second),
            form: Form::Json,
            raw,
            remarks,
        }))
    }
}

/// Which state of the call this is: what the complaint would read differently. A hang-up that comes late makes no new one.
/// Of the caller only whether one is known, so that no digest gives a number away.
fn revision(call: &Call<'_>) -> Revision {
    let form = call.form.map(|form| form.canonical.as_bytes()).unwrap_or_default();
    let known = [u8::from(call.caller.is_some()), u8::from(call.answered)];
    Revision::of_content(&[form, &known, call.recording.unwrap_or_default().as_bytes()])
}

impl Gather for Calls {
    fn gather(&self, item: &ExternalId, known: Option<&[u8]>, pieces: &[Piece], now: Timestamp) -> Gathered {
        let earlier: Document = known.and_then(|raw| serde_json::from_slice(raw).ok()).unwrap_or_default();
        let told = self.read(earlier.events.into_iter().chain(pieces.iter().map(|piece| Received::new(&piece.raw))));
        let call = self.call(&told);
        let last = pieces.iter().map(|piece| piece.received_at).max().unwrap_or(now);
        let patience = if call.form.is_some() && call.ended { self.settle } else { self.timeout };
        let until = last.checked_add(patience).unwrap_or(Timestamp::MAX);
        if until > now {
            return Gathered::Wait { until };
        }
        let abandoned = call.form.is_none() && !call.answered && call.ended;
        if abandoned && self.abandoned == Abandoned::Drop && known.is_none() {
            return Gathered::Drop { reason: "abandoned" };
        }
        match self.entry(item, &told, &call) {
            Ok(entry) => Gathered::Item(Box::new(entry)),
            Err(_) => Gathered::Wait { until: now.checked_add(self.timeout).unwrap_or(Timestamp::MAX) },
        }
    }
}

impl Normalise for Calls {
    fn recording(&self, entry: &RawEntry) -> Option<String> {
        let document: Document = serde_json::from_slice(&entry.raw).ok()?;
        let told = self.read(document.events);
        self.call(&told).recording.map(str::to_owned)
    }

    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        if entry.remarks.iter().any(|remark| matches!(remark, Remark::Oversize { .. })) {
            return Ok(Complaint { remarks: entry.remarks.clone(), ..Complaint::default() });
        }
        let document: Document = serde_json::from_slice(&entry.raw)
            .map_err(|_| Unreadable("the entry is no list of call events".to_owned()))?;
        let told = self.read(document.events);
        if told.is_empty() {
            return Err(Unreadable("no event of the call can be read".to_owned()));
        }
        let call = self.call(&told);
        let mut complaint = match call.form {
            Some(form) => self.mapping.complaint(&form.document)?,
            None => Complaint { petitioner: Petitioner::default(), ..Complaint::default() },
        };
        complaint.made_at = call.start.map(Stamp::second).or(complaint.made_at);
        let said = std::mem::take(&mut complaint.petitioner.phones);
        let numbers = call.caller.into_iter().chain(
            // What is no number for us may still be one for a person.
            said.into_iter().map(|phone| number::normalise(&phone, &self.area_code).unwrap_or(phone)),
        );
        for number in numbers {
            if !complaint.petitioner.phones.contains(&number) {
                complaint.petitioner.phones.push(number);
            }
        }
        mapping::doubt_clock(&mut complaint, received_at);
        let known: Vec<Remark> =
            entry.remarks.iter().filter(|remark| !complaint.remarks.contains(remark)).cloned().collect();
        complaint.remarks.splice(0..0, known);
        Ok(complaint)
    }
}
