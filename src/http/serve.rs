//! Serves connections, each within bounds: how many there are, how long the head of a request may take to arrive, and how
//! long one may go on after the gateway was told to stop. Whoever connects is not known yet, so nobody may hold a
//! connection, or the gateway's end, for longer than that.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{client::Peer, tls::Tls};

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may rest between two requests.
    pub head: Duration,
    /// How long a request may go on after the stop; then its connection is cut, and its sender sends again.
    pub drain: Duration,
}

/// How long accepting rests after it failed: out of file descriptors, it fails until some are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, and returns when the last connection has ended. With `tls` every connection is TLS.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: ConnectionLimits,
    stop: &CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let accept = async {
        // Never closed, so there is a slot sooner or later.
        while let Ok(slot) = slots.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
                    let peer = Peer { address: address.ip(), tls: tls.is_some() };
                    connections.spawn(async move {
                        let _slot = slot;
                        accepted(stream, peer, router, tls, limits, &stop).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accepted(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: ConnectionLimits,
    stop: &CancellationToken,
) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return connection(stream, peer, router, limits, stop).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(limits.head, tls.acceptor().accept(stream)) => shaken,
        () = stop.cancelled() => return,
    };
    // Who cannot or will not speak TLS is its own affair.
    if let Ok(Ok(stream)) = shaken {
        connection(stream, peer, router, limits, stop).await;
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    router: Router,
    limits: ConnectionLimits,
    stop: &CancellationToken,
) {
    let inner = TowerToHyperService::new(router.into_service::<Incoming>());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        hyper::service::Service::call(&inner, request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    // How a connection ends is its client's affair: what was asked was answered, or will be asked again.
    tokio::select! {
        _ = serving.as_mut() => {}
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(limits.drain, serving).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        task::JoinHandle,
    };

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_mins(1);

    async fn served(limits: ConnectionLimits) -> (std::net::SocketAddr, CancellationToken, JoinHandle<()>) {
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/slow", get(async || std::future::pending::<&'static str>().await));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let stopped = stop.clone();
        let serving = async move { serve(listener, router, None, limits, &stopped).await };
        let tracker = TaskTracker::new();
        (address, stop, tracker.spawn(serving))
    }

    /// What comes back until the other side closes.
    async fn said(address: std::net::SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(LONG, stream.read_to_string(&mut answer)).await.expect("closed").unwrap_or_default();
        answer
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_to_its_end_holds_no_connection() {
        let (address, stop, serving) = served(ConnectionLimits { connections: 1, head: SHORT, drain: LONG }).await;
        // With one connection at once, the second is served because the first was closed.
        said(address, "GET / HTTP/1.1\r\nhost: jiesu\r\nx-never").await;
        let answer = said(address, "GET / HTTP/1.1\r\nhost: jiesu\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("here"), "{answer:?}");
        stop.cancel();
        tokio::time::timeout(LONG, serving).await.expect("ended").unwrap();
    }

    #[tokio::test]
    async fn a_request_that_never_ends_does_not_keep_the_gateway_from_stopping() {
        let (address, stop, serving) = served(ConnectionLimits { connections: 2, head: LONG, drain: SHORT }).await;
        let asked = said(address, "GET /slow HTTP/1.1\r\nhost: jiesu\r\n\r\n");
        let idle = TcpStream::connect(address).await.unwrap();
        let stopping = async {
            tokio::time::sleep(SHORT).await;
            stop.cancel();
            tokio::time::timeout(LONG, serving).await.expect("ended").unwrap();
        };
        let (answer, ()) = tokio::join!(asked, stopping);
        assert_eq!(answer, "");
        drop(idle);
    }
}
