//! The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and literals. BuildKit turns them into regular
//! expressions in which `.` stands for all but a newline; so do the wildcards here.

use super::Reason;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    Char(char),
}

/// A parsed pattern.
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

/// The states of the automaton that runs over a text: state `i` is "tokens before `i` are matched".
struct States {
    now: Vec<bool>,
    next: Vec<bool>,
}

impl Pattern {
    /// Parses a pattern. A backslash may stand before `*`, `?`, `\`, and before `}` and `/`, which would end it.
    pub(super) fn parse(text: &str) -> Result<Pattern, Reason> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let token = match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Char(escaped),
                    other => {
                        let character = other.map(String::from).unwrap_or_default();
                        return Err(Reason::InvalidPattern { pattern: text.to_owned(), character });
                    }
                },
                c => Token::Char(c),
            };
            // A second star adds nothing but work.
            if token != Token::Star || tokens.last() != Some(&Token::Star) {
                tokens.push(token);
            }
        }
        Ok(Pattern { tokens })
    }

    /// How many steps a match in `value` takes at the most, about.
    pub(super) fn work(&self, value: &str) -> usize {
        self.tokens.len().saturating_mul(value.len())
    }

    /// Removes the longest or shortest match at the start of the value.
    pub(super) fn trim_prefix(&self, value: &str, longest: bool) -> String {
        let end = self.match_at(value.char_indices().map(|(at, c)| (at + c.len_utf8(), c)), longest);
        value[end.unwrap_or(0)..].to_owned()
    }

    /// Removes the longest or shortest match at the end of the value.
    pub(super) fn trim_suffix(&self, value: &str, longest: bool) -> String {
        let reversed = Pattern { tokens: self.tokens.iter().rev().copied().collect() };
        let length = reversed
            .match_at(value.char_indices().rev().map(|(at, c)| (value.len() - at, c)), longest)
            .unwrap_or(0);
        value[..value.len() - length].to_owned()
    }

    /// Replaces the first match, or all matches; at each place the longest one.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool) -> Result<String, Reason> {
        let starts = self.starts(value);
        let mut result = String::new();
        let (mut at, mut last_end) = (0, None);
        while at <= value.len() {
            let matched = starts[at].then(|| self.longest_from(value, at)).flatten();
            // As in Go's regexp, an empty match directly after a match is none.
            if let Some(end) = matched.filter(|end| *end > at || last_end != Some(at)) {
                result.push_str(replacement);
                if result.len() > super::MAX_EXPANSION {
                    return Err(Reason::TooLarge("the expanded text is larger than 16 MiB"));
                }
                if !all {
                    result.push_str(&value[end..]);
                    return Ok(result);
                }
                last_end = Some(end);
                if end > at {
                    at = end;
                    continue;
                }
            }
            let Some(c) = value[at..].chars().next() else { break };
            result.push(c);
            at += c.len_utf8();
        }
        Ok(result)
    }

    fn longest_from(&self, value: &str, at: usize) -> Option<usize> {
        self.match_at(value[at..].char_indices().map(|(i, c)| (at + i + c.len_utf8(), c)), true)
            .map(|end| end.max(at))
    }

    /// Runs over characters, each with the position after it, and gives where a match ends (0: before the first).
    fn match_at(&self, chars: impl Iterator<Item = (usize, char)>, longest: bool) -> Option<usize> {
        let mut states = States::new(self);
        let mut found = states.accepts().then_some(0);
        if found.is_some() && !longest {
            return found;
        }
        for (end, c) in chars {
            if !states.step(self, c) {
                break;
            }
            if states.accepts() {
                found = Some(end);
                if !longest {
                    break;
                }
            }
        }
        found
    }

    /// Finds at which byte positions a match can start, by running the reversed pattern from the end, a new run at
    /// every position. Without it a search for `a*b` would scan to the end for each `a`.
    fn starts(&self, value: &str) -> Vec<bool> {
        let reversed = Pattern { tokens: self.tokens.iter().rev().copied().collect() };
        let mut starts = vec![false; value.len() + 1];
        let mut states = States::new(&reversed);
        starts[value.len()] = states.accepts();
        for (at, c) in value.char_indices().rev() {
            states.step(&reversed, c);
            states.begin(&reversed);
            starts[at] = states.accepts();
        }
        starts
    }
}

impl States {
    fn new(pattern: &Pattern) -> States {
        let size = pattern.tokens.len() + 1;
        let mut states = States { now: vec![false; size], next: vec![false; size] };
        states.begin(pattern);
        states
    }

    /// Starts one more match here.
    fn begin(&mut self, pattern: &Pattern) {
        enter(&mut self.now, pattern, 0);
    }

    fn accepts(&self) -> bool {
        self.now.last() == Some(&true)
    }

    /// Takes a character; says whether any match is still possible.
    fn step(&mut self, pattern: &Pattern, c: char) -> bool {
        self.next.fill(false);
        let mut alive = false;
        for (i, token) in pattern.tokens.iter().enumerate().filter(|(i, _)| self.now[*i]) {
            let target = match token {
                Token::Star if c != '\n' => i,
                Token::Any if c != '\n' => i + 1,
                Token::Char(wanted) if *wanted == c => i + 1,
                _ => continue,
            };
            enter(&mut self.next, pattern, target);
            alive = true;
        }
        std::mem::swap(&mut self.now, &mut self.next);
        alive
    }
}

/// Enters a state, and those that a star lets reach without a character.
fn enter(states: &mut [bool], pattern: &Pattern, state: usize) {
    let mut state = state;
    while !states[state] {
        states[state] = true;
        if pattern.tokens.get(state) != Some(&Token::Star) {
            break;
        }
        state += 1;
    }
}
