//! Cache keys: what a step does and what it consumes, in one digest.
//!
//! A key starts with the name and version of what it is the key of; a change of meaning changes the version.

use jettison_image::{Digest, Digester};
use jettison_plan::{Access, Chmod, Copy, Mount, MountKind, Run, Workdir};
use serde::{Deserialize, Serialize};

/// The name of the empty tree.
pub(crate) fn empty_tree() -> Digest {
    Digest::of(b"jettison empty tree v1")
}

/// The name of a tree with one more layer on top.
pub(crate) fn tree(below: &Digest, layer: &str) -> Digest {
    let mut key = start("tree v1", below);
    key.field(layer.as_bytes());
    key.finish()
}

/// What a step's result depends on, part by part, and the digest of it all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Under which the step's layer is remembered.
    pub(crate) digest: Digest,
    /// In the order of the digest.
    pub(crate) parts: Vec<Part>,
}

/// One thing that a key depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// What it is, for people; no two of a key have one name.
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// What a key remembers of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Value {
    /// The name of the tree that the step acts on.
    Tree(Digest),
    /// What can be shown.
    Text(String),
    /// The digest of what may be private or long.
    Hidden(Digest),
    /// The fingerprint of files.
    Files(Digest),
}

/// Makes a key: whatever is digested is a part, so that no difference of keys is without a name.
struct KeyMaker {
    digester: Digester,
    parts: Vec<Part>,
}

impl KeyMaker {
    /// `what` is the kind of step with the version of its key.
    fn new(what: &str, parent: &Digest) -> KeyMaker {
        let digester = start(what, parent);
        KeyMaker { digester, parts: vec![Part { name: "parent".to_owned(), value: Value::Tree(*parent) }] }
    }

    fn text(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let text = text.into();
        self.add(name.into(), &text.clone(), Value::Text(text));
    }

    fn hidden(&mut self, name: impl Into<String>, text: &str) {
        self.add(name.into(), text, Value::Hidden(Digest::of(text.as_bytes())));
    }

    fn add(&mut self, name: String, digested: &str, value: Value) {
        self.digester.field(name.as_bytes()).field(digested.as_bytes());
        self.parts.push(Part { name, value });
    }

    fn files(&mut self, name: impl Into<String>, fingerprint: &Digest) {
        let name = name.into();
        self.digester.field(name.as_bytes()).field(fingerprint.as_bytes());
        self.parts.push(Part { name, value: Value::Files(*fingerprint) });
    }

    fn finish(self) -> Key {
        Key { digest: self.digester.finish(), parts: self.parts }
    }
}

/// What is known of a base image in the place of a key: its tree is looked up by no record.
pub(crate) fn image(source: &str, platform: &str, id: &Digest) -> Key {
    let mut key = KeyMaker::new("image v1", &empty_tree());
    key.text("image", source);
    key.text("platform", platform);
    key.text("image ID", id.to_string());
    key.finish()
}

/// What is known of a file of the network in the place of a key.
pub(crate) fn fetch(address: &str, layer: &str) -> Key {
    let mut key = KeyMaker::new("fetch v1", &empty_tree());
    key.text("address", address);
    key.hidden("what is there", layer);
    key.finish()
}

/// The key of `RUN`. `contents` are the fingerprints of what its bind mounts and cache mounts start with, in order.
///
/// As in BuildKit, proxies, the addresses of extra hosts, the parent cgroup, the names and contents of cache mounts, and
/// the contents of secrets do not count.
pub(crate) fn run(parent: &Digest, run: &Run, contents: &[Digest]) -> Key {
    let mut key = KeyMaker::new("run v3", parent);
    key.text("command", format!("{:?}", run.args));
    for variable in &run.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        key.hidden(format!("environment variable {name}"), value);
    }
    key.text("working directory", &run.cwd);
    key.text("user", &run.user);
    key.text("host name", &run.hostname);
    if let Some(script) = &run.script {
        key.hidden("here-document", &script.content);
    }
    key.text("network", format!("{:?}", run.network).to_lowercase());
    key.text("security", format!("{:?}", run.security).to_lowercase());
    key.text("size of /dev/shm", format!("{:?}", run.shm_size));
    key.text("limits", format!("{:?}", run.limits));
    for variable in &run.secret_env {
        key.text(format!("secret variable {}", variable.name), format!("{variable:?}"));
    }
    let mut contents = contents.iter();
    for (number, mount) in run.mounts.iter().enumerate() {
        let name = format!("mount {} at {}", number + 1, mount.target);
        key.text(&name, self::mount(mount));
        if let (Some(_), Some(content)) = (mount.kind.source(), contents.next()) {
            key.files(format!("files of {name}"), content);
        }
    }
    key.finish()
}

/// What counts of a mount beside its target and its files.
fn mount(mount: &Mount) -> String {
    let access = if mount.read_only { "read-only" } else { "writable" };
    match &mount.kind {
        MountKind::Bind { source, .. } => format!("bind {access} {source:?}"),
        MountKind::Cache { sharing, source, access: owner, .. } => {
            format!("cache {access} {sharing:?} {source:?} {owner:?}")
        }
        MountKind::Tmpfs { size } => format!("tmpfs {access} {size:?}"),
        MountKind::Secret { id, required, access: owner }
        | MountKind::Ssh { id, required, access: owner } => {
            format!("{} {access} {id:?} {required} {owner:?}", mount.kind.as_str())
        }
    }
}

/// The name of a cache mount in the store. As in BuildKit, what it starts with and its access are part of it: `content`
/// is the fingerprint of the former.
pub(crate) fn cache_mount(
    id: &str,
    source: &str,
    content: Option<&Digest>,
    access: Option<&Access>,
) -> Digest {
    let mut key = Digester::new();
    key.field(b"cache mount v1").field(id.as_bytes()).field(format!("{access:?}").as_bytes());
    if let Some(content) = content {
        key.field(source.as_bytes()).field(content.as_bytes());
    }
    key.finish()
}

/// The key of `COPY` and `ADD`. `contents` is the fingerprint of what is copied, `owner` the resolved `--chown`.
///
/// With `--link` the layer does not depend on the parent, and `parent` is the empty tree.
pub(crate) fn copy(parent: &Digest, copy: &Copy, owner: Option<(u32, u32)>, contents: &Digest) -> Key {
    let mut key = KeyMaker::new("copy v4", parent);
    key.text("destination", &copy.destination);
    if let Some((uid, gid)) = owner {
        key.text("--chown", format!("{uid}:{gid}"));
    }
    match &copy.chmod {
        None => {}
        Some(Chmod::Octal(mode)) => key.text("--chmod", format!("{mode:o}")),
        Some(Chmod::Symbolic(mode)) => key.text("--chmod", mode),
    }
    if !copy.exclude.is_empty() {
        key.text("--exclude", format!("{:?}", copy.exclude));
    }
    let parents: Vec<&str> = copy.sources.iter().filter_map(|source| source.include.as_deref()).collect();
    if !parents.is_empty() {
        key.text("--parents", format!("{parents:?}"));
    }
    let extracted: Vec<bool> = copy.sources.iter().map(|source| source.extract).collect();
    if extracted.contains(&true) {
        key.text("which archives are extracted", format!("{extracted:?}"));
    }
    for file in &copy.files {
        key.hidden(format!("here-document {}", file.name), &file.content);
    }
    key.files("files", contents);
    key.finish()
}

/// The name of what a COPY takes of `trees`, or of contexts as they were listed, one for each source: never does it come
/// to anything else.
pub(crate) fn selector(copy: &Copy, trees: &[Digest]) -> Digest {
    let mut key = Digester::new();
    key.field(b"selector v2").field(format!("{:?}", copy.exclude).as_bytes());
    for (source, tree) in copy.sources.iter().zip(trees) {
        key.field(tree.as_bytes()).field(source.path.as_bytes());
        key.field(format!("{:?}", source.include).as_bytes()).field(&[source.extract.into()]);
    }
    key.finish()
}

/// The name of a path in a tree, with all below it.
pub(crate) fn subtree(tree: &Digest, path: &str) -> Digest {
    let mut key = start("subtree v1", tree);
    key.field(path.as_bytes());
    key.finish()
}

/// The name of an account in a tree.
pub(crate) fn owner(tree: &Digest, spec: &str) -> Digest {
    let mut key = start("owner v1", tree);
    key.field(spec.as_bytes());
    key.finish()
}

/// The key of `WORKDIR`.
pub(crate) fn workdir(parent: &Digest, workdir: &Workdir) -> Key {
    let mut key = KeyMaker::new("workdir v2", parent);
    key.text("path", &workdir.path);
    key.text("user", &workdir.user);
    key.finish()
}

fn start(what: &str, parent: &Digest) -> Digester {
    let mut key = Digester::new();
    key.field(what.as_bytes()).field(parent.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let key = |parts: &[(&str, &str)]| {
            let mut key = KeyMaker::new("test v1", &empty_tree());
            parts.iter().for_each(|(name, text)| key.text(*name, *text));
            key.finish().digest
        };
        assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
        assert_ne!(key(&[("a", "b")]), key(&[("a", "b"), ("c", "")]));
        assert_ne!(key(&[("a", "1"), ("b", "2")]), key(&[("b", "2"), ("a", "1")]));
    }
}
