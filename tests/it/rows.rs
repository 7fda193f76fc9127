//! Rows of `docs/failures.md` that belong to no part alone: loops, dead tokens, what may never change, a database that refuses.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{Router, http::StatusCode as Status, routing::post};
use connectors::fault::FaultClass;
use jiesu::store::{
    Dialect,
    accounts::Role,
    connectors::{Health, HealthState},
    journal::Trail,
};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};
use tokio::{net::TcpListener, process::Command, task::JoinSet};

use crate::{
    bench::{Bench, CONNECTOR},
    console::{account, inside},
    harness::{Holdings as _, PARTNER, Site, eventually, inlet, json, mailbox, name, now, secret},
    mails::forms,
    services::Mailbox,
    spine::{Office, WATER, letter, read_mail},
};

/// Every file of Rust below a folder.
fn sources(folder: &Path, text: &mut String) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_page_of_failures_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for folder in ["src", "tests", "connectors"] {
        sources(&root.join(folder), &mut text);
    }
    let page = include_str!("../../docs/failures.md");
    let is_name = |word: &&str| {
        word.matches('_').count() > 1
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(named.len() > 150, "{} tests are named", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !text.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// How a machine answers that does not say that it is one.
const MACHINES: [(&str, &str); 3] = [
    ("quoting", "您好，您的来信已收到，我们会尽快处理。\n\n> "),
    ("alike", "您好，您的来信已收到，我们会尽快处理。白塔区新华小区停水的问题请继续关注。"),
    ("varied", "白塔区新华小区停水至今没有恢复，请尽快处理，这是第"),
];

/// The daily cap of notices to one address.
const CAP: usize = 3;

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a09_a_machine_that_does_not_say_so_is_answered_only_up_to_the_cap() {
    let office = Office::new(Dialect::Sqlite, "unsaid", &format!("daily_cap = {CAP}")).await;
    let gateway = office.site.start().await;
    let store = office.site.store().await;
    let (mut number, mut most) = (0, 0);
    for (kind, words) in MACHINES {
        let machine = Mailbox::new(&format!("machine-{kind}"));
        let from = format!("{}@mail.example", machine.user);
        let mut write = |subject: &str, text: &str| {
            number += 1;
            office.mailbox.deliver(&letter(&from, number, subject, text, ""));
            usize::try_from(number).unwrap()
        };
        let mut entries = write(&format!("{kind}：{}", WATER.0), &format!("{}（{kind}）", WATER.1));
        let mut answered = 0;
        // It answers each notice at once, for as long as there is one to answer.
        loop {
            store.settled(entries).await;
            eventually("every notice is settled", async || {
                let waiting = office.site.numbers("SELECT COUNT(*) FROM notice WHERE state = 'pending'").await;
                (waiting == [0]).then_some(())
            })
            .await;
            let received = machine.delivered_in_order();
            assert!(received.len() <= CAP, "{kind}: {} notices", received.len());
            if received.len() == answered {
                break;
            }
            for notice in &received[answered..] {
                let notice = read_mail(notice);
                let text = match kind {
                    "quoting" => format!("{words}{}", notice.body.replace('\n', "\n> ")),
                    "varied" => format!("{words}{}次来信。", entries + 1),
                    _ => words.to_owned(),
                };
                entries = write("已收到您的来信", &text);
            }
            answered = received.len();
        }
        assert!(answered > 0, "{kind}: the first letter is answered");
        println!("{kind}: {answered} notices, {entries} letters in all");
        most = most.max(answered);
    }
    assert_eq!(most, CAP, "one of them would go on for ever without the cap");
    gateway.stop().await;
}

/// A token endpoint that gives nothing any more.
async fn dead_tokens() -> (String, JoinSet<()>) {
    let refuse = || async { (Status::BAD_REQUEST, axum::Json(json!({ "error": "invalid_grant" }))) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, Router::new().route("/token", post(refuse))).await.unwrap() });
    (url, server)
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a11_a_dead_token_is_told_disturbs_nobody_and_is_mended_without_deleting_the_connector() {
    let (site, box_) = (Site::new(Dialect::Sqlite).await, Mailbox::new("dead-token"));
    let (token_url, _server) = dead_tokens().await;
    let by_password = mailbox("mayor", &box_, "");
    let oauth = format!(
        "[connector.settings.oauth]\ntoken_url = \"{token_url}\"\nclient_id = \"jiesu\"\nrefresh_token = {{ file = \"secret-7\" }}\n"
    );
    let by_token = by_password.replace("password = { env = \"JIESU_TEST_IMAP_PASSWORD\" }\n", &oauth);
    site.configure(&[by_token, inlet("calls")].concat());
    let gateway = site.start().await;
    let store = site.store().await;
    let health = eventually("the fault is told", async || {
        store.health(&name("mayor")).await.unwrap().filter(|health| health.state == HealthState::Failing)
    });
    let health = health.await;
    assert_eq!(health.last_error_class.as_deref(), Some(FaultClass::Authentication.as_str()), "{health:?}");
    let listed = Command::new(env!("CARGO_BIN_EXE_jiesu"))
        .args(["connector", "list", "--config"])
        .arg(site.file())
        .output()
        .await;
    let listed = listed.unwrap();
    let told = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.status.success() && told.contains("认证失败，自") && told.contains("calls"), "{told}");
    assert_eq!(site.push("calls", "one", forms(4, 1)[0].to_string()).await.unwrap().status, StatusCode::OK);

    // Mended in its place: the same connector, the same entries to come.
    box_.deliver(&letter("wang@mail.example", 1, WATER.0, WATER.1, ""));
    site.configure(&[by_password, inlet("calls")].concat());
    store.settled(2).await;
    let mended = eventually("it fares well", async || {
        store.health(&name("mayor")).await.unwrap().filter(|health| health.state == HealthState::Waiting)
    });
    assert_eq!(mended.await.failures, 0);
    assert!(!gateway.log().contains(secret(PARTNER).expose_secret()), "the refresh token is told");
    gateway.stop().await;
}

#[tokio::test]
async fn a11_the_pages_of_a_connector_without_a_valid_token_say_since_when() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let at = now();
    let mut health = Health::unknown(at);
    health.failed(FaultClass::Authentication, "the token endpoint refuses the refresh token".to_owned(), at);
    health.enter(HealthState::Failing, at);
    bench.store.put_health(&name(CONNECTOR), &health).await.unwrap();
    let mut chef = inside(&bench, "chef").await;
    for path in ["/console".to_owned(), "/console/connectors".to_owned(), format!("/console/connectors/{CONNECTOR}")] {
        let page = chef.get(&bench, &path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert!(page.text.contains(CONNECTOR), "{path}");
    }
    let page = chef.get(&bench, &format!("/console/connectors/{CONNECTOR}")).await;
    assert!(page.text.contains("认证失败") && page.text.contains("refuses the refresh token"), "{}", page.text);
}

/// A13: what was received and what was decided can be read by everybody and changed by nobody, the database's own
/// administrator aside.
async fn nothing_is_rewritten(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&inlet("calls"));
    let gateway = site.start().await;
    let store = site.store().await;
    assert_eq!(site.push("calls", "one", forms(4, 1)[0].to_string()).await.unwrap().status, StatusCode::OK);
    store.settled(1).await;
    store.run_now("calls").await;
    gateway.stop().await;
    let count = async |table: &'static str| {
        site.numbers(match table {
            "entry" => "SELECT COUNT(*) FROM entry",
            "decision" => "SELECT COUNT(*) FROM decision",
            _ => "SELECT COUNT(*) FROM audit",
        })
        .await
    };
    let mut connection = AnyConnection::connect(site.database()).await.unwrap();
    for (table, statements) in [
        ("entry", ["UPDATE entry SET external_id = 'other'", "DELETE FROM entry"]),
        ("decision", ["UPDATE decision SET actor = 'nobody'", "DELETE FROM decision"]),
        ("audit", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"]),
    ] {
        let before = count(table).await;
        assert!(before[0] > 0, "{table} holds something");
        for statement in statements {
            let refused = sqlx::query(statement).execute(&mut connection).await;
            assert!(refused.is_err(), "{statement} was taken");
        }
        assert_eq!(count(table).await, before, "{table}");
    }
    connection.close().await.unwrap();
    assert!(matches!(store.verify_audit().await.unwrap(), Trail::Whole(_)));
}

#[tokio::test]
async fn a13_entries_decisions_and_the_audit_trail_cannot_be_rewritten() {
    nothing_is_rewritten(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a13_entries_decisions_and_the_audit_trail_cannot_be_rewritten_on_postgres() {
    nothing_is_rewritten(Dialect::Postgres).await;
}

/// B5: while the database takes nothing, no delivery is answered as if it had; sent again, each is there once.
async fn pushes_while_the_database_fails(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&inlet("calls"));
    let gateway = site.start().await;
    let store = site.store().await;
    site.run(match dialect {
        Dialect::Sqlite => {
            &["CREATE TRIGGER refuse_it BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'refused'); END"]
        }
        Dialect::Postgres => &[
            "CREATE FUNCTION refusal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
            "CREATE TRIGGER refuse_it BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION refusal()",
        ],
    })
    .await;
    let calls: Vec<Value> = forms(31, 20);
    let push_all = async || {
        let pushes = calls.iter().enumerate().map(|(index, call)| {
            let (id, body) = (format!("d-{index}"), call.to_string());
            let site = &site;
            async move { site.push("calls", &id, body).await.unwrap() }
        });
        futures::future::join_all(pushes).await
    };
    for answered in push_all().await {
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", json(&answered));
        assert!(answered.retry_after.is_some(), "it says to come again");
    }
    assert_eq!(store.all_entries().await.len(), 0);

    site.run(match dialect {
        Dialect::Sqlite => &["DROP TRIGGER refuse_it"],
        Dialect::Postgres => &["DROP TRIGGER refuse_it ON entry"],
    })
    .await;
    for outcome in ["stored", "repeat"] {
        for answered in push_all().await {
            assert_eq!((answered.status, &json(&answered)["outcome"]), (StatusCode::OK, &json!(outcome)));
        }
    }
    let sums = store.settled(calls.len()).await;
    assert_eq!(sums.entries, 20, "{sums:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn b05_a_push_while_the_database_fails_is_told_to_come_again_and_is_there_once() {
    pushes_while_the_database_fails(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn b05_a_push_while_the_database_fails_is_told_to_come_again_and_is_there_once_on_postgres() {
    pushes_while_the_database_fails(Dialect::Postgres).await;
}
