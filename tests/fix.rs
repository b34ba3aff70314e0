//! `fix`: rewrites that are kept are proven, those that cannot be are refused, and the files stay as they were unless
//! asked.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use jettison_testkit::{Context, Output, tools};

use crate::{Bench, fat};

/// Runs `fix` on a context.
fn fix(bench: &Bench, context: &Context, more: &[&str]) -> Output {
    let mut flags = bench.flags(more);
    flags.insert(0, "fix".to_owned());
    flags.push(context.argument().to_owned());
    bench.jettison.ok(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

fn read(context: &Context, name: &str) -> String {
    fs::read_to_string(context.path().join(name)).unwrap_or_default()
}

#[test]
fn what_a_later_layer_deletes_is_deleted_in_its_own() {
    let bench = Bench::new();
    let context = fat::context("deleted-later");
    let before = read(&context, "Dockerfile");
    let output = fix(&bench, &context, &[]);
    output.says("kept").says("SZ012").says("4 MB saved; same tree").says("not written");
    assert_eq!(read(&context, "Dockerfile"), before, "nothing is written unasked");
    // What is shown is a patch.
    let patch = bench.jettison.write("work/fix.patch", &output.stdout);
    tools::run("patch", ["-p0", "--dry-run", "-d", "/", "-i", patch.to_str().unwrap()]);
    // Written is what was shown, to the same file: a link stays one, and so does a mode.
    let (link, behind) = (context.path().join("Dockerfile"), context.path().join("real"));
    fs::rename(&link, &behind).unwrap();
    fs::set_permissions(&behind, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real", &link).unwrap();
    fix(&bench, &context, &["--write"]).says("written");
    assert!(link.is_symlink());
    assert_eq!(behind.metadata().unwrap().mode() & 0o777, 0o640);
    let after = read(&context, "Dockerfile");
    assert!(after.contains("/usr/bin/program && rm -rf /build\n"), "{after}");
    assert!(after.starts_with("# What a later layer deletes"), "comments stay");
    fix(&bench, &context, &[]).says("nothing to change");
}

/// Each of the fat images that build without network: what is kept, what it saves.
#[test]
fn fat_images_are_mended_with_proof() {
    for (name, flags, rule, saved) in [
        ("archive", &[][..], "SZ032", "same tree"),
        ("chown-tree", &[], "SZ014", "3.4 MB saved; same tree"),
        ("deleted-later", &[], "SZ012", "4 MB saved; same tree"),
        ("git-copied", &[], "SZ028", "2.5 MB saved; same tree but for"),
        ("env-copied", &["--smoke", ""], "SE012", "smoke test passes"),
        (
            "no-dockerignore",
            &["--smoke", "cat page.html"],
            "ignore node_modules",
            "2 MB saved; smoke test passes",
        ),
        ("secret-arg", &[], "SE002", "nothing tells it any more; same tree"),
    ] {
        let (bench, context) = (Bench::new(), fat::context(name));
        let output = fix(&bench, &context, &[flags, &["--write"]].concat());
        output.says("kept").says(rule).says(saved);
        assert!(!output.stdout.is_empty(), "{name}: a diff");
        let text = read(&context, "Dockerfile") + &read(&context, ".dockerignore");
        match name {
            "secret-arg" => {
                assert!(!text.contains("not-a-real-token"), "{text}");
                bench.fails(&context, &["--no-cache"]);
                bench.jettison.write("token", "not-a-real-token");
                let file = format!("id=api_token,src={}", bench.jettison.path("token").display());
                bench.build(&context, &["-t", "x", "--secret", &file]);
            }
            _ => drop(bench.build(&context, &["-t", "x"])),
        }
    }
}

#[test]
fn what_only_a_run_can_judge_needs_one() {
    let bench = Bench::new();
    let context = fat::context("env-copied");
    let before = read(&context, ".dockerignore");
    fix(&bench, &context, &["--write"]).says("refused").says("give --smoke").says("nothing to change");
    assert_eq!(read(&context, ".dockerignore"), before);
    // A smoke test that needs what would go keeps it.
    fix(&bench, &context, &["--smoke", "cat .env", "--write"]).says("the smoke test fails: exit code 1");
    assert_eq!(read(&context, ".dockerignore"), before);
    // One that fails anyway proves nothing.
    let flags = bench.flags(&["--smoke", "false"]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let output = bench.jettison.fails(1, &[&["fix"], flags.as_slice(), &[context.argument()]].concat());
    output.says("the smoke test fails before anything is changed");
}

#[test]
fn a_rewrite_that_changes_the_tree_is_refused() {
    let bench = Bench::new();
    // The second step needs what the third deletes: it cannot move to the first.
    let context = Context::of(
        "FROM busybox\nRUN mkdir /b && echo 1 > /b/x\nRUN cp /b/x /kept && rm -f /none\nCOPY f /b/y\nRUN rm -rf /b\n",
    )
    .file("f", "f");
    let output = fix(&bench, &context, &["--write"]);
    output.says("refused").says("nothing to change");
    assert!(read(&context, "Dockerfile").ends_with("RUN rm -rf /b\n"));
}

#[test]
fn flags_that_name_an_image_are_refused() {
    let bench = Bench::new();
    for flags in [&["-t", "x"][..], &["--push"], &["-o", "type=oci,dest=x"]] {
        bench
            .jettison
            .fails(2, &[&["fix"], flags, &["."]].concat())
            .says("it changes files and makes no image");
    }
}
