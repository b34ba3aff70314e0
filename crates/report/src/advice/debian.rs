//! Which of an image's Debian packages are there only because others recommend them, by dpkg's database and apt's list of
//! what it installed by itself (`/var/lib/apt/extended_states`).

use std::collections::{BTreeMap, BTreeSet};

/// Of an installed package: what it needs and what it recommends, each a list of alternatives.
#[derive(Default)]
struct Installed<'a> {
    needs: Vec<Vec<&'a str>>,
    recommends: Vec<Vec<&'a str>>,
}

/// Names the installed packages that neither `asked_for` nor a package installed by hand needs, but some of these
/// recommends, and what they need themselves. `status` is dpkg's database, `states` apt's; `asked_for` tells of packages whose
/// reason lies elsewhere, as those of a base image.
pub(super) fn only_recommended(
    status: &str,
    states: &str,
    asked_for: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    let automatic: BTreeSet<&str> = states
        .split("\n\n")
        .filter(|block| field(block, "Auto-Installed") == Some("1"))
        .filter_map(|block| field(block, "Package"))
        .collect();
    let mut packages: BTreeMap<&str, Installed<'_>> = BTreeMap::new();
    // What a name stands for: the package, and those that provide it.
    let mut provided: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for block in status.split("\n\n") {
        let installed = field(block, "Status").is_some_and(|status| status.ends_with(" installed"));
        let Some(name) = field(block, "Package").filter(|_| installed) else { continue };
        let own = packages.entry(name).or_default();
        for relation in ["Depends", "Pre-Depends"] {
            own.needs.extend(relations(block, relation));
        }
        own.recommends.extend(relations(block, "Recommends"));
        provided.entry(name).or_default().push(name);
        for other in relations(block, "Provides").into_iter().flatten() {
            provided.entry(other).or_default().push(name);
        }
    }
    let roots = packages.keys().copied().filter(|name| !automatic.contains(name) || asked_for(name));
    let needed = reached(roots.collect(), &packages, &provided, false);
    let wanted = reached(needed.clone(), &packages, &provided, true);
    wanted.difference(&needed).map(|name| (*name).to_owned()).collect()
}

/// Follows what packages need, and with `recommends` what they recommend. Of alternatives all that are installed count.
fn reached<'a>(
    mut found: BTreeSet<&'a str>,
    packages: &BTreeMap<&'a str, Installed<'a>>,
    provided: &BTreeMap<&'a str, Vec<&'a str>>,
    recommends: bool,
) -> BTreeSet<&'a str> {
    let mut left: Vec<&str> = found.iter().copied().collect();
    while let Some(package) = left.pop().and_then(|name| packages.get(name)) {
        let more = package.recommends.iter().filter(|_| recommends);
        for name in package.needs.iter().chain(more).flatten().filter_map(|name| provided.get(name)).flatten()
        {
            if found.insert(name) {
                left.push(name);
            }
        }
    }
    found
}

/// Reads a relation between packages: `a (>= 1), b:any | c` are two, the second with two alternatives.
fn relations<'a>(block: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let bare = |text: &'a str| text.trim().split([' ', '(', ':']).next().unwrap_or_default();
    let alternatives = |text: &'a str| text.split('|').map(bare).filter(|name| !name.is_empty()).collect();
    field(block, name).unwrap_or_default().split(',').map(alternatives).collect()
}

/// The value of a field that stands on one line, as dpkg writes these into its database.
fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_not_only_recommended() {
        let package = |name: &str, more: &str| {
            format!("Package: {name}\nStatus: install ok installed\n{more}Version: 1\n\n")
        };
        let status = [
            package("base", ""),
            package("asked", "Depends: needed (>= 1), base\nRecommends: wanted | other, needed\n"),
            package("needed", "Pre-Depends: mail-agent\n"),
            package("agent", "Provides: mail-agent (= 2)\nRecommends: gone\n"),
            package("wanted", "Depends: of-wanted:any\nRecommends: base, more\n"),
            package("of-wanted", ""),
            package("more", ""),
            package("orphan", ""),
            "Package: gone\nStatus: deinstall ok config-files\n\n".to_owned(),
        ];
        let automatic = ["base", "needed", "agent", "wanted", "of-wanted", "more", "orphan"];
        let states =
            automatic.map(|name| format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n"));
        let found = only_recommended(&status.concat(), &states.concat(), |name| name == "base");
        let expected = ["more", "of-wanted", "wanted"].map(str::to_owned);
        assert_eq!(found, BTreeSet::from(expected));
        assert_eq!(only_recommended(&status.concat(), "", |_| false), BTreeSet::new(), "all by hand");
    }
}
