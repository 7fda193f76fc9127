//! A17: a live connection to a telephone exchange that breaks in the middle of calls. The exchange is simulated; what it says of
//! a call is what Asterisk 22 said of one.

#[path = "../../connectors/exchange/fake.rs"]
#[expect(dead_code, reason = "the adapter's own tests use all of it")]
mod fake;

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use jiesu::store::{Dialect, Store, read::Place};
use serde_json::{Value, json};

use crate::{
    board::Site as Server,
    harness::{Holdings as _, Site, eventually, name, now},
};
use fake::{Exchange, Mood, SECRET};

/// What Asterisk said during one call, message by message, with another call's id in place of its own.
fn transcript(call: usize) -> Vec<String> {
    let text = include_str!("../../fixtures/exchange/asterisk-22-call.txt");
    text.split("\r\n\r\n")
        .filter(|message| message.contains("Event: ") && !message.contains("HotlineForm"))
        .map(|message| format!("{message}\r\n\r\n").replace("1795577408.", &format!("17955{call:05}.")))
        .collect()
}

fn id(call: usize) -> String {
    format!("17955{call:05}.0")
}

/// The form that an agent saves, as a user event.
fn form(call: usize) -> String {
    let form = json!({
        "kind": "求助", "title": format!("民主路{call}号停水"), "place": format!("白塔区民主路{call}号"),
        "course": format!("民主路{call}号从早上起停水，没有接到任何通知。"), "request": "请尽快恢复供水",
    });
    format!("Event: UserEvent\r\nUserEvent: HotlineForm\r\nCall: {}\r\nForm: {form}\r\n\r\n", id(call))
}

/// The record of a call that has just ended.
fn record(call: usize) -> Value {
    let ago = |minutes: u64| (now() - Duration::from_mins(minutes)).to_string();
    json!({
        "linkedid": id(call), "uniqueid": id(call), "src": "13900001234", "dcontext": "hotline",
        "dstchannel": "PJSIP/8001-1", "start": ago(5), "answer": ago(4), "end": ago(1), "recordingfile": "1.wav",
        "form": { "title": "路灯不亮", "course": format!("文圣路{call}号门前的路灯不亮已经三天，请维修。") },
    })
}

async fn ids(store: &Store) -> BTreeSet<String> {
    store.all_entries().await.into_iter().map(|entry| entry.external_id).collect()
}

#[tokio::test]
async fn a17_a_live_exchange_whose_connection_breaks_loses_no_call() {
    let site = Site::new(Dialect::Sqlite).await;
    let exchange = Exchange::start().await;
    let records: Arc<Mutex<Vec<Value>>> = Arc::default();
    let held = records.clone();
    let router = Router::new()
        .route("/cdr", get(async move || held.lock().unwrap().clone().into_iter().collect::<Value>().to_string()));
    let server = Server::serve(router).await;
    fs::write(site.file().with_file_name("exchange"), SECRET).unwrap();
    let (port, base) = (exchange.address.port(), &server.base);
    site.configure(&format!(
        "[[connector]]\nname = \"exchange\"\nchannel = \"phone\"\nadapter = \"exchange\"\nevery_seconds = 3600\n\n\
         [connector.settings]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"jiesu\"\nsecret = {{ file = \"exchange\" }}\n\
         contexts = [\"hotline\"]\nrecords = {{ base = \"{base}\", request = {{ path = \"cdr\" }}, start = \"2026-11-01\" }}\n\
         call = {{ settle_seconds = 1 }}\n\n",
    ));
    let gateway = site.start().await;
    let store = site.store().await;
    let connected = async |times: usize| {
        eventually("it is connected", async || (exchange.logins() >= times).then_some(())).await;
    };
    connected(1).await;
    // It listens: a call is an entry long before the next pull by the clock.
    exchange.tell(transcript(1).concat());
    exchange.tell(form(1));
    eventually("the call is an entry", async || ids(&store).await.contains(&id(1)).then_some(())).await;

    // The connection breaks in the middle of a call, is refused for a while, and comes back; another call came and went.
    let messages = transcript(2);
    exchange.tell(messages[..messages.len() / 2].concat());
    exchange.set(Mood::Closes);
    records.lock().unwrap().extend([record(2), record(3)]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    exchange.set(Mood::Well);
    connected(2).await;
    eventually("what was missed is filled in", async || {
        ids(&store).await.is_superset(&[1, 2, 3].map(id).into()).then_some(())
    })
    .await;
    exchange.tell(transcript(4).concat());
    exchange.tell(form(4));
    let sums = eventually("the line is live again", async || {
        let sums = store.accounting().await.unwrap();
        assert!(sums.balances(), "{sums:?}");
        (sums.entries >= 4 && sums.pending == 0 && sums.fragments_open == 0).then_some(sums)
    })
    .await;
    assert_eq!(
        ids(&store).await,
        [1, 2, 3, 4].map(id).into(),
        "one entry a call, and none of the agents' own channels"
    );
    let entries = store.all_entries().await;
    assert!(entries.iter().all(|entry| entry.connector == name("exchange")));
    assert!(entries.iter().all(|entry| entry.place == Place::Ticket), "{entries:?} {sums:?}");

    // It stops within two seconds though the exchange would go on for ever.
    let log = gateway.log();
    assert!(!log.contains("13900001234") && !log.contains(SECRET), "{log}");
    let started = Instant::now();
    gateway.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
