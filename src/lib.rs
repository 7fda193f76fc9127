//! The gateway of Jiesu: intake, assess, issue, queue and notices around the connectors.
//!
//! An item goes one way: an adapter brings it, [`intake`] seals and stores it, [`assess`] judges it, [`issue`] makes a
//! ticket of it, the queue in [`store`] hands the ticket out, and [`notices`] tells the petitioner. Each of these steps is
//! one committed transaction, and the next begins from what the database holds. `ARCHITECTURE.md` tells what may depend
//! on what, and what happens where the process is killed.
//!
//! | module | holds |
//! |---|---|
//! | [`gateway`] | every part wired to every other; start and stop |
//! | [`supervisor`] | one task for each source that is asked |
//! | [`trial`] | trying a connector step by step |
//! | [`directory`] | the connectors as they are now |
//! | [`pace`] | how often a source is asked, and how long it is left alone after a failure |
//! | [`intake`] | what adapters bring, sealed and stored; group commit |
//! | [`assess`] | screening and classifying: a pure function |
//! | [`matching`] | which complaints are about the same matter: pure |
//! | [`issue`] | matching; complaints, tickets, deliveries and notices in one transaction |
//! | [`alarms`] | what the operator must be told: raised, cleared, carried to the duty desk |
//! | [`reconcile`] | what sources hold beside what was stored |
//! | [`notices`] | what petitioners are told, and the outbox |
//! | [`store`] | the one place where SQL lives, the central queue included |
//! | [`http`] | where sources push and handling systems ask |
//! | [`console`] | the pages by which people run it |
//! | [`desk`] | what people do about an entry: unseal it, look for whose it is |
//! | [`config`] | the configuration file, judged whole |
//! | [`seal`] | personal data at rest |
//! | [`mask`] | personal data in what handlers see |
//! | [`calendar`] | working days and hours |
//! | [`number`], [`ids`] | what tickets and rows are called |
//! | [`rulebook`], [`backtest`] | the rules in force, and what others would change |
//! | [`eval`] | figures of judgement on labelled data |
//! | [`telemetry`] | log, metrics, panics |
//! | [`demo`] | small sources that play a city, for the demonstration and the tests |
//!
//! The connector contract and the adapters are a crate of their own, [`connectors`], which knows nothing of this one.

pub mod alarms;
pub mod assess;
pub mod backtest;
pub mod calendar;
pub mod config;
pub mod console;
pub mod demo;
pub mod desk;
pub mod directory;
pub mod eval;
pub mod gateway;
pub mod gather;
pub mod http;
pub mod ids;
pub mod intake;
pub mod issue;
pub mod mask;
pub mod matching;
pub mod notices;
pub mod number;
pub mod pace;
pub mod reconcile;
pub mod recording;
pub mod rulebook;
pub mod seal;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod trial;
