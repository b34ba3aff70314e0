//! The synchronous face of the client: each call runs on the caller's thread until it is done.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jettison_image::{Descriptor, Digest, RawManifest, Reference};
use tokio::runtime::{Builder, Runtime};

use crate::credentials::Credential;
use crate::endpoint::Endpoint;
use crate::exchange::{Call, Session};
use crate::retry::retrying;
use crate::{
    BlobSink, Cancel, Error, Fetched, OpenBlob, Pushed, Settings, WebFile, download, manifests, upload, web,
};

/// Threads that move bytes between sockets and callers, and do the TLS.
const THREADS: usize = 2;

/// A client of all registries. Clones share connections, tokens and limits; any number of threads may call at once.
///
/// Nothing is read and no thread started before the first call. Calls block, and must not be made from inside an
/// async runtime.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    runtime: OnceLock<Runtime>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Client {
    /// Makes a client. Mistakes in the configuration show at the first call.
    pub fn new(settings: Settings) -> Client {
        Client(Arc::new(Inner {
            settings: Arc::new(settings),
            runtime: OnceLock::new(),
            session: Mutex::new(None),
        }))
    }

    /// Gets the manifest or index of `reference`: by its digest if it has one, else by its tag. The bytes are those
    /// that the digest promised, and at most [`jettison_image::MAX_MANIFEST_SIZE`] many.
    pub fn manifest(&self, reference: &Reference, cancel: &Cancel) -> Result<RawManifest, Error> {
        self.run(cancel, async |session| manifests::get(session, reference).await)
    }

    /// Gets the descriptor of the manifest of `reference`, without its bytes where the registry allows.
    pub fn head(&self, reference: &Reference, cancel: &Cancel) -> Result<Descriptor, Error> {
        self.run(cancel, async |session| manifests::head(session, reference).await)
    }

    /// Fetches a blob of the repository of `reference` into `sink`, going on where the sink ends.
    ///
    /// When it returns `Ok`, the sink has exactly the bytes that the descriptor's digest names. `progress` is told
    /// how many bytes the sink has; the number goes back to zero when a download has to start again. When it fails,
    /// what the sink has may be kept for another call: the digest is verified over all of it.
    pub fn fetch_blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        sink: &mut dyn BlobSink,
        progress: &dyn Fn(u64),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.run(cancel, async |session| {
            download::fetch(session, reference, blob, sink, progress, cancel).await
        })
    }

    /// Fetches a file of a web server into `sink`, from its start. `progress` is told how many bytes came, and of how many
    /// where the server says so; it starts again with an attempt after one that failed.
    pub fn fetch_file(
        &self,
        file: WebFile<'_>,
        sink: &mut dyn BlobSink,
        progress: &dyn Fn(u64, Option<u64>),
        cancel: &Cancel,
    ) -> Result<Fetched, Error> {
        self.run(cancel, async |session| web::fetch(session, file, sink, progress, cancel).await)
    }

    /// Puts a blob into the repository of `reference`, unless it is there. `mount_from` is another repository of the
    /// same registry that has it. `open` is called once for each attempt, and must give the blob from its start.
    pub fn push_blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        open: &OpenBlob<'_>,
        mount_from: Option<&str>,
        progress: &dyn Fn(u64),
        cancel: &Cancel,
    ) -> Result<Pushed, Error> {
        self.run(cancel, async |session| {
            upload::push(session, reference, blob, open, mount_from, progress, cancel).await
        })
    }

    /// Puts a manifest or index under the tag of `reference`, or under its digest if it has no tag. What the manifest
    /// names must be there.
    pub fn push_manifest(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
        cancel: &Cancel,
    ) -> Result<Digest, Error> {
        self.run(cancel, async |session| manifests::put(session, reference, manifest).await)
    }

    /// Asks `registry` whether it takes a credential.
    pub(crate) fn check_login(
        &self,
        registry: &str,
        credential: Credential,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        // The base of the API belongs to no repository; this one only gives the endpoint its form.
        let reference = Reference::parse(&format!("{registry}/login"))
            .map_err(|error| Error::Protocol { host: registry.to_owned(), why: error.to_string() })?;
        self.run(cancel, async |session| {
            let endpoint = Endpoint::new(reference, session.conf.is_insecure(registry));
            session.auth.assume(&endpoint, credential);
            retrying(true, async || {
                let answer =
                    session.send(&endpoint, Call::new(hyper::Method::GET, "/v2/".to_owned())).await?;
                match answer.status().is_success() {
                    true => Ok(()),
                    false => Err(answer.refusal(&endpoint, "its API").await),
                }
            })
            .await
        })
    }

    fn run<T>(
        &self,
        cancel: &Cancel,
        work: impl AsyncFnOnce(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        cancel.check()?;
        let session = self.session()?;
        self.runtime()?.block_on(cancel.guard(work(&session)))
    }

    fn session(&self) -> Result<Arc<Session>, Error> {
        let mut session = self.0.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = session.as_ref() {
            return Ok(Arc::clone(session));
        }
        let new = Arc::new(Session::new(&self.0.settings)?);
        *session = Some(Arc::clone(&new));
        Ok(new)
    }

    fn runtime(&self) -> Result<&Runtime, Error> {
        if let Some(runtime) = self.0.runtime.get() {
            return Ok(runtime);
        }
        let new = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        // If another thread was faster, its runtime is used and this one ends.
        Ok(self.0.runtime.get_or_init(|| new))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: a look-up of a name that hangs must not hold up the end of the program.
            runtime.shutdown_background();
        }
    }
}
