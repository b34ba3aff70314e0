//! The syntax tree of a Dockerfile: instructions with byte spans. Nothing is expanded or resolved here.

use std::ops::Range;

/// A range of bytes in the Dockerfile's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the span as a range, to slice the text with.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A word as written: variables unexpanded, quotes and escapes still in it (continuations joined). Values of flags and
/// elements of a JSON array are without their quotes, as BuildKit hands them on to expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A whole Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// The parser directives.
    pub directives: Directives,
    /// The instructions in order. Lines that could not be understood are missing here and have a diagnostic.
    pub instructions: Vec<Instruction>,
}

/// Parser directives; each with the place of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`, whole value.
    pub syntax: Option<Word>,
    /// `# escape=`, `\` by default.
    pub escape: char,
    /// `# check=`, whole value.
    pub check: Option<Word>,
}

impl Default for Directives {
    fn default() -> Directives {
        Directives { syntax: None, escape: '\\', check: None }
    }
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The whole instruction, from the keyword to the end of the last line, here-documents included.
    pub span: Span,
    /// The keyword as written.
    pub keyword: Word,
    /// The text from keyword to end with continuations joined, as ONBUILD stores it and `--call` shows it.
    pub original: String,
    /// The comment lines directly above, without `#` and surrounding blanks; an empty comment line starts anew.
    pub comments: Vec<String>,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `FROM [--platform=P] IMAGE [AS NAME]`
    From {
        /// `--platform`
        platform: Option<Word>,
        /// A stage, an image, or `scratch`.
        image: Word,
        /// The stage's name, as written.
        name: Option<Word>,
    },
    /// `RUN`
    Run(Run),
    /// `COPY`
    Copy(Copy),
    /// `ADD`
    Add(Add),
    /// `ARG NAME[=DEFAULT] …`
    Arg(Vec<Argument>),
    /// `ENV NAME=VALUE …`; names and values unexpanded.
    Env(Vec<Pair>),
    /// `LABEL NAME=VALUE …`; names and values unexpanded.
    Label(Vec<Pair>),
    /// `CMD`
    Cmd(Command),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `SHELL ["…"]`
    Shell(Vec<String>),
    /// `WORKDIR PATH`
    Workdir(Word),
    /// `USER NAME[:GROUP]`
    User(Word),
    /// `EXPOSE PORT[/PROTOCOL] …`
    Expose(Vec<Word>),
    /// `VOLUME PATH …`, either form.
    Volume(Vec<Word>),
    /// `STOPSIGNAL SIGNAL`
    StopSignal(Word),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `MAINTAINER TEXT`
    Maintainer(Word),
    /// `ONBUILD INSTRUCTION`
    Onbuild {
        /// The nested instruction's text, here-documents included, as the config stores it.
        text: String,
        /// The nested instruction, parsed; none where it is wrong: docker stores it unchecked, so that is a warning.
        instruction: Option<Box<Instruction>>,
    },
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Text for the shell, continuations joined.
    Shell(String),
    /// A JSON array of words.
    Exec(Vec<String>),
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter, unquoted; the file's name in COPY and ADD.
    pub name: String,
    /// The file descriptor before `<<`, 0 if none is written.
    pub file_descriptor: u32,
    /// Whether variables in the body are expanded (the delimiter was not quoted).
    pub expand: bool,
    /// Whether `<<-` was written. The body has its leading tabs removed already.
    pub chomp: bool,
    /// The body with its line endings, without the delimiter's line.
    pub body: String,
    /// The body as written: with the leading tabs that `<<-` removes. ONBUILD, history and a shell that reads the
    /// here-document itself get this one.
    pub raw_body: String,
    /// Where the body stands, delimiter's line excluded.
    pub span: Span,
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `--mount=…`, one a flag, in order.
    pub mounts: Vec<Word>,
    /// `--network=…`
    pub network: Option<Word>,
    /// `--security=…`
    pub security: Option<Word>,
    /// `--device=…`
    pub devices: Vec<Word>,
    /// The command; for here-documents the text of the instruction's own line.
    pub command: Command,
    /// Here-documents of a shell form, in order.
    pub heredocs: Vec<Heredoc>,
}

/// A source of COPY or ADD, or a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path or URL, unexpanded.
    Path(Word),
    /// The body of a here-document.
    Heredoc(Heredoc),
}

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// `--from=`
    pub from: Option<Word>,
    /// The flags it shares with ADD.
    pub transfer: Transfer,
    /// `--parents`
    pub parents: bool,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// The flags it shares with COPY.
    pub transfer: Transfer,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<bool>,
    /// `--checksum=`
    pub checksum: Option<Word>,
    /// `--unpack[=…]`
    pub unpack: Option<bool>,
}

/// What COPY and ADD have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The sources, at least one, in order.
    pub sources: Vec<Source>,
    /// The destination.
    pub destination: Word,
    /// `--chown=`
    pub chown: Option<Word>,
    /// `--chmod=`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--exclude=`, repeatable.
    pub exclude: Vec<Word>,
}

/// One `NAME[=DEFAULT]` of ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: Word,
    /// The default, unexpanded.
    pub default: Option<Word>,
}

/// One `NAME=VALUE` of ENV or LABEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: Word,
    /// The value.
    pub value: Word,
    /// Whether it was written in the legacy form `NAME VALUE`.
    pub legacy: bool,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK [OPTIONS] CMD …`; durations in nanoseconds, zero where not given.
    Command {
        /// The command.
        command: Command,
        /// `--interval`
        interval: i64,
        /// `--timeout`
        timeout: i64,
        /// `--start-period`
        start_period: i64,
        /// `--start-interval`
        start_interval: i64,
        /// `--retries`
        retries: i64,
    },
}
