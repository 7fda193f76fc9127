//! Who may do what: bearer tokens with scopes (RFC 6750), in the header only, since addresses end up in logs.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use connectors::fault::Fault;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    Api,
    error::{ApiError, Code},
};
use crate::config::{Http, Scope};

/// Bytes of a token that are looked at; a longer one is nobody's.
const LONGEST_TOKEN: usize = 1024;

/// One who may use the interface. Of the token only its hash is kept.
struct Bearer {
    name: Arc<str>,
    scopes: Vec<Scope>,
    digest: [u8; 32],
}

/// Those who may use the interface.
#[derive(Default)]
pub struct Tokens(Vec<Bearer>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|bearer| &bearer.name)).finish()
    }
}

impl Tokens {
    /// The tokens of the configuration, fetched from where it says they are.
    ///
    /// # Errors
    /// A configuration fault where a token is missing.
    pub fn load(settings: &Http) -> Result<Self, Fault> {
        settings.tokens.iter().try_fold(Self::default(), |tokens, token| {
            Ok(tokens.with(&token.name, token.scopes.clone(), &token.secret.reveal()?))
        })
    }

    /// Adds one who may use the interface.
    #[must_use]
    pub fn with(mut self, name: &str, scopes: Vec<Scope>, secret: &SecretString) -> Self {
        self.0.push(Bearer { name: name.into(), scopes, digest: digest(secret.expose_secret()) });
        self
    }

    /// Whose token of the configuration it is.
    fn known(&self, digest: &[u8; 32]) -> Option<(Arc<str>, Vec<Scope>)> {
        // Every token is compared, each in constant time: how long it takes tells nothing.
        let bearer = self
            .0
            .iter()
            .fold(None, |found, bearer| if bool::from(bearer.digest.ct_eq(digest)) { Some(bearer) } else { found })?;
        Some((bearer.name.clone(), bearer.scopes.clone()))
    }
}

/// Whose token a request carries, if it opens `scope`: one of the configuration, or one that was made in the console.
async fn admit(api: &Api, headers: &HeaderMap, scope: Scope) -> Result<Arc<str>, ApiError> {
    let presented = presented(headers);
    let digest = presented.map(digest);
    let mut bearer = digest.and_then(|digest| api.tokens.known(&digest));
    if let (None, Some(digest)) = (&bearer, digest) {
        let made = api.store.api_token(digest, api.clock.now()).await?;
        bearer = made.map(|token| (Arc::from(format!("token:{}", token.name)), token.scopes));
    }
    let Some((name, scopes)) = bearer else {
        if api.tokens.0.is_empty() && !api.store.any_api_token(api.clock.now()).await? {
            return Err(ApiError::new(Code::NoTokens, "there is no token, so this interface is closed to everybody"));
        }
        let message = match presented {
            Some(_) => "the bearer token is not known here",
            None => "the request carries no bearer token",
        };
        return Err(ApiError::new(Code::Unauthenticated, message));
    };
    if scopes.contains(&scope) || scopes.contains(&Scope::Admin) {
        Ok(name)
    } else {
        let message = format!("the token {:?} lacks the scope \"{}\"", name, scope.as_str());
        Err(ApiError::new(Code::Forbidden, message))
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let header = given.next()?.to_str().ok()?;
    if given.next().is_some() || header.len() > LONGEST_TOKEN {
        return None;
    }
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Who does it: the name of the token, under which it is written down.
#[derive(Debug, Clone)]
pub(super) struct Actor(pub(super) Arc<str>);

/// What a route's guard knows.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) api: Arc<Api>,
    pub(super) scope: Scope,
}

/// Lets through whoever has the route's scope.
pub(super) async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let name = admit(&gate.api, request.headers(), gate.scope).await?;
    request.extensions_mut().insert(Actor(name));
    Ok(next.run(request).await)
}
