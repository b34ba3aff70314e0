//! The command itself: how it is found, what it is given, and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use jettison_sandbox::{Network, Spec, User};

use crate::Check;
use crate::fixture::{Caller, Fixture};

pub const CHECKS: &[Check] = &[
    ("exit codes", exit_codes),
    ("commands that cannot be executed", not_executed),
    ("output and environment", output_and_environment),
    ("working directory is made for the user", working_directory),
    ("user, groups and umask", identity),
    ("capabilities", capabilities),
    ("seccomp", seccomp),
    ("32-bit program", i386),
    ("streams can be opened by any user", streams),
    ("what is left running is ended", left_running),
    ("standard input", standard_input),
];

fn exit_codes() {
    let fixture = Fixture::new(Caller::Root);
    for (script, code) in [("true", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(fixture.sh(script).code(), code, "{script}");
    }
}

fn not_executed() {
    let fixture = Fixture::new(Caller::Root);
    fs::write(fixture.path("base/bin/plain"), "").unwrap();
    fs::write(fixture.path("base/bin/text"), "no program").unwrap();
    fs::write(fixture.path("base/bin/orphan"), "#!/bin/nothing\n").unwrap();
    for name in ["text", "orphan"] {
        fs::set_permissions(fixture.path("base/bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (name, code, message) in [
        ("none", 127, "exec: \"none\": executable file not found in $PATH"),
        ("/bin/none", 127, "exec: \"/bin/none\": stat /bin/none: no such file or directory"),
        ("plain", 126, "exec: \"plain\": permission denied"),
        ("/etc", 126, "exec: \"/etc\": is a directory"),
        ("text", 126, "exec /bin/text: exec format error"),
        ("orphan", 127, "exec /bin/orphan: no such file or directory"),
    ] {
        let answer = fixture.run(&Spec { args: vec![name.to_owned()], ..fixture.spec("") });
        assert_eq!((answer.code(), answer.stderr.trim_end()), (code, message));
    }
}

fn output_and_environment() {
    let fixture = Fixture::new(Caller::Root);
    let answer = fixture.sh("echo one; echo two >&2; hostname; tty; cat");
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("one\nbox\nnot a tty\n", "two\n"));
    let env = ["PATH=/bin", "A=1", "B=two words"].map(str::to_owned).to_vec();
    let spec = Spec { args: vec!["env".to_owned()], env, ..fixture.spec("") };
    assert_eq!(fixture.run(&spec).out(), "PATH=/bin\nA=1\nB=two words\nHOME=/root");
    let user = User { uid: 1000, gid: 1000, groups: Vec::new() };
    assert_eq!(fixture.run(&Spec { user, ..fixture.spec("echo $HOME") }).out(), "/home/ann");
}

fn working_directory() {
    let fixture = Fixture::new(Caller::Root);
    let user = User { uid: 1000, gid: 1001, groups: Vec::new() };
    let spec = Spec { user, cwd: "/srv/a/b".to_owned(), ..fixture.spec("pwd; stat -c %a:%u:%g . .. / /srv") };
    assert_eq!(fixture.run(&spec).out(), "/srv/a/b\n755:1000:1001\n755:1000:1001\n755:0:0\n755:1000:1001");
    assert_eq!(fixture.upper(), ["srv", "srv/a", "srv/a/b"]);
    let spec = Spec { cwd: "/etc/passwd".to_owned(), ..fixture.spec("pwd") };
    assert!(fixture.run(&spec).error.contains("use /etc/passwd as working directory"));
}

fn identity() {
    let fixture = Fixture::new(Caller::Root);
    let user = User { uid: 1000, gid: 1001, groups: vec![5, 1001] };
    let script = "id -u; id -g; id -G; touch /tmp/f; mkdir /tmp/d; stat -c %a:%u:%g /tmp/f /tmp/d";
    let answer = fixture.run(&Spec { user, ..fixture.spec(script) });
    assert_eq!(answer.out(), "1000\n1001\n1001 5\n644:1000:1001\n755:1000:1001");
    assert_eq!(fixture.sh("id -u; id -G").out(), "0\n0");
}

fn capabilities() {
    let fixture = Fixture::new(Caller::Root);
    let status = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status";
    let user = User { uid: 1000, gid: 1000, groups: Vec::new() };
    let (all, none) = ("00000000a80425fb", "0000000000000000");
    let expected = |inner: &str, bounding: &str| {
        format!(
            "CapInh:\t{none}\nCapPrm:\t{inner}\nCapEff:\t{inner}\nCapBnd:\t{bounding}\nCapAmb:\t{none}\nNoNewPrivs:\t0\nSeccomp:\t2"
        )
    };
    assert_eq!(fixture.sh(status).out(), expected(all, all));
    assert_eq!(fixture.run(&Spec { user, ..fixture.spec(status) }).out(), expected(none, all));
    let host = Spec { network: Network::Host, ..fixture.spec(status) };
    assert_eq!(
        fixture.run(&host).out(),
        expected("00000000a80405fb", "00000000a80405fb"),
        "NET_RAW is dropped"
    );
}

fn seccomp() {
    let fixture = Fixture::new(Caller::Root);
    for script in ["unshare -U true", "unshare -m true", "mount -t tmpfs none /tmp", "umount /proc"] {
        let answer = fixture.sh(script);
        assert_ne!(answer.code(), 0, "{script}");
        // busybox has its own words for the error of mount.
        let refused = ["Operation not permitted", "permission denied"];
        assert!(refused.iter().any(|words| answer.stderr.contains(words)), "{script}: {}", answer.stderr);
    }
    // What the profile allows for the sake of Docker's capabilities.
    assert_eq!(fixture.sh("chroot / echo in").out(), "in");
}

/// exit(7) for i386: an ELF header, one program header, and twelve bytes of code.
fn i386_program() -> Vec<u8> {
    let code = [0xb8, 1, 0, 0, 0, 0xbb, 7, 0, 0, 0, 0xcd, 0x80];
    let (base, start): (u32, u32) = (0x0804_8000, 52 + 32);
    let size = start + code.len() as u32;
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    for word in [base + start, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52u16, 32, 1, 40, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1, 0, base, base, size, size, 5, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

fn i386() {
    let fixture = Fixture::new(Caller::Root);
    fs::write(fixture.path("base/bin/seven"), i386_program()).unwrap();
    fs::set_permissions(fixture.path("base/bin/seven"), fs::Permissions::from_mode(0o755)).unwrap();
    let answer = fixture.run(&Spec { args: vec!["seven".to_owned()], ..fixture.spec("") });
    assert_eq!(answer.code(), 7, "{answer:?}");
}

fn streams() {
    let fixture = Fixture::new(Caller::Root);
    let user = User { uid: 1000, gid: 1000, groups: Vec::new() };
    let answer = fixture.run(&Spec { user, ..fixture.spec("echo out >/dev/stdout; echo err >/dev/stderr") });
    assert_eq!((answer.out(), answer.stderr.as_str()), ("out", "err\n"));
}

fn left_running() {
    let fixture = Fixture::new(Caller::Root);
    let start = Instant::now();
    assert_eq!(fixture.sh("sleep 60 & (sleep 60 & ) ; echo done").out(), "done");
    assert!(start.elapsed() < Duration::from_secs(20), "nobody waits for what is left running");
}

fn standard_input() {
    let fixture = Fixture::new(Caller::Root);
    assert_eq!(fixture.run(&Spec { interactive: true, ..fixture.spec("cat") }).out(), "typed");
}
