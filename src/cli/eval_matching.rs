//! `jiesu eval pairs`, `repeats`: how well matching recognises one matter.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiesu::{
    assess::RuleSet,
    eval::{
        Rate, Split,
        pairs::{Dataset, Figures, PairsReport},
        repeats,
    },
    matching::Vocabulary,
};

use super::{Global, failure::Failure, report::Report};

#[derive(Debug, clap::Args)]
pub(crate) struct PairsArguments {
    /// 目录，内有 messages.jsonl 和 pairs.tsv / folder with messages.jsonl and pairs.tsv
    folder: PathBuf,
    /// 词表，缺省为随程序附带的 / words for matching; without it the shipped ones
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// 地名表，替换词表中的地名 / gazetteer with a `[places]` table in place of the words' own
    #[arg(long, value_name = "FILE")]
    gazetteer: Option<PathBuf>,
    /// tune、check 或 all / which part, by a digest of each group of ids
    #[arg(long, default_value = "all", value_parser = split)]
    split: Split,
    /// 多少天没有新来件即视为另一件事 / days after which a matter is another one
    #[arg(long, default_value_t = 180)]
    days: i64,
    /// 列出多少条错误；check 部分缺省不列 / errors listed; none by default for the check part
    #[arg(long, value_name = "COUNT")]
    errors: Option<usize>,
}

fn split(name: &str) -> Result<Split, String> {
    Split::parse(name).ok_or_else(|| "须为 tune、check 或 all / one of tune, check, all".to_owned())
}

#[derive(Debug, clap::Args)]
pub(crate) struct RepeatsArguments {
    /// 文件，每行一次反映 / file, one telling a line: matter|person|channel|title|place|text
    file: PathBuf,
    /// 词表，缺省为随程序附带的 / words for matching; without it the shipped ones
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// tune、check 或 all / which part, by a digest of each matter
    #[arg(long, default_value = "all", value_parser = split)]
    split: Split,
    /// 列出多少条错误；check 部分缺省不列 / errors listed; none by default for the check part
    #[arg(long, value_name = "COUNT")]
    errors: Option<usize>,
}

pub(crate) fn repeats(global: &Global, arguments: &RepeatsArguments) -> anyhow::Result<Report> {
    let vocabulary = vocabulary(arguments.words.as_deref(), None)?;
    let rules = RuleSet::shipped().map_err(|error| Failure::usage(error.to_string()))?;
    let text =
        std::fs::read_to_string(&arguments.file).map_err(|error| Failure::unreadable(&arguments.file, &error))?;
    let mut report = repeats::measure(&text, arguments.split, Arc::new(rules), &vocabulary)
        .map_err(|error| Failure::usage(format!("{}: {error}", arguments.file.display())))?;
    report.wrong.truncate(arguments.errors.unwrap_or(if arguments.split == Split::Tune { ERRORS } else { 0 }));
    Report::of(global.json, &report, || {
        let mut text = format!(
            "事项 / matters {}   反映 / tellings {}   工单 / tickets {}   部分 / part {:?}\n",
            report.matters, report.tellings, report.tickets, report.split
        );
        line(&mut text, "同一事项 / one matter", &report.figures);
        for (channels, found) in &report.channels {
            let _ = writeln!(text, "  {channels}: R {}", rate(*found));
        }
        let _ = writeln!(text, "认出同一诉求人 / petitioner recognised: {}", rate(report.same_person));
        let _ = writeln!(text, "同一人的不同事项分开 / other matters kept apart: {}", rate(report.other_matters_apart));
        for (one, other, same) in &report.wrong {
            let kind = if *same { "漏并 / missed" } else { "错并 / joined wrongly" };
            let _ = writeln!(text, "{kind}  第 {one} 行、第 {other} 行");
        }
        text
    })
}

/// Errors listed where nobody says how many.
const ERRORS: usize = 20;

pub(crate) fn pairs(global: &Global, arguments: &PairsArguments) -> anyhow::Result<Report> {
    let vocabulary = vocabulary(arguments.words.as_deref(), arguments.gazetteer.as_deref())?;
    let read = |name: &str| {
        let path = arguments.folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    };
    let data = Dataset::read(&read("messages.jsonl")?, &read("pairs.tsv")?, &vocabulary)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let mut report = data.measure(arguments.split, arguments.days);
    let shown = arguments.errors.unwrap_or(if arguments.split == Split::Tune { ERRORS } else { 0 });
    report.wrong.truncate(shown);
    let unlabelled = report.unlabelled.len();
    report.unlabelled.truncate(shown);
    Report::of(global.json, &report, || text(&report, unlabelled))
}

/// The words for matching: those of a file, or the shipped ones.
pub(crate) fn vocabulary(words: Option<&Path>, gazetteer: Option<&Path>) -> anyhow::Result<Vocabulary> {
    let read = |path: Option<&Path>| {
        let text = path.map(std::fs::read_to_string).transpose();
        text.map_err(|error| Failure::usage(format!("{}: {error}", path.unwrap_or(Path::new("")).display())))
    };
    let (words, places) = (read(words)?, read(gazetteer)?);
    let vocabulary =
        Vocabulary::read_with_places(words.as_deref().unwrap_or(Vocabulary::shipped_text()), places.as_deref());
    Ok(vocabulary.map_err(|error| Failure::usage(error.to_string()))?)
}

fn text(report: &PairsReport, unlabelled: usize) -> String {
    let mut text = format!(
        "来件 / messages {}   工单 / tickets {}   部分 / part {:?}   标注对 / labelled pairs {}\n",
        report.messages, report.tickets, report.split, report.pairs
    );
    line(&mut text, "流式，标注无疑 / stream, sure labels", &report.stream);
    line(&mut text, "流式，全部标注 / stream, all labels", &report.stream_all);
    line(&mut text, "逐对判断 / pair by pair", &report.alone);
    let _ = writeln!(text, "检索命中（直接） / retrieved directly: {}", rate(report.retrieved));
    for (band, figures) in &report.bands {
        line(&mut text, &format!("  {band}"), figures);
    }
    let _ = writeln!(text, "未标注的并案 / joins without a label: {unlabelled}");
    for (one, other, same, score) in &report.wrong {
        let kind = if *same { "漏并 / missed" } else { "错并 / joined wrongly" };
        let _ = writeln!(text, "{kind}  {one}  {other}  {score:.2}");
    }
    for (one, other, score) in &report.unlabelled {
        let _ = writeln!(text, "未标注 / no label  {one}  {other}  {score:.2}");
    }
    text
}

fn line(text: &mut String, name: &str, figures: &Figures) {
    let _ = writeln!(text, "{name}: P {}  R {}", rate(figures.precision), rate(figures.recall));
}

/// A rate as people read it, with its interval of 95 %.
pub(crate) fn rate(rate: Rate) -> String {
    let Rate { hits, of, share, low, high } = rate;
    format!("{:.1} % ({hits}/{of}) [{:.1}, {:.1}]", share * 100.0, low * 100.0, high * 100.0)
}
