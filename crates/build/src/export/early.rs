//! Pushing layers while the rest of their image is still being made. Only blobs go up: what names them follows at the end,
//! with [`push`](super::push()), which finds them there.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use jettison_image::{Digest, Reference};
use jettison_registry::{Cancel, Client};
use jettison_store::Store;

use super::Context;
use super::error::Result;
use super::push::{UPLOADS, Upload, push_layer};
use crate::{ReadyLayer, StepId};

/// How often it is told how far the uploads are that the end waits for.
const TELL: Duration = Duration::from_millis(100);

/// Told what goes up of a step's layer: its short digest, bytes so far.
type Progress<'a> = dyn Fn(StepId, &str, u64) + Sync + 'a;

/// The uploads of a build that is under way.
///
/// One that fails is no error: the push at the end tries again, and reports it.
pub struct EarlyPush<'a> {
    client: &'a Client,
    store: &'a Store,
    progress: &'a Progress<'a>,
    cancel: Cancel,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// A name in each registry.
    names: Vec<Reference>,
    seen: HashSet<Digest>,
    waiting: VecDeque<(Reference, Arc<ReadyLayer>)>,
    threads: usize,
    /// How many bytes of each blob are there, and how many it has.
    sent: BTreeMap<Digest, (u64, u64)>,
}

impl<'a> EarlyPush<'a> {
    /// Pushes to the first repository of each registry among `names`: the others mount from there.
    pub fn new(
        client: &'a Client,
        store: &'a Store,
        names: &[Reference],
        progress: &'a Progress<'a>,
    ) -> EarlyPush<'a> {
        let mut registries = HashSet::new();
        let names = names.iter().filter(|name| registries.insert(name.registry())).cloned().collect();
        let state = State {
            names,
            seen: HashSet::new(),
            waiting: VecDeque::new(),
            threads: 0,
            sent: BTreeMap::new(),
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        EarlyPush { client, store, progress, cancel: Cancel::new(), state, changed }
    }

    /// Calls `work` with what it is to tell of each layer that is ready. Uploads that nobody has waited for end with it:
    /// the image that they were for is not going to be.
    pub fn during<T>(&self, work: impl FnOnce(&(dyn Fn(ReadyLayer) + Sync)) -> T) -> T {
        thread::scope(|scope| {
            let result = work(&|layer| self.add(scope, layer));
            self.cancel.cancel();
            result
        })
    }

    /// Waits until nothing is under way, so that no blob goes up twice.
    pub fn wait(&self, context: Context<'_>) {
        let mut state = self.lock();
        while state.threads > 0 && !context.cancel.is_cancelled() {
            for (blob, (sent, size)) in &state.sent {
                (context.progress)(&blob.short(), *sent, Some(*size));
            }
            let waited = self.changed.wait_timeout(state, TELL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn add<'s>(&'s self, scope: &'s Scope<'s, '_>, layer: ReadyLayer) {
        let mut state = self.lock();
        if !state.seen.insert(layer.blob.digest) {
            return;
        }
        let layer = Arc::new(layer);
        for name in state.names.clone() {
            state.waiting.push_back((name, layer.clone()));
            if state.threads < UPLOADS {
                state.threads += 1;
                scope.spawn(|| self.upload_all());
            }
        }
    }

    /// What each thread does: uploads, until none is waiting.
    fn upload_all(&self) {
        loop {
            let mut state = self.lock();
            let Some((name, layer)) = state.waiting.pop_front() else {
                state.threads -= 1;
                self.changed.notify_all();
                return;
            };
            drop(state);
            if self.upload(&name, &layer).is_err() {
                // Where one fails, the others hardly do better.
                let mut state = self.lock();
                state.names.retain(|other| *other != name);
                state.waiting.retain(|(other, _)| *other != name);
            }
        }
    }

    fn upload(&self, name: &Reference, layer: &ReadyLayer) -> Result<()> {
        let blob = &layer.blob;
        let item = blob.digest.short();
        let told = |sent| {
            self.lock().sent.insert(blob.digest, (sent, blob.size));
            if let Some(step) = layer.step {
                (self.progress)(step, &item, sent);
            }
        };
        let open = || {
            let blob = self.store.blobs().open(&blob.digest).map_err(std::io::Error::other)?;
            Ok(Box::new(blob) as Box<dyn Read + Send>)
        };
        let upload = Upload { blob, origin: layer.origin.as_ref(), open: &open };
        push_layer(self.client, &upload, name, None, &told, &self.cancel)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
