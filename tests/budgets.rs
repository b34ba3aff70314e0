//! Budgets: an image that exceeds one fails the build before it has a name or is anywhere, and the culprits are named.

use jettison_testkit::{Context, Registry};
use serde_json::Value;

use crate::Bench;

/// 300,000 bytes that show, and 500,000 that do not.
const DOCKERFILE: &str = "\
FROM busybox
COPY big /big
RUN head -c 500000 /dev/zero > /waste
RUN rm /waste
";

fn context(bytes: usize) -> Context {
    Context::of(DOCKERFILE).file("big", vec![b'b'; bytes])
}

fn live(bench: &Bench, image: &str) -> u64 {
    let text = bench.jettison.ok(&["report", "--format", "json", image]).stdout;
    let report: Value = serde_json::from_str(&text).unwrap();
    report["totals"]["live"].as_u64().unwrap()
}

#[test]
fn a_size_budget_is_exact_and_names_the_largest() {
    let bench = Bench::new();
    let context = context(300_000);
    bench.build(&context, &["-t", "app"]);
    let size = live(&bench, "app");
    bench.build(&context, &["-t", "app", "--max-size", &size.to_string()]);
    let output = bench.fails(&context, &["-t", "other", "--max-size", &(size - 1).to_string()]);
    for text in ["other:latest is over budget: --max-size", "300 kB  COPY big /big", "300 kB  /big"] {
        output.says(text);
    }
}

#[test]
fn a_budget_of_dead_bytes_names_each_with_its_cause() {
    let bench = Bench::new();
    let output = bench.fails(&context(300_000), &["-t", "app", "--max-dead", "1%"]);
    output.says("--max-dead: 500 kB of ").says("500 kB  /waste  (deleted by RUN rm /waste)");
    // What does not ship is not judged.
    bench.build(&context(300_000), &["-t", "app", "--max-dead", "0%", "-o", "type=image,drop-dead=true"]);
}

#[test]
fn nothing_is_tagged_written_or_pushed_that_exceeds_a_budget() {
    let bench = Bench::new();
    let registry = Registry::start();
    bench
        .jettison
        .registries(&format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address()));
    let name = format!("{}/app:1", registry.address());
    let file = bench.jettison.path("work/image.tar");
    let archive = format!("type=oci,dest={}", file.display());
    let iid = bench.jettison.path("work/iid");
    let flags =
        ["-t", &name, "--push", "-o", &archive, "--iidfile", iid.to_str().unwrap(), "--max-size", "1kB"];
    bench.fails(&context(1), &flags).says("nothing was tagged, written or pushed");
    assert!(!file.exists() && !iid.exists());
    assert!(!registry.storage().join("docker/registry/v2/repositories/app").exists());
    bench.jettison.fails(1, &["inspect", &name]);
    bench.jettison.fails(1, &["pull", &name]);
    // The same goes through with room enough.
    bench.build(&context(1), &[&flags[..flags.len() - 1], &["1GB"]].concat());
    assert!(file.exists() && iid.exists());
    bench.jettison.ok(&["pull", &name]);
}

/// A context whose image has so many bytes of its own, and the flags of a build that may grow by 5 %.
fn growing<'f>(bytes: usize, flags: &[&'f str]) -> (Context, Vec<&'f str>) {
    (context(bytes), [&["--max-growth", "5%"], flags].concat())
}

#[test]
fn growth_is_measured_from_the_tag_an_image_or_a_report() {
    let bench = Bench::new();
    // The first build has nothing to grow from, and says so.
    let (first, flags) = growing(1_000_000, &["-t", "app"]);
    bench.build(&first, &flags).says("app:latest names no image yet");
    let report = bench.jettison.path("work/report.json").display().to_string();
    bench.jettison.ok(&["report", "--format", "json", "-o", &report, "app"]);
    bench.jettison.ok(&["tag", "app", "released:1"]);
    let limit = live(&bench, "app") / 20;
    let most = 1_000_000 + usize::try_from(limit).unwrap();
    for baseline in [&["-t", "app"][..], &["--baseline", "released:1"], &["--baseline", &report]] {
        let (more, flags) = growing(most + 1, baseline);
        let output = bench.fails(&more, &flags);
        output.says("is over budget: --max-growth").says("/big");
    }
    // The tag still names the old one, from which the limit may be reached.
    let (most, flags) = growing(most, &["-t", "app"]);
    bench.build(&most, &flags);
    // A baseline that is asked for must be there.
    let (any, flags) = growing(1, &["--baseline", "./missing"]);
    bench.fails(&any, &flags).says("no such file");
}

#[test]
fn budgets_that_make_no_sense_are_usage_errors() {
    let bench = Bench::new();
    for (flags, text) in [
        (&["--max-size", "50m"][..], "--max-size \"50m\": expected a number and a unit"),
        (&["--max-dead", "1"], "--max-dead \"1\": expected a percentage"),
        (&["--max-growth", "5%"], "nothing to compare with: add --baseline or --tag"),
        (&["--baseline", "x"], "--baseline is for --max-growth"),
    ] {
        bench.jettison.fails(2, &[&["build"], flags, &["."]].concat()).says(text);
    }
}
