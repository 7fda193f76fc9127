//! One matter in other words: joined when it is issued, known again after a restart, merged and parted by hand.

use jiesu::{
    issue::Relation,
    store::{Dialect, Store, merges::Asked, read::EntryStory, search::EntryFilter},
};
use reqwest::StatusCode;
use serde_json::json as value;

use crate::harness::{Holdings as _, Site, eventually, inlet, now};

/// A telephone form: who calls, the title, the place, what happened.
async fn call(site: &Site, id: &str, caller: &str, [title, place, course]: [&str; 3]) {
    let form = value!({
        "call_id": id, "caller": caller, "start": "2026-11-20 09:00:00",
        "form": {
            "kind": "投诉", "title": title, "place": place, "course": course, "request": "请尽快处理",
            "contact": { "name": named(caller), "phone": caller, "wants_answer": true },
        },
    });
    let answered = site.push("calls", id, form.to_string()).await.unwrap();
    assert_eq!(answered.status, StatusCode::OK, "{id}");
}

/// A name for each caller: namesakes would be taken for one person.
fn named(caller: &str) -> &'static str {
    ["王建国", "李秀英", "张文斌", "赵淑珍"][usize::from(caller.as_bytes()[caller.len() - 1] - b'0') % 4]
}

async fn told(store: &Store, id: &str) -> EntryStory {
    let entries = store.entries(&EntryFilter::default(), 100).await.unwrap();
    let found = entries.iter().find(|entry| entry.external_id == id).unwrap();
    store.entry(found.id).await.unwrap()
}

const HEATING: [&str; 3] =
    ["暖气不热", "白塔区锦绣花园3号楼", "锦绣花园3号楼暖气片一直不热，室温只有十四度，报修没人来。"];
const HEATING_AGAIN: [&str; 3] =
    ["供热公司不管", "白塔区锦绣花园3号楼", "我家在锦绣花园3号楼，暖气不热半个月了，测温十四度，供热公司总说排队。"];
const HEATING_ELSEWHERE: [&str; 3] =
    ["暖气不热", "白塔区锦绣花园8号楼", "锦绣花园8号楼暖气片一直不热，室温只有十四度，报修没人来。"];
const HEATING_THIRD: [&str; 3] =
    ["屋里冷", "白塔区锦绣花园3号楼", "锦绣花园3号楼还是暖气不热，室温上不去，打了供热公司几次电话没有用。"];

async fn one_matter_in_other_words(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&format!("join_other_words = true\n{}", inlet("calls")));
    let gateway = site.start().await;
    let store = site.store().await;
    call(&site, "C-1", "13900000001", HEATING).await;
    call(&site, "C-2", "13900000002", HEATING_AGAIN).await;
    call(&site, "C-3", "13900000003", HEATING_ELSEWHERE).await;
    store.settled(3).await;

    let first = told(&store, "C-1").await;
    let other_words = told(&store, "C-2").await;
    let elsewhere = told(&store, "C-3").await;
    let number = first.summary.ticket.unwrap();
    assert_eq!(other_words.summary.ticket, Some(number), "{other_words:?}");
    let complaint = other_words.complaint.unwrap();
    assert_eq!(complaint.relation, Some(Relation::CoReport));
    assert_eq!(complaint.matching.sign.as_deref(), Some("matter"));
    assert!(complaint.matching.signs.iter().any(|sign| sign.contains("锦绣花园")), "{complaint:?}");
    // Another building is another matter, and is shown beside it.
    let apart = elsewhere.summary.ticket.unwrap();
    assert_ne!(apart, number);
    let related = elsewhere.complaint.unwrap().matching.related;
    assert!(related.iter().any(|one| one.against.iter().any(|sign| sign.contains("楼号不同"))), "{related:?}");

    // What was issued before is known again by a process that has just started.
    gateway.stop().await;
    let gateway = site.start().await;
    call(&site, "C-4", "13900000001", HEATING_THIRD).await;
    store.settled(4).await;
    let again = told(&store, "C-4").await;
    assert_eq!(again.summary.ticket, Some(number), "{again:?}");
    let relation = again.complaint.unwrap().relation.unwrap();
    assert!(matches!(relation, Relation::Repeat | Relation::FollowUp), "{relation:?}");

    // Merged by hand, and parted again without a trace in either ticket.
    let asked = |reason| Asked { actor: "test", reason, now: now() };
    let before = (store.ticket(number).await.unwrap(), store.ticket(apart).await.unwrap());
    store.merge_tickets(number, apart, asked("同一换热站")).await.unwrap();
    let kept = store.ticket(number).await.unwrap();
    assert_eq!((kept.complaints.len(), kept.co_reports), (4, 2));
    assert_eq!(store.ticket(apart).await.unwrap().merged_into, Some(number));
    assert!(store.merge_tickets(number, apart, asked("再并")).await.is_err());
    assert_eq!(store.unmerge_ticket(apart, asked("并错了")).await.unwrap(), number);
    let after = (store.ticket(number).await.unwrap(), store.ticket(apart).await.unwrap());
    assert_eq!(
        (before.0.complaints, before.1.complaints, before.0.co_reports),
        (after.0.complaints, after.1.complaints, after.0.co_reports)
    );
    assert_eq!(after.1.merged_into, None);

    // Taken out of its ticket, a complaint opens its own, and does not go back.
    let entry = told(&store, "C-2").await.summary.id;
    assert_eq!(store.split_off(entry, asked("不是一件事")).await.unwrap(), number);
    let split =
        eventually("the complaint has a ticket of its own", async || told(&store, "C-2").await.summary.ticket).await;
    assert!(split != number && split != apart);
    let labels = store.match_labels(0, 10).await.unwrap();
    let relations: Vec<&str> = labels.iter().map(|label| label.relation.as_str()).collect();
    assert_eq!(relations, ["same", "different", "different"]);
    assert!(store.accounting().await.unwrap().balances());
    gateway.stop().await;
}

#[tokio::test]
async fn one_matter_in_other_words_is_one_ticket_and_can_be_parted() {
    one_matter_in_other_words(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn one_matter_in_other_words_is_one_ticket_and_can_be_parted_on_postgres() {
    one_matter_in_other_words(Dialect::Postgres).await;
}

#[tokio::test]
async fn many_reports_of_one_matter_are_a_hot_spot() {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&format!("join_other_words = true\n{}", inlet("calls")));
    let gateway = site.start().await;
    let store = site.store().await;
    for (number, told) in [HEATING, HEATING_AGAIN, HEATING_THIRD].into_iter().enumerate() {
        call(&site, &format!("C-{number}"), &format!("1390000000{number}"), told).await;
    }
    store.settled(3).await;
    let day = jiff::SignedDuration::from_hours(24);
    let spots = store.hot_spots(now() - day, now() - day * 2, 3, 10).await.unwrap();
    assert_eq!(spots.len(), 1, "{spots:?}");
    assert_eq!((spots[0].complaints, spots[0].recent, spots[0].before, spots[0].growth), (3, 3, 0, 3));
    assert_eq!(spots[0].place.as_deref(), Some("白塔区锦绣花园3号楼"));
    assert!(store.hot_spots(now() - day, now() - day * 2, 4, 10).await.unwrap().is_empty());
    gateway.stop().await;
}
