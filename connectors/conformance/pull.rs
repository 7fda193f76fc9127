//! The cases of sources that are asked.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    task::Poll,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Applies, Given, Kind, PullHarness, Trouble, gathered,
    heard::{Heard, PHONE},
    limits, now,
    page::{self, Line},
    tools, tried,
};
use crate::{
    complaint::Complaint,
    contract::{Adapter, Cursor, Page, Pull, Source},
    entry::{ExternalId, Item, RawEntry, Remark},
    fault::{Fault, FaultClass},
    holdings::Period,
};

/// The cases, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PullCase {
    CheckPasses,
    CheckFails,
    Pages,
    Again,
    Resumes,
    Late,
    OneMoment,
    ForeignCursor,
    FutureCursor,
    Idle,
    Killed,
    Dropped,
    Unconfirmed,
    Unreadable,
    Oversize,
    Clock,
    Unreachable,
    Refused,
    Busy,
    Gone,
    Nonsense,
    Recovers,
    Stops,
    Holdings,
    Normalises,
    Hostile,
    Silent,
}

impl PullCase {
    const ALL: [Self; 27] = [
        Self::CheckPasses,
        Self::CheckFails,
        Self::Pages,
        Self::Again,
        Self::Resumes,
        Self::Late,
        Self::OneMoment,
        Self::ForeignCursor,
        Self::FutureCursor,
        Self::Idle,
        Self::Killed,
        Self::Dropped,
        Self::Unconfirmed,
        Self::Unreadable,
        Self::Oversize,
        Self::Clock,
        Self::Unreachable,
        Self::Refused,
        Self::Busy,
        Self::Gone,
        Self::Nonsense,
        Self::Recovers,
        Self::Stops,
        Self::Holdings,
        Self::Normalises,
        Self::Hostile,
        Self::Silent,
    ];

    /// The case in words, and its rows in `docs/failures.md`.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::CheckPasses => ("its check goes in steps, told in words, and changes nothing", "A14"),
            Self::CheckFails => ("its check fails in words, with what to do", "A10"),
            Self::Pages => ("every item comes, under a name of its own, in pages within their bound", "A3, B4"),
            Self::Again => ("read again by another process, the same items are the same", "A4, B2"),
            Self::Resumes => ("behind every cursor, nothing that follows is missing", "B1, B3"),
            Self::Late => ("what comes while pages are read is not missed", "B3"),
            Self::OneMoment => ("many items of one moment are told apart", "B3"),
            Self::ForeignCursor => ("a cursor of another adapter is refused, with what to do", "B9"),
            Self::FutureCursor => ("a cursor ahead of its source is a fault, or everything comes anew", "A6, B9"),
            Self::Idle => ("a source without news comes to its end and brings nothing new", "A4, B10"),
            Self::Killed => ("killed between a page and its commit: the same page comes again", "B1"),
            Self::Dropped => ("dropped at any await: nothing is lost", "A16, B1"),
            Self::Unconfirmed => ("never told of a commit, or cut off while told: nothing is lost", "A15, B1"),
            Self::Unreadable => ("one item that cannot be read is told by itself, and its neighbours come", "A1, B7"),
            Self::Oversize => ("an item over the limit is a stub, and reading goes on behind it", "A12"),
            Self::Clock => ("an item from the future by its own clock comes, and is remarked", "B11"),
            Self::Unreachable => ("a source that cannot be reached is a passing fault", "A10, B10"),
            Self::Refused => ("a refused login is an authentication fault, with what to do", "A10"),
            Self::Busy => ("a source that asks us to slow down is one, for as long as it asks", "A10, B10"),
            Self::Gone => ("what is not there any more needs a person, and is told with what to do", "A10"),
            Self::Nonsense => ("an answer in another form is a fault, never \"no news\"", "B12"),
            Self::Recovers => ("after a fault the same reader goes on", "A2, A10"),
            Self::Stops => ("a source that hangs is let go of within 2 s", "A16"),
            Self::Holdings => ("it names what its source holds, as its items are named", "A3"),
            Self::Normalises => ("its entries become complaints, the same each time", ""),
            Self::Hostile => ("no bytes make its normaliser panic", "A1, D4"),
            Self::Silent => ("nothing of a citizen and no secret in faults, reasons, remarks or the log", "D2"),
        }
    }
}

/// Runs the suite against an adapter that is asked.
pub(crate) async fn pull_conforms<H: PullHarness>() {
    let heard = Heard::default();
    let _listening = heard.listen();
    let mut lines: Vec<Line> = Vec::new();
    for case in PullCase::ALL {
        let (words, rows) = case.told();
        let outcome = match H::exempt(case) {
            Some(why) => Ok(Err(why)),
            None => tried(run::<H>(case, &heard)).await,
        };
        lines.push((words, rows, outcome));
    }
    page::settle(H::ADAPTER, &lines);
}

async fn run<H: PullHarness>(case: PullCase, heard: &Heard) -> Applies {
    let source = H::start().await;
    let test = Test { source: &source, heard };
    match case {
        PullCase::CheckPasses => test.check_passes().await,
        PullCase::CheckFails => test.check_fails().await,
        PullCase::Pages => test.pages().await,
        PullCase::Again => test.again().await,
        PullCase::Resumes => test.resumes().await,
        PullCase::Late => test.late().await,
        PullCase::OneMoment => test.one_moment().await,
        PullCase::ForeignCursor => test.foreign_cursor().await,
        PullCase::FutureCursor => test.future_cursor().await,
        PullCase::Idle => test.idle().await,
        PullCase::Killed => test.killed().await,
        PullCase::Dropped => test.dropped().await,
        PullCase::Unconfirmed => test.unconfirmed().await,
        PullCase::Unreadable => test.unreadable().await,
        PullCase::Oversize => test.oversize().await,
        PullCase::Clock => test.clock().await,
        PullCase::Unreachable => test.faulty(Trouble::Unreachable, &[FaultClass::Transient]).await.map(drop),
        PullCase::Refused => {
            test.faulty(Trouble::Refuses, &[FaultClass::Authentication]).await.map(|fault| remedied(&fault))
        }
        PullCase::Busy => test.busy().await,
        PullCase::Gone => {
            let classes = [FaultClass::Permanent, FaultClass::Configuration];
            test.faulty(Trouble::Gone, &classes).await.map(|fault| remedied(&fault))
        }
        PullCase::Nonsense => test.nonsense().await,
        PullCase::Recovers => test.recovers().await,
        PullCase::Stops => test.stops().await,
        PullCase::Holdings => test.holdings().await,
        PullCase::Normalises => test.normalises().await,
        PullCase::Hostile => test.hostile().await,
        PullCase::Silent => {
            heard.is_silent(H::secrets());
            Ok(())
        }
    }
}

/// The names of items.
type Names = BTreeSet<ExternalId>;

fn names<'a>(items: impl IntoIterator<Item = &'a Item>) -> Names {
    items.into_iter().map(|item| item.external_id().clone()).collect()
}

fn items(pages: &[Page]) -> Vec<&Item> {
    pages.iter().flat_map(|page| &page.items).collect()
}

fn remedied(fault: &Fault) {
    assert!(fault.remedy.is_some(), "a fault that needs a person says what to do: {fault:?}");
}

/// A reader whose words are heard.
struct Reader<'a> {
    pull: Box<dyn Pull>,
    heard: &'a Heard,
}

impl Reader<'_> {
    fn hear<T, E: Debug>(&self, outcome: Result<T, E>) -> Result<T, E> {
        outcome.inspect_err(|error| self.heard.note(error))
    }

    async fn page(&mut self, from: Option<&Cursor>) -> Result<Page, Fault> {
        let outcome = self.pull.pull(from).await;
        let page = self.hear(outcome)?;
        assert!(page.items.len() <= limits().page_items, "a page of {} items", page.items.len());
        for item in &page.items {
            match item {
                Item::Entry(entry) => self.heard.note(&entry.remarks),
                Item::Unread(unread) => self.heard.note(&unread.reason),
                Item::Fragment(_) => {}
            }
        }
        // The gateway keeps cursors as text.
        let text = page.cursor.0.to_string();
        assert_eq!(
            serde_json::from_str::<Cursor>(&text).ok().as_ref(),
            Some(&page.cursor),
            "the cursor outlives a restart"
        );
        Ok(page)
    }

    /// Page after page to the end; told of each as the gateway tells it, or of none.
    async fn read(&mut self, from: Option<&Cursor>, confirming: bool) -> Vec<Page> {
        let mut pages: Vec<Page> = Vec::new();
        loop {
            let cursor = pages.last().map(|page| &page.cursor).or(from).cloned();
            let page = self.page(cursor.as_ref()).await.unwrap();
            if confirming {
                self.pull.confirm(&page).await.unwrap();
            }
            let more = page.more;
            pages.push(page);
            assert!(pages.len() < 200, "it comes to an end");
            if !more {
                return pages;
            }
        }
    }

    /// Pulls until it has seen these names; sources may need more than one look.
    async fn find(&mut self, mut from: Option<Cursor>, wanted: &Names) -> Names {
        let mut seen = Names::new();
        for _ in 0..4 {
            let pages = self.read(from.as_ref(), true).await;
            seen.extend(names(items(&pages)));
            if wanted.is_subset(&seen) {
                break;
            }
            from = pages.last().map(|page| page.cursor.clone());
        }
        seen
    }
}

struct Test<'a, H> {
    source: &'a H,
    heard: &'a Heard,
}

impl<H: PullHarness> Test<'_, H> {
    fn adapter(&self) -> Box<dyn Adapter> {
        let adapter = self.source.adapter();
        assert_eq!(adapter.validate(), [], "the harness's settings are sound");
        adapter
    }

    fn open(&self) -> Reader<'_> {
        match self.adapter().source(&tools()).unwrap() {
            Source::Pull(pull) => Reader { pull, heard: self.heard },
            Source::Push(_) => panic!("this adapter is pushed to: use push_conforms"),
        }
    }

    /// The entry that an item is, or that a piece of one comes to.
    fn entry(&self, item: &Item) -> RawEntry {
        match item {
            Item::Entry(entry) => entry.clone(),
            Item::Fragment(fragment) => gathered(self.adapter().as_ref(), fragment),
            Item::Unread(_) => panic!("it was not read: {item:?}"),
        }
    }

    fn complaint(&self, entry: &RawEntry) -> Complaint {
        self.adapter().normaliser().unwrap().normalise(entry, now()).unwrap()
    }

    async fn check_passes(&self) -> Applies {
        self.source.put(&Given::good(0..3)).await?;
        let mut reader = self.open();
        let check = reader.pull.check().await;
        self.heard.note(&check);
        assert!(check.passed() && !check.steps.is_empty(), "{check:?}");
        for step in &check.steps {
            assert!(step.outcome.as_ref().is_ok_and(|told| told.len() > 3), "{step:?}");
        }
        assert_eq!(names(items(&self.open().read(None, true).await)).len(), 3, "the check took nothing away");
        Ok(())
    }

    async fn check_fails(&self) -> Applies {
        self.source.put(&Given::good(0..3)).await?;
        for trouble in [Trouble::Unreachable, Trouble::Refuses, Trouble::Gone, Trouble::Nonsense] {
            if self.source.afflict(trouble).await.is_err() {
                continue;
            }
            let check = self.open().pull.check().await;
            self.heard.note(&check);
            let last = check.steps.last().unwrap_or_else(|| panic!("{trouble:?}: it tells nothing"));
            let fault = last.outcome.as_ref().err().unwrap_or_else(|| panic!("{trouble:?}: it passes: {check:?}"));
            assert!(fault.message.len() > 10, "{trouble:?}: {fault}");
            assert!(fault.remedy.is_some() || !fault.class.needs_a_person(), "{trouble:?}: {fault:?}");
            self.source.mend().await;
        }
        Ok(())
    }

    async fn pages(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let pages = self.open().read(None, true).await;
        assert!(pages.len() >= 3, "ten items make several pages");
        // Some come twice where a source is walked twice; none is missing.
        let all = items(&pages);
        assert_eq!(names(all.iter().copied()).len(), 10, "{} items", all.len());
        let mut distinct: Vec<&Item> = Vec::new();
        for item in all {
            if !distinct.contains(&item) {
                distinct.push(item);
            }
        }
        assert_eq!(distinct.len(), 10, "one name, one item");
        Ok(())
    }

    async fn again(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let pages = self.open().read(None, false).await;
        let again = self.open().read(None, false).await;
        assert_eq!(items(&again), items(&pages));
        Ok(())
    }

    async fn resumes(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let pages = self.open().read(None, false).await;
        for (index, page) in pages.iter().enumerate() {
            let again = self.open().read(Some(&page.cursor), false).await;
            let (again, wanted) = (names(items(&again)), names(items(&pages[index + 1..])));
            assert!(wanted.is_subset(&again), "behind page {index}: {:?}", wanted.difference(&again));
        }
        Ok(())
    }

    async fn late(&self) -> Applies {
        self.source.put(&Given::good(0..6)).await?;
        let mut reader = self.open();
        let first = reader.page(None).await.unwrap();
        reader.pull.confirm(&first).await.unwrap();
        self.source.put(&Given::good(6..11)).await?;
        let mut seen = names(&first.items);
        let rest = reader.read(Some(&first.cursor), true).await;
        seen.extend(names(items(&rest)));
        let last = rest.last().map(|page| page.cursor.clone());
        seen.extend(names(items(&reader.read(last.as_ref(), true).await)));
        assert_eq!(seen.len(), 11, "{seen:?}");
        Ok(())
    }

    async fn one_moment(&self) -> Applies {
        let given: Vec<Given> = (0..10).map(|number| Given::new(number, Kind::OneMoment)).collect();
        self.source.put(&given).await?;
        assert_eq!(names(items(&self.open().read(None, true).await)).len(), 10);
        Ok(())
    }

    async fn foreign_cursor(&self) -> Applies {
        self.source.put(&Given::good(0..3)).await?;
        for foreign in [json!({ "no_such_field": [1, 2] }), json!("page 7"), json!(7)] {
            let fault = self.open().page(Some(&Cursor(foreign.clone()))).await.expect_err("a foreign cursor");
            assert_eq!(fault.class, FaultClass::Configuration, "{foreign}: {fault}");
            remedied(&fault);
        }
        Ok(())
    }

    async fn future_cursor(&self) -> Applies {
        let restored = H::start().await;
        self.source.put(&Given::good(0..10)).await?;
        let cursor = self.open().read(None, true).await.pop().map(|page| page.cursor);
        // The source was set back, as by restoring a backup: it holds less, and numbers anew.
        restored.put(&Given::good(0..3)).await?;
        let restored = Test { source: &restored, heard: self.heard };
        let mut reader = restored.open();
        if let Err(fault) = reader.page(cursor.as_ref()).await {
            remedied(&fault);
            return Ok(());
        }
        let wanted = names(items(&restored.open().read(None, false).await));
        let seen = restored.open().find(cursor, &wanted).await;
        assert!(wanted.is_subset(&seen), "only {} of {} come", seen.len(), wanted.len());
        Ok(())
    }

    async fn idle(&self) -> Applies {
        self.source.put(&Given::good(0..6)).await?;
        let mut reader = self.open();
        let pages = reader.read(None, true).await;
        let known = names(items(&pages));
        let mut cursor = pages.last().map(|page| page.cursor.clone());
        for _ in 0..3 {
            let pages = reader.read(cursor.as_ref(), true).await;
            assert!(names(items(&pages)).is_subset(&known));
            cursor = pages.last().map(|page| page.cursor.clone());
        }
        Ok(())
    }

    async fn killed(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let first = self.open().page(None).await.unwrap();
        assert_eq!(self.open().page(None).await.unwrap().items, first.items);
        let second = self.open().page(Some(&first.cursor)).await.unwrap();
        assert_eq!(self.open().page(Some(&first.cursor)).await.unwrap().items, second.items);
        Ok(())
    }

    async fn dropped(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let mut reader = self.open();
        let (mut seen, mut cursor) = (Names::new(), None::<Cursor>);
        for turns in 0..100_000_usize {
            let mut call = Box::pin(reader.page(cursor.as_ref()));
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
            seen.extend(names(&page.items));
            cursor = Some(page.cursor);
            if !page.more {
                break;
            }
        }
        assert_eq!(seen.len(), 10, "{seen:?}");
        Ok(())
    }

    async fn unconfirmed(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let mut reader = self.open();
        let first = reader.page(None).await.unwrap();
        let mut seen = names(&first.items);
        // Cut off as it is told, and another process goes on, which is told of every page but the first.
        drop(futures::poll!(Box::pin(reader.pull.confirm(&first))));
        let mut reader = self.open();
        seen.extend(names(items(&reader.read(Some(&first.cursor), true).await)));
        assert_eq!(seen.len(), 10, "{seen:?}");
        Ok(())
    }

    async fn unreadable(&self) -> Applies {
        let kinds = [Kind::Good, Kind::Good, Kind::Unreadable, Kind::Good, Kind::Good, Kind::Good];
        let given: Vec<Given> = (0..).zip(kinds).map(|(number, kind)| Given::new(number, kind)).collect();
        self.source.put(&given).await?;
        let pages = self.open().read(None, true).await;
        let all = items(&pages);
        assert_eq!(names(all.iter().copied()).len(), 6);
        let unread: Vec<_> = all.iter().filter(|item| matches!(item, Item::Unread(_))).copied().collect();
        assert_eq!(names(unread.iter().copied()).len(), 1, "one is told by itself");
        let told = |item: &&Item| matches!(item, Item::Unread(unread) if unread.reason.len() > 10);
        assert!(unread.iter().all(told), "with a reason");
        Ok(())
    }

    async fn oversize(&self) -> Applies {
        let kinds = [Kind::Good, Kind::Oversize, Kind::Good];
        let given: Vec<Given> = (0..).zip(kinds).map(|(number, kind)| Given::new(number, kind)).collect();
        self.source.put(&given).await?;
        let pages = self.open().read(None, true).await;
        let all = items(&pages);
        assert_eq!(names(all.iter().copied()).len(), 3);
        let limit = limits().item_bytes;
        let mut stubs = Names::new();
        for item in all {
            let (raw, stub) = match item {
                Item::Entry(entry) => {
                    let oversize = |remark: &Remark| matches!(remark, Remark::Oversize { .. });
                    (&entry.raw, entry.remarks.iter().any(oversize))
                }
                Item::Unread(unread) => (&unread.raw, true),
                Item::Fragment(fragment) => (&fragment.raw, false),
            };
            assert!(raw.len() <= limit, "{} bytes are kept", raw.len());
            if stub {
                stubs.insert(item.external_id().clone());
            }
        }
        assert_eq!(stubs.len(), 1);
        Ok(())
    }

    async fn clock(&self) -> Applies {
        self.source.put(&[Given::new(0, Kind::Good), Given::new(1, Kind::Ahead), Given::new(2, Kind::Good)]).await?;
        let pages = self.open().read(None, true).await;
        let all = items(&pages);
        assert_eq!(names(all.iter().copied()).len(), 3);
        let remarked = all.iter().any(|item| {
            let entry = self.entry(item);
            let complaint = self.complaint(&entry);
            let clock = |remark: &Remark| matches!(remark, Remark::Clock { .. });
            entry.remarks.iter().chain(&complaint.remarks).any(clock)
        });
        assert!(remarked, "nobody is told that a time cannot be right");
        Ok(())
    }

    /// The fault of a source in trouble, by a reader that had read before.
    async fn faulty(&self, trouble: Trouble, classes: &[FaultClass]) -> Result<Fault, &'static str> {
        self.source.put(&Given::good(0..10)).await?;
        let mut reader = self.open();
        let first = reader.page(None).await.unwrap();
        self.source.afflict(trouble).await?;
        let fault = reader.page(Some(&first.cursor)).await.expect_err("a source in trouble");
        assert!(classes.is_empty() || classes.contains(&fault.class), "{fault:?}");
        assert!(fault.message.len() > 10, "{fault}");
        let fresh = self.open().page(None).await.expect_err("a source in trouble");
        assert!(classes.is_empty() || classes.contains(&fresh.class), "a new reader: {fresh:?}");
        Ok(fault)
    }

    async fn busy(&self) -> Applies {
        let fault = self.faulty(Trouble::Busy, &[FaultClass::RateLimited]).await?;
        assert_eq!(fault.retry_after, H::asks_for());
        Ok(())
    }

    async fn nonsense(&self) -> Applies {
        let fault = self.faulty(Trouble::Nonsense, &[]).await?;
        assert_ne!(fault.class, FaultClass::Authentication, "{fault}");
        assert!(fault.remedy.is_some() || !fault.class.needs_a_person(), "{fault:?}");
        Ok(())
    }

    async fn recovers(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let mut reader = self.open();
        let first = reader.page(None).await.unwrap();
        let mut met = 0;
        for trouble in [Trouble::Unreachable, Trouble::Refuses, Trouble::Busy, Trouble::Gone, Trouble::Nonsense] {
            if self.source.afflict(trouble).await.is_ok() {
                met += 1;
                reader.page(Some(&first.cursor)).await.expect_err("a source in trouble");
                self.source.mend().await;
            }
        }
        if met == 0 {
            return Err("nothing can go wrong with such a source");
        }
        let mut seen = names(&first.items);
        seen.extend(names(items(&reader.read(Some(&first.cursor), true).await)));
        assert_eq!(seen.len(), 10, "{seen:?}");
        Ok(())
    }

    async fn stops(&self) -> Applies {
        self.source.put(&Given::good(0..3)).await?;
        self.source.afflict(Trouble::Hangs).await?;
        let started = Instant::now();
        let mut reader = self.open();
        let ended = tokio::time::timeout(Duration::from_millis(300), reader.page(None)).await;
        assert!(ended.is_err(), "the source does not hang: {ended:?}");
        drop(reader);
        assert!(started.elapsed() < Duration::from_secs(2), "it was not let go of: {:?}", started.elapsed());
        Ok(())
    }

    async fn holdings(&self) -> Applies {
        self.source.put(&Given::good(0..10)).await?;
        let period = Period { from: now() - SignedDuration::from_hours(24 * 30), to: now() };
        let Some(held) = self.open().pull.holdings(period).await.unwrap() else {
            return Err("its source cannot tell what it holds");
        };
        assert!(held.whole);
        let wanted = names(items(&self.open().read(None, false).await));
        assert_eq!(held.items.iter().map(|held| held.id.clone()).collect::<Names>(), wanted);
        for item in &held.items {
            self.heard.note(&item.place);
            assert!(!item.place.is_empty() && item.at.is_none_or(|at| period.holds(at)), "{item:?}");
        }
        let long_ago =
            Period { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24) };
        let before = self.open().pull.holdings(long_ago).await.unwrap().unwrap_or_default();
        assert!(before.items.iter().all(|held| held.at.is_none()), "nothing of another time: {before:?}");
        Ok(())
    }

    async fn normalises(&self) -> Applies {
        let given = Given::good(0..3);
        self.source.put(&given).await?;
        let pages = self.open().read(None, false).await;
        let mut complaints = Vec::new();
        for item in items(&pages) {
            let entry = self.entry(item);
            let complaint = self.complaint(&entry);
            assert_eq!(self.complaint(&entry), complaint);
            complaints.push(complaint);
        }
        for given in given {
            let complaint = complaints.iter().find(|complaint| complaint.body.contains(&given.body()));
            let complaint = complaint.unwrap_or_else(|| panic!("nobody complains of item {}", given.number));
            let phones = &complaint.petitioner.phones;
            assert!(phones.is_empty() || phones.iter().any(|phone| phone.contains(PHONE)), "{}", phones.len());
        }
        Ok(())
    }

    async fn hostile(&self) -> Applies {
        self.source.put(&Given::good(0..1)).await?;
        let pages = self.open().read(None, false).await;
        let entry = self.entry(items(&pages).first().expect("a good item was not read"));
        hostile(self.adapter().as_ref(), &entry, self.heard);
        Ok(())
    }
}

/// Reads an entry whose bytes are cut, twisted, doubled or replaced.
pub(super) fn hostile(adapter: &dyn Adapter, entry: &RawEntry, heard: &Heard) {
    let normaliser = adapter.normaliser().unwrap();
    let raw = entry.raw.to_vec();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        // xorshift: the same bytes in each run.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut bodies: Vec<Vec<u8>> =
        vec![Vec::new(), vec![0; 4096], vec![b'['; 50_000], [b"{\"a\":".repeat(50_000)].concat()];
    bodies.extend((0..raw.len()).step_by(raw.len() / 40 + 1).map(|cut| raw[..cut].to_vec()));
    for _ in 0..200 {
        let mut twisted = raw.clone();
        for _ in 0..=random() % 8 {
            let at = usize::try_from(random()).unwrap_or_default() % twisted.len().max(1);
            if let Some(byte) = twisted.get_mut(at) {
                *byte = random().to_le_bytes()[0];
            }
        }
        bodies.push(twisted);
    }
    for body in bodies {
        let entry = RawEntry { raw: body.into(), ..entry.clone() };
        match normaliser.normalise(&entry, now()) {
            Ok(complaint) => heard.note(&complaint.remarks),
            Err(unreadable) => heard.note(unreadable),
        }
    }
}
