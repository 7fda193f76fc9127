//! What rules make of a text, in words.

use connectors::complaint::{Channel, Complaint};
use jiff::Timestamp;

use crate::{
    assess::{Assessor, Verdict},
    console::{desk::cited, trouble::Trouble, words::Lang},
};

/// A verdict as a page shows it.
pub(super) struct Told {
    /// Style class of the outcome.
    pub(super) class: &'static str,
    pub(super) outcome: &'static str,
    /// What is known of it: a name, and the words; what says nothing is left out.
    pub(super) facts: Vec<(&'static str, String)>,
}

/// Judges a text as a message on a board would be.
pub(super) async fn of(assessor: Assessor, text: &str, now: Timestamp, lang: Lang) -> Result<Told, Trouble> {
    let complaint = Complaint { body: text.to_owned(), ..Complaint::default() };
    let judged = tokio::task::spawn_blocking(move || assessor.assess(complaint, Channel::MessageBoard, now));
    let verdict = judged.await.map_err(|_| Trouble::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
    Ok(told(&verdict, lang))
}

/// The style class of an outcome by its name.
pub(super) fn class(disposition: &str) -> &'static str {
    match disposition {
        "accept" => "good",
        "hold" => "warn",
        _ => "off",
    }
}

fn told(verdict: &Verdict, lang: Lang) -> Told {
    let (grounds, shown) = (&verdict.grounds, &verdict.shown);
    let suggested = &shown.suggested;
    let kind = |kind: crate::assess::Kind| lang.of("kind", kind.as_str());
    let mut kinds = kind(verdict.kind).to_owned();
    if !verdict.kind_certain {
        let maybe: Vec<&str> = suggested.kinds.iter().map(|one| kind(*one)).collect();
        kinds = format!("{kinds} · {}", lang.tf("verdict.kinds", &[("kinds", &maybe.join(" / "))]));
    }
    let days = lang.tf("verdict.days", &[("n", &verdict.due_kind.working_days())]);
    let mut units: Vec<&str> = suggested.unit.iter().map(String::as_str).collect();
    units.extend(suggested.also_to.iter().map(String::as_str));
    let subject = suggested.subject.as_deref().map(|subject| match suggested.evidence.join("、") {
        evidence if evidence.is_empty() => subject.to_owned(),
        evidence => format!("{subject}（{evidence}）"),
    });
    let facts = [
        ("verdict.article", cited(grounds.article, lang)),
        ("verdict.rule", format!("{} · {}", grounds.rule, grounds.rules_version)),
        ("verdict.score", format!("{} / 100", grounds.score)),
        ("verdict.evidence", grounds.evidence.join("；")),
        ("verdict.against", grounds.against.join("；")),
        ("verdict.advice", grounds.advice.clone().unwrap_or_default()),
        ("verdict.kind", format!("{kinds} · {days}")),
        ("verdict.urgency", lang.of("urgency", verdict.urgency.as_str()).to_owned()),
        ("verdict.subject", subject.unwrap_or_default()),
        ("verdict.unit", units.join("、")),
        ("verdict.shown", shown.body.clone()),
    ];
    Told {
        class: class(verdict.disposition.as_str()),
        outcome: lang.of("disposition", verdict.disposition.as_str()),
        facts: facts
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(key, words)| (lang.t(key), words))
            .collect(),
    }
}
