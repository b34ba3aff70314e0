//! The eight examples: built from a registry as root and as others, judged and run by other people's programs.
//!
//! Their bases are stand-ins under the real names: OCI layouts in `target/base-images`.
//! With `JETTISON_UPDATE_SIZES=1` the table of examples/README.md is written anew from what was measured.
#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

mod stand_ins;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stand_ins::{ask, free_port, layout};

use jettison_testkit::{Context, Docker, Entry, Image, Jettison, Kind, Output, Podman, Registry, Who, tools};

/// How long a program may take to listen.
const START: Duration = Duration::from_secs(30);

/// An example and what is expected of it.
struct Example {
    name: &'static str,
    bases: &'static [&'static str],
    /// As whom the program runs.
    uid: u32,
    /// Whether a RUN gives files to another user, which needs more than one id.
    foreign_owners: bool,
    /// The file that says hello.
    source: &'static str,
    /// How the steps begin that depend on it.
    below: &'static [&'static str],
}

const NAMES: [&str; 8] =
    ["go-single", "go-alpine", "go-scratch", "go-distroless", "node", "java", "python", "targets"];
const GO: &str = "docker.io/library/golang:1.21";
const PYTHON: &str = "docker.io/library/python:3.11-slim";

#[test]
fn go_single() {
    check(&Example {
        name: "go-single",
        bases: &[GO],
        uid: 0,
        foreign_owners: false,
        source: "main.go",
        below: &["COPY . .", "RUN go build"],
    });
}

#[test]
fn go_alpine() {
    check(&Example {
        name: "go-alpine",
        bases: &["docker.io/library/golang:1.21-alpine", "docker.io/library/alpine:3.18"],
        uid: 10_001,
        foreign_owners: true,
        source: "main.go",
        below: &["COPY . .", "RUN CGO_ENABLED=0 go build", "COPY --from=builder"],
    });
}

#[test]
fn go_scratch() {
    check(&Example {
        name: "go-scratch",
        bases: &[GO],
        uid: 65_532,
        foreign_owners: false,
        source: "main.go",
        below: &["COPY . .", "RUN CGO_ENABLED=0 GOOS=linux go build", "COPY --from=builder /server"],
    });
}

#[test]
fn go_distroless() {
    check(&Example {
        name: "go-distroless",
        bases: &[GO, "gcr.io/distroless/static-debian12:latest"],
        uid: 65_532,
        foreign_owners: false,
        source: "main.go",
        below: &["COPY . .", "RUN CGO_ENABLED=0 go build", "COPY --from=builder"],
    });
}

#[test]
fn node() {
    check(&Example {
        name: "node",
        bases: &["docker.io/library/node:20-alpine"],
        uid: 1000,
        foreign_owners: false,
        source: "src/server.js",
        below: &[
            "COPY . .",
            "RUN npm run build",
            "COPY --from=builder",
            "COPY --chown=node:node package.json",
        ],
    });
}

#[test]
fn java() {
    check(&Example {
        name: "java",
        bases: &[
            "docker.io/library/maven:3.9-eclipse-temurin-17",
            "docker.io/library/eclipse-temurin:17-jre-alpine",
        ],
        uid: 1000,
        foreign_owners: false,
        source: "src/main/java/hello/Server.java",
        below: &["COPY src", "RUN mvn -B package", "COPY --from=builder"],
    });
}

#[test]
fn python() {
    check(&Example {
        name: "python",
        bases: &[PYTHON],
        uid: 65_534,
        foreign_owners: true,
        source: "app.py",
        below: &["COPY app.py"],
    });
}

#[test]
fn targets() {
    let example = Example {
        name: "targets",
        bases: &[PYTHON],
        uid: 65_534,
        foreign_owners: false,
        source: "hello/words.py",
        below: &["COPY hello"],
    };
    check(&example);
    let site = Site::new(&example);
    let root = site.home(Who::Me);
    let dev = build(&root, &site.context, &["--target", "dev", "-t", "dev"]);
    dev.says_not("coverage run");
    build(&root, &site.context, &["--target", "test"]).says("2 tests");
}

/// An example's context, and a registry with its bases.
struct Site {
    context: Context,
    registry: Registry,
}

impl Site {
    fn new(example: &Example) -> Site {
        let registry = Registry::start();
        for base in example.bases {
            push(&registry, base);
        }
        Site { context: Context::copy_of(&folder().join(example.name)), registry }
    }

    fn home(&self, who: Who) -> Jettison {
        let jettison = Jettison::of(env!("CARGO_BIN_EXE_jettison"), who);
        jettison.mirror(&["docker.io", "gcr.io"], &self.registry.address());
        jettison
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn stand_in(base: &str) -> Image {
    let (layout, tag) = layout(base);
    Image::from_layout(&layout, tag)
}

/// Puts stand-in `base` where a mirror of its registry has it.
fn push(registry: &Registry, base: &str) {
    let (layout, tag) = layout(base);
    let (_, path) = base.split_once('/').unwrap();
    registry.push(&format!("oci:{}:{tag}", layout.display()), path);
}

#[track_caller]
fn build(jettison: &Jettison, context: &Context, flags: &[&str]) -> Output {
    jettison.build(context, &[&["--network", "host", "--progress", "plain"], flags].concat())
}

fn check(example: &Example) {
    let site = Site::new(example);
    let (root, user) = (site.home(Who::Me), site.home(Who::Subordinate));
    let mine = built(&root, &site.context, example.name);
    let theirs = built(&user, &site.context, example.name);
    assert_same(&mine, &theirs, "as an ordinary user");
    for jettison in [&root, &user] {
        executes(jettison, &site.context, &[], "a second build");
        serves(&mut run_by_jettison(jettison, example.name), example);
    }
    one_id(&site, example, &mine);
    judges(&root, example, &mine);
    changes(&root, &site.context, example);
}

/// Times are no change, and one byte is one for the steps below its COPY.
fn changes(jettison: &Jettison, context: &Context, example: &Example) {
    tools::run("find", [context.argument(), "-exec", "touch", "{}", "+"]);
    executes(jettison, context, &[], "a build after touch");
    let text = fs::read_to_string(context.path().join(example.source)).unwrap();
    assert!(text.contains("hello from"), "{} says something else", example.source);
    context.write(example.source, text.replacen("hello from", "Hello from", 1));
    executes(jettison, context, example.below, "a build after the change of one byte");
}

/// Builds, and compares the executed steps with how they shall begin.
#[track_caller]
fn executes(jettison: &Jettison, context: &Context, expected: &[&str], what: &str) {
    let steps = build(jettison, context, &["--progress", "rawjson"]).steps();
    let mut executed = steps.executed();
    executed.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let same = executed.len() == expected.len()
        && executed.iter().zip(&expected).all(|(step, start)| step.starts_with(start));
    assert!(same, "{what} executes {executed:#?}");
}

/// Builds under the example's name and as an archive, and reads that.
fn built(jettison: &Jettison, context: &Context, name: &str) -> Image {
    let file = archive(jettison);
    let output =
        build(jettison, context, &["-t", name, "-o", "type=image", "-o", &format!("type=oci,dest={file}")]);
    output.says(name);
    Image::from_oci_archive(file.as_ref())
}

fn archive(jettison: &Jettison) -> String {
    jettison.path("work/example.tar").display().to_string()
}

/// Compares digests, and names the files that differ where they are not equal.
#[track_caller]
fn assert_same(one: &Image, two: &Image, what: &str) {
    if one.digest == two.digest {
        return;
    }
    let (trees, others) = ((one.tree(), two.tree()), (two.tree(), one.tree()));
    let mut different = Vec::new();
    for (these, those) in [&trees, &others] {
        let differs = |(path, entry): &(&str, &Entry)| !those.has(path) || those.get(path) != *entry;
        different.extend(these.entries().filter(differs).map(|(path, entry)| format!("{path}: {entry:?}")));
    }
    different.truncate(40);
    assert_eq!(different, [""; 0], "{what}: the files differ");
    assert_eq!(one.config, two.config, "{what}: the configs differ");
    panic!("{what}: the manifests differ");
}

fn one_id(site: &Site, example: &Example, mine: &Image) {
    let jettison = site.home(Who::OneId);
    if example.foreign_owners {
        let output = jettison.build_fails(&site.context, &["--network", "host"]);
        output.says("subuid");
        return;
    }
    assert_same(mine, &built(&jettison, &site.context, example.name), "with one id only");
}

fn judges(root: &Jettison, example: &Example, image: &Image) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let docker_archive = format!("docker-archive:{}:judged:1", path("docker.tar"));
    tools::run(
        "skopeo",
        ["--insecure-policy", "copy", "-q", &format!("oci-archive:{}", archive(root)), &docker_archive],
    );
    assert_eq!(Image::from_docker_archive(path("docker.tar").as_ref()).id, image.id);

    tools::run(
        "skopeo",
        [
            "--insecure-policy",
            "copy",
            "-q",
            &format!("oci-archive:{}", archive(root)),
            &format!("oci:{}:x", path("layout")),
        ],
    );
    tools::run("umoci", ["unpack", "--image", &format!("{}:x", path("layout")), &path("bundle")]);
    assert!(Path::new(&path("bundle")).join("rootfs").exists());

    let docker = Docker::start();
    docker.run(&["load", "-q", "-i", &path("docker.tar")]);
    assert_eq!(docker.run(&["image", "inspect", "-f", "{{.Id}}", "judged:1"]).trim(), image.id.to_string());

    let podman = Podman::new();
    tools::checked(&mut podman.command(&["load", "-q", "-i", &path("docker.tar")]));
    let port = free_port();
    let child = start(&mut podman.run(&["-e", &format!("PORT={port}")], &["docker.io/library/judged:1"]));
    let end = Some(podman.command(&["rm", "--all", "--force", "--time=0"]));
    serves(&mut Running { child, port, end }, example);
}

/// A program that serves on `port`; ended when dropped.
struct Running {
    child: Child,
    port: u16,
    end: Option<Command>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(end) = &mut self.end {
            let _ = end.output();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

fn run_by_jettison(jettison: &Jettison, name: &str) -> Running {
    let port = free_port();
    let child = start(&mut jettison.command(&["run", "--rm", "-e", &format!("PORT={port}"), name]));
    Running { child, port, end: None }
}

/// Asks until an answer comes, and compares it with the known text.
fn serves(running: &mut Running, example: &Example) {
    let end = Instant::now() + START;
    let answer = loop {
        if let Some(answer) = ask(running.port) {
            break answer;
        }
        assert!(running.child.try_wait().unwrap().is_none(), "{} ended before it served", example.name);
        assert!(Instant::now() < end, "{} does not serve", example.name);
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(answer, format!("hello from {}, uid {}\n", example.name, example.uid));
}

/// An image's size in bytes: what a container of it would see, each file once.
fn size(image: &Image) -> u64 {
    let tree = image.tree();
    let counted = tree.entries().filter(|(_, entry)| entry.kind == Kind::File);
    counted.map(|(_, entry)| entry.content.len() as u64).sum()
}

#[test]
fn sizes_stand_in_the_readme() {
    const UPDATE: &str = "JETTISON_UPDATE_SIZES";
    const MARKERS: (&str, &str) = ("<!-- sizes -->\n", "<!-- end of sizes -->");
    let file = folder().join("README.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(MARKERS.0).unwrap();
    let (table, after) = rest.split_once(MARKERS.1).unwrap();
    if std::env::var_os(UPDATE).is_none() {
        for name in NAMES {
            assert!(
                table.contains(&format!("| `{name}` |")),
                "{name} is missing: run this test with {UPDATE}=1"
            );
        }
        return;
    }
    let mut table = "| example | its image | of that its base | `Dockerfile.single` | smaller by |\n|---|---:|---:|---:|---:|\n".to_owned();
    for name in NAMES {
        table += &row(name);
    }
    fs::write(&file, format!("{before}{}{table}{}{after}", MARKERS.0, MARKERS.1)).unwrap();
}

/// Measures an example, the base of its last stage and its single stage.
fn row(name: &str) -> String {
    let context = Context::copy_of(&folder().join(name));
    let registry = Registry::start();
    let jettison = Jettison::new(env!("CARGO_BIN_EXE_jettison"));
    jettison.mirror(&["docker.io", "gcr.io"], &registry.address());
    let measure = |file: &str| {
        let bases = bases(&fs::read_to_string(context.path().join(file)).unwrap());
        bases.iter().for_each(|base| push(&registry, base));
        let path = context.path().join(file).display().to_string();
        let image = size(&jettison.image(&context, &["--network", "host", "-f", &path]));
        (image, bases.last().cloned())
    };
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let (whole, base) = measure("Dockerfile");
    let base = if name == "go-scratch" { 0 } else { size(&stand_in(&base.unwrap())) };
    let mut row = format!("| `{name}` | {} | {} |", megabytes(whole), megabytes(base));
    if context.path().join("Dockerfile.single").exists() {
        let (single, _) = measure("Dockerfile.single");
        let saved = 100.0 * (1.0 - whole as f64 / single as f64);
        row += &format!(" {} | {saved:.1} % |\n", megabytes(single));
    } else {
        row += " it is one | |\n";
    }
    row
}

/// The full names of the images on which the stages of a Dockerfile build, that of the last stage last.
fn bases(dockerfile: &str) -> Vec<String> {
    let named = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next());
    named
        .filter(|base| !["scratch", "base", "dev"].contains(base))
        .map(|base| match base.starts_with("gcr.io/") {
            true => format!("{base}:latest"),
            false => format!("docker.io/library/{base}"),
        })
        .collect()
}
