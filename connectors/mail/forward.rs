//! A mail that is passed on inside the text of another one: who wrote it first, when, and what.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::{Address, Bounds, Notes, address, date, quote};
use crate::complaint::Stamp;

/// What a mail program wrote of the mail that is passed on.
#[derive(Debug, Default)]
pub(super) struct Forwarded {
    /// Who wrote it, where that is told with an address.
    pub(super) from: Option<Address>,
    pub(super) subject: Option<String>,
    pub(super) date: Option<Stamp>,
    /// What it says.
    pub(super) text: String,
    /// What the one who passes it on wrote above it.
    pub(super) note: String,
    /// Whether a heading says that it is passed on, and not only a block of headers.
    pub(super) headed: bool,
}

/// Headings over a mail that is passed on: Gmail, 163, QQ, Foxmail, Outlook, Apple Mail, Thunderbird.
static HEADING: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        r"^[\s>]*[-—_*= ]{2,}\s*(?:转发邮件信息|转发的邮件|转发的原邮件|转发的信息|转发的消息|已转发邮件|转发邮件|轉寄的郵件|转寄的邮件|Forwarded message|Forwarded Message|Weitergeleitete Nachricht)\s*[-—_*= ]{2,}\s*$",
        r"^[\s>]*(?:开始转发的邮件|下面是被转发的邮件|以下是转发的邮件|Begin forwarded message|Anfang der weitergeleiteten Nachricht)\s*[：:]\s*$",
        // Said over a quoted mail as well.
        r"^[\s>]*[-—_*= ]{2,}\s*(?:原始邮件|原邮件|原始郵件|Original Message|Original)\s*[-—_*= ]{2,}\s*$",
    ])
    .ok()
});

/// One line of the block of headers: its name and what it says; tables of web mails have bars or nothing in place of the colon.
static FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^[\s>|*]*(?:(?P<from>发\s*件\s*人|寄件者|寄件人|From|Von)|(?P<date>发送时间|发送日期|发件时间|寄件日期|日\s*期|时\s*间|Sent|Date|Datum|Gesendet)",
        r"|(?P<subject>主\s*题|主旨|Subject|Betreff)|(?P<other>收\s*件\s*人|收件者|抄\s*送|副本|密送|回复至|To|Cc|Bcc|Reply-To|An|Message-ID))",
        r"\s*\*?\s*(?:[：:|]|\s)\s*(?P<value>.*?)[\s|;；]*$",
    ))
    .ok()
});

/// The first of the headings that stand over a quoted mail as well.
const ALSO_QUOTES: usize = 2;

/// Lines between a heading and the block of headers.
const BETWEEN: usize = 4;

/// The longest line that is looked at, in bytes.
const MAX_LINE: usize = 1000;

/// Lines of a block of headers.
const MAX_FIELDS: usize = 30;

/// The mail that the text passes on, where it passes one on.
pub(super) fn inline(text: &str, bounds: &Bounds, notes: &mut Notes) -> Option<Forwarded> {
    let lines: Vec<&str> = text.lines().collect();
    let (start, block, headed) = (0..lines.len()).find_map(|at| place(&lines, at))?;
    let mut forwarded = Forwarded { headed, ..Forwarded::default() };
    let mut at = block;
    let mut fields = 0;
    while at < lines.len() && fields < MAX_FIELDS {
        let line = lines[at];
        let Some(found) = FIELD.as_ref().filter(|_| line.len() <= MAX_LINE).and_then(|field| field.captures(line))
        else {
            // A long value goes on over further lines; an empty line or any other text ends the block.
            let goes_on = fields > 0 && (line.starts_with([' ', '\t']) && !line.trim().is_empty());
            if !goes_on {
                break;
            }
            at += 1;
            continue;
        };
        let value = found.name("value").map(|value| value.as_str().trim()).unwrap_or_default();
        if found.name("from").is_some() && forwarded.from.is_none() {
            let value = value.replace("[mailto:", "<").replace(']', ">");
            forwarded.from = address::addresses(value.as_bytes(), Some("utf-8"), bounds, notes).into_iter().next();
        } else if found.name("date").is_some() && forwarded.date.is_none() {
            // Apple Mail writes the zone between day and time.
            forwarded.date = date::read(Some(&value.replace("GMT+8 ", ""))).ok();
        } else if found.name("subject").is_some() && forwarded.subject.is_none() && !value.is_empty() {
            forwarded.subject = Some(value.chars().take(bounds.subject_chars).collect());
        }
        fields += 1;
        at += 1;
    }
    let inner = &lines[at..];
    let is_marked = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('>');
    let unmark = |line: &&str| {
        let line = line.trim_start();
        line.strip_prefix("> ").or_else(|| line.strip_prefix('>')).unwrap_or(line).to_owned()
    };
    // Apple Mail marks the whole mail as a quote.
    forwarded.text = if inner.iter().all(is_marked) {
        inner.iter().map(unmark).collect::<Vec<_>>().join("\n").trim().to_owned()
    } else {
        inner.join("\n").trim().to_owned()
    };
    forwarded.note = quote::without_signature(&lines[..start]);
    Some(forwarded)
}

/// Where a mail that is passed on starts at a line: that line, the first of its block of headers, whether a heading says it.
fn place(lines: &[&str], at: usize) -> Option<(usize, usize, bool)> {
    let line = lines[at];
    if line.len() > MAX_LINE || line.trim().is_empty() {
        return None;
    }
    if let Some(heading) = HEADING.as_ref().and_then(|heading| heading.matches(line).iter().next()) {
        let headed = heading < ALSO_QUOTES;
        let behind = at + 1..(at + 1 + BETWEEN).min(lines.len());
        let block = behind.clone().find(|next| {
            lines[*next].len() <= MAX_LINE && FIELD.as_ref().is_some_and(|field| field.is_match(lines[*next]))
        });
        return match block {
            Some(block) => Some((at, block, headed)),
            None => headed.then_some((at, at + 1, true)),
        };
    }
    quote::starts_block(lines, at).then_some((at, at, false))
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
