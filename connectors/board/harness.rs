//! The conformance suite's hand on a message board that lists its newest items first, in numbered pages.

use std::sync::{Arc, Mutex};

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

struct Board {
    rows: Arc<Mutex<Vec<Value>>>,
    server: Server,
}

fn list(rows: &[Value], asked: &Asked) -> Answer {
    let page = usize::try_from(asked.number("page").max(1)).unwrap() - 1;
    let rows: Vec<&Value> = rows.iter().rev().skip(page * ROWS).take(ROWS).collect();
    Answer::json(&json!({ "code": 0, "data": rows }))
}

impl PullHarness for Board {
    const ADAPTER: &'static str = "board";

    async fn start() -> Self {
        let rows: Arc<Mutex<Vec<Value>>> = Arc::default();
        let held = rows.clone();
        Self { rows, server: Server::start(move |asked| list(&held.lock().unwrap(), asked)).await }
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let settings = json!({
            "base": self.server.base(), "page_size": ROWS, "overlap": 2, "may_become_empty": true,
            "headers": { "Authorization": "Bearer {secret.token}" },
            "secrets": { "token": { "env": "CARGO_PKG_DESCRIPTION" } },
            "list": {
                "request": { "path": "list", "query": { "page": "{page}" } },
                "answer": { "format": "json", "items": "/data", "success": [{ "at": "/code", "any_of": [0] }] },
                "fields": {
                    "id": "/id", "subject": "/title", "body": "/content", "made_at": "/time", "name": "/name",
                    "phone": "/phone",
                },
            },
        });
        Box::new(serde_json::from_value::<Settings>(settings).unwrap())
    }

    async fn put(&self, items: &[Given]) -> Applies {
        let row = |item: &Given| match item.kind {
            // Neither title nor text: nothing to be taken from it.
            Kind::Unreadable => json!({ "id": item.number, "time": item.made_at().as_second(), "name": NAME }),
            _ => json!({
                "id": item.number, "title": item.subject(), "content": item.body(), "name": NAME,
                "phone": PHONE, "time": item.made_at().as_second(),
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
async fn board_conforms() {
    pull_conforms::<Board>().await;
}
