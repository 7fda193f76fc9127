//! A signature as bytes, for the store: some seven hundred of them for a long complaint.

use super::{
    signature::{GRAM_LIMIT, NAME_LIMIT, Name, Signature, Topic, Unit},
    vocabulary::{NameKind, UnitKind},
};

/// First byte of every stored signature.
const FORM: u8 = 2;
/// Most of anything in a list that is read back.
const LIST_LIMIT: u64 = 4 * GRAM_LIMIT as u64;
/// Longest text read back, in bytes.
const TEXT_BYTES: u64 = 256;

impl Signature {
    /// The signature as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.grams.len() * 2 + self.head.len());
        bytes.push(FORM);
        put(&mut bytes, self.parts.len() as u64);
        for part in &self.parts {
            put(&mut bytes, u64::from(*part));
        }
        put(&mut bytes, self.persons.len() as u64);
        for person in &self.persons {
            bytes.extend_from_slice(&person.to_be_bytes());
        }
        put(&mut bytes, u64::from(self.namesake.is_some()));
        if let Some(namesake) = self.namesake {
            bytes.extend_from_slice(&namesake.to_be_bytes());
        }
        put(&mut bytes, self.names.len() as u64);
        for name in &self.names {
            bytes.push(name.kind as u8);
            bytes.push(name.core);
            bytes.push(u8::from(name.head));
            put_text(&mut bytes, &name.text);
        }
        put(&mut bytes, self.units.len() as u64);
        for unit in &self.units {
            bytes.push(unit.kind as u8);
            bytes.push(u8::from(unit.head));
            put_text(&mut bytes, &unit.text);
        }
        put(&mut bytes, self.topics.len() as u64);
        for topic in &self.topics {
            put(&mut bytes, u64::from(topic.id));
            bytes.push(u8::from(topic.head));
        }
        put_sorted(&mut bytes, &self.grams);
        // The title's pieces are some of all of them: their places tell them.
        let places: Vec<u32> = self
            .head
            .iter()
            .filter_map(|gram| self.grams.binary_search(gram).ok().and_then(|place| u32::try_from(place).ok()))
            .collect();
        put_sorted(&mut bytes, &places);
        bytes
    }

    /// A stored signature; `None` where these bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if byte(&mut rest)? != FORM {
            return None;
        }
        let parts = list(&mut rest, |rest| u32::try_from(get(rest)?).ok())?;
        let persons = list(&mut rest, eight)?;
        let namesake = list(&mut rest, eight)?.first().copied();
        let names = list(&mut rest, |rest| {
            let kind = *NameKind::ALL.get(usize::from(byte(rest)?))?;
            let core = byte(rest)?;
            let head = byte(rest)? != 0;
            Some(Name { kind, core, head, text: text(rest)? })
        })?;
        let units = list(&mut rest, |rest| {
            let kind = *UnitKind::ALL.get(usize::from(byte(rest)?))?;
            let head = byte(rest)? != 0;
            Some(Unit { kind, head, text: text(rest)? })
        })?;
        let topics = list(&mut rest, |rest| {
            let id = u32::try_from(get(rest)?).ok()?;
            Some(Topic { id, head: byte(rest)? != 0 })
        })?;
        let grams = sorted(&mut rest)?;
        let head = sorted(&mut rest)?;
        let head = head.iter().map(|place| grams.get(usize::try_from(*place).ok()?).copied()).collect::<Option<_>>()?;
        (rest.is_empty() && names.len() <= NAME_LIMIT).then_some(Self {
            persons,
            namesake,
            names,
            units,
            topics,
            head,
            grams,
            parts,
        })
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_sorted(bytes: &mut Vec<u8>, values: &[u32]) {
    put(bytes, values.len() as u64);
    let mut before = 0;
    for value in values {
        put(bytes, u64::from(value.wrapping_sub(before)));
        before = *value;
    }
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn eight(rest: &mut &[u8]) -> Option<u64> {
    let (value, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_be_bytes(*value))
}

fn get(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let next = byte(rest)?;
        value |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn list<T>(rest: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = get(rest).filter(|count| *count <= LIST_LIMIT)?;
    (0..count).map(|_| item(rest)).collect()
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(get(rest).filter(|length| *length <= TEXT_BYTES)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

fn sorted(rest: &mut &[u8]) -> Option<Vec<u32>> {
    let mut before = 0_u32;
    list(rest, |rest| {
        before = before.checked_add(u32::try_from(get(rest)?).ok()?)?;
        Some(before)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{assess::ShownComplaint, matching::Vocabulary};

    #[test]
    fn what_is_stored_is_read_back() {
        let vocabulary = Vocabulary::shipped().unwrap();
        let shown = ShownComplaint {
            subject: Some("白塔区锦绣花园小区3号楼供暖不热".to_owned()),
            body: format!("一、室温只有十四度，屋里冷。二、电梯经常困人。{}", "204路公交车也不来。".repeat(20)),
            ..ShownComplaint::default()
        };
        let signature = Signature::of(&shown, &[vec![7; 16], vec![9; 16]], &vocabulary);
        assert!(signature.parts.len() == 2 && signature.persons.len() == 2 && !signature.head.is_empty());
        assert_eq!(Signature::decode(&signature.encode()), Some(signature));
        assert_eq!(Signature::decode(&Signature::default().encode()), Some(Signature::default()));
    }

    proptest! {
        #[test]
        fn bytes_that_are_none_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Signature::decode(&bytes);
        }
    }
}
