//! The way back: what the petitioner is told goes to the item. The message id is the same at every attempt, so that the
//! source, or the words in which it refuses a second one, keep it from being told twice.

use async_trait::async_trait;

use super::{
    ask::Asker,
    pull::{document, envelope},
};
use crate::{
    contract::{Answer, Reply as Message},
    fault::Fault,
};

pub(super) struct Replier {
    pub(super) asker: Asker,
    pub(super) reply: super::Reply,
}

#[async_trait]
impl Answer for Replier {
    async fn answer(&self, message: &Message) -> Result<(), Fault> {
        let mut vars = self.asker.vars();
        for (name, value) in [
            ("id", message.about.as_str()),
            ("text", message.text.as_str()),
            ("subject", message.subject.as_str()),
            ("message_id", message.message_id.as_str()),
        ] {
            vars.put(name, value.to_owned());
        }
        if let Some(state) = message.occasion.and_then(|occasion| self.reply.states.get(&occasion)) {
            vars.put("state", state.clone());
        }
        let answered = self.asker.ask(&self.reply.request, vars).await?;
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
