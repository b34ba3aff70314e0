//! What each rule makes of a text.

use std::sync::Arc;

use jettison_image::Digest;
use jettison_layer::{Difference, Entry, Index, Kind as EntryKind, differences};

use super::*;

fn file(path: &str, content: &str) -> Entry {
    let digest = Some(Digest::of(content.as_bytes()));
    Entry { mode: 0o755, ..Entry::new(path, EntryKind::File { size: content.len() as u64, digest }) }
}

fn tree(layers: Vec<Vec<Entry>>) -> Tree {
    Tree::new(layers.into_iter().map(|entries| Arc::new(Index::from_entries(entries))))
}

/// Proposes for `text`, built to an image with `config` and an own program `/out/app`.
fn proposed(text: &str, context: &[&str], config: &RunConfig) -> Vec<Rewrite> {
    let parsed = jettison_dockerfile::parse(text.as_bytes());
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    let context: Vec<String> = context.iter().map(|name| (*name).to_owned()).collect();
    let tree = tree(vec![vec![file("bin/sh", "sh")], vec![file("out/app", "app")]]);
    let draft = Draft {
        text: &parsed.text,
        dockerfile: &parsed.dockerfile,
        target: None,
        context: &context,
        config,
        tree: &tree,
        base_layers: 1,
    };
    rewrites(&draft)
}

/// The rule and the new text of each proposal.
fn texts(text: &str, context: &[&str]) -> Vec<(String, String)> {
    let found = proposed(text, context, &RunConfig::default());
    found.iter().map(|rewrite| (rewrite.rule.to_owned(), apply(text, &rewrite.edits))).collect()
}

#[track_caller]
fn becomes(rule: &str, before: &str, after: &str) {
    let found = texts(before, &["requirements.txt", "package.json", "main.py"]);
    let wanted = (rule.to_owned(), after.to_owned());
    assert!(found.contains(&wanted), "{found:#?}");
}

#[test]
fn caches_go_in_the_layer_that_makes_them() {
    becomes(
        "SZ001",
        "FROM debian\n# why\nRUN apt-get update && \\\n    apt-get install -y ed\nCMD ed\n",
        "FROM debian\n# why\nRUN apt-get update && \\\n    apt-get install -y ed \\\n    && rm -rf /var/lib/apt/lists/*\nCMD ed\n",
    );
    becomes(
        "SZ005",
        "FROM python\nRUN pip install a && pip3 install b\n",
        "FROM python\nRUN pip install --no-cache-dir a && pip3 install --no-cache-dir b\n",
    );
    becomes("SZ002", "FROM alpine\nRUN apk add curl", "FROM alpine\nRUN apk add --no-cache curl");
    for clean in [
        "FROM debian\nRUN apt-get update && apt-get install -y --no-install-recommends ed && rm -rf /var/lib/apt/lists/*\n",
        "FROM debian\nRUN --mount=type=cache,target=/var/lib/apt/lists apt-get update\n",
        "FROM alpine\nRUN apk add --no-cache curl\n",
        // A stage that does not ship may leave what it likes.
        "FROM debian AS build\nRUN apt-get update\nFROM scratch\nCOPY --from=build /a /a\n",
    ] {
        assert_eq!(texts(clean, &[]), [], "{clean}");
    }
    // One that the last stage starts from does.
    assert_eq!(texts("FROM debian AS base\nRUN apt-get update\nFROM base\nCMD ls\n", &[]).len(), 1);
}

#[test]
fn what_a_later_step_undoes_moves_into_the_earlier_one() {
    becomes(
        "SZ012",
        "FROM a\nRUN make all\n\n# tidy up\nRUN rm -rf /build\nCMD ls\n",
        "FROM a\nRUN make all && rm -rf /build\n\n# tidy up\nCMD ls\n",
    );
    becomes(
        "SZ014",
        "FROM a\nRUN make all\nRUN chown -R app /srv\nUSER app\n",
        "FROM a\nRUN make all && chown -R app /srv\nUSER app\n",
    );
    becomes(
        "SZ014",
        "FROM a\nWORKDIR /srv\nCOPY . .\nRUN chown -R app:app /srv\n",
        "FROM a\nWORKDIR /srv\nCOPY --chown=app:app . .\n",
    );
    becomes(
        "SZ014",
        "FROM a\nWORKDIR /srv\nCOPY . .\nRUN chown -R app /srv\n",
        "FROM a\nWORKDIR /srv\nCOPY --chown=app:0 . .\nRUN chown app /srv\n",
    );
    // Another user, another right.
    assert_eq!(texts("FROM a\nRUN make all\nUSER app\nRUN rm -rf /build\n", &[]), []);
}

#[test]
fn an_archive_is_mounted() {
    becomes(
        "SZ032",
        "FROM a\nCOPY app.tar.gz /tmp/\nRUN mkdir /app && tar -xf /tmp/app.tar.gz -C /app && rm -f /tmp/app.tar.gz\n",
        "FROM a\nRUN --mount=type=bind,source=app.tar.gz,target=/tmp/app.tar.gz mkdir /app && tar -xf /tmp/app.tar.gz -C /app\n",
    );
}

#[test]
fn dependencies_are_installed_before_the_sources_come() {
    becomes(
        "CA001",
        "FROM python\nWORKDIR /app\nCOPY --chown=1 . .\nRUN pip install --no-cache-dir -r requirements.txt\nCMD x\n",
        "FROM python\nWORKDIR /app\nCOPY --chown=1 requirements.txt ./\nRUN pip install --no-cache-dir -r requirements.txt\nCOPY --chown=1 . .\nCMD x\n",
    );
    becomes(
        "SZ021",
        "FROM node\nRUN npm ci --no-audit && rm -rf /root/.npm\n",
        "FROM node\nRUN npm ci --omit=dev --no-audit && rm -rf /root/.npm\n",
    );
    assert_eq!(texts("FROM node\nRUN npm install -g serve && rm -rf /root/.npm\n", &[]), []);
    becomes(
        "SZ022",
        "FROM debian\nRUN apt-get -qq update && apt-get -y install ed\n",
        "FROM debian\nRUN apt-get -qq update && apt-get --no-install-recommends -y install ed\n",
    );
}

#[test]
fn secrets_are_mounted() {
    becomes(
        "SE002",
        "FROM a\nARG API_TOKEN=x\nRUN fetch --token \"$API_TOKEN\"\n",
        "FROM a\nRUN --mount=type=secret,id=api_token,env=API_TOKEN,required=true fetch --token \"$API_TOKEN\"\n",
    );
    // What the image's environment has, a mount cannot give.
    assert_eq!(texts("FROM a\nARG API_TOKEN\nENV T=$API_TOKEN\n", &[]), []);
}

#[test]
fn what_no_program_needs_is_ignored() {
    let found = proposed("FROM a\nCOPY . /srv\n", &[".git", ".env", "x.log", "src"], &RunConfig::default());
    let lines: Vec<_> = found.iter().map(|rewrite| (rewrite.ignore.join(","), rewrite.class)).collect();
    let expected = [(".git", Class::Provable), ("*.log", Class::Provable), (".env", Class::Smoke)];
    assert_eq!(lines, expected.map(|(line, class)| (line.to_owned(), class)));
    assert_eq!(proposed("FROM a\nCOPY src /srv\n", &[".git", "src"], &RunConfig::default()), []);
}

#[test]
fn a_compiler_stays_in_a_stage_of_its_own() {
    let config = RunConfig { entrypoint: Some(vec!["/out/app".to_owned()]), ..RunConfig::default() };
    let text = "FROM golang:1.21\nWORKDIR /src\nCOPY . .\nRUN go build -o /out/app\n# Run it.\nENTRYPOINT [\"/out/app\"]\n";
    let found = proposed(text, &[], &config);
    let first = found.iter().find(|rewrite| rewrite.rule == "SZ018").unwrap();
    assert_eq!(first.class, Class::Smoke);
    assert_eq!(
        apply(text, &first.edits),
        "FROM golang:1.21 AS build\nWORKDIR /src\nCOPY . .\nRUN go build -o /out/app\n\nFROM scratch\nWORKDIR /src\n\
         COPY --from=build /out/app /out/app\n# Run it.\nENTRYPOINT [\"/out/app\"]\n"
    );
    // A jar needs a runtime, a script of node its directory.
    for (from, command, workdir, first) in [
        (
            "maven:3-eclipse-temurin-17",
            &["java", "-jar", "app.jar"][..],
            "/app",
            "FROM eclipse-temurin:17-jre-alpine\nCOPY --from=build /app/app.jar /app/app.jar\n",
        ),
        ("node:20", &["node", "index.js"], "/app", "FROM node:20-alpine\nCOPY --from=build /app /app\n"),
    ] {
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        let config = RunConfig { cmd: Some(cmd), working_dir: workdir.to_owned(), ..RunConfig::default() };
        let text = format!("FROM {from}\nRUN make it\nCMD x\n");
        let found = proposed(&text, &[], &config);
        let rewritten = apply(&text, &found[0].edits);
        assert_eq!(rewritten, format!("FROM {from} AS build\nRUN make it\n\n{first}CMD x\n"));
    }
    // Who the image runs as, scratch does not know; the arguments of what is said again are said too.
    let config = RunConfig {
        cmd: Some(vec!["./app".to_owned()]),
        working_dir: "/out".to_owned(),
        user: "app".to_owned(),
        ..RunConfig::default()
    };
    let text = "FROM rust:1 AS b\nARG D=/out\nARG MODE=release\nRUN cargo build\nWORKDIR $D\nRUN id\nUSER app\nCMD [\"./app\"]\n";
    let found = proposed(text, &[], &config);
    let ends: Vec<String> = found
        .iter()
        .map(|rewrite| apply(text, &rewrite.edits).rsplit_once("\nFROM ").unwrap().1.to_owned())
        .collect();
    let users = "COPY --from=b /etc/passwd /etc/group /etc/\n";
    let end = "USER app\nCMD [\"./app\"]\n";
    let stage = |base: &str, copies: &str| format!("{base}\nARG D=/out\nWORKDIR $D\n{copies}{end}");
    assert_eq!(ends[0], stage("scratch", &format!("{users}COPY --from=b /out/app /out/app\n")));
    assert_eq!(ends[1], stage("scratch", &format!("{users}COPY --from=b /out /out\n")));
    assert_eq!(ends[4], stage("alpine:3.20", "COPY --from=b /out/app /out/app\n"));
    assert_eq!(ends.len(), 12);
    // A program of the base needs its base.
    let config = RunConfig { cmd: Some(vec!["/bin/sh".to_owned()]), ..RunConfig::default() };
    assert_eq!(proposed(text, &[], &config), []);
}

#[test]
fn a_runtime_is_exchanged_for_a_smaller_one_of_its_version() {
    let bases = |from: &str, run: &str, cmd: &[&str]| {
        let cmd = cmd.iter().map(|word| (*word).to_owned()).collect();
        let config = RunConfig { cmd: Some(cmd), working_dir: "/app".to_owned(), ..RunConfig::default() };
        let text = format!("FROM {from}\nRUN {run}\nCMD x\n");
        let found = proposed(&text, &[], &config).into_iter().filter(|rewrite| rewrite.rule == "SZ018");
        let base = |rewrite: &Rewrite| {
            let text = apply(&text, &rewrite.edits);
            let prune = if text.contains("npm prune") { " pruned" } else { "" };
            text.rsplit_once("\nFROM ").unwrap().1.lines().next().unwrap().to_owned() + prune
        };
        found.map(|rewrite| base(&rewrite)).collect::<Vec<_>>().join(", ")
    };
    let java = |from: &str| bases(from, "make it", &["java", "-cp", "lib/*:classes", "Main"]);
    for (from, version) in [
        ("eclipse-temurin:17.0.9_9-jdk-alpine3.19", "17"),
        ("maven:3.9-eclipse-temurin-21-alpine", "21"),
        ("gradle:8-jdk11", "11"),
        ("openjdk:8-jdk", "8"),
    ] {
        let expected = format!("eclipse-temurin:{version}-jre-alpine, eclipse-temurin:{version}-jre");
        assert_eq!(java(from), expected, "{from}");
    }
    assert_eq!(java("maven:3"), "", "no version of Java");
    let node = |from: &str, run: &str| bases(from, run, &["node", "x.js"]);
    let built =
        "node:20-alpine pruned, node:20-alpine, node:20-slim pruned, node:20-slim, node:20 pruned, node:20";
    assert_eq!(node("node:20", "npm ci && npm run build"), built);
    assert_eq!(node("node:20", "npm ci --omit=dev"), "node:20-alpine, node:20-slim");
    assert_eq!(node("node:20-alpine", "npm ci --omit=dev"), "", "nothing smaller");
    // With tools to build wheels, the same image without them is smaller.
    let python = |from: &str, run: &str| bases(from, run, &["python", "x.py"]);
    assert_eq!(python("python:3.11-slim", "apt-get install gcc"), "python:3.11-slim");
    assert_eq!(python("python:3.11", "pip install x"), "python:3.11-slim");
    assert_eq!(python("python:3.11-slim", "pip install x"), "");
}

#[test]
fn files_go_to_a_server_of_files() {
    let becomes = |command: &[&str]| {
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        let config = RunConfig { cmd: Some(cmd), working_dir: "/site".to_owned(), ..RunConfig::default() };
        let text = "FROM node:20\nWORKDIR /site\nRUN node build.js\nCMD x\n";
        let found = proposed(text, &[], &config);
        found.first().map(|rewrite| apply(text, &rewrite.edits).split_once("\n\n").unwrap().1.to_owned())
    };
    let served = |port: &str, folder: &str| {
        format!(
            "FROM busybox:stable\nWORKDIR /site\nCOPY --from=build {folder} {folder}\n\
             CMD [\"httpd\", \"-f\", \"-p\", \"{port}\", \"-h\", \"{folder}\"]\n"
        )
    };
    assert_eq!(becomes(&["npx", "serve", "dist"]), Some(served("3000", "/site/dist")));
    assert_eq!(becomes(&["npx", "-y", "http-server", "/www", "-p", "80"]), Some(served("80", "/www")));
    assert_eq!(becomes(&["npx", "serve", "-s", "dist"]), None, "every path is the page: busybox cannot");
    assert_eq!(becomes(&["npx", "serve"]), None, "no folder");
    assert_eq!(becomes(&["npx", "cowsay", "dist"]), None);
}

#[test]
fn only_named_waste_and_noise_explain_a_difference() {
    let before = tree(vec![vec![file("a", "1"), file("log", "1"), file("cache/x", "1")]]);
    let after = tree(vec![vec![file("a", "1"), file("log", "2")]]);
    let noise = |paths: &[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    let waste = [Waste::Below("cache")];
    let (there, back) = (differences(&before, &after), differences(&after, &before));
    assert_eq!(unexplained(&there, &after, &noise(&["log"]), &waste), [] as [&Difference; 0]);
    assert_eq!(unexplained(&there, &after, &noise(&[]), &waste).len(), 1);
    assert_eq!(unexplained(&there, &after, &noise(&["log"]), &[]).len(), 2);
    // What is new is never waste.
    assert_eq!(unexplained(&back, &before, &noise(&["log"]), &waste).len(), 2);
}
