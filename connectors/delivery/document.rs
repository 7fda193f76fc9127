//! Reads the JSON document of a delivery.

use std::borrow::Cow;

use serde_json::{Value, error::Category};

use crate::{contract::Refusal, entry::Remark};

/// The charset that a content type declares, in lower case.
pub(crate) fn charset(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1);
    let value = parameters.filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    })?;
    (!value.is_empty()).then_some(value)
}

/// Refuses a declared charset that is neither UTF-8 nor one of the GB family: guessing would garble names.
pub(crate) fn acceptable(charset: Option<&str>) -> Result<(), Refusal> {
    let Some(charset) = charset else { return Ok(()) };
    let known = encoding_rs::Encoding::for_label(charset.as_bytes());
    // Labels lie, but within the family: gb2312 and gbk are read as GB18030, which holds both; ASCII is UTF-8.
    let ours = [encoding_rs::UTF_8, encoding_rs::GBK, encoding_rs::GB18030, encoding_rs::WINDOWS_1252];
    if known.is_some_and(|encoding| ours.contains(&encoding)) {
        return Ok(());
    }
    Err(Refusal::Malformed {
        field: "content-type".to_owned(),
        message: "the charset must be UTF-8 (JSON has no other, RFC 8259) or GB18030".to_owned(),
    })
}

/// Parses a document; nesting is bounded by the parser (128 levels).
///
/// The same bytes give the same document whenever they are read again, whatever the head of the delivery said: UTF-8
/// where they are UTF-8, GB18030 otherwise.
///
/// # Errors
/// [`Refusal::Malformed`] that says where the document breaks and never what stands there.
pub(crate) fn parse(raw: &[u8]) -> Result<(Value, Vec<Remark>), Refusal> {
    let mut remarks = Vec::new();
    let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
    let text = match std::str::from_utf8(raw) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => match encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(raw) {
            Some(text) => {
                remarks.push(Remark::Mended { what: "the document was not UTF-8 and was read as GB18030".to_owned() });
                text
            }
            None => return Err(malformed("the document is neither UTF-8 nor GB18030".to_owned())),
        },
    };
    let document: Value = serde_json::from_str(&text).map_err(|error| malformed(place(&error)))?;
    if !document.is_object() {
        return Err(malformed("the document must be a JSON object".to_owned()));
    }
    Ok((document, remarks))
}

fn malformed(message: String) -> Refusal {
    Refusal::Malformed { field: "/".to_owned(), message }
}

fn place(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Eof => format!("the document ends early, at line {line}, column {column}"),
        _ => format!("the document is not JSON, or is nested too deeply, at line {line}, column {column}"),
    }
}
