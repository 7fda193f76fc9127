//! `jiesu import`: files by hand. What is in them is taken in as if the connector had found them in its folder, and then
//! issued, unless a running gateway does that.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use connectors::{
    contract::Limits,
    entry::{ConnectorName, Item},
    files,
};
use jiesu::{
    config::{Config, ConnectorDefinition},
    gateway::Parts,
    ids::EntryId,
    intake::pages,
    store::{StoreError, intake::Taken, journal::Act, read::Place, search::EntryFilter},
};
use serde::Serialize;

use super::{
    Global,
    failure::{Code, Failure},
    open,
    report::Report,
    table::{self, Table},
    words,
};

/// The adapter whose connectors take files.
const ADAPTER: &str = "files";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 文件：.eml .mbox .csv .tsv .xlsx / files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// 归入此接入点（适配器须为 files） / the connector that they belong to
    #[arg(long)]
    connector: ConnectorName,
}

/// What became of one file.
#[derive(Debug, Serialize)]
struct Imported {
    file: PathBuf,
    items: usize,
    stored: usize,
    repeats: usize,
    quarantined: usize,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    connector: ConnectorName,
    files: Vec<Imported>,
    /// Entries issued here; none where a running gateway issues.
    issued: Option<usize>,
    /// Where the new entries stand now.
    places: BTreeMap<&'static str, usize>,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> anyhow::Result<Report> {
    let parts = open::parts(open::config(global)?).await?;
    let name = &arguments.connector;
    let definition = definition(&parts, name).await?;
    let settings = settings(&definition)?;
    let (actor, count) = (open::actor(), format!("{} files", arguments.files.len()));
    let act = Act { actor: &actor, action: "connector.import", subject: name.as_str(), reason: Some(&count) };
    parts.store.audit(act, parts.clock.now()).await?;

    let mut new = HashSet::new();
    let mut imported = Vec::new();
    for file in &arguments.files {
        imported.push(import(&parts, name, &settings, file, &mut new).await);
    }
    let issued = parts.issuer.drain().await?;
    let places = places(&parts, name, &new).await?;
    let failed = imported.iter().any(|file| file.error.is_some());
    let outcome = Outcome { connector: name.clone(), files: imported, issued, places };
    let report = Report::of(global.json, &outcome, || text(&outcome))?;
    Ok(report.code(if failed { Code::Failed } else { Code::Done }))
}

/// The connector's definition; one that only the file has yet is taken into the database, as a start would.
async fn definition(parts: &Parts, name: &ConnectorName) -> anyhow::Result<ConnectorDefinition> {
    let config: &Config = &parts.config;
    let stored = match parts.store.connector(name).await {
        Ok(stored) => stored,
        Err(StoreError::Missing { .. }) if open::defined(config, name).is_some() => {
            parts.apply(&config.connectors).await?;
            parts.store.connector(name).await?
        }
        Err(StoreError::Missing { .. }) => {
            return Err(Failure::missing(format!("没有接入点 {name} / there is no connector {name}"))
                .remedy(usable(config))
                .into());
        }
        Err(error) => return Err(error.into()),
    };
    if stored.adapter != ADAPTER {
        let adapter = stored.adapter;
        let message = format!("接入点 {name} 的适配器是 {adapter}，不接收文件 / {name} does not take files");
        return Err(Failure::conflict(message).remedy(usable(config)).into());
    }
    serde_json::from_str(&stored.definition).map_err(|error| {
        let message = format!("接入点 {name} 的定义无法读取 / the stored definition cannot be read: {error}");
        Failure::new(Code::Configuration, message).into()
    })
}

fn usable(config: &Config) -> String {
    let names: Vec<&str> = config
        .connectors
        .iter()
        .filter(|definition| definition.adapter == ADAPTER)
        .map(|definition| definition.name.as_str())
        .collect();
    if names.is_empty() {
        format!("在配置文件中添加 adapter = \"{ADAPTER}\" 的 [[connector]]")
    } else {
        format!("可用：{}", names.join("、"))
    }
}

fn settings(definition: &ConnectorDefinition) -> Result<files::Settings, Failure> {
    serde_json::from_value(definition.settings.clone().into()).map_err(|error| {
        let name = &definition.name;
        Failure::new(
            Code::Configuration,
            format!("接入点 {name} 的设置无法使用 / its settings cannot be used: {error}"),
        )
        .remedy("jiesu check")
    })
}

async fn import(
    parts: &Parts,
    name: &ConnectorName,
    settings: &files::Settings,
    file: &Path,
    new: &mut HashSet<EntryId>,
) -> Imported {
    let mut imported = Imported { file: file.to_owned(), items: 0, stored: 0, repeats: 0, quarantined: 0, error: None };
    if let Err(error) = take(parts, name, settings, file, &mut imported, new).await {
        imported.error = Some(error.to_string());
    }
    imported
}

async fn take(
    parts: &Parts,
    name: &ConnectorName,
    settings: &files::Settings,
    file: &Path,
    imported: &mut Imported,
    new: &mut HashSet<EntryId>,
) -> anyhow::Result<()> {
    let limits = parts.config.intake.limits;
    let items = expand(settings, file, &limits)?;
    imported.items = items.len();
    for page in pages(items, &limits, Item::size) {
        for taken in parts.intake.take_items(name, page).await? {
            match taken {
                Taken::Stored(id) => {
                    imported.stored += 1;
                    new.insert(id);
                }
                Taken::Quarantined(id) => {
                    imported.quarantined += 1;
                    new.insert(id);
                }
                Taken::Kept => imported.stored += 1,
                Taken::Repeat | Taken::Reused => imported.repeats += 1,
            }
        }
    }
    Ok(())
}

/// The items of a file, read as the folder reads it.
pub(crate) fn expand(settings: &files::Settings, file: &Path, limits: &Limits) -> anyhow::Result<Vec<Item>> {
    let unreadable = |error: std::io::Error| Failure::unreadable(file, &error);
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > settings.file_bytes {
        let most = settings.file_bytes;
        let message = format!("{} 超过 {most} 字节 / is larger than {most} bytes", file.display());
        return Err(Failure::new(Code::Failed, message).remedy("拆分后再导入；重叠部分不会重复").into());
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(settings.expand(&name, &bytes, limits)?)
}

/// Where the new entries stand now.
async fn places(
    parts: &Parts,
    name: &ConnectorName,
    new: &HashSet<EntryId>,
) -> Result<BTreeMap<&'static str, usize>, StoreError> {
    const PAGE: i64 = 1000;
    let mut places = BTreeMap::new();
    let Some(oldest) = new.iter().min().copied() else { return Ok(places) };
    let mut filter = EntryFilter { connector: Some(name.clone()), ..EntryFilter::default() };
    loop {
        let page = parts.store.entries(&filter, PAGE).await?;
        for entry in page.iter().filter(|entry| new.contains(&entry.id)) {
            *places.entry(entry.place.as_str()).or_default() += 1;
        }
        filter.before = page.last().map(|entry| entry.id);
        if filter.before.is_none_or(|last| last <= oldest) {
            return Ok(places);
        }
    }
}

fn text(outcome: &Outcome) -> String {
    let mut table = Table::new(&[("内含", 7), ("新存", 7), ("已有", 7), ("隔离", 7), ("文件", 80)]);
    for file in &outcome.files {
        table.row([
            file.items.to_string(),
            file.stored.to_string(),
            file.repeats.to_string(),
            file.quarantined.to_string(),
            file.file.display().to_string(),
        ]);
        if let Some(error) = &file.error {
            table.note(&format!("未能读完：{error}"));
        }
    }
    let mut text = table.text();
    let standing: Vec<String> = Place::ALL
        .into_iter()
        .filter_map(|place| outcome.places.get(place.as_str()).map(|count| format!("{} {count}", words::place(place))))
        .collect();
    if !standing.is_empty() {
        text.push_str(&table::fold(&format!("新来件去向：{}", standing.join("，")), 0));
    }
    if outcome.issued.is_none() {
        text.push_str("运行中的网关会继续处理 / the running gateway takes them up\n");
    }
    text
}
