//! `scripts/new-adapter`: what it writes compiles, passes the suite and is entered everywhere.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use tempfile::TempDir;
use tokio::process::Command;

/// What the script reads and writes, and what the crate is built from.
const TREE: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "rustfmt.toml", "connectors", "docs", "examples", "fixtures", "scripts"];

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// A checkout of its own, in which the gateway is an empty package: what is compiled beside the adapters stays as it is.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Below the folder of what is built, so that the same settings of cargo hold.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for part in TREE.into_iter().chain(["jiesu.example.toml"]) {
            copy(&root.join(part), &folder.path().join(part));
        }
        for (file, text) in [("src/lib.rs", ""), ("src/main.rs", "fn main() {}\n")] {
            fs::create_dir_all(folder.path().join("src")).unwrap();
            fs::write(folder.path().join(file), text).unwrap();
        }
        copy(&root.join("benches"), &folder.path().join("benches"));
        Self(folder)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    async fn new_adapter(&self, name: &str) -> Output {
        Command::new(self.path("scripts/new-adapter")).arg(name).output().await.unwrap()
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut folders) = (Vec::new(), vec![self.0.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_an_adapters_is_refused_and_nothing_is_written() {
    let checkout = Checkout::new();
    let before = checkout.files();
    let names = [
        "",
        "Forum",
        "county-forum",
        "_forum",
        "forum_",
        "2forum",
        "../forum",
        "match",
        "board",
        "mail",
        "letter_box",
        "http",
        "times",
    ];
    for name in names {
        let refused = checkout.new_adapter(name).await;
        assert_eq!(refused.status.code(), Some(1), "{name}");
        assert!(String::from_utf8_lossy(&refused.stderr).starts_with("new-adapter: "), "{name}: {refused:?}");
    }
    assert!(checkout.files() == before, "something was written");
}

#[tokio::test]
#[ignore = "compiles the adapters anew: scripts/test"]
async fn a_new_adapter_compiles_and_passes_the_suite_as_it_is_written() {
    let checkout = Checkout::new();
    let written = checkout.new_adapter("county_forum").await;
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo says of this test would have build scripts run anew, and all that depends on them be compiled anew.
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        cargo.env_remove(name);
    }
    cargo.current_dir(checkout.0.path()).args(["test", "--offline", "--workspace", "--lib"]);
    cargo.arg("--target-dir").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap());
    // The new adapter's own tests, and those that look at every adapter.
    cargo.args(["--", "county_forum", "registry::", "the_page_says_so", "the_guide_shows"]);
    let tested = cargo.output().await.unwrap();
    let (told, errors) = (String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    assert!(tested.status.success(), "{told}\n{errors}");
    for test in [
        "county_forum::harness::county_forum_conforms",
        "county_forum::tests::",
        "every_adapter_conforms_and_the_page_says_so",
        "every_adapter_is_found_by_its_name",
    ] {
        assert!(told.lines().any(|line| line.contains(test) && line.ends_with("ok")), "{test} did not run:\n{told}");
    }
    let example = fs::read_to_string(checkout.path("jiesu.example.toml")).unwrap();
    assert!(example.contains("# name = \"county-forum\"\n") && example.contains("# adapter = \"county_forum\"\n"));
    assert!(checkout.path("docs/adapters/county_forum.md").exists());
    let again = checkout.new_adapter("county_forum").await;
    assert_eq!(again.status.code(), Some(1), "nothing that exists is overwritten");
}
