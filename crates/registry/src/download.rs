//! Blobs that come: streamed to a sink, verified as they pass, resumed where they were cut.

use std::io;

use hyper::header::{ACCEPT_ENCODING, RANGE};
use hyper::{Method, StatusCode};
use jettison_image::{Descriptor, Digester, Reference};

use crate::body::next_piece;
use crate::endpoint::Endpoint;
use crate::exchange::{Answer, Call, Session};
use crate::retry::{Backoff, first_of};
use crate::{Cancel, Error, scope};

/// An attempt that brought this many bytes was worth it: attempts are counted anew.
const PROGRESS: u64 = 64 << 10;
/// How often one endpoint may make us start from the first byte.
const MAX_RESTARTS: u32 = 3;

/// Takes the bytes of a blob. What it keeps may come from earlier calls, or earlier processes.
pub trait BlobSink {
    /// Returns how many bytes are there already, and a digester that was fed exactly these. Called once, first.
    fn resume(&mut self) -> io::Result<(u64, Digester)>;
    /// Adds bytes at the end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Throws all bytes away: they were wrong, or the registry cannot go on where they end.
    fn restart(&mut self) -> io::Result<()>;
}

/// For blobs small enough for memory, such as configs. The caller has looked at the descriptor's size.
impl BlobSink for Vec<u8> {
    fn resume(&mut self) -> io::Result<(u64, Digester)> {
        let mut digester = Digester::new();
        digester.update(self);
        Ok((self.len() as u64, digester))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

/// Fetches a blob from the first endpoint that has it and whose bytes are right.
pub(crate) async fn fetch(
    session: &Session,
    reference: &Reference,
    blob: &Descriptor,
    sink: &mut dyn BlobSink,
    progress: &dyn Fn(u64),
    cancel: &Cancel,
) -> Result<(), Error> {
    let (at, digester) = sink.resume().map_err(|source| Error::Blob { digest: blob.digest, source })?;
    let mut download = Download { blob, sink, progress, cancel, at, digester, restarts: 0 };
    if at > blob.size || at == blob.size && download.verify("").is_err() {
        download.restart()?;
    }
    if download.at == blob.size && download.verify("").is_ok() {
        progress(download.at);
        return Ok(());
    }
    let endpoints = session.conf.pull_endpoints(reference)?;
    let what = format!("{}/{}@{}", reference.registry(), reference.repository(), blob.digest);
    first_of(&what, &endpoints, async |endpoint, last| download.from(session, endpoint, last, &what).await)
        .await
}

/// A blob on its way.
struct Download<'a> {
    blob: &'a Descriptor,
    sink: &'a mut dyn BlobSink,
    progress: &'a dyn Fn(u64),
    cancel: &'a Cancel,
    /// How many bytes the sink has.
    at: u64,
    /// Of these bytes.
    digester: Digester,
    /// How often the current endpoint made us start again.
    restarts: u32,
}

impl Download<'_> {
    /// Fetches what is missing from one endpoint, in as many attempts as it takes.
    async fn from(
        &mut self,
        session: &Session,
        endpoint: &Endpoint,
        last: bool,
        what: &str,
    ) -> Result<(), Error> {
        let _slot = session.slot(endpoint).await;
        self.restarts = 0;
        // Bytes that did not come in one piece from here may be the wrong ones: then a fresh start is worth it.
        let mut pieced = self.at > 0;
        let mut backoff = Backoff::new(last);
        loop {
            let before = self.at;
            let result = self.attempt(session, endpoint, what).await;
            let result = result.and_then(|()| self.verify(endpoint.host()));
            let Err(error) = result else { return Ok(()) };
            if matches!(error, Error::DigestMismatch { .. } | Error::SizeMismatch { .. }) {
                self.restart()?;
                if !pieced || self.restarts > MAX_RESTARTS {
                    return Err(error);
                }
                pieced = false;
                continue;
            }
            if self.at >= before.saturating_add(PROGRESS) {
                backoff.reset();
            }
            if self.restarts > MAX_RESTARTS {
                return Err(error);
            }
            pieced = self.at > 0;
            backoff.pause(error).await?;
        }
    }

    /// Asks once, from where we are.
    async fn attempt(&mut self, session: &Session, endpoint: &Endpoint, what: &str) -> Result<(), Error> {
        let path = endpoint.path(&format!("blobs/{}", self.blob.digest));
        let mut call =
            Call::new(Method::GET, path).header(ACCEPT_ENCODING, "identity").scopes(&[scope::pull(endpoint)]);
        call.verified = true;
        if self.at > 0 {
            call = call.header(RANGE, &format!("bytes={}-", self.at));
        }
        let answer = session.send(endpoint, call).await?;
        match answer.status() {
            StatusCode::OK if self.at == 0 => {}
            // It ignores Range, or goes on somewhere else than asked.
            StatusCode::OK => self.restart()?,
            StatusCode::PARTIAL_CONTENT if range_start(&answer) == Some(self.at) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if self.at > 0 => {
                self.restart()?;
                let source = "it cannot go on in the middle of a blob".into();
                return Err(Error::Broken { host: answer.host(), source });
            }
            _ => return Err(answer.refusal(endpoint, what).await),
        }
        self.refuse_wrong_length(&answer)?;
        self.receive(answer).await
    }

    /// Compares the announced length with the descriptor's, before anything is downloaded in vain.
    fn refuse_wrong_length(&self, answer: &Answer) -> Result<(), Error> {
        let announced = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
        let Some(total) = announced.map(|length| self.at.saturating_add(length)) else { return Ok(()) };
        match total == self.blob.size {
            true => Ok(()),
            false => Err(self.size_mismatch(&answer.host(), total)),
        }
    }

    async fn receive(&mut self, answer: Answer) -> Result<(), Error> {
        let host = answer.host();
        let mut body = answer.response.into_body();
        while let Some(piece) = next_piece(&mut body, &host).await? {
            self.cancel.check()?;
            let after = self.at + piece.len() as u64;
            if after > self.blob.size {
                return Err(self.size_mismatch(&host, after));
            }
            self.sink.write(&piece).map_err(|source| Error::Blob { digest: self.blob.digest, source })?;
            self.digester.update(&piece);
            self.at = after;
            (self.progress)(self.at);
        }
        match self.at == self.blob.size {
            true => Ok(()),
            false => Err(Error::Broken { host, source: "the blob ended early".into() }),
        }
    }

    /// Checks what is there, which is all of it.
    fn verify(&self, host: &str) -> Result<(), Error> {
        let actual = self.digester.clone().finish();
        match actual == self.blob.digest {
            true => Ok(()),
            false => Err(Error::DigestMismatch { host: host.to_owned(), expected: self.blob.digest, actual }),
        }
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.sink.restart().map_err(|source| Error::Blob { digest: self.blob.digest, source })?;
        self.at = 0;
        self.digester = Digester::new();
        self.restarts += 1;
        (self.progress)(0);
        Ok(())
    }

    fn size_mismatch(&self, host: &str, actual: u64) -> Error {
        Error::SizeMismatch {
            host: host.to_owned(),
            digest: self.blob.digest,
            expected: self.blob.size,
            actual,
        }
    }
}

/// Reads the start of `Content-Range: bytes START-END/SIZE`.
fn range_start(answer: &Answer) -> Option<u64> {
    let range = answer.header("content-range")?.trim().strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}
