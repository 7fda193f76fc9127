//! The console over TLS that the gateway itself speaks.

use std::{fs, path::Path, sync::Arc, time::Duration};

use jiesu::store::Dialect;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    console_browser::{PASSWORD, first_link},
    harness::Site,
    services::variable,
};

/// Who trusts this authority alone.
fn trusting(authority: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Asks over TLS, with further headers and a form; head and body of the answer.
async fn ask(site: &Site, authority: &Path, line: &str, headers: &str, form: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(site.address()).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = trusting(authority).connect(name, stream).await?;
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n{headers}\r\n{form}",
        site.address(),
        form.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The value that a cookie is given in an answer.
fn cookie<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer.lines().find(|line| line.to_lowercase().starts_with(&format!("set-cookie: {name}=")));
    line.unwrap_or_else(|| panic!("no {name} in\n{answer}"))
}

#[tokio::test]
#[ignore = "needs certificates, see scripts/services"]
async fn the_console_is_served_over_tls_and_not_without() {
    let site = Site::new(Dialect::Sqlite).await;
    let authority = variable("JIESU_TEST_CA");
    let authority = Path::new(&authority);
    let (certificate, key) = (authority.with_file_name("server.pem"), authority.with_file_name("server.key"));
    site.configure(&format!("[http.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", certificate.display(), key.display()));
    let gateway = site.start().await;
    let link = first_link(&gateway);
    let path = link.split_once(&site.address().to_string()).expect("an address").1.to_owned();
    assert!(link.starts_with("https://"), "{link}");

    // The first admin comes in; both cookies go over TLS only.
    let page = ask(&site, authority, &format!("GET {path}"), "", "").await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let guest = cookie(&page, "jiesu_guest");
    assert!(guest.contains("; Secure") && guest.contains("; HttpOnly"), "{guest}");
    let guest = guest.split([' ', ';']).find(|part| part.starts_with("jiesu_guest=")).unwrap();
    let csrf = page.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap();
    let phrase = PASSWORD.replace(' ', "+");
    let form = format!("csrf={csrf}&name=wang&password={phrase}&again={phrase}");
    let headers = format!("cookie: {guest}\r\norigin: https://{}\r\n", site.address());
    let answer = ask(&site, authority, &format!("POST {path}"), &headers, &form).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    let session = cookie(&answer, "jiesu_session");
    assert!(session.contains("; Secure") && session.contains("SameSite=Strict"), "{session}");

    // Who does not trust the authority, and who speaks no TLS, gets nothing.
    let stranger = tempfile::NamedTempFile::new().unwrap();
    fs::write(stranger.path(), "").unwrap();
    assert!(
        ask(&site, stranger.path(), "GET /console/login", "", "").await.is_err(),
        "an unknown authority is trusted"
    );
    let mut plain = TcpStream::connect(site.address()).await.unwrap();
    plain
        .write_all(format!("GET /console/login HTTP/1.1\r\nhost: {}\r\n\r\n", site.address()).as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_mins(1), plain.read_to_end(&mut answer)).await.expect("hung up");
    assert!(read.is_err() || !String::from_utf8_lossy(&answer).contains("HTTP/"), "answered without TLS");
    gateway.stop().await;
}
