//! Advice for people.

use std::fmt::Write;

use jettison_dockerfile::{LineIndex, Parsed};

use super::Advice;
use crate::human_size;

/// Characters of an instruction.
const INSTRUCTION: usize = 70;

/// Writes advice as text; `clean` takes the control characters out of what others wrote.
pub fn advice_text(
    advice: &[Advice],
    name: &str,
    dockerfile: Option<&Parsed>,
    clean: &dyn Fn(&str) -> String,
) -> String {
    let lines = dockerfile.map(|parsed| LineIndex::new(&parsed.text));
    let mut out = String::new();
    for found in advice {
        let place = match (&lines, found.span) {
            (Some(lines), Some(span)) => format!("{}:{}: ", clean(name), lines.line(span.start)),
            _ => String::new(),
        };
        let text = found.instruction.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = clean(&text).chars().take(INSTRUCTION).collect();
        let _ = writeln!(out, "{}  {}{}", found.rule.name, cost(found), place + &text);
        let _ = writeln!(out, "       {}", clean(&found.why));
        let _ = writeln!(out, "       instead: {}\n", clean(&found.rewrite));
    }
    match advice.len() {
        0 => out += "nothing to advise\n",
        1 => out += "1 piece of advice\n",
        count => {
            let _ = writeln!(out, "{count} pieces of advice");
        }
    }
    out
}

/// What a finding costs, with the blanks after it; empty where nothing was measured.
pub(super) fn cost(advice: &Advice) -> String {
    match (advice.bytes, advice.seconds) {
        (Some(bytes), _) => format!("{}  ", human_size(bytes)),
        (None, Some(seconds)) => format!("{seconds:.1} s  "),
        (None, None) => String::new(),
    }
}
