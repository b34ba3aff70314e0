//! A page in Debian's Chromium, headless, driven through ChromeDriver (W3C WebDriver).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{base64, http, tools};

/// What keeps Chromium to the one page, in a container as root and without a network.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1400,1000",
];

/// How often ChromeDriver is started before a test gives up.
const ATTEMPTS: usize = 5;

/// A browser that shows one page; ended when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Opens a file, with the system in dark colours or in light ones.
    pub fn open(page: &Path, dark: bool) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let (driver, port) = start();
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        // Blink's PreferredColorScheme: 0 is dark, 1 is light.
        flags.push(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
        let options = json!({ "binary": tools::require("chromium"), "args": flags });
        let wanted = json!({
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" },
        });
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let made = browser.request("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        browser.command("url", &json!({ "url": format!("file://{}", page.display()) }));
        browser
    }

    /// Runs the body of a function in the page and returns its result.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Presses and releases keys, one after the other, such as `"a"` or one of WebDriver's `"\u{e007}"` (Enter).
    pub fn press(&self, keys: &[&str]) {
        let strokes = keys.iter().flat_map(|key| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>() });
        self.command("actions", &json!({ "actions": [keyboard] }));
    }

    /// Returns what the page, and the browser about it, complained of.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "browser" }));
        let messages =
            log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap_or_default());
        // Chromium's own page for a new tab complains too, of a slow network on a busy machine.
        messages.filter(|message| !message.starts_with("chrome://")).map(str::to_owned).collect()
    }

    /// Returns a picture of the window, as PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        let path = format!("/session/{}/screenshot", self.session);
        let picture = self.request("GET", &path, &Value::Null);
        base64::decode(picture.as_str().unwrap()).unwrap()
    }

    fn command(&self, name: &str, body: &Value) -> Value {
        self.request("POST", &format!("/session/{}/{name}", self.session), body)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = exchange(self.port, method, path, &body).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(status.contains(" 200 "), "{method} {path}: {status}\n{answer:#}");
        answer["value"].clone()
    }
}

/// Sends one request to the driver, which keeps its connections open; returns the first line and the body.
fn exchange(port: u16, method: &str, path: &str, body: &str) -> io::Result<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut reader = BufReader::new(stream);
    let (status, headers) = http::read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let length = http::header(&headers, "content-length").unwrap_or("0").parse().map_err(io::Error::other)?;
    let mut answer = Vec::new();
    reader.take(length).read_to_end(&mut answer)?;
    Ok((status, answer))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with the session; a test that fails has other worries.
        let _ = exchange(self.port, "DELETE", &format!("/session/{}", self.session), "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts ChromeDriver on a free port, which it tells on its standard output.
///
/// It takes a port that is free of ::1 and then wants the same of 127.0.0.1, where tests that run meanwhile listen and
/// connect. It ends where that port is taken, so it is tried again.
fn start() -> (Child, u16) {
    let mut told = String::new();
    for _ in 0..ATTEMPTS {
        let mut command = Command::new(tools::require("chromedriver"));
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let output = BufReader::new(driver.stdout.take().unwrap());
        for line in output.lines().map_while(Result::ok) {
            if let Some(port) = port_of(&line) {
                return (driver, port);
            }
            told.push_str(&line);
            told.push('\n');
        }
        driver.wait().unwrap();
    }
    panic!("chromedriver did not start to listen:\n{told}");
}

fn port_of(line: &str) -> Option<u16> {
    let (_, port) = line.trim_end_matches('.').rsplit_once("started successfully on port ")?;
    port.parse().ok()
}
