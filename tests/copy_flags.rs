//! COPY and ADD with --exclude, --link and --chmod.

use jettison_testkit::{Context, Kind};

use crate::{Bench, context_of, failure_of, image_of};

#[test]
fn exclusions_are_ignore_patterns_below_each_directory() {
    let files = [("a.txt", ""), ("d/b.txt", ""), ("d/b.md", ""), ("d/e/c.txt", ""), ("d/e/c.png", "")];
    for (line, found) in [
        ("COPY --exclude=*.txt . /to/", &["d", "d/b.md", "d/b.txt", "d/e", "d/e/c.png", "d/e/c.txt"][..]),
        ("COPY --exclude=**/*.txt . /to/", &["d", "d/b.md", "d/e", "d/e/c.png"]),
        ("COPY --exclude=*.txt --exclude=e d /to/", &["b.md"]),
        ("COPY --exclude=e --exclude=!e/*.png d /to/", &["b.md", "b.txt", "e", "e/c.png"]),
        ("ADD --exclude=* d /to/", &[]),
        ("COPY --exclude=!e d /to/", &["b.md", "b.txt", "e", "e/c.png", "e/c.txt"]),
        ("COPY --exclude=/e d /to/", &["b.md", "b.txt", "e", "e/c.png", "e/c.txt"]),
        // What is named itself, or matched by the source's own pattern, is not asked. moby/buildkit#5489
        ("COPY --exclude=*.txt a.txt /to/", &["a.txt"]),
        ("COPY --exclude=*.txt *.txt /to/", &["a.txt"]),
    ] {
        let context =
            context_of(&format!("FROM scratch\n{line}\n"), &files).file(".dockerignore", "Dockerfile\n.*");
        let tree = Bench::new().image(&context, &[]).tree();
        assert_eq!(tree.below("/to"), found, "{line}");
    }
}

#[test]
fn a_bad_exclusion_has_its_line() {
    failure_of("FROM scratch\nCOPY --exclude=[ . /\n", &[("a", "")]).says("Dockerfile:2");
    failure_of("FROM scratch\nCOPY --exclude=! . /\n", &[("a", "")]).says("Dockerfile:2");
}

#[test]
fn variables_in_exclusions_are_not_expanded() {
    let tree =
        image_of("FROM scratch\nARG x=a\nCOPY --exclude=$x d /to/\n", &[("d/a", ""), ("d/b", "")]).tree();
    assert_eq!(tree.below("/to"), ["a", "b"]);
}

#[test]
fn a_changed_excluded_file_leaves_the_cache_alone() {
    let bench = Bench::new();
    let context =
        Context::of("FROM scratch\nCOPY --exclude=*.log d /to/\n").file("d/a", "").file("d/b.log", "1");
    bench.build(&context, &[]);
    context.write("d/b.log", "2");
    bench.build(&context, &[]).says("CACHED");
}

#[test]
fn a_linked_layer_stands_by_itself() {
    let dockerfile = |flags: &str| {
        format!(
            "FROM busybox\nRUN mkdir -m 700 /real && ln -s real /link\nCOPY {flags} a /link/f\nCOPY {flags} a /real/g\n"
        )
    };
    let files = [("a", "text")];
    let plain = image_of(&dockerfile(""), &files);
    assert_eq!(plain.tree().get("/link").kind, Kind::Symlink);
    assert_eq!(plain.tree().text("/real/f"), "text");
    assert_eq!(plain.tree().get("/real").mode, 0o700);
    let linked = image_of(&dockerfile("--link"), &files);
    // The link is not followed, and directories are the new layer's own.
    assert_eq!(linked.tree().get("/link").kind, Kind::Directory);
    assert_eq!(linked.tree().text("/link/f"), "text");
    assert!(!linked.tree().has("/real/f"));
    assert_eq!(linked.tree().get("/real").mode, 0o755);
    // docker makes no independent layer where --chmod is given.
    let with_mode = image_of(&dockerfile("--link --chmod=600"), &files);
    assert_eq!(with_mode.tree().text("/real/f"), "text");
}

#[test]
fn a_linked_layer_is_cached_whatever_is_below_it() {
    let bench = Bench::new();
    let context = |below: &str| {
        context_of(&format!("FROM busybox\nRUN echo {below} >/x\nCOPY --link a /a\n"), &[("a", "")])
    };
    let flags = |flag: &str| format!("FROM busybox\nRUN echo 3 >/x\nCOPY --link={flag} a /a\n");
    bench.build(&context("1"), &[]);
    bench.build(&context("2"), &[]).says("#2 DONE").says("#3 CACHED");
    bench.build(&context_of(&flags("false"), &[("a", "")]), &[]);
    let plain = bench.build(&context_of(&flags("false").replace("echo 3", "echo 4"), &[("a", "")]), &[]);
    plain.says("#3 DONE");
}

#[test]
fn chmod_takes_numbers_and_changes() {
    for (flag, directory, file, script) in [
        ("0", 0o000, 0o000, 0o000),
        ("04755", 0o4755, 0o4755, 0o4755),
        ("u=rwX,go=rX", 0o755, 0o644, 0o755),
        ("a-w", 0o555, 0o440, 0o550),
        ("+x", 0o755, 0o751, 0o751),
        ("g=u,o=", 0o770, 0o660, 0o770),
        ("go+w,+t", 0o1777, 0o1662, 0o1772),
    ] {
        let context = Context::of(&format!("FROM scratch\nCOPY --chmod={flag} d /to\n"))
            .dir("d/e", 0o755)
            .file_with_mode("d/f", 0o640, "")
            .file_with_mode("d/s", 0o750, "");
        let tree = Bench::new().image(&context, &[]).tree();
        let modes = ["/to/e", "/to/f", "/to/s"].map(|path| tree.get(path).mode);
        assert_eq!(modes, [directory, file, script], "{flag}");
    }
}

#[test]
fn chmod_takes_variables_and_spares_links() {
    let context =
        Context::of("FROM scratch\nARG mode=600\nCOPY --chmod=$mode d /to\nCOPY --chmod= d /as-is\n")
            .file_with_mode("d/f", 0o640, "")
            .symlink("d/l", "f");
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!(tree.get("/to/f").mode, 0o600);
    assert_eq!(tree.get("/to/l").mode, 0o777);
    assert_eq!(tree.get("/as-is/f").mode, 0o640);
}

#[test]
fn chmod_refuses_what_is_no_mode() {
    for mode in ["888", "10000", "rwx", "u=z", "x"] {
        failure_of(&format!("FROM scratch\nCOPY --chmod={mode} a /a\n"), &[("a", "")])
            .says("chmod")
            .says("Dockerfile:2");
    }
}
