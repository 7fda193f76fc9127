//! What every route of the HTTP API keeps to: who may use it, its description, its bounds, the form of its errors.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiesu::{
    config::Scope,
    http::{Access, Limits, MAX_BODY, auth::Tokens, catalogue},
};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::bench::{self, ADMIN, Bench, QUEUE, READ, matters};

#[tokio::test]
async fn requests_beyond_the_bound_are_told_to_come_again() {
    let limits = Limits { max_requests: 1, ..bench::limits() };
    let bench = Bench::with(bench::tokens(), limits).await;
    let asked = json!({ "consumer": "patient", "wait_seconds": 20 });
    let (answer, ()) = tokio::join!(bench.post(QUEUE, "/v1/queue/lease", asked), async {
        // The lease that waits takes the only place sooner or later.
        let busy = loop {
            let answer = bench.get(READ, "/v1/queue").await;
            if answer.status != 200 {
                break answer;
            }
        };
        assert_eq!((busy.status, busy.code()), (503, "busy"));
        assert!(busy.headers.contains_key("retry-after"));
        assert_eq!(bench.get("", "/healthz").await.status, 200, "a busy gateway lives");
        bench.api.stop.cancel();
    });
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_request_that_never_ends_is_ended() {
    let limits = Limits { request_timeout: Duration::from_millis(50), ..bench::limits() };
    let bench = Bench::with(bench::tokens(), limits).await;
    let mut stream = TcpStream::connect(bench.address()).await.unwrap();
    let head = format!(
        "POST /v1/queue/lease HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {QUEUE}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}

#[tokio::test]
async fn every_route_opens_to_its_scope_and_to_no_other() {
    let bench = Bench::start().await;
    let holders = [(QUEUE, Scope::Queue), (READ, Scope::Read), (ADMIN, Scope::Admin)];
    let routes = catalogue(false);
    assert!(routes.len() > 20);
    for route in routes {
        let path = route
            .path
            .replace("{id}", "999999")
            .replace("{name}", "nowhere")
            .replace("{number}", "1")
            .replace("{version}", "1");
        let call = async |token: &str| {
            let body = (route.method == Method::POST).then(|| json!({}));
            bench.call(token, route.method.clone(), &path, body).await
        };
        let at = format!("{} {}", route.method, route.path);
        match route.access {
            Access::Open => assert_eq!(call("").await.status, 200, "{at}"),
            Access::Signed | Access::Role(_) => panic!("{at} is served by others"),
            Access::Scope(scope) => {
                for unknown in ["", "a-token-that-nobody-was-given"] {
                    let answer = call(unknown).await;
                    assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{at}");
                    assert!(answer.headers.contains_key("www-authenticate"), "{at}");
                }
                for (token, held) in holders {
                    let answer = call(token).await;
                    if held == scope || held == Scope::Admin {
                        assert!(!matches!(answer.status, 401 | 403 | 405 | 500), "{at} as {held:?}: {}", answer.text);
                    } else {
                        assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{at} as {held:?}");
                        assert!(answer.message().contains(scope.as_str()), "{}", answer.message());
                    }
                }
            }
        }
    }
    assert!(bench.store.audit_rows(0, 10).await.unwrap().is_empty(), "nothing was done");
}

#[tokio::test]
async fn a_token_counts_in_the_header_only_and_once() {
    let bench = Bench::start().await;
    let refused = [
        (None, format!("/v1/queue?access_token={READ}")),
        (Some(format!("Basic {}", STANDARD.encode(READ))), "/v1/queue".to_owned()),
        (Some(format!("Bearer {}", &READ[..READ.len() - 1])), "/v1/queue".to_owned()),
        (Some(format!("Bearer {READ}x")), "/v1/queue".to_owned()),
        (Some("Bearer ".to_owned()), "/v1/queue".to_owned()),
        (Some(format!("Bearer {}", "x".repeat(5000))), "/v1/queue".to_owned()),
    ];
    for (authorization, path) in refused {
        let answer = bench.send(authorization, Method::GET, &path, None).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert!(!answer.text.contains(READ));
    }
    assert_eq!(bench.send(Some(format!("bearer  {READ}")), Method::GET, "/v1/queue", None).await.status, 200);
}

#[tokio::test]
async fn without_tokens_the_interface_says_how_to_open_it() {
    let bench = Bench::with(Tokens::default(), bench::limits()).await;
    for path in ["/v1/queue", "/v1/tickets", "/metrics"] {
        let answer = bench.get(READ, path).await;
        assert_eq!((answer.status, answer.code()), (403, "no_tokens"));
        assert!(answer.body["error"]["remedy"].as_str().unwrap().contains("[[http.token]]"));
    }
    assert_eq!(bench.get("", "/healthz").await.status, 200);
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let bench = Bench::start().await;
    let document = bench.get("", "/openapi.json").await.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert(format!("{} {path}", method.to_uppercase()));
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        }
    }
    let mut served: BTreeSet<String> =
        catalogue(false).iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    for path in ["/v1/inlets/{connector}", "/v1/portal/{connector}", "/v1/portal/{connector}/status"] {
        served.insert(format!("POST {path}"));
    }
    assert_eq!(described, served);

    // What the table says is what the router does: the described methods answer, the others are 405.
    for route in catalogue(false) {
        let path =
            route.path.replace("{id}", "1").replace("{name}", "a").replace("{number}", "1").replace("{version}", "1");
        let methods: Vec<Method> = catalogue(false)
            .iter()
            .filter(|other| other.path == route.path)
            .map(|other| other.method.clone())
            .collect();
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = bench.call("", method.clone(), &path, None).await;
            assert_eq!(answer.status == 405, !methods.contains(&method), "{method} {path}");
            assert_ne!(answer.status, 404, "{method} {path}");
        }
    }

    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/").skip(1) {
        let pointer = format!("/{}", reference.split('"').next().unwrap());
        assert!(document.pointer(&pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_words_and_by_its_place() {
    let bench = Bench::start().await;
    let lease = "/v1/queue/lease";
    let cases = [
        (json!({ "consumer": "a", "maximum": 3 }), "/maximum"),
        (json!({ "max": 3 }), "/"),
        (json!({ "consumer": "a", "max": "three" }), "/max"),
        (json!({ "consumer": "a", "max": 0 }), "/max"),
        (json!({ "consumer": "a", "max": 101 }), "/max"),
        (json!({ "consumer": " " }), "/consumer"),
        (json!({ "consumer": "a".repeat(101) }), "/consumer"),
        (json!({ "consumer": "a\u{0}b" }), "/consumer"),
        (json!({ "consumer": "a", "seconds": 3601 }), "/seconds"),
        (json!({ "consumer": "a", "wait_seconds": 31 }), "/wait_seconds"),
        (json!(["a"]), "/"),
    ];
    for (body, place) in cases {
        let answer = bench.post(QUEUE, lease, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (422, "invalid"), "{body}: {}", answer.text);
        assert_eq!(answer.body["error"]["fields"][0]["field"], place, "{body}: {}", answer.text);
        assert!(!answer.body["error"]["message_zh"].as_str().unwrap().is_empty());
    }
    let both = bench.post(QUEUE, lease, json!({ "consumer": "", "max": 0 })).await;
    assert_eq!(both.body["error"]["fields"].as_array().unwrap().len(), 2, "every mistake at once");

    let bearer = || Some(format!("Bearer {QUEUE}"));
    let send = async |media: &str, body: String| {
        let answer = bench.send(bearer(), Method::POST, lease, Some((media, body))).await;
        (answer.status, answer.code().to_owned())
    };
    assert_eq!(send("text/plain", "{}".to_owned()).await, (415, "unsupported_media_type".to_owned()));
    assert_eq!(send("application/json", "{".to_owned()).await, (400, "malformed".to_owned()));
    let deep = "[".repeat(20_000);
    assert_eq!(send("application/json", deep).await, (400, "malformed".to_owned()));
    let large = format!("{{\"consumer\":\"{}\"}}", "a".repeat(MAX_BODY));
    assert_eq!(send("application/json", large).await, (413, "too_large".to_owned()));

    for (path, status, code) in [
        ("/v1/nothing", 404, "unknown_route"),
        ("/", 404, "unknown_route"),
        ("/v1/tickets?limit=0", 422, "invalid"),
        ("/v1/tickets?limit=201", 422, "invalid"),
        ("/v1/tickets?page=2", 422, "invalid"),
        ("/v1/entries?phone=13900001234", 422, "invalid"),
        ("/v1/entries?place=nowhere", 422, "invalid"),
        ("/v1/entries/x", 422, "invalid"),
        ("/v1/entries/1", 404, "not_found"),
        ("/v1/connectors/nowhere", 404, "not_found"),
        ("/v1/connectors/No%20Where", 422, "invalid"),
    ] {
        let answer = bench.get(READ, path).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json", "{path}");
    }
    let answer = bench.call(READ, Method::DELETE, "/v1/tickets", None).await;
    assert_eq!((answer.status, answer.code()), (405, "method_not_allowed"));
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
}

#[tokio::test]
async fn every_answer_keeps_browsers_and_caches_off() {
    let bench = Bench::start().await;
    for path in ["/healthz", "/openapi.json", "/v1/queue", "/nothing"] {
        let headers = bench.get(READ, path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{path}");
    }
}

#[tokio::test]
async fn readiness_follows_the_database_and_liveness_does_not() {
    let bench = Bench::start().await;
    assert_eq!(bench.get("", "/readyz").await.status, 200);
    assert_eq!(bench.get(READ, "/metrics").await.text, "jiesu_up 1\n");
    bench.store.close().await;
    let answer = bench.get("", "/readyz").await;
    assert_eq!((answer.status, answer.code()), (503, "unavailable"));
    assert!(answer.message().contains("database"), "{}", answer.message());
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(bench.get("", "/healthz").await.status, 200);
    let refused = bench.get(READ, "/v1/queue").await;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert!(!refused.text.to_lowercase().contains("select"), "{}", refused.text);
}
#[tokio::test]
async fn the_log_names_the_route_and_nothing_of_the_request() {
    let bench = Bench::start().await;
    bench.issue(&matters(1)).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    // The server runs on this thread.
    let logging = tracing::subscriber::set_default(subscriber);
    // A line that a test without a subscriber meets first is taken for one that nobody wants: meet it, and ask again.
    bench.get(READ, "/v1/queue").await;
    tracing::callsite::rebuild_interest_cache();
    log.0.lock().unwrap().clear();
    bench.get(READ, "/v1/tickets/261123-000001-0?from=petitioner").await;
    bench.post(ADMIN, "/v1/entries/search", json!({ "phone": "13900000000" })).await;
    bench.get(READ, "/v1/13900000000").await;
    drop(logging);
    let text = log.text();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains(r#""http.route":"/v1/tickets/{number}""#), "{text}");
    assert!(text.contains(r#""http.status":200"#), "{text}");
    for secret in [READ, ADMIN, "261123", "petitioner", "13900000000", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_page_about_the_api_says_what_every_sum_counts() {
    let bench = Bench::start().await;
    let page = include_str!("../../docs/api.md");
    let sums = bench.get(READ, "/v1/accounting").await.body;
    let fields = sums.as_object().expect("an object");
    assert!(fields.len() > 10, "{sums}");
    for field in fields.keys() {
        assert!(page.contains(&format!("`{field}`")), "docs/api.md does not say what {field} counts");
    }
}

#[test]
fn the_page_about_the_api_has_every_route_with_its_scope() {
    let page = include_str!("../../docs/api.md");
    for route in catalogue(false) {
        let scope = match route.access {
            Access::Open => "open",
            Access::Signed => "signed",
            Access::Role(_) => "a page",
            Access::Scope(scope) => scope.as_str(),
        };
        let row = format!("| `{} {}` | {scope} |", route.method, route.path);
        assert!(page.contains(&row), "{row}");
    }
}
