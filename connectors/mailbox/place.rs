//! Where a mailbox of several folders was left off: a position in each, and the folder whose turn it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::Position;
use crate::{contract::Cursor, fault::Fault};

/// The cursor of a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Place {
    /// Where each folder was left off, by its name in the settings.
    pub(super) folders: BTreeMap<String, Position>,
    /// The folder that the round has come to; none where the last round has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) turn: Option<String>,
}

impl Place {
    /// Reads a cursor. One of a version that knew a single folder holds for the first.
    pub(super) fn read(cursor: Option<&Cursor>, folders: &[String]) -> Result<Self, Fault> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        if cursor.0.get("last_uid").is_none() {
            return cursor.decode();
        }
        let position: Position = cursor.decode()?;
        Ok(Self { folders: folders.first().map(|name| (name.clone(), position)).into_iter().collect(), turn: None })
    }

    /// The place among `folders` of the one whose turn it is.
    pub(super) fn at(&self, folders: &[String]) -> usize {
        self.turn.as_ref().and_then(|turn| folders.iter().position(|name| name == turn)).unwrap_or(0)
    }

    /// The place after a page of the folder at `at`, which holds `more` or not.
    pub(super) fn after(mut self, folders: &[String], at: usize, position: Option<Position>, more: bool) -> Self {
        if let Some(position) = position {
            self.folders.insert(folders[at].clone(), position);
        }
        // A folder that the settings name no more is read from its beginning if it comes back.
        self.folders.retain(|name, _| folders.contains(name));
        self.turn = if more { folders.get(at).cloned() } else { folders.get(at + 1).cloned() };
        self
    }
}
