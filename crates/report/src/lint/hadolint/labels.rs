//! Labels against the schema of the settings: DL3049 to DL3056 and DL3058.

use std::collections::BTreeSet;

use jettison_dockerfile::Kind;

use super::images;
use super::placed::{Placed, each_plain, plain, unquoted};
use crate::lint::file::File;
use crate::lint::finding::Hit;

/// What the value of a label must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Something.
    Text,
    /// Anything.
    RawText,
    Rfc3339,
    SemVer,
    Url,
    Hash,
    Spdx,
    Email,
}

impl Format {
    pub(super) const NAMES: [&'static str; 8] =
        ["text", "rawtext", "rfc3339", "semver", "url", "hash", "spdx", "email"];

    pub(super) fn of(name: &str) -> Option<Format> {
        use Format::{Email, Hash, RawText, Rfc3339, SemVer, Spdx, Text, Url};
        let formats = [Text, RawText, Rfc3339, SemVer, Url, Hash, Spdx, Email];
        let at = Format::NAMES.iter().position(|known| *known == name)?;
        formats.get(at).copied()
    }
}

/// DL3049, of each stage that no COPY takes from by name. What a stage sets, it sets for those that start from it, and what an
/// unnamed one sets, for the one that it starts from, as hadolint has it.
pub(super) fn missing(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for label in file.settings.labels.keys() {
        let mut stages: Vec<images::Origin<'_, '_>> = Vec::new();
        let mut good: BTreeSet<&str> = BTreeSet::new();
        let mut silent: BTreeSet<usize> = BTreeSet::new();
        for placed in plain(file) {
            let mut named = |stages: &[images::Origin<'_, '_>], name: &str| {
                silent.extend((0..stages.len()).filter(|at| stages[*at].called() == name));
            };
            if let Some(origin) = images::origin(placed) {
                if good.contains(origin.base) {
                    good.insert(origin.called());
                    silent.insert(stages.len());
                }
                stages.push(origin);
            } else if let Kind::Copy(copy) = &placed.instruction.kind {
                // Only what has a name is taken from by it.
                let from = copy.from.as_ref().map(|from| unquoted(&from.text));
                let from = from.filter(|from| stages.iter().any(|stage| stage.name == Some(*from)));
                from.into_iter().for_each(|from| named(&stages, from));
            } else if let Some(current) =
                stages.last().filter(|_| sets(placed, label)).map(images::Origin::called)
            {
                named(&stages, current);
                good.insert(current);
            }
        }
        let message = format!("the label `{label}` is missing");
        let loud = stages.iter().enumerate().filter(|(at, _)| !silent.contains(at));
        hits.extend(loud.map(|(_, stage)| stage.placed.hit(message.clone())));
    }
    hits
}

fn sets(placed: &Placed<'_>, label: &str) -> bool {
    match &placed.instruction.kind {
        Kind::Label(pairs) => pairs.iter().any(|pair| unquoted(&pair.name.text) == label),
        _ => false,
    }
}

/// DL3050
pub(super) fn superfluous(file: &File<'_>) -> Vec<Hit> {
    let (settings, known) = (file.settings, &file.settings.labels);
    each_plain(file, "the schema does not have this label", |placed| match &placed.instruction.kind {
        Kind::Label(pairs) if settings.strict_labels => {
            pairs.iter().any(|pair| !known.contains_key(unquoted(&pair.name.text)))
        }
        _ => false,
    })
}

/// Makes a hit of each label whose format passes `is_asked` and whose value fails `is_right`.
fn values(
    file: &File<'_>,
    what: &str,
    is_asked: impl Fn(Format) -> bool,
    is_right: impl Fn(&str) -> bool,
) -> Vec<Hit> {
    let mut hits = Vec::new();
    for placed in plain(file) {
        let Kind::Label(pairs) = &placed.instruction.kind else { continue };
        let mut wrong = BTreeSet::new();
        for pair in pairs {
            let name = unquoted(&pair.name.text);
            let asked = file.settings.labels.get(name).is_some_and(|format| is_asked(*format));
            if asked && !is_right(unquoted(&pair.value.text)) && wrong.insert(name) {
                hits.push(placed.hit(format!("the label `{name}` is {what}")));
            }
        }
    }
    hits
}

/// DL3051
pub(super) fn empty(file: &File<'_>) -> Vec<Hit> {
    values(file, "empty", |format| format != Format::RawText, |value| !value.is_empty())
}

/// DL3052
pub(super) fn url(file: &File<'_>) -> Vec<Hit> {
    values(file, "no URL", |format| format == Format::Url, is_url)
}

/// DL3053
pub(super) fn time(file: &File<'_>) -> Vec<Hit> {
    values(file, "no time of RFC 3339", |format| format == Format::Rfc3339, is_time)
}

/// DL3054
pub(super) fn licence(file: &File<'_>) -> Vec<Hit> {
    let is_licence = |value: &str| spdx::license_id(value.trim_end()).is_some_and(|id| !id.is_deprecated());
    values(file, "no identifier of SPDX", |format| format == Format::Spdx, is_licence)
}

/// DL3055
pub(super) fn hash(file: &File<'_>) -> Vec<Hit> {
    let is_hash = |value: &str| {
        [7, 40].contains(&value.len()) && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    values(file, "no hash of git", |format| format == Format::Hash, is_hash)
}

/// DL3056
pub(super) fn version(file: &File<'_>) -> Vec<Hit> {
    values(file, "no semantic version", |format| format == Format::SemVer, is_version)
}

/// DL3058
pub(super) fn email(file: &File<'_>) -> Vec<Hit> {
    values(file, "no e-mail address", |format| format == Format::Email, is_email)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// RFC 3986, with a scheme.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_char = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(scheme_char) {
        return false;
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, path) = match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
    };
    let host_and_port =
        rest.split_once('@').map_or(rest, |(user, host)| if is_part(user, ":") { host } else { "@" });
    let port_at = host_and_port.rfind(':').filter(|at| !host_and_port[*at..].contains(']'));
    let (host, port) =
        port_at.map_or((host_and_port, ""), |at| (&host_and_port[..at], &host_and_port[at + 1..]));
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_right = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok() || address.starts_with('v'),
        None => is_part(host, ""),
    };
    host_is_right && (port.is_empty() || digits(port)) && is_part(path, ":@/?") && is_part(fragment, ":@/?")
}

/// Unreserved characters, sub-delimiters and escapes of RFC 3986, and those of `more`.
fn is_part(text: &str, more: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escape =
            byte == b'%' && (0..2).all(|_| bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit()));
        let plain = byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=".contains(&byte)
            || more.as_bytes().contains(&byte);
        if !escape && !plain {
            return false;
        }
    }
    true
}

/// RFC 3339, with any number of digits of the year, and the colon of the zone not needed.
fn is_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    let parts = |text: &str, separator: char| -> Option<Vec<u32>> {
        let two = |part: &str| part.len() == 2 && digits(part);
        text.split(separator).map(|part| two(part).then(|| part.parse().ok())?).collect()
    };
    let date_is_right = date.split_once('-').is_some_and(|(year, rest)| {
        let Some([month, day]) =
            parts(rest, '-').as_deref().and_then(|parts| <[u32; 2]>::try_from(parts).ok())
        else {
            return false;
        };
        digits(year) && (1..=days(year, month)).contains(&day)
    });
    let Some(zone_at) = time.find(['Z', 'z', '+', '-']) else { return false };
    let (clock, zone) = time.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let clock_is_right = matches!(parts(clock, ':').as_deref(), Some([hour, minute, second]) if *hour < 24 && *minute < 60 && *second <= 60);
    let offset = zone[1..].replacen(':', "", 1);
    let zone_is_right =
        if zone.starts_with(['Z', 'z']) { zone.len() == 1 } else { offset.len() == 4 && digits(&offset) };
    date_is_right && clock_is_right && zone_is_right && (fraction.is_empty() || digits(fraction))
}

/// The days of a month of a year; none of a month that does not exist.
fn days(year: &str, month: u32) -> u32 {
    // Only the last digits decide, and 400 divides 10,000.
    let year: u32 = year[year.len().saturating_sub(4)..].parse().unwrap_or_default();
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// `1.2.3`, with tags behind a hyphen and metadata behind a plus.
fn is_version(text: &str) -> bool {
    let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
    let (numbers, tags) = text.split_once('-').unwrap_or((text, ""));
    // The last of the parts may be empty.
    let parts_are_right = |text: &str| {
        let right = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let all = text.strip_suffix('.').unwrap_or(text);
        all.is_empty() || all.split('.').all(|part| !part.is_empty() && right(part))
    };
    let numbers: Vec<&str> = numbers.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|number| digits(number))
        && parts_are_right(tags)
        && parts_are_right(metadata)
}

/// RFC 5322: a local part of atoms or in quotes, and a domain of labels or in brackets.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    let is_label = |label: &str| {
        let right = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        right && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let domain_is_right = domain.starts_with('[') && domain.ends_with(']')
        || domain.strip_suffix('.').unwrap_or(domain).split('.').all(is_label);
    (quoted || local.split('.').all(is_atom)) && domain_is_right
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::lint::{CheckOptions, Request, Settings, all_checks};

    /// The findings of DL3026 and the rules about labels, as `line:code`, each with how often it is there.
    fn found(dockerfile: &str, settings: &str) -> String {
        let parsed = jettison_dockerfile::parse(dockerfile.as_bytes());
        let settings = Settings::parse(settings).unwrap();
        let plan = jettison_plan::Request {
            target: None,
            build_args: BTreeMap::new(),
            labels: Vec::new(),
            platform: None,
            build_platform: jettison_image::Platform::host(),
            contexts: BTreeMap::new(),
            network: jettison_plan::NetworkMode::Default,
            extra_hosts: Vec::new(),
            run: jettison_plan::RunOptions::default(),
        };
        let request = Request {
            dockerfile: &parsed,
            plan: &plan,
            every_stage: true,
            ignore: None,
            settings: &settings,
        };
        let checked = all_checks(&request, &CheckOptions::default(), &mut |_, _| Ok(None));
        let asked = [
            "DL3026", "DL3049", "DL3050", "DL3051", "DL3052", "DL3053", "DL3054", "DL3055", "DL3056",
            "DL3057", "DL3058",
        ];
        let findings = checked.findings.iter().filter(|finding| asked.contains(&finding.rule.name));
        let mut found: Vec<String> =
            findings.map(|finding| format!("{}:{}", finding.lines.0, &finding.rule.name[2..])).collect();
        found.sort();
        found.join(" ")
    }

    /// Recorded from hadolint 2.15.1.
    #[test]
    fn findings_are_hadolints() {
        let two = "label-schema: {a: text, b: text}";
        let text = "FROM x:1 AS p\nFROM p AS q\nFROM q\nLABEL a=1\nFROM p AS r\nFROM y:1\nLABEL b=1\n";
        assert_eq!(found(text, two), "1:3049 1:3049 2:3049 3:3049 5:3049 5:3049 6:3049");
        let text = "FROM x:1 AS p\nLABEL a=1 b=1\nFROM y:1 AS q\nFROM p\n";
        assert_eq!(found(text, two), "3:3049 3:3049");
        let text = "FROM x:1\nONBUILD LABEL a=1\nFROM scratch\n";
        assert_eq!(found(text, two), "1:3049 1:3049 3:3049 3:3049");
        let text = "FROM x:1 AS p\nFROM p:1\nLABEL a=1\nFROM P\n";
        assert_eq!(found(text, two), "1:3049 2:3049 4:3049 4:3049");
        assert_eq!(found("FROM x:1\nLABEL \"a\"=\"\" b=\"\"\nLABEL a=\n", two), "2:3051 2:3051 3:3051");
        assert_eq!(found("FROM x:1\nLABEL a=1 c=2 d=3\nLABEL b=1\n", two), "");
        let one = "label-schema: {a: text}\noverride: {info: [DL3057]}";
        let text = "FROM x:1 AS p\nFROM q:1 AS r\nCOPY --from=p a b\nLABEL a=1\nFROM p\n";
        assert_eq!(found(text, one), "1:3057 2:3057 5:3049 5:3057", "no COPY takes from the last");
        let text = "FROM x:1\nFROM q:1 AS r\nCOPY --from=x a b\nLABEL a=1\n";
        assert_eq!(found(text, one), "1:3049 1:3057 2:3057");
        let text = "FROM x:1 AS p\nFROM p AS q\nFROM q AS r\nHEALTHCHECK CMD x\nLABEL a=1\nFROM p\n";
        assert_eq!(found(text, one), "1:3049 2:3049 6:3049");
        let text = "FROM x:1 AS p\nHEALTHCHECK CMD x\nFROM p AS q\nFROM q\nFROM y:1 AS r\nFROM r AS s\nHEALTHCHECK NONE\n\
                    FROM s\nFROM x:1\nONBUILD HEALTHCHECK CMD x\n";
        assert_eq!(found(text, one), "1:3049 3:3049 4:3049 5:3049 6:3049 8:3049 9:3049 9:3057");
        let strict = format!("{two}\nstrict-labels: true\n");
        assert_eq!(found("FROM x:1\nLABEL a=1 c=2 d=3\nLABEL b=1\n", &strict), "2:3050");
        let each = "label-schema: {r: rawtext, c: email, t: rfc3339, v: semver, d: url, h: hash, l: spdx}";
        let text = "FROM a:1\nLABEL r=\"\" c=x t=y v=z d=w h=v l=u\n";
        assert_eq!(found(text, each), "2:3052 2:3053 2:3054 2:3055 2:3056 2:3058");
        let licence =
            |value: &str| found(&format!("FROM a:1\nLABEL l=\"{value}\"\n"), "label-schema: {l: spdx}");
        assert!(["MIT", "GPL-2.0-only", "MIT ", "TOSL"].map(licence).iter().all(|found| found.is_empty()));
        let wrong = ["mit", "GPL-2.0", "MIT OR Apache-2.0", "BSD", "LicenseRef-x"].map(licence);
        assert_eq!(wrong, ["2:3054"; 5]);
        let trusted = "trustedRegistries: [docker.io, \"*.example.com\"]";
        let text = "FROM foo.example.com/a:1\nFROM quay.io/a:1\nFROM scratch\nFROM $X\nFROM $X/a:1\nFROM docker.io/a:1\n\
                    FROM a/b:1\nFROM example.com/a:1\nFROM quay.io/scratch AS a\nFROM a AS s\nFROM localhost/x:1\n\
                    FROM localhost/a/b:1\nFROM x.y/a/b/c@sha256:1\nFROM example.com.evil/x\nFROM ${R}.example.com/x:1\n";
        // 11 and 12 are ours: docker asks this machine for them, and hadolint takes them for images of docker.io.
        assert_eq!(found(text, trusted), "11:3026 12:3026 13:3026 14:3026 2:3026 8:3026 9:3026");
        assert_eq!(found(text, "ignored: [DL3000]"), "");
        let text = "FROM quay.io/x:1 AS p\nCOPY --from=docker.io/x:1 a b\nCOPY --from=p a b\nCOPY --from=a/b a b\n\
                    RUN --mount=type=bind,from=docker.io/x,target=/x y\nONBUILD COPY --from=docker.io/x a b\n";
        assert_eq!(found(text, "trustedRegistries: [quay.io]"), "2:3026 4:3026 5:3026");
    }

    /// What hadolint 2.15.1 says of these values.
    #[test]
    fn formats_are_hadolints() {
        let check = |is_right: fn(&str) -> bool, right: &str, wrong: &str| {
            for value in right.split(' ') {
                assert!(is_right(value), "{value}");
            }
            for value in wrong.split(' ') {
                assert!(!is_right(value), "{value}");
            }
        };
        check(
            is_url,
            "http://x https://x.y/z?q#f mailto:a@b file:///x http: http:// a:b urn:isbn:1 HTTP://x http://[::1]/ a+b:c \
             http://x/%20 http://x:99999/ http://x:/ http://u:p@h/ http://x/* http://x/'(1)' http:///x a:? http://x%20y/",
            "x //x git@github.com:x/y http://x/%zz 1http://x x/y http://x:port/ http://x^ a_b:c http://x/<> http://x/a#b#c \
             http://x?a[b] http://[x]/ http://x/[1] :x http://a@b@c/ http://x:1:2/ $X",
        );
        check(
            is_time,
            "2020-01-01T00:00:00Z 2020-01-01T00:00:00+01:00 2020-01-01T00:00:00.123Z 2020-01-01t00:00:00z 2020-01-01T00:00:60Z \
             2020-01-01T00:00:00+0100 0000-01-01T00:00:00Z 2020-01-01T00:00:00+25:00 2020-01-01T00:00:00.Z 20-01-01T00:00:00Z \
             12020-01-01T00:00:00Z 2020-02-29T00:00:00Z",
            "2020-01-01 2020-13-01T00:00:00Z 2020-01-01T25:00:00Z 2020-02-30T00:00:00Z 2020-01-01T00:00:00 2020-01-01T00:00Z \
             2020-1-1T00:00:00Z 2020-01-01T00:00:61Z 2020-01-01T00:00:00+1:00 2020-01-01T00:00:00+01 2020-01-01T00:00:00UTC \
             2020-01-01T00:00:00,5Z 2021-02-29T00:00:00Z",
        );
        check(
            is_version,
            "1.2.3 01.2.3 1.2.3-rc.1 1.2.3-01 1.2.3+b 1.2.3- 1.2.3-a. 1.2.3+ 1.2.3-+b 99999999999999999999.0.0",
            "1 1.2 1.2.3.4 v1.2.3 1.2.3-a_b 1.2.3-a..b 1.2.3+a+b a.b.c 1..3 -1.2.3",
        );
        check(
            is_email,
            "a@b a.b@c.d a+b@c-d.e a@[1.2.3.4] a@b.c. a'b@c.com a/b@c.com 1@2.com",
            "a @b a@ a@b@c a..b@c.d .a@c.d a@-b.c a@b-.com a@b_.c a@b..com a@.com",
        );
    }
}
