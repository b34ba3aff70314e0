//! `advise`: the culprit first, with bytes that agree with an independent count.

use jettison_image::Platform;
use jettison_testkit::{Context, Fault, Image, Jettison, Layer, Layout, Proxy, Registry, Rule, base};
use serde_json::{Value, json};

use crate::{BINARY, Bench, context_of, fat};

/// Runs `advise --format json`.
fn advice(jettison: &Jettison, arguments: &[&str]) -> Vec<Value> {
    let output = jettison.ok(&[&["advise", "--format", "json"], arguments].concat());
    serde_json::from_str(&output.stdout).unwrap()
}

/// Rule, line and bytes of the first advice on a fat image.
fn first(name: &str) -> (String, u64, u64) {
    let bench = Bench::new();
    bench.build(&fat::context(name), &["-t", name]);
    let found = advice(&bench.jettison, &[name]);
    let first = found.first().unwrap_or_else(|| panic!("{name}: no advice"));
    let bytes = first["bytes"].as_u64().unwrap_or_default();
    (first["rule"].as_str().unwrap().to_owned(), first["line"].as_u64().unwrap_or_default(), bytes)
}

/// The bytes of a file of a fat context, by the file system.
fn size(name: &str, path: &str) -> u64 {
    fat::context(name).path().join(path).metadata().unwrap().len()
}

#[test]
fn the_culprit_of_each_fat_image_comes_first() {
    let of = |rule: &str, line, bytes| (rule.to_owned(), line, bytes);
    assert_eq!(first("archive"), of("SZ032", 3, size("archive", "app.tar.gz")));
    assert_eq!(first("chown-tree"), of("SZ014", 4, 3_400_000));
    assert_eq!(first("deleted-later"), of("SZ012", 3, 4_000_000));
    assert_eq!(first("env-copied"), of("SE012", 4, size("env-copied", ".env")));
    let git = size("git-copied", ".git/objects/pack/pack-1.pack") + size("git-copied", ".git/HEAD");
    assert_eq!(first("git-copied"), of("SZ028", 4, git));
    assert_eq!(first("no-dockerignore"), of("SZ029", 4, 2_200_000));
    assert_eq!(first("secret-arg"), of("SE002", 3, 0));
}

#[test]
fn a_context_is_read_without_a_build() {
    let bench = Bench::new();
    for (name, rule) in [
        ("apt-lists", "SZ001"),
        ("chown-tree", "SZ014"),
        ("copy-first", "CA001"),
        ("deleted-later", "SZ012"),
        ("dev-dependencies", "SZ021"),
        ("env-copied", "SE012"),
        ("git-copied", "SZ028"),
        ("no-dockerignore", "SZ029"),
        ("pip-cache", "SZ005"),
        ("secret-arg", "SE002"),
        ("static-node", "SZ046"),
    ] {
        let found = advice(&bench.jettison, &[fat::context(name).argument()]);
        assert!(found.iter().any(|advice| advice["rule"] == rule), "{name}: {found:?}");
    }
}

#[test]
fn advice_comes_in_four_forms() {
    let bench = Bench::new();
    let context = fat::context("deleted-later");
    bench.build(&context, &["-t", "fat"]);
    let text = bench.jettison.ok(&["advise", "fat"]).stdout;
    for line in
        ["SZ012  4 MB", "Dockerfile:3: RUN mkdir /build", "instead: delete in the RUN that makes them"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let sarif: Value =
        serde_json::from_str(&bench.jettison.ok(&["advise", "--format", "sarif", "fat"]).stdout).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "SZ012");
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 3);
    let github = bench.jettison.ok(&["advise", "--format", "github", "fat"]).stdout;
    assert!(github.starts_with("::warning file="), "{github}");
}

#[test]
fn a_build_ends_with_a_few_lines_unless_quiet() {
    let bench = Bench::new();
    let context = fat::context("deleted-later");
    let output = bench.build(&context, &["-t", "fat"]);
    output.says("advice: SZ012 RUN rm -rf /build").says("jettison advise fat");
    bench.build(&context, &["-q"]).says_not("advice");
    bench.build(&context_of("FROM busybox\nCMD [\"sh\"]\n", &[]), &[]).says_not("advice");
}

#[test]
fn a_fat_builder_stage_is_fine() {
    let bench = Bench::new();
    let dockerfile = "FROM busybox AS build\nRUN seq 1000000 | head -c 2000000 > /x\nRUN rm /x && echo 1 > /y\n\
                      FROM busybox\nCOPY --from=build /y /y\n";
    let context = Context::of(dockerfile);
    bench.build(&context, &["-t", "lean"]).says_not("advice");
    assert_eq!(advice(&bench.jettison, &["lean"]), Vec::<Value>::new());
}

struct Hub {
    _registry: Registry,
    proxy: Proxy,
    layout: Layout,
    jettison: Jettison,
}

/// A registry that stands for docker.io and gcr.io, with `python:3.11` and its relatives, and a home that knows it.
fn relatives_of_python() -> Hub {
    let deb = |name: &str| {
        format!("Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n")
    };
    let glibc = |layer: Layer| layer.dir("lib64", 0o755).file("lib64/ld-linux-x86-64.so.2", 0o755, "");
    let debian = |names: &[&str]| {
        let status: String = names.iter().map(|name| deb(name)).collect();
        let layer = glibc(base::busybox()).file("usr/bin/apt-get", 0o755, "");
        layer.dir("var/lib", 0o755).dir("var/lib/dpkg", 0o755).file("var/lib/dpkg/status", 0o644, status)
    };
    let full = debian(&["gcc", "libc6", "python3"]).file("usr/bin/gcc", 0o755, vec![0; 3_000_000]);
    let installed = "P:musl\nV:1\n\nP:python3\nV:3\n\nP:busybox\nV:1\n\n";
    let alpine = base::alpine().dir("sbin", 0o755).file("sbin/apk", 0o755, "").file(
        "lib/ld-musl-x86_64.so.1",
        0o755,
        "",
    );
    let alpine = ["lib/apk", "lib/apk/db"].iter().fold(alpine, |layer, folder| layer.dir(folder, 0o755));
    let alpine = alpine.file("lib/apk/db/installed", 0o644, installed);
    let distroless = ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status.d"];
    let distroless = distroless.iter().fold(glibc(Layer::new()), |layer, folder| layer.dir(folder, 0o755));
    let distroless = distroless.file("var/lib/dpkg/status.d/libc6", 0o644, deb("libc6"));

    let (registry, mut layout) = (Registry::start(), Layout::new());
    for (tag, layer, name) in [
        ("full", full, "library/python:3.11"),
        ("slim", debian(&["libc6", "python3"]), "library/python:3.11-slim"),
        ("alpine", alpine, "library/python:3.11-alpine"),
        ("distroless", distroless, "distroless/python3-debian12:latest"),
    ] {
        layout.add(tag, &base::config("sh"), &[layer]);
        registry.push(&layout.skopeo(tag), name);
    }
    let (jettison, proxy) = (Jettison::new(BINARY), Proxy::start(&registry.address()));
    let entry = |name: &str| {
        format!("[[registry]]\nprefix = \"{name}\"\nlocation = \"{}\"\ninsecure = true\n", proxy.address())
    };
    jettison.registries(&(entry("docker.io") + &entry("gcr.io")));
    Hub { _registry: registry, proxy, layout, jettison }
}

/// Runs `advise --bases --format json` and returns the bases.
fn bases(jettison: &Jettison, subject: &str) -> Value {
    bases_with(jettison, &[], subject)
}

fn bases_with(jettison: &Jettison, flags: &[&str], subject: &str) -> Value {
    let output = jettison.ok(&[&["advise", "--bases", "--format", "json"], flags, &[subject]].concat());
    serde_json::from_str::<Value>(&output.stdout).unwrap()["bases"].take()
}

#[test]
fn smaller_bases_are_those_that_the_registry_has() {
    let hub = relatives_of_python();
    let context = context_of(
        "ARG V=3.11\nFROM golang AS build\nRUN apk add x\nFROM python:$V\nRUN apt-get update\nCMD [\"x\"]\n",
        &[],
    );
    let found = bases(&hub.jettison, context.argument());
    assert_eq!((&found["base"], &found["line"]), (&json!("python:3.11"), &json!(4)));
    assert_eq!(
        found["needs"],
        json!([{"part": "shell", "why": "RUN, line 5"}, {"part": "apt", "why": "RUN, line 5"}])
    );
    let size = |tag: &str| {
        let image = Image::from_layout(hub.layout.path(), tag);
        image.manifest.layers.iter().map(|layer| layer.size).sum::<u64>()
    };
    let mut expected = [
        ("full", "python:3.11", 3, json!(["shell", "glibc", "apt"]), json!([])),
        ("slim", "python:3.11-slim", 2, json!(["shell", "glibc", "apt"]), json!([])),
        ("alpine", "python:3.11-alpine", 3, json!(["shell", "musl", "apk"]), json!(["apt"])),
        (
            "distroless",
            "gcr.io/distroless/python3-debian12:latest",
            1,
            json!(["glibc"]),
            json!(["shell", "apt"]),
        ),
    ];
    expected.sort_by_key(|(tag, ..)| std::cmp::Reverse(size(tag)));
    let rows = expected.map(|(tag, name, packages, has, misses)| {
        json!({"name": name, "inUse": tag == "full", "compressed": size(tag), "packages": packages, "has": has, "misses": misses})
    });
    assert_eq!(found["images"], Value::from(rows.to_vec()));
    assert_eq!(found["notes"], json!([]), "what does not exist is not listed");
}

/// What `build` would take for the base is compared, whatever decides it.
#[test]
fn flags_of_a_build_decide_which_base_is_compared() {
    let mut hub = relatives_of_python();
    let text = "ARG V=3.10\nARG FOR=linux/riscv64\nFROM --platform=$FOR python:$V AS app\nCMD [\"x\"]\n\
                FROM other AS test\nRUN x\n";
    let context = context_of(text, &[]);
    let names = |flags: &[&str]| {
        let found = bases_with(&hub.jettison, flags, context.argument());
        let images = found["images"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| image["name"].as_str().unwrap().to_owned());
        (found["base"].as_str().unwrap().to_owned(), images.collect::<Vec<_>>())
    };
    let (base, images) = names(&[]);
    assert_eq!((base.as_str(), images.len()), ("other", 0));
    let app = ["--target", "app", "--build-arg", "V=3.11", "--build-arg", "FOR=linux/amd64"];
    let (base, images) = names(&app);
    assert_eq!((base.as_str(), images.len()), ("python:3.11", 4));
    // An image and a layout take the place of bases.
    let given = ["--build-context", "other=docker-image://python:3.11"];
    assert_eq!(names(&given).0, "python:3.11");
    let slim = format!("other={}", hub.layout.named_context("slim"));
    let found = bases_with(&hub.jettison, &["--build-context", &slim], context.argument());
    assert_eq!((&found["base"], &found["images"][0]["packages"]), (&json!("other"), &json!(2)));
    // The platform is that of the FROM.
    let arm: Platform = "linux/arm64".parse().unwrap();
    hub.layout.add_index("arm", &base::config("sh"), &[(arm, vec![base::busybox()])]);
    let arm = format!("python:3.10={}", hub.layout.named_context("arm"));
    let app = ["--target", "app", "--build-context", &arm, "--build-arg", "FOR=linux/arm64"];
    assert_eq!(bases_with(&hub.jettison, &app, context.argument())["images"][0]["packages"], 0);
    hub.jettison.fails(1, &[&["advise", "--bases"], &app[..4], &[context.argument()]].concat());
    hub.jettison
        .fails(1, &["advise", "--target", "none", context.argument()])
        .says("target stage \"none\" could not be found");
}

#[test]
fn the_stage_that_ships_is_the_target() {
    let bench = Bench::new();
    let context = context_of(
        "FROM busybox AS app\nRUN seq 1000000 | head -c 2000000 > /x\nRUN rm /x && echo 1 > /y\n\
         FROM busybox AS test\nRUN echo apt-get update\nCMD [\"sh\"]\n",
        &[],
    );
    let rules = |arguments: &[&str]| {
        let found = advice(&bench.jettison, arguments);
        found
            .iter()
            .map(|found| format!("{} {}", found["rule"], found["line"]))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(rules(&[context.argument()]), "");
    assert_eq!(rules(&["--target", "APP", context.argument()]), "\"SZ012\" 3");
    // An image remembers which stage it is.
    bench.build(&context, &["--target", "app", "-t", "app"]).says("advice: SZ012");
    assert_eq!(rules(&["app"]), "\"SZ012\" 2");
}

#[test]
fn an_image_tells_which_libc_its_own_programs_need() {
    let hub = relatives_of_python();
    let program = std::fs::read("/bin/ls").unwrap();
    let context = Context::of("FROM python:3.11\nCOPY run.sh /\nCOPY ls /opt/\nENTRYPOINT [\"/run.sh\"]\n")
        .file_with_mode("run.sh", 0o755, "#!/bin/sh\nexec ls\n")
        .file_with_mode("ls", 0o755, program);
    hub.jettison.build(&context, &["-t", "app"]);
    let found = bases(&hub.jettison, "app");
    let needs = json!([{"part": "glibc", "why": "/opt/ls"}, {"part": "shell", "why": "/run.sh"}]);
    let mut own = found["needs"].as_array().unwrap().clone();
    own.sort_by_key(|need| need["part"].to_string());
    assert_eq!(Value::from(own), needs);
    let text = hub.jettison.ok(&["advise", "--bases", "app"]).stdout;
    let row = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}\n{text}"))
            .split("   ")
            .map(str::trim)
            .map(str::to_owned)
            .filter(|cell| !cell.is_empty())
            .skip(2)
            .collect::<Vec<_>>()
            .join("|")
    };
    assert_eq!(row("python:3.11"), "3|yes|glibc|apt|(in use)");
    assert_eq!(row("python:3.11-slim"), "2|yes|glibc|apt|none");
    assert_eq!(row("python:3.11-alpine"), "3|yes|musl|apk|glibc");
    assert_eq!(row("gcr.io/distroless/python3-debian12:latest"), "1|none|glibc|none|shell");
}

#[test]
fn no_registry_is_asked_unless_bases_are_wanted() {
    let hub = relatives_of_python();
    let context = context_of("FROM python:3.11\nCMD [\"x\"]\n", &[]);
    hub.jettison.ok(&["advise", context.argument()]);
    hub.jettison
        .fails(2, &["advise", "--bases", "--format", "sarif", context.argument()])
        .says("--bases is for");
    assert_eq!(hub.proxy.requests().len(), 0);
    bases(&hub.jettison, context.argument());
    assert!(hub.proxy.count("GET", "/v2/library/python/manifests/3.11-slim") > 0);
}

#[test]
fn a_registry_that_fails_is_asked_once_and_named() {
    let hub = relatives_of_python();
    hub.proxy.add(Rule::new("GET", "/library/python/manifests/", Fault::status(418)));
    let context = context_of("FROM python:3.11\nCMD [\"x\"]\n", &[]);
    let found = bases(&hub.jettison, context.argument());
    let names: Vec<&Value> = found["images"].as_array().unwrap().iter().map(|image| &image["name"]).collect();
    assert_eq!(names, ["gcr.io/distroless/python3-debian12:latest"]);
    let notes = found["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].as_str().unwrap().ends_with("docker.io is not asked again"), "{notes:?}");
    assert_eq!(hub.proxy.count("GET", "/library/python/manifests/"), 1);
}
