//! Tries a connector step by step, as an admin asks for it: builds every part of it, lets the adapter look at its source, and
//! changes nothing there.

use std::time::Duration;

use connectors::{
    contract::{Adapter, Check, Source, Step, Toolbox},
    entry::Item,
    fault::Fault,
};

use crate::{assess::Assessor, config::ConnectorDefinition, directory::Directory};

/// Builds every part of the connector, then tries its source for so long at most; ends at the first step that fails.
pub async fn tried(
    directory: &Directory,
    definition: &ConnectorDefinition,
    assessor: &Assessor,
    patience: Duration,
) -> Check {
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
        let outcome = first_item(&toolbox, definition, adapter.as_ref(), assessor, timeout).await.transpose();
        if let Some(outcome) = outcome {
            check.step("what one item would become", outcome);
        }
    }
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

/// Reads one item from the beginning and judges it as the gateway would; nothing is stored, and the source is told nothing.
/// Nothing where the source sends by itself.
async fn first_item(
    toolbox: &Toolbox,
    definition: &ConnectorDefinition,
    adapter: &dyn Adapter,
    assessor: &Assessor,
    timeout: Duration,
) -> Result<Option<String>, Fault> {
    let mut toolbox = toolbox.clone();
    toolbox.limits.page_items = 1;
    let Source::Pull(mut reader) = adapter.source(&toolbox)? else { return Ok(None) };
    let page = tokio::time::timeout(timeout, reader.pull(None)).await.unwrap_or_else(|_| {
        let seconds = timeout.as_secs();
        Err(Fault::transient(format!(
            "试读一件未在 {seconds} 秒内完成 / reading one item took longer than {seconds} seconds"
        ))
        .remedy("调大 timeout_seconds，或调高 per_minute / raise timeout_seconds or per_minute"))
    })?;
    let now = toolbox.clock.now();
    Ok(Some(match page.items.into_iter().next() {
        None => "来源现无来件 / the source holds nothing now".to_owned(),
        Some(Item::Unread(unread)) => format!("隔离 / quarantine：{}", unread.reason),
        Some(Item::Fragment(_)) => "来件的一部分，待其余到齐 / a piece of an item that comes in pieces".to_owned(),
        Some(Item::Entry(entry)) => match adapter.normaliser()?.normalise(&entry, now) {
            Err(unreadable) => format!("隔离 / quarantine：{unreadable}"),
            Ok(complaint) => {
                let verdict = assessor.assess(complaint, definition.channel, now);
                let grounds = &verdict.grounds;
                format!(
                    "{} {}：{}（规则 {}）；{}，{} 个工作日；未入库 / not stored",
                    verdict.disposition.chinese(),
                    verdict.disposition.as_str(),
                    grounds.article.chinese(),
                    grounds.rule,
                    verdict.kind.chinese(),
                    verdict.kind.working_days(),
                )
            }
        },
    }))
}
