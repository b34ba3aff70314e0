//! The filter on system calls: Docker's default profile, compiled to BPF (seccomp(2), Documentation/userspace-api/
//! seccomp_filter.rst).
//!
//! A binary of a foreign architecture that this kernel runs (32-bit ones) has the same profile by its own numbers.

use std::sync::OnceLock;

use libc::sock_filter;

/// One line a call; see the file's own head.
const TABLE: &str = include_str!("syscalls.txt");

/// The highest number the table knows of; what is newer gets ENOSYS, so that programs fall back to older calls.
const NEWEST: u32 = 469;

/// An architecture as the kernel names it to filters: `AUDIT_ARCH_*` of linux/audit.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arch {
    audit: u32,
    /// Its column in the table, after the name.
    column: usize,
}

const X86_64: Arch = Arch { audit: 0xC000_003E, column: 0 };
const I386: Arch = Arch { audit: 0x4000_0003, column: 1 };
const AARCH64: Arch = Arch { audit: 0xC000_00B7, column: 2 };
const ARM: Arch = Arch { audit: 0x4000_0028, column: 3 };
const KNOWN: [Arch; 4] = [X86_64, I386, AARCH64, ARM];

/// The architectures whose programs this kernel may run.
const NATIVE: [Arch; 2] = if cfg!(target_arch = "aarch64") { [AARCH64, ARM] } else { [X86_64, I386] };

/// Set in the numbers of x32, which are otherwise those of x86_64, but for 512 to 547.
const X32_BIT: u32 = 0x4000_0000;
/// The numbers of x32 alone: kexec_load and move_pages are the two that the profile refuses.
const X32_RANGES: [(u32, u32); 3] = [(512, 527), (529, 532), (534, 547)];

/// `CLONE_NEW*`: namespaces are not a command's to make.
const CLONE_NAMESPACES: u32 = 0x7E02_0000;
const AF_VSOCK: u32 = 40;
/// Linux, Linux with 32-bit addresses, and both with UNAME26; and "tell, do not change".
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];
/// ioctls by which a command could type into the terminal it shares with its caller.
const TYPING: [u32; 2] = [0x5412, 0x541C];

/// The calls that name users or groups: handed over to be recorded where not all ids exist.
pub(crate) const OF_IDS: [&str; 25] = [
    "chown",
    "chown32",
    "fchown",
    "fchown32",
    "fchownat",
    "lchown",
    "lchown32",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setuid",
    "setuid32",
];

/// What a filter is to do besides Docker's profile.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Hand over the calls that name users or groups.
    pub(crate) announce_ids: bool,
    /// The command has its caller's terminal.
    pub(crate) terminal: bool,
}

/// The program to load.
pub(crate) fn filter(options: Options) -> Vec<sock_filter> {
    let mut program = Vec::new();
    for arch in NATIVE {
        let section = section(arch, options);
        program.push(load(ARCH));
        program.push(jump(libc::BPF_JEQ, arch.audit, 1, 0));
        // Unconditional jumps alone reach further than 255.
        program.push(instruction(libc::BPF_JMP | libc::BPF_JA, section.len() as u32, 0, 0));
        program.extend(section);
    }
    program.push(ret(refuse(libc::EPERM)));
    program
}

/// The same as numbers, to be sent to the process that loads it: one an instruction, as it lies in memory read from
/// the end. Made once in the life of this process, for that takes as long as a tenth of a step.
pub(crate) fn encoded(options: Options) -> &'static [u64] {
    static PROGRAMS: [OnceLock<Vec<u64>>; 4] = [const { OnceLock::new() }; 4];
    let index = usize::from(options.announce_ids) * 2 + usize::from(options.terminal);
    let encode = |step: &sock_filter| {
        u64::from(step.k) << 32 | u64::from(step.jf) << 24 | u64::from(step.jt) << 16 | u64::from(step.code)
    };
    PROGRAMS[index].get_or_init(|| filter(options).iter().map(encode).collect())
}

/// The program that was sent.
pub(crate) fn decode(program: &[u64]) -> Vec<sock_filter> {
    let step = |&word: &u64| {
        instruction(word as u32 & 0xFFFF, (word >> 32) as u32, (word >> 16) as u8, (word >> 24) as u8)
    };
    program.iter().map(step).collect()
}

/// The name of a call by its number, if the table has it.
pub(crate) fn name(audit: u32, number: u32) -> Option<&'static str> {
    let arch = KNOWN.iter().find(|arch| arch.audit == audit)?;
    let number = if *arch == X86_64 { number & !X32_BIT } else { number };
    rows(*arch).find(|row| row.1 == number).map(|row| row.0)
}

/// Whether ids in the call `name` of a 32-bit architecture have 16 bits: those older than the ones ending in `32`.
pub(crate) fn has_short_ids(audit: u32, name: &str) -> bool {
    [I386.audit, ARM.audit].contains(&audit) && !name.ends_with("32") && name != "fchownat"
}

/// Names and numbers of an architecture.
fn rows(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(move |line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        Some((name, words.nth(arch.column)?.parse().ok()?))
    })
}

/// Decides about the calls of one architecture; every path returns.
fn section(arch: Arch, options: Options) -> Vec<sock_filter> {
    let mut program = vec![load(NUMBER)];
    let mut allowed = Vec::new();
    if arch == X86_64 {
        program.push(instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, !X32_BIT, 0, 0));
        allowed.extend(X32_RANGES);
    }
    for (name, number) in rows(arch) {
        match special(name, options) {
            None => allowed.push((number, number)),
            Some(rule) => {
                program.push(jump(libc::BPF_JEQ, number, 0, rule.len() as u8));
                program.extend(rule);
            }
        }
    }
    program.extend(search(&segments(&joined(allowed))));
    program
}

/// What there is to say about a call without a look at its arguments.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Allow,
    Refuse,
    Unknown,
}

/// What the kernel is told of each verdict, in their order: the returns that end a search.
const RETURNS: [u32; 3] = [libc::SECCOMP_RET_ALLOW, refuse(libc::EPERM), refuse(libc::ENOSYS)];

/// The numbers from `first` on, up to those of the next segment.
#[derive(Debug, Clone, Copy)]
struct Segment {
    first: u32,
    verdict: Verdict,
}

/// Allows what is in sorted ranges that do not adjoin, and tells calls that are refused from those not yet known.
fn segments(allowed: &[(u32, u32)]) -> Vec<Segment> {
    let mut result = Vec::new();
    let mut gap = 0;
    let ends = allowed.iter().copied().chain([(u32::MAX, u32::MAX)]);
    for (first, last) in ends {
        result.extend(
            (gap < first.min(NEWEST + 1)).then_some(Segment { first: gap, verdict: Verdict::Refuse }),
        );
        let newer = gap.max(NEWEST + 1);
        result.extend((newer < first).then_some(Segment { first: newer, verdict: Verdict::Unknown }));
        if first < u32::MAX {
            result.push(Segment { first, verdict: Verdict::Allow });
        }
        gap = last.saturating_add(1);
    }
    result
}

/// Looks a number up: a decision tree, and the returns that its leaves share. Short and flat, for the kernel translates
/// the program, and walks it for each call there is (to remember those that are always allowed), whenever it is loaded.
fn search(segments: &[Segment]) -> Vec<sock_filter> {
    let mut program = Vec::new();
    decide(segments, 0, &mut program);
    program.extend(RETURNS.map(ret));
    program
}

/// Adds the tree of some segments: one comparison fewer than there are. `after` instructions are between it and the
/// returns.
fn decide(segments: &[Segment], after: usize, program: &mut Vec<sock_filter>) {
    let (lower, upper) = segments.split_at(segments.len() / 2);
    let (Some(least), false) = (upper.first(), lower.is_empty()) else { return };
    let sizes = (lower.len() - 1, upper.len() - 1);
    // Past what lies between the comparison and the half. A half without a choice is its verdict.
    let target = |half: &[Segment], start: usize| match half {
        [only] => sizes.0 + sizes.1 + after + only.verdict as usize,
        _ => start,
    };
    program.push(jump(libc::BPF_JGE, least.first, near(target(upper, sizes.0)), near(target(lower, 0))));
    decide(lower, sizes.1 + after, program);
    decide(upper, after, program);
}

/// The distance of a jump. The table is part of the program, and a test makes all its filters.
fn near(distance: usize) -> u8 {
    u8::try_from(distance).expect("the tree of an architecture has less than 256 comparisons")
}

/// The rule of a call that is not simply allowed. Arguments are compared by their lower half: all are of type int, or
/// have no meaning above it.
fn special(name: &str, options: Options) -> Option<Vec<sock_filter>> {
    let (allow, refused) = (ret(libc::SECCOMP_RET_ALLOW), ret(refuse(libc::EPERM)));
    match name {
        "clone" => {
            Some(vec![load(argument(0)), jump(libc::BPF_JSET, CLONE_NAMESPACES, 1, 0), allow, refused])
        }
        // Its flags are in memory, out of a filter's reach; programs fall back to clone.
        "clone3" => Some(vec![ret(refuse(libc::ENOSYS))]),
        "socket" => Some(vec![load(argument(0)), jump(libc::BPF_JEQ, AF_VSOCK, 1, 0), allow, refused]),
        "personality" => Some(if_one_of(argument(0), &PERSONALITIES, allow, refused)),
        "ioctl" if options.terminal => Some(if_one_of(argument(1), &TYPING, refused, allow)),
        _ if options.announce_ids && OF_IDS.contains(&name) => Some(vec![ret(libc::SECCOMP_RET_USER_NOTIF)]),
        _ => None,
    }
}

fn if_one_of(place: u32, values: &[u32], yes: sock_filter, no: sock_filter) -> Vec<sock_filter> {
    let mut program = vec![load(place)];
    for &value in values {
        program.extend([jump(libc::BPF_JEQ, value, 0, 1), yes]);
    }
    program.push(no);
    program
}

/// Sorts ranges and joins those that adjoin.
fn joined(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut result: Vec<(u32, u32)> = Vec::new();
    for (first, last) in ranges {
        match result.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
            _ => result.push((first, last)),
        }
    }
    result
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// The offset of the lower half of an argument; the architectures of the table are little-endian.
fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    instruction(libc::BPF_JMP | test | libc::BPF_K, k, jt, jf)
}

fn ret(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

#[cfg(test)]
mod tests;
