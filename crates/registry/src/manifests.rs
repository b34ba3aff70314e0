//! Manifests: get, head, put.

use hyper::Method;
use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use jettison_image::{Descriptor, Digest, MAX_MANIFEST_SIZE, MediaType, RawManifest, Reference, media_type};
use serde::Deserialize;

use crate::Error;
use crate::body::read_limited;
use crate::endpoint::Endpoint;
use crate::exchange::{Answer, Call, Session};
use crate::retry::{first_of, retrying};
use crate::scope;

/// What we can read. Schema 1 is not among it: a registry that has nothing else says so by its answer.
const ACCEPTED: [&str; 4] =
    [media_type::OCI_INDEX, media_type::OCI_MANIFEST, media_type::DOCKER_INDEX, media_type::DOCKER_MANIFEST];

/// Gets a manifest from the first endpoint that has it.
pub(crate) async fn get(session: &Session, reference: &Reference) -> Result<RawManifest, Error> {
    let endpoints = session.conf.pull_endpoints(reference)?;
    first_of(&reference.to_string(), &endpoints, async |endpoint, last| {
        retrying(last, async || get_from(session, endpoint, reference).await).await
    })
    .await
}

/// Gets a manifest's descriptor from the first endpoint that has it.
pub(crate) async fn head(session: &Session, reference: &Reference) -> Result<Descriptor, Error> {
    let endpoints = session.conf.pull_endpoints(reference)?;
    first_of(&reference.to_string(), &endpoints, async |endpoint, last| {
        retrying(last, async || head_from(session, endpoint, reference).await).await
    })
    .await
}

fn question(method: Method, endpoint: &Endpoint) -> Call {
    let path = endpoint.path(&format!("manifests/{}", name(&endpoint.reference)));
    let call = Call::new(method, path).header(ACCEPT, &ACCEPTED.join(", ")).scopes(&[scope::pull(endpoint)]);
    Call { verified: endpoint.reference.digest().is_some(), ..call }
}

/// The last part of a manifest's path: the digest, which is the stronger promise, else the tag.
fn name(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    }
}

async fn get_from(
    session: &Session,
    endpoint: &Endpoint,
    reference: &Reference,
) -> Result<RawManifest, Error> {
    let answer = session.send(endpoint, question(Method::GET, endpoint)).await?;
    if answer.status() != StatusCode::OK {
        return Err(answer.refusal(endpoint, &reference.to_string()).await);
    }
    let host = answer.host();
    let promised = [endpoint.reference.digest(), digest_header(&answer)];
    let content_type = content_type(&answer);
    let bytes = read_limited(answer.response.into_body(), MAX_MANIFEST_SIZE, &host).await?;
    let actual = Digest::of(&bytes);
    if let Some(expected) = promised.into_iter().flatten().find(|promised| *promised != actual) {
        return Err(Error::DigestMismatch { host, expected, actual });
    }
    let media_type = agree(content_type, &bytes, &host, reference)?;
    Ok(RawManifest { media_type, bytes })
}

async fn head_from(
    session: &Session,
    endpoint: &Endpoint,
    reference: &Reference,
) -> Result<Descriptor, Error> {
    let answer = session.send(endpoint, question(Method::HEAD, endpoint)).await?;
    if answer.status() != StatusCode::OK {
        return Err(answer.refusal(endpoint, &reference.to_string()).await);
    }
    let size = answer.header("content-length").and_then(|size| size.parse::<u64>().ok());
    let media_type = content_type(&answer);
    let digest = endpoint.reference.digest().or_else(|| digest_header(&answer));
    let complete = MediaType::classify(&media_type).is_some();
    match (digest, size.filter(|size| *size > 0)) {
        (Some(digest), Some(size)) if complete => Ok(Descriptor::new(&media_type, digest, size)),
        // Some registries leave headers out of HEAD.
        _ => Ok(get_from(session, endpoint, reference).await?.descriptor()),
    }
}

fn digest_header(answer: &Answer) -> Option<Digest> {
    // Other algorithms than SHA-256 cannot be verified and say nothing here.
    answer.header("docker-content-digest")?.parse().ok()
}

fn content_type(answer: &Answer) -> String {
    let value = answer.header("content-type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Finds the media type on which header and document agree (OCI distribution spec, "Pulling manifests").
fn agree(header: String, bytes: &[u8], host: &str, reference: &Reference) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
        #[serde(rename = "schemaVersion")]
        schema_version: Option<u64>,
    }
    let broken = |why: String| Error::Protocol { host: host.to_owned(), why };
    let probe: Probe = serde_json::from_slice(bytes)
        .map_err(|error| broken(format!("the manifest is not JSON: {error}")))?;
    let image =
        |text: &str| matches!(MediaType::classify(text), Some(MediaType::Manifest | MediaType::Index));
    let media_type = match probe.media_type {
        Some(inside) if image(&header) && inside != header => {
            let inside = crate::answer::clean(&inside);
            return Err(broken(format!("the manifest calls itself \"{inside}\", the answer \"{header}\"")));
        }
        Some(inside) if !image(&header) => inside,
        _ => header,
    };
    match image(&media_type) {
        true => Ok(media_type),
        false => Err(Error::UnsupportedManifest {
            host: host.to_owned(),
            reference: reference.to_string(),
            media_type: match probe.schema_version {
                Some(1) => "application/vnd.docker.distribution.manifest.v1+json".to_owned(),
                _ => crate::answer::clean(&media_type),
            },
        }),
    }
}

/// Puts a manifest under the reference's tag, else under its digest.
pub(crate) async fn put(
    session: &Session,
    reference: &Reference,
    manifest: &RawManifest,
) -> Result<Digest, Error> {
    let endpoint = session.conf.push_endpoint(reference)?;
    let ours = manifest.digest();
    if let Some(expected) = reference.digest().filter(|digest| *digest != ours) {
        let why = format!("the manifest for {reference} has digest {ours}");
        return Err(Error::Source { digest: expected, why });
    }
    let name = endpoint.reference.tag().map_or_else(|| ours.to_string(), str::to_owned);
    retrying(true, async || {
        let call = Call::new(Method::PUT, endpoint.path(&format!("manifests/{name}")));
        let mut call = call.header(CONTENT_TYPE, &manifest.media_type).scopes(&[scope::push(&endpoint)]);
        call.set_body(manifest.bytes.clone().into());
        let answer = session.send(&endpoint, call).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal(&endpoint, &reference.to_string()).await);
        }
        match digest_header(&answer) {
            Some(theirs) if theirs != ours => {
                Err(Error::DigestMismatch { host: answer.host(), expected: ours, actual: theirs })
            }
            _ => Ok(ours),
        }
    })
    .await
}
