//! An SSH agent for a command: a socket of its own, whose connections are passed on to the user's agent.
//!
//! The agent's socket itself is not mounted: it belongs to the user, and a command may run as somebody else.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

const NAME: &str = "agent";

/// A socket that leads to an agent for as long as this lives.
pub(crate) struct Agent {
    socket: PathBuf,
    directory: File,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Agent {
    /// Makes a socket in `directory` that leads to the one at `agent`.
    pub(crate) fn start(
        agent: &Path,
        directory: &Path,
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> io::Result<Agent> {
        let socket = directory.join(NAME);
        let directory = File::open(directory)?;
        let listener = UnixListener::bind(short_path(&directory))?;
        if let Some((uid, gid)) = owner {
            chown(&socket, Some(uid), Some(gid))?;
        }
        fs::set_permissions(&socket, Permissions::from_mode(mode))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, agent) = (stop.clone(), agent.to_owned());
        let acceptor = thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let agent = agent.clone();
                // Each ends with its connection. What goes wrong with one shows in the command, as a closed one.
                thread::spawn(move || client.and_then(|client| forward(&client, &agent)));
            }
        });
        Ok(Agent { socket, directory, stop, acceptor: Some(acceptor) })
    }

    /// Returns where the socket is.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        if UnixStream::connect(short_path(&self.directory)).is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            let _ = acceptor.join();
        }
    }
}

/// The address of a socket has at most 107 bytes (unix(7)); a store's path may be longer.
fn short_path(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()))
}

fn forward(client: &UnixStream, agent: &Path) -> io::Result<()> {
    let agent = UnixStream::connect(agent)?;
    let pass = |mut from: &UnixStream, mut to: &UnixStream| {
        let copied = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
        copied.map(drop)
    };
    thread::scope(|scope| {
        let answers = scope.spawn(|| pass(&agent, client));
        let asked = pass(client, &agent);
        answers.join().unwrap_or(Ok(())).and(asked)
    })
}
