//! Carrying out RUN.

use std::io;
use std::sync::atomic::Ordering;

use jettison_dockerfile::Span;
use jettison_fs::Dir;
use jettison_image::HashingWriter;
use jettison_layer::{DiffOptions, Index, Merged, NoContent, Timestamp, Tree};
use jettison_plan::{NetworkMode, Run, Security};
use jettison_sandbox as sandbox;
use jettison_sandbox::Stdio3;
use jettison_store::{LayerDraft, LayerId};

use crate::engine::Engine;
use crate::event::{Event, StepId, Stream};
use crate::layers::Snapshot;
use crate::sources::text_of;
use crate::tail::Tail;
use crate::users::Accounts;
use crate::{Error, keys};

impl Engine<'_> {
    /// Returns the layer of a RUN, and whether it came from the cache.
    pub(crate) fn run(
        &self,
        id: StepId,
        run: &Run,
        parent: &Snapshot,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<(LayerId, bool), Error> {
        self.runs_left.fetch_sub(1, Ordering::Relaxed);
        let contents = self.mount_contents(run, tree_of)?;
        let key = keys::run(&parent.id, run, &contents);
        self.once(Some(id), key, || {
            self.keep_mount_listings(run, &contents, tree_of)?;
            self.run_now(id, run, parent, tree_of)
        })
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
        self.prepare_sandbox(id, run)?;
        let user = self.user(&run.user, parent, span)?;
        let env = self.environment(run, span)?;
        let tree = self.layers.tree(parent)?;
        let mut draft = self.store.draft_layer()?;
        let root = self.root(parent, &draft)?;
        if let sandbox::Root::Overlay { .. } = &root {
            draft.leave_work();
        }
        let (mounts, kept) = self.mounts(id, run, tree_of)?;
        let started = std::time::Instant::now();
        let copied = match self.identity.mode.overlay() {
            true => Timestamp::default(),
            false => touch(&draft)?,
        };
        self.execute(id, run, &sandbox::Spec { user, mounts, ..spec(run, root, env) })?;
        drop(kept);
        let index = self.changes(parent, &tree, &draft, copied)?;
        let mut facts = self.facts(started);
        facts.created_by.clone_from(&self.graph.nodes[id].label.name);
        if index.entries.is_empty() {
            // The tar of nothing is at hand; one with files waits until it is known whether anybody wants it.
            let mut out = HashingWriter::new(io::sink());
            jettison_layer::write_layer(&index, &NoContent, self.request.times, &mut out)?;
            facts.set_diff_id(self.request.times, out.finish().1);
        }
        let layer = draft.commit(facts, &index)?;
        self.layers.made(&layer, index);
        Ok(layer.id().clone())
    }

    /// Makes ready what all commands share, and says what is weaker here than elsewhere.
    fn prepare_sandbox(&self, id: StepId, run: &Run) -> Result<(), Error> {
        if let Some(why) = self.no_sandbox {
            let span = self.graph.nodes[id].label.span;
            return Err(Error::NoSandbox { span, why: why.to_owned() });
        }
        if !self.identity.mode.overlay() {
            let note = "RUN works in a chroot here, which confines commands less than a container";
            self.note(id, note.to_owned());
            return Ok(());
        }
        if run.network == NetworkMode::Default {
            match sandbox::private_networks(self.identity) {
                true => sandbox::prepare_network(self.identity),
                false => {
                    self.note(id, "RUN has the network of the host, for pasta is not installed".to_owned())
                }
            }
        }
        let path = self.store.mount_points();
        sandbox::share_mount_points(&path).map_err(|source| Error::Io { action: "write", path, source })
    }

    /// The root file system: an overlay on the parent's layers, or where nothing can be mounted a copy of them.
    fn root(&self, parent: &Snapshot, draft: &LayerDraft) -> Result<sandbox::Root, Error> {
        if parent.layers().is_empty() {
            return Ok(sandbox::Root::Directory(draft.fs()));
        }
        if self.identity.mode.overlay() {
            let lower = self.layers.lower(parent)?;
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
        if self.runs_left.load(Ordering::Relaxed) > 0 {
            sandbox::prepare_command(self.identity);
        }
        let mut tail = Tail::default();
        let streams = [Stream::Stdout, Stream::Stderr];
        sandbox::read_all([stdout, stderr], &mut |pipe, bytes| {
            tail.push(bytes);
            (self.events)(Event::Output { step: id, stream: streams[pipe], bytes: bytes.to_vec() });
        });
        let outcome = match running.wait() {
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
        if let Some(foreign) = outcome.foreign {
            return Err(Error::Foreign { step: label.name.clone(), span: label.span, foreign });
        }
        if outcome.code == 0 {
            return Ok(());
        }
        let (command, tail) = (run.args.join(" "), tail.finish());
        Err(Error::Run { step: label.name.clone(), span: label.span, command, code: outcome.code, tail })
    }

    /// Resolves the user of a RUN or WORKDIR in the tree it acts on.
    pub(crate) fn user(&self, spec: &str, parent: &Snapshot, span: Span) -> Result<sandbox::User, Error> {
        self.accounts(parent)?.run_as(spec).map_err(|source| Error::User { span, source })
    }

    /// Resolves `--chown` in the tree it acts on, which is not looked at where numbers say it all.
    pub(crate) fn owner(&self, spec: &str, parent: &Snapshot) -> Result<(u32, u32), Error> {
        if spec.split(':').all(|part| part.parse::<u32>().is_ok()) {
            return Ok(Accounts::default().owner(spec));
        }
        self.known(&keys::owner(&parent.id, spec), || Ok(self.accounts(parent)?.owner(spec)))
    }

    fn accounts(&self, parent: &Snapshot) -> Result<Accounts, Error> {
        let tree = self.layers.tree(parent)?;
        let contents = self.layers.contents(parent)?;
        let passwd = text_of(&tree, &contents, b"etc/passwd")?;
        Ok(Accounts { passwd, group: text_of(&tree, &contents, b"etc/group")? })
    }
}

/// What a RUN says of itself.
fn spec(run: &Run, root: sandbox::Root, env: Vec<String>) -> sandbox::Spec {
    let limit = |limit: &jettison_plan::Limit| sandbox::Limit {
        name: limit.name.clone(),
        soft: limit.soft,
        hard: limit.hard,
    };
    sandbox::Spec {
        root,
        args: run.args.clone(),
        env,
        cwd: run.cwd.clone(),
        user: sandbox::User::default(),
        hostname: run.hostname.clone(),
        extra_hosts: run.extra_hosts.clone(),
        network: match run.network {
            NetworkMode::Default => sandbox::Network::Default,
            NetworkMode::Host => sandbox::Network::Host,
            NetworkMode::None => sandbox::Network::None,
        },
        mounts: Vec::new(),
        shm_size: run.shm_size,
        limits: run.limits.iter().map(limit).collect(),
        cgroup_parent: run.cgroup_parent.clone(),
        insecure: run.security == Security::Insecure,
        interactive: false,
    }
}

/// Returns the time by the clock of the file system that holds a draft.
fn touch(draft: &LayerDraft) -> Result<Timestamp, Error> {
    let root = Dir::open(&draft.work())?;
    let metadata = root.metadata(b".")?;
    root.set_mode(b".", metadata.mode)?;
    Ok(root.metadata(b".")?.ctime)
}
