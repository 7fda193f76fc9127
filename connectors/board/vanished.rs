//! Judges the open items that a look at the list did not find: withdrawn, moved, or only out of sight.

use super::{
    answer,
    document::{self, Document},
    item::{Haul, Outcome},
    pull::{DETAILS, MISSING_PAGES, Reader},
    sweep,
};
use crate::{
    entry::Item,
    fault::{Fault, FaultClass},
};

impl Reader {
    /// The withdrawals among the items that the last look missed; `None` where none is left to be judged.
    ///
    /// # Errors
    /// As for an item's own page.
    pub(super) async fn judge_vanished(
        &mut self,
        board: &str,
        state: &mut sweep::Board,
    ) -> Result<Option<Vec<Item>>, Fault> {
        let vanished = state.watch.vanished(DETAILS);
        if vanished.is_empty() {
            return Ok(None);
        }
        let tells = self.board.settings.detail.as_ref().is_some_and(|detail| detail.request.path != "{link}");
        let mut haul = Haul::default();
        let (mut gone, mut doubtful) = (Vec::new(), Vec::new());
        for id in &vanished {
            if !tells {
                doubtful.push(id);
                continue;
            }
            haul.asked += 1;
            match self.page_of(board, id).await {
                Ok(Outcome::Page(_)) => {
                    haul.readable += 1;
                    state.watch.found(id);
                }
                Ok(Outcome::Gone(_)) => gone.push(id),
                Ok(Outcome::RowOnly(_)) => doubtful.push(id),
                // One page that cannot be read says nothing of its item; all of them are a changed layout.
                Err(fault) if fault.class == FaultClass::Permanent => {
                    haul.unreadable = Some(fault);
                    doubtful.push(id);
                }
                Ok(Outcome::Unreadable(fault)) | Err(fault) => return Err(fault),
            }
        }
        if haul.unreadable.is_some() && haul.readable == 0 && gone.is_empty() && haul.asked > 1 {
            return Err(haul.unreadable.take().unwrap_or_else(|| answer::layout_changed("no item's page can be read")));
        }
        if gone.len() >= MISSING_PAGES && haul.readable == 0 {
            // Rather have the pages moved than so many items been withdrawn: a second look decides.
            doubtful.append(&mut gone);
        }
        for id in doubtful {
            if state.watch.doubtful(id) {
                gone.push(id);
            }
        }
        for id in gone {
            state.watch.withdrawn(id);
            let document = Document::withdrawn(board, id);
            let item = self.item(document::named(board, id), &document, Vec::new(), None)?;
            haul.add(item);
        }
        Ok(Some(haul.items))
    }
}
