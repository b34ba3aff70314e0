//! Programs for other processors: told apart from what cannot be executed for other reasons.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A program that did not start because it is for another processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// The program, inside the root.
    pub program: String,
    /// Go's name of the processor, such as `arm64`.
    pub architecture: String,
    /// Whether the kernel knows an emulator, but does not find it inside the root: binfmt_misc without the flag `F`
    /// (kernel: `admin-guide/binfmt-misc.rst`).
    pub emulator_missing: bool,
}

/// ELF: class (32 or 64 bits), byte order (1 is little-endian), `e_machine`, and Go's name. From `elf.h`.
const MACHINES: &[(u8, u8, u16, &str)] = &[
    (1, 1, 3, "386"),
    (2, 1, 62, "amd64"),
    (1, 1, 40, "arm"),
    (2, 1, 183, "arm64"),
    (2, 1, 258, "loong64"),
    (1, 2, 8, "mips"),
    (1, 1, 8, "mipsle"),
    (2, 2, 8, "mips64"),
    (2, 1, 8, "mips64le"),
    (2, 2, 21, "ppc64"),
    (2, 1, 21, "ppc64le"),
    (2, 1, 243, "riscv64"),
    (2, 2, 22, "s390x"),
];

/// Explains why execve(2) of `program` failed with `error`, if it did because of the processor that the program is for.
pub(super) fn explain(program: &Path, error: &io::Error) -> Option<Foreign> {
    let emulator_missing = match error.raw_os_error()? {
        libc::ENOEXEC => false,
        libc::ENOENT => true,
        _ => return None,
    };
    let mut header = [0; 20];
    File::open(program).and_then(|mut file| file.read_exact(&mut header)).ok()?;
    let architecture = architecture(&header)?;
    let own = std::env::consts::ARCH;
    let own = MACHINES.iter().map(|machine| machine.3).find(|name| *name == go_name(own));
    (Some(architecture) != own).then(|| Foreign {
        program: program.to_string_lossy().into_owned(),
        architecture: architecture.to_owned(),
        emulator_missing,
    })
}

/// Returns Go's name of the processor that an ELF file is for, from its first bytes.
fn architecture(header: &[u8; 20]) -> Option<&'static str> {
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let (class, order, machine) = (header[4], header[5], [header[18], header[19]]);
    let machine = if order == 1 { u16::from_le_bytes(machine) } else { u16::from_be_bytes(machine) };
    MACHINES.iter().find(|known| (known.0, known.1, known.2) == (class, order, machine)).map(|known| known.3)
}

/// Go's name of one of Rust's processors.
fn go_name(rust: &str) -> &str {
    match rust {
        "x86" => "386",
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, order: u8, machine: [u8; 2]) -> [u8; 20] {
        let mut header = [0; 20];
        header[..4].copy_from_slice(b"\x7fELF");
        (header[4], header[5], header[18], header[19]) = (class, order, machine[0], machine[1]);
        header
    }

    #[test]
    fn programs_say_what_they_are_for() {
        for (class, order, machine, name) in [
            (2, 1, [62, 0], Some("amd64")),
            (2, 1, [183, 0], Some("arm64")),
            (1, 1, [40, 0], Some("arm")),
            (2, 2, [0, 22], Some("s390x")),
            (2, 1, [0xff, 0xff], None),
        ] {
            assert_eq!(architecture(&header(class, order, machine)), name);
        }
        assert_eq!(architecture(b"#!/bin/sh\n0123456789"), None);
    }

    #[test]
    fn only_other_processors_are_an_explanation() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        let other = if cfg!(target_arch = "s390x") { (2, 1, [183, 0]) } else { (2, 2, [0, 22]) };
        std::fs::write(&file, header(other.0, other.1, other.2)).unwrap();
        let errno = io::Error::from_raw_os_error;
        assert!(!explain(&file, &errno(libc::ENOEXEC)).unwrap().emulator_missing);
        assert!(explain(&file, &errno(libc::ENOENT)).unwrap().emulator_missing);
        assert_eq!(explain(&file, &errno(libc::EACCES)), None);
        let own = std::env::current_exe().unwrap();
        assert_eq!(explain(&own, &errno(libc::ENOENT)), None);
        std::fs::write(&file, "echo no interpreter line\n").unwrap();
        assert_eq!(explain(&file, &errno(libc::ENOEXEC)), None);
    }
}
