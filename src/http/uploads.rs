//! Files handed over over HTTP: letters and exports, taken in as if their connector had found them in its folder. Answered
//! 2xx only once every item is stored; sent again, what was stored changes nothing.

use std::sync::Arc;

use ::connectors::{
    contract::{Adapter, HandedOver, Limits},
    entry::{ConnectorName, Item},
};
use axum::{
    Extension, Json,
    body::{Body, Bytes},
    extract::State,
};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    auth::Actor,
    error::{ApiError, BadField, Code},
    extract::{Checks, Named, Params},
};
use crate::{
    config::ConnectorDefinition,
    intake::{IntakeError, pages},
    store::{intake::Taken, journal::Act},
};

/// Bytes of one upload, whatever its connector allows; more is for the watched folder.
pub const MAX_UPLOAD: u64 = 64 * 1024 * 1024;
/// Uploads held in memory at once.
pub(super) const UPLOADS: usize = 2;
/// Characters of a file's name.
const MAX_NAME: usize = 200;
/// Items that could not be read and are named in a report.
const NAMED: usize = 200;

/// What the file is called.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Upload {
    /// The file's name; its ending says what it is: .csv, .tsv, .xlsx, .eml or .mbox.
    name: String,
}

/// What became of a file.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Report {
    /// Items in it.
    items: usize,
    /// Entries that are new.
    stored: usize,
    /// Items that were known already.
    repeats: usize,
    /// Items that could not be read; they stand in quarantine.
    quarantined: usize,
    /// The first 200 of those that could not be read.
    unread: Vec<UnreadItem>,
}

/// An item that could not be read.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UnreadItem {
    /// Where it stands in the file: the line, or the number of the mail.
    place: String,
    /// Why it could not be read.
    reason: String,
}

/// Hand a file over. 上传信件或导出文件
///
/// The body is the file itself. Rows that cannot be read go to quarantine by themselves; an archive or a file of another kind is
/// refused whole with what to do. The same file sent again, and exports that overlap, add nothing.
#[utoipa::path(post, path = "/v1/connectors/{name}/files", tag = "connectors",
    params(("name" = String, Path, description = "Name of a connector whose adapter takes files"), Upload),
    request_body(content = Vec<u8>, description = "The file", content_type = "application/octet-stream"),
    responses((status = 200, description = "Stored", body = Report),
        (status = 409, description = "The connector takes no files"),
        (status = 413, description = "Larger than the connector or 64 MiB allow"),
        (status = 422, description = "The file cannot be read; nothing of it is stored")))]
pub(super) async fn upload(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(name): Named<ConnectorName>,
    Params(Upload { name: file }): Params<Upload>,
    body: Body,
) -> Result<Json<Report>, ApiError> {
    let mut checks = Checks::default();
    checks.text("name", &file, MAX_NAME);
    checks.done()?;
    let adapter = adapter(&api, &name).await?;
    let most = adapter.file_bytes().min(MAX_UPLOAD);
    if most == 0 {
        return Err(ApiError::new(Code::Conflict, format!("the connector {name} takes no files")));
    }
    let Ok(_slot) = api.uploads.try_acquire() else {
        return Err(ApiError::new(Code::Busy, "other files are being taken in; send it again shortly"));
    };
    let bytes = read(body, most).await?;
    let told = format!("{} bytes", bytes.len());
    let act = Act { actor: &actor, action: "connector.upload", subject: name.as_str(), reason: Some(&told) };
    api.store.audit(act, api.clock.now()).await?;
    let items = expand(adapter, file, bytes, api.items).await?;
    let mut report = Report { items: items.len(), ..Report::default() };
    for page in pages(items, &api.items, |one| one.item.size()) {
        take(&api, &name, page, &mut report).await?;
    }
    Ok(Json(report))
}

async fn adapter(api: &Api, name: &ConnectorName) -> Result<Box<dyn Adapter>, ApiError> {
    let stored = api.store.connector(name).await?;
    let broken = || ApiError::new(Code::Conflict, format!("the definition of the connector {name} cannot be used"));
    let definition: ConnectorDefinition = serde_json::from_str(&stored.definition).map_err(|_| broken())?;
    definition.adapter().map_err(|_| broken())
}

async fn read(body: Body, most: u64) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::new(Code::Malformed, "the body broke off; send it again"))?;
        if (whole.len() + chunk.len()) as u64 > most {
            let message =
                format!("the file is larger than {most} bytes; cut it in pieces, what overlaps is recognised");
            return Err(ApiError::new(Code::TooLarge, message));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

/// Away from the threads that serve everything else: a large table takes a while.
async fn expand(
    adapter: Box<dyn Adapter>,
    file: String,
    bytes: Bytes,
    limits: Limits,
) -> Result<Vec<HandedOver>, ApiError> {
    let read = tokio::task::spawn_blocking(move || adapter.read_file(&file, bytes, &limits));
    match read.await {
        Ok(Some(Ok(items))) => Ok(items),
        Ok(Some(Err(fault))) => Err(ApiError::invalid(vec![BadField::new("body", fault.to_string())])),
        Ok(None) => Err(ApiError::new(Code::Conflict, "the connector takes no files")),
        Err(_) => Err(ApiError::new(Code::Internal, "the reading of the file was broken off")),
    }
}

async fn take(api: &Api, name: &ConnectorName, page: Vec<HandedOver>, report: &mut Report) -> Result<(), ApiError> {
    let mut items = Vec::with_capacity(page.len());
    for HandedOver { place, item } in page {
        if let (Some(place), Item::Unread(unread)) = (place, &item)
            && report.unread.len() < NAMED
        {
            report.unread.push(UnreadItem { place, reason: unread.reason.clone() });
        }
        items.push(item);
    }
    for taken in api.intake.take_items(name, items).await.map_err(not_taken)? {
        match taken {
            Taken::Stored(_) => report.stored += 1,
            Taken::Quarantined(_) => report.quarantined += 1,
            Taken::Repeat | Taken::Reused | Taken::Kept => report.repeats += 1,
        }
    }
    Ok(())
}

fn not_taken(error: IntakeError) -> ApiError {
    match error {
        IntakeError::Store(error) => error.into(),
        IntakeError::Seal(error) => error.into(),
        IntakeError::Busy(_) | IntakeError::NotStored => {
            ApiError::new(Code::Busy, "not all of it was stored; send it again")
        }
    }
}

/// How many uploads are worked on at once.
pub fn slots() -> Semaphore {
    Semaphore::new(UPLOADS)
}
