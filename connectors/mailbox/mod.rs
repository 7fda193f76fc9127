//! E-mail boxes (省/市长电子信箱): reads folders over IMAP and answers over SMTP.
//!
//! Mailboxes are where complaints were lost most often in systems of this kind: one bad mail blocked all that followed, a
//! cursor that was no cursor skipped or doubled them, a set-up wizard emptied the box. So this adapter only looks
//! (`EXAMINE`, `BODY.PEEK[]`) unless it is told otherwise, keeps a UID cursor under its UIDVALIDITY for each folder, and
//! steps around any mail that the server cannot give. What a mail says is the business of [`crate::mail`].
//!
//! | module | holds |
//! |---|---|
//! | `wire` | TCP, TLS, a bound on what is read |
//! | `oauth` | access tokens for servers that take no password |
//! | `door` | from an address to a logged-in connection |
//! | `link` | the IMAP commands used |
//! | `plan`, `place` | which mails a page holds, and where each folder was left off (pure) |
//! | `item` | from what was fetched to an entry |
//! | `reading` | one page of a folder |
//! | `pull` | folder after folder, and waiting for news |
//! | `after` | what is done at the server with a mail that is stored |
//! | `check`, `holdings` | trying the mailbox; naming what it holds |
//! | `answer` | replies over SMTP |
//! | `trouble` | what a server's refusal means |
//! | `folder` | folder names on the wire |

mod after;
mod answer;
mod check;
mod door;
mod folder;
#[cfg(test)]
mod harness;
mod holdings;
mod item;
mod link;
mod oauth;
mod place;
mod plan;
mod pull;
mod reading;
#[cfg(test)]
mod tests;
mod trouble;
mod wire;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

pub use after::After;
use jiff::{Timestamp, civil::Date};
use lettre::Address;
pub use oauth::OAuth;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub(crate) use wire::{Wire, trust};

use crate::{
    complaint::Complaint,
    contract::{Adapter, Answer, Answering, Mistake, Normalise, Source, Toolbox, Unreadable},
    entry::RawEntry,
    fault::Fault,
    mail::{self, OwnAddresses},
    secret::SecretRef,
};

/// What the adapter reads, in one line.
pub const ABOUT: &str =
    "电子信箱: an e-mail box over IMAP, with answers over SMTP / 通过 IMAP 收取来信，通过 SMTP 回复";

/// How a connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// TLS from the first byte.
    #[default]
    Implicit,
    /// Starts plain and must change to TLS before anything is said.
    Starttls,
    /// No protection; only for a server on this machine.
    None,
}

/// Settings of one e-mail box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// IMAP server: a host name or an address.
    pub host: String,
    /// IMAP port; by default 993 with implicit TLS and 143 otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How the IMAP connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// PEM file with the only authorities to trust, for a server with a certificate of its own authority; by default the
    /// public authorities are trusted. Holds for SMTP too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// User, at most providers the whole address.
    pub user: String,
    /// Where the password is found; at 163, 126, yeah, qq and aliyun boxes it is the authorisation code (授权码). Left out
    /// where there is `oauth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// How access tokens are got, for servers that take no password (XOAUTH2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
    /// One folder to read, as people write it; INBOX, where no folder is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Folders to read, as people write them, up to 50; in place of `folder`. New mail in the first one is told by the
    /// server at once, the others are asked at intervals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Passes over mail that came to the server before this day ("2026-01-01").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Date>,
    /// What is done at the server with a mail once it is stored: `leave` (nothing at all), `mark_seen`, `move` or `delete`.
    #[serde(default, skip_serializing_if = "is_leave")]
    pub after: After,
    /// Folder that stored mails are moved to; it is made where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_to: Option<String>,
    /// Further addresses that this office writes from: mail from them is our own coming back. The user and the sender of the
    /// answers count without being named here.
    #[serde(default)]
    pub own_addresses: Vec<String>,
    /// Addresses of colleagues and offices that pass on citizens' mail to this box: in what they pass on, the writer of the
    /// inner mail is the petitioner and is answered. Whoever can write under one of them can name anybody as the petitioner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwarders: Vec<String>,
    /// Domain of the ids of our own messages (what stands behind the @ in Message-ID): a mail that bears one is our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id_domain: Option<String>,
    /// Whether to let the server tell of new mail (IDLE, RFC 2177), where it can; otherwise it is asked at intervals.
    #[serde(default = "yes")]
    pub idle: bool,
    /// How answers leave; without it this connector does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Smtp>,
}

/// How answers leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// SMTP server: a host name or an address.
    pub host: String,
    /// SMTP port; by default 465 with implicit TLS, 587 with STARTTLS, 25 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How the SMTP connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// User; without user and password none is named to the server. Named without a password, it is let in by the access
    /// token of `oauth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the password is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// Address that answers are sent from.
    pub from: String,
    /// Name shown beside that address.
    #[serde(default = "office")]
    pub from_name: String,
}

/// Folders that one connector reads at most.
const FOLDERS: usize = 50;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_leave(after: &After) -> bool {
    *after == After::Leave
}

fn yes() -> bool {
    true
}

fn office() -> String {
    "12345政务服务便民热线".to_owned()
}

impl Settings {
    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls == Tls::Implicit { 993 } else { 143 })
    }

    /// The folders to read.
    fn all_folders(&self) -> Vec<String> {
        if !self.folders.is_empty() {
            return self.folders.clone();
        }
        vec![self.folder.clone().unwrap_or_else(|| "INBOX".to_owned())]
    }

    fn tokens(&self, tools: &Toolbox) -> Option<Arc<oauth::Tokens>> {
        let settings = self.oauth.clone()?;
        Some(Arc::new(oauth::Tokens::new(settings, tools.http.clone())))
    }

    fn judge_folders(&self, mistakes: &mut Vec<Mistake>) {
        let is_name = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
        if self.folder.as_deref().is_some_and(|name| !is_name(name)) {
            mistakes.push(Mistake::new("/folder", "a folder's name is needed").suggest("INBOX"));
        }
        if self.folder.is_some() && !self.folders.is_empty() {
            mistakes.push(Mistake::new("/folder", "folder and folders are given both: name all of them in folders"));
        }
        if self.folders.len() > FOLDERS {
            mistakes.push(Mistake::new("/folders", format!("at most {FOLDERS} folders are read by one connector")));
        }
        let same = |one: &str, other: &str| {
            one == other || one.eq_ignore_ascii_case("INBOX") && other.eq_ignore_ascii_case("INBOX")
        };
        for (position, name) in self.folders.iter().enumerate() {
            if !is_name(name) {
                mistakes
                    .push(Mistake::new(format!("/folders/{position}"), "a folder's name is needed").suggest("INBOX"));
            } else if self.folders[..position].iter().any(|earlier| same(earlier, name)) {
                mistakes.push(Mistake::new(format!("/folders/{position}"), "this folder is named twice"));
            }
        }
        match (&self.after, &self.move_to) {
            (After::Move, None) => mistakes.push(
                Mistake::new("/move_to", "after = \"move\" needs the folder that mails are moved to").suggest("已接收"),
            ),
            (After::Move, Some(target)) if !is_name(target) => {
                mistakes.push(Mistake::new("/move_to", "a folder's name is needed").suggest("已接收"));
            }
            (After::Move, Some(target)) if self.all_folders().iter().any(|name| same(name, target)) => {
                let message = "mails would be moved into a folder that is read";
                mistakes.push(Mistake::new("/move_to", message).suggest("a folder that is not read, such as 已接收"));
            }
            (After::Move, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                mistakes.push(Mistake::new("/move_to", "only after = \"move\" moves").suggest("after = \"move\""));
            }
        }
    }

    fn judge_pass(&self, mistakes: &mut Vec<Mistake>) {
        match (&self.password, &self.oauth) {
            (None, None) => mistakes.push(
                Mistake::new("/password", "the password is missing").suggest("{ file = \"…\" }, or a table oauth"),
            ),
            (Some(_), Some(_)) => {
                mistakes.push(Mistake::new("/password", "password and oauth are given both: keep one of them"));
            }
            _ => {}
        }
        let Some(oauth) = &self.oauth else { return };
        let url = oauth.token_url.parse::<reqwest::Url>().ok();
        let safe = url.as_ref().is_some_and(|url| {
            let here = url.host_str().is_some_and(|host| is_here(host.trim_matches(['[', ']'])));
            url.scheme() == "https" || url.scheme() == "http" && here
        });
        if !safe {
            let mistake =
                Mistake::new("/oauth/token_url", "the token endpoint is an address that begins with https://");
            mistakes.push(mistake.suggest("https://login.example.com/oauth2/token"));
        }
        if oauth.client_id.trim().is_empty() {
            mistakes.push(Mistake::new("/oauth/client_id", "the client's id at the provider is missing"));
        }
    }

    /// Whom we are known as, so that our own mail coming back is recognised.
    fn own(&self) -> OwnAddresses {
        let mut addresses = self.own_addresses.clone();
        addresses.extend(self.user.contains('@').then(|| self.user.clone()));
        addresses.extend(self.smtp.as_ref().map(|smtp| smtp.from.clone()));
        OwnAddresses {
            addresses,
            message_id_domain: self.message_id_domain.clone(),
            forwarders: self.forwarders.clone(),
        }
    }
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        judge_server("", &self.host, self.port, self.tls, &mut mistakes);
        if self.user.trim().is_empty() || self.user.chars().any(char::is_control) {
            mistakes
                .push(Mistake::new("/user", "the user is missing").suggest("the whole address, such as box@163.com"));
        }
        self.judge_pass(&mut mistakes);
        self.judge_folders(&mut mistakes);
        for (position, address) in self.own_addresses.iter().enumerate() {
            judge_address(&format!("/own_addresses/{position}"), address, &mut mistakes);
        }
        for (position, address) in self.forwarders.iter().enumerate() {
            judge_address(&format!("/forwarders/{position}"), address, &mut mistakes);
        }
        if let Some(domain) = &self.message_id_domain
            && (domain.is_empty() || domain.contains(|one: char| one == '@' || one.is_whitespace() || one.is_control()))
        {
            let mistake = Mistake::new("/message_id_domain", "a domain is needed, without @ and spaces");
            mistakes.push(mistake.suggest("12345.liaoyang.gov.cn"));
        }
        if let Some(smtp) = &self.smtp {
            judge_server("/smtp", &smtp.host, smtp.port, smtp.tls, &mut mistakes);
            judge_address("/smtp/from", &smtp.from, &mut mistakes);
            let by_token = self.oauth.is_some() && smtp.password.is_none();
            if smtp.user.is_some() != smtp.password.is_some() && !by_token {
                mistakes.push(Mistake::new("/smtp/user", "user and password are given both or neither"));
            }
            if smtp.from_name.chars().any(char::is_control) {
                mistakes
                    .push(Mistake::new("/smtp/from_name", "a name holds no line breaks or other control characters"));
            }
        }
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(Arc::new(Letters { own: self.own(), bounds: mail::Bounds::default() }))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let pass = match (self.tokens(tools), &self.password) {
            (Some(tokens), _) => door::Pass::Tokens(tokens),
            (None, Some(password)) => door::Pass::Password(password.reveal()?),
            (None, None) => return Err(Fault::configuration("the mailbox has no password").remedy("set password")),
        };
        let door = door::Door {
            host: self.host.clone(),
            port: self.port(),
            tls: self.tls,
            trust: wire::trust(self.ca_file.as_deref())?,
            user: self.user.clone(),
            pass,
            writes: self.after != After::Leave,
        };
        let deed = match (self.after, &self.move_to) {
            (After::Leave, _) | (After::Move, None) => after::Deed::Leave,
            (After::MarkSeen, _) => after::Deed::MarkSeen,
            (After::Move, Some(target)) => after::Deed::Move(target.clone()),
            (After::Delete, _) => after::Deed::Delete,
        };
        let duty = pull::Duty { folders: self.all_folders(), since: self.since, deed, idle: self.idle };
        Ok(Source::Pull(Box::new(pull::Mailbox::new(door, duty, tools))))
    }

    fn answering(&self) -> Answering {
        if self.smtp.is_some() { Answering::ToAddress } else { Answering::None }
    }

    fn answerer(&self, tools: &Toolbox) -> Result<Option<Arc<dyn Answer>>, Fault> {
        let Some(smtp) = &self.smtp else { return Ok(None) };
        Ok(Some(Arc::new(answer::Sender::new(smtp, self.ca_file.as_deref(), self.tokens(tools), tools)?)))
    }
}

fn judge_server(at: &str, host: &str, port: Option<u16>, tls: Tls, mistakes: &mut Vec<Mistake>) {
    let well_formed = !host.is_empty() && host.chars().all(|one| one.is_ascii_alphanumeric() || ".-:_".contains(one));
    if !well_formed {
        let mistake =
            Mistake::new(format!("{at}/host"), "a host name or an address is needed, without scheme and port");
        mistakes.push(mistake.suggest("imap.163.com"));
    }
    if port == Some(0) {
        mistakes.push(Mistake::new(format!("{at}/port"), "0 is not a port").suggest("leave it out for the usual one"));
    }
    if tls == Tls::None && !is_here(host) {
        let message =
            "without TLS the password and the citizens' mails would cross the network in the clear (Article 24)";
        mistakes.push(Mistake::new(format!("{at}/tls"), message).suggest("implicit or starttls"));
    }
}

fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn judge_address(at: &str, address: &str, mistakes: &mut Vec<Mistake>) {
    if address.parse::<Address>().is_err() {
        mistakes.push(Mistake::new(at, "this is not an e-mail address").suggest("box@example.gov.cn, without a name"));
    }
}

/// Turns mails into complaints.
struct Letters {
    own: OwnAddresses,
    bounds: mail::Bounds,
}

impl Normalise for Letters {
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        mail::normalise(&entry.raw, &self.own, &self.bounds, received_at)
    }

    fn attachment(&self, entry: &RawEntry, part: u32) -> Option<Vec<u8>> {
        mail::part(&entry.raw, part, &self.bounds)
    }
}
