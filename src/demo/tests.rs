//! Tests of what is played; where it ends is tested through the whole gateway.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use connectors::{clock::SystemClock, contract::Limits, entry::Item, files};
use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Options, Outside, Stay, account, call_center,
    call_center::Twist,
    configuration,
    corpus::{ARCHIVE, Corpus, LETTERS, MAILS, archived},
    play,
    stage::replaced,
    verify::{self, Seen},
};
use crate::{config, issue::Relation, number::TicketNumber, store::read::Place};

fn now() -> Timestamp {
    "2027-03-01T02:00:00Z".parse().unwrap()
}

fn corpus() -> Corpus {
    Corpus::read(now()).unwrap()
}

#[test]
fn every_fixture_is_played_and_every_item_expected_exactly_once() {
    let corpus = corpus();
    let mut names = BTreeSet::new();
    for item in &corpus.expected {
        assert!(names.insert((item.connector.clone(), item.id.clone())), "{}/{} twice", item.connector, item.id);
        assert_eq!(item.relation.is_some(), item.place == Place::Ticket, "{}: tickets have relations", item.id);
    }
    let mut played: BTreeSet<(String, String)> = BTreeSet::from([("calls".to_owned(), "demo-oversize".to_owned())]);
    let mut play = |connector: &str, id: String| assert!(played.insert((connector.to_owned(), id)));
    for (connector, forms, id) in
        [("calls", &corpus.calls, "call_id"), ("business", &corpus.business, "id"), ("portal", &corpus.portal, "id")]
    {
        for form in forms {
            play(connector, form[id].as_str().unwrap().to_owned());
        }
    }
    for message in &corpus.board {
        play("board", message.id.to_string());
    }
    for (name, _) in MAILS {
        play("mail", (*name).to_owned());
    }
    for number in 1..=archived(ARCHIVE).len() {
        play("mail", format!("archive-{number}"));
    }
    let letters = files::expand("letters.csv", LETTERS, &Limits::default()).unwrap();
    for letter in &letters {
        play("letters", letter.external_id().as_str().to_owned());
    }
    assert_eq!(played, names);
    assert!(names.len() >= 60);

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo/mails");
    let files: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, MAILS.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn entries_are_known_as_the_items_they_are() {
    let mut corpus = corpus();
    let id = |index: Option<usize>, corpus: &Corpus| index.map(|index| corpus.expected[index].id.clone());
    assert_eq!(id(corpus.identify("board", "1010:7310003"), &corpus).as_deref(), Some("7310003"));
    assert_eq!(corpus.identify("portal", "7310003"), None);
    let mails = files::expand("archive.mbox", ARCHIVE, &Limits::default()).unwrap();
    for (index, mail) in mails.iter().enumerate() {
        let known = corpus.identify("mail", mail.external_id().as_str());
        assert_eq!(id(known, &corpus), Some(format!("archive-{}", index + 1)));
    }
    for (name, raw) in MAILS {
        let items = files::expand(name, raw, &Limits::default()).unwrap();
        let [Item::Entry(entry)] = items.as_slice() else { panic!("{name} is one mail") };
        assert_eq!(id(corpus.identify("mail", entry.external_id.as_str()), &corpus).as_deref(), Some(*name));
    }
    let (name, raw) = MAILS.last().unwrap();
    let quoting = replaced(raw, b"@@TICKET@@", b"261123-000042-8");
    let items = files::expand(name, &quoting, &Limits::default()).unwrap();
    assert_eq!(corpus.identify("mail", items[0].external_id().as_str()), None);
    corpus.know_mail(name, &quoting);
    assert_eq!(id(corpus.identify("mail", items[0].external_id().as_str()), &corpus).as_deref(), Some(*name));
}

#[test]
fn what_is_urgent_happens_now() {
    let corpus = corpus();
    let newest = corpus.board.iter().map(|message| message.written).max();
    assert_eq!(newest, Some(now().as_second()));
    let ends: Vec<&str> = corpus.calls.iter().filter_map(|call| call["end"].as_str()).collect();
    assert_eq!(ends.iter().max(), Some(&"2027-03-01 10:00:00"));
    assert!(ends.iter().all(|end| end.starts_with("2027-03-01 0") || *end == "2027-03-01 10:00:00"), "{ends:?}");
}

#[test]
fn mishaps_stand_beside_every_form_sent_right() {
    let corpus = corpus();
    let deliveries = call_center::with_mishaps("calls", &corpus.calls, 1000);
    let good = deliveries.iter().filter(|one| matches!(one.twist, Twist::None | Twist::Twice)).count();
    assert_eq!(good, corpus.calls.len());
    for twist in [Twist::Twice, Twist::BadSignature, Twist::Oversize, Twist::Malformed] {
        assert_eq!(deliveries.iter().filter(|one| one.twist == twist).count(), 1, "{twist:?}");
    }
    let ids: BTreeSet<&str> = deliveries.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), deliveries.len());
    for one in &deliveries {
        let parsed = serde_json::from_slice::<serde_json::Value>(&one.body);
        assert_eq!(parsed.is_ok(), one.twist != Twist::Malformed, "{}", one.id);
        assert_eq!(one.body.len() > 1000 * 3, one.twist == Twist::Oversize, "{}", one.id);
    }
}

#[test]
fn the_configuration_is_one_that_the_program_takes() {
    let folder = std::path::Path::new("/srv/演示 \"folder\"");
    let places = configuration::Places {
        mails: &folder.join("mails"),
        letters: &folder.join("letters"),
        board: &"http://127.0.0.1:4711/".parse().unwrap(),
        port: 0,
    };
    let draft = config::parse(&folder.join("jiesu.toml"), &configuration::text(&places)).unwrap();
    let config = config::validate(&draft).unwrap_or_else(|errors| panic!("{errors}"));
    let corpus = corpus();
    let named: BTreeSet<String> = corpus.expected.iter().map(|item| item.connector.clone()).collect();
    assert_eq!(config.connectors.iter().map(|one| one.name.as_str().to_owned()).collect::<BTreeSet<_>>(), named);
    let channels: BTreeSet<_> = config.connectors.iter().map(|one| one.channel.as_str()).collect();
    assert_eq!(channels.len(), connectors::complaint::Channel::ALL.len());
    for connector in &config.connectors {
        assert_ne!(account::channel(connector.name.as_str()), "其他");
        assert!(connector.adapter().unwrap().validate().is_empty());
    }
}

#[test]
fn what_is_not_as_expected_is_told() {
    let expected: Vec<super::corpus::Expected> = serde_json::from_value(json!([
        {"connector": "calls", "id": "1", "about": "", "place": "ticket", "relation": "opened", "matter": "m", "kind": "help"},
        {"connector": "mail", "id": "2", "about": "", "place": "ticket", "relation": "repeat", "matter": "m"},
        {"connector": "mail", "id": "3", "about": "", "place": "guided", "article": "7(1)"},
    ]))
    .unwrap();
    let number = |serial| TicketNumber::new(jiff::civil::date(2026, 11, 23), serial).unwrap();
    let seen = |item, place, ticket: Option<u32>, relation, article: &str| Seen {
        item: Some(item),
        place,
        ticket: ticket.map(number),
        relation,
        kind: Some(crate::assess::Kind::Help),
        urgency: None,
        article: Some(article.parse().unwrap()),
    };
    // The second of a matter may open its ticket.
    let good = vec![
        seen(1, Place::Ticket, Some(1), Some(Relation::Opened), "6(2)"),
        seen(0, Place::Ticket, Some(1), Some(Relation::Repeat), "6(2)"),
        seen(2, Place::Guided, None, None, "7(1)"),
    ];
    assert_eq!(verify::all(&expected, &good), Vec::<String>::new());
    let spoil = |change: &dyn Fn(&mut Vec<Seen>)| {
        let mut seen = good.clone();
        change(&mut seen);
        verify::all(&expected, &seen).len()
    };
    assert_eq!(spoil(&|seen| seen[1].ticket = Some(number(2))), 1);
    assert_eq!(spoil(&|seen| seen[1].relation = Some(Relation::CoReport)), 1);
    assert_eq!(spoil(&|seen| seen[1].kind = Some(crate::assess::Kind::Consult)), 1);
    assert_eq!(spoil(&|seen| seen[2].place = Place::Held), 1);
    assert_eq!(spoil(&|seen| seen[2].article = Some("7(2)".parse().unwrap())), 1);
    assert_eq!(spoil(&|seen| seen.push(seen[2].clone())), 1);
    assert_eq!(spoil(&|seen| seen[2].item = None), 2);
    assert_eq!(spoil(&|seen| seen.truncate(2)), 1);
}

/// The gateway with its real parts, over everything that is played: design promises 1 to 4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_demonstration_meets_its_expectations() {
    let options = Options {
        interval: Duration::from_millis(1),
        stay: Stay::Once,
        patience: Duration::from_mins(1),
        usual_port: false,
        folder: None,
    };
    let random = Arc::new(|| 0.5);
    let outside = Outside { clock: Arc::new(SystemClock), random, unique: uuid::Uuid::new_v4 };
    let mut shown = Vec::new();
    let outcome = play(&options, &outside, &mut shown, &CancellationToken::new()).await.unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(outcome.met(), "{:#?}\n{shown}", outcome.wrong);
    assert_eq!(outcome.sums.entries, i64::try_from(corpus().expected.len()).unwrap());
    assert!(!shown.contains('✗'), "{shown}");
    // Article 24: nobody's number is shown, though one complaint holds one in its text.
    assert!(!shown.contains("139000012"), "{shown}");
}

/// A terminal that goes away after so many lines, as in `jiesu demo | head`.
struct Closing(usize);

impl std::io::Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 =
            self.0.checked_sub(bytes.split(|byte| *byte == b'\n').count() - 1).ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demonstration_that_is_cut_short_stops_in_order() {
    let options = Options { interval: Duration::from_millis(1), usual_port: false, ..Options::default() };
    let outside = Outside { clock: Arc::new(SystemClock), random: Arc::new(|| 0.5), unique: uuid::Uuid::new_v4 };
    let cut = play(&options, &outside, &mut Closing(8), &CancellationToken::new()).await;
    assert!(matches!(cut, Err(super::DemoError::Terminal(_))), "{cut:?}");

    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let outcome = play(&options, &outside, &mut Vec::new(), &cancelled).await.unwrap();
    assert!(!outcome.whole && !outcome.met() && outcome.sums.balances());
}
