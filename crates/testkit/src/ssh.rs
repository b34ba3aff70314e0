//! A real SSH server on loopback, and an agent with the only key it takes.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::tools;

/// `sshd` for the user root, and an `ssh-agent`. Both end when dropped. Needs root.
pub struct SshServer {
    folder: TempDir,
    daemon: Child,
    agent: Child,
    port: u16,
}

impl SshServer {
    /// Starts the server and the agent.
    pub fn start() -> SshServer {
        tools::require_root();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for key in ["host", "user"] {
            let name = path(key).display().to_string();
            tools::run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", &name]);
        }
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
            path("host").display(),
            path("user.pub").display()
        );
        fs::write(path("config"), config).unwrap();
        // Its folder for what has no privileges is made in a namespace of its own: nothing of the machine changes.
        let script = "mount -t tmpfs none /run && mkdir /run/sshd && exec \"$@\"";
        let mut command = Command::new(tools::require("unshare"));
        command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"]);
        command.arg(tools::require("sshd")).args(["-D", "-f"]).arg(path("config"));
        let daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut command = Command::new(tools::require("ssh-agent"));
        command.arg("-D").arg("-a").arg(path("agent"));
        let agent = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = SshServer { folder, daemon, agent, port };
        server.wait();
        server
    }

    fn wait(&self) {
        let add = || {
            let mut command = Command::new(tools::require("ssh-add"));
            command.arg("-q").arg(self.folder.path().join("user")).env("SSH_AUTH_SOCK", self.agent());
            command.stderr(Stdio::null()).status().unwrap().success()
        };
        let up = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        for ready in [&add as &dyn Fn() -> bool, &up] {
            while !ready() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the agent's socket.
    pub fn agent(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// Returns the line by which the file `known_hosts` knows the server.
    pub fn known_hosts(&self) -> String {
        let key = fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }

    /// Returns the URL of a path of this machine.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://root@127.0.0.1:{}{}", self.port, path.display())
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.agent] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
