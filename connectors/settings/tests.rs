use std::{num::NonZeroU32, path::PathBuf};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{entry::ConnectorName, secret::SecretRef};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Tls {
    Implicit,
    Upgraded { strict: bool },
    Pinned(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Form {
    Json {
        list: String,
        #[serde(default)]
        proofs: Vec<Inner>,
    },
    Html {
        rows: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    path: PathBuf,
    #[serde(default)]
    depth: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    host: String,
    port: NonZeroU32,
    name: ConnectorName,
    password: SecretRef,
    tls: Tls,
    form: Form,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    parts: Vec<Inner>,
}

fn sound() -> Value {
    json!({
        "host": "imap.example.cn", "port": 993, "name": "mail", "password": {"env": "MAIL_PASSWORD"},
        "tls": {"upgraded": {"strict": true}}, "form": {"kind": "json", "list": "/data"},
        "ratio": 1, "label": "信箱", "parts": [{"path": "a"}, {"path": "b", "depth": 3}],
    })
}

fn mistakes(value: &Value) -> Vec<String> {
    match read::<Sample>(value) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .mistakes
            .iter()
            .map(|mistake| {
                let suggestion = mistake.suggestion.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
                format!("{}: {}{suggestion}", mistake.pointer, mistake.message)
            })
            .collect(),
    }
}

#[test]
fn sound_settings_read_as_a_plain_deserialiser_reads_them() {
    for value in
        [sound(), with("/tls", json!("implicit")), with("/tls", json!({"pinned": "ab"})), with("/label", json!(null))]
    {
        assert_eq!(read::<Sample>(&value).unwrap(), serde_json::from_value::<Sample>(value).unwrap());
    }
}

fn with(pointer: &str, new: Value) -> Value {
    let mut value = sound();
    *value.pointer_mut(pointer).unwrap() = new;
    value
}

#[test]
fn each_mistake_is_told_by_its_place() {
    let table = [
        (with("/host", json!(5)), "/host: expected a text in quotes, found an integer"),
        (with("/port", json!("993")), "/port: expected a whole number above 0, found a text"),
        (with("/port", json!(0)), "/port: expected a whole number above 0, found 0"),
        (with("/parts/1/depth", json!(300)), "/parts/1/depth: expected a whole number from 0 to 255, found 300"),
        (with("/parts/0", json!("a")), "/parts/0: expected a table, found a text"),
        (
            with("/tls", json!("implict")),
            "/tls: `implict` is not known here; expected one of `implicit`, `upgraded`, `pinned` (did you mean `implicit`?)",
        ),
        (
            with("/tls", json!({"upgraded": {"strikt": true}})),
            "/tls/upgraded/strikt: no such field; expected `strict` (did you mean `strict`?)",
        ),
        (
            with("/form", json!({"kind": "jsn", "list": ""})),
            "/form/kind: `jsn` is not known here; expected one of `json`, `html` (did you mean `json`?)",
        ),
        (
            with("/form", json!({"kind": "json", "list": "", "proofs": [{"path": ""}, {"path": "", "is": 1}]})),
            "/form/proofs/1/is: no such field; expected one of `path`, `depth`",
        ),
        (with("/form", json!({"kind": "json"})), "/form: `list` is missing"),
        (
            with("/password", json!({"fil": "x"})),
            "/password: `fil` is not known here; expected one of `env`, `file` (did you mean `file`?)",
        ),
        (
            with("/name", json!("Mail Box")),
            "/name: a connector's name is 1 to 64 lower-case letters, digits and hyphens and starts with a letter, not \"Mail Box\"",
        ),
    ];
    for (value, expected) in table {
        assert_eq!(mistakes(&value), [expected], "{value}");
    }
}

#[test]
fn a_secret_written_out_is_never_repeated() {
    for value in [json!("hunter2!"), json!(4711), json!(true), json!(["hunter2!"]), json!({"env": 4711})] {
        let told = mistakes(&with("/password", value)).join("\n");
        assert!(told.starts_with("/password"), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("4711"), "{told}");
    }
    let told = mistakes(&with("/password", json!("hunter2!")));
    assert_eq!(
        told,
        ["/password: a secret stands in the settings themselves; expected a reference to it \
          (write { file = \"…\" } or { env = \"…\" } and keep the secret there)"]
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let value = json!({
        "hots": 7, "port": -1, "password": "geheim", "colour": "red",
        "form": {"kind": "html", "rows": "tr"}, "parts": [{"depth": "x"}, 3, {"path": "p", "dept": true}],
    });
    assert_eq!(
        mistakes(&value),
        [
            "/colour: no such field; expected one of `host`, `port`, `name`, `password`, `tls`, `form`, `ratio`, `label`, `parts`",
            "/hots: no such field; expected one of `host`, `port`, `name`, `password`, `tls`, `form`, `ratio`, `label`, `parts` (did you mean `host`?)",
            "/hots: expected a text in quotes, found an integer",
            "/parts/0/depth: expected a whole number from 0 to 255, found a text",
            "/parts/0: `path` is missing",
            "/parts/1: expected a table, found an integer",
            "/parts/2/dept: no such field; expected one of `path`, `depth` (did you mean `depth`?)",
            "/parts/2/dept: expected a whole number from 0 to 255, found a boolean",
            "/password: a secret stands in the settings themselves; expected a reference to it (write { file = \"…\" } or { env = \"…\" } and keep the secret there)",
            "/port: expected a whole number above 0, found -1",
            ": `name` is missing",
            ": `tls` is missing",
        ]
    );
}

#[test]
fn what_stands_in_for_a_mistake_is_known() {
    let reading = read_through::<Sample>(&with("/parts/0", json!(3)));
    let sample = reading.value.as_ref().expect("read as far as it goes");
    assert_eq!((sample.parts.len(), sample.parts[1].depth), (2, 3), "places keep their numbers");
    assert!(reading.stands_in("/parts/0") && reading.stands_in("/parts/0/path"));
    assert!(!reading.stands_in("/parts/1") && !reading.stands_in("/host") && !reading.stands_in(""));
}

#[test]
fn references_to_secrets_are_known_by_what_they_are_read_as() {
    let mut value = sound();
    value["form"] = json!({"kind": "json", "list": "", "env": "no secret"});
    let reading = read_through::<Sample>(&value);
    assert_eq!(reading.secrets.into_iter().collect::<Vec<_>>(), ["/password"]);
}

#[test]
fn names_are_guessed_only_when_near() {
    let known = ["mailbox", "board", "inlet", "files"];
    let table = [
        ("mailbx", Some("mailbox")),
        ("Mailbox", Some("mailbox")),
        ("baord", Some("board")),
        ("file", Some("files")),
        ("telephone", None),
        ("", None),
    ];
    for (name, expected) in table {
        assert_eq!(nearest(name, known), expected, "{name}");
    }
    assert_eq!(nearest(&"board".repeat(100_000), known), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z~/]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            "[a-z~/]{0,6}",
            proptest::sample::select(vec![
                "host", "port", "name", "password", "tls", "form", "kind", "list", "parts", "path", "depth", "env"
            ])
            .prop_map(str::to_owned),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Places of the sound settings, what stands in a list left out: a plain deserialiser takes a list for a table.
const PLACES: [&str; 11] = [
    "/host",
    "/port",
    "/name",
    "/password",
    "/password/env",
    "/tls",
    "/tls/upgraded/strict",
    "/form/kind",
    "/ratio",
    "/label",
    "/parts/1/depth",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
        Just(json!("implicit")),
        Just(json!({"env": "E"})),
        Just(json!({"upgraded": {"strict": false}})),
    ]
}

proptest! {
    /// Whatever comes: it ends, and a refusal has reasons, not too many.
    #[test]
    fn any_document_is_read_or_refused_with_a_reason(value in any_json()) {
        match read::<Sample>(&value) {
            Ok(sample) => prop_assert_eq!(Some(sample), serde_json::from_value(value).ok()),
            Err(error) => prop_assert!(!error.mistakes.is_empty() && error.mistakes.len() <= MAX_MISTAKES),
        }
    }

    /// What is sound and what is not is for the types to say: the reader agrees with a plain deserialiser.
    #[test]
    fn near_the_sound_settings_it_agrees_with_a_plain_deserialiser(
        changes in prop::collection::vec((proptest::sample::select(PLACES.to_vec()), leaf()), 1..4),
    ) {
        let mut value = sound();
        for (place, new) in changes {
            if let Some(old) = value.pointer_mut(place) {
                *old = new;
            }
        }
        prop_assert_eq!(read::<Sample>(&value).ok(), serde_json::from_value::<Sample>(value).ok());
    }
}
