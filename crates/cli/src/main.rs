//! The `jettison` binary: arguments to settings to verb.
fn main() {}
