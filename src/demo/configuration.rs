//! The configuration of the demonstration, written as an admin would write it; the program then reads it like any other.

use std::{fmt::Write as _, path::Path};

use reqwest::Url;

/// Bytes of a delivery that the demonstration's gateway keeps; small, so that the body over the limit need not be large.
pub const BODY_LIMIT: usize = 64 * 1024;

/// What the configuration must be told.
#[derive(Debug)]
pub struct Places<'a> {
    /// Where mails are dropped.
    pub mails: &'a Path,
    /// Where letters are dropped.
    pub letters: &'a Path,
    /// Where the board is read.
    pub board: &'a Url,
    /// The port that the gateway listens on; 0 for any.
    pub port: u16,
}

/// File of the keys, in the demonstration's folder.
pub const KEYS: &str = "keys.toml";
/// File of the token for the HTTP interface.
pub const TOKEN: &str = "token";
/// File of the secret that partners sign with.
pub const SECRET: &str = "partner-secret";
/// File of the configuration itself.
pub const FILE: &str = "jiesu.toml";

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The text of the configuration file.
pub fn text(places: &Places<'_>) -> String {
    let Places { board, port, .. } = places;
    let (board, mails, letters) = (quoted(board.as_str()), path(places.mails), path(places.letters));
    let mut text = format!(
        r#"# 演示用配置：六个接入点，来源都在本机。/ The demonstration: six connectors, every source on this machine.

[store]
url = "sqlite:jiesu.db"

[seal]
keys = {{ file = "{KEYS}" }}

[http]
listen = "127.0.0.1:{port}"
body_limit_bytes = {BODY_LIMIT}

[[http.token]]
name = "demo"
scopes = ["admin"]
secret = {{ file = "{TOKEN}" }}

# 人民网·领导留言板 / the message board, in the form of its older interface
[[connector]]
name = "board"
channel = "message_board"
adapter = "board"
every_seconds = 1
per_minute = 600

[connector.settings]
base = {board}
boards = ["1010"]
times = ["epoch_seconds"]
page_size = 10
overlap = 10
paging = {{ last_id = {{ first = "0" }} }}

[connector.settings.list]
request = {{ method = "post", path = "threads/queryThreadsList", form = {{ fid = "{{board}}", lastItem = "{{last}}" }} }}
answer = {{ format = "json", items = "/responseData", success = [{{ at = "/result", any_of = ["success"] }}], message = "/resultDesc" }}
fields = {{ id = "/tid", subject = "/subject", body = "/content", made_at = "/dateline", label = "/typeName", account = "/userId", state = "/stateInfo", reply = "/answerContent" }}

# 市长信箱：投到文件夹的邮件 / mails that are dropped into a folder
[[connector]]
name = "mail"
channel = "mailbox"
adapter = "files"
every_seconds = 1
per_minute = 600
settings = {{ folder = {mails}, settle_seconds = 0 }}

# 信件登记表 / letters keyed into tables
[[connector]]
name = "letters"
channel = "letter"
adapter = "files"
every_seconds = 1
per_minute = 600
settings = {{ folder = {letters}, settle_seconds = 0 }}
"#
    );
    for (name, channel, preset, about) in [
        ("calls", "phone", "call_center", "12345 话务系统 / the telephone system"),
        (
            "business",
            "business_environment",
            "business_environment",
            "营商环境平台 / the business-environment platform",
        ),
        ("portal", "portal", "portal", "市政府门户网站 / the city's portal"),
    ] {
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            r#"
# {about}
[[connector]]
name = "{name}"
channel = "{channel}"
adapter = "inlet"
settings = {{ secrets = [{{ file = "{SECRET}" }}], mapping = {{ preset = "{preset}" }} }}
"#
        );
    }
    text
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
