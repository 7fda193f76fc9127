//! `jiesu assess`: the verdict on a text, with the rules and the readers that the gateway uses, and without storing
//! anything. For writing rules, and for asking why something was decided as it was.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use connectors::{
    complaint::{Channel, Complaint},
    contract::{Limits, Normalise},
    entry::{ConnectorName, ExternalId, Form, Item, RawEntry, Revision},
    files,
};
use jiesu::{
    assess::{Assessor, Verdict},
    config::{Config, ConnectorDefinition},
    gateway,
    ids::EntryId,
    rulebook::Rulebook,
    store::journal::Act,
};
use serde_json::{Value, json};

use super::{Global, failure::Failure, import, open, report::Report, rules, table, words};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 文件：.eml .mbox .csv .tsv，其余按正文；- 为标准输入 / a file, - for standard input
    #[arg(required_unless_present_any = ["text", "entry"], conflicts_with = "text")]
    file: Option<PathBuf>,
    /// 直接给出正文 / the text itself
    #[arg(long)]
    text: Option<String>,
    /// 已存的来件（须开启原件，先记入审计） / a stored entry: it is opened, which is written down first
    #[arg(long, value_name = "ID", conflicts_with_all = ["file", "text", "connector", "channel"], requires = "reason")]
    entry: Option<EntryId>,
    /// 原因 / why a stored entry is opened
    #[arg(long, value_parser = open::reason)]
    reason: Option<String>,
    /// 用这份规则文件 / by this rule file
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 按此接入点读取 / read it as this connector does
    #[arg(long, conflicts_with = "channel")]
    connector: Option<ConnectorName>,
    /// 渠道，缺省 letter / channel
    #[arg(long, value_parser = channel)]
    channel: Option<Channel>,
}

fn channel(text: &str) -> Result<Channel, String> {
    Channel::parse(text).ok_or_else(|| format!("须为其一 / one of {}", Channel::ALL.map(Channel::as_str).join(", ")))
}

/// Bytes of a text that are read.
const LONGEST: u64 = 1024 * 1024;

pub(crate) async fn run(global: &Global, arguments: Arguments) -> anyhow::Result<Report> {
    if let Some(id) = arguments.entry {
        return stored(global, id, &arguments).await;
    }
    let config = config(global)?;
    let assessor = chosen(&gateway::rules(&config)?, arguments.rules.as_deref())?;
    let definition = match &arguments.connector {
        Some(name) => Some(definition(&config, name).await?),
        None => None,
    };
    let channel =
        definition.as_ref().map(|definition| definition.channel).or(arguments.channel).unwrap_or(Channel::Letter);
    let now = open::clock().now();
    let complaints = complaints(&arguments, definition.as_ref(), &config.intake.limits)?;
    let verdicts: Vec<Result<Verdict, String>> = complaints
        .into_iter()
        .map(|complaint| complaint.map(|complaint| assessor.assess(complaint, channel, now)))
        .collect();
    let value: Vec<Value> = verdicts.iter().map(json_of).collect();
    Report::of(global.json, &value, || verdicts.iter().map(text_of).collect::<Vec<_>>().join("\n"))
}

/// The rules in force, or those of the file that is given.
fn chosen(rulebook: &Rulebook, file: Option<&Path>) -> anyhow::Result<Assessor> {
    let Some(file) = file else { return Ok(rulebook.assessor()) };
    let rules = rulebook.build(&rules::read(file)?);
    let rules = rules.map_err(|error| Failure::usage(format!("{}：{error}", file.display())))?;
    Ok(Assessor::new(Arc::new(rules)))
}

/// The verdict on a stored entry, as it would be now.
async fn stored(global: &Global, id: EntryId, arguments: &Arguments) -> anyhow::Result<Report> {
    let parts = open::parts(open::config(global)?).await?;
    let tools = parts.issuer.tools();
    let assessor = chosen(&tools.rulebook, arguments.rules.as_deref())?;
    let stored = parts.store.trial_entry(id).await?;
    let (actor, subject) = (open::actor(), id.to_string());
    let act = Act { actor: &actor, action: "entry.assess", subject: &subject, reason: arguments.reason.as_deref() };
    parts.store.audit(act, open::clock().now()).await?;
    let verdict = tools
        .normalise(&stored.entry)
        .map(|(complaint, channel)| assessor.assess(complaint, channel, stored.entry.received_at))
        .map_err(|(_, reason)| reason);
    Report::of(global.json, &[json_of(&verdict)], || text_of(&verdict))
}

/// Texts can be judged without a configuration: by the rules that come with the program.
fn config(global: &Global) -> anyhow::Result<Config> {
    match open::path(global) {
        Ok(_) => open::config(global),
        Err(_) => Ok(Config::default()),
    }
}

async fn definition(config: &Config, name: &ConnectorName) -> anyhow::Result<ConnectorDefinition> {
    match open::defined(config, name) {
        Some(definition) => Ok(definition.clone()),
        None => open::definition(config, &gateway::open_store(config).await?, name).await,
    }
}

fn complaints(
    arguments: &Arguments,
    definition: Option<&ConnectorDefinition>,
    limits: &Limits,
) -> anyhow::Result<Vec<Result<Complaint, String>>> {
    let Some(file) = arguments.file.as_deref().filter(|_| arguments.text.is_none()) else {
        return Ok(vec![Ok(plain(arguments.text.clone().unwrap_or_default()))]);
    };
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    if matches!(extension.as_str(), "eml" | "mbox" | "csv" | "tsv") {
        let settings = definition
            .filter(|definition| definition.adapter == "files")
            .and_then(|definition| serde_json::from_value(definition.settings.clone().into()).ok())
            .unwrap_or_else(|| files::Settings::new("."));
        let normaliser = normaliser(definition, &settings)?;
        let items = import::expand(&settings, file, limits)?;
        return Ok(items.into_iter().map(|item| read(item, normaliser.as_ref())).collect());
    }
    let text = text(file)?;
    match definition {
        Some(definition) if extension == "json" => {
            let normaliser = normaliser(Some(definition), &files::Settings::new("."))?;
            let entry = RawEntry {
                external_id: ExternalId::of_content(&[text.as_bytes()]),
                revision: Revision::only(),
                delivery_id: None,
                source_time: None,
                form: Form::Json,
                raw: text.into(),
                remarks: Vec::new(),
            };
            Ok(vec![read(Item::Entry(entry), normaliser.as_ref())])
        }
        _ => Ok(vec![Ok(plain(text))]),
    }
}

fn normaliser(
    definition: Option<&ConnectorDefinition>,
    settings: &files::Settings,
) -> anyhow::Result<Arc<dyn Normalise>> {
    use connectors::contract::Adapter as _;
    Ok(match definition {
        Some(definition) => definition.adapter()?.normaliser()?,
        None => settings.normaliser()?,
    })
}

fn read(item: Item, normaliser: &dyn Normalise) -> Result<Complaint, String> {
    match item {
        Item::Entry(entry) => {
            normaliser.normalise(&entry, open::clock().now()).map_err(|unreadable| unreadable.to_string())
        }
        Item::Unread(unread) => Err(unread.reason),
        Item::Fragment(_) => Err("a piece of an item says nothing by itself".to_owned()),
    }
}

fn plain(body: String) -> Complaint {
    Complaint { body, ..Complaint::default() }
}

fn text(file: &Path) -> anyhow::Result<String> {
    let unreadable = |error: std::io::Error| Failure::unreadable(file, &error).remedy("正文须为 UTF-8；邮件存为 .eml");
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
    };
    let size = read.map_err(unreadable)? as u64;
    if size > LONGEST {
        return Err(Failure::usage(format!("正文超过 {LONGEST} 字节 / the text is larger than {LONGEST} bytes")).into());
    }
    Ok(text)
}

fn json_of(verdict: &Result<Verdict, String>) -> Value {
    match verdict {
        Err(reason) => json!({ "unreadable": reason }),
        Ok(verdict) => json!({
            "disposition": verdict.disposition,
            "grounds": verdict.grounds,
            "article": verdict.grounds.article.chinese(),
            "kind": verdict.kind,
            "kind_certain": verdict.kind_certain,
            "due_kind": verdict.due_kind,
            "urgency": verdict.urgency,
            "silent": verdict.silent,
            "answers_ticket": verdict.keys.ticket,
            "shown": verdict.shown,
        }),
    }
}

fn text_of(verdict: &Result<Verdict, String>) -> String {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(reason) => return table::facts(&[("隔离", reason.clone())]),
    };
    let (grounds, shown) = (&verdict.grounds, &verdict.shown);
    let suggested = &shown.suggested;
    let doubt = if verdict.kind_certain {
        String::new()
    } else {
        let kinds: Vec<&str> = suggested.kinds.iter().map(|kind| kind.chinese()).collect();
        format!("（存疑：{}；时限从短）", kinds.join("、"))
    };
    let subject = suggested.subject.as_deref().map(|subject| format!("{subject}（{}）", suggested.evidence.join("、")));
    let mut units: Vec<&str> = suggested.unit.iter().map(String::as_str).collect();
    units.extend(suggested.also_to.iter().map(String::as_str));
    table::facts(&[
        ("受理结论", format!("{} {}", verdict.disposition.chinese(), verdict.disposition.as_str())),
        ("依据", format!("{}（规则 {}，版本 {}）", grounds.article.chinese(), grounds.rule, grounds.rules_version)),
        ("支持", grounds.evidence.join("；")),
        ("相反", grounds.against.join("；")),
        ("告知", grounds.advice.clone().unwrap_or_default()),
        ("把握", format!("{} / 100", grounds.score)),
        ("类别", format!("{}{doubt}，{} 个工作日", verdict.kind.chinese(), verdict.due_kind.working_days())),
        ("缓急", words::urgency(verdict.urgency).to_owned()),
        ("模型", suggested.signal.as_ref().map(words::signal).unwrap_or_default()),
        ("主题建议", subject.unwrap_or_default()),
        ("承办建议", units.join("、")),
        ("引用工单", verdict.keys.ticket.clone().unwrap_or_default()),
        ("不发告知", if verdict.silent { "是".to_owned() } else { String::new() }),
        ("标题", shown.subject.clone().unwrap_or_default()),
        ("内容", shown.body.clone()),
        ("请求", shown.request.clone().unwrap_or_default()),
        ("说明", shown.remarks.join("；")),
    ])
}
