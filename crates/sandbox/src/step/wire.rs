//! Messages with descriptors between the builder, the helper and the step's first process.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::command::Streams;
use super::network::{Choice, Net};
use super::{Foreign, Outcome};
use crate::error::Fault;
use crate::identity::Identity;
use crate::spec::Spec;

/// The largest message; only [`Request`] can be larger, and travels as a file.
const MAX_MESSAGE: usize = 64 * 1024;
/// The most descriptors in one message.
const MAX_FDS: usize = 5;

/// Builder to helper, first of all: what can be made ready before it is known what to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outset {
    pub(super) identity: Identity,
    /// Whether nothing of the kernel's files is hidden.
    pub(super) insecure: bool,
    /// Bytes of /dev/shm, if not the usual ones.
    pub(super) shm_size: Option<u64>,
}

/// Builder to helper, with the descriptors of [`Given`]: what to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) spec: Spec,
    pub(super) identity: Identity,
    pub(super) network: Choice,
    /// The layer of mount points that all steps share, see [`super::share_mount_points`].
    pub(super) shared: Option<PathBuf>,
    /// The seccomp filter, see [`crate::seccomp::encoded`].
    pub(super) filter: Vec<u64>,
}

/// What comes with the word to run: a request, and what it is about.
pub(super) struct Given {
    pub(super) request: Request,
    pub(super) net: Net,
    pub(super) streams: Streams,
}

/// Helper to first process, with the descriptors of [`Given`]: the word to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Go {
    /// Layers of mount points, lowest first.
    pub(super) stubs: Vec<PathBuf>,
}

/// Helper to builder: how it went.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done(Outcome),
    Failed(Fault),
}

/// The step's first process to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Notice {
    /// A mount point was made inside the tree (with the directory it is in): to be removed after the command.
    Stub(Stub),
    /// What the user should know.
    Note(String),
    /// The command hands over its seccomp listener.
    Listener,
    /// The command could not be started.
    Failed(Fault),
    /// The command is for another processor.
    Foreign(Foreign),
    /// The command ended with this code.
    Ended {
        code: i32,
        /// Whether all that it started has ended too.
        alone: bool,
    },
}

/// A mount point that was not there before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stub {
    pub(super) name: String,
    pub(super) directory: bool,
    /// Access and modification time of the directory it was made in: seconds and nanoseconds.
    pub(super) parent_times: [(i64, i64); 2],
}

/// One end of a socket that keeps messages apart.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    pub(super) fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel(one), Channel(other)))
    }

    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Channel(fd)
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }

    pub(super) fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_bytes(&serde_json::to_vec(message)?, fds)
    }

    /// Sends bytes as one message.
    pub(super) fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::other("too many descriptors in one message"));
        }
        // NOSIGNAL: a peer that is gone is an error here, not the end of this process.
        rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message; `None` when the other end is closed.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut buffer = vec![0; self.next_length()?];
        let (length, fds) = self.receive_bytes(&mut buffer)?;
        match buffer.get(..length) {
            None | Some([]) => Ok(None),
            Some(bytes) => Ok(Some((serde_json::from_slice(bytes)?, fds))),
        }
    }

    /// Waits for the next message and gives its length: most are far shorter than they may be.
    fn next_length(&self) -> io::Result<usize> {
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
        match retry(|| rustix::net::recv(&self.0, &mut [0; 1], flags)) {
            Ok((_, length)) if length > MAX_MESSAGE => Err(io::Error::other("the message is too long")),
            Ok((_, length)) => Ok(length),
            Err(rustix::io::Errno::CONNRESET) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The next message as bytes: how many (0 when the other end is closed), and the descriptors with it.
    pub(super) fn receive_bytes(&self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = retry(|| {
            rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(buffer)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        });
        let received = match received {
            Ok(received) => received,
            Err(rustix::io::Errno::CONNRESET) => return Ok((0, Vec::new())),
            Err(error) => return Err(error.into()),
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        Ok((received.bytes, fds))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result,
        }
    }
}

impl Request {
    /// As a file in memory: an environment or a list of layers may be larger than a message.
    pub(super) fn to_file(&self) -> io::Result<OwnedFd> {
        let mut file = File::from(rustix::fs::memfd_create("step", rustix::fs::MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        Ok(file.into())
    }

    /// Reads it from where the file begins, which two processes may do at once.
    pub(super) fn from_file(file: &OwnedFd) -> io::Result<Self> {
        let file = File::from(file.try_clone()?);
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

impl Given {
    /// The descriptors, in this order: the request, standard output and error, the network namespace if there is one to join,
    /// standard input if there is any.
    pub(super) fn from_fds(fds: Vec<OwnedFd>) -> io::Result<Self> {
        let mut fds = fds.into_iter();
        let mut next = || fds.next().ok_or_else(|| io::Error::other("a descriptor is missing"));
        let request = Request::from_file(&next()?)?;
        let (stdout, stderr) = (next()?, next()?);
        let net = match request.network {
            Choice::Host => Net::Host,
            Choice::Loopback => Net::Loopback,
            Choice::Private => Net::Joined(next()?),
        };
        let stdin = match fds.next() {
            Some(stdin) => stdin,
            None => null()?,
        };
        Ok(Given { request, net, streams: Streams { stdin, stdout, stderr } })
    }
}

/// Opens /dev/null.
fn null() -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}
