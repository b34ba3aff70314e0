//! Commands in real sandboxes, in every mode: a step's helper is the same binary started again, so this test has a
//! `main` of its own. Arguments that are not flags choose checks by part of their name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, clippy::exit)]

mod commands;
mod fixture;
mod kill;
mod machine;
mod modes;
mod mounts;

use std::panic;
use std::process::exit;

/// A check by name.
type Check = (&'static str, fn());

fn main() {
    jettison_sandbox::intercept();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some(fixture::RUN) => fixture::run_job(),
        Some(fixture::RUN_CONFINED) => fixture::run_confined(),
        Some("--measure") => return kill::measure(),
        _ => {}
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!(
            "steps: these checks act as several users, and must be started as root: 0 passed, 1 failed"
        );
        exit(1);
    }
    let wanted: Vec<&String> = args.iter().filter(|argument| !argument.starts_with('-')).collect();
    let lists = [commands::CHECKS, machine::CHECKS, mounts::CHECKS, modes::CHECKS, kill::CHECKS];
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in lists.concat() {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        match panic::catch_unwind(check) {
            Ok(()) => passed += 1,
            Err(_) => {
                failed += 1;
                println!("FAILED {name}");
            }
        }
    }
    fixture::clean_up();
    println!("steps: {passed} passed, {failed} failed");
    exit(i32::from(failed > 0));
}
