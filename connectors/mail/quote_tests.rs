//! Each style of quoting beside what must be left of it; the table is `fixtures/quotes/replies.toml`.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    reply: Vec<Reply>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    style: String,
    text: String,
    /// What the citizen wrote; the whole text where nothing may be cut.
    own: Option<String>,
}

#[test]
fn every_style_of_quoting_leaves_what_the_citizen_wrote() {
    let table: Table = toml::from_str(include_str!("../../fixtures/quotes/replies.toml")).unwrap();
    assert!(table.reply.len() >= 30);
    let mut wrong = Vec::new();
    for Reply { style, text, own } in table.reply {
        let got = own_text(&text);
        let expected = own.map(|own| own.trim().to_owned());
        if got != expected {
            wrong.push(format!("{style}: {got:?} and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    /// Whatever stands around marked quotes is kept, in its order, whatever the heading.
    #[test]
    fn words_between_marked_quotes_are_kept(pieces in proptest::collection::vec("[a-z]{3,12}", 1..6), style in 0_usize..3) {
        let heading = ["On Wed, Mar 4, 2026 at 9:00 AM Hotline <12345@x.example> wrote:", "在 2026-03-04 09:00:00，\"热线\" <12345@x.example> 写道：", "Am 04.03.2026 um 09:00 schrieb Hotline:"][style];
        let mut text = String::new();
        for piece in pieces.iter().map(String::as_str) {
            text.extend([piece, "\n", heading, "\n> quoted\n> > twice\n\n"]);
        }
        let own = own_text(&text).unwrap();
        prop_assert_eq!(own.split_whitespace().collect::<Vec<_>>(), pieces.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn any_text_is_cut_without_panic_and_never_to_nothing(text in "(发件人：|收件人: |写道：|wrote:|On |在 2026年|[ -~\n>一-三]{0,12}|\n){0,40}") {
        prop_assert!(own_text(&text).is_none_or(|own| own.chars().any(char::is_alphanumeric)));
    }
}
