//! The byte stream below IMAP: TCP, TLS, and a meter that ends an answer which would never end.

use std::{
    error::Error,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::fault::Fault;

/// Time to reach the server, and again to agree on TLS.
const CONNECT: Duration = Duration::from_secs(20);

/// The message of the error that the meter raises.
const OVER: &str = "more bytes than were asked for";

/// A connection, plain or not, that counts what it reads.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    allowance: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Connects without TLS.
    pub(crate) async fn connect(host: &str, port: u16) -> Result<Self, Fault> {
        let connecting = timeout(CONNECT, TcpStream::connect((host, port)));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(Fault::transient(format!("{host}:{port} cannot be reached: {error}"))
                    .remedy("check host and port, and that the gateway's machine may connect to them"));
            }
            Err(_) => {
                return Err(Fault::transient(format!("{host}:{port} did not answer within {} s", CONNECT.as_secs()))
                    .remedy("check host and port, and that the gateway's machine may connect to them"));
            }
        };
        // Without it the small commands of IMAP wait for acknowledgements; where it cannot be set, they wait.
        let _ = stream.set_nodelay(true);
        Ok(Self { stream: Stream::Plain(stream), allowance: 0 })
    }

    /// Agrees on TLS with the server at the other end.
    pub(crate) async fn secure(self, host: &str, tls: &Arc<ClientConfig>) -> Result<Self, Fault> {
        let Stream::Plain(stream) = self.stream else {
            return Ok(self);
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Fault::configuration(format!("{host} is neither a host name nor an address")))?;
        match timeout(CONNECT, TlsConnector::from(Arc::clone(tls)).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Self { stream: Stream::Tls(Box::new(stream)), allowance: self.allowance }),
            Ok(Err(error)) => Err(tls_fault(host, &error)),
            Err(_) => Err(Fault::transient(format!("{host} did not agree on TLS within {} s", CONNECT.as_secs()))
                .remedy("check that the port is one that speaks TLS at once, or set tls = \"starttls\"")),
        }
    }

    /// The port at our end; 0 where it cannot be told.
    pub(super) fn local_port(&self) -> u16 {
        let stream = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        stream.local_addr().map_or(0, |address| address.port())
    }

    /// Allows `bytes` more to be read.
    pub(crate) fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
    }
}

/// Whether the meter raised the error.
pub(super) fn is_over(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        };
        let read = buffer.filled().len() - before;
        if read > this.allowance {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, OVER)));
        }
        this.allowance -= read;
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

/// Whom we trust: the public authorities, or only those in `ca_file`.
pub(crate) fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Fault> {
    let roots = match ca_file {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(path) => {
            let mut roots = RootCertStore::empty();
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable_ca(path, &error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable_ca(path, &error))?;
                roots.add(certificate).map_err(|error| unusable_ca(path, &error))?;
            }
            if roots.is_empty() {
                return Err(unusable_ca(path, &"it holds no certificate"));
            }
            roots
        }
    };
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::configuration(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn unusable_ca(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::configuration(format!("the certificate file {} cannot be used: {why}", path.display()))
        .remedy("give a PEM file with the certificate of the authority that signed the server's")
}

fn tls_fault(host: &str, error: &io::Error) -> Fault {
    match cause_in_tls(error) {
        Some(cause) => certificate_fault(host, cause),
        None => Fault::transient(format!("{host} broke off while agreeing on TLS: {error}")),
    }
}

/// The TLS error somewhere below an error.
pub(super) fn cause_in_tls<'error>(error: &'error (dyn Error + 'static)) -> Option<&'error rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cause) = error.downcast_ref::<rustls::Error>() {
            return Some(cause);
        }
        // An I/O error passes over what it wraps when asked for its source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// A certificate that has run out is the provider's to renew, so it passes; one that we cannot trust is for the admin.
pub(super) fn certificate_fault(host: &str, cause: &rustls::Error) -> Fault {
    match cause {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => Fault::transient(format!("the certificate of {host} is out of date: {cause}"))
            .remedy("check the clock of the gateway's machine; otherwise the provider must renew it"),
        rustls::Error::InvalidCertificate(_) => {
            Fault::configuration(format!("the certificate of {host} cannot be trusted: {cause}"))
                .remedy("check host; for a municipal server's own authority name its certificate in ca_file")
        }
        rustls::Error::InvalidMessage(_) => Fault::configuration(format!("{host} does not speak TLS on this port"))
            .remedy("check port; for a port that starts without TLS set tls = \"starttls\""),
        _ => Fault::transient(format!("{host} does not agree on TLS: {cause}")),
    }
}
