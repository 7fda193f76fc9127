//! Normalise, screen, classify: bytes in, verdict out, no I/O and no clock but the one passed in.

mod verdict;

pub use verdict::{Article, Disposition, Grounds, Kind, MatchKeys, ShownComplaint, Urgency, Verdict};
