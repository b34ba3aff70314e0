//! The names of the rules that ask for rewrites: those of `jettison advise`.

pub(super) const COPY_FIRST: &str = "CA001";
pub(super) const SECRET: &str = "SE002";
pub(super) const PRIVATE_FILE: &str = "SE012";
pub(super) const APT: &str = "SZ001";
pub(super) const APK: &str = "SZ002";
pub(super) const DNF: &str = "SZ003";
pub(super) const PIP: &str = "SZ005";
pub(super) const NPM: &str = "SZ006";
pub(super) const DELETED: &str = "SZ012";
pub(super) const METADATA: &str = "SZ014";
pub(super) const COMPILER: &str = "SZ018";
pub(super) const DEV_DEPENDENCIES: &str = "SZ021";
pub(super) const REPOSITORY: &str = "SZ028";
pub(super) const NO_IGNORE_FILE: &str = "SZ029";
pub(super) const ARCHIVE: &str = "SZ032";
