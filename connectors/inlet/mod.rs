//! `inlet`: takes complaints that a partner pushes: the call centre's telephone form, the business-environment
//! platform, the city portal.
//!
//! A push that is answered 2xx is never sent again, and one that is not is sent until it is; so a delivery is checked
//! in this order: signed by a key of ours, fresh, readable, complete. Nothing of an unsigned body is ever parsed.

mod document;
pub mod signature;

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
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision},
    fault::Fault,
    mapping::{self, Compiled, Mapping},
    secret::SecretRef,
};

pub use signature::{Key, sign};

/// What the adapter reads, in one line.
pub const ABOUT: &str =
    "签名推送（Standard Webhooks）：电话系统、营商环境平台、门户表单 / signed pushes of JSON documents";

/// Secrets that may be in use at once: one, and the one that it is exchanged for, and room for partners that share.
pub const MAX_SECRETS: usize = 8;

/// The widest time window that may be set, in seconds.
pub const MAX_TOLERANCE: u32 = 3600;

/// Settings of an inlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The secrets that deliveries may be signed with: base64 of 24 to 64 random bytes, with or without `whsec_` before
    /// it. To rotate, add the new one, let the partner change over, take the old one away.
    pub secrets: Vec<SecretRef>,
    /// How far the time of a delivery may lie from our clock, in either direction, in seconds; 300 unless set.
    #[serde(default = "default_tolerance")]
    pub tolerance_seconds: u32,
    /// Where each field of a complaint stands in the document.
    #[serde(default = "default_mapping")]
    pub mapping: Mapping,
}

fn default_tolerance() -> u32 {
    300
}

fn default_mapping() -> Mapping {
    Mapping::preset(mapping::Preset::Portal)
}

impl Settings {
    fn compiled(&self) -> Result<Arc<Compiled>, Fault> {
        self.mapping.compile().map(Arc::new).map_err(|mistakes| mapping::fault(&mistakes))
    }

    fn keys(&self) -> Result<Vec<Key>, Fault> {
        if self.secrets.is_empty() {
            return Err(Fault::configuration("the inlet has no secret")
                .remedy("name one: secrets = [{ env = \"…\" }] or [{ file = \"…\" }]"));
        }
        self.secrets.iter().map(key).collect()
    }
}

fn key(secret: &SecretRef) -> Result<Key, Fault> {
    Key::parse(&secret.reveal()?).map_err(|error| {
        Fault::configuration(format!("{error} ({secret})"))
            .remedy("make one with: echo \"whsec_$(openssl rand -base64 32)\"")
    })
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.secrets.is_empty() {
            mistakes.push(
                Mistake::new("/secrets", "an inlet without a secret takes nothing")
                    .suggest("secrets = [{ env = \"JIESU_INLET_SECRET\" }]"),
            );
        }
        if self.secrets.len() > MAX_SECRETS {
            let message = format!("{} secrets are more than the {MAX_SECRETS} that may be in use", self.secrets.len());
            mistakes.push(Mistake::new("/secrets", message).suggest("take away those that no partner signs with"));
        }
        if !(1..=MAX_TOLERANCE).contains(&self.tolerance_seconds) {
            let message = format!("{} is not within 1 to {MAX_TOLERANCE} seconds", self.tolerance_seconds);
            mistakes.push(Mistake::new("/tolerance_seconds", message).suggest("300"));
        }
        mistakes.extend(mapping::below("/mapping", self.mapping.validate()));
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(Arc::new(Reader { mapping: self.compiled()? }))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let _ = tools;
        let inlet = Inlet { keys: self.keys()?, mapping: self.compiled()?, settings: self.clone() };
        Ok(Source::Push(Arc::new(inlet)))
    }
}

/// The receiving part.
struct Inlet {
    keys: Vec<Key>,
    mapping: Arc<Compiled>,
    settings: Settings,
}

impl Push for Inlet {
    fn open(&self, head: &Head, now: Timestamp) -> Result<Box<dyn Reception>, Refusal> {
        let verifier = signature::Verifier::open(&self.keys, head, now, self.settings.tolerance_seconds)?;
        let charset = head.headers.get("content-type").and_then(|text| document::charset(text));
        Ok(Box::new(Delivery { verifier, charset, mapping: Arc::clone(&self.mapping) }))
    }

    fn check(&self) -> Check {
        let mut check = Check::default();
        for secret in &self.settings.secrets {
            let outcome = key(secret).map(|_| format!("{secret} holds a well-formed secret"));
            if !check.step("read the secret", outcome) {
                return check;
            }
        }
        let outcome = self.settings.compiled().map(|_| "the mapping can be used".to_owned());
        check.step("read the mapping", outcome);
        check
    }
}

/// One delivery.
struct Delivery {
    verifier: signature::Verifier,
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
            Body::Oversize { start, size } => Ok(stub(start, size, &delivery_id)),
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

/// What is kept of a body over the limit: that it came, signed by whom, and its beginning. It was refused, so its id is
/// not taken: the sender may send it again, shortened, under the same one.
fn stub(start: Bytes, size: u64, delivery_id: &str) -> Item {
    let limit = start.len() as u64;
    Item::Entry(RawEntry {
        external_id: ExternalId::new(delivery_id),
        revision: Revision::of_content(&[&start]),
        delivery_id: None,
        source_time: None,
        form: Form::Json,
        raw: start,
        remarks: vec![Remark::Oversize { size: Some(size), limit }],
    })
}

/// The pure part.
struct Reader {
    mapping: Arc<Compiled>,
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
        complaint.remarks.splice(0..0, entry.remarks.iter().cloned());
        Ok(complaint)
    }
}
