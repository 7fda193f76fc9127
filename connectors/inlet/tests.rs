use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::http::{Http, HttpLimits, Unpaced};
use crate::{clock::ManualClock, contract::Limits};

const NOW: i64 = 1_795_312_800;
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const OTHER: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn settings(mapping: Mapping) -> Settings {
    Settings {
        secrets: Vec::new(),
        signing: Signing::StandardWebhooks,
        tolerance_seconds: 300,
        mapping,
        anonymous: None,
    }
}

fn inlet(secrets: &[&str], mapping: Mapping) -> Inlet {
    let settings = settings(mapping);
    let keys = Keys::Webhook(secrets.iter().map(|text| Key::parse(&secret(text)).unwrap()).collect());
    Inlet { keys, mapping: settings.compiled().unwrap(), settings }
}

fn portal() -> Inlet {
    inlet(&[SECRET], Mapping::preset(mapping::Preset::Portal))
}

fn head(headers: &[(&str, &str)]) -> Head {
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Head { headers }
}

fn signed(id: &str, timestamp: i64, body: &[u8]) -> Head {
    let signature = sign(&secret(SECRET), id, at(timestamp), body).unwrap();
    head(&[(signature::ID, id), (signature::TIMESTAMP, &timestamp.to_string()), (signature::SIGNATURE, &signature)])
}

fn deliver(inlet: &Inlet, head: &Head, body: &[u8]) -> Result<RawEntry, Refusal> {
    let mut reception = inlet.open(head, at(NOW))?;
    reception.chunk(body);
    match reception.close(Body::Whole(Bytes::copy_from_slice(body)))? {
        Item::Entry(entry) => Ok(entry),
        other => panic!("a delivery is an entry or refused: {other:?}"),
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/inlet")
}

/// Leaves out what is empty, so that expectations name what there is.
fn told(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(name, value)| (name, told(value)))
                .filter(|(_, value)| match value {
                    Value::Null => false,
                    Value::String(text) => !text.is_empty(),
                    Value::Array(list) => !list.is_empty(),
                    Value::Object(map) => !map.is_empty(),
                    _ => true,
                })
                .collect(),
        ),
        other => other,
    }
}

#[test]
fn deliveries_become_the_complaints_that_stand_beside_them() {
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
        let body = std::fs::read(fixtures().join(format!("{name}.json"))).unwrap();
        let mapping: Mapping = serde_json::from_value(expected["mapping"].clone()).unwrap();
        let settings = settings(mapping.clone());
        let taken = deliver(&inlet(&[SECRET], mapping), &signed(name, NOW, &body), &body);
        if let Some(refusal) = expected.get("refusal") {
            let Err(Refusal::Malformed { field, message }) = taken else { panic!("{name} was not refused: {taken:?}") };
            assert_eq!(Value::String(field), refusal["field"], "{name}: {message}");
            assert!(message.is_ascii(), "{name}: the message quotes the document: {message}");
            continue;
        }
        let entry = taken.unwrap_or_else(|refusal| panic!("{name} was refused: {refusal}"));
        assert_eq!(entry.raw, body, "{name}: the raw bytes are what was sent");
        assert_eq!(entry.delivery_id.as_deref(), Some(name));
        let entry_told = told(json!({
            "external_id": entry.external_id, "source_time": entry.source_time, "remarks": entry.remarks,
        }));
        assert_eq!(entry_told, expected["entry"], "{name}");
        let complaint = settings.normaliser().unwrap().normalise(&entry, at(NOW)).unwrap();
        assert_eq!(told(serde_json::to_value(&complaint).unwrap()), expected["complaint"], "{name}");
    }
    assert!(seen >= 8, "only {seen} fixtures");
}

#[test]
fn signs_as_the_published_example_does() {
    let signature = sign(
        &secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        at(1_614_265_330),
        br#"{"test": 2432232314}"#,
    );
    assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn secrets_are_base64_of_24_to_64_bytes() {
    let encoded = |length: usize| STANDARD.encode(vec![7_u8; length]);
    let cases = [
        (encoded(24), None),
        (format!("whsec_{}", encoded(24)), None),
        (format!("whsec_{}\n", encoded(64)), None),
        (encoded(23), Some(signature::BadSecret::Length(23))),
        (encoded(65), Some(signature::BadSecret::Length(65))),
        ("whsec_".to_owned(), Some(signature::BadSecret::Length(0))),
        ("a pass phrase of enough length".to_owned(), Some(signature::BadSecret::Encoding)),
    ];
    for (text, expected) in cases {
        assert_eq!(Key::parse(&secret(&text)).err(), expected, "{text}");
    }
}

/// D1: nothing unsigned, stale or malformed in its head is taken, and the body of such a delivery is never looked at.
#[test]
fn d01_only_signed_and_fresh_deliveries_are_taken() {
    let body = br#"{"id":"1","content":"x"}"#;
    let good = |id: &str, time: i64| sign(&secret(SECRET), id, at(time), body).unwrap();
    let now = NOW.to_string();
    let cases: Vec<(&str, &str, String, String, bool)> = vec![
        ("good", "m1", now.clone(), good("m1", NOW), true),
        ("oldest", "m1", (NOW - 300).to_string(), good("m1", NOW - 300), true),
        ("newest", "m1", (NOW + 300).to_string(), good("m1", NOW + 300), true),
        ("stale", "m1", (NOW - 301).to_string(), good("m1", NOW - 301), false),
        ("from the future", "m1", (NOW + 301).to_string(), good("m1", NOW + 301), false),
        ("time exchanged", "m1", (NOW + 1).to_string(), good("m1", NOW), false),
        ("id exchanged", "m2", now.clone(), good("m1", NOW), false),
        ("second of two", "m1", now.clone(), format!("v1,{} {}", STANDARD.encode([0; 32]), good("m1", NOW)), true),
        (
            "beside another scheme",
            "m1",
            now.clone(),
            format!("v1a,{} {}", STANDARD.encode([1; 64]), good("m1", NOW)),
            true,
        ),
        ("only another scheme", "m1", now.clone(), good("m1", NOW).replace("v1,", "v1a,"), false),
        ("no scheme", "m1", now.clone(), good("m1", NOW).replace("v1,", ""), false),
        ("not base64", "m1", now.clone(), "v1,????".to_owned(), false),
        ("short", "m1", now.clone(), format!("v1,{}", STANDARD.encode([0; 31])), false),
        ("empty", "m1", now.clone(), String::new(), false),
        (
            "beyond the signatures compared",
            "m1",
            now.clone(),
            { format!("{} {}", vec![format!("v1,{}", STANDARD.encode([0; 32])); 16].join(" "), good("m1", NOW)) },
            false,
        ),
        ("header too long", "m1", now.clone(), format!("{}{}", good("m1", NOW), " ".repeat(5000)), false),
        ("time with a sign", "m1", format!("+{now}"), good("m1", NOW), false),
        ("time with a fraction", "m1", format!("{now}.0"), good("m1", NOW), false),
        ("time in words", "m1", "today".to_owned(), good("m1", NOW), false),
        ("time without end", "m1", "9".repeat(400), good("m1", NOW), false),
        ("empty id", "", now.clone(), good("", NOW), false),
        ("id with a full stop", "m.1", now.clone(), good("m.1", NOW), false),
        ("id with a space", "m 1", now.clone(), good("m 1", NOW), false),
    ];
    let inlet = portal();
    for (case, id, time, signatures, taken) in cases {
        let head = head(&[(signature::ID, id), (signature::TIMESTAMP, &time), (signature::SIGNATURE, &signatures)]);
        match deliver(&inlet, &head, body) {
            Ok(_) => assert!(taken, "{case} was taken"),
            Err(Refusal::Unauthenticated(message)) => assert!(!taken, "{case}: {message}"),
            Err(other) => panic!("{case}: {other:?}"),
        }
    }
    let longest = "i".repeat(signature::MAX_ID);
    assert!(deliver(&inlet, &signed(&longest, NOW, body), body).is_ok());
    assert!(deliver(&inlet, &signed(&format!("{longest}i"), NOW, body), body).is_err());
    for name in [signature::ID, signature::TIMESTAMP, signature::SIGNATURE] {
        let mut head = signed("m1", NOW, body);
        head.headers.remove(name);
        let Err(Refusal::Unauthenticated(message)) = deliver(&inlet, &head, body) else {
            panic!("{name} was not missed")
        };
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn an_unsigned_body_is_not_parsed() {
    let head = signed("m1", NOW, b"{}");
    let refusal = deliver(&portal(), &head, b"not json at all").unwrap_err();
    assert!(matches!(refusal, Refusal::Unauthenticated(_)), "{refusal:?}");
}

#[test]
fn a_key_is_rotated_without_losing_a_delivery() {
    let body = br#"{"id":"1","content":"x"}"#;
    let mapping = Mapping::preset(mapping::Preset::Portal);
    let by = |text: &str| {
        let signature = sign(&secret(text), "m1", at(NOW), body).unwrap();
        head(&[(signature::ID, "m1"), (signature::TIMESTAMP, &NOW.to_string()), (signature::SIGNATURE, &signature)])
    };
    let (before, during, after) =
        (inlet(&[OTHER], mapping.clone()), inlet(&[OTHER, SECRET], mapping.clone()), inlet(&[SECRET], mapping));
    assert!(deliver(&before, &by(OTHER), body).is_ok() && deliver(&before, &by(SECRET), body).is_err());
    assert!(deliver(&during, &by(OTHER), body).is_ok() && deliver(&during, &by(SECRET), body).is_ok());
    assert!(deliver(&after, &by(OTHER), body).is_err() && deliver(&after, &by(SECRET), body).is_ok());
}

#[test]
fn a_document_that_cannot_be_read_is_refused_with_its_place() {
    let deep = format!("{}{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    let cases: Vec<(&str, &[u8], &str, &str)> = vec![
        ("nothing", b"", "", "/"),
        ("cut short", b"{\"id\":\"1\",\n\"content\":", "", "/"),
        ("not JSON", b"id=1&content=x", "", "/"),
        ("a list", b"[{\"id\":1}]", "", "/"),
        ("text after it", b"{\"id\":1,\"content\":\"x\"} {}", "", "/"),
        ("too deep", deep.as_bytes(), "", "/"),
        ("neither UTF-8 nor GB18030", b"{\"id\":\"\xff\xff\",\"content\":\"x\"}", "", "/"),
        ("no id", br#"{"content":"x"}"#, "", "/id"),
        ("id null", br#"{"id":null,"content":"x"}"#, "", "/id"),
        ("id that lost digits", br#"{"id":12345678901234567890123,"content":"x"}"#, "", "/id"),
        ("id that a spreadsheet shortened", br#"{"id":"2.50331E+14","content":"x"}"#, "", "/id"),
        ("blank content", br#"{"id":"1","content":" \t "}"#, "", "/content"),
        ("content an object", br#"{"id":"1","content":{"text":"x"}}"#, "", "/content"),
        ("Big5", br#"{"id":"1","content":"x"}"#, "application/json; charset=big5", "content-type"),
        ("nonsense", br#"{"id":"1","content":"x"}"#, "application/json; charset=klingon", "content-type"),
    ];
    for (case, body, content_type, expected) in cases {
        let mut head = signed("m1", NOW, body);
        head.headers.insert("content-type".to_owned(), content_type.to_owned());
        match deliver(&portal(), &head, body) {
            Err(Refusal::Malformed { field, message }) => {
                assert_eq!(field, expected, "{case}: {message}");
                assert!(!message.is_empty() && message.len() < 200, "{case}: {message}");
            }
            other => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn charsets_that_partners_declare_are_taken() {
    let text = r#"{"id":"1","content":"暖气不热"}"#;
    let (gbk, _, _) = encoding_rs::GBK.encode(text);
    let reader = portal();
    for (content_type, body) in [
        ("application/json", text.as_bytes()),
        ("application/json; charset=UTF-8", text.as_bytes()),
        ("application/json;charset=\"utf-8\"", text.as_bytes()),
        ("application/json; charset=GB2312", &gbk),
        ("text/json; a=b; charset=gb18030", &gbk),
        ("application/json; charset=utf-8", &gbk),
    ] {
        let mut head = signed("m1", NOW, body);
        head.headers.insert("content-type".to_owned(), content_type.to_owned());
        let entry = deliver(&reader, &head, body).unwrap();
        let complaint = Reader { mapping: Arc::clone(&reader.mapping), anonymous: Anonymous::Accept }
            .normalise(&entry, at(NOW))
            .unwrap();
        assert_eq!(complaint.body, "暖气不热", "{content_type}");
    }
}

#[test]
fn an_edit_is_a_new_revision_and_a_repeat_is_not() {
    let mapping = Mapping { volatile: vec!["/sent_at".to_owned()], ..Mapping::preset(mapping::Preset::Portal) };
    let inlet = inlet(&[SECRET], mapping);
    let take = |delivery: &str, body: &str| {
        let entry = deliver(&inlet, &signed(delivery, NOW, body.as_bytes()), body.as_bytes()).unwrap();
        (entry.external_id, entry.revision)
    };
    let first = take("m1", r#"{"id":"1","content":"x","sent_at":1}"#);
    let again = take("m2", r#"{ "sent_at":2, "content":"x", "id":"1"}"#);
    let edited = take("m3", r#"{"id":"1","content":"x, and y","sent_at":3}"#);
    assert_eq!(first, again);
    assert_eq!(first.0, edited.0);
    assert_ne!(first.1, edited.1);
}

#[test]
fn without_an_id_of_its_own_an_item_is_its_delivery() {
    let inlet = inlet(&[SECRET], Mapping { body: Some("/text".into()), ..Mapping::default() });
    let body = br#"{"text":"x"}"#;
    let entry = deliver(&inlet, &signed("m7", NOW, body), body).unwrap();
    assert_eq!((entry.external_id.as_str(), &entry.revision), ("m7", &Revision::only()));
}

#[test]
fn a12_an_oversize_body_leaves_a_stub_once_its_signature_holds() {
    let body = format!(r#"{{"id":"1","name":"钱进","content":"{}"}}"#, "长".repeat(5000));
    let (inlet, body) = (portal(), body.as_bytes());
    let oversize =
        |start: usize| Body::Oversize { start: Bytes::copy_from_slice(&body[..start]), size: body.len() as u64 };
    let mut reception = inlet.open(&signed("m1", NOW, body), at(NOW)).unwrap();
    body.chunks(1000).for_each(|chunk| reception.chunk(chunk));
    let Item::Entry(entry) = reception.close(oversize(100)).unwrap() else { panic!("a stub is an entry") };
    assert_eq!(entry.external_id.as_str(), "m1");
    assert_eq!(entry.raw.len(), 100);
    let short = r#"{"id":"1","content":"长"}"#.as_bytes();
    let shortened = deliver(&inlet, &signed("m1", NOW, short), short).unwrap();
    assert_eq!(
        (entry.delivery_id.as_deref(), shortened.delivery_id.as_deref()),
        (None, Some("m1")),
        "a refused id is not taken"
    );
    let remark = Remark::Oversize { size: Some(body.len() as u64), limit: 100 };
    assert_eq!(entry.remarks, vec![remark.clone()]);
    let complaint = Reader { mapping: Arc::clone(&inlet.mapping), anonymous: Anonymous::Accept }
        .normalise(&entry, at(NOW))
        .unwrap();
    assert_eq!(complaint, Complaint { remarks: vec![remark], ..Complaint::default() });

    let mut forged = inlet.open(&signed("m1", NOW, body), at(NOW)).unwrap();
    forged.chunk(&body[..100]);
    assert!(matches!(forged.close(oversize(100)), Err(Refusal::Unauthenticated(_))));
}

#[test]
fn b11_a_clock_ahead_of_ours_is_remarked_and_nothing_is_dropped() {
    let inlet = portal();
    let reader = Reader { mapping: Arc::clone(&inlet.mapping), anonymous: Anonymous::Accept };
    let remarks = |time: &str| {
        let body = format!(r#"{{"id":"1","content":"x","submitted_at":"{time}"}}"#);
        let entry = deliver(&inlet, &signed("m1", NOW, body.as_bytes()), body.as_bytes()).unwrap();
        reader.normalise(&entry, at(NOW)).unwrap().remarks
    };
    assert_eq!(remarks("2026-11-22T10:00:00+08:00"), vec![]);
    let ahead = remarks("2027-11-22T10:00:00+08:00");
    assert!(matches!(ahead.as_slice(), [Remark::Clock { .. }]), "{ahead:?}");
}

#[test]
fn mistakes_in_settings_are_told_with_their_place() {
    let settings: Settings = serde_json::from_value(json!({
        "secrets": [], "tolerance_seconds": 0, "mapping": {"body": "form.course", "require": ["phone"]},
    }))
    .unwrap();
    let mistakes = settings.validate();
    let places: Vec<&str> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
    assert_eq!(places, ["/secrets", "/tolerance_seconds", "/mapping/body", "/mapping/require/0"]);
    assert_eq!(mistakes[2].suggestion.as_deref(), Some("/form/course"));
    assert!(settings.normaliser().is_err());
}

#[test]
fn the_check_tells_which_secret_cannot_be_used() {
    let folder = std::env::temp_dir().join(format!("jiesu-inlet-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (good, bad) = (folder.join("good"), folder.join("bad"));
    std::fs::write(&good, format!("{SECRET}\n")).unwrap();
    std::fs::write(&bad, "hunter2").unwrap();
    let tools = Toolbox {
        clock: Arc::new(ManualClock::new(at(NOW))),
        http: Http::new(HttpLimits::default(), Arc::new(Unpaced)).unwrap(),
        pace: Arc::new(Unpaced),
        limits: Limits::default(),
    };
    let settings = |file: &Path| Settings {
        anonymous: None,
        signing: Signing::StandardWebhooks,
        secrets: vec![SecretRef::File(file.to_owned())],
        tolerance_seconds: 300,
        mapping: default_mapping(),
    };
    let Source::Push(push) = settings(&good).source(&tools).unwrap() else { panic!("an inlet is pushed to") };
    assert!(push.check().passed());
    let fault = settings(&bad).source(&tools).err().unwrap();
    assert!(fault.message.contains("bad") && !fault.to_string().contains("hunter2"), "{fault}");
    std::fs::write(&good, "").unwrap();
    assert!(!push.check().passed());
    std::fs::remove_dir_all(&folder).unwrap();
}

proptest! {
    #[test]
    fn what_is_signed_is_taken_however_it_is_cut(body in prop::collection::vec(any::<u8>(), 0..400), cuts in prop::collection::vec(1_usize..60, 0..20)) {
        let key = Key::parse(&secret(SECRET)).unwrap();
        let head = signed("m1", NOW, &body);
        let mut verifier = signature::Verifier::open(&[key], &head, at(NOW), 300).unwrap();
        let mut rest = body.as_slice();
        for cut in cuts {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            verifier.update(chunk);
            rest = after;
        }
        verifier.update(rest);
        prop_assert_eq!(verifier.verify().unwrap(), "m1");
    }

    #[test]
    fn a_changed_body_is_refused(body in prop::collection::vec(any::<u8>(), 1..200), place in any::<prop::sample::Index>(), change in 1_u8..) {
        let key = Key::parse(&secret(SECRET)).unwrap();
        let mut verifier = signature::Verifier::open(&[key], &signed("m1", NOW, &body), at(NOW), 300).unwrap();
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= change;
        verifier.update(&changed);
        prop_assert!(verifier.verify().is_err());
    }

    #[test]
    fn no_head_and_no_body_panics(id in ".{0,40}", time in ".{0,20}", signatures in ".{0,80}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        let inlet = portal();
        let unsigned = head(&[(signature::ID, &id), (signature::TIMESTAMP, &time), (signature::SIGNATURE, &signatures)]);
        prop_assert!(deliver(&inlet, &unsigned, &body).is_err());
        let refused = deliver(&inlet, &signed("m1", NOW, &body), &body);
        let malformed = matches!(refused, Err(Refusal::Malformed { .. }));
        prop_assert!(malformed);
    }
}
