//! What can be found wrong in a board's settings without asking the board.

use connectors::{
    board::{Name, Paging, Settings},
    contract::Adapter,
};

type Change = fn(&mut Settings);

#[test]
fn mistakes_in_settings_are_found_with_their_places() {
    let settings = |change: fn(&mut Settings)| {
        let fuzhou = serde_json::json!({ "preset": "fuzhou", "base": "https://board.example.gov.cn/" });
        let mut settings = Settings::read(&fuzhou).unwrap();
        change(&mut settings);
        settings.validate().into_iter().map(|mistake| mistake.pointer).collect::<Vec<_>>()
    };
    let table: [(Change, &str); 9] = [
        (|settings| settings.base = "file:///etc/passwd".to_owned(), "/base"),
        (|settings| settings.page_size = 0, "/page_size"),
        (|settings| settings.encoding = Some("klingon".to_owned()), "/encoding"),
        (|settings| settings.list.request.path = "list/{pagee}".to_owned(), "/list/request/path"),
        (|settings| settings.paging = Paging::LastId { first: String::new() }, "/list/request"),
        (|settings| settings.boards = vec!["a".to_owned(), "a".to_owned()], "/boards/1"),
        (
            |settings| {
                settings.list.fields.insert(Name::Place, "td:nth-child(".into());
            },
            "/list/fields/place",
        ),
        (
            |settings| {
                settings.list.fields.remove(&Name::Id);
            },
            "/list/fields",
        ),
        (
            |settings| {
                settings.headers.insert("a".to_owned(), "{secret.none}".to_owned());
            },
            "/headers/a",
        ),
    ];
    for (change, pointer) in table {
        assert!(settings(change).iter().any(|found| found == pointer), "{pointer}: {:?}", settings(change));
    }
    let error = Settings::read(&serde_json::json!({ "preset": "people-a", "page_sise": 20 })).unwrap_err().to_string();
    assert!(error.contains("page_sise"), "{error}");
}

#[test]
fn every_setting_is_documented_in_the_schema() {
    fn undocumented(at: &str, schema: &serde_json::Value, found: &mut Vec<String>) {
        let described =
            |schema: &serde_json::Value| schema.get("description").is_some() || schema.get("$ref").is_some();
        for (name, property) in schema.get("properties").and_then(|known| known.as_object()).into_iter().flatten() {
            if !described(property) && name != "format" {
                found.push(format!("{at}/{name}"));
            }
        }
        for (name, inner) in schema.get("$defs").and_then(|known| known.as_object()).into_iter().flatten() {
            undocumented(name, inner, found);
        }
    }
    let schema = serde_json::to_value(schemars::schema_for!(Settings)).unwrap();
    let mut found = Vec::new();
    undocumented("", &schema, &mut found);
    assert_eq!(found, Vec::<String>::new());
    assert!(schema["$defs"]["Field"]["anyOf"].is_array(), "a field is a text or a table");
}
