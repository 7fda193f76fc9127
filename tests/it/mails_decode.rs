//! The generator itself: what it promises of each mail must come out of the mail.

use std::collections::{BTreeMap, BTreeSet};

use connectors::mail;

use super::mails::*;

/// A text without blanks and line ends, which transport changes.
fn bare(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let raws = |seed| mails(seed, 60).into_iter().map(|mail| mail.raw).collect::<Vec<_>>();
    assert_eq!(raws(7), raws(7));
    assert_ne!(raws(7), raws(8));
    assert_eq!(forms(7, 60), forms(7, 60));
}

#[test]
fn every_mail_says_what_is_expected_of_it() {
    let now = "2026-11-23T00:00:00Z".parse().unwrap();
    let (bounds, own) = (mail::Bounds::default(), mail::OwnAddresses::default());
    let mut keys = BTreeSet::new();
    let mut senders: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for Mail { file_name, raw, expected } in mails(2026, 1000) {
        assert!(keys.insert(mail::content_key(&raw).as_str().to_owned()), "{file_name} is no mail of its own");
        let complaint = match mail::normalise(&raw, &own, &bounds, now) {
            Ok(complaint) => complaint,
            Err(error) => {
                assert_eq!(expected.standing, Standing::Unreadable, "{file_name}: {error}");
                continue;
            }
        };
        assert_ne!(expected.standing, Standing::Unreadable, "{file_name}");
        assert_eq!(complaint.subject.as_deref().map(bare), Some(bare(&expected.subject)), "{file_name}");
        assert_eq!(bare(&complaint.body), bare(&expected.body), "{file_name}");
        assert_eq!(complaint.petitioner.emails, std::slice::from_ref(&expected.sender), "{file_name}");
        assert_eq!(complaint.thread.message_id.is_some(), expected.has_message_id, "{file_name}");
        let names: Vec<_> = complaint.attachments.iter().filter_map(|one| one.name.clone()).collect();
        assert_eq!(names, expected.attachment.into_iter().collect::<Vec<_>>(), "{file_name}");
        assert_eq!(complaint.thread.machine, None, "{file_name}");
        let known = senders.entry(expected.matter).or_default();
        let standing = match (known.is_empty(), known.contains(&expected.sender)) {
            (true, _) => Standing::First,
            (false, true) => Standing::Repeat,
            (false, false) => Standing::CoReport,
        };
        assert_eq!(expected.standing, standing, "{file_name}");
        known.insert(expected.sender);
    }
    assert_eq!(keys.len(), 1000);
}

#[test]
fn matters_differ_and_every_standing_comes_up() {
    let mails = mails(5, 1000);
    let mut texts: BTreeMap<String, usize> = BTreeMap::new();
    for mail in &mails {
        if mail.expected.standing == Standing::Unreadable {
            continue;
        }
        let text = bare(&format!("{}{}", mail.expected.subject, mail.expected.body));
        assert_eq!(*texts.entry(text).or_insert(mail.expected.matter), mail.expected.matter);
    }
    let count = |standing| mails.iter().filter(|mail| mail.expected.standing == standing).count();
    assert_eq!(count(Standing::Unreadable), 1);
    assert_eq!(count(Standing::First), texts.len());
    assert!(count(Standing::Repeat) >= 30 && count(Standing::CoReport) >= 20);
    assert!(mails.iter().any(|mail| mail.raw.iter().any(|byte| *byte >= 0x80)));
}

#[test]
fn every_form_is_a_call_of_its_own() {
    let forms = forms(3, 2000);
    let ids: BTreeSet<&str> = forms.iter().filter_map(|form| form["call_id"].as_str()).collect();
    assert_eq!(ids.len(), 2000);
    let said: BTreeSet<String> = forms.iter().map(|form| form["form"]["course"].to_string()).collect();
    let callers: BTreeSet<&str> = forms.iter().filter_map(|form| form["caller"].as_str()).collect();
    assert!(said.len() < 1900 && said.len() > 1700, "{}", said.len());
    assert!(callers.len() > said.len() && callers.len() < 2000, "{}", callers.len());
}
