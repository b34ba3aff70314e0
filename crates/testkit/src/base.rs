//! Small base images from Debian's `busybox-static`, with the users and groups of the real ones.

use std::fs;

use jettison_image::{DEFAULT_PATH, RunConfig};

use crate::layout::{Layer, Layout};
use crate::tools;

/// How many layers the deep image has: as many as Docker allows.
pub const DEEP: usize = 127;

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
node:x:1000:1000::/home/node:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
www-data:x:33:
staff:x:50:node
node:x:1000:
nobody:x:65534:
";

/// Makes a layout with `busybox`, `alpine`, `deep` and `empty` under those tags.
///
/// - `busybox`: the applets are hard links, as in the official image.
/// - `alpine`: the applets are symbolic links, `/lib64` and `/var/run` links to directories.
/// - `deep`: busybox under 126 more layers, each with a file `/layers/N`; every tenth replaces `/top` and removes what the
///   one before it added.
pub fn images() -> Layout {
    let mut layout = Layout::new();
    layout.add("busybox", &config("sh"), &[busybox()]);
    layout.add("alpine", &config("/bin/sh"), &[alpine()]);
    layout.add("deep", &config("sh"), &deep());
    layout
}

/// Makes a layout with `busybox` alone.
pub fn busybox_image() -> Layout {
    let mut layout = Layout::new();
    layout.add("busybox", &config("sh"), &[busybox()]);
    layout
}

/// Returns the config of a base image whose command is `command`.
pub fn config(command: &str) -> RunConfig {
    RunConfig {
        env: vec![format!("PATH={DEFAULT_PATH}")],
        cmd: Some(vec![command.to_owned()]),
        ..RunConfig::default()
    }
}

/// Makes the layer of `busybox`.
pub fn busybox() -> Layer {
    applets()
        .iter()
        .fold(skeleton(), |layer, applet| layer.hard_link(&format!("bin/{applet}"), "bin/busybox"))
}

/// Makes the layer of `alpine`.
pub fn alpine() -> Layer {
    let layer =
        skeleton().dir("run", 0o755).dir("lib", 0o755).symlink("lib64", "lib").symlink("var/run", "../run");
    applets().iter().fold(layer, |layer, applet| layer.symlink(&format!("bin/{applet}"), "/bin/busybox"))
}

fn deep() -> Vec<Layer> {
    let mut layers = vec![busybox()];
    for number in 1..DEEP {
        let layer =
            Layer::new().dir("layers", 0o755).file(&format!("layers/{number}"), 0o644, number.to_string());
        layers.push(match number % 10 {
            0 => layer.file("top", 0o644, format!("{number}\n")).whiteout(&format!("layers/{}", number - 1)),
            _ => layer,
        });
    }
    layers
}

fn skeleton() -> Layer {
    let busybox = tools::require("busybox");
    let binary = fs::read(&busybox).unwrap_or_else(|error| panic!("{}: {error}", busybox.display()));
    let folders =
        ["bin", "dev", "etc", "home", "proc", "sys", "usr", "usr/bin", "usr/sbin", "var", "var/www"];
    folders
        .iter()
        .fold(Layer::new(), |layer, folder| layer.dir(folder, 0o755))
        .dir("root", 0o700)
        .dir("tmp", 0o1777)
        .file("bin/busybox", 0o755, binary)
        .file("etc/passwd", 0o644, PASSWD)
        .file("etc/group", 0o644, GROUP)
        .owner(1000, 1000)
        .dir("home/node", 0o755)
        .owner(0, 0)
}

/// Returns the names under which busybox acts as another program.
fn applets() -> Vec<String> {
    let names = tools::run("busybox", ["--list"]);
    names.lines().filter(|name| *name != "busybox").map(str::to_owned).collect()
}

/// Returns a 32-bit static program for Linux on x86 that writes `32 bits` and a newline.
pub fn program_of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let text = b"32 bits\n";
    let mut code = vec![
        0xb8,
        4,
        0,
        0,
        0, // mov eax, 4 (write)
        0xbb,
        1,
        0,
        0,
        0, // mov ebx, 1
        0xb9,
        0,
        0,
        0,
        0, // mov ecx, address of the text
        0xba,
        text.len() as u8,
        0,
        0,
        0, // mov edx, its length
        0xcd,
        0x80, // int 0x80
        0xb8,
        1,
        0,
        0,
        0, // mov eax, 1 (exit)
        0x31,
        0xdb, // xor ebx, ebx
        0xcd,
        0x80, // int 0x80
    ];
    let address = BASE + HEADERS + code.len() as u32;
    code[11..15].copy_from_slice(&address.to_le_bytes());
    code.extend_from_slice(text);
    let size = HEADERS + code.len() as u32;

    // ELF header: 32 bits, little-endian, ET_EXEC, EM_386, one program header (PT_LOAD, read and execute).
    let mut program = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    let words = [1, BASE + HEADERS, 52, 0, 0];
    program.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
    program.extend([52u16, 32, 1, 40, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    program
        .extend([1, 0, BASE, BASE, size, size, 5, 0x1000].iter().flat_map(|word: &u32| word.to_le_bytes()));
    program.extend(code);
    program
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Image;

    #[test]
    fn images_are_the_same_bytes_each_time() {
        let (one, two) = (images(), images());
        for tag in ["busybox", "alpine", "deep"] {
            let (one, two) = (Image::from_layout(one.path(), tag), Image::from_layout(two.path(), tag));
            assert_eq!(one.digest, two.digest);
        }
        let deep = Image::from_layout(one.path(), "deep");
        assert_eq!(deep.manifest.layers.len(), DEEP);
        assert_eq!(deep.tree().text("/top"), "120\n");
        assert!(!deep.tree().has("/layers/9"));
        assert!(deep.tree().has("/layers/10"));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_program_of_32_bits_runs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p32");
        fs::write(&file, program_of_32_bits()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(tools::checked(&mut std::process::Command::new(&file)), "32 bits\n");
    }
}
