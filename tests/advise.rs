//! `advise`: the culprit first, with bytes that agree with an independent count.

use jettison_testkit::{Context, Jettison};
use serde_json::Value;

use crate::{Bench, context_of, fat};

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
