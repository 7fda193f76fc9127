//! The connector contract of Jiesu, and one module per adapter.
//!
//! An adapter reads one kind of source, turns its own entries into complaints by a pure function, and may answer on the
//! channel it read from. It cannot name the database, the HTTP server or the wall clock: whatever it needs from outside
//! comes in through [`contract::Toolbox`]. The gateway depends on this crate, never the other way.
//!
//! | module | holds |
//! |---|---|
//! | [`contract`] | what an adapter implements, and what it may be told |
//! | [`entry`] | one item exactly as received |
//! | [`complaint`] | an entry normalised |
//! | [`holdings`] | what a source holds, to be compared with what was stored |
//! | [`fault`] | errors classed by what to do about them |
//! | [`public_form`] | what citizens hand in on a page, for an adapter that has one |
//! | [`registry`] | the one list of adapters |
//! | [`settings`] | settings read so that every mistake is told at once |
//! | [`html`] | HTML to plain text, for every adapter that meets it |
//! | [`mail`] | mail to complaints, for every adapter that meets it |
//! | [`clock`], [`http`], [`secret`] | the outside world, passed in |
//! | [`delivery`] | who signed what is pushed, and the document that it brings |
//! | [`mapping`] | where the fields of a complaint stand in a document |
//! | [`times`] | the forms in which sources tell times |
//!
//! To add an adapter: a module here, its lines in [`registry`], and a folder under `fixtures/`.

pub mod board;
pub mod calls;
pub mod clock;
pub mod complaint;
#[cfg(test)]
mod conformance;
pub mod contract;
pub mod delivery;
pub mod entry;
pub mod fault;
pub mod files;
pub mod holdings;
pub mod html;
pub mod http;
pub mod inlet;
pub mod mail;
pub mod mailbox;
pub mod mapping;
pub mod portal;
pub mod process;
pub mod public_form;
mod reader;
pub mod registry;
pub mod rest;
pub mod secret;
pub mod settings;
mod sniff;
pub mod times;

/// The guide's adapter, compiled and run so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../docs/adapters.md")]
struct Guide;
