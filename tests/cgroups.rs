//! `--cgroup-parent`: each RUN in a cgroup of its own, seen from outside, and gone afterwards.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use jettison_testkit::{Context, Who, tools};

use crate::Bench;

/// Where the hierarchies of this machine are mounted, those of version 2 last.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let of = |version: &str| -> Vec<PathBuf> {
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        fields.filter(|fields| fields[2] == version).map(|fields| PathBuf::from(fields[1])).collect()
    };
    [of("cgroup"), of("cgroup2")].concat()
}

/// A parent that no one else uses; removed from all hierarchies when dropped, as far as nothing is in it.
struct Parent(String);

impl Parent {
    fn new(name: &str) -> Parent {
        tools::require_root();
        Parent(format!("jettison-test-{}-{name}", std::process::id()))
    }

    /// The folders of `below` in it, in each hierarchy.
    fn folders(&self, below: &str) -> Vec<PathBuf> {
        hierarchies().iter().map(|hierarchy| hierarchy.join(&self.0).join(below)).collect()
    }

    /// The groups of steps that are there now.
    fn steps(&self, below: &str) -> Vec<PathBuf> {
        let entries = |folder: &PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = self.folders(below);
        let groups = folders.iter().flat_map(entries).map(|entry| entry.path());
        groups.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("jettison-")).collect()
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        for folder in self.folders("") {
            let depth_first = ["-depth", "-type", "d", "-delete"];
            let _ = Command::new("find").arg(folder).args(depth_first).output();
        }
    }
}

fn sleeper() -> Context {
    Context::of("FROM busybox\nRUN cat /proc/self/cgroup > /before && sleep 1000; echo > /after\n")
}

/// Starts a build whose step sleeps.
fn start(bench: &Bench, context: &Context, parent: &str) -> Child {
    let flags = bench.flags(&["--no-cache", "--cgroup-parent", parent, context.argument()]);
    bench.jettison.spawn(&["build"].into_iter().chain(flags.iter().map(String::as_str)).collect::<Vec<_>>())
}

/// Waits until `find` finds something.
fn wait_for<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = find() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} does not come");
}

/// The process that sleeps in one of these groups.
fn sleeping(groups: &[PathBuf]) -> Option<u32> {
    let processes = groups.iter().filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok());
    let pids: Vec<u32> =
        processes.flat_map(|text| text.lines().flat_map(str::parse).collect::<Vec<_>>()).collect();
    pids.into_iter().find(|pid| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\x001000"))
    })
}

/// Where process `pid` is, as the host sees it: one path a hierarchy that is mounted.
fn places(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().map(|line| line.splitn(3, ':').nth(2).unwrap().to_owned()).collect()
}

#[test]
fn a_step_has_a_cgroup_of_its_own_in_each_hierarchy() {
    let parent = Parent::new("own");
    let word = parent.0.replace('-', "_");
    let slice = Parent(format!("{word}.slice"));
    let bench = Bench::new();
    let context = sleeper();
    for (argument, parent, below) in [
        (format!("/{}", parent.0), &parent, String::new()),
        (format!("{}/x/../y", parent.0), &parent, "y".to_owned()),
        (format!("{word}-b.slice"), &slice, format!("{word}-b.slice")),
    ] {
        let mut build = start(&bench, &context, &argument);
        let pid = wait_for("a process", || sleeping(&parent.steps(&below)));
        let (groups, places) = (parent.steps(&below), places(pid));
        let group = Path::new("/").join(&parent.0).join(&below).join("jettison-");
        assert_eq!(groups.len(), hierarchies().len(), "{groups:?}");
        let names: Vec<_> = groups.iter().map(|path| path.file_name().unwrap()).collect();
        assert!(names.windows(2).all(|pair| pair[0] == pair[1]), "{names:?}");
        let inside = places.iter().filter(|place| place.starts_with(group.to_str().unwrap())).count();
        assert_eq!(inside, hierarchies().len(), "{places:?}");
        tools::run("kill", [pid.to_string()]);
        assert!(build.wait().unwrap().success());
        assert!(parent.steps(&below).is_empty(), "{argument}");
    }
}

#[test]
fn the_cgroup_is_gone_after_failure_and_death() {
    let parent = Parent::new("gone");
    let bench = Bench::new();
    let flag = format!("--cgroup-parent={}", parent.0);
    bench.fails(&Context::of("FROM busybox\nRUN exit 7\n"), &[&flag]).says("exit code: 7");
    bench.fails(&Context::of("FROM scratch\nRUN [\"/no\"]\n"), &[&flag]);
    assert!(parent.folders("").iter().all(|folder| folder.is_dir()), "the parent stays, as docker's does");
    assert!(parent.steps("").is_empty());

    let context = sleeper();
    let mut build = start(&bench, &context, &parent.0);
    wait_for("a process", || sleeping(&parent.steps("")));
    build.kill().unwrap();
    build.wait().unwrap();
    wait_for("the end", || parent.steps("").is_empty().then_some(()));

    // What an insecure step makes in its own group goes with it.
    let insecure = format!(
        "FROM busybox\nRUN --security=insecure find /sys/fs/cgroup -type d -path '*/{}/jettison-*' | sed 's,$,/own,' | \
         xargs mkdir -v\n",
        parent.0
    );
    let output = bench.build(&Context::of(&insecure), &[&flag, "--allow=security.insecure"]);
    assert_eq!(output.stderr.matches("created directory").count(), hierarchies().len(), "{output}");
    assert!(parent.steps("").is_empty());
}

#[test]
fn the_cgroup_is_no_part_of_the_key() {
    let parent = Parent::new("key");
    let bench = Bench::new();
    let context = Context::of("FROM busybox\nRUN echo > /f\n");
    bench.build(&context, &[]);
    let output = bench.build(&context, &["--cgroup-parent", &parent.0, "--progress=rawjson"]);
    assert!(output.steps().all().iter().all(|step| step.cached || !step.name.contains("RUN")));
    assert!(parent.folders("").iter().all(|folder| !folder.exists()));
}

#[test]
fn who_may_not_is_told_which_cgroup() {
    let parent = Parent::new("denied");
    let context = Context::of("FROM busybox\nRUN true\n");
    let flag = format!("--cgroup-parent={}", parent.0);
    let place = parent.folders("").remove(0).display().to_string();
    let bench = Bench::of(Who::Subordinate);
    bench
        .unable(&context, &[&flag])
        .says(&format!("cannot make the cgroup {place}"))
        .says("Permission denied");

    // A folder that was given to the user will do; of those of version 2 the kernel wants more than that.
    for folder in parent.folders("") {
        fs::create_dir(&folder).unwrap();
        chown(&folder, Some(12_345), Some(12_345)).unwrap();
    }
    let version_2 = |path: &Path| path.join("cgroup.controllers").exists();
    let (new, old): (Vec<PathBuf>, Vec<PathBuf>) =
        parent.folders("").into_iter().partition(|path| version_2(path));
    let output =
        if old.is_empty() { bench.unable(&context, &[&flag]) } else { bench.build(&context, &[&flag]) };
    for path in new {
        output.says(&format!("cannot put the command into the cgroup {}", path.display()));
    }
    assert!(parent.steps("").is_empty());
}
