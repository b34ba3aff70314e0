//! Accounting and checks of a finished image; reads records, indexes and configs.
//!
//! [`sizes`](Size) counts bytes and says what a build left behind; [`startable`] tells beforehand why a container of the
//! image would not start. Nothing here touches the store or the network: trees and files are passed in.

mod account;
mod advice;
mod bases;
mod budgets;
mod build_record;
mod diff;
mod document;
mod elf;
mod files;
pub mod fix;
mod layers;
mod libraries;
pub mod lint;
mod owner;
mod packages;
mod page;
mod shell;
mod size;
mod start;
mod text;

pub use account::{Accounts, Cause, Compressed, CountedFile, Fate, Layer, Sums, wanted_digests};
pub use advice::{ADVICE_RULES, Advice, Question, advice_findings, advice_json, advice_text, advise};
pub use bases::{
    BaseContents, BaseImage, BaseInUse, Bases, Built, Need, Part, SCRATCH, base_in_use, bases_json,
    bases_notes, bases_rows, needs, parts, relatives,
};
pub use budgets::{Budgets, Culprits, Exceeded, Share, exceeded, exceeded_text};
pub use build_record::{BuildRecord, DockerfileRecord, StageRecord, StepRecord};
pub use diff::{
    Costs, DIFF_SCHEMA, Diff, PULL_RATE, PackageChange, PathChange, SettingChange, Side, diff, diff_text,
};
pub use document::{
    Base, FileReport, ImageInfo, Instruction, LayerReport, PackageReport, Report, SCHEMA, Subject, report,
};
pub use elf::{Content, Elf, ElfError};
pub use files::Open;
pub use layers::{LayerRow, layer_rows};
pub use packages::{Inventory, Package, inventory};
pub use page::{diff_page, report_page};
pub use shell::{EXPANSION, Script, ShellCommand};
pub use size::{LayerContent, Size, Stage, StageLayer, human_size, measure, summary};
pub use start::{Problem, startable};
pub use text::report_text;
