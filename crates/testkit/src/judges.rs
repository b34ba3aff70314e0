//! Other people's programs that take an image and run it, each with storage of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tools;

/// How long dockerd may take to answer.
const START: Duration = Duration::from_secs(60);

/// podman with runc; its containers end when dropped.
pub struct Podman {
    folder: TempDir,
}

impl Default for Podman {
    fn default() -> Podman {
        Podman::new()
    }
}

impl Podman {
    /// Makes empty storage.
    pub fn new() -> Podman {
        Podman { folder: tempfile::tempdir().unwrap() }
    }

    /// Returns the command that calls podman with `arguments`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(tools::require("podman"));
        command.arg("--root").arg(path("root")).arg("--runroot").arg(path("runroot"));
        command
            .args(["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none"])
            .args(arguments);
        command
    }

    /// Returns the command that runs `image` on the host's network with more `arguments` before it.
    pub fn run(&self, arguments: &[&str], image: &[&str]) -> Command {
        tools::require("runc");
        // podman's own limits are higher than those of many machines, and where they cannot be raised it fails.
        let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"];
        let mut command = self.command(&["run", "--rm", "--network=host", "--runtime=runc"]);
        command.args(limits).args(arguments).args(image);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // A container that runs holds a mount in our folder, which could not be removed.
        let _ = self.command(&["rm", "--all", "--force", "--time=0"]).output();
    }
}

/// Docker's daemon, without networks of its own; ended when dropped. Needs root.
pub struct Docker {
    folder: TempDir,
    child: Child,
}

impl Docker {
    /// Starts a daemon that listens on a socket in a folder of its own.
    pub fn start() -> Docker {
        tools::require_root();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let log = File::create(path("log")).unwrap();
        let mut command = Command::new(tools::require("dockerd"));
        command
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"));
        command.args([
            "--host",
            &host(folder.path()),
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ]);
        command.arg("--storage-driver=vfs").stdout(log.try_clone().unwrap()).stderr(log);
        let docker = Docker { child: command.spawn().unwrap(), folder };
        let end = Instant::now() + START;
        while !docker.command(&["version"]).output().unwrap().status.success() {
            let log = || fs::read_to_string(docker.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "dockerd does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        docker
    }

    /// Returns the value of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        host(self.folder.path())
    }

    /// Returns the command that calls docker's client with `arguments`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tools::require("docker"));
        command.env("DOCKER_HOST", self.host()).args(arguments);
        command
    }

    /// Calls docker's client and returns its standard output.
    pub fn run(&self, arguments: &[&str]) -> String {
        tools::checked(&mut self.command(arguments))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Asked politely, the daemon ends its containerd and its mounts itself.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn host(folder: &Path) -> String {
    format!("unix://{}", folder.join("docker.sock").display())
}
