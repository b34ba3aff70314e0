//! Whoever is killed, nothing is left; and what a step costs.

use std::fs;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jettison_sandbox::{Network, Spec, Stdio3, enter, spawn};

use crate::Check;
use crate::fixture::{Caller, Fixture};

pub const CHECKS: &[Check] = &[
    ("kill -9 of any of its processes leaves nothing", kill_any),
    ("kill -9 in chroot mode leaves nothing", kill_chroot),
    ("a signal to the program ends it by that signal", signal),
    ("a machine that nobody wants is gone with the program", unwanted),
    ("nothing is left of a command, however it ended, once that was waited for", settled),
];

/// The processes whose command line holds `marker`, besides those that only look for it.
fn processes(marker: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(marker)
    };
    pids.filter(holds).collect()
}

/// Whether such a process runs.
pub fn runs(marker: &str) -> bool {
    !processes(marker).is_empty()
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// The chain of processes from the one started to the command: guardian, builder, helper, first process, command.
fn chain(child: &Child) -> Vec<u32> {
    let mut chain = vec![child.id()];
    while let Some(&next) = chain.last().and_then(|&pid| children(pid).into_iter().next()).as_ref() {
        chain.push(next);
    }
    chain
}

fn kill(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn kill_each(fixture: &Fixture, spec: &dyn Fn(&str) -> Spec, victims: usize) {
    for victim in 0..victims {
        let marker = format!("marker-{}-{victim}-{victims}", std::process::id());
        let _ = fs::remove_dir_all(fixture.path("work"));
        fs::create_dir(fixture.path("work")).unwrap();
        let spec = spec(&format!("sh -c 'sleep 60; : {marker}' & sleep 60; : {marker}"));
        let mut child = fixture.start(None, &spec);
        wait_until("the command starts", || processes(&marker).len() >= 2);
        let chain = chain(&child);
        assert!(chain.len() > victims, "{chain:?}");
        let all = descendants(child.id());
        kill(chain[victim], "-KILL");
        child.wait().unwrap();
        wait_until(&format!("number {victim} of {chain:?} is killed, and all of {all:?} are gone"), || {
            !runs(&marker) && !all.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap())
        });
    }
}

/// A process and all below it: those of the private network too.
fn descendants(pid: u32) -> Vec<u32> {
    let below = children(pid).into_iter().flat_map(descendants);
    std::iter::once(pid).chain(below).collect()
}

fn kill_any() {
    let fixture = Fixture::new(Caller::Root);
    kill_each(&fixture, &|script| Spec { network: Network::Default, ..fixture.spec(script) }, 4);
}

fn kill_chroot() {
    let fixture = Fixture::new(Caller::Confined);
    // Guardian and builder. If the helper is killed, only the command's own process is sure to die.
    kill_each(&fixture, &|script| fixture.plain_spec(script), 2);
}

fn signal() {
    use std::os::unix::process::ExitStatusExt;
    let fixture = Fixture::new(Caller::Root);
    let marker = format!("marker-{}-term", std::process::id());
    let mut child = fixture.start(None, &fixture.spec(&format!("sleep 60; : {marker}")));
    wait_until("the command starts", || runs(&marker));
    kill(child.id(), "-TERM");
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    wait_until("all are gone", || !runs(&marker));
}

fn unwanted() {
    let fixture = Fixture { prepared: true, ..Fixture::new(Caller::Root) };
    let marker = format!("marker-{}-unwanted", std::process::id());
    let spec = Spec { shm_size: Some(1 << 20), ..fixture.spec(&format!("sleep 1; : {marker}")) };
    let mut child = fixture.start(None, &spec);
    wait_until("the command starts", || runs(&marker));
    let all = descendants(child.id());
    // Guardian, builder; helper, first process and command; helper and first process of the one that nobody wants.
    assert!(all.len() >= 7, "{all:?}");
    assert!(child.wait().unwrap().success());
    wait_until("all are gone", || !all.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap()));
}

fn settled() {
    let fixture = Fixture::new(Caller::Root);
    for script in ["true", "sleep 60 & true", "exit 3", "kill -9 $$"] {
        let answer = fixture.run(&Spec { network: Network::None, ..fixture.spec(script) });
        assert_eq!((answer.error.as_str(), answer.left.as_str()), ("", ""), "{script}");
    }
}

/// Prints what a step costs, in milliseconds: `cargo test --release -p jettison-sandbox --test steps -- --measure`.
pub fn measure() {
    const ROUNDS: usize = 30;
    let fixture = Fixture::new(Caller::Root);
    let identity = enter(None).unwrap();
    jettison_sandbox::share_mount_points(&fixture.path("shared")).unwrap();
    println!("mode {}", identity.mode);
    let median = |mut times: Vec<Duration>| {
        times.sort();
        (times[times.len() / 2].as_secs_f64() * 1e3, times[0].as_secs_f64() * 1e3)
    };
    let bare = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        assert!(Command::new("/bin/busybox").arg("true").status().unwrap().success());
        start.elapsed()
    });
    println!("bare: median {:.2}, best {:.2}", median(bare.clone().collect()).0, median(bare.collect()).1);
    for network in [Network::Host, Network::None, Network::Default] {
        let times = (0..ROUNDS).map(|round| {
            let (upper, work) = (
                fixture.path(&format!("u{round}{network:?}")),
                fixture.path(&format!("w{round}{network:?}")),
            );
            fs::create_dir(&upper).unwrap();
            fs::create_dir(&work).unwrap();
            let root = jettison_sandbox::Root::Overlay { lower: vec![fixture.path("base")], upper, work };
            let spec = Spec { root, network, args: vec!["true".to_owned()], ..fixture.spec("") };
            let (stdio, _out, _err) = Stdio3::pipes().unwrap();
            let start = Instant::now();
            assert_eq!(spawn(&identity, &spec, stdio).unwrap().wait().unwrap().code, 0);
            start.elapsed()
        });
        let times = median(times.collect());
        println!("{network:?}: median {:.2}, best {:.2}", times.0, times.1);
    }
}
