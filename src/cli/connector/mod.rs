//! `jiesu connector`: what the connectors are doing, whether their sources let us in, and their switches.

mod change;
mod presets;
mod reconcile;
mod trial;

use connectors::{contract::Cursor, entry::ConnectorName, registry::AdapterKind};
use jiesu::store::{
    Store,
    connectors::{Health, Run, StoredConnector},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    Global,
    failure::Failure,
    health::reachable,
    open,
    report::Report,
    table::{self, Table},
    words,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 各接入点的状态 / how the connectors fare
    List,
    /// 一个接入点的全部情况 / everything about one connector
    Show {
        /// 名称 / name
        name: ConnectorName,
        /// 显示最近几次运行 / runs shown
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=200))]
        runs: i64,
    },
    /// 逐步试连，来源不变 / try the source step by step, changing nothing there
    Test {
        /// 名称 / name
        name: ConnectorName,
    },
    /// 启用 / switch on
    Enable {
        /// 名称 / name
        name: ConnectorName,
    },
    /// 停用 / switch off
    Disable {
        /// 名称 / name
        name: ConnectorName,
    },
    /// 立即读取一次 / read now
    Run {
        /// 名称 / name
        name: ConnectorName,
    },
    /// 退回读取位置；已收的来件不会重复 / set the cursor back; what is known stays known
    Rewind {
        /// 名称 / name
        name: ConnectorName,
        /// 新的读取位置，缺省为从头 / the new cursor; from the beginning unless given
        #[arg(long, value_name = "JSON")]
        to: Option<String>,
        /// 不再询问 / do not ask
        #[arg(long)]
        yes: bool,
    },
    /// 对账：来源现有与已入库是否相符，列出缺件 / what the source holds beside what was stored
    Reconcile(reconcile::Arguments),
    /// 可用的适配器 / the adapters that there are
    Adapters,
    /// 已知来源的现成设置 / ready settings for known sources
    Presets {
        /// 名称；给出时输出全文 / with a name, its text
        name: Option<String>,
    },
    /// 适配器设置的 JSON Schema / JSON Schema of an adapter's settings
    Schema {
        /// 适配器 / adapter
        adapter: String,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    match command {
        Command::List => list(global).await,
        Command::Show { name, runs } => show(global, &name, runs).await,
        Command::Test { name } => trial::run(global, &name).await,
        Command::Enable { name } => change::switch(global, &name, true).await,
        Command::Disable { name } => change::switch(global, &name, false).await,
        Command::Run { name } => change::request_run(global, &name).await,
        Command::Rewind { name, to, yes } => change::rewind(global, &name, to.as_deref(), yes).await,
        Command::Reconcile(arguments) => reconcile::run(global, arguments).await,
        Command::Adapters => adapters(global),
        Command::Presets { name } => presets::run(global, name.as_deref()),
        Command::Schema { adapter } => schema(&adapter),
    }
}

/// A connector as the command line shows it.
#[derive(Debug, Serialize)]
struct View {
    name: ConnectorName,
    channel: &'static str,
    adapter: String,
    enabled: bool,
    /// The state in words.
    status: String,
    /// Seconds since the source last answered well: new entries may be that late.
    lag_seconds: Option<u64>,
    generation: i64,
    run_requested: bool,
    health: Option<Health>,
}

impl View {
    fn of(stored: &StoredConnector, health: Option<Health>, now: Timestamp) -> Self {
        let last = health.as_ref().and_then(|health| health.last_success_at);
        Self {
            name: stored.name.clone(),
            channel: stored.channel.as_str(),
            adapter: stored.adapter.clone(),
            enabled: stored.enabled,
            status: words::state(stored, health.as_ref(), now),
            lag_seconds: last.filter(|_| stored.enabled).map(|last| words::since(last, now).as_secs()),
            generation: stored.generation,
            run_requested: stored.run_requested,
            health,
        }
    }

    fn lag(&self) -> String {
        self.lag_seconds.map_or_else(|| "—".to_owned(), |lag| words::span(std::time::Duration::from_secs(lag)))
    }
}

async fn list(global: &Global) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let now = open::clock().now();
    let mut views = Vec::new();
    let mut table = Table::new(&[("接入点", 20), ("渠道", 8), ("滞后", 9), ("最近成功", 16), ("状态", 80)]);
    for stored in store.connectors().await? {
        let view = View::of(&stored, store.health(&stored.name).await?, now);
        let health = view.health.as_ref();
        let last = health.and_then(|health| health.last_success_at);
        table.row([
            view.name.to_string(),
            words::channel(stored.channel).to_owned(),
            view.lag(),
            last.map_or_else(|| "—".to_owned(), |last| words::moment(last, now)),
            view.status.clone(),
        ]);
        if let Some((error, at)) = last_error(health) {
            table.note(&format!("最近错误 {}：{error}", words::moment(at, now)));
        }
        views.push(view);
    }
    let waiting: Vec<&str> = config
        .connectors
        .iter()
        .map(|definition| definition.name.as_str())
        .filter(|name| !views.iter().any(|view| view.name.as_str() == *name))
        .collect();
    let running = answers(config.http.listen).await;
    Report::of(global.json, &views, || {
        let mut text = if table.is_empty() { "没有接入点 / no connectors\n".to_owned() } else { table.text() };
        if !waiting.is_empty() {
            text.push_str(&table::fold(&format!("已配置、待网关启动后载入：{}", waiting.join("、")), 0));
        }
        if !running {
            let address = reachable(config.http.listen);
            text.push_str(&table::fold(&format!("本机 {address} 没有网关应答；以上为最后记录的状态。"), 0));
        }
        text
    })
}

fn last_error(health: Option<&Health>) -> Option<(&str, Timestamp)> {
    let health = health?;
    Some((health.last_error.as_deref()?, health.last_error_at?))
}

/// Whether somebody listens where the gateway would: states are only as fresh as the gateway that writes them.
async fn answers(address: std::net::SocketAddr) -> bool {
    let connect = tokio::net::TcpStream::connect(reachable(address));
    matches!(tokio::time::timeout(std::time::Duration::from_millis(500), connect).await, Ok(Ok(_)))
}

#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    view: View,
    cursor: Option<Cursor>,
    definition: Value,
    runs: Vec<Run>,
}

async fn show(global: &Global, name: &ConnectorName, runs: i64) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let stored = open::connector(&config, &store, name).await?;
    let now = open::clock().now();
    let whole = whole(&store, stored.clone(), runs, now).await?;
    Report::of(global.json, &whole, || {
        let moment = |at: Option<Timestamp>| at.map(|at| words::moment(at, now)).unwrap_or_default();
        let health = whole.view.health.as_ref();
        let mut text = table::facts(&[
            ("接入点", name.to_string()),
            ("渠道", words::channel(stored.channel).to_owned()),
            ("适配器", whole.view.adapter.clone()),
            ("状态", whole.view.status.clone()),
            ("滞后", whole.view.lag()),
            ("最近成功", moment(health.and_then(|health| health.last_success_at))),
            ("最近来件", moment(health.and_then(|health| health.last_entry_at))),
            ("连续失败", health.map(|health| health.failures.to_string()).unwrap_or_default()),
            (
                "最近错误",
                last_error(health).map(|(error, at)| format!("{} {error}", words::moment(at, now))).unwrap_or_default(),
            ),
            ("读取位置", whole.cursor.as_ref().map_or_else(|| "从头".to_owned(), |cursor| cursor.0.to_string())),
            ("立即读取", if whole.view.run_requested { "已请求".to_owned() } else { String::new() }),
        ]);
        if !whole.runs.is_empty() {
            text.push_str("\n最近运行\n");
            text.push_str(&runs_table(&whole.runs, now));
        }
        text.push_str("\n定义\n");
        text.push_str(&serde_json::to_string_pretty(&whole.definition).unwrap_or_default());
        text
    })
}

async fn whole(store: &Store, stored: StoredConnector, runs: i64, now: Timestamp) -> anyhow::Result<Whole> {
    let view = View::of(&stored, store.health(&stored.name).await?, now);
    let runs = store.runs(&stored.name, runs).await?;
    let definition = serde_json::from_str(&stored.definition).unwrap_or(Value::Null);
    Ok(Whole { view, cursor: stored.cursor, definition, runs })
}

fn runs_table(runs: &[Run], now: Timestamp) -> String {
    let mut table = Table::new(&[("开始", 16), ("用时", 8), ("页", 6), ("新件", 8), ("已有", 8), ("隔离", 6)]);
    for run in runs {
        table.row([
            words::moment(run.started_at, now),
            words::span(words::since(run.started_at, run.finished_at)),
            run.pages.to_string(),
            run.stored.to_string(),
            run.repeats.to_string(),
            run.quarantined.to_string(),
        ]);
        if let Some(error) = &run.error {
            table.note(error);
        }
    }
    table.text()
}

fn adapters(global: &Global) -> anyhow::Result<Report> {
    let all: Vec<_> = AdapterKind::ALL.into_iter().map(AdapterKind::info).collect();
    let value: Vec<_> = all.iter().map(|info| serde_json::json!({ "name": info.name, "about": info.about })).collect();
    Report::of(global.json, &value, || {
        let mut text = String::new();
        for info in &all {
            text.push_str(info.name);
            text.push('\n');
            text.push_str(&table::fold(info.about, 4));
        }
        text
    })
}

/// The schema is JSON either way.
fn schema(adapter: &str) -> anyhow::Result<Report> {
    let kind: AdapterKind = adapter.parse().map_err(|error: connectors::registry::UnknownAdapter| {
        let failure = Failure::missing(format!("没有适配器 {} / {error}", error.name));
        match error.nearest {
            Some(name) => failure.remedy(format!("是否为 {name}？")),
            None => failure.remedy("jiesu connector adapters 列出全部"),
        }
    })?;
    Report::of(true, &kind.info().schema, String::new)
}
