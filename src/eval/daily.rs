//! What daily work says of the gateway's judgement: wherever a person decided about an entry after the gateway had, the
//! two are laid beside each other. People look mostly at what was held or complained about, so these figures are no
//! random sample: they tell which rules are overruled, not how often the gateway errs over all.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Rate,
    scope::{Confusion, confusion},
};
use crate::{assess::Disposition, store::rulings::Ruling};

/// How often people left standing what one rule had come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfRule {
    /// The rule.
    pub rule: String,
    /// Left standing, of those looked at. What was held is left standing by nobody: a person must decide.
    pub confirmed: Rate,
    /// What people made of it, by disposition.
    pub became: BTreeMap<String, usize>,
}

/// The figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Daily {
    /// The gateway's own decisions in the period, by disposition.
    pub decided: BTreeMap<String, u64>,
    /// Entries about which a person decided after it.
    pub looked_at: usize,
    /// Guided or declined by the gateway, looked at, and left standing on the same article.
    pub turned_away_confirmed: Rate,
    /// Accepted by the gateway, looked at, and left standing.
    pub accepted_confirmed: Rate,
    /// Held by the gateway and then accepted.
    pub held_accepted: Rate,
    /// Rows are people's decisions, columns the gateway's.
    pub outcomes: Confusion,
    /// Rule by rule, the one most often overruled first.
    pub rules: Vec<OfRule>,
}

/// Counts.
pub fn figures(decided: &[(Disposition, u64)], rulings: &[Ruling]) -> Daily {
    let stands = |ruling: &Ruling| {
        let turned = matches!(ruling.person, Disposition::Guide | Disposition::Decline);
        ruling.person == ruling.gateway && (!turned || ruling.person_article == ruling.gateway_article)
    };
    let rate = |within: &dyn Fn(&Ruling) -> bool, hit: &dyn Fn(&Ruling) -> bool| {
        let within: Vec<&Ruling> = rulings.iter().filter(|ruling| within(ruling)).collect();
        Rate::new(within.iter().filter(|ruling| hit(ruling)).count(), within.len())
    };
    let mut by_rule: BTreeMap<&str, Vec<&Ruling>> = BTreeMap::new();
    for ruling in rulings {
        by_rule.entry(&ruling.rule).or_default().push(ruling);
    }
    let mut rules: Vec<OfRule> = by_rule
        .into_iter()
        .map(|(rule, rulings)| {
            let mut became = BTreeMap::new();
            for ruling in &rulings {
                *became.entry(ruling.person.as_str().to_owned()).or_default() += 1;
            }
            let confirmed = rulings.iter().filter(|ruling| stands(ruling)).count();
            OfRule { rule: rule.to_owned(), confirmed: Rate::new(confirmed, rulings.len()), became }
        })
        .collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.confirmed.of - rule.confirmed.hits));
    let pairs: Vec<(Disposition, Disposition)> = rulings.iter().map(|ruling| (ruling.person, ruling.gateway)).collect();
    let name = |disposition: &Disposition| disposition.as_str().to_owned();
    Daily {
        decided: decided.iter().map(|(disposition, count)| (disposition.as_str().to_owned(), *count)).collect(),
        looked_at: rulings.len(),
        turned_away_confirmed: rate(
            &|ruling| matches!(ruling.gateway, Disposition::Guide | Disposition::Decline),
            &stands,
        ),
        accepted_confirmed: rate(&|ruling| ruling.gateway == Disposition::Accept, &stands),
        held_accepted: rate(&|ruling| ruling.gateway == Disposition::Hold, &|ruling| {
            ruling.person == Disposition::Accept
        }),
        outcomes: confusion(&pairs, &Disposition::ALL, &Disposition::ALL, name),
        rules,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EntryId;

    #[test]
    fn what_people_leave_standing_is_counted_rule_by_rule() {
        use Disposition::{Accept, Decline, Guide, Hold};
        let ruling = |person, person_article: &str, gateway, gateway_article: &str, rule: &str| Ruling {
            entry: EntryId(1),
            person,
            person_article: person_article.to_owned(),
            gateway,
            gateway_article: gateway_article.to_owned(),
            rule: rule.to_owned(),
        };
        let daily = figures(
            &[(Accept, 10), (Hold, 2)],
            &[
                ruling(Guide, "7(1)", Guide, "7(1)", "court.judgement"),
                ruling(Guide, "7(2)", Guide, "7(1)", "court.judgement"),
                ruling(Accept, "6(2)", Decline, "8(1)", "place.elsewhere"),
                ruling(Accept, "6(2)", Hold, "13(4)", "thin"),
                ruling(Guide, "7(3)", Hold, "7(3)", "model.danger"),
                ruling(Accept, "6(1)", Accept, "6(2)", "accept.6_2"),
            ],
        );
        assert_eq!((daily.looked_at, daily.decided["accept"]), (6, 10));
        assert_eq!((daily.turned_away_confirmed.hits, daily.turned_away_confirmed.of), (1, 3));
        assert_eq!((daily.accepted_confirmed.hits, daily.accepted_confirmed.of), (1, 1));
        assert_eq!((daily.held_accepted.hits, daily.held_accepted.of), (1, 2));
        let court = daily.rules.iter().find(|rule| rule.rule == "court.judgement").unwrap();
        assert_eq!((court.confirmed.hits, court.confirmed.of, court.became["guide"]), (1, 2, 2));
        assert_eq!(daily.outcomes.rows[0], ("accept".to_owned(), vec![1, 0, 1, 1]));
    }
}
