//! What the interface lists for a period: a walk of its own down the list, which knows nothing of the cursor.

use std::collections::BTreeMap;

use super::pull::{Puller, shape};
use crate::{
    entry::ExternalId,
    fault::Fault,
    holdings::{Held, Holdings, Period},
};

/// Pages that are walked through; beyond it the holdings are not whole.
const MAX_PAGES: u32 = 2_000;

/// Names what came to the platform within a period. What was changed later stands further down the list, so all of it from the
/// period's beginning on is walked through.
pub(super) async fn walked(puller: &Puller, period: Period) -> Result<Holdings, Fault> {
    let ready = &puller.asker.ready;
    let list = &ready.settings.list;
    let mut held: BTreeMap<ExternalId, Held> = BTreeMap::new();
    let (mut since, mut page, mut before) = (period.from, list.first_page, String::new());
    for _ in 0..MAX_PAGES {
        let rows = puller.list(since, page).await?;
        let shape = shape(&rows);
        if rows.is_empty() || shape == before {
            return Ok(Holdings::new(held.into_values().collect()));
        }
        for row in &rows {
            let at = ready.mapping.time(&row.document).map(|stamp| stamp.at).or(row.changed);
            if at.is_none_or(|at| period.holds(at)) {
                let id = row.name();
                let place = format!("id {}", id.as_str());
                held.insert(id.clone(), Held { id, place, at });
            }
        }
        if held.len() > Holdings::MAX {
            return Ok(Holdings::new(held.into_values().collect()));
        }
        // As the reading does: from the last change on, once more from the first page.
        let newest = rows.iter().filter_map(|row| row.changed).max();
        match newest.map(|newest| Puller::before(newest, list.grain_seconds)) {
            Some(next) if next > since => (since, page, before) = (next, list.first_page, String::new()),
            _ => (page, before) = (page.saturating_add(1), shape),
        }
    }
    Ok(Holdings { whole: false, ..Holdings::new(held.into_values().collect()) })
}
