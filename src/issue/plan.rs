//! The plan of a batch: which entry opens a ticket, which joins one, which is guided, declined, held or quarantined, and
//! what the petitioner is told. Pure: what is known comes in, what is to be written comes out.
//!
//! Matching, in this order, the surest sign first:
//! 1. an earlier state of the same item at the same source (a revision);
//! 2. an answer to a notice of ours, by message id; or a quoted ticket number, from a petitioner of that ticket (a follow-up);
//! 3. the same text from the same petitioner (a repeat);
//! 4. the same text from another (a co-report).

use std::collections::{BTreeMap, HashMap};

use connectors::entry::{ConnectorName, ExternalId};
use jiff::{Timestamp, civil::Date};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Assessed, Candidate, Known, KnownTicket, Outcome, Relation, Route,
    planned::{Join, Joined, NewComplaint, NewNotice, NewQueueItem, NewTicket, Plan, Serials},
};
use crate::{
    alarms::{AlarmKind, NewAlarm},
    assess::{Article, Disposition, Grounds, HAPPENING_NOW, Urgency, text::normal},
    calendar::Calendar,
    ids::TicketId,
    notices::{Occasion, Texts},
    number::{NumberError, TicketNumber},
    store::issue::Questions,
};

/// Who the machine's own decisions are noted under.
pub const GATEWAY: &str = "gateway";

/// What a plan needs besides the batch.
pub struct Context<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// Today, in the hotline's zone: the day that tickets are numbered by.
    pub day: Date,
    /// Working days.
    pub calendar: &'a Calendar,
    /// What petitioners are told.
    pub texts: &'a Texts,
    /// Makes ids that nobody can guess.
    pub random: &'a mut (dyn FnMut() -> Uuid + Send),
}

/// What the store must be asked before a batch is planned.
pub fn questions(candidates: &[Candidate]) -> Questions {
    let mut questions = Questions::default();
    for candidate in candidates {
        if candidate.again > 0 {
            questions.again.push(candidate.entry);
        }
        let Outcome::Assessed(assessed) = &candidate.outcome else { continue };
        if candidate.revised {
            questions.revised.push((candidate.entry, candidate.connector.clone(), candidate.external_id.clone()));
        }
        questions.matters.extend(matter_keys(assessed));
        questions.messages.extend(assessed.verdict.keys.answers.iter().cloned());
        if let Some(number) = quoted(assessed) {
            questions.quoted.push(number);
            questions.quoting.extend(assessed.petitioner_keys.iter().cloned());
        }
    }
    questions
}

/// The keys of a matter, the petitioner's own first, the one for everybody last; none where there is too little text. The
/// place is part of them: the same words about another street are another matter.
fn matter_keys(assessed: &Assessed) -> Vec<Vec<u8>> {
    let Some(content) = assessed.verdict.keys.content else { return Vec::new() };
    let place = assessed.verdict.complaint.place.as_deref().map(normal).unwrap_or_default();
    let own = assessed.petitioner_keys.iter().map(|petitioner| matter_key(&content, &place, petitioner));
    own.chain([matter_key(&content, &place, b"")]).collect()
}

fn matter_key(content: &[u8; 32], place: &str, petitioner: &[u8]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(content);
    hasher.update((place.len() as u64).to_be_bytes());
    hasher.update(place);
    hasher.update(petitioner);
    hasher.finalize().to_vec()
}

fn quoted(assessed: &Assessed) -> Option<TicketNumber> {
    assessed.verdict.keys.ticket.as_deref()?.parse().ok()
}

/// Plans a batch.
///
/// # Errors
/// Where the day has no ticket number left.
pub fn plan(
    candidates: &[Candidate],
    known: Known,
    serials: Serials,
    context: &mut Context<'_>,
) -> Result<Plan, NumberError> {
    let plan = Plan {
        now: context.now,
        serials,
        tickets: Vec::new(),
        joins: BTreeMap::new(),
        complaints: Vec::new(),
        petitioner_keys: Vec::new(),
        matters: BTreeMap::new(),
        queue: Vec::new(),
        notices: Vec::new(),
        quarantined: Vec::new(),
        released: Vec::new(),
        alarms: Vec::new(),
        done: Vec::new(),
    };
    let mut planner = Planner { plan, known, opened: HashMap::new(), states: HashMap::new(), context };
    for candidate in candidates {
        planner.place(candidate)?;
    }
    Ok(planner.plan)
}

struct Planner<'a, 'b> {
    plan: Plan,
    known: Known,
    /// Where in the plan a ticket of this batch stands.
    opened: HashMap<TicketId, usize>,
    /// Tickets of items of this batch that their source edits: states of one item may arrive together.
    states: HashMap<(&'a ConnectorName, &'a ExternalId), TicketId>,
    context: &'a mut Context<'b>,
}

/// What is decided about one entry.
struct Decided {
    disposition: Disposition,
    grounds: Grounds,
    actor: String,
    reason: Option<String>,
}

impl Decided {
    /// 件件有答复: what continues an accepted matter is not screened anew (Article 12).
    fn carry_on(&mut self, rule: &str, evidence: String) {
        if self.disposition != Disposition::Accept {
            self.disposition = Disposition::Accept;
            self.grounds = own_grounds(rule, Article::new(12), evidence);
        }
    }
}

impl<'a> Planner<'a, '_> {
    fn place(&mut self, candidate: &'a Candidate) -> Result<(), NumberError> {
        self.plan.done.push((candidate.entry, candidate.again));
        let prior = self.known.prior.get(&candidate.entry).copied();
        let assessed = match candidate.outcome.clone() {
            Outcome::Assessed(assessed) => assessed,
            Outcome::Unreadable { stage, reason } => {
                // An entry that was issued before keeps its place, whatever a later version makes of it.
                if prior.is_none() {
                    self.plan.quarantined.push((candidate.entry, stage, reason));
                }
                return Ok(());
            }
        };
        if candidate.again > 0 {
            self.plan.released.push(candidate.entry);
        }
        let mut decided = decide(candidate, &assessed);
        let (ticket, relation) = match prior {
            Some(super::Prior { ticket: Some(ticket), relation, .. }) => {
                decided.carry_on("match.issued", "来件已在工单中，重新处理不改变这一结论".to_owned());
                (Some(ticket), relation)
            }
            _ => match self.find(candidate, &assessed, &mut decided) {
                Some((ticket, relation)) => {
                    self.join(ticket, relation, assessed.verdict.urgency);
                    (Some(ticket), Some(relation))
                }
                None if decided.disposition == Disposition::Accept => {
                    let ticket = self.open(candidate, &assessed)?;
                    (Some(ticket), Some(Relation::Opened))
                }
                None => (None, None),
            },
        };
        if prior.is_none() {
            self.alarm(candidate, &assessed);
        }
        if let Some(ticket) = ticket.filter(|_| candidate.revised) {
            self.states.insert((&candidate.connector, &candidate.external_id), ticket);
        }
        let told_before = prior.is_some_and(|prior| prior.ticket.is_some() || prior.disposition == decided.disposition);
        if !told_before && !assessed.verdict.silent {
            self.tell(candidate, &assessed, &decided, ticket, relation);
        }
        if let (Some(ticket), Some(relation)) = (ticket, relation)
            && matches!(relation, Relation::Opened | Relation::Repeat | Relation::CoReport)
        {
            for key in matter_keys(&assessed) {
                let ticket = *self.known.matters.entry(key.clone()).or_insert(ticket);
                // Written again where it is known: the matter was spoken of just now.
                self.plan.matters.insert(key, ticket);
            }
        }
        for key in &assessed.petitioner_keys {
            self.plan.petitioner_keys.push((key.clone(), candidate.entry));
        }
        self.plan.complaints.push(NewComplaint {
            entry: candidate.entry,
            ticket,
            relation,
            disposition: decided.disposition,
            grounds: decided.grounds,
            actor: decided.actor,
            reason: decided.reason,
            assessed,
        });
        Ok(())
    }

    /// Danger now is told to the duty desk at once, whatever becomes of the entry (Articles 7(3) and 17). What was
    /// written long ago, and is filled in now, alarms nobody.
    fn alarm(&mut self, candidate: &Candidate, assessed: &Assessed) {
        let verdict = &assessed.verdict;
        let made = verdict.complaint.made_at.as_ref();
        let old = made.is_some_and(|made| candidate.received_at.duration_since(made.at) > HAPPENING_NOW);
        if verdict.urgency != Urgency::Emergency || old {
            return;
        }
        // The words are the rule file's, never the citizen's.
        let (entry, words) = (candidate.entry, verdict.grounds.evidence.join("、"));
        let told = match verdict.disposition {
            Disposition::Guide => "告知诉求人的话是：立即拨打 110、119、120。",
            _ => "是否紧急有疑问，诉求人未被自动告知。",
        };
        let office = verdict.shown.suggested.also_to.first().map_or("市政府应急管理办公室", String::as_str);
        let chinese =
            format!("来件 {entry} 反映正在发生的危险（{words}）：请值班员立即核实，并通知{office}（第十七条）。{told}");
        let english = format!(
            "entry {entry} tells of danger to life or property now: verify it at once and tell the emergency office (Article 17)"
        );
        let alarm = NewAlarm::of_entry(AlarmKind::Emergency, entry, &candidate.connector, chinese, english);
        self.plan.alarms.push(alarm);
    }

    /// The ticket that an entry belongs to already, and how.
    fn find(&self, candidate: &Candidate, assessed: &Assessed, decided: &mut Decided) -> Option<(TicketId, Relation)> {
        let keys = &assessed.verdict.keys;
        let by_a_person = candidate.ruling.is_some();
        if by_a_person && decided.disposition != Disposition::Accept
            || assessed.verdict.complaint.thread.machine.is_some()
        {
            return None;
        }
        let state = (&candidate.connector, &candidate.external_id);
        if let Some(ticket) = self.known.earlier.get(&candidate.entry).or_else(|| self.states.get(&state)) {
            decided.carry_on("match.revision", "同一来源、同一编号的来件有了新的内容".to_owned());
            return Some((*ticket, Relation::Revision));
        }
        for id in &keys.answers {
            match self.known.answered.get(id) {
                Some(Some(ticket)) => {
                    decided.carry_on("match.follow_up", "回复了本热线发出的告知".to_owned());
                    return Some((*ticket, Relation::FollowUp));
                }
                Some(None) if !by_a_person && decided.disposition != Disposition::Accept => {
                    decided.disposition = Disposition::Hold;
                    decided.grounds = own_grounds(
                        "match.reply",
                        Article::new(12),
                        "回复了本热线发出的告知，该告知没有对应的工单".to_owned(),
                    );
                    return None;
                }
                _ => {}
            }
        }
        if let Some(number) = quoted(assessed)
            && let Some(ticket) = self.known.quoted.get(&number)
            && assessed.petitioner_keys.iter().any(|key| self.known.belongs.contains(&(key.clone(), *ticket)))
        {
            decided.carry_on("match.follow_up", format!("引用了本人的工单 {number}"));
            return Some((*ticket, Relation::FollowUp));
        }
        if decided.disposition != Disposition::Accept {
            return None;
        }
        let matters = matter_keys(assessed);
        let (common, own) = matters.split_last()?;
        if let Some(ticket) = own.iter().find_map(|key| self.known.matters.get(key)) {
            return Some((*ticket, Relation::Repeat));
        }
        self.known.matters.get(common).map(|ticket| (*ticket, Relation::CoReport))
    }

    fn open(&mut self, candidate: &Candidate, assessed: &Assessed) -> Result<TicketId, NumberError> {
        let serial = u32::try_from(self.plan.serials.day + 1).unwrap_or(u32::MAX);
        let number = TicketNumber::new(self.context.day, serial)?;
        self.plan.serials.day += 1;
        self.plan.serials.ticket += 1;
        let id = TicketId(self.plan.serials.ticket);
        let verdict = &assessed.verdict;
        let calendar = self.context.calendar;
        let assign = calendar.add_working_hours(self.context.now, ASSIGN_HOURS);
        let complete = calendar.add_working_days(self.context.now, u16::from(verdict.due_kind.working_days()));
        let due_note = assign.as_ref().err().or(complete.as_ref().err()).map(ToString::to_string);
        let ticket = NewTicket {
            id,
            number,
            entry: candidate.entry,
            channel: candidate.channel,
            kind: verdict.kind,
            urgency: verdict.urgency,
            opened_at: self.context.now,
            assign_due: assign.ok(),
            complete_due: complete.ok(),
            due_note,
            joined: Joined::default(),
        };
        self.known
            .tickets
            .insert(id, KnownTicket { number, urgency: ticket.urgency, repeats: 0, complete_due: ticket.complete_due });
        self.opened.insert(id, self.plan.tickets.len());
        self.plan.queue.push(NewQueueItem { ticket: id, event: Relation::Opened, urgency: ticket.urgency });
        self.plan.tickets.push(ticket);
        Ok(id)
    }

    fn join(&mut self, ticket: TicketId, relation: Relation, urgency: Urgency) {
        let Some(known) = self.known.tickets.get_mut(&ticket) else { return };
        let raised = urgency > known.urgency;
        known.urgency = known.urgency.max(urgency);
        known.repeats += i64::from(relation == Relation::Repeat);
        let urgency = known.urgency;
        if let Some(new) = self.opened.get(&ticket).and_then(|place| self.plan.tickets.get_mut(*place)) {
            new.joined.add(relation);
            new.urgency = urgency;
            for item in self.plan.queue.iter_mut().filter(|item| item.ticket == ticket) {
                item.urgency = urgency;
            }
            return;
        }
        let join = self.plan.joins.entry(ticket).or_insert(Join { joined: Joined::default(), urgency, raised: false });
        join.joined.add(relation);
        join.urgency = urgency;
        join.raised |= raised;
        self.plan.queue.push(NewQueueItem { ticket, event: relation, urgency });
    }

    fn tell(
        &mut self,
        candidate: &Candidate,
        assessed: &Assessed,
        decided: &Decided,
        ticket: Option<TicketId>,
        relation: Option<Relation>,
    ) {
        let known = ticket.and_then(|ticket| self.known.tickets.get(&ticket));
        let occasion = match (known, relation, decided.disposition) {
            (Some(known), Some(Relation::Opened), _) => Occasion::Receipt {
                number: known.number,
                kind: assessed.verdict.kind,
                complete_due: known.complete_due,
            },
            (Some(known), Some(Relation::Repeat), _) => {
                Occasion::Repeat { number: known.number, times: known.repeats + 1 }
            }
            (Some(known), Some(Relation::CoReport), _) => {
                Occasion::CoReport { number: known.number, complete_due: known.complete_due }
            }
            (None, _, Disposition::Guide) => Occasion::Guidance { grounds: &decided.grounds },
            (None, _, Disposition::Decline) => Occasion::Refusal { grounds: &decided.grounds },
            (None, _, Disposition::Hold) => Occasion::Held { grounds: &decided.grounds },
            // Answering an answer is how loops begin.
            (Some(_), _, _) | (None, _, Disposition::Accept) => return,
        };
        let (connector, unroutable) = match &candidate.route {
            Route::Through(connector) => (connector.clone(), None),
            // A receipt that cannot leave is no loss; a refusal that nobody hears is (Article 13(3)).
            Route::None if matches!(occasion, Occasion::Guidance { .. } | Occasion::Refusal { .. }) => {
                (candidate.connector.clone(), Some("no way back to the petitioner is set up: tell them by telephone"))
            }
            Route::None => return,
        };
        let text = self.context.texts.compose(&occasion, assessed.verdict.shown.subject.as_deref());
        let message_id = self.context.texts.message_id((self.context.random)());
        self.plan.notices.push(NewNotice {
            entry: candidate.entry,
            ticket,
            connector,
            template: text.template,
            message_id,
            recipient: assessed.recipient.clone(),
            answers: assessed.verdict.complaint.thread.message_id.iter().cloned().collect(),
            subject: text.subject,
            body: text.body,
            unroutable,
        });
    }
}

/// Working hours within which a ticket must be with a handling unit (Article 14: 在工作日8小时间内确定承办单位).
const ASSIGN_HOURS: u16 = 8;

fn decide(candidate: &Candidate, assessed: &Assessed) -> Decided {
    match &candidate.ruling {
        Some(ruling) => Decided {
            disposition: ruling.disposition,
            grounds: Grounds { advice: None, ..own_grounds("person", ruling.article, ruling.reason.clone()) },
            actor: ruling.actor.clone(),
            reason: Some(ruling.reason.clone()),
        },
        None => Decided {
            disposition: assessed.verdict.disposition,
            grounds: assessed.verdict.grounds.clone(),
            actor: GATEWAY.to_owned(),
            reason: None,
        },
    }
}

fn own_grounds(rule: &str, article: Article, evidence: String) -> Grounds {
    Grounds {
        rule: rule.to_owned(),
        rules_version: env!("CARGO_PKG_VERSION").to_owned(),
        article,
        evidence: vec![evidence],
        against: Vec::new(),
        advice: None,
        score: 0,
    }
}
