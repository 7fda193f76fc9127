//! The rules and the hot spots of the console in a real browser: a rule is written, mended, tried on what came in, published
//! and put back.

use fantoccini::key::Key;
use jiesu::store::{Dialect, read::Place};
use serde_json::json;

use crate::{
    browser::{Browser, Screen},
    console_browser::{PASSWORD, first_link, looked_at, press},
    harness::{Gateway, Holdings as _, PATIENCE, Site, inlet, now, within},
};

async fn call(site: &Site, id: &str, caller: &str, title: &str, course: &str) {
    let body = json!({ "call_id": id, "caller": caller, "start": now().to_string(),
        "form": { "kind": "投诉", "title": title, "place": "白塔区新华小区", "course": course } });
    site.push("call-centre", id, body.to_string()).await.unwrap();
}

/// Looks at a page that came of a form, which cannot be asked for in the other language.
async fn looked_at_once(browser: &Browser, picture: &str) {
    browser.show(Screen::Phone).await;
    assert!(browser.fits().await, "{picture} is wider than a phone");
    browser.is_accessible().await;
    browser.show(Screen::Desktop).await;
    assert!(browser.fits().await, "{picture} is wider than a screen");
    browser.is_accessible().await;
    browser.screenshot(&format!("{picture}.zh")).await;
}

/// Presses a button that asks whether it is meant.
async fn confirm(browser: &Browser, selector: &str, done: &str) {
    browser.click(selector).await;
    browser.client.accept_alert().await.unwrap();
    within(PATIENCE, done, async || browser.page().await.contains(done).then_some(())).await;
}

async fn begun() -> (Site, Gateway, Browser) {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&inlet("call-centre"));
    let gateway = site.start().await;
    let browser = Browser::start(Screen::Desktop).await;
    browser.open(first_link(&gateway)).await;
    browser.fill("input[name=name]", "wang").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.fill("input[name=again]", PASSWORD).await;
    press(&browser, "main button").await;
    (site, gateway, browser)
}

#[tokio::test]
#[ignore = "needs chromium and servers, see scripts/services"]
async fn an_admin_edits_a_rule_tries_it_on_what_came_in_and_publishes() {
    let (site, gateway, browser) = begun().await;
    call(&site, "1", "13900001234", "路灯不亮", "小区门前紫金花路路灯坏了一周，夜里很黑。").await;
    call(&site, "2", "13900005678", "自来水停水", "小区停水两天，请尽快恢复供水。").await;
    let store = site.store().await;
    store.settled(2).await;

    browser.open(site.url("/console/rules")).await;
    press(&browser, "a[href='/console/rules/edit']").await;
    looked_at(&browser, "rules-edit").await;
    // Written at the end of the file, with a word list that is not there.
    browser.click("#text").await;
    let end = format!("{}{}{}", Key::Control, Key::End, Key::Null);
    let rule = "\n[[rule]]\nid = \"local.lamp\"\narticle = \"8(2)\"\noutcome = \"hold\"\nadvice = \"请补充。\"\nhints = [\"紫金花路\", \"{cuort}路灯\"]\n";
    browser.fill("#text", &format!("{end}{rule}")).await;
    press(&browser, "#check").await;
    let mistakes = browser.text("#mistakes").await;
    assert!(mistakes.contains("没有词表 `cuort`") && mistakes.contains("`court`"), "{mistakes}");
    browser.click("#mistakes button").await;
    assert_eq!(browser.run("return document.activeElement.id").await, json!("text"), "a mistake leads to its place");
    looked_at_once(&browser, "rules-mistakes").await;
    // What was typed is still there: only the word is mended.
    browser
        .run(
            "const field = document.querySelector('#text'); field.value = field.value.replace(', \"{cuort}路灯\"', '')",
        )
        .await;
    press(&browser, "#check").await;
    assert!(browser.text("#checked").await.contains("核验无误"));

    browser.fill("#sample", "紫金花路的路灯坏了，请派人修理。").await;
    press(&browser, "#assess").await;
    assert!(browser.text("#verdict").await.contains("local.lamp"), "{}", browser.text("#verdict").await);
    browser.fill("input[name=reason]", "试用新规则").await;
    press(&browser, "#backtest").await;
    let tried = browser.text("#tried").await;
    assert!(tried.contains("判断了 2 件") && tried.contains("1 件会有变化") && tried.contains("local.lamp"), "{tried}");
    looked_at_once(&browser, "rules-backtest").await;
    browser.fill("#note", "紫金花路的路灯另有安排，先由人看").await;
    confirm(&browser, "#publish", "新规则已发布并启用").await;

    // In force: the next one is held.
    call(&site, "3", "13900009012", "路灯", "紫金花路东段的路灯也坏了，请派人修理。").await;
    store.settled(3).await;
    let places: Vec<Place> = store.all_entries().await.iter().map(|entry| entry.place).collect();
    assert_eq!(places.iter().filter(|place| **place == Place::Held).count(), 1, "{places:?}");

    // And put back, with a reason.
    looked_at(&browser, "rules").await;
    browser.fill("form[action$='/activate'] input[name=reason]", "误拦").await;
    confirm(&browser, "form[action$='/activate'] button", "已启用该版本").await;
    assert!(browser.page().await.contains("误拦"));
    press(&browser, "#in-force a").await;
    looked_at(&browser, "rules-version").await;
    browser.close().await;
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and servers, see scripts/services"]
async fn what_many_people_report_is_seen_at_a_glance() {
    let (site, gateway, browser) = begun().await;
    let store = site.store().await;
    browser.open(site.url("/console/hotspots")).await;
    assert!(browser.page().await.contains("这段时期没有热点"));
    for caller in 0..4 {
        let (id, caller_id) = (format!("w-{caller}"), format!("1390000{caller:04}"));
        call(&site, &id, &caller_id, "自来水停水", "白塔区新华小区自来水停了两天，至今没有恢复，请尽快恢复供水。")
            .await;
        store.settled(caller + 1).await;
    }
    browser.open(site.url("/console/hotspots?days=1&least=3")).await;
    assert!(browser.text("tbody").await.contains("+4"), "{}", browser.page().await);
    looked_at(&browser, "hotspots").await;
    browser.close().await;
    gateway.stop().await;
}
