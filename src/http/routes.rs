//! The one table of routes and scopes. The router, the OpenAPI document and the tests are made from it, so that none of
//! them can know a route that the others do not, or think that it needs another scope.

use std::sync::Arc;

use axum::{Router, http::Method, routing::MethodRouter};
use utoipa::{
    OpenApi as _,
    openapi::{
        Components, Content, OpenApi, Ref, RefOr, ResponseBuilder,
        path::{Operation, PathItem},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use super::{
    Api, alarms, connectors, entries, error, merges, notices, ops, queue, reconcile, recordings, rules, tickets,
    uploads,
};
use crate::{config::Scope, store::accounts::Role};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Whoever signs as the connector's settings say.
    Signed,
    /// Whoever has a token with this scope, or with the scope "admin".
    Scope(Scope),
    /// Whoever is logged in to the console in one of these roles.
    Role(&'static [Role]),
}

/// A route, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// Method.
    pub method: Method,
    /// Pattern of the path.
    pub path: String,
    /// Who may use it.
    pub access: Access,
}

type Routes = UtoipaMethodRouter<Arc<Api>>;

const QUEUE: Access = Access::Scope(Scope::Queue);
const READ: Access = Access::Scope(Scope::Read);
const ADMIN: Access = Access::Scope(Scope::Admin);

fn table(metrics_open: bool) -> Vec<(Access, Routes)> {
    vec![
        (Access::Open, routes!(ops::healthz)),
        (Access::Open, routes!(ops::readyz)),
        (Access::Open, routes!(ops::openapi)),
        (if metrics_open { Access::Open } else { READ }, routes!(ops::metrics)),
        (QUEUE, routes!(queue::lease)),
        (QUEUE, routes!(queue::acknowledge)),
        (QUEUE, routes!(queue::release)),
        (QUEUE, routes!(queue::fail)),
        (READ, routes!(queue::depth)),
        (READ, routes!(queue::dead_letters)),
        (ADMIN, routes!(queue::requeue)),
        (READ, routes!(tickets::list)),
        (READ, routes!(tickets::show)),
        (ADMIN, routes!(merges::merge)),
        (ADMIN, routes!(merges::unmerge)),
        (ADMIN, routes!(merges::kind)),
        (ADMIN, routes!(merges::split)),
        (READ, routes!(merges::hot_spots)),
        (READ, routes!(merges::labels)),
        (READ, routes!(notices::list)),
        (READ, routes!(entries::list)),
        (ADMIN, routes!(entries::search)),
        (READ, routes!(entries::show)),
        (ADMIN, routes!(entries::replay)),
        (ADMIN, routes!(entries::decide)),
        (ADMIN, routes!(entries::unseal)),
        (ADMIN, routes!(recordings::recording)),
        (READ, routes!(entries::accounting)),
        (READ, routes!(alarms::list)),
        (ADMIN, routes!(alarms::acknowledge)),
        (READ, routes!(connectors::list)),
        (READ, routes!(connectors::show)),
        (ADMIN, routes!(connectors::enable)),
        (ADMIN, routes!(connectors::disable)),
        (ADMIN, routes!(connectors::run)),
        (ADMIN, routes!(connectors::rewind)),
        (ADMIN, routes!(reconcile::ask)),
        (READ, routes!(reconcile::list)),
        (ADMIN, routes!(uploads::upload)),
        (ADMIN, routes!(rules::assess)),
        (ADMIN, routes!(rules::try_rules)),
        (READ, routes!(rules::list)),
        (ADMIN, routes!(rules::publish)),
        (READ, routes!(rules::show)),
        (ADMIN, routes!(rules::activate)),
    ]
}

/// Every route of the table; the inlets, which `push` serves, are not in it.
pub fn catalogue(metrics_open: bool) -> Vec<RouteInfo> {
    let mut routes = Vec::new();
    for (access, (_, mut paths, _)) in table(metrics_open) {
        for (path, item) in &mut paths.paths {
            for (method, _) in operations(item) {
                routes.push(RouteInfo { method, path: path.clone(), access });
            }
        }
    }
    routes
}

/// Makes the router and the document; `protect` is given the routes of each row with who may use them.
pub(super) fn assemble(
    api: &Api,
    protect: impl Fn(Access, MethodRouter<Arc<Api>>) -> MethodRouter<Arc<Api>>,
) -> (Router<Arc<Api>>, OpenApi) {
    let mut router = OpenApiRouter::with_openapi(base());
    for (access, (schemas, mut paths, methods)) in table(api.limits.metrics_open) {
        for item in paths.paths.values_mut() {
            for (_, operation) in operations(item) {
                describe(operation, access);
            }
        }
        router = router.routes((schemas, paths, protect(access, methods)));
    }
    router.split_for_parts()
}

/// The document without the routes of the table.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Jiesu 接诉",
        description = "Multi-channel ingestion gateway of a city's 12345 hotline: the central queue, tickets, entries and \
                       connectors. 12345 热线多渠道接入网关：中央队列、工单、来件与接入点。"
    ),
    paths(inlet, submission, submission_status),
    components(schemas(error::ErrorBody)),
    tags(
        (name = "queue", description = "中央队列: tickets are leased and acknowledged; at least once"),
        (name = "tickets", description = "工单"),
        (name = "entries", description = "来件: where each of them ended, and what an admin can do about it"),
        (name = "connectors", description = "接入点: state, switches, cursors"),
        (name = "alarms", description = "告警: what is wrong, and who has seen it"),
        (name = "rules", description = "规则: trying, publishing and putting in force what screens and classifies"),
        (name = "inlets", description = "where sources push"),
        (name = "operation", description = "what a monitor asks for")
    )
)]
struct Base;

/// Take a delivery. 接收推送
///
/// Answered 2xx only when what was sent is stored; anything else is to be sent again. The same delivery sent twice is
/// stored once. The form of the body, the signature and the field mapping are the connector's settings.
#[utoipa::path(
    post, path = "/v1/inlets/{connector}", tag = "inlets",
    params(("connector" = String, Path, description = "Name of the connector")),
    request_body(content = Object, description = "Whatever the source sends", content_type = "application/json"),
    responses(
        (status = 200, description = "Stored, or seen before: `outcome` says which", body = Object),
        (status = 401, description = "Not signed as the connector's settings say"),
        (status = 404, description = "No connector of that name is pushed to"),
        (status = 413, description = "Too large; a stub may have been kept"),
        (status = 422, description = "Cannot be understood; `field` says where"),
        (status = 503, description = "Switched off, or not stored: send it again later")
    )
)]
#[expect(dead_code, reason = "describes what `push` serves")]
fn inlet() {}

/// Take a submission from a page of the city's own. 接收市政府网站自有页面提交的诉求
///
/// Answered 2xx only when it is stored; the same `id` again is stored once. Waits up to ten seconds for the ticket. Who may send is
/// the connector's setting: a signature, or a bearer token. docs/adapters/portal.md lists the fields.
#[utoipa::path(
    post, path = "/v1/portal/{connector}", tag = "inlets",
    params(("connector" = String, Path, description = "Name of the connector")),
    request_body(content = Object, description = "The submission", content_type = "application/json"),
    responses(
        (status = 200, description = "Stored, or seen before, with reception number, query code and status", body = Object),
        (status = 401, description = "Neither signed nor with a token, as the connector's settings say"),
        (status = 404, description = "No connector of that name has a form"),
        (status = 413, description = "Too large"),
        (status = 422, description = "Cannot be used; `field` says where"),
        (status = 429, description = "Too much came from this network address"),
        (status = 503, description = "Switched off, or not stored: send it again later")
    )
)]
#[expect(dead_code, reason = "describes what `portal` serves")]
fn submission() {}

/// Tell what became of a submission. 凭编号和查询码查询进展
///
/// By the number of the ticket or of the reception, and the query code. Whatever does not fit is the same 404.
#[utoipa::path(
    post, path = "/v1/portal/{connector}/status", tag = "inlets",
    params(("connector" = String, Path, description = "Name of the connector")),
    request_body(content = Object, description = "`number` and `code`", content_type = "application/json"),
    responses(
        (status = 200, description = "State, reason, kind and due date; nothing that anybody wrote", body = Object),
        (status = 404, description = "There is no submission with this number and this code"),
        (status = 429, description = "Too many questions came from this network address")
    )
)]
#[expect(dead_code, reason = "describes what `portal` serves")]
fn submission_status() {}

/// The name of the way in which callers show who they are.
const BEARER: &str = "bearer";

fn base() -> OpenApi {
    let mut document = Base::openapi();
    document
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme(BEARER, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document
}

/// Adds what every operation has: who may use it, and the form of its errors.
fn describe(operation: &mut Operation, access: Access) {
    if let Access::Scope(scope) = access {
        operation.security = Some(vec![SecurityRequirement::new(BEARER, [scope.as_str()])]);
        let needs = format!("Needs a token with the scope `{}`.", scope.as_str());
        operation.description = Some(match operation.description.take() {
            Some(description) if !description.is_empty() => format!("{description}\n\n{needs}"),
            _ => needs,
        });
    }
    let error = ResponseBuilder::new()
        .description("Not done; `error.code` says why")
        .content("application/json", Content::new(Some(RefOr::Ref(Ref::from_schema_name("ErrorBody")))))
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(error));
}

fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
    .collect()
}
