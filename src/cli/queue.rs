//! `jiesu queue`: what a handling system does over HTTP, by hand; and what an admin does about dead letters.

use std::time::Duration;

use jiesu::{
    config::Config,
    ids::QueueItemId,
    store::{
        Store,
        journal::Act,
        queue::{DeliveryPolicy, Leased, Settled, Settlement},
        read::TicketView,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Global, failure::Failure, open, report::Report, table, table::Table, ticket, words};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 各状态的件数 / how many deliveries stand where
    Depth,
    /// 领取工单 / lease tickets
    Lease {
        /// 领取者 / who takes them
        #[arg(long, value_parser = consumer)]
        consumer: String,
        /// 至多几件 / how many at most
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=1000))]
        max: i64,
        /// 租期秒数，缺省见配置 / seconds that they are held
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// 确认已接收 / acknowledge a delivery
    Ack(Held),
    /// 放回队列，不计失败 / give a delivery back, not counted as a failure
    Release(Held),
    /// 报告失败，稍后再投 / tell that a delivery failed
    Fail {
        #[command(flatten)]
        held: Held,
        /// 原因 / why
        #[arg(long, value_parser = open::reason)]
        reason: String,
    },
    /// 多次失败的投递 / the dead letters
    Dead {
        /// 从此投递之后起 / after this delivery
        #[arg(long, default_value = "0")]
        after: QueueItemId,
        /// 至多几件 / how many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// 重新投递 / put a dead letter back into the queue
    Requeue {
        /// 投递编号 / delivery
        id: QueueItemId,
    },
}

/// A delivery under a lease.
#[derive(Debug, clap::Args)]
pub(crate) struct Held {
    /// 投递编号 / delivery
    id: QueueItemId,
    /// 领取时得到的租约 / the lease that it was given under
    #[arg(long)]
    lease: Uuid,
}

fn consumer(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.chars().count()) && !text.contains(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("名称为 1 至 64 字 / a name of 1 to 64 characters".to_owned()) }
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    match command {
        Command::Depth => depth(global, &store).await,
        Command::Lease { consumer, max, seconds } => lease(global, &config, &store, &consumer, max, seconds).await,
        Command::Ack(held) => settle(global, &config, &store, &held, Settlement::Acknowledge).await,
        Command::Release(held) => settle(global, &config, &store, &held, Settlement::Release).await,
        Command::Fail { held, reason } => settle(global, &config, &store, &held, Settlement::Fail { reason }).await,
        Command::Dead { after, limit } => dead(global, &store, after, limit).await,
        Command::Requeue { id } => requeue(global, &store, id).await,
    }
}

async fn depth(global: &Global, store: &Store) -> anyhow::Result<Report> {
    let depth = store.queue_depth().await?;
    Report::of(global.json, &depth, || {
        table::facts(&[
            ("待领取", depth.ready.to_string()),
            ("已领取", depth.leased.to_string()),
            ("多次失败", depth.dead.to_string()),
        ])
    })
}

fn policy(config: &Config) -> DeliveryPolicy {
    DeliveryPolicy {
        max_attempts: i64::from(config.queue.max_attempts),
        retry_delay: Duration::from_secs(config.queue.retry_delay_seconds),
    }
}

async fn lease(
    global: &Global,
    config: &Config,
    store: &Store,
    consumer: &str,
    max: i64,
    seconds: Option<u64>,
) -> anyhow::Result<Report> {
    let longest = config.queue.max_lease_seconds;
    let seconds = seconds.unwrap_or(config.queue.lease_seconds);
    if !(1..=longest).contains(&seconds) {
        let message = format!("租期须为 1 至 {longest} 秒 / a lease lasts 1 to {longest} seconds, not {seconds}");
        return Err(Failure::usage(message).remedy("上限见 [queue] max_lease_seconds").into());
    }
    let now = open::clock().now();
    let leased = store.lease_deliveries(consumer, max, Duration::from_secs(seconds), policy(config), now).await?;
    let mut shown: Vec<(Leased, TicketView)> = Vec::with_capacity(leased.len());
    for delivery in leased {
        let ticket = store.ticket_by_id(delivery.ticket).await?;
        shown.push((delivery, ticket));
    }
    let value: Vec<Value> = shown
        .iter()
        .map(|(delivery, ticket)| {
            json!({
                "id": delivery.id,
                "lease": delivery.lease,
                "expires_at": delivery.expires_at,
                "attempts": delivery.attempts,
                "event": delivery.event,
                "ticket": ticket,
            })
        })
        .collect();
    Report::of(global.json, &value, || {
        let Some((first, _)) = shown.first() else {
            return "队列中没有可领取的工单 / nothing to lease".to_owned();
        };
        let columns = [("投递", 8), ("工单", 15), ("事由", 4), ("缓急", 8), ("办结时限", 16), ("标题", 80)];
        let mut table = Table::new(&columns);
        for (delivery, ticket) in &shown {
            table.row([
                delivery.id.to_string(),
                ticket.number.to_string(),
                words::relation(delivery.event).to_owned(),
                words::urgency(ticket.urgency).to_owned(),
                ticket::due(ticket, now),
                ticket::title(ticket),
            ]);
        }
        format!("{}租约 {} 至 {}", table.text(), first.lease, words::moment(first.expires_at, now))
    })
}

async fn settle(
    global: &Global,
    config: &Config,
    store: &Store,
    held: &Held,
    settlement: Settlement,
) -> anyhow::Result<Report> {
    let now = open::clock().now();
    let settled = store.settle_delivery(held.id, held.lease, &settlement, policy(config), now).await?;
    Report::of(global.json, &json!({ "id": held.id, "state": settled }), || {
        let id = held.id;
        match settled {
            Settled::Done => format!("投递 {id} 已完成 / done"),
            Settled::Ready => format!("投递 {id} 已回到队列 / waiting again"),
            Settled::Dead => format!("投递 {id} 多次失败，已停止投递 / among the dead letters"),
        }
    })
}

async fn dead(global: &Global, store: &Store, after: QueueItemId, limit: i64) -> anyhow::Result<Report> {
    let letters = store.dead_letters(after, limit).await?;
    let now = open::clock().now();
    Report::of(global.json, &letters, || {
        if letters.is_empty() {
            return "没有多次失败的投递 / no dead letters".to_owned();
        }
        let mut table = Table::new(&[("投递", 8), ("工单", 15), ("次数", 4), ("停止于", 16), ("领取者", 80)]);
        for letter in &letters {
            table.row([
                letter.id.to_string(),
                letter.number.clone(),
                letter.attempts.to_string(),
                letter.finished_at.map(|at| words::moment(at, now)).unwrap_or_default(),
                letter.consumer.clone().unwrap_or_default(),
            ]);
            if let Some(reason) = &letter.reason {
                table.note(&format!("原因：{reason}"));
            }
        }
        table.text()
    })
}

async fn requeue(global: &Global, store: &Store, id: QueueItemId) -> anyhow::Result<Report> {
    let (actor, subject) = (open::actor(), id.to_string());
    let act = Act { actor: &actor, action: "queue.requeue", subject: &subject, reason: None };
    store.requeue(id, act, open::clock().now()).await?;
    Report::of(global.json, &json!({ "id": id, "state": "ready" }), || format!("投递 {id} 已回到队列 / waiting again"))
}
