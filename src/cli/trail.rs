//! `jiesu audit` and `jiesu accounting`: who did what and why, and the sums that prove that nothing was lost.

use jiesu::store::{
    Store, StoreError,
    journal::{AuditRow, Trail},
};
use serde_json::json;

use super::{
    Global,
    failure::Code,
    open,
    report::Report,
    table::{self, Table},
    words,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 谁在何时做了什么 / who did what and why; the last ones unless --after is given
    List {
        /// 从此序号之后起 / after this place in the trail
        #[arg(long)]
        after: Option<i64>,
        /// 至多几条 / how many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// 核对记录是否完整 / check that no row was changed or taken out
    Verify,
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    match command {
        Command::List { after, limit } => list(global, &store, after, limit).await,
        Command::Verify => verify(global, &store).await,
    }
}

async fn list(global: &Global, store: &Store, after: Option<i64>, limit: i64) -> anyhow::Result<Report> {
    let rows = match after {
        Some(after) => store.audit_rows(after, limit).await?,
        None => last(store, limit).await?,
    };
    let now = open::clock().now();
    Report::of(global.json, &rows, || {
        let mut table = Table::new(&[("序号", 7), ("时间", 16), ("何人", 18), ("何事", 18), ("对象", 80)]);
        for row in &rows {
            table.row([
                row.seq.to_string(),
                words::moment(row.at, now),
                row.actor.clone(),
                row.action.clone(),
                row.subject.clone(),
            ]);
            if let Some(reason) = &row.reason {
                table.note(&format!("原因：{reason}"));
            }
        }
        table.text()
    })
}

/// Rows asked for at once.
const PAGE: i64 = 1000;

/// The last rows; the trail is read from its beginning, as checking it does.
async fn last(store: &Store, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
    let keep = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut kept: Vec<AuditRow> = Vec::new();
    loop {
        let page = store.audit_rows(kept.last().map_or(0, |row| row.seq), PAGE).await?;
        let ended = i64::try_from(page.len()).is_ok_and(|rows| rows < PAGE);
        kept.extend(page);
        kept.drain(..kept.len().saturating_sub(keep));
        if ended {
            return Ok(kept);
        }
    }
}

async fn verify(global: &Global, store: &Store) -> anyhow::Result<Report> {
    let trail = store.verify_audit().await?;
    let (value, code) = match trail {
        Trail::Whole(rows) => (json!({ "whole": true, "rows": rows }), Code::Done),
        Trail::Broken(at) => (json!({ "whole": false, "broken_at": at }), Code::Failed),
    };
    let report = Report::of(global.json, &value, || match trail {
        Trail::Whole(rows) => format!("审计记录完整，共 {rows} 条 / the audit trail is whole: {rows} rows"),
        Trail::Broken(at) => format!(
            "审计记录自第 {at} 条起不完整 / the audit trail is broken at row {at}\n  \
             → 有记录被改动或删除：保留数据库原样，与备份比对"
        ),
    })?;
    Ok(report.code(code))
}

/// The sum check.
pub(crate) async fn accounting(global: &Global) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let sums = store.accounting().await?;
    let mut value = serde_json::to_value(sums)?;
    value["balances"] = json!(sums.balances());
    let report = Report::of(global.json, &value, || {
        let mut text = table::facts(&[
            ("来件", sums.entries.to_string()),
            ("  待处理", sums.pending.to_string()),
            ("  工单", format!("{}（工单 {} 件）", sums.in_tickets, sums.tickets)),
            ("  引导", sums.guided.to_string()),
            ("  不予受理", sums.declined.to_string()),
            ("  待人工", sums.held.to_string()),
            ("  隔离", sums.quarantined.to_string()),
            ("分段", sums.fragments.to_string()),
            ("  未齐", sums.fragments_open.to_string()),
            ("  已并入来件", sums.fragments_joined.to_string()),
            ("  按设置不成件", sums.fragments_dropped.to_string()),
        ]);
        text.push_str(if sums.balances() {
            "相符：每件来件恰有一个去向 / balanced"
        } else {
            "不符：有来件没有去向或重复计入 / does not balance\n  → 保留数据库原样并查看日志"
        });
        text
    })?;
    Ok(report.code(if sums.balances() { Code::Done } else { Code::Failed }))
}
