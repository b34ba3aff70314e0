//! YAML as settings are written in it: scalars, lists and mappings. Aliases are refused: a few of them make any size.

use saphyr_parser::{Event, Parser};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A scalar of any style, as text.
    Scalar(String),
    List(Vec<Node>),
    /// Pairs in the order of the text, and, while it is read, the key that has no value yet.
    Map(Vec<(String, Node)>, Option<String>),
}

impl Node {
    /// Returns the value of a key of a mapping; the last of several.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Node::Map(pairs, _) = self else { return None };
        pairs.iter().rev().find(|(own, _)| own == key).map(|(_, value)| value)
    }
}

/// Reads the first document of a text; `None` where there is none.
pub(super) fn parse(text: &str) -> Result<Option<Node>, String> {
    let mut open: Vec<Node> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let done = match event {
            Event::SequenceStart(..) => {
                open.push(Node::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Node::Map(Vec::new(), None));
                continue;
            }
            Event::Scalar(value, ..) => Node::Scalar(value.into_owned()),
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(node) => node,
                None => continue,
            },
            Event::Alias(_) => return Err(format!("line {}: aliases are not supported", span.start.line())),
            _ => continue,
        };
        match (open.last_mut(), done) {
            (None, node) => return Ok(Some(node)),
            (Some(Node::List(nodes)), node) => nodes.push(node),
            (Some(Node::Map(pairs, key)), node) => match (key.take(), node) {
                (Some(key), node) => pairs.push((key, node)),
                (None, Node::Scalar(text)) => *key = Some(text),
                (None, _) => return Err(format!("line {}: a key is no text", span.start.line())),
            },
            (Some(Node::Scalar(_)), _) => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_nest_and_aliases_are_refused() {
        let node = parse("# c\na: [x, 'y']\nb:\n  - {c: d}\n").unwrap().unwrap();
        let scalar = |text: &str| Node::Scalar(text.to_owned());
        assert_eq!(node.get("a"), Some(&Node::List(vec![scalar("x"), scalar("y")])));
        let inner = Node::Map(vec![("c".to_owned(), scalar("d"))], None);
        assert_eq!(node.get("b"), Some(&Node::List(vec![inner])));
        assert_eq!(parse("# nothing\n"), Ok(None));
        assert!(parse("a: &x [1]\nb: *x\n").unwrap_err().contains("line 2"));
        assert!(parse("a: [\n").is_err());
        assert!(parse("? [a]\n: b\n").is_err());
        // Depth costs heap, no stack.
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
