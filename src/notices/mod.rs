//! Notices (告知): what petitioners are told, and the outbox through which it leaves.

mod outbox;
mod texts;

pub use outbox::{Outbox, OutboxOptions};
pub use texts::{Composed, Occasion, Texts};
