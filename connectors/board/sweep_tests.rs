//! The walk against a board that changes while it is being read.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    settings::{BeyondEnd, Order, Paging, Revisit},
    sweep::{Ask, Board, KEPT, Plan, Position, Progress, RowKey},
};

/// A board: items as (key, id), ascending.
#[derive(Default)]
struct Source {
    items: Vec<(i64, String)>,
    next: i64,
}

impl Source {
    fn with(count: i64) -> Self {
        let mut source = Self::default();
        (0..count).for_each(|_| source.publish());
        source
    }

    fn publish(&mut self) {
        self.next += 10;
        self.items.push((self.next, self.next.to_string()));
    }

    fn publish_late(&mut self, behind: usize) {
        let at = self.items.len().saturating_sub(behind);
        let key = self.items.get(at).map_or(1, |(key, _)| key - 1);
        self.items.insert(at, (key, format!("{key}")));
    }

    fn withdraw(&mut self, nth: usize) {
        if !self.items.is_empty() {
            let at = nth % self.items.len();
            self.items.remove(at);
        }
    }

    fn page(&self, plan: &Plan, ask: &Ask) -> Vec<RowKey> {
        let size = plan.size as usize;
        let row = |(key, id): &(i64, String)| RowKey { id: Some(id.clone()), key: Some(*key), open: None };
        let last: i64 = ask.last.parse().unwrap_or(0);
        let ordered: Box<dyn Iterator<Item = &(i64, String)>> = match plan.order {
            Order::Descending => Box::new(self.items.iter().rev()),
            Order::Ascending => Box::new(self.items.iter()),
        };
        match plan.paging {
            Paging::Single => ordered.take(size).map(row).collect(),
            Paging::Page { first } => ordered.skip((ask.page - first) as usize * size).take(size).map(row).collect(),
            Paging::LastId { .. } => ordered
                .filter(|(key, _)| match plan.order {
                    Order::Descending => last == 0 || *key < last,
                    Order::Ascending => *key > last,
                })
                .take(size)
                .map(row)
                .collect(),
        }
    }

    fn ids(&self) -> BTreeSet<String> {
        self.items.iter().map(|(_, id)| id.clone()).collect()
    }
}

fn plan(order: Order, paging: Paging) -> Plan {
    Plan {
        order,
        paging,
        size: 20,
        overlap: 5,
        max_pages: 50,
        second_pass: true,
        beyond_end: BeyondEnd::Empty,
        revisit: None,
    }
}

fn by_page() -> Paging {
    Paging::Page { first: 1 }
}

fn by_last() -> Paging {
    Paging::LastId { first: "0".to_owned() }
}

fn epoch() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// One pull; `parts` takes only so many rows of the page.
fn step(board: &mut Board, plan: &Plan, source: &Source, stored: &mut BTreeSet<String>, parts: usize) -> Progress {
    let ask = board.ask(plan, epoch());
    let rows = source.page(plan, &ask);
    let from = board.go_on_at(&rows);
    let to = rows.len().min(from.saturating_add(parts));
    stored.extend(rows[from..to].iter().filter_map(|row| row.id.clone()));
    board.take(plan, &rows, from, to).unwrap()
}

fn finish(board: &mut Board, plan: &Plan, source: &Source, stored: &mut BTreeSet<String>) -> u32 {
    for pulls in 1..5_000 {
        if step(board, plan, source, stored, usize::MAX) == Progress::Ended {
            return pulls;
        }
    }
    panic!("the sweep does not end");
}

#[derive(Debug, Clone)]
enum Event {
    Publish(u8),
    Withdraw(u16),
    Crash,
    Part(u8),
}

fn events(withdrawals: bool) -> impl Strategy<Value = Vec<Vec<Event>>> {
    let event = prop_oneof![
        6 => (0..30_u8).prop_map(Event::Publish),
        2 => any::<u16>().prop_map(move |nth| if withdrawals { Event::Withdraw(nth) } else { Event::Publish(1) }),
        1 => Just(Event::Crash),
        1 => (1..20_u8).prop_map(Event::Part),
    ];
    prop::collection::vec(prop::collection::vec(event, 0..4), 0..80)
}

fn nothing_is_skipped(plan: &Plan, start: i64, story: &[Vec<Event>]) -> Result<(), TestCaseError> {
    let mut source = Source::with(start);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    for events in story {
        let (mut crash, mut parts) = (false, usize::MAX);
        for event in events {
            match event {
                Event::Publish(count) => (0..*count).for_each(|_| source.publish()),
                Event::Withdraw(nth) => source.withdraw(usize::from(*nth)),
                Event::Crash => crash = true,
                Event::Part(rows) => parts = usize::from(*rows),
            }
        }
        if crash {
            // The page was read, but neither it nor its cursor was committed.
            step(&mut board.clone(), plan, &source, &mut BTreeSet::new(), parts);
            // What a cursor is stored as must be what it was.
            let cursor = serde_json::to_value(&board).unwrap();
            prop_assert_eq!(&serde_json::from_value::<Board>(cursor).unwrap(), &board);
        } else {
            step(&mut board, plan, &source, &mut stored, parts);
        }
    }
    finish(&mut board, plan, &source, &mut stored);
    finish(&mut board, plan, &source, &mut stored);
    let missed: Vec<String> = source.ids().difference(&stored).cloned().collect();
    prop_assert!(missed.is_empty(), "missed {missed:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbered_pages_skip_nothing_while_items_arrive(story in events(false), start in 0..400_i64) {
        nothing_is_skipped(&plan(Order::Descending, by_page()), start, &story)?;
    }

    #[test]
    fn pages_by_last_id_skip_nothing_whatever_happens(story in events(true), start in 0..400_i64) {
        nothing_is_skipped(&plan(Order::Descending, by_last()), start, &story)?;
    }

    #[test]
    fn ascending_pages_by_last_id_skip_nothing(story in events(true), start in 0..400_i64) {
        nothing_is_skipped(&plan(Order::Ascending, by_last()), start, &story)?;
    }

    #[test]
    fn ascending_numbered_pages_skip_nothing_while_items_arrive(story in events(false), start in 0..400_i64) {
        nothing_is_skipped(&plan(Order::Ascending, by_page()), start, &story)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ten_thousand_items_with_arrivals_during_the_sweep(arrivals in prop::collection::vec(0..6_u8, 1200)) {
        let plan = plan(Order::Descending, by_page());
        let mut source = Source::with(10_000);
        let (mut board, mut stored) = (Board::default(), BTreeSet::new());
        for arriving in arrivals {
            (0..arriving).for_each(|_| source.publish());
            step(&mut board, &plan, &source, &mut stored, usize::MAX);
        }
        finish(&mut board, &plan, &source, &mut stored);
        finish(&mut board, &plan, &source, &mut stored);
        prop_assert_eq!(source.ids(), stored);
    }
}

#[test]
fn b02_an_outage_of_any_length_is_walked_through() {
    let plan = plan(Order::Descending, by_page());
    let mut source = Source::with(100);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    finish(&mut board, &plan, &source, &mut stored);
    assert_eq!(finish(&mut board, &plan, &source, &mut stored), 1, "without news one page is enough");
    (0..3_000).for_each(|_| source.publish());
    finish(&mut board, &plan, &source, &mut stored);
    assert_eq!(source.ids(), stored);
}

#[test]
fn b03_many_items_at_one_time_are_told_apart() {
    let plan = plan(Order::Descending, by_page());
    let mut source = Source::default();
    for id in 0..KEPT {
        source.items.push((7, format!("a{id}")));
    }
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    finish(&mut board, &plan, &source, &mut stored);
    // As many again at the same time, among the known ones.
    for id in 0..KEPT {
        source.items.insert(id * 2, (7, format!("b{id}")));
    }
    finish(&mut board, &plan, &source, &mut stored);
    finish(&mut board, &plan, &source, &mut stored);
    assert_eq!(source.ids(), stored);
}

#[test]
fn pinned_rows_do_not_end_a_sweep_and_late_ones_are_found() {
    let plan = plan(Order::Descending, by_page());
    let mut source = Source::with(100);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    finish(&mut board, &plan, &source, &mut stored);
    (0..45).for_each(|_| source.publish());
    // Four old items are pinned on top of the list.
    let pinned: Vec<_> = source.items.drain(0..4).collect();
    source.items.extend(pinned);
    source.publish_late(52);
    finish(&mut board, &plan, &source, &mut stored);
    assert_eq!(source.ids(), stored);
}

#[test]
fn one_absurd_id_hides_nothing() {
    let plan = plan(Order::Descending, by_page());
    let mut source = Source::with(1_000);
    source.items.push((i64::MAX, i64::MAX.to_string()));
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    finish(&mut board, &plan, &source, &mut stored);
    (0..400).for_each(|_| source.publish());
    finish(&mut board, &plan, &source, &mut stored);
    assert_eq!(source.ids(), stored);
}

#[test]
fn an_item_moved_by_a_withdrawal_is_found_by_the_second_pass() {
    for (second_pass, skipped) in [(true, 0), (false, 1)] {
        let plan = Plan { second_pass, ..plan(Order::Descending, by_page()) };
        let mut source = Source::with(100);
        let (mut board, mut stored) = (Board::default(), BTreeSet::new());
        step(&mut board, &plan, &source, &mut stored, usize::MAX);
        source.withdraw(95);
        finish(&mut board, &plan, &source, &mut stored);
        assert_eq!(source.ids().difference(&stored).count(), skipped);
    }
}

#[test]
fn a_run_is_bounded_and_its_sweep_stays_pending() {
    let plan = Plan { max_pages: 3, second_pass: false, ..plan(Order::Descending, by_page()) };
    let source = Source::with(200);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    let progress: Vec<Progress> = (0..4).map(|_| step(&mut board, &plan, &source, &mut stored, usize::MAX)).collect();
    assert_eq!(progress, [Progress::More, Progress::More, Progress::Paused, Progress::More]);
    assert_eq!(stored.len(), 80, "the second run goes on where the first one stopped");
}

#[test]
fn a_board_that_does_not_turn_pages_is_a_fault_unless_that_is_its_end() {
    let ended = |beyond_end| {
        let plan = Plan { beyond_end, second_pass: false, ..plan(Order::Descending, by_page()) };
        let source = Source::with(20);
        let mut board = Board::default();
        for _ in 0..10 {
            let _ = board.ask(&plan, epoch());
            let rows = source.page(&plan, &Ask { page: 1, last: String::new() });
            match board.take(&plan, &rows, 0, rows.len()) {
                Ok(Progress::Ended) => return Ok(()),
                Ok(_) => {}
                Err(fault) => return Err(fault),
            }
        }
        panic!("neither an end nor a fault");
    };
    let fault = ended(BeyondEnd::Empty).unwrap_err();
    assert!(fault.message.contains("same page"), "{fault}");
    assert_eq!(ended(BeyondEnd::Repeats), Ok(()));
}

#[test]
fn a_short_page_is_the_last_one_where_settings_say_so() {
    let plan = Plan { beyond_end: BeyondEnd::Short, ..plan(Order::Descending, by_page()) };
    let source = Source::with(7);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    assert_eq!(finish(&mut board, &plan, &source, &mut stored), 1);
    assert_eq!(stored.len(), 7);
}

#[test]
fn items_already_taken_are_looked_at_again_when_due() {
    let revisit = Some(Revisit { every_minutes: 60, items: 70, closed: Vec::new(), open_days: 90 });
    let plan = Plan { revisit, second_pass: false, ..plan(Order::Descending, by_page()) };
    let source = Source::with(200);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    finish(&mut board, &plan, &source, &mut stored);
    assert_eq!(finish(&mut board, &plan, &source, &mut stored), 4, "70 items on pages of 20");
    assert_eq!(finish(&mut board, &plan, &source, &mut stored), 1, "not due again yet");
}

#[test]
fn ascending_numbered_pages_step_back_after_withdrawals() {
    let plan = plan(Order::Ascending, by_page());
    let mut source = Source::with(200);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    finish(&mut board, &plan, &source, &mut stored);
    (0..90).for_each(|_| source.withdraw(0));
    (0..70).for_each(|_| source.publish());
    finish(&mut board, &plan, &source, &mut stored);
    assert!(source.ids().is_subset(&stored), "{:?}", source.ids().difference(&stored));
}

#[test]
fn an_ascending_page_that_fills_up_after_it_was_read_is_read_again() {
    let plan = plan(Order::Ascending, by_page());
    let mut source = Source::with(8);
    let (mut board, mut stored) = (Board::default(), BTreeSet::new());
    // Page 1 is read with 8 rows; then it fills up, and pages 2 and 3 come into being.
    step(&mut board, &plan, &source, &mut stored, usize::MAX);
    (0..45).for_each(|_| source.publish());
    finish(&mut board, &plan, &source, &mut stored);
    (0..30).for_each(|_| source.publish());
    finish(&mut board, &plan, &source, &mut stored);
    assert_eq!(source.ids(), stored);
}

#[test]
fn a_cursor_of_another_adapter_is_refused() {
    assert!(serde_json::from_value::<Position>(serde_json::json!({"uid": 4})).is_err());
}
