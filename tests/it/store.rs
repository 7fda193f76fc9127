//! The promises of the store under what several gateways, senders and people do at the same time.

use std::time::Duration;

use connectors::{clock::Clock as _, contract::Cursor, entry::Revision};
use jiesu::{
    assess::{Article, Disposition},
    ids::EntryId,
    issue::Ruling,
    store::{
        Dialect, Store, StoreError,
        connectors::{Health, HealthState},
        intake::{NewEntry, NewItem, Taken},
        journal::Act,
        queue::DeliveryPolicy,
    },
};
use serde_json::json;

use crate::{
    bench::{Bench, Said, matters},
    harness::{Site, eventually, name, now},
};

const ACT: Act<'static> = Act { actor: "office", action: "test", subject: "test", reason: None };

/// What was assessed before another gateway took the stage over and issued it is not issued a second time, whatever lease
/// its holder has by then.
#[tokio::test]
async fn a_batch_that_was_issued_meanwhile_is_not_issued_again() {
    let bench = Bench::start().await;
    let said = matters(3);
    bench.take(&said).await;
    let candidates = bench.candidates(&said).await;
    bench.commit(&candidates).await.unwrap();

    let again = bench.commit(&candidates).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let sums = bench.store.accounting().await.unwrap();
    assert_eq!((sums.in_tickets, sums.tickets, sums.pending), (3, 3, 0));
    let tickets = bench.store.tickets(None, 10).await.unwrap();
    assert!(tickets.iter().all(|ticket| ticket.version == 1 && ticket.repeats == 0), "{tickets:?}");
    assert_eq!(bench.store.queue_depth().await.unwrap().ready, 3);
}

/// A source that edits its items while entries wait leaves two states of one item in one batch: one ticket, not two.
#[tokio::test]
async fn two_states_of_one_item_that_wait_together_come_into_one_ticket() {
    let bench = Bench::start().await;
    let said = [
        Said::new("item", "白塔区新华小区自来水停了两天"),
        Said::new("item", "白塔区新华小区自来水停了三天，还没有来水"),
    ];
    let entries: Vec<NewItem> =
        ["a", "b"].into_iter().zip(&said).map(|(revision, said)| state(&bench, said, revision).into()).collect();
    bench.store.take_deliveries(&entries).await.unwrap();
    let mut candidates = bench.candidates(&said).await;
    for candidate in &mut candidates {
        candidate.revised = true;
    }
    bench.commit(&candidates).await.unwrap();

    let tickets = bench.store.tickets(None, 10).await.unwrap();
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert_eq!((tickets[0].revisions, tickets[0].version), (1, 2));
}

fn state(bench: &Bench, said: &Said, revision: &str) -> NewEntry {
    NewEntry { revision: Revision::stored(revision.to_owned()), ..bench.entry(said, bench.clock.now()) }
}

/// A partner that numbers its deliveries anew must not have its items taken for repeats and dropped.
#[tokio::test]
async fn an_item_under_the_id_of_an_older_delivery_is_refused_and_not_called_a_repeat() {
    let bench = Bench::start().await;
    let delivery = |item: &str, revision: &str, delivery: &str| {
        let mut entry = state(&bench, &Said::new(item, "白塔区新华小区自来水停了两天"), revision);
        entry.delivery_id = Some(delivery.to_owned());
        entry
    };
    let cases = [
        ("new", delivery("one", "a", "1"), Taken::Stored(EntryId(1))),
        ("sent again", delivery("one", "a", "1"), Taken::Repeat),
        ("sent again, written a little differently", delivery("one", "b", "1"), Taken::Repeat),
        ("the same item in another delivery", delivery("one", "a", "2"), Taken::Repeat),
        ("another item under an old id", delivery("two", "a", "1"), Taken::Reused),
        ("the same, under an id of its own", delivery("two", "a", "3"), Taken::Stored(EntryId(0))),
    ];
    for (what, entry, expected) in cases {
        let taken = bench.store.take_deliveries(&[entry.into()]).await.unwrap();
        let stored = |taken| matches!(taken, Taken::Stored(_));
        assert!(taken == [expected] || stored(taken[0]) && stored(expected), "{what}: {taken:?}");
    }
    let together = [delivery("three", "a", "4").into(), delivery("four", "a", "4").into()];
    let taken = bench.store.take_deliveries(&together).await.unwrap();
    assert!(matches!(taken[..], [Taken::Stored(_), Taken::Reused]), "{taken:?}");
    assert_eq!(bench.store.accounting().await.unwrap().entries, 3);
}

/// The sums prove something only if an entry that is nowhere does not pass for one that waits.
#[tokio::test]
async fn an_entry_that_is_nowhere_unbalances_the_sums() {
    let bench = Bench::start().await;
    bench.take(&matters(2)).await;
    assert!(bench.store.accounting().await.unwrap().balances());
    bench.corrupt("DELETE FROM pending WHERE entry_id = (SELECT MIN(entry_id) FROM pending)").await;
    let sums = bench.store.accounting().await.unwrap();
    assert_eq!((sums.entries, sums.pending, sums.balances()), (2, 1, false));
}

#[tokio::test]
async fn a_decision_that_waits_is_not_forgotten_when_the_entry_is_replayed() {
    let bench = Bench::start().await;
    bench.take(&matters(1)).await;
    let entry = bench.store.pending(EntryId(0), 1, usize::MAX).await.unwrap()[0].id;
    let ruling = Ruling::new("office", Disposition::Accept, Article::new(6), "经电话核实");
    bench.store.reissue(entry, Some(&ruling), ACT, bench.clock.now()).await.unwrap();
    bench.store.reissue(entry, None, ACT, bench.clock.now()).await.unwrap();
    let waiting = bench.store.pending(EntryId(0), 1, usize::MAX).await.unwrap();
    assert_eq!((waiting[0].ruling.as_ref(), waiting[0].again), (Some(&ruling), 2));
}

#[tokio::test]
async fn c02_a_row_that_cannot_be_read_keeps_no_other_from_being_issued() {
    let bench = Bench::start().await;
    bench.take(&matters(3)).await;
    bench.corrupt("UPDATE pending SET ruling = '{' WHERE entry_id = (SELECT MIN(entry_id) FROM pending)").await;
    let waiting = bench.store.pending(EntryId(0), 10, usize::MAX).await.unwrap();
    let unreadable: Vec<_> = waiting.iter().map(|entry| entry.unreadable).collect();
    assert_eq!(unreadable, [Some("ruling"), None, None]);
}

/// Many consumers ask at the moment at which a lease runs out: each ticket goes to one of them, who keeps it.
#[tokio::test]
async fn c05_a_lease_that_runs_out_passes_to_one_consumer_only() {
    let bench = Bench::start().await;
    bench.issue(&matters(4)).await;
    let policy = DeliveryPolicy { max_attempts: 1000, retry_delay: Duration::ZERO };
    let term = Duration::from_secs(10);
    let lease = async |store: Store, now| store.lease_deliveries("handling", 4, term, policy, now).await.unwrap();
    assert_eq!(lease(bench.store.clone(), bench.clock.now()).await.len(), 4);
    for round in 0..20 {
        bench.advance(11);
        let now = bench.clock.now();
        let asked = (0..8).map(|_| lease(bench.store.clone(), now));
        let leased: Vec<_> = futures::future::join_all(asked).await.into_iter().flatten().collect();
        let mut tickets: Vec<_> = leased.iter().map(|leased| leased.ticket).collect();
        tickets.sort_unstable();
        tickets.dedup();
        assert_eq!((leased.len(), tickets.len()), (4, 4), "round {round}: {leased:?}");
    }
}

async fn reaches(store: &Store, state: HealthState) {
    eventually(&format!("{state:?}"), async || {
        let health = store.health(&name("letters")).await.unwrap()?;
        (health.state == state).then_some(())
    })
    .await;
}

/// The state of a connector that is switched off, on and off again is the one that it has, every time.
#[tokio::test]
async fn a_connector_tells_that_it_is_switched_off_each_time_that_it_is() {
    let site = Site::new(Dialect::Sqlite).await;
    let letters = tempfile::tempdir().unwrap();
    site.configure(&folder(letters.path()));
    let gateway = site.start().await;
    let store = site.store().await;
    for _ in 0..3 {
        store.switch_connector(&name("letters"), true, ACT, now()).await.unwrap();
        reaches(&store, HealthState::Waiting).await;
        store.switch_connector(&name("letters"), false, ACT, now()).await.unwrap();
        reaches(&store, HealthState::Disabled).await;
    }
    gateway.stop().await;
}

/// A gateway that waited for the lease on a source goes on where its predecessor left off, not where that stood when it
/// began to wait; and it does not speak over what its predecessor reported.
#[tokio::test]
async fn fail_over_goes_on_where_the_other_gateway_left_off() {
    let site = Site::new(Dialect::Sqlite).await;
    let letters = tempfile::tempdir().unwrap();
    site.configure(&folder(letters.path()));
    let store = site.store().await;
    let other = store.take_lease("source:letters", "other", now(), Duration::from_hours(1)).await.unwrap().unwrap();
    let gateway = site.start().await;
    eventually("the gateway waits for the lease", async || gateway.log().contains("read by another").then_some(()))
        .await;

    // The other gateway reads on, and reports.
    let cursor = Cursor(json!({ "file": "before.csv", "digest": "d", "offset": 7, "total": 7 }));
    let moved = r#"UPDATE connector SET cursor = '{"file":"before.csv","digest":"d","offset":7,"total":7}'"#;
    site.run(&[moved]).await;
    let reported = "2026-11-23T01:00:00Z".parse().unwrap();
    store
        .put_health(&name("letters"), &Health { last_entry_at: Some(reported), ..Health::unknown(now()) })
        .await
        .unwrap();

    store.return_lease(&other).await.unwrap();
    eventually("a run", async || {
        let health = store.health(&name("letters")).await.unwrap()?;
        (health.state == HealthState::Waiting && health.last_success_at.is_some()).then_some(())
    })
    .await;
    assert_eq!(store.health(&name("letters")).await.unwrap().unwrap().last_entry_at, Some(reported));
    assert_eq!(store.connector(&name("letters")).await.unwrap().cursor, Some(cursor));
    gateway.stop().await;
}

fn folder(path: &std::path::Path) -> String {
    format!(
        "[[connector]]\nname = \"letters\"\nchannel = \"letter\"\nadapter = \"files\"\nevery_seconds = 1\n\
         settings = {{ folder = \"{}\" }}\n",
        path.display()
    )
}
