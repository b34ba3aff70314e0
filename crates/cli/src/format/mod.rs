//! How numbers, times, names and tables look.

mod escape;
mod human;
mod time;

pub use escape::{Colors, log_line, printable};
pub use human::{docker_size, duration, parse_size, size};
pub use time::{parse_duration, parse_rfc3339, rfc3339_nanos, since, table_time};
