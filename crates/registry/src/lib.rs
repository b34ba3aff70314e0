//! OCI distribution client: endpoints, auth, mirrors, pull, push.
