//! The plan of a batch: which entry opens a ticket, which joins one, which is guided, declined, held or quarantined, and
//! what the petitioner is told. Pure: what is known comes in, what is to be written comes out.
//!
//! Matching, in this order, the surest sign first:
//! 0. the same mail, come through another connector (a copy), where the setting says so;
//! 1. an earlier state of the same item at the same source (a revision);
//! 2. an answer to a notice of ours, by message id; or a quoted ticket number, from a petitioner of that ticket (a follow-up);
//! 3. the same text from the same petitioner (a repeat), or from another (a co-report);
//! 4. the same matter in other words, by several signs ([`crate::matching`]). The same petitioner's is a repeat, or a
//!    follow-up where it tells something new or its ticket was due before; another's is a co-report. Whatever is doubtful
//!    opens a ticket of its own, with a link to the one that it may belong to.

use std::collections::{BTreeMap, HashMap};

use connectors::entry::{ConnectorName, ExternalId};
use jiff::{Timestamp, civil::Date};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Assessed, Candidate, CopyOf, Known, KnownTicket, Outcome, Relation, Route, SameMessage,
    planned::{Join, Joined, NewComplaint, NewNotice, NewQueueItem, NewSignature, NewTicket, Plan, Serials},
    recall,
};
use crate::{
    alarms::{AlarmKind, NewAlarm},
    assess::{Article, Disposition, Grounds, HAPPENING_NOW, Urgency, text::normal},
    calendar::Calendar,
    ids::{EntryId, TicketId},
    matching::{Frequencies, Index, Matched, Matching, Neighbour, Vocabulary, decide as decide_among},
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
    /// How often words were seen.
    pub frequencies: &'a Frequencies,
    /// The words that matching goes by.
    pub vocabulary: &'a Vocabulary,
    /// Whether the same matter in other words joins its ticket, rather than being linked to it.
    pub join_other_words: bool,
    /// What one mail to several of our addresses comes to.
    pub same_message: SameMessage,
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
        if candidate.mail {
            questions.copies.push((candidate.entry, candidate.connector.clone(), candidate.external_id.clone()));
        }
        questions.matters.extend(matter_keys(assessed));
        questions.messages.extend(assessed.verdict.keys.answers.iter().cloned());
        let into = candidate.ruling.as_ref().and_then(|ruling| ruling.into);
        for number in quoted(assessed).into_iter().chain(into) {
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
        words: context.vocabulary.version().to_owned(),
        serials,
        tickets: Vec::new(),
        joins: BTreeMap::new(),
        complaints: Vec::new(),
        petitioner_keys: Vec::new(),
        signatures: Vec::new(),
        matters: BTreeMap::new(),
        queue: Vec::new(),
        notices: Vec::new(),
        bounced: Vec::new(),
        quarantined: Vec::new(),
        released: Vec::new(),
        alarms: Vec::new(),
        done: Vec::new(),
    };
    let mut planner = Planner {
        plan,
        known,
        opened: HashMap::new(),
        states: HashMap::new(),
        mails: HashMap::new(),
        batch: Index::new(candidates.len()),
        placed: HashMap::new(),
        context,
    };
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
    /// Mails of this batch: copies of one may arrive together.
    mails: HashMap<&'a ExternalId, (&'a ConnectorName, CopyOf)>,
    /// Complaints of this batch that are in tickets: two of one matter may arrive together.
    batch: Index,
    placed: HashMap<EntryId, Neighbour>,
    context: &'a mut Context<'b>,
}

/// A ticket that an entry belongs to already.
struct Joins {
    ticket: TicketId,
    relation: Relation,
    /// By which sign: see [`Matching::sign`].
    sign: &'static str,
    /// In words, where the sign is not the matter itself.
    told: Option<String>,
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
            Outcome::Assessed(mut assessed) => {
                if let Some(kind) = candidate.ruling.as_ref().and_then(|ruling| ruling.kind) {
                    let verdict = &mut assessed.verdict;
                    (verdict.kind, verdict.due_kind, verdict.kind_certain) = (kind, kind, true);
                }
                assessed
            }
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
        let copy = self.copy_of(candidate, &decided);
        let settled = prior.is_some_and(|prior| prior.ticket.is_some());
        let matched = if settled { Matched::default() } else { self.compare(candidate, &assessed) };
        let mut matching = Matching::of(&assessed.signature, &matched, self.context.vocabulary);
        let mut by_matter = false;
        let (ticket, relation) = match prior {
            Some(super::Prior { ticket: Some(ticket), relation, .. }) => {
                decided.carry_on("match.issued", "来件已在工单中，重新处理不改变这一结论".to_owned());
                (Some(ticket), relation)
            }
            _ => match self.find(candidate, &assessed, &mut decided, &matched, copy) {
                Some(Joins { ticket, relation, sign, told }) => {
                    by_matter = told.is_none();
                    joined_by(&mut matching, sign, told);
                    if relation != Relation::Copy {
                        self.join(ticket, relation, assessed.verdict.urgency);
                    }
                    (Some(ticket), Some(relation))
                }
                None if decided.disposition == Disposition::Accept => {
                    let ticket = self.open(candidate, &assessed)?;
                    (Some(ticket), Some(Relation::Opened))
                }
                None => (None, None),
            },
        };
        let merged_copy = copy.is_some() && self.context.same_message == SameMessage::Merge;
        if prior.is_none() && !merged_copy {
            self.alarm(candidate, &assessed);
            self.bounced(candidate, &assessed);
        }
        if candidate.mail {
            let this = (&candidate.connector, CopyOf { entry: candidate.entry, ticket });
            self.mails.entry(&candidate.external_id).or_insert(this);
        }
        matching.related.retain(|related| Some(related.ticket) != ticket);
        if matching.sign.as_deref() == Some(MATTER) && !by_matter {
            // Held, for another reason: what it is like is shown, and joins nothing.
            matching.unjoin(&matched, self.context.vocabulary);
        }
        if let Some(ticket) = ticket.filter(|_| candidate.revised) {
            self.states.insert((&candidate.connector, &candidate.external_id), ticket);
        }
        let told_before = prior.is_some_and(|prior| prior.ticket.is_some() || prior.disposition == decided.disposition);
        if !told_before && !assessed.verdict.silent && !merged_copy {
            self.tell(candidate, &assessed, &decided, ticket, relation, by_matter);
        }
        if let Some(ticket) = ticket {
            self.remember(candidate, &assessed, ticket, relation);
        }
        if let (Some(ticket), Some(relation)) = (ticket, relation)
            && matches!(relation, Relation::Opened | Relation::Repeat | Relation::CoReport)
        {
            for key in matter_keys(&assessed) {
                let known = self.known.matters.get(&key).copied().filter(|known| !self.is_apart(candidate, *known));
                let ticket = known.unwrap_or(ticket);
                self.known.matters.insert(key.clone(), ticket);
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
            matching,
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

    /// The first copy of the same mail, if it came through another connector. Where that one is in no ticket and this one is
    /// to be accepted, a person or other rules judged it, and this one goes its own way.
    fn copy_of(&self, candidate: &Candidate, decided: &Decided) -> Option<CopyOf> {
        if !candidate.mail || candidate.ruling.is_some() {
            return None;
        }
        let here = self.mails.get(&candidate.external_id).filter(|(connector, _)| **connector != candidate.connector);
        let copy = self.known.copies.get(&candidate.entry).copied().or_else(|| here.map(|(_, copy)| *copy))?;
        (copy.ticket.is_some() || decided.disposition != Disposition::Accept).then_some(copy)
    }

    /// A notice of ours that comes back did not reach its petitioner: it counts as failed, and a person must tell them.
    fn bounced(&mut self, candidate: &Candidate, assessed: &Assessed) {
        let Some(status) = &assessed.verdict.complaint.thread.undelivered else { return };
        let ours = assessed.verdict.keys.answers.iter().find(|id| self.known.answered.contains_key(*id));
        let Some(id) = ours else { return };
        self.plan.bounced.push((id.clone(), format!("被退回 / came back: {status}")));
        let entry = candidate.entry;
        let chinese = format!(
            "一件告知被退回（{status}，退信为来件 {entry}），诉求人没有收到：请以电话等方式告知（第十三条第三项）。\
             用 jiesu notice list --state failed 查看。"
        );
        let english = format!(
            "a notice came back ({status}, entry {entry}) and its petitioner does not know: tell them another way, \
             Article 13(3); jiesu notice list --state failed"
        );
        self.plan.alarms.push(NewAlarm::of_entry(
            AlarmKind::NoticeBounced,
            entry,
            &candidate.connector,
            chinese,
            english,
        ));
    }

    /// What an entry may be the same matter as, among what is known and what came before it in this batch.
    fn compare(&self, candidate: &Candidate, assessed: &Assessed) -> Matched {
        let signature = &assessed.signature;
        if !recall::compares(candidate, assessed.verdict.disposition)
            || assessed.verdict.complaint.thread.machine.is_some()
            || !signature.tells()
        {
            return Matched::default();
        }
        let known = self.known.alike.get(&candidate.entry).into_iter().flatten();
        let here = self.batch.candidates(signature, i64::MIN, self.context.frequencies);
        let neighbours = known
            .filter_map(|entry| self.known.neighbours.get(entry))
            .chain(here.iter().filter_map(|entry| self.placed.get(entry)))
            .filter(|neighbour| !self.is_apart(candidate, neighbour.ticket));
        decide_among(signature, neighbours, self.context.frequencies)
    }

    fn is_apart(&self, candidate: &Candidate, ticket: TicketId) -> bool {
        self.known.apart.contains(&(candidate.entry, ticket))
    }

    /// Keeps what a complaint in a ticket is matched by, for the store and for the rest of the batch. An answer to our
    /// message says "yes, still", and is no description of a matter.
    fn remember(&mut self, candidate: &Candidate, assessed: &Assessed, ticket: TicketId, relation: Option<Relation>) {
        let answers = relation == Some(Relation::FollowUp) && !assessed.verdict.keys.answers.is_empty();
        let copies = relation == Some(Relation::Copy);
        if !assessed.signature.tells() || answers || copies || assessed.verdict.complaint.thread.machine.is_some() {
            return;
        }
        self.plan.serials.signature += 1;
        let signature = assessed.signature.clone();
        self.batch.add(candidate.entry, self.context.now.as_microsecond(), &signature, self.context.frequencies);
        let neighbour = Neighbour { entry: candidate.entry, ticket, signature: signature.as_ref().clone() };
        self.placed.insert(candidate.entry, neighbour);
        self.plan.signatures.push(NewSignature { entry: candidate.entry, seq: self.plan.serials.signature, signature });
    }

    /// The ticket that an entry belongs to already, and how.
    fn find(
        &self,
        candidate: &Candidate,
        assessed: &Assessed,
        decided: &mut Decided,
        matched: &Matched,
        copy: Option<CopyOf>,
    ) -> Option<Joins> {
        let keys = &assessed.verdict.keys;
        let by_a_person = candidate.ruling.is_some();
        if by_a_person && decided.disposition != Disposition::Accept
            || assessed.verdict.complaint.thread.machine.is_some()
        {
            return None;
        }
        if let Some(joins) = self.by_ruling(candidate, assessed) {
            return Some(joins);
        }
        if let Some(copy) = copy.filter(|_| self.context.same_message == SameMessage::Merge) {
            let ticket = copy.ticket?;
            let told = format!("同一封邮件也寄到了另一个接入点，见来件 {}", copy.entry);
            decided.carry_on("match.copy", told.clone());
            return Some(Joins { ticket, relation: Relation::Copy, sign: "copy", told: Some(told) });
        }
        let state = (&candidate.connector, &candidate.external_id);
        if let Some(ticket) = self.known.earlier.get(&candidate.entry).or_else(|| self.states.get(&state)) {
            let told = "同一来源、同一编号的来件有了新的内容".to_owned();
            decided.carry_on("match.revision", told.clone());
            return Some(Joins { ticket: *ticket, relation: Relation::Revision, sign: "revision", told: Some(told) });
        }
        for id in &keys.answers {
            match self.known.answered.get(id) {
                Some(Some(ticket)) => {
                    let told = "回复了本热线发出的告知".to_owned();
                    decided.carry_on("match.follow_up", told.clone());
                    let relation = Relation::FollowUp;
                    return Some(Joins { ticket: *ticket, relation, sign: "answer", told: Some(told) });
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
            let told = format!("引用了本人的工单 {number}");
            decided.carry_on("match.follow_up", told.clone());
            return Some(Joins { ticket: *ticket, relation: Relation::FollowUp, sign: "quoted", told: Some(told) });
        }
        // The same words to another address are meant for that address.
        if decided.disposition != Disposition::Accept || copy.is_some() {
            return None;
        }
        let by_words = self.context.join_other_words.then_some(matched);
        self.same_text(candidate, assessed).or_else(|| self.same_matter(by_words?))
    }

    /// The ticket that a person says it belongs to.
    fn by_ruling(&self, candidate: &Candidate, assessed: &Assessed) -> Option<Joins> {
        let number = candidate.ruling.as_ref()?.into?;
        let ticket = *self.known.quoted.get(&number)?;
        let own = assessed.petitioner_keys.iter().any(|key| self.known.belongs.contains(&(key.clone(), ticket)));
        let relation = if own { Relation::Repeat } else { Relation::CoReport };
        Some(Joins { ticket, relation, sign: "person", told: Some(format!("由工作人员并入工单 {number}")) })
    }

    /// The ticket of the very same text, if a person has not said that this entry is not its.
    fn same_text(&self, candidate: &Candidate, assessed: &Assessed) -> Option<Joins> {
        let matters = matter_keys(assessed);
        let (common, own) = matters.split_last()?;
        let ticket =
            |key: &Vec<u8>| self.known.matters.get(key).copied().filter(|ticket| !self.is_apart(candidate, *ticket));
        let (ticket, relation) = match own.iter().find_map(ticket) {
            Some(ticket) => (ticket, Relation::Repeat),
            None => (ticket(common)?, Relation::CoReport),
        };
        let told = match relation {
            Relation::Repeat => "同一诉求人，内容相同",
            _ => "不同诉求人，内容相同",
        };
        Some(Joins { ticket, relation, sign: "text", told: Some(told.to_owned()) })
    }

    /// The ticket of the same matter in other words.
    fn same_matter(&self, matched: &Matched) -> Option<Joins> {
        let found = matched.same.as_ref()?;
        let known = self.known.tickets.get(&found.ticket)?;
        let overdue = known.complete_due.is_some_and(|due| due < self.context.now);
        let relation = match (matched.same_person, found.news || overdue) {
            (true, true) => Relation::FollowUp,
            (true, false) => Relation::Repeat,
            (false, _) => Relation::CoReport,
        };
        Some(Joins { ticket: found.ticket, relation, sign: MATTER, told: None })
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
        by_matter: bool,
    ) {
        let known = ticket.and_then(|ticket| self.known.tickets.get(&ticket));
        let occasion = match (known, relation, decided.disposition) {
            (Some(known), Some(Relation::Opened), _) => Occasion::Receipt {
                number: known.number,
                kind: assessed.verdict.kind,
                complete_due: known.complete_due,
                ask: decided.grounds.advice.as_deref().filter(|_| decided.disposition == Disposition::Accept),
            },
            (Some(known), Some(Relation::Repeat), _) => {
                Occasion::Repeat { number: known.number, times: known.repeats + 1 }
            }
            (Some(known), Some(Relation::CoReport), _) => {
                Occasion::CoReport { number: known.number, complete_due: known.complete_due }
            }
            // Nobody answered a message of ours here: the petitioner does not know that it was joined.
            (Some(known), Some(Relation::FollowUp), _) if by_matter => Occasion::FollowUp { number: known.number },
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

/// [`Matching::sign`] where several signs together told the matter.
const MATTER: &str = "matter";

/// Notes by which sign an entry was joined; one that is surer than the comparison takes its place.
fn joined_by(matching: &mut Matching, sign: &str, told: Option<String>) {
    matching.sign = Some(sign.to_owned());
    if let Some(told) = told {
        matching.signs = vec![told];
        matching.against = Vec::new();
        matching.entry = None;
        matching.score = None;
    }
}

/// Working hours within which a ticket must be with a handling unit (Article 14: 在工作日8小时间内确定承办单位).
const ASSIGN_HOURS: u16 = 8;

fn decide(candidate: &Candidate, assessed: &Assessed) -> Decided {
    match &candidate.ruling {
        Some(ruling) => Decided {
            disposition: ruling.disposition,
            grounds: Grounds {
                advice: ruling.advice.clone(),
                ..own_grounds("person", ruling.article, ruling.reason.clone())
            },
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
