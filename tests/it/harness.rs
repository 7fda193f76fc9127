//! Starts the real program on a configuration and a database of its own, and asks it over HTTP.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use connectors::{
    clock::{Clock as _, SystemClock},
    entry::ConnectorName,
    fault::Fault,
    http::{Answered, Http, HttpLimits, Unpaced},
    inlet::{self, signature},
};
use jiesu::{
    seal::Keyring,
    store::{
        Dialect, Store, StoreOptions,
        journal::Act,
        read::{Accounting, EntrySummary},
        search::EntryFilter,
    },
};
use jiff::Timestamp;
use reqwest::{Method, Url, header::CONTENT_TYPE};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use crate::services::{Mailbox, port, variable};

/// How long anything may take that must happen in the end; a bound, not a measure.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Bytes of a delivery that the test gateways keep.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// Asks again and again until there is an answer, for so long.
pub(crate) async fn within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", patience.as_secs());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The present moment.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// A connector's name.
pub(crate) fn name(text: &str) -> ConnectorName {
    text.parse().unwrap()
}

/// A secret that partners sign with, made of one byte.
pub(crate) fn secret(byte: u8) -> SecretString {
    SecretString::from(format!("whsec_{}", STANDARD.encode([byte; 32])))
}

/// The byte of the secret that every inlet of [`inlet`] knows.
pub(crate) const PARTNER: u8 = 7;

/// The table of an inlet that takes the call centre's forms.
pub(crate) fn inlet(name: &str) -> String {
    inlet_with(name, "call_center", &[PARTNER], "")
}

/// The table of an inlet; `secrets` are the bytes of [`secret`].
pub(crate) fn inlet_with(name: &str, preset: &str, secrets: &[u8], more: &str) -> String {
    let files: Vec<String> = secrets.iter().map(|byte| format!("{{ file = \"secret-{byte}\" }}")).collect();
    format!(
        "[[connector]]\nname = \"{name}\"\nchannel = \"phone\"\nadapter = \"inlet\"\n{more}\n\
         settings = {{ secrets = [{}], mapping = {{ preset = \"{preset}\" }} }}\n\n",
        files.join(", ")
    )
}

/// The table of a board that is read from `base`, once a second.
pub(crate) fn board(name: &str, base: &str) -> String {
    format!(
        r#"[[connector]]
name = "{name}"
channel = "message_board"
adapter = "board"
every_seconds = 1
timeout_seconds = 60
per_minute = 60000
burst = 1000

[connector.settings]
base = "{base}"
boards = ["1010"]
times = ["epoch_seconds"]
page_size = 10
overlap = 10
paging = {{ last_id = {{ first = "0" }} }}

[connector.settings.list]
request = {{ method = "post", path = "threads/queryThreadsList", form = {{ fid = "{{board}}", lastItem = "{{last}}" }} }}
answer = {{ format = "json", items = "/responseData", success = [{{ at = "/result", any_of = ["success"] }}], message = "/resultDesc" }}
fields = {{ id = "/tid", subject = "/subject", body = "/content", made_at = "/dateline", label = "/typeName", account = "/userId", state = "/stateInfo", reply = "/answerContent" }}

"#
    )
}

/// The table of a mailbox on the test server; `more` goes into its settings.
pub(crate) fn mailbox(name: &str, mailbox: &Mailbox, more: &str) -> String {
    format!(
        r#"[[connector]]
name = "{name}"
channel = "mailbox"
adapter = "mailbox"
every_seconds = 1
per_minute = 60000
burst = 1000

[connector.settings]
host = "127.0.0.1"
port = {}
tls = "none"
user = "{}"
password = {{ env = "JIESU_TEST_IMAP_PASSWORD" }}
{more}
"#,
        port("JIESU_TEST_IMAP"),
        mailbox.user
    )
}

/// A folder with keys, secrets and configurations, and a database.
pub(crate) struct Site {
    folder: TempDir,
    database: String,
    port: u16,
    http: Http,
    starts: AtomicU32,
}

impl Site {
    /// A new folder and a new database of its own.
    pub(crate) async fn new(dialect: Dialect) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Keyring::create_file(&folder.path().join("jiesu.keys"), "test").unwrap();
        for byte in [PARTNER, PARTNER + 1, PARTNER + 2] {
            let text = STANDARD.encode([byte; 32]);
            fs::write(folder.path().join(format!("secret-{byte}")), format!("whsec_{text}")).unwrap();
        }
        let database = match dialect {
            Dialect::Sqlite => format!("sqlite:{}", folder.path().join("jiesu.db").display()),
            Dialect::Postgres => new_database().await,
        };
        Self { port: free_port(), http: http(), folder, database, starts: AtomicU32::new(0) }
    }

    /// The same database, as another gateway sees it: with an address of its own.
    pub(crate) fn neighbour(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap) {
            let file = entry.file_name();
            if file == "jiesu.keys" || file.to_string_lossy().starts_with("secret-") {
                fs::copy(entry.path(), folder.path().join(file)).unwrap();
            }
        }
        let database = self.database.clone();
        Self { port: free_port(), http: http(), folder, database, starts: AtomicU32::new(0) }
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("jiesu.toml")
    }

    /// Writes the configuration: what every test needs, then `more`.
    pub(crate) fn configure(&self, more: &str) {
        let Self { database, port, .. } = self;
        let text = format!(
            "[store]\nurl = \"{database}\"\npatience_seconds = 30\n[seal]\nkeys = {{ file = \"jiesu.keys\" }}\n\
             [http]\nlisten = \"127.0.0.1:{port}\"\nbody_limit_bytes = {BODY_LIMIT}\ndrain_limit_bytes = 1048576\n\
             [log]\nformat = \"json\"\nlevel = \"info\"\n[issue]\nlease_seconds = 5\n{more}"
        );
        // Whole or not at all: a running gateway watches the file.
        let draft = self.folder.path().join("jiesu.toml.new");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.file()).unwrap();
    }

    /// Starts the program and does not wait for it.
    pub(crate) fn spawn(&self) -> Gateway {
        let log = self.folder.path().join(format!("log.{}", self.starts.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
        command.arg("--config").arg(self.file()).arg("serve").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Gateway { child: command.spawn().unwrap(), log }
    }

    /// Starts the program and returns when it listens.
    pub(crate) async fn start(&self) -> Gateway {
        let mut gateway = self.spawn();
        gateway.listens().await;
        gateway
    }

    /// Where a gateway of this site answers.
    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    /// Where a gateway of this site listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The database, opened beside whatever gateway runs.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&StoreOptions::new(self.database.clone())).await.unwrap()
    }

    /// The address of the database.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Every row of one column, as numbers.
    pub(crate) async fn numbers(&self, sql: &'static str) -> Vec<i64> {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&self.database).await.unwrap();
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows.iter().map(|row| row.get::<i64, _>(0)).collect()
    }

    /// Runs statements behind the gateway's back.
    pub(crate) async fn run(&self, statements: &[&'static str]) {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&self.database).await.unwrap();
        for statement in statements {
            sqlx::raw_sql(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// A client, for requests of other kinds.
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Sends a delivery, signed by the partner, and says what was answered.
    pub(crate) async fn push(&self, connector: &str, id: &str, body: impl Into<Bytes>) -> Result<Answered, Fault> {
        self.push_as(&Signed::new(connector, id, body)).await
    }

    /// Sends a request with a JSON body and these headers.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answered, Fault> {
        let mut request = self.http.request(method, self.url(path)).header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.http.send(request.body(body)).await
    }

    /// Sends a delivery as it says.
    pub(crate) async fn push_as(&self, signed: &Signed) -> Result<Answered, Fault> {
        let at = signed.at.unwrap_or_else(now);
        let signed_by = inlet::sign(&secret(signed.key), &signed.id, at, &signed.body).unwrap();
        let request = self
            .http
            .request(signed.method.clone(), self.url(&format!("/v1/inlets/{}", signed.connector)))
            .header(CONTENT_TYPE, "application/json")
            .header(signature::ID, &signed.id)
            .header(signature::TIMESTAMP, at.as_second().to_string())
            .header(signature::SIGNATURE, signed_by)
            .body(signed.sent.clone().unwrap_or_else(|| signed.body.clone()));
        self.http.send(request).await
    }
}

/// A delivery.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) connector: String,
    pub(crate) id: String,
    pub(crate) body: Bytes,
    /// What is sent where it is not what was signed.
    pub(crate) sent: Option<Bytes>,
    /// The byte of the secret.
    pub(crate) key: u8,
    /// When it says that it was sent; now, unless said.
    pub(crate) at: Option<Timestamp>,
    pub(crate) method: Method,
}

impl Signed {
    /// A delivery as it should be.
    pub(crate) fn new(connector: &str, id: &str, body: impl Into<Bytes>) -> Self {
        Self {
            connector: connector.to_owned(),
            id: id.to_owned(),
            body: body.into(),
            sent: None,
            key: PARTNER,
            at: None,
            method: Method::POST,
        }
    }
}

/// The body of an answer as JSON.
pub(crate) fn json(answered: &Answered) -> Value {
    serde_json::from_slice(&answered.body).unwrap_or(Value::Null)
}

/// A gateway that runs; it is killed with its test.
pub(crate) struct Gateway {
    child: Child,
    log: PathBuf,
}

impl Gateway {
    /// Returns when it listens.
    pub(crate) async fn listens(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains("the gateway runs") {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "it did not start ({ended:?}):\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}:\n{}", self.log());
    }
}

/// Reads everything that a store holds.
pub(crate) trait Holdings {
    /// Every entry, newest first.
    async fn all_entries(&self) -> Vec<EntrySummary>;
    /// The sums, once nothing is pending and there are so many entries at least.
    async fn settled(&self, entries: usize) -> Accounting;
    /// Asks for a run of a connector.
    async fn run_now(&self, connector: &str);
}

const ADMIN: Act<'static> = Act { actor: "admin", action: "test", subject: "connector", reason: None };

impl Holdings for Store {
    async fn all_entries(&self) -> Vec<EntrySummary> {
        let mut entries: Vec<EntrySummary> = Vec::new();
        loop {
            let filter = EntryFilter { before: entries.last().map(|entry| entry.id), ..EntryFilter::default() };
            let page = self.entries(&filter, 500).await.unwrap();
            if page.is_empty() {
                return entries;
            }
            entries.extend(page);
        }
    }

    async fn settled(&self, entries: usize) -> Accounting {
        let expected = i64::try_from(entries).unwrap();
        let settled = within(PATIENCE, "everything is settled", async || {
            let pending = self.pending_count().await.unwrap();
            let sums = self.accounting().await.unwrap();
            (pending == 0 && sums.pending == 0 && sums.entries >= expected).then_some(sums)
        });
        settled.await
    }

    async fn run_now(&self, connector: &str) {
        self.request_run(&name(connector), ADMIN, now()).await.unwrap();
    }
}

fn http() -> Http {
    let limits = HttpLimits { exchange: Duration::from_secs(20), ..HttpLimits::default() };
    Http::new(limits, Arc::new(Unpaced)).unwrap()
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A database of its own on the test server.
async fn new_database() -> String {
    sqlx::any::install_default_drivers();
    let server = variable("JIESU_TEST_POSTGRES_URL");
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let mut connection = AnyConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}
