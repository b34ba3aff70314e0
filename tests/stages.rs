//! Stages: only what the target needs, side by side, and only the last in the image.

use std::io::Write;
use std::net::TcpListener;

use jettison_testkit::{Context, Jettison};

use crate::{BINARY, Bench, context_of, failure_of, image_of};

const TARGETS: &str = "\
FROM busybox AS base
RUN echo base > /base
FROM base AS dev
RUN echo dev > /dev-file
FROM base AS test
RUN echo test > /test-file
FROM base AS prod
RUN echo prod > /prod-file
";

#[test]
fn a_target_builds_neither_its_siblings_nor_what_follows() {
    let bench = Bench::new();
    let context = Context::of(TARGETS);
    let output = bench.build(&context, &["--target", "dev", "--progress", "rawjson"]);
    assert_eq!(output.steps().executed(), ["RUN echo base > /base", "RUN echo dev > /dev-file"]);
    output.says_not("test-file").says_not("prod-file");
    let output = bench.build(&context, &["--target", "TEST", "--progress", "rawjson"]);
    assert_eq!(output.steps().executed(), ["RUN echo test > /test-file"]);
}

#[test]
fn the_last_stage_is_the_default_target() {
    let tree = Bench::new().image(&Context::of(TARGETS), &[]).tree();
    assert!(tree.has("/base") && tree.has("/prod-file"));
    assert!(!tree.has("/test-file") && !tree.has("/dev-file"));
}

#[test]
fn a_stage_nobody_needs_is_neither_pulled_nor_built() {
    let dockerfile =
        "FROM 127.0.0.1:1/no/such:image AS unused\nRUN false\nCOPY missing /\nFROM scratch\nCOPY a /a\n";
    assert_eq!(image_of(dockerfile, &[("a", "text")]).tree().text("/a"), "text");
}

#[test]
fn a_stage_builds_on_another() {
    let dockerfile =
        "FROM busybox AS one\nENV X=1\nWORKDIR /w\nRUN echo a > f\nFROM one AS two\nRUN echo $X >> f\n";
    let image = image_of(dockerfile, &[]);
    assert_eq!(image.tree().text("/w/f"), "a\n1\n");
    assert!(image.config.config.env.contains(&"X=1".to_owned()));
    assert_eq!(image.config.config.working_dir, "/w");
}

#[test]
fn only_the_final_stage_is_in_the_image() {
    let dockerfile = "FROM busybox AS big\nRUN head -c 1000000 /dev/zero > /big && echo small > /small\nFROM scratch\nCOPY --from=big /small /small\n";
    let image = image_of(dockerfile, &[]);
    let tree = image.tree();
    assert_eq!(tree.entries().map(|(path, _)| path).collect::<Vec<_>>(), ["small"]);
    assert_eq!(image.layer_count(), 1);
}

#[test]
fn independent_stages_run_side_by_side() {
    // Each stage asks this server, which answers when both have asked: run one after the other they would wait in vain.
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut callers: Vec<_> = server.incoming().take(2).flatten().collect();
        callers.iter_mut().for_each(|caller| caller.write_all(b"both\n").unwrap());
    });
    let ask = format!("nc 127.0.0.1 {port} -w 20 </dev/null | grep both");
    let dockerfile = format!(
        "FROM busybox AS one\nRUN {ask} > /1\nFROM busybox AS two\nRUN {ask} > /2\n\
         FROM scratch\nCOPY --from=one /1 /\nCOPY --from=two /2 /\n"
    );
    Bench::new().build(&Context::of(&dockerfile), &["--network", "host"]);
}

#[test]
fn a_named_context_takes_the_place_of_a_stage_or_an_image() {
    let bench = Bench::new();
    let context = Context::of(
        "FROM no.such.registry.invalid/x:1 AS one\nRUN false\nFROM two\nCOPY --from=one /etc/group /g\n",
    );
    let alpine = bench.bases.named_context("alpine");
    let tree = bench
        .image(
            &context,
            &["--build-context", &format!("one={alpine}"), "--build-context", &format!("two={alpine}")],
        )
        .tree();
    assert!(tree.has("/g") && tree.has("/lib64"));
}

#[test]
fn a_named_context_can_be_the_empty_image() {
    let context =
        context_of("FROM busybox AS base\nCOPY f /f\nFROM scratch\nCOPY --from=base / /\n", &[("f", "")]);
    let tree =
        Jettison::new(BINARY).image(&context, &["--build-context", "busybox=docker-image://scratch"]).tree();
    assert_eq!(tree.entries().map(|(path, _)| path).collect::<Vec<_>>(), ["f"]);
}

#[test]
fn a_later_stage_of_the_same_name_wins() {
    let dockerfile = "FROM busybox AS x\nRUN echo 1 > /f\nFROM busybox AS x\nRUN echo 2 > /f\nFROM scratch\nCOPY --from=x /f /f\n";
    assert_eq!(image_of(dockerfile, &[]).tree().text("/f"), "2\n");
}

#[test]
fn a_stage_cannot_copy_from_itself_or_a_later_one() {
    failure_of("FROM busybox AS one\nCOPY --from=two /f /f\nFROM one AS two\nRUN true\n", &[]).says("two");
    failure_of("FROM busybox AS one\nCOPY --from=one /f /f\n", &[]).says("one");
}

#[test]
fn onbuild_fires_in_the_stage_that_builds_on_it() {
    let dockerfile = "FROM busybox AS base\nONBUILD RUN echo fired > /fired\nONBUILD COPY a /a\nFROM base\nRUN cat /fired > /seen\n";
    let image = image_of(dockerfile, &[("a", "text")]);
    assert_eq!(image.tree().text("/seen"), "fired\n");
    assert_eq!(image.tree().text("/a"), "text");
    assert!(image.config.config.on_build.is_empty());
}

#[test]
fn one_job_runs_one_step_after_the_other() {
    let bench = crate::Bench::new();
    let stage = |number: usize| format!("FROM busybox AS s{number}\nRUN sleep 0.2; echo {number} >/done\n");
    let stages: String = (0..3).map(stage).collect();
    let last = "FROM scratch\nCOPY --from=s0 /done /0\nCOPY --from=s1 /done /1\nCOPY --from=s2 /done /2\n";
    let context = crate::context_of(&(stages + last), &[]);
    let file = bench.jettison.path("work/trace.json");
    bench.build(&context, &["--jobs", "1", "--trace", file.to_str().unwrap()]);
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut spans: Vec<(u64, u64)> = trace["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["cat"] == "step")
        .map(|event| (event["ts"].as_u64().unwrap(), event["dur"].as_u64().unwrap()))
        .collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{spans:?}");
    assert_ne!(bench.jettison.run(&["build", "--jobs", "0", context.argument()]).code, 0);
}
