//! Lines: of an address, and of a text that is broken where the page ends.

use super::LetterError;
use super::face::{Face, visible};

/// The most lines of an address, the name among them.
pub const LONGEST_ADDRESS: usize = 8;
/// The most characters of a line of an address.
const WIDEST: usize = 120;

/// Pieces of a line: bold or not, and the words.
pub(super) type Run = (bool, String);

/// A line as it is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) runs: Vec<Run>,
    /// How far it is moved in.
    pub(super) indent: f32,
    /// The mark before an item.
    pub(super) mark: Option<String>,
    pub(super) size: f32,
    /// The room above it, beyond the usual.
    pub(super) above: f32,
}

/// The lines of an address: the name, unless it stands there already, and what the attribute holds, which has a line break between two
/// lines, or is one line with commas.
pub fn address_lines(name: Option<&str>, address: &str) -> Result<Vec<String>, LetterError> {
    let clean = |line: &str| {
        let line = visible(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    };
    let lines = |text: &str, at: &[char]| -> Vec<String> {
        text.split(at).map(clean).filter(|line| !line.is_empty()).collect()
    };
    let mut all = lines(address, &['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    if let [only] = all.as_slice() {
        all = lines(&only.clone(), &[',', ';']);
    }
    if all.is_empty() {
        return Err(LetterError::NoAddress);
    }
    if let Some(name) = name.map(clean).filter(|name| !name.is_empty()) {
        let words = |text: &str| {
            let text = text.to_lowercase();
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let own = words(&name);
        let has_it =
            |line: &String| !own.is_empty() && words(line).windows(own.len()).any(|part| *part == own);
        if !all.iter().any(has_it) {
            all.insert(0, name);
        }
    }
    let lacks = |c: &char| !Face::of(false).has(*c);
    let mut unprintable: Vec<char> = all.iter().flat_map(|line| line.chars()).filter(lacks).collect();
    unprintable.sort_unstable();
    unprintable.dedup();
    unprintable.truncate(10);
    if !unprintable.is_empty() {
        return Err(LetterError::Unprintable(unprintable.into_iter().collect()));
    }
    if all.len() > LONGEST_ADDRESS || all.iter().any(|line| line.chars().count() > WIDEST) {
        return Err(LetterError::TooManyLines(all.len().max(LONGEST_ADDRESS + 1)));
    }
    Ok(all)
}

/// Breaks a text into lines of that width.
pub(super) fn lines(text: &str, width: f32, size: f32) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    // An empty line makes room above the next one; several make no more.
    let mut gap = false;
    for written in text.trim().lines() {
        let written = visible(written);
        let written = written.trim();
        if written.is_empty() {
            gap = true;
            continue;
        }
        let above = if gap && !all.is_empty() { size * 0.7 } else { 0.0 };
        gap = false;
        let (mark, rest, heading) = shape(written);
        let size = if heading { size * 1.15 } else { size };
        let indent = if mark.is_some() { size * 1.6 } else { 0.0 };
        let broken = wrap(&runs(rest, heading), width - indent, size);
        for (at, runs) in broken.into_iter().enumerate() {
            let is_first = at == 0;
            let mark = mark.clone().filter(|_| is_first);
            all.push(Line { runs, indent, mark, size, above: if is_first { above } else { 0.0 } });
        }
    }
    all
}

/// The mark of an item, what follows, and whether it is a heading.
fn shape(line: &str) -> (Option<String>, &str, bool) {
    for heading in ["### ", "## ", "# "] {
        if let Some(rest) = line.strip_prefix(heading) {
            return (None, rest, true);
        }
    }
    for item in ["- ", "* ", "• "] {
        if let Some(rest) = line.strip_prefix(item) {
            return (Some("•".to_owned()), rest, false);
        }
    }
    if let Some((number, rest)) = line.split_once(". ")
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        return (Some(format!("{number}.")), rest, false);
    }
    (None, line, false)
}

/// What stands between two `**` is bold; one without a second is itself.
fn runs(text: &str, heading: bool) -> Vec<Run> {
    let pieces: Vec<&str> = text.split("**").collect();
    let last = pieces.len() - 1;
    let mut runs: Vec<Run> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        match at % 2 {
            1 if at == last => runs.push((heading, format!("**{piece}"))),
            odd => runs.push((heading || odd == 1, (*piece).to_owned())),
        }
    }
    runs
}

/// Breaks at blanks; a word that is wider than a line is broken within.
fn wrap(runs: &[Run], width: f32, size: f32) -> Vec<Vec<Run>> {
    let mut lines: Vec<Vec<Run>> = vec![Vec::new()];
    let mut used = 0.0;
    for (bold, text) in runs {
        let face = Face::of(*bold);
        for word in text.split_inclusive(' ') {
            let wide = face.width(word.trim_end(), size);
            if used + wide > width && used > 0.0 {
                lines.push(Vec::new());
                used = 0.0;
            }
            let mut rest = word;
            while face.width(rest.trim_end(), size) > width {
                let fits = fitting(face, rest, width, size);
                push(&mut lines, *bold, &rest[..fits]);
                lines.push(Vec::new());
                rest = &rest[fits..];
                used = 0.0;
            }
            push(&mut lines, *bold, rest);
            used += face.width(rest, size);
        }
    }
    lines
}

/// How many bytes fit; at least one character does.
fn fitting(face: &Face, text: &str, width: f32, size: f32) -> usize {
    let mut used = 0.0;
    for (at, c) in text.char_indices() {
        used += face.width(c.encode_utf8(&mut [0; 4]), size);
        if used > width && at > 0 {
            return at;
        }
    }
    text.len()
}

fn push(lines: &mut [Vec<Run>], bold: bool, text: &str) {
    let line = lines.last_mut().expect("there is always one");
    match line.last_mut() {
        Some((own, before)) if *own == bold => before.push_str(text),
        _ => line.push((bold, text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: Option<&str>, text: &str) -> Result<Vec<String>, LetterError> {
        address_lines(name, text)
    }

    #[test]
    fn an_address_has_lines_however_it_was_written() {
        let expected = ["Łukasz Nowak", "Długa 5", "00-238 Warszawa", "POLEN"].map(str::to_owned).to_vec();
        for text in [
            "Długa 5\n00-238 Warszawa\nPOLEN",
            "Długa 5\r\n\r\n 00-238  Warszawa \r\nPOLEN\n",
            "Długa 5, 00-238 Warszawa, POLEN",
            "Łukasz Nowak\nDługa 5\n00-238 Warszawa\nPOLEN",
            "ŁUKASZ NOWAK\u{2028}Długa 5\u{2028}00-238 Warszawa\u{2028}POLEN",
        ] {
            let lines = address(Some("Łukasz Nowak"), text).expect("an address");
            assert_eq!(lines.join("|").to_lowercase(), expected.join("|").to_lowercase(), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_is_part_of_a_street_is_not_left_out() {
        assert_eq!(address(Some("Ada"), "Adaweg 1, Bonn").expect("lines"), ["Ada", "Adaweg 1", "Bonn"]);
        assert_eq!(
            address(Some("Ada Weg"), "Frau Ada Weg, Weg 1").expect("lines"),
            ["Frau Ada Weg", "Weg 1"]
        );
        assert_eq!(address(Some("***"), "Weg 1, Bonn").expect("lines"), ["***", "Weg 1", "Bonn"]);
    }

    #[test]
    fn what_is_no_address_says_why() {
        assert_eq!(address(Some("Anna"), " \n\t\u{200b}\n"), Err(LetterError::NoAddress));
        assert_eq!(address(None, &"x\n".repeat(9)), Err(LetterError::TooManyLines(9)));
        assert!(address(None, &format!("a\n{}", "x".repeat(121))).is_err());
        assert_eq!(address(None, "東京\nWeg 1"), Err(LetterError::Unprintable("京東".into())));
        assert_eq!(address(None, "שלום\nWeg 1").map_err(|e| e.is_bad_address()), Err(true));
        assert_eq!(address(None, "a\u{202e}b\u{0}\nWeg").expect("lines"), ["ab", "Weg"]);
    }

    #[test]
    fn no_line_is_wider_than_the_page_and_no_word_is_lost() {
        let text = "Ein **fetter Anfang** und dann immer mehr Wörter bis es nicht mehr passt ".repeat(5);
        let lines = lines(&text, 200.0, 11.0);
        let width = |line: &Line| {
            line.runs
                .iter()
                .map(|(bold, text)| Face::of(*bold).width(text.trim_end(), line.size))
                .sum::<f32>()
        };
        assert!(lines.len() > 5 && lines.iter().all(|line| width(line) <= 200.5));
        let all: String = lines.iter().flat_map(|line| &line.runs).map(|(_, text)| text.as_str()).collect();
        assert_eq!(all.trim(), text.replace("**", "").trim());
    }

    #[test]
    fn headings_and_items_are_known() {
        let lines = lines("# Oben\n\n- eins\n- zwei\n12. zwölf\n**offen", 400.0, 10.0);
        assert!(lines[0].runs[0].0 && lines[0].size > 10.0);
        assert_eq!(lines[1].mark.as_deref(), Some("•"));
        assert_eq!(lines[3].mark.as_deref(), Some("12."));
        assert_eq!(lines[4].runs, [(false, "**offen".to_owned())]);
        assert!(lines[1].above > 0.0 && lines[2].above == 0.0);
    }
}
