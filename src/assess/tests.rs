//! Assessing from the outside: complaints in, verdicts out, by the shipped rules. The cases lie under
//! `fixtures/assess/`, each with what it must come to; every file there is run.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use connectors::{
    complaint::{Channel, Complaint, Machine, Nameless, Petitioner, Precision, Stamp},
    entry::Remark,
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Article, Assessor, Disposition, Kind, RuleSet, Urgency, Verdict};
use crate::number::TicketNumber;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    subject: Option<String>,
    #[serde(default)]
    body: String,
    request: Option<String>,
    place: Option<String>,
    parties: Option<String>,
    label: Option<String>,
    channel: Option<Channel>,
    name: Option<String>,
    phone: Option<String>,
    address: Option<String>,
    /// How many hours before its receipt it was made.
    hours_ago: Option<i64>,
    disposition: Option<Disposition>,
    article: Option<Article>,
    rule: Option<String>,
    kind: Option<Kind>,
    urgency: Option<Urgency>,
    /// Words that must stand in what the petitioner is told, and words that must not.
    #[serde(default)]
    asked: Vec<String>,
    #[serde(default)]
    not_asked: Vec<String>,
    shown: Option<String>,
    shown_place: Option<String>,
    /// Words that must not be seen anywhere in what handlers see.
    #[serde(default)]
    hidden: Vec<String>,
}

fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

fn assessor() -> Assessor {
    Assessor::new(Arc::new(RuleSet::shipped().unwrap()))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/assess")
}

fn complaint(case: &Case) -> Complaint {
    Complaint {
        petitioner: Petitioner {
            name: case.name.clone(),
            phones: case.phone.iter().cloned().collect(),
            address: case.address.clone(),
            ..Petitioner::default()
        },
        made_at: case
            .hours_ago
            .map(|hours| Stamp { at: now() - SignedDuration::from_hours(hours), precision: Precision::Second }),
        subject: case.subject.clone(),
        body: case.body.clone(),
        request: case.request.clone(),
        place: case.place.clone(),
        parties: case.parties.clone(),
        label: case.label.clone(),
        ..Complaint::default()
    }
}

fn differences(case: &Case, verdict: &Verdict) -> Vec<String> {
    let mut differences = Vec::new();
    let mut expect = |what: &str, expected: Option<String>, got: String| {
        if expected.as_ref().is_some_and(|expected| *expected != got) {
            differences.push(format!("{what}: expected {}, got {got}", expected.unwrap_or_default()));
        }
    };
    let grounds = &verdict.grounds;
    expect("disposition", case.disposition.map(|it| it.as_str().to_owned()), verdict.disposition.as_str().to_owned());
    expect("article", case.article.map(|it| it.to_string()), grounds.article.to_string());
    expect("rule", case.rule.clone(), grounds.rule.clone());
    expect("kind", case.kind.map(|it| it.as_str().to_owned()), verdict.kind.as_str().to_owned());
    expect("urgency", case.urgency.map(|it| it.as_str().to_owned()), verdict.urgency.as_str().to_owned());
    expect("shown", case.shown.clone(), verdict.shown.body.clone());
    expect("shown place", case.shown_place.clone(), verdict.shown.place.clone().unwrap_or_default());
    let advice = grounds.advice.as_deref().unwrap_or_default();
    for (words, wanted) in [(&case.asked, true), (&case.not_asked, false)] {
        for word in words.iter().filter(|word| advice.contains(word.as_str()) != wanted) {
            differences.push(format!("{word:?} is {}asked for in {advice:?}", if wanted { "not " } else { "" }));
        }
    }
    let seen = serde_json::to_string(&verdict.shown).unwrap() + &serde_json::to_string(grounds).unwrap();
    for word in &case.hidden {
        if seen.contains(word.as_str()) {
            differences.push(format!("{word:?} is seen"));
        }
    }
    if !differences.is_empty() {
        differences.push(format!("rule {} for {:?} against {:?}", grounds.rule, grounds.evidence, grounds.against));
    }
    differences
}

#[test]
fn every_case_comes_to_what_it_must() {
    let assessor = assessor();
    let (mut cases, mut failures) = (0, Vec::new());
    let mut clauses = BTreeSet::new();
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let file: File =
            toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        for case in file.case {
            cases += 1;
            let channel = case.channel.unwrap_or(Channel::MessageBoard);
            let verdict = assessor.assess(complaint(&case), channel, now());
            if verdict.disposition != Disposition::Accept {
                clauses.insert(verdict.grounds.article.to_string());
                assert!(verdict.grounds.advice.is_some(), "{:?} is given no advice", case.subject);
            }
            let differences = differences(&case, &verdict);
            if !differences.is_empty() {
                let name = case.subject.clone().unwrap_or_else(|| case.body.chars().take(30).collect());
                failures.push(format!("{}: {name}\n    {}", path.display(), differences.join("\n    ")));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {cases} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(cases >= 120, "only {cases} cases");
    for clause in ["7(1)", "7(2)", "7(3)", "7(4)", "8(1)", "8(2)", "8(3)", "13(4)"] {
        assert!(clauses.contains(clause), "no case reaches {clause}");
    }
}

#[test]
fn every_clause_of_articles_7_and_8_has_a_rule() {
    let rules = RuleSet::shipped().unwrap();
    let articles: BTreeSet<String> = rules.list().map(|(_, article, _)| article.to_string()).collect();
    for clause in ["7(1)", "7(2)", "7(3)", "7(4)", "8(1)", "8(2)", "8(3)"] {
        assert!(articles.contains(clause), "no rule for {clause}");
    }
}

#[test]
fn what_a_machine_wrote_is_declined_in_silence() {
    for (machine, rule) in [
        (Machine::Bounce, "machine.bounce"),
        (Machine::AutoReply, "machine.auto_reply"),
        (Machine::List, "machine.list"),
        (Machine::Own, "machine.own"),
    ] {
        let mut complaint =
            Complaint { body: "小区停水三天了，请尽快解决。".to_owned(), ..Complaint::default() };
        complaint.thread.machine = Some((machine, "Auto-Submitted: auto-replied".to_owned()));
        let verdict = assessor().assess(complaint, Channel::Mailbox, now());
        assert_eq!(verdict.disposition, Disposition::Decline);
        assert_eq!((verdict.grounds.rule.as_str(), verdict.grounds.article), (rule, Article::new(6)));
        assert_eq!(verdict.grounds.evidence, ["Auto-Submitted: auto-replied"]);
        assert!(verdict.silent);
    }
}

#[test]
fn a_follow_up_may_be_short_and_names_its_ticket() {
    let number = TicketNumber::new(jiff::civil::date(2026, 11, 23), 42).unwrap();
    let mut complaint = Complaint {
        subject: Some(format!("回复：{} 您的诉求已受理", number.token())),
        body: "已经好了".to_owned(),
        ..Complaint::default()
    };
    complaint.thread.answers = vec!["a@jiesu".to_owned()];
    let verdict = assessor().assess(complaint, Channel::Mailbox, now());
    assert_eq!(verdict.keys.ticket, Some(number.to_string()));
    assert_eq!(verdict.keys.answers, ["a@jiesu"]);
    assert_eq!(verdict.disposition, Disposition::Accept);
    let forged = Complaint { subject: Some("[工单 261123-000042-0]".to_owned()), ..Complaint::default() };
    let verdict = assessor().assess(forged, Channel::Mailbox, now());
    assert_eq!(
        verdict.keys.ticket.as_deref().map(|ticket| ticket.ends_with('0')),
        number.to_string().ends_with('0').then_some(true)
    );
}

#[test]
fn a_nameless_item_follows_its_channels_rule_only_where_it_would_be_accepted() {
    let rule = "《营商环境投诉处理办法》第七条";
    let body = "窗口三次退回我公司变更登记材料，每次要求都不一样，请一次性告知。";
    for (nameless, body, disposition, named) in [
        (None, body, Disposition::Accept, false),
        (Some(Nameless::Hold), body, Disposition::Hold, true),
        (Some(Nameless::Decline(rule.to_owned())), body, Disposition::Decline, true),
        (Some(Nameless::Decline(rule.to_owned())), "你好", Disposition::Hold, false),
    ] {
        let complaint = Complaint { body: body.to_owned(), nameless: nameless.clone(), ..Complaint::default() };
        let verdict = assessor().assess(complaint, Channel::BusinessEnvironment, now());
        assert_eq!(verdict.disposition, disposition, "{nameless:?} {:?}", verdict.grounds);
        assert_eq!(verdict.grounds.rule == "anonymous", named);
        if disposition == Disposition::Decline {
            assert_eq!(verdict.grounds.article, Article::clause(13, 4));
            assert!(verdict.grounds.advice.as_deref().is_some_and(|advice| advice.contains(rule)));
        }
    }
}

#[test]
fn keys_are_canonical_and_remarks_are_words() {
    let complaint = Complaint {
        petitioner: Petitioner {
            phones: vec!["+86 138-0000-1234".to_owned(), "13800001234".to_owned(), "匿名".to_owned()],
            emails: vec!["Li@163.COM".to_owned()],
            ..Petitioner::default()
        },
        made_at: Some(Stamp::second(now() + SignedDuration::from_hours(2))),
        body: "幸福小区三号楼路灯不亮已有一周，请派人维修。".to_owned(),
        remarks: vec![Remark::Oversize { size: Some(9), limit: 5 }],
        ..Complaint::default()
    };
    let verdict = assessor().assess(complaint.clone(), Channel::Mailbox, now());
    assert_eq!(verdict.keys.phones, ["13800001234"]);
    assert_eq!(verdict.keys.emails, ["li@163.com"]);
    assert!(verdict.keys.content.is_some());
    assert_eq!(verdict.shown.remarks.len(), 2, "{:?}", verdict.shown.remarks);
    assert_eq!(verdict, assessor().assess(complaint, Channel::Mailbox, now()));
}

#[test]
fn a_city_brings_its_own_places() {
    let places = "[places]\nhome = [\"甲市\"]\nelsewhere = [\"辽阳市\", \"乙市\"]\n";
    let rules = RuleSet::parse_with_places(RuleSet::shipped_text(), places).unwrap();
    let assessor = Assessor::new(Arc::new(rules));
    let about = |subject: &str| Complaint {
        subject: Some(subject.to_owned()),
        body: "小区门口的路坏了半年，没有人修，下雨天积水很深。".to_owned(),
        ..Complaint::default()
    };
    let disposition = |subject: &str| assessor.assess(about(subject), Channel::MessageBoard, now()).disposition;
    assert_eq!(disposition("辽阳市幸福小区门口道路破损"), Disposition::Decline);
    assert_eq!(disposition("甲市幸福小区门口道路破损"), Disposition::Accept);
}

#[test]
fn hostile_text_is_bounded() {
    let assessor = assessor();
    let started = std::time::Instant::now();
    for unit in ["法院判决不公", "沈阳市", "举报书记贪污", "追究", "我叫张三13800001234", "停水。", "\u{301}e", "ﷺ"]
    {
        let text = unit.repeat(200_000 / unit.chars().count());
        let complaint = Complaint { subject: Some(text.clone()), body: text, ..Complaint::default() };
        let verdict = assessor.assess(complaint, Channel::Mailbox, now());
        assert!(verdict.shown.remarks.iter().any(|remark| remark.contains("文字过长")), "{unit}");
        assert!(verdict.grounds.evidence.len() <= 8 && verdict.grounds.against.len() <= 32);
    }
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}
