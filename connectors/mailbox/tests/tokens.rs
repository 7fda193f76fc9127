//! XOAUTH2 against a token endpoint and a server that misbehave on demand.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

use super::*;

/// Reads what a client shows; it is refused unless it bears the token that counts.
pub(super) fn shown(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = stream.try_clone()?;
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let text = STANDARD.decode(String::from_utf8_lossy(&line).trim()).unwrap_or_default();
    let mut server = shared.lock().unwrap();
    server.said.push(String::from_utf8_lossy(&text).replace('\u{1}', " "));
    Ok(())
}

/// A token endpoint that answers these in turn, the last one for ever; and what it was asked.
fn endpoint(answers: Vec<(u16, String)>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&asked);
    thread::spawn(move || {
        for (next, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while lines.read_line(&mut line).unwrap_or(0) > 2 {
                if let Some(told) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = told.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body).unwrap();
            shared.lock().unwrap().push(String::from_utf8(body).unwrap());
            let (status, answer) = &answers[next.min(answers.len() - 1)];
            let head = format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n");
            // A client that went away is its own affair.
            drop(write!(stream, "{head}content-length: {}\r\n\r\n{answer}", answer.len()));
        }
    });
    (port, asked)
}

fn token(name: &str, seconds: u32) -> (u16, String) {
    (200, serde_json::json!({"access_token": name, "expires_in": seconds, "token_type": "Bearer"}).to_string())
}

fn oauth(port: u16, refresh: &std::path::Path) -> OAuth {
    let table = serde_json::json!({
        "token_url": format!("http://127.0.0.1:{port}/token"), "client_id": "jiesu & co", "scope": "imap smtp",
        "client_secret": {"env": "CARGO_PKG_NAME"}, "refresh_token": {"file": refresh},
    });
    serde_json::from_value(table).unwrap()
}

fn tokens(oauth: OAuth) -> oauth::Tokens {
    oauth::Tokens::new(oauth, Http::new(HttpLimits::default(), Arc::new(Unpaced)).unwrap())
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

#[tokio::test]
async fn a11_a_token_is_replaced_ahead_of_its_end_and_a_passing_failure_is_bridged() {
    let refresh = written("refresh-1\n");
    let away = (503, String::new());
    let (port, asked) = endpoint(vec![token("one", 3600), away, token("two", 3600)]);
    let tokens = tokens(oauth(port, refresh.path()));
    let access = async |seconds| tokens.access(at(seconds)).await.unwrap().expose_secret().to_owned();
    assert_eq!([access(0).await, access(3000).await], ["one", "one"]);
    assert_eq!(asked.lock().unwrap().len(), 1, "a token that holds is kept");
    assert_eq!(access(3400).await, "one", "the endpoint is away, and the old one still holds");
    assert_eq!(access(3401).await, "two");
    let first = asked.lock().unwrap()[0].clone();
    let expected = "grant_type=refresh_token&refresh_token=refresh-1&client_id=jiesu%20%26%20co&client_secret=connectors&scope=imap%20smtp";
    assert_eq!(first, expected);
    tokens.forget(&SecretString::from("two"));
    assert_eq!(access(3402).await, "two", "asked for anew");
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a11_a_dead_refresh_token_is_told_and_a_new_one_in_its_place_is_taken_up() {
    let refresh = written("dead");
    let dead = (400, r#"{"error":"invalid_grant","error_description":"token of wang@example.com"}"#.to_owned());
    let (port, asked) = endpoint(vec![dead, token("alive", 3600)]);
    let tokens = tokens(oauth(port, refresh.path()));
    let fault = tokens.access(at(0)).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Authentication);
    assert!(fault.to_string().contains("refresh token") && !fault.to_string().contains("wang"), "{fault}");
    std::fs::write(refresh.path(), "fresh").unwrap();
    assert_eq!(tokens.access(at(1)).await.unwrap().expose_secret(), "alive");
    assert!(asked.lock().unwrap()[1].contains("refresh_token=fresh"));
}

#[tokio::test]
async fn a_refresh_token_that_the_provider_replaces_is_kept_in_its_file() {
    let refresh = written("first");
    let rotated = (200, r#"{"access_token":"a","expires_in":1,"refresh_token":"second"}"#.to_owned());
    let (port, asked) = endpoint(vec![rotated, token("b", 3600)]);
    let tokens = tokens(oauth(port, refresh.path()));
    tokens.access(at(0)).await.unwrap();
    assert_eq!(std::fs::read_to_string(refresh.path()).unwrap(), "second");
    tokens.access(at(10)).await.unwrap();
    assert!(asked.lock().unwrap()[1].contains("refresh_token=second"));
}

#[tokio::test]
async fn what_a_token_endpoint_answers_is_classed() {
    let refresh = written("refresh");
    let error = |error: &str| format!("{{\"error\":\"{error}\"}}");
    let cases = [
        ((401, error("invalid_client")), FaultClass::Authentication),
        ((400, error("invalid_scope")), FaultClass::Configuration),
        ((503, error("temporarily_unavailable")), FaultClass::Transient),
        ((502, "<html>".to_owned()), FaultClass::Transient),
        ((200, "<html>".to_owned()), FaultClass::Permanent),
        ((200, "{}".to_owned()), FaultClass::Permanent),
        ((200, r#"{"access_token":"a b"}"#.to_owned()), FaultClass::Permanent),
    ];
    for (answer, class) in cases {
        let (port, _) = endpoint(vec![answer.clone()]);
        let fault = tokens(oauth(port, refresh.path())).access(at(0)).await.unwrap_err();
        assert_eq!(fault.class, class, "{answer:?}: {fault}");
    }
}

#[tokio::test]
async fn a_mailbox_is_opened_with_a_token_and_a_refused_one_is_not_shown_again() {
    let refresh = written("refresh");
    let (port, _) = endpoint(vec![token("one", 3600), token("two", 3600)]);
    let (server, settings) = serve(vec![(1, good(1))]);
    let settings = Settings { password: None, oauth: Some(oauth(port, refresh.path())), ..settings };
    assert_eq!(settings.validate(), []);
    server.lock().unwrap().login = "NO [AUTHENTICATIONFAILED] token";
    let mut pull = reader(&settings, Limits::default());
    let fault = pull.pull(None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Authentication);
    server.lock().unwrap().login = "OK";
    assert_eq!(subjects(&pull.pull(None).await.unwrap()), ["1"]);
    let said = server.lock().unwrap().said.clone();
    let shown: Vec<&String> = said.iter().filter(|said| said.contains("auth=Bearer")).collect();
    assert_eq!(shown, ["user=box@163.example auth=Bearer one  ", "user=box@163.example auth=Bearer two  "]);
}
