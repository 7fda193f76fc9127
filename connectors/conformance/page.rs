//! The report: printed by each run, and kept as `docs/conformance.md`, which each run compares with what came of it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::Applies;
use crate::registry::AdapterKind;

const HEAD: &str = "\
# What every adapter was shown to do

Every adapter passes one suite (`connectors/conformance/`), which fills its source, breaks it and reads it. Each case was
broken in public by systems of this kind; the rows point to [failures.md](failures.md). What does not apply to a source is
said with its reason.

`cargo test -p connectors --lib conform` runs the suite, prints the reports and fails where this page says anything else.
`JIESU_BLESS=1` before it writes the page anew. How to write a harness: [adapters.md](adapters.md#the-conformance-suite).
";

/// The example of `docs/adapters.md`, from which new adapters are made.
const EXAMPLE: &str = "letter_box";

/// One writes the page at a time.
static PAGE: Mutex<()> = Mutex::new(());

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md")
}

/// One line of a report: the case, its rows, what came of it.
pub(super) type Line = (&'static str, &'static str, Result<Applies, String>);

/// Prints the report of an adapter, and fails where a case failed or the page says anything else.
pub(super) fn settle(adapter: &str, lines: &[Line]) {
    let mut section = format!("## {adapter}\n\n| case | rows | |\n|---|---|---|\n");
    let mut failures = Vec::new();
    for (case, rows, outcome) in lines {
        let told = match outcome {
            Ok(Ok(())) => "passed".to_owned(),
            Ok(Err(why)) => format!("does not apply: {why}"),
            Err(failure) => {
                failures.push(format!("{case}: {}", failure.chars().take(600).collect::<String>()));
                "FAILED".to_owned()
            }
        };
        writeln!(section, "| {case} | {rows} | {told} |").unwrap();
    }
    println!("{section}");
    assert!(failures.is_empty(), "{adapter} does not conform:\n{}", failures.join("\n"));
    let _one = PAGE.lock();
    let before = std::fs::read_to_string(file()).unwrap_or_default();
    let mut sections = sections(&before);
    sections.retain(|(name, _)| name != adapter);
    sections.push((adapter.to_owned(), section));
    // In the order of the registry; what it does not know stands at the end, for a person to see.
    sections.sort_by(|(one, _), (other, _)| (position(one), one).cmp(&(position(other), other)));
    let after = sections.iter().fold(HEAD.to_owned(), |page, (_, section)| page + "\n" + section);
    if after == before {
        return;
    }
    assert!(
        std::env::var_os("JIESU_BLESS").is_some(),
        "docs/conformance.md does not say what came of {adapter}; write it anew with JIESU_BLESS=1"
    );
    std::fs::write(file(), after).unwrap();
}

fn position(section: &str) -> usize {
    // "phone (push)" stands beside "phone".
    let name = section.split(' ').next().unwrap_or(section);
    match AdapterKind::ALL.iter().position(|kind| kind.as_str() == name) {
        None if name == EXAMPLE => AdapterKind::ALL.len(),
        position => position.unwrap_or(usize::MAX),
    }
}

fn sections(page: &str) -> Vec<(String, String)> {
    let mut sections = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap_or_default().to_owned();
        sections.push((name, format!("## {}\n", section.trim_end())));
    }
    sections
}

#[test]
fn every_adapter_conforms_and_the_page_says_so() {
    let _one = PAGE.lock();
    let page = std::fs::read_to_string(file()).unwrap();
    let sections = sections(&page);
    for kind in AdapterKind::ALL {
        let told = sections.iter().any(|(name, _)| name.split(' ').next() == Some(kind.as_str()));
        assert!(told, "docs/conformance.md has no section about {kind}: give it a harness, docs/adapters.md says how");
    }
    assert!(sections.iter().any(|(name, _)| name == EXAMPLE), "new adapters begin with the example's section");
    for (name, _) in &sections {
        assert!(
            position(name) != usize::MAX,
            "docs/conformance.md tells of {name:?}, which the registry does not know"
        );
    }
}
