//! Errors people can act on: where, what, and what to do.

use jettison_testkit::{Context, Image};

use crate::{Bench, context_of, failure_of};

#[test]
fn an_unknown_instruction_has_its_line_and_a_near_name() {
    let output = failure_of("FROM busybox\nRNU echo hi\n", &[]);
    output.says("Dockerfile:2").says("RNU echo hi").says("^^^").says("RUN");
}

#[test]
fn an_unknown_flag_has_its_line_and_a_near_name() {
    let output = failure_of("FROM busybox\nCOPY --chonw=1 a /a\n", &[("a", "")]);
    output.says("Dockerfile:2").says("--chonw").says("--chown").says("^^^");
}

#[test]
fn a_missing_file_has_its_line_and_its_name() {
    failure_of("FROM scratch\nCOPY src/mian.go /\n", &[("src/main.go", "")])
        .says("Dockerfile:2")
        .says("src/mian.go")
        .says("main.go")
        .says_not("hides");
    let two = failure_of("FROM scratch\nCOPY a \\\n  bcd /to/\n", &[("a", "")]);
    two.says("3 |   bcd /to/\n  |   ^^^\n");
}

/// The words of a trigger stand in no line of the Dockerfile that it fires in.
#[test]
fn a_mistake_in_a_trigger_is_shown_at_the_from() {
    for trigger in ["COPY no-such-file /", "COPY --chmod=9 f /"] {
        let output = failure_of(
            &format!("FROM scratch AS parent\nONBUILD {trigger}\nFROM parent\nCOPY f /\n"),
            &[("f", "")],
        );
        output.says("3 | FROM parent\n  | ^^^^");
    }
}

#[test]
fn a_missing_file_that_dockerignore_hid_says_so() {
    let output = failure_of("FROM scratch\nCOPY a.log /\n", &[(".dockerignore", "*.log"), ("a.log", "")]);
    output.says("Dockerfile:2").says("a.log").says(".dockerignore");
}

#[test]
fn an_unknown_stage_has_a_near_name() {
    let output =
        failure_of("FROM busybox AS builder\nRUN true\nFROM scratch\nCOPY --from=bulder /a /a\n", &[]);
    output.says("bulder").says("builder").says("Dockerfile:4");
}

#[test]
fn an_unknown_target_has_a_near_name() {
    let bench = Bench::new();
    let output = bench.fails(&Context::of("FROM busybox AS prod\nRUN true\n"), &["--target", "prd"]);
    output.says("prd").says("prod");
}

#[test]
fn a_cycle_is_found() {
    let output = failure_of("FROM busybox AS a\nCOPY --from=a /f /f\n", &[]);
    output.says("Dockerfile:2");
}

#[test]
fn an_empty_file_and_a_missing_one_are_told() {
    failure_of("", &[]).says("empty");
    failure_of("# only a comment\n", &[]).says("Dockerfile");
    let bench = Bench::new();
    bench.jettison.build_fails(&Context::new(), &[]).says("Dockerfile");
    let no_folder = bench.jettison.run(&["build", "/no/such/folder"]);
    assert_ne!(no_folder.code, 0);
    no_folder.says("/no/such/folder");
}

#[test]
fn no_such_image_has_the_line_of_its_from() {
    let output = Bench::new().fails(&Context::of("# the base\nFROM 127.0.0.1:1/no/such:image\n"), &[]);
    output.says("Dockerfile:2").says("127.0.0.1:1/no/such:image");
}

#[test]
fn every_bad_line_has_its_number() {
    for (line, text) in [
        ("FROM", "FROM"),
        ("FROM busybox AS", "AS"),
        ("COPY a", "COPY"),
        ("ENV", "ENV"),
        ("EXPOSE eighty", "eighty"),
        ("RUN --mount=type=nosuch true", "nosuch"),
        ("HEALTHCHECK SOMETIMES", "SOMETIMES"),
        ("STOPSIGNAL SIGNOTHING", "SIGNOTHING"),
        ("SHELL bash -c", "SHELL"),
        ("COPY --chmod=99999 a /", "99999"),
        ("RUN --network=moon true", "moon"),
        ("ENV A=${B!}", "B"),
        ("ENV A='open", "open"),
    ] {
        failure_of(&format!("FROM busybox\n{line}\n"), &[("a", "")]).says("Dockerfile:2").says(text);
    }
}

#[test]
fn what_is_not_supported_yet_is_an_error_with_its_line() {
    for line in ["RUN --security=insecure true", "RUN --device=x true"] {
        failure_of(&format!("FROM busybox\n{line}\n"), &[]).says("Dockerfile:2");
    }
}

#[test]
fn a_flag_that_docker_has_and_we_have_not_says_so() {
    let bench = Bench::new();
    for flag in ["--sbom=true", "--isolation=x", "--squash"] {
        let output = bench.jettison.run(&["build", flag, "."]);
        assert_eq!(output.code, 2, "{output}");
        output.says(flag.split('=').next().unwrap()).says("not");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_exit_code_2() {
    let bench = Bench::new();
    for arguments in [
        &["build"][..],
        &["nosuch"],
        &["build", "--nosuch", "."],
        &["build", "-o", "type=nosuch", "."],
        &["build", "-o", "type=oci,dest=x,nosuch=1", "."],
        &["build", "-o", "type=image,oci-mediatypes=false", "."],
        &["build", "-t", "UPPER", "."],
    ] {
        bench.jettison.fails(2, arguments);
    }
}

#[test]
fn nothing_half_made_is_tagged() {
    let bench = Bench::new();
    let good = Context::of("FROM busybox\nRUN echo 1 > /f\n");
    bench.build(&good, &["-t", "thing"]);
    let before = bench.jettison.ok(&["inspect", "thing"]).stdout;
    bench.fails(&Context::of("FROM busybox\nRUN echo 2 > /f\nRUN false\n"), &["-t", "thing", "-t", "other"]);
    assert_eq!(bench.jettison.ok(&["inspect", "thing"]).stdout, before);
    bench.jettison.fails(1, &["inspect", "other"]);
    let file = bench.jettison.path("work/half.tar");
    bench.fails(
        &Context::of("FROM busybox\nRUN false\n"),
        &["-o", &format!("type=oci,dest={}", file.display())],
    );
    assert!(!file.exists());
}

#[test]
fn a_full_disk_is_told_and_is_the_machines_fault() {
    let bench = Bench::new();
    jettison_testkit::tools::require_root();
    // The store on a file system of one megabyte, in a mount namespace of this command alone.
    let context = Context::of("FROM busybox\nCOPY big /big\nRUN true\n").file("big", vec![7; 30_000_000]);
    let flags = bench.flags(&[context.argument()]);
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    command
        .arg("mkdir -p \"$JETTISON_ROOT\"; mount -t tmpfs -o size=12m none \"$JETTISON_ROOT\"; exec \"$@\"");
    command.arg("sh").arg(crate::BINARY).arg("build").args(flags);
    let inner = bench.jettison.command(&[]);
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.to_lowercase().contains("no space left"), "{text}");
    assert_eq!(output.status.code(), Some(3), "{text}");
}

#[test]
fn no_user_namespaces_is_told_with_the_remedy() {
    let bench = Bench::of(jettison_testkit::Who::NoNamespaces);
    let output = bench
        .jettison
        .run(&[&["build"][..], &[context_of("FROM busybox\nRUN true\n", &[]).argument()]].concat());
    assert_ne!(output.code, 0);
    let context = Context::of("FROM busybox\nRUN true\n");
    let flags = bench.flags(&[context.argument()]);
    let output = bench
        .jettison
        .run(&std::iter::once("build").chain(flags.iter().map(String::as_str)).collect::<Vec<_>>());
    assert_eq!(output.code, 3, "{output}");
    output.says("user namespace");
    // Files without RUN need none.
    let tree = bench.image(&context_of("FROM scratch\nCOPY f /f\n", &[("f", "text")]), &[]).tree();
    assert_eq!(tree.text("/f"), "text");
}

#[test]
fn a_digest_that_a_base_does_not_have_is_refused() {
    let bench = Bench::new();
    let other = Image::from_layout(bench.bases.path(), "busybox").id;
    let source = format!("mine=oci-layout://{}@{other}", bench.bases.path().display());
    bench.fails(&Context::of("FROM mine\n"), &["--build-context", &source]).says(&other.to_string());
}

#[test]
fn a_damaged_blob_is_refused() {
    let bench = Bench::new();
    let layer = Image::from_layout(bench.bases.path(), "busybox").manifest.layers[0].digest;
    let blob = bench.bases.path().join("blobs/sha256").join(layer.hex());
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&blob, bytes).unwrap();
    bench.fails(&Context::of("FROM busybox\nRUN true\n"), &[]).says(&layer.to_string());
}
