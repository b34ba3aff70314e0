//! Carrying out RUN.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use jettison_dockerfile::Span;
use jettison_fs::Dir;
use jettison_layer::{DiffOptions, Index, Merged, Timestamp, Tree};
use jettison_plan::{Mount, MountKind, NetworkMode, Origin, Run};
use jettison_sandbox as sandbox;
use jettison_sandbox::Stdio3;
use jettison_store::{LayerDraft, LayerId};

use crate::engine::Engine;
use crate::event::{Event, StepId, Stream};
use crate::layers::{Snapshot, lock};
use crate::sources::text_of;
use crate::users::Accounts;
use crate::{Error, keys};

/// How many of a command's last lines an error shows.
const TAIL_LINES: usize = 20;

/// How much of a line an error shows, in bytes.
const TAIL_WIDTH: usize = 1_000;

impl Engine<'_> {
    /// Returns the layer of a RUN, and whether it came from the cache.
    pub(crate) fn run(
        &self,
        id: StepId,
        run: &Run,
        parent: &Snapshot,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<(LayerId, bool), Error> {
        let contents = run.mounts.iter().filter_map(|mount| self.mount_content(mount, tree_of).transpose());
        let key = keys::run(&parent.id, run, &contents.collect::<Result<Vec<_>, _>>()?);
        self.once(&key, || self.run_now(id, run, parent, tree_of))
    }

    /// Runs the command, whether or not it ran before.
    fn run_now(
        &self,
        id: StepId,
        run: &Run,
        parent: &Snapshot,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<LayerId, Error> {
        let span = self.graph.nodes[id].label.span;
        self.check_canceled()?;
        if let Some(why) = self.no_sandbox {
            return Err(Error::NoSandbox { span, why: why.to_owned() });
        }
        if !self.identity.mode.overlay() {
            self.note(
                id,
                "RUN works in a chroot here, which confines commands less than a container".to_owned(),
            );
        }
        let user = self.user(&run.user, parent, span)?;
        let started = std::time::Instant::now();
        let tree = self.layers.tree(parent)?;
        let draft = self.store.draft_layer()?;
        let mut scratch = Vec::new();
        let mut spec = sandbox::Spec {
            root: self.root(parent, &draft)?,
            args: run.args.clone(),
            env: run.env.iter().chain(&run.proxy_env).cloned().collect(),
            cwd: run.cwd.clone(),
            user,
            hostname: run.hostname.clone(),
            extra_hosts: run.extra_hosts.clone(),
            network: match run.network {
                NetworkMode::Default => sandbox::Network::Default,
                NetworkMode::Host => sandbox::Network::Host,
                NetworkMode::None => sandbox::Network::None,
            },
            mounts: Vec::new(),
            interactive: false,
        };
        if let Some(script) = &run.script {
            spec.mounts.push(self.script(&run.args[0], &script.content, &mut scratch)?);
        }
        for mount in &run.mounts {
            spec.mounts.push(self.mount(mount, span, tree_of, &mut scratch)?);
        }
        let copied = touch(&draft)?;
        self.execute(id, run, &spec)?;
        drop(scratch);
        let index = self.changes(parent, &tree, &draft, copied)?;
        let mut facts = self.facts(started);
        facts.created_by.clone_from(&self.graph.nodes[id].label.name);
        let layer = draft.commit(facts, &index)?;
        Ok(layer.id().clone())
    }

    /// The root file system: an overlay on the parent's layers, or where nothing can be mounted a copy of them.
    fn root(&self, parent: &Snapshot, draft: &LayerDraft) -> Result<sandbox::Root, Error> {
        let lower = self.layers.directories(parent)?;
        if lower.is_empty() {
            return Ok(sandbox::Root::Directory(draft.fs()));
        }
        if self.identity.mode.overlay() {
            let tree = self.layers.tree(parent)?;
            jettison_layer::prepare_upper(&Dir::open(&draft.fs())?, &tree, self.layers.ownership())?;
            return Ok(sandbox::Root::Overlay { lower, upper: draft.fs(), work: draft.work() });
        }
        let copy = Dir::open(&draft.work())?;
        let merged = Merged::new(self.layers.tree(parent)?, self.layers.contents(parent)?);
        jettison_layer::materialize(&merged.index(), &merged, &copy, self.layers.ownership())?;
        Ok(sandbox::Root::Directory(draft.work()))
    }

    /// What the command changed, as a layer.
    fn changes(
        &self,
        parent: &Snapshot,
        tree: &Tree,
        draft: &LayerDraft,
        copied: Timestamp,
    ) -> Result<Index, Error> {
        let contents = self.layers.contents(parent)?;
        let options = DiffOptions { started: self.request.started, ownership: self.layers.ownership() };
        let upper = Dir::open(&draft.fs())?;
        if parent.layers().is_empty() || self.identity.mode.overlay() {
            return Ok(jettison_layer::diff(&upper, tree, &contents, options)?);
        }
        let root = Dir::open(&draft.work())?;
        let index = jettison_layer::diff_directory(&root, tree, &contents, options, copied)?;
        let changed = jettison_layer::DirContent::new(root);
        jettison_layer::materialize(&index, &changed, &upper, self.layers.ownership())?;
        Ok(index)
    }

    /// Runs the command and passes its output on.
    fn execute(&self, id: StepId, run: &Run, spec: &sandbox::Spec) -> Result<(), Error> {
        let label = &self.graph.nodes[id].label;
        let failed = |source| Error::Sandbox { span: label.span, source };
        let io = |source| Error::Sandbox { span: label.span, source: sandbox::Error::Helper(source) };
        let (stdio, stdout, stderr) = Stdio3::pipes().map_err(io)?;
        let running = sandbox::spawn(self.identity, spec, stdio).map_err(failed)?;
        let _registered = self.running.register(id, running.killer());
        let tail = Mutex::new(Tail::default());
        let outcome = thread::scope(|scope| {
            scope.spawn(|| self.forward(id, Stream::Stdout, stdout, &tail));
            scope.spawn(|| self.forward(id, Stream::Stderr, stderr, &tail));
            running.wait()
        });
        let outcome = match outcome {
            _ if self.is_canceled() => return Err(Error::Canceled),
            outcome => outcome.map_err(failed)?,
        };
        for note in outcome.notes {
            self.note(id, note);
        }
        if !outcome.refused.is_empty() {
            let (step, refused) = (label.name.clone(), outcome.refused);
            return Err(Error::Refused { step, span: label.span, refused, remedy: self.identity.remedy() });
        }
        if outcome.code == 0 {
            return Ok(());
        }
        let tail = tail.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).finish();
        let command = run.args.join(" ");
        Err(Error::Run { step: label.name.clone(), span: label.span, command, code: outcome.code, tail })
    }

    fn forward(&self, step: StepId, stream: Stream, mut pipe: impl Read, tail: &Mutex<Tail>) {
        let mut buffer = vec![0; 1 << 14];
        // A pipe that cannot be read has ended as far as we are concerned; the exit code tells how it went.
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            lock(tail).push(&buffer[..read]);
            (self.events)(Event::Output { step, stream, bytes: buffer[..read].to_vec() });
        }
    }

    /// The fingerprint of what a mount shows, if that counts.
    fn mount_content(
        &self,
        mount: &Mount,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<Option<jettison_image::Digest>, Error> {
        match &mount.kind {
            MountKind::Bind { from, source } => self.path_fingerprint(from, source, tree_of).map(Some),
            MountKind::Cache { from: Some((from, source)), .. } => {
                self.path_fingerprint(from, source, tree_of).map(Some)
            }
            MountKind::Cache { from: None, .. } | MountKind::Tmpfs { .. } => Ok(None),
        }
    }

    fn script(
        &self,
        target: &str,
        content: &str,
        scratch: &mut Vec<LayerDraft>,
    ) -> Result<sandbox::Mount, Error> {
        use std::os::unix::fs::PermissionsExt;
        let draft = self.store.draft_layer()?;
        let path = draft.fs().join("script");
        let io = |source| Error::Io { action: "write", path: path.clone(), source };
        std::fs::write(&path, content).map_err(io)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).map_err(io)?;
        scratch.push(draft);
        let source = sandbox::MountSource::Bind(path);
        Ok(sandbox::Mount { target: target.to_owned(), source, read_only: true })
    }

    /// Makes what a mount shows. `scratch` keeps what is thrown away after the command.
    fn mount(
        &self,
        mount: &Mount,
        span: Span,
        tree_of: &dyn Fn(usize) -> Snapshot,
        scratch: &mut Vec<LayerDraft>,
    ) -> Result<sandbox::Mount, Error> {
        let source = match &mount.kind {
            MountKind::Tmpfs { size } => sandbox::MountSource::Tmpfs { size: *size },
            MountKind::Bind { from, source } => {
                let lower = self.mounted_tree(from, tree_of)?;
                let upper = match mount.read_only {
                    true => None,
                    false => {
                        let draft = self.store.draft_layer()?;
                        let pair = (draft.fs(), draft.work());
                        scratch.push(draft);
                        Some(pair)
                    }
                };
                sandbox::MountSource::Overlay { lower, path: source.clone(), upper }
            }
            MountKind::Cache { .. } => {
                let message = "RUN --mount=type=cache is not supported yet".to_owned();
                return Err(Error::Instruction { span, message, help: None });
            }
        };
        Ok(sandbox::Mount { target: mount.target.clone(), source, read_only: mount.read_only })
    }

    /// The directories of the tree that a mount shows; of a context, a copy that leaves out what is ignored.
    fn mounted_tree(
        &self,
        from: &Origin,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<Vec<PathBuf>, Error> {
        if let Origin::Tree(node) = from {
            return self.layers.directories(&tree_of(*node));
        }
        let layer = self.context_layer(from, tree_of)?;
        self.layers.directories(&self.layers.add(&Snapshot::empty(), layer))
    }

    /// Resolves the user of a RUN or WORKDIR in the tree it acts on.
    pub(crate) fn user(&self, spec: &str, parent: &Snapshot, span: Span) -> Result<sandbox::User, Error> {
        self.accounts(parent)?.run_as(spec).map_err(|source| Error::User { span, source })
    }

    /// Resolves `--chown` in the tree it acts on, which is not looked at where numbers say it all.
    pub(crate) fn owner(&self, spec: &str, parent: &Snapshot) -> Result<(u32, u32), Error> {
        let numbers = spec.split(':').all(|part| part.parse::<u32>().is_ok());
        let accounts = if numbers { Accounts::default() } else { self.accounts(parent)? };
        Ok(accounts.owner(spec))
    }

    fn accounts(&self, parent: &Snapshot) -> Result<Accounts, Error> {
        let tree = self.layers.tree(parent)?;
        let contents = self.layers.contents(parent)?;
        let passwd = text_of(&tree, &contents, b"etc/passwd")?;
        Ok(Accounts { passwd, group: text_of(&tree, &contents, b"etc/group")? })
    }
}

/// Returns the time by the clock of the file system that holds a draft.
fn touch(draft: &LayerDraft) -> Result<Timestamp, Error> {
    let root = Dir::open(&draft.work())?;
    let metadata = root.metadata(b".")?;
    root.set_mode(b".", metadata.mode)?;
    Ok(root.metadata(b".")?.ctime)
}

/// The last lines of a command's output.
#[derive(Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    /// Whether the last line has not ended yet.
    open: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.open {
                self.lines.push_back(Vec::new());
                if self.lines.len() > TAIL_LINES {
                    self.lines.pop_front();
                }
            }
            let text = piece.strip_suffix(b"\n");
            self.open = text.is_none();
            if let Some(line) = self.lines.back_mut() {
                let room = TAIL_WIDTH.saturating_sub(line.len());
                let text = text.unwrap_or(piece);
                line.extend_from_slice(&text[..text.len().min(room)]);
            }
        }
    }

    fn finish(self) -> Vec<String> {
        self.lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_whole_last_lines() {
        let mut tail = Tail::default();
        for number in 0..100 {
            tail.push(format!("line {number}\nand").as_bytes());
            tail.push(b" more\n");
        }
        tail.push(b"end");
        let lines = tail.finish();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines[TAIL_LINES - 3..], ["line 99", "and more", "end"]);
    }
}
