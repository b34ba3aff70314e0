//! Advice from an image's bytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;

use super::lines::Chain;
use super::{Advice, Question, debian, rules};
use crate::lint::Rule;
use crate::{Cause, FileReport, Report};

/// Less than this is not worth a word, in bytes.
const LEAST: u64 = 10_000;

/// The largest list of packages that is read, in bytes.
const MAX_LIST: u64 = 64 << 20;

/// Packages that are named where there are more.
const NAMED: usize = 5;

/// dpkg's database and apt's list of what it installed by itself.
const DPKG: &str = "/var/lib/dpkg/status";
const APT: &str = "/var/lib/apt/extended_states";

/// Paths that a rule is about.
struct Waste {
    rule: &'static Rule,
    /// What paths begin with.
    prefixes: &'static [&'static str],
    /// What stands in them.
    infixes: &'static [&'static str],
    why: &'static str,
    rewrite: &'static str,
}

static WASTE: &[Waste] = &[
    Waste {
        rule: &rules::APT,
        prefixes: &["/var/lib/apt/lists/", "/var/cache/apt/"],
        infixes: &[],
        why: "apt's package lists and archives are of no use in the image",
        rewrite: "add --mount=type=cache,target=/var/lib/apt/lists --mount=type=cache,target=/var/cache/apt to the RUN, or \
                  end it with `&& rm -rf /var/lib/apt/lists/*`",
    },
    Waste {
        rule: &rules::APK,
        prefixes: &["/var/cache/apk/", "/etc/apk/cache/"],
        infixes: &[],
        why: "apk's index is of no use in the image",
        rewrite: "write `apk add --no-cache …`",
    },
    Waste {
        rule: &rules::DNF,
        prefixes: &["/var/cache/dnf/", "/var/cache/yum/", "/var/cache/libdnf5/"],
        infixes: &[],
        why: "the package manager's cache is of no use in the image",
        rewrite: "end the RUN with `&& dnf clean all`",
    },
    Waste {
        rule: &rules::ZYPPER,
        prefixes: &["/var/cache/zypp/"],
        infixes: &[],
        why: "zypper's cache is of no use in the image",
        rewrite: "end the RUN with `&& zypper clean -a`",
    },
    Waste {
        rule: &rules::PIP,
        prefixes: &["/opt/conda/pkgs/"],
        infixes: &["/.cache/pip/", "/.cache/uv/"],
        why: "what pip has downloaded is of no use once it is installed",
        rewrite: "write `pip install --no-cache-dir …`, or add --mount=type=cache,target=/root/.cache/pip to the RUN",
    },
    Waste {
        rule: &rules::NPM,
        prefixes: &["/usr/local/share/.cache/"],
        infixes: &["/.npm/_cacache/", "/.bun/install/cache/", "/.yarn/berry/cache/"],
        why: "what npm or yarn has downloaded is of no use once it is installed",
        rewrite: "add --mount=type=cache,target=/root/.npm to the RUN",
    },
    Waste {
        rule: &rules::GO,
        prefixes: &["/go/pkg/mod/"],
        infixes: &["/.cache/go-build/"],
        why: "Go's caches serve the next build, not the program",
        rewrite: "build in a stage of its own and COPY --from it the program; or add \
                  --mount=type=cache,target=/root/.cache/go-build --mount=type=cache,target=/go/pkg/mod to the RUN",
    },
    Waste {
        rule: &rules::CARGO,
        prefixes: &["/usr/local/cargo/registry/"],
        infixes: &["/.cargo/registry/"],
        why: "cargo's registry serves the next build, not the program",
        rewrite: "build in a stage of its own and COPY --from it the program; or add \
                  --mount=type=cache,target=/usr/local/cargo/registry to the RUN",
    },
    Waste {
        rule: &rules::MAVEN,
        prefixes: &[],
        infixes: &["/.m2/repository/", "/.gradle/caches/"],
        why: "what Maven or Gradle has downloaded serves the next build",
        rewrite: "build in a stage of its own, or add --mount=type=cache,target=/root/.m2 to the RUN",
    },
    Waste {
        rule: &rules::REPOSITORY,
        prefixes: &[],
        infixes: &["/.git/", "/.hg/", "/.svn/"],
        why: "the history of the sources is copied with them: all who have the image have it",
        rewrite: "write `.git` into .dockerignore",
    },
    Waste {
        rule: &rules::DOCS,
        prefixes: &["/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/"],
        infixes: &[],
        why: "nobody reads manuals in a container",
        rewrite: "tell the package manager before it installs: dpkg's path-exclude, `dnf --nodocs`",
    },
];

/// Files that hold secrets by their names.
const PRIVATE: [&str; 8] = [
    ".env",
    ".env.local",
    ".env.production",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    ".netrc",
    ".git-credentials",
];

/// What a context should not give away, where it has no ignore file.
const IGNORABLE: [&str; 8] =
    ["/node_modules/", "/.git/", "/target/", "/dist/", "/build/", "/__pycache__/", "/.venv/", "/.idea/"];

/// Folders of compilers, and a file that tells that one is there.
const COMPILERS: [(&str, &str, &str); 6] = [
    ("Go", "/usr/local/go/", "/usr/local/go/bin/go"),
    ("Rust", "/usr/local/rustup/", "/usr/local/cargo/bin/rustc"),
    ("the JDK", "/opt/java/openjdk/", "/opt/java/openjdk/bin/javac"),
    ("Maven", "/usr/share/maven/", "/usr/share/maven/bin/mvn"),
    ("gcc", "/usr/lib/gcc/", "/usr/bin/gcc"),
    ("gcc", "/usr/local/lib/gcc/", "/usr/local/bin/gcc"),
];

/// How names of archives end.
const ARCHIVES: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tar.zst", ".zip"];

struct Measure<'q, 'a> {
    question: &'q Question<'a>,
    report: &'a Report,
    chain: Option<&'q Chain<'a>>,
    advice: Vec<Advice>,
}

/// Gives advice from an image's files.
pub(super) fn measured<'a>(
    question: &Question<'a>,
    report: &'a Report,
    chain: Option<&Chain<'a>>,
) -> Vec<Advice> {
    let mut measure = Measure { question, report, chain, advice: Vec::new() };
    measure.waste();
    measure.dead();
    measure.duplicates();
    measure.private_files();
    measure.compilers();
    measure.dev_dependencies();
    measure.packages();
    measure.ignorable();
    measure.web_server();
    measure.advice
}

impl<'a> Measure<'_, 'a> {
    /// Live files of own layers.
    fn live(&self) -> impl Iterator<Item = &'a FileReport> {
        let report = self.report;
        let own = move |file: &&FileReport| report.layers.get(file.layer).is_some_and(|layer| !layer.base);
        report.files.iter().filter(|file| file.dead.is_none()).filter(own)
    }

    /// Adds a finding about the layer `layer`.
    fn add(&mut self, rule: &'static Rule, layer: usize, bytes: u64, why: String, rewrite: &str) {
        let instruction = self.chain.and_then(|chain| chain.instruction_of(self.report, layer));
        self.advice.push(Advice {
            rule,
            span: instruction.map(|known| known.span),
            instruction: self.report.instruction_of(layer),
            why,
            rewrite: rewrite.to_owned(),
            bytes: Some(bytes),
            seconds: None,
        });
    }

    /// Sums live files up by layer.
    fn by_layer(&self, test: impl Fn(&str) -> bool) -> BTreeMap<usize, u64> {
        let mut sums = BTreeMap::new();
        for file in self.live().filter(|file| test(&file.path)) {
            *sums.entry(file.layer).or_default() += file.size;
        }
        sums.retain(|_, bytes| *bytes >= LEAST);
        sums
    }

    fn waste(&mut self) {
        for waste in WASTE {
            let test = |path: &str| {
                waste.prefixes.iter().any(|prefix| path.starts_with(prefix))
                    || waste.infixes.iter().any(|infix| path.contains(infix))
            };
            for (layer, bytes) in self.by_layer(test) {
                self.add(waste.rule, layer, bytes, waste.why.to_owned(), waste.rewrite);
            }
        }
    }

    /// What later layers killed, by layer, killer and cause; archives apart.
    fn dead(&mut self) {
        let mut sums: BTreeMap<(usize, usize, Cause, bool), u64> = BTreeMap::new();
        for file in &self.report.files {
            let own = self.report.layers.get(file.layer).is_some_and(|layer| !layer.base);
            let (Some(cause), Some(by), true) = (file.dead, file.by, own) else { continue };
            let archive = cause == Cause::Deleted && ARCHIVES.iter().any(|end| file.path.ends_with(end));
            *sums.entry((file.layer, by, cause, archive)).or_default() += file.size;
        }
        for ((layer, by, cause, archive), bytes) in sums {
            if bytes < LEAST {
                continue;
            }
            let killer = self.report.instruction_of(by);
            let (rule, what, rewrite) = match cause {
                Cause::Deleted if archive => (
                    &rules::ARCHIVE,
                    "deletes the archive, but its layer keeps it",
                    "ADD extracts a local archive and does not store it; or mount it: RUN --mount=type=bind,source=…",
                ),
                Cause::Deleted => (
                    &rules::DELETED,
                    "deletes files, but their layer keeps them",
                    "delete in the RUN that makes them, or make them in a stage of its own; \
                     `-o type=image,drop-dead=true` drops them from any image",
                ),
                Cause::Overwritten => (
                    &rules::OVERWRITTEN,
                    "writes files anew, and the old ones stay in their layer",
                    "write them once; `-o type=image,drop-dead=true` drops the old ones",
                ),
                Cause::Metadata => (
                    &rules::METADATA,
                    "changes owner, mode or time, and so stores the files again",
                    "set them where the files are made: COPY --chown, --chmod, or in the same RUN",
                ),
                Cause::Identical => {
                    (&rules::IDENTICAL, "stores files again just as they were", "write them once")
                }
            };
            // Of an owner changed it is the later instruction that is to be changed.
            let place = if cause == Cause::Metadata { by } else { layer };
            self.add(rule, place, bytes, format!("{killer} {what}"), rewrite);
        }
    }

    fn duplicates(&mut self) {
        let mut sums: BTreeMap<usize, u64> = BTreeMap::new();
        for file in self.live().filter(|file| file.duplicate) {
            *sums.entry(file.layer).or_default() += file.size;
        }
        for (layer, bytes) in sums.into_iter().filter(|(_, bytes)| *bytes >= LEAST) {
            let why = "the same content is in the image at another path".to_owned();
            self.add(&rules::DUPLICATE, layer, bytes, why, "link to the first instead of copying it");
        }
    }

    fn private_files(&mut self) {
        let mut found: BTreeMap<usize, (u64, Vec<&str>)> = BTreeMap::new();
        for file in self.live() {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            if PRIVATE.contains(&name) {
                let (bytes, paths) = found.entry(file.layer).or_default();
                *bytes += file.size;
                paths.push(&file.path);
            }
        }
        for (layer, (bytes, paths)) in found {
            let why = format!("{} is readable to all who have the image", paths.join(", "));
            self.add(
                &rules::PRIVATE_FILE,
                layer,
                bytes,
                why,
                "write its name into .dockerignore, and use RUN --mount=type=secret",
            );
        }
    }

    /// Compilers count with the base image's: an image that ships should start from another base.
    fn compilers(&mut self) {
        if self.report.layers.iter().all(|layer| layer.base) {
            return;
        }
        let report = self.report;
        let live = || report.files.iter().filter(|file| file.dead.is_none());
        for (name, folder, program) in COMPILERS {
            if !live().any(|file| file.path == program) {
                continue;
            }
            let of_folder = live().filter(|file| file.path.starts_with(folder));
            let bytes = of_folder.map(|file| file.size).sum();
            let layer = live().find(|file| file.path == program).map_or(0, |file| file.layer);
            let why = format!("{name} builds the program, which does not need it to run");
            let rewrite = "build in a stage of its own: FROM … AS build, then a small final stage and COPY --from=build …";
            self.add(&rules::COMPILER, layer, bytes, why, rewrite);
            // It is the base that is to be changed.
            let from = self.chain.and_then(|chain| chain.instructions.first());
            if let (Some(advice), Some(from), true) =
                (self.advice.last_mut(), from, report.layers[layer].base)
            {
                advice.span = Some(from.span);
                advice.instruction.clone_from(&from.original);
            }
        }
    }

    /// npm marks in its list of what is installed what only development wants.
    fn dev_dependencies(&mut self) {
        let locks: Vec<&FileReport> =
            self.live().filter(|file| file.path.ends_with("/node_modules/.package-lock.json")).collect();
        for lock in locks {
            let Some(text) = self.text(&lock.path) else { continue };
            let lock_file: Value = serde_json::from_str(&text).unwrap_or_default();
            let root = lock.path.trim_end_matches("node_modules/.package-lock.json");
            let packages = lock_file["packages"].as_object().into_iter().flatten();
            let folders: Vec<String> = packages
                .filter(|(_, package)| package["dev"] == true)
                .map(|(key, _)| format!("{root}{key}/"))
                .collect();
            let bytes: u64 = self
                .live()
                .filter(|file| folders.iter().any(|folder| file.path.starts_with(folder.as_str())))
                .map(|file| file.size)
                .sum();
            if bytes >= LEAST {
                let why = format!("{} packages are for development only", folders.len());
                self.add(&rules::DEV_DEPENDENCIES, lock.layer, bytes, why, "write `npm ci --omit=dev`");
            }
        }
    }

    /// Reads a list of packages; `None` where it is not at hand.
    fn text(&self, path: &str) -> Option<String> {
        let mut text = String::new();
        let content = (self.question.open?)(path.trim_start_matches('/').as_bytes()).ok()??;
        content.take(MAX_LIST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Packages of the system that only a build needs, and those that nothing needs but something recommends.
    fn packages(&mut self) {
        let for_builds = |name: &str| name.ends_with("-dev") || name.ends_with("-devel");
        let rewrite =
            "install them in a stage of its own, which builds, and in the final stage the libraries alone";
        self.packages_of(&rules::COMPILER, &for_builds, "for building only", rewrite);
        let (Some(status), Some(states)) = (self.text(DPKG), self.text(APT)) else { return };
        let report = self.report;
        let of_base = |name: &str| {
            let is_base = |layer: usize| report.layers.get(layer).is_some_and(|layer| layer.base);
            let own = report.packages.iter().filter(|package| package.kind == "deb" && package.name == name);
            own.filter_map(|package| package.layer).any(is_base)
        };
        let found = debian::only_recommended(&status, &states, of_base);
        let recommended = |name: &str| found.contains(name);
        let rewrite =
            "write `apt-get install --no-install-recommends …`, and name those of them that you need";
        self.packages_of(&rules::RECOMMENDED, &recommended, "only recommended by others", rewrite);
    }

    /// Adds a finding for each own layer that has packages of the system whose names pass `test`.
    fn packages_of(&mut self, rule: &'static Rule, test: &dyn Fn(&str) -> bool, what: &str, rewrite: &str) {
        let mut found: BTreeMap<usize, Vec<(u64, &str)>> = BTreeMap::new();
        for package in &self.report.packages {
            let Some(layer) = package.layer else { continue };
            let own = self.report.layers.get(layer).is_some_and(|layer| !layer.base);
            if own && matches!(package.kind.as_str(), "deb" | "apk" | "rpm") && test(&package.name) {
                found.entry(layer).or_default().push((package.sums.live, &package.name));
            }
        }
        for (layer, mut names) in found {
            let bytes = names.iter().map(|(bytes, _)| bytes).sum();
            if bytes < LEAST {
                continue;
            }
            names.sort_by_key(|(bytes, _)| Reverse(*bytes));
            let more = if names.len() > NAMED { ", …" } else { "" };
            let first: Vec<&str> = names.iter().take(NAMED).map(|(_, name)| *name).collect();
            let verb = if names.len() == 1 { "package is" } else { "packages are" };
            let why = format!("{} {verb} {what}: {}{more}", names.len(), first.join(", "));
            self.add(rule, layer, bytes, why, rewrite);
        }
    }

    fn ignorable(&mut self) {
        if self.question.has_ignore_file != Some(false) {
            return;
        }
        let copied = |layer: usize| self.report.instruction_of(layer).starts_with("COPY");
        let test = |path: &str| IGNORABLE.iter().any(|part| path.contains(part)) || path.ends_with(".log");
        for (layer, bytes) in self.by_layer(test) {
            if copied(layer) {
                let why = "without a .dockerignore, what the build does not need is copied too".to_owned();
                let rewrite = "write .git, node_modules, *.log and what your build writes into .dockerignore";
                self.add(&rules::NO_IGNORE_FILE, layer, bytes, why, rewrite);
            }
        }
    }

    fn web_server(&mut self) {
        let command = self.chain.and_then(super::written::web_server);
        let Some(command) = command else { return };
        let of_node = |path: &str| {
            path == "/usr/local/bin/node"
                || ["/usr/local/lib/node_modules/", "/usr/local/include/node/"]
                    .iter()
                    .any(|folder| path.starts_with(folder))
        };
        let live = self.report.files.iter().filter(|file| file.dead.is_none() && of_node(&file.path));
        let bytes: u64 = live.map(|file| file.size).sum();
        if bytes > 0 {
            self.advice.push(Advice { bytes: Some(bytes), ..super::written::web_server_advice(command) });
        }
    }
}
