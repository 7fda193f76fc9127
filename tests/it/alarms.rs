//! Alarms: what the operator is told, by whom it is raised, and when it is over.

use std::time::Duration;

use jiesu::{
    alarms::{AlarmKind, NewAlarm},
    ids::AlarmId,
    store::{
        Dialect, StoreError,
        alarms::{AlarmEvent, Told},
        journal::Act,
    },
};
use serde_json::json;

use crate::{
    bench::{ADMIN, Bench, READ},
    harness::{Site, name, now},
};

async fn a_life(dialect: Dialect) {
    let site = Site::new(dialect).await;
    let store = site.store().await;
    let start = now();
    let later = |seconds| start + Duration::from_secs(seconds);
    let silent = |chinese| NewAlarm::of_connector(AlarmKind::ConnectorSilent, &name("mail"), chinese, "silent");

    // Raised again while it is open, it stays one alarm with new words.
    assert!(store.raise_alarm(&silent("四小时"), start).await.unwrap());
    assert!(!store.raise_alarm(&silent("五小时"), later(60)).await.unwrap());
    let entry = NewAlarm::of_gateway(AlarmKind::Emergency, "17", "有人被困", "somebody is trapped");
    assert!(store.raise_alarm(&entry, later(60)).await.unwrap());
    let open = store.alarms(true, None, 10).await.unwrap();
    assert_eq!(open.len(), 2);
    let alarm = open.iter().find(|alarm| alarm.kind == AlarmKind::ConnectorSilent).unwrap();
    assert_eq!((alarm.times, alarm.message_zh.as_str()), (2, "五小时"));
    assert_eq!(alarm.connector, Some(name("mail")));
    assert_eq!(store.open_alarms().await.unwrap().iter().map(|(_, count)| count).sum::<i64>(), 2);

    // Each target is told by itself, and of an end only where it was told of the beginning.
    let untold = store.untold_alarms("log", later(60), 10).await.unwrap();
    assert_eq!(untold.len(), 2);
    let silence = untold.iter().find(|untold| untold.alarm.kind == AlarmKind::ConnectorSilent).unwrap();
    let reason = "no answer".to_owned();
    store.alarm_told(silence, "log", &Told::Later { at: later(120), reason }, later(60)).await.unwrap();
    assert_eq!(store.untold_alarms("log", later(90), 10).await.unwrap().len(), 1);
    let again = store.untold_alarms("log", later(120), 10).await.unwrap();
    assert_eq!(again.iter().find(|untold| untold.alarm.id == silence.alarm.id).unwrap().attempts, 1);
    store.alarm_told(silence, "log", &Told::Done, later(120)).await.unwrap();
    assert!(store.clear_alarm(AlarmKind::ConnectorSilent, "mail", later(180)).await.unwrap());
    assert!(!store.clear_alarm(AlarmKind::ConnectorSilent, "mail", later(180)).await.unwrap());
    let ended = store.untold_alarms("log", later(180), 10).await.unwrap();
    assert!(ended.iter().any(|untold| untold.event == AlarmEvent::Cleared && untold.alarm.id == silence.alarm.id));
    let elsewhere = store.untold_alarms("webhook", later(180), 10).await.unwrap();
    assert!(elsewhere.iter().all(|untold| untold.event == AlarmEvent::Raised), "{elsewhere:?}");

    // What happens again after its end is another alarm.
    assert!(store.raise_alarm(&silent("六小时"), later(240)).await.unwrap());
    assert_eq!(store.alarms(false, None, 10).await.unwrap().len(), 3);

    // Seen: an event is over, a condition lasts until its cause is gone.
    let act = Act { actor: "duty", action: "alarm.acknowledge", subject: "1", reason: None };
    for alarm in store.alarms(true, None, 10).await.unwrap() {
        let seen = store.acknowledge_alarm(alarm.id, act, later(300)).await.unwrap();
        assert_eq!(seen.acknowledged_by.as_deref(), Some("duty"));
        assert_eq!(seen.cleared_at.is_some(), seen.kind == AlarmKind::Emergency);
    }
    let missing = store.acknowledge_alarm(AlarmId(999), act, later(300)).await;
    assert!(matches!(missing, Err(StoreError::Missing { .. })), "{missing:?}");
    assert_eq!(store.audit_rows(0, 10).await.unwrap().len(), 2, "what was not done is not written down");
}

#[tokio::test]
async fn an_alarm_is_one_until_it_is_over() {
    a_life(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn an_alarm_is_one_until_it_is_over_on_postgres() {
    a_life(Dialect::Postgres).await;
}

#[tokio::test]
async fn alarms_are_listed_and_acknowledged_over_http() {
    let bench = Bench::start().await;
    let alarm = NewAlarm::of_gateway(AlarmKind::Emergency, "17", "有人被困", "somebody is trapped");
    bench.store.raise_alarm(&alarm, now()).await.unwrap();
    let listed = bench.get(READ, "/v1/alarms").await.body;
    assert_eq!(listed["alarms"][0]["kind"], "emergency");
    assert_eq!(listed["alarms"][0]["message_zh"], "有人被困");
    let id = &listed["alarms"][0]["id"];
    let path = format!("/v1/alarms/{id}/acknowledge");
    assert_eq!(bench.post(READ, &path, json!({})).await.status, 403);
    let seen = bench.post(ADMIN, &path, json!({ "reason": "已转110" })).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    assert!(bench.get(READ, "/v1/alarms").await.body["alarms"].as_array().unwrap().is_empty());
    let all = bench.get(READ, "/v1/alarms?state=all").await.body;
    assert!(all["alarms"][0]["acknowledged_by"].is_string());
}
