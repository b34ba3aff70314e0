//! RUN: what a command sees, what it may not do, and how it fails.

use jettison_testkit::{Context, Who, base, tools};

use crate::{Bench, context_of, failure_of, image_of};

#[test]
fn a_disk_of_the_host_cannot_be_opened() {
    // Major 8 is sd, 253 and 254 are virtio and device mapper: whatever this machine has, its root disk among them.
    let device = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = device.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        (fields[4] == "/" && !fields[2].starts_with("0:")).then(|| fields[2].replace(':', " "))
    });
    let numbers = root.unwrap_or_else(|| "8 0".to_owned());
    let dockerfile = format!(
        "FROM busybox\nRUN mknod /tmp/disk b {numbers} && head -c 1 /tmp/disk > /byte; ls -l /tmp; ! test -s /byte\n"
    );
    let image = image_of(&dockerfile, &[]);
    assert!(!image.tree().has("/byte") || image.tree().text("/byte").is_empty());
}

#[test]
fn only_the_few_devices_are_there() {
    let image = image_of(
        "FROM busybox\nRUN ls /dev | sort > /devices && echo x > /dev/null && head -c 4 /dev/urandom | wc -c > /n\n",
        &[],
    );
    let devices = image.tree().text("/devices");
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        assert!(devices.lines().any(|line| line == name), "{name} is missing: {devices}");
    }
    for name in ["mem", "kmsg", "vda", "sda", "loop0", "fuse"] {
        assert!(!devices.lines().any(|line| line == name), "{name} is there");
    }
    assert_eq!(image.tree().text("/n"), "4\n");
    assert!(!image.tree().has("/dev/null"), "devices of the sandbox are not in the layer");
}

#[test]
fn user_and_workdir_act_on_run() {
    let dockerfile = "FROM busybox\nWORKDIR /w\nUSER node\nWORKDIR sub\nRUN id -u > f && id -g >> f && pwd >> f && id -G >> f\nUSER 7:8\nRUN id -u > /tmp/g && id -g >> /tmp/g\n";
    let image = image_of(dockerfile, &[]);
    let tree = image.tree();
    assert_eq!(tree.text("/w/sub/f"), "1000\n1000\n/w/sub\n1000 50\n");
    assert_eq!((tree.get("/w/sub/f").uid, tree.get("/w/sub").uid), (1000, 1000));
    assert_eq!(tree.text("/tmp/g"), "7\n8\n");
}

#[test]
fn an_unknown_user_fails_by_name() {
    failure_of("FROM busybox\nUSER nosuch\nRUN true\n", &[]).says("nosuch").says("Dockerfile:3");
}

#[test]
fn the_environment_is_the_images_and_nothing_of_the_hosts() {
    let mut bench = Bench::new();
    bench.jettison.set("LEAK", "secret");
    let context = Context::of("FROM busybox\nENV A=1\nARG B=2\nRUN env | sort > /env\n");
    let environment = bench.image(&context, &[]).tree().text("/env");
    assert!(environment.contains("A=1\n") && environment.contains("B=2\n") && environment.contains("PATH="));
    assert!(!environment.contains("LEAK") && !environment.contains("JETTISON"), "{environment}");
}

#[test]
fn a_failing_step_says_where_and_what() {
    let output = failure_of("FROM busybox\n\nRUN echo before; \\\n    echo to-stderr >&2; exit 42\n", &[]);
    output.says("Dockerfile:3").says("42").says("before").says("to-stderr");
}

#[test]
fn a_missing_shell_or_program_fails_by_name() {
    failure_of("FROM scratch\nRUN echo hi\n", &[]).says("/bin/sh").says("Dockerfile:2");
    failure_of("FROM busybox\nRUN [\"/no/such/program\"]\n", &[]).says("/no/such/program");
}

#[test]
fn a_base_of_127_layers_works() {
    let tree = image_of(
        "FROM deep\nRUN cat /top /layers/126 > /seen && ls /layers | wc -l >> /seen && rm /layers/126\n",
        &[],
    )
    .tree();
    assert_eq!(tree.text("/seen"), "120\n126114\n");
    assert!(!tree.has("/layers/126") && tree.has("/layers/125"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_program_of_32_bits_runs() {
    let context = Context::of("FROM busybox\nCOPY p /p\nRUN /p > /out\n").file_with_mode(
        "p",
        0o755,
        base::program_of_32_bits(),
    );
    assert_eq!(Bench::new().image(&context, &[]).tree().text("/out"), "32 bits\n");
}

#[test]
fn what_a_step_removes_is_gone_and_what_it_replaces_is_new() {
    let dockerfile = "FROM alpine\nRUN rm -r /var/www /etc/group && rm /lib64 && mkdir /lib64 && echo x > /lib64/f && mv /home /house\n";
    let tree = image_of(dockerfile, &[]).tree();
    assert!(!tree.has("/var/www") && !tree.has("/etc/group") && !tree.has("/home"));
    assert_eq!(tree.text("/lib64/f"), "x\n");
    assert!(!tree.has("/lib/f"));
    assert_eq!(tree.get("/house/node").uid, 1000);
}

#[test]
fn an_opaque_directory_hides_what_was_below() {
    let dockerfile = "FROM busybox\nRUN mkdir /d && touch /d/old\nRUN rm -r /d && mkdir /d && touch /d/new\nRUN ls /d > /seen\n";
    let tree = image_of(dockerfile, &[]).tree();
    assert_eq!(tree.below("/d"), ["new"]);
    assert_eq!(tree.text("/seen"), "new\n");
}

#[test]
fn the_sandboxs_own_files_are_not_in_the_layer() {
    let image = image_of(
        "FROM busybox\nRUN cat /etc/hosts /etc/resolv.conf > /dev/null && ls /proc/self > /dev/null && touch /f\n",
        &[],
    );
    let top = image.layer(image.layer_count() - 1);
    let files: Vec<&str> =
        top.iter().filter(|(path, _)| !path.is_empty()).map(|(path, _)| path.as_str()).collect();
    assert_eq!(files, ["f"]);
}

#[test]
fn owners_modes_and_links_of_a_step_are_kept() {
    let dockerfile = "FROM busybox\nRUN touch /f && chown 12:34 /f && chmod 4711 /f && ln /f /h && ln -s f /l && mkfifo /p\n";
    let tree = image_of(dockerfile, &[]).tree();
    let file = tree.get("/f");
    assert_eq!((file.uid, file.gid, file.mode), (12, 34, 0o4711));
    assert_eq!(tree.get("/l").link, "f");
    assert!(tree.has("/h") && tree.has("/p"));
}

#[test]
fn the_kernel_refuses_what_docker_refuses() {
    for command in [
        "mount -t tmpfs none /mnt",
        "chroot /proc/1/root /bin/true && hostname x",
        "unshare -U true",
        "swapoff -a /x",
        "dmesg > /dev/null",
    ] {
        failure_of(&format!("FROM busybox\nRUN mkdir -p /mnt && {command}\n"), &[]).says("Dockerfile:2");
    }
}

#[test]
fn proc_shows_the_step_alone() {
    let tree = image_of("FROM busybox\nRUN ls /proc | grep -c '^[0-9]' > /n && hostname > /h\n", &[]).tree();
    assert!(tree.text("/n").trim().parse::<u32>().unwrap() < 8, "{}", tree.text("/n"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_ne!(tree.text("/h"), host);
}

#[test]
fn no_network_is_loopback_alone() {
    let bench = Bench::new();
    let context = Context::of("FROM busybox\nRUN ls /sys/class/net > /net; ip -o link | wc -l > /links\n");
    let tree = bench.image(&context, &["--network", "none"]).tree();
    assert_eq!(tree.text("/links"), "1\n");
}

#[test]
fn the_hosts_network_in_place_of_a_private_one_is_said_once() {
    tools::require_root();
    let mut bench = Bench::new();
    let context = Context::of(
        "FROM busybox AS a\nRUN echo 1 > /a\nFROM busybox\nRUN echo 2 > /b\nCOPY --from=a /a /a\n",
    );
    let note = "RUN has the network of the host, for pasta is not installed";
    bench.build(&context, &[]).says_not(note);
    // In a mount namespace of the binary alone.
    let pasta = tools::require("pasta");
    bench.jettison.start_by(&format!(
        "exec unshare --mount --propagation private sh -ec 'mount --bind /dev/null {}; exec \"$@\"' sh",
        pasta.display()
    ));
    let output = bench.build(&context, &["--no-cache"]);
    assert_eq!(output.stderr.matches(note).count(), 1, "{output}");
    bench.build(&context, &["--no-cache", "--network", "host"]).says_not(note);
    assert!(bench.jettison.ok(&["doctor"]).stdout.contains("pasta is not installed"));
}

#[test]
fn added_hosts_are_known_to_a_step() {
    let context = Context::of("FROM busybox\nRUN grep my.host /etc/hosts > /f\n");
    let tree = Bench::new().image(&context, &["--add-host", "my.host:10.1.2.3"]).tree();
    assert!(tree.text("/f").contains("10.1.2.3"));
    assert!(!tree.has("/etc/hosts"));
}

#[test]
fn an_ordinary_user_with_subordinate_ids_gets_roots_digests() {
    let dockerfile = "FROM busybox\nRUN touch /a && chown 1000:50 /a && su node -c 'touch /home/node/b'\nCOPY --chown=www-data f /f\nUSER node\nWORKDIR /home/node/w\nRUN id -u > c\n";
    let context = context_of(dockerfile, &[("f", "text")]);
    let mine = Bench::new().image(&context, &[]);
    let theirs = Bench::of(Who::Subordinate).image(&context, &[]);
    assert_eq!(mine.tree(), theirs.tree());
    assert_eq!(mine.digest, theirs.digest);
}

#[test]
fn with_one_id_true_owners_are_kept() {
    let bench = Bench::of(Who::OneId);
    let context = context_of(
        "FROM busybox\nRUN echo a > /a && echo more >> /etc/group\nCOPY --chown=node f /f\n",
        &[("f", "")],
    );
    let (one, root) = (bench.image(&context, &[]), Bench::new().image(&context, &[]));
    assert_eq!(one.tree().get("/home/node").uid, 1000);
    assert_eq!((one.tree().get("/f").uid, one.tree().get("/a").uid), (1000, 0));
    assert_eq!(one.digest, root.digest);
}

#[test]
fn with_one_id_a_refused_chown_fails_by_name_with_the_remedy() {
    let refused = |dockerfile: &str| {
        let bench = Bench::of(Who::OneId);
        let context = Context::of(dockerfile);
        let flags = bench.flags(&[context.argument()]);
        let output = bench
            .jettison
            .run(&std::iter::once("build").chain(flags.iter().map(String::as_str)).collect::<Vec<_>>());
        assert_ne!(output.code, 0, "{output}");
        output
    };
    refused("FROM busybox\nRUN touch /a && chown node /a\n")
        .says("chown of /a")
        .says("/etc/subuid")
        .says("Dockerfile:2");
    refused("FROM busybox\nUSER node\nRUN true\n").says("user 1000").says("/etc/subuid").says("Dockerfile:3");
    refused("FROM busybox\nRUN su node -c true\n").says("/etc/subuid").says("Dockerfile:2");
}

#[test]
fn in_a_chroot_steps_run_and_it_is_said() {
    let bench = Bench::of(Who::ChrootOnly);
    let context = context_of("FROM busybox\nCOPY f /f\nRUN cat /f > /g\n", &[("f", "text")]);
    let output = bench.build(&context, &[]);
    output.says("chroot");
    assert_eq!(bench.image(&context, &[]).tree().text("/g"), "text");
}

#[test]
fn doctor_says_what_this_machine_allows() {
    for (who, mode) in [
        (Who::Me, "root"),
        (Who::Subordinate, "subordinate-ids"),
        (Who::OneId, "single-id"),
        (Who::ChrootOnly, "chroot"),
    ] {
        let output = Bench::of(who).jettison.ok(&["doctor"]);
        assert!(output.stdout.contains(&format!("Builds work here in {mode} mode")), "{who:?}: {output}");
    }
    let output = Bench::of(Who::NoNamespaces).jettison.run(&["doctor"]);
    assert!(output.stdout.contains("user.max_user_namespaces"), "{output}");
}
