//! OCI distribution client: references to endpoints, auth, mirrors, pull, push; and files of plain web servers.
//!
//! Start with [`Client`]; [`Settings`] says what it reads. This is the only async crate, and only inside: every call
//! blocks. It knows nothing of stores, layers or Dockerfiles; blobs go to a [`BlobSink`] and come from a reader.
//!
//! The rules are those of the OCI distribution spec 1.1, of distribution's token authentication, of docker's
//! `config.json`, and of containers/image for `registries.conf`, `auth.json` and `certs.d`.

mod answer;
mod auth;
mod body;
mod cancel;
mod challenge;
mod client;
mod connector;
pub mod credentials;
mod download;
mod endpoint;
mod error;
mod exchange;
mod http_date;
mod manifests;
mod proxy;
mod registries_conf;
mod retry;
mod scope;
mod settings;
mod tls;
mod transport;
mod upload;
mod url;
mod web;

pub use cancel::Cancel;
pub use client::Client;
pub use download::BlobSink;
pub use error::{BoxError, Error};
pub use settings::{ProxySettings, RegistriesConfPaths, Settings};
pub use upload::{OpenBlob, Pushed};
pub use web::{Fetched, Version, WebFile};
