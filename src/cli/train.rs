//! `jiesu train`: makes a model of labelled texts, and says first what such a model is worth: one made of the tune part
//! alone is measured on the check part, which it has not seen. The model written is made of all texts.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use jiesu::{
    assess::{
        Kind, Urgency,
        model::{self, Model, train::Example},
    },
    eval::{Rate, Split, scope},
};
use serde::Serialize;
use serde_json::json;

use super::{Global, failure::Failure, report::Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 学什么：urgency（缓急）或 kind（类别） / what it learns
    #[arg(value_enum)]
    label: Label,
    /// 标注数据，每行一个 JSON；没有该标注的行略过 / labelled texts, one JSON object a line; rows without that label are left out
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// 模型写到哪里；不给则只打印数字 / where the model goes; without it only figures are printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// 模型版本 / version of the model
    #[arg(long, default_value = "local")]
    version: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Label {
    Urgency,
    Kind,
}

/// How often the texts of one class were taken for each.
#[derive(Debug, Serialize)]
struct Told {
    class: String,
    precision: Rate,
    recall: Rate,
    taken_for: BTreeMap<String, usize>,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Report> {
    let well_formed = (1..=40).contains(&arguments.version.len())
        && arguments.version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if !well_formed {
        return Err(
            Failure::usage("版本须为 1 至 40 个字母、数字、. - _ / 1 to 40 letters, digits, . - _".to_owned()).into()
        );
    }
    let mut rows = Vec::new();
    for path in &arguments.files {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error))?;
        let read = scope::read(&text).map_err(|error| Failure::usage(format!("{}：{error}", path.display())))?;
        rows.extend(read.into_iter().filter_map(|row| example(&row, arguments.label).map(|example| (row.id, example))));
    }
    let of = |split: Split| -> Vec<Example> {
        rows.iter().filter(|(id, _)| split.holds(id)).map(|(_, example)| example.clone()).collect()
    };
    let learn = |examples: &[Example]| {
        model::train::train(examples, &arguments.version).map_err(|error| Failure::usage(error.to_string()))
    };
    let check = of(Split::Check);
    let figures = measure(&learn(&of(Split::Tune))?.0, &check);
    let (model, file) = learn(&of(Split::All))?;
    if let Some(path) = &arguments.out {
        std::fs::write(path, &file).map_err(|error| Failure::usage(format!("{}：{error}", path.display())))?;
    }
    let value = json!({
        "model": model.version(),
        "texts": rows.len(),
        "runs": model.size(),
        "bytes": file.len(),
        "check": { "texts": check.len(), "classes": figures },
    });
    Report::of(global.json, &value, || {
        let mut text = format!(
            "模型 / model {}：{} 条 / texts，{} 个字串 / runs，{} 字节 / bytes\n只用 tune 部分训练，在 check 部分 / trained on tune, on check: {}\n",
            model.version(),
            rows.len(),
            model.size(),
            file.len(),
            check.len(),
        );
        for told in &figures {
            let _ = writeln!(
                text,
                "  {:<10} P {}  R {}  {:?}",
                told.class,
                super::eval::rate_of(told.precision),
                super::eval::rate_of(told.recall),
                told.taken_for
            );
        }
        text
    })
}

fn example(row: &scope::Row, label: Label) -> Option<Example> {
    let class = match label {
        Label::Urgency => row.urgency.map(Urgency::as_str),
        Label::Kind => row.kind.map(Kind::as_str),
    };
    let parts = row.subject.as_deref().into_iter().chain([row.body.as_str()]);
    class.map(|class| Example { form: model::form(parts), class: class.to_owned() })
}

fn measure(model: &Model, examples: &[Example]) -> Vec<Told> {
    let taken: Vec<(&str, &str)> = examples
        .iter()
        .map(|example| (example.class.as_str(), model.classes()[model.read(&example.form).class].as_str()))
        .collect();
    let told = |class: &String| {
        let both = taken.iter().filter(|(truth, got)| truth == class && got == class).count();
        let mut taken_for = BTreeMap::new();
        for (_, got) in taken.iter().filter(|(truth, _)| truth == class) {
            *taken_for.entry((*got).to_owned()).or_default() += 1;
        }
        Told {
            class: class.clone(),
            precision: Rate::new(both, taken.iter().filter(|(_, got)| got == class).count()),
            recall: Rate::new(both, taken.iter().filter(|(truth, _)| truth == class).count()),
            taken_for,
        }
    };
    model.classes().iter().map(told).collect()
}
