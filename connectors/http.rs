//! The one way out over HTTP: every client has time-outs, a bounded body, a user agent, redirects within one host, a
//! pace, and a [`guard`] that keeps it out of the network that the gateway stands in.

pub mod guard;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Response, StatusCode, Url,
    header::{DATE, HeaderMap, HeaderName, RETRY_AFTER},
};

use crate::fault::{Fault, FaultClass};
pub use guard::Reach;
use guard::{Guard, Refused, SystemLookup};

/// Lets one request through when the connector's rate allows it. The gateway supplies it; an adapter cannot go round it.
#[async_trait]
pub trait Pace: Send + Sync + fmt::Debug {
    /// Returns when one more request may be made.
    async fn ready(&self);

    /// Returns when one more request may be made to a host (`name:port`), which other connectors may be asking too.
    ///
    /// # Errors
    /// A rate-limited fault where the host has asked for longer silence than is worth waiting through.
    async fn ready_at(&self, host: &str) -> Result<(), Fault> {
        let _ = host;
        self.ready().await;
        Ok(())
    }

    /// Told that a host asks to be left alone for a while.
    fn hold(&self, host: &str, wait: Duration) {
        let _ = (host, wait);
    }
}

/// No limit; for checks by hand and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unpaced;

#[async_trait]
impl Pace for Unpaced {
    async fn ready(&self) {}
}

/// Bounds of the client.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Time to connect.
    pub connect: Duration,
    /// Time for one whole exchange.
    pub exchange: Duration,
    /// Redirects followed.
    pub redirects: usize,
    /// Bytes read of one body, after decompression.
    pub body: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), exchange: Duration::from_mins(1), redirects: 3, body: 8 * 1024 * 1024 }
    }
}

/// A paced HTTP client.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    pace: Arc<dyn Pace>,
    limits: HttpLimits,
    guard: Guard,
}

/// An answer whose body was read whole, within the limit.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Status.
    pub status: StatusCode,
    /// Content type, as declared.
    pub content_type: Option<String>,
    /// Body.
    pub body: Bytes,
    /// How long the server asks us to wait, where it says so.
    pub retry_after: Option<Duration>,
}

impl Http {
    /// Makes a client that reaches public addresses, and what its settings write as a number.
    ///
    /// # Errors
    /// A configuration fault where the TLS set-up of this machine cannot be used.
    pub fn new(limits: HttpLimits, pace: Arc<dyn Pace>) -> Result<Self, Fault> {
        Self::reaching(limits, pace, Reach::default())
    }

    /// Makes a client that reaches, besides, what `reach` names.
    ///
    /// # Errors
    /// A configuration fault where the TLS set-up of this machine cannot be used.
    pub fn reaching(limits: HttpLimits, pace: Arc<dyn Pace>, reach: Reach) -> Result<Self, Fault> {
        Self::guarded(limits, pace, Guard { reach: Arc::new(reach), lookup: Arc::new(SystemLookup) })
    }

    #[expect(clippy::disallowed_methods, reason = "the one factory of HTTP clients")]
    fn guarded(limits: HttpLimits, pace: Arc<dyn Pace>, guard: Guard) -> Result<Self, Fault> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::configuration(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("Jiesu/", env!("CARGO_PKG_VERSION"), " (12345 hotline gateway)"))
            .connect_timeout(limits.connect)
            .timeout(limits.exchange)
            .redirect(same_host(limits.redirects))
            // A proxy would look names up itself, out of the guard's sight.
            .no_proxy()
            .dns_resolver(Arc::new(guard.clone()))
            .build()
            .map_err(|error| Fault::configuration(format!("the HTTP client cannot be set up: {error}")))?;
        Ok(Self { client, pace, limits, guard })
    }

    /// Starts a request to an address from the settings; send it with [`Http::send`].
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Starts a request to an address that an item or an answer names: where it is a number it must be public, or
    /// allowed by the connector's allow-list. Send it with [`Http::send`].
    ///
    /// # Errors
    /// A configuration fault where the address leads inside, a permanent one where it is not HTTP.
    pub fn request_found(&self, method: reqwest::Method, url: Url) -> Result<reqwest::RequestBuilder, Fault> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Fault::permanent("the link is not one of http or https"));
        }
        self.guard.reach.check_found(&url)?;
        Ok(self.client.request(method, url))
    }

    /// Sends a request when the pace allows, and reads the body within the limit.
    ///
    /// # Errors
    /// A transient fault where the server cannot be reached or breaks off; a permanent one where the body is too large; a
    /// configuration fault where the address leads inside; a rate-limited one where the host has asked for silence.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answered, Fault> {
        let request = request
            .build()
            .map_err(|_| Fault::configuration("the request cannot be made").remedy("check the address"))?;
        self.guard.reach.check_written(request.url())?;
        let host = host_of(request.url());
        self.pace.ready_at(&host).await?;
        let response = self.client.execute(request).await.map_err(|error| unreachable_fault(&error))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        if let Some(wait) = retry_after.filter(|_| matches!(status.as_u16(), 403 | 429 | 503)) {
            self.pace.hold(&host, wait);
        }
        let content_type = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = self.read(response).await?;
        Ok(Answered { status, content_type, body, retry_after })
    }

    /// Sends a request when the pace allows, and hands over the body as it comes, up to `most` bytes. The whole exchange
    /// takes no longer than the time-out of the request.
    ///
    /// # Errors
    /// As for [`Http::send`], and as for [`Answered::success`] where the status is not one.
    pub async fn download(&self, request: reqwest::RequestBuilder, most: u64) -> Result<Download, Fault> {
        let request = request
            .build()
            .map_err(|_| Fault::configuration("the request cannot be made").remedy("check the address"))?;
        self.guard.reach.check_written(request.url())?;
        self.pace.ready_at(&host_of(request.url())).await?;
        let response = self.client.execute(request).await.map_err(|error| unreachable_fault(&error))?;
        let content_type = response.headers().get(reqwest::header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        if !status.is_success() {
            let answered = Answered { status, content_type, body: Bytes::new(), retry_after };
            return Err(answered.success().err().unwrap_or_else(|| Fault::permanent("the server redirects elsewhere")));
        }
        let length = response.content_length();
        if length.is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        Ok(Download { content_type, length, response, left: most, most })
    }

    async fn read(&self, mut response: Response) -> Result<Bytes, Fault> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_fault(&error))? {
            if body.len() + chunk.len() > self.limits.body {
                return Err(Fault::permanent(format!("the answer is larger than {} bytes", self.limits.body))
                    .remedy("ask for smaller pages, or raise the body limit"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// An answer whose body is still to come, within a bound.
#[derive(Debug)]
pub struct Download {
    /// Content type, as declared.
    pub content_type: Option<String>,
    /// Bytes of the body, where the server tells them.
    pub length: Option<u64>,
    response: Response,
    left: u64,
    most: u64,
}

impl Download {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// A transient fault where the server breaks off or takes too long; a permanent one where there are too many.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(chunk) = self.response.chunk().await.map_err(|error| unreachable_fault(&error))? else {
            return Ok(None);
        };
        self.left = self.left.checked_sub(chunk.len() as u64).ok_or_else(|| too_large(self.most))?;
        Ok(Some(chunk))
    }
}

fn too_large(most: u64) -> Fault {
    Fault::permanent(format!("it is larger than {most} bytes")).remedy("raise `max_bytes` in the connector's settings")
}

impl Answered {
    /// Turns a status that is not a success into the fault it means.
    ///
    /// # Errors
    /// 401 and 407: authentication; 403 and 429: rate limited; 408 and 5xx: transient; any other: permanent.
    pub fn success(self) -> Result<Self, Fault> {
        let status = self.status;
        match status.as_u16() {
            200..=299 => Ok(self),
            401 | 407 => Err(Fault::authentication(format!("the server answered {status}"))
                .remedy("check the credentials of this connector")),
            // Public boards answer both with a firewall that counts requests.
            403 | 429 => Err(Fault::rate_limited(format!("the server answered {status}"), self.retry_after)
                .remedy("lower the connector's rate if this repeats")),
            408 | 500..=599 => Err(Fault {
                retry_after: self.retry_after,
                ..Fault::new(FaultClass::Transient, format!("the server answered {status}"))
            }),
            _ => Err(Fault::permanent(format!("the server answered {status}"))
                .remedy("check the address in the connector's settings")),
        }
    }
}

/// Follows redirects on the host that was asked only: a page must not send us elsewhere, least of all inside (SSRF).
fn same_host(limit: usize) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        let usual = |url: &Url| url.port().is_none();
        let within = attempt.previous().first().is_some_and(|first| {
            let (from, to) = (first, attempt.url());
            let same_port = from.port_or_known_default() == to.port_or_known_default() && from.scheme() == to.scheme();
            let to_tls = to.scheme() == "https" && usual(from) && usual(to);
            from.host() == to.host() && (same_port || to_tls)
        });
        if attempt.previous().len() > limit || !within { attempt.stop() } else { attempt.follow() }
    })
}

/// The wait that a date asks for where the server does not say what time it has.
const WAIT_WITHOUT_DATE: Duration = Duration::from_mins(1);

/// What `Retry-After` says, in seconds or as a date (RFC 9110, section 10.2.3). A date is measured by the server's own
/// clock, because ours may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = |text: &str| -> Option<Timestamp> { rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()) };
    let until = moment(asked)?;
    match text(DATE).and_then(moment) {
        Some(now) => Duration::try_from(until.duration_since(now)).ok(),
        None => Some(WAIT_WITHOUT_DATE),
    }
}

/// The host and port of an address, as paces know them.
fn host_of(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn unreachable_fault(error: &reqwest::Error) -> Fault {
    if let Some(refused) = Refused::under(error) {
        return refused.into();
    }
    // The address may carry a token: only the kind of failure is told.
    let what = if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_connect() {
        "the server cannot be reached"
    } else {
        "the exchange with the server broke off"
    };
    Fault::transient(what)
}
