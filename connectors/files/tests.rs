use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    clock::ManualClock,
    contract::{Cursor, Page, Pull},
    entry::{RawEntry, Remark},
    fault::FaultClass,
    http::{Http, HttpLimits, Unpaced},
};

const NOW: i64 = 1_795_312_800;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/files")
}

fn told(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let full = |value: &Value| match value {
                Value::Null => false,
                Value::String(text) => !text.is_empty(),
                Value::Array(list) => !list.is_empty(),
                Value::Object(map) => !map.is_empty(),
                _ => true,
            };
            Value::Object(
                map.into_iter().map(|(name, value)| (name, told(value))).filter(|(_, value)| full(value)).collect(),
            )
        }
        other => other,
    }
}

fn entries(items: &[Item]) -> Vec<&RawEntry> {
    let entries = items.iter().filter_map(|item| match item {
        Item::Entry(entry) => Some(entry),
        Item::Unread(_) | Item::Fragment(_) => None,
    });
    entries.collect()
}

#[test]
fn files_become_the_items_that_stand_beside_them() {
    let reader = Settings::new("x").normaliser().unwrap();
    let mut seen = 0;
    for file in std::fs::read_dir(fixtures()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(name) = name.strip_suffix(".expected.json") else {
            assert!(fixtures().join(format!("{name}.expected.json")).exists(), "{name} has no expectation");
            continue;
        };
        seen += 1;
        let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let items = expand(name, &std::fs::read(fixtures().join(name)).unwrap(), &Limits::default());
        if let Some(refused) = expected.get("refused") {
            assert_eq!(Value::String(items.unwrap_err().message), *refused, "{name}");
            continue;
        }
        let items = items.unwrap();
        let expected = expected.as_array().unwrap();
        assert_eq!(items.len(), expected.len(), "{name}");
        for (item, expected) in items.iter().zip(expected) {
            match item {
                Item::Fragment(_) => panic!("a folder has no pieces"),
                Item::Unread(unread) => {
                    let raw = String::from_utf8(unread.raw.to_vec()).unwrap();
                    assert_eq!(json!({"unread": unread.reason, "raw": raw}), *expected, "{name}");
                }
                Item::Entry(entry) => {
                    let id = expected["external_id"].as_str().unwrap();
                    assert!(entry.external_id.as_str().starts_with(id), "{name}: {:?}", entry.external_id);
                    let mut complaint = reader.normalise(entry, now()).unwrap();
                    // How mail joins a conversation is the business of the mail layer and tested there.
                    complaint.thread = crate::complaint::Thread::default();
                    assert_eq!(told(serde_json::to_value(&complaint).unwrap()), expected["complaint"], "{name}");
                }
            }
        }
        let ids: std::collections::BTreeSet<_> = items.iter().map(Item::external_id).collect();
        assert_eq!(ids.len(), items.len(), "{name}: every item has an id of its own");
    }
    assert!(seen >= 6, "only {seen} fixtures");
}

#[test]
fn what_cannot_be_read_is_refused_in_words_without_its_name() {
    for (name, bytes, expected) in [
        ("张三.xlsx", b"PK\x03\x04....".as_slice(), "broken"),
        ("张三.xlsx", b"\xd0\xcf\x11\xe0....", "locked"),
        ("张三.xlsx", b"x", "no workbook"),
        ("张三.csv", b"PK\x03\x04....", "are never unpacked"),
        ("张三.zip", b"PK\x03\x04....", "are never unpacked"),
        ("张三.xls", b"\xd0\xcf\x11\xe0....", ".xls"),
        ("张三.eml", b"", "empty"),
        ("张三.mbox", b"Subject: x\n\nFrom y\n", "From "),
        ("张三.csv", "张三,李四\n".as_bytes(), "no column"),
        ("张三.pdf", b"%PDF-1.7", "of this kind"),
        ("张三", b"x", "of this kind"),
    ] {
        let fault = expand(name, bytes, &Limits::default()).unwrap_err();
        assert_eq!(fault.class, FaultClass::Permanent, "{name}");
        assert!(fault.message.contains(expected), "{name}: {fault}");
        assert!(fault.remedy.is_some() && !fault.to_string().contains("张三"), "{name}: {fault}");
    }
}

#[test]
fn a_row_is_the_same_in_whatever_file_it_stands() {
    let one = expand("a.csv", "标题,内容,电话\n甲,乙,13900001234\n".as_bytes(), &Limits::default()).unwrap();
    let other =
        expand("b.csv", "电话;内容;标题\n13900005678;x;y\n13900001234;乙;甲\n".as_bytes(), &Limits::default()).unwrap();
    assert_eq!(one[0].external_id(), other[1].external_id());
    assert_ne!(one[0].external_id(), other[0].external_id());

    let first = expand("a.csv", "编号,内容\nXJ-1,甲\n".as_bytes(), &Limits::default()).unwrap();
    let edited = expand("a.csv", "编号,内容\nXJ-1,甲，补充乙\n".as_bytes(), &Limits::default()).unwrap();
    assert_eq!(first[0].external_id(), edited[0].external_id());
    assert_ne!(entries(&first)[0].revision, entries(&edited)[0].revision);
}

#[test]
fn mailbox_files_are_split_where_mails_begin() {
    let cases: [(&str, &str, Option<Vec<&str>>); 9] = [
        ("one", "From a Mon Nov 16 09:00:00 2026\nA: 1\n\nx\n", Some(vec!["A: 1\n\nx\n"])),
        (
            "two",
            "From a 09:00 2026\nA: 1\n\nx\n\nFrom b 10:00 2026\nA: 2\n\ny\n",
            Some(vec!["A: 1\n\nx\n", "A: 2\n\ny\n"]),
        ),
        (
            "crlf",
            "From a 9:0 2026\r\nA: 1\r\n\r\nx\r\n\r\nFrom b 9:0 2026\r\nA: 2\r\n",
            Some(vec!["A: 1\r\n\r\nx\r\n", "A: 2\r\n"]),
        ),
        (
            "prose",
            "From a 09:00 2026\nA: 1\n\nx\n\nFrom here on it is dark\nx\n",
            Some(vec!["A: 1\n\nx\n\nFrom here on it is dark\nx\n"]),
        ),
        ("no date", "From a\nA: 1\n\nx\n\nFrom b\nSubject: y\n\ny\n", Some(vec!["A: 1\n\nx\n", "Subject: y\n\ny\n"])),
        (
            "no empty line",
            "From a 09:00 2026\nA: 1\n\nx\nFrom b 10:00 2026\ny\n",
            Some(vec!["A: 1\n\nx\nFrom b 10:00 2026\ny\n"]),
        ),
        (
            "quoted",
            "From a 09:00 2026\nA: 1\n\n>From x\n>>From y\n> From z\n",
            Some(vec!["A: 1\n\nFrom x\n>From y\n> From z\n"]),
        ),
        ("empty lines first", "\n\nFrom a 09:00 2026\nA: 1\n", Some(vec!["A: 1\n"])),
        ("none", "A: 1\n\nx\n", None),
    ];
    for (case, text, expected) in cases {
        let mails = mbox::split(text.as_bytes(), 100).map(|mails| {
            let mails = mails.into_iter().map(|span| mbox::unquoted(&text.as_bytes()[span]).into_owned());
            mails.map(|mail| String::from_utf8(mail).unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(mails, expected.map(|mails| mails.into_iter().map(str::to_owned).collect()), "{case}");
    }
}

#[test]
fn a12_a_mail_over_the_limit_is_taken_as_its_beginning() {
    let mail = format!("From: a@mail.example\nSubject: x\n\n{}\n", "长".repeat(1000));
    let limits = Limits { item_bytes: 60, ..Limits::default() };
    let items = expand("a.eml", mail.as_bytes(), &limits).unwrap();
    let entry = entries(&items)[0];
    assert_eq!(entry.raw.len(), 60);
    assert_eq!(entry.remarks, [Remark::Oversize { size: Some(mail.len() as u64), limit: 60 }]);
    let complaint = Settings::new("x").normaliser().unwrap().normalise(entry, now()).unwrap();
    assert!(complaint.remarks.contains(&entry.remarks[0]));
    let whole = expand("a.eml", mail.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(items[0].external_id(), whole[0].external_id());
}

#[test]
fn b07_bad_rows_never_cost_their_neighbours() {
    let wide = format!("{}\n", ",".repeat(MAX_COLUMNS + 5));
    for bad in ["甲\n", "甲,乙,丙\n", "\"甲,乙\n", wide.as_str()] {
        let text = format!("标题,内容\n前,前\n{bad}后,后\n");
        let items = expand("a.csv", text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(entries(&items).len(), 2, "{bad}: {items:?}");
        assert_eq!(items.len(), if blank_row(bad) { 2 } else { 3 }, "{bad}");
    }
}

fn blank_row(row: &str) -> bool {
    row.chars().all(|character| matches!(character, ',' | '\n'))
}

#[test]
fn mistakes_in_settings_are_told_with_their_place() {
    let settings: Settings = serde_json::from_value(json!({
        "folder": "", "settle_seconds": 9999, "file_bytes": 0, "delimiter": "，", "mapping": {"body": "内容"},
    }))
    .unwrap();
    let places: Vec<String> = settings.validate().into_iter().map(|mistake| mistake.pointer).collect();
    assert_eq!(places, ["/folder", "/settle_seconds", "/file_bytes", "/delimiter", "/mapping/body"]);
    let same: Settings = serde_json::from_value(json!({"folder": "/a", "done_folder": "/a"})).unwrap();
    assert_eq!(same.validate()[0].pointer, "/done_folder");
    assert_eq!(Settings::new("/a").validate(), vec![]);
}

/// A folder with a connector on it, whose clock stands a minute after its files were written.
struct Watched {
    folder: TempDir,
    clock: ManualClock,
    limits: Limits,
    settings: Settings,
    pull: Box<dyn Pull>,
}

impl Watched {
    fn new(page_items: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new(folder.path());
        let clock = ManualClock::new(now());
        let limits = Limits { page_items, ..Limits::default() };
        let pull = start(&settings, &clock, limits);
        Self { folder, clock, limits, settings, pull }
    }

    /// What a crash leaves: everything on disk, nothing in memory.
    fn restart(&mut self) {
        self.pull = start(&self.settings, &self.clock, self.limits);
    }

    fn write(&self, name: &str, text: &str) {
        self.write_at(name, text, NOW - 60);
    }

    fn write_at(&self, name: &str, text: &str, modified: i64) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(modified).unwrap());
        std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    /// Takes pages until there are no more, as the gateway does.
    async fn take_all(&mut self) -> Vec<Item> {
        let (mut cursor, mut items) = (None::<Cursor>, Vec::new());
        for _ in 0..100 {
            let page = self.pull.pull(cursor.as_ref()).await.unwrap();
            self.pull.confirm(&page).await.unwrap();
            items.extend(page.items);
            cursor = Some(page.cursor);
            if !page.more {
                return items;
            }
        }
        panic!("the folder never ends");
    }

    fn names(&self, below: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join(below)) else { return Vec::new() };
        let files = entries.map(Result::unwrap).filter(|entry| !entry.file_type().unwrap().is_dir());
        let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(super) fn start(settings: &Settings, clock: &ManualClock, limits: Limits) -> Box<dyn Pull> {
    let tools = Toolbox {
        clock: Arc::new(clock.clone()),
        http: Http::new(HttpLimits::default(), Arc::new(Unpaced)).unwrap(),
        pace: Arc::new(Unpaced),
        limits,
    };
    let Source::Pull(pull) = settings.source(&tools).unwrap() else { panic!("a folder is asked") };
    pull
}

pub(super) fn clock() -> ManualClock {
    ManualClock::new(now())
}

/// The ids of everything that the folder brings.
pub(super) async fn all_ids(pull: &mut dyn Pull) -> Vec<String> {
    let page = pull.pull(None).await.unwrap();
    assert!(!page.more);
    ids(&page.items)
}

fn table(rows: std::ops::Range<usize>) -> String {
    rows.fold("标题,内容\n".to_owned(), |text, row| format!("{text}第{row}件,内容{row}\n"))
}

fn ids(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| item.external_id().as_str().to_owned()).collect()
}

#[tokio::test]
async fn every_file_is_taken_once_and_moved_never_deleted() {
    let mut watched = Watched::new(3);
    watched.write("b.csv", &table(0..7));
    watched.write("a.eml", "From: a@mail.example\nSubject: x\n\nx\n");
    watched.write("c.pdf", "%PDF");
    watched.write("d.csv", "标题,内容\n");
    let items = watched.take_all().await;
    assert_eq!(items.len(), 9);
    assert_eq!(entries(&items).len(), 8);
    assert_eq!(watched.names(""), Vec::<String>::new());
    assert_eq!(watched.names("done"), ["a.eml", "b.csv", "c.pdf", "d.csv"]);
    assert_eq!(watched.take_all().await, vec![]);
}

#[tokio::test]
async fn b01_a_crash_at_any_page_gives_repeats_and_no_loss() {
    let whole = expand("b.csv", table(0..7).as_bytes(), &Limits::default()).unwrap();
    // Killed before or after the commit of each page, before the file could be moved.
    for crash in 0..6 {
        for committed in [false, true] {
            let mut watched = Watched::new(2);
            watched.write("b.csv", &table(0..7));
            watched.write("e.csv", &table(10..11));
            let (mut cursor, mut stored) = (None::<Cursor>, Vec::new());
            for step in 0..30 {
                let page: Page = watched.pull.pull(cursor.as_ref()).await.unwrap();
                if step == crash && !committed {
                    watched.restart();
                    continue;
                }
                stored.extend(ids(&page.items));
                cursor = Some(page.cursor.clone());
                if step == crash {
                    watched.restart();
                    continue;
                }
                watched.pull.confirm(&page).await.unwrap();
                if !page.more && watched.names("").is_empty() {
                    break;
                }
            }
            stored.sort();
            let count = stored.len();
            stored.dedup();
            assert_eq!((count, stored.len()), (8, 8), "crash at {crash}, committed: {committed}");
            assert!(whole.iter().all(|item| stored.contains(&item.external_id().as_str().to_owned())));
            assert_eq!(watched.names("done"), ["b.csv", "e.csv"], "crash at {crash}, committed: {committed}");
        }
    }
}

#[tokio::test]
async fn a_file_is_left_alone_until_it_has_settled() {
    let mut watched = Watched::new(10);
    watched.write_at("a.csv", &table(0..1), NOW - 3);
    watched.write_at("ahead.csv", &table(1..2), NOW + 7200);
    for name in [".hidden.csv", "b.csv.part", "c.tmp", "~$d.csv", "Thumbs.db"] {
        watched.write(name, "x");
    }
    assert_eq!(watched.take_all().await, vec![]);
    watched.write_at("ahead.csv", &table(1..3), NOW + 7200);
    watched.clock.advance(SignedDuration::from_secs(8));
    assert_eq!(watched.take_all().await.len(), 1, "one has settled, the other was written to");
    watched.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(watched.take_all().await.len(), 2);
    assert_eq!(watched.names("").len(), 5, "what is passed over stays");
}

#[tokio::test]
async fn names_in_the_done_folder_are_never_written_over() {
    let mut watched = Watched::new(10);
    for round in 0..3 {
        watched.write("a.csv", &table(round..round + 1));
        assert_eq!(watched.take_all().await.len(), 1);
    }
    assert_eq!(watched.names("done"), ["a (2).csv", "a (3).csv", "a.csv"]);
}

#[tokio::test]
async fn a_file_written_over_while_it_is_taken_is_read_again_and_stays() {
    let mut watched = Watched::new(2);
    watched.write("a.csv", &table(0..4));
    let first = watched.pull.pull(None).await.unwrap();
    watched.write_at("a.csv", &table(0..6), NOW - 30);
    let again = watched.pull.pull(Some(&first.cursor)).await.unwrap();
    assert_eq!(again.items, first.items, "from its beginning");
    let mut page = again;
    while page.more {
        page = watched.pull.pull(Some(&page.cursor)).await.unwrap();
    }
    watched.write_at("a.csv", &table(0..7), NOW - 20);
    watched.pull.confirm(&page).await.unwrap();
    assert_eq!(watched.names(""), ["a.csv"], "it is not what was stored");
}

#[tokio::test]
async fn a_file_that_is_read_differently_now_is_not_finished() {
    let mut watched = Watched::new(10);
    watched.write("a.csv", "甲列\n路灯不亮\n");
    let page = watched.pull.pull(None).await.unwrap();
    assert!(matches!(page.items.as_slice(), [Item::Unread(unread)] if unread.reason.contains("no column")));
    watched.settings.mapping = Mapping { body: Some("/甲列".into()), ..Mapping::default() };
    watched.restart();
    let page = watched.pull.pull(Some(&page.cursor)).await.unwrap();
    assert_eq!(entries(&page.items).len(), 1);
}

#[tokio::test]
async fn a_file_over_the_limit_goes_to_quarantine_with_its_beginning() {
    let mut watched = Watched::new(10);
    watched.settings.file_bytes = 100;
    watched.limits.item_bytes = 50;
    watched.restart();
    watched.write("a.csv", &table(0..50));
    watched.write("b.csv", &table(0..1));
    let items = watched.take_all().await;
    assert!(matches!(&items[0], Item::Unread(unread) if unread.raw.len() == 50 && unread.reason.contains("100")));
    assert_eq!(entries(&items).len(), 1);
    assert_eq!(watched.names("done"), ["a.csv", "b.csv"]);
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_not_followed() {
    let mut watched = Watched::new(10);
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.csv"), table(0..3)).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.csv"), watched.folder.path().join("a.csv")).unwrap();
    std::os::unix::fs::symlink(outside.path(), watched.folder.path().join("b.csv")).unwrap();
    watched.clock.advance(SignedDuration::from_hours(24 * 365));
    assert_eq!(watched.take_all().await, vec![]);
    assert!(outside.path().join("secret.csv").exists());
}

#[tokio::test]
async fn the_check_tells_what_is_there() {
    let mut watched = Watched::new(10);
    watched.write("a.csv", &table(0..1));
    watched.write("b.tmp", "x");
    let check = watched.pull.check().await;
    assert!(check.passed());
    assert_eq!(check.steps[0].outcome, Ok("1 files are ready, 0 are still settling, 1 are passed over".to_owned()));
    assert_eq!(watched.names(""), ["a.csv", "b.tmp"], "a check changes nothing");
    watched.settings.folder = watched.folder.path().join("nowhere");
    watched.restart();
    let check = watched.pull.check().await;
    assert_eq!(check.steps[0].outcome.as_ref().unwrap_err().class, FaultClass::Configuration);
    assert_eq!(watched.pull.pull(None).await.unwrap_err().class, FaultClass::Configuration);
}

fn tabular() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof!["[a甲,\"\n\r\t;=' ]{0,6}", Just("标题,内容\n".to_owned()), Just("\"\",".to_owned())],
        0..20,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn rows_stand_where_the_csv_crate_finds_them(text in tabular()) {
        let found = table::records(&text, b',', usize::MAX);
        // A quote that is never closed is where we do better on purpose.
        prop_assume!(found.iter().all(|row| !row.is_open()));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let cells: Vec<usize> = reader.records().map(|record| record.unwrap().len()).collect();
        prop_assert_eq!(found.iter().map(table::Row::cells).collect::<Vec<_>>(), cells);
    }

    #[test]
    fn no_table_and_no_mailbox_file_panics(text in tabular(), kind in 0..3_usize) {
        let name = ["a.csv", "a.mbox", "a.eml"][kind];
        let limits = Limits { item_bytes: 16, ..Limits::default() };
        let reader = Settings::new("x").normaliser().unwrap();
        for text in [text.clone(), format!("标题,内容\n{text}"), format!("From a\n{text}")] {
            for item in expand(name, text.as_bytes(), &limits).unwrap_or_default() {
                match item {
                    Item::Entry(entry) => {
                        let _ = reader.normalise(&entry, now());
                    }
                    Item::Fragment(_) => prop_assert!(false),
                    Item::Unread(unread) => prop_assert!(!unread.reason.is_empty() && unread.raw.len() <= 16),
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..4_usize) {
        let _ = expand(["a.csv", "a.tsv", "a.mbox", "a.eml"][kind], &bytes, &Limits::default());
    }
}
