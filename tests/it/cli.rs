//! The program as its users see it: started as a process, asked by arguments, answering by output and exit code.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use connectors::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long something may take that happens beside the test.
const PATIENCE: Duration = Duration::from_mins(1);

/// A letter whose petitioner is known by 13900002222.
const LETTERS: &str = "\
信件编号,来信日期,来信人,联系电话,地址,标题,内容,诉求类型
XJ-31,2026/11/3 9:05:00,郭秀兰,13900002222,白塔区新华路,供热温度不达标,室内温度只有15度，供热公司说正在调试，已经两周了，请督促尽快解决。,投诉
XJ-32,2026/11/4 9:05:00,刘洋,13900003333,文圣区东京陵街道,路灯不亮,小区门口的路灯坏了半个月，晚上出行不安全，请派人维修。,投诉
";

struct Office {
    folder: TempDir,
}

impl Office {
    /// A configuration with a folder of letters, a call centre that pushes, and new keys.
    fn new() -> Self {
        Self::listening("127.0.0.1:0")
    }

    fn listening(address: &str) -> Self {
        let office = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(office.path("letters")).unwrap();
        fs::write(office.path("call-centre.secret"), "whsec_Zm9yIHRlc3RzIGFsb25lLCBhbmQgbG9uZyBlbm91Z2gu\n").unwrap();
        let config = format!(
            r#"
            [store]
            url = "sqlite:jiesu.db"
            [http]
            listen = "{address}"
            [queue]
            max_attempts = 1
            retry_delay_seconds = 0
            [[connector]]
            name = "letters"
            channel = "letter"
            adapter = "files"
            every_seconds = 1
            settings = {{ folder = "{}", settle_seconds = 0 }}
            [[connector]]
            name = "call-centre"
            channel = "phone"
            adapter = "inlet"
            settings = {{ secrets = [{{ file = "call-centre.secret" }}] }}
            "#,
            office.path("letters").display()
        );
        fs::write(office.path("jiesu.toml"), config).unwrap();
        let made = office.run(&["key", "new", office.path("jiesu.keys").to_str().unwrap()]);
        assert!(made.status.success(), "{}", told(&made));
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = jiesu();
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What a command answers for people.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command answers in JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Expects a command to fail with an exit code, and returns what it told.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
        told(&output)
    }

    /// Asks again and again until the answer is right.
    fn until(&self, arguments: &[&str], right: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.json(arguments);
            if right(&answer) {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "{arguments:?} still answers {answer}");
        }
    }

    fn serve(&self) -> Serving {
        let mut child = self.command(&["serve"]).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        while !first.contains("the gateway runs") {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the gateway ended: {first}");
            first.push_str(&line);
        }
        // Whatever it says further has to be read, or it would wait for a reader.
        let rest = std::thread::spawn(move || {
            let mut rest = String::new();
            log.read_to_string(&mut rest).unwrap();
            rest
        });
        Serving { child, log: Some(rest) }
    }
}

fn jiesu() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
    command.env_remove("JIESU_CONFIG").env_remove("JIESU_LOG");
    command
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

struct Serving {
    child: Child,
    log: Option<JoinHandle<String>>,
}

impl Serving {
    /// Asks it to stop; returns its exit code and the rest of its log.
    fn stop(mut self) -> (Option<i32>, String) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.code(), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).to_str().unwrap().to_owned()
}

#[test]
fn check_tells_every_mistake_where_it_stands() {
    for name in ["misspelt", "bounds", "not-toml", "missing"] {
        let expected = fs::read_to_string(fixture(&format!("config/{name}.txt"))).unwrap();
        let output = jiesu()
            .current_dir(fixture("config"))
            .args(["check", "--config", &format!("{name}.toml")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        let mistakes = expected.lines().count();
        let whole = format!("{}\n{name}.toml: 有误 / mistakes: {mistakes}\n", expected.trim_end());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), whole);
    }
    let office = Office::new();
    assert!(office.text(&["check"]).contains("配置无误"));
    assert_eq!(office.json(&["check"])["passed"], true);
    fs::remove_file(office.path("jiesu.keys")).unwrap();
    assert!(office.fails(3, &["check"]).contains("jiesu.toml:1:1: seal.keys: the secret file"));
    assert!(office.fails(3, &["accounting", "--config", "nowhere.toml"]).contains("nowhere.toml"));
    fs::remove_file(office.path("jiesu.toml")).unwrap();
    let report = office.fails(3, &["serve"]);
    assert!(report.contains("JIESU_CONFIG") && report.contains("jiesu.example.toml"), "{report}");
}

#[test]
fn a_key_file_is_never_overwritten() {
    let office = Office::new();
    let before = fs::read(office.path("jiesu.keys")).unwrap();
    let report = office.fails(5, &["key", "new", "jiesu.keys"]);
    assert!(report.contains("jiesu.keys") && report.contains("never overwritten"), "{report}");
    assert_eq!(fs::read(office.path("jiesu.keys")).unwrap(), before);
    office.fails(2, &["key", "new", "other.keys", "--id", "二"]);
    assert!(!office.path("other.keys").exists());
    assert_eq!(office.json(&["key", "new", "other.keys", "--id", "2027a"])["id"], "2027a");
}

#[test]
fn a_gateway_does_not_start_with_the_keys_of_another_database() {
    let office = Office::new();
    office.json(&["import", &office.file("letters.csv", LETTERS), "--connector", "letters"]);
    fs::rename(office.path("jiesu.keys"), office.path("good.keys")).unwrap();
    office.json(&["key", "new", "jiesu.keys"]);
    assert!(office.fails(3, &["serve"]).contains("backup"));
    assert!(
        office.fails(3, &["import", &office.file("again.csv", LETTERS), "--connector", "letters"]).contains("backup")
    );
    fs::rename(office.path("good.keys"), office.path("jiesu.keys")).unwrap();
    assert_eq!(office.json(&["accounting"])["in_tickets"], 2);
}

#[test]
fn imported_files_become_tickets_that_are_handed_out_once() {
    let office = Office::new();
    let letters = office.file("letters.csv", LETTERS);
    let mail = fixture("files/letter.eml");
    let workbook = office.file("letters.xlsx", b"PK\x03\x04rest");
    let import = ["import", &letters, &mail, "--connector", "letters"];

    let first = office.json(&import);
    assert_eq!(first["files"][0]["stored"], 2, "{first}");
    assert_eq!(first["files"][1]["stored"], 1, "{first}");
    assert_eq!(first["issued"], 3, "nothing else issues: {first}");
    let again = office.json(&import);
    assert_eq!((&again["files"][0]["repeats"], &again["files"][0]["stored"]), (&json!(2), &json!(0)));
    assert_eq!(again["places"], json!({}));
    let report = office.fails(1, &["import", &workbook, &letters, "--connector", "letters"]);
    assert!(report.contains("no workbook"), "the rest is taken all the same: {report}");
    assert!(office.fails(5, &["import", &letters, "--connector", "call-centre"]).contains("letters"));
    assert!(office.fails(4, &["import", &letters, "--connector", "nobody"]).contains("letters"));
    office.fails(1, &["import", "nowhere.csv", "--connector", "letters"]);

    let sums = office.json(&["accounting"]);
    assert_eq!((&sums["entries"], &sums["pending"], &sums["balances"]), (&json!(3), &json!(0), &json!(true)));
    let entries = office.json(&["entry", "list", "--connector", "letters", "--place", "ticket"]);
    let heating = entries.as_array().unwrap().iter().find(|entry| entry["subject"] == "供热温度不达标").unwrap();
    let number = heating["ticket"].as_str().unwrap();
    let ticket = office.json(&["ticket", "show", number]);
    assert_eq!(ticket["complaints"][0]["entry"], heating["id"]);
    assert!(office.text(&["ticket", "list"]).contains(number));

    let tickets = office.json(&["ticket", "list"]).as_array().unwrap().len();
    assert_eq!(office.json(&["queue", "depth"])["ready"], tickets);
    let leased = office.json(&["queue", "lease", "--consumer", "handling", "--max", "100"]);
    assert_eq!(leased.as_array().unwrap().len(), tickets);
    let id = leased[0]["id"].to_string();
    let lease = leased[0]["lease"].as_str().unwrap();
    let stranger = "6f0c4c1e-0000-4000-8000-000000000000";
    office.fails(5, &["queue", "ack", &id, "--lease", stranger]);
    assert_eq!(office.json(&["queue", "ack", &id, "--lease", lease])["state"], "done");
    let late = office.fails(5, &["queue", "ack", &id, "--lease", lease]);
    assert!(late.contains("lease again"), "{late}");

    let second = leased[1]["id"].to_string();
    let failed = ["queue", "fail", &second, "--lease", lease, "--reason", "处理系统拒收"];
    assert_eq!(office.json(&failed)["state"], "dead", "one attempt is allowed");
    assert!(office.text(&["queue", "dead"]).contains("处理系统拒收"));
    assert_eq!(office.json(&["queue", "requeue", &second])["state"], "ready");
    office.fails(4, &["queue", "requeue", &second]);
    let again = office.json(&["queue", "lease", "--consumer", "handling", "--seconds", "60"]);
    assert_eq!(again[0]["id"].to_string(), second);
    office.fails(5, &["queue", "ack", &second, "--lease", lease]);
    let fresh = again[0]["lease"].as_str().unwrap();
    assert_eq!(office.json(&["queue", "release", &second, "--lease", fresh])["state"], "ready");
    office.fails(2, &["queue", "lease", "--consumer", "handling", "--seconds", "999999"]);
}

#[test]
fn a_person_decides_and_every_step_is_written_down() {
    let office = Office::new();
    let thin = office.file("thin.csv", "信件编号,标题,内容\nXJ-40,你好,你好\n");
    office.json(&["import", &thin, "--connector", "letters"]);
    let held = office.json(&["entry", "list", "--place", "held"]);
    let id = held[0]["id"].to_string();
    let decide = ["entry", "decide", &id, "accept", "--article", "6", "--reason", "已电话核实诉求"];
    office.fails(2, &["entry", "decide", &id, "accept", "--article", "6"]);
    office.fails(2, &["entry", "decide", &id, "accept", "--article", "99", "--reason", "理由"]);
    office.fails(4, &["entry", "decide", "9999", "accept", "--article", "6", "--reason", "理由"]);

    let decided = office.json(&decide);
    assert_eq!((&decided["place"], &decided["issued_here"]), (&json!("ticket"), &json!(true)));
    office.fails(5, &decide);
    let story = office.json(&["entry", "show", &id]);
    let last = story["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["disposition"], &last["reason"]), (&json!("accept"), &json!("已电话核实诉求")));
    assert!(last["actor"].as_str().unwrap().starts_with("cli:"));
    let daily = office.json(&["eval", "daily"]);
    assert_eq!((&daily["looked_at"], &daily["decided"]["hold"]), (&json!(1), &json!(1)), "{daily}");
    assert_eq!(daily["held_accepted"]["hits"], 1, "{daily}");
    assert_eq!(daily["rules"][0]["became"], json!({ "accept": 1 }), "{daily}");
    assert!(office.text(&["eval", "daily"]).contains("thin"));
    assert_eq!(office.json(&["eval", "daily", "--until", "2020-01-01T00:00:00Z"])["looked_at"], 0);
    let replayed = office.json(&["entry", "replay", &id, "--reason", "规则已改"]);
    assert_eq!(replayed["entry"].to_string(), id);
    assert_eq!(office.json(&["accounting"])["balances"], true);

    let trail = office.json(&["audit", "list"]);
    let actions: Vec<&str> = trail.as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["connector.define", "connector.define", "connector.import", "entry.decide", "entry.replay"]);
    let verified = office.json(&["audit", "verify"]);
    assert_eq!(verified, json!({ "whole": true, "rows": 5 }));
}

#[test]
fn a_model_is_trained_from_labelled_texts_and_used_where_the_configuration_names_it() {
    let office = Office::new();
    let texts = fixture("train/urgency.jsonl");
    let shipped = fs::read_to_string(fixture("../rules/urgency.model")).unwrap();
    let version = shipped.lines().nth(1).unwrap().strip_prefix("version ").unwrap();
    let trained = office.json(&["train", "urgency", &texts, "--version", version, "--out", "urgency.model"]);
    // The shipped model is what its texts make: nobody has touched it by hand.
    assert!(fs::read_to_string(office.path("urgency.model")).unwrap() == shipped, "{trained}");
    assert!(trained["check"]["classes"].as_array().unwrap().len() == 3, "{trained}");

    let assess = ["assess", "--channel", "phone", "--text", "孩子把纽扣电池咽了，嘴里往外吐黑水。"];
    let seen = office.json(&assess)[0].clone();
    assert_eq!((&seen["disposition"], &seen["urgency"]), (&json!("hold"), &json!("emergency")), "{seen}");
    assert_eq!(seen["grounds"]["rule"], "model.danger");
    assert_eq!(seen["shown"]["suggested"]["signal"]["urgency"], "emergency", "{seen}");
    assert!(seen["grounds"]["advice"].as_str().unwrap().contains("120"), "{seen}");

    // A model that sees no danger anywhere.
    let blind = "jiesu-model 1\nversion blind\ntexts 0\nclasses emergency normal utility\nbias 0 2560 0\n";
    office.file("blind.model", blind);
    let config = fs::read_to_string(office.path("jiesu.toml")).unwrap();
    office.file("jiesu.toml", format!("[screening]\nmodel = \"blind.model\"\n{config}"));
    let unseen = office.json(&assess)[0].clone();
    assert_eq!((&unseen["disposition"], &unseen["urgency"]), (&json!("accept"), &json!("normal")), "{unseen}");

    office.file("blind.model", blind.replace("bias 0 2560 0", "bias 0"));
    let told = office.fails(3, &assess);
    assert!(told.contains("blind.model") || told.contains("model file, line 5"), "{told}");
    office.fails(2, &["train", "urgency", &fixture("eval/places.toml")]);
    office.fails(2, &["train", "kind", &fixture("eval/urgency-last.jsonl"), "--version", "a b"]);
}

#[test]
fn a_petitioner_is_shown_only_where_it_is_written_down_who_asked() {
    let office = Office::new();
    let letters = office.file("letters.csv", LETTERS);
    office.json(&["import", &letters, "--connector", "letters"]);
    let found = office.json(&["entry", "list", "--phone", "139 0000 2222"]);
    assert_eq!(found.as_array().unwrap().len(), 1);
    let id = found[0]["id"].to_string();
    office.fails(2, &["entry", "list", "--phone", "12"]);
    let mut asked = office.command(&["--json", "entry", "list", "--phone", "-"]);
    let mut child = asked.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"13900002222\n").unwrap();
    let answer: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(answer, found);
    let nobody = office.json(&["entry", "list", "--email", "nobody@mail.example"]);
    assert_eq!(nobody, json!([]));

    for arguments in [&["entry", "show", &id][..], &["entry", "list"], &["--json", "entry", "show", &id]] {
        let shown = office.text(arguments);
        assert!(!shown.contains("13900002222") && !shown.contains("郭秀兰"), "{shown}");
    }
    office.fails(2, &["entry", "unseal", &id]);
    office.fails(2, &["entry", "unseal", &id, "--reason", " "]);
    office.fails(4, &["entry", "unseal", "9999", "--reason", "回访"]);
    let unsealed = office.json(&["entry", "unseal", &id, "--reason", "回访核实"]);
    assert_eq!(unsealed["petitioner"]["phones"], json!(["13900002222"]));
    assert!(unsealed["raw"].as_str().unwrap().contains("郭秀兰"));
    office.text(&["entry", "unseal", &id, "--reason", "移交", "--out", "raw.json"]);
    assert!(fs::read_to_string(office.path("raw.json")).unwrap().contains("郭秀兰"));

    let trail = office.json(&["audit", "list"]);
    let acts: Vec<(&str, &str, Option<&str>)> = trail
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["action"].as_str().unwrap(), row["subject"].as_str().unwrap(), row["reason"].as_str()))
        .filter(|(action, ..)| action.starts_with("entry."))
        .collect();
    let expected = [
        ("entry.search", "phone", None),
        ("entry.search", "phone", None),
        ("entry.search", "email", None),
        ("entry.unseal", id.as_str(), Some("回访核实")),
        ("entry.unseal", id.as_str(), Some("移交")),
    ];
    assert_eq!(acts, expected);
    assert!(!trail.to_string().contains("13900002222"));
}

#[test]
fn an_attachment_is_written_out_and_who_took_it_is_written_down() {
    let office = Office::new();
    let mail = include_bytes!("../../fixtures/mail/attachment-disguised.eml");
    office.json(&["import", &office.file("photo.eml", mail), "--connector", "letters"]);
    let id = office.json(&["entry", "list"])[0]["id"].to_string();
    let out = office.path("photo.bin");
    let take = |number: &str, out: &str| {
        ["entry", "attachment", &id, number, "--reason", "核实", "--out", out].map(str::to_owned).to_vec()
    };
    let run = |arguments: Vec<String>| office.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let taken = run(take("1", "photo.bin"));
    assert_eq!(taken["media_type"], "image/jpeg");
    assert_eq!(taken["sniffed"], "application/vnd.microsoft.portable-executable");
    assert!(fs::read(&out).unwrap().starts_with(b"MZ"));
    let missing = take("2", "other.bin");
    assert!(office.fails(4, &missing.iter().map(String::as_str).collect::<Vec<_>>()).contains("共 1 个"));
    assert!(!office.path("other.bin").exists());
    let trail = office.json(&["audit", "list"]);
    let acts = trail.as_array().unwrap().iter().filter(|row| row["action"] == "entry.attachment");
    assert_eq!(acts.map(|row| row["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), [id.clone(), id]);
}

#[test]
fn a_running_gateway_notices_what_the_command_line_changes() {
    let office = Office::new();
    let serving = office.serve();
    let state = |wanted: &'static str| move |shown: &Value| shown["health"]["state"] == wanted;
    let show = ["connector", "show", "letters"];
    office.until(&show, |shown| shown["health"]["last_success_at"].is_string());
    assert_eq!(office.json(&["connector", "disable", "letters"])["changed"], true);
    assert_eq!(office.json(&["connector", "disable", "letters"])["changed"], false);
    office.until(&show, state("disabled"));
    office.fails(5, &["connector", "run", "letters"]);
    office.fails(5, &["connector", "run", "call-centre"]);

    // A file that comes while the connector is off waits in the folder, whatever somebody imports meanwhile.
    fs::write(office.path("letters/letters.csv"), LETTERS).unwrap();
    let imported = office.json(&["import", &fixture("files/letter.eml"), "--connector", "letters"]);
    assert_eq!((&imported["issued"], &imported["files"][0]["stored"]), (&Value::Null, &json!(1)), "{imported}");
    let entries = ["entry", "list", "--connector", "letters"];
    office.until(&entries, |entries| entries[0]["place"] != "pending");
    assert_eq!(office.json(&entries).as_array().unwrap().len(), 1);
    assert_eq!(office.json(&["connector", "enable", "letters"])["enabled"], true);
    office.until(&entries, |entries| entries.as_array().unwrap().len() == 3);
    office.text(&["connector", "run", "letters"]);
    let whole = office.until(&show, |shown| shown["run_requested"] == false && shown["health"]["state"] == "waiting");
    assert!(whole["cursor"].is_object(), "{whole}");
    office.fails(2, &["connector", "rewind", "letters"]);
    office.fails(2, &["connector", "rewind", "letters", "--to", "{"]);
    let rewound = office.json(&["connector", "rewind", "letters", "--yes"]);
    assert_eq!((&rewound["before"], &rewound["cursor"]), (&whole["cursor"], &Value::Null));
    assert!(office.text(&["connector", "list"]).contains("letters"));

    // A decision made beside it is carried out by it.
    let thin = office.file("thin.csv", "信件编号,标题,内容\nXJ-40,你好,你好\n");
    office.json(&["import", &thin, "--connector", "letters"]);
    let held = office.until(&["entry", "list", "--place", "held"], |held| held[0].is_object());
    let id = held[0]["id"].to_string();
    office.json(&["entry", "decide", &id, "decline", "--article", "8.5", "--reason", "无具体诉求"]);
    office.until(&["entry", "show", &id], |story| story["summary"]["place"] == "declined");

    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("13900002222") && !log.contains("郭秀兰"), "{log}");
    assert_eq!(office.json(&["accounting"])["balances"], true);
    assert!(office.text(&["connector", "list"]).contains("没有网关应答"));
    let trail = office.json(&["audit", "list"]);
    let changes: Vec<&str> = trail
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["actor"].as_str().unwrap().starts_with("cli:"))
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        changes,
        [
            "connector.disable",
            "connector.import",
            "connector.enable",
            "connector.run",
            "connector.rewind",
            "connector.import",
            "entry.decide"
        ]
    );
    assert_eq!(office.json(&["audit", "verify"])["whole"], true);
}

#[test]
fn a_connector_is_tried_step_by_step() {
    let office = Office::new();
    let tried = office.json(&["connector", "test", "letters"]);
    assert_eq!(tried["passed"], true, "{tried}");
    assert_eq!(office.json(&["connector", "test", "call-centre"])["passed"], true);
    fs::remove_dir(office.path("letters")).unwrap();
    let report = office.fails(1, &["connector", "test", "letters"]);
    assert!(report.contains("✗ 查看文件夹") && report.contains("→ "), "{report}");
    office.fails(4, &["connector", "test", "nobody"]);
    office.fails(4, &["connector", "enable", "letters"]);
    let adapters = office.json(&["connector", "adapters"]);
    assert!(adapters.as_array().unwrap().iter().any(|adapter| adapter["name"] == "files"));
    let schema = office.json(&["connector", "schema", "files"]);
    assert!(schema["properties"]["folder"].is_object());
    assert!(office.fails(4, &["connector", "schema", "file"]).contains("files"));
}

#[test]
fn a_text_is_judged_without_being_stored() {
    let office = Office::new();
    let urgent = office.json(&["assess", "--text", "我家楼下正在着火，有人被困，请快来救人！", "--channel", "phone"]);
    assert_eq!(urgent[0]["urgency"], "emergency", "{urgent}");
    assert!(urgent[0]["article"].as_str().unwrap().starts_with('第'));
    let mail = office.json(&["assess", &fixture("files/letter.eml"), "--connector", "letters"]);
    assert_eq!(mail.as_array().unwrap().len(), 1);
    let rows = office.json(&["assess", &office.file("letters.csv", LETTERS)]);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert!(!rows.to_string().contains("13900002222"));
    let mut child = office.command(&["assess", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("路灯坏了半个月，请维修，地点在白塔区。".as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("受理结论"));
    office.fails(4, &["assess", "nowhere.txt"]);
    assert!(!office.path("jiesu.db").exists(), "nothing is stored");
}

#[test]
fn health_is_what_the_gateway_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let office = Office::listening(&listener.local_addr().unwrap().to_string());
    let gateway = std::thread::spawn(move || {
        for status in ["200 OK", "503 Service Unavailable"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut first = String::new();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            request.read_line(&mut first).unwrap();
            assert_eq!(first, "GET /healthz HTTP/1.1\r\n");
            let mut line = String::new();
            while request.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    assert_eq!(office.json(&["health"])["status"], 200);
    assert!(office.fails(1, &["health"]).contains("503"));
    gateway.join().unwrap();
    assert!(office.fails(1, &["health"]).contains("jiesu serve"), "nobody listens any more");
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let office = Office::new();
    let output = office.run(&["--json", "ticket", "show", "261123-000042-8"]);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert!(output.stdout.is_empty());
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], "missing");
    assert!(error["error"]["message"].as_str().unwrap().contains("261123-000042-8"));
}

#[test]
fn two_states_of_one_item_that_arrive_together_are_one_ticket() {
    let office = Office::new();
    let edited =
        "XJ-32,2026/11/4 9:05:00,刘洋,13900003333,文圣区,路灯又不亮了,小区门口和楼后的路灯都坏了，请一并维修。,投诉\n";
    office.json(&["import", &office.file("letters.csv", format!("{LETTERS}{edited}")), "--connector", "letters"]);
    let tickets = office.json(&["ticket", "list"]);
    assert_eq!(tickets.as_array().unwrap().len(), 2, "{tickets}");
    let lamp = office.json(&["entry", "list", "--phone", "13900003333"]);
    let numbers: Vec<&Value> = lamp.as_array().unwrap().iter().map(|entry| &entry["ticket"]).collect();
    assert_eq!(numbers.len(), 2, "{lamp}");
    assert_eq!(numbers[0], numbers[1], "{lamp}");
    assert_eq!(office.json(&["ticket", "show", numbers[0].as_str().unwrap()])["revisions"], 1);
}

#[test]
fn one_broken_byte_costs_a_table_nothing_but_its_row() {
    let office = Office::new();
    let mut table = LETTERS.as_bytes().to_vec();
    table.extend_from_slice(b"\xff\n");
    let told = office.run(&["--json", "import", &office.file("broken.csv", table), "--connector", "letters"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        told["accounting"]["in_tickets"].as_i64().or(office.json(&["accounting"])["in_tickets"].as_i64()),
        Some(2)
    );
}

#[test]
fn a_delivery_that_stalls_is_given_up() {
    let office = Office::new();
    let config = fs::read_to_string(office.path("jiesu.toml")).unwrap();
    let config = config.replace("[http]", "[http]\n            request_timeout_seconds = 1");
    fs::write(office.path("jiesu.toml"), config).unwrap();
    let mut child = office.command(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let mut stream = TcpStream::connect(address.trim().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let moment = SystemClock.now().as_second();
    let signature = "v1,eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=";
    let head = format!(
        "POST /v1/inlets/call-centre HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1000\r\nwebhook-id: stalled\r\n\
         webhook-timestamp: {moment}\r\nwebhook-signature: {signature}\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(status.starts_with("HTTP/1.1 408"), "{status}");
}

#[cfg(unix)]
#[test]
fn a_configuration_without_end_is_no_configuration() {
    let office = Office::new();
    assert!(office.fails(3, &["--config", "/dev/zero", "check"]).contains("larger than"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_gateway_whose_disk_was_full_goes_on_once_there_is_room() {
    const ROWS: usize = 100;
    let office = Office::new();
    let mut table = LETTERS.lines().next().unwrap().as_bytes().to_vec();
    for row in 0..ROWS {
        let words = "路灯坏了半个月，晚上出行不安全，请派人维修。".repeat(1000);
        write!(table, "\nXJ-{row},2026/11/3 9:05:00,郭秀兰,13900002222,白塔区,第{row}盏路灯不亮,{words},投诉").unwrap();
    }
    // No file of the gateway's may pass two megabytes: the rows are six.
    let script = format!("trap '' XFSZ; ulimit -S -f 4096; exec '{}' serve", env!("CARGO_BIN_EXE_jiesu"));
    let mut command = Command::new("sh");
    command.current_dir(office.folder.path()).args(["-c", &script]).env("JIESU_LOG", "warn");
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    fs::write(office.path("letters/letters.csv"), table).unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("could not be read") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the gateway ended");
    }
    let room = Command::new("prlimit").args(["--pid", &child.id().to_string(), "--fsize=unlimited"]).status().unwrap();
    let rest = std::thread::spawn(move || log.read_to_string(&mut String::new()));
    assert!(room.success());
    office.until(&["accounting"], |sum| sum["in_tickets"] == ROWS);
    child.kill().unwrap();
    child.wait().unwrap();
    rest.join().unwrap().unwrap();
}
