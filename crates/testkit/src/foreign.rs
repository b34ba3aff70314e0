//! Another processor: a program for it, and a kernel that emulates it.

use std::path::Path;
use std::process::Command;

use crate::tools;

/// What [`program_for_arm64`] writes to `/out`.
pub const GREETING: &str = "arm64\n";

/// What the kernel is told to emulate arm64 by: kernel, `admin-guide/binfmt-misc.rst`; magic and mask are Debian's.
/// `flags` are `F` or nothing.
pub fn registration(flags: &str) -> String {
    let magic = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
    let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
    format!(":jettison-arm64:M::{magic}:{mask}:{}:{flags}", tools::require(EMULATOR).display())
}

const EMULATOR: &str = "qemu-aarch64-static";

/// Says why arm64 cannot be emulated in a user namespace of its own here: Linux 6.7 and later with binfmt_misc can.
pub fn no_emulation() -> Option<String> {
    if cfg!(target_arch = "aarch64") {
        return Some("this machine is arm64 itself".to_owned());
    }
    tools::require(EMULATOR);
    let place = Path::new("/proc/sys/fs/binfmt_misc");
    let mut command = Command::new(tools::require("unshare"));
    command.args(["--user", "--map-root-user", "--mount", "mount", "-t", "binfmt_misc", "none"]).arg(place);
    let output = command.output().unwrap();
    (!output.status.success()).then(|| {
        format!("no binfmt_misc in a user namespace: {}", String::from_utf8_lossy(&output.stderr).trim())
    })
}

/// Returns a static program for Linux on arm64 that writes [`GREETING`] to the file `/out`.
pub fn program_for_arm64() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    const CODE: u32 = 13 * 4;
    let movz = |register: u32, value: u32| 0xd280_0000 | value << 5 | register;
    // adr x1, the address `target` bytes after the first instruction, in instruction number `at`.
    let adr_x1 = |at: u32, target: u32| {
        let distance = target - at * 4;
        0x1000_0000 | (distance & 3) << 29 | (distance >> 2) << 5 | 1
    };
    let svc = 0xd400_0001;
    let path = b"/out\0\0\0\0";
    let code = [
        0x9280_0000 | 99 << 5, // mov x0, AT_FDCWD
        adr_x1(1, CODE),
        movz(2, 0o101), // O_WRONLY | O_CREAT
        movz(3, 0o644),
        movz(8, 56), // openat
        svc,
        adr_x1(6, CODE + path.len() as u32),
        movz(2, GREETING.len() as u32),
        movz(8, 64), // write, to the descriptor in x0
        svc,
        movz(0, 0),
        movz(8, 93), // exit
        svc,
    ];
    let size = HEADERS + u64::from(CODE) + path.len() as u64 + GREETING.len() as u64;

    // ELF header: 64 bits, little-endian, ET_EXEC, EM_AARCH64; one program header (PT_LOAD, read and execute).
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0".to_vec();
    program.extend([BASE + HEADERS, 64, 0].iter().flat_map(|word: &u64| word.to_le_bytes()));
    program.extend([0u16, 0, 64, 56, 1, 64, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    program.extend([1u32, 5].iter().flat_map(|word| word.to_le_bytes()));
    program.extend([0, BASE, BASE, size, size, 0x1_0000].iter().flat_map(|word: &u64| word.to_le_bytes()));
    program.extend(code.iter().flat_map(|word: &u32| word.to_le_bytes()));
    program.extend_from_slice(path);
    program.extend_from_slice(GREETING.as_bytes());
    program
}
