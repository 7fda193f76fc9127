//! The adapter against a server that misbehaves on demand, in the ways that real ones were seen to.

mod folders;
mod tokens;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::*;
use crate::{
    clock::ManualClock,
    conformance::Trouble,
    contract::{Cursor, Limits, Page, Pull},
    entry::{Item, Remark},
    fault::FaultClass,
    http::{Http, HttpLimits, Unpaced},
};

/// What the server does when asked for a mail's content.
#[derive(Debug, Clone)]
pub(super) enum Gives {
    Body(Vec<u8>),
    /// Tells a size of ten bytes and gives these.
    Lies(Vec<u8>),
    Refuses,
    HangsUp,
    Nothing,
    Empty,
}

#[derive(Debug)]
pub(super) struct Server {
    greeting: &'static str,
    login: &'static str,
    wants_id: bool,
    pub(super) uidvalidity: Option<u32>,
    /// The mails of INBOX.
    pub(super) mails: Vec<(u32, Gives)>,
    /// The mails of other folders.
    others: BTreeMap<String, Vec<(u32, Gives)>>,
    /// Folders that may not be opened.
    locked: Vec<String>,
    /// Mails that are marked as deleted or seen, with their folder.
    marked: Vec<(String, u32, &'static str)>,
    capabilities: &'static str,
    /// When mails came.
    pub(super) came: &'static str,
    /// Hangs up after it has done a command that begins with this, instead of answering; once.
    breaks_after: Option<&'static str>,
    said: Vec<String>,
    pub(super) trouble: Option<Trouble>,
}

pub(super) type Shared = Arc<Mutex<Server>>;

pub(super) fn serve(mails: Vec<(u32, Gives)>) -> (Shared, Settings) {
    let server = Server {
        greeting: "* OK ready",
        login: "OK",
        wants_id: false,
        uidvalidity: Some(7),
        mails,
        others: BTreeMap::new(),
        locked: Vec::new(),
        marked: Vec::new(),
        capabilities: "IMAP4rev1 ID",
        came: "23-Nov-2026 17:30:09 +0800",
        breaks_after: None,
        said: Vec::new(),
        trouble: None,
    };
    let server = Arc::new(Mutex::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::clone(&server);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            // A connection that breaks is the client's affair.
            thread::spawn(move || drop(talk(stream.unwrap(), &shared)));
        }
    });
    let settings = serde_json::json!({
        "host": "127.0.0.1", "port": port, "tls": "none", "user": "box@163.example",
        "password": {"env": "CARGO_PKG_NAME"},
    });
    (server, serde_json::from_value(settings).unwrap())
}

fn talk(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (greeting, trouble) = {
        let server = shared.lock().unwrap();
        (server.greeting, server.trouble)
    };
    match trouble {
        Some(Trouble::Unreachable) => return Ok(()),
        Some(Trouble::Hangs) => return hang(&stream),
        Some(Trouble::Nonsense) => {
            writeln!(stream, "HTTP/1.1 400 Bad Request\r")?;
        }
        _ => {}
    }
    writeln!(stream, "{greeting}\r")?;
    let mut identified = false;
    let mut folder = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        let (tag, command) = line.split_once(' ').unwrap();
        let mut server = shared.lock().unwrap();
        server.said.push(command.split(' ').take(2).collect::<Vec<_>>().join(" "));
        let words: Vec<&str> = command.split(' ').collect();
        let mut answer: Vec<u8> = Vec::new();
        let breaks = server.breaks_after.take_if(|start| command.starts_with(*start)).is_some();
        match server.trouble {
            Some(Trouble::Hangs) => {
                drop(server);
                return hang(&stream);
            }
            // Whoever is logged in is thrown out, and meets the trouble anew.
            Some(Trouble::Unreachable | Trouble::Refuses | Trouble::Nonsense) if words[0] != "LOGIN" => return Ok(()),
            _ => {}
        }
        let status = match words[0] {
            "LOGIN" if server.trouble == Some(Trouble::Refuses) => "NO [AUTHENTICATIONFAILED] Authentication failed.",
            "EXAMINE" | "SELECT" if server.trouble == Some(Trouble::Gone) => "NO [NONEXISTENT] Mailbox doesn't exist",
            "LOGIN" => server.login,
            "AUTHENTICATE" => {
                writeln!(stream, "+ \r")?;
                drop(server);
                tokens::shown(&stream, shared)?;
                server = shared.lock().unwrap();
                server.login
            }
            "CAPABILITY" => {
                answer.extend(format!("* CAPABILITY {}\r\n", server.capabilities).bytes());
                "OK"
            }
            "ID" => {
                identified = true;
                "OK"
            }
            "EXAMINE" | "SELECT" if server.wants_id && !identified => {
                "NO EXAMINE Unsafe Login. Please contact kefu@188.com for help"
            }
            "EXAMINE" | "SELECT" if server.locked.iter().any(|name| *name == unquoted(words[1])) => {
                "NO [NOPERM] not yours"
            }
            "EXAMINE" | "SELECT" if server.folder(&unquoted(words[1])).is_none() => "NO [NONEXISTENT] no such folder",
            "EXAMINE" | "SELECT" => {
                folder = unquoted(words[1]);
                let mails = server.folder(&folder).unwrap();
                let next = mails.iter().map(|(uid, _)| uid + 1).max().unwrap_or(1);
                let mut text = format!("* {} EXISTS\r\n* OK [UIDNEXT {next}] next\r\n", mails.len());
                if let Some(validity) = server.uidvalidity {
                    write!(text, "* OK [UIDVALIDITY {validity}] valid\r\n").unwrap();
                }
                answer.extend(text.bytes());
                "OK"
            }
            "UID" if words[1] == "SEARCH" => {
                let mut text = "* SEARCH".to_owned();
                // Days are not looked at: what is found is judged by its date.
                let set = if words[2] == "SINCE" { "1:*" } else { words[3] };
                for (uid, _) in server.within(&folder, set) {
                    if command.contains("UNDELETED") && server.marked.contains(&(folder.clone(), uid, "deleted")) {
                        continue;
                    }
                    write!(text, " {uid}").unwrap();
                }
                answer.extend(format!("{text}\r\n").bytes());
                "OK"
            }
            "UID" if words[1] != "FETCH" => server.change(&folder, &words),
            "CREATE" => {
                server.others.entry(unquoted(words[1])).or_default();
                "OK"
            }
            "UID" => match server.fetch(&folder, words[2], command, &mut answer) {
                Some(status) => status,
                None => return Ok(()),
            },
            _ => "OK",
        };
        drop(server);
        if breaks {
            return Ok(());
        }
        answer.extend(format!("{tag} {status} done\r\n").bytes());
        stream.write_all(&answer)?;
    }
    Ok(())
}

/// Takes whatever comes and says nothing, until the other side gives up.
fn hang(mut stream: &TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

fn unquoted(word: &str) -> String {
    word.trim_matches('"').to_owned()
}

impl Server {
    fn folder(&mut self, name: &str) -> Option<&mut Vec<(u32, Gives)>> {
        if name == "INBOX" { Some(&mut self.mails) } else { self.others.get_mut(name) }
    }

    fn mails_of(&self, name: &str) -> &[(u32, Gives)] {
        if name == "INBOX" { &self.mails } else { self.others.get(name).map_or(&[], Vec::as_slice) }
    }

    /// STORE, COPY, MOVE, EXPUNGE.
    fn change(&mut self, folder: &str, words: &[&str]) -> &'static str {
        let mails = self.within(folder, words[2]);
        match words[1] {
            "STORE" => {
                let mark = if words[4].contains("Seen") { "seen" } else { "deleted" };
                self.marked.extend(mails.iter().map(|(uid, _)| (folder.to_owned(), *uid, mark)));
            }
            "COPY" | "MOVE" if self.locked.contains(&unquoted(words[3])) => return "NO [NOPERM] not yours",
            "COPY" | "MOVE" => {
                let Some(target) = self.folder(&unquoted(words[3])) else { return "NO [TRYCREATE] no such folder" };
                for (_, gives) in &mails {
                    let next = target.iter().map(|(uid, _)| uid + 1).max().unwrap_or(1);
                    target.push((next, gives.clone()));
                }
                if words[1] == "MOVE" {
                    let moved: Vec<u32> = mails.iter().map(|(uid, _)| *uid).collect();
                    self.folder(folder).unwrap().retain(|(uid, _)| !moved.contains(uid));
                }
            }
            "EXPUNGE" => {
                let marked = self.marked.clone();
                let gone = |uid: u32| marked.contains(&(folder.to_owned(), uid, "deleted"));
                let named: Vec<u32> = mails.iter().map(|(uid, _)| *uid).collect();
                self.folder(folder).unwrap().retain(|(uid, _)| !(named.contains(uid) && gone(*uid)));
            }
            other => panic!("{other} is not known"),
        }
        "OK"
    }

    /// The mails of a set; `n:*` names the last mail even where it is below `n`.
    fn within(&self, folder: &str, set: &str) -> Vec<(u32, Gives)> {
        let mails = self.mails_of(folder);
        let last = mails.iter().map(|(uid, _)| *uid).max().unwrap_or(0);
        let number = |text: &str| if text == "*" { last } else { text.parse().unwrap() };
        let mut found: Vec<(u32, Gives)> = Vec::new();
        for part in set.split(',') {
            let (first, end) = part.split_once(':').unwrap_or((part, part));
            let (first, end) = (number(first), number(end));
            let range = first.min(end)..=first.max(end);
            found.extend(mails.iter().filter(|(uid, _)| range.contains(uid)).cloned());
        }
        found
    }

    fn fetch(&self, folder: &str, set: &str, command: &str, answer: &mut Vec<u8>) -> Option<&'static str> {
        for (uid, gives) in self.within(folder, set) {
            let size = match &gives {
                Gives::Body(body) => body.len(),
                _ => 10,
            };
            if !command.contains("BODY.PEEK[]") {
                // The mails of UIDs from 9000 on came long ago.
                let date = if uid >= 9000 { "23-Nov-2020 17:30:09 +0800" } else { self.came };
                answer.extend(format!("* 1 FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE \"{date}\")\r\n").bytes());
                continue;
            }
            let body = match gives {
                Gives::Body(body) | Gives::Lies(body) => body,
                Gives::Empty => Vec::new(),
                Gives::Nothing => continue,
                Gives::Refuses => return Some("NO [SERVERBUG] Internal error"),
                Gives::HangsUp => return None,
            };
            let partial = command.split_once("<0.").map(|(_, rest)| rest.trim_end_matches(">)").parse().unwrap());
            let body = &body[..body.len().min(partial.unwrap_or(usize::MAX))];
            let index = partial.map(|_| "<0>").unwrap_or_default();
            answer.extend(format!("* 1 FETCH (UID {uid} BODY[]{index} {{{}}}\r\n", body.len()).bytes());
            answer.extend_from_slice(body);
            answer.extend(b")\r\n");
        }
        Some("OK")
    }
}

fn reader(settings: &Settings, limits: Limits) -> Box<dyn Pull> {
    let pace = Arc::new(Unpaced);
    let tools = Toolbox {
        clock: Arc::new(ManualClock::new("2026-11-23T01:30:00Z".parse().unwrap())),
        http: Http::new(HttpLimits::default(), pace.clone()).unwrap(),
        pace,
        limits,
    };
    match settings.source(&tools).unwrap() {
        Source::Pull(pull) => pull,
        Source::Push(_) => panic!("a mailbox is asked"),
    }
}

fn good(number: u32) -> Gives {
    Gives::Body(format!("Subject: {number}\r\n\r\nbody\r\n").into_bytes())
}

/// Subjects of what was read, and `!` for what was not.
fn subjects(page: &Page) -> Vec<String> {
    let subject = |item: &Item| match item {
        Item::Entry(entry) => {
            String::from_utf8_lossy(&entry.raw).lines().next().unwrap().trim_start_matches("Subject: ").to_owned()
        }
        Item::Unread(_) | Item::Fragment(_) => "!".to_owned(),
    };
    page.items.iter().map(subject).collect()
}

async fn drain(pull: &mut dyn Pull, mut cursor: Option<Cursor>) -> (Vec<String>, Cursor) {
    let mut all = Vec::new();
    loop {
        let page = pull.pull(cursor.as_ref()).await.unwrap();
        all.extend(subjects(&page));
        cursor = Some(page.cursor);
        if !page.more {
            return (all, cursor.unwrap());
        }
    }
}

fn small() -> Limits {
    Limits { page_items: 2, ..Limits::default() }
}

#[tokio::test]
async fn a08_the_163_family_is_told_who_we_are_before_a_folder_is_opened() {
    let (server, settings) = serve(vec![(1, good(1))]);
    server.lock().unwrap().wants_id = true;
    let (all, _) = drain(&mut *reader(&settings, small()), None).await;
    assert_eq!(all, ["1"]);
    let said = server.lock().unwrap().said.clone();
    let at = |what: &str| said.iter().position(|said| said.starts_with(what)).unwrap();
    assert!(at("LOGIN") < at("ID") && at("ID") < at("EXAMINE"), "{said:?}");
    let changing = ["SELECT", "STORE", "EXPUNGE", "COPY", "MOVE", "CLOSE"];
    assert!(!said.iter().any(|said| changing.iter().any(|word| said.contains(word))), "{said:?}");
}

#[tokio::test]
async fn a04_the_last_mail_is_not_read_again_and_gaps_are_stepped_over() {
    let (server, settings) = serve(vec![(1, good(1)), (500, good(2)), (4_000_000_000, good(3))]);
    let mut pull = reader(&settings, small());
    let (all, cursor) = drain(&mut *pull, None).await;
    assert_eq!(all, ["1", "2", "3"]);
    let (none, cursor) = drain(&mut *pull, Some(cursor)).await;
    assert!(none.is_empty());
    server.lock().unwrap().mails.push((4_000_000_001, good(4)));
    let (new, _) = drain(&mut *reader(&settings, small()), Some(cursor)).await;
    assert_eq!(new, ["4"]);
}

#[tokio::test]
async fn a01_a_mail_that_cannot_be_fetched_is_set_aside_and_the_rest_is_read() {
    for bad in [Gives::Refuses, Gives::HangsUp, Gives::Nothing, Gives::Empty] {
        let mails = vec![(1, good(1)), (2, bad.clone()), (3, good(3)), (4, good(4)), (5, good(5))];
        let (_, settings) = serve(mails);
        let limits = Limits { page_items: 4, ..Limits::default() };
        let (all, _) = drain(&mut *reader(&settings, limits), None).await;
        assert_eq!(all, ["1", "!", "3", "4", "5"], "{bad:?}");
    }
}

#[tokio::test]
async fn a01_where_nothing_can_be_fetched_the_server_is_at_fault_first_and_the_mail_later() {
    let (server, settings) = serve(vec![(1, Gives::Refuses), (2, Gives::Refuses)]);
    let mut pull = reader(&settings, small());
    let mut cursor = None;
    for _ in 0..2 {
        let page = pull.pull(cursor.as_ref()).await.unwrap();
        assert_eq!((page.items.len(), page.more), (0, false));
        assert_eq!(pull.trouble().unwrap().class, FaultClass::Transient);
        // Each attempt may be another process's: what counts stands in the cursor.
        cursor = Some(page.cursor);
        pull = reader(&settings, small());
    }
    let page = pull.pull(cursor.as_ref()).await.unwrap();
    assert_eq!(pull.trouble(), None);
    assert_eq!((subjects(&page), page.more), (vec!["!".to_owned()], true));
    // Then the server is well again.
    server.lock().unwrap().mails[1].1 = good(2);
    let (all, _) = drain(&mut *pull, Some(page.cursor)).await;
    assert_eq!(all, ["2"]);
}

#[tokio::test]
async fn a06_without_uidvalidity_a_new_connection_reads_everything_and_an_old_one_what_is_new() {
    for uidvalidity in [None, Some(0)] {
        let (server, settings) = serve(vec![(1, good(1)), (2, good(2)), (3, good(3))]);
        server.lock().unwrap().uidvalidity = uidvalidity;
        let mut pull = reader(&settings, small());
        let (all, cursor) = drain(&mut *pull, None).await;
        assert_eq!(all, ["1", "2", "3"]);
        server.lock().unwrap().mails.push((4, good(4)));
        let (new, cursor) = drain(&mut *pull, Some(cursor)).await;
        assert_eq!(new, ["4"]);
        // The server numbers anew behind our back: what was 3 is 1 now, and a new mail took a number of old.
        server.lock().unwrap().mails = vec![(1, good(3)), (2, good(5))];
        let mut later = reader(&settings, Limits::default());
        let (again, _) = drain(&mut *later, Some(cursor)).await;
        assert_eq!(again, ["3", "5"], "{uidvalidity:?}");
    }
}

#[tokio::test]
async fn a06_a_uidvalidity_change_reads_everything_again_under_the_same_ids() {
    let (server, settings) = serve(vec![(1, good(1)), (2, good(2))]);
    let mut pull = reader(&settings, Limits::default());
    let before = pull.pull(None).await.unwrap();
    server.lock().unwrap().uidvalidity = Some(8);
    server.lock().unwrap().mails = vec![(11, good(1)), (12, good(2)), (13, good(3))];
    let after = pull.pull(Some(&before.cursor)).await.unwrap();
    assert_eq!(subjects(&after), ["1", "2", "3"]);
    let ids = |page: &Page| page.items.iter().map(|item| item.external_id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(&after)[..2], ids(&before)[..]);
}

#[tokio::test]
async fn a12_a_mail_over_the_limit_is_a_stub_even_where_the_server_lies_about_its_size() {
    let huge = [b"Subject: huge\r\n\r\n".as_slice(), &vec![b'x'; 3 * 1024 * 1024]].concat();
    let limits = Limits { item_bytes: 64 * 1024, ..Limits::default() };
    for (gives, size) in [(Gives::Body(huge.clone()), Some(huge.len() as u64)), (Gives::Lies(huge.clone()), Some(10))] {
        let (_, settings) = serve(vec![(1, good(1)), (2, gives), (3, good(3))]);
        let page = reader(&settings, limits).pull(None).await.unwrap();
        assert_eq!(subjects(&page), ["1", "huge", "3"]);
        let Item::Entry(stub) = &page.items[1] else { panic!("a stub is an entry") };
        assert_eq!(stub.raw.len(), limits.item_bytes);
        assert_eq!(stub.remarks, [Remark::Oversize { size, limit: 64 * 1024 }]);
    }
}

#[tokio::test]
async fn sizes_told_wrongly_fill_a_page_and_lose_nothing() {
    let large = |number: u32| {
        let mut body = format!("Subject: {number}\r\n\r\n").into_bytes();
        body.resize(900_000, b'x');
        Gives::Lies(body)
    };
    let (_, settings) = serve((1..=9).map(|uid| (uid, large(uid))).collect());
    let limits = Limits { page_bytes: 1_000_000, ..Limits::default() };
    let mut pull = reader(&settings, limits);
    let page = pull.pull(None).await.unwrap();
    assert!(page.items.len() < 4 && page.more, "{}", page.items.len());
    let mut all = subjects(&page);
    all.extend(drain(&mut *pull, Some(page.cursor)).await.0);
    assert_eq!(all, (1..=9).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a10_refusals_are_classed() {
    let cases = [
        ("* OK ready", "NO [AUTHENTICATIONFAILED] no", FaultClass::Authentication),
        ("* OK ready", "NO LOGIN Login error password error", FaultClass::Authentication),
        ("* OK ready", "NO [UNAVAILABLE] Temporary failure", FaultClass::Transient),
        ("* OK ready", "NO [INUSE] in use", FaultClass::Transient),
        ("* BYE overloaded", "OK", FaultClass::Transient),
        ("220 smtp.example ESMTP", "OK", FaultClass::Permanent),
    ];
    for (greeting, login, class) in cases {
        let (server, settings) = serve(Vec::new());
        server.lock().unwrap().greeting = greeting;
        server.lock().unwrap().login = login;
        let mut pull = reader(&settings, Limits::default());
        let fault = pull.pull(None).await.unwrap_err();
        assert_eq!(fault.class, class, "{greeting} {login}: {fault}");
        assert!(!pull.check().await.passed());
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_a_passing_fault() {
    let (_, mut settings) = serve(Vec::new());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    settings.port = Some(free);
    assert_eq!(reader(&settings, Limits::default()).pull(None).await.unwrap_err().class, FaultClass::Transient);
}

#[tokio::test]
async fn a_call_dropped_half_way_leaves_no_half_read_connection() {
    let (_, settings) = serve((1..=20).map(|uid| (uid, good(uid))).collect());
    let mut pull = reader(&settings, Limits::default());
    let first = pull.pull(None).await.unwrap();
    for polls in 0..40 {
        let mut left = polls;
        let mut pulling = Box::pin(pull.pull(None));
        std::future::poll_fn(|context| {
            if left == 0 || pulling.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(());
            }
            left -= 1;
            std::task::Poll::Pending
        })
        .await;
        drop(pulling);
        assert_eq!(pull.pull(None).await.unwrap().items, first.items, "dropped after {polls} polls");
    }
}

#[test]
fn settings_that_cannot_work_are_named() {
    let settings: Settings = serde_json::from_value(serde_json::json!({
        "host": "imap://mail.example", "port": 0, "tls": "none", "user": " ", "password": {"env": "X"}, "folder": "",
        "after": "move", "oauth": {"token_url": "http://login.example/token", "client_id": "", "refresh_token": {"env": "X"}},
        "own_addresses": ["not an address"], "message_id_domain": "a@b",
        "smtp": {"host": "smtp.example", "tls": "none", "password": {"env": "X"}, "from": "nobody", "from_name": "a\nb"},
    }))
    .unwrap();
    let mut pointers: Vec<String> = settings.validate().into_iter().map(|mistake| mistake.pointer).collect();
    pointers.sort();
    let expected = [
        "/folder",
        "/host",
        "/message_id_domain",
        "/move_to",
        "/oauth/client_id",
        "/oauth/token_url",
        "/own_addresses/0",
        "/password",
        "/port",
        "/smtp/from",
        "/smtp/from_name",
        "/smtp/tls",
        "/smtp/user",
        "/tls",
        "/user",
    ];
    assert_eq!(pointers, expected);
    let (_, good) = serve(Vec::new());
    assert_eq!(good.validate(), []);
}
