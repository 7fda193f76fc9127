//! The desk in a real browser: a decision is corrected, the held list is worked through by the keyboard alone, and what citizens
//! wrote runs nowhere. Each page is looked at in both languages and both sizes, checked and photographed (`console_browser`).

use fantoccini::key::Key;
use jiesu::{
    ids::EntryId,
    store::{Dialect, Store, read::Place, search::EntryFilter},
};
use serde_json::json;

use crate::{
    browser::{Browser, Screen, Scripts},
    console_browser::{PASSWORD, first_link, looked_at, press},
    harness::{Gateway, Holdings as _, PATIENCE, Site, inlet, mailbox, within},
    services::Mailbox,
};

/// Comes in as the first admin.
async fn come_in(browser: &Browser, gateway: &Gateway) {
    browser.open(first_link(gateway)).await;
    browser.fill("input[name=name]", "wang").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.fill("input[name=again]", PASSWORD).await;
    press(browser, "main button").await;
}

/// The newest entry in a place.
async fn one_in(store: &Store, place: Place) -> EntryId {
    let filter = EntryFilter { place: Some(place), ..EntryFilter::default() };
    within(PATIENCE, place.as_str(), async || store.entries(&filter, 1).await.unwrap().first().map(|entry| entry.id))
        .await
}

/// A form of the call centre.
async fn calls(site: &Site, id: &str, place: &str, course: &str) {
    let body = json!({ "call_id": id, "caller": "13900001234", "start": "2026-11-23T09:00:00+08:00",
        "form": { "kind": "投诉", "place": place, "course": course } });
    site.push("call-centre", id, body.to_string()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs chromium and servers, see scripts/services"]
async fn a_declined_complaint_is_accepted_and_its_ticket_seen() {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&format!("[console]\nundo_seconds = 3\n{}", inlet("call-centre")));
    let gateway = site.start().await;
    let store = site.store().await;
    calls(&site, "1", "鞍山市铁东区湖南街", "鞍山市铁东区湖南街某小区，家里只有十四度，供热公司不管。").await;
    calls(&site, "2", "白塔区", "白塔区某小区路灯坏了半个月，请派人维修。").await;
    store.settled(2).await;
    let id = one_in(&store, Place::Declined).await;

    let browser = Browser::start(Screen::Desktop).await;
    come_in(&browser, &gateway).await;
    let at = |path: &str| site.url(path).to_string();
    browser.open(at("/console/entries")).await;
    looked_at(&browser, "entries").await;
    browser.fill("input[name=words]", "供热公司").await;
    press(&browser, "#search").await;
    assert_eq!(browser.count("[data-row]").await, 1, "{}", browser.page().await);
    browser.click("details.card summary").await;
    browser.fill("#contact", "139 0000 1234").await;
    press(&browser, "#search-contact").await;
    assert_eq!(browser.count("[data-row]").await, 2, "{}", browser.page().await);
    assert!(!browser.address().await.contains("139"));

    let entry = format!("/console/entries/{id}");
    browser.open(at(&entry)).await;
    assert!(browser.text("#why").await.contains("第八条第(一)项"), "{}", browser.text("#why").await);
    looked_at(&browser, "entry").await;
    // The first ruling is taken back, the second takes effect; the page follows by itself.
    for undo in [true, false] {
        browser.find("#choice").await.select_by_value("accept 6").await.unwrap();
        browser.fill("#reason", "经电话核实，事发在本市").await;
        press(&browser, "#decide-go").await;
        assert!(browser.text("#withheld").await.contains("受理"));
        if undo {
            press(&browser, "#undo").await;
            assert!(browser.text("main").await.contains("裁定已撤销"), "{}", browser.page().await);
            assert_eq!(browser.count("#withheld").await, 0);
        }
    }
    within(PATIENCE, "the decision is there without reload", async || {
        browser.text("#decisions").await.contains("经电话核实").then_some(())
    })
    .await;
    let number = store.entry(id).await.unwrap().summary.ticket.expect("a ticket");
    browser.open(at(&entry)).await;
    press(&browser, "#ticket").await;
    assert!(browser.text("main").await.contains(&number.to_string()));
    assert!(browser.text("#deliveries").await.contains("待领取"), "{}", browser.text("#deliveries").await);
    looked_at(&browser, "ticket").await;

    // Merged with the other one, and parted again.
    let other = store.entry(one_in(&store, Place::Ticket).await).await.unwrap().summary.ticket.unwrap();
    browser.fill("#merged", &other.to_string()).await;
    browser.fill("#merge-reason", "同一小区").await;
    press(&browser, "#merge button").await;
    assert!(browser.text("#merges").await.contains("同一小区"), "{}", browser.page().await);
    looked_at(&browser, "ticket-merged").await;
    browser.open(at(&format!("/console/tickets/{other}"))).await;
    browser.fill("#unmerge-reason", "不是一处").await;
    press(&browser, "#unmerge button").await;
    assert!(browser.text("#merges").await.contains("不是一处"), "{}", browser.page().await);
    browser.find("#kind").await.select_by_value("consult").await.unwrap();
    browser.fill("#kind-reason", "只是询问").await;
    press(&browser, "#change-kind button").await;
    assert_eq!(browser.text("#ticket-kind").await, "政务咨询");
    browser.close().await;
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and servers, see scripts/services"]
async fn the_held_list_is_worked_through_by_the_keyboard_alone() {
    let site = Site::new(Dialect::Sqlite).await;
    site.configure(&format!("[console]\nundo_seconds = 600\n{}", inlet("call-centre")));
    let gateway = site.start().await;
    let store = site.store().await;
    let browser = Browser::start(Screen::Desktop).await;
    come_in(&browser, &gateway).await;
    browser.open(site.url("/console/held")).await;
    looked_at(&browser, "held-empty").await;
    for (id, course) in
        [("1", "您好，请尽快解决，谢谢！"), ("2", "求助"), ("3", "希望领导重视，尽快解决，为民做主，谢谢领导！")]
    {
        calls(&site, id, "", course).await;
    }
    store.settled(3).await;
    within(PATIENCE, "the list fills without reload", async || (browser.count("[data-row]").await == 3).then_some(()))
        .await;
    browser.open(site.url("/console/held")).await;
    assert_eq!(browser.text("#total").await, "3");
    let next_page = async |what: &str, words: &str| {
        within(PATIENCE, what, async || browser.page().await.contains(words).then_some(())).await;
    };

    // Two are marked and accepted for one reason.
    browser.keys("?").await;
    assert!(browser.text("#keys").await.contains("不予受理"), "{}", browser.text("#keys").await);
    looked_at(&browser, "held").await;
    browser.keys("jx").await;
    browser.keys(Key::Down).await;
    browser.keys("xa").await;
    browser.keys("经电话核实").await;
    browser.keys(Key::Enter).await;
    next_page("two are accepted", "已裁定").await;
    assert_eq!(browser.count("[data-row]").await, 1, "{}", browser.page().await);
    looked_at(&browser, "held-undo").await;
    // Taken back.
    browser.keys("u").await;
    next_page("they are taken back", "裁定已撤销").await;
    assert_eq!((browser.count("[data-row]").await, browser.count("#withheld li").await), (3, 0));
    // The row at hand is declined; the clause is chosen by the arrow key.
    browser.keys("jjd").await;
    browser.keys(Key::Down).await;
    browser.tab_to("#reason").await;
    browser.keys("只有一句“求助”").await;
    browser.keys(Key::Enter).await;
    next_page("one is declined", "已裁定").await;
    let ruled = store.withheld_rulings(10).await.unwrap();
    assert_eq!(ruled.len(), 1);
    assert_eq!(ruled[0].ruling.article.to_string(), "8(2)", "{ruled:?}");
    // Opened.
    browser.keys("jo").await;
    next_page("an entry is opened", "为何如此").await;
    assert!(browser.address().await.contains("/console/entries/"));
    browser.close().await;

    // Without scripts the same is done by forms.
    let plain = Browser::start_with(Screen::Phone, Scripts::Blocked).await;
    plain.open(site.url("/console/login")).await;
    plain.fill("input[name=name]", "wang").await;
    plain.fill("input[name=password]", PASSWORD).await;
    plain.click("main button.main").await;
    plain.find("#sums").await;
    plain.open(site.url("/console/held")).await;
    plain.click("[data-row] input[type=checkbox]").await;
    plain.find("#choice").await.select_by_value("guide 7(1)").await.unwrap();
    plain.fill("#reason", "应走诉讼").await;
    plain.click("#rule").await;
    within(PATIENCE, "ruled without scripts", async || plain.page().await.contains("已裁定").then_some(())).await;
    assert_eq!(store.withheld_rulings(10).await.unwrap().len(), 2);
    plain.close().await;
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and servers, see scripts/services"]
async fn a18_a_mail_that_tries_to_run_is_read_and_runs_nowhere() {
    let site = Site::new(Dialect::Sqlite).await;
    let box_of = Mailbox::new("desk");
    let letters = tempfile::tempdir().unwrap();
    let table =
        "编号,日期,姓名,电话,内容\n<img src=x onerror=window.ran=9>,2026/11/3,王小明,13900001111,路灯不亮,一格太多\n";
    std::fs::write(letters.path().join("letters.csv"), table).unwrap();
    let folder = format!(
        "[[connector]]\nname = \"letters\"\nchannel = \"letter\"\nadapter = \"files\"\nevery_seconds = 1\n\
         [connector.settings]\nfolder = {:?}\nsettle_seconds = 0\n",
        letters.path()
    );
    site.configure(&format!("{}{folder}", mailbox("mayor", &box_of, "")));
    let gateway = site.start().await;
    let store = site.store().await;
    let mail = concat!(
        "From: \"<script>window.ran=1</script>\" <a@example.cn>\r\nTo: mayor@example.cn\r\n",
        "Subject: <script>window.ran=2</script> street light\r\nMessage-ID: <run@example.cn>\r\nMIME-Version: 1.0\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n",
        "<html><body onload=\"window.ran=3\"><script>window.ran=4</script><p>白塔区某小区路灯坏了半个月，请派人维修。</p>",
        "&lt;img src=x onerror=\"window.ran=5\"&gt;</body></html>\r\n",
        "--b\r\nContent-Type: text/html; name=\"<img src=x onerror=window.ran=6>.html\"\r\n",
        "Content-Disposition: attachment; filename=\"<img src=x onerror=window.ran=6>.html\"\r\n\r\nhi\r\n--b--\r\n"
    );
    box_of.deliver(mail.as_bytes());
    box_of.deliver(b"From: b@example.cn\r\nTo: mayor@example.cn\r\nMessage-ID: <run2@example.cn>\r\nSubject: <img src=x onerror=window.ran=7>\r\n\r\n?\r\n");
    store.settled(3).await;
    let browser = Browser::start(Screen::Desktop).await;
    come_in(&browser, &gateway).await;
    one_in(&store, Place::Quarantine).await;
    let number = store.entry(one_in(&store, Place::Ticket).await).await.unwrap().summary.ticket.unwrap();
    let ids: Vec<EntryId> = store.all_entries().await.iter().map(|entry| entry.id).collect();
    let mut paths = vec!["/console/entries".to_owned(), "/console/held".to_owned(), "/console/quarantine".to_owned()];
    paths.push(format!("/console/tickets/{number}"));
    paths.extend(ids.iter().map(|id| format!("/console/entries/{id}")));
    let harmless = async |path: &str| {
        assert_eq!(browser.run("return window.ran === undefined").await, json!(true), "{path} ran");
        assert_eq!(browser.count("main script, main img, main [onload], main [onerror]").await, 0, "{path}");
    };
    for path in &paths {
        browser.open(site.url(path)).await;
        harmless(path).await;
    }
    for id in ids {
        let path = format!("/console/entries/{id}");
        browser.open(site.url(&path)).await;
        browser.fill("#unseal-reason", "<script>window.ran=8</script>").await;
        press(&browser, "#unseal button").await;
        harmless(&path).await;
        browser.is_accessible().await;
        if store.entry(id).await.unwrap().summary.ticket == Some(number) {
            browser.screenshot("entry-unsealed.zh").await;
        }
    }
    browser.open(site.url("/console/quarantine")).await;
    looked_at(&browser, "quarantine").await;
    // Read again by the keyboard: it is no better, and still there.
    browser.keys("jxr").await;
    browser.keys("再试一次").await;
    browser.keys(Key::Enter).await;
    within(PATIENCE, "it is read again", async || browser.page().await.contains("已交重新处理").then_some(())).await;
    browser.close().await;
    gateway.stop().await;
}
