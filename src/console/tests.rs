//! What holds for the console as a whole and needs no server.

use std::collections::BTreeSet;

use super::routes::catalogue;
use crate::http::Access;

#[test]
fn every_route_says_who_may_use_it_and_none_is_there_twice() {
    let mut seen = BTreeSet::new();
    for route in catalogue() {
        assert!(route.path.starts_with("/console"), "{}", route.path);
        assert!(seen.insert(format!("{} {}", route.method, route.path)), "{} {}", route.method, route.path);
        match route.access {
            Access::Open => {}
            Access::Role(roles) => assert!(!roles.is_empty(), "{}", route.path),
            Access::Scope(_) | Access::Signed => panic!("{} is no page", route.path),
        }
    }
}

#[test]
fn templates_hold_no_inline_script_or_style() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/templates");
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name();
        assert!(!text.contains("style=") && !text.contains("<style"), "{name:?}");
        assert!(!text.contains(" onclick") && !text.contains(" onload") && !text.contains("javascript:"), "{name:?}");
        assert!(!text.contains("<script>"), "{name:?}");
        // Only our own pictures go unescaped.
        for (place, _) in text.match_indices("|safe") {
            assert!(text[..place].ends_with("picture"), "{name:?} leaves something unescaped");
        }
        for form in text.split("<form").skip(1) {
            let form = form.split("</form").next().unwrap_or_default();
            if form.contains("method=\"post\"") {
                assert!(form.contains("name=\"csrf\""), "{name:?}: a form without its token");
            }
        }
    }
}
