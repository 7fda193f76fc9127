//! Drops files into a watched folder, as a mail server's export or a clerk's share does: each is written under another
//! name first and appears whole or not at all.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::pause;

/// A file to drop.
#[derive(Debug, Clone)]
pub struct Drop<'a> {
    /// Folder.
    pub folder: &'a Path,
    /// Name.
    pub name: &'a str,
    /// Bytes.
    pub bytes: &'a [u8],
}

/// Puts a file into its folder, whole or not at all.
///
/// # Errors
/// The folder cannot be written to.
pub async fn put(file: &Drop<'_>) -> io::Result<PathBuf> {
    let unfinished = file.folder.join(format!(".{}.tmp", file.name));
    let finished = file.folder.join(file.name);
    tokio::fs::write(&unfinished, file.bytes).await?;
    tokio::fs::rename(&unfinished, &finished).await?;
    Ok(finished)
}

/// Drops files one after the other; ends early when cancelled.
///
/// # Errors
/// A folder cannot be written to.
pub async fn play(files: &[Drop<'_>], interval: Duration, cancel: &CancellationToken) -> io::Result<()> {
    for file in files {
        put(file).await?;
        if !pause(interval, cancel).await {
            break;
        }
    }
    Ok(())
}
