use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    contract::{Gathered, Piece},
    entry::{ExternalId, RawEntry},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn calls(abandoned: Abandoned) -> Calls {
    CallSettings { abandoned, ..CallSettings::default() }.calls(1 << 20).unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/calls")
}

fn events(name: &str) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(fixtures().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn pieces(events: &[Value], received_at: Timestamp) -> Vec<Piece> {
    events.iter().map(|event| Piece { raw: event.to_string().into(), received_at }).collect()
}

/// The entry that the events come to once they have all been waited for.
fn gathered(calls: &Calls, call: &str, known: Option<&[u8]>, events: &[Value]) -> RawEntry {
    let pieces = pieces(events, at("2026-11-20T01:20:00Z"));
    match calls.gather(&ExternalId::new(call), known, &pieces, at("2026-11-20T02:20:00Z")) {
        Gathered::Item(item) => match *item {
            Item::Entry(entry) => entry,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn told(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(name, value)| (name, told(value)))
                .filter(|(_, value)| {
                    !(value.is_null() || value == &json!("") || value == &json!([]) || value == &json!({}))
                })
                .collect(),
        ),
        Value::Array(list) => list.into_iter().map(told).collect(),
        other => other,
    }
}

#[test]
fn calls_become_the_complaints_that_stand_beside_them() {
    let mut seen = 0;
    for file in std::fs::read_dir(fixtures()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(name) = name.strip_suffix(".expected.json") else {
            assert!(path.with_extension("expected.json").exists(), "{name} has no expectation");
            continue;
        };
        seen += 1;
        let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let calls = calls(Abandoned::Hold);
        let call = expected["entry"]["external_id"].as_str().unwrap();
        let entry = gathered(&calls, call, None, &events(name));
        let entry_told = told(json!({
            "external_id": entry.external_id, "source_time": entry.source_time, "remarks": entry.remarks,
        }));
        assert_eq!(entry_told, expected["entry"], "{name}");
        assert_eq!(calls.recording(&entry).as_deref(), expected["recording"].as_str(), "{name}");
        let complaint = calls.normalise(&entry, at("2026-11-20T02:20:00Z")).unwrap();
        assert_eq!(told(serde_json::to_value(&complaint).unwrap()), expected["complaint"], "{name}");
    }
    assert!(seen >= 4);
}

#[test]
fn a17_a_call_is_waited_for_until_it_is_whole_or_nothing_more_comes() {
    let calls = calls(Abandoned::Drop);
    let all = events("whole");
    let received = at("2026-11-20T01:00:00Z");
    let look = |events: &[Value], now: &str| {
        calls.gather(&ExternalId::new("C-20261120-0001"), None, &pieces(events, received), at(now))
    };
    let waits_until = |gathered: Gathered| match gathered {
        Gathered::Wait { until } => until.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(waits_until(look(&all, "2026-11-20T01:00:09Z")), "2026-11-20T01:00:10Z");
    assert_eq!(waits_until(look(&all[..3], "2026-11-20T01:29:59Z")), "2026-11-20T01:30:00Z");
    assert!(matches!(look(&all, "2026-11-20T01:00:10Z"), Gathered::Item(_)));
    assert!(matches!(look(&all[..1], "2026-11-20T01:30:00Z"), Gathered::Item(_)), "somebody may have spoken");
    assert!(matches!(look(&all[..2], "2026-11-20T01:30:00Z"), Gathered::Item(_)), "an answered call is never dropped");
    let abandoned = events("abandoned");
    assert!(matches!(look(&abandoned, "2026-11-20T01:30:00Z"), Gathered::Drop { reason: "abandoned" }));
}

#[test]
fn a17_what_comes_late_is_another_state_of_the_same_call_only_where_it_says_something() {
    let calls = calls(Abandoned::Hold);
    let all = events("whole");
    let first = gathered(&calls, "C", None, &all[..2]);
    let formed = gathered(&calls, "C", Some(&first.raw), &all[3..]);
    assert_ne!(first.revision, formed.revision);
    let hung_up = json!({"event": "hung_up", "call_id": "C", "time": "2026-11-20 09:04:40"});
    let ended = gathered(&calls, "C", Some(&formed.raw), &[hung_up]);
    assert_eq!(ended.revision, formed.revision, "a late hang-up changes nothing that a complaint tells");
    let whole = gathered(&calls, "C", None, &all);
    let recorded = gathered(&calls, "C", Some(&ended.raw), &all[2..3]);
    assert_eq!(recorded.revision, whole.revision);
    assert_eq!(
        calls.normalise(&recorded, at("2026-11-20T02:20:00Z")).unwrap().body,
        "新华小区从早上起停水，没有接到任何通知。"
    );
}

#[test]
fn events_in_gb18030_and_events_that_cannot_be_read_cost_nothing() {
    let calls = calls(Abandoned::Hold);
    let (gbk, _, _) =
        encoding_rs::GB18030.encode(r#"{"event":"form","call_id":"C","form":{"course":"路灯不亮已经三天了"}}"#);
    let received_at = at("2026-11-20T01:00:00Z");
    let pieces: Vec<Piece> = [Bytes::copy_from_slice(&gbk), Bytes::from_static(b"\xff\xfe{")]
        .into_iter()
        .map(|raw| Piece { raw, received_at })
        .collect();
    let Gathered::Item(item) = calls.gather(&ExternalId::new("C"), None, &pieces, at("2026-11-20T02:00:00Z")) else {
        panic!("an entry")
    };
    let Item::Entry(entry) = *item else { panic!("an entry") };
    assert_eq!(calls.normalise(&entry, received_at).unwrap().body, "路灯不亮已经三天了");
}

proptest! {
    /// A17: whatever the order and however often each event comes, and wherever the call was closed in between, it is one
    /// entry, and the last state of it is the same.
    #[test]
    fn a17_any_order_and_repetition_of_a_calls_events_gives_the_same_entry(
        order in Just((0..4_usize).collect::<Vec<_>>()).prop_shuffle(),
        again in prop::collection::vec(0..4_usize, 0..6),
        cut in 1..10_usize,
    ) {
        let calls = calls(Abandoned::Hold);
        let all = events("whole");
        let expected = gathered(&calls, "C", None, &all);
        let sent: Vec<Value> = order.into_iter().chain(again).map(|index| all[index].clone()).collect();
        let entry = gathered(&calls, "C", None, &sent);
        prop_assert_eq!(&entry, &expected);
        let (before, after) = sent.split_at(cut.min(sent.len()));
        let closed = gathered(&calls, "C", None, before);
        if !after.is_empty() {
            let late = gathered(&calls, "C", Some(&closed.raw), after);
            prop_assert_eq!(&late, &expected);
        }
    }

    #[test]
    fn no_event_panics(raw in prop::collection::vec(any::<u8>(), 0..200), text in r#"\{"event":".{0,8}","call_id":.{0,5},"form":\{.{0,20}\}\}"#) {
        let calls = calls(Abandoned::Hold);
        let now = at("2026-11-20T02:00:00Z");
        let pieces = [raw.clone().into(), Bytes::from(text)].map(|raw| Piece { raw, received_at: at("2026-11-20T01:00:00Z") });
        if let Gathered::Item(item) = calls.gather(&ExternalId::new("C"), Some(&raw), &pieces, now)
            && let Item::Entry(entry) = *item
        {
            let _ = calls.normalise(&entry, now);
        }
    }
}
