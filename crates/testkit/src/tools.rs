//! Programs that tests call: found, or missed by name.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Which Debian package holds a program.
const PACKAGES: &[(&str, &str)] = &[
    ("buildah", "buildah"),
    ("busybox", "busybox-static"),
    ("docker", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("dockerd", "docker.io"),
    ("faketime", "faketime"),
    ("getcap", "libcap2-bin"),
    ("getfattr", "attr"),
    ("htpasswd", "apache2-utils"),
    ("chromedriver", "chromium-driver"),
    ("chromium", "chromium"),
    ("jsonschema", "python3-jsonschema"),
    ("newuidmap", "uidmap"),
    ("openssl", "openssl"),
    ("pasta", "passt"),
    ("podman", "podman"),
    ("qemu-aarch64-static", "qemu-user-static"),
    ("runc", "runc"),
    ("setcap", "libcap2-bin"),
    ("setfattr", "attr"),
    ("setpriv", "util-linux"),
    ("skopeo", "skopeo"),
    ("ssh-add", "openssh-client"),
    ("ssh-agent", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("umoci", "umoci"),
    ("unshare", "util-linux"),
];

/// Where Debian puts programs that an ordinary user's `PATH` may lack.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Returns the path of `program`.
///
/// # Panics
/// Where it is not installed: with its name and the command that installs it.
pub fn require(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    let package = PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("this test needs {program}: run `scripts/setup`, or `apt-get install {package}`")
    })
}

/// Runs `program` with `arguments` and returns its standard output.
///
/// # Panics
/// Where it is not installed, or fails: with all it wrote.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    checked(Command::new(require(program)).args(arguments))
}

/// Runs `command` to its end and returns its standard output.
///
/// # Panics
/// Where it cannot be started, or fails: with all it wrote.
pub fn checked(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Tells whether the tests run as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Stops a test that starts programs as other users when it does not run as root.
///
/// # Panics
/// Where the test does not run as root.
pub fn require_root() {
    assert!(is_root(), "this test starts programs as other users: run it as root");
}
