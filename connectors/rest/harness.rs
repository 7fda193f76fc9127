//! The conformance suite's hand on an interface that lists what has changed, oldest change first.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Settings;
use crate::{
    conformance::{
        Applies, Given, Kind, NAME, PHONE, PullHarness, Trouble, pull_conforms,
        server::{Answer, Asked, Server},
    },
    contract::Adapter,
};

/// Rows in one page of the list.
const ROWS: usize = 3;

struct Platform {
    rows: Arc<Mutex<Vec<Value>>>,
    server: Server,
}

fn changed(row: &Value) -> i64 {
    row["changed"].as_i64().unwrap_or_default()
}

pub(super) fn list(rows: &[Value], asked: &Asked, size: usize) -> Answer {
    let since = i64::try_from(asked.number("since")).unwrap();
    let page = usize::try_from(asked.number("page").max(1)).unwrap() - 1;
    let mut rows: Vec<&Value> = rows.iter().filter(|row| changed(row) >= since).collect();
    rows.sort_by_key(|row| changed(row));
    let rows: Vec<&Value> = rows.into_iter().skip(page * size).take(size).collect();
    Answer::json(&json!({ "code": 0, "data": { "list": rows } }))
}

pub(super) fn settings(base: &str) -> Value {
    json!({
        "base": base,
        "headers": { "Authorization": "Bearer {secret.token}" },
        "secrets": { "token": { "env": "CARGO_PKG_DESCRIPTION" } },
        "list": {
            "request": { "path": "changes", "query": { "since": "{since}", "page": "{page}", "size": "{size}" } },
            "items": "/data/list", "success": [{ "at": "/code", "any_of": [0] }], "changed": "/changed",
            "since": "epoch_seconds", "page_size": ROWS,
        },
        "mapping": {
            "id": "/id", "name": "/name", "phone": "/phone", "subject": "/title", "body": "/content", "time": "/time",
        },
    })
}

impl PullHarness for Platform {
    const ADAPTER: &'static str = "rest";

    async fn start() -> Self {
        let rows: Arc<Mutex<Vec<Value>>> = Arc::default();
        let held = rows.clone();
        Self { rows, server: Server::start(move |asked| list(&held.lock().unwrap(), asked, ROWS)).await }
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        Box::new(serde_json::from_value::<Settings>(settings(&self.server.base())).unwrap())
    }

    async fn put(&self, items: &[Given]) -> Applies {
        let time = |at: Timestamp| at.to_string();
        let row = |item: &Given| match item.kind {
            Kind::Unreadable => json!({ "id": item.number, "changed": item.made_at().as_second(), "name": NAME }),
            _ => json!({
                "id": item.number, "title": item.subject(), "content": item.body(), "name": NAME, "phone": PHONE,
                "time": time(item.made_at()), "changed": item.made_at().as_second(),
            }),
        };
        self.rows.lock().unwrap().extend(items.iter().map(row));
        Ok(())
    }

    async fn afflict(&self, trouble: Trouble) -> Applies {
        self.server.afflict(trouble);
        Ok(())
    }

    async fn mend(&self) {
        self.server.mend();
    }

    fn secrets() -> &'static [&'static str] {
        &[env!("CARGO_PKG_DESCRIPTION")]
    }
}

#[tokio::test]
async fn rest_conforms() {
    pull_conforms::<Platform>().await;
}
