//! One attachment of an entry, written to a file. It is a piece of what a citizen sent and so unsealed like the rest of it:
//! first it is written down who does it and why.

use std::path::Path;

use connectors::{
    contract::Adapter as _,
    entry::{ExternalId, Form, RawEntry, Revision},
};
use jiesu::{
    ids::EntryId,
    intake::{RAW, raw_identity},
    seal::{Keyring, SealContext},
    store::journal::Act,
};
use serde_json::json;

use super::unseal::keep;
use crate::cli::{Global, failure::Failure, open, report::Report, table::clean};

pub(crate) async fn run(
    global: &Global,
    id: EntryId,
    number: usize,
    reason: &str,
    out: &Path,
) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let keyring = Keyring::load(&config.seal.keys)?;
    let summary = store.entry(id).await?.summary;
    let normaliser = open::definition(&config, &store, &summary.connector).await?.adapter()?.normaliser()?;
    let (sealed, [connector, external_id, revision]) = store.sealed_raw(id).await?;
    let (actor, subject) = (open::actor(), id.to_string());
    let act = Act { actor: &actor, action: "entry.attachment", subject: &subject, reason: Some(reason) };
    store.audit(act, open::clock().now()).await?;

    let raw = keyring.open(SealContext::new(RAW, &raw_identity(&connector, &external_id, &revision)), &sealed)?;
    let form = Form::parse(&summary.form).ok_or_else(|| {
        Failure::conflict("此来件的格式本版本不能读取 / this version cannot read entries of this form")
    })?;
    let entry = RawEntry {
        external_id: ExternalId::new(&external_id),
        revision: Revision::stored(revision),
        delivery_id: None,
        source_time: None,
        form,
        raw: raw.into(),
        remarks: Vec::new(),
    };
    let complaint = normaliser.normalise(&entry, summary.received_at)?;
    let held = complaint.attachments.len();
    let found = number.checked_sub(1).and_then(|position| complaint.attachments.get(position));
    let bytes = found.and_then(|attachment| Some((attachment, normaliser.attachment(&entry, attachment.part)?)));
    let Some((attachment, bytes)) = bytes else {
        let message =
            format!("来件 {id} 没有第 {number} 个附件，共 {held} 个 / entry {id} has no attachment {number} of {held}");
        return Err(Failure::missing(message).remedy(format!("jiesu entry show {id} 列出附件")).into());
    };
    keep(out, &bytes)?;
    let value = json!({
        "entry": id, "attachment": number, "name": attachment.name, "media_type": attachment.media_type,
        "sniffed": attachment.sniffed, "size": bytes.len(), "digest": attachment.digest,
    });
    Report::of(global.json, &value, || {
        let name = attachment.name.as_deref().map(clean).unwrap_or_default();
        let kind = attachment.sniffed.as_deref().unwrap_or(&attachment.media_type);
        format!("附件 {number} {name}（{kind}，{} 字节）已写入 / written: {}", bytes.len(), out.display())
    })
}
