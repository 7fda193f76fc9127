//! The programs of `examples/process/`, read by the real gateway, and killed while it reads them.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use jiesu::store::{Dialect, Store, read::Place};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    harness::{Gateway, Holdings as _, Site, eventually},
    mails::{Dice, forms},
    spine::ids,
};

/// Records that are added at once.
const BATCH: usize = 25;
/// Times that the program is killed.
const KILLS: usize = 8;

fn table(command: &[&str], env: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/process");
    format!(
        "[intake.limits]\npage_items = 5\n[[connector]]\nname = \"exchange\"\nchannel = \"phone\"\nadapter = \"process\"\n\
         every_seconds = 1\nper_minute = 60000\nburst = 1000\n[connector.settings]\ncommand = {}\nfolder = {folder:?}\n\
         mapping = {{ preset = \"call_center\" }}\n{env}\n",
        json!(command)
    )
}

/// The processes that the gateway started.
fn children(gateway: &Gateway) -> Vec<u32> {
    let parent = gateway.pid().to_string();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let child_of = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may hold anything, come the state and the parent.
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(&parent)
    };
    processes.filter(child_of).collect()
}

async fn kill(pid: u32) {
    // One that has just ended by itself is as dead.
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output().await.unwrap();
}

/// Adds records and kills the program at a moment of chance, again and again; in the end every record is one entry.
async fn killed_again_and_again(store: &Store, gateway: &Gateway, mut add: impl AsyncFnMut(usize) -> BTreeSet<String>) {
    let (mut dice, mut killed) = (Dice::new(97), BTreeSet::new());
    while killed.len() < KILLS {
        let expected = add(killed.len()).await;
        store.run_now("exchange").await;
        tokio::time::sleep(Duration::from_millis(u64::try_from(dice.roll(600)).unwrap())).await;
        let running = eventually("the program runs", async || {
            store.run_now("exchange").await;
            children(gateway).into_iter().find(|pid| !killed.contains(pid))
        });
        let pid = running.await;
        kill(pid).await;
        killed.insert(pid);
        eventually("everything is read", async || {
            store.run_now("exchange").await;
            (ids(store, "exchange").await == expected).then_some(())
        })
        .await;
        assert_eq!(store.all_entries().await.len(), expected.len(), "nothing twice");
    }
}

async fn python(statement: &str, database: &Path, input: &Value) -> Value {
    let program = format!(
        "import json, sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1])\ninput = json.loads(sys.argv[2])\n{statement}\n\
         connection.commit()"
    );
    let output =
        Command::new("python3").arg("-c").arg(program).arg(database).arg(input.to_string()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[tokio::test]
async fn the_example_in_python_is_read_acknowledged_and_killed_without_loss() {
    let site = Site::new(Dialect::Sqlite).await;
    let database: PathBuf = site.file().with_file_name("calls.db");
    let create = "connection.execute('CREATE TABLE records(number INTEGER PRIMARY KEY, document TEXT, taken INTEGER DEFAULT 0)')";
    python(create, &database, &Value::Null).await;
    site.configure(&table(&["python3", "calls.py"], &format!("env = {{ CALLS = {database:?} }}")));
    let gateway = site.start().await;
    let store = site.store().await;
    let calls = forms(21, BATCH * KILLS);
    killed_again_and_again(&store, &gateway, async |batch| {
        let mut records: Vec<String> =
            calls[batch * BATCH..(batch + 1) * BATCH].iter().map(ToString::to_string).collect();
        if batch == 0 {
            "no record".clone_into(&mut records[7]);
        }
        let insert =
            "connection.executemany('INSERT INTO records(document) VALUES (?)', [[record] for record in input])";
        python(insert, &database, &json!(records)).await;
        (1..=(batch + 1) * BATCH).map(|number| number.to_string()).collect()
    })
    .await;

    let sums = store.settled(BATCH * KILLS).await;
    assert_eq!(sums.quarantined, 1, "one bad record stops nothing: {sums:?}");
    let bad = store.all_entries().await.into_iter().find(|entry| entry.place == Place::Quarantine).unwrap();
    assert_eq!(bad.external_id, "8");
    let untaken = "print(connection.execute('SELECT count(*) FROM records WHERE taken = 0').fetchone()[0])";
    eventually("every record is acknowledged", async || {
        store.run_now("exchange").await;
        (python(untaken, &database, &Value::Null).await == json!(0)).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_example_in_shell_is_read_and_killed_without_loss() {
    let site = Site::new(Dialect::Sqlite).await;
    let file = site.file().with_file_name("records.jsonl");
    fs::write(&file, "").unwrap();
    site.configure(&table(&["sh", "lines.sh", file.to_str().unwrap()], ""));
    let gateway = site.start().await;
    let store = site.store().await;
    let calls = forms(22, BATCH * KILLS);
    let id = |call: &Value| call["call_id"].as_str().unwrap().to_owned();
    killed_again_and_again(&store, &gateway, async |batch| {
        let mut file = OpenOptions::new().append(true).open(&file).unwrap();
        for call in &calls[batch * BATCH..(batch + 1) * BATCH] {
            writeln!(file, "{call}").unwrap();
        }
        calls[..(batch + 1) * BATCH].iter().map(id).collect()
    })
    .await;
    let sums = store.settled(BATCH * KILLS).await;
    assert_eq!((sums.entries, sums.quarantined), (i64::try_from(BATCH * KILLS).unwrap(), 0), "{sums:?}");
    gateway.stop().await;
}
