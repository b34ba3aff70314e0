//! Ctrl-C and its relatives.

use jettison_ops::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;

/// Calls `stop` when the process is told to end, as often as it is told. Starts a thread.
pub fn on_signal(mut stop: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || signals.forever().for_each(|_| stop()));
    Ok(())
}

/// Returns a token that is cancelled when the process is told to end.
pub fn watch() -> Result<Cancel, Failure> {
    let cancel = Cancel::new();
    let token = cancel.clone();
    on_signal(move || token.cancel())?;
    Ok(cancel)
}
