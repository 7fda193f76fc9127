//! `calls`: takes what a telephone system pushes of a call while it happens: ringing, answered, hung up, and the form that
//! the agent fills in. Each comes once, twice, out of order or never, and the call is one entry.
//!
//! Each event is kept as a [fragment](crate::entry::Fragment) and answered after its commit. A call is whole when its form
//! and its end are there and nothing more has come for a while, or when nothing has come for long. What comes later still
//! makes a new state of the same entry, never a second one.

mod call;
#[cfg(test)]
mod harness;
mod layout;
mod number;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use call::Calls;
pub use layout::Layout;

use crate::{
    contract::{
        Adapter, Body, Check, Gather, Head, Limits, Mistake, Normalise, Push, Reception, Recordings, Refusal, Source,
        Toolbox,
    },
    delivery::{self, Keys, Signing, Verifier, document},
    entry::{Fragment, Item},
    fault::Fault,
    mapping::{self, Mapping, Preset},
    recordings::RecordingSettings,
    secret::SecretRef,
    times::TimeFormat,
};

/// What the adapter reads, in one line.
pub const ABOUT: &str =
    "电话系统推送的通话事件和话务员登记单，一次通话一件 / call events and agents' forms, one entry a call";

/// The longest that an open call may be waited for, in seconds: a day.
const MAX_WAIT: u32 = 86_400;

/// What becomes of a call that ended before anybody answered it, and brought no form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Abandoned {
    /// It is an entry, and a person looks at it: somebody may have to be called back.
    #[default]
    Hold,
    /// It makes no entry. Its events stay stored and are counted; a form that comes after all brings them back.
    Drop,
}

/// When a call is whole, and what its form says; the part of the settings that has nothing to do with how events come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallSettings {
    /// Where each field of an event stands.
    pub layout: Layout,
    /// Where each field of a complaint stands in the event that brings the form.
    pub mapping: Mapping,
    /// The area code that completes a local number.
    pub area_code: String,
    /// Seconds without a further event after which a call with form and end is whole; 10 unless set.
    pub settle_seconds: u32,
    /// Seconds without a further event after which any other call is closed; 1800 unless set.
    pub timeout_seconds: u32,
    /// What becomes of a call that ended before anybody answered it.
    pub abandoned: Abandoned,
    /// Where the recordings of calls may be fetched from; none is fetched without it, and none before somebody asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recordings: Option<RecordingSettings>,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            mapping: Mapping::preset(Preset::CallCenter),
            area_code: "0419".to_owned(),
            settle_seconds: 10,
            timeout_seconds: 1800,
            abandoned: Abandoned::Hold,
            recordings: None,
        }
    }
}

impl CallSettings {
    /// The mistakes; pointers start below these settings.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = mapping::below("/layout", self.layout.mistakes()).collect();
        mistakes.extend(mapping::below("/mapping", self.mapping.validate()));
        if !self.area_code.is_empty() && !number::is_area_code(&self.area_code) {
            mistakes.push(Mistake::new("/area_code", "an area code is 0 and two or three digits").suggest("\"0419\""));
        }
        for (field, seconds) in [("settle_seconds", self.settle_seconds), ("timeout_seconds", self.timeout_seconds)] {
            if seconds > MAX_WAIT {
                let message = format!("{seconds} is more than {MAX_WAIT} seconds, a day");
                mistakes.push(Mistake::new(format!("/{field}"), message));
            }
        }
        if let Some(recordings) = &self.recordings {
            mistakes.extend(mapping::below("/recordings", recordings.mistakes()));
        }
        mistakes
    }

    /// What fetches recordings.
    pub(crate) fn fetcher(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Recordings>>, Fault> {
        let Some(recordings) = &self.recordings else { return Ok(None) };
        Ok(Some(Arc::new(recordings.fetcher(tools)?)))
    }

    pub(crate) fn calls(&self, limit: usize) -> Result<Calls, Fault> {
        let mapping = self.mapping.compile().map_err(|mistakes| mapping::fault(&mistakes))?;
        let resolved = self.mapping.resolved();
        let time_formats = if resolved.time_formats.is_empty() {
            vec![
                TimeFormat::Rfc3339,
                TimeFormat::Civil,
                TimeFormat::Compact,
                TimeFormat::EpochSeconds,
                TimeFormat::EpochMillis,
            ]
        } else {
            resolved.time_formats
        };
        Ok(Calls {
            layout: self.layout.clone(),
            mapping,
            time_formats,
            area_code: self.area_code.clone(),
            settle: SignedDuration::from_secs(i64::from(self.settle_seconds)),
            timeout: SignedDuration::from_secs(i64::from(self.timeout_seconds)),
            abandoned: self.abandoned,
            limit,
        })
    }
}

/// Settings of a telephone system's pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The secrets that deliveries may be signed with, as for `inlet`.
    pub secrets: Vec<SecretRef>,
    /// How deliveries are signed: `standard_webhooks` unless set.
    #[serde(default = "default_signing")]
    pub signing: Signing,
    /// How far the time of a delivery may lie from our clock, in either direction, in seconds; 300 unless set.
    #[serde(default = "default_tolerance")]
    pub tolerance_seconds: u32,
    /// What an event says, and when a call is whole.
    #[serde(default)]
    pub call: CallSettings,
}

fn default_signing() -> Signing {
    Signing::StandardWebhooks
}

fn default_tolerance() -> u32 {
    300
}

impl Settings {
    fn calls(&self) -> Result<Arc<Calls>, Fault> {
        // An entry holds several deliveries, each of which is bounded by the push endpoint.
        self.call.calls(Limits::default().item_bytes).map(Arc::new)
    }
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = delivery::mistakes(&self.secrets, self.tolerance_seconds, &self.signing);
        mistakes.extend(mapping::below("/call", self.call.mistakes()));
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(self.calls()?)
    }

    fn gatherer(&self) -> Result<Option<Arc<dyn Gather>>, Fault> {
        Ok(Some(self.calls()?))
    }

    fn recordings(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Recordings>>, Fault> {
        self.call.fetcher(tools)
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let _ = tools;
        let keys = Keys::new(&self.secrets, &self.signing)?;
        Ok(Source::Push(Arc::new(Receiver { keys, calls: self.calls()?, settings: self.clone() })))
    }
}

/// The receiving part.
struct Receiver {
    keys: Keys,
    calls: Arc<Calls>,
    settings: Settings,
}

impl Push for Receiver {
    fn open(&self, head: &Head, now: Timestamp) -> Result<Box<dyn Reception>, Refusal> {
        let verifier = self.keys.open(head, now, self.settings.tolerance_seconds)?;
        let charset = head.headers.get("content-type").and_then(|text| document::charset(text));
        Ok(Box::new(Delivery { verifier, charset, calls: Arc::clone(&self.calls) }))
    }

    fn check(&self) -> Check {
        let mut check = Check::default();
        if !delivery::check_secrets(&mut check, &self.settings.secrets, &self.settings.signing) {
            return check;
        }
        let outcome = self.settings.calls().map(|_| "the layout and the mapping can be used".to_owned());
        check.step("read the mapping", outcome);
        check
    }
}

/// One delivery.
struct Delivery {
    verifier: Verifier,
    charset: Option<String>,
    calls: Arc<Calls>,
}

impl Reception for Delivery {
    fn chunk(&mut self, bytes: &[u8]) {
        self.verifier.update(bytes);
    }

    fn close(self: Box<Self>, body: Body) -> Result<Item, Refusal> {
        let delivery_id = self.verifier.verify()?;
        let raw = match body {
            Body::Whole(raw) => raw,
            Body::Oversize { start, size } => return Ok(delivery::stub(start, size, &delivery_id)),
        };
        document::acceptable(self.charset.as_deref())?;
        let (document, _) = document::parse(&raw)?;
        let Some(item) = self.calls.layout.call(&document) else {
            let field = self.calls.layout.call.first().cloned().unwrap_or_default();
            let message = "the id of the call is required, as text or as a whole number".to_owned();
            return Err(Refusal::Malformed { field, message });
        };
        if self.calls.layout.event(&document, &self.calls.time_formats).has_form {
            self.calls.mapping.demand(&document)?;
        }
        let content = self.calls.content(&document);
        Ok(Item::Fragment(Fragment { item, content, delivery_id: Some(delivery_id), raw }))
    }
}
