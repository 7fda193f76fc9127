//! Reading a mailbox: page by page behind a UID cursor, and never stopped by one mail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    item,
    link::{Door, Envelope, Link, Opened},
    plan::{self, Batch, Position, Window},
    trouble::Trouble,
};
use crate::{
    clock::Clock,
    contract::{Check, Cursor, Limits, Page, Pull, Toolbox},
    entry::Item,
    fault::Fault,
    http::Pace,
};

/// Times that one mail is asked for by itself before it is given up.
const TRIES: u32 = 2;
/// Connections opened again within one page; beyond it the server, not a mail, is at fault.
const RECONNECTS: u32 = 6;
/// Pages in a row of which not one mail could be fetched, before the first mail of such a page is given up: until then the
/// server is taken to be sick, and waiting helps.
const BARREN_PAGES: u32 = 3;
/// The longest IDLE (RFC 2177 advises to renew it within 29 minutes).
const LONGEST_IDLE: Duration = Duration::from_mins(28);

/// An IDLE that lasted this long before the server ended it was of use; a shorter one is told as a fault.
const PATIENT_IDLE: Duration = Duration::from_mins(1);

/// Reads one mailbox.
pub(super) struct Mailbox {
    door: Door,
    idle: bool,
    clock: Arc<dyn Clock>,
    pace: Arc<dyn Pace>,
    limits: Limits,
    /// Kept between calls, taken out during one: a call that is dropped half-way takes the half-read connection with it.
    link: Option<(Link, Opened)>,
    /// Pages in a row of which not one mail could be fetched.
    barren: u32,
    /// Where the last page ended.
    last_uid: u32,
}

/// What came of asking for one mail.
enum Fetched {
    /// Its bytes, all or the first.
    Body(Vec<u8>),
    /// It is no longer there.
    Gone,
    /// It is there and cannot be fetched.
    Refused(String),
}

impl Mailbox {
    /// Opens nothing yet.
    pub(super) fn new(door: Door, idle: bool, tools: &Toolbox) -> Self {
        Self {
            door,
            idle,
            clock: Arc::clone(&tools.clock),
            pace: Arc::clone(&tools.pace),
            limits: tools.limits,
            link: None,
            barren: 0,
            last_uid: 0,
        }
    }

    /// A connection with the folder open: the kept one, if it still lives.
    async fn ready(&mut self) -> Result<(Link, Opened), Fault> {
        if let Some((mut link, opened)) = self.link.take() {
            // Without a UIDVALIDITY the UIDs hold until the folder is opened again, so it is not.
            let refreshed = match opened.uidvalidity {
                Some(_) => link.examine(&self.door.folder).await,
                None => link.refresh().await.map(|()| Opened { uidnext: None, ..opened }),
            };
            match refreshed {
                Ok(opened) => return Ok((link, opened)),
                Err(trouble) if trouble.leaves_link_usable() => {
                    return Err(self.door.folder_fault(&mut link, trouble).await);
                }
                // Servers hang up on idle clients: that is no fault, a new connection tells.
                Err(_) => {}
            }
        }
        self.connect().await
    }

    async fn connect(&mut self) -> Result<(Link, Opened), Fault> {
        self.pace.ready().await;
        let mut link = self.door.open(self.clock.now()).await?;
        match link.examine(&self.door.folder).await {
            Ok(opened) => Ok((link, opened)),
            Err(trouble) => Err(self.door.folder_fault(&mut link, trouble).await),
        }
    }
}

/// One page being read. Owns the connection, so that it goes with the call.
struct Reading<'mailbox> {
    mailbox: &'mailbox mut Mailbox,
    link: Option<Link>,
    opened: Opened,
    reconnects: u32,
    /// Bytes of mail fetched so far.
    bytes: usize,
}

impl Reading<'_> {
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
        let (link, opened) = self.mailbox.connect().await?;
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
            let answer = self.link().await?.search(&window.set()).await;
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

    async fn page(&mut self, position: Position) -> Result<Page, Fault> {
        let (found, looked_to) = self.find(position.last_uid).await?;
        let page_items = self.mailbox.limits.page_items.max(1);
        let head = &found[..found.len().min(page_items)];
        let mut envelopes = self.envelopes(head).await?;
        let batches = plan::batches(head, &envelopes, &self.mailbox.limits);
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
        self.keep_to_what_can_be_judged(&mut fetched)?;

        let taken = fetched.len();
        let last_taken = fetched.last_key_value().map_or(0, |(uid, _)| *uid);
        let mut items = Vec::with_capacity(taken);
        let mut seen: BTreeMap<(String, u32), u32> = BTreeMap::new();
        for (uid, outcome) in fetched {
            let known = envelopes.remove(&uid).unwrap_or(Envelope { uid, size: None, date: None });
            match outcome {
                Fetched::Body(body) => {
                    items.push(Item::Entry(item::entry(body, &known, self.mailbox.limits.item_bytes)));
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
        let position = position.advance(last_uid, more);
        self.mailbox.last_uid = position.last_uid;
        Ok(Page { items, cursor: Cursor::encode(&position)?, more })
    }

    /// A mail is given up only beside others that could be fetched. Where none could, the server is taken to be sick; after
    /// a few such pages the first mail alone is given up, so that the damage of a long sickness stays small.
    fn keep_to_what_can_be_judged(&mut self, fetched: &mut BTreeMap<u32, Fetched>) -> Result<(), Fault> {
        let refused = fetched.values().filter(|outcome| matches!(outcome, Fetched::Refused(_))).count();
        let bodies = fetched.values().filter(|outcome| matches!(outcome, Fetched::Body(_))).count();
        if refused == 0 || bodies > 0 {
            self.mailbox.barren = 0;
            return Ok(());
        }
        self.mailbox.barren += 1;
        if self.mailbox.barren < BARREN_PAGES {
            return Err(Fault::transient(format!(
                "the mail server gives none of the {refused} mails that it holds next"
            ))
            .remedy("if this lasts, ask the operator of the mail server"));
        }
        self.mailbox.barren = 0;
        let first = fetched.iter().find(|(_, outcome)| matches!(outcome, Fetched::Refused(_))).map(|(uid, _)| *uid);
        fetched.retain(|uid, _| first.is_some_and(|first| *uid <= first));
        Ok(())
    }
}

#[async_trait]
impl Pull for Mailbox {
    async fn check(&mut self) -> Check {
        self.link = None;
        let mut check = Check::default();
        self.pace.ready().await;
        let wire = match self.door.reach().await {
            Ok(wire) => wire,
            Err(fault) => return ended(check, "reach", fault),
        };
        check.step("reach", Ok(format!("{}:{} answers", self.door.host, self.door.port)));
        let greeted = match self.door.greet(wire).await {
            Ok(greeted) => greeted,
            Err(fault) => return ended(check, "greet", fault),
        };
        check.step("greet", Ok("an IMAP server greets".to_owned()));
        let mut link = match self.door.log_in(greeted, self.clock.now()).await {
            Ok(link) => link,
            Err(fault) => return ended(check, "authenticate", fault),
        };
        let news = if link.can_idle() { "tells of new mail by itself (IDLE)" } else { "is asked for new mail" };
        check.step("authenticate", Ok(format!("logged in; the server {news}")));
        let opened = match link.examine(&self.door.folder).await {
            Ok(opened) => opened,
            Err(trouble) => {
                let fault = self.door.folder_fault(&mut link, trouble).await;
                return ended(check, "open folder", fault);
            }
        };
        check.step("open folder", Ok(describe(&self.door.folder, &opened)));
        let read = read_one(&mut link, &opened).await.map_err(Trouble::while_reading);
        check.step("read one item", read);
        link.log_out().await;
        check
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        let position: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
        self.pace.ready().await;
        let (link, opened) = self.ready().await?;
        let position = position.start(&opened, &link.name);
        let mut reading = Reading { mailbox: self, link: Some(link), opened, reconnects: 0, bytes: 0 };
        let page = reading.page(position).await?;
        let link = reading.link.take();
        self.link = link.map(|link| (link, opened));
        Ok(page)
    }

    async fn wait(&mut self, at_most: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + at_most;
        if let Some((link, opened)) = self.link.take() {
            if self.idle && link.can_idle() {
                return self.listen(link, opened, deadline.min(Instant::now() + LONGEST_IDLE)).await;
            }
            self.link = Some((link, opened));
        }
        tokio::time::sleep_until(deadline).await;
        Ok(())
    }
}

impl Mailbox {
    async fn listen(&mut self, mut link: Link, opened: Opened, deadline: Instant) -> Result<(), Fault> {
        // What came between the last page and this moment is not told again.
        let window = Window::first(self.last_uid, None, &self.limits);
        if let Some(window) = window {
            let found = link.search(&window.set()).await.map_err(Trouble::while_reading)?;
            if !window.only(found).is_empty() {
                self.link = Some((link, opened));
                return Ok(());
            }
        }
        let began = Instant::now();
        match link.idle(deadline).await {
            Ok(link) => self.link = Some((link, opened)),
            // Many providers end an IDLE after a few minutes: the next pull opens a new connection.
            Err(Trouble::Bye(_) | Trouble::Lost) if began.elapsed() >= PATIENT_IDLE => {}
            Err(trouble) => return Err(trouble.while_reading()),
        }
        Ok(())
    }
}

fn ended(mut check: Check, name: &'static str, fault: Fault) -> Check {
    check.step(name, Err(fault));
    check
}

fn describe(folder: &str, opened: &Opened) -> String {
    let Opened { exists, uidvalidity, .. } = opened;
    match uidvalidity {
        Some(uidvalidity) => format!("{folder} holds {exists} mails; UIDVALIDITY {uidvalidity}"),
        None => format!(
            "{folder} holds {exists} mails; the server names no UIDVALIDITY, so every connection reads the folder from its \
             beginning"
        ),
    }
}

async fn read_one(link: &mut Link, opened: &Opened) -> Result<String, Trouble> {
    const LENGTH: usize = 1024;
    if opened.exists == 0 {
        return Ok("the folder is empty".to_owned());
    }
    let Some(uid) = link.search("*").await?.pop() else {
        return Ok("the folder is empty".to_owned());
    };
    let mut bodies = Vec::new();
    link.bodies(&uid.to_string(), Some(LENGTH), LENGTH, &mut bodies).await?;
    match bodies.first() {
        Some((uid, body)) => Ok(format!("mail UID {uid} can be read ({} bytes tried)", body.len())),
        None => Ok(format!("mail UID {uid} is there but gives no content; it would go to quarantine")),
    }
}
