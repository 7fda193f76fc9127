//! The way back: what the petitioner is told goes to the item. The message id is the same at every attempt, so that the
//! source, or the words in which it refuses a second one, keep it from being told twice.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::{
    Ready,
    pull::{document, envelope},
};
use crate::{
    board::request::{self, Vars},
    contract::{Answer, Reply as Message, Toolbox},
    fault::Fault,
};

pub(super) struct Replier {
    pub(super) ready: Arc<Ready>,
    pub(super) reply: super::Reply,
    pub(super) tools: Toolbox,
    pub(super) secrets: Vec<(String, SecretString)>,
}

#[async_trait]
impl Answer for Replier {
    async fn answer(&self, message: &Message) -> Result<(), Fault> {
        let mut vars = Vars { plain: Vec::new(), secrets: &self.secrets };
        for (name, value) in [
            ("id", message.about.as_str()),
            ("text", message.text.as_str()),
            ("subject", message.subject.as_str()),
            ("message_id", message.message_id.as_str()),
        ] {
            vars.put(name, value.to_owned());
        }
        let url = request::address(&self.ready.base, &self.reply.request, &vars).ok_or_else(|| {
            Fault::configuration("the path of the answer leads to another host than the base address")
        })?;
        let headers = &self.ready.settings.headers;
        let builder = request::build(&self.tools.http, url, &self.reply.request, headers, &vars)?;
        let answered = self.tools.http.send(builder).await?;
        // It was taken before, and the word of that was lost.
        if answered.status.as_u16() == 409 {
            return Ok(());
        }
        let answered = answered.success()?;
        if self.reply.success.is_empty() && self.reply.already.is_none() {
            return Ok(());
        }
        let document = document(&answered)?;
        if self.reply.already.as_ref().is_some_and(|already| already.holds(&document)) {
            return Ok(());
        }
        envelope(&document, &self.reply.success)
    }
}
