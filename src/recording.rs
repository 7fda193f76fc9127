//! The recording of a call (Article 24): fetched when somebody asks for it, and why is written down first. It passes through and
//! is stored nowhere.

use std::panic::{AssertUnwindSafe, catch_unwind};

use connectors::{
    entry::{ConnectorName, ExternalId, Form, RawEntry, Revision},
    fault::Fault,
    http::Download,
};
use jiff::Timestamp;

use crate::{
    config::ConnectorDefinition,
    directory::Directory,
    ids::EntryId,
    intake::{RAW, raw_identity},
    seal::{Keyring, SealContext, SealError},
    store::{Store, StoreError, journal::Act},
};

/// What the audit trail calls it.
pub const ACTION: &str = "entry.recording";

/// Why a recording cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The entry cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry cannot be unsealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The entry's call has none.
    #[error("来件 {0} 没有录音 / entry {0} refers to no recording")]
    None(EntryId),
    /// The connector's settings do not say where recordings lie.
    #[error(
        "接入点 {0} 未设置录音地址（recordings） / the settings of connector {0} do not say where recordings lie (`recordings`)"
    )]
    NotSetUp(ConnectorName),
    /// The source does not give it.
    #[error("录音未能取得 / the recording was not fetched: {0}")]
    Fetch(#[from] Fault),
}

/// Who asks, and why.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Who.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub at: Timestamp,
}

/// The connector of an entry.
///
/// # Errors
/// Where there is no such entry, or the database fails.
pub async fn connector(store: &Store, id: EntryId) -> Result<ConnectorName, RecordingError> {
    Ok(store.entry(id).await?.summary.connector)
}

/// Begins to fetch the recording of an entry's call, once it is written down who asks and why.
///
/// # Errors
/// Whatever keeps the recording from being fetched.
pub async fn fetch(
    store: &Store,
    keyring: &Keyring,
    directory: &Directory,
    definition: &ConnectorDefinition,
    id: EntryId,
    asking: Asking<'_>,
) -> Result<Download, RecordingError> {
    let told = store.entry(id).await?;
    let Asking { actor, reason, at } = asking;
    let subject = id.to_string();
    store.audit(Act { actor, action: ACTION, subject: &subject, reason: Some(reason) }, at).await?;
    let (sealed, [connector, external_id, revision]) = store.sealed_raw(id).await?;
    let identity = raw_identity(&connector, &external_id, &revision);
    let raw = keyring.open(SealContext::new(RAW, &identity), &sealed)?;
    let Some(form) = Form::parse(&told.summary.form) else { return Err(RecordingError::None(id)) };
    let entry = RawEntry {
        external_id: ExternalId::new(&external_id),
        revision: Revision::stored(revision),
        delivery_id: None,
        source_time: None,
        form,
        raw: raw.into(),
        remarks: told.remarks,
    };
    let adapter = definition.adapter().map_err(|error| Fault::configuration(error.to_string()))?;
    let normaliser = adapter.normaliser()?;
    // A panic of an adapter is no crash of the gateway.
    let reference = catch_unwind(AssertUnwindSafe(|| normaliser.recording(&entry)));
    let reference = reference.map_err(|_| Fault::permanent("its adapter failed in a way that it should not"))?;
    let reference = reference.ok_or(RecordingError::None(id))?;
    let recordings = adapter.recordings(&directory.toolbox(definition)?)?;
    let recordings = recordings.ok_or_else(|| RecordingError::NotSetUp(definition.name.clone()))?;
    Ok(recordings.fetch(&reference).await?)
}
