//! The verbs: one function a command. Settings in, data out; nothing here prints or reads the environment.

mod advise;
mod archives;
mod build;
mod error;
mod fix;
mod images;
mod inspect;
mod names;
mod report;
mod run;
mod settings;
mod space;
mod stored;
mod transfer;

pub use advise::{Advised, advise};
pub use archives::{Input, Target, load, save};
pub use build::{Answer, BuildReport, Call, ImageReport, Workplace, build, call, check};
pub use error::{Error, Faults, SourceFile};
pub use fix::{FixReport, FixedFile, Measured, Outcome, Tried, fix};
pub use images::{ImageRow, ImagesFilter, images};
pub use inspect::{HistoryRow, history, inspect};
pub use jettison_build::SecretSource;
pub use jettison_dockerfile::{Diagnostic, LineIndex, Severity, Span};
pub use jettison_plan::{Entitlement, Limit, Remote, RunOptions, ram_in_bytes};
pub use jettison_registry::{Cancel, Client, Settings as RegistrySettings};
pub use jettison_report::{Advice, advice_findings, advice_json, advice_text, human_size, lint};
pub use jettison_report::{Budgets, Exceeded, Share, exceeded_text};
pub use jettison_report::{Report, report_page, report_text};
pub use jettison_sandbox::Hidden;
pub use jettison_store::{CacheEntry, Group, Pruned, Removed, Store, Usage};
pub use names::{remove, tag};
pub use report::report;
pub use run::{Launch, launch};
pub use settings::*;
pub use space::{check_store, prune, usage};
pub use transfer::{PulledImage, Transfer, login, logout, pull, push, tags_of};
