//! Puts the steps of assessing together.

use std::sync::Arc;

use connectors::{
    complaint::{Channel, Complaint},
    entry::Remark,
};
use jiff::{SignedDuration, Timestamp};

use super::{
    Kind, MatchKeys, RuleSet, ShownComplaint, Urgency, Verdict, classify,
    find::{self, Found, Part},
    rules::{ElementField, Role},
    screen::{self, Circumstances},
    suggest,
    support::{self, Sees},
    text,
};
use crate::{
    mask::{KNOWN_LIMIT, canonical_email, canonical_phone, mask},
    number::TicketNumber,
};

/// A source's time that lies further ahead of our receipt than this can't be right.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// What was written longer ago than this is no call for help now.
pub const HAPPENING_NOW: SignedDuration = SignedDuration::from_hours(24);

/// Without a title, this much of the beginning of a text says what is asked for, in characters.
const LEAD: usize = 40;

/// Most messages answered that are kept for matching.
const ANSWERS_LIMIT: usize = 50;

/// Assesses complaints by one rule set. Cheap to clone; a changed rule set makes a new one.
#[derive(Debug, Clone)]
pub struct Assessor {
    rules: Arc<RuleSet>,
}

impl Assessor {
    /// An assessor by these rules.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self { rules }
    }

    /// The rules it goes by.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Assesses one complaint that came in over a channel at a moment. A pure function: the same in, the same out.
    pub fn assess(&self, complaint: Complaint, channel: Channel, received_at: Timestamp) -> Verdict {
        let mut complaint = complaint;
        let remarks = tidy(&mut complaint, received_at);
        let keys = keys(&complaint);
        let shown = show(&complaint, &remarks);
        if let Some((machine, evidence)) = &complaint.thread.machine {
            let screened = screen::machine(&self.rules, *machine, &mask(evidence, &complaint.petitioner).text);
            return Verdict {
                shown,
                disposition: screened.disposition,
                grounds: screened.grounds,
                kind: Kind::Consult,
                kind_certain: false,
                due_kind: Kind::Consult,
                urgency: Urgency::Normal,
                keys,
                silent: true,
                complaint,
            };
        }
        let (found, meaningful) = self.find(&complaint);
        let old = complaint.made_at.is_some_and(|made| received_at.duration_since(made.at) > HAPPENING_NOW);
        // Mere courtesy (你好) says nothing that a model could weigh.
        let sight = if meaningful == 0 { None } else { support::look(&self.rules, &complaint) };
        let classified = classify::classify(&self.rules, &found, meaningful, (channel, complaint.label.as_deref()));
        let asks = classified.plausible.iter().any(|kind| matches!(kind, Kind::Consult | Kind::Suggest));
        let filled = [
            (ElementField::Occurred, &complaint.occurred),
            (ElementField::Place, &complaint.place),
            (ElementField::Parties, &complaint.parties),
        ];
        let fields = filled.into_iter().filter(|(_, told)| told.is_some()).map(|(field, _)| field).collect();
        let sees = sight.as_ref().map_or(Sees::Little, |sight| sight.sees);
        let circumstances =
            Circumstances { channel, meaningful, follow_up: keys.ticket.is_some(), asks, fields, old, sees };
        let screened = screen::screen(&self.rules, &found, &circumstances);
        let screened = support::support(&self.rules, screened, sight.as_ref());
        let screened = screen::nameless(&self.rules, screened, complaint.nameless.as_ref());
        let mut shown = shown;
        shown.suggested = suggest::suggest(&self.rules, &found, screened.urgency);
        shown.suggested.kinds.clone_from(&classified.plausible);
        shown.suggested.signal = sight.and_then(support::Sight::shown);
        Verdict {
            shown,
            disposition: screened.disposition,
            grounds: screened.grounds,
            kind: classified.kind,
            kind_certain: classified.plausible.len() == 1,
            due_kind: classified.due(),
            urgency: screened.urgency,
            keys,
            silent: false,
            complaint,
        }
    }

    /// The phrases in a complaint, and how many letters and digits say something.
    fn find(&self, complaint: &Complaint) -> (Vec<Found>, usize) {
        let mut head = text::sentences(complaint.subject.as_deref().unwrap_or_default());
        head.push(text::BREAK);
        head.push_str(&text::sentences(complaint.request.as_deref().unwrap_or_default()));
        let mut body = text::sentences(&complaint.body);
        if head.trim().is_empty() {
            let cut = body.char_indices().nth(LEAD).map_or(body.len(), |(position, _)| position);
            let rest = body.split_off(cut);
            head = std::mem::replace(&mut body, rest);
        }
        let mut found = Vec::new();
        find::find(&self.rules, &head, Part::Head, &mut found);
        find::find(&self.rules, &body, Part::Body, &mut found);
        let place = text::sentences(complaint.place.as_deref().unwrap_or_default());
        find::find(&self.rules, &place, Part::Place, &mut found);
        let letters = |text: &str| text.chars().filter(|character| *character != text::BREAK).count();
        let filler: usize = [(Part::Head, &head), (Part::Body, &body)]
            .into_iter()
            .map(|(part, text)| {
                let mut reached = 0;
                let courtesy = found.iter().filter(|one| one.role == Role::Filler && one.part == part);
                courtesy
                    .map(|one| {
                        let start = one.start.max(reached);
                        reached = reached.max(one.end);
                        text.get(start..one.end).map_or(0, letters)
                    })
                    .sum::<usize>()
            })
            .sum();
        (found, (letters(&head) + letters(&body)).saturating_sub(filler))
    }
}

/// Brings the texts into the form for readers and says in words what a reader must know.
fn tidy(complaint: &mut Complaint, received_at: Timestamp) -> Vec<String> {
    let mut remarks: Vec<String> = complaint.remarks.iter().map(remark).collect();
    let mut cut = false;
    let mut shown = |value: &str| {
        let display = text::display(value);
        cut |= display.cut;
        display.text
    };
    let body = shown(&complaint.body);
    complaint.body = body;
    for field in [
        &mut complaint.subject,
        &mut complaint.request,
        &mut complaint.occurred,
        &mut complaint.place,
        &mut complaint.parties,
        &mut complaint.label,
    ] {
        *field = field.take().map(|value| shown(&value)).filter(|value| !value.is_empty());
    }
    if let Some(subject) = &mut complaint.subject
        && subject.contains('\n')
    {
        *subject = subject.replace('\n', " ");
    }
    if cut {
        remarks.push(format!("文字过长，此处只保留前{}字，全文见来件。", text::TEXT_LIMIT));
    }
    if complaint.made_at.is_some_and(|made| made.at.duration_since(received_at) > CLOCK_TOLERANCE) {
        remarks.push("来源所给的时间晚于收到时间，以收到时间为准。".to_owned());
    }
    remarks
}

/// A remark in words, as people read it.
pub fn remark(remark: &Remark) -> String {
    match remark {
        Remark::Oversize { size: Some(size), limit } => {
            format!("原件共{size}字节，超过{limit}字节的上限，只收下了开头部分。")
        }
        Remark::Oversize { size: None, limit } => format!("原件超过{limit}字节的上限，只收下了开头部分。"),
        Remark::Bounded { what } => format!("解析到了限度，有内容未展示：{what}"),
        Remark::Clock { what } => format!("来源的时间有误，以收到时间为准：{what}"),
        Remark::Withdrawn => "来源已不再显示此件：本人撤回或被网站删除。".to_owned(),
        Remark::Mended { what } => format!("读取时作了修复：{what}"),
        Remark::Doubtful { what } => format!("有疑问，请核实：{what}"),
        Remark::Wish { what } => format!("{what}。"),
    }
}

fn keys(complaint: &Complaint) -> MatchKeys {
    let petitioner = &complaint.petitioner;
    let mut phones: Vec<String> =
        petitioner.phones.iter().take(KNOWN_LIMIT).filter_map(|phone| canonical_phone(phone)).collect();
    let mut emails: Vec<String> =
        petitioner.emails.iter().take(KNOWN_LIMIT).filter_map(|email| canonical_email(email)).collect();
    let mut seen = std::collections::HashSet::new();
    phones.retain(|phone| seen.insert(phone.clone()));
    emails.retain(|email| seen.insert(email.clone()));
    MatchKeys {
        content: text::fingerprint(complaint.subject.as_deref(), &complaint.body),
        ticket: complaint.subject.as_deref().and_then(TicketNumber::find_token).map(String::from),
        answers: complaint.thread.answers.iter().take(ANSWERS_LIMIT).cloned().collect(),
        phones,
        emails,
    }
}

/// The complaint as handlers see it.
fn show(complaint: &Complaint, remarks: &[String]) -> ShownComplaint {
    let mut masked = 0;
    let mut hide = |text: &str| {
        let hidden = mask(text, &complaint.petitioner);
        masked += hidden.count;
        hidden.text
    };
    let body = hide(&complaint.body);
    let mut hide_field = |field: &Option<String>| field.as_deref().map(&mut hide);
    let subject = hide_field(&complaint.subject);
    let request = hide_field(&complaint.request);
    let occurred = hide_field(&complaint.occurred);
    let place = hide_field(&complaint.place);
    let parties = hide_field(&complaint.parties);
    let remarks = remarks.iter().map(|remark| hide(remark)).collect();
    let attachments = complaint
        .attachments
        .iter()
        .map(|attachment| {
            let mut attachment = attachment.clone();
            attachment.name = attachment.name.as_deref().map(&mut hide);
            attachment
        })
        .collect();
    ShownComplaint {
        subject,
        body,
        request,
        occurred,
        place,
        parties,
        made_at: complaint.made_at,
        attachments,
        remarks,
        masked,
        suggested: super::Suggestion::default(),
    }
}
