//! How connections are made: directly or through a proxy, with TLS on top, and never for longer than a limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::error::BoxError;
use crate::proxy::ProxyRules;

/// For a connection: TCP, a proxy on the way, and TLS.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A connector that gives up: a server may take a TLS greeting and never answer it.
#[derive(Clone)]
pub(crate) struct Timed(HttpsConnector<ProxyConnector>);

impl Timed {
    pub(crate) fn new(connector: HttpsConnector<ProxyConnector>) -> Timed {
        Timed(connector)
    }
}

impl Service<Uri> for Timed {
    type Response = MaybeHttpsStream<Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the connection timed out").into()),
            }
        })
    }
}

/// Connects to a target, through its proxy where it has one. TLS to the target is somebody else's job.
#[derive(Clone)]
pub(crate) struct ProxyConnector {
    direct: HttpConnector,
    /// To a proxy that itself speaks TLS, or not.
    to_proxy: HttpsConnector<HttpConnector>,
    rules: Arc<ProxyRules>,
}

impl ProxyConnector {
    pub(crate) fn new(
        direct: HttpConnector,
        to_proxy: HttpsConnector<HttpConnector>,
        rules: Arc<ProxyRules>,
    ) -> ProxyConnector {
        ProxyConnector { direct, to_proxy, rules }
    }
}

impl Service<Uri> for ProxyConnector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let mut direct = self.direct.clone();
        let mut to_proxy = self.to_proxy.clone();
        let proxy = self.rules.find(&target).cloned();
        Box::pin(async move {
            let Some(proxy) = proxy else {
                return Ok(Stream {
                    inner: MaybeHttpsStream::Http(direct.call(target).await?),
                    proxied: false,
                });
            };
            if proxy.is_socks() {
                let local_dns = proxy.uri.scheme_str() == Some("socks5");
                let mut socks = SocksV5::new(proxy.uri, direct).local_dns(local_dns);
                if let Some((name, password)) = proxy.user {
                    socks = socks.with_auth(name, password);
                }
                return Ok(Stream {
                    inner: MaybeHttpsStream::Http(socks.call(target).await?),
                    proxied: false,
                });
            }
            if target.scheme_str() != Some("https") {
                return Ok(Stream { inner: to_proxy.call(proxy.uri).await?, proxied: true });
            }
            let authorization = proxy.authorization();
            let mut tunnel = Tunnel::new(proxy.uri, to_proxy);
            if let Some(authorization) = authorization {
                tunnel = tunnel.with_auth(authorization);
            }
            Ok(Stream { inner: tunnel.call(target).await?, proxied: false })
        })
    }
}

/// A connection to a target, or to the proxy that will fetch from it.
pub(crate) struct Stream {
    inner: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Requests on it must carry the whole URL.
    proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.inner.connected().proxy(self.proxied)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}
