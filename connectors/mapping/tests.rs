use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::entry::Remark;

fn mapping(value: Value) -> Mapping {
    serde_json::from_value(value).unwrap()
}

fn compiled(value: Value) -> Compiled {
    mapping(value).compile().unwrap()
}

#[test]
fn mistakes_tell_where_and_what_to_write() {
    let cases = [
        (json!({"body": "form.course"}), "/body", Some("/form/course")),
        (json!({"body": "$.form.course"}), "/body", Some("/form/course")),
        (json!({"body": "course"}), "/body", Some("/course")),
        (json!({"body": "/a", "phone": ["/b", "c"]}), "/phone/1", Some("/c")),
        (json!({"body": "/a~b"}), "/body", Some("/a~0b")),
        (json!({"body": {"join": ["/a", {"label": "地点", "at": "b"}]}}), "/body/join/1/at", Some("/b")),
        (json!({"body": {"join": []}}), "/body/join", Some("name a pointer")),
        (json!({"body": format!("/{}", "a".repeat(MAX_POINTER))}), "/body", None),
        (json!({"body": vec!["/a"; MAX_POINTERS + 1]}), "/body", None),
        (json!({"body": "/a", "require": ["phone"]}), "/require/0", Some("phone = \"/…\", or take it off the list")),
        (json!({"preset": "portal", "phone": [], "require": ["phone"]}), "/require/0", None),
        (json!({"body": "/a", "time_formats": ["rfc3339", {"pattern": "%H:%M"}]}), "/time_formats/1", None),
        (json!({"body": "/a", "volatile": ["b"]}), "/volatile/0", Some("/b")),
        (json!({"name": "/a"}), "/body", None),
    ];
    for (value, place, suggestion) in cases {
        let mistakes = mapping(value.clone()).validate();
        let found = mistakes.iter().find(|mistake| mistake.pointer == place);
        let Some(found) = found else { panic!("{value}: no mistake at {place}, but {mistakes:?}") };
        if let Some(suggestion) = suggestion {
            assert_eq!(found.suggestion.as_deref(), Some(suggestion), "{value}");
        }
        assert!(mapping(value).compile().is_err());
    }
}

#[test]
fn what_types_cannot_hold_is_refused_in_words() {
    for (value, expected) in [
        (json!({"boddy": "/a"}), "unknown field `boddy`, expected one of"),
        (json!({"body": 5}), "expected a JSON pointer such as"),
        (json!({"body": {"jion": ["/a"]}}), "expected a JSON pointer such as"),
        (json!({"require": ["telephone"]}), "unknown variant `telephone`, expected one of"),
        (json!({"preset": "phone"}), "expected one of `call_center`"),
    ] {
        let error = serde_json::from_value::<Mapping>(value.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{value}: {error}");
    }
}

#[test]
fn presets_compile_and_give_way_to_what_stands_beside_them() {
    for preset in Preset::ALL {
        assert_eq!(Mapping::preset(preset).validate(), vec![], "{preset:?}");
    }
    let own = compiled(json!({"preset": "portal", "subject": "/标题", "phone": [], "require": ["body"]}));
    let complaint =
        own.complaint(&json!({"标题": "甲", "title": "乙", "phone": "13900001234", "content": "丙"})).unwrap();
    assert_eq!((complaint.subject.as_deref(), complaint.body.as_str()), (Some("甲"), "丙"));
    assert!(complaint.petitioner.phones.is_empty());
}

#[test]
fn the_schema_names_every_field() {
    let schema = serde_json::to_value(schemars::schema_for!(Mapping)).unwrap();
    for field in Field::ALL {
        assert!(schema["properties"][field.as_str()]["description"].is_string(), "{}", field.as_str());
        assert_eq!(serde_json::to_value(field).unwrap(), field.as_str());
    }
}

#[test]
fn values_of_any_type_are_read_as_text() {
    let reader = compiled(json!({"body": "/v"}));
    let long = "字".repeat(MAX_TEXT);
    let cases = [
        (json!("  暖气不热\u{3000}\n"), Some("暖气不热")),
        (json!("第一行\r\n第二行"), Some("第一行\n第二行")),
        (json!("a\u{0000}b\u{200b}c\u{202e}d\u{001b}[0m"), Some("abcd[0m")),
        (json!(42), Some("42")),
        (json!(0.5), Some("0.5")),
        (json!(true), Some("true")),
        (json!(["噪音", "扰民", null, ["x"]]), Some("噪音、扰民")),
        (json!(long), Some(long.as_str())),
        (json!("无"), None),
        (json!(" N/A "), None),
        (json!("\u{feff}\u{200b}"), None),
        (json!(null), None),
        (json!({"text": "x"}), None),
        (json!([]), None),
    ];
    for (value, expected) in cases {
        let read = reader.complaint(&json!({"v": value})).ok();
        assert_eq!(read.as_ref().map(|complaint| complaint.body.as_str()), expected, "{value}");
    }
}

#[test]
fn long_text_is_cut_and_the_cut_is_remarked() {
    let reader = compiled(json!({"body": {"join": ["/v", "/v"]}, "subject": "/t"}));
    let complaint = reader.complaint(&json!({"v": "字".repeat(MAX_TEXT), "t": "题".repeat(MAX_LINE + 1)})).unwrap();
    assert_eq!(complaint.body.chars().count(), MAX_TEXT);
    assert_eq!(complaint.subject.unwrap().chars().count(), MAX_LINE);
    let bounded = complaint.remarks.iter().filter(|remark| matches!(remark, Remark::Bounded { .. })).count();
    assert_eq!(bounded, 2);
}

#[test]
fn wishes_for_an_answer_are_understood() {
    let reader = compiled(json!({"body": "/b", "wants_answer": ["/w", "/x"]}));
    for (value, expected) in [
        (json!(true), Some(true)),
        (json!(0), Some(false)),
        (json!("是"), Some(true)),
        (json!("不需要"), Some(false)),
        (json!("电话回复"), Some(true)),
        (json!("无需回复"), Some(false)),
        (json!("不用回访"), Some(false)),
        (json!("网上答复"), Some(true)),
        (json!("YES"), Some(true)),
        (json!("也许"), None),
        (json!(null), None),
        (json!({"a": 1}), None),
    ] {
        assert_eq!(reader.complaint(&json!({"b": "x", "w": value})).unwrap().wants_answer, expected, "{value}");
    }
}

#[test]
fn every_contact_is_kept_once_and_what_is_none_is_left_out() {
    let reader = compiled(json!({"body": "/b", "phone": ["/p", "/q", "/r"], "email": ["/e"]}));
    let complaint = reader
        .complaint(&json!({
            "b": "x", "p": 13_900_001_234_u64, "q": ["13900001234", "０４１９－２００００２", "无"], "r": "不愿透露", "e": "没有邮箱",
        }))
        .unwrap();
    assert_eq!(complaint.petitioner.phones, ["13900001234", "０４１９－２００００２"]);
    assert!(complaint.petitioner.emails.is_empty());
}

#[test]
fn an_id_is_one_only_while_it_has_all_its_digits() {
    let reader = compiled(json!({"id": ["/id", "/other"], "body": "/b"}));
    for (value, expected) in [
        (json!("LY-1"), Some("LY-1")),
        (json!(250_331_144_260_109_u64), Some("250331144260109")),
        (json!(-1), Some("-1")),
        (json!(1e22), None),
        (json!(1.5), None),
        (json!("2.50331E+14"), None),
        (json!("2e+5"), None),
        (json!("E+1"), Some("E+1")),
        (json!("A1E+14"), Some("A1E+14")),
        (json!(true), None),
        (json!("-"), None),
    ] {
        let found = reader.id(&json!({"id": value}));
        assert_eq!(found.as_ref().map(crate::entry::ExternalId::as_str), expected, "{value}");
    }
    assert_eq!(reader.id(&json!({"id": 1e22, "other": "7"})).unwrap().as_str(), "7");
    let two = compiled(json!({"id": {"join": ["/year", "/no"], "separator": "-"}, "body": "/b"}));
    assert_eq!(two.id(&json!({"year": 2026, "no": 7})).unwrap().as_str(), "2026-7");
    assert_eq!(two.id(&json!({"year": 2026})), None);
}

#[test]
fn times_of_every_form_are_told_apart() {
    let reader = compiled(json!({"time": "/t", "body": "/b"}));
    for value in [
        json!("2020/1/6 12:09:38"),
        json!("2020-01-06T12:09:38+08:00"),
        json!("20200106120938"),
        json!(1_578_283_778),
        json!("1578283778000"),
        json!(43_836.506_69),
    ] {
        let stamp = reader.time(&json!({"t": value})).unwrap_or_else(|| panic!("{value} is a time"));
        assert!(stamp.at.as_second().abs_diff(1_578_283_778) <= 1, "{value}: {stamp:?}");
    }
    let parts = compiled(json!({"time": {"join": ["/date", "/clock"]}, "body": "/b"}));
    assert_eq!(parts.time(&json!({"date": "2020-1-6", "clock": "12:09:38"})).unwrap().at.as_second(), 1_578_283_778);
}

#[test]
fn what_is_missing_is_named_by_its_pointer_and_nothing_is_quoted() {
    let reader = compiled(
        json!({"id": "/n", "time": "/t", "phone": ["/p", "/q"], "body": "/b", "require": ["id", "time", "phone"]}),
    );
    for (value, pointer) in [
        (json!({"t": "2020-1-6", "q": "13900001234", "b": "张三"}), "/n"),
        (json!({"n": 1, "t": "张三", "q": "13900001234", "b": "张三"}), "/t"),
        (json!({"n": 1, "t": "2020-1-6", "q": "张三", "b": "张三"}), "/p"),
    ] {
        let missing = reader.missing(&value).unwrap();
        assert_eq!(missing.pointer, pointer);
        let unreadable = reader.complaint(&value).unwrap_err().to_string();
        assert!(unreadable.contains(pointer) && !unreadable.contains("张三"), "{unreadable}");
    }
    let nothing = reader.complaint(&json!({"n": 1, "t": "2020-1-6", "q": "13900001234"})).unwrap_err().to_string();
    assert!(nothing.contains("/b"), "{nothing}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c]|id|body|form", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_panics_and_all_text_is_clean_and_bounded(document in any_json()) {
        let reader = compiled(json!({
            "id": ["/id", "/a"], "time": "/a", "name": "/b", "phone": ["/c", "/id"], "subject": ["/form", "/a/b"],
            "body": {"join": ["/body", {"label": "甲", "at": "/form/a"}, "/a/0"]}, "wants_answer": "/c",
        }));
        let _ = (reader.id(&document), reader.time(&document), reader.missing(&document));
        prop_assert_eq!(reader.revision(&document), reader.revision(&document.clone()));
        if let Ok(complaint) = reader.complaint(&document) {
            for text in complaint.subject.iter().chain(&complaint.petitioner.name).chain(&complaint.petitioner.phones) {
                prop_assert!(!text.chars().any(char::is_control) && text.trim() == text && text.chars().count() <= MAX_LINE);
            }
        }
    }

    #[test]
    fn no_pointer_panics(pointer in ".{0,30}") {
        let _ = mapping(json!({"body": pointer})).validate();
    }
}
