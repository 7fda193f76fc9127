//! Sets the demonstration up, plays it, and watches where everything lands. One task does all of it: the sources are
//! futures of one loop, so that nothing outlives the demonstration.

use std::{
    collections::BTreeSet,
    future::IntoFuture as _,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connectors::{
    fault::Fault,
    http::{Http, HttpLimits, Unpaced},
};
use futures::future::join_all;
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{net::TcpListener, sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    DemoError, Options, Outcome, Outside, Stay, USUAL_PORT, account,
    board::{self, BoardState, Message, Misbehaviour},
    call_center::{Answer, Delivery, Partner, Twist, with_mishaps},
    configuration::{self, BODY_LIMIT, Places},
    corpus::{ARCHIVE, Corpus, LETTERS, MAILS, TICKET_MARK},
    mail_drop::{self, Drop},
    pause,
    verify::{self, Seen},
};
use crate::{
    config,
    gateway::Gateway,
    seal::Keyring,
    store::{
        Store,
        read::{Accounting, EntryStory, Place},
        search::EntryFilter,
    },
};

/// How often the database is asked what has landed.
const LOOK: Duration = Duration::from_millis(200);

/// Entries that are looked at; the demonstration has far fewer.
const MOST_ENTRIES: i64 = 1000;

/// Answers of the gateway that wait to be shown.
const LINES: usize = 256;

/// The demonstration's folder and secrets.
#[derive(Debug)]
pub(super) struct Stage {
    folder: PathBuf,
    keep: bool,
    mails: PathBuf,
    letters: PathBuf,
    token: SecretString,
    secret: SecretString,
    other_secret: SecretString,
}

impl Stage {
    /// Makes the folder, the keys and the secrets.
    pub(super) fn set(options: &Options, outside: &Outside) -> Result<Self, DemoError> {
        let temporary = || std::env::temp_dir().join(format!("jiesu-demo-{}", (outside.unique)().simple()));
        let folder = options.folder.clone().unwrap_or_else(temporary);
        let stage = Self {
            keep: options.folder.is_some(),
            mails: folder.join("mails"),
            letters: folder.join("letters"),
            token: SecretString::from((outside.unique)().simple().to_string()),
            secret: secret(outside.unique),
            other_secret: secret(outside.unique),
            folder,
        };
        for folder in [&stage.folder, &stage.mails, &stage.letters] {
            private_folder(folder).map_err(|source| DemoError::Folder { path: folder.clone(), source })?;
        }
        for (name, secret) in [(configuration::TOKEN, &stage.token), (configuration::SECRET, &stage.secret)] {
            let path = stage.folder.join(name);
            private_file(&path, secret.expose_secret()).map_err(|source| DemoError::Folder { path, source })?;
        }
        let keys = stage.folder.join(configuration::KEYS);
        if !keys.exists() {
            Keyring::create_file(&keys, "demo")?;
        }
        Ok(stage)
    }

    /// Removes the folder, where it was made for this once.
    pub(super) fn clear(&self) {
        if !self.keep
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(%error, "the demonstration's folder was not removed");
        }
    }

    /// Plays.
    pub(super) async fn play(
        &self,
        options: &Options,
        outside: &Outside,
        out: &mut (dyn Write + Send),
        cancel: &CancellationToken,
    ) -> Result<Outcome, DemoError> {
        let corpus = Corpus::read(outside.clock.now())?;
        let (listener, board_url) = board_listener().await?;
        let messages = BoardState::default();
        let stop_board = CancellationToken::new();
        let router = board::router(messages.clone());
        let board = axum::serve(listener, router).with_graceful_shutdown(stop_board.clone().cancelled_owned());
        let mut board = pin!(board.into_future());

        let gateway = self.gateway(options, outside, &board_url).await?;
        let sources = Sources {
            http: Http::new(HttpLimits::default(), Arc::new(Unpaced))?,
            gateway: gateway_url(gateway.address)?,
            interval: options.interval,
        };
        let (lines, mut told) = mpsc::channel(LINES);
        let mut script = pin!(self.script(&corpus, &sources, outside, &messages, lines, cancel));
        let mut watcher = Watcher::new(&gateway.parts.store, Corpus::read(outside.clock.now())?, &self.mails);
        self.greet(out, &gateway, &board_url).map_err(DemoError::Terminal)?;

        // Whatever happens meanwhile, the gateway is stopped in order.
        let outcome = async {
            let started = Instant::now();
            let mut played: Option<Instant> = None;
            let mut summed: Option<Outcome> = None;
            loop {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => break,
                    _ = &mut board => break,
                    Some(line) = told.recv() => say(out, &line)?,
                    result = &mut script, if played.is_none() => {
                        played = Some(Instant::now());
                        result?;
                    }
                    () = tokio::time::sleep(LOOK) => {}
                }
                watcher.look(out).await?;
                let late = played.is_some_and(|played| played.elapsed() > options.patience);
                if summed.is_none() && played.is_some() && (watcher.complete() || late) {
                    let outcome = watcher.outcome(true).await?;
                    self.sum_up(out, &gateway, &watcher, &outcome, options.stay).map_err(DemoError::Terminal)?;
                    summed = Some(outcome);
                }
                let over = match options.stay {
                    Stay::Once => summed.is_some(),
                    Stay::For(time) => started.elapsed() >= time,
                    Stay::UntilStopped => false,
                };
                if over {
                    break;
                }
            }
            match summed {
                Some(outcome) => Ok(outcome),
                None => watcher.outcome(false).await,
            }
        }
        .await;
        stop_board.cancel();
        if !gateway.stop().await {
            tracing::warn!("the demonstration's gateway did not end in time");
        }
        outcome
    }

    async fn gateway(&self, options: &Options, outside: &Outside, board: &Url) -> Result<Gateway, DemoError> {
        let port = if options.usual_port && is_free(USUAL_PORT).await { USUAL_PORT } else { 0 };
        let places = Places { mails: &self.mails, letters: &self.letters, board, port };
        let path = self.folder.join(configuration::FILE);
        private_file(&path, &configuration::text(&places))
            .map_err(|source| DemoError::Folder { path: path.clone(), source })?;
        let config = config::load(&path)?;
        Ok(Gateway::start(config, Some(path), outside.clock.clone(), outside.random.clone()).await?)
    }

    /// All sources, side by side, until each has played what it has.
    async fn script(
        &self,
        corpus: &Corpus,
        sources: &Sources,
        outside: &Outside,
        messages: &BoardState,
        lines: mpsc::Sender<String>,
        cancel: &CancellationToken,
    ) -> Result<(), DemoError> {
        let forms = |name: &str, forms: &[serde_json::Value]| -> Vec<Delivery> {
            forms.iter().map(|form| Delivery::form(name, form)).collect()
        };
        let partners = [
            ("calls", with_mishaps("calls", &corpus.calls, BODY_LIMIT)),
            ("business", forms("business", &corpus.business)),
            ("portal", forms("portal", &corpus.portal)),
        ];
        let pushing = partners.into_iter().map(|(name, deliveries)| {
            let lines = lines.clone();
            async move {
                let partner = Partner {
                    http: &sources.http,
                    inlet: sources.inlet(name)?,
                    secret: &self.secret,
                    other_secret: &self.other_secret,
                    clock: &*outside.clock,
                    interval: sources.interval,
                };
                let tell = |delivery: &Delivery, answer: Answer| {
                    if let Some(line) = mishap(name, delivery, &answer) {
                        // A line that finds no room is not worth waiting for.
                        let _ = lines.try_send(line);
                    }
                };
                partner.play(&deliveries, cancel, tell).await;
                Ok::<(), DemoError>(())
            }
        });
        let (pushed, (), dropped) = tokio::join!(
            join_all(pushing),
            publish(messages, &corpus.board, sources.interval, cancel),
            self.drop_files(corpus, sources.interval, cancel),
        );
        pushed.into_iter().collect::<Result<Vec<()>, _>>()?;
        dropped
    }

    async fn drop_files(
        &self,
        corpus: &Corpus,
        interval: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), DemoError> {
        let follows = |name: &str| corpus.expected.iter().any(|item| item.id == name && item.follows.is_some());
        let mut files: Vec<Drop<'_>> = MAILS
            .iter()
            .filter(|(name, _)| !follows(name))
            .map(|(name, bytes)| Drop { folder: &self.mails, name, bytes })
            .collect();
        files.insert(files.len() / 3, Drop { folder: &self.letters, name: "letters.csv", bytes: LETTERS });
        files.insert(files.len() / 2, Drop { folder: &self.mails, name: "archive.mbox", bytes: ARCHIVE });
        let failed = |source| DemoError::Folder { path: self.folder.clone(), source };
        mail_drop::play(&files, interval, cancel).await.map_err(failed)
    }

    fn greet(&self, out: &mut (dyn Write + Send), gateway: &Gateway, board: &Url) -> std::io::Result<()> {
        writeln!(out, "接诉演示 / Jiesu demonstration")?;
        writeln!(out, "  网关 gateway  http://{}", gateway.address)?;
        writeln!(out, "  留言板 board  {board}")?;
        writeln!(out, "  文件夹 folder {}\n", self.folder.display())
    }

    fn sum_up(
        &self,
        out: &mut (dyn Write + Send),
        gateway: &Gateway,
        watcher: &Watcher<'_>,
        outcome: &Outcome,
        stay: Stay,
    ) -> std::io::Result<()> {
        writeln!(out, "\n{}", account::table(&watcher.landed, outcome.sums))?;
        if outcome.wrong.is_empty() {
            writeln!(out, "  全部符合预期 / all as expected")?;
        }
        for wrong in &outcome.wrong {
            writeln!(out, "  ✗ {wrong}")?;
        }
        if stay == Stay::Once {
            return out.flush();
        }
        let (base, token) = (format!("http://{}", gateway.address), self.token.expose_secret());
        writeln!(out, "\n可以看看 / Addresses to look at:")?;
        writeln!(out, "  接口文档 OpenAPI  {base}/openapi.json")?;
        writeln!(out, "  健康 health       {base}/healthz   {base}/readyz")?;
        writeln!(out, "  指标 metrics      {base}/metrics")?;
        writeln!(out, "  令牌 token        {token}")?;
        writeln!(out, "  工单 tickets      curl -H 'Authorization: Bearer {token}' {base}/v1/tickets")?;
        writeln!(
            out,
            "  领取 lease        curl -X POST -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
             -d '{{\"consumer\":\"demo\",\"max\":1}}' {base}/v1/queue/lease"
        )?;
        writeln!(out, "\n按 Ctrl-C 结束 / Ctrl-C ends it")?;
        out.flush()
    }
}

/// What the sources share.
#[derive(Debug)]
struct Sources {
    http: Http,
    gateway: Url,
    interval: Duration,
}

impl Sources {
    fn inlet(&self, connector: &str) -> Result<Url, DemoError> {
        let join = self.gateway.join(&format!("v1/inlets/{connector}"));
        join.map_err(|error| DemoError::Outside(Fault::configuration(format!("the inlet's address: {error}"))))
    }
}

async fn publish(messages: &BoardState, planned: &[Message], interval: Duration, cancel: &CancellationToken) {
    for (index, message) in planned.iter().enumerate() {
        if index == planned.len() / 2 {
            // As the firewall of a real board does, in the middle of it.
            messages.misbehave(Misbehaviour::TooManyRequests { retry_after: 1 }, 1);
        }
        messages.publish(message.clone());
        if !pause(interval, cancel).await {
            return;
        }
    }
}

/// The line for an answer that is worth one: a mishap of the partner, or an answer that is not as it should be.
fn mishap(connector: &str, delivery: &Delivery, answer: &Answer) -> Option<String> {
    let status = answer.status.map_or_else(|| "无应答".to_owned(), |status| status.as_u16().to_string());
    let due = if answer.time > 1 { StatusCode::OK } else { delivery.due() };
    let right = answer.right(due);
    let what = match delivery.twist {
        Twist::Twice if answer.time > 1 => "同一推送再次送达，不重复收件",
        Twist::BadSignature => "签名不符，拒收",
        Twist::Oversize => "超过大小上限，只留存开头备查",
        Twist::Malformed => "内容残缺，退回并指出位置",
        Twist::None | Twist::Twice if right => return None,
        Twist::None | Twist::Twice => "推送未被收下",
    };
    let mark = if right { String::new() } else { format!("  ✗ 应为 {}", due.as_u16()) };
    Some(account::aside(connector, &format!("HTTP {status} {what}{mark}")))
}

/// Watches where entries land.
struct Watcher<'a> {
    store: &'a Store,
    corpus: Corpus,
    mails: &'a Path,
    shown: BTreeSet<i64>,
    followed: BTreeSet<usize>,
    landed: Vec<(String, Seen)>,
    pending: usize,
}

impl<'a> Watcher<'a> {
    fn new(store: &'a Store, corpus: Corpus, mails: &'a Path) -> Self {
        let (shown, followed) = (BTreeSet::new(), BTreeSet::new());
        Self { store, corpus, mails, shown, followed, landed: Vec::new(), pending: 0 }
    }

    /// Shows what has landed since it last looked.
    async fn look(&mut self, out: &mut (dyn Write + Send)) -> Result<(), DemoError> {
        let mut entries = self.store.entries(&EntryFilter::default(), MOST_ENTRIES).await?;
        entries.reverse();
        self.pending = entries.iter().filter(|entry| entry.place == Place::Pending).count();
        for entry in entries {
            if entry.place == Place::Pending || self.shown.contains(&entry.id.0) {
                continue;
            }
            let story = self.store.entry(entry.id).await?;
            let seen = self.seen(&story);
            let expected = seen.item.and_then(|item| self.corpus.expected.get(item));
            let wrong = expected.map(|expected| verify::alone(expected, &seen)).unwrap_or_default();
            say(out, &account::line(&story, &seen, &wrong))?;
            self.shown.insert(entry.id.0);
            self.follow(&seen).await?;
            self.landed.push((story.summary.connector.as_str().to_owned(), seen));
        }
        Ok(())
    }

    fn seen(&self, story: &EntryStory) -> Seen {
        let (summary, complaint) = (&story.summary, story.complaint.as_ref());
        Seen {
            item: self.corpus.identify(summary.connector.as_str(), &summary.external_id),
            place: summary.place,
            ticket: summary.ticket,
            relation: complaint.and_then(|complaint| complaint.relation),
            kind: complaint.map(|complaint| complaint.kind),
            urgency: complaint.map(|complaint| complaint.urgency),
            article: complaint.map(|complaint| complaint.grounds.article),
        }
    }

    /// Sends the mails that quote the number of this entry's ticket.
    async fn follow(&mut self, seen: &Seen) -> Result<(), DemoError> {
        let (Some(item), Some(number)) = (seen.item, seen.ticket) else { return Ok(()) };
        let Some(id) = self.corpus.expected.get(item).map(|expected| expected.id.clone()) else { return Ok(()) };
        let follows = |index: &usize| self.corpus.expected[*index].follows.as_ref() == Some(&id);
        let followers: Vec<usize> = (0..self.corpus.expected.len()).filter(follows).collect();
        for index in followers {
            let name = self.corpus.expected[index].id.clone();
            let Some((_, raw)) = MAILS.iter().find(|(known, _)| *known == name) else { continue };
            if !self.followed.insert(index) {
                continue;
            }
            let raw = replaced(raw, TICKET_MARK.as_bytes(), number.to_string().as_bytes());
            self.corpus.know_mail(&name, &raw);
            let file = Drop { folder: self.mails, name: &name, bytes: &raw };
            mail_drop::put(&file).await.map_err(|source| DemoError::Folder { path: self.mails.to_owned(), source })?;
        }
        Ok(())
    }

    /// Whether everything that is expected has landed, and nothing waits.
    fn complete(&self) -> bool {
        self.pending == 0 && self.landed.len() >= self.corpus.expected.len()
    }

    async fn outcome(&self, whole: bool) -> Result<Outcome, DemoError> {
        let sums: Accounting = self.store.accounting().await?;
        let seen: Vec<Seen> = self.landed.iter().map(|(_, seen)| seen.clone()).collect();
        let wrong = if whole { verify::all(&self.corpus.expected, &seen) } else { Vec::new() };
        Ok(Outcome { sums, wrong, whole })
    }
}

fn say(out: &mut (dyn Write + Send), line: &str) -> Result<(), DemoError> {
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(DemoError::Terminal)
}

/// Bytes with every occurrence of a mark replaced.
pub(super) fn replaced(raw: &[u8], mark: &[u8], by: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(by);
        rest = &rest[at + mark.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// A secret of Standard Webhooks: 32 bytes that nobody can guess.
fn secret(unique: fn() -> uuid::Uuid) -> SecretString {
    let bytes = [unique().into_bytes(), unique().into_bytes()].concat();
    SecretString::from(format!("whsec_{}", STANDARD.encode(bytes)))
}

async fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok()
}

async fn board_listener() -> Result<(TcpListener, Url), DemoError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let failed = |source| DemoError::Board { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let url = gateway_url(listener.local_addr().map_err(failed)?)?;
    Ok((listener, url))
}

fn gateway_url(address: SocketAddr) -> Result<Url, DemoError> {
    Url::parse(&format!("http://{address}/"))
        .map_err(|error| DemoError::Outside(Fault::configuration(format!("the address {address}: {error}"))))
}

fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private_file(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
