//! Bodies: those we send, from memory or from a stream, and those we read, with a limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

use crate::Error;

/// How long nothing may come in the middle of a body.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How many pieces of an upload may wait for the network.
const QUEUE: usize = 4;

/// A body of a request.
pub(crate) enum SendBody {
    /// All of it.
    Full(Option<Bytes>),
    /// From an [`Upload`], with the number of bytes that are to come.
    Stream { pieces: mpsc::Receiver<io::Result<Bytes>>, left: u64, taken: Arc<AtomicU64> },
}

/// The other end of a streamed body.
pub(crate) struct Upload {
    pub(crate) pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl SendBody {
    /// Makes a body of exactly `length` bytes that come from the [`Upload`]; `taken` counts what the network took.
    pub(crate) fn stream(length: u64, taken: Arc<AtomicU64>) -> (SendBody, Upload) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (SendBody::Stream { pieces: receiver, left: length, taken }, Upload { pieces: sender })
    }
}

impl Body for SendBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            SendBody::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            SendBody::Stream { pieces, left, taken } => match pieces.poll_recv(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(piece))) => {
                    *left = left.saturating_sub(piece.len() as u64);
                    taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) if *left > 0 => {
                    Poll::Ready(Some(Err(io::Error::other("the upload was given up"))))
                }
                Poll::Ready(None) => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            SendBody::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            SendBody::Stream { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            SendBody::Full(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            SendBody::Stream { left, .. } => *left,
        })
    }
}

/// Reads the next piece of an answer's body, `None` at its end.
pub(crate) async fn next_piece(body: &mut Incoming, host: &str) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await;
        let frame = frame.map_err(|_| Error::Timeout { host: host.to_owned(), after: IDLE_TIMEOUT })?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Error::Broken { host: host.to_owned(), source: error.into() }),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                // Trailers say nothing that is used.
                Err(_) => {}
            },
        }
    }
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_limited(mut body: Incoming, limit: u64, host: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = next_piece(&mut body, host).await? {
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(Error::Protocol {
                host: host.to_owned(),
                why: format!("it is longer than {limit} bytes"),
            });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}
