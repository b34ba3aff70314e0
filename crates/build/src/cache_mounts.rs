//! `RUN --mount=type=cache`: finding, filling and waiting for the directories that commands share.

use std::collections::BTreeMap;
use std::thread;

use jettison_dockerfile::Span;
use jettison_fs::Dir;
use jettison_image::Digest;
use jettison_layer::{Merged, Ownership};
use jettison_plan::{Access, Mount, MountKind, Origin, Run, Sharing};
use jettison_store::{CacheMount, MountSharing, Take};

use crate::engine::{Engine, POLL};
use crate::event::StepId;
use crate::layers::Snapshot;
use crate::run_mounts::missing;
use crate::{Error, keys};

/// What a directory has where nothing else is asked for.
const DEFAULT_MODE: u32 = 0o755;

/// The tree of a node.
type TreeOf<'a> = dyn Fn(usize) -> Snapshot + 'a;

/// The cache mounts of a command that runs, by their keys.
pub(crate) type Taken = BTreeMap<Digest, CacheMount>;

impl Engine<'_> {
    /// Takes the cache mounts of a command, waiting where it has to. All commands take them in the order of their keys,
    /// so that no two wait for each other; two mounts of one cache in a command are one.
    pub(crate) fn take_cache_mounts(
        &self,
        id: StepId,
        run: &Run,
        tree_of: &TreeOf<'_>,
    ) -> Result<Taken, Error> {
        let mut wanted = BTreeMap::new();
        for mount in &run.mounts {
            if let Some(key) = self.cache_mount_key(mount, tree_of)? {
                wanted.entry(key).or_insert(mount);
            }
        }
        let take = |(key, mount)| Ok((key, self.take_cache_mount(id, &key, mount, tree_of)?));
        wanted.into_iter().map(take).collect()
    }

    /// Returns the key of a mount, if it is a cache.
    pub(crate) fn cache_mount_key(
        &self,
        mount: &Mount,
        tree_of: &TreeOf<'_>,
    ) -> Result<Option<Digest>, Error> {
        let MountKind::Cache { id, from, source, access, .. } = &mount.kind else { return Ok(None) };
        let content = match from {
            Some(from) => Some(self.path_fingerprint(from, source, tree_of)?),
            None => None,
        };
        Ok(Some(keys::cache_mount(id, source, content.as_ref(), access.as_ref())))
    }

    fn take_cache_mount(
        &self,
        step: StepId,
        key: &Digest,
        mount: &Mount,
        tree_of: &TreeOf<'_>,
    ) -> Result<CacheMount, Error> {
        let MountKind::Cache { id, sharing, .. } = &mount.kind else {
            unreachable!("only caches have a key")
        };
        let sharing = match sharing {
            Sharing::Shared => MountSharing::Shared,
            Sharing::Private => MountSharing::Private,
            Sharing::Locked => MountSharing::Locked,
        };
        loop {
            let take = match self.store.take_cache_mount(key, sharing)? {
                Take::Absent => {
                    let draft = self.store.draft_cache_mount(id)?;
                    self.fill(step, &Dir::open(&draft.fs())?, mount, tree_of)?;
                    self.store.add_cache_mount(key, sharing, draft)?
                }
                take => take,
            };
            if let Take::Taken(taken) = take {
                return Ok(taken);
            }
            self.note(step, format!("waiting for the cache mount \"{id}\", which another command uses"));
            self.check_canceled()?;
            thread::sleep(POLL);
        }
    }

    /// Gives a new directory what it starts with.
    fn fill(&self, step: StepId, target: &Dir, mount: &Mount, tree_of: &TreeOf<'_>) -> Result<(), Error> {
        let MountKind::Cache { from, source, access, .. } = &mount.kind else { return Ok(()) };
        let span = self.graph.nodes[step].label.span;
        match from {
            Some(from) => self.copy_of(from, source, target, span, tree_of)?,
            None => target.set_mode(b".", DEFAULT_MODE)?,
        }
        let Some(access) = access else { return Ok(()) };
        if let Some((uid, gid)) = self.possible_owner(step, &mount.target, access) {
            target.set_owner(b".", uid, gid)?;
        }
        Ok(target.set_mode(b".", access.mode)?)
    }

    /// Copies a directory of a tree or context.
    fn copy_of(
        &self,
        from: &Origin,
        source: &str,
        target: &Dir,
        span: Span,
        tree_of: &TreeOf<'_>,
    ) -> Result<(), Error> {
        let snapshot = self.mounted_snapshot(from, tree_of)?;
        let tree = self.layers.tree(&snapshot)?;
        let top = tree.resolve(source.as_bytes(), true).unwrap_or_default();
        match tree.get(&top) {
            None if source != "/" => return Err(missing(source, span)),
            Some(node) if !node.entry.is_directory() => {
                let message = format!("\"{source}\" is not a directory, so no cache mount can start with it");
                return Err(Error::Instruction { span, message, help: None });
            }
            _ => {}
        }
        let part = Merged::below(tree, self.layers.contents(&snapshot)?, top);
        jettison_layer::materialize(&part.index(), &part, target, self.layers.ownership())?;
        Ok(())
    }

    /// Returns the owner of something mounted, unless that is a user who does not exist here.
    pub(crate) fn possible_owner(&self, step: StepId, target: &str, access: &Access) -> Option<(u32, u32)> {
        let Access { uid, gid, .. } = *access;
        let native = self.layers.ownership() == Ownership::Native;
        if native && self.identity.maps_uid(uid) && self.identity.maps_gid(gid) {
            return Some((uid, gid));
        }
        if (uid, gid) != (0, 0) {
            self.note(step, format!("the mount {target} is root's, for {uid}:{gid} does not exist here"));
        }
        None
    }
}
