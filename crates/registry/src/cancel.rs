//! A token that stops calls under way, from any thread.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::sync::Notify;

use crate::Error;

/// Stops the calls it was given to. Clones are the same token; once cancelled it stays so.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cancelled: AtomicBool,
    wake: Notify,
}

impl Cancel {
    /// Makes a token that is not cancelled.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops every call that holds this token; each returns [`Error::Cancelled`].
    ///
    /// It takes a lock for a moment: from a signal handler set a flag, and call this from a thread.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.0.wake.notify_waiters();
    }

    /// Tells whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Fails once cancelled, for loops that might never wait.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Runs `work` until it is done or this token is cancelled.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut notified = pin!(self.0.wake.notified());
        // Registered before the flag is read, so that a cancel in between is not missed.
        notified.as_mut().enable();
        self.check()?;
        let mut work = pin!(work);
        poll_fn(|context| match notified.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(Error::Cancelled)),
            Poll::Pending => work.as_mut().poll(context),
        })
        .await
    }
}
