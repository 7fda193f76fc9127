//! One item exactly as received, and the names by which it is known.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::complaint::Stamp;

/// The name of a connector: lower-case letters, digits and hyphens, 1 to 64 of them, starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectorName(String);

/// A connector's name was not of the form that names take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a connector's name is 1 to 64 lower-case letters, digits and hyphens and starts with a letter, not {0:?}")]
pub struct BadName(String);

impl ConnectorName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConnectorName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let well_formed = (1..=64).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if well_formed { Ok(Self(text.to_owned())) } else { Err(BadName(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for ConnectorName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<ConnectorName> for String {
    fn from(name: ConnectorName) -> Self {
        name.0
    }
}

impl fmt::Display for ConnectorName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What the source calls an item; stable for as long as the item exists there. At most [`ExternalId::MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternalId(String);

impl ExternalId {
    /// The longest id kept as it is, in bytes; a longer one is replaced by its digest, so that it stays unique.
    pub const MAX: usize = 200;

    /// Takes an id from a source. Control characters and excess length are untrusted: such an id becomes its digest.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() || text.len() > Self::MAX || text.chars().any(char::is_control) {
            Self(format!("sha256:{}", digest_hex(&[text.as_bytes()])))
        } else {
            Self(text.to_owned())
        }
    }

    /// An id made of content, for sources whose own ids cannot be trusted.
    pub fn of_content(parts: &[&[u8]]) -> Self {
        Self(format!("sha256:{}", digest_hex(parts)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tells one state of an item from a later, edited state of the same item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(String);

impl Revision {
    /// The revision of an item that its source never edits.
    pub fn only() -> Self {
        Self("0".to_owned())
    }

    /// A revision named by the parts of the item that an edit would change.
    pub fn of_content(parts: &[&[u8]]) -> Self {
        let mut digest = digest_hex(parts);
        digest.truncate(16);
        Self(digest)
    }

    /// A revision as it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The revision as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 over the parts, each preceded by its length so that no two lists of parts collide, in hexadecimal.
pub fn digest_hex(parts: &[&[u8]]) -> String {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        text
    })
}

/// Something the reader of an entry must know about how it was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "remark", rename_all = "snake_case")]
pub enum Remark {
    /// The item was larger than the limit: `raw` holds its beginning only.
    Oversize {
        /// Size at the source in bytes, where it was known.
        size: Option<u64>,
        /// The limit in bytes.
        limit: u64,
    },
    /// A bound of the parser was met; the text says which, and what was left out.
    Bounded {
        /// Which bound, in words, without anything from the item.
        what: String,
    },
    /// The source's clock or date cannot be right; our received time rules.
    Clock {
        /// What is wrong, in words.
        what: String,
    },
    /// The source shows the item no more: its author or the site has taken it down.
    Withdrawn,
    /// Something was repaired to make the item readable.
    Mended {
        /// What was repaired, in words, without anything from the item.
        what: String,
    },
    /// Something is missing or does not add up, and a person should ask.
    Doubtful {
        /// What, in words, without anything from the item.
        what: String,
    },
    /// How the petitioner wishes it to be dealt with.
    Wish {
        /// What is wished, in Chinese words of ours, without anything from the item.
        what: String,
    },
}

/// The form that the raw bytes of an entry take, which its adapter's normaliser must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A mail, RFC 5322.
    Mail,
    /// One JSON document.
    Json,
    /// One row of a table, as a JSON object of its columns.
    Row,
}

impl Form {
    /// The name under which the form is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Json => "json",
            Self::Row => "row",
        }
    }

    /// The form with that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Mail, Self::Json, Self::Row].into_iter().find(|form| form.as_str() == name)
    }
}

/// One item exactly as received; immutable once stored. Identified by (connector, external id, revision).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// What the source calls it.
    pub external_id: ExternalId,
    /// Which state of it this is.
    pub revision: Revision,
    /// The id of the delivery that brought it, where the source numbers deliveries; one id is taken once, for ever.
    pub delivery_id: Option<String>,
    /// When the source says it came into being.
    pub source_time: Option<Stamp>,
    /// The form of the bytes.
    pub form: Form,
    /// The bytes, exactly as received (or their beginning, with [`Remark::Oversize`]).
    pub raw: Bytes,
    /// What was noticed while it was taken in.
    pub remarks: Vec<Remark>,
}

/// An item that could not be read; it is kept whole, as far as there is anything of it, and shown in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What the source calls it.
    pub external_id: ExternalId,
    /// Which state of it this is.
    pub revision: Revision,
    /// The form it would have had.
    pub form: Form,
    /// What there is of it.
    pub raw: Bytes,
    /// Why it could not be read, in words and without anything personal.
    pub reason: String,
}

/// A piece of an item whose source sends it piece by piece: an event of a telephone call, the form that its agent filled in.
/// It is stored as durably as an entry; [`crate::contract::Gather`] says when the pieces of an item are one entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Fragment {
    /// What the source calls the item that this is a piece of.
    pub item: ExternalId,
    /// What tells this piece from the others of its item: two pieces that have this in common are one, come twice.
    pub content: Bytes,
    /// The id of the delivery that brought it; one id is taken once, for ever.
    pub delivery_id: Option<String>,
    /// The bytes, exactly as received.
    pub raw: Bytes,
}

impl fmt::Debug for Fragment {
    /// Says nothing of what it holds (Article 24).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fragment({} bytes)", self.raw.len())
    }
}

/// One item of a page: the outcome of reading it, which never concerns its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Read whole.
    Entry(RawEntry),
    /// Not readable: to quarantine.
    Unread(Unread),
    /// A piece of an item: kept until the item is whole.
    Fragment(Fragment),
}

impl Item {
    /// What the source calls the item.
    pub fn external_id(&self) -> &ExternalId {
        match self {
            Self::Entry(entry) => &entry.external_id,
            Self::Unread(unread) => &unread.external_id,
            Self::Fragment(fragment) => &fragment.item,
        }
    }

    /// Bytes of it that were received.
    pub fn size(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.raw.len(),
            Self::Unread(unread) => unread.raw.len(),
            Self::Fragment(fragment) => fragment.raw.len(),
        }
    }
}
