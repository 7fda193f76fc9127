//! The operator knows (design promise 6): whatever keeps the gateway from doing its work, or asks for a person, is an alarm
//! with a row of its own, in words, until it is over.
//!
//! There are two sorts. A *condition* ends by itself and clears its alarm; an *event* has happened and stays until a person
//! acknowledges it. Whoever notices one raises it through the store, inside its own transaction where there is one
//! (`store::alarms`); raising what is raised already changes its words and its count and nothing else.

mod kinds;

pub use kinds::{AlarmKind, NewAlarm};
