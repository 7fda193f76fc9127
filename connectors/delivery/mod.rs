//! What the adapters share that are pushed to: who sent a delivery and that it is fresh ([`Signing`]), and the JSON document
//! that it brings ([`document`]).
//!
//! Partners sign in their own ways: [`webhook`] is the published one and the best; [`digest`] is what call centres and
//! platforms do in practice. Whichever it is, nothing of an unsigned body is parsed, a delivery is fresh or refused, and its
//! id is taken once.

pub(crate) mod digest;
pub(crate) mod document;
pub mod webhook;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

pub use digest::{Digest, DigestHeaders, DigestKind, DigestPart, DigestTime};
pub use webhook::Key;

use crate::{
    contract::{Check, Head, Mistake, Refusal},
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision},
    fault::Fault,
    secret::SecretRef,
};

/// Secrets that may be in use at once: one, and the one that it is exchanged for, and room for partners that share.
pub const MAX_SECRETS: usize = 8;

/// The widest time window that may be set, in seconds.
pub const MAX_TOLERANCE: u32 = 3600;

/// The fewest bytes of a secret that is hashed as text.
pub const MIN_SECRET: usize = 16;

/// How deliveries are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signing {
    /// Standard Webhooks: HMAC-SHA256 over id, time and body. What to agree on with a partner who has the choice.
    StandardWebhooks,
    /// A digest over parts of the request and a shared secret, as partners have it.
    Digest(Digest),
}

/// The mistakes in what says how deliveries are signed; pointers start at the settings.
pub(crate) fn mistakes(secrets: &[SecretRef], tolerance: u32, signing: &Signing) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if secrets.is_empty() {
        mistakes.push(
            Mistake::new("/secrets", "an inlet without a secret takes nothing")
                .suggest("secrets = [{ env = \"JIESU_INLET_SECRET\" }]"),
        );
    }
    if secrets.len() > MAX_SECRETS {
        let message = format!("{} secrets are more than the {MAX_SECRETS} that may be in use", secrets.len());
        mistakes.push(Mistake::new("/secrets", message).suggest("take away those that no partner signs with"));
    }
    if !(1..=MAX_TOLERANCE).contains(&tolerance) {
        let message = format!("{tolerance} is not within 1 to {MAX_TOLERANCE} seconds");
        mistakes.push(Mistake::new("/tolerance_seconds", message).suggest("300"));
    }
    if let Signing::Digest(digest) = signing {
        mistakes.extend(digest.mistakes());
    }
    mistakes
}

/// The secrets of an inlet, ready to verify with.
#[derive(Debug, Clone)]
pub(crate) enum Keys {
    Webhook(Vec<Key>),
    Digest(Digest, Vec<SecretString>),
}

impl Keys {
    /// Fetches the secrets.
    ///
    /// # Errors
    /// A configuration fault where one is missing or not of the scheme.
    pub(crate) fn new(secrets: &[SecretRef], signing: &Signing) -> Result<Self, Fault> {
        if secrets.is_empty() {
            return Err(Fault::configuration("the inlet has no secret")
                .remedy("name one: secrets = [{ env = \"…\" }] or [{ file = \"…\" }]"));
        }
        Ok(match signing {
            Signing::StandardWebhooks => Self::Webhook(secrets.iter().map(webhook_key).collect::<Result<_, _>>()?),
            Signing::Digest(digest) => {
                Self::Digest(digest.clone(), secrets.iter().map(digest_secret).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Reads the head of a delivery.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] where a header is missing or malformed, or the time is out of the window.
    pub(crate) fn open(&self, head: &Head, now: Timestamp, tolerance: u32) -> Result<Verifier, Refusal> {
        Ok(match self {
            Self::Webhook(keys) => Verifier::Webhook(webhook::Verifier::open(keys, head, now, tolerance)?),
            Self::Digest(digest, secrets) => {
                Verifier::Digest(digest::Verifier::open(digest, secrets, head, now, tolerance)?)
            }
        })
    }
}

/// The key that a secret holds.
///
/// # Errors
/// A configuration fault where it is missing or no key.
pub(crate) fn webhook_key(secret: &SecretRef) -> Result<Key, Fault> {
    Key::parse(&secret.reveal()?).map_err(|error| {
        Fault::configuration(format!("{error} ({secret})"))
            .remedy("make one with: echo \"whsec_$(openssl rand -base64 32)\"")
    })
}

fn digest_secret(secret: &SecretRef) -> Result<SecretString, Fault> {
    let text = secret.reveal()?;
    let length = text.expose_secret().len();
    if length >= MIN_SECRET {
        return Ok(text);
    }
    Err(Fault::configuration(format!("the secret has {length} bytes; {MIN_SECRET} at least are needed ({secret})"))
        .remedy("agree with the partner on a longer one, from: openssl rand -hex 32"))
}

/// A step of a check for each secret; whether to go on.
pub(crate) fn check_secrets(check: &mut Check, secrets: &[SecretRef], signing: &Signing) -> bool {
    secrets.iter().all(|secret| {
        let outcome = match signing {
            Signing::StandardWebhooks => webhook_key(secret).map(|_| ()),
            Signing::Digest(_) => digest_secret(secret).map(|_| ()),
        };
        check.step("read the secret", outcome.map(|()| format!("{secret} holds a well-formed secret")))
    })
}

/// A delivery whose head is well-formed and fresh.
pub(crate) enum Verifier {
    Webhook(webhook::Verifier),
    Digest(digest::Verifier),
}

impl Verifier {
    /// Takes the next bytes of the body, in order.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Webhook(verifier) => verifier.update(bytes),
            Self::Digest(verifier) => verifier.update(bytes),
        }
    }

    /// Ends the body; returns the delivery's id.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] where no signature fits.
    pub(crate) fn verify(self) -> Result<String, Refusal> {
        match self {
            Self::Webhook(verifier) => verifier.verify(),
            Self::Digest(verifier) => verifier.verify(),
        }
    }
}

/// What is kept of a body over the limit: that it came, signed by whom, and its beginning. It was refused, so its id is
/// not taken: the sender may send it again, shortened, under the same one.
pub(crate) fn stub(start: Bytes, size: u64, delivery_id: &str) -> Item {
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
