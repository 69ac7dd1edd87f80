//! The top level of a source file: which statements there are, and which bytes each takes.

use super::Problem;
use super::tokens::{Line, Token, TokenKind};
use std::ops::Range;

/// What a top-level item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// The text that opens the file.
    Docstring,
    /// `import …` or `from … import …`.
    Import,
    /// A function, with its decorators.
    Function,
    /// A class, with its decorators.
    Class,
    /// `if`, `for`, `while`, `try`, `with`, `match`: whatever has a block, with all its clauses.
    Compound,
    /// Any other statement: an assignment, a call …
    Simple,
}

/// A top-level item. Comments before it do not belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// The name of a function or class: bytes of the text.
    pub name: Option<Range<usize>>,
    /// All of it, from its first decorator to its last token.
    pub span: Range<usize>,
    /// The block of a function or class.
    pub body: Option<Body>,
    /// Its logical lines; that of a simple statement is without `;` and its neighbours.
    pub lines: Vec<Line>,
}

/// The block of a function or class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Bytes of the text: whole lines with their indentation and comments, up to the last token; or
    /// what stands behind the colon.
    pub span: Range<usize>,
    /// Whether it stands behind the colon (`def upgrade(): pass`).
    pub inline: bool,
}

impl Item {
    /// Line in which it begins, from 1.
    pub fn line(&self) -> usize {
        self.lines.first().and_then(|line| line.tokens.first()).map_or(1, |token| token.line)
    }

    /// All its tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.lines.iter().flat_map(|line| &line.tokens)
    }

    /// Whether it is the function of this name.
    pub fn defines(&self, text: &str, name: &str) -> bool {
        self.kind == ItemKind::Function && self.name.clone().is_some_and(|span| &text[span] == name)
    }
}

/// Puts logical lines together into items.
///
/// # Errors
/// A file whose first line of code is indented.
pub fn split(text: &str, lines: Vec<Line>) -> Result<Vec<Item>, Problem> {
    let mut groups: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        let first = line.tokens[0].of(text);
        let decorated = groups
            .last()
            .and_then(|group| group.last())
            .is_some_and(|last| last.at_margin && last.tokens[0].of(text) == "@");
        let goes_on = !line.at_margin
            || decorated
            || (matches!(first, "elif" | "else" | "except" | "finally"));
        match groups.last_mut() {
            Some(group) if goes_on => group.push(line),
            None if goes_on => {
                return Err(Problem::new(line.tokens[0].line, "an indented line before any block"));
            }
            _ => groups.push(vec![line]),
        }
    }
    let mut items = Vec::new();
    for group in groups {
        if group.len() > 1 || opens_block(text, &group[0]) {
            items.push(block(text, group));
        } else {
            let line = group.into_iter().flat_map(|line| line.tokens).collect();
            simple(text, line, &mut items);
        }
    }
    Ok(items)
}

/// Whether a line at the margin is one of a compound statement. `match` and `case` are names as
/// well; with a block below them they are in a group with it.
fn opens_block(text: &str, line: &Line) -> bool {
    matches!(
        line.tokens[0].of(text),
        "if" | "for" | "while" | "try" | "with" | "def" | "class" | "async" | "@"
    )
}

/// Statements that share a line, separated by `;`.
fn simple(text: &str, tokens: Vec<Token>, items: &mut Vec<Item>) {
    let is_end = |token: &Token| token.depth == 0 && token.of(text) == ";";
    for statement in tokens.split(is_end).filter(|statement| !statement.is_empty()) {
        let first = &statement[0];
        let kind = match (first.kind, first.of(text)) {
            (TokenKind::Name, "import" | "from") => ItemKind::Import,
            (TokenKind::Text, _)
                if items.is_empty() && statement.iter().all(|t| t.kind == TokenKind::Text) =>
            {
                ItemKind::Docstring
            }
            _ => ItemKind::Simple,
        };
        let line = Line { tokens: statement.to_vec(), at_margin: true };
        items.push(Item { kind, name: None, span: span(statement), body: None, lines: vec![line] });
    }
}

fn block(text: &str, lines: Vec<Line>) -> Item {
    let header = lines.iter().position(|line| line.tokens[0].of(text) != "@").unwrap_or_default();
    let words: Vec<&str> =
        lines[header].tokens.iter().take(2).map(|token| token.of(text)).collect();
    let (kind, keyword) = match words.as_slice() {
        ["def", ..] => (ItemKind::Function, 0),
        ["async", "def"] => (ItemKind::Function, 1),
        ["class", ..] => (ItemKind::Class, 0),
        _ => (ItemKind::Compound, 0),
    };
    let named = kind != ItemKind::Compound;
    let name = lines[header].tokens.get(keyword + 1).filter(|_| named).map(|t| t.span.clone());
    let start = lines[0].tokens[0].span.start;
    let end = lines.iter().flat_map(|line| &line.tokens).map(|t| t.span.end).max().unwrap_or(start);
    let body = named.then(|| body(text, &lines, header, end)).flatten();
    Item { kind, name, span: start..end, body, lines }
}

fn body(text: &str, lines: &[Line], header: usize, end: usize) -> Option<Body> {
    let tokens = &lines[header].tokens;
    let colon = tokens.iter().position(|token| token.depth == 0 && token.of(text) == ":")?;
    if let Some(first) = tokens.get(colon + 1) {
        return Some(Body { span: first.span.start..end, inline: true });
    }
    lines.get(header + 1)?;
    let after = tokens[colon].span.end;
    let start = after + text[after..].find('\n')? + 1;
    Some(Body { span: start..end, inline: false })
}

fn span(tokens: &[Token]) -> Range<usize> {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => first.span.start..last.span.end,
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn kinds(text: &str) -> Vec<(ItemKind, String)> {
        let source = Source::read(text.as_bytes()).unwrap();
        source
            .items
            .iter()
            .map(|item| (item.kind, source.text[item.span.clone()].to_owned()))
            .collect()
    }

    const REVISION: &str = r#""""Add a table

Revision ID: a
"""
from alembic import op
import sqlalchemy as sa; import os

# identifiers
revision = 'a'; down_revision = None

match = 1
if os.environ.get('X'):
    pass
elif (
    1
): pass
else:
    def inner():
        pass

@one
@two(
    3
)
def helper(a: dict[str, int] = {1: 2}) -> "x":
    # why
    return a  # done


async def other(): return 1; pass

class Thing: pass

def upgrade() -> None:
    op.execute("""
  SELECT 1;
def upgrade(): pass
""")
    # after

def downgrade():
    pass
"#;

    #[test]
    fn a_file_is_cut_into_its_items() {
        use ItemKind::*;
        let found = kinds(REVISION);
        let kinds: Vec<ItemKind> = found.iter().map(|(kind, _)| *kind).collect();
        let expected = [
            Docstring, Import, Import, Import, Simple, Simple, Simple, Compound, Function,
            Function, Class, Function, Function,
        ];
        assert_eq!(kinds, expected, "{found:#?}");
        assert_eq!(found[5].1, "down_revision = None");
        assert!(found[7].1.ends_with("def inner():\n        pass"));
        assert!(found[8].1.starts_with("@one") && found[8].1.ends_with("return a"));
    }

    #[test]
    fn bodies_are_whole_lines_or_what_follows_the_colon() {
        let source = Source::read(REVISION.as_bytes()).unwrap();
        let body = |name: &str| {
            let body = source.function(name).unwrap().body.clone().unwrap();
            (&source.text[body.span], body.inline)
        };
        assert_eq!(body("helper"), ("    # why\n    return a", false));
        assert_eq!(body("other"), ("return 1; pass", true));
        let upgrade = "    op.execute(\"\"\"\n  SELECT 1;\ndef upgrade(): pass\n\"\"\")";
        assert_eq!(body("upgrade"), (upgrade, false));
        assert_eq!(body("downgrade"), ("    pass", false));
        assert!(source.function("inner").is_none() && source.function("Thing").is_none());
        let twice = Source::read(b"def a(): pass\ndef a(): pass\n").unwrap();
        assert!(twice.function("a").is_none());
    }

    #[test]
    fn an_indented_beginning_is_a_problem() {
        assert_eq!(Source::read(b"\n  a = 1\n").unwrap_err().line, 2);
        assert!(Source::read(b"# nothing\n").unwrap().items.is_empty());
    }
}
