//! The client against servers that lie about where they are.

use std::{
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::{Method, dns::Resolve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::{guard::Lookup, *};

/// Answers of a look-up, one after the other; the last one again and again.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answer = |addresses: &&[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(answer).collect()), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Lookup for Scripted {
    async fn addresses(&self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

/// A server that gives every connection the same answer, and how many connections it had.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Server {
    async fn answering(answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, answer) = (Arc::new(AtomicUsize::new(0)), answer.into());
        let mut task = JoinSet::new();
        let counted = connections.clone();
        task.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, connections, _task: task }
    }

    fn asked(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

fn http(reach: Reach, lookup: Arc<dyn Lookup>) -> Http {
    let limits =
        HttpLimits { connect: Duration::from_secs(2), exchange: Duration::from_secs(5), ..HttpLimits::default() };
    Http::guarded(limits, Arc::new(Unpaced), Guard { reach: Arc::new(reach), lookup }).unwrap()
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

async fn get(http: &Http, address: &str) -> Result<Answered, Fault> {
    http.send(http.request(Method::GET, url(address))).await
}

#[tokio::test]
async fn d03_a_name_that_leads_inside_is_not_connected_to() {
    let server = Server::answering(FINE).await;
    let address = format!("http://board.example:{}/", server.port);
    for inside in [&["127.0.0.1"][..], &["::ffff:127.0.0.1"], &["10.255.255.1", "127.0.0.1"]] {
        let fault = get(&http(Reach::default(), Scripted::new(&[inside])), &address).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Configuration, "{fault}");
        assert!(fault.message.contains("not public") && fault.to_string().contains("allow_private"), "{fault}");
        assert!(!fault.to_string().contains("board.example"), "an address is not repeated: {fault}");
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn d03_what_the_allow_list_names_is_reached_and_looked_up_once() {
    let server = Server::answering(FINE).await;
    let address = format!("http://board.example:{}/", server.port);
    for allowed in ["127.0.0.0/8", "127.0.0.1", "board.example"] {
        // Were it looked up a second time, the answer would be another one.
        let lookup = Scripted::new(&[&["127.0.0.1"], &["10.255.255.1"]]);
        let http = http(Reach::parse(&[allowed]).unwrap(), lookup.clone());
        assert_eq!(get(&http, &address).await.unwrap().body, "ok", "{allowed}");
        assert_eq!(lookup.asked.load(Ordering::Relaxed), 1, "{allowed}");
    }
}

#[tokio::test]
async fn d03_a_name_that_is_pointed_elsewhere_after_the_check_leads_nowhere() {
    let lookup = Scripted::new(&[&["223.5.5.5", "10.0.0.7", "fd00::1"], &["169.254.169.254"]]);
    let guard = Guard { reach: Arc::new(Reach::default()), lookup };
    let resolve = || guard.resolve("board.example".parse().unwrap());
    let pinned: Vec<String> = resolve().await.unwrap().map(|address| address.ip().to_string()).collect();
    assert_eq!(pinned, ["223.5.5.5"], "what is not public among the addresses is dropped");
    let error = resolve().await.err().unwrap();
    assert!(Refused::under(&*error).is_some(), "{error}");
}

#[tokio::test]
async fn d03_redirects_are_few_and_lead_nowhere_else() {
    let inside = Server::answering(FINE).await;
    let lookup = Scripted::new(&[&["127.0.0.1"]]);
    let http = http(Reach::parse(&["board.example"]).unwrap(), lookup);
    for target in [
        format!("http://127.0.0.1:{}/", inside.port),
        format!("http://localhost:{}/", inside.port),
        format!("http://board.example:{}/", inside.port),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let redirect =
            format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let server = Server::answering(redirect).await;
        let answered = get(&http, &format!("http://board.example:{}/", server.port)).await.unwrap();
        assert_eq!(answered.status, StatusCode::FOUND, "{target}");
        assert_eq!((server.asked(), inside.asked()), (1, 0), "{target}");
    }
    let round = "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let server = Server::answering(round).await;
    get(&http, &format!("http://board.example:{}/", server.port)).await.unwrap();
    assert_eq!(server.asked(), 1 + HttpLimits::default().redirects);
}

#[tokio::test]
async fn d03_a_link_from_an_item_must_be_public() {
    let server = Server::answering(FINE).await;
    let http = http(Reach::default(), Scripted::new(&[&["127.0.0.1"]]));
    for link in
        ["http://127.0.0.1/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/", "file:///etc/passwd"]
    {
        assert!(http.request_found(Method::GET, url(link)).is_err(), "{link}");
    }
    let by_name = http.request_found(Method::GET, url(&format!("http://evil.example:{}/", server.port))).unwrap();
    assert_eq!(http.send(by_name).await.unwrap_err().class, FaultClass::Configuration);
    assert_eq!(server.asked(), 0);
    // What the settings write as a number is meant, but for the places where credentials are handed out.
    assert!(get(&http, &format!("http://127.0.0.1:{}/", server.port)).await.is_ok());
    assert_eq!(get(&http, "http://169.254.169.254/").await.unwrap_err().class, FaultClass::Configuration);
}

#[test]
fn retry_after_is_read_in_seconds_and_as_a_date() {
    let told = |retry: &str, date: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry.parse().unwrap());
        headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
        retry_after(&headers)
    };
    let now = Some("Wed, 25 Nov 2026 07:28:00 GMT");
    assert_eq!(told("120", None), Some(Duration::from_mins(2)));
    assert_eq!(told("Wed, 25 Nov 2026 07:30:00 GMT", now), Some(Duration::from_mins(2)));
    assert_eq!(told("Wed, 25 Nov 2026 07:30:00 GMT", None), Some(WAIT_WITHOUT_DATE));
    assert_eq!(told("Wed, 25 Nov 2026 07:20:00 GMT", now), None, "a moment that is past asks for nothing");
    assert_eq!(told("soon", now), None);
    assert_eq!(told("-5", now), None);
}
