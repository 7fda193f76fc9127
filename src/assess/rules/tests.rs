use super::*;

/// The shipped file with one piece of it changed.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(SHIPPED.matches(from).count(), 1, "{from:?} must occur once");
    SHIPPED.replacen(from, to, 1)
}

fn line_of(text: &str, word: &str) -> usize {
    1 + text.lines().position(|line| line.contains(word)).unwrap()
}

#[test]
fn the_shipped_rules_parse() {
    let rules = RuleSet::shipped().unwrap();
    assert_eq!(rules.city(), "辽阳市");
    assert!(!rules.version().is_empty());
    assert!(rules.list().count() > 15);
}

#[test]
fn mistakes_are_told_with_their_line_and_what_was_meant() {
    for (from, to, marker, problem, suggestion) in [
        ("id = \"emergency.person\"", "id = \"Emergency Person\"", "Emergency Person", "lower-case", None),
        ("id = \"emergency.person\"", "id = \"emergency.event\"", "", "two rules", None),
        ("\"{court}…枉法\"", "\"{cuort}…枉法\"", "{cuort}", "no word list `cuort`", Some("`court`")),
        ("\"{court}…枉法\"", "\"{court…枉法\"", "{court…", "without `}`", None),
        ("\"枉法裁判\"", "\"枉\"", "\"枉\"", "too short", None),
        ("\"枉法裁判\"", "\"！\"", "\"！\"", "too short", None),
        ("\"枉法裁判\"", "\"枉…法…裁…判…了\"", "枉…法", "more than 4 pieces", None),
        (
            "hints = [\"彻查…{corrupt}\", \"@official.wealth\"]",
            "hinst = [\"彻查\"]",
            "hinst",
            "unknown field `hinst`",
            Some("`hints`"),
        ),
        ("channel = \"business_environment\"", "channel = \"busines\"", "\"busines\"", "unknown variant", None),
    ] {
        let text = changed(from, to);
        let error = RuleSet::parse(&text).unwrap_err();
        assert!(error.problem.contains(problem), "{to}: {error}");
        if !marker.is_empty() {
            assert_eq!(error.line, line_of(&text, marker), "{to}: {error}");
        }
        if let Some(suggestion) = suggestion {
            assert!(error.suggestion.as_deref().is_some_and(|text| text.contains(suggestion)), "{to}: {error}");
        }
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_column() {
    let place = |text: &str, word: &str| {
        let line = line_of(text, word);
        let before = text.lines().nth(line - 1).unwrap().split(word).next().unwrap();
        (line, 1 + before.chars().count())
    };
    let told = |text: &str| RuleSet::check(Sources { rules: Some(text), ..Sources::default() }).unwrap_err();
    let rule = |id: &str, body: &str| {
        format!("\n[[rule]]\nid = \"{id}\"\narticle = \"8(1)\"\noutcome = \"decline\"\nadvice = \"去\"\n{body}\n")
    };

    // What the words mean.
    let text = format!(
        "{SHIPPED}{}{}{}",
        rule("x.a", "asks = [\"{cuort}不管\", \"某某\", \"某\"]"),
        rule("x.b", "needs = [\"no.such\"]\nasks = [\"某某\"]"),
        rule("x.c", "")
    );
    let mistakes = told(&text);
    let places: Vec<_> = mistakes.iter().map(|mistake| (mistake.line, mistake.column)).collect();
    let expected =
        [place(&text, "\"{cuort}"), place(&text, "\"某\""), place(&text, "\"no.such\""), place(&text, "\"x.c\"")];
    assert_eq!(places, expected, "{mistakes:?}");
    assert!(mistakes[0].suggestion.as_deref().is_some_and(|text| text.contains("`court`")));

    // How it is written, where nothing can be said of the words yet.
    let text = format!(
        "{SHIPPED}{}{}",
        rule("x.a", "hinst = [\"某某\"]\nlongest = \"x\""),
        rule("x.b", "channels = [\"fax\"]\nasks = [\"某某\"]")
    );
    let mistakes =
        told(&text.replacen("outcome = \"decline\"\nadvice = \"去\"\nchannels", "outcome = \"refuse\"\nchannels", 1));
    let problems: Vec<_> = mistakes.iter().map(|mistake| mistake.problem.as_str()).collect();
    for expected in ["unknown field `hinst`", "invalid type", "unknown variant `refuse`", "unknown variant `fax`"] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
    assert_eq!(mistakes.len(), 4, "{problems:?}");

    // What is no TOML at all, in several places.
    let mistakes = told("version = \ncity = 1 2\nwords = [");
    assert!(mistakes.len() > 1, "{mistakes:?}");
    assert_eq!(mistakes[0].line, 1);

    let missing = told("version = \"1\"\n");
    assert!(missing.iter().any(|mistake| mistake.problem.contains("missing field")), "{missing:?}");
}

#[test]
fn an_outcome_rests_on_its_article_and_turns_nobody_away_without_advice() {
    let rule = |body: &str| format!("{SHIPPED}\n[[rule]]\nid = \"x\"\n{body}\n");
    for (body, problem) in [
        ("article = \"8(1)\"\noutcome = \"guide\"\nadvice = \"去\"\nasks = [\"某某\"]", "no ground"),
        ("article = \"7\"\noutcome = \"guide\"\nadvice = \"去\"\nasks = [\"某某\"]", "no ground"),
        ("article = \"6(2)\"\noutcome = \"decline\"\nadvice = \"去\"\nasks = [\"某某\"]", "no ground"),
        ("article = \"29\"\noutcome = \"hold\"\nasks = [\"某某\"]", "names no article"),
        ("article = \"8(1)\"\noutcome = \"decline\"\nasks = [\"某某\"]", "no `advice`"),
        ("article = \"8(1)\"\noutcome = \"decline\"\nadvice = \"去\"", "can never apply"),
        ("article = \"8(1)\"\noutcome = \"refuse\"\nadvice = \"去\"", "unknown variant"),
    ] {
        let error = RuleSet::parse(&rule(body)).unwrap_err();
        assert!(error.problem.contains(problem), "{body}: {error}");
        assert!(error.line > SHIPPED.lines().count(), "{error}");
    }
}

#[test]
fn files_are_bounded() {
    let error = RuleSet::parse(&"#".repeat(FILE_LIMIT + 1)).unwrap_err();
    assert!(error.problem.contains("bytes"), "{error}");
    let many = (0..300).map(|number| format!("\"甲{number}\"")).collect::<Vec<_>>().join(",");
    let text = changed("[words]\n", &format!("[words]\nmany = [{many}]\n"));
    let text = text.replacen("\"枉法裁判\"", "\"{many}{many}{many}\"", 1);
    let error = RuleSet::parse(&text).unwrap_err();
    assert!(error.problem.contains("too many words"), "{error}");
}

#[test]
fn places_come_from_another_file_with_its_own_lines() {
    let error = RuleSet::parse_with_places(SHIPPED, "[places]\nhome = [\"甲市\"]\nelswhere = []\n").unwrap_err();
    assert_eq!(error.line, 3, "{error}");
    assert!(RuleSet::parse_with_places(SHIPPED, "[places]\nhome = []\nelsewhere = []\n").is_err());
    assert!(RuleSet::parse_with_places(SHIPPED, "[places]\nhome = [\"甲市\"]\nelsewhere = [\"乙市\"]\n").is_ok());
}
