//! The conformance suite's hand on a telephone system that pushes its calls, once with each way of signing.

use std::io::Write as _;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::Settings;
use crate::{
    conformance::{Delivery, Given, Kind, NAME, PHONE, PushHarness, Signer, push_conforms, push_conforms_as},
    contract::{Adapter, Head},
    delivery::{
        Digest, Signing,
        webhook::{self, sign},
    },
};

const OURS: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const THEIRS: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

fn file() -> NamedTempFile {
    let mut secret = NamedTempFile::new().unwrap();
    secret.write_all(OURS.as_bytes()).unwrap();
    secret
}

/// The event that brings the form.
fn event(item: &Given) -> Vec<u8> {
    let event = match item.kind {
        Kind::Unreadable => return format!("{{\"call_id\": \"{NAME}\", ").into_bytes(),
        _ => json!({
            "event": "form", "call_id": item.number.to_string(), "caller": PHONE, "start": item.made_at(),
            "form": { "title": item.subject(), "course": item.body(), "contact": { "name": NAME } },
        }),
    };
    event.to_string().into_bytes()
}

fn secret(signer: Signer) -> SecretString {
    SecretString::from(if signer == Signer::Partner { OURS } else { THEIRS })
}

fn id(item: &Given) -> String {
    format!("delivery-{}-{}", item.number, item.edits)
}

fn delivery(headers: &[(&str, String)], body: Vec<u8>) -> Delivery {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Delivery { head: Head { headers }, body }
}

struct Webhooks(NamedTempFile);

impl PushHarness for Webhooks {
    const ADAPTER: &'static str = "calls";

    async fn start() -> Self {
        Self(file())
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let settings = json!({ "secrets": [{ "file": self.0.path() }] });
        Box::new(serde_json::from_value::<Settings>(settings).unwrap())
    }

    fn deliver(&self, item: &Given, at: Timestamp, signer: Signer) -> Result<Delivery, &'static str> {
        let (id, body) = (id(item), event(item));
        let signature = sign(&secret(signer), &id, at, &body).unwrap();
        let headers = [
            (webhook::ID, id),
            (webhook::TIMESTAMP, at.as_second().to_string()),
            (webhook::SIGNATURE, signature),
            ("content-type", "application/json".to_owned()),
        ];
        Ok(delivery(&headers, body))
    }

    fn secrets() -> &'static [&'static str] {
        &[OURS]
    }
}

struct Digests(NamedTempFile);

fn signing(algorithm: &str) -> Value {
    json!({ "digest": {
        "algorithm": algorithm, "app_id": "12345", "separator": "&", "parts": ["app_id", "timestamp", "nonce", "body", "secret"],
    }})
}

impl PushHarness for Digests {
    const ADAPTER: &'static str = "calls";

    async fn start() -> Self {
        Self(file())
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let settings = json!({ "secrets": [{ "file": self.0.path() }], "signing": signing("sm3") });
        Box::new(serde_json::from_value::<Settings>(settings).unwrap())
    }

    fn deliver(&self, item: &Given, at: Timestamp, signer: Signer) -> Result<Delivery, &'static str> {
        let Ok(Signing::Digest(digest)) = serde_json::from_value(signing("sm3")) else { panic!("a digest") };
        let digest: Digest = digest;
        let (nonce, body, time) = (id(item), event(item), at.as_second().to_string());
        let signature = digest.sign(&secret(signer), &time, &nonce, &body);
        let headers = [
            ("x-app-id", digest.app_id.clone()),
            ("x-timestamp", time),
            ("x-nonce", nonce),
            ("x-signature", signature),
        ];
        Ok(delivery(&headers, body))
    }

    fn secrets() -> &'static [&'static str] {
        &[OURS]
    }
}

#[tokio::test]
async fn calls_conform() {
    push_conforms::<Webhooks>().await;
}

#[tokio::test]
async fn calls_signed_with_sm3_conform() {
    push_conforms_as::<Digests>("calls (sm3)").await;
}
