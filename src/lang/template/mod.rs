//! Templates looked at as source: which variables stand where, which helpers and parts are used, and what is wrong.
//!
//! Handlebars tells where an element begins and no more, and a checker must underline the variable itself; so this is
//! a scanner of our own. It knows the closed set that templates may use (`HELPERS`) and refuses the rest, so that what
//! passes here means one thing only: no raw output, no partial with arguments, no reach to the root from inside a list.
//!
//! Two readers: the checker asks what is used (`scan`, and `scan_in` for a part within the scope of its caller), the
//! mail channel asks where in the HTML each value stands, to escape it for that place. Pure: text in, places out.

mod html;
mod locales;
mod scanner;
mod script;
mod tag;
#[cfg(test)]
mod tests;
mod wants;

pub use html::Place;
pub use locales::LocaleChain;
pub use script::{ScriptValue, script_values};
pub use wants::{Wants, is_currency, link_allowed, near_currency};

use tag::Path;

/// A helper: its name, whether it is a block, and how many values it takes.
pub struct Helper {
    /// As written in templates.
    pub name: &'static str,
    /// `{{#name}} … {{/name}}`.
    pub block: bool,
    /// The fewest and the most values.
    pub takes: (usize, usize),
    /// How it is written, for messages.
    pub usage: &'static str,
}

/// All helpers there are.
pub const HELPERS: [Helper; 12] = [
    Helper { name: "date", block: false, takes: (1, 2), usage: "{{date issue}} or {{date issue \"short\"}}" },
    Helper { name: "default", block: false, takes: (2, 2), usage: "{{default name \"friend\"}}" },
    Helper { name: "each", block: true, takes: (1, 1), usage: "{{#each items}}…{{/each}}" },
    Helper { name: "if", block: true, takes: (1, 1), usage: "{{#if name}}…{{else}}…{{/if}}" },
    Helper { name: "lookup", block: false, takes: (2, 2), usage: "{{lookup items 0}}" },
    Helper { name: "money", block: false, takes: (2, 2), usage: "{{money total \"EUR\"}}" },
    Helper { name: "number", block: false, takes: (1, 1), usage: "{{number count}}" },
    Helper { name: "percent", block: false, takes: (1, 1), usage: "{{percent discount}}" },
    Helper { name: "plural", block: false, takes: (3, 3), usage: "{{plural count \"cup\" \"cups\"}}" },
    Helper { name: "unless", block: true, takes: (1, 1), usage: "{{#unless name}}…{{/unless}}" },
    Helper { name: "url", block: false, takes: (1, 1), usage: "{{url link}}" },
    Helper { name: "with", block: true, takes: (1, 1), usage: "{{#with order}}…{{/with}}" },
];

/// The forms of a date that `{{date issue "short"}}` may name; the first is taken where none is named.
pub const DATE_FORMS: [&str; 5] = ["long", "short", "weekday", "month", "time"];

/// What a template makes: HTML, where values are looked at in their place, or text.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Format {
    /// Parts named `html`.
    Html,
    /// Subjects, preheaders, texts.
    Plain,
}

impl Format {
    /// The format of a part: `html` is HTML, everything else is text.
    pub fn of_part(part: &str) -> Format {
        if part == "html" { Format::Html } else { Format::Plain }
    }
}

/// What a variable is used for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role {
    /// Written out: `{{name}}`.
    Shown,
    /// The condition of `if` or `unless`.
    Condition,
    /// The list of `each`.
    Each,
    /// The subject of `with`.
    With,
    /// A value of a helper, counted from 0.
    Argument(&'static str, usize),
}

/// One variable at one place. `path` counts from the top, whatever it stands in: within `{{#each items}}`, `name` is
/// `items`, `[]`, `name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Use {
    /// From the top; `[]` stands for an element of the list before it.
    pub path: Vec<String>,
    /// Where the name begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is used for.
    pub role: Role,
    /// What it has to be.
    pub wants: Wants,
    /// How many leading parts of the path are known to be there: all of them inside `{{#if}}` of the path, as a
    /// condition itself, or as the first value of `default`.
    pub known: usize,
}

impl Use {
    /// Whether a missing value cannot leave a hole here.
    pub fn is_guarded(&self) -> bool {
        self.known == self.path.len()
    }

    /// The path as written in messages: `items[].name`.
    pub fn dotted(&self) -> String {
        self.path.join(".").replace(".[]", "[]")
    }
}

/// A helper at one place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HelperUse {
    /// One of `HELPERS`.
    pub name: &'static str,
    /// Where the name begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// A part (`{{> footer}}`) at one place, with the scope that its variables have there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartUse {
    /// `footer` for `templates/_parts/footer.hbs`.
    pub name: String,
    /// Where the name begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Where the whole tag begins.
    pub tag_start: usize,
    /// Where the whole tag ends.
    pub tag_end: usize,
    /// For `scan_in` on the part's source.
    pub scope: Scope,
}

/// A value written out: the variable or helper call between the braces, and where in the HTML it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Output {
    /// Where the expression begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Whether it is a helper call rather than a variable.
    pub is_call: bool,
    /// Where in the HTML it stands.
    pub place: Place,
}

/// Something wrong, at its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// In one lower-case sentence.
    pub message: String,
    /// What to do instead, if that can be said.
    pub help: Option<String>,
    /// Typographic quotes where straight ones are meant, each with its end.
    pub quotes: Vec<(usize, usize)>,
    /// The word that was probably meant in its place.
    pub near: Option<String>,
}

/// What a word processor makes of `"` and `'`.
fn is_typographic(c: char) -> bool {
    matches!(
        c,
        '“' | '”'
            | '„'
            | '‟'
            | '″'
            | '«'
            | '»'
            | '＂'
            | '‘'
            | '’'
            | '‚'
            | '‛'
            | '′'
            | '‹'
            | '›'
    )
}

fn typographic(c: char) -> String {
    format!("`{c}` is a typographic quote: write `\"`")
}

/// What names mean at a place: the object that plain names belong to and those outside it, and what is known to be
/// there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scope {
    frames: Vec<Frame>,
    known: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Frame {
    path: Vec<String>,
    is_element: bool,
}

impl Scope {
    /// The scope in which a template begins.
    pub fn top() -> Scope {
        Scope { frames: vec![Frame { path: Vec::new(), is_element: false }], known: Vec::new() }
    }

    fn resolved(&self, path: &Path) -> Option<Vec<String>> {
        let frame = self.frames.len().checked_sub(1 + path.ups)?;
        Some([self.frames[frame].path.as_slice(), path.parts.as_slice()].concat())
    }

    fn known_prefix(&self, path: &[String]) -> usize {
        let prefixes = self.known.iter().filter(|known| path.starts_with(known)).map(Vec::len);
        prefixes.max().unwrap_or(0).max(self.frames.last().map_or(0, |frame| common(&frame.path, path)))
    }

    fn is_in_list(&self) -> bool {
        self.frames.iter().any(|frame| frame.is_element)
    }
}

/// The object one stands in is there.
fn common(frame: &[String], path: &[String]) -> usize {
    if path.starts_with(frame) { frame.len() } else { 0 }
}

/// Everything found in one source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scan {
    /// All variables, in order.
    pub uses: Vec<Use>,
    /// All helpers, in order; `else` and `this` are none.
    pub helpers: Vec<HelperUse>,
    /// All parts, in order.
    pub parts: Vec<PartUse>,
    /// All values written out, in order.
    pub outputs: Vec<Output>,
    /// All tags from `{{` to `}}`, comments too, in order.
    pub tags: Vec<(usize, usize)>,
    /// All mistakes, in order.
    pub mistakes: Vec<Mistake>,
    /// Characters of text outside of braces, white space at both ends of the source left out.
    pub literal_chars: usize,
}

impl Scan {
    /// Whether nothing would ever be written.
    pub fn is_blank(&self) -> bool {
        self.literal_chars == 0 && self.outputs.is_empty() && self.parts.is_empty()
    }
}

/// Scans a template.
pub fn scan(source: &str, format: Format) -> Scan {
    scan_in(source, format, &Scope::top())
}

/// Scans a part within the scope of the place that uses it (`PartUse::scope`).
pub fn scan_in(source: &str, format: Format, scope: &Scope) -> Scan {
    scanner::run(source, format, scope)
}

fn helper(name: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|helper| helper.name == name)
}
