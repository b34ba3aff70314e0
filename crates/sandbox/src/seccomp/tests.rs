//! The filter, run by a small interpreter of the BPF that seccomp allows.

use super::*;

/// What the kernel would decide.
fn run(program: &[sock_filter], audit: u32, number: u32, args: [u32; 2]) -> u32 {
    let field = |offset: u32| match offset {
        0 => number,
        4 => audit,
        16 => args[0],
        24 => args[1],
        other => panic!("load at {other}"),
    };
    let (mut accumulator, mut at) = (0, 0);
    for _ in 0..program.len() {
        let step = program[at];
        let code = u32::from(step.code);
        at += 1;
        let taken = match code & 0x07 {
            libc::BPF_LD => {
                accumulator = field(step.k);
                continue;
            }
            libc::BPF_ALU => {
                accumulator &= step.k;
                continue;
            }
            libc::BPF_RET => return step.k,
            libc::BPF_JMP => match code & 0xf0 {
                libc::BPF_JA => {
                    at += step.k as usize;
                    continue;
                }
                libc::BPF_JEQ => accumulator == step.k,
                libc::BPF_JGT => accumulator > step.k,
                libc::BPF_JGE => accumulator >= step.k,
                libc::BPF_JSET => accumulator & step.k != 0,
                other => panic!("jump {other:x}"),
            },
            other => panic!("class {other:x}"),
        };
        at += usize::from(if taken { step.jt } else { step.jf });
    }
    panic!("the program does not end");
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

fn number(arch: Arch, wanted: &str) -> u32 {
    rows(arch).find(|row| row.0 == wanted).unwrap_or_else(|| panic!("{wanted} is in the table")).1
}

#[test]
#[cfg(target_arch = "x86_64")]
fn numbers_are_those_of_the_c_library() {
    for (name, expected) in [
        ("read", libc::SYS_read),
        ("openat2", libc::SYS_openat2),
        ("clone3", libc::SYS_clone3),
        ("statx", libc::SYS_statx),
        ("setresuid", libc::SYS_setresuid),
        ("close_range", libc::SYS_close_range),
        ("chroot", libc::SYS_chroot),
    ] {
        assert_eq!(i64::from(number(X86_64, name)), expected, "{name}");
    }
}

#[test]
fn table_is_complete_and_has_no_number_twice() {
    for arch in KNOWN {
        let mut numbers: Vec<u32> = rows(arch).map(|row| row.1).collect();
        let count = numbers.len();
        assert!(count > 260, "{arch:?} has {count}");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "{arch:?}");
    }
}

#[test]
fn programs_are_short_enough() {
    for (announce_ids, terminal) in [(false, false), (false, true), (true, false), (true, true)] {
        let options = Options { announce_ids, terminal };
        let length = filter(options).len();
        assert!(length < 4096, "{length} instructions");
        // Those of another processor too: no jump is too far.
        assert!(KNOWN.iter().all(|arch| !section(*arch, options).is_empty()));
    }
}

#[test]
fn encoding_keeps_every_instruction() {
    for options in [Options::default(), Options { announce_ids: true, terminal: true }] {
        let (sent, made) = (decode(encoded(options)), filter(options));
        let fields = |step: &sock_filter| (step.code, step.jt, step.jf, step.k);
        assert!(sent.iter().map(fields).eq(made.iter().map(fields)));
    }
}

#[test]
fn names_by_number() {
    assert_eq!(name(X86_64.audit, 92), Some("chown"));
    assert_eq!(name(X86_64.audit, 92 | X32_BIT), Some("chown"));
    assert_eq!(name(I386.audit, 212), Some("chown32"));
    assert_eq!(name(X86_64.audit, 165), None, "mount is not allowed, so it is not in the table");
    assert_eq!(name(1, 1), None);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn decisions_on_x86() {
    let program = filter(Options::default());
    let (x86, i386) = (X86_64.audit, I386.audit);
    let clone = number(X86_64, "clone");
    let cases = [
        ("read", x86, 0, [0; 2], ALLOW),
        ("mount", x86, 165, [0; 2], EPERM),
        ("umount2", x86, 166, [0; 2], EPERM),
        ("unshare", x86, 272, [0; 2], EPERM),
        ("setns", x86, 308, [0; 2], EPERM),
        ("bpf", x86, 321, [0; 2], EPERM),
        ("io_uring_setup", x86, 425, [0; 2], EPERM),
        ("keyctl", x86, 250, [0; 2], EPERM),
        ("clone3", x86, 435, [0; 2], ENOSYS),
        ("a call of the future", x86, 600, [0; 2], ENOSYS),
        ("clone of a thread", x86, clone, [0x3d_0f00, 0], ALLOW),
        ("clone of a user namespace", x86, clone, [0x1000_0011, 0], EPERM),
        ("clone of a cgroup namespace", x86, clone, [0x0200_0011, 0], EPERM),
        ("socket(AF_INET)", x86, 41, [2, 0], ALLOW),
        ("socket(AF_VSOCK)", x86, 41, [40, 0], EPERM),
        ("personality(UNAME26)", x86, 135, [0x2_0000, 0], ALLOW),
        ("personality(ADDR_NO_RANDOMIZE)", x86, 135, [0x4_0000, 0], EPERM),
        ("ioctl(TIOCSTI)", x86, 16, [0, 0x5412], ALLOW),
        ("chown", x86, 92, [0; 2], ALLOW),
        ("chroot", x86, 161, [0; 2], ALLOW),
        ("x32 read", x86, X32_BIT, [0; 2], ALLOW),
        ("x32 execve", x86, X32_BIT | 520, [0; 2], ALLOW),
        ("x32 kexec_load", x86, X32_BIT | 528, [0; 2], EPERM | ENOSYS),
        ("i386 exit", i386, 1, [0; 2], ALLOW),
        ("i386 mount", i386, 21, [0; 2], EPERM),
        ("i386 clone3", i386, 435, [0; 2], ENOSYS),
        ("i386 socketcall", i386, 102, [0; 2], ALLOW),
        ("another architecture", ARM.audit, 1, [0; 2], EPERM),
    ];
    for (what, audit, number, args, expected) in cases {
        let decided = run(&program, audit, number, args);
        match what {
            "x32 kexec_load" => assert_ne!(decided, ALLOW, "{what}"),
            _ => assert_eq!(decided, expected, "{what}"),
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn options_change_only_what_they_name() {
    let program = filter(Options { announce_ids: true, terminal: true });
    for (what, audit, number, args, expected) in [
        ("chown", X86_64.audit, 92, [0; 2], NOTIFY),
        ("setgroups", X86_64.audit, 116, [0; 2], NOTIFY),
        ("i386 chown32", I386.audit, 212, [0; 2], NOTIFY),
        ("ioctl(TIOCSTI)", X86_64.audit, 16, [0, 0x5412], EPERM),
        ("ioctl(TCGETS)", X86_64.audit, 16, [0, 0x5401], ALLOW),
        ("chmod", X86_64.audit, 90, [0; 2], ALLOW),
        ("mount", X86_64.audit, 165, [0; 2], EPERM),
    ] {
        assert_eq!(run(&program, audit, number, args), expected, "{what}");
    }
}

#[test]
fn search_decides_as_the_list_does() {
    for arch in NATIVE {
        let program = section(arch, Options::default());
        let always: Vec<u32> =
            rows(arch).filter(|row| special(row.0, Options::default()).is_none()).map(|row| row.1).collect();
        let judged: Vec<u32> =
            rows(arch).filter(|row| special(row.0, Options::default()).is_some()).map(|row| row.1).collect();
        for number in (0..1100).filter(|number| !judged.contains(number) && !(512..548).contains(number)) {
            let expected = match number {
                _ if always.contains(&number) => ALLOW,
                _ if number > NEWEST => ENOSYS,
                _ => EPERM,
            };
            assert_eq!(run(&program, arch.audit, number, [0; 2]), expected, "{arch:?} {number}");
        }
    }
}

#[test]
fn ranges_are_joined() {
    assert_eq!(joined(vec![(5, 5), (3, 3), (4, 4), (7, 9), (8, 8)]), [(3, 5), (7, 9)]);
}
