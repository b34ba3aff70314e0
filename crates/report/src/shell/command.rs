//! One command of a script.

/// A command and its words, quotes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    /// The program: what follows `command`, `exec` and the like, else the first word.
    pub name: String,
    /// The words after the first.
    pub arguments: Vec<String>,
}

impl ShellCommand {
    pub(super) fn new(first: String, arguments: Vec<String>) -> ShellCommand {
        let name = match first.as_str() {
            "busybox" | "builtin" | "command" => arguments.first().filter(|word| !word.starts_with('-')),
            "exec" => arguments.iter().find(|word| !word.starts_with('-')),
            _ => None,
        };
        ShellCommand { name: name.cloned().unwrap_or(first), arguments }
    }

    /// Tells whether the program is `name` and one of `arguments` is given.
    pub fn is(&self, name: &str, arguments: &[&str]) -> bool {
        self.name == name && self.has_argument(arguments)
    }

    /// Tells whether one of `arguments` is given.
    pub fn has_argument(&self, arguments: &[&str]) -> bool {
        self.arguments.iter().any(|own| arguments.contains(&own.as_str()))
    }

    /// Tells whether one of `flags` is given: names of long options without `--`, or letters.
    pub fn has_flag(&self, flags: &[&str]) -> bool {
        self.arguments.iter().any(|word| is_flag_of(word, flags))
    }

    /// Returns how often a letter is given.
    pub fn count_flag(&self, letter: char) -> usize {
        let short = self.arguments.iter().filter(|word| is_flag(word) && !word.starts_with("--"));
        short.map(|word| word[1..].matches(letter).count()).sum()
    }

    /// Returns the arguments that are no flags.
    pub fn operands(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(String::as_str).filter(|word| !is_flag(word))
    }

    /// Returns the arguments that are no flags and no values of one of `flags`.
    pub fn operands_beside(&self, flags: &[&str]) -> Vec<&str> {
        // What has its value after `=` has no other.
        let after_flag = |at: usize| {
            let before = at.checked_sub(1).map(|before| &self.arguments[before]);
            before.is_some_and(|word| is_flag_of(word, flags) && !word.contains('='))
        };
        let words = self.arguments.iter().enumerate();
        words.filter(|(at, word)| !is_flag(word) && !after_flag(*at)).map(|(_, word)| word.as_str()).collect()
    }
}

/// Tells whether a word is an option; `-` and `--` are none.
fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word != "-" && word != "--"
}

fn is_flag_of(word: &str, flags: &[&str]) -> bool {
    if !is_flag(word) {
        return false;
    }
    match word.strip_prefix("--") {
        Some(long) => flags.contains(&long.split('=').next().unwrap_or(long)),
        None => flags.iter().any(|flag| flag.chars().count() == 1 && word[1..].contains(*flag)),
    }
}
