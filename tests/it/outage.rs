//! A connector whose source is away for a day, one that is taken out and put back, and one that changes as a page ends.

use std::{sync::Arc, time::Duration};

use connectors::{
    clock::{Clock as _, ManualClock},
    contract::Cursor,
};
use jiesu::{
    config,
    demo::board::Misbehaviour,
    gateway::Gateway,
    store::{Dialect, Store, StoreError, connectors::HealthState, intake::PageOrigin, journal::Act, read::Accounting},
};
use jiff::SignedDuration;
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    bench::{Bench, CONNECTOR, Said},
    harness::{Holdings as _, Signed, Site, board, eventually, inlet, name, now},
    mails::forms,
    spine::{Neighbour, ids, message},
};

/// A gateway within this process, whose day is as short as the test makes it.
async fn by_the_clock(site: &Site, clock: &ManualClock) -> Gateway {
    let config = config::load(&site.file()).unwrap();
    Gateway::start(config, None, Arc::new(clock.clone()), Arc::new(|| 0.5)).await.unwrap()
}

/// The source of one connector answers nothing but errors for 24 hours by the gateway's clock, while its citizens go on
/// writing: 480 items, 48 of its pages. Halfway the gateway is restarted. Two other connectors are read meanwhile, again and again.
async fn a_day_away(dialect: Dialect) {
    let (site, clock) = (Site::new(dialect).await, ManualClock::new(now()));
    let (away, there) = (Neighbour::new(12).await, Neighbour::new(12).await);
    site.configure(&[board("away", &away.base), board("there", &there.base), inlet("calls")].concat());
    let mut gateway = by_the_clock(&site, &clock).await;
    let store = site.store().await;
    let read = async |connector: &str, source: &Neighbour| {
        eventually(connector, async || (ids(&store, connector).await == source.ids()).then_some(())).await;
    };
    read("away", &away).await;
    read("there", &there).await;
    let before = away.ids();

    away.state.misbehave(Misbehaviour::ServerError, u32::MAX);
    let calls = forms(11, 12);
    for (turn, call) in (0_u64..).zip(&calls) {
        clock.advance(SignedDuration::from_hours(2));
        (0..40).for_each(|number| away.state.publish(message(26_001_000 + turn * 40 + number, "1010")));
        there.state.publish(message(26_001_000 + turn, "1010"));
        let delivery = Signed { at: Some(clock.now()), ..Signed::new("calls", &format!("d-{turn}"), call.to_string()) };
        assert_eq!(site.push_as(&delivery).await.unwrap().status, StatusCode::OK, "turn {turn}");
        read("there", &there).await;
        if turn == 5 {
            assert!(gateway.stop().await, "it ended in time");
            gateway = by_the_clock(&site, &clock).await;
        }
    }
    let health = store.health(&name("away")).await.unwrap().unwrap();
    assert_eq!(health.state, HealthState::Retrying, "{health:?}");
    let last = health.last_success_at.unwrap();
    assert!(clock.now().duration_since(last) >= SignedDuration::from_hours(22), "the last success is told: {health:?}");
    assert_eq!(ids(&store, "away").await, before);
    let other = store.health(&name("there")).await.unwrap().unwrap();
    assert_eq!((other.failures, other.last_error), (0, None), "the others notice nothing");

    // Nobody does anything: it is asked again by itself.
    away.state.behave();
    read("away", &away).await;
    let held = away.ids().len() + there.ids().len() + calls.len();
    let Accounting { entries, pending, quarantined, in_tickets, .. } = store.settled(held).await;
    let all = i64::try_from(held).unwrap();
    assert_eq!((entries, pending, quarantined, in_tickets), (all, 0, 0, all), "everything, and nothing twice");
    let health = eventually("it fares well again", async || {
        store.health(&name("away")).await.unwrap().filter(|health| health.failures == 0)
    });
    assert!(health.await.last_success_at.unwrap() > last);
    assert!(gateway.stop().await, "it ended in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_a_source_that_was_away_for_a_day_is_read_whole_and_once_and_the_others_notice_nothing() {
    a_day_away(Dialect::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: scripts/test"]
async fn b02_a_source_that_was_away_for_a_day_is_read_whole_and_once_and_the_others_notice_nothing_on_postgres() {
    a_day_away(Dialect::Postgres).await;
}

#[tokio::test]
async fn b09_a_connector_put_back_goes_on_from_its_cursor() {
    let site = Site::new(Dialect::Sqlite).await;
    let source = Neighbour::new(12).await;
    let with = [board("board", &source.base), inlet("calls")].concat();
    site.configure(&with);
    let gateway = site.start().await;
    let store = site.store().await;
    let arrived = async || {
        eventually("everything is read", async || (ids(&store, "board").await == source.ids()).then_some(())).await;
    };
    arrived().await;
    // The name goes out of the file; its cursor and its entries stay.
    site.configure(&inlet("calls"));
    eventually("it is switched off", async || (!store.connector(&name("board")).await.unwrap().enabled).then_some(()))
        .await;
    let cursor = store.connector(&name("board")).await.unwrap().cursor.expect("it is kept");
    (0..5).for_each(|number| source.state.publish(message(26_001_000 + number, "1010")));
    let asked = source.state.asked().0;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(source.state.asked().0, asked, "nobody reads it");
    assert_eq!(store.connector(&name("board")).await.unwrap().cursor, Some(cursor));

    site.configure(&with);
    arrived().await;
    assert_eq!(store.all_entries().await.len(), 17, "what is new, and nothing twice");
    gateway.stop().await;
}

/// What happens between the end of a page and its commit: the page was read by a definition, or a cursor, that holds no more.
#[tokio::test]
async fn a16_a_change_between_a_pages_end_and_its_commit_stores_nothing() {
    let bench = Bench::start().await;
    let store: &Store = &bench.store;
    let connector = name(CONNECTOR);
    let at = bench.clock.now();
    let lease = store.take_lease("source:portal", "one", at, Duration::from_secs(30)).await.unwrap().unwrap();
    let generation = store.connector(&connector).await.unwrap().generation;
    let origin = PageOrigin { connector: &connector, lease: &lease, generation };
    let page = [bench.entry(&Said::new("one", "白塔区新华小区自来水停了两天"), at).into()];

    let act = Act { actor: "office", action: "connector.rewind", subject: CONNECTOR, reason: None };
    store.rewind_connector(&connector, None, act, at).await.unwrap();
    let refused = store.take_page(&origin, &Cursor(json!({ "page": 1 })), &page).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let stored = store.connector(&connector).await.unwrap();
    assert_eq!((stored.cursor, store.all_entries().await.len()), (None, 0), "neither the page nor its cursor");

    // Read again under the new generation, it is there, once.
    let origin = PageOrigin { generation: stored.generation, ..origin };
    for _ in 0..2 {
        store.take_page(&origin, &Cursor(json!({ "page": 1 })), &page).await.unwrap();
    }
    assert_eq!(store.all_entries().await.len(), 1);
}
