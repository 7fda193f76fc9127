//! Entries (来件) over HTTP: where each of them ended and why, and what an admin can do about it. What identifies a
//! petitioner comes out by unsealing only, and every unsealing is written down first (design promise 5).

use std::sync::Arc;

use ::connectors::entry::ConnectorName;
use axum::{Extension, Json, extract::State, http::StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    auth::Actor,
    error::{ApiError, BadField},
    extract::{Body, Checks, MAX_REASON, Named, Params, limit},
    queue::Reason,
};
use crate::{
    assess::{Article, Disposition, Kind},
    desk::{self, Contact, UnsealError},
    ids::EntryId,
    issue::Ruling,
    number::TicketNumber,
    store::{
        journal::Act,
        merges::Asked,
        read::{Accounting, EntryStory, EntrySummary, Place},
        search::EntryFilter,
    },
};

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EntriesPage {
    /// Of this connector.
    #[param(value_type = Option<String>)]
    connector: Option<ConnectorName>,
    /// In this place.
    place: Option<Place>,
    /// Older than this one: `next` of the page before.
    before: Option<i64>,
    /// How many, 1 to 200; 50 without it.
    limit: Option<u32>,
}

/// Entries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entries {
    /// Newest first.
    entries: Vec<EntrySummary>,
    /// What to pass as `before` for the next page; nothing where this is the last one.
    next: Option<EntryId>,
}

async fn page(api: &Api, filter: &EntryFilter, asked: Option<u32>) -> Result<Json<Entries>, ApiError> {
    let limit = limit(asked)?;
    let found = api.store.search_entries(filter, limit).await?;
    Ok(Json(Entries { entries: found.entries, next: found.next }))
}

/// Entries, newest first. 来件列表
#[utoipa::path(get, path = "/v1/entries", tag = "entries", params(EntriesPage),
    responses((status = 200, description = "A page", body = Entries)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Params(asked): Params<EntriesPage>,
) -> Result<Json<Entries>, ApiError> {
    let filter = EntryFilter {
        connector: asked.connector,
        place: asked.place,
        before: asked.before.map(EntryId),
        ..EntryFilter::default()
    };
    page(&api, &filter, asked.limit).await
}

/// Whose entries. A telephone number or an address stands in the body, never in an address that is logged on the way.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// Of the petitioner with this telephone number, in any form.
    #[serde(default)]
    phone: Option<String>,
    /// Of the petitioner with this e-mail address.
    #[serde(default)]
    email: Option<String>,
    /// Of this connector.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    connector: Option<ConnectorName>,
    /// In this place.
    #[serde(default)]
    place: Option<Place>,
    /// Older than this one: `next` of the page before.
    #[serde(default)]
    before: Option<i64>,
    /// How many, 1 to 200; 50 without it.
    #[serde(default)]
    limit: Option<u32>,
    /// Why; up to 1000 characters.
    #[serde(default)]
    reason: Option<String>,
}

impl Search {
    /// The keyed hash of whom is looked for, and by what.
    fn petitioner(&self, api: &Api) -> Result<(&'static str, Vec<u8>), ApiError> {
        let mut checks = Checks::default();
        checks.maybe_reason(self.reason.as_deref());
        let found = match (&self.phone, &self.email) {
            (Some(phone), None) => {
                Ok((Contact::Phone(phone), "is no whole telephone number; a landline needs its area code"))
            }
            (None, Some(email)) => Ok((Contact::Email(email), "is no e-mail address")),
            _ => Err(BadField::new("/", "expected either `phone` or `email`")),
        };
        checks.done()?;
        let (contact, wrong) = found.map_err(|bad| ApiError::invalid(vec![bad]))?;
        let key = contact.key(&api.keyring);
        let bad = || ApiError::invalid(vec![BadField::new(format!("/{}", contact.by()), wrong)]);
        key.map(|key| (contact.by(), key)).ok_or_else(bad)
    }
}

/// Entries of one petitioner. 按诉求人查找
///
/// Found by a keyed hash. That somebody complained is itself to be kept secret (Article 24): this needs the scope that
/// may unseal, and is written down.
#[utoipa::path(post, path = "/v1/entries/search", tag = "entries", request_body = Search,
    responses((status = 200, description = "A page", body = Entries)))]
pub(super) async fn search(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Body(search): Body<Search>,
) -> Result<Json<Entries>, ApiError> {
    let (by, key) = search.petitioner(&api)?;
    let asked = limit(search.limit).map(|_| search.limit)?;
    let act = Act { actor: &actor, action: "entry.search", subject: by, reason: search.reason.as_deref() };
    api.store.audit(act, api.clock.now()).await?;
    let filter = EntryFilter {
        connector: search.connector,
        place: search.place,
        petitioner: Some(key),
        before: search.before.map(EntryId),
        ..EntryFilter::default()
    };
    page(&api, &filter, asked).await
}

/// One entry's whole story. 来件详情
///
/// What was noticed at intake, what became of it, every decision about it with its article, and what its petitioner was
/// told. Nothing in it is unsealed.
#[utoipa::path(get, path = "/v1/entries/{id}", tag = "entries",
    params(("id" = i64, Path, description = "Id of the entry")),
    responses((status = 200, description = "The story", body = EntryStory), (status = 404, description = "There is no such entry")))]
pub(super) async fn show(State(api): State<Arc<Api>>, Named(id): Named<EntryId>) -> Result<Json<EntryStory>, ApiError> {
    Ok(Json(api.store.entry(id).await?))
}

/// An entry that was put back on the work list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// The entry; its story tells what becomes of it.
    entry: EntryId,
}

/// Assess an entry anew. 重新处理
///
/// What was read wrongly before is read by the present version and rules. An entry in a ticket stays in it.
#[utoipa::path(post, path = "/v1/entries/{id}/replay", tag = "entries", request_body = Reason,
    params(("id" = i64, Path, description = "Id of the entry")),
    responses((status = 202, description = "On the work list", body = Taken)))]
pub(super) async fn replay(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(id): Named<EntryId>,
    Body(reason): Body<Reason>,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let reason = reason.checked()?;
    reissue(&api, id, None, &actor, "entry.replay", reason.as_deref()).await
}

/// What a person decides.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// What.
    disposition: Disposition,
    /// On which article of 辽市政发〔2017〕58号.
    #[schema(value_type = String, example = "8(1)")]
    article: Article,
    /// Why; 1 to 1000 characters. Handlers see it: nothing personal belongs in it.
    reason: String,
    /// Of which kind it is, where accepted; as it is judged without it.
    #[serde(default)]
    kind: Option<Kind>,
    /// The ticket that it belongs to, where accepted.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "261123-000042-8")]
    into: Option<TicketNumber>,
    /// What the petitioner is told besides: where to turn, or why; up to 1000 characters.
    #[serde(default)]
    advice: Option<String>,
}

/// Decide about an entry that is in no ticket. 人工裁定
///
/// Overrides screening; the petitioner is told the outcome as usual.
#[utoipa::path(post, path = "/v1/entries/{id}/decide", tag = "entries", request_body = Decision,
    params(("id" = i64, Path, description = "Id of the entry")),
    responses((status = 202, description = "On the work list", body = Taken),
        (status = 409, description = "The entry is in a ticket already")))]
pub(super) async fn decide(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(id): Named<EntryId>,
    Body(Decision { disposition, article, reason, kind, into, advice }): Body<Decision>,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let mut checks = Checks::default();
    checks.text("/reason", &reason, MAX_REASON);
    if let Some(advice) = &advice {
        checks.text("/advice", advice, MAX_REASON);
    }
    for (field, given) in [("/kind", kind.is_some()), ("/into", into.is_some())] {
        if given && disposition != Disposition::Accept {
            checks.refuse(field, "has a meaning only where the entry is accepted");
        }
    }
    checks.done()?;
    if let Some(number) = into {
        api.store.ticket(number).await?;
    }
    let ruling = Ruling { kind, advice, into, ..Ruling::new(actor.as_ref(), disposition, article, reason) };
    reissue(&api, id, Some(&ruling), &actor, "entry.decide", Some(&ruling.reason)).await
}

async fn reissue(
    api: &Api,
    id: EntryId,
    ruling: Option<&Ruling>,
    actor: &str,
    action: &str,
    reason: Option<&str>,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let act = Act { actor, action, subject: &id.to_string(), reason };
    api.store.reissue(id, ruling, act, api.clock.now()).await?;
    api.pending.notify_one();
    Ok((StatusCode::ACCEPTED, Json(Taken { entry: id })))
}

/// Why something sealed is to be opened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unsealing {
    /// Why; 1 to 1000 characters.
    reason: String,
}

/// An entry, unsealed.
#[derive(Serialize, ToSchema)]
pub(super) struct Unsealed {
    /// The entry.
    id: EntryId,
    /// Form of the raw bytes: mail, json, row.
    form: String,
    /// The raw bytes exactly as received, base64.
    raw: String,
    /// Who complained: name, phones, emails, address, ip, account, organisation, `organisation_code`. Nothing where the
    /// entry was never normalised.
    petitioner: Option<Value>,
}

/// Unseal an entry: who complained, and the raw bytes. 解封
///
/// Written down with who and why before anything is opened (Article 24).
#[utoipa::path(post, path = "/v1/entries/{id}/unseal", tag = "entries", request_body = Unsealing,
    params(("id" = i64, Path, description = "Id of the entry")),
    responses((status = 200, description = "Unsealed", body = Unsealed), (status = 404, description = "There is no such entry")))]
pub(super) async fn unseal(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(id): Named<EntryId>,
    Body(Unsealing { reason }): Body<Unsealing>,
) -> Result<Json<Unsealed>, ApiError> {
    let mut checks = Checks::default();
    checks.text("/reason", &reason, MAX_REASON);
    checks.done()?;
    let asked = Asked { actor: &actor, reason: &reason, now: api.clock.now() };
    let opened = desk::unseal(&api.store, &api.keyring, id, asked).await.map_err(|error| match error {
        UnsealError::Store(error) => ApiError::from(error),
        UnsealError::Seal(error) => error.into(),
    })?;
    // What serde_json says may quote the value.
    let petitioner = opened.petitioner.and_then(|petitioner| serde_json::to_value(petitioner).ok());
    Ok(Json(Unsealed { id, form: opened.form, raw: STANDARD.encode(opened.raw), petitioner }))
}

/// The sum check.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sums {
    /// How many entries ended where.
    #[serde(flatten)]
    accounting: Accounting,
    /// Whether every entry ended, or waits, in exactly one place.
    balances: bool,
}

/// How many entries there are, and where they ended. 总账
#[utoipa::path(get, path = "/v1/accounting", tag = "entries",
    responses((status = 200, description = "The sums", body = Sums)))]
pub(super) async fn accounting(State(api): State<Arc<Api>>) -> Result<Json<Sums>, ApiError> {
    let accounting = api.store.accounting().await?;
    Ok(Json(Sums { balances: accounting.balances(), accounting }))
}
