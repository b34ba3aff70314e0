//! `doctor`: what this machine allows.

use jettison_sandbox::{Mode, Status};

use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::output::print_line;

/// Tries what builds need, and says what is missing and what to do about it.
pub fn doctor(environment: &Environment) -> Result<u8, Failure> {
    let report = jettison_sandbox::probe();
    for check in &report.checks {
        let mark = match check.status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        print_line(&format!("{mark}  {}: {}", check.name, check.detail))?;
        if let Some(remedy) = &check.remedy {
            print_line(&format!("      -> {remedy}"))?;
        }
    }
    print_line(&format!("      store: {}", environment.root.display()))?;
    match report.mode {
        Some(mode) => {
            print_line(&format!("\nBuilds work here in {mode} mode: {}.", meaning(mode)))?;
            Ok(code::OK)
        }
        None => {
            print_line("\nRUN steps are not possible here: see FAIL above.")?;
            Ok(code::ENVIRONMENT)
        }
    }
}

fn meaning(mode: Mode) -> &'static str {
    match mode {
        Mode::Root => "RUN steps run in a user namespace with all ids",
        Mode::Subordinate => "RUN steps run in a user namespace with your subordinate ids",
        Mode::Single => {
            "RUN steps run in a user namespace with one id only, so that some chown and setuid calls fail"
        }
        Mode::Chroot => "RUN steps run in a chroot, which confines them less than a user namespace would",
    }
}
