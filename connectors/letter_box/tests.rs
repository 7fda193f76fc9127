use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// Every line of `fixtures/letter_box/letters.jsonl`, and what stands about it in `letters.expected.json`.
#[test]
fn letters_become_the_complaints_that_stand_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/letter_box");
    let letters = std::fs::read(folder.join("letters.jsonl")).unwrap();
    let expected: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("letters.expected.json")).unwrap()).unwrap();
    let lines: Vec<Bytes> = letters.trim_ascii().split(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect();
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.iter().zip(expected) {
        let told = match read(line, 4096).0 {
            Item::Entry(entry) => {
                let complaint = Letters.normalise(&entry, Timestamp::MAX).unwrap();
                let Petitioner { name, phones, .. } = complaint.petitioner;
                json!({
                    "external_id": entry.external_id, "source_time": entry.source_time, "name": name, "phones": phones,
                    "subject": complaint.subject, "body": complaint.body,
                })
            }
            Item::Unread(unread) => json!({ "unread": unread.reason }),
            Item::Fragment(fragment) => panic!("{fragment:?}"),
        };
        assert_eq!(told, expected);
    }
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let settings = Settings { url: "letters.example".into(), token: SecretRef::Env("TOKEN".into()), page: 0 };
    let pointers: Vec<String> = settings.validate().into_iter().map(|mistake| mistake.pointer).collect();
    assert_eq!(pointers, ["/url", "/page"]);
}
