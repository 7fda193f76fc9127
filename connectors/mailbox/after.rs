//! What is done at the server with a mail that is stored: nothing, unless the settings say otherwise. The only module that
//! changes a mailbox.
//!
//! The mails of a page stand in its cursor until the server has been told of them, so a crash between the commit and the
//! telling is made good at the next pull. Under one UIDVALIDITY a UID is never given twice, so telling twice does nothing
//! twice. The exception is a move at a server that can only copy: there the second time looks first which copies are
//! there already.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    link::{Link, written},
    plan,
    trouble::Trouble,
};
use crate::{entry::ExternalId, mail::content_key};

/// What is done with a mail that is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// Nothing: the mailbox is only looked at.
    #[default]
    Leave,
    /// It is marked as seen.
    MarkSeen,
    /// It is moved to `move_to`.
    Move,
    /// It is deleted.
    Delete,
}

/// What is done, with where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Leave,
    MarkSeen,
    Move(String),
    Delete,
}

impl Deed {
    /// What it is, for an admin.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Leave => "left as they are",
            Self::MarkSeen => "marked as seen",
            Self::Move(_) => "moved",
            Self::Delete => "deleted",
        }
    }
}

/// The newest mails of the target folder among which earlier copies are looked for.
const NEWEST: usize = 1000;

/// Does to the mails of a set what is to be done. Their folder is open for writing.
///
/// `again`: it may have been begun before.
pub(super) async fn settle(
    link: &mut Link,
    folder: &str,
    deed: &Deed,
    ranges: &[(u32, u32)],
    again: bool,
    item_bytes: usize,
) -> Result<(), Trouble> {
    for set in plan::range_sets(ranges) {
        match deed {
            Deed::Leave => {}
            Deed::MarkSeen => link.order(&format!("UID STORE {set} +FLAGS.SILENT (\\Seen)")).await?,
            Deed::Delete => remove(link, &set).await?,
            Deed::Move(target) if link.able().moves => {
                into(link, &format!("UID MOVE {set} {}", written(target)), target).await?;
            }
            Deed::Move(target) => copy(link, folder, &set, target, again, item_bytes).await?,
        }
    }
    Ok(())
}

/// Takes mails out of their folder. Without UIDPLUS they are only marked as deleted: a plain EXPUNGE would take with them
/// what others have marked.
async fn remove(link: &mut Link, set: &str) -> Result<(), Trouble> {
    link.order(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)")).await?;
    if link.able().uidplus {
        link.order(&format!("UID EXPUNGE {set}")).await?;
    }
    Ok(())
}

/// A command that puts mails into a folder, which is made where it is missing.
async fn into(link: &mut Link, command: &str, target: &str) -> Result<(), Trouble> {
    match link.order(command).await {
        Err(Trouble::No(said)) if super::trouble::is_missing_folder(&said) => {
            link.order(&format!("CREATE {}", written(target))).await?;
            link.order(command).await
        }
        done => done,
    }
}

async fn copy(
    link: &mut Link,
    folder: &str,
    set: &str,
    target: &str,
    again: bool,
    item_bytes: usize,
) -> Result<(), Trouble> {
    let mut uids = link.search_for(&format!("UID {set} UNDELETED")).await?;
    if again && !uids.is_empty() {
        uids = not_there_yet(link, folder, uids, target, item_bytes).await?;
    }
    for set in plan::sets(&uids) {
        // All or none of them (RFC 3501, section 6.4.7).
        into(link, &format!("UID COPY {set} {}", written(target)), target).await?;
    }
    remove(link, set).await
}

/// Those of some mails that the target folder does not hold.
async fn not_there_yet(
    link: &mut Link,
    folder: &str,
    uids: Vec<u32>,
    target: &str,
    item_bytes: usize,
) -> Result<Vec<u32>, Trouble> {
    let mut sizes = BTreeSet::new();
    for set in plan::sets(&uids) {
        let mut told = Vec::new();
        link.envelopes(&set, "(UID RFC822.SIZE)", &mut told).await?;
        sizes.extend(told.into_iter().filter_map(|envelope| envelope.size));
    }
    let there = match link.examine(target).await {
        Ok(opened) if opened.exists > 0 => keys_there(link, &sizes, item_bytes).await?,
        Ok(_) | Err(Trouble::No(_)) => BTreeSet::new(),
        Err(trouble) => return Err(trouble),
    };
    link.open(folder, true).await?;
    if there.is_empty() {
        return Ok(uids);
    }
    let mut missing = Vec::new();
    for uid in uids {
        let key = key(link, uid, item_bytes).await?;
        if key.is_none_or(|key| !there.contains(&key)) {
            missing.push(uid);
        }
    }
    Ok(missing)
}

async fn keys_there(
    link: &mut Link,
    sizes: &BTreeSet<u32>,
    item_bytes: usize,
) -> Result<BTreeSet<ExternalId>, Trouble> {
    let all = link.search("1:*").await?;
    let newest = &all[all.len().saturating_sub(NEWEST)..];
    let mut keys = BTreeSet::new();
    for set in plan::sets(newest) {
        let mut told = Vec::new();
        link.envelopes(&set, "(UID RFC822.SIZE)", &mut told).await?;
        for envelope in told.into_iter().filter(|told| told.size.is_some_and(|size| sizes.contains(&size))) {
            keys.extend(key(link, envelope.uid, item_bytes).await?);
        }
    }
    Ok(keys)
}

async fn key(link: &mut Link, uid: u32, item_bytes: usize) -> Result<Option<ExternalId>, Trouble> {
    let mut bodies = Vec::new();
    link.bodies(&uid.to_string(), Some(item_bytes), item_bytes, &mut bodies).await?;
    Ok(bodies.into_iter().find(|(of, _)| *of == uid).map(|(_, body)| content_key(&body)))
}
