//! The graph of steps: plain data, printable, in an order in which every step follows what it needs.

use std::fmt;

use jettison_dockerfile::Span;
use jettison_image::{Config, Digest, Platform, Reference};

use crate::remote::Remote;

/// The number of a node in its graph; a node's inputs have smaller numbers.
pub type NodeId = usize;

/// Everything that the target needs, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The stages that are built, in the order of the Dockerfile. The target is the last one by need, not by number.
    pub stages: Vec<StagePlan>,
    /// The number of the target in `stages`.
    pub target: usize,
}

/// A stage that is built.
#[derive(Debug, Clone, PartialEq)]
pub struct StagePlan {
    /// Its name, or `stage-N` for the Nth of the file, counted from zero.
    pub name: String,
    /// The node whose tree is the stage's.
    pub node: NodeId,
    /// The config at the end of the stage; history is complete, diff IDs are those of the base image alone.
    pub config: Config,
    /// What the stage is for.
    pub platform: Platform,
}

/// One step: it makes a tree from its inputs' trees.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it does.
    pub operation: Operation,
    /// The tree it changes; `None` for an empty one.
    pub parent: Option<NodeId>,
    /// How the user knows it.
    pub label: Label,
}

/// How the user knows a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Such as `[builder 2/5] RUN go build`.
    pub name: String,
    /// Its stage, by number in the Dockerfile.
    pub stage: usize,
    /// Its instruction. For a trigger of the base image that is the FROM.
    pub span: Span,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// The tree of an image.
    Image {
        /// Which.
        source: ImageSource,
        /// For what.
        platform: Platform,
        /// The image ID, where planning had to know the config.
        id: Option<Digest>,
    },
    /// A command.
    Run(Run),
    /// Files from somewhere else.
    Copy(Copy),
    /// A directory.
    Workdir(Workdir),
    /// Files from the network.
    Fetch(Remote),
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageSource {
    /// A registry, or the store.
    Reference(Reference),
    /// A named context that holds an image, by its key.
    Context(String),
}

/// `RUN`
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The words of the command, shell included.
    pub args: Vec<String>,
    /// A script that is mounted read-only and executable at `args[0]`: a here-document with an interpreter line.
    pub script: Option<InlineFile>,
    /// `NAME=value`: what the command sees of ENV and ARG.
    pub env: Vec<String>,
    /// Proxy variables, which are no part of the cache key.
    pub proxy_env: Vec<String>,
    /// The working directory.
    pub cwd: String,
    /// `user[:group]` by name or number, empty for root.
    pub user: String,
    /// What it reaches.
    pub network: NetworkMode,
    /// Names and addresses for `/etc/hosts`.
    pub extra_hosts: Vec<(String, String)>,
    /// More mounts, in order.
    pub mounts: Vec<Mount>,
    /// Environment variables whose values are secrets: known to nobody but the command.
    pub secret_env: Vec<SecretVariable>,
    /// How much the command may do.
    pub security: Security,
    /// `--shm-size`: bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// `--ulimit`
    pub limits: Vec<Limit>,
    /// `--cgroup-parent`: the cgroup beneath which the command gets one of its own; no part of the cache key.
    pub cgroup_parent: Option<String>,
    /// The host name.
    pub hostname: String,
}

/// What a command reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// The builder's choice.
    #[default]
    Default,
    /// The host's network.
    Host,
    /// Nothing.
    None,
}

/// How much a command may do: `RUN --security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Docker's default capabilities and seccomp profile.
    #[default]
    Sandbox,
    /// All capabilities, no seccomp, nothing of `/proc` and `/sys` hidden.
    Insecure,
}

/// A resource limit: `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// docker's name, such as `nofile`.
    pub name: String,
    /// What the command starts with; `u64::MAX` for none.
    pub soft: u64,
    /// As far as the command may raise it.
    pub hard: u64,
}

/// `RUN --mount=type=secret,env=NAME`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVariable {
    /// The variable.
    pub name: String,
    /// The secret.
    pub id: String,
    /// Whether the build fails without it; else the variable is empty.
    pub required: bool,
}

/// `RUN --mount`
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// Where, absolute.
    pub target: String,
    /// Whether writing is refused.
    pub read_only: bool,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq)]
pub enum MountKind {
    /// Files of the context or of another tree; writes are thrown away.
    Bind {
        /// Whose.
        from: Origin,
        /// The path there.
        source: String,
    },
    /// A directory that outlives the build.
    Cache {
        /// Its name, namespace included.
        id: String,
        /// Who may use it at the same time.
        sharing: Sharing,
        /// Whose files it starts with.
        from: Option<Origin>,
        /// The path that is mounted: with `from` one there, else one of the cache's own.
        source: String,
        /// Mode and owner of the directory, where one of them was asked for.
        access: Option<Access>,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// In bytes.
        size: Option<u64>,
    },
    /// A file with a secret.
    Secret {
        /// Its name.
        id: String,
        /// Whether the build fails without it; else there is no file.
        required: bool,
        /// Mode and owner of the file.
        access: Access,
    },
    /// The socket of an SSH agent.
    Ssh {
        /// Its name.
        id: String,
        /// Whether the build fails without it; else there is no socket.
        required: bool,
        /// Mode and owner of the socket.
        access: Access,
    },
}

impl MountKind {
    /// Returns where the files come from, and the path there, if they are another tree's or a context's.
    pub fn source(&self) -> Option<(&Origin, &str)> {
        match self {
            MountKind::Bind { from, source } | MountKind::Cache { from: Some(from), source, .. } => {
                Some((from, source))
            }
            _ => None,
        }
    }

    /// Returns what `type=` calls it.
    pub fn as_str(&self) -> &'static str {
        match self {
            MountKind::Bind { .. } => "bind",
            MountKind::Cache { .. } => "cache",
            MountKind::Tmpfs { .. } => "tmpfs",
            MountKind::Secret { .. } => "secret",
            MountKind::Ssh { .. } => "ssh",
        }
    }
}

/// Mode and owner of what is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Who may use a cache mount at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody.
    Shared,
    /// One step each; another step gets another directory.
    Private,
    /// One step at a time.
    Locked,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// What is copied, in order.
    pub sources: Vec<CopySource>,
    /// Files whose content stands in the Dockerfile.
    pub files: Vec<InlineFile>,
    /// Absolute; a trailing slash says that it is a directory.
    pub destination: String,
    /// `user[:group]` by name or number.
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<Chmod>,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
    /// Whether the layer is independent of its parent.
    pub link: bool,
}

/// One source of a COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// Its word in the Dockerfile; absent where it has none, as in a trigger of the base image.
    pub span: Option<Span>,
    /// Where it is.
    pub from: Origin,
    /// A path or pattern, relative to the root, without leading slash: a file, or a directory whose content is meant.
    pub path: String,
    /// `--parents`: the pattern of what is taken of `path`, relative to it, with the directories on the way.
    pub include: Option<String>,
    /// ADD: whether an archive is extracted.
    pub extract: bool,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The build context.
    Context,
    /// A named context that holds files, by its key.
    NamedContext(String),
    /// The tree of another node.
    Tree(NodeId),
}

/// A file whose content stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// `--chmod`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// The mode of all files and directories.
    Octal(u32),
    /// Changes as `chmod` takes them, such as `u=rwX,go=rX`.
    Symbolic(String),
}

/// `WORKDIR`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workdir {
    /// Absolute and clean.
    pub path: String,
    /// `user[:group]` that owns what has to be made.
    pub user: String,
}

impl Node {
    /// Returns all nodes whose trees this one reads, its parent first.
    pub fn inputs(&self) -> Vec<NodeId> {
        let tree = |origin: &Origin| match origin {
            Origin::Tree(node) => Some(*node),
            Origin::Context | Origin::NamedContext(_) => None,
        };
        let mut inputs: Vec<NodeId> = self.parent.into_iter().collect();
        match &self.operation {
            Operation::Image { .. } | Operation::Workdir(_) | Operation::Fetch(_) => {}
            Operation::Copy(copy) => {
                for tree in copy.sources.iter().filter_map(|source| tree(&source.from)) {
                    if !inputs.contains(&tree) {
                        inputs.push(tree);
                    }
                }
            }
            Operation::Run(run) => {
                let sources = run.mounts.iter().filter_map(|mount| mount.kind.source());
                inputs.extend(sources.filter_map(|(from, _)| tree(from)));
            }
        }
        inputs
    }

    /// Returns the places of all numbers that [`Node::inputs`] returns.
    pub(crate) fn trees_mut(&mut self) -> Vec<&mut NodeId> {
        fn tree(origin: &mut Origin) -> Option<&mut NodeId> {
            match origin {
                Origin::Tree(node) => Some(node),
                Origin::Context | Origin::NamedContext(_) => None,
            }
        }
        let mut trees: Vec<&mut NodeId> = self.parent.iter_mut().collect();
        match &mut self.operation {
            Operation::Image { .. } | Operation::Workdir(_) | Operation::Fetch(_) => {}
            Operation::Copy(copy) => {
                trees.extend(copy.sources.iter_mut().filter_map(|source| tree(&mut source.from)));
            }
            Operation::Run(run) => {
                trees.extend(run.mounts.iter_mut().filter_map(|mount| match &mut mount.kind {
                    MountKind::Bind { from, .. } => tree(from),
                    MountKind::Cache { from, .. } => from.as_mut().and_then(tree),
                    MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => None,
                }))
            }
        }
        trees
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::Reference(reference) => write!(f, "{reference}"),
            ImageSource::Context(name) => write!(f, "context {name}"),
        }
    }
}

impl fmt::Display for Graph {
    /// One line a node: number, what it reads, its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<String> = node.inputs().iter().map(ToString::to_string).collect();
            writeln!(f, "{id} <- {{{}}} {}", inputs.join(","), node.label.name)?;
        }
        Ok(())
    }
}
