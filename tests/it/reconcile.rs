//! What a source holds beside what was stored: items that a cursor hides are named, and read after a rewind.

use std::{fs, path::PathBuf, time::Duration};

use connectors::{contract::Cursor, holdings::Period};
use jiesu::{
    alarms::AlarmKind,
    reconcile::Outcome,
    store::{Dialect, Store, journal::Act, reconcile::ReconciliationState},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Holdings as _, Site, eventually, name, now};

/// Gives the lines of a file by number; names them past any cursor.
const PROGRAM: &str = r#"
file=$1
while IFS= read -r question; do
    case $question in
    *'"ask":"describe"'*) echo '{"protocol":1,"about":"numbered lines"}' ;;
    *'"ask":"pull"'*)
        from=$(printf '%s\n' "$question" | sed -n 's/.*"cursor":\([0-9][0-9]*\).*/\1/p')
        awk -v from="${from:-0}" 'NR > from { printf "{\"item\":{\"id\":\"%d\",\"document\":%s}}\n", NR, $0 }' "$file"
        whole=$(wc -l <"$file")
        if [ "${from:-0}" -gt "$whole" ]; then whole=$from; fi
        printf '{"cursor":%d,"more":false}\n' "$whole"
        ;;
    *'"ask":"holdings"'*)
        awk 'BEGIN { printf "{\"held\":[" }
            { printf "%s{\"id\":\"%d\",\"place\":\"line %d\"}", (NR > 1 ? "," : ""), NR, NR }
            END { print "]}" }' "$file"
        ;;
    *) echo '{}' ;;
    esac
done
"#;

struct Lines {
    site: Site,
    file: PathBuf,
}

impl Lines {
    async fn new(dialect: Dialect) -> Self {
        let site = Site::new(dialect).await;
        let (script, file) = (site.file().with_file_name("lines.sh"), site.file().with_file_name("records"));
        fs::write(&script, PROGRAM).unwrap();
        fs::write(&file, "").unwrap();
        let command = json!(["sh", script, file]);
        site.configure(&format!(
            "[[connector]]\nname = \"exchange\"\nchannel = \"phone\"\nadapter = \"process\"\nevery_seconds = 1\n\
             per_minute = 60000\nburst = 1000\n[connector.settings]\ncommand = {command}\nmapping = {{ body = \"/text\" }}\n"
        ));
        Self { site, file }
    }

    fn add(&self, numbers: std::ops::RangeInclusive<u32>) {
        let line = |number| format!("{}\n", json!({ "text": format!("白塔区第{number}号路灯不亮，请尽快维修。") }));
        let text = fs::read_to_string(&self.file).unwrap() + &numbers.map(line).collect::<String>();
        fs::write(&self.file, text).unwrap();
    }

    /// The command beside the running gateway: its exit code and answer.
    async fn command(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
        command.arg("--config").arg(self.site.file()).arg("--json").args(["connector", "reconcile", "exchange"]);
        let output = command.args(arguments).output().await.unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }
}

/// Asks the gateway for a comparison, and waits for what comes of it.
async fn compared(store: &Store) -> Outcome {
    let act = Act { actor: "office", action: "connector.reconcile", subject: "exchange", reason: None };
    let period = Period { from: now() - Duration::from_hours(24), to: now() };
    let asked = store.ask_reconciliation(&name("exchange"), period, act, now()).await.unwrap();
    eventually("the comparison is done", async || {
        let done = store.reconciliations(&name("exchange"), 10).await.unwrap();
        let done = done.into_iter().find(|done| done.id == asked.id && done.state != ReconciliationState::Asked)?;
        assert_eq!(done.state, ReconciliationState::Done, "{done:?}");
        done.outcome
    })
    .await
}

async fn hidden_items(dialect: Dialect) {
    let lines = Lines::new(dialect).await;
    lines.add(1..=10);
    let gateway = lines.site.start().await;
    let store = lines.site.store().await;
    store.settled(10).await;
    let balanced = compared(&store).await;
    assert_eq!((balanced.held, balanced.stored, balanced.missing, balanced.whole), (10, 10, 0, true));

    // Somebody sets the cursor ahead: what comes up to there is passed over, and nothing errs.
    let act = Act { actor: "office", action: "connector.rewind", subject: "exchange", reason: None };
    store.rewind_connector(&name("exchange"), Some(&Cursor(json!(15))), act, now()).await.unwrap();
    lines.add(11..=17);
    store.settled(12).await;
    let outcome = compared(&store).await;
    assert_eq!((outcome.held, outcome.stored, outcome.missing), (17, 12, 5), "{outcome:?}");
    let named: Vec<_> = outcome.named.iter().map(|missing| (missing.id.as_str(), missing.place.as_str())).collect();
    assert_eq!(named.first(), Some(&("11", "line 11")));
    assert_eq!(named.len(), 5);
    let open = async || {
        let open = store.alarms(true, None, 10).await.unwrap();
        open.into_iter().find(|alarm| alarm.kind == AlarmKind::Missing)
    };
    let alarm = open().await.expect("an alarm is raised");
    assert!(alarm.message.contains("17 items, 5 of which"), "{}", alarm.message);

    // The command says the same, by its exit code too, and mends it where it is told to.
    let (code, told) = lines.command(&["--rewind"]).await;
    assert_eq!((code, &told["outcome"]["missing"], &told["rewound"]), (Some(1), &json!(5), &json!(true)), "{told}");
    store.settled(17).await;
    let balanced = compared(&store).await;
    assert_eq!((balanced.held, balanced.stored, balanced.missing), (17, 17, 0));
    assert_eq!(open().await, None, "it is over");
    let (code, told) = lines.command(&[]).await;
    assert_eq!((code, &told["outcome"]["missing"]), (Some(0), &json!(0)), "{told}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_cursor_hides_is_named_and_read_after_a_rewind() {
    hidden_items(Dialect::Sqlite).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn what_a_cursor_hides_is_named_and_read_after_a_rewind_on_postgres() {
    hidden_items(Dialect::Postgres).await;
}

#[tokio::test]
async fn every_source_is_compared_once_a_night() {
    let lines = Lines::new(Dialect::Sqlite).await;
    let gateway = lines.site.start().await;
    let store = lines.site.store().await;
    let period = Period { from: now() - Duration::from_hours(24), to: now() };
    let scheduled = async |day| {
        store.schedule_reconciliations(day, &[name("exchange")], period, now()).await.unwrap();
        let done = async || {
            let all = store.reconciliations(&name("exchange"), 10).await.unwrap();
            all.iter().all(|one| one.state != ReconciliationState::Asked).then_some(all.len())
        };
        eventually("what was scheduled is done", done).await
    };
    // Several gateways ask for it; it is done once a day.
    assert_eq!(scheduled(2_029_001).await, 1);
    assert_eq!(scheduled(2_029_001).await, 1);
    assert_eq!(scheduled(2_029_002).await, 2);
    assert_eq!(store.reconciliations(&name("exchange"), 1).await.unwrap()[0].asked_by, "schedule");
    gateway.stop().await;
}
