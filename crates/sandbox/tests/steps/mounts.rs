//! The root file system, mounts into it, and what of it is left behind.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use jettison_sandbox::{Mount, MountSource, Root, Spec};

use crate::Check;
use crate::fixture::{Caller, Fixture, bind};

pub const CHECKS: &[Check] = &[
    ("changes land in the upper directory", changes),
    ("127 layers", many_layers),
    ("bind mounts", binds),
    ("tmpfs mounts", tmpfs),
    ("overlay mounts", overlays),
    ("mounts nest", nested),
    ("mount points leave no trace in an overlay", no_trace_in_overlay),
    ("mount points can be shared", shared_mount_points),
    ("mount points leave no trace in a directory", no_trace_in_directory),
    ("mount points behind links and whiteouts", links_and_whiteouts),
    ("no mount is left", no_mount_is_left),
];

fn changes() {
    let fixture = Fixture::new(Caller::Root);
    fs::write(fixture.path("base/etc/old"), "old").unwrap();
    assert_eq!(
        fixture.sh("echo new >/etc/new; rm /etc/old; ls /etc").out(),
        "hosts\nnew\npasswd\nresolv.conf"
    );
    assert_eq!(fixture.upper(), ["etc", "etc/new", "etc/old"]);
    let whiteout = fixture.path("upper/etc/old").symlink_metadata().unwrap();
    assert_eq!(
        (whiteout.rdev(), whiteout.mode() & libc::S_IFMT),
        (0, libc::S_IFCHR),
        "a whiteout is a device 0/0"
    );
}

fn many_layers() {
    let fixture = Fixture::new(Caller::Root);
    let mut lower = vec![fixture.path("base")];
    for number in 0..126 {
        let layer = fixture.path(&format!("a layer with a rather long name, and punctuation: {number}"));
        fs::create_dir_all(&layer).unwrap();
        fs::write(layer.join(format!("file{number}")), "").unwrap();
        fs::write(layer.join("top"), number.to_string()).unwrap();
        lower.push(layer);
    }
    let root = Root::Overlay { lower, upper: fixture.path("upper"), work: fixture.path("work") };
    let answer = fixture.run(&Spec { root, ..fixture.spec("ls -d /file* | wc -l; cat /top") });
    assert_eq!(answer.out(), "126\n125");
}

fn binds() {
    let fixture = Fixture::new(Caller::Root);
    fs::create_dir(fixture.path("data")).unwrap();
    fs::write(fixture.path("data/file"), "content").unwrap();
    let mounts = vec![
        bind(fixture.path("data"), "/ro", true),
        bind(fixture.path("data"), "/rw", false),
        bind(fixture.path("data/file"), "/run/secrets/one", true),
    ];
    let script = "cat /ro/file /run/secrets/one; echo; echo x >/rw/new; ls /ro
        echo x >/ro/no; echo x >/run/secrets/one; grep -E ' /(ro|rw) ' /proc/mounts";
    let answer = fixture.run(&Spec { mounts, ..fixture.spec(script) });
    assert!(answer.out().starts_with("contentcontent\nfile\nnew\n"), "{answer:?}");
    assert_eq!(answer.stderr.matches("Read-only file system").count(), 2, "{answer:?}");
    assert_eq!(answer.stdout.matches("nosuid,nodev").count(), 2, "{answer:?}");
    assert!(fixture.path("data/new").exists());
    assert_eq!(fixture.upper(), [""; 0]);
    let missing = vec![bind(fixture.path("nowhere"), "/x", true)];
    let answer = fixture.run(&Spec { mounts: missing, ..fixture.spec("true") });
    assert!(answer.error.contains("nowhere") && answer.error.contains("No such file"), "{answer:?}");
}

fn tmpfs() {
    let fixture = Fixture::new(Caller::Root);
    let mount = |target: &str, size| Mount {
        target: target.to_owned(),
        source: MountSource::Tmpfs { size },
        read_only: false,
    };
    let mounts = vec![mount("/small", Some(1 << 20)), mount("/tmp", None)];
    let script = "dd if=/dev/zero of=/small/f bs=1M count=2 2>/dev/null; stat -c %s /small/f; echo x >/tmp/f; stat -c %a /tmp";
    assert_eq!(fixture.run(&Spec { mounts, ..fixture.spec(script) }).out(), "1048576\n1777");
    assert_eq!(fixture.upper(), [""; 0]);
}

fn overlays() {
    let fixture = Fixture::new(Caller::Root);
    for layer in ["one", "two"] {
        fs::create_dir_all(fixture.path(layer).join("sub")).unwrap();
        fs::write(fixture.path(layer).join("sub").join(layer), layer).unwrap();
    }
    for name in ["mount-upper", "mount-work"] {
        fs::create_dir(fixture.path(name)).unwrap();
    }
    let both = vec![fixture.path("one"), fixture.path("two")];
    let mount = |target: &str, lower: &[PathBuf], path: &str, upper| Mount {
        target: target.to_owned(),
        source: MountSource::Overlay { lower: lower.to_vec(), path: path.to_owned(), upper },
        read_only: false,
    };
    let upper = Some((fixture.path("mount-upper"), fixture.path("mount-work")));
    let mounts = vec![
        Mount { read_only: true, ..mount("/merged", &both, "/sub", None) },
        mount("/writable", &both, "/", upper),
        Mount { read_only: true, ..mount("/single", &both[..1], "sub", None) },
        Mount { read_only: true, ..mount("/the/file", &both, "/sub/../sub/one", None) },
    ];
    let script = "ls /merged /single; cat /the/file; echo; echo x >/writable/sub/new; ls /writable/sub
        for d in merged single; do echo x >/$d/no; done";
    let answer = fixture.run(&Spec { mounts, ..fixture.spec(script) });
    assert_eq!(answer.stdout, "/merged:\none\ntwo\n\n/single:\none\none\nnew\none\ntwo\n", "{answer:?}");
    assert_eq!(answer.stderr.matches("Read-only file system").count(), 2, "{answer:?}");
    assert!(fixture.path("mount-upper/sub/new").exists());
    let wrong = vec![mount("/x", &both, "/none", None)];
    let answer = fixture.run(&Spec { mounts: wrong, ..fixture.spec("true") });
    assert!(answer.error.contains("/none"), "{answer:?}");
}

fn nested() {
    let fixture = Fixture::new(Caller::Root);
    fs::create_dir(fixture.path("data")).unwrap();
    fs::create_dir(fixture.path("inner")).unwrap();
    fs::write(fixture.path("inner/file"), "inside").unwrap();
    let tmpfs =
        Mount { target: "/a".to_owned(), source: MountSource::Tmpfs { size: None }, read_only: false };
    let mounts = vec![
        tmpfs,
        bind(fixture.path("inner"), "/a/b/c", true),
        bind(fixture.path("data"), "/d", false),
        bind(fixture.path("inner/file"), "/d/e/file", true),
    ];
    assert_eq!(
        fixture.run(&Spec { mounts, ..fixture.spec("cat /a/b/c/file /d/e/file") }).out(),
        "insideinside"
    );
    assert_eq!(
        fs::read_dir(fixture.path("data")).unwrap().count(),
        0,
        "a mount point made in a bind is removed"
    );
    assert_eq!(fixture.upper(), [""; 0]);
}

fn no_trace_in_overlay() {
    let fixture = Fixture::new(Caller::Root);
    fs::create_dir(fixture.path("data")).unwrap();
    let mounts = vec![bind(fixture.path("data"), "/root/.cache/tool", false)];
    assert_eq!(fixture.run(&Spec { mounts, ..fixture.spec("true") }).code(), 0);
    assert_eq!(fixture.upper(), [""; 0]);
    let beside: Vec<_> =
        fs::read_dir(fixture.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().contains("mount-points")), "{beside:?}");
    // A root that has nothing at all but the program.
    fs::create_dir(fixture.path("scratch")).unwrap();
    fs::copy("/bin/busybox", fixture.path("scratch/busybox")).unwrap();
    let lower = vec![fixture.path("scratch")];
    let root = Root::Overlay { lower, upper: fixture.path("upper"), work: fixture.path("work") };
    let answer = fixture.run(&Spec {
        root,
        args: ["/busybox", "ls", "/"].map(str::to_owned).to_vec(),
        ..fixture.spec("")
    });
    assert_eq!(answer.out(), "busybox\ndev\netc\nproc\nsys");
    assert_eq!(fixture.upper(), [""; 0]);
}

fn shared_mount_points() {
    let fixture = Fixture { shared: true, ..Fixture::new(Caller::Root) };
    fs::create_dir(fixture.path("data")).unwrap();
    for _ in 0..2 {
        let mounts = vec![bind(fixture.path("data"), "/extra/place", false)];
        let script = "echo $(ls /); ls /etc; echo x >/etc/new; head -n 1 /etc/hosts";
        let answer = fixture.run(&Spec { mounts, ..fixture.spec(script) });
        let names =
            "bin dev etc extra proc root sys tmp\nhosts\npasswd\nresolv.conf\n127.0.0.1\tlocalhost box";
        assert_eq!(answer.out(), names);
        assert_eq!(fixture.upper(), ["etc", "etc/new"]);
        assert_eq!(fs::read(fixture.path("shared/etc/hosts")).unwrap(), b"");
        let top: Vec<_> = fs::read_dir(fixture.path("shared")).unwrap().collect();
        assert_eq!(top.len(), 4, "what one step asks for is not shared: {top:?}");
    }
}

fn no_trace_in_directory() {
    let fixture = Fixture::new(Caller::Root);
    fs::create_dir(fixture.path("data")).unwrap();
    let before = fixture.path("base/etc").metadata().unwrap().mtime_nsec();
    let mounts = vec![bind(fixture.path("data"), "/root/.cache/tool", false)];
    let root = Root::Directory(fixture.path("base"));
    let answer =
        fixture.run(&Spec { root, mounts, ..fixture.spec("cat /etc/hosts >/tmp/copy; ls /root/.cache") });
    assert_eq!(answer.out(), "tool");
    let mut names: Vec<_> =
        fs::read_dir(fixture.path("base")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bin", "etc", "root", "tmp"]);
    assert_eq!(fs::read_dir(fixture.path("base/root")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(fixture.path("base/etc")).unwrap().count(), 1);
    assert!(fs::read_to_string(fixture.path("base/tmp/copy")).unwrap().starts_with("127.0.0.1"));
    assert_eq!(fixture.path("base/etc").metadata().unwrap().mtime_nsec(), before);
}

fn links_and_whiteouts() {
    let fixture = Fixture::new(Caller::Root);
    symlink("../run/net/resolv.conf", fixture.path("base/etc/resolv.conf")).unwrap();
    symlink("/nowhere/hosts", fixture.path("base/etc/hosts")).unwrap();
    symlink("/../../../etc", fixture.path("base/out")).unwrap();
    fs::create_dir(fixture.path("data")).unwrap();
    let mounts = vec![bind(fixture.path("data"), "/out/inner", false)];
    let answer = fixture.run(&Spec { mounts, ..fixture.spec("head -n 1 /etc/hosts; ls -d /etc/inner") });
    assert_eq!(answer.out(), "127.0.0.1\tlocalhost box\n/etc/inner");
    assert!(!PathBuf::from("/etc/inner").exists() && !PathBuf::from("/nowhere").exists());
    for name in ["run/net/resolv.conf", "nowhere/hosts", "etc/inner"] {
        assert!(!fixture.path("upper").join(name).exists(), "{name} is left");
    }
    // A layer that deleted /proc altogether.
    fs::create_dir(fixture.path("deleted")).unwrap();
    let status =
        Command::new("mknod").arg(fixture.path("deleted/proc")).args(["c", "0", "0"]).status().unwrap();
    assert!(status.success());
    let lower = vec![fixture.path("base"), fixture.path("deleted")];
    let root = Root::Overlay { lower, upper: fixture.path("upper"), work: fixture.path("work") };
    assert_eq!(fixture.run(&Spec { root, ..fixture.spec("test -d /proc/self && echo yes") }).out(), "yes");
}

fn no_mount_is_left() {
    let count = || fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
    let before = count();
    let fixture = Fixture::new(Caller::Root);
    assert_eq!(fixture.sh("true").code(), 0);
    assert_eq!(count(), before);
}
