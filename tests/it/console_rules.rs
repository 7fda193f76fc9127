//! The rules in the console, from the outside: edited, checked, tried, published and put back.

use connectors::{clock::Clock as _, entry::Revision};
use jiesu::{
    assess::RuleSet,
    intake::{RAW, raw_identity},
    seal::SealContext,
    store::{accounts::Role, intake::NewEntry, journal::Act, rules::RuleOrigin},
};
use serde_json::json;

use crate::{
    bench::{Bench, Said},
    console::{Guest, Page, account, inside},
    harness::name,
};

/// The shipped rules with one rule more: whatever names a word is held.
pub(crate) fn stricter(word: &str) -> String {
    let shipped = RuleSet::shipped_text();
    format!(
        "{shipped}\n[[rule]]\nid = \"test.word\"\narticle = \"8(2)\"\noutcome = \"hold\"\nadvice = \"请补充。\"\nhints = [\"{word}\"]\n"
    )
}

/// What the page says the rules were when it was opened.
fn state(page: &Page) -> String {
    let (_, rest) = page.text.split_once("name=\"state\" value=\"").expect("a form about the rules");
    rest.split('"').next().unwrap().to_owned()
}

/// The text in the page's field, as a browser would send it.
fn typed(page: &Page) -> String {
    let (_, rest) = page.text.split_once("class=\"code\" id=\"text\"").expect("a field for the rules");
    let text = rest.split_once('>').unwrap().1.split("</textarea>").next().unwrap();
    let text = text.strip_prefix('\n').unwrap_or(text);
    let plain = text.replace("&#34;", "\"").replace("&#39;", "'").replace("&#60;", "<").replace("&#62;", ">");
    plain.replace("&#38;", "&").replace('\n', "\r\n")
}

async fn admin(bench: &Bench, name: &str) -> Guest {
    account(bench, name, Role::Admin).await;
    inside(bench, name).await
}

/// Lets a call of the call centre come in.
async fn call(bench: &Bench, id: &str, title: &str, course: &str) {
    let raw = json!({ "call_id": id, "caller": "13900001234", "start": bench.clock.now().to_string(),
        "form": { "kind": "投诉", "title": title, "place": "白塔区新华小区", "course": course } })
    .to_string();
    let identity = raw_identity("calls", id, Revision::only().as_str());
    let entry = NewEntry {
        connector: name("calls"),
        size: raw.len(),
        sealed_raw: bench.api.keyring.seal(SealContext::new(RAW, &identity), raw.as_bytes()).unwrap(),
        ..bench.entry(&Said::new(id, ""), bench.clock.now())
    };
    bench.store.take_deliveries(&[entry.into()]).await.unwrap();
}

#[tokio::test]
async fn rules_are_edited_checked_tried_and_published() {
    let bench = Bench::start().await;
    let settings = json!({ "secrets": [{ "env": "CALLS_SECRET" }], "mapping": { "preset": "call_center" } });
    bench.define("calls", "phone", "inlet", &settings).await;
    bench.api.tools.directory.refresh(&bench.store).await.unwrap();
    call(&bench, "C-1", "路灯不亮", "小区门前紫金花路路灯坏了一周，夜里很黑。").await;
    call(&bench, "C-2", "自来水停水", "小区停水两天，请尽快恢复供水。").await;

    let mut chef = admin(&bench, "chef").await;
    let list = chef.get(&bench, "/console/rules").await;
    let shipped = RuleSet::shipped().unwrap().version().to_owned();
    assert!(list.text.contains(&shipped) && list.text.contains("随程序提供"), "{}", list.text);
    let page = chef.get(&bench, "/console/rules/edit").await;
    assert_eq!(page.status, 200);
    let seen = state(&page);
    // What a browser sends back unchanged is the same text: there is nothing to publish.
    let same = typed(&page);
    let fields = [("state", seen.as_str()), ("text", &same), ("note", "无")];
    let page = chef.post(&bench, "/console/rules/publish", &fields).await;
    assert!(page.status == 422 && page.text.contains("与现行版本完全相同"), "{}", page.status);

    // Every mistake is told, with its place, and the text is kept.
    let wrong = stricter("紫金花路")
        .replace("hints = [\"紫金花路\"]", "hints = [\"{cuort}紫\", \"紫\"]\nasks = [\"@no.such\"]");
    let page = chef.post(&bench, "/console/rules/check", &[("state", &seen), ("text", &wrong)]).await;
    assert_eq!(page.status, 422);
    let line = 1 + wrong.lines().position(|line| line.contains("cuort")).unwrap();
    for expected in
        [format!("第 {line} 行第 10 字"), format!("第 {line} 行第 22 字"), format!("第 {} 行第 9 字", line + 1)]
    {
        assert!(page.text.contains(&expected), "{expected}");
    }
    assert!(page.text.contains("`court`") && typed(&page) == wrong.replace('\n', "\r\n"));
    let page = chef.post(&bench, "/console/rules/publish", &[("state", &seen), ("text", &wrong), ("note", "错")]).await;
    assert_eq!(page.status, 422, "what is wrong is not published");

    // Tried on a text, and on what came in.
    let text = stricter("紫金花路");
    let base = [("state", seen.as_str()), ("text", text.as_str())];
    let with = |more: &[(&'static str, &'static str)]| {
        let more: Vec<(&str, &str)> = more.to_vec();
        [&base[..], &more].concat()
    };
    let page = chef.post(&bench, "/console/rules/check", &base).await;
    assert!(page.status == 200 && page.text.contains("核验无误"), "{}", page.status);
    let sample = ("sample", "紫金花路的路灯坏了一周，夜里很黑，请派人修理。");
    let page = chef.post(&bench, "/console/rules/try", &with(&[sample])).await;
    assert!(page.text.contains("test.word") && page.text.contains("待人工"), "{}", page.text);
    let page = chef.post(&bench, "/console/rules/assess", &[sample]).await;
    assert!(!page.text.contains("test.word") && page.text.contains("受理"), "judged by the rules in force");
    let page = chef.post(&bench, "/console/rules/backtest", &with(&[("last", "50")])).await;
    assert!(page.status == 422 && page.text.contains("请写明原因"), "{}", page.status);
    let page = chef.post(&bench, "/console/rules/backtest", &with(&[("last", "50"), ("reason", "试用")])).await;
    assert!(page.text.contains("判断了 2 件") && page.text.contains("1 件会有变化"), "{}", page.text);
    assert!(page.text.contains("test.word") && page.text.contains("受理 → 待人工"), "{}", page.text);
    assert!(!page.text.contains("13900001234"), "an entry is named, not shown");
    let trail = bench.store.audit_rows(0, 1000).await.unwrap();
    assert!(trail.iter().any(|row| row.action == "rules.backtest" && row.reason.as_deref() == Some("试用")));

    // Published with a note, in force at once, and put back with a reason.
    let page = chef.post(&bench, "/console/rules/publish", &base).await;
    assert!(page.status == 422 && page.text.contains("请写明改了什么"), "{}", page.status);
    let page = chef.post(&bench, "/console/rules/publish", &with(&[("note", "加一条")])).await;
    assert_eq!(page.location(), "/console/rules?done=rules_published", "{}", page.text);
    let version = RuleSet::parse(&text).unwrap().version().to_owned();
    assert_eq!(bench.api.tools.rulebook.assessor().rules().version(), version);
    let list = chef.get(&bench, "/console/rules").await;
    assert!(list.text.contains(&version) && list.text.contains("加一条"));
    let path = format!("/console/rules/{}", shipped.replace('+', "%2B"));
    assert!(chef.get(&bench, &path).await.text.contains("[[rule]]"));
    let activate = format!("{path}/activate");
    let current = state(&list);
    assert_eq!(chef.post(&bench, &activate, &[("state", &current)]).await.status, 422, "without a reason");
    let page = chef.post(&bench, &activate, &[("state", &current), ("reason", "误拦")]).await;
    assert_eq!(page.location(), "/console/rules?done=rules_activated", "{}", page.text);
    assert_eq!(bench.api.tools.rulebook.assessor().rules().version(), shipped);
    let trail: Vec<_> = bench.store.audit_rows(0, 1000).await.unwrap();
    let done: Vec<_> = trail
        .iter()
        .filter(|row| row.actor == "console:chef" && row.action.starts_with("rules."))
        .map(|row| (row.action.as_str(), row.subject.as_str()))
        .collect();
    let expected = [
        ("rules.backtest", version.as_str()),
        ("rules.publish", &version),
        ("rules.activate", &version),
        ("rules.activate", &shipped),
    ];
    assert_eq!(done, expected);
}

#[tokio::test]
async fn nobody_publishes_over_what_somebody_else_has_just_published() {
    let bench = Bench::start().await;
    let (mut chef, mut li) = (admin(&bench, "chef").await, admin(&bench, "li").await);
    let first = state(&chef.get(&bench, "/console/rules/edit").await);
    let second = state(&li.get(&bench, "/console/rules/edit").await);
    let (one, other) = (stricter("紫金花路"), stricter("新运大街"));
    let page = li.post(&bench, "/console/rules/publish", &[("state", &second), ("text", &one), ("note", "甲")]).await;
    assert_eq!(page.status, 303, "{}", page.text);
    let fields = [("state", first.as_str()), ("text", &other), ("note", "乙")];
    let page = chef.post(&bench, "/console/rules/publish", &fields).await;
    assert!(page.status == 409 && page.text.contains("您的文字已保留"), "{}", page.status);
    assert_eq!(typed(&page), other.replace('\n', "\r\n"));
    assert_eq!(bench.api.tools.rulebook.assessor().rules().version(), RuleSet::parse(&one).unwrap().version());

    // Published over HTTP or by the command line, without being put in force: seen too.
    let seen = state(&page);
    let act = Act { actor: "admin", action: "rules.publish", subject: "x", reason: None };
    bench.store.publish_rules("x", "x", RuleOrigin::Published, act, bench.clock.now()).await.unwrap();
    let page = chef.post(&bench, "/console/rules/publish", &[("state", &seen), ("text", &other), ("note", "乙")]).await;
    assert_eq!(page.status, 409);
    // With open eyes it is published.
    let seen = state(&page);
    let page = chef.post(&bench, "/console/rules/publish", &[("state", &seen), ("text", &other), ("note", "乙")]).await;
    assert_eq!(page.status, 303, "{}", page.text);
}

#[tokio::test]
async fn who_may_not_edit_the_rules_may_read_them() {
    let bench = Bench::start().await;
    account(&bench, "li", Role::Clerk).await;
    let mut li = inside(&bench, "li").await;
    let list = li.get(&bench, "/console/rules").await;
    assert!(list.status == 200 && !list.text.contains("/console/rules/edit") && !list.text.contains("/activate"));
    let page =
        li.post(&bench, "/console/rules/assess", &[("sample", "<script>alert(1)</script>路灯坏了，请修理")]).await;
    assert!(page.status == 200 && page.text.contains("依据"), "{}", page.text);
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    assert_eq!(li.post(&bench, "/console/rules/publish", &[("text", "x")]).await.status, 403);
}
