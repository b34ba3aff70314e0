//! The four modes, each as the caller that gets it; and the machine that has none.

use std::fs;
use std::os::unix::fs::MetadataExt;

use jettison_sandbox::{Extent, Mode, Refused, Spec, Status, User};

use crate::Check;
use crate::fixture::{Caller, Fixture, SUBORDINATE, UID};

pub const CHECKS: &[Check] = &[
    ("root", root),
    ("root without a user namespace", without_user_namespace),
    ("a caller that ignores its children", careless),
    ("subordinate ids", subordinate),
    ("one id", single),
    ("one id: calls are told by name", refusals),
    ("one id: other users", unmapped),
    ("root in a namespace of one id", nested),
    ("chroot", chroot),
    ("chroot leaves no trace", chroot_leaves_no_trace),
    ("no mode", none),
    ("a mode that is asked for", preferred),
    ("probe", probe),
];

const WORK: &str = "echo x >/tmp/f; chown 1000:33 /tmp/f; stat -c %u:%g /tmp/f; id -u";

fn extents(triples: &[(u32, u32, u32)]) -> Vec<Extent> {
    triples.iter().map(|&(inside, outside, count)| Extent { inside, outside, count }).collect()
}

fn root() {
    let fixture = Fixture::new(Caller::Root);
    let answer = fixture.sh(WORK);
    assert_eq!(answer.out(), "1000:33\n0");
    assert_eq!(answer.identity().mode, Mode::Root);
    assert!(answer.identity().user_namespace);
    assert!(answer.identity().passed_over.is_empty());
    assert_eq!(answer.identity().fingerprint(), "uid 0:0:4294967295 gid 0:0:4294967295");
    let file = fixture.path("upper/tmp/f").metadata().unwrap();
    assert_eq!((file.uid(), file.gid()), (1000, 33));
    let namespace = fs::read_link("/proc/self/ns/user").unwrap();
    assert!(!fixture.sh("ls -l /proc/self/ns/user").out().contains(namespace.to_str().unwrap()));
}

fn without_user_namespace() {
    let fixture = Fixture::new(Caller::WithoutUserNamespaces);
    let answer = fixture.sh(WORK);
    assert_eq!(answer.out(), "1000:33\n0");
    assert_eq!(answer.identity().mode, Mode::Root);
    assert!(!answer.identity().user_namespace);
}

fn careless() {
    let fixture = Fixture::new(Caller::Careless);
    assert_eq!(fixture.sh("(exit 3) & wait $!; echo $?; exit 5").code(), 5);
}

fn subordinate() {
    let fixture = Fixture::new(Caller::Subordinate);
    let answer = fixture.sh(WORK);
    assert_eq!(answer.out(), "1000:33\n0");
    assert_eq!(answer.identity().mode, Mode::Subordinate);
    let map = extents(&[(0, UID, 1), (1, SUBORDINATE, 1000), (1001, 600_000, 64_536)]);
    assert_eq!((&answer.identity().uid_map, &answer.identity().gid_map), (&map, &map));
    let file = fixture.path("upper/tmp/f").metadata().unwrap();
    assert_eq!((file.uid(), file.gid()), (SUBORDINATE + 999, SUBORDINATE + 32));
    let user = User { uid: 65_534, gid: 65_534, groups: vec![7] };
    assert_eq!(fixture.run(&Spec { user, ..fixture.spec("id -u; id -G") }).out(), "65534\n65534 7");
    let all = "00000000a80425fb";
    assert!(fixture.sh("grep CapEff /proc/self/status").out().ends_with(all));
    let user = User { uid: 70_000, gid: 0, groups: Vec::new() };
    assert!(
        fixture.run(&Spec { user, ..fixture.spec("true") }).error.contains("user 70000 does not exist here")
    );
}

fn single() {
    let fixture = Fixture::new(Caller::Plain);
    let answer = fixture.sh("echo x >/tmp/f; chown 0:0 /tmp/f && stat -c %u:%g /tmp/f; id -u");
    assert_eq!(answer.out(), "0:0\n0");
    assert_eq!(answer.identity().mode, Mode::Single);
    assert_eq!(answer.identity().uid_map, extents(&[(0, UID, 1)]));
    assert!(answer.outcome.as_ref().unwrap().refused.is_empty(), "{answer:?}");
    assert!(
        answer.identity().remedy().contains(&format!("echo '{UID}:100000:65536' >> /etc/subuid")),
        "{answer:?}"
    );
    assert_eq!(fixture.path("upper/tmp/f").metadata().unwrap().uid(), UID);
}

fn refusals() {
    let fixture = Fixture::new(Caller::Plain);
    let script = "cd /etc; chown 1000 passwd; chown -h :33 /etc/passwd; chown 1000 passwd; setpriv --reuid 77 true; true";
    let script = format!(
        "{script}; mkdir /tmp/d; ln -s /etc/passwd /tmp/l; chown -R 5:6 /tmp/d; chown 0:0 passwd; chown -h 9 /tmp/l"
    );
    let answer = fixture.sh(&script);
    let refused = answer.outcome.as_ref().unwrap().refused.clone();
    let entry = |call: &str, path: Option<&str>, id| Refused {
        call: call.to_owned(),
        path: path.map(str::to_owned),
        id,
    };
    let wanted = [
        entry("chown", Some("/etc/passwd"), 1000),
        entry("lchown", Some("/etc/passwd"), 33),
        entry("lchown", Some("/tmp/l"), 9),
    ];
    for wanted in &wanted {
        assert!(refused.contains(wanted), "{wanted:?} is not in {refused:?} {answer:?}");
    }
    assert!(
        refused.iter().any(|entry| entry.path.as_deref() == Some("/tmp/d") && entry.id == 5),
        "{refused:?}"
    );
    assert!(!refused.iter().any(|entry| entry.id == 0), "{refused:?}");
    let many = fixture.sh("i=1; while test $i -lt 40; do chown $i /tmp 2>/dev/null; i=$((i+1)); done; true");
    assert_eq!(many.outcome.as_ref().unwrap().refused.len(), 20);
}

fn unmapped() {
    let fixture = Fixture::new(Caller::Plain);
    for (user, what) in [
        (User { uid: 1000, gid: 0, groups: Vec::new() }, "user 1000 does not exist here"),
        (User { uid: 0, gid: 33, groups: Vec::new() }, "group 33 does not exist here"),
    ] {
        let answer = fixture.run(&Spec { user, ..fixture.spec("true") });
        assert!(answer.error.contains(what) && answer.error.contains("/etc/subuid"), "{answer:?}");
        assert!(answer.outcome.is_none());
    }
    // Root's supplementary groups in an image are no reason to fail.
    let user = User { uid: 0, gid: 0, groups: vec![1, 2, 3] };
    assert_eq!(fixture.run(&Spec { user, ..fixture.spec("id -u") }).out(), "0");
}

/// In a rootless container that has one id, root of the surroundings is no more than that.
fn nested() {
    let fixture = Fixture::new(Caller::Root);
    let job = crate::fixture::Job {
        shared: None,
        prepared: false,
        prefer: None,
        spec: fixture.spec("chown 5 /tmp; id -u"),
    };
    fs::write(fixture.path("job"), serde_json::to_vec(&job).unwrap()).unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(crate::fixture::runner())
        .arg(crate::fixture::RUN)
        .env("JOB", fixture.path("job"))
        .output()
        .unwrap();
    let answer: crate::fixture::Answer = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer.identity().mode, Mode::Single, "{answer:?}");
    assert_eq!(answer.out(), "0");
    assert_eq!(answer.outcome.as_ref().unwrap().refused.len(), 1, "{answer:?}");
}

fn chroot() {
    let fixture = Fixture::new(Caller::Confined);
    let script =
        "pwd; id -u; cat /etc/hosts | head -n 1; echo x >/dev/null; touch /srv/a/f; chown 5:6 /srv/a/f
        stat -c %u:%g /srv/a/f; ls /; exit 4";
    let answer = fixture.run(&Spec { cwd: "/srv/a".to_owned(), ..fixture.plain_spec(script) });
    assert_eq!(answer.identity().mode, Mode::Chroot, "{answer:?}");
    assert_eq!(answer.code(), 4);
    assert_eq!(
        answer.stdout, "/srv/a\n0\n127.0.0.1\tlocalhost box\n5:6\nbin\ndev\netc\nroot\nsrv\ntmp\n",
        "{answer:?}"
    );
    let user = User { uid: 1000, gid: 1000, groups: Vec::new() };
    let answer = fixture
        .run(&Spec { user, ..fixture.plain_spec("id -u; grep x /etc/passwd | wc -l; echo x >/etc/no") });
    assert!(answer.stdout.starts_with("1000\n2"), "{answer:?}");
    assert!(answer.stderr.contains("Permission denied"), "{answer:?}");
    for spec in [
        fixture.spec("true"),
        Spec { network: jettison_sandbox::Network::None, ..fixture.plain_spec("true") },
    ] {
        assert!(fixture.run(&spec).error.contains("is not possible in chroot mode"));
    }
}

fn chroot_leaves_no_trace() {
    let fixture = Fixture::new(Caller::Confined);
    fs::write(fixture.path("base/etc/hosts"), "own").unwrap();
    fs::hard_link(fixture.path("base/etc/hosts"), fixture.path("linked")).unwrap();
    let marker = format!("marker{}", std::process::id());
    let script = format!(
        "echo more >>/etc/hosts; (exec sleep 60.{}) & (sh -c 'sleep 60; : {marker}' & ) ; sleep 0.2",
        1
    );
    assert_eq!(fixture.run(&fixture.plain_spec(&script)).code(), 0);
    assert_eq!(fs::read_to_string(fixture.path("base/etc/hosts")).unwrap(), "own");
    assert_eq!(fs::read_to_string(fixture.path("linked")).unwrap(), "own");
    let mut names: Vec<_> =
        fs::read_dir(fixture.path("base/etc")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["hosts", "passwd"]);
    assert!(!fixture.path("base/dev").exists());
    assert!(!crate::kill::runs(&marker), "a process is left");
}

fn none() {
    let fixture = Fixture::new(Caller::Forbidden);
    let answer = fixture.sh("true");
    assert!(answer.identity.is_none(), "{answer:?}");
    for part in ["jettison doctor", "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces="] {
        assert!(answer.error.contains(part), "{part} is not in {}", answer.error);
    }
}

fn preferred() {
    let fixture = Fixture::new(Caller::Root);
    let answer = fixture.run_as(Some(Mode::Single), &fixture.spec("id -u; stat -c %u /etc"));
    assert_eq!(answer.identity().mode, Mode::Single);
    assert_eq!(answer.out(), "0\n0");
    let answer = fixture.run_as(Some(Mode::Subordinate), &fixture.spec("true"));
    assert!(answer.error.contains("this process is root already"), "{answer:?}");
    let answer = fixture.run_as(Some(Mode::Chroot), &fixture.plain_spec("mknod /tmp/disk b 8 0; echo done"));
    assert_eq!(answer.out(), "done");
}

fn probe() {
    let report = jettison_sandbox::probe();
    assert_eq!(report.mode, Some(Mode::Root));
    let find = |name: &str| {
        report.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}"))
    };
    for name in ["kernel", "mode root", "mode single-id", "mode chroot", "overlay"] {
        assert_eq!(find(name).status, Status::Ok, "{:?}", find(name));
    }
    assert!(find("overlay").detail.contains("127"));
    assert!(find("mode subordinate-ids").detail.contains("root already"));
    find("network");
    find("emulators");
    find("newuidmap, newgidmap");
    let directory = tempfile::tempdir().unwrap();
    assert!(jettison_sandbox::overlay_supported(directory.path()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(!jettison_sandbox::overlay_supported(std::path::Path::new("/proc")));
}
