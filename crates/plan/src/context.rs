//! Names of named contexts.

use jettison_image::Reference;

/// Returns the form under which a named context and what it replaces meet: references in docker's familiar form
/// without `:latest`, other names in lower case. BuildKit: `dockerui/namedcontext.go`.
pub fn context_key(name: &str) -> String {
    match Reference::parse_untagged(&name.to_lowercase()) {
        Ok(reference) => {
            let familiar = reference.familiar();
            familiar.strip_suffix(":latest").map(str::to_owned).unwrap_or(familiar)
        }
        Err(_) => name.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::context_key;

    #[test]
    fn latest_and_library_do_not_count() {
        for same in ["alpine", "alpine:latest", "docker.io/library/alpine", "ALPINE"] {
            assert_eq!(context_key(same), "alpine");
        }
        assert_eq!(context_key("alpine:3.18"), "alpine:3.18");
        assert_eq!(context_key("my_stage"), "my_stage");
    }
}
