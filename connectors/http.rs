//! The one way out over HTTP: every client has time-outs, a bounded body, a user agent, redirects within one host and a
//! pace.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode, header::RETRY_AFTER};

use crate::fault::Fault;

/// Lets one request through when the connector's rate allows it. The gateway supplies it; an adapter cannot go round it.
#[async_trait]
pub trait Pace: Send + Sync + fmt::Debug {
    /// Returns when one more request may be made.
    async fn ready(&self);
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
    /// How long the server asks us to wait, where it says so in seconds.
    pub retry_after: Option<Duration>,
}

impl Http {
    /// Makes the client.
    ///
    /// # Errors
    /// A configuration fault where the TLS set-up of this machine cannot be used.
    #[expect(clippy::disallowed_methods, reason = "the one factory of HTTP clients")]
    pub fn new(limits: HttpLimits, pace: Arc<dyn Pace>) -> Result<Self, Fault> {
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
            .build()
            .map_err(|error| Fault::configuration(format!("the HTTP client cannot be set up: {error}")))?;
        Ok(Self { client, pace, limits })
    }

    /// Starts a request; send it with [`Http::send`].
    pub fn request(&self, method: reqwest::Method, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request when the pace allows, and reads the body within the limit.
    ///
    /// # Errors
    /// A transient fault where the server cannot be reached or breaks off; a permanent one where the body is too large.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answered, Fault> {
        self.pace.ready().await;
        let response = request.send().await.map_err(|error| unreachable_fault(&error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let content_type = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = self.read(response).await?;
        Ok(Answered { status, content_type, body, retry_after })
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
            408 | 500..=599 => {
                let mut fault = Fault::transient(format!("the server answered {status}"));
                fault.retry_after = self.retry_after;
                Err(fault)
            }
            _ => Err(Fault::permanent(format!("the server answered {status}"))
                .remedy("check the address in the connector's settings")),
        }
    }
}

/// Follows redirects on the host that was asked only: a page must not send us elsewhere, least of all inside (SSRF).
fn same_host(limit: usize) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        let within = attempt.previous().first().is_some_and(|first| {
            first.host_str() == attempt.url().host_str()
                && first.port_or_known_default() == attempt.url().port_or_known_default()
                || first.host_str() == attempt.url().host_str() && attempt.url().scheme() == "https"
        });
        if attempt.previous().len() > limit || !within { attempt.stop() } else { attempt.follow() }
    })
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn unreachable_fault(error: &reqwest::Error) -> Fault {
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
