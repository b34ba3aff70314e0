//! Git repositories by URL: which form means one, and what its fragment and query say. BuildKit: `dfgitutil`, `gitutil`.

use super::percent_decoded;
use crate::instructions::clean;

/// The files of a commit of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitTree {
    /// Where the repository is, as git takes it.
    pub remote: String,
    /// A branch, tag, other ref or commit; `None` for what the repository's HEAD names.
    pub reference: Option<String>,
    /// The directory that is meant, relative to the root; empty for all.
    pub subdir: String,
    /// What the ID of the commit (or of the annotated tag) starts with.
    pub checksum: Option<String>,
    /// Whether `.git` is kept; not, if nothing is said.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched.
    pub submodules: bool,
    /// Whether files take the time of the commit, instead of that of the build.
    pub commit_times: bool,
}

/// What a query says of the ref.
#[derive(Default)]
struct Asked {
    tag: Option<String>,
    branch: Option<String>,
}

impl GitTree {
    /// Reads a URL of a repository; `None` if the text is none: `git://`, `ssh://` and `USER@HOST:PATH` always are,
    /// `http://` and `https://` if the path ends in `.git`.
    pub fn parse(text: &str) -> Result<Option<GitTree>, String> {
        let remote = text.split(['#', '?']).next().unwrap_or_default();
        if is_repository(remote) { GitTree::at(text).map(Some) } else { Ok(None) }
    }

    /// Reads what is known to be the URL of a repository.
    pub(super) fn at(text: &str) -> Result<GitTree, String> {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = url.split_once('?').unwrap_or((url, ""));
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut git = GitTree {
            remote: remote.to_owned(),
            reference: Some(reference.to_owned()).filter(|reference| !reference.is_empty()),
            subdir: subdir.to_owned(),
            checksum: None,
            keep_git_dir: None,
            submodules: true,
            commit_times: false,
        };
        git.read_query(query)?;
        git.subdir = clean(&git.subdir).trim_start_matches('/').to_owned();
        git.refuse_options()?;
        Ok(git)
    }

    /// Adds what the flags of ADD say.
    pub(super) fn with(
        mut self,
        keep_git_dir: Option<bool>,
        checksum: Option<&str>,
    ) -> Result<GitTree, String> {
        if let (Some(flag), Some(query)) = (keep_git_dir, self.keep_git_dir)
            && flag != query
        {
            return Err("inconsistent keep-git-dir configuration".to_owned());
        }
        self.keep_git_dir = self.keep_git_dir.or(keep_git_dir);
        match (checksum, &self.checksum) {
            (Some(flag), Some(query)) if flag != query => {
                return Err(format!("checksum mismatch {flag:?} != {query:?}"));
            }
            (Some(flag), _) => self.checksum = Some(flag.to_owned()),
            (None, _) => {}
        }
        self.refuse_options()?;
        Ok(self)
    }

    fn read_query(&mut self, query: &str) -> Result<(), String> {
        let mut seen: Vec<String> = Vec::new();
        let mut asked = Asked::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (percent_decoded(key), percent_decoded(&value.replace('+', " ")));
            if seen.contains(&key) {
                return Err(format!("query {key:?} has multiple values"));
            }
            self.read_parameter(&key, value, &mut asked)?;
            seen.push(key);
        }
        let Asked { tag, branch } = asked;
        if tag.is_some() && branch.is_some() {
            return Err("branch conflicts with tag".to_owned());
        }
        for (name, prefix) in [(tag, "refs/tags/"), (branch, "refs/heads/")] {
            let Some(name) = name else { continue };
            let full = if name.starts_with(prefix) { name } else { format!("{prefix}{name}") };
            agree("ref", &mut self.reference, full)?;
        }
        if self.reference.is_none() {
            self.reference.clone_from(&self.checksum);
        }
        Ok(())
    }

    fn read_parameter(&mut self, key: &str, value: String, asked: &mut Asked) -> Result<(), String> {
        let switch = ["submodules", "keep-git-dir", "fetch-by-commit"].contains(&key);
        if value.is_empty() && !switch {
            return Err(format!("query {key:?} has no value"));
        }
        match key {
            "ref" => agree("ref", &mut self.reference, value)?,
            "tag" => asked.tag = Some(value),
            "branch" => asked.branch = Some(value),
            "subdir" => {
                let mut subdir = Some(std::mem::take(&mut self.subdir)).filter(|subdir| !subdir.is_empty());
                agree("subdir", &mut subdir, value)?;
                self.subdir = subdir.unwrap_or_default();
            }
            "checksum" | "commit" => agree("checksum", &mut self.checksum, value)?,
            "keep-git-dir" => self.keep_git_dir = Some(boolean(key, &value)?),
            "submodules" => self.submodules = boolean(key, &value)?,
            // The commit that a ref names is what we fetch in any case.
            "fetch-by-commit" => {
                boolean(key, &value)?;
            }
            "mtime" if value == "checkout" => self.commit_times = false,
            "mtime" if value == "commit" => self.commit_times = true,
            "mtime" => return Err(format!("invalid mtime value: {value:?}")),
            _ => return Err(format!("unexpected query {key:?}")),
        }
        Ok(())
    }

    /// Nothing that git could take for an option, and no checksum that is none, reaches it.
    fn refuse_options(&self) -> Result<(), String> {
        let reference = self.reference.as_deref().unwrap_or_default();
        if self.remote.starts_with('-') || reference.starts_with('-') || reference.contains([':', '\0', ' '])
        {
            return Err(format!("invalid git reference {reference:?} of {}", self.remote));
        }
        let hex = |text: &str| (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        match &self.checksum {
            Some(checksum) if !hex(checksum) => {
                Err(format!("invalid checksum {checksum:?}: expected the ID of a commit"))
            }
            _ => Ok(()),
        }
    }
}

/// Sets what may be said twice, but not differently.
fn agree(what: &str, place: &mut Option<String>, value: String) -> Result<(), String> {
    match place {
        Some(other) if *other != value => Err(format!("{what} conflicts: {other:?} vs {value:?}")),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

/// Go: `strconv.ParseBool`; nothing at all means yes.
fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid {key} value: {value:?}")),
    }
}

fn is_repository(remote: &str) -> bool {
    let lower = remote.to_ascii_lowercase();
    match lower.split_once("://") {
        Some(("git" | "ssh", _)) => true,
        Some(("http" | "https", rest)) => rest.contains('/') && rest.ends_with(".git"),
        Some(_) => false,
        None => is_scp(remote),
    }
}

/// `USER@HOST:PATH`. BuildKit: `util/sshutil`.
fn is_scp(remote: &str) -> bool {
    let Some((user, rest)) = remote.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let plain = |text: &str, more: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    plain(user, &['-', '_']) && plain(host, &['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> GitTree {
        GitTree::parse(text).unwrap().unwrap_or_else(|| panic!("{text} is no repository"))
    }

    #[test]
    fn repositories_are_told_from_files_and_paths() {
        for yes in [
            "git://h/r",
            "ssh://git@h/r",
            "git@h:r",
            "me@h.example:a/b.git#main",
            "https://h/r.git",
            "https://h/r.git?branch=x#:sub",
            "http://h/r.git#v1",
        ] {
            assert!(GitTree::parse(yes).unwrap().is_some(), "{yes}");
        }
        for no in
            ["https://h/r", "https://h/r.git/x", "https://h.git", "github.com/a/b", "a.git", "./a@b:c", "a@b"]
        {
            assert_eq!(GitTree::parse(no), Ok(None), "{no}");
        }
    }

    #[test]
    fn fragment_and_query_say_what_is_meant() {
        let git = parse("https://h/r.git#v1:a/../b/");
        assert_eq!((git.remote.as_str(), git.reference.as_deref()), ("https://h/r.git", Some("v1")));
        assert_eq!((git.subdir.as_str(), git.submodules), ("b", true));
        let git = parse("https://h/r.git?tag=v1&subdir=d&keep-git-dir&submodules=false&mtime=commit");
        assert_eq!((git.reference.as_deref(), git.subdir.as_str()), (Some("refs/tags/v1"), "d"));
        assert_eq!((git.keep_git_dir, git.submodules, git.commit_times), (Some(true), false, true));
        assert_eq!(parse("git@h:r?branch=refs/heads/x").reference.as_deref(), Some("refs/heads/x"));
        let commit = "0123456789012345678901234567890123456789";
        assert_eq!(parse(&format!("git@h:r?commit={commit}")).reference.as_deref(), Some(commit));
        assert_eq!(parse("ssh://h/r").reference, None);
    }

    #[test]
    fn contradictions_and_options_are_refused() {
        for bad in [
            "git@h:r?ref=a#b",
            "git@h:r?tag=a&branch=b",
            "git@h:r?subdir=a#:b",
            "git@h:r?ref=a&ref=a",
            "git@h:r?ref=",
            "git@h:r?depth=1",
            "git@h:r?keep-git-dir=maybe",
            "git@h:r?checksum=xyz",
            "git@h:r#--upload-pack=x",
            "git@h:r?ref=a%3Ab",
            "-x@h:r",
        ] {
            assert!(GitTree::parse(bad).is_err(), "{bad}");
        }
        assert!(parse("git@h:r?keep-git-dir=0").with(Some(true), None).is_err());
        assert!(parse("git@h:r?checksum=1234567").with(None, Some("12345678")).is_err());
        assert_eq!(parse("git@h:r").with(Some(true), None).unwrap().keep_git_dir, Some(true));
    }
}
