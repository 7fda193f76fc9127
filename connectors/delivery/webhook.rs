//! Standard Webhooks (standardwebhooks.com, symmetric scheme `v1`): who sent a delivery, and that it is fresh.
//!
//! The signature covers `id.timestamp.body`, so that neither the body nor the id nor the time can be exchanged. It is
//! computed while the body arrives, under every key in use, so that a key can be rotated without losing a delivery.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::contract::{Head, Refusal};

/// Header that carries the delivery's id.
pub const ID: &str = "webhook-id";

/// Header that carries the time of the attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";

/// Header that carries the signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

/// The longest id of a delivery, in bytes.
pub const MAX_ID: usize = 128;

/// The longest signature header, in bytes.
pub const MAX_HEADER: usize = 4096;

/// Signatures of one header that are compared.
pub const MAX_SIGNATURES: usize = 16;

/// Bytes that a secret must and may have (the specification: 192 to 512 bits).
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What a serialised secret starts with.
const SECRET_PREFIX: &str = "whsec_";

/// Digits of a timestamp that are read: enough for some 30,000 years.
const MAX_TIMESTAMP_DIGITS: usize = 12;

/// A secret is not one of this scheme. Says nothing of the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Not base64.
    #[error("the secret is not base64, with or without \"whsec_\" before it")]
    Encoding,
    /// Too short or too long.
    #[error("the secret has {0} bytes; 24 to 64 are needed")]
    Length(usize),
}

/// A key ready to sign; the secret that it came from is not kept.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(sealed)")
    }
}

impl Key {
    /// The key of a serialised secret: base64, with or without `whsec_` before it.
    ///
    /// # Errors
    /// Where the secret is not base64 of 24 to 64 bytes.
    pub fn parse(secret: &SecretString) -> Result<Self, BadSecret> {
        let text = secret.expose_secret().trim();
        let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(encoded).map_err(|_| BadSecret::Encoding)?;
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(BadSecret::Length(bytes.len()));
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| BadSecret::Length(bytes.len()))
    }

    fn start(&self, id: &str, timestamp: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id, ".", timestamp, "."] {
            mac.update(part.as_bytes());
        }
        mac
    }

    /// Signs a delivery: the value of its `webhook-signature` header.
    pub fn sign(&self, id: &str, timestamp: Timestamp, body: &[u8]) -> String {
        let mut mac = self.start(id, &timestamp.as_second().to_string());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Signs a delivery as a partner does: the value of its `webhook-signature` header.
///
/// # Errors
/// Where the secret is not one of this scheme.
pub fn sign(secret: &SecretString, id: &str, timestamp: Timestamp, body: &[u8]) -> Result<String, BadSecret> {
    Ok(Key::parse(secret)?.sign(id, timestamp, body))
}

/// A delivery whose head is well-formed and fresh, and whose body is being signed as it arrives.
pub struct Verifier {
    id: String,
    expected: Vec<[u8; 32]>,
    running: Vec<Hmac<Sha256>>,
}

impl Verifier {
    /// Reads the head and starts a signature under each key.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] where a header is missing or malformed, or the time is more than `tolerance`
    /// seconds from `now`.
    pub fn open(keys: &[Key], head: &Head, now: Timestamp, tolerance: u32) -> Result<Self, Refusal> {
        let id = id(header(head, ID)?)?;
        let timestamp = header(head, TIMESTAMP)?;
        fresh(timestamp, now, tolerance)?;
        let expected = signatures(header(head, SIGNATURE)?)?;
        let running = keys.iter().map(|key| key.start(id, timestamp)).collect();
        Ok(Self { id: id.to_owned(), expected, running })
    }

    /// Takes the next bytes of the body, in order.
    pub fn update(&mut self, bytes: &[u8]) {
        for mac in &mut self.running {
            mac.update(bytes);
        }
    }

    /// Ends the body; returns the delivery's id where one of the signatures is one of the keys'.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] where none is.
    pub fn verify(self) -> Result<String, Refusal> {
        // Every pair is compared, each in constant time: how long it takes tells nothing about which one fits.
        let mut matched = subtle::Choice::from(0);
        for mac in self.running {
            let computed = mac.finalize().into_bytes();
            for expected in &self.expected {
                matched |= computed.as_slice().ct_eq(expected.as_slice());
            }
        }
        if bool::from(matched) {
            return Ok(self.id);
        }
        Err(refuse("no signature of this delivery was made with a key of this connector; check the shared secret"))
    }
}

fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::Unauthenticated(message.into())
}

fn header<'a>(head: &'a Head, name: &str) -> Result<&'a str, Refusal> {
    head.headers.get(name).map(String::as_str).ok_or_else(|| refuse(format!("the header {name} is missing")))
}

/// A full stop would let part of the body pass as part of the id (the specification forbids it).
fn id(text: &str) -> Result<&str, Refusal> {
    let well_formed =
        (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.');
    if well_formed {
        return Ok(text);
    }
    Err(refuse(format!("{ID} must be 1 to {MAX_ID} visible ASCII characters without a full stop")))
}

fn fresh(text: &str, now: Timestamp, tolerance: u32) -> Result<(), Refusal> {
    let well_formed =
        (1..=MAX_TIMESTAMP_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = text
        .parse()
        .ok()
        .filter(|_| well_formed)
        .ok_or_else(|| refuse(format!("{TIMESTAMP} must be whole seconds since 1970-01-01T00:00Z")))?;
    let apart = now.as_second() - seconds;
    if apart.unsigned_abs() <= u64::from(tolerance) {
        return Ok(());
    }
    let direction = if apart > 0 { "behind" } else { "ahead of" };
    Err(refuse(format!(
        "{TIMESTAMP} is {} s {direction} our clock; {tolerance} s are allowed, check both clocks",
        apart.unsigned_abs()
    )))
}

fn signatures(text: &str) -> Result<Vec<[u8; 32]>, Refusal> {
    if text.len() > MAX_HEADER {
        return Err(refuse(format!("{SIGNATURE} is longer than {MAX_HEADER} bytes")));
    }
    // Other schemes (v1a, ed25519) may stand beside ours and are passed over.
    let found: Vec<[u8; 32]> = text
        .split(' ')
        .filter_map(|entry| entry.strip_prefix("v1,"))
        .filter_map(|encoded| STANDARD.decode(encoded).ok()?.try_into().ok())
        .take(MAX_SIGNATURES)
        .collect();
    if found.is_empty() {
        return Err(refuse(format!("{SIGNATURE} carries no signature of the form \"v1,<base64 of 32 bytes>\"")));
    }
    Ok(found)
}
