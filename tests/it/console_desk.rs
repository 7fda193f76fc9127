//! Entries, decisions, tickets and the lists of work in the console, from the outside.

use connectors::{
    clock::Clock as _,
    complaint::{Attachment, Petitioner},
};
use jiesu::{
    assess::{Disposition, Kind, ShownComplaint},
    ids::EntryId,
    issue::{Outcome, PETITIONER},
    seal::SealContext,
    store::{
        accounts::Role,
        read::{EntrySummary, Place},
        search::EntryFilter,
    },
};
use reqwest::Method;
use serde_json::json;

use crate::{
    bench::{ADMIN, Bench, Said, matters},
    console::{Guest, account, inside},
};

/// What tries to run wherever it is shown.
const SCRIPT: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>";

async fn clerk(bench: &Bench) -> Guest {
    account(bench, "li", Role::Clerk).await;
    inside(bench, "li").await
}

/// So many entries that a person must decide about.
fn doubtful(count: usize) -> Vec<Said> {
    let mut said = matters(count);
    for one in &mut said {
        one.disposition = Disposition::Hold;
    }
    said
}

/// Newest first.
async fn all(bench: &Bench) -> Vec<EntrySummary> {
    bench.store.entries(&EntryFilter::default(), 100).await.unwrap()
}

async fn entry(bench: &Bench, id: EntryId) -> EntrySummary {
    bench.store.entry(id).await.unwrap().summary
}

/// Lets rulings take effect and issues what they put on the work list: it is what was said of these.
async fn take_effect(bench: &Bench, said: &[Said]) {
    assert_eq!(bench.store.release_rulings(bench.clock.now()).await.unwrap(), said.len());
    let candidates = bench.candidates(said).await;
    bench.commit(&candidates).await.unwrap();
}

#[tokio::test]
async fn entries_are_found_by_number_place_words_time_and_connector() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    let mut said = matters(2);
    said[1].disposition = Disposition::Decline;
    said[1].text = "文圣区路灯坏了，50%的路不亮。".to_owned();
    bench.issue(&said).await;
    bench.advance(24 * 3600);
    let mut clerk_again = inside(&bench, "li").await;
    bench.issue(&doubtful(1).into_iter().map(|one| Said { id: "late".to_owned(), ..one }).collect::<Vec<_>>()).await;
    let [late, declined, ticket] = &all(&bench).await[..] else { panic!("three entries") };
    let (late, declined, ticket) = (late.id, declined.id, ticket.clone());

    for (query, found) in [
        (String::new(), vec![late, declined, ticket.id]),
        ("place=ticket".to_owned(), vec![ticket.id]),
        ("place=merged".to_owned(), vec![]),
        ("place=declined".to_owned(), vec![declined]),
        ("place=held".to_owned(), vec![late]),
        ("place=quarantined".to_owned(), vec![]),
        ("place=pending".to_owned(), vec![]),
        ("connector=portal".to_owned(), vec![late, declined, ticket.id]),
        ("connector=portal&place=ticket".to_owned(), vec![ticket.id]),
        ("connector=portal&place=held".to_owned(), vec![late]),
        ("connector=nowhere".to_owned(), vec![]),
        ("words=%E8%B7%AF%E7%81%AF".to_owned(), vec![declined]),
        ("words=%E8%B7%AF%E7%81%AF+50%25".to_owned(), vec![declined]),
        ("words=%E8%B7%AF%E7%81%AF+%25%25".to_owned(), vec![]),
        ("since=2026-11-24".to_owned(), vec![late]),
        ("until=2026-11-23".to_owned(), vec![declined, ticket.id]),
        ("since=2026-11-23&until=2026-11-24&place=held".to_owned(), vec![late]),
        ("since=2026-12-01".to_owned(), vec![]),
    ] {
        let page = clerk_again.get(&bench, &format!("/console/entries?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        let links: Vec<EntryId> = page
            .text
            .split("data-key=\"o\" href=\"/console/entries/")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(links, found, "{query}");
        assert_eq!(page.text.contains("没有符合条件的来件"), found.is_empty(), "{query}");
    }
    let number = ticket.ticket.unwrap();
    for (asked, leads) in [
        (ticket.id.to_string(), format!("/console/entries/{}", ticket.id)),
        (number.to_string(), format!("/console/tickets/{number}")),
    ] {
        let page = clerk_again.get(&bench, &format!("/console/entries?number={asked}")).await;
        assert_eq!((page.status, page.location()), (303, leads.as_str()));
        assert_eq!(clerk_again.get(&bench, &leads).await.status, 200, "{leads}");
    }
    assert!(clerk_again.get(&bench, "/console/entries?number=999").await.text.contains("没有这个编号"));
    assert_eq!(clerk.get(&bench, "/console/entries").await.status, 303, "a session of yesterday");
}

#[tokio::test]
async fn a_search_looks_at_a_bounded_number_of_entries_and_goes_on_from_there() {
    let bench = Bench::start().await;
    bench.issue(&matters(12)).await;
    let words = vec!["白塔区第0小区".to_owned()];
    let mut filter = EntryFilter { words, ..EntryFilter::default() };
    let (mut looks, mut named) = (0, Vec::new());
    loop {
        let found = bench.store.search_among(&filter, 5, 4).await.unwrap();
        looks += 1;
        assert!(found.entries.len() <= 1 && found.stopped == found.next.is_some());
        named.extend(found.entries.into_iter().map(|entry| entry.title.unwrap()));
        let Some(next) = found.next else { break };
        filter.before = Some(next);
    }
    assert!(looks >= 3, "{looks}");
    assert_eq!(named, ["白塔区第0小区自来水停了两天"]);
    filter.before = None;
    let paged = bench.store.search_entries(&EntryFilter::default(), 5).await.unwrap();
    assert_eq!((paged.entries.len(), paged.next, paged.stopped), (5, Some(paged.entries[4].id), false));
    assert_eq!(bench.store.entries(&filter, 5).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_petitioner_is_looked_for_without_the_number_in_an_address_or_the_trail() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    bench.issue(&matters(3)).await;
    let page =
        clerk.post(&bench, "/console/entries/search", &[("contact", "1390000 0001"), ("reason", "来电查询")]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.text.matches("data-row").count(), 1, "{}", page.text);
    assert!(!page.text.contains("data-live"), "nobody asks for it again by itself");
    let page = clerk.post(&bench, "/console/entries/search", &[("contact", "12345")]).await;
    assert!(page.text.contains("不是完整的电话或邮箱"), "{}", page.text);
    let trail = bench.store.audit_rows(0, 100).await.unwrap();
    let row = trail.last().unwrap();
    assert_eq!(
        (row.actor.as_str(), row.action.as_str(), row.subject.as_str()),
        ("console:li", "entry.search", "phone")
    );
    assert_eq!(row.reason.as_deref(), Some("来电查询"));
    assert!(!format!("{trail:?}").contains("1390000"));
}

#[tokio::test]
async fn a18_what_citizens_write_stays_text_on_every_page_of_the_desk() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    let mut said = matters(3);
    said[1].disposition = Disposition::Hold;
    for one in &mut said {
        one.text = format!("<html><body>{SCRIPT}{}</body></html>", one.id);
    }
    bench.take(&said).await;
    let mut candidates = bench.candidates(&said).await;
    for candidate in &mut candidates {
        let id = candidate.entry.to_string();
        let Outcome::Assessed(assessed) = &mut candidate.outcome else { panic!("assessed") };
        assessed.verdict.shown = ShownComplaint {
            subject: Some(SCRIPT.to_owned()),
            body: format!("{SCRIPT}{id}"),
            request: Some(SCRIPT.to_owned()),
            place: Some(SCRIPT.to_owned()),
            parties: Some(SCRIPT.to_owned()),
            attachments: vec![Attachment {
                name: Some(format!("{SCRIPT}.html")),
                media_type: SCRIPT.to_owned(),
                sniffed: Some(SCRIPT.to_owned()),
                size: 3,
                digest: String::new(),
                part: 1,
            }],
            ..ShownComplaint::default()
        };
        assessed.verdict.grounds.evidence = vec![SCRIPT.to_owned()];
        assessed.verdict.grounds.against = vec![SCRIPT.to_owned()];
        let petitioner = Petitioner { name: Some(SCRIPT.to_owned()), ..Petitioner::default() };
        assessed.sealed_petitioner =
            bench.api.keyring.seal_json(SealContext::new(PETITIONER, &id), &petitioner).unwrap();
    }
    candidates[2].outcome = Outcome::Unreadable { stage: "normalise", reason: SCRIPT.to_owned() };
    bench.commit(&candidates).await.unwrap();
    let [quarantined, held, ticket] = &all(&bench).await[..] else { panic!("three entries") };
    assert_eq!([quarantined.place, held.place, ticket.place], [Place::Quarantine, Place::Held, Place::Ticket]);

    let mut pages = vec!["/console/held".to_owned(), "/console/quarantine".to_owned(), "/console/entries".to_owned()];
    pages.extend([quarantined, held, ticket].map(|entry| format!("/console/entries/{}", entry.id)));
    pages.push(format!("/console/tickets/{}", ticket.ticket.unwrap()));
    pages.push(format!(
        "/console/entries?words={}",
        form_urlencoded::byte_serialize(SCRIPT.as_bytes()).collect::<String>()
    ));
    let mut seen = Vec::new();
    for path in pages {
        let page = clerk.get(&bench, &path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        seen.push((path, page.text));
    }
    for entry in [quarantined, held, ticket] {
        let path = format!("/console/entries/{}/unseal", entry.id);
        let page = clerk.post(&bench, &path, &[("reason", SCRIPT)]).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        seen.push((path, page.text));
    }
    let path = "/console/entries/search".to_owned();
    let page = clerk.post(&bench, &path, &[("contact", SCRIPT), ("reason", SCRIPT)]).await;
    seen.push((path, page.text));
    for (path, text) in seen {
        assert!(text.contains("&#60;script&#62;"), "{path} does not show it");
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{path}:\n{text}");
    }
}

#[tokio::test]
async fn unsealing_needs_a_reason_is_written_down_and_shown_in_that_answer_alone() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    bench.issue(&matters(1)).await;
    let id = all(&bench).await[0].id;
    let (page, path) = (format!("/console/entries/{id}"), format!("/console/entries/{id}/unseal"));
    let refused = clerk.post(&bench, &path, &[]).await;
    assert!(refused.status == 422 && refused.text.contains("请写明原因"), "{}", refused.text);
    assert!(!bench.store.audit_rows(0, 100).await.unwrap().iter().any(|row| row.action == "entry.unseal"));

    let opened = clerk.post(&bench, &path, &[("reason", "承办单位需要联系诉求人")]).await;
    assert!(opened.text.contains("王小明") && opened.text.contains("13900000000"), "{}", opened.text);
    assert!(opened.text.contains("白塔区第0小区自来水停了两天"));
    assert_eq!(opened.headers["cache-control"], "no-store");
    assert!(!opened.text.contains("data-live"), "nothing asks for it again by itself");
    let story = clerk.get(&bench, &page).await;
    assert!(!story.text.contains("王小明") && !story.text.contains("13900000000"), "{}", story.text);
    assert!(story.text.contains("承办单位需要联系诉求人"), "its trail is told");
    let trail = bench.store.audit_of(&id.to_string(), "entry.", 10).await.unwrap();
    assert_eq!((trail.len(), trail[0].actor.as_str(), trail[0].action.as_str()), (1, "console:li", "entry.unseal"));

    account(&bench, "wang", Role::Viewer).await;
    let mut viewer = inside(&bench, "wang").await;
    let story = viewer.get(&bench, &page).await;
    assert!(!story.text.contains("承办单位需要联系诉求人") && !story.text.contains("/unseal"), "{}", story.text);
    assert_eq!(clerk.ask(&bench, Method::GET, &path, None).await.status, 405, "no address shows it again");
}

#[tokio::test]
async fn a_ruling_can_be_taken_back_until_it_takes_effect() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    let said = doubtful(3);
    bench.issue(&said).await;
    let ids: Vec<String> = all(&bench).await.iter().rev().map(|entry| entry.id.to_string()).collect();
    let rows = async |clerk: &mut Guest| clerk.get(&bench, "/console/held").await.text.matches("data-row").count();
    assert_eq!(rows(&mut clerk).await, 3);
    for (fields, wrong) in [
        (vec![("choice", "accept 6"), ("reason", "属实")], "请先勾选来件"),
        (vec![("id", ids[0].as_str()), ("reason", "属实")], "请选择结论"),
        (vec![("id", ids[0].as_str()), ("choice", "decline 7(1)"), ("reason", "属实")], "请选择结论"),
        (vec![("id", ids[0].as_str()), ("choice", "accept 6")], "请写明原因"),
    ] {
        let page = clerk.post(&bench, "/console/held", &fields).await;
        assert!(page.status == 422 && page.text.contains(wrong), "{fields:?}: {}", page.text);
    }
    let fields = [("id", ids[0].as_str()), ("id", ids[1].as_str()), ("choice", "accept 6"), ("reason", "经电话核实")];
    let page = clerk.post(&bench, "/console/held", &fields).await;
    assert_eq!((page.status, page.location()), (303, "/console/held?done=ruled"), "{}", page.text);
    assert_eq!(rows(&mut clerk).await, 1, "what is ruled on is off the list");
    bench.advance(14);
    assert_eq!(bench.store.release_rulings(bench.clock.now()).await.unwrap(), 0, "not yet");
    let page = clerk.get(&bench, "/console/held").await;
    assert!(page.text.contains("还有 1 秒") && page.text.contains("经电话核实"), "{}", page.text);

    // One is taken back: nothing became of it, and it is there again.
    assert_eq!(
        clerk.post(&bench, "/console/held/undo", &[("id", ids[0].as_str())]).await.location(),
        "/console/held?done=undone"
    );
    assert_eq!(rows(&mut clerk).await, 2);
    bench.advance(1);
    take_effect(&bench, &said[1..2]).await;
    let issued = entry(&bench, ids[1].parse().unwrap()).await;
    assert_eq!(issued.place, Place::Ticket);
    assert_eq!(entry(&bench, ids[0].parse().unwrap()).await.place, Place::Held);
    let page = clerk.post(&bench, "/console/held/undo", &[("id", ids[1].as_str()), ("entry", "1")]).await;
    assert_eq!(page.location(), format!("/console/entries/{}?done=undo_late", ids[1]));
    let story = clerk.get(&bench, &format!("/console/entries/{}", ids[1])).await;
    for words in ["经电话核实", "第六条", &issued.ticket.unwrap().to_string(), "entry.decide"] {
        assert!(story.text.contains(words), "{words}: {}", story.text);
    }
    let acts = async |id: &str| {
        let trail = bench.store.audit_of(id, "entry.", 10).await.unwrap();
        trail.into_iter().map(|row| row.action).rev().collect::<Vec<_>>()
    };
    assert_eq!(acts(&ids[0]).await, ["entry.decide", "entry.undo"]);
    assert_eq!(acts(&ids[1]).await, ["entry.decide"]);
    assert!(bench.store.accounting().await.unwrap().balances());
}

#[tokio::test]
async fn a_declined_entry_is_accepted_into_a_ticket_and_a_ruling_on_a_ticket_is_refused() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    let mut said = matters(2);
    said[1].disposition = Disposition::Decline;
    bench.issue(&said).await;
    let [declined, ticket] = &all(&bench).await[..] else { panic!("two entries") };
    let number = ticket.ticket.unwrap().to_string();
    let path = format!("/console/entries/{}/decide", declined.id);
    let wrong =
        clerk.post(&bench, &path, &[("choice", "accept 6"), ("reason", "属实"), ("into", "261123-00000X-0")]).await;
    assert!(wrong.status == 422 && wrong.text.contains("工单编号不对"), "{}", wrong.text);
    let fields = [("choice", "accept 6"), ("reason", "同一停水"), ("kind", "help"), ("into", number.as_str())];
    let page = clerk.post(&bench, &path, &fields).await;
    assert_eq!(page.location(), format!("/console/entries/{}?done=ruled", declined.id), "{}", page.text);
    assert!(clerk.get(&bench, &format!("/console/entries/{}", declined.id)).await.text.contains("id=\"undo\""));
    bench.advance(15);
    take_effect(&bench, &said[1..]).await;
    let story = bench.store.entry(declined.id).await.unwrap();
    assert_eq!(story.summary.ticket, ticket.ticket);
    let complaint = story.complaint.unwrap();
    assert_eq!((complaint.kind, complaint.matching.sign.as_deref()), (Kind::Help, Some("person")));
    let dispositions: Vec<Disposition> = story.decisions.iter().map(|decision| decision.disposition).collect();
    assert_eq!(dispositions, [Disposition::Decline, Disposition::Accept], "both stay written");
    assert!(story.decisions.iter().all(|decision| decision.grounds.is_some()), "each says what it rested on");
    assert_eq!(bench.store.ticket(ticket.ticket.unwrap()).await.unwrap().co_reports, 1);

    let page = clerk.post(&bench, &path, &[("choice", "decline 8(1)"), ("reason", "不属实")]).await;
    assert_eq!(page.status, 409, "{}", page.text);
    let asked = json!({ "disposition": "decline", "article": "8(1)", "reason": "不属实", "kind": "help" });
    let answer = bench.post(ADMIN, &format!("/v1/entries/{}/decide", declined.id), asked).await;
    assert_eq!((answer.status, answer.code()), (422, "invalid"), "{}", answer.text);
    // It can be taken out again, and never comes back there.
    let page = clerk.post(&bench, &format!("/console/entries/{}/split", declined.id), &[("reason", "另一小区")]).await;
    assert_eq!(page.status, 303, "{}", page.text);
    let candidates = bench.candidates(&said[1..]).await;
    bench.commit(&candidates).await.unwrap();
    let own = entry(&bench, declined.id).await.ticket.unwrap();
    assert_ne!(Some(own), ticket.ticket);
}

#[tokio::test]
async fn tickets_are_merged_parted_and_given_another_kind() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    bench.issue(&matters(2)).await;
    let [other, kept] = &all(&bench).await[..] else { panic!("two entries") };
    let (other, kept) = (other.ticket.unwrap(), kept.ticket.unwrap());
    let at = format!("/console/tickets/{kept}");
    let before = bench.store.ticket(kept).await.unwrap();
    let leased = bench.lease("handling", 10, 60).await;
    for delivery in &leased {
        bench.settle(delivery, "acknowledge", None).await;
    }

    let page = clerk.post(&bench, &format!("{at}/kind"), &[("kind", "consult"), ("reason", "只是询问")]).await;
    assert_eq!((page.status, page.location()), (303, format!("{at}?done=kind").as_str()), "{}", page.text);
    let changed = bench.store.ticket(kept).await.unwrap();
    assert_eq!((changed.kind, changed.complaints[0].kind), (Kind::Consult, Kind::Consult));
    assert!(changed.complete_due < before.complete_due && changed.version > before.version, "{changed:?}");
    assert_eq!(bench.lease("handling", 10, 60).await.len(), 1, "the handling system is told");
    let asked = json!({ "kind": "complain", "reason": "确为投诉" });
    let answer = bench.post(ADMIN, &format!("/v1/tickets/{kept}/kind"), asked).await;
    assert_eq!((answer.status, &answer.body["kind"]), (200, &json!("complain")), "{}", answer.text);
    assert_eq!(bench.store.ticket(kept).await.unwrap().complete_due, before.complete_due);

    let merged =
        clerk.post(&bench, &format!("{at}/merge"), &[("merged", &other.to_string()), ("reason", "同一停水")]).await;
    assert_eq!(merged.status, 303, "{}", merged.text);
    let page = clerk.get(&bench, &at).await;
    assert!(page.text.contains("同一停水") && page.text.contains(&other.to_string()), "{}", page.text);
    let page = clerk.get(&bench, &format!("/console/tickets/{other}")).await;
    assert!(page.text.contains("已并入工单") && page.text.contains("撤销并案"), "{}", page.text);
    let page = clerk.post(&bench, &format!("/console/tickets/{other}/unmerge"), &[("reason", "不是一处")]).await;
    assert_eq!(page.status, 303, "{}", page.text);
    assert!(clerk.get(&bench, &at).await.text.contains("不是一处"));
    assert_eq!(bench.store.ticket(other).await.unwrap().merged_into, None);
    for action in ["ticket.kind", "ticket.merge", "ticket.unmerge"] {
        let trail = bench.store.audit_rows(0, 100).await.unwrap();
        let row = trail.iter().find(|row| row.action == action);
        assert_eq!(row.map(|row| row.actor.as_str()), Some("console:li"), "{action}");
    }
    assert_eq!(clerk.get(&bench, "/console/tickets/nonsense").await.status, 404);
}

#[tokio::test]
async fn quarantined_entries_are_read_again_many_at_once() {
    let bench = Bench::start().await;
    let mut clerk = clerk(&bench).await;
    assert!(clerk.get(&bench, "/console/quarantine").await.text.contains("没有隔离的来件"));
    assert!(clerk.get(&bench, "/console/held").await.text.contains("没有待人工的来件"));
    let said = matters(2);
    bench.take(&said).await;
    let mut candidates = bench.candidates(&said).await;
    for candidate in &mut candidates {
        let reason = "第 3 列缺失".to_owned();
        candidate.outcome = Outcome::Unreadable { stage: "normalise", reason };
    }
    bench.commit(&candidates).await.unwrap();
    let page = clerk.get(&bench, "/console/quarantine").await;
    assert_eq!(page.text.matches("第 3 列缺失").count(), 2, "{}", page.text);
    let ids: Vec<String> = all(&bench).await.iter().map(|entry| entry.id.to_string()).collect();
    let path = format!("/console/entries/{}/decide", ids[0]);
    let page = clerk.post(&bench, &path, &[("choice", "accept 6"), ("reason", "属实")]).await;
    assert!(page.status == 422 && page.text.contains("无法读取的来件不能裁定"), "{}", page.text);
    let fields = [("id", ids[0].as_str()), ("id", ids[1].as_str()), ("reason", "映射已改正")];
    assert_eq!(clerk.post(&bench, "/console/quarantine", &fields[..2]).await.status, 422);
    assert_eq!(
        clerk.post(&bench, "/console/quarantine", &fields).await.location(),
        "/console/quarantine?done=replayed"
    );
    let candidates = bench.candidates(&said).await;
    bench.commit(&candidates).await.unwrap();
    assert!(clerk.get(&bench, "/console/quarantine").await.text.contains("没有隔离的来件"));
    assert_eq!(bench.store.accounting().await.unwrap().in_tickets, 2);
}
