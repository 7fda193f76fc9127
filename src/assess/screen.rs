//! Screening: whether a complaint is accepted (Article 6), guided elsewhere (Article 7) or declined (Article 8).
//!
//! A mistake here turns a citizen away, so the machine decides alone only where something that is clearly asked for
//! meets a rule and nothing speaks against it. Mere mention of a court or of another city decides nothing; what is
//! doubtful is held for a person, and the words on both sides are shown.

use connectors::complaint::{Channel, Machine, Nameless};

use super::{
    Article, Disposition, Grounds, Urgency,
    find::{Found, Part},
    rules::{ElementField, PlaceCondition, Role, Rule, RuleSet},
};

/// Most pieces of evidence shown on each side.
const EVIDENCE_LIMIT: usize = 8;

/// So many of the elements of Article 13(4) missing make a short text vague.
const VAGUE: usize = 3;

/// What screening comes to.
pub(super) struct Screened {
    pub(super) disposition: Disposition,
    pub(super) grounds: Grounds,
    pub(super) urgency: Urgency,
}

/// What screening must know besides the phrases.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one text")]
pub(super) struct Circumstances {
    pub(super) channel: Channel,
    /// Letters and digits in the whole text that are not mere courtesy.
    pub(super) meaningful: usize,
    /// It names one of our tickets: a follow-up may be as short as it likes.
    pub(super) follow_up: bool,
    /// It asks a question or makes a suggestion, which needs neither time nor parties.
    pub(super) asks: bool,
    /// The fields of a form that are filled in.
    pub(super) fields: Vec<ElementField>,
    /// The trained model sees nothing urgent in it.
    pub(super) calm: bool,
    /// The trained model sees danger or a failed supply: such a thing is never too vague to look at.
    pub(super) urgent: bool,
    /// It was made so long ago that nothing in it is happening now.
    pub(super) old: bool,
}

/// What speaks for and against one rule.
#[derive(Default)]
struct Tally {
    head: bool,
    /// Different phrases in the body that ask for it; two are as good as one in the head.
    body: Vec<u32>,
    hinted: bool,
    mentioned: bool,
    /// Features found that the rule needs, one bit each.
    needs: u32,
    /// Where it is shown to be another matter: in the head, or only in the body, which is final only where the head
    /// doesn't ask for it.
    other: Option<Part>,
    place: Option<Place>,
    evidence: Vec<String>,
    against: Vec<String>,
}

/// Where the matter lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Elsewhere,
    Doubtful,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    Clear,
    Doubtful,
}

impl Tally {
    fn strength(&self, rule: &Rule, circumstances: &Circumstances) -> Option<Strength> {
        let channel = circumstances.channel;
        let excluded = self.other == Some(Part::Head)
            || (self.other.is_some() && !self.head)
            || (rule.needs_mention && !self.mentioned)
            || self.needs & rule.needs != rule.needs
            || (circumstances.meaningful > rule.longest && !self.head);
        if excluded || !(rule.channels.is_empty() || rule.channels.contains(&channel)) {
            return None;
        }
        let asked = self.head || self.body.len() >= 2;
        let clear = match rule.place {
            Some(PlaceCondition::Elsewhere) => self.place? == Place::Elsewhere,
            None => asked,
        };
        if rule.place.is_none() && !asked && self.body.is_empty() && !self.hinted {
            return None;
        }
        let contradicted = self.other.is_some() || !self.against.is_empty();
        // An emergency that only the body mentions, among words that speak of the past or of fears, is none.
        // Nor is one of which a long text tells that it is over, whatever its title says.
        let long = circumstances.meaningful > rule.longest;
        if contradicted && (!self.head || long) && rule.urgency == Some(Urgency::Emergency) {
            return None;
        }
        Some(if clear && !contradicted { Strength::Clear } else { Strength::Doubtful })
    }

    /// How sure it is that the rule applies, 0 to 100.
    fn score(&self, rule: &Rule, strength: Strength) -> u8 {
        let asked = match (rule.place, self.place) {
            (Some(_), Some(Place::Elsewhere)) => 60,
            _ if self.head => 60,
            _ if self.body.len() >= 2 => 60,
            _ => 30,
        };
        let more = 10 * self.evidence.len().saturating_sub(1);
        let contrary = 20 * self.against.len();
        let score = (asked + more).min(100).saturating_sub(contrary);
        // What is doubtful never looks as sure as what was acted on.
        let score = if strength == Strength::Clear { score.max(60) } else { score.min(59) };
        u8::try_from(score).unwrap_or(100)
    }

    /// How soon, by this rule: what the body mentions once in passing is not urgent.
    fn urgency(&self, rule: &Rule, strength: Strength) -> Option<Urgency> {
        let told = self.head || strength == Strength::Clear || rule.urgency == Some(Urgency::Emergency);
        rule.urgency.filter(|_| told)
    }
}

/// What no citizen wrote makes no ticket and gets no answer.
pub(super) fn machine(rules: &RuleSet, machine: Machine, evidence: &str) -> Screened {
    let (rule, advice) = match machine {
        Machine::Bounce => ("machine.bounce", "退信通知，不是群众诉求，不生成工单，也不回复。"),
        Machine::AutoReply => ("machine.auto_reply", "自动回复邮件，不是群众诉求，不生成工单，也不回复。"),
        Machine::List => ("machine.list", "邮件列表或群发邮件，不是群众诉求，不生成工单，也不回复。"),
        Machine::Own => ("machine.own", "本平台自己发出的邮件，不生成工单，也不回复。"),
    };
    let grounds = Grounds {
        rule: rule.to_owned(),
        rules_version: rules.version.clone(),
        article: Article::new(6),
        evidence: vec![evidence.to_owned()],
        against: Vec::new(),
        advice: Some(advice.to_owned()),
        score: 100,
    };
    Screened { disposition: Disposition::Decline, grounds, urgency: Urgency::Normal }
}

/// What the channel's own rule says of an item that names nobody. It speaks last, and only where the item would be accepted:
/// what is guided or held anyway stays so, and an emergency is nobody's formality.
pub(super) fn nameless(rules: &RuleSet, screened: Screened, nameless: Option<&Nameless>) -> Screened {
    let (Some(nameless), Disposition::Accept) = (nameless, screened.disposition) else { return screened };
    if screened.urgency == Urgency::Emergency {
        return screened;
    }
    let (disposition, advice) = match nameless {
        Nameless::Hold => (Disposition::Hold, "匿名来件：本渠道要求实名，请人工核实后决定。".to_owned()),
        Nameless::Decline(rule) => (
            Disposition::Decline,
            format!("依据{rule}，本渠道不受理匿名投诉；请补充姓名或单位名称和联系方式后重新提交。"),
        ),
    };
    let grounds = Grounds {
        rule: "anonymous".to_owned(),
        rules_version: rules.version.clone(),
        article: Article::clause(13, 4),
        evidence: vec!["未提供姓名、单位和联系方式".to_owned()],
        against: Vec::new(),
        advice: Some(advice),
        score: if disposition == Disposition::Hold { 50 } else { 100 },
    };
    Screened { disposition, grounds, urgency: screened.urgency }
}

/// Screens a complaint by what was found in it.
pub(super) fn screen(rules: &RuleSet, found: &[Found], circumstances: &Circumstances) -> Screened {
    let tallies = tally(rules, found);
    let administrative: Vec<String> =
        spelled(rules, found, |one| one.part == Part::Head && one.role == Role::Administrative);
    let mut applying: Vec<(&Rule, &Tally, Strength)> = rules
        .rules
        .iter()
        .zip(&tallies)
        .filter_map(|(rule, tally)| Some((rule, tally, tally.strength(rule, circumstances)?)))
        .collect();
    let urgency = applying
        .iter()
        .filter_map(|(rule, tally, strength)| tally.urgency(rule, *strength))
        .max()
        .unwrap_or(Urgency::Normal);
    let decide = |disposition, (rule, tally, strength): &(&Rule, &Tally, Strength), more: &[String]| {
        let (advice, score) = (rule.advice.clone(), tally.score(rule, *strength));
        let score = if disposition == Disposition::Hold { score.min(59) } else { score };
        let mut against = tally.against.clone();
        against.extend(more.iter().take(EVIDENCE_LIMIT).cloned());
        let grounds = Grounds {
            rule: rule.id.clone(),
            rules_version: rules.version.clone(),
            article: rule.article,
            evidence: tally.evidence.clone(),
            against,
            advice,
            score,
        };
        Screened { disposition, grounds, urgency }
    };

    // Danger now comes before everything, even before how little was said.
    let emergency = applying.iter().filter(|(rule, ..)| rule.urgency == Some(Urgency::Emergency));
    if let Some(first) = emergency.max_by_key(|(rule, tally, strength)| tally.score(rule, *strength)) {
        let clear = first.2 == Strength::Clear && !circumstances.old && !circumstances.calm;
        // Where it is doubtful and a supply has failed, the failure gets its ticket, and the urgency says the rest.
        let supply = applying.iter().any(|(rule, ..)| rule.outcome == Disposition::Accept && rule.urgency.is_some());
        let disposition = if clear { first.0.outcome } else { Disposition::Hold };
        let doubts = [(circumstances.old, "来件时间已过一天以上"), (circumstances.calm, "模型看不出险情")];
        let more: Vec<String> =
            doubts.into_iter().filter(|(there, _)| *there).map(|(_, doubt)| doubt.to_owned()).collect();
        if clear || !supply {
            return decide(disposition, first, &more);
        }
        applying.retain(|(rule, ..)| rule.urgency != Some(Urgency::Emergency));
    }
    let asked = rules.thin.least.max(rules.thin.vague).max(rules.thin.ask);
    // A long text is not looked through for what it leaves out.
    let missing = if circumstances.meaningful < asked { missing(rules, found, circumstances) } else { Vec::new() };
    if circumstances.meaningful < rules.thin.least && !circumstances.follow_up {
        return thin(rules, "thin", rules.thin.article, &missing, urgency);
    }
    applying.retain(|(rule, ..)| rule.outcome != Disposition::Accept);
    // Too vague to be handled, and nothing else to say about it (Articles 8(2) and 13(4)).
    let urgent = urgency != Urgency::Normal || circumstances.urgent;
    // Where it is told what it is about, somebody can ask; only what names nothing at all is vague.
    let about = found.iter().any(|one| matches!(one.role, Role::Subject(..) | Role::Clause(_)));
    let vague = circumstances.meaningful < rules.thin.vague && missing.len() >= VAGUE && !urgent && !about;
    if vague && applying.is_empty() && !circumstances.follow_up && !circumstances.asks {
        return thin(rules, "vague", rules.thin.vague_article, &missing, urgency);
    }
    if circumstances.follow_up || applying.is_empty() {
        // Whoever is clear about the matter is served at once, and asked for what the handling unit will need.
        let ask = circumstances.meaningful < rules.thin.ask && !circumstances.follow_up && !circumstances.asks;
        let missing = if ask { missing } else { Vec::new() };
        return accept(rules, found, &tallies, circumstances, (urgency, &missing));
    }
    // A matter elsewhere is elsewhere whatever else it is about.
    if let Some(elsewhere) =
        applying.iter().find(|(rule, _, strength)| rule.place.is_some() && *strength == Strength::Clear)
    {
        return decide(elsewhere.0.outcome, elsewhere, &[]);
    }
    let mut clear: Vec<&(&Rule, &Tally, Strength)> =
        applying.iter().filter(|(.., strength)| *strength == Strength::Clear).collect();
    clear.sort_by_key(|(rule, tally, strength)| std::cmp::Reverse(tally.score(rule, *strength)));
    let Some((first, others)) = clear.split_first() else {
        let surest = applying.iter().max_by_key(|(rule, tally, strength)| tally.score(rule, *strength));
        return decide(Disposition::Hold, surest.unwrap_or(&applying[0]), &administrative);
    };
    let mut against: Vec<String> = administrative;
    against.extend(
        others
            .iter()
            .filter(|(other, ..)| other.article != first.0.article)
            .flat_map(|(_, other, _)| other.evidence.clone()),
    );
    // A doubtful place outweighs another clear ground: the notice would name the wrong office.
    against.extend(
        applying.iter().filter(|(other, ..)| other.place.is_some()).flat_map(|(_, other, _)| other.evidence.clone()),
    );
    let disposition = if against.is_empty() { first.0.outcome } else { Disposition::Hold };
    decide(disposition, first, &against)
}

/// What a complaint must tell and this one does not (Article 13(4)).
fn missing(rules: &RuleSet, found: &[Found], circumstances: &Circumstances) -> Vec<String> {
    let told = |number: usize| {
        let element = &rules.thin.elements[number];
        let of = |role: Role| match role {
            Role::Element(of) | Role::NoElement(of) => usize::from(of) == number,
            _ => false,
        };
        let nothing = |one: &Found| {
            found.iter().any(|other| {
                let around = other.part == one.part && other.start <= one.start && other.end >= one.end;
                matches!(other.role, Role::NoElement(_)) && of(other.role) && around
            })
        };
        let by_words = found.iter().any(|one| matches!(one.role, Role::Element(_)) && of(one.role) && !nothing(one));
        by_words
            || element.field.is_some_and(|field| circumstances.fields.contains(&field))
            || (element.least > 0 && circumstances.meaningful >= element.least)
    };
    let elements = rules.thin.elements.iter().enumerate();
    elements.filter(|(number, _)| !told(*number)).map(|(_, element)| element.ask.clone()).collect()
}

/// Held until what is missing is told; the petitioner is asked for it.
fn thin(rules: &RuleSet, rule: &str, article: Article, missing: &[String], urgency: Urgency) -> Screened {
    let advice = if missing.is_empty() {
        rules.thin.advice.clone()
    } else {
        format!("{}请补充：{}。", rules.thin.advice, missing.join("、"))
    };
    let grounds = Grounds {
        rule: rule.to_owned(),
        rules_version: rules.version.clone(),
        article,
        evidence: Vec::new(),
        against: Vec::new(),
        advice: Some(advice),
        score: 50,
    };
    Screened { disposition: Disposition::Hold, grounds, urgency }
}

/// Nothing speaks against accepting. The grounds name the rule of acceptance that applies, or the clause that fits.
fn accept(
    rules: &RuleSet,
    found: &[Found],
    tallies: &[Tally],
    circumstances: &Circumstances,
    (urgency, missing): (Urgency, &[String]),
) -> Screened {
    let applies = rules
        .rules
        .iter()
        .zip(tallies)
        .find(|(rule, tally)| rule.outcome == Disposition::Accept && tally.strength(rule, circumstances).is_some());
    let ask = (!missing.is_empty()).then(|| format!("为便于办理，请补充：{}。", missing.join("、")));
    let against = mentioned(rules, tallies);
    let score = u8::try_from(100 - 10 * against.len().min(5)).unwrap_or(100);
    let grounds = |rule: String, article, evidence, advice| Grounds {
        rule,
        rules_version: rules.version.clone(),
        article,
        evidence,
        against,
        advice,
        score,
    };
    let grounds = if let Some((rule, tally)) = applies {
        grounds(rule.id.clone(), rule.article, tally.evidence.clone(), rule.advice.clone().or(ask))
    } else {
        let weight = |clause: u8| -> usize {
            let of_clause = found.iter().filter(|one| one.role == Role::Clause(clause));
            of_clause.map(|one| if one.part == Part::Head { 3 } else { 1 }).sum()
        };
        // The last of equals is taken: the narrower clause.
        let fitting =
            [2, 1, 4, 3].into_iter().filter(|clause| weight(*clause) > 0).max_by_key(|clause| weight(*clause));
        let clause = fitting.unwrap_or(2);
        let evidence = spelled(rules, found, |one| one.role == Role::Clause(clause));
        grounds(format!("accept.6_{clause}"), Article::clause(6, clause), evidence, ask)
    };
    Screened { disposition: Disposition::Accept, grounds, urgency }
}

/// What was found for rules that would turn the petitioner away, and did not suffice: mentioned, not asked for.
fn mentioned(rules: &RuleSet, tallies: &[Tally]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (_, tally) in rules.rules.iter().zip(tallies).filter(|(rule, _)| rule.outcome != Disposition::Accept) {
        for word in &tally.evidence {
            if words.len() < EVIDENCE_LIMIT && !words.contains(word) {
                words.push(word.clone());
            }
        }
    }
    words
}

fn tally(rules: &RuleSet, found: &[Found]) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = Vec::new();
    tallies.resize_with(rules.rules.len(), Tally::default);
    for one in found {
        let (Role::Ask(rule)
        | Role::Hint(rule)
        | Role::Mention(rule)
        | Role::Need(rule, _)
        | Role::Against(rule)
        | Role::Unless(rule)) = one.role
        else {
            continue;
        };
        // Where a rule goes by the place, only the head can speak against it: bodies name many circumstances.
        let about_place = rules.rules[usize::from(rule)].place.is_some();
        if about_place && one.part != Part::Head {
            continue;
        }
        let tally = &mut tallies[usize::from(rule)];
        let mut against = one.turned;
        if !one.turned {
            match one.role {
                Role::Ask(_) if one.part == Part::Head => tally.head = true,
                Role::Ask(_) if !tally.body.contains(&one.phrase) => tally.body.push(one.phrase),
                Role::Hint(_) => tally.hinted = true,
                Role::Mention(_) => tally.mentioned = true,
                Role::Need(_, bit) => tally.needs |= 1 << bit,
                Role::Unless(_) => {
                    against = true;
                    tally.other =
                        if one.part == Part::Head { Some(Part::Head) } else { tally.other.or(Some(one.part)) };
                }
                Role::Against(_) => against = true,
                _ => {}
            }
        }
        let side = if against { &mut tally.against } else { &mut tally.evidence };
        if side.len() < EVIDENCE_LIMIT {
            let words = one.words.spell(rules);
            if !side.contains(&words) {
                side.push(words);
            }
        }
    }
    place(rules, found, &mut tallies);
    tallies
}

/// Where the matter lies: the field for it says so, or the title does. Names that are part of another name, and places
/// one comes from or goes to, don't count.
fn place(rules: &RuleSet, found: &[Found], tallies: &mut [Tally]) {
    if !rules.rules.iter().any(|rule| rule.place.is_some()) {
        return;
    }
    let places = outermost(found);
    let count = |role: Role, part: Part| {
        let of_role = |one: &&&Found| one.role == role || (role == Role::Elsewhere && one.role == Role::ElsewhereWeak);
        places.iter().filter(of_role).filter(|one| one.part == part && (role == Role::Home || !one.turned)).count()
    };
    let home = count(Role::Home, Part::Head) + count(Role::Home, Part::Body) + count(Role::Home, Part::Place);
    let (place, head) = (count(Role::Elsewhere, Part::Place), count(Role::Elsewhere, Part::Head));
    let body = count(Role::Elsewhere, Part::Body);
    // A name without 市, 区 or 县 is part of many other names: alone it is no proof.
    let proven = place > 0
        || body > 0
        || head > 1
        || places.iter().any(|one| one.role == Role::Elsewhere && !one.turned && one.full);
    let verdict = if count(Role::Home, Part::Place) > 0 {
        None
    } else if place + head > 0 {
        let apart = home == 0;
        let clear = if apart && proven { Place::Elsewhere } else { Place::Doubtful };
        (apart || count(Role::Home, Part::Head) == 0).then_some(clear)
    } else {
        (home == 0 && body >= 2).then_some(Place::Doubtful)
    };
    let Some(verdict) = verdict else { return };
    for (rule, tally) in rules.rules.iter().zip(tallies) {
        if rule.place.is_none() {
            continue;
        }
        tally.place = Some(verdict);
        for (role, side) in [(Role::Elsewhere, &mut tally.evidence), (Role::Home, &mut tally.against)] {
            let of_role = |one: &&&Found| match role {
                Role::Home => one.role == Role::Home,
                _ => matches!(one.role, Role::Elsewhere | Role::ElsewhereWeak) && !one.turned,
            };
            for one in places.iter().filter(of_role) {
                let words = one.words.spell(rules);
                if side.len() < EVIDENCE_LIMIT && !side.contains(&words) {
                    side.push(words);
                }
            }
        }
    }
}

/// Places that lie in no longer or earlier name of a place: 上海城市 names 上海, not 海城市.
fn outermost(found: &[Found]) -> Vec<&Found> {
    let mut places: Vec<&Found> =
        found.iter().filter(|one| matches!(one.role, Role::Home | Role::Elsewhere | Role::ElsewhereWeak)).collect();
    places.sort_by_key(|one| (one.part as u8, one.start, std::cmp::Reverse(one.end)));
    let mut reached = (0, 0);
    places.retain(|one| {
        let part = one.part as u8;
        let inside = reached.0 == part && one.start < reached.1;
        if !inside {
            reached = (part, one.end);
        }
        !inside
    });
    places
}

fn spelled(rules: &RuleSet, found: &[Found], wanted: impl Fn(&Found) -> bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for one in found.iter().filter(|one| wanted(one)) {
        let text = one.words.spell(rules);
        if words.len() < EVIDENCE_LIMIT && !words.contains(&text) {
            words.push(text);
        }
    }
    words
}
