//! Issue: what was assessed is matched with what is known and becomes tickets, queue items and notices, in one
//! transaction. The plan of a batch is a pure function ([`plan`]); the store only answers its questions and writes it.

pub mod plan;
pub mod planned;
mod recall;
mod worker;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use connectors::{
    complaint::Channel,
    entry::{ConnectorName, ExternalId},
};
use jiff::Timestamp;
pub use recall::Recall;
use serde::{Deserialize, Serialize};
pub use worker::{IssueError, IssueOptions, Issuer, PETITIONER, RECIPIENT, Tools, hotline_zone};

use crate::{
    assess::{Article, Disposition, Kind, Urgency, Verdict},
    ids::{EntryId, TicketId},
    matching::{Neighbour, Signature},
    number::TicketNumber,
    seal::Sealed,
};

/// A person's decision about an entry, which overrides screening (design promise 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// Who decided.
    pub actor: String,
    /// What.
    pub disposition: Disposition,
    /// On which article.
    pub article: Article,
    /// Why.
    pub reason: String,
    /// Of which kind it is, where the person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What the petitioner is told besides: where to turn, or what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The ticket that it belongs to, where the person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<TicketNumber>,
}

impl Ruling {
    /// A ruling that leaves everything else to the gateway.
    pub fn new(
        actor: impl Into<String>,
        disposition: Disposition,
        article: Article,
        reason: impl Into<String>,
    ) -> Self {
        let (actor, reason) = (actor.into(), reason.into());
        Self { actor, disposition, article, reason, kind: None, advice: None, into: None }
    }
}

/// How a complaint stands to its ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// It opened the ticket.
    Opened,
    /// 重复: the same petitioner, the same matter again.
    Repeat,
    /// 同类: another petitioner, the same matter.
    CoReport,
    /// 补充: an answer to a message of ours.
    FollowUp,
    /// The source edited an item that is in the ticket already.
    Revision,
    /// 副本: the same mail, come to another address of ours too.
    Copy,
}

impl Relation {
    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Repeat => "repeat",
            Self::CoReport => "co_report",
            Self::FollowUp => "follow_up",
            Self::Revision => "revision",
            Self::Copy => "copy",
        }
    }

    /// The relation with that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Opened, Self::Repeat, Self::CoReport, Self::FollowUp, Self::Revision, Self::Copy]
            .into_iter()
            .find(|relation| relation.as_str() == name)
    }
}

/// What one mail to several of our addresses comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameMessage {
    /// One ticket and one notice; the later copies are named on it.
    #[default]
    Merge,
    /// A ticket and a notice for each address.
    Separate,
}

/// The first copy of a mail that has come through another connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyOf {
    /// Its entry.
    pub entry: EntryId,
    /// Its ticket, where it is in one.
    pub ticket: Option<TicketId>,
}

/// An entry on its way into the plan; what is personal is sealed already.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub entry: EntryId,
    /// The connector that brought it.
    pub connector: ConnectorName,
    /// What the source calls it.
    pub external_id: ExternalId,
    /// Whether the source edits its items, so that an earlier state may be known.
    pub revised: bool,
    /// Whether it is a mail with an id of its own, which may have come through several connectors under one name.
    pub mail: bool,
    /// Where its citizen spoke.
    pub channel: Channel,
    /// When it was received.
    pub received_at: Timestamp,
    /// What assessing it came to.
    pub outcome: Outcome,
    /// A person's decision, where there is one.
    pub ruling: Option<Ruling>,
    /// How often it was put back on the work list after it had been issued or quarantined.
    pub again: i64,
    /// How a notice would go back.
    pub route: Route,
}

/// What assessing an entry came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A verdict.
    Assessed(Box<Assessed>),
    /// It could not be normalised: to quarantine.
    Unreadable {
        /// At which stage.
        stage: &'static str,
        /// Why, in words and without anything personal.
        reason: String,
    },
}

/// A verdict, with the petitioner sealed.
#[derive(Debug, Clone)]
pub struct Assessed {
    /// The verdict; its complaint's petitioner is empty from here on.
    pub verdict: Verdict,
    /// The petitioner, sealed.
    pub sealed_petitioner: Sealed,
    /// Keyed hashes of telephone numbers and addresses.
    pub petitioner_keys: Vec<Vec<u8>>,
    /// Where a mail would go: sealed, and as a keyed hash.
    pub recipient: Option<(Sealed, Vec<u8>)>,
    /// What it is matched by.
    pub signature: Arc<Signature>,
}

/// How a notice would go back to the petitioner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Through this connector.
    Through(ConnectorName),
    /// No way back is set up.
    None,
}

/// What the store knows that bears on a batch.
#[derive(Debug, Default)]
pub struct Known {
    /// Tickets by the key of their matter.
    pub matters: HashMap<Vec<u8>, TicketId>,
    /// Notices of ours by message id, with their ticket if they are about one.
    pub answered: HashMap<String, Option<TicketId>>,
    /// Tickets by number.
    pub quoted: HashMap<TicketNumber, TicketId>,
    /// Which petitioners have complaints in which of the quoted tickets.
    pub belongs: HashSet<(Vec<u8>, TicketId)>,
    /// Tickets of earlier states of the same item.
    pub earlier: HashMap<EntryId, TicketId>,
    /// First copies of the same mail.
    pub copies: HashMap<EntryId, CopyOf>,
    /// Earlier verdicts about the same entry.
    pub prior: HashMap<EntryId, Prior>,
    /// For each entry, the complaints that it may be the same matter as, likeliest first.
    pub alike: HashMap<EntryId, Vec<EntryId>>,
    /// Those complaints.
    pub neighbours: HashMap<EntryId, Neighbour>,
    /// Tickets that a person has said an entry does not belong to.
    pub apart: HashSet<(EntryId, TicketId)>,
    /// Every ticket named above.
    pub tickets: HashMap<TicketId, KnownTicket>,
}

impl Known {
    /// Whatever led to a ticket that was merged leads to the one that it was merged into.
    pub fn follow(&mut self, merged: &HashMap<TicketId, TicketId>) {
        let last = |ticket: &mut TicketId| {
            // Each step leads on; the bound only ends a circle, which no merge makes.
            for _ in 0..=merged.len() {
                match merged.get(ticket) {
                    Some(into) => *ticket = *into,
                    None => break,
                }
            }
        };
        self.matters.values_mut().for_each(last);
        self.answered.values_mut().flatten().for_each(last);
        self.quoted.values_mut().for_each(last);
        self.earlier.values_mut().for_each(last);
        self.copies.values_mut().filter_map(|copy| copy.ticket.as_mut()).for_each(last);
        self.prior.values_mut().filter_map(|prior| prior.ticket.as_mut()).for_each(last);
    }
}

/// An earlier verdict about the same entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prior {
    /// Its ticket.
    pub ticket: Option<TicketId>,
    /// How it stands to it.
    pub relation: Option<Relation>,
    /// What was decided.
    pub disposition: Disposition,
}

/// A ticket that a batch may join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTicket {
    /// Its number.
    pub number: TicketNumber,
    /// How soon.
    pub urgency: Urgency,
    /// Repeats so far.
    pub repeats: i64,
    /// When it is due.
    pub complete_due: Option<Timestamp>,
}
