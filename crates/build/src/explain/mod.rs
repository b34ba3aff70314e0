//! Why a step was executed: its key beside the one that it had in the last run of the same build.
//!
//! Each build leaves the keys of its steps in the store, part by part, and each executed step a list of the files that it
//! consumed, under their fingerprint. A build that finds everything in the cache only compares one digest.

mod files;
mod steps;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use jettison_image::{Digest, Digester};
use jettison_layer::Index;
use jettison_plan::{Merged, Operation};
use jettison_store::Store;

use self::steps::Step;
use crate::Error;
use crate::event::StepId;
use crate::keys::{Key, Part, Value};
use crate::layers::lock;

/// The longest value that is shown as it is, in characters.
const MAX_SHOWN: usize = 100;

/// The keys of a build's steps, and those of the last run.
pub(crate) struct Ledger<'a> {
    /// The build's, in the store.
    identity: Digest,
    store: &'a Store,
    graph: &'a Merged,
    keys: Mutex<BTreeMap<StepId, Key>>,
    before: OnceLock<Vec<Step>>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(identity: Digest, store: &'a Store, graph: &'a Merged) -> Ledger<'a> {
        Ledger { identity, store, graph, keys: Mutex::default(), before: OnceLock::new() }
    }

    /// Remembers the key of a step.
    pub(crate) fn note(&self, id: StepId, key: Key) {
        lock(&self.keys).insert(id, key);
    }

    /// Keeps the list of the files that `fingerprint` is of, unless it is there.
    pub(crate) fn keep_listing(
        &self,
        fingerprint: &Digest,
        listing: impl FnOnce() -> Result<Index, Error>,
    ) -> Result<(), Error> {
        if !self.store.has_note(fingerprint)? {
            self.store.put_note(fingerprint, &listing()?.encode())?;
        }
        Ok(())
    }

    /// Keeps the keys for the next run, if they are others than those of the last one.
    ///
    /// Steps that this run did not come to keep what was known of them.
    pub(crate) fn keep(&self) -> Result<(), Error> {
        let keys = lock(&self.keys);
        let sum = sum_of(&keys);
        let stored = self.store.note(&self.identity)?.unwrap_or_default();
        if stored.starts_with(sum.as_bytes()) {
            return Ok(());
        }
        let before = steps::read(&stored);
        let missed = (0..self.graph.nodes.len()).filter(|id| !keys.contains_key(id));
        let missed = missed.filter_map(|id| self.earlier(&before, id)).map(|(step, _)| step.clone());
        let now = keys.iter().map(|(id, key)| Step::new(self.name(*id), key.clone()));
        let steps: Vec<Step> = now.chain(missed).collect();
        Ok(self.store.put_note(&self.identity, &steps::write(&sum, &steps))?)
    }

    /// Says why a step was not found in the cache.
    pub(crate) fn why(&self, id: StepId) -> Result<Vec<String>, Error> {
        let Some(key) = lock(&self.keys).get(&id).cloned() else { return Ok(Vec::new()) };
        let before = self.before()?;
        if before.is_empty() {
            return Ok(vec!["no earlier build of this is known".to_owned()]);
        }
        let Some((earlier, same_words)) = self.earlier(before, id) else {
            return Ok(vec!["the instruction is new".to_owned()]);
        };
        if !same_words && earlier.kind() != steps::kind(self.name(id)) {
            return Ok(vec![format!("the instruction is new; in its place was {}", earlier.instruction)]);
        }
        let mut reasons = Vec::new();
        for part in &key.parts {
            let old = earlier.key.parts.iter().find(|old| old.name == part.name);
            if old.is_none_or(|old| old.value != part.value) {
                reasons.extend(self.difference(id, old, part)?);
            }
        }
        let gone = earlier.key.parts.iter().filter(|old| !key.parts.iter().any(|part| part.name == old.name));
        reasons.extend(gone.map(|old| match &old.value {
            Value::Text(text) => format!("{}: {} is gone", old.name, shown(text)),
            _ => format!("{} is gone", old.name),
        }));
        if reasons.is_empty() {
            reasons.push("nothing changed, but no result of it is in the store".to_owned());
        }
        Ok(reasons)
    }

    fn difference(&self, id: StepId, old: Option<&Part>, new: &Part) -> Result<Vec<String>, Error> {
        let name = &new.name;
        Ok(match (&new.value, old.map(|old| &old.value)) {
            (Value::Tree(_), _) => self.other_parent(id)?,
            (Value::Files(new), Some(Value::Files(old))) => {
                let listing = |fingerprint| -> Result<Option<Index>, Error> {
                    Ok(self.store.note(fingerprint)?.and_then(|bytes| Index::decode(&bytes).ok()))
                };
                match (listing(old)?, listing(new)?) {
                    (Some(old), Some(new)) => files::differences(&old, &new),
                    _ => vec![format!("{name}: {} -> {}, whose list is gone", old.short(), new.short())],
                }
            }
            (Value::Text(new), Some(Value::Text(old))) => {
                vec![format!("{name}: {} -> {}", shown(old), shown(new))]
            }
            (Value::Text(new), _) => vec![format!("{name}: {} is new", shown(new))],
            (Value::Hidden(_), Some(_)) => vec![format!("{name} has another value")],
            (Value::Hidden(_) | Value::Files(_), _) => vec![format!("{name} is new")],
        })
    }

    /// Says what a step builds on, and of a base image, what is different.
    fn other_parent(&self, id: StepId) -> Result<Vec<String>, Error> {
        let Some(parent) = self.graph.nodes[id].parent else {
            return Ok(vec!["it built on something before".to_owned()]);
        };
        let mut reasons = vec![format!("what it builds on changed: {}", self.name(parent))];
        if let Operation::Image { .. } = self.graph.nodes[parent].operation {
            reasons.extend(self.why(parent)?);
        }
        Ok(reasons)
    }

    fn before(&self) -> Result<&[Step], Error> {
        if let Some(before) = self.before.get() {
            return Ok(before);
        }
        let stored = self.store.note(&self.identity)?.unwrap_or_default();
        Ok(self.before.get_or_init(|| steps::read(&stored)))
    }

    /// Finds what a step was in the last run, and whether its instruction reads the same.
    fn earlier<'s>(&self, before: &'s [Step], id: StepId) -> Option<(&'s Step, bool)> {
        let names: Vec<&str> = self.graph.nodes.iter().map(|node| node.label.name.as_str()).collect();
        steps::find(before, &names, id)
    }

    fn name(&self, id: StepId) -> &str {
        &self.graph.nodes[id].label.name
    }
}

/// The digest of all keys of a build.
fn sum_of(keys: &BTreeMap<StepId, Key>) -> Digest {
    let mut sum = Digester::new();
    for (id, key) in keys {
        sum.field(&id.to_le_bytes()).field(key.digest.as_bytes());
    }
    sum.finish()
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "none".to_owned(),
        None => text.to_owned(),
    }
}
