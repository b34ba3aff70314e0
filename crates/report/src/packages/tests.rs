//! Databases as package managers write them.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::process::Command;
use std::sync::Arc;

use jettison_layer::{Entry, Index, Kind, Tree};

use super::*;

/// Finds the packages of a tree with these files.
fn found_in(files: &[(&str, Vec<u8>)]) -> Inventory {
    let files: BTreeMap<Vec<u8>, Vec<u8>> =
        files.iter().map(|(path, bytes)| (path.as_bytes().to_vec(), bytes.clone())).collect();
    let entries = files.iter().map(|(path, bytes)| {
        let kind = match bytes.strip_prefix(b"-> ") {
            Some(target) => Kind::Symlink { target: target.to_vec() },
            None => Kind::File { size: bytes.len() as u64, digest: None },
        };
        Entry { mode: 0o755, ..Entry::new(path.clone(), kind) }
    });
    let tree = Tree::new([Arc::new(Index::from_entries(entries.collect()))]);
    let open = |path: &[u8]| -> std::io::Result<Option<Box<dyn crate::Content>>> {
        Ok(files.get(path).map(|bytes| Box::new(Cursor::new(bytes.clone())) as Box<dyn crate::Content>))
    };
    inventory(&tree, &open)
}

fn shown(inventory: &Inventory) -> Vec<String> {
    let path = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
    let show = |p: &Package| {
        format!(
            "{} {} {}: {}",
            p.kind,
            p.name,
            p.version,
            p.files.iter().map(path).collect::<Vec<_>>().join(" ")
        )
    };
    inventory.packages.iter().map(show).collect()
}

#[test]
fn databases_of_package_managers_are_read() {
    let text = |text: &str| text.as_bytes().to_vec();
    type Case = (Vec<(&'static str, Vec<u8>)>, Vec<&'static str>);
    let cases: Vec<Case> = vec![
        (
            vec![
                ("bin", text("-> usr/bin")),
                ("usr/bin/a", text("a")),
                (
                    "var/lib/dpkg/status",
                    text(
                        "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 2\n",
                    ),
                ),
                ("var/lib/dpkg/info/a:amd64.list", text("/.\n/bin/a\n/nowhere\n")),
            ],
            vec!["deb a 1.0-1: var/lib/dpkg/info/a:amd64.list  usr/bin/a"],
        ),
        (
            vec![
                ("var/lib/dpkg/status.d/tzdata", text("Package: tzdata\nVersion: 2025b\n")),
                (
                    "var/lib/dpkg/status.d/tzdata.md5sums",
                    text("00000000000000000000000000000000  usr/share/zone\n"),
                ),
                ("usr/share/zone", text("z")),
            ],
            vec![
                "deb tzdata 2025b: var/lib/dpkg/status.d/tzdata usr/share/zone var/lib/dpkg/status.d/tzdata.md5sums",
            ],
        ),
        (
            vec![
                (
                    "lib/apk/db/installed",
                    text("C:Q1\nP:musl\nV:1.2.5-r9\nF:lib\nR:ld-musl.so\nZ:Q1\n\nP:empty\nV:1\n\n"),
                ),
                ("lib/ld-musl.so", text("m")),
            ],
            vec!["apk empty 1: ", "apk musl 1.2.5-r9: lib/ld-musl.so"],
        ),
        (
            vec![
                (
                    "v/site-packages/x-1.dist-info/METADATA",
                    text("Metadata-Version: 2.1\nName: x\nVersion: 1\n\nName: body\n"),
                ),
                (
                    "v/site-packages/x-1.dist-info/RECORD",
                    text("x.py,sha256=a,3\n\"odd,\"\"name\",,\n../../bin/x,,\n"),
                ),
                ("v/site-packages/x.py", text("x")),
                ("v/site-packages/odd,\"name", text("x")),
                ("bin/x", text("x")),
                ("v/site-packages/__pycache__/x.cpython-313.pyc", text("x")),
            ],
            vec![
                "python x 1: v/site-packages/x.py v/site-packages/odd,\"name bin/x v/site-packages/__pycache__/x.cpython-313.pyc v/site-packages/x-1.dist-info v/site-packages/x-1.dist-info/METADATA v/site-packages/x-1.dist-info/RECORD",
            ],
        ),
        (
            vec![
                ("app/node_modules/@s/a/package.json", text("{\"name\":\"@s/a\",\"version\":\"1.2.3\"}")),
                (
                    "app/node_modules/@s/a/node_modules/b/package.json",
                    text("{\"name\":\"b\",\"version\":\"2.0.0\"}"),
                ),
                ("app/node_modules/bad/package.json", text("{")),
            ],
            vec![
                "node @s/a 1.2.3: app/node_modules/@s/a/package.json",
                "node b 2.0.0: app/node_modules/@s/a/node_modules/b/package.json",
            ],
        ),
        (vec![("var/lib/rpm/Packages", text("no database"))], vec![]),
        (vec![("opt/x.jar", text("no zip"))], vec![]),
    ];
    for (files, expected) in cases {
        let mut found = found_in(&files);
        for package in &mut found.packages {
            // What implied directories come to is not the point here.
            package.files.sort_by_key(|path| path.is_empty());
        }
        let found: Vec<String> = shown(&found).iter().map(|line| line.trim_end().to_owned()).collect();
        let expected: Vec<String> =
            expected.iter().map(|line| line.replace("  ", " ").trim_end().to_owned()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn what_cannot_be_read_is_noted() {
    let found =
        found_in(&[("var/lib/rpm/Packages", b"no database".to_vec()), ("opt/x.jar", b"no zip".to_vec())]);
    assert_eq!(
        found.notes,
        ["not a readable archive: /opt/x.jar", "rpm database not read: /var/lib/rpm/Packages"]
    );
}

/// A package header as rpm stores it.
fn rpm_header(name: &str) -> Vec<u8> {
    let mut data = Vec::new();
    let mut tags: Vec<u8> = Vec::new();
    let mut put = |tag: u32, kind: u32, count: u32, bytes: &[u8]| {
        while kind == 4 && data.len() % 4 != 0 {
            data.push(0);
        }
        tags.extend([tag, kind, data.len() as u32, count].iter().flat_map(|number| number.to_be_bytes()));
        data.extend_from_slice(bytes);
    };
    put(NAME_TAG, 6, 1, format!("{name}\0").as_bytes());
    put(1001, 6, 1, b"1.0\0");
    put(1002, 6, 1, b"3\0");
    // Long enough that no page holds it.
    put(1004, 6, 1, &[vec![b'x'; 9000], vec![0]].concat());
    put(1116, 4, 1, &[0; 4]);
    put(1117, 8, 1, format!("{name}\0").as_bytes());
    put(1118, 8, 1, b"/usr/bin/\0");
    [&((tags.len() / 16) as u32).to_be_bytes()[..], &(data.len() as u32).to_be_bytes(), &tags, &data].concat()
}

const NAME_TAG: u32 = 1000;

#[test]
fn rpms_three_databases_are_read() {
    let folder = std::env::temp_dir().join(format!("jettison-rpm-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("package-{number:02}")).collect();
    for name in &names {
        std::fs::write(folder.join(name), rpm_header(name)).unwrap();
    }
    let script = "
import sqlite3, os, sys
db = sqlite3.connect('rpmdb.sqlite')
db.execute('CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)')
db.execute('CREATE TABLE Name (key TEXT, hnum INTEGER)')
for name in sorted(n for n in os.listdir('.') if n.startswith('package-')):
    db.execute('INSERT INTO Packages (blob) VALUES (?)', (open(name, 'rb').read(),))
db.commit()
";
    let made = Command::new("python3").args(["-c", script]).current_dir(&folder).status().unwrap();
    assert!(made.success());
    let sqlite = std::fs::read(folder.join("rpmdb.sqlite")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let headers: Vec<Vec<u8>> = names.iter().map(|name| rpm_header(name)).collect();
    let expected: Vec<String> =
        names.iter().map(|name| format!("rpm {name} 1.0-3: usr/bin/{name}")).collect();
    for (path, database) in
        [("rpmdb.sqlite", sqlite), ("Packages.db", ndb(&headers)), ("Packages", bdb(&headers))]
    {
        let path = format!("usr/lib/sysimage/rpm/{path}");
        let mut files: Vec<(String, Vec<u8>)> = vec![(path.clone(), database.clone())];
        files.extend(names.iter().map(|name| (format!("usr/bin/{name}"), b"x".to_vec())));
        let files: Vec<(&str, Vec<u8>)> =
            files.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
        assert_eq!(shown(&found_in(&files)), expected, "{path}");
        for cut in (0..database.len()).step_by(997) {
            let _ = found_in(&[(&path, database[..cut].to_vec())]);
        }
    }
}

/// SUSE's database: a page of slots, then blobs.
fn ndb(headers: &[Vec<u8>]) -> Vec<u8> {
    let mut slots = b"RpmP".to_vec();
    slots.extend([0, 0, 1, 0, 0, 0, 0u32].iter().flat_map(|number| number.to_le_bytes()));
    let mut blobs = Vec::new();
    for (number, header) in headers.iter().enumerate() {
        let start = (4096 + blobs.len()) as u32 / 16;
        slots.extend(b"Slot");
        slots.extend([number as u32 + 1, start, 0].iter().flat_map(|number| number.to_le_bytes()));
        blobs.extend(b"BlbS");
        blobs.extend(
            [number as u32 + 1, 0, header.len() as u32].iter().flat_map(|number| number.to_le_bytes()),
        );
        blobs.extend(header);
        blobs.resize(blobs.len().next_multiple_of(16), 0);
    }
    slots.resize(4096, 0);
    [slots, blobs].concat()
}

/// Berkeley DB's hash: a page of metadata, one of pairs, then overflow pages.
fn bdb(headers: &[Vec<u8>]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let page = |kind: u8, next: u32, entries: u16, used: u16, body: &[u8]| {
        let mut page = vec![0; 16];
        page.extend(next.to_le_bytes());
        page.extend(entries.to_le_bytes());
        page.extend(used.to_le_bytes());
        page.extend([0, kind]);
        page.extend(body);
        page.resize(PAGE, 0);
        page
    };
    let mut meta = vec![0; PAGE];
    meta[12..16].copy_from_slice(&0x0006_1561u32.to_le_bytes());
    meta[20..24].copy_from_slice(&(PAGE as u32).to_le_bytes());
    let mut pages = Vec::new();
    let mut items: Vec<Vec<u8>> = Vec::new();
    for header in headers {
        let first = 2 + pages.len() as u32;
        items.push(vec![1, 0, 0, 0, 0]);
        items.push([&[3, 0, 0, 0][..], &first.to_le_bytes(), &(header.len() as u32).to_le_bytes()].concat());
        let chunks: Vec<&[u8]> = header.chunks(PAGE - 26).collect();
        for (number, chunk) in chunks.iter().enumerate() {
            let next = if number + 1 < chunks.len() { first + number as u32 + 1 } else { 0 };
            pages.push(page(7, next, 1, chunk.len() as u16, chunk));
        }
    }
    let mut body = Vec::new();
    let mut at = 26 + 2 * items.len();
    for item in &items {
        body.extend((at as u16).to_le_bytes());
        at += item.len();
    }
    items.iter().for_each(|item| body.extend(item));
    [meta, page(13, 0, items.len() as u16, 0, &body), pages.concat()].concat()
}

#[test]
fn programs_tell_what_they_are_made_of() {
    let go = [&b"\xff Go buildinf:\x08\x02"[..], &[0; 16], b"\x08go1.22.1", &[0x80 | 67, 0]];
    let list = "0123456789abcdefpath\tx/y\nmod\tx/y\tv1.0.0\ndep\tz\tv2\t\n=>\tzz\tv3\n0123456789abcdef";
    let mut section = go[..3].concat();
    section.push(list.len() as u8);
    section.extend(list.as_bytes());
    let crates = r#"{"packages":[{"name":"app","version":"0.1.0","root":true},{"name":"serde","version":"1.0.0"},{"name":"cc","version":"1.1.0","kind":"build"}]}"#;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zlib, crates.as_bytes()).unwrap();
    let found = found_in(&[
        ("go", elf_with(".go.buildinfo", &section)),
        ("rust", elf_with(".dep-v0", &zlib.finish().unwrap())),
    ]);
    assert_eq!(
        shown(&found),
        ["go x/y v1.0.0: go", "go zz v3: ", "rust app 0.1.0: rust", "rust serde 1.0.0: "]
    );
}

/// A 64-bit ELF file with one section, and long enough to be looked at.
fn elf_with(name: &str, section: &[u8]) -> Vec<u8> {
    let names = format!("\0{name}\0");
    let mut file = vec![0; 64];
    let section_at = file.len() as u64;
    file.extend(section);
    let names_at = file.len() as u64;
    file.extend(names.as_bytes());
    let table_at = file.len() as u64;
    file.extend(vec![0; 64]);
    for (name, at, length) in [(1u32, section_at, section.len()), (0, names_at, names.len())] {
        let mut header = vec![0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[24..32].copy_from_slice(&at.to_le_bytes());
        header[32..40].copy_from_slice(&(length as u64).to_le_bytes());
        file.extend(header);
    }
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[40..48].copy_from_slice(&table_at.to_le_bytes());
    file[58..64].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
    file.resize(300_000, 0);
    file
}

#[test]
fn archives_are_named_by_their_manifest_or_name() {
    let folder = std::env::temp_dir().join(format!("jettison-jar-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let script = "
import zipfile
z = zipfile.ZipFile('a.jar', 'w', zipfile.ZIP_DEFLATED)
z.writestr('META-INF/MANIFEST.MF', 'Manifest-Version: 1.0\\r\\nBundle-SymbolicName: org.a;x=y\\r\\nBundle-Version: 1.2\\r\\n')
z.writestr('BOOT-INF/lib/guava-33.0-jre.jar', b'x')
z.close()
z = zipfile.ZipFile('b.jar', 'w')
z.writestr('META-INF/maven/g/b/pom.properties', 'groupId=g\\nartifactId=b\\nversion=3\\n')
z.close()
zipfile.ZipFile('c-lib-4.5.jar', 'w').close()
";
    assert!(Command::new("python3").args(["-c", script]).current_dir(&folder).status().unwrap().success());
    let files: Vec<(&str, Vec<u8>)> = ["a.jar", "b.jar", "c-lib-4.5.jar"]
        .map(|name| (name, std::fs::read(folder.join(name)).unwrap()))
        .into();
    std::fs::remove_dir_all(&folder).unwrap();
    let expected = [
        "java c-lib 4.5: c-lib-4.5.jar",
        "java g:b 3: b.jar",
        "java guava 33.0-jre: ",
        "java org.a 1.2: a.jar",
    ];
    assert_eq!(shown(&found_in(&files)), expected);
}
