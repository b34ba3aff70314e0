//! What this machine allows, for `jettison doctor`: quick, and without a trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::diagnose::{sysctl, under_seccomp};
use crate::enter::{enter, find_helper};
use crate::error::{EnterError, Fault, OrFault, Reason};
use crate::identity::{Identity, Mode};
use crate::step::{Layers, PROBE_ARGUMENT, SANDBOX_ARGUMENT};
use crate::sys;

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Ok,
    /// Something works less well than it could.
    Warn,
    /// Something does not work.
    Fail,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, a few words.
    pub name: String,
    /// The news.
    pub status: Status,
    /// What was found, a lower-case fragment.
    pub detail: String,
    /// What to do about it, a command where there is one.
    pub remedy: Option<String>,
}

/// What this machine allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The mode that [`crate::enter`] takes; `None` if there is none.
    pub mode: Option<Mode>,
    /// One line a thing that was looked at.
    pub checks: Vec<Check>,
}

/// The layers of the largest image that Docker makes.
const LAYERS: usize = 127;

/// The first kernel on which all is there: `mount_setattr`, and overlays in user namespaces.
const KERNEL: (u32, u32) = (5, 12);

/// Tries each mode in a process of its own, and looks at what else matters. Takes some tens of milliseconds.
///
/// Needs a `main` that calls [`crate::intercept`] first. Best called before [`crate::enter`]: afterwards it tells of
/// the namespace, not of the machine.
pub fn probe() -> Report {
    let mut checks = vec![kernel()];
    let mut mode = None;
    let mut overlay = None;
    for candidate in Mode::ALL {
        match trial(candidate) {
            Ok(found) => {
                checks.push(possible(&found.identity));
                mode = mode.or(Some(candidate));
                overlay = overlay.or(found.overlay);
            }
            Err(reason) => checks.push(impossible(reason, mode)),
        }
    }
    checks.extend(overlay.map(of_overlay));
    checks.push(seccomp());
    checks.push(helpers());
    checks.push(pasta());
    checks.push(emulators());
    checks.push(cgroups());
    Report { mode, checks }
}

fn check(name: &str, status: Status, detail: impl Into<String>, remedy: Option<&str>) -> Check {
    Check { name: name.to_owned(), status, detail: detail.into(), remedy: remedy.map(str::to_owned) }
}

/// What a child that entered a mode found there.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    identity: Identity,
    /// What became of an overlay of 127 layers; nothing where overlays are not used.
    overlay: Option<Result<(), String>>,
}

/// Enters a mode in a child.
fn trial(mode: Mode) -> Result<Found, Reason> {
    let failed = |what: String| Reason { mode, what, remedy: None };
    let output = Command::new("/proc/self/exe")
        .args([SANDBOX_ARGUMENT, PROBE_ARGUMENT, mode.as_str()])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| failed(format!("cannot start a process: {error}")))?;
    match serde_json::from_slice::<Result<Found, Reason>>(&output.stdout) {
        Ok(result) => result,
        Err(_) => Err(failed(format!("the trial ended without an answer ({})", output.status))),
    }
}

/// The child's side of [`trial`]; the answer goes to standard output.
pub(crate) fn answer(mode: &str) -> ! {
    let Some(mode) = Mode::ALL.into_iter().find(|known| known.as_str() == mode) else { sys::exit_now(1) };
    let result = match enter(Some(mode)) {
        Ok(identity) => Ok(Found { overlay: mode.overlay().then(try_overlay), identity }),
        Err(EnterError::NoMode { mut reasons }) if !reasons.is_empty() => Err(reasons.remove(0)),
        Err(error) => Err(Reason { mode, what: error.to_string(), remedy: None }),
    };
    let text = serde_json::to_vec(&result).unwrap_or_default();
    let _ = rustix::io::write(rustix::stdio::stdout(), &text);
    sys::exit_now(0)
}

/// Mounts a read-only overlay of 127 layers, in memory, in this process's mount namespace.
fn try_overlay() -> Result<(), String> {
    let text =
        |fault: Fault| format!("cannot {}: {}", fault.what, std::io::Error::from_raw_os_error(fault.errno));
    let work = || -> Result<(), Fault> {
        let what = || "make layers in memory".to_owned();
        let base = Path::new("/tmp");
        rustix::mount::mount("tmpfs", base, "tmpfs", MountFlags::empty(), None).or_fault(what)?;
        let layers: Vec<PathBuf> = (0..LAYERS).map(|number| base.join(number.to_string())).collect();
        layers.iter().try_for_each(fs::create_dir).or_fault(what)?;
        let merged = base.join("merged");
        fs::create_dir(&merged).or_fault(what)?;
        Layers::open(layers.iter().map(PathBuf::as_path), None)?.mount(&merged).map(drop)
    };
    work().map_err(text)
}

fn possible(identity: &Identity) -> Check {
    let users: u64 = identity.uid_map.iter().map(|extent| u64::from(extent.count)).sum();
    let detail = match identity.mode {
        Mode::Chroot => "possible; commands are confined by a changed root directory alone".to_owned(),
        _ if !identity.user_namespace => format!("possible without a user namespace, {users} ids"),
        _ => format!("possible, {users} ids"),
    };
    check(&format!("mode {}", identity.mode), Status::Ok, detail, None)
}

/// A mode that is worse than one that works is not missed.
fn impossible(reason: Reason, better: Option<Mode>) -> Check {
    let status = match (better, reason.mode) {
        (Some(_), _) => Status::Ok,
        (None, Mode::Root | Mode::Subordinate) => Status::Warn,
        (None, _) => Status::Fail,
    };
    Check { name: format!("mode {}", reason.mode), status, detail: reason.what, remedy: reason.remedy }
}

fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|word| word.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version >= KERNEL {
        true => check("kernel", Status::Ok, format!("Linux {release}"), None),
        false => {
            let detail = format!("Linux {release}; RUN in namespaces needs {}.{}", KERNEL.0, KERNEL.1);
            check("kernel", Status::Fail, detail, Some("a newer kernel, or root in chroot mode"))
        }
    }
}

fn of_overlay(result: Result<(), String>) -> Check {
    match result {
        Ok(()) => check("overlay", Status::Ok, format!("an overlay of {LAYERS} layers can be mounted"), None),
        Err(error) => check("overlay", Status::Fail, error, Some("a kernel with overlayfs, 5.12 or later")),
    }
}

fn seccomp() -> Check {
    let known = sysctl_exists("kernel.seccomp.actions_avail");
    match (known, under_seccomp()) {
        (false, _) => check("seccomp", Status::Fail, "the kernel has no seccomp filters", None),
        (true, true) => check("seccomp", Status::Ok, "a filter from outside is in force already", None),
        (true, false) => check("seccomp", Status::Ok, "commands run under Docker's default profile", None),
    }
}

fn sysctl_exists(name: &str) -> bool {
    Path::new("/proc/sys").join(name.replace('.', "/")).exists()
}

fn helpers() -> Check {
    let missing: Vec<&str> =
        ["newuidmap", "newgidmap"].into_iter().filter(|name| find_helper(name).is_none()).collect();
    match missing.is_empty() {
        true => check("newuidmap, newgidmap", Status::Ok, "installed", None),
        false => {
            let detail = format!("not installed: {}; ordinary users have one id only", missing.join(", "));
            check("newuidmap, newgidmap", Status::Warn, detail, Some("apt install uidmap"))
        }
    }
}

fn pasta() -> Check {
    match find_helper("pasta") {
        Some(path) => check("network", Status::Ok, format!("private, through {}", path.display()), None),
        None => {
            let detail = "pasta is not installed; commands share the network of the host";
            check("network", Status::Warn, detail, Some("apt install passt"))
        }
    }
}

/// Which foreign architectures the kernel runs through an emulator (Documentation/admin-guide/binfmt-misc.rst).
fn emulators() -> Check {
    let entries = fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    let enabled = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.starts_with("enabled"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(enabled)
        .filter_map(|path| Some(path.file_name()?.to_str()?.strip_prefix("qemu-")?.to_owned()))
        .collect();
    names.sort_unstable();
    match names.is_empty() {
        true => {
            let detail = "none; RUN works for this machine's own architecture only";
            check("emulators", Status::Warn, detail, Some("apt install qemu-user-static binfmt-support"))
        }
        false => check("emulators", Status::Ok, names.join(", "), None),
    }
}

fn cgroups() -> Check {
    let version = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        "version 2"
    } else if Path::new("/sys/fs/cgroup/unified").exists() {
        "version 1 with version 2 beside it"
    } else {
        "version 1, or none"
    };
    let namespaces = match sysctl("user.max_cgroup_namespaces") {
        None | Some(0) => ", without namespaces",
        Some(_) => "",
    };
    check("cgroups", Status::Ok, format!("{version}{namespaces}"), None)
}

/// Whether the file system of `dir` can carry the upper directory of an overlay, in the present identity: not so if it
/// is itself an overlay, as in many containers, or stores no extended attributes.
///
/// Call it after [`crate::enter`]. Makes and removes a directory in `dir`.
pub fn overlay_supported(dir: &Path) -> bool {
    let trial = dir.join(format!(".overlay-trial-{}", rustix::process::getpid().as_raw_nonzero()));
    if fs::create_dir(&trial).is_err() {
        return false;
    }
    let path = trial.clone();
    // A mount namespace is a property of a thread: this one's ends with it, and the mount too.
    let supported = thread::spawn(move || try_upper(&path).is_ok()).join().unwrap_or(false);
    let _ = fs::remove_dir_all(&trial);
    supported
}

fn try_upper(base: &Path) -> Result<(), Fault> {
    let what = || "try an overlay".to_owned();
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| base.join(name));
    for directory in [&lower, &upper, &work] {
        fs::create_dir(directory).or_fault(what)?;
    }
    // What overlayfs keeps in the upper directory.
    rustix::fs::setxattr(&upper, "user.overlay.trial", b"y", rustix::fs::XattrFlags::empty())
        .or_fault(what)?;
    sys::unshare(UnshareFlags::NEWNS).or_fault(what)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).or_fault(what)?;
    Layers::open([lower.as_path()].into_iter(), Some((&upper, &work)))?.mount(&lower)?;
    fs::write(lower.join("file"), "").or_fault(what)?;
    rustix::mount::unmount(&lower, rustix::mount::UnmountFlags::DETACH).or_fault(what)
}
