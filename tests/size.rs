//! The size, always said, and whether the image can start.

use jettison_testkit::Context;

use crate::{Bench, context_of};

#[test]
fn a_build_ends_with_sizes_digest_layers_and_time() {
    let context = context_of(
        "FROM busybox AS builder\nRUN head -c 5000000 /dev/urandom > /big && head -c 1500000 /big > /small\nFROM scratch\nCOPY --from=builder /small /small\n",
        &[],
    );
    let output = Bench::new().build(&context, &["-t", "myapp"]);
    let line =
        output.stderr.lines().find(|line| line.contains("left behind")).unwrap_or_else(|| panic!("{output}"));
    assert!(line.contains("myapp:latest") && line.contains("1.5 MB") && line.contains("% smaller"), "{line}");
    // builder: busybox (about 2 MB) and the two files
    let behind: f64 =
        line.split("left behind").next().unwrap().split_whitespace().rev().nth(1).unwrap().parse().unwrap();
    assert!((8.0..10.0).contains(&behind), "{line}");
    let smaller: f64 = line.split('%').next().unwrap().split_whitespace().last().unwrap().parse().unwrap();
    assert!(
        (smaller - 100.0 * (1.0 - 1.5 / (1.5 + behind))).abs() < 3.0
            || (smaller - 100.0 * (1.0 - 1.5 / behind)).abs() < 3.0,
        "{line}"
    );
    output.says("sha256:").says("COPY --from=builder /small /small");
}

#[test]
fn sizes_are_unpacked_bytes_of_the_final_tree() {
    // A file that a later layer removes is not in the tree.
    let context = Context::of(
        "FROM busybox AS b\nRUN head -c 3000000 /dev/zero > /z\nFROM b\nRUN rm /z && head -c 1000000 /dev/zero > /y\n",
    );
    let output = Bench::new().build(&context, &["-t", "x"]);
    let line = output
        .stderr
        .lines()
        .find(|line| line.contains("x:latest") && line.contains("MB"))
        .unwrap_or_else(|| panic!("{output}"));
    let size: f64 = line.split("MB").next().unwrap().split_whitespace().last().unwrap().parse().unwrap();
    let busybox = std::fs::metadata(jettison_testkit::tools::require("busybox")).unwrap().len() as f64 / 1e6;
    assert!((size - busybox - 1.0).abs() < 0.1, "{line}");
}

#[test]
fn what_cannot_start_is_warned_about_by_name() {
    for (end, word) in [
        ("CMD echo hi", "/bin/sh"),
        ("ENTRYPOINT [\"/nosuch\"]", "/nosuch"),
        ("ENTRYPOINT [\"/dynamic\"]", "ld-"),
        ("USER nobody\nENTRYPOINT [\"/static\"]", "nobody"),
    ] {
        let context = Context::of(&format!("FROM scratch\nCOPY --chmod=755 dynamic static /\n{end}\n"))
            .file_with_mode(
                "dynamic",
                0o755,
                std::fs::read(jettison_testkit::tools::require("setpriv")).unwrap(),
            )
            .file_with_mode(
                "static",
                0o755,
                std::fs::read(jettison_testkit::tools::require("busybox")).unwrap(),
            );
        let output = Bench::new().build(&context, &["-t", "x"]);
        output.says("warning:").says(word);
    }
}

#[test]
fn what_can_start_is_not_warned_about() {
    for end in [
        "CMD echo hi",
        "ENTRYPOINT [\"ls\"]",
        "USER node\nWORKDIR /x\nCMD [\"/bin/sh\"]",
        "USER 12345\nENTRYPOINT [\"/bin/ls\"]",
    ] {
        let output = Bench::new().build(&Context::of(&format!("FROM alpine\n{end}\n")), &["-t", "x"]);
        output.says_not("warning:");
    }
}
