//! How requests are signed. Every operator who grants access has a scheme of its own - a digest over path, parameters in
//! some order, an application code, a time - so the scheme is a setting: which digest, over what text, written how.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sm3::Sm3;

use super::{
    request::{self, Vars},
    settings::Request,
};
use crate::{entry::digest_hex, fault::Fault};

/// Whether a site's `robots.txt` is kept to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Robots {
    /// It is read and kept to (RFC 9309), its `Crawl-delay` too.
    #[default]
    Obey,
    /// The operator has granted access, so what it asks of strangers does not hold for us. Write down who granted it.
    Granted,
}

/// How requests are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// Which digest.
    pub digest: Algorithm,
    /// The text that is signed. Placeholders: `{path}`, `{query}` (as sent), `{params}` (all parameters joined),
    /// `{param.NAME}` (one as it is sent: of the query, the form, or the top of the JSON body), `{time}` and `{time_ms}`
    /// (seconds and milliseconds since 1970), `{nonce}`, `{board}`, `{secret.NAME}`.
    pub text: String,
    /// Which of the secrets is the key, where the digest takes one.
    #[serde(default)]
    pub key: Option<String>,
    /// How the digest is written.
    #[serde(default)]
    pub form: Written,
    /// The parameters in `{params}`, in this order; all of them in the order of their names unless set. One that carries
    /// the signature itself is left out.
    #[serde(default)]
    pub order: Vec<String>,
    /// What stands between a parameter's name and its value in `{params}`.
    #[serde(default = "equals")]
    pub equals: String,
    /// What stands between two parameters in `{params}`.
    #[serde(default = "ampersand")]
    pub between: String,
}

fn equals() -> String {
    "=".to_owned()
}

fn ampersand() -> String {
    "&".to_owned()
}

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// MD5 (RFC 1321): broken, and still what some operators ask for.
    Md5,
    /// SHA-256.
    Sha256,
    /// SM3 (GB/T 32905-2016).
    Sm3,
    /// HMAC with SHA-256 (RFC 2104).
    HmacSha256,
    /// HMAC with SM3.
    HmacSm3,
}

impl Algorithm {
    /// Whether it takes a key.
    fn is_keyed(self) -> bool {
        matches!(self, Self::HmacSha256 | Self::HmacSm3)
    }
}

/// How a digest is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// Hexadecimal in lower case.
    #[default]
    HexLower,
    /// Hexadecimal in upper case.
    HexUpper,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
}

/// The placeholders of a signed text, besides parameters and secrets.
const SIGNED: [&str; 7] = ["path", "query", "params", "time", "time_ms", "nonce", "board"];

/// Lets placeholders stand for the time of a request and a nonce.
pub(crate) fn stamp(vars: &mut Vars<'_>, now: jiff::Timestamp, count: u64) {
    vars.put("time", now.as_second().to_string());
    vars.put("time_ms", now.as_millisecond().to_string());
    vars.put("nonce", nonce(now, count));
}

/// A nonce: never the same twice from one process, which is all that it is for.
fn nonce(now: jiff::Timestamp, count: u64) -> String {
    let mut nonce = digest_hex(&[&now.as_nanosecond().to_be_bytes(), &count.to_be_bytes()]);
    nonce.truncate(32);
    nonce
}

impl Sign {
    /// Lets `{signature}` stand for the signature of a request, where the request or a header says it.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub(crate) fn put<'a>(
        &self,
        base: &Url,
        asked: &Request,
        mut headers: impl Iterator<Item = &'a String>,
        vars: &mut Vars<'_>,
    ) -> Result<(), Fault> {
        if request::says(asked, "signature") || headers.any(|header| carries(header)) {
            let signature = self.sign(base, asked, vars)?;
            vars.put("signature", signature);
        }
        Ok(())
    }

    /// What cannot work in it, by JSON pointer below `/sign`, with the secrets that there are.
    pub(crate) fn mistakes(&self, is_secret: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        match &self.key {
            Some(key) if !is_secret(key) => {
                mistakes.push(("/key", format!("the secret {key:?} is not named under secrets")));
            }
            Some(_) if !self.digest.is_keyed() => {
                mistakes.push(("/key", "this digest takes no key; put {secret.NAME} into the text".to_owned()));
            }
            None if self.digest.is_keyed() => {
                mistakes.push(("/key", "this digest takes a key: name one of the secrets".to_owned()));
            }
            _ => {}
        }
        for name in request::placeholders(&self.text) {
            if let Some(secret) = name.strip_prefix("secret.") {
                if !is_secret(secret) {
                    mistakes.push(("/text", format!("the secret {secret:?} is not named under secrets")));
                }
            } else if !SIGNED.contains(&name.as_str()) && !name.starts_with("param.") {
                let known = SIGNED.join(", ");
                let message = format!("{{{name}}} stands for nothing here; known are {known}, param.NAME, secret.NAME");
                mistakes.push(("/text", message));
            }
        }
        mistakes
    }

    /// The signature of a request whose other placeholders are in `vars`.
    ///
    /// # Errors
    /// A configuration fault where the key is missing or the request leads away from the board.
    fn sign(&self, base: &Url, asked: &Request, vars: &Vars<'_>) -> Result<String, Fault> {
        let url = request::address(base, &unsigned(asked), vars).ok_or_else(|| {
            Fault::configuration("a request to be signed leads to another host than the base address")
        })?;
        let parameters = parameters(asked, vars);
        let mut known = Vars { plain: vars.plain.clone(), secrets: vars.secrets };
        known.put("path", url.path().to_owned());
        known.put("query", url.query().unwrap_or_default().to_owned());
        known.put("params", self.joined(&parameters));
        for (name, value) in parameters {
            known.put(format!("param.{name}"), value);
        }
        let text = known.fill(&self.text, str::to_owned);
        let key = match &self.key {
            Some(name) => known
                .value(&format!("secret.{name}"))
                .ok_or_else(|| Fault::configuration(format!("the secret {name:?} that signs requests is not named")))?
                .to_owned(),
            None => String::new(),
        };
        let digest = digest(self.digest, key.as_bytes(), text.as_bytes())?;
        Ok(match self.form {
            Written::HexLower => hex(&digest),
            Written::HexUpper => hex(&digest).to_ascii_uppercase(),
            Written::Base64 => base64::engine::general_purpose::STANDARD.encode(digest),
        })
    }

    fn joined(&self, parameters: &[(String, String)]) -> String {
        let one = |(name, value): &(String, String)| format!("{name}{}{value}", self.equals);
        let joined: Vec<String> = if self.order.is_empty() {
            parameters.iter().map(one).collect()
        } else {
            let named = |wanted: &String| parameters.iter().find(|(name, _)| name == wanted);
            self.order.iter().filter_map(named).map(one).collect()
        };
        joined.join(&self.between)
    }
}

/// The request without the parameters that carry the signature.
fn unsigned(request: &Request) -> Request {
    let mut request = request.clone();
    request.query.retain(|_, template| !carries(template));
    request
}

fn carries(template: &str) -> bool {
    template.contains("{signature}")
}

/// Every parameter as it is sent, in the order of names: query, form, and the top of a JSON body.
fn parameters(request: &Request, vars: &Vars<'_>) -> Vec<(String, String)> {
    let texts = request.query.iter().chain(&request.form).filter(|(_, template)| !carries(template));
    let mut parameters: Vec<(String, String)> =
        texts.map(|(name, template)| (name.clone(), vars.fill(template, str::to_owned))).collect();
    if let Some(Value::Object(fields)) = &request.json {
        for (name, template) in fields.iter().filter(|(_, value)| !value.as_str().is_some_and(carries)) {
            let value = match vars.fill_json(template) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            parameters.push((name.clone(), value));
        }
    }
    parameters.sort();
    parameters
}

fn digest(algorithm: Algorithm, key: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
    // HMAC takes keys of any length; what it says of them is passed on all the same.
    let refused = |_| Fault::configuration("the key that signs requests cannot be used");
    Ok(match algorithm {
        Algorithm::Md5 => Md5::digest(text).to_vec(),
        Algorithm::Sha256 => Sha256::digest(text).to_vec(),
        Algorithm::Sm3 => Sm3::digest(text).to_vec(),
        Algorithm::HmacSha256 => {
            Hmac::<Sha256>::new_from_slice(key).map_err(refused)?.chain_update(text).finalize().into_bytes().to_vec()
        }
        Algorithm::HmacSm3 => {
            Hmac::<Sm3>::new_from_slice(key).map_err(refused)?.chain_update(text).finalize().into_bytes().to_vec()
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        text
    })
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    fn sign(digest: Algorithm, text: &str) -> Sign {
        Sign {
            digest,
            text: text.to_owned(),
            key: digest.is_keyed().then(|| "key".to_owned()),
            form: Written::HexLower,
            order: Vec::new(),
            equals: equals(),
            between: ampersand(),
        }
    }

    fn of(sign: &Sign, request: &Request) -> String {
        let secrets = [("key".to_owned(), SecretString::from("key")), ("code".to_owned(), SecretString::from("C0"))];
        let mut vars = Vars { plain: Vec::new(), secrets: &secrets };
        vars.put("board", "7".to_owned());
        vars.put("time", "1791400000".to_owned());
        sign.sign(&Url::parse("https://board.example/app/").unwrap(), request, &vars).unwrap()
    }

    /// A request whose signed text is the published test text alone.
    fn saying(text: &str) -> Request {
        Request { path: "x".to_owned(), json: Some(json!({ "t": text })), ..Request::default() }
    }

    #[test]
    fn digests_are_those_of_their_standards() {
        let fox = "The quick brown fox jumps over the lazy dog";
        for (algorithm, text, expected) in [
            // RFC 1321, FIPS 180-4, GB/T 32905 (each "abc"), and the usual example of HMAC with SHA-256.
            (Algorithm::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Algorithm::Sm3, "abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
            (Algorithm::HmacSha256, fox, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"),
        ] {
            assert_eq!(of(&sign(algorithm, "{param.t}"), &saying(text)), expected, "{algorithm:?}");
        }
        let keyed = |key: &str| Sign { key: Some(key.to_owned()), ..sign(Algorithm::HmacSm3, "{param.t}") };
        assert_ne!(of(&keyed("key"), &saying("abc")), of(&keyed("code"), &saying("abc")));
        let upper = Sign { form: Written::HexUpper, ..sign(Algorithm::Md5, "{param.t}") };
        assert_eq!(of(&upper, &saying("abc")), "900150983CD24FB0D6963F7D28E17F72");
        let base64 = Sign { form: Written::Base64, ..sign(Algorithm::Md5, "{param.t}") };
        assert_eq!(of(&base64, &saying("abc")), "kAFQmDzST7DWlj99KOF/cg==");
    }

    #[test]
    fn the_text_is_what_is_sent_in_the_order_that_was_asked_for() {
        let request = Request {
            path: "v1/list".to_owned(),
            query: [("sortType", "0"), ("sig", "{signature}")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            json: Some(json!({"param": "{\"fid\":{board},\"page\":1}", "signature": "{signature}", "rows": 10})),
            ..Request::default()
        };
        let digest = |text: &str| hex(&Sha256::digest(text));
        let signed = |text: &str, order: &[&str]| {
            let order = order.iter().map(|name| (*name).to_owned()).collect();
            of(&Sign { order, ..sign(Algorithm::Sha256, text) }, &request)
        };
        assert_eq!(signed("{path}{param.param}{secret.code}", &[]), digest("/app/v1/list{\"fid\":7,\"page\":1}C0"));
        assert_eq!(signed("{params}", &[]), digest("param={\"fid\":7,\"page\":1}&rows=10&sortType=0"));
        assert_eq!(signed("{params}|{time}", &["sortType", "rows"]), digest("sortType=0&rows=10|1791400000"));
        assert_eq!(signed("{query}", &[]), digest("sortType=0"), "what carries the signature is not signed");
    }
}
