//! The sections of the file, with their defaults and units. What a field means is said here once; `jiesu.example.toml`
//! and `docs/configuration.md` repeat it for the admin, and tests hold them to it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use connectors::{contract::Limits, entry::ConnectorName, fault::Fault, secret::SecretRef};
use jiff::civil::{Time, time};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{anchored, console::TlsFiles};
use crate::issue::SameMessage;

/// Who runs the hotline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Office {
    /// Name, as petitioners read it in notices.
    pub name: String,
    /// Telephone number, as petitioners read it in notices.
    pub phone: String,
}

impl Default for Office {
    fn default() -> Self {
        Self { name: "辽阳市市长热线办公室".to_owned(), phone: "12345".to_owned() }
    }
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `sqlite:PATH` (a relative path starts from the folder of the configuration file) or
    /// `postgres://USER@HOST/DATABASE`; a password never stands in it.
    pub url: String,
    /// Password for PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// Connections held at most, 1 to 256.
    pub connections: u32,
    /// Seconds that one waits for a connection or a lock before giving up, 1 to 600.
    pub patience_seconds: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: "sqlite:jiesu.db".to_owned(), password: None, connections: 4, patience_seconds: 10 }
    }
}

impl Store {
    /// The address with the password in it, ready to connect with.
    ///
    /// # Errors
    /// A configuration fault where the password cannot be fetched or the address takes none.
    pub fn address(&self) -> Result<SecretString, Fault> {
        let Some(reference) = &self.password else { return Ok(SecretString::from(self.url.as_str())) };
        let password = reference.reveal()?;
        let unusable =
            || Fault::configuration("the store's url takes no password").remedy("write postgres://USER@HOST/DATABASE");
        let mut url = reqwest::Url::parse(&self.url).map_err(|_| unusable())?;
        url.set_password(Some(password.expose_secret())).map_err(|()| unusable())?;
        Ok(SecretString::from(String::from(url)))
    }
}

/// `sqlite:PATH` with a relative path that starts from `folder`; any other address as it is.
pub(super) fn anchored_url(url: &str, folder: &Path) -> String {
    let Some(rest) = url.strip_prefix("sqlite:") else { return url.to_owned() };
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    if path.is_empty() || path.starts_with(':') {
        return url.to_owned();
    }
    format!("sqlite:{}{query}", anchored(Path::new(path), folder).display())
}

/// Makes a secret's relative file start from `folder`.
pub(super) fn anchor_secret(secret: &mut SecretRef, folder: &Path) {
    if let SecretRef::File(path) = secret {
        *path = anchored(path, folder);
    }
}

/// How what identifies a petitioner is sealed (Article 24).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seal {
    /// Where the keys are found.
    pub keys: SecretRef,
}

impl Default for Seal {
    fn default() -> Self {
        Self { keys: SecretRef::File(PathBuf::from("jiesu.keys")) }
    }
}

/// The HTTP interface: deliveries, queue, console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// IP address and port that are listened on.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// Bytes kept of one request's body; a delivery that is larger is answered 413 and kept as a stub. 1 KiB to 256 MiB.
    pub body_limit_bytes: u64,
    /// Bytes of a larger body that are still read, so that the signature over all of it can be checked; from
    /// `body_limit_bytes` to 1 GiB.
    pub drain_limit_bytes: u64,
    /// Seconds that one request may take, 1 to 600.
    pub request_timeout_seconds: u64,
    /// Connections at once, 1 to 65536; further ones wait to be accepted.
    pub max_connections: u32,
    /// Whether `GET /metrics` is open to everybody; otherwise it needs a token with the scope `read`.
    pub metrics_open: bool,
    /// IP addresses of the proxies before the gateway: only what they say in `X-Forwarded-For` of who asks is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Certificate and key, where no proxy protects the interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// Who may use the interface.
    #[serde(rename = "token", skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            body_limit_bytes: 1024 * 1024,
            drain_limit_bytes: 64 * 1024 * 1024,
            request_timeout_seconds: 30,
            max_connections: 1024,
            metrics_open: false,
            trusted_proxies: Vec::new(),
            tls: None,
            tokens: Vec::new(),
        }
    }
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom("expected an IP address and a port, as 127.0.0.1:8080 or [::]:8080"))
}

/// One who may use the HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Name under which the bearer's deeds are written down.
    pub name: String,
    /// What the bearer may do.
    pub scopes: Vec<Scope>,
    /// Where the token itself is found; at least 16 characters.
    pub secret: SecretRef,
}

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Lease and settle tickets of the queue.
    Queue,
    /// Read tickets, entries and the state of connectors; nothing sealed.
    Read,
    /// Everything, unsealing included.
    Admin,
}

impl Scope {
    /// The name under which the scope is configured and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// Taking entries in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Intake {
    /// Deliveries committed in one transaction at most, 1 to 10000.
    pub group_items: usize,
    /// Deliveries that may wait for their commit, 1 to 65536; further ones are answered 503.
    pub waiting_deliveries: usize,
    /// Bounds of a page that a connector pulls.
    pub limits: Limits,
}

impl Default for Intake {
    fn default() -> Self {
        Self { group_items: 256, waiting_deliveries: 1024, limits: Limits::default() }
    }
}

/// Turning entries into tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Issue {
    /// Entries issued in one transaction at most, 1 to 10000.
    pub batch_items: usize,
    /// Bytes of raw entries held by one batch at most (one entry is always taken), 64 KiB to 1 GiB.
    pub batch_bytes: u64,
    /// Threads that assess, up to 256; 0 stands for one a core.
    pub assess_threads: usize,
    /// Seconds for which a gateway claims the entries of a batch, 5 to 3600.
    pub lease_seconds: u64,
    /// Days after the last complaint of a matter in which the same words join its ticket, 1 to 3650; later they open a
    /// ticket anew.
    pub repeat_days: u32,
    /// Complaints that matching remembers at least, the newest, 1000 to 16777216; the memory for them is some 400 bytes
    /// each.
    pub remembered: usize,
    /// Whether complaints are compared with earlier ones in other words at all; the same words join without it.
    pub matching: bool,
    /// Whether a complaint joins the ticket of the same matter told in other words; otherwise it opens a ticket of its own, with
    /// a link to the one it may belong to.
    pub join_other_words: bool,
    /// What one mail to several of our addresses comes to: `merge` for one ticket and one notice, `separate` for one each.
    pub same_message: SameMessage,
    /// File with the words that matching goes by, in the form of `rules/matching.toml`; the shipped one without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<PathBuf>,
}

impl Default for Issue {
    fn default() -> Self {
        Self {
            batch_items: 256,
            batch_bytes: 32 * 1024 * 1024,
            assess_threads: 0,
            lease_seconds: 60,
            repeat_days: 180,
            remembered: 500_000,
            matching: true,
            join_other_words: false,
            same_message: SameMessage::Merge,
            words: None,
        }
    }
}

/// Handing tickets out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Seconds that a consumer holds a ticket where it does not say how long, from 1.
    pub lease_seconds: u64,
    /// Seconds that a consumer may ask for at most, up to 604800 (a week).
    pub max_lease_seconds: u64,
    /// Failed deliveries after which a ticket goes to the dead letters, 1 to 100.
    pub max_attempts: u32,
    /// Seconds before a failed ticket is handed out again; doubled at each further failure. 0 to 86400.
    pub retry_delay_seconds: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { lease_seconds: 300, max_lease_seconds: 3600, max_attempts: 5, retry_delay_seconds: 30 }
    }
}

/// Messages to petitioners (告知).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notices {
    /// Whether notices are written at all.
    pub enabled: bool,
    /// The connector that carries notices of channels that have no way back but left an e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<ConnectorName>,
    /// Notices to one address within a day at most, 1 to 100, so that two machines cannot answer each other for ever.
    pub daily_cap: u32,
    /// Attempts to send one notice, 1 to 100.
    pub max_attempts: u32,
    /// Domain in the ids of our messages (RFC 5322, 3.6.4): the domain that the office's mail comes from.
    pub message_domain: String,
}

impl Default for Notices {
    fn default() -> Self {
        // Reserved by RFC 2606: until the office names its domain, an id of ours never names somebody else's.
        let message_domain = "jiesu.invalid".to_owned();
        Self { enabled: true, through: None, daily_cap: 3, max_attempts: 8, message_domain }
    }
}

/// Working days and hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calendar {
    /// Hours worked before noon.
    pub morning: Hours,
    /// Hours worked after noon.
    pub afternoon: Hours,
    /// A file of further holidays and make-up days, for years newer than the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<PathBuf>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            morning: Hours { from: time(8, 30, 0, 0), to: time(12, 0, 0, 0) },
            afternoon: Hours { from: time(13, 0, 0, 0), to: time(17, 30, 0, 0) },
            extra: None,
        }
    }
}

/// A spell of work, written `08:30-12:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// When it begins.
    pub from: Time,
    /// When it ends.
    pub to: Time,
}

/// Hours were not written as hours are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHours {
    /// Not of the form.
    #[error("expected two times of day, as 08:30-12:00")]
    Form,
    /// They end before they begin.
    #[error("the hours end before they begin")]
    Order,
}

impl TryFrom<String> for Hours {
    type Error = BadHours;

    fn try_from(text: String) -> Result<Self, BadHours> {
        let (from, to) = text.split_once('-').ok_or(BadHours::Form)?;
        let hours = Self { from: time_of_day(from)?, to: time_of_day(to)? };
        if hours.from < hours.to { Ok(hours) } else { Err(BadHours::Order) }
    }
}

fn time_of_day(text: &str) -> Result<Time, BadHours> {
    let (hour, minute) = text.trim().split_once(':').ok_or(BadHours::Form)?;
    let number = |digits: &str| match digits.len() {
        1 | 2 => digits.parse::<i8>().map_err(|_| BadHours::Form),
        _ => Err(BadHours::Form),
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| BadHours::Form)
}

impl From<Hours> for String {
    fn from(Hours { from, to }: Hours) -> Self {
        format!("{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), to.hour(), to.minute())
    }
}

/// Rules that decide what is accepted, guided or declined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Screening {
    /// A file of rules instead of the ones that come with the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<PathBuf>,
    /// A file with a `[places]` table in place of the rules' own gazetteer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<PathBuf>,
    /// A file of subjects instead of the one that comes with the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<PathBuf>,
    /// A file of handling units by their duties instead of the one that comes with the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<PathBuf>,
    /// A trained model of urgency (`jiesu train`) instead of the one that comes with the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
}

impl Screening {
    /// Every file that is named, with where it is named.
    pub fn files(&self) -> [(&'static str, &Option<PathBuf>); 5] {
        [
            ("/screening/rules", &self.rules),
            ("/screening/places", &self.places),
            ("/screening/subjects", &self.subjects),
            ("/screening/units", &self.units),
            ("/screening/model", &self.model),
        ]
    }
}

/// What the program says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is said: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module, as `info,jiesu::intake=debug`.
    /// The environment variable `JIESU_LOG` takes precedence.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Stopping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Seconds in which what has begun may end, 1 to 600; what has not ended then is cut off, and taken up at the next
    /// start.
    pub grace_seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_seconds: 10 }
    }
}
