//! Several folders, a day to begin at, and what is done with mails that are stored.

use super::*;

fn with(settings: &Settings, changes: &serde_json::Value) -> Settings {
    let mut table = serde_json::to_value(settings).unwrap();
    table.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let settings: Settings = serde_json::from_value(table).unwrap();
    assert_eq!(settings.validate(), []);
    settings
}

/// What the gateway does with a page: commits it, then confirms.
async fn run(pull: &mut dyn Pull, mut cursor: Option<Cursor>) -> (Vec<String>, Cursor) {
    let mut all = Vec::new();
    loop {
        let page = pull.pull(cursor.as_ref()).await.unwrap();
        all.extend(subjects(&page));
        pull.confirm(&page).await.unwrap();
        cursor = Some(page.cursor);
        if !page.more {
            return (all, cursor.unwrap());
        }
    }
}

fn uids(server: &Shared, folder: &str) -> Vec<u32> {
    server.lock().unwrap().mails_of(folder).iter().map(|(uid, _)| *uid).collect()
}

#[tokio::test]
async fn a01_one_folder_that_cannot_be_opened_does_not_stop_the_others() {
    let (server, settings) = serve(vec![(1, good(1)), (2, good(2)), (3, good(3))]);
    server.lock().unwrap().others =
        [("locked", 4), ("&VuJeAg-", 5)].map(|(name, number)| (name.to_owned(), vec![(1, good(number))])).into();
    server.lock().unwrap().locked.push("locked".to_owned());
    let settings = with(&settings, &serde_json::json!({"folders": ["INBOX", "locked", "no such", "团市"]}));
    let mut pull = reader(&settings, small());
    let (all, cursor) = run(&mut *pull, None).await;
    assert_eq!(all, ["1", "2", "3", "5"]);
    let fault = pull.trouble().unwrap();
    assert!(fault.message.contains("locked") && fault.message.contains("1 more"), "{fault}");

    // Once it is opened again it is read from where it was left off, and the trouble is over.
    server.lock().unwrap().locked.clear();
    server.lock().unwrap().others.insert("no".to_owned(), Vec::new());
    let settings = with(&settings, &serde_json::json!({"folders": ["INBOX", "locked", "团市"]}));
    let mut pull = reader(&settings, small());
    let (new, cursor) = run(&mut *pull, Some(cursor)).await;
    assert_eq!((new, pull.trouble()), (vec!["4".to_owned()], None));
    assert!(run(&mut *pull, Some(cursor)).await.0.is_empty());
}

#[tokio::test]
async fn where_no_folder_can_be_opened_the_pull_fails() {
    let (server, settings) = serve(Vec::new());
    server.lock().unwrap().locked.push("INBOX".to_owned());
    let settings = with(&settings, &serde_json::json!({"folders": ["INBOX", "no"]}));
    let mut pull = reader(&settings, small());
    let page = pull.pull(None).await.unwrap();
    assert!(page.items.is_empty() && page.more);
    assert_eq!(pull.pull(Some(&page.cursor)).await.unwrap_err().class, FaultClass::Configuration);
}

#[tokio::test]
async fn a_cursor_of_the_time_when_there_was_one_folder_holds_for_the_first() {
    let (_, settings) = serve(vec![(1, good(1)), (2, good(2))]);
    let old = Cursor(serde_json::json!({"uidvalidity": 7, "last_uid": 1}));
    let (all, cursor) = run(&mut *reader(&settings, small()), Some(old)).await;
    assert_eq!(all, ["2"]);
    assert_eq!(cursor.0, serde_json::json!({"folders": {"INBOX": {"uidvalidity": 7, "last_uid": 2}}}));
}

#[tokio::test]
async fn mails_from_before_the_day_are_passed_over_and_hold_up_nothing() {
    let old = (9000..9007).map(|uid| (uid, good(uid)));
    let (server, settings) = serve(old.chain([(9500, good(1))]).collect());
    // The scripted server ignores SINCE: what it finds is judged by its date.
    server.lock().unwrap().mails.extend([(20_000_000, good(2))]);
    server.lock().unwrap().mails.insert(0, (5, good(3)));
    let settings = with(&settings, &serde_json::json!({"since": "2026-11-01"}));
    let mut pull = reader(&settings, small());
    let (all, cursor) = run(&mut *pull, None).await;
    assert_eq!(all, ["3"]);
    assert_eq!(cursor.0["folders"]["INBOX"]["last_uid"], 20_000_000);
    server.lock().unwrap().mails.push((6, good(4)));
}

#[tokio::test]
async fn a14_unless_told_otherwise_nothing_is_changed() {
    let (server, settings) = serve((1..=5).map(|uid| (uid, good(uid))).collect());
    let mut pull = reader(&settings, small());
    let (all, _) = run(&mut *pull, None).await;
    assert!(pull.check().await.passed());
    assert_eq!(all.len(), 5);
    let server = server.lock().unwrap();
    let changing = ["SELECT", "UID STORE", "UID EXPUNGE", "EXPUNGE", "UID COPY", "UID MOVE", "CLOSE", "CREATE"];
    assert!(!server.said.iter().any(|said| changing.iter().any(|word| said.starts_with(word))), "{:?}", server.said);
}

#[tokio::test]
async fn stored_mails_are_marked_moved_or_deleted_once_and_what_is_not_stored_whole_stays() {
    for (capabilities, after) in [
        ("IMAP4rev1 ID", "mark_seen"),
        ("IMAP4rev1 MOVE UIDPLUS", "move"),
        ("IMAP4rev1 UIDPLUS", "move"),
        ("IMAP4rev1 MOVE UIDPLUS", "delete"),
    ] {
        let huge = Gives::Body([b"Subject: huge\r\n\r\n".as_slice(), &vec![b'x'; 100_000]].concat());
        let mails = vec![(1, good(1)), (2, Gives::Refuses), (3, huge), (4, good(4)), (5, good(5))];
        let (server, settings) = serve(mails);
        server.lock().unwrap().capabilities = capabilities;
        let move_to = (after == "move").then_some("done");
        let settings = with(&settings, &serde_json::json!({"after": after, "move_to": move_to}));
        let limits = Limits { page_items: 4, item_bytes: 50_000, ..Limits::default() };
        let mut pull = reader(&settings, limits);
        let (all, cursor) = run(&mut *pull, None).await;
        assert_eq!((&all[..], pull.trouble()), (&["1", "!", "huge", "4", "5"].map(String::from)[..], None), "{after}");
        let told = |server: &Shared| {
            let said = server.lock().unwrap().said.clone();
            said.into_iter().filter(|said| ["STORE", "COPY", "MOVE"].iter().any(|word| said.contains(word))).count()
        };
        let before = told(&server);
        // Asked again, and by a process that knows only the cursor.
        let (none, cursor) = run(&mut *pull, Some(cursor)).await;
        assert!(none.is_empty() && told(&server) == before, "{after}: done once");
        let mut later = reader(&settings, limits);
        assert!(run(&mut *later, Some(cursor)).await.0.is_empty());
        let left = if after == "mark_seen" { vec![1, 2, 3, 4, 5] } else { vec![2, 3] };
        assert_eq!(uids(&server, "INBOX"), left, "{after}");
        assert_eq!(uids(&server, "done").len(), if after == "move" { 3 } else { 0 }, "{capabilities}");
        if after == "mark_seen" {
            let server = server.lock().unwrap();
            let mut seen: Vec<u32> = server.marked.iter().map(|(_, uid, _)| *uid).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, [1, 4, 5]);
        }
    }
}

#[tokio::test]
async fn a15_copies_do_not_pile_up_whatever_breaks_between_copying_and_removing() {
    // After the server has done which command the connection breaks, and whether the gateway is killed with it.
    for (breaks, killed) in [("UID COPY", false), ("UID COPY", true), ("UID STORE", true), ("UID EXPUNGE", true)] {
        let (server, settings) = serve((1..=5).map(|uid| (uid, good(uid))).collect());
        server.lock().unwrap().capabilities = "IMAP4rev1 UIDPLUS";
        let settings = with(&settings, &serde_json::json!({"after": "move", "move_to": "done"}));
        let mut pull = reader(&settings, Limits::default());
        let page = pull.pull(None).await.unwrap();
        server.lock().unwrap().breaks_after = Some(breaks);
        server.lock().unwrap().others.insert("done".to_owned(), vec![(1, good(77))]);
        pull.confirm(&page).await.unwrap();
        assert!(pull.trouble().is_some(), "{breaks}");
        if killed {
            pull = reader(&settings, Limits::default());
        }
        let (again, cursor) = run(&mut *pull, Some(page.cursor)).await;
        assert!(again.is_empty(), "{breaks}");
        assert_eq!(pull.trouble(), None, "{breaks}");
        for _ in 0..3 {
            run(&mut *reader(&settings, Limits::default()), Some(cursor.clone())).await;
        }
        assert!(uids(&server, "INBOX").is_empty(), "{breaks}");
        assert_eq!(uids(&server, "done").len(), 6, "{breaks}: the five, each once, beside what was there");
    }
}

#[tokio::test]
async fn a15_killed_between_commit_and_confirm_the_move_is_made_good() {
    for capabilities in ["IMAP4rev1 MOVE UIDPLUS", "IMAP4rev1 UIDPLUS"] {
        let (server, settings) = serve((1..=5).map(|uid| (uid, good(uid))).collect());
        server.lock().unwrap().capabilities = capabilities;
        let settings = with(&settings, &serde_json::json!({"after": "move", "move_to": "done"}));
        let page = reader(&settings, Limits::default()).pull(None).await.unwrap();
        assert_eq!(uids(&server, "INBOX").len(), 5, "nothing is done before the commit");
        let mut pull = reader(&settings, Limits::default());
        let (none, cursor) = run(&mut *pull, Some(page.cursor)).await;
        assert!(none.is_empty());
        run(&mut *pull, Some(cursor)).await;
        assert_eq!((uids(&server, "INBOX").len(), uids(&server, "done").len()), (0, 5), "{capabilities}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_to_move_is_told_of_and_read_all_the_same() {
    let (server, settings) = serve((1..=5).map(|uid| (uid, good(uid))).collect());
    server.lock().unwrap().capabilities = "IMAP4rev1 MOVE UIDPLUS";
    server.lock().unwrap().locked.push("done".to_owned());
    let settings = with(&settings, &serde_json::json!({"after": "move", "move_to": "done"}));
    let mut pull = reader(&settings, small());
    let (all, cursor) = run(&mut *pull, None).await;
    assert_eq!(all.len(), 5, "a move that fails keeps nothing from being read");
    assert!(pull.trouble().unwrap().message.contains("cannot be moved"));
    assert_eq!(cursor.0["folders"]["INBOX"]["owed"], serde_json::json!([[1, 5]]), "and is owed");
    server.lock().unwrap().locked.clear();
    let mut pull = reader(&settings, small());
    let (_, cursor) = run(&mut *pull, Some(cursor)).await;
    assert_eq!((uids(&server, "done").len(), pull.trouble()), (5, None), "{cursor:?}");
}
