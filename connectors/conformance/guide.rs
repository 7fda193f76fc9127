//! `docs/adapters.md` shows the example as it is compiled and tested: `JIESU_BLESS=1` before a run writes it anew.

use std::path::Path;

/// What the guide shows, each after a comment with its name.
const SHOWN: [&str; 2] = ["connectors/letter_box/mod.rs", "connectors/letter_box/harness.rs"];

#[test]
fn the_guide_shows_the_example_as_it_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("docs/adapters.md");
    let before = std::fs::read_to_string(&file).unwrap();
    let mut after = before.clone();
    for shown in SHOWN {
        let opening = format!("<!-- {shown} -->\n```rust\n");
        let start = after.find(&opening).unwrap_or_else(|| panic!("the guide does not show {shown}")) + opening.len();
        let end = start + after[start..].find("```\n").expect("the end of the block");
        after.replace_range(start..end, &std::fs::read_to_string(root.join(shown)).unwrap());
    }
    if std::env::var_os("JIESU_BLESS").is_some() {
        std::fs::write(&file, &after).unwrap();
    } else {
        assert!(before == after, "docs/adapters.md shows another example; write it anew with JIESU_BLESS=1");
    }
}
