use std::{fs, path::PathBuf};

use serde_json::json;

use super::*;
use crate::{
    clock::ManualClock,
    contract::Limits,
    http::{Http, HttpLimits, Unpaced},
    public_form::Upload,
};

const NOW: &str = "2026-11-20T14:00:00Z";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const TOKEN: &str = "a-token-of-the-citys-own-page";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn portal(secrets: &[&str], tokens: &[&str]) -> Portal {
    let settings = Settings::default();
    Portal {
        keys: Arc::new(secrets.iter().map(|text| Key::parse(&SecretString::from(*text)).unwrap()).collect()),
        tokens: tokens.iter().map(|text| SecretString::from(*text)).collect(),
        terms: Arc::new(settings.terms()),
        settings,
    }
}

fn submission() -> Submission {
    Submission {
        id: "a".to_owned(),
        title: "路灯不亮".to_owned(),
        course: "荣兴路南段路灯连续一周不亮。".to_owned(),
        ..Submission::default()
    }
}

fn wrong(change: impl FnOnce(&mut Submission)) -> Vec<Wrong> {
    let mut submission = submission();
    change(&mut submission);
    portal(&[], &[]).item(&submission).err().unwrap_or_default()
}

fn entry(item: Item) -> RawEntry {
    match item {
        Item::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

fn taken(submission: &Submission) -> RawEntry {
    entry(portal(&[], &[]).item(submission).unwrap())
}

fn bearer(token: &str) -> Head {
    Head { headers: [(AUTHORIZATION.to_owned(), format!("Bearer {token}"))].into() }
}

fn deliver(portal: &Portal, head: &Head, body: &[u8]) -> Result<Item, Refusal> {
    let mut reception = portal.open(head, now())?;
    reception.chunk(body);
    reception.close(Body::Whole(Bytes::copy_from_slice(body)))
}

/// Set `UPDATE_FIXTURES=1` to write what is read now as what is expected; read the difference before it is kept.
#[test]
fn every_fixture_is_read_as_expected() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/portal");
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".expected.json") {
            assert!(file.with_file_name(name.replace(".expected", "")).exists(), "{name} belongs to no fixture");
            continue;
        }
        seen += 1;
        let raw = fs::read(&file).unwrap();
        let entry = entry(deliver(&portal(&[], &[TOKEN]), &bearer(TOKEN), &raw).unwrap());
        assert_eq!(entry.raw, raw, "kept exactly as received");
        let complaint = Settings::default().normaliser().unwrap().normalise(&entry, now()).unwrap();
        let read = json!({ "id": entry.external_id, "revision": entry.revision, "complaint": complaint });
        let read = format!("{}\n", serde_json::to_string_pretty(&read).unwrap());
        let golden = file.with_extension("expected.json");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&golden, &read).unwrap();
        }
        assert_eq!(read, fs::read_to_string(&golden).expect("expectation"), "{name}");
    }
    assert_eq!(seen, 2);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_by_field() {
    let long = |characters| "长".repeat(characters);
    let found = wrong(|submission| {
        submission.title = long(101);
        submission.course = " \r\n ".to_owned();
        submission.place = long(201);
        submission.phone = "12".to_owned();
        submission.email = "nobody".to_owned();
        submission.kind = Some("telex".to_owned());
    });
    let expected = [
        (Field::Kind, Problem::BadForm),
        (Field::Title, Problem::TooLong(100)),
        (Field::Course, Problem::Missing),
        (Field::Place, Problem::TooLong(200)),
        (Field::Phone, Problem::BadForm),
        (Field::Email, Problem::BadForm),
    ];
    assert_eq!(found, expected);
    assert_eq!(wrong(|submission| submission.id = String::new()), [(Field::Id, Problem::Missing)]);
    assert_eq!(wrong(|submission| submission.id = "a b".to_owned()), [(Field::Id, Problem::BadForm)]);
    assert_eq!(wrong(|submission| submission.ip = Some("somewhere".to_owned())), [(Field::Ip, Problem::BadForm)]);
}

#[test]
fn an_answer_needs_a_way_back_and_nobody_is_turned_away_for_how_they_write_it() {
    assert_eq!(wrong(|submission| submission.wants_answer = Some(true)), [(Field::Phone, Problem::NoWayBack)]);
    for (phone, email) in [
        ("138 0000 1111", ""),
        ("１３８００００１１１１", ""),
        ("0419-2121212转8", ""),
        ("+86 13800001111", ""),
        ("", "李明@邮箱.中国"),
        ("", "a@b.cn"),
    ] {
        let found = wrong(|submission| {
            submission.wants_answer = Some(true);
            phone.clone_into(&mut submission.phone);
            email.clone_into(&mut submission.email);
        });
        assert_eq!(found, [], "{phone}{email}");
    }
    assert_eq!(wrong(|submission| submission.wants_answer = Some(false)), []);
}

fn file(name: &str, data: &[u8]) -> Upload {
    Upload { name: name.to_owned(), data: Bytes::copy_from_slice(data) }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn d4_archives_are_refused_in_words_and_files_are_known_by_their_bytes() {
    let of = |files: Vec<Upload>| wrong(|submission| submission.files = files);
    for (name, data) in [
        ("a.zip", ZIP),
        // A name proves nothing.
        ("photo.png", ZIP),
        ("a.rar", b"Rar!\x1a\x07\x00aaaa"),
        ("a.7z", b"7z\xbc\xaf\x27\x1caaaa"),
        ("a.gz", b"\x1f\x8b\x08\x00aaaa"),
    ] {
        assert_eq!(of(vec![file(name, data)]), [(Field::Files, Problem::Archive(1))], "{name}");
    }
    for (name, data) in [
        ("a.exe", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0".as_slice()),
        ("a.html", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("a.sh", b"#!/bin/sh\nrm -rf /\n"),
        ("a", b"only a name ending in txt makes it text"),
        ("a.txt", b"binary\0"),
    ] {
        assert_eq!(of(vec![file(name, data)]), [(Field::Files, Problem::Unknown(1))], "{name}");
    }
    assert_eq!(of(vec![file("a.png", PNG), file("说明.TXT", "路灯".as_bytes()), file("a.pdf", b"%PDF-1.7\n")]), []);
    let gbk = b"\xc2\xb7\xb5\xc6";
    assert_eq!(of(vec![file("gbk.txt", gbk)]), []);
    assert_eq!(of(vec![file("a.png", b"")]), [(Field::Files, Problem::Empty(1))]);
}

#[test]
fn a12_files_have_bounds_in_number_and_size() {
    let of = |files: Vec<Upload>| wrong(|submission| submission.files = files);
    let four: Vec<Upload> = (0..4).map(|_| file("a.png", PNG)).collect();
    assert_eq!(of(four), [(Field::Files, Problem::TooMany(3))]);
    let mib = 1024 * 1024;
    let sized = |size: usize| file("a.png", &[PNG, &vec![0; size - PNG.len()]].concat());
    assert_eq!(of(vec![sized(5 * mib)]), []);
    assert_eq!(of(vec![sized(5 * mib + 1)]), [(Field::Files, Problem::TooLarge(1, 5 * 1024 * 1024))]);
    let together = of(vec![sized(4 * mib), sized(4 * mib), sized(4 * mib)]);
    assert_eq!(together, [(Field::Files, Problem::TooLargeTogether(10 * 1024 * 1024))]);
}

#[test]
fn a04_the_same_submission_is_the_same_and_a_changed_one_is_a_revision() {
    let first = taken(&submission());
    let again = Submission {
        submitted_at: Some("2026-11-20T15:00:00Z".to_owned()),
        ip: Some("203.0.113.9".to_owned()),
        ..submission()
    };
    let again = taken(&again);
    assert_eq!((&again.external_id, &again.revision), (&first.external_id, &first.revision));
    let changed = taken(&Submission { course: "换了灯泡，还是不亮。".to_owned(), ..submission() });
    assert_eq!(changed.external_id, first.external_id);
    assert_ne!(changed.revision, first.revision);
    let with_file = taken(&Submission { files: vec![file("a.png", PNG)], ..submission() });
    assert_ne!(with_file.revision, first.revision);
}

#[test]
fn json_is_taken_from_whoever_signs_or_has_a_token_and_from_nobody_else() {
    let body = serde_json::to_vec(&submission()).unwrap();
    let both = portal(&[SECRET], &[TOKEN]);
    assert!(deliver(&both, &bearer(TOKEN), &body).is_ok());
    for head in [bearer("another-token-altogether"), bearer(""), Head::default()] {
        assert!(matches!(deliver(&both, &head, &body), Err(Refusal::Unauthenticated(_))));
    }
    assert!(matches!(deliver(&portal(&[], &[]), &bearer(TOKEN), &body), Err(Refusal::Unauthenticated(_))));

    let signature = signature::sign(&SecretString::from(SECRET), "d-1", now(), &body).unwrap();
    let signed = Head {
        headers: [
            (signature::ID.to_owned(), "d-1".to_owned()),
            (signature::TIMESTAMP.to_owned(), now().as_second().to_string()),
            (signature::SIGNATURE.to_owned(), signature),
        ]
        .into(),
    };
    assert!(both.speaks_for_many(&signed) && !both.speaks_for_many(&bearer(TOKEN)));
    assert!(deliver(&both, &signed, &body).is_ok());
    let forged = Submission { title: "别的".to_owned(), ..submission() };
    let forged = deliver(&both, &signed, &serde_json::to_vec(&forged).unwrap());
    assert!(matches!(forged, Err(Refusal::Unauthenticated(_))));
}

#[test]
fn a_refusal_names_the_field_and_never_what_stands_there() {
    let canary = "13900004711";
    for body in [
        json!({ "id": "a", "title": "t", "course": "c", "telefon": canary }),
        json!({ "id": "a", "title": "t", "course": "c", "phone": { "number": canary } }),
        json!({ "id": "a", "title": canary.repeat(20), "course": "c" }),
        json!({ "id": "a", "title": "t", "course": "c", "files": [{ "name": canary, "data": "***" }] }),
        json!([canary]),
    ] {
        let refused = deliver(&portal(&[], &[TOKEN]), &bearer(TOKEN), body.to_string().as_bytes()).unwrap_err();
        assert!(matches!(refused, Refusal::Malformed { .. }), "{refused}");
        assert!(!refused.to_string().contains(canary), "{refused}");
    }
    assert!(!format!("{:?}", Submission { phone: canary.to_owned(), ..submission() }).contains(canary));
}

#[test]
fn settings_tell_their_mistakes() {
    let settings = Settings {
        files: 21,
        burst: 0,
        title: Some(String::new()),
        origins: vec!["https://www.example.cn/".to_owned(), "https://www.example.cn".to_owned()],
        ..Settings::default()
    };
    let places: Vec<String> = settings.validate().into_iter().map(|mistake| mistake.pointer).collect();
    assert_eq!(places, ["/files", "/burst", "/origins/0", "/tokens", "/title"]);
    assert_eq!(Settings::default().validate(), []);
}

#[test]
fn a_portal_needs_nothing_to_serve_its_form() {
    let pace = Arc::new(Unpaced);
    let http = Http::new(HttpLimits::default(), pace.clone()).unwrap();
    let tools = Toolbox { clock: Arc::new(ManualClock::new(now())), http, pace, limits: Limits::default() };
    let Ok(Source::Push(push)) = Settings::default().source(&tools) else { panic!("it is pushed to") };
    assert!(push.check().passed());
    assert_eq!(push.form().unwrap().terms().files, 3);
}
