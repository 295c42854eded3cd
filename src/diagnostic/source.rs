//! Files as text, and places in them.
//!
//! A [`Span`] is a pair of byte offsets in one file of [`Sources`]. Lines and columns are worked out only when
//! somebody wants to read them. Nothing here opens a file: the caller brings path and text.

use std::ops::Range;

const BOM: &str = "\u{feff}";

/// Names one file of a [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u16);

/// A stretch of text in one file, as byte offsets; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The file that the offsets belong to.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// A span from `start` to `end`; offsets in the wrong order are swapped.
    pub fn new(file: FileId, start: u32, end: u32) -> Span {
        Span { file, start: start.min(end), end: start.max(end) }
    }

    /// The empty span at `offset`: a place between two characters.
    pub fn at(file: FileId, offset: u32) -> Span {
        Span { file, start: offset, end: offset }
    }

    /// The smallest span that holds both. A span of another file is left out.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span at its start.
    #[must_use]
    pub fn shrink_to_start(self) -> Span {
        Span { end: self.start, ..self }
    }

    /// The empty span at its end.
    #[must_use]
    pub fn shrink_to_end(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it is only a place, without text.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `offset` lies in it; the end counts, so that a cursor behind a word is still on the word.
    pub fn touches(self, offset: u32) -> bool {
        self.start <= offset && offset <= self.end
    }

    /// Whether `other` lies wholly in it.
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

#[derive(Debug, Clone)]
struct Source {
    path: String,
    text: String,
    /// Offset at which each line begins; never empty.
    lines: Vec<u32>,
}

/// All files of one compilation. A [`FileId`] is the place in the order of adding.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// No files yet.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Adds a file under the path that messages will show.
    ///
    /// # Panics
    /// With more than 65 536 files or a file of 4 GiB: whoever reads files refuses such a project first.
    pub fn add(&mut self, path: String, text: String) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).expect("a project has at most 65 536 files"));
        assert!(u32::try_from(text.len()).is_ok(), "a file is smaller than 4 GiB");
        let lines = line_starts(&text);
        self.files.push(Source { path, text, lines });
        id
    }

    /// The path as it was added; empty for an unknown file.
    pub fn path(&self, id: FileId) -> &str {
        self.file(id).map_or("", |f| &f.path)
    }

    /// The whole text; empty for an unknown file.
    pub fn text(&self, id: FileId) -> &str {
        self.file(id).map_or("", |f| &f.text)
    }

    /// The file that was added last under this path.
    pub fn find(&self, path: &str) -> Option<FileId> {
        self.iter().filter(|(_, p, _)| *p == path).map(|(id, ..)| id).last()
    }

    /// Line and column of an offset, both from 1, the column in characters. An offset behind the end counts as the
    /// end, one inside a character as its start; a byte order mark has no column.
    pub fn line_col(&self, id: FileId, offset: u32) -> (u32, u32) {
        let Some(file) = self.file(id) else { return (1, 1) };
        let offset = file.text.floor_char_boundary(offset as usize);
        let line = file.lines.partition_point(|&start| start as usize <= offset).max(1);
        let start = file.lines[line - 1] as usize;
        let column = file.text.get(start..offset).map_or(0, |t| t.chars().count());
        (line as u32, column as u32 + 1)
    }

    /// The offset of a line and a column (both from 1, the column in characters), held inside the line.
    pub fn offset(&self, id: FileId, line: u32, column: u32) -> u32 {
        let Some(file) = self.file(id) else { return 0 };
        let index = (line.max(1) as usize - 1).min(file.lines.len() - 1);
        let start = file.lines[index];
        let text = self.line(id, index as u32 + 1);
        let before = text.char_indices().nth(column.max(1) as usize - 1).map_or(text.len(), |(at, _)| at);
        start + before as u32
    }

    /// The text of a line (from 1) without its line end.
    pub fn line(&self, id: FileId, line: u32) -> &str {
        &self.text(id)[self.line_range(id, line)]
    }

    /// Where the text of a line (from 1) stands, without its line end.
    pub fn line_range(&self, id: FileId, line: u32) -> Range<usize> {
        let Some(file) = self.file(id) else { return 0..0 };
        let Some(&start) = file.lines.get((line as usize).wrapping_sub(1)) else { return 0..0 };
        let start = start as usize;
        let end = file.lines.get(line as usize).map_or(file.text.len(), |&end| end as usize);
        start..start + file.text[start..end].trim_end_matches(['\n', '\r']).len()
    }

    /// How many lines the file has; text after the last line end counts as one, and so does nothing.
    pub fn line_count(&self, id: FileId) -> u32 {
        self.file(id).map_or(0, |f| f.lines.len() as u32)
    }

    /// The text of a span, held inside the file and widened to whole characters.
    pub fn slice(&self, span: Span) -> &str {
        &self.text(span.file)[self.range(span)]
    }

    /// The span as a range into [`Sources::text`], held inside the file and widened to whole characters.
    pub fn range(&self, span: Span) -> Range<usize> {
        let text = self.text(span.file);
        let start = text.floor_char_boundary(span.start as usize);
        let end = text.ceil_char_boundary((span.end as usize).min(text.len()));
        start..end.max(start)
    }

    /// The span without white space at its ends; all white space becomes the empty span at its start.
    pub fn trim(&self, span: Span) -> Span {
        let range = self.range(span);
        let text = &self.text(span.file)[range.clone()];
        if text.trim().is_empty() {
            return Span::at(span.file, range.start as u32);
        }
        let start = range.start + (text.len() - text.trim_start().len());
        let end = range.start + text.trim_end().len();
        Span::new(span.file, start as u32, end as u32)
    }

    /// The part of the span that stands on its first line.
    pub fn first_line(&self, span: Span) -> Span {
        let range = self.range(span);
        let text = &self.text(span.file)[range.clone()];
        let length = text.find('\n').map_or(text.len(), |at| text[..at].trim_end_matches('\r').len());
        Span::new(span.file, range.start as u32, (range.start + length) as u32)
    }

    /// The span as a reader wants to see it: inside the file, on whole characters, and never in the empty space after
    /// the last word of a file but right behind that word.
    pub fn shown(&self, span: Span) -> Span {
        let text = self.text(span.file);
        let range = self.range(span);
        let end_of_words = text.trim_end().len();
        let start = if range.start > end_of_words { end_of_words } else { range.start };
        let end = if range.start > end_of_words { start } else { range.end };
        Span::new(span.file, start as u32, end as u32)
    }

    /// All files with path and text, in the order of adding.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &str, &str)> {
        self.files.iter().enumerate().map(|(n, f)| (FileId(n as u16), f.path.as_str(), f.text.as_str()))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn file(&self, id: FileId) -> Option<&Source> {
        self.files.get(usize::from(id.0))
    }
}

fn line_starts(text: &str) -> Vec<u32> {
    let first = if text.starts_with(BOM) { BOM.len() as u32 } else { 0 };
    let rest = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at as u32 + 1);
    std::iter::once(first).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Sources, FileId) {
        let mut sources = Sources::new();
        let id = sources.add("a.journey".into(), text.into());
        (sources, id)
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let (s, id) = one("wait 3 days\r\nsend „ä“ x\n");
        assert_eq!(s.line_col(id, 0), (1, 1));
        assert_eq!(s.line_col(id, 13), (2, 1));
        assert_eq!(s.line_col(id, 18), (2, 6));
        assert_eq!(s.line_col(id, 19), (2, 6), "inside a character counts as its start");
        assert_eq!(s.line_col(id, 21), (2, 7));
        assert_eq!(s.line_col(id, 9_999), (3, 1));
        assert_eq!(s.line(id, 1), "wait 3 days");
        assert_eq!(s.line(id, 2), "send „ä“ x");
        assert_eq!((s.line(id, 3), s.line(id, 4), s.line(id, 0)), ("", "", ""));
        assert_eq!(s.line_count(id), 3);
    }

    #[test]
    fn offset_is_the_inverse_of_line_col() {
        let (s, id) = one("\u{feff}a ü\r\n\nlast 🚋 one");
        for (at, _) in s.text(id).char_indices().filter(|(at, c)| *at >= 3 && !"\r\n".contains(*c)) {
            let (line, column) = s.line_col(id, at as u32);
            assert_eq!(s.offset(id, line, column), at as u32, "at {at}");
        }
        assert_eq!(s.offset(id, 1, 99), 7);
        assert_eq!(s.offset(id, 99, 99), s.text(id).len() as u32);
    }

    #[test]
    fn a_byte_order_mark_has_no_column() {
        let (s, id) = one("\u{feff}x");
        assert_eq!(s.line_col(id, 0), (1, 1));
        assert_eq!(s.line_col(id, 3), (1, 1));
        assert_eq!(s.line(id, 1), "x");
    }

    #[test]
    fn a_slice_stays_in_the_file_and_on_whole_characters() {
        let (s, id) = one("aüb");
        assert_eq!(s.slice(Span::new(id, 0, 1)), "a");
        assert_eq!(s.slice(Span::new(id, 1, 2)), "ü");
        assert_eq!(s.slice(Span::new(id, 2, 2)), "ü");
        assert_eq!(s.slice(Span::new(id, 3, 99)), "b");
        assert_eq!(s.slice(Span::new(FileId(7), 0, 3)), "");
        assert_eq!(s.line_col(FileId(7), 3), (1, 1));
    }

    #[test]
    fn spans_join_within_a_file_only() {
        let (a, b) = (FileId(0), FileId(1));
        assert_eq!(Span::new(a, 4, 6).to(Span::new(a, 1, 2)), Span::new(a, 1, 6));
        assert_eq!(Span::new(a, 4, 6).to(Span::new(b, 1, 2)), Span::new(a, 4, 6));
        assert_eq!(Span::new(a, 6, 4), Span::new(a, 4, 6));
        assert_eq!(Span::new(a, 4, 6).shrink_to_end(), Span::at(a, 6));
        assert_eq!(Span::new(a, 4, 6).shrink_to_start(), Span::at(a, 4));
    }

    #[test]
    fn trim_and_first_line_cut_what_a_reader_does_not_want_underlined() {
        let (s, id) = one("  send email a \r\n  exit\n");
        assert_eq!(s.slice(s.trim(Span::new(id, 0, 17))), "send email a");
        assert_eq!(s.trim(Span::new(id, 0, 2)), Span::at(id, 0));
        assert_eq!(s.slice(s.first_line(Span::new(id, 2, 22))), "send email a ");
    }

    #[test]
    fn a_place_after_the_last_word_is_shown_behind_that_word() {
        let (s, id) = one("exit as done\n\n");
        assert_eq!(s.shown(Span::at(id, 14)), Span::at(id, 12));
        assert_eq!(s.shown(Span::new(id, 13, 99)), Span::at(id, 12));
        assert_eq!(s.shown(Span::new(id, 8, 14)), Span::new(id, 8, 14));
        assert_eq!(s.shown(Span::at(id, 4)), Span::at(id, 4));
    }

    #[test]
    fn the_last_file_of_a_path_is_found() {
        let (mut s, first) = one("x");
        assert_eq!(s.find("a.journey"), Some(first));
        let second = s.add("a.journey".into(), "y".into());
        assert_eq!(s.find("a.journey"), Some(second));
        assert_eq!(s.find("b.journey"), None);
        assert_eq!(s.iter().map(|(_, _, text)| text).collect::<String>(), "xy");
    }
}
