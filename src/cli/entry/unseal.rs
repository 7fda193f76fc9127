//! Unsealing (Article 24; design promise 5): first it is written down who does it and why, then it is shown.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connectors::complaint::Petitioner;
use jiesu::{
    desk::{self, UnsealError, Unsealed},
    ids::EntryId,
    seal::Keyring,
    store::merges::Asked,
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
    let actor = open::actor();
    let asked = Asked { actor: &actor, reason, now: open::clock().now() };
    let opened = desk::unseal(&store, &keyring, id, asked).await.map_err(|error| match error {
        UnsealError::Store(error) => anyhow::Error::from(error),
        UnsealError::Seal(error) => error.into(),
    })?;
    let Unsealed { raw, petitioner, .. } = opened;
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
    new_file(path).and_then(|mut file| file.write_all(raw)).map_err(|error| unwritable(path, &error))
}

/// A new file that only its owner can read.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::conflict(format!("{} 不能写入 / cannot be written: {error}", path.display()))
        .remedy("换一个尚不存在的文件名；已记入审计")
}
