//! The conformance suite's hand on a letter box.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::Settings;
use crate::{
    conformance::{
        Applies, Given, Kind, NAME, PHONE, PullHarness, Trouble, pull_conforms,
        server::{Answer, Asked, Server},
    },
    contract::Adapter,
    secret::SecretRef,
};

/// Stands in for a secret: a variable that every test run has.
const TOKEN: &str = "CARGO_PKG_DESCRIPTION";

/// The letters with their numbers, as the site writes them.
type Lines = Arc<Mutex<Vec<(u64, String)>>>;

struct LetterBox {
    letters: Lines,
    server: Server,
}

fn list(letters: &[(u64, String)], asked: &Asked) -> Answer {
    let limit = usize::try_from(asked.number("limit")).unwrap();
    let after = letters.iter().filter(|(number, _)| *number > asked.number("after"));
    let lines: Vec<&str> = after.take(limit).flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
    let body = lines.concat();
    Answer { status: 200, content_type: "application/x-ndjson", body: body.into_bytes() }
}

impl PullHarness for LetterBox {
    const ADAPTER: &'static str = "letter_box";

    async fn start() -> Self {
        let letters = Lines::default();
        let held = letters.clone();
        Self { letters, server: Server::start(move |asked| list(&held.lock().unwrap(), asked)).await }
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let url = format!("{}letters", self.server.base());
        Box::new(Settings { url, token: SecretRef::Env(TOKEN.to_owned()), page: 50 })
    }

    async fn put(&self, items: &[Given]) -> Applies {
        let letter = |item: &Given| {
            let number = u64::from(item.number) + 1;
            let line = match item.kind {
                Kind::Unreadable => json!({ "number": "?", "name": NAME, "text": item.body() }),
                _ => json!({
                    "number": number, "written": item.made_at(), "name": NAME, "phone": PHONE,
                    "title": item.subject(), "text": item.body(),
                }),
            };
            (number, line.to_string())
        };
        self.letters.lock().unwrap().extend(items.iter().map(letter));
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
async fn letter_box_conforms() {
    pull_conforms::<LetterBox>().await;
}
