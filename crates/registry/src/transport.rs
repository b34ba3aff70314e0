//! One request, one answer: connections, TLS, timeouts, and what their failures mean.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use crate::body::SendBody;
use crate::connector::{CONNECT_TIMEOUT, ProxyConnector, Timed};
use crate::proxy::ProxyRules;
use crate::tls::{self, HostCertificates};
use crate::{Error, Settings};

/// From a sent request to the head of its answer, connecting included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for the end of an upload, when registries copy the blob to where it stays.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(300);
/// The largest head of an answer, in bytes. It is also the largest read of a body.
const MAX_HEAD: usize = 128 << 10;
/// The most headers of an answer.
const MAX_HEADERS: usize = 100;
/// How many bytes a peer of HTTP/2 may send ahead, a stream and a connection.
const WINDOW: u32 = 4 << 20;
/// Between two signs of life on an idle TCP connection.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long an unused connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(30);

type HttpClient = Client<Timed, SendBody>;

/// What TLS asks of a host: connections are shared only between hosts of which it asks the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Trust {
    /// The folder of `certs.d`, if there is one.
    folder: Option<PathBuf>,
    /// Any certificate will do, and so will plain HTTP.
    pub(crate) insecure: bool,
}

/// The connections of a client.
pub(crate) struct Transport {
    settings: Arc<Settings>,
    rules: Arc<ProxyRules>,
    user_agent: HeaderValue,
    /// Read when first needed; the clients share them.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    roots: Option<Arc<RootCertStore>>,
    clients: HashMap<Trust, HttpClient>,
}

/// A request before it gets the client's own headers.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(hyper::header::HeaderName, HeaderValue)>,
    pub(crate) body: SendBody,
    /// Counts the bytes of the body that went out, where it is a stream.
    pub(crate) taken: Option<Arc<AtomicU64>>,
}

impl Transport {
    pub(crate) fn new(settings: Arc<Settings>) -> Result<Transport, Error> {
        let own = concat!("jettison/", env!("CARGO_PKG_VERSION"));
        let agent = if settings.user_agent.is_empty() { own } else { &settings.user_agent };
        let user_agent = HeaderValue::from_str(agent).unwrap_or_else(|_| HeaderValue::from_static(own));
        let rules = Arc::new(ProxyRules::new(&settings.proxy)?);
        Ok(Transport { settings, rules, user_agent, state: Mutex::default() })
    }

    /// Finds out what TLS asks of `host[:port]`. A loopback registry is insecure unless `certs.d` knows it.
    pub(crate) fn trust(&self, host: &str, insecure: bool) -> Trust {
        let folder = tls::host_folder(&self.settings, host);
        let local = folder.is_none() && crate::endpoint::is_loopback(host);
        Trust { folder, insecure: insecure || local }
    }

    /// The same of a web server, which gets no favours on loopback.
    pub(crate) fn web_trust(&self, host: &str) -> Trust {
        Trust { folder: tls::host_folder(&self.settings, host), insecure: false }
    }

    /// Sends one request and waits for the head of its answer.
    pub(crate) async fn send(&self, trust: &Trust, outgoing: Outgoing) -> Result<Response<Incoming>, Error> {
        let host = outgoing.uri.authority().map(ToString::to_string).unwrap_or_default();
        let client = self.client(trust, &host)?;
        let proxy = self.rules.find(&outgoing.uri).and_then(|proxy| proxy.authorization());
        let plain = outgoing.uri.scheme_str() == Some("http");
        let upload = outgoing.taken.is_some() || outgoing.method == Method::PUT;
        let mut request = Request::new(outgoing.body);
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = outgoing.uri;
        request.headers_mut().insert(USER_AGENT, self.user_agent.clone());
        request.headers_mut().extend(outgoing.headers);
        if let Some(value) = proxy.filter(|_| plain) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let limit = if upload { COMMIT_TIMEOUT } else { ANSWER_TIMEOUT };
        let mut answer = std::pin::pin!(client.request(request));
        let mut seen = 0;
        loop {
            let result = tokio::time::timeout(limit, answer.as_mut()).await;
            let taken = outgoing.taken.as_ref().map_or(0, |taken| taken.load(Ordering::Relaxed));
            match result {
                Ok(result) => return result.map_err(|error| explain(error, &host)),
                // An upload may take as long as it likes while it moves.
                Err(_) if taken > seen => seen = taken,
                Err(_) => return Err(Error::Timeout { host, after: limit }),
            }
        }
    }

    /// Finds or makes the client for what TLS asks of a host.
    fn client(&self, trust: &Trust, host: &str) -> Result<HttpClient, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = state.clients.get(trust) {
            return Ok(client.clone());
        }
        let roots = match &state.roots {
            Some(roots) => Arc::clone(roots),
            None => Arc::new(tls::roots(&self.settings)?),
        };
        state.roots = Some(Arc::clone(&roots));
        let connector = self.connector(&roots, trust, host)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_buf_size(MAX_HEAD)
            .http1_max_headers(MAX_HEADERS)
            .http2_initial_stream_window_size(WINDOW)
            .http2_initial_connection_window_size(WINDOW)
            .build(connector);
        state.clients.insert(trust.clone(), client.clone());
        Ok(client)
    }

    fn connector(&self, roots: &RootCertStore, trust: &Trust, host: &str) -> Result<Timed, Error> {
        let certificates =
            trust.folder.as_deref().map(tls::read_host_folder).transpose()?.unwrap_or_default();
        let to_host = tls::config(roots, certificates, trust.insecure, host)?;
        let to_proxy = tls::config(roots, HostCertificates::default(), false, host)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let builder = HttpsConnectorBuilder::new().with_tls_config(to_proxy).https_or_http();
        let to_proxy = builder.enable_http1().wrap_connector(tcp.clone());
        let connector = ProxyConnector::new(tcp, to_proxy, Arc::clone(&self.rules));
        let builder = HttpsConnectorBuilder::new().with_tls_config(to_host).https_or_http();
        Ok(Timed::new(builder.enable_http1().enable_http2().wrap_connector(connector)))
    }
}

/// Finds out what a failed request means.
fn explain(failure: hyper_util::client::legacy::Error, host: &str) -> Error {
    let host = host.to_owned();
    if let Some(tls) = find_tls(&failure) {
        let mut why = tls.to_string();
        use rustls::CertificateError::{BadSignature, UnknownIssuer};
        if matches!(tls, rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature)) {
            why = format!("{why}; put the CA that signed its certificate into certs.d/{host}/ca.crt");
        }
        return Error::Tls { host, why };
    }
    match failure.is_connect() {
        true => Error::Connect { host, source: failure.into() },
        false => Error::Broken { host, source: failure.into() },
    }
}

/// Looks for an error of rustls among the sources; tokio hides it inside an `io::Error`, which skips it as a source.
fn find_tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        next = match inner {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_errors_are_found_through_io_errors() {
        let inner = io::Error::other(rustls::Error::HandshakeNotComplete);
        let outer = io::Error::other(inner);
        assert!(find_tls(&outer).is_some());
        assert!(find_tls(&io::Error::other("x")).is_none());
    }
}
