//! The one table of the console: which page is where, and in which roles it may be seen or used. The router is made of it,
//! `docs/console.md` is held to it, and the tests go through it: no page can be added without saying who may use it.

use std::sync::Arc;

use axum::{
    handler::Handler,
    http::Method,
    routing::{MethodRouter, get, post},
};

use super::{
    Console, accounts, alarms, assets, audit,
    connectors::{self, compare, define, reading},
    desk::{entries, entry, ticket, worklist},
    hotspots, notices, overview, page, queue, rules, session, tokens,
};
use crate::{
    http::{Access, RouteInfo},
    store::accounts::Role,
};

/// A row of the table.
pub(super) struct Row {
    pub(super) access: Access,
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) methods: MethodRouter<Arc<Console>>,
}

/// Everybody, logged in or not.
const OPEN: Access = Access::Open;
/// Who may look: every role.
const VIEW: Access = Access::Role(VIEWERS);
/// Who may decide about entries.
const WORK: Access = Access::Role(WORKERS);
/// Who may manage: connectors, rules, accounts.
const MANAGE: Access = Access::Role(MANAGERS);
/// Who may read the audit trail.
const AUDIT: Access = Access::Role(AUDITORS);

/// Roles that may look.
pub(super) const VIEWERS: &[Role] = &Role::ALL;
/// Roles that decide about entries.
pub(super) const WORKERS: &[Role] = &[Role::Clerk, Role::Admin];
/// Roles that manage.
pub(super) const MANAGERS: &[Role] = &[Role::Admin];
/// Roles that read the audit trail.
pub(super) const AUDITORS: &[Role] = &[Role::Auditor, Role::Admin];

fn read<H: Handler<T, Arc<Console>>, T: 'static>(access: Access, path: &'static str, handler: H) -> Row {
    Row { access, method: Method::GET, path, methods: get(handler) }
}

fn act<H: Handler<T, Arc<Console>>, T: 'static>(access: Access, path: &'static str, handler: H) -> Row {
    Row { access, method: Method::POST, path, methods: post(handler) }
}

/// The table.
pub(super) fn table() -> Vec<Row> {
    vec![
        read(OPEN, "/console/login", session::login_page),
        act(OPEN, "/console/login", session::login),
        read(OPEN, "/console/setup/{token}", session::setup_page),
        act(OPEN, "/console/setup/{token}", session::setup),
        act(OPEN, "/console/language", session::language),
        read(OPEN, "/console/assets/{name}", assets::serve),
        act(VIEW, "/console/logout", session::logout),
        read(VIEW, "/console/me", session::own_page),
        act(VIEW, "/console/me/password", session::own_password),
        read(VIEW, "/console", overview::show),
        read(VIEW, "/console/alarms", alarms::list),
        act(WORK, "/console/alarms/{id}/acknowledge", alarms::acknowledge),
        read(VIEW, "/console/held", worklist::held),
        act(WORK, "/console/held", worklist::rule),
        act(WORK, "/console/held/undo", worklist::undo),
        read(VIEW, "/console/quarantine", worklist::quarantine),
        act(WORK, "/console/quarantine", worklist::replay),
        read(VIEW, "/console/entries", entries::list),
        act(WORK, "/console/entries/search", entries::search),
        read(VIEW, "/console/entries/{id}", entry::show),
        act(WORK, "/console/entries/{id}/unseal", entry::unseal),
        act(WORK, "/console/entries/{id}/decide", entry::decide),
        act(WORK, "/console/entries/{id}/replay", entry::replay),
        act(WORK, "/console/entries/{id}/split", entry::split),
        read(VIEW, "/console/tickets/{number}", ticket::show),
        act(WORK, "/console/tickets/{number}/merge", ticket::merge),
        act(WORK, "/console/tickets/{number}/unmerge", ticket::unmerge),
        act(WORK, "/console/tickets/{number}/kind", ticket::kind),
        read(VIEW, "/console/connectors", connectors::list),
        read(MANAGE, "/console/connectors/new", define::choose),
        read(MANAGE, "/console/connectors/new/{kind}", define::new_page),
        act(MANAGE, "/console/connectors/new/{kind}", define::create),
        read(VIEW, "/console/connectors/{name}", connectors::show),
        act(MANAGE, "/console/connectors/{name}/enable", connectors::enable),
        act(MANAGE, "/console/connectors/{name}/disable", connectors::disable),
        act(MANAGE, "/console/connectors/{name}/run", connectors::run),
        act(MANAGE, "/console/connectors/{name}/pause", connectors::pause),
        act(MANAGE, "/console/connectors/{name}/test", reading::test),
        act(MANAGE, "/console/connectors/{name}/compare", compare::ask),
        act(MANAGE, "/console/connectors/{name}/preview", reading::preview),
        act(MANAGE, "/console/connectors/{name}/rewind", connectors::rewind),
        read(MANAGE, "/console/connectors/{name}/edit", define::edit_page),
        act(MANAGE, "/console/connectors/{name}/edit", define::edit),
        read(VIEW, "/console/queue", queue::show),
        act(MANAGE, "/console/queue/{id}/requeue", queue::requeue),
        read(VIEW, "/console/hotspots", hotspots::list),
        read(VIEW, "/console/rules", rules::list),
        act(VIEW, "/console/rules/assess", rules::assess),
        read(MANAGE, "/console/rules/edit", rules::edit::page),
        act(MANAGE, "/console/rules/check", rules::edit::check),
        act(MANAGE, "/console/rules/try", rules::edit::assess),
        act(MANAGE, "/console/rules/backtest", rules::edit::backtest),
        act(MANAGE, "/console/rules/publish", rules::edit::publish),
        read(VIEW, "/console/rules/{version}", rules::show),
        act(MANAGE, "/console/rules/{version}/activate", rules::activate),
        read(VIEW, "/console/notices", notices::list),
        read(VIEW, "/console/notices/texts", notices::texts),
        read(AUDIT, "/console/audit", audit::show),
        act(AUDIT, "/console/audit/verify", audit::verify),
        read(MANAGE, "/console/accounts", accounts::list),
        act(MANAGE, "/console/accounts", accounts::add),
        act(MANAGE, "/console/accounts/{name}/change", accounts::change),
        act(MANAGE, "/console/accounts/{name}/link", accounts::link),
        act(MANAGE, "/console/accounts/{name}/sessions/end", accounts::end_sessions),
        read(MANAGE, "/console/tokens", tokens::list),
        act(MANAGE, "/console/tokens", tokens::add),
        act(MANAGE, "/console/tokens/{name}/revoke", tokens::revoke),
        read(VIEW, "/console/{*rest}", page::nowhere),
    ]
}

/// Every route of the console.
pub fn catalogue() -> Vec<RouteInfo> {
    table()
        .into_iter()
        .map(|row| RouteInfo { method: row.method, path: row.path.to_owned(), access: row.access })
        .collect()
}
