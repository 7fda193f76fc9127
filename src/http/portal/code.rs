//! What a citizen takes along of a submission, and how a form is known as ours. All of it follows from the submission's name
//! and the index key, so that sending the same form twice shows the same number and code, and nothing is kept of a form that
//! nobody sends.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use connectors::entry::{ConnectorName, ExternalId};
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use crate::seal::{IndexKind, Keyring};

/// What codes are written with: without 0, O, 1 and I, which people confuse.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Characters of a query code: 125 bits.
const CODE: usize = 25;
/// Characters of a reception number, without the letter before them.
const NUMBER: usize = 8;
/// Characters that are looked at where a person has typed a code or a number.
const LONGEST_TYPED: usize = 100;

/// What a citizen takes along.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Slip {
    /// Reception number (登记号), for telling it over the telephone; no secret.
    pub(super) number: String,
    /// Query code (查询码), which nobody else knows.
    pub(super) code: String,
}

impl std::fmt::Debug for Slip {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Slip(sealed)")
    }
}

/// What belongs to a submission.
pub(super) fn slip(keyring: &Keyring, connector: &ConnectorName, id: &ExternalId) -> Slip {
    let secret =
        |what: &str| keyring.index(IndexKind::Submission, &format!("{what}\u{1f}{connector}\u{1f}{}", id.as_str())).0;
    Slip { number: format!("R-{}", written(secret("number"), NUMBER, 4)), code: written(secret("code"), CODE, 5) }
}

/// The keyed hash under which a code is stored.
pub(super) fn stored(keyring: &Keyring, code: &str) -> Vec<u8> {
    keyring.index(IndexKind::QueryCode, &plain(code)).0.to_vec()
}

/// A code or a number as it is compared: whatever people do to it when they type it.
pub(super) fn plain(typed: &str) -> String {
    typed.nfkc().take(LONGEST_TYPED).filter(char::is_ascii_alphanumeric).map(|one| one.to_ascii_uppercase()).collect()
}

fn written(secret: [u8; 16], characters: usize, group: usize) -> String {
    let mut rest = u128::from_be_bytes(secret);
    let mut text = String::with_capacity(characters * 2);
    for place in 0..characters {
        if place > 0 && place % group == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(rest.to_le_bytes()[0] & 31)]));
        rest >>= 5;
    }
    text
}

/// How long a form may lie open before it is sent.
const FORM_AGE: SignedDuration = SignedDuration::from_hours(24);

/// A form that we have served: its name, which becomes the submission's, and when that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    nonce: Uuid,
    at: Timestamp,
}

impl Ticket {
    /// For a form that is served now.
    pub(super) fn new(nonce: Uuid, now: Timestamp) -> Self {
        Self { nonce, at: now }
    }

    /// The name of what is sent with the form.
    pub(super) fn id(&self) -> String {
        self.nonce.simple().to_string()
    }

    /// How long the form lay open.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.at)).unwrap_or_default()
    }

    /// The form's hidden field.
    pub(super) fn seal(&self, keyring: &Keyring, connector: &ConnectorName) -> String {
        let mut bytes = self.nonce.into_bytes().to_vec();
        bytes.extend_from_slice(&self.at.as_second().to_be_bytes());
        let mark = mark(keyring, connector, &bytes);
        bytes.extend_from_slice(&mark);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the hidden field; none where it is not ours, is another connector's, or has grown old.
    pub(super) fn open(text: &str, keyring: &Keyring, connector: &ConnectorName, now: Timestamp) -> Option<Self> {
        let bytes: [u8; 40] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (said, marked) = bytes.split_at(24);
        if !bool::from(mark(keyring, connector, said).ct_eq(marked)) {
            return None;
        }
        let (nonce, at) = said.split_at(16);
        let at = Timestamp::from_second(i64::from_be_bytes(at.try_into().ok()?)).ok()?;
        let nonce = Uuid::from_slice(nonce).ok()?;
        (now.duration_since(at).abs() <= FORM_AGE).then_some(Self { nonce, at })
    }
}

fn mark(keyring: &Keyring, connector: &ConnectorName, bytes: &[u8]) -> [u8; 16] {
    let said = URL_SAFE_NO_PAD.encode(bytes);
    keyring.index(IndexKind::Submission, &format!("form\u{1f}{connector}\u{1f}{said}")).0
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn keyring() -> Keyring {
        Keyring::parse(Keyring::generate("test").unwrap().expose_secret()).unwrap()
    }

    #[test]
    fn a_slip_follows_from_the_submission_and_the_key_alone() {
        let (keyring, name) = (keyring(), "portal".parse().unwrap());
        let first = slip(&keyring, &name, &ExternalId::new("a"));
        assert_eq!(slip(&keyring, &name, &ExternalId::new("a")), first);
        assert_ne!(slip(&keyring, &name, &ExternalId::new("b")).code, first.code);
        assert_ne!(slip(&super::tests::keyring(), &name, &ExternalId::new("a")).code, first.code);
        assert_eq!((first.code.len(), first.number.len()), (29, 11));
        assert!(!first.code.contains(['0', 'O', '1', 'I']), "{}", first.code);
        assert!(!format!("{first:?}").contains(&first.code));
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        let keyring = keyring();
        let code = slip(&keyring, &"portal".parse().unwrap(), &ExternalId::new("a")).code;
        let typed = format!(" {} ", code.replace('-', " ").to_lowercase());
        assert_eq!(stored(&keyring, &typed), stored(&keyring, &code));
        assert_eq!(plain("ｒ－７k２m"), "R7K2M");
    }

    #[test]
    fn a_form_is_known_as_ours_for_a_day_and_at_its_connector() {
        let (keyring, name): (_, ConnectorName) = (keyring(), "portal".parse().unwrap());
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let ticket = Ticket::new(Uuid::from_u128(7), now);
        let text = ticket.seal(&keyring, &name);
        let later = now + SignedDuration::from_secs(90);
        assert_eq!(Ticket::open(&text, &keyring, &name, later).unwrap().id(), ticket.id());
        assert_eq!(ticket.age(later), Duration::from_secs(90));
        assert_eq!(Ticket::open(&text, &keyring, &"other".parse().unwrap(), later), None);
        assert_eq!(Ticket::open(&text, &keyring, &name, now + SignedDuration::from_hours(25)), None);
        let mut forged = text.into_bytes();
        forged[3] ^= 1;
        assert_eq!(Ticket::open(&String::from_utf8(forged).unwrap(), &keyring, &name, later), None);
        assert_eq!(Ticket::open("", &keyring, &name, later), None);
    }
}
