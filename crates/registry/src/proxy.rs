//! Which proxy leads to a host.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::http::HeaderValue;

use crate::Error;
use crate::settings::ProxySettings;
use crate::url::percent_decode;

/// The proxies of the settings, checked.
#[derive(Default)]
pub(crate) struct ProxyRules {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Direct>,
}

/// One proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// `http`, `https`, `socks5` or `socks5h`, host and port.
    pub(crate) uri: Uri,
    /// Name and password.
    pub(crate) user: Option<(String, String)>,
}

/// One entry of `NO_PROXY`.
struct Direct {
    host: DirectHost,
    port: Option<u16>,
}

enum DirectHost {
    Any,
    /// A name without leading dot; its subdomains count too, and with a leading dot only they do.
    Name {
        name: String,
        itself: bool,
    },
    Net {
        address: IpAddr,
        bits: u32,
    },
}

impl ProxyRules {
    /// Reads the proxy settings; a proxy that cannot be used is an error, not a direct connection.
    pub(crate) fn new(settings: &ProxySettings) -> Result<ProxyRules, Error> {
        let all = Proxy::parse(&settings.all)?;
        Ok(ProxyRules {
            http: Proxy::parse(&settings.http)?.or_else(|| all.clone()),
            https: Proxy::parse(&settings.https)?.or(all),
            direct: settings.no.split(',').filter_map(|entry| Direct::parse(entry.trim())).collect(),
        })
    }

    /// Returns the proxy that leads to `target`, or `None` to go there directly.
    pub(crate) fn find(&self, target: &Uri) -> Option<&Proxy> {
        let tls = target.scheme_str() == Some("https");
        let proxy = if tls { self.https.as_ref()? } else { self.http.as_ref()? };
        let host = target.host()?.trim_start_matches('[').trim_end_matches(']');
        let port = target.port_u16().unwrap_or(if tls { 443 } else { 80 });
        // Go's httpproxy never sends these through a proxy either.
        if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
            return None;
        }
        let direct = self.direct.iter().any(|entry| entry.matches(host, port));
        (!direct).then_some(proxy)
    }
}

impl Proxy {
    fn parse(text: &str) -> Result<Option<Proxy>, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
        let bad = |why| Error::Proxy { proxy: shown.to_owned(), why };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !matches!(scheme, "http" | "https" | "socks5" | "socks5h") {
            return Err(bad("its scheme is none of http, https, socks5, socks5h"));
        }
        let authority = rest.split('/').next().unwrap_or(rest);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.split_once(':').unwrap_or((user, ""))), host),
            None => (None, authority),
        };
        let uri: Uri = format!("{scheme}://{host}/").parse().map_err(|_| bad("it is not a URL"))?;
        let port = if scheme.starts_with("socks") && uri.port().is_none() { ":1080" } else { "" };
        let uri = format!("{scheme}://{host}{port}/").parse().unwrap_or(uri);
        let user = user.map(|(name, password)| (percent_decode(name), percent_decode(password)));
        Ok(Some(Proxy { uri, user }))
    }

    /// Tells whether it speaks SOCKS 5 rather than HTTP.
    pub(crate) fn is_socks(&self) -> bool {
        self.uri.scheme_str().is_some_and(|scheme| scheme.starts_with("socks"))
    }

    /// The value of `Proxy-Authorization`, if the proxy has a user.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        if self.is_socks() {
            return None;
        }
        let (name, password) = self.user.as_ref()?;
        let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Direct {
    fn parse(entry: &str) -> Option<Direct> {
        if entry.is_empty() {
            return None;
        }
        if entry == "*" {
            return Some(Direct { host: DirectHost::Any, port: None });
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let (address, bits) = (address.parse().ok()?, bits.parse().ok()?);
            return Some(Direct { host: DirectHost::Net { address, bits }, port: None });
        }
        let whole: Option<IpAddr> = entry.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if whole.is_none() => (host, Some(port.parse().ok()?)),
            _ => (entry, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = match host.parse::<IpAddr>() {
            Ok(address) => DirectHost::Net { address, bits: if address.is_ipv4() { 32 } else { 128 } },
            Err(_) => {
                let name = host.strip_prefix('*').unwrap_or(host);
                let bare = name.strip_prefix('.').unwrap_or(name);
                DirectHost::Name { name: bare.to_ascii_lowercase(), itself: bare.len() == name.len() }
            }
        };
        Some(Direct { host, port })
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        match &self.host {
            DirectHost::Any => true,
            DirectHost::Name { name, itself } => {
                let host = host.to_ascii_lowercase();
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.ends_with('.') || *itself && above.is_empty())
            }
            DirectHost::Net { address, bits } => host.parse().is_ok_and(|host| in_net(host, *address, *bits)),
        }
    }
}

fn in_net(host: IpAddr, net: IpAddr, bits: u32) -> bool {
    match (host, net) {
        (IpAddr::V4(host), IpAddr::V4(net)) if bits <= 32 => {
            let apart = u32::from(host) ^ u32::from(net);
            apart.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(host), IpAddr::V6(net)) if bits <= 128 => {
            let apart = u128::from(host) ^ u128::from(net);
            apart.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_domains_and_nets() {
        let rules = ProxyRules::new(&ProxySettings {
            https: "http://me:p%40ss@proxy:3128".into(),
            http: String::new(),
            all: String::new(),
            no: "example.com, .internal,10.0.0.0/8, reg:5000,fd00::1,192.168.1.7:443".into(),
        })
        .unwrap();
        for (target, proxied) in [
            ("https://docker.io/", true),
            ("https://example.com/", false),
            ("https://a.example.com/", false),
            ("https://notexample.com/", true),
            ("https://internal/", true),
            ("https://a.internal/", false),
            ("https://10.1.2.3/", false),
            ("https://11.1.2.3/", true),
            ("https://reg:5000/", false),
            ("https://reg/", true),
            ("https://[fd00::1]/", false),
            ("https://192.168.1.7/", false),
            ("https://192.168.1.7:8443/", true),
            ("https://127.0.0.1:5000/", false),
            ("https://localhost/", false),
            ("http://docker.io/", false),
        ] {
            assert_eq!(rules.find(&target.parse().unwrap()).is_some(), proxied, "{target}");
        }
        let proxy = rules.https.unwrap();
        assert_eq!(proxy.uri, "http://proxy:3128/");
        assert_eq!(proxy.user, Some(("me".into(), "p@ss".into())));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_without_its_password() {
        let settings = ProxySettings { all: "ftp://me:secret@proxy".into(), ..ProxySettings::default() };
        let text = ProxyRules::new(&settings).err().unwrap().to_string();
        assert!(text.contains("proxy") && !text.contains("secret"), "{text}");
    }
}
