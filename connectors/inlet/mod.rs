//! `inlet`: takes complaints that a partner pushes: the call centre's telephone form, the business-environment
//! platform, the city portal.
//!
//! A push that is answered 2xx is never sent again, and one that is not is sent until it is; so a delivery is checked
//! in this order: signed by a key of ours, fresh, readable, complete. Nothing of an unsigned body is ever parsed.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    complaint::Complaint,
    contract::{Adapter, Body, Check, Head, Mistake, Normalise, Push, Reception, Refusal, Source, Toolbox, Unreadable},
    delivery::{self, Keys, Signing, Verifier, document},
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision},
    fault::Fault,
    mapping::{self, Anonymous, Compiled, Mapping},
    secret::SecretRef,
};

pub use crate::delivery::webhook::{self as signature, Key, sign};

/// What the adapter reads, in one line.
pub const ABOUT: &str =
    "签名推送（Standard Webhooks）：电话系统、营商环境平台、门户表单 / signed pushes of JSON documents";

pub use crate::delivery::{MAX_SECRETS, MAX_TOLERANCE};

/// Settings of an inlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The secrets that deliveries may be signed with: for Standard Webhooks base64 of 24 to 64 random bytes, with or
    /// without `whsec_` before it; for a digest the agreed text. To rotate, add the new one, let the partner change over,
    /// take the old one away.
    pub secrets: Vec<SecretRef>,
    /// How deliveries are signed: `standard_webhooks` unless set.
    #[serde(default = "default_signing")]
    pub signing: Signing,
    /// How far the time of a delivery may lie from our clock, in either direction, in seconds; 300 unless set.
    #[serde(default = "default_tolerance")]
    pub tolerance_seconds: u32,
    /// Where each field of a complaint stands in the document.
    #[serde(default = "default_mapping")]
    pub mapping: Mapping,
    /// What becomes of an item that names nobody: `hold` with the preset `business_environment`, else `accept`, unless set.
    #[serde(default)]
    pub anonymous: Option<Anonymous>,
}

fn default_tolerance() -> u32 {
    300
}

fn default_signing() -> Signing {
    Signing::StandardWebhooks
}

fn default_mapping() -> Mapping {
    Mapping::preset(mapping::Preset::Portal)
}

impl Settings {
    fn anonymous(&self) -> Anonymous {
        let strict = self.mapping.preset == Some(mapping::Preset::BusinessEnvironment);
        let usual = if strict { Anonymous::Hold } else { Anonymous::Accept };
        self.anonymous.clone().unwrap_or(usual)
    }

    fn compiled(&self) -> Result<Arc<Compiled>, Fault> {
        self.mapping.compile().map(Arc::new).map_err(|mistakes| mapping::fault(&mistakes))
    }
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = delivery::mistakes(&self.secrets, self.tolerance_seconds, &self.signing);
        mistakes.extend(mapping::below("/mapping", self.mapping.validate()));
        mistakes.extend(mapping::below("/anonymous", self.anonymous().mistakes()));
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(Arc::new(Reader { mapping: self.compiled()?, anonymous: self.anonymous() }))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let _ = tools;
        let keys = Keys::new(&self.secrets, &self.signing)?;
        let inlet = Inlet { keys, mapping: self.compiled()?, settings: self.clone() };
        Ok(Source::Push(Arc::new(inlet)))
    }
}

/// The receiving part.
struct Inlet {
    keys: Keys,
    mapping: Arc<Compiled>,
    settings: Settings,
}

impl Push for Inlet {
    fn open(&self, head: &Head, now: Timestamp) -> Result<Box<dyn Reception>, Refusal> {
        let verifier = self.keys.open(head, now, self.settings.tolerance_seconds)?;
        let charset = head.headers.get("content-type").and_then(|text| document::charset(text));
        Ok(Box::new(Delivery { verifier, charset, mapping: Arc::clone(&self.mapping) }))
    }

    fn check(&self) -> Check {
        let mut check = Check::default();
        if !delivery::check_secrets(&mut check, &self.settings.secrets, &self.settings.signing) {
            return check;
        }
        let outcome = self.settings.compiled().map(|_| "the mapping can be used".to_owned());
        check.step("read the mapping", outcome);
        check
    }
}

/// One delivery.
struct Delivery {
    verifier: Verifier,
    charset: Option<String>,
    mapping: Arc<Compiled>,
}

impl Reception for Delivery {
    fn chunk(&mut self, bytes: &[u8]) {
        self.verifier.update(bytes);
    }

    fn close(self: Box<Self>, body: Body) -> Result<Item, Refusal> {
        let delivery_id = self.verifier.verify()?;
        match body {
            Body::Whole(raw) => whole(raw, delivery_id, self.charset.as_deref(), &self.mapping),
            Body::Oversize { start, size } => Ok(delivery::stub(start, size, &delivery_id)),
        }
    }
}

fn whole(raw: Bytes, delivery_id: String, charset: Option<&str>, mapping: &Compiled) -> Result<Item, Refusal> {
    document::acceptable(charset)?;
    let (document, remarks) = document::parse(&raw)?;
    mapping.demand(&document)?;
    let (external_id, revision) = match mapping.id(&document) {
        Some(id) => (id, mapping.revision(&document)),
        None => (ExternalId::new(&delivery_id), Revision::only()),
    };
    Ok(Item::Entry(RawEntry {
        external_id,
        revision,
        delivery_id: Some(delivery_id),
        source_time: mapping.time(&document),
        form: Form::Json,
        raw,
        remarks,
    }))
}

/// The pure part.
struct Reader {
    mapping: Arc<Compiled>,
    anonymous: Anonymous,
}

impl Normalise for Reader {
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        if entry.remarks.iter().any(|remark| matches!(remark, Remark::Oversize { .. })) {
            // Half a document says nothing reliable about anyone: a person must ask the partner for it.
            return Ok(Complaint { remarks: entry.remarks.clone(), ..Complaint::default() });
        }
        let (document, _) = document::parse(&entry.raw).map_err(|refusal| Unreadable(refusal.to_string()))?;
        let mut complaint = self.mapping.complaint(&document)?;
        mapping::doubt_clock(&mut complaint, received_at);
        self.anonymous.apply(&mut complaint);
        complaint.remarks.splice(0..0, entry.remarks.iter().cloned());
        Ok(complaint)
    }
}
