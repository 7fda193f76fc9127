//! The desk: entries and what a person decides about them, the two lists of work, and tickets.
//!
//! | module | holds |
//! |---|---|
//! | `choice` | what can be ruled, with the clauses that it rests on, and how forms say it |
//! | `entries` | looking for entries |
//! | `entry` | one entry's whole story, and what can be done about it |
//! | `ticket` | one ticket, merging, its kind |
//! | `worklist` | what waits for a person: held and quarantined, many at once, with undo |

mod choice;
pub(super) mod entries;
pub(super) mod entry;
pub(super) mod ticket;
pub(super) mod worklist;

pub(super) use choice::cited;

/// Entries that one form may name.
const MOST: usize = 200;
