//! The conformance suite's hand on a partner that signs its pushes.

use std::io::Write as _;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tempfile::NamedTempFile;

use super::{Settings, sign, signature};
use crate::{
    conformance::{Delivery, Given, Kind, NAME, PHONE, PushHarness, Signer, push_conforms},
    contract::{Adapter, Head},
};

const OURS: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const THEIRS: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

struct Partner {
    secret: NamedTempFile,
}

impl PushHarness for Partner {
    const ADAPTER: &'static str = "inlet";

    async fn start() -> Self {
        let mut secret = NamedTempFile::new().unwrap();
        secret.write_all(OURS.as_bytes()).unwrap();
        Self { secret }
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let settings = json!({
            "secrets": [{ "file": self.secret.path() }],
            "mapping": {
                "id": "/id", "name": "/name", "phone": "/phone", "subject": "/title", "body": "/content", "time": "/time",
            },
        });
        Box::new(serde_json::from_value::<Settings>(settings).unwrap())
    }

    fn deliver(&self, item: &Given, at: Timestamp, signer: Signer) -> Result<Delivery, &'static str> {
        let body = match item.kind {
            Kind::Unreadable => format!("{{\"id\": \"{NAME}\", "),
            _ => json!({
                "id": item.number.to_string(), "name": NAME, "phone": PHONE, "title": item.subject(),
                "content": item.body(), "time": item.made_at(),
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
async fn inlet_conforms() {
    push_conforms::<Partner>().await;
}
