//! The image's config: what the instructions set, what the base gives, and the history.

use jettison_testkit::Context;

use crate::{Bench, context_of, failure_of, image_of};

#[test]
fn instructions_set_the_config() {
    let dockerfile = r#"FROM busybox
ENV A=1 B="two words"
LABEL k=v "other"='w'
EXPOSE 80 53/udp
VOLUME /data /more
USER node:staff
WORKDIR /w
STOPSIGNAL SIGINT
SHELL ["/bin/ash", "-c"]
HEALTHCHECK --interval=5s --retries=3 CMD true
ENTRYPOINT ["/bin/echo"]
CMD ["hello", "$A"]
ONBUILD RUN true
"#;
    let image = image_of(dockerfile, &[]);
    let config = &image.config.config;
    assert_eq!(config.env.last().unwrap(), "B=two words");
    assert_eq!(config.labels.get("other").map(String::as_str), Some("w"));
    assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
    assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/data", "/more"]);
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("node:staff", "/w"));
    assert_eq!(config.stop_signal, "SIGINT");
    assert_eq!(config.shell.as_deref().unwrap(), ["/bin/ash", "-c"]);
    let health = config.healthcheck.as_ref().unwrap();
    assert_eq!(
        (health.test.join(" "), health.interval, health.retries),
        ("CMD-SHELL true".into(), 5_000_000_000, 3)
    );
    assert_eq!(config.entrypoint.as_deref().unwrap(), ["/bin/echo"]);
    assert_eq!(config.cmd.as_deref().unwrap(), ["hello", "$A"]);
    assert_eq!(config.on_build, ["RUN true"]);
}

#[test]
fn the_shell_form_is_wrapped_by_the_shell() {
    let image = image_of("FROM busybox\nENTRYPOINT exec top\nCMD a b\n", &[]);
    assert_eq!(image.config.config.entrypoint.as_deref().unwrap(), ["/bin/sh", "-c", "exec top"]);
    assert_eq!(image.config.config.cmd.as_deref().unwrap(), ["/bin/sh", "-c", "a b"]);
    assert!(image.config.config.args_escaped);
}

#[test]
fn an_entrypoint_resets_the_bases_command() {
    assert_eq!(image_of("FROM busybox\nENTRYPOINT [\"/bin/ls\"]\n", &[]).config.config.cmd, None);
    let kept = image_of("FROM busybox\nCMD [\"/\"]\nENTRYPOINT [\"/bin/ls\"]\n", &[]);
    assert_eq!(kept.config.config.cmd.as_deref().unwrap(), ["/"]);
}

#[test]
fn arguments_have_scopes() {
    let dockerfile = "ARG BASE=busybox\nARG SHARED=global\nFROM $BASE\nARG SHARED\nARG OWN=default\nRUN echo $SHARED $OWN $BASE . > /f\n";
    for (flags, expected) in [
        (&[][..], "global default .\n"),
        (&["--build-arg", "OWN=x", "--build-arg", "SHARED=y"], "y x .\n"),
        (&["--build-arg", "BASE=alpine"], "global default .\n"),
    ] {
        let image = Bench::new().image(&Context::of(dockerfile), flags);
        assert_eq!(image.tree().text("/f"), expected);
        assert!(
            !image.config.config.env.iter().any(|pair| pair.contains("OWN")),
            "arguments are not in the image"
        );
    }
}

#[test]
fn platform_arguments_are_there_when_declared() {
    let image = image_of(
        "FROM busybox\nARG TARGETARCH\nARG TARGETPLATFORM\nRUN echo $TARGETPLATFORM $TARGETARCH > /f\n",
        &[],
    );
    let (os, arch) = (&image.config.os, &image.config.architecture);
    assert_eq!(image.tree().text("/f"), format!("{os}/{arch} {arch}\n"));
}

#[test]
fn labels_of_the_command_line_are_added() {
    let context = context_of("FROM scratch\nLABEL a=file b=file\nCOPY f /\n", &[("f", "")]);
    let image = Bench::new().image(&context, &["--label", "a=flag", "--label", "c=flag"]);
    let labels: Vec<_> = image.config.config.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["a=flag", "b=file", "c=flag"]);
}

#[test]
fn history_is_dockers() {
    let dockerfile = "FROM busybox\nARG V=1\nENV A=b\nCOPY --chown=1:2 f /f\nRUN echo $V\nWORKDIR /w\nCMD [\"x\", \"y\"]\n";
    let image = image_of(dockerfile, &[("f", "")]);
    let lines: Vec<(String, bool)> = image
        .config
        .history
        .iter()
        .map(|entry| (entry.created_by.clone().unwrap_or_default(), entry.empty_layer))
        .collect();
    let expected = [
        ("testkit", false),
        ("ARG V=1", true),
        ("ENV A=b", true),
        ("COPY --chown=1:2 f /f # buildkit", false),
        ("RUN |1 V=1 /bin/sh -c echo $V # buildkit", false),
        ("WORKDIR /w", false),
        ("CMD [\"x\" \"y\"]", true),
    ];
    assert_eq!(lines, expected.map(|(text, empty)| (text.to_owned(), empty)));
    assert_eq!(image.config.created.as_deref(), Some("1980-01-02T00:00:00Z"));
}

#[test]
fn scratch_has_a_path_and_a_root() {
    let image = image_of("FROM scratch\nCOPY f /\n", &[("f", "")]);
    assert_eq!(
        image.config.config.env,
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    );
    assert_eq!(image.config.config.working_dir, "/");
}

#[test]
fn directives_comments_and_continuations() {
    let dockerfile =
        "# escape=`\n# a comment\nFROM busybox\nRUN echo a `\n  # inside\n  b > /f\n\nENV X=`\n1\n";
    let image = image_of(dockerfile, &[]);
    assert_eq!(image.tree().text("/f"), "a b\n");
    assert!(image.config.config.env.contains(&"X=1".to_owned()));
}

#[test]
fn windows_line_ends_are_line_ends() {
    let image = image_of("FROM busybox\r\nENV A=1\r\nRUN echo $A > /f\r\n", &[]);
    assert_eq!(image.tree().text("/f"), "1\n");
}

/// Of ENV and ARG the later one is what commands see; only ENV is in the image, so that it is what a stage built on it sees.
#[test]
fn the_last_of_env_and_arg_counts_until_the_stage_ends() {
    let dockerfile =
        "FROM busybox AS base\nENV V=env\nARG V=arg\nRUN echo $V > /base\nFROM base\nRUN echo $V > /child\n";
    let image = image_of(dockerfile, &[]);
    assert_eq!(image.tree().text("/base"), "arg\n");
    assert_eq!(image.tree().text("/child"), "env\n");
    assert!(image.config.config.env.contains(&"V=env".to_owned()));
}

#[test]
fn an_argument_without_a_value_is_not_set() {
    let dockerfile = "FROM busybox\nARG EMPTY=\nARG UNSET\nRUN echo \"${EMPTY-unset}.${UNSET-unset}\" > /f\n";
    assert_eq!(image_of(dockerfile, &[]).tree().text("/f"), ".unset\n");
}

/// The table of the language's description: who is expanded, and who is left to the shell.
#[test]
fn variables_are_expanded_where_docker_expands_them() {
    let dockerfile = r#"ARG IMAGE=busybox
FROM ${IMAGE} AS base
ENV name=KEY dir=/there ports="80 81/udp" id=7 text="a b" file=f
ENV $name=$text
LABEL $name="${text% b}"
EXPOSE $ports
USER $id
VOLUME $dir/v
WORKDIR $dir
STOPSIGNAL $id
COPY --chown=$id:8 --chmod=6$id$id $file ${dir}/copied
COPY ["${file}", "$dir/listed"]
CMD ["$name"]
ENTRYPOINT $name
HEALTHCHECK CMD $name
"#;
    let image = image_of(dockerfile, &[("f", "")]);
    let config = &image.config.config;
    assert!(config.env.contains(&"KEY=a b".to_owned()), "{:?}", config.env);
    assert_eq!(config.labels.get("KEY").map(String::as_str), Some("a"));
    assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp", "81/udp"]);
    assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/there/v"]);
    assert_eq!(
        (config.user.as_str(), config.working_dir.as_str(), config.stop_signal.as_str()),
        ("7", "/there", "7")
    );
    let tree = image.tree();
    let copied = tree.get("/there/copied");
    assert_eq!((copied.uid, copied.gid, copied.mode), (7, 8, 0o677));
    assert!(tree.has("/there/listed"));
    assert_eq!(config.cmd.as_deref().unwrap(), ["$name"]);
    assert_eq!(config.entrypoint.as_deref().unwrap(), ["/bin/sh", "-c", "$name"]);
    assert_eq!(config.healthcheck.as_ref().unwrap().test, ["CMD-SHELL", "$name"]);
}

#[test]
fn a_stage_of_another_case_is_an_image() {
    failure_of("FROM busybox AS Base\nFROM Base\nRUN true\n", &[]).says("Dockerfile:2");
    let copied = image_of("FROM busybox AS Base\nFROM scratch\nCOPY --from=BASE /etc/group /g\n", &[]);
    assert!(copied.tree().has("/g"));
}

/// docker gives each of them a layer, and tools count on it.
#[test]
fn steps_that_change_nothing_have_a_layer() {
    let layers = |lines: &str| image_of(&format!("FROM busybox\n{lines}"), &[("f", "")]).layer_count();
    let base = layers("");
    for lines in ["RUN true\n", "COPY none* /\n", "WORKDIR /etc\n"] {
        assert_eq!(layers(lines), base + 1, "{lines}");
    }
    assert_eq!(layers("WORKDIR /\n"), base);
    assert_eq!(layers("ENV a=b\nEXPOSE 1\nUSER 1\nCMD x\n"), base);
}

#[test]
fn every_layer_has_its_line_of_history() {
    let files = context_of("", &[("f", "1")]);
    let context = context_of("FROM files\nENV A=b\nCOPY f /f\n", &[("f", "2")]);
    let named = format!("--build-context=files={}", files.argument());
    let config = Bench::new().image(&context, &[&named]).config;
    let made: Vec<_> = config.history.iter().filter(|entry| !entry.empty_layer).collect();
    assert_eq!(made.len(), config.rootfs.diff_ids.len());
    assert_eq!(made[0].comment.as_deref(), Some("buildkit.exporter.image.v0"));
}
