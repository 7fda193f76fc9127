use std::{io::Write as _, path::Path, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Settings,
    fake::{Exchange, Mood, SECRET},
};
use crate::{
    complaint::Complaint,
    conformance::{
        now,
        server::{Answer, Server},
        tools,
    },
    contract::{Adapter, Cursor, Gathered, Page, Piece, Pull, Source},
    entry::{ExternalId, Item, RawEntry, Remark},
    fault::FaultClass,
};

/// The call that the transcript holds.
const CALL: &str = "1795577408.0";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/exchange").join(name)).unwrap()
}

/// Every message that Asterisk 22 sent during one call, in its order.
fn transcript() -> Vec<String> {
    let text = String::from_utf8(fixture("asterisk-22-call.txt")).unwrap();
    text.split("\r\n\r\n")
        .filter(|message| message.contains("Event: "))
        .map(|message| format!("{message}\r\n\r\n"))
        .collect()
}

struct House {
    exchange: Exchange,
    secret: tempfile::NamedTempFile,
}

impl House {
    async fn new() -> Self {
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(SECRET.as_bytes()).unwrap();
        Self { exchange: Exchange::start().await, secret }
    }

    fn settings(&self, more: &Value) -> Settings {
        let mut settings = json!({
            "host": "127.0.0.1", "port": self.exchange.address.port(), "user": "jiesu",
            "secret": { "file": self.secret.path() },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        serde_json::from_value(settings).unwrap()
    }
}

fn reader(settings: &Settings) -> Box<dyn Pull> {
    assert_eq!(settings.validate(), []);
    let Ok(Source::Pull(reader)) = settings.source(&tools()) else { panic!("it is asked") };
    reader
}

/// Page after page to the end.
async fn read(reader: &mut dyn Pull, cursor: &mut Option<Cursor>) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        let Page { items: page, cursor: next, more } = reader.pull(cursor.as_ref()).await.unwrap();
        items.extend(page);
        *cursor = Some(next);
        if !more {
            return items;
        }
    }
}

/// The entries that pieces come to, one a call.
fn entries(settings: &Settings, items: &[Item], later: Timestamp) -> Vec<RawEntry> {
    let gatherer = settings.gatherer().unwrap().unwrap();
    let mut calls: Vec<(ExternalId, Vec<Piece>)> = Vec::new();
    for item in items {
        let Item::Fragment(fragment) = item else { panic!("{item:?}") };
        let piece = Piece { raw: fragment.raw.clone(), received_at: now() };
        match calls.iter_mut().find(|(call, _)| *call == fragment.item) {
            Some((_, pieces)) => pieces.push(piece),
            None => calls.push((fragment.item.clone(), vec![piece])),
        }
    }
    let entry = |(call, pieces): (ExternalId, Vec<Piece>)| match gatherer.gather(&call, None, &pieces, later) {
        Gathered::Item(item) => match *item {
            Item::Entry(entry) => entry,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    calls.into_iter().map(entry).collect()
}

fn complaint(settings: &Settings, entry: &RawEntry) -> Complaint {
    settings.normaliser().unwrap().normalise(entry, now()).unwrap()
}

fn tomorrow() -> Timestamp {
    now() + jiff::SignedDuration::from_hours(24)
}

#[tokio::test]
async fn a17_what_asterisk_says_of_a_call_is_one_entry_with_the_callers_number() {
    let house = House::new().await;
    for login in ["md5", "plain"] {
        let settings = house.settings(&json!({ "login": login, "contexts": ["hotline"] }));
        let mut reader = reader(&settings);
        let mut cursor = None;
        assert_eq!(read(reader.as_mut(), &mut cursor).await, []);
        for message in transcript() {
            house.exchange.tell(message);
        }
        let items = read(reader.as_mut(), &mut cursor).await;
        let found = entries(&settings, &items, tomorrow());
        let [entry] = found.as_slice() else { panic!("{} entries", found.len()) };
        assert_eq!(entry.external_id.as_str(), CALL);
        assert_eq!(entry.source_time.unwrap().at.to_string(), "2026-11-25T03:30:08Z");
        let complaint = complaint(&settings, entry);
        assert_eq!(complaint.petitioner.phones, ["13900001234"], "and none of the agent's channels");
        assert_eq!(complaint.body, "新华小区从早上起停水。");
        assert_eq!(entry.remarks, [], "nothing is missing");
    }
}

/// A17: doubled, in any order, and cut off wherever: the same call.
#[tokio::test]
async fn a17_events_doubled_and_out_of_order_over_the_connection_are_the_same_entry() {
    let house = House::new().await;
    let settings = house.settings(&json!({}));
    let expected = {
        let (mut reader, mut cursor) = (reader(&settings), None);
        read(reader.as_mut(), &mut cursor).await;
        house.exchange.tell(transcript().concat());
        let items = read(reader.as_mut(), &mut cursor).await;
        entries(&settings, &items, tomorrow()).remove(0)
    };
    let mut seed = 17_u64;
    let mut dice = move |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % sides
    };
    for _ in 0..5 {
        let mut messages = transcript();
        messages.extend(transcript());
        for last in (1..messages.len()).rev() {
            messages.swap(last, dice(last + 1));
        }
        let (mut reader, mut cursor) = (reader(&settings), None);
        read(reader.as_mut(), &mut cursor).await;
        let bytes = messages.concat().into_bytes();
        for piece in bytes.chunks(1 + dice(3000)) {
            house.exchange.tell(piece);
        }
        let items = read(reader.as_mut(), &mut cursor).await;
        let found = entries(&settings, &items, tomorrow());
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].external_id, &found[0].revision), (&expected.external_id, &expected.revision));
        assert_eq!(complaint(&settings, &found[0]), complaint(&settings, &expected));
    }
}

#[tokio::test]
async fn a17_a_connection_dropped_in_a_call_is_made_anew_and_the_records_fill_the_gap() {
    let house = House::new().await;
    let server = Server::start(|_| Answer { status: 200, content_type: "text/csv", body: fixture("master.csv") }).await;
    let settings = house.settings(&json!({ "contexts": ["hotline"], "records": {
        "base": server.base(), "request": { "path": "Master.csv" }, "format": "csv", "start": "2026-11-01",
    }}));
    let (mut reader, mut cursor) = (reader(&settings), None);
    // The clock of the suite is later than the call: the records are read from where the settings say.
    server.afflict(crate::conformance::Trouble::Gone);
    read(reader.as_mut(), &mut cursor).await;
    assert!(reader.trouble().is_some_and(|fault| fault.message.contains("call records")), "told as a part's trouble");
    let told: Vec<String> = transcript().into_iter().take_while(|message| !message.contains("AgentConnect")).collect();
    house.exchange.tell(told.concat());
    let mut items = read(reader.as_mut(), &mut cursor).await;
    assert!(!items.is_empty());
    // The rest of the call, and a whole other one, happen while nobody listens.
    house.exchange.hang_up_on_all();
    server.mend();
    assert!(reader.wait(Duration::from_secs(5)).await.is_err(), "the break is noticed while listening");
    items.extend(read(reader.as_mut(), &mut cursor).await);
    assert_eq!(reader.trouble(), None);
    assert_eq!(house.exchange.logins(), 2);
    let found = entries(&settings, &items, tomorrow());
    let mut ids: Vec<&str> = found.iter().map(|entry| entry.external_id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [CALL, "1795577800.7"], "both calls, and no call of an agent's own");
    let first = found.iter().find(|entry| entry.external_id.as_str() == CALL).unwrap();
    assert_eq!(complaint(&settings, first).petitioner.phones, ["13900001234"]);
    let doubts: Vec<&Remark> = first.remarks.iter().collect();
    assert!(matches!(doubts.as_slice(), [Remark::Doubtful { what }] if what.contains("was answered")), "{doubts:?}");
    // Nothing new: nothing comes, though the connection breaks again.
    house.exchange.hang_up_on_all();
    let again = read(reader.as_mut(), &mut cursor).await;
    assert!(again.iter().all(|item| items.contains(item)), "what comes again is the same");
}

#[tokio::test]
async fn a17_what_was_heard_and_not_stored_is_given_again() {
    let house = House::new().await;
    let settings = house.settings(&json!({}));
    let mut reader = reader(&settings);
    let start = reader.pull(None).await.unwrap().cursor;
    house.exchange.tell(transcript().concat());
    let first = reader.pull(Some(&start)).await.unwrap();
    assert!(first.more && !first.items.is_empty());
    // The page could not be committed; even where the connection is gone meanwhile, what was heard is not.
    house.exchange.hang_up_on_all();
    let again = reader.pull(Some(&start)).await.unwrap();
    assert_eq!(again.items, first.items);
    let next = reader.pull(Some(&again.cursor)).await.unwrap();
    assert!(next.items.iter().all(|item| !first.items.contains(item)), "and nothing twice once it is stored");
}

#[tokio::test]
async fn a17_a_form_comes_as_a_user_event() {
    let house = House::new().await;
    let settings = house.settings(&json!({}));
    let (mut reader, mut cursor) = (reader(&settings), None);
    read(reader.as_mut(), &mut cursor).await;
    let form = json!({ "kind": "求助", "title": "停水", "course": "新华小区停水。", "contact": { "name": "王明" } });
    for text in [
        "Event: Newchannel\r\nCallerIDNum: 0086 139-0000-1234\r\nUniqueid: sy-1795575802.0\r\nLinkedid: sy-1795575802.0\r\n\r\n".to_owned(),
        format!("Event: UserEvent\r\nUserEvent: HotlineForm\r\nCall: sy-1795575802.0\r\nForm: {form}\r\n\r\n"),
        "Event: UserEvent\r\nUserEvent: HotlineForm\r\nUniqueid: 1795575900.4\r\nLinkedid: 1795575900.3\r\nCallerIDNum: 8001\r\nKind: 咨询\r\nCourse: 公交几点收车\r\n\r\n".to_owned(),
        // As Asterisk tells it where the caller has gone already: it names no call, and nobody needs it.
        "Event: AgentComplete\r\nQueue: hotline\r\nMemberName: 8001\r\n\r\n".to_owned(),
        "Event: UserEvent\r\nUserEvent: Other\r\nCall: 7\r\n\r\n".to_owned(),
        "Event: Hangup\r\nUniqueid: sy-1795575802.0\r\nLinkedid: sy-1795575802.0\r\n\r\n".to_owned(),
    ] {
        house.exchange.tell(text);
    }
    let items = read(reader.as_mut(), &mut cursor).await;
    let found = entries(&settings, &items, tomorrow());
    assert_eq!(found.len(), 2);
    let told = complaint(&settings, &found[0]);
    assert_eq!((told.body.as_str(), told.petitioner.name.as_deref()), ("新华小区停水。", Some("王明")));
    assert_eq!(told.petitioner.phones, ["13900001234"]);
    assert_eq!(told.made_at.unwrap().at.to_string(), "2026-11-25T03:03:22Z");
    let told = complaint(&settings, &found[1]);
    assert_eq!((told.body.as_str(), told.petitioner.phones.len()), ("公交几点收车", 0), "no number of the agent's");
}

#[tokio::test]
async fn a_refused_login_is_told_in_words_and_so_is_what_is_no_exchange() {
    let house = House::new().await;
    let settings = house.settings(&json!({}));
    let wrong = house.settings(&json!({ "secret": { "env": "CARGO_PKG_DESCRIPTION" } }));
    let fault = reader(&wrong).pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Authentication);
    assert!(fault.message.contains("does not let us in: Authentication failed"), "{fault}");
    assert!(fault.remedy.as_deref().is_some_and(|remedy| remedy.contains("manager.conf")), "{fault}");
    assert!(!fault.to_string().contains(env!("CARGO_PKG_DESCRIPTION")));
    house.exchange.set(Mood::Foreign);
    let fault = reader(&settings).pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Configuration, "{fault}");
    assert!(fault.message.contains("is not the manager interface"), "{fault}");
}

#[tokio::test]
async fn a17_hostile_events_are_set_aside_one_by_one_and_nothing_piles_up() {
    let house = House::new().await;
    let settings = house.settings(&json!({ "line_bytes": 1024, "message_bytes": 4096, "waiting_events": 100 }));
    let (mut reader, mut cursor) = (reader(&settings), None);
    read(reader.as_mut(), &mut cursor).await;
    house.exchange.tell(
        [
            b"Event: Hangup\r\nUniqueid: 1.1\r\nLinkedid: 1.1\r\nCause-txt: ".as_slice(),
            &b"x".repeat(3_000_000),
            b"\r\n\r\n",
        ]
        .concat(),
    );
    house.exchange.tell(
        [b"Event: Hangup\r\nUniqueid: 1.2\r\nLinkedid: 1.2\r\n".as_slice(), &b"A: b\r\n".repeat(100_000), b"\r\n"]
            .concat(),
    );
    house.exchange.tell("Event: Hangup\r\nCallerIDNum: 13900001234\r\n\r\n");
    for call in 0..150 {
        house.exchange.tell(format!("Event: Newchannel\r\nUniqueid: 2.{call}\r\nLinkedid: 2.{call}\r\n\r\n"));
    }
    let items = read(reader.as_mut(), &mut cursor).await;
    let unread: Vec<&str> = items
        .iter()
        .filter_map(|item| match item {
            Item::Unread(unread) => Some(unread.reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(unread.len(), 3, "{unread:?}");
    assert!(unread.iter().all(|reason| reason.len() > 10 && !reason.contains("139")), "{unread:?}");
    assert_eq!(items.len(), 153, "their neighbours come, though no more than a hundred wait at once");
}

#[tokio::test]
async fn an_exchange_that_falls_silent_is_noticed_and_let_go_of() {
    let house = House::new().await;
    house.exchange.set(Mood::Deaf);
    let settings = house.settings(&json!({ "ping_seconds": 1 }));
    let mut reader = reader(&settings);
    reader.pull(None).await.unwrap();
    let fault = reader.wait(Duration::from_mins(10)).await.unwrap_err();
    assert!(fault.class == FaultClass::Transient && fault.message.contains("said nothing"), "{fault}");
    assert_eq!(house.exchange.logins(), 1);
    house.exchange.set(Mood::Well);
    reader.pull(None).await.unwrap();
    assert_eq!(house.exchange.logins(), 2, "the next pull connects anew");
}
