//! The gateway of Jiesu: intake, assess, issue, queue and notices around the connectors.
//!
//! An item goes one way: an adapter brings it, [`intake`] seals and stores it, [`assess`] judges it, [`issue`] makes a
//! ticket of it, the queue in [`store`] hands the ticket out, and [`notices`] tells the petitioner. Each of these steps is
//! one committed transaction, and the next begins from what the database holds. `ARCHITECTURE.md` tells what may depend
//! on what, and what happens where the process is killed.
//!
//! | module | holds |
//! |---|---|
//! | [`assess`] | screening and classifying: a pure function |
//! | [`config`] | the configuration file, judged whole |
//! | [`seal`] | personal data at rest |
//! | [`mask`] | personal data in what handlers see |
//! | [`calendar`] | working days and hours |
//! | [`number`], [`ids`] | what tickets and rows are called |
//! | [`telemetry`] | log, metrics, panics |
//!
//! The connector contract and the adapters are a crate of their own, [`connectors`], which knows nothing of this one.

pub mod assess;
pub mod calendar;
pub mod config;
pub mod ids;
pub mod mask;
pub mod number;
pub mod seal;
pub mod telemetry;
