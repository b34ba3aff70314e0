//! Runs the binary as a user would: own home, own store, own configuration.

use std::fmt;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::context::{Context, open_to_all};
use crate::image::Image;
use crate::steps::Steps;
use crate::tools;

/// The ordinary user as whom tests run the binary.
const USER: u32 = 12_345;
/// The first of that user's subordinate ids, and how many they are: subuid(5).
const SUBORDINATE: (u32, u32) = (1_200_000, 65_536);
/// The programs that a user can call.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As whom the binary runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whoever runs the tests.
    Me,
    /// An ordinary user with 65,536 subordinate ids.
    Subordinate,
    /// An ordinary user with one id only.
    OneId,
    /// Uid 0 that may chroot, but neither mount nor make user namespaces.
    ChrootOnly,
    /// An ordinary user where the kernel refuses user namespaces.
    NoNamespaces,
    /// Root of a user namespace in which the kernel was told what `BINFMT` says of other processors.
    Emulating,
}

/// A home, a store and a configuration in which the binary runs; removed when dropped.
pub struct Jettison {
    folder: TempDir,
    binary: PathBuf,
    who: Who,
    variables: Vec<(String, String)>,
}

/// What the binary did.
#[derive(Clone)]
pub struct Output {
    /// The exit code; 128 and the signal's number where one ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    command: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Output { code, stdout, stderr, command } = self;
        write!(f, "{command}\nexit code {code}\n--- standard output\n{stdout}--- standard error\n{stderr}")
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Output {
    /// Asserts that standard error has `text`.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Output {
        assert!(self.stderr.contains(text), "standard error lacks \"{text}\": {self}");
        self
    }

    /// Asserts that standard error does not have `text`.
    #[track_caller]
    pub fn says_not(&self, text: &str) -> &Output {
        assert!(!self.stderr.contains(text), "standard error has \"{text}\": {self}");
        self
    }

    /// Reads the events of `--progress rawjson`.
    pub fn steps(&self) -> Steps {
        Steps::parse(&self.stderr)
    }
}

impl Jettison {
    /// Makes a home for `binary` (`env!("CARGO_BIN_EXE_jettison")` in its package's tests) run as oneself.
    pub fn new(binary: &str) -> Jettison {
        Jettison::of(binary, Who::Me)
    }

    /// Makes a home for `binary` run as `who`. Users other than oneself need the tests to run as root.
    pub fn of(binary: &str, who: Who) -> Jettison {
        if who != Who::Me {
            tools::require_root();
        }
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let ours = folder.path().join("jettison");
        // The build's own folder may be closed to other users.
        if fs::hard_link(binary, &ours).is_err() {
            fs::copy(binary, &ours).unwrap_or_else(|error| panic!("{binary}: {error}"));
        }
        let jettison = Jettison { folder, binary: ours, who, variables: Vec::new() };
        fs::create_dir_all(jettison.path("work")).unwrap();
        fs::create_dir_all(jettison.path("docker")).unwrap();
        jettison.write("registries.conf", "");
        if who != Who::Me {
            jettison.write_users();
        }
        if !matches!(who, Who::Me | Who::ChrootOnly | Who::Emulating) {
            for path in ["", "work", "docker"] {
                chown(jettison.path(path), Some(USER), Some(USER)).unwrap();
            }
        }
        jettison
    }

    /// Returns `name` in the home; output goes to `path("work/…")`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the folder of the store.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes a file in the home that the binary's user may read.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        file
    }

    /// Writes a program in the home and puts its folder before `PATH`.
    pub fn write_program(&mut self, name: &str, content: &str) {
        let file = self.write(&format!("bin/{name}"), content);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{PATH}", self.path("bin").display());
        self.set("PATH", &path);
    }

    /// Writes the registries.conf.
    pub fn registries(&self, text: &str) {
        self.write("registries.conf", text);
    }

    /// Makes the plain-HTTP registry at `address` the mirror of each of `registries`, such as `docker.io`.
    pub fn mirror(&self, registries: &[&str], address: &str) {
        let entry = |registry: &&str| {
            format!(
                "[[registry]]\nprefix = \"{registry}\"\nlocation = \"{registry}\"\n[[registry.mirror]]\nlocation = \"{address}\"\ninsecure = true\n\n"
            )
        };
        let direct = format!("[[registry]]\nlocation = \"{address}\"\ninsecure = true\n");
        self.registries(&(registries.iter().map(entry).collect::<String>() + &direct));
    }

    /// Writes docker's config.json.
    pub fn docker_config(&self, text: &str) {
        self.write("docker/config.json", text);
    }

    /// Starts the binary by the end of the shell's line `line`, such as `umask 077; exec`.
    pub fn start_by(&mut self, line: &str) {
        let script = format!("#!/bin/sh\n{line} \"{}\" \"$@\"\n", self.binary.display());
        let file = self.write("start", &script);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self.binary = file;
    }

    /// Sets an environment variable of the binary.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs the binary with `arguments`.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, &[])
    }

    /// Runs the binary with `arguments` and `input` as standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let file = self.folder.path().join("input");
        fs::write(&file, input).unwrap();
        let mut command = self.command(arguments);
        let output = command.stdin(fs::File::open(&file).unwrap()).output().unwrap();
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let command = format!("$ jettison {}", arguments.join(" "));
        Output { code, stdout: text(&output.stdout), stderr: text(&output.stderr), command }
    }

    /// Runs the binary and asserts that it succeeds.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{output}");
        output
    }

    /// Runs the binary and asserts that it ends with exit code `code`, which is not 0.
    #[track_caller]
    pub fn fails(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "{output}");
        output
    }

    /// Builds `context` with `flags` and asserts that it succeeds.
    #[track_caller]
    pub fn build(&self, context: &Context, flags: &[&str]) -> Output {
        self.ok(&[&["build"], flags, &[context.argument()]].concat())
    }

    /// Builds `context` with `flags` to an OCI archive, and reads it.
    #[track_caller]
    pub fn image(&self, context: &Context, flags: &[&str]) -> Image {
        let file = self.path("work/image.tar");
        let output = format!("type=oci,dest={}", file.display());
        self.build(context, &[flags, &["-o", &output]].concat());
        Image::from_oci_archive(&file)
    }

    /// Builds `context` with `flags` and asserts that the build fails with exit code 1.
    #[track_caller]
    pub fn build_fails(&self, context: &Context, flags: &[&str]) -> Output {
        self.fails(1, &[&["build"], flags, &[context.argument()]].concat())
    }

    /// Starts the binary with `arguments`, all output thrown away; its process id is the binary's own.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Returns the command that runs the binary with `arguments` as its user.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let user = format!("setpriv --reuid={USER} --regid={USER} --clear-groups --");
        let mut command = match self.who {
            Who::Me => Command::new(&self.binary),
            Who::Subordinate | Who::OneId => self.with_users(&format!("exec {user} \"$@\"")),
            Who::ChrootOnly => {
                self.without_namespaces("setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin --")
            }
            Who::NoNamespaces => self.without_namespaces(&user),
            Who::Emulating => self.emulating(),
        };
        command.args(arguments).current_dir(self.path("work")).env_clear();
        for (name, value) in [
            ("PATH", PATH.to_owned()),
            ("HOME", self.folder.path().display().to_string()),
            ("JETTISON_ROOT", self.store().display().to_string()),
            ("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf").display().to_string()),
            ("DOCKER_CONFIG", self.path("docker").display().to_string()),
        ] {
            command.env(name, value);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The user exists in a private mount namespace alone: nothing on the machine changes. `script` gets the binary and
    /// its arguments as `$@`.
    fn with_users(&self, script: &str) -> Command {
        let mut command = Command::new(tools::require("unshare"));
        command.args(["--mount", "--propagation", "private", "--", "sh", "-ec"]);
        let mounts = "for file in passwd group subuid subgid; do mount --bind \"$0/$file\" /etc/$file; done";
        command.arg(format!("{mounts}; {script}")).arg(self.path("etc")).arg(&self.binary);
        command
    }

    /// A user namespace that allows no further ones stands for a kernel that allows none.
    fn without_namespaces(&self, setpriv: &str) -> Command {
        self.with_users(&format!(
            "exec unshare --user --map-users=0,0,65536 --map-groups=0,0,65536 --setuid=0 --setgid=0 -- sh -ec \
             'echo 0 >/proc/sys/user/max_user_namespaces; exec {setpriv} \"$@\"' sh \"$@\""
        ))
    }

    /// Since Linux 6.7 a user namespace can have a binfmt_misc of its own: nothing on the machine changes.
    fn emulating(&self) -> Command {
        self.with_users(
            "exec unshare --user --map-users=0,0,65536 --map-groups=0,0,65536 --setuid=0 --setgid=0 --mount -- sh -ec \
             'misc=/proc/sys/fs/binfmt_misc; mount -t binfmt_misc none $misc; printf %s \"$BINFMT\" >$misc/register; exec \"$@\"' sh \"$@\"",
        )
    }

    fn write_users(&self) {
        let (first, count) = SUBORDINATE;
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let group = fs::read_to_string("/etc/group").unwrap();
        self.write(
            "etc/passwd",
            &format!("{passwd}builder:x:{USER}:{USER}::{}:/bin/sh\n", self.path("").display()),
        );
        self.write("etc/group", &format!("{group}builder:x:{USER}:\n"));
        let ids = match self.who {
            Who::Subordinate => format!("builder:{first}:{count}\n"),
            // What newuidmap must know to map the ids of the namespace that allows no further ones.
            Who::ChrootOnly | Who::NoNamespaces | Who::Emulating => "root:0:65536\n".to_owned(),
            Who::Me | Who::OneId => String::new(),
        };
        for file in ["subuid", "subgid"] {
            self.write(&format!("etc/{file}"), &ids);
            assert!(
                Path::new("/etc").join(file).exists(),
                "this test needs /etc/{file}: `apt-get install uidmap`"
            );
        }
    }
}

impl Drop for Jettison {
    fn drop(&mut self) {
        if self.who != Who::Me || tools::is_root() {
            return;
        }
        // Files of our subordinate ids are not ours to remove, but root's of a user namespace that maps them.
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--map-auto", "rm", "-rf"]).arg(self.store()).stderr(Stdio::null());
        let _ = command.status();
    }
}
