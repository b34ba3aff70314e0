//! Trees with real programs of this machine in them, and with the one thing missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_image::Platform;
use jettison_layer::{Entry, Index, compare_paths};

use super::*;
use crate::elf::Content;

/// A tree in the making: entries, and where their contents are.
#[derive(Default)]
struct Image {
    entries: Vec<Entry>,
    files: BTreeMap<Vec<u8>, PathBuf>,
    texts: BTreeMap<Vec<u8>, String>,
}

impl Image {
    fn add(&mut self, path: &str, kind: Kind, mode: u32) -> &mut Image {
        let path = path.trim_start_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.entries.iter().any(|entry| entry.path == parent.as_bytes())
        {
            self.add(parent, Kind::Directory { opaque: false }, 0o755);
        }
        self.entries.push(Entry { mode, ..Entry::new(path, kind) });
        self
    }

    /// Adds a file of this machine.
    fn real(&mut self, path: &str, source: &Path) -> &mut Image {
        self.files.insert(path.trim_start_matches('/').into(), source.to_owned());
        let size = source.metadata().unwrap().len();
        self.add(path, Kind::File { size, digest: None }, 0o755)
    }

    fn text(&mut self, path: &str, text: &str, mode: u32) -> &mut Image {
        self.texts.insert(path.trim_start_matches('/').into(), text.to_owned());
        self.add(path, Kind::File { size: text.len() as u64, digest: None }, mode)
    }

    fn link(&mut self, path: &str, target: &str) -> &mut Image {
        self.add(path, Kind::Symlink { target: target.into() }, 0o777)
    }

    fn problems(&self, change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::scratch(&Platform::host());
        change(&mut config);
        let mut entries = self.entries.clone();
        entries.sort_by(|a, b| compare_paths(&a.path, &b.path));
        let tree = Tree::new([Arc::new(Index { entries })]);
        let open = |path: &[u8]| -> io::Result<Option<Box<dyn Content>>> {
            if let Some(text) = self.texts.get(path) {
                return Ok(Some(Box::new(Cursor::new(text.clone().into_bytes()))));
            }
            match self.files.get(path) {
                Some(source) => Ok(Some(Box::new(File::open(source)?))),
                None => Ok(None),
            }
        };
        startable(&tree, &open, &config).into_iter().map(|problem| problem.message).collect()
    }
}

fn entrypoint(words: &[&str]) -> impl FnOnce(&mut Config) {
    let words = words.iter().map(|word| word.to_string()).collect();
    move |config| config.config.entrypoint = Some(words)
}

fn cmd(words: &[&str]) -> impl FnOnce(&mut Config) {
    let words = words.iter().map(|word| word.to_string()).collect();
    move |config| config.config.cmd = Some(words)
}

/// Adds `/bin/ls` and, but for `without`, all that the machine's loader would load for it.
fn ls_without(without: &str) -> Image {
    let program = elf::read(&mut File::open("/bin/ls").unwrap()).unwrap();
    let interpreter = String::from_utf8(program.interpreter.unwrap()).unwrap();
    let mut image = Image::default();
    image.real("/usr/bin/ls", Path::new("/bin/ls"));
    if !interpreter.contains(without) || without.is_empty() {
        image.real(&interpreter, Path::new(&interpreter));
    }
    let listed = std::process::Command::new("ldd").arg("/bin/ls").output().unwrap();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        let Some(path) = line.split("=> ").nth(1).and_then(|rest| rest.split_whitespace().next()) else {
            continue;
        };
        if without.is_empty() || !path.contains(without) {
            image.real(path, Path::new(path));
        }
    }
    image
}

#[test]
fn a_program_with_all_its_libraries_starts() {
    assert_eq!(ls_without("").problems(entrypoint(&["ls", "-l"])), Vec::<String>::new());
    assert_eq!(ls_without("").problems(cmd(&["/usr/bin/ls"])), Vec::<String>::new());
}

#[test]
fn a_static_program_needs_nothing() {
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.exists(), "needs busybox-static: apt-get install busybox-static");
    let mut image = Image::default();
    image.real("/bin/busybox", busybox).link("/bin/sh", "busybox");
    assert_eq!(image.problems(cmd(&["/bin/sh", "-c", "true"])), Vec::<String>::new());
}

#[test]
fn missing_libraries_and_loaders_are_named() {
    let problems = ls_without("libc.so").problems(entrypoint(&["ls"]));
    assert!(problems[0].contains("needs the library libc.so.6"), "{problems:?}");
    let problems = ls_without("ld-linux").problems(entrypoint(&["ls"]));
    assert!(problems[0].contains("linked dynamically and needs /lib"), "{problems:?}");
}

#[test]
fn libraries_of_libraries_count() {
    let second = ["libpcre2", "libpcre"].into_iter().find(|name| {
        let listed = std::process::Command::new("ldd").arg("/bin/ls").output().unwrap();
        String::from_utf8(listed.stdout).unwrap().contains(name)
    });
    // Only a libselinux that uses PCRE brings one; without it there is nothing of the second degree to miss.
    let Some(second) = second else { return };
    let problems = ls_without(second).problems(entrypoint(&["ls"]));
    assert!(problems[0].contains(second) && problems[0].contains("libselinux"), "{problems:?}");
}

#[test]
fn libraries_are_found_by_ld_so_conf() {
    let mut image = ls_without("libc.so");
    let listed = std::process::Command::new("ldd").arg("/bin/ls").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libc =
        listed.split_whitespace().find(|word| word.starts_with('/') && word.contains("libc.so")).unwrap();
    image.real("/opt/lib/libc.so.6", Path::new(libc));
    assert!(!image.problems(entrypoint(&["ls"])).is_empty());
    image.text("/etc/ld.so.conf", "# x\ninclude /etc/ld.so.conf.d/*.conf\n", 0o644);
    image.text("/etc/ld.so.conf.d/opt.conf", "/opt/lib\n", 0o644);
    assert_eq!(image.problems(entrypoint(&["ls"])), Vec::<String>::new());
    let mut image = ls_without("libc.so");
    image.real("/opt/lib/libc.so.6", Path::new(libc));
    let with_variable = |config: &mut Config| {
        entrypoint(&["ls"])(config);
        config.config.set_env("LD_LIBRARY_PATH", "/opt/lib");
    };
    assert_eq!(image.problems(with_variable), Vec::<String>::new());
}

#[test]
fn scratch_has_no_shell() {
    let image = Image::default();
    let problems = image.problems(cmd(&["/bin/sh", "-c", "serve"]));
    assert_eq!(problems, ["CMD is in shell form, but /bin/sh is not in the image: the image has no shell"]);
    let problems = image.problems(entrypoint(&["/app"]));
    assert_eq!(problems, ["ENTRYPOINT: /app is not in the image"]);
    assert!(image.problems(entrypoint(&["app"]))[0].contains("\"app\" is not in the image's PATH"));
    assert_eq!(image.problems(|_| {}), Vec::<String>::new());
}

#[test]
fn scripts_need_their_interpreters() {
    let mut image = Image::default();
    image
        .text("/run.sh", "#!/bin/sh\n", 0o755)
        .text("/run.py", "#!/usr/bin/env python3\n", 0o755)
        .text("/dos.sh", "#!/bin/sh\r\n", 0o755)
        .text("/text", "hello", 0o755)
        .text("/plain", "#!/bin/sh\n", 0o644);
    for (program, message) in [
        ("/run.sh", "ENTRYPOINT: the script /run.sh needs /bin/sh, which is not in the image"),
        ("/dos.sh", "ENTRYPOINT: the first line of the script /dos.sh ends with a carriage return"),
        ("/text", "ENTRYPOINT: /text is neither a program nor a script with \"#!\" in its first line"),
        ("/plain", "ENTRYPOINT: /plain is not executable (mode 0644)"),
    ] {
        assert_eq!(image.problems(entrypoint(&[program])), [message]);
    }
    image.text("/usr/bin/env", "\x7fELF", 0o755);
    let problems = image.problems(entrypoint(&["/run.py"]));
    assert_eq!(
        problems,
        ["ENTRYPOINT: the script /run.py needs \"python3\", which is not in the image's PATH"]
    );
}

#[test]
fn programs_are_for_a_processor() {
    let mut image = ls_without("");
    let other = if Platform::host().architecture == "arm64" { "amd64" } else { "arm64" };
    let problems = image.problems(|config| {
        entrypoint(&["ls"])(config);
        config.architecture = other.to_owned();
    });
    assert!(problems[0].contains("is built for") && problems[0].contains(other), "{problems:?}");
    image.link("/app", "usr/bin/ls");
    assert_eq!(image.problems(entrypoint(&["/app"])), Vec::<String>::new());
}

#[test]
fn users_must_exist_and_be_let_in() {
    let mut image = Image::default();
    image.text("/etc/passwd", "app:x:1000:1000::/:\n", 0o644).text("/etc/group", "staff:x:50:app\n", 0o644);
    image.add("/root", Kind::Directory { opaque: false }, 0o700).text("/root/run", "", 0o755);
    image.text("/own", "", 0o744);
    let user = |user: &str, program: &str| {
        let (user, program) = (user.to_owned(), program.to_owned());
        move |config: &mut Config| {
            config.config.user = user;
            config.config.entrypoint = Some(vec![program]);
        }
    };
    for (name, program, message) in [
        ("app", "/root/run", "ENTRYPOINT: user 1000 may not enter /root (mode 0700)"),
        ("1000", "/own", "ENTRYPOINT: user 1000 may not execute /own (mode 0744)"),
        ("4242", "/own", "ENTRYPOINT: user 4242 may not execute /own (mode 0744)"),
        ("nobody", "/own", "user \"nobody\" is not in /etc/passwd of the image"),
        ("app:wheel", "/own", "group \"wheel\" is not in /etc/group of the image"),
    ] {
        let problems = image.problems(user(name, program));
        assert_eq!(problems.first().map(String::as_str), Some(message), "{name}");
    }
    assert!(Image::default().problems(|config| config.config.user = "1000".into()).is_empty());
}

#[test]
fn the_working_directory_is_one() {
    let mut image = Image::default();
    image
        .text("/file", "", 0o644)
        .add("/srv", Kind::Directory { opaque: false }, 0o755)
        .link("/link", "/srv");
    let directory =
        |path: &'static str| move |config: &mut Config| config.config.working_dir = path.to_owned();
    assert_eq!(image.problems(directory("/nowhere")), ["working directory /nowhere is not in the image"]);
    assert_eq!(image.problems(directory("/file")), ["working directory /file is not a directory"]);
    for fine in ["/srv", "/link", "/", ""] {
        assert!(image.problems(directory(fine)).is_empty(), "{fine}");
    }
    image.text("/srv/run", "#!x\n", 0o755);
    let relative = |config: &mut Config| {
        config.config.working_dir = "/srv".into();
        config.config.entrypoint = Some(vec!["./run".into()]);
    };
    assert_eq!(image.problems(relative), ["ENTRYPOINT: the script ./run needs x, which is not in the image"]);
}
