//! Settings made ready for use: checked, with selectors and patterns compiled.

use encoding_rs::Encoding;
use reqwest::Url;
use scraper::Selector;
use serde_json::Value;

use super::{
    field::{Expectation, Name},
    fields::{self, From, Ready},
    request,
    settings::{DetailAnswer, ListAnswer, Order, OrderedBy, Paging, Request, Settings},
};
use crate::{contract::Mistake, times};

/// Boards of one connector.
const MAX_BOARDS: usize = 500;

/// Settings ready for use.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pub(super) settings: Settings,
    pub(super) base: Url,
    pub(super) list_fields: Ready,
    pub(super) list_html: Option<ListSelectors>,
    pub(super) detail_fields: Ready,
    pub(super) detail_html: Option<DetailSelectors>,
    pub(super) encoding: Option<&'static Encoding>,
}

#[derive(Debug, Clone)]
pub(super) struct ListSelectors {
    pub(super) page: Selector,
    pub(super) row: Selector,
    pub(super) empty: Option<Selector>,
}

#[derive(Debug, Clone)]
pub(super) struct DetailSelectors {
    pub(super) page: Selector,
    pub(super) gone: Option<Selector>,
}

/// Collects mistakes with their places.
#[derive(Default)]
struct Finder(Vec<Mistake>);

impl Finder {
    fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(Mistake::new(pointer, message));
    }

    fn selector(&mut self, pointer: &str, text: &str) -> Option<Selector> {
        fields::selector(text).map_err(|message| self.add(pointer, message)).ok()
    }

    fn pointer_form(&mut self, pointer: &str, text: &str) {
        if let Err(message) = fields::pointer_form(text) {
            self.add(pointer, message);
        }
    }

    fn expectation(&mut self, pointer: &str, expectation: Option<&Expectation>) {
        let Some(expectation) = expectation else { return };
        self.pointer_form(&format!("{pointer}/at"), &expectation.at);
        if expectation.any_of.is_empty() {
            self.add(format!("{pointer}/any_of"), "name at least one value");
        }
    }

    fn success(&mut self, pointer: &str, success: &[Expectation], proved: bool) {
        if success.is_empty() && !proved {
            self.add(pointer, "name at least one thing that proves the answer: without it an error reads as no news");
        }
        for (index, expectation) in success.iter().enumerate() {
            self.expectation(&format!("{pointer}/{index}"), Some(expectation));
        }
    }

    fn fields(&mut self, pointer: &str, fields: &super::field::Fields, from: From) -> Ready {
        let (ready, mistakes) = fields::compile(fields, from);
        for (name, message) in mistakes {
            self.add(format!("{pointer}/{}", word(name)), message);
        }
        ready
    }
}

/// The name under which settings know a field.
pub(super) fn word(name: Name) -> String {
    match serde_json::to_value(name) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Makes settings ready.
///
/// # Errors
/// Every mistake that can be found without asking the source.
pub(super) fn ready(settings: &Settings) -> Result<Board, Vec<Mistake>> {
    let mut finder = Finder::default();
    let base = base(settings, &mut finder);
    numbers(settings, &mut finder);
    requests(settings, &mut finder);
    sign(settings, &mut finder);
    reply(settings, &mut finder);
    order(settings, &mut finder);
    let encoding = settings.encoding.as_ref().and_then(|label| {
        let encoding = Encoding::for_label(label.as_bytes());
        if encoding.is_none() {
            finder.add("/encoding", format!("{label:?} names no encoding; write for example \"gb18030\""));
        }
        encoding
    });
    for (index, format) in settings.times.iter().enumerate() {
        if let Some(message) = times::mistake(format) {
            finder.add(format!("/times/{index}"), message);
        }
    }
    let (list_fields, list_html) = list(settings, &mut finder);
    let (detail_fields, detail_html) = detail(settings, &mut finder);
    match base {
        Some(base) if finder.0.is_empty() => {
            Ok(Board { settings: settings.clone(), base, list_fields, list_html, detail_fields, detail_html, encoding })
        }
        _ => Err(finder.0),
    }
}

fn base(settings: &Settings, finder: &mut Finder) -> Option<Url> {
    let url = Url::parse(&settings.base).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
    });
    let Some(mut url) = url else {
        finder.add("/base", "write an http or https address without user, password and query");
        return None;
    };
    if !url.path().ends_with('/') {
        // Without it the last part of the path would be lost when a path is resolved.
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

fn numbers(settings: &Settings, finder: &mut Finder) {
    if !(1..=1_000).contains(&settings.page_size) {
        finder.add("/page_size", "must be 1 to 1000");
    }
    if !(1..=10_000).contains(&settings.overlap) {
        finder.add("/overlap", "must be 1 to 10000");
    }
    if settings.max_pages == 0 {
        finder.add("/max_pages", "must be at least 1");
    }
    if settings.boards.is_empty() || settings.boards.len() > MAX_BOARDS {
        finder.add("/boards", format!("name 1 to {MAX_BOARDS} boards, or leave it out"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, board) in settings.boards.iter().enumerate() {
        if !seen.insert(board) {
            finder.add(format!("/boards/{index}"), "this board is named twice");
        }
    }
    if let Some(revisit) = &settings.revisit {
        if !(1..=3_650).contains(&revisit.open_days) {
            finder.add("/revisit/open_days", "must be 1 to 3650");
        }
        if revisit.every_minutes == 0 || revisit.items == 0 {
            finder.add("/revisit", "every_minutes and items must be at least 1");
        }
        if settings.order == Order::Ascending {
            finder.add("/revisit", "works on lists in descending order only");
        }
    }
}

/// Placeholders that every request may use.
const EVERYWHERE: [&str; 5] = ["board", "time", "time_ms", "nonce", "signature"];

fn requests(settings: &Settings, finder: &mut Finder) {
    for (pointer, template) in &settings.headers {
        placeholders(settings, &format!("/headers/{pointer}"), template, &[], finder);
    }
    request(settings, "/list/request", &settings.list.request, &["page", "last", "size"], finder);
    let turns = |name: &str| request::says(&settings.list.request, name);
    let needed = match settings.paging {
        Paging::Page { .. } => Some("page"),
        Paging::LastId { .. } => Some("last"),
        Paging::Single => None,
    };
    if let Some(needed) = needed.filter(|needed| !turns(needed)) {
        finder.add("/list/request", format!("the request never says {{{needed}}}, so pages cannot be turned"));
    }
    let unnamed = settings.boards.iter().all(String::is_empty);
    if settings.boards.len() > 1 && !turns("board") {
        finder.add("/list/request", "there are several boards, and the request never says {board}");
    }
    if unnamed && turns("board") {
        finder.add("/boards", "the request says {board}: name the boards as the source numbers them");
    }
    if let Some(detail) = &settings.detail {
        if detail.request.path == "{link}" {
            if !settings.list.fields.contains_key(&Name::Link) {
                finder.add("/list/fields", "the detail is asked for by {link}, so the field link is needed");
            }
        } else {
            request(settings, "/detail/request", &detail.request, &["id"], finder);
        }
    }
    for (pointer, template) in &settings.list.verify {
        let place = "/list/verify";
        finder.pointer_form(place, pointer);
        placeholders(settings, place, template, &[], finder);
        if matches!(settings.list.answer, ListAnswer::Html(_)) {
            finder.add(place, "is for lists in JSON");
        }
    }
}

fn sign(settings: &Settings, finder: &mut Finder) {
    let requests = [Some(&settings.list.request), settings.detail.as_ref().map(|detail| &detail.request)];
    let reply = settings.reply.as_ref().map(|reply| &reply.request);
    let asks = requests.into_iter().chain([reply]).flatten().any(|request| request::says(request, "signature"));
    let heads = settings.headers.values().any(|header| header.contains("{signature}"));
    let Some(sign) = &settings.sign else {
        if asks || heads {
            finder.add("/sign", "a request says {signature}: write down how the operator asks for it to be made");
        }
        return;
    };
    if !asks && !heads {
        finder.add("/sign", "no request says {signature}, so the signature would go nowhere");
    }
    for (place, message) in sign.mistakes(|name| settings.secrets.contains_key(name)) {
        finder.add(format!("/sign{place}"), message);
    }
}

fn reply(settings: &Settings, finder: &mut Finder) {
    let Some(reply) = &settings.reply else { return };
    request(settings, "/reply/request", &reply.request, &["id", "subject", "text"], finder);
    if !request::says(&reply.request, "text") && !request::says(&reply.request, "text:json") {
        finder.add("/reply/request", "the request never says {text}, so nothing would be answered");
    }
    finder.success("/reply/success", &reply.success, false);
    for (pointer, expectation) in [("repeat", &reply.repeat), ("gone", &reply.gone), ("busy", &reply.busy)] {
        finder.expectation(&format!("/reply/{pointer}"), expectation.as_ref());
    }
}

fn request(settings: &Settings, pointer: &str, request: &Request, known: &[&str], finder: &mut Finder) {
    placeholders(settings, &format!("{pointer}/path"), &request.path, known, finder);
    for (part, fields) in [("query", &request.query), ("form", &request.form)] {
        for (name, template) in fields {
            placeholders(settings, &format!("{pointer}/{part}/{name}"), template, known, finder);
        }
    }
    if request.json.is_some() && !request.form.is_empty() {
        finder.add(format!("{pointer}/form"), "a request has a form or a JSON body, not both");
    }
    if let Some(json) = &request.json {
        // JSON has braces of its own: only secrets are looked for.
        for name in request::placeholders(&json.to_string()).iter().filter(|name| name.starts_with("secret.")) {
            secret(settings, &format!("{pointer}/json"), name, finder);
        }
    }
}

fn placeholders(settings: &Settings, pointer: &str, template: &str, known: &[&str], finder: &mut Finder) {
    for name in request::placeholders(template) {
        if name.starts_with("secret.") {
            secret(settings, pointer, &name, finder);
        } else if name.bytes().all(|byte| byte.is_ascii_lowercase())
            && !known.contains(&name.as_str())
            && !EVERYWHERE.contains(&name.as_str())
        {
            let known = [known, &EVERYWHERE].concat().join(", ");
            finder.add(pointer, format!("{{{name}}} stands for nothing here; known are {known}"));
        }
    }
}

fn secret(settings: &Settings, pointer: &str, name: &str, finder: &mut Finder) {
    let name = name.trim_start_matches("secret.");
    if !settings.secrets.contains_key(name) {
        finder.add(pointer, format!("the secret {name:?} is not named under secrets"));
    }
}

fn order(settings: &Settings, finder: &mut Finder) {
    if !settings.list.fields.contains_key(&Name::Id) {
        finder.add("/list/fields", "the field id is needed");
    }
    if settings.ordered_by == OrderedBy::Time && !settings.list.fields.contains_key(&Name::MadeAt) {
        finder.add("/list/fields", "the list is ordered by time, so the field made_at is needed");
    }
    let body_in = |fields: &super::field::Fields| fields.contains_key(&Name::Body);
    if !body_in(&settings.list.fields) && !settings.detail.as_ref().is_some_and(|detail| body_in(&detail.fields)) {
        finder.add("/list/fields", "the field body is needed, here or in the detail");
    }
    if settings.times.is_empty() {
        finder.add("/times", "name at least one form, or leave it out");
    }
}

fn list(settings: &Settings, finder: &mut Finder) -> (Ready, Option<ListSelectors>) {
    match &settings.list.answer {
        ListAnswer::Json(json) => {
            finder.pointer_form("/list/answer/items", &json.items);
            finder.success("/list/answer/success", &json.success, json.callback.is_some());
            finder.expectation("/list/answer/empty", json.empty.as_ref());
            finder.expectation("/list/answer/busy", json.busy.as_ref());
            (finder.fields("/list/fields", &settings.list.fields, From::Json), None)
        }
        ListAnswer::Html(html) => {
            let page = finder.selector("/list/answer/page", &html.page);
            let row = finder.selector("/list/answer/row", &html.row);
            let empty = html.empty.as_ref().and_then(|empty| finder.selector("/list/answer/empty", empty));
            let selectors = page.zip(row).map(|(page, row)| ListSelectors { page, row, empty });
            (finder.fields("/list/fields", &settings.list.fields, From::Html), selectors)
        }
    }
}

fn detail(settings: &Settings, finder: &mut Finder) -> (Ready, Option<DetailSelectors>) {
    let Some(detail) = &settings.detail else { return (Ready::new(), None) };
    match &detail.answer {
        DetailAnswer::Json(json) => {
            finder.success("/detail/answer/success", &json.success, false);
            finder.expectation("/detail/answer/gone", json.gone.as_ref());
            finder.expectation("/detail/answer/busy", json.busy.as_ref());
            (finder.fields("/detail/fields", &detail.fields, From::Json), None)
        }
        DetailAnswer::Html(html) => {
            let page = finder.selector("/detail/answer/page", &html.page);
            let gone = html.gone.as_ref().and_then(|gone| finder.selector("/detail/answer/gone", gone));
            let selectors = page.map(|page| DetailSelectors { page, gone });
            (finder.fields("/detail/fields", &detail.fields, From::Html), selectors)
        }
    }
}
