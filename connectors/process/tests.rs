//! The adapter against programs: the two that are handed out as examples, and such as misbehave.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    clock::ManualClock,
    contract::{Cursor, Limits, Page, Pull},
    entry::Item,
    fault::FaultClass,
    http::{Http, HttpLimits, Unpaced},
};

fn tools(limits: Limits) -> Toolbox {
    let clock = Arc::new(ManualClock::new("2026-11-23T09:00:00Z".parse().unwrap()));
    let pace = Arc::new(Unpaced);
    let http = Http::new(HttpLimits::default(), pace.clone()).unwrap();
    Toolbox { clock, http, pace, limits }
}

fn settings(value: Value) -> Settings {
    let settings: Settings = serde_json::from_value(value).unwrap();
    assert_eq!(settings.validate(), []);
    settings
}

fn opened(settings: &Settings, limits: Limits) -> Box<dyn Pull> {
    match settings.source(&tools(limits)).unwrap() {
        Source::Pull(pull) => pull,
        Source::Push(_) => panic!("a program is asked"),
    }
}

/// A program in shell that describes itself and goes on with `body`.
fn shell(body: &str) -> Settings {
    let script = format!("read -r q\necho '{{\"protocol\":1,\"about\":\"x\",\"acknowledges\":true}}'\n{body}");
    settings(json!({ "command": ["sh", "-c", script] }))
}

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/process")
}

fn few(page_items: usize) -> Limits {
    Limits { page_items, ..Limits::default() }
}

/// Everything from a cursor on, page by page, and where it ended.
async fn all(pull: &mut dyn Pull, from: Option<Cursor>) -> (Vec<Page>, Cursor) {
    let mut cursor = from;
    let mut pages = Vec::new();
    for _ in 0..100 {
        let page = pull.pull(cursor.as_ref()).await.unwrap();
        pull.confirm(&page).await.unwrap();
        cursor = Some(page.cursor.clone());
        let more = page.more;
        pages.push(page);
        if !more {
            return (pages, cursor.unwrap());
        }
    }
    panic!("it never says that there is no more");
}

fn ids(pages: &[Page]) -> Vec<&str> {
    pages.iter().flat_map(|page| &page.items).map(|item| item.external_id().as_str()).collect()
}

fn line(number: usize) -> String {
    format!("{{\"id\":\"R-{number}\",\"content\":\"小区门口路灯不亮，第{number}次反映\",\"phone\":\"13900001234\"}}\n")
}

#[tokio::test]
async fn the_example_in_shell_is_read_page_by_page_and_resumes_where_it_was_left() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("records.jsonl");
    std::fs::write(&file, (1..=5).map(line).collect::<String>() + "{\"id\":\"R-6\",\"con").unwrap();
    let settings = settings(json!({ "command": ["sh", "lines.sh", file], "folder": examples() }));
    let mut pull = opened(&settings, few(2));
    assert!(pull.check().await.passed());

    let (pages, cursor) = all(pull.as_mut(), None).await;
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(ids(&pages), ["R-1", "R-2", "R-3", "R-4", "R-5"]);
    assert_eq!(cursor.0, json!(5), "the line that is still being written is left");

    let Item::Entry(entry) = &pages[0].items[0] else { panic!("an entry") };
    let complaint = settings.normaliser().unwrap().normalise(entry, tools(few(2)).clock.now()).unwrap();
    assert_eq!((complaint.body.as_str(), complaint.petitioner.phones.len()), ("小区门口路灯不亮，第1次反映", 1));

    // From any cursor, in a new program, what follows comes again and is the same.
    for (index, page) in pages.iter().enumerate() {
        let (rest, _) = all(opened(&settings, few(2)).as_mut(), Some(page.cursor.clone())).await;
        assert_eq!(ids(&rest), ids(&pages[index + 1..]));
    }
    std::fs::write(&file, (1..=6).map(line).collect::<String>()).unwrap();
    let (pages, _) = all(pull.as_mut(), Some(cursor)).await;
    assert_eq!(ids(&pages), ["R-6"]);

    std::fs::remove_file(&file).unwrap();
    assert!(!pull.check().await.passed());
    assert_eq!(pull.pull(None).await.unwrap_err().class, FaultClass::Configuration);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn the_example_in_python_reads_a_database_and_marks_what_is_stored() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("calls.db");
    let python = |script: &str| {
        let output = std::process::Command::new("python3").args(["-c", script]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    python(
        "import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute('CREATE TABLE records(number INTEGER PRIMARY KEY, document TEXT, taken INTEGER DEFAULT 0)')
for number in range(1, 8):
    call = {'call_id': f'C{number}', 'caller': '13900001234', 'start': '2026-11-23 09:00:00', 'form': {'course': '停水两天'}}
    text = json.dumps(call) if number != 4 else '{cut'
    database.execute('INSERT INTO records(number, document) VALUES (?, ?)', (number, text))
database.commit()",
    );
    let taken = || {
        python(
            "import sqlite3, sys; print(*(t for t, in sqlite3.connect(sys.argv[1]).execute('SELECT taken FROM records ORDER BY number')))",
        )
    };
    let settings = settings(json!({
        "command": ["python3", "calls.py"], "folder": examples(), "env": { "CALLS": file },
        "mapping": { "preset": "call_center" },
    }));
    let mut pull = opened(&settings, few(3));
    assert!(pull.check().await.passed());

    let page = pull.pull(None).await.unwrap();
    assert_eq!((page.items.len(), &page.cursor.0, page.more), (3, &json!(3), true));
    assert_eq!(taken().trim(), "0 0 0 0 0 0 0", "nothing is marked before it is stored");
    pull.confirm(&page).await.unwrap();
    assert_eq!(taken().trim(), "1 1 1 0 0 0 0");

    let (pages, _) = all(pull.as_mut(), Some(page.cursor)).await;
    assert_eq!(ids(&pages), ["4", "5", "6", "7"]);
    let unread: Vec<_> =
        pages.iter().flat_map(|page| &page.items).filter(|item| matches!(item, Item::Unread(_))).collect();
    assert_eq!(unread.len(), 1, "the bad record is told by itself");
    assert_eq!(taken().trim(), "1 1 1 1 1 1 1");
}

#[tokio::test]
async fn what_a_program_does_wrong_is_told_in_words_and_classed() {
    use FaultClass::{Authentication, Permanent, RateLimited, Transient};
    let end = "echo '{\"cursor\":1}'";
    let item = "echo '{\"item\":{\"id\":\"a\",\"document\":{}}}'";
    let cases = [
        ("exit 3".to_owned(), Transient, "exit status: 3"),
        ("read -r q; exit 0".to_owned(), Transient, "before its answer was whole"),
        ("read -r q; printf '{\"cursor\":1}'".to_owned(), Transient, "before its answer was whole"),
        ("read -r q; echo 'Traceback: 张三'; read -r q".to_owned(), Permanent, "not JSON"),
        ("read -r q; echo '[1]'; read -r q".to_owned(), Permanent, "no JSON object"),
        (format!("read -r q; {item}; {item}; {item}; {end}; read -r q"), Permanent, "more than the 2 items"),
        ("read -r q; echo '{\"cursor\":null,\"more\":true}'; read -r q".to_owned(), Permanent, "stands still"),
        (
            "read -r q; echo '{\"fault\":{\"class\":\"authentication\",\"message\":\"13900001234 refused\"}}'; read -r q"
                .to_owned(),
            Authentication,
            "[…] refused",
        ),
        (
            "read -r q; echo '{\"fault\":{\"class\":\"rate_limited\",\"message\":\"slow\",\"retry_after_seconds\":30}}'; read -r q"
                .to_owned(),
            RateLimited,
            "slow",
        ),
        ("read -r q; echo '{\"fault\":\"张三\"}'; read -r q".to_owned(), Permanent, "needs class"),
    ];
    for (body, class, words) in cases {
        let mut pull = opened(&shell(&body), few(2));
        let start = Cursor(Value::Null);
        let fault = pull.pull(Some(&start)).await.unwrap_err();
        assert_eq!(fault.class, class, "{body}: {fault}");
        assert!(fault.to_string().contains(words), "{body}: {fault}");
        assert!(!format!("{fault:?}").contains("张三") && !format!("{fault:?}").contains("13900001234"), "{fault:?}");
    }
    for (command, class, words) in [
        (json!(["/nowhere/x"]), FaultClass::Configuration, "cannot be started"),
        (json!(["sh", "-c", "read -r q; echo '{\"protocol\":2}'; read -r q"]), Permanent, "version 2"),
        (json!(["sh", "-c", "echo hello; read -r q"]), Permanent, "not JSON"),
    ] {
        let settings = settings(json!({ "command": command }));
        let fault = opened(&settings, few(2)).pull(None).await.unwrap_err();
        assert_eq!(fault.class, class, "{command}");
        assert!(fault.to_string().contains(words), "{command}: {fault}");
        assert!(!opened(&settings, few(2)).check().await.passed());
    }
}

#[tokio::test]
async fn a_bad_item_and_a_line_without_end_stop_nothing() {
    let body = "read -r q
echo '{\"item\":{\"id\":\"1\",\"document\":{\"content\":\"甲\"}}}'
echo '{\"item\":{\"id\":\"2\",\"document\":7}}'
echo '{\"item\":{\"id\":\"3\",\"mail\":\"!!\"}}'
echo '{\"item\":{\"id\":\"4\",\"nonsense\":1}}'
echo '{\"item\":{\"id\":\"5\",\"unread\":\"cannot be read: 13900001234\"}}'
head -c 5000 /dev/zero | tr '\\0' 'x'; echo
echo '{\"item\":{\"id\":\"7\",\"mail\":\"U3ViamVjdDogeA0KDQp5\"}}'
echo '{\"cursor\":7}'
read -r q; sleep 600";
    let settings = Settings { line_bytes: 2000, ..shell(body) };
    let page = opened(&settings, few(9)).pull(None).await.unwrap();
    let kinds: Vec<bool> = page.items.iter().map(|item| matches!(item, Item::Entry(_))).collect();
    assert_eq!(kinds, [true, false, false, false, false, false, true]);
    for item in &page.items {
        if let Item::Unread(unread) = item {
            assert!(!unread.reason.contains("13900001234") && !unread.raw.is_empty(), "{}", unread.reason);
        }
    }
    let again = opened(&settings, few(9)).pull(None).await.unwrap();
    assert_eq!(page, again, "the same items have the same names");

    let tight = Limits { item_bytes: 8, ..few(9) };
    let page = opened(&settings, tight).pull(None).await.unwrap();
    assert_eq!(page.items.len(), 7, "what is too large stops nothing either");
}

#[tokio::test]
async fn a_program_sees_the_environment_that_it_is_given_and_no_other() {
    let body = "read -r q\nprintf '{\"cursor\":\"%s\"}\\n' \"$(env | sed 's/=.*//' | sort | tr '\\n' ' ')\"\nread -r q";
    let mut settings = shell(body);
    settings.env.insert("SOURCE_URL".to_owned(), "x".to_owned());
    settings.secrets.insert("SOURCE_KEY".to_owned(), SecretRef::Env("CARGO_PKG_NAME".to_owned()));
    settings.pass = ["PATH".to_owned()].into();
    let page = opened(&settings, few(1)).pull(None).await.unwrap();
    let names: BTreeSet<&str> = page.cursor.0.as_str().unwrap().split_whitespace().collect();
    // The shell adds these by itself.
    let names: Vec<&&str> = names.iter().filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name)).collect();
    assert_eq!(names, [&"PATH", &"SOURCE_KEY", &"SOURCE_URL"]);

    settings.secrets.insert("OTHER".to_owned(), SecretRef::Env("JIESU_NO_SUCH_SECRET".to_owned()));
    assert_eq!(settings.source(&tools(few(1))).err().unwrap().class, FaultClass::Configuration);
}

#[tokio::test]
async fn what_is_written_to_standard_error_blocks_nothing() {
    let body = "read -r q; head -c 1000000 /dev/zero >&2; echo '{\"cursor\":1}'; read -r q; exec 2>&-; echo '{\"cursor\":2}'; read -r q";
    let mut pull = opened(&shell(body), few(1));
    assert_eq!(pull.pull(None).await.unwrap().cursor.0, json!(1));
    assert_eq!(pull.pull(None).await.unwrap().cursor.0, json!(2));
}

#[tokio::test]
async fn a_program_that_has_ended_between_two_calls_is_started_again() {
    let mut pull = opened(&shell("read -r q; echo '{\"cursor\":1}'"), few(1));
    for _ in 0..3 {
        // It may still be about to end: then the call tells so, and the next one starts it.
        let outcome = pull.pull(None).await;
        assert!(outcome.is_ok_and(|page| page.cursor.0 == json!(1)) || pull.pull(None).await.is_ok());
    }
}

#[tokio::test]
async fn a_program_that_is_too_slow_or_no_longer_needed_ends_with_all_that_it_started() {
    use tokio::io::AsyncReadExt as _;
    let folder = TempDir::new().unwrap();
    for (number, answers) in [(1, false), (2, true)] {
        let fifo = folder.path().join(number.to_string());
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let mut held = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&fifo).unwrap();
        let then = if answers { "echo '{\"cursor\":1}'" } else { ":" };
        // What it starts holds the pipe open for as long as it runs.
        let body =
            format!("exec 3>'{}'; echo x >&3; sleep 600 & exec 3>&-; read -r q; {then}; sleep 600", fifo.display());
        let settings = Settings { answer_seconds: 2, ..shell(&body) };
        let mut pull = opened(&settings, few(1));
        match pull.pull(None).await {
            Ok(page) => assert!(answers && page.cursor.0 == json!(1)),
            Err(fault) => {
                assert!(!answers && fault.to_string().contains("within 2 s"), "{fault}");
                assert_eq!(fault.class, FaultClass::Transient);
            }
        }
        drop(pull);
        let mut told = String::new();
        let whole = tokio::time::timeout(std::time::Duration::from_mins(1), held.read_to_string(&mut told)).await;
        whole.expect("nothing goes on running").unwrap();
        assert_eq!(told, "x\n");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("records.jsonl");
    std::fs::write(&file, (1..=300).map(line).collect::<String>()).unwrap();
    let settings = settings(json!({ "command": ["sh", "lines.sh", file], "folder": examples() }));
    let mut pull = opened(&settings, few(200));
    let mut cursor = None;
    let mut seen = Vec::new();
    // Dropped after ever more turns, until it comes through by itself.
    for turns in 0..5000_usize {
        let mut call = pull.pull(cursor.as_ref());
        let mut page = None;
        for _ in 0..=turns {
            if let std::task::Poll::Ready(outcome) = futures::poll!(&mut call) {
                page = Some(outcome.unwrap());
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        let Some(page) = page else { continue };
        seen.extend(page.items.iter().map(|item| item.external_id().as_str().to_owned()));
        cursor = Some(page.cursor);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, (1..=300).map(|number| format!("R-{number}")).collect::<Vec<_>>());
}

#[test]
fn mistakes_are_told_where_they_stand_and_secrets_are_in_no_debug() {
    let settings: Settings = serde_json::from_value(json!({
        "command": ["bin/x"], "env": { "A=B": "x", "C": "y" }, "secrets": { "C": { "env": "CARGO_PKG_NAME" } },
        "answer_seconds": 0, "line_bytes": 1,
    }))
    .unwrap();
    let pointers: Vec<String> = settings.validate().into_iter().map(|mistake| mistake.pointer).collect();
    assert_eq!(pointers, ["/command/0", "/env/A=B", "/env/C", "/answer_seconds", "/line_bytes"]);
    let environment = BTreeMap::from([("KEY".to_owned(), std::ffi::OsString::from("hush"))]);
    let command = program::Command { words: vec!["x".to_owned()], folder: None, environment };
    assert!(!format!("{command:?}").contains("hush"));
}
