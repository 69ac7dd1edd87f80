//! Just enough of Python to say what a source file's top level holds, without running it.
//!
//! Bytes → text ([`decode`]) → logical lines of tokens ([`tokens`]) → top-level items with their
//! places ([`items`]) → values of literals ([`literal`]). What is not plain on the page is not
//! guessed: whoever asks gets a [`Problem`] that names the line.

use std::fmt;

pub mod bindings;
pub mod decode;
pub mod items;
pub mod literal;
pub mod tokens;

use items::Item;

/// Why a source file, or a place in it, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What is there.
    pub what: String,
}

impl Problem {
    /// A problem in `line`.
    pub fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.what)
    }
}

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its text, decoded as Python decodes it, without byte order mark; lines end with `\n`.
    pub text: String,
    /// Its top level, in order. All places are byte ranges of `text`.
    pub items: Vec<Item>,
}

impl Source {
    /// Reads a source file.
    ///
    /// # Errors
    /// An encoding that is unknown or that the bytes are not in, a text or bracket that does not end.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let text = decode::decode(bytes)?;
        let items = items::split(&text, tokens::lines(&text)?)?;
        Ok(Self { text, items })
    }

    /// Whether the function of this name takes arguments.
    pub fn takes_arguments(&self, function: &str) -> bool {
        let tokens = self.function(function).into_iter().flat_map(Item::tokens);
        let mut behind = tokens.skip_while(|token| token.of(&self.text) != "def").skip(2);
        let opened = behind.next().is_some_and(|token| token.of(&self.text) == "(");
        opened && behind.next().is_some_and(|token| token.of(&self.text) != ")")
    }

    /// The function of this name, if there is exactly one at the top level.
    pub fn function(&self, name: &str) -> Option<&Item> {
        let mut found = self.items.iter().filter(|item| item.defines(&self.text, name));
        found.next().filter(|_| found.next().is_none())
    }
}
