//! Blobs that go: not at all if they are there, mounted if they are next door, else in one PUT or in pieces.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use hyper::{Method, StatusCode, Uri};
use jettison_image::{Descriptor, Reference};

use crate::body::{SendBody, Upload};
use crate::endpoint::Endpoint;
use crate::exchange::{Answer, Call, Session};
use crate::retry::Backoff;
use crate::url::{percent_encode, resolve, with_query};
use crate::{Cancel, Error, scope};

/// How many bytes go to the network at a time.
const PIECE: usize = 128 << 10;
/// How many bytes go in one PATCH, where one PUT of all is refused.
const CHUNK: u64 = 16 << 20;
/// After so many failures of one PUT, pieces are tried: a proxy on the way may cut large requests.
const WHOLE_FAILURES: u32 = 2;

/// How a blob came to be in its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Existed,
    /// It was taken from another repository of the same registry.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// Opens the bytes of a blob from the start; called once an attempt.
pub type OpenBlob<'a> = dyn Fn() -> io::Result<Box<dyn Read + Send>> + 'a;

/// Puts a blob into a repository.
pub(crate) async fn push(
    session: &Session,
    reference: &Reference,
    blob: &Descriptor,
    open: &OpenBlob<'_>,
    mount_from: Option<&str>,
    progress: &dyn Fn(u64),
    cancel: &Cancel,
) -> Result<Pushed, Error> {
    let endpoint = session.conf.push_endpoint(reference)?;
    let _slot = session.slot(&endpoint).await;
    let mut mount = mount_from.and_then(|repository| mount_source(session, reference, &endpoint, repository));
    let mut backoff = Backoff::new(true);
    let mut whole = true;
    let mut failures = 0;
    loop {
        let push =
            Push { session, endpoint: &endpoint, blob, open, progress, cancel, mount: mount.as_deref() };
        match push.attempt(whole).await {
            Ok(pushed) => {
                progress(blob.size);
                return Ok(pushed);
            }
            // Whoever may not read the other repository may still write to this one.
            Err(Error::Unauthorized { .. } | Error::Denied { .. }) if mount.is_some() => mount = None,
            Err(error) if whole && refuses_whole(&error) => whole = false,
            Err(error) => {
                backoff.pause(error).await?;
                failures += 1;
                whole &= failures < WHOLE_FAILURES;
            }
        }
    }
}

/// Finds the repository to mount from at the endpoint's own host.
fn mount_source(
    session: &Session,
    reference: &Reference,
    endpoint: &Endpoint,
    repository: &str,
) -> Option<String> {
    let other = Reference::parse_untagged(&format!("{}/{repository}", reference.registry())).ok()?;
    let other = session.conf.push_endpoint(&other).ok()?;
    let next_door =
        other.host() == endpoint.host() && other.reference.repository() != endpoint.reference.repository();
    next_door.then(|| other.reference.repository().to_owned())
}

/// Tells whether a registry answered that it does not take a blob in one request.
fn refuses_whole(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. } | Error::Status { status: 400 | 405 | 411 | 413 | 415 | 416 | 501, .. }
    )
}

/// One attempt at a push.
struct Push<'a> {
    session: &'a Session,
    endpoint: &'a Endpoint,
    blob: &'a Descriptor,
    open: &'a OpenBlob<'a>,
    progress: &'a dyn Fn(u64),
    cancel: &'a Cancel,
    mount: Option<&'a str>,
}

/// Where a session of an upload goes on.
struct UploadSession {
    location: Uri,
    /// The smallest chunk that the registry takes, but for the last.
    min_chunk: u64,
}

impl Push<'_> {
    async fn attempt(&self, whole: bool) -> Result<Pushed, Error> {
        if self.exists().await? {
            return Ok(Pushed::Existed);
        }
        let Some(upload) = self.begin().await? else { return Ok(Pushed::Mounted) };
        let source = (self.open)().map_err(|source| self.blob_error(source))?;
        match whole {
            true => self.put_whole(upload, source).await?,
            false => self.put_chunks(upload, source).await?,
        }
        Ok(Pushed::Uploaded)
    }

    async fn exists(&self) -> Result<bool, Error> {
        let answer = self.send(self.call(Method::HEAD, &format!("blobs/{}", self.blob.digest))).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refusal(answer).await),
        }
    }

    /// Opens an upload, or finds that a mount has done it all.
    async fn begin(&self) -> Result<Option<UploadSession>, Error> {
        if let Some(repository) = self.mount {
            let (digest, from) = (self.blob.digest, percent_encode(repository));
            let call = self.call(Method::POST, &format!("blobs/uploads/?mount={digest}&from={from}"));
            let answer = self.send(call).await?;
            match answer.status() {
                StatusCode::CREATED => return Ok(None),
                // The registry would rather have the bytes: OCI distribution spec, "Mounting a blob".
                StatusCode::ACCEPTED => return self.session_of(&answer).map(Some),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.refusal(answer).await),
                // It does not know mounts: open an upload as usual.
                _ => {}
            }
        }
        let answer = self.send(self.call(Method::POST, "blobs/uploads/")).await?;
        match answer.status() {
            StatusCode::ACCEPTED => self.session_of(&answer).map(Some),
            _ => Err(self.refusal(answer).await),
        }
    }

    fn session_of(&self, answer: &Answer) -> Result<UploadSession, Error> {
        let broken = |why: &str| Error::Protocol { host: answer.host(), why: why.to_owned() };
        let location =
            self.location(answer).ok_or_else(|| broken("it opened an upload without a usable Location"))?;
        let min_chunk =
            answer.header("oci-chunk-min-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Ok(UploadSession { location, min_chunk })
    }

    /// Where the answer says to go on. Behind a proxy registries mistake their own scheme; at the same host ours counts.
    fn location(&self, answer: &Answer) -> Option<Uri> {
        let next = resolve(&answer.uri, answer.header("location")?)?;
        if next.authority() != answer.uri.authority() {
            return Some(next);
        }
        let mut parts = next.into_parts();
        parts.scheme = answer.uri.scheme().cloned();
        Uri::from_parts(parts).ok()
    }

    /// Sends all bytes with the request that ends the upload.
    async fn put_whole(&self, upload: UploadSession, mut source: Box<dyn Read + Send>) -> Result<(), Error> {
        let call = self.call_at(Method::PUT, self.end_of(&upload.location)?);
        let answer = self.send_stream(call, source.as_mut(), 0, self.blob.size).await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(self.refusal(answer).await),
        }
    }

    /// Sends the bytes in requests of bounded size, then ends the upload.
    async fn put_chunks(&self, upload: UploadSession, mut source: Box<dyn Read + Send>) -> Result<(), Error> {
        let mut location = upload.location;
        let mut at = 0;
        while at < self.blob.size {
            let length = CHUNK.max(upload.min_chunk).min(self.blob.size - at);
            let call = self.call_at(Method::PATCH, location.clone());
            let call = call.header(CONTENT_RANGE, &format!("{at}-{}", at + length - 1));
            let answer = self.send_stream(call, source.as_mut(), at, length).await?;
            if !answer.status().is_success() {
                return Err(self.refusal(answer).await);
            }
            location = self.location(&answer).unwrap_or(location);
            at += length;
        }
        let call = self.call_at(Method::PUT, self.end_of(&location)?).header(CONTENT_LENGTH, "0");
        let answer = self.send(call).await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(self.refusal(answer).await),
        }
    }

    /// The URL that ends an upload.
    fn end_of(&self, location: &Uri) -> Result<Uri, Error> {
        let url = with_query(&location.to_string(), &[("digest", &self.blob.digest.to_string())]);
        url.parse().map_err(|_| Error::Protocol {
            host: self.endpoint.host().to_owned(),
            why: "its upload location is not a URL".to_owned(),
        })
    }

    fn call(&self, method: Method, rest: &str) -> Call {
        // One token for the whole push: what it takes to mount is asked for together with the rest.
        let mut scopes = vec![scope::push(self.endpoint)];
        scopes.extend(self.mount.map(scope::mount));
        Call::new(method, self.endpoint.path(rest)).scopes(&scopes)
    }

    fn call_at(&self, method: Method, url: Uri) -> Call {
        Call { url: Some(url), ..self.call(method, "") }.header(CONTENT_TYPE, "application/octet-stream")
    }

    async fn send(&self, call: Call) -> Result<Answer, Error> {
        self.session.send(self.endpoint, call).await
    }

    /// Sends `length` bytes of the source, which begin `at` bytes into the blob, as the body of a call.
    async fn send_stream(
        &self,
        mut call: Call,
        source: &mut (dyn Read + Send),
        at: u64,
        length: u64,
    ) -> Result<Answer, Error> {
        let taken = Arc::new(AtomicU64::new(0));
        let (body, upload) = SendBody::stream(length, Arc::clone(&taken));
        call.set_stream(body, taken);
        let mut call = pin!(self.send(call.header(CONTENT_LENGTH, &length.to_string())));
        let mut feed = pin!(self.feed(upload, source, at, length));
        let mut fed = false;
        // Both at once, on this thread. An answer that comes before the last byte ends it.
        poll_fn(|context| {
            if !fed && let Poll::Ready(result) = feed.as_mut().poll(context) {
                fed = true;
                if let Err(error) = result {
                    return Poll::Ready(Err(error));
                }
            }
            call.as_mut().poll(context)
        })
        .await
    }

    /// Reads the source into the body, as fast as the network takes it.
    async fn feed(&self, upload: Upload, source: &mut dyn Read, at: u64, length: u64) -> Result<(), Error> {
        let mut sent = 0;
        while sent < length {
            self.cancel.check()?;
            let want = usize::try_from(length - sent).unwrap_or(PIECE).min(PIECE);
            let piece = read_piece(source, want).map_err(|source| self.blob_error(source))?;
            if piece.is_empty() {
                let why = format!("it has {} bytes, its descriptor says {}", at + sent, self.blob.size);
                return Err(Error::Source { digest: self.blob.digest, why });
            }
            sent += piece.len() as u64;
            if upload.pieces.send(Ok(piece)).await.is_err() {
                // The request is over; its answer says why.
                return Ok(());
            }
            (self.progress)(at + sent);
        }
        Ok(())
    }

    fn blob_error(&self, source: io::Error) -> Error {
        Error::Blob { digest: self.blob.digest, source }
    }

    async fn refusal(&self, answer: Answer) -> Error {
        let what = format!(
            "{}/{}@{}",
            self.endpoint.registry(),
            self.endpoint.reference.repository(),
            self.blob.digest
        );
        answer.refusal(self.endpoint, &what).await
    }
}

/// Reads until `want` bytes are there or the source ends.
fn read_piece(source: &mut dyn Read, want: usize) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(want);
    source.take(want as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}
