//! Cuts the quoted mail off a reply, so that what is screened and matched is what the citizen wrote this time.
//!
//! Only what follows a mark that mail programs write is cut, and only while words of the citizen's own remain; a complaint
//! must never become empty because it quotes.

use std::sync::LazyLock;

use regex::Regex;

/// Lines that open a quoted mail, in the styles of QQ, 163, Foxmail, Outlook, Apple Mail, Thunderbird and Gmail.
static OPENING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^\s*(?:",
        r"[-—_ ]{2,}\s*(?:原始邮件|原邮件|回复的原邮件|原始郵件|Original Message|Original)\s*[-—_ ]{2,}",
        r"|在\s?(?:\d{2,4}年|\d{4}[-/.]).{0,120}(?:写道|寫道|wrote)\s*[：:]?",
        r"|.{0,80}(?:于|於)\s?\d{4}年\d{1,2}月\d{1,2}日.{0,80}(?:写道|寫道)\s*[：:]?",
        r"|On .{4,150} wrote:",
        r"|(?:At|在) \d{4}-\d{2}-\d{2}.{0,120}(?:wrote|写道|写到)\s*[：:]?",
        r"|_{20,}",
        r")\s*$",
    ))
    .ok()
});

/// The first line of a header block that Outlook and Foxmail quote.
static QUOTED_FROM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[\s>*]*(?:发件人|寄件者|寄件人|From)\s*\*?\s*[：:]").ok());

/// A later line of such a block.
static QUOTED_FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[\s>*]*(?:发送时间|发送日期|寄件日期|日期|时间|收件人|收件者|抄送|主题|主旨|Sent|Date|To|Cc|Subject)\s*\*?\s*[：:]").ok()
});

/// Lines after the first one of a quoted header block in which a second must follow.
const BLOCK_LINES: usize = 3;

/// The longest line that is looked at, in bytes; a longer one is somebody's text.
const MAX_LINE: usize = 400;

/// The text without what it quotes; `None` where nothing is quoted or nothing else would remain.
pub(super) fn own_text(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let cut = (0..lines.len()).find(|at| opens_quote(&lines, *at)).unwrap_or(lines.len());
    let kept: Vec<&str> = lines[..cut].iter().copied().filter(|line| !line.trim_start().starts_with('>')).collect();
    if kept.len() == lines.len() {
        return None;
    }
    let own = kept.join("\n").trim().to_owned();
    own.chars().any(char::is_alphanumeric).then_some(own)
}

fn opens_quote(lines: &[&str], at: usize) -> bool {
    let line = lines[at];
    if line.len() > MAX_LINE || line.is_empty() {
        return false;
    }
    if matches(&OPENING, line) {
        return true;
    }
    // A citizen may write "发件人：" too; a block of them is a mail program's.
    matches(&QUOTED_FROM, line)
        && lines[at + 1..]
            .iter()
            .filter(|line| !line.trim().is_empty())
            .take(BLOCK_LINES)
            .any(|next| next.len() <= MAX_LINE && matches(&QUOTED_FIELD, next))
}

fn matches(pattern: &LazyLock<Option<Regex>>, line: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(line))
}
