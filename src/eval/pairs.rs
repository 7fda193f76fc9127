//! Measures matching over labelled pairs of messages: `messages.jsonl` (id, user, time, subject, body) fed in order of time
//! through index and decision, as the gateway would, and `pairs.tsv` (id, id, same | related | different, confidence,
//! similarity, same-user | other-user), which says what a reader found. Two messages are recognised as one matter where
//! they end in one ticket; what follows from a third one counts too, for better and for worse.

use std::collections::{BTreeMap, HashMap};

use jiff::{Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{DatasetError, Rate, Split};
use crate::{
    assess::ShownComplaint,
    ids::{EntryId, TicketId},
    matching::{Comparison, Frequencies, Index, Neighbour, Signature, Standing, Vocabulary, compare, decide, standing},
};

/// Messages in a file at most.
pub const MESSAGE_LIMIT: usize = 1_000_000;

#[derive(Deserialize)]
struct Message {
    id: String,
    #[serde(default)]
    user: Option<String>,
    time: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    body: String,
}

/// What a reader found of two messages.
#[derive(Debug, Clone)]
pub struct Pair {
    /// One.
    pub one: String,
    /// The other.
    pub other: String,
    /// Whether they are one matter.
    pub same: bool,
    /// Whether the reader was sure.
    pub sure: bool,
    /// How alike the two texts are: their character trigrams' Jaccard index.
    pub similarity: f64,
}

/// Labelled pairs, with their messages in order of time.
#[derive(Debug)]
pub struct Dataset {
    messages: Vec<Prepared>,
    pairs: Vec<Pair>,
    /// For each message, the smallest id that it hangs together with by pairs: all of them go to one part.
    roots: HashMap<String, String>,
}

#[derive(Debug)]
struct Prepared {
    id: String,
    at: i64,
    signature: Signature,
}

/// Figures of one set of pairs.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Of the pairs that were joined, one matter.
    pub precision: Rate,
    /// Of the pairs that are one matter, joined.
    pub recall: Rate,
}

/// Figures, and the pairs that were judged wrongly.
#[derive(Debug, Clone, Serialize)]
pub struct PairsReport {
    /// Which part.
    pub split: Split,
    /// Messages that went through, of every part.
    pub messages: usize,
    /// Tickets that they came to.
    pub tickets: usize,
    /// Pairs of this part.
    pub pairs: usize,
    /// In the stream, sure labels.
    pub stream: Figures,
    /// In the stream, all labels.
    pub stream_all: Figures,
    /// In the stream, by band of similarity, all labels.
    pub bands: BTreeMap<String, Figures>,
    /// Of the pairs that are one matter, those where the earlier message was among what retrieval offered for the later.
    pub retrieved: Rate,
    /// Each pair decided by itself, without retrieval and without third messages, all labels.
    pub alone: Figures,
    /// Pairs judged wrongly in the stream, by id: (one, other, what it should be, score of the two by themselves).
    pub wrong: Vec<(String, String, bool, f32)>,
    /// Joins of two messages of this part that no label speaks of, by id, with their score: to be read by a person.
    pub unlabelled: Vec<(String, String, f32)>,
}

impl Dataset {
    /// Reads both files.
    ///
    /// # Errors
    /// Where a line is not as expected.
    pub fn read(messages: &str, pairs: &str, vocabulary: &Vocabulary) -> Result<Self, DatasetError> {
        let zone = TimeZone::get(connectors::clock::ZONE).unwrap_or(TimeZone::UTC);
        let mut prepared = Vec::new();
        for (index, line) in
            messages.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).take(MESSAGE_LIMIT)
        {
            let wrong = |problem: String| DatasetError { line: index + 1, problem };
            let message: Message = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let at =
                moment(&message.time, &zone).ok_or_else(|| wrong("time is not year/month/day h:m:s".to_owned()))?;
            let shown = ShownComplaint {
                subject: message.subject,
                body: message.body.trim().to_owned(),
                ..ShownComplaint::default()
            };
            let person: Vec<Vec<u8>> =
                message.user.iter().map(|user| Sha256::digest(user.as_bytes()).to_vec()).collect();
            let signature = Signature::of(&shown, &person, vocabulary);
            prepared.push(Prepared { id: message.id, at: at.as_microsecond(), signature });
        }
        prepared.sort_by(|left, right| left.at.cmp(&right.at).then_with(|| left.id.cmp(&right.id)));
        let pairs = pairs
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| pair(line).map_err(|problem| DatasetError { line: index + 1, problem }))
            .collect::<Result<Vec<_>, _>>()?;
        let roots = roots(&pairs);
        Ok(Self { messages: prepared, pairs, roots })
    }

    /// Sends the messages through and counts. A matter of which nothing was heard for `window` days is another one.
    pub fn measure(&self, split: Split, window: i64) -> PairsReport {
        let stream = self.stream(window);
        let by_id: HashMap<&str, (usize, &Prepared)> =
            self.messages.iter().enumerate().map(|(place, message)| (message.id.as_str(), (place, message))).collect();
        let mut report = Tally::default();
        let mut labelled: HashMap<(usize, usize), bool> = HashMap::new();
        for pair in &self.pairs {
            let (Some((one, left)), Some((other, right))) =
                (by_id.get(pair.one.as_str()), by_id.get(pair.other.as_str()))
            else {
                continue;
            };
            labelled.insert((*one.min(other), *one.max(other)), pair.same);
            if !self.in_split(&pair.one, split) {
                continue;
            }
            let joined = stream.tickets[*one] == stream.tickets[*other];
            let alone = alone(&left.signature, &right.signature, &stream.frequencies);
            let decided = standing(&alone) == Standing::Same;
            let (earlier, later) = if one < other { (*one, *other) } else { (*other, *one) };
            report.add(pair, joined, decided, stream.offered[later].contains(&earlier), alone.score);
        }
        let mut unlabelled = Vec::new();
        for (later, joined) in stream.joined.iter().enumerate() {
            if let Some((earlier, score)) = joined
                && !labelled.contains_key(&(*earlier, later))
                && self.in_split(&self.messages[later].id, split)
            {
                unlabelled.push((self.messages[*earlier].id.clone(), self.messages[later].id.clone(), *score));
            }
        }
        let tickets = stream.tickets.iter().max().map_or(0, |last| usize::try_from(last.0).unwrap_or(0));
        report.report(split, self.messages.len(), tickets, unlabelled)
    }

    fn in_split(&self, id: &str, split: Split) -> bool {
        split.holds(self.roots.get(id).map_or(id, String::as_str))
    }

    fn stream(&self, window: i64) -> Stream {
        let mut index = Index::new(self.messages.len().max(1000));
        let mut frequencies = Frequencies::new(self.messages.len().max(100_000));
        let mut stream = Stream::default();
        let mut tickets = 0;
        for (place, message) in self.messages.iter().enumerate() {
            let since = message.at.saturating_sub(window.saturating_mul(86_400_000_000));
            let offered: Vec<usize> = index
                .candidates(&message.signature, since, &frequencies)
                .into_iter()
                .filter_map(|entry| usize::try_from(entry.0).ok())
                .collect();
            let neighbours: Vec<Neighbour> = offered
                .iter()
                .map(|place| Neighbour {
                    entry: entry(*place),
                    ticket: stream.tickets[*place],
                    signature: self.messages[*place].signature.clone(),
                })
                .collect();
            let matched = decide(&message.signature, &neighbours, &frequencies);
            if let Some(same) = &matched.same {
                stream.tickets.push(same.ticket);
                stream.joined.push(usize::try_from(same.entry.0).ok().map(|place| (place, same.comparison.score)));
            } else {
                tickets += 1;
                stream.tickets.push(TicketId(tickets));
                stream.joined.push(None);
            }
            stream.offered.push(offered);
            index.add(entry(place), message.at, &message.signature, &frequencies);
            frequencies.add(&message.signature);
        }
        stream.frequencies = frequencies;
        stream
    }
}

fn entry(place: usize) -> EntryId {
    EntryId(i64::try_from(place).unwrap_or(i64::MAX))
}

fn alone(left: &Signature, right: &Signature, frequencies: &Frequencies) -> Comparison {
    compare(left, right, frequencies)
}

struct Stream {
    tickets: Vec<TicketId>,
    offered: Vec<Vec<usize>>,
    joined: Vec<Option<(usize, f32)>>,
    frequencies: Frequencies,
}

impl Default for Stream {
    fn default() -> Self {
        Self { tickets: Vec::new(), offered: Vec::new(), joined: Vec::new(), frequencies: Frequencies::new(0) }
    }
}

#[derive(Default, Clone, Copy)]
struct Counts {
    right: usize,
    joined: usize,
    same: usize,
}

impl Counts {
    fn add(&mut self, same: bool, joined: bool) {
        self.right += usize::from(same && joined);
        self.joined += usize::from(joined);
        self.same += usize::from(same);
    }

    fn figures(self) -> Figures {
        Figures { precision: Rate::new(self.right, self.joined), recall: Rate::new(self.right, self.same) }
    }
}

#[derive(Default)]
struct Tally {
    pairs: usize,
    sure: Counts,
    all: Counts,
    alone: Counts,
    bands: BTreeMap<String, Counts>,
    retrieved: usize,
    wrong: Vec<(String, String, bool, f32)>,
}

impl Tally {
    fn add(&mut self, pair: &Pair, joined: bool, decided: bool, offered: bool, score: f32) {
        self.pairs += 1;
        self.all.add(pair.same, joined);
        self.alone.add(pair.same, decided);
        if pair.sure {
            self.sure.add(pair.same, joined);
        }
        self.bands.entry(band(pair.similarity).to_owned()).or_default().add(pair.same, joined);
        self.retrieved += usize::from(pair.same && offered);
        if joined != pair.same {
            self.wrong.push((pair.one.clone(), pair.other.clone(), pair.same, score));
        }
    }

    fn report(
        mut self,
        split: Split,
        messages: usize,
        tickets: usize,
        unlabelled: Vec<(String, String, f32)>,
    ) -> PairsReport {
        // What was joined and should not have been comes first: it costs somebody an answer.
        self.wrong.sort_by(|left, right| left.2.cmp(&right.2).then(right.3.total_cmp(&left.3)));
        PairsReport {
            split,
            messages,
            tickets,
            pairs: self.pairs,
            stream: self.sure.figures(),
            stream_all: self.all.figures(),
            bands: self.bands.into_iter().map(|(band, counts)| (band, counts.figures())).collect(),
            retrieved: Rate::new(self.retrieved, self.all.same),
            alone: self.alone.figures(),
            wrong: self.wrong,
            unlabelled,
        }
    }
}

fn band(similarity: f64) -> &'static str {
    match similarity {
        s if s < 0.1 => "0.0-0.1",
        s if s < 0.2 => "0.1-0.2",
        s if s < 0.3 => "0.2-0.3",
        s if s < 0.5 => "0.3-0.5",
        s if s < 0.7 => "0.5-0.7",
        s if s < 0.9 => "0.7-0.9",
        _ => "0.9-1.0",
    }
}

fn pair(line: &str) -> Result<Pair, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [one, other, relation, confidence, similarity, ..] = fields.as_slice() else {
        return Err("expected id, id, relation, confidence, similarity".to_owned());
    };
    let same = match *relation {
        "same" => true,
        "related" | "different" => false,
        _ => return Err("a relation is same, related or different".to_owned()),
    };
    let similarity = similarity.parse().map_err(|_| "the similarity is no number".to_owned())?;
    Ok(Pair { one: (*one).to_owned(), other: (*other).to_owned(), same, sure: *confidence != "low", similarity })
}

fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let numbers: Vec<i16> = text
        .split(|one: char| !one.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map_while(|part| part.parse().ok())
        .collect();
    let [year, month, day, rest @ ..] = numbers.as_slice() else { return None };
    let part = |place: usize| rest.get(place).copied().unwrap_or(0).try_into().ok();
    let date =
        DateTime::new(*year, (*month).try_into().ok()?, (*day).try_into().ok()?, part(0)?, part(1)?, part(2)?, 0);
    let at = zone.to_timestamp(date.ok()?).ok()?;
    at.checked_add(0.seconds()).ok()
}

/// The smallest id that each message hangs together with.
fn roots(pairs: &[Pair]) -> HashMap<String, String> {
    let mut parents: HashMap<String, String> = HashMap::new();
    for pair in pairs {
        let (one, other) = (root(&parents, &pair.one), root(&parents, &pair.other));
        if one != other {
            parents.insert(one.clone().max(other.clone()), one.min(other));
        }
    }
    let ids: Vec<String> = pairs.iter().flat_map(|pair| [pair.one.clone(), pair.other.clone()]).collect();
    ids.into_iter().map(|id| (id.clone(), root(&parents, &id))).collect()
}

fn root(parents: &HashMap<String, String>, id: &str) -> String {
    let mut at = id;
    while let Some(parent) = parents.get(at) {
        at = parent;
    }
    at.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_counted_pair_by_pair() {
        let messages = r#"{"id":"a","user":"1","time":"2026/1/2 8:00:00","subject":"锦绣花园3号楼暖气不热","body":"锦绣花园3号楼暖气不热，室温只有十四度。"}
{"id":"b","user":"2","time":"2026-01-03 9:30:00","subject":"锦绣花园3号楼暖气不热没人管","body":"我家住锦绣花园3号楼，暖气一直不热，室温十四度。"}
{"id":"c","user":"3","time":"2026/1/4 8:00:00","subject":"金色家园5号楼暖气不热","body":"金色家园5号楼暖气不热，室温只有十四度。"}"#;
        let pairs = "a\tb\tsame\thigh\t0.5\tother-user\na\tc\trelated\thigh\t0.8\tother-user\n";
        let data = Dataset::read(messages, pairs, &Vocabulary::shipped().unwrap()).unwrap();
        let report = data.measure(Split::All, 180);
        assert_eq!((report.messages, report.tickets, report.pairs), (3, 2, 2));
        assert_eq!((report.stream.precision.hits, report.stream.precision.of), (1, 1));
        assert_eq!((report.stream.recall.hits, report.stream.recall.of), (1, 1));
        assert!(report.wrong.is_empty() && report.unlabelled.is_empty());
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let vocabulary = Vocabulary::shipped().unwrap();
        assert_eq!(Dataset::read("{}", "", &vocabulary).unwrap_err().line, 1);
        assert_eq!(Dataset::read("", "a\tb\tsame\thigh\t0.1\nx\ty\tequal\thigh\t1", &vocabulary).unwrap_err().line, 2);
    }
}
