//! What a person does about an entry besides looking: looks for a petitioner, unseals, says of which kind a ticket is. One place
//! for the console, the API and the command line; that it was done is written down first.

use connectors::complaint::Petitioner;
use jiff::Timestamp;

use crate::{
    assess::Kind,
    calendar::Calendar,
    ids::EntryId,
    intake::{RAW, raw_identity},
    issue::PETITIONER,
    mask::{canonical_email, canonical_phone},
    number::TicketNumber,
    seal::{IndexKind, Keyring, SealContext, SealError},
    store::{Store, StoreError, journal::Act, merges::Asked},
    telemetry::names::UNSEALINGS,
};

/// By what a petitioner is looked for.
#[derive(Clone, Copy)]
pub enum Contact<'a> {
    /// A telephone number, in any form.
    Phone(&'a str),
    /// An e-mail address.
    Email(&'a str),
}

impl<'a> Contact<'a> {
    /// A number or an address, whichever it looks like.
    pub fn of(text: &'a str) -> Self {
        if text.contains(['@', '＠']) { Self::Email(text) } else { Self::Phone(text) }
    }

    /// What it is, as it is written down: never whose.
    pub fn by(self) -> &'static str {
        match self {
            Self::Phone(_) => "phone",
            Self::Email(_) => "email",
        }
    }

    /// The keyed hash under which the petitioner's entries are found; nothing where it is no whole number or address.
    pub fn key(self, keyring: &Keyring) -> Option<Vec<u8>> {
        let (kind, canonical) = match self {
            Self::Phone(phone) => (IndexKind::Phone, canonical_phone(phone)?),
            Self::Email(email) => (IndexKind::Email, canonical_email(email)?),
        };
        Some(keyring.index(kind, &canonical).0.to_vec())
    }
}

/// An entry, unsealed. It says who complained: it is shown to whoever asked and kept nowhere.
pub struct Unsealed {
    /// Form of the raw bytes: mail, json, row.
    pub form: String,
    /// The raw bytes exactly as received.
    pub raw: Vec<u8>,
    /// Who complained; nothing where the entry was never normalised.
    pub petitioner: Option<Petitioner>,
}

/// Why something was not unsealed.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// There is no such entry, or the database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be opened with the keys at hand.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Unseals an entry. Who does it and why is written down before anything is opened (Article 24; design promise 5).
///
/// # Errors
/// Where there is no such entry, the database fails, or the keys do not open it.
pub async fn unseal(
    store: &Store,
    keyring: &Keyring,
    entry: EntryId,
    asked: Asked<'_>,
) -> Result<Unsealed, UnsealError> {
    let form = store.entry(entry).await?.summary.form;
    let subject = entry.to_string();
    let act = Act { actor: asked.actor, action: "entry.unseal", subject: &subject, reason: Some(asked.reason) };
    store.audit(act, asked.now).await?;
    metrics::counter!(UNSEALINGS).increment(1);
    let (sealed, [connector, external_id, revision]) = store.sealed_raw(entry).await?;
    let identity = raw_identity(&connector, &external_id, &revision);
    let raw = keyring.open(SealContext::new(RAW, &identity), &sealed)?;
    let petitioner = match store.sealed_petitioner(entry).await {
        Ok(sealed) => Some(keyring.open_json(SealContext::new(PETITIONER, &subject), &sealed)?),
        // An entry that could not be read, or is not issued yet, has none.
        Err(StoreError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Unsealed { form, raw, petitioner })
}

/// Says of which kind a ticket is. Its time to completion (Article 15) runs from when it was opened.
///
/// # Errors
/// Where there is no such ticket, it was merged into another, or the database fails.
pub async fn change_kind(
    store: &Store,
    calendar: &Calendar,
    number: TicketNumber,
    kind: Kind,
    asked: Asked<'_>,
) -> Result<(), StoreError> {
    let opened: Timestamp = store.ticket(number).await?.opened_at;
    let due = calendar.add_working_days(opened, u16::from(kind.working_days())).ok();
    store.change_kind(number, kind, due, asked).await
}
