//! Throughput of the whole path: a signed push, or a mail in a mailbox, becomes a ticket in the queue. Beside it, in the
//! same run, a bare insert of the same bytes into the same kind of database, because only the ratio of the two holds on
//! another machine.
//!
//! ```text
//! scripts/services cargo bench --bench throughput -- [--items N] [--mails N] [--connections N] [--batch N] [--database sqlite|postgres://…] [--without-matching]
//! ```
//!
//! With `--without-matching` the same load goes through once more with `[issue] matching = false`, on SQLite, so that the price
//! of matching is a ratio within one run.
//!
//! Without `scripts/services` there is no mailbox to read, and that part says that it was not measured.
//!
//! The gateway runs as a process of its own, so that its processor time and memory can be told apart from the load's.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark prints, counts in floating point, and ends at the first thing that is not as expected"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use connectors::inlet::Key;
use secrecy::SecretString;
use sqlx::{AnyPool, AssertSqlSafe, Row as _, any::AnyPoolOptions};

#[path = "../tests/it/mails.rs"]
#[expect(dead_code, reason = "the tests use what the benchmark does not")]
mod mails;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Options {
    items: usize,
    mails: usize,
    connections: usize,
    batch: usize,
    light: usize,
    database: String,
    /// Whether the same load is run again without matching, for the ratio.
    without_matching: bool,
}

fn options() -> Options {
    let mut options = Options {
        items: 30_000,
        mails: 10_000,
        connections: 256,
        batch: 256,
        light: 500,
        database: "sqlite".to_owned(),
        without_matching: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match argument.as_str() {
            "--items" => options.items = value().parse().expect("a number"),
            "--mails" => options.mails = value().parse().expect("a number"),
            "--batch" => options.batch = value().parse().expect("a number"),
            "--connections" => options.connections = value().parse().expect("a number"),
            "--light" => options.light = value().parse().expect("a number"),
            "--database" => options.database = value(),
            "--without-matching" => options.without_matching = true,
            _ => {}
        }
    }
    options
}

fn main() {
    let options = options();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bodies: Vec<String> = (0..options.items).map(body).collect();
    let bytes: usize = bodies.iter().map(String::len).sum();
    println!(
        "items {}  bytes each {}  database {}  connections {}  entries in a batch {}",
        options.items,
        bytes / options.items.max(1),
        options.database,
        options.connections,
        options.batch
    );

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bare = runtime.block_on(bare_insert(folder.path(), &options, &bodies));
    println!("bare insert          {:>9.0} rows/s", options.items as f64 / bare.as_secs_f64());

    let mailbox = Mailbox::fill(options.mails);
    if options.without_matching && options.database == "sqlite" {
        without_matching(&runtime, &options, &bodies);
    }
    let mut gateway = Gateway::start(folder.path(), &options, mailbox.as_ref(), true);
    thread::sleep(Duration::from_secs(2));
    println!("idle                 {:>9.1} MiB resident", gateway.memory("VmRSS"));

    let mut light = light_load(gateway.address, options.light);
    println!(
        "light load, 50/s     acknowledged p50 {:.2} ms  p99 {:.2} ms  ({} pushes)",
        percentile(&mut light, 0.50),
        percentile(&mut light, 0.99),
        light.len()
    );

    let pool = runtime.block_on(connect(&gateway.url, 1));
    let queued_before = runtime.block_on(queued(&pool));
    let cpu_before = gateway.cpu();
    let start = Instant::now();
    let mut latencies = full_load(gateway.address, &bodies, options.connections);
    let acknowledged = start.elapsed();
    let all = queued_before + i64::try_from(options.items).expect("few enough");
    while runtime.block_on(queued(&pool)) < all {
        assert!(start.elapsed() < Duration::from_mins(10), "the queue did not fill within ten minutes");
        thread::sleep(Duration::from_millis(20));
    }
    let whole = start.elapsed();
    let cpu = gateway.cpu() - cpu_before;
    println!(
        "acknowledged         {:>9.0} items/s  p50 {:.2} ms  p99 {:.2} ms",
        options.items as f64 / acknowledged.as_secs_f64(),
        percentile(&mut latencies, 0.50),
        percentile(&mut latencies, 0.99)
    );
    println!(
        "whole path           {:>9.0} items/s to tickets in the queue; {:.2} of the bare insert",
        options.items as f64 / whole.as_secs_f64(),
        bare.as_secs_f64() / whole.as_secs_f64()
    );
    println!(
        "gateway              {:>9.1} s of processor time, {:.0} µs an item; peak {:.1} MiB",
        cpu,
        cpu * 1e6 / options.items as f64,
        gateway.memory("VmHWM")
    );
    match mailbox {
        None => println!("mailbox              not measured: run under scripts/services"),
        Some(mailbox) => {
            let cpu_before = gateway.cpu();
            let start = Instant::now();
            gateway.enable("mailbox");
            while runtime.block_on(unsettled(&pool, mailbox.mails)) {
                assert!(start.elapsed() < Duration::from_mins(10), "the mails did not settle within ten minutes");
                thread::sleep(Duration::from_millis(20));
            }
            let elapsed = start.elapsed().as_secs_f64();
            let cpu = gateway.cpu() - cpu_before;
            println!(
                "mailbox              {:>9.0} mails/s from the server to their places; {:.0} µs of the gateway a mail, \
                 {:.0} bytes each",
                mailbox.mails as f64 / elapsed,
                cpu * 1e6 / mailbox.mails as f64,
                mailbox.bytes as f64 / mailbox.mails as f64
            );
        }
    }
    runtime.block_on(pool.close());
    gateway.stop();
}

/// The whole path with matching off, in a folder of its own.
fn without_matching(runtime: &tokio::runtime::Runtime, options: &Options, bodies: &[String]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut gateway = Gateway::start(folder.path(), options, None, false);
    thread::sleep(Duration::from_secs(2));
    let pool = runtime.block_on(connect(&gateway.url, 1));
    let cpu_before = gateway.cpu();
    let start = Instant::now();
    full_load(gateway.address, bodies, options.connections);
    let all = i64::try_from(options.items).expect("few enough");
    while runtime.block_on(queued(&pool)) < all {
        assert!(start.elapsed() < Duration::from_mins(10), "the queue did not fill within ten minutes");
        thread::sleep(Duration::from_millis(20));
    }
    println!(
        "without matching     {:>9.0} items/s to tickets in the queue; {:.0} µs of processor time an item; peak {:.1} MiB",
        options.items as f64 / start.elapsed().as_secs_f64(),
        (gateway.cpu() - cpu_before) * 1e6 / options.items as f64,
        gateway.memory("VmHWM")
    );
    runtime.block_on(pool.close());
    gateway.stop();
}

/// A telephone form, no two alike.
fn body(number: usize) -> String {
    let places = [
        "白塔区民主路",
        "文圣区中华大街",
        "宏伟区新村街",
        "弓长岭区团山街",
        "太子河区铁西路",
        "辽阳县首山镇",
        "灯塔市烟台街",
    ];
    let matters = [
        "小区门前路灯连续多日不亮，老人夜间出行困难，希望尽快维修",
        "物业公司长期不清运垃圾，楼道里堆满杂物，要求督促物业整改",
        "想咨询城乡居民医疗保险异地就医备案需要带哪些材料，到哪里办理",
        "建议在学校门口增设减速带和人行横道，保障学生上下学安全",
        "工地夜间施工噪声扰民，多次向社区反映没有结果，请查处",
    ];
    let place = places[number % places.len()];
    let matter = matters[number / places.len() % matters.len()];
    format!(
        r#"{{"call_id":"LY20261122-{number:06}","caller":"139{:08}","agent":"0417","start":"2026-11-22 09:14:05","end":"2026-11-22 09:19:48","form":{{"kind":"投诉","title":"{place}{number}号","place":"{place}{number}号","time":"11月20日晚","course":"{place}{number}号附近，{matter}。该情况已经持续{}天，周边居民都有意见。","contact":{{"name":"张某某","phone":"139{:08}","wants_answer":true}}}}}}"#,
        number % 100_000_000,
        number % 29 + 1,
        number % 100_000_000,
    )
}

async fn connect(url: &str, connections: u32) -> AnyPool {
    sqlx::any::install_default_drivers();
    AnyPoolOptions::new().max_connections(connections).connect(url).await.expect("the database opens")
}

async fn queued(pool: &AnyPool) -> i64 {
    sqlx::query("SELECT COUNT(*) AS queued FROM queue_item").fetch_one(pool).await.expect("a count").get("queued")
}

/// The same bytes into one table, many rows a statement, a commit for each 256: what the disk and the driver allow.
async fn bare_insert(folder: &Path, options: &Options, bodies: &[String]) -> Duration {
    let sqlite = options.database == "sqlite";
    let url = if sqlite {
        format!("sqlite://{}?mode=rwc", folder.join("bare.db").display())
    } else {
        options.database.clone()
    };
    let pool = connect(&url, 1).await;
    if sqlite {
        for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"] {
            sqlx::query(pragma).execute(&pool).await.expect("a pragma");
        }
    }
    let blob = if sqlite { "BLOB" } else { "BYTEA" };
    sqlx::query("DROP TABLE IF EXISTS bare").execute(&pool).await.expect("no table");
    let create = format!("CREATE TABLE bare (id BIGINT PRIMARY KEY, raw {blob} NOT NULL)");
    sqlx::query(AssertSqlSafe(create)).execute(&pool).await.expect("a table");
    let start = Instant::now();
    for (group, chunk) in bodies.chunks(256).enumerate() {
        let values: Vec<String> = (0..chunk.len())
            .map(|row| if sqlite { "(?,?)".to_owned() } else { format!("(${},${})", row * 2 + 1, row * 2 + 2) })
            .collect();
        let sql = format!("INSERT INTO bare VALUES {}", values.join(","));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (row, body) in chunk.iter().enumerate() {
            query = query.bind(i64::try_from(group * 256 + row).expect("few enough")).bind(body.as_bytes().to_vec());
        }
        query.execute(&pool).await.expect("an insert");
    }
    let elapsed = start.elapsed();
    sqlx::query("DROP TABLE bare").execute(&pool).await.expect("no table");
    pool.close().await;
    elapsed
}

/// Whether mails are missing, or wait for their place.
async fn unsettled(pool: &AnyPool, mails: usize) -> bool {
    let found = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM entry WHERE connector = 'mailbox') AS stored, (SELECT COUNT(*) FROM pending) AS pending",
    )
    .fetch_one(pool)
    .await
    .expect("a count");
    let (stored, pending): (i64, i64) = (found.get("stored"), found.get("pending"));
    stored < i64::try_from(mails).expect("few enough") || pending > 0
}

/// A mailbox of real-looking mails on the test server.
struct Mailbox {
    user: String,
    mails: usize,
    bytes: usize,
}

impl Mailbox {
    /// Fills one, where `scripts/services` has started a server.
    fn fill(count: usize) -> Option<Self> {
        let homes = std::env::var_os("JIESU_TEST_MAILDIR")?;
        let user = format!("throughput-{}", std::process::id());
        let maildir = PathBuf::from(homes).join(&user).join("Maildir");
        for folder in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(maildir.join(folder)).expect("a folder");
        }
        let mut bytes = 0;
        for (number, mail) in mails::mails(7, count).into_iter().enumerate() {
            bytes += mail.raw.len();
            std::fs::write(maildir.join("new").join(format!("{}.{number}.bench", 1_700_000_000 + number)), mail.raw)
                .expect("a mail");
        }
        // The server's user is another one where this runs as root.
        let home = maildir.parent().expect("a home");
        let status = Command::new("chmod").args(["-R", "a+rwX"]).arg(home).status().expect("chmod");
        assert!(status.success());
        Some(Self { user, mails: count, bytes })
    }

    fn connector(&self, folder: &Path) -> String {
        let address = std::env::var("JIESU_TEST_IMAP").expect("the server's address");
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let password = folder.join("password");
        std::fs::write(&password, std::env::var("JIESU_TEST_IMAP_PASSWORD").expect("a password")).expect("a secret");
        format!(
            "[[connector]]\nname = \"mailbox\"\nchannel = \"mailbox\"\nadapter = \"mailbox\"\nenabled = false\n\
             notify = false\nper_minute = 60000\n[connector.settings]\nhost = \"{host}\"\nport = {port}\n\
             tls = \"none\"\nuser = \"{}\"\npassword = {{ file = \"{}\" }}\n",
            self.user,
            password.display()
        )
    }
}

struct Gateway {
    child: Child,
    address: SocketAddr,
    url: String,
    config: PathBuf,
}

impl Gateway {
    fn start(folder: &Path, options: &Options, mailbox: Option<&Mailbox>, matching: bool) -> Self {
        let url = if options.database == "sqlite" {
            format!("sqlite:{}", folder.join("jiesu.db").display())
        } else {
            options.database.clone()
        };
        let keys = folder.join("keys.toml");
        jiesu::seal::Keyring::create_file(&keys, "bench").expect("a key file");
        let secret = folder.join("secret");
        std::fs::write(&secret, SECRET).expect("a secret");
        let config = folder.join("jiesu.toml");
        let text = format!(
            "[store]\nurl = \"{url}\"\n[seal]\nkeys = {{ file = \"{}\" }}\n[http]\nlisten = \"127.0.0.1:0\"\n[issue]\nbatch_items = {}\nmatching = {matching}\n[log]\nlevel = \"warn\"\n\
             [[connector]]\nname = \"calls\"\nchannel = \"phone\"\nadapter = \"inlet\"\n[connector.settings]\n\
             secrets = [{{ file = \"{}\" }}]\nmapping = {{ preset = \"call_center\" }}\n",
            keys.display(),
            options.batch,
            secret.display()
        ) + &mailbox.map(|mailbox| mailbox.connector(folder)).unwrap_or_default();
        std::fs::write(&config, text).expect("a configuration");
        let (child, address) = spawn(&config);
        let url = if options.database == "sqlite" { url.replacen("sqlite:", "sqlite://", 1) } else { url };
        Self { child, address, url, config }
    }

    fn enable(&self, connector: &str) {
        let status = Command::new(env!("CARGO_BIN_EXE_jiesu"))
            .args(["connector", "enable", connector, "--config"])
            .arg(&self.config)
            .stdout(Stdio::null())
            .status()
            .expect("the command runs");
        assert!(status.success(), "{connector} was not switched on");
    }

    /// MiB, from the kernel's account of the process.
    fn memory(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
        let kilobytes: f64 = line.split_whitespace().nth(1).expect("a value").parse().expect("a number");
        kilobytes / 1024.0
    }

    /// Seconds of processor time, user and system.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        let after = stat.rsplit_once(") ").expect("a name").1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().expect("ticks") + fields[12].parse::<f64>().expect("ticks");
        ticks / 100.0
    }

    fn stop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// Starts the gateway and reads from its first line where it listens.
fn spawn(config: &PathBuf) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_jiesu"))
        .args(["serve", "--config"])
        .arg(config)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the gateway starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let address = line.split_whitespace().find_map(|word| word.trim_start_matches("http://").parse().ok());
    (child, address.expect("the address that it listens on"))
}

/// One kept-alive connection that waits for each answer.
struct Connection(TcpStream);

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    fn push(&mut self, key: &Key, id: &str, body: &str) -> Duration {
        let now = jiff::Timestamp::from_second(
            i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs()).expect("a time"),
        )
        .expect("a time");
        let signature = key.sign(id, now, body.as_bytes());
        let request = format!(
            "POST /v1/inlets/calls HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nwebhook-id: {id}\r\n\
             webhook-timestamp: {}\r\nwebhook-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
            now.as_second(),
            body.len()
        );
        let start = Instant::now();
        self.0.write_all(request.as_bytes()).expect("a request");
        let mut answer = Vec::with_capacity(512);
        let mut buffer = [0_u8; 1024];
        loop {
            let read = self.0.read(&mut buffer).expect("an answer");
            assert!(read > 0, "the gateway hung up");
            answer.extend_from_slice(&buffer[..read]);
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
                assert!(head.starts_with("http/1.1 200"), "not acknowledged: {}", String::from_utf8_lossy(&answer));
                let length: usize = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .and_then(|length| length.trim().parse().ok())
                    .expect("a length");
                if answer.len() >= end + 4 + length {
                    return start.elapsed();
                }
            }
        }
    }
}

fn key() -> Key {
    Key::parse(&SecretString::from(SECRET)).expect("a key")
}

/// Fifty pushes a second, one after the other.
fn light_load(address: SocketAddr, count: usize) -> Vec<f64> {
    let key = key();
    let mut connection = Connection::open(address);
    let start = Instant::now();
    (0..count)
        .map(|number| {
            let due = start + Duration::from_millis(20 * number as u64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let body = body(10_000_000 + number);
            connection.push(&key, &format!("light-{number}"), &body).as_secs_f64() * 1e3
        })
        .collect()
}

/// As fast as the gateway answers, over many connections.
fn full_load(address: SocketAddr, bodies: &[String], connections: usize) -> Vec<f64> {
    let next = AtomicUsize::new(0);
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(bodies.len())));
    thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let key = key();
                let mut connection = Connection::open(address);
                let mut own = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(body) = bodies.get(number) else { break };
                    own.push(connection.push(&key, &format!("full-{number}"), body).as_secs_f64() * 1e3);
                }
                latencies.lock().expect("no panic").extend(own);
            });
        }
    });
    Arc::into_inner(latencies).expect("all threads ended").into_inner().expect("no panic")
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 - 1.0) * share).round();
    values[place as usize]
}
