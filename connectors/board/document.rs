//! The entry's raw form, one JSON document of the row and the item's own page, and its way to a complaint.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    answer::Part,
    field::Name,
    fields::{self, Values},
    ready::Board,
};
use crate::{
    complaint::{Complaint, Petitioner, Stamp},
    contract::{Normalise, Unreadable},
    entry::{ExternalId, RawEntry, Remark, Revision},
    times,
};

/// What was received of one item, as the entry keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    /// The board, as the source names it.
    pub(super) board: String,
    /// The row of a list in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) list: Option<Value>,
    /// The row of a list in HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) list_html: Option<String>,
    /// The item's own page, in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<Value>,
    /// The item's own page, in HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail_html: Option<String>,
    /// The item's own page could not be had, and the row is all there is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) row_only: bool,
    /// The item is gone from the board: its id there, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) withdrawn: Option<String>,
}

/// What stands for the text of an item that its board shows no more; people read it.
const WITHDRAWN: &str = "该留言已不在留言板上（本人撤回或被网站删除），此前收到的内容不变。\n\
The board no longer shows this message: its author or the site has taken it down. What was received before stands.";

impl Document {
    pub(super) fn new(board: &str, row: &Part) -> Self {
        let mut document = Self { board: board.to_owned(), ..Self::default() };
        match row {
            Part::Json(row) => document.list = Some(row.clone()),
            Part::Html(row) => document.list_html = Some(row.clone()),
        }
        document
    }

    /// What is left of an item that is gone.
    pub(super) fn withdrawn(board: &str, id: &str) -> Self {
        Self { board: board.to_owned(), withdrawn: Some(id.to_owned()), ..Self::default() }
    }

    pub(super) fn add_page(&mut self, page: Part) {
        match page {
            Part::Json(page) => self.detail = Some(page),
            Part::Html(page) => self.detail_html = Some(page),
        }
    }

    /// What the row and the page tell.
    ///
    /// # Errors
    /// In words, where there is HTML that cannot be read.
    pub(super) fn values(&self, board: &Board) -> Result<Values, String> {
        let mut values = Values::default();
        if let Some(row) = &self.list {
            values.overlay(fields::from_json(&board.list_fields, row));
        }
        if let Some(row) = &self.list_html {
            values.overlay(fields::from_html(&board.list_fields, &fields::parse(row)?));
        }
        if let Some(page) = &self.detail {
            values.overlay(fields::from_json(&board.detail_fields, page));
        }
        if let Some(page) = &self.detail_html {
            values.overlay(fields::from_html(&board.detail_fields, &fields::parse(page)?));
        }
        Ok(values)
    }
}

/// When the item was made, as the source says.
pub(super) fn made_at(board: &Board, values: &Values) -> Option<Stamp> {
    let text = values.get(Name::MadeAt)?;
    times::parse(&Value::String(text.to_owned()), &board.settings.times)
}

/// Whether a body is missing or was cut off by the list.
pub(super) fn is_cut(body: Option<&str>) -> bool {
    body.is_none_or(|body| {
        let body = body.trim_end();
        body.is_empty() || body.ends_with('…') || body.ends_with("...") || body.ends_with("。。。")
    })
}

/// What the gateway calls the item. Boards number their items each for itself, so the board is part of it.
pub(super) fn external_id(board: &str, values: &Values) -> ExternalId {
    if let Some(id) = values.get(Name::Id) {
        return named(board, id);
    }
    let parts = [Name::Subject, Name::Body, Name::MadeAt, Name::Account]
        .map(|name| values.get(name).unwrap_or_default().as_bytes());
    ExternalId::of_content(&[board.as_bytes(), parts[0], parts[1], parts[2], parts[3]])
}

/// What the gateway calls the item of a board that has this id there.
pub(super) fn named(board: &str, id: &str) -> ExternalId {
    if board.is_empty() { ExternalId::new(id) } else { ExternalId::new(&format!("{board}:{id}")) }
}

/// Which state of the item this is: an edit, a new state or an answer makes a new one, a click count does not.
pub(super) fn revision(values: &Values) -> Revision {
    let parts = [Name::Subject, Name::Body, Name::State, Name::Reply]
        .map(|name| values.get(name).unwrap_or_default().as_bytes());
    Revision::of_content(&parts)
}

/// Turns entries of a board into complaints.
#[derive(Debug)]
pub(super) struct Normaliser {
    pub(super) board: Arc<Board>,
}

impl Normalise for Normaliser {
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        let document: Document = serde_json::from_slice(&entry.raw)
            .map_err(|error| Unreadable(format!("the entry is no document of a message board: {error}")))?;
        if document.withdrawn.is_some() {
            return Ok(Complaint {
                body: WITHDRAWN.to_owned(),
                remarks: vec![Remark::Withdrawn],
                ..Complaint::default()
            });
        }
        let values = document.values(&self.board).map_err(Unreadable)?;
        complaint(&self.board, &document, values, received_at)
    }
}

/// The complaint that a document tells of.
pub(super) fn complaint(
    board: &Board,
    document: &Document,
    mut values: Values,
    received_at: Timestamp,
) -> Result<Complaint, Unreadable> {
    let mut remarks = std::mem::take(&mut values.remarks);
    let made_at = made_at(board, &values);
    if made_at.is_none() && values.get(Name::MadeAt).is_some() {
        remarks
            .push(Remark::Clock { what: "the board's time is in none of the forms that the settings name".to_owned() });
    }
    // A day's slack: only the day may be known, and clocks differ.
    if made_at.is_some_and(|stamp| stamp.at.duration_since(received_at) > SignedDuration::from_hours(24)) {
        remarks.push(Remark::Clock { what: "the board dates the item later than it was received".to_owned() });
    }
    let mut take = |name: Name| values.found.remove(&name);
    let body = take(Name::Body);
    let subject = take(Name::Subject);
    if body.is_none() && !(document.row_only && subject.is_some()) {
        return Err(Unreadable("the item has no text".to_owned()));
    }
    if document.row_only {
        remarks.push(Remark::Bounded {
            what: "the item's own page could not be had; this is what the list showed of it".to_owned(),
        });
    }
    Ok(Complaint {
        petitioner: Petitioner {
            name: take(Name::Name),
            phones: take(Name::Phone).into_iter().collect(),
            emails: take(Name::Email).into_iter().collect(),
            address: take(Name::Address),
            ip: take(Name::Ip),
            account: take(Name::Account),
            organisation: take(Name::Organisation),
            organisation_code: take(Name::OrganisationCode),
        },
        made_at,
        occurred: take(Name::Occurred),
        place: take(Name::Place),
        parties: take(Name::Parties),
        subject,
        body: body.unwrap_or_default(),
        request: take(Name::Request),
        label: take(Name::Label),
        remarks,
        ..Complaint::default()
    })
}
