//! TLS by rustls, for gateways without a proxy before them. The files are looked at again while the gateway runs: a
//! certificate that was renewed is taken up without a restart, and one that is wrong leaves the old one in use.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_mins(1);

/// Why connections cannot be protected.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's file cannot be used.
    #[error(
        "the certificate {path} cannot be used: {message}; it must be the whole chain in PEM form, own certificate first"
    )]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The key's file cannot be used.
    #[error("the key {path} cannot be used: {message}; it must be one unencrypted key in PEM form")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// They do not go together.
    #[error("the certificate {certificate} and the key {key} do not go together: {message}")]
    Pair {
        /// Which certificate.
        certificate: PathBuf,
        /// Which key.
        key: PathBuf,
        /// Why.
        message: String,
    },
}

type Stamps = [Option<SystemTime>; 2];

struct Loaded {
    acceptor: TlsAcceptor,
    stamps: Stamps,
    looked: Instant,
}

/// Protects connections with the certificate of two files.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// Loads the files.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let stamps = stamps(&certificate, &key);
        let acceptor = acceptor(&certificate, &key)?;
        Ok(Self { certificate, key, loaded: Mutex::new(Loaded { acceptor, stamps, looked: Instant::now() }) })
    }

    /// What accepts the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() >= LOOK {
            loaded.looked = Instant::now();
            let now = stamps(&self.certificate, &self.key);
            if now != loaded.stamps {
                match acceptor(&self.certificate, &self.key) {
                    Ok(fresh) => {
                        loaded.acceptor = fresh;
                        loaded.stamps = now;
                        tracing::info!("the renewed certificate is in use");
                    }
                    Err(error) => tracing::error!(%error, "the certificate was not renewed; the old one stays in use"),
                }
            }
        }
        loaded.acceptor.clone()
    }
}

fn stamps(certificate: &PathBuf, key: &PathBuf) -> Stamps {
    [certificate, key].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn acceptor(certificate: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, TlsError> {
    let no_certificate = |message: String| TlsError::Certificate { path: certificate.clone(), message };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| no_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(no_certificate("there is no certificate in it".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Key { path: key.clone(), message: error.to_string() })?;
    let pair = |error: rustls::Error| TlsError::Pair {
        certificate: certificate.clone(),
        key: key.clone(),
        message: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
