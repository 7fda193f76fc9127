//! Promises 1 and 2 against `kill -9`: a gateway under load is killed again and again at moments drawn from a seed, and in
//! the end everything that the sources hold is one entry each, in one place each, with one ticket for each matter.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use connectors::mail::content_key;
use jiesu::{
    demo::board::{BoardState, Message, router},
    store::{Dialect, read::Place},
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Gateway, Holdings as _, PATIENCE, Site, board, eventually, inlet, json, mailbox},
    mails::{Dice, Mail, forms, mails},
    services::Mailbox,
};

/// Times that the gateway is killed.
const KILLS: usize = 50;
/// The longest that it lives, in milliseconds from its start.
const LONGEST_LIFE: usize = 1500;
/// Partners that push at the same time.
const PARTNERS: usize = 4;
/// Between two items of one source.
const PAUSE: Duration = Duration::from_millis(30);
/// The seed of what is said; when it is said follows from the seed of the run.
const WORDS: u64 = 41;

/// What the sources hold, and what is expected of it.
#[derive(Debug, Default)]
struct Held {
    /// External ids, by connector.
    ids: BTreeMap<&'static str, BTreeSet<String>>,
    /// The text of each, by connector and external id.
    texts: HashMap<(&'static str, String), String>,
}

impl Held {
    fn add(&mut self, connector: &'static str, id: String, text: String) {
        self.texts.insert((connector, id.clone()), text);
        self.ids.entry(connector).or_default().insert(id);
    }
}

/// What partners saw.
#[derive(Debug, Default)]
struct Told {
    sent: AtomicUsize,
    attempts: AtomicUsize,
    stored: AtomicUsize,
    repeats: AtomicUsize,
}

/// A partner: sends each delivery until it is taken, under one id, to whichever gateway answers.
async fn partner(sites: &[Site], number: usize, forms: &[Value], told: &Told, stop: &CancellationToken) -> Vec<usize> {
    let mut sent = Vec::new();
    for index in (number..forms.len()).step_by(PARTNERS) {
        if stop.is_cancelled() {
            break;
        }
        told.sent.fetch_add(1, Ordering::Relaxed);
        let (id, body) = (format!("delivery-{index}"), forms[index].to_string());
        let deadline = Instant::now() + PATIENCE;
        for site in sites.iter().cycle().skip(number) {
            assert!(Instant::now() < deadline, "delivery {index} was never taken");
            told.attempts.fetch_add(1, Ordering::Relaxed);
            match site.push("calls", &id, body.clone()).await {
                Ok(answered) if answered.status.is_success() => {
                    let repeat = json(&answered)["outcome"] == "repeat";
                    (if repeat { &told.repeats } else { &told.stored }).fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(answered) => assert!(answered.status.is_server_error(), "{} for delivery {index}", answered.status),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sent.push(index);
        tokio::time::sleep(PAUSE).await;
    }
    sent
}

async fn write_messages(state: &BoardState, forms: &[Value], stop: &CancellationToken) -> usize {
    let text = |form: &Value, field: &str| form["form"][field].as_str().unwrap().to_owned();
    for (index, form) in forms.iter().enumerate() {
        if stop.is_cancelled() {
            return index;
        }
        let index = u64::try_from(index).unwrap();
        state.publish(Message {
            id: 26_000_001 + index,
            board: "1010".to_owned(),
            subject: text(form, "title"),
            body: text(form, "course"),
            name: "网友".to_owned(),
            area: "白塔区".to_owned(),
            label: "投诉/求助".to_owned(),
            written: 1_791_400_000 + i64::try_from(index).unwrap(),
            state: "待回复".to_owned(),
            ..Message::default()
        });
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the board has too few messages for so long a run");
}

async fn deliver_mails(mailbox: Option<&Mailbox>, mails: &[Mail], stop: &CancellationToken) -> usize {
    let Some(mailbox) = mailbox else { return 0 };
    for (index, mail) in mails.iter().enumerate() {
        if stop.is_cancelled() {
            return index;
        }
        mailbox.deliver(&mail.raw);
        tokio::time::sleep(PAUSE * 4).await;
    }
    mails.len()
}

/// Starts and kills, one gateway or several in turn; the moments follow from the seed.
async fn kill_again_and_again(sites: &[Site], seed: u64, stop: &CancellationToken) -> (usize, usize) {
    let mut dice = Dice::new(seed);
    let (mut while_starting, mut while_running) = (0, 0);
    let mut running: Vec<Gateway> = sites.iter().map(Site::spawn).collect();
    for _ in 0..KILLS {
        let life = dice.roll(LONGEST_LIFE / sites.len());
        tokio::time::sleep(Duration::from_millis(u64::try_from(life).unwrap())).await;
        let which = dice.roll(sites.len());
        let listens = running[which].log().contains("the gateway runs");
        running[which].kill().await;
        *(if listens { &mut while_running } else { &mut while_starting }) += 1;
        running[which] = sites[which].spawn();
    }
    for gateway in &mut running {
        gateway.kill().await;
    }
    stop.cancel();
    (while_starting, while_running)
}

/// The seed of the moments; another one each time, unless it is named.
fn seed() -> u64 {
    match std::env::var("JIESU_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
    }
}

async fn crashes(dialect: Dialect, gateways: usize, mailbox: Option<Mailbox>) {
    let seed = seed();
    println!("{dialect:?}: JIESU_TEST_SEED={seed}");
    let mut sites = vec![Site::new(dialect).await];
    sites.extend((1..gateways).map(|_| sites[0].neighbour()).collect::<Vec<_>>());
    let site = &sites[0];
    let state = BoardState::default();
    let (base, _server) = serve(router(state.clone())).await;
    let box_table = mailbox.as_ref().map(|mailbox| self::mailbox("mail", mailbox, "")).unwrap_or_default();
    for site in &sites {
        site.configure(&[inlet("calls"), board("board", &base), box_table.clone()].concat());
    }

    let (calls, messages, letters) = (forms(WORDS, 8000), forms(WORDS + 1, 4000), mails(WORDS + 2, 1500));
    let (told, stop) = (Told::default(), CancellationToken::new());
    let partners = (0..PARTNERS).map(|number| partner(&sites, number, &calls, &told, &stop));
    let load = async {
        tokio::join!(
            futures::future::join_all(partners),
            write_messages(&state, &messages, &stop),
            deliver_mails(mailbox.as_ref(), &letters, &stop)
        )
    };
    let began = Instant::now();
    let killing = async {
        let kills = kill_again_and_again(&sites, seed, &stop).await;
        // Whatever is still being sent is taken by the last one.
        (kills, site.start().await)
    };
    let ((sent, written, delivered), ((while_starting, while_running), gateway)) = tokio::join!(load, killing);
    let lasted = began.elapsed();

    let mut held = Held::default();
    for index in sent.into_iter().flatten() {
        let form = &calls[index];
        let text = [&form["form"]["title"], &form["form"]["course"], &form["form"]["request"]].map(ToString::to_string);
        held.add("calls", form["call_id"].as_str().unwrap().to_owned(), text.concat());
    }
    for (index, form) in messages[..written].iter().enumerate() {
        let text = [&form["form"]["title"], &form["form"]["course"]].map(ToString::to_string);
        held.add("board", format!("1010:{}", 26_000_001 + index), text.concat());
    }
    for mail in &letters[..delivered] {
        let id = content_key(&mail.raw).as_str().to_owned();
        held.add("mail", id, format!("{}{}", mail.expected.subject, mail.expected.body));
    }
    let total: usize = held.ids.values().map(BTreeSet::len).sum();
    let store = site.store().await;
    // Where this takes too long the account tells what is missing.
    let settled = tokio::time::timeout(PATIENCE / 2, store.settled(total)).await;
    let Ok(sums) = settled else { return account(site, &held).await };
    // A page that was read anew brings nothing new.
    let asked = state.asked();
    store.run_now("board").await;
    eventually("the board is read once more", async || (state.asked().0 > asked.0 + 1).then_some(())).await;
    gateway.stop().await;
    assert_eq!(store.accounting().await.unwrap(), sums);

    let Told { sent, attempts, stored, repeats } = &told;
    let [sent, attempts, stored, repeats] =
        [sent, attempts, stored, repeats].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{dialect:?}, {gateways} gateways: {KILLS} kills in {:.0} s ({while_starting} while starting, {while_running} while running); \
         {sent} forms pushed in {attempts} attempts ({stored} answered stored, {repeats} answered repeat), \
         {written} messages on the board, {delivered} mails; {sums:?}",
        lasted.as_secs_f64()
    );
    account(site, &held).await;
}

/// Every item that the sources hold is one entry, in one place, and every matter has one ticket.
async fn account(site: &Site, held: &Held) {
    let store = site.store().await;
    let sums = store.accounting().await.unwrap();
    assert!(sums.balances() && sums.pending == 0, "{sums:?}");
    let entries = store.all_entries().await;
    assert_eq!(entries.len(), usize::try_from(sums.entries).unwrap());
    for (connector, ids) in &held.ids {
        let found: Vec<String> = entries
            .iter()
            .filter(|entry| entry.connector.as_str() == *connector)
            .map(|entry| entry.external_id.clone())
            .collect();
        let set: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(found.len(), set.len(), "{connector}: an item is two entries");
        let (lost, new): (Vec<_>, Vec<_>) = (ids.difference(&set).collect(), set.difference(ids).collect());
        assert!(lost.is_empty() && new.is_empty(), "{connector}: lost {lost:?}, from nowhere {new:?}");
    }
    assert_eq!(entries.len(), held.ids.values().map(BTreeSet::len).sum::<usize>(), "entries of no source");

    // One text, one ticket; another text, another ticket.
    let mut tickets: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut matters: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for entry in &entries {
        assert_eq!(entry.ticket.is_some(), entry.place == Place::Ticket, "{entry:?}");
        let connector = held.ids.keys().find(|name| **name == entry.connector.as_str()).unwrap();
        let text = &held.texts[&(*connector, entry.external_id.clone())];
        if let Some(number) = entry.ticket {
            tickets.entry(number.to_string()).or_default().insert(text);
            matters.entry(text).or_default().insert(number.to_string());
        }
    }
    for (text, numbers) in &matters {
        assert_eq!(numbers.len(), 1, "{text} is in several tickets: {numbers:?}");
    }
    for (number, texts) in &tickets {
        assert_eq!(texts.len(), 1, "ticket {number} holds several matters: {texts:?}");
    }
    assert_eq!(tickets.len(), usize::try_from(sums.tickets).unwrap(), "a ticket without an entry");

    for (what, sql) in [
        (
            "tickets that the queue was never told of",
            "SELECT COUNT(*) FROM ticket WHERE NOT EXISTS (SELECT 1 FROM queue_item WHERE ticket_id = ticket.id)",
        ),
        (
            "entries told the same twice",
            "SELECT COUNT(*) FROM (SELECT entry_id FROM notice GROUP BY entry_id, template HAVING COUNT(*) > 1) twice",
        ),
        (
            "entries opening two tickets",
            "SELECT COUNT(*) FROM (SELECT entry_id FROM ticket GROUP BY entry_id HAVING COUNT(*) > 1) twice",
        ),
        (
            "entries decided twice",
            "SELECT COUNT(*) FROM (SELECT entry_id FROM decision GROUP BY entry_id HAVING COUNT(*) > 1) twice",
        ),
        (
            "entries that are both quarantined and issued",
            "SELECT COUNT(*) FROM quarantine JOIN complaint ON complaint.entry_id = quarantine.entry_id",
        ),
        (
            "tickets whose counts differ from their complaints",
            "SELECT COUNT(*) FROM ticket WHERE 1 + repeats + co_reports + follow_ups + revisions <>
                 (SELECT COUNT(*) FROM complaint WHERE ticket_id = ticket.id)",
        ),
        (
            "tickets that no complaint opened",
            "SELECT COUNT(*) FROM ticket WHERE NOT EXISTS (SELECT 1 FROM complaint
                 WHERE complaint.entry_id = ticket.entry_id AND ticket_id = ticket.id AND relation = 'opened')",
        ),
    ] {
        assert_eq!(site.numbers(sql).await, [0], "{what}");
    }
}

async fn serve(router: Router) -> (String, Arc<JoinSet<()>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, Arc::new(server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_fifty_moments_nothing_is_lost_and_nothing_is_counted_twice() {
    crashes(Dialect::Sqlite, 1, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: scripts/test"]
async fn killed_at_fifty_moments_nothing_is_lost_and_nothing_is_counted_twice_with_a_mailbox() {
    crashes(Dialect::Sqlite, 1, Some(Mailbox::new("crash-sqlite"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: scripts/test"]
async fn killed_at_fifty_moments_nothing_is_lost_and_nothing_is_counted_twice_on_postgres() {
    crashes(Dialect::Postgres, 1, Some(Mailbox::new("crash-postgres"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: scripts/test"]
async fn two_gateways_killed_in_turn_lose_nothing_and_count_nothing_twice() {
    crashes(Dialect::Postgres, 2, Some(Mailbox::new("crash-two"))).await;
}
