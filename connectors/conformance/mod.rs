//! What every adapter must do, whatever it reads: one suite, and one small harness per adapter.
//!
//! Each case was broken in public by systems of this kind; the rows in its name point to `docs/failures.md`. An adapter
//! passes by supplying a harness that fills its source and breaks it ([`PullHarness`], [`PushHarness`]); what does not
//! apply to a source must be said with its reason, and is printed. What came of it stands in `docs/conformance.md`, which
//! is compared with each run: `JIESU_BLESS=1 cargo test -p connectors --lib conform` writes it anew.
//!
//! | module | holds |
//! |---|---|
//! | `given` | the items that sources are filled with |
//! | `guide` | that `docs/adapters.md` shows the example as it stands |
//! | `pull`, `push` | the cases |
//! | `heard` | what an adapter says, searched for what it may not say |
//! | `page` | the report |
//! | `server` | a small HTTP server, for harnesses whose source speaks HTTP |

mod given;
mod guide;
mod heard;
mod page;
mod pull;
mod push;
pub(crate) mod server;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};

use crate::{
    clock::ManualClock,
    contract::{Adapter, Gathered, Limits, Piece, Toolbox},
    entry::{Fragment, Item, RawEntry},
    http::{Http, HttpLimits, Unpaced},
};

pub(crate) use given::{Given, Kind};
pub(crate) use heard::{NAME, PHONE};
pub(crate) use pull::{PullCase, pull_conforms};
pub(crate) use push::{Delivery, PushCase, Signer, push_conforms, push_conforms_as};

/// Whether something applies to a source; if not, why not, in words for the report.
pub(crate) type Applies = Result<(), &'static str>;

/// Something that goes wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It cannot be reached.
    Unreachable,
    /// It does not let us in.
    Refuses,
    /// It asks us to slow down, for 7 seconds where it can say how long.
    Busy,
    /// What is asked for is not there: the list, the folder, the program.
    Gone,
    /// It answers, and what it answers is not what the adapter reads: a block page, a new layout, another program.
    Nonsense,
    /// It takes the question and does not answer.
    Hangs,
}

/// A source that is asked, as the suite fills and breaks it. Every case starts one of its own.
pub(crate) trait PullHarness: Sized {
    /// Which adapter, by its name in the registry.
    const ADAPTER: &'static str;

    /// Starts an empty source.
    async fn start() -> Self;

    /// The adapter, set up to read the source.
    fn adapter(&self) -> Box<dyn Adapter>;

    /// Puts items into the source, in this order, beside those that it holds. Each must carry [`NAME`],
    /// [`PHONE`], [`Given::subject`] and [`Given::body`] wherever the source has a place for them.
    ///
    /// # Errors
    /// Why an item of such a kind cannot stand in a source like this.
    async fn put(&self, items: &[Given]) -> Applies;

    /// Breaks the source.
    ///
    /// # Errors
    /// Why this cannot happen to a source like this.
    async fn afflict(&self, trouble: Trouble) -> Applies;

    /// Mends what was broken.
    async fn mend(&self);

    /// How long the source asks us to wait while it is [`Trouble::Busy`], where it can say.
    fn asks_for() -> Option<Duration> {
        Some(Duration::from_secs(7))
    }

    /// Why a case does not apply.
    fn exempt(case: PullCase) -> Option<&'static str> {
        let _ = case;
        None
    }

    /// Secrets that the adapter was given: they may stand in nothing that it says.
    fn secrets() -> &'static [&'static str] {
        &[]
    }
}

/// A source that sends, as the suite has it send.
pub(crate) trait PushHarness: Sized {
    /// Which adapter, by its name in the registry.
    const ADAPTER: &'static str;

    /// Sets the partner up.
    async fn start() -> Self;

    /// The adapter, set up to take what the partner sends.
    fn adapter(&self) -> Box<dyn Adapter>;

    /// A delivery of an item, sent at a moment and signed.
    ///
    /// # Errors
    /// Why such an item cannot be sent by a partner like this.
    fn deliver(&self, item: &Given, at: Timestamp, signer: Signer) -> Result<Delivery, &'static str>;

    /// Why a case does not apply.
    fn exempt(case: PushCase) -> Option<&'static str> {
        let _ = case;
        None
    }

    /// Secrets that the adapter was given: they may stand in nothing that it says.
    fn secrets() -> &'static [&'static str] {
        &[]
    }
}

/// When the suite takes place, by our clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_893_456_000).unwrap_or_default()
}

/// Bounds under which the suite reads: small, so that few items make several pages.
pub(crate) fn limits() -> Limits {
    Limits { page_items: 4, item_bytes: 64 * 1024, ..Limits::default() }
}

/// What an adapter may touch, with our clock and without a pace.
pub(crate) fn tools() -> Toolbox {
    let clock = Arc::new(ManualClock::new(now()));
    let pace = Arc::new(Unpaced);
    let http = Http::new(HttpLimits::default(), pace.clone()).unwrap();
    Toolbox { clock, http, pace, limits: limits() }
}

/// What one piece of an item comes to once no other can be waited for.
fn gathered(adapter: &dyn Adapter, fragment: &Fragment) -> RawEntry {
    let gatherer = adapter.gatherer().unwrap().expect("who takes pieces says what they come to");
    let pieces = [Piece { raw: fragment.raw.clone(), received_at: now() }];
    let later = now() + SignedDuration::from_hours(24 * 30);
    match gatherer.gather(&fragment.item, None, &pieces, later) {
        Gathered::Item(item) => match *item {
            Item::Entry(entry) => entry,
            other => panic!("{other:?}"),
        },
        other => panic!("after a month: {other:?}"),
    }
}

/// Runs one case; a panic is its failure, and the next case goes on.
async fn tried(case: impl Future<Output = Applies>) -> Result<Applies, String> {
    AssertUnwindSafe(case).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
    })
}
