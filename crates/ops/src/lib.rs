//! The verbs: one function a command.
