//! Unsealing (Article 24; design promise 5): first it is written down who does it and why, then it is shown.

use std::{io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connectors::complaint::Petitioner;
use jiesu::{
    ids::EntryId,
    intake::{RAW, raw_identity},
    issue::PETITIONER,
    seal::{Keyring, SealContext},
    store::{Store, StoreError, journal::Act},
};
use serde_json::{Value, json};

use crate::cli::{
    Global,
    failure::Failure,
    open,
    report::Report,
    table::{clean, facts},
};

pub(crate) async fn run(global: &Global, id: EntryId, reason: &str, out: Option<&Path>) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let keyring = Keyring::load(&config.seal.keys)?;
    let (sealed, [connector, external_id, revision]) = store.sealed_raw(id).await?;
    let (actor, subject) = (open::actor(), id.to_string());
    let act = Act { actor: &actor, action: "entry.unseal", subject: &subject, reason: Some(reason) };
    store.audit(act, open::clock().now()).await?;

    let raw = keyring.open(SealContext::new(RAW, &raw_identity(&connector, &external_id, &revision)), &sealed)?;
    let petitioner = petitioner(&store, &keyring, id).await?;
    if let Some(path) = out {
        keep(path, &raw)?;
    }
    let mut value = json!({ "entry": id, "petitioner": petitioner, "size": raw.len() });
    if out.is_none() {
        match std::str::from_utf8(&raw) {
            Ok(text) => value["raw"] = json!(text),
            Err(_) => value["raw_base64"] = Value::String(STANDARD.encode(&raw)),
        }
    }
    Report::of(global.json, &value, || {
        let who = petitioner.as_ref().map_or_else(|| "诉求人：尚未读出 / not read yet\n".to_owned(), told);
        match out {
            Some(path) => format!("{who}原件已写入 / raw entry: {}", path.display()),
            None => format!("{who}\n原件 / raw entry\n{}", clean(&String::from_utf8_lossy(&raw))),
        }
    })
}

/// An entry that could not be read, or is not issued yet, has no petitioner.
async fn petitioner(store: &Store, keyring: &Keyring, id: EntryId) -> anyhow::Result<Option<Petitioner>> {
    let sealed = match store.sealed_petitioner(id).await {
        Err(StoreError::Missing { .. }) => return Ok(None),
        sealed => sealed?,
    };
    Ok(Some(keyring.open_json(SealContext::new(PETITIONER, &id.to_string()), &sealed)?))
}

fn told(petitioner: &Petitioner) -> String {
    let some = |value: &Option<String>| value.clone().unwrap_or_default();
    let text = facts(&[
        ("姓名", some(&petitioner.name)),
        ("电话", petitioner.phones.join("、")),
        ("邮箱", petitioner.emails.join("、")),
        ("住址", some(&petitioner.address)),
        ("单位", some(&petitioner.organisation)),
        ("信用代码", some(&petitioner.organisation_code)),
        ("账号", some(&petitioner.account)),
        ("IP", some(&petitioner.ip)),
    ]);
    if text.is_empty() { "诉求人：未留信息 / left nothing\n".to_owned() } else { text }
}

/// Writes the bytes as they are, for their owner only.
pub(super) fn keep(path: &Path, raw: &[u8]) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).and_then(|mut file| file.write_all(raw)).map_err(|error| {
        Failure::conflict(format!("{} 不能写入 / cannot be written: {error}", path.display()))
            .remedy("换一个尚不存在的文件名；解封已记入审计")
    })
}
