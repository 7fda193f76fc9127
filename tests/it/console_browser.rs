//! The console in a real browser: what an admin does on an ordinary day, by mouse, by keyboard and on a phone, checked for
//! accessibility. Each page that is seen is photographed: `JIESU_SCREENSHOTS=docs/console scripts/services cargo test --test it
//! console_browser -- --include-ignored` makes the pictures of the documentation anew.

use jiesu::store::Dialect;
use serde_json::json;

use crate::{
    browser::{Browser, Screen},
    harness::{Gateway, Holdings as _, PATIENCE, Site, inlet, within},
    services::Mailbox,
};

pub(crate) const PASSWORD: &str = "a long phrase for tests";

/// The link that the gateway printed for the first admin.
pub(crate) fn first_link(gateway: &Gateway) -> String {
    let log = gateway.log();
    log.lines()
        .map(str::trim)
        .find(|line| line.contains("/console/setup/"))
        .expect("a link for the first admin")
        .to_owned()
}

/// Sends the form that a button belongs to, and returns when the next page is there.
pub(crate) async fn press(browser: &Browser, selector: &str) {
    browser.run("window.before = true").await;
    browser.click(selector).await;
    within(PATIENCE, "the next page", async || {
        (browser.run("return window.before === undefined && document.readyState === 'complete'").await == json!(true))
            .then_some(())
    })
    .await;
}

/// Looks at the page in both languages and both sizes: nothing serious for axe-core, nothing wider than the screen.
pub(crate) async fn looked_at(browser: &Browser, picture: &str) {
    for (language, suffix) in [("zh", "zh"), ("en", "en")] {
        if browser.run("return document.documentElement.lang.slice(0, 2)").await != json!(language) {
            press(browser, "form[action='/console/language'] button").await;
        }
        browser.show(Screen::Phone).await;
        assert!(browser.fits().await, "{picture} is wider than a phone: {}", browser.address().await);
        browser.is_accessible().await;
        browser.show(Screen::Desktop).await;
        assert!(browser.fits().await, "{picture} is wider than a screen");
        browser.is_accessible().await;
        browser.screenshot(&format!("{picture}.{suffix}")).await;
    }
    press(browser, "form[action='/console/language'] button").await;
}

#[tokio::test]
#[ignore = "needs chromium and servers, see scripts/services"]
async fn an_admin_comes_in_adds_a_mailbox_and_sees_its_first_ticket() {
    let site = Site::new(Dialect::Sqlite).await;
    let mailbox = Mailbox::new("console");
    site.configure("");
    let gateway = site.start().await;
    let browser = Browser::start(Screen::Desktop).await;
    let at = |path: &str| site.url(path).to_string();

    // The first admin, by the link.
    browser.open(first_link(&gateway)).await;
    looked_at(&browser, "setup").await;
    browser.fill("input[name=name]", "wang").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.fill("input[name=again]", PASSWORD).await;
    press(&browser, "main button").await;
    assert!(browser.text("main").await.contains("还没有接入点"), "{}", browser.page().await);
    press(&browser, "form[action='/console/logout'] button").await;
    looked_at(&browser, "login").await;
    browser.fill("input[name=name]", "wang").await;
    browser.fill("input[name=password]", PASSWORD).await;
    press(&browser, "main button.main").await;

    // A mailbox from a preset, on a form that says what is wrong.
    browser.open(at("/console/connectors/new")).await;
    looked_at(&browser, "presets").await;
    press(&browser, "a[href='/console/connectors/new/mailbox']").await;
    browser.fill("#name", "mayor-mailbox").await;
    browser.fill("#f-host", "127.0.0.1").await;
    browser.fill("#f-port", &crate::services::port("JIESU_TEST_IMAP").to_string()).await;
    browser.find("#f-tls").await.select_by_value("none").await.unwrap();
    browser.fill("#f-user", &mailbox.user).await;
    press(&browser, "#save").await;
    assert!(browser.text(".wrong").await.contains("password"), "{}", browser.page().await);
    looked_at(&browser, "connector-form").await;
    // The language switch came back to an empty form.
    browser.fill("#name", "mayor-mailbox").await;
    browser.fill("#f-host", "127.0.0.1").await;
    browser.fill("#f-port", &crate::services::port("JIESU_TEST_IMAP").to_string()).await;
    browser.find("#f-tls").await.select_by_value("none").await.unwrap();
    browser.fill("#f-user", &mailbox.user).await;
    browser.fill("#f-password", "wrong-password").await;
    press(&browser, "#save").await;
    assert!(browser.text("main").await.contains("接入点已建立"), "{}", browser.page().await);

    // Tried with a wrong password, mended, tried again.
    press(&browser, "#test").await;
    assert!(browser.text("#trial").await.contains("认证失败"), "{}", browser.text("#trial").await);
    press(&browser, "a[href='/console/connectors/mayor-mailbox/edit']").await;
    browser.fill("#f-password", &crate::services::variable("JIESU_TEST_IMAP_PASSWORD")).await;
    press(&browser, "#save").await;
    press(&browser, "#test").await;
    let trial = browser.text("#trial").await;
    assert!(trial.contains("✓") && !trial.contains("✗"), "{trial}");
    browser.screenshot("connector-test.zh").await;

    // Switched on; its first mail becomes a ticket; the overview follows by itself.
    press(&browser, "#enable").await;
    mailbox.deliver(
        b"From: a@example.cn\r\nTo: mayor@example.cn\r\nSubject: <script>alert(1)</script>\r\nMessage-ID: <1@example.cn>\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\r\n\xe7\x99\xbd\xe5\xa1\x94\xe5\x8c\xba\xe8\xb7\xaf\xe7\x81\xaf\xe5\x9d\x8f\xe4\xba\x86\xe5\x8d\x8a\xe4\xb8\xaa\xe6\x9c\x88\xef\xbc\x8c\xe8\xaf\xb7\xe6\xb4\xbe\xe4\xba\xba\xe7\xbb\xb4\xe4\xbf\xae\xe3\x80\x82\r\n",
    );
    browser.open(at("/console")).await;
    let store = site.store().await;
    store.settled(1).await;
    within(PATIENCE, "the overview shows the entry without reload", async || {
        let first = "const first = document.querySelector('#sums b'); return first && first.textContent";
        (browser.run(first).await == json!("1")).then_some(())
    })
    .await;
    assert!(browser.text("#sums").await.contains("来件与去向相符"));
    looked_at(&browser, "overview").await;
    browser.open(at("/console/connectors/mayor-mailbox")).await;
    looked_at(&browser, "connector").await;

    press(&browser, "#disable").await;
    assert!(browser.text("#state").await.contains("已停用") || browser.text("main").await.contains("已停用"));
    for (path, picture) in [
        ("/console/connectors", "connectors"),
        ("/console/queue", "queue"),
        ("/console/notices", "notices"),
        ("/console/notices/texts", "notice-texts"),
        ("/console/alarms", "alarms"),
        ("/console/audit", "audit"),
        ("/console/accounts", "accounts"),
        ("/console/tokens", "tokens"),
        ("/console/me", "me"),
        ("/console/nowhere", "trouble"),
    ] {
        browser.open(at(path)).await;
        looked_at(&browser, picture).await;
    }
    assert_eq!(browser.count("script:not([src])").await, 0);
    browser.close().await;
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and servers, see scripts/services"]
async fn a_dead_letter_is_requeued_by_the_keyboard_alone() {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&format!(
        "[queue]\nmax_attempts = 1\n[[http.token]]\nname = \"handling\"\nscopes = [\"queue\"]\nsecret = {{ file = \"secret-7\" }}\n{}",
        inlet("call-centre")
    ));
    let gateway = site.start().await;
    let body = json!({ "call_id": "1", "caller": "13900001234", "start": "2026-11-23T09:00:00+08:00",
        "form": { "kind": "投诉", "place": "白塔区", "course": "白塔区某小区自来水停了两天，请尽快恢复供水。" } });
    site.push("call-centre", "1", body.to_string()).await.unwrap();
    let store = site.store().await;
    store.settled(1).await;
    let policy = jiesu::store::queue::DeliveryPolicy { max_attempts: 1, retry_delay: std::time::Duration::ZERO };
    let now = crate::harness::now();
    let leased = store.lease_deliveries("handling", 1, PATIENCE, policy, now).await.unwrap();
    let failed = jiesu::store::queue::Settlement::Fail { reason: "办理系统拒收".to_owned() };
    store.settle_delivery(leased[0].id, leased[0].lease, &failed, policy, now).await.unwrap();

    let browser = Browser::start(Screen::Desktop).await;
    browser.open(first_link(&gateway)).await;
    browser.keys("wang").await;
    browser.tab_to("input[name=password]").await;
    browser.keys(PASSWORD).await;
    browser.tab_to("input[name=again]").await;
    browser.keys(PASSWORD).await;
    browser.keys(fantoccini::key::Key::Enter).await;
    browser.find("#sums").await;
    browser.open(site.url("/console/queue")).await;
    looked_at(&browser, "dead-letters").await;
    browser.keys("j").await;
    browser.find("tr[aria-selected=true]").await;
    browser.keys("r").await;
    within(PATIENCE, "the dead letter is requeued", async || browser.page().await.contains("已重新投递").then_some(()))
        .await;
    assert_eq!(store.queue_depth().await.unwrap().ready, 1);
    browser.close().await;
    gateway.stop().await;
}
