//! Whose request it is, as far as the network tells, and how often one address may ask. Addresses are personal (Article 24):
//! a limiter keeps a keyed hash of each and nothing of it is logged.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, request::Parts},
    middleware::Next,
    response::Response,
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::seal::{BlindIndex, IndexKind, Keyring};

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: IpAddr,
    /// Whether the connection is TLS.
    pub(super) tls: bool,
}

/// Whether what is sent to whoever asks is protected on the way: the connection is TLS, or a trusted proxy says that its is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protected(pub bool);

/// The address that a request comes from: the other end of its connection or, where that is a trusted proxy, the address that
/// the nearest proxies vouch for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl std::fmt::Debug for ClientAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ClientAddress(sealed)")
    }
}

/// Header in which proxies say whom they speak for, each behind the one before.
const FORWARDED: &str = "x-forwarded-for";

/// Addresses of the header that are looked at.
const MAX_FORWARDED: usize = 16;

/// Writes down whose request it is.
pub(super) async fn identify(State(trusted): State<Arc<[IpAddr]>>, mut request: Request, next: Next) -> Response {
    // Without a connection (a router that a test asks directly) nobody in particular asks.
    let nobody = Peer { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), tls: false };
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(nobody);
    let address = peer.address.to_canonical();
    let client = client(address, &trusted, request.headers());
    let protected = peer.tls || (trusted.contains(&address) && forwarded_over_tls(request.headers()));
    request.extensions_mut().insert(ClientAddress(client));
    request.extensions_mut().insert(Protected(protected));
    next.run(request).await
}

/// The nearest address that no trusted proxy has; whoever stands before it could have made up the rest.
fn client(peer: IpAddr, trusted: &[IpAddr], headers: &HeaderMap) -> IpAddr {
    let mut client = peer;
    let lines: Vec<&str> = headers.get_all(FORWARDED).iter().filter_map(|line| line.to_str().ok()).collect();
    for said in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(MAX_FORWARDED) {
        if !trusted.contains(&client) {
            break;
        }
        let Ok(said) = said.trim().parse::<IpAddr>() else { break };
        client = said.to_canonical();
    }
    client
}

/// Whether the nearest proxy says that it was asked over TLS.
fn forwarded_over_tls(headers: &HeaderMap) -> bool {
    let last = headers.get_all("x-forwarded-proto").iter().next_back().and_then(|line| line.to_str().ok());
    let said = last.and_then(|line| line.rsplit(',').next());
    said.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED))))
    }
}

/// Addresses that a limiter keeps apart; when there are more at a time, all of them share one allowance.
const MAX_ADDRESSES: usize = 65_536;

/// How often one address may do something. Many citizens may share an address, so allowances are to be generous.
pub struct Limiter {
    keyring: Arc<Keyring>,
    apart: DefaultKeyedRateLimiter<BlindIndex>,
    crowd: governor::DefaultDirectRateLimiter,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Limiter")
    }
}

impl Limiter {
    /// So many times an hour, of which `burst` may follow each other at once.
    pub fn new(keyring: Arc<Keyring>, per_hour: u32, burst: u32) -> Self {
        let least = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_hour(least(per_hour)).allow_burst(least(burst));
        let crowd =
            Quota::per_hour(least(per_hour).saturating_mul(CROWD)).allow_burst(least(burst).saturating_mul(CROWD));
        Self { keyring, apart: RateLimiter::keyed(quota), crowd: RateLimiter::direct(crowd) }
    }

    /// Counts one time.
    ///
    /// # Errors
    /// Where the address has used up what it may: how long until it may again.
    pub fn count(&self, client: ClientAddress) -> Result<(), Duration> {
        use governor::clock::{Clock as _, DefaultClock};
        let key = self.keyring.index(IndexKind::Network, &network(client.0));
        if self.apart.len() >= MAX_ADDRESSES {
            // Whoever has been quiet long enough has its whole allowance again: nothing need be kept of it.
            self.apart.retain_recent();
        }
        let counted = if self.apart.len() >= MAX_ADDRESSES { self.crowd.check() } else { self.apart.check_key(&key) };
        counted.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// How many addresses' allowance a crowd has together.
const CROWD: NonZeroU32 = NonZeroU32::new(64).expect("not zero");

/// What is counted as one: an IPv4 address, or the /64 that one subscriber has of IPv6.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn told(peer: &str, trusted: &[&str], lines: &[&'static str]) -> String {
        let trusted: Vec<IpAddr> = trusted.iter().map(|address| address.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, HeaderValue::from_static(line));
        }
        client(peer.parse().unwrap(), &trusted, &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        assert_eq!(told("192.0.2.1", &[], &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(told("127.0.0.1", &["127.0.0.1"], &["203.0.113.9"]), "203.0.113.9");
        // The left of the list is what the client itself claims.
        assert_eq!(told("127.0.0.1", &["127.0.0.1"], &["198.51.100.7, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            told("127.0.0.1", &["127.0.0.1", "10.0.0.2"], &["198.51.100.7, 203.0.113.9", "10.0.0.2"]),
            "203.0.113.9"
        );
        assert_eq!(told("127.0.0.1", &["127.0.0.1"], &["not an address"]), "127.0.0.1");
        assert_eq!(told("127.0.0.1", &["127.0.0.1"], &[]), "127.0.0.1");
        assert_eq!(told("127.0.0.1", &["127.0.0.1"], &["::ffff:203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn an_address_that_asks_too_often_waits_and_no_other_does() {
        let keys = Keyring::generate("test").unwrap();
        let keyring = Arc::new(Keyring::parse(secrecy::ExposeSecret::expose_secret(&keys)).unwrap());
        let limiter = Limiter::new(keyring, 60, 3);
        let from = |text: &str| ClientAddress(text.parse().unwrap());
        for _ in 0..3 {
            assert_eq!(limiter.count(from("203.0.113.9")), Ok(()));
        }
        let wait = limiter.count(from("203.0.113.9")).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_mins(1), "{wait:?}");
        assert_eq!(limiter.count(from("203.0.113.10")), Ok(()));
        // One subscriber of IPv6 has a whole network of addresses.
        for last in 1..=3 {
            assert_eq!(limiter.count(from(&format!("2001:db8::{last}"))), Ok(()));
        }
        assert!(limiter.count(from("2001:db8::4")).is_err());
        assert_eq!(limiter.count(from("2001:db8:0:1::4")), Ok(()));
    }
}
