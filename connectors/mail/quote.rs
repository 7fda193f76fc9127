//! Cuts the quoted mail off a reply, so that what is screened and matched is what the citizen wrote this time.
//!
//! Only what mail programs mark as quoted is cut, and only while words of the citizen's own remain; a complaint must never
//! become empty because it quotes. Where the quote is marked line by line, what stands between and below it is kept. Where it
//! is not, everything below its heading is taken for quoted, unless the words above say that the answer stands in it.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

/// Lines that open a quoted mail by themselves.
static OPENING: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        // QQ, Foxmail, 163, Coremail, Outlook: dashes around a heading.
        r"^\s*[-—_*= ]{2,}\s*(?:原始邮件|原邮件|回复的原邮件|回复的邮件|原始郵件|原郵件|Original Message|Original|Replied Message|Reply Message|Ursprüngliche Nachricht|Message d'origine|Mensaje original)\s*[-—_*= ]{2,}\s*$",
        // 163, Apple Mail, Thunderbird in Chinese.
        r"^\s*(?:在|于|於|At)\s?(?:\d{2,4}年|\d{4}[-/.]|\d{1,2}[-/.]).{0,160}(?:写道|写到|寫道|wrote)\s*[：:]?\s*$",
        r"^\s*\d{4}年\d{1,2}月\d{1,2}日.{0,160}(?:写道|寫道)\s*[：:]?\s*$",
        // Gmail in Chinese.
        r"^.{0,120}(?:于|於)\s?\d{4}年\d{1,2}月\d{1,2}日.{0,80}(?:写道|寫道)\s*[：:]?\s*$",
        // Gmail, Apple Mail, Thunderbird in other tongues.
        r"^\s*On .{4,200} wrote:\s*$",
        r"^\s*(?:Am|Vom) .{4,200} schrieb.{0,120}:\s*$",
        r"^\s*Le .{4,200} a écrit\s*:\s*$",
        r"^\s*El .{4,200} escribió\s*:\s*$",
        r"^\s*Il .{4,200} ha scritto\s*:\s*$",
        r"^\s*Em .{4,200} escreveu\s*:\s*$",
        r"^\s*Op .{4,200} schreef.{0,120}:\s*$",
        r"^\s*\d{1,2}[./]\d{1,2}[./]\d{4}.{0,160} пишет\s*:\s*$",
        r"^\s*\d{4}年\d{1,2}月\d{1,2}日\(.\).{0,160}<[^<>]+@[^<>]+>\s*[：:]\s*$",
        r"^\s*\d{4}년 .{4,160} 작성:\s*$",
    ])
    .ok()
});

/// The first line of a header block that Outlook, Foxmail and web mails quote.
static QUOTED_FROM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[\s>*|]*(?:发\s*件\s*人|寄件者|寄件人|From|Von|De|Da|От|差出人|보낸 사람)\s*\*?\s*[：:]").ok()
});

/// A later line of such a block.
static QUOTED_FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^[\s>*|]*(?:发送时间|发送日期|发件时间|寄件日期|日\s*期|时\s*间|收\s*件\s*人|收件者|抄\s*送|副本|主\s*题|主旨|",
        r"Sent|Date|To|Cc|Subject|Gesendet|Datum|An|Betreff|Envoyé|À|Objet|Enviado|Para|Asunto|Inviato|Oggetto|Отправлено|Кому|Тема|送信日時|宛先|件名)",
        r"\s*\*?\s*[：:]",
    ))
    .ok()
});

/// What telephones and mail programs write under a mail.
static SIGNATURE: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        r"^\s*(?:发|發|来|來|寄)自(?:我的)?\s?.{0,20}(?:iPhone|iPad|手机|手機|平板|小米|华为|荣耀|OPPO|vivo|三星|Android|安卓|QQ邮箱.{0,8}|网易邮箱.{0,8}|Outlook.{0,20})\s*$",
        r"^\s*(?:从|從) Windows (?:版)?(?:邮件|郵件).{0,4}\s*$",
        r"^\s*Sent from (?:my|Mail|Outlook|Yahoo|Windows|the).{0,60}$",
        r"^\s*(?:Get|获取|取得) ?Outlook (?:for|for the|适用于|版).{0,40}$",
        r"^\s*Von meinem .{1,30} gesendet\s*$",
        r"^\s*Envoyé (?:de mon|depuis mon) .{1,30}$",
    ])
    .ok()
});

/// Words by which a citizen says that the answer stands inside the quoted mail.
const INSIDE: [&str; 18] = [
    "见下文",
    "见下方",
    "见原文",
    "见文中",
    "文中回复",
    "原文中回复",
    "原文回复",
    "下方回复",
    "下面回复",
    "红字",
    "红色字",
    "标红",
    "蓝字",
    "逐条回复",
    "见下面",
    "inline",
    "see below",
    "answers below",
];

/// Lines after the first one of a quoted header block in which a second must follow.
const BLOCK_LINES: usize = 3;

/// The longest line that is looked at, in bytes; a longer one is somebody's text.
const MAX_LINE: usize = 400;

/// Lines over which a heading may be broken.
const HEADING_LINES: usize = 3;

/// The text without what it quotes; `None` where nothing is quoted or nothing else would remain.
pub(super) fn own_text(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if is_marked(lines[at]) {
            at += 1;
            continue;
        }
        let Some(behind) = opens_quote(&lines, at) else {
            if !is_signature(lines[at]) {
                kept.push(lines[at]);
            }
            at += 1;
            continue;
        };
        if next_is_marked(&lines, behind) {
            at = behind;
            continue;
        }
        if says_inside(&kept) {
            kept.extend(&lines[at..]);
        }
        break;
    }
    if kept.len() == lines.len() {
        return None;
    }
    let own = tidy(&kept);
    own.chars().any(char::is_alphanumeric).then_some(own)
}

fn next_is_marked(lines: &[&str], from: usize) -> bool {
    lines[from..].iter().find(|line| !line.trim().is_empty()).is_some_and(|next| is_marked(next))
}

/// Whether a mail program marked a line as quoted.
fn is_marked(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

fn is_signature(line: &str) -> bool {
    line.len() <= MAX_LINE && SIGNATURE.as_ref().is_some_and(|set| set.is_match(line))
}

fn says_inside(above: &[&str]) -> bool {
    above.iter().any(|line| {
        let line = line.to_lowercase();
        INSIDE.iter().any(|words| line.contains(words))
    })
}

/// Lines of somebody's own without what telephones and programs write under them.
pub(super) fn without_signature(lines: &[&str]) -> String {
    let kept: Vec<&str> = lines.iter().copied().filter(|line| !is_signature(line)).collect();
    tidy(&kept)
}

/// Without rulers at the end and with one empty line at most between two others.
fn tidy(kept: &[&str]) -> String {
    let is_ruler = |line: &str| line.chars().all(|character| character.is_whitespace() || "-—_=*".contains(character));
    let end = kept.iter().rposition(|line| !is_ruler(line)).map_or(0, |last| last + 1);
    let mut out = String::new();
    let mut empty = false;
    for line in &kept[..end] {
        let is_empty = line.trim().is_empty();
        if !(is_empty && empty) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        empty = is_empty;
    }
    out.trim().to_owned()
}

/// Where a quoted mail is opened at a line: the line behind its heading.
fn opens_quote(lines: &[&str], at: usize) -> Option<usize> {
    let line = lines[at];
    if line.len() > MAX_LINE || line.trim().is_empty() {
        return None;
    }
    if starts_block(lines, at) {
        return Some(at);
    }
    let mut heading = String::new();
    for (length, line) in lines[at..].iter().take(HEADING_LINES).enumerate() {
        // Programs break a long heading between its words.
        if line.trim().is_empty() || is_marked(line) || heading.len() + line.len() > MAX_LINE {
            return None;
        }
        if length > 0 {
            heading.push(' ');
        }
        heading.push_str(line.trim());
        let behind = at + length + 1;
        if OPENING.as_ref().is_some_and(|set| set.is_match(&heading))
            && (is_programs(&heading) || next_is_marked(lines, behind))
        {
            return Some(behind);
        }
        if length == 0 && !may_go_on(line) {
            return None;
        }
    }
    None
}

/// Whether a heading is surely a program's: a citizen may tell what somebody wrote on some day, but without address and time.
fn is_programs(heading: &str) -> bool {
    static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\d\s?[:：时]\s?\d{2}").ok());
    heading.contains('@')
        || heading.trim_start().starts_with(['-', '—', '_', '*', '='])
        || TIME.as_ref().is_some_and(|time| time.is_match(heading))
}

/// Whether a heading may be broken behind a line: it tells a date or an address already.
fn may_go_on(line: &str) -> bool {
    line.contains('@') || line.bytes().filter(u8::is_ascii_digit).count() >= 5
}

/// Whether a quoted header block starts at a line. A citizen may write "发件人：" too; a block of them is a mail program's.
pub(super) fn starts_block(lines: &[&str], at: usize) -> bool {
    matches(&QUOTED_FROM, lines[at])
        && lines[at + 1..]
            .iter()
            .filter(|line| !line.trim().is_empty())
            .take(BLOCK_LINES)
            .any(|next| matches(&QUOTED_FIELD, next))
}

fn matches(pattern: &LazyLock<Option<Regex>>, line: &str) -> bool {
    line.len() <= MAX_LINE && pattern.as_ref().is_some_and(|pattern| pattern.is_match(line))
}

#[cfg(test)]
#[path = "quote_tests.rs"]
mod tests;
