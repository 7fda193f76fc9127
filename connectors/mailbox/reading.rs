//! One page of a folder: never stopped by one mail.

use std::collections::BTreeMap;

use super::{
    after::Deed,
    item,
    link::{Envelope, Link, Opened},
    plan::{self, Batch, Position, Window},
    pull::{Mailbox, Stuck},
    trouble::Trouble,
};
use crate::{entry::Item, fault::Fault};

/// Times that one mail is asked for by itself before it is given up.
const TRIES: u32 = 2;
/// Connections opened again within one page; beyond it the server, not a mail, is at fault.
const RECONNECTS: u32 = 6;
/// Pages in a row of which not one mail could be fetched, before the first mail of such a page is given up: until then the
/// server is taken to be sick, and waiting helps.
const BARREN_PAGES: u32 = 3;
/// What came of asking for one mail.
enum Fetched {
    /// Its bytes, all or the first.
    Body(Vec<u8>),
    /// It is no longer there.
    Gone,
    /// It is there and cannot be fetched.
    Refused(String),
}

/// One page being read. Owns the connection, so that it goes with the call.
pub(super) struct Reading<'mailbox> {
    mailbox: &'mailbox mut Mailbox,
    /// Which folder.
    at: usize,
    pub(super) link: Option<Link>,
    opened: Opened,
    reconnects: u32,
    /// Bytes of mail fetched so far.
    bytes: usize,
}

impl<'mailbox> Reading<'mailbox> {
    /// A page of a folder that is open on a connection.
    pub(super) fn new(mailbox: &'mailbox mut Mailbox, at: usize, link: Link, opened: Opened) -> Self {
        Self { mailbox, at, link: Some(link), opened, reconnects: 0, bytes: 0 }
    }

    /// The connection; a new one where the last one broke, as long as there are reconnects left.
    async fn link(&mut self) -> Result<&mut Link, Fault> {
        let link = match self.link.take() {
            Some(link) => link,
            None => self.again().await?,
        };
        Ok(self.link.insert(link))
    }

    async fn again(&mut self) -> Result<Link, Fault> {
        self.reconnects += 1;
        if self.reconnects > RECONNECTS {
            return Err(Fault::transient(format!("the mail server broke off {RECONNECTS} times within one page")));
        }
        let (link, opened) = self.mailbox.connect(self.at).await.map_err(|stuck| match stuck {
            Stuck::Server(fault) | Stuck::Folder(fault) => fault,
        })?;
        // Without a UIDVALIDITY the UIDs may have moved; the next look through the folder meets what this one misses.
        if opened.uidvalidity != self.opened.uidvalidity {
            return Err(Fault::transient("the mailbox was given a new UIDVALIDITY while it was read"));
        }
        Ok(link)
    }

    /// Lets go of a connection whose state is unknown.
    fn note(&mut self, trouble: &Trouble) {
        if !trouble.leaves_link_usable() {
            self.link = None;
        }
    }

    /// Does what an earlier page owes: the gateway was stopped, or the server refused, before it was done.
    pub(super) async fn settle(&mut self, mut position: Position) -> Position {
        let name = self.mailbox.duty.folders[self.at].clone();
        if position.owed.is_empty() {
            return position;
        }
        let done = self.mailbox.duty.deed == Deed::Leave || self.mailbox.settled.get(&name) == Some(&position.owed);
        if !done {
            if self.mailbox.unsettled.contains_key(&name) {
                return position;
            }
            let Some(mut link) = self.link.take() else { return position };
            match self.mailbox.settle(&name, &mut link, &position.owed, true).await {
                Ok(()) => self.link = Some(link),
                Err(trouble) => {
                    // Whatever was open before: the reading goes on from a folder that is opened anew.
                    if trouble.leaves_link_usable()
                        && let Ok(opened) = link.open(&name, self.mailbox.door.writes).await
                        && opened.uidvalidity == self.opened.uidvalidity
                    {
                        self.link = Some(link);
                    }
                    return position;
                }
            }
        }
        position.owed.clear();
        position
    }

    /// The UIDs that follow, at least those of one page, and how far was looked.
    async fn find(&mut self, last_uid: u32) -> Result<(Vec<u32>, Option<u32>), Fault> {
        if self.opened.exists == 0 && self.opened.uidvalidity.is_some() {
            return Ok((Vec::new(), None));
        }
        let uidnext = self.opened.uidnext;
        let mut found = Vec::new();
        let mut looked_to = None;
        let mut next = Window::first(last_uid, uidnext, &self.mailbox.limits);
        while let Some(window) = next {
            let since = self.mailbox.duty.search_from();
            let answer = self.link().await?.search_since(&window.set(), since).await;
            let uids = answer.map_err(|trouble| {
                self.note(&trouble);
                trouble.while_reading()
            })?;
            found.extend(window.only(uids));
            looked_to = window.last;
            if found.len() >= self.mailbox.limits.page_items {
                break;
            }
            next = window.next(uidnext);
        }
        Ok((found, looked_to))
    }

    /// Sizes and dates, as far as the server tells them: a mail that it stumbles over is asked for by itself later.
    async fn envelopes(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Envelope>, Fault> {
        let mut envelopes = Vec::with_capacity(uids.len());
        for set in plan::sets(uids) {
            let told = self.link().await?.envelopes(&set, "(UID RFC822.SIZE INTERNALDATE)", &mut envelopes).await;
            if let Err(trouble) = told {
                self.note(&trouble);
            }
        }
        Ok(envelopes.into_iter().map(|envelope| (envelope.uid, envelope)).collect())
    }

    /// Fetches mails together, and by themselves those that did not come. Ends early where the page is full.
    async fn whole(&mut self, uids: &[u32], bytes: usize, into: &mut BTreeMap<u32, Fetched>) -> Result<(), Fault> {
        for set in plan::sets(uids) {
            let mut bodies = Vec::with_capacity(uids.len());
            let told = self.link().await?.bodies(&set, None, bytes, &mut bodies).await;
            if let Err(trouble) = told {
                self.note(&trouble);
            }
            for (uid, body) in bodies {
                // A server may send what was not asked for, and twice.
                if !body.is_empty() && uids.binary_search(&uid).is_ok() && !into.contains_key(&uid) {
                    self.bytes += body.len();
                    into.insert(uid, Fetched::Body(body));
                }
            }
        }
        for uid in uids {
            if into.contains_key(uid) {
                continue;
            }
            if self.is_full() && into.first_key_value().is_some_and(|(first, _)| first < uid) {
                // What stands behind a mail that was not asked for must wait with it: the cursor is a high-water mark.
                into.split_off(uid);
                return Ok(());
            }
            let fetched = self.alone(*uid).await?;
            into.insert(*uid, fetched);
        }
        Ok(())
    }

    /// Whether the page holds as many bytes as it may, which sizes told wrongly or not at all can bring about early.
    fn is_full(&self) -> bool {
        self.bytes >= self.mailbox.limits.page_bytes
    }

    /// Asks for one mail by itself, not beyond the limit of one item, a bounded number of times.
    async fn alone(&mut self, uid: u32) -> Result<Fetched, Fault> {
        let limit = self.mailbox.limits.item_bytes;
        let mut reason = "the server sends nothing of it".to_owned();
        for _ in 0..TRIES {
            let mut bodies = Vec::new();
            let told = self.link().await?.bodies(&uid.to_string(), Some(limit), limit, &mut bodies).await;
            if let Some((_, body)) = bodies.into_iter().find(|(of, body)| *of == uid && !body.is_empty()) {
                if let Err(trouble) = &told {
                    self.note(trouble);
                }
                self.bytes += body.len();
                return Ok(Fetched::Body(body));
            }
            match told {
                Err(trouble) => {
                    self.note(&trouble);
                    reason = trouble.to_string();
                }
                Ok(()) => match self.link().await?.search(&uid.to_string()).await {
                    Ok(found) if !found.contains(&uid) => return Ok(Fetched::Gone),
                    Ok(_) => {}
                    Err(trouble) => self.note(&trouble),
                },
            }
        }
        Ok(Fetched::Refused(reason))
    }

    /// What the server tells of a mail that it does not give, one thing at a time.
    async fn epitaph(&mut self, uid: u32, mut known: Envelope) -> Result<Envelope, Fault> {
        for (item, missing) in [("INTERNALDATE", known.date.is_none()), ("RFC822.SIZE", known.size.is_none())] {
            if !missing {
                continue;
            }
            let mut told = Vec::new();
            let outcome = self.link().await?.envelopes(&uid.to_string(), &format!("(UID {item})"), &mut told).await;
            if let Err(trouble) = outcome {
                self.note(&trouble);
            }
            if let Some(envelope) = told.into_iter().find(|envelope| envelope.uid == uid) {
                known.date = known.date.or(envelope.date);
                known.size = known.size.or(envelope.size);
            }
        }
        Ok(known)
    }

    /// The items of the page, the position behind it, and whether the folder holds more.
    pub(super) async fn page(&mut self, mut position: Position) -> Result<(Vec<Item>, Position, bool), Fault> {
        let (found, looked_to) = self.find(position.last_uid).await?;
        let page_items = self.mailbox.limits.page_items.max(1);
        let head = &found[..found.len().min(page_items)];
        let mut envelopes = self.envelopes(head).await?;
        let is_old = |uid: &u32| envelopes.get(uid).is_some_and(|known| self.mailbox.duty.passes_over(known));
        let (old, wanted): (Vec<u32>, Vec<u32>) = head.iter().partition(|uid| is_old(uid));
        let batches = plan::batches(&wanted, &envelopes, &self.mailbox.limits);
        let mut fetched = BTreeMap::new();
        for batch in batches {
            if self.is_full() {
                break;
            }
            match batch {
                Batch::Whole(uids, bytes) => self.whole(&uids, bytes, &mut fetched).await?,
                Batch::Stub(uid) | Batch::Alone(uid) => {
                    let outcome = self.alone(uid).await?;
                    fetched.insert(uid, outcome);
                }
            }
        }
        if let Some(fault) = keep_to_what_can_be_judged(&mut position, &mut fetched) {
            self.mailbox.troubles.insert(self.mailbox.duty.folders[self.at].clone(), fault);
            return Ok((Vec::new(), position, false));
        }
        let reached = match fetched.last_key_value() {
            Some((last, _)) if fetched.len() < wanted.len() => *last,
            None if !wanted.is_empty() => 0,
            _ => u32::MAX,
        };
        fetched.extend(old.into_iter().filter(|uid| *uid < reached).map(|uid| (uid, Fetched::Gone)));

        let taken = fetched.len();
        let last_taken = fetched.last_key_value().map_or(0, |(uid, _)| *uid);
        let mut items = Vec::with_capacity(taken);
        let mut whole = Vec::new();
        let mut seen: BTreeMap<(String, u32), u32> = BTreeMap::new();
        for (uid, outcome) in fetched {
            let known = envelopes.remove(&uid).unwrap_or(Envelope { uid, size: None, date: None });
            match outcome {
                Fetched::Body(body) => {
                    let entry = item::entry(body, &known, self.mailbox.limits.item_bytes);
                    // What is not stored whole stays where it is.
                    if entry.remarks.is_empty() {
                        whole.push(uid);
                    }
                    items.push(Item::Entry(entry));
                }
                Fetched::Refused(reason) => {
                    let known = self.epitaph(uid, known).await?;
                    items.push(Item::Unread(item::unread(&known, position.uidvalidity, &reason, &mut seen)));
                }
                Fetched::Gone => {}
            }
        }
        let all_taken = taken == found.len();
        let looked_to_the_end = looked_to.is_none_or(|last| self.opened.uidnext.is_none_or(|next| last >= next - 1));
        let more = !all_taken || !looked_to_the_end;
        let last_uid = if all_taken { looked_to.unwrap_or(0).max(last_taken) } else { last_taken };
        let mut position = position.advance(last_uid, more);
        // UIDs that mean nothing to the next connection cannot be owed to it.
        if self.mailbox.duty.deed != Deed::Leave && position.uidvalidity != 0 && !position.owe(whole) {
            tracing::warn!(
                "too many mails wait to be marked, moved or deleted at the server; the oldest stay as they are"
            );
        }
        if self.at == 0 {
            self.mailbox.last_uid = position.last_uid;
        }
        Ok((items, position, more))
    }
}

/// A mail is given up only beside others that could be fetched. Where none could, the server is taken to be sick; after
/// a few such pages the first mail alone is given up, so that the damage of a long sickness stays small. Counted in the
/// cursor, because each attempt may be another process's.
fn keep_to_what_can_be_judged(position: &mut Position, fetched: &mut BTreeMap<u32, Fetched>) -> Option<Fault> {
    let refused = fetched.values().filter(|outcome| matches!(outcome, Fetched::Refused(_))).count();
    let bodies = fetched.values().filter(|outcome| matches!(outcome, Fetched::Body(_))).count();
    if refused == 0 || bodies > 0 {
        position.barren = 0;
        return None;
    }
    position.barren += 1;
    if position.barren < BARREN_PAGES {
        return Some(
            Fault::transient(format!("the mail server gives none of the {refused} mails that it holds next"))
                .remedy("if this lasts, ask the operator of the mail server"),
        );
    }
    position.barren = 0;
    let first = fetched.iter().find(|(_, outcome)| matches!(outcome, Fetched::Refused(_))).map(|(uid, _)| *uid);
    fetched.retain(|uid, _| first.is_some_and(|first| *uid <= first));
    None
}
