//! Whole Dockerfiles, from text to graph.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jettison_dockerfile::{Severity, parse};
use jettison_image::{Config, Digest, Platform};

use crate::{
    Base, ContextKind, Error, Graph, ImageSource, NetworkMode, Operation, Request, context_key, plan,
};

pub(crate) fn request() -> Request {
    Request {
        target: None,
        build_args: BTreeMap::new(),
        labels: Vec::new(),
        platform: None,
        build_platform: Platform::new("linux", "amd64", None),
        contexts: BTreeMap::new(),
        network: NetworkMode::Default,
        extra_hosts: Vec::new(),
        run: crate::RunOptions::default(),
    }
}

/// Plans with base images that have one layer and the triggers of `onbuild`; returns the images that were asked for.
fn plan_with(text: &str, request: &Request, onbuild: &[&str]) -> (Result<Graph, Error>, Vec<String>) {
    let parsed = parse(text.as_bytes());
    let errors: Vec<_> = parsed.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let asked = RefCell::new(Vec::new());
    let graph = plan(&parsed, request, &mut |source, platform| {
        asked.borrow_mut().push(source.to_string());
        let mut config = Config::scratch(platform);
        config.config.env.push("BASE=1".to_owned());
        config.config.cmd = Some(vec!["base".to_owned()]);
        config.config.on_build = onbuild.iter().map(ToString::to_string).collect();
        config.rootfs.diff_ids = vec![Digest::of(source.to_string().as_bytes())];
        Ok(Base { id: Digest::of(b"id"), config })
    });
    (graph, asked.into_inner())
}

fn planned(text: &str) -> Graph {
    plan_with(text, &request(), &[]).0.unwrap()
}

fn refused(text: &str) -> String {
    plan_with(text, &request(), &[]).0.unwrap_err().to_string()
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.label.name.as_str()).collect()
}

fn history(graph: &Graph) -> Vec<String> {
    let entries = &graph.stages[graph.target].config.history;
    entries.iter().filter_map(|entry| entry.created_by.clone()).collect()
}

fn last_run(graph: &Graph) -> &crate::Run {
    let run = graph.nodes.iter().rev().find_map(|node| match &node.operation {
        Operation::Run(run) => Some(run),
        _ => None,
    });
    run.expect("there is a RUN")
}

#[test]
fn a_multi_stage_file_becomes_a_graph() {
    let graph = planned(
        "FROM golang AS build\nWORKDIR /src\nCOPY . .\nRUN go build\nFROM scratch\nCOPY --from=build /src/app /app\n",
    );
    assert_eq!(
        graph.to_string(),
        "0 <- {} [build 1/4] FROM docker.io/library/golang:latest\n\
         1 <- {0} [build 2/4] WORKDIR /src\n\
         2 <- {1} [build 3/4] COPY . .\n\
         3 <- {2} [build 4/4] RUN go build\n\
         4 <- {3} [stage-1 2/2] COPY --from=build /src/app /app\n"
    );
}

#[test]
fn only_needed_stages_are_asked_for() {
    let text = "FROM a AS base\nFROM base AS dev\nRUN dev\nFROM nowhere AS test\nRUN test\nFROM base AS prod\nRUN prod\n";
    let target = Request { target: Some("DEV".to_owned()), ..request() };
    let (graph, asked) = plan_with(text, &target, &[]);
    assert_eq!(names(&graph.unwrap()), ["[base 1/1] FROM docker.io/library/a:latest", "[dev 2/2] RUN dev"]);
    assert_eq!(asked, ["docker.io/library/a:latest"]);
}

#[test]
fn sources_by_number_name_and_image() {
    let graph = planned(
        "FROM a\nRUN x\nFROM b AS two\nRUN y\nFROM scratch\nCOPY --from=0 / /\nCOPY --from=TWO / /\nCOPY --from=c / /\n",
    );
    let inputs: Vec<_> = graph.nodes.iter().map(crate::Node::inputs).collect();
    assert_eq!(inputs, [vec![], vec![0], vec![], vec![2], vec![1], vec![4, 3], vec![], vec![5, 6]]);
}

#[test]
fn what_cannot_be_is_an_error_with_its_place() {
    for (text, message) in [
        (
            "FROM a AS x\nCOPY --from=y /a /b\nFROM b AS y\n",
            "cannot copy from stage \"y\", it needs to be defined before current stage \"x\"",
        ),
        ("FROM a AS x\nCOPY --from=x /a /b\n", "circular dependency detected on stage: x"),
        ("FROM a\nCOPY --from=7 /a /b\n", "there is no stage 7: stages count from 0"),
        ("ARG V\nFROM $V\n", "base name ($V) should not be blank"),
        ("FROM a\nEXPOSE 99999\n", "invalid containerPort: 99999"),
        ("FROM a\nSTOPSIGNAL NOPE\n", "invalid signal: NOPE"),
        ("FROM --platform=toaster a\n", "failed to parse platform toaster"),
        ("FROM a\nCOPY http://x/y /\n", "source can't be a URL for COPY: http://x/y"),
    ] {
        // A target other than the last stage never matters here: the first stage of each file is what fails.
        let target = if text.contains("AS x\n") { Some("x".to_owned()) } else { None };
        let error = plan_with(text, &Request { target, ..request() }, &[]).0.unwrap_err();
        assert!(error.to_string().starts_with(message), "{text}: {error}");
        assert!(error.span().end > error.span().start, "{text}: no place");
    }
}

#[test]
fn an_unknown_target_gets_a_hint() {
    let target = Request { target: Some("prd".to_owned()), ..request() };
    let Err(Error::Invalid(diagnostic)) = plan_with("FROM a AS prod\n", &target, &[]).0 else {
        panic!("it is refused")
    };
    assert_eq!(diagnostic.message, "target stage \"prd\" could not be found");
    assert_eq!(diagnostic.help.as_deref(), Some("did you mean \"prod\"?"));
}

#[test]
fn args_have_two_scopes() {
    let text = "ARG TAG=1\nARG BOTH=${TAG}x\nFROM a:$BOTH\nARG TAG\nARG OWN=o\nARG NONE\nENV SEEN=$TAG-$BOTH-$OWN\nRUN x\n";
    let graph = planned(text);
    assert!(
        matches!(&graph.nodes[0].operation, Operation::Image { source: ImageSource::Reference(r), .. } if r.tag() == Some("1x"))
    );
    let env = &last_run(&graph).env;
    assert!(env.contains(&"SEEN=1--o".to_owned()), "{env:?}");
    assert!(!env.iter().any(|pair| pair.starts_with("NONE")), "{env:?}");
    assert_eq!(history(&graph).last().unwrap(), "RUN |3 TAG=1 OWN=o NONE= /bin/sh -c x # buildkit");
    let config = &graph.stages[0].config.config;
    assert_eq!(config.env("OWN"), None);
}

#[test]
fn build_args_beat_defaults_and_proxies_stay_apart() {
    let mut given = request();
    given.build_args.insert("OWN".into(), "given".into());
    given.build_args.insert("http_proxy".into(), "p".into());
    let graph = plan_with("FROM a\nARG OWN=o\nRUN x\n", &given, &[]).0.unwrap();
    let run = last_run(&graph);
    assert!(run.env.contains(&"OWN=given".to_owned()));
    assert_eq!(run.proxy_env, ["HTTP_PROXY=p", "http_proxy=p"]);
}

#[test]
fn the_variables_of_an_instruction_are_those_before_it() {
    let graph = planned("FROM a\nENV x=1\nENV x=2 y=$x\nRUN z\n");
    let env = &last_run(&graph).env;
    assert!(env.contains(&"x=2".to_owned()) && env.contains(&"y=1".to_owned()), "{env:?}");
}

#[test]
fn an_entrypoint_resets_the_bases_command() {
    let cmd = |text: &str| planned(text).stages[0].config.config.cmd.clone();
    assert_eq!(cmd("FROM a\nENTRYPOINT [\"e\"]\n"), None);
    assert_eq!(cmd("FROM a\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n"), Some(vec!["c".to_owned()]));
    assert_eq!(cmd("FROM a\n"), Some(vec!["base".to_owned()]));
}

#[test]
fn triggers_run_first_and_once() {
    let text = "FROM a AS x\nRUN own\nFROM x\nRUN last\n";
    let graph = plan_with(text, &request(), &["RUN trigger"]).0.unwrap();
    let texts: Vec<_> =
        names(&graph).iter().map(|name| name.split("] ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(texts, ["FROM docker.io/library/a:latest", "RUN trigger", "RUN own", "RUN last"]);
    assert!(graph.stages[graph.target].config.config.on_build.is_empty());
}

#[test]
fn a_trigger_may_need_another_stage() {
    let text = "FROM scratch AS files\nCOPY f /f\nFROM a\n";
    let graph = plan_with(text, &request(), &["COPY --from=files /f /g"]).0.unwrap();
    assert!(names(&graph).iter().any(|name| name.contains("COPY f /f")), "{graph}");
}

#[test]
fn history_is_dockers() {
    let text = "FROM scratch\nENV A=b\nLABEL k=v\nEXPOSE 80 53/udp\nVOLUME /v /w\nUSER app\nWORKDIR /x\nWORKDIR y\nCOPY --chown=a --chmod=755 f g/\nCMD echo hi\nENTRYPOINT [\"e\"]\nSHELL [\"/bin/sh\",\"-c\"]\nHEALTHCHECK --interval=5s CMD x\nSTOPSIGNAL 9\nMAINTAINER me\n";
    assert_eq!(
        history(&planned(text)),
        [
            "ENV A=b",
            "LABEL k=v",
            "EXPOSE [53/udp 80/tcp]",
            "VOLUME [/v /w]",
            "USER app",
            "WORKDIR /x",
            "WORKDIR /x/y",
            "COPY --chown=a --chmod=755 f g/ # buildkit",
            "CMD [\"/bin/sh\" \"-c\" \"echo hi\"]",
            "ENTRYPOINT [\"e\"]",
            "SHELL [/bin/sh -c]",
            "HEALTHCHECK {Test:[CMD-SHELL x] Interval:5s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
            "STOPSIGNAL 9",
            "MAINTAINER me",
        ]
    );
}

#[test]
fn named_contexts_replace_stages_and_images() {
    let mut with = request();
    with.contexts.insert(context_key("golang:1"), ContextKind::Image);
    with.contexts.insert(context_key("files"), ContextKind::Directory);
    let (graph, asked) = plan_with("FROM golang:1\nCOPY --from=files a /a\n", &with, &[]);
    assert_eq!(asked, ["context golang:1"]);
    let graph = graph.unwrap();
    let Operation::Copy(copy) = &graph.nodes[1].operation else { panic!("a COPY") };
    assert_eq!(copy.sources[0].from, crate::Origin::NamedContext("files".to_owned()));
}

#[test]
fn mounts_are_read_and_resolved() {
    let graph = planned(
        "FROM a AS b\nRUN x\nFROM c\nWORKDIR /w\nRUN --mount=from=b,target=in --mount=type=cache,target=/c,id=i,sharing=locked --mount=type=tmpfs,target=/t,size=1k y\n",
    );
    let mounts = &last_run(&graph).mounts;
    assert_eq!(
        mounts.iter().map(|m| (m.target.as_str(), m.read_only)).collect::<Vec<_>>(),
        [("/w/in", true), ("/c", false), ("/t", false)]
    );
    assert!(refused("FROM a\nRUN --mount=type=cache x\n").contains("invalid mount target \"/\""));
    let graph = planned(
        "FROM a\nWORKDIR /w\nRUN --mount=type=cache --mount=type=secret,target=/x/id,env=E --mount=type=ssh x\n",
    );
    let run = last_run(&graph);
    let targets: Vec<&str> = run.mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/w", "/x/id", "/run/buildkit/ssh_agent.0"]);
    assert_eq!((run.secret_env[0].name.as_str(), run.secret_env[0].id.as_str()), ("E", "id"));
    assert!(run.env.contains(&"SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0".to_owned()));
    assert!(refused("FROM a\nRUN --mount=type=bind,targt=/x y\n").contains("unexpected key 'targt'"));
}

#[test]
fn a_here_document_is_a_script() {
    let graph = planned("FROM a\nRUN <<EOF\necho 1\nEOF\nRUN <<EOF\n#!/usr/bin/python\nprint()\nEOF\n");
    let runs: Vec<_> = graph
        .nodes
        .iter()
        .filter_map(|node| match &node.operation {
            Operation::Run(run) => Some(run),
            _ => None,
        })
        .collect();
    assert_eq!(runs[0].args, ["/bin/sh", "-c", "echo 1\n"]);
    assert_eq!(runs[1].args, ["/dev/pipes/EOF"]);
    assert_eq!(runs[1].script.as_ref().unwrap().content, "#!/usr/bin/python\nprint()\n");
}
