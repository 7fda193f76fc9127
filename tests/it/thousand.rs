//! A thousand mails as they really come, through Dovecot and the real program: none lost, none twice, none garbled.

use std::collections::{BTreeMap, BTreeSet};

use connectors::mail::content_key;
use jiesu::{
    issue::Relation,
    store::{
        Dialect, Store,
        connectors::Run,
        read::{EntrySummary, Place},
    },
};
use serde_json::Value;

use crate::{
    harness::{Holdings as _, Site, eventually, mailbox, name},
    mails::{Mail, Standing, mails},
    services::Mailbox,
};

const COUNT: usize = 1000;

/// A text without blanks and line ends, which transport changes.
fn bare(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

/// Everything that the runs so far told of, added up: stored, repeats, quarantined.
async fn tally(store: &Store) -> [i64; 3] {
    let runs = store.runs(&name("mail"), 1000).await.unwrap();
    assert!(runs.iter().all(|run| run.error.is_none()), "{runs:?}");
    let sum = |part: fn(&Run) -> i64| runs.iter().map(part).sum();
    [sum(|run| run.stored), sum(|run| run.repeats), sum(|run| run.quarantined)]
}

async fn uidvalidity(store: &Store) -> Value {
    store.connector(&name("mail")).await.unwrap().cursor.unwrap().0["folders"]["INBOX"]["uidvalidity"].clone()
}

/// The mail that nobody may read: one that none of the others repeats.
fn lonely(mails: &[Mail]) -> usize {
    let alone = |index: &usize| {
        let expected = &mails[*index].expected;
        expected.standing == Standing::First
            && mails.iter().filter(|mail| mail.expected.matter == expected.matter).count() == 1
    };
    (COUNT / 4..COUNT).find(alone).unwrap()
}

async fn a_thousand(dialect: Dialect, mailbox: Mailbox) {
    let mails = mails(2026, COUNT);
    let unreadable = lonely(&mails);
    for (index, mail) in mails.iter().enumerate() {
        if index == unreadable {
            mailbox.deliver_unreadable(&mail.raw)
        } else {
            mailbox.deliver(&mail.raw)
        };
    }
    let site = Site::new(dialect).await;
    site.configure(&self::mailbox("mail", &mailbox, ""));
    let gateway = site.start().await;
    let store = site.store().await;
    let sums = store.settled(COUNT).await;
    assert_eq!(sums.entries, 1000);
    let read = eventually("the run is noted", async || {
        let tally = tally(&store).await;
        (tally.iter().sum::<i64>() == 1000).then_some(tally)
    });
    assert_eq!(read.await, [999, 0, 1], "what the server holds is what was stored and quarantined");

    let entries = store.all_entries().await;
    check(&store, &mails, unreadable, &entries).await;

    // Asked again there is nothing new; from the beginning, everything is a repeat.
    let last = async || store.health(&name("mail")).await.unwrap().unwrap().last_success_at;
    let before = last().await;
    store.run_now("mail").await;
    eventually("a second run", async || (last().await > before).then_some(())).await;
    assert_eq!((tally(&store).await, store.accounting().await.unwrap()), ([999, 0, 1], sums));

    let old = uidvalidity(&store).await;
    gateway.stop().await;
    mailbox.forget_uids();
    let gateway = site.start().await;
    let again = eventually("everything is read again", async || {
        let tally = tally(&store).await;
        (tally.iter().sum::<i64>() == 2000).then_some(tally)
    });
    assert_eq!(again.await, [999, 1000, 1]);
    assert_ne!(uidvalidity(&store).await, old, "the server must have numbered its mails anew");
    assert_eq!(store.accounting().await.unwrap(), sums);
    assert_eq!(store.all_entries().await, entries);
    gateway.stop().await;
    println!("{dialect:?}: 1000 mails at the server, then 1000 again under another UIDVALIDITY; {sums:?}");
}

async fn check(store: &Store, mails: &[Mail], unreadable: usize, entries: &[EntrySummary]) {
    let by_id: BTreeMap<&str, &EntrySummary> = entries.iter().map(|entry| (&entry.external_id[..], entry)).collect();
    assert_eq!(by_id.len(), COUNT, "every entry has an id of its own");
    let mut tickets: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, mail) in mails.iter().enumerate().filter(|(index, _)| *index != unreadable) {
        let expected = &mail.expected;
        let entry = by_id.get(content_key(&mail.raw).as_str()).unwrap_or_else(|| panic!("{} is lost", mail.file_name));
        *places.entry(entry.place.as_str()).or_default() += 1;
        if expected.standing == Standing::Unreadable {
            assert_eq!((index, entry.place), (COUNT / 2, Place::Quarantine), "no mail at all");
            continue;
        }
        assert!(!matches!(entry.place, Place::Pending | Place::Quarantine), "{}: {entry:?}", mail.file_name);
        assert_eq!(entry.subject.as_deref().map(bare), Some(bare(&expected.subject)), "{}", mail.file_name);
        let complaint = store.entry(entry.id).await.unwrap().complaint.unwrap();
        let relation = match expected.standing {
            Standing::First => Relation::Opened,
            Standing::Repeat => Relation::Repeat,
            Standing::CoReport | Standing::Unreadable => Relation::CoReport,
        };
        assert_eq!(complaint.relation, entry.ticket.map(|_| relation), "{}: {:?}", mail.file_name, complaint.grounds);
        tickets.entry(expected.matter).or_default().extend(entry.ticket.map(|number| number.to_string()));
    }
    assert!(tickets.values().all(|numbers| numbers.len() <= 1), "one matter, one ticket");
    let known: BTreeSet<String> = mails.iter().map(|mail| content_key(&mail.raw).as_str().to_owned()).collect();
    let strangers: Vec<_> = entries.iter().filter(|entry| !known.contains(&entry.external_id)).collect();
    assert_eq!(strangers.len(), 1, "the unreadable one");
    assert_eq!(strangers[0].place, Place::Quarantine);
    assert!(strangers[0].quarantine_reason.as_ref().unwrap().contains("cannot be fetched"), "{strangers:?}");
    println!("{places:?}, of {} matters", tickets.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: scripts/test"]
async fn a06_a07_a_thousand_mails_are_taken_whole_and_once() {
    a_thousand(Dialect::Sqlite, Mailbox::new("thousand-sqlite")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: scripts/test"]
async fn a06_a07_a_thousand_mails_are_taken_whole_and_once_on_postgres() {
    a_thousand(Dialect::Postgres, Mailbox::new("thousand-postgres")).await;
}
