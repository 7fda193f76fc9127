//! What boards do over time: items change and vanish, sites ask to be left alone, answers go back.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    routing::{get, post},
};
use connectors::{
    board::{Reply, Revisit, Robots, Settings},
    clock::ManualClock,
    contract::{Adapter, Answer, Limits, Reply as Message, Toolbox},
    entry::{ExternalId, Item, Remark},
    fault::FaultClass,
    holdings::Period,
    http::{Http, HttpLimits, Unpaced},
};
use jiesu::demo::board::{BoardState, Misbehaviour, On, router};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::board::{Site, board, clock, complaint, entry, ids, message, preset, reader, reader_with, run};

fn revisit(items: u32) -> Revisit {
    Revisit { every_minutes: 60, items, closed: vec!["已办理".to_owned()], open_days: 90 }
}

fn withdrawn(items: &[Item]) -> Vec<String> {
    let gone = |item: &&Item| matches!(item, Item::Entry(entry) if entry.remarks.contains(&Remark::Withdrawn));
    items.iter().filter(gone).map(|item| item.external_id().as_str().to_owned()).collect()
}

async fn one_board(state: &BoardState, count: u64) -> Site {
    for id in 1..=count {
        let mut message = message(26_300_000 + id, "1234");
        if id % 3 == 0 {
            message.state = "已办理".to_owned();
        }
        state.publish(message);
    }
    Site::serve(router(state.clone())).await
}

#[tokio::test]
async fn b13_an_open_item_that_is_taken_off_the_board_becomes_a_revision() {
    for name in ["people-a", "people-c", "rednet"] {
        let (state, clock) = (BoardState::default(), clock());
        let site = one_board(&state, 40).await;
        let mut settings = preset(name, &site);
        settings.boards = vec!["1234".to_owned()];
        // Far fewer than the board holds: the open ones are followed down to the oldest.
        settings.revisit = Some(Revisit { closed: ["已办理", "1"].map(str::to_owned).into(), ..revisit(3) });
        let (mut reader, mut cursor) = (reader_with(&settings, &clock, Limits::default()), None);
        let before = run(&mut *reader, &mut cursor).await.unwrap();
        run(&mut *reader, &mut cursor).await.unwrap();
        state.withdraw(26_300_002);
        assert_eq!(withdrawn(&run(&mut *reader, &mut cursor).await.unwrap()), [""; 0], "{name}: not looked at yet");

        clock.advance(SignedDuration::from_hours(2));
        let mut after = run(&mut *reader, &mut cursor).await.unwrap();
        // What a look has missed is judged by the next run.
        after.extend(run(&mut *reader, &mut cursor).await.unwrap());
        assert_eq!(withdrawn(&after), ["1234:26300002"], "{name}");
        let (old, new) = (entry(&before, "1234:26300002"), entry(&after, "1234:26300002"));
        assert_ne!(old.revision, new.revision, "{name}");
        let told = complaint(&settings, new);
        assert!(told.body.contains("已不在留言板上") && told.remarks.contains(&Remark::Withdrawn), "{name}: {told:?}");
        clock.advance(SignedDuration::from_hours(2));
        let later = run(&mut *reader, &mut cursor).await.unwrap();
        assert_eq!(withdrawn(&later), [""; 0], "{name}: once is enough");
    }
}

#[tokio::test]
async fn b13_an_old_open_item_that_is_answered_at_last_becomes_a_revision() {
    let (state, clock) = (BoardState::default(), clock());
    let site = one_board(&state, 45).await;
    let mut settings = preset("people-a", &site);
    settings.boards = vec!["1234".to_owned()];
    settings.overlap = 5;
    settings.revisit = Some(revisit(5));
    let (mut reader, mut cursor) = (reader_with(&settings, &clock, Limits::default()), None);
    let before = run(&mut *reader, &mut cursor).await.unwrap();
    run(&mut *reader, &mut cursor).await.unwrap();
    let mut answered = message(26_300_001, "1234");
    (answered.state, answered.reply) = ("已办理".to_owned(), Some("已经修好。".to_owned()));
    state.publish(answered);
    clock.advance(SignedDuration::from_hours(2));
    let after = run(&mut *reader, &mut cursor).await.unwrap();
    assert_ne!(entry(&before, "1234:26300001").revision, entry(&after, "1234:26300001").revision);
}

#[tokio::test]
async fn b13_many_items_that_vanish_at_once_are_looked_at_twice_before_they_count_as_withdrawn() {
    let (state, clock) = (BoardState::default(), clock());
    let site = one_board(&state, 30).await;
    let mut settings = preset("people-a", &site);
    settings.boards = vec!["1234".to_owned()];
    settings.revisit = Some(revisit(50));
    let (mut reader, mut cursor) = (reader_with(&settings, &clock, Limits::default()), None);
    run(&mut *reader, &mut cursor).await.unwrap();
    run(&mut *reader, &mut cursor).await.unwrap();
    let gone = [1, 2, 4, 5, 7, 8, 10];
    for id in gone {
        state.withdraw(26_300_000 + id);
    }
    let mut looks = Vec::new();
    for _ in 0..3 {
        clock.advance(SignedDuration::from_hours(2));
        let mut items = run(&mut *reader, &mut cursor).await.unwrap();
        items.extend(run(&mut *reader, &mut cursor).await.unwrap());
        looks.push(withdrawn(&items).len());
    }
    assert_eq!(looks, [0, gone.len(), 0]);
}

#[tokio::test]
async fn b12_a_board_that_ignores_what_it_is_asked_for_is_a_fault() {
    // Like the real one, it gives everything where it does not know the filter.
    let rows = json!({"code": 200, "message": "ok", "data": {"data": [
        {"id": 9, "area_id": 77, "title": "别处的事", "created_at": "2026-11-01 10:00:00"},
        {"id": 8, "area_id": 78, "title": "也是别处", "created_at": "2026-11-01 09:00:00"},
    ]}});
    let site = Site::serve(Router::new().route("/front/msg/list", post(move || async move { Json(rows) }))).await;
    let fault = reader(&preset("rednet", &site)).pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Permanent);
    assert!(fault.message.contains("ignores") && fault.message.contains("/area_id"), "{fault}");
}

#[tokio::test]
async fn b02_a_list_without_pages_tells_of_a_gap() {
    let state = BoardState::default();
    let site = one_board(&state, 9).await;
    let mut settings = preset("people-jsonp", &site);
    settings.boards = vec!["1234".to_owned()];
    assert_eq!(settings.validate(), []);
    let (mut reader, mut cursor) = (reader(&settings), None);
    assert_eq!(run(&mut *reader, &mut cursor).await.unwrap().len(), 9);
    for id in 11..=15 {
        state.publish(message(26_300_000 + id, "1234"));
    }
    run(&mut *reader, &mut cursor).await.unwrap();
    run(&mut *reader, &mut cursor).await.unwrap();
    // More than the list shows came between two looks.
    for id in 101..=125 {
        state.publish(message(26_300_000 + id, "1234"));
    }
    let items = run(&mut *reader, &mut cursor).await.unwrap();
    assert!(ids(&items).contains(&26_300_125), "what is shown is taken all the same");
    let fault = reader.pull(cursor.as_ref()).await.unwrap_err();
    assert!(fault.message.contains("may have been missed"), "{fault}");
    run(&mut *reader, &mut cursor).await.unwrap();
}

#[tokio::test]
async fn robots_rules_are_kept_to_unless_the_operator_has_granted_access() {
    async fn serve(robots: impl Into<String>, status: StatusCode, asked: Arc<AtomicU32>) -> Site {
        let (state, robots) = (BoardState::default(), robots.into());
        state.publish(message(26_300_001, "1234"));
        let rules = get(move || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            (status, robots)
        });
        Site::serve(Router::new().route("/robots.txt", rules).merge(router(state))).await
    }
    let ok = StatusCode::OK;
    let table = [
        ("User-agent: *\nDisallow: /threads/\n", ok, Some(FaultClass::Configuration)),
        ("User-agent: *\nDisallow: /\n\nUser-agent: jiesu\nAllow: /\n", ok, None),
        ("User-agent: *\nDisallow: /admin/\n", ok, None),
        ("<html>没有这个页面</html>", ok, None),
        ("", StatusCode::NOT_FOUND, None),
        ("", StatusCode::FORBIDDEN, None),
        ("", StatusCode::BAD_GATEWAY, Some(FaultClass::Transient)),
        ("", StatusCode::TOO_MANY_REQUESTS, Some(FaultClass::RateLimited)),
    ];
    for (rules, status, expected) in table {
        let asked = Arc::new(AtomicU32::default());
        let site = serve(rules, status, asked.clone()).await;
        let mut settings = preset("people-a", &site);
        settings.boards = vec!["1234".to_owned()];
        let outcome = run(&mut *reader(&settings), &mut None).await;
        assert_eq!(outcome.as_ref().err().map(|fault| fault.class), expected, "{rules:?} {status}");
        if let Err(fault) = outcome {
            assert!(fault.message.contains("robots.txt"), "{fault}");
        } else {
            assert_eq!(asked.load(Ordering::Relaxed), 1, "it is asked for once, not each time");
        }
        settings.robots = Robots::Granted;
        assert_eq!(run(&mut *reader(&settings), &mut None).await.unwrap().len(), 1, "{rules:?} {status}");
    }
    // It holds for a day, and is asked for again.
    let asked = Arc::new(AtomicU32::default());
    let site = serve("", ok, asked.clone()).await;
    let mut settings = preset("people-a", &site);
    settings.boards = vec!["1234".to_owned()];
    let clock = clock();
    let mut reader = reader_with(&settings, &clock, Limits::default());
    for hours in [0, 1, 30] {
        clock.advance(SignedDuration::from_hours(hours));
        run(&mut *reader, &mut None).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn requests_are_signed_as_the_operator_asks() {
    let code = std::env::var("PATH").unwrap();
    let guarded = move |uri: Uri, body: Bytes| async move {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let text = format!("{}{}{code}", uri.path(), body["param"].as_str().unwrap());
        let digest = Sha256::digest(text).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        if body["signature"] == digest && body["appCode"] == code {
            Json(json!({"code": "0000", "data": {"data": []}}))
        } else {
            Json(json!({"code": "SN0006", "msg": "数据格式错误"}))
        }
    };
    let site = Site::serve(Router::new().route("/v2/threads/search", post(guarded))).await;
    let mut settings = preset("people-c", &site);
    assert_eq!(reader(&settings).pull(None).await.unwrap().items, []);
    settings.sign.as_mut().unwrap().text = "{path}".to_owned();
    let fault = reader(&settings).pull(None).await.unwrap_err();
    assert!(fault.message.contains("SN0006") && fault.to_string().contains("signature"), "{fault}");
}

#[tokio::test]
async fn a18_markup_of_a_board_becomes_inert_text() {
    let evil = "井盖丢失<script>steal()</script><img src=x onerror=steal()><svg onload=steal()></svg>\
                <a href=\"javascript:steal()\">很危险</a><style>p{background:url(//x)}</style>";
    let detail = json!({"code": 200, "data": {"id": 9, "content": evil, "reply": []}});
    let list = json!({"code": 200, "data": {"data": [
        {"id": 9, "area_id": "1234", "title": "<b>井盖</b>", "created_at": "2026-11-01 10:00:00", "is_reply": 0},
    ]}});
    let site = Site::serve(
        Router::new()
            .route("/front/msg/list", post(move || async move { Json(list) }))
            .route("/front/msg/detail", get(move || async move { Json(detail) })),
    )
    .await;
    let settings = preset("rednet", &site);
    let page = reader(&settings).pull(None).await.unwrap();
    let Item::Entry(entry) = &page.items[0] else { panic!("unread") };
    let body = complaint(&settings, entry).body;
    assert!(body.contains("井盖丢失") && body.contains("很危险"), "{body}");
    for trace in ["steal", "<", "javascript", "url("] {
        assert!(!body.contains(trace), "{trace}: {body}");
    }
}

#[tokio::test]
async fn a_board_names_what_it_holds_for_a_period() {
    let (state, site) = board().await;
    for name in ["people-a", "people-c", "fuzhou"] {
        let settings = preset(name, &site);
        let items = run(&mut *reader(&settings), &mut None).await.unwrap();
        let period =
            Period { from: "2026-01-01T00:00:00Z".parse().unwrap(), to: "2027-01-01T00:00:00Z".parse().unwrap() };
        let held = reader(&settings).holdings(period).await.unwrap().unwrap();
        let names = |ids: Vec<&ExternalId>| ids.into_iter().cloned().collect::<std::collections::BTreeSet<_>>();
        assert!(held.whole, "{name}");
        assert_eq!(
            names(held.items.iter().map(|held| &held.id).collect()),
            names(items.iter().map(Item::external_id).collect()),
            "{name}: the ids under which it brings them"
        );
        let earlier =
            Period { from: "2020-01-01T00:00:00Z".parse().unwrap(), to: "2021-01-01T00:00:00Z".parse().unwrap() };
        let none = reader(&settings).holdings(earlier).await.unwrap().unwrap();
        assert!(none.items.is_empty() && none.whole, "{name}");
    }
    state.misbehave_on(On::List, Misbehaviour::BlockPage, 1);
    let period = Period { from: jiff::Timestamp::MIN, to: jiff::Timestamp::MAX };
    assert!(reader(&preset("people-a", &site)).holdings(period).await.is_err(), "a block page holds nothing back");
}

/// An operator's interface for answers, and what it has been sent.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Vec<Value>>>);

fn desk_router(desk: &Desk, board: BoardState, hang: Arc<AtomicU32>) -> Router {
    let taken = desk.clone();
    let take = move |State(board): State<BoardState>, Json(body): Json<Value>| async move {
        let known = taken.0.lock().unwrap().iter().any(|one| one["key"] == body["key"]);
        if known {
            return Json(json!({"code": "REPEAT"}));
        }
        taken.0.lock().unwrap().push(body.clone());
        let id: u64 = body["tid"].as_u64().unwrap();
        let mut answered = message(id, "1234");
        answered.reply = Some(format!("【官方回复】{}", body["content"].as_str().unwrap()));
        board.publish(answered);
        if hang.load(Ordering::Relaxed) > 0 {
            hang.fetch_sub(1, Ordering::Relaxed);
            // It was taken, and nobody hears of it.
            tokio::time::sleep(std::time::Duration::from_mins(5)).await;
        }
        Json(json!({"code": "0000"}))
    };
    Router::new().route("/reply", post(take)).with_state(board.clone()).merge(router(board))
}

fn answerer(settings: &Settings) -> Arc<dyn Answer> {
    let http = HttpLimits { exchange: std::time::Duration::from_millis(500), ..HttpLimits::default() };
    let tools = Toolbox {
        clock: Arc::new(ManualClock::new("2026-11-25T00:00:00Z".parse().unwrap())),
        http: Http::new(http, Arc::new(Unpaced)).unwrap(),
        pace: Arc::new(Unpaced),
        limits: Limits::default(),
    };
    settings.answerer(&tools).unwrap().unwrap()
}

#[tokio::test]
async fn an_answer_stands_on_the_board_once_whatever_happens_on_the_way() {
    for look_first in [true, false] {
        let (state, desk, hang) = (BoardState::default(), Desk::default(), Arc::new(AtomicU32::new(1)));
        state.publish(message(26_300_001, "1234"));
        let site = Site::serve(desk_router(&desk, state, hang)).await;
        let mut settings = preset("people-a", &site);
        let reply = json!({
            "request": {
                "method": "post", "path": "reply",
                "json": {"tid": "{id:number}", "content": "{text}", "key": "{message_id}"},
            },
            "success": [{"at": "/code", "any_of": ["0000"]}],
            "repeat": {"at": "/code", "any_of": ["REPEAT"]},
            "gone": {"at": "/code", "any_of": ["SN0404"]},
            "look_first": look_first,
        });
        settings.reply = Some(serde_json::from_value::<Reply>(reply).unwrap());
        assert_eq!(settings.validate(), []);
        let answerer = answerer(&settings);
        let message = Message {
            message_id: "m1@hotline.example".to_owned(),
            to: None,
            about: ExternalId::new("1234:26300001"),
            occasion: None,
            answers: Vec::new(),
            subject: "已受理".to_owned(),
            text: "您好，您的诉求\"已受理\"，编号 261125-000001-7。\n请等待办理。".to_owned(),
        };
        assert_eq!(answerer.answer(&message).await.unwrap_err().class, FaultClass::Transient);
        answerer.answer(&message).await.unwrap();
        answerer.answer(&message).await.unwrap();
        {
            let taken = desk.0.lock().unwrap();
            assert_eq!(taken.len(), 1, "{taken:?}");
            assert_eq!(taken[0]["content"], message.text.as_str());
        }
        let gone = Message { about: ExternalId::new("1234:26399999"), ..message };
        if look_first {
            assert_eq!(answerer.answer(&gone).await.unwrap_err().class, FaultClass::Permanent);
        }
        let nameless = Message { about: ExternalId::of_content(&[b"x"]), ..gone };
        assert_eq!(answerer.answer(&nameless).await.unwrap_err().class, FaultClass::Permanent);
    }
}
