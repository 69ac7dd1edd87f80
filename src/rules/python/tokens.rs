//! Logical lines of tokens: texts, brackets, comments and continued lines are understood.

use super::Problem;
use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name or keyword.
    Name,
    /// A number.
    Number,
    /// A string literal with its prefix and quotes.
    Text,
    /// An operator, bracket or other sign.
    Sign,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Bytes of the text.
    pub span: Range<usize>,
    /// Line in which it begins, from 1.
    pub line: usize,
    /// How many brackets are open around it; a bracket counts as outside itself.
    pub depth: usize,
}

impl Token {
    /// The token as it is written.
    pub fn of<'a>(&self, text: &'a str) -> &'a str {
        &text[self.span.clone()]
    }
}

/// A line as Python counts lines of code: continued ones are one, comments and blank ones none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its tokens; never empty.
    pub tokens: Vec<Token>,
    /// Whether it begins at the left margin.
    pub at_margin: bool,
}

const SIGNS: &[&str] = &[
    "**=", "//=", ">>=", "<<=", "...", ":=", "==", "!=", "<=", ">=", "->", "+=", "-=", "*=", "/=",
    "%=", "@=", "&=", "|=", "^=", "**", "//", "<<", ">>",
];

/// All logical lines of a text.
///
/// # Errors
/// A string or a bracket that does not end, or a bracket that was not opened.
pub fn lines(text: &str) -> Result<Vec<Line>, Problem> {
    let mut scanner = Scanner { text, at: 0, line: 1, nested: 0 };
    let mut lines = Vec::new();
    let mut current: Vec<Token> = Vec::new();
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut at_margin = true;
    // Whether only blanks stand before this place in its line.
    let mut blank_before = true;
    while let Some(character) = scanner.peek() {
        let (start, line) = (scanner.at, scanner.line);
        match character {
            '\n' => {
                scanner.bump();
                if open.is_empty() && !current.is_empty() {
                    lines.push(Line { tokens: std::mem::take(&mut current), at_margin });
                }
                if current.is_empty() {
                    (at_margin, blank_before) = (true, true);
                }
                continue;
            }
            ' ' | '\t' => {
                scanner.bump();
                at_margin &= !(blank_before && current.is_empty());
                continue;
            }
            '\u{c}' => {
                scanner.bump();
                // A form feed sets the indentation back.
                at_margin |= blank_before && current.is_empty();
                continue;
            }
            '#' => {
                scanner.skip_line();
                continue;
            }
            '\\' if scanner.rest().starts_with("\\\n") => {
                scanner.bump();
                scanner.bump();
                continue;
            }
            _ => {}
        }
        blank_before = false;
        let mut depth = open.len();
        let kind = if let Some(prefix) = text_prefix(scanner.rest()) {
            scanner.text_literal(prefix)?;
            TokenKind::Text
        } else if character.is_ascii_digit()
            || (character == '.' && scanner.second().is_some_and(|c| c.is_ascii_digit()))
        {
            scanner.skip_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
            TokenKind::Number
        } else if is_name_character(character) {
            scanner.skip_while(is_name_character);
            TokenKind::Name
        } else if let Some(sign) = SIGNS.iter().find(|sign| scanner.rest().starts_with(**sign)) {
            scanner.at += sign.len();
            TokenKind::Sign
        } else {
            scanner.bump();
            match character {
                '(' | '[' | '{' => open.push((character, line)),
                ')' | ']' | '}' => {
                    let expected = open.pop().map(|(opened, _)| closing(opened));
                    if expected != Some(character) {
                        return Err(Problem::new(line, format!("an unmatched \"{character}\"")));
                    }
                    depth -= 1;
                }
                _ => {}
            }
            TokenKind::Sign
        };
        current.push(Token { kind, span: start..scanner.at, line, depth });
    }
    if let Some((bracket, line)) = open.pop() {
        return Err(Problem::new(line, format!("a \"{bracket}\" that is never closed")));
    }
    if !current.is_empty() {
        lines.push(Line { tokens: current, at_margin });
    }
    Ok(lines)
}

fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn is_name_character(character: char) -> bool {
    character == '_' || character.is_alphanumeric() || !character.is_ascii()
}

/// The letters before the quotes, if a string literal begins here.
pub fn text_prefix(text: &str) -> Option<&str> {
    let letters = text.find(|c: char| !c.is_ascii_alphabetic()).filter(|length| *length <= 2)?;
    let is_prefix = matches!(
        text[..letters].to_ascii_lowercase().as_str(),
        "" | "r" | "b" | "u" | "f" | "t" | "br" | "rb" | "fr" | "rf" | "tr" | "rt"
    );
    (is_prefix && text[letters..].starts_with(['"', '\''])).then(|| &text[..letters])
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// How many texts and replacement fields are open.
    nested: usize,
}

/// Deeper nesting is nobody's code, and would only exhaust the stack.
const DEEPEST: usize = 50;

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    fn bump(&mut self) {
        if let Some(character) = self.peek() {
            self.line += usize::from(character == '\n');
            self.at += character.len_utf8();
        }
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn skip_line(&mut self) {
        self.skip_while(|c| c != '\n');
    }

    /// From the prefix to behind the closing quotes.
    fn text_literal(&mut self, prefix: &str) -> Result<(), Problem> {
        let line = self.line;
        if self.nested == DEEPEST {
            return Err(Problem::new(line, "texts nested too deeply"));
        }
        self.at += prefix.len();
        let rest = self.rest();
        let quotes = match rest.get(..3) {
            Some(three @ ("\"\"\"" | "'''")) => three,
            _ => &rest[..1],
        };
        self.at += quotes.len();
        let prefix = prefix.to_ascii_lowercase();
        let formatted = prefix.contains(['f', 't']);
        let open = Open { quotes, raw: prefix.contains('r'), formatted, line };
        self.nested += 1;
        self.literal_part(&open, false)?;
        self.nested -= 1;
        Ok(())
    }

    /// Literal text up to and with the closing quotes; in a format specification, up to its `}`.
    fn literal_part(&mut self, open: &Open<'_>, in_spec: bool) -> Result<(), Problem> {
        loop {
            let rest = self.rest();
            if !in_spec && rest.starts_with(open.quotes) {
                self.at += open.quotes.len();
                return Ok(());
            }
            match self.peek() {
                None => return Err(open.unending()),
                Some('\n') if open.quotes.len() == 1 => return Err(open.unending()),
                Some('\\') if open.formatted && !open.raw && rest.starts_with("\\N{") => {
                    self.skip_while(|c| c != '}' && c != '\n');
                    self.bump();
                }
                Some('\\') => {
                    self.bump();
                    // In a formatted text a brace after a backslash is still a brace.
                    if !(open.formatted && matches!(self.peek(), Some('{' | '}'))) {
                        self.bump();
                    }
                }
                Some('}') if in_spec => return Ok(()),
                Some('{') if open.formatted && !in_spec && rest.starts_with("{{") => self.at += 2,
                Some('{') if open.formatted => {
                    self.bump();
                    self.replacement_field(open)?;
                }
                Some(_) => self.bump(),
            }
        }
    }

    /// What stands in braces, up to and with the closing one.
    fn replacement_field(&mut self, open: &Open<'_>) -> Result<(), Problem> {
        if self.nested == DEEPEST {
            return Err(Problem::new(self.line, "texts nested too deeply"));
        }
        self.nested += 1;
        let mut brackets = 0_usize;
        while let Some(character) = self.peek() {
            if let Some(prefix) = text_prefix(self.rest()) {
                self.text_literal(prefix)?;
                continue;
            }
            match character {
                '}' if brackets == 0 => {
                    self.bump();
                    self.nested -= 1;
                    return Ok(());
                }
                ':' if brackets == 0 => {
                    self.bump();
                    self.literal_part(open, true)?;
                }
                '#' => self.skip_line(),
                c if is_name_character(c) => self.skip_while(is_name_character),
                c => {
                    match c {
                        '(' | '[' | '{' => brackets += 1,
                        ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
                        _ => {}
                    }
                    self.bump();
                }
            }
        }
        Err(open.unending())
    }
}

/// A string literal that is being read.
struct Open<'a> {
    quotes: &'a str,
    raw: bool,
    formatted: bool,
    line: usize,
}

impl Open<'_> {
    fn unending(&self) -> Problem {
        Problem::new(self.line, "a text that does not end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<String> {
        let words = |line: &Line| {
            line.tokens.iter().map(|token| token.of(text)).collect::<Vec<_>>().join(" ")
        };
        lines(text).unwrap().iter().map(words).collect()
    }

    #[test]
    fn lines_are_logical_lines() {
        let text = "# a comment\n\na = 1  # why\nb = (1,\n  # inside\n  2)\nc = 'x' \\\n  'y'\n\nif a:\n\tb += .5e3";
        let expected = ["a = 1", "b = ( 1 , 2 )", "c = 'x' 'y'", "if a :", "b += .5e3"];
        assert_eq!(written(text), expected);
        let margins: Vec<bool> = lines(text).unwrap().iter().map(|line| line.at_margin).collect();
        assert_eq!(margins, [true, true, true, true, false]);
        let starts: Vec<usize> = lines(text).unwrap().iter().map(|l| l.tokens[0].line).collect();
        assert_eq!(starts, [3, 4, 7, 10, 11]);
        assert_eq!(written("  \x0ca: b = c"), ["a : b = c"]);
        assert!(lines("  \x0ca").unwrap()[0].at_margin);
    }

    #[test]
    fn texts_end_where_python_ends_them() {
        for literal in [
            r#"'it\'s'"#,
            r#"r'\\'"#,
            r#"rb"\"""#,
            r#"'''a'b''c'''"#,
            r#""""a""b""""#,
            r#"f'{x}'"#,
            r#"f'{{x'"#,
            r#"f'{x["a"]!r:>{width}}'"#,
            r#"f'{x['a']}'"#,
            r#"f"{x:'>10}""#,
            r##"f"{d['#']}""##,
            r#"f'\N{DIGIT ONE}\{x}'"#,
            r#"f'{f"{'}'}"}'"#,
            r#"f"{rows[0]:{'>'}{10}}""#,
            r#"t"{a}""#,
            "f'''{\n  x\n}'''",
            "'a\\\nb'",
            "Rb'é'",
        ] {
            let text = format!("a = {literal}; b");
            let found = lines(&text).unwrap();
            assert_eq!(found.len(), 1, "{literal}");
            let tokens: Vec<&str> = found[0].tokens.iter().map(|token| token.of(&text)).collect();
            assert_eq!(tokens, ["a", "=", literal, ";", "b"]);
        }
        assert_eq!(written("xrb'a' ürb 'b'"), ["xrb 'a' ürb 'b'"]);
    }

    #[test]
    fn what_does_not_end_is_a_problem_with_its_line() {
        let deep = "f'{".repeat(4000);
        for (text, line) in [
            ("a\nb = 'x\n'", 2),
            ("\n\n'''x\n", 3),
            ("(\n[\n", 2),
            ("a\n)", 2),
            ("(]", 1),
            ("f'{x'", 1),
            ("f'{x", 1),
            (deep.as_str(), 1),
        ] {
            assert_eq!(lines(text).unwrap_err().line, line, "{text}");
        }
    }
}
