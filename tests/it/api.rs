//! The HTTP API, from outside.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connectors::clock::Clock as _;
use jiesu::{assess::Disposition, ids::EntryId, store::journal::Trail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{ADMIN, Bench, MAX_ATTEMPTS, QUEUE, READ, RETRY_DELAY, Said, matters};

#[tokio::test]
async fn a_ticket_is_leased_once_and_acknowledged() {
    let bench = Bench::start().await;
    bench.issue(&matters(3)).await;

    let first = bench.lease("a", 2, 60).await;
    let second = bench.lease("b", 10, 60).await;
    assert_eq!((first.len(), second.len()), (2, 1));
    let numbers: BTreeSet<&str> =
        first.iter().chain(&second).map(|delivery| delivery["ticket"]["number"].as_str().unwrap()).collect();
    assert_eq!(numbers.len(), 3, "no ticket is leased twice");
    assert_eq!(first[0]["event"], "opened");
    assert_eq!(first[0]["attempts"], 1);
    assert!(!first[0].to_string().contains("王小明"), "who complained is sealed");

    for delivery in first.iter().chain(&second) {
        let answer = bench.settle(delivery, "acknowledge", None).await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("done")));
    }
    assert_eq!(bench.get(READ, "/v1/queue").await.body, json!({ "ready": 0, "leased": 0, "dead": 0 }));
}

#[tokio::test]
async fn consumers_at_the_same_time_get_different_tickets() {
    let bench = Bench::start().await;
    bench.issue(&matters(40)).await;
    let leases = futures::future::join_all((0..8).map(|_| bench.lease("many", 5, 60))).await;
    let numbers: Vec<String> =
        leases.iter().flatten().map(|delivery| delivery["ticket"]["number"].to_string()).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len(), "a ticket was handed out twice");
    assert_eq!(numbers.len(), 40);
}

#[tokio::test]
async fn an_acknowledgement_after_its_lease_is_refused() {
    let bench = Bench::start().await;
    bench.issue(&matters(1)).await;

    let slow = bench.lease("slow", 1, 60).await;
    bench.advance(61);
    let late = bench.settle(&slow[0], "acknowledge", None).await;
    assert_eq!((late.status, late.code()), (409, "stale_lease"), "expired, though nobody else has it");

    let quick = bench.lease("quick", 1, 60).await;
    assert_eq!(quick[0]["attempts"], 2);
    for what in ["acknowledge", "release"] {
        let stale = bench.settle(&slow[0], what, None).await;
        assert_eq!((stale.status, stale.code()), (409, "stale_lease"), "{what}");
    }
    assert_eq!(bench.settle(&slow[0], "fail", Some("x")).await.status, 409);

    assert_eq!(bench.settle(&quick[0], "acknowledge", None).await.status, 200);
    let again = bench.settle(&quick[0], "acknowledge", None).await;
    assert_eq!((again.status, again.code()), (409, "stale_lease"), "settled already");
}

#[tokio::test]
async fn a_ticket_of_a_consumer_that_vanished_is_handed_out_again_and_then_given_up_with_its_reason() {
    let bench = Bench::start().await;
    bench.issue(&matters(1)).await;
    for attempt in 1..=MAX_ATTEMPTS {
        let leased = bench.lease("vanishes", 1, 60).await;
        assert_eq!(leased[0]["attempts"], attempt);
        assert!(bench.lease("other", 1, 60).await.is_empty(), "held");
        bench.advance(61);
    }
    assert!(bench.lease("other", 1, 60).await.is_empty());
    let dead = bench.get(READ, "/v1/queue/dead-letters").await.body;
    let letter = &dead["dead_letters"][0];
    assert_eq!((&letter["consumer"], &letter["attempts"]), (&json!("vanishes"), &json!(MAX_ATTEMPTS)));
    assert!(letter["reason"].as_str().unwrap().contains("never acknowledged"), "{letter}");
}

#[tokio::test]
async fn what_fails_waits_longer_each_time_and_then_becomes_a_dead_letter_that_can_be_requeued() {
    let bench = Bench::start().await;
    bench.issue(&matters(2)).await;
    let mut wait = RETRY_DELAY;
    let mut last = Value::Null;
    for attempt in 1..=MAX_ATTEMPTS {
        let leased = bench.lease("office", 1, 60).await;
        assert_eq!(leased[0]["attempts"], attempt);
        let answer = bench.settle(&leased[0], "fail", Some("承办系统拒收")).await;
        last = leased[0].clone();
        if attempt == MAX_ATTEMPTS {
            assert_eq!(answer.body["state"], "dead");
            break;
        }
        assert_eq!(answer.body["state"], "ready");
        let other = bench.lease("office", 1, 60).await;
        assert_ne!(other[0]["id"], last["id"], "the failed one waits, its neighbour does not");
        assert_eq!(bench.settle(&other[0], "release", None).await.body["state"], "ready");
        bench.advance(wait - 1);
        let early = bench.lease("office", 2, 60).await;
        assert!(early.iter().all(|delivery| delivery["id"] != last["id"]), "too early after failure {attempt}");
        for delivery in &early {
            bench.settle(delivery, "release", None).await;
        }
        bench.advance(1);
        wait *= 2;
    }

    let dead = bench.get(READ, "/v1/queue/dead-letters").await.body;
    assert_eq!(dead["dead_letters"].as_array().unwrap().len(), 1);
    assert_eq!(dead["dead_letters"][0]["id"], last["id"]);
    assert_eq!(dead["dead_letters"][0]["reason"], "承办系统拒收");

    let path = format!("/v1/queue/dead-letters/{}/requeue", last["id"]);
    assert_eq!(bench.post(QUEUE, &path, json!({})).await.status, 403);
    let answer = bench.post(ADMIN, &path, json!({ "reason": "承办系统已修复" })).await;
    assert_eq!((answer.status, &answer.body["state"]), (200, &json!("ready")));
    assert_eq!(bench.post(ADMIN, &path, json!({})).await.status, 404, "no dead letter any more");
    let leased = bench.lease("office", 2, 60).await;
    let requeued = leased.iter().find(|delivery| delivery["id"] == last["id"]).unwrap();
    assert_eq!(requeued["attempts"], 1, "its attempts are forgotten");

    let trail = bench.store.audit_rows(0, 10).await.unwrap();
    assert_eq!(trail.len(), 1, "only what was done is written down");
    assert_eq!((trail[0].actor.as_str(), trail[0].action.as_str()), ("office", "queue.requeue"));
    assert_eq!(trail[0].reason.as_deref(), Some("承办系统已修复"));
}

#[tokio::test]
async fn release_counts_no_attempt() {
    let bench = Bench::start().await;
    bench.issue(&matters(1)).await;
    for _ in 0..2 * MAX_ATTEMPTS {
        let leased = bench.lease("busy", 1, 60).await;
        assert_eq!(leased[0]["attempts"], 1);
        assert_eq!(bench.settle(&leased[0], "release", None).await.status, 200);
    }
}

#[tokio::test]
async fn a_poisoned_row_stops_nothing() {
    let bench = Bench::start().await;
    bench.issue(&matters(5)).await;
    // The oldest stand first in every lease.
    bench.corrupt("UPDATE ticket SET kind = 'poison' WHERE id = 1").await;
    bench.corrupt("UPDATE queue_item SET event = 'poison' WHERE ticket_id = 2").await;

    let leased = bench.lease("office", 10, 60).await;
    assert_eq!(leased.len(), 3);
    for delivery in &leased {
        assert_eq!(bench.settle(delivery, "acknowledge", None).await.status, 200);
    }
    let mut wait = RETRY_DELAY;
    for _ in 1..MAX_ATTEMPTS {
        bench.advance(wait);
        assert!(bench.lease("office", 10, 60).await.is_empty());
        wait *= 2;
    }
    assert_eq!(bench.get(READ, "/v1/queue").await.body, json!({ "ready": 0, "leased": 0, "dead": 2 }));
    let dead = bench.get(READ, "/v1/queue/dead-letters").await.body;
    for letter in dead["dead_letters"].as_array().unwrap() {
        assert!(letter["reason"].as_str().unwrap().contains("read"), "{letter}");
    }
}

#[tokio::test]
async fn a_lease_that_waits_is_answered_when_something_comes_and_when_the_gateway_stops() {
    let bench = Bench::start().await;
    let asked = json!({ "consumer": "patient", "wait_seconds": 20 });
    let (answer, ()) = tokio::join!(bench.post(QUEUE, "/v1/queue/lease", asked.clone()), async {
        bench.issue(&matters(1)).await;
        bench.api.queued.notify_waiters();
    });
    assert_eq!(answer.body["deliveries"].as_array().unwrap().len(), 1);

    let (answer, ()) = tokio::join!(bench.post(QUEUE, "/v1/queue/lease", asked), async { bench.api.stop.cancel() });
    assert_eq!(answer.body, json!({ "deliveries": [] }));
}

#[tokio::test]
async fn a_ticket_is_found_by_its_number_as_people_write_it() {
    let bench = Bench::start().await;
    bench.issue(&matters(3)).await;
    let page = bench.get(READ, "/v1/tickets?limit=2").await.body;
    assert_eq!(page["tickets"].as_array().unwrap().len(), 2);
    let rest = bench.get(READ, &format!("/v1/tickets?limit=2&before={}", page["next"])).await.body;
    assert_eq!((rest["tickets"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));

    let number = page["tickets"][0]["number"].as_str().unwrap();
    for written in [number.to_owned(), number.replace('-', ""), number.replace('-', "%20")] {
        let answer = bench.get(READ, &format!("/v1/tickets/{written}")).await;
        assert_eq!((answer.status, &answer.body["number"]), (200, &json!(number)), "{written}");
    }
    // Of ten check digits one is right, and names a ticket that does not exist.
    let mut statuses = Vec::new();
    for digit in 0..10 {
        statuses.push(bench.get(READ, &format!("/v1/tickets/261123-000999-{digit}")).await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [404, 422, 422, 422, 422, 422, 422, 422, 422, 422]);
}

#[tokio::test]
async fn a_petitioner_is_found_by_a_telephone_number_that_is_never_written_down() {
    let bench = Bench::start().await;
    bench.issue(&matters(3)).await;
    let found = bench
        .post(ADMIN, "/v1/entries/search", json!({ "phone": "+86 139-0000-0001", "reason": "诉求人来电查询" }))
        .await;
    assert_eq!(found.body["entries"].as_array().unwrap().len(), 1, "{}", found.text);
    assert_eq!(found.body["entries"][0]["external_id"], "item-1");
    let none = bench.post(ADMIN, "/v1/entries/search", json!({ "phone": "13900009999" })).await;
    assert_eq!(none.body["entries"], json!([]));
    for bad in [json!({}), json!({ "phone": "139" }), json!({ "phone": "13900000001", "email": "a@example.cn" })] {
        assert_eq!(bench.post(ADMIN, "/v1/entries/search", bad).await.status, 422);
    }
    assert_eq!(bench.post(READ, "/v1/entries/search", json!({ "phone": "13900000001" })).await.status, 403);

    let trail = bench.store.audit_rows(0, 10).await.unwrap();
    assert_eq!(trail.len(), 2);
    assert!(trail.iter().all(|row| row.action == "entry.search" && row.subject == "phone"));
    assert!(!format!("{trail:?}").contains("0000"));
}

#[tokio::test]
async fn unsealing_is_written_down_before_anything_is_opened() {
    let bench = Bench::start().await;
    bench.issue(&[Said::new("item-1", "太子河区供暖不热")]).await;
    bench.take(&[Said::new("item-2", "尚未处理")]).await;
    let entries = bench.get(READ, "/v1/entries?connector=portal&place=ticket").await.body;
    let id = entries["entries"][0]["id"].clone();
    let path = format!("/v1/entries/{id}/unseal");

    assert_eq!(bench.post(READ, &path, json!({ "reason": "x" })).await.status, 403);
    for bad in [json!({}), json!({ "reason": "" }), json!({ "reason": "长".repeat(1001) })] {
        assert_eq!(bench.post(ADMIN, &path, bad).await.status, 422);
    }
    assert_eq!(bench.post(ADMIN, "/v1/entries/999/unseal", json!({ "reason": "x" })).await.status, 404);
    assert!(bench.store.audit_rows(0, 10).await.unwrap().is_empty());

    let unsealed = bench.post(ADMIN, &path, json!({ "reason": "核实诉求人电话" })).await;
    assert_eq!(unsealed.status, 200, "{}", unsealed.text);
    assert_eq!(unsealed.body["petitioner"]["name"], "王小明");
    assert_eq!(unsealed.body["form"], "json");
    let raw = STANDARD.decode(unsealed.body["raw"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(raw).unwrap(), "太子河区供暖不热");

    let pending = bench.get(READ, "/v1/entries?place=pending").await.body["entries"][0]["id"].clone();
    let early = bench.post(ADMIN, &format!("/v1/entries/{pending}/unseal"), json!({ "reason": "查看" })).await;
    assert_eq!((early.status, &early.body["petitioner"]), (200, &Value::Null), "{}", early.text);

    let trail = bench.store.audit_rows(0, 10).await.unwrap();
    let rows: Vec<_> = trail.iter().map(|row| (row.actor.as_str(), row.action.as_str(), row.subject.clone())).collect();
    assert_eq!(rows, [("office", "entry.unseal", id.to_string()), ("office", "entry.unseal", pending.to_string())]);
    assert_eq!(bench.store.verify_audit().await.unwrap(), Trail::Whole(2));

    // What cannot be opened was asked for all the same.
    bench.corrupt("UPDATE complaint SET sealed_petitioner = sealed_raw FROM entry WHERE entry.id = entry_id").await;
    let damaged = bench.post(ADMIN, &path, json!({ "reason": "再看" })).await;
    assert_eq!((damaged.status, damaged.code()), (500, "unsealable"), "{}", damaged.text);
    assert_eq!(bench.store.verify_audit().await.unwrap(), Trail::Whole(3));
}

#[tokio::test]
async fn a_person_decides_about_what_was_held() {
    let bench = Bench::start().await;
    let mut held = Said::new("item-1", "请尽快处理");
    held.disposition = Disposition::Hold;
    bench.issue(&[held, Said::new("item-2", "白塔区路灯不亮")]).await;
    let one = |place: &str| format!("/v1/entries?place={place}");
    let held = bench.get(READ, &one("held")).await.body["entries"][0]["id"].clone();
    let accepted = bench.get(READ, &one("ticket")).await.body["entries"][0]["id"].clone();

    let decision = json!({ "disposition": "accept", "article": "6", "reason": "已电话核实" });
    let decided = bench.post(ADMIN, &format!("/v1/entries/{held}/decide"), decision.clone()).await;
    assert_eq!((decided.status, &decided.body["entry"]), (202, &held), "{}", decided.text);
    let waiting = bench.store.pending(EntryId(0), 10, usize::MAX).await.unwrap();
    let ruling = waiting[0].ruling.as_ref().unwrap();
    assert_eq!((ruling.actor.as_str(), ruling.disposition), ("office", Disposition::Accept));

    let late = bench.post(ADMIN, &format!("/v1/entries/{accepted}/decide"), decision.clone()).await;
    assert_eq!((late.status, late.code()), (409, "conflict"), "{}", late.text);
    assert_eq!(bench.post(ADMIN, "/v1/entries/999/decide", decision).await.status, 404);
    let bad = json!({ "disposition": "decline", "article": "99", "reason": "x" });
    assert_eq!(bench.post(ADMIN, &format!("/v1/entries/{held}/decide"), bad).await.status, 422);

    assert_eq!(bench.call(ADMIN, Method::POST, &format!("/v1/entries/{accepted}/replay"), None).await.status, 202);
    let actions: Vec<String> = bench.store.audit_rows(0, 10).await.unwrap().into_iter().map(|row| row.action).collect();
    assert_eq!(actions, ["entry.decide", "entry.replay"]);

    let story = bench.get(READ, &format!("/v1/entries/{accepted}")).await.body;
    assert_eq!(story["decisions"][0]["disposition"], "accept");
    let sums = bench.get(READ, "/v1/accounting").await.body;
    assert_eq!((&sums["entries"], &sums["in_tickets"], &sums["held"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(sums["balances"], true);
}

#[tokio::test]
async fn connectors_are_switched_run_and_rewound_and_it_is_written_down() {
    let bench = Bench::start().await;
    let at = |what: &str| format!("/v1/connectors/portal/{what}");
    let before = bench.get(READ, "/v1/connectors").await.body["connectors"][0].clone();
    assert_eq!((&before["enabled"], &before["health"]), (&json!(true), &Value::Null));

    let off = bench.post(ADMIN, &at("disable"), json!({ "reason": "门户升级" })).await.body;
    assert_eq!(off["enabled"], false);
    assert!(off["generation"].as_i64() > before["generation"].as_i64(), "its task must notice");
    assert_eq!(bench.call(ADMIN, Method::POST, &at("enable"), None).await.body["enabled"], true);
    assert_eq!(bench.call(ADMIN, Method::POST, &at("run"), None).await.body["run_requested"], true);
    let cursor = json!({ "since": "2026-11-01" });
    assert_eq!(bench.post(ADMIN, &at("rewind"), json!({ "cursor": cursor })).await.body["cursor"], cursor);
    for bad in [json!({}), json!({ "cursor": 3 }), json!({ "cursor": "x" })] {
        assert_eq!(bench.post(ADMIN, &at("rewind"), bad).await.status, 422, "forgetting must be said in so many words");
    }
    assert_eq!(bench.post(ADMIN, &at("rewind"), json!({ "cursor": null })).await.body["cursor"], Value::Null);
    let detail = bench.get(READ, "/v1/connectors/portal").await.body;
    assert_eq!(detail["definition"]["settings"]["secret"], json!({ "env": "PORTAL_SECRET" }));
    assert_eq!(bench.post(ADMIN, "/v1/connectors/nowhere/disable", json!({})).await.status, 404);

    let trail = bench.store.audit_rows(0, 10).await.unwrap();
    let actions: Vec<&str> = trail.iter().map(|row| row.action.as_str()).collect();
    let expected = ["disable", "enable", "run", "rewind", "rewind"].map(|what| format!("connector.{what}"));
    assert_eq!(actions, expected);
    assert_eq!(trail[0].at, bench.clock.now());
    assert_eq!(bench.store.verify_audit().await.unwrap(), Trail::Whole(5));
}
