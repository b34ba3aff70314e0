//! Files of web servers that are no registries: fetched by URL, and asked for again only if they have changed.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{ACCEPT_ENCODING, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use hyper::{Method, StatusCode, Uri};

use crate::answer::{message, retry_after};
use crate::body::{next_piece, read_limited};
use crate::exchange::{Answer, Call, Session};
use crate::retry::retrying;
use crate::url::percent_decode;
use crate::{BlobSink, Cancel, Error, http_date};

/// The most of an error's body that is read, in bytes.
const MAX_ERROR_BODY: u64 = 64 << 10;

/// A file to fetch.
#[derive(Debug, Clone, Copy)]
pub struct WebFile<'a> {
    /// Its URL, of `http` or `https`; a user and password in it are used for basic authentication.
    pub url: &'a str,
    /// The `Authorization` header; only the host of the URL sees it, not one that it redirects to.
    pub authorization: Option<&'a str>,
    /// What an earlier answer said: the file is not fetched again if it is still so.
    pub known: Option<&'a Version>,
    /// The caller knows what the bytes must be, so that they may come over plain HTTP after a redirect.
    pub verified: bool,
}

/// What a web server says of the version of a file that it sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// `ETag`
    pub etag: Option<String>,
    /// `Last-Modified`, as it stands there.
    pub last_modified: Option<String>,
    /// `Last-Modified`, in seconds since 1970.
    pub modified: Option<i64>,
    /// Whether the file was old enough when it was sent for that time to tell it from a later one of the same second
    /// (RFC 9110, section 8.8.2.2).
    pub settled: bool,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The file is still the one that was known.
    Unchanged,
    /// Here it is.
    New(Version),
}

/// Fetches a file into `sink`, from its start.
pub(crate) async fn fetch(
    session: &Session,
    file: WebFile<'_>,
    sink: &mut dyn BlobSink,
    progress: &dyn Fn(u64, Option<u64>),
    cancel: &Cancel,
) -> Result<Fetched, Error> {
    let (uri, user) = without_user(file.url)?;
    let authorization = file.authorization.map(str::to_owned).or(user);
    let authorization = authorization.map(|text| secret_header(&text, &uri)).transpose()?;
    retrying(true, async || {
        let mut call = Call::new(Method::GET, String::new()).header(ACCEPT_ENCODING, "identity");
        call.verified = file.verified;
        if let Some((name, value)) = file.known.and_then(condition) {
            call = call.header(name, value);
        }
        let answer = session.get(uri.clone(), call, authorization.as_ref()).await?;
        match answer.status() {
            StatusCode::NOT_MODIFIED if file.known.is_some() => return Ok(Fetched::Unchanged),
            StatusCode::OK => {}
            _ => return Err(refusal(answer, &uri).await),
        }
        let version = Version::of(&answer);
        // Some servers know the versions of their files, but not the question for them.
        if file.known.is_some_and(|known| known.etag.is_some() && known.etag == version.etag) {
            return Ok(Fetched::Unchanged);
        }
        receive(answer, sink, progress, cancel).await?;
        Ok(Fetched::New(version))
    })
    .await
}

/// The header that asks for nothing but news. A time is asked for only where it tells versions apart.
fn condition(known: &Version) -> Option<(hyper::header::HeaderName, &str)> {
    match (&known.etag, &known.last_modified) {
        (Some(etag), _) => Some((IF_NONE_MATCH, etag)),
        (None, Some(time)) if known.settled => Some((IF_MODIFIED_SINCE, time)),
        _ => None,
    }
}

async fn receive(
    answer: Answer,
    sink: &mut dyn BlobSink,
    progress: &dyn Fn(u64, Option<u64>),
    cancel: &Cancel,
) -> Result<(), Error> {
    let host = answer.host();
    let failed = |source: io::Error| Error::Sink { source };
    let total = answer.header("content-length").and_then(|length| length.parse().ok());
    sink.restart().map_err(failed)?;
    let mut body = answer.response.into_body();
    let mut done = 0;
    progress(0, total);
    while let Some(piece) = next_piece(&mut body, &host).await? {
        cancel.check()?;
        sink.write(&piece).map_err(failed)?;
        done += piece.len() as u64;
        progress(done, total);
    }
    Ok(())
}

impl Version {
    fn of(answer: &Answer) -> Version {
        let text = |name: &str| answer.header(name).map(str::to_owned);
        let last_modified = text("last-modified");
        let modified = last_modified.as_deref().and_then(http_date::parse);
        let sent = answer.header("date").and_then(http_date::parse);
        let settled = modified.zip(sent).is_some_and(|(modified, sent)| modified < sent);
        Version { etag: text("etag"), last_modified, modified, settled }
    }
}

/// Turns an answer that brings no file into the error it is. `jettison login` is of no use here.
async fn refusal(answer: Answer, uri: &Uri) -> Error {
    let (host, status) = (answer.host(), answer.status().as_u16());
    let retry_after = retry_after(answer.response.headers());
    let body = read_limited(answer.response.into_body(), MAX_ERROR_BODY, &host).await.unwrap_or_default();
    Error::Status { host, what: uri.to_string(), status, message: message(&body), retry_after }
}

/// Takes user and password out of a URL, as the header that they stand for.
fn without_user(url: &str) -> Result<(Uri, Option<String>), Error> {
    let bad = |why: &str| Error::Protocol { host: String::new(), why: why.to_owned() };
    let url = url.split('#').next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("the URL has no scheme"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let text: String = format!("{scheme}://{host}{slash}{path}").chars().map(escaped).collect();
    let uri: Uri = text.parse().map_err(|_| bad("the URL cannot be understood"))?;
    let user = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let pair = format!("{}:{}", percent_decode(name), percent_decode(password));
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    });
    Ok((uri, user))
}

/// What stands in URLs that people write, but not in those that are sent.
fn escaped(c: char) -> String {
    match c {
        ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => format!("%{:02X}", u32::from(c)),
        c if c.is_ascii() => c.to_string(),
        c => c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
    }
}

fn secret_header(text: &str, uri: &Uri) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text.trim_end()).map_err(|_| Error::Protocol {
        host: uri.host().unwrap_or_default().to_owned(),
        why: "the authorization for it is no text of one line".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_leave_the_url() {
        let (uri, user) = without_user("https://me:p%40ss@example.com:1/a b?q=ä#x").unwrap();
        assert_eq!(uri.to_string(), "https://example.com:1/a%20b?q=%C3%A4");
        assert_eq!(user, Some(format!("Basic {}", BASE64_STANDARD.encode("me:p@ss"))));
        assert_eq!(without_user("http://example.com?q=1").unwrap().0.to_string(), "http://example.com/?q=1");
        assert!(without_user("http:///a").is_err());
    }

    #[test]
    fn only_settled_times_tell_versions_apart() {
        let time = Version { last_modified: Some("t".into()), ..Version::default() };
        assert_eq!(condition(&time), None);
        assert_eq!(condition(&Version { settled: true, ..time.clone() }), Some((IF_MODIFIED_SINCE, "t")));
        let tagged = Version { etag: Some("\"e\"".into()), ..time };
        assert_eq!(condition(&tagged), Some((IF_NONE_MATCH, "\"e\"")));
    }
}
