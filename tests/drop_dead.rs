//! `drop-dead=true`: what the final tree does not show is not in the image, and the tree is the same.

use jettison_testkit::{Context, Image, Layer, Layout, Tree, base, tools};
use serde_json::Value;

use crate::Bench;

/// Each way to die, and what must survive it.
const DOCKERFILE: &str = "\
FROM base
COPY big /big
RUN mkdir -p /build/deep && head -c 200000 /dev/zero > /build/deep/x && echo old > /over && echo a > /a && ln /a /b
RUN chmod 700 /big && rm -rf /build && echo new > /over && rm /a && rm /etc/gone
RUN rm -rf /tree && mkdir /tree && echo n > /tree/new && rm -rf /type && echo file > /type
RUN mv /tree /moved && chmod 711 /moved && rm /type && mkdir -m 750 /type && echo z > /type/z
RUN chown 12:34 /over
RUN touch /nothing && rm /nothing
";

struct Case {
    bench: Bench,
    bases: Layout,
    context: Context,
}

fn case() -> Case {
    let mut bases = Layout::new();
    let own = Layer::new()
        .dir("etc", 0o755)
        .file("etc/gone", 0o644, "base")
        .dir("tree", 0o755)
        .file("tree/old", 0o644, "base")
        .dir("type", 0o755)
        .file("type/old", 0o644, "base");
    bases.add("base", &base::config("sh"), &[base::busybox(), own]);
    Case { bench: Bench::new(), bases, context: Context::of(DOCKERFILE).file("big", vec![b'b'; 300_000]) }
}

impl Case {
    fn image(&self, attributes: &str, name: &str) -> Image {
        let file = self.bench.jettison.path(&format!("work/{name}.tar"));
        let output = format!("type=oci,dest={}{attributes}", file.display());
        let named = format!("base={}", self.bases.named_context("base"));
        let flags = ["--build-context", &named, "-t", name, "-o", &output];
        self.bench.jettison.build(&self.context, &flags);
        Image::from_oci_archive(&file)
    }

    fn report(&self, name: &str) -> Value {
        let text = self.bench.jettison.ok(&["report", "--format", "json", name]).stdout;
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn the_tree_is_the_same_and_nothing_own_is_dead() {
    let case = case();
    let (fat, lean) = (case.image("", "fat"), case.image(",drop-dead=true", "lean"));
    assert_eq!(fat.tree(), lean.tree());
    for (path, shows) in [("etc/gone", false), ("moved/old", false), ("type/old", false), ("b", true)] {
        assert_eq!(lean.tree().has(path), shows, "{path}");
    }
    // The base's layers are the same blobs; ours are as many.
    let digests = |image: &Image| image.manifest.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>();
    assert_eq!(digests(&fat)[..2], digests(&lean)[..2]);
    assert_eq!(fat.layer_count(), lean.layer_count());
    assert_eq!(fat.config.history, lean.config.history);
    let (fat, lean) = (case.report("fat"), case.report("lean"));
    assert!(fat["own"]["dead"].as_u64().unwrap() >= 500_000);
    assert_eq!(lean["own"]["dead"], 0);
    assert_eq!(fat["totals"]["live"], lean["totals"]["live"]);
    assert_eq!(fat["base"]["layers"], 2);
}

#[test]
fn a_lean_image_is_made_once_and_always_the_same() {
    let (one, two) = (case(), case());
    let first = one.image(",drop-dead=true", "lean").digest;
    assert_eq!(one.image(",drop-dead=true", "again").digest, first);
    assert_eq!(two.image(",drop-dead=true", "lean").digest, first);
}

/// The tree as umoci unpacks it, by tar.
fn unpacked(case: &Case, name: &str) -> String {
    let folder = case.bench.jettison.path(&format!("work/{name}"));
    let archive = case.bench.jettison.path(&format!("work/{name}.tar"));
    let layout = format!("{}:x", folder.join("layout").display());
    std::fs::create_dir_all(&folder).unwrap();
    tools::run(
        "skopeo",
        ["copy", "--quiet", &format!("oci-archive:{}", archive.display()), &format!("oci:{layout}")],
    );
    let bundle = folder.join("bundle").display().to_string();
    tools::run("umoci", ["unpack", "--image", &layout, &bundle]);
    tools::run(
        "sh",
        [
            "-c",
            &format!(
                "cd {bundle}/rootfs && find . -exec stat -c '%n %f %u:%g %s %h %N' {{}} + | sort && find . -type f | sort | xargs sha256sum"
            ),
        ],
    )
}

#[test]
fn others_unpack_it_to_the_same_files() {
    if !tools::is_root() {
        return;
    }
    let case = case();
    case.image("", "fat");
    case.image(",drop-dead=true", "lean");
    assert_eq!(unpacked(&case, "fat"), unpacked(&case, "lean"));
}

#[test]
fn a_lean_image_runs_and_can_be_built_upon() {
    let bench = Bench::new();
    let context = Context::of(
        "FROM busybox\nRUN echo 1 > /x && echo y > /y\nRUN echo 2 > /x && rm /y\nCMD [\"cat\", \"/x\"]\n",
    );
    bench.build(&context, &["-t", "lean", "-o", "type=image,drop-dead=true"]);
    assert_eq!(bench.jettison.ok(&["run", "lean"]).stdout, "2\n");
    let on_top = bench.image(&Context::of("FROM lean\nRUN test ! -e /y && cp /x /z\n"), &[]);
    let tree: Tree = on_top.tree();
    assert_eq!(tree.text("z"), "2\n");
}

#[test]
fn outputs_cannot_want_different_images() {
    let bench = Bench::new();
    let output = bench.jettison.fails(
        2,
        &["build", "-o", "type=oci,dest=x,drop-dead=true", "-o", "type=docker,dest=y,drop-dead=false", "."],
    );
    output.says("drop-dead is true for one output and false for another");
    bench
        .jettison
        .fails(2, &["build", "-o", "type=oci,dest=x,drop-dead=yes", "."])
        .says("expected true or false");
}
