//! dpkg's database, and the `status.d` that distroless images keep of it (dpkg(1), deb822(5)).

use std::collections::HashMap;

use super::{Inventory, field};
use crate::files::Files;

const STATUS: &[u8] = b"var/lib/dpkg/status";
const INFO: &[u8] = b"var/lib/dpkg/info";
const STATUS_D: &[u8] = b"var/lib/dpkg/status.d";

/// Finds Debian packages.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    if let Some(status) = files.database(STATUS, found) {
        let info = info_files(files);
        for block in String::from_utf8_lossy(&status).split("\n\n") {
            installed(files, block, &info, found);
        }
    }
    let children: Vec<Vec<u8>> = files.tree.children(STATUS_D).map(|node| node.entry.path.clone()).collect();
    for path in children.iter().filter(|path| !path.ends_with(b".md5sums")) {
        let Some(block) = files.database(path, found) else { continue };
        distroless(files, &String::from_utf8_lossy(&block), path, found);
    }
}

/// The files of dpkg's own about each package, by its name there: `libc6:amd64`.
fn info_files(files: &Files<'_>) -> HashMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut info: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    for node in files.tree.children(INFO) {
        let path = &node.entry.path;
        let name = &path[INFO.len() + 1..];
        if let Some(dot) = name.iter().rposition(|byte| *byte == b'.') {
            info.entry(name[..dot].to_vec()).or_default().push(path.clone());
        }
    }
    info
}

fn installed(files: &Files<'_>, block: &str, info: &HashMap<Vec<u8>, Vec<Vec<u8>>>, found: &mut Inventory) {
    let (Some(name), Some(status)) = (field(block, "Package"), field(block, "Status")) else { return };
    if !status.ends_with(" installed") {
        return;
    }
    let architecture = field(block, "Architecture").unwrap_or_default();
    let own = info.get(format!("{name}:{architecture}").as_bytes()).or_else(|| info.get(name.as_bytes()));
    let mut paths = own.cloned().unwrap_or_default();
    if let Some(list) = paths.iter().find(|path| path.ends_with(b".list")).cloned() {
        let list = files.database(&list, found).unwrap_or_default();
        paths.extend(
            list.split(|byte| *byte == b'\n')
                .filter(|line| line.len() > 1)
                .filter_map(|line| files.real(line)),
        );
    }
    found.add("deb", name, field(block, "Version").unwrap_or_default(), STATUS, paths);
}

fn distroless(files: &Files<'_>, block: &str, path: &[u8], found: &mut Inventory) {
    let Some(name) = field(block, "Package") else { return };
    let sums_path = [path, b".md5sums"].concat();
    let mut paths = vec![path.to_vec()];
    if let Some(sums) = files.database(&sums_path, found) {
        // `d41d8cd98f00b204e9800998ecf8427e  usr/share/doc/x/copyright`
        let lines = sums.split(|byte| *byte == b'\n');
        let names = lines.filter_map(|line| line.splitn(2, |byte| *byte == b' ').nth(1));
        paths.extend(names.filter_map(|name| files.real(name.trim_ascii_start())));
        paths.push(sums_path);
    }
    found.add("deb", name, field(block, "Version").unwrap_or_default(), path, paths);
}
