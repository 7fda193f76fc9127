//! Style, script and sign of the console, compiled in. Their addresses carry a digest of what they hold, so that browsers
//! keep them for ever and still never show an old one: over a slow link they are loaded once.

use std::fmt::Write as _;

use axum::{
    extract::Path,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};

use super::trouble::Trouble;

struct Asset {
    name: &'static str,
    media: &'static str,
    text: &'static str,
}

const ASSETS: &[Asset] = &[
    Asset { name: "console.css", media: "text/css; charset=utf-8", text: include_str!("assets/console.css") },
    Asset { name: "console.js", media: "text/javascript; charset=utf-8", text: include_str!("assets/console.js") },
    Asset { name: "icon.svg", media: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

/// Where an asset is found.
pub(super) fn address(name: &str) -> String {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else { return String::new() };
    let digest = Sha256::digest(asset.text.as_bytes());
    digest.iter().take(6).fold(format!("/console/assets/{name}?"), |mut address, byte| {
        let _ = write!(address, "{byte:02x}");
        address
    })
}

/// An asset by its name.
pub(super) async fn serve(Path(name): Path<String>) -> Result<Response, Trouble> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(Trouble::missing)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.media)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, asset.text).into_response())
}
