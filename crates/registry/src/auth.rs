//! Who we are to a registry: basic credentials, or bearer tokens of a token server, kept until they expire.
//!
//! Docker's token authentication (distribution: docs/spec/auth, "token" and "oauth"). Nothing is asked ahead: the
//! first request to a repository goes out bare, and the challenge of its answer says what is wanted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Uri};
use serde::Deserialize;

use crate::answer::{Asked, refusal};
use crate::body::read_limited;
use crate::challenge::{self, Challenge};
use crate::credentials::{self, Credential};
use crate::endpoint::{Endpoint, is_loopback};
use crate::exchange::{Call, follow};
use crate::transport::{Transport, Trust};
use crate::url::{form, with_query};
use crate::{Error, Settings};

/// The largest answer of a token server, in bytes.
const MAX_TOKEN_ANSWER: u64 = 1 << 20;
/// What a token lasts at least; docker's clients take smaller values for this too.
const MIN_LIFETIME: Duration = Duration::from_secs(60);
/// A token is not used in its last seconds: it must still hold when it arrives.
const MARGIN: Duration = Duration::from_secs(10);

/// What is known about whom to be where.
pub(crate) struct Auth {
    settings: Arc<Settings>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By `host/repository`.
    schemes: HashMap<String, Scheme>,
    /// By `registry/repository`; `None` where there are none.
    credentials: HashMap<String, Option<Credential>>,
    tokens: HashMap<TokenKey, Slot>,
}

/// Locked while a token is fetched, so that several threads do not fetch the same one.
type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// What a registry wants.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    registry: String,
    realm: String,
    service: Option<String>,
    scopes: Vec<String>,
}

#[derive(Clone)]
struct Token {
    value: String,
    until: Instant,
}

/// An `Authorization` header, and how it was come by.
pub(crate) struct Grant {
    pub(crate) header: HeaderValue,
    /// Whether credentials stand behind it.
    pub(crate) known: bool,
    /// The cached token it came from.
    token: Option<TokenKey>,
    /// Whether it was fetched just now.
    fresh: bool,
}

impl Auth {
    pub(crate) fn new(settings: Arc<Settings>) -> Auth {
        Auth { settings, state: Mutex::default() }
    }

    /// Uses `credential` for an endpoint instead of looking for one.
    pub(crate) fn assume(&self, endpoint: &Endpoint, credential: Credential) {
        self.state().credentials.insert(credentials_key(endpoint), Some(credential));
    }

    /// Returns the header for a request, or `None` where nothing is wanted as far as is known.
    pub(crate) async fn grant(
        &self,
        transport: &Transport,
        trust: &Trust,
        endpoint: &Endpoint,
        helpers: &[String],
        scopes: &[String],
    ) -> Result<Option<Grant>, Error> {
        let Some(scheme) = self.state().schemes.get(&scheme_key(endpoint)).cloned() else { return Ok(None) };
        let credential = self.credential(endpoint, helpers)?;
        let known = credential.is_some();
        match (scheme, credential) {
            (_, Some(Credential::Bearer(token))) => {
                grant(format!("Bearer {token}"), known, None, true).map(Some)
            }
            (Scheme::Basic, Some(Credential::Basic { user, password })) => {
                grant(basic(&user, &password), known, None, true).map(Some)
            }
            // Nothing that could be sent: the request goes out bare and its refusal is the answer.
            (Scheme::Basic, _) => Ok(None),
            (Scheme::Bearer { realm, service }, credential) => {
                let key = TokenKey {
                    registry: endpoint.registry().to_owned(),
                    realm,
                    service,
                    scopes: scopes.to_vec(),
                };
                let (token, fresh) =
                    self.token(transport, trust, endpoint, &key, credential.as_ref()).await?;
                grant(format!("Bearer {token}"), known, Some(key), fresh).map(Some)
            }
        }
    }

    /// Learns from a 401. Tells whether another attempt makes sense; `scopes` may have grown. `first` says that it
    /// was the first attempt: without a grant a second one makes sense even if another thread learned it all before.
    pub(crate) async fn refused(
        &self,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        grant: Option<&Grant>,
        scopes: &mut Vec<String>,
        first: bool,
    ) -> bool {
        let Some((scheme, challenge)) = choose(headers) else { return false };
        let old = self.state().schemes.insert(scheme_key(endpoint), scheme.clone());
        let Some(grant) = grant else { return first };
        if let Some(key) = &grant.token {
            self.forget(key, &grant.header).await;
        }
        if old.as_ref() != Some(&scheme) || !grant.fresh {
            return true;
        }
        // A registry may name scopes of its own, but what it already got in vain is not tried again.
        let wanted = challenge.get("scope").unwrap_or_default().split(' ').filter(|scope| !scope.is_empty());
        let more: Vec<String> =
            wanted.filter(|scope| !scopes.iter().any(|old| old == scope)).map(str::to_owned).collect();
        scopes.extend(more.iter().cloned());
        grant.token.is_some() && !more.is_empty()
    }

    /// Drops a token from the cache, unless another thread has already replaced it.
    async fn forget(&self, key: &TokenKey, header: &HeaderValue) {
        let slot = self.slot(key);
        let mut token = slot.lock().await;
        let same = |token: &Token| header.as_bytes().strip_prefix(b"Bearer ") == Some(token.value.as_bytes());
        if token.as_ref().is_some_and(same) {
            *token = None;
        }
    }

    /// Returns a token, and whether it was fetched just now.
    async fn token(
        &self,
        transport: &Transport,
        trust: &Trust,
        endpoint: &Endpoint,
        key: &TokenKey,
        credential: Option<&Credential>,
    ) -> Result<(String, bool), Error> {
        let slot = self.slot(key);
        let mut cached = slot.lock().await;
        if let Some(token) = cached.as_ref().filter(|token| Instant::now() + MARGIN < token.until) {
            return Ok((token.value.clone(), false));
        }
        let token = fetch(transport, trust, endpoint, key, credential).await?;
        *cached = Some(token.clone());
        Ok((token.value, true))
    }

    fn credential(&self, endpoint: &Endpoint, helpers: &[String]) -> Result<Option<Credential>, Error> {
        let key = credentials_key(endpoint);
        if let Some(known) = self.state().credentials.get(&key) {
            return Ok(known.clone());
        }
        // Not under the lock: a helper may take its time. Two threads asking at once do no harm.
        let repository = endpoint.reference.repository();
        let found = credentials::find(&self.settings, helpers, endpoint.registry(), repository)?;
        self.state().credentials.insert(key, found.clone());
        Ok(found)
    }

    fn slot(&self, key: &TokenKey) -> Slot {
        Arc::clone(self.state().tokens.entry(key.clone()).or_default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scheme_key(endpoint: &Endpoint) -> String {
    format!("{}/{}", endpoint.host(), endpoint.reference.repository())
}

fn credentials_key(endpoint: &Endpoint) -> String {
    format!("{}/{}", endpoint.registry(), endpoint.reference.repository())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn grant(header: String, known: bool, token: Option<TokenKey>, fresh: bool) -> Result<Grant, Error> {
    let mut header = HeaderValue::from_str(&header).map_err(|_| Error::Protocol {
        host: token.as_ref().map(|key| key.realm.clone()).unwrap_or_default(),
        why: "the token has characters that no header may have".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(Grant { header, known, token, fresh })
}

/// Picks the challenge to answer: bearer before basic, because a token can do less harm than a password.
fn choose(headers: &HeaderMap) -> Option<(Scheme, Challenge)> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let challenges: Vec<Challenge> = values.flat_map(challenge::parse).collect();
    let find = |name: &str| challenges.iter().find(|challenge| challenge.scheme == name);
    if let Some(challenge) = find("bearer")
        && let Some(realm) = challenge.get("realm")
    {
        let service = challenge.get("service").map(str::to_owned);
        return Some((Scheme::Bearer { realm: realm.to_owned(), service }, challenge.clone()));
    }
    find("basic").map(|challenge| (Scheme::Basic, challenge.clone()))
}

/// Asks the token server.
async fn fetch(
    transport: &Transport,
    trust: &Trust,
    endpoint: &Endpoint,
    key: &TokenKey,
    credential: Option<&Credential>,
) -> Result<Token, Error> {
    let broken = |why: &str| Error::Protocol { host: endpoint.host().to_owned(), why: why.to_owned() };
    let realm: Uri = key.realm.parse().map_err(|_| broken("its token realm is not a URL"))?;
    let host =
        realm.authority().map(ToString::to_string).ok_or_else(|| broken("its token realm is not a URL"))?;
    // A registry on this machine needs no certificate; a token server elsewhere does, if nobody said otherwise.
    let elsewhere = (trust.insecure && !endpoint.insecure && host != endpoint.host())
        .then(|| transport.trust(&host, false));
    let trust = elsewhere.as_ref().unwrap_or(trust);
    let plain_is_fine = trust.insecure || credential.is_none() || is_loopback(&host);
    match realm.scheme_str() {
        Some("https") => {}
        Some("http") if plain_is_fine => {}
        Some("http") => return Err(broken("it wants credentials sent to a token server without TLS")),
        _ => return Err(broken("its token realm is neither https nor http")),
    }
    let (mut call, uri, authorization) = question(key, credential, &realm)?;
    let answer = follow(transport, trust, &mut call, uri, authorization.as_ref()).await?;
    if !answer.response.status().is_success() {
        let asked = Asked {
            registry: endpoint.registry(),
            host: &host,
            what: &key.scopes.join(" "),
            known: credential.is_some(),
        };
        return Err(refusal(answer.response, asked).await);
    }
    let body = read_limited(answer.response.into_body(), MAX_TOKEN_ANSWER, &host).await?;
    let parsed: TokenAnswer = serde_json::from_slice(&body)
        .map_err(|_| Error::Protocol { host: host.clone(), why: "its token is not JSON".to_owned() })?;
    let value = parsed.token.or(parsed.access_token).filter(|token| !token.is_empty());
    let value = value.ok_or_else(|| Error::Protocol { host, why: "it gave no token".to_owned() })?;
    let lifetime = Duration::from_secs(parsed.expires_in.unwrap_or(0)).max(MIN_LIFETIME);
    // A lifetime of centuries must not overflow the clock.
    let until = Instant::now() + lifetime.min(Duration::from_secs(86_400));
    Ok(Token { value, until })
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Makes the request for a token: GET with basic credentials or none, POST with an identity token.
fn question(
    key: &TokenKey,
    credential: Option<&Credential>,
    realm: &Uri,
) -> Result<(Call, Uri, Option<HeaderValue>), Error> {
    let service = key.service.as_deref();
    if let Some(Credential::Identity(token)) = credential {
        let scope = key.scopes.join(" ");
        let mut fields = vec![
            ("grant_type", "refresh_token"),
            ("service", service.unwrap_or_default()),
            ("client_id", "jettison"),
            ("refresh_token", token),
        ];
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        let mut call = Call::new(Method::POST, String::new());
        call.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
        call.set_body(Bytes::from(form(&fields)));
        return Ok((call, realm.clone(), None));
    }
    let mut parameters: Vec<(&str, &str)> = service.map(|service| ("service", service)).into_iter().collect();
    parameters.extend(key.scopes.iter().map(|scope| ("scope", scope.as_str())));
    let mut authorization = None;
    if let Some(Credential::Basic { user, password }) = credential {
        parameters.push(("account", user));
        authorization = HeaderValue::from_str(&basic(user, password)).ok();
    }
    let url = with_query(&realm.to_string(), &parameters);
    let uri = url.parse().map_err(|_| Error::Protocol {
        host: realm.host().unwrap_or_default().to_owned(),
        why: "its token realm is not a URL".to_owned(),
    })?;
    Ok((Call::new(Method::GET, String::new()), uri, authorization))
}
