//! The city portal as citizens meet it: in a real browser, with and without scripts, on a phone, by keyboard alone; and as
//! attackers do.

use std::{fs, path::PathBuf};

use connectors::http::Answered;
use fantoccini::key::Key;
use jiesu::store::{Dialect, read::EntryStory};
use reqwest::{StatusCode, Url, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Screen, Scripts},
    harness::{Gateway, Holdings as _, Site, eventually},
};

pub(crate) const TOKEN: &str = "token-of-the-page-of-the-city";

/// The table of a portal; `more` goes into its settings.
pub(crate) fn portal(more: &str) -> String {
    format!(
        "[[connector]]\nname = \"portal\"\nchannel = \"portal\"\nadapter = \"portal\"\n[connector.settings]\n\
         least_seconds = 0\n{more}\n"
    )
}

pub(crate) struct City {
    pub(crate) site: Site,
    pub(crate) gateway: Gateway,
}

impl City {
    pub(crate) async fn new(dialect: Dialect, more: &str) -> Self {
        let site = Site::new(dialect).await;
        fs::write(site.file().with_file_name("token"), TOKEN).unwrap();
        site.configure(&portal(more));
        let gateway = site.start().await;
        Self { site, gateway }
    }

    pub(crate) fn page(&self, path: &str) -> Url {
        self.site.url(&format!("/portal/portal{path}"))
    }

    /// The story of the one entry that there is.
    pub(crate) async fn story(&self) -> EntryStory {
        let store = self.site.store().await;
        store.settled(1).await;
        let all = store.all_entries().await;
        assert_eq!(all.len(), 1);
        store.entry(all[0].id).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        let http = self.site.http();
        http.send(http.request(reqwest::Method::GET, self.page(path))).await.unwrap()
    }

    /// A form's hidden field, as it is served now.
    pub(crate) async fn ticket(&self) -> String {
        let page = self.get("").await;
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        let (_, rest) = text.split_once("name=\"ticket\" value=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    /// Sends a form as a browser does.
    pub(crate) async fn send(&self, form: Form, headers: &[(&'static str, &str)]) -> (StatusCode, String) {
        let http = self.site.http();
        let mut request = http
            .request(reqwest::Method::POST, self.page(""))
            .header(CONTENT_TYPE, Form::CONTENT_TYPE)
            .body(form.end());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = http.send(request).await.unwrap();
        (answered.status, String::from_utf8(answered.body.to_vec()).unwrap())
    }

    pub(crate) async fn ask(&self, number: &str, code: &str) -> (StatusCode, String) {
        let http = self.site.http();
        let body = url_encoded(&[("number", number), ("code", code)]);
        let request = http
            .request(reqwest::Method::POST, self.page("/status"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let answered = http.send(request).await.unwrap();
        (answered.status, String::from_utf8(answered.body.to_vec()).unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, headers: &[(&'static str, &str)]) -> Answered {
        let http = self.site.http();
        let mut request = http.request(reqwest::Method::POST, self.site.url(path)).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        http.send(request).await.unwrap()
    }
}

pub(crate) const LAMP: (&str, &str, &str) =
    ("路灯不亮", "太子河区荣兴路南段的路灯连续一周不亮，晚上接孩子放学很不安全，请尽快维修。", "太子河区荣兴路南段");

const BOUNDARY: &str = "----jiesu-test-boundary";

/// A form as browsers send it.
#[derive(Clone, Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    pub(crate) const CONTENT_TYPE: &str = "multipart/form-data; boundary=----jiesu-test-boundary";

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        self.0.extend_from_slice(part.as_bytes());
        self
    }

    pub(crate) fn file(mut self, name: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}

fn url_encoded(fields: &[(&str, &str)]) -> String {
    let mut url: Url = "http://localhost".parse().unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap().to_owned()
}

pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
async fn filled_in_and_found(scripts: Scripts, screen: Screen, shot: &str) {
    let city = City::new(Dialect::Sqlite, "").await;
    let browser = Browser::start_with(screen, scripts).await;
    browser.open(city.page("")).await;
    if scripts == Scripts::Run {
        browser.is_accessible().await;
        assert!(browser.fits().await);
        browser.screenshot(&format!("portal-form-{shot}")).await;
    }
    browser.fill("#title", LAMP.0).await;
    browser.fill("#course", LAMP.1).await;
    browser.fill("#time", "11月13日起").await;
    browser.fill("#place", LAMP.2).await;
    browser.fill("#name", "李明").await;
    browser.fill("#phone", "13800001111").await;
    browser.click("#wants_answer-yes").await;
    browser.click("#public-no").await;
    browser.find("#kind").await.select_by_value("help").await.unwrap();
    let picture = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    fs::write(picture.path(), PNG).unwrap();
    browser.fill("#files", picture.path().to_str().unwrap()).await;
    browser.click("button[type=submit]").await;

    let ticket = browser.text("#ticket-number").await;
    let (reception, code) = (browser.text("#reception-number").await, browser.text("#query-code").await);
    if scripts == Scripts::Run {
        browser.is_accessible().await;
        assert!(browser.fits().await);
        browser.screenshot(&format!("portal-done-{shot}")).await;
    }
    assert!(!browser.address().await.contains(&code), "what is secret is not in the address");
    let story = city.story().await;
    assert_eq!(story.summary.ticket.unwrap().to_string(), ticket);
    let shown = story.complaint.unwrap().shown;
    assert_eq!((shown.subject.as_deref(), shown.place.as_deref()), (Some(LAMP.0), Some(LAMP.2)));
    assert_eq!(shown.attachments[0].media_type, "image/png");
    assert!(shown.remarks.iter().any(|remark| remark.contains("不同意公开")), "{:?}", shown.remarks);

    for number in [&ticket, &reception] {
        browser.open(city.page("/status")).await;
        browser.fill("#number", number).await;
        browser.fill("#code", &code.to_lowercase()).await;
        browser.click("button[type=submit]").await;
        assert_eq!(browser.text("#ticket-number").await, ticket);
        assert!(browser.text("#state").await.contains("已受理"));
    }
    let page = browser.page().await;
    for secret in [LAMP.0, LAMP.1, "李明", "13800001111", &code] {
        assert!(!page.contains(secret), "the status page tells {secret}:\n{page}");
    }
    if scripts == Scripts::Run {
        browser.is_accessible().await;
        assert!(browser.fits().await);
        browser.screenshot(&format!("portal-status-{shot}")).await;
    }
    browser.close().await;
    let log = city.gateway.log();
    for secret in ["李明", "13800001111", LAMP.0, &code] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}

#[tokio::test]
#[ignore = "needs chromium, see scripts/services"]
async fn a_citizen_fills_in_the_form_and_finds_the_ticket() {
    filled_in_and_found(Scripts::Run, Screen::Desktop, "desktop").await;
}

#[tokio::test]
#[ignore = "needs chromium, see scripts/services"]
async fn a_citizen_with_a_phone_fills_in_the_form_and_finds_the_ticket() {
    filled_in_and_found(Scripts::Run, Screen::Phone, "phone").await;
}

#[tokio::test]
#[ignore = "needs chromium, see scripts/services"]
async fn without_scripts_it_is_the_same() {
    filled_in_and_found(Scripts::Blocked, Screen::Phone, "without-scripts").await;
}

#[tokio::test]
#[ignore = "needs chromium, see scripts/services"]
async fn by_keyboard_alone_a_citizen_gets_a_ticket_and_mistakes_keep_what_was_typed() {
    let city = City::new(Dialect::Sqlite, "").await;
    let browser = Browser::start(Screen::Desktop).await;
    browser.open(format!("{}?lang=en", city.page(""))).await;
    assert_eq!(browser.text("h1").await, "Tell us");
    // Another language keeps what was typed.
    browser.fill("#place", LAMP.2).await;
    browser.click("button[name=switch]").await;
    assert_eq!(browser.text("h1").await, "我要反映");
    assert_eq!(browser.find("#place").await.prop("value").await.unwrap().as_deref(), Some(LAMP.2));
    browser.open(city.page("")).await;
    browser.keys(Key::Tab).await;
    browser.keys(Key::Enter).await;
    browser.tab_to("#title").await;
    browser.keys(LAMP.0).await;
    browser.tab_to("#phone").await;
    browser.keys("12").await;
    // From a field, Enter sends the form.
    browser.keys(Key::Enter).await;
    let summary = browser.text(".wrong").await;
    assert!(summary.contains("事情经过") && summary.contains("电话"), "{summary}");
    assert_eq!(browser.run("return document.activeElement.className").await, json!("box wrong"), "the focus is there");
    assert!(browser.client.title().await.unwrap().starts_with("错误"));
    assert_eq!(browser.find("#title").await.prop("value").await.unwrap().as_deref(), Some(LAMP.0));
    assert_eq!(browser.address().await, city.page("").as_str(), "nothing typed is in the address");
    browser.is_accessible().await;
    browser.screenshot("portal-mistakes").await;
    // The list of mistakes leads to the fields.
    browser.tab_to(".wrong a").await;
    browser.keys(Key::Enter).await;
    browser.tab_to("#course").await;
    browser.keys(LAMP.1).await;
    browser.tab_to("#phone").await;
    browser.keys(format!("{}13800001111", Key::End)).await;
    browser.keys(format!("{}{}{}", Key::Home, Key::Delete, Key::Delete)).await;
    browser.tab_to("button[type=submit]").await;
    browser.keys(Key::Space).await;
    let ticket = browser.text("#ticket-number").await;
    assert_eq!(city.story().await.summary.ticket.unwrap().to_string(), ticket);
    // And on to the state, without typing the code.
    browser.tab_to("button.second").await;
    browser.keys(Key::Enter).await;
    eventually("the state's page", async || browser.address().await.ends_with("/status").then_some(())).await;
    assert_eq!(browser.text("#ticket-number").await, ticket);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium, see scripts/services"]
async fn a18_a_script_in_every_field_and_file_name_stays_text() {
    let city = City::new(Dialect::Sqlite, "").await;
    let browser = Browser::start(Screen::Desktop).await;
    let attack = "\"'></textarea><script>document.title=4711</script>";
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("<img src=x onerror=document.title=4711>.png");
    fs::write(&file, PNG).unwrap();
    browser.open(city.page("")).await;
    for field in ["title", "course", "time", "place", "parties", "request", "name", "phone", "email"] {
        browser.fill(&format!("#{field}"), attack).await;
    }
    browser.fill("#files", file.to_str().unwrap()).await;
    browser.click("button[type=submit]").await;
    // Neither phone nor address is one, so all of it comes back.
    assert!(browser.text(".wrong").await.contains("电话"));
    let ours = "main img, main script, main svg, [onerror]";
    assert_eq!(browser.count(ours).await, 0);
    assert_eq!(browser.find("#course").await.prop("value").await.unwrap().as_deref(), Some(attack));
    assert!(!browser.client.title().await.unwrap().contains("4711"));
    for (field, text) in [("phone", "13800001111"), ("email", "a@b.cn")] {
        browser.find(&format!("#{field}")).await.clear().await.unwrap();
        browser.fill(&format!("#{field}"), text).await;
    }
    browser.fill("#files", file.to_str().unwrap()).await;
    browser.click("button[type=submit]").await;
    let (reception, code) = (browser.text("#reception-number").await, browser.text("#query-code").await);
    assert_eq!(browser.count(ours).await, 0);
    browser.open(city.page("/status")).await;
    browser.fill("#number", attack).await;
    browser.fill("#code", &code).await;
    browser.click("button[type=submit]").await;
    assert!(browser.text(".wrong").await.contains("没有查到"));
    assert_eq!(browser.count(ours).await, 0);
    browser.find("#number").await.clear().await.unwrap();
    browser.fill("#number", &reception).await;
    browser.fill("#code", &code).await;
    browser.click("button[type=submit]").await;
    browser.find("#state").await;
    assert_eq!(browser.count(ours).await, 0);
    assert!(!browser.client.title().await.unwrap().contains("4711"));
    browser.close().await;
    let shown = city.story().await.complaint.unwrap().shown;
    assert_eq!(shown.attachments[0].name.as_deref(), Some("<img src=x onerror=document.title=4711>.png"));
}
