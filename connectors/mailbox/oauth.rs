//! Access tokens for servers that take no password: SASL XOAUTH2, with tokens by the refresh-token grant (RFC 6749,
//! section 6).
//!
//! A token is asked for ahead of its end, so that a token endpoint that is away for some minutes stops nothing. Where a
//! person must act (the refresh token was revoked), the fault says so, the connector stays as it is, and a new refresh
//! token is taken up at the next attempt, because the secret is read anew each time.

use std::{
    fmt,
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_imap::Authenticator;
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{ACCEPT, CONTENT_TYPE},
};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    http::{Answered, Http},
    secret::SecretRef,
};

/// How long before its end a token is replaced.
const AHEAD: Duration = Duration::from_mins(5);
/// How long a token is used whose end is not told.
const UNTOLD: Duration = Duration::from_mins(10);
/// The longest life of a token that is believed.
const LONGEST: Duration = Duration::from_hours(24);
/// The longest token, in bytes.
const TOKEN_BYTES: usize = 16 * 1024;

/// Where access tokens come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// Token endpoint, https.
    pub token_url: String,
    /// The client's id at the provider.
    pub client_id: String,
    /// Where the client's secret is found, for providers that want one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// Where the refresh token is found. A provider that gives a new one with each access token has it written back where
    /// this names a file that the gateway may write to.
    pub refresh_token: SecretRef,
    /// Scopes to ask for, separated by spaces, where the provider wants them named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Gets access tokens and keeps the last one.
pub(super) struct Tokens {
    settings: OAuth,
    http: Http,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    access: Option<(SecretString, Timestamp)>,
    /// The refresh token that the provider gave in place of the one in the settings, and that one.
    replaced: Option<(SecretString, SecretString)>,
}

/// What a token endpoint answers; nothing of it is ever shown.
#[derive(Deserialize)]
struct Granted {
    access_token: Option<String>,
    expires_in: Option<serde_json::Number>,
    refresh_token: Option<String>,
    error: Option<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Asks nobody yet.
    pub(super) fn new(settings: OAuth, http: Http) -> Self {
        Self { settings, http, held: Mutex::default() }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that holds for some minutes from `now` on.
    ///
    /// # Errors
    /// Where there is none and none is given.
    pub(super) async fn access(&self, now: Timestamp) -> Result<SecretString, Fault> {
        let held = self.held().access.clone();
        if let Some((token, until)) = &held
            && now.checked_add(AHEAD).is_ok_and(|soon| soon < *until)
        {
            return Ok(token.clone());
        }
        match (self.refresh(now).await, held) {
            (Err(fault), Some((token, until))) if !fault.class.needs_a_person() && now < until => {
                tracing::warn!(%fault, "no new access token is given; the old one still holds");
                Ok(token)
            }
            (granted, _) => granted,
        }
    }

    /// Lets go of a token that a server did not take.
    pub(super) fn forget(&self, token: &SecretString) {
        let mut held = self.held();
        if held.access.as_ref().is_some_and(|(kept, _)| kept.expose_secret() == token.expose_secret()) {
            held.access = None;
        }
    }

    async fn refresh(&self, now: Timestamp) -> Result<SecretString, Fault> {
        // Read anew each time: an admin may have put another one there.
        let told = self.settings.refresh_token.reveal()?;
        let refresh = match &self.held().replaced {
            Some((new, old)) if old.expose_secret() == told.expose_secret() => new.clone(),
            _ => told.clone(),
        };
        let url: Url = self.settings.token_url.parse().map_err(|_| {
            Fault::configuration("oauth.token_url is not an address").remedy("give the provider's token endpoint")
        })?;
        let mut form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh.expose_secret().to_owned()),
            ("client_id", self.settings.client_id.clone()),
        ];
        if let Some(secret) = &self.settings.client_secret {
            form.push(("client_secret", secret.reveal()?.expose_secret().to_owned()));
        }
        if let Some(scope) = &self.settings.scope {
            form.push(("scope", scope.clone()));
        }
        let request = self
            .http
            .request(Method::POST, url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(written(&form));
        let granted = granted(self.http.send(request).await?)?;
        let Some(access) = granted.access_token.filter(|token| is_token(token)) else {
            return Err(Fault::permanent("the token endpoint's answer holds no access token")
                .remedy("check oauth.token_url and oauth.scope"));
        };
        let life = granted
            .expires_in
            .and_then(|life| life.as_f64())
            .map_or(UNTOLD, |life| Duration::from_secs_f64(life.clamp(0.0, LONGEST.as_secs_f64())));
        let access = SecretString::from(access);
        self.held().access = Some((access.clone(), now.checked_add(life).unwrap_or(now)));
        if let Some(new) = granted.refresh_token.filter(|new| is_token(new) && new != refresh.expose_secret()) {
            self.replace(told, SecretString::from(new));
        }
        Ok(access)
    }

    /// Keeps the refresh token that the provider gave in place of the old one: in its file where there is one, and here.
    fn replace(&self, told: SecretString, new: SecretString) {
        if let SecretRef::File(path) = &self.settings.refresh_token {
            match write_over(path, new.expose_secret()) {
                Ok(()) => return,
                Err(error) => tracing::warn!(
                    %error,
                    "the provider gave a new refresh token that cannot be written to its file; it is lost when the gateway stops"
                ),
            }
        }
        self.held().replaced = Some((new, told));
    }
}

/// Writes a secret over the one in its file, whole or not at all.
fn write_over(path: &Path, secret: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.new"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

fn is_token(token: &str) -> bool {
    !token.is_empty() && token.len() <= TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn granted(answered: Answered) -> Result<Granted, Fault> {
    let told: Option<Granted> = serde_json::from_slice(&answered.body).ok();
    match told.as_ref().and_then(|told| told.error.as_deref()) {
        None => {}
        Some("invalid_grant") => {
            return Err(Fault::authentication("the provider does not take the refresh token any more (invalid_grant)")
                .remedy(
                    "have the account's owner consent again and put the new refresh token where the old one is; the \
                     connector goes on by itself at its next attempt",
                ));
        }
        Some("invalid_client" | "unauthorized_client") => {
            return Err(Fault::authentication("the provider does not know this client (invalid_client)")
                .remedy("check oauth.client_id and oauth.client_secret"));
        }
        Some("invalid_scope" | "invalid_request" | "unsupported_grant_type") => {
            return Err(Fault::configuration("the provider does not understand what is asked for")
                .remedy("check oauth.token_url and oauth.scope"));
        }
        Some("temporarily_unavailable" | "server_error" | "slow_down") => {
            return Err(Fault::transient("the token endpoint has no token to give now"));
        }
        Some(_) => {
            return Err(Fault::permanent("the token endpoint refuses").remedy("check the settings under oauth"));
        }
    }
    let _ = answered.success()?;
    told.ok_or_else(|| Fault::permanent("the token endpoint's answer is not JSON").remedy("check oauth.token_url"))
}

/// A form as it is sent.
fn written(fields: &[(&str, String)]) -> String {
    let encoded = |text: &str| {
        text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push('%');
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
            }
            out
        })
    };
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    fields.join("&")
}

/// Shows a token to an IMAP server.
pub(super) struct Bearer(Option<SecretString>);

impl Bearer {
    /// The token of a user.
    pub(super) fn new(user: &str, token: &SecretString) -> Self {
        Self(Some(SecretString::from(format!("user={user}\u{1}auth=Bearer {}\u{1}\u{1}", token.expose_secret()))))
    }
}

impl Authenticator for Bearer {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        // What follows is the server's account of why it refuses; it wants an empty answer.
        self.0.take().map(|text| text.expose_secret().to_owned()).unwrap_or_default()
    }
}
