//! The mailbox adapter against Dovecot and a real SMTP server.

use std::{sync::Arc, time::Duration};

use connectors::{
    clock::SystemClock,
    contract::{Adapter, Answer, Cursor, Limits, Page, Pull, Reply, Source, Toolbox},
    entry::{ExternalId, Item, Remark},
    fault::FaultClass,
    http::{Http, HttpLimits, Unpaced},
    mailbox::Settings,
};
use serde_json::{Value, json};

use crate::services::{Mailbox, port, variable};

fn tools(limits: Limits) -> Toolbox {
    let pace = Arc::new(Unpaced);
    Toolbox {
        clock: Arc::new(SystemClock),
        http: Http::new(HttpLimits::default(), pace.clone()).unwrap(),
        pace,
        limits,
    }
}

/// Settings of a mailbox on the test server, with `changes` on top.
fn settings(mailbox: &Mailbox, changes: Value) -> Settings {
    let mut settings = json!({
        "host": "127.0.0.1",
        "port": port("JIESU_TEST_IMAP"),
        "tls": "none",
        "user": mailbox.user,
        "password": {"env": "JIESU_TEST_IMAP_PASSWORD"},
    });
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    settings.as_object_mut().unwrap().extend(changes);
    let settings: Settings = serde_json::from_value(settings).unwrap();
    assert_eq!(settings.validate(), []);
    settings
}

fn reader(settings: &Settings, limits: Limits) -> Box<dyn Pull> {
    match settings.source(&tools(limits)).unwrap() {
        Source::Pull(pull) => pull,
        Source::Push(_) => panic!("a mailbox is asked"),
    }
}

fn plain(mailbox: &Mailbox) -> Box<dyn Pull> {
    reader(&settings(mailbox, json!({})), Limits::default())
}

fn mail(number: u32) -> Vec<u8> {
    format!(
        "From: =?utf-8?B?546L5p+Q?= <wang{number}@example.com>\r\nSubject: mail {number}\r\nMessage-ID: <{number}@example.com>\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n白塔区某小区第{number}天停水。\r\n"
    )
    .into_bytes()
}

fn subjects(page: &Page) -> Vec<String> {
    let subject = |item: &Item| match item {
        Item::Entry(entry) => String::from_utf8_lossy(&entry.raw)
            .lines()
            .find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned))
            .unwrap(),
        _ => "!".to_owned(),
    };
    page.items.iter().map(subject).collect()
}

async fn drain(pull: &mut dyn Pull, mut cursor: Option<Cursor>) -> (Vec<Item>, Cursor) {
    let mut items = Vec::new();
    loop {
        let page = pull.pull(cursor.as_ref()).await.unwrap();
        items.extend(page.items);
        cursor = Some(page.cursor);
        if !page.more {
            return (items, cursor.unwrap());
        }
    }
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_mailbox_is_read_whole_page_by_page_and_then_only_what_is_new() {
    let mailbox = Mailbox::new("whole");
    for number in 1..=25 {
        mailbox.deliver(&mail(number));
    }
    let limits = Limits { page_items: 10, ..Limits::default() };
    let settings = settings(&mailbox, json!({}));
    let (items, cursor) = drain(&mut *reader(&settings, limits), None).await;
    let raws: Vec<&[u8]> = items
        .iter()
        .map(|item| match item {
            Item::Entry(entry) => {
                assert!(entry.source_time.is_some() && entry.remarks.is_empty());
                &entry.raw[..]
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(raws, (1..=25).map(mail).collect::<Vec<_>>());

    let mut later = reader(&settings, limits);
    let nothing = later.pull(Some(&cursor)).await.unwrap();
    assert!(nothing.items.is_empty() && !nothing.more);
    mailbox.deliver(&mail(26));
    let new = later.pull(Some(&nothing.cursor)).await.unwrap();
    assert_eq!(subjects(&new), ["mail 26"]);
    assert_eq!(mailbox.delivered().len(), 26, "nothing is marked seen: every mail is still new at the server");
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn idle_wakes_when_a_mail_arrives_and_ends_at_its_time() {
    let mailbox = Mailbox::new("idle");
    mailbox.deliver(&mail(1));
    let mut pull = plain(&mailbox);
    let page = pull.pull(None).await.unwrap();
    pull.wait(Duration::from_millis(200)).await.unwrap();
    let nothing = pull.pull(Some(&page.cursor)).await.unwrap();
    assert!(nothing.items.is_empty());

    let (woken, ()) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(30), pull.wait(Duration::from_mins(10))), async {
            mailbox.deliver(&mail(2));
        });
    woken.expect("IDLE must wake long before its time").unwrap();
    assert_eq!(subjects(&pull.pull(Some(&nothing.cursor)).await.unwrap()), ["mail 2"]);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_mail_that_came_before_the_wait_began_ends_it_at_once() {
    let mailbox = Mailbox::new("before");
    let mut pull = plain(&mailbox);
    let page = pull.pull(None).await.unwrap();
    mailbox.deliver(&mail(1));
    let waited = tokio::time::timeout(Duration::from_secs(30), pull.wait(Duration::from_mins(10))).await;
    waited.expect("the mail is there already").unwrap();
    assert_eq!(subjects(&pull.pull(Some(&page.cursor)).await.unwrap()), ["mail 1"]);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a01_a_mail_that_the_server_cannot_read_is_set_aside() {
    let mailbox = Mailbox::new("unfetchable");
    mailbox.deliver(&mail(1));
    mailbox.deliver_unreadable(&mail(2));
    mailbox.deliver(&mail(3));
    mailbox.deliver_unreadable(&mail(4));
    mailbox.deliver(&mail(5));
    let (items, cursor) = drain(&mut *plain(&mailbox), None).await;
    let page = Page { items, cursor, more: false };
    assert_eq!(subjects(&page), ["mail 1", "!", "mail 3", "!", "mail 5"]);

    let (again, _) = drain(&mut *plain(&mailbox), None).await;
    let ids = |items: &[Item]| items.iter().map(|item| item.external_id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&page.items), "read again, each has the same id");
    assert_ne!(ids(&again)[1], ids(&again)[3]);
    let (after, _) = drain(&mut *plain(&mailbox), Some(page.cursor)).await;
    assert_eq!(after, []);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a12_a_mail_over_the_limit_is_a_stub() {
    let mailbox = Mailbox::new("oversize");
    let huge = [mail(1), vec![b'x'; 300_000]].concat();
    mailbox.deliver(&huge);
    mailbox.deliver(&mail(2));
    let limits = Limits { item_bytes: 100_000, ..Limits::default() };
    let page = reader(&settings(&mailbox, json!({})), limits).pull(None).await.unwrap();
    assert_eq!(subjects(&page), ["mail 1", "mail 2"]);
    let Item::Entry(stub) = &page.items[0] else { panic!("a stub is an entry") };
    assert_eq!(stub.raw, huge[..100_000]);
    assert_eq!(stub.remarks, [Remark::Oversize { size: Some(huge.len() as u64), limit: 100_000 }]);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a06_uidvalidity_change_makes_no_duplicates() {
    let mailbox = Mailbox::new("uidvalidity");
    let letters = settings(&mailbox, json!({"folder": "letters"}));
    mailbox.fill_folder("letters", &[mail(1), mail(2)]);
    let (before, cursor) = drain(&mut *reader(&letters, Limits::default()), None).await;
    mailbox.fill_folder("letters", &[mail(3), mail(2), mail(1)]);
    let (after, moved) = drain(&mut *reader(&letters, Limits::default()), Some(cursor.clone())).await;
    assert_ne!(cursor.0["folders"]["letters"]["uidvalidity"], moved.0["folders"]["letters"]["uidvalidity"]);
    assert_eq!(after.len(), 3);
    for old in &before {
        assert!(after.iter().any(|new| new.external_id() == old.external_id()), "a repeat must be known as one");
    }
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_wrong_password_and_a_missing_folder_are_told_with_what_helps() {
    let mailbox = Mailbox::new("refused");
    let wrong = settings(&mailbox, json!({"password": {"env": "JIESU_TEST_IMAP"}}));
    let fault = reader(&wrong, Limits::default()).pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Authentication);
    assert!(fault.to_string().contains("授权码"), "{fault}");

    let missing = settings(&mailbox, json!({"folder": "市长信箱"}));
    let mut pull = reader(&missing, Limits::default());
    let fault = pull.pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Configuration);
    assert!(fault.to_string().contains("市长信箱") && fault.to_string().contains("INBOX"), "{fault}");
    let check = pull.check().await;
    let steps: Vec<(&str, bool)> = check.steps.iter().map(|step| (step.name, step.outcome.is_ok())).collect();
    assert_eq!(steps, [("reach", true), ("greet", true), ("authenticate", true), ("open folder", false)]);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a08_the_server_hears_who_we_are() {
    let mailbox = Mailbox::new("identified");
    mailbox.deliver(&mail(1));
    let check = plain(&mailbox).check().await;
    assert!(check.passed(), "{check:?}");
    assert_eq!(check.steps.last().map(|step| step.name), Some("read one item"));
    let log = std::fs::read_to_string(variable("JIESU_TEST_IMAP_LOG")).unwrap();
    let said = log.lines().find(|line| line.contains(&format!("imap({})", mailbox.user)) && line.contains("ID sent"));
    assert!(said.is_some_and(|line| line.contains("name=Jiesu")), "{log}");
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn tls_works_both_ways_and_an_unknown_authority_is_refused() {
    let mailbox = Mailbox::new("tls");
    mailbox.deliver(&mail(1));
    let ca = variable("JIESU_TEST_CA");
    for (mode, port) in [("implicit", port("JIESU_TEST_IMAPS")), ("starttls", port("JIESU_TEST_IMAP"))] {
        let trusted = settings(&mailbox, json!({"tls": mode, "port": port, "ca_file": ca}));
        let page = reader(&trusted, Limits::default()).pull(None).await.unwrap();
        assert_eq!(subjects(&page), ["mail 1"], "{mode}");
        let public = settings(&mailbox, json!({"tls": mode, "port": port}));
        let fault = reader(&public, Limits::default()).pull(None).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Configuration, "{mode}: {fault}");
    }
    let confused = settings(&mailbox, json!({"tls": "implicit", "port": port("JIESU_TEST_IMAP"), "ca_file": ca}));
    let fault = reader(&confused, Limits::default()).pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Configuration, "{fault}");
}

fn sender(mailbox: &Mailbox, smtp: Value) -> Arc<dyn Answer> {
    let mut table = json!({"host": "127.0.0.1", "from": "12345@liaoyang.example", "from_name": "辽阳市12345热线"});
    let Value::Object(smtp) = smtp else { panic!("changes are an object") };
    table.as_object_mut().unwrap().extend(smtp);
    let settings = settings(mailbox, json!({"smtp": table, "ca_file": variable("JIESU_TEST_CA")}));
    settings.answerer(&tools(Limits::default())).unwrap().unwrap()
}

fn reply(to: &str) -> Reply {
    Reply {
        message_id: "notice-1@12345.liaoyang.example".to_owned(),
        to: Some(to.to_owned()),
        about: ExternalId::new("about"),
        occasion: None,
        answers: vec!["2@example.com".to_owned(), "1@example.com".to_owned()],
        subject: "您的诉求已受理".to_owned(),
        text: "您好：\n您反映的停水问题已受理，工单号 LY20261123000001。\n".to_owned(),
    }
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn an_answer_reaches_the_petitioner_marked_as_automatic() {
    let password = json!({"env": "JIESU_TEST_IMAP_PASSWORD"});
    for (name, smtp) in [
        ("answer-plain", json!({"tls": "none", "port": port("JIESU_TEST_SMTP")})),
        (
            "answer-starttls",
            json!({"tls": "starttls", "port": port("JIESU_TEST_SMTP"), "user": "u", "password": password}),
        ),
        ("answer-tls", json!({"tls": "implicit", "port": port("JIESU_TEST_SMTPS"), "user": "u", "password": password})),
    ] {
        let mailbox = Mailbox::new(name);
        sender(&mailbox, smtp).answer(&reply(&format!("{}@example.com", mailbox.user))).await.unwrap();
        let [mail] = &mailbox.delivered()[..] else { panic!("{name}: one mail is expected") };
        for header in [
            "Message-ID: <notice-1@12345.liaoyang.example>",
            "In-Reply-To: <2@example.com>",
            "References: <1@example.com> <2@example.com>",
            "Auto-Submitted: auto-replied",
            "X-Auto-Response-Suppress: All",
        ] {
            assert!(mail.lines().any(|line| line == header), "{name}: {header} is missing in {mail}");
        }
        let page = plain(&mailbox).pull(None).await.unwrap();
        assert_eq!(page.items.len(), 1, "{name}: what was sent can be read back");
    }
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn what_the_mail_server_refuses_is_classed() {
    let mailbox = Mailbox::new("smtp-refused");
    let plain = json!({"tls": "none", "port": port("JIESU_TEST_SMTP")});
    let wrong = json!({
        "tls": "starttls", "port": port("JIESU_TEST_SMTP"), "user": "u", "password": {"env": "JIESU_TEST_IMAP"},
    });
    let cases = [
        (plain.clone(), "deferred@example.com", FaultClass::Transient),
        (plain, "refused@example.com", FaultClass::Permanent),
        (wrong, "any@example.com", FaultClass::Authentication),
    ];
    for (smtp, to, class) in cases {
        let fault = sender(&mailbox, smtp).answer(&reply(to)).await.unwrap_err();
        assert_eq!(fault.class, class, "{to}: {fault}");
        assert!(!fault.to_string().contains("example.com"), "no address is told: {fault}");
    }
}
