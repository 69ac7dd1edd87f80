//! Where what is in a statement: outside of strings, quoted names, dollar quotes and comments.
//! (PostgreSQL, "Lexical Structure".)

/// What stands in `text` outside of strings, quoted names, dollar quotes and comments: positions
/// and characters, with the depth of parentheses and brackets before and after each.
pub fn unquoted(text: &str) -> impl Iterator<Item = Unquoted> {
    let (mut position, mut depth) = (0, 0_i32);
    std::iter::from_fn(move || {
        while let Some(length) = quoted(&text[position..]) {
            position += length;
        }
        let character = text[position..].chars().next()?;
        let before = depth;
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        let found = Unquoted { position, character, before, after: depth };
        position += character.len_utf8();
        Some(found)
    })
}

/// A character, with the depth of parentheses and brackets before and after it.
pub struct Unquoted {
    /// Where it begins.
    pub position: usize,
    /// The character.
    pub character: char,
    /// The depth before it.
    pub before: i32,
    /// The depth after it.
    pub after: i32,
}

/// All of `text` in pieces: what is quoted whole, words, and other characters one by one.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = || rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let length = whole(rest).unwrap_or_else(word);
        let (token, after) = rest.split_at(length.max(first.len_utf8()));
        rest = after;
        Some(token)
    })
}

/// Position of `wanted` outside of quotes.
pub fn find(text: &str, wanted: &str) -> Option<usize> {
    unquoted(text).map(|at| at.position).find(|position| text[*position..].starts_with(wanted))
}

/// Length of the parenthesis at the beginning of `text`.
pub fn closing(text: &str) -> Option<usize> {
    unquoted(text).find(|at| at.after == 0).map(|at| at.position + at.character.len_utf8())
}

/// Length of the string at the beginning of `text`, in which two quotes stand for one.
pub fn string(text: &str) -> Option<usize> {
    if !text.starts_with(['\'', 'E']) {
        return None;
    }
    whole(text)
}

/// Length of the string or quoted name at the beginning of `text`, in which two quotes stand for one.
pub fn string_or_name(text: &str) -> Option<usize> {
    if text.starts_with('"') { whole(text) } else { string(text) }
}

/// Length of the quoted thing at the beginning of `text`, in which two quotes stand for one.
fn whole(text: &str) -> Option<usize> {
    let mut length = quoted(text)?;
    let Some(quote) = text[..length].chars().last().filter(|end| matches!(end, '\'' | '"')) else {
        return Some(length);
    };
    while text[length..].starts_with(quote) {
        length += quoted(&text[length..])?;
    }
    Some(length)
}

/// Length of the quoted thing at the beginning of `text`: a string, a quoted name, a dollar
/// quote or a comment.
fn quoted(text: &str) -> Option<usize> {
    let until = |from: usize, end: &str| {
        text[from..].find(end).map_or(text.len(), |found| from + found + end.len())
    };
    let bytes = text.as_bytes();
    match bytes.first()? {
        quote @ (b'\'' | b'"') => Some(until(1, std::str::from_utf8(&[*quote]).ok()?)),
        b'E' if bytes.get(1) == Some(&b'\'') => Some(end_of_escapes(text)),
        b'-' if text.starts_with("--") => Some(until(2, "\n")),
        b'/' if text.starts_with("/*") => Some(until(2, "*/")),
        b'$' => {
            let tag = text[1..].find('$').map(|end| &text[..end + 2])?;
            let name = &tag[1..tag.len() - 1];
            let is_tag = name.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            is_tag.then(|| until(tag.len(), tag))
        }
        _ => None,
    }
}

/// Length of a string with backslash escapes.
fn end_of_escapes(text: &str) -> usize {
    let mut escaped = false;
    for (position, character) in text.char_indices().skip(2) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return position + 1,
            _ => {}
        }
    }
    text.len()
}
