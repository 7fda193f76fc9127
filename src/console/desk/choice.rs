//! What a person can rule, each with the clause that it rests on: an article that does not fit its conclusion cannot be
//! chosen.

use std::time::Duration;

use crate::{
    assess::{Article, Disposition, Kind},
    console::{
        Console,
        access::{Form, Visitor},
        trouble::Trouble,
        words::Lang,
    },
    http::MAX_REASON,
    ids::EntryId,
    issue::Ruling,
};

/// A conclusion and the clause that it rests on.
#[derive(Debug, Clone, Copy)]
struct Choice {
    disposition: Disposition,
    article: Article,
}

const fn choice(disposition: Disposition, article: Article) -> Choice {
    Choice { disposition, article }
}

/// What can be ruled, in the order of the regulation.
const CHOICES: [Choice; 11] = [
    choice(Disposition::Accept, Article::new(6)),
    choice(Disposition::Guide, Article::clause(7, 1)),
    choice(Disposition::Guide, Article::clause(7, 2)),
    choice(Disposition::Guide, Article::clause(7, 3)),
    choice(Disposition::Guide, Article::clause(7, 4)),
    choice(Disposition::Decline, Article::clause(8, 1)),
    choice(Disposition::Decline, Article::clause(8, 2)),
    choice(Disposition::Decline, Article::clause(8, 3)),
    choice(Disposition::Decline, Article::clause(13, 4)),
    choice(Disposition::Decline, Article::new(6)),
    choice(Disposition::Hold, Article::new(12)),
];

impl Choice {
    /// How a form names it.
    fn name(self) -> String {
        format!("{} {}", self.disposition.as_str(), self.article)
    }

    /// Which member of the family `basis` says what it is for.
    fn member(self) -> String {
        let Article { number, clause } = self.article;
        let clause = clause.map_or_else(String::new, |clause| format!("_{clause}"));
        format!("{}_{number}{clause}", self.disposition.as_str())
    }
}

/// What can be ruled, of one conclusion.
pub(super) struct Group {
    /// Which.
    pub(super) disposition: Disposition,
    /// What a form says, and what people read.
    pub(super) options: Vec<(String, String)>,
}

/// What a form offers, without `except`.
pub(super) fn groups(lang: Lang, except: Option<Disposition>) -> Vec<Group> {
    let offered = Disposition::ALL.into_iter().filter(|disposition| Some(*disposition) != except);
    let of = |disposition| {
        let choices = CHOICES.into_iter().filter(move |choice| choice.disposition == disposition);
        choices.map(|choice| {
            let what = lang.of("basis", &choice.member());
            (choice.name(), format!("{} · {what}", cited(choice.article, lang)))
        })
    };
    offered.map(|disposition| Group { disposition, options: of(disposition).collect() }).collect()
}

/// An article as it is cited in a language.
pub(in crate::console) fn cited(article: Article, lang: Lang) -> String {
    match lang {
        Lang::Zh => article.chinese(),
        Lang::En => format!("Article {article}"),
    }
}

/// The reason of a form.
pub(super) fn reason(form: &Form, lang: Lang) -> Result<&str, Trouble> {
    Some(form.text("reason"))
        .filter(|reason| !reason.is_empty() && reason.chars().count() <= MAX_REASON)
        .ok_or_else(|| Trouble::invalid(lang.t("reason.needed")))
}

/// What a form rules.
pub(super) fn ruling(form: &Form, visitor: &Visitor) -> Result<Ruling, Trouble> {
    let lang = visitor.lang;
    let chosen = form.text("choice");
    let choice = CHOICES.into_iter().find(|choice| choice.name() == chosen);
    let choice = choice.ok_or_else(|| Trouble::invalid(lang.t("desk.choose")))?;
    let mut ruling = Ruling::new(visitor.actor(), choice.disposition, choice.article, reason(form, lang)?);
    let advice = form.text("advice");
    if advice.chars().count() > MAX_REASON {
        return Err(Trouble::invalid(lang.t("desk.advice_long")));
    }
    // Only who is turned away, or asked for more, is told where to turn or what is missing.
    ruling.advice =
        Some(advice.to_owned()).filter(|text| !text.is_empty() && choice.disposition != Disposition::Accept);
    if choice.disposition == Disposition::Accept {
        ruling.kind = Kind::parse(form.text("kind"));
        ruling.into = match form.text("into") {
            "" => None,
            number => Some(number.parse().map_err(|_| Trouble::invalid(lang.t("desk.bad_number")))?),
        };
    }
    Ok(ruling)
}

/// Rules on entries. It takes effect once it can no longer be taken back.
pub(super) async fn rule(console: &Console, entries: &[EntryId], ruling: &Ruling) -> Result<(), Trouble> {
    let now = console.clock.now();
    let wait = Duration::from_secs(console.settings.undo_seconds.into());
    if let Some(number) = ruling.into
        && console.store.ticket(number).await?.merged_into.is_some()
    {
        return Err(crate::store::StoreError::Conflict(format!("ticket {number} was merged into another")).into());
    }
    console.store.withhold_rulings(entries, ruling, now.checked_add(wait).unwrap_or(now), now).await?;
    if wait.is_zero() {
        console.pending.notify_one();
    }
    Ok(())
}

/// The entries that a form names, each once.
pub(super) fn chosen(form: &Form, lang: Lang) -> Result<Vec<EntryId>, Trouble> {
    let mut entries: Vec<EntryId> = form.all("id").filter_map(|id| id.parse().ok()).collect();
    entries.sort_unstable();
    entries.dedup();
    if entries.is_empty() || entries.len() > super::MOST {
        return Err(Trouble::invalid(lang.t("desk.none_chosen")));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_its_words_and_fits_its_article() {
        for choice in CHOICES {
            for lang in [Lang::Zh, Lang::En] {
                assert!(lang.within("basis", &choice.member()).is_some(), "{}", choice.name());
            }
            let fits = match choice.disposition {
                Disposition::Accept => choice.article.number == 6,
                Disposition::Guide => choice.article.number == 7,
                Disposition::Decline => matches!(choice.article.number, 6 | 8 | 13),
                Disposition::Hold => choice.article.number == 12,
            };
            assert!(fits, "{}", choice.name());
        }
    }
}
