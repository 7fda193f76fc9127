//! Trying a connector, and looking at what a cursor would bring. Both read from the source as the gateway would, and change
//! nothing there and nothing here.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use connectors::{
    contract::{Check, Cursor, Page, Source},
    entry::Item,
    fault::Fault,
};
use jiff::Timestamp;

use super::{definition, detail, found, wanted_cursor};
use crate::{
    config::ConnectorDefinition,
    console::{
        Console,
        access::{Form, Visitor},
        trouble::Trouble,
        words::Lang,
    },
    trial::tried,
};

/// How long a source may take while somebody waits for the page.
const PATIENCE: Duration = Duration::from_secs(20);
/// Items of a preview that are shown.
const SHOWN: usize = 50;

/// A step of a trial, in words.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) passed: bool,
    pub(super) words: String,
    pub(super) remedy: Option<String>,
}

/// An item that a cursor would bring.
pub(super) struct Offered {
    pub(super) id: String,
    pub(super) made_at: Option<Timestamp>,
    pub(super) size: usize,
    pub(super) known: bool,
    pub(super) unreadable: bool,
}

/// What a cursor would bring.
pub(super) struct Preview {
    /// The cursor that was asked about, as it was written.
    pub(super) cursor: String,
    pub(super) items: Vec<Offered>,
    /// How many there are on the first page.
    pub(super) count: usize,
    /// How many of them are not stored yet.
    pub(super) fresh: usize,
    /// Whether the source holds more.
    pub(super) more: bool,
    /// Why nothing can be told.
    pub(super) wrong: Option<String>,
}

fn steps(check: Check, lang: Lang) -> Vec<Step> {
    let word = |name: &str| lang.within("step", &name.replace([' ', '\''], "_")).unwrap_or_default().to_owned();
    let step = |step: connectors::contract::Step| {
        let name = Some(word(step.name)).filter(|word| !word.is_empty()).unwrap_or_else(|| step.name.to_owned());
        match step.outcome {
            Ok(words) => Step { name, passed: true, words, remedy: None },
            Err(fault) => {
                let class = lang.of("fault", fault.class.as_str());
                Step { name, passed: false, words: format!("{class}: {}", fault.message), remedy: fault.remedy }
            }
        }
    };
    check.steps.into_iter().map(step).collect()
}

/// Tries a connector step by step.
pub(in crate::console) async fn test(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    let definition = definition(&stored)?;
    let assessor = console.tools.rulebook.assessor();
    let check = tried(&console.directory, &definition, &assessor, PATIENCE).await;
    detail(&console, &visitor, stored, Some(steps(check, visitor.lang)), None).await
}

/// Looks at what a cursor would bring.
pub(in crate::console) async fn preview(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let stored = found(&console, &name).await?;
    let cursor = wanted_cursor(&form)?;
    let definition = definition(&stored)?;
    let mut preview = Preview {
        cursor: form.text("cursor").to_owned(),
        items: Vec::new(),
        count: 0,
        fresh: 0,
        more: false,
        wrong: None,
    };
    match page(&console, &definition, cursor.as_ref()).await {
        Err(fault) => preview.wrong = Some(fault.to_string()),
        Ok(page) => {
            let ids: Vec<String> = page.items.iter().map(|item| item.external_id().as_str().to_owned()).collect();
            let known = console.store.known_items(&stored.name, &ids).await?;
            preview.count = ids.len();
            preview.fresh = ids.iter().filter(|id| !known.contains(*id)).count();
            preview.more = page.more;
            preview.items = page.items.iter().take(SHOWN).map(|item| offered(item, &known)).collect();
        }
    }
    detail(&console, &visitor, stored, None, Some(preview)).await
}

fn offered(item: &Item, known: &std::collections::HashSet<String>) -> Offered {
    let made_at = match item {
        Item::Entry(entry) => entry.source_time.map(|stamp| stamp.at),
        _ => None,
    };
    Offered {
        id: item.external_id().as_str().to_owned(),
        made_at,
        size: item.size(),
        known: known.contains(item.external_id().as_str()),
        unreadable: matches!(item, Item::Unread(_)),
    }
}

/// Reads one page, and tells the source nothing of it.
async fn page(console: &Console, definition: &ConnectorDefinition, cursor: Option<&Cursor>) -> Result<Page, Fault> {
    let adapter = definition.adapter().map_err(|error| Fault::configuration(error.to_string()))?;
    let toolbox = console.directory.toolbox(definition)?;
    match adapter.source(&toolbox)? {
        Source::Push(_) => {
            Err(Fault::configuration("the source sends by itself: it has no cursor / 由对方推送，没有读取位置"))
        }
        Source::Pull(mut reader) => tokio::time::timeout(PATIENCE, reader.pull(cursor)).await.unwrap_or_else(|_| {
            Err(Fault::transient(format!("no answer in {} seconds / 来源没有应答", PATIENCE.as_secs())))
        }),
    }
}
