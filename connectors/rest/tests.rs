use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{
    Settings,
    harness::{list, settings},
};
use crate::{
    complaint::Nameless,
    conformance::server::{Answer as Answered, Server},
    contract::{Adapter as _, Cursor, Reply, Source, Toolbox},
    entry::{ExternalId, Item, RawEntry, Remark},
    fault::FaultClass,
    occasion::Occasion,
};

fn read(settings: Value) -> Settings {
    serde_json::from_value(settings).unwrap()
}

fn tools() -> Toolbox {
    crate::conformance::tools()
}

fn dice(seed: &mut u64, sides: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % sides
}

/// B3, B13: items are edited and added between any two pages, many within one second; each page is read by a reader that
/// knows nothing but the cursor. The last state of every item is read, and every id.
#[tokio::test]
async fn b03_b13_no_change_is_skipped_whatever_changes_while_pages_are_read() {
    for seed in 0..25_u64 {
        let mut seed_now = seed;
        let start = 1_800_000_000_i64;
        let row = |id: u64, edit: u64, changed: i64| json!({ "id": id, "title": "路灯", "content": format!("第{edit}次"), "name": "王明", "changed": changed });
        let rows: Arc<Mutex<BTreeMap<u64, Value>>> = Arc::default();
        // Few seconds for many items: pages end in the middle of one.
        rows.lock().unwrap().extend((0..30).map(|id| (id, row(id, 0, start + i64::try_from(id / 7).unwrap()))));
        let held = rows.clone();
        let server =
            Server::start(move |asked| list(&held.lock().unwrap().values().cloned().collect::<Vec<_>>(), asked, 3))
                .await;
        let settings = read(settings(&server.base()));
        let mut cursor: Option<Cursor> = None;
        let mut latest: BTreeMap<String, RawEntry> = BTreeMap::new();
        let (mut edits, mut time, mut runs) = (0, start + 10, 0);
        while runs < 3 {
            let Ok(Source::Pull(mut reader)) = settings.source(&tools()) else { panic!("it is asked") };
            let page = reader.pull(cursor.as_ref()).await.unwrap();
            for item in page.items {
                let Item::Entry(entry) = item else { panic!("{item:?}") };
                latest.insert(entry.external_id.as_str().to_owned(), entry);
            }
            runs += usize::from(!page.more);
            cursor = Some(page.cursor);
            if edits < 40 && dice(&mut seed_now, 2) == 0 {
                edits += 1;
                time += i64::try_from(dice(&mut seed_now, 2)).unwrap();
                let id = dice(&mut seed_now, 36);
                rows.lock().unwrap().insert(id, row(id, edits, time));
                runs = 0;
            }
        }
        let rows = rows.lock().unwrap();
        assert_eq!(latest.len(), rows.len(), "seed {seed}");
        for (id, row) in rows.iter() {
            let raw: Value = serde_json::from_slice(&latest[&id.to_string()].raw).unwrap();
            assert_eq!(raw["content"], row["content"], "seed {seed}: item {id}");
        }
    }
}

#[tokio::test]
async fn a_time_ahead_of_our_clock_hides_nothing_that_comes_after() {
    let now = crate::conformance::now().as_second();
    let row = |id: u64, changed: i64| json!({ "id": id, "content": "路灯不亮", "changed": changed });
    let rows = Arc::new(Mutex::new(vec![row(1, now - 100), row(2, now + 86_400 * 400)]));
    let held = rows.clone();
    let server = Server::start(move |asked| list(&held.lock().unwrap(), asked, 3)).await;
    let settings = read(settings(&server.base()));
    let Ok(Source::Pull(mut reader)) = settings.source(&tools()) else { panic!("it is asked") };
    let mut cursor = None;
    let mut ids = Vec::new();
    for round in 0..2 {
        loop {
            let page = reader.pull(cursor.as_ref()).await.unwrap();
            ids.extend(page.items.iter().map(|item| item.external_id().as_str().to_owned()));
            cursor = Some(page.cursor);
            if !page.more {
                break;
            }
        }
        if round == 0 {
            rows.lock().unwrap().push(row(3, now - 1));
        }
    }
    assert!(["1", "2", "3"].iter().all(|id| ids.contains(&(*id).to_owned())), "{ids:?}");
    // A cursor that lies ahead, as after a clock was set back, is a fault with a remedy.
    let ahead = Cursor(json!({ "mark": "2099-01-01T00:00:00Z" }));
    let fault = reader.pull(Some(&ahead)).await.unwrap_err();
    assert!(fault.class == FaultClass::Configuration && fault.remedy.is_some(), "{fault:?}");
}

#[tokio::test]
async fn b12_what_is_not_the_list_is_a_fault() {
    let said = Arc::new(Mutex::new(Value::Null));
    let saying = said.clone();
    let server = Server::start(move |_| match &*saying.lock().unwrap() {
        Value::String(text) => {
            Answered { status: 200, content_type: "application/json", body: text.clone().into_bytes() }
        }
        other => Answered::json(other),
    })
    .await;
    let settings = read(settings(&server.base()));
    let cases = [
        (json!(""), FaultClass::Transient),
        (json!("  \n"), FaultClass::Transient),
        (json!("{\"code\":0,\"data\":{\"li"), FaultClass::Transient),
        (json!("<html>维护中</html>"), FaultClass::Permanent),
        (json!({ "code": 401, "data": { "list": [] } }), FaultClass::Permanent),
        (json!({ "code": 0, "data": null }), FaultClass::Permanent),
        (json!({ "code": 0, "rows": [] }), FaultClass::Permanent),
        (
            json!({ "code": 0, "data": { "list": [{ "name": "王明", "changed": 1_800_000_000 }] } }),
            FaultClass::Permanent,
        ),
        (json!({ "code": 0, "data": { "list": [{ "id": 1, "content": "路灯" }] } }), FaultClass::Permanent),
        (
            json!({ "code": 0, "data": { "list": [
                { "id": 1, "content": "路灯", "changed": 1_800_000_001 }, { "id": 2, "content": "路灯", "changed": 1_800_000_000 },
            ] } }),
            FaultClass::Configuration,
        ),
    ];
    for (answer, class) in cases {
        *said.lock().unwrap() = answer.clone();
        let Ok(Source::Pull(mut reader)) = settings.source(&tools()) else { panic!("it is asked") };
        let fault = reader.pull(None).await.unwrap_err();
        assert_eq!(fault.class, class, "{answer}: {fault}");
        assert!(!fault.to_string().contains("王明") && !fault.to_string().contains("路灯"), "{fault}");
    }
    *said.lock().unwrap() = json!({ "code": 0, "data": { "list": [] } });
    let Ok(Source::Pull(mut reader)) = settings.source(&tools()) else { panic!("it is asked") };
    assert!(reader.pull(None).await.unwrap().items.is_empty(), "an empty list that proves itself is no fault");
}

#[tokio::test]
async fn b14_an_item_is_fetched_whole_and_answered_once() {
    let row = json!({ "id": "YS-1", "content": "我公司提交的…", "changed": 1_800_000_000 });
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = asked.clone();
    let server = Server::start(move |what| {
        log.lock().unwrap().push(what.path.clone());
        match what.path.as_str() {
            "/changes" => list(std::slice::from_ref(&row), what, 3),
            "/items/YS-1" => Answered::json(&json!({ "data": {
                "id": "YS-1", "content": "我公司提交的变更登记材料先后三次被退。", "changed": 1_800_000_000,
                "organisation": { "name": "辽阳晟达机械配件有限公司", "code": "91211000MA0EXAMPLF" },
            } })),
            "/items/YS-1/reply" if what.parameters.iter().any(|(_, value)| value == "again") => {
                Answered::json(&json!({ "code": 7 }))
            }
            "/items/YS-1/reply" => Answered::json(&json!({ "code": 0 })),
            _ => Answered { status: 404, content_type: "text/plain", body: Vec::new() },
        }
    })
    .await;
    let mut settings = settings(&server.base());
    settings["detail"] = json!({ "request": { "path": "items/{id}" }, "at": "/data" });
    settings["mapping"]["organisation"] = json!("/organisation/name");
    settings["mapping"]["organisation_code"] = json!("/organisation/code");
    settings["answer"] = json!({
        "request": { "method": "post", "path": "items/{id}/reply", "form": { "text": "{text}", "key": "{message_id}" } },
        "success": [{ "at": "/code", "any_of": [0] }], "already": { "at": "/code", "any_of": [7] },
    });
    let settings = read(settings);
    assert_eq!(settings.validate(), []);
    let Ok(Source::Pull(mut reader)) = settings.source(&tools()) else { panic!("it is asked") };
    let page = reader.pull(None).await.unwrap();
    let [Item::Entry(entry)] = page.items.as_slice() else { panic!("{page:?}") };
    let complaint = settings.normaliser().unwrap().normalise(entry, crate::conformance::now()).unwrap();
    assert_eq!(complaint.body, "我公司提交的变更登记材料先后三次被退。");
    assert_eq!(complaint.petitioner.organisation.as_deref(), Some("辽阳晟达机械配件有限公司"));
    assert!(
        matches!(complaint.remarks.as_slice(), [Remark::Doubtful { what }] if what.contains("check digit")),
        "a wrong check digit is remarked: {:?}",
        complaint.remarks
    );
    let answerer = settings.answerer(&tools()).unwrap().unwrap();
    for message_id in ["first", "again"] {
        let reply = Reply {
            message_id: message_id.to_owned(),
            to: None,
            about: ExternalId::new("YS-1"),
            occasion: None,
            answers: Vec::new(),
            subject: "答复".to_owned(),
            text: "已受理".to_owned(),
        };
        answerer.answer(&reply).await.unwrap();
    }
    assert_eq!(asked.lock().unwrap().iter().filter(|path| path.ends_with("/reply")).count(), 2);
}

#[test]
fn items_that_name_nobody_follow_the_platforms_rule() {
    let rule = "《辽宁省营商环境投诉处理办法(试行)》不受理匿名投诉之条";
    let nobody = json!({ "id": 1, "facts": "窗口工作人员三次退回材料。", "complainant": { "name": "匿名" } });
    let company = json!({ "id": 1, "facts": "窗口工作人员三次退回材料。", "organisation": { "name": "辽阳晟达机械配件有限公司" } });
    let cases = [
        (json!("business_environment"), Value::Null, Some(Nameless::Hold)),
        (json!("business_environment"), json!("accept"), None),
        (json!("business_environment"), json!({ "decline": rule }), Some(Nameless::Decline(rule.to_owned()))),
        (json!("portal"), Value::Null, None),
    ];
    for (preset, anonymous, expected) in cases {
        let mut whole = settings("http://127.0.0.1/");
        whole["mapping"] = json!({ "preset": preset, "body": "/facts", "id": "/id", "require": ["id", "body"] });
        whole["anonymous"] = anonymous;
        let reader = read(whole).normaliser().unwrap();
        let nameless = |document: &Value| {
            let entry = RawEntry {
                external_id: ExternalId::new("1"),
                revision: crate::entry::Revision::only(),
                delivery_id: None,
                source_time: None,
                form: crate::entry::Form::Json,
                raw: document.to_string().into(),
                remarks: Vec::new(),
            };
            reader.normalise(&entry, crate::conformance::now()).unwrap().nameless
        };
        assert_eq!(nameless(&nobody), expected, "{preset}");
        assert_eq!(nameless(&company), None, "an organisation is somebody");
    }
    let mut bare = settings("http://127.0.0.1/");
    bare["anonymous"] = json!({ "decline": "我们不收" });
    assert!(read(bare).validate().iter().any(|mistake| mistake.pointer == "/anonymous/decline"));
}

/// Each request is signed anew, also one that is tried again; what cannot work is told before anything is asked.
#[tokio::test]
async fn requests_are_signed_anew_each_time() {
    for (digest, key, length) in [("hmac_sha256", true, 64), ("md5", false, 32), ("sm3", false, 64)] {
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let log = seen.clone();
        let server = Server::start(move |asked| {
            let get = |name: &str| {
                let found = asked.parameters.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            log.lock().unwrap().push((get("nonce"), get("sig")));
            Answered::json(&json!({ "code": 0, "data": { "list": [] } }))
        })
        .await;
        let mut whole = settings(&server.base());
        whole["list"]["request"]["query"]["nonce"] = json!("{nonce}");
        whole["list"]["request"]["query"]["sig"] = json!("{signature}");
        whole["sign"] = json!({ "digest": digest, "text": if key { "{params}" } else { "{params}{secret.token}" } });
        if key {
            assert!(read(whole.clone()).validate().iter().any(|mistake| mistake.pointer == "/sign/key"));
            whole["sign"]["key"] = json!("token");
        }
        let settings = read(whole.clone());
        assert_eq!(settings.validate(), []);
        let Ok(Source::Pull(mut reader)) = settings.source(&tools()) else { panic!("it is asked") };
        for _ in 0..3 {
            reader.pull(None).await.unwrap();
        }
        let seen = seen.lock().unwrap();
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (3, 3), "{digest}: {seen:?}");
        assert!(seen.iter().all(|(_, signature)| signature.len() == length), "{digest}: {seen:?}");
        whole["sign"] = Value::Null;
        assert!(read(whole).validate().iter().any(|mistake| mistake.pointer == "/sign"));
    }
}

#[tokio::test]
async fn the_platforms_states_are_told_and_ours_are_written_back() {
    let rows: Vec<Value> = [("a", json!("1")), ("b", json!("9")), ("c", json!("6")), ("d", json!("77"))]
        .into_iter()
        .map(|(id, status)| json!({ "id": id, "content": "路灯不亮", "status": status, "changed": 1_800_000_000 }))
        .collect();
    let written: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = written.clone();
    let server = Server::start(move |asked| {
        if asked.path.ends_with("/state") {
            log.lock().unwrap().extend(asked.parameters.iter().map(|(_, value)| value.clone()));
            return Answered::json(&json!({ "code": 0 }));
        }
        list(&rows, asked, 10)
    })
    .await;
    let mut whole = settings(&server.base());
    whole["states"] = json!({ "at": "/status", "open": ["1"], "settled": ["6"], "withdrawn": ["9"] });
    whole["answer"] =
        json!({ "request": { "method": "post", "path": "items/{id}/state", "form": { "state": "{state}" } } });
    let mistakes = read(whole.clone()).validate();
    assert!(mistakes.iter().any(|mistake| mistake.pointer == "/answer/states" && mistake.message.contains("refusal")));
    whole["answer"]["states"] =
        Occasion::ALL.iter().map(|occasion| (occasion.as_str(), json!(format!("S-{}", occasion.as_str())))).collect();
    let settings = read(whole);
    assert_eq!(settings.validate(), []);
    let Ok(Source::Pull(mut reader)) = settings.source(&tools()) else { panic!("it is asked") };
    let page = reader.pull(None).await.unwrap();
    let told: Vec<(&str, &[Remark])> = page
        .items
        .iter()
        .map(|item| match item {
            Item::Entry(entry) => (entry.external_id.as_str(), entry.remarks.as_slice()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told[0], ("a", [].as_slice()));
    assert_eq!(told[1], ("b", [Remark::Withdrawn].as_slice()));
    for (index, words) in [(2, "settled"), (3, "do not know")] {
        assert!(matches!(told[index].1, [Remark::Doubtful { what }] if what.contains(words)), "{told:?}");
    }
    let answerer = settings.answerer(&tools()).unwrap().unwrap();
    for occasion in [Occasion::Receipt, Occasion::Refusal] {
        let reply = Reply {
            message_id: occasion.as_str().to_owned(),
            to: None,
            about: ExternalId::new("a"),
            occasion: Some(occasion),
            answers: Vec::new(),
            subject: "答复".to_owned(),
            text: "已受理".to_owned(),
        };
        answerer.answer(&reply).await.unwrap();
    }
    assert_eq!(*written.lock().unwrap(), ["S-receipt", "S-refusal"]);
}
