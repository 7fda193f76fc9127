//! The whole way of an item through the real program, and what must not disturb it: faults of the database, of a source,
//! of a neighbour, and changes while it runs.

use std::{collections::BTreeSet, time::Duration};

use axum::Router;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use connectors::{
    complaint::{Complaint, Machine},
    mail::{self, Bounds, OwnAddresses},
};
use jiesu::{
    assess::{Article, Disposition},
    demo::board::{BoardState, Message, Misbehaviour, router},
    issue::{Relation, Ruling},
    store::{
        Dialect, Store,
        connectors::HealthState,
        journal::{Act, Trail},
        queue::{DeliveryPolicy, Depth, Settlement},
        read::{EntryStory, Place},
    },
};
use reqwest::StatusCode;
use serde_json::json;
use tokio::{net::TcpListener, process::Command, task::JoinSet, time::Instant};

use crate::{
    harness::{BODY_LIMIT, Holdings as _, Site, board, eventually, inlet, mailbox, name, now},
    mails::forms,
    services::{Mailbox, port},
};

const POLICY: DeliveryPolicy = DeliveryPolicy { max_attempts: 5, retry_delay: Duration::from_secs(1) };

/// A mail in UTF-8; `head` holds further lines of its head.
pub(crate) fn letter(from: &str, number: u32, subject: &str, text: &str, head: &str) -> Vec<u8> {
    format!(
        "From: =?utf-8?B?{}?= <{from}>\r\nTo: <mayor@liaoyang.example>\r\nSubject: =?utf-8?B?{}?=\r\n\
         Date: Fri, 20 Nov 2026 11:{:02}:17 +0800\r\nMessage-ID: <{number}.spine@mail.example>\r\n{head}MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        STANDARD.encode("王明"),
        STANDARD.encode(subject),
        number % 60,
        STANDARD.encode(text)
    )
    .into_bytes()
}

pub(crate) const WATER: (&str, &str) =
    ("新华小区停水", "白塔区新华小区从11月18日早上起停水，没有接到任何通知，请尽快恢复供水。");

/// An office's mailbox, with the way back through the test server.
pub(crate) struct Office {
    pub(crate) site: Site,
    pub(crate) mailbox: Mailbox,
    domain: &'static str,
}

impl Office {
    pub(crate) async fn new(dialect: Dialect, name: &str, notices: &str) -> Self {
        let (site, mailbox, domain) = (Site::new(dialect).await, Mailbox::new(name), "liaoyang.example");
        let smtp = format!(
            "message_id_domain = \"{domain}\"\n[connector.settings.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
             from = \"{}@{domain}\"\n",
            port("JIESU_TEST_SMTP"),
            mailbox.user
        );
        let table = self::mailbox("mail", &mailbox, &smtp);
        site.configure(&format!("[notices]\nmessage_domain = \"{domain}\"\n{notices}\n{table}"));
        Self { site, mailbox, domain }
    }

    fn address(&self) -> String {
        format!("{}@{}", self.mailbox.user, self.domain)
    }
}

pub(crate) fn read_mail(raw: &str) -> Complaint {
    mail::normalise(raw.as_bytes(), &OwnAddresses::default(), &Bounds::default(), now()).unwrap()
}

/// The story of the newest entry, once there are so many and all are settled.
async fn newest(store: &Store, entries: usize) -> EntryStory {
    store.settled(entries).await;
    let all = store.all_entries().await;
    assert_eq!(all.len(), entries);
    store.entry(all[0].id).await.unwrap()
}

/// The notices that reached a petitioner, once there are so many, in the order of their sending.
async fn received(petitioner: &Mailbox, count: usize) -> Vec<Complaint> {
    eventually("the notices arrive", async || {
        let mut mails = petitioner.delivered_in_order();
        (mails.len() >= count).then(|| mails.drain(..).map(|raw| read_mail(&raw)).collect::<Vec<_>>())
    })
    .await
}

async fn mail_to_ticket_and_back(dialect: Dialect) {
    let petitioner = Mailbox::new(&format!("petitioner-{dialect:?}").to_lowercase());
    let office = Office::new(dialect, &format!("office-{dialect:?}").to_lowercase(), "daily_cap = 20").await;
    let gateway = office.site.start().await;
    let store = office.site.store().await;
    let from = format!("{}@mail.example", petitioner.user);

    office.mailbox.deliver(&letter(&from, 1, WATER.0, WATER.1, ""));
    let opened = newest(&store, 1).await;
    let number = opened.summary.ticket.unwrap_or_else(|| panic!("{opened:?}"));
    assert_eq!(opened.complaint.unwrap().relation, Some(Relation::Opened));

    let receipt = received(&petitioner, 1).await.remove(0);
    assert!(receipt.body.contains(&number.to_string()) && receipt.body.contains("第十五条"), "{}", receipt.body);
    assert!(receipt.subject.as_ref().unwrap().contains(&number.to_string()), "{:?}", receipt.subject);
    assert_eq!(receipt.thread.answers, ["1.spine@mail.example"]);
    assert_eq!(
        receipt.thread.machine.unwrap().0,
        Machine::AutoReply,
        "RFC 3834: other machines must see that ours is one"
    );
    let message_id = receipt.thread.message_id.unwrap();
    assert!(message_id.ends_with("@liaoyang.example"), "{message_id}");

    // An answer to it joins its ticket, whatever it says.
    let answers = format!("In-Reply-To: <{message_id}>\r\n");
    office.mailbox.deliver(&letter(&from, 2, "回复", "今天还是没有水。", &answers));
    let follow_up = newest(&store, 2).await;
    assert_eq!(
        (follow_up.summary.ticket, follow_up.complaint.unwrap().relation),
        (Some(number), Some(Relation::FollowUp))
    );
    assert_eq!(follow_up.notices, [], "answering an answer is how loops begin");

    // The same text again is a repeat; from another it is a co-report.
    office.mailbox.deliver(&letter(&from, 3, WATER.0, WATER.1, ""));
    let repeat = newest(&store, 3).await;
    assert_eq!((repeat.summary.ticket, repeat.complaint.unwrap().relation), (Some(number), Some(Relation::Repeat)));
    office.mailbox.deliver(&letter("zhao@mail.example", 4, WATER.0, WATER.1, ""));
    let co_report = newest(&store, 4).await;
    assert_eq!(
        (co_report.summary.ticket, co_report.complaint.unwrap().relation),
        (Some(number), Some(Relation::CoReport))
    );
    let told = received(&petitioner, 2).await.remove(1);
    assert!(told.body.contains(&number.to_string()) && told.body.contains("第 2 次"), "{}", told.body);
    let ticket = store.ticket(number).await.unwrap();
    assert_eq!((ticket.repeats, ticket.co_reports, ticket.follow_ups), (1, 1, 1));

    // Guided elsewhere and declined: told so, with the article.
    let bribes = "我实名举报某局科长受贿，在工程招标中收取好处费，以权谋私，有转账记录，要求纪委调查。";
    office.mailbox.deliver(&letter(&from, 5, "举报某局科长受贿", bribes, ""));
    let guided = newest(&store, 5).await;
    assert_eq!((guided.summary.place, guided.summary.ticket), (Place::Guided, None));
    let told = received(&petitioner, 3).await.remove(2);
    let article: Article = guided.complaint.unwrap().grounds.article;
    assert!(told.body.contains(&article.chinese()), "{}", told.body);

    // C5: the queue hands the ticket out under a lease; an answer under another one is refused.
    let policy = POLICY;
    let mut leased = store.lease_deliveries("handler", 10, Duration::from_mins(1), policy, now()).await.unwrap();
    assert_eq!(leased.len(), 1, "one delivery shows the ticket as it is now");
    let delivery = leased.remove(0);
    assert_eq!(store.ticket_by_id(delivery.ticket).await.unwrap().number, number);
    let settle = async |lease| store.settle_delivery(delivery.id, lease, &Settlement::Acknowledge, policy, now()).await;
    assert!(settle(uuid::Uuid::new_v4()).await.is_err());
    settle(delivery.lease).await.unwrap();
    assert!(settle(delivery.lease).await.is_err(), "once only");
    assert_eq!(store.queue_depth().await.unwrap(), Depth::default());
    gateway.stop().await;
    assert_eq!(petitioner.delivered_in_order().len(), 3);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_mail_becomes_a_ticket_and_its_petitioner_hears_of_it() {
    mail_to_ticket_and_back(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_mail_becomes_a_ticket_and_its_petitioner_hears_of_it_on_postgres() {
    mail_to_ticket_and_back(Dialect::Postgres).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a09_more_notices_a_day_than_the_cap_stay_here() {
    let petitioner = Mailbox::new("capped");
    let office = Office::new(Dialect::Sqlite, "capping", "daily_cap = 2").await;
    let gateway = office.site.start().await;
    let store = office.site.store().await;
    for number in 1..=5_u32 {
        let text = format!("白塔区第{number}社区的路灯不亮已经{number}个星期，老人晚上摔倒，请维修。");
        let from = format!("{}@mail.example", petitioner.user);
        office.mailbox.deliver(&letter(&from, number, &format!("第{number}社区路灯不亮"), &text, ""));
    }
    store.settled(5).await;
    let states = eventually("every notice is settled", async || {
        let mut states = Vec::new();
        for entry in store.all_entries().await {
            states.extend(store.notices_about(entry.id).await.unwrap().into_iter().map(|notice| notice.state.as_str()));
        }
        states.sort_unstable();
        (!states.contains(&"pending")).then_some(states)
    });
    assert_eq!(states.await, ["sent", "sent", "suppressed", "suppressed", "suppressed"]);
    gateway.stop().await;
    assert_eq!(petitioner.delivered_in_order().len(), 2);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a09_bounces_auto_replies_lists_and_our_own_mail_make_no_ticket_and_no_notice() {
    let office = Office::new(Dialect::Sqlite, "loops", "").await;
    let own = office.address();
    let machines: [&[u8]; 4] = [
        include_bytes!("../../fixtures/demo/mails/16-bounce.eml"),
        include_bytes!("../../fixtures/demo/mails/17-out-of-office.eml"),
        include_bytes!("../../fixtures/demo/mails/18-newsletter.eml"),
        &letter(&own, 9, WATER.0, WATER.1, ""),
    ];
    for mail in machines {
        office.mailbox.deliver(mail);
    }
    let gateway = office.site.start().await;
    let store = office.site.store().await;
    let sums = store.settled(4).await;
    assert_eq!((sums.entries, sums.tickets, sums.in_tickets, sums.quarantined), (4, 0, 0, 0), "{sums:?}");
    assert_eq!(office.site.numbers("SELECT COUNT(*) FROM notice").await, [0]);
    gateway.stop().await;
}

/// C4, C1: what the database refuses in the middle of issuing leaves no half of it, and can be replayed.
async fn refused_while_issuing(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&inlet("calls"));
    let store = site.store().await;
    site.run(refuse(dialect, "queue_item")).await;
    let gateway = site.start().await;
    let calls = forms(3, 6);
    for (index, call) in calls.iter().enumerate() {
        let answered = site.push("calls", &format!("c-{index}"), call.to_string()).await.unwrap();
        assert_eq!(answered.status, StatusCode::OK);
    }
    let sums = store.settled(6).await;
    assert_eq!((sums.quarantined, sums.tickets), (6, 0), "{sums:?}");
    assert_eq!(site.numbers("SELECT COUNT(*) FROM complaint").await, [0]);

    site.run(allow(dialect, "queue_item")).await;
    for entry in store.all_entries().await {
        let id = entry.id.to_string();
        let act = Act { actor: "admin", action: "entry.replay", subject: &id, reason: None };
        store.reissue(entry.id, None, act, now()).await.unwrap();
    }
    let sums = store.settled(6).await;
    assert_eq!((sums.quarantined, sums.in_tickets), (0, 6), "{sums:?}");
    assert_eq!(store.queue_depth().await.unwrap().ready, sums.tickets);
    assert!(matches!(store.verify_audit().await.unwrap(), Trail::Whole(_)));
    gateway.stop().await;
}

/// Makes the database refuse rows.
fn refuse(dialect: Dialect, table: &str) -> &'static [&'static str] {
    match (dialect, table) {
        (Dialect::Sqlite, "queue_item") => {
            &["CREATE TRIGGER refuse_it BEFORE INSERT ON queue_item BEGIN SELECT RAISE(ABORT, 'refused'); END"]
        }
        (Dialect::Sqlite, _) => {
            &["CREATE TRIGGER refuse_it BEFORE INSERT ON entry WHEN NEW.external_id = '1010:26000013'
             BEGIN SELECT RAISE(ABORT, 'refused'); END"]
        }
        (Dialect::Postgres, "queue_item") => &[
            "CREATE FUNCTION refusal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
            "CREATE TRIGGER refuse_it BEFORE INSERT ON queue_item FOR EACH ROW EXECUTE FUNCTION refusal()",
        ],
        (Dialect::Postgres, _) => &[
            "CREATE FUNCTION refusal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
            "CREATE TRIGGER refuse_it BEFORE INSERT ON entry FOR EACH ROW
             WHEN (NEW.external_id = '1010:26000013') EXECUTE FUNCTION refusal()",
        ],
    }
}

/// Makes the database take them again.
fn allow(dialect: Dialect, table: &str) -> &'static [&'static str] {
    match (dialect, table) {
        (Dialect::Sqlite, _) => &["DROP TRIGGER refuse_it"],
        (Dialect::Postgres, "queue_item") => &["DROP TRIGGER refuse_it ON queue_item"],
        (Dialect::Postgres, _) => &["DROP TRIGGER refuse_it ON entry"],
    }
}

#[tokio::test]
async fn c01_c04_what_cannot_be_issued_leaves_nothing_half_done_and_is_replayed() {
    refused_while_issuing(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn c01_c04_what_cannot_be_issued_leaves_nothing_half_done_and_is_replayed_on_postgres() {
    refused_while_issuing(Dialect::Postgres).await;
}

pub(crate) fn message(id: u64, board: &str) -> Message {
    Message {
        id,
        board: board.to_owned(),
        subject: format!("楼下商铺占道经营之{id}"),
        body: format!("楼下商铺占道经营已经半年，多次反映没有结果，请尽快处理。门牌{id}号。"),
        name: "网友".to_owned(),
        area: "白塔区".to_owned(),
        label: "投诉/求助".to_owned(),
        written: 1_791_400_000 + i64::try_from(id % 100_000).unwrap(),
        state: "待回复".to_owned(),
        ..Message::default()
    }
}

/// A board on this machine; it ends with the test.
pub(crate) struct Neighbour {
    pub(crate) state: BoardState,
    pub(crate) base: String,
    _server: JoinSet<()>,
}

impl Neighbour {
    pub(crate) async fn new(messages: u64) -> Self {
        let state = BoardState::default();
        for number in 0..messages {
            state.publish(message(26_000_001 + number, "1010"));
        }
        let (base, server) = serve(router(state.clone())).await;
        Self { state, base, _server: server }
    }

    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.state.ids().into_iter().map(|id| format!("1010:{id}")).collect()
    }
}

async fn serve(router: Router) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, server)
}

pub(crate) async fn ids(store: &Store, connector: &str) -> BTreeSet<String> {
    let entries = store.all_entries().await;
    entries.into_iter().filter(|entry| entry.connector == name(connector)).map(|entry| entry.external_id).collect()
}

/// B1: a page whose items cannot be stored moves no cursor; once they can, every item is there.
async fn refused_at_intake(dialect: Dialect) {
    let (site, source) = (Site::new(dialect).await, Neighbour::new(25).await);
    site.configure(&[board("board", &source.base), inlet("calls")].concat());
    let store = site.store().await;
    site.run(refuse(dialect, "entry")).await;
    let mut gateway = site.start().await;
    let health = eventually("the fault is told", async || {
        store.health(&name("board")).await.unwrap().filter(|health| health.failures > 0)
    });
    let health = health.await;
    assert!(matches!(health.state, HealthState::Retrying | HealthState::Failing), "{health:?}");
    let stored = ids(&store, "board").await;
    assert!(!stored.contains("1010:26000013") && stored.len() < 25);
    // Its neighbour goes on meanwhile.
    assert_eq!(site.push("calls", "one", forms(4, 1)[0].to_string()).await.unwrap().status, StatusCode::OK);

    // Nothing that a process remembers may help.
    gateway.kill().await;
    site.run(allow(dialect, "entry")).await;
    let gateway = site.start().await;
    eventually("everything is stored", async || (ids(&store, "board").await == source.ids()).then_some(())).await;
    let sums = store.settled(26).await;
    assert_eq!((sums.entries, sums.in_tickets), (26, 26), "{sums:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn b01_cursor_and_items_are_one_transaction() {
    refused_at_intake(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn b01_cursor_and_items_are_one_transaction_on_postgres() {
    refused_at_intake(Dialect::Postgres).await;
}

/// Promise 4: what is held for a person becomes a ticket where the person says so, on the record.
async fn ruled(dialect: Dialect) {
    let site = Site::new(dialect).await;
    site.configure(&inlet("calls"));
    let gateway = site.start().await;
    let store = site.store().await;
    let body = json!({"call_id": "C-1", "form": {"course": "录".repeat(BODY_LIMIT)}}).to_string();
    assert_eq!(site.push("calls", "big", body).await.unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
    let held = newest(&store, 1).await;
    assert_eq!(held.summary.place, Place::Held);
    let ruling = Ruling::new("admin", Disposition::Accept, Article::new(5), "已致电来电人核实");
    let id = held.summary.id.to_string();
    let act = Act { actor: "admin", action: "entry.decide", subject: &id, reason: Some(&ruling.reason) };
    store.reissue(held.summary.id, Some(&ruling), act, now()).await.unwrap();
    let ruled = eventually("the ticket is there", async || {
        Some(store.entry(held.summary.id).await.unwrap()).filter(|story| story.summary.ticket.is_some())
    });
    let ruled = ruled.await;
    assert_eq!(ruled.complaint.unwrap().relation, Some(Relation::Opened));
    let actors: Vec<&str> = ruled.decisions.iter().map(|decision| &decision.actor[..]).collect();
    assert_eq!(actors, ["gateway", "admin"]);
    assert_eq!(store.queue_depth().await.unwrap().ready, 1);
    // It cannot be taken away again from here.
    let decline = Ruling { disposition: Disposition::Decline, ..ruling.clone() };
    assert!(store.reissue(held.summary.id, Some(&decline), act, now()).await.is_err());
    gateway.stop().await;
}

#[tokio::test]
async fn a_person_decides_about_what_is_held() {
    ruled(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_person_decides_about_what_is_held_on_postgres() {
    ruled(Dialect::Postgres).await;
}

/// PostgreSQL stores no U+0000; whoever writes one is heard all the same.
async fn nul_everywhere(dialect: Dialect) {
    let site = Site::new(dialect).await;
    let portal = crate::harness::inlet_with("portal", "portal", &[crate::harness::PARTNER], "");
    site.configure(&portal);
    let gateway = site.start().await;
    let store = site.store().await;
    let form = json!({
        "id": "P\u{0}1", "title": "停水\u{0}不通知", "content": format!("{}\u{0}\u{1}\u{7f}", WATER.1), "name": "王\u{0}明",
        "phone": "1390000\u{0}1234", "email": "wang\u{0}@mail.example", "place": "白塔区\u{0}", "category": "投诉\u{0}",
    });
    let answered = site.push("portal", "nul", form.to_string()).await.unwrap();
    assert_eq!(answered.status, StatusCode::OK, "{:?}", answered.body);
    let taken = newest(&store, 1).await;
    assert_eq!(taken.summary.place, Place::Ticket, "{taken:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn c02_a_nul_in_every_field_is_no_poison() {
    nul_everywhere(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn c02_a_nul_in_every_field_is_no_poison_on_postgres() {
    nul_everywhere(Dialect::Postgres).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn c02_a_nul_in_a_mail_is_no_poison_for_its_notice() {
    let petitioner = Mailbox::new("nul");
    let office = Office::new(Dialect::Postgres, "nuls", "").await;
    let from = format!("{}@mail.example", petitioner.user);
    let text = format!("{}\u{0}", WATER.1);
    let header = "In-Reply-To: <a\u{0}b@mail.example>\r\nX-Odd: \u{0}\r\n";
    office.mailbox.deliver(&letter(&from, 1, "停水\u{0}不通知", &text, header));
    let gateway = office.site.start().await;
    let store = office.site.store().await;
    let taken = newest(&store, 1).await;
    assert_eq!(taken.summary.place, Place::Ticket, "{taken:?}");
    received(&petitioner, 1).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a02_b10_a_source_that_hangs_delays_no_other() {
    let site = Site::new(Dialect::Sqlite).await;
    let (hanging, quick) = (Neighbour::new(5).await, Neighbour::new(5).await);
    hanging.state.misbehave(Misbehaviour::Slow(Duration::from_hours(1)), u32::MAX);
    site.configure(&[board("hanging", &hanging.base), board("quick", &quick.base), inlet("calls")].concat());
    let gateway = site.start().await;
    let store = site.store().await;
    eventually("the one hangs", async || (hanging.state.asked().0 > 0).then_some(())).await;
    for number in 0..5 {
        quick.state.publish(message(26_001_000 + number, "1010"));
        let published = Instant::now();
        eventually("the other is read", async || (ids(&store, "quick").await == quick.ids()).then_some(())).await;
        assert!(published.elapsed() < Duration::from_secs(20), "{:?}", published.elapsed());
    }
    assert_eq!(site.push("calls", "one", forms(4, 1)[0].to_string()).await.unwrap().status, StatusCode::OK);
    assert_eq!(ids(&store, "hanging").await.len(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a16_a_change_is_live_while_a_slow_fetch_runs() {
    let site = Site::new(Dialect::Sqlite).await;
    let (slow, other) = (Neighbour::new(5).await, Neighbour::new(7).await);
    slow.state.misbehave(Misbehaviour::Slow(Duration::from_hours(1)), u32::MAX);
    site.configure(&[board("board", &slow.base), inlet("calls")].concat());
    let gateway = site.start().await;
    let store = site.store().await;
    eventually("the fetch runs", async || (slow.state.asked().0 > 0).then_some(())).await;
    // The file now names another address, and a connector more.
    let changed = Instant::now();
    site.configure(&[board("board", &other.base), inlet("calls"), inlet("more")].concat());
    eventually("the other address is read", async || (ids(&store, "board").await == other.ids()).then_some(())).await;
    assert!(changed.elapsed() < Duration::from_secs(20), "{:?}", changed.elapsed());
    let call = forms(4, 1)[0].to_string();
    assert_eq!(site.push("more", "one", call).await.unwrap().status, StatusCode::OK);

    // A file with a mistake changes nothing.
    let more = inlet("more").replace("\"inlet\"", "\"inlett\"");
    site.configure(&[board("board", &other.base), more].concat());
    eventually("the mistake is told", async || gateway.log().contains("has mistakes").then_some(())).await;
    assert_eq!(site.push("calls", "two", forms(4, 2)[1].to_string()).await.unwrap().status, StatusCode::OK);

    // What the file names no more is switched off.
    site.configure(&inlet("calls"));
    eventually("it is switched off", async || {
        let answered = site.push("more", "three", forms(4, 3)[2].to_string()).await.unwrap();
        (answered.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn connectors_are_switched_by_the_command_line_beside_the_running_gateway() {
    let site = Site::new(Dialect::Sqlite).await;
    let source = Neighbour::new(3).await;
    site.configure(&[board("board", &source.base), inlet("calls"), inlet("other")].concat());
    let gateway = site.start().await;
    let store = site.store().await;
    eventually("the board is read", async || (ids(&store, "board").await == source.ids()).then_some(())).await;
    let command = async |action: &str, connector: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
        command.args(["connector", action, connector, "--config"]).arg(site.file());
        let ended = command.output().await.unwrap();
        assert!(ended.status.success(), "{action} {connector}: {}", String::from_utf8_lossy(&ended.stderr));
    };
    let calls = forms(5, 400);
    let mut call = calls.iter().enumerate().map(|(index, form)| (format!("d-{index}"), Bytes::from(form.to_string())));
    let mut answers = async |connector: &str, status: StatusCode| {
        eventually("the switch is live", async || {
            let (id, body) = call.next().unwrap();
            (site.push(connector, &id, body).await.unwrap().status == status).then_some(())
        })
        .await;
    };
    command("disable", "calls").await;
    answers("calls", StatusCode::SERVICE_UNAVAILABLE).await;
    answers("other", StatusCode::OK).await;
    command("enable", "calls").await;
    answers("calls", StatusCode::OK).await;

    command("disable", "board").await;
    let health = async || store.health(&name("board")).await.unwrap().unwrap().state;
    eventually("the board is left alone", async || (health().await == HealthState::Disabled).then_some(())).await;
    let asked = source.state.asked();
    source.state.publish(message(26_002_000, "1010"));
    answers("other", StatusCode::OK).await;
    assert_eq!(source.state.asked(), asked);
    command("enable", "board").await;
    eventually("the board is read", async || (ids(&store, "board").await == source.ids()).then_some(())).await;
    assert!(matches!(store.verify_audit().await.unwrap(), Trail::Whole(rows) if rows >= 4));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: scripts/test"]
async fn two_gateways_share_the_work_and_one_takes_over_for_the_other() {
    let site = Site::new(Dialect::Postgres).await;
    let neighbour = site.neighbour();
    let boards = [Neighbour::new(30).await, Neighbour::new(30).await];
    let tables = [board("east", &boards[0].base), board("west", &boards[1].base), inlet("calls")].concat();
    site.configure(&tables);
    neighbour.configure(&tables);
    // The first takes everything that only one may do, before the second is there.
    let mut first = site.start().await;
    let store = site.store().await;
    store.settled(60).await;
    let second = neighbour.start().await;
    let calls = forms(6, 400);
    let push = async |range: std::ops::Range<usize>, sites: &[&Site]| {
        for index in range {
            let site = sites[index % sites.len()];
            let answered = site.push("calls", &format!("d-{index}"), calls[index].to_string()).await.unwrap();
            assert_eq!(answered.status, StatusCode::OK);
        }
    };
    push(0..200, &[&site, &neighbour]).await;
    // The same delivery to both at once is one entry.
    let (one, other) = tokio::join!(
        site.push("calls", "d-200", calls[200].to_string()),
        neighbour.push("calls", "d-200", calls[200].to_string())
    );
    let outcomes: BTreeSet<String> =
        [one, other].map(|answered| crate::harness::json(&answered.unwrap())["outcome"].to_string()).into();
    assert_eq!(outcomes, ["\"repeat\"".to_owned(), "\"stored\"".to_owned()].into());
    let sums = store.settled(261).await;
    assert_eq!((sums.entries, sums.in_tickets), (261, 261), "{sums:?}");
    assert_eq!(
        site.numbers("SELECT COUNT(*) FROM lease WHERE name LIKE 'source:%'").await,
        [2],
        "each source has one reader"
    );

    // One is killed; the other reads and issues everything.
    first.kill().await;
    let killed = Instant::now();
    for (number, board) in boards.iter().enumerate() {
        board.state.publish(message(26_003_000 + u64::try_from(number).unwrap(), "1010"));
    }
    push(201..300, &[&neighbour]).await;
    let sums = store.settled(362).await;
    println!("taken over after {:.1} s", killed.elapsed().as_secs_f64());
    assert_eq!((sums.entries, sums.in_tickets), (362, 362), "{sums:?}");
    for (connector, board) in [("east", &boards[0]), ("west", &boards[1])] {
        assert_eq!(ids(&store, connector).await, board.ids());
    }
    assert_eq!(
        site.numbers(
            "SELECT COUNT(*) FROM ticket WHERE NOT EXISTS (SELECT 1 FROM queue_item WHERE ticket_id = ticket.id)"
        )
        .await,
        [0]
    );
    second.stop().await;
}
