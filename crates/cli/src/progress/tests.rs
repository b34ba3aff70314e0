//! The renderers, fed with one build's events.

use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use jettison_build::{Outcome, StepInfo, Stream};
use jettison_image::Digest;

use super::*;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn info(id: usize, name: &str, inputs: &[usize]) -> StepInfo {
    StepInfo { id, name: name.into(), digest: Digest::of(name.as_bytes()), inputs: inputs.to_vec() }
}

fn output(step: usize, text: &str) -> Event {
    Event::Output { step, stream: Stream::Stdout, bytes: text.as_bytes().to_vec() }
}

fn finished(step: usize, outcome: Outcome) -> Event {
    Event::Finished { step, outcome, elapsed: Duration::from_millis(1250) }
}

/// Events with their times in milliseconds.
fn build() -> Vec<(u64, Event)> {
    vec![
        (
            0,
            Event::Planned {
                steps: vec![
                    info(0, "[1/3] FROM base", &[]),
                    info(1, "[2/3] RUN \x1b[2Jmake", &[0]),
                    info(2, "[3/3] RUN b", &[0]),
                ],
            },
        ),
        (1, Event::Started { step: 0 }),
        (2, finished(0, Outcome::Cached)),
        (3, Event::Started { step: 1 }),
        (4, Event::Started { step: 2 }),
        (103, output(1, "one\ntw")),
        (104, output(2, "other\n")),
        (203, output(1, "o\n")),
        (300, finished(1, Outcome::Done)),
        (400, finished(2, Outcome::Failed("exit code: 1\nmore".into()))),
        (401, Event::Warning { step: None, message: "late".into() }),
    ]
}

fn play(renderer: &mut dyn Renderer, events: &[(u64, Event)]) {
    let at = |millis: u64| UNIX_EPOCH + Duration::from_millis(millis);
    for (millis, event) in events {
        renderer.event(at(*millis), event).unwrap();
        renderer.tick(at(*millis)).unwrap();
    }
    renderer.finish(at(500)).unwrap();
}

#[test]
fn plain_is_buildkits_and_does_not_mix_lines() {
    let buffer = Buffer::default();
    play(&mut Plain::new(buffer.clone(), Colors::Keep), &build());
    assert_eq!(
        buffer.text(),
        "#1 [1/3] FROM base\n#1 CACHED\n\n\
         #2 [2/3] RUN \\u{1b}[2Jmake\n#2 0.100 one\n#2 0.200 two\n#2 DONE 1.2s\n\n\
         #3 [3/3] RUN b\n#3 0.100 other\n#3 ERROR: exit code: 1\nWARNING: late\n"
    );
}

#[test]
fn plain_gives_others_the_floor_after_a_while() {
    let buffer = Buffer::default();
    let mut plain = Plain::new(buffer.clone(), Colors::Keep);
    let mut events = build();
    events.truncate(8);
    events.push((5_000, output(1, "still here\n")));
    play(&mut plain, &events);
    let text = buffer.text();
    assert!(text.contains("#2 ...\n\n#3 [3/3] RUN b\n#3 0.100 other\n"), "{text}");
}

#[test]
fn downloads_are_told_when_they_end() {
    let buffer = Buffer::default();
    let progress = |done| Event::Progress { step: 0, item: "sha256:ab".into(), done, total: Some(2_000_000) };
    let events = [
        (0, Event::Planned { steps: vec![info(0, "[1/1] FROM base", &[])] }),
        (0, Event::Started { step: 0 }),
        (100, progress(0)),
        (200, progress(1_000_000)),
        (5_200, progress(1_500_000)),
        (6_100, progress(2_000_000)),
        (6_100, progress(2_000_000)),
    ];
    play(&mut Plain::new(buffer.clone(), Colors::Keep), &events);
    assert_eq!(
        buffer.text(),
        "#1 [1/1] FROM base\n#1 sha256:ab 1.5MB / 2MB 5.1s\n#1 sha256:ab 2MB / 2MB 6.0s done\n"
    );
}

#[test]
fn rawjson_is_buildkits_solve_status() {
    let buffer = Buffer::default();
    play(&mut RawJson::new(buffer.clone()), &build());
    let lines: Vec<serde_json::Value> =
        buffer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["vertexes"].as_array().unwrap().len(), 3);
    assert_eq!(lines[0]["vertexes"][1]["inputs"][0], lines[0]["vertexes"][0]["digest"]);
    assert_eq!(lines[1]["vertexes"][0]["started"], "1970-01-01T00:00:00.001Z");
    assert_eq!(lines[2]["vertexes"][0]["cached"], true);
    assert_eq!(lines[2]["vertexes"][0]["completed"], "1970-01-01T00:00:00.002Z");
    assert_eq!(lines[5]["logs"][0]["data"], "b25lCnR3");
    assert_eq!(lines[5]["logs"][0]["stream"], 1);
    assert_eq!(lines[9]["vertexes"][0]["error"], "exit code: 1\nmore");
    assert_eq!(lines[10]["warnings"][0]["short"], "bGF0ZQ==");
}

#[test]
fn the_live_view_never_exceeds_the_terminal() {
    let buffer = Buffer::default();
    let mut tty = Tty::with_size(buffer.clone(), Colors::Strip, || Some((36, 6)));
    let mut events = build();
    let many = (0..50)
        .map(|n| format!("line {n} that is much longer than the terminal 世界世界世界\n"))
        .collect::<String>();
    events.insert(8, (250, output(1, &many)));
    play(&mut tty, &events);
    let text = buffer.text();
    assert!(text.contains("=> ERROR [3/3] RUN b  1.2s\x1b[K"), "{text:?}");
    assert!(text.contains("RUN \\u{1b}[2Jmake  0.2s\x1b[K"), "{text:?}");
    assert!(text.contains("FINISHED"), "{text:?}");
    let plain = text
        .replace("\x1b[?2026h", "")
        .replace("\x1b[?2026l", "")
        .replace("\x1b[K", "")
        .replace("\x1b[J", "");
    let mut deepest = 0;
    for line in plain.lines() {
        let shown = line.trim_start_matches('\r');
        let shown = match shown.strip_prefix("\x1b[") {
            Some(up) => {
                let (count, rest) = up.split_once('A').unwrap();
                deepest = deepest.max(count.parse::<usize>().unwrap());
                rest
            }
            None => shown,
        };
        assert!(!shown.contains('\x1b'), "{shown:?}");
        assert!(unicode_width::UnicodeWidthStr::width(shown) < 36, "{shown:?}");
    }
    assert!(deepest > 1 && deepest <= 4, "{deepest}");
}
