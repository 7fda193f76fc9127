//! The conformance suite's hand on an exchange: its records over HTTP hold every call, and who is connected is told of it
//! as it happens.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{
    Settings,
    fake::{Exchange, Mood, SECRET},
};
use crate::{
    conformance::{
        Applies, Given, Kind, NAME, PHONE, PullHarness, Trouble, pull_conforms,
        server::{Answer, Server},
    },
    contract::Adapter,
};

struct House {
    exchange: Exchange,
    records: Arc<Mutex<Vec<Value>>>,
    server: Server,
    secret: tempfile::NamedTempFile,
}

fn record(item: &Given) -> Value {
    let form = json!({ "title": item.subject(), "course": item.body(), "contact": { "name": NAME } });
    let (id, start) = (item.number.to_string(), item.made_at().to_string());
    match item.kind {
        Kind::Unreadable => json!({ "src": PHONE, "start": start }),
        _ => json!({
            "linkedid": id, "uniqueid": id, "src": PHONE, "start": start, "answer": start, "end": start,
            "dstchannel": "PJSIP/8001-1", "form": form,
        }),
    }
}

impl PullHarness for House {
    const ADAPTER: &'static str = "exchange";

    async fn start() -> Self {
        let records: Arc<Mutex<Vec<Value>>> = Arc::default();
        let held = records.clone();
        let server = Server::start(move |_| Answer::json(&json!({ "records": *held.lock().unwrap() }))).await;
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut secret, SECRET.as_bytes()).unwrap();
        Self { exchange: Exchange::start().await, records, server, secret }
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let settings = json!({
            "host": "127.0.0.1", "port": self.exchange.address.port(), "user": "jiesu",
            "secret": { "file": self.secret.path() },
            "records": { "base": self.server.base(), "request": { "path": "cdr" }, "items": "/records" },
        });
        Box::new(serde_json::from_value::<Settings>(settings).unwrap())
    }

    async fn put(&self, items: &[Given]) -> Applies {
        self.records.lock().unwrap().extend(items.iter().map(record));
        for item in items {
            let id = item.number;
            self.exchange.tell(format!(
                "Event: Newchannel\r\nUniqueid: {id}\r\nLinkedid: {id}\r\nCallerIDNum: {PHONE}\r\nCallerIDName: {NAME}\r\n\r\n"
            ));
        }
        Ok(())
    }

    async fn afflict(&self, trouble: Trouble) -> Applies {
        self.exchange.set(match trouble {
            Trouble::Unreachable => Mood::Closes,
            Trouble::Refuses => Mood::Refuses,
            Trouble::Nonsense => Mood::Foreign,
            Trouble::Hangs => Mood::Hangs,
            Trouble::Busy => {
                return Err("an exchange has no word for it; its records have, and are a part of the source");
            }
            Trouble::Gone => return Err("what is read is the connection; its records are a part of the source"),
        });
        Ok(())
    }

    async fn mend(&self) {
        self.exchange.set(Mood::Well);
    }

    fn secrets() -> &'static [&'static str] {
        &[SECRET]
    }
}

#[tokio::test]
async fn exchange_conforms() {
    pull_conforms::<House>().await;
}
