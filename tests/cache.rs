//! The cache: nothing is done twice, and what depends on a change is done again.

use std::fs::File;
use std::time::{Duration, SystemTime};

use jettison_testkit::{Context, Steps};

use crate::{Bench, context_of};

const DOCKERFILE: &str = "\
FROM busybox AS builder
WORKDIR /src
COPY deps .
RUN cat deps > /fetched
COPY main .
RUN cat main > /built
FROM busybox AS other
COPY third .
RUN cat third > /third
FROM scratch
COPY --from=builder /built /built
COPY --from=other /third /third
";

struct Twice {
    bench: Bench,
    context: Context,
}

impl Twice {
    fn new(dockerfile: &str, files: &[(&str, &str)]) -> Twice {
        let twice = Twice { bench: Bench::new(), context: context_of(dockerfile, files) };
        assert!(!twice.steps(&[]).executed().is_empty(), "the first build executes something");
        twice
    }

    fn steps(&self, flags: &[&str]) -> Steps {
        self.bench.build(&self.context, &[&["--progress", "rawjson"], flags].concat()).steps()
    }

    #[track_caller]
    fn executes(&self, expected: &[&str]) {
        let steps = self.steps(&[]);
        let mut executed = steps.executed();
        executed.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(executed, expected);
    }
}

fn stages() -> Twice {
    Twice::new(DOCKERFILE, &[("deps", "1"), ("main", "1"), ("third", "1")])
}

#[test]
fn a_second_build_executes_nothing() {
    let twice = stages();
    let steps = twice.steps(&[]);
    assert!(steps.executed().is_empty(), "{:?}", steps.executed());
    assert!(steps.cached().contains(&"RUN cat main > /built"));
}

/// A hit opens nothing: not the index of any layer, however many files a base has.
#[test]
fn a_second_build_reads_no_index() {
    let twice = Twice::new(
        "FROM busybox AS builder\nRUN echo 1 > /built\n\
         FROM busybox\nRUN --mount=from=builder,target=/m cat /m/built > /mounted\n\
         COPY --from=builder --chown=nobody /bui* /built\nCOPY --from=builder /etc /etc\n",
        &[],
    );
    let layers = std::fs::read_dir(twice.bench.jettison.store().join("v1/layers")).unwrap();
    for layer in layers {
        std::fs::write(layer.unwrap().path().join("index"), "not an index").unwrap();
    }
    twice.executes(&[]);
}

#[test]
fn touching_files_executes_nothing() {
    let twice = stages();
    for name in ["deps", "main", "third", "Dockerfile"] {
        let file = File::options().append(true).open(twice.context.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    twice.executes(&[]);
}

#[test]
fn one_byte_executes_exactly_the_steps_below_its_copy() {
    let twice = stages();
    twice.context.write("main", "2");
    twice.executes(&[
        "COPY main .",
        "RUN cat main > /built",
        "COPY --from=builder /built /built",
        "COPY --from=other /third /third",
    ]);
}

#[test]
fn a_step_rebuilt_to_the_same_content_stops_the_change() {
    let twice = Twice::new(
        "FROM busybox AS builder\nCOPY main /main\nRUN wc -c < /main > /size\nFROM scratch\nCOPY --from=builder /size /size\n",
        &[("main", "1")],
    );
    twice.context.write("main", "2");
    twice.executes(&["COPY main /main", "RUN wc -c < /main > /size"]);
}

#[test]
fn a_changed_mode_is_a_change_and_an_unused_file_is_none() {
    let twice =
        Twice::new("FROM busybox\nCOPY a /a\nRUN stat -c %a /a > /mode\n", &[("a", ""), ("unused", "1")]);
    twice.context.write("unused", "2");
    twice.executes(&[]);
    std::fs::set_permissions(
        twice.context.path().join("a"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    twice.executes(&["COPY a /a", "RUN stat -c %a /a > /mode"]);
}

#[test]
fn an_ignored_file_is_no_change() {
    let twice =
        Twice::new("FROM scratch\nCOPY . /\n", &[(".dockerignore", "*.log"), ("a", ""), ("x.log", "1")]);
    twice.context.write("x.log", "2");
    twice.executes(&[]);
    twice.context.write("new", "");
    twice.executes(&["COPY . /"]);
}

#[test]
fn a_change_back_is_a_hit() {
    let twice = stages();
    twice.context.write("deps", "2");
    assert!(twice.steps(&[]).executed().contains(&"RUN cat deps > /fetched"));
    twice.context.write("deps", "1");
    twice.executes(&[]);
}

#[test]
fn a_build_argument_counts_where_it_is_declared() {
    let dockerfile = "FROM busybox\nRUN echo before > /a\nARG V=1\nRUN echo $V > /b\n";
    let twice = Twice::new(dockerfile, &[]);
    assert_eq!(twice.steps(&["--build-arg", "V=2"]).executed(), ["RUN echo $V > /b"]);
    assert!(twice.steps(&["--build-arg", "V=2"]).executed().is_empty());
    assert!(twice.steps(&["--build-arg", "HTTP_PROXY=http://127.0.0.1:1"]).executed().is_empty());
}

#[test]
fn an_environment_variable_counts_for_the_runs_below() {
    let twice = Twice::new("FROM busybox\nRUN echo 1 > /a\nENV X=1\nRUN echo $X > /b\n", &[]);
    twice.context.write("Dockerfile", "FROM busybox\nRUN echo 1 > /a\nENV X=2\nRUN echo $X > /b\n");
    twice.executes(&["RUN echo $X > /b"]);
}

#[test]
fn no_cache_executes_everything() {
    let twice = stages();
    let steps = twice.steps(&["--no-cache"]);
    assert!(steps.cached().iter().all(|name| name.starts_with("WORKDIR")), "{:?}", steps.cached());
}

#[test]
fn a_failed_step_is_no_hit_and_those_before_it_are() {
    let bench = Bench::new();
    let context = Context::of("FROM busybox\nRUN echo 1 > /a\nRUN test -e /no\n");
    bench.fails(&context, &[]);
    let steps = bench.fails(&context, &["--progress", "rawjson"]).steps();
    assert_eq!(steps.cached(), ["RUN echo 1 > /a"]);
    assert_eq!(steps.executed(), ["RUN test -e /no"]);
}

#[test]
fn two_builds_at_once_give_the_same() {
    let (bench, context) =
        (Bench::new(), context_of(DOCKERFILE, &[("deps", "1"), ("main", "1"), ("third", "1")]));
    let flags = bench.flags(&["-q", context.argument()]);
    let arguments: Vec<&str> = std::iter::once("build").chain(flags.iter().map(String::as_str)).collect();
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.jettison.run(&arguments))).collect();
        builds.into_iter().map(|build| build.join().unwrap()).collect()
    });
    for output in &outputs {
        assert_eq!(output.code, 0, "{output}");
        assert_eq!(output.stdout, outputs[0].stdout);
    }
}

#[test]
fn another_store_gives_the_same_digest() {
    let context = context_of(DOCKERFILE, &[("deps", "1"), ("main", "1"), ("third", "1")]);
    let (one, two) = (Bench::new(), Bench::new());
    assert_eq!(one.image(&context, &[]).digest, two.image(&context, &[]).digest);
}

/// Stages that begin alike run at once: which of them comes first must not matter to the next build.
#[test]
fn equal_steps_of_several_stages_are_made_once() {
    let stage = |name: &str| {
        format!(
            "FROM busybox AS {name}\nWORKDIR /app\nCOPY third .\nRUN date +%N > /when\nRUN echo {name} > /name\n"
        )
    };
    let stages: String = ["a", "b", "c", "d"].map(stage).concat();
    let last = "FROM scratch\nCOPY --from=a /when /a\nCOPY --from=b /when /b\nCOPY --from=c /name /c\nCOPY --from=d /name /d\n";
    let twice = Twice::new(&(stages + last), &[("third", "1")]);
    twice.executes(&[]);
    let tree = twice.bench.image(&twice.context, &[]).tree();
    assert_eq!(tree.text("/a"), tree.text("/b"));
}

#[test]
fn a_file_changed_behind_its_times_is_seen() {
    let twice = stages();
    let path = twice.context.path().join("main");
    let times = std::fs::metadata(&path).unwrap();
    std::fs::write(&path, "2").unwrap();
    File::options().append(true).open(&path).unwrap().set_modified(times.modified().unwrap()).unwrap();
    let last = ["COPY --from=builder /built /built", "COPY --from=other /third /third"];
    twice.executes(&[&["COPY main .", "RUN cat main > /built"], &last[..]].concat());
}

/// What is known of a context's files must not stand in for the files when a step is executed.
#[test]
fn a_context_that_is_known_is_copied_all_the_same() {
    let twice = stages();
    let old = SystemTime::now() - Duration::from_secs(60);
    for name in ["main", "deps", "third"] {
        let file = File::options().append(true).open(twice.context.path().join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    std::thread::sleep(Duration::from_millis(3_500));
    twice.executes(&[]);
    let notes = std::fs::read_dir(twice.bench.jettison.store().join("v1/notes")).unwrap();
    let known =
        notes.filter(|note| std::fs::read(note.as_ref().unwrap().path()).unwrap().starts_with(b"jetstat"));
    assert_eq!(known.count(), 1);
    let image = twice.bench.image(&twice.context, &["--no-cache"]);
    assert_eq!(image.tree().text("/built"), "1");
}

/// Files whose times are those of an earlier build are not looked at again: nothing is learned of them, for nothing is
/// asked. Whatever happens to one is seen.
#[test]
fn a_context_that_nobody_touched_is_listed_only() {
    let named = context_of("", &[("n", "1")]);
    let twice = Twice::new("FROM scratch\nCOPY . /a/\nCOPY main /b/\n", &[("main", "1"), ("x/other", "1")]);
    let dockerfile = "FROM scratch\nCOPY . /a/\nCOPY main /b/\nCOPY --from=named n /n\n";
    twice.context.write("Dockerfile", dockerfile);
    let flag = format!("--build-context=named={}", named.argument());
    std::thread::sleep(Duration::from_millis(3_500));
    twice.steps(&[&flag]);
    let notes = || {
        let notes = std::fs::read_dir(twice.bench.jettison.store().join("v1/notes")).unwrap();
        let paths = notes.map(|note| note.unwrap().path());
        paths.filter(|path| std::fs::read(path).unwrap().starts_with(b"jetstat")).collect::<Vec<_>>()
    };
    assert_eq!(notes().len(), 2);
    notes().iter().for_each(|note| std::fs::remove_file(note).unwrap());
    assert!(twice.steps(&[&flag]).executed().is_empty());
    assert!(notes().is_empty(), "the files were read");

    let main = twice.context.path().join("main");
    let new = twice.context.path().join("new");
    std::fs::write(&new, "2").unwrap();
    let time = std::fs::metadata(&main).unwrap().modified().unwrap();
    File::options().append(true).open(&new).unwrap().set_modified(time).unwrap();
    std::fs::rename(&new, &main).unwrap();
    assert_eq!(twice.steps(&[&flag]).executed(), ["COPY . /a/", "COPY main /b/", "COPY --from=named n /n"]);
    std::fs::write(named.path().join("n"), "2").unwrap();
    assert_eq!(twice.steps(&[&flag]).executed(), ["COPY --from=named n /n"]);
    File::options().append(true).open(&main).unwrap().set_modified(SystemTime::now()).unwrap();
    assert!(twice.steps(&[&flag]).executed().is_empty());
}

/// A note of what a context comes to is of no use where the layer is gone.
#[test]
fn a_context_that_nobody_touched_is_copied_where_its_layer_is_gone() {
    let twice = Twice::new("FROM scratch\nCOPY main /b/\n", &[("main", "1")]);
    std::thread::sleep(Duration::from_millis(3_500));
    twice.executes(&[]);
    std::fs::remove_dir_all(twice.bench.jettison.store().join("v1/records/steps")).unwrap();
    assert_eq!(twice.bench.image(&twice.context, &[]).tree().text("/b/main"), "1");
}

#[test]
fn a_trace_has_a_span_for_each_step() {
    let bench = Bench::new();
    let context = context_of(DOCKERFILE, &[("deps", "1"), ("main", "1"), ("third", "1")]);
    let file = bench.jettison.path("work/trace.json");
    bench.build(&context, &["--trace", file.to_str().unwrap()]);
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let outcome = |name: &str| {
        let span =
            events.iter().find(|event| event["ph"] == "X" && event["name"].as_str().unwrap().ends_with(name));
        span.unwrap_or_else(|| panic!("no span for {name}"))["args"]["outcome"].clone()
    };
    for step in ["WORKDIR /src", "COPY deps .", "RUN cat main > /built", "COPY --from=other /third /third"] {
        assert_eq!(outcome(step), "done", "{step}");
    }
}

/// WORKDIR must know what is in the base; what it reads for that is unpacked at once if a command needs it so.
#[test]
fn a_base_that_a_command_runs_on_is_read_once() {
    let unpacked = |rest: &str| {
        let bench = Bench::new();
        let context = context_of(&format!("FROM busybox\nWORKDIR /made\nCOPY missing /\n{rest}"), &[]);
        let output = bench.fails(&context, &[]);
        assert!(output.stderr.contains("missing"), "{output}");
        let layers = std::fs::read_dir(bench.jettison.store().join("v1/layers")).unwrap();
        // One of them is that of WORKDIR.
        layers.filter(|layer| layer.as_ref().unwrap().path().join("fs").exists()).count() - 1
    };
    assert_eq!((unpacked("RUN true\n"), unpacked("")), (1, 0));
}
