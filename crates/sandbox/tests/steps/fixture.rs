//! A small root file system, and a way to run one command in it as somebody.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use jettison_sandbox::{
    Identity, Mode, Mount, MountSource, Network, Outcome, Root, Spec, Stdio3, User, enter, settle, spawn,
};
use serde::{Deserialize, Serialize};

/// The first argument of the process that enters a mode and runs a job.
pub const RUN: &str = "--run";

/// The first argument of the process that does so in a user namespace in which no further one can be made, with the
/// privileges that the variable PRIVILEGES describes to setpriv.
pub const RUN_CONFINED: &str = "--run-confined";

/// The tools of the root file system, all links to busybox.
const TOOLS: [&str; 36] = [
    "sh", "cat", "ls", "id", "env", "pwd", "hostname", "grep", "stat", "touch", "rm", "mkdir", "mknod",
    "chown", "unshare", "mount", "umount", "sleep", "echo", "true", "false", "ip", "head", "wc", "dd",
    "find", "kill", "test", "ln", "mv", "df", "tty", "setpriv", "su", "chgrp", "chroot",
];

/// What a process started with [`RUN`] is to do.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// Where the mount points are that all steps share, if they do.
    pub shared: Option<PathBuf>,
    /// Whether a command's machine is made ready before it is known.
    pub prepared: bool,
    pub prefer: Option<Mode>,
    pub spec: Spec,
}

/// What it found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub identity: Option<Identity>,
    /// What went wrong before or around the command.
    pub error: String,
    pub outcome: Option<Outcome>,
    pub stdout: String,
    pub stderr: String,
    /// The processes that are left of it, by number.
    pub left: String,
}

impl Answer {
    /// The exit code; panics with all that is known if the command did not run.
    pub fn code(&self) -> i32 {
        self.outcome.as_ref().unwrap_or_else(|| panic!("the command did not run: {self:?}")).code
    }

    /// Standard output of a command that must have succeeded.
    pub fn out(&self) -> &str {
        assert_eq!(self.code(), 0, "{self:?}");
        self.stdout.trim_end()
    }

    pub fn identity(&self) -> &Identity {
        self.identity.as_ref().unwrap_or_else(|| panic!("no mode was entered: {self:?}"))
    }
}

/// As whom the builder is started.
#[derive(Clone, Copy, PartialEq)]
pub enum Caller {
    /// Root of the machine.
    Root,
    /// An ordinary user with lines in /etc/subuid and /etc/subgid.
    Subordinate,
    /// An ordinary user without.
    Plain,
    /// Root that may make neither namespaces nor mounts, as in an unprivileged container.
    Confined,
    /// Root that may not make user namespaces, but all else.
    WithoutUserNamespaces,
    /// Root whose own caller ignored SIGCHLD, which programs inherit.
    Careless,
    /// An ordinary user where user namespaces are switched off.
    Forbidden,
}

/// The ordinary user.
pub const UID: u32 = 12_345;
/// Its first subordinate id.
pub const SUBORDINATE: u32 = 500_000;

/// A directory that holds a root file system and all that a step needs.
pub struct Fixture {
    pub directory: tempfile::TempDir,
    pub caller: Caller,
    /// Whether steps share their mount points.
    pub shared: bool,
    /// Whether a command's machine is made ready before it is known.
    pub prepared: bool,
}

impl Fixture {
    pub fn new(caller: Caller) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Fixture { directory, caller, shared: false, prepared: false };
        for name in ["base/bin", "base/etc", "base/tmp", "base/root", "upper", "work"] {
            fs::create_dir_all(fixture.path(name)).unwrap();
        }
        fs::copy("/bin/busybox", fixture.path("base/bin/busybox")).expect("apt install busybox-static");
        for tool in TOOLS {
            symlink("busybox", fixture.path("base/bin").join(tool)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        fs::write(fixture.path("base/etc/passwd"), passwd).unwrap();
        fs::set_permissions(fixture.path("base/tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::set_permissions(fixture.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A shell command on an overlay of the root file system, without network.
    pub fn spec(&self, script: &str) -> Spec {
        Spec {
            root: Root::Overlay {
                lower: vec![self.path("base")],
                upper: self.path("upper"),
                work: self.path("work"),
            },
            args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec!["PATH=/bin".to_owned()],
            cwd: "/".to_owned(),
            user: User::default(),
            hostname: "box".to_owned(),
            extra_hosts: Vec::new(),
            network: Network::None,
            mounts: Vec::new(),
            shm_size: None,
            limits: Vec::new(),
            cgroup_parent: None,
            insecure: false,
            interactive: false,
        }
    }

    /// The same on the directory itself, which chroot mode needs.
    pub fn plain_spec(&self, script: &str) -> Spec {
        Spec { root: Root::Directory(self.path("base")), network: Network::Host, ..self.spec(script) }
    }

    pub fn sh(&self, script: &str) -> Answer {
        self.run(&self.spec(script))
    }

    pub fn run(&self, spec: &Spec) -> Answer {
        self.run_as(None, spec)
    }

    pub fn run_as(&self, prefer: Option<Mode>, spec: &Spec) -> Answer {
        self.renew();
        let output = self.start(prefer, spec).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("no answer: {text} {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Fresh upper and work directories, as each step has them, owned by the caller.
    fn renew(&self) {
        for name in ["upper", "work"] {
            fs::remove_dir_all(self.path(name)).unwrap();
            fs::create_dir(self.path(name)).unwrap();
        }
        if matches!(self.caller, Caller::Subordinate | Caller::Plain | Caller::Forbidden) {
            give(self.directory.path());
        }
    }

    /// Starts a process that enters a mode as the caller and runs the command.
    pub fn start(&self, prefer: Option<Mode>, spec: &Spec) -> Child {
        let shared = self.shared.then(|| self.path("shared"));
        let job = Job { shared, prepared: self.prepared, prefer, spec: spec.clone() };
        let path = self.path("job");
        fs::write(&path, serde_json::to_vec(&job).unwrap()).unwrap();
        let mut command = Command::new("unshare");
        match self.caller {
            Caller::Root => {
                command = Command::new(runner());
            }
            Caller::Subordinate | Caller::Plain => {
                command.args(["--mount", "sh", "-ec", &self.as_user()]);
            }
            Caller::Forbidden => {
                command = Command::new(runner());
                command.env("PRIVILEGES", format!("--reuid {UID} --regid {UID} --clear-groups"));
            }
            Caller::Careless => {
                command = Command::new("bash");
                command.args(["-c", &format!("trap '' CHLD; exec {} {RUN}", runner().display())]);
            }
            Caller::WithoutUserNamespaces => {
                command = Command::new(runner());
                command.env("PRIVILEGES", "--inh-caps=-all");
            }
            Caller::Confined => {
                command = Command::new(runner());
                command.env("PRIVILEGES", "--bounding-set=-sys_admin --inh-caps=-all");
            }
        }
        match self.caller {
            Caller::Root => command.arg(RUN),
            Caller::Forbidden | Caller::Confined | Caller::WithoutUserNamespaces => command.arg(RUN_CONFINED),
            Caller::Subordinate | Caller::Plain | Caller::Careless => &mut command,
        };
        command
            .env("JOB", path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A shell script that becomes the ordinary user, with its own view of /etc; newuidmap asks for the user's name.
    fn as_user(&self) -> String {
        let (passwd, lines) = match self.caller {
            Caller::Subordinate => (
                format!("ann:x:{UID}:{UID}::/:/bin/sh\\n"),
                format!("ann:{SUBORDINATE}:1000\\n{UID}:600000:64536\\n"),
            ),
            _ => Default::default(),
        };
        format!(
            "printf '{passwd}' >$JOB.passwd; printf '{lines}' >$JOB.subuid; printf '{lines}' >$JOB.subgid
             for f in passwd subuid subgid; do touch /etc/$f; mount --bind $JOB.$f /etc/$f; done
             exec setpriv --reuid {UID} --regid {UID} --clear-groups {} {RUN}",
            runner().display()
        )
    }

    /// What the step left in the upper directory, sorted.
    pub fn upper(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.path("upper"), &self.path("upper"), &mut names);
        names.sort();
        names
    }
}

fn list(directory: &Path, base: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.strip_prefix(base).unwrap().to_string_lossy().into_owned());
        if path.symlink_metadata().unwrap().is_dir() {
            list(&path, base, names);
        }
    }
}

/// Gives a tree to the ordinary user.
fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(UID), Some(UID)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// A copy of this binary: it may lie where ordinary users cannot go. One for all checks, in a directory that lasts as
/// long as this process.
pub fn runner() -> PathBuf {
    static COPY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = COPY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(std::env::current_exe().unwrap(), directory.path().join("runner")).unwrap();
        directory
    });
    directory.path().join("runner")
}

/// Removes it; nothing in a static is dropped.
pub fn clean_up() {
    if let Some(directory) = runner().parent() {
        let _ = fs::remove_dir_all(directory);
    }
}

/// A bind mount.
pub fn bind(source: PathBuf, target: &str, read_only: bool) -> Mount {
    Mount { target: target.to_owned(), source: MountSource::Bind(source), read_only }
}

/// The side of a process started with [`RUN_CONFINED`].
pub fn run_confined() -> ! {
    use std::os::unix::process::CommandExt;
    enter(Some(Mode::Root)).unwrap();
    fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
    let privileges = std::env::var("PRIVILEGES").unwrap();
    let error = Command::new("setpriv")
        .args(privileges.split(' '))
        .arg(std::env::current_exe().unwrap())
        .arg(RUN)
        .exec();
    panic!("setpriv: {error}")
}

/// The side of a process started with [`RUN`].
pub fn run_job() -> ! {
    let job: Job = serde_json::from_slice(&fs::read(std::env::var("JOB").unwrap()).unwrap()).unwrap();
    let mut answer = Answer {
        identity: None,
        error: String::new(),
        outcome: None,
        stdout: String::new(),
        stderr: String::new(),
        left: String::new(),
    };
    match enter(job.prefer) {
        Err(error) => answer.error = error.to_string(),
        Ok(identity) => {
            if let Some(shared) = &job.shared {
                jettison_sandbox::share_mount_points(shared).unwrap();
            }
            if job.prepared {
                jettison_sandbox::prepare_command(&identity);
            }
            execute(&identity, &job.spec, &mut answer);
            answer.identity = Some(identity);
        }
    }
    println!("{}", serde_json::to_string(&answer).unwrap());
    std::process::exit(0)
}

fn execute(identity: &Identity, spec: &Spec, answer: &mut Answer) {
    let (mut stdio, out, err) = Stdio3::pipes().unwrap();
    if spec.interactive {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"typed\n").unwrap();
        stdio.stdin = Some(reader.into());
    }
    let running = match spawn(identity, spec, stdio) {
        Ok(running) => running,
        Err(error) => {
            answer.error = error.to_string();
            return;
        }
    };
    let errors = std::thread::spawn(move || std::io::read_to_string(err).unwrap());
    answer.stdout = std::io::read_to_string(out).unwrap();
    answer.stderr = errors.join().unwrap();
    match running.wait() {
        Ok(outcome) => answer.outcome = Some(outcome),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            answer.error = format!("{error}: {source}");
        }
    }
    settle();
    answer.left = std::fs::read_to_string("/proc/thread-self/children").unwrap();
}
