//! What the folder holds for a period: the items of its files, those that wait and those that are done. Read anew, so that a
//! file that was moved unread is noticed. An item belongs to the time that it tells, else to the time of its file.

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::fs;

use super::{
    document::Document,
    folder::{Folder, State, label, passed_over, read},
};
use crate::{
    entry::{Item, digest_hex},
    fault::Fault,
    holdings::{Held, Holdings, Period},
};

/// Files that are read for one answer; beyond it the holdings are not whole.
const MAX_FILES: usize = 1_000;

/// Entries of a folder that are looked at.
const MAX_LOOKED_AT: usize = 100_000;

impl Folder {
    /// The items of a period.
    ///
    /// # Errors
    /// A transient fault where a file cannot be read, a configuration fault where the folder cannot be listed.
    pub(super) async fn held(&mut self, period: Period) -> Result<Holdings, Fault> {
        let mut held = Vec::new();
        let (mut files, mut whole) = (0, true);
        for folder in [self.settings.folder.clone(), self.settings.done()] {
            let mut entries = match fs::read_dir(&folder).await {
                Ok(entries) => entries,
                // Nothing was ever done here.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && folder != self.settings.folder => {
                    continue;
                }
                Err(error) => {
                    return Err(Fault::configuration(format!(
                        "the folder {} cannot be listed: {}",
                        folder.display(),
                        error.kind()
                    )));
                }
            };
            for looked_at in 0.. {
                let next = entries.next_entry().await.map_err(|_| Fault::transient("the folder cannot be listed"))?;
                let Some(entry) = next else { break };
                if files >= MAX_FILES || looked_at >= MAX_LOOKED_AT || held.len() > Holdings::MAX {
                    whole = false;
                    break;
                }
                let (name, Ok(metadata)) = (entry.file_name(), entry.metadata().await) else { continue };
                if !metadata.is_file() || passed_over(&name) {
                    continue;
                }
                let state = State::of(&metadata);
                files += 1;
                self.held_in(&folder.join(&name), &label(&name), state, period, &mut held).await?;
            }
        }
        let mut holdings = Holdings::new(held);
        holdings.whole &= whole;
        Ok(holdings)
    }

    async fn held_in(
        &self,
        path: &Path,
        label: &str,
        state: State,
        period: Period,
        held: &mut Vec<Held>,
    ) -> Result<(), Fault> {
        let too_large = state.size > self.settings.file_bytes;
        let most = if too_large { self.tools.limits.item_bytes as u64 } else { self.settings.file_bytes };
        // One that changes under our hands belongs to a later look.
        let Some(bytes) = read(path, state, most).await? else { return Ok(()) };
        let written = state.modified.and_then(|modified| Timestamp::try_from(modified).ok());
        let belongs = move |at: Option<Timestamp>| at.is_none_or(|at| period.holds(at));
        let digest = digest_hex(&[&state.size.to_be_bytes(), &bytes]);
        let refused = |bytes: &Bytes| {
            let id = self.refused(label, &digest, bytes, String::new()).external_id;
            belongs(written).then(|| Held { id, place: format!("{label}, whole"), at: written })
        };
        if too_large {
            held.extend(refused(&bytes));
            return Ok(());
        }
        let (settings, mapping, limits) = (self.settings.clone(), self.mapping.clone(), self.tools.limits);
        let (name, whole, most) = (label.to_owned(), bytes.clone(), Holdings::MAX + 1 - held.len().min(Holdings::MAX));
        let read = tokio::task::spawn_blocking(move || {
            let document = Document::read(&name, whole, settings.reading(&mapping)).ok()?;
            let one = |index: usize| {
                let item = document.item(index, &mapping, &limits);
                let told = match &item {
                    Item::Entry(entry) => entry.source_time.map(|stamp| stamp.at),
                    Item::Unread(_) | Item::Fragment(_) => None,
                };
                let at = told.or(written);
                let place = format!("{name}, item {}", index + 1);
                belongs(at).then(|| Held { id: item.external_id().clone(), place, at })
            };
            Some((0..document.len()).filter_map(one).take(most).collect::<Vec<_>>())
        });
        match read.await.map_err(|_| Fault::transient("the reading of a file was broken off"))? {
            Some(items) => held.extend(items),
            None => held.extend(refused(&bytes)),
        }
        Ok(())
    }
}
