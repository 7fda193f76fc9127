//! The conformance suite's hand on a server of the city's that signs what its page takes in.

use std::io::Write as _;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tempfile::NamedTempFile;

use super::Settings;
use crate::{
    conformance::{Delivery, Given, Kind, NAME, PHONE, PushHarness, Signer, push_conforms},
    contract::{Adapter, Head},
    inlet::{sign, signature},
};

const OURS: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const THEIRS: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

struct City {
    secret: NamedTempFile,
}

impl PushHarness for City {
    const ADAPTER: &'static str = "portal";

    async fn start() -> Self {
        let mut secret = NamedTempFile::new().unwrap();
        secret.write_all(OURS.as_bytes()).unwrap();
        Self { secret }
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let settings = json!({ "secrets": [{ "file": self.secret.path() }] });
        Box::new(serde_json::from_value::<Settings>(settings).unwrap())
    }

    fn deliver(&self, item: &Given, at: Timestamp, signer: Signer) -> Result<Delivery, &'static str> {
        let body = match item.kind {
            Kind::Unreadable => format!("{{\"id\": \"{NAME}\", "),
            _ => json!({
                "id": item.number.to_string(), "name": NAME, "phone": PHONE, "title": item.subject(),
                "course": item.body(), "submitted_at": item.made_at(),
            })
            .to_string(),
        };
        let id = format!("delivery-{}-{}", item.number, item.edits);
        let secret = SecretString::from(if signer == Signer::Partner { OURS } else { THEIRS });
        let signature = sign(&secret, &id, at, body.as_bytes()).unwrap();
        let headers = [
            (signature::ID, id),
            (signature::TIMESTAMP, at.as_second().to_string()),
            (signature::SIGNATURE, signature),
            ("content-type", "application/json".to_owned()),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Delivery { head: Head { headers }, body: body.into_bytes() })
    }

    fn secrets() -> &'static [&'static str] {
        &[OURS]
    }
}

#[tokio::test]
async fn portal_conforms() {
    push_conforms::<City>().await;
}
