//! Takes fields out of rows and pages, by JSON pointer or CSS selector. The same code serves the reader and the
//! normaliser, so that what was read and what is normalised later cannot differ.

use std::collections::BTreeMap;

use regex::Regex;
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

use super::field::{Expectation, Field, Fields, Name};
use crate::{
    entry::Remark,
    html::{Bounds, nesting, to_text},
};

/// Deepest nesting of elements in a page that is read; the tree builder's time grows with its square.
pub(super) const MAX_NESTING: usize = 512;

/// Deepest nesting times the number of tags: a tree builder may open every unclosed element again at every tag.
const MAX_WORK: usize = 4_000_000;

/// Most attributes of one tag; a tree builder compares each with all before it.
const MAX_ATTRIBUTES: usize = 2_000;

/// Longest page that is read as HTML, in bytes.
pub(super) const MAX_PAGE: usize = 4 * 1024 * 1024;

/// Most elements of an array, or rows of a table, that one field looks at.
const MAX_ELEMENTS: usize = 1_000;

/// Longest value of a field in characters; bodies have the bound of [`Bounds`].
const MAX_VALUE: usize = 4_000;

/// Compiled size of one pattern of the settings, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// Fields ready for use.
pub(super) type Ready = BTreeMap<Name, ReadyField>;

/// A field whose selector and pattern are compiled.
#[derive(Debug, Clone)]
pub(super) struct ReadyField {
    field: Field,
    selector: Option<Selector>,
    pattern: Option<Regex>,
}

/// What form a field is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Json,
    Html,
}

/// Compiles fields; each mistake with the field's name and what is wrong.
pub(super) fn compile(fields: &Fields, from: From) -> (Ready, Vec<(Name, String)>) {
    let mut ready = Ready::new();
    let mut mistakes = Vec::new();
    for (name, field) in fields {
        match compile_one(field, from) {
            Ok(field) => {
                ready.insert(*name, field);
            }
            Err(mistake) => mistakes.push((*name, mistake)),
        }
    }
    (ready, mistakes)
}

fn compile_one(field: &Field, from: From) -> Result<ReadyField, String> {
    let selector = match from {
        From::Json => {
            for pointer in [Some(&field.at), field.each.as_ref()].into_iter().flatten() {
                pointer_form(pointer)?;
            }
            if field.attribute.is_some() || field.row.is_some() {
                return Err("attribute and row are for HTML; this answer is JSON".to_owned());
            }
            None
        }
        From::Html => {
            if field.each.is_some() || field.only.is_some() || field.markup {
                return Err("each, only and markup are for JSON; this answer is HTML".to_owned());
            }
            (!field.at.is_empty()).then(|| selector(&field.at)).transpose()?
        }
    };
    let pattern = match &field.pattern {
        Some(pattern) => Some(
            regex::RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES)
                .build()
                .map_err(|_| "the pattern is no regular expression, or too large a one".to_owned())?,
        ),
        None => None,
    };
    Ok(ReadyField { field: field.clone(), selector, pattern })
}

/// Whether a text is a JSON pointer (RFC 6901).
pub(super) fn pointer_form(pointer: &str) -> Result<(), String> {
    if pointer.is_empty() || pointer.starts_with('/') {
        Ok(())
    } else {
        Err(format!("{pointer:?} is no JSON pointer: it must start with \"/\""))
    }
}

/// Compiles a CSS selector.
pub(super) fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| format!("{text:?} is no CSS selector: {error}"))
}

/// What a row or a page tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    pub(super) found: BTreeMap<Name, String>,
    pub(super) remarks: Vec<Remark>,
}

impl Values {
    /// The value, where there is one.
    pub(super) fn get(&self, name: Name) -> Option<&str> {
        self.found.get(&name).map(String::as_str)
    }

    /// Takes over what `other` tells; it comes before what was told.
    pub(super) fn overlay(&mut self, other: Self) {
        self.found.extend(other.found);
        self.remarks.extend(other.remarks);
    }

    fn put(&mut self, name: Name, field: &ReadyField, raw: Raw) {
        let text = match raw {
            Raw::Plain(text) => text.trim().to_owned(),
            Raw::Markup(markup) => {
                let text = to_text(&markup, &Bounds::default());
                self.remarks.extend(text.remarks);
                text.text
            }
        };
        let text = match &field.pattern {
            Some(pattern) => match pattern.captures(&text) {
                Some(captures) => {
                    captures.get(1).or_else(|| captures.get(0)).map_or("", |found| found.as_str()).to_owned()
                }
                None => String::new(),
            },
            None => text,
        };
        let text = if is_long(name) { bounded(text, Bounds::default().text_chars, self) } else { one_line(&text) };
        if !text.is_empty() {
            self.found.insert(name, text);
        }
    }
}

fn is_long(name: Name) -> bool {
    matches!(name, Name::Body | Name::Request | Name::Reply)
}

fn bounded(mut text: String, most: usize, values: &mut Values) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
        values.remarks.push(Remark::Bounded { what: format!("only the first {most} characters of a text were kept") });
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_VALUE).collect()
}

enum Raw {
    Plain(String),
    Markup(String),
}

/// What a JSON row or document tells.
pub(super) fn from_json(fields: &Ready, document: &Value) -> Values {
    let mut values = Values::default();
    for (name, field) in fields {
        let Some(text) = json_text(&field.field, document) else { continue };
        let raw = if field.field.markup { Raw::Markup(text) } else { Raw::Plain(text) };
        values.put(*name, field, raw);
    }
    values
}

fn json_text(field: &Field, document: &Value) -> Option<String> {
    let value = document.pointer(&field.at)?;
    let Some(each) = &field.each else { return scalar(value) };
    let takes = |element: &Value| field.only.as_ref().is_none_or(|only: &Expectation| only.holds(element));
    let texts: Vec<String> = value
        .as_array()?
        .iter()
        .take(MAX_ELEMENTS)
        .filter(|element| takes(element))
        .filter_map(|element| scalar(element.pointer(each)?))
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The tree of a page or of a row kept by itself.
///
/// # Errors
/// In words, where the page is too long or nested too deeply to be read.
pub(super) fn parse(page: &str) -> Result<Html, String> {
    if page.len() > MAX_PAGE {
        return Err(format!("the page is longer than {MAX_PAGE} bytes"));
    }
    let depth = nesting(page);
    if depth > MAX_NESTING {
        return Err(format!("the page's elements nest {depth} deep, more than {MAX_NESTING}"));
    }
    let tags = page.bytes().filter(|byte| *byte == b'<').count();
    if depth.saturating_mul(tags) > MAX_WORK {
        return Err(format!("the page has {tags} tags, nested up to {depth} deep: more than is read"));
    }
    if widest_tag(page) > MAX_ATTRIBUTES {
        return Err(format!("a tag of the page has more than {MAX_ATTRIBUTES} attributes"));
    }
    Ok(Html::parse_document(page))
}

/// About how many attributes the tag with the most of them has, in one pass.
fn widest_tag(page: &str) -> usize {
    let (mut widest, mut here) = (0, 0);
    let (mut inside, mut quote, mut previous) = (false, None, b' ');
    for byte in page.bytes() {
        match (inside, quote) {
            (false, _) => {
                inside = previous == b'<' && byte.is_ascii_alphabetic();
                here = 0;
            }
            (true, Some(mark)) => quote = (byte != mark).then_some(mark),
            (true, None) if byte == b'>' => inside = false,
            (true, None) if previous == b'=' && matches!(byte, b'"' | b'\'') => quote = Some(byte),
            (true, None) => here += usize::from(matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'/')),
        }
        widest = widest.max(here);
        previous = byte;
    }
    widest
}

/// A row's HTML with the elements around it without which it could not be parsed again.
pub(super) fn row_markup(row: ElementRef<'_>) -> String {
    let html = row.html();
    match row.value().name() {
        "tr" => format!("<table><tbody>{html}</tbody></table>"),
        "td" | "th" => format!("<table><tbody><tr>{html}</tr></tbody></table>"),
        "tbody" | "thead" => format!("<table>{html}</table>"),
        _ => html,
    }
}

/// What a row or a page of HTML tells.
pub(super) fn from_html(fields: &Ready, document: &Html) -> Values {
    let mut values = Values::default();
    for (name, field) in fields {
        let Some(raw) = html_raw(*name, field, document) else { continue };
        values.put(*name, field, raw);
    }
    values
}

fn html_raw(name: Name, field: &ReadyField, document: &Html) -> Option<Raw> {
    let scope = match &field.selector {
        Some(selector) => document.select(selector).next()?,
        None => document.root_element(),
    };
    let element = match &field.field.row {
        Some(label) => cell_after(scope, label)?,
        None => scope,
    };
    if let Some(attribute) = &field.field.attribute {
        return element.attr(attribute).map(|value| Raw::Plain(value.to_owned()));
    }
    if is_long(name) {
        return Some(Raw::Markup(element.inner_html()));
    }
    Some(Raw::Plain(element.text().collect()))
}

/// The cell that follows the cell with this label, whatever rows stand before it.
fn cell_after<'page>(scope: ElementRef<'page>, label: &str) -> Option<ElementRef<'page>> {
    let wanted = label_form(label);
    let mut cells = 0_usize;
    for row in scope.descendent_elements().filter(|element| element.value().name() == "tr") {
        let mut found = false;
        for cell in row.child_elements().filter(|cell| matches!(cell.value().name(), "td" | "th")) {
            if found {
                return Some(cell);
            }
            found = label_form(&cell.text().take(20).collect::<String>()) == wanted;
            cells += 1;
        }
        if cells > MAX_ELEMENTS {
            return None;
        }
    }
    None
}

/// A label without spaces, colons and stars, which come and go.
fn label_form(text: &str) -> String {
    text.chars().filter(|mark| !mark.is_whitespace() && !matches!(mark, ':' | '：' | '*' | '＊')).take(100).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(fields: &[(Name, Field)], from: From) -> Ready {
        let (ready, mistakes) = compile(&fields.iter().cloned().collect(), from);
        assert_eq!(mistakes, []);
        ready
    }

    #[test]
    fn a_table_field_is_found_by_its_label_wherever_its_row_stands() {
        let by_label = Field { at: "table".to_owned(), row: Some("诉求内容".to_owned()), ..Field::default() };
        let ready = fields(&[(Name::Body, by_label)], From::Html);
        let rows = ["<tr><td>标题</td><td>诉求内容</td></tr>", "<tr><th> 诉求 内容：</th><td>井盖<br>丢失</td></tr>"];
        for extra in ["", "<tr><td>诉求附件</td><td>a.jpg</td></tr>", "<tr><td colspan=2></td></tr>"] {
            let page = format!("<table>{}{extra}{}</table>", rows[0], rows[1]);
            let values = from_html(&ready, &parse(&page).unwrap());
            assert_eq!(values.get(Name::Body), Some("井盖\n丢失"), "{page}");
        }
    }

    #[test]
    fn json_fields_take_scalars_and_chosen_elements() {
        let only = Expectation { at: "/kind".to_owned(), any_of: vec![json!(1)] };
        let chosen = Field { each: Some("/text".to_owned()), only: Some(only), ..Field::from("/parts") };
        let ready =
            fields(&[(Name::Body, chosen), (Name::Id, "/id".into()), (Name::Place, "/parts".into())], From::Json);
        let document = json!({"id": 7, "parts": [{"kind": 1, "text": "甲"}, {"kind": 4, "text": "乙"}, {"kind": 1, "text": "丙"}]});
        let values = from_json(&ready, &document);
        assert_eq!(values.get(Name::Body), Some("甲\n丙"));
        assert_eq!(values.get(Name::Id), Some("7"));
        assert_eq!(values.get(Name::Place), None, "an array is no text");
    }

    #[test]
    fn d04_pages_that_would_take_a_tree_builder_too_long_are_refused() {
        let deep = "<div>".repeat(100_000);
        let many = |count: u32, one: fn(u32) -> String| (0..count).map(one).collect::<Vec<_>>().concat();
        let wide = format!("<p {}>", many(100_000, |n| format!("a{n} ")));
        let reopened = many(400, |n| format!("<b id={n}>")) + &"<p>".repeat(100_000);
        for page in [deep, wide, reopened, " ".repeat(MAX_PAGE + 1)] {
            assert!(parse(&page).is_err(), "{}", &page[..20]);
        }
        let row = "<tr><td><a href=\"detail?id=1&amp;x=a b c\" class=\"x y\">标题</a></td><td>2026-10-08</td></tr>";
        assert!(parse(&format!("<table>{}</table>", row.repeat(5_000))).is_ok());
    }
}
