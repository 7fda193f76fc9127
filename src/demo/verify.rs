//! Compares where entries ended with where they must end.

use std::collections::{BTreeMap, BTreeSet};

use super::corpus::Expected;
use crate::{
    assess::{Article, Kind, Urgency},
    issue::Relation,
    number::TicketNumber,
    store::read::Place,
};

/// Where one entry ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which of the expected items it is; `None` for an entry that nobody sent.
    pub item: Option<usize>,
    /// Where it ended.
    pub place: Place,
    /// Its ticket.
    pub ticket: Option<TicketNumber>,
    /// How it stands to it.
    pub relation: Option<Relation>,
    /// Kind of request.
    pub kind: Option<Kind>,
    /// Urgency.
    pub urgency: Option<Urgency>,
    /// The article it was decided on.
    pub article: Option<Article>,
}

/// What one entry alone has wrong, in Chinese; empty where nothing is.
pub fn alone(expected: &Expected, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    if seen.place != expected.place {
        wrong.push(format!("应为 {}，实为 {}", expected.place.as_str(), seen.place.as_str()));
        return wrong;
    }
    if let Some(kind) = expected.kind
        && seen.kind != Some(kind)
    {
        wrong.push(format!("类别应为 {}", kind.chinese()));
    }
    if let Some(urgency) = expected.urgency
        && seen.urgency != Some(urgency)
    {
        wrong.push(format!("紧急程度应为 {}", urgency.as_str()));
    }
    if let Some(article) = expected.article
        && seen.article != Some(article)
    {
        wrong.push(format!("依据应为 {}", article.chinese()));
    }
    if expected.matter.is_none()
        && let Some(relation) = expected.relation
        && seen.relation != Some(relation)
    {
        wrong.push(format!("与工单的关系应为 {}", relation.as_str()));
    }
    wrong
}

/// The items of one matter: how they should stand to its ticket, how they do, and which tickets they are in.
#[derive(Default)]
struct Matter {
    due: Vec<Relation>,
    found: Vec<Relation>,
    tickets: BTreeSet<TicketNumber>,
}

/// Everything that is not as expected; empty where the demonstration did what it should. Items of one matter come over
/// several channels at once, so any of them may open the ticket, but only one, and the others join in the relations
/// that are expected.
pub fn all(expected: &[Expected], seen: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_item: BTreeMap<usize, &Seen> = BTreeMap::new();
    for entry in seen {
        match entry.item {
            None => wrong.push("有一件来件不在演示之列 / an entry that nobody sent".to_owned()),
            Some(item) if by_item.insert(item, entry).is_some() => {
                wrong.push(format!("{}：收了两次 / taken twice", name(expected, item)));
            }
            Some(_) => {}
        }
    }
    let mut matters: BTreeMap<&str, Matter> = BTreeMap::new();
    for (index, item) in expected.iter().enumerate() {
        let Some(entry) = by_item.get(&index) else {
            wrong.push(format!("{}：没有收到 / never taken in", name(expected, index)));
            continue;
        };
        wrong.extend(alone(item, entry).into_iter().map(|what| format!("{}：{what}", name(expected, index))));
        if let Some(matter) = &item.matter {
            let matter = matters.entry(matter).or_default();
            matter.due.extend(item.relation);
            matter.found.extend(entry.relation);
            matter.tickets.extend(entry.ticket);
        }
    }
    for (matter, Matter { mut due, mut found, tickets }) in matters {
        due.sort_by_key(|relation| relation.as_str());
        found.sort_by_key(|relation| relation.as_str());
        if due != found {
            wrong.push(format!("{matter}：与工单的关系应为 {}，实为 {}", names(&due), names(&found)));
        }
        if tickets.len() > 1 {
            wrong.push(format!("{matter}：分成了 {} 个工单 / in several tickets", tickets.len()));
        }
    }
    wrong
}

fn name(expected: &[Expected], index: usize) -> String {
    expected.get(index).map(|item| format!("{}/{}", item.connector, item.id)).unwrap_or_default()
}

fn names(relations: &[Relation]) -> String {
    relations.iter().map(|relation| relation.as_str()).collect::<Vec<_>>().join("+")
}
