//! `RUN --mount`: what is mounted, and what has to be kept while a command uses it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use jettison_dockerfile::Span;
use jettison_fs::Dir;
use jettison_image::Digest;
use jettison_plan::{Access, Mount, MountKind, Origin, Run};
use jettison_sandbox as sandbox;
use jettison_store::LayerDraft;

use crate::Error;
use crate::cache_mounts::Taken;
use crate::engine::Engine;
use crate::event::StepId;
use crate::layers::Snapshot;
use crate::ssh_agent::Agent;

/// What the mounts of a command need for as long as it runs. Dropped, it is gone or free for others.
#[derive(Default)]
pub(crate) struct Kept {
    /// Ends before its socket's directory goes.
    agents: Vec<Agent>,
    scratch: Vec<LayerDraft>,
    caches: Taken,
}

/// The error for a mount whose source is not there, in BuildKit's words.
pub(crate) fn missing(source: &str, span: Span) -> Error {
    Error::Instruction { span, message: format!("\"{source}\": not found"), help: None }
}

impl Engine<'_> {
    /// Returns the fingerprints of what the mounts of a command show, as far as that counts.
    pub(crate) fn mount_contents(
        &self,
        run: &Run,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<Vec<Digest>, Error> {
        let sources = run.mounts.iter().filter_map(|mount| mount.kind.source());
        sources.map(|(from, source)| self.path_fingerprint(from, source, tree_of)).collect()
    }

    /// Keeps the lists of the files that [`Engine::mount_contents`] are the fingerprints of.
    pub(crate) fn keep_mount_listings(
        &self,
        run: &Run,
        contents: &[Digest],
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<(), Error> {
        let sources = run.mounts.iter().filter_map(|mount| mount.kind.source());
        for ((from, path), fingerprint) in sources.zip(contents) {
            self.ledger.keep_listing(fingerprint, || self.path_listing(from, path, tree_of))?;
        }
        Ok(())
    }

    /// Makes what is mounted for a command, in order.
    pub(crate) fn mounts(
        &self,
        id: StepId,
        run: &Run,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<(Vec<sandbox::Mount>, Kept), Error> {
        let span = self.graph.nodes[id].label.span;
        if let Some(mount) = run.mounts.first()
            && !self.identity.mode.overlay()
        {
            let what = format!("RUN --mount=type={}", mount.kind.as_str());
            let source = sandbox::Error::Unsupported { what, mode: self.identity.mode };
            return Err(Error::Sandbox { span, source });
        }
        let mut kept = Kept { caches: self.take_cache_mounts(id, run, tree_of)?, ..Kept::default() };
        let mut mounts = Vec::new();
        if let Some(script) = &run.script {
            mounts.push(self.script(&run.args[0], &script.content, &mut kept)?);
        }
        for mount in &run.mounts {
            let source = self.mount_source(id, mount, tree_of, &mut kept)?;
            mounts.extend(source.map(|source| sandbox::Mount {
                target: mount.target.clone(),
                source,
                read_only: mount.read_only,
            }));
        }
        Ok((mounts, kept))
    }

    /// Makes what a mount shows; nothing for a secret or an agent that is not there and need not be.
    fn mount_source(
        &self,
        id: StepId,
        mount: &Mount,
        tree_of: &dyn Fn(usize) -> Snapshot,
        kept: &mut Kept,
    ) -> Result<Option<sandbox::MountSource>, Error> {
        let span = self.graph.nodes[id].label.span;
        Ok(Some(match &mount.kind {
            MountKind::Tmpfs { size } => sandbox::MountSource::Tmpfs { size: *size },
            MountKind::Bind { from, source } => {
                let snapshot = self.mounted_snapshot(from, tree_of)?;
                let tree = self.layers.tree(&snapshot)?;
                let path = tree.resolve(source.as_bytes(), true).unwrap_or_default();
                if source != "/" && tree.get(&path).is_none() {
                    return Err(missing(source, span));
                }
                let lower = self.layers.directories(&snapshot)?;
                let upper = if mount.read_only { None } else { Some(self.thrown_away(kept)?) };
                sandbox::MountSource::Overlay { lower, path: source.clone(), upper }
            }
            MountKind::Cache { from, source, .. } => {
                let key = self.cache_mount_key(mount, tree_of)?;
                let Some(cache) = key.and_then(|key| kept.caches.get(&key)) else { return Ok(None) };
                // With `from`, the cache started with that path of it alone.
                let path = if from.is_some() { "/".to_owned() } else { source.clone() };
                let root = Dir::open(cache.fs())?;
                if root.open_dir_in_root(path.as_bytes()).is_err_and(|error| error.is_not_found()) {
                    return Err(missing(source, span));
                }
                sandbox::MountSource::Inside { directory: cache.fs().to_owned(), path }
            }
            MountKind::Secret { id: secret, required, access } => {
                let Some(content) = self.secret(secret, *required, span)? else { return Ok(None) };
                let Access { mode, uid, gid } = *access;
                sandbox::MountSource::File { content, mode, uid, gid }
            }
            MountKind::Ssh { id: agent, required, access } => {
                let Some(agent) = self.agent(agent, *required, span)? else { return Ok(None) };
                let draft = self.store.draft_layer()?;
                let owner = self.possible_owner(id, &mount.target, access);
                let agent = Agent::start(agent, &draft.work(), access.mode, owner)
                    .map_err(|source| Error::Io { action: "forward", path: agent.clone(), source })?;
                let socket = agent.socket().to_owned();
                kept.agents.push(agent);
                kept.scratch.push(draft);
                sandbox::MountSource::Bind(socket)
            }
        }))
    }

    /// Returns the socket of an agent; `None` if nobody gave one and it is not required.
    fn agent(&self, id: &str, required: bool, span: Span) -> Result<Option<&PathBuf>, Error> {
        match self.request.agents.get(id) {
            None if required => Err(Error::Instruction {
                span,
                message: format!("unset ssh forward key {id}"),
                help: Some(format!(
                    "--ssh {id} forwards the agent of SSH_AUTH_SOCK, --ssh {id}=SOCKET another"
                )),
            }),
            agent => Ok(agent),
        }
    }

    fn thrown_away(&self, kept: &mut Kept) -> Result<(PathBuf, PathBuf), Error> {
        let draft = self.store.draft_layer()?;
        let pair = (draft.fs(), draft.work());
        kept.scratch.push(draft);
        Ok(pair)
    }

    fn script(&self, target: &str, content: &str, kept: &mut Kept) -> Result<sandbox::Mount, Error> {
        let draft = self.store.draft_layer()?;
        let path = draft.fs().join("script");
        let io = |source| Error::Io { action: "write", path: path.clone(), source };
        std::fs::write(&path, content).map_err(io)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).map_err(io)?;
        kept.scratch.push(draft);
        let source = sandbox::MountSource::Bind(path);
        Ok(sandbox::Mount { target: target.to_owned(), source, read_only: true })
    }

    /// The tree that a mount shows; of a context, a copy that leaves out what is ignored.
    pub(crate) fn mounted_snapshot(
        &self,
        from: &Origin,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<Snapshot, Error> {
        if let Origin::Tree(node) = from {
            return Ok(tree_of(*node));
        }
        let layer = self.context_layer(from, tree_of)?;
        Ok(self.layers.add(&Snapshot::empty(), layer))
    }
}
