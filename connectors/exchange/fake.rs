//! An exchange for tests: it greets, lets in who knows the secret, answers, and tells what it is given to tell. It plays the
//! protocol of Asterisk 22 as recorded in `fixtures/exchange/`; it is no exchange. Names nothing of the crate, so that the
//! tests of the whole program use it too.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

/// The challenge that it always gives.
pub(crate) const CHALLENGE: &str = "191209547";
/// The secret of its user.
pub(crate) const SECRET: &str = "0419-secret";
/// The MD5 digest of both.
pub(crate) const KEY: &str = "5fb510ab8b79195efee2a0e350bb9d07";

/// How it behaves to who connects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Well,
    /// It closes each connection without a word.
    Closes,
    /// It lets nobody in.
    Refuses,
    /// It is something else.
    Foreign,
    /// It takes connections and says nothing.
    Hangs,
    /// It lets in and then says nothing any more.
    Deaf,
}

#[derive(Default)]
struct State {
    mood: Mood,
    sessions: Vec<UnboundedSender<Vec<u8>>>,
    /// Held open and not answered.
    silent: Vec<TcpStream>,
}

/// An exchange that answers until it is dropped.
pub(crate) struct Exchange {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    logins: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Exchange {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts at an address; one that has just been left can be taken again.
    pub(crate) async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let logins: Arc<AtomicUsize> = Arc::default();
        let (shared, counted) = (state.clone(), logins.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, logins) = (shared.clone(), counted.clone());
                let mood = state.lock().unwrap().mood;
                match mood {
                    Mood::Closes => {}
                    Mood::Hangs => state.lock().unwrap().silent.push(stream),
                    _ => {
                        sessions.spawn(async move {
                            // A connection that breaks is the client's affair.
                            let _ = session(stream, mood, &state, &logins).await;
                        });
                    }
                }
                while sessions.try_join_next().is_some() {}
            }
        });
        Self { address, state, logins, _tasks: tasks }
    }

    /// How it behaves from now on; connections that stand are closed.
    pub(crate) fn set(&self, mood: Mood) {
        let mut state = self.state.lock().unwrap();
        state.mood = mood;
        state.sessions.clear();
        state.silent.clear();
    }

    /// Closes the connections that stand.
    pub(crate) fn hang_up_on_all(&self) {
        self.state.lock().unwrap().sessions.clear();
    }

    /// Tells everybody who is logged in.
    pub(crate) fn tell(&self, text: impl AsRef<[u8]>) {
        for session in &self.state.lock().unwrap().sessions {
            // Who has gone hears nothing.
            let _ = session.send(text.as_ref().to_vec());
        }
    }

    /// How often somebody was let in.
    pub(crate) fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }
}

async fn session(stream: TcpStream, mood: Mood, state: &Mutex<State>, logins: &AtomicUsize) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    if mood == Mood::Foreign {
        return writer.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    }
    writer.write_all(b"Asterisk Call Manager/11.0.0\r\n").await?;
    let mut told: Option<UnboundedReceiver<Vec<u8>>> = None;
    let (mut line, mut action) = (Vec::new(), Vec::<(String, String)>::new());
    loop {
        // What it is given to tell comes before the answer to what is asked later.
        let text = tokio::select! {
            biased;
            text = async { match &mut told { Some(told) => told.recv().await, None => std::future::pending().await } } => {
                let Some(text) = text else { return Ok(()) };
                Some(text)
            }
            read = reader.read_until(b'\n', &mut line) => {
                if read? == 0 {
                    return Ok(());
                }
                None
            }
        };
        if let Some(text) = text {
            writer.write_all(&text).await?;
            continue;
        }
        let read = String::from_utf8_lossy(&std::mem::take(&mut line)).trim_end().to_owned();
        if let Some((name, value)) = read.split_once(": ") {
            action.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let asked = std::mem::take(&mut action);
        let get = |name: &str| asked.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
        let id = get("ActionID");
        let answer = match get("Action") {
            "Challenge" => format!("Response: Success\r\nActionID: {id}\r\nChallenge: {CHALLENGE}\r\n\r\n"),
            "Login" if mood != Mood::Refuses && (get("Key") == KEY || get("Secret") == SECRET) => {
                let (sender, receiver) = unbounded_channel();
                state.lock().unwrap().sessions.push(sender);
                told = Some(receiver);
                logins.fetch_add(1, Ordering::SeqCst);
                format!("Response: Success\r\nActionID: {id}\r\nMessage: Authentication accepted\r\n\r\n")
            }
            "Login" => {
                let refusal = format!("Response: Error\r\nActionID: {id}\r\nMessage: Authentication failed\r\n\r\n");
                return writer.write_all(refusal.as_bytes()).await;
            }
            "Ping" if mood == Mood::Deaf => continue,
            "Ping" => {
                format!("Response: Success\r\nActionID: {id}\r\nPing: Pong\r\nTimestamp: 1795575812.067981\r\n\r\n")
            }
            "Logoff" => {
                return writer.write_all(b"Response: Goodbye\r\nMessage: Thanks for all the fish.\r\n\r\n").await;
            }
            _ => format!("Response: Error\r\nActionID: {id}\r\nMessage: Invalid/unknown command\r\n\r\n"),
        };
        writer.write_all(answer.as_bytes()).await?;
    }
}
