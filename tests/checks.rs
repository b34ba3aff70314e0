//! `build --check`, `build --call`, checks at the end of a build, and `check`.

use jettison_testkit::Context;
use serde_json::Value;

use crate::{Bench, context_of};

const FAULTY: &str = "FROM busybox as base\nENV KEY value\nWORKDIR app\nCMD echo $NOT_HERE\n";

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

/// The rules of `--call=check,format=json`, with their lines.
fn rules(result: &Value) -> Vec<(String, u64)> {
    let warnings = result["warnings"].as_array().cloned().unwrap_or_default();
    let row = |warning: &Value| {
        let line = warning["location"]["ranges"][0]["start"]["line"].as_u64().unwrap();
        (warning["ruleName"].as_str().unwrap().to_owned(), line)
    };
    warnings.iter().map(row).collect()
}

#[test]
fn check_says_what_docker_says_and_fails() {
    let bench = Bench::new();
    let output = bench.fails(&context_of(FAULTY, &[]), &["--check"]);
    let url = "https://docs.docker.com/go/dockerfile/rule/from-as-casing/";
    let expected = format!(
        "Check complete, 5 warnings have been found!\n\nWARNING: FromAsCasing - {url}\n\
         'as' and 'FROM' keywords' casing do not match\n"
    );
    assert!(output.stdout.starts_with(&expected), "{}", output.stdout);
    assert!(
        output.stdout.contains(":1\n--------------------\n   1 | >>> FROM busybox as base\n"),
        "{}",
        output.stdout
    );
    let clean = bench.build(&context_of("FROM busybox AS base\nCMD [\"sh\"]\n", &[]), &["--check"]);
    assert_eq!(clean.stdout, "Check complete, no warnings found.\n");
}

#[test]
fn check_as_json_is_buildkits() {
    let bench = Bench::new();
    let output = bench.fails(&context_of(FAULTY, &[]), &["--call=check,format=json"]);
    let result = json(&output.stdout);
    let expected = [
        ("FromAsCasing", 1),
        ("LegacyKeyValueFormat", 2),
        ("SecretsUsedInArgOrEnv", 2),
        ("WorkdirRelativePath", 3),
        ("JSONArgsRecommended", 4),
    ];
    assert_eq!(rules(&result), expected.map(|(rule, line)| (rule.to_owned(), line)));
    assert_eq!(result["warnings"][0]["detail"], "'as' and 'FROM' keywords' casing do not match");
    assert_eq!(result["sources"][0]["language"], "Dockerfile");
    let output = bench.build(&context_of(FAULTY, &[]), &["--call=check,ignorestatus"]);
    assert!(output.stdout.contains("5 warnings"), "{}", output.stdout);
}

#[test]
fn the_base_image_says_which_variables_there_are() {
    let bench = Bench::new();
    bench.build(&context_of("FROM busybox\nENV HERE=1\n", &[]), &["-t", "with-env:1"]);
    let dockerfile = "FROM with-env:1\nENV MORE=$HERE$PATH$HERF\n";
    let output = bench.fails(&context_of(dockerfile, &[]), &["--call=check,format=json"]);
    let details = json(&output.stdout)["warnings"].clone();
    assert_eq!(details.as_array().unwrap().len(), 1);
    assert_eq!(details[0]["detail"], "Usage of undefined variable '$HERF' (did you mean $HERE?)");
}

#[test]
fn what_the_build_would_fail_with_is_told() {
    let bench = Bench::new();
    let output = bench.fails(&context_of("FROM busybox AS Odd\nBADCMD\n", &[]), &["--check"]);
    assert!(output.stdout.contains("StageNameCasing"), "{}", output.stdout);
    assert!(
        output.stderr.contains("dockerfile parse error on line 2: unknown instruction: BADCMD"),
        "{}",
        output.stderr
    );
    let output =
        bench.fails(&context_of("FROM busybox AS Odd\nBADCMD\n", &[]), &["--call=check,format=json"]);
    let result = json(&output.stdout);
    assert_eq!(result["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
}

#[test]
fn ignored_files_are_found_by_the_check() {
    let context = Context::of("FROM scratch\nCOPY a.txt b.txt /\n").file(".dockerignore", "b.*\n");
    let output = Bench::new().fails(&context, &["--call=check,format=json"]);
    let result = json(&output.stdout);
    assert_eq!(
        result["warnings"][0]["detail"],
        "Attempting to Copy file \"b.txt\" that is excluded by .dockerignore"
    );
}

#[test]
fn a_build_lists_warnings_at_its_end() {
    let bench = Bench::new();
    let dockerfile = "FROM scratch AS unused\nENV A b\nFROM scratch as base\nCOPY x /\n";
    let output = bench.build(&context_of(dockerfile, &[("x", "")]), &[]);
    let expected = "\n 1 warning found (use --check to see the place):\n - FromAsCasing: 'as' and 'FROM' keywords' \
                    casing do not match (line 3)\n";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
}

#[test]
fn a_build_fails_on_warnings_if_the_file_asks_for_it() {
    let bench = Bench::new();
    let dockerfile = "# check=error=true\nFROM scratch as base\nCOPY x /\n";
    let context = context_of(dockerfile, &[("x", "")]);
    let output = bench.fails(&context, &["-t", "never:1"]);
    assert!(
        output.stderr.contains("error: lint violation found for rules: FromAsCasing\n"),
        "{}",
        output.stderr
    );
    assert!(!bench.jettison.ok(&["images"]).stdout.contains("never"));
    bench.build(&context, &["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"]);
    let output = bench.fails(&context, &["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=what=1"]);
    assert!(output.stderr.contains("invalid check option \"what\""), "{}", output.stderr);
}

#[test]
fn targets_and_outline_are_tables() {
    let bench = Bench::new();
    let dockerfile = "# VERSION of the base\nARG VERSION=latest\n# build makes it\nFROM busybox:$VERSION AS build\n\
                      ARG MODE=fast\nRUN --mount=type=secret,id=key,required --mount=type=ssh true\n\n\
                      # app is what ships\nFROM build AS app\n";
    let context = context_of(dockerfile, &[]);
    let output = bench.build(&context, &["--call=targets"]);
    assert_eq!(
        output.stdout,
        "TARGET        DESCRIPTION\nbuild         makes it\napp (default) is what ships\n"
    );
    let output = bench.build(&context, &["--call=outline", "--build-arg", "MODE=slow"]);
    let expected = "TARGET:      app\nDESCRIPTION: is what ships\n\n\
                    BUILD ARG   VALUE    DESCRIPTION\nVERSION     latest   of the base\nMODE        slow     \n\n\
                    SECRET   REQUIRED\nkey      true\n\nSSH       REQUIRED\ndefault   \n\n";
    assert_eq!(output.stdout, expected);
    let outline = json(&bench.build(&context, &["--call=outline,format=json", "--target=build"]).stdout);
    assert_eq!(outline["name"], "build");
    assert_eq!(outline["args"][1]["name"], "MODE");
    assert_eq!(outline["secrets"][0]["required"], true);
    let targets = json(&bench.build(&context, &["--call=targets,format=json"]).stdout);
    assert_eq!(targets["targets"][1]["default"], true);
    assert_eq!(targets["targets"][0]["base"], "busybox:$VERSION");
}

#[test]
fn check_reads_a_directory_or_a_file_and_needs_nothing_else() {
    let bench = Bench::new();
    let context = context_of(FAULTY, &[]);
    let path = context.path().display().to_string();
    let output = bench.jettison.run(&["check", "--format", "json", &path]);
    assert_eq!(output.code, 1);
    let found = json(&output.stdout);
    assert!(found.as_array().unwrap().iter().any(|row| row["code"] == "FromAsCasing" && row["line"] == 1));
    for format in ["text", "sarif", "github"] {
        let output = bench.jettison.run(&["check", "--format", format, &format!("{path}/Dockerfile")]);
        assert_eq!(output.code, 1);
        assert!(output.stdout.contains("FromAsCasing"), "{}", output.stdout);
    }
    let output = bench.jettison.run(&["check", "-f", "/dev/null"]);
    assert!(output.stdout.contains("the Dockerfile cannot be empty"), "{}", output.stdout);
}

/// The codes of hadolint's rules that `check` finds, with their lines.
fn hadolint_codes(dockerfile: &str) -> Vec<(String, u64)> {
    let bench = Bench::new();
    let context = context_of(dockerfile, &[]);
    let output = bench.jettison.run(&["check", "--format", "json", &context.path().display().to_string()]);
    let found = json(&output.stdout);
    let row = |row: &Value| (row["code"].as_str().unwrap().to_owned(), row["line"].as_u64().unwrap());
    let rows = found.as_array().unwrap().iter().map(row);
    rows.filter(|(code, _)| code.starts_with("DL")).collect()
}

#[test]
fn check_has_hadolints_rules_and_honours_its_comments() {
    let dockerfile = "FROM busybox:1\nRUN cd /tmp && a | b\n# hadolint ignore=DL3003\nRUN cd /tmp && a | b\n";
    let at = |code: &str, line| (code.to_owned(), line);
    let expected = [at("DL3003", 2), at("DL4006", 2), at("DL4006", 4)];
    assert_eq!(hadolint_codes(dockerfile), expected);
    assert_eq!(hadolint_codes(&format!("# hadolint global ignore=DL4006\n{dockerfile}")), [at("DL3003", 3)]);
    assert_eq!(hadolint_codes(&format!("# hadolint stage ignore=DL4006\n{dockerfile}")), [at("DL3003", 3)]);
    assert_eq!(hadolint_codes(&format!("# check=skip=DL4006\n{dockerfile}")), [at("DL3003", 3)]);
}

#[test]
fn check_fails_from_the_threshold_on() {
    let bench = Bench::new();
    let context = context_of("FROM busybox:1\nRUN wget http://localhost/x\n", &[]);
    let path = context.path().display().to_string();
    for (threshold, code) in [("info", 1), ("style", 1), ("warning", 0), ("error", 0), ("none", 0)] {
        let output = bench.jettison.run(&["check", "--failure-threshold", threshold, &path]);
        assert_eq!(output.code, code, "{threshold}");
        assert!(output.stdout.contains("DL3047"), "{}", output.stdout);
    }
}

#[test]
fn hadolints_configuration_file_is_read() {
    let bench = Bench::new();
    let context =
        Context::of("# hadolint global ignore=DL3025\nFROM quay.io/a\nRUN cd /x\nLABEL version=one\nCMD x\n")
            .file(
                ".hadolint.yaml",
                "trustedRegistries: [docker.io]\nlabel-schema: {version: semver, author: text}\n",
            );
    let check = |flags: &[&str]| {
        let mut command = bench.jettison.command(&[&["check", "--format", "json"], flags].concat());
        let output = command.current_dir(context.path()).output().unwrap();
        let found = json(&String::from_utf8(output.stdout).unwrap());
        let found = found
            .as_array()
            .unwrap()
            .iter()
            .filter(|found| found["code"].as_str().unwrap().starts_with("DL"));
        let row = |found: &Value| {
            format!(
                "{}:{} {}",
                found["line"],
                found["code"].as_str().unwrap(),
                found["level"].as_str().unwrap()
            )
        };
        (output.status.code().unwrap(), found.map(row).collect::<Vec<_>>().join(", "))
    };
    let ours = "2:DL3006 warning, 2:DL3026 error, 2:DL3049 info, 3:DL3003 warning, 4:DL3056 warning";
    assert_eq!(check(&[]), (1, ours.to_owned()));
    // Another file takes its place.
    let other = "ignored: [DL3006]\noverride: {style: [DL3003]}\nfailure-threshold: info\ndisable-ignore-pragma: true\n";
    context.write("other.yaml", other);
    assert_eq!(check(&["-c", "other.yaml"]), (1, "3:DL3003 style, 5:DL3025 warning".to_owned()));
    context.write("other.yaml", format!("{other}no-fail: true\n"));
    assert_eq!(check(&["-c", "other.yaml"]).0, 0);
    // The flag is stronger.
    assert_eq!(check(&["-c", "other.yaml", "--failure-threshold", "warning"]).0, 1);
    context.write("other.yaml", "ignored: DL3006\n");
    bench
        .jettison
        .fails(1, &["check", "-c", context.path().join("other.yaml").to_str().unwrap(), context.argument()])
        .says("other.yaml: ignored: expected a list");
}
