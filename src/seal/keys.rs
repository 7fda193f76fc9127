//! The key file: which keys seal, which only open, and which one hashes.

use std::{fmt, io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, aead::Generate as _};
use connectors::{fault::Fault, secret::SecretRef};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::Deserialize;

use super::LONGEST_ID;

/// Keys in a key file; rotated every year they last a lifetime.
const MOST_KEYS: usize = 64;
/// Bytes of a key file.
const LONGEST_FILE: usize = 64 * 1024;

/// Bytes of every key.
type Secret = Zeroizing<[u8; 32]>;

/// The keys: the first seals, all open; one more hashes. Erased from memory when dropped, and never shown.
///
/// ```toml
/// # Keyed hashes of telephone numbers and e-mail addresses. Never change it: nothing would be found again.
/// index = "…"
///
/// # The first key seals; the others only open. To rotate, put a new one above the others.
/// [[key]]
/// id = "2027a"
/// secret = "…"
///
/// [[key]]
/// id = "2026a"
/// secret = "…"
/// ```
///
/// Secrets are 32 random bytes in base64.
pub struct Keyring {
    first: SealingKey,
    others: Vec<SealingKey>,
    index: Secret,
}

pub(super) struct SealingKey {
    pub(super) id: String,
    pub(super) cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keyring").finish_non_exhaustive()
    }
}

/// Why keys cannot be used or made. Quotes nothing from the key file but ids.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or the environment variable is missing or empty.
    #[error("the keys cannot be read: {0}")]
    Missing(#[from] Fault),
    /// The text is no key file.
    #[error(
        "line {line} of the key file is not understood: it holds index = \"…\" first, then for each key [[key]] with \
         id = \"…\" and secret = \"…\", and nothing else"
    )]
    Syntax {
        /// The line, counted from 1.
        line: usize,
    },
    /// More than any key file holds.
    #[error("the key file is larger than 64 KiB or holds more than 64 keys: is it a key file?")]
    TooLarge,
    /// No key to seal with.
    #[error("the key file holds no [[key]]: make one with `jiesu key new`")]
    NoKey,
    /// An id that cannot be stored with what it seals.
    #[error(
        "the {place}. [[key]] of the key file has an id that is not 1 to 32 of A-Z a-z 0-9 . _ -: change it, as 2026a"
    )]
    Id {
        /// Which key, counted from 1.
        place: usize,
    },
    /// Two keys have one id.
    #[error("the key file holds the id {id:?} twice: give each key its own")]
    Repeated {
        /// The id.
        id: String,
    },
    /// A secret is not what it should be.
    #[error("the secret of {name} is not 32 bytes in base64: restore it from the backup of the key file")]
    Secret {
        /// "index", or the key's id.
        name: String,
    },
    /// One secret serves twice.
    #[error("the secret of {name} is used twice in the key file: each key and the index need their own")]
    Reused {
        /// The key's id.
        name: String,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random numbers: no key can be made")]
    Random,
    /// The file for new keys is there already, or cannot be written.
    #[error("the key file {path} cannot be made: {error}; a key file is never overwritten, name another path")]
    Write {
        /// Which file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    index: SecretString,
    #[serde(default)]
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: String,
    secret: SecretString,
}

impl Keyring {
    /// Reads the keys from a file or an environment variable.
    ///
    /// # Errors
    /// They are missing or cannot be used.
    pub fn load(source: &SecretRef) -> Result<Self, KeyError> {
        Self::parse(source.reveal()?.expose_secret())
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// The text is no key file, or its keys cannot be used.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > LONGEST_FILE {
            return Err(KeyError::TooLarge);
        }
        // What the parser says quotes the line, and with it the secret: only the line's number is passed on.
        let file: KeyFile = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            KeyError::Syntax { line: 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count() }
        })?;
        if file.key.len() > MOST_KEYS {
            return Err(KeyError::TooLarge);
        }

        let index = secret("index", &file.index)?;
        let mut secrets = vec![index.clone()];
        let mut keys: Vec<SealingKey> = Vec::with_capacity(file.key.len());
        for (place, KeyEntry { id, secret: text }) in file.key.into_iter().enumerate() {
            if !is_id(&id) {
                return Err(KeyError::Id { place: place + 1 });
            }
            if keys.iter().any(|key| key.id == id) {
                return Err(KeyError::Repeated { id });
            }
            let secret = secret(&id, &text)?;
            if secrets.contains(&secret) {
                return Err(KeyError::Reused { name: id });
            }
            keys.push(SealingKey { id, cipher: XChaCha20Poly1305::new((&*secret).into()) });
            secrets.push(secret);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(KeyError::NoKey)?;
        Ok(Self { first, others: keys.collect(), index })
    }

    /// The text of a new key file, with one sealing key of that id (as `2026a`) and an index key.
    ///
    /// # Errors
    /// The id is not one, or the system gives no random numbers.
    pub fn generate(id: &str) -> Result<SecretString, KeyError> {
        let (index, key) = (random()?, Self::generate_key(id)?);
        let text = format!(
            "# Keys of Jiesu. Without them nothing personal can be read again: keep a copy apart from the database's.\n\n\
             # Keyed hashes of telephone numbers and e-mail addresses. Never change it: nothing would be found again.\n\
             index = \"{}\"\n\n\
             # The first key seals; the others only open. To rotate, put a new one above the others.\n{}",
            index.expose_secret(),
            key.expose_secret()
        );
        Ok(SecretString::from(text))
    }

    /// The text of one more sealing key, to be put above the others of a key file.
    ///
    /// # Errors
    /// The id is not one, or the system gives no random numbers.
    pub fn generate_key(id: &str) -> Result<SecretString, KeyError> {
        if !is_id(id) {
            return Err(KeyError::Id { place: 1 });
        }
        Ok(SecretString::from(format!("[[key]]\nid = \"{id}\"\nsecret = \"{}\"\n", random()?.expose_secret())))
    }

    /// Writes a new key file that only its owner can read. An existing file is left as it is.
    ///
    /// # Errors
    /// The file is there already or cannot be written; no keys can be made.
    pub fn create_file(path: &Path, id: &str) -> Result<(), KeyError> {
        let text = Self::generate(id)?;
        write_new(path, text.expose_secret().as_bytes())
            .map_err(|error| KeyError::Write { path: path.display().to_string(), error })
    }

    /// Puts a new sealing key above the others of a key file. The file is replaced whole or not at all.
    ///
    /// # Errors
    /// The file cannot be read or written or is no key file, the id is taken, or no key can be made.
    pub fn rotate_file(path: &Path, id: &str) -> Result<(), KeyError> {
        let key = Self::generate_key(id)?;
        let text = SecretRef::File(path.to_owned()).reveal()?;
        Self::parse(text.expose_secret())?;
        let text = text.expose_secret();
        let first = text.find("[[key]]").ok_or(KeyError::NoKey)?;
        let text = Zeroizing::new(format!("{}{}\n{}\n", &text[..first], key.expose_secret(), &text[first..]));
        // Two keys of one id would be a mistake that only the next start tells.
        Self::parse(&text)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let beside = path.with_file_name(name);
        write_new(&beside, text.as_bytes())
            .and_then(|()| std::fs::rename(&beside, path))
            .map_err(|error| KeyError::Write { path: path.display().to_string(), error })
    }

    /// Ids of the keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.first).chain(&self.others).map(|key| key.id.as_str())
    }

    pub(super) fn active(&self) -> &SealingKey {
        &self.first
    }

    pub(super) fn key(&self, id: &str) -> Option<&SealingKey> {
        std::iter::once(&self.first).chain(&self.others).find(|key| key.id == id)
    }

    pub(super) fn index_key(&self) -> &[u8; 32] {
        &self.index
    }
}

/// Writes a file that is not there yet and that only its owner can read.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    // What is sealed with a key that a power cut took away is lost.
    file.sync_all()
}

/// Whether a text can be a key's id.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(fits)
}

fn secret(name: &str, text: &SecretString) -> Result<Secret, KeyError> {
    let bytes = Zeroizing::new(STANDARD.decode(text.expose_secret()).unwrap_or_default());
    let mut secret = Secret::default();
    if bytes.len() != secret.len() {
        return Err(KeyError::Secret { name: name.to_owned() });
    }
    secret.copy_from_slice(&bytes);
    Ok(secret)
}

fn random() -> Result<SecretString, KeyError> {
    let bytes = Secret::new(<[u8; 32]>::try_generate().map_err(|_| KeyError::Random)?);
    Ok(SecretString::from(STANDARD.encode(*bytes)))
}
