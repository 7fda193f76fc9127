//! Values with parameters: Content-Type and Content-Disposition (RFC 2045, 2183, 2231), with raw 8-bit values.

use std::collections::BTreeMap;

use super::{Bounds, Notes, charset, transfer, words};

/// A value and its parameters, names in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    /// The value in lower case: `text/plain`, `attachment`.
    pub(super) value: String,
    list: Vec<(String, String)>,
}

/// Parameters that are read; the rest is passed over.
const MAX_PARAMETERS: usize = 64;

impl Parameters {
    /// Reads a raw header value.
    pub(super) fn read(raw: &[u8], hint: Option<&str>, notes: &mut Notes) -> Self {
        let text = words::raw_text(raw, hint, notes);
        let mut pieces = split(&text).into_iter();
        let value = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        let list = pieces
            .take(MAX_PARAMETERS)
            .filter_map(|piece| {
                let (name, value) = piece.split_once('=')?;
                Some((name.trim().to_ascii_lowercase(), unquote(value.trim())))
            })
            .collect();
        Self { value, list }
    }

    /// A parameter as it is written.
    pub(super) fn plain(&self, name: &str) -> Option<&str> {
        let (_, value) = self.list.iter().find(|(own, value)| own == name && !value.is_empty())?;
        Some(value)
    }

    /// A parameter for people: continuations joined, percent octets and encoded words decoded.
    pub(super) fn text(&self, name: &str, hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> Option<String> {
        if let Some(text) = self.extended(name, hint) {
            return Some(text);
        }
        let plain = self.plain(name)?;
        Some(words::decode_words(plain, hint, bounds, notes))
    }

    /// `name*=charset'language'value` and `name*0*=…; name*1=…`. The octets are joined before they are decoded, because a
    /// character may be cut by a continuation.
    fn extended(&self, name: &str, hint: Option<&str>) -> Option<String> {
        let mut segments: BTreeMap<usize, (&str, bool)> = BTreeMap::new();
        for (own, value) in &self.list {
            let Some(suffix) = own.strip_prefix(name).and_then(|rest| rest.strip_prefix('*')) else { continue };
            let (index, encoded) = match suffix.strip_suffix('*') {
                Some(index) => (index, true),
                None => (suffix, suffix.is_empty()),
            };
            let index = if index.is_empty() { Some(0) } else { index.parse().ok() };
            if let Some(index) = index {
                segments.entry(index).or_insert((value, encoded));
            }
        }
        // Raw text was decoded before and is UTF-8 by now, whatever the label says.
        let is_raw = segments.values().any(|(value, _)| !value.is_ascii());
        let mut label = None;
        let mut octets = Vec::new();
        for (position, (value, encoded)) in segments.into_values().enumerate() {
            let mut value = value;
            if position == 0
                && encoded
                && let Some((told, rest)) = value.split_once('\'')
                && let Some((_, rest)) = rest.split_once('\'')
            {
                label = Some(told).filter(|told| !told.is_empty());
                value = rest;
            }
            if encoded {
                octets.extend(transfer::percent(value.as_bytes()));
            } else {
                octets.extend(value.as_bytes());
            }
        }
        if octets.is_empty() {
            return None;
        }
        let label = if is_raw { Some("utf-8") } else { label };
        let text = charset::decode(&octets, label, hint).text;
        Some(words::one_line(&text))
    }
}

/// Splits at semicolons outside quotes. A quote that never closes closes at its first semicolon.
fn split(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    let closes = text.bytes().filter(|byte| *byte == b'"').count().is_multiple_of(2);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if closes => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else {
        // A comment may follow an unquoted value.
        return value.split(" (").next().unwrap_or_default().trim_end_matches('"').to_owned();
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        // Windows paths hold backslashes that escape nothing.
        match characters.next_if(|next| character == '\\' && matches!(next, '"' | '\\')) {
            Some(escaped) => out.push(escaped),
            None => out.push(character),
        }
    }
    out
}
