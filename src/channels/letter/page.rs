//! The pages of a letter, as PDF.

use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::{Document, SerializeSettings};
use qrcode::{Color, EcLevel, QrCode};

use super::face::Face;
use super::layout::{self, Line};
use super::{Answer, Letter, LetterError};

/// Points of a millimeter.
const MM: f32 = 72.0 / 25.4;
const PAGE: (f32, f32) = (210.0 * MM, 297.0 * MM);
const LEFT: f32 = 25.0 * MM;
const WIDTH: f32 = 165.0 * MM;
/// The window: where the address begins, and how much of it shows.
const WINDOW: (f32, f32, f32) = (62.7 * MM, 80.0 * MM, 27.3 * MM);
/// The first line of the text, on the first page and on those after it.
const TOP: (f32, f32) = (106.0 * MM, 25.0 * MM);
const BOTTOM: f32 = 272.0 * MM;
/// The answer begins here, and the text of its page ends above.
const FOOT: f32 = 247.0 * MM;
const QR: f32 = 25.0 * MM;
/// Where to fold, and the middle.
const MARKS: [(f32, f32); 3] = [(105.0 * MM, 4.0 * MM), (148.5 * MM, 6.0 * MM), (210.0 * MM, 4.0 * MM)];
const SIZE: f32 = 10.5;
const LEADING: f32 = 1.42;
const MOST_PAGES: usize = 20;

pub(super) fn write(letter: &Letter<'_>) -> Result<Vec<u8>, LetterError> {
    let mut lines = layout::lines(letter.subject, WIDTH, SIZE);
    for line in &mut lines {
        line.runs.iter_mut().for_each(|(bold, _)| *bold = true);
    }
    let mut text = layout::lines(letter.text, WIDTH, SIZE);
    if let (Some(first), false) = (text.first_mut(), lines.is_empty()) {
        first.above = SIZE * 1.4;
    }
    lines.append(&mut text);
    let pages = paginated(lines, letter.answer.is_some());
    if pages.len() > MOST_PAGES {
        return Err(LetterError::TooLong);
    }
    let mut document =
        Document::new_with(SerializeSettings { ascii_compatible: false, ..Default::default() });
    // No dates: the same letter is the same file whenever it is made.
    document.set_metadata(
        Metadata::new()
            .title(letter.id.to_string())
            .language(letter.language.to_owned())
            .creator("Fahrplan".to_owned())
            .document_id(letter.id.to_string()),
    );
    for (number, lines) in pages.iter().enumerate() {
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).expect("A4 is a size");
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        surface.set_fill(Some(ink(0)));
        if number == 0 {
            marks(&mut surface);
            sender(&mut surface, letter.sender);
            address(&mut surface, letter.address);
            if let Some(answer) = &letter.answer {
                foot(&mut surface, letter.language, answer)?;
            }
        }
        body(&mut surface, lines, if number == 0 { TOP.0 } else { TOP.1 });
        if pages.len() > 1 {
            let count = format!("{} / {}", number + 1, pages.len());
            write_at(&mut surface, false, &count, (PAGE.0 - 40.0 * MM, 285.0 * MM), 8.0);
        }
        surface.finish();
        page.finish();
    }
    document.finish().map_err(|error| LetterError::Failed(format!("{error:?}")))
}

fn ink(gray: u8) -> Fill {
    Fill {
        paint: rgb::Color::new(gray, gray, gray).into(),
        opacity: NormalizedF32::ONE,
        rule: FillRule::NonZero,
    }
}

/// Which lines stand on which page; there is always a first.
fn paginated(lines: Vec<Line>, has_foot: bool) -> Vec<Vec<Line>> {
    let mut pages: Vec<Vec<Line>> = vec![Vec::new()];
    let mut y = TOP.0;
    for line in lines {
        let bottom = if pages.len() == 1 && has_foot { FOOT - 6.0 * MM } else { BOTTOM };
        let height = line.above + line.size * LEADING;
        if y + height > bottom {
            pages.push(Vec::new());
            y = TOP.1;
        }
        y += height;
        pages.last_mut().expect("there is always one").push(line);
    }
    pages
}

fn body(surface: &mut Surface<'_>, lines: &[Line], top: f32) {
    let mut y = top;
    for line in lines {
        y += line.above + line.size * LEADING;
        if let Some(mark) = &line.mark {
            write_at(surface, false, mark, (LEFT, y), line.size);
        }
        let mut x = LEFT + line.indent;
        for (bold, text) in &line.runs {
            x += write_at(surface, *bold, text, (x, y), line.size);
        }
    }
}

/// Writes a piece of text with its foot there; how wide it is.
fn write_at(surface: &mut Surface<'_>, bold: bool, text: &str, (x, y): (f32, f32), size: f32) -> f32 {
    let face = Face::of(bold);
    if !text.trim().is_empty() {
        let glyphs = face.glyphs(text);
        surface.draw_glyphs(Point::from_xy(x, y), &glyphs, face.font.clone(), text, size, false);
    }
    face.width(text, size)
}

fn marks(surface: &mut Surface<'_>) {
    let mut path = PathBuilder::new();
    for (y, length) in MARKS {
        path.push_rect(Rect::from_xywh(5.0 * MM, y, length, 0.4).expect("a line has a size"));
    }
    fill(surface, path, 120);
}

fn fill(surface: &mut Surface<'_>, path: PathBuilder, gray: u8) {
    let Some(path) = path.finish() else { return };
    surface.set_fill(Some(ink(gray)));
    surface.draw_path(&path);
    surface.set_fill(Some(ink(0)));
}

/// The sender's address on one line, with a rule below it, right above the other one.
fn sender(surface: &mut Surface<'_>, text: &str) {
    let text = super::face::visible(text);
    if text.trim().is_empty() {
        return;
    }
    let size = fitting(&text, 6.5, 4.0);
    write_at(surface, false, &text, (LEFT, WINDOW.0 - 2.2 * MM), size);
    let mut path = PathBuilder::new();
    let width = Face::of(false).width(&text, size).min(WINDOW.1);
    path.push_rect(Rect::from_xywh(LEFT, WINDOW.0 - 1.2 * MM, width, 0.3).expect("a line has a size"));
    fill(surface, path, 120);
}

/// The largest size at which a line fits the window.
fn fitting(text: &str, wanted: f32, least: f32) -> f32 {
    let width = Face::of(false).width(text, wanted);
    if width <= WINDOW.1 { wanted } else { (wanted * WINDOW.1 / width).max(least) }
}

fn address(surface: &mut Surface<'_>, lines: &[String]) {
    let count = f32::from(u8::try_from(lines.len().max(1)).unwrap_or(u8::MAX));
    let leading = (WINDOW.2 / count).min(4.55 * MM);
    let by_height = (leading / 1.25).min(10.0);
    let size = lines.iter().map(|line| fitting(line, by_height, 5.0)).fold(by_height, f32::min);
    let mut y = WINDOW.0;
    for line in lines {
        y += leading;
        write_at(surface, false, line, (LEFT, y - leading * 0.2), size);
    }
}

/// The code and its QR code at the foot of the page.
fn foot(surface: &mut Surface<'_>, language: &str, answer: &Answer<'_>) -> Result<(), LetterError> {
    let qr = QrCode::with_error_correction_level(answer.link, EcLevel::M)
        .map_err(|error| LetterError::Failed(error.to_string()))?;
    let width = qr.width();
    let module = QR / f32::from(u16::try_from(width).unwrap_or(u16::MAX));
    let mut path = PathBuilder::new();
    for (row, colors) in qr.into_colors().chunks(width).enumerate() {
        // Neighbors in a row are one bar: no hairlines between them.
        let mut at = 0;
        while at < width {
            let length = colors[at..].iter().take_while(|color| **color == Color::Dark).count();
            if length > 0 {
                let [x, y, w] = [at, row, length].map(|n| module * f32::from(u16::try_from(n).unwrap_or(0)));
                path.push_rect(
                    Rect::from_xywh(LEFT + x, FOOT + y, w, module + 0.05).expect("a bar has a size"),
                );
            }
            at += length.max(1);
        }
    }
    fill(surface, path, 0);
    let x = LEFT + QR + 6.0 * MM;
    let german = language.split('-').next() == Some("de");
    let title = if german { "Antwortcode" } else { "Response code" };
    write_at(surface, false, title, (x, FOOT + 7.0 * MM), 9.0);
    write_at(surface, true, answer.code, (x, FOOT + 14.5 * MM), 15.0);
    let room = PAGE.0 - x - 15.0 * MM;
    let wide = Face::of(false).width(answer.link, 8.0);
    write_at(surface, false, answer.link, (x, FOOT + 21.0 * MM), (8.0 * room / wide.max(1.0)).min(8.0));
    Ok(())
}
