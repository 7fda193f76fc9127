//! Every fixture is read and compared with what stands beside it; hostile input keeps its bounds and its time.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::complaint::Complaint;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    about: String,
    unreadable: bool,
    name: Option<String>,
    emails: Vec<String>,
    subject: Option<String>,
    body: String,
    made_at: Option<Timestamp>,
    recipients: Vec<String>,
    message_id: Option<String>,
    answers: Vec<String>,
    machine: Option<Machine>,
    attachments: Vec<ExpectedAttachment>,
    /// The kinds of remarks, each once.
    remarks: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAttachment {
    name: Option<String>,
    media_type: String,
    size: u64,
    part: u32,
}

fn own() -> OwnAddresses {
    OwnAddresses {
        addresses: vec!["12345@liaoyang.example.cn".to_owned()],
        message_id_domain: Some("jiesu.liaoyang.example.cn".to_owned()),
        forwarders: vec!["xinfang@liaoyang.example.cn".to_owned()],
    }
}

fn complaint(raw: &[u8]) -> Result<Complaint, Unreadable> {
    normalise(raw, &own(), &Bounds::default(), "2026-06-01T00:00:00Z".parse().unwrap())
}

fn kinds(remarks: &[Remark]) -> BTreeSet<String> {
    let kind = |remark: &Remark| match remark {
        Remark::Oversize { .. } => "oversize",
        Remark::Bounded { .. } => "bounded",
        Remark::Clock { .. } => "clock",
        Remark::Withdrawn => "withdrawn",
        Remark::Mended { .. } => "mended",
        Remark::Doubtful { .. } => "doubtful",
        Remark::Wish { .. } => "wish",
    };
    remarks.iter().map(|remark| kind(remark).to_owned()).collect()
}

/// Every mail among the fixtures, by name.
fn fixtures() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/mail");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        assert!(path.with_extension("eml").exists(), "{} expects what no fixture holds", path.display());
    }
    let mails = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
    mails.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_fixture_reads_as_expected() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 30);
    let mut wrong = Vec::new();
    for (path, raw) in &fixtures {
        let expected = fs::read(path.with_extension("json")).expect("a fixture needs its expectation beside it");
        let expected: Expected = serde_json::from_slice(&expected).unwrap();
        let mut check = |what: &str, right: bool, got: &dyn fmt::Debug| {
            if !right {
                wrong.push(format!("{} ({}): {what} is {got:?}", path.file_stem().unwrap().display(), expected.about));
            }
        };
        let got = match complaint(raw) {
            Ok(got) => got,
            Err(error) => {
                check("the mail", expected.unreadable, &error);
                continue;
            }
        };
        check("the mail", !expected.unreadable, &"readable");
        check("name", got.petitioner.name == expected.name, &got.petitioner.name);
        check("emails", got.petitioner.emails == expected.emails, &got.petitioner.emails);
        check("subject", got.subject == expected.subject, &got.subject);
        check("body", got.body == expected.body, &got.body);
        check("date", got.made_at.map(|stamp| stamp.at) == expected.made_at, &got.made_at);
        check("recipients", got.thread.recipients == expected.recipients, &got.thread.recipients);
        check("message id", got.thread.message_id == expected.message_id, &got.thread.message_id);
        check("answers", got.thread.answers == expected.answers, &got.thread.answers);
        let machine = got.thread.machine.as_ref().map(|(machine, _)| *machine);
        check("machine", machine == expected.machine, &got.thread.machine);
        check("evidence", got.thread.machine.iter().all(|(_, evidence)| !evidence.contains('@')), &got.thread.machine);
        let attachments: Vec<ExpectedAttachment> = got
            .attachments
            .iter()
            .cloned()
            .map(|Attachment { name, media_type, size, part, .. }| ExpectedAttachment { name, media_type, size, part })
            .collect();
        check("attachments", attachments == expected.attachments, &attachments);
        for attachment in &got.attachments {
            let bytes = part(raw, attachment.part, &Bounds::default()).unwrap();
            check("a part", bytes.len() as u64 == attachment.size && attachment.digest.len() == 64, &attachment.part);
        }
        check("remarks", kinds(&got.remarks) == expected.remarks, &got.remarks);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_key_survives_the_way_and_tells_contents_apart() {
    let mail = b"Received: by a\r\nReturn-Path: <x@example.com>\r\nFrom: a@example.com\r\nSubject: =?utf-8?B?5YGc?=\r\n =?utf-8?B?5rC0?=\r\nMessage-ID: <1@example.com>\r\n\r\nbody\r\nline\r\n";
    let elsewhere = b"Received: by b\nReceived: by c\nDelivered-To: y@example.com\nFrom: a@example.com\nSubject: =?utf-8?B?5YGc?= =?utf-8?B?5rC0?=\nMessage-ID: <1@example.com>\n\nbody\nline\n\n";
    assert_eq!(content_key(mail), content_key(elsewhere));
    let other = String::from_utf8_lossy(mail).replace("body", "Body");
    assert_ne!(content_key(mail), content_key(other.as_bytes()));
    let other = String::from_utf8_lossy(mail).replace("From: a@", "From: b@");
    assert_ne!(content_key(mail), content_key(other.as_bytes()));
    assert_ne!(content_key(b""), content_key(b"\0"));
    assert_ne!(content_key(b"X-Note: 1\n"), content_key(b"X-Note: 2\n"));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/mail");
    let key = |name: &str| content_key(&fs::read(folder.join(name)).unwrap());
    for same in ["bare-lf.eml", "double-cr.eml", "mbox-bom.eml"] {
        assert_eq!(key(same), key("plain-utf8.eml"), "{same}");
    }
    for other in ["bare-cr.eml", "broken-base64.eml", "no-from-sender.eml", "binary.eml", "text-only.eml"] {
        assert_ne!(key(other), key("plain-utf8.eml"), "{other}");
    }
}

/// Mails that are made to cost time, by name.
fn hostile(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let fill =
        |before: &str, unit: &str, after: &str| [before, &unit.repeat(size / unit.len()), after].concat().into_bytes();
    let top = "From: a@example.com\nMIME-Version: 1.0\n";
    let body = |headers: &str, unit: &str| fill(&format!("{top}{headers}\n\n"), unit, "");
    let level = |level: usize| format!("Content-Type: multipart/mixed; boundary=\"b{level}\"\n\n--b{level}\n");
    let deep: Vec<u8> = (0..size / 60).flat_map(|number| level(number).into_bytes()).collect();
    vec![
        ("words in one subject", fill(&format!("{top}Subject: "), "=?utf-8?B?YQ==?= ", "\n\nx")),
        ("words on folded lines", fill(&format!("{top}Subject: "), "=?gbk?Q?=C4?=\n ", "\n\nx")),
        ("open words", fill(&format!("{top}Subject: "), "=?utf-8?q?", "\n\nx")),
        ("quoted address parts", fill("Subject: x\nFrom: ", "\"a\"", "@example.com\n\nx")),
        ("addresses", fill("Subject: x\nTo: ", "\"a, b\" <a@example.com>, ", "\n\nx")),
        ("address fields", fill("Subject: x\n", "To: a@example.com, b@example.com\n", "\n\nx")),
        ("brackets", fill("Subject: x\nFrom: ", "<", "\n\nx")),
        ("header fields", fill(top, "X-A: b\n", "\nx")),
        ("folded lines", fill(&format!("{top}Subject: "), "\n a", "\n\nx")),
        ("no fields", fill(top, "garbage\n", "\nx")),
        ("parts", body("Content-Type: multipart/mixed; boundary=b", "--b\n\nx\n")),
        (
            "multiparts",
            body("Content-Type: multipart/mixed; boundary=b", "--b\nContent-Type: multipart/mixed; boundary=c\n\n"),
        ),
        ("dashes", body("Content-Type: multipart/mixed; boundary=\"-\"", "--------\n")),
        ("nesting", [top.as_bytes(), &deep].concat()),
        (
            "dashes under nesting",
            [top.as_bytes(), &deep[..deep.len().min(6000)], "--b\n".repeat(size / 4).as_bytes()].concat(),
        ),
        ("parameters", fill(&format!("{top}Content-Type: text/plain"), "; a*0*=b", "\n\nx")),
        ("references", fill(&format!("{top}References: "), "<a@b> ", "\n\nx")),
        ("tags", body("Content-Type: text/html", "<b><p x='")),
        ("attributes", body("Content-Type: text/html", "<p a1 b2 ")),
        ("quoted-printable", body("Content-Transfer-Encoding: quoted-printable", "=  ")),
        ("base64 padding", body("Content-Transfer-Encoding: base64", "A=")),
        ("quoted mails", body("In-Reply-To: <a@b>", "发件人：\n")),
        ("quoted lines", body("In-Reply-To: <a@b>", "在 2026年 1 ")),
        ("blank lines", fill("", "\n", "From: a@example.com\n\nx")),
        ("enclosed", body("Content-Type: message/rfc822", "Content-Type: message/rfc822\n\n")),
        (
            "8-bit",
            [b"Subject: ".as_slice(), &[0xb0, 0x41, 0xfe].repeat(size / 3), b"\n\n", &[0x81, 0x30].repeat(size / 2)]
                .concat(),
        ),
        ("HZ", body("Content-Type: text/plain; charset=hz", "~{")),
        ("UTF-7", body("Content-Type: text/plain; charset=utf-7", "+AA")),
    ]
}

#[test]
fn hostile_mail_costs_little_time() {
    for (name, raw) in hostile(1024 * 1024) {
        let started = Instant::now();
        let got = complaint(&raw);
        let read = started.elapsed();
        let key = content_key(&raw);
        println!("{name}: {read:?}, with key {:?}", started.elapsed());
        // Unoptimised and on a busy machine; anything quadratic would take minutes.
        assert!(started.elapsed().as_secs() < 10, "{name} took {:?} ({})", started.elapsed(), key.as_str());
        if let Ok(got) = got {
            within_bounds(&got, &Bounds::default());
        }
    }
}

#[test]
fn met_bounds_are_told() {
    let bounded = ["words in one subject", "addresses", "header fields", "parts", "nesting", "references"];
    for (name, raw) in hostile(64 * 1024).into_iter().filter(|(name, _)| bounded.contains(name)) {
        let mail = read(&raw, &Bounds::default()).unwrap();
        assert!(kinds(&mail.remarks).contains("bounded"), "{name}: {:?}", mail.remarks);
    }
}

fn within_bounds(got: &Complaint, bounds: &Bounds) {
    assert!(got.body.chars().count() <= bounds.text_chars);
    assert!(got.subject.as_ref().is_none_or(|subject| subject.chars().count() <= bounds.subject_chars));
    assert!(got.attachments.len() <= bounds.attachments);
    assert!(got.thread.recipients.len() <= bounds.addresses);
    assert!(got.thread.answers.len() <= bounds.references);
    assert!(got.thread.answers.iter().chain(&got.thread.message_id).all(|id| id.len() <= bounds.id_bytes));
    assert!(got.remarks.len() <= Notes::MAX + 2);
    assert!(got.petitioner.emails.len() <= 2);
    for name in got.attachments.iter().filter_map(|attachment| attachment.name.as_deref()) {
        assert!(!name.is_empty() && !name.contains(['/', '\\']) && !name.chars().any(char::is_control));
    }
}

/// Bounds so small that arbitrary mail meets them.
const SMALL: Bounds = Bounds {
    header_bytes: 60,
    headers: 6,
    encoded_words: 2,
    parts: 4,
    depth: 2,
    text_chars: 30,
    attachments: 1,
    addresses: 1,
    references: 1,
    id_bytes: 12,
    subject_chars: 5,
    html: html::Bounds { input_bytes: 60, text_chars: 20 },
};

fn holds_on(raw: &[u8]) {
    let received_at = Timestamp::UNIX_EPOCH;
    for bounds in [Bounds::default(), SMALL] {
        if let Ok(got) = normalise(raw, &own(), &bounds, received_at) {
            within_bounds(&got, &bounds);
        }
    }
    content_key(raw);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..600)) {
        holds_on(&raw);
    }

    #[test]
    fn arbitrary_headers_never_panic(raw in "((From|To|Subject|Date|Content-Type|Content-Disposition|References|Content-Transfer-Encoding): ([ -~\n\r\u{80}-\u{3ff}一-三]{0,40}|=\\?[a-z0-9-]{0,8}\\?[bq]\\?[ -~]{0,12}\\?=|multipart/mixed; boundary=b|base64|text/html|a; filename\\*[0-9]?\\*?=[!-~]{0,9})\n){0,8}\n(--b(--)?\n|[ -~\n]{0,20}){0,8}") {
        holds_on(raw.as_bytes());
    }

    #[test]
    fn mutated_fixtures_never_panic(which in any::<prop::sample::Index>(), edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..12)) {
        let fixtures = fixtures();
        let mut raw = fixtures[which.index(fixtures.len())].1.clone();
        for (place, byte, how) in edits {
            if raw.is_empty() {
                break;
            }
            let at = place.index(raw.len());
            match how {
                0 => raw[at] = byte,
                1 => raw.insert(at, byte),
                2 => { raw.remove(at); }
                _ => raw.truncate(at),
            }
        }
        holds_on(&raw);
    }
}
