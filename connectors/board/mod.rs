//! HTTP message boards, read as JSON or as HTML (人民网领导留言板, 红网百姓呼声, lists of city portals).
//!
//! No two boards are alike and each changes its pages without notice, so that a module per board would be a module per
//! year: everything about a board is a setting, and this adapter holds what does not change. That is: how a list is
//! walked through without skipping an item ([`sweep`]), how a list is told from an error, a block page and a changed
//! layout ([`answer`]), how fields are taken out of rows and pages ([`fields`]), and how requests are made without an item
//! being able to steer them ([`request`]).

mod answer;
mod ask;
mod document;
mod field;
mod fields;
#[cfg(test)]
mod harness;
mod holdings;
mod item;
mod presets;
mod pull;
mod ready;
mod reply;
pub(crate) mod request;
mod settings;
pub(crate) mod sign;
mod sweep;
#[cfg(test)]
mod sweep_tests;
mod vanished;
mod watch;

use std::sync::Arc;

pub use field::{Expectation, Field, Fields, Name};
pub use presets::Preset;
pub(crate) use presets::expanded;
pub use reply::Reply;
pub use settings::{
    BeyondEnd, Detail, DetailAnswer, HtmlDetail, HtmlList, JsonDetail, JsonList, List, ListAnswer, Method, Order,
    OrderedBy, Paging, Request, Revisit, Settings, When,
};
pub use sign::{Algorithm, Robots, Sign, Written};

use crate::{
    contract::{Adapter, Answer, Answering, Mistake, Normalise, Source, Toolbox},
    fault::Fault,
    settings::{self as settings_reader, SettingsError},
};

/// What this adapter reads, in one line.
pub const ABOUT: &str = "HTTP message board with lists in JSON or HTML, described by settings (留言板)";

impl Settings {
    /// Settings as they are written, over those of the preset that they name.
    ///
    /// # Errors
    /// Every mistake in their types and names.
    pub fn read(value: &serde_json::Value) -> Result<Self, SettingsError> {
        settings_reader::read(&expanded(value))
    }

    fn ready(&self) -> Result<Arc<ready::Board>, Fault> {
        ready::ready(self).map(Arc::new).map_err(|mistakes| {
            let told: Vec<String> =
                mistakes.iter().map(|mistake| format!("{}: {}", mistake.pointer, mistake.message)).collect();
            Fault::configuration(told.join("; "))
        })
    }

    fn asker(&self, tools: &Toolbox) -> Result<ask::Asker, Fault> {
        let secrets = self
            .secrets
            .iter()
            .map(|(name, secret)| Ok((name.clone(), secret.reveal()?)))
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok(ask::Asker::new(self.ready()?, tools.clone(), secrets))
    }
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        ready::ready(self).err().unwrap_or_default()
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(Arc::new(document::Normaliser { board: self.ready()? }))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        Ok(Source::Pull(Box::new(pull::Reader::new(self.asker(tools)?))))
    }

    fn answering(&self) -> Answering {
        if self.reply.is_some() { Answering::ToItem } else { Answering::None }
    }

    fn answerer(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Answer>>, Fault> {
        let Some(reply) = self.reply.clone() else { return Ok(None) };
        Ok(Some(Arc::new(reply::Replier { asker: self.asker(tools)?, reply })))
    }
}
