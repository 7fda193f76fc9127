//! Making a connector and changing one. A secret goes into a file of its own that only the gateway's user can read; the
//! database, the page and the audit trail hold the reference alone.

use std::{path::PathBuf, sync::Arc};

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use connectors::{complaint::Channel, contract::Mistake, entry::ConnectorName, registry::AdapterKind};
use serde_json::{Value, json};

use super::{
    definition,
    form::{self, Field, fields},
    found,
    presets::{self, Preset},
};
use crate::{
    config::ConnectorDefinition,
    console::{
        Console,
        access::{Form, Visitor},
        page::{Page, done, html, html_with},
        password::secret_token,
        trouble::Trouble,
    },
    seal::write_new,
    store::{
        StoreError,
        connectors::{Origin, StoredConnector},
        journal::Act,
    },
};

#[derive(Template)]
#[template(path = "presets.html")]
struct PresetsPage {
    page: Page,
    presets: Vec<(&'static str, &'static str, &'static str)>,
}

pub(in crate::console) async fn choose(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let lang = visitor.lang;
    let presets =
        presets::all().iter().map(|preset| (preset.id.as_str(), preset.words(lang), preset.about(lang))).collect();
    html(&PresetsPage { page: Page::new(&visitor, "connectors", console.clock.now()), presets })
}

/// What every connector has beside its settings.
struct Own {
    channel: Channel,
    every_seconds: String,
    timeout_seconds: String,
    per_minute: String,
    burst: String,
    notify: bool,
}

impl Own {
    fn of(definition: &ConnectorDefinition) -> Self {
        Self {
            channel: definition.channel,
            every_seconds: definition.every_seconds.to_string(),
            timeout_seconds: definition.timeout_seconds.to_string(),
            per_minute: definition.per_minute.to_string(),
            burst: definition.burst.to_string(),
            notify: definition.notify,
        }
    }
}

#[derive(Template)]
#[template(path = "connector_form.html")]
struct FormPage {
    page: Page,
    /// Where the form is sent.
    action: String,
    title: String,
    about: String,
    /// Whether the name is chosen here.
    new: bool,
    name: String,
    name_wrong: Option<&'static str>,
    own: Own,
    channels: [Channel; 6],
    /// Asked for first.
    first: Vec<Field>,
    /// The others.
    rest: Vec<Field>,
    others: Vec<String>,
    generation: i64,
}

/// A form that is being filled in.
struct Draft {
    action: String,
    title: String,
    about: String,
    new: bool,
    asked: Vec<String>,
    definition: ConnectorDefinition,
    generation: i64,
}

impl Draft {
    fn adapter(&self) -> Result<AdapterKind, Trouble> {
        self.definition.kind().map_err(|error| Trouble::invalid(error.to_string()))
    }

    fn page(
        self,
        console: &Console,
        visitor: &Visitor,
        form: Option<&Form>,
        mistakes: &[Mistake],
        name_wrong: Option<&'static str>,
    ) -> Result<Response, Trouble> {
        let settings = Value::Object(self.definition.settings.clone());
        let mut all = fields(self.adapter()?, &settings, visitor.lang);
        let others = form::told(&mut all, form, mistakes);
        let (mut first, rest): (Vec<Field>, Vec<Field>) = all
            .into_iter()
            .partition(|field| field.required || !field.wrong.is_empty() || self.asked.contains(&field.pointer));
        let place = |field: &Field| self.asked.iter().position(|asked| *asked == field.pointer).unwrap_or(usize::MAX);
        first.sort_by_key(place);
        let mut own = Own::of(&self.definition);
        if let Some(form) = form {
            for (value, name) in [
                (&mut own.every_seconds, "every_seconds"),
                (&mut own.timeout_seconds, "timeout_seconds"),
                (&mut own.per_minute, "per_minute"),
                (&mut own.burst, "burst"),
            ] {
                form.text(name).clone_into(value);
            }
        }
        let refused = form.is_some();
        let page = FormPage {
            page: Page::new(visitor, "connectors", console.clock.now()),
            action: self.action,
            title: self.title,
            about: self.about,
            new: self.new,
            name: form.map_or_else(
                || if self.new { String::new() } else { self.definition.name.to_string() },
                |form| {
                    if self.new { form.text("name").to_owned() } else { self.definition.name.to_string() }
                },
            ),
            name_wrong,
            own,
            channels: Channel::ALL,
            first,
            rest,
            others,
            generation: self.generation,
        };
        if refused { html_with(StatusCode::UNPROCESSABLE_ENTITY, &page) } else { html(&page) }
    }
}

fn new_draft(visitor: &Visitor, preset: &Preset) -> Result<Draft, Trouble> {
    let value = json!({ "name": "new", "channel": preset.channel, "adapter": preset.adapter.as_str(), "enabled": false,
        "settings": preset.settings });
    let definition = serde_json::from_value(value).map_err(|error| Trouble::invalid(error.to_string()))?;
    Ok(Draft {
        action: format!("/console/connectors/new/{}", preset.id),
        title: visitor.lang.tf("connector.new_from", &[("name", &preset.words(visitor.lang))]),
        about: preset.about(visitor.lang).to_owned(),
        new: true,
        asked: preset.asked.clone(),
        definition,
        generation: 0,
    })
}

pub(in crate::console) async fn new_page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let preset = presets::find(&id).ok_or_else(Trouble::missing)?;
    new_draft(&visitor, preset)?.page(&console, &visitor, None, &[], None)
}

pub(in crate::console) async fn create(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let preset = presets::find(&id).ok_or_else(Trouble::missing)?;
    let mut draft = new_draft(&visitor, preset)?;
    let Ok(name) = form.text("name").parse::<ConnectorName>() else {
        return draft.page(&console, &visitor, Some(&form), &[], Some(visitor.lang.t("connector.bad_name")));
    };
    draft.definition.name = name;
    let filled = match fill(&console, &draft, &form, &preset.copied)? {
        Ok(filled) => filled,
        Err(mistakes) => return draft.page(&console, &visitor, Some(&form), &mistakes, None),
    };
    let name = filled.definition.name.clone();
    let stored = stored(&filled.definition, 1)?;
    if console.store.connector(&name).await.is_ok() {
        return draft.page(&console, &visitor, Some(&form), &[], Some(visitor.lang.t("connector.taken")));
    }
    filled.keep_secrets()?;
    let act =
        Act { actor: &visitor.actor(), action: "connector.add", subject: name.as_str(), reason: Some(&stored.adapter) };
    match console.store.add_connector(&stored, act, console.clock.now()).await {
        Err(StoreError::Conflict(_)) => {
            draft.page(&console, &visitor, Some(&form), &[], Some(visitor.lang.t("connector.taken")))
        }
        added => {
            added?;
            console.changed.notify_one();
            Ok(done(&format!("/console/connectors/{name}"), "added"))
        }
    }
}

fn edit_draft(visitor: &Visitor, stored: &StoredConnector) -> Result<Draft, Trouble> {
    if stored.origin != Origin::Console {
        return Err(Trouble::new(StatusCode::CONFLICT, "from_file"));
    }
    Ok(Draft {
        action: format!("/console/connectors/{}/edit", stored.name),
        title: visitor.lang.tf("connector.edit_of", &[("name", &stored.name)]),
        about: String::new(),
        new: false,
        asked: Vec::new(),
        definition: definition(stored)?,
        generation: stored.generation,
    })
}

pub(in crate::console) async fn edit_page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    edit_draft(&visitor, &stored)?.page(&console, &visitor, None, &[], None)
}

pub(in crate::console) async fn edit(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let known = found(&console, &name).await?;
    let draft = edit_draft(&visitor, &known)?;
    let filled = match fill(&console, &draft, &form, &std::collections::BTreeMap::new())? {
        Ok(filled) => filled,
        Err(mistakes) => return draft.page(&console, &visitor, Some(&form), &mistakes, None),
    };
    filled.keep_secrets()?;
    let generation = form.text("generation").parse().unwrap_or(known.generation);
    let stored = stored(&filled.definition, generation)?;
    let act = Act { actor: &visitor.actor(), action: "connector.change", subject: &name, reason: None };
    console.store.redefine_connector(&stored, act, console.clock.now()).await?;
    console.changed.notify_one();
    Ok(done(&format!("/console/connectors/{name}"), "changed"))
}

fn stored(definition: &ConnectorDefinition, generation: i64) -> Result<StoredConnector, Trouble> {
    Ok(StoredConnector {
        name: definition.name.clone(),
        channel: definition.channel,
        adapter: definition.adapter.clone(),
        definition: serde_json::to_string(definition).map_err(|error| Trouble::invalid(error.to_string()))?,
        origin: Origin::Console,
        enabled: false,
        generation,
        cursor: None,
        run_requested: false,
    })
}

/// A definition that was filled in without a mistake, with the secrets that are to be kept for it.
struct Complete {
    definition: ConnectorDefinition,
    secrets: Vec<(PathBuf, String)>,
}

impl Complete {
    /// Writes the secrets into their files.
    fn keep_secrets(&self) -> Result<(), Trouble> {
        let kept = self.secrets.iter().try_for_each(|(path, secret)| {
            if let Some(folder) = path.parent() {
                let mut builder = std::fs::DirBuilder::new();
                builder.recursive(true);
                #[cfg(unix)]
                std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
                builder.create(folder)?;
            }
            write_new(path, secret.as_bytes())
        });
        kept.map_err(|error| {
            tracing::error!(%error, "a connector's secret could not be kept in the folder [console] secrets");
            Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "secret_folder").told(error.to_string())
        })
    }
}

/// Reads the form into a definition, judged as the configuration file is.
fn fill(
    console: &Console,
    draft: &Draft,
    form: &Form,
    copied: &std::collections::BTreeMap<String, String>,
) -> Result<Result<Complete, Vec<Mistake>>, Trouble> {
    let before = Value::Object(draft.definition.settings.clone());
    let all = fields(draft.adapter()?, &before, crate::console::words::Lang::Zh);
    // One name a save: a file is never written over, so a change that fails leaves the old secret in use.
    let mark = secret_token().map_err(|_| Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
    let mark: String = mark.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    let folder = std::path::absolute(&console.settings.secrets).unwrap_or_else(|_| console.settings.secrets.clone());
    let file = |pointer: &str| {
        let place = pointer.trim_start_matches('/').replace('/', "-");
        folder.join(format!("{}.{place}.{mark}", draft.definition.name))
    };
    let mut filled = form::read(&all, &before, form, |pointer| json!({ "file": file(pointer) }));
    for (to, from) in copied {
        if filled.settings.pointer(to).is_none_or(Value::is_null)
            && let Some(value) = filled.settings.pointer(from).cloned()
        {
            form::put(&mut filled.settings, to, Some(value));
        }
    }
    let number = |name: &str, mistakes: &mut Vec<Mistake>| {
        form.text(name).parse::<u64>().unwrap_or_else(|_| {
            mistakes.push(Mistake::new(format!("/{name}"), "expected a whole number / 应为整数"));
            1
        })
    };
    let mut mistakes = filled.mistakes;
    let mut definition = draft.definition.clone();
    definition.every_seconds = number("every_seconds", &mut mistakes);
    definition.timeout_seconds = number("timeout_seconds", &mut mistakes);
    definition.per_minute = u32::try_from(number("per_minute", &mut mistakes)).unwrap_or(u32::MAX);
    definition.burst = u32::try_from(number("burst", &mut mistakes)).unwrap_or(u32::MAX);
    definition.notify = form.has("notify");
    if let Some(channel) = Channel::parse(form.text("channel")) {
        definition.channel = channel;
    }
    if let Value::Object(settings) = filled.settings {
        definition.settings = settings;
    }
    mistakes.extend(definition.mistakes());
    if !mistakes.is_empty() {
        return Ok(Err(mistakes));
    }
    let secrets = filled.secrets.into_iter().map(|(pointer, secret)| (file(&pointer), secret)).collect();
    Ok(Ok(Complete { definition, secrets }))
}
