//! `jiesu entry`: what came in, what became of it, and what a person decides about it.

mod attachment;
mod decide;
mod recording;
mod unseal;

use std::{io::Read as _, path::PathBuf};

use connectors::entry::ConnectorName;
use jiesu::{
    assess::{self, Article, Disposition},
    desk::Contact,
    ids::EntryId,
    seal::Keyring,
    store::{
        journal::Act,
        read::{EntryStory, EntrySummary, Place},
        search::EntryFilter,
    },
};
use jiff::Timestamp;

use super::{
    Global,
    failure::Failure,
    open,
    report::Report,
    table::{self, Table},
    ticket, words,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 来件，新的在前 / entries, newest first
    List(List),
    /// 一件来件的全部经过 / everything that happened to one entry; nothing sealed
    Show {
        /// 来件编号 / entry
        id: EntryId,
    },
    /// 重新处理（隔离件或规则改变后） / assess anew
    Replay {
        /// 来件编号 / entry
        id: EntryId,
        /// 原因 / why
        #[arg(long, value_parser = open::reason)]
        reason: Option<String>,
    },
    /// 人工决定 / a person's decision
    Decide {
        /// 来件编号 / entry
        id: EntryId,
        /// 结论：accept 受理、guide 引导、decline 不予受理、hold 待人工 / what is decided
        #[arg(value_parser = disposition)]
        disposition: Disposition,
        /// 依据的条款，如 8(1) 或 8.1 / the article that it rests on
        #[arg(long, value_parser = article)]
        article: Article,
        /// 原因 / why
        #[arg(long, value_parser = open::reason)]
        reason: String,
    },
    /// 解封诉求人与原件；先记入审计 / show the petitioner and the raw entry; written down before
    Unseal {
        /// 来件编号 / entry
        id: EntryId,
        /// 原因 / why
        #[arg(long, value_parser = open::reason)]
        reason: String,
        /// 把原件原样写入新文件，不显示 / write the raw entry to a new file instead of showing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// 取通话录音；先记入审计，网关不留存 / fetch the recording of the call; written down before, kept nowhere here
    Recording {
        /// 来件编号 / entry
        id: EntryId,
        /// 原因 / why
        #[arg(long, value_parser = open::reason)]
        reason: String,
        /// 写入此新文件；- 为标准输出 / the new file to write, - for standard output
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
    },
    /// 取出一个附件；先记入审计 / write one attachment to a new file; written down before
    Attachment {
        /// 来件编号 / entry
        id: EntryId,
        /// 第几个附件，见 entry show / which one, as entry show counts them
        number: usize,
        /// 原因 / why
        #[arg(long, value_parser = open::reason)]
        reason: String,
        /// 写入的新文件 / the new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// 只看此接入点 / of this connector
    #[arg(long)]
    connector: Option<ConnectorName>,
    /// 去向 / where it ended: pending, ticket, guided, declined, held, quarantine
    #[arg(long, value_parser = place)]
    place: Option<Place>,
    /// 诉求人电话；- 表示从标准输入读取 / telephone number, - to read it from standard input
    #[arg(long, conflicts_with = "email", allow_hyphen_values = true)]
    phone: Option<String>,
    /// 诉求人邮箱；- 表示从标准输入读取 / e-mail address, - to read it from standard input
    #[arg(long, allow_hyphen_values = true)]
    email: Option<String>,
    /// 至多几件 / how many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// 早于此来件 / before this entry
    #[arg(long, value_name = "ID")]
    before: Option<EntryId>,
}

fn place(text: &str) -> Result<Place, String> {
    Place::parse(text).ok_or_else(|| format!("须为其一 / one of {}", Place::ALL.map(Place::as_str).join(", ")))
}

fn disposition(text: &str) -> Result<Disposition, String> {
    Disposition::parse(text)
        .ok_or_else(|| format!("须为其一 / one of {}", Disposition::ALL.map(Disposition::as_str).join(", ")))
}

/// `8(1)` as the regulation is cited; `8.1` and full-width parentheses too, which shells and keyboards make easier.
fn article(text: &str) -> Result<Article, String> {
    let plain = text.replace('（', "(").replace('）', ")");
    let cited = match plain.split_once('.') {
        Some((number, clause)) => format!("{number}({clause})"),
        None => plain,
    };
    cited.parse::<Article>().map_err(|error| error.to_string())
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    match command {
        Command::List(list) => list_entries(global, list).await,
        Command::Show { id } => show(global, id).await,
        Command::Replay { id, reason } => decide::replay(global, id, reason.as_deref()).await,
        Command::Decide { id, disposition, article, reason } => {
            decide::decide(global, id, disposition, article, reason).await
        }
        Command::Unseal { id, reason, out } => unseal::run(global, id, &reason, out.as_deref()).await,
        Command::Recording { id, reason, out } => recording::run(global, id, &reason, &out).await,
        Command::Attachment { id, number, reason, out } => attachment::run(global, id, number, &reason, &out).await,
    }
}

async fn list_entries(global: &Global, list: List) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let now = open::clock().now();
    let sought = match (&list.phone, &list.email) {
        (Some(phone), _) => Some((given(phone)?, false)),
        (None, Some(email)) => Some((given(email)?, true)),
        (None, None) => None,
    };
    let mut petitioner = None;
    if let Some((text, email)) = &sought {
        let contact = if *email { Contact::Email(text) } else { Contact::Phone(text) };
        let by = contact.by();
        let keyring = Keyring::load(&config.seal.keys)?;
        let key = contact.key(&keyring).ok_or_else(|| {
            Failure::usage(format!("--{by} 不是完整的号码或地址 / --{by} is no whole number or address"))
                .remedy("手机号 11 位；固定电话加区号")
        })?;
        // Whoever looks for a person is written down, without whom they looked for.
        let actor = open::actor();
        store.audit(Act { actor: &actor, action: "entry.search", subject: by, reason: None }, now).await?;
        petitioner = Some(key);
    }
    if let Some(name) = &list.connector {
        open::connector(&config, &store, name).await?;
    }
    let filter = EntryFilter {
        connector: list.connector,
        place: list.place,
        petitioner,
        before: list.before,
        ..EntryFilter::default()
    };
    let entries = store.entries(&filter, list.limit).await?;
    Report::of(global.json, &entries, || entries_table(&entries, now))
}

/// What was given, or what stands on standard input: arguments are seen by everybody on the machine.
fn given(text: &str) -> anyhow::Result<String> {
    /// More than any number or address.
    const LONGEST: u64 = 1024;
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut read = String::new();
    std::io::stdin().lock().take(LONGEST).read_to_string(&mut read)?;
    Ok(read.trim().to_owned())
}

fn entries_table(entries: &[EntrySummary], now: Timestamp) -> String {
    if entries.is_empty() {
        return "没有来件 / no entries".to_owned();
    }
    let columns = [("来件", 8), ("收到", 16), ("接入点", 14), ("去向", 8), ("工单/条款", 15), ("标题", 80)];
    let mut table = Table::new(&columns);
    for entry in entries {
        let ticket = entry.ticket.map(|number| number.to_string());
        table.row([
            entry.id.to_string(),
            words::moment(entry.received_at, now),
            entry.connector.to_string(),
            words::place(entry.place).to_owned(),
            ticket.or_else(|| entry.article.clone()).unwrap_or_default(),
            entry.subject.clone().unwrap_or_default(),
        ]);
        if let Some(reason) = entry.quarantine_reason.as_ref().filter(|_| entry.place == Place::Quarantine) {
            table.note(&format!("隔离原因：{reason}"));
        }
    }
    table.text()
}

async fn show(global: &Global, id: EntryId) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let whole = store.entry(id).await?;
    let now = open::clock().now();
    Report::of(global.json, &whole, || story_text(&whole, now))
}

fn story_text(story: &EntryStory, now: Timestamp) -> String {
    let summary = &story.summary;
    // A complaint tells them itself, among its own.
    let remarks: Vec<String> = match &story.complaint {
        Some(_) => Vec::new(),
        None => story.remarks.iter().map(assess::remark).collect(),
    };
    let mut text = table::facts(&[
        ("来件", summary.id.to_string()),
        ("接入点", summary.connector.to_string()),
        ("来源编号", summary.external_id.clone()),
        ("修订", if summary.revision == "0" { String::new() } else { summary.revision.clone() }),
        ("收到", words::moment(summary.received_at, now)),
        ("大小", format!("{} 字节（{}）", summary.size, summary.form)),
        ("去向", words::place(summary.place).to_owned()),
        ("工单", summary.ticket.map(|number| number.to_string()).unwrap_or_default()),
        ("隔离原因", summary.quarantine_reason.clone().unwrap_or_default()),
        ("说明", remarks.join("\n")),
    ]);
    if let Some(complaint) = &story.complaint {
        text.push('\n');
        text.push_str(&ticket::complaint(complaint, now));
    }
    if !story.decisions.is_empty() {
        text.push_str("\n决定\n");
        let mut table = Table::new(&[("时间", 16), ("何人", 18), ("结论", 8), ("条款", 6), ("规则", 80)]);
        for decision in &story.decisions {
            table.row([
                words::moment(decision.at, now),
                decision.actor.clone(),
                decision.disposition.chinese().to_owned(),
                decision.article.clone(),
                decision.rule.clone(),
            ]);
            if let Some(reason) = &decision.reason {
                table.note(&format!("原因：{reason}"));
            }
        }
        text.push_str(&table.text());
    }
    if !story.notices.is_empty() {
        text.push_str("\n告知\n");
        let mut table = Table::new(&[("时间", 16), ("状态", 8), ("标题", 80)]);
        for notice in &story.notices {
            table.row([
                words::moment(notice.created_at, now),
                words::notice(notice.state).to_owned(),
                notice.subject.clone(),
            ]);
            if let Some(reason) = &notice.reason {
                table.note(reason);
            }
        }
        text.push_str(&table.text());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_are_taken_as_people_type_them() {
        for text in ["8(1)", "8.1", "8（1）"] {
            assert_eq!(article(text), Ok(Article::clause(8, 1)), "{text}");
        }
        assert_eq!(article("6"), Ok(Article::new(6)));
        for text in ["", "29", "8.", "8(1", "八"] {
            assert!(article(text).is_err(), "{text}");
        }
    }
}
