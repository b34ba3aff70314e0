//! Rewrites with real compilers and package managers: one stage becomes two, and the fat images that need more than busybox.
//!
//! Bases are stand-ins; packages come from package registries.
#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

mod stand_ins;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use jettison_testkit::{Context, Jettison, Output, Registry, tools};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_jettison");

/// The stand-ins that the contexts and their rewrites name.
const BASES: [&str; 14] = [
    "docker.io/library/alpine:3.20",
    "docker.io/library/busybox:stable",
    "docker.io/library/debian:bookworm-slim",
    "docker.io/library/eclipse-temurin:17-jre-alpine",
    "docker.io/library/golang:1.21",
    "docker.io/library/maven:3.9-eclipse-temurin-17",
    "docker.io/library/node:20",
    "docker.io/library/node:20-alpine",
    "docker.io/library/node:20-slim",
    "docker.io/library/python:3.11",
    "docker.io/library/python:3.11-slim",
    "docker.io/library/rust:1-slim",
    "gcr.io/distroless/base-debian12:latest",
    "gcr.io/distroless/static-debian12:latest",
];

/// A home, and a registry that has no image: what is no stand-in does not exist.
struct Site {
    jettison: Jettison,
    _registry: Registry,
}

impl Site {
    fn new() -> Site {
        let (jettison, registry) = (Jettison::new(BINARY), Registry::start());
        jettison.mirror(&["docker.io", "gcr.io"], &registry.address());
        Site { jettison, _registry: registry }
    }

    /// Runs a verb that builds `context`.
    fn run(&self, verb: &str, context: &Context, more: &[&str]) -> Output {
        let bases = BASES.iter().flat_map(|base| {
            let (layout, tag) = stand_ins::layout(base);
            let name = base.trim_start_matches("docker.io/library/").trim_end_matches(":latest");
            ["--build-context".to_owned(), format!("{name}=oci-layout://{}:{tag}", layout.display())]
        });
        let bases: Vec<String> = bases.collect();
        let mut arguments = vec![verb, "--network", "host"];
        arguments.extend(bases.iter().map(String::as_str));
        arguments.extend(more);
        arguments.push(context.argument());
        self.jettison.ok(&arguments)
    }
}

/// A folder of the repository as a context.
fn context(folder: &str) -> Context {
    Context::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder))
}

/// Rewrites a single stage, compares the end of the Dockerfile from the last FROM on, and builds it; returns it.
fn becomes(site: &Site, folder: &str, file: &str, smoke: &str, expected: &str) -> String {
    let context = context(folder);
    let path = context.path().join(file);
    let flags = ["-f", path.to_str().unwrap(), "--smoke", smoke, "--write"];
    let output = site.run("fix", &context, &flags);
    let text = fs::read_to_string(&path).unwrap();
    let (_, last) = text.rsplit_once("\nFROM ").unwrap_or_else(|| panic!("{folder}: one stage: {output}"));
    assert_eq!(last, expected, "{folder}: {output}");
    output.says("smoke test passes");
    site.run("build", &context, &["-t", "mended", "-f", path.to_str().unwrap()]);
    text
}

#[test]
fn machine_code_goes_on_the_smallest_base_with_its_libraries() {
    let site = Site::new();
    becomes(
        &site,
        "tests/single/rust",
        "Dockerfile",
        "",
        "debian:bookworm-slim\nWORKDIR /src\nCOPY --from=build /src/target/release/hello /src/target/release/hello\n\
         CMD [\"./target/release/hello\"]\n",
    );
    assert_eq!(site.jettison.ok(&["run", "--rm", "mended"]).stdout, "hello from rust\n");
    becomes(
        &site,
        "tests/single/c",
        "Dockerfile",
        "",
        "gcr.io/distroless/base-debian12\nARG HOME_OF_PROGRAM=/srv/hello\nWORKDIR $HOME_OF_PROGRAM\n\
         COPY --from=build /etc/passwd /etc/group /etc/\nCOPY --from=build /srv/hello /srv/hello\n\
         # Not root.\nUSER greeter\nCMD [\"./hello\"]\n",
    );
    assert_eq!(site.jettison.ok(&["run", "--rm", "mended"]).stdout, "hello from C, 42\n");
}

#[test]
fn programs_of_a_runtime_go_on_a_smaller_one() {
    let site = Site::new();
    let server = |start: &str| format!("sh -c '{start} & sleep 2; kill $!'");
    becomes(
        &site,
        "examples/java",
        "Dockerfile.single",
        &server("java -jar target/*.jar"),
        "eclipse-temurin:17-jre-alpine\nWORKDIR /app\nCOPY --from=build /app/target/*.jar /app/target/\n\
         EXPOSE 8080\nCMD [\"sh\", \"-c\", \"exec java -jar target/*.jar\"]\n",
    );
    let node = becomes(
        &site,
        "examples/node",
        "Dockerfile.single",
        &server("node dist/server.js"),
        "node:20-alpine\nWORKDIR /app\nCOPY --from=build /app /app\nEXPOSE 3000\nCMD [\"node\", \"dist/server.js\"]\n",
    );
    assert!(node.contains("RUN npm run build\nRUN npm prune --omit=dev\n"), "{node}");
    becomes(
        &site,
        "examples/python",
        "Dockerfile.single",
        &server("python app.py"),
        "python:3.11-slim\nWORKDIR /app\n\
         COPY --from=build /usr/local/lib/python3.11/dist-packages /usr/local/lib/python3.11/dist-packages\n\
         COPY --from=build /app /app\nEXPOSE 5000\nCMD [\"python\", \"app.py\"]\n",
    );
}

/// A fat image of `tests/fat`, built.
struct Fat {
    site: Site,
    context: Context,
    rootfs: PathBuf,
}

impl Fat {
    fn new(context: Context) -> Fat {
        let site = Site::new();
        let rootfs = site.jettison.path("work/rootfs");
        let local = format!("type=local,dest={}", rootfs.display());
        site.run("build", &context, &["-t", "fat", "-o", "type=image", "-o", &local]);
        Fat { site, context, rootfs }
    }

    /// The heaviest advice.
    fn first(&self) -> Value {
        let output = self.site.jettison.ok(&["advise", "--format", "json", "fat"]);
        let advice: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
        advice.into_iter().next().unwrap()
    }

    /// The bytes of the files below some paths of the image, by `find` on what it unpacks to.
    fn counted(&self, paths: &[&str]) -> u64 {
        let paths = paths.iter().map(|path| self.rootfs.join(path).display().to_string());
        let flags = ["-type", "f", "-printf", "%s\\n"].map(str::to_owned);
        let sizes = tools::run("find", paths.chain(flags));
        sizes.lines().map(|size| size.parse::<u64>().unwrap()).sum()
    }

    /// The heaviest advice has this rule, and the bytes of `paths`.
    #[track_caller]
    fn culprit(&self, rule: &str, paths: &[&str]) {
        let first = self.first();
        assert_eq!((&first["rule"], &first["bytes"]), (&rule.into(), &self.counted(paths).into()), "{first}");
    }

    /// `fix` keeps a rewrite of this rule with this proof, and what it writes builds.
    #[track_caller]
    fn mended(&self, rule: &str, proof: &str, smoke: &[&str]) {
        let output = self.site.run("fix", &self.context, &[smoke, &["--write"]].concat());
        let kept = output.stderr.split("\nkept").any(|part| {
            let mut lines = part.lines().take(2);
            lines.next().is_some_and(|line| line.contains(rule))
                && lines.next().is_some_and(|line| line.contains(proof))
        });
        assert!(kept, "no {rule} with \"{proof}\": {output}");
        self.site.run("build", &self.context, &["-t", "mended"]);
    }
}

#[test]
fn fat_images_of_debian_and_python() {
    let fat = Fat::new(context("tests/fat/apt-lists"));
    fat.culprit("SZ001", &["var/lib/apt/lists", "var/cache/apt"]);
    fat.mended("SZ001", "same tree but for", &[]);
    let fat = Fat::new(context("tests/fat/pip-cache"));
    fat.culprit("SZ005", &["root/.cache/pip"]);
    fat.mended("SZ005", "same tree but for", &[]);
    let fat = Fat::new(context("tests/fat/copy-first"));
    let first = fat.first();
    assert!(first["rule"] == "CA001" && first["seconds"].as_f64().unwrap() > 0.0, "{first}");
    fat.mended("CA001", "same tree", &[]);
}

#[test]
fn fat_images_of_go_and_node() {
    let fat = Fat::new(context("tests/fat/compiler"));
    fat.culprit("SZ018", &["usr/local/go"]);
    fat.mended("SZ018", "smoke test passes", &["--smoke", ""]);
    let fat = Fat::new(context("tests/fat/dev-dependencies"));
    fat.culprit("SZ021", &["app/node_modules/typescript"]);
    fat.mended("SZ021", "smoke test passes", &["--smoke", ""]);
}

#[test]
fn files_that_node_serves_go_to_a_smaller_server() {
    let (context, port) = (context("tests/fat/static-node"), stand_ins::free_port());
    let dockerfile = fs::read_to_string(context.path().join("Dockerfile")).unwrap();
    context.write("Dockerfile", dockerfile.replace("\"serve\"", &format!("\"serve\", \"-l\", \"{port}\"")));
    let fat = Fat::new(context);
    fat.culprit("SZ046", &["usr/local/bin/node", "usr/local/lib/node_modules"]);
    fat.mended("SZ046", "smoke test passes", &["--smoke", "cat dist/index.html"]);
    let mut server = fat.site.jettison.command(&["run", "--rm", "mended"]);
    let mut server = server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let answer = loop {
        let answer = stand_ins::ask(port);
        if answer.is_some() || Instant::now() > end {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(answer.as_deref(), Some("<p>hello</p>\n"));
}

/// Packages that only others recommend, and those for building, each with the bytes that dpkg's lists of files sum up to.
#[test]
fn packages_that_nobody_asked_for_are_weighed() {
    let context = Context::of(
        "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y wget libzstd-dev && rm -rf /var/lib/apt/lists/*\n\
         CMD [\"wget\", \"--version\"]\n",
    );
    let fat = Fat::new(context);
    let dpkg = fat.rootfs.join("var/lib/dpkg/info");
    let bytes_of = |names: &[&str]| {
        let mut paths = BTreeSet::new();
        for file in fs::read_dir(&dpkg).unwrap().map(|entry| entry.unwrap()) {
            let name = file.file_name().into_string().unwrap();
            let package = name.rsplit_once('.').map_or("", |(package, _)| package).split(':').next().unwrap();
            if !names.contains(&package) {
                continue;
            }
            paths.insert(file.path());
            if name.ends_with(".list") {
                let list = fs::read_to_string(file.path()).unwrap();
                paths.extend(list.lines().map(|path| fat.rootfs.join(path.trim_start_matches('/'))));
            }
        }
        let metadata = paths.iter().filter_map(|path| fs::symlink_metadata(path).ok());
        metadata.filter(|metadata| metadata.is_file()).map(|metadata| metadata.len()).sum::<u64>()
    };
    let output = fat.site.jettison.ok(&["advise", "--format", "json", "fat"]);
    let advice: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    let find =
        |rule: &str| advice.iter().find(|found| found["rule"] == rule).unwrap_or_else(|| panic!("{output}"));
    assert_eq!(
        find("SZ022")["bytes"],
        bytes_of(&["ca-certificates", "libssl3", "openssl", "publicsuffix"]),
        "{output}"
    );
    assert_eq!(find("SZ018")["bytes"], bytes_of(&["libzstd-dev"]), "{output}");
    fat.mended("SZ022", "smoke test passes", &["--smoke", ""]);
}
