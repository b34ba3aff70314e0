//! Two images side by side: what changed, and what each costs, as text, JSON and a page.

use std::path::PathBuf;

use jettison_testkit::{Browser, Context, tools};
use serde_json::{Value, json};

use crate::Bench;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/diff.schema.json");

/// `small:1` and `small:2`: one file gone, one new, one of another content, one of another mode; another command.
fn pair() -> Bench {
    let bench = Bench::new();
    let one = "FROM busybox\nCOPY old same mode text /data/\nCMD [\"one\"]\n";
    let two = "FROM busybox\nCOPY new same mode text /data/\nRUN chmod 700 /data/mode\nENV ADDED=yes\nCMD [\"two\"]\n";
    let context = |dockerfile: &str, text: &str| {
        let same = Context::of(dockerfile).file("same", vec![b's'; 4000]).file("mode", vec![b'm'; 3000]);
        same.file("old", vec![b'o'; 70_000]).file("new", vec![b'n'; 20_000]).file("text", text)
    };
    for (name, context) in [("small:1", context(one, "abc")), ("small:2", context(two, "xyz"))] {
        let output = format!("type=oci,dest={}", archive(&bench, name).display());
        bench.build(&context, &["-t", name, "-o", &output]);
    }
    bench
}

/// Where the image is as an OCI archive.
fn archive(bench: &Bench, name: &str) -> PathBuf {
    bench.jettison.path(&format!("work/{}.tar", name.replace(':', "-")))
}

fn diff(bench: &Bench) -> Value {
    let text = bench.jettison.ok(&["diff", "--format", "json", "small:1", "small:2"]).stdout;
    let file = bench.jettison.write("work/diff.json", &text);
    tools::run("jsonschema", ["-i", &file.display().to_string(), SCHEMA]);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_differs_is_listed_and_what_is_the_same_is_not() {
    let diff = diff(&pair());
    let files = diff["files"].as_array().unwrap().iter();
    let files: Vec<(&str, Value)> = files
        .map(|file| (file["path"].as_str().unwrap(), json!([file["what"], file["before"], file["after"]])))
        .collect();
    let expected = [
        ("/data/mode", json!([["mode"], 3000, 3000])),
        ("/data/new", json!([[], null, 20_000])),
        ("/data/old", json!([[], 70_000, null])),
        ("/data/text", json!([["content"], 3, 3])),
    ];
    assert_eq!(files, expected);
    let config = json!([
        { "name": "cmd", "before": "[\"one\"]", "after": "[\"two\"]" },
        { "name": "env ADDED", "before": null, "after": "yes" },
    ]);
    assert_eq!(diff["config"], config);
}

#[test]
fn costs_are_those_of_the_compressed_layers() {
    let bench = pair();
    let diff = diff(&bench);
    for (side, image) in [("before", "small:1"), ("after", "small:2")] {
        let costs = &diff[side]["costs"];
        let folder = bench.jettison.path(&format!("work/{side}"));
        let from = format!("oci-archive:{}", archive(&bench, image).display());
        tools::run("skopeo", ["copy", "--quiet", &from, &format!("dir:{}", folder.display())]);
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        let sizes =
            manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap());
        let sizes: Vec<u64> = sizes.collect();
        assert_eq!(costs["compressed"], sizes.iter().sum::<u64>(), "{side}");
        assert_eq!(costs["compressed_new"], sizes[1..].iter().sum::<u64>(), "the base is the same: {side}");
        assert!(costs["unpack_seconds"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn the_terminal_and_the_page_say_the_same() {
    let bench = pair();
    let text = bench.jettison.ok(&["diff", "small:1", "small:2"]).stdout;
    for line in [
        "-70 kB - /data/old",
        "+20 kB + /data/new",
        "0 B ~ /data/mode  (mode)",
        "~ cmd [\"one\"] -> [\"two\"]",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let page = bench.jettison.path("work/diff.html");
    bench.jettison.ok(&["diff", "--format", "html", "-o", &page.display().to_string(), "small:1", "small:2"]);
    let browser = Browser::open(&page, true);
    let shown = browser.run("return document.body.innerText").as_str().unwrap().to_owned();
    for part in
        ["small:1 → small:2", "1 added, 1 removed, 2 changed", "/data/old", "−70 kB", "Unpack, measured here"]
    {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
