//! Chooses among candidates: which known complaint a new one continues, if any, and which are shown beside it.

use serde::{Deserialize, Serialize};

use super::{
    compare::{Comparison, Standing, compare, standing},
    explain::explain,
    frequency::Frequencies,
    signature::Signature,
    vocabulary::{NameKind, Vocabulary},
};
use crate::ids::{EntryId, TicketId};

/// Links to related complaints that are kept with one.
const RELATED_LIMIT: usize = 5;

/// A complaint that is known and may be about the same matter.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its entry.
    pub entry: EntryId,
    /// Its ticket.
    pub ticket: TicketId,
    /// What is kept of it.
    pub signature: Signature,
}

/// What a new complaint was found to be the same as.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The complaint it is most alike.
    pub entry: EntryId,
    /// That one's ticket.
    pub ticket: TicketId,
    /// How it stands to it.
    pub comparison: Comparison,
    /// Whether it tells what that one does not.
    pub news: bool,
}

/// What matching came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matched {
    /// What it is the same matter as.
    pub same: Option<Found>,
    /// Whether a complaint of the same petitioner is in that ticket already, among those that were compared.
    pub same_person: bool,
    /// What is shown beside it, likeliest first.
    pub related: Vec<Found>,
}

/// What one petitioner's complaint is preferred by to another's that is as much alike.
const OWN: f32 = 0.15;

/// Finds, among neighbours, what a complaint is the same as. Of two that are about equally alike, the same petitioner's is
/// preferred, so that a repeat is not taken for a co-report.
pub fn decide<'a>(
    new: &Signature,
    neighbours: impl IntoIterator<Item = &'a Neighbour>,
    frequencies: &Frequencies,
) -> Matched {
    let mut matched = Matched::default();
    if !new.tells() {
        return matched;
    }
    let mut same: Vec<Found> = Vec::new();
    let mut own: Vec<TicketId> = Vec::new();
    for neighbour in neighbours {
        let comparison = compare(new, &neighbour.signature, frequencies);
        if comparison.is_own() {
            own.push(neighbour.ticket);
        }
        let found = |comparison| Found {
            entry: neighbour.entry,
            ticket: neighbour.ticket,
            comparison,
            news: news(new, &neighbour.signature),
        };
        match standing(&comparison) {
            Standing::Same => same.push(found(comparison)),
            Standing::Related => matched.related.push(found(comparison)),
            Standing::Different => {}
        }
    }
    let order = |left: &Found, right: &Found| {
        let key = |found: &Found| found.comparison.score + if found.comparison.same_person { OWN } else { 0.0 };
        key(right).total_cmp(&key(left)).then(left.entry.cmp(&right.entry))
    };
    same.sort_by(order);
    matched.related.sort_by(order);
    matched.same = same.into_iter().next();
    if let Some(same) = &matched.same {
        let ticket = same.ticket;
        matched.same_person = own.contains(&ticket);
        matched.related.retain(|related| related.ticket != ticket);
    }
    let mut seen = Vec::new();
    matched.related.retain(|related| {
        let first = !seen.contains(&related.ticket);
        seen.push(related.ticket);
        first
    });
    matched.related.truncate(RELATED_LIMIT);
    matched
}

/// Whether a complaint names or counts what the other does not.
fn news(new: &Signature, old: &Signature) -> bool {
    let names = new.names.iter().filter(|name| name.kind != NameKind::Region).any(|name| {
        !old.names.iter().any(|other| other.text.contains(name.core()) || name.text.contains(other.core()))
    });
    let units = new.units.iter().any(|unit| !old.units.iter().any(|o| o.kind == unit.kind && o.text == unit.text));
    let topics = new.topics.iter().filter(|topic| !old.topics.iter().any(|other| other.id == topic.id)).count();
    names || units || topics >= 2
}

/// What matching found, as it is kept with the complaint and shown: for a clerk, in Chinese.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Matching {
    /// By which sign it was joined to its ticket: "revision", "answer", "quoted", "text", "matter", "person"; nothing where
    /// it opened one.
    pub sign: Option<String>,
    /// The entry that it was compared with.
    pub entry: Option<EntryId>,
    /// What spoke for one matter.
    pub signs: Vec<String>,
    /// What spoke against it.
    pub against: Vec<String>,
    /// How much is alike, from 0: it ranks; what decides stands in the signs.
    pub score: Option<f32>,
    /// Other tickets to be looked at beside this one.
    pub related: Vec<RelatedTicket>,
    /// Whether it asks for several things, each of which deserves a ticket of its own.
    pub several: bool,
    /// What they are about.
    pub parts: Vec<String>,
    /// Where the matter is, as far as the text names it.
    pub place: Option<String>,
}

/// A ticket that may bear on a complaint, and is not joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RelatedTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// Its complaint that is alike.
    pub entry: EntryId,
    /// What is alike.
    pub signs: Vec<String>,
    /// Why it was not joined.
    pub against: Vec<String>,
    /// All signs together.
    pub score: f32,
}

impl Matching {
    /// What is kept of a complaint's matching.
    pub fn of(signature: &Signature, matched: &Matched, vocabulary: &Vocabulary) -> Self {
        let related = matched.related.iter().map(|found| beside(found, vocabulary, "相似程度不够，不能并案"));
        let mut matching = Self {
            related: related.collect(),
            several: signature.parts.len() > 1,
            parts: signature.parts.iter().map(|field| vocabulary.topic(*field).to_owned()).collect(),
            place: signature.place().map(str::to_owned),
            ..Self::default()
        };
        if let Some(found) = &matched.same {
            let (signs, against) = explain(&found.comparison, vocabulary);
            matching.sign = Some("matter".to_owned());
            matching.entry = Some(found.entry);
            matching.signs = signs;
            matching.against = against;
            matching.score = Some(found.comparison.score);
        }
        matching
    }

    /// Turns what would have been joined into what is shown beside: for an entry that waits for a person.
    pub fn unjoin(&mut self, matched: &Matched, vocabulary: &Vocabulary) {
        self.sign = None;
        self.entry = None;
        self.score = None;
        self.signs.clear();
        self.against.clear();
        if let Some(found) = &matched.same {
            self.related.insert(0, beside(found, vocabulary, "待人工，未并案"));
        }
    }
}

fn beside(found: &Found, vocabulary: &Vocabulary, otherwise: &str) -> RelatedTicket {
    let (signs, mut against) = explain(&found.comparison, vocabulary);
    if against.is_empty() {
        against.push(otherwise.to_owned());
    }
    RelatedTicket { ticket: found.ticket, entry: found.entry, signs, against, score: found.comparison.score }
}
