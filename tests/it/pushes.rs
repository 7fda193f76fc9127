//! Whatever a partner may send: each bad delivery is refused with its reason, changes nothing, and leaves its neighbours
//! alone.

use std::time::Duration;

use connectors::{entry::Remark, http::Answered};
use jiesu::store::{Dialect, Store, read::Place, search::EntryFilter};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json as value};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{
    BODY_LIMIT, Holdings as _, PARTNER, Signed, Site, eventually, inlet, inlet_with, json, name, now, secret,
};

fn form(call: &str) -> Value {
    value!({
        "call_id": call, "caller": "13900001234", "start": "2026-11-20 09:00:00",
        "form": {
            "kind": "投诉", "title": "停水不通知", "place": "白塔区新华小区",
            "course": format!("新华小区从早上起停水，没有接到任何通知，来电编号{call}。"), "request": "请尽快恢复供水",
            "contact": { "name": "王明", "wants_answer": true },
        },
    })
}

fn refusal(answered: &Answered) -> (u16, String) {
    (answered.status.as_u16(), json(answered)["error"]["code"].as_str().unwrap_or_default().to_owned())
}

async fn count(store: &Store) -> i64 {
    store.accounting().await.unwrap().entries
}

async fn bad_deliveries(dialect: Dialect) {
    let site = Site::new(dialect).await;
    let off = inlet_with("off", "call_center", &[PARTNER], "enabled = false");
    site.configure(
        &[inlet("calls"), inlet("other"), off, inlet_with("rotating", "call_center", &[PARTNER + 1, PARTNER], "")]
            .concat(),
    );
    let gateway = site.start().await;
    let store = site.store().await;

    // D1: signed by nobody we know, too old, too new, with something exchanged after signing.
    let good = Signed::new("calls", "one", form("C-1").to_string());
    let hours_ago = now() - SignedDuration::from_hours(2);
    let in_an_hour = now() + SignedDuration::from_hours(1);
    let unauthenticated = [
        ("a foreign key", Signed { key: PARTNER + 2, ..good.clone() }),
        ("a stale time", Signed { at: Some(hours_ago), ..good.clone() }),
        ("a future time", Signed { at: Some(in_an_hour), ..good.clone() }),
        ("another body", Signed { sent: Some(form("C-2").to_string().into()), ..good.clone() }),
    ];
    for (what, signed) in unauthenticated {
        let answered = site.push_as(&signed).await.unwrap();
        assert_eq!(refusal(&answered), (401, "unauthenticated".to_owned()), "{what}");
    }
    // D2: a secret in the address is no signature, and is not written down.
    let in_address = Signed { connector: "calls?token=geheim-abcd-xyz".to_owned(), key: PARTNER + 2, ..good.clone() };
    assert_eq!(site.push_as(&in_address).await.unwrap().status, StatusCode::UNAUTHORIZED);

    // What cannot be understood, with the field.
    let malformed = [
        ("not JSON", r#"{"call_id": "C-1", "form": {"#.to_owned(), "/"),
        ("not an object", "[1, 2]".to_owned(), "/"),
        ("no id", value!({"form": {"course": "停水"}}).to_string(), "/call_id"),
        ("no text", value!({"call_id": "C-1", "form": {"title": "停水"}}).to_string(), "/form/course"),
        ("nested without end", "[".repeat(50_000), "/"),
    ];
    for (what, body, field) in malformed {
        let answered = site.push("calls", "two", body).await.unwrap();
        assert_eq!(refusal(&answered), (422, "malformed".to_owned()), "{what}");
        let told = json(&answered)["error"]["field"].as_str().unwrap_or_default().to_owned();
        assert!(told.contains(field), "{what}: {told}");
    }

    // Where nobody takes it.
    for (what, connector, method, status) in [
        ("unknown", "nobody", Method::POST, 404),
        ("no name at all", "%20", Method::POST, 404),
        ("another path", "calls/more", Method::POST, 404),
        ("another method", "calls", Method::GET, 405),
        ("another method", "calls", Method::PUT, 405),
        ("switched off", "off", Method::POST, 503),
    ] {
        let answered = site.push_as(&Signed { connector: connector.to_owned(), method, ..good.clone() }).await.unwrap();
        assert_eq!(answered.status.as_u16(), status, "{what}");
        assert_eq!(answered.retry_after.is_some(), status == 503, "{what}");
    }
    assert_eq!(count(&store).await, 0, "nothing of all this was stored");

    // The neighbours never noticed.
    for connector in ["calls", "other"] {
        let answered = site.push(connector, "good", form("C-9").to_string()).await.unwrap();
        assert_eq!(
            (answered.status, json(&answered)["outcome"].as_str()),
            (StatusCode::OK, Some("stored")),
            "{connector}"
        );
    }
    // While a key is exchanged both are good.
    for (key, call) in [(PARTNER, "C-10"), (PARTNER + 1, "C-11")] {
        let signed = Signed { key, ..Signed::new("rotating", call, form(call).to_string()) };
        assert_eq!(site.push_as(&signed).await.unwrap().status, StatusCode::OK, "{call}");
    }
    store.settled(4).await;
    gateway.stop().await;
    let log = std::fs::read_to_string(site.file().with_file_name("log.0")).unwrap();
    assert!(!log.contains("geheim") && !log.contains("13900001234") && !log.contains("王明"), "{log}");
}

#[tokio::test]
async fn d01_d02_bad_deliveries_are_refused_and_change_nothing() {
    bad_deliveries(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn d01_d02_bad_deliveries_are_refused_and_change_nothing_on_postgres() {
    bad_deliveries(Dialect::Postgres).await;
}

async fn repeated(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&inlet("calls"));
    let mut gateway = site.start().await;
    let first = site.push("calls", "same", form("C-1").to_string()).await.unwrap();
    assert_eq!(json(&first)["outcome"], "stored");
    // Answered is stored: killed at once, it is there.
    gateway.kill().await;
    let store = site.store().await;
    assert_eq!(count(&store).await, 1);

    let gateway = site.start().await;
    for (what, id, body) in
        [("the same again", "same", form("C-1")), ("the same call under another id", "other", form("C-1"))]
    {
        let answered = site.push("calls", id, body.to_string()).await.unwrap();
        assert_eq!((answered.status, json(&answered)["outcome"].as_str()), (StatusCode::OK, Some("repeat")), "{what}");
    }
    // Another call under an old id is no repeat: it was never stored, and its sender must not forget it.
    let reused = site.push("calls", "same", form("C-2").to_string()).await.unwrap();
    assert_eq!(reused.status, StatusCode::CONFLICT);
    assert_eq!(json(&reused)["error"]["code"], "delivery_id_reused");
    // Many at once, as partners do whose own time-out is too short.
    let body = form("C-3").to_string();
    let answers = futures::future::join_all((0..20).map(|_| site.push("calls", "burst", body.clone()))).await;
    let outcome = |answered: Result<Answered, _>| json(&answered.unwrap())["outcome"].as_str().unwrap().to_owned();
    let outcomes: Vec<String> = answers.into_iter().map(outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "stored").count(), 1, "{outcomes:?}");
    let sums = store.settled(2).await;
    assert_eq!((sums.entries, sums.in_tickets, sums.tickets), (2, 2, 2));
    gateway.stop().await;
}

#[tokio::test]
async fn b05_what_is_answered_is_stored_and_a_repeated_delivery_changes_nothing() {
    repeated(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn b05_what_is_answered_is_stored_and_a_repeated_delivery_changes_nothing_on_postgres() {
    repeated(Dialect::Postgres).await;
}

async fn oversize(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&inlet("calls"));
    let gateway = site.start().await;
    let store = site.store().await;
    let mut big = form("C-1");
    big["form"]["course"] = Value::from("录".repeat(BODY_LIMIT));
    let big = big.to_string();
    // Signed by nobody we know it leaves nothing, whatever its size.
    let forged = Signed { key: PARTNER + 2, ..Signed::new("calls", "forged", big.clone()) };
    assert_eq!(site.push_as(&forged).await.unwrap().status, StatusCode::UNAUTHORIZED);
    for _ in 0..2 {
        let answered = site.push("calls", "big", big.clone()).await.unwrap();
        assert_eq!(refusal(&answered), (413, "too_large".to_owned()));
    }
    let sums = store.settled(1).await;
    assert_eq!((sums.entries, sums.held), (1, 1), "{sums:?}");
    let filter = EntryFilter { connector: Some(name("calls")), ..EntryFilter::default() };
    let stub = store.entries(&filter, 10).await.unwrap().remove(0);
    let remarks = store.entry(stub.id).await.unwrap().remarks;
    let told = Remark::Oversize { size: Some(big.len() as u64), limit: BODY_LIMIT as u64 };
    assert_eq!((stub.place, remarks), (Place::Held, vec![told]));
    // Beyond what is even read nothing is kept, and the connection may be closed on the sender.
    let huge = "录".repeat(1024 * 1024);
    if let Ok(answered) = site.push("calls", "huge", huge).await {
        assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let answered = site.push("calls", "good", form("C-2").to_string()).await.unwrap();
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(store.settled(2).await.entries, 2);
    gateway.stop().await;
}

#[tokio::test]
async fn a12_an_oversize_delivery_leaves_a_stub_that_says_so() {
    oversize(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a12_an_oversize_delivery_leaves_a_stub_that_says_so_on_postgres() {
    oversize(Dialect::Postgres).await;
}

/// A sender that says how much will come, and then says nothing for long.
async fn slow(site: &Site, id: &str, body: &str) -> TcpStream {
    let at = now();
    let signed = connectors::inlet::sign(&secret(PARTNER), id, at, body.as_bytes()).unwrap();
    let (half, _) = body.split_at(body.find("form").unwrap());
    let head = format!(
        "POST /v1/inlets/calls HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         webhook-id: {id}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {signed}\r\n\r\n{half}",
        body.len(),
        at.as_second()
    );
    let mut stream = TcpStream::connect(site.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_slow_sender_keeps_nobody_waiting_and_may_finish() {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&format!("{}[shutdown]\ngrace_seconds = 2\n", inlet("calls")));
    let gateway = site.start().await;
    let store = site.store().await;
    let body = form("C-1").to_string();
    let mut slow_ones = Vec::new();
    for number in 0..50 {
        slow_ones.push(slow(&site, &format!("slow-{number}"), &body).await);
    }
    let quick = tokio::time::timeout(Duration::from_secs(10), site.push("calls", "quick", form("C-2").to_string()));
    assert_eq!(quick.await.unwrap().unwrap().status, StatusCode::OK);
    assert_eq!(count(&store).await, 1);

    let mut one = slow_ones.pop().unwrap();
    one.write_all(&body.as_bytes()[body.find("form").unwrap()..]).await.unwrap();
    let mut answer = [0; 256];
    let read = one.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Those that break off leave nothing.
    drop(slow_ones);
    eventually("both are issued", async || (store.accounting().await.unwrap().in_tickets == 2).then_some(())).await;
    gateway.stop().await;
    assert_eq!(count(&store).await, 2);
}
