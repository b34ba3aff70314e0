//! Which shared libraries a program needs and whether the tree has them, as its dynamic loader would look for them.
//!
//! glibc: `ld.so(8)` and `ldconfig(8)`; musl: `ldso/dynlink.c`.

use std::collections::HashSet;

use jettison_layer::file_name;

use crate::elf::{self, Elf};
use crate::files::{Files, show};

/// Libraries that are looked at for one program.
const MAX_LIBRARIES: usize = 2000;
/// Files that `ld.so.conf` may include, and how deep.
const MAX_INCLUDE_DEPTH: usize = 5;

/// What musl's loader has in itself, as `libNAME.` (`ldso/dynlink.c`, `reserved`).
const MUSL_OWN: [&str; 7] = ["c", "pthread", "rt", "m", "dl", "util", "xnet"];

/// A library that was not found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) library: String,
    /// The file that asks for it.
    pub(crate) needed_by: String,
}

/// Finds all libraries of the program at `path` (free of links), those of libraries too; returns what is missing.
pub(crate) fn missing(
    files: &Files<'_>,
    path: &[u8],
    program: &Elf,
    library_path: Option<&str>,
) -> Vec<Missing> {
    let Some(interpreter) = &program.interpreter else { return Vec::new() };
    let loader = Loader::new(files, interpreter, program.architecture, library_path);
    let mut missing = Vec::new();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    // What asks, and the DT_RPATHs of what loaded it.
    let mut pending = vec![(path.to_vec(), program.clone(), Vec::new())];
    while let Some((path, object, inherited)) = pending.pop() {
        let mut rpath = inherited;
        if object.runpath.is_empty() {
            rpath.extend(object.rpath.iter().map(|directory| expand(directory, &path)));
        }
        let runpath: Vec<Vec<u8>> = object.runpath.iter().map(|directory| expand(directory, &path)).collect();
        for name in &object.needed {
            if seen.len() == MAX_LIBRARIES || !seen.insert(name.clone()) || loader.has(name) {
                continue;
            }
            let found = match runpath.is_empty() {
                true => loader.find(files, name, &rpath, &[]),
                false => loader.find(files, name, &[], &runpath),
            };
            let Some(found) = found else {
                missing.push(Missing { library: show(name), needed_by: format!("/{}", show(&path)) });
                continue;
            };
            // What cannot be read cannot be followed; that it is there is known all the same.
            if let Ok(Some(mut content)) = files.content(&found)
                && let Ok(library) = elf::read(content.as_mut())
            {
                pending.push((found, library, rpath.clone()));
            }
        }
    }
    missing
}

/// A dynamic loader and where it looks.
struct Loader {
    musl: bool,
    own_name: Vec<u8>,
    library_path: Vec<Vec<u8>>,
    directories: Vec<Vec<u8>>,
}

impl Loader {
    fn new(
        files: &Files<'_>,
        interpreter: &[u8],
        architecture: Option<&str>,
        library_path: Option<&str>,
    ) -> Loader {
        let own_name = file_name(interpreter).to_vec();
        let musl = own_name.starts_with(b"ld-musl-");
        let colon_list = |text: &str| {
            text.split([':', ';']).filter(|d| !d.is_empty()).map(|d| d.as_bytes().to_vec()).collect()
        };
        let directories =
            if musl { musl_directories(files, &own_name) } else { glibc_directories(files, architecture) };
        Loader { musl, own_name, library_path: library_path.map(colon_list).unwrap_or_default(), directories }
    }

    /// Tells whether the loader itself is the library.
    fn has(&self, name: &[u8]) -> bool {
        let reserved = |own: &&str| {
            let rest = name.strip_prefix(b"lib").and_then(|rest| rest.strip_prefix(own.as_bytes()));
            rest.is_some_and(|rest| rest.starts_with(b"."))
        };
        name == self.own_name || self.musl && MUSL_OWN.iter().any(reserved)
    }

    fn find(
        &self,
        files: &Files<'_>,
        name: &[u8],
        rpath: &[Vec<u8>],
        runpath: &[Vec<u8>],
    ) -> Option<Vec<u8>> {
        if name.contains(&b'/') {
            return files.is_file(name).then(|| files.find(name).map(|(path, _)| path))?;
        }
        let directories = rpath.iter().chain(&self.library_path).chain(runpath).chain(&self.directories);
        for directory in directories {
            let path = [directory.as_slice(), b"/", name].concat();
            if files.is_file(&path) {
                return files.find(&path).map(|(path, _)| path);
            }
        }
        None
    }
}

/// Replaces `$ORIGIN` by the directory of the file that holds the path.
fn expand(directory: &[u8], holder: &[u8]) -> Vec<u8> {
    let parent = jettison_layer::parent(holder).unwrap_or_default();
    let origin = format!("/{}", show(parent));
    show(directory).replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin).into_bytes()
}

fn musl_directories(files: &Files<'_>, loader: &[u8]) -> Vec<Vec<u8>> {
    let architecture = show(loader).trim_start_matches("ld-musl-").trim_end_matches(".so.1").to_owned();
    let listed = files.text(format!("etc/ld-musl-{architecture}.path").as_bytes()).flatten();
    let text = listed.unwrap_or_else(|| "/lib:/usr/local/lib:/usr/lib".to_owned());
    text.split([':', '\n']).filter(|directory| !directory.is_empty()).map(|d| d.as_bytes().to_vec()).collect()
}

fn glibc_directories(files: &Files<'_>, architecture: Option<&str>) -> Vec<Vec<u8>> {
    let mut directories = Vec::new();
    read_conf(files, b"etc/ld.so.conf", 0, &mut directories);
    let tuple = match architecture {
        Some("amd64") => "x86_64-linux-gnu",
        Some("386") => "i386-linux-gnu",
        Some("arm64") => "aarch64-linux-gnu",
        Some("arm") => "arm-linux-gnueabihf",
        Some("riscv64") => "riscv64-linux-gnu",
        Some("ppc64le") => "powerpc64le-linux-gnu",
        Some("s390x") => "s390x-linux-gnu",
        Some("loong64") => "loongarch64-linux-gnu",
        Some("mips64le") => "mips64el-linux-gnuabi64",
        _ => "",
    };
    // Debian builds the tuple's directories into its loader, others the ones with the word size.
    let tuples = [format!("/lib/{tuple}"), format!("/usr/lib/{tuple}")];
    let plain = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(str::to_owned);
    let known = if tuple.is_empty() { &[][..] } else { &tuples };
    directories.extend(known.iter().chain(&plain).map(|directory| directory.clone().into_bytes()));
    directories
}

/// Reads `ld.so.conf` and what it includes. One whose content is not at hand adds nothing.
fn read_conf(files: &Files<'_>, path: &[u8], depth: usize, directories: &mut Vec<Vec<u8>>) {
    let Some(Some(text)) = files.text(path) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(patterns) = line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) else {
            if line.starts_with('/') {
                directories.push(line.as_bytes().to_vec());
            }
            continue;
        };
        for pattern in patterns.split_whitespace().filter(|_| depth < MAX_INCLUDE_DEPTH) {
            for included in glob(files, path, pattern) {
                read_conf(files, &included, depth + 1, directories);
            }
        }
    }
}

/// Lists the files of a pattern whose last component has at most one `*`, the only form that is in use.
fn glob(files: &Files<'_>, includer: &[u8], pattern: &str) -> Vec<Vec<u8>> {
    let absolute = match pattern.starts_with('/') {
        true => pattern.as_bytes().to_vec(),
        false => [jettison_layer::parent(includer).unwrap_or_default(), b"/", pattern.as_bytes()].concat(),
    };
    let name = file_name(&absolute);
    let Some(star) = name.iter().position(|b| *b == b'*') else { return vec![absolute] };
    let (start, end) = (&name[..star], &name[star + 1..]);
    let directory = jettison_layer::parent(&absolute).unwrap_or_default();
    let Ok(directory) = files.tree.resolve(directory, true) else { return Vec::new() };
    let fits = |path: &[u8]| {
        let name = file_name(path);
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    };
    files.tree.children(&directory).map(|node| node.entry.path.clone()).filter(|path| fits(path)).collect()
}
