//! What a mailbox sees besides one letter by one citizen: the same mail at two of our addresses, notices that come back, and
//! years of old mail.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connectors::mail::{self, Bounds, OwnAddresses};
use jiesu::{
    alarms::AlarmKind,
    issue::Relation,
    store::{Dialect, notices::NoticeState, read::Place},
};

use crate::{
    harness::{Holdings as _, Site, eventually, mailbox, now},
    services::{Mailbox, port},
};

const DOMAIN: &str = "liaoyang.example";

fn letter(from: &str, number: u32, subject: &str, text: &str) -> Vec<u8> {
    format!(
        "From: =?utf-8?B?{}?= <{from}>\r\nTo: <mayor@{DOMAIN}>, <office@{DOMAIN}>\r\nSubject: =?utf-8?B?{}?=\r\n\
         Date: Fri, 20 Nov 2026 11:00:17 +0800\r\nMessage-ID: <{number}.copies@mail.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        STANDARD.encode("王明"),
        STANDARD.encode(subject),
        STANDARD.encode(text)
    )
    .into_bytes()
}

fn way_back(user: &str) -> String {
    format!(
        "message_id_domain = \"{DOMAIN}\"\n[connector.settings.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         from = \"{user}@{DOMAIN}\"\n",
        port("JIESU_TEST_SMTP")
    )
}

const WATER: (&str, &str) = ("新华小区停水", "白塔区新华小区从11月18日早上起停水，没有接到任何通知，请尽快恢复供水。");
const BRIBES: (&str, &str) =
    ("举报某局科长受贿", "我实名举报某局科长受贿，在工程招标中收取好处费，以权谋私，有转账记录，要求纪委调查。");

async fn two_addresses(dialect: Dialect, setting: &str, tickets: usize) {
    let tag = format!("{dialect:?}-{setting}").to_lowercase();
    let boxes = [Mailbox::new(&format!("mayor-{tag}")), Mailbox::new(&format!("office-{tag}"))];
    let petitioner = Mailbox::new(&format!("twice-{tag}"));
    let site = Site::new(dialect).await;
    let tables =
        ["mayor", "office"].into_iter().zip(&boxes).map(|(name, own)| mailbox(name, own, &way_back(&own.user)));
    site.configure(&format!(
        "same_message = \"{setting}\"\n[notices]\nmessage_domain = \"{DOMAIN}\"\ndaily_cap = 20\n{}",
        tables.collect::<String>()
    ));
    let gateway = site.start().await;
    let store = site.store().await;
    let from = format!("{}@mail.example", petitioner.user);
    let water = letter(&from, 1, WATER.0, WATER.1);
    for (lines, own) in
        ["Received: by a\r\n", "Received: by b\r\nDelivered-To: other@liaoyang.example\r\n"].iter().zip(&boxes)
    {
        own.deliver(&[lines.as_bytes(), &water].concat());
    }
    store.settled(2).await;
    let mut stories = Vec::new();
    for summary in store.all_entries().await {
        stories.push(store.entry(summary.id).await.unwrap());
    }
    let mut numbers: Vec<_> = stories.iter().map(|story| story.summary.ticket.unwrap()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), tickets, "{stories:?}");
    let copies: Vec<_> =
        stories.iter().filter(|story| story.complaint.as_ref().unwrap().relation == Some(Relation::Copy)).collect();
    assert_eq!(copies.len(), 2 - tickets);
    let notices: usize = stories.iter().map(|story| story.notices.len()).sum();
    assert_eq!(notices, tickets, "one notice a ticket");
    let connectors: std::collections::BTreeSet<_> =
        stories.iter().map(|story| story.summary.connector.to_string()).collect();
    assert_eq!(connectors.into_iter().collect::<Vec<_>>(), ["mayor", "office"]);
    let ticket = store.ticket(numbers[0]).await.unwrap();
    assert_eq!((ticket.repeats, ticket.co_reports), (0, 0), "a copy is no repeat");

    // One that is guided is so once: the second copy tells its petitioner nothing more, unless the setting says so.
    let bribes = letter(&from, 2, BRIBES.0, BRIBES.1);
    for own in &boxes {
        own.deliver(&bribes);
    }
    store.settled(4).await;
    let mut told = 0;
    for summary in store.all_entries().await.into_iter().take(2) {
        assert_eq!(summary.place, Place::Guided);
        told += store.entry(summary.id).await.unwrap().notices.len();
    }
    assert_eq!(told, tickets);

    // The same words in another mail are a repeat as ever.
    boxes[1].deliver(&letter(&from, 3, WATER.0, WATER.1));
    store.settled(5).await;
    let newest = store.all_entries().await[0].id;
    assert_eq!(store.entry(newest).await.unwrap().complaint.unwrap().relation, Some(Relation::Repeat));
    eventually("the notices arrive", async || (petitioner.delivered().len() == 2 * tickets + 1).then_some(())).await;
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a05_one_mail_to_two_of_our_addresses_is_one_ticket_or_two_by_setting() {
    two_addresses(Dialect::Sqlite, "merge", 1).await;
    two_addresses(Dialect::Sqlite, "separate", 2).await;
    two_addresses(Dialect::Postgres, "merge", 1).await;
}

/// A report of a mail server about a notice (RFC 3464).
fn report(message_id: &str, action: &str, status: &str, number: u32) -> Vec<u8> {
    format!(
        "From: MAILER-DAEMON@mail.example\r\nTo: <office@{DOMAIN}>\r\nSubject: Delivery Status Notification\r\n\
         Date: Fri, 20 Nov 2026 12:00:0{number} +0800\r\nMessage-ID: <{number}.report@mail.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"r\"\r\n\r\n--r\r\n\
         Content-Type: text/plain\r\n\r\nabout wang@mail.example\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mail.example\r\n\r\nFinal-Recipient: rfc822; wang@mail.example\r\nAction: {action}\r\n\
         Status: {status}\r\nDiagnostic-Code: smtp; 550 wang@mail.example unknown\r\n\r\n--r\r\n\
         Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{message_id}>\r\nSubject: x\r\n\r\n--r--\r\n"
    )
    .into_bytes()
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a09_a_notice_that_comes_back_has_failed_and_a_person_hears_of_it() {
    let (office, petitioner) = (Mailbox::new("bounced-office"), Mailbox::new("bounced"));
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&format!(
        "[notices]\nmessage_domain = \"{DOMAIN}\"\n{}",
        mailbox("mail", &office, &way_back(&office.user))
    ));
    let gateway = site.start().await;
    let store = site.store().await;
    office.deliver(&letter(&format!("{}@mail.example", petitioner.user), 1, WATER.0, WATER.1));
    let receipt = eventually("the receipt arrives", async || petitioner.delivered().pop()).await;
    let read = mail::normalise(receipt.as_bytes(), &OwnAddresses::default(), &Bounds::default(), now()).unwrap();
    let id = read.thread.message_id.unwrap();
    let entry = store.all_entries().await[0].id;
    let state = async || store.notices_about(entry).await.unwrap().remove(0);
    eventually("it counts as sent", async || (state().await.state == NoticeState::Sent).then_some(())).await;

    // That it is late says nothing yet; nor does what somebody says of a message that is not ours.
    office.deliver(&report(&id, "delayed", "4.4.1", 1));
    office.deliver(&report("other@liaoyang.example", "failed", "5.1.1", 2));
    store.settled(3).await;
    assert_eq!(state().await.state, NoticeState::Sent);
    assert!(store.alarms(true, None, 10).await.unwrap().iter().all(|alarm| alarm.kind != AlarmKind::NoticeBounced));

    office.deliver(&report(&id, "failed", "5.1.1", 3));
    store.settled(4).await;
    let notice = state().await;
    assert_eq!(notice.state, NoticeState::Failed);
    assert!(
        notice.reason.as_ref().is_some_and(|reason| reason.contains("5.1.1") && !reason.contains('@')),
        "{notice:?}"
    );
    let alarms = store.alarms(true, None, 10).await.unwrap();
    let told: Vec<_> = alarms.iter().filter(|alarm| alarm.kind == AlarmKind::NoticeBounced).collect();
    assert_eq!(told.len(), 1, "{alarms:?}");
    assert!(store.all_entries().await.iter().filter(|entry| entry.place == Place::Declined).count() == 3);
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn mail_from_before_the_quiet_day_is_taken_in_without_notices() {
    let (old, new) = (Mailbox::new("quiet-old"), Mailbox::new("quiet-new"));
    let site = Site::new(Dialect::Sqlite).await;
    let table = |name: &str, own: &Mailbox, day: &str| {
        mailbox(name, own, &way_back(&own.user)).replacen(
            "[connector.settings]",
            &format!("quiet_before = \"{day}\"\n[connector.settings]"),
            1,
        )
    };
    site.configure(&format!(
        "[notices]\nmessage_domain = \"{DOMAIN}\"\n{}{}",
        table("old", &old, "2099-01-01"),
        table("new", &new, "2000-01-01")
    ));
    let gateway = site.start().await;
    let store = site.store().await;
    old.deliver(&letter("wang@mail.example", 1, WATER.0, WATER.1));
    new.deliver(&letter(
        "zhao@mail.example",
        2,
        "东兴家园路灯不亮",
        "文圣区东兴家园整条路的路灯不亮已经一个月，请派人维修。",
    ));
    store.settled(2).await;
    for summary in store.all_entries().await {
        let told = store.entry(summary.id).await.unwrap();
        assert_eq!(told.summary.place, Place::Ticket);
        assert_eq!(told.notices.len(), usize::from(told.summary.connector.as_str() == "new"), "{told:?}");
    }
    gateway.stop().await;
}
