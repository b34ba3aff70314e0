//! Putting a report together.

use std::collections::HashMap;

use jettison_image::{Config, Digest};

use super::{Base, FileReport, ImageInfo, Instruction, LayerReport, PackageReport, Report, SCHEMA};
use crate::account::share;
use crate::{Accounts, BuildRecord, Fate, Inventory, Layer, Sums, layer_rows};

/// What a report is made of.
pub struct Subject<'a> {
    /// The image, as the user named it.
    pub name: &'a str,
    /// The digest of its config.
    pub id: Digest,
    /// Its config.
    pub config: &'a Config,
    /// Its layers, lowest first.
    pub layers: &'a [Layer],
    /// How it is known which layers are the base's; `None` where it is not.
    pub base_known_from: Option<String>,
    /// Its packages.
    pub inventory: &'a Inventory,
    /// What the build remembers.
    pub build: Option<BuildRecord>,
}

/// Makes the report of an image whose bytes are counted in `accounts`.
pub fn report(subject: &Subject<'_>, accounts: &Accounts) -> Report {
    let (layers, sums) = (subject.layers, &accounts.layers);
    let side = |base: bool| {
        Sums::total(layers.iter().zip(sums).filter(|(layer, _)| layer.base == base).map(|(_, sums)| sums))
    };
    let base = subject.base_known_from.clone().map(|known_from| Base {
        sums: side(true),
        layers: layers.iter().filter(|layer| layer.base).count(),
        known_from,
    });
    let instructions = instructions(subject);
    let layer_reports = layers.iter().zip(sums).enumerate().map(|(number, (layer, sums))| LayerReport {
        diff_id: layer.diff_id.to_string(),
        instruction: instructions.iter().position(|instruction| instruction.layer == Some(number)),
        base: layer.base,
        sums: *sums,
    });
    let mut report = Report {
        schema: SCHEMA,
        image: image_info(subject),
        totals: Sums::total(sums),
        own: side(false),
        base,
        layers: layer_reports.collect(),
        instructions,
        packages: Vec::new(),
        unpackaged: Sums::default(),
        files: Vec::new(),
        build: subject.build.clone(),
        notes: subject.inventory.notes.clone(),
    };
    add_files(&mut report, subject, accounts);
    report
}

/// Lists files and packages, the largest package first.
fn add_files(report: &mut Report, subject: &Subject<'_>, accounts: &Accounts) {
    let packages = &subject.inventory.packages;
    let owners = subject.inventory.owners();
    let mut sums = vec![Sums::default(); packages.len()];
    let mut live: Vec<HashMap<usize, u64>> = vec![HashMap::new(); packages.len()];
    for file in &accounts.files {
        let layer = &subject.layers[file.layer];
        let package = owners.get(file.path.as_slice()).copied();
        match package {
            Some(number) => {
                sums[number].add(file, layer);
                if file.fate == Fate::Live {
                    *live[number].entry(file.layer).or_default() += file.size;
                }
            }
            None => report.unpackaged.add(file, layer),
        }
        let (dead, by) = match file.fate {
            Fate::Live => (None, None),
            Fate::Dead { cause, by } => (Some(cause), Some(by)),
        };
        report.files.push(FileReport {
            path: shown_path(&file.path),
            layer: file.layer,
            size: file.size,
            dead,
            by,
            duplicate: file.duplicate,
            package,
            compressed_approximate: share(file.size, layer),
        });
    }
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_key(|number| (std::cmp::Reverse(sums[*number].live), *number));
    let mut places = vec![0; packages.len()];
    for (place, number) in order.iter().enumerate() {
        places[*number] = place;
        let package = &packages[*number];
        let most = live[*number].iter().max_by_key(|(layer, bytes)| (**bytes, std::cmp::Reverse(**layer)));
        report.packages.push(PackageReport {
            kind: package.kind.clone(),
            name: package.name.clone(),
            version: package.version.clone(),
            place: shown_path(&package.place),
            layer: most.map(|(layer, _)| *layer),
            sums: sums[*number],
        });
    }
    for file in &mut report.files {
        file.package = file.package.map(|number| places[number]);
    }
}

fn instructions(subject: &Subject<'_>) -> Vec<Instruction> {
    let rows = layer_rows(subject.config);
    let base_layers = subject.layers.iter().filter(|layer| layer.base).count();
    // What comes before the first own layer, or before what follows the base's last, is the base's.
    let last = rows.iter().rposition(|row| row.layer.is_some_and(|(number, _)| number < base_layers));
    let instruction = |(number, row): (usize, crate::LayerRow)| Instruction {
        text: row.created_by,
        created: row.created,
        layer: row.layer.map(|(number, _)| number),
        base: last.is_some_and(|last| number <= last),
    };
    rows.into_iter().enumerate().map(instruction).collect()
}

fn image_info(subject: &Subject<'_>) -> ImageInfo {
    ImageInfo {
        name: subject.name.to_owned(),
        id: subject.id.to_string(),
        platform: subject.config.platform().to_string(),
        created: subject.config.created.clone(),
        config: settings(subject.config),
    }
}

/// The settings of the config as names and values, in a fixed order: what `diff` compares.
fn settings(config: &Config) -> Vec<(String, String)> {
    let run = &config.config;
    let words = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
    let mut settings = Vec::new();
    let mut put = |name: &str, value: String| settings.push((name.to_owned(), value));
    for (name, value) in
        [("user", &run.user), ("workdir", &run.working_dir), ("stopsignal", &run.stop_signal)]
    {
        if !value.is_empty() {
            put(name, value.clone());
        }
    }
    for (name, value) in [("entrypoint", &run.entrypoint), ("cmd", &run.cmd), ("shell", &run.shell)] {
        if let Some(value) = value {
            put(name, words(value));
        }
    }
    if let Some(healthcheck) = &run.healthcheck {
        put("healthcheck", serde_json::to_string(healthcheck).unwrap_or_default());
    }
    for variable in &run.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        put(&format!("env {name}"), value.to_owned());
    }
    run.exposed_ports.keys().for_each(|port| put(&format!("expose {port}"), String::new()));
    run.volumes.keys().for_each(|volume| put(&format!("volume {volume}"), String::new()));
    run.labels.iter().for_each(|(name, value)| put(&format!("label {name}"), value.clone()));
    run.on_build
        .iter()
        .enumerate()
        .for_each(|(number, text)| put(&format!("onbuild {number}"), text.clone()));
    settings
}

fn shown_path(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}
