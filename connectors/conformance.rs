//! What every pull adapter must do, whatever it reads: one suite, and one small harness per adapter.
//!
//! Each rule was broken in public by systems of this kind; the names of the checks point to the table of failures.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, task::Poll};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    clock::ManualClock,
    contract::{Adapter, Cursor, Limits, Page, Pull, Source, Toolbox},
    entry::Item,
    files,
    http::{Http, HttpLimits, Unpaced},
    process,
};

/// A citizen's data in every item; it may stand in no fault.
const PERSONAL: [&str; 2] = ["张三丰", "13900001234"];

/// A source that the suite can fill and break.
trait Harness {
    /// The adapter, set up to read the source.
    fn adapter(&self) -> Box<dyn Adapter>;
    /// Hands in the items with these numbers; the one with number 3 cannot be read.
    fn add(&self, numbers: std::ops::Range<usize>);
    /// Makes the source unreachable.
    fn shatter(&self);
}

fn open(harness: &dyn Harness) -> Box<dyn Pull> {
    let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00Z".parse().unwrap()));
    let pace = Arc::new(Unpaced);
    let http = Http::new(HttpLimits::default(), pace.clone()).unwrap();
    let tools = Toolbox { clock, http, pace, limits: Limits { page_items: 4, ..Limits::default() } };
    match harness.adapter().source(&tools).unwrap() {
        Source::Pull(pull) => pull,
        Source::Push(_) => panic!("the suite is for sources that are asked"),
    }
}

async fn read(pull: &mut dyn Pull, from: Option<Cursor>) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    loop {
        let cursor = pages.last().map(|page| page.cursor.clone()).or_else(|| from.clone());
        let page = pull.pull(cursor.as_ref()).await.unwrap();
        let more = page.more;
        pages.push(page);
        assert!(pages.len() < 1000, "it comes to an end");
        if !more {
            return pages;
        }
    }
}

fn items(pages: &[Page]) -> Vec<&Item> {
    pages.iter().flat_map(|page| &page.items).collect()
}

async fn suite(harness: &dyn Harness) {
    harness.add(0..10);
    let mut pull = open(harness);
    let check = pull.check().await;
    assert!(check.passed() && !check.steps.is_empty(), "{check:?}");

    // A1, B7: one bad item among good ones is told by itself; B4: pages keep to their bound.
    let pages = read(pull.as_mut(), None).await;
    let all = items(&pages);
    assert_eq!(all.len(), 10);
    assert_eq!(all.iter().filter(|item| matches!(item, Item::Unread(_))).count(), 1);
    assert!(pages.iter().all(|page| page.items.len() <= 4));
    let names: BTreeSet<_> = all.iter().map(|item| item.external_id()).collect();
    assert_eq!(names.len(), 10, "each has a name of its own");

    // A4: read again by another process, the same items are the same.
    assert_eq!(items(&read(open(harness).as_mut(), None).await), all);

    // B1, B3: from every cursor, in another process, at least all that follows comes.
    for (index, page) in pages.iter().enumerate() {
        let again = read(open(harness).as_mut(), Some(page.cursor.clone())).await;
        let again = items(&again);
        for item in items(&pages[index + 1..]) {
            assert!(again.contains(&item), "behind page {index} nothing is missing");
        }
    }

    // A call that is dropped at any point loses nothing. A cursor that was handed back counted as committed, so that the
    // source may have put its items away: they are handed in once more.
    harness.add(0..10);
    let mut seen = BTreeSet::new();
    let mut cursor: Option<Cursor> = None;
    for turns in 0..100_000_usize {
        let mut call = pull.pull(cursor.as_ref());
        let mut ended = None;
        for _ in 0..=turns {
            match futures::poll!(&mut call) {
                Poll::Ready(outcome) => {
                    ended = Some(outcome.unwrap());
                    break;
                }
                Poll::Pending => tokio::task::yield_now().await,
            }
        }
        drop(call);
        let Some(page) = ended else { continue };
        seen.extend(page.items.iter().map(|item| item.external_id().clone()));
        cursor = Some(page.cursor);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), names);

    // A source that cannot be reached is a fault in words, by check and by pull, with nothing of a citizen in it.
    harness.shatter();
    let check = pull.check().await;
    let told = check.steps.into_iter().find_map(|step| step.outcome.err()).expect("the check fails");
    let fault = pull.pull(None).await.expect_err("never \"no news\"");
    for fault in [told, fault] {
        assert!(fault.message.len() > 10 && fault.remedy.is_some(), "{fault}");
        assert!(!PERSONAL.iter().any(|personal| format!("{fault:?}").contains(personal)), "{fault:?}");
    }
}

struct Table(TempDir);

impl Harness for Table {
    fn adapter(&self) -> Box<dyn Adapter> {
        let folder = self.0.path().join("in");
        Box::new(files::Settings { settle_seconds: 0, ..files::Settings::new(folder) })
    }

    fn add(&self, numbers: std::ops::Range<usize>) {
        let row = |number| {
            let more = if number == 3 { ",一格太多" } else { "" };
            format!("L-{number},{},{},第{number}封来信{more}\n", PERSONAL[0], PERSONAL[1])
        };
        let folder = self.0.path().join("in");
        std::fs::create_dir_all(&folder).unwrap();
        let text = "编号,姓名,电话,内容\n".to_owned() + &numbers.map(row).collect::<String>();
        std::fs::write(folder.join("letters.csv"), text).unwrap();
    }

    fn shatter(&self) {
        std::fs::remove_dir_all(self.0.path().join("in")).unwrap();
    }
}

struct Lines(TempDir);

impl Lines {
    fn file(&self) -> PathBuf {
        self.0.path().join("records.jsonl")
    }
}

impl Harness for Lines {
    fn adapter(&self) -> Box<dyn Adapter> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/process");
        let settings = json!({ "command": ["sh", "lines.sh", self.file()], "folder": folder });
        Box::new(serde_json::from_value::<process::Settings>(settings).unwrap())
    }

    fn add(&self, numbers: std::ops::Range<usize>) {
        let line = |number| match number {
            3 => format!("[\"{}\"]\n", PERSONAL[0]),
            _ => {
                json!({ "id": number, "name": PERSONAL[0], "phone": PERSONAL[1], "content": "路灯不亮" }).to_string()
                    + "\n"
            }
        };
        std::fs::write(self.file(), numbers.map(line).collect::<String>()).unwrap();
    }

    fn shatter(&self) {
        std::fs::remove_file(self.file()).unwrap();
    }
}

#[tokio::test]
async fn files_conform() {
    suite(&Table(TempDir::new().unwrap())).await;
}

#[tokio::test]
async fn process_conforms() {
    suite(&Lines(TempDir::new().unwrap())).await;
}
