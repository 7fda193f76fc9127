//! `jiesu eval`: figures of judgement on labelled data, so that a change of the rules is counted and not believed.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiesu::{
    assess::{Assessor, Kind, RuleSet, Sources, Urgency},
    eval::{
        Rate, Split,
        scope::{self, Confusion, Figures, Judged, Outcome, ScopeReport},
    },
};
use serde_json::json;

use super::{Global, eval_daily, eval_matching, failure::Failure, report::Report};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 受理结论、类别、缓急 / disposition, kind and urgency of single messages
    Scope(ScopeArguments),
    /// 同一事项的识别 / which messages are about one matter, in a stream
    Pairs(eval_matching::PairsArguments),
    /// 工作人员改判的来件，与本机的结论对照 / the gateway's decisions beside those of people
    Daily(eval_daily::Arguments),
    /// 跨渠道重复的识别 / one matter told over several channels
    Repeats(eval_matching::RepeatsArguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScopeArguments {
    /// 标注数据，每行一个 JSON / labelled messages, one JSON object a line
    file: PathBuf,
    /// 地名表，替换规则文件中的 [places] / a file with a [places] table in place of the rules' own
    #[arg(long, value_name = "FILE")]
    gazetteer: Option<PathBuf>,
    /// 规则文件，缺省为随程序附带的规则 / rule file; without it the shipped rules
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 训练的模型，缺省为随程序附带的 / trained model; without it the shipped one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// 与此规则文件比较 / compare with this rule file
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// tune、check 或 all / which part, by a digest of each id
    #[arg(long, default_value = "all", value_parser = split)]
    split: Split,
    /// 列出最严重的错误；check 部分缺省不列 / worst errors listed; none by default for the check part
    #[arg(long, value_name = "COUNT")]
    errors: Option<usize>,
}

fn split(name: &str) -> Result<Split, String> {
    Split::parse(name).ok_or_else(|| "须为 tune、check 或 all / one of tune, check, all".to_owned())
}

/// Errors listed where nobody says how many.
const ERRORS: usize = 10;

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    match command {
        Command::Scope(arguments) => run_scope(global, &arguments),
        Command::Pairs(arguments) => eval_matching::pairs(global, &arguments),
        Command::Repeats(arguments) => eval_matching::repeats(global, &arguments),
        Command::Daily(arguments) => eval_daily::run(global, &arguments).await,
    }
}

fn run_scope(global: &Global, arguments: &ScopeArguments) -> anyhow::Result<Report> {
    let text = read(&arguments.file)?;
    let rows = scope::read(&text).map_err(|error| Failure::usage(format!("{}：{error}", arguments.file.display())))?;
    let beside = Beside::read(arguments.gazetteer.as_deref(), arguments.model.as_deref())?;
    let assessor = beside.assessor(arguments.rules.as_deref())?;
    let judged = scope::judge(&rows, arguments.split, &assessor);
    let report = scope::report(&judged, arguments.split, assessor.rules().version());
    let shown = arguments.errors.unwrap_or(if arguments.split == Split::Check { 0 } else { ERRORS });
    let mut worst: Vec<&Judged<'_>> = judged.iter().filter(|one| one.severity() > 0).collect();
    worst.sort_by_key(|one| std::cmp::Reverse(one.severity()));
    worst.truncate(shown);
    let other = match &arguments.against {
        None => None,
        Some(against) => {
            let assessor = beside.assessor(Some(against))?;
            let other = scope::judge(&rows, arguments.split, &assessor);
            let changed: Vec<serde_json::Value> = judged
                .iter()
                .zip(&other)
                .filter(|(one, other)| told(one) != told(other))
                .map(|(one, other)| json!({ "id": one.row.id, "rules": told(one), "against": told(other) }))
                .collect();
            Some((scope::report(&other, arguments.split, assessor.rules().version()), changed))
        }
    };
    let value = json!({
        "report": report,
        "errors": worst.iter().map(|one| mistake(one)).collect::<Vec<_>>(),
        "against": other.as_ref().map(|(report, changed)| json!({ "report": report, "changed": changed })),
    });
    Report::of(global.json, &value, || {
        let mut text = text_of(&report);
        if let Some((other, changed)) = &other {
            let _ = writeln!(text, "\n—— 对照 / against ——\n{}", text_of(other));
            let _ = writeln!(text, "结论不同 / judged differently: {}", changed.len());
            for one in changed {
                let _ = writeln!(text, "  {one}");
            }
        }
        for one in &worst {
            let _ = writeln!(text, "{}", mistake(one));
        }
        text
    })
}

/// What stands beside the rules.
struct Beside {
    places: Option<String>,
    model: Option<String>,
}

impl Beside {
    fn read(places: Option<&Path>, model: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self { places: places.map(read).transpose()?, model: model.map(read).transpose()? })
    }

    /// The rules of a file, or the shipped ones.
    fn assessor(&self, rules: Option<&Path>) -> anyhow::Result<Assessor> {
        let rules = rules.map(read).transpose()?;
        let (places, model) = (self.places.as_deref(), self.model.as_deref());
        let rules = RuleSet::build(Sources { rules: rules.as_deref(), places, model, ..Sources::default() });
        Ok(Assessor::new(Arc::new(rules.map_err(|error| Failure::usage(error.to_string()))?)))
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error).into())
}

fn told(judged: &Judged<'_>) -> String {
    let verdict = &judged.verdict;
    format!("{} {} {}", Outcome::of(verdict).name(), verdict.kind.as_str(), verdict.urgency.as_str())
}

/// A mistake by its id: the message itself is never printed.
fn mistake(judged: &Judged<'_>) -> serde_json::Value {
    let (row, verdict) = (judged.row, &judged.verdict);
    json!({
        "id": row.id,
        "severity": judged.severity(),
        "must": [row.truth_name(), row.kind.map(Kind::as_str), row.urgency.map(Urgency::as_str)],
        "got": told(judged),
        "rule": verdict.grounds.rule,
        "evidence": verdict.grounds.evidence,
        "against": verdict.grounds.against,
    })
}

fn text_of(report: &ScopeReport) -> String {
    let mut text = format!("规则 / rules {}   部分 / part {:?}\n", report.rules, report.split);
    for (name, figures) in [("标注无疑 / sure labels", &report.sure), ("全部 / all", &report.all)] {
        let _ = writeln!(text, "\n== {name}: {} ==", figures.messages);
        text.push_str(&figures_of(figures));
    }
    text
}

fn figures_of(figures: &Figures) -> String {
    let mut text = String::new();
    for (name, rate) in [
        ("应受理而被引导、不予受理 / turned away wrongly", figures.wrongly_turned_away),
        ("应受理而转人工 / held needlessly", figures.wrongly_held),
        ("外地（8.1）拦下 / elsewhere caught", figures.elsewhere_caught),
        ("其他条款拦下 / other grounds caught", figures.other_caught),
        ("自动处理的条款正确 / article right", figures.article_right),
        ("自动处理完全正确 / action right", figures.action_right),
        ("类别无疑的正确 / kind right where certain", figures.kind_certain),
        ("紧急与水电气暖识别 / urgent found", figures.urgent_found),
        ("误报 / false alarms", figures.urgent_false),
    ] {
        if rate.of > 0 {
            let _ = writeln!(text, "{name}: {}", rate_of(rate));
        }
    }
    text.push_str(&confusion_of("结论 / outcome", &figures.outcomes));
    let f1 = figures.kind_macro_f1;
    if !figures.kind_confusion.rows.iter().all(|(_, counts)| counts.iter().all(|count| *count == 0)) {
        let _ = writeln!(text, "类别 / kind macro-F1: {:.3} [{:.3}, {:.3}]", f1.value, f1.low, f1.high);
        classes_of(&mut text, &figures.kinds);
        text.push_str(&confusion_of("类别 / kind", &figures.kind_confusion));
    }
    classes_of(&mut text, &figures.urgencies);
    text
}

fn classes_of(text: &mut String, classes: &[scope::Class]) {
    for class in classes.iter().filter(|class| class.recall.of > 0) {
        let _ = writeln!(
            text,
            "  {:<10} P {}  R {}  F1 {:.3}",
            class.name,
            rate_of(class.precision),
            rate_of(class.recall),
            class.f1
        );
    }
}

pub(crate) fn rate_of(rate: Rate) -> String {
    let Rate { hits, of, share, low, high } = rate;
    format!("{:.1} % ({hits}/{of}) [{:.1}, {:.1}]", share * 100.0, low * 100.0, high * 100.0)
}

pub(crate) fn confusion_of(name: &str, confusion: &Confusion) -> String {
    let mut text = format!("{name}（行为标注 / rows are labels）\n  {:<10}", "");
    for column in &confusion.columns {
        let _ = write!(text, "{column:>10}");
    }
    text.push('\n');
    for (row, counts) in &confusion.rows {
        let _ = write!(text, "  {row:<10}");
        for count in counts {
            let _ = write!(text, "{count:>10}");
        }
        text.push('\n');
    }
    text
}
