//! A connector that is taken out and put back, and one that changes as a page ends.

use std::time::Duration;

use connectors::{clock::Clock as _, contract::Cursor};
use jiesu::store::{Dialect, Store, StoreError, intake::PageOrigin, journal::Act};
use serde_json::json;

use crate::{
    bench::{Bench, CONNECTOR, Said},
    harness::{Holdings as _, Site, board, eventually, inlet, name},
    spine::{Neighbour, ids, message},
};

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
