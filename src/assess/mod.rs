//! Normalise, screen, classify: bytes in, verdict out, no I/O and no clock but the one passed in.
//!
//! The same [`Assessor`] serves the live pipeline, the dry run in the console, the command line and the back-test over
//! stored entries; so it is a pure function of the complaint, the rules and the moment of receipt.

mod assessor;
mod classify;
mod find;
pub mod model;
mod rules;
mod screen;
mod suggest;
mod support;
pub mod text;
mod verdict;

pub use assessor::{Assessor, HAPPENING_NOW, remark};
pub use model::MODEL_LIMIT;
pub use rules::{FILE_LIMIT, MISTAKES, PATTERN_LIMIT, RULE_LIMIT, RuleSet, RulesError, SourceFile, Sources};
pub use verdict::{
    Article, Disposition, Grounds, Kind, MatchKeys, ShownComplaint, Signal, Suggestion, Urgency, Verdict,
};

#[cfg(test)]
mod tests;
