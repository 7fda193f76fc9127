//! The adapter `board` against the board of the demonstration: every layout, every misbehaviour.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use connectors::{
    board::{Algorithm, Method, Revisit, Settings, Sign},
    clock::ManualClock,
    complaint::{Complaint, Precision},
    contract::{Adapter, Cursor, Limits, Page, Pull, Source, Toolbox},
    entry::{Item, RawEntry, Remark},
    fault::{Fault, FaultClass},
    http::{Http, HttpLimits, Unpaced},
    secret::SecretRef,
};
use jiesu::demo::board::{BoardState, Message, Misbehaviour, On, router};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// The presets that the demonstration's board speaks as a whole.
const PRESETS: [&str; 6] = ["people-a", "people-a2", "people-b", "people-c", "rednet", "fuzhou"];
const MESSAGES: &str = include_str!("../../fixtures/board/messages.json");
const EXPECTED: &str = include_str!("../../fixtures/board/expected.json");

/// A server on a free port; it ends with the test.
pub(crate) struct Site {
    pub(crate) base: String,
    _server: JoinSet<()>,
}

impl Site {
    pub(crate) async fn serve(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, _server: server }
    }
}

pub(crate) fn preset_at(name: &str, base: &str) -> Settings {
    let mut value = json!({ "preset": name, "base": base });
    if name.starts_with("people") || name == "rednet" {
        value["boards"] = json!(["1234", "5678"]);
    }
    let mut settings = Settings::read(&value).unwrap();
    if matches!(name, "people-b" | "people-c") {
        // The variable is one that every test process has.
        for secret in ["app_code", "token"] {
            settings.secrets.insert(secret.to_owned(), SecretRef::Env("PATH".to_owned()));
        }
        settings.sign = Some(sign(Algorithm::Sha256));
    }
    settings
}

fn sign(digest: Algorithm) -> Sign {
    let sign = json!({ "digest": digest, "text": "{path}{param.param}{secret.app_code}" });
    serde_json::from_value(sign).unwrap()
}

pub(crate) fn preset(name: &str, site: &Site) -> Settings {
    preset_at(name, &site.base)
}

pub(crate) async fn board() -> (BoardState, Site) {
    let state = BoardState::default();
    state.load(MESSAGES).unwrap();
    let site = Site::serve(router(state.clone())).await;
    (state, site)
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::new("2026-10-10T00:00:00Z".parse().unwrap())
}

pub(crate) fn reader_with(settings: &Settings, clock: &ManualClock, limits: Limits) -> Box<dyn Pull> {
    let http = HttpLimits { exchange: Duration::from_millis(500), ..HttpLimits::default() };
    let tools = Toolbox {
        clock: Arc::new(clock.clone()),
        http: Http::new(http, Arc::new(Unpaced)).unwrap(),
        pace: Arc::new(Unpaced),
        limits,
    };
    match settings.source(&tools).unwrap() {
        Source::Pull(pull) => pull,
        Source::Push(_) => panic!("a board is asked"),
    }
}

pub(crate) fn reader(settings: &Settings) -> Box<dyn Pull> {
    reader_with(settings, &clock(), Limits::default())
}

/// Pulls and commits until the source has no more.
pub(crate) async fn run(reader: &mut dyn Pull, cursor: &mut Option<Cursor>) -> Result<Vec<Item>, Fault> {
    let mut items = Vec::new();
    for _ in 0..500 {
        let page = reader.pull(cursor.as_ref()).await?;
        let more = page.more;
        commit(reader, page, cursor, &mut items).await;
        if !more {
            return Ok(items);
        }
    }
    panic!("the run does not end");
}

async fn commit(reader: &mut dyn Pull, page: Page, cursor: &mut Option<Cursor>, items: &mut Vec<Item>) {
    reader.confirm(&page).await.unwrap();
    items.extend(page.items);
    *cursor = Some(page.cursor);
}

pub(crate) fn ids(items: &[Item]) -> BTreeSet<u64> {
    items.iter().map(|item| item.external_id().as_str().rsplit(':').next().unwrap().parse().unwrap()).collect()
}

pub(crate) fn entry<'a>(items: &'a [Item], id: &str) -> &'a RawEntry {
    let found = items.iter().find(|item| item.external_id().as_str() == id);
    match found.unwrap_or_else(|| panic!("no item {id}")) {
        Item::Entry(entry) => entry,
        other => panic!("{id} is no entry: {other:?}"),
    }
}

pub(crate) fn complaint(settings: &Settings, entry: &RawEntry) -> Complaint {
    settings.normaliser().unwrap().normalise(entry, "2026-10-10T00:00:00Z".parse().unwrap()).unwrap()
}

fn all_ids(state: &BoardState) -> BTreeSet<u64> {
    state.ids().into_iter().collect()
}

pub(crate) fn message(id: u64, board: &str) -> Message {
    Message {
        id,
        board: board.to_owned(),
        subject: format!("第{id}号诉求"),
        body: format!("我是{id}号诉求人，楼下商铺占道经营已经半年，多次反映没有结果，请尽快处理。"),
        name: "网友".to_owned(),
        area: "白塔区".to_owned(),
        label: "投诉/求助".to_owned(),
        written: 1_791_400_000 + i64::try_from(id % 100_000).unwrap(),
        state: "待回复".to_owned(),
        ..Message::default()
    }
}

#[tokio::test]
async fn every_preset_reads_the_board_whole() {
    let expected: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(EXPECTED).unwrap();
    for name in PRESETS {
        let (state, site) = board().await;
        let settings = preset(name, &site);
        assert_eq!(settings.validate(), [], "{name}");
        let check = reader(&settings).check().await;
        assert!(check.passed(), "{name}: {:?}", check.steps);
        let items = run(&mut *reader(&settings), &mut None).await.unwrap();
        assert_eq!(ids(&items), all_ids(&state), "{name}");
        assert!(!expected[name].is_empty(), "{name} has expectations");
        for (id, expected) in &expected[name] {
            let entry = entry(&items, id);
            let got = complaint(&settings, entry);
            let text = |field: &str| expected[field].as_str().map(str::to_owned);
            assert_eq!(got.subject, text("subject"), "{name} {id}");
            assert_eq!(Some(got.body), text("body"), "{name} {id}");
            assert_eq!(got.label, text("label"), "{name} {id}");
            assert_eq!(got.place, text("place"), "{name} {id}");
            assert_eq!(got.petitioner.name, text("name"), "{name} {id}");
            assert_eq!(got.petitioner.account, text("account"), "{name} {id}");
            let made_at = got.made_at.unwrap();
            assert_eq!(Some(made_at.at.to_string()), text("made_at"), "{name} {id}");
            assert_eq!(serde_json::to_value(made_at.precision).unwrap(), expected["precision"], "{name} {id}");
            assert_eq!(entry.source_time, Some(made_at), "{name} {id}");
            assert_eq!(got.remarks, [], "{name} {id}");
        }
    }
}

#[tokio::test]
async fn b12_every_misbehaviour_is_a_fault_and_never_no_news() {
    use FaultClass::{Permanent, RateLimited, Transient};
    let everywhere = ["people-a", "people-b", "people-c", "rednet", "fuzhou"];
    let table: [(Misbehaviour, &[&str], FaultClass, &str); 10] = [
        (Misbehaviour::TooManyRequests { retry_after: 7 }, &everywhere, RateLimited, "429"),
        (Misbehaviour::Forbidden, &everywhere, RateLimited, "403"),
        (Misbehaviour::ServerError, &everywhere, Transient, "500"),
        (Misbehaviour::EmptyBody, &everywhere, Transient, "empty body"),
        (Misbehaviour::Slow(Duration::from_mins(1)), &everywhere[..1], Transient, "in time"),
        (Misbehaviour::BrokenOff, &everywhere[..4], Transient, "breaks off"),
        (Misbehaviour::ErrorEnvelope, &everywhere[..1], Permanent, "数据格式错误"),
        (Misbehaviour::ErrorEnvelope, &everywhere[1..3], Permanent, "SN0006"),
        (Misbehaviour::BlockPage, &everywhere, Permanent, "layout changed"),
        (Misbehaviour::NewLayout, &["people-a", "people-b", "people-c", "fuzhou"], Permanent, "layout changed"),
    ];
    for (misbehaviour, presets, class, words) in table {
        for name in presets {
            let (state, site) = board().await;
            let mut reader = reader(&preset(name, &site));
            let mut cursor = None;
            state.misbehave(misbehaviour.clone(), 1);
            let fault = run(&mut *reader, &mut cursor).await.unwrap_err();
            assert_eq!(fault.class, class, "{name} {misbehaviour:?}: {fault}");
            assert!(fault.message.contains(words), "{name} {misbehaviour:?}: {fault}");
            if let Misbehaviour::TooManyRequests { retry_after } = misbehaviour {
                assert_eq!(fault.retry_after, Some(Duration::from_secs(retry_after)));
            }
            // It passes, and nothing is lost by it.
            let items = run(&mut *reader, &mut cursor).await.unwrap();
            assert_eq!(ids(&items), all_ids(&state), "{name} {misbehaviour:?}");
        }
    }
}

#[tokio::test]
async fn b12_a_list_that_held_items_and_is_empty_is_a_fault() {
    let (state, site) = board().await;
    for (name, may_become_empty) in [("people-a", false), ("fuzhou", false), ("people-a", true)] {
        let mut settings = preset(name, &site);
        settings.may_become_empty = may_become_empty;
        let (mut reader, mut cursor) = (reader(&settings), None);
        run(&mut *reader, &mut cursor).await.unwrap();
        state.misbehave_on(On::List, Misbehaviour::Emptied, 1);
        let outcome = reader.pull(cursor.as_ref()).await;
        match outcome {
            Ok(page) => assert!(may_become_empty && page.items.is_empty(), "{name}"),
            Err(fault) => assert!(!may_become_empty && fault.message.contains("empty, though"), "{name}: {fault}"),
        }
    }
    // A board that never held anything may well be empty.
    let mut settings = preset("people-a", &site);
    settings.boards = vec!["none".to_owned()];
    assert_eq!(run(&mut *reader(&settings), &mut None).await.unwrap(), []);
}

#[tokio::test]
async fn b01_a_crash_at_any_page_loses_nothing_while_items_arrive() {
    for name in ["people-a", "people-c", "rednet", "fuzhou"] {
        for crash_at in 0..8 {
            let (state, site) = board().await;
            let settings = preset(name, &site);
            let (mut reader, mut cursor, mut items) = (reader(&settings), None, Vec::new());
            for pull in 0..100 {
                let page = reader.pull(cursor.as_ref()).await.unwrap();
                state.publish(message(26_200_000 + pull, if pull % 2 == 0 { "1234" } else { "5678" }));
                if pull == crash_at {
                    // The page was not committed, and the process starts again.
                    reader = self::reader(&settings);
                    continue;
                }
                let more = page.more;
                commit(&mut *reader, page, &mut cursor, &mut items).await;
                if !more {
                    break;
                }
            }
            items.extend(run(&mut *reader, &mut cursor).await.unwrap());
            assert_eq!(ids(&items), all_ids(&state), "{name}, crash at page {crash_at}");
        }
    }
}

#[tokio::test]
async fn b14_a_body_cut_off_by_the_list_is_fetched_whole() {
    let (state, site) = board().await;
    let settings = preset("people-a", &site);
    state.misbehave_on(On::List, Misbehaviour::TruncatedBodies, u32::MAX);
    let items = run(&mut *reader(&settings), &mut None).await.unwrap();
    let whole = complaint(&settings, entry(&items, "1234:26100801"));
    assert!(
        whole.body.starts_with("我家住白塔区东顺城街") && whole.body.ends_with("请尽快派人测温。"),
        "{}",
        whole.body
    );
    assert!(state.asked().1 >= 18);

    let (state, site) = board().await;
    run(&mut *reader(&preset("people-a", &site)), &mut None).await.unwrap();
    assert_eq!(state.asked().1, 0, "bodies that are whole need no page of their own");
}

#[tokio::test]
async fn b13_a_new_state_or_answer_is_a_new_revision_and_pages_are_not_asked_for_twice() {
    let (state, site) = board().await;
    let mut settings = preset("people-c", &site);
    settings.revisit = Some(Revisit { every_minutes: 60, items: 100, closed: Vec::new(), open_days: 90 });
    let clock = clock();
    let (mut reader, mut cursor) = (reader_with(&settings, &clock, Limits::default()), None);
    let before = run(&mut *reader, &mut cursor).await.unwrap();
    run(&mut *reader, &mut cursor).await.unwrap();
    let asked = state.asked().1;
    run(&mut *reader, &mut cursor).await.unwrap();
    assert_eq!(state.asked().1, asked, "known items are left alone");

    let mut answered = message(26_100_801, "1234");
    answered.reply = Some("您好，热力公司已上门测温。".to_owned());
    state.publish(answered);
    clock.advance(jiff::SignedDuration::from_hours(2));
    let after = run(&mut *reader, &mut cursor).await.unwrap();
    let (old, new) = (entry(&before, "1234:26100801"), entry(&after, "1234:26100801"));
    assert_ne!(old.revision, new.revision);
    let (old, new) = (entry(&before, "1234:26100804"), entry(&after, "1234:26100804"));
    assert_eq!(old.revision, new.revision, "what did not change keeps its revision");
}

#[tokio::test]
async fn a_withdrawn_page_leaves_the_row_with_a_remark() {
    let (state, site) = board().await;
    let settings = preset("rednet", &site);
    state.misbehave_on(On::Detail, Misbehaviour::NotFound, 1);
    let page = reader(&settings).pull(None).await.unwrap();
    let Item::Entry(entry) = &page.items[0] else { panic!("unread") };
    assert!(matches!(&entry.remarks[..], [Remark::Bounded { what }] if what.contains("gone")));
    let complaint = complaint(&settings, entry);
    assert!(complaint.subject.is_some() && complaint.body.is_empty() && !complaint.remarks.is_empty());
}

#[tokio::test]
async fn items_pages_that_are_all_missing_are_a_fault() {
    let (state, site) = board().await;
    state.misbehave_on(On::Detail, Misbehaviour::NotFound, u32::MAX);
    let fault = reader(&preset("rednet", &site)).pull(None).await.unwrap_err();
    assert!(fault.message.contains("layout changed"), "{fault}");
}

#[tokio::test]
async fn a_page_that_fails_for_now_holds_the_list_and_one_that_fails_for_ever_does_not() {
    let (state, site) = board().await;
    let mut settings = preset("rednet", &site);
    settings.boards = vec!["1234".to_owned()];
    settings.revisit = None;
    let (mut reader, mut cursor) = (reader(&settings), None);
    state.misbehave_on(On::Detail, Misbehaviour::ServerError, 1);
    let fault = reader.pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Transient);
    run(&mut *reader, &mut cursor).await.unwrap();

    state.publish(message(26_200_001, "1234"));
    state.misbehave_on(On::Detail, Misbehaviour::ServerError, u32::MAX);
    let mut faults = 0;
    let items = loop {
        match run(&mut *reader, &mut cursor).await {
            Ok(items) => break items,
            Err(fault) => assert_eq!(fault.class, FaultClass::Transient),
        }
        faults += 1;
        assert!(faults < 10, "one item holds up the board for ever");
    };
    assert_eq!(faults, 4);
    assert!(ids(&items).contains(&26_200_001));
}

#[tokio::test]
async fn b12_items_pages_in_a_new_layout_are_a_fault_together_and_quarantined_one_by_one() {
    let (state, site) = board().await;
    let settings = preset("fuzhou", &site);
    state.misbehave_on(On::Detail, Misbehaviour::NewLayout, u32::MAX);
    let fault = reader(&settings).pull(None).await.unwrap_err();
    assert!(fault.message.contains("layout changed"), "{fault}");

    state.behave();
    state.misbehave_on(On::Detail, Misbehaviour::NewLayout, 1);
    let page = reader(&settings).pull(None).await.unwrap();
    let unread: Vec<_> = page.items.iter().filter(|item| matches!(item, Item::Unread(_))).collect();
    assert_eq!((unread.len(), page.items.len()), (1, 10));
}

#[tokio::test]
async fn a_page_that_calls_itself_gb2312_is_read_as_gb18030() {
    let (state, site) = board().await;
    state.speak_gb2312();
    let mut rare = message(26_200_001, "1234");
    rare.subject = "朱镕路㙍号楼漏水".to_owned();
    state.publish(rare);
    let settings = preset("fuzhou", &site);
    let items = run(&mut *reader(&settings), &mut None).await.unwrap();
    let complaint = complaint(&settings, entry(&items, "26200001"));
    assert_eq!(complaint.subject.as_deref(), Some("朱镕路㙍号楼漏水"));
    assert_eq!(complaint.made_at.map(|stamp| stamp.precision), Some(Precision::Minute));
}

#[tokio::test]
async fn b07_one_malformed_item_is_quarantined_and_its_neighbours_go_on() {
    let rows = r#"{"result": "success", "responseData": [
        {"tid": 9, "subject": "好的", "content": "路灯不亮，请修。", "dateline": 1791400000},
        {"tid": null, "subject": "没有编号", "content": "井盖丢失，很危险。", "dateline": 1791400000},
        {"tid": 7, "subject": "没有正文", "content": null, "dateline": 1791400000},
        {"tid": 6, "subject": "时间不对", "content": "垃圾没人清运。", "dateline": "不详"},
        5
    ]}"#;
    let site = Site::serve(Router::new().route("/list", get(move || async move { rows }))).await;
    let mut settings = preset("people-a", &site);
    settings.detail = None;
    settings.boards = vec![String::new()];
    settings.list.request.path = "list".to_owned();
    settings.list.request.method = Method::Get;
    settings.list.request.form = [("last".to_owned(), "{last}".to_owned())].into();
    settings.list.verify.clear();
    let page = reader(&settings).pull(None).await.unwrap();
    assert_eq!(page.items.len(), 5);
    assert!(matches!(&page.items[0], Item::Entry(entry) if entry.external_id.as_str() == "9"));
    assert!(matches!(&page.items[1], Item::Entry(entry) if entry.external_id.as_str().starts_with("sha256:")));
    let Item::Unread(unread) = &page.items[2] else { panic!("an item without text was taken") };
    assert!(unread.reason.contains("no text"), "{}", unread.reason);
    assert!(String::from_utf8_lossy(&unread.raw).contains("没有正文"), "what there is of it is kept");
    let Item::Entry(entry) = &page.items[3] else { panic!("a bad time is no reason to refuse") };
    assert!(complaint(&settings, entry).remarks.iter().any(|remark| matches!(remark, Remark::Clock { .. })));
    assert!(matches!(&page.items[4], Item::Unread(_)));
}

#[tokio::test]
async fn d03_a_link_to_another_host_is_not_followed() {
    let trap = BoardState::default();
    let elsewhere = Site::serve(router(trap.clone())).await;
    let html = format!(
        "<table class=callList><tr class=call><td><a href='{}fzwp/webCallSearch/detail?callId=FZ1'>[投诉]路灯不亮</a></td>\
         <td>白塔区</td><td>网站</td><td>2026-10-08</td></tr></table>",
        elsewhere.base
    );
    let list = axum::routing::post(move || async move { ([("content-type", "text/html")], html) });
    let site = Site::serve(Router::new().route("/fzwp/webCallSearch/search", list)).await;
    let page = reader(&preset("fuzhou", &site)).pull(None).await.unwrap();
    let Item::Entry(entry) = &page.items[0] else { panic!("unread") };
    assert!(matches!(&entry.remarks[..], [Remark::Bounded { what }] if what.contains("not followed")));
    assert_eq!(trap.asked(), (0, 0));
}

#[tokio::test]
async fn b10_a_board_that_fails_does_not_stop_the_others() {
    let (state, site) = board().await;
    let settings = preset("people-a", &site);
    let (mut reader, mut cursor) = (reader(&settings), None);
    state.misbehave_on(On::List, Misbehaviour::ErrorEnvelope, 1);
    reader.pull(None).await.unwrap_err();
    let page = reader.pull(None).await.unwrap();
    let of_other = |item: &Item| item.external_id().as_str().starts_with("5678:");
    assert!(page.items.iter().all(of_other), "the other board goes first");
    let mut items = Vec::new();
    commit(&mut *reader, page, &mut cursor, &mut items).await;
    items.extend(run(&mut *reader, &mut cursor).await.unwrap());
    assert_eq!(ids(&items), all_ids(&state), "the run does not end without the board that failed");
}

#[tokio::test]
async fn small_limits_take_a_page_in_parts() {
    let (state, site) = board().await;
    for name in ["people-a", "fuzhou"] {
        let limits = Limits { page_items: 3, ..Limits::default() };
        let mut reader = reader_with(&preset(name, &site), &clock(), limits);
        let (mut cursor, mut items) = (None, Vec::new());
        loop {
            let page = reader.pull(cursor.as_ref()).await.unwrap();
            assert!(page.items.len() <= 3);
            let more = page.more;
            commit(&mut *reader, page, &mut cursor, &mut items).await;
            if !more {
                break;
            }
        }
        assert_eq!(ids(&items), all_ids(&state), "{name}");
    }
    let limits = Limits { item_bytes: 100, ..Limits::default() };
    let page = reader_with(&preset("people-a", &site), &clock(), limits).pull(None).await.unwrap();
    assert!(page.items.iter().all(|item| matches!(item, Item::Unread(unread) if unread.raw.len() == 100)));
}

#[tokio::test]
async fn d02_a_secret_goes_into_the_request_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "geheim-7\n").unwrap();
    let guarded = |headers: axum::http::HeaderMap| async move {
        let known = headers.get("x-token").is_some_and(|token| token == "geheim-7");
        if known { r#"{"result": "success", "responseData": []}"# } else { r#"{"result": "fail"}"# }
    };
    let site = Site::serve(Router::new().route("/threads/queryThreadsList", axum::routing::post(guarded))).await;
    let mut settings = preset("people-a", &site);
    settings.secrets.insert("token".to_owned(), SecretRef::File(file));
    settings.headers.insert("x-token".to_owned(), "{secret.token}".to_owned());
    let page = reader(&settings).pull(None).await.unwrap();
    assert_eq!(page.items, []);
    assert!(!format!("{:?}{:?}", page.cursor, settings).contains("geheim"));
}
