//! The small commands around a build: output and flags as docker's.

use std::fs;

use jettison_testkit::{Context, Image};

use crate::{Bench, context_of};

fn tagged(dockerfile: &str) -> Bench {
    let bench = Bench::new();
    bench.build(&context_of(dockerfile, &[("f", "text\n")]), &["-t", "thing:1"]);
    bench
}

const SAMPLE: &str = "FROM busybox\nCOPY f /f\nENV WHO=world\nWORKDIR /w\nCMD [\"cat\", \"/f\"]\n";

#[test]
fn images_lists_what_was_built() {
    let bench = tagged(SAMPLE);
    for command in [&["images"][..], &["image", "ls"]] {
        let text = bench.jettison.ok(command).stdout;
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("REPOSITORY"), "{text}");
        let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(row[..2], ["thing", "1"]);
    }
    let id = bench.jettison.ok(&["images", "-q", "--no-trunc"]).stdout;
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(bench.jettison.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout, "thing:1\n");
}

#[test]
fn inspect_shows_the_config() {
    let bench = tagged(SAMPLE);
    let text = bench.jettison.ok(&["inspect", "thing:1"]).stdout;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value[0]["RepoTags"][0], "thing:1");
    assert_eq!(value[0]["Config"]["WorkingDir"], "/w");
    assert_eq!(value[0]["RootFS"]["Layers"].as_array().unwrap().len(), 3);
    bench.jettison.fails(1, &["inspect", "nosuch"]).says("nosuch");
}

#[test]
fn history_has_a_line_an_instruction() {
    let text = tagged(SAMPLE).jettison.ok(&["history", "--no-trunc", "thing:1"]).stdout;
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("CMD") < at("WORKDIR /w") && at("WORKDIR /w") < at("COPY f /f"));
}

#[test]
fn tag_and_rmi_give_and_take_names() {
    let bench = tagged(SAMPLE);
    bench.jettison.ok(&["tag", "thing:1", "other:2"]);
    let id = |name: &str| {
        bench.jettison.ok(&["inspect", name]).stdout.lines().find(|l| l.contains("\"Id\"")).map(str::to_owned)
    };
    assert_eq!(id("thing:1"), id("other:2"));
    bench.jettison.ok(&["rmi", "thing:1"]).stdout.contains("Untagged");
    bench.jettison.fails(1, &["inspect", "thing:1"]);
    bench.jettison.ok(&["inspect", "other:2"]);
    bench.jettison.fails(1, &["rmi", "thing:1"]).says("thing:1");
}

#[test]
fn save_and_load_carry_an_image_to_another_store() {
    let (bench, other) = (tagged(SAMPLE), Bench::new());
    let file = bench.jettison.path("work/saved.tar");
    let name = file.to_str().unwrap();
    bench.jettison.ok(&["save", "-o", name, "thing:1"]);
    let image = Image::from_docker_archive(&file);
    let output = other.jettison.ok(&["load", "-i", name]);
    assert!((output.stdout + &output.stderr).contains("thing:1"));
    assert!(other.jettison.ok(&["inspect", "thing:1"]).stdout.contains(&image.id.to_string()));
}

#[test]
fn run_starts_the_image() {
    let bench = tagged(SAMPLE);
    assert_eq!(bench.jettison.ok(&["run", "--rm", "thing:1"]).stdout, "text\n");
    for (arguments, expected) in [
        (&["thing:1", "sh", "-c", "echo $WHO $PWD"][..], "world /w\n"),
        (&["-e", "WHO=me", "thing:1", "sh", "-c", "echo $WHO"], "me\n"),
        (&["-u", "node", "thing:1", "id", "-u"], "1000\n"),
        (&["-w", "/etc", "thing:1", "pwd"], "/etc\n"),
        (&["thing:1", "sh", "-c", "echo $TERM"], "\n"),
        (&["-t", "thing:1", "sh", "-c", "echo $TERM"], "xterm\n"),
        (&["-t", "-e", "TERM=vt100", "thing:1", "sh", "-c", "echo $TERM"], "vt100\n"),
        (&["--entrypoint", "echo", "thing:1", "a", "b"], "a b\n"),
        (&["--entrypoint", "echo", "thing:1", "-d", "--rm"], "-d --rm\n"),
    ] {
        assert_eq!(bench.jettison.ok(&[&["run", "--rm"], arguments].concat()).stdout, expected);
    }
}

#[test]
fn run_ends_as_its_command_ends() {
    let bench = tagged(SAMPLE);
    for (code, command) in [
        (7, &["sh", "-c", "exit 7"][..]),
        (127, &["nosuch"]),
        (126, &["/etc/passwd"]),
        (137, &["sh", "-c", "kill -9 $$"]),
    ] {
        bench.jettison.fails(code, &[&["run", "--rm", "thing:1"], command].concat());
    }
    bench.jettison.fails(125, &["run", "--rm", "nosuch:1"]).says("cannot pull nosuch:1");
}

#[test]
fn run_reads_standard_input_and_mounts_folders() {
    let bench = tagged(SAMPLE);
    let output = bench.jettison.run_with_input(&["run", "--rm", "-i", "thing:1", "cat"], b"input");
    assert_eq!(output.stdout, "input", "{output}");
    let folder = Context::new().file("x", "mounted");
    let volume = format!("{}:/m:ro", folder.argument());
    assert_eq!(
        bench.jettison.ok(&["run", "--rm", "-v", &volume, "thing:1", "cat", "/m/x"]).stdout,
        "mounted"
    );
}

#[test]
fn prune_frees_what_nothing_names_and_du_counts() {
    let bench = tagged(SAMPLE);
    assert!(!bench.jettison.ok(&["du"]).stdout.is_empty());
    bench.jettison.ok(&["prune", "-f"]);
    bench.jettison.ok(&["inspect", "thing:1"]);
    bench.jettison.ok(&["rmi", "thing:1"]);
    bench.jettison.ok(&["prune", "-a", "-f"]);
    let mut size = 0;
    let mut folders = vec![bench.jettison.store()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.metadata().unwrap() {
                meta if meta.is_dir() => folders.push(entry.path()),
                meta => size += meta.len(),
            }
        }
    }
    assert!(size < 100_000, "{size} bytes are left");
}

#[test]
fn dockers_other_spellings_work() {
    let bench = Bench::new();
    let context = context_of("FROM scratch\nCOPY f /f\n", &[("f", "")]);
    bench.jettison.ok(&["buildx", "build", "-t", "a", context.argument()]);
    bench.jettison.ok(&["image", "build", "-t", "b", context.argument()]);
    bench.jettison.ok(&["image", "inspect", "a"]);
    bench.jettison.ok(&["image", "rm", "b"]);
    bench.jettison.ok(&["builder", "prune", "-f"]);
    bench.jettison.ok(&["image", "prune", "-f"]);
}

#[test]
fn the_context_can_come_from_standard_input() {
    let bench = Bench::new();
    let output = bench.jettison.run_with_input(&["build", "-t", "a", "-"], b"FROM scratch\nENV A=1\n");
    assert_eq!(output.code, 0, "{output}");
    let context = context_of("FROM scratch\nCOPY f /f\n", &[("f", "text\n")]);
    let mut tar = std::process::Command::new("tar");
    let tar = tar.args(["-C", context.argument(), "-c", "."]).output().unwrap().stdout;
    let output = bench.jettison.run_with_input(&["build", "-t", "b", "-"], &tar);
    assert_eq!(output.code, 0, "{output}");
    let file = context.path().join("Dockerfile");
    let text = fs::read(file).unwrap();
    let output = bench.jettison.run_with_input(&["build", "-f", "-", "-t", "c", context.argument()], &text);
    assert_eq!(output.code, 0, "{output}");
}

#[test]
fn a_dockerfile_in_lower_case_is_found() {
    let bench = Bench::new();
    let context = Context::new().file("dockerfile", "FROM scratch\nCOPY f /lower\n").file("f", "");
    assert!(bench.image(&context, &[]).tree().has("/lower"));
    let both = context.file("Dockerfile", "FROM scratch\nCOPY f /upper\n");
    assert!(bench.image(&both, &[]).tree().has("/upper"));
}

#[test]
fn version_help_and_completions_are_there() {
    let bench = Bench::new();
    assert!(bench.jettison.ok(&["version"]).stdout.contains("0."));
    assert!(bench.jettison.ok(&["--version"]).stdout.contains("jettison"));
    let help = bench.jettison.ok(&["build", "--help"]).stdout;
    for flag in [
        "--tag",
        "--file",
        "--target",
        "--build-arg",
        "--build-context",
        "--push",
        "--load",
        "--no-cache",
        "--metadata-file",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(bench.jettison.ok(&["completion", shell]).stdout.contains("jettison"), "{shell}");
    }
}

#[test]
fn quiet_prints_the_id_alone_and_plain_the_steps() {
    let bench = Bench::new();
    let context = context_of("FROM busybox\nRUN echo to-see\n", &[]);
    let plain = bench.build(&context, &["--progress", "plain"]);
    plain.says("RUN echo to-see").says("to-see");
    let quiet = bench.build(&context, &["-q"]);
    assert!(quiet.stdout.starts_with("sha256:") && quiet.stdout.trim().len() == 71, "{quiet}");
    assert_eq!(quiet.stderr, "");
}
