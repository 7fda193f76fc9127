//! Finds what a complaint may be the same as, among a million, in bounded time and memory.
//!
//! Each complaint is entered under a few dozen keys: whom it came from, the names in it, each name with each topic, the
//! rarest word pieces of its title, and a sample of all of them that near copies share. Keys lead to chains of entries, the
//! newest first; both the chains and the complaints live in rings, so that the oldest give way by themselves. What comes
//! out is a short list to be looked at closely, not an answer.

use std::collections::HashMap;

use super::{
    frequency::Frequencies,
    signature::{Name, Signature},
    vocabulary::NameKind,
};
use crate::ids::EntryId;

/// Complaints that are looked at closely at most.
pub const CANDIDATES: usize = 12;
/// Entries of one key that are looked at, the newest.
const CHAIN_LIMIT: usize = 48;
/// Entries that are looked at for one complaint over all keys.
const VISIT_LIMIT: usize = 6_000;
/// Keys of one complaint, for each in the index: the size of the ring of chains.
const KEYS_EACH: usize = 32;
/// Rare pieces of a title that are keys.
const HEAD_KEYS: usize = 14;
/// Pieces of the sample that near copies share.
const SAMPLE_KEYS: usize = 6;
/// Names that are keys.
const NAME_KEYS: usize = 4;
/// Topics that are keys together with names.
const TOPIC_KEYS: usize = 3;
/// A word piece in more than one of so many complaints leads nowhere in particular.
const COMMON: u32 = 100;

#[derive(Debug, Clone, Copy)]
struct Link {
    complaint: u32,
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    entry: EntryId,
    /// When it was issued, in microseconds.
    at: i64,
}

/// The index.
#[derive(Debug)]
pub struct Index {
    heads: HashMap<u32, u32>,
    links: Vec<Link>,
    /// How many links were ever made; the ring holds the last of them.
    linked: u32,
    slots: Vec<Slot>,
    /// How many complaints were ever entered.
    entered: u32,
    slot_room: u32,
    link_room: u32,
}

/// What a chain ends with.
const END: u32 = u32::MAX;

impl Index {
    /// An index that keeps at least this many complaints, up to twice as many, at some 350 bytes each.
    pub fn new(complaints: usize) -> Self {
        let slot_room = u32::try_from(complaints.clamp(16, 1 << 25).next_power_of_two()).unwrap_or(1 << 25);
        let link_room = slot_room.saturating_mul(u32::try_from(KEYS_EACH).unwrap_or(32));
        Self {
            heads: HashMap::new(),
            links: Vec::new(),
            linked: 0,
            slots: Vec::new(),
            entered: 0,
            slot_room,
            link_room,
        }
    }

    /// How many complaints it holds.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes it takes, about.
    pub fn bytes(&self) -> usize {
        // A map keeps an eighth of its room free, and one byte of control for each place.
        self.heads.capacity() * 10 + self.links.capacity() * 8 + self.slots.capacity() * 16
    }

    /// Enters a complaint that was issued at a moment, in microseconds.
    pub fn add(&mut self, entry: EntryId, at: i64, signature: &Signature, frequencies: &Frequencies) {
        let complaint = self.entered;
        self.entered = self.entered.wrapping_add(1);
        let slot = Slot { entry, at };
        match self.slots.get_mut((complaint % self.slot_room) as usize) {
            Some(old) => *old = slot,
            None => self.slots.push(slot),
        }
        for key in own_keys(signature, frequencies) {
            self.link(key, complaint);
        }
        if self.heads.len() > (self.link_room / 4) as usize && self.heads.len() == self.heads.capacity() {
            self.forget();
        }
    }

    fn link(&mut self, key: u32, complaint: u32) {
        let place = self.linked;
        self.linked = self.linked.wrapping_add(1);
        if place == END {
            return;
        }
        let next = self.heads.insert(key, place).unwrap_or(END);
        let link = Link { complaint, next };
        match self.links.get_mut((place % self.link_room) as usize) {
            Some(old) => *old = link,
            None => self.links.push(link),
        }
    }

    /// Drops keys whose chains have been overwritten.
    fn forget(&mut self) {
        let (linked, room) = (self.linked, self.link_room);
        self.heads.retain(|_, place| linked.wrapping_sub(*place) <= room);
    }

    /// The complaints issued since a moment that this one may be the same as, likeliest first, at most [`CANDIDATES`].
    pub fn candidates(&self, signature: &Signature, since: i64, frequencies: &Frequencies) -> Vec<EntryId> {
        let mut scores: HashMap<u32, f32> = HashMap::new();
        let mut visits = 0;
        for (key, weight) in asked_keys(signature, frequencies) {
            let Some(place) = self.heads.get(&key) else { continue };
            let mut place = *place;
            let mut steps = 0;
            while place != END && steps < CHAIN_LIMIT {
                let age = self.linked.wrapping_sub(place);
                if age == 0 || age > self.link_room {
                    break;
                }
                let Some(link) = self.links.get((place % self.link_room) as usize) else { break };
                let age = self.entered.wrapping_sub(link.complaint);
                if age == 0 || age > self.slot_room {
                    break;
                }
                *scores.entry(link.complaint).or_default() += weight;
                steps += 1;
                place = link.next;
            }
            visits += steps;
            if visits >= VISIT_LIMIT {
                break;
            }
        }
        let mut found: Vec<(f32, u32)> = scores.into_iter().map(|(complaint, score)| (score, complaint)).collect();
        // The newest first among equals, so that the order never hangs on the map's.
        found.sort_unstable_by(|left, right| {
            right
                .0
                .total_cmp(&left.0)
                .then_with(|| self.entered.wrapping_sub(left.1).cmp(&self.entered.wrapping_sub(right.1)))
        });
        let mut entries: Vec<EntryId> = Vec::with_capacity(CANDIDATES);
        for (_, complaint) in found {
            let Some(slot) = self.slots.get((complaint % self.slot_room) as usize) else { continue };
            // A complaint that was read anew is entered anew.
            if slot.at >= since && !entries.contains(&slot.entry) {
                entries.push(slot.entry);
            }
            if entries.len() == CANDIDATES {
                break;
            }
        }
        entries
    }
}

const PERSON: u32 = 1;
const NAME: u32 = 2;
const MATTER: u32 = 3;
const PIECE: u32 = 4;
const SAMPLE: u32 = 5;

fn key(kind: u32, value: u64) -> u32 {
    let mixed = (value ^ u64::from(kind).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    u32::try_from(mixed >> 32).unwrap_or(0)
}

/// The end of a name's core: beginnings vary (我市锦绣花园, 锦绣花园).
fn name_value(name: &Name) -> u64 {
    let core = name.core();
    let from = core.char_indices().rev().nth(2).map_or(0, |(position, _)| position);
    core[from..]
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn keyed_names(signature: &Signature) -> impl Iterator<Item = u64> + '_ {
    let mut names: Vec<&Name> = signature.names.iter().filter(|name| name.kind != NameKind::Region).collect();
    // A town has too many matters to lead to one.
    names.sort_by_key(|name| (name.kind == NameKind::Town, !name.head));
    names.into_iter().take(NAME_KEYS).map(name_value)
}

fn common_keys(signature: &Signature) -> Vec<(u32, f32)> {
    let mut keys: Vec<(u32, f32)> = signature.persons.iter().map(|person| (key(PERSON, *person), 60.0)).collect();
    keys.extend(signature.namesake.map(|name| (key(PERSON, name), 20.0)));
    for name in keyed_names(signature) {
        keys.push((key(NAME, name), 15.0));
        for topic in signature.topics.iter().filter(|topic| !topic.is_trouble()).take(TOPIC_KEYS) {
            keys.push((key(MATTER, name ^ (u64::from(topic.id) << 20)), 30.0));
        }
    }
    let mut sample: Vec<u32> = signature.grams.iter().map(|gram| key(SAMPLE, u64::from(*gram))).collect();
    sample.sort_unstable();
    keys.extend(sample.into_iter().take(SAMPLE_KEYS).map(|key| (key, 8.0)));
    keys
}

fn own_keys(signature: &Signature, frequencies: &Frequencies) -> Vec<u32> {
    let mut head: Vec<u32> = signature.head.clone();
    head.sort_by_key(|gram| (frequencies.of(*gram), *gram));
    let pieces = head.into_iter().take(HEAD_KEYS).map(|gram| key(PIECE, u64::from(gram)));
    pieces.chain(common_keys(signature).into_iter().map(|(key, _)| key)).collect()
}

fn asked_keys(signature: &Signature, frequencies: &Frequencies) -> Vec<(u32, f32)> {
    let common = frequencies.complaints() / COMMON + 20;
    let mut keys = common_keys(signature);
    let mut pieces: Vec<(u32, f32)> = signature
        .grams
        .iter()
        .filter(|gram| u32::from(frequencies.of(**gram)) <= common)
        .map(|gram| (key(PIECE, u64::from(*gram)), frequencies.weight(*gram)))
        .collect();
    pieces.sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    keys.extend(pieces);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assess::ShownComplaint, matching::Vocabulary};

    fn signature(vocabulary: &Vocabulary, number: usize) -> Signature {
        let place = char::from_u32(0x4E00 + u32::try_from(number).unwrap()).unwrap();
        let shown = ShownComplaint {
            subject: Some(format!("{place}{place}花园小区停水")),
            body: format!("{place}{place}花园小区已经停水三天，{place}{place}的居民都没有水用"),
            ..ShownComplaint::default()
        };
        Signature::of(&shown, &[], vocabulary)
    }

    #[test]
    fn the_oldest_give_way_and_the_newest_are_found() {
        let vocabulary = Vocabulary::shipped().unwrap();
        let mut frequencies = Frequencies::new(1000);
        let mut index = Index::new(16);
        for number in 0..100 {
            let one = signature(&vocabulary, number);
            index.add(EntryId(i64::try_from(number).unwrap()), 5, &one, &frequencies);
            frequencies.add(&one);
        }
        assert_eq!(index.len(), 16);
        let first = |number| index.candidates(&signature(&vocabulary, number), 0, &frequencies).first().copied();
        assert_eq!(first(99), Some(EntryId(99)));
        assert_eq!(first(85), Some(EntryId(85)));
        assert!(first(10).is_none_or(|entry| entry.0 >= 84));
        assert!(index.candidates(&signature(&vocabulary, 99), 6, &frequencies).is_empty(), "too old");
    }
}
