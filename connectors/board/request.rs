//! Turns a request's templates into a request. Values that come from items are encoded for the place they stand in, are
//! never looked through for placeholders again, and never lead to another host.

use std::borrow::Cow;

use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::settings::{Method, Request};
use crate::{fault::Fault, http::Http};

/// What placeholders stand for.
#[derive(Default)]
pub(crate) struct Vars<'call> {
    pub(crate) plain: Vec<(Cow<'static, str>, String)>,
    pub(crate) secrets: &'call [(String, SecretString)],
}

impl Vars<'_> {
    /// Lets a placeholder stand for a value.
    pub(crate) fn put(&mut self, name: impl Into<Cow<'static, str>>, value: String) {
        self.plain.push((name.into(), value));
    }

    /// What a placeholder stands for.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        if let Some(secret) = name.strip_prefix("secret.") {
            let (_, value) = self.secrets.iter().find(|(known, _)| known == secret)?;
            return Some(value.expose_secret());
        }
        self.plain.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The template with every known placeholder replaced, in one pass.
    pub(crate) fn fill(&self, template: &str, encode: fn(&str) -> String) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, name, after)) = placeholder(rest) {
            filled.push_str(before);
            if let Some(value) = self.value(name) {
                filled.push_str(&encode(value));
            } else if let Some(value) = name.strip_suffix(":json").and_then(|name| self.value(name)) {
                filled.push_str(&encode(&inside_json(value)));
            } else {
                filled.extend(["{", name, "}"]);
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// The document with every known placeholder in its texts replaced.
    pub(crate) fn fill_json(&self, template: &Value) -> Value {
        match template {
            Value::String(text) => self.number(text).unwrap_or_else(|| Value::String(self.fill(text, str::to_owned))),
            Value::Array(values) => values.iter().map(|value| self.fill_json(value)).collect(),
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), self.fill_json(value))).collect(),
            other => other.clone(),
        }
    }

    fn number(&self, template: &str) -> Option<Value> {
        let name = template.strip_prefix('{')?.strip_suffix(":number}")?;
        self.value(name)?.parse::<i64>().ok().map(Value::from)
    }
}

/// A text as it stands between the quotes of JSON.
fn inside_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// The next thing in braces that looks like a placeholder, with the text before and after it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text.get(from..)?.find('{').map(|at| from + at) {
        let name_length = text[open + 1..]
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':'))
            .count();
        let close = open + 1 + name_length;
        if name_length > 0 && text[close..].starts_with('}') {
            return Some((&text[..open], &text[open + 1..close], &text[close + 1..]));
        }
        from = open + 1;
    }
    None
}

/// The names in braces in a template, for checking settings.
pub(crate) fn placeholders(template: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = template;
    while let Some((_, name, after)) = placeholder(rest) {
        names.push(name.to_owned());
        rest = after;
    }
    names
}

/// Encodes everything but unreserved characters (RFC 3986, section 2.3).
fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
            encoded.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
        }
        encoded
    })
}

/// Whether any of the request's texts says the placeholder.
pub(crate) fn says(request: &Request, name: &str) -> bool {
    let texts = serde_json::to_string(request).unwrap_or_default();
    texts.contains(&format!("{{{name}}}")) || texts.contains(&format!("{{{name}:number}}"))
}

/// The address of a request below `base`, with its query. `None` where it would lead to another scheme, host or port.
pub(crate) fn address(base: &Url, request: &Request, vars: &Vars<'_>) -> Option<Url> {
    let mut url = base.join(&vars.fill(&request.path, percent)).ok()?;
    if !request.query.is_empty() {
        let mut query = url.query_pairs_mut();
        for (name, value) in &request.query {
            query.append_pair(name, &vars.fill(value, str::to_owned));
        }
    }
    same_origin(base, &url).then_some(url)
}

/// Whether both addresses have one scheme, host and port.
pub(crate) fn same_origin(base: &Url, url: &Url) -> bool {
    base.scheme() == url.scheme()
        && base.host() == url.host()
        && base.port_or_known_default() == url.port_or_known_default()
        && url.username().is_empty()
        && url.password().is_none()
}

/// The request for an address.
///
/// # Errors
/// A configuration fault where a header cannot be sent.
pub(crate) fn build<'a>(
    http: &Http,
    url: Url,
    request: &Request,
    headers: impl IntoIterator<Item = (&'a String, &'a String)>,
    vars: &Vars<'_>,
) -> Result<RequestBuilder, Fault> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut builder = http.request(method, url);
    for (name, template) in headers {
        let header = reqwest::header::HeaderName::from_bytes(name.as_bytes());
        let value = reqwest::header::HeaderValue::from_str(&vars.fill(template, str::to_owned));
        let (Ok(header), Ok(mut value)) = (header, value) else {
            return Err(Fault::configuration(format!("the header {name:?} cannot be sent"))
                .remedy("use letters, digits and hyphens in its name and visible characters in its value"));
        };
        value.set_sensitive(template.contains("{secret."));
        builder = builder.header(header, value);
    }
    if let Some(json) = &request.json {
        return Ok(builder.json(&vars.fill_json(json)));
    }
    if request.form.is_empty() {
        return Ok(builder);
    }
    // Written here because it is ten lines, and the client is built without its form support.
    let body: Vec<String> = request
        .form
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name), percent(&vars.fill(value, str::to_owned))))
        .collect();
    Ok(builder.header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.join("&")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vars() -> Vars<'static> {
        let mut vars = Vars::default();
        vars.put("page", "3".to_owned());
        vars.put("id", "a/../{page}?x=1".to_owned());
        vars
    }

    #[test]
    fn placeholders_are_filled_once_and_braces_kept() {
        let filled = vars().fill(r#"{"page":{page},"id":"{id}","x":{unknown}}"#, str::to_owned);
        assert_eq!(filled, r#"{"page":3,"id":"a/../{page}?x=1","x":{unknown}}"#);
        let mut vars = vars();
        vars.put("text", "他说\"已修好\"\n谢谢".to_owned());
        let inner = vars.fill(r#"{"content":"{text:json}"}"#, str::to_owned);
        assert_eq!(serde_json::from_str::<Value>(&inner).unwrap(), json!({"content": "他说\"已修好\"\n谢谢"}));
        let body = json!({"page": "{page:number}", "list": ["{page}", "{x:number}"]});
        assert_eq!(vars.fill_json(&body), json!({"page": 3, "list": ["3", "{x:number}"]}));
    }

    #[test]
    fn an_item_cannot_steer_the_address() {
        let base = Url::parse("http://board.example:8080/app/").unwrap();
        let request = Request { path: "show/{id}".to_owned(), ..Request::default() };
        let url = address(&base, &request, &vars()).unwrap();
        assert_eq!(url.as_str(), "http://board.example:8080/app/show/a%2F..%2F%7Bpage%7D%3Fx%3D1");
        for path in
            ["http://169.254.169.254/", "//other.example/", "https://board.example:8080/", "http://board.example/"]
        {
            let request = Request { path: path.to_owned(), ..Request::default() };
            assert_eq!(address(&base, &request, &vars()), None, "{path}");
        }
    }
}
