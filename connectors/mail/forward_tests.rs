//! Each style of passing a mail on; the table is `fixtures/quotes/forwards.toml`.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    forward: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    style: String,
    text: String,
    from: Option<String>,
    name: Option<String>,
    subject: Option<String>,
    date: Option<String>,
    inner: String,
    #[serde(default)]
    note: String,
}

#[test]
fn every_style_of_passing_on_tells_who_wrote_first() {
    let table: Table = toml::from_str(include_str!("../../fixtures/quotes/forwards.toml")).unwrap();
    assert!(table.forward.len() >= 9);
    for case in table.forward {
        let got =
            inline(&case.text, &Bounds::default(), &mut Notes::default()).unwrap_or_else(|| panic!("{}", case.style));
        let from = got.from.as_ref();
        assert_eq!(from.map(|from| from.email.clone()), case.from, "{}", case.style);
        assert_eq!(from.and_then(|from| from.name.clone()), case.name, "{}", case.style);
        assert_eq!(got.subject, case.subject, "{}", case.style);
        assert_eq!(got.date.map(|date| date.at.to_string()), case.date, "{}", case.style);
        assert_eq!(got.text, case.inner.trim(), "{}", case.style);
        assert_eq!(got.note, case.note.trim(), "{}", case.style);
    }
}

#[test]
fn a_text_that_passes_nothing_on_is_left_alone() {
    for text in ["", "停水三天", "发件人：物业\n他们不管", "转发邮件给你们看：\n停水三天"] {
        assert!(inline(text, &Bounds::default(), &mut Notes::default()).is_none(), "{text}");
    }
}
