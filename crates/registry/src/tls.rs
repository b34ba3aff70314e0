//! Which certificates are trusted: the system's roots, `certs.d`, or, for insecure registries, any.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::{Error, Settings};

/// What `certs.d` has for one host (docker: "Verify repository client with certificates").
#[derive(Debug, Default)]
pub(crate) struct HostCertificates {
    /// From `*.crt`.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// From a `*.cert` and the `*.key` of the same name.
    pub(crate) client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// Finds the `certs.d` folder of `host[:port]`.
pub(crate) fn host_folder(settings: &Settings, host: &str) -> Option<PathBuf> {
    // A host comes from a reference or registries.conf; neither lets it climb, but this is where it would matter.
    if host.is_empty() || host.starts_with('.') || host.contains('/') {
        return None;
    }
    settings.certs_dirs.iter().map(|folder| folder.join(host)).find(|folder| folder.is_dir())
}

/// Reads a folder of `certs.d`.
pub(crate) fn read_host_folder(folder: &Path) -> Result<HostCertificates, Error> {
    let io = |source| Error::File { path: folder.to_owned(), source };
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).map_err(io)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let mut found = HostCertificates::default();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(read_certificates(&file)?),
            Some("cert") => {
                let key_file = file.with_extension("key");
                let key =
                    PrivateKeyDer::from_pem_file(&key_file).map_err(|source| bad_pem(&key_file, source))?;
                found.client = Some((read_certificates(&file)?, key));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).and_then(|certificates| certificates.collect());
    let certificates = certificates.map_err(|source| bad_pem(file, source))?;
    match certificates.is_empty() {
        true => Err(Error::Config {
            path: file.to_owned(),
            line: None,
            why: "there is no certificate in it".into(),
        }),
        false => Ok(certificates),
    }
}

fn bad_pem(file: &Path, source: rustls::pki_types::pem::Error) -> Error {
    match source {
        rustls::pki_types::pem::Error::Io(source) => Error::File { path: file.to_owned(), source },
        other => Error::Config { path: file.to_owned(), line: None, why: other.to_string() },
    }
}

/// Collects the roots that are trusted for every host: `$SSL_CERT_FILE` and `$SSL_CERT_DIR`, else the system's, else,
/// in an image that has none, Mozilla's as they were when this program was built.
pub(crate) fn roots(settings: &Settings) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    let chosen = settings.ssl_cert_file.is_some() || !settings.ssl_cert_dirs.is_empty();
    if let Some(file) = &settings.ssl_cert_file {
        store.add_parsable_certificates(read_certificates(file)?);
    }
    for folder in &settings.ssl_cert_dirs {
        store.add_parsable_certificates(rustls_native_certs::load_certs_from_paths(None, Some(folder)).certs);
    }
    if !chosen {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if !chosen && store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(store)
}

/// Makes the TLS configuration for a host with `roots` and its own certificates, or without any check.
pub(crate) fn config(
    roots: &RootCertStore,
    host: HostCertificates,
    insecure: bool,
    name: &str,
) -> Result<ClientConfig, Error> {
    let tls = |error: rustls::Error| Error::Tls { host: name.to_owned(), why: error.to_string() };
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        let mut roots = roots.clone();
        for authority in host.authorities {
            roots.add(authority).map_err(tls)?;
        }
        builder.with_root_certificates(roots)
    };
    match host.client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(tls),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Trusts any certificate, for registries that `registries.conf` calls insecure.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
