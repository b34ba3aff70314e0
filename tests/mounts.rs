//! `RUN --mount` and the flags of RUN: caches, secrets, agents, limits.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use jettison_testkit::{Context, Output, Who};

use crate::{Bench, context_of};

/// All users for whom mounts must work.
const USERS: [Who; 3] = [Who::Me, Who::Subordinate, Who::OneId];

/// Builds in one store, one Dockerfile after the other, each from `FROM busybox`.
struct Series(Bench);

impl Series {
    fn new() -> Series {
        Series(Bench::new())
    }

    #[track_caller]
    fn build(&self, instructions: &str, flags: &[&str]) -> Output {
        self.0.build(&Context::of(&format!("FROM busybox\n{instructions}\n")), flags)
    }

    #[track_caller]
    fn text(&self, instructions: &str, flags: &[&str]) -> String {
        let context = Context::of(&format!("FROM busybox\n{instructions}\n"));
        self.0.image(&context, flags).tree().text("/out")
    }

    #[track_caller]
    fn fails(&self, instructions: &str, flags: &[&str]) -> Output {
        self.0.fails(&Context::of(&format!("FROM busybox\n{instructions}\n")), flags)
    }
}

#[test]
fn a_cache_outlives_the_build_and_is_in_no_layer() {
    for who in USERS {
        let bench = Bench::of(who);
        let write = Context::of("FROM busybox\nRUN --mount=type=cache,target=/c echo kept > /c/f\n");
        let image = bench.image(&write, &[]);
        assert!(!image.tree().has("/c"), "{who:?}");
        assert!(
            image.layer(image.layer_count() - 1).iter().all(|(path, _)| !path.starts_with('c')),
            "{who:?}"
        );
        let read = Context::of("FROM busybox\nRUN --mount=type=cache,target=/c cat /c/f > /out\n");
        assert_eq!(bench.image(&read, &[]).tree().text("/out"), "kept\n", "{who:?}");
    }
}

#[test]
fn a_cache_is_known_by_its_id_or_cleaned_target() {
    let series = Series::new();
    series.build("RUN --mount=type=cache,target=/a/b/ echo 1 > /a/b/f", &[]);
    series.build("RUN --mount=type=cache,id=/a/b,target=/elsewhere test -f /elsewhere/f", &[]);
    series.build("RUN --mount=type=cache,id=other,target=/a/b test ! -f /a/b/f", &[]);
    // A relative target stands for itself, wherever it is mounted.
    series.build("WORKDIR /x\nRUN --mount=type=cache,target=rel echo 1 > /x/rel/f", &[]);
    series.build("WORKDIR /y\nRUN --mount=type=cache,target=rel test -f /y/rel/f", &[]);
    let other = ["--build-arg", "BUILDKIT_CACHE_MOUNT_NS=ns"];
    series.build("RUN --mount=type=cache,target=/a/b test ! -f /a/b/f", &other);
}

#[test]
fn a_cache_has_the_access_asked_for_and_is_another_with_another() {
    let series = Series::new();
    let stat = "stat -c '%a %u %g' /c > /out";
    assert_eq!(
        series.text(&format!("RUN --mount=type=cache,target=/c touch /c/f && {stat}"), &[]),
        "755 0 0\n"
    );
    let owned = "type=cache,target=/c,mode=1770,uid=7,gid=8";
    assert_eq!(series.text(&format!("RUN --mount={owned} test ! -f /c/f && {stat}"), &[]), "1770 7 8\n");
    series.build("USER 7\nRUN --mount=type=cache,target=/c,uid=7,mode=0700 touch /c/mine", &[]);
    series.build("RUN --mount=type=cache,target=/c,ro test -f /c/f && ! touch /c/g", &[]);
}

#[test]
fn a_cache_starts_with_the_files_of_from() {
    let bench = Bench::new();
    let dockerfile = "\
FROM busybox AS seed
RUN mkdir -p /s/d && echo 1 > /s/d/f && ln /s/d/f /s/d/g && chown 7:8 /s/d/f && chmod 750 /s/d && ln -s s/d /link
FROM busybox
RUN --mount=type=cache,target=/c,from=seed,source=/s/d cat /c/f /c/g > /out && stat -c '%a' /c >> /out && stat -c %u:%g /c/f >> /out && echo 2 > /c/more
RUN --mount=type=cache,target=/c,from=seed,source=/s/d cat /c/more >> /out
RUN --mount=type=cache,target=/c,from=seed,source=/link test ! -f /c/more && cat /c/f >> /out
RUN --mount=type=cache,target=/c test -z \"$(ls /c)\"
";
    let image = bench.image(&Context::of(dockerfile), &[]);
    assert_eq!(image.tree().text("/out"), "1\n1\n750\n7:8\n2\n1\n");
    let context = context_of(
        "FROM busybox\nCOPY a /a\nRUN --mount=type=cache,target=/c,from=files cat /c/f > /out\n",
        &[("a", ""), ("more/f", "context\n")],
    );
    let named = format!("files={}/more", context.argument());
    assert_eq!(bench.image(&context, &["--build-context", &named]).tree().text("/out"), "context\n");
    bench
        .fails(
            &Context::of("FROM busybox\nRUN --mount=type=cache,target=/c,from=busybox,source=/no true\n"),
            &[],
        )
        .says("\"/no\": not found")
        .says("Dockerfile:2");
}

#[test]
fn a_path_of_a_cache_does_not_lead_out_of_it() {
    let series = Series::new();
    series.build(
        "RUN --mount=type=cache,id=x,target=/c mkdir /c/sub && echo 1 > /c/sub/f && ln -s /etc /c/out",
        &[],
    );
    series.build("RUN --mount=type=cache,id=x,source=sub,target=/v test -f /v/f", &[]);
    series
        .fails("RUN --mount=type=cache,id=x,source=out,target=/v cat /v/hostname", &[])
        .says("\"/out\": not found");
    series.fails("RUN --mount=source=no,target=/v true", &[]).says("\"/no\": not found").says("Dockerfile:2");
}

#[test]
fn caches_can_be_nested_and_mounted_twice() {
    let series = Series::new();
    series.build(
        "RUN --mount=type=cache,target=/c --mount=type=cache,target=/c/in echo 1 > /c/f && echo 2 > /c/in/g",
        &[],
    );
    let both =
        "--mount=type=cache,target=/c,sharing=locked --mount=type=cache,id=/c,target=/d,sharing=locked";
    series.build(&format!("RUN {both} test -f /c/f && test -f /d/f && test ! -f /d/in/g"), &[]);
    series.build("RUN --mount=type=cache,id=/c/in,target=/e test -f /e/g", &[]);
}

/// Starts a build whose output is to be watched.
fn start(bench: &Bench, context: &Context) -> Child {
    let flags = bench.flags(&["--progress", "plain", context.argument()]);
    let mut command = bench.jettison.command(&["build"]);
    command.args(flags).stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Waits until a process has written `text` to standard error; gives what it wrote.
fn await_text(child: &mut Child, text: &str) -> String {
    let mut seen = Vec::new();
    let pipe = child.stderr.as_mut().unwrap();
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert_eq!(pipe.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Runs a command that holds a cache until the second build has ended or waited, and tells what the second one saw.
fn two_processes(sharing: &str) -> (String, Duration, Duration) {
    let bench = Bench::new();
    let run = |script: &str| {
        Context::of(&format!("FROM busybox\nRUN --mount=type=cache,target=/c,sharing={sharing} {script}\n"))
    };
    let first = run("echo first > /c/f; echo hold''ing; sleep 3; echo end >> /c/f");
    let second = run("echo saw: $(cat /c/f 2>/dev/null || echo nothing)");
    let mut holder = start(&bench, &first);
    await_text(&mut holder, "holding");
    let started = Instant::now();
    let text = end(start(&bench, &second));
    let second_took = started.elapsed();
    end(holder);
    (text, second_took, started.elapsed())
}

#[test]
fn two_processes_share_a_shared_cache() {
    let (text, took, both) = two_processes("shared");
    assert!(text.contains("saw: first\n"), "{text}");
    assert!(took < both, "the second does not wait");
}

#[test]
fn a_second_process_gets_another_private_cache() {
    let (text, took, both) = two_processes("private");
    assert!(text.contains("saw: nothing\n"), "{text}");
    assert!(took < both, "the second does not wait");
}

#[test]
fn a_second_process_waits_for_a_locked_cache() {
    let (text, ..) = two_processes("locked");
    assert!(text.contains("saw: first end\n"), "{text}");
    assert!(text.contains("waiting for the cache mount \"/c\""), "{text}");
}

#[test]
fn steps_of_one_build_take_turns_with_a_locked_cache() {
    let stage = |name: &str, targets: [&str; 2]| {
        let mounts = targets.map(|id| format!("--mount=type=cache,id={id},target=/{id},sharing=locked"));
        let script = "for n in 1 2 3 4 5; do a=$(cat /a/n 2>/dev/null || echo 0); sleep 0.05; echo $((a+1)) > /a/n; done";
        format!("FROM busybox AS {name}\nRUN {} {script} && cp /a/n /{name}\n", mounts.join(" "))
    };
    let dockerfile = stage("one", ["a", "b"])
        + &stage("two", ["b", "a"])
        + &stage("three", ["a", "b"])
        + "FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\nCOPY --from=three /three /\nRUN --mount=type=cache,id=a,target=/a cp /a/n /out\n";
    let image = Bench::new().image(&Context::of(&dockerfile), &[]);
    assert_eq!(image.tree().text("/out"), "15\n");
}

#[test]
fn caches_are_in_du_and_pruned_unless_used() {
    let bench = Bench::new();
    let fill = "FROM busybox\nRUN --mount=type=cache,id=my-cache,target=/c head -c 3000000 /dev/urandom > /c/f; echo hold''ing; sleep 2; test -f /c/f\n";
    let context = Context::of(fill);
    let mut child = start(&bench, &context);
    await_text(&mut child, "holding");
    let pruned = bench.jettison.ok(&["builder", "prune", "-af"]).stdout;
    assert!(!pruned.contains("cache mounts"), "it is used: {pruned}");
    assert!(bench.jettison.ok(&["du", "-v"]).stdout.contains("true"), "it is used");
    end(child);
    let du = bench.jettison.ok(&["du", "-v"]).stdout;
    assert!(du.lines().any(|line| line.starts_with("my-cache") && line.contains("3MB")), "{du}");
    let pruned = bench.jettison.ok(&["builder", "prune", "-f"]).stdout;
    assert!(pruned.contains("Deleted cache mounts: 1"), "{pruned}");
    let du = bench.jettison.ok(&["du", "-v"]).stdout;
    assert!(!du.lines().any(|line| line.starts_with("my-cache")), "{du}");
}

#[test]
fn a_killed_build_leaves_its_cache_free() {
    let bench = Bench::new();
    let hold = "FROM busybox\nRUN --mount=type=cache,target=/c,sharing=locked echo 1 > /c/f; echo hold''ing; sleep 60\n";
    let context = Context::of(hold);
    let mut child = start(&bench, &context);
    await_text(&mut child, "holding");
    child.kill().unwrap();
    child.wait().unwrap();
    let take = Context::of("FROM busybox\nRUN --mount=type=cache,target=/c,sharing=locked cat /c/f > /out\n");
    assert_eq!(bench.image(&take, &[]).tree().text("/out"), "1\n");
}

#[test]
fn a_secret_is_a_file_a_variable_or_both() {
    for who in USERS {
        let mut bench = Bench::of(who);
        bench.jettison.set("TOKEN", "from-env");
        let file = bench.jettison.write("work/secret.txt", "from-file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let source = format!("id=f,src={}", file.display());
        let flags = [
            "--secret",
            &source,
            "--secret",
            "id=e,env=TOKEN",
            "--secret",
            "id=TOKEN",
            "--secret",
            "type=env,id=t,src=TOKEN",
        ];
        let dockerfile = "\
FROM busybox
ENV OVER=image
RUN --mount=type=secret,id=f cat /run/secrets/f | rev > /out && stat -c '%a %u %g' /run/secrets/f >> /out
RUN --mount=type=secret,id=e,target=/deep/down/file,mode=0440 rev /deep/down/file >> /out && stat -c %a /deep/down/file >> /out
RUN --mount=type=secret,id=e,env=OVER echo $OVER | rev >> /out && test ! -e /run/secrets/e
RUN --mount=type=secret,id=e,env=BOTH,target=/s test \"$BOTH\" = \"$(cat /s)\"
RUN --mount=type=secret,source=TOKEN --mount=type=secret,target=/x/t cat /run/secrets/TOKEN /x/t | rev >> /out
RUN test ! -e /run/secrets && test ! -e /deep && test ! -e /x && test \"$OVER\" = image
";
        let image = bench.image(&Context::of(dockerfile), &flags);
        assert_eq!(
            image.tree().text("/out"),
            "elif-morf400 0 0\nvne-morf440\nvne-morf\nvne-morfvne-morf",
            "{who:?}"
        );
    }
}

#[test]
fn a_secret_belongs_to_whom_it_shall() {
    let mut bench = Bench::new();
    bench.jettison.set("S", "value");
    let dockerfile = "FROM busybox\nUSER 7:8\nRUN --mount=type=secret,id=S,uid=7,gid=8,mode=0600 cat /run/secrets/S > /dev/null && stat -c '%a %u %g' /run/secrets/S > /tmp/out\n";
    let image = bench.image(&Context::of(dockerfile), &["--secret", "id=S,env=S"]);
    assert_eq!(image.tree().text("/tmp/out"), "600 7 8\n");
}

#[test]
fn secrets_are_nowhere_in_the_store() {
    const SECRET: &str = "correct-horse-battery-staple";
    for who in USERS {
        let mut bench = Bench::of(who);
        bench.jettison.set("TOKEN", SECRET);
        let dockerfile = "FROM busybox\nRUN --mount=type=secret,id=T,env=T --mount=type=secret,id=T,target=/t test -s /t && sleep 0.3 && wc -c /t\n";
        let flags = ["--progress", "rawjson", "--secret", "id=T,env=TOKEN"];
        let context = Context::of(dockerfile);
        let looking = thread::scope(|scope| {
            let build = scope.spawn(|| bench.build(&context, &flags));
            let mut looks = 0;
            while !build.is_finished() {
                assert!(!found(&bench.jettison.store(), SECRET), "while the build runs: {who:?}");
                looks += 1;
            }
            let output = build.join().unwrap();
            assert!(!output.stderr.contains(SECRET) && !output.stdout.contains(SECRET), "{output}");
            looks
        });
        assert!(looking > 0);
        assert!(!found(&bench.jettison.store(), SECRET), "{who:?}");
        let changed = format!("id=T,src={}", bench.jettison.write("work/other", "other").display());
        let again = bench.build(&context, &["--progress", "rawjson", "--secret", &changed]);
        assert!(again.steps().executed().is_empty(), "the value of a secret is in no key");
        let fail = Context::of("FROM busybox\nRUN --mount=type=secret,id=T,env=T false\n");
        let failure = bench.fails(&fail, &flags);
        assert!(!failure.stderr.contains(SECRET), "{failure}");
    }
}

fn found(folder: &Path, text: &str) -> bool {
    let grep = Command::new("grep").args(["-raqF", text]).arg(folder).output().unwrap();
    grep.status.success()
}

#[test]
fn a_secret_that_is_not_there_is_no_mount_or_an_error_with_its_line() {
    let series = Series::new();
    series.build("RUN --mount=type=secret,id=no test ! -e /run/secrets/no", &[]);
    series.build("RUN --mount=type=secret,id=no,env=NO test \"${NO-unset}\" = ''", &[]);
    series
        .fails("RUN --mount=type=secret,required,id=no true", &[])
        .says("secret no: not found")
        .says("Dockerfile:2")
        .says("--secret id=no");
    series.fails("RUN --mount=type=secret,required=true,id=no,env=NO true", &[]).says("secret no: not found");
    series.fails("RUN true", &["--secret", "id=x,src=/no/such/file"]).says("/no/such/file");
}

#[test]
fn an_agent_is_reached_by_whom_it_shall() {
    for who in USERS {
        let bench = Bench::of(who);
        let agent = agent(&bench.jettison.path("agent.sock"), "pong");
        let ask = "echo ping | nc local:$SSH_AUTH_SOCK";
        let context = Context::of(&format!(
            "FROM busybox\nRUN --mount=type=ssh echo $SSH_AUTH_SOCK > /out && stat -c '%a %u %F' $SSH_AUTH_SOCK >> /out && ({ask} || true) >> /out 2>/dev/null\n\
             RUN --mount=type=ssh,id=two,target=/tmp/agent,mode=0666 --mount=type=ssh echo $SSH_AUTH_SOCK >> /out && stat -c %a /tmp/agent >> /out && test -S /run/buildkit/ssh_agent.1\n\
             RUN test ! -e /run/buildkit\n"
        ));
        let path = agent.display().to_string();
        let (one, two) = (format!("default={path}"), format!("two={path}"));
        let image = bench.image(&context, &["--ssh", &one, "--ssh", &two]);
        let out = image.tree().text("/out");
        assert!(out.starts_with("/run/buildkit/ssh_agent.0\n600 0 socket\n"), "{who:?}: {out}");
        assert!(out.ends_with("/tmp/agent\n666\n"), "{who:?}: {out}");
    }
}

/// A program that answers `answer` to whoever writes to its socket.
fn agent(path: &Path, answer: &'static str) -> std::path::PathBuf {
    let listener = UnixListener::bind(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut asked = [0; 5];
            let _ = client.read_exact(&mut asked);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    path.to_owned()
}

#[test]
fn an_agent_that_is_not_there_is_no_mount_or_an_error() {
    let series = Series::new();
    series.build("RUN --mount=type=ssh test ! -e $SSH_AUTH_SOCK", &[]);
    series
        .fails("RUN --mount=type=ssh,required true", &[])
        .says("unset ssh forward key default")
        .says("Dockerfile:2");
    let key = series.0.jettison.write("work/id_ed25519", "a private key");
    let flag = format!("default={}", key.display());
    series.fails("RUN true", &["--ssh", &flag]).says("is not the socket of an SSH agent").says("ssh-add");
    let output = series.0.jettison.run(&["build", "--ssh", "default", "."]);
    assert_eq!(output.code, 2, "{output}");
    output.says("make sure SSH_AUTH_SOCK is set");
}

#[test]
fn what_a_mount_cannot_have_is_refused() {
    let series = Series::new();
    for (mount, message) in [
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=locked", "invalid cache sharing set for secret mount"),
        ("type=secret", "one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=ssh,source=a", "ssh mount should have neither from nor source"),
        ("type=bind,target=/a,uid=1", "uid not allowed for \"bind\" type mounts"),
        ("type=tmpfs,target=/a,mode=700", "mode not allowed for \"tmpfs\" type mounts"),
        ("type=tmpfs,target=/a,sharing=shared", "invalid cache sharing set for tmpfs mount"),
        ("type=cache,target=/a,sharing=some", "unsupported sharing value \"some\""),
        ("type=cache,target=/a,required", "unexpected key 'required' for mount type 'cache'"),
        ("size=1m,type=tmpfs,target=/a", "unexpected key 'size' for mount type 'bind'"),
        ("type=cache,target=/a,uid=x", "invalid value x for uid"),
        ("type=cache,target=/", "invalid mount target \"/\""),
        ("type=moon,target=/a", "unsupported mount type \"moon\""),
    ] {
        series.fails(&format!("RUN --mount={mount} true"), &[]).says(message).says("Dockerfile:2");
    }
}

#[test]
fn an_empty_from_is_the_context() {
    let context =
        context_of("FROM busybox\nRUN --mount=from=,target=/m cat /m/f > /out\n", &[("f", "here\n")]);
    assert_eq!(Bench::new().image(&context, &[]).tree().text("/out"), "here\n");
}

#[test]
fn limits_and_the_size_of_shared_memory_are_as_asked() {
    let series = Series::new();
    let run =
        "RUN ulimit -n > /out && ulimit -Hn >> /out && df -k /dev/shm | tail -1 | awk '{print $2}' >> /out";
    let flags = ["--ulimit", "nofile=100:200", "--shm-size", "32m"];
    assert_eq!(series.text(run, &flags), "100\n200\n32768\n");
    let one = ["--ulimit", "nofile=300", "--shm-size", "0"];
    assert_eq!(series.text(run, &one), "300\n300\n65536\n");
    for (flag, message) in [
        (["--ulimit", "nofile=2:1"], "soft limit must be less than or equal to hard limit"),
        (["--ulimit", "moon=1"], "invalid ulimit type: moon"),
        (["--shm-size", "much"], "expected a number of bytes"),
        (["--cgroup-parent", "a--b.slice"], "a slice is named such as"),
        (["--allow", "moon"], "expected network.host or security.insecure"),
    ] {
        series.0.jettison.fails(2, &[&["build"], flag.as_slice(), &["."]].concat()).says(message);
    }
}

#[test]
fn more_than_the_sandbox_must_be_allowed() {
    let series = Series::new();
    for (run, name) in
        [("RUN --security=insecure true", "security.insecure"), ("RUN --network=host true", "network.host")]
    {
        series.fails(run, &[]).says(&format!("{name} is not allowed")).says("Dockerfile:2").says("--allow");
        series.build(run, &["--allow", name]);
    }
    series.build("RUN --network=host echo flag", &["--network", "host"]);
    let capabilities =
        "RUN --security=insecure grep CapEff /proc/self/status > /out && mount -t tmpfs none /mnt";
    let out = series.text(&format!("RUN mkdir -p /mnt\n{capabilities}"), &["--allow", "security.insecure"]);
    let mask = u64::from_str_radix(out.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(mask & 0x1f_ffff_ffff, 0x1f_ffff_ffff, "{out}");
    assert_eq!(
        series.text(
            "RUN --security=sandbox grep CapBnd /proc/self/status | cut -f2 > /out",
            &["--network", "none"]
        ),
        "00000000a80425fb\n"
    );
}

#[test]
fn stages_can_be_kept_from_the_cache() {
    let bench = Bench::new();
    let context = context_of(
        "FROM busybox AS One\nCOPY f /f\nRUN echo one > /one\nFROM busybox\nRUN echo two > /two\nCOPY --from=one /one /\n",
        &[("f", "")],
    );
    bench.build(&context, &[]);
    let executed = |filter: &str| {
        let output = bench.build(&context, &["--progress", "rawjson", "--no-cache-filter", filter]);
        output.steps().executed().iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(executed("one"), ["COPY f /f", "RUN echo one > /one"]);
    assert_eq!(executed("stage-1"), ["RUN echo two > /two", "COPY --from=one /one /"]);
    bench.build(&context, &["--no-cache-filter", "moon,one"]).says("there is no stage \"moon\"");
}

#[test]
fn a_chroot_has_no_mounts() {
    let bench = Bench::of(Who::ChrootOnly);
    let context = Context::of("FROM busybox\nRUN --mount=type=cache,target=/c true\n");
    let flags = bench.flags(&[context.argument()]);
    let arguments: Vec<&str> = std::iter::once("build").chain(flags.iter().map(String::as_str)).collect();
    bench
        .jettison
        .fails(3, &arguments)
        .says("RUN --mount=type=cache is not possible in chroot mode")
        .says("Dockerfile:2");
}
