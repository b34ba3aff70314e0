//! What can go wrong with a registry, and which of it may pass.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jettison_image::Digest;

/// An error of another library, kept as the source.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call to a registry failed. Every variant that came from a host names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No endpoint has it.
    #[error("{what} was not found ({})", tried.join("; "))]
    NotFound {
        /// The reference or blob.
        what: String,
        /// Each host that was asked, with its own words.
        tried: Vec<String>,
    },
    /// The registry wants credentials, or others than it was given.
    #[error("{host} refused access to {what}{}; {}", said(message), hint(host, *known))]
    Unauthorized {
        /// The registry, as `jettison login` takes it.
        host: String,
        /// What was asked for.
        what: String,
        /// The registry's own words, possibly empty.
        message: String,
        /// Whether credentials were known and sent.
        known: bool,
    },
    /// The credentials are good but do not allow this.
    #[error("{host} denied access to {what}{}; {}", said(message), hint(host, *known))]
    Denied {
        /// The registry, as `jettison login` takes it.
        host: String,
        /// What was asked for.
        what: String,
        /// The registry's own words, possibly empty.
        message: String,
        /// Whether credentials were known and sent.
        known: bool,
    },
    /// `registries.conf` says `blocked = true`.
    #[error("{reference} is blocked by {}", path.display())]
    Blocked {
        /// What was asked for.
        reference: String,
        /// The file that says so.
        path: PathBuf,
    },
    /// The bytes are not those the digest promised.
    #[error("{host} sent other bytes than asked for: expected {expected}, got {actual}")]
    DigestMismatch {
        /// Who sent them.
        host: String,
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// The blob is longer or shorter than its descriptor says.
    #[error("{host} sent {actual} bytes of {digest}, whose size is {expected}")]
    SizeMismatch {
        /// Who sent it.
        host: String,
        /// The blob.
        digest: Digest,
        /// Bytes by the descriptor.
        expected: u64,
        /// Bytes that came, or that the host announced.
        actual: u64,
    },
    /// The TLS handshake failed, for example because the certificate is not trusted.
    #[error("no secure connection to {host}: {why}")]
    Tls {
        /// The other side.
        host: String,
        /// What rustls said, and where to put a CA.
        why: String,
    },
    /// There was no connection.
    #[error("cannot connect to {host}: {}", chain(source.as_ref()))]
    Connect {
        /// The other side.
        host: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The connection broke.
    #[error("the connection to {host} broke: {}", chain(source.as_ref()))]
    Broken {
        /// The other side.
        host: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Nothing came for too long.
    #[error("{host} did not answer within {} s", after.as_secs())]
    Timeout {
        /// The other side.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// Too many requests (429).
    #[error("{host} limits the rate of requests{}", said(message))]
    RateLimited {
        /// Who.
        host: String,
        /// Its own words.
        message: String,
        /// When it would answer again, if it said so.
        retry_after: Option<Duration>,
    },
    /// An answer with a status that is none of the above.
    #[error("{host} answered {status} for {what}{}", said(message))]
    Status {
        /// Who.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
        /// When it would answer again, if it said so.
        retry_after: Option<Duration>,
    },
    /// An answer that the protocol does not allow.
    #[error("{host} gave an answer that breaks the protocol: {why}")]
    Protocol {
        /// Who.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// A manifest of a kind that is not built from, such as Docker's schema 1.
    #[error(
        "{reference} from {host} has media type \"{media_type}\", which is not supported{}",
        why_not(media_type)
    )]
    UnsupportedManifest {
        /// Who.
        host: String,
        /// The image.
        reference: String,
        /// What it is.
        media_type: String,
    },
    /// A configuration file that cannot be used.
    #[error("{}{}: {why}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Config {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, where one can be named.
        line: Option<usize>,
        /// What is wrong.
        why: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A proxy setting that cannot be used.
    #[error("the proxy \"{proxy}\" cannot be used: {why}")]
    Proxy {
        /// The setting, without its password.
        proxy: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A credential helper that does not work.
    #[error("credential helper {helper}: {why}")]
    Helper {
        /// Its program's name.
        helper: String,
        /// What went wrong.
        why: String,
    },
    /// The sink of a download, or the source of an upload, failed.
    #[error("{digest}: {source}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What takes the bytes of a file failed.
    #[error("what was downloaded could not be kept: {source}")]
    Sink {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is to be pushed is not what its descriptor says.
    #[error("{digest} cannot be pushed: {why}")]
    Source {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// Neither a mirror nor the registry could serve it.
    #[error("{what}: no endpoint could serve it: {}", list(errors))]
    AllFailed {
        /// The reference or blob.
        what: String,
        /// One error an endpoint, in the order in which they were tried.
        errors: Vec<Error>,
    },
    /// [`crate::Cancel`] was used.
    #[error("cancelled")]
    Cancelled,
    /// The threads of the client could not be started.
    #[error("cannot start the registry client: {0}")]
    Runtime(#[source] io::Error),
}

/// What to do about an error of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It would fail again.
    Never,
    /// It may pass after a while.
    Backoff,
    /// The host said when.
    After(Duration),
}

impl Error {
    /// Tells whether another attempt at the same endpoint may succeed.
    pub(crate) fn retry(&self) -> Retry {
        let asked = |after: &Option<Duration>| after.map_or(Retry::Backoff, Retry::After);
        match self {
            Error::Connect { .. } | Error::Broken { .. } | Error::Timeout { .. } => Retry::Backoff,
            Error::RateLimited { retry_after, .. } => asked(retry_after),
            // 501 is "not implemented": it stays so.
            Error::Status { status: 501, .. } => Retry::Never,
            Error::Status { status: 408 | 425 | 500.., retry_after, .. } => asked(retry_after),
            _ => Retry::Never,
        }
    }

    /// Tells whether there was no HTTP exchange at all, so that another scheme or mirror should be tried at once.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Error::Connect { .. } | Error::Tls { .. })
    }

    /// Tells whether another endpoint cannot help: the trouble is on this side.
    pub(crate) fn is_local(&self) -> bool {
        matches!(
            self,
            Error::Cancelled
                | Error::Blob { .. }
                | Error::Sink { .. }
                | Error::Source { .. }
                | Error::Config { .. }
                | Error::File { .. }
                | Error::Proxy { .. }
                | Error::Helper { .. }
                | Error::Runtime(_)
        )
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn hint(host: &str, known: bool) -> String {
    match known {
        true => format!("the known credentials do not suffice; `jettison login {host}` sets others"),
        false => format!("it may not exist, or it needs `jettison login {host}`"),
    }
}

fn why_not(media_type: &str) -> &'static str {
    match media_type.contains("distribution.manifest.v1") {
        true => " (Docker's schema 1 of before 2016: push the image again with a newer builder)",
        false => "",
    }
}

fn list(errors: &[Error]) -> String {
    errors.iter().map(Error::to_string).collect::<Vec<_>>().join("; ")
}

/// Joins an error and its sources, because hyper's own texts ("client error (Connect)") say nothing.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = source.source();
    }
    // The first texts are layers of the HTTP library; the last one or two say what happened.
    let from = texts.len().saturating_sub(2);
    texts.split_off(from).join(": ")
}
