//! hadolint's rules about Dockerfiles, under its codes and with its levels (DL…, version 2.15.1). Where the two disagree,
//! and why, stands in docs/lint.md.

mod commands;
mod config;
mod images;
mod labels;
mod languages;
mod packages;
mod placed;
mod pragma;
mod settings;
mod transfers;
mod yaml;

use super::finding::{Level, Rule};

pub(crate) use placed::{Placed, place, run_text};
pub(crate) use pragma::Pragmas;
pub use settings::{Settings, SettingsError};

/// A rule as data; those of level `ignore` run only if `# check=experimental=` names them.
macro_rules! rule {
    ($code:literal, $level:ident, $check:path, $summary:literal) => {
        Rule {
            name: $code,
            level: Level::$level,
            summary: $summary,
            url: Some(concat!("https://github.com/hadolint/hadolint/wiki/", $code)),
            experimental: matches!(Level::$level, Level::Ignore),
            check: $check,
        }
    };
}

/// All rules, by code.
pub const RULES: &[Rule] = &[
    rule!("DL1001", Ignore, pragma::used, "Rules should not be silenced by comments"),
    rule!("DL3000", Error, transfers::workdir, "WORKDIR should be an absolute path"),
    rule!("DL3001", Info, commands::pointless, "Some programs make no sense in a container"),
    rule!("DL3002", Warning, config::last_user, "The last USER should not be root"),
    rule!("DL3003", Warning, commands::cd, "WORKDIR should change the directory"),
    rule!("DL3004", Error, commands::sudo, "sudo has no place in a build: it runs as root or as USER"),
    rule!("DL3006", Warning, images::untagged, "A base image should have a tag"),
    rule!("DL3007", Warning, images::latest, "A base image should not be `latest`"),
    rule!("DL3008", Warning, packages::apt_version, "apt-get should install named versions"),
    rule!("DL3009", Info, packages::apt_lists, "The package lists of apt should not stay in a layer"),
    rule!("DL3010", Info, transfers::archive, "ADD extracts archives, and does not store them"),
    rule!("DL3011", Error, config::ports, "Ports range from 0 to 65535"),
    rule!("DL3012", Error, config::healthchecks, "Only the last HEALTHCHECK has effect"),
    rule!("DL3013", Warning, languages::pip_version, "pip should install named versions"),
    rule!("DL3014", Warning, packages::apt_yes, "apt-get install should not ask"),
    rule!("DL3015", Info, packages::apt_recommends, "apt-get should not install what is only recommended"),
    rule!("DL3016", Warning, languages::npm_version, "npm should install named versions"),
    rule!("DL3018", Warning, packages::apk_version, "apk should add named versions"),
    rule!("DL3019", Info, packages::apk_cache, "apk add should leave no package index behind"),
    rule!("DL3020", Error, transfers::add, "COPY is enough for files and folders"),
    rule!("DL3021", Error, transfers::folder, "The destination of several sources should end with a slash"),
    rule!("DL3022", Warning, transfers::from_unknown, "COPY --from should name a stage above or an image"),
    rule!("DL3023", Error, transfers::from_itself, "COPY --from cannot name its own stage"),
    rule!("DL3024", Error, images::duplicate, "Names of stages should be unique"),
    rule!("DL3025", Warning, config::shell_form, "Commands in JSON form get signals"),
    rule!("DL3026", Error, images::untrusted, "Base images should come from trusted registries"),
    rule!("DL3027", Warning, commands::apt, "apt is for people; apt-get and apt-cache are for scripts"),
    rule!("DL3028", Warning, languages::gem_version, "gem should install named versions"),
    rule!("DL3029", Warning, images::platform, "FROM should not fix the platform"),
    rule!("DL3030", Warning, packages::yum_yes, "yum install should not ask"),
    rule!("DL3032", Warning, packages::yum_cache, "yum should leave no cache behind"),
    rule!("DL3033", Warning, packages::yum_version, "yum should install named versions"),
    rule!("DL3034", Warning, packages::zypper_yes, "zypper should not ask"),
    rule!("DL3035", Warning, packages::zypper_upgrade, "A build should not upgrade the distribution"),
    rule!("DL3036", Warning, packages::zypper_cache, "zypper should leave no cache behind"),
    rule!("DL3037", Warning, packages::zypper_version, "zypper should install named versions"),
    rule!("DL3038", Warning, packages::dnf_yes, "dnf install should not ask"),
    rule!("DL3040", Warning, packages::dnf_cache, "dnf should leave no cache behind"),
    rule!("DL3041", Warning, packages::dnf_version, "dnf should install named versions"),
    rule!("DL3042", Warning, languages::pip_cache, "pip should leave no cache behind"),
    rule!("DL3043", Error, config::onbuild, "ONBUILD cannot have ONBUILD, FROM or MAINTAINER"),
    rule!("DL3044", Error, config::env_of_itself, "ENV cannot use a variable that it sets"),
    rule!("DL3045", Warning, transfers::relative, "COPY to a relative path wants a WORKDIR"),
    rule!("DL3046", Warning, commands::high_id, "useradd without -l makes huge files for a high user id"),
    rule!("DL3047", Info, commands::wget, "wget without --progress fills the log"),
    rule!("DL3048", Style, config::label, "Names of labels are lower case, with dots and hyphens"),
    rule!("DL3049", Info, labels::missing, "An image should have the labels of the schema"),
    rule!("DL3050", Info, labels::superfluous, "An image should have no labels but those of the schema"),
    rule!("DL3051", Warning, labels::empty, "A label of the schema should not be empty"),
    rule!("DL3052", Warning, labels::url, "A label of the format `url` is a URL"),
    rule!("DL3053", Warning, labels::time, "A label of the format `rfc3339` is a time of RFC 3339"),
    rule!(
        "DL3054",
        Warning,
        labels::licence,
        "A label of the format `spdx` is a licence's identifier of SPDX"
    ),
    rule!("DL3055", Warning, labels::hash, "A label of the format `hash` is a commit of git"),
    rule!("DL3056", Warning, labels::version, "A label of the format `semver` is a semantic version"),
    rule!("DL3057", Ignore, config::no_healthcheck, "An image should have a HEALTHCHECK"),
    rule!("DL3058", Warning, labels::email, "A label of the format `email` is an address of RFC 5322"),
    rule!("DL3059", Info, commands::consecutive, "RUN instructions in a row can be one"),
    rule!("DL3060", Info, languages::yarn_cache, "yarn should leave no cache behind"),
    rule!("DL3061", Error, images::order, "A Dockerfile begins with FROM or ARG"),
    rule!("DL3062", Warning, languages::go_version, "go should install named versions"),
    rule!("DL3063", Warning, images::reserved, "Reserved words are no names of stages"),
    rule!("DL3064", Warning, config::secrets, "ARG and ENV show secrets to who has the image"),
    rule!("DL3065", Warning, images::target_platform, "FROM has the target's platform without being told"),
    rule!("DL3066", Info, config::user_name, "The host may not know a user by name"),
    rule!("DL3067", Warning, transfers::whole, "A stage should not be copied as a whole"),
    rule!("DL4000", Error, config::maintainer, "MAINTAINER is deprecated: a label has its place"),
    rule!("DL4001", Warning, commands::two_fetchers, "One of wget and curl is enough"),
    rule!("DL4003", Warning, config::commands, "Only the last CMD has effect"),
    rule!("DL4004", Error, config::entrypoints, "Only the last ENTRYPOINT has effect"),
    rule!("DL4005", Warning, commands::shell, "SHELL should change the shell"),
    rule!("DL4006", Warning, commands::pipefail, "A pipe hides errors unless the shell has -o pipefail"),
];
