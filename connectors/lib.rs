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
//! | [`occasion`] | on what occasion a petitioner is told something |
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
//! | [`recordings`] | fetching the recordings of calls |
//! | [`times`] | the forms in which sources tell times |
//!
//! To add an adapter: `scripts/new-adapter NAME` copies the example of `docs/adapters.md` (`letter_box`, which is compiled for
//! tests alone): a module here, its lines in [`registry`], a folder under `fixtures/`, a page.

pub mod board;
pub mod calls;
pub mod clock;
pub mod complaint;
#[cfg(test)]
mod conformance;
pub mod contract;
pub mod delivery;
pub mod entry;
pub mod exchange;
pub mod fault;
pub mod files;
pub mod holdings;
pub mod html;
pub mod http;
pub mod inlet;
#[cfg(test)]
pub mod letter_box;
pub mod mail;
pub mod mailbox;
pub mod mapping;
pub mod occasion;
pub mod portal;
pub mod process;
pub mod public_form;
mod reader;
pub mod recordings;
pub mod registry;
pub mod rest;
pub mod secret;
pub mod settings;
mod sniff;
pub mod times;
