//! What the terminal shows: a line for each entry as it lands, and the sums at the end. Chinese first.

use std::{collections::BTreeMap, fmt::Write as _};

use super::verify::Seen;
use crate::{
    assess::Urgency,
    issue::Relation,
    store::read::{Accounting, EntryStory, Place},
};

/// Characters of a title that a line shows.
const TITLE: usize = 26;

/// A connector's channel, as people call it.
pub fn channel(connector: &str) -> &'static str {
    match connector {
        "calls" => "电话",
        "board" => "留言板",
        "mail" => "信箱",
        "letters" => "信件",
        "business" => "营商环境",
        "portal" => "门户",
        _ => "其他",
    }
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Pending => "待处理",
        Place::Ticket => "受理",
        Place::Guided => "引导",
        Place::Declined => "不予受理",
        Place::Held => "待人工",
        Place::Quarantine => "隔离",
    }
}

fn relation(relation: Option<Relation>) -> &'static str {
    match relation {
        None | Some(Relation::Opened) => "受理",
        Some(Relation::Repeat) => "重复",
        Some(Relation::CoReport) => "同类",
        Some(Relation::FollowUp) => "补充",
        Some(Relation::Revision) => "修改",
        Some(Relation::Copy) => "副本",
    }
}

/// Columns that a text takes on a terminal: Chinese characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|character| if u32::from(character) >= 0x1100 { 2 } else { 1 }).sum()
}

/// A text with blanks up to a width.
fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The line for an entry that has landed; `wrong` is what is not as expected.
pub fn line(story: &EntryStory, seen: &Seen, wrong: &[String]) -> String {
    let summary = &story.summary;
    let outcome = if seen.place == Place::Ticket { relation(seen.relation) } else { place(seen.place) };
    let mut line = format!("  {} → {}", padded(channel(summary.connector.as_str()), 8), padded(outcome, 8));
    // Writing to a text cannot fail.
    let _ = match (&seen.ticket, seen.relation) {
        (Some(number), None | Some(Relation::Opened)) => {
            let kind = seen.kind.map_or("", crate::assess::Kind::chinese);
            write!(line, " 工单 {number} {kind}")
        }
        (Some(number), Some(_)) => write!(line, " 并入 {number}"),
        (None, _) => Ok(()),
    };
    if let Some(article) = seen.article {
        let _ = write!(line, "（{}）", article.chinese());
    }
    match seen.urgency {
        Some(Urgency::Emergency) => line.push_str("【紧急】"),
        Some(Urgency::Utility) => line.push_str("【水电气暖】"),
        _ => {}
    }
    let title = summary.subject.as_deref().or(summary.quarantine_reason.as_deref()).unwrap_or("（无标题）");
    let _ = write!(line, " {}", title.chars().take(TITLE).collect::<String>());
    if !wrong.is_empty() {
        let _ = write!(line, "  ✗ {}", wrong.join("；"));
    }
    line
}

/// The line for something that leaves no entry of its own.
pub fn aside(connector: &str, what: &str) -> String {
    format!("  {} → {what}", padded(channel(connector), 8))
}

/// The table of channels and places, and the sum check.
pub fn table(landed: &[(String, Seen)], sums: Accounting) -> String {
    const PLACES: [Place; 5] = [Place::Ticket, Place::Guided, Place::Declined, Place::Held, Place::Quarantine];
    let mut counts: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for (connector, seen) in landed {
        let row = counts.entry(channel(connector)).or_default();
        if let Some(at) = PLACES.iter().position(|place| *place == seen.place) {
            row[at] += 1;
        }
    }
    let mut text = format!("  {}", padded("渠道", 10));
    for column in PLACES {
        text.push_str(&padded(place(column), 10));
    }
    text.push('\n');
    for (name, row) in counts {
        let _ = write!(text, "  {}", padded(name, 10));
        for count in row {
            text.push_str(&padded(&count.to_string(), 10));
        }
        text.push('\n');
    }
    let Accounting { entries, pending, in_tickets, guided, declined, held, quarantined, tickets, .. } = sums;
    let check = if sums.balances() { "✓ 账平" } else { "✗ 账不平" };
    let _ = writeln!(
        text,
        "\n  来件 {entries} = 工单内 {in_tickets} + 引导 {guided} + 不予受理 {declined} + 待人工 {held} + 隔离 {quarantined} + 待处理 \
         {pending}   {check}；共开工单 {tickets} 个"
    );
    text
}
