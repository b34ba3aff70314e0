//! `RUN --mount`: what each type becomes. BuildKit: `dockerfile2llb/convert_runmount.go`, `convert_secrets.go` and
//! `convert_ssh.go`.

mod parse;

use jettison_dockerfile::{Span, Word, csv_fields};

use crate::error::{Error, invalid};
use crate::graph::{Access, Mount, MountKind, Origin, Run, SecretVariable, Sharing};
use crate::instructions::{clean, join};

pub(crate) use parse::parse;
pub use parse::ram_in_bytes;

/// The build argument that keeps the caches of one build apart from those of others.
const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// The variable by which programs find an SSH agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// A mount as written, with variables expanded.
pub(crate) struct MountSpec {
    pub(crate) span: Span,
    kind: Type,
    from: Option<String>,
    source: Option<String>,
    /// As written: empty if nothing was.
    target: String,
    read_only: bool,
    required: bool,
    size: Option<u64>,
    id: Option<String>,
    env: Option<String>,
    sharing: Option<Sharing>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// Returns the `from` of a mount, unexpanded: variables are refused there. An empty one stands for none.
pub(crate) fn from_of(word: &Word) -> Option<String> {
    let from = csv_fields(&word.text).ok()?.into_iter().rev().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        key.eq_ignore_ascii_case("from").then(|| value.to_owned())
    });
    from.filter(|from| !from.is_empty())
}

/// Adds to `run` what a mount asks for. `origin` says what a name stands for, `namespace` is the caches'.
pub(crate) fn add(
    spec: MountSpec,
    run: &mut Run,
    namespace: Option<&str>,
    origin: &mut dyn FnMut(&str) -> Result<Origin, Error>,
) -> Result<(), Error> {
    match spec.kind {
        Type::Secret => return add_secret(spec, run),
        Type::Ssh => return add_agent(spec, run),
        Type::Bind | Type::Cache | Type::Tmpfs => {}
    }
    let target = clean(&join(&run.cwd, &spec.target));
    if target == "/" {
        return Err(invalid("mount", spec.span, "invalid mount target \"/\""));
    }
    let access = spec.access(0o755);
    let from = spec.from.as_deref().map(origin).transpose()?;
    let source = clean(spec.source.as_deref().unwrap_or("/"));
    let kind = match spec.kind {
        Type::Bind => MountKind::Bind { from: from.unwrap_or(Origin::Context), source },
        Type::Cache => {
            let id = spec.id.unwrap_or_else(|| clean_relative(&spec.target));
            let id = namespace.map(|namespace| format!("{namespace}/{id}")).unwrap_or(id);
            MountKind::Cache { id, sharing: spec.sharing.unwrap_or(Sharing::Shared), from, source, access }
        }
        _ => MountKind::Tmpfs { size: spec.size },
    };
    run.mounts.push(Mount { target, read_only: spec.read_only, kind });
    Ok(())
}

/// Returns the namespace of cache mounts that the build arguments set.
pub(crate) fn namespace(request: &crate::Request) -> Option<&str> {
    request.build_args.get(CACHE_NAMESPACE).map(String::as_str).filter(|namespace| !namespace.is_empty())
}

/// A secret is a file, a variable, or both: a file alone if neither is named.
fn add_secret(spec: MountSpec, run: &mut Run) -> Result<(), Error> {
    let access = spec.access(0o400).unwrap_or(Access { mode: 0o400, uid: 0, gid: 0 });
    let id = spec.source.or(spec.id).unwrap_or_else(|| base_name(&spec.target).to_owned());
    let target = match (spec.target.as_str(), &spec.env) {
        ("", Some(_)) => None,
        ("", None) => Some(format!("/run/secrets/{}", base_name(&id))),
        (target, _) => Some(clean(target)),
    };
    if target.as_deref() == Some("/") {
        return Err(invalid("mount", spec.span, "invalid mount target \"/\""));
    }
    if let Some(name) = spec.env {
        run.secret_env.push(SecretVariable { name, id: id.clone(), required: spec.required });
    }
    if let Some(target) = target {
        let kind = MountKind::Secret { id, required: spec.required, access };
        run.mounts.push(Mount { target, read_only: false, kind });
    }
    Ok(())
}

/// The first agent of a command is the one that its environment names, unless that names another already.
fn add_agent(spec: MountSpec, run: &mut Run) -> Result<(), Error> {
    let is_agent = |mount: &&Mount| matches!(mount.kind, MountKind::Ssh { .. });
    let number = run.mounts.iter().filter(is_agent).count();
    let target = match spec.target.as_str() {
        "" => format!("/run/buildkit/ssh_agent.{number}"),
        target => clean(target),
    };
    if target == "/" {
        return Err(invalid("mount", spec.span, "invalid mount target \"/\""));
    }
    let named = run.env.iter().any(|pair| pair.split('=').next() == Some(AGENT_VARIABLE));
    if number == 0 && !named {
        run.env.push(format!("{AGENT_VARIABLE}={target}"));
    }
    let access = spec.access(0o600).unwrap_or(Access { mode: 0o600, uid: 0, gid: 0 });
    let id = spec.id.unwrap_or_else(|| "default".to_owned());
    let kind = MountKind::Ssh { id, required: spec.required, access };
    run.mounts.push(Mount { target, read_only: false, kind });
    Ok(())
}

impl MountSpec {
    /// Returns mode and owner if one of them was asked for.
    fn access(&self, default_mode: u32) -> Option<Access> {
        let asked = self.mode.is_some() || self.uid.is_some() || self.gid.is_some();
        asked.then(|| Access {
            mode: self.mode.unwrap_or(default_mode),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        })
    }
}

/// Go's `path.Clean`, for paths of either kind.
fn clean_relative(path: &str) -> String {
    let mut components: Vec<&str> = Vec::new();
    if path.starts_with('/') {
        return clean(path);
    }
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|last| *last != "..") => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    if components.is_empty() { ".".to_owned() } else { components.join("/") }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("/tmp/a/", "/tmp/a"),
            ("a//b/./c/", "a/b/c"),
            ("a/../..", ".."),
            ("../../a", "../../a"),
            ("", "."),
            ("./", "."),
        ] {
            assert_eq!(clean_relative(path), cleaned, "{path}");
        }
    }
}
