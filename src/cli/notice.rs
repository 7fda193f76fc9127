//! `jiesu notice`: what petitioners were told, and what a person must still tell them.

use jiesu::store::notices::{NoticeState, ShownNotice};
use jiff::Timestamp;

use super::{Global, open, report::Report, table::Table, words};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 告知，新的在前；--state unroutable 列出须由人工电话告知的 / notices, newest first
    List {
        /// pending sent failed suppressed unroutable
        #[arg(long, value_parser = state)]
        state: Option<NoticeState>,
        /// 至多几件 / how many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
}

fn state(text: &str) -> Result<NoticeState, String> {
    NoticeState::parse(text)
        .ok_or_else(|| format!("须为其一 / one of {}", NoticeState::ALL.map(NoticeState::as_str).join(", ")))
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    let Command::List { state, limit } = command;
    let (_, store) = open::store(global).await?;
    let notices = store.notices(state, None, limit).await?;
    let now = open::clock().now();
    Report::of(global.json, &notices, || list(&notices, now))
}

fn list(notices: &[ShownNotice], now: Timestamp) -> String {
    let mut table = Table::new(&[("来件", 7), ("时间", 16), ("状态", 10), ("种类", 10), ("标题", 80)]);
    for notice in notices {
        table.row([
            notice.entry.to_string(),
            words::moment(notice.created_at, now),
            words::notice(notice.state).to_owned(),
            notice.template.clone(),
            notice.subject.clone(),
        ]);
        if let Some(reason) = &notice.reason {
            table.note(&format!("原因：{reason}"));
        }
    }
    table.text()
}
