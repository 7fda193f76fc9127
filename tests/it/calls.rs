//! A17: a call's events come once, twice, out of order or never, the gateway is killed in between, and each call is one
//! entry and one ticket.

use std::{collections::BTreeMap, time::Duration};

use connectors::{
    delivery::{Digest, DigestHeaders, DigestKind, DigestPart, DigestTime},
    entry::ExternalId,
};
use jiesu::{
    seal::{Keyring, SealContext},
    store::{
        Dialect, Store, StoreError,
        fragments::NewFragment,
        intake::{NewEntry, NewItem, Taken},
        read::{Accounting, Place},
    },
};
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json as value};

use crate::{
    harness::{Holdings as _, PARTNER, Site, eventually, json, name, now},
    mails::Dice,
};

fn calls(name: &str, call: &str) -> String {
    format!(
        "[[connector]]\nname = \"{name}\"\nchannel = \"phone\"\nadapter = \"calls\"\n\
         settings = {{ secrets = [{{ file = \"secret-{PARTNER}\" }}], call = {{ {call} }} }}\n\n"
    )
}

/// The events of a call, in the order in which they happened.
fn events(call: &str) -> [Value; 4] {
    [
        value!({ "event": "ringing", "call_id": call, "time": "2026-11-20 09:00:00", "caller": "1795113900001234" }),
        value!({ "event": "answered", "call_id": call, "time": "2026-11-20 09:00:10", "agent": "8001" }),
        value!({ "event": "form", "call_id": call, "time": "2026-11-20 09:05:00", "form": {
            "kind": "投诉", "title": "停水不通知", "place": "白塔区新华小区",
            "course": format!("新华小区从早上起停水，没有接到任何通知，来电编号{call}。"), "request": "请尽快恢复供水",
        }}),
        value!({ "event": "hung_up", "call_id": call, "time": "2026-11-20 09:04:40" }),
    ]
}

async fn open(store: &Store) -> i64 {
    store.accounting().await.unwrap().fragments_open
}

async fn gathered(store: &Store, entries: i64) -> Accounting {
    eventually("every call is gathered and issued", async || {
        let sums = store.accounting().await.unwrap();
        assert!(sums.balances(), "{sums:?}");
        (sums.entries >= entries && sums.pending == 0 && sums.fragments_open == 0).then_some(sums)
    })
    .await
}

async fn any_order(dialect: Dialect, gateways: usize) {
    const CALLS: usize = 12;
    let site = Site::new(dialect).await;
    let mut sites = vec![site];
    for _ in 1..gateways {
        sites.push(sites[0].neighbour());
    }
    let mut running = Vec::new();
    for site in &sites {
        site.configure(&calls("calls", "settle_seconds = 2, timeout_seconds = 600"));
        running.push(site.start().await);
    }
    let store = sites[0].store().await;
    let mut deliveries: Vec<(String, String)> = (0..CALLS)
        .flat_map(|call| {
            let events = events(&format!("C-{call}"));
            events.into_iter().enumerate().map(move |(index, event)| (format!("{call}-{index}"), event.to_string()))
        })
        .collect();
    // Each event twice, under ids of their own: a partner that counts attempts, not events.
    deliveries.extend(deliveries.clone().into_iter().map(|(id, body)| (format!("{id}-again"), body)));
    let mut dice = Dice::new(17);
    for last in (1..deliveries.len()).rev() {
        deliveries.swap(last, dice.roll(last + 1));
    }
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for (index, (id, body)) in deliveries.iter().enumerate() {
        let answered = sites[index % sites.len()].push("calls", id, body.clone()).await.unwrap();
        assert_eq!(answered.status, StatusCode::OK, "{id}");
        *outcomes.entry(json(&answered)["outcome"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert_eq!(outcomes, BTreeMap::from([("stored".to_owned(), CALLS * 4), ("repeat".to_owned(), CALLS * 4)]));
    let sums = gathered(&store, i64::try_from(CALLS).unwrap()).await;
    assert_eq!((sums.fragments, sums.fragments_joined), (48, 48));
    assert_eq!(sums.tickets, 12, "one ticket a call: {sums:?}");
    for entry in store.all_entries().await {
        assert_eq!((entry.place, entry.form.as_str()), (Place::Ticket, "json"));
    }
    // All of it again, after the calls are closed: nothing changes.
    for (id, body) in &deliveries {
        let answered = sites[0].push("calls", &format!("{id}-late"), body.clone()).await.unwrap();
        assert_eq!(json(&answered)["outcome"], "repeat", "{id}");
    }
    let after = gathered(&store, sums.entries).await;
    assert_eq!(after, sums);
    for gateway in running {
        let log = gateway.log();
        assert!(!log.contains("13900001234"), "{log}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a17_call_events_in_any_order_and_twice_are_one_ticket_a_call() {
    any_order(Dialect::Sqlite, 1).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a17_call_events_in_any_order_and_twice_are_one_ticket_a_call_on_postgres_with_two_gateways() {
    any_order(Dialect::Postgres, 2).await;
}

async fn killed(dialect: Dialect) {
    let site = Site::new(dialect).await;
    let [ringing, answered, form, hung_up] = events("C-1");
    let push = async |id: &str, body: &Value| {
        let answered = site.push("calls", id, body.to_string()).await.unwrap();
        (answered.status.as_u16(), json(&answered)["outcome"].as_str().unwrap_or_default().to_owned())
    };
    let stored = || (200, "stored".to_owned());
    site.configure(&calls("calls", "settle_seconds = 0, timeout_seconds = 86400"));
    let mut gateway = site.start().await;
    let store = site.store().await;
    assert_eq!(push("1", &ringing).await, stored());
    assert_eq!(push("2", &form).await, stored());
    gateway.kill().await;
    assert_eq!(open(&store).await, 2, "what was answered is there");
    assert!(store.accounting().await.unwrap().balances());

    let mut gateway = site.start().await;
    assert_eq!(push("3", &hung_up).await, stored());
    let sums = gathered(&store, 1).await;
    assert_eq!((sums.entries, sums.in_tickets, sums.tickets, sums.fragments_joined), (1, 1, 1, 3));
    gateway.kill().await;

    let gateway = site.start().await;
    // Late: the answer, which says nothing new, and the form as the agent corrected it.
    assert_eq!(push("4", &answered).await, stored());
    let sums = gathered(&store, 1).await;
    assert_eq!((sums.entries, sums.tickets, sums.fragments_joined), (1, 1, 4));
    let mut corrected = form.clone();
    corrected["time"] = value!("2026-11-20 09:30:00");
    corrected["form"]["place"] = value!("文圣区东门小区");
    assert_eq!(push("5", &corrected).await, stored());
    let sums = gathered(&store, 2).await;
    assert_eq!((sums.entries, sums.in_tickets, sums.tickets), (2, 2, 1), "another state, the same ticket");
    let entries = store.all_entries().await;
    assert!(entries.iter().all(|entry| entry.external_id == "C-1"), "{entries:?}");
    assert_eq!(push("5", &corrected).await, (200, "repeat".to_owned()));
    assert_eq!(push("5", &ringing).await, (200, "repeat".to_owned()));
    let other = value!({ "event": "ringing", "call_id": "C-2", "time": "2026-11-20 10:00:00" });
    assert_eq!(push("5", &other).await.0, 409, "another event under an id that is taken is not called a repeat");
    gateway.stop().await;
}

#[tokio::test]
async fn a17_a_gateway_killed_between_event_and_closing_loses_nothing() {
    killed(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a17_a_gateway_killed_between_event_and_closing_loses_nothing_on_postgres() {
    killed(Dialect::Postgres).await;
}

#[tokio::test]
async fn a17_calls_without_a_form_or_an_end_are_closed_and_none_goes_without_a_reason() {
    let site = Site::new(Dialect::Sqlite).await;
    let quick = "settle_seconds = 0, timeout_seconds = 1";
    site.configure(&(calls("hold", quick) + &calls("drop", &format!("{quick}, abandoned = \"drop\""))));
    let gateway = site.start().await;
    let store = site.store().await;
    let [ringing, answered, form, hung_up] = events("C-1");
    // The hang-up never comes; the form never comes; nobody answers.
    for (connector, id, sent) in [
        ("hold", "no-end", vec![&ringing, &answered, &form]),
        ("hold", "no-form", vec![&ringing, &answered, &hung_up]),
        ("hold", "abandoned", vec![&ringing, &hung_up]),
        ("drop", "abandoned", vec![&ringing, &hung_up]),
        ("drop", "silent", vec![&ringing]),
    ] {
        for (index, event) in sent.into_iter().enumerate() {
            let mut event = event.clone();
            event["call_id"] = value!(id);
            let answered = site.push(connector, &format!("{id}-{index}"), event.to_string()).await.unwrap();
            assert_eq!(answered.status, StatusCode::OK);
        }
    }
    let sums = gathered(&store, 4).await;
    assert_eq!((sums.entries, sums.tickets, sums.fragments, sums.fragments_dropped), (4, 1, 11, 2), "{sums:?}");
    let places: BTreeMap<(String, String), Place> = store
        .all_entries()
        .await
        .into_iter()
        .map(|entry| ((entry.connector.to_string(), entry.external_id), entry.place))
        .collect();
    let place = |connector: &str, id: &str| places.get(&(connector.to_owned(), id.to_owned())).copied();
    assert_eq!(place("hold", "no-end"), Some(Place::Ticket));
    assert_eq!(place("hold", "no-form"), Some(Place::Held));
    assert_eq!(place("hold", "abandoned"), Some(Place::Held));
    assert_eq!(place("drop", "silent"), Some(Place::Held), "nothing proves that nobody spoke");
    assert_eq!(place("drop", "abandoned"), None);
    // The form comes after all: what was put aside comes back.
    let mut form = form;
    form["call_id"] = value!("abandoned");
    let answered = site.push("drop", "after-all", form.to_string()).await.unwrap();
    assert_eq!(answered.status, StatusCode::OK);
    let sums = gathered(&store, 5).await;
    assert_eq!((sums.entries, sums.fragments_joined, sums.fragments_dropped), (5, 12, 0), "{sums:?}");
    let malformed = [
        (value!({ "event": "ringing" }), "/call_id"),
        (value!({ "event": "form", "call_id": "C", "form": { "title": "停水" } }), "/form/course"),
    ];
    for (body, field) in malformed {
        let answered = site.push("hold", "malformed", body.to_string()).await.unwrap();
        assert_eq!((answered.status.as_u16(), json(&answered)["error"]["field"].as_str()), (422, Some(field)));
    }
    gateway.stop().await;
}

fn digest(kind: DigestKind) -> Digest {
    use DigestPart::{AppId, Nonce, Secret, Timestamp};
    Digest {
        algorithm: kind,
        app_id: "callcentre".to_owned(),
        parts: vec![AppId, Timestamp, Nonce, Secret],
        separator: String::new(),
        headers: DigestHeaders::default(),
        time: DigestTime::Millis,
    }
}

#[tokio::test]
async fn d01_md5_and_sm3_signatures_are_fresh_and_their_nonces_taken_once() {
    let site = Site::new(Dialect::Sqlite).await;
    let secret = SecretString::from(
        std::fs::read_to_string(site.file().with_file_name(format!("secret-{PARTNER}"))).unwrap().trim(),
    );
    let tables = [("md5", "calls", "call_center"), ("sm3", "inlet", "portal")].map(|(algorithm, adapter, preset)| {
        let mapping =
            if adapter == "inlet" { format!(", mapping = {{ preset = \"{preset}\" }}") } else { String::new() };
        format!(
            "[[connector]]\nname = \"{algorithm}\"\nchannel = \"phone\"\nadapter = \"{adapter}\"\n\
             settings = {{ secrets = [{{ file = \"secret-{PARTNER}\" }}], signing = {{ digest = {{ algorithm = \
             \"{algorithm}\", app_id = \"callcentre\", time = \"millis\" }} }}{mapping} }}\n\n"
        )
    });
    site.configure(&tables.concat());
    let gateway = site.start().await;
    let store = site.store().await;
    let push = async |connector: &str, kind: DigestKind, at: jiff::Timestamp, nonce: &str, body: &Value| {
        let time = at.as_millisecond().to_string();
        let body = body.to_string();
        let signature = digest(kind).sign(&secret, &time, nonce, body.as_bytes());
        let headers =
            [("x-app-id", "callcentre"), ("x-timestamp", &time), ("x-nonce", nonce), ("x-signature", &signature)];
        let answered = site.send(Method::POST, &format!("/v1/inlets/{connector}"), &headers, body).await.unwrap();
        (answered.status.as_u16(), json(&answered)["outcome"].as_str().unwrap_or_default().to_owned())
    };
    let portal =
        |id: &str| value!({ "id": id, "title": "停水不通知", "content": "新华小区从早上起停水，没有接到任何通知。" });
    let call = |id: &str| events(id)[2].clone();
    let (late, early) = (now() - Duration::from_hours(1), now() + Duration::from_hours(1));
    for (connector, kind, one, other) in
        [("md5", DigestKind::Md5, call("C-1"), call("C-2")), ("sm3", DigestKind::Sm3, portal("P-1"), portal("P-2"))]
    {
        let wrong = if kind == DigestKind::Md5 { DigestKind::Sm3 } else { DigestKind::Md5 };
        assert_eq!(push(connector, wrong, now(), "nonce-0001", &one).await.0, 401);
        assert_eq!(push(connector, kind, late, "nonce-0001", &one).await.0, 401);
        assert_eq!(push(connector, kind, early, "nonce-0001", &one).await.0, 401);
        assert_eq!(push(connector, kind, now(), "nonce-0001", &one).await, (200, "stored".to_owned()));
        assert_eq!(push(connector, kind, now(), "nonce-0001", &one).await, (200, "repeat".to_owned()));
        assert_eq!(push(connector, kind, now(), "nonce-0001", &other).await.0, 409, "a nonce is taken once");
        assert_eq!(push(connector, kind, now(), "nonce-0002", &other).await, (200, "stored".to_owned()));
    }
    let sums = store.accounting().await.unwrap();
    assert_eq!((sums.entries, sums.fragments), (2, 2), "{sums:?}");
    gateway.stop().await;
}

/// Between the look at an item's pieces and the commit of what they came to another piece may come: then nothing is
/// written, and the item is looked at again.
#[tokio::test]
async fn a17_a_piece_that_comes_while_its_item_is_gathered_is_not_overlooked() {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&calls("calls", "settle_seconds = 0"));
    site.start().await.stop().await;
    let store = site.store().await;
    let keyring =
        Keyring::load(&connectors::secret::SecretRef::File(site.file().with_file_name("jiesu.keys"))).unwrap();
    let sealed = |place| keyring.seal(SealContext::new(place, "x"), b"{}").unwrap();
    let item = ExternalId::new("C-1");
    let piece = |digest: u8| {
        NewItem::Fragment(NewFragment {
            connector: name("calls"),
            item: item.clone(),
            digest: vec![digest; 16],
            delivery_id: None,
            received_at: now(),
            size: 2,
            sealed_raw: sealed("fragment.raw"),
        })
    };
    let entry = NewEntry {
        connector: name("calls"),
        external_id: item.clone(),
        revision: connectors::entry::Revision::only(),
        delivery_id: None,
        form: connectors::entry::Form::Json,
        received_at: now(),
        source_time: None,
        remarks: Vec::new(),
        size: 2,
        sealed_raw: sealed("entry.raw"),
        unread: None,
    };
    let lease = store.take_lease("gather", "test", now(), Duration::from_mins(1)).await.unwrap().unwrap();
    assert_eq!(
        store.take_deliveries(&[piece(1), piece(1), piece(2)]).await.unwrap(),
        [Taken::Kept, Taken::Repeat, Taken::Kept]
    );
    let due = store.gatherings_due(now(), 10).await.unwrap();
    let ids: Vec<i64> = store.pieces(&due[0], 10).await.unwrap().iter().map(|piece| piece.id).collect();
    assert_eq!((due.len(), ids.len()), (1, 2));
    store.take_deliveries(&[piece(3)]).await.unwrap();
    let conflict = store.gather(&lease, &due[0], &ids, true, &entry).await;
    assert!(matches!(conflict, Err(StoreError::Conflict(_))), "{conflict:?}");
    let sums = store.accounting().await.unwrap();
    assert_eq!((sums.entries, sums.fragments_open), (0, 3));

    let again = store.gatherings_due(now(), 10).await.unwrap();
    let ids: Vec<i64> = store.pieces(&again[0], 10).await.unwrap().iter().map(|piece| piece.id).collect();
    // A gateway that has lost the lease writes nothing.
    let other =
        store.take_lease("gather", "other", now() + Duration::from_mins(2), Duration::from_mins(1)).await.unwrap();
    assert!(other.is_some());
    let fenced = store.gather(&lease, &again[0], &ids, true, &entry).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    assert!(matches!(store.gather(&other.unwrap(), &again[0], &ids, true, &entry).await.unwrap(), Taken::Stored(_)));
    let sums = store.accounting().await.unwrap();
    assert_eq!((sums.entries, sums.fragments_open, sums.fragments_joined), (1, 0, 3));
    assert!(sums.balances() && store.gatherings_due(now(), 10).await.unwrap().is_empty());
}
