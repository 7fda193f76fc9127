//! A deserialiser over JSON that knows where it stands and which places to step round.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
        value::StringDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::{Number, Value, map};

use super::{child, obstacle::Obstacle};

/// The name under which [`crate::secret::SecretRef`] asks to be read.
const SECRET: &str = "SecretRef";

/// How to step round a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    /// As if it were not there, so that the default holds.
    Skip,
    /// As if the right thing stood there, whatever that is.
    Probe,
    /// As if it had this name.
    Rename(String),
    /// As if the right thing stood there, and had this name.
    RenamedProbe(String),
}

/// Repairs by JSON pointer.
pub(super) type Repairs = BTreeMap<String, Repair>;

/// Whether a place lies at or below a stand-in.
pub(super) fn probed(repairs: &Repairs, pointer: &str) -> bool {
    let mut place = pointer;
    loop {
        if matches!(repairs.get(place), Some(Repair::Probe | Repair::RenamedProbe(_))) {
            return true;
        }
        match place.rfind('/') {
            Some(end) => place = &place[..end],
            None => return false,
        }
    }
}

/// Whether a member of the table at a place is a stand-in.
pub(super) fn holds_probe(repairs: &Repairs, pointer: &str) -> bool {
    let prefix = format!("{pointer}/");
    repairs
        .range(prefix.clone()..)
        .take_while(|(place, _)| place.starts_with(&prefix))
        .any(|(_, repair)| matches!(repair, Repair::Probe | Repair::RenamedProbe(_)))
}

#[derive(Debug, Clone, Copy)]
enum Node<'v> {
    Value(&'v Value),
    /// Stands in for a value: becomes whatever is asked for.
    Probe,
}

/// One value being read.
#[derive(Debug)]
pub(super) struct Reader<'v> {
    node: Node<'v>,
    pointer: String,
    repairs: &'v Repairs,
    /// Where references to secrets were asked for.
    secrets: &'v RefCell<BTreeSet<String>>,
}

impl<'v> Reader<'v> {
    pub(super) fn root(value: &'v Value, repairs: &'v Repairs, secrets: &'v RefCell<BTreeSet<String>>) -> Self {
        Self { node: Node::Value(value), pointer: String::new(), repairs, secrets }
    }

    fn below(&self, value: Option<&'v Value>, pointer: String) -> Option<Self> {
        let node = match (self.repairs.get(&pointer), value) {
            (Some(Repair::Skip), _) | (_, None) => return None,
            (Some(Repair::Probe | Repair::RenamedProbe(_)), _) => Node::Probe,
            (_, Some(value)) => Node::Value(value),
        };
        Some(Self { node, pointer, ..*self })
    }

    /// The members of a table, those included that stand in for missing ones.
    fn members(&self, table: Option<&'v map::Map<String, Value>>) -> Vec<(String, Self)> {
        let mut members = Vec::new();
        for (key, value) in table.into_iter().flatten() {
            let pointer = child(&self.pointer, key);
            let name = match self.repairs.get(&pointer) {
                Some(Repair::Rename(name) | Repair::RenamedProbe(name)) => name.clone(),
                _ => key.clone(),
            };
            members.extend(self.below(Some(value), pointer).map(|reader| (name, reader)));
        }
        let prefix = format!("{}/", self.pointer);
        let added = self.repairs.range(prefix.clone()..).take_while(|(place, _)| place.starts_with(&prefix));
        for (place, repair) in added {
            // Field names of ours hold neither `/` nor `~`.
            let name = &place[prefix.len()..];
            if *repair != Repair::Probe || name.contains('/') || table.is_some_and(|table| table.contains_key(name)) {
                continue;
            }
            let reader = Self { node: Node::Probe, pointer: place.clone(), ..*self };
            members.push((name.to_owned(), reader));
        }
        members
    }

    fn table<V: Visitor<'v>>(
        &self,
        visitor: V,
        table: Option<&'v map::Map<String, Value>>,
    ) -> Result<V::Value, Obstacle> {
        let members = self.members(table).into_iter();
        visitor.visit_map(Table { members, value: None })
    }

    fn list<V: Visitor<'v>>(&self, visitor: V, values: &'v [Value]) -> Result<V::Value, Obstacle> {
        let readers: Vec<Self> = values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| self.below(Some(value), child(&self.pointer, &index.to_string())))
            .collect();
        visitor.visit_seq(List { readers: readers.into_iter() })
    }

    fn plain<V: Visitor<'v>>(&self, visitor: V, value: &'v Value) -> Result<V::Value, Obstacle> {
        match value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => visit_number(visitor, number),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(values) => self.list(visitor, values),
            Value::Object(table) => self.table(visitor, Some(table)),
        }
    }

    /// Hands over the value, or the stand-in.
    fn visit<V, P>(self, visitor: V, probe: P) -> Result<V::Value, Obstacle>
    where
        V: Visitor<'v>,
        P: FnOnce(&Self, V) -> Result<V::Value, Obstacle>,
    {
        let outcome = match self.node {
            Node::Value(value) => self.plain(visitor, value),
            Node::Probe => probe(&self, visitor),
        };
        outcome.map_err(|obstacle| obstacle.at(&self.pointer))
    }
}

fn visit_number<'v, V: Visitor<'v>>(visitor: V, number: &Number) -> Result<V::Value, Obstacle> {
    if let Some(whole) = number.as_u64() {
        return visitor.visit_u64(whole);
    }
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => visitor.visit_i64(whole),
        (None, Some(decimal)) => visitor.visit_f64(decimal),
        (None, None) => Err(Obstacle::custom("the number is too large")),
    }
}

impl<'v> Deserializer<'v> for Reader<'v> {
    type Error = Obstacle;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.visit(visitor, |_, visitor| visitor.visit_unit())
    }

    fn deserialize_bool<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.visit(visitor, |_, visitor| visitor.visit_bool(false))
    }

    fn deserialize_u8<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u64<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.visit(visitor, |_, visitor| visitor.visit_u64(1))
    }

    fn deserialize_i32<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i64<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f32<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.visit(visitor, |_, visitor| visitor.visit_f64(1.0))
    }

    fn deserialize_str<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.visit(visitor, |_, visitor| visitor.visit_str("x"))
    }

    fn deserialize_string<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        match self.node {
            Node::Value(Value::Null) | Node::Probe => visitor.visit_none(),
            Node::Value(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(self, _: &'static str, visitor: V) -> Result<V::Value, Obstacle> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.visit(visitor, |reader, visitor| reader.list(visitor, &[]))
    }

    fn deserialize_map<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.visit(visitor, |reader, visitor| reader.table(visitor, None))
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Obstacle> {
        // A derived visitor would take a list as the fields in order, and tell mistakes in it as if they were fields.
        if let Node::Value(Value::Array(_)) = self.node {
            return Err(Obstacle::invalid_type(Unexpected::Seq, &"a table").at(&self.pointer));
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Obstacle> {
        let pointer = self.pointer.clone();
        if name == SECRET {
            self.secrets.borrow_mut().insert(pointer.clone());
        }
        let choice = match self.node {
            Node::Probe => {
                Ok(Choice { name: variants.first().copied().unwrap_or_default().to_owned(), content: Some(self) })
            }
            Node::Value(Value::String(name)) => Ok(Choice { name: name.clone(), content: None }),
            Node::Value(Value::Object(table)) => {
                let mut members = self.members(Some(table)).into_iter();
                match (members.next(), members.next()) {
                    (Some((name, content)), None) => Ok(Choice { name, content: Some(content) }),
                    _ => Err(Obstacle::choice("a table of another form", variants)),
                }
            }
            Node::Value(Value::Array(_)) => Err(Obstacle::choice("a list", variants)),
            Node::Value(Value::Number(_)) => Err(Obstacle::choice("a number", variants)),
            Node::Value(Value::Bool(_)) => Err(Obstacle::choice("a boolean", variants)),
            Node::Value(Value::Null) => Err(Obstacle::choice("nothing", variants)),
        };
        choice.and_then(|choice| visitor.visit_enum(choice)).map_err(|obstacle| obstacle.at(&pointer))
    }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'v>>
        i8 i16 i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Table<'v> {
    members: std::vec::IntoIter<(String, Reader<'v>)>,
    value: Option<Reader<'v>>,
}

impl<'v> MapAccess<'v> for Table<'v> {
    type Error = Obstacle;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result<Option<K::Value>, Obstacle> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.value = Some(value);
        let name: StringDeserializer<Obstacle> = key.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'v>>(&mut self, seed: V) -> Result<V::Value, Obstacle> {
        let value = self.value.take().ok_or_else(|| Obstacle::custom("a value was asked for before its name"))?;
        descend(seed, value)
    }
}

struct List<'v> {
    readers: std::vec::IntoIter<Reader<'v>>,
}

impl<'v> SeqAccess<'v> for List<'v> {
    type Error = Obstacle;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<Option<T::Value>, Obstacle> {
        self.readers.next().map(|reader| descend(seed, reader)).transpose()
    }
}

/// Reads a part; what is wrong with it after reading (a conversion that fails) is told by its place as well.
fn descend<'v, S: DeserializeSeed<'v>>(seed: S, reader: Reader<'v>) -> Result<S::Value, Obstacle> {
    let pointer = reader.pointer.clone();
    seed.deserialize(reader).map_err(|obstacle| obstacle.at(&pointer))
}

struct Choice<'v> {
    name: String,
    content: Option<Reader<'v>>,
}

impl<'v> EnumAccess<'v> for Choice<'v> {
    type Error = Obstacle;
    type Variant = Content<'v>;

    fn variant_seed<V: DeserializeSeed<'v>>(self, seed: V) -> Result<(V::Value, Content<'v>), Obstacle> {
        let name: StringDeserializer<Obstacle> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

struct Content<'v>(Option<Reader<'v>>);

impl<'v> Content<'v> {
    fn reader(self) -> Result<Reader<'v>, Obstacle> {
        self.0.ok_or_else(|| Obstacle::custom("the choice needs a value: write it as { name = value }"))
    }
}

impl<'v> VariantAccess<'v> for Content<'v> {
    type Error = Obstacle;

    fn unit_variant(self) -> Result<(), Obstacle> {
        match self.0 {
            None | Some(Reader { node: Node::Probe, .. }) => Ok(()),
            Some(_) => Err(Obstacle::custom("the choice takes no value: write its name alone")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<T::Value, Obstacle> {
        descend(seed, self.reader()?)
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value, Obstacle> {
        self.reader()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'v>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Obstacle> {
        self.reader()?.deserialize_map(visitor)
    }
}
