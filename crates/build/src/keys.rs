//! Cache keys: what a step does and what it consumes, in one digest.
//!
//! A key starts with the name and version of what it is the key of; a change of meaning changes the version.

use jettison_image::{Digest, Digester};
use jettison_plan::{Access, Chmod, Copy, Mount, MountKind, NetworkMode, Run, Sharing, Workdir};

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
/// As in BuildKit, proxies, the addresses of extra hosts, the names and contents of cache mounts, and the contents of
/// secrets do not count.
pub(crate) fn run(parent: &Digest, run: &Run, contents: &[Digest]) -> Digest {
    let mut key = start("run v2", parent);
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
    key.field(format!("{:?} {:?} {:?}", run.security, run.shm_size, run.limits).as_bytes());
    for variable in &run.secret_env {
        key.field(format!("{variable:?}").as_bytes());
    }
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
        MountKind::Cache { sharing, source, access, .. } => {
            let sharing = match sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            };
            key.field(b"cache").field(format!("{sharing} {source} {access:?}").as_bytes())
        }
        MountKind::Tmpfs { size } => key.field(b"tmpfs").field(format!("{size:?}").as_bytes()),
        MountKind::Secret { id, required, access } | MountKind::Ssh { id, required, access } => {
            key.field(mount.kind.as_str().as_bytes());
            key.field(format!("{id} {required} {access:?}").as_bytes())
        }
    };
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
pub(crate) fn copy(parent: &Digest, copy: &Copy, owner: Option<(u32, u32)>, contents: &Digest) -> Digest {
    let mut key = start("copy v3", parent);
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
        key.field(&[u8::from(source.extract)]);
    }
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
