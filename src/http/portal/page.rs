//! The pages, rendered on the server: no script, nothing from other hosts. Whatever a citizen typed is text, escaped by the
//! templates.

use askama::Template;
use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    },
    response::{IntoResponse as _, Response},
};
use connectors::{
    entry::ConnectorName,
    public_form::{Field, Submission, Terms, Wrong},
};
use jiff::tz::TimeZone;

use super::{
    code::Slip,
    words::{Label, Words},
};
use crate::{
    assess::{Article, Kind, Urgency},
    issue::Relation,
    store::{portal::Fate, read::Place},
};

/// What every page has around it.
pub(super) struct Frame {
    pub(super) words: &'static Words,
    pub(super) title: String,
    pub(super) office: String,
    pub(super) phone: String,
    /// The connector, where the page has one.
    pub(super) portal: Option<String>,
    /// Which page of the menu it is.
    pub(super) here: &'static str,
}

/// A field of the form.
struct Input {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    kind: &'static str,
    complete: &'static str,
    rows: u8,
    needed: bool,
    value: String,
    problem: Option<String>,
    described: String,
}

struct Group {
    heading: &'static str,
    note: &'static str,
    inputs: Vec<Input>,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

struct Choices {
    name: &'static str,
    legend: &'static str,
    options: [Choice; 2],
}

struct Told {
    field: &'static str,
    text: String,
}

/// The form.
#[derive(Template)]
#[template(path = "portal/form.html")]
struct FormPage {
    frame: Frame,
    portal: String,
    ticket: String,
    notice: Option<&'static str>,
    problems: Vec<Told>,
    files_again: bool,
    groups: [Group; 2],
    kinds: Vec<Choice>,
    kind_problem: Option<String>,
    files: usize,
    files_hint: String,
    files_problem: Option<String>,
    choices: [Choices; 2],
}

/// What stands in a form as it is shown.
#[derive(Default)]
pub(super) struct Shown<'a> {
    /// The form's hidden field.
    pub(super) ticket: String,
    /// What was typed.
    pub(super) typed: Option<&'a Submission>,
    /// What is wrong with it.
    pub(super) wrong: Vec<Wrong>,
    /// What is to be said besides.
    pub(super) notice: Option<&'static str>,
}

/// The form page.
pub(super) fn form(
    status: StatusCode,
    frame: Frame,
    portal: &ConnectorName,
    terms: &Terms,
    shown: &Shown<'_>,
) -> Response {
    let words = frame.words;
    let empty = Submission::default();
    let typed = shown.typed.unwrap_or(&empty);
    let problem = |field: Field| {
        let found = shown.wrong.iter().find(|(of, _)| *of == field);
        found.map(|(_, problem)| words.problem(label(words, field), *problem))
    };
    let input = |field: Field, value: &str, kind, complete, rows| {
        let Label { label, hint } = labelled(words, field);
        let problem = problem(field);
        let name = field.as_str();
        let described = [(!hint.is_empty(), "hint"), (problem.is_some(), "problem")]
            .into_iter()
            .filter(|(there, _)| *there)
            .map(|(_, what)| format!("{name}-{what}"))
            .collect::<Vec<_>>()
            .join(" ");
        let needed = matches!(field, Field::Title | Field::Course);
        Input { name, label, hint, kind, complete, rows, needed, value: value.to_owned(), problem, described }
    };
    let matter = vec![
        input(Field::Title, &typed.title, "text", "off", 0),
        input(Field::Course, &typed.course, "text", "off", 8),
        input(Field::Time, &typed.time, "text", "off", 0),
        input(Field::Place, &typed.place, "text", "off", 0),
        input(Field::Parties, &typed.parties, "text", "off", 0),
        input(Field::Request, &typed.request, "text", "off", 3),
    ];
    let contact = vec![
        input(Field::Name, &typed.name, "text", "name", 0),
        input(Field::Phone, &typed.phone, "tel", "tel", 0),
        input(Field::Email, &typed.email, "email", "email", 0),
    ];
    let page = FormPage {
        portal: portal.to_string(),
        ticket: shown.ticket.clone(),
        notice: shown.notice,
        problems: shown
            .wrong
            .iter()
            // What a browser does not send is no field of the page.
            .filter(|(field, _)| !matches!(field, Field::Id | Field::SubmittedAt | Field::Ip))
            .map(|(field, problem)| Told { field: field.as_str(), text: words.problem(label(words, *field), *problem) })
            .collect(),
        files_again: !typed.files.is_empty() || shown.wrong.iter().any(|(field, _)| *field == Field::Files),
        groups: [
            Group { heading: words.matter, note: "", inputs: matter },
            Group { heading: words.contact, note: words.contact_note, inputs: contact },
        ],
        kinds: Kind::ALL
            .into_iter()
            .map(|kind| Choice {
                value: kind.as_str(),
                label: words.kind_name(kind),
                chosen: typed.kind.as_deref() == Some(kind.as_str()),
            })
            .collect(),
        kind_problem: problem(Field::Kind),
        files: terms.files,
        files_hint: words.files_hint(terms.files, terms.file_bytes, terms.total_bytes),
        files_problem: problem(Field::Files),
        choices: [
            choices("wants_answer", words.wants_answer, [words.answer_yes, words.answer_no], typed.wants_answer),
            choices("public", words.public, [words.public_yes, words.public_no], typed.public),
        ],
        frame,
    };
    rendered(status, &page)
}

fn choices(name: &'static str, legend: &'static str, labels: [&'static str; 2], chosen: Option<bool>) -> Choices {
    let [yes, no] = labels;
    let options = [
        Choice { value: "yes", label: yes, chosen: chosen == Some(true) },
        Choice { value: "no", label: no, chosen: chosen == Some(false) },
    ];
    Choices { name, legend, options }
}

fn labelled(words: &'static Words, field: Field) -> Label {
    let Label { label, hint } = match field {
        Field::Title => &words.title,
        Field::Course => &words.course,
        Field::Time => &words.time,
        Field::Place => &words.place,
        Field::Parties => &words.parties,
        Field::Request => &words.request,
        Field::Name => &words.person,
        Field::Phone => &words.phone,
        Field::Email => &words.email,
        Field::Kind | Field::Id | Field::SubmittedAt | Field::Ip => &words.kind,
        Field::Files => return Label { label: words.files, hint: "" },
    };
    Label { label, hint }
}

fn label(words: &'static Words, field: Field) -> &'static str {
    labelled(words, field).label
}

/// What became of a submission, in words.
pub(super) struct FateShown {
    pub(super) ticket: Option<String>,
    pub(super) reception: String,
    /// Shown once, to whoever has just sent it.
    pub(super) code: Option<String>,
    pub(super) state: String,
    /// What the rule tells the petitioner, in Chinese.
    pub(super) advice: Option<String>,
    pub(super) note: Option<&'static str>,
    pub(super) kind: Option<&'static str>,
    pub(super) due: Option<String>,
    pub(super) received: String,
    pub(super) emergency: bool,
}

/// Says what became of a submission: its state with the reason (Article 13(3)), and nothing that anybody wrote.
pub(super) fn told(words: &Words, fate: &Fate, slip: &Slip, zone: &TimeZone) -> FateShown {
    let article = fate.grounds.as_ref().map(|grounds| grounds.article);
    let decided = |what: &str| article.map_or_else(|| what.to_owned(), |article| words.decided(what, article));
    let relation = fate.ticket.as_ref().and_then(|ticket| ticket.relation);
    let handed_on = fate.ticket.as_ref().is_some_and(|ticket| ticket.handed_on);
    let (state, note) = match fate.place {
        Place::Pending => (words.pending.to_owned(), None),
        Place::Ticket => match relation {
            Some(Relation::Repeat) => (words.repeat.to_owned(), None),
            Some(Relation::CoReport) => (words.co_report.to_owned(), None),
            _ if handed_on => (words.handed_on.to_owned(), None),
            _ => (words.accepted.to_owned(), None),
        },
        Place::Guided => (decided(words.guided), Some(words.guidance_otherwise)),
        Place::Declined => (decided(words.declined), Some(words.refusal_otherwise)),
        // Why something could not be read is our affair; to the citizen it means that a person looks.
        Place::Held | Place::Quarantine => (words.held.to_owned(), Some(words.held_note)),
    };
    // Where a person still has to decide, only what is missing is asked for: to be sent elsewhere is that person's decision.
    let asks = |article: Article| ["8(2)", "13(4)"].contains(&article.to_string().as_str());
    let advised = match fate.place {
        Place::Guided | Place::Declined => true,
        Place::Held => article.is_some_and(asks),
        Place::Pending | Place::Ticket | Place::Quarantine => false,
    };
    FateShown {
        ticket: fate.ticket.as_ref().map(|ticket| ticket.number.to_string()),
        reception: slip.number.clone(),
        code: None,
        state,
        advice: fate.grounds.as_ref().filter(|_| advised).and_then(|grounds| grounds.advice.clone()),
        note,
        kind: fate.ticket.as_ref().map(|ticket| words.kind_name(ticket.kind)),
        due: fate
            .ticket
            .as_ref()
            .and_then(|ticket| ticket.complete_due)
            .map(|due| words.day(zone.to_datetime(due).date())),
        received: words.day(zone.to_datetime(fate.received_at).date()),
        emergency: fate.urgency == Some(Urgency::Emergency),
    }
}

/// What is shown after a submission.
#[derive(Template)]
#[template(path = "portal/done.html")]
struct DonePage {
    frame: Frame,
    portal: String,
    again: String,
    fate: FateShown,
}

/// The page after a submission.
pub(super) fn done(frame: Frame, portal: &ConnectorName, slip: &Slip, fate: FateShown) -> Response {
    let fate = FateShown { code: Some(slip.code.clone()), ..fate };
    let page = DonePage { frame, portal: portal.to_string(), again: slip.code.clone(), fate };
    rendered(StatusCode::OK, &page)
}

/// Where one asks.
#[derive(Template)]
#[template(path = "portal/status.html")]
struct StatusPage {
    frame: Frame,
    portal: String,
    number: String,
    notice: Option<&'static str>,
    fate: Option<FateShown>,
}

/// The page where one asks, with what was found or what is to be said.
pub(super) fn status(
    status: StatusCode,
    frame: Frame,
    portal: &ConnectorName,
    number: String,
    notice: Option<&'static str>,
    fate: Option<FateShown>,
) -> Response {
    rendered(status, &StatusPage { frame, portal: portal.to_string(), number, notice, fate })
}

/// One thing that is to be said.
#[derive(Template)]
#[template(path = "portal/message.html")]
struct MessagePage {
    frame: Frame,
    heading: &'static str,
    text: &'static str,
}

/// A page that says one thing.
pub(super) fn message(status: StatusCode, frame: Frame, heading: &'static str, text: &'static str) -> Response {
    rendered(status, &MessagePage { frame, heading, text })
}

/// Headers of every page. The referrer stays within the site, and is not taken away altogether: without it browsers hide from
/// us that a form was sent from our own page.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
];

fn rendered(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let html = (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            (status, HEADERS, [html], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page of the portal could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The style of the pages.
pub(super) async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    (headers, include_str!("templates/portal.css")).into_response()
}
