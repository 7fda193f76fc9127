//! Files handed over over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use super::bench::{ADMIN, Answer, Bench, READ};

const TABLE: &str = "编号,来信人,电话,内容\n\
    XJ-1,张三,13900001234,民主路路灯不亮已经三天。\n\
    XJ-2,李四\n\
    XJ-3,王五,13900005678,新华路井盖丢失，十分危险。\n";

async fn upload(bench: &Bench, token: &str, connector: &str, name: &str, body: &str) -> Answer {
    let path = format!("/v1/connectors/{connector}/files?name={name}");
    let body = Some(("application/octet-stream", body.to_owned()));
    bench.send(Some(format!("Bearer {token}")), Method::POST, &path, body).await
}

async fn bench_with_folder() -> Bench {
    let bench = Bench::start().await;
    bench.define("letters", "letter", "files", &json!({ "folder": "/nowhere/letters", "file_bytes": 100_000 })).await;
    bench
}

#[tokio::test]
async fn a_file_is_stored_whole_and_its_bad_rows_are_named() {
    let bench = bench_with_folder().await;
    let first = upload(&bench, ADMIN, "letters", "letters.csv", TABLE).await;
    assert_eq!(first.status, 200, "{:?}", first.body);
    let unread = json!([{ "place": "line 3", "reason": "the row has 2 cells where the header has 4" }]);
    let expected = json!({ "items": 3, "stored": 2, "repeats": 0, "quarantined": 1, "unread": unread });
    assert_eq!(first.body, expected);
    let sums = bench.get(READ, "/v1/entries?connector=letters").await.body;
    assert_eq!(sums["entries"].as_array().map(Vec::len), Some(3), "{sums}");

    // Sent again after an answer that was lost, and an export that overlaps: nothing is counted twice.
    let again = upload(&bench, ADMIN, "letters", "letters.csv", TABLE).await.body;
    assert_eq!((&again["stored"], &again["repeats"], &again["quarantined"]), (&json!(0), &json!(3), &json!(0)));
    let longer = format!("{TABLE}XJ-4,赵六,,垃圾没有清运，气味很大。\n");
    let more = upload(&bench, ADMIN, "letters", "other.csv", &longer).await.body;
    assert_eq!((&more["stored"], &more["repeats"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_what_to_do() {
    let bench = bench_with_folder().await;
    for (name, body, status, words) in [
        ("letters.zip", "PK\u{3}\u{4}....", 422, "unpack"),
        ("letters.csv", "Rar!\u{1a}\u{7}....", 422, "unpack"),
        ("letters.pdf", "%PDF", 422, "hand over"),
        ("letters.csv", "", 422, "empty"),
        ("letters.csv", "甲,乙\n1,2\n", 422, "column"),
        ("", TABLE, 422, "name"),
    ] {
        let answer = upload(&bench, ADMIN, "letters", name, body).await;
        assert_eq!(answer.status, status, "{name}: {:?}", answer.body);
        assert!(answer.body.to_string().contains(words), "{name}: {}", answer.body);
    }
    let large = TABLE.repeat(2_000);
    assert_eq!(upload(&bench, ADMIN, "letters", "a.csv", &large).await.status, 413);
    assert_eq!(upload(&bench, READ, "letters", "a.csv", TABLE).await.status, 403);
    assert_eq!(upload(&bench, ADMIN, "nobody", "a.csv", TABLE).await.status, 404);
    bench.define("calls", "phone", "inlet", &json!({ "secrets": [{ "env": "PATH" }] })).await;
    assert_eq!(upload(&bench, ADMIN, "calls", "a.csv", TABLE).await.status, 409);
    let entries = bench.get(READ, "/v1/entries?connector=letters").await.body;
    assert_eq!(entries["entries"], Value::Array(Vec::new()), "nothing of it is stored");
}
