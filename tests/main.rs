//! Black box: a Dockerfile, a context, and what must come out of the binary. One file a theme.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::new_without_default,
    missing_docs,
    reason = "a test helper fails by panicking, says why it skips, and is nobody's API"
)]

mod add;
mod advise;
mod budgets;
mod cache;
mod cgroups;
mod checks;
mod commands;
mod config;
mod contexts;
mod copy;
mod copy_flags;
mod dependencies;
mod diff;
mod documents;
mod drop_dead;
mod early_push;
mod errors;
mod explain;
mod fat;
mod fix;
mod git;
mod heredocs;
mod kept;
mod mounts;
mod outputs;
mod page;
mod parents;
mod platforms;
mod recorded;
mod registry;
mod remote;
mod report;
mod reproducible;
mod sandbox;
mod size;
mod space;
mod stages;

use jettison_testkit::{Context, Image, Jettison, Layout, Output, Who, base, tools};

/// The binary under test, built by cargo before the tests run.
pub const BINARY: &str = env!("CARGO_BIN_EXE_jettison");

/// A home for the binary, and the base images `busybox` and `alpine`, given as named contexts.
pub struct Bench {
    pub jettison: Jettison,
    pub bases: Layout,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::of(Who::Me)
    }

    pub fn of(who: Who) -> Bench {
        Bench { jettison: Jettison::of(BINARY, who), bases: base::images() }
    }

    /// The flags that name the base images, and `more`.
    pub fn flags(&self, more: &[&str]) -> Vec<String> {
        let named = ["busybox", "alpine", "deep"].iter().flat_map(|name| {
            ["--build-context".to_owned(), format!("{name}={}", self.bases.named_context(name))]
        });
        named.chain(more.iter().map(|flag| (*flag).to_owned())).collect()
    }

    /// Builds and expects success.
    #[track_caller]
    pub fn build(&self, context: &Context, flags: &[&str]) -> Output {
        let flags = self.flags(flags);
        self.jettison.build(context, &flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Builds and reads the image.
    #[track_caller]
    pub fn image(&self, context: &Context, flags: &[&str]) -> Image {
        let flags = self.flags(flags);
        self.jettison.image(context, &flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Builds and expects exit code 1.
    #[track_caller]
    pub fn fails(&self, context: &Context, flags: &[&str]) -> Output {
        let flags = self.flags(flags);
        self.jettison.build_fails(context, &flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Builds and expects exit code 3: the machine lacks something.
    #[track_caller]
    pub fn unable(&self, context: &Context, flags: &[&str]) -> Output {
        let flags = self.flags(&[flags, &[context.argument()]].concat());
        let arguments: Vec<&str> = ["build"].into_iter().chain(flags.iter().map(String::as_str)).collect();
        self.jettison.fails(3, &arguments)
    }
}

/// Builds `dockerfile` on the base images in a context with `files`, and reads the image.
#[track_caller]
pub fn image_of(dockerfile: &str, files: &[(&str, &str)]) -> Image {
    Bench::new().image(&context_of(dockerfile, files), &[])
}

/// Builds `dockerfile` in a context with `files`, and expects the build to fail.
#[track_caller]
pub fn failure_of(dockerfile: &str, files: &[(&str, &str)]) -> Output {
    Bench::new().fails(&context_of(dockerfile, files), &[])
}

/// Makes a context with `dockerfile` and `files`.
pub fn context_of(dockerfile: &str, files: &[(&str, &str)]) -> Context {
    files.iter().fold(Context::of(dockerfile), |context, (path, content)| context.file(path, content))
}

/// Adds a program of this machine, with its libraries, to the folder `tools` of a context.
pub fn tool(context: Context, name: &str) -> Context {
    let path = tools::require(name).display().to_string();
    let listing = tools::run("ldd", [&path]);
    let libraries = listing.split_whitespace().filter(|word| word.starts_with('/'));
    libraries.chain([path.as_str()]).fold(context, |context, path| {
        context.file_with_mode(&format!("tools{path}"), 0o755, std::fs::read(path).unwrap())
    })
}
