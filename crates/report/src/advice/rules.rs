//! The rules of advice: data. What finds them is in `measured` and `written`.

use crate::lint::{Level, Rule};

macro_rules! rules {
    ($($constant:ident = $name:literal $level:ident $summary:literal;)*) => {
        $(pub(crate) static $constant: Rule = Rule {
            name: $name,
            level: Level::$level,
            summary: $summary,
            url: None,
            experimental: false,
            check: |_| Vec::new(),
        };)*

        /// All rules, by name.
        pub static RULES: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
    COPY_FIRST = "CA001" Warning "The whole context is copied before the dependencies are installed";
    SECRET = "SE002" Error "A secret in ARG or ENV is readable to who has the image";
    PRIVATE_FILE = "SE012" Error "A file with secrets is copied into the image";
    APT = "SZ001" Warning "Package lists or archives of apt stay in the image";
    APK = "SZ002" Warning "The package index of apk stays in the image";
    DNF = "SZ003" Warning "The cache of dnf or yum stays in the image";
    ZYPPER = "SZ004" Warning "The cache of zypper stays in the image";
    PIP = "SZ005" Warning "The cache of pip, uv or conda stays in the image";
    NPM = "SZ006" Warning "The cache of npm, yarn or bun stays in the image";
    GO = "SZ007" Warning "Go's build and module caches stay in the image";
    CARGO = "SZ008" Warning "cargo's registry stays in the image";
    MAVEN = "SZ009" Warning "The repository of Maven or Gradle stays in the image";
    DELETED = "SZ012" Warning "A later layer deletes what an earlier one stores";
    OVERWRITTEN = "SZ013" Warning "A later layer overwrites what an earlier one stores";
    METADATA = "SZ014" Warning "A later layer stores files again for their owner, mode or time";
    DUPLICATE = "SZ015" Info "The same content is stored at several paths";
    IDENTICAL = "SZ016" Warning "A later layer stores files again just as they were";
    COMPILER = "SZ018" Warning "Compilers or build tools are in the image";
    DEV_DEPENDENCIES = "SZ021" Warning "Development dependencies are in the image";
    RECOMMENDED = "SZ022" Warning "Packages are in the image that others only recommend";
    DOCS = "SZ025" Info "Documentation and translations are in the image";
    REPOSITORY = "SZ028" Warning "The history of the sources is in the image";
    NO_IGNORE_FILE = "SZ029" Warning "The context has no .dockerignore";
    ARCHIVE = "SZ032" Warning "An archive is stored, and then what is in it";
    WEB_SERVER = "SZ046" Warning "Static files are served by node";
}

/// Tells whether a rule is about secrets.
pub(super) fn leaks(rule: &str) -> bool {
    rule.starts_with("SE")
}

/// Tells whether a look at the image decides.
pub(super) fn is_measured(rule: &str) -> bool {
    rule.starts_with("SZ")
}
