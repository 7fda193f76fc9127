//! Rules over HTTP: assessing a text, trying rules on stored entries, publishing them, putting a version in force.

use std::sync::Arc;

use ::connectors::complaint::{Channel, Complaint};
use axum::{
    Extension, Json, RequestExt as _,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Query, Request, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    auth::Actor,
    error::{ApiError, BadField, Code},
    extract::{Body, Checks, MAX_REASON, Named},
    queue::Reason,
};
use crate::{
    assess::{Assessor, Disposition, FILE_LIMIT, Grounds, Kind, RuleSet, RulesError, ShownComplaint, Urgency, Verdict},
    backtest::{self, Backtest, BacktestError, Selection},
    ids::EntryId,
    rulebook::RulebookError,
    store::{
        StoreError,
        journal::Act,
        rules::{Activation, RuleOrigin, RuleVersion},
    },
};

/// Characters of a text that is assessed.
const MAX_TEXT: usize = 20_000;
/// Entries that one back-test over HTTP goes through.
const MAX_TRIED: usize = 2000;
/// Versions and activations listed.
const LISTED: i64 = 100;

/// A text to be assessed, or a stored entry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assessment {
    /// A stored entry instead of a text; it is opened, which is written down.
    #[serde(default)]
    entry: Option<i64>,
    /// Why, where an entry is opened; 1 to 1000 characters.
    #[serde(default)]
    reason: Option<String>,
    /// Title.
    #[serde(default)]
    subject: Option<String>,
    /// What happened.
    #[serde(default)]
    body: String,
    /// What is asked for.
    #[serde(default)]
    request: Option<String>,
    /// Where it happened.
    #[serde(default)]
    place: Option<String>,
    /// The channel's own label.
    #[serde(default)]
    label: Option<String>,
    /// The channel; `message_board` without it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    channel: Option<Channel>,
    /// A published version of the rules; without it those in force.
    #[serde(default)]
    version: Option<String>,
}

/// What assessing comes to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Assessed {
    /// What screening decides.
    disposition: Disposition,
    /// Why.
    grounds: Grounds,
    /// The article as notices cite it.
    article: String,
    /// Kind of request.
    kind: Kind,
    /// Whether the kind is beyond doubt.
    kind_certain: bool,
    /// The kind whose time to completion is kept.
    due_kind: Kind,
    /// How soon.
    urgency: Urgency,
    /// What handlers see, with subject and unit suggested.
    shown: ShownComplaint,
}

impl From<Verdict> for Assessed {
    fn from(verdict: Verdict) -> Self {
        Self {
            disposition: verdict.disposition,
            article: verdict.grounds.article.chinese(),
            grounds: verdict.grounds,
            kind: verdict.kind,
            kind_certain: verdict.kind_certain,
            due_kind: verdict.due_kind,
            urgency: verdict.urgency,
            shown: verdict.shown,
        }
    }
}

/// Assess a text or a stored entry, without storing anything. 试判
#[utoipa::path(post, path = "/v1/assess", tag = "rules", request_body = Assessment,
    responses((status = 200, description = "The verdict with its evidence", body = Assessed)))]
pub(super) async fn assess(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Body(asked): Body<Assessment>,
) -> Result<Json<Assessed>, ApiError> {
    let mut checks = Checks::default();
    let length = |text: &Option<String>| text.as_deref().map_or(0, |text| text.chars().count());
    for (field, characters) in [
        ("/body", asked.body.chars().count()),
        ("/subject", length(&asked.subject)),
        ("/request", length(&asked.request)),
        ("/place", length(&asked.place)),
        ("/label", length(&asked.label)),
    ] {
        checks.within(field, characters as u64, 0, MAX_TEXT as u64);
    }
    if asked.entry.is_some() {
        checks.text("/reason", asked.reason.as_deref().unwrap_or_default(), MAX_REASON);
    }
    checks.done()?;
    let assessor = assessor(&api, asked.version.as_deref()).await?;
    let now = api.clock.now();
    let Some(id) = asked.entry else {
        let complaint = Complaint {
            subject: asked.subject,
            body: asked.body,
            request: asked.request,
            place: asked.place,
            label: asked.label,
            ..Complaint::default()
        };
        let channel = asked.channel.unwrap_or(Channel::MessageBoard);
        return Ok(Json(assessor.assess(complaint, channel, now).into()));
    };
    let subject = id.to_string();
    let act = Act { actor: &actor, action: "entry.assess", subject: &subject, reason: asked.reason.as_deref() };
    let stored = api.store.trial_entry(EntryId(id)).await?;
    api.store.audit(act, now).await?;
    let (complaint, channel) = api.tools.normalise(&stored.entry).map_err(|(stage, reason)| {
        ApiError::new(Code::Conflict, format!("the entry cannot be read ({stage}): {reason}"))
    })?;
    Ok(Json(assessor.assess(complaint, channel, stored.entry.received_at).into()))
}

async fn assessor(api: &Api, version: Option<&str>) -> Result<Assessor, ApiError> {
    match version {
        None => Ok(api.tools.rulebook.assessor()),
        Some(version) => {
            let rules = api.tools.rulebook.version(&api.store, version).await.map_err(unusable)?;
            Ok(Assessor::new(Arc::new(rules)))
        }
    }
}

fn unusable(error: RulebookError) -> ApiError {
    match error {
        RulebookError::Store(error) => error.into(),
        other => ApiError::new(Code::Conflict, other.to_string()),
    }
}

/// Which rules to try, and on what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// A published version; it need not be in force.
    version: String,
    /// Why; 1 to 1000 characters. Raw entries are opened in memory for it.
    reason: String,
    /// So many entries, the newest first; 1 to 2000, 500 without it.
    #[serde(default)]
    last: Option<u64>,
    /// Received at this moment or later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Received at this moment or earlier.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Try published rules on stored entries. 回测
///
/// Tells what would change against the rules in force; changes nothing. Entries are named by their ids only.
#[utoipa::path(post, path = "/v1/backtest", tag = "rules", request_body = Trial,
    responses((status = 200, description = "What would change", body = Backtest)))]
pub(super) async fn try_rules(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Body(trial): Body<Trial>,
) -> Result<Json<Backtest>, ApiError> {
    let mut checks = Checks::default();
    checks.text("/reason", &trial.reason, MAX_REASON);
    let last = trial.last.unwrap_or(500);
    checks.within("/last", last, 1, MAX_TRIED as u64);
    checks.done()?;
    let after = assessor(&api, Some(&trial.version)).await?;
    let before = api.tools.rulebook.assessor();
    let selection = Selection {
        since: trial.since.unwrap_or(Timestamp::MIN),
        until: trial.until.unwrap_or(Timestamp::MAX),
        limit: usize::try_from(last).unwrap_or(MAX_TRIED),
    };
    let act =
        Act { actor: &actor, action: "rules.backtest", subject: &trial.version, reason: Some(trial.reason.as_str()) };
    let tried = backtest::backtest(&api.store, &api.tools, (before, after), selection, (act, api.clock.now())).await;
    match tried {
        Ok(result) => Ok(Json(result)),
        Err(BacktestError::Store(error)) => Err(error.into()),
        Err(BacktestError::Thread) => Err(ApiError::new(Code::Unavailable, "the trial broke off; try it again")),
    }
}

/// The rules: versions, and what is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rules {
    /// Version by which entries are assessed here now.
    in_force: String,
    /// Why newer rules are not in force, where there are any that cannot be used.
    trouble: Option<String>,
    /// Published versions, newest first; at most 100.
    versions: Vec<RuleVersion>,
    /// What was put in force, newest first; at most 100. None yet: the rules that came with the program, or the
    /// configuration's file.
    activations: Vec<Activation>,
}

/// Versions of the rules. 规则版本
#[utoipa::path(get, path = "/v1/rules", tag = "rules", responses((status = 200, description = "Versions", body = Rules)))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Rules>, ApiError> {
    Ok(Json(Rules {
        in_force: api.tools.rulebook.assessor().rules().version().to_owned(),
        trouble: api.tools.rulebook.trouble(),
        versions: api.store.rule_versions(LISTED).await?,
        activations: api.store.rule_activations(LISTED).await?,
    }))
}

/// A version with its text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleText {
    /// The version.
    version: RuleVersion,
    /// The rule file.
    text: String,
}

/// One version of the rules with its text. 规则全文
#[utoipa::path(get, path = "/v1/rules/{version}", tag = "rules",
    params(("version" = String, Path, description = "The version")),
    responses((status = 200, description = "The rule file", body = RuleText), (status = 404, description = "There is none")))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Named(version): Named<String>,
) -> Result<Json<RuleText>, ApiError> {
    let (version, text) = api.store.rule_text(&version).await?;
    Ok(Json(RuleText { version, text }))
}

/// What is said about a version.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Note {
    /// What has changed in it; up to 1000 characters.
    note: Option<String>,
}

/// A rule file as it is: TOML, up to 1 MiB.
pub(super) struct RuleFile(String);

impl<S: Send + Sync> FromRequest<S> for RuleFile {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, ApiError> {
        DefaultBodyLimit::max(FILE_LIMIT).apply(&mut request);
        let bytes = request
            .extract::<Bytes, _>()
            .await
            .map_err(|_| ApiError::new(Code::TooLarge, format!("the rule file is larger than {FILE_LIMIT} bytes")))?;
        let text = String::from_utf8(bytes.to_vec());
        text.map(Self).map_err(|_| ApiError::invalid(vec![BadField::new("/", "the rule file is not UTF-8")]))
    }
}

/// A version that was published.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Published {
    /// The version.
    version: String,
    /// Whether it is new; the same text published twice is one version.
    new: bool,
    /// How many rules it has.
    rules: usize,
}

/// Publish rules, without putting them in force. 发布规则
///
/// The body is the rule file itself (TOML). A file with mistakes is refused with the line of each.
#[utoipa::path(put, path = "/v1/rules", tag = "rules", params(Note),
    request_body(content = String, content_type = "application/toml", description = "The rule file"),
    responses((status = 200, description = "Kept", body = Published), (status = 422, description = "A mistake in it")))]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Query(note): Query<Note>,
    RuleFile(text): RuleFile,
) -> Result<Json<Published>, ApiError> {
    let mut checks = Checks::default();
    checks.maybe_reason(note.note.as_deref());
    checks.done()?;
    let rules = checked(&api, &text)?;
    api.tools.rulebook.keep_shipped(&api.store, api.clock.now()).await?;
    let act = Act { actor: &actor, action: "rules.publish", subject: rules.version(), reason: note.note.as_deref() };
    let new = api.store.publish_rules(rules.version(), &text, RuleOrigin::Published, act, api.clock.now()).await?;
    Ok(Json(Published { version: rules.version().to_owned(), new, rules: rules.list().count() }))
}

fn checked(api: &Api, text: &str) -> Result<RuleSet, ApiError> {
    api.tools.rulebook.check(text).map_err(|mistakes| {
        let field = |mistake: &RulesError| BadField::new(format!("/line/{}", mistake.line), mistake.to_string());
        ApiError::invalid(mistakes.iter().map(field).collect())
    })
}

/// Put a version in force. 启用规则
///
/// Every gateway on the database notices within seconds. An older version put in force again is a roll-back.
#[utoipa::path(post, path = "/v1/rules/{version}/activate", tag = "rules", request_body = Reason,
    params(("version" = String, Path, description = "The version")),
    responses((status = 200, description = "In force", body = Activation), (status = 404, description = "There is none"),
        (status = 409, description = "This program cannot read it")))]
pub(super) async fn activate(
    State(api): State<Arc<Api>>,
    Extension(Actor(actor)): Extension<Actor>,
    Named(version): Named<String>,
    Body(reason): Body<Reason>,
) -> Result<Json<Activation>, ApiError> {
    let reason = reason.checked()?;
    api.tools.rulebook.version(&api.store, &version).await.map_err(unusable)?;
    let now = api.clock.now();
    let act = Act { actor: &actor, action: "rules.activate", subject: &version, reason: reason.as_deref() };
    api.store.activate_rules(&version, act, now).await?;
    api.tools.rulebook.refresh(&api.store, now).await?;
    let active = api.store.active_rules().await?;
    let missing = || StoreError::Missing { what: "version of the rules", name: version.clone() };
    Ok(Json(active.ok_or_else(missing)?))
}
