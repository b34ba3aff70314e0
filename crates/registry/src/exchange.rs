//! A call to an endpoint: scheme, authorization and redirects until there is an answer.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::{Asked, refusal};
use crate::auth::Auth;
use crate::body::SendBody;
use crate::endpoint::Endpoint;
use crate::registries_conf::RegistriesConf;
use crate::transport::{Outgoing, Transport, Trust};
use crate::url::{resolve, same_origin};
use crate::{Error, Settings};

/// The most redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// The most rounds of refusal and new authorization of one request.
const MAX_ROUNDS: usize = 4;
/// How many blobs move between us and one host at a time.
const TRANSFERS_PER_HOST: usize = 6;

/// All that the calls of one client share.
pub(crate) struct Session {
    pub(crate) conf: RegistriesConf,
    pub(crate) auth: Auth,
    transport: Transport,
    /// The scheme that worked, by host and whether it was insecure.
    schemes: Mutex<HashMap<(String, bool), &'static str>>,
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A request to an endpoint.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// Where an upload goes on, instead of the path.
    pub(crate) url: Option<Uri>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What a token must allow.
    pub(crate) scopes: Vec<String>,
    /// The digest of the answer is known, so that it may come over plain HTTP after a redirect.
    pub(crate) verified: bool,
    pub(crate) body: Payload,
}

pub(crate) enum Payload {
    /// Can be sent again.
    Bytes(Bytes),
    /// Can be sent once.
    Stream(Option<(SendBody, Arc<AtomicU64>)>),
}

/// The head of an answer, its body still to be read.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    /// Where it came from, after redirects.
    pub(crate) uri: Uri,
    /// Whether another host than the endpoint's gave it.
    elsewhere: bool,
    /// Whether credentials were used.
    known: bool,
}

impl Call {
    pub(crate) fn new(method: Method, path: String) -> Call {
        Call {
            method,
            path,
            url: None,
            headers: Vec::new(),
            scopes: Vec::new(),
            verified: false,
            body: Payload::Bytes(Bytes::new()),
        }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Call {
        // Values are media types, ranges and numbers of our own making; one that is none is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Names what a token must allow.
    pub(crate) fn scopes(mut self, scopes: &[String]) -> Call {
        self.scopes = scopes.to_vec();
        self
    }

    /// Gives it a body that can be sent again.
    pub(crate) fn set_body(&mut self, bytes: Bytes) {
        self.body = Payload::Bytes(bytes);
    }

    /// Gives it a body that can be sent once.
    pub(crate) fn set_stream(&mut self, body: SendBody, taken: Arc<AtomicU64>) {
        self.body = Payload::Stream(Some((body, taken)));
    }

    fn take_body(&mut self) -> Option<(SendBody, Option<Arc<AtomicU64>>)> {
        match &mut self.body {
            Payload::Bytes(bytes) => Some((SendBody::Full(Some(bytes.clone())), None)),
            Payload::Stream(stream) => stream.take().map(|(body, taken)| (body, Some(taken))),
        }
    }

    fn is_spent(&self) -> bool {
        matches!(self.body, Payload::Stream(None))
    }
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns a header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The host that gave it.
    pub(crate) fn host(&self) -> String {
        self.uri.authority().map(ToString::to_string).unwrap_or_default()
    }

    /// Turns it into the error it is.
    pub(crate) async fn refusal(self, endpoint: &Endpoint, what: &str) -> Error {
        let host = self.host();
        // A storage host that refuses a signed URL does not want to be logged in to.
        let registry = if self.elsewhere { &host } else { endpoint.registry() };
        refusal(self.response, Asked { registry, host: &host, what, known: self.known }).await
    }
}

impl Session {
    /// Reads `registries.conf` and the proxies of `settings`.
    pub(crate) fn new(settings: &Arc<Settings>) -> Result<Session, Error> {
        Ok(Session {
            conf: RegistriesConf::load(settings)?,
            auth: Auth::new(Arc::clone(settings)),
            transport: Transport::new(Arc::clone(settings))?,
            schemes: Mutex::default(),
            slots: Mutex::default(),
        })
    }

    /// Waits until one more blob may move between us and the endpoint's host.
    pub(crate) async fn slot(&self, endpoint: &Endpoint) -> Option<OwnedSemaphorePermit> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = slots.entry(endpoint.host().to_owned());
            Arc::clone(slot.or_insert_with(|| Arc::new(Semaphore::new(TRANSFERS_PER_HOST))))
        };
        // It fails only if somebody closes the semaphore; nobody does.
        slot.acquire_owned().await.ok()
    }

    /// Makes a call and returns the answer, whatever its status.
    pub(crate) async fn send(&self, endpoint: &Endpoint, mut call: Call) -> Result<Answer, Error> {
        let host = endpoint.host();
        let trust = self.transport.trust(host, endpoint.insecure);
        if let Some(uri) = call.url.take() {
            // An upload may go on at another host, which has its own ways of knowing us.
            let ours = uri.authority().is_some_and(|authority| authority.as_str() == host);
            return match ours {
                true => self.authorized(endpoint, &trust, uri, &mut call).await,
                false => follow(&self.transport, &trust, &mut call, uri, None).await,
            };
        }
        let schemes = self.schemes(host, &trust);
        for (at, scheme) in schemes.iter().enumerate() {
            let uri = format!("{scheme}://{host}{}", call.path);
            let uri: Uri = uri.parse().map_err(|_| Error::Protocol {
                host: host.to_owned(),
                why: format!("\"{uri}\" is not a URL"),
            })?;
            match self.authorized(endpoint, &trust, uri, &mut call).await {
                Err(error) if error.is_connect() && at + 1 < schemes.len() && !call.is_spent() => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    let key = (host.to_owned(), trust.insecure);
                    self.schemes.lock().unwrap_or_else(PoisonError::into_inner).insert(key, scheme);
                    return Ok(answer);
                }
            }
        }
        Err(Error::Protocol { host: host.to_owned(), why: "no scheme is left to try".to_owned() })
    }

    /// Asks a web server that is no registry for `uri`.
    pub(crate) async fn get(
        &self,
        uri: Uri,
        mut call: Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let trust = self.transport.web_trust(&host);
        follow(&self.transport, &trust, &mut call, uri, authorization).await
    }

    /// The schemes to try: the one that worked before, else TLS, and for insecure registries plain HTTP after it.
    fn schemes(&self, host: &str, trust: &Trust) -> Vec<&'static str> {
        let known = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&(host.to_owned(), trust.insecure)) {
            Some(scheme) => vec![scheme],
            None if trust.insecure => vec!["https", "http"],
            None => vec!["https"],
        }
    }

    /// Sends a call with what authorization is known, and again with what its refusal teaches.
    async fn authorized(
        &self,
        endpoint: &Endpoint,
        trust: &Trust,
        uri: Uri,
        call: &mut Call,
    ) -> Result<Answer, Error> {
        let helpers = &self.conf.credential_helpers;
        let mut scopes = call.scopes.clone();
        let mut round = 0;
        loop {
            let grant = self.auth.grant(&self.transport, trust, endpoint, helpers, &scopes).await?;
            let header = grant.as_ref().map(|grant| &grant.header);
            let mut answer = follow(&self.transport, trust, call, uri.clone(), header).await?;
            answer.known = grant.as_ref().is_some_and(|grant| grant.known);
            round += 1;
            if answer.status() != StatusCode::UNAUTHORIZED || answer.elsewhere || round == MAX_ROUNDS {
                return Ok(answer);
            }
            let headers = answer.response.headers();
            if !self.auth.refused(endpoint, headers, grant.as_ref(), &mut scopes, round == 1).await {
                return Ok(answer);
            }
            if call.is_spent() {
                let source = "its token ran out in the middle of an upload".into();
                return Err(Error::Broken { host: endpoint.host().to_owned(), source });
            }
        }
    }
}

/// Sends a call to `start` and wherever it is redirected to. Only the first host sees `authorization`.
pub(crate) async fn follow(
    transport: &Transport,
    trust: &Trust,
    call: &mut Call,
    start: Uri,
    authorization: Option<&HeaderValue>,
) -> Result<Answer, Error> {
    let mut uri = start.clone();
    let mut elsewhere = false;
    let broken = |uri: &Uri, why: &str| Error::Protocol {
        host: uri.authority().map(ToString::to_string).unwrap_or_default(),
        why: why.to_owned(),
    };
    for _ in 0..=MAX_REDIRECTS {
        let (body, taken) = call.take_body().ok_or_else(|| broken(&uri, "it redirected an upload"))?;
        let mut headers = call.headers.clone();
        if let Some(value) = authorization.filter(|_| !elsewhere) {
            headers.push((AUTHORIZATION, value.clone()));
        }
        let outgoing = Outgoing { method: call.method.clone(), uri: uri.clone(), headers, body, taken };
        let response = transport.send(trust, outgoing).await?;
        if !is_redirect(response.status(), &call.method) {
            return Ok(Answer { response, uri, elsewhere, known: false });
        }
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let next = location.and_then(|location| resolve(&uri, location));
        let next = next.ok_or_else(|| broken(&uri, "it redirected to no usable URL"))?;
        let downgrade = uri.scheme_str() == Some("https") && next.scheme_str() == Some("http");
        if downgrade && !trust.insecure && !call.verified {
            return Err(broken(&uri, "it redirected to plain HTTP"));
        }
        // Once away, credentials stay away, even if a redirect leads back.
        elsewhere |= !same_origin(&start, &next);
        uri = next;
    }
    Err(broken(&uri, "it redirected too often"))
}

fn is_redirect(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301..=303 => *method == Method::GET || *method == Method::HEAD,
        307 | 308 => true,
        _ => false,
    }
}
