//! `jiesu entry recording`: fetches the recording of a call for whoever must hear it; first it is written down who asks and why.

use std::{
    io::{self, Write},
    path::Path,
};

use jiesu::{
    directory::Directory,
    ids::EntryId,
    recording::{self, Asking, RecordingError},
    seal::Keyring,
};
use serde_json::json;

use super::unseal::{new_file, unwritable};
use crate::cli::{
    Global,
    failure::{Code, Failure},
    open,
    report::Report,
};

pub(crate) async fn run(global: &Global, id: EntryId, reason: &str, out: &Path) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let keyring = Keyring::load(&config.seal.keys)?;
    let name = recording::connector(&store, id).await.map_err(failure)?;
    let definition = open::definition(&config, &store, &name).await?;
    let directory = Directory::new(open::clock(), config.intake.limits);
    let actor = open::actor();
    let asking = Asking { actor: &actor, reason, at: open::clock().now() };
    let mut download =
        recording::fetch(&store, &keyring, &directory, &definition, id, asking).await.map_err(failure)?;
    let to_output = out == Path::new("-");
    let mut file: Box<dyn Write> = if to_output {
        Box::new(io::stdout())
    } else {
        Box::new(new_file(out).map_err(|error| unwritable(out, &error))?)
    };
    loop {
        match download.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) => file.write_all(&chunk).map_err(|error| unwritable(out, &error))?,
            Err(fault) => {
                // Half a recording is none.
                if !to_output && let Err(error) = std::fs::remove_file(out) {
                    tracing::warn!(%error, "the beginning of a recording stays where it was written");
                }
                return Err(failure(fault.into()));
            }
        }
    }
    file.flush().map_err(|error| unwritable(out, &error))?;
    if to_output {
        return Ok(Report::silent(Code::Done));
    }
    let bytes = std::fs::metadata(out).map(|kept| kept.len()).unwrap_or_default();
    let value = json!({ "entry": id, "bytes": bytes, "content_type": download.content_type, "file": out });
    Report::of(global.json, &value, || format!("录音已写入 / recording: {}（{bytes} 字节）", out.display()))
}

fn failure(error: RecordingError) -> anyhow::Error {
    let told = error.to_string();
    let code = match error {
        RecordingError::None(_) => Code::Missing,
        RecordingError::NotSetUp(_) => Code::Configuration,
        RecordingError::Fetch(_) => Code::Failed,
        RecordingError::Store(error) => return error.into(),
        RecordingError::Seal(error) => return error.into(),
    };
    Failure::new(code, told).into()
}
