//! Where an image's bytes are: sums against `tar`, causes of death, packages, forms of output, images from anywhere.

use std::path::Path;

use jettison_testkit::{Context, Layer, Layout, Registry, base, tools};
use serde_json::Value;

use crate::Bench;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/report.schema.json");

/// Runs `report --format json` and holds the result against the documented schema.
fn report(bench: &Bench, image: &str) -> Value {
    let text = bench.jettison.ok(&["report", "--format", "json", image]).stdout;
    let file = bench.jettison.write("work/report.json", &text);
    tools::run("jsonschema", ["-i", &file.display().to_string(), SCHEMA]);
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {pointer}"))
}

/// What there is to say of the file of `layer` at `path`: `live`, or the cause of its death and who did it.
fn fate(report: &Value, layer: u64, path: &str) -> String {
    let files = report["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["layer"] == layer && file["path"] == path);
    let file = file.unwrap_or_else(|| panic!("no {path} in layer {layer}"));
    match file["dead"].as_str() {
        None => "live".to_owned(),
        Some(cause) => format!("{cause} by {}", file["by"]),
    }
}

/// A build with each kind of dead bytes.
const FAT: &str = "\
FROM busybox
COPY big /big
RUN chmod 700 /big && mkdir /build && head -c 300000 /dev/urandom > /build/x && echo old > /over
RUN rm -rf /build && echo new > /over && cp /big /copy
RUN cp -p /big /tmp/b && rm /big && mv /tmp/b /big && rm /etc/group
";

fn fat() -> (Bench, Context) {
    let bench = Bench::new();
    let context = Context::of(FAT).file("big", vec![b'b'; 500_000]);
    bench.build(&context, &["-t", "fat"]);
    (bench, context)
}

#[test]
fn each_dead_byte_has_its_cause() {
    let (bench, _) = fat();
    let report = report(&bench, "fat");
    for (layer, path, expected) in [
        (1, "/big", "metadata by 2"),
        (2, "/big", "identical by 4"),
        (4, "/big", "live"),
        (2, "/build/x", "deleted by 3"),
        (2, "/over", "overwritten by 3"),
        (3, "/over", "live"),
        (0, "/etc/group", "deleted by 4"),
    ] {
        assert_eq!(fate(&report, layer, path), expected, "{path}");
    }
    assert_eq!(number(&report, "/totals/metadata"), 500_000);
    assert_eq!(number(&report, "/totals/identical"), 500_000);
    assert_eq!(number(&report, "/totals/duplicate"), 500_000, "/copy");
    let text = bench.jettison.ok(&["report", "fat"]).stdout;
    for line in [
        "500 kB  /big  (copied for mode, owner or time)",
        "300 kB deleted by RUN rm -rf /build",
        "COPY big /big",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// The bytes of a layer's regular files and the length of its tar, by tar and the file system.
fn by_tar(tar: &Path) -> (u64, u64) {
    let listing =
        tools::run("tar", ["--list", "--verbose", "--numeric-owner", "--file", &tar.display().to_string()]);
    let files = listing.lines().filter(|line| line.starts_with('-') && !line.contains(" link to "));
    let size = |line: &str| line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap();
    (files.map(size).sum(), std::fs::metadata(tar).unwrap().len())
}

#[test]
fn all_sums_equal_those_of_tar() {
    let (bench, context) = fat();
    let archive = bench.jettison.path("work/fat.tar");
    bench.build(&context, &["-t", "fat", "-o", &format!("type=oci,dest={}", archive.display())]);
    let folder = bench.jettison.path("work/dir");
    let from = format!("oci-archive:{}", archive.display());
    tools::run(
        "skopeo",
        ["copy", "--quiet", "--dest-decompress", &from, &format!("dir:{}", folder.display())],
    );
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let report = report(&bench, "fat");
    let (mut stored, mut tars) = (0, 0);
    for (layer, blob) in manifest["layers"].as_array().unwrap().iter().enumerate() {
        let digest = blob["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let judged = by_tar(&folder.join(digest));
        let sums = format!("/layers/{layer}/sums");
        assert_eq!(
            (number(&report, &format!("{sums}/stored")), number(&report, &format!("{sums}/tar"))),
            judged
        );
        assert!(number(&report, &format!("{sums}/compressed/exact")) > 0, "it was exported");
        stored += judged.0;
        tars += judged.1;
    }
    let totals = &report["totals"];
    assert_eq!((number(totals, "/stored"), number(totals, "/tar")), (stored, tars));
    assert_eq!(number(totals, "/live") + number(totals, "/dead"), stored);
    let causes = ["overwritten", "deleted", "metadata", "identical"];
    assert_eq!(
        causes.iter().map(|cause| number(totals, &format!("/{cause}"))).sum::<u64>(),
        number(totals, "/dead")
    );
    let files: u64 = report["files"].as_array().unwrap().iter().map(|file| number(file, "/size")).sum();
    let packages = report["packages"].as_array().unwrap().iter();
    let owned: u64 = packages.map(|package| number(package, "/sums/stored")).sum::<u64>();
    assert_eq!((files, owned + number(&report, "/unpackaged/stored")), (stored, stored));
}

#[test]
fn images_from_anywhere_have_the_same_report() {
    let (bench, context) = fat();
    let work = |name: &str| bench.jettison.path(&format!("work/{name}")).display().to_string();
    let [layout, oci, docker] = ["layout", "oci.tar", "docker.tar"].map(work);
    bench.build(
        &context,
        &[
            "-t",
            "fat",
            "-o",
            &format!("type=oci,tar=false,dest={layout}"),
            "-o",
            &format!("type=oci,dest={oci}"),
        ],
    );
    bench.build(&context, &["-t", "fat", "-o", &format!("type=docker,dest={docker}")]);
    let registry = Registry::start();
    bench.jettison.mirror(&[], &registry.address());
    let remote = format!("{}/app/fat:1", registry.address());
    registry.push(&format!("oci-archive:{oci}"), "app/fat:1");
    let ours = report(&bench, "fat");
    let elsewhere = Bench::new();
    elsewhere.jettison.mirror(&[], &registry.address());
    for image in
        [&layout, &oci, &docker, &remote, &format!("{layout}:latest"), &format!("docker-archive:{docker}")]
    {
        let theirs = report(&elsewhere, image);
        assert_eq!(theirs["image"]["id"], ours["image"]["id"], "{image}");
        assert_eq!(number(&theirs, "/totals/dead"), number(&ours, "/totals/dead"), "{image}");
        assert_eq!(
            theirs["files"].as_array().unwrap().len(),
            ours["files"].as_array().unwrap().len(),
            "{image}"
        );
    }
    for missing in ["./nowhere", "/nowhere/at/all"] {
        elsewhere.jettison.fails(1, &["report", missing]).says("no such file");
    }
}

#[test]
fn packages_own_their_files() {
    let mut layout = Layout::new();
    let database = "P:tool\nV:1.0-r0\nF:usr/bin\nR:tool\n\n";
    let package = |layer: Layer| {
        layer
            .dir("lib", 0o755)
            .dir("lib/apk", 0o755)
            .dir("lib/apk/db", 0o755)
            .file("lib/apk/db/installed", 0o644, database)
            .dir("usr", 0o755)
            .dir("usr/bin", 0o755)
            .file("usr/bin/tool", 0o755, vec![b't'; 7000])
    };
    let again =
        Layer::new().dir("usr", 0o755).dir("usr/bin", 0o755).file("usr/bin/tool", 0o700, vec![b't'; 7000]);
    layout.add("app", &base::config("tool"), &[package(Layer::new()), again]);
    let report = report(&Bench::new(), &layout.path().display().to_string());
    let found = &report["packages"][0];
    assert_eq!((found["kind"].as_str(), found["name"].as_str()), (Some("apk"), Some("tool")));
    let sums = ["stored", "live", "dead", "metadata"].map(|name| number(found, &format!("/sums/{name}")));
    assert_eq!(sums, [14_000, 7000, 7000, 7000]);
    assert_eq!(number(&report, "/unpackaged/stored"), database.len() as u64);
}

#[test]
fn names_from_outside_cannot_move_the_cursor() {
    let mut layout = Layout::new();
    let evil = Layer::new().file("a\u{1b}[2Jb\nc", 0o644, vec![0; 1000]);
    layout.add("evil", &base::config("x"), &[evil, Layer::new().whiteout("a\u{1b}[2Jb\nc")]);
    let text = Bench::new().jettison.ok(&["report", &layout.path().display().to_string()]).stdout;
    assert!(text.contains("a\\u{1b}[2Jb\\nc") && !text.contains('\u{1b}'), "{text}");
}

/// The images of the table in docs/accounting.md, a hundredth as large: dive 0.13 calls the first and the fourth perfect,
/// and counts what survives in the third and the last two as waste.
#[test]
fn what_dive_gets_wrong_is_right() {
    let tree = |mode: u32, size: usize| {
        let layer = Layer::new().dir("d", 0o755);
        layer.file("d/a", mode, vec![b'a'; size]).file("d/b", mode, vec![b'b'; size])
    };
    let one = |path: &str, mode: u32, content: Vec<u8>| Layer::new().file(path, mode, content);
    let app = || one("app", 0o755, vec![b'p'; 50_000]);
    let whole = vec![tree(0o644, 500_000), Layer::new().whiteout("d"), app()];
    let single = Layer::new().dir("d", 0o755).whiteout("d/a").whiteout("d/b");
    let single = vec![tree(0o644, 500_000), single, app()];
    let chmod = vec![tree(0o644, 450_000), tree(0o600, 450_000)];
    let same = || vec![b's'; 100_000];
    let copies = vec![one("a", 0o644, same()), one("b", 0o644, same())];
    let cut = vec![one("log", 0o644, vec![b'l'; 90_000]), one("log", 0o644, vec![b'l'; 10_000])];
    let below = || one("base", 0o644, vec![b'x'; 300_000]);
    let again = one("base", 0o600, vec![b'x'; 300_000]).file("more", 0o644, vec![b'y'; 300_000]);
    for (name, layers, expected) in [
        ("folder-deleted", whole, [1_050_000, 50_000, 1_000_000, 0]),
        ("files-deleted", single, [1_050_000, 50_000, 1_000_000, 0]),
        ("chmod", chmod, [1_800_000, 900_000, 900_000, 0]),
        ("copies", copies, [200_000, 200_000, 0, 100_000]),
        ("cut", cut, [100_000, 10_000, 90_000, 0]),
        ("two-layer-base", vec![below(), again, app()], [950_000, 650_000, 300_000, 0]),
    ] {
        let mut layout = Layout::new();
        layout.add(name, &base::config("x"), &layers);
        let report = report(&Bench::new(), &layout.path().display().to_string());
        let sums =
            ["stored", "live", "dead", "duplicate"].map(|sum| number(&report, &format!("/totals/{sum}")));
        assert_eq!(sums, expected, "{name}");
    }
}
