//! Connectors, the queue and notices in the console, from the outside.

use connectors::clock::Clock as _;
use jiesu::{
    config::ConnectorDefinition,
    store::{accounts::Role, connectors::Origin},
};

use crate::{
    bench::{Bench, CONNECTOR, matters},
    console::{account, inside},
    harness::name,
};

#[tokio::test]
async fn a_connector_is_made_changed_and_never_shows_its_secret() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let mut chef = inside(&bench, "chef").await;
    assert!(chef.get(&bench, "/console/connectors/new").await.text.contains("网易 163 信箱"));
    let path = "/console/connectors/new/mailbox-163";
    let page = chef.get(&bench, path).await;
    assert!(page.status == 200 && page.text.contains("口令或授权码"), "{}", page.text);

    let own =
        [("every_seconds", "60"), ("timeout_seconds", "120"), ("per_minute", "60"), ("burst", "5"), ("notify", "1")];
    let with = |more: &[(&'static str, &'static str)]| [&own[..], more].concat();
    let settings = [
        ("/host", "imap.163.com"),
        ("/tls", "implicit"),
        ("/folder", "INBOX"),
        ("/idle", "1"),
        ("/smtp/host", "smtp.163.com"),
        ("/smtp/tls", "implicit"),
        ("/user", "shizhang@163.com"),
        ("/password", "eine-geheime-phrase"),
    ];
    for (fields, wrong) in [
        (with(&[("name", "Mayor Box")]), "名称只能用小写"),
        (with(&[("name", "mayor"), ("/host", "imap.163.com")]), "`user` is missing"),
        (with(&[&[("name", CONNECTOR)], &settings[..]].concat()), "已有同名接入点"),
    ] {
        let page = chef.post(&bench, path, &fields).await;
        assert!(page.status == 422 && page.text.contains(wrong), "{wrong}: {}", page.text);
        assert!(!page.text.contains("eine-geheime-phrase"), "a secret came back");
    }
    let page = chef.post(&bench, path, &with(&[&[("name", "mayor-mailbox")], &settings[..]].concat())).await;
    assert_eq!((page.status, page.location()), (303, "/console/connectors/mayor-mailbox?done=added"), "{}", page.text);

    let stored = bench.store.connector(&name("mayor-mailbox")).await.unwrap();
    assert_eq!((stored.origin, stored.enabled), (Origin::Console, false));
    assert!(!stored.definition.contains("eine-geheime-phrase"), "{}", stored.definition);
    let definition: ConnectorDefinition = serde_json::from_str(&stored.definition).unwrap();
    assert_eq!(definition.settings["smtp"]["from"], "shizhang@163.com", "copied from the user");
    let file = definition.settings["password"]["file"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), "eine-geheime-phrase");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    for path in ["/console/connectors/mayor-mailbox", "/console/connectors/mayor-mailbox/edit", "/console/audit"] {
        assert!(!chef.get(&bench, path).await.text.contains("eine-geheime-phrase"), "{path}");
    }

    // An empty secret keeps the old one; another setting changes.
    let edit = "/console/connectors/mayor-mailbox/edit";
    let page = chef.get(&bench, edit).await;
    assert!(page.text.contains("已设置；留空则不变"));
    let generation = stored.generation.to_string();
    let mut fields = with(&settings[..7]);
    fields.extend([("/smtp/user", "shizhang@163.com"), ("/smtp/from", "shizhang@163.com"), ("/port", "1993")]);
    let mut stale: Vec<(&str, &str)> = fields.clone();
    fields.push(("generation", &generation));
    assert_eq!(chef.post(&bench, edit, &fields).await.status, 303);
    let changed = bench.store.connector(&name("mayor-mailbox")).await.unwrap();
    let definition: ConnectorDefinition = serde_json::from_str(&changed.definition).unwrap();
    assert_eq!((&definition.settings["password"]["file"], &definition.settings["port"]), (&file.into(), &1993.into()));
    stale.push(("generation", &generation));
    assert_eq!(chef.post(&bench, edit, &stale).await.status, 409, "changed meanwhile by somebody else");
}

#[tokio::test]
async fn a_connector_of_the_file_is_switched_here_and_changed_there() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let mut chef = inside(&bench, "chef").await;
    let at = format!("/console/connectors/{CONNECTOR}");
    let page = chef.get(&bench, &format!("{at}/edit")).await;
    assert!(page.status == 409 && page.text.contains("来自配置文件"), "{}", page.text);
    assert_eq!(chef.post(&bench, &format!("{at}/disable"), &[]).await.status, 303);
    assert!(!bench.store.connector(&name(CONNECTOR)).await.unwrap().enabled);
    assert!(chef.get(&bench, &at).await.text.contains("已停用"));
    let page = chef.post(&bench, &format!("{at}/pause"), &[("minutes", "15")]).await;
    assert_eq!(page.status, 422, "what is off is not paused");
    assert_eq!(chef.post(&bench, &format!("{at}/enable"), &[]).await.status, 303);
    assert_eq!(chef.post(&bench, &format!("{at}/run"), &[]).await.status, 303);
    assert!(bench.store.connector(&name(CONNECTOR)).await.unwrap().run_requested);

    assert_eq!(chef.post(&bench, &format!("{at}/pause"), &[("minutes", "15")]).await.status, 303);
    assert!(chef.get(&bench, "/console/connectors").await.text.contains("已暂停"));
    assert_eq!(bench.store.end_pauses(bench.clock.now()).await.unwrap(), 0);
    bench.advance(15 * 60);
    assert_eq!(bench.store.end_pauses(bench.clock.now()).await.unwrap(), 1);
    assert!(bench.store.connector(&name(CONNECTOR)).await.unwrap().enabled, "a pause ends by itself");

    let mut chef = inside(&bench, "chef").await;
    let page = chef.post(&bench, &format!("{at}/rewind"), &[("cursor", "{}")]).await;
    assert!(page.status == 422 && page.text.contains("请写明原因"));
    let page = chef.post(&bench, &format!("{at}/rewind"), &[("cursor", "nonsense"), ("reason", "补收")]).await;
    assert_eq!(page.status, 422);
    let page = chef.post(&bench, &format!("{at}/rewind"), &[("cursor", "{\"at\": 3}"), ("reason", "补收")]).await;
    assert_eq!(page.status, 303);
    assert_eq!(bench.store.connector(&name(CONNECTOR)).await.unwrap().cursor.unwrap().0["at"], 3);
    let trail = bench.store.audit_rows(0, 100).await.unwrap();
    let rewound = trail.iter().find(|row| row.action == "connector.rewind").unwrap();
    assert_eq!((rewound.actor.as_str(), rewound.reason.as_deref()), ("console:chef", Some("补收")));
}

#[tokio::test]
async fn a_folder_is_tried_and_looked_into_without_changing_it() {
    let bench = Bench::start().await;
    account(&bench, "chef", Role::Admin).await;
    let mut chef = inside(&bench, "chef").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("letters.csv"),
        "编号,日期,姓名,电话,内容\nX-1,2026/11/3,王小明,13900001111,路灯不亮\n",
    )
    .unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    std::fs::File::options().append(true).open(folder.path().join("letters.csv")).unwrap().set_modified(old).unwrap();
    let at = folder.path().display().to_string();
    let fields = [
        ("name", "letters"),
        ("every_seconds", "60"),
        ("timeout_seconds", "120"),
        ("per_minute", "60"),
        ("burst", "5"),
        ("/folder", at.as_str()),
        ("/encoding", "auto"),
        ("/settle_seconds", "0"),
    ];
    let page = chef.post(&bench, "/console/connectors/new/letters", &fields).await;
    assert_eq!(page.status, 303, "{}", page.text);
    let page = chef.post(&bench, "/console/connectors/letters/test", &[]).await;
    assert!(page.status == 200 && page.text.contains("查看文件夹"), "{}", page.text);
    assert!(!page.text.contains("class=\"no\""), "{}", page.text);
    let page = chef.post(&bench, "/console/connectors/letters/preview", &[("cursor", "")]).await;
    assert!(page.text.contains("其中 1 件尚未收过"), "{}", page.text);
    assert!(!page.text.contains("13900001111"), "an item is named, not shown");
    assert!(
        folder.path().join("letters.csv").exists()
            && bench.store.connector(&name("letters")).await.unwrap().cursor.is_none()
    );
}

#[tokio::test]
async fn a_dead_letter_is_seen_and_requeued() {
    let bench = Bench::start().await;
    for (name, role) in [("chef", Role::Admin), ("li", Role::Clerk)] {
        account(&bench, name, role).await;
    }
    bench.issue(&matters(1)).await;
    let script = "<script>alert(1)</script>";
    for _ in 0..3 {
        let leased = bench.lease("handling", 1, 60).await;
        bench.settle(&leased[0], "fail", Some(script)).await;
        bench.advance(3600);
    }
    let mut chef = inside(&bench, "chef").await;
    let page = chef.get(&bench, "/console/queue").await;
    assert!(page.text.contains("&#60;script&#62;") && !page.text.contains("<script>alert"), "{}", page.text);
    let action = page.text.split("action=\"").find(|rest| rest.starts_with("/console/queue/")).unwrap();
    let action = action.split('"').next().unwrap();
    let mut clerk = inside(&bench, "li").await;
    assert_eq!(clerk.post(&bench, action, &[]).await.status, 403);
    assert!(!clerk.get(&bench, "/console/queue").await.text.contains("requeue"), "not offered either");
    let page = chef.post(&bench, action, &[("reason", "办理系统已修复")]).await;
    assert_eq!(page.location(), "/console/queue?done=requeued");
    assert!(chef.get(&bench, "/console/queue").await.text.contains("没有投递失败的工单"));
    assert_eq!(bench.lease("handling", 1, 60).await.len(), 1);
}

#[tokio::test]
async fn every_notice_can_be_seen_as_it_is_sent() {
    let bench = Bench::start().await;
    account(&bench, "wang", Role::Viewer).await;
    let mut wang = inside(&bench, "wang").await;
    let page = wang.get(&bench, "/console/notices/texts").await;
    for words in ["已受理", "第八条第(一)项", "并入", "辽阳市市长热线办公室"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(wang.get(&bench, "/console/notices?state=failed").await.text.contains("没有这样的告知"));
    assert!(wang.get(&bench, "/console/alarms").await.text.contains("没有告警"));
}
