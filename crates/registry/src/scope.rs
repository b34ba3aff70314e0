//! What a token allows: `repository:NAME:ACTIONS` (distribution: docs/spec/auth/scope).

use crate::endpoint::Endpoint;

/// To pull from the endpoint's repository.
pub(crate) fn pull(endpoint: &Endpoint) -> String {
    format!("repository:{}:pull", endpoint.reference.repository())
}

/// To push to the endpoint's repository, and to see what is there.
pub(crate) fn push(endpoint: &Endpoint) -> String {
    format!("repository:{}:pull,push", endpoint.reference.repository())
}

/// To mount blobs from another repository of the same registry.
pub(crate) fn mount(repository: &str) -> String {
    format!("repository:{repository}:pull")
}
