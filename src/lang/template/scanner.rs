//! The walk over a source: tags, blocks and their branches, and what each variable means where it stands.

use super::html::{Html, Place};
use super::tag::{self, Call, Expr, Path};
use super::{
    DATE_FORMS, Format, Frame, HELPERS, HelperUse, Mistake, Output, PartUse, Role, Scan, Scope, Use, Wants,
    helper, near_currency,
};

/// Scans `source` from the first byte to the last.
pub(super) fn run(source: &str, format: Format, scope: &Scope) -> Scan {
    let mut scanner = Scanner {
        source,
        html: (format == Format::Html).then(Html::default),
        scope: scope.clone(),
        open: Vec::new(),
        scan: Scan::default(),
    };
    scanner.run();
    scanner.scan.mistakes.sort_by_key(|mistake| mistake.start);
    scanner.scan
}

/// Begins the path of what a helper returns: nothing is known of the names in there, so they are not reported.
const UNKNOWN: &str = "?";

/// An open block.
struct Block {
    name: &'static str,
    tag: (usize, usize),
    /// The scope outside, which every branch begins with.
    outer: Scope,
    /// The path it asks about.
    subject: Option<Vec<String>>,
    has_else: bool,
    /// Where in the HTML every branch begins.
    html_before: Option<Html>,
    /// Where its branches have ended.
    html_ends: Vec<Html>,
}

struct Scanner<'a> {
    source: &'a str,
    html: Option<Html>,
    scope: Scope,
    open: Vec<Block>,
    scan: Scan,
}

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        let trimmed = self.source.trim();
        let mut at = 0;
        while let Some(found) = self.source[at..].find("{{") {
            let start = at + found;
            self.text(at, start, trimmed);
            at = self.tag(start).max(start + 2);
            self.scan.tags.push((start, at));
        }
        self.text(at.min(self.source.len()), self.source.len(), trimmed);
        while let Some(block) = self.open.pop() {
            let message = format!("`{{{{#{}}}}}` is never closed", block.name);
            let help = format!("write `{{{{/{}}}}}` where it ends", block.name);
            self.mistake(block.tag, message, Some(help));
        }
        if let Some(html) = &self.html
            && !html.is_at_rest()
            && self.scan.mistakes.is_empty()
        {
            let end = self.source.len();
            self.mistake((end, end), "the HTML ends inside a tag or a comment", None);
        }
    }

    fn text(&mut self, start: usize, end: usize, trimmed: &str) {
        let text = &self.source[start..end];
        if let Some(html) = &mut self.html {
            let quotes = html.feed(text);
            let place = |at: usize| {
                let c = text[at..].chars().next().unwrap_or('”');
                (c, (start + at, start + at + c.len_utf8()))
            };
            for (c, (start, end)) in quotes.into_iter().map(place) {
                let mut mistake = Mistake {
                    start,
                    end,
                    message: super::typographic(c),
                    help: None,
                    quotes: vec![(start, end)],
                    near: None,
                };
                mistake.help = Some("a link or attribute stands in straight quotes".to_owned());
                self.scan.mistakes.push(mistake);
            }
        }
        if text.ends_with('\\') && end < self.source.len() {
            self.mistake((end - 1, end), "a backslash before braces is not available", None);
        }
        // The white space at both ends of the source does not count, that within it does.
        let offset = trimmed.as_ptr() as usize - self.source.as_ptr() as usize;
        let (from, to) = (start.max(offset), end.min(offset + trimmed.len()));
        if from < to {
            self.scan.literal_chars += self.source[from..to].chars().count();
        }
    }

    fn mistake(&mut self, (start, end): (usize, usize), message: impl Into<String>, help: Option<String>) {
        let message = message.into();
        self.scan.mistakes.push(Mistake { start, end, message, help, quotes: Vec::new(), near: None });
    }

    /// Reads the tag at `start` and returns where it ends.
    fn tag(&mut self, start: usize) -> usize {
        let rest = &self.source[start..];
        if rest.starts_with("{{{{") {
            let end = self.line_end(start, "}}}}");
            self.mistake((start, end), "raw blocks are not available", None);
            return end;
        }
        if rest.starts_with("{{{") {
            let end = self.line_end(start, "}}}");
            let help = "write two braces: the value is then escaped for its place".to_owned();
            self.mistake((start, end), "values are never written unescaped", Some(help));
            return end;
        }
        if let Some(comment) = rest.strip_prefix("{{!").or_else(|| rest.strip_prefix("{{~!")) {
            return self.comment(start, comment);
        }
        let Some(length) = tag::length(rest) else {
            let end = self.line_end(start, "\n");
            let line = &self.source[start..end];
            let inside = &line[..line.find("}}").unwrap_or(0)];
            match tag::typographic(inside, start) {
                Some(mistake) => self.scan.mistakes.push(mistake),
                None => self.mistake((start, end), "`{{` is not closed by `}}`", None),
            }
            return end;
        };
        let end = start + length;
        let inner_start = start + 2 + usize::from(rest[2..].starts_with('~'));
        let inner_end = end - 2 - usize::from(self.source[..end - 2].ends_with('~'));
        if inner_start > inner_end {
            self.mistake((start, end), "there is nothing between the braces", None);
            return end;
        }
        self.inside((start, end), inner_start, inner_end);
        end
    }

    fn comment(&mut self, start: usize, comment: &str) -> usize {
        let closing = if comment.starts_with("--") { "--}}" } else { "}}" };
        let body = self.source.len() - comment.len();
        match comment.find(closing) {
            Some(found) => body + found + closing.len(),
            None => {
                let help = format!("end it with `{closing}`");
                self.mistake((start, body), "the comment is never closed", Some(help));
                self.source.len()
            }
        }
    }

    /// Where `closing` ends on the line of `start`, or where the line ends.
    fn line_end(&self, start: usize, closing: &str) -> usize {
        let line = self.source[start..].split('\n').next().unwrap_or_default();
        start + line.find(closing).map_or(line.len(), |found| found + closing.len())
    }

    fn inside(&mut self, tag: (usize, usize), start: usize, end: usize) {
        let inner = &self.source[start..end];
        let lead = inner.len() - inner.trim_start().len();
        let (at, text) = (start + lead, inner.trim());
        match text.as_bytes().first() {
            None => self.mistake(tag, "there is nothing between the braces", None),
            Some(b'#') => self.open_block(tag, at + 1, &text[1..]),
            Some(b'/') => self.close_block(tag, text[1..].trim()),
            Some(b'>') => self.part(tag, at + 1, &text[1..]),
            Some(b'&') => {
                let help = "leave out the `&`: the value is then escaped for its place".to_owned();
                self.mistake(tag, "values are never written unescaped", Some(help));
            }
            Some(b'^') => {
                self.mistake(
                    tag,
                    "`^` is not available",
                    Some("write `{{else}}` or `{{#unless …}}`".to_owned()),
                );
            }
            Some(b'*') => self.mistake(tag, "decorators are not available", None),
            Some(_) if text == "else" || text.starts_with("else ") => {
                self.alternative(tag, at + 4, &text[4..])
            }
            Some(_) => self.output(tag, at, text),
        }
    }

    fn output(&mut self, tag: (usize, usize), at: usize, text: &str) {
        let expr = match tag::parse(text, at) {
            Ok(expr) => expr,
            Err(mistake) => return self.scan.mistakes.push(mistake),
        };
        let (start, end, is_call) = match &expr {
            Expr::Path(path) => (path.start, path.end, false),
            Expr::Call(call) => (call.start, call.end, true),
            Expr::Literal(_) => return self.mistake(tag, "this writes a fixed text", None),
        };
        let first_use = self.scan.uses.len();
        let place = self.html.as_ref().map_or(Place::Plain, Html::place);
        let wants = if place == Place::LinkStart { Wants::Link } else { Wants::Text };
        match &expr {
            // handlebars takes a lone name of a helper for the helper.
            Expr::Path(path) if helper(&path.raw).is_some() => self.call(&path.as_call(), false, wants),
            _ => self.expression(&expr, Role::Shown, wants),
        }
        let is_brand = |used: &Use| used.path.first().is_some_and(|first| first == "brand");
        let only_brand = !is_call && self.scan.uses[first_use..].iter().all(is_brand);
        if let Some(reason) = place.refusal(only_brand) {
            self.mistake((start, end), reason, place.advice().map(str::to_owned));
        }
        if let Some(html) = &mut self.html {
            html.value_written();
        }
        self.scan.outputs.push(Output { start, end, is_call, place });
    }

    fn expression(&mut self, expr: &Expr, role: Role, wants: Wants) {
        match expr {
            Expr::Literal(span) => self.literal(*span, wants),
            Expr::Call(call) => self.call(call, false, wants),
            Expr::Path(path) => self.variable(path, role, wants),
        }
    }

    fn literal(&mut self, span: (usize, usize), wants: Wants) {
        let text = self.source[span.0..span.1].trim_matches(['"', '\'']);
        if wants.takes_text(text) {
            return;
        }
        let help = match wants {
            Wants::Currency => near_currency(text).map(|near| format!("write `\"{near}\"`")),
            _ => None,
        };
        let message = match wants {
            Wants::Currency => format!("`{text}` is no currency of ISO 4217, such as `EUR`"),
            _ => format!("{} is wanted here, but `{text}` is none", wants.noun()),
        };
        self.mistake(span, message, help);
    }

    fn variable(&mut self, path: &Path, role: Role, wants: Wants) {
        let span = (path.start, path.end);
        if path.is_local {
            if !self.scope.is_in_list() {
                self.mistake(span, format!("`{}` exists only inside `{{{{#each}}}}`", path.raw), None);
            }
            return;
        }
        let Some(resolved) = self.scope.resolved(path) else {
            return self.mistake(span, "`../` leads out of the template", None);
        };
        if resolved.first().is_some_and(|first| first == UNKNOWN) {
            return;
        }
        if resolved.is_empty() {
            let help = "name a value, such as `{{contact.first_name}}`".to_owned();
            let message = "`this` exists only inside `{{#each}}` and `{{#with}}`";
            return self.mistake(span, message, Some(help));
        }
        let whole = matches!(role, Role::Condition | Role::Each | Role::With | Role::Argument("default", 0));
        let known = if whole { resolved.len() } else { self.scope.known_prefix(&resolved) };
        self.scan.uses.push(Use { path: resolved, start: path.start, end: path.end, role, wants, known });
    }

    fn call(&mut self, call: &Call, as_block: bool, wants: Wants) {
        let name_span = (call.start, call.start + call.name.len());
        let Some(helper) = helper(&call.name) else {
            let names = HELPERS.iter().filter(|helper| helper.block == as_block).map(|helper| helper.name);
            let near = crate::diagnostic::did_you_mean(&call.name, names.clone());
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
            };
            self.mistake(name_span, format!("there is no helper `{}`", call.name), Some(help));
            // A block has its name at its end too.
            if let (Some(mistake), false) = (self.scan.mistakes.last_mut(), as_block) {
                mistake.near = near.map(str::to_owned);
            }
            let role = Role::Argument("default", 1);
            return call.args.iter().for_each(|arg| self.expression(arg, role.clone(), Wants::Anything));
        };
        if helper.block != as_block {
            let message = match helper.block {
                true => format!("`{}` opens a block", helper.name),
                false => format!("`{}` is no block", helper.name),
            };
            return self.mistake(name_span, message, Some(format!("write `{}`", helper.usage)));
        }
        let (fewest, most) = helper.takes;
        if call.args.len() < fewest || call.args.len() > most {
            let count = match fewest {
                1 if most == 1 => "one value".to_owned(),
                _ if fewest == most => format!("{fewest} values"),
                _ => format!("{fewest} or {most} values"),
            };
            let message = format!("`{}` takes {count}", helper.name);
            self.mistake((call.start, call.end), message, Some(format!("write `{}`", helper.usage)));
        }
        if !wants.takes_result_of(helper.name) {
            let message = format!("{} is wanted here, but `{}` makes a text", wants.noun(), helper.name);
            self.mistake((call.start, call.end), message, None);
        }
        let form = self.form(helper.name, call);
        self.scan.helpers.push(HelperUse { name: helper.name, start: name_span.0, end: name_span.1 });
        for (place, arg) in call.args.iter().enumerate() {
            let role = match helper.name {
                "if" | "unless" => Role::Condition,
                "each" => Role::Each,
                "with" => Role::With,
                name => Role::Argument(name, place),
            };
            self.expression(arg, role, Wants::of_value(helper.name, place, form, wants));
        }
    }

    /// The form of a date, where one is named.
    fn form(&mut self, helper: &str, call: &Call) -> Option<&'a str> {
        let ("date", Some(Expr::Literal((start, end)))) = (helper, call.args.get(1)) else { return None };
        let form = self.source[*start..*end].trim_matches(['"', '\'']);
        if !DATE_FORMS.contains(&form) {
            let help = format!("there are {}", DATE_FORMS.join(", "));
            self.mistake((*start, *end), format!("dates have no form `{form}`"), Some(help));
        }
        Some(form)
    }

    fn open_block(&mut self, tag: (usize, usize), at: usize, text: &str) {
        let lead = text.len() - text.trim_start().len();
        let text = text.trim();
        let word = text.split_whitespace().next().unwrap_or_default();
        let mut subject = None;
        if text.starts_with(['>', '*']) {
            self.mistake(tag, "inline parts are not available", Some("use a file in `_parts`".to_owned()));
        } else {
            match tag::parse_call(text, at + lead) {
                Ok(call) => {
                    self.call(&call, true, Wants::Anything);
                    subject = self.subject(&call);
                }
                Err(mistake) => self.scan.mistakes.push(mistake),
            }
        }
        // What is wrong is opened too, under no name that an end could miss, so that its end is no second mistake.
        let name = helper(word).filter(|helper| helper.block).map_or("", |helper| helper.name);
        self.open.push(Block {
            name,
            tag,
            outer: self.scope.clone(),
            subject: subject.clone(),
            has_else: false,
            html_before: self.html.clone(),
            html_ends: Vec::new(),
        });
        self.enter(name, subject);
    }

    fn subject(&self, call: &Call) -> Option<Vec<String>> {
        match call.args.first() {
            Some(Expr::Path(path)) if !path.is_local => self.scope.resolved(path),
            _ => None,
        }
    }

    /// The scope of a block's main branch.
    fn enter(&mut self, name: &str, subject: Option<Vec<String>>) {
        match (name, subject) {
            ("if", Some(path)) => self.scope.known.push(path),
            ("with", Some(path)) => {
                self.scope.known.push(path.clone());
                self.scope.frames.push(Frame { path, is_element: false });
            }
            ("each", Some(mut path)) => {
                self.scope.known.push(path.clone());
                path.push("[]".to_owned());
                // What was known of another element of the same list is not known of this one.
                self.scope.known.retain(|known| !known.starts_with(&path));
                self.scope.frames.push(Frame { path, is_element: true });
            }
            ("each" | "with", None) => {
                let path = vec![UNKNOWN.to_owned()];
                self.scope.frames.push(Frame { path, is_element: name == "each" });
            }
            _ => {}
        }
    }

    fn alternative(&mut self, tag: (usize, usize), at: usize, text: &str) {
        let Some(block) = self.open.last_mut() else {
            return self.mistake(tag, "`{{else}}` stands in no block", None);
        };
        if block.has_else {
            return self.mistake(tag, "a second `{{else}}` in the same block", None);
        }
        block.has_else = text.trim().is_empty();
        let name = block.name;
        self.scope = block.outer.clone();
        // Wherever `{{#unless x}}` does not hold, `x` is there.
        if name == "unless" {
            self.scope.known.extend(block.subject.clone());
        }
        self.end_branch();
        if text.trim().is_empty() {
            return;
        }
        let lead = text.len() - text.trim_start().len();
        match tag::parse_call(text.trim(), at + lead) {
            Ok(call) if call.name == "if" && matches!(name, "if" | "unless") => {
                self.call(&call, true, Wants::Anything);
                let subject = self.subject(&call);
                self.enter("if", subject);
            }
            Ok(_) => {
                let help = "only `{{else if …}}` inside `{{#if …}}` is".to_owned();
                self.mistake(tag, "this form of `else` is not available", Some(help));
            }
            Err(mistake) => self.scan.mistakes.push(mistake),
        }
    }

    fn close_block(&mut self, tag: (usize, usize), name: &str) {
        let Some(place) = self.open.iter().rposition(|block| block.name == name || block.name.is_empty())
        else {
            return self.mistake(tag, format!("`{{{{/{name}}}}}` closes nothing"), None);
        };
        while self.open.len() > place + 1 {
            let unclosed = self.open.pop().expect("there are more than `place`");
            let message = format!("`{{{{#{}}}}}` is not closed before `{{{{/{name}}}}}`", unclosed.name);
            let help = format!("write `{{{{/{}}}}}` where it ends", unclosed.name);
            self.mistake(unclosed.tag, message, Some(help));
        }
        self.end_branch();
        let block = self.open.pop().expect("`place` is open");
        self.scope = block.outer;
        self.join_branches(block.tag, block.html_before.filter(|_| !block.has_else), block.html_ends);
    }

    fn end_branch(&mut self) {
        if let (Some(html), Some(block)) = (&mut self.html, self.open.last_mut()) {
            let before = block.html_before.clone().unwrap_or_default();
            block.html_ends.push(std::mem::replace(html, before));
        }
    }

    /// All branches must leave the HTML in the same place, or what follows would stand in two; without `else` the
    /// whole block may be left out, so it must also end where it began.
    fn join_branches(&mut self, tag: (usize, usize), without: Option<Html>, ends: Vec<Html>) {
        let mut all = without.into_iter().chain(ends);
        let Some(mut joined) = all.next() else { return };
        let mut agree = true;
        for other in all {
            agree &= joined.agrees_with(&other);
            joined = joined.joined(&other);
        }
        self.html = Some(joined);
        if !agree {
            let help = "close in a branch what it opens: tags, quotes and comments".to_owned();
            self.mistake(tag, "the branches of this block end in different places of the HTML", Some(help));
        }
    }

    fn part(&mut self, tag: (usize, usize), at: usize, text: &str) {
        let name = text.trim();
        let start = at + (text.len() - text.trim_start().len());
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if !is_name {
            let help =
                "a part is a file in `templates/_parts` and takes no values: `{{> footer}}`".to_owned();
            return self.mistake(tag, "this names no part", Some(help));
        }
        if self.html.as_ref().is_some_and(|html| html.place() != Place::Text) {
            self.mistake(tag, "a part can stand only between HTML elements", None);
        }
        self.scan.parts.push(PartUse {
            name: name.to_owned(),
            start,
            end: start + name.len(),
            tag_start: tag.0,
            tag_end: tag.1,
            scope: self.scope.clone(),
        });
    }
}
