//! Accounting and checks of a finished image; reads records, indexes and configs.
//!
//! [`sizes`](Size) counts bytes and says what a build left behind; [`startable`] tells beforehand why a container of the
//! image would not start. Nothing here touches the store or the network: trees and files are passed in.

mod elf;
mod files;
mod layers;
mod libraries;
pub mod lint;
mod owner;
mod size;
mod start;

pub use elf::{Content, Elf, ElfError};
pub use files::Open;
pub use layers::{LayerRow, layer_rows};
pub use size::{LayerContent, Size, Stage, StageLayer, human_size, measure, summary};
pub use start::{Problem, startable};
