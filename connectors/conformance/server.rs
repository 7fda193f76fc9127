//! A small HTTP server for harnesses: one exchange a connection, on loopback, with an answer made by a closure.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::Trouble;

/// Bytes of a request's body.
const MAX_BODY: usize = 1024 * 1024;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// The path, without parameters.
    pub(crate) path: String,
    /// Parameters of the address and of a form, as they are written.
    pub(crate) parameters: Vec<(String, String)>,
    /// The bearer token, or whatever else stands in the header of that name.
    pub(crate) authorization: Option<String>,
}

impl Asked {
    /// A parameter as a number; 0 where it is missing.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self { status: 200, content_type: "application/json", body: value.to_string().into_bytes() }
    }
}

type Answering = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// A server that answers until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    trouble: Arc<Mutex<Option<Trouble>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts on a free port.
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let trouble: Arc<Mutex<Option<Trouble>>> = Arc::default();
        let (answering, troubles): (Answering, _) = (Arc::new(answer), trouble.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut exchanges = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answering, trouble) = (answering.clone(), *troubles.lock().unwrap());
                exchanges.spawn(async move {
                    // A connection that breaks is the client's affair.
                    let _ = exchange(stream, &answering, trouble).await;
                });
                while exchanges.try_join_next().is_some() {}
            }
        });
        Self { address, trouble, _tasks: tasks }
    }

    /// Where it answers, with a slash at the end.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Has it answer as a server in trouble does.
    pub(crate) fn afflict(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = Some(trouble);
    }

    /// Has it answer again.
    pub(crate) fn mend(&self) {
        *self.trouble.lock().unwrap() = None;
    }
}

async fn exchange(stream: TcpStream, answering: &Answering, trouble: Option<Trouble>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut asked, mut length) = (Asked::default(), 0_usize);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => asked.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length.min(MAX_BODY)];
    stream.read_exact(&mut body).await?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    path.clone_into(&mut asked.path);
    let form = String::from_utf8_lossy(&body);
    let pairs = query.split('&').chain(form.split('&')).filter_map(|pair| pair.split_once('='));
    asked.parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let plain = |status, body: &str| Answer { status, content_type: "text/html", body: body.as_bytes().to_vec() };
    let answer = match trouble {
        None => answering(&asked),
        // The connection is closed without a word.
        Some(Trouble::Unreachable) => return Ok(()),
        Some(Trouble::Refuses) => plain(401, "who are you?"),
        Some(Trouble::Busy) => plain(429, "slow down"),
        Some(Trouble::Gone) => plain(404, "not here"),
        Some(Trouble::Nonsense) => plain(200, "<html><title>系统维护</title><p>正在维护</p></html>"),
        Some(Trouble::Hangs) => std::future::pending().await,
    };
    let Answer { status, content_type, body } = answer;
    let wait = if status == 429 { "Retry-After: 7\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{wait}Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await
}
