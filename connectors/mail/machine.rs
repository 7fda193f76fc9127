//! Tells mail that a machine wrote, so that no machine is answered and no loop starts (RFC 3834, 3464, 2919).
//!
//! A citizen must not be taken for a machine: what only looks like one (a subject, an empty return path, a postmaster's
//! name) needs a second sign.

use super::{
    Bounds, Notes, body,
    headers::{self, Fields},
    parts::Part,
};
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

/// Groups of fields of a delivery report that are read: one for the message, one for each recipient.
const MAX_GROUPS: usize = 20;

/// Why a bounce says that its message was given up: the enhanced status (RFC 3463) where a report tells one, else the reply
/// code of a server that a text tells; `None` where the message is only late, or has arrived.
pub(super) fn given_up(parts: &[Part<'_>], bounds: &Bounds, notes: &mut Notes) -> Option<String> {
    let Some(report) = parts.iter().find(|part| !part.split && part.media_type() == "message/delivery-status") else {
        return Some(told_in_text(parts, notes).unwrap_or_else(|| "未说明状态码 / no status told".to_owned()));
    };
    let raw = body::decoded(report, notes);
    let mut at = 0;
    for _ in 0..MAX_GROUPS {
        let (fields, next) = headers::read(&raw, at, bounds, notes, |_| false);
        let action = fields.lower("action").as_deref().map(keyword).unwrap_or_default();
        if action == "failed" {
            let status = fields.lower("status").filter(|status| is_enhanced(keyword_of_status(status)));
            let status = status.map(|status| keyword_of_status(&status).to_owned());
            return Some(status.unwrap_or_else(|| "未说明状态码 / no status told".to_owned()));
        }
        if next >= raw.len() || next <= at {
            break;
        }
        at = next;
    }
    None
}

fn keyword_of_status(status: &str) -> &str {
    status.split(|character: char| !character.is_ascii_digit() && character != '.').next().unwrap_or_default()
}

/// `5.1.1`: a class, a subject and a detail.
fn is_enhanced(status: &str) -> bool {
    let numbers: Vec<&str> = status.split('.').collect();
    matches!(numbers[..], ["2" | "4" | "5", subject, detail]
        if [subject, detail].iter().all(|number| (1..=3).contains(&number.len())))
}

/// The first enhanced status in the text of a bounce that holds no report.
fn told_in_text(parts: &[Part<'_>], notes: &mut Notes) -> Option<String> {
    let text = parts.iter().find(|part| !part.split && part.media_type().starts_with("text/"))?;
    let text = String::from_utf8_lossy(&body::decoded(text, notes)).into_owned();
    text.split(|character: char| !character.is_ascii_digit() && character != '.')
        .find(|word| word.starts_with(['4', '5']) && is_enhanced(word))
        .map(str::to_owned)
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
