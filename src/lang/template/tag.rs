//! What stands between the braces: names, fixed values, helper calls.

use super::Mistake;

/// An expression with its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expr {
    Path(Path),
    /// A text, number, `true`, `false` or `null`.
    Literal((usize, usize)),
    Call(Call),
}

/// A name, perhaps of something outside: `../contact.first_name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Path {
    pub(super) raw: String,
    /// How many `../`.
    pub(super) ups: usize,
    /// Indexes are `[]`.
    pub(super) parts: Vec<String>,
    /// `@index`, `@first` or `@last`.
    pub(super) is_local: bool,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Path {
    /// A lone name read as a helper without values.
    pub(super) fn as_call(&self) -> Call {
        Call { name: self.raw.clone(), args: Vec::new(), start: self.start, end: self.end }
    }
}

/// A helper with its values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) args: Vec<Expr>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Calls within calls; nobody means more.
const DEEPEST: usize = 8;

/// The length of the tag that `rest` begins with, `}}` included. Braces within quotes do not end it; another `{{`
/// means that this one was never closed.
pub(super) fn length(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in rest[2..].char_indices() {
        let next_is = |wanted| rest[2 + at + c.len_utf8()..].starts_with(wanted);
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), '\n') => return None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') if next_is('{') => return None,
            (None, '}') if next_is('}') => return Some(2 + at + 2),
            (None, _) => {}
        }
    }
    None
}

/// Parses a variable, a fixed value, or a call. `at` is where `text` begins in the source.
pub(super) fn parse(text: &str, at: usize) -> Result<Expr, Mistake> {
    let mut reader = Reader { text, at: 0, base: at };
    let first = reader.atom(0)?;
    match first {
        Expr::Path(path) if !reader.is_done() => Ok(Expr::Call(reader.call_of(path, text.len(), 0)?)),
        first if reader.is_done() => Ok(first),
        _ => Err(reader.mistake(reader.at, text.len(), "this stands behind a value", None)),
    }
}

/// Parses a call, which may have no values.
pub(super) fn parse_call(text: &str, at: usize) -> Result<Call, Mistake> {
    match parse(text, at)? {
        Expr::Call(call) => Ok(call),
        Expr::Path(path) => Ok(path.as_call()),
        Expr::Literal((start, end)) => Err(Mistake {
            start,
            end,
            message: "here a helper is named".to_owned(),
            help: None,
            quotes: Vec::new(),
            near: None,
        }),
    }
}

/// The typographic quotes in a piece of a tag, if there are any.
pub(super) fn typographic(text: &str, at: usize) -> Option<Mistake> {
    let (found, c) = text.char_indices().find(|(_, c)| super::is_typographic(*c))?;
    Some(Reader { text, at: found, base: at }.typographic(c))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    base: usize,
}

impl<'a> Reader<'a> {
    fn mistake(&self, start: usize, end: usize, message: impl Into<String>, help: Option<&str>) -> Mistake {
        let (start, end) = (self.base + start, self.base + end);
        let (message, help) = (message.into(), help.map(str::to_owned));
        Mistake { start, end, message, help, quotes: Vec::new(), near: None }
    }

    /// Text between typographic quotes; all of the tag are told as one.
    fn typographic(&self, c: char) -> Mistake {
        let begin = self.at;
        let quotes = self.text[begin..].char_indices().filter(|(_, c)| super::is_typographic(*c));
        let quotes: Vec<(usize, usize)> =
            quotes.map(|(at, c)| (self.base + begin + at, self.base + begin + at + c.len_utf8())).collect();
        let mut mistake = self.mistake(begin, begin + c.len_utf8(), super::typographic(c), None);
        mistake.help = Some("a text stands in straight quotes, such as `\"text\"`".to_owned());
        Mistake { quotes, ..mistake }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn is_done(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    /// The values behind `name`, up to `end`.
    fn call_of(&mut self, name: Path, end: usize, depth: usize) -> Result<Call, Mistake> {
        let mut args = Vec::new();
        while !self.is_done() && self.at < end && !self.rest().starts_with(')') {
            args.push(self.atom(depth)?);
        }
        Ok(Call { name: name.raw, args, start: name.start, end: self.base + self.at })
    }

    fn atom(&mut self, depth: usize) -> Result<Expr, Mistake> {
        self.skip_space();
        let start = self.at;
        match self.rest().chars().next() {
            Some('(') => self.group(depth),
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            Some(c) if super::is_typographic(c) => Err(self.typographic(c)),
            Some('|') => Err(self.mistake(
                start,
                self.text.len(),
                "names for elements are not available",
                Some("inside `{{#each}}` write `this.name`"),
            )),
            Some(_) => self.word(),
            None => Err(self.mistake(start, start, "a value is missing here", None)),
        }
    }

    fn group(&mut self, depth: usize) -> Result<Expr, Mistake> {
        let start = self.at;
        if depth == DEEPEST {
            return Err(self.mistake(start, self.text.len(), "this is nested too deeply", None));
        }
        self.at += 1;
        let Expr::Path(name) = self.atom(depth + 1)? else {
            return Err(self.mistake(start, self.at, "in parentheses stands a helper with its values", None));
        };
        let call = self.call_of(name, self.text.len(), depth + 1)?;
        if !self.rest().starts_with(')') {
            return Err(self.mistake(start, start + 1, "`(` is not closed", None));
        }
        self.at += 1;
        Ok(Expr::Call(call))
    }

    fn quoted(&mut self, quote: char) -> Result<Expr, Mistake> {
        let start = self.at;
        let Some(length) = self.rest()[1..].find(quote) else {
            if let Some(mistake) = typographic(self.rest(), self.base + start) {
                return Err(mistake);
            }
            return Err(self.mistake(start, self.text.len(), "the text is never closed", None));
        };
        self.at += length + 2;
        if self.text[start..self.at].contains('\\') {
            let help = Some("a text may stand in \" or in '");
            return Err(self.mistake(start, self.at, "a backslash in a text is not available", help));
        }
        Ok(Expr::Literal((self.base + start, self.base + self.at)))
    }

    fn word(&mut self) -> Result<Expr, Mistake> {
        let start = self.at;
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '[' | ']');
        let length = self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        if length == 0 {
            let c = self.rest().chars().next().map_or(0, char::len_utf8);
            return Err(self.mistake(start, start + c, "this character has no meaning here", None));
        }
        self.at += length;
        let raw = &self.text[start..self.at];
        if self.rest().starts_with('=') {
            let message = "values with names are not available";
            return Err(self.mistake(start, self.text.len(), message, Some("write the value alone")));
        }
        if is_literal(raw) {
            return Ok(Expr::Literal((self.base + start, self.base + self.at)));
        }
        if raw == "as" && self.rest().trim_start().starts_with('|') {
            let help = Some("inside `{{#each}}` write `this.name`");
            return Err(self.mistake(start, self.text.len(), "names for elements are not available", help));
        }
        self.path(raw, start).map(Expr::Path)
    }

    fn path(&self, raw: &str, start: usize) -> Result<Path, Mistake> {
        let (begin, end) = (self.base + start, self.base + start + raw.len());
        let fail = |message: &str, help| Err(self.mistake(start, start + raw.len(), message, help));
        if raw.starts_with('@') || raw.contains("/@") {
            return match raw {
                "@index" | "@first" | "@last" => Ok(Path {
                    raw: raw.to_owned(),
                    ups: 0,
                    parts: Vec::new(),
                    is_local: true,
                    start: begin,
                    end,
                }),
                "@key" => fail("`@key` is not available", Some("write `@index`")),
                _ => {
                    fail("there are only `@index`, `@first` and `@last`", Some("`../` leads out of a block"))
                }
            };
        }
        let (mut ups, mut rest) = (0, raw);
        while let Some(outer) = rest.strip_prefix("../") {
            (ups, rest) = (ups + 1, outer);
        }
        rest = rest.strip_prefix("./").unwrap_or(rest);
        if rest.contains('/') || rest == ".." || (ups > 0 && rest == "this") {
            return fail("parts of a name are joined by `.`", None);
        }
        let rest = match rest {
            "this" if ups == 0 => "",
            _ => rest.strip_prefix("this.").unwrap_or(rest),
        };
        let parts: Option<Vec<String>> = match rest {
            "" if raw == "this" => Some(Vec::new()),
            _ => rest.split('.').map(part).collect(),
        };
        match parts {
            Some(parts) => Ok(Path { raw: raw.to_owned(), ups, parts, is_local: false, start: begin, end }),
            None => fail("this is no name", Some("names have letters, digits and `_`, joined by `.`")),
        }
    }
}

fn is_literal(raw: &str) -> bool {
    let number = raw.strip_prefix('-').unwrap_or(raw);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.')
        && number.matches('.').count() <= 1;
    is_number || matches!(raw, "true" | "false" | "null")
}

/// One part of a name; an index, bare or in brackets, is `[]`.
fn part(text: &str) -> Option<String> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let is_name = !inner.is_empty() && inner.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let is_index = inner.chars().all(|c| c.is_ascii_digit());
    is_name.then(|| if is_index { "[]".to_owned() } else { inner.to_owned() })
}
