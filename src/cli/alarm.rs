//! `jiesu alarm`: what is wrong, and noting that somebody has seen it.

use jiesu::{
    ids::AlarmId,
    store::{alarms::Alarm, journal::Act},
};
use jiff::Timestamp;

use super::{Global, open, report::Report, table::Table, words};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 未解除的告警；--all 含已解除的 / open alarms, newest first
    List {
        /// 含已解除的 / those that are over as well
        #[arg(long)]
        all: bool,
        /// 至多几条 / how many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// 确认告警：已发生之事随即解除，仍在持续的待原因消失后解除 / note that an alarm was seen
    Acknowledge {
        /// 编号 / id
        id: AlarmId,
        /// 原因 / why, or what was done
        #[arg(long, value_parser = open::reason)]
        reason: Option<String>,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let now = open::clock().now();
    match command {
        Command::List { all, limit } => {
            let alarms = store.alarms(!all, None, limit).await?;
            Report::of(global.json, &alarms, || list(&alarms, now))
        }
        Command::Acknowledge { id, reason } => {
            let (actor, subject) = (open::actor(), id.to_string());
            let act = Act { actor: &actor, action: "alarm.acknowledge", subject: &subject, reason: reason.as_deref() };
            let alarm = store.acknowledge_alarm(id, act, now).await?;
            Report::of(global.json, &alarm, || match alarm.cleared_at {
                Some(_) => format!("已确认并解除告警 {id} / acknowledged; it is over"),
                None => format!("已确认告警 {id}，原因消失后自行解除 / acknowledged; it ends with its cause"),
            })
        }
    }
}

fn list(alarms: &[Alarm], now: Timestamp) -> String {
    if alarms.is_empty() {
        return "没有告警 / no alarms".to_owned();
    }
    let mut table = Table::new(&[("编号", 6), ("自", 16), ("种类", 20), ("对象", 20), ("状态", 20)]);
    for alarm in alarms {
        let state = match (alarm.cleared_at, &alarm.acknowledged_by) {
            (Some(cleared), _) => format!("{} 解除", words::moment(cleared, now)),
            (None, Some(who)) => format!("{who} 已确认"),
            (None, None) => "未确认".to_owned(),
        };
        table.row([
            alarm.id.to_string(),
            words::moment(alarm.since, now),
            alarm.kind.chinese().to_owned(),
            alarm.subject.clone(),
            state,
        ]);
        table.note(&alarm.message_zh);
    }
    table.text()
}
