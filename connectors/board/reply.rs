//! Puts an answer on the board through its operator's interface, where the operator grants one.
//!
//! An answer may be tried again after a time-out that hid a success. Two things keep it from standing there twice: the id
//! of our message, the same at every attempt, goes along where the interface takes one; and before it is sent, the item's
//! own page is read: where our text stands there already, it has arrived.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{self, Page, Part},
    ask::Asker,
    document::Document,
    field::{Expectation, Name},
    settings::Request,
};
use crate::{
    contract::{Answer, Reply as Message},
    entry::ExternalId,
    fault::Fault,
};

/// How an answer is put on the board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The request. Placeholders: `{id}`, `{board}`, `{subject}`, `{text}`, `{message_id}` (the same at every attempt),
    /// `{secret.NAME}`, `{time}`, `{nonce}`, `{signature}`. Inside JSON that is itself a text write `{text:json}`.
    pub request: Request,
    /// What must hold of the answer, in JSON, for the reply to have been taken; at least one.
    pub success: Vec<Expectation>,
    /// What holds where the board knows this reply already: it counts as taken.
    #[serde(default)]
    pub repeat: Option<Expectation>,
    /// What holds where the item is gone: it is not tried again.
    #[serde(default)]
    pub gone: Option<Expectation>,
    /// What holds when the source is only busy: try again later.
    #[serde(default)]
    pub busy: Option<Expectation>,
    /// JSON pointer to the source's own words about what went wrong.
    #[serde(default)]
    pub message: Option<String>,
    /// Whether the item's own page is read first, to see whether an attempt before this one has arrived; needs a detail with
    /// the field `reply`.
    #[serde(default = "yes")]
    pub look_first: bool,
}

fn yes() -> bool {
    true
}

/// Answers on one connector's boards.
pub(super) struct Replier {
    pub(super) asker: Asker,
    pub(super) reply: Reply,
}

impl Replier {
    /// The board and the source's own id behind an external id.
    fn place(&self, about: &ExternalId) -> Result<(String, String), Fault> {
        let about = about.as_str();
        if about.starts_with("sha256:") {
            return Err(Fault::permanent("the item had no id on its board, so it cannot be answered there"));
        }
        let named = self.asker.board.settings.boards.iter().filter(|board| !board.is_empty());
        let of_board = |board: &String| Some((board.clone(), about.strip_prefix(&format!("{board}:"))?.to_owned()));
        Ok(named.filter_map(of_board).max_by_key(|(board, _)| board.len()).unwrap_or((String::new(), about.to_owned())))
    }

    /// Whether the text stands on the item's own page already.
    async fn has_arrived(&self, board: &str, id: &str, text: &str) -> Result<bool, Fault> {
        let settings = &self.asker.board.settings;
        let Some(detail) = settings.detail.as_ref().filter(|detail| {
            self.reply.look_first && detail.fields.contains_key(&Name::Reply) && detail.request.path != "{link}"
        }) else {
            return Ok(false);
        };
        let mut vars = self.asker.vars(board);
        vars.put("id", id.to_owned());
        let (_, answered) = self.asker.ask(&detail.request, vars).await?;
        if matches!(answered.status.as_u16(), 404 | 410) {
            return Err(gone());
        }
        let page = match answer::page(&self.asker.board, &answered.success()?)? {
            Page::Gone => return Err(gone()),
            Page::Here(page) => page,
        };
        let mut document = Document { board: board.to_owned(), ..Document::default() };
        match page {
            Part::Json(page) => document.detail = Some(page),
            Part::Html(page) => document.detail_html = Some(page),
        }
        let values = document.values(&self.asker.board).map_err(answer::layout_changed)?;
        Ok(values.get(Name::Reply).is_some_and(|reply| bare(reply).contains(&bare(text))))
    }
}

fn gone() -> Fault {
    Fault::permanent("the item is gone from the board, so it cannot be answered there")
        .remedy("tell the petitioner in another way")
}

/// A text without what boards change of it.
fn bare(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

#[async_trait]
impl Answer for Replier {
    async fn answer(&self, message: &Message) -> Result<(), Fault> {
        let (board, id) = self.place(&message.about)?;
        if self.has_arrived(&board, &id, &message.text).await? {
            return Ok(());
        }
        let mut vars = self.asker.vars(&board);
        vars.put("id", id);
        vars.put("subject", message.subject.clone());
        vars.put("text", message.text.clone());
        vars.put("message_id", message.message_id.clone());
        let (_, answered) = self.asker.ask(&self.reply.request, vars).await?;
        let document = answer::document(&self.asker.board, &answered.success()?)?;
        let holds = |expectation: &Option<Expectation>| expectation.as_ref().is_some_and(|one| one.holds(&document));
        if holds(&self.reply.repeat) {
            return Ok(());
        }
        if holds(&self.reply.gone) {
            return Err(gone());
        }
        answer::envelope(&document, &self.reply.success, self.reply.busy.as_ref(), self.reply.message.as_ref())
    }
}
