//! Cache keys: what a step does and what it consumes, in one digest.
//!
//! A key starts with the name and version of what it is the key of; a change of meaning changes the version.

use jettison_image::{Digest, Digester};
use jettison_plan::{Chmod, Copy, Mount, MountKind, NetworkMode, Run, Sharing, Workdir};

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

/// The key of `RUN`. `contents` are the fingerprints of what its bind mounts and cache mounts start with, in order.
///
/// As in BuildKit, proxies, the addresses of extra hosts, and the names and contents of cache mounts do not count.
pub(crate) fn run(parent: &Digest, run: &Run, contents: &[Digest]) -> Digest {
    let mut key = start("run v1", parent);
    list(&mut key, &run.args);
    list(&mut key, &run.env);
    for field in [&run.cwd, &run.user, &run.hostname] {
        key.field(field.as_bytes());
    }
    if let Some(script) = &run.script {
        key.field(script.content.as_bytes());
    }
    key.field(match run.network {
        NetworkMode::Default => b"default",
        NetworkMode::Host => b"host",
        NetworkMode::None => b"none",
    });
    for mount in &run.mounts {
        self::mount(&mut key, mount);
    }
    for content in contents {
        key.field(content.as_bytes());
    }
    key.finish()
}

fn mount(key: &mut Digester, mount: &Mount) {
    key.field(mount.target.as_bytes()).field(&[u8::from(mount.read_only)]);
    match &mount.kind {
        MountKind::Bind { source, .. } => key.field(b"bind").field(source.as_bytes()),
        MountKind::Cache { sharing, mode, uid, gid, .. } => {
            let sharing = match sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            };
            key.field(b"cache").field(format!("{sharing} {mode:o} {uid} {gid}").as_bytes())
        }
        MountKind::Tmpfs { size } => key.field(b"tmpfs").field(format!("{size:?}").as_bytes()),
    };
}

/// The key of `COPY` and `ADD`. `contents` is the fingerprint of what is copied, `owner` the resolved `--chown`.
///
/// With `--link` the layer does not depend on the parent, and `parent` is the empty tree.
pub(crate) fn copy(parent: &Digest, copy: &Copy, owner: Option<(u32, u32)>, contents: &Digest) -> Digest {
    let mut key = start("copy v2", parent);
    key.field(copy.destination.as_bytes());
    key.field(format!("{owner:?}").as_bytes());
    key.field(
        match &copy.chmod {
            None => String::new(),
            Some(Chmod::Octal(mode)) => format!("{mode:o}"),
            Some(Chmod::Symbolic(mode)) => mode.clone(),
        }
        .as_bytes(),
    );
    list(&mut key, &copy.exclude);
    for source in &copy.sources {
        key.field(source.include.as_deref().unwrap_or_default().as_bytes());
    }
    key.field(&[u8::from(copy.extract)]);
    key.field(contents.as_bytes());
    key.finish()
}

/// The key of `WORKDIR`.
pub(crate) fn workdir(parent: &Digest, workdir: &Workdir) -> Digest {
    let mut key = start("workdir v1", parent);
    key.field(workdir.path.as_bytes()).field(workdir.user.as_bytes());
    key.finish()
}

fn start(what: &str, parent: &Digest) -> Digester {
    let mut key = Digester::new();
    key.field(what.as_bytes()).field(parent.as_bytes());
    key
}

fn list(key: &mut Digester, words: &[String]) {
    key.field(&(words.len() as u64).to_le_bytes());
    for word in words {
        key.field(word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_do_not_run_together() {
        let key = |words: &[&str]| {
            let mut key = Digester::new();
            list(&mut key, &words.iter().map(ToString::to_string).collect::<Vec<_>>());
            key.finish()
        };
        assert_ne!(key(&["a", "b"]), key(&["ab"]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
    }
}
