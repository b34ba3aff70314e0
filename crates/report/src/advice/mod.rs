//! Advice: what to write instead, ordered by what it costs. Measured on the image where there is one, else read from the
//! Dockerfile; of what both find, the measured finding stands.

mod debian;
mod lines;
mod measured;
pub(crate) mod rules;
mod text;
mod written;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::files::Open;
use crate::lint::{Checked, Finding, Rule};
use crate::{BuildRecord, Report};
use jettison_dockerfile::{LineIndex, Parsed, Span};

pub use rules::RULES as ADVICE_RULES;
pub use text::advice_text;

pub(crate) use lines::Chain;

/// A second of rebuild weighs as much as so many bytes, where findings are put in order.
const BYTES_A_SECOND: f64 = 1_000_000.0;

/// What advice is made from.
pub struct Question<'a> {
    /// The Dockerfile, where it is known.
    pub dockerfile: Option<&'a Parsed>,
    /// The stage that ships, by its name or as `stage-N`; the last one if absent.
    pub target: Option<&'a str>,
    /// Whether the context has an ignore file; `None` where there is no context.
    pub has_ignore_file: Option<bool>,
    /// Names in the context's top folder that nothing ignores.
    pub context: &'a [String],
    /// The image's bytes.
    pub report: Option<&'a Report>,
    /// The image's files.
    pub open: Option<&'a Open<'a>>,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Advice {
    /// Its rule: docs/advice.md has an example of each.
    pub rule: &'static Rule,
    /// The instruction it is about, in the Dockerfile.
    pub span: Option<Span>,
    /// The instruction, as the image's history or the Dockerfile has it.
    pub instruction: String,
    /// What is wrong and why.
    pub why: String,
    /// What to write instead.
    pub rewrite: String,
    /// The bytes of files it costs; `None` where nothing was measured.
    pub bytes: Option<u64>,
    /// The seconds that a rebuild would save.
    pub seconds: Option<f64>,
}

impl Advice {
    fn weight(&self) -> f64 {
        self.bytes.unwrap_or(0) as f64 + self.seconds.unwrap_or(0.0) * BYTES_A_SECOND
    }
}

/// Gives advice: what leaks first, then by weight.
pub fn advise(question: &Question<'_>) -> Vec<Advice> {
    let chain = question.dockerfile.map(|parsed| Chain::of(parsed, question.target));
    let mut advice = Vec::new();
    if let Some(report) = question.report {
        advice = measured::measured(question, report, chain.as_ref());
    }
    if let (Some(parsed), Some(chain)) = (question.dockerfile, &chain) {
        let record = question.report.and_then(|report| report.build.as_ref());
        for found in written::written(question, parsed, chain, record) {
            let known =
                advice.iter().any(|other| other.rule.name == found.rule.name && other.bytes.is_some());
            // What was measured and not found is not there.
            let measurable = question.report.is_some() && rules::is_measured(found.rule.name);
            if !known && !measurable {
                advice.push(found);
            }
        }
    }
    advice.sort_by(|a, b| {
        let leaks = |advice: &Advice| rules::leaks(advice.rule.name);
        leaks(b).cmp(&leaks(a)).then(b.weight().total_cmp(&a.weight()))
    });
    advice
}

/// Puts advice in the form of findings of a check, for SARIF and workflow commands.
pub fn advice_findings(advice: &[Advice], dockerfile: Option<&Parsed>) -> Checked {
    let lines = dockerfile.map(|parsed| LineIndex::new(&parsed.text));
    let finding = |advice: &Advice| Finding {
        rule: advice.rule,
        level: advice.rule.level,
        message: format!("{}{}. {}", text::cost(advice), advice.why, advice.rewrite),
        span: advice.span.unwrap_or_default(),
        lines: match (&lines, advice.span) {
            (Some(lines), Some(span)) => lines.lines(span),
            _ => (1, 1),
        },
    };
    Checked { findings: advice.iter().map(finding).collect(), error: None }
}

/// One object a finding.
pub fn advice_json(advice: &[Advice], name: &str, dockerfile: Option<&Parsed>) -> Value {
    let lines = dockerfile.map(|parsed| LineIndex::new(&parsed.text));
    let row = |advice: &Advice| {
        let place = lines.as_ref().zip(advice.span).map(|(lines, span)| lines.lines(span));
        json!({
            "rule": advice.rule.name, "level": advice.rule.level.name(), "file": name,
            "line": place.map(|(first, _)| first), "endLine": place.map(|(_, last)| last),
            "instruction": advice.instruction, "why": advice.why, "rewrite": advice.rewrite,
            "bytes": advice.bytes, "seconds": advice.seconds,
        })
    };
    advice.iter().map(row).collect()
}

/// How long the steps of a record took whose name holds a text, in seconds.
fn seconds_of(record: Option<&BuildRecord>, text: &str) -> Option<f64> {
    let step = record?.steps.iter().find(|step| step.name.contains(text))?;
    step.executed_seconds.filter(|seconds| *seconds > 0.0)
}
