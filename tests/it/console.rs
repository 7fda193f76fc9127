//! The console from the outside: who is let in, what is refused, and that no route was forgotten.

use std::{collections::BTreeMap, fmt::Write as _};

use connectors::clock::Clock as _;
use jiesu::{
    console::{hash_password, one_time_path, routes::catalogue, secret_token},
    http::Access,
    store::{
        accounts::{LinkFor, Role, digest_of},
        journal::Act,
    },
};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::bench::Bench;

/// The password of every account of these tests.
pub(crate) const PASSWORD: &str = "a long phrase for tests";

/// What came back.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) cookies: Vec<String>,
    pub(crate) text: String,
}

impl Page {
    /// Where it leads.
    pub(crate) fn location(&self) -> &str {
        self.headers.get("location").map_or("", String::as_str)
    }

    /// What a form of the page carries.
    pub(crate) fn csrf(&self) -> String {
        let (_, rest) =
            self.text.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no form:\n{}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }

    /// The value that a cookie was given.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let prefix = format!("{name}=");
        let line = self.cookies.iter().find(|line| line.starts_with(&prefix))?;
        Some(line[prefix.len()..].split(';').next().unwrap().to_owned())
    }
}

/// A browser as far as these tests need one: it keeps cookies and follows nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guest {
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) csrf: String,
    /// Further headers of every request.
    pub(crate) headers: Vec<(String, String)>,
}

impl Guest {
    pub(crate) async fn get(&mut self, bench: &Bench, path: &str) -> Page {
        self.ask(bench, Method::GET, path, None).await
    }

    /// Sends a form that the last page seen could have sent.
    pub(crate) async fn post(&mut self, bench: &Bench, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = vec![("csrf", self.csrf.as_str())];
        form.extend_from_slice(fields);
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| {
                let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
                format!("{name}={value}")
            })
            .collect();
        self.ask(bench, Method::POST, path, Some(body.join("&"))).await
    }

    pub(crate) async fn ask(&mut self, bench: &Bench, method: Method, path: &str, body: Option<String>) -> Page {
        let host = bench.address().to_string();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let _ = write!(head, "cookie: {}\r\n", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some(body) = &body {
            let length = body.len();
            let _ = write!(head, "content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n");
        }
        let mut stream = TcpStream::connect(bench.address()).await.unwrap();
        stream.write_all(format!("{head}\r\n{}", body.unwrap_or_default()).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let page = parsed(&String::from_utf8_lossy(&answer));
        for line in &page.cookies {
            let (name, rest) = line.split_once('=').unwrap();
            match rest.split(';').next().unwrap() {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        if page.text.contains("name=\"csrf\"") {
            self.csrf = page.csrf();
        }
        page
    }

    /// Logs in.
    pub(crate) async fn log_in(&mut self, bench: &Bench, name: &str, password: &str) -> Page {
        self.get(bench, "/console/login").await;
        self.post(bench, "/console/login", &[("name", name), ("password", password)]).await
    }
}

fn parsed(answer: &str) -> Page {
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let (mut headers, mut cookies) = (BTreeMap::new(), Vec::new());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        if name.eq_ignore_ascii_case("set-cookie") {
            cookies.push(value.to_owned());
        } else {
            headers.insert(name.to_lowercase(), value.to_owned());
        }
    }
    Page { status, headers, cookies, text: text.to_owned() }
}

/// Makes an account; hashing is slow, so all have one password.
pub(crate) async fn account(bench: &Bench, name: &str, role: Role) {
    static HASHED: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| hash_password(PASSWORD).unwrap());
    let act = Act { actor: "test", action: "account.add", subject: name, reason: None };
    let now = bench.clock.now();
    bench.store.add_account(name, role, act, now).await.unwrap();
    bench.store.set_password(name, &HASHED, act, now).await.unwrap();
}

/// A guest who is logged in under an account, without the trouble of a login.
pub(crate) async fn inside(bench: &Bench, name: &str) -> Guest {
    let token = secret_token().unwrap();
    let act = Act { actor: "test", action: "account.login", subject: name, reason: None };
    bench.store.begin_session(digest_of(&token), name, act, bench.clock.now()).await.unwrap();
    let mut guest = Guest::default();
    guest.cookies.insert("jiesu_session".to_owned(), token);
    let page = guest.get(bench, "/console/me").await;
    assert_eq!(page.status, 200, "{}", page.text);
    guest
}

/// A path of the table with something in its places.
fn filled(path: &str) -> String {
    path.replace("{*rest}", "nowhere")
        .replace("{token}", "nowhere")
        .replace("{id}", "999999")
        .replace("{number}", "261123-000042-8")
        .replace("{name}", "nowhere")
        .replace("{version}", "999999")
        .replace("{kind}", "nowhere")
}

#[tokio::test]
async fn every_page_opens_to_its_roles_and_to_no_other() {
    let bench = Bench::start().await;
    let mut guests = Vec::new();
    for role in Role::ALL {
        account(&bench, role.as_str(), role).await;
        guests.push((role, inside(&bench, role.as_str()).await));
    }
    let written = bench.store.audit_rows(0, 1000).await.unwrap().len();
    let mut forged = Guest::default();
    forged.cookies.insert("jiesu_session".to_owned(), secret_token().unwrap());
    let (mut seen, mut refused) = (0, 0);
    for route in catalogue() {
        let path = filled(&route.path);
        let Access::Role(roles) = route.access else { continue };
        let at = format!("{} {}", route.method, route.path);
        // A logout or a new password would end the session that the next row needs.
        let ends = route.path == "/console/logout";
        let post = route.method == Method::POST;
        for guest in [&mut Guest::default(), &mut forged.clone()] {
            guest.get(&bench, "/console/login").await;
            let page = if post { guest.post(&bench, &path, &[]).await } else { guest.get(&bench, &path).await };
            if post {
                assert_eq!(page.status, 401, "{at} by nobody");
            } else {
                assert_eq!(page.status, 303, "{at} by nobody");
                assert!(page.location().starts_with("/console/login?next="), "{at}");
            }
        }
        for (role, guest) in &mut guests {
            if ends {
                continue;
            }
            let page = if post { guest.post(&bench, &path, &[]).await } else { guest.get(&bench, &path).await };
            if roles.contains(role) {
                assert!(
                    !matches!(page.status, 401 | 403 | 405 | 500),
                    "{at} as {role:?}: {} {}",
                    page.status,
                    page.text
                );
                seen += 1;
            } else {
                assert_eq!(page.status, 403, "{at} as {role:?}");
                assert!(page.text.contains("您的角色不能这样做"), "{at} as {role:?}");
                refused += 1;
            }
        }
    }
    assert!(seen > 10 && refused > 10, "{seen} {refused}");
    let rows = bench.store.audit_rows(0, 1000).await.unwrap();
    let done: Vec<_> = rows.iter().skip(written).map(|row| format!("{} {}", row.actor, row.action)).collect();
    assert!(done.iter().all(|row| !row.contains("viewer")), "{done:?}");
}

#[tokio::test]
async fn the_page_about_the_console_has_every_route_with_its_roles() {
    let page = include_str!("../../docs/console.md");
    for route in catalogue() {
        let roles = match route.access {
            Access::Open => "everybody".to_owned(),
            Access::Role(roles) if roles.len() == Role::ALL.len() => "every role".to_owned(),
            Access::Role(roles) => roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", "),
            Access::Scope(_) | Access::Signed => panic!("no page"),
        };
        let row = format!("| `{} {}` | {roles} |", route.method, route.path);
        assert!(page.contains(&row), "docs/console.md lacks:\n{row}");
    }
}

#[tokio::test]
async fn the_first_admin_comes_by_a_link_that_works_once() {
    let bench = Bench::start().await;
    let settings = jiesu::config::Console::default();
    let now = bench.clock.now();
    let one = one_time_path(&bench.store, &settings, &LinkFor::FirstAdmin, "test", now).await.unwrap();
    let other = one_time_path(&bench.store, &settings, &LinkFor::FirstAdmin, "test", now).await.unwrap();
    let mut guest = Guest::default();
    assert!(guest.get(&bench, "/console/login").await.text.contains("还没有账户"));
    let page = guest.get(&bench, &one).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["referrer-policy"], "same-origin");
    for (fields, wrong) in [
        ([("name", "wang"), ("password", "short"), ("again", "short")], "口令不足"),
        ([("name", "wang"), ("password", PASSWORD), ("again", "other phrase")], "不一致"),
        ([("name", "w<b>"), ("password", PASSWORD), ("again", PASSWORD)], "名称只能用"),
    ] {
        let page = guest.post(&bench, &one, &fields).await;
        assert!(page.status == 422 && page.text.contains(wrong), "{}", page.text);
    }
    let page = guest.post(&bench, &one, &[("name", "wang"), ("password", PASSWORD), ("again", PASSWORD)]).await;
    assert_eq!((page.status, page.location()), (303, "/console?done=setup"));
    assert_eq!(guest.get(&bench, "/console/accounts").await.status, 200, "an admin, logged in");
    for used in [one, other] {
        let page = Guest::default().get(&bench, &used).await;
        assert_eq!(page.status, 410, "{used}");
    }
    let late = one_time_path(&bench.store, &settings, &LinkFor::Account("wang".to_owned()), "test", now).await.unwrap();
    bench.advance(61 * 60);
    assert_eq!(Guest::default().get(&bench, &late).await.status, 410, "expired");
    let trail: Vec<_> = bench.store.audit_rows(0, 100).await.unwrap().into_iter().map(|row| row.action).collect();
    assert!(trail.contains(&"account.first".to_owned()) && trail.contains(&"account.login".to_owned()), "{trail:?}");
}

#[tokio::test]
async fn a_login_changes_the_session_and_a_logout_ends_it() {
    let bench = Bench::start().await;
    account(&bench, "wang", Role::Viewer).await;
    let mut guest = Guest::default();
    guest.cookies.insert("jiesu_session".to_owned(), "chosen-by-somebody-else".to_owned());
    let page = guest.log_in(&bench, "wang", PASSWORD).await;
    assert_eq!((page.status, page.location()), (303, "/console"), "{}", page.text);
    let session = page.cookie("jiesu_session").unwrap();
    assert_ne!(session, "chosen-by-somebody-else");
    let line = page.cookies.iter().find(|line| line.starts_with("jiesu_session=")).unwrap();
    assert!(line.contains("HttpOnly") && line.contains("SameSite=Strict") && !line.contains("Secure"), "{line}");
    assert_eq!(guest.get(&bench, "/console").await.status, 200);

    // Logging in again gives another session and ends the first.
    let before = guest.clone();
    guest.get(&bench, "/console/me").await;
    guest.post(&bench, "/console/login", &[("name", "wang"), ("password", PASSWORD)]).await;
    assert_ne!(guest.cookies["jiesu_session"], session);
    assert_eq!(before.clone().get(&bench, "/console").await.status, 303, "the old one is over");

    guest.get(&bench, "/console").await;
    let kept = guest.clone();
    assert_eq!(guest.post(&bench, "/console/logout", &[]).await.location(), "/console/login?done=logout");
    assert_eq!(
        kept.clone().get(&bench, "/console").await.status,
        303,
        "ended at the gateway, not in the browser alone"
    );
}

#[tokio::test]
async fn sessions_end_by_rest_by_age_and_by_the_admin() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    account(&bench, "wang", Role::Clerk).await;
    let mut resting = inside(&bench, "wang").await;
    bench.advance(29 * 60);
    assert_eq!(resting.get(&bench, "/console").await.status, 200);
    bench.advance(29 * 60);
    assert_eq!(resting.get(&bench, "/console").await.status, 200, "each request counts");
    bench.advance(31 * 60);
    assert_eq!(resting.get(&bench, "/console").await.status, 303, "rested too long");

    let mut old = inside(&bench, "wang").await;
    for _ in 0..(12 * 60 / 20) {
        bench.advance(20 * 60);
        old.get(&bench, "/console").await;
    }
    bench.advance(60);
    assert_eq!(old.get(&bench, "/console").await.status, 303, "too old, however busy");

    let mut chef = inside(&bench, "chef").await;
    for (path, fields) in [
        ("/console/accounts/wang/sessions/end", vec![]),
        ("/console/accounts/wang/change", vec![("role", "clerk")]),
        ("/console/accounts/wang/change", vec![("role", "viewer"), ("enabled", "1")]),
    ] {
        chef.post(&bench, "/console/accounts/wang/change", &[("role", "clerk"), ("enabled", "1")]).await;
        let mut wang = inside(&bench, "wang").await;
        chef.get(&bench, "/console/accounts").await;
        assert_eq!(chef.post(&bench, path, &fields).await.status, 303, "{path}");
        assert_eq!(wang.get(&bench, "/console").await.status, 303, "{path} {fields:?}");
    }
    let page = chef.post(&bench, "/console/accounts/chef/change", &[("role", "viewer"), ("enabled", "1")]).await;
    assert!(page.status == 422 && page.text.contains("没有能登录的管理员"), "{}", page.text);
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_and_tells_nothing() {
    let bench = Bench::start().await;
    account(&bench, "wang", Role::Admin).await;
    let mut guest = Guest::default();
    let mut words = Vec::new();
    for name in ["wang", "nobody"] {
        for _ in 0..5 {
            let page = guest.log_in(&bench, name, "a wrong password").await;
            assert_eq!(page.status, 401);
            assert!(!page.text.contains("a wrong password"));
        }
        let page = guest.log_in(&bench, name, PASSWORD).await;
        assert_eq!(page.status, 429, "locked although the password is right");
        words.push(page.text.split("id=\"wrong\">").nth(1).unwrap().split('<').next().unwrap().to_owned());
    }
    assert_eq!(words[0], words[1], "a name that nobody has is told from none");
    bench.advance(31);
    assert_eq!(guest.log_in(&bench, "wang", PASSWORD).await.status, 303, "a lock-out ends");
    let trail = bench.store.audit_rows(0, 100).await.unwrap();
    let actions: Vec<_> = trail.iter().map(|row| (row.action.as_str(), row.subject.as_str())).collect();
    assert!(actions.contains(&("account.locked", "wang")), "{actions:?}");
    assert!(!actions.iter().any(|(_, subject)| *subject == "nobody"), "what was typed may be a password");
}

#[tokio::test]
async fn forged_forms_change_nothing() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let chef = inside(&bench, "chef").await;
    let other = inside(&bench, "chef").await;
    let host = bench.address().to_string();
    let path = "/console/accounts";
    let fields = [("name", "evil"), ("role", "admin")];
    let mut forgeries: Vec<(&str, Guest)> = Vec::new();
    for (what, csrf) in
        [("none", String::new()), ("made up", "0".repeat(64)), ("another session's", other.csrf.clone())]
    {
        forgeries.push((what, Guest { csrf, ..chef.clone() }));
    }
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        forgeries.push((value, Guest { headers, ..chef.clone() }));
    }
    for (what, mut guest) in forgeries {
        let page = guest.post(&bench, path, &fields).await;
        assert_eq!(page.status, 403, "{what}");
        assert!(page.text.contains("未执行"), "{what}: {}", page.text);
    }
    // Forms of another type could be sent from anywhere.
    let mut plain = chef.clone();
    plain.headers.push(("content-type".to_owned(), "text/plain".to_owned()));
    assert_ne!(plain.ask(&bench, Method::POST, path, None).await.status, 200);
    assert!(bench.store.accounts().await.unwrap().iter().all(|account| account.name != "evil"));
    let mut honest = chef.clone();
    honest.headers =
        vec![("origin".to_owned(), format!("http://{host}")), ("sec-fetch-site".to_owned(), "same-origin".to_owned())];
    assert_eq!(honest.post(&bench, path, &fields).await.status, 200);
}

#[tokio::test]
async fn what_is_typed_stays_text() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let script = "\"><script>alert(1)</script>";
    let mut guest = Guest::default();
    let page = guest.log_in(&bench, script, PASSWORD).await;
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    let path =
        format!("/console/login?next={}", form_urlencoded::byte_serialize(script.as_bytes()).collect::<String>());
    assert!(!guest.get(&bench, &path).await.text.contains("<script>alert"));
    let mut chef = inside(&bench, "chef").await;
    let act = Act { actor: script, action: script, subject: script, reason: Some(script) };
    bench.store.audit(act, bench.clock.now()).await.unwrap();
    let page = chef.get(&bench, "/console/audit").await;
    assert!(page.text.contains("&#60;script&#62;alert(1)") && !page.text.contains("<script>alert"), "{}", page.text);
    let page = chef.get(&bench, &format!("/console?done={}", "%3Cscript%3Ealert(1)%3C/script%3E")).await;
    assert!(!page.text.contains("<script>alert"));
}

#[tokio::test]
async fn every_page_is_armoured() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let mut chef = inside(&bench, "chef").await;
    for path in ["/console", "/console/login", "/console/nowhere", "/console/accounts", "/console/assets/console.js"] {
        let page = chef.get(&bench, path).await;
        let policy = &page.headers["content-security-policy"];
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        for (name, value) in [("x-frame-options", "DENY"), ("x-content-type-options", "nosniff")] {
            assert_eq!(page.headers[name], value, "{path}");
        }
        assert!(!page.text.contains("http://") || !page.text.contains("//cdn"), "{path} fetches from outside");
    }
    assert_eq!(chef.get(&bench, "/console").await.headers["cache-control"], "no-store");
    assert!(chef.get(&bench, "/console/assets/console.css").await.headers["cache-control"].contains("immutable"));
}

#[tokio::test]
async fn tokens_made_in_the_console_open_what_they_say_until_they_end() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let mut chef = inside(&bench, "chef").await;
    let page = chef.post(&bench, "/console/tokens", &[("name", "handling"), ("scope", "read"), ("days", "30")]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let token = page.text.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(token.starts_with("jiesu_") && token.len() > 40, "{token}");
    assert!(!chef.get(&bench, "/console/tokens").await.text.contains(&token), "shown once");
    assert_eq!(bench.get(&token, "/v1/queue").await.status, 200);
    assert_eq!(bench.post(&token, "/v1/queue/lease", serde_json::json!({ "consumer": "a" })).await.status, 403);
    let forged = format!("{}A", &token[..token.len() - 1]);
    assert_eq!(bench.get(&forged, "/v1/queue").await.status, 401);

    bench.advance(31 * 24 * 3600);
    assert_eq!(bench.get(&token, "/v1/queue").await.status, 401, "expired");
    let mut chef = inside(&bench, "chef").await;
    let page = chef.post(&bench, "/console/tokens", &[("name", "monitor"), ("scope", "read"), ("days", "0")]).await;
    let token = page.text.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(bench.get(&token, "/v1/queue").await.status, 200);
    assert_eq!(chef.post(&bench, "/console/tokens/monitor/revoke", &[]).await.status, 303);
    assert_eq!(bench.get(&token, "/v1/queue").await.status, 401, "revoked");
    for fields in
        [vec![("name", "x")], vec![("name", "x y"), ("scope", "read")], vec![("name", "monitor"), ("scope", "read")]]
    {
        assert_eq!(chef.post(&bench, "/console/tokens", &fields).await.status, 422, "{fields:?}");
    }
}

#[tokio::test]
async fn the_language_is_switched_and_stays() {
    let bench = Bench::start().await;
    let mut guest = Guest::default();
    assert!(guest.get(&bench, "/console/login").await.text.contains("<html lang=\"zh-CN\">"));
    let page = guest.post(&bench, "/console/language", &[("lang", "en"), ("back", "/console/login")]).await;
    assert_eq!((page.status, page.location()), (303, "/console/login"));
    let page = guest.get(&bench, "/console/login").await;
    assert!(page.text.contains("<html lang=\"en\">") && page.text.contains("Log in"));
    let page = guest.post(&bench, "/console/language", &[("lang", "en"), ("back", "https://evil.example/")]).await;
    assert_eq!(page.location(), "/console");
}

#[tokio::test]
async fn the_overview_shows_where_everything_is() {
    let bench = Bench::start().await;
    account(&bench, "wang", Role::Viewer).await;
    let mut wang = inside(&bench, "wang").await;
    let empty = wang.get(&bench, "/console").await;
    assert!(empty.text.contains("来件与去向相符"), "{}", empty.text);
    bench.issue(&crate::bench::matters(3)).await;
    let more = ["4", "5"].map(|id| crate::bench::Said::new(id, format!("另一件{id}")));
    bench.take(&more).await;
    for added in [false, true] {
        if added {
            while bench.store.add_up().await.unwrap() > 0 {}
        }
        let page = wang.get(&bench, "/console").await;
        let sums = page.text.split("id=\"sums\"").nth(1).unwrap().split("</section>").next().unwrap();
        let numbers: Vec<&str> = sums.split("<b>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
        assert_eq!(numbers, ["5", "3", "0", "0", "0", "0", "0", "2"], "added up: {added}");
        assert!(page.text.contains("来件与去向相符"));
    }
    let counted = bench.store.accounting().await.unwrap();
    assert_eq!((counted.entries, counted.in_tickets, counted.pending), (5, 3, 2));
}
