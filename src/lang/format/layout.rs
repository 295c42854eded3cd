//! A small document of possible line breaks, laid out to a width: a group stands on one line if it fits, else all of its
//! breaks become line ends.

/// No line is longer if it can be helped.
pub(super) const WIDTH: usize = 100;

/// Blanks of one level.
pub(super) const INDENT: usize = 2;

/// A piece of text with its possible breaks.
#[derive(Clone, Debug)]
pub(super) enum Doc {
    Text(String),
    /// A blank, or a line end.
    Line,
    /// Nothing, or a line end.
    Soft,
    /// A comma and a blank, or a line end.
    Comma,
    /// A line end.
    Hard,
    /// One level further in.
    Nest(Vec<Doc>),
    /// Laid out as a whole.
    Group(Vec<Doc>),
}

/// Text that does not break.
pub(super) fn text(text: impl Into<String>) -> Doc {
    Doc::Text(text.into())
}

/// Documents with `between` between them.
pub(super) fn join(docs: impl IntoIterator<Item = Doc>, between: &[Doc]) -> Vec<Doc> {
    let mut joined = Vec::new();
    for (at, doc) in docs.into_iter().enumerate() {
        if at > 0 {
            joined.extend_from_slice(between);
        }
        joined.push(doc);
    }
    joined
}

/// Lays a document out on lines that begin at `indent`; the first goes on at `column`.
pub(super) fn render(doc: &Doc, indent: usize, column: usize) -> String {
    let mut out = String::new();
    let mut column = column;
    write(doc, indent, false, 0, &mut out, &mut column);
    out
}

/// The document on one line, if it can stand on one.
pub(super) fn flat(doc: &Doc) -> Option<String> {
    let mut out = String::new();
    flat_into(doc, &mut out).then_some(out)
}

fn flat_into(doc: &Doc, out: &mut String) -> bool {
    match doc {
        Doc::Text(text) => {
            out.push_str(text);
            !text.contains('\n')
        }
        Doc::Line => {
            out.push(' ');
            true
        }
        Doc::Soft => true,
        Doc::Comma => {
            out.push_str(", ");
            true
        }
        Doc::Hard => false,
        Doc::Nest(docs) | Doc::Group(docs) => docs.iter().all(|d| flat_into(d, out)),
    }
}

/// `after` is how much text follows on the same line.
fn write(doc: &Doc, indent: usize, broken: bool, after: usize, out: &mut String, column: &mut usize) {
    match doc {
        Doc::Text(text) => {
            out.push_str(text);
            *column = match text.rfind('\n') {
                Some(at) => width(&text[at + 1..]),
                None => *column + width(text),
            };
        }
        Doc::Hard => new_line(indent, out, column),
        Doc::Line | Doc::Soft | Doc::Comma if broken => new_line(indent, out, column),
        Doc::Line => {
            out.push(' ');
            *column += 1;
        }
        Doc::Soft => {}
        Doc::Comma => {
            out.push_str(", ");
            *column += 2;
        }
        Doc::Nest(docs) => write_all(docs, indent + INDENT, broken, after, out, column),
        Doc::Group(docs) => match flat(doc) {
            Some(line) if *column + width(&line) + after <= WIDTH => {
                *column += width(&line);
                out.push_str(&line);
            }
            _ => write_all(docs, indent, true, after, out, column),
        },
    }
}

fn write_all(docs: &[Doc], indent: usize, broken: bool, after: usize, out: &mut String, column: &mut usize) {
    for (at, doc) in docs.iter().enumerate() {
        let rest = &docs[at + 1..];
        let (length, ends) = upto_break(rest, broken);
        write(doc, indent, broken, length + if ends { 0 } else { after }, out, column);
    }
}

/// How much text stands before the next line end, and whether there is one.
fn upto_break(docs: &[Doc], broken: bool) -> (usize, bool) {
    let mut length = 0;
    for doc in docs {
        match doc {
            Doc::Text(text) => length += width(text),
            Doc::Hard => return (length, true),
            Doc::Line | Doc::Soft | Doc::Comma if broken => return (length, true),
            Doc::Line => length += 1,
            Doc::Soft => {}
            Doc::Comma => length += 2,
            // its own first break may come; only what stands before it must fit
            Doc::Group(docs) => match docs.iter().position(|d| !matches!(d, Doc::Text(_))) {
                Some(at) => {
                    let (more, _) = upto_break(&docs[..at], false);
                    return (length + more, true);
                }
                None => length += upto_break(docs, false).0,
            },
            Doc::Nest(docs) => {
                let (more, ends) = upto_break(docs, broken);
                length += more;
                if ends {
                    return (length, true);
                }
            }
        }
    }
    (length, false)
}

fn new_line(indent: usize, out: &mut String, column: &mut usize) {
    while out.ends_with(' ') {
        out.pop();
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    *column = indent;
}

/// Columns that a text takes, about.
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(words: &[&str]) -> Doc {
        let pairs = join(words.iter().map(|w| text(*w)), &[Doc::Comma]);
        Doc::Group(vec![text("{"), Doc::Nest([vec![Doc::Line], pairs].concat()), Doc::Line, text("}")])
    }

    #[test]
    fn a_group_stands_on_one_line_where_it_fits() {
        assert_eq!(render(&record(&["a: 1", "b: 2"]), 0, 0), "{ a: 1, b: 2 }");
        assert_eq!(render(&record(&["a: 1", "b: 2"]), 2, 95), "{\n    a: 1\n    b: 2\n  }");
    }

    #[test]
    fn what_follows_on_the_line_counts() {
        let line = |tail: &str| Doc::Group(vec![record(&["a: 1"]), text(tail)]);
        let tail = "x".repeat(WIDTH - 8);
        assert_eq!(render(&line(&tail), 0, 0), format!("{{ a: 1 }}{tail}"));
        assert_eq!(render(&line(&format!("{tail}x")), 0, 0), format!("{{\n  a: 1\n}}{tail}x"));
    }
}
