//! The pages of reports in a real browser: what they show, in light and dark, by mouse and by keys, from hostile data.

use std::path::PathBuf;

use jettison_testkit::{Browser, Context, Layer, Layout, base};
use serde_json::Value;

use crate::Bench;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const RIGHT: &str = "\u{e014}";

/// Two stages, and dead bytes of two causes.
const STAGES: &str = "\
FROM busybox AS builder
RUN head -c 700000 /dev/urandom > /out
FROM busybox
COPY --from=builder /out /opt/tool/bin/tool
COPY data /opt/data
RUN chmod 600 /opt/data
";

fn built() -> (Bench, PathBuf) {
    let bench = Bench::new();
    bench.build(&Context::of(STAGES).file("data", vec![b'd'; 300_000]), &["-t", "pages"]);
    let page = write(&bench, "pages");
    (bench, page)
}

/// Writes the page of an image's report.
fn write(bench: &Bench, image: &str) -> PathBuf {
    let page = bench.jettison.path("work/report.html");
    bench.jettison.ok(&["report", "--format", "html", "-o", &page.display().to_string(), image]);
    page
}

/// The text that the page shows, as it is on the screen.
fn shown(browser: &Browser) -> String {
    browser.run("return document.body.innerText").as_str().unwrap().to_owned()
}

fn color(browser: &Browser) -> Value {
    browser.run("return getComputedStyle(document.body).backgroundColor")
}

#[test]
fn a_report_shows_its_parts_and_needs_nothing_else() {
    let (_bench, page) = built();
    let browser = Browser::open(&page, false);
    let text = shown(&browser);
    for part in [
        "pages",
        "live: what the image shows",
        "RUN chmod 600 /opt/data",
        "300 kB dead: copied for mode, owner or time by RUN chmod 600 /opt/data",
        "Dead bytes",
        "Stages",
        "in 1 stage left behind",
        "Timeline of the build",
        "RUN head -c 700000 /dev/urandom > /out",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(
        browser.run("return performance.getEntriesByType('resource').length"),
        0,
        "nothing was loaded"
    );
}

#[test]
fn a_report_follows_the_system_to_dark_until_it_is_told_otherwise() {
    let (_bench, page) = built();
    let light = color(&Browser::open(&page, false));
    let browser = Browser::open(&page, true);
    assert_ne!(color(&browser), light);
    let before = browser.screenshot();
    browser.run("document.getElementById('theme').click()");
    assert_eq!(color(&browser), light);
    assert_ne!(browser.screenshot(), before);
}

#[test]
fn the_map_is_walked_by_keys() {
    let (_bench, page) = built();
    let browser = Browser::open(&page, false);
    let place =
        || browser.run("return document.querySelector('.crumbs').innerText").as_str().unwrap().to_owned();
    let told = || browser.run("return document.querySelector('.tip').innerText").as_str().unwrap().to_owned();
    browser.run("document.querySelector('canvas').focus()");
    let first = told();
    browser.press(&[RIGHT]);
    assert_ne!(told(), first, "an arrow chooses another");
    browser.run("document.querySelector('canvas').blur(); document.querySelector('.crumbs button').click()");
    browser.run("document.querySelector('canvas').focus()");
    // /opt is the largest: the program of the base is smaller.
    assert!(told().contains("/opt") || told().contains("/bin"), "{}", told());
    browser.press(&[ENTER]);
    let inside = place();
    assert!(inside.contains("opt/") || inside.contains("bin/"), "{inside}");
    browser.press(&[ESCAPE]);
    assert!(!place().contains("opt/") && !place().contains("bin/"), "{}", place());
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_map_shows_the_dead_when_asked_and_opens_on_a_click() {
    let (_bench, page) = built();
    let browser = Browser::open(&page, false);
    browser.run("document.querySelector('[data-value=dead]').click()");
    let place = "return document.querySelector('.crumbs').innerText";
    assert!(browser.run(place).as_str().unwrap().contains("300 kB, 1 file"));
    browser.run(
        "const map = document.querySelector('canvas'); const box = map.getBoundingClientRect();\
         map.dispatchEvent(new MouseEvent('click', { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }))",
    );
    assert!(browser.run(place).as_str().unwrap().contains("opt/"), "{}", browser.run(place));
}

#[test]
fn hostile_names_stay_text() {
    let evil = "</script><img src=x onerror=document.title='owned'><!--";
    let mut layout = Layout::new();
    let config = base::config(evil);
    layout.add(
        "evil",
        &config,
        &[Layer::new().dir(evil, 0o755).file(&format!("{evil}/{evil}"), 0o644, vec![7; 5000])],
    );
    let bench = Bench::new();
    let page = write(&bench, &layout.path().display().to_string());
    let browser = Browser::open(&page, false);
    assert_eq!(browser.run("return document.images.length"), 0);
    assert_ne!(browser.run("return document.title"), "owned");
    browser.run("document.querySelector('canvas').focus()");
    browser.press(&[ENTER]);
    let text = shown(&browser);
    assert!(text.contains("/</script><img src=x onerror="), "the name is shown as it is\n{text}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
