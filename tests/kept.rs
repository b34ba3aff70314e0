//! What a file can be besides bytes and a mode: it survives RUN, `COPY --from`, the export, and being a base image.
//! Judged by umoci, which unpacks the images, and by Python's tarfile.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use jettison_testkit::{Context, Who, tools};

use crate::{Bench, tool};

/// What libcap writes for `cap_net_raw+ep`: version 2 of `struct vfs_cap_data` (linux/capability.h).
const NET_RAW: &str = "0100000200200000000000000000000000000000";

/// A name of `length` bytes.
fn name(letter: char, length: usize) -> String {
    letter.to_string().repeat(length)
}

/// The build's image as a layout and as a tar of its files, and the folder into which umoci unpacks the layout.
struct Built {
    layout: PathBuf,
    tar: PathBuf,
    root: PathBuf,
}

impl Built {
    fn of(bench: &Bench, context: &Context, flags: &[&str], name: &str) -> Built {
        let path = |end: &str| bench.jettison.path(&format!("work/{name}{end}"));
        let [layout, tar, bundle] = ["", ".tar", ".bundle"].map(path);
        let outputs = [
            format!("type=oci,tar=false,name=kept:1,dest={}", layout.display()),
            format!("type=tar,dest={}", tar.display()),
        ];
        bench.build(context, &[flags, &["-o", &outputs[0], "-o", &outputs[1]]].concat());
        unpack(&layout, "1", &bundle);
        Built { layout, tar, root: bundle.join("rootfs") }
    }

    fn flag(&self) -> String {
        format!("--build-context=kept=oci-layout://{}:1", self.layout.display())
    }
}

fn unpack(layout: &Path, tag: &str, bundle: &Path) {
    let image = format!("{}:{tag}", layout.display());
    tools::run("umoci", ["unpack", "--image", &image, &bundle.display().to_string()]);
}

/// An extended attribute of a file on disk, in hexadecimal.
fn attribute(file: &Path, name: &str) -> String {
    let arguments = ["--absolute-names", "--encoding=hex", "--only-values", "-n", name];
    let hex = |byte: u8| format!("{byte:02x}");
    let mut command = std::process::Command::new(tools::require("getfattr"));
    let output = command.args(arguments).arg(file).output().unwrap();
    output.stdout.into_iter().map(hex).collect()
}

/// What Python reads of the members of a tar below `w`: a line each of name, type, link, and attributes.
fn listed(tar: &Path) -> String {
    let script = "import sys, tarfile\nfor m in tarfile.open(sys.argv[1], errors='surrogateescape'):\n  \
        x = sorted((k, v.encode('utf-8', 'surrogateescape').hex()) for k, v in m.pax_headers.items() if 'xattr' in k)\n  \
        if '/' in m.name: print(m.name, m.type.decode(), m.linkname, m.devmajor, m.devminor, x)\n";
    tools::run("python3", ["-c", script, &tar.display().to_string()])
}

/// Asserts that folder `w` has all that the test made.
fn check(root: &Path, w: &str, long: &str) {
    let w = root.join(w);
    assert_eq!(attribute(&w.join("f"), "user.note"), "68656c6c6f");
    assert_eq!(attribute(&w.join("d"), "user.note"), "00ff", "a directory's, with any bytes");
    assert_eq!(attribute(&w.join("ping"), "security.capability"), NET_RAW);
    let pipe = fs::symlink_metadata(w.join("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo());
    assert_eq!((pipe.mode() & 0o7777, pipe.uid(), pipe.gid()), (0o640, 7, 8));
    assert_eq!(fs::read_to_string(w.join(long)).unwrap(), "text\n");
    let (one, other) = (fs::metadata(w.join(long)).unwrap(), fs::metadata(w.join("hard")).unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
    assert_eq!(fs::read_link(w.join("soft")).unwrap().to_str().unwrap(), format!("/w/{long}"));
    assert_eq!(fs::read_link(w.join(name('s', 140))).unwrap().to_str().unwrap(), name('t', 101));
}

#[test]
fn attributes_capabilities_fifos_and_long_names_survive() {
    let long = format!("{}/{}/{}", name('a', 200), name('b', 200), name('c', 255));
    let (folder, _) = long.rsplit_once('/').unwrap();
    let (short, target) = (name('s', 140), name('t', 101));
    let make = format!(
        "FROM busybox AS made\nCOPY tools /\nWORKDIR /w\nRUN echo text > f && setfattr -n user.note -v hello f && \
         mkdir d && setfattr -n user.note -v 0x00ff d && cp f ping && chown 9:9 ping && setcap cap_net_raw+ep ping && \
         mkfifo -m 640 pipe && chown 7:8 pipe && mkdir -p {folder} && echo text > {long} && ln {long} hard && \
         ln -s /w/{long} soft && ln -s {target} {short}\n\
         FROM scratch\nCOPY --from=made /w /w\n"
    );
    let reuse = "FROM kept AS base\nFROM base\nCOPY --from=base /w /x\nCOPY --from=busybox /bin /bin\nCOPY tools /\n\
        RUN getcap /w/ping /x/ping > /seen && getfattr --only-values -n user.note /w/f /x/f >> /seen && \
        echo more >> /w/f && chmod 700 /w/d && touch /w/ping\n";
    let with_tools =
        |context: Context| ["setfattr", "getfattr", "setcap", "getcap"].into_iter().fold(context, tool);
    let mut digests = Vec::new();
    for who in [Who::Me, Who::Subordinate] {
        let bench = Bench::of(who);
        let made = Built::of(&bench, &with_tools(Context::of(&make)), &[], "made");
        check(&made.root, "w", &long);
        let members = listed(&made.tar);
        let line = |name: &str| {
            let found = members.lines().find(|line| line.starts_with(&format!("w/{name} ")));
            found.unwrap_or_else(|| panic!("no {name} in {members}")).to_owned()
        };
        assert!(line("ping").ends_with(&format!(" 0 [('SCHILY.xattr.security.capability', '{NET_RAW}')]")));
        assert!(line("f").ends_with(" [('SCHILY.xattr.user.note', '68656c6c6f')]"));
        assert!(line("pipe").contains(" 6 "), "{members}");
        assert!(line(&long).contains(" 0 ") && line("hard").contains(&format!(" 1 w/{long} ")), "{members}");
        assert!(line("soft").contains(&format!(" 2 /w/{long} ")) && line(&short).contains(&target));

        let used = Built::of(&bench, &with_tools(Context::of(reuse)), &[&made.flag()], "used");
        check(&used.root, "x", &long);
        check(&used.root, "w", &long);
        let seen = fs::read_to_string(used.root.join("seen")).unwrap();
        assert_eq!(seen, "/w/ping cap_net_raw=ep\n/x/ping cap_net_raw=ep\nhellohello");
        assert_eq!(fs::read_to_string(used.root.join("w/f")).unwrap(), "text\nmore\n");
        digests.push(fs::read_to_string(used.layout.join("index.json")).unwrap());
    }
    assert_eq!(digests[0], digests[1], "the same for root and for subordinate ids");
}

/// Devices come from images that others made: a step has no right to make one.
#[test]
fn devices_of_a_base_survive_and_a_step_makes_none() {
    for who in [Who::Me, Who::Subordinate] {
        let bench = Bench::of(who);
        let made = Built::of(&bench, &Context::of("FROM busybox\nRUN mkdir /w\n"), &[], "made");
        for (file, kind, major, minor) in [("null", "c", "1", "3"), ("loop", "b", "7", "300")] {
            let file = made.root.join("w").join(file).display().to_string();
            tools::run("mknod", ["-m", "640", &file, kind, major, minor]);
            tools::run("chown", ["7:8", &file]);
        }
        let image = format!("{}:1", made.layout.display());
        let bundle = made.root.parent().unwrap().display().to_string();
        tools::run("umoci", ["repack", "--image", &image, &bundle]);
        tools::run("chmod", ["-R", "a+rX", &made.layout.display().to_string()]);

        let reuse = Context::of(
            "FROM kept AS base\nRUN touch /w/new\nFROM base\nCOPY --from=base /w /x\nRUN echo > /made\n",
        );
        let used = Built::of(&bench, &reuse, &[&made.flag()], "used");
        let members = listed(&used.tar);
        for folder in ["w", "x"] {
            for (file, numbers, line) in [("null", (1, 3), "3  1 3"), ("loop", (7, 300), "4  7 300")] {
                let line = format!("{folder}/{file} {line} []");
                assert!(members.lines().any(|member| member == line), "no {line} in {members}");
                let node = fs::symlink_metadata(used.root.join(folder).join(file)).unwrap();
                assert_eq!(numbers, (major(node.rdev()), minor(node.rdev())));
                assert_eq!((node.mode() & 0o7777, node.uid(), node.gid()), (0o640, 7, 8));
            }
        }
        let step = Context::of("FROM busybox\nRUN mknod /null c 1 3\n");
        bench.fails(&step, &[]).says("mknod: /null: Operation not permitted").says("Dockerfile:2");
    }
}

/// gnu_dev_major(3), for numbers of devices that fit it.
fn major(device: u64) -> u64 {
    device >> 8 & 0xfff
}

fn minor(device: u64) -> u64 {
    device & 0xff | device >> 12 & !0xff
}

/// As in docker's layers a hole is zeros in the tar, which compress; on disk it is a hole again.
#[test]
fn holes_cost_no_disk() {
    const LENGTH: u64 = 64 << 20;
    let bench = Bench::new();
    let make = Context::of(&format!("FROM busybox\nRUN truncate -s {LENGTH} /hole && echo end >> /hole\n"));
    let made = Built::of(&bench, &make, &[], "made");
    let hole = fs::read(made.root.join("hole")).unwrap();
    assert_eq!(hole.len() as u64, LENGTH + 4);
    assert!(hole.ends_with(b"\0end\n") && hole[..hole.len() - 4].iter().all(|byte| *byte == 0));
    let size = |folder: &Path| -> u64 {
        let text = tools::run("du", ["-s", "-B1", &folder.display().to_string()]);
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert!(size(&made.layout) < 4 << 20, "{}", size(&made.layout));

    // A second home knows the layer by its tar alone, and unpacks it for the step.
    let bench = Bench::new();
    let read = Context::of("FROM kept\nRUN tail -c 5 /hole | tr '\\0' 0 > /end\n");
    let used = Built::of(&bench, &read, &[&made.flag()], "used");
    assert_eq!(fs::read_to_string(used.root.join("end")).unwrap(), "0end\n");
    assert!(size(&bench.jettison.store()) < 16 << 20, "{}", size(&bench.jettison.store()));
    let copy = Context::of("FROM scratch\nCOPY --from=kept /hole /h\n");
    let copied = Built::of(&bench, &copy, &[&made.flag()], "copied");
    assert_eq!(fs::read(copied.root.join("h")).unwrap(), hole);
    assert!(size(&copied.layout) < 4 << 20, "{}", size(&copied.layout));
}
