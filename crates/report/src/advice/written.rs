//! Advice from a Dockerfile's text and the names in its context.

use jettison_dockerfile::{Command, Instruction, Kind, Parsed, Run, Source};

use super::lines::Chain;
use super::{Advice, Question, rules, seconds_of};
use crate::lint::{Rule, run_text};
use crate::{BuildRecord, Script, ShellCommand};

/// Gives advice from a Dockerfile.
pub(super) fn written(
    question: &Question<'_>,
    parsed: &Parsed,
    chain: &Chain<'_>,
    record: Option<&BuildRecord>,
) -> Vec<Advice> {
    let mut advice = Vec::new();
    advice.extend(chain.instructions.iter().filter_map(|instruction| secret(instruction)));
    advice.extend(copy_first(parsed, record));
    let copies_all = chain.instructions.iter().find(|instruction| copies_everything(instruction));
    if let Some(copy) = copies_all {
        advice.extend(context_files(question, copy));
    }
    advice.extend(layers_apart(chain));
    for instruction in &chain.instructions {
        advice.extend(left_behind(instruction));
    }
    advice.extend(web_server(chain).map(web_server_advice));
    advice
}

fn about(rule: &'static Rule, instruction: &Instruction, why: impl Into<String>, rewrite: &str) -> Advice {
    Advice {
        rule,
        span: Some(instruction.span),
        instruction: instruction.original.clone(),
        why: why.into(),
        rewrite: rewrite.to_owned(),
        bytes: None,
        seconds: None,
    }
}

fn secret(instruction: &Instruction) -> Option<Advice> {
    let names: Vec<&str> = match &instruction.kind {
        Kind::Arg(arguments) => arguments.iter().map(|argument| argument.name.text.as_str()).collect(),
        Kind::Env(pairs) => pairs.iter().map(|pair| pair.name.text.as_str()).collect(),
        _ => return None,
    };
    let parts =
        ["TOKEN", "PASSWORD", "PASSWD", "SECRET", "API_KEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIALS"];
    let name =
        names.into_iter().find(|name| parts.iter().any(|part| name.to_ascii_uppercase().contains(part)))?;
    let rewrite =
        format!("write RUN --mount=type=secret,id={name},env={name} …, and build with --secret id={name}",);
    Some(about(&rules::SECRET, instruction, format!("{name} is in the image's history"), &rewrite))
}

fn copies_everything(instruction: &Instruction) -> bool {
    let transfer = match &instruction.kind {
        Kind::Copy(copy) if copy.from.is_none() => &copy.transfer,
        Kind::Add(add) => &add.transfer,
        _ => return false,
    };
    let is_all = |source: &Source| matches!(source, Source::Path(word) if ["." , "./", "/"].contains(&word.text.as_str()));
    transfer.sources.iter().any(is_all)
}

fn run(instruction: &Instruction) -> Option<&Run> {
    match &instruction.kind {
        Kind::Run(run) => Some(run),
        _ => None,
    }
}

/// CA001, in any stage: each is built again.
fn copy_first(parsed: &Parsed, record: Option<&BuildRecord>) -> Option<Advice> {
    let mut copy = None;
    for instruction in &parsed.dockerfile.instructions {
        if matches!(instruction.kind, Kind::From { .. }) {
            copy = None;
        }
        if copies_everything(instruction) {
            copy = Some(instruction);
        }
        let (Some(copy), Some(run)) = (copy, run(instruction)) else { continue };
        let script = Script::parse(&run_text(run));
        let Some(manifests) = script.commands.iter().find_map(installs) else { continue };
        let mut advice = about(
            &rules::COPY_FIRST,
            copy,
            "every change of any file installs all dependencies again",
            &format!("write `COPY {manifests} ./` and the install first, then `COPY . .`"),
        );
        let words = run_text(run);
        advice.seconds = seconds_of(record, words.split('\n').next().unwrap_or_default().trim());
        return Some(advice);
    }
    None
}

/// Returns the files that an install reads.
fn installs(command: &ShellCommand) -> Option<&'static str> {
    let files = match command.name.as_str() {
        "npm" if command.has_argument(&["ci", "install", "i"]) => "package.json package-lock.json",
        "yarn" if command.arguments.is_empty() || command.has_argument(&["install"]) => {
            "package.json yarn.lock"
        }
        "pnpm" if command.has_argument(&["install", "i"]) => "package.json pnpm-lock.yaml",
        "pip" | "pip3" if command.has_argument(&["-r", "--requirement"]) => "requirements.txt",
        "bundle" if command.has_argument(&["install"]) => "Gemfile Gemfile.lock",
        "composer" if command.has_argument(&["install"]) => "composer.json composer.lock",
        "go" if command.is("go", &["mod"]) && command.has_argument(&["download"]) => "go.mod go.sum",
        "poetry" if command.has_argument(&["install"]) => "pyproject.toml poetry.lock",
        _ => return None,
    };
    Some(files)
}

fn context_files(question: &Question<'_>, copy: &Instruction) -> Vec<Advice> {
    let has = |name: &str| question.context.iter().any(|own| own == name);
    let mut advice = Vec::new();
    if question.has_ignore_file == Some(false) {
        let why = "everything in the context is copied, and every change of it copies it again";
        advice.push(about(
            &rules::NO_IGNORE_FILE,
            copy,
            why,
            "write .git, node_modules, *.log and what your build writes into .dockerignore",
        ));
    }
    if has(".git") {
        advice.push(about(
            &rules::REPOSITORY,
            copy,
            "the history of the sources is copied with them",
            "write `.git` into .dockerignore",
        ));
    }
    if has(".env") {
        advice.push(about(
            &rules::PRIVATE_FILE,
            copy,
            ".env is readable to all who have the image",
            "write `.env` into .dockerignore, and use RUN --mount=type=secret",
        ));
    }
    advice
}

/// Instructions that undo or redo what an earlier one stored.
fn layers_apart(chain: &Chain<'_>) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut stored = false;
    for instruction in &chain.instructions {
        if let Some(run) = run(instruction) {
            let script = Script::parse(&run_text(run));
            let recursive = |command: &ShellCommand| {
                ["chown", "chmod"].contains(&command.name.as_str()) && command.has_flag(&["R", "recursive"])
            };
            if stored && script.commands.first().is_some_and(recursive) {
                let why = "every file whose owner or mode changes is stored again";
                advice.push(about(
                    &rules::METADATA,
                    instruction,
                    why,
                    "set them where the files are made: COPY --chown, --chmod, or in the same RUN",
                ));
            }
            if stored && script.commands.first().is_some_and(|command| command.name == "rm") {
                let why = "what an earlier layer stores stays in it";
                advice.push(about(&rules::DELETED, instruction, why, "delete in the RUN that makes it"));
            }
        }
        stored |= matches!(instruction.kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_));
    }
    advice
}

/// Caches of package managers, as far as the text tells.
fn left_behind(instruction: &Instruction) -> Vec<Advice> {
    let Some(run) = run(instruction) else { return Vec::new() };
    let script = Script::parse(&run_text(run));
    let mounted = |folder: &str| run.mounts.iter().any(|mount| mount.text.contains(folder));
    let removes = |folder: &str| {
        script.any(|command| command.name == "rm" && command.operands().any(|path| path.starts_with(folder)))
    };
    let mut advice = Vec::new();
    if script.any(|command| command.is("apt-get", &["update"]))
        && !mounted("/var/lib/apt")
        && !removes("/var/lib/apt")
    {
        advice.push(about(
            &rules::APT,
            instruction,
            "apt's package lists stay in the layer",
            "end the RUN with `&& rm -rf /var/lib/apt/lists/*`",
        ));
    }
    let recommends = |command: &ShellCommand| {
        command.is("apt-get", &["install"])
            && !command.has_flag(&["no-install-recommends"])
            && !command.arguments.iter().any(|argument| argument.contains("Install-Recommends"))
    };
    if script.any(recommends) {
        advice.push(about(
            &rules::RECOMMENDED,
            instruction,
            "what packages only recommend is installed too",
            "write `apt-get install --no-install-recommends …`, and name what of it you need",
        ));
    }
    if script.any(|command| command.is("apk", &["add"]) && !command.has_flag(&["no-cache"]))
        && !mounted("/var/cache/apk")
        && !removes("/var/cache/apk")
    {
        advice.push(about(
            &rules::APK,
            instruction,
            "apk's index stays in the layer",
            "write `apk add --no-cache …`",
        ));
    }
    let pip = |command: &ShellCommand| {
        command.name.starts_with("pip")
            && command.has_argument(&["install"])
            && !command.has_flag(&["no-cache-dir"])
    };
    if script.any(pip) && !mounted("/.cache") {
        advice.push(about(
            &rules::PIP,
            instruction,
            "what pip has downloaded stays in the layer",
            "write `pip install --no-cache-dir …`",
        ));
    }
    let npm = |command: &ShellCommand| {
        command.is("npm", &["install", "ci", "i"])
            && !command.has_flag(&["omit", "production", "only", "g", "global"])
    };
    if script.any(npm) {
        advice.push(about(
            &rules::DEV_DEPENDENCIES,
            instruction,
            "development dependencies are installed too",
            "write `npm ci --omit=dev`",
        ));
    }
    advice
}

/// Returns the CMD or ENTRYPOINT that serves files with a node program.
pub(super) fn web_server<'a>(chain: &Chain<'a>) -> Option<&'a Instruction> {
    let servers = ["serve", "http-server", "live-server", "static-server"];
    chain.instructions.iter().rev().copied().find(|instruction| {
        let (Kind::Cmd(command) | Kind::Entrypoint(command)) = &instruction.kind else { return false };
        let words = match command {
            Command::Exec(words) => words.join(" "),
            Command::Shell(text) => text.clone(),
        };
        words.split_whitespace().any(|word| servers.contains(&word))
    })
}

pub(super) fn web_server_advice(instruction: &Instruction) -> Advice {
    let rewrite = "build in a stage of its own and COPY --from it the files to an image of a web server, such as nginx or busybox httpd";
    about(&rules::WEB_SERVER, instruction, "node and npm are in the image only to serve files", rewrite)
}
