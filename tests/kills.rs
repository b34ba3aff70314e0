//! 100 kills at instants spread over pull, RUN and export; after each, the next build gives what it should.
#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use jettison_testkit::{Context, Fault, Image, Jettison, Proxy, Registry, Rule, base};

const KILLS: u32 = 100;
/// How long the processes of a killed build may take to end.
const GRACE: Duration = Duration::from_secs(5);

const DOCKERFILE: &str = "\
FROM busybox AS one
RUN for i in 1 2 3 4 5 6 7 8; do head -c 300000 /dev/zero > /f$i; sleep 0.02; done
FROM busybox AS two
COPY data /data
RUN sleep 0.1; md5sum /data > /sum
FROM busybox
COPY --from=one /f1 /f2 /files/
COPY --from=two /sum /sum
RUN sleep 0.1; cat /sum > /copy
";

struct Killing {
    context: Context,
    proxy: Proxy,
    _registry: Registry,
}

impl Killing {
    fn new() -> Killing {
        let registry = Registry::start();
        registry.push(&base::busybox_image().skopeo("busybox"), "library/busybox:latest");
        let proxy = Proxy::start(&registry.address());
        // About a quarter of a second for the layer, so that kills hit the download.
        proxy.add(Rule::new("GET", "/blobs/", Fault::Slow(40_000)));
        let context = Context::of(DOCKERFILE).file("data", vec![7; 1_000_000]);
        Killing { context, proxy, _registry: registry }
    }

    fn home(&self) -> Jettison {
        let jettison = Jettison::new(env!("CARGO_BIN_EXE_jettison"));
        jettison.mirror(&["docker.io"], &self.proxy.address());
        jettison
    }

    /// Kills a build on an empty store after `time`, then builds again and returns that image's digest.
    fn kill_after(&self, time: Duration, victim: Victim) -> String {
        let jettison = self.home();
        let output = format!("type=oci,dest={}", jettison.path("work/image.tar").display());
        let arguments = ["build", "-t", "killed", "-o", &output, self.context.argument()];
        let mut child = jettison.spawn(&arguments);
        std::thread::sleep(time);
        victim.kill(child.id());
        child.wait().unwrap();
        nothing_is_left(&jettison, &format!("{time:?} {victim:?}"));
        jettison.image(&self.context, &[]).digest.to_string()
    }
}

/// Asserts that the processes of an ended build end too, and that none of its mounts can be seen.
fn nothing_is_left(jettison: &Jettison, case: &str) {
    let started = Instant::now();
    while !processes(jettison).is_empty() {
        assert!(started.elapsed() < GRACE, "{case}: left behind: {:?}", processes(jettison));
        std::thread::sleep(Duration::from_millis(5));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(jettison.store().to_str().unwrap()), "{case}: {mounts}");
}

/// Which process is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// The one that was started.
    Outer,
    /// Its first child, where it has one.
    Child,
    /// The process that is deepest in the tree: a step's command, while one runs.
    Deepest,
    /// All of them.
    All,
}

impl Victim {
    fn kill(self, outer: u32) {
        let family = family(outer);
        let victims = match self {
            Victim::Outer => vec![outer],
            Victim::Child => vec![*family.get(1).unwrap_or(&outer)],
            Victim::Deepest => vec![*family.last().unwrap_or(&outer)],
            Victim::All => family,
        };
        for pid in victims {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).output();
        }
    }
}

/// The process and its descendants, parents before children.
fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        at += 1;
    }
    found
}

/// The processes that were started with this home's store, or run inside it.
fn processes(jettison: &Jettison) -> Vec<String> {
    let home = jettison.path("").display().to_string();
    let home = home.trim_end_matches('/').as_bytes();
    let of_home = |pid: &str| {
        ["environ", "cmdline", "mountinfo"].iter().any(|file| {
            fs::read(format!("/proc/{pid}/{file}"))
                .is_ok_and(|bytes| bytes.windows(home.len()).any(|part| part == home))
        })
    };
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    pids.filter(|pid| pid.bytes().all(|b| b.is_ascii_digit()) && of_home(pid))
        .map(|pid| {
            format!(
                "{pid} {}",
                fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
            )
        })
        .collect()
}

#[test]
fn a_hundred_kills_lose_nothing() {
    let killing = Killing::new();
    let untouched = killing.home();
    let start = Instant::now();
    let expected = untouched.image(&killing.context, &[]).digest.to_string();
    let whole = start.elapsed();
    let victims = [Victim::Outer, Victim::Child, Victim::All, Victim::Outer, Victim::Deepest];
    for number in 0..KILLS {
        // Spread over the whole build, in an order that jumps about.
        let time = whole * (number * 37 % KILLS) / KILLS + Duration::from_micros(u64::from(jitter()));
        let digest = killing.kill_after(time, victims[number as usize % victims.len()]);
        assert_eq!(digest, expected, "after kill {number} at {time:?} of {whole:?}");
    }
}

#[test]
fn an_interrupted_build_leaves_nothing_and_says_130() {
    let killing = Killing::new();
    for time in [50, 300, 600] {
        let jettison = killing.home();
        let mut child = jettison.spawn(&["build", killing.context.argument()]);
        std::thread::sleep(Duration::from_millis(time));
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).output();
        let status = child.wait().unwrap();
        // A signal that comes before the program listens ends it as any other, which shells call 130 too.
        assert!(status.code() == Some(130) || status.signal() == Some(2), "after {time} ms: {status}");
        nothing_is_left(&jettison, &format!("after {time} ms"));
        let image: Image = jettison.image(&killing.context, &[]);
        assert!(image.tree().has("/copy"));
    }
}

/// Up to ten milliseconds, in microseconds.
fn jitter() -> u32 {
    let mut bytes = [0; 4];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    u32::from_le_bytes(bytes) % 10_000
}
