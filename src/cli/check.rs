//! `jiesu check`: every mistake in the configuration, before anything starts.

use jiesu::config::check_report;
use serde_json::{Value, json};

use super::{Global, failure::Code, open, report::Report};

pub(crate) fn run(global: &Global) -> anyhow::Result<Report> {
    let report = check_report(&open::path(global)?);
    let errors: Vec<Value> = report
        .errors
        .iter()
        .map(|error| {
            json!({
                "file": error.file,
                "line": error.line,
                "column": error.column,
                "message": error.message,
                "suggestion": error.suggestion,
            })
        })
        .collect();
    let value = json!({ "file": report.file, "passed": report.passed(), "errors": errors });
    let code = if report.passed() { Code::Done } else { Code::Configuration };
    Ok(Report::of(global.json, &value, || report.to_string())?.code(code))
}
