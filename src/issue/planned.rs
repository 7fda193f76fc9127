//! What a plan holds: the rows that the store is to write for a batch, and nothing of how they came about.

use std::{collections::BTreeMap, sync::Arc};

use connectors::{complaint::Channel, entry::ConnectorName};
use jiff::Timestamp;

use super::{Assessed, Relation};
use crate::{
    alarms::NewAlarm,
    assess::{Disposition, Grounds, Kind, Urgency},
    ids::{EntryId, TicketId},
    matching::{Matching, Signature},
    number::TicketNumber,
    seal::Sealed,
};

/// Where counters were left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serials {
    /// The day's last ticket.
    pub day: i64,
    /// The last ticket's id.
    pub ticket: i64,
    /// The last signature.
    pub signature: i64,
}

/// How many complaints joined a ticket, by relation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joined {
    /// Repeats.
    pub repeats: i64,
    /// Co-reports.
    pub co_reports: i64,
    /// Follow-ups.
    pub follow_ups: i64,
    /// Revisions.
    pub revisions: i64,
}

impl Joined {
    /// All of them.
    pub fn total(self) -> i64 {
        self.repeats + self.co_reports + self.follow_ups + self.revisions
    }

    pub(super) fn add(&mut self, relation: Relation) {
        match relation {
            // A copy adds nothing to its ticket.
            Relation::Opened | Relation::Copy => {}
            Relation::Repeat => self.repeats += 1,
            Relation::CoReport => self.co_reports += 1,
            Relation::FollowUp => self.follow_ups += 1,
            Relation::Revision => self.revisions += 1,
        }
    }
}

/// A ticket to open.
#[derive(Debug, Clone)]
pub struct NewTicket {
    /// Id.
    pub id: TicketId,
    /// Number.
    pub number: TicketNumber,
    /// The entry that opens it.
    pub entry: EntryId,
    /// Where its citizen spoke.
    pub channel: Channel,
    /// Kind of request.
    pub kind: Kind,
    /// How soon.
    pub urgency: Urgency,
    /// Now.
    pub opened_at: Timestamp,
    /// When a handling unit must have it: 8 working hours (Article 14).
    pub assign_due: Option<Timestamp>,
    /// When it must be answered (Article 15).
    pub complete_due: Option<Timestamp>,
    /// Why a due time is not known.
    pub due_note: Option<String>,
    /// What joins it in this very batch.
    pub joined: Joined,
}

/// What joins a ticket that is open already.
#[derive(Debug, Clone, Copy)]
pub struct Join {
    /// How many.
    pub joined: Joined,
    /// How soon, with them.
    pub urgency: Urgency,
    /// Whether they made it more urgent.
    pub raised: bool,
}

/// A complaint to store.
#[derive(Debug, Clone)]
pub struct NewComplaint {
    /// Its entry.
    pub entry: EntryId,
    /// Its ticket.
    pub ticket: Option<TicketId>,
    /// How it stands to it.
    pub relation: Option<Relation>,
    /// What was decided.
    pub disposition: Disposition,
    /// Why.
    pub grounds: Grounds,
    /// Who decided.
    pub actor: String,
    /// A person's reason.
    pub reason: Option<String>,
    /// What assessing it came to.
    pub assessed: Box<Assessed>,
    /// By which signs it was matched.
    pub matching: Matching,
}

/// What a complaint is matched by, to be stored.
#[derive(Debug, Clone)]
pub struct NewSignature {
    /// Its entry.
    pub entry: EntryId,
    /// Its number: the order in which the index is made.
    pub seq: i64,
    /// What is kept.
    pub signature: Arc<Signature>,
}

/// A delivery to queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewQueueItem {
    /// Ticket.
    pub ticket: TicketId,
    /// What happened to it.
    pub event: Relation,
    /// How soon.
    pub urgency: Urgency,
}

/// A notice to write.
#[derive(Debug, Clone)]
pub struct NewNotice {
    /// The entry it is about.
    pub entry: EntryId,
    /// Its ticket.
    pub ticket: Option<TicketId>,
    /// The connector it leaves through.
    pub connector: ConnectorName,
    /// Which text.
    pub template: &'static str,
    /// Our message's id.
    pub message_id: String,
    /// Where a mail goes.
    pub recipient: Option<(Sealed, Vec<u8>)>,
    /// Messages that it answers.
    pub answers: Vec<String>,
    /// Title.
    pub subject: String,
    /// Text.
    pub body: String,
    /// Why it cannot leave, where it cannot.
    pub unroutable: Option<&'static str>,
}

/// What is to be written for a batch.
#[derive(Debug)]
pub struct Plan {
    /// When.
    pub now: Timestamp,
    /// Version of the words that signatures were made by.
    pub words: String,
    /// Where the counters stand after it.
    pub serials: Serials,
    /// Tickets to open.
    pub tickets: Vec<NewTicket>,
    /// Tickets that are joined.
    pub joins: BTreeMap<TicketId, Join>,
    /// Complaints to store, each with its decision.
    pub complaints: Vec<NewComplaint>,
    /// Keyed hashes of petitioners.
    pub petitioner_keys: Vec<(Vec<u8>, EntryId)>,
    /// What complaints are matched by, in the order of their numbers.
    pub signatures: Vec<NewSignature>,
    /// Keys of matters.
    pub matters: BTreeMap<Vec<u8>, TicketId>,
    /// Deliveries to queue.
    pub queue: Vec<NewQueueItem>,
    /// Notices to write.
    pub notices: Vec<NewNotice>,
    /// Notices of ours that came back, by message id, with the reason.
    pub bounced: Vec<(String, String)>,
    /// Alarms to raise.
    pub alarms: Vec<NewAlarm>,
    /// Entries to quarantine, with stage and reason.
    pub quarantined: Vec<(EntryId, &'static str, String)>,
    /// Entries that leave quarantine.
    pub released: Vec<EntryId>,
    /// Entries that are no longer pending, with how often they had been put back on the work list.
    pub done: Vec<(EntryId, i64)>,
}
