//! Tests from the outside: the real parts against real servers and simulated neighbours. Those that need a server of their
//! own are ignored unless `scripts/test` runs them, and fail loudly where it is missing. The API is tested on SQLite, and on
//! PostgreSQL where `JIESU_TEST_POSTGRES_URL` names a server on which databases may be made.

// Said although this whole program is a test, because the lints that spare tests look for it.
#[cfg(test)]
mod alarms;
#[cfg(test)]
mod api;
#[cfg(test)]
mod api_contract;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod board;
#[cfg(test)]
mod board_life;
#[cfg(test)]
mod board_presets;
#[cfg(test)]
mod board_settings;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod console;
#[cfg(test)]
mod console_browser;
#[cfg(test)]
mod console_browser_rules;
#[cfg(test)]
mod console_connectors;
#[cfg(test)]
mod console_desk;
#[cfg(test)]
mod console_desk_browser;
#[cfg(test)]
mod console_rules;
#[cfg(test)]
mod console_tls;
#[cfg(test)]
mod console_watch;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod mail_copies;
#[cfg(test)]
mod mailbox;
#[cfg(test)]
mod mails;
#[cfg(test)]
mod mails_decode;
#[cfg(test)]
mod matching;
#[cfg(test)]
mod new_adapter;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod portal;
#[cfg(test)]
mod portal_forms;
#[cfg(test)]
mod process;
#[cfg(test)]
mod pushes;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod services;
#[cfg(test)]
mod spine;
#[cfg(test)]
mod store;
#[cfg(test)]
mod thousand;
#[cfg(test)]
mod uploads;
