//! Reading a mailbox: page by page behind a UID cursor, and never stopped by one mail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::time::Instant;

use super::{
    after::{self, Deed},
    door::Door,
    item,
    link::{Envelope, Link, Opened},
    place::Place,
    plan::{Position, Window},
    reading::Reading,
    trouble::Trouble,
};
use crate::{
    clock::Clock,
    complaint::Stamp,
    contract::{Check, Cursor, Limits, Page, Pull, Toolbox},
    entry::Item,
    fault::Fault,
    holdings::{Holdings, Period},
    http::Pace,
};

/// The longest IDLE (RFC 2177 advises to renew it within 29 minutes).
const LONGEST_IDLE: Duration = Duration::from_mins(28);

/// An IDLE that lasted this long before the server ended it was of use; a shorter one is told as a fault.
const PATIENT_IDLE: Duration = Duration::from_mins(1);

/// What is read, and what is done with it.
pub(super) struct Duty {
    /// The folders, as people write them; at least one.
    pub(super) folders: Vec<String>,
    /// Mails that came before this day are passed over.
    pub(super) since: Option<Date>,
    /// What is done with a mail that is stored.
    pub(super) deed: Deed,
    /// Whether to let the server tell of new mail.
    pub(super) idle: bool,
}

/// Reads one mailbox.
pub(super) struct Mailbox {
    pub(super) door: Door,
    pub(super) duty: Duty,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pace: Arc<dyn Pace>,
    pub(super) limits: Limits,
    /// Kept between calls, taken out during one: a call that is dropped half-way takes the half-read connection with it.
    pub(super) link: Option<Held>,
    /// What is wrong with single folders while the others are read.
    pub(super) troubles: BTreeMap<String, Fault>,
    /// What was owed in a folder, and has been done.
    pub(super) settled: BTreeMap<String, Vec<(u32, u32)>>,
    /// Folders in which what is owed could not be done in this round, with the reason.
    pub(super) unsettled: BTreeMap<String, Fault>,
    /// Where the last page of the first folder ended.
    pub(super) last_uid: u32,
}

/// A connection between two calls.
pub(super) struct Held {
    pub(super) link: Link,
    /// The folder that is open, by its place among the folders, and what it was like when it was opened.
    pub(super) open: Option<(usize, Opened)>,
}

/// Why a page was not read.
pub(super) enum Stuck {
    /// The server cannot be reached or lets nobody in: no folder can be read.
    Server(Fault),
    /// This folder cannot be read; others may.
    Folder(Fault),
}

impl From<Fault> for Stuck {
    /// What goes wrong once we are in is the folder's affair.
    fn from(fault: Fault) -> Self {
        Self::Folder(fault)
    }
}

impl Mailbox {
    /// Opens nothing yet.
    pub(super) fn new(door: Door, duty: Duty, tools: &Toolbox) -> Self {
        Self {
            door,
            duty,
            clock: Arc::clone(&tools.clock),
            pace: Arc::clone(&tools.pace),
            limits: tools.limits,
            link: None,
            troubles: BTreeMap::new(),
            settled: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            last_uid: 0,
        }
    }

    /// A connection with a folder open: the kept one, if it still lives.
    async fn ready(&mut self, at: usize) -> Result<(Link, Opened), Stuck> {
        if let Some(Held { mut link, open }) = self.link.take() {
            let refreshed = match open {
                // Without a UIDVALIDITY the UIDs hold until the folder is opened again, so it is not.
                Some((open, opened)) if open == at && opened.uidvalidity.is_none() => {
                    link.refresh().await.map(|()| Opened { uidnext: None, ..opened })
                }
                _ => link.open(&self.duty.folders[at], self.door.writes).await,
            };
            match refreshed {
                Ok(opened) => return Ok((link, opened)),
                Err(trouble) if trouble.leaves_link_usable() => return Err(self.refused(link, at, trouble).await),
                // Servers hang up on idle clients: that is no fault, a new connection tells.
                Err(_) => {}
            }
        }
        self.connect(at).await
    }

    pub(super) async fn connect(&mut self, at: usize) -> Result<(Link, Opened), Stuck> {
        self.pace.ready().await;
        let mut link = self.door.open(self.clock.now()).await.map_err(Stuck::Server)?;
        match link.open(&self.duty.folders[at], self.door.writes).await {
            Ok(opened) => Ok((link, opened)),
            Err(trouble) => Err(self.refused(link, at, trouble).await),
        }
    }

    /// A folder that cannot be opened; the connection is kept for the others.
    async fn refused(&mut self, mut link: Link, at: usize, trouble: Trouble) -> Stuck {
        let usable = trouble.leaves_link_usable();
        let fault = self.door.folder_fault(&mut link, &self.duty.folders[at], trouble).await;
        self.link = usable.then_some(Held { link, open: None });
        Stuck::Folder(fault)
    }

    /// Reads the next page of one folder.
    async fn folder(&mut self, at: usize, position: Position) -> Result<(Vec<Item>, Position, bool), Stuck> {
        let (link, opened) = self.ready(at).await?;
        let position = position.start(&opened, &link.opening());
        let mut reading = Reading::new(self, at, link, opened);
        let position = reading.settle(position).await;
        let page = reading.page(position).await?;
        let link = reading.link.take();
        self.link = link.map(|link| Held { link, open: Some((at, opened)) });
        Ok(page)
    }

    /// Does what is owed to a folder that is open for writing.
    pub(super) async fn settle(
        &mut self,
        name: &str,
        link: &mut Link,
        owed: &[(u32, u32)],
        again: bool,
    ) -> Result<(), Trouble> {
        let done = after::settle(link, name, &self.duty.deed, owed, again, self.limits.item_bytes).await;
        match &done {
            Ok(()) => {
                self.unsettled.remove(name);
                self.settled.insert(name.to_owned(), owed.to_vec());
            }
            Err(trouble) => {
                let words = self.duty.deed.words();
                let fault = Fault::transient(format!("mails of the folder \"{name}\" cannot be {words}: {trouble}"))
                    .remedy(
                        "they are stored and will be tried again; check the account's rights, or set after = \"leave\"",
                    );
                self.unsettled.insert(name.to_owned(), fault);
            }
        }
        done
    }
}

impl Duty {
    /// Whether a mail came before the day from which mails are read. One whose date is not told did not.
    pub(super) fn passes_over(&self, known: &Envelope) -> bool {
        let Some(start) = self.since.and_then(Stamp::day) else { return false };
        known.date.as_deref().and_then(item::internal_date).is_some_and(|came| came < start.at)
    }

    /// The day from which a search looks; a day early, because the server's days are its own.
    pub(super) fn search_from(&self) -> Option<Date> {
        self.since.and_then(|day| day.yesterday().ok())
    }
}

#[async_trait]
impl Pull for Mailbox {
    async fn check(&mut self) -> Check {
        super::check::check(self).await
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        let place = Place::read(cursor, &self.duty.folders)?;
        if place.turn.is_none() {
            self.unsettled.clear();
        }
        self.pace.ready().await;
        let at = place.at(&self.duty.folders);
        let name = self.duty.folders[at].clone();
        let is_last = at + 1 == self.duty.folders.len();
        self.troubles.remove(&name);
        let position = place.folders.get(&name).cloned().unwrap_or_default();
        let (items, position, more) = match self.folder(at, position).await {
            Ok((items, position, more)) => (items, Some(position), more),
            Err(Stuck::Server(fault)) => return Err(fault),
            Err(Stuck::Folder(fault)) => {
                self.troubles.insert(name, fault.clone());
                // Where no folder can be read, nothing is.
                if is_last && self.troubles.len() == self.duty.folders.len() {
                    return Err(fault);
                }
                (Vec::new(), None, false)
            }
        };
        let place = place.after(&self.duty.folders, at, position, more);
        Ok(Page { items, cursor: Cursor::encode(&place)?, more: more || !is_last })
    }

    async fn confirm(&mut self, page: &Page) -> Result<(), Fault> {
        if self.duty.deed == Deed::Leave {
            return Ok(());
        }
        let place = Place::read(Some(&page.cursor), &self.duty.folders)?;
        let Some(Held { mut link, open: Some((at, opened)) }) = self.link.take() else { return Ok(()) };
        let name = self.duty.folders[at].clone();
        let owed = place.folders.get(&name).map(|position| position.owed.clone()).unwrap_or_default();
        // What was tried in this round and could not be done is for the next.
        if owed.is_empty() || self.settled.get(&name) == Some(&owed) || self.unsettled.contains_key(&name) {
            self.link = Some(Held { link, open: Some((at, opened)) });
            return Ok(());
        }
        // A refusal is told as the connector's trouble and keeps nothing from being read.
        if let Err(trouble) = self.settle(&name, &mut link, &owed, false).await
            && !trouble.leaves_link_usable()
        {
            return Ok(());
        }
        self.link = Some(Held { link, open: Some((at, opened)) });
        Ok(())
    }

    async fn wait(&mut self, at_most: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + at_most;
        if let Some(held) = self.link.take() {
            if self.duty.idle && held.link.able().idle {
                return self.listen(held, deadline.min(Instant::now() + LONGEST_IDLE)).await;
            }
            self.link = Some(held);
        }
        tokio::time::sleep_until(deadline).await;
        Ok(())
    }

    fn trouble(&self) -> Option<Fault> {
        let mut faults = self.troubles.values().chain(self.unsettled.values());
        let first = faults.next()?.clone();
        let others = faults.count();
        if others == 0 {
            return Some(first);
        }
        Some(Fault { message: format!("{} (and {others} more of this kind)", first.message), ..first })
    }

    async fn holdings(&mut self, period: Period) -> Result<Option<Holdings>, Fault> {
        super::holdings::holdings(self, period).await.map(Some)
    }
}

impl Mailbox {
    /// Listens on the first folder; the others are asked when their time comes.
    async fn listen(&mut self, held: Held, deadline: Instant) -> Result<(), Fault> {
        let Held { mut link, open } = held;
        let opened = match open {
            Some((0, opened)) => opened,
            _ => match link.open(&self.duty.folders[0], self.door.writes).await {
                Ok(opened) => opened,
                Err(trouble) => return Err(trouble.while_reading()),
            },
        };
        // What came between the last page and this moment is not told again.
        let window = Window::first(self.last_uid, None, &self.limits);
        if let Some(window) = window {
            let found = link.search_since(&window.set(), self.duty.search_from()).await;
            let found = found.map_err(Trouble::while_reading)?;
            if !window.only(found).is_empty() && self.troubles.is_empty() {
                self.link = Some(Held { link, open: Some((0, opened)) });
                return Ok(());
            }
        }
        let began = Instant::now();
        match link.idle(deadline).await {
            Ok(link) => self.link = Some(Held { link, open: Some((0, opened)) }),
            // Many providers end an IDLE after a few minutes: the next pull opens a new connection.
            Err(Trouble::Bye(_) | Trouble::Lost) if began.elapsed() >= PATIENT_IDLE => {}
            Err(trouble) => return Err(trouble.while_reading()),
        }
        Ok(())
    }
}
