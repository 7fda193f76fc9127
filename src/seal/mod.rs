//! Seals what is personal before it is stored, and unseals it for those who may see it.
//!
//! Article 24 of 辽市政发〔2017〕58号 forbids giving away a petitioner's name, telephone number, address or IP. A copy of the
//! database, a backup or a stolen disk must therefore tell nothing: raw entries and petitioners are stored only as what
//! [`Keyring::seal`] returns. What must be found again although it is sealed (the same telephone number, the same
//! mailbox) is found by a [`BlindIndex`], a keyed hash that cannot be reversed by trying all telephone numbers without
//! the key.
//!
//! A sealed value is bound to its place ([`SealContext`]): copied into another row or column it does not open.
//!
//! ```text
//! 1 byte    version, 1
//! 1 byte    length of the key's id
//! 1 to 32   the key's id
//! 24 bytes  nonce, random
//! rest      XChaCha20-Poly1305 of the value, with its tag of 16 bytes; the bytes before it, and the context, are
//!           authenticated with it
//! ```

mod keys;

use chacha20poly1305::{
    AeadInOut as _, Tag, XNonce,
    aead::{Generate as _, KeyInit as _},
};
use hmac::{Hmac, Mac as _};
use secrecy::zeroize::Zeroizing;
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;

pub(crate) use self::keys::write_new;
pub use self::keys::{KeyError, Keyring};

/// Version of the sealed form.
const VERSION: u8 = 1;
/// Bytes of a key's id.
const LONGEST_ID: usize = 32;
/// Bytes of a nonce.
const NONCE: usize = 24;
/// Bytes of a tag.
const TAG: usize = 16;

/// Where a sealed value belongs: the column, and the row within it. It opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    place: &'static str,
    id: &'a str,
}

impl<'a> SealContext<'a> {
    /// The value of `place` ("entry.raw") in the row `id`. The id must never change, and is itself not sealed; where the
    /// store gives a row its id only when it is written, take what else is unique to the row.
    pub const fn new(place: &'static str, id: &'a str) -> Self {
        Self { place, id }
    }

    /// What is authenticated with the value: no two contexts come to the same bytes, since each part tells its length.
    fn bind(self, head: &[u8]) -> Vec<u8> {
        let mut bound = Vec::with_capacity(head.len() + self.place.len() + self.id.len() + 24);
        for part in [head, self.place.as_bytes(), self.id.as_bytes()] {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part);
        }
        bound
    }
}

/// A sealed value, as it is stored. Only [`Keyring::seal`] makes one; a store that asks for it cannot be given plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// A value as it was read from the store; whether it opens shows when it is opened.
    pub fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to store.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Sealed({} bytes)", self.0.len())
    }
}

/// Why a value cannot be sealed or unsealed. Tells nothing of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is not a sealed value.
    #[error(
        "{place}: the stored bytes are no sealed value: the row was damaged or written by something else; restore it"
    )]
    Malformed {
        /// Where it was read.
        place: &'static str,
    },
    /// It was sealed with a key that the keyring does not have.
    #[error(
        "{place}: sealed with the key {key:?}, which the key file does not have: add that key again, below the first"
    )]
    UnknownKey {
        /// Where it was read.
        place: &'static str,
        /// The key's id.
        key: String,
    },
    /// It was changed, or belongs to another place, or the key file has another secret under that id.
    #[error(
        "{place}: the sealed value was changed, was moved from another row, or the secret of the key {key:?} is not the \
         one it was sealed with: compare the key file with its backup, else restore the row"
    )]
    Tampered {
        /// Where it was read.
        place: &'static str,
        /// The key's id.
        key: String,
    },
    /// What was sealed is not the JSON that is wanted there, or the value to seal has no JSON form.
    #[error(
        "{place}: the value does not have the JSON form that is expected there; was the row written by a newer version?"
    )]
    Json {
        /// Where it was read.
        place: &'static str,
    },
    /// The system gave no random bytes, or the value is larger than the cipher takes (256 GiB).
    #[error("{place}: the value cannot be sealed: the system gives no random numbers, or the value is too large")]
    Unsealable {
        /// Where it was to be written.
        place: &'static str,
    },
}

/// What a keyed hash was taken of; the same text of two kinds comes to two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexKind {
    /// A telephone number, canonical.
    Phone,
    /// An e-mail address, canonical.
    Email,
    /// A network address, or the network that one subscriber has.
    Network,
    /// A piece of an item, by connector, item and content.
    Fragment,
    /// A query code.
    QueryCode,
    /// What only this gateway can tell of a submission: its query code, its number, that its form is ours.
    Submission,
    /// A user of one connector, by the name or number that its source gives.
    Account,
    /// A person's name: namesakes are many, so it never tells by itself.
    Name,
}

impl IndexKind {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Phone => b"phone",
            Self::Email => b"email",
            Self::Network => b"network",
            Self::Fragment => b"fragment",
            Self::QueryCode => b"query code",
            Self::Submission => b"submission",
            Self::Account => b"account",
            Self::Name => b"name",
        }
    }
}

/// A keyed hash by which a sealed telephone number or e-mail address is found again.
///
/// It is HMAC-SHA256 cut to 128 bits (RFC 2104, section 5): short enough for an index, and two of a billion different
/// values are the same with a probability below 10⁻²⁰.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindIndex(pub [u8; 16]);

impl std::fmt::Debug for BlindIndex {
    /// Says nothing: equal hashes would tell a reader of logs which complaints have one petitioner.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BlindIndex").finish_non_exhaustive()
    }
}

impl Keyring {
    /// Seals `value` with the first key, for `context` only.
    ///
    /// # Errors
    /// The system gives no random numbers, or the value is larger than 256 GiB.
    pub fn seal(&self, context: SealContext<'_>, value: &[u8]) -> Result<Sealed, SealError> {
        let unsealable = SealError::Unsealable { place: context.place };
        let key = self.active();
        let nonce = XNonce::try_generate().map_err(|_| unsealable.clone())?;

        let id = key.id.as_bytes();
        let mut sealed = Vec::with_capacity(2 + id.len() + NONCE + value.len() + TAG);
        // Ids of a keyring are at most 32 bytes.
        sealed.extend([VERSION, u8::try_from(id.len()).unwrap_or(u8::MAX)]);
        sealed.extend_from_slice(id);
        sealed.extend_from_slice(&nonce);
        let bound = context.bind(&sealed);
        let start = sealed.len();
        sealed.extend_from_slice(value);
        let (_, buffer) = sealed.split_at_mut(start);
        let tag = key.cipher.encrypt_inout_detached(&nonce, &bound, buffer.into()).map_err(|_| unsealable)?;
        sealed.extend_from_slice(&tag);
        Ok(Sealed(sealed))
    }

    /// Unseals what was sealed for `context`, with whichever key sealed it.
    ///
    /// # Errors
    /// Not a sealed value; a key that the keyring does not have; changed, or sealed for another context.
    pub fn open(&self, context: SealContext<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let place = context.place;
        let parts = Parts::of(&sealed.0).ok_or(SealError::Malformed { place })?;
        let key = self.key(parts.key).ok_or_else(|| SealError::UnknownKey { place, key: parts.key.to_owned() })?;
        let mut value = parts.text.to_vec();
        let bound = context.bind(parts.head);
        key.cipher
            .decrypt_inout_detached(&parts.nonce, &bound, value.as_mut_slice().into(), &parts.tag)
            .map_err(|_| SealError::Tampered { place, key: parts.key.to_owned() })?;
        Ok(value)
    }

    /// Seals the JSON form of `value`.
    ///
    /// # Errors
    /// As [`Keyring::seal`]; the value has no JSON form.
    pub fn seal_json<T: Serialize + ?Sized>(&self, context: SealContext<'_>, value: &T) -> Result<Sealed, SealError> {
        // What serde_json says may quote the value.
        let text = serde_json::to_vec(value).map_err(|_| SealError::Json { place: context.place })?;
        self.seal(context, &Zeroizing::new(text))
    }

    /// Unseals a value from its JSON form.
    ///
    /// # Errors
    /// As [`Keyring::open`]; the JSON is not that of a `T`.
    pub fn open_json<T: DeserializeOwned>(&self, context: SealContext<'_>, sealed: &Sealed) -> Result<T, SealError> {
        let text = Zeroizing::new(self.open(context, sealed)?);
        serde_json::from_slice(&text).map_err(|_| SealError::Json { place: context.place })
    }

    /// Whether a value is sealed with another key than the first, so that a rotation has it to seal again.
    pub fn is_stale(&self, sealed: &Sealed) -> bool {
        Parts::of(&sealed.0).is_none_or(|parts| parts.key != self.active().id)
    }

    /// The keyed hash of a telephone number or an e-mail address in its canonical form.
    ///
    /// It depends on the index key only: sealing keys may come and go.
    pub fn index(&self, kind: IndexKind, canonical: &str) -> BlindIndex {
        // A key shorter than the hash's block is filled up with zeros (RFC 2104, section 2).
        let mut block = Zeroizing::new([0; 64]);
        let (start, _) = block.split_at_mut(32);
        start.copy_from_slice(self.index_key());
        let mut hash = Hmac::<Sha256>::new((&*block).into());
        hash.update(b"jiesu.index.1\0");
        hash.update(kind.label());
        hash.update(b"\0");
        hash.update(canonical.as_bytes());
        let whole: [u8; 32] = hash.finalize().into_bytes().into();
        let (short, _) = whole.split_at(16);
        let mut index = [0; 16];
        index.copy_from_slice(short);
        BlindIndex(index)
    }
}

/// A sealed value, taken apart.
struct Parts<'a> {
    head: &'a [u8],
    key: &'a str,
    nonce: XNonce,
    text: &'a [u8],
    tag: Tag,
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Option<Self> {
        let [VERSION, length, rest @ ..] = sealed else {
            return None;
        };
        let length = usize::from(*length);
        let (key, rest) = rest.split_at_checked(length)?;
        let (nonce, rest) = rest.split_at_checked(NONCE)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        let key = std::str::from_utf8(key).ok().filter(|key| keys::is_id(key))?;
        Some(Self {
            head: sealed.get(..2 + length + NONCE)?,
            key,
            nonce: XNonce::try_from(nonce).ok()?,
            text,
            tag: Tag::try_from(tag).ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
