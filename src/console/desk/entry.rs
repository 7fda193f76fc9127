//! One entry's whole story: what was received, what was read in it, every decision with what it rested on, its ticket, what
//! its petitioner was told; and what a person can do about it.

use std::sync::Arc;

use ::connectors::complaint::Petitioner;
use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};

use super::choice::{self, Group};
use crate::{
    assess::{Disposition, Kind, remark},
    console::{
        Console,
        access::{Form, Visitor},
        page::{Page, done, html},
        routes::{AUDITORS, WORKERS},
        trouble::Trouble,
    },
    desk::{self, UnsealError},
    ids::{EntryId, TicketId},
    matching::RelatedTicket,
    number::TicketNumber,
    store::{
        desk::Delivery,
        journal::{Act, AuditRow},
        merges::Asked,
        read::{EntryStory, Place},
        withheld::WithheldRuling,
    },
};

/// Rows of the audit trail that are shown.
const TRAIL: i64 = 50;
/// Bytes of a raw entry that a page shows; the command line writes all of it.
const SHOWN_RAW: usize = 64 * 1024;

/// What was unsealed.
struct Opened {
    /// What is known of the petitioner: a member of the family `petitioner`, with its value.
    petitioner: Vec<(&'static str, String)>,
    /// The beginning of the raw entry, as text.
    raw: String,
    /// How many bytes it has.
    size: usize,
    /// Whether there is more than is shown.
    cut: bool,
}

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    page: Page,
    story: EntryStory,
    remarks: Vec<String>,
    related: Vec<(TicketNumber, RelatedTicket)>,
    deliveries: Vec<Delivery>,
    withheld: Option<WithheldRuling>,
    /// Nothing where the visitor may not see it.
    trail: Option<Vec<AuditRow>>,
    groups: Vec<Group>,
    kinds: [Kind; 4],
    works: bool,
    quarantined: bool,
    /// Whether it opened its ticket, and so cannot be split off.
    opened_ticket: bool,
    unsealed: Option<Opened>,
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    id: EntryId,
    unsealed: Option<Opened>,
) -> Result<Response, Trouble> {
    let story = console.store.entry(id).await?;
    let related = match &story.complaint {
        Some(complaint) => numbered(console, &complaint.matching.related).await?,
        None => Vec::new(),
    };
    let deliveries = match story.summary.ticket {
        Some(number) => console.store.deliveries_of(console.store.ticket(number).await?.id).await?,
        None => Vec::new(),
    };
    let may_see = visitor.may(WORKERS) || visitor.may(AUDITORS);
    let trail = if may_see { Some(console.store.audit_of(&id.to_string(), "entry.", TRAIL).await?) } else { None };
    let opened_ticket =
        story.complaint.as_ref().is_some_and(|complaint| complaint.relation == Some(crate::issue::Relation::Opened));
    html(&EntryPage {
        page: Page::new(visitor, "entries", console.clock.now()),
        // A complaint tells them itself, among its own.
        remarks: if story.complaint.is_some() { Vec::new() } else { story.remarks.iter().map(remark).collect() },
        related,
        deliveries,
        withheld: console.store.withheld_ruling(id).await?,
        trail,
        groups: choice::groups(visitor.lang, except(&story)),
        kinds: Kind::ALL,
        works: visitor.may(WORKERS),
        quarantined: story.summary.place == Place::Quarantine,
        opened_ticket,
        unsealed,
        story,
    })
}

/// What need not be ruled, because it is so.
fn except(story: &EntryStory) -> Option<Disposition> {
    (story.summary.place == Place::Held).then_some(Disposition::Hold)
}

async fn numbered(console: &Console, related: &[RelatedTicket]) -> Result<Vec<(TicketNumber, RelatedTicket)>, Trouble> {
    let tickets: Vec<TicketId> = related.iter().map(|one| one.ticket).collect();
    let numbers = console.store.ticket_numbers(&tickets).await?;
    let number = |ticket| numbers.iter().find(|(id, _)| *id == ticket).map(|(_, number)| *number);
    Ok(related.iter().filter_map(|one| Some((number(one.ticket)?, one.clone()))).collect())
}

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
) -> Result<Response, Trouble> {
    page(&console, &visitor, EntryId(id), None).await
}

/// Unseals; what comes out is in this one answer.
pub(in crate::console) async fn unseal(
    State(console): State<Arc<Console>>,
    Extension(mut visitor): Extension<Visitor>,
    Path(id): Path<i64>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let reason = choice::reason(&form, visitor.lang)?;
    // There is no way back to this answer.
    visitor.here = format!("/console/entries/{id}");
    let asked = Asked { actor: &visitor.actor(), reason, now: console.clock.now() };
    let unsealed = desk::unseal(&console.store, &console.keyring, EntryId(id), asked).await;
    let unsealed = unsealed.map_err(|error| match error {
        UnsealError::Store(error) => Trouble::from(error),
        UnsealError::Seal(error) => error.into(),
    })?;
    let shown = &unsealed.raw[..unsealed.raw.len().min(SHOWN_RAW)];
    let opened = Opened {
        petitioner: unsealed.petitioner.map(told).unwrap_or_default(),
        raw: String::from_utf8_lossy(shown).into_owned(),
        size: unsealed.raw.len(),
        cut: unsealed.raw.len() > SHOWN_RAW,
    };
    page(&console, &visitor, EntryId(id), Some(opened)).await
}

fn told(petitioner: Petitioner) -> Vec<(&'static str, String)> {
    let all = [
        ("name", petitioner.name.unwrap_or_default()),
        ("phone", petitioner.phones.join("、")),
        ("email", petitioner.emails.join("、")),
        ("address", petitioner.address.unwrap_or_default()),
        ("organisation", petitioner.organisation.unwrap_or_default()),
        ("organisation_code", petitioner.organisation_code.unwrap_or_default()),
        ("account", petitioner.account.unwrap_or_default()),
        ("ip", petitioner.ip.unwrap_or_default()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

pub(in crate::console) async fn decide(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let ruling = choice::ruling(&form, &visitor)?;
    if console.store.entry(EntryId(id)).await?.summary.place == Place::Quarantine {
        // Nothing could be issued of what cannot be read: the ruling would come to nothing.
        return Err(Trouble::invalid(visitor.lang.t("desk.unread")));
    }
    choice::rule(&console, &[EntryId(id)], &ruling).await?;
    Ok(done(&format!("/console/entries/{id}"), "ruled"))
}

pub(in crate::console) async fn replay(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let reason = choice::reason(&form, visitor.lang)?;
    let subject = id.to_string();
    let act = Act { actor: &visitor.actor(), action: "entry.replay", subject: &subject, reason: Some(reason) };
    console.store.reissue(EntryId(id), None, act, console.clock.now()).await?;
    console.pending.notify_one();
    Ok(done(&format!("/console/entries/{id}"), "replayed"))
}

/// Takes an entry out of a ticket that it was joined to wrongly.
pub(in crate::console) async fn split(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let reason = choice::reason(&form, visitor.lang)?;
    let asked = Asked { actor: &visitor.actor(), reason, now: console.clock.now() };
    console.store.split_off(EntryId(id), asked).await?;
    console.pending.notify_one();
    Ok(done(&format!("/console/entries/{id}"), "split"))
}
