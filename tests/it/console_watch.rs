//! What the console shows of how channels fare and what many people report, from the outside.

use connectors::clock::Clock as _;
use jiesu::{
    alarms::{AlarmKind, NewAlarm},
    reconcile::{Missing, Outcome},
    store::{
        accounts::Role,
        connectors::{Health, HealthState},
        reconcile::ReconciliationState,
    },
};

use crate::{
    bench::{Bench, CONNECTOR, Said},
    console::{account, inside},
    harness::name,
};

#[tokio::test]
async fn what_many_people_report_is_a_hot_spot() {
    let bench = Bench::start().await;
    account(&bench, "li", Role::Viewer).await;
    let mut li = inside(&bench, "li").await;
    assert!(li.get(&bench, "/console/hotspots").await.text.contains("这段时期没有热点"));
    let text = "白塔区新华小区<b>自来水</b>停了两天，至今没有恢复，请尽快修好";
    let said: Vec<Said> = (0..4)
        .map(|number| Said { phone: format!("1390000{number:04}"), ..Said::new(format!("water-{number}"), text) })
        .collect();
    bench.issue(&said[..1]).await;
    bench.advance(600);
    bench.issue(&said[1..]).await;
    let page = li.get(&bench, "/console/hotspots").await;
    let spots = bench.store.hot_spots(jiff::Timestamp::MIN, jiff::Timestamp::MIN, 3, 10).await.unwrap();
    assert_eq!((spots.len(), spots[0].complaints), (1, 4));
    assert!(page.text.contains(&format!("/console/tickets/{}", spots[0].number)), "{}", page.text);
    assert!(page.text.contains("+4") && !page.text.contains("<b>自来水"), "{}", page.text);
    assert!(li.get(&bench, "/console/hotspots?days=1&least=5").await.text.contains("这段时期没有热点"));
    assert_eq!(li.get(&bench, "/console/hotspots?days=99999&least=-1").await.status, 200, "what is not offered");
}

#[tokio::test]
async fn a_silent_channel_says_so_in_its_state() {
    let bench = Bench::start().await;
    account(&bench, "li", Role::Viewer).await;
    let mut li = inside(&bench, "li").await;
    let now = bench.clock.now();
    let health = Health {
        state: HealthState::Waiting,
        last_success_at: Some(now),
        last_entry_at: Some(now),
        ..Health::unknown(now)
    };
    bench.store.put_health(&name(CONNECTOR), &health).await.unwrap();
    assert!(!li.get(&bench, "/console/connectors").await.text.contains("异常静默"));
    let alarm = NewAlarm::of_connector(AlarmKind::ConnectorSilent, &name(CONNECTOR), "静默", "silent");
    bench.store.raise_alarm(&alarm, now).await.unwrap();
    for path in ["/console/connectors".to_owned(), format!("/console/connectors/{CONNECTOR}"), "/console".to_owned()] {
        assert!(li.get(&bench, &path).await.text.contains("异常静默，自 11-23 09:00:00"), "{path}");
    }
    // What is worse is said first.
    let failing = Health { state: HealthState::Failing, last_error_class: Some("authentication".to_owned()), ..health };
    bench.store.put_health(&name(CONNECTOR), &failing).await.unwrap();
    let page = li.get(&bench, "/console/connectors").await;
    assert!(page.text.contains("认证失败") && !page.text.contains("异常静默"), "{}", page.text);
    bench.store.clear_alarm(AlarmKind::ConnectorSilent, CONNECTOR, now).await.unwrap();
}

#[tokio::test]
async fn a_source_is_compared_and_what_is_missing_is_named() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let mut chef = inside(&bench, "chef").await;
    let path = format!("/console/connectors/{CONNECTOR}");
    assert!(chef.get(&bench, &path).await.text.contains("还没有对过账"));
    let page = chef.post(&bench, &format!("{path}/compare"), &[("hours", "24")]).await;
    assert_eq!(page.location(), format!("{path}?done=compared"), "{}", page.text);
    assert!(chef.get(&bench, &path).await.text.contains("等待中"));
    let asked = bench.store.next_reconciliation().await.unwrap().unwrap();
    assert_eq!((asked.asked_by.as_str(), asked.state), ("console:chef", ReconciliationState::Asked));
    assert_eq!(asked.to.duration_since(asked.from).as_hours(), 24);
    let outcome = Outcome {
        held: 7,
        stored: 6,
        missing: 1,
        named: vec![Missing { id: "uid-<42>".to_owned(), place: "INBOX 第 42 封".to_owned() }],
        whole: true,
        ..Outcome::default()
    };
    bench.store.end_reconciliation(asked.id, "done", Some(&outcome), None, bench.clock.now()).await.unwrap();
    let page = chef.get(&bench, &path).await;
    for expected in ["有缺件", "INBOX 第 42 封", "uid-&#60;42&#62;", "缺少以下 1 件"] {
        assert!(page.text.contains(expected), "{expected}: {}", page.text);
    }
    let trail = bench.store.audit_rows(0, 100).await.unwrap();
    assert!(trail.iter().any(|row| row.action == "connector.reconcile" && row.subject == CONNECTOR));
}
