//! `rest`: asks an HTTP interface for what has changed since: call records of a telephone system, items of the
//! business-environment platform, any list of JSON objects in the order of their changes.
//!
//! The cursor is the time of the last change, and the page within it where one moment fills more than a page. It moves with
//! the items that were stored, starts a little earlier at each run, and a time that lies ahead of our clock moves it no
//! further than our clock. An answer must prove that it is the list: nothing else reads as "no news".

mod ask;
#[cfg(test)]
mod harness;
mod holdings;
mod pull;
mod reply;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
pub(crate) use pull::{changed_layout, document, envelope};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    board::{Expectation, Request, Sign, request::says},
    clock::ZONE,
    complaint::Complaint,
    contract::{Adapter, Answer, Answering, Mistake, Normalise, Source, Toolbox, Unreadable},
    entry::{RawEntry, Remark},
    fault::Fault,
    mapping::{self, Anonymous, Compiled, Field, Mapping},
    occasion::Occasion,
    secret::SecretRef,
    times::TimeFormat,
};

/// What the adapter reads, in one line.
pub const ABOUT: &str =
    "HTTP 接口按更新时间增量拉取 JSON：通话记录、营商环境平台 / lists of JSON objects, by time of change";

/// The longest overlap, in seconds: a week.
const MAX_OVERLAP: u32 = 604_800;

/// Settings of an HTTP interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address below which everything lies.
    pub base: String,
    /// Headers of every request; `{secret.NAME}` stands for a secret: `Authorization = "Bearer {secret.token}"`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Secrets, by the names that placeholders use.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretRef>,
    /// How requests are signed anew each time, where the platform asks for it, as for `board`; the result goes where a request
    /// or a header says `{signature}`, beside `{time}`, `{time_ms}` and `{nonce}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<Sign>,
    /// The list of what has changed since, oldest change first.
    pub list: List,
    /// How an item is asked for by itself, where the list does not show it whole. Placeholders: `{id}`, `{secret.NAME}`.
    #[serde(default)]
    pub detail: Option<Detail>,
    /// Where each field of a complaint stands in the item.
    pub mapping: Mapping,
    /// What the platform's own states of an item mean to us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<States>,
    /// What becomes of an item that names nobody: `hold` with the preset `business_environment`, else `accept`, unless set.
    #[serde(default)]
    pub anonymous: Option<Anonymous>,
    /// How an answer goes back to the item.
    #[serde(default)]
    pub answer: Option<Reply>,
}

/// The list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The request. Placeholders: `{since}`, `{page}`, `{size}`, `{secret.NAME}`.
    pub request: Request,
    /// The array of items, by JSON pointer.
    pub items: String,
    /// What a good answer says.
    #[serde(default)]
    pub success: Vec<Expectation>,
    /// What an answer says whose list is rightly empty; without it an empty array proves itself.
    #[serde(default)]
    pub empty: Option<Expectation>,
    /// Where an item tells when it was changed last, by JSON pointer.
    pub changed: String,
    /// How `{since}` is written.
    #[serde(default)]
    pub since: Since,
    /// Where the first run starts; from the beginning, 1990, unless set.
    #[serde(default)]
    pub start: Option<String>,
    /// Number of the first page.
    #[serde(default = "one")]
    pub first_page: u32,
    /// Items asked for in a page.
    #[serde(default = "hundred")]
    pub page_size: u32,
    /// Seconds that each run goes back behind what it knows: for what a source publishes late.
    #[serde(default = "two_minutes")]
    pub overlap_seconds: u32,
    /// How exactly the source tells and takes times, in seconds: 1, 60 for minutes, 86400 for days.
    #[serde(default = "one")]
    pub grain_seconds: u32,
}

fn one() -> u32 {
    1
}

fn hundred() -> u32 {
    100
}

fn two_minutes() -> u32 {
    120
}

/// How a time is written in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// `2026-11-20 09:00:00`, in Asia/Shanghai.
    #[default]
    Civil,
    /// `2026-11-20`, in Asia/Shanghai.
    Date,
    /// `2026-11-20T01:00:00Z`.
    Rfc3339,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
}

impl Since {
    /// The time as it is written.
    pub(crate) fn write(self, at: Timestamp) -> String {
        let civil = |pattern: &str| {
            let zone = TimeZone::get(ZONE).unwrap_or(TimeZone::UTC);
            zone.to_datetime(at).strftime(pattern).to_string()
        };
        match self {
            Self::Civil => civil("%Y-%m-%d %H:%M:%S"),
            Self::Date => civil("%Y-%m-%d"),
            Self::Rfc3339 => at.to_string(),
            Self::EpochSeconds => at.as_second().to_string(),
            Self::EpochMillis => at.as_millisecond().to_string(),
        }
    }
}

/// An item by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// The request.
    pub request: Request,
    /// Where the item stands in the answer, by JSON pointer; all of it unless set.
    #[serde(default)]
    pub at: String,
    /// What a good answer says.
    #[serde(default)]
    pub success: Vec<Expectation>,
}

/// What the platform's own states of an item mean to us. A state that stands in none of the lists is remarked for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct States {
    /// Where an item tells its state, by JSON pointer.
    pub at: String,
    /// States of items that want to be dealt with.
    #[serde(default)]
    pub open: Vec<Value>,
    /// States of items that the platform has settled already: they are taken, with a remark.
    #[serde(default)]
    pub settled: Vec<Value>,
    /// States of items that were taken back: a revision that says so.
    #[serde(default)]
    pub withdrawn: Vec<Value>,
}

impl States {
    /// What is to be remarked of an item.
    fn remark(&self, document: &Value) -> Option<Remark> {
        let state = document.pointer(&self.at).unwrap_or(&Value::Null);
        let doubtful = |what: &str| Some(Remark::Doubtful { what: what.to_owned() });
        if self.open.contains(state) {
            None
        } else if self.withdrawn.contains(state) {
            Some(Remark::Withdrawn)
        } else if self.settled.contains(state) {
            doubtful("by the platform's own state it is settled already")
        } else {
            doubtful("the platform tells a state of it that the settings do not know")
        }
    }
}

/// The way back to an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The request. Placeholders: `{id}`, `{text}`, `{subject}`, `{message_id}` (the same at every attempt), `{state}`,
    /// `{secret.NAME}`.
    pub request: Request,
    /// What `{state}` stands for: the platform's state for each outcome of ours, all of them. `receipt`, `repeat`, `co_report`,
    /// `follow_up`, `guidance`, `refusal`, `held`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<Occasion, String>,
    /// What a good answer says.
    #[serde(default)]
    pub success: Vec<Expectation>,
    /// What an answer says that was taken already, under the same message id.
    #[serde(default)]
    pub already: Option<Expectation>,
}

/// The settings, ready for use.
pub(crate) struct Ready {
    pub(crate) settings: Settings,
    pub(crate) base: Url,
    pub(crate) mapping: Compiled,
    pub(crate) time_formats: Vec<TimeFormat>,
    pub(crate) start: Option<Timestamp>,
}

impl Settings {
    fn mistaken(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if !Url::parse(&self.base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
            || !self.base.ends_with('/')
        {
            mistakes.push(
                Mistake::new("/base", "the base is an address of http or https that ends with a slash")
                    .suggest("base = \"https://platform.example/api/\""),
            );
        }
        for (place, pointer) in [("/list/items", &self.list.items), ("/list/changed", &self.list.changed)] {
            let whole = place == "/list/items" && pointer.is_empty();
            if !pointer.starts_with('/') && !whole {
                mistakes.push(Mistake::new(place, "a JSON pointer is expected").suggest(format!("\"/{pointer}\"")));
            }
        }
        if !(1..=5000).contains(&self.list.page_size) {
            mistakes.push(Mistake::new("/list/page_size", "1 to 5000 items make a page").suggest("100"));
        }
        if self.list.overlap_seconds > MAX_OVERLAP {
            mistakes.push(Mistake::new("/list/overlap_seconds", "the overlap is at most 604800 seconds, a week"));
        }
        if !(1..=86_400).contains(&self.list.grain_seconds) {
            mistakes.push(Mistake::new("/list/grain_seconds", "the grain is 1 to 86400 seconds"));
        }
        if let Some(start) = &self.list.start
            && moment(start).is_none()
        {
            mistakes.push(Mistake::new("/list/start", "not a time").suggest("start = \"2026-01-01\""));
        }
        let whole = serde_json::to_string(&self.list.request).unwrap_or_default();
        for needed in ["{since}", "{page}"] {
            let number = needed.replace('}', ":number}");
            if !whole.contains(needed) && !whole.contains(&number) {
                let message =
                    format!("nothing in the request says {needed}: the source could not be asked for what follows");
                mistakes.push(Mistake::new("/list/request", message));
            }
        }
        mistakes.extend(self.signing());
        if let Some(states) = &self.states {
            if !states.at.starts_with('/') {
                mistakes.push(Mistake::new("/states/at", "a JSON pointer is expected").suggest("at = \"/status\""));
            }
            let all: Vec<&Value> = [&states.open, &states.settled, &states.withdrawn].into_iter().flatten().collect();
            if (1..all.len()).any(|index| all[..index].contains(&all[index])) {
                mistakes.push(Mistake::new("/states", "one state stands there twice"));
            }
        }
        if let Some(answer) = &self.answer {
            let missing: Vec<&str> = Occasion::ALL
                .into_iter()
                .filter(|occasion| !answer.states.contains_key(occasion))
                .map(Occasion::as_str)
                .collect();
            if says(&answer.request, "state") && !missing.is_empty() {
                let message = format!("the request says {{state}}, and nothing is said for {}", missing.join(", "));
                mistakes.push(Mistake::new("/answer/states", message));
            }
        }
        if self.mapping.resolved().pick(Field::Id).is_none() {
            mistakes.push(Mistake::new("/mapping/id", "an item needs an id").suggest("id = \"/id\""));
        }
        mistakes.extend(mapping::below("/mapping", self.mapping.validate()));
        mistakes.extend(mapping::below("/anonymous", self.anonymous().mistakes()));
        mistakes
    }

    fn signing(&self) -> Vec<Mistake> {
        let requests = [Some(&self.list.request), self.detail.as_ref().map(|detail| &detail.request)];
        let requests = requests.into_iter().chain([self.answer.as_ref().map(|answer| &answer.request)]).flatten();
        let asked = requests.clone().any(|request| says(request, "signature"))
            || self.headers.values().any(|header| header.contains("{signature}"));
        let Some(sign) = &self.sign else {
            let message = "a request says {signature}: write down how the platform asks for it to be made";
            return if asked { vec![Mistake::new("/sign", message)] } else { Vec::new() };
        };
        let mut mistakes: Vec<Mistake> = sign
            .mistakes(|name| self.secrets.contains_key(name))
            .into_iter()
            .map(|(place, message)| Mistake::new(format!("/sign{place}"), message))
            .collect();
        if !asked {
            mistakes.push(Mistake::new("/sign", "no request says {signature}, so the signature would go nowhere"));
        }
        mistakes
    }

    fn ready(&self) -> Result<Arc<Ready>, Fault> {
        let mapping = self.mapping.compile().map_err(|mistakes| mapping::fault(&mistakes))?;
        let base = Url::parse(&self.base)
            .map_err(|error| Fault::configuration(format!("the base address cannot be used: {error}")))?;
        let formats = self.mapping.resolved().time_formats;
        let time_formats = if formats.is_empty() { all_times() } else { formats };
        let start = self.list.start.as_deref().and_then(moment);
        Ok(Arc::new(Ready { settings: self.clone(), base, mapping, time_formats, start }))
    }

    fn anonymous(&self) -> Anonymous {
        let strict = self.mapping.preset == Some(mapping::Preset::BusinessEnvironment);
        let usual = if strict { Anonymous::Hold } else { Anonymous::Accept };
        self.anonymous.clone().unwrap_or(usual)
    }

    fn asker(&self, tools: &Toolbox) -> Result<ask::Asker, Fault> {
        let secrets = self.secrets.iter().map(|(name, secret)| Ok((name.clone(), secret.reveal()?)));
        Ok(ask::Asker::new(self.ready()?, tools.clone(), secrets.collect::<Result<_, Fault>>()?))
    }
}

fn all_times() -> Vec<TimeFormat> {
    vec![TimeFormat::Rfc3339, TimeFormat::Civil, TimeFormat::Compact, TimeFormat::EpochSeconds, TimeFormat::EpochMillis]
}

/// A time in settings, as an admin writes it.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    crate::times::parse(&serde_json::Value::from(text), &all_times()).map(|stamp| stamp.at)
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        self.mistaken()
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(Arc::new(Reader { ready: self.ready()? }))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        Ok(Source::Pull(Box::new(pull::Puller::new(self.asker(tools)?))))
    }

    fn answering(&self) -> Answering {
        if self.answer.is_some() { Answering::ToItem } else { Answering::None }
    }

    fn answerer(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Answer>>, Fault> {
        let Some(reply) = self.answer.clone() else { return Ok(None) };
        Ok(Some(Arc::new(reply::Replier { asker: self.asker(tools)?, reply })))
    }
}

/// The pure part.
struct Reader {
    ready: Arc<Ready>,
}

impl Normalise for Reader {
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        let document =
            serde_json::from_slice(&entry.raw).map_err(|_| Unreadable("the entry is no JSON document".to_owned()))?;
        let mut complaint = self.ready.mapping.complaint(&document)?;
        mapping::doubt_clock(&mut complaint, received_at);
        self.ready.settings.anonymous().apply(&mut complaint);
        let known: Vec<Remark> =
            entry.remarks.iter().filter(|remark| !complaint.remarks.contains(remark)).cloned().collect();
        complaint.remarks.splice(0..0, known);
        Ok(complaint)
    }
}
