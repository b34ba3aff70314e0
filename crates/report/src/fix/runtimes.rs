//! What a program needs to run where it was not built: which files, on which base.

use std::collections::BTreeSet;

use jettison_layer::{Tree, is_below};

use super::Draft;
use super::edit::uses_any;
use super::layers::absolute;
use crate::advice::rules;
use crate::lint::Rule;

/// Bases for programs of machine code, the smallest first.
const FOR_PROGRAMS: [&str; 6] = [
    "scratch",
    "gcr.io/distroless/static-debian12",
    "alpine:3.20",
    "gcr.io/distroless/base-debian12",
    "gcr.io/distroless/cc-debian12",
    "debian:bookworm-slim",
];

/// Those of them that know no users but root and nobody.
const WITHOUT_USERS: &str = "scratch gcr.io/distroless/";

/// The base that serves files: `httpd` of busybox.
const FOR_FILES: &str = "busybox:stable";

/// Images of an operating system: what was built there runs there.
const SYSTEMS: [&str; 8] =
    ["debian", "ubuntu", "alpine", "fedora", "rockylinux", "almalinux", "amazonlinux", "archlinux"];

/// Programs that make programs, and packages of them.
const COMPILERS: [&str; 18] = [
    "go build",
    "go install",
    "cargo build",
    "cargo install",
    "rustc",
    "gcc",
    "g++",
    "cc",
    "clang",
    "make",
    "cmake",
    "meson",
    "ninja",
    "ghc",
    "zig build",
    "swift build",
    "build-essential",
    "build-base",
];

/// Calls that build a program of node.
const NODE_BUILDS: [&str; 6] = ["npm run", "npm build", "yarn build", "yarn run", "pnpm build", "pnpm run"];

/// Calls that install packages of node, those of development too.
const NODE_INSTALLS: [&str; 3] = ["npm ci", "npm install", "npm i"];

/// What a new final stage consists of.
pub(super) struct Shipment {
    pub(super) rule: &'static Rule,
    /// The image that it starts from.
    pub(super) base: String,
    pub(super) carried: Vec<Carried>,
    /// A command that the stage that builds runs last.
    pub(super) prune: Option<&'static str>,
    /// An instruction that takes the place of CMD and ENTRYPOINT.
    pub(super) command: Option<String>,
}

/// A COPY from the stage that builds.
#[derive(Clone)]
pub(super) struct Carried {
    pub(super) source: String,
    pub(super) destination: String,
    /// `UID:GID`, if that is not root.
    pub(super) owner: Option<String>,
}

/// The words that a container runs.
pub(super) fn command(draft: &Draft<'_>) -> Vec<String> {
    let words = draft.config.entrypoint.iter().chain(&draft.config.cmd).flatten().cloned();
    let words: Vec<String> = words.collect();
    match words.as_slice() {
        // A shell form: the first command's words, where it is that simple.
        [shell, flag, line] if shell.ends_with("sh") && flag == "-c" => {
            line.trim_start_matches("exec ").split_whitespace().map(str::to_owned).collect()
        }
        _ => words,
    }
}

/// Proposes final stages that run `program`, which was built on `image`; the smallest base first.
pub(super) fn shipments(draft: &Draft<'_>, image: &str, program: &str) -> Vec<Shipment> {
    let (repository, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let base = Base { image, repository, tag, workdir: absolute("/", &draft.config.working_dir) };
    match program.rsplit('/').next().unwrap_or_default() {
        "java" => base.java(draft),
        "npx" | "serve" | "http-server" => base.files(draft),
        "node" | "nodejs" | "npm" | "yarn" | "pnpm" => base.node(draft),
        "python" | "python3" => base.python(draft, None),
        _ => match own_program(draft, program, &base.workdir) {
            // A script that pip made: it needs python and its packages.
            Some(path) if base.repository.ends_with("python") => base.python(draft, Some(path)),
            Some(path) if uses_any(draft, &COMPILERS) => base.machine_code(draft, &path),
            _ => Vec::new(),
        },
    }
}

/// The base of the single stage, and where it ends up.
struct Base<'a> {
    image: &'a str,
    repository: &'a str,
    tag: &'a str,
    workdir: String,
}

impl Base<'_> {
    fn shipment(base: impl Into<String>, carried: &[Carried]) -> Shipment {
        let (base, carried) = (base.into(), carried.to_vec());
        Shipment { rule: &rules::COMPILER, base, carried, prune: None, command: None }
    }

    /// A program of its own: alone, and with what stands beside it. What was built on an operating system runs there too.
    fn machine_code(&self, draft: &Draft<'_>, program: &str) -> Vec<Shipment> {
        let mut bases: Vec<&str> = FOR_PROGRAMS.to_vec();
        if SYSTEMS.contains(&self.repository) && !bases.contains(&self.image) {
            bases.push(self.image);
        }
        let user = draft.config.user.split(':').next().unwrap_or_default();
        let named = !user.is_empty() && user != "root" && user.parse::<u32>().is_err();
        let mut found = Vec::new();
        for base in bases {
            let mut carried = Vec::new();
            if named && WITHOUT_USERS.split(' ').any(|known| base.starts_with(known)) {
                carried.push(Carried {
                    source: "/etc/passwd /etc/group".to_owned(),
                    destination: "/etc/".to_owned(),
                    owner: None,
                });
            }
            let alone = [carried.as_slice(), &[Carried::of(draft, program)]].concat();
            found.push(Self::shipment(base, &alone));
            if self.workdir != "/" {
                let mut beside = [carried.as_slice(), &[Carried::of(draft, &self.workdir)]].concat();
                if !is_below(program.as_bytes(), self.workdir.as_bytes()) {
                    beside.push(Carried::of(draft, program));
                }
                found.push(Self::shipment(base, &beside));
            }
        }
        found
    }

    /// A jar, or the places of a class path, on a run-time environment of the same version.
    fn java(&self, draft: &Draft<'_>) -> Vec<Shipment> {
        let words = command(draft);
        let after = |flags: &[&str]| words.iter().skip_while(|word| !flags.contains(&word.as_str())).nth(1);
        let class_path =
            after(&["-cp", "-classpath", "--class-path"]).into_iter().flat_map(|path| path.split(':'));
        let places = after(&["-jar"]).map(String::as_str).into_iter().chain(class_path);
        let carried: Vec<Carried> = places
            .map(|place| absolute(&self.workdir, place.trim_end_matches("/*")))
            .map(|place| Carried::of(draft, &place))
            .collect();
        let Some(version) = self.java_version().filter(|_| !carried.is_empty()) else { return Vec::new() };
        let bases = ["jre-alpine", "jre"].map(|kind| format!("eclipse-temurin:{version}-{kind}"));
        bases.into_iter().map(|base| Self::shipment(base, &carried)).collect()
    }

    /// The version of Java in a tag: `17` of `17.0.9_9-jdk-alpine3.19`, of `3.9-eclipse-temurin-17` and of `8-jdk17`.
    fn java_version(&self) -> Option<&str> {
        let number = |text: &'_ str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let markers = ["temurin-", "openjdk-", "corretto-", "semeru-", "jdk-", "jdk"];
        let behind =
            markers.iter().filter_map(|marker| Some(&self.tag[self.tag.find(marker)? + marker.len()..]));
        let of_builder = ["maven", "gradle", "sbt"].contains(&self.repository.rsplit('/').next()?);
        let leading = (!of_builder).then_some(self.tag);
        behind.chain(leading).map(|text| &text[..number(text)]).find(|version| !version.is_empty())
    }

    /// The tag's version and variants of the image that are smaller than it, then itself if `itself`.
    fn variants(&self, smaller: &[&str], itself: bool) -> Vec<String> {
        let version: String = self.tag.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let mut found: Vec<String> = Vec::new();
        if !version.is_empty() && !self.tag.contains("alpine") {
            let smaller = smaller.iter().filter(|kind| !self.tag.contains(**kind));
            found.extend(smaller.map(|kind| format!("{}:{version}-{kind}", self.repository)));
        }
        found.extend(itself.then(|| self.image.to_owned()));
        found
    }

    /// The working directory, as it is and without what only development needs.
    fn node(&self, draft: &Draft<'_>) -> Vec<Shipment> {
        if self.workdir == "/" {
            return Vec::new();
        }
        let builds = uses_any(draft, &NODE_BUILDS);
        let complete = builds && uses_any(draft, &NODE_INSTALLS) && !draft.text.contains("--omit");
        let prune = complete.then_some("npm prune --omit=dev");
        let carried = [Carried::of(draft, &self.workdir)];
        let mut found = Vec::new();
        for base in self.variants(&["alpine", "slim"], builds) {
            if prune.is_some() {
                found.push(Shipment { prune, ..Self::shipment(base.as_str(), &carried) });
            }
            found.push(Self::shipment(base, &carried));
        }
        found
    }

    /// What pip installed, and the working directory.
    fn python(&self, draft: &Draft<'_>, script: Option<String>) -> Vec<Shipment> {
        let mut paths = own_packages(draft);
        if self.workdir != "/" {
            paths.push(self.workdir.clone());
        }
        paths.extend(
            script.filter(|path| !paths.iter().any(|known| is_below(path.as_bytes(), known.as_bytes()))),
        );
        let carried: Vec<Carried> = paths.iter().map(|path| Carried::of(draft, path)).collect();
        if carried.is_empty() {
            return Vec::new();
        }
        let bases = self.variants(&["slim"], uses_any(draft, &COMPILERS));
        bases.into_iter().map(|base| Self::shipment(base, &carried)).collect()
    }

    /// Files that a web server of node serves go to busybox's, which listens where that did.
    fn files(&self, draft: &Draft<'_>) -> Vec<Shipment> {
        let Some((folder, port)) = served(&command(draft)) else { return Vec::new() };
        let port =
            draft.config.env.iter().find_map(|pair| pair.strip_prefix("PORT=")).unwrap_or(&port).to_owned();
        let folder = absolute(&self.workdir, &folder);
        let command = format!("CMD [\"httpd\", \"-f\", \"-p\", \"{port}\", \"-h\", \"{folder}\"]");
        let shipment = Self::shipment(FOR_FILES, &[Carried::of(draft, &folder)]);
        vec![Shipment { rule: &rules::WEB_SERVER, command: Some(command), ..shipment }]
    }
}

/// The folder and the port of `serve` (3000) or `http-server` (8080); `None` for flags that another server does not know.
fn served(words: &[String]) -> Option<(String, String)> {
    let mut words = words.iter().map(String::as_str).peekable();
    words.next_if(|word| *word == "npx");
    while words.next_if(|word| ["-y", "--yes"].contains(word)).is_some() {}
    let mut port = match words.next()?.rsplit('/').next()? {
        "serve" => "3000",
        "http-server" => "8080",
        _ => return None,
    };
    let mut folder = None;
    while let Some(word) = words.next() {
        match word {
            "-p" | "--port" | "-l" | "--listen" => port = words.next()?,
            "-n" | "--no-clipboard" | "-L" | "--no-request-logging" => {}
            _ if word.starts_with('-') || folder.is_some() => return None,
            _ => folder = Some(word),
        }
    }
    port.parse::<u16>().ok()?;
    Some((folder?.to_owned(), port.to_owned()))
}

impl Carried {
    /// Carries a path to the same place, with its owner. `*` in the last part stands for any name.
    fn of(draft: &Draft<'_>, path: &str) -> Carried {
        let folder = path.rsplit_once('/').filter(|(_, name)| name.contains('*')).map(|(folder, _)| folder);
        let destination = folder.map_or(path.to_owned(), |folder| format!("{folder}/"));
        let real = draft.tree.resolve(path.as_bytes(), true).unwrap_or_default();
        let node = draft.tree.get(&real);
        let owner = node.map(|node| (node.entry.uid, node.entry.gid)).filter(|owner| *owner != (0, 0));
        let owner = owner.map(|(uid, gid)| format!("{uid}:{gid}"));
        Carried { source: path.to_owned(), destination, owner }
    }
}

/// Returns the path of a program that the Dockerfile itself made.
fn own_program(draft: &Draft<'_>, program: &str, workdir: &str) -> Option<String> {
    let path = draft.config.env.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let places: Vec<String> = match program.contains('/') {
        true => vec![absolute(workdir, program)],
        false => path.unwrap_or_default().split(':').map(|folder| absolute(folder, program)).collect(),
    };
    places.into_iter().find(|place| {
        let real = draft.tree.resolve(place.as_bytes(), true).unwrap_or_default();
        draft
            .tree
            .get(&real)
            .is_some_and(|node| node.layer >= draft.base_layers && node.content().1.size() > 0)
    })
}

/// Returns the directories of Python packages in which the Dockerfile installed something.
fn own_packages(draft: &Draft<'_>) -> Vec<String> {
    let own = |tree: &Tree, directory: &[u8]| {
        tree.subtree(directory).any(|node| node.layer >= draft.base_layers && !node.entry.is_directory())
    };
    let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
    for node in draft.tree.iter().filter(|node| node.entry.is_directory()) {
        let path = &node.entry.path;
        let packages = path.ends_with(b"/site-packages") || path.ends_with(b"/dist-packages");
        if packages && !found.iter().any(|known| is_below(path, known)) && own(draft.tree, path) {
            found.insert(path.clone());
        }
    }
    found.into_iter().map(|path| format!("/{}", String::from_utf8_lossy(&path))).collect()
}
