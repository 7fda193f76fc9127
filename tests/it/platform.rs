//! The business-environment platform from the outside: read by what has changed, each request signed anew, organisations with
//! their codes, items that name nobody by the platform's own rule, and what became of an item written back as a state of its.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiesu::{
    reconcile::Outcome,
    store::{Dialect, Store, read::Place},
};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    board::Site as Server,
    harness::{Holdings as _, Site, eventually, name, now},
};

const KEY: &str = "a-key-agreed-with-the-platform";
const RULE: &str = "《营商环境投诉处理办法》第九条";

#[derive(Default)]
struct Held {
    items: Vec<Value>,
    nonces: BTreeSet<String>,
    refused: u32,
    answers: BTreeMap<String, Vec<Value>>,
}

type Platform = Arc<Mutex<Held>>;

/// Whether a request is signed: HMAC-SHA256 over its parameters in the order of their names, its time and its nonce, which is
/// taken once.
fn admitted(platform: &Platform, headers: &HeaderMap, parameters: &BTreeMap<String, String>) -> bool {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (time, nonce, signature) = (get("x-time"), get("x-nonce"), get("x-signature"));
    let joined: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let text = format!("{}|{time}|{nonce}", joined.join("&"));
    let expected = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap().chain_update(text).finalize().into_bytes();
    let expected = expected.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let fresh = time.parse::<i64>().is_ok_and(|time| (now().as_second() - time).abs() < 300);
    let mut held = platform.lock().unwrap();
    let admitted = fresh && signature == expected && held.nonces.insert(nonce.to_owned());
    held.refused += u32::from(!admitted);
    admitted
}

async fn list(
    State(platform): State<Platform>,
    headers: HeaderMap,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Result<String, StatusCode> {
    if !admitted(&platform, &headers, &asked) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let number = |name: &str| asked[name].parse::<usize>().unwrap();
    let (page, size, since) = (number("page"), number("size"), asked["since"].parse::<i64>().unwrap());
    let held = platform.lock().unwrap();
    let mut rows: Vec<&Value> = held.items.iter().filter(|row| row["updated"].as_i64().unwrap() >= since).collect();
    rows.sort_by_key(|row| row["updated"].as_i64());
    let rows: Vec<&Value> = rows.into_iter().skip((page - 1) * size).take(size).collect();
    Ok(json!({ "code": 0, "data": rows }).to_string())
}

async fn answer(
    State(platform): State<Platform>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Result<String, StatusCode> {
    let body: Value = serde_json::from_str(&body).unwrap();
    let parameters =
        body.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    if !admitted(&platform, &headers, &parameters.collect()) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    platform.lock().unwrap().answers.entry(id).or_default().push(body);
    Ok(json!({ "code": 0 }).to_string())
}

fn item(id: &str, facts: &str, updated: i64) -> Value {
    json!({ "id": id, "title": "办事受阻", "facts": facts, "submitted_at": "2026-11-20 09:00:00", "status": "1", "updated": updated,
        "complainant": { "name": "李强", "phone": "13900004321" } })
}

fn settings(base: &str, secret: &str) -> String {
    format!(
        r#"
[[connector]]
name = "platform"
channel = "business_environment"
adapter = "rest"
every_seconds = 1
per_minute = 60000
burst = 1000

[connector.settings]
base = "{base}"
headers = {{ X-Time = "{{time}}", X-Nonce = "{{nonce}}", X-Signature = "{{signature}}" }}
secrets = {{ key = {{ file = "{secret}" }} }}
sign = {{ digest = "hmac_sha256", key = "key", text = "{{params}}|{{time}}|{{nonce}}" }}
mapping = {{ preset = "business_environment" }}
anonymous = {{ decline = "{RULE}" }}
states = {{ at = "/status", open = ["1", "2", "5"], withdrawn = ["9"] }}

[connector.settings.list]
request = {{ path = "items", query = {{ since = "{{since}}", page = "{{page}}", size = "{{size}}" }} }}
items = "/data"
success = [{{ at = "/code", any_of = [0] }}]
changed = "/updated"
since = "epoch_seconds"
page_size = 2

[connector.settings.answer]
request = {{ method = "post", path = "items/{{id}}/state", json = {{ key = "{{message_id}}", state = "{{state}}", text = "{{text}}" }} }}
success = [{{ at = "/code", any_of = [0] }}]

[connector.settings.answer.states]
receipt = "2"
repeat = "2"
co_report = "2"
follow_up = "2"
guidance = "3"
refusal = "4"
held = "5"
"#
    )
}

async fn settled(store: &Store, entries: i64) {
    eventually("every item is issued", async || {
        let sums = store.accounting().await.unwrap();
        assert!(sums.balances(), "{sums:?}");
        (sums.entries >= entries && sums.pending == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_business_platform_is_read_signed_and_told_what_became_of_each_item() {
    let site = Site::new(Dialect::Sqlite).await;
    let platform = Platform::default();
    let start = now().as_second() - 3600;
    {
        let mut organisation =
            item("P-1", "我公司向窗口提交变更登记材料，先后三次以不同理由退回，请协调一次性告知所缺材料。", start);
        organisation["complainant"] = Value::Null;
        organisation["organisation"] = json!({ "name": "辽阳晟达机械配件有限公司", "code": "91350100M000100Y43" });
        let mut wrong =
            item("P-2", "我公司厂区门前道路被施工围挡堵死，货车无法进出已经半个月，请协调恢复通行。", start + 1);
        wrong["organisation"] = json!({ "name": "辽阳永固建材有限公司", "code": "91350100M000100Y44" });
        let mut nobody = item("P-3", "窗口工作人员上班时间不在岗，办事群众等候一个多小时，请核实处理。", start + 2);
        nobody["complainant"] = json!({ "name": "匿名" });
        let person = item("P-4", "不动产登记中心叫号系统损坏一周，群众凌晨排队领号，请尽快修复。", start + 3);
        platform.lock().unwrap().items.extend([organisation, wrong, nobody, person]);
    }
    let router =
        Router::new().route("/items", get(list)).route("/items/{id}/state", post(answer)).with_state(platform.clone());
    let server = Server::serve(router).await;
    fs::write(site.file().with_file_name("platform-key"), KEY).unwrap();
    site.configure(&settings(&server.base, "platform-key"));
    let gateway = site.start().await;
    let store = site.store().await;
    settled(&store, 4).await;
    let places: BTreeMap<String, Place> =
        store.all_entries().await.into_iter().map(|entry| (entry.external_id, entry.place)).collect();
    let expected = [("P-1", Place::Ticket), ("P-2", Place::Ticket), ("P-3", Place::Declined), ("P-4", Place::Ticket)];
    assert_eq!(places, expected.map(|(id, place)| (id.to_owned(), place)).into());
    let of = async |id: &str| {
        let entry = store.all_entries().await.into_iter().find(|entry| entry.external_id == id).unwrap();
        store.entry(entry.id).await.unwrap()
    };
    let told = async |id: &str| serde_json::to_string(&of(id).await).unwrap();
    assert!(told("P-2").await.contains("check digit") && !told("P-1").await.contains("check digit"));
    assert!(told("P-3").await.contains(RULE), "{}", told("P-3").await);

    // What became of each is written back, as a state of the platform's own.
    let states = eventually("each item is answered", async || {
        let held = platform.lock().unwrap();
        let state =
            |(id, answers): (&String, &Vec<Value>)| (id.clone(), answers[0]["state"].as_str().unwrap().to_owned());
        (held.answers.len() == 4).then(|| held.answers.iter().map(state).collect::<BTreeMap<_, _>>())
    })
    .await;
    let expected = [("P-1", "2"), ("P-2", "2"), ("P-3", "4"), ("P-4", "2")];
    assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state.to_owned())).into());

    // Stopped and started, it goes on from its cursor: an item taken back is a revision, a new one is new.
    gateway.stop().await;
    {
        let mut held = platform.lock().unwrap();
        held.items[3]["status"] = json!("9");
        held.items[3]["updated"] = json!(start + 100);
        held.items.push(item("P-5", "办税服务厅停车场收费混乱，车主多次反映未果，请核查收费依据。", start + 101));
    }
    let gateway = site.start().await;
    settled(&store, 6).await;
    let revisions = store.all_entries().await.into_iter().filter(|entry| entry.external_id == "P-4").count();
    assert_eq!(revisions, 2, "what was taken back is another state of the same item");
    assert!(told("P-4").await.contains("withdrawn"), "{}", told("P-4").await);
    {
        let held = platform.lock().unwrap();
        assert_eq!(held.refused, 0, "every request is signed anew");
        assert!(held.nonces.len() >= 8);
    }

    // What it lists is what is stored.
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_jiesu"))
        .arg("--config")
        .arg(site.file())
        .args(["--json", "connector", "reconcile", "platform"])
        .output()
        .await
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcome: Outcome = serde_json::from_value(told["outcome"].clone()).unwrap();
    assert_eq!((outcome.missing, outcome.whole), (0, true), "{told}");
    let log = gateway.log();
    assert!(!log.contains(KEY) && !log.contains("13900004321"), "{log}");
    assert!(store.all_entries().await.iter().all(|entry| entry.connector == name("platform")));
    gateway.stop().await;
}
