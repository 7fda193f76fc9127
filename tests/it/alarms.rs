//! Alarms: what the operator is told, by whom it is raised, and when it is over.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, http::StatusCode, routing::post};
use connectors::entry::ConnectorName;
use jiesu::{
    alarms::{AlarmKind, NewAlarm},
    ids::AlarmId,
    store::{
        Dialect, StoreError,
        alarms::{AlarmEvent, Told},
        journal::Act,
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    bench::{ADMIN, Bench, READ},
    harness::{Holdings as _, Site, board, eventually, inlet, name, now},
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

/// A board that refuses logins until it is told otherwise, and a duty desk that keeps what it is told.
struct City {
    base: String,
    refuses: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Value>>>,
    _tasks: JoinSet<()>,
}

impl City {
    async fn new() -> Self {
        let (refuses, told) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<Value>>>::default());
        let (refusing, telling) = (refuses.clone(), told.clone());
        let board = move || {
            let refuses = refusing.load(Ordering::Relaxed);
            let list = Json(json!({ "result": "success", "responseData": [] }));
            async move { if refuses { Err(StatusCode::UNAUTHORIZED) } else { Ok(list) } }
        };
        let desk = move |Json(alarm): Json<Value>| {
            telling.lock().unwrap().push(alarm);
            async { Json(json!({ "errcode": 0 })) }
        };
        let router = Router::new().route("/threads/queryThreadsList", post(board)).route("/desk", post(desk));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, refuses, told, _tasks: tasks }
    }

    /// What the duty desk was told, as (event, kind, subject).
    fn told(&self) -> Vec<[String; 3]> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = self.told.lock().unwrap();
        told.iter().map(|told| [&told["event"], &told["alarm"]["kind"], &told["alarm"]["subject"]].map(text)).collect()
    }
}

async fn the_duty_desk_hears(dialect: Dialect) {
    let city = City::new().await;
    let site = Site::new(dialect).await;
    std::fs::write(site.file().with_file_name("desk"), format!("{}desk", city.base)).unwrap();
    let alarms = "[alarms]\nlook_seconds = 1\nwebhook = { address = { file = \"desk\" } }\n";
    site.configure(&format!("{alarms}{}", board("people-net", &city.base)));
    let gateway = site.start().await;
    let store = site.store().await;
    let told = async |event: &str| {
        let expected = [event, "connector_failing", "people-net"].map(str::to_owned);
        eventually(event, async || city.told().contains(&expected).then_some(())).await;
    };
    told("raised").await;
    let open = store.alarms(true, None, 10).await.unwrap();
    let alarm = open.iter().find(|alarm| alarm.kind == AlarmKind::ConnectorFailing).unwrap();
    assert!(alarm.message_zh.contains("people-net") && alarm.message.contains("401"), "{alarm:?}");
    eventually("the log tells it", async || gateway.log().contains("alarm: connector people-net").then_some(())).await;

    // Restarted, it is the same alarm, and nobody is told twice.
    gateway.stop().await;
    let gateway = site.start().await;
    city.refuses.store(false, Ordering::Relaxed);
    store.run_now("people-net").await;
    told("cleared").await;
    gateway.stop().await;
    assert_eq!(city.told().len(), 2, "{:?}", city.told());
    assert!(store.alarms(true, None, 10).await.unwrap().iter().all(|alarm| alarm.kind != AlarmKind::ConnectorFailing));
}

#[tokio::test]
async fn a_duty_desk_hears_of_an_alarm_and_of_its_end() {
    the_duty_desk_hears(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_duty_desk_hears_of_an_alarm_and_of_its_end_on_postgres() {
    the_duty_desk_hears(Dialect::Postgres).await;
}

async fn habits_are_learned(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&inlet("portal"));
    let gateway = site.start().await;
    for number in 0..3 {
        let body = json!({ "call_id": number, "form": { "course": format!("路灯{number}不亮") } }).to_string();
        let answered = site.push("portal", &format!("d-{number}"), body).await.unwrap();
        assert!(answered.status.is_success(), "{answered:?}");
    }
    gateway.stop().await;
    let store = site.store().await;
    let (later, forget) = (now() + Duration::from_mins(2), now() - Duration::from_hours(1000));
    for _ in 0..2 {
        store.learn_habits(later, forget).await.unwrap();
        let habits = store.habits().await.unwrap();
        assert_eq!(habits["portal"].values().sum::<i64>(), 3, "each counts once: {habits:?}");
    }
    // Watched without a break since the first look, until looks were missed or it was switched off.
    let portal = [name("portal")];
    let hour = Duration::from_hours(1);
    let look = async |names: &[ConnectorName], at| {
        let since = store.watch_connectors(names, hour, at).await.unwrap();
        since.get(&portal[0]).map(|since| since.as_second())
    };
    // The gateway watched it, too: it is let go of first.
    assert_eq!(look(&[], later - Duration::from_secs(1)).await, None);
    let start = later.as_second();
    assert_eq!(look(&portal, later).await, Some(start));
    assert_eq!(look(&portal, later + hour).await, Some(start));
    assert_eq!(look(&portal, later + hour * 3).await, Some(start + 3 * 3600));
    assert_eq!(look(&[], later + hour * 3 + Duration::from_secs(1)).await, None);
    assert_eq!(look(&portal, later + hour * 4).await, Some(start + 4 * 3600));
    store.learn_habits(later, later + Duration::from_hours(2)).await.unwrap();
    assert!(store.habits().await.unwrap().is_empty(), "what is old is forgotten");
}

#[tokio::test]
async fn a_channels_habit_is_learned_from_its_entries() {
    habits_are_learned(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_channels_habit_is_learned_from_its_entries_on_postgres() {
    habits_are_learned(Dialect::Postgres).await;
}
