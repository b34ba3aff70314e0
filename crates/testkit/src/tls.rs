//! A certificate authority of one test, and one server certificate for loopback.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::tools;

/// A self-made authority and a certificate for `127.0.0.1` and `localhost` that it signed.
pub struct Certificate {
    folder: TempDir,
}

impl Default for Certificate {
    fn default() -> Certificate {
        Certificate::new()
    }
}

impl Certificate {
    /// Makes a new authority and certificate with openssl.
    pub fn new() -> Certificate {
        let made = Certificate { folder: tempfile::tempdir().unwrap() };
        let path = |name: &str| made.folder.path().join(name).display().to_string();
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=test authority"];
        let basic = ["-addext", "keyUsage=critical,keyCertSign"];
        let out = ["-keyout".to_owned(), path("ca.key"), "-out".to_owned(), path("ca.crt")];
        tools::run("openssl", strings(&[&authority, &ec, &basic]).into_iter().chain(out));

        let request = ["req", "-subj", "/CN=127.0.0.1"];
        let out = ["-keyout".to_owned(), path("server.key"), "-out".to_owned(), path("server.csr")];
        tools::run("openssl", strings(&[&request, &ec]).into_iter().chain(out));
        std::fs::write(path("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
        tools::run(
            "openssl",
            [
                "x509",
                "-req",
                "-days",
                "2",
                "-CAcreateserial",
                "-in",
                &path("server.csr"),
                "-CA",
                &path("ca.crt"),
                "-CAkey",
                &path("ca.key"),
                "-extfile",
                &path("san"),
                "-out",
                &path("server.crt"),
            ],
        );
        made
    }

    /// Returns the authority's certificate, PEM: what a client must trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Returns the server's certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    /// Returns the server's private key, PEM.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }

    /// Returns the folder of all of them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn strings(groups: &[&[&str]]) -> Vec<String> {
    groups.concat().into_iter().map(str::to_owned).collect()
}
