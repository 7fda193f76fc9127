//! The recording of a call over HTTP: passed on as it comes from its source, and kept nowhere.

use std::sync::Arc;

use ::connectors::http::Download;
use axum::{
    Extension,
    body::Body as Stream,
    extract::State,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Api,
    auth::Actor,
    error::{ApiError, Code},
    extract::{Checks, MAX_REASON, Named, Params},
};
use crate::{
    ids::EntryId,
    recording::{self, Asking},
    telemetry::names::UNSEALINGS,
};

/// Why a recording is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Why {
    /// Why; 1 to 1000 characters. It is written down: nothing personal belongs in it.
    reason: String,
}

/// The recording of an entry's call. 通话录音
///
/// Fetched now, from where the connector's settings say that recordings lie, within their bounds; passed on as it comes and
/// stored nowhere. Written down with who and why before anything is opened (Article 24).
#[utoipa::path(get, path = "/v1/entries/{id}/recording", tag = "entries",
    params(("id" = i64, Path, description = "Id of the entry"), Why),
    responses((status = 200, description = "The recording", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "There is no such entry, or it refers to no recording"),
        (status = 409, description = "The connector's settings do not say where recordings lie"),
        (status = 502, description = "The source does not give it")))]
pub(super) async fn recording(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(id): Named<EntryId>,
    Params(Why { reason }): Params<Why>,
) -> Result<Response, ApiError> {
    let mut checks = Checks::default();
    checks.text("reason", &reason, MAX_REASON);
    checks.done()?;
    let name = recording::connector(&api.store, id).await?;
    let directory = &api.tools.directory;
    if directory.get(&name).is_none() {
        directory.refresh(&api.store).await?;
    }
    let definition = directory.get(&name).and_then(|connector| connector.definition.clone());
    let definition = definition
        .ok_or_else(|| ApiError::new(Code::Conflict, format!("the definition of connector {name} cannot be read")))?;
    let asking = Asking { actor: &actor, reason: &reason, at: api.clock.now() };
    metrics::counter!(UNSEALINGS).increment(1);
    let download = recording::fetch(&api.store, &api.keyring, directory, &definition, id, asking).await?;
    Ok(passed_on(id, download))
}

/// The source's bytes under a type that no browser runs.
fn passed_on(id: EntryId, download: Download) -> Response {
    let kind = download.content_type.as_deref().filter(|kind| kind.starts_with("audio/"));
    let kind = kind.and_then(|kind| HeaderValue::from_str(kind).ok());
    let kind = kind.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"));
    let length = download.length;
    let stream = futures::stream::try_unfold(download, |mut download| async move {
        match download.chunk().await {
            Ok(Some(chunk)) => Ok(Some((chunk, download))),
            Ok(None) => Ok::<Option<(Bytes, Download)>, std::io::Error>(None),
            Err(fault) => {
                tracing::warn!(%fault, "a recording broke off");
                Err(std::io::Error::other(fault.to_string()))
            }
        }
    });
    let mut response = Stream::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"recording-{id}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}
