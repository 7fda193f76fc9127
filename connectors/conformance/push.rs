//! The cases of sources that send.

use bytes::Bytes;
use jiff::SignedDuration;

use super::{
    Applies, Given, Kind, PushHarness, gathered,
    heard::Heard,
    limits, now,
    page::{self, Line},
    pull::hostile,
    tools, tried,
};
use crate::{
    contract::{Adapter, Body, Head, Push, Refusal, Source},
    entry::{Item, RawEntry, Remark},
};

/// Who signs a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The partner, as it was agreed.
    Partner,
    /// Somebody else, in the same way with another secret.
    Stranger,
}

/// A delivery as it arrives.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// The cases, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushCase {
    CheckPasses,
    Taken,
    Again,
    Edited,
    Unsigned,
    Stranger,
    Changed,
    Replayed,
    Unreadable,
    Oversize,
    Clock,
    Garbage,
    Hostile,
    Silent,
}

impl PushCase {
    const ALL: [Self; 14] = [
        Self::CheckPasses,
        Self::Taken,
        Self::Again,
        Self::Edited,
        Self::Unsigned,
        Self::Stranger,
        Self::Changed,
        Self::Replayed,
        Self::Unreadable,
        Self::Oversize,
        Self::Clock,
        Self::Garbage,
        Self::Hostile,
        Self::Silent,
    ];

    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::CheckPasses => ("its check goes in steps, told in words", "A14"),
            Self::Taken => ("a signed delivery is an entry, and becomes a complaint, the same each time", "B5"),
            Self::Again => ("the same delivery again is the same item under the same id", "A4, D1"),
            Self::Edited => ("an edited item keeps its name and has another revision", "B13"),
            Self::Unsigned => ("a delivery without signature is refused", "D1"),
            Self::Stranger => ("one that a stranger signed is refused", "D1"),
            Self::Changed => ("one whose body was changed on the way is refused", "D1"),
            Self::Replayed => ("one that is older or newer than the tolerance is refused", "D1"),
            Self::Unreadable => ("one that cannot be understood is refused with the field, or told by itself", "B7"),
            Self::Oversize => ("one over the limit leaves a stub once its signature holds, and none otherwise", "A12"),
            Self::Clock => ("an item from the future by its own clock comes, and is remarked", "B11"),
            Self::Garbage => ("no head and no body make it panic", "A1, D4"),
            Self::Hostile => ("no bytes make its normaliser panic", "A1, D4"),
            Self::Silent => ("nothing of a citizen and no secret in refusals, reasons, remarks or the log", "D2"),
        }
    }
}

/// Runs the suite against an adapter that is pushed to.
pub(crate) async fn push_conforms<H: PushHarness>() {
    push_conforms_as::<H>(H::ADAPTER).await;
}

/// The same, for an adapter that is both asked and pushed to: `section` names the report, as `"phone (push)"`.
pub(crate) async fn push_conforms_as<H: PushHarness>(section: &str) {
    let heard = Heard::default();
    let _listening = heard.listen();
    let mut lines: Vec<Line> = Vec::new();
    for case in PushCase::ALL {
        let (words, rows) = case.told();
        let outcome = match H::exempt(case) {
            Some(why) => Ok(Err(why)),
            None => tried(run::<H>(case, &heard)).await,
        };
        lines.push((words, rows, outcome));
    }
    page::settle(section, &lines);
}

async fn run<H: PushHarness>(case: PushCase, heard: &Heard) -> Applies {
    let partner = H::start().await;
    let test = Test { partner: &partner, heard };
    match case {
        PushCase::CheckPasses => {
            test.check_passes();
            Ok(())
        }
        PushCase::Taken => test.taken(),
        PushCase::Again => test.again(),
        PushCase::Edited => test.edited(),
        PushCase::Unsigned => test.unsigned(),
        PushCase::Stranger => test.stranger(),
        PushCase::Changed => test.changed(),
        PushCase::Replayed => test.replayed(),
        PushCase::Unreadable => test.unreadable(),
        PushCase::Oversize => test.oversize(),
        PushCase::Clock => test.clock(),
        PushCase::Garbage => test.garbage(),
        PushCase::Hostile => test.hostile(),
        PushCase::Silent => {
            heard.is_silent(H::secrets());
            Ok(())
        }
    }
}

/// As the gateway receives: bytes in pieces, the whole within the limit or its beginning.
fn receive(push: &dyn Push, delivery: &Delivery, at: jiff::Timestamp) -> Result<Item, Refusal> {
    let mut reception = push.open(&delivery.head, at)?;
    for chunk in delivery.body.chunks(1000) {
        reception.chunk(chunk);
    }
    let (size, limit) = (delivery.body.len(), limits().item_bytes);
    let body = Bytes::copy_from_slice(&delivery.body[..size.min(limit)]);
    let whole = Body::Whole(body.clone());
    reception.close(if size > limit { Body::Oversize { start: body, size: size as u64 } } else { whole })
}

struct Test<'a, H> {
    partner: &'a H,
    heard: &'a Heard,
}

impl<H: PushHarness> Test<'_, H> {
    fn adapter(&self) -> Box<dyn Adapter> {
        let adapter = self.partner.adapter();
        assert_eq!(adapter.validate(), [], "the harness's settings are sound");
        adapter
    }

    fn send(&self, delivery: &Delivery) -> Result<Item, Refusal> {
        self.send_at(delivery, now())
    }

    fn send_at(&self, delivery: &Delivery, at: jiff::Timestamp) -> Result<Item, Refusal> {
        let Ok(Source::Push(push)) = self.adapter().source(&tools()) else {
            panic!("this adapter is asked: use pull_conforms")
        };
        let taken = receive(push.as_ref(), delivery, at);
        match &taken {
            Ok(Item::Entry(entry)) => self.heard.note(&entry.remarks),
            Ok(Item::Unread(unread)) => self.heard.note(&unread.reason),
            Ok(Item::Fragment(fragment)) => self.heard.note(fragment),
            Err(refusal) => self.heard.note(refusal),
        }
        taken
    }

    fn entry(&self, item: &Given) -> Result<RawEntry, &'static str> {
        let delivery = self.partner.deliver(item, now(), Signer::Partner)?;
        match self.send(&delivery) {
            Ok(Item::Entry(entry)) => Ok(entry),
            Ok(Item::Fragment(fragment)) => Ok(gathered(self.adapter().as_ref(), &fragment)),
            other => panic!("it was not taken: {other:?}"),
        }
    }

    fn check_passes(&self) {
        let Ok(Source::Push(push)) = self.adapter().source(&tools()) else { panic!("it cannot be built") };
        let check = push.check();
        self.heard.note(&check);
        assert!(check.passed() && !check.steps.is_empty(), "{check:?}");
    }

    fn taken(&self) -> Applies {
        let given = Given::new(1, Kind::Good);
        let entry = self.entry(&given)?;
        let normaliser = self.adapter().normaliser().unwrap();
        let complaint = normaliser.normalise(&entry, now()).unwrap();
        assert_eq!(normaliser.normalise(&entry, now()).unwrap(), complaint);
        assert!(complaint.body.contains(&given.body()), "nobody complains");
        Ok(())
    }

    fn again(&self) -> Applies {
        let delivery = self.partner.deliver(&Given::new(1, Kind::Good), now(), Signer::Partner)?;
        let first = self.send(&delivery).unwrap();
        let later = self.send_at(&delivery, now() + SignedDuration::from_secs(5)).unwrap();
        assert_eq!(first, later);
        Ok(())
    }

    fn edited(&self) -> Applies {
        let first = self.entry(&Given::new(1, Kind::Good))?;
        let edited = self.entry(&Given { edits: 1, ..Given::new(1, Kind::Good) })?;
        assert_eq!(first.external_id, edited.external_id);
        assert_ne!(first.revision, edited.revision);
        Ok(())
    }

    fn refused(&self, delivery: &Delivery) {
        let refused = self.send(delivery);
        assert!(matches!(refused, Err(Refusal::Unauthenticated(_))), "{refused:?}");
    }

    fn unsigned(&self) -> Applies {
        let mut delivery = self.partner.deliver(&Given::new(1, Kind::Good), now(), Signer::Partner)?;
        delivery.head.headers.retain(|name, _| name == "content-type");
        self.refused(&delivery);
        Ok(())
    }

    fn stranger(&self) -> Applies {
        self.refused(&self.partner.deliver(&Given::new(1, Kind::Good), now(), Signer::Stranger)?);
        Ok(())
    }

    fn changed(&self) -> Applies {
        let delivery = self.partner.deliver(&Given::new(1, Kind::Good), now(), Signer::Partner)?;
        for at in [0, delivery.body.len() / 2, delivery.body.len() - 1] {
            let mut changed = delivery.clone();
            changed.body[at] ^= 1;
            self.refused(&changed);
        }
        let mut longer = delivery.clone();
        longer.body.push(b' ');
        self.refused(&longer);
        Ok(())
    }

    fn replayed(&self) -> Applies {
        for hours in [-48, 48] {
            let at = now() + SignedDuration::from_hours(hours);
            self.refused(&self.partner.deliver(&Given::new(1, Kind::Good), at, Signer::Partner)?);
        }
        Ok(())
    }

    fn unreadable(&self) -> Applies {
        let delivery = self.partner.deliver(&Given::new(1, Kind::Unreadable), now(), Signer::Partner)?;
        match self.send(&delivery) {
            Err(Refusal::Malformed { message, .. }) => assert!(message.len() > 5, "{message}"),
            Ok(Item::Unread(unread)) => assert!(unread.reason.len() > 5, "{}", unread.reason),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn oversize(&self) -> Applies {
        let delivery = self.partner.deliver(&Given::new(1, Kind::Oversize), now(), Signer::Partner)?;
        let stub = match self.send(&delivery) {
            Ok(Item::Entry(entry)) => entry,
            other => panic!("{other:?}"),
        };
        assert!(stub.raw.len() <= limits().item_bytes);
        assert!(stub.remarks.iter().any(|remark| matches!(remark, Remark::Oversize { .. })), "{:?}", stub.remarks);
        self.refused(&self.partner.deliver(&Given::new(1, Kind::Oversize), now(), Signer::Stranger)?);
        Ok(())
    }

    fn clock(&self) -> Applies {
        let entry = self.entry(&Given::new(1, Kind::Ahead))?;
        let complaint = self.adapter().normaliser().unwrap().normalise(&entry, now()).unwrap();
        let clock = |remark: &Remark| matches!(remark, Remark::Clock { .. });
        assert!(entry.remarks.iter().chain(&complaint.remarks).any(clock), "nobody is told");
        Ok(())
    }

    fn garbage(&self) -> Applies {
        let delivery = self.partner.deliver(&Given::new(1, Kind::Good), now(), Signer::Partner)?;
        for value in ["", "0", "-1", "99999999999999999999", "v1,", "\u{fffd}", "a b,c d", "v1,AAAA v1,BBBB"] {
            for name in delivery.head.headers.keys() {
                let mut twisted = delivery.clone();
                twisted.head.headers.insert(name.clone(), value.to_owned());
                let _ = self.send(&twisted);
            }
        }
        for body in [Vec::new(), vec![0xff; 100], vec![b'['; 60_000]] {
            let _ = self.send(&Delivery { body, ..delivery.clone() });
        }
        Ok(())
    }

    fn hostile(&self) -> Applies {
        hostile(self.adapter().as_ref(), &self.entry(&Given::new(1, Kind::Good))?, self.heard);
        Ok(())
    }
}
