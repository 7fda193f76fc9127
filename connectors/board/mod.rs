//! HTTP message boards, read as JSON or as HTML (人民网领导留言板, 红网百姓呼声, lists of city portals).
//!
//! No two boards are alike and each changes its pages without notice, so that a module per board would be a module per
//! year: everything about a board is a setting, and this adapter holds what does not change. That is: how a list is
//! walked through without skipping an item ([`sweep`]), how a list is told from an error, a block page and a changed
//! layout ([`answer`]), how fields are taken out of rows and pages ([`fields`]), and how requests are made without an item
//! being able to steer them ([`request`]).

mod answer;
mod document;
mod fields;
#[cfg(test)]
mod harness;
mod pull;
mod ready;
pub(crate) mod request;
mod settings;
mod sweep;
#[cfg(test)]
mod sweep_tests;

use std::sync::Arc;

pub use settings::{
    BeyondEnd, Detail, DetailAnswer, Expectation, Field, Fields, HtmlDetail, HtmlList, JsonDetail, JsonList, List,
    ListAnswer, Method, Name, Order, OrderedBy, Paging, Request, Revisit, Settings, When,
};

use crate::{
    contract::{Adapter, Mistake, Normalise, Source, Toolbox},
    fault::Fault,
};

/// What this adapter reads, in one line.
pub const ABOUT: &str = "HTTP message board with lists in JSON or HTML, described by settings (留言板)";

impl Settings {
    fn ready(&self) -> Result<Arc<ready::Board>, Fault> {
        ready::ready(self).map(Arc::new).map_err(|mistakes| {
            let told: Vec<String> =
                mistakes.iter().map(|mistake| format!("{}: {}", mistake.pointer, mistake.message)).collect();
            Fault::configuration(told.join("; "))
        })
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
        let secrets = self
            .secrets
            .iter()
            .map(|(name, secret)| Ok((name.clone(), secret.reveal()?)))
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok(Source::Pull(Box::new(pull::Reader::new(self.ready()?, tools.clone(), secrets))))
    }
}
