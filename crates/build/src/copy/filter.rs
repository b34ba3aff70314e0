//! What `--parents` and `--exclude` let through of a directory. moby's `fsutil/copy`: `copier.copy`.

use jettison_dockerfile::ignore::{ParentMatch, PatternError, Patterns};
use jettison_layer::{Node, Tree, is_below};

/// The patterns of one source.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// `--parents`: what is taken; everything if there is none.
    include: Option<Patterns>,
    /// `--exclude`
    exclude: Option<Patterns>,
}

/// Something in a directory that is copied.
pub(crate) struct Taken<'t> {
    /// Its path below that directory.
    pub(crate) relative: &'t [u8],
    pub(crate) node: Node<'t>,
    /// Whether it is only there because something below it is: a directory that no pattern takes.
    pub(crate) on_the_way: bool,
}

/// A directory that the walk is in.
struct Open<'t> {
    relative: &'t [u8],
    node: Node<'t>,
    taken: bool,
    include: ParentMatch,
    exclude: ParentMatch,
}

impl Filter {
    pub(crate) fn new(include: Option<&str>, exclude: &[String]) -> Result<Filter, PatternError> {
        let include = include.map(|pattern| Patterns::new([pattern])).transpose()?;
        let exclude = if exclude.is_empty() { None } else { Some(Patterns::new(exclude)?) };
        Ok(Filter { include, exclude })
    }

    /// Returns what is copied of the directory `top`, parents first. Every directory is entered: below one that is left
    /// out, a pattern may bring something back, and with it come the directories on the way.
    pub(crate) fn taken<'t>(&self, tree: &'t Tree, top: &[u8]) -> Vec<Taken<'t>> {
        let mut taken = Vec::new();
        let mut open: Vec<Open<'t>> = Vec::new();
        for node in tree.subtree(top) {
            let relative = super::relative(&node.entry.path, top);
            if relative.is_empty() {
                continue;
            }
            while open.last().is_some_and(|directory| !is_below(relative, directory.relative)) {
                open.pop();
            }
            let (own, include, exclude) = self.matches(relative, open.last());
            if own {
                for directory in open.iter_mut().filter(|directory| !directory.taken) {
                    directory.taken = true;
                    let Open { relative, node, .. } = *directory;
                    taken.push(Taken { relative, node, on_the_way: true });
                }
                taken.push(Taken { relative, node, on_the_way: false });
            }
            if node.entry.is_directory() {
                open.push(Open { relative, node, taken: own, include, exclude });
            }
        }
        taken
    }

    /// Tells whether a path is taken by itself, and what matched it.
    fn matches(&self, path: &[u8], parent: Option<&Open<'_>>) -> (bool, ParentMatch, ParentMatch) {
        let none = ParentMatch::default();
        let (above_include, above_exclude) =
            parent.map_or((&none, &none), |directory| (&directory.include, &directory.exclude));
        let (included, include) = match &self.include {
            Some(patterns) => patterns.matches_below(path, above_include),
            None => (true, ParentMatch::default()),
        };
        let (excluded, exclude) = match &self.exclude {
            Some(patterns) => patterns.matches_below(path, above_exclude),
            None => (false, ParentMatch::default()),
        };
        (included && !excluded, include, exclude)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jettison_layer::{Entry, Index, Kind};

    use super::*;

    fn tree() -> Tree {
        let entry = |path: &str, kind: Kind| Entry { mode: 0o755, ..Entry::new(path, kind) };
        let directories =
            ["d", "d/x", "d/x/y", "d/z"].map(|path| entry(path, Kind::Directory { opaque: false }));
        let files = ["d/a.txt", "d/x/b.txt", "d/x/y/c.txt", "d/x/y/c.png", "d/z/e"]
            .map(|path| entry(path, Kind::File { size: 0, digest: None }));
        Tree::new([Arc::new(Index::from_entries(directories.into_iter().chain(files).collect()))])
    }

    /// What is taken of `d`; directories on the way have a slash at their end.
    fn taken(include: Option<&str>, exclude: &[&str]) -> Vec<String> {
        let exclude: Vec<String> = exclude.iter().map(ToString::to_string).collect();
        let filter = Filter::new(include, &exclude).unwrap();
        let show = |taken: Taken<'_>| {
            let path = String::from_utf8(taken.relative.to_vec()).unwrap();
            if taken.on_the_way { path + "/" } else { path }
        };
        filter.taken(&tree(), b"d").into_iter().map(show).collect()
    }

    #[test]
    fn patterns_take_and_leave_out() {
        let cases: [(Option<&str>, &[&str], &[&str]); 8] = [
            (None, &[], &["a.txt", "x", "x/b.txt", "x/y", "x/y/c.png", "x/y/c.txt", "z", "z/e"]),
            (Some("x/y"), &[], &["x/", "x/y", "x/y/c.png", "x/y/c.txt"]),
            (Some("**/*.txt"), &[], &["a.txt", "x/", "x/b.txt", "x/y/", "x/y/c.txt"]),
            (Some("*/*.txt"), &[], &["x/", "x/b.txt"]),
            (Some(""), &[], &[]),
            (Some("x"), &["**/*.png"], &["x", "x/b.txt", "x/y", "x/y/c.txt"]),
            (None, &["x", "!x/y/*.png"], &["a.txt", "x/", "x/y/", "x/y/c.png", "z", "z/e"]),
            (None, &["*"], &[]),
        ];
        for (include, exclude, expected) in cases {
            assert_eq!(taken(include, exclude), expected, "{include:?} without {exclude:?}");
        }
    }
}
