//! COPY: what is taken, where it goes, whom it belongs to.

use jettison_testkit::{Context, Image, Kind, base};

use crate::{Bench, context_of, failure_of, image_of};

/// Mode, owner and group of `path`.
fn access(image: &Image, path: &str) -> (u32, u64, u64) {
    let tree = image.tree();
    let entry = tree.get(path);
    (entry.mode, entry.uid, entry.gid)
}

#[test]
fn a_file_becomes_the_destination_or_goes_into_it() {
    for (destination, path) in [
        ("/b", "/b"),
        ("/d/", "/d/a"),
        ("/x/y/z", "/x/y/z"),
        ("b", "/srv/b"),
        (".", "/srv/a"),
        ("./", "/srv/a"),
        ("sub/", "/srv/sub/a"),
        ("../up", "/up"),
        ("/etc", "/etc/a"),
        ("/srv/.", "/srv/a"),
    ] {
        let image =
            image_of(&format!("FROM busybox\nWORKDIR /srv\nCOPY a {destination}\n"), &[("a", "text")]);
        assert_eq!(image.tree().text(path), "text", "{destination}");
    }
}

#[test]
fn missing_parents_are_made_for_root_with_0755() {
    let image = image_of("FROM scratch\nCOPY a /x/y/z\n", &[("a", "")]);
    assert_eq!(access(&image, "/x"), (0o755, 0, 0));
    assert_eq!(access(&image, "/x/y"), (0o755, 0, 0));
}

#[test]
fn a_directory_gives_its_content() {
    let image = image_of("FROM scratch\nCOPY d /to\nCOPY d /into/\n", &[("d/a", "1"), ("d/sub/b", "2")]);
    let tree = image.tree();
    assert_eq!(tree.below("/to"), ["a", "sub", "sub/b"]);
    assert_eq!(tree.below("/into"), ["a", "sub", "sub/b"]);
    assert!(!tree.has("/into/d"));
}

#[test]
fn the_whole_context_can_be_copied() {
    let context = context_of("FROM scratch\nCOPY . /\n", &[("a", "1"), ("d/b", "2")]).symlink("l", "d/b");
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!(tree.text("/a"), "1");
    assert_eq!(tree.text("/d/b"), "2");
    assert_eq!(tree.get("/l").link, "d/b");
    assert!(tree.has("/Dockerfile"));
}

#[test]
fn modes_of_files_and_inner_directories_are_kept() {
    let context = Context::of("FROM scratch\nCOPY d /to\n")
        .file_with_mode("d/run", 0o755, "#!")
        .file_with_mode("d/secret", 0o600, "")
        .file_with_mode("d/setuid", 0o4755, "")
        .dir("d/inner", 0o700)
        .dir("d", 0o711);
    let image = Bench::new().image(&context, &[]);
    assert_eq!(access(&image, "/to/run"), (0o755, 0, 0));
    assert_eq!(access(&image, "/to/secret"), (0o600, 0, 0));
    assert_eq!(access(&image, "/to/setuid"), (0o4755, 0, 0));
    assert_eq!(access(&image, "/to/inner"), (0o700, 0, 0));
    // BuildKit makes the destination itself; the source folder's own mode is not taken.
    assert_eq!(access(&image, "/to"), (0o755, 0, 0));
}

#[test]
fn an_existing_destination_keeps_its_mode_and_owner() {
    let context =
        Context::of("FROM busybox\nCOPY d /tmp\nCOPY d /home/node/\n").file("d/a", "").dir("d", 0o700);
    let image = Bench::new().image(&context, &[]);
    assert_eq!(access(&image, "/tmp"), (0o1777, 0, 0));
    assert_eq!(access(&image, "/home/node"), (0o755, 1000, 1000));
    assert_eq!(access(&image, "/home/node/a"), (0o644, 0, 0));
}

#[test]
fn existing_inner_directories_take_the_sources_mode() {
    let context = Context::of("FROM busybox\nCOPY d /\n").file("d/home/node/a", "").dir("d/home/node", 0o711);
    let image = Bench::new().image(&context, &[]);
    assert_eq!(access(&image, "/home/node"), (0o711, 0, 0));
    assert!(image.tree().has("/bin/sh"));
}

#[test]
fn a_destination_through_a_symlink_of_the_base_goes_where_it_points() {
    // alpine: /var/run -> ../run, /lib64 -> lib
    let image =
        image_of("FROM alpine\nCOPY a /var/run/a\nCOPY a /lib64/b/c\nCOPY a /lib64/\n", &[("a", "text")]);
    let tree = image.tree();
    for path in ["/run/a", "/lib/b/c", "/lib/a"] {
        assert_eq!(tree.text(path), "text");
    }
    assert_eq!(tree.get("/var/run").link, "../run");
    assert_eq!(tree.get("/lib64").link, "lib");
}

#[test]
fn a_directory_copied_onto_a_symlink_fills_what_it_points_to() {
    let tree = image_of("FROM alpine\nCOPY d /lib64\nCOPY d /var/run/\n", &[("d/a", "1")]).tree();
    assert_eq!(tree.text("/lib/a"), "1");
    assert_eq!(tree.text("/run/a"), "1");
    assert_eq!(tree.get("/lib64").kind, Kind::Symlink);
}

#[test]
fn a_file_copied_onto_a_symlink_writes_what_it_points_to() {
    let dockerfile = "FROM busybox AS b\nRUN mkdir /real && echo old > /real/f && ln -s /real/f /link && ln -s /bin/nothing /d\nFROM b\nCOPY a /link\n";
    let tree = image_of(dockerfile, &[("a", "new")]).tree();
    assert_eq!(tree.text("/real/f"), "new");
    assert_eq!(tree.get("/link").kind, Kind::Symlink);
}

#[test]
fn an_absolute_symlink_cannot_leave_the_root() {
    let dockerfile =
        "FROM busybox\nRUN ln -s ../../../../../../out /up && ln -s /out /abs\nCOPY a /up/a\nCOPY a /abs/b\n";
    let tree = image_of(dockerfile, &[("a", "text")]).tree();
    assert_eq!(tree.text("/out/a"), "text");
    assert_eq!(tree.text("/out/b"), "text");
}

#[test]
fn a_symlink_inside_the_copied_tree_stays_and_one_named_is_followed() {
    let context =
        context_of("FROM scratch\nCOPY link /named\nCOPY d /inside\nCOPY l* /glob/\n", &[("a", "text")])
            .symlink("link", "a")
            .symlink("d/link", "../a");
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!(tree.get("/named").kind, Kind::File);
    assert_eq!(tree.text("/named"), "text");
    assert_eq!(tree.get("/inside/link").link, "../a");
    assert_eq!(tree.text("/glob/link"), "text");
}

#[test]
fn a_source_cannot_leave_the_context() {
    let outside = Context::new().file("secret", "secret");
    let context = context_of("FROM scratch\nCOPY link /x\n", &[("a", "")]);
    let context = context.symlink("link", outside.path().join("secret").to_str().unwrap());
    let output = Bench::new().fails(&context, &[]);
    output.says("link");
    let up = image_of("FROM scratch\nCOPY ../../a /x\n", &[("a", "inside")]);
    assert_eq!(up.tree().text("/x"), "inside");
}

#[test]
fn several_sources_go_into_a_directory() {
    let tree = image_of("FROM scratch\nCOPY a b d /to/\n", &[("a", "1"), ("b", "2"), ("d/c", "3")]).tree();
    assert_eq!(tree.below("/to"), ["a", "b", "c"]);
}

#[test]
fn globs_match_as_gos_filepath_match_does() {
    let files = [("a1.txt", ""), ("a2.txt", ""), ("b1.md", ""), ("d/x.txt", ""), ("e/f/y.txt", "")];
    for (pattern, found) in [
        ("*.txt", &["a1.txt", "a2.txt"][..]),
        ("a?.txt", &["a1.txt", "a2.txt"]),
        ("[b-z]*.md", &["b1.md"]),
        ("*/x.txt", &["x.txt"]),
        ("e/*", &["y.txt"]),
        ("no*.txt a1.txt", &["a1.txt"]),
        (r"\a1.txt", &["a1.txt"]),
    ] {
        let tree = image_of(&format!("FROM scratch\nCOPY {pattern} /to/\n"), &files).tree();
        assert_eq!(tree.below("/to"), found, "{pattern}");
    }
}

#[test]
fn sources_with_blanks_are_written_as_json() {
    let tree = image_of("FROM scratch\nCOPY [\"a b\", \"/to here\"]\n", &[("a b", "text")]).tree();
    assert_eq!(tree.text("/to here"), "text");
}

#[test]
fn chown_takes_numbers_and_names_of_the_destination() {
    for (owner, uid, gid) in [
        ("7", 7, 7),
        ("7:8", 7, 8),
        ("node", 1000, 1000),
        ("node:staff", 1000, 50),
        ("www-data:0", 33, 0),
        (":staff", 0, 50),
    ] {
        let image = image_of(&format!("FROM busybox\nCOPY --chown={owner} d /new/to\n"), &[("d/s/a", "")]);
        for path in ["/new/to/s/a", "/new/to/s", "/new/to", "/new"] {
            let (_, found_uid, found_gid) = access(&image, path);
            assert_eq!((found_uid, found_gid), (uid, gid), "{owner} {path}");
        }
    }
}

#[test]
fn chown_reads_the_users_that_an_earlier_step_added() {
    let dockerfile = "FROM busybox\nRUN echo me:x:4242:4343::/:/bin/sh >>/etc/passwd\nCOPY --chown=me a /a\n";
    assert_eq!(access(&image_of(dockerfile, &[("a", "")]), "/a"), (0o644, 4242, 4343));
}

#[test]
fn chown_takes_variables() {
    let image = image_of("FROM busybox\nARG who=node\nCOPY --chown=$who:${who} a /a\n", &[("a", "")]);
    assert_eq!(access(&image, "/a"), (0o644, 1000, 1000));
}

#[test]
fn chmod_sets_files_and_directories() {
    let image = image_of("FROM busybox\nCOPY --chmod=0750 d /to\n", &[("d/s/a", "")]);
    for path in ["/to/s/a", "/to/s", "/to"] {
        assert_eq!(access(&image, path).0, 0o750, "{path}");
    }
}

#[test]
fn from_takes_a_stage_by_name_by_number_or_in_other_case() {
    for from in ["one", "0", "ONE"] {
        let dockerfile =
            format!("FROM busybox AS one\nRUN echo text > /f\nFROM scratch\nCOPY --from={from} /f /g\n");
        assert_eq!(image_of(&dockerfile, &[]).tree().text("/g"), "text\n", "{from}");
    }
}

#[test]
fn from_takes_an_image() {
    let tree = image_of("FROM scratch\nCOPY --from=busybox /etc/passwd /bin/busybox /to/\n", &[]).tree();
    assert!(tree.text("/to/passwd").starts_with("root:x:0:0"));
    assert_eq!(tree.get("/to/busybox").mode, 0o755);
}

#[test]
fn from_takes_a_named_context() {
    let (bench, other) = (
        Bench::new(),
        Context::new().file("f", "other").file("skipped", "").file(".dockerignore", "skipped"),
    );
    let context = Context::of("FROM scratch\nCOPY --from=more . /to/\n").file("f", "main");
    let tree = bench.image(&context, &["--build-context", &format!("more={}", other.argument())]).tree();
    assert_eq!(tree.text("/to/f"), "other");
    assert!(!tree.has("/to/skipped"));
}

#[test]
fn from_a_stage_keeps_owners_modes_times_and_hard_links() {
    let dockerfile = "FROM busybox AS one\n\
        RUN mkdir /d && echo x > /d/a && ln /d/a /d/b && chown 3:4 /d/a && chmod 640 /d/a && touch -d @1500000000 /d/a\n\
        FROM scratch\nCOPY --from=one /d /to\n";
    let image = image_of(dockerfile, &[]);
    assert_eq!(access(&image, "/to/a"), (0o640, 3, 4));
    let tree = image.tree();
    assert_eq!(tree.get("/to/a").mtime, 1_500_000_000);
    assert!(tree.get("/to/b").kind == Kind::HardLink || tree.get("/to/a").kind == Kind::HardLink);
}

#[test]
fn from_a_stage_follows_the_symlinks_on_the_way() {
    let tree =
        image_of("FROM scratch\nCOPY --from=alpine /lib64 /l/\nCOPY --from=alpine /bin/sh /sh\n", &[]).tree();
    assert_eq!(tree.get("/sh").kind, Kind::File);
    assert_eq!(tree.get("/sh").mode, 0o755);
}

#[test]
fn dockerignore_hides_files_and_brings_some_back() {
    let ignore = "# comment\n*.log\n!keep.log\n**/tmp\nd/*\n!d/in\n/Dockerfile\n.dockerignore\n";
    let files = [
        (".dockerignore", ignore),
        ("a.log", ""),
        ("keep.log", ""),
        ("x/tmp/f", ""),
        ("x/g", ""),
        ("d/in", ""),
        ("d/out", ""),
        ("x/b.log", ""),
    ];
    let tree = image_of("FROM scratch\nCOPY . /to\n", &files).tree();
    assert_eq!(tree.below("/to"), ["d", "d/in", "keep.log", "x", "x/b.log", "x/g"]);
}

#[test]
fn a_dockerfiles_own_ignore_file_goes_before_the_contexts() {
    let files = [(".dockerignore", "a"), ("my.Dockerfile.dockerignore", "b\nmy*\n.*"), ("a", ""), ("b", "")];
    let context = context_of("", &files).file("my.Dockerfile", "FROM scratch\nCOPY . /to\n");
    let file = context.path().join("my.Dockerfile");
    let tree = Bench::new().image(&context, &["-f", file.to_str().unwrap()]).tree();
    assert_eq!(tree.below("/to"), ["Dockerfile", "a"]);
}

#[test]
fn what_is_there_is_replaced_and_its_kind_must_fit() {
    let tree = image_of("FROM scratch\nCOPY a /f\nCOPY b /f\n", &[("a", "1"), ("b", "2")]).tree();
    assert_eq!(tree.text("/f"), "2");
    failure_of("FROM scratch\nCOPY a /f\nCOPY d /f\n", &[("a", ""), ("d/x", "")]).says("/f");
    failure_of("FROM scratch\nCOPY d /\nCOPY e /\n", &[("d/x/y", ""), ("e/x", "")]).says("x");
}

#[test]
fn a_copied_file_takes_a_symlinks_place_inside_a_directory() {
    let dockerfile = "FROM busybox\nRUN mkdir /d && echo old > /real && ln -s /real /d/a\nCOPY a /d/\n";
    let tree = image_of(dockerfile, &[("a", "new")]).tree();
    assert_eq!(tree.get("/d/a").kind, Kind::File);
    assert_eq!(tree.text("/d/a"), "new");
    assert_eq!(tree.text("/real"), "old\n");
}

#[test]
fn a_layer_has_only_what_was_copied() {
    let image = image_of("FROM busybox\nCOPY a /home/node/a\n", &[("a", "")]);
    let top = image.layer(image.layer_count() - 1);
    let others: Vec<_> =
        top.iter().filter(|(path, entry)| entry.kind != Kind::Directory && path != "home/node/a").collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn contexts_files_carry_the_one_date() {
    let image = image_of("FROM scratch\nCOPY a /d/a\n", &[("a", "")]);
    for path in ["/d", "/d/a"] {
        assert_eq!(image.tree().get(path).mtime, 315_619_200, "{path}");
    }
    let mut bench = Bench::new();
    bench.jettison.set("SOURCE_DATE_EPOCH", "1600000000");
    let image = bench.image(&context_of("FROM scratch\nCOPY a /d/a\n", &[("a", "")]), &[]);
    assert_eq!(image.tree().get("/d/a").mtime, 1_600_000_000);
    assert_eq!(image.config.created.as_deref(), Some("2020-09-13T12:26:40Z"));
}

#[test]
fn long_odd_and_many_names_arrive() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let files = [(long.as_str(), "1"), ("ä ü/日本", "2"), ("new\nline", "3"), (".wh", "4")];
    let context = files
        .iter()
        .fold(Context::of("FROM scratch\nCOPY . /to\n"), |context, (path, text)| context.file(path, text));
    let tree = Bench::new().image(&context, &[]).tree();
    for (path, text) in files {
        assert_eq!(tree.text(&format!("/to/{path}")), text);
    }
}

#[test]
fn an_oci_layout_is_a_base_by_tag_and_by_digest() {
    let (bench, layout) = (Bench::new(), base::busybox_image());
    let digest = Image::from_layout(layout.path(), "busybox").digest;
    let context = Context::of("FROM mine\nCOPY Dockerfile /d\n");
    for name in [":busybox".to_owned(), format!("@{digest}")] {
        let source = format!("mine=oci-layout://{}{name}", layout.path().display());
        let image = bench.image(&context, &["--build-context", &source]);
        assert!(image.tree().has("/bin/sh") && image.tree().has("/d"));
    }
}
