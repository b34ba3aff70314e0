//! Files from the network: what `ADD` and build contexts name by a URL.

mod git;

use jettison_image::Digest;

pub use git::GitTree;

/// Files from the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remote {
    /// A file of a web server.
    File(RemoteFile),
    /// A commit of a git repository.
    Git(GitTree),
}

/// A file of a web server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteFile {
    /// Its URL, of `http` or `https`.
    pub url: String,
    /// What it is called here.
    pub name: String,
    /// What its bytes must be.
    pub checksum: Option<Digest>,
}

/// Names a file whose URL has no name. BuildKit: `convert_copy.go`.
const UNNAMED: &str = "__unnamed__";

impl Remote {
    /// Reads what an ADD or a context names; `None` where that is a path. Fails for a git URL that cannot be understood.
    pub fn parse(text: &str) -> Result<Option<Remote>, String> {
        match GitTree::parse(text)? {
            Some(git) => Ok(Some(Remote::Git(git))),
            None => Ok(RemoteFile::parse(text).map(Remote::File)),
        }
    }

    /// Reads what a build context names, where `github.com/…` is a repository too.
    pub fn of_context(text: &str) -> Result<Option<Remote>, String> {
        match text.strip_prefix("github.com/") {
            Some(_) => GitTree::at(&format!("https://{text}")).map(|git| Some(Remote::Git(git))),
            None => Remote::parse(text),
        }
    }

    /// Adds what the flags `--keep-git-dir` and `--checksum` of ADD say.
    pub(crate) fn with(self, keep_git_dir: Option<bool>, checksum: Option<&str>) -> Result<Remote, String> {
        match self {
            Remote::Git(git) => git.with(keep_git_dir, checksum).map(Remote::Git),
            Remote::File(mut file) => {
                if let Some(checksum) = checksum {
                    file.checksum = Some(checksum.parse().map_err(|error| format!("{checksum}: {error}"))?);
                }
                Ok(Remote::File(file))
            }
        }
    }

    /// Returns the URL, with what it has of a user and password made unreadable. BuildKit: `urlutil.RedactCredentials`.
    pub fn shown(&self) -> String {
        let url = match self {
            Remote::File(file) => &file.url,
            Remote::Git(git) => &git.remote,
        };
        redacted(url)
    }
}

impl RemoteFile {
    /// Makes the file that a URL names, or `None` if the text is no such URL.
    pub fn parse(text: &str) -> Option<RemoteFile> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let name = percent_decoded(path.trim_end_matches('/').rsplit('/').next().unwrap_or_default());
        let usable = !["", ".", ".."].contains(&name.as_str()) && !name.contains(['/', '\0']);
        let name = if usable { name } else { UNNAMED.to_owned() };
        Some(RemoteFile { url: text.to_owned(), name, checksum: None })
    }
}

fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) if scheme.starts_with("http") || user.contains(':') => {
            let shown = if user.contains(':') { "xxxxx:xxxxx" } else { "xxxxx" };
            format!("{scheme}://{shown}@{host}{path}")
        }
        _ => url.to_owned(),
    }
}

/// Undoes percent-encoding; what is not an escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if *byte == b'%' => {
                decoded.push(value);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_as_their_urls() {
        for (url, name) in [
            ("https://example.com/a/b.tar.gz?x=1#y", "b.tar.gz"),
            ("http://example.com", UNNAMED),
            ("http://example.com/", UNNAMED),
            ("http://example.com/dir/", "dir"),
            ("http://example.com/..", UNNAMED),
            ("http://example.com/a%20b%2", "a b%2"),
            ("http://example.com/a%2Fb", UNNAMED),
        ] {
            assert_eq!(RemoteFile::parse(url).unwrap().name, name, "{url}");
        }
        assert_eq!(RemoteFile::parse("ftp://example.com/a"), None);
        assert_eq!(RemoteFile::parse("example.com/a"), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("https://me:secret@example.com/a@b", "https://xxxxx:xxxxx@example.com/a@b"),
            ("https://token@example.com/a", "https://xxxxx@example.com/a"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("ssh://git@example.com/a", "ssh://git@example.com/a"),
            ("git@example.com:a", "git@example.com:a"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
