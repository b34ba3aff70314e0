//! Flags that docker has and we do not have yet: known by name, and refused by name instead of as a typing error.

use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// One of docker's flags.
struct Flag {
    long: &'static str,
    short: Option<char>,
    value: Value,
}

/// What follows a flag.
#[derive(PartialEq)]
enum Value {
    None,
    /// A value that must be there.
    Required,
    /// `=VALUE` or nothing. `false` asks for what we do anyway, and is accepted.
    Switch,
}

const fn flag(long: &'static str, value: Value) -> Flag {
    Flag { long, short: None, value }
}

const fn short(long: &'static str, short: char, value: Value) -> Flag {
    Flag { long, short: Some(short), value }
}

/// From `docker buildx build --help` and `docker build --help`, version 28.
const BUILD: &[Flag] = &[
    flag("attest", Value::Required),
    flag("builder", Value::Required),
    flag("cache-from", Value::Required),
    flag("cache-to", Value::Required),
    flag("cpu-period", Value::Required),
    flag("cpu-quota", Value::Required),
    short("cpu-shares", 'c', Value::Required),
    flag("cpuset-cpus", Value::Required),
    flag("cpuset-mems", Value::Required),
    short("debug", 'D', Value::None),
    flag("isolation", Value::Required),
    short("memory", 'm', Value::Required),
    flag("memory-swap", Value::Required),
    flag("print", Value::Required),
    flag("provenance", Value::Switch),
    flag("sbom", Value::Switch),
    flag("security-opt", Value::Required),
    flag("squash", Value::None),
];

/// From `docker run --help`, version 28.
const RUN: &[Flag] = &[
    flag("annotation", Value::Required),
    short("attach", 'a', Value::Required),
    flag("blkio-weight", Value::Required),
    flag("blkio-weight-device", Value::Required),
    flag("cap-add", Value::Required),
    flag("cap-drop", Value::Required),
    flag("cgroup-parent", Value::Required),
    flag("cgroupns", Value::Required),
    flag("cidfile", Value::Required),
    flag("cpu-count", Value::Required),
    flag("cpu-percent", Value::Required),
    flag("cpu-period", Value::Required),
    flag("cpu-quota", Value::Required),
    flag("cpu-rt-period", Value::Required),
    flag("cpu-rt-runtime", Value::Required),
    short("cpu-shares", 'c', Value::Required),
    flag("cpus", Value::Required),
    flag("cpuset-cpus", Value::Required),
    flag("cpuset-mems", Value::Required),
    short("detach", 'd', Value::None),
    flag("detach-keys", Value::Required),
    flag("device", Value::Required),
    flag("device-cgroup-rule", Value::Required),
    flag("device-read-bps", Value::Required),
    flag("device-read-iops", Value::Required),
    flag("device-write-bps", Value::Required),
    flag("device-write-iops", Value::Required),
    flag("dns", Value::Required),
    flag("dns-option", Value::Required),
    flag("dns-search", Value::Required),
    flag("domainname", Value::Required),
    flag("expose", Value::Required),
    flag("gpus", Value::Required),
    flag("group-add", Value::Required),
    flag("health-cmd", Value::Required),
    flag("health-interval", Value::Required),
    flag("health-retries", Value::Required),
    flag("health-start-interval", Value::Required),
    flag("health-start-period", Value::Required),
    flag("health-timeout", Value::Required),
    flag("init", Value::None),
    flag("io-maxbandwidth", Value::Required),
    flag("io-maxiops", Value::Required),
    flag("ip", Value::Required),
    flag("ip6", Value::Required),
    flag("ipc", Value::Required),
    flag("isolation", Value::Required),
    flag("kernel-memory", Value::Required),
    short("label", 'l', Value::Required),
    flag("label-file", Value::Required),
    flag("link", Value::Required),
    flag("link-local-ip", Value::Required),
    flag("log-driver", Value::Required),
    flag("log-opt", Value::Required),
    flag("mac-address", Value::Required),
    short("memory", 'm', Value::Required),
    flag("memory-reservation", Value::Required),
    flag("memory-swap", Value::Required),
    flag("memory-swappiness", Value::Required),
    flag("mount", Value::Required),
    flag("name", Value::Required),
    flag("network-alias", Value::Required),
    flag("no-healthcheck", Value::None),
    flag("oom-kill-disable", Value::None),
    flag("oom-score-adj", Value::Required),
    flag("pid", Value::Required),
    flag("pids-limit", Value::Required),
    flag("privileged", Value::None),
    short("publish", 'p', Value::Required),
    short("publish-all", 'P', Value::None),
    flag("read-only", Value::None),
    flag("restart", Value::Required),
    flag("runtime", Value::Required),
    flag("security-opt", Value::Required),
    flag("shm-size", Value::Required),
    flag("sig-proxy", Value::Switch),
    flag("stop-signal", Value::Required),
    flag("stop-timeout", Value::Required),
    flag("storage-opt", Value::Required),
    flag("sysctl", Value::Required),
    flag("tmpfs", Value::Required),
    flag("ulimit", Value::Required),
    flag("use-api-socket", Value::None),
    flag("userns", Value::Required),
    flag("uts", Value::Required),
    flag("volume-driver", Value::Required),
    flag("volumes-from", Value::Required),
];

/// Refuses the flags of `docker build` that are missing here.
#[derive(Debug)]
pub struct BuildNotYet;

/// Refuses the flags of `docker run` that are missing here.
#[derive(Debug)]
pub struct RunNotYet;

impl Args for BuildNotYet {
    fn augment_args(command: Command) -> Command {
        augment(command, BUILD)
    }

    fn augment_args_for_update(command: Command) -> Command {
        augment(command, BUILD)
    }
}

impl FromArgMatches for BuildNotYet {
    fn from_arg_matches(matches: &ArgMatches) -> Result<BuildNotYet, Error> {
        refuse(matches, BUILD).map(|()| BuildNotYet)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        refuse(matches, BUILD)
    }
}

impl Args for RunNotYet {
    fn augment_args(command: Command) -> Command {
        augment(command, RUN)
    }

    fn augment_args_for_update(command: Command) -> Command {
        augment(command, RUN)
    }
}

impl FromArgMatches for RunNotYet {
    fn from_arg_matches(matches: &ArgMatches) -> Result<RunNotYet, Error> {
        refuse(matches, RUN).map(|()| RunNotYet)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        refuse(matches, RUN)
    }
}

fn augment(command: Command, flags: &'static [Flag]) -> Command {
    command.args(flags.iter().map(|flag| {
        let arg = Arg::new(flag.long).long(flag.long).short(flag.short).hide(true);
        match flag.value {
            Value::None => arg.action(ArgAction::SetTrue),
            Value::Required => arg.action(ArgAction::Append).allow_hyphen_values(true),
            Value::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        }
    }))
}

fn refuse(matches: &ArgMatches, flags: &[Flag]) -> Result<(), Error> {
    for flag in flags {
        if matches.value_source(flag.long) != Some(ValueSource::CommandLine) {
            continue;
        }
        let off = match flag.value {
            Value::None => !matches.get_flag(flag.long),
            Value::Required => false,
            Value::Switch => matches.get_one::<String>(flag.long).is_some_and(|value| value == "false"),
        };
        if !off {
            return Err(Error::raw(
                ErrorKind::UnknownArgument,
                format!("flag --{} is not supported yet\n", flag.long),
            ));
        }
    }
    Ok(())
}
