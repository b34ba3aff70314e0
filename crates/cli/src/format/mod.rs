//! How numbers, times, names and tables look.

mod escape;
mod human;
mod rows;
mod table;
mod template;
mod time;

pub use escape::{Colors, log_line, printable};
pub use human::{docker_size, duration, parse_size};
pub use rows::Listing;
pub use table::{ellipsis, table};
pub use template::{Template, TemplateError};
pub use time::{parse_duration, parse_rfc3339, rfc3339_nanos, since, table_time};
