//! Tries a connector step by step, as an admin asks for it: builds every part of it, lets the adapter look at its source, and
//! changes nothing there.

use std::time::Duration;

use connectors::{
    contract::{Check, Source, Step},
    fault::Fault,
};

use crate::{config::ConnectorDefinition, directory::Directory};

/// Builds every part of the connector, then tries its source for so long at most; ends at the first step that fails.
pub async fn tried(directory: &Directory, definition: &ConnectorDefinition, patience: Duration) -> Check {
    let mut check = Check::default();
    let adapter = definition.adapter().map_err(|error| Fault::configuration(error.to_string()));
    let (adapter, toolbox) = match (adapter, directory.toolbox(definition)) {
        (Ok(adapter), Ok(toolbox)) => (adapter, toolbox),
        (Err(fault), _) | (_, Err(fault)) => {
            check.step("settings", Err(fault));
            return check;
        }
    };
    check.step("settings", Ok(format!("适配器 {}", definition.adapter)));
    if let Err(fault) = adapter.normaliser() {
        check.step("normalise", Err(fault));
        return check;
    }
    let source = match adapter.source(&toolbox) {
        Ok(source) => source,
        Err(fault) => {
            check.step("open", Err(fault));
            return check;
        }
    };
    let timeout = Duration::from_secs(definition.timeout_seconds).min(patience);
    let tried = match source {
        Source::Push(push) => push.check(),
        Source::Pull(mut reader) => tokio::time::timeout(timeout, reader.check()).await.unwrap_or_else(|_| {
            let seconds = timeout.as_secs();
            let fault = Fault::transient(format!("来源在 {seconds} 秒内没有应答 / no answer in {seconds} seconds"))
                .remedy("检查网络与来源，或调大 timeout_seconds");
            Check { steps: vec![Step { name: "reach", outcome: Err(fault) }] }
        }),
    };
    check.steps.extend(tried.steps);
    if check.passed() {
        match adapter.answerer(&toolbox) {
            Ok(Some(_)) => {
                check.step("answer", Ok("已设置 / set up; 未发送任何信件 / nothing was sent".to_owned()));
            }
            Ok(None) => {}
            Err(fault) => {
                check.step("answer", Err(fault));
            }
        }
    }
    check
}
