//! The operator knows (design promise 6): whatever keeps the gateway from doing its work, or asks for a person, is an alarm
//! with a row of its own, in words, until it is over.
//!
//! There are two sorts. A *condition* ends by itself and clears its alarm; an *event* has happened and stays until a person
//! acknowledges it. Whoever notices one raises it through the store, inside its own transaction where there is one
//! (`store::alarms`); raising what is raised already changes its words and its count and nothing else.
//!
//! | module | holds |
//! |---|---|
//! | `kinds` | what alarms are about |
//! | [`watch`] | what is wrong now; pure |
//! | [`silence`] | a channel against its own habit; pure |
//! | `stage` | raises, clears and tells; one gateway runs it |
//! | `desk` | the log and the duty desk |

mod desk;
mod kinds;
pub mod silence;
mod stage;
pub mod watch;

pub use kinds::{AlarmKind, NewAlarm};
pub use stage::Watch;
