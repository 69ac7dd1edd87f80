//! The text of a source file: UTF-8, or what its first two lines declare (PEP 263).

use super::Problem;
use encoding_rs::Encoding;
use regex::bytes::Regex;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes a source file, and makes every line end with `\n`.
pub fn decode(bytes: &[u8]) -> Result<String, Problem> {
    let marked = bytes.starts_with(MARK);
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let text = match declared(bytes) {
        None => utf8(bytes)?,
        Some((line, name)) => match name.as_str() {
            "utf-8" | "utf8" | "u8" | "utf" | "utf-8-sig" | "cp65001" => utf8(bytes)?,
            _ if name.starts_with("utf-8-") => utf8(bytes)?,
            _ if marked => {
                let what = format!("a byte order mark of UTF-8, and the encoding {name}");
                return Err(Problem::new(line, what));
            }
            _ => decode_as(bytes, line, &name)?,
        },
    };
    if let Some(before) = text.split('\0').next().filter(|before| before.len() < text.len()) {
        return Err(Problem::new(line_after(before.as_bytes()), "a null character"));
    }
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// The encoding that a comment in one of the first two lines declares, and that line.
fn declared(bytes: &[u8]) -> Option<(usize, String)> {
    // Patterns that are wrong are what the tests find.
    let declaration = Regex::new(r"^[ \t\x0c]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)").ok()?;
    let blank = Regex::new(r"^[ \t\x0c]*(#|$)").ok()?;
    let mut rest = bytes;
    for number in 1..=2 {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let line = &rest[..end];
        if let Some(found) = declaration.captures(line) {
            let name = String::from_utf8_lossy(&found[1]).to_ascii_lowercase().replace('_', "-");
            return Some((number, name));
        }
        if !blank.is_match(line) {
            return None;
        }
        let ending = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = rest.get(end + ending..)?;
    }
    None
}

fn utf8(bytes: &[u8]) -> Result<String, Problem> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        Problem::new(line_after(before), "bytes that are not UTF-8, and no other encoding declared")
    })
}

fn decode_as(bytes: &[u8], line: usize, name: &str) -> Result<String, Problem> {
    let beyond_ascii = bytes.iter().position(|byte| !byte.is_ascii());
    match name {
        "ascii" | "us-ascii" | "646" => match beyond_ascii {
            None => return utf8(bytes),
            Some(at) => return Err(Problem::new(line_after(&bytes[..at]), "bytes beyond ASCII")),
        },
        // The web's latin1 is another: it has no control characters from 0x80 on.
        "latin-1" | "latin1" | "latin" | "l1" | "iso-8859-1" | "iso8859-1" | "8859" | "cp819"
        | "iso-latin-1" => return Ok(bytes.iter().copied().map(char::from).collect()),
        _ => {}
    }
    // Names that Python has and the web has not.
    let known = match name {
        "cp932" | "ms932" | "mskanji" | "sjis" | "s-jis" => "shift_jis",
        "cp936" | "ms936" | "gb18030-2000" => "gb18030",
        "cp949" | "ms949" | "uhc" | "euckr" => "euc-kr",
        "cp950" | "ms950" => "big5",
        "eucjp" | "ujis" | "u-jis" => "euc-jp",
        "latin-2" => "iso-8859-2",
        "latin-9" => "iso-8859-15",
        other => other,
    };
    let unknown = || Problem::new(line, format!("the encoding {name}, which pgark does not know"));
    let encoding = Encoding::for_label_no_replacement(known.as_bytes()).ok_or_else(unknown)?;
    if !encoding.is_ascii_compatible() || encoding == encoding_rs::X_USER_DEFINED {
        return Err(unknown());
    }
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(text.into_owned()),
        None => Err(Problem::new(line, format!("bytes that are not {name}, which is declared"))),
    }
}

fn line_after(before: &[u8]) -> usize {
    let text = String::from_utf8_lossy(before).replace("\r\n", "\n");
    text.matches(['\r', '\n']).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_text_that_python_sees() {
        let cases: &[(&[u8], &str)] = &[
            (b"a = 1\r\nb = 2\rc = 3\n", "a = 1\nb = 2\nc = 3\n"),
            (b"\xef\xbb\xbfrevision = 'x'\n", "revision = 'x'\n"),
            (b"\xef\xbb\xbf# coding: utf-8\n'\xc3\xa9'\n", "# coding: utf-8\n'é'\n"),
            (b"# -*- coding: latin-1 -*-\n'\xe9\x80'\n", "# -*- coding: latin-1 -*-\n'é\u{80}'\n"),
            (
                b"#!/usr/bin/python\r# vim: set fileencoding=gbk :\r'\xd6\xd0'",
                "#!/usr/bin/python\n# vim: set fileencoding=gbk :\n'中'",
            ),
            (b"\n# coding=cp1251\n'\xcf'", "\n# coding=cp1251\n'П'"),
            (b"# coding: ISO_8859-15\n'\xa4'", "# coding: ISO_8859-15\n'€'"),
            (b"# coding: euc_jp\n'\xc6\xfc'", "# coding: euc_jp\n'日'"),
            // Too late, or after code: no declaration.
            (b"\n\n# coding: gbk\n'\xc3\xa9'", "\n\n# coding: gbk\n'é'"),
            (b"x = 1\n# coding: gbk\n'\xc3\xa9'", "x = 1\n# coding: gbk\n'é'"),
            (b"", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(decode(bytes).unwrap(), *text, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_python_would_refuse_is_refused_with_its_line() {
        let cases: &[(&[u8], usize, &str)] = &[
            (b"a\r\nb\n'\xe9'\n", 3, "not UTF-8"),
            (b"# coding: ascii\n\n'\xe9'\n", 3, "beyond ASCII"),
            (b"\xef\xbb\xbf\n# coding: latin-1\n", 2, "byte order mark"),
            (b"# coding: klingon\n", 1, "klingon"),
            (b"# coding: utf-16\n", 1, "utf-16"),
            (b"# coding: gbk\n'\xff\xff'\n", 1, "not gbk"),
            (b"a\nb\0c\n", 2, "null"),
        ];
        for (bytes, line, what) in cases {
            let problem = decode(bytes).unwrap_err();
            assert_eq!(problem.line, *line, "{problem}");
            assert!(problem.what.contains(what), "{problem}");
        }
    }
}
