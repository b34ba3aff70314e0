//! The names of the instructions.

/// An instruction's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
}

/// All instructions with their names.
const KEYWORDS: [(&str, Keyword); 18] = [
    ("ADD", Keyword::Add),
    ("ARG", Keyword::Arg),
    ("CMD", Keyword::Cmd),
    ("COPY", Keyword::Copy),
    ("ENTRYPOINT", Keyword::Entrypoint),
    ("ENV", Keyword::Env),
    ("EXPOSE", Keyword::Expose),
    ("FROM", Keyword::From),
    ("HEALTHCHECK", Keyword::Healthcheck),
    ("LABEL", Keyword::Label),
    ("MAINTAINER", Keyword::Maintainer),
    ("ONBUILD", Keyword::Onbuild),
    ("RUN", Keyword::Run),
    ("SHELL", Keyword::Shell),
    ("STOPSIGNAL", Keyword::StopSignal),
    ("USER", Keyword::User),
    ("VOLUME", Keyword::Volume),
    ("WORKDIR", Keyword::Workdir),
];

impl Keyword {
    /// Reads a name, in any case.
    pub(crate) fn parse(word: &str) -> Option<Keyword> {
        KEYWORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, keyword)| *keyword)
    }

    /// Returns the name in upper case.
    pub(crate) fn name(self) -> &'static str {
        KEYWORDS.iter().find(|(_, keyword)| *keyword == self).map_or("", |(name, _)| name)
    }

    /// Suggests the name that an unknown word may mean, in the word's case.
    pub(crate) fn nearest(word: &str) -> Option<String> {
        let names = KEYWORDS.map(|(name, _)| name);
        let name = crate::suggest::nearest(&word.to_uppercase(), &names)?;
        match word.chars().any(char::is_uppercase) {
            true => Some(name.to_owned()),
            false => Some(name.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        for (name, keyword) in KEYWORDS {
            assert_eq!(Keyword::parse(name), Some(keyword));
            assert_eq!(Keyword::parse(&name.to_lowercase()), Some(keyword));
            assert_eq!(keyword.name(), name);
        }
        assert_eq!(Keyword::parse("FORM"), None);
    }

    #[test]
    fn suggestions_keep_the_case() {
        assert_eq!(Keyword::nearest("FORM").as_deref(), Some("FROM"));
        assert_eq!(Keyword::nearest("cpoy").as_deref(), Some("copy"));
        assert_eq!(Keyword::nearest("BOGUS"), None);
    }
}
