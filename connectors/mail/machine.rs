//! Tells mail that a machine wrote, so that no machine is answered and no loop starts (RFC 3834, 3464, 2919).
//!
//! A citizen must not be taken for a machine: what only looks like one (a subject, an empty return path, a postmaster's
//! name) needs a second sign.

use super::{headers::Fields, parts::Part};
use crate::complaint::Machine;

/// The longest piece of a header's value that is cited, in characters.
const MAX_CITED: usize = 60;

/// Who wrote the mail, where it was a machine, with the evidence in words.
pub(super) fn recognise(parts: &[Part<'_>], sender: Option<&str>, subject: &str) -> Option<(Machine, String)> {
    let root = parts.first()?;
    let fields = &root.fields;
    report(parts)
        .or_else(|| daemon(fields, sender, subject))
        .or_else(|| automatic(fields))
        .or_else(|| out_of_office(fields, subject))
        .or_else(|| list(fields))
}

/// RFC 3464 and 3798.
fn report(parts: &[Part<'_>]) -> Option<(Machine, String)> {
    let media = &parts.first()?.media;
    if media.value != "multipart/report" {
        return None;
    }
    let kind = media.plain("report-type").unwrap_or_default().to_ascii_lowercase();
    if kind == "disposition-notification" {
        let evidence = "Content-Type: multipart/report; report-type=disposition-notification";
        return Some((Machine::AutoReply, evidence.to_owned()));
    }
    if kind == "delivery-status" {
        return Some((Machine::Bounce, "Content-Type: multipart/report; report-type=delivery-status".to_owned()));
    }
    let status = parts.iter().any(|part| part.parent == Some(0) && part.media_type() == "message/delivery-status");
    status.then(|| (Machine::Bounce, "Content-Type: message/delivery-status".to_owned()))
}

/// Words by which the bounces of common servers and of QQ, 163, Coremail and their kin are known, anywhere in the subject.
const BOUNCE_SUBJECTS: [&str; 13] = [
    "系统退信",
    "退信通知",
    "退信提醒",
    "邮件退回",
    "邮件投递失败",
    "邮件发送失败",
    "投递状态通知",
    "undelivered mail",
    "undeliverable:",
    "delivery status notification",
    "mail delivery failed",
    "returned mail",
    "failure notice",
];

/// Words that say it only at the start: parcels fail to be delivered too.
const BOUNCE_STARTS: [&str; 4] = ["未送达:", "未送达：", "无法送达:", "无法送达："];

fn daemon(fields: &Fields<'_>, sender: Option<&str>, subject: &str) -> Option<(Machine, String)> {
    let local = sender.and_then(|email| email.split('@').next()).unwrap_or_default().to_ascii_lowercase();
    if local == "mailer-daemon" {
        return Some((Machine::Bounce, "From: mailer-daemon".to_owned()));
    }
    let subject = subject.to_lowercase();
    let told = BOUNCE_SUBJECTS.into_iter().find(|told| subject.contains(told));
    let told = told.or_else(|| BOUNCE_STARTS.into_iter().find(|told| subject.starts_with(told)));
    let mut signs = Vec::new();
    if has_null_return_path(fields) {
        signs.push("Return-Path: empty".to_owned());
    }
    if matches!(local.as_str(), "postmaster" | "mail-daemon" | "mailadmin" | "bounce" | "bounces") {
        signs.push(format!("From: {local}"));
    }
    if let Some(told) = told {
        signs.push(format!("Subject: {told}"));
    }
    if fields.first("x-failed-recipients").is_some() {
        signs.push("X-Failed-Recipients".to_owned());
    }
    (signs.len() >= 2).then(|| (Machine::Bounce, signs.join(", ")))
}

fn automatic(fields: &Fields<'_>) -> Option<(Machine, String)> {
    if let Some(value) = fields.lower("auto-submitted") {
        let kind = keyword(&value);
        if !kind.is_empty() && kind != "no" {
            return Some((Machine::AutoReply, format!("Auto-Submitted: {kind}")));
        }
    }
    for name in
        ["X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Reply", "X-Auto-Respond", "X-AutoReply-From"]
    {
        if let Some(value) = fields.lower(name)
            && !matches!(keyword(&value).as_str(), "no" | "false" | "0")
        {
            return Some((Machine::AutoReply, name.to_owned()));
        }
    }
    match precedence(fields).as_str() {
        kind @ ("auto_reply" | "auto-reply") => Some((Machine::AutoReply, format!("Precedence: {kind}"))),
        _ => None,
    }
}

/// How automatic answers begin their subjects; `回复：自动回复…` is a person who answers one.
const AWAY_SUBJECTS: [&str; 10] = [
    "自动回复",
    "自动答复",
    "自動回覆",
    "自动应答",
    "【自动回复】",
    "[自动回复]",
    "automatic reply",
    "auto reply",
    "autoreply",
    "out of office",
];

fn out_of_office(fields: &Fields<'_>, subject: &str) -> Option<(Machine, String)> {
    let subject = subject.to_lowercase();
    let told = AWAY_SUBJECTS.into_iter().find(|told| subject.starts_with(told))?;
    let suppress =
        fields.lower("x-auto-response-suppress").is_some_and(|value| value.contains("all") || value.contains("oof"));
    let sign = if has_null_return_path(fields) {
        "Return-Path: empty"
    } else if suppress {
        "X-Auto-Response-Suppress"
    } else if fields.first("in-reply-to").is_some() {
        "In-Reply-To"
    } else if fields.first("references").is_some() {
        "References"
    } else {
        return None;
    };
    Some((Machine::AutoReply, format!("Subject: {told}, {sign}")))
}

fn list(fields: &Fields<'_>) -> Option<(Machine, String)> {
    for name in ["List-Id", "List-Post", "List-Unsubscribe"] {
        if fields.first(name).is_some() {
            return Some((Machine::List, name.to_owned()));
        }
    }
    match precedence(fields).as_str() {
        kind @ ("bulk" | "list" | "junk") => Some((Machine::List, format!("Precedence: {kind}"))),
        _ => None,
    }
}

fn precedence(fields: &Fields<'_>) -> String {
    fields.lower("precedence").as_deref().map(keyword).unwrap_or_default()
}

/// The first word of a value; a word cannot be an address.
fn keyword(value: &str) -> String {
    let word = value.split(|character: char| !character.is_ascii_alphanumeric() && !matches!(character, '-' | '_'));
    word.into_iter().next().unwrap_or_default().chars().take(MAX_CITED).collect()
}

fn has_null_return_path(fields: &Fields<'_>) -> bool {
    fields.all("return-path").any(|value| {
        let inner: Vec<u8> = value.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        inner == b"<>"
    })
}
