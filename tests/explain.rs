//! `--explain`: which step was executed, and what changed for it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use jettison_testkit::Context;

use crate::{Bench, context_of};

/// A build that is done twice, with a change between.
struct Change {
    bench: Bench,
    context: Context,
}

impl Change {
    fn of(dockerfile: &str, files: &[(&str, &str)]) -> Change {
        let change = Change { bench: Bench::new(), context: context_of(dockerfile, files) };
        change.bench.build(&change.context, &[]);
        change
    }

    /// Builds again and returns what is said of the step whose instruction begins so: "hit", or the reasons.
    #[track_caller]
    fn of_step(&self, instruction: &str, flags: &[&str]) -> Vec<String> {
        let output = self.bench.build(&self.context, &[&["--explain"], flags].concat());
        let mut lines = output.stderr.lines().skip_while(|line| {
            let step = line.strip_prefix("hit   [").or_else(|| line.strip_prefix("miss  ["));
            !step
                .and_then(|step| step.split_once("] "))
                .is_some_and(|(_, rest)| rest.starts_with(instruction))
        });
        let first = lines.next().unwrap_or_else(|| panic!("nothing is said of {instruction}:\n{output}"));
        if first.starts_with("hit") {
            return vec!["hit".to_owned()];
        }
        lines.map_while(|line| line.strip_prefix("        ")).map(str::to_owned).collect()
    }

    fn write_dockerfile(&self, text: &str) {
        self.context.write("Dockerfile", text);
    }

    fn set_mode(&self, path: &str, mode: u32) {
        std::fs::set_permissions(self.context.path().join(path), Permissions::from_mode(mode)).unwrap();
    }
}

/// What SHA-256 makes of "1" and "22", as it is shown.
const ONE: &str = "sha256:6b86b273ff34";
const TWENTY_TWO: &str = "sha256:785f3ec7eb32";

#[test]
fn a_first_build_and_a_build_without_changes() {
    let bench = Bench::new();
    let context = context_of("FROM busybox\nCOPY a /a\n", &[("a", "1")]);
    let first = bench.build(&context, &["--explain"]);
    assert!(
        first.stderr.contains("miss  [2/2] COPY a /a\n        no earlier build of this is known\n"),
        "{first}"
    );
    let second = bench.build(&context, &["--explain"]);
    assert!(second.stderr.contains("hit   [2/2] COPY a /a\n"), "{second}");
    assert!(!second.stderr.contains("miss"), "{second}");
}

#[test]
fn from_another_image() {
    let change = Change::of("FROM busybox\nRUN true\n", &[]);
    change.write_dockerfile("FROM alpine\nRUN true\n");
    let reasons = change.of_step("RUN", &[]);
    assert_eq!(
        reasons[..2],
        ["what it builds on changed: [1/2] FROM context alpine", "image: context busybox -> context alpine"]
    );
    assert!(reasons[2].starts_with("image ID: sha256:") && reasons.len() == 3, "{reasons:#?}");
}

#[test]
fn from_the_same_name_with_another_image() {
    let bench = Bench::new();
    let context = context_of("FROM base\nRUN true\n", &[]);
    let build = |name: &str| {
        let base = format!("base={}", bench.bases.named_context(name));
        bench.build(&context, &["--explain", "--build-context", &base])
    };
    build("busybox");
    let output = build("alpine");
    let expected = "miss  [2/2] RUN true\n        what it builds on changed: [1/2] FROM context base\n        image ID: sha256:";
    assert!(output.stderr.contains(expected), "{output}");
}

#[test]
fn copy_names_each_file_and_attribute() {
    let files = [("content", "1"), ("mode", ""), ("gone", "")];
    let change = Change::of("FROM scratch\nCOPY . /src\n", &files);
    change.context.write("content", "22");
    change.context.write("new", "");
    change.set_mode("mode", 0o755);
    std::fs::remove_file(change.context.path().join("gone")).unwrap();
    let reasons = change.of_step("COPY", &[]);
    for reason in [
        &format!("content: content {ONE} -> {TWENTY_TWO}, size 1 -> 2"),
        "gone: removed",
        "mode: mode 644 -> 755",
        "new: added",
    ] {
        assert!(reasons.iter().any(|line| line == reason), "no {reason} in {reasons:#?}");
    }
    assert_eq!(reasons.len(), 4, "{reasons:#?}");
}

#[test]
fn copy_with_other_flags() {
    let change = Change::of("FROM busybox\nCOPY a /a\n", &[("a", "1")]);
    change.write_dockerfile("FROM busybox\nCOPY --chown=7 --chmod=600 a /b\n");
    let reasons = change.of_step("COPY", &[]);
    assert_eq!(reasons, ["destination: /a -> /b", "--chown: 7:7 is new", "--chmod: 600 is new"]);
    change.write_dockerfile("FROM busybox\nCOPY --chown=8:7 a /b\n");
    assert_eq!(change.of_step("COPY", &[]), ["--chown: 7:7 -> 8:7", "--chmod: 600 is gone"]);
}

#[test]
fn copy_from_a_stage_tells_owners_too() {
    let dockerfile = |owner: u32| {
        format!(
            "FROM busybox AS s\nRUN mkdir /d && echo {owner} >/x && touch /d/f && chown {owner} /d/f\nFROM scratch\nCOPY --from=s /d /d\n"
        )
    };
    let change = Change::of(&dockerfile(1), &[]);
    change.write_dockerfile(&dockerfile(2));
    assert_eq!(change.of_step("COPY", &[]), ["d/f: owner 1:0 -> 2:0"]);
}

#[test]
fn copy_below_a_change() {
    let change = Change::of("FROM busybox\nCOPY a /a\nCOPY b /b\n", &[("a", "1"), ("b", "1")]);
    change.context.write("a", "22");
    assert_eq!(change.of_step("COPY b", &[]), ["what it builds on changed: [2/3] COPY a /a"]);
}

#[test]
fn copy_of_a_here_document() {
    let dockerfile = |text: &str| format!("FROM scratch\nCOPY <<EOF /a\n{text}\nEOF\n");
    let change = Change::of(&dockerfile("1"), &[]);
    change.write_dockerfile(&dockerfile("2"));
    let reasons = change.of_step("COPY", &[]);
    assert_eq!(reasons.len(), 1, "{reasons:#?}");
    assert!(
        reasons[0].starts_with("here-document ") && reasons[0].ends_with(" has another value"),
        "{reasons:#?}"
    );
}

#[test]
fn add_looks_into_archives() {
    let archive = |content: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("inner"), content).unwrap();
        let mut tar = std::process::Command::new("tar");
        tar.args(["--owner=0", "--group=0", "--mtime=@0", "-C"]).arg(dir.path());
        tar.args(["-cf", "-", "inner"]).output().unwrap().stdout
    };
    let context = Context::of("FROM scratch\nADD a.tar /\n").file("a.tar", archive("1"));
    let change = Change { bench: Bench::new(), context };
    change.bench.build(&change.context, &[]);
    change.context.write("a.tar", archive("22"));
    assert_eq!(
        change.of_step("ADD", &[]),
        [format!("a.tar/inner: content {ONE} -> {TWENTY_TWO}, size 1 -> 2")]
    );
}

#[test]
fn workdir_with_another_path() {
    let change = Change::of("FROM busybox\nWORKDIR /a\n", &[]);
    change.write_dockerfile("FROM busybox\nWORKDIR /b\n");
    assert_eq!(change.of_step("WORKDIR", &[]), ["path: /a -> /b"]);
}

#[test]
fn run_with_another_command() {
    let change = Change::of("FROM busybox\nRUN echo 1\n", &[]);
    change.write_dockerfile("FROM busybox\nRUN echo 2\n");
    let expected = r#"command: ["/bin/sh", "-c", "echo 1"] -> ["/bin/sh", "-c", "echo 2"]"#;
    assert_eq!(change.of_step("RUN", &[]), [expected]);
}

#[test]
fn run_with_another_argument_whose_value_stays_private() {
    let change = Change::of("FROM busybox\nARG TOKEN=first-value\nRUN true\n", &[]);
    let reasons = change.of_step("RUN", &["--build-arg", "TOKEN=other-value"]);
    assert_eq!(reasons, ["environment variable TOKEN has another value"]);
}

#[test]
fn run_with_other_variables() {
    let change = Change::of("FROM busybox\nENV A=1 B=1\nRUN true\n", &[]);
    change.write_dockerfile("FROM busybox\nENV A=2 C=1\nRUN true\n");
    assert_eq!(
        change.of_step("RUN", &[]),
        [
            "environment variable A has another value",
            "environment variable C is new",
            "environment variable B is gone"
        ]
    );
}

#[test]
fn run_in_another_place_as_another_user() {
    let change = Change::of("FROM busybox\nRUN true\n", &[]);
    change.write_dockerfile("FROM busybox\nUSER 7\nRUN --network=none true\n");
    let reasons = change.of_step("RUN", &[]);
    assert_eq!(reasons, ["user: none -> 7", "network: default -> none"]);
}

#[test]
fn run_with_a_bind_mount_names_the_file() {
    let change = Change::of("FROM busybox\nRUN --mount=target=/m cat /m/a\n", &[("a", "1"), ("b", "1")]);
    change.context.write("a", "22");
    let reasons = change.of_step("RUN", &[]);
    assert_eq!(reasons, [format!("a: content {ONE} -> {TWENTY_TWO}, size 1 -> 2")]);
}

#[test]
fn run_with_another_mount() {
    let change = Change::of("FROM busybox\nRUN --mount=type=cache,target=/m true\n", &[]);
    change.write_dockerfile("FROM busybox\nRUN --mount=type=tmpfs,target=/m true\n");
    let reasons = change.of_step("RUN", &[]);
    assert_eq!(reasons.len(), 1, "{reasons:#?}");
    assert!(reasons[0].starts_with("mount 1 at /m: cache writable "), "{reasons:#?}");
    assert!(reasons[0].contains(" -> tmpfs writable "), "{reasons:#?}");
}

#[test]
fn a_new_instruction_and_those_below_it() {
    let change = Change::of("FROM busybox\nRUN echo 1\n", &[]);
    change.write_dockerfile("FROM busybox\nWORKDIR /w\nRUN echo 1\n");
    assert_eq!(change.of_step("WORKDIR", &[]), ["the instruction is new"]);
    change.write_dockerfile("FROM busybox\nWORKDIR /v\nRUN echo 1\n");
    assert_eq!(change.of_step("RUN", &[])[0], "what it builds on changed: [2/3] WORKDIR /v");
}

#[test]
fn flags_and_prunes_are_reasons_too() {
    let change = Change::of("FROM busybox AS s\nRUN true\n", &[]);
    assert_eq!(change.of_step("RUN", &["--no-cache"]), ["--no-cache was given"]);
    assert_eq!(change.of_step("RUN", &["--no-cache-filter", "s"]), ["--no-cache-filter was given"]);
    let records = change.bench.jettison.store().join("v1/records/steps");
    std::fs::remove_dir_all(records).unwrap();
    assert_eq!(change.of_step("RUN", &[]), ["nothing changed, but no result of it is in the store"]);
}

/// What a step is compared with is the last run, not the last one that executed something.
#[test]
fn a_change_back_is_a_last_run_too() {
    let change = Change::of("FROM scratch\nCOPY a /a\n", &[("a", "1")]);
    change.context.write("a", "333");
    change.bench.build(&change.context, &[]);
    change.context.write("a", "1");
    assert_eq!(change.of_step("COPY", &[]), ["hit"]);
    change.context.write("a", "22");
    assert_eq!(change.of_step("COPY", &[]), [format!("a: content {ONE} -> {TWENTY_TWO}, size 1 -> 2")]);
}

#[test]
fn a_failed_build_has_explained_what_it_did() {
    let change = Change::of("FROM busybox\nCOPY a /a\nRUN test $(cat /a) = 1\n", &[("a", "1")]);
    change.context.write("a", "22");
    let output = change.bench.fails(&change.context, &["--explain"]);
    assert!(output.stderr.contains(&format!("a: content {ONE} -> {TWENTY_TWO}, size 1 -> 2")), "{output}");
    assert!(output.stderr.contains("what it builds on changed: [2/3] COPY a /a"), "{output}");
}

#[test]
fn rawjson_has_it_in_the_log_of_the_step() {
    let change = Change::of("FROM scratch\nCOPY a /a\n", &[("a", "1")]);
    change.context.write("a", "22");
    let steps = change.bench.build(&change.context, &["--explain", "--progress", "rawjson"]).steps();
    let step = steps.instructions().find(|step| step.instruction() == "COPY a /a").unwrap();
    assert_eq!(step.log, format!("miss: a: content {ONE} -> {TWENTY_TWO}, size 1 -> 2\n"));
}
