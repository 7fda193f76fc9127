//! Recordings of calls: fetched when somebody asks and says why, from where the settings say, within bounds, kept nowhere.

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use jiesu::store::Dialect;
use reqwest::Method;
use serde_json::{Value, json as value};
use tokio::process::Command;

use crate::{
    board::Site as Server,
    harness::{Holdings as _, PARTNER, Site, json},
};

const TOKEN: &str = "a-token-of-the-recording-server";

/// Connector, call, and where its recording is said to be.
const REFERENCES: [(&str, &str, &str); 9] = [
    ("calls", "good", "1.wav"),
    ("calls", "page", "page.wav"),
    ("calls", "long", "long.wav"),
    ("calls", "gone", "2.wav"),
    ("calls", "out", "../secret"),
    ("calls", "inside", "http://127.0.0.1:1/latest/meta-data"),
    ("calls", "elsewhere", "http://169.254.169.254/latest/meta-data"),
    ("calls", "unrecorded", ""),
    ("bare", "bare", "1.wav"),
];

/// A server of recordings that wants a token, and has more than recordings.
async fn recordings() -> Server {
    let sound = async |headers: HeaderMap| {
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if bearer == format!("Bearer {TOKEN}") {
            Ok(([("content-type", "audio/wav")], b"RIFF-sound".to_vec()))
        } else {
            Err(StatusCode::FORBIDDEN)
        }
    };
    let router = Router::new()
        .route("/calls/1.wav", get(sound))
        .route("/calls/page.wav", get(async || ([("content-type", "text/html")], "<script>alert(1)</script>")))
        .route("/calls/long.wav", get(async || vec![0_u8; 5000]))
        .route("/secret", get(async || "what is inside"));
    Server::serve(router).await
}

#[tokio::test]
async fn d03_a_recording_is_fetched_on_the_record_from_where_the_settings_say_and_nowhere_else() {
    let site = Site::new(Dialect::Sqlite).await;
    let server = recordings().await;
    let base = &server.base;
    std::fs::write(site.file().with_file_name("rec-token"), TOKEN).unwrap();
    let table = |name: &str, more: &str| {
        format!(
            "[[connector]]\nname = \"{name}\"\nchannel = \"phone\"\nadapter = \"calls\"\n\
             settings = {{ secrets = [{{ file = \"secret-{PARTNER}\" }}], call = {{ settle_seconds = 0{more} }} }}\n\n"
        )
    };
    let recordings = format!(
        ", recordings = {{ base = \"{base}calls/\", allow = [\"127.0.0.1:1\"], token = {{ file = \"rec-token\" }}, max_bytes = 4000 }}"
    );
    site.configure(&format!(
        "[[http.token]]\nname = \"office\"\nscopes = [\"admin\"]\nsecret = {{ file = \"secret-7\" }}\n\
         [[http.token]]\nname = \"reader\"\nscopes = [\"read\"]\nsecret = {{ file = \"secret-8\" }}\n\n{}{}",
        table("calls", &recordings),
        table("bare", "")
    ));
    let gateway = site.start().await;
    let store = site.store().await;
    for (connector, id, reference) in REFERENCES {
        let event = value!({ "event": "hung_up", "call_id": id, "end": "2026-11-20 09:04:00", "recording": reference, "form": {
            "title": "停水不通知", "place": "白塔区新华小区", "course": format!("新华小区{id}号楼从早上起停水，没有接到任何通知。"),
        }});
        let answered = site.push(connector, id, event.to_string()).await.unwrap();
        assert_eq!(answered.status, StatusCode::OK, "{}", json(&answered));
    }
    store.settled(REFERENCES.len()).await;
    let entries = store.all_entries().await;
    let id = |call: &str| entries.iter().find(|entry| entry.external_id == call).unwrap().id;
    let token = |byte: u8| {
        let text = std::fs::read_to_string(site.file().with_file_name(format!("secret-{byte}"))).unwrap();
        format!("Bearer {text}")
    };
    let (office, reader) = (token(7), token(8));
    let ask = async |token: &str, path: String| {
        site.send(Method::GET, &path, &[("authorization", token)], String::new()).await.unwrap()
    };
    let path = |call: &str| format!("/v1/entries/{}/recording?reason=%E6%A0%B8%E5%AE%9E", id(call));

    let heard = ask(&office, path("good")).await;
    assert_eq!((heard.status.as_u16(), heard.body.as_ref()), (200, b"RIFF-sound".as_slice()));
    assert_eq!(heard.content_type.as_deref(), Some("audio/wav"));
    let page = ask(&office, path("page")).await;
    assert_eq!(page.content_type.as_deref(), Some("application/octet-stream"), "no browser runs what a source sends");
    assert_eq!(ask(&reader, path("good")).await.status.as_u16(), 403, "as for unsealing");
    let without = ask(&office, format!("/v1/entries/{}/recording?reason=", id("good"))).await;
    assert_eq!(without.status.as_u16(), 422);
    for (call, status, words) in [
        ("long", 502, "larger than 4000 bytes"),
        ("gone", 502, "404"),
        ("out", 502, "leads out of the address"),
        ("inside", 502, "inside"),
        ("elsewhere", 502, "names another host"),
        ("unrecorded", 404, "no recording"),
        ("bare", 409, "`recordings`"),
    ] {
        let refused = ask(&office, path(call)).await;
        let body = json(&refused);
        let told = body["error"]["message"].as_str().unwrap_or_default();
        assert!(refused.status.as_u16() == status && told.contains(words), "{call}: {} {body}", refused.status);
        assert!(!body.to_string().contains("169.254"), "{body}");
    }
    let trail = store.audit_rows(0, 100).await.unwrap();
    let asked: Vec<_> = trail.iter().filter(|row| row.action == "entry.recording").collect();
    assert_eq!(asked.len(), 9, "each, also what was refused by its source");
    assert!(asked.iter().all(|row| row.actor == "office" && row.reason.as_deref() == Some("核实")));

    // The command does the same, and keeps it where it is told to.
    let out = site.file().with_file_name("one.wav");
    let run = async |call: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
        command.arg("--config").arg(site.file()).args(["--json", "entry", "recording", &id(call).to_string()]);
        command.args(["--reason", "回访"]).arg("--out").arg(&out).output().await.unwrap()
    };
    let done = run("good").await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(std::fs::read(&out).unwrap(), b"RIFF-sound");
    assert_eq!(serde_json::from_slice::<Value>(&done.stdout).unwrap()["bytes"], 10);
    assert_eq!(run("good").await.status.code(), Some(5), "a file that is there is not written over");
    assert_eq!(run("unrecorded").await.status.code(), Some(4));
    assert_eq!(run("out").await.status.code(), Some(1));
    let log = gateway.log();
    assert!(!log.contains(TOKEN) && !log.contains("RIFF") && !log.contains("1.wav"), "{log}");
    gateway.stop().await;
}
