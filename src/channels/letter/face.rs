//! The fonts: which characters they have, and how wide these are.

use std::sync::LazyLock;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider as _};

const REGULAR: &[u8] = include_bytes!("fonts/OpenSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("fonts/OpenSans-Bold.ttf");

/// What stands for a character that there is none for.
const BOX: char = '\u{25a1}';

static FACES: LazyLock<[Face; 2]> = LazyLock::new(|| [Face::new(REGULAR), Face::new(BOLD)]);

/// A font, ready to be measured and drawn with.
pub(super) struct Face {
    pub(super) font: Font,
    map: skrifa::charmap::Charmap<'static>,
    metrics: skrifa::metrics::GlyphMetrics<'static>,
    per_em: f32,
}

impl Face {
    fn new(bytes: &'static [u8]) -> Face {
        let read = FontRef::new(bytes).expect("our own fonts can be read");
        let font = Font::new(bytes.to_vec().into(), 0).expect("our own fonts can be read");
        let per_em = font.units_per_em();
        let metrics = read.glyph_metrics(Size::unscaled(), LocationRef::default());
        Face { font, map: read.charmap(), metrics, per_em }
    }

    /// The one for bold text, or the other.
    pub(super) fn of(bold: bool) -> &'static Face {
        &FACES[usize::from(bold)]
    }

    /// Whether it has that character, and writes it from left to right.
    pub(super) fn has(&self, c: char) -> bool {
        !is_from_right(c) && self.map.map(c).is_some_and(|glyph| glyph.to_u32() != 0)
    }

    fn glyph(&self, c: char) -> (skrifa::GlyphId, f32) {
        let own = if self.has(c) { self.map.map(c) } else { None };
        let glyph = own.or_else(|| self.map.map(BOX)).unwrap_or_default();
        (glyph, self.metrics.advance_width(glyph).unwrap_or_default() / self.per_em)
    }

    /// How wide a text is at that size.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|c| self.glyph(c).1).sum::<f32>() * size
    }

    /// Its glyphs.
    pub(super) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        let one = |(start, c): (usize, char)| {
            let (glyph, advance) = self.glyph(c);
            let id = GlyphId::new(glyph.to_u32());
            KrillaGlyph::new(id, advance, 0.0, 0.0, 0.0, start..start + c.len_utf8(), None)
        };
        text.char_indices().map(one).collect()
    }
}

/// Scripts that run from right to left, for which there is no layout here.
fn is_from_right(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}')
}

/// A text without what is not seen: control characters, marks of direction, joiners, soft hyphens. Blanks of all kinds become one kind.
pub(super) fn visible(text: &str) -> String {
    let seen = |c: char| match c {
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => Some(' '),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => None,
        '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    };
    text.chars().filter_map(seen).collect()
}
