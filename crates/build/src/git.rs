//! Commits of git repositories, each as a layer.
//!
//! The user's own `git` talks to the repository, as BuildKit's does: credentials, SSH, proxies and rewritten URLs are then
//! as the user has set them up. What could make two checkouts of one commit differ is set here instead.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use jettison_dockerfile::ignore::Patterns;
use jettison_image::{Digest, Digester};
use jettison_layer::{Index, Kind, Timestamp};
use jettison_plan::{GitTree, Remote};
use jettison_store::{LayerFacts, LayerId, Object};
use serde::{Deserialize, Serialize};

use crate::ContextSource;
use crate::context::{ContextFiles, Listing};
use crate::engine::POLL;
use crate::fetch::{FetchError, Fetcher};
use crate::stat_cache::StatCache;

/// The kind of records that remember the layers of commits.
const COMMITS: &str = "commits";

/// The most that is shown of what git says, in bytes.
const MAX_SAID: u64 = 4 << 10;

/// How SSH is called unless the user has said so: it must not ask, and finds the user's hosts though in a user namespace
/// it takes the user for root.
const SSH: &str = r#"ssh -o BatchMode=yes -o UserKnownHostsFile="$HOME/.ssh/known_hosts""#;

/// What is the same for everybody, whatever they have configured: no programs of the repository's or the user's run at a
/// checkout, and files come out as they were committed.
const CONFIG: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.symlinks", "true"),
    ("core.fileMode", "true"),
    ("filter.lfs.smudge", ""),
    ("filter.lfs.process", ""),
    ("filter.lfs.required", "false"),
    ("init.defaultBranch", "master"),
    ("advice.detachedHead", "false"),
    // Objects are kept one by one: how a server packs them differs from day to day.
    ("fetch.unpackLimit", "2147483647"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
];

/// What was made of a commit.
#[derive(Serialize, Deserialize)]
struct CommitRecord {
    layer: LayerId,
}

/// What a ref stands for.
struct Resolved {
    commit: String,
    /// The annotated tag on the way to the commit.
    tag: Option<String>,
    /// The whole name of the ref, where one was asked for.
    name: Option<String>,
}

/// One repository in the making.
struct Repository<'a> {
    fetcher: &'a Fetcher<'a>,
    git: &'a GitTree,
    /// The working tree, with `.git` in it.
    tree: PathBuf,
    /// More configuration: credentials, which are on no command line.
    config: Vec<(String, String)>,
}

impl Fetcher<'_> {
    /// Returns the layer with the files of a commit, and whether it was there already.
    pub(crate) fn git(&self, git: &GitTree) -> Result<(LayerId, bool), FetchError> {
        let draft = self.store.draft_layer()?;
        let tree = if git.subdir.is_empty() { draft.fs() } else { draft.work().join("tree") };
        fs::create_dir_all(&tree)?;
        let mut repository = Repository { fetcher: self, git, tree, config: Vec::new() };
        repository.config = repository.own_config()?;
        let resolved = repository.resolve()?;
        repository.verify(&resolved)?;
        let records = self.store.records(COMMITS);
        let key = key(git, &resolved);
        if let Some(record) = records.get::<CommitRecord>(&key)? {
            return Ok((record.layer, true));
        }
        repository.check_out(&resolved)?;
        let time = repository.time(&resolved.commit)?;
        repository.tidy(&resolved)?;
        if !git.subdir.is_empty() {
            let subdir = within(&repository.tree, &git.subdir).ok_or_else(|| FetchError::NoSubdir {
                subdir: git.subdir.clone(),
                commit: resolved.commit,
            })?;
            fs::rename(subdir, draft.fs())?;
        }
        fs::set_permissions(draft.fs(), Permissions::from_mode(0o755))?;
        let index = self.list(&draft.fs(), git.commit_times.then_some(time))?;
        let layer = draft.commit(LayerFacts::default(), &index)?.id().clone();
        records.put(&key, &CommitRecord { layer: layer.clone() }, &[Object::Layer(layer.clone())])?;
        Ok((layer, false))
    }

    /// Lists the files, with the modes that git knows whatever the umask made of them.
    fn list(&self, root: &Path, time: Option<i64>) -> Result<Index, FetchError> {
        let ignore = Patterns::parse(b"").map_err(|error| io::Error::other(error.to_string()))?;
        let source = ContextSource { path: root.to_owned(), ignore };
        let listing = Listing::read(&source, &[String::new()], self.started);
        let files = listing.and_then(|listing| ContextFiles::new(listing, &StatCache::default()));
        let files = files.map_err(|error| io::Error::other(error.to_string()))?;
        let mut index = Arc::unwrap_or_clone(files.index);
        for entry in &mut index.entries {
            let path = root.join(OsStr::from_bytes(&entry.path));
            let executable = entry.mode & 0o100 != 0;
            if !matches!(entry.kind, Kind::Symlink { .. }) {
                entry.mode = if executable { 0o755 } else { 0o644 };
                fs::set_permissions(&path, Permissions::from_mode(entry.mode))?;
            }
            if let Some(seconds) = time {
                entry.mtime = Timestamp { seconds, nanoseconds: 0 };
                entry.fresh = seconds >= self.started.seconds;
                if matches!(entry.kind, Kind::File { .. }) {
                    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                    File::open(&path)?.set_modified(time)?;
                }
            }
        }
        Ok(index)
    }
}

impl Repository<'_> {
    /// Finds out which commit is meant, now.
    fn resolve(&self) -> Result<Resolved, FetchError> {
        let wanted = self.git.reference.as_deref().unwrap_or("HEAD");
        if is_commit(wanted) {
            return Ok(Resolved { commit: wanted.to_owned(), tag: None, name: None });
        }
        let peeled = format!("{wanted}^{{}}");
        let listed = self.run(&["ls-remote", "--", &self.git.remote, wanted, &peeled])?;
        let find = |name: &str| {
            let line = listed.lines().find_map(|line| line.split_once('\t').filter(|(_, own)| *own == name));
            line.map(|(id, _)| id.to_owned())
        };
        // The order is git's: gitrevisions(7).
        for name in ["", "refs/", "refs/tags/", "refs/heads/"].map(|prefix| format!("{prefix}{wanted}")) {
            let Some(id) = find(&name) else { continue };
            let peeled = find(&format!("{name}^{{}}"));
            let tag = peeled.is_some().then(|| id.clone());
            let name = Some(name).filter(|name| name != "HEAD");
            return Ok(Resolved { commit: peeled.unwrap_or(id), tag, name });
        }
        Err(FetchError::NoRef { reference: wanted.to_owned() })
    }

    fn verify(&self, resolved: &Resolved) -> Result<(), FetchError> {
        let Some(checksum) = &self.git.checksum else { return Ok(()) };
        let checksum = checksum.to_ascii_lowercase();
        let same = |id: &String| id.starts_with(&checksum);
        if same(&resolved.commit) || resolved.tag.as_ref().is_some_and(same) {
            return Ok(());
        }
        Err(FetchError::Commit { expected: checksum, found: resolved.commit.clone() })
    }

    /// Fetches the commit, with as little else as the server can do, and makes its files.
    fn check_out(&self, resolved: &Resolved) -> Result<(), FetchError> {
        self.run(&["init", "-q", "--template="])?;
        self.run(&["remote", "add", "--", "origin", &self.git.remote])?;
        let one = ["fetch", "-q", "--no-tags", "--no-recurse-submodules", "--depth=1", "--", "origin"];
        let all = ["fetch", "-q", "--tags", "--no-recurse-submodules", "--", "origin"];
        let everything = "+refs/heads/*:refs/remotes/origin/*";
        let named = resolved.name.as_deref();
        let mut fetched = self.run(&[&one[..], &[&resolved.commit]].concat());
        // Some servers give only what a ref names, and plain files cannot tell a part of the history.
        if let (Err(FetchError::Git { .. }), Some(name)) = (&fetched, named) {
            fetched = self.run(&[&one[..], &[name]].concat());
        }
        if let Err(FetchError::Git { .. }) = &fetched {
            fetched = self.run(&[&all[..], &[everything]].concat());
        }
        fetched?;
        let commit = format!("{}^{{commit}}", resolved.commit);
        self.run_alone(&["checkout", "-q", "--force", "--detach", &commit])?;
        if self.git.submodules && self.tree.join(".gitmodules").is_file() {
            let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
            self.run(&update)?;
        }
        Ok(())
    }

    /// Returns when the commit was made, in seconds since 1970.
    fn time(&self, commit: &str) -> Result<i64, FetchError> {
        let text = self.run_alone(&["show", "-s", "--no-show-signature", "--format=%ct", commit])?;
        text.trim().parse().map_err(|_| FetchError::Io(io::Error::other("git does not tell a commit's time")))
    }

    /// Removes `.git`, or what would make two of the same commit differ in it.
    fn tidy(&self, resolved: &Resolved) -> Result<(), FetchError> {
        let own = self.tree.join(".git");
        if self.git.keep_git_dir != Some(true) || !self.git.subdir.is_empty() {
            fs::remove_dir_all(&own)?;
            return remove_git_files(&self.tree);
        }
        if let Some(name) = &resolved.name {
            let target =
                resolved.tag.as_deref().filter(|tag| self.run_alone(&["cat-file", "-e", tag]).is_ok());
            self.run_alone(&["update-ref", name, target.unwrap_or(&resolved.commit)])?;
        }
        self.run_alone(&["remote", "set-url", "--", "origin", &self.shown()])?;
        // An index remembers inodes and times; a new one remembers none.
        let renew = r#"rm -f "$(git rev-parse --git-dir)/index" && git read-tree HEAD"#;
        self.run_alone(&["submodule", "--quiet", "foreach", "--recursive", renew])?;
        fs::remove_file(own.join("index"))?;
        self.run_alone(&["read-tree", "HEAD"])?;
        remove_traces(&own)
    }

    /// Runs git with the user's configuration.
    fn run(&self, arguments: &[&str]) -> Result<String, FetchError> {
        self.execute(arguments, &mut Command::new("git"))
    }

    /// Runs git without the user's configuration, where no network is needed.
    fn run_alone(&self, arguments: &[&str]) -> Result<String, FetchError> {
        let mut command = Command::new("git");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        self.execute(arguments, &mut command)
    }

    fn execute(&self, arguments: &[&str], command: &mut Command) -> Result<String, FetchError> {
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.args(arguments).current_dir(&self.tree);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
        self.set_environment(command);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FetchError::NoGit,
            _ => FetchError::Io(error),
        })?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if self.fetcher.cancel.is_cancelled() {
                let _ = child.kill();
                child.wait()?;
                return Err(FetchError::Web(jettison_registry::Error::Cancelled));
            }
            thread::sleep(POLL);
        };
        if status.success() {
            return Ok(text_of(&mut out, u64::MAX)?);
        }
        let said = text_of(&mut err, MAX_SAID)?.replace(&self.git.remote, &self.shown());
        let command = arguments.first().copied().unwrap_or_default().to_owned();
        Err(FetchError::Git { command, said: said.trim().lines().collect::<Vec<_>>().join("; ") })
    }

    /// No prompts, no protocols but those that a URL can have, no repository but ours, and our configuration.
    fn set_environment(&self, command: &mut Command) {
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"] {
            command.env_remove(name);
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", "git:http:https:ssh");
        command.env("LC_ALL", "C").env("GIT_CEILING_DIRECTORIES", self.tree.parent().unwrap_or(&self.tree));
        if let Some(agent) = self.fetcher.agents.get("default") {
            command.env("SSH_AUTH_SOCK", agent);
        }
        let fixed = CONFIG.iter().copied();
        let own = self.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let config: Vec<(&str, &str)> = fixed.chain(own).collect();
        command.env("GIT_CONFIG_COUNT", config.len().to_string());
        for (number, (key, value)) in config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
    }

    /// The repository's URL without passwords.
    fn shown(&self) -> String {
        Remote::Git(self.git.clone()).shown()
    }

    /// The credentials that secrets hold for the repository, most precise first, and how SSH is called. BuildKit:
    /// `source/git`.
    fn own_config(&self) -> Result<Vec<(String, String)>, FetchError> {
        let mut config = Vec::new();
        let remote = &self.git.remote;
        let Some((scheme, rest)) = remote.split_once("://").filter(|(scheme, _)| scheme.starts_with("http"))
        else {
            // `git config` fails where the user has set nothing.
            if self
                .run(&["config", "--get", "core.sshCommand"])
                .is_err_and(|error| matches!(error, FetchError::Git { .. }))
            {
                config.push(("core.sshCommand".to_owned(), SSH.to_owned()));
            }
            return Ok(config);
        };
        let host = rest.split('/').next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        for (name, token) in [
            (format!("GIT_AUTH_HEADER.{host}"), false),
            (format!("GIT_AUTH_TOKEN.{host}"), true),
            ("GIT_AUTH_HEADER".to_owned(), false),
            ("GIT_AUTH_TOKEN".to_owned(), true),
        ] {
            let Some(secret) = self.fetcher.text_secret(&name)? else { continue };
            let value = match token {
                true => format!("basic {}", BASE64_STANDARD.encode(format!("x-access-token:{secret}"))),
                false => secret,
            };
            let scope = format!("http.{scheme}://{host}/.extraHeader");
            config.push((scope, format!("Authorization: {value}")));
            break;
        }
        Ok(config)
    }
}

fn key(git: &GitTree, resolved: &Resolved) -> Digest {
    let mut key = Digester::new();
    key.field(b"commit v1").field(resolved.commit.as_bytes()).field(git.subdir.as_bytes());
    key.field(format!("{} {}", git.submodules, git.commit_times).as_bytes());
    if git.submodules {
        // The URLs of submodules may be relative to that of the repository.
        key.field(git.remote.as_bytes());
    }
    if git.keep_git_dir == Some(true) {
        key.field(format!("{} {:?} {:?}", git.remote, resolved.name, resolved.tag).as_bytes());
    }
    key.finish()
}

fn text_of(file: &mut File, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Tells whether a ref is the whole ID of a commit.
fn is_commit(reference: &str) -> bool {
    [40, 64].contains(&reference.len()) && reference.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns a directory below `root` to which no symbolic link leads.
fn within(root: &Path, path: &str) -> Option<PathBuf> {
    let mut at = root.to_owned();
    for component in path.split('/') {
        at.push(component);
        if !fs::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_dir()) {
            return None;
        }
    }
    Some(at)
}

/// Removes the files by which submodules know their repositories.
fn remove_git_files(tree: &Path) -> Result<(), FetchError> {
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_git_files(&entry.path())?;
        } else if entry.file_name() == ".git" {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes from a repository what tells when and how it was made.
fn remove_traces(repository: &Path) -> Result<(), FetchError> {
    for entry in fs::read_dir(repository)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let directory = entry.file_type()?.is_dir();
        if directory && (name == "logs" || name == "hooks") {
            fs::remove_dir_all(path)?;
        } else if directory {
            remove_traces(&path)?;
        } else if ["FETCH_HEAD", "ORIG_HEAD"].iter().any(|trace| name == *trace) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
