//! COPY --parents: the directories above what is copied come along.

use jettison_testkit::{Context, Image};

use crate::{Bench, failure_of, image_of};

const FILES: [(&str, &str); 6] = [
    ("x/a.txt", ""),
    ("x/y/a.txt", ""),
    ("x/y/b.txt", ""),
    ("x/z/c.md", ""),
    ("y/b.txt", ""),
    ("top.txt", ""),
];

fn access(image: &Image, path: &str) -> (u32, u64, u64) {
    let tree = image.tree();
    let entry = tree.get(path);
    (entry.mode, entry.uid, entry.gid)
}

#[test]
fn sources_keep_their_directories_from_the_pivot_on() {
    for (sources, found) in [
        ("./x/a.txt y/b.txt", &["x", "x/a.txt", "y", "y/b.txt"][..]),
        ("x/y", &["x", "x/y", "x/y/a.txt", "x/y/b.txt"]),
        ("/x/y/.", &["x", "x/y", "x/y/a.txt", "x/y/b.txt"]),
        ("./x/./y/", &["y", "y/a.txt", "y/b.txt"]),
        ("x/./y/./b.txt", &["y", "y/b.txt"]),
        ("./x/./*", &["a.txt", "y", "y/a.txt", "y/b.txt", "z", "z/c.md"]),
        ("x/*/a.txt ./*/b.txt", &["x", "x/y", "x/y/a.txt", "y", "y/b.txt"]),
        ("**/*.md", &["x", "x/z", "x/z/c.md"]),
        ("x/./**/a.txt", &["a.txt", "y", "y/a.txt"]),
        ("?/./b.txt", &["b.txt"]),
        ("no*/such", &[]),
    ] {
        let tree = image_of(&format!("FROM scratch\nCOPY --parents {sources} /to\n"), &FILES).tree();
        assert_eq!(tree.below("/to"), found, "{sources}");
    }
}

#[test]
fn a_path_without_wildcards_must_be_there() {
    for source in ["x/no.txt", "x/./no.txt", "no/./a.txt", "no/./*"] {
        failure_of(&format!("FROM scratch\nCOPY --parents {source} /to/\n"), &FILES)
            .says("not found")
            .says("Dockerfile:2");
    }
}

#[test]
fn directories_have_the_modes_and_owners_of_their_models() {
    let dockerfile = "FROM busybox AS one\n\
        RUN mkdir -p /d/e/f && echo 1 >/d/e/f/g && chmod 750 /d && chmod 711 /d/e && chown 3:4 /d/e\n\
        FROM busybox\nRUN mkdir -p /old/d && chmod 700 /old/d && chown 5:6 /old/d\n\
        COPY --from=one --parents /d/e/f/g /new/\n\
        COPY --from=one --parents /d/e/f/g /old/\n\
        COPY --from=one --parents --chown=8:9 --chmod=640 /d/./e/f /dressed/\n";
    let image = image_of(dockerfile, &[]);
    for (path, expected) in [
        ("/new", (0o755, 0, 0)),
        ("/new/d", (0o750, 0, 0)),
        ("/new/d/e", (0o711, 3, 4)),
        ("/new/d/e/f/g", (0o644, 0, 0)),
        // A directory that was there takes the mode alone.
        ("/old/d", (0o750, 5, 6)),
        ("/old/d/e", (0o711, 3, 4)),
        ("/dressed/e", (0o640, 8, 9)),
        ("/dressed/e/f/g", (0o640, 8, 9)),
    ] {
        assert_eq!(access(&image, path), expected, "{path}");
    }
}

#[test]
fn exclusions_count_from_the_pivot() {
    for (flags, found) in [
        ("--exclude=**/*.txt x", &["x", "x/y", "x/z", "x/z/c.md"][..]),
        ("--exclude=x/y x", &["x", "x/a.txt", "x/z", "x/z/c.md"]),
        ("--exclude=y x/./*", &["a.txt", "z", "z/c.md"]),
        ("--exclude=x --exclude=!x/y/b.txt x", &["x", "x/y", "x/y/b.txt"]),
    ] {
        let tree = image_of(&format!("FROM scratch\nCOPY --parents {flags} /to/\n"), &FILES).tree();
        assert_eq!(tree.below("/to"), found, "{flags}");
    }
}

#[test]
fn links_stay_links_and_are_not_walked_through() {
    let context = FILES
        .iter()
        .fold(Context::of("FROM scratch\nCOPY --parents l* d/f /to/\n"), |c, (path, text)| c.file(path, text))
        .symlink("link", "top.txt")
        .symlink("loop", "x")
        .file("e/f", "")
        .symlink("d", "e");
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!(tree.get("/to/link").link, "top.txt");
    assert_eq!(tree.below("/to"), ["link", "loop"]);
}

#[test]
fn the_flag_can_be_false_and_is_in_the_history() {
    let image =
        image_of("FROM scratch\nCOPY --parents=false x/a.txt /to/\nCOPY --parents x/a.txt /to/\n", &FILES);
    assert_eq!(image.tree().below("/to"), ["a.txt", "x", "x/a.txt"]);
    let history = format!("{:?}", image.config.history);
    assert!(history.contains("COPY --parents x/a.txt /to/ # buildkit"), "{history}");
}

#[test]
fn what_no_pattern_takes_does_not_spoil_the_cache() {
    let bench = Bench::new();
    let context = FILES
        .iter()
        .fold(Context::of("FROM scratch\nCOPY --parents x/**/a.txt /to/\n"), |c, (path, text)| {
            c.file(path, text)
        });
    bench.build(&context, &[]);
    context.write("x/y/b.txt", "other");
    bench.build(&context, &[]).says("CACHED");
    context.write("x/y/a.txt", "other");
    assert!(!bench.build(&context, &[]).stderr.contains("CACHED"));
}
