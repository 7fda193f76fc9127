//! Rules that change while the gateway runs, rules tried on what is stored, and danger that reaches the duty desk.

use std::fs;

use jiesu::{
    alarms::AlarmKind,
    assess::RuleSet,
    store::{Dialect, Store, journal::Act, read::Place, rules::RuleOrigin, search::EntryFilter},
};
use reqwest::Method;
use serde_json::{Value, json as value};

use crate::{
    bench::{ADMIN, Bench, READ},
    harness::{Site, eventually, inlet, now},
};

fn form(call: &str, title: &str, course: &str) -> Value {
    value!({
        "call_id": call, "caller": "13900001234", "start": now().to_string(),
        "form": { "kind": "投诉", "title": title, "place": "白塔区新华小区", "course": course,
            "contact": { "name": "王明", "wants_answer": true } },
    })
}

/// The shipped rules with one rule more: whatever names a word is held.
fn stricter(word: &str) -> String {
    let shipped = RuleSet::shipped_text();
    format!(
        "{shipped}\n[[rule]]\nid = \"test.word\"\narticle = \"8(2)\"\noutcome = \"hold\"\nadvice = \"请补充。\"\nhints = [\"{word}\"]\n"
    )
}

/// Where the newest of so many entries ended.
async fn ended(store: &Store, count: usize) -> Place {
    let entries = eventually("the entry is issued", async || {
        let entries = store.entries(&EntryFilter::default(), 10).await.unwrap();
        (entries.len() == count && entries.iter().all(|entry| entry.place != Place::Pending)).then_some(entries)
    })
    .await;
    entries[0].place
}

async fn rules_change_while_it_runs(dialect: Dialect) {
    let site = Site::new(dialect).await;
    let file = site.file().with_file_name("screening.toml");
    fs::write(&file, RuleSet::shipped_text()).unwrap();
    site.configure(&format!("[screening]\nrules = \"screening.toml\"\n{}", inlet("calls")));
    let gateway = site.start().await;
    let store = site.store().await;
    let first = store.active_rules().await.unwrap().unwrap();
    assert_eq!(first.actor, "configuration");
    site.push("calls", "1", form("C-1", "路灯不亮", "小区门前紫金花路路灯坏了一周，夜里很黑。").to_string())
        .await
        .unwrap();
    assert_eq!(ended(&store, 1).await, Place::Ticket);

    // A file with a mistake changes nothing and is told.
    fs::write(&file, "version = \"broken\"\n").unwrap();
    eventually("the mistake is told", async || {
        gateway.log().contains("the rules before them stay in force").then_some(())
    })
    .await;
    assert_eq!(store.active_rules().await.unwrap().unwrap().version, first.version);

    // A file without one is in force soon, under a version of its own.
    fs::write(&file, stricter("紫金花路")).unwrap();
    eventually("the file is in force", async || gateway.log().contains("other rules are in force").then_some(())).await;
    let second = store.active_rules().await.unwrap().unwrap();
    assert_ne!(second.version, first.version);
    site.push("calls", "2", form("C-2", "路灯不亮", "小区门前紫金花路路灯坏了两周，夜里很黑，老人摔过。").to_string())
        .await
        .unwrap();
    assert_eq!(ended(&store, 2).await, Place::Held);
    let grounds = store.entry(store.entries(&EntryFilter::default(), 1).await.unwrap()[0].id).await.unwrap();
    let told = serde_json::to_string(&grounds).unwrap();
    assert!(told.contains(&second.version), "the disposition names its rules: {told}");

    // Put back by an admin, it is not overruled by a file that has not changed since.
    let act = Act { actor: "admin", action: "rules.activate", subject: &first.version, reason: Some("误伤") };
    store.activate_rules(&first.version, act, now()).await.unwrap();
    eventually("the old rules are in force", async || {
        (gateway.log().matches("other rules are in force").count() == 2).then_some(())
    })
    .await;
    site.push("calls", "3", form("C-3", "路灯不亮", "小区门前紫金花路路灯坏了三周，夜里很黑，车也撞过。").to_string())
        .await
        .unwrap();
    assert_eq!(ended(&store, 3).await, Place::Ticket);
}

#[tokio::test]
async fn rules_change_while_it_runs_on_sqlite() {
    rules_change_while_it_runs(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn rules_change_while_it_runs_on_postgres() {
    rules_change_while_it_runs(Dialect::Postgres).await;
}

#[tokio::test]
async fn danger_reaches_the_duty_desk_and_waits_in_no_queue() {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&inlet("calls"));
    let _gateway = site.start().await;
    let store = site.store().await;
    let course = "太子河边有人落水了，还在水里，快来救人！";
    site.push("calls", "1", form("C-1", "有人落水", course).to_string()).await.unwrap();
    assert_eq!(ended(&store, 1).await, Place::Guided);
    let alarms = store.alarms(true, None, 10).await.unwrap();
    let emergency = alarms.iter().find(|alarm| alarm.kind == AlarmKind::Emergency).unwrap();
    assert!(emergency.message_zh.contains("应急管理办公室"), "{}", emergency.message_zh);
    assert!(!emergency.message_zh.contains("王明") && !emergency.message_zh.contains("13900001234"));
    // Assessed again, it alarms nobody again.
    let id = store.entries(&EntryFilter::default(), 1).await.unwrap()[0].id;
    let act = Act { actor: "admin", action: "entry.replay", subject: "1", reason: None };
    store.reissue(id, None, act, now()).await.unwrap();
    eventually("it is assessed again", async || {
        site.numbers("SELECT COUNT(*) FROM pending").await.first().is_some_and(|waiting| *waiting == 0).then_some(())
    })
    .await;
    let emergencies = store.alarms(false, None, 10).await.unwrap();
    assert_eq!(emergencies.iter().filter(|alarm| alarm.kind == AlarmKind::Emergency).count(), 1);
}

#[tokio::test]
async fn rules_are_published_tried_and_put_in_force_over_http() {
    let bench = Bench::start().await;
    let publish = async |text: String| {
        let body = Some(("application/toml", text));
        bench.send(Some(format!("Bearer {ADMIN}")), Method::PUT, "/v1/rules?note=test", body).await
    };
    let body = Some(("application/toml", stricter("紫金花路")));
    let reader = bench.send(Some(format!("Bearer {READ}")), Method::PUT, "/v1/rules", body).await;
    assert_eq!(reader.status, 403);
    let refused = publish("version = 1".to_owned()).await;
    assert_eq!(refused.status, 422);
    let published = publish(stricter("紫金花路")).await;
    let version = published.body["version"].as_str().unwrap().to_owned();
    assert_eq!(published.body["new"], true);

    let text = value!({ "subject": "路灯不亮", "body": "小区门前紫金花路路灯坏了一周，夜里很黑。" });
    let judged = bench.post(ADMIN, "/v1/assess", text.clone()).await;
    assert_eq!((judged.status, judged.body["disposition"].as_str()), (200, Some("accept")));
    assert_eq!(judged.body["shown"]["suggested"]["subject"], "城乡建设/道路桥梁");
    let mut by_version = text.clone();
    by_version["version"] = version.clone().into();
    let judged = bench.post(ADMIN, "/v1/assess", by_version).await;
    assert_eq!(judged.body["disposition"], "hold");
    assert_eq!(bench.post(READ, "/v1/assess", text).await.status, 403);

    // What rules would change is told only after it is written down who asked.
    let trial = value!({ "version": version, "reason": "试用新规则" });
    let tried = bench.post(ADMIN, "/v1/backtest", trial).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    assert_eq!(tried.body["after"].as_str(), Some(version.as_str()));
    let trail = bench.store.audit_rows(0, 100).await.unwrap();
    assert!(trail.iter().any(|row| row.action == "rules.backtest" && row.subject == version));
    let nameless = bench.post(ADMIN, "/v1/backtest", value!({ "version": version, "reason": "" })).await;
    assert_eq!(nameless.status, 422);
    let unknown = bench.post(ADMIN, "/v1/backtest", value!({ "version": "none", "reason": "试" })).await;
    assert_eq!(unknown.status, 404);

    let path = format!("/v1/rules/{}/activate", version.replace('+', "%2B"));
    let active = bench.post(ADMIN, &path, value!({ "reason": "启用" })).await;
    assert_eq!(active.status, 200, "{}", active.text);
    let listed = bench.get(READ, "/v1/rules").await;
    assert_eq!(listed.body["in_force"].as_str(), Some(version.as_str()));
    assert_eq!(bench.post(READ, &path, value!({})).await.status, 403);
    let shown = bench.get(READ, &format!("/v1/rules/{}", version.replace('+', "%2B"))).await;
    assert!(shown.body["text"].as_str().unwrap().contains("紫金花路"));
}

#[tokio::test]
async fn the_same_text_is_one_version() {
    let site = Site::new(Dialect::Sqlite).await;
    let store = site.store().await;
    let act = Act { actor: "admin", action: "rules.publish", subject: "a+1", reason: None };
    assert!(store.publish_rules("a+1", "text", RuleOrigin::Published, act, now()).await.unwrap());
    assert!(!store.publish_rules("a+1", "text", RuleOrigin::Published, act, now()).await.unwrap());
    assert_eq!(store.rule_versions(10).await.unwrap().len(), 1);
    let missing = Act { actor: "admin", action: "rules.activate", subject: "b", reason: None };
    assert!(store.activate_rules("b", missing, now()).await.is_err());
}
