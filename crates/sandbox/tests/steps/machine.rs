//! The machine a command sees: devices, /proc, /sys, network.

use jettison_sandbox::{Network, Spec};

use crate::Check;
use crate::fixture::{Caller, Fixture};

pub const CHECKS: &[Check] = &[
    ("devices work", devices),
    ("a machine that was made ready is as any other", prepared),
    ("mknod of a disk opens nothing", disks),
    ("proc and sys are masked", masked),
    ("processes of the host are out of sight", processes),
    ("network none has loopback alone", no_network),
    ("network of the host", host_network),
    ("private network through pasta", private_network),
    ("hosts and resolv.conf", network_files),
];

fn devices() {
    check_devices(&Fixture::new(Caller::Root));
}

/// Also where it is for another command than the one that comes: that one gets its own.
fn prepared() {
    let fixture = Fixture { prepared: true, ..Fixture::new(Caller::Root) };
    check_devices(&fixture);
    let larger = Spec { shm_size: Some(1 << 20), ..fixture.spec("df -k /dev/shm | grep -c ' 1024 '") };
    assert_eq!(fixture.run(&larger).out(), "1");
    let script = "grep -c '^proc /proc/' /proc/mounts; mkdir /sys/fs/cgroup/x 2>&1 | grep -c Read-only";
    assert_eq!(fixture.run(&Spec { insecure: true, ..fixture.spec(script) }).stdout.trim(), "0\n0");
    let networked = Spec { network: Network::Host, ..fixture.spec("ls /sys/class/net; cat /etc/hosts") };
    assert!(fixture.run(&networked).out().contains("localhost"));
    let user = Fixture { prepared: true, ..Fixture::new(Caller::Subordinate) };
    check_devices(&user);
    let confined = Fixture { prepared: true, ..Fixture::new(Caller::Confined) };
    assert_eq!(confined.run(&confined.plain_spec("echo out")).out(), "out");
}

fn check_devices(fixture: &Fixture) {
    let script = "echo x >/dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c
        head -c 3 /dev/random | wc -c; echo x >/dev/full; echo x >/dev/tty
        echo in >/dev/shm/f && cat /dev/shm/f; stat -c %a /dev/shm; df -m /dev/shm | grep -c ' 64 '
        test -c /dev/pts/ptmx && test -d /dev/mqueue && echo all; echo $(ls /dev); echo out >/dev/fd/1";
    let answer = fixture.sh(script);
    let names = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(answer.out(), format!("3\n3\n3\nin\n1777\n1\nall\n{names}\nout"));
    for message in ["No space left on device", "No such device or address"] {
        assert!(answer.stderr.contains(message), "{answer:?}");
    }
}

fn disks() {
    let fixture = Fixture::new(Caller::Root);
    let answer = fixture
        .sh("mknod /tmp/disk b 8 0; mknod /dev/disk b 8 0; dd if=/tmp/disk count=1; dd if=/dev/disk count=1");
    assert_ne!(answer.code(), 0);
    assert_eq!(answer.stderr.matches("Operation not permitted").count(), 2, "{}", answer.stderr);
    assert_eq!(answer.stderr.matches("No such file").count(), 2, "{}", answer.stderr);
    // Also where the store came with device nodes: no mount lets them be opened.
    let status =
        std::process::Command::new("mknod").arg(fixture.path("base/node")).args(["c", "1", "5"]).status();
    assert!(status.unwrap().success());
    let answer = fixture.sh("head -c 1 /node");
    assert!(answer.stderr.contains("Permission denied"), "{answer:?}");
}

fn masked() {
    let fixture = Fixture::new(Caller::Root);
    // Not every kernel has all of them.
    let script =
        "for f in kcore keys timer_list sched_debug latency_stats; do test -e /proc/$f && cat /proc/$f; done
        for d in /sys/firmware /proc/acpi /proc/scsi; do test -e $d && ls $d; done
        for d in /sys /sys/fs/cgroup; do mkdir $d/jettison-test 2>&1; done; (echo 1 >/proc/sys/kernel/printk) 2>&1
        grep -cE '^proc /proc/(bus|fs|irq|sys) proc ro,' /proc/mounts";
    let answer = fixture.sh(script);
    let lines: Vec<&str> = answer.stdout.lines().collect();
    let (count, refusals) = lines.split_last().unwrap();
    assert_eq!((*count, refusals.len()), ("4", 3), "{answer:?}");
    assert!(refusals.iter().all(|line| line.contains("Read-only file system")), "{answer:?}");
}

fn processes() {
    let fixture = Fixture::new(Caller::Root);
    let answer = fixture.sh("ls -d /proc/[0-9]*; cat /proc/1/environ; cat /proc/1/maps");
    assert!(answer.stdout.lines().count() <= 4, "{answer:?}");
    assert_eq!(
        answer.stderr.matches("Permission denied").count(),
        2,
        "the first process is out of reach: {answer:?}"
    );
    let mounts = fixture.sh("cat /proc/mounts").stdout;
    assert!(
        !mounts.contains(fixture.directory.path().to_str().unwrap()),
        "paths of the host are shown: {mounts}"
    );
}

fn no_network() {
    let fixture = Fixture::new(Caller::Root);
    assert_eq!(
        fixture.sh("ls /sys/class/net; ip -o addr | grep -c 127.0.0.1; cat /etc/resolv.conf").out(),
        "lo\n1"
    );
}

fn host_network() {
    let fixture = Fixture::new(Caller::Root);
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    let spec =
        Spec { network: Network::Host, ..fixture.spec("ls -l /proc/self/ns/net; cat /etc/resolv.conf") };
    let answer = fixture.run(&spec);
    assert!(answer.out().contains(host.to_str().unwrap()), "{answer:?}");
    let resolvers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert!(answer.out().ends_with(resolvers.trim_end()), "{answer:?}");
}

fn private_network() {
    assert!(std::path::Path::new("/usr/bin/pasta").exists(), "apt install passt");
    let fixture = Fixture::new(Caller::Root);
    let spec = Spec {
        network: Network::Default,
        ..fixture.spec("ls /sys/class/net; grep CapBnd /proc/self/status")
    };
    let answer = fixture.run(&spec);
    let notes = &answer.outcome.as_ref().unwrap().notes;
    match notes.as_slice() {
        [] => {
            assert!(answer.out().contains("lo") && answer.out().lines().count() == 3, "{answer:?}");
            assert!(answer.out().ends_with("a80425fb"), "{answer:?}");
        }
        // A machine without any route has nothing to connect to.
        [note] => assert!(note.contains("pasta failed"), "{note}"),
        _ => panic!("{notes:?}"),
    }
}

fn network_files() {
    let fixture = Fixture::new(Caller::Root);
    let extra_hosts = vec![("db".to_owned(), "10.0.0.7".to_owned())];
    let answer = fixture.run(&Spec { extra_hosts, ..fixture.spec("cat /etc/hosts; echo more >>/etc/hosts") });
    let expected = "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb";
    assert_eq!(answer.out(), expected);
    assert_eq!(fixture.upper(), [""; 0], "the files are mounts");
}
