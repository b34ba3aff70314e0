//! The system calls that `rustix` does not offer, each behind a narrow safe function.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::process::Pid;

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, with the number of the new.
    Parent(Pid),
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Makes a process that goes on from here, in the new namespaces named by `flags` (`CLONE_NEW*`).
///
/// # Safety
///
/// The process must have no second thread: the child gets a copy of the calling thread alone, and a lock held by
/// another would stay locked for ever.
pub(crate) unsafe fn fork(flags: libc::c_int) -> io::Result<Fork> {
    if flags == 0 {
        // SAFETY: single-threaded, as the caller promises.
        let pid = unsafe { libc::fork() };
        return sides(check(pid.into())?);
    }
    // A raw clone with no stack of its own behaves like fork. The C library's cache of the thread id is stale in the
    // child, which matters to raise() and abort() alone.
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: single-threaded, as the caller promises; all pointers are null, so no memory is shared.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags,
            0 as libc::c_long,
            0 as libc::c_long,
            0 as libc::c_long,
            0 as libc::c_long,
        )
    };
    sides(check(pid)?)
}

fn sides(pid: libc::c_long) -> io::Result<Fork> {
    match Pid::from_raw(pid as i32) {
        None => Ok(Fork::Child),
        Some(pid) => Ok(Fork::Parent(pid)),
    }
}

/// Moves this process into new namespaces.
pub(crate) fn unshare(flags: rustix::thread::UnshareFlags) -> io::Result<()> {
    // SAFETY: callers never pass `FILES`, the only flag with a safety rule.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Ends the process at once: no destructors, no handlers, nothing flushed.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// Puts a copy of `fd` at the number `at`, closing what was there; exec passes it on.
pub(crate) fn dup_to(fd: BorrowedFd<'_>, at: RawFd) -> io::Result<()> {
    // SAFETY: plain descriptor numbers; whoever owns `at` goes on owning what is there now.
    check(unsafe { libc::dup2(fd.as_raw_fd(), at) }.into()).map(drop)
}

/// Marks every descriptor from `first` on to be closed by exec.
pub(crate) fn close_on_exec_from(first: RawFd) {
    const CLOEXEC: libc::c_long = 4;
    // SAFETY: integers only. A kernel without it (before 5.11) leaves what is open already marked by its opener.
    let _ = unsafe {
        libc::syscall(libc::SYS_close_range, first as libc::c_long, libc::c_long::from(i32::MAX), CLOEXEC)
    };
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MOUNT_ATTR_*` of linux/mount.h, as flags for [`set_mount_attributes`].
pub(crate) mod attr {
    pub(crate) const READ_ONLY: u64 = 0x1;
    pub(crate) const NOSUID: u64 = 0x2;
    pub(crate) const NODEV: u64 = 0x4;
    pub(crate) const NOEXEC: u64 = 0x8;
}

/// Sets attributes of the mount `fd` and of all mounts below it.
pub(crate) fn set_mount_attributes(fd: BorrowedFd<'_>, set: u64) -> io::Result<()> {
    let attributes = MountAttr { set, clear: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a valid C string, the structure is of the size given and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(&attributes),
            mem::size_of::<MountAttr>(),
        )
    };
    check(result).map(drop)
}

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    /// Every signal.
    pub(crate) fn all() -> Self {
        let mut set = mem::MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set it is given.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            Signals(set.assume_init())
        }
    }

    /// The named ones.
    pub(crate) fn of(signals: &[i32]) -> Self {
        let mut set = mem::MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set; sigaddset refuses numbers that are no signals.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            let mut set = set.assume_init();
            for &signal in signals {
                libc::sigaddset(&raw mut set, signal);
            }
            Signals(set)
        }
    }

    /// Blocks these besides those blocked already; gives what was blocked before.
    pub(crate) fn block(&self) -> Signals {
        self.mask(libc::SIG_BLOCK)
    }

    /// Blocks exactly these.
    pub(crate) fn set_blocked(&self) {
        self.mask(libc::SIG_SETMASK);
    }

    fn mask(&self, how: libc::c_int) -> Signals {
        let mut old = mem::MaybeUninit::uninit();
        // SAFETY: both sets are valid; with a valid `how` the call cannot fail and initialises `old`.
        unsafe {
            libc::sigprocmask(how, &raw const self.0, old.as_mut_ptr());
            Signals(old.assume_init())
        }
    }

    /// Waits for one of these (which must be blocked): its number, its origin, and the sender's process number.
    pub(crate) fn wait(&self) -> Received {
        loop {
            let mut info: mem::MaybeUninit<libc::siginfo_t> = mem::MaybeUninit::zeroed();
            // SAFETY: both structures are valid for the call; siginfo_t is plain data, so zeroes are a value of it.
            let (signal, info) = unsafe {
                let signal = libc::sigwaitinfo(&raw const self.0, info.as_mut_ptr());
                (signal, info.assume_init())
            };
            if signal > 0 {
                // SAFETY: si_pid is in the part of the union that every signal sent by a process fills; else it is 0.
                let sender = unsafe { info.si_pid() };
                return Received { signal, by_process: info.si_code <= 0, sender };
            }
        }
    }
}

/// A signal that arrived.
pub(crate) struct Received {
    /// Its number.
    pub(crate) signal: i32,
    /// Whether a process sent it (and not the kernel, as for a key pressed at the terminal).
    pub(crate) by_process: bool,
    /// Who, seen from here; 0 for a process outside this process namespace.
    pub(crate) sender: i32,
}

/// Gives every signal its default action; exec would pass on those that are ignored.
pub(crate) fn default_signal_actions() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid disposition; numbers that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Makes sure that children that end wait to be buried: a caller may have made us ignore SIGCHLD, and then they do not.
pub(crate) fn notice_children() {
    // SAFETY: SIG_DFL is a valid disposition.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Ignores these signals from now on.
pub(crate) fn ignore_signals(signals: &[i32]) {
    for &signal in signals {
        // SAFETY: SIG_IGN is a valid disposition.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Ends this process as `signal` ends one, so that its parent sees the true cause.
pub(crate) fn die_by(signal: i32) -> ! {
    // SAFETY: plain numbers; the process is about to end.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        Signals::of(&[]).set_blocked();
        libc::kill(libc::getpid(), signal);
    }
    exit_now(128 + signal)
}

/// Sends a signal by number; a process that is gone is no error.
pub(crate) fn kill(pid: Pid, signal: i32) {
    // SAFETY: plain numbers.
    unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) };
}

/// Replaces the program. Returns only if that fails.
pub(crate) fn execve(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: all are null-terminated and live until the call returns.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Brings up the loopback interface of this network namespace.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: ifreq is plain data, so zeroes are a value of it.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the kernel reads one ifreq, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    check(result.into()).map(drop)
}

/// Joins the network namespace that `namespace` is open on.
pub(crate) fn join_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }.into()).map(drop)
}

/// Lays a filter upon this process and all it starts. With `listen`, gives the descriptor on which calls that the
/// filter hands over are announced.
pub(crate) fn load_filter(program: &[libc::sock_filter], listen: bool) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let flags = if listen { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: the header and the program it points to outlive the call; the kernel only reads them.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, ptr::from_ref(&header))
    };
    let result = check(result)?;
    // SAFETY: with that flag a result above 0 is a new descriptor, owned by nobody yet.
    Ok(listen.then(|| unsafe { OwnedFd::from_raw_fd(result as RawFd) }))
}

/// A system call that a filter handed over.
pub(crate) struct Announced {
    id: u64,
    /// The thread, as seen from here.
    pub(crate) pid: u32,
    /// `AUDIT_ARCH_*`.
    pub(crate) arch: u32,
    /// The call's number on that architecture.
    pub(crate) number: i32,
    /// Its arguments.
    pub(crate) args: [u64; 6],
}

/// Takes the next call that a filter handed over.
pub(crate) fn next_announced(listener: BorrowedFd<'_>) -> io::Result<Announced> {
    // SAFETY: the structure is plain data, and the kernel demands zeroes.
    let mut call: libc::seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: the kernel fills one seccomp_notif, which outlives the call.
    let result =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut call) };
    check(result.into())?;
    Ok(Announced {
        id: call.id,
        pid: call.pid,
        arch: call.data.arch,
        number: call.data.nr,
        args: call.data.args,
    })
}

/// Whether the announced thread still waits: only then do its memory and its number belong to the call.
pub(crate) fn still_waits(listener: BorrowedFd<'_>, call: &Announced) -> bool {
    // SAFETY: the kernel reads one u64, which outlives the call.
    unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const call.id) == 0
    }
}

/// Lets an announced call go on to the kernel.
pub(crate) fn let_go_on(listener: BorrowedFd<'_>, call: &Announced) {
    let answer = libc::seccomp_notif_resp {
        id: call.id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    // SAFETY: the kernel reads one seccomp_notif_resp, which outlives the call. A thread killed meanwhile is no error.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw const answer) };
}

/// Reads memory of another process; gives how many bytes could be read.
pub(crate) fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: the local part is a live, exclusive buffer of that length; the remote address is only used by the kernel.
    let read = unsafe { libc::process_vm_readv(pid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    check(read as libc::c_long).map(|count| count as usize)
}

/// The name under which an open descriptor of this process can be given to calls that take paths.
pub(crate) fn path_of(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
