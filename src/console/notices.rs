//! Notices (告知): what petitioners were told, what could not be told, and what the texts look like.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{
    Console,
    access::Visitor,
    page::{Page, html},
    trouble::Trouble,
};
use crate::{
    assess::{Article, Grounds, Kind},
    ids::NoticeId,
    issue::hotline_zone,
    notices::{Composed, Occasion},
    number::TicketNumber,
    store::notices::{NoticeState, ShownNotice},
};

/// Rows of a page.
const ROWS: i64 = 50;

#[derive(Deserialize)]
pub(super) struct Asked {
    state: Option<String>,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "notices.html")]
struct NoticesPage {
    page: Page,
    states: [NoticeState; 5],
    state: Option<NoticeState>,
    rows: Vec<ShownNotice>,
    next: Option<String>,
}

impl NoticesPage {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    fn is(&self, state: &NoticeState) -> bool {
        self.state.as_ref() == Some(state)
    }
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let state = asked.state.as_deref().and_then(NoticeState::parse);
    let rows = console.store.notices(state, asked.before.map(NoticeId), ROWS).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == ROWS);
    let kept = state.map_or_else(String::new, |state| format!("&state={}", state.as_str()));
    html(&NoticesPage {
        page: Page::new(&visitor, "notices", console.clock.now()),
        states: NoticeState::ALL,
        state,
        next: rows.last().filter(|_| full).map(|notice| format!("/console/notices?before={}{kept}", notice.id)),
        rows,
    })
}

#[derive(Template)]
#[template(path = "notice_texts.html")]
struct TextsPage {
    page: Page,
    texts: Vec<Composed>,
}

/// Every text, as it would be sent, with an example in its places.
pub(super) async fn texts(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let now = console.clock.now();
    let today = hotline_zone().to_datetime(now).date();
    let number = TicketNumber::new(today, 42).map_err(|error| Trouble::invalid(error.to_string()))?;
    let grounds = |article| Grounds {
        rule: "example".to_owned(),
        rules_version: String::new(),
        article,
        evidence: Vec::new(),
        against: Vec::new(),
        score: 0,
        advice: None,
    };
    let (guide, decline, hold) =
        (grounds(Article::clause(7, 1)), grounds(Article::clause(8, 1)), grounds(Article::new(13)));
    let due = now.checked_add(std::time::Duration::from_hours(10 * 24)).ok();
    let occasions = [
        Occasion::Receipt { number, kind: Kind::Complain, complete_due: due, ask: None },
        Occasion::Repeat { number, times: 2 },
        Occasion::CoReport { number, complete_due: due },
        Occasion::Guidance { grounds: &guide },
        Occasion::Refusal { grounds: &decline },
        Occasion::Held { grounds: &hold },
    ];
    let title = Some("白塔区某小区停水");
    html(&TextsPage {
        page: Page::new(&visitor, "notices", now),
        texts: occasions.iter().map(|occasion| console.texts.compose(occasion, title)).collect(),
    })
}
