//! Trying again: how often, after what pause, and at which endpoint.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::Error;
use crate::endpoint::Endpoint;
use crate::error::Retry;

/// Attempts at the last endpoint that could serve a call.
const ATTEMPTS: u32 = 6;
/// Attempts at a mirror, behind which there is another endpoint.
const MIRROR_ATTEMPTS: u32 = 2;
/// Attempts where there is nobody to talk to: a name that is mistyped should not take long to say so.
const CONNECT_ATTEMPTS: u32 = 3;
/// The first pause; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause of our own choice.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause a registry may ask for; beyond it the call fails.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Counts the attempts of one call at one endpoint.
pub(crate) struct Backoff {
    attempts: u32,
    left: u32,
    pause: Duration,
    last: bool,
}

impl Backoff {
    /// Starts; `last` says that there is no other endpoint to go to.
    pub(crate) fn new(last: bool) -> Backoff {
        let attempts = if last { ATTEMPTS } else { MIRROR_ATTEMPTS };
        Backoff { attempts, left: attempts, pause: FIRST_PAUSE, last }
    }

    /// Waits before the next attempt, or returns `error` if there should be none.
    pub(crate) async fn pause(&mut self, error: Error) -> Result<(), Error> {
        self.left = self.left.saturating_sub(1);
        let used = self.attempts - self.left;
        let hopeless = error.is_connect() && (!self.last || used >= CONNECT_ATTEMPTS);
        if self.left == 0 || hopeless {
            return Err(error);
        }
        let pause = match error.retry() {
            Retry::Never => return Err(error),
            Retry::After(pause) if pause > LONGEST_RETRY_AFTER => return Err(error),
            Retry::After(pause) => pause + jitter(FIRST_PAUSE),
            Retry::Backoff => self.pause / 2 + jitter(self.pause / 2),
        };
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Starts to count anew, because there was progress.
    pub(crate) fn reset(&mut self) {
        *self = Backoff { left: self.attempts, pause: FIRST_PAUSE, ..*self };
    }
}

/// A random part of `most`, so that many clients do not come back at once.
fn jitter(most: Duration) -> Duration {
    // The standard library's hasher is seeded at random; this needs no better dice.
    let dice = RandomState::new().hash_one(()) % 1000;
    most * (dice as u32) / 1000
}

/// Makes a call at one endpoint until it succeeds or there is no point in going on.
pub(crate) async fn retrying<T>(
    last: bool,
    mut call: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut backoff = Backoff::new(last);
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) => backoff.pause(error).await?,
        }
    }
}

/// Makes a call at each endpoint in order until one succeeds. The call is told whether its endpoint is the last.
pub(crate) async fn first_of<T>(
    what: &str,
    endpoints: &[Endpoint],
    mut call: impl AsyncFnMut(&Endpoint, bool) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut errors = Vec::new();
    for (at, endpoint) in endpoints.iter().enumerate() {
        match call(endpoint, at + 1 == endpoints.len()).await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_local() => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Err(merge(what, errors))
}

/// Makes one error of those of all endpoints.
fn merge(what: &str, mut errors: Vec<Error>) -> Error {
    if errors.len() == 1
        && let Some(error) = errors.pop()
    {
        return error;
    }
    if errors.iter().all(|error| matches!(error, Error::NotFound { .. })) {
        let tried = errors.into_iter().flat_map(|error| match error {
            Error::NotFound { tried, .. } => tried,
            _ => Vec::new(),
        });
        return Error::NotFound { what: what.to_owned(), tried: tried.collect() };
    }
    Error::AllFailed { what: what.to_owned(), errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_all_endpoints_are_kept() {
        let absent = |host: &str| Error::NotFound { what: "x".into(), tried: vec![host.into()] };
        let text = merge("x", vec![absent("a"), absent("b")]).to_string();
        assert!(text.contains("a; b"), "{text}");
        let slow = Error::Timeout { host: "m".into(), after: Duration::from_secs(1) };
        let text = merge("x", vec![slow, absent("b")]).to_string();
        assert!(text.contains("m did not answer") && text.contains('b'), "{text}");
    }

    #[test]
    fn jitter_stays_below_its_bound() {
        for _ in 0..100 {
            assert!(jitter(FIRST_PAUSE) < FIRST_PAUSE);
        }
    }
}
