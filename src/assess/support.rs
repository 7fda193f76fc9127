//! What the trained model adds to the rules: it may see danger or a failed supply where they see none, and doubt
//! what they see.
//!
//! It never turns anybody away and never guides alone: immediate guidance (Article 7(3)) needs a rule. Where the model
//! alone sees danger, the complaint is held with urgency `emergency`, which alarms the duty desk at once; where it alone
//! sees a failed supply, the complaint is flagged for both addressees (Article 19). Where a rule sees danger and the model
//! nothing urgent at all, the complaint is held, with the alarm, instead of guided; where a rule sees a failed supply and
//! the model nothing, it is accepted without the flag. Its reading is shown with its version
//! and the pieces of words that weighed most, so that a clerk can see why.

use connectors::complaint::Complaint;

use super::{
    Article, Disposition, Grounds, Signal, Urgency,
    model::{self, Reading},
    rules::{RuleSet, Support},
    screen::Screened,
};

/// Less than this is not worth showing.
const SHOWN: u8 = 30;

/// What the model sees in a complaint.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    signal: Signal,
    /// Nothing urgent.
    pub(super) calm: bool,
    /// Danger or a failed supply, sure enough to act on.
    pub(super) urgent: bool,
}

impl Sight {
    /// What is shown of it: nothing where it saw nothing.
    pub(super) fn shown(self) -> Option<Signal> {
        Some(self.signal).filter(|signal| signal.score >= SHOWN)
    }
}

/// Reads a complaint with the model, where the rules have one.
pub(super) fn look(rules: &RuleSet, complaint: &Complaint) -> Option<Sight> {
    let support = rules.support.as_ref()?;
    let head = [complaint.subject.as_deref(), complaint.request.as_deref()].into_iter().flatten();
    // Whoever is in danger says so at once; what comes late in a long text is a story. Signs and blanks don't count, so
    // more is cut out here than is read.
    let body = complaint.body.as_str();
    let reach = body.char_indices().nth(support.longest * 4).map_or(body.len(), |(end, _)| end);
    let form = model::form(head.chain([&body[..reach]]));
    let end = form.char_indices().nth(support.longest).map_or(form.len(), |(end, _)| end);
    let Reading { shares, words, .. } = support.model.read(&form[..end]);
    let share = |urgency: Urgency| {
        let class = support.model.classes().iter().position(|class| class == urgency.as_str());
        class.and_then(|class| shares.get(class).copied()).unwrap_or(0)
    };
    let urgency =
        if share(Urgency::Emergency) >= share(Urgency::Utility) { Urgency::Emergency } else { Urgency::Utility };
    let score = 100_u8.saturating_sub(share(Urgency::Normal));
    let signal = Signal { model: support.model.version().to_owned(), urgency, score, words };
    let enough = if urgency == Urgency::Emergency { support.danger } else { support.supply };
    Some(Sight { signal, calm: score < support.calm, urgent: score >= enough })
}

/// What screening comes to with the model beside it.
pub(super) fn support(rules: &RuleSet, screened: Screened, sight: Option<&Sight>) -> Screened {
    let (Some(support), Some(Sight { signal, calm, urgent })) = (&rules.support, sight) else { return screened };
    if *calm && screened.urgency == Urgency::Utility {
        // A word of failed supplies in a text about something else: 公厕没水冲. It is accepted all the same.
        let mut grounds = screened.grounds;
        grounds.against.push("模型看不出断供".to_owned());
        return Screened { urgency: Urgency::Normal, grounds, ..screened };
    }
    match signal.urgency {
        _ if !urgent => screened,
        Urgency::Emergency => danger(support, screened, signal),
        _ => supply(screened, signal),
    }
}

fn danger(support: &Support, screened: Screened, signal: &Signal) -> Screened {
    let urgency = Urgency::Emergency;
    // A supply that has failed gets its ticket at once, and the alarm says the rest.
    let failed = screened.disposition == Disposition::Accept && screened.urgency == Urgency::Utility;
    if screened.urgency == urgency || failed {
        return Screened { urgency, ..screened };
    }
    let mut against = screened.grounds.against;
    if screened.disposition != Disposition::Accept {
        against.insert(0, format!("{}：规则 {}", screened.grounds.article.chinese(), screened.grounds.rule));
    }
    let grounds = Grounds {
        rule: "model.danger".to_owned(),
        rules_version: screened.grounds.rules_version,
        article: Article::clause(7, 3),
        evidence: told(signal, "险情"),
        against,
        score: signal.score.min(59),
        advice: Some(support.advice.clone()),
    };
    Screened { disposition: Disposition::Hold, grounds, urgency }
}

fn supply(screened: Screened, signal: &Signal) -> Screened {
    let turned = matches!(screened.disposition, Disposition::Guide | Disposition::Decline);
    if screened.urgency != Urgency::Normal || turned {
        return screened;
    }
    let mut grounds = screened.grounds;
    if screened.disposition == Disposition::Accept {
        "model.supply".clone_into(&mut grounds.rule);
        grounds.article = Article::clause(6, 2);
        grounds.evidence = told(signal, "水电气暖");
    }
    Screened { disposition: screened.disposition, grounds, urgency: Urgency::Utility }
}

/// The reading as evidence.
fn told(signal: &Signal, what: &str) -> Vec<String> {
    let mut evidence = vec![format!("模型 {} 认为是{what}：{} 分", signal.model, signal.score)];
    evidence.extend(signal.words.iter().cloned());
    evidence
}
