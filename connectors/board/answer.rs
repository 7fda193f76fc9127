//! Reads what a board answered, and tells a list from everything else that arrives with status 200: an empty body, an
//! error in an envelope, a block page, a changed layout. None of these may read as "no news".

use encoding_rs::{Encoding, UTF_8};
use serde_json::{Value, error::Category};

use super::{
    field::Expectation,
    fields,
    ready::Board,
    settings::{DetailAnswer, JsonDetail, JsonList, ListAnswer},
};
use crate::{fault::Fault, http::Answered};

/// Characters of the source's own message that a fault quotes.
const QUOTED: usize = 200;

/// Bytes of a page in which its `meta` may name the encoding (HTML standard, section 13.2.3.2).
const META_BYTES: usize = 1024;

/// A row of a list, or an item's own page, as it was received.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Json(Value),
    Html(String),
}

/// What an item's own page came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Page {
    Here(Part),
    Gone,
}

/// The rows of a list.
///
/// # Errors
/// A transient fault for an empty or broken-off body or a busy source; a permanent one for everything else that is not
/// the list.
pub(super) fn rows(board: &Board, answered: &Answered) -> Result<Vec<Part>, Fault> {
    let text = text(board, answered)?;
    match (&board.settings.list.answer, &board.list_html) {
        (ListAnswer::Json(list), _) => json_rows(list, &text),
        (ListAnswer::Html(_), Some(selectors)) => html_rows(selectors, &text),
        (ListAnswer::Html(_), None) => Err(Fault::configuration("the list's selectors are missing")),
    }
}

/// An item's own page.
///
/// # Errors
/// As for [`rows`].
pub(super) fn page(board: &Board, answered: &Answered) -> Result<Page, Fault> {
    let text = text(board, answered)?;
    let Some(detail) = &board.settings.detail else {
        return Err(Fault::configuration("the settings have no detail"));
    };
    match (&detail.answer, &board.detail_html) {
        (DetailAnswer::Json(detail), _) => json_page(detail, &text),
        (DetailAnswer::Html(_), Some(selectors)) => {
            let tree = fields::parse(&text).map_err(layout_changed)?;
            if selectors.gone.as_ref().is_some_and(|gone| tree.select(gone).next().is_some()) {
                return Ok(Page::Gone);
            }
            if tree.select(&selectors.page).next().is_none() {
                return Err(layout_changed("an item's page lacks what every item's page has"));
            }
            Ok(Page::Here(Part::Html(text)))
        }
        (DetailAnswer::Html(_), None) => Err(Fault::configuration("the detail's selectors are missing")),
    }
}

/// A layout that is not the one that the settings describe, or a block page.
pub(super) fn layout_changed(what: impl AsRef<str>) -> Fault {
    Fault::permanent(format!("layout changed: {}", what.as_ref())).remedy(
        "open the board in a browser: if it shows a block page, lower the connector's rate; if it looks different, \
         adjust the selectors or pointers in its settings",
    )
}

fn text(board: &Board, answered: &Answered) -> Result<String, Fault> {
    if answered.body.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::transient(format!("the server answered {} with an empty body", answered.status))
            .remedy("boards do this when they are asked too often; lower the connector's rate if this repeats"));
    }
    let encoding = board.encoding.or_else(|| declared(answered)).unwrap_or(UTF_8);
    // Labels lie: what calls itself GB2312 or GBK holds GB18030, which contains both.
    let encoding = if encoding == encoding_rs::GBK { encoding_rs::GB18030 } else { encoding };
    let (text, _, _) = encoding.decode(&answered.body);
    Ok(text.into_owned())
}

fn declared(answered: &Answered) -> Option<&'static Encoding> {
    let from_header = answered.content_type.as_deref().and_then(after_charset);
    from_header.or_else(|| {
        let start = answered.body.get(..META_BYTES).unwrap_or(&answered.body).trim_ascii_start();
        // Only HTML names its encoding inside; in JSON the words would be a citizen's.
        start.starts_with(b"<").then(|| after_charset(&String::from_utf8_lossy(start)))?
    })
}

/// The encoding named after the first `charset=`.
fn after_charset(text: &str) -> Option<&'static Encoding> {
    let lower = text.to_ascii_lowercase();
    let (_, after) = lower.split_once("charset=")?;
    let after = after.trim_start_matches(['"', '\'', ' ']);
    let label = after.split(['"', '\'', ' ', ';', '>', '/']).next()?;
    Encoding::for_label(label.as_bytes())
}

/// An answer in JSON.
///
/// # Errors
/// As for [`rows`].
pub(super) fn document(board: &Board, answered: &Answered) -> Result<Value, Fault> {
    json(&text(board, answered)?, None)
}

/// Which function wraps the document.
#[derive(Debug, Clone, Copy)]
enum Wrapped<'name> {
    /// Any.
    Some,
    /// This one.
    By(&'name str),
}

fn json(text: &str, wrapped: Option<Wrapped<'_>>) -> Result<Value, Fault> {
    let mut document = text.trim_start_matches('\u{feff}').trim();
    if document.starts_with('<') {
        return Err(layout_changed("the board answered with a page of HTML where JSON was expected"));
    }
    if let Some(wrapped) = wrapped {
        let inner = document.split_once('(').filter(|(before, _)| match wrapped {
            Wrapped::Some => true,
            Wrapped::By(name) => before.trim() == name,
        });
        let inner = inner.and_then(|(_, rest)| rest.rsplit_once(')'));
        document =
            inner.map(|(inner, _)| inner).ok_or_else(|| layout_changed("the answer is not wrapped in the call"))?;
    }
    serde_json::from_str(document).map_err(|error| match error.classify() {
        Category::Eof => Fault::transient("the board's answer breaks off in the middle"),
        _ => layout_changed("the answer is not JSON"),
    })
}

/// Whether an envelope says what it must.
///
/// # Errors
/// A transient fault where the source is busy, else a permanent one; the source's own words are quoted.
pub(super) fn envelope(
    document: &Value,
    success: &[Expectation],
    busy: Option<&Expectation>,
    message: Option<&String>,
) -> Result<(), Fault> {
    let Some(failed) = success.iter().find(|expectation| !expectation.holds(document)) else { return Ok(()) };
    let found = document.pointer(&failed.at);
    let found = found.map_or_else(|| "missing".to_owned(), |value| quoted(&value.to_string()));
    let says = message
        .and_then(|pointer| document.pointer(pointer))
        .and_then(Value::as_str)
        .map_or_else(String::new, |message| format!(": {}", quoted(message)));
    let what = format!("the board refuses: {} is {found}{says}", failed.at);
    if busy.is_some_and(|busy| busy.holds(document)) {
        return Err(Fault::transient(what));
    }
    Err(Fault::permanent(what)
        .remedy("check the request in the connector's settings: its fields, its form and its signature"))
}

fn quoted(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(QUOTED).collect()
}

fn json_rows(list: &JsonList, text: &str) -> Result<Vec<Part>, Fault> {
    let wrapped = match &list.callback {
        Some(name) => Some(Wrapped::By(name)),
        None => list.wrapped.then_some(Wrapped::Some),
    };
    let document = json(text, wrapped)?;
    envelope(&document, &list.success, list.busy.as_ref(), list.message.as_ref())?;
    let proved_empty = list.empty.as_ref().map(|empty| empty.holds(&document));
    match document.pointer(&list.items) {
        Some(Value::Array(rows)) if !rows.is_empty() => Ok(rows.iter().cloned().map(Part::Json).collect()),
        Some(Value::Array(_)) if proved_empty.unwrap_or(true) => Ok(Vec::new()),
        Some(Value::Array(_)) => Err(layout_changed("the list is empty, and nothing proves that it should be")),
        _ if proved_empty == Some(true) => Ok(Vec::new()),
        _ => Err(layout_changed(format!("there is no array at {}", list.items))),
    }
}

fn json_page(detail: &JsonDetail, text: &str) -> Result<Page, Fault> {
    let document = json(text, None)?;
    if detail.gone.as_ref().is_some_and(|gone| gone.holds(&document)) {
        return Ok(Page::Gone);
    }
    envelope(&document, &detail.success, detail.busy.as_ref(), detail.message.as_ref())?;
    Ok(Page::Here(Part::Json(document)))
}

fn html_rows(selectors: &super::ready::ListSelectors, text: &str) -> Result<Vec<Part>, Fault> {
    let tree = fields::parse(text).map_err(layout_changed)?;
    if tree.select(&selectors.page).next().is_none() {
        return Err(layout_changed("the page lacks what every page of the list has"));
    }
    let rows: Vec<Part> = tree.select(&selectors.row).map(|row| Part::Html(fields::row_markup(row))).collect();
    if !rows.is_empty() {
        return Ok(rows);
    }
    match &selectors.empty {
        Some(empty) if tree.select(empty).next().is_some() => Ok(Vec::new()),
        _ => Err(layout_changed("the page has no rows, and nothing proves that the list is empty")),
    }
}
