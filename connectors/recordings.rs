//! Fetching the recording of a call where its source keeps it, for an adapter whose entries hold a reference to one. What the
//! reference says was sent by somebody: it names a recording below one address of the settings, or on a host that they allow,
//! and leads nowhere else. Nothing is stored.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, Url, header::AUTHORIZATION};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    contract::{Mistake, Recordings, Toolbox},
    fault::Fault,
    http::{Download, Http},
    secret::SecretRef,
};

/// The longest reference, in bytes.
const MAX_REFERENCE: usize = 2000;

/// Hosts of an allow-list.
const MAX_HOSTS: usize = 20;

/// Where recordings may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordingSettings {
    /// The address below which recordings lie; a reference that is no address is looked for there.
    pub base: String,
    /// Further hosts that a reference may name, with their port where it is not the usual one: `"rec.example:8443"`.
    #[serde(default)]
    pub allow: Vec<String>,
    /// What references begin with that is no part of the address: `"/var/spool/asterisk/monitor/"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip: Option<String>,
    /// Sent as a bearer token, to the host of `base` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// Bytes of one recording; 104857600 (100 MiB) unless set.
    #[serde(default = "max_bytes")]
    pub max_bytes: u64,
    /// Seconds that fetching one may take; 120 unless set.
    #[serde(default = "seconds")]
    pub seconds: u32,
}

fn max_bytes() -> u64 {
    100 * 1024 * 1024
}

fn seconds() -> u32 {
    120
}

impl RecordingSettings {
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.address().is_none() {
            mistakes.push(
                Mistake::new("/base", "the base is an address of http or https that ends with a slash")
                    .suggest("base = \"https://recordings.example/\""),
            );
        }
        for (index, host) in self.allow.iter().enumerate() {
            let sound = Url::parse(&format!("http://{host}/")).is_ok_and(|url| url.has_host() && url.path() == "/");
            if !sound || index >= MAX_HOSTS {
                let message = format!("a host, with its port where it is not the usual one; {MAX_HOSTS} at most");
                mistakes.push(Mistake::new(format!("/allow/{index}"), message));
            }
        }
        if self.max_bytes == 0 || !(1..=3600).contains(&self.seconds) {
            mistakes.push(Mistake::new("/seconds", "at least one byte, and 1 to 3600 seconds"));
        }
        mistakes
    }

    fn address(&self) -> Option<Url> {
        let url = Url::parse(&self.base).ok()?;
        let sound = matches!(url.scheme(), "http" | "https") && self.base.ends_with('/') && url.username().is_empty();
        (sound && url.query().is_none() && url.fragment().is_none()).then_some(url)
    }

    pub(crate) fn fetcher(&self, tools: &Toolbox) -> Result<Fetcher, Fault> {
        let base =
            self.address().ok_or_else(|| Fault::configuration("the base address of the recordings cannot be used"))?;
        let token = self.token.as_ref().map(SecretRef::reveal).transpose()?;
        Ok(Fetcher { settings: self.clone(), base, token, http: tools.http.clone() })
    }
}

/// Fetches recordings.
pub(crate) struct Fetcher {
    settings: RecordingSettings,
    base: Url,
    token: Option<SecretString>,
    http: Http,
}

/// Where a recording is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Below the base.
    Home(Url),
    /// On a host that is allowed.
    Allowed(Url),
}

impl Fetcher {
    fn place(&self, reference: &str) -> Result<Place, Fault> {
        let refused = |what: &str| {
            Fault::permanent(format!("the entry's reference to its recording {what}")).remedy(
                "unseal the entry to see it; `recordings` in the connector's settings says below which address, and on which \
                 further hosts, recordings lie",
            )
        };
        if reference.len() > MAX_REFERENCE || reference.chars().any(char::is_control) {
            return Err(refused("is no address"));
        }
        let reference =
            self.settings.strip.as_deref().and_then(|start| reference.strip_prefix(start)).unwrap_or(reference);
        let url = self.base.join(reference).map_err(|_| refused("is no address"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(refused("is no address of http or https"));
        }
        let same_host = url.scheme() == self.base.scheme()
            && url.host() == self.base.host()
            && url.port_or_known_default() == self.base.port_or_known_default();
        if same_host {
            let below = url.path().starts_with(self.base.path()) && url.path() != self.base.path();
            return if below {
                Ok(Place::Home(url))
            } else {
                Err(refused("leads out of the address where recordings lie"))
            };
        }
        let host = url.host_str().unwrap_or_default();
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let named = |known: &String| {
            known.eq_ignore_ascii_case(&with_port) || (url.port().is_none() && known.eq_ignore_ascii_case(host))
        };
        if self.settings.allow.iter().any(named) { Ok(Place::Allowed(url)) } else { Err(refused("names another host")) }
    }
}

#[async_trait]
impl Recordings for Fetcher {
    async fn fetch(&self, reference: &str) -> Result<Download, Fault> {
        let mut request = match self.place(reference)? {
            Place::Home(url) => {
                let request = self.http.request(Method::GET, url);
                match &self.token {
                    None => request,
                    Some(token) => {
                        let bearer = format!("Bearer {}", token.expose_secret());
                        let mut bearer = reqwest::header::HeaderValue::from_str(&bearer)
                            .map_err(|_| Fault::configuration("the token of the recordings cannot be sent"))?;
                        bearer.set_sensitive(true);
                        request.header(AUTHORIZATION, bearer)
                    }
                }
            }
            // The host is the admin's word, the number behind it is not: it must be public, or opened by `allow_private`.
            Place::Allowed(url) => self.http.request_found(Method::GET, url)?,
        };
        request = request.timeout(Duration::from_secs(u64::from(self.settings.seconds)));
        self.http.download(request, self.settings.max_bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher() -> Fetcher {
        let settings = RecordingSettings {
            base: "https://rec.example/calls/".to_owned(),
            allow: vec!["other.example".to_owned(), "third.example:8443".to_owned()],
            strip: Some("/var/spool/asterisk/monitor/".to_owned()),
            token: None,
            max_bytes: 100,
            seconds: 5,
        };
        assert_eq!(settings.mistakes(), []);
        settings.fetcher(&crate::conformance::tools()).unwrap()
    }

    #[test]
    fn d03_a_reference_leads_below_the_base_or_to_a_host_that_is_allowed_and_nowhere_else() {
        let home = |url: &str| Some(Place::Home(Url::parse(url).unwrap()));
        let allowed = |url: &str| Some(Place::Allowed(Url::parse(url).unwrap()));
        let cases = [
            ("2026/11/20/1.wav", home("https://rec.example/calls/2026/11/20/1.wav")),
            ("/var/spool/asterisk/monitor/1.wav", home("https://rec.example/calls/1.wav")),
            ("https://rec.example/calls/1.wav?x=1", home("https://rec.example/calls/1.wav?x=1")),
            ("https://other.example/1.wav", allowed("https://other.example/1.wav")),
            ("https://third.example:8443/1.wav", allowed("https://third.example:8443/1.wav")),
            ("https://third.example/1.wav", None),
            ("https://other.example:8443/1.wav", None),
            ("http://rec.example/calls/1.wav", None),
            ("https://rec.example:444/calls/1.wav", None),
            ("../admin", None),
            ("%2e%2e/admin", None),
            ("..\\admin", None),
            ("/admin", None),
            ("", None),
            ("//169.254.169.254/latest", None),
            ("http://169.254.169.254/latest", None),
            ("http://127.0.0.1:5038/", None),
            ("file:///etc/passwd", None),
            ("data:,x", None),
            ("https://user:word@rec.example/calls/1.wav", None),
            ("https://rec.example@evil.example/calls/1.wav", None),
            ("1.wav\r\nX: y", None),
        ];
        for (reference, expected) in cases {
            let place = fetcher().place(reference);
            if let Err(fault) = &place {
                assert!(fault.remedy.is_some() && !fault.to_string().contains("evil"), "{fault}");
            }
            assert_eq!(place.ok(), expected, "{reference}");
        }
    }
}
