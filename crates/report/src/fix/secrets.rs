//! Secrets in ARG, which the history of the image tells everybody.

use jettison_dockerfile::{Instruction, Kind};

use super::edit::{Edit, plain, uses};
use super::{Draft, Gain, Rewrite};
use crate::advice::rules;

/// Parts of names of build arguments that hold secrets (BuildKit: `SecretsUsedInArgOrEnv`).
const SECRET: [&str; 10] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
];

pub(super) fn rewrites(draft: &Draft<'_>, stage: &[Instruction], found: &mut Vec<Rewrite>) {
    for (number, instruction) in stage.iter().enumerate() {
        let Kind::Arg(arguments) = &instruction.kind else { continue };
        let [argument] = arguments.as_slice() else { continue };
        let name = &argument.name.text;
        if !SECRET.iter().any(|part| name.to_ascii_uppercase().contains(part)) {
            continue;
        }
        let uses = stage[number + 1..].iter().filter(|later| uses(draft.raw(later), name));
        let uses: Vec<&Instruction> = uses.collect();
        if uses.is_empty() || uses.iter().any(|later| plain(later).is_none()) {
            continue;
        }
        let id = name.to_ascii_lowercase();
        let mount = format!("--mount=type=secret,id={id},env={name},required=true");
        let what = format!("give {name} as a secret: build with --secret id={id},env={name}");
        let mut rewrite = Rewrite::new(rules::SECRET.name, instruction, what);
        rewrite.edits = uses.iter().map(|later| Edit::flag(later, &mount)).collect();
        rewrite.edits.push(draft.remove_lines(instruction));
        rewrite.gain = Gain::Secret;
        rewrite.secrets = vec![(name.clone(), id)];
        found.push(rewrite);
    }
}
