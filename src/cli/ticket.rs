//! `jiesu ticket`: tickets as handlers see them.

use connectors::complaint::Attachment;
use jiesu::{
    assess::Kind,
    ids::EntryId,
    matching::RelatedTicket,
    number::TicketNumber,
    store::read::{ComplaintView, TicketView},
};
use jiff::Timestamp;

use super::{
    Global, open,
    report::Report,
    table::{self, Table},
    ticket_merge, words,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 工单，新的在前 / tickets, newest first
    List {
        /// 早于此工单 / before this one
        #[arg(long, value_name = "NUMBER")]
        before: Option<TicketNumber>,
        /// 至多几件 / how many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// 一件工单的全部情况 / everything about one ticket
    Show {
        /// 工单编号 / number
        number: TicketNumber,
    },
    /// 并案：后一件并入前一件 / merge the second ticket into the first
    Merge {
        /// 保留的工单 / the ticket that stays
        kept: TicketNumber,
        /// 并入的工单 / the ticket that is merged into it
        merged: TicketNumber,
        /// 理由 / why
        #[arg(long)]
        reason: String,
    },
    /// 撤销并案，或将误并的来件分出 / undo a merge, or take out a complaint that was joined wrongly
    Unmerge {
        /// 已并入他案的工单；用 --entry 时不填 / a merged ticket; not with --entry
        #[arg(required_unless_present = "entry", conflicts_with = "entry")]
        merged: Option<TicketNumber>,
        /// 误并的来件 / the entry of a complaint that was joined wrongly
        #[arg(long, value_name = "ID")]
        entry: Option<EntryId>,
        /// 理由 / why
        #[arg(long)]
        reason: String,
    },
    /// 更改类别；办结时限自立单时重算 / say of which kind a ticket is; its due time is reckoned anew
    Kind {
        /// 工单编号 / number
        number: TicketNumber,
        /// 类别：consult 咨询、suggest 建议、help 求助、complain 投诉 / the kind
        #[arg(value_parser = ticket_merge::parsed_kind)]
        kind: Kind,
        /// 理由 / why
        #[arg(long)]
        reason: String,
    },
    /// 热点：多人反映的事项 / matters that many people report
    Hotspots {
        /// 看多少天，并与之前同样长的时间相比 / days looked at, beside as many before
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=366))]
        days: i64,
        /// 期内至少几件 / complaints in that time at least
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i64).range(1..))]
        least: i64,
        /// 至多几条 / how many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// 人工并案与分案形成的标注 / what merges and unmerges say of pairs, for measuring
    Labels {
        /// 晚于此号 / after this one
        #[arg(long, default_value_t = 0, value_name = "ID")]
        after: i64,
        /// 至多几条 / how many
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..=10000))]
        limit: i64,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    let (_, store) = open::store(global).await?;
    let now = open::clock().now();
    match command {
        Command::List { before, limit } => {
            let before = match before {
                Some(number) => Some(store.ticket(number).await?.id),
                None => None,
            };
            let tickets = store.tickets(before, limit).await?;
            Report::of(global.json, &tickets, || list(&tickets, now))
        }
        Command::Show { number } => {
            let ticket = store.ticket(number).await?;
            Report::of(global.json, &ticket, || show(&ticket, now))
        }
        Command::Merge { kept, merged, reason } => ticket_merge::merge(global, kept, merged, &reason).await,
        Command::Kind { number, kind, reason } => ticket_merge::kind(global, number, kind, &reason).await,
        Command::Unmerge { merged, entry, reason } => ticket_merge::unmerge(global, merged, entry, &reason).await,
        Command::Hotspots { days, least, limit } => {
            ticket_merge::hot_spots(global, days, least, usize::from(limit)).await
        }
        Command::Labels { after, limit } => ticket_merge::labels(global, after, limit).await,
    }
}

fn list(tickets: &[TicketView], now: Timestamp) -> String {
    let mut table = Table::new(&[("工单", 15), ("类别", 8), ("缓急", 8), ("限办", 16), ("件", 4), ("标题", 80)]);
    for ticket in tickets {
        table.row([
            ticket.number.to_string(),
            ticket.kind.chinese().to_owned(),
            words::urgency(ticket.urgency).to_owned(),
            due(ticket, now),
            (1 + ticket.repeats + ticket.co_reports + ticket.follow_ups + ticket.revisions).to_string(),
            title(ticket),
        ]);
    }
    table.text()
}

pub(crate) fn due(ticket: &TicketView, now: Timestamp) -> String {
    ticket.complete_due.map_or_else(|| "未定".to_owned(), |due| words::moment(due, now))
}

/// The title of the complaint that opened it, or its beginning.
pub(crate) fn title(ticket: &TicketView) -> String {
    ticket.complaints.first().map(|complaint| complaint.shown.title()).unwrap_or_default()
}

fn show(ticket: &TicketView, now: Timestamp) -> String {
    let moment = |at: Option<Timestamp>| at.map(|at| words::moment(at, now)).unwrap_or_default();
    let channel = connectors::complaint::Channel::parse(&ticket.channel).map_or("", words::channel);
    let mut text = table::facts(&[
        ("工单", ticket.number.to_string()),
        ("渠道", channel.to_owned()),
        ("类别", ticket.kind.chinese().to_owned()),
        ("缓急", words::urgency(ticket.urgency).to_owned()),
        ("立案", words::moment(ticket.opened_at, now)),
        ("交办时限", moment(ticket.assign_due)),
        ("办结时限", due(ticket, now)),
        ("时限说明", ticket.due_note.clone().unwrap_or_default()),
        ("已并入", ticket.merged_into.map(|number| number.to_string()).unwrap_or_default()),
        (
            "来件",
            format!(
                "重复 {}、同类 {}、补充 {}、修订 {}",
                ticket.repeats, ticket.co_reports, ticket.follow_ups, ticket.revisions
            ),
        ),
    ]);
    for complaint in &ticket.complaints {
        text.push('\n');
        text.push_str(&self::complaint(complaint, now));
    }
    text
}

/// A complaint as handlers see it: masked, with what was decided and why.
pub(crate) fn complaint(complaint: &ComplaintView, now: Timestamp) -> String {
    let shown = &complaint.shown;
    let grounds = &complaint.grounds;
    let mut text = format!(
        "来件 {}（{}）{}\n",
        complaint.entry,
        complaint.relation.map_or("未入工单", words::relation),
        words::moment(complaint.issued_at, now)
    );
    text.push_str(&table::facts(&[
        ("受理结论", complaint.disposition.chinese().to_owned()),
        ("依据", format!("{}（规则 {}，版本 {}）", grounds.article.chinese(), grounds.rule, grounds.rules_version)),
        ("支持", grounds.evidence.join("；")),
        ("相反", grounds.against.join("；")),
        ("告知", grounds.advice.clone().unwrap_or_default()),
        ("类别", format!("{}{}", complaint.kind.chinese(), if complaint.kind_certain { "" } else { "（存疑）" })),
        ("标题", shown.subject.clone().unwrap_or_default()),
        ("时间", shown.occurred.clone().unwrap_or_default()),
        ("地点", shown.place.clone().unwrap_or_default()),
        ("当事人", shown.parties.clone().unwrap_or_default()),
        ("内容", shown.body.clone()),
        ("请求", shown.request.clone().unwrap_or_default()),
        ("附件", shown.attachments.iter().zip(1..).map(attachment).collect::<Vec<_>>().join("\n")),
        ("说明", shown.remarks.join("；")),
        ("并案依据", complaint.matching.signs.join("；")),
        ("相反迹象", complaint.matching.against.join("；")),
        ("相关工单", related(complaint)),
        (
            "多项诉求",
            if complaint.matching.several {
                format!("来件含多项诉求（{}），建议拆分", complaint.matching.parts.join("、"))
            } else {
                String::new()
            },
        ),
    ]));
    text
}

/// An attachment with its number, by which `entry attachment` knows it.
fn attachment((attachment, number): (&Attachment, usize)) -> String {
    let name = attachment.name.as_deref().unwrap_or("（无名）");
    let told = &attachment.media_type;
    let kind = match &attachment.sniffed {
        Some(sniffed) if sniffed != told => format!("{told}，实为 {sniffed}"),
        _ => told.clone(),
    };
    format!("{number}. {name}（{kind}，{} 字节）", attachment.size)
}

/// Tickets that may bear on a complaint, with what is alike and why it was not joined.
fn related(complaint: &ComplaintView) -> String {
    let one = |related: &RelatedTicket| {
        format!("来件 {}（{}；{}）", related.entry, related.signs.join("；"), related.against.join("；"))
    };
    complaint.matching.related.iter().map(one).collect::<Vec<_>>().join("\n")
}
