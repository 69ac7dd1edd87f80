//! Values that stand on the page: texts, numbers, `None`, and tuples and lists of them.

use super::tokens::{Token, TokenKind, text_prefix};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `None`.
    None,
    /// A number, or `True` or `False`.
    Number,
    /// A text; parts that stand side by side are one.
    Text(String),
    /// A tuple.
    Tuple(Vec<Literal>),
    /// A list.
    List(Vec<Literal>),
}

/// The value of an expression, if it is a literal through and through.
pub fn value(text: &str, tokens: &[Token]) -> Option<Literal> {
    let mut reader = Reader { text, tokens, at: 0 };
    let value = reader.sequence(0)?;
    (reader.at == tokens.len()).then_some(value)
}

const DEEPEST: usize = 20;

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(|token| token.of(self.text))
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.peek() == Some(sign);
        self.at += usize::from(found);
        found
    }

    /// One value, or several with commas between them, which are a tuple.
    fn sequence(&mut self, depth: usize) -> Option<Literal> {
        let first = self.single(depth)?;
        if self.peek() != Some(",") {
            return Some(first);
        }
        let mut items = vec![first];
        while self.take(",") {
            match self.peek() {
                None | Some(")") => break,
                _ => items.push(self.single(depth)?),
            }
        }
        Some(Literal::Tuple(items))
    }

    fn single(&mut self, depth: usize) -> Option<Literal> {
        if depth > DEEPEST {
            return None;
        }
        let token = self.tokens.get(self.at)?;
        match (token.kind, token.of(self.text)) {
            (TokenKind::Text, _) => self.texts(),
            (TokenKind::Number, _) | (TokenKind::Name, "True" | "False") => {
                self.at += 1;
                Some(Literal::Number)
            }
            (TokenKind::Name, "None") => {
                self.at += 1;
                Some(Literal::None)
            }
            (TokenKind::Sign, "(") => {
                self.at += 1;
                if self.take(")") {
                    return Some(Literal::Tuple(Vec::new()));
                }
                let inner = self.sequence(depth + 1)?;
                self.take(")").then_some(inner)
            }
            (TokenKind::Sign, "[") => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.take("]") {
                    items.push(self.single(depth + 1)?);
                    if !self.take(",") && self.peek() != Some("]") {
                        return None;
                    }
                }
                Some(Literal::List(items))
            }
            _ => None,
        }
    }

    fn texts(&mut self) -> Option<Literal> {
        let mut whole = String::new();
        while let Some(token) = self.tokens.get(self.at).filter(|t| t.kind == TokenKind::Text) {
            whole.push_str(&content(token.of(self.text))?);
            self.at += 1;
        }
        Some(Literal::Text(whole))
    }
}

/// What a string literal says; `None` for bytes, formatted texts, and characters by their names.
pub fn content(literal: &str) -> Option<String> {
    let prefix = text_prefix(literal)?;
    let raw = match prefix.to_ascii_lowercase().as_str() {
        "" | "u" => false,
        "r" => true,
        _ => return None,
    };
    let quoted = &literal[prefix.len()..];
    let quotes = if quoted.len() >= 6 && (quoted.starts_with("\"\"\"") || quoted.starts_with("'''"))
    {
        3
    } else {
        1
    };
    let inner = quoted.get(quotes..quoted.len().checked_sub(quotes)?)?;
    if raw { Some(inner.to_owned()) } else { unescape(inner) }
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        let escaped = characters.next()?;
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'N' => return None,
            _ => 0,
        };
        if digits > 0 {
            let code: String = characters.by_ref().take(digits).collect();
            let hex = code.len() == digits && code.bytes().all(|b| b.is_ascii_hexdigit());
            plain.push(char::from_u32(u32::from_str_radix(&code, 16).ok().filter(|_| hex)?)?);
            continue;
        }
        match escaped {
            '\n' => {}
            '\\' | '\'' | '"' => plain.push(escaped),
            'a' => plain.push('\x07'),
            'b' => plain.push('\x08'),
            'f' => plain.push('\x0c'),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            'v' => plain.push('\x0b'),
            '0'..='7' => {
                let mut code = escaped.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = characters.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    characters.next();
                }
                plain.push(char::from_u32(code)?);
            }
            // Python keeps the backslash of what is no escape.
            other => plain.extend(['\\', other]),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::super::tokens::lines;
    use super::*;

    fn read(text: &str) -> Option<Literal> {
        let line = lines(text).unwrap().remove(0);
        value(text, &line.tokens)
    }

    fn text(text: &str) -> Literal {
        Literal::Text(text.to_owned())
    }

    #[test]
    fn literals_have_their_values() {
        use Literal::*;
        for (written, expected) in [
            ("'x'", text("x")),
            ("\"x\"", text("x")),
            ("''", text("")),
            ("''''''", text("")),
            ("'''a\n'b'''", text("a\n'b")),
            ("u'x'", text("x")),
            (r"r'a\b'", text(r"a\b")),
            (r"'\x41\u00e9\U0001F600\101\n\q\''", text("Aé😀A\n\\q'")),
            ("'a\\\nb'", text("ab")),
            ("('a' \"b\")", text("ab")),
            ("('x')", text("x")),
            ("None", None),
            ("(None)", None),
            ("()", Tuple(vec![])),
            ("[]", List(vec![])),
            ("('a',)", Tuple(vec![text("a")])),
            ("'a', 'b',", Tuple(vec![text("a"), text("b")])),
            ("('a', 'b')", Tuple(vec![text("a"), text("b")])),
            ("[\n'a', # one\n'b',\n]", List(vec![text("a"), text("b")])),
            ("[('a'), None, 1]", List(vec![text("a"), None, Number])),
            ("12", Number),
            ("True", Number),
        ] {
            assert_eq!(read(written), Some(expected), "{written}");
        }
    }

    #[test]
    fn what_is_computed_has_none() {
        let deep = format!("{}{}", "(".repeat(5000), ")".repeat(5000));
        for written in [
            "'a' + 'b'",
            "x",
            "f'x'",
            "b'x'",
            r"'\N{DIGIT ONE}'",
            r"'\ud800'",
            r"'\x4'",
            "{'a'}",
            "-1",
            "str(1)",
            "'a'.upper()",
            "'a' if x else 'b'",
            "['a' for x in y]",
            "('a', b)",
            "(,)",
            "[,]",
            "['a' 1]",
            "not None",
            "*a,",
            &deep,
        ] {
            assert_eq!(read(written), None, "{written}");
        }
    }
}
