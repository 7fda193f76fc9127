//! A plain digest over parts of a request and a shared secret: what telephone systems and platforms call a signature.
//!
//! Where the body is not among the parts, the digest says who sent something, not what. What protects then is that a nonce is
//! taken once: whoever records a delivery can send nothing else under it. Ask the partner to sign the body as well.

use jiff::Timestamp;
use md5::Md5;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sm3::{Digest as _, Sm3};
use subtle::ConstantTimeEq as _;

use crate::contract::{Head, Mistake, Refusal};

/// The longest nonce, in bytes; the shortest has eight.
const MAX_NONCE: usize = 128;

/// The longest header of a signature, in bytes.
const MAX_SIGNATURE: usize = 256;

/// A digest over parts of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Which digest: `sm3` (GB/T 32905) or `md5`.
    pub algorithm: DigestKind,
    /// What the partner calls itself.
    pub app_id: String,
    /// What the digest is taken over, in this order; the secret, the timestamp and the nonce must be among them.
    #[serde(default = "default_parts")]
    pub parts: Vec<DigestPart>,
    /// What stands between the parts; nothing unless set.
    #[serde(default)]
    pub separator: String,
    /// In which headers the parts stand.
    #[serde(default)]
    pub headers: DigestHeaders,
    /// The unit of the timestamp.
    #[serde(default)]
    pub time: DigestTime,
}

fn default_parts() -> Vec<DigestPart> {
    vec![DigestPart::AppId, DigestPart::Timestamp, DigestPart::Nonce, DigestPart::Secret]
}

/// Which digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DigestKind {
    /// MD5 (RFC 1321): broken as a digest, and still what partners have.
    Md5,
    /// SM3 (GB/T 32905).
    Sm3,
}

/// A part that the digest is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DigestPart {
    /// What the partner calls itself.
    AppId,
    /// The time of the attempt, as its header says it.
    Timestamp,
    /// The nonce.
    Nonce,
    /// The shared secret.
    Secret,
    /// The whole body.
    Body,
}

/// Unit of the timestamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DigestTime {
    /// Whole seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Millis,
}

/// Names of the headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DigestHeaders {
    /// What the partner calls itself.
    pub app_id: String,
    /// The time of the attempt.
    pub timestamp: String,
    /// The nonce: also the delivery's id, taken once for ever.
    pub nonce: String,
    /// The digest, in hexadecimal.
    pub signature: String,
}

impl Default for DigestHeaders {
    fn default() -> Self {
        Self {
            app_id: "x-app-id".to_owned(),
            timestamp: "x-timestamp".to_owned(),
            nonce: "x-nonce".to_owned(),
            signature: "x-signature".to_owned(),
        }
    }
}

impl Digest {
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let place = |field: &str| format!("/signing/digest/{field}");
        let mut mistakes = Vec::new();
        if self.app_id.trim().is_empty() {
            mistakes
                .push(Mistake::new(place("app_id"), "the partner's own id is needed").suggest("app_id = \"12345\""));
        }
        for needed in [DigestPart::Secret, DigestPart::Timestamp, DigestPart::Nonce] {
            if !self.parts.contains(&needed) {
                let message =
                    "without the secret, the timestamp and the nonce a digest proves nothing, or can be replayed";
                mistakes.push(
                    Mistake::new(place("parts"), message)
                        .suggest("parts = [\"app_id\", \"timestamp\", \"nonce\", \"body\", \"secret\"]"),
                );
                break;
            }
        }
        if (1..self.parts.len()).any(|index| self.parts[..index].contains(&self.parts[index])) {
            mistakes.push(Mistake::new(place("parts"), "a part stands there twice"));
        }
        let DigestHeaders { app_id, timestamp, nonce, signature } = &self.headers;
        for (field, name) in [("app_id", app_id), ("timestamp", timestamp), ("nonce", nonce), ("signature", signature)]
        {
            let sound = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !sound {
                mistakes.push(
                    Mistake::new(place(&format!("headers/{field}")), "a header's name is letters, digits and hyphens")
                        .suggest(format!("{field} = \"x-{}\"", field.replace('_', "-"))),
                );
            }
        }
        mistakes
    }

    /// Signs as the partner does: the digest in hexadecimal.
    pub fn sign(&self, secret: &SecretString, timestamp: &str, nonce: &str, body: &[u8]) -> String {
        let mut running = Running::new(self, secret, timestamp, nonce);
        running.hasher.update(body);
        hex(&running.finish())
    }
}

/// The digest of one delivery under one secret, up to the body.
struct Running {
    hasher: Hasher,
    /// What follows the body; everything, where the body is no part.
    rest: Vec<u8>,
}

enum Hasher {
    Md5(Md5),
    Sm3(Sm3),
    /// The body is no part.
    Deaf(DigestKind),
}

impl Hasher {
    fn new(kind: DigestKind) -> Self {
        match kind {
            DigestKind::Md5 => Self::Md5(Md5::new()),
            DigestKind::Sm3 => Self::Sm3(Sm3::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sm3(hasher) => hasher.update(bytes),
            Self::Deaf(_) => {}
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Sm3(hasher) => hasher.finalize().to_vec(),
            Self::Deaf(_) => Vec::new(),
        }
    }
}

impl Running {
    fn new(digest: &Digest, secret: &SecretString, timestamp: &str, nonce: &str) -> Self {
        let text = |part: &DigestPart| match part {
            DigestPart::AppId => digest.app_id.as_str(),
            DigestPart::Timestamp => timestamp,
            DigestPart::Nonce => nonce,
            DigestPart::Secret => secret.expose_secret(),
            DigestPart::Body => "",
        };
        let joined = |parts: &[DigestPart]| parts.iter().map(text).collect::<Vec<_>>().join(&digest.separator);
        let Some(body) = digest.parts.iter().position(|part| *part == DigestPart::Body) else {
            return Self { hasher: Hasher::Deaf(digest.algorithm), rest: joined(&digest.parts).into_bytes() };
        };
        let mut hasher = Hasher::new(digest.algorithm);
        if body > 0 {
            hasher.update(joined(&digest.parts[..body]).as_bytes());
            hasher.update(digest.separator.as_bytes());
        }
        let mut rest = Vec::new();
        if body + 1 < digest.parts.len() {
            rest.extend_from_slice(digest.separator.as_bytes());
            rest.extend_from_slice(joined(&digest.parts[body + 1..]).as_bytes());
        }
        Self { hasher, rest }
    }

    fn finish(self) -> Vec<u8> {
        let mut hasher = match self.hasher {
            Hasher::Deaf(kind) => Hasher::new(kind),
            hasher => hasher,
        };
        hasher.update(&self.rest);
        hasher.finish()
    }
}

/// A delivery whose head is well-formed and fresh.
pub(crate) struct Verifier {
    nonce: String,
    expected: Vec<u8>,
    running: Vec<Running>,
}

impl Verifier {
    pub(super) fn open(
        digest: &Digest,
        secrets: &[SecretString],
        head: &Head,
        now: Timestamp,
        tolerance: u32,
    ) -> Result<Self, Refusal> {
        let names = &digest.headers;
        let timestamp = header(head, &names.timestamp)?;
        fresh(&names.timestamp, timestamp, digest.time, now, tolerance)?;
        let nonce = header(head, &names.nonce)?;
        let sound = (8..=MAX_NONCE).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if !sound {
            return Err(refuse(format!("{} must be 8 to {MAX_NONCE} visible ASCII characters", names.nonce)));
        }
        let expected = header(head, &names.signature)?;
        let expected =
            unhex(expected).ok_or_else(|| refuse(format!("{} must be the digest in hexadecimal", names.signature)))?;
        if header(head, &names.app_id)? != digest.app_id {
            return Err(refuse(format!("{} is not the id that this connector expects", names.app_id)));
        }
        let running = secrets.iter().map(|secret| Running::new(digest, secret, timestamp, nonce)).collect();
        Ok(Self { nonce: nonce.to_owned(), expected, running })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for running in &mut self.running {
            running.hasher.update(bytes);
        }
    }

    pub(super) fn verify(self) -> Result<String, Refusal> {
        // Every secret is tried, each in constant time.
        let mut matched = subtle::Choice::from(0);
        for running in self.running {
            matched |= running.finish().ct_eq(&self.expected);
        }
        if bool::from(matched) {
            return Ok(self.nonce);
        }
        Err(refuse(
            "the signature was not made with a secret of this connector; check the secret and the order of the parts",
        ))
    }
}

fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::Unauthenticated(message.into())
}

fn header<'a>(head: &'a Head, name: &str) -> Result<&'a str, Refusal> {
    head.headers
        .get(&name.to_ascii_lowercase())
        .map(String::as_str)
        .ok_or_else(|| refuse(format!("the header {name} is missing")))
}

fn fresh(name: &str, text: &str, unit: DigestTime, now: Timestamp, tolerance: u32) -> Result<(), Refusal> {
    let digits = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let told: Option<i64> = text.parse().ok().filter(|_| digits);
    let (seconds, unit) = match unit {
        DigestTime::Seconds => (told, "seconds"),
        DigestTime::Millis => (told.map(|millis| millis / 1000), "milliseconds"),
    };
    let Some(seconds) = seconds else {
        return Err(refuse(format!("{name} must be whole {unit} since 1970-01-01T00:00Z")));
    };
    let apart = now.as_second().saturating_sub(seconds);
    if apart.unsigned_abs() <= u64::from(tolerance) {
        return Ok(());
    }
    let direction = if apart > 0 { "behind" } else { "ahead of" };
    Err(refuse(format!(
        "{name} is {} s {direction} our clock; {tolerance} s are allowed, check both clocks",
        apart.unsigned_abs()
    )))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.trim().as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_SIGNATURE || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let value = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    bytes.chunks(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const NOW: i64 = 1_795_312_800;

    fn digest(algorithm: DigestKind, parts: &[DigestPart]) -> Digest {
        Digest {
            algorithm,
            app_id: "12345".to_owned(),
            parts: parts.to_vec(),
            separator: String::new(),
            headers: DigestHeaders::default(),
            time: DigestTime::Seconds,
        }
    }

    fn head(digest: &Digest, time: i64, nonce: &str, signature: &str) -> Head {
        let headers = [
            ("x-app-id", digest.app_id.clone()),
            ("x-timestamp", time.to_string()),
            ("x-nonce", nonce.to_owned()),
            ("x-signature", signature.to_owned()),
        ];
        Head { headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>() }
    }

    fn taken(digest: &Digest, secrets: &[&str], head: &Head, body: &[u8]) -> Result<String, Refusal> {
        let secrets: Vec<SecretString> = secrets.iter().map(|&secret| SecretString::from(secret)).collect();
        let mut verifier = Verifier::open(digest, &secrets, head, Timestamp::from_second(NOW).unwrap(), 300)?;
        for chunk in body.chunks(3) {
            verifier.update(chunk);
        }
        verifier.verify()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // RFC 1321, A.5 and GB/T 32905, A.1: the digest of "abc", here as parts without a separator.
        let whole = |algorithm| Digest { app_id: "a".to_owned(), ..digest(algorithm, &default_parts()) };
        let secret = SecretString::from("");
        assert_eq!(whole(DigestKind::Md5).sign(&secret, "b", "c", b""), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            whole(DigestKind::Sm3).sign(&secret, "b", "c", b""),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
    }

    #[test]
    fn d01_only_deliveries_with_a_fresh_digest_under_a_known_secret_are_taken() {
        use DigestPart::{AppId, Body, Nonce, Secret, Timestamp};
        const OURS: &str = "an-agreed-secret-of-24-b";
        let body = r#"{"call_id":"1"}"#.as_bytes();
        for algorithm in [DigestKind::Md5, DigestKind::Sm3] {
            for parts in
                [default_parts(), vec![Body, AppId, Timestamp, Nonce, Secret], vec![Secret, Nonce, Body, Timestamp]]
            {
                let digest = Digest { separator: "&".to_owned(), ..digest(algorithm, &parts) };
                let sign = |time: i64, nonce: &str, body: &[u8]| {
                    digest.sign(&SecretString::from(OURS), &time.to_string(), nonce, body)
                };
                let good = sign(NOW, "nonce-01", body);
                let upper = good.to_uppercase();
                assert_eq!(taken(&digest, &[OURS], &head(&digest, NOW, "nonce-01", &good), body).unwrap(), "nonce-01");
                assert_eq!(
                    taken(&digest, &["another-secret-00", OURS], &head(&digest, NOW, "nonce-01", &upper), body)
                        .unwrap(),
                    "nonce-01"
                );
                let late = sign(NOW - 301, "nonce-01", body);
                let early = sign(NOW + 301, "nonce-01", body);
                let refused = [
                    (
                        "a foreign secret",
                        taken(&digest, &["another-secret-00"], &head(&digest, NOW, "nonce-01", &good), body),
                    ),
                    ("another nonce", taken(&digest, &[OURS], &head(&digest, NOW, "nonce-02", &good), body)),
                    ("another time", taken(&digest, &[OURS], &head(&digest, NOW - 1, "nonce-01", &good), body)),
                    ("a stale time", taken(&digest, &[OURS], &head(&digest, NOW - 301, "nonce-01", &late), body)),
                    ("a future time", taken(&digest, &[OURS], &head(&digest, NOW + 301, "nonce-01", &early), body)),
                    ("a short nonce", taken(&digest, &[OURS], &head(&digest, NOW, "n", &good), body)),
                    ("no digest", taken(&digest, &[OURS], &head(&digest, NOW, "nonce-01", "zz"), body)),
                    ("half a digest", taken(&digest, &[OURS], &head(&digest, NOW, "nonce-01", &good[..16]), body)),
                ];
                for (what, outcome) in refused {
                    assert!(matches!(outcome, Err(Refusal::Unauthenticated(_))), "{what}: {outcome:?}");
                }
                let other_body = taken(&digest, &[OURS], &head(&digest, NOW, "nonce-01", &good), b"{}");
                assert_eq!(other_body.is_err(), parts.contains(&Body), "the body is signed where it is a part");
                let mut other_app = head(&digest, NOW, "nonce-01", &good);
                other_app.headers.insert("x-app-id".to_owned(), "54321".to_owned());
                assert!(taken(&digest, &[OURS], &other_app, body).is_err());
                for missing in ["x-app-id", "x-timestamp", "x-nonce", "x-signature"] {
                    let mut head = head(&digest, NOW, "nonce-01", &good);
                    head.headers.remove(missing);
                    assert!(taken(&digest, &[OURS], &head, body).unwrap_err().to_string().contains(missing));
                }
            }
        }
    }

    #[test]
    fn a_digest_that_can_be_replayed_is_no_setting() {
        let without = digest(DigestKind::Sm3, &[DigestPart::AppId, DigestPart::Timestamp, DigestPart::Secret]);
        assert!(without.mistakes().iter().any(|mistake| mistake.pointer == "/signing/digest/parts"));
        assert!(digest(DigestKind::Md5, &default_parts()).mistakes().is_empty());
    }
}
