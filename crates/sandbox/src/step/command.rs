//! The last steps of a process before it becomes the command: identity, limits of power, and exec.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::foreign;
use super::spawn::filter_options;
use super::wire::{Channel, Notice, Request};
use crate::error::{Fault, OrFault};
use crate::identity::{Identity, Mode};
use crate::seccomp::{self, Options};
use crate::spec::{Limit, Spec, User};
use crate::sys::{self, Signals};

/// Where commands are looked for if the environment has no PATH: docker's default.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Exit codes by which a shell tells that there is no such command, and that it cannot be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Docker's default capabilities (moby `daemon/pkg/oci/caps/defaults.go`): 0xa80425fb.
fn default_capabilities() -> CapabilitySet {
    CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FSETID
        | CapabilitySet::FOWNER
        | CapabilitySet::MKNOD
        | CapabilitySet::NET_RAW
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID
        | CapabilitySet::SETFCAP
        | CapabilitySet::SETPCAP
        | CapabilitySet::NET_BIND_SERVICE
        | CapabilitySet::SYS_CHROOT
        | CapabilitySet::KILL
        | CapabilitySet::AUDIT_WRITE
}

/// The command's standard streams.
pub(super) struct Streams {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Becomes the command. The process is in its root already, and in the directory it will work in.
pub(super) fn become_command(
    request: &Request,
    streams: &Streams,
    host_network: bool,
    channel: &Channel,
) -> ! {
    let spec = &request.spec;
    let outcome = prepare(request, streams, host_network, channel).and_then(|()| strings(spec));
    match outcome {
        Ok((args, env)) => execute(spec, &args, &env, channel),
        Err(fault) => {
            let _ = channel.send(&Notice::Failed(fault), &[]);
            sys::exit_now(1)
        }
    }
}

fn prepare(request: &Request, streams: &Streams, host_network: bool, channel: &Channel) -> Result<(), Fault> {
    let Request { spec, identity, .. } = request;
    give_streams(streams, spec.user.uid);
    for (fd, at) in [(&streams.stdin, 0), (&streams.stdout, 1), (&streams.stderr, 2)] {
        sys::dup_to(fd.as_fd(), at).or_fault(|| "pass the standard streams".to_owned())?;
    }
    sys::close_on_exec_from(3);
    if !spec.interactive {
        // Without a terminal of its own: nobody can press Ctrl-C at it, and it cannot type into its caller's.
        let _ = rustix::process::setsid();
    }
    sys::default_signal_actions();
    Signals::of(&[]).set_blocked();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    set_limits(&spec.limits, channel)?;
    let mut kept = if spec.insecure { CapabilitySet::all() } else { default_capabilities() };
    if host_network && !spec.insecure {
        // With it a command could listen to the host's traffic where it is root of the host.
        kept.remove(CapabilitySet::NET_RAW);
    }
    let root = spec.user.uid == 0;
    set_identity(&spec.user, identity)?;
    drop_bounding(kept, identity)?;
    if !spec.insecure {
        install_filter(request, channel)?;
    }
    let own = if root { kept } else { CapabilitySet::empty() };
    let own = own & rustix::thread::capabilities(None).map_or(own, |sets| sets.permitted);
    let sets = CapabilitySets { effective: own, permitted: own, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).or_fault(|| "drop capabilities".to_owned())?;
    if identity.mode == Mode::Chroot {
        // No process namespace ends with its first process here. Last, for a change of credentials clears it.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    Ok(())
}

/// Lets another user than root open /dev/stdout: pipes belong to who made them. (As runc does. Files and terminals are
/// the caller's own and stay so.)
fn give_streams(streams: &Streams, uid: u32) {
    for fd in [&streams.stdin, &streams.stdout, &streams.stderr] {
        let is_pipe = rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO);
        if uid != 0 && is_pipe {
            let _ = rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None);
        }
    }
}

/// Sets resource limits; one that may not be raised so far is raised as far as it may be.
fn set_limits(limits: &[Limit], channel: &Channel) -> Result<(), Fault> {
    let value = |number: u64| (number != u64::MAX).then_some(number);
    for Limit { name, soft, hard } in limits {
        let what = || format!("set the limit {name}");
        let resource = resource(name).ok_or_else(|| Fault::of(what(), rustix::io::Errno::INVAL))?;
        let wanted = Rlimit { current: value(*soft), maximum: value(*hard) };
        if rustix::process::setrlimit(resource, wanted).is_ok() {
            continue;
        }
        let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let (soft, hard) = (*soft.min(&most), *hard.min(&most));
        let possible = Rlimit { current: value(soft), maximum: value(hard) };
        rustix::process::setrlimit(resource, possible).or_fault(what)?;
        let note = format!("the limit {name} is {soft}:{hard}, for this user may not raise it further");
        channel.send(&Notice::Note(note), &[]).or_fault(what)?;
    }
    Ok(())
}

/// A limit by its name; all of [`crate::LIMITS`] are here.
fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

/// Takes on the user and groups; keeps capabilities for what is still to be done.
fn set_identity(user: &User, identity: &Identity) -> Result<(), Fault> {
    if identity.setgroups {
        let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
        match rustix::thread::set_thread_groups(&groups) {
            // In a container that may not: the groups we were given stay.
            Err(rustix::io::Errno::PERM) if identity.mode == Mode::Chroot => {}
            result => result.or_fault(|| format!("set the supplementary groups {:?}", user.groups))?,
        }
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let what = || format!("become user {}:{}", user.uid, user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).or_fault(what)?;
    rustix::thread::set_keep_capabilities(true).or_fault(what)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).or_fault(what)?;
    // The change of user took the effective set; the permitted one was kept.
    let mut sets = rustix::thread::capabilities(None).or_fault(what)?;
    sets.effective = sets.permitted;
    sets.inheritable = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, sets).or_fault(what)?;
    rustix::thread::set_keep_capabilities(false).or_fault(what)?;
    let _ = rustix::thread::clear_ambient_capability_set();
    Ok(())
}

/// The highest number a capability can have; the kernel refuses to name those it does not know.
const LAST_CAPABILITY: u32 = 63;

fn drop_bounding(kept: CapabilitySet, identity: &Identity) -> Result<(), Fault> {
    for number in 0..=LAST_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL) => break,
            Err(rustix::io::Errno::PERM) if identity.mode == Mode::Chroot => break,
            Err(error) => return Err(Fault::of("limit the capabilities", error)),
        }
    }
    Ok(())
}

/// Lays the seccomp filter upon this process, while it still has the capability that spares `no_new_privs`.
fn install_filter(request: &Request, channel: &Channel) -> Result<(), Fault> {
    let what = || "install the seccomp filter".to_owned();
    let Request { spec, identity, filter, .. } = request;
    let options = filter_options(identity, spec);
    match sys::load_filter(&seccomp::decode(filter), options.announce_ids) {
        // A nested listener is refused (EBUSY): then nobody can say which call it was, but the kernel still refuses it.
        Err(error) if options.announce_ids && error.raw_os_error() == Some(libc::EBUSY) => {
            let program = seccomp::filter(Options { announce_ids: false, ..options });
            sys::load_filter(&program, false).map(drop).or_fault(what)
        }
        // Without CAP_SYS_ADMIN, in a container that has a filter of its own.
        Err(error) if identity.mode == Mode::Chroot && error.raw_os_error() == Some(libc::EACCES) => Ok(()),
        result => match result.or_fault(what)? {
            Some(listener) => channel.send(&Notice::Listener, &[listener.as_fd()]).or_fault(what),
            None => Ok(()),
        },
    }
}

/// Arguments and environment; HOME is added from /etc/passwd where it is missing, as runc does.
fn strings(spec: &Spec) -> Result<(Vec<CString>, Vec<CString>), Fault> {
    let c_strings = |strings: &[String]| -> Result<Vec<CString>, Fault> {
        let strings = strings.iter().map(|string| CString::new(string.as_str()));
        strings
            .collect::<Result<_, _>>()
            .map_err(|_| Fault::new("pass a string with a null byte to the command"))
    };
    let (args, mut env) = (c_strings(&spec.args)?, c_strings(&spec.env)?);
    if variable(&spec.env, "HOME").is_none() {
        let home = home(&fs::read_to_string("/etc/passwd").unwrap_or_default(), spec.user.uid);
        env.extend(CString::new(format!("HOME={home}")));
    }
    Ok((args, env))
}

fn variable<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// The home directory of a user, `/` if it has none.
fn home(passwd: &str, uid: u32) -> String {
    let of_user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let number: u32 = fields.get(2)?.parse().ok()?;
        (number == uid).then(|| fields.get(5).copied().unwrap_or_default().to_owned())
    };
    passwd.lines().find_map(of_user).filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned())
}

fn execute(spec: &Spec, args: &[CString], env: &[CString], channel: &Channel) -> ! {
    let Some(name) = spec.args.first() else { quit("exec: no command given", NOT_FOUND) };
    let path = match look_up(name, variable(&spec.env, "PATH").unwrap_or(DEFAULT_PATH)) {
        Ok(path) => path,
        Err((message, code)) => quit(&format!("exec: \"{name}\": {message}"), code),
    };
    let Ok(c_path) = CString::new(path.into_os_string().into_encoded_bytes()) else {
        quit(&format!("exec: \"{name}\": a null byte in its path"), NOT_FOUND)
    };
    let error = sys::execve(&c_path, args, env);
    if let Some(foreign) = foreign::explain(Path::new(&*c_path.to_string_lossy()), &error) {
        let _ = channel.send(&Notice::Foreign(foreign), &[]);
    }
    let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    quit(&format!("exec {}: {}", c_path.to_string_lossy(), reason(&error)), code)
}

/// Tells the user on the command's own standard error.
fn quit(message: &str, code: i32) -> ! {
    let line = format!("{message}\n");
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
    sys::exit_now(code)
}

/// Finds a command as execvp(3) does; the messages are those of Go's os/exec, which people know from docker.
fn look_up(name: &str, path: &str) -> Result<PathBuf, (String, i32)> {
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err((format!("stat {name}: no such file or directory"), NOT_FOUND))
            }
            Err(error) => Err((reason(&error), NOT_EXECUTABLE)),
        };
    }
    let mut forbidden = false;
    for directory in path.split(':') {
        let candidate = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) => forbidden |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    match forbidden {
        true => Err(("permission denied".to_owned(), NOT_EXECUTABLE)),
        false => Err(("executable file not found in $PATH".to_owned(), NOT_FOUND)),
    }
}

fn executable(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    match metadata.permissions().mode() & 0o111 {
        0 => Err(io::Error::from_raw_os_error(libc::EACCES)),
        _ => Ok(()),
    }
}

/// The kernel's words without Rust's "(os error N)".
fn reason(error: &io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Makes the working directory where it is missing, 0755 and the user's, and goes there.
pub(super) fn enter_directory(spec: &Spec, root: &Path) -> Result<(), Fault> {
    let cwd = if spec.cwd.is_empty() { "/" } else { &spec.cwd };
    let what = || format!("use {cwd} as working directory");
    let mut path = root.to_owned();
    for part in super::stubs::plain(cwd).components() {
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).or_fault(what)?;
                std::os::unix::fs::chown(&path, Some(spec.user.uid), Some(spec.user.gid)).or_fault(what)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Fault::of(what(), error)),
        }
    }
    rustix::process::chdir(&path).or_fault(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_dockers() {
        assert_eq!(default_capabilities().bits(), 0xa804_25fb);
    }

    #[test]
    fn all_limits_are_known() {
        for name in crate::LIMITS {
            assert!(resource(name).is_some(), "{name}");
        }
    }

    #[test]
    fn home_by_uid() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n";
        for (uid, expected) in [(0, "/root"), (1000, "/home/ann"), (65534, "/"), (7, "/")] {
            assert_eq!(home(passwd, uid), expected);
        }
    }

    #[test]
    fn commands_are_found_as_execvp_finds_them() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        for name in ["one", "two"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("one/tool"), "").unwrap();
        fs::write(at("two/tool"), "").unwrap();
        fs::set_permissions(at("two/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(at("one/plain"), "").unwrap();
        let path = format!("{}:{}", at("one"), at("two"));
        assert_eq!(look_up("tool", &path), Ok(PathBuf::from(at("two/tool"))));
        assert_eq!(look_up("plain", &path), Err(("permission denied".to_owned(), 126)));
        assert_eq!(look_up("none", &path), Err(("executable file not found in $PATH".to_owned(), 127)));
        let absent = at("none");
        assert_eq!(look_up(&absent, &path), Err((format!("stat {absent}: no such file or directory"), 127)));
        assert_eq!(look_up(&at("one"), &path).map_err(|error| error.1), Err(126), "a directory");
    }
}
