//! Measures repeats across channels: one person tells one matter by telephone form, by mail and on a board, in other words
//! each time, among other matters of the same person and of the same places. Each telling goes through assessing as a
//! complaint of its channel, with what that channel tells of its petitioner, and then through index and decision. The
//! shipped set (`fixtures/repeats/matters.txt`) is constructed: its figures say what is recognised of such tellings, not
//! how a city's real ones are spread.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use connectors::complaint::{Channel, Complaint, Petitioner};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{DatasetError, Rate, Split, pairs::Figures};
use crate::{
    assess::{Assessor, RuleSet, text::normal},
    ids::{EntryId, TicketId},
    matching::{Frequencies, Index, Neighbour, Signature, Vocabulary, contact_phones, decide, persons},
};

/// Tellings in a file at most.
pub const TELLING_LIMIT: usize = 100_000;

/// One telling of a matter.
#[derive(Debug, Clone)]
struct Telling {
    line: usize,
    matter: String,
    person: u32,
    channel: Channel,
    complaint: Complaint,
}

/// What recognising repeats came to.
#[derive(Debug, Clone, Serialize)]
pub struct RepeatsReport {
    /// Which part.
    pub split: Split,
    /// Matters in the whole file.
    pub matters: usize,
    /// Tellings in the whole file.
    pub tellings: usize,
    /// Tickets that they came to.
    pub tickets: usize,
    /// Pairs of tellings of one matter, and pairs that ended in one ticket.
    pub figures: Figures,
    /// The same, by the two channels.
    pub channels: BTreeMap<String, Rate>,
    /// Of the tellings that joined their own matter's ticket, those recognised as the same petitioner's: by telephone
    /// number, address, account or name. The others join as co-reports.
    pub same_person: Rate,
    /// Pairs of different matters of one person that were kept apart.
    pub other_matters_apart: Rate,
    /// Pairs judged wrongly, by their lines: (one, other, whether they are one matter).
    pub wrong: Vec<(usize, usize, bool)>,
}

/// Reads the tellings and sends them through, in an order drawn from a digest of each.
///
/// # Errors
/// Where a line is not as expected.
pub fn measure(
    text: &str,
    split: Split,
    rules: Arc<RuleSet>,
    vocabulary: &Vocabulary,
) -> Result<RepeatsReport, DatasetError> {
    let mut tellings = read(text)?;
    tellings.sort_by_key(|telling| {
        Sha256::digest(format!("{}:{}", telling.matter, telling.channel.as_str()).as_bytes()).to_vec()
    });
    let assessor = Assessor::new(rules);
    let mut index = Index::new(tellings.len().max(1000));
    let mut frequencies = Frequencies::new(tellings.len().max(100_000));
    let mut placed: Vec<Neighbour> = Vec::new();
    let mut own: Vec<bool> = Vec::new();
    let mut tickets = 0;
    for (place, telling) in tellings.iter().enumerate() {
        let entry = EntryId(i64::try_from(place).unwrap_or(i64::MAX));
        let signature = signature(telling, &assessor, vocabulary);
        let offered = index.candidates(&signature, i64::MIN, &frequencies);
        let neighbours = offered.iter().filter_map(|entry| placed.get(usize::try_from(entry.0).ok()?));
        let matched = decide(&signature, neighbours, &frequencies);
        let ticket = matched.same.as_ref().map_or_else(
            || {
                tickets += 1;
                TicketId(tickets)
            },
            |same| same.ticket,
        );
        own.push(matched.same_person);
        index.add(entry, 0, &signature, &frequencies);
        frequencies.add(&signature);
        placed.push(Neighbour { entry, ticket, signature });
    }
    Ok(count(&tellings, &placed, &own, split, usize::try_from(tickets).unwrap_or(0)))
}

fn signature(telling: &Telling, assessor: &Assessor, vocabulary: &Vocabulary) -> Signature {
    let verdict = assessor.assess(telling.complaint.clone(), telling.channel, Timestamp::UNIX_EPOCH);
    let digest = |kind: &str, value: &str| Sha256::digest(format!("{kind}\u{1f}{value}").as_bytes()).to_vec();
    let petitioner = &telling.complaint.petitioner;
    let phones = verdict.keys.phones.iter().map(|phone| digest("phone", phone));
    let emails = verdict.keys.emails.iter().map(|email| digest("email", email));
    let account = petitioner.account.iter().map(|account| digest("account", account));
    let keys: Vec<Vec<u8>> = phones.chain(emails).chain(account).collect();
    let mut signature = Signature::of(&verdict.shown, &keys, vocabulary);
    let told: Vec<Vec<u8>> =
        contact_phones(&verdict.complaint.body).iter().map(|phone| digest("phone", phone)).collect();
    signature.also(&told);
    let name = petitioner.name.iter().map(|name| digest("name", &normal(name)));
    signature.namesake = persons(&name.collect::<Vec<_>>()).first().copied();
    signature
}

fn count(tellings: &[Telling], placed: &[Neighbour], own: &[bool], split: Split, tickets: usize) -> RepeatsReport {
    let (mut right, mut joined, mut same) = (0, 0, 0);
    let mut channels: HashMap<String, (usize, usize)> = HashMap::new();
    let (mut persons_right, mut persons_of, mut apart, mut apart_of) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for (later, telling) in tellings.iter().enumerate().filter(|(_, telling)| split.holds(&telling.matter)) {
        let mut met = false;
        for (earlier, other) in tellings[..later].iter().enumerate() {
            let one_matter = telling.matter == other.matter;
            let one_ticket = placed[later].ticket == placed[earlier].ticket;
            right += usize::from(one_matter && one_ticket);
            joined += usize::from(one_ticket);
            same += usize::from(one_matter);
            met |= one_matter && one_ticket;
            if one_matter != one_ticket {
                wrong.push((other.line, telling.line, one_matter));
            }
            if one_matter {
                let mut names = [telling.channel.as_str(), other.channel.as_str()];
                names.sort_unstable();
                let counts = channels.entry(names.join(" + ")).or_default();
                counts.0 += usize::from(one_ticket);
                counts.1 += 1;
            } else if telling.person == other.person {
                apart += usize::from(!one_ticket);
                apart_of += 1;
            }
        }
        if met {
            persons_of += 1;
            persons_right += usize::from(own[later]);
        }
    }
    let matters: std::collections::HashSet<&str> = tellings.iter().map(|telling| telling.matter.as_str()).collect();
    RepeatsReport {
        split,
        matters: matters.len(),
        tellings: tellings.len(),
        tickets,
        figures: Figures { precision: Rate::new(right, joined), recall: Rate::new(right, same) },
        channels: channels.into_iter().map(|(names, (hits, of))| (names, Rate::new(hits, of))).collect(),
        same_person: Rate::new(persons_right, persons_of),
        other_matters_apart: Rate::new(apart, apart_of),
        wrong,
    }
}

fn read(text: &str) -> Result<Vec<Telling>, DatasetError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .take(TELLING_LIMIT)
        .map(|(index, line)| telling(index + 1, line).map_err(|problem| DatasetError { line: index + 1, problem }))
        .collect()
}

fn telling(line: usize, text: &str) -> Result<Telling, String> {
    let fields: Vec<&str> = text.split('|').collect();
    let [matter, person, channel, title, place, body] = fields.as_slice() else {
        return Err("expected matter|person|channel|title|place|text".to_owned());
    };
    let person: u32 = person.parse().map_err(|_| "the person is no number".to_owned())?;
    let phone = format!("1390419{person:04}");
    let name = name(person);
    let (channel, petitioner) = match *channel {
        "phone" => {
            (Channel::Phone, Petitioner { name: Some(name), phones: vec![phone.clone()], ..Petitioner::default() })
        }
        "mail" => {
            let emails = vec![format!("person{person}@example.cn")];
            (Channel::Mailbox, Petitioner { name: Some(name), emails, ..Petitioner::default() })
        }
        "board" => {
            let account = Some(format!("user{person}"));
            (Channel::MessageBoard, Petitioner { account, ..Petitioner::default() })
        }
        _ => return Err("a channel is phone, mail or board".to_owned()),
    };
    let complaint = Complaint {
        petitioner,
        subject: Some((*title).to_owned()),
        place: (*place != "-").then(|| (*place).to_owned()),
        body: body.replace("{电话}", &phone),
        ..Complaint::default()
    };
    Ok(Telling { line, matter: (*matter).to_owned(), person, channel, complaint })
}

/// A name for a person; of 240 names some are shared, as names are.
fn name(person: u32) -> String {
    const SURNAMES: [&str; 12] = ["王", "李", "张", "刘", "陈", "杨", "赵", "孙", "周", "徐", "高", "林"];
    const GIVEN: [&str; 20] = [
        "建国", "秀英", "志强", "桂兰", "文斌", "玉梅", "立新", "淑珍", "海涛", "丽华", "永和", "春燕", "大江", "凤霞",
        "国庆", "雪", "明", "艳红", "小平", "德福",
    ];
    let at = |words: &[&'static str], number: u32| {
        usize::try_from(number).ok().and_then(|number| words.get(number % words.len()).copied()).unwrap_or_default()
    };
    format!("{}{}", at(&SURNAMES, person), at(&GIVEN, person * 7 / 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constructed_set_is_whole_and_as_large_as_is_said() {
        let text = include_str!("../../fixtures/repeats/matters.txt");
        let rules = Arc::new(RuleSet::shipped().unwrap());
        let report = measure(text, Split::All, rules, &Vocabulary::shipped().unwrap()).unwrap();
        assert!(report.matters >= 150 && report.tellings >= 2 * report.matters, "{report:?}");
        assert!(report.other_matters_apart.of >= 20, "too few hard negatives: {report:?}");
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let rules = Arc::new(RuleSet::shipped().unwrap());
        let error = measure("# ok\n1|1|fax|a|b|c", Split::All, rules, &Vocabulary::shipped().unwrap()).unwrap_err();
        assert_eq!(error.line, 2);
    }
}
