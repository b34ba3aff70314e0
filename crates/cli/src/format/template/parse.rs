//! From text to nodes.

use serde_json::Value;

use super::{Node, Pipeline, TemplateError, Term, error};

/// How deep blocks and parentheses may nest.
const MAX_DEPTH: usize = 50;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let pieces = split(text)?;
    let mut rest = pieces.as_slice();
    let (nodes, end) = block(&mut rest, 0)?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(error(format!("unexpected {{{{{end}}}}}"))),
    }
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// Cuts a template into texts and actions; `{{-` and `-}}` take the white space beside them.
fn split(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    loop {
        let (before, action) = match rest.split_once("{{") {
            Some((before, action)) => (before, Some(action)),
            None => (rest, None),
        };
        let before = if trim { before.trim_start() } else { before };
        let Some(action) = action else {
            pieces.push(Piece::Text(before.to_owned()));
            return Ok(pieces);
        };
        let (before, action) = match action.strip_prefix("- ") {
            Some(action) => (before.trim_end(), action),
            None => (before, action),
        };
        pieces.push(Piece::Text(before.to_owned()));
        let end = end_of_action(action).ok_or_else(|| error("unclosed action: \"}}\" is missing"))?;
        let inside = &action[..end];
        rest = &action[end + 2..];
        trim = inside.ends_with(" -");
        let inside = if trim { &inside[..inside.len() - 2] } else { inside };
        if !inside.trim_start().starts_with("/*") {
            pieces.push(Piece::Action(tokens(inside)?));
        }
    }
}

/// Finds the `}}` that is not in a text.
fn end_of_action(action: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in action.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None if action[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// `.A.B`
    Field(Vec<String>),
    /// `$.A.B`
    Root(Vec<String>),
    Literal(Value),
    Word(String),
    Pipe,
    Open,
    Close,
    /// `)` directly followed by a field.
    CloseField(Vec<String>),
}

fn tokens(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, tail) = match first {
            '|' => (Token::Pipe, &rest[1..]),
            '(' => (Token::Open, &rest[1..]),
            ')' => {
                let (path, tail) = fields(&rest[1..])?;
                (if path.is_empty() { Token::Close } else { Token::CloseField(path) }, tail)
            }
            '.' => {
                let (path, tail) = fields(rest)?;
                (Token::Field(path), if rest == "." || tail == rest { &rest[1..] } else { tail })
            }
            '$' => {
                let (path, tail) = fields(&rest[1..])?;
                if tail.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                    return Err(error("variables are not supported"));
                }
                (Token::Root(path), tail)
            }
            '"' | '`' => quoted(rest)?,
            _ => word(rest)?,
        };
        tokens.push(token);
        rest = tail.trim_start();
    }
    Ok(tokens)
}

/// Reads `.A.B`; nothing if the text does not go on with a field.
fn fields(text: &str) -> Result<(Vec<String>, &str), TemplateError> {
    let mut path = Vec::new();
    let mut rest = text;
    while let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
        if end == 0 {
            break;
        }
        path.push(after[..end].to_owned());
        rest = &after[end..];
    }
    Ok((path, rest))
}

fn quoted(text: &str) -> Result<(Token, &str), TemplateError> {
    if let Some(raw) = text.strip_prefix('`') {
        let (inside, tail) = raw.split_once('`').ok_or_else(|| error("unterminated raw text"))?;
        return Ok((Token::Literal(inside.into()), tail));
    }
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Literal(value.into()), &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, 't')) => '\t',
                Some((_, c @ ('"' | '\\'))) => c,
                _ => return Err(error("unknown escape in a text")),
            }),
            c => value.push(c),
        }
    }
    Err(error("unterminated text"))
}

fn word(text: &str) -> Result<(Token, &str), TemplateError> {
    let end = text.find(|c: char| c.is_whitespace() || "|().\"`".contains(c)).unwrap_or(text.len());
    let (word, tail) = text.split_at(end);
    let token = match word {
        "" => return Err(error(format!("unexpected \"{}\"", text.escape_debug()))),
        "true" => Token::Literal(true.into()),
        "false" => Token::Literal(false.into()),
        "nil" => Token::Literal(Value::Null),
        _ => match word.parse::<i64>() {
            Ok(number) => Token::Literal(number.into()),
            Err(_) if word.contains(":=") || word.starts_with(',') => {
                return Err(error("variables are not supported"));
            }
            Err(_) => Token::Word(word.to_owned()),
        },
    };
    Ok((token, tail))
}

/// Reads nodes until `end`, `else` or the end of the text; returns which of them it was.
fn block(rest: &mut &[Piece], depth: usize) -> Result<(Vec<Node>, Option<String>), TemplateError> {
    if depth > MAX_DEPTH {
        return Err(error("blocks nest too deep"));
    }
    let mut nodes = Vec::new();
    while let Some((piece, tail)) = rest.split_first() {
        *rest = tail;
        let action = match piece {
            Piece::Text(text) => {
                if !text.is_empty() {
                    nodes.push(Node::Text(text.clone()));
                }
                continue;
            }
            Piece::Action(tokens) => tokens.as_slice(),
        };
        let keyword = match action.first() {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        match keyword {
            "end" => return Ok((nodes, Some("end".to_owned()))),
            "else" if action.len() > 1 => return Err(error("\"else if\" is not supported")),
            "else" => return Ok((nodes, Some("else".to_owned()))),
            "if" | "with" | "range" => nodes.push(control(keyword, &action[1..], rest, depth)?),
            "define" | "template" | "block" | "break" | "continue" => {
                return Err(error(format!("\"{keyword}\" is not supported")));
            }
            _ => nodes.push(Node::Print(pipeline(action, depth)?)),
        }
    }
    Ok((nodes, None))
}

fn control(
    keyword: &str,
    action: &[Token],
    rest: &mut &[Piece],
    depth: usize,
) -> Result<Node, TemplateError> {
    let head = pipeline(action, depth)?;
    let (then, end) = block(rest, depth + 1)?;
    let (otherwise, end) = match end.as_deref() {
        Some("else") => block(rest, depth + 1)?,
        _ => (Vec::new(), end),
    };
    if end.as_deref() != Some("end") {
        return Err(error(format!("{{{{end}}}} of \"{keyword}\" is missing")));
    }
    Ok(match keyword {
        "if" => Node::If { condition: head, then, otherwise },
        "with" => Node::With { value: head, then, otherwise },
        _ => Node::Range { list: head, each: then, otherwise },
    })
}

fn pipeline(tokens: &[Token], depth: usize) -> Result<Pipeline, TemplateError> {
    let mut rest = tokens;
    let pipeline = commands(&mut rest, depth)?;
    if rest.is_empty() { Ok(pipeline) } else { Err(error("unexpected \")\"")) }
}

/// Reads commands up to a closing parenthesis, which stays.
fn commands(rest: &mut &[Token], depth: usize) -> Result<Pipeline, TemplateError> {
    if depth > MAX_DEPTH {
        return Err(error("parentheses nest too deep"));
    }
    let mut commands = vec![Vec::new()];
    while let Some((token, tail)) = rest.split_first() {
        let term = match token {
            Token::Close | Token::CloseField(_) => break,
            Token::Pipe => {
                *rest = tail;
                commands.push(Vec::new());
                continue;
            }
            Token::Open => {
                *rest = tail;
                let inner = self::commands(rest, depth + 1)?;
                let path = match rest.first() {
                    Some(Token::Close) => Vec::new(),
                    Some(Token::CloseField(path)) => path.clone(),
                    _ => return Err(error("\")\" is missing")),
                };
                *rest = &rest[1..];
                push(&mut commands, Term::Group(inner, path));
                continue;
            }
            Token::Field(path) => Term::Field(path.clone()),
            Token::Root(path) => Term::Root(path.clone()),
            Token::Literal(value) => Term::Literal(value.clone()),
            Token::Word(name) => Term::Function(name.clone()),
        };
        *rest = tail;
        push(&mut commands, term);
    }
    if commands.iter().any(Vec::is_empty) {
        return Err(error("an action is empty"));
    }
    Ok(commands)
}

fn push(commands: &mut [Vec<Term>], term: Term) {
    if let Some(last) = commands.last_mut() {
        last.push(term);
    }
}
