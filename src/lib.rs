//! The gateway of Jiesu: intake, assess, issue, queue and notices around the connectors.

pub mod assess;
