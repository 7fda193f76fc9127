//! How long the console's pages take where much is stored: the real gateway over a database of many tickets, asked for every
//! page over HTTP by somebody who is logged in.
//!
//! ```text
//! cargo bench --bench pages -- [--tickets N] [--asks N] [--database sqlite|postgres://…] [--only PART-OF-A-PATH]
//! ```
//!
//! The rows are made by the database itself and are as many as the gateway would have made; texts and keys are stand-ins.
//! What is needed to match new complaints is left out: pages do not read it.

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
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use connectors::clock::{Clock as _, SystemClock};
use jiesu::{
    console::{hash_password, secret_token},
    number::TicketNumber,
    store::{
        Store, StoreOptions,
        accounts::{Role, digest_of},
        journal::Act,
    },
};
use jiff::{ToSpan as _, civil::Date};
use sqlx::{AnyPool, AssertSqlSafe, any::AnyPoolOptions};

/// How long a page may take, in milliseconds, of a hundred all but one.
const AIM: f64 = 100.0;

/// Every page, with what is asked of it. `{entry}`, `{held}` and `{ticket}` stand for one that is there, `{month}` for a day a
/// month ago, `{version}` for the rules in force. The words are one that every text has, and one that none has.
const PAGES: &[&str] = &[
    "/console",
    "/console/alarms",
    "/console/held",
    "/console/held?before={held}",
    "/console/quarantine",
    "/console/entries",
    "/console/entries?before={entry}",
    "/console/entries?place=ticket",
    "/console/entries?place=held",
    "/console/entries?place=declined",
    "/console/entries?place=quarantine",
    "/console/entries?connector=mayor-mailbox",
    "/console/entries?connector=mayor-mailbox&place=guided",
    "/console/entries?since={month}&until={month}",
    "/console/entries?since={month}&place=held",
    "/console/entries?words=%E8%B7%AF%E7%81%AF",
    "/console/entries?words=%E6%B2%A1%E6%9C%89%E8%BF%99%E4%B8%AA%E8%AF%8D",
    "/console/entries/{entry}",
    "/console/entries/{held}",
    "/console/tickets/{ticket}",
    "/console/connectors",
    "/console/connectors/new",
    "/console/connectors/new/mailbox",
    "/console/connectors/mayor-mailbox",
    "/console/queue",
    "/console/queue?after=100",
    "/console/hotspots",
    "/console/hotspots?days=30&least=5",
    "/console/hotspots?days=90&least=2",
    "/console/notices",
    "/console/notices?state=sent",
    "/console/notices?state=failed",
    "/console/notices?state=unroutable",
    "/console/notices/texts",
    "/console/rules",
    "/console/rules/edit",
    "/console/rules/{version}",
    "/console/audit",
    "/console/accounts",
    "/console/tokens",
    "/console/me",
];

/// The connectors, each with its channel.
const CONNECTORS: [(&str, &str); 7] = [
    ("calls", "phone"),
    ("mayor-mailbox", "mailbox"),
    ("people-board", "message_board"),
    ("minxin-board", "message_board"),
    ("business", "business_environment"),
    ("city-portal", "portal"),
    ("letters", "letter"),
];

struct Options {
    tickets: i64,
    asks: usize,
    database: String,
    only: String,
}

fn options() -> Options {
    let mut options = Options { tickets: 20_000, asks: 200, database: "sqlite".to_owned(), only: String::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match argument.as_str() {
            "--tickets" => options.tickets = value().parse().expect("a number"),
            "--asks" => options.asks = value().parse().expect("a number"),
            "--database" => options.database = value(),
            "--only" => options.only = value(),
            _ => {}
        }
    }
    options
}

fn main() {
    let options = options();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = match options.database.as_str() {
        "sqlite" => format!("sqlite:{}", folder.path().join("jiesu.db").display()),
        other => other.to_owned(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let start = Instant::now();
    let session = runtime.block_on(prepare(&url, options.tickets));
    println!(
        "tickets {}  complaints {}  database {}  filled in {:.0} s",
        options.tickets,
        entries(options.tickets),
        options.database.split(':').next().unwrap_or_default(),
        start.elapsed().as_secs_f64()
    );
    let gateway = Gateway::start(folder.path(), &url);
    let cookie = format!("jiesu_session={session}");
    let version = in_force(gateway.address, &cookie);
    let mut over = Vec::new();
    println!("{:<44} {:>9} {:>9} {:>9}", "page", "p50 ms", "p99 ms", "KiB");
    for page in PAGES.iter().filter(|page| page.contains(&options.only)) {
        let path = filled(page, options.tickets, &version);
        let mut connection = Connection::open(gateway.address);
        let mut size = 0;
        for _ in 0..3 {
            size = connection.get(&path, &cookie).1;
        }
        let mut times: Vec<f64> =
            (0..options.asks).map(|_| connection.get(&path, &cookie).0.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let (half, most) = (percentile(&times, 0.50), percentile(&times, 0.99));
        if most > AIM {
            over.push(*page);
        }
        println!("{page:<44} {half:>9.2} {most:>9.2} {:>9.1}", size as f64 / 1024.0);
    }
    if over.is_empty() {
        println!("every page within {AIM} ms at p99");
    } else {
        println!("over {AIM} ms at p99: {}", over.join("  "));
    }
}

/// The address of a page, with things that are there.
fn filled(page: &str, tickets: i64, version: &str) -> String {
    let middle = tickets / 2;
    page.replace("{entry}", &(middle + middle / 5).to_string())
        .replace("{held}", &entry_of_other(20 * (tickets / 200)).to_string())
        .replace("{ticket}", &number(middle).to_string())
        .replace("{month}", &month_ago().to_string())
        .replace("{version}", &version.replace('+', "%2B"))
}

fn month_ago() -> Date {
    let today = jiff::tz::TimeZone::UTC.to_datetime(SystemClock.now()).date();
    today.checked_sub(30.days()).expect("a day")
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    let index = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len());
    sorted[index - 1]
}

// Every sixth entry opens no ticket; ticket t is that of entry t + (t - 1) / 5.

/// How many entries there are.
fn entries(tickets: i64) -> i64 {
    tickets + tickets / 5
}

/// The entry of the k-th that opens no ticket.
fn entry_of_other(k: i64) -> i64 {
    6 * k
}

/// The number of a ticket: a thousand a day, the last ones today.
fn number(ticket: i64) -> TicketNumber {
    let first: Date = "2024-01-01".parse().expect("a day");
    let day = first.checked_add(i32::try_from(ticket / 1000).expect("few enough").days()).expect("a day");
    TicketNumber::new(day, u32::try_from(ticket % 1000 + 1).expect("a serial")).expect("a number")
}

async fn prepare(url: &str, tickets: i64) -> String {
    let store = Store::open(&StoreOptions::new(url.to_owned())).await.expect("a database");
    let pool = connect(url).await;
    fill(&pool, url, tickets).await;
    pool.close().await;
    let now = SystemClock.now();
    let act = Act { actor: "bench", action: "account.add", subject: "bench", reason: None };
    store.add_account("bench", Role::Admin, act, now).await.expect("an account");
    let hashed = hash_password("a long phrase for benchmarks").expect("a hash");
    store.set_password("bench", &hashed, act, now).await.expect("a password");
    let token = secret_token().expect("random numbers");
    store.begin_session(digest_of(&token), "bench", act, now).await.expect("a session");
    token
}

async fn connect(url: &str) -> AnyPool {
    sqlx::any::install_default_drivers();
    let url = url.replacen("sqlite:", "sqlite://", 1);
    AnyPoolOptions::new().max_connections(1).connect(&url).await.expect("a database")
}

async fn run(pool: &AnyPool, sql: impl Into<String>) {
    let sql = sql.into();
    let shown = sql.chars().take(120).collect::<String>();
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await {
        println!("{shown}: {error}");
        std::process::exit(1);
    }
}

/// Makes the rows. The counts of the overview are made at the end as the migration makes them, not by a trigger for each row.
#[expect(clippy::too_many_lines, reason = "one kind of rows after the other")]
async fn fill(pool: &AnyPool, url: &str, tickets: i64) {
    let sqlite = url.starts_with("sqlite:");
    let bytes = |text: &str| {
        if sqlite { format!("CAST({text} AS BLOB)") } else { format!("convert_to({text}, 'UTF8')") }
    };
    let counted = ["entry", "complaint", "quarantine"];
    let mut triggers = Vec::new();
    if sqlite {
        use sqlx::Row as _;
        let found = sqlx::query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'tally%'")
            .fetch_all(pool)
            .await
            .expect("triggers");
        for trigger in found {
            run(pool, format!("DROP TRIGGER {}", trigger.get::<String, _>("name"))).await;
            triggers.push(trigger.get::<String, _>("sql"));
        }
        run(pool, "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN").await;
    } else {
        for table in counted {
            run(pool, format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await;
        }
    }
    let now = SystemClock.now().as_microsecond();
    let all = entries(tickets);
    // A thousand tickets a day.
    let step = 86_400_000_000_i64 / 1200;
    let at = |i: &str| format!("({now} - ({all} - {i}) * CAST({step} AS BIGINT))");
    for (name, channel) in CONNECTORS {
        run(pool, format!(
            "INSERT INTO connector (name, channel, adapter, definition, origin, enabled, generation, created_at, updated_at)
             VALUES ('{name}', '{channel}', 'files', '{{\"name\":\"{name}\",\"channel\":\"{channel}\",\"adapter\":\"files\",\"settings\":{{\"folder\":\"/nowhere\"}}}}', 'gone', 0, 1, {now}, {now});
             INSERT INTO connector_health (connector, state, since, last_success_at, last_entry_at) VALUES ('{name}', 'disabled', {now}, {now}, {now})"
        )).await;
    }
    let cases = |place: usize| {
        let of = |(index, pair): (usize, &(&str, &str))| {
            let word = if place == 0 { pair.0 } else { pair.1 };
            format!("WHEN {index} THEN '{word}'")
        };
        CONNECTORS.iter().enumerate().map(of).collect::<Vec<_>>().join(" ")
    };
    let (name, channel) = (cases(0), cases(1));
    let series =
        format!("WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {all})");
    run(pool, format!(
        "{series} INSERT INTO entry (connector, external_id, revision, form, received_at, source_time, remarks, size, sealed_raw)
         SELECT CASE i % 7 {name} END, 'item-' || i, '1', 'json', {}, NULL, '[]', 400, {} FROM n ORDER BY i",
        at("i"),
        bytes("'sealed ' || i || ' 0123456789012345678901234567890123456789012345678901234567890123456789'")
    )).await;
    numbers(pool, tickets).await;
    let of = "(t.id + (t.id - 1) / 5)";
    run(pool, format!(
        "INSERT INTO ticket (id, number, entry_id, channel, kind, urgency, opened_at, assign_due, complete_due, version, updated_at)
         SELECT t.id, t.number, {of}, CASE {of} % 7 {channel} END,
             CASE t.id % 4 WHEN 0 THEN 'consult' WHEN 1 THEN 'suggest' WHEN 2 THEN 'help' ELSE 'complain' END,
             CASE WHEN t.id % 50 = 0 THEN 'utility' ELSE 'normal' END, {at}, {at}, {at}, 1, {at} FROM bench_number t ORDER BY t.id",
        at = at(of)
    )).await;
    run(pool, "DROP TABLE bench_number").await;
    // Of those that open no ticket a part is held, guided, declined, quarantined; the others join one that many report.
    let k = "(i / 6)";
    let opens = "(i % 6 <> 0)";
    let hot = format!("CASE WHEN {k} % 2 = 0 THEN ((i - i / 6) / 500) * 500 + 1 ELSE ((i - i / 6) / 25) * 25 + 1 END");
    let clamped = format!("CASE WHEN {hot} > {tickets} THEN {tickets} ELSE {hot} END");
    let text = "'{\"subject\":\"小区路灯不亮 ' || i || '\",\"body\":\"白塔区新运大街第' || i || '号楼前的路灯坏了一周，夜里很黑，老人孩子出行不便，请尽快派人修理。\",\"place\":\"白塔区新运大街\",\"masked\":1}'";
    let grounds = "'{\"rule\":\"accept.default\",\"rules_version\":\"2026.11-2+00000000\",\"article\":\"6(2)\",\"evidence\":[\"请\"],\"against\":[],\"score\":80,\"advice\":null}'";
    run(pool, format!(
        "{series} INSERT INTO complaint (entry_id, ticket_id, relation, disposition, article, rule, grounds, kind, kind_certain,
             urgency, silent, shown, sealed_petitioner, issued_at)
         SELECT i, CASE WHEN {opens} THEN i - i / 6 WHEN {k} % 20 < 7 THEN NULL ELSE {clamped} END,
             CASE WHEN {opens} THEN 'opened' WHEN {k} % 20 < 7 THEN NULL WHEN {k} % 20 < 15 THEN 'co_report' ELSE 'repeat' END,
             CASE WHEN {opens} THEN 'accept' WHEN {k} % 20 = 0 THEN 'hold' WHEN {k} % 20 < 4 THEN 'guide'
                 WHEN {k} % 20 < 7 THEN 'decline' ELSE 'accept' END,
             '6(2)', 'accept.default', {grounds},
             CASE i % 4 WHEN 0 THEN 'consult' WHEN 1 THEN 'suggest' WHEN 2 THEN 'help' ELSE 'complain' END, 1, 'normal', 0,
             {text}, {}, {} + 2000000 FROM n WHERE {opens} OR {k} % 20 <> 6 ORDER BY i",
        bytes("'sealed petitioner ' || i"),
        at("i")
    )).await;
    run(pool, format!(
        "INSERT INTO quarantine (entry_id, at, stage, reason)
         SELECT id, received_at, 'normalise', 'the document has no text' FROM entry WHERE id % 6 = 0 AND (id / 6) % 20 = 6;
         UPDATE ticket SET co_reports = (SELECT COUNT(*) FROM complaint WHERE ticket_id = ticket.id AND relation = 'co_report'),
             repeats = (SELECT COUNT(*) FROM complaint WHERE ticket_id = ticket.id AND relation = 'repeat'),
             updated_at = (SELECT MAX(issued_at) FROM complaint WHERE ticket_id = ticket.id) WHERE id % 25 = 1;
         INSERT INTO petitioner_key (key, entry_id) SELECT {}, entry_id FROM complaint;
         INSERT INTO decision (entry_id, at, actor, disposition, article, rule, ticket_id)
             SELECT entry_id, issued_at, 'gateway', disposition, article, rule, ticket_id FROM complaint ORDER BY entry_id;
         INSERT INTO queue_item (ticket_id, event, urgency_rank, state, attempts, available_at, lease, lease_expires_at, consumer, reason, created_at, finished_at)
             SELECT id, 'opened', CASE urgency WHEN 'utility' THEN 1 ELSE 0 END,
                 CASE WHEN id % 5000 = 7 THEN 'dead' WHEN id > {ready} THEN 'ready' WHEN id > {ready} - 500 THEN 'leased' ELSE 'done' END,
                 1, opened_at, CASE WHEN id > {ready} - 500 AND id <= {ready} THEN 'lease-' || id END, {now} + 3600000000, 'handling',
                 CASE WHEN id % 5000 = 7 THEN 'refused' END, opened_at, opened_at FROM ticket ORDER BY id;
         INSERT INTO notice (entry_id, ticket_id, connector, template, message_id, answers, subject, body, state, attempts, next_attempt_at, created_at, sent_at)
             SELECT entry_id, ticket_id, 'mayor-mailbox', 'receipt', 'm-' || entry_id, '[]', '您的诉求已受理', '您好：您的诉求已受理。',
                 CASE WHEN entry_id % 3000 = 1 THEN 'failed' WHEN entry_id % 3000 = 2 THEN 'unroutable' WHEN entry_id % 7 = 3 THEN 'suppressed' ELSE 'sent' END,
                 1, issued_at, issued_at, issued_at FROM complaint WHERE disposition <> 'hold' ORDER BY entry_id",
        bytes("'petitioner ' || (entry_id % 400000)"),
        ready = tickets - tickets / 20,
    )).await;
    run(pool,
        "INSERT INTO tally (day, connector, outcome, amount)
             SELECT (received_at + 28800000000) / 86400000000, connector, 'received', COUNT(*) FROM entry GROUP BY 1, 2;
         INSERT INTO tally (day, connector, outcome, amount)
             SELECT (entry.received_at + 28800000000) / 86400000000, entry.connector,
                 CASE WHEN complaint.ticket_id IS NOT NULL THEN CASE WHEN complaint.relation = 'opened' THEN 'ticket' ELSE 'merged' END
                     WHEN complaint.disposition = 'guide' THEN 'guided' WHEN complaint.disposition = 'decline' THEN 'declined'
                     ELSE 'held' END, COUNT(*)
             FROM complaint JOIN entry ON entry.id = complaint.entry_id GROUP BY 1, 2, 3;
         INSERT INTO tally (day, connector, outcome, amount)
             SELECT (entry.received_at + 28800000000) / 86400000000, entry.connector, 'quarantined', COUNT(*)
             FROM quarantine JOIN entry ON entry.id = quarantine.entry_id GROUP BY 1, 2;
         INSERT INTO tally (day, connector, outcome, amount)
             SELECT 0, connector, outcome, SUM(amount) FROM tally WHERE day > 0 GROUP BY connector, outcome;
         INSERT INTO counter (name, value) SELECT 'habit', MAX(id) FROM entry WHERE 1 = 1
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    ).await;
    if sqlite {
        run(pool, "COMMIT").await;
        for trigger in triggers {
            run(pool, trigger).await;
        }
        run(pool, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    } else {
        for table in counted {
            run(pool, format!("ALTER TABLE {table} ENABLE TRIGGER USER")).await;
        }
        run(pool, "VACUUM ANALYZE").await;
    }
}

/// The numbers of the tickets: their check digit is no matter for SQL.
async fn numbers(pool: &AnyPool, tickets: i64) {
    run(pool, "CREATE TABLE bench_number (id BIGINT PRIMARY KEY, number TEXT NOT NULL)").await;
    let mut next = 1;
    while next <= tickets {
        let end = (next + 2000).min(tickets + 1);
        let rows: Vec<String> = (next..end).map(|ticket| format!("({ticket},'{}')", number(ticket))).collect();
        run(pool, format!("INSERT INTO bench_number (id, number) VALUES {}", rows.join(","))).await;
        next = end;
    }
}

/// The rules in force, as the page names them.
fn in_force(address: SocketAddr, cookie: &str) -> String {
    let page = Connection::open(address).text("/console/rules", cookie);
    let rest = page.split_once("<code>").expect("a version").1;
    rest.split('<').next().expect("a version").to_owned()
}

struct Gateway {
    child: Child,
    address: SocketAddr,
}

impl Gateway {
    fn start(folder: &Path, url: &str) -> Self {
        let keys = folder.join("keys.toml");
        jiesu::seal::Keyring::create_file(&keys, "bench").expect("a key file");
        let config = folder.join("jiesu.toml");
        let text = format!(
            "[store]\nurl = \"{url}\"\n[seal]\nkeys = {{ file = \"{}\" }}\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n",
            keys.display()
        );
        std::fs::write(&config, text).expect("a configuration");
        let mut child = Command::new(env!("CARGO_BIN_EXE_jiesu"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let address = line.split_whitespace().find_map(|word| word.trim_start_matches("http://").parse().ok());
        let address = address.expect("the address that it listens on");
        // What it does at its start is over when its processor time stands still.
        thread::sleep(Duration::from_secs(3));
        Self { child, address }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// One kept-alive connection that waits for each answer.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self(BufReader::new(stream))
    }

    /// How long a page takes until its last byte is there, and how many bytes it has.
    fn get(&mut self, path: &str, cookie: &str) -> (Duration, usize) {
        let start = Instant::now();
        let body = self.ask(path, cookie);
        (start.elapsed(), body.len())
    }

    fn text(&mut self, path: &str, cookie: &str) -> String {
        String::from_utf8(self.ask(path, cookie)).expect("a page")
    }

    fn ask(&mut self, path: &str, cookie: &str) -> Vec<u8> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).expect("a request");
        let (mut status, mut length) = (String::new(), None);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("an answer");
            if status.is_empty() {
                status.clone_from(&line);
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
            if line == "\r\n" {
                break;
            }
        }
        assert!(status.contains(" 200 "), "{path}: {status}");
        let mut body = vec![0; length.expect("a length")];
        self.0.read_exact(&mut body).expect("a page");
        body
    }
}
