//! The verbs: one function a command. Settings in, data out; nothing here prints or reads the environment.

mod settings;

pub use settings::*;
