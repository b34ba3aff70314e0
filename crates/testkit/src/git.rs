//! A git repository, and a real server before it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::tools;

/// When the commits of a [`GitServer`] are made.
pub const COMMIT_TIME: u64 = 784_111_777;

/// `git daemon` on loopback over a folder of repositories, each `NAME.git`. Ends when dropped.
pub struct GitServer {
    folder: TempDir,
    daemon: Child,
    port: u16,
}

impl GitServer {
    /// Starts a server without repositories.
    pub fn start() -> GitServer {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        // Without the `git` before it, which would leave the daemon behind.
        let programs = git(folder.path(), &["--exec-path"]);
        let daemon = Command::new(Path::new(&programs).join("git-daemon"))
            .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = GitServer { folder, daemon, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// Makes an empty repository.
    pub fn init(&self, name: &str) {
        let path = self.folder.path().join(format!("{name}.git"));
        std::fs::create_dir(&path).unwrap();
        git(&path, &["init", "-q", "-b", "main"]);
    }

    /// Writes files into the working tree of a repository and commits all; returns the commit's ID.
    pub fn commit(&self, name: &str, files: &[(&str, &str)]) -> String {
        let path = self.folder.path().join(format!("{name}.git"));
        for (file, content) in files {
            let file = path.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        self.git(name, &["add", "-A"]);
        self.git(name, &["commit", "-q", "--allow-empty", "-m", "test"]);
        self.git(name, &["rev-parse", "HEAD"])
    }

    /// Runs git in a repository and returns what it writes.
    pub fn git(&self, name: &str, arguments: &[&str]) -> String {
        git(&self.path(name), arguments)
    }

    /// Returns where a repository is on disk: a working tree with `.git`.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{name}.git"))
    }

    /// Returns the URL of a repository.
    pub fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}.git", self.port)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let date = format!("{COMMIT_TIME} +0000");
    let output = Command::new(tools::require("git"))
        .args([
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_DATE", &date)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
