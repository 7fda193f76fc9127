//! What a mailbox holds for a period, by the names under which its mails would come in.
//!
//! A mail is named by its content, so the contents are fetched, in pages, and forgotten. It costs what reading them
//! costs, and no more memory than one page.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};

use super::{
    item,
    link::{Envelope, Link, written_day},
    plan::{self, Batch},
    pull::Mailbox,
    trouble::Trouble,
};
use crate::{
    entry::ExternalId,
    fault::Fault,
    holdings::{Held, Holdings, Period},
    mail::content_key,
};

/// Names the mails that came within a period, by the server's dates.
pub(super) async fn holdings(mailbox: &mut Mailbox, period: Period) -> Result<Holdings, Fault> {
    let mut items = Vec::new();
    mailbox.pace.ready().await;
    let mut link = mailbox.door.open(mailbox.clock.now()).await?;
    for name in mailbox.duty.folders.clone() {
        let opened = match link.examine(&name).await {
            Ok(opened) => opened,
            Err(trouble) => return Err(mailbox.door.folder_fault(&mut link, &name, trouble).await),
        };
        // The server's days are its own: wider by a day or two, and the dates decide.
        let from = TimeZone::UTC.to_datetime(period.from).date();
        let to = TimeZone::UTC.to_datetime(period.to).date();
        let from = written_day(from.yesterday().unwrap_or(from));
        let to = written_day(to.tomorrow().and_then(Date::tomorrow).unwrap_or(to));
        let uids = link.search_for(&format!("SINCE {from} BEFORE {to}")).await.map_err(Trouble::while_reading)?;
        let mut seen = BTreeMap::new();
        for page in uids.chunks(mailbox.limits.page_items.max(1)) {
            if items.len() >= Holdings::MAX {
                return Ok(Holdings { items, whole: false });
            }
            let mut envelopes: BTreeMap<u32, Envelope> = BTreeMap::new();
            for set in plan::sets(page) {
                let mut told = Vec::new();
                let asked = link.envelopes(&set, "(UID RFC822.SIZE INTERNALDATE)", &mut told).await;
                asked.map_err(Trouble::while_reading)?;
                envelopes.extend(told.into_iter().map(|envelope| (envelope.uid, envelope)));
            }
            let within = |uid: &&u32| {
                let known = envelopes.get(uid);
                let came = known.and_then(|known| known.date.as_deref()).and_then(item::internal_date);
                came.is_none_or(|came| period.holds(came))
                    && !known.is_some_and(|known| mailbox.duty.passes_over(known))
            };
            let wanted: Vec<u32> = page.iter().filter(within).copied().collect();
            let mut bodies = bodies(mailbox, &mut link, &name, &wanted, &envelopes).await?;
            for uid in wanted {
                let known = envelopes.remove(&uid).unwrap_or(Envelope { uid, size: None, date: None });
                let at = known.date.as_deref().and_then(item::internal_date);
                let id = match bodies.remove(&uid) {
                    Some(id) => id,
                    None => item::unread(&known, opened.uidvalidity.unwrap_or(0), "", &mut seen).external_id,
                };
                items.push(Held { id, place: format!("{name}, UID {uid}"), at });
            }
        }
    }
    link.log_out().await;
    Ok(Holdings::new(items))
}

/// The names of mails, together where their size is told and by themselves where they did not come.
async fn bodies(
    mailbox: &Mailbox,
    link: &mut Link,
    name: &str,
    wanted: &[u32],
    envelopes: &BTreeMap<u32, Envelope>,
) -> Result<BTreeMap<u32, ExternalId>, Fault> {
    let limit = mailbox.limits.item_bytes;
    let mut names = BTreeMap::new();
    let mut rest = wanted;
    while !rest.is_empty() {
        let batches = plan::batches(rest, envelopes, &mailbox.limits);
        let mut taken = 0;
        for batch in batches {
            let (uids, partial, bytes) = match batch {
                Batch::Whole(uids, bytes) => (uids, None, bytes),
                Batch::Stub(uid) | Batch::Alone(uid) => (vec![uid], Some(limit), limit),
            };
            taken += uids.len();
            for set in plan::sets(&uids) {
                fetch(mailbox, link, name, (&set, partial, bytes), &mut names).await?;
            }
            for uid in uids {
                if !names.contains_key(&uid) {
                    fetch(mailbox, link, name, (&uid.to_string(), Some(limit), limit), &mut names).await?;
                }
            }
        }
        rest = &rest[taken..];
    }
    Ok(names)
}

async fn fetch(
    mailbox: &Mailbox,
    link: &mut Link,
    name: &str,
    (set, partial, bytes): (&str, Option<usize>, usize),
    into: &mut BTreeMap<u32, ExternalId>,
) -> Result<(), Fault> {
    let mut bodies = Vec::new();
    let told = link.bodies(set, partial, bytes, &mut bodies).await;
    let limit = mailbox.limits.item_bytes;
    into.extend(
        bodies
            .into_iter()
            .filter(|(_, body)| !body.is_empty())
            .map(|(uid, body)| (uid, content_key(&body[..body.len().min(limit)]))),
    );
    if told.is_err_and(|trouble| !trouble.leaves_link_usable()) {
        *link = mailbox.door.open(mailbox.clock.now()).await?;
        link.examine(name).await.map_err(Trouble::while_reading)?;
    }
    Ok(())
}
